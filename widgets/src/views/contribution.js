// Contributions: what each kind of data is worth, for one sample and for many, and what the model would say of other data.
import { readColumns } from "../shared/columns.js";
import { button, choice, h, once, put } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { NOT_CAUSES, changeTable, editForm } from "../shared/changes.js";
import { PREDICTED, asker, classChoice, classNumber, press, runChoice, scoreName, searchBox, working } from "../shared/explain.js";
import looks from "../shared/explain.css";
import { KEYS } from "../shared/keys.js";
import { act, forget, positions, readSelection, tell, want, writeSelection } from "../shared/link.js";
import { pager } from "../shared/paging.js";
import { predictionCard } from "../shared/prediction.js";
import { responsePanel } from "../shared/response.js";
import { samplePanel } from "../shared/sample.js";
import { slot } from "../shared/slot.js";
import { subsetTable, totals } from "../shared/subsets.js";
import { label } from "../shared/colours.js";
import { pairMatrix, worthBars } from "../shared/worth.js";

const TABS = [["sample", "This sample"], ["whole", "All samples"], ["response", "Response"], ["change", "Swap and edit"]];
const MOST_CURVES = 6;

class ContributionView {
  constructor(model, el) {
    this.model = model;
    const page = (by) => () => this.paging.page(by);
    const tab = (name) => () => tell(model, { tab: name });
    this.frame = frame(model, el, { title: "Contributions", keys: KEYS.contribution, looks, on: {
      ArrowRight: page(1), ArrowLeft: page(-1), Escape: () => writeSelection(model, new Uint8Array(0)), "/": () => this.search?.focus(), 1: tab("sample"), 2: tab("whole"), 3: tab("response"), 4: tab("change"),
    } });
    this.frame.note.textContent = model.get("title");
    this.columns = readColumns(model.get("columns"));
    this.n = model.get("coverage")?.[0]?.present?.shape?.[0] || 0;
    this.ui = { order: "value", at: -1, score: false, inputs: new Set([0]), edit: 0, fields: {}, other: -1, swapped: "" };
    this.history = new Map(); // by position: what was asked of this sample
    this.curves = new Map();
    this.paging = pager(model, this.n);
    this.worth = asker(model, { key: () => (this.n && model.get("focus") >= 0 ? `worth/${this.place()}` : ""), paint: () => this.panel.redraw() });
    this.panel = samplePanel(model, { page: (by) => this.paging.page(by), place: () => this.paging.place(), head: () => this.body(), only: () => false });
    this.tools = h("div", { class: "af-row" });
    this.tabs = h("div", { class: "af-tabs-row", role: "tablist", "aria-label": "Contributions" });
    this.global = h("div", { class: "af-stack-cards" });
    this.ends = [];
    const { life } = this.frame;
    life.push(this.panel.end, this.worth.end, () => this.clean());
    put(this.frame.main, this.n ? [this.tools, this.tabs, this.panel.node, this.global] : blank("No samples", "Give samples to the widget: af.ContributionWidget(run, samples)."));
    life.on("change:focus", once(() => this.turn()));
    life.on("change:explained change:model", once(() => { this.curves.clear(); this.turn(); }));
    life.on("change:tab change:whole change:scaled change:edits change:busy", once(() => this.draw()));
    life.on("change:selected", once(() => this.draw()));
    life.on("change:columns", once(() => (this.columns = readColumns(model.get("columns")))));
    if (this.n) this.turn();
  }

  clean() {
    this.ends.splice(0).forEach((end) => end());
  }

  run() {
    return this.model.get("runs_shown")[this.model.get("model")];
  }

  /** Position, run and class, as the wire has them. */
  place() {
    return `${this.model.get("focus")}/${this.model.get("model")}/${classNumber(this.run(), this.model.get("explained"))}`;
  }

  turn() {
    this.ui.other = -1;
    this.worth.turn();
    this.drawTools();
    this.panel.show();
    this.drawWhole();
  }

  draw() {
    this.drawTools();
    this.panel.redraw();
    this.drawWhole();
  }

  drawTools() {
    const { model } = this;
    const tab = model.get("tab");
    const live = model.get("live");
    this.search = searchBox(model, () => this.columns, this.n);
    put(this.tools, live ? runChoice(model.get("runs_shown"), model.get("model"), (v) => tell(model, { model: v })) : null, live ? classChoice(this.run(), model.get("explained"), (v) => tell(model, { explained: v })) : null, h("span", { class: "af-space" }), this.search);
    const move = (e) => {
      const by = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
      if (!by) return;
      e.preventDefault();
      e.stopPropagation();
      const next = (TABS.findIndex(([name]) => name === model.get("tab")) + by + TABS.length) % TABS.length;
      tell(model, { tab: TABS[next][0] });
      this.draw();
      this.tabs.children[next].focus();
    };
    put(this.tabs, TABS.map(([name, title]) => h("button", { type: "button", role: "tab", class: "af-tab", "aria-selected": String(name === tab), tabindex: name === tab ? "0" : "-1", onclick: () => tell(model, { tab: name }), onkeydown: move }, title)));
    this.panel.node.hidden = tab === "whole";
    this.global.hidden = tab !== "whole";
  }

