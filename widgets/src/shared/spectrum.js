// A spectrum: flux with its error band against vacuum wavelength, rest frame on top, line markers, masked pixels hatched.
import { robust } from "./arrays.js";
import { number, unitText } from "./columns.js";
import { h, put, s, sized } from "./dom.js";
import { certain, doubtful, overlayColour, saying } from "./overlay.js";
import { HOVER, crosshair, linePath, plot, readout, roomy, runs } from "./plot.js";
import { said, twin } from "./twin.js";
import { spectrumTwin } from "./twins.js";

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
    const faded = Math.round(4 * certain(overlay, i)) / 4;
    const key = `${step} ${faded}`;
    const piece = groups.get(key) || { step, faded, line: "", bars: "" };
    piece.line += `M${x} ${p.Y(one.flux[i]).toFixed(1)}L${p.X(one.wavelength[i + 1]).toFixed(1)} ${p.Y(one.flux[i + 1]).toFixed(1)}`;
    if (size > 0.4) piece.bars += `M${x} ${base}v${-size.toFixed(1)}`;
    groups.set(key, piece);
  }
  const wide = Math.max(1, p.box.width / one.flux.length);
  return [...groups.values()].sort((a, b) => Math.abs(a.step) - Math.abs(b.step)).map(({ step, faded, line, bars }) => {
    const stroke = overlayColour({ ...overlay, scale: 1 }, Math.sign(step) * (step / STEPS) ** 2);
    return s("g", { stroke, fill: "none" }, s("path", { d: line, "stroke-width": 1.6 }), s("path", { d: bars, "stroke-width": wide, opacity: 0.75 * Math.max(0.25, faded) }));
  });
}

/** Where members of an ensemble do not agree, hatched above the bars. */
function doubts(one, p, overlay) {
  const base = p.box.top + p.box.height;
  return runs(one.flux.length, (i) => one.mask[i] > 0 && doubtful(overlay, i)).map(([a, b]) => s("rect", { x: p.X(one.wavelength[a]), y: base - 34, width: Math.max(2, p.X(one.wavelength[Math.min(b + 1, one.flux.length - 1)]) - p.X(one.wavelength[a])), height: 34, fill: p.hatch, class: "masked" }, s("title", {}, "the members of the ensemble do not agree here")));
}

/** The pixel nearest to a wavelength. */
function nearest(wavelength, at) {
  let [low, high] = [0, wavelength.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (wavelength[middle] <= at) low = middle;
    else high = middle;
  }
  return at - wavelength[low] < wavelength[high] - at ? low : high;
}

/** The line within a few pixels of the pointer, by name. */
function lineAt(one, p, ui, z, x) {
  const near = ui.lines && z !== null ? one.lines.find(([, rest]) => Math.abs(p.X(rest * (1 + z)) - x) < 4) : null;
  return near ? `, ${near[0]} ${number(near[1])} Å` : "";
}

function draw(one, { ui, overlay, width, id, out, told }) {
  const n = one.flux.length;
  const ok = (i) => one.mask[i] > 0 && Number.isFinite(one.flux[i]);
  const z = ui.redshift[id]; // null: nobody knows it, so there is no rest frame to draw
  const range = /** @type {[number, number]} */ ([one.wavelength[0], one.wavelength[n - 1]]);
  const p = plot({
    width, height: HEIGHT, label: `${said(told)} ${HOVER}`,
    x: { domain: range, label: "vacuum wavelength, observed (Å)" }, y: { domain: roomy(robust(one.flux, ok), 0.14), label: unitText(one.unit) },
    top: z === null ? undefined : { domain: range.map((w) => w / (1 + z)), label: `rest frame at z = ${number(z, 4)} (Å)` },
  });
  p.layer.append(...(ui.mask ? masked(one, p) : []), band(one, p, ok));
  if (overlay) p.layer.append(...coloured(one, p, overlay, ok), ...doubts(one, p, overlay));
  else p.layer.append(s("path", { d: linePath(one.wavelength, one.flux, p.X, p.Y, ok), class: "series" }));
  if (ui.lines && z !== null) p.layer.append(...markers(one, p, z, range).filter(Boolean));
  readout(p.svg, (x) => {
    const share = (x - p.box.left) / p.box.width;
    if (share < 0 || share > 1) return "";
    const at = range[0] + share * (range[1] - range[0]);
    const i = nearest(one.wavelength, at);
    const value = one.mask[i] ? `${number(one.flux[i], 4)}${Number.isFinite(one.error[i]) ? ` ± ${number(one.error[i], 2)}` : ""} ${unitText(one.unit)}` : "masked";
    const rest = z === null ? "" : ` (rest ${number(one.wavelength[i] / (1 + z))} Å${lineAt(one, p, ui, z, x)})`;
    return `${number(one.wavelength[i])} Å${rest} · ${value}${overlay ? ` · ${saying(overlay, i)}` : ""}`;
  }, out, crosshair(p));
  return p.svg;
}

/** @param {any} one @param {any} context */
export function spectrumBody(one, { ui, overlay, columns, body, tools, life, id, name }) {
  const known = redshiftOf(columns);
  if (!(id in ui.redshift)) ui.redshift[id] = known === undefined ? null : Math.max(0, known);
  const holder = h("div", { class: "af-holder" });
  const out = h("p", { class: "af-caption" });
  let width = 0;
  const under = h("div", {});
  const again = () => {
    if (!width) return;
    const told = spectrumTwin(one, { name, z: ui.redshift[id], overlay });
    put(holder, draw(one, { ui, overlay, width, id, out, told }));
    put(under, twin(told, ui.open));
  };
  const box = h("input", { type: "number", min: 0, max: 7, step: 0.001, class: "af-small", "data-of": id, value: number(ui.redshift[id], 4), placeholder: "unknown", "aria-label": "Redshift of the line markers" });
  const slide = h("input", { type: "range", min: 0, max: 3, step: 0.001, value: ui.redshift[id] ?? 0, "aria-label": "Redshift of the line markers, slider" });
  const set = (value, other) => {
    ui.redshift[id] = value === "" ? null : Math.max(0, Number(value) || 0);
    other.value = number(ui.redshift[id], 4) || (other === slide ? "0" : "");
    again();
  };
  box.addEventListener("input", () => set(box.value, slide));
  slide.addEventListener("input", () => set(slide.value, box));
  const lines = h("input", { type: "checkbox", checked: ui.lines, onchange: (e) => { ui.lines = e.target.checked; again(); } });
  tools.append(h("label", { class: "af-check" }, lines, "lines at z"), slide, box);
  if (one.mask.some((v) => !v)) tools.append(h("label", { class: "af-check" }, h("input", { type: "checkbox", "data-mask": "", checked: ui.mask, onchange: (e) => { ui.mask = e.target.checked; again(); } }), "mask"));
  if (known === undefined) tools.append(h("span", { class: "af-caption", title: "Type a redshift to place the lines and the rest frame" }, "redshift unknown"));
  if (one.shown) body.append(h("p", { class: "af-caption" }, one.shown));
  body.append(holder, out, under);
  life.push(sized(holder, (w) => { width = w; again(); }));
}
