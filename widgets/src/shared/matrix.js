// Attention between modalities: a matrix with its numbers.
import { css, icon, ink, label, viridis } from "./colours.js";
import { h } from "./dom.js";

const CELL = 56;
const figures = (v) => (v >= 0.995 ? "1" : v.toFixed(2).replace(/^0/, ""));

/** @param {{rows: string[], columns: string[], values: Float32Array, present: boolean[]}} m rows sum to one; NaN rows are missing */
export function matrix({ rows, columns, values, present }) {
  const head = h("tr", {}, h("th", { scope: "col", class: "af-caption" }, "from ↓  to →"), columns.map((c) => h("th", { scope: "col" }, icon(c, 16), h("span", {}, label(c)))));
  const body = rows.map((name, r) => {
    const cells = columns.map((to, c) => {
      const v = values[r * columns.length + c];
      if (!Number.isFinite(v) || !present[c]) return h("td", { class: "af-none", title: "missing" }, "–");
      const colour = viridis(v);
      return h("td", { style: { background: css(colour), color: ink(colour) }, title: `${label(name)} to ${label(to)}: ${v.toFixed(3)}` }, figures(v));
    });
    return h("tr", {}, h("th", { scope: "row" }, columns.includes(name) ? icon(name, 16) : null, label(name)), cells);
  });
  return h("table", { class: "af-matrix", style: { "--cell": `${CELL}px` } }, h("thead", {}, head), h("tbody", {}, body));
}
