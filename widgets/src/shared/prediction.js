// What a run says of one sample: probabilities by class beside the truth, or a number with its width.
import { classColour } from "./colours.js";
import { number } from "./columns.js";
import { h } from "./dom.js";

const percent = (p) => `${(100 * p).toFixed(p > 0.0995 || p === 0 ? 0 : 1)} %`;

function row(card, name, index, explained, pick) {
  const p = card.p[index];
  const marks = [name === card.prediction ? "predicted" : "", name === card.truth ? "true" : ""].filter(Boolean).join(", ");
  const text = [
    h("span", { class: "af-class-name" }, h("i", { class: "af-dot", style: { background: classColour(index) } }), name),
    h("span", { class: "af-bar" }, h("i", { style: { left: "0", width: `${100 * p}%`, background: classColour(index) } })),
    h("span", { class: "af-num" }, percent(p)), h("span", { class: "af-unit" }, marks),
  ];
  if (!pick) return h("div", { class: "af-class" }, text);
  return h("button", { type: "button", class: "af-class", "aria-pressed": String(name === explained), title: `Explain ${name}`, onclick: () => pick(name) }, text);
}

function verdict(card) {
  if (card.prediction === null) return h("p", { class: "af-none" }, "no prediction: the sample has none of the run's modalities");
  const right = card.truth === null ? "" : card.task !== "classification" ? "" : card.truth === card.prediction ? "right" : "wrong";
  const value = typeof card.prediction === "number" ? `${number(card.prediction, 4)} ± ${number(card.uncertainty, 2)} ${card.unit}` : card.prediction;
  const truth = card.truth === null ? "truth unknown" : `true ${typeof card.truth === "number" ? number(card.truth, 4) : card.truth}`;
  return h("p", { class: "af-verdict" }, h("span", { class: "af-label" }, `${card.target} `), h("strong", {}, value), h("span", { class: "af-caption" }, `  ${truth}`), right && h("span", { class: `af-tag ${right}` }, right),
    card.task === "classification" ? h("span", { class: "af-caption", title: "entropy of the probabilities, 0 certain to 1 undecided" }, `uncertainty ${number(card.uncertainty, 2)}`) : null);
}

/** @param {any} card @param {string} [explained] @param {(name: string) => void} [pick] */
export function predictionCard(card, explained, pick) {
  const order = card.p ? [...card.p.keys()].sort((a, b) => card.p[b] - card.p[a]) : [];
  return h("div", { class: "af-card" }, verdict(card), h("div", { class: "af-classes", role: pick ? "group" : null, "aria-label": pick ? "Class to explain" : null }, order.map((i) => row(card, card.classes[i], i, explained, pick))));
}
