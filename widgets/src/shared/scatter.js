// A map of points on a canvas: pan, zoom, lasso, hover, keyboard; a million points, counted where they crowd.
import { h, once, still } from "./dom.js";
import { gridOf } from "./point_grid.js";
import { countPoints, drawPoints } from "./points_2d.js";
import { pointLayer } from "./points_gl.js";

const HOVER = 12;
const MOVE = 220;
const GLIDE = 250000; // points up to which they glide to their new places
const COVER = 0.35; // share of the map that points may cover before they are drawn smaller
const RINGS = 4000;
const DRAWN = 1;
const SELECTED = 2;
const CELL = 2; // pixels a side of the cells that points_2d.js counts in

export class Scatter {
  /** @param {{pick: (i: number) => void, lasso: (take: (each: (i: number) => void) => void, how: string) => void, hover: (i: number, x: number, y: number) => void}} report */
  constructor(report) {
    this.report = report;
    this.canvas = h("canvas", { class: "af-map", tabindex: "0", role: "application", "aria-roledescription": "map", "aria-label": "Map of samples: drag to lasso, wheel to zoom, arrow keys go to the neighbour" });
    this.marks = h("canvas", { class: "af-map-marks", "aria-hidden": "true", "aria-label": "Marks on the map" });
    this.xy = new Float32Array(0);
    this.ink = new Uint8Array(0);
    this.state = new Uint8Array(0);
    this.shown = this.selected = null;
    this.told = null; // what the view said of states last
    this.any = false;
    this.chosen = 0;
    this.focus = this.beside = -1;
    this.tool = "lasso";
    this.mode = "auto";
    this.glide = 1;
    this.crowd = 1;
    this.frames = 0;
    this.size = [0, 0];
    this.how = null;
    this.view = { x: 0, y: 0, scale: 1 };
    this.sorted = { xy: this.xy, ink: this.ink, state: this.state };
    this.trail = [];
    this.drawMarks = once(() => this.paintMarks());
    this.drawAll = once(() => this.paint());
    this.layer = pointLayer(() => this.draw());
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.canvas);
    this.gestures();
  }

  get n() {
    return this.state.length;
  }

  get grid() {
    return gridOf(this.xy);
  }

  /** Red, green and blue of every point. @param {Uint8Array} ink four bytes each */
  colours(ink) {
    this.ink = ink;
    this.sort("ink");
    this.draw();
  }

  /** Which points are drawn and which are selected; none of which the place is unknown. @param {Uint8Array | null} shown null: all @param {Uint8Array} selected */
  states(shown, selected) {
    const n = this.xy.length >> 1;
    if (this.state.length !== n) this.state = new Uint8Array(n);
    let chosen = 0;
    for (let i = 0; i < n; i++) {
      const x = this.xy[2 * i];
      chosen += selected[i];
      this.state[i] = x - x === 0 && (!shown || shown[i]) ? DRAWN + SELECTED * selected[i] : 0;
    }
    Object.assign(this, { any: chosen > 0, chosen, shown, selected });
    this.sort("state");
    this.draw();
  }

  draw() {
    this.drawAll();
  }

  /** Points are kept in the order of the grid's cells, so that only those in view are looked at. @param {"xy" | "ink" | "state"} name */
  sort(name) {
    const width = { xy: 2, ink: 4, state: 1 }[name];
    if (this[name].length !== (width * this.xy.length) / 2) return;
    this.sorted[name] = this.grid.sorted(this[name], width);
    if (name === "ink") this.layer.colours(this.sorted.ink);
    if (name === "state") this.layer.states(this.sorted.state);
  }

  end() {
    this.observer.disconnect();
    this.layer.end();
    this.gone = true;
  }

  resize() {
    const { clientWidth: w, clientHeight: hgt } = this.canvas;
    if (!w || (w === this.size[0] && hgt === this.size[1])) return;
    this.size = [w, hgt];
    const dpr = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: Math.round(w * dpr), height: Math.round(hgt * dpr) });
    if (this.fitted !== false) this.fit();
    this.draw();
  }

  /** Show other coordinates; points glide there where that helps the eye. @param {Float32Array} xy */
  place(xy) {
    const before = this.xy;
    this.xy = xy;
    this.told = null;
    const glides = before.length === xy.length && this.n <= GLIDE && this.n > 0 && !still();
    this.glide = glides ? 0 : 1;
    this.sort("xy");
    this.layer.place(this.sorted.xy, glides ? this.grid.sorted(this.framed(before, xy), 2) : this.sorted.xy);
    this.sort("ink");
    this.states(this.shown?.length === xy.length >> 1 ? this.shown : null, this.selected?.length === xy.length >> 1 ? this.selected : new Uint8Array(xy.length >> 1));
    this.crowd = this.grid.crowd();
    this.fit();
    if (glides) this.step(xy);
  }

  /** The old places in the frame of the new ones, so that what glides is shape and not size. */
  framed(before, xy) {
    const [a, b] = [gridOf(before).box, this.grid.box];
    const from = new Float32Array(xy.length);
    for (let k = 0; k < xy.length; k++) {
      const axis = k & 1;
      const unit = (before[k] - a[axis]) / (a[axis + 2] - a[axis] || 1);
      from[k] = Number.isNaN(unit) ? xy[k] : b[axis] + unit * (b[axis + 2] - b[axis]);
    }
    return from;
  }

  step(xy) {
    const start = performance.now();
    const next = (now) => {
      if (this.gone || this.xy !== xy) return;
      const t = Math.min(1, Math.max(0, (now - start) / MOVE));
      this.glide = t * t * (3 - 2 * t);
      if (t >= 1) this.layer.place(this.sorted.xy, this.sorted.xy);
      this.draw();
      if (t < 1) requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }

  fit(box = this.grid.box) {
    const { clientWidth: w, clientHeight: hgt } = this.canvas;
    const scale = 0.9 * Math.min((w || 1) / (box[2] - box[0] || 1), (hgt || 1) / (box[3] - box[1] || 1));
    this.view = { scale, x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2 };
    this.fitted = true;
    this.draw();
  }

  /** Move the map so that a point is in view. */
  reveal(i) {
    if (!(i >= 0 && i < this.n) || !(this.state[i] & DRAWN)) return;
    const [x, y] = this.toScreen(this.xy[2 * i], this.xy[2 * i + 1]);
    if (x > 8 && y > 8 && x < this.canvas.clientWidth - 8 && y < this.canvas.clientHeight - 8) return;
    Object.assign(this.view, { x: this.xy[2 * i], y: this.xy[2 * i + 1] });
    this.fitted = false;
    this.draw();
  }

  zoom(by, sx = this.canvas.clientWidth / 2, sy = this.canvas.clientHeight / 2) {
    const [x, y] = this.toData(sx, sy);
    this.view.scale *= by;
    const [x2, y2] = this.toData(sx, sy);
    this.pan((x2 - x) * this.view.scale, (y - y2) * this.view.scale);
  }

  /** Move the map by pixels. */
  pan(dx, dy) {
    this.view.x -= dx / this.view.scale;
    this.view.y += dy / this.view.scale;
    this.fitted = false;
    this.draw();
  }

  toData(sx, sy) {
    return [(sx - this.canvas.clientWidth / 2) / this.view.scale + this.view.x, -(sy - this.canvas.clientHeight / 2) / this.view.scale + this.view.y];
  }

  toScreen(x, y) {
    return [(x - this.view.x) * this.view.scale + this.canvas.clientWidth / 2, -(y - this.view.y) * this.view.scale + this.canvas.clientHeight / 2];
  }

  /** The drawn point nearest to a place on the screen, within reach; -1 for none. */
  nearest(sx, sy, reach = HOVER) {
    return this.n ? this.grid.nearest(...this.toData(sx, sy), reach / this.view.scale, (i) => this.state[i] & DRAWN) : -1;
  }

  /** From a point to its neighbour to the right (1, 0), above (0, 1) ...; from none to the one in the middle. */
  neighbour(from, dx, dy) {
    const ok = (i) => this.state[i] & DRAWN;
    if (!this.n) return -1;
    if (from >= 0 && ok(from)) return this.grid.toward(from, dx, dy, ok);
    return this.nearest(this.canvas.clientWidth / 2, this.canvas.clientHeight / 2, this.canvas.clientWidth + this.canvas.clientHeight);
  }

  /** Hand over all points in view. @param {string} how */
  visible(how) {
    const [[x0, y1], [x1, y0]] = [this.toData(0, 0), this.toData(this.canvas.clientWidth, this.canvas.clientHeight)];
    this.close([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], how);
  }

  /** How large points are, in pixels, and whether they are counted instead: the more in view, the smaller. And where those in view lie. */
  look() {
    const { clientWidth: w, clientHeight: hgt } = this.canvas;
    const [[x0, y1], [x1, y0]] = [this.toData(-8, -8), this.toData(w + 8, hgt + 8)];
    const seen = Math.max(1, this.grid.count(x0, y0, x1, y1));
    const fair = Math.sqrt((COVER * w * hgt) / seen);
    const density = this.mode === "density" || (this.mode === "auto" && fair < 1.5);
    const ranges = this.glide < 1 ? [0, this.grid.finite] : this.grid.ranges(x0, y0, x1, y1);
    return { size: Math.min(8, Math.max(2, fair)), density: density && this.glide >= 1, most: Math.max(2, (this.crowd * CELL * CELL) / this.view.scale ** 2), ranges };
  }

  paint() {
    const view = { ...this.view, width: this.canvas.clientWidth, height: this.canvas.clientHeight };
    const { sorted } = this;
    if (this.gone || !view.width || !view.height || !this.n || sorted.ink.length !== 4 * this.n || sorted.state.length !== this.n) return;
    const dpr = devicePixelRatio || 1;
    const how = (this.how = { dpr, any: this.any, glide: this.glide, ...this.look() });
    // where points crowd, counting them is quicker than drawing them, with or without a graphics card
    const sheets = how.density ? countPoints(sorted, view, how) : null;
    const picture = (sheets ? this.layer.counts(sheets) : this.layer.draw(view, how)) || drawPoints(sorted, view, how, sheets);
    this.canvas.getContext("bitmaprenderer").transferFromImageBitmap(picture);
    this.canvas.dataset.drawn = `${this.layer.ready ? "webgl" : "2d"} ${how.density ? "density" : "points"}`;
    this.canvas.dataset.frames = String(++this.frames);
    this.paintMarks();
  }

  /** What lies over the points: rings, the sample in focus, the lasso. */
  paintMarks() {
    const { marks } = this;
    const ringed = this.any && this.chosen <= RINGS && this.how && !this.how.density;
    marks.hidden = !(ringed || this.beside >= 0 || this.focus >= 0 || this.trail.length > 1); // a layer less to put together
    if (this.gone || marks.hidden) return;
    const dpr = devicePixelRatio || 1;
    const [w, hgt] = [Math.round(this.canvas.clientWidth * dpr), Math.round(this.canvas.clientHeight * dpr)];
    if (marks.width !== w || marks.height !== hgt) Object.assign(marks, { width: w, height: hgt });
    const pen = marks.getContext("2d");
    pen.setTransform(dpr, 0, 0, dpr, 0, 0);
    pen.clearRect(0, 0, w, hgt);
    const style = getComputedStyle(this.canvas);
    if (ringed) this.rings(pen, this.how.size / 2, style.color);
    if (this.beside >= 0 && this.beside !== this.focus) this.target(pen, this.beside, style.getPropertyValue("--af-accent"), false);
    if (this.focus >= 0) this.target(pen, this.focus, style.color, true);
    this.drawTrail(pen, style.getPropertyValue("--af-accent"));
  }

  rings(pen, size, ink) {
    pen.strokeStyle = ink;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let i = 0; i < this.n; i++) {
      if (this.state[i] !== DRAWN + SELECTED) continue;
      const [x, y] = this.toScreen(this.xy[2 * i], this.xy[2 * i + 1]);
      pen.moveTo(x + size + 1, y);
      pen.arc(x, y, size + 1, 0, 6.2832);
    }
    pen.stroke();
  }

  /** A mark on one sample: with a cross for the one looked at, a plain ring for the one that the pointer is on in the map beside. */
  target(pen, i, ink, crossed) {
    if (!(i < this.n) || !(this.xy[2 * i] - this.xy[2 * i] === 0)) return;
    const [x, y] = this.toScreen(this.xy[2 * i], this.xy[2 * i + 1]);
    pen.strokeStyle = ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 9, 0, 6.2832);
    for (const [dx, dy] of crossed ? [[0, -1], [0, 1], [-1, 0], [1, 0]] : []) {
      pen.moveTo(x + 9 * dx, y + 9 * dy);
      pen.lineTo(x + 14 * dx, y + 14 * dy);
    }
    pen.stroke();
  }

  drawTrail(pen, ink) {
    if (this.trail.length < 2) return;
    pen.strokeStyle = ink;
    pen.fillStyle = ink;
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 3]);
    pen.beginPath();
    this.trail.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 0.08;
    pen.fill();
    pen.globalAlpha = 1;
  }

  gestures() {
    let last = null;
    let moved = 0;
    /** @returns {[number, number]} */
    const at = (e) => [e.offsetX, e.offsetY];
    const panning = (e) => this.tool === "pan" || e.buttons === 4;
    this.canvas.addEventListener("pointerdown", (e) => {
      this.canvas.setPointerCapture(e.pointerId);
      last = at(e);
      moved = 0;
      this.report.hover(-1, 0, 0);
      if (!panning(e)) this.trail = [last];
    });
    this.canvas.addEventListener("pointermove", (e) => {
      if (!last) return this.report.hover(this.nearest(...at(e)), ...at(e));
      const [x, y] = at(e);
      const far = Math.hypot(x - last[0], y - last[1]);
      if (!panning(e) && far < 2) return undefined; // a lasso needs no finer corners
      moved += far;
      if (panning(e)) this.pan(x - last[0], y - last[1]);
      else this.trail.push([x, y]);
      last = [x, y];
      return this.drawMarks();
    });
    this.canvas.addEventListener("pointerup", (e) => {
      if (!last) return;
      last = null;
      const trail = this.trail;
      this.trail = [];
      if (moved < 4) this.report.pick(this.nearest(...at(e)));
      else if (this.tool === "lasso" && trail.length > 2) this.close(trail.map(([x, y]) => this.toData(x, y)), e.shiftKey ? "add" : e.altKey ? "remove" : "new");
      this.drawMarks();
    });
    this.canvas.addEventListener("pointercancel", () => {
      last = null;
      this.trail = [];
      this.drawMarks();
    });
    this.canvas.addEventListener("pointerleave", () => this.report.hover(-1, 0, 0));
    this.canvas.addEventListener("wheel", (e) => {
      e.preventDefault();
      this.zoom(Math.exp(-e.deltaY * 0.0015), e.offsetX, e.offsetY);
    }, { passive: false });
  }

  /** Hand over what a closed line holds. @param {number[][]} polygon in the map's own coordinates */
  close(polygon, how) {
    if (this.n) this.report.lasso((each) => this.grid.within(polygon, (i) => this.state[i] & DRAWN && each(i)), how);
  }
}