  /** What stands below the sample's name. */
  body() {
    this.clean();
    const tab = this.model.get("tab");
    return tab === "response" ? this.response() : tab === "change" ? this.changes() : tab === "sample" ? this.one() : null;
  }

  // ---- this sample ---------------------------------------------------------------------------------------------------

  one() {
    const { now, problem } = this.worth.state;
    if (problem) return blank("What this sample's data are worth could not be worked out", problem, button("Try again", () => { forget(this.model, "worth/"); this.worth.turn(0); }));
    if (!now) return working("Trying every subset of modalities");
    const explained = this.model.get("explained") === PREDICTED ? now.explained : this.model.get("explained");
    const pick = this.model.get("live") && now.prediction.task === "classification" ? (name) => tell(this.model, { explained: name === this.model.get("explained") ? PREDICTED : name }) : undefined;
    return h("div", { class: "af-why" }, predictionCard(now.prediction, explained, pick), worthBars(now, false),
      h("div", { class: "af-card" }, pairMatrix({ modalities: now.modalities, values: now.interactions, spread: now.interaction_error, present: now.present, title: `Pairs, of the ${scoreName(now.score_name)} of ${now.explained}`, note: "above zero: the two complete each other; below: they say the same" }),
        now.notes.length ? h("p", { class: "af-caption" }, now.notes.join("; ")) : null));
  }

  // ---- all samples ---------------------------------------------------------------------------------------------------

  drawWhole() {
    const { model } = this;
    if (model.get("tab") !== "whole") return;
    const whole = model.get("whole");
    const count = positions(readSelection(model, this.n)).length;
    const busy = model.get("busy");
    const verbs = model.get("live") ? h("div", { class: "af-row" }, button(`Measure all ${this.n}`, () => act(model, "measure", { scope: "all" }), { disabled: busy, class: "af-button primary" }), count ? button(`Measure the ${count} selected`, () => act(model, "measure", { scope: "selected" }), { disabled: busy }) : null) : null;
    if (!whole.n) return void put(this.global, verbs, blank("Nothing measured yet", model.get("live") ? "Every subset of the modalities is given to the model: what is each worth, and which does it need? Press Measure." : "These were not measured before the page was saved."));
    const seen = whole.seen ? h("p", { class: "af-warned" }, `${whole.seen} of these ${whole.n} samples were used in training, so the metric flatters the model on them. Select held-out samples to measure those alone.`) : null;
    put(this.global, verbs, h("h3", { class: "af-offscreen" }, "All samples"), h("p", { class: "af-caption" }, `${whole.n} samples${whole.which === "selected" ? ", those selected" : ""}; ${whole.notes.join("; ")}`), seen, totals(whole), h("div", { class: "af-two" }, subsetTable(whole, this.ui),
      pairMatrix({ modalities: whole.modalities, values: whole.pairs, title: "Pairs, mean over samples that have both", note: "above zero: the two complete each other; below: they say the same" })));
  }

  // ---- response ------------------------------------------------------------------------------------------------------

  response() {
    const scaled = this.model.get("scaled");
    if (!scaled.length) return blank("Nothing to scale", "This run is given no fluxes and no columns; words have no scale. See Swap and edit.");
    const { inputs } = this.ui;
    const chosen = [...inputs].filter((i) => i < scaled.length);
    const flip = (i) => {
      if (!inputs.delete(i)) inputs.add(i);
      if (inputs.size > MOST_CURVES) inputs.delete([...inputs][0]);
      this.panel.redraw();
    };
    const chips = h("div", { class: "af-chips", role: "group", "aria-label": "Inputs to multiply" }, scaled.map((one, i) => press(inputs.has(i), one.label, `Multiply ${one.label} by a quarter to four`, () => flip(i))));
    const parts = [chips];
    const ready = chosen.map((i) => ({ i, got: this.curve(i) }));
    const failed = ready.find(({ got }) => got.problem);
    const done = ready.filter(({ got }) => got.one).map(({ i, got }) => ({ label: scaled[i].label, one: got.one, place: i }));
    if (failed) parts.push(blank("The model could not be asked", failed.got.problem, button("Try again", () => { this.curves.clear(); forget(this.model, "response/"); this.panel.redraw(); })));
    if (ready.some(({ got }) => !got.one && !got.problem)) parts.push(working("Asking the model about brighter and fainter data"));
    if (done.length) parts.push(responsePanel(done, this.ui, this.ends));
    else if (!chosen.length) parts.push(h("p", { class: "af-caption" }, "Press an input to see how the prediction answers to it."));
    return h("div", { class: "af-card" }, h("p", { class: "af-warned" }, NOT_CAUSES), parts);
  }

