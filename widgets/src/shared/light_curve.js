// A light curve by band: MJD or phase, error bars, upper limits as open triangles, magnitudes upside down.
import { extent } from "./arrays.js";
import { bandColour } from "./colours.js";
import { number, unitText } from "./columns.js";
import { button, choice, h, put, s, sized } from "./dom.js";
import { certain, doubtful, overlayColour, saying } from "./overlay.js";
import { HOVER, plot, readout, roomy } from "./plot.js";
import { said, twin } from "./twin.js";
import { lightCurveTwin } from "./twins.js";

const HEIGHT = 240;
const SHAPES = [
  (x, y) => `M${x - 3.2} ${y}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0`,
  (x, y) => `M${x - 3} ${y - 3}h6v6h-6Z`,
  (x, y) => `M${x} ${y - 4.2}l4.2 4.2l-4.2 4.2l-4.2 -4.2Z`,
  (x, y) => `M${x} ${y - 4}l4 7h-8Z`,
];
const LIMIT = (x, y) => `M${x - 4} ${y - 3}h8l-4 7Z`;
const isMagnitude = (unit) => /mag/i.test(unit);

/** Points worth drawing; a limit stands at three times its one-sigma depth. */
function points(one, ui) {
  const start = extent(one.time)[0];
  const out = [];
  for (let i = 0; i < one.time.length; i++) {
    if (ui.hidden.has(one.bands[one.band[i]]) || !Number.isFinite(one.flux[i]) || !Number.isFinite(one.time[i])) continue;
    const limit = one.limit[i] > 0;
    const x = ui.period > 0 ? ((((one.time[i] - start) / ui.period) % 1) + 1) % 1 : one.time[i];
    const y = limit && !isMagnitude(one.unit) ? 3 * one.error[i] : one.flux[i];
    out.push({ i, x, y, e: limit ? 0 : one.error[i], limit, masked: !one.mask[i], band: one.band[i] });
  }
  return out;
}

/** Folded curves are drawn twice, so that no phase is cut. */
const doubled = (list, ui) => (ui.period > 0 ? [...list, ...list.map((p) => ({ ...p, x: p.x + 1 }))] : list);

/** One epoch in words: band, time, phase where it is folded, value, and what an overlay says of it. */
function wordsOf(one, point, ui, overlay) {
  const phase = ui.period > 0 ? ` (phase ${(point.x % 1).toFixed(3)})` : "";
  const value = `${point.limit ? "upper limit (3σ) " : ""}${number(point.y, 4)}${point.e ? ` ± ${number(point.e, 2)}` : ""} ${unitText(one.unit)}${point.masked ? ", masked" : ""}`;
  return `${one.bands[point.band]}, MJD ${number(one.time[point.i], 9)}${phase} · ${value}${overlay ? ` · ${saying(overlay, point.i)}` : ""}`;
}

function mark(one, p, point, overlay, ui) {
  const [x, y] = [p.X(point.x), p.Y(point.y)];
  const own = bandColour(one.bands[point.band], point.band);
  const value = overlay?.values[point.i];
  const colour = overlay ? overlayColour(overlay, Number.isFinite(value) ? value : 0) : own;
  const shape = point.limit ? LIMIT(x, y) : SHAPES[point.band % SHAPES.length](x, y);
  const words = wordsOf(one, point, ui, overlay);
  const bar = point.e > 0 ? s("path", { d: `M${x} ${p.Y(point.y - point.e)}V${p.Y(point.y + point.e)}`, stroke: overlay ? "var(--af-muted)" : own, class: "error-bar" }) : null;
  const dot = s("path", { d: shape, fill: point.limit || point.masked ? "none" : colour, stroke: overlay ? own : colour, class: overlay ? "dot thin" : "dot", "fill-opacity": overlay ? Math.max(0.2, certain(overlay, point.i)) : null, "stroke-dasharray": overlay && doubtful(overlay, point.i) ? "2 1.5" : null }, s("title", {}, words));
  return s("g", { class: point.masked ? "is-masked" : "" }, bar, dot);
}

function draw(one, { ui, overlay, width, out, told }) {
  const list = doubled(points(one, ui), ui);
  const ys = list.flatMap((q) => (q.masked ? [] : [q.y - q.e, q.y + q.e]));
  const folded = ui.period > 0;
  const xs = folded ? [0, 2] : roomy(extent(one.time), 0.03);
  const p = plot({
    width, height: HEIGHT, label: `${said(told)} ${HOVER}`, flip: isMagnitude(one.unit),
    x: { domain: xs, label: folded ? `phase at a period of ${number(ui.period, 8)} d` : `MJD (${one.clock || "UTC"})`, format: (v) => number(v, 8) },
    y: { domain: roomy(extent(ys), 0.08), label: isMagnitude(one.unit) ? "magnitude" : `flux (${unitText(one.unit)})` },
  });
  p.layer.append(...(list.length > MANY && !overlay ? crowd(one, p, list) : list.map((point) => mark(one, p, point, overlay, ui))));
  const ring = s("circle", { r: 7, cx: -99, cy: -99, stroke: "var(--af-text)", fill: "none" });
  p.layer.append(ring);
  const closest = (x, y) => list.reduce((best, q) => {
    const far = (p.X(q.x) - x) ** 2 + 0.15 * (p.Y(q.y) - y) ** 2; // across before up and down
    return far < best.far ? { far, q } : best;
  }, { far: Infinity, q: /** @type {any} */ (null) }).q;
  const within = (x) => x >= p.box.left && x <= p.box.left + p.box.width;
  readout(p.svg, (x, y) => (within(x) && list.length ? wordsOf(one, closest(x, y), ui, overlay) : ""), out, (x, y) => {
    const q = within(x) && list.length ? closest(x, y) : null;
    ring.setAttribute("cx", q ? p.X(q.x) : -99);
    ring.setAttribute("cy", q ? p.Y(q.y) : -99);
  });
  return p.svg;
}

