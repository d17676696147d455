// A catalogue row and a text, plain or with an overlay: bars beside values, colour behind words.
import { css, diverging, viridis } from "./colours.js";
import { number } from "./columns.js";
import { h } from "./dom.js";
import { certain, doubtful, saying } from "./overlay.js";
import { twin } from "./twin.js";
import { textTwin } from "./twins.js";

const shown = (value) => (value === null ? "missing" : typeof value === "number" ? number(value, 6) : typeof value === "boolean" ? (value ? "yes" : "no") : String(value));

function bar(overlay, i) {
  const v = overlay.values[i] / (overlay.scale || 1);
  const size = Math.sqrt(Math.min(1, Math.abs(v) || 0)) * (overlay.signed ? 50 : 100);
  const left = overlay.signed ? (v < 0 ? 50 - size : 50) : 0;
  const colour = css(overlay.signed ? diverging(v < 0 ? -1 : 1) : viridis(v));
  return h("td", { class: "af-bar-cell", title: saying(overlay, i) },
    h("span", { class: `af-bar${overlay.signed ? " signed" : ""}`, style: overlay.spread ? { width: "max(48px, calc(100% - 104px))" } : null }, h("i", { style: { left: `${left}%`, width: `${size}%`, background: colour, opacity: Math.max(0.25, certain(overlay, i)) } })), h("span", { class: "af-num" }, number(overlay.values[i], 2), overlay.spread ? h("span", { class: "af-unit" }, ` ± ${number(overlay.spread[i], 1)}`) : null));
}

/** @param {any} one @param {any} context */
export function tableBody(one, { overlay, body }) {
  const rows = one.rows.map(([name, value, unit], i) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: `af-num${value === null ? " af-none" : ""}` }, shown(value)), h("td", { class: "af-unit" }, unit), overlay ? bar(overlay, i) : null));
  body.append(h("div", { class: "af-scroll" }, h("table", { class: "af-values" }, h("tbody", {}, rows))));
}

function word(text, i, overlay) {
  const v = overlay.values[i] / (overlay.scale || 1);
  const strength = Math.min(1, Math.sqrt(Math.abs(v))) * certain(overlay, i) || 0;
  return h("mark", { style: { background: overlay.signed ? css(diverging(v < 0 ? -1 : 1), 0.7 * strength) : `color-mix(in srgb, var(--af-accent) ${Math.round(50 * strength)}%, transparent)`, "text-decoration": doubtful(overlay, i) ? "underline wavy 1px" : "none" }, "data-says": `${text}: ${saying(overlay, i)}`, title: saying(overlay, i) }, text);
}

/** @param {any} one @param {any} context */
export function textBody(one, { ui, overlay, body, name }) {
  if (!overlay) return body.append(h("p", { class: "af-prose" }, one.text));
  const parts = [];
  let at = 0;
  one.words.slice(0, overlay.values.length).forEach(([begin, end], i) => {
    parts.push(one.text.slice(at, begin), word(one.text.slice(begin, end), i, overlay));
    at = end;
  });
  const unread = one.text.slice(at);
  const out = h("p", { class: "af-caption af-out" });
  return body.append(h("p", { class: "af-prose", onpointerover: (e) => (out.textContent = e.target.dataset?.says || ""), onpointerleave: () => (out.textContent = "") }, parts, one.words.length > overlay.values.length ? h("span", { class: "af-none", title: "not read by the model" }, unread) : unread), out, twin(textTwin(one, { name, overlay }), ui.open));
}

/** Columns that are no input, such as the class: what is known of the object. */
export function facts(columns) {
  const known = columns.filter(([, value, , role]) => value !== null && role !== "input");
  return h("dl", { class: "af-facts" }, known.map(([name, value, unit, role]) => h("div", { class: role === "target" ? "is-target" : "" }, h("dt", {}, name), h("dd", {}, shown(value), unit && h("span", { class: "af-unit" }, unit)))));
}
