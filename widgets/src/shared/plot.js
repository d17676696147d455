// A small SVG plot with physical axes; colours come from the style sheet, so it follows the theme by itself.
import { number } from "./columns.js";
import { s } from "./dom.js";

const own = Math.random().toString(36).slice(2, 8); // each view is a module of its own, and ids are those of the whole page
let serial = 0;

/** Round steps of 1, 2 or 5 that cover a range with about `count` ticks. */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(1, count);
  const base = 10 ** Math.floor(Math.log10(rough));
  const step = base * [1, 2, 5, 10].find((m) => base * m >= rough * 0.999);
  const out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) out.push(Number((k * step).toPrecision(12)));
  return out;
}

/** A range widened a little, never of no width. @param {[number, number]} range @returns {[number, number]} */
export function roomy([low, high], share = 0.05) {
  const pad = high > low ? (high - low) * share : Math.abs(high) * 0.1 || 1;
  return [low - pad, high + pad];
}

const scaleOf = ([a, b], [p, q]) => (v) => p + ((v - a) / (b - a || 1)) * (q - p);

function axisBottom(g, box, axis, scale) {
  const y = box.top + box.height;
  for (const t of axis.ticks || ticks(...axis.domain, box.width / 80)) {
    g.append(s("path", { d: `M${scale(t)} ${box.top}V${y}`, class: "grid" }));
    g.append(s("text", { x: scale(t), y: y + 14, "text-anchor": "middle" }, (axis.format || number)(t)));
  }
  g.append(s("text", { x: box.left + box.width / 2, y: y + 30, "text-anchor": "middle", class: "title" }, axis.label));
}

function axisLeft(g, box, axis, scale) {
  for (const t of axis.ticks || ticks(...axis.domain, box.height / 40)) {
    g.append(s("path", { d: `M${box.left} ${scale(t)}H${box.left + box.width}`, class: "grid" }));
    g.append(s("text", { x: box.left - 5, y: scale(t) + 4, "text-anchor": "end" }, (axis.format || number)(t)));
  }
  const middle = box.top + box.height / 2;
  g.append(s("text", { x: 12, y: middle, transform: `rotate(-90 12 ${middle})`, "text-anchor": "middle", class: "title" }, axis.label));
}

function axisTop(g, box, axis) {
  const scale = scaleOf(axis.domain, [box.left, box.left + box.width]);
  for (const t of ticks(...axis.domain, box.width / 80)) {
    g.append(s("path", { d: `M${scale(t)} ${box.top}v-4`, class: "tick" }));
    g.append(s("text", { x: scale(t), y: box.top - 7, "text-anchor": "middle" }, number(t)));
  }
  g.append(s("text", { x: box.left + box.width / 2, y: box.top - 21, "text-anchor": "middle", class: "title" }, axis.label));
}

/** An empty plot with axes; draw into `layer` with `X` and `Y`.
 * @param {{width: number, height: number, label: string, x: any, y: any, top?: any, flip?: boolean}} options
 *   `x`, `y`: {domain: [low, high], label, ticks?, format?}; `flip` puts small y on top (magnitudes). */
export function plot({ width, height, label, x, y, top, flip = false }) {
  const box = { left: 58, top: top ? 34 : 8, width: Math.max(40, width - 70), height: Math.max(40, height - (top ? 34 : 8) - 36) };
  const X = scaleOf(x.domain, [box.left, box.left + box.width]);
  const Y = scaleOf(y.domain, flip ? [box.top, box.top + box.height] : [box.top + box.height, box.top]);
  const id = `af-clip-${own}-${serial++}`;
  const axes = s("g", { class: "axes" });
  axisBottom(axes, box, x, X);
  axisLeft(axes, box, y, Y);
  if (top) axisTop(axes, box, top);
  axes.append(s("rect", { x: box.left, y: box.top, width: box.width, height: box.height, class: "frame" }));
  const layer = s("g", { "clip-path": `url(#${id})` });
  const clip = s("clipPath", { id }, s("rect", { x: box.left, y: box.top, width: box.width, height: box.height }));
  const svg = s("svg", { class: "af-plot", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, s("defs", {}, clip, hatch(`${id}-hatch`)), axes, layer);
  return { svg, layer, X, Y, box, hatch: `url(#${id}-hatch)` };
}

/** The pattern that says "masked". */
export const hatch = (id) =>
  s("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, s("path", { d: "M0 0V6", class: "hatch" }));

/** A line through points, broken where `ok` is false or a value is not finite. */
export function linePath(xs, ys, X, Y, ok = (_i) => true) {
  let d = "";
  let pen = false;
  for (let i = 0; i < xs.length; i++) {
    if (!ok(i) || !Number.isFinite(ys[i])) {
      pen = false;
      continue;
    }
    d += `${pen ? "L" : "M"}${X(xs[i]).toFixed(1)} ${Y(ys[i]).toFixed(1)}`;
    pen = true;
  }
  return d;
}

/** Runs of consecutive indices where `test` holds, as [first, last]. */
export function runs(n, test) {
  const out = [];
  for (let i = 0; i < n; i++) {
    if (!test(i)) continue;
    if (out.length && out.at(-1)[1] === i - 1) out.at(-1)[1] = i;
    else out.push([i, i]);
  }
  return out;
}

const STEP = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
export const HOVER = "Shift and arrow keys read values.";

/** Say the values under the pointer beside the plot; with the keyboard, shift and an arrow move the place that is read.
 * @param {any} node @param {(x: number, y: number) => string} words of a place in pixels from the node's corner @param {HTMLElement} out @param {(x: number, y: number) => void} [mark] */
export function readout(node, words, out, mark = () => {}) {
  let at = /** @type {number[] | null} */ (null);
  const say = (x, y) => {
    out.textContent = words(x, y);
    mark(x, y);
  };
  node.addEventListener("pointermove", (e) => {
    const edge = node.getBoundingClientRect();
    out.removeAttribute("aria-live");
    say(e.clientX - edge.left, e.clientY - edge.top);
  });
  const leave = () => {
    at = null;
    out.textContent = "";
    mark(NaN, NaN);
  };
  node.addEventListener("pointerleave", leave);
  node.addEventListener("blur", leave);
  node.setAttribute("tabindex", "0");
  node.addEventListener("keydown", (e) => {
    const step = STEP[e.key];
    if (!e.shiftKey || !step) return;
    e.preventDefault();
    e.stopPropagation(); // without shift the arrows page
    const edge = node.getBoundingClientRect();
    const stride = Math.max(2, edge.width / 90);
    at = at ? [at[0] + step[0] * stride, at[1] + step[1] * stride] : [edge.width / 2, edge.height / 2];
    at = [Math.min(edge.width - 1, Math.max(0, at[0])), Math.min(edge.height - 1, Math.max(0, at[1]))];
    out.setAttribute("aria-live", "polite");
    say(at[0], at[1]);
  });
}

/** A line through a plot at the place that is read. */
export function crosshair(p) {
  const line = s("path", { d: "", stroke: "var(--af-text)", "stroke-width": 1, opacity: 0.55, fill: "none" });
  p.layer.append(line);
  return (x) => line.setAttribute("d", x >= p.box.left && x <= p.box.left + p.box.width ? `M${x} ${p.box.top}v${p.box.height}` : "");
}
