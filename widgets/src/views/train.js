// Train: settings left, curves that draw themselves right, results with their intervals below.
import { icon, label } from "../shared/colours.js";
import { number } from "../shared/columns.js";
import { button, choice, field, h, once, put, s, sized } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { act, tell } from "../shared/link.js";
import { modelGraph } from "../shared/model_graph.js";
import { partPicker } from "../shared/part_picker.js";
import { linePath, plot, roomy } from "../shared/plot.js";
import { gauges, runTable } from "../shared/run_table.js";
import { said, twin } from "../shared/twin.js";

const HEIGHT = 232;
const NAMES = { balanced_accuracy: "balanced accuracy", macro_f1: "macro F1", roc_auc: "ROC AUC", pr_auc: "PR AUC", tss: "true skill statistic", hss: "Heidke skill score", brier: "Brier score", log_loss: "log loss", calibration_error: "calibration error", rmse: "RMSE", mae: "mean absolute error", r2: "R²", nmad: "NMAD" };
const LOWER = ["log_loss", "calibration_error", "brier", "rmse", "mae", "nmad"]; // better when lower: a bar would mislead
const words = (metric) => NAMES[metric] || metric.replaceAll("_", " ");

function settings(model, life) {
  const form = h("form", { class: "af-form", onsubmit: (e) => e.preventDefault() });
  const about = h("p", { class: "af-caption" });
  const whole = (name, low) => (e) => tell(model, { [name]: Math.max(low, Math.floor(Number(e.target.value) || 0)) });
  const tick = (one) => (e) => {
    const now = new Set(model.get("modalities"));
    if (e.target.checked) now.add(one.name);
    else now.delete(one.name);
    tell(model, { modalities: model.get("available").map((a) => a.name).filter((n) => now.has(n)) });
  };
  const draw = () => {
    const off = model.get("state") === "running" || !model.get("live");
    const pairs = (model.get("recipes") || []).map((r) => [r.name, label(r.name)]);
    const chosen = new Set(model.get("modalities"));
    const boxes = (model.get("available") || []).map((one) =>
      h("label", { class: "af-check" }, h("input", { type: "checkbox", "data-name": one.name, checked: chosen.has(one.name), disabled: off || !one.count, onchange: tick(one) }), icon(one.kind, 14), label(one.name), h("span", { class: "af-num af-unit" }, one.count)));
    const recipe = (model.get("recipes") || []).find((r) => r.name === model.get("recipe"));
    about.textContent = recipe ? `${recipe.title}${recipe.source ? `; ${recipe.fidelity} ${recipe.source}` : ""}` : "";
    put(form, field("Recipe", choice("Recipe", pairs, model.get("recipe"), (v) => tell(model, { recipe: v }))), about,
      field("Predict", choice("Column to predict", (model.get("targets") || []).map((n) => [n, n]), model.get("target"), (v) => tell(model, { target: v }))),
      h("fieldset", { class: "af-set" }, h("legend", { class: "af-label" }, "From"), boxes),
      h("div", { class: "af-row" }, field("Epochs at most", h("input", { type: "number", min: 0, step: 1, class: "af-small", placeholder: "recipe's", "data-name": "epochs", value: model.get("epochs") || "", disabled: off, onchange: whole("epochs", 0) })),
        field("Seed", h("input", { type: "number", min: 0, step: 1, class: "af-small", "data-name": "seed", value: model.get("seed"), disabled: off, onchange: whole("seed", 0) }))));
    for (const select of form.querySelectorAll("select")) select.disabled = off;
  };
  life.on("change:recipe change:recipes change:target change:targets change:modalities change:available change:epochs change:seed change:state change:live", once(draw));
  draw();
  return form;
}

