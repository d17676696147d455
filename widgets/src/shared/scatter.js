// Many points on a canvas: pan, zoom, lasso, hover; 100,000 points in one frame.
import { css } from "./colours.js";
import { h, once, still } from "./dom.js";

const HOVER = 12;
const MOVE = 220;
const MANY = 8000; // points above which pixels are written instead of circles drawn

/** One point of `2 half + 1` pixels a side, laid over what is there. */
function stamp(data, width, x, y, half, ink, alpha) {
  const [r, g, b] = [ink >> 16, (ink >> 8) & 255, ink & 255];
  for (let v = y - half; v <= y + half; v++)
    for (let u = x - half; u <= x + half; u++) {
      const at = 4 * (v * width + u);
      const under = (data[at + 3] / 255) * (1 - alpha);
      const all = alpha + under;
      data[at] = (r * alpha + data[at] * under) / all;
      data[at + 1] = (g * alpha + data[at + 1] * under) / all;
      data[at + 2] = (b * alpha + data[at + 2] * under) / all;
      data[at + 3] = 255 * all;
    }
}

function inside(polygon, x, y) {
  let hit = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i];
    const [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) hit = !hit;
  }
  return hit;
}

/** The box of all finite points, a little wider. */
function boxOf(xy) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < xy.length; i += 2) {
    if (Number.isNaN(xy[i])) continue;
    box[0] = Math.min(box[0], xy[i]);
    box[1] = Math.min(box[1], xy[i + 1]);
    box[2] = Math.max(box[2], xy[i]);
    box[3] = Math.max(box[3], xy[i + 1]);
  }
  return box[0] <= box[2] ? box : [-1, -1, 1, 1];
}

