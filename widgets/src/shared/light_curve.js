// A light curve by band: MJD or phase, error bars, upper limits as open triangles, magnitudes upside down.
import { extent } from "./arrays.js";
import { bandColour } from "./colours.js";
import { number, unitText } from "./columns.js";
import { h, put, s, sized } from "./dom.js";
import { overlayColour } from "./image.js";
import { plot, roomy } from "./plot.js";

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

function mark(one, p, point, overlay) {
  const [x, y] = [p.X(point.x), p.Y(point.y)];
  const own = bandColour(one.bands[point.band], point.band);
  const value = overlay?.values[point.i];
  const colour = overlay ? overlayColour(overlay, Number.isFinite(value) ? value : 0) : own;
  const shape = point.limit ? LIMIT(x, y) : SHAPES[point.band % SHAPES.length](x, y);
  const words = `${one.bands[point.band]}, MJD ${number(one.time[point.i], 9)}: ${point.limit ? "upper limit (3σ) " : ""}${number(point.y, 4)}${point.e ? ` ± ${number(point.e, 2)}` : ""} ${unitText(one.unit)}${point.masked ? ", masked" : ""}${overlay ? `, ${overlay.unit} ${number(value, 3)}` : ""}`;
  const bar = point.e > 0 ? s("path", { d: `M${x} ${p.Y(point.y - point.e)}V${p.Y(point.y + point.e)}`, stroke: overlay ? "var(--af-muted)" : own, class: "error-bar" }) : null;
  const dot = s("path", { d: shape, fill: point.limit || point.masked ? "none" : colour, stroke: overlay ? own : colour, class: overlay ? "dot thin" : "dot" }, s("title", {}, words));
  return s("g", { class: point.masked ? "is-masked" : "" }, bar, dot);
}

function draw(one, { ui, overlay, width }) {
  const list = doubled(points(one, ui), ui);
  const ys = list.flatMap((q) => (q.masked ? [] : [q.y - q.e, q.y + q.e]));
  const folded = ui.period > 0;
  const xs = folded ? [0, 2] : roomy(extent(one.time), 0.03);
  const p = plot({
    width, height: HEIGHT, label: `light curve, ${one.time.length} epochs in ${one.bands.join(", ")}`, flip: isMagnitude(one.unit),
    x: { domain: xs, label: folded ? `phase at a period of ${number(ui.period)} d` : `MJD (${one.clock || "UTC"})`, format: (v) => number(v, 8) },
    y: { domain: roomy(extent(ys), 0.08), label: isMagnitude(one.unit) ? "magnitude" : `flux (${unitText(one.unit)})` },
  });
  p.layer.append(...list.map((point) => mark(one, p, point, overlay)));
  return p.svg;
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
export function lightCurveBody(one, { ui, overlay, body, tools, life }) {
  const holder = h("div", { class: "af-holder" });
  const limits = one.limit.some((v) => v > 0);
  let width = 0;
  const again = () => width && put(holder, draw(one, { ui, overlay, width }));
  const period = h("input", {
    type: "number", min: 0, step: "any", class: "af-small", value: ui.period || "", placeholder: "none", "aria-label": "Period to fold by, days",
    oninput: (e) => { ui.period = Math.max(0, Number(e.target.value) || 0); again(); },
  });
  tools.append(...legend(one, ui, again).filter(Boolean), h("label", { class: "af-check" }, "fold", period, "d"));
  body.append(holder, h("p", { class: "af-caption" }, `${one.time.length} epochs${limits ? "; open triangles: 3σ upper limits" : ""}`));
  life.push(sized(holder, (w) => { width = w; again(); }));
}