function buttons(model, life) {
  const row = h("div", { class: "af-row" });
  const draw = () => {
    const state = model.get("state");
    const ready = model.get("live") && !model.get("busy") && model.get("modalities").length > 0 && model.get("target");
    const train = button("Train", () => act(model, "train"), { class: `af-button${state === "stopped" ? "" : " primary"}`, disabled: !ready });
    const resume = state === "stopped" ? button("Resume", () => act(model, "resume"), { class: "af-button primary", disabled: !ready }) : null;
    put(row, resume, train, model.get("modalities").length ? null : h("span", { class: "af-caption" }, "Tick at least one modality."));
  };
  life.on("change:state change:busy change:live change:modalities change:target", once(draw));
  draw();
  return row;
}

function legendOf(series) {
  return h("div", { class: "af-row af-caption" }, series.map((one) => h("span", { class: "af-check" }, s("svg", { width: 20, height: 8, "aria-hidden": "true" }, s("path", { d: "M0 4H20", class: `curve ${one.kind}` })), one.name)));
}

/** A chart in words and as a table. @returns {import("../shared/twin.js").Twin} */
function chartTwin(history, series, title) {
  const best = history.filter((r) => r.best === true || r.best === 1).at(-1);
  const told = series.map((one) => {
    const known = history.filter((r) => Number.isFinite(r[one.key]));
    return known.length ? `${one.name} from ${number(known[0][one.key], 4)} in epoch ${known[0].epoch} to ${number(known.at(-1)[one.key], 4)} in epoch ${known.at(-1).epoch}` : `${one.name} not measured`;
  });
  return {
    name: `${title} by epoch`, says: `${title} by epoch: ${told.join("; ")}.${best ? ` The best so far, whose weights are kept, is epoch ${best.epoch}.` : ""}`,
    heads: ["epoch", ...series.map((one) => `${title}, ${one.name}`), "best"], rows: () => history.map((r) => [r.epoch, ...series.map((one) => number(r[one.key], 4)), r === best ? "best" : ""]),
  };
}

/** One chart of the history: lines by epoch, the best epoch marked. */
function chart(history, series, title, width, told) {
  const epochs = history.map((r) => r.epoch);
  const values = history.flatMap((r) => series.map((one) => r[one.key])).filter((v) => v !== null && v !== undefined);
  const last = Math.max(history.at(-1).epochs || 0, ...epochs, 2);
  const p = plot({ width, height: HEIGHT, label: said(told), x: { domain: [Math.min(1, ...epochs), last], label: "epoch" }, y: { domain: roomy([Math.min(...values), Math.max(...values)], 0.08), label: title } });
  for (const one of series) {
    const ys = history.map((r) => (r[one.key] === null ? NaN : r[one.key]));
    p.layer.append(s("path", { d: linePath(epochs, ys, p.X, p.Y), class: `curve ${one.kind}` }));
    if (history.length < 60) ys.forEach((y, i) => Number.isFinite(y) && p.layer.append(s("circle", { cx: p.X(epochs[i]), cy: p.Y(y), r: 2, class: `knot ${one.kind}` }, s("title", {}, `epoch ${epochs[i]}: ${one.name} ${number(y, 4)}`))));
  }
  const best = history.filter((r) => r.best === true || r.best === 1).at(-1);
  const key = series.at(-1).key;
  if (best && Number.isFinite(best[key])) p.layer.append(s("circle", { cx: p.X(best.epoch), cy: p.Y(best[key]), r: 5, class: "best" }, s("title", {}, `best: epoch ${best.epoch}`)));
  return p.svg;
}

function curves(model, life) {
  const loss = [{ key: "train_loss", name: "training", kind: "soft" }, { key: "validation_loss", name: "validation", kind: "main" }];
  const metric = [{ key: "metric", name: "validation", kind: "main" }];
  const holders = [h("div", { class: "af-holder" }), h("div", { class: "af-holder" })];
  const box = h("div", { class: "af-curves" });
  const open = new Set();
  let width = 0;
  const draw = () => {
    const history = model.get("history") || [];
    box.hidden = !history.length;
    if (!history.length || !width) return;
    const half = width > 640 ? Math.floor((width - 16) / 2) : width;
    for (const one of holders) one.style.width = `${half}px`;
    const name = model.get("metric") ? words(model.get("metric")) : "validation metric";
    const twins = [chartTwin(history, loss, "loss"), chartTwin(history, metric, name)];
    put(holders[0], chart(history, loss, "loss", half, twins[0]), legendOf(loss), twin(twins[0], open));
    put(holders[1], chart(history, metric, name, half, twins[1]), h("div", { class: "af-row af-caption" }, "validation; ring: best so far, whose weights are kept"), twin(twins[1], open));
  };
  put(box, holders);
  life.on("change:history change:metric", once(draw));
  const outer = h("div", {}, box);
  life.push(sized(outer, (w) => { width = w; draw(); }));
  return outer;
}

