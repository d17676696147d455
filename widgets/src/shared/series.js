// A series: channels on one axis, one line each; masked samples are hatched.
import { robust } from "./arrays.js";
import { bandColour } from "./colours.js";
import { number, unitText } from "./columns.js";
import { h, put, s, sized } from "./dom.js";
import { certain, overlayColour, saying } from "./overlay.js";
import { HOVER, crosshair, linePath, plot, readout, roomy, runs } from "./plot.js";
import { said, twin } from "./twin.js";
import { seriesTwin } from "./twins.js";

const HEIGHT = 220;

/** Bars at the bottom, one a sample: how much it counts. */
function bars(one, p, overlay) {
  const base = p.box.top + p.box.height;
  return [...overlay.values].map((value, i) => {
    const size = Math.sqrt(Math.min(1, Math.abs(value) / (overlay.scale || 1))) * 40;
    return size > 0.4 ? s("path", { d: `M${p.X(one.axis[i])} ${base}v${-size}`, stroke: overlayColour(overlay, value), opacity: Math.max(0.25, certain(overlay, i)), "stroke-width": Math.max(1, p.box.width / one.axis.length) }) : null;
  }).filter(Boolean);
}

function draw(one, { overlay, width, out, told }) {
  const n = one.axis.length;
  const rows = one.channels.map((name, c) => ({ name, values: one.values.subarray(c * n, (c + 1) * n), ok: (i) => one.mask[c * n + i] > 0 }));
  const range = /** @type {[number, number]} */ ([one.axis[0], one.axis[n - 1]]);
  const p = plot({
    width, height: HEIGHT, label: `${said(told)} ${HOVER}`,
    x: { domain: range, label: one.axis_unit ? `${one.axis_name} (${one.axis_unit})` : one.axis_name },
    y: { domain: roomy(robust(one.values, (i) => one.mask[i] > 0, 0.002), 0.1), label: unitText(one.unit) || "value" },
  });
  const gone = runs(n, (i) => !rows.some((row) => row.ok(i)));
  p.layer.append(...gone.map(([a, b]) => s("rect", { x: p.X(one.axis[a]), y: p.box.top, width: Math.max(1.5, p.X(one.axis[b]) - p.X(one.axis[a])), height: p.box.height, fill: p.hatch, class: "masked" })));
  if (overlay) p.layer.append(...bars(one, p, overlay));
  rows.forEach((row, c) => p.layer.append(s("path", { d: linePath(one.axis, row.values, p.X, p.Y, row.ok), fill: "none", stroke: bandColour("", c), "stroke-width": 1.4 })));
  readout(p.svg, (x) => {
    const i = Math.round(((x - p.box.left) / p.box.width) * (n - 1));
    if (!(i >= 0 && i < n)) return "";
    const more = overlay ? ` · ${saying(overlay, i)}` : "";
    return `${one.axis_name} ${number(one.axis[i], 4)}: ${rows.map((row) => `${row.name} ${row.ok(i) ? number(row.values[i], 4) : "masked"}`).join(", ")}${more}`;
  }, out, crosshair(p));
  return p.svg;
}

/** @param {any} one @param {any} context */
export function seriesBody(one, { ui, overlay, body, tools, life, name }) {
  const holder = h("div", { class: "af-holder" });
  const out = h("p", { class: "af-caption" });
  if (one.channels.length > 1) tools.append(...one.channels.map((name, c) => h("span", { class: "af-check" }, h("i", { class: "af-dot", style: { background: bandColour("", c) } }), name)));
  const told = seriesTwin(one, { name, overlay });
  body.append(holder, out, twin(told, ui.open));
  life.push(sized(holder, (width) => width && put(holder, draw(one, { overlay, width, out, told }))));
}
