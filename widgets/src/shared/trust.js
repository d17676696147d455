// How far a map may be believed: does it add up, what is its baseline, has it passed its checks; and how certain the prediction is.
import { label } from "./colours.js";
import { number } from "./columns.js";
import { button, h } from "./dom.js";

const shown = (v) => (v === null ? "" : typeof v === "boolean" ? (v ? "yes" : "no") : typeof v === "number" ? number(v, 3) : String(v));

/** The verdict of a map's checks, or how to get one. @param {any} check what the trait `checks` has for this map @param {(() => void) | null} ask null where there is no kernel */
export function checkBadge(check, ask) {
  if (!check) return ask ? h("span", { class: "af-check-badge" }, button("Check this map", ask, { title: "Randomised weights, deletion and insertion against random, on a few samples; runs in the background" }), h("span", { class: "af-caption" }, "not checked yet")) : h("span", { class: "af-caption" }, "not checked before the page was saved");
  if (check.running) return h("span", { class: "af-refining", role: "status" }, "checking this method");
  if (check.problem) return h("p", { class: "af-caption af-poor" }, `The check could not be made: ${check.problem} `, ask ? button("Try again", ask, { class: "af-link" }) : null);
  const wordy = (name) => name === "says" || name === "check" || name === "passed";
  const head = h("tr", {}, check.columns.map((name) => h("th", { scope: "col", class: wordy(name) ? "" : "af-num" }, label(name))));
  const cell = (v, name) => (name === "passed" ? (v === null ? "not done" : v ? "passed" : "failed") : shown(v));
  const rows = check.rows.map((row) => h("tr", {}, row.map((v, i) => h("td", { class: wordy(check.columns[i]) ? "" : "af-num" }, cell(v, check.columns[i])))));
  return h("details", { class: `af-check-badge ${check.passed ? "passed" : "failed"}` }, h("summary", {}, h("span", { class: `af-tag ${check.passed ? "right" : "wrong"}` }, check.passed ? "passes its checks" : "fails its checks"), ` ${check.verdict}`),
    h("div", { class: "af-across-scroll" }, h("table", { class: "af-values" }, h("thead", {}, head), h("tbody", {}, rows))), h("p", { class: "af-caption" }, `maps of up to ${check.n} samples, held-out ones where there are such`));
}

const RANGES = [["low", "high"]];
const certainty = (name) => (name === "total" || name.startsWith("total_") ? name.slice(6) : null);

/** One measure of calibration in words. */
function calibrated(row) {
  const interval = row.low === null || row.low === undefined ? "" : ` [${shown(row.low)}, ${shown(row.high)}]`;
  const wanted = row.expected === null || row.expected === undefined ? "" : `, expected ${shown(row.expected)}`;
  return `${label(String(row.measure || ""))}${row.of ? ` of ${row.of}` : ""} ${shown(row.value ?? null)}${interval}${wanted}${row.n ? `, n = ${row.n}` : ""}`;
}

/** Uncertainty beside a prediction: from the data and from the model, a set with a guarantee, how unlike the training data it is. */
export function doubtList(doubt) {
  if (!doubt) return null;
  const { values, units } = doubt;
  const known = (name) => values[name] !== undefined && values[name] !== null;
  const rows = [];
  const say = (name, text, title = "") => rows.push(h("dt", {}, name), h("dd", { class: "af-num", title }, text));
  for (const name of Object.keys(values).filter((one) => certainty(one) !== null)) {
    const of = name === "total" ? "" : `_${certainty(name)}`;
    const parts = known(`data${of}`) && known(`model${of}`) ? ` = ${shown(values[`data${of}`])} from the data, ${shown(values[`model${of}`])} from the model` : "";
    if (known(name)) say(of ? `uncertainty of ${label(certainty(name))}` : "uncertainty", `${shown(values[name])}${units[name] ? ` ${units[name]}` : ""}${parts}`, "entropy, 0 certain to 1 undecided, or a standard deviation, whose squares add up");
  }
  const sure = doubt.coverage ? `, right in ${shown(100 * doubt.coverage)} %` : "";
  if (known("conformal_set")) say(`set${sure}`, values.conformal_set || "none", "conformal: it holds the truth that often, whatever the model is worth");
  for (const [low, high] of RANGES) if (known(low) && known(high)) say(`interval${sure}`, `${shown(values[low])} to ${shown(values[high])}${units[low] ? ` ${units[low]}` : ""}`, "conformal: it holds the truth that often, whatever the model is worth");
  if (known("ood_score")) {
    const far = values.ood_percentile > 95;
    rows.push(h("dt", {}, "unlike the training data"), h("dd", { class: far ? "af-poor" : "af-num", title: "distance to the training samples in the model's own space" }, `${shown(values.ood_score)}${known("ood_percentile") ? `, farther than ${shown(Math.round(values.ood_percentile))} % of the validation samples${far ? ": be careful" : ""}` : ""}`));
  }
  if (!rows.length) return null;
  const list = h("dl", { class: "af-doubt" }, rows);
  const more = doubt.calibration.length || doubt.notes.length ? h("details", { class: "af-more" }, h("summary", {}, "calibration"), doubt.calibration.map((row) => h("p", { class: "af-caption" }, calibrated(row))), doubt.notes.map((note) => h("p", { class: "af-caption" }, note))) : null;
  return h("div", { class: "af-card" }, h("h4", {}, "How certain"), list, more);
}
