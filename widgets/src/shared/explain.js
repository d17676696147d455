// What the views that explain share: asking with patience, a coarse answer before the fine one, choices of run and class, going to an id.
import { choice, h } from "./dom.js";
import { want } from "./link.js";
import { goTo } from "./paging.js";

const PATIENCE = 140; // ms of rest before a sample is explained, so that paging does not queue work
const DROPPED = "dropped:";
export const PREDICTED = "-";

/** Asks for one answer after another; only the latest is shown.
 * @param {any} model @param {{key: () => string, paint: () => void}} how `key`: what is wanted now, "" for nothing */
export function asker(model, { key, paint }) {
  let timer = 0;
  const state = { now: /** @type {any} */ (null), problem: "", coarse: false, key: "" };
  const show = (wanted, change) => {
    if (wanted !== key()) return;
    Object.assign(state, { key: wanted, problem: "", coarse: false }, change);
    paint();
  };
  const ask = () => {
    const wanted = key();
    if (!wanted) return;
    want(model, wanted, (now) => show(wanted, { now, coarse: true })).then((now) => show(wanted, { now }), (error) => {
      // dropped while another sample was looked at; whoever has come back asks again
      if (error.message.startsWith(DROPPED)) return wanted === key() ? ask() : undefined;
      return show(wanted, { now: null, problem: error.message });
    });
  };
  const turn = (wait = PATIENCE) => {
    Object.assign(state, { now: null, problem: "", coarse: false, key: "" });
    clearTimeout(timer);
    timer = window.setTimeout(ask, wait);
  };
  return { state, ask, turn, end: () => clearTimeout(timer) };
}

/** Number of a class on the wire: "-" for the predicted one. */
export const classNumber = (run, name) => (name === PREDICTED || !run.classes.includes(name) ? PREDICTED : String(run.classes.indexOf(name)));

/** Which class is explained. @param {any} run @param {string} value @param {(v: string) => void} pick @param {string} [title] */
export function classChoice(run, value, pick, title = "Class to explain") {
  if (!run.classes.length) return null;
  return h("label", { class: "af-check" }, "explain", choice(title, [[PREDICTED, "the predicted class"], ...run.classes.map((c) => [c, c])], value, pick));
}

/** Which run is asked, where there are several. @param {any[]} runs @param {number} value @param {(v: number) => void} pick */
export function runChoice(runs, value, pick, title = "Model") {
  if (runs.length < 2) return null;
  return h("label", { class: "af-check" }, "model", choice(title, runs.map((r, i) => [String(i), r.name]), String(value), (v) => pick(Number(v))));
}

/** @param {any} model @param {() => any[]} columns @param {number} n */
export function searchBox(model, columns, n) {
  return h("input", { type: "search", class: "af-center", placeholder: "go to id", "aria-label": "Go to an id", onchange: (e) => goTo(model, columns(), n, e.target.value) });
}

/** A chip that is on or off. */
export const press = (on, text, title, onclick) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(on), title, onclick }, text);

/** An entry that is worked out: thin, so that what stands around it stays. */
export const working = (text) => h("div", { class: "af-wait af-thin", role: "status" }, text);

export const scoreName = (name) => name.replaceAll("_", " ");