export class Scatter {
  /** @param {{pick: (i: number) => void, lasso: (inside: number[], how: string) => void, hover: (i: number, x: number, y: number) => void}} report */
  constructor(report) {
    this.report = report;
    this.canvas = h("canvas", { class: "af-map", tabindex: "0", role: "application", "aria-label": "Map of samples: drag to lasso, wheel to zoom" });
    this.xy = new Float32Array(0);
    this.inks = new Uint32Array(0);
    this.shown = new Uint8Array(0);
    this.selected = new Uint8Array(0);
    this.any = false;
    this.focus = -1;
    this.tool = "lasso";
    this.view = { x: 0, y: 0, scale: 1 };
    this.trail = [];
    this.draw = once(() => this.paint());
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.canvas);
    this.gestures();
  }

  /** Colour of every point, once, so that a redraw asks nothing. @param {number} n @param {(i: number) => number[]} of */
  colours(n, of) {
    this.inks = new Uint32Array(n);
    for (let i = 0; i < n; i++) {
      const [r, g, b] = of(i);
      this.inks[i] = (r << 16) | (g << 8) | b;
    }
  }

  /** @param {number} n @param {(i: number) => boolean} test */
  show(n, test) {
    this.shown = new Uint8Array(n);
    for (let i = 0; i < n; i++) this.shown[i] = Number(test(i));
    this.draw();
  }

  end() {
    this.observer.disconnect();
    this.gone = true;
  }

  resize() {
    const { clientWidth: w, clientHeight: hgt } = this.canvas;
    const dpr = devicePixelRatio || 1;
    if (!w || (this.canvas.width === Math.round(w * dpr) && this.canvas.height === Math.round(hgt * dpr))) return;
    this.canvas.width = Math.round(w * dpr);
    this.canvas.height = Math.round(hgt * dpr);
    if (this.fitted !== false) this.fit();
    this.draw();
  }

  /** Show other coordinates; points glide there where that helps the eye. */
  place(xy) {
    const from = this.xy;
    this.goal = xy;
    const glide = from.length === xy.length && xy.length <= 40000 && !still() && from.length > 0;
    if (!glide) {
      this.xy = xy;
      this.fit();
      return;
    }
    const [a, b] = [boxOf(from), boxOf(xy)];
    const start = performance.now();
    // both clouds in one frame of reference, so that what glides is shape and not size
    const unit = (box, v, axis) => (v - box[axis]) / (box[axis + 2] - box[axis] || 1);
    const step = (now) => {
      if (this.gone || this.goal !== xy) return;
      const t = Math.min(1, (now - start) / MOVE);
      const e = t * t * (3 - 2 * t);
      if (t >= 1) this.xy = xy;
      else {
        const mid = new Float32Array(xy.length);
        for (let k = 0; k < xy.length; k++) {
          const u = Number.isNaN(from[k]) ? unit(b, xy[k], k & 1) : unit(a, from[k], k & 1);
          mid[k] = b[k & 1] + (u + (unit(b, xy[k], k & 1) - u) * e) * (b[(k & 1) + 2] - b[k & 1] || 1);
        }
        this.xy = mid;
      }
      this.fit(b);
      if (t < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  fit(box = boxOf(this.xy)) {
    const { clientWidth: w, clientHeight: hgt } = this.canvas;
    const scale = 0.9 * Math.min((w || 1) / (box[2] - box[0] || 1), (hgt || 1) / (box[3] - box[1] || 1));
    this.view = { scale, x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2 };
    this.fitted = true;
    this.draw();
  }

  zoom(by, sx = this.canvas.clientWidth / 2, sy = this.canvas.clientHeight / 2) {
    const [x, y] = this.toData(sx, sy);
    this.view.scale *= by;
    const [x2, y2] = this.toData(sx, sy);
    this.view.x += x - x2;
    this.view.y += y - y2;
    this.fitted = false;
    this.draw();
  }

  toData(sx, sy) {
    return [(sx - this.canvas.clientWidth / 2) / this.view.scale + this.view.x, -(sy - this.canvas.clientHeight / 2) / this.view.scale + this.view.y];
  }

  toScreen(x, y) {
    return [(x - this.view.x) * this.view.scale + this.canvas.clientWidth / 2, -(y - this.view.y) * this.view.scale + this.canvas.clientHeight / 2];
  }

  /** The visible point nearest to a place on the screen, within reach; -1 for none. */
  nearest(sx, sy) {
    const [x, y] = this.toData(sx, sy);
    let best = (HOVER / this.view.scale) ** 2;
    let found = -1;
    for (let i = 0, n = this.xy.length / 2; i < n; i++) {
      const d = (this.xy[2 * i] - x) ** 2 + (this.xy[2 * i + 1] - y) ** 2;
      if (d < best && this.shown[i]) {
        best = d;
        found = i;
      }
    }
    return found;
  }

  paint() {
    // kept in memory, not on the graphics card: pixels are written one by one
    const pen = this.canvas.getContext("2d", { willReadFrequently: true });
    const dpr = devicePixelRatio || 1;
    pen.setTransform(dpr, 0, 0, dpr, 0, 0);
    pen.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    const n = this.xy.length / 2;
    const size = n < 2000 ? 4 : 2.5;
    const style = getComputedStyle(this.canvas);
    if (n > MANY) this.pixels(pen, dpr);
    else {
      this.dots(pen, (i) => this.any && !this.selected[i], size, 0.22);
      this.dots(pen, (i) => !this.any || this.selected[i], size, 0.92);
      if (this.any) this.rings(pen, size, style.color);
    }
    if (this.focus >= 0 && 2 * this.focus < this.xy.length) this.target(pen, this.focus, style.color);
    this.drawTrail(pen, style.getPropertyValue("--af-accent"));
  }

  /** Points by colour, so that the pen changes ink seldom. */
  dots(pen, test, size, alpha) {
    const inks = new Map();
    const [w, hgt] = [this.canvas.clientWidth, this.canvas.clientHeight];
    for (let i = 0, n = this.xy.length / 2; i < n; i++) {
      if (Number.isNaN(this.xy[2 * i]) || !this.shown[i] || !test(i)) continue;
      const [x, y] = this.toScreen(this.xy[2 * i], this.xy[2 * i + 1]);
      if (x < -9 || y < -9 || x > w + 9 || y > hgt + 9) continue;
      const key = this.inks[i];
      if (!inks.has(key)) inks.set(key, []);
      inks.get(key).push(x, y);
    }
    pen.globalAlpha = alpha;
    for (const [key, at] of inks) {
      pen.fillStyle = css([key >> 16, (key >> 8) & 255, key & 255]);
      pen.beginPath();
      for (let k = 0; k < at.length; k += 2) {
        pen.moveTo(at[k] + size, at[k + 1]);
        pen.arc(at[k], at[k + 1], size, 0, 6.2832);
      }
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  /** Many points: squares of a few pixels written into the picture, those selected last. */
  pixels(pen, dpr) {
    const { width, height } = this.canvas;
    const image = pen.createImageData(width, height);
    const half = Math.max(1, Math.round(dpr));
    for (const last of this.any ? [0, 1] : [0]) {
      const alpha = this.any && !last ? 0.25 : 0.8;
      for (let i = 0, n = this.xy.length / 2; i < n; i++) {
        if (!this.shown[i] || (this.any && this.selected[i] !== last)) continue;
        const x = Math.round(((this.xy[2 * i] - this.view.x) * this.view.scale) * dpr + width / 2);
        const y = Math.round(height / 2 - (this.xy[2 * i + 1] - this.view.y) * this.view.scale * dpr);
        if (x >= half && y >= half && x < width - half && y < height - half) stamp(image.data, width, x, y, half, this.inks[i], alpha);
      }
    }
    pen.putImageData(image, 0, 0);
  }

  rings(pen, size, ink) {
    pen.strokeStyle = ink;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let i = 0, n = this.xy.length / 2; i < n; i++) {
      if (!this.selected[i] || Number.isNaN(this.xy[2 * i]) || !this.shown[i]) continue;
      const [x, y] = this.toScreen(this.xy[2 * i], this.xy[2 * i + 1]);
      pen.moveTo(x + size + 1, y);
      pen.arc(x, y, size + 1, 0, 6.2832);
    }
    pen.stroke();
  }

  target(pen, i, ink) {
    const [x, y] = this.toScreen(this.xy[2 * i], this.xy[2 * i + 1]);
    pen.strokeStyle = ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 9, 0, 6.2832);
    for (const [dx, dy] of [[0, -1], [0, 1], [-1, 0], [1, 0]]) {
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
      if (!panning(e)) this.trail = [last];
    });
    this.canvas.addEventListener("pointermove", (e) => {
      if (!last) return this.report.hover(this.nearest(...at(e)), ...at(e));
      const [x, y] = at(e);
      moved += Math.hypot(x - last[0], y - last[1]);
      if (panning(e)) {
        this.view.x -= (x - last[0]) / this.view.scale;
        this.view.y += (y - last[1]) / this.view.scale;
        this.fitted = false;
      } else this.trail.push([x, y]);
      last = [x, y];
      return this.draw();
    });
    this.canvas.addEventListener("pointerup", (e) => {
      if (!last) return;
      last = null;
      const trail = this.trail;
      this.trail = [];
      if (moved < 4) this.report.pick(this.nearest(...at(e)));
      else if (this.tool === "lasso" && trail.length > 2) this.close(trail, e.shiftKey ? "add" : e.altKey ? "remove" : "new");
      this.draw();
    });
    this.canvas.addEventListener("pointerleave", () => this.report.hover(-1, 0, 0));
    this.canvas.addEventListener("wheel", (e) => {
      e.preventDefault();
      this.zoom(Math.exp(-e.deltaY * 0.0015), e.offsetX, e.offsetY);
    }, { passive: false });
  }

  close(trail, how) {
    const polygon = trail.map(([x, y]) => this.toData(x, y));
    const box = boxOf(Float32Array.from(polygon.flat()));
    const found = [];
    for (let i = 0, n = this.xy.length / 2; i < n; i++) {
      const [x, y] = [this.xy[2 * i], this.xy[2 * i + 1]];
      if (x < box[0] || y < box[1] || x > box[2] || y > box[3] || Number.isNaN(x) || !this.shown[i]) continue;
      if (inside(polygon, x, y)) found.push(i);
    }
    this.report.lasso(found, how);
  }
}
