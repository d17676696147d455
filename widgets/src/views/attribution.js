// Attribution: why this class? What each pixel, wavelength, epoch, column and word did to the score, and each modality's worth.
import { peak } from "../shared/arrays.js";
import { label } from "../shared/colours.js";
import { number, readColumns } from "../shared/columns.js";
import { button, choice, h, once, put } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { forget, tell, want, writeSelection } from "../shared/link.js";
import { goTo, pager } from "../shared/paging.js";
import { predictionCard } from "../shared/prediction.js";
import { samplePanel } from "../shared/sample.js";
import { colourKey } from "../shared/slot.js";
import { worthBars } from "../shared/worth.js";

const PREDICTED = "-";
const PATIENCE = 140; // ms of rest before a sample is explained, so that paging does not queue work

class AttributionView {
  constructor(model, el) {
    this.model = model;
    this.shared = false;
    this.shown = true;
    this.now = null;
    this.problem = "";
    const page = (by) => () => this.paging.page(by);
    this.frame = frame(model, el, { title: "Attribution", keys: KEYS.attribution, on: {
      ArrowRight: page(1), ArrowLeft: page(-1), Escape: () => writeSelection(model, new Uint8Array(0)), o: () => this.flip("shown"), s: () => this.flip("shared"), "/": () => this.search?.focus(),
    } });
    this.columns = readColumns(model.get("columns"));
    this.n = model.get("coverage")?.[0]?.present?.shape?.[0] || 0;
    this.paging = pager(model, this.n);
    this.panel = samplePanel(model, { page: (by) => this.paging.page(by), place: () => this.paging.place(), overlays: (p) => this.overlays(p), head: () => this.head() });
    this.frame.life.push(this.panel.end, () => clearTimeout(this.timer));
    this.tools = h("div", { class: "af-row" });
    this.frame.note.textContent = model.get("title");
    put(this.frame.main, this.n ? [this.tools, this.panel.node] : blank("No samples", "Give samples to the widget: af.AttributionWidget(run, samples)."));
    const { on } = this.frame.life;
    on("change:focus", once(() => this.turn()));
    on("change:explained change:method", once(() => this.ask()));
    on("change:selected", once(() => this.panel.redraw()));
    on("change:columns", once(() => (this.columns = readColumns(model.get("columns")))));
    this.drawTools();
    if (this.n) this.turn();
  }

  flip(name) {
    this[name] = !this[name];
    this.drawTools();
    this.panel.redraw();
  }

  drawTools() {
    const { model } = this;
    // a page without a kernel has the explanations that were stored with it, and offers no others
    const live = model.get("live");
    const classes = live ? model.get("classes") || [] : [];
    const methods = (live ? model.get("methods") || [] : [model.get("method")]).map((m) => [m, label(m)]);
    this.search = h("input", { type: "search", class: "af-center", placeholder: "go to id", "aria-label": "Go to an id", onchange: (e) => goTo(model, this.columns, this.n, e.target.value) });
    const press = (name, text, title) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(this[name]), title, onclick: () => this.flip(name) }, text);
    put(this.tools, classes.length ? h("label", { class: "af-check" }, "explain", choice("Class to explain", [[PREDICTED, "the predicted class"], ...classes.map((c) => [c, c])], model.get("explained"), (v) => tell(model, { explained: v }))) : null,
      methods.length < 2 ? h("span", { class: "af-caption" }, `by ${methods[0]?.[1] || ""}`) : h("label", { class: "af-check" }, "by", choice("Method", methods, model.get("method"), (v) => tell(model, { method: v }))),
      press("shown", "overlay", "Show what the prediction rests on"), press("shared", "one scale for all", "One colour scale for all modalities, or one for each"), h("span", { class: "af-space" }), this.search);
  }

  turn() {
    this.now = null;
    this.problem = "";
    this.panel.show();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), PATIENCE);
  }

  key() {
    return `attribution/${this.model.get("focus")}/${this.model.get("method")}/${this.model.get("explained")}`;
  }

  ask() {
    if (this.model.get("focus") < 0) return;
    this.drawTools();
    const key = this.key();
    const settle = (answer, problem) => {
      if (key !== this.key()) return;
      this.now = answer;
      this.problem = problem;
      this.panel.redraw();
    };
    want(this.model, key).then((answer) => settle(answer, ""), (error) => settle(null, error.message));
  }

  overlays(payload) {
    if (!this.now || !this.shown) return {};
    const tops = Object.fromEntries(payload.modalities.filter((m) => this.now.values[m.name]).map((m) => [m.name, peak(this.now.values[m.name])]));
    const all = Math.max(...Object.values(tops), 1e-12);
    const unit = `attribution to ${this.now.explained}`;
    return Object.fromEntries(Object.entries(tops).map(([name, top]) => [name, { values: this.now.values[name], scale: this.shared ? all : top || 1, signed: this.model.get("method") !== "saliency", unit }]));
  }

  /** Above the slots: the prediction, the worth of each modality, how far to trust the numbers. */
  head() {
    const { now } = this;
    if (this.problem) return blank("This sample could not be explained", this.problem, button("Try again", () => { forget(this.model, "attribution/"); this.ask(); }));
    if (!now) return h("div", { class: "af-wait af-thin", role: "status" }, "Explaining this sample");
    const explained = this.model.get("explained") === PREDICTED ? now.explained : this.model.get("explained");
    const pick = this.model.get("live") && now.prediction.task === "classification" ? (name) => tell(this.model, { explained: name === this.model.get("explained") ? PREDICTED : name }) : undefined;
    return h("div", { class: "af-why" }, predictionCard(now.prediction, explained, pick), worthBars(now.worth), this.trust(now));
  }

  trust(now) {
    const values = Object.values(now.values);
    const top = Math.max(...values.map(peak), 0);
    const signed = this.model.get("method") !== "saliency";
    const score = now.score_name.replaceAll("_", " ");
    const poor = now.relative !== null && now.relative > now.limit;
    const lines = [now.delta === null ? `${label(this.model.get("method"))} does not promise to add up to the score` : `sums to ${number(now.difference, 3)} of the ${score}, delta ${number(now.delta, 2)} (${number(100 * now.relative, 2)} %)`,
      `baseline: ${Object.entries(now.baselines).map(([m, b]) => `${label(m)} ${label(b)}`).join(", ")}`];
    return h("div", { class: "af-card" }, h("h4", {}, `Attribution to ${now.explained}`), colourKey(this.shared ? number(top, 2) : "max", signed, { title: score, low: "", high: "" }),
      h("p", { class: `af-caption${poor ? " af-poor" : ""}` }, poor ? `Not converged: ${lines[0]}. Read it with care.` : lines[0]), h("p", { class: "af-caption" }, lines[1]));
  }
}

const render = ({ model, el }) => new AttributionView(model, el).frame.end;

export default { render };
