// How a prediction answers while one input is made fainter or brighter: a curve each, with the band of an ensemble, and a slider that reads them.
import { CLASS_COLOURS } from "./colours.js";
import { number } from "./columns.js";
import { h, put, s, sized } from "./dom.js";
import { linePath, plot } from "./plot.js";
import { said, twin } from "./twin.js";

const HEIGHT = 300;
const DASHES = ["", "6 3", "2 3", "8 3 2 3", "1 2", "10 4"];
const isShare = (task) => task === "classification" || task === "multi_label";
const times = (f) => `× ${number(f, 3)}`;

/** What is drawn: the probability (or the number), or the score behind it. */
const shownOf = (one, ui) => (ui.score ? [one.score, one.score_spread] : [one.likely, one.likely_spread]);

function band(one, ui, p) {
  if (one.members < 2) return null;
  const [values, spread] = shownOf(one, ui);
  const edge = (sign) => one.factors.map((f, i) => `${p.X(Math.log2(f)).toFixed(1)} ${p.Y(values[i] + sign * spread[i]).toFixed(1)}`);
  const [up, down] = [edge(1), edge(-1).reverse()];
  return s("path", { d: `M${up.join("L")}L${down.join("L")}Z` });
}

/** What one curve says at a factor. */
function saying(one, at) {
  const spread = one.members > 1 ? ` ± ${number(one.likely_spread[at], 2)}` : "";
  const value = one.likely[at] === null ? "nothing to go by" : isShare(one.task) ? `p(${one.explained}) ${number(one.likely[at], 3)}${spread}` : `${number(one.likely[at], 4)}${spread} ${one.unit}`;
  return `${value}${one.flips[at] ? `, then predicted: ${one.predicted[at]}` : ""}`;
}

/** The curves in words and as a table. @returns {import("./twin.js").Twin} */
function responseTwin(curves, ui) {
  const { factors, explained, task } = curves[0].one;
  const what = ui.score ? "score" : isShare(task) ? `probability of ${explained}` : "prediction";
  const told = curves.map(({ label: name, one }) => {
    const values = shownOf(one, ui)[0];
    const turns = one.factors.filter((_, i) => one.flips[i]);
    return `${name}: ${number(values[0], 3) || "unknown"} at ${times(factors[0])}, ${number(values[factors.findIndex((f) => f === 1)], 3) || "unknown"} as observed, ${number(values.at(-1), 3) || "unknown"} at ${times(factors.at(-1))}${turns.length ? `; another class is predicted at ${turns.map(times).join(", ")}` : ""}`;
  });
  return {
    name: "the response", says: `The ${what} while the input is multiplied. ${told.join(". ")}.`, heads: ["input", "multiplied by", what, "±", "predicted"],
    rows: () => curves.flatMap(({ label: name, one }) => one.factors.map((f, i) => [name, number(f, 3), number(shownOf(one, ui)[0][i], 4), one.members > 1 ? number(shownOf(one, ui)[1][i], 2) : "", one.predicted[i] ?? ""])),
  };
}