const MANY = 3000;

/** Very many points: one path a band, without bars and words, since each mark of its own would take seconds. */
function crowd(one, p, list) {
  const paths = new Map();
  for (const q of list) {
    const key = `${q.band} ${q.limit || q.masked}`;
    const [x, y] = [p.X(q.x).toFixed(1), p.Y(q.y).toFixed(1)];
    paths.set(key, `${paths.get(key) || ""}M${x} ${y}h0`);
  }
  return [...paths].map(([key, d]) => s("path", { d, stroke: bandColour(one.bands[Number(key.split(" ")[0])], Number(key.split(" ")[0])), "stroke-width": 2.4, "stroke-linecap": "round", fill: "none", opacity: key.endsWith("true") ? 0.3 : 0.8 }));
}

/** Columns a period can be taken from: those named so, in days; where there are none, all that are positive numbers. */
function periodColumns(columns) {
  const numbers = columns.filter(([, value]) => typeof value === "number" && value > 0);
  const named = numbers.filter(([name, , unit]) => /period|(^|_)p(er)?(_|$|orb)/i.test(name) && ["", "d", "day", "h", "s", "min"].includes(unit || ""));
  return named.length ? named : numbers;
}

const DAYS = { d: 1, day: 1, h: 1 / 24, min: 1 / 1440, s: 1 / 86400 };

/** The period in days, of the number typed or of the column chosen; 0 for none. */
function periodOf(ui, columns) {
  if (ui.fold === "none") return ui.period;
  const owner = columns.find(([name]) => name === ui.fold);
  return owner && typeof owner[1] === "number" && owner[1] > 0 ? owner[1] * (DAYS[owner[2]] || 1) : 0;
}

/** The controls that fold: a number, or a column; half and double, since those are what a search mistakes a period for. */
function folding(ui, columns, again) {
  const period = h("input", {
    type: "number", min: 0, step: "any", class: "af-small", value: periodOf(ui, columns) || "", placeholder: "none", "aria-label": "Period to fold by, days",
    oninput: (e) => { ui.fold = "none"; from.value = "none"; ui.period = Math.max(0, Number(e.target.value) || 0); again(); },
  });
  const from = choice("Take the period from", [["none", "typed"], ...periodColumns(columns).map(([name]) => [name, name])], ui.fold, (value) => {
    if (value === "none") ui.period = 0;
    ui.fold = value;
    period.value = periodOf(ui, columns) || "";
    again();
  });
  if (ui.fold !== "none" && !periodOf(ui, columns)) from.title = "this object has no such number";
  const times = (by, text) => button(text, () => {
    const now = periodOf(ui, columns);
    if (!now) return;
    Object.assign(ui, { fold: "none", period: Number((now * by).toPrecision(12)) });
    from.value = "none";
    period.value = String(ui.period);
    again();
  }, { class: "af-link", "aria-label": by < 1 ? "Half the period" : "Twice the period" });
  return [h("label", { class: "af-check" }, "fold", period, "d"), times(0.5, "½"), times(2, "×2"), from];
}

function legend(one, ui, again) {
  return one.bands.map((band, index) => {
    const count = one.band.filter((b) => b === index).length;
    if (!count) return null;
    const sample = s("svg", { viewBox: "-6 -6 12 12", width: 12, height: 12, "aria-hidden": "true" }, s("path", { d: SHAPES[index % SHAPES.length](0, 0), fill: bandColour(band, index) }));
    const toggle = (e) => {
      if (!ui.hidden.delete(band)) ui.hidden.add(band);
      e.currentTarget.setAttribute("aria-pressed", String(!ui.hidden.has(band)));
      again();
    };
    return h("button", { type: "button", class: "af-chip", "aria-pressed": String(!ui.hidden.has(band)), "aria-label": `Band ${band}, ${count} epochs`, onclick: toggle }, sample, band, h("span", { class: "af-num" }, count));
  });
}

/** @param {any} one @param {any} context */
export function lightCurveBody(one, { ui: kept, columns, overlay, body, tools, life, name }) {
  const ui = Object.create(kept, { period: { get: () => periodOf(kept, columns) } });
  const holder = h("div", { class: "af-holder" });
  const limits = one.limit.some((v) => v > 0);
  let width = 0;
  const out = h("p", { class: "af-caption af-out" });
  const under = h("div", {});
  const again = () => {
    if (!width) return;
    const told = lightCurveTwin(one, { name, period: ui.period, overlay, points: points(one, ui) });
    put(holder, draw(one, { ui, overlay, width, out, told }));
    put(under, twin(told, kept.open));
  };
  tools.append(...legend(one, ui, again).filter(Boolean), ...folding(kept, columns, again));
  const hidden = one.mask.reduce((sum, v) => sum + (v ? 0 : 1), 0);
  body.append(holder, h("p", { class: "af-caption" }, `${one.shown ? `${one.shown}; ` : ""}${one.time.length} epochs${hidden ? `, ${hidden} masked (open, faint)` : ""}${limits ? "; open triangles: 3σ upper limits" : ""}`), out, under);
  life.push(sized(holder, (w) => { width = w; again(); }));
}
