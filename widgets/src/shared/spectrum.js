// A spectrum: flux with its error band against vacuum wavelength, rest frame on top, line markers, masked pixels hatched.
import { robust } from "./arrays.js";
import { number, unitText } from "./columns.js";
import { h, put, s, sized } from "./dom.js";
import { overlayColour } from "./image.js";
import { linePath, plot, readout, roomy, runs } from "./plot.js";

const HEIGHT = 268;
const STEPS = 15;

const redshiftOf = (columns) => columns.find(([name, value]) => name === "redshift" && typeof value === "number")?.[1];

function band(one, p, ok) {
  let d = "";
  for (const [a, b] of runs(one.flux.length, (i) => ok(i) && Number.isFinite(one.error[i]))) {
    const up = [];
    const down = [];
    for (let i = a; i <= b; i++) {
      const x = p.X(one.wavelength[i]).toFixed(1);
      up.push(`${x} ${p.Y(one.flux[i] + one.error[i]).toFixed(1)}`);
      down.unshift(`${x} ${p.Y(one.flux[i] - one.error[i]).toFixed(1)}`);
    }
    d += `M${up.join("L")}L${down.join("L")}Z`;
  }
  return s("path", { d, class: "error-band" });
}

function masked(one, p) {
  const n = one.flux.length;
  const edge = (i) => p.X(one.wavelength[Math.min(n - 1, Math.max(0, i))]);
  return runs(n, (i) => !one.mask[i]).map(([a, b]) => s("rect", { x: edge(a - 0.5 < 0 ? 0 : a - 1), y: p.box.top, width: Math.max(1.5, edge(b + 1) - edge(a - 1)), height: p.box.height, fill: p.hatch, class: "masked" }));
}

/** Known lines at this redshift; labels take two rows so that neighbours stay apart. */
function markers(one, p, z, [low, high]) {
  let last = [-99, -99];
  return one.lines.flatMap(([name, rest]) => {
    const at = rest * (1 + z);
    if (at < low || at > high) return [];
    const x = p.X(at);
    const row = x - last[0] > 34 ? 0 : x - last[1] > 34 ? 1 : -1;
    if (row >= 0) last[row] = x;
    const text = row < 0 ? null : s("text", { x: Math.min(x + 2, p.box.left + p.box.width - 30), y: p.box.top + 11 + 12 * row, class: "line-name" }, name);
    return [s("path", { d: `M${x} ${p.box.top}V${p.box.top + p.box.height}`, class: "line-mark" }, s("title", {}, `${name} ${number(rest)} Å`)), text];
  });
}

/** The line in pieces by colour, and a strip of bars at the bottom. */
function coloured(one, p, overlay, ok) {
  const groups = new Map();
  const base = p.box.top + p.box.height;
  for (let i = 0; i + 1 < one.flux.length; i++) {
    if (!ok(i) || !ok(i + 1)) continue;
    const v = (overlay.values[i] + overlay.values[i + 1]) / 2 / (overlay.scale || 1);
    const step = Math.round(Math.sign(v) * Math.sqrt(Math.min(1, Math.abs(v))) * STEPS);
    const x = p.X(one.wavelength[i]).toFixed(1);
    const size = Math.sqrt(Math.min(1, Math.abs(v))) * 30;
    const piece = groups.get(step) || { line: "", bars: "" };
    piece.line += `M${x} ${p.Y(one.flux[i]).toFixed(1)}L${p.X(one.wavelength[i + 1]).toFixed(1)} ${p.Y(one.flux[i + 1]).toFixed(1)}`;
    if (size > 0.4) piece.bars += `M${x} ${base}v${-size.toFixed(1)}`;
    groups.set(step, piece);
  }
  const wide = Math.max(1, p.box.width / one.flux.length);
  return [...groups].sort((a, b) => Math.abs(a[0]) - Math.abs(b[0])).map(([step, piece]) => {
    const stroke = overlayColour({ ...overlay, scale: 1 }, Math.sign(step) * (step / STEPS) ** 2);
    return s("g", { stroke, fill: "none" }, s("path", { d: piece.line, "stroke-width": 1.6 }), s("path", { d: piece.bars, "stroke-width": wide, opacity: 0.75 }));
  });
}