/** @param {{label: string, one: any, place: number}[]} curves @param {{at: number, score: boolean}} ui @param {number} width */
function draw(curves, ui, width) {
  const { factors, task, unit, explained, score_name } = curves[0].one;
  const share = isShare(task) && !ui.score;
  const ends = curves.flatMap(({ one }) => {
    const [values, spread] = shownOf(one, ui);
    return values.flatMap((v, i) => (v === null ? [] : [v - (spread[i] || 0), v + (spread[i] || 0)]));
  });
  const [low, high] = share || !ends.length ? [0, 1] : [Math.min(...ends), Math.max(...ends)];
  const pad = share ? 0.02 : (high - low) * 0.08 || 1;
  const p = plot({
    width, height: HEIGHT, label: said(responseTwin(curves, ui)),
    x: { domain: [Math.log2(factors[0]), Math.log2(factors.at(-1))], ticks: [-2, -1, 0, 1, 2], format: (v) => times(2 ** v), label: "the input, multiplied" },
    y: { domain: [low - pad, high + pad], label: ui.score ? `${score_name.replaceAll("_", " ")} of ${explained}` : share ? `probability of ${explained}` : `prediction${unit ? ` (${unit})` : ""}` },
  });
  p.layer.append(s("path", { d: `M${p.X(0)} ${p.box.top}v${p.box.height}`, stroke: "var(--af-muted)", "stroke-dasharray": "4 3", fill: "none" }, s("title", {}, "as observed")));
  curves.forEach(({ label: name, one, place }) => {
    const stroke = CLASS_COLOURS[place % CLASS_COLOURS.length];
    const shade = band(one, ui, p);
    if (shade) p.layer.append(s("g", { fill: stroke, opacity: 0.2 }, shade));
    const xs = one.factors.map(Math.log2);
    const ys = shownOf(one, ui)[0].map((v) => v ?? NaN);
    p.layer.append(s("path", { d: linePath(xs, ys, p.X, p.Y), fill: "none", stroke, "stroke-width": 2, "stroke-dasharray": DASHES[place % DASHES.length] }, s("title", {}, name)));
    one.flips.forEach((flip, i) => flip && Number.isFinite(ys[i]) && p.layer.append(s("path", { d: `M${p.X(xs[i]) - 4} ${p.Y(ys[i])}l4 -4l4 4l-4 4Z`, fill: stroke }, s("title", {}, `${name} ${times(one.factors[i])}: ${one.predicted[i]}`))));
    const here = ys[ui.at];
    if (Number.isFinite(here)) p.layer.append(s("circle", { cx: p.X(xs[ui.at]), cy: p.Y(here), r: 4.5, fill: stroke, stroke: "var(--af-bg)", "stroke-width": 1.5 }));
  });
  p.layer.append(s("path", { d: `M${p.X(Math.log2(factors[ui.at]))} ${p.box.top}v${p.box.height}`, stroke: "var(--af-text)", opacity: 0.5, fill: "none" }));
  return p.svg;
}

/** @param {{label: string, one: any, place: number}[]} curves @param {{at: number, score: boolean, open?: Set<string>}} ui `at`: the slider's place among the factors; `score`: show the score and not the probability @param {any} life */
export function responsePanel(curves, ui, life) {
  const { factors } = curves[0].one;
  if (!(ui.at >= 0 && ui.at < factors.length)) ui.at = factors.findIndex((f) => f === 1);
  const holder = h("div", { class: "af-holder" });
  const list = h("ul", { class: "af-said-list", "aria-live": "polite" });
  let width = 0;
  const read = () => {
    put(list, curves.map(({ label: name, one, place }) => h("li", {}, s("svg", { width: 28, height: 10, "aria-hidden": "true" }, s("path", { d: "M0 5h28", stroke: CLASS_COLOURS[place % CLASS_COLOURS.length], "stroke-width": 2, "stroke-dasharray": DASHES[place % DASHES.length] })), h("strong", {}, name), ` ${one.changed ? saying(one, ui.at) : "this sample does not have it"}`)));
    slider.setAttribute("aria-valuetext", times(factors[ui.at]));
    at.textContent = `now ${times(factors[ui.at])}`;
    if (width) put(holder, draw(curves, ui, width), twin(responseTwin(curves, ui), (ui.open ||= new Set())));
  };
  const at = h("output", { class: "af-num af-now" });
  const slider = h("input", { type: "range", class: "af-long", min: 0, max: factors.length - 1, step: 1, value: ui.at, "aria-label": "How much the input is multiplied by", oninput: (e) => { ui.at = Number(e.target.value); read(); } });
  life.push(sized(holder, (w) => { width = w; read(); }));
  read();
  const kinds = isShare(curves[0].one.task) ? [[false, "probability"], [true, curves[0].one.score_name.replaceAll("_", " ")]] : [];
  const chips = kinds.map(([score, text]) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(!!ui.score === score), onclick: (e) => {
    ui.score = score;
    for (const chip of e.currentTarget.parentNode.children) chip.setAttribute("aria-pressed", String(chip === e.currentTarget));
    read();
  } }, text));
  return h("div", { class: "af-card" }, chips.length ? h("div", { class: "af-chips", role: "group", "aria-label": "What the curve shows" }, chips) : null, holder, h("label", { class: "af-slide" }, at, times(factors[0]), slider, times(factors.at(-1))), list,
    h("p", { class: "af-caption" }, `dashed: as observed; ◆ another class is predicted${curves[0].one.members > 1 ? `; band: one standard deviation between ${curves[0].one.members} members` : "; one model has no band: give an ensemble to see how far retrained models agree"}`));
}
