// Cells of HEALPix, nested, and whether a coverage holds a direction; after Gorski et al. 2005, ApJ 622, 759, section 5 and appendix.
import { RAD } from "./projection.js";

/** Bits 0, 1, 2, ... of a number at places 0, 2, 4, ...; up to 12 of them. */
function spread(v) {
  let out = 0;
  for (let bit = 0; v >> bit; bit++) out |= ((v >> bit) & 1) << (2 * bit);
  return out;
}

/** The nested cell of a direction (deg). @param {number} order at most 11: cells of finer orders need more than 31 bits */
export function cellAt(order, ra, dec) {
  const side = 1 << order;
  const z = Math.sin(dec * RAD);
  const quarter = ((((ra % 360) + 360) % 360) / 90) % 4; // turns of a quarter, 0 to 4
  let [face, x, y] = [0, 0, 0];
  if (Math.abs(z) <= 2 / 3) {
    // the belt: lines of constant index run up and down at 45 degrees in (longitude, z)
    const up = Math.floor(side * (0.5 + quarter - 0.75 * z));
    const down = Math.floor(side * (0.5 + quarter + 0.75 * z));
    const [a, b] = [up >> order, down >> order];
    face = a === b ? (a & 3) + 4 : a < b ? a & 3 : (b & 3) + 8;
    x = down & (side - 1);
    y = side - 1 - (up & (side - 1));
  } else {
    const part = Math.min(3, Math.floor(quarter));
    const reach = side * Math.sqrt(3 * (1 - Math.abs(z)));
    const near = Math.min(side - 1, Math.floor((quarter - part) * reach));
    const far = Math.min(side - 1, Math.floor((1 - quarter + part) * reach));
    face = z > 0 ? part : part + 8;
    [x, y] = z > 0 ? [side - 1 - far, side - 1 - near] : [near, far];
  }
  return face * side * side + (spread(x) | (spread(y) << 1));
}

/** Whether a coverage holds a direction. @param {{order: number, ranges: ArrayLike<number>}} outline first cell and the one after the last, ascending */
export function holds({ order, ranges }, ra, dec) {
  const cell = cellAt(order, ra, dec);
  let [low, high] = [0, ranges.length / 2];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[2 * middle] <= cell) low = middle + 1;
    else high = middle;
  }
  return low > 0 && cell < ranges[2 * low - 1];
}
