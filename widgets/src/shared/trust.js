// How far a map may be believed: does it add up, what is its baseline, has it passed its checks; and how certain the prediction is.
import { label } from "./colours.js";
import { number } from "./columns.js";
import { button, h } from "./dom.js";

const shown = (v) => (v === null ? "" : typeof v === "boolean" ? (v ? "yes" : "no") : typeof v === "number" ? number(v, 3) : String(v));

/** The verdict of a map's checks, or how to get one. @param {any} check what the trait `checks` has for this map @param {(() => void) | null} ask null where there is no kernel */
export function checkBadge(check, ask) {
  if (!check) return ask ? h("span", { class: "af-check-badge" }, button("Check this map", ask, { title: "Randomised weights, deletion and insertion against random, on a few samples; runs in the background" }), h("span", { class: "af-caption" }, "not checked yet")) : h("span", { class: "af-caption" }, "not checked before the page was saved");
  if (check.running) return h("span", { class: "af-refining", role: "status" }, "checking this method on a few samples");
  if (check.problem) return h("p", { class: "af-caption af-poor" }, `The check could not be made: ${check.problem} `, ask ? button("Try again", ask, { class: "af-link" }) : null);
  const wordy = (name) => name === "says" || name === "check";
  const head = h("tr", {}, check.columns.map((name) => h("th", { scope: "col", class: wordy(name) ? "" : "af-num" }, label(name))));
  const rows = check.rows.map((row) => h("tr", {}, row.map((v, i) => h("td", { class: wordy(check.columns[i]) ? "" : "af-num" }, shown(v)))));
  return h("details", { class: `af-check-badge ${check.passed ? "passed" : "failed"}` }, h("summary", {}, h("span", { class: `af-tag ${check.passed ? "right" : "wrong"}` }, check.passed ? "passes its checks" : "fails its checks"), ` ${check.verdict}`),
    h("div", { class: "af-across-scroll" }, h("table", { class: "af-values" }, h("thead", {}, head), h("tbody", {}, rows))), h("p", { class: "af-caption" }, `on ${check.n} samples`));
}

const WORDS = {
  total_uncertainty: "uncertainty", data_uncertainty: "of it from the data", model_uncertainty: "of it from the model", data: "uncertainty from the data", model: "from the model", total: "uncertainty in all",
  prediction_set: "set that holds the truth", conformal_set: "set that holds the truth", set_size: "classes in that set", ood_score: "unlike the training data", low: "interval from", high: "to",
};

/** Uncertainty beside a prediction: from the data and from the model, a set with a guarantee, how unlike the training data it is. */
export function doubtList(doubt) {
  if (!doubt) return null;
  const { values, units, meta } = doubt;
  const skip = (name) => name === "prediction" || name === "target" || name.startsWith("p_") || values[name] === null;
  const rows = Object.keys(values).filter((name) => !skip(name)).flatMap((name) => [h("dt", {}, WORDS[name] || label(name)), h("dd", { class: "af-num" }, `${shown(values[name])}${units[name] ? ` ${units[name]}` : ""}`)]);
  const about = Object.entries(meta).filter(([name]) => name !== "simulated").map(([name, v]) => `${label(name)} ${shown(v)}`).join("; ");
  return rows.length ? h("div", { class: "af-card" }, h("h4", {}, "How certain"), h("dl", { class: "af-doubt" }, rows), about ? h("p", { class: "af-caption" }, about) : null) : null;
}
