// Points of a plane in square cells: how many are in view, which is nearest, which are inside a drawn line; a million take some 50 ms to sort, once.

const books = new WeakMap();

/** The box of all finite points. @param {ArrayLike<number>} xy @returns {[number, number, number, number]} */
export function boxOf(xy) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < xy.length; i += 2) {
    const [x, y] = [xy[i], xy[i + 1]];
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
  }
  return x0 <= x1 && y0 <= y1 ? [x0, y0, x1, y1] : [-1, -1, 1, 1];
}

/** Whether a place is inside a closed line, by crossings. @param {number[][]} polygon */
export function inside(polygon, x, y) {
  let hit = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i];
    const [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) hit = !hit;
  }
  return hit;
}

/** The cells of some coordinates, made once for each array. @param {Float32Array} xy */
export function gridOf(xy) {
  if (!books.has(xy)) books.set(xy, new PointGrid(xy));
  return books.get(xy);
}

export class PointGrid {
  /** @param {Float32Array} xy x and y in turn; NaN where a sample has no place */
  constructor(xy) {
    const n = xy.length >> 1;
    this.xy = xy;
    this.box = boxOf(xy);
    const [x0, y0, x1, y1] = this.box;
    const side = (this.side = Math.min(512, Math.max(1, Math.ceil(Math.sqrt(n / 6)))));
    this.sx = side / (x1 - x0 || 1);
    this.sy = side / (y1 - y0 || 1);
    const cells = new Uint32Array(n);
    const starts = (this.starts = new Uint32Array(side * side + 2));
    for (let i = 0; i < n; i++) {
      const [x, y] = [xy[2 * i], xy[2 * i + 1]];
      const cell = x - x === 0 && y - y === 0 ? this.column(x) + side * this.row(y) : side * side;
      cells[i] = cell;
      starts[cell + 1]++;
    }
    for (let c = 0; c <= side * side; c++) starts[c + 1] += starts[c];
    const next = starts.slice();
    this.order = new Uint32Array(n);
    for (let i = 0; i < n; i++) this.order[next[cells[i]]++] = i;
    this.finite = starts[side * side];
    this.sums = this.summed();
  }

  column = (x) => Math.max(0, Math.min(this.side - 1, Math.floor((x - this.box[0]) * this.sx)));
  row = (y) => Math.max(0, Math.min(this.side - 1, Math.floor((y - this.box[1]) * this.sy)));

  /** Points left of and below each corner of the cells, so that any rectangle is counted at once. */
  summed() {
    const { side, starts } = this;
    const sums = new Uint32Array((side + 1) * (side + 1));
    for (let r = 0; r < side; r++) {
      let line = 0;
      for (let c = 0; c < side; c++) {
        line += starts[r * side + c + 1] - starts[r * side + c];
        sums[(r + 1) * (side + 1) + c + 1] = sums[r * (side + 1) + c + 1] + line;
      }
    }
    return sums;
  }

  /** Points in the cells that a rectangle touches. */
  count(x0, y0, x1, y1) {
    if (x1 < this.box[0] || y1 < this.box[1] || x0 > this.box[2] || y0 > this.box[3]) return 0;
    const w = this.side + 1;
    const [a, b, c, d] = [this.column(x0), this.row(y0), this.column(x1) + 1, this.row(y1) + 1];
    return this.sums[d * w + c] - this.sums[b * w + c] - this.sums[d * w + a] + this.sums[b * w + a];
  }

  /** Where the points of the cells that a rectangle touches lie in `order`: from and up to, in turn. @returns {number[]} */
  ranges(x0, y0, x1, y1) {
    if (x1 < this.box[0] || y1 < this.box[1] || x0 > this.box[2] || y0 > this.box[3]) return [];
    const [a, b, c, d] = [this.column(x0), this.row(y0), this.column(x1), this.row(y1)];
    const out = [];
    for (let r = b; r <= d; r++) {
      const [from, to] = [this.starts[r * this.side + a], this.starts[r * this.side + c + 1]];
      if (from === to) continue;
      if (out.length && out.at(-1) === from) out[out.length - 1] = to;
      else out.push(from, to);
    }
    return out;
  }

  /** Values of samples, `width` of them each, in the order of the cells. @template {Float32Array | Uint8Array} T @param {T} values @param {number} width @returns {T} */
  sorted(values, width) {
    const out = /** @type {T} */ (new /** @type {any} */ (values.constructor)(values.length));
    const { order } = this;
    if (width === 1) for (let k = 0; k < order.length; k++) out[k] = values[order[k]];
    else for (let k = 0; k < order.length; k++) for (let j = 0, from = width * order[k]; j < width; j++) out[width * k + j] = values[from + j];
    return out;
  }