function start(model, life) {
  const node = h("div", {});
  const draw = () => {
    const state = model.get("state");
    const show = !(model.get("history") || []).length;
    if (!show) return put(node);
    if (state === "running") return put(node, h("div", { class: "af-wait" }, h("span", {}, "The first epoch is under way; curves begin when it ends.")));
    if (state === "failed") return put(node, blank("Training did not start", "The message above says why. Change a setting and press Train."));
    return put(node, blank("Nothing trained yet", "Press Train. Loss and metric draw themselves after each epoch; Stop ends after the batch at hand, and Resume goes on from there."));
  };
  life.on("change:state change:history", once(draw));
  draw();
  return node;
}

const figure = (v) => (v === null ? "" : Math.abs(v) < 10 ? v.toFixed(3).replace("-", "−") : number(v, 4));

/** A value and its interval as a bar on 0 to 1, with chance marked. */
function intervalBar(row) {
  if (!(row.value >= 0 && row.high <= 1 && row.low >= 0) || LOWER.includes(row.metric)) return null;
  const at = (v) => `${100 * v}%`;
  return h("span", { class: "af-interval", "aria-hidden": "true" }, h("i", { style: { left: at(row.low), width: at(row.high - row.low) } }), h("b", { style: { left: at(row.value) } }), row.chance === null ? null : h("em", { style: { left: at(row.chance) }, title: "chance" }));
}

function results(model, life) {
  const node = h("div", {});
  const draw = () => {
    const rows = model.get("metrics") || [];
    if (!rows.length) return put(node);
    const body = rows.map((r) => h("tr", {}, h("th", { scope: "row" }, r.part), h("td", {}, words(r.metric)), h("td", { class: "af-num" }, h("strong", {}, figure(r.value))), h("td", { class: "af-num af-unit" }, r.low === null ? "" : `[${figure(r.low)}, ${figure(r.high)}]`), h("td", { class: "af-num" }, r.n), h("td", { class: "af-wide" }, intervalBar(r)), h("td", { class: "af-num af-unit" }, r.chance === null ? "" : `chance ${number(r.chance, 2)}`)));
    const heads = [["part"], ["metric"], ["value", 1], ["95 % interval", 1], ["samples", 1], ["", 0], ["", 1]].map(([t, right]) => h("th", { class: right ? "af-num" : "" }, t));
    return put(node, h("div", { class: "af-row" }, h("h3", {}, "Result"), h("span", { class: "af-caption" }, model.get("summary"))), h("table", { class: "af-values" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, body)));
  };
  life.on("change:metrics change:summary", once(draw));
  draw();
  return node;
}

function render({ model, el }) {
  const view = frame(model, el, { title: "Train", keys: KEYS.train, on: {
    t: () => model.get("live") && !model.get("busy") && act(model, model.get("state") === "stopped" ? "resume" : "train"),
    Escape: () => (model.get("busy") ? tell(model, { stop: true }) : false),
  } });
  const note = () => (view.note.textContent = model.get("title"));
  view.life.on("change:title", note);
  note();
  put(view.main, h("div", { class: "af-train" }, h("div", { class: "af-side" }, settings(model, view.life), partPicker(model, view.life, once), buttons(model, view.life), gauges(model, view.life, once)),
    h("div", { class: "af-work" }, modelGraph(model, view.life, once), start(model, view.life), curves(model, view.life), results(model, view.life), runTable(model, view.life, once))));
  return view.end;
}

export default { render };
