// Numbers drawn on data, one a place (pixel, wavelength, epoch, column, word): their colours, their words, and how certain each is.
import { css, diverging, viridis } from "./colours.js";
import { number } from "./columns.js";

/** @typedef {{values: Float32Array, spread?: Float32Array | null, spreadKind?: string, scale: number, signed: boolean, unit: string, total?: string, shared?: boolean}} Overlay
 *   `spread`: how uncertain the value at each place is, and `spreadKind` by what: between members of an ensemble, or a standard error; `scale`: the value of full colour, `shared` by all modalities or this one's own; `total`: the sum over all places, in words */

export const overlayColour = (overlay, v) => css((overlay.signed ? diverging : viridis)(v / (overlay.scale || 1)));

/** How visible a value is beside what it is uncertain by: 1 where nothing is known of that, 0.5 where both are equal. */
export function certain(overlay, i) {
  const spread = overlay.spread?.[i];
  if (!(spread > 0)) return 1;
  const size = Math.abs(overlay.values[i]);
  return size / (size + spread);
}

/** Large enough to be seen, and yet no larger than the spread: hatched. */
export function doubtful(overlay, i) {
  const size = Math.abs(overlay.values[i]);
  return overlay.spread ? size <= overlay.spread[i] && size + overlay.spread[i] > 0.1 * overlay.scale : false;
}

/** A value at a place, in words. */
export function saying(overlay, i, figures = 3) {
  const v = overlay.values[i];
  if (!Number.isFinite(v)) return `${overlay.unit}: not read by the model`;
  const spread = overlay.spread?.[i];
  return `${overlay.unit} ${overlay.signed && v > 0 ? "+" : ""}${number(v, figures)}${spread >= 0 ? ` ± ${number(spread, 2)} ${overlay.spreadKind || ""}` : ""}`;
}
