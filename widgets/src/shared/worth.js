// What each modality is worth for one prediction: signed bars that add up from the base to the score.
import { css, diverging, icon, label, modalityColour } from "./colours.js";
import { number } from "./columns.js";
import { h } from "./dom.js";

const signed = (v) => `${v > 0 ? "+" : ""}${number(v, 2)}`;

/** @param {any} worth */
export function worthBars(worth) {
  const top = Math.max(...worth.shapley.map(Math.abs), 1e-9);
  const rows = worth.modalities.map((name, i) => {
    const v = worth.shapley[i];
    const size = (50 * Math.abs(v)) / top;
    const bar = worth.present[i] ? h("span", { class: "af-bar signed" }, h("i", { style: { left: `${v < 0 ? 50 - size : 50}%`, width: `${size}%`, background: modalityColour(name) } })) : h("span", { class: "af-none" }, "missing");
    return h("div", { class: "af-worth", title: `Shapley value of ${label(name)}: ${signed(v)} of the ${worth.score_name.replaceAll("_", " ")}` }, h("span", {}, icon(name, 14), ` ${label(name)}`), bar, h("span", { class: "af-num" }, worth.present[i] ? signed(v) : ""));
  });
  const sum = `${number(worth.base, 2)} without data ${signed(worth.score - worth.base)} from the modalities = ${number(worth.score, 2)}`;
  return h("div", { class: "af-card" }, h("h4", {}, "Worth of each modality"), rows, pairs(worth), h("p", { class: "af-caption" }, `exact Shapley values of the ${worth.score_name.replaceAll("_", " ")}: ${sum}`));
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