  /** One curve, asked for when first shown. */
  curve(i) {
    const key = `response/${this.place()}/${i}`;
    if (!this.curves.has(key)) {
      const got = { one: null, problem: "" };
      this.curves.set(key, got);
      want(this.model, key).then((one) => (got.one = one), (error) => {
        if (error.message.startsWith("dropped:")) this.curves.delete(key);
        else got.problem = error.message;
      }).then(() => this.model.get("tab") === "response" && this.panel.redraw());
    }
    return this.curves.get(key);
  }

  // ---- swap and edit -------------------------------------------------------------------------------------------------

  asked() {
    const key = this.place();
    if (!this.history.has(key)) this.history.set(key, []);
    return this.history.get(key);
  }

  changes() {
    if (!this.model.get("live")) return blank("Changes need a kernel", "A saved page cannot ask the model. Open it in a notebook: af.explain.swap and af.explain.edit.");
    const list = this.asked();
    const ask = (name, key) => {
      const row = { name, one: null, problem: "" };
      list.unshift(row);
      want(this.model, key).then((one) => (row.one = one), (error) => (row.problem = error.message)).then(() => this.panel.redraw());
      this.panel.redraw();
    };
    const edit = editForm(this.model.get("edits"), this.ui, (name, parts) => ask(name, `edit/${this.place()}/${JSON.stringify(parts)}`), () => this.panel.redraw());
    return h("div", { class: "af-card" }, h("p", { class: "af-warned" }, NOT_CAUSES), this.swapForm(ask), edit, changeTable(list, (i) => { list.splice(i, 1); this.panel.redraw(); }), this.beside());
  }

  /** The other sample: typed, else the next of those paged through. */
  other() {
    if (this.ui.other >= 0) return this.ui.other;
    const chosen = positions(readSelection(this.model, this.n));
    const all = chosen.length > 1 ? chosen : [...Array(this.n).keys()];
    const at = all.indexOf(this.model.get("focus"));
    return all[(at + 1) % all.length];
  }

  swapForm(ask) {
    if (this.n < 2) return h("p", { class: "af-caption" }, "A swap needs a second sample.");
    const names = this.panel.payload()?.modalities.map((m) => m.name) || [];
    const could = names.filter((name) => this.model.get("edits").find((e) => e.name === "drop_modality")?.fields[0].options.includes(name));
    if (!could.includes(this.ui.swapped)) this.ui.swapped = could[0] || "";
    const other = this.other();
    const id = this.columns[0].text(other);
    const find = (word) => {
      const low = word.trim().toLowerCase();
      for (let i = 0; low && i < this.n; i++) if (this.columns[0].text(i).toLowerCase().includes(low)) return i;
      return -1;
    };
    return h("div", { class: "af-row", role: "group", "aria-label": "Swap a modality" }, h("label", { class: "af-check" }, "give it the", choice("Modality to swap", could.map((m) => [m, label(m)]), this.ui.swapped, (v) => { this.ui.swapped = v; this.panel.redraw(); })),
      h("label", { class: "af-check" }, "of", h("input", { type: "search", class: "af-center", value: id, "aria-label": "Id of the other sample", onchange: (e) => { this.ui.other = find(e.target.value); this.panel.redraw(); } })),
      button("Ask the model", () => ask(`${label(this.ui.swapped)} of ${id}`, `swap/${this.place()}/${other}/${this.ui.swapped}`), { "aria-label": "Ask the model about the swap" }));
  }

  /** What would be swapped: this sample's, and the other's. */
  beside() {
    if (this.n < 2 || !this.ui.swapped) return null;
    const other = this.other();
    const holder = h("div", { class: "af-two" });
    const own = this.panel.payload();
    want(this.model, `sample/${other}`).then((payload) => {
      const pair = [own, payload].map((one) => ({ one, m: one?.modalities.find((m) => m.name === this.ui.swapped) }));
      if (pair.every(({ m }) => m)) put(holder, pair.map(({ one, m }) => h("div", { class: "af-card" }, h("h4", {}, one.object_id), slot(m, { ui: this.panel.ui, columns: one.columns, life: this.ends, id: one.object_id }))));
    }, (error) => put(holder, h("p", { class: "af-caption" }, error.message)));
    return holder;
  }
}

const render = ({ model, el }) => new ContributionView(model, el).frame.end;

export default { render };
