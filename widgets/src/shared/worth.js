// What each modality is worth for one prediction: signed bars that add up from the base to the score, and which pairs go together.
import { css, diverging, icon, ink, label, modalityColour } from "./colours.js";
import { number } from "./columns.js";
import { h } from "./dom.js";

export const signed = (v, figures = 2) => (v === null ? "" : `${v > 0 ? "+" : ""}${number(v, figures)}`);
const scoreName = (name) => name.replaceAll("_", " ");

/** Half the width of a value's interval, whichever there is: between members of an ensemble, or of a sampled value. */
const halfOf = (worth, i) => worth.spread?.[i] ?? worth.error?.[i] ?? null;

/** @param {any} worth @param {boolean} [pairLine] */
export function worthBars(worth, pairLine = true) {
  const top = Math.max(...worth.shapley.map((v, i) => Math.abs(v) + (halfOf(worth, i) || 0)), 1e-9);
  const at = (v) => `${50 + (50 * v) / top}%`;
  const rows = worth.modalities.map((name, i) => {
    const v = worth.shapley[i];
    const size = (50 * Math.abs(v)) / top;
    const half = halfOf(worth, i);
    const whisker = half === null ? null : h("em", { class: "af-whisker", style: { left: at(v - half), width: `calc(${at(v + half)} - ${at(v - half)})` } });
    const bar = worth.present[i] ? h("span", { class: "af-bar signed" }, h("i", { style: { left: `${v < 0 ? 50 - size : 50}%`, width: `${size}%`, background: modalityColour(name) } }), whisker) : h("span", { class: "af-none" }, "missing");
    const more = half === null ? "" : ` ± ${number(half, 1)}`;
    return h("div", { class: `af-worth${worth.spread || worth.error ? " af-with-spread" : ""}`, title: `Shapley value of ${label(name)}: ${signed(v)}${more} of the ${scoreName(worth.score_name)}` }, h("span", {}, icon(name, 14), ` ${label(name)}`), bar, h("span", { class: "af-num" }, worth.present[i] ? `${signed(v)}${more}` : ""));
  });
  const sum = `${number(worth.base, 2)} without data ${signed(worth.score - worth.base)} from the modalities = ${number(worth.score, 2)}`;
  const kind = worth.error ? "sampled" : "exact";
  const how = worth.spread ? `; ± between the members of the ensemble` : worth.error ? "; ± standard error" : "";
  return h("div", { class: "af-card" }, h("h4", {}, "Worth of each modality"), rows, pairLine ? pairs(worth) : null, h("p", { class: "af-caption" }, `${kind} Shapley values of the ${scoreName(worth.score_name)}: ${sum}${how}`));
}

/** The strongest pair: do two modalities complete each other, or say the same? */
function pairs(worth) {
  /** @type {any} */
  let best = null;
  worth.modalities.forEach((a, i) => worth.modalities.forEach((b, j) => {
    const v = worth.interactions[i][j];
    if (j > i && worth.present[i] && worth.present[j] && Math.abs(v) > Math.abs(best?.v || 0)) best = { a, b, v };
  }));
  if (!best) return null;
  return h("p", { class: "af-caption" }, h("i", { class: "af-dot", style: { background: css(diverging(Math.sign(best.v))) } }), `strongest pair: ${label(best.a)} and ${label(best.b)} ${best.v > 0 ? "complete each other" : "say the same"} (${signed(best.v)})`);
}

/** Interactions of all pairs, as numbers on colours. @param {{modalities: string[], values: any[][], spread?: any[][] | null, present?: boolean[], title: string, note: string}} given */
export function pairMatrix({ modalities, values, spread = null, present, title, note }) {
  if (modalities.length < 2) return h("div", { class: "af-card" }, h("h4", {}, title), h("p", { class: "af-caption" }, "There is one modality, and so there are no pairs."));
  const there = (i) => !present || present[i];
  const top = Math.max(1e-9, ...values.flatMap((row, i) => row.map((v, j) => (i !== j && there(i) && there(j) ? Math.abs(v || 0) : 0))));
  const cell = (i, j) => {
    const v = values[i][j];
    if (j >= i) return h("td", { class: "af-none", "aria-hidden": "true" }, "");
    if (v === null || !there(i) || !there(j)) return h("td", { class: "af-none", title: "missing" }, "–");
    const colour = diverging(v / top);
    const more = spread ? ` ± ${number(spread[i][j], 1)}` : "";
    return h("td", { style: { background: css(colour), color: ink(colour) }, title: `${label(modalities[i])} and ${label(modalities[j])}: ${signed(v)}${more}, ${v > 0 ? "complete each other" : "say the same"}` }, signed(v), more ? h("span", { class: "af-more-num" }, more) : null);
  };
  const head = h("tr", {}, h("td", {}), modalities.slice(0, -1).map((c) => h("th", { scope: "col" }, icon(c, 16), h("span", {}, label(c)))));
  const body = modalities.slice(1).map((name, r) => h("tr", {}, h("th", { scope: "row" }, icon(name, 16), label(name)), modalities.slice(0, -1).map((_, c) => cell(r + 1, c))));
  return h("div", { class: "af-card" }, h("h4", {}, title), h("div", { class: "af-across-scroll" }, h("table", { class: "af-matrix", style: { "--cell": "64px" } }, h("thead", {}, head), h("tbody", {}, body))), h("p", { class: "af-caption" }, note));
}
