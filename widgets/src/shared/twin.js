// The twin of a plot: the same in one sentence and as a table, for those who do not see it, and for those who want the numbers.
import { button, copy, h } from "./dom.js";

const SHOWN = 200; // rows in the page; more are thinned evenly, ends included

/** @typedef {{name: string, says: string | (() => string), heads: string[], rows: () => any[][]}} Twin
 *   `name`: what the plot is; `says`: one or two sentences; `heads` and `rows`: the table, rows made when it is opened */

/** Which of n rows are shown. */
export function thinned(n, most = SHOWN) {
  if (n <= most) return Array.from({ length: n }, (_, i) => i);
  return Array.from({ length: most }, (_, k) => Math.round((k * (n - 1)) / (most - 1)));
}

const quoted = (v) => (/[",\n]/.test(String(v)) ? `"${String(v).replaceAll('"', '""')}"` : String(v));

/** The table as comma-separated values; a cell that a spreadsheet would take for a formula is led by an apostrophe. */
export const csv = (heads, rows) => [heads, ...rows].map((row) => row.map((v) => quoted(/^[=+@\t]|^-\D/.test(String(v)) ? `'${v}` : v)).join(",")).join("\n");

const isNumber = (v) => typeof v === "number" || (typeof v === "string" && /^([-−+]?[\d.,]+(e[-−]?\d+)?( %)?|masked|–)$/.test(v));

function tableOf({ name, heads, rows }) {
  const all = rows();
  const some = thinned(all.length).map((i) => all[i]);
  const right = heads.map((_, c) => some.length > 0 && some.every((row) => row[c] === "" || isNumber(row[c])));
  const cell = (v, c) => h(c ? "td" : "th", { scope: c ? null : "row", class: right[c] ? "af-num" : "" }, v);
  const table = h("table", { class: "af-values" }, h("thead", {}, h("tr", {}, heads.map((text, c) => h("th", { scope: "col", class: right[c] ? "af-num" : "" }, text)))), h("tbody", {}, some.map((row) => h("tr", {}, row.map(cell)))));
  const take = button("Copy all rows", async (e) => {
    await copy(csv(heads, all));
    e.target.textContent = "Copied";
  }, { class: "af-link", "aria-label": `Copy all rows: ${name}, as CSV`, "aria-live": "polite" });
  return [h("div", { class: "af-scroll", tabindex: "0", role: "region", "aria-label": `Table of ${name}, scrolls` }, table),
    h("div", { class: "af-row" }, h("span", { class: "af-caption" }, some.length < all.length ? `${some.length} of ${all.length} rows, evenly spaced` : `${all.length} ${all.length === 1 ? "row" : "rows"}`), all.length ? take : null)];
}

/** A line that opens into sentence and table; `kept` remembers, by name, which are open when views draw themselves anew.
 * @param {Twin} given @param {Set<string>} [kept] */
export function twin(given, kept = new Set()) {
  const inside = h("div", { class: "af-twin-body" });
  // at once: the event of opening comes later, and the view may have drawn itself anew by then
  const node = h("details", { class: "af-more af-twin" }, h("summary", { "data-name": `twin ${given.name}`, onclick: () => (node.open ? kept.delete(given.name) : kept.add(given.name)) }, "in words and as a table", h("span", { class: "af-offscreen" }, `: ${given.name}`)), inside);
  const fill = () => inside.childElementCount || inside.append(h("p", {}, said(given)), ...tableOf(given));
  if (kept.has(given.name)) {
    node.open = true;
    fill();
  }
  node.addEventListener("toggle", () => {
    if (node.open) {
      kept.add(given.name);
      fill();
    } else kept.delete(given.name);
  });
  return node;
}

/** The sentence of a twin. @param {Twin} given */
export const said = (given) => (typeof given.says === "function" ? given.says() : given.says);

/** Words joined as a list is read. */
export const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);
