// How well every subset of modalities does: dots for what is in it, the metric with its interval, as a table that can be sorted.
import { icon, label } from "./colours.js";
import { number } from "./columns.js";
import { h, put } from "./dom.js";

const MOST = 64;
const ORDERS = [["value", "the best first"], ["count", "the smallest first"]];

/** Share of the axis, in percent. */
const axisOf = (rows) => {
  const all = rows.flatMap((r) => [r.value, r.low, r.high]).filter((v) => v !== null);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const pad = (high - low) * 0.04 || 0.1;
  return { low: low - pad, high: high + pad, at: (v) => `${(100 * (v - low + pad)) / (high - low + 2 * pad)}%` };
};

/** An interval with its value, drawn along an axis. */
export function interval(row, axis, chance = null) {
  if (row.value === null) return h("span", { class: "af-none" }, "unknown");
  const [low, high] = [row.low ?? row.value, row.high ?? row.value];
  return h("span", { class: "af-interval", "aria-hidden": "true" }, h("i", { style: { left: axis.at(low), width: `calc(${axis.at(high)} - ${axis.at(low)})` } }), h("b", { style: { left: axis.at(row.value) } }), chance === null ? null : h("em", { style: { left: axis.at(chance) } }));
}

const words = (row) => `${number(row.value, 3)}${row.low === null ? "" : ` [${number(row.low, 3)}, ${number(row.high, 3)}]`}`;

/** @param {any} whole @param {{order: string}} ui */
export function subsetTable(whole, ui) {
  if (!whole.subsets.length) return h("p", { class: "af-caption" }, "These samples have no known value of the target, so no subset can be measured; Shapley values need none.");
  const node = h("div", { class: "af-card" });
  const better = whole.lower_is_better ? (a, b) => a.value - b.value : (a, b) => b.value - a.value;
  const count = (row) => row.has.filter(Boolean).length;
  const axis = axisOf(whole.subsets);
  const chance = whole.subsets.find((row) => !count(row))?.value ?? null;
  const draw = () => {
    const rows = [...whole.subsets].sort(ui.order === "count" ? (a, b) => count(a) - count(b) || better(a, b) : better);
    const head = h("tr", {}, whole.modalities.map((m) => h("th", { scope: "col", class: "af-dot-head", title: label(m) }, icon(m, 16), h("span", { class: "af-offscreen" }, label(m)))), h("th", { scope: "col" }, `${whole.metric.replaceAll("_", " ")}${whole.lower_is_better ? " (lower is better)" : ""}`), h("th", { scope: "col", class: "af-num" }, "with 95 % interval"));
    const body = rows.slice(0, MOST).map((row) => h("tr", { class: count(row) === whole.modalities.length ? "is-all" : "" },
      whole.modalities.map((m, k) => h("td", { class: "af-dot-cell" }, h("span", { class: `af-set${row.has[k] ? " on" : ""}`, title: `${row.has[k] ? "with" : "without"} ${label(m)}` }, row.has[k] ? "●" : "○"))),
      h("td", { class: "af-wide" }, interval(row, axis, chance)), h("td", { class: "af-num" }, words(row))));
    const pick = h("span", { class: "af-chips", role: "group", "aria-label": "Order of the subsets" }, ORDERS.map(([name, text]) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(ui.order === name), onclick: () => { ui.order = name; draw(); } }, text)));
    put(node, h("h4", {}, "Every subset of modalities"), pick, h("div", { class: "af-scroll af-subsets", tabindex: "0", role: "region", "aria-label": "Every subset of modalities, scrolls" }, h("table", { class: "af-values" }, h("thead", {}, head), h("tbody", {}, body))),
      h("p", { class: "af-caption" }, `${rows.length > MOST ? `the first ${MOST} of ${rows.length}; ` : ""}● given to the model, ○ left out; dashed: without any data; intervals over groups of ${whole.subsets[0].n} samples with a known target`));
  };
  draw();
  return node;
}

/** Worth of each modality over many samples: strength of its Shapley values, and its share of the metric. */
export function totals(whole) {
  const axis = axisOf(whole.totals.filter((r) => r.value !== null).concat({ value: 0, low: 0, high: 0 }));
  const top = Math.max(1e-9, ...whole.totals.map((r) => r.strength || 0));
  const measured = whole.totals.some((r) => r.value !== null);
  const rows = whole.totals.map((r) => h("tr", {}, h("th", { scope: "row" }, icon(r.modality, 14), ` ${label(r.modality)}`), h("td", { class: "af-num" }, `${r.present}`),
    h("td", { class: "af-wide" }, h("span", { class: "af-bar" }, h("i", { style: { left: "0", width: `${(100 * r.strength) / top}%`, background: "var(--af-muted)" } })), h("span", { class: "af-num" }, number(r.strength, 2))),
    measured ? h("td", { class: "af-wide" }, interval(r, axis, 0)) : null, measured ? h("td", { class: "af-num" }, words(r)) : null));
  const heads = ["modality", "samples", `mean |Shapley value| of the ${whole.score_name.replaceAll("_", " ")}`, ...(measured ? [`share of ${whole.metric.replaceAll("_", " ")}`, "with 95 % interval"] : [])];
  const lower = whole.lower_is_better ? "; a gain is negative, for lower is better" : "";
  return h("div", { class: "af-card" }, h("h4", {}, "Worth of each modality"), h("table", { class: "af-values af-totals" }, h("thead", {}, h("tr", {}, heads.map((name, i) => h("th", { scope: "col", class: i === 1 || i === 4 ? "af-num" : "" }, name)))), h("tbody", {}, rows)),
    measured ? h("p", { class: "af-caption" }, `the shares sum to what all modalities together gain over no data${lower}`) : null);
}