  /** Points of the fullest cell for each unit of area. */
  crowd() {
    let most = 0;
    for (let c = 0; c < this.side * this.side; c++) most = Math.max(most, this.starts[c + 1] - this.starts[c]);
    return most * this.sx * this.sy;
  }

  /** The nearest point within `reach` that is `ok`; -1 for none. @param {(i: number) => any} ok */
  nearest(x, y, reach, ok) {
    let [best, found] = [reach * reach, -1];
    const [a, b, c, d] = [this.column(x - reach), this.row(y - reach), this.column(x + reach), this.row(y + reach)];
    for (let r = b; r <= d; r++)
      for (let k = this.starts[r * this.side + a], end = this.starts[r * this.side + c + 1]; k < end; k++) {
        const i = this.order[k];
        const far = (this.xy[2 * i] - x) ** 2 + (this.xy[2 * i + 1] - y) ** 2;
        if (far < best && ok(i)) [best, found] = [far, i];
      }
    return found;
  }

  /** The nearest other point within 45 degrees of a direction, so that arrow keys walk the map; -1 for none. @param {(i: number) => any} ok */
  toward(from, dx, dy, ok) {
    const [x, y] = [this.xy[2 * from], this.xy[2 * from + 1]];
    const [wide, tall] = [this.box[2] - this.box[0], this.box[3] - this.box[1]];
    // in cells at first, then in ever larger neighbourhoods: most neighbours are next door
    for (let reach = 2 / Math.min(this.sx, this.sy); ; reach *= 3) {
      let [best, found] = [Infinity, -1];
      const [a, b, c, d] = [this.column(x - reach), this.row(y - reach), this.column(x + reach), this.row(y + reach)];
      for (let r = b; r <= d; r++)
        for (let k = this.starts[r * this.side + a], end = this.starts[r * this.side + c + 1]; k < end; k++) {
          const i = this.order[k];
          const [u, v] = [this.xy[2 * i] - x, this.xy[2 * i + 1] - y];
          const along = u * dx + v * dy;
          const far = u * u + v * v;
          if (i !== from && far > 0 && far < best && along * along * 2 >= far && along > 0 && ok(i)) [best, found] = [far, i];
        }
      if (found >= 0 && best <= reach * reach) return found;
      if (reach > 2 * (wide + tall)) return found;
    }
  }

  /** Cells that a closed line passes through: 1; all others 0. @param {number[][]} polygon */
  border(polygon) {
    const marked = new Uint8Array(this.side * this.side);
    for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
      const [[x0, y0], [x1, y1]] = polygon[j][1] <= polygon[i][1] ? [polygon[j], polygon[i]] : [polygon[i], polygon[j]];
      for (let r = this.row(y0); r <= this.row(y1); r++) {
        // where the edge enters and leaves this row of cells
        const at = (y) => (y1 === y0 ? x0 : x0 + ((x1 - x0) * (Math.min(y1, Math.max(y0, y)) - y0)) / (y1 - y0));
        const ends = y1 === y0 ? [x0, x1] : [at(this.box[1] + r / this.sy), at(this.box[1] + (r + 1) / this.sy)];
        const low = Math.max(0, this.column(Math.min(...ends)) - 1);
        const high = Math.min(this.side - 1, this.column(Math.max(...ends)) + 1);
        for (let c = low; c <= high; c++) marked[r * this.side + c] = 1;
      }
    }
    return marked;
  }

  /** Hand over every point inside a closed line; whole cells at once, those on the line point by point. @param {number[][]} polygon @param {(i: number) => void} take */
  within(polygon, take) {
    const box = boxOf(Float64Array.from(polygon.flat()));
    if (box[2] < this.box[0] || box[3] < this.box[1] || box[0] > this.box[2] || box[1] > this.box[3]) return;
    const marked = this.border(polygon);
    for (let r = this.row(box[1]); r <= this.row(box[3]); r++)
      for (let c = this.column(box[0]), last = -2, all = false; c <= this.column(box[2]); c++) {
        const cell = r * this.side + c;
        const whole = !marked[cell];
        if (whole && last !== c - 1) all = inside(polygon, this.box[0] + (c + 0.5) / this.sx, this.box[1] + (r + 0.5) / this.sy);
        if (whole) last = c; // its neighbour that is off the line too is on the same side
        if (whole && !all) continue;
        for (let k = this.starts[cell]; k < this.starts[cell + 1]; k++) {
          const i = this.order[k];
          if (whole || inside(polygon, this.xy[2 * i], this.xy[2 * i + 1])) take(i);
        }
      }
  }
}
