// Attention between modalities: a matrix with its numbers, and how much of each reaches the class token.
import { css, icon, ink, label, modalityColour, viridis } from "./colours.js";
import { h, s } from "./dom.js";

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

/** Ribbons from each modality to the class token, as wide as what it gets. */
export function flow({ columns, kinds, shares, present }, width = 300) {
  const there = columns.map((name, i) => ({ name, kind: kinds[i], share: shares[i] })).filter((_, i) => present[i]);
  const [height, pad] = [Math.max(150, there.length * 36 + 8), 4];
  const full = height - 2 * pad;
  const gap = there.length > 1 ? Math.min(14, full * 0.08) : 0;
  const sum = there.reduce((t, one) => t + one.share, 0) || 1;
  const thick = full - gap * (there.length - 1);
  let [left, right] = [pad, pad + (full - thick) / 2];
  const [x0, x1] = [116, width - 92];
  const parts = there.flatMap(({ name, kind, share }) => {
    const size = (share / sum) * thick;
    const mid = (x0 + x1) / 2;
    const d = `M${x0} ${left}C${mid} ${left} ${mid} ${right} ${x1} ${right}v${size}C${mid} ${right + size} ${mid} ${left + size} ${x0} ${left + size}Z`;
    const text = s("text", { x: x0 - 8, y: left + size / 2 + 4, "text-anchor": "end" }, `${label(name)} ${figures(share)}`);
    left += size + gap;
    right += size;
    return [s("path", { d, fill: modalityColour(kind), opacity: 0.75 }, s("title", {}, `${label(name)} to the class token: ${share.toFixed(3)}`)), text];
  });
  const words = there.map((one) => `${label(one.name)} ${figures(one.share)}`).join(", ");
  return s("svg", { class: "af-plot", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `What the class token reads: ${words}` }, parts, s("text", { x: x1 + 8, y: height / 2 + 4 }, "class token"));
}