function draw(one, { ui, overlay, width, id, out }) {
  const n = one.flux.length;
  const ok = (i) => one.mask[i] > 0 && Number.isFinite(one.flux[i]);
  const z = ui.redshift[id] ?? 0;
  const range = /** @type {[number, number]} */ ([one.wavelength[0], one.wavelength[n - 1]]);
  const p = plot({
    width, height: HEIGHT, label: `spectrum, ${number(range[0])} to ${number(range[1])} ångström`,
    x: { domain: range, label: "vacuum wavelength, observed (Å)" }, y: { domain: roomy(robust(one.flux, ok), 0.14), label: unitText(one.unit) },
    top: { domain: range.map((w) => w / (1 + z)), label: `rest frame at z = ${number(z, 4)} (Å)` },
  });
  p.layer.append(...(ui.mask ? masked(one, p) : []), band(one, p, ok));
  if (overlay) p.layer.append(...coloured(one, p, overlay, ok));
  else p.layer.append(s("path", { d: linePath(one.wavelength, one.flux, p.X, p.Y, ok), class: "series" }));
  if (ui.lines) p.layer.append(...markers(one, p, z, range).filter(Boolean));
  readout(p.svg, (x) => {
    const share = (x - p.box.left) / p.box.width;
    if (share < 0 || share > 1) return "";
    const at = range[0] + share * (range[1] - range[0]);
    let i = 0;
    while (i < n - 1 && one.wavelength[i] < at) i++;
    const more = overlay ? `, ${overlay.unit} ${number(overlay.values[i], 3)}` : "";
    return `${number(one.wavelength[i])} Å (rest ${number(one.wavelength[i] / (1 + z))} Å): ${one.mask[i] ? `${number(one.flux[i], 4)} ± ${number(one.error[i], 2)}` : "masked"}${more}`;
  }, out);
  return p.svg;
}

/** @param {any} one @param {any} context */
export function spectrumBody(one, { ui, overlay, columns, body, tools, life, id }) {
  const known = redshiftOf(columns);
  if (!(id in ui.redshift)) ui.redshift[id] = Math.max(0, known ?? 0);
  const holder = h("div", { class: "af-holder" });
  const out = h("p", { class: "af-caption" });
  let width = 0;
  const again = () => width && put(holder, draw(one, { ui, overlay, width, id, out }));
  const box = h("input", { type: "number", min: 0, max: 7, step: 0.001, class: "af-small", value: number(ui.redshift[id], 4), "aria-label": "Redshift of the line markers" });
  const slide = h("input", { type: "range", min: 0, max: 3, step: 0.001, value: ui.redshift[id], "aria-label": "Redshift of the line markers, slider" });
  const set = (value, other) => {
    ui.redshift[id] = Math.max(0, Number(value) || 0);
    other.value = number(ui.redshift[id], 4);
    again();
  };
  box.addEventListener("input", () => set(box.value, slide));
  slide.addEventListener("input", () => set(slide.value, box));
  const lines = h("input", { type: "checkbox", checked: ui.lines, onchange: (e) => { ui.lines = e.target.checked; again(); } });
  tools.append(h("label", { class: "af-check" }, lines, "lines at z"), slide, box);
  if (one.mask.some((v) => !v)) tools.append(h("label", { class: "af-check" }, h("input", { type: "checkbox", "data-mask": "", checked: ui.mask, onchange: (e) => { ui.mask = e.target.checked; again(); } }), "mask"));
  if (one.shown) body.append(h("p", { class: "af-caption" }, one.shown));
  body.append(holder, out);
  life.push(sized(holder, (w) => { width = w; again(); }));
}
