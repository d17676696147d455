// Attention: which modality looked at which, and where on each input the class token looked.
import { peak } from "../shared/arrays.js";
import { label } from "../shared/colours.js";
import { number, readColumns } from "../shared/columns.js";
import { button, choice, h, once, put } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { forget, tell, want, writeSelection } from "../shared/link.js";
import { flow, matrix } from "../shared/matrix.js";
import { goTo, pager } from "../shared/paging.js";
import { predictionCard } from "../shared/prediction.js";
import { samplePanel } from "../shared/sample.js";
import { colourKey } from "../shared/slot.js";

const MEAN = "mean";
const PATIENCE = 140;

const layerName = (layer) => (layer === MEAN ? "mean of layers" : `layer ${Number(layer.split(".").at(-1)) + 1}`);
const headName = (head) => (head === MEAN ? "mean of heads" : `head ${Number(head) + 1}`);

class AttentionView {
  constructor(model, el) {
    this.model = model;
    this.shown = true;
    this.now = null;
    this.problem = "";
    const page = (by) => () => this.paging?.page(by);
    this.frame = frame(model, el, { title: "Attention", keys: KEYS.attention, on: {
      ArrowRight: page(1), ArrowLeft: page(-1), Escape: () => writeSelection(model, new Uint8Array(0)), o: () => { this.shown = !this.shown; this.drawTools(); this.panel?.redraw(); }, "/": () => this.search?.focus(),
    } });
    this.frame.note.textContent = model.get("title");
    this.columns = readColumns(model.get("columns"));
    this.n = model.get("coverage")?.[0]?.present?.shape?.[0] || 0;
    if (!model.get("available")) put(this.frame.main, blank("This recipe has no attention", model.get("reason")));
    else if (!this.n) put(this.frame.main, blank("No samples", "Give samples to the widget: af.AttentionWidget(run, samples)."));
    else this.build();
  }

  build() {
    const { model } = this;
    this.paging = pager(model, this.n);
    this.panel = samplePanel(model, { page: (by) => this.paging.page(by), place: () => this.paging.place(), overlays: (p) => this.overlays(p), head: () => this.head() });
    this.tools = h("div", { class: "af-row" });
    put(this.frame.main, this.tools, this.panel.node);
    const { life } = this.frame;
    life.push(this.panel.end, () => clearTimeout(this.timer));
    life.on("change:focus", once(() => this.turn()));
    life.on("change:layer change:head", once(() => { this.drawTools(); this.panel.redraw(); }));
    life.on("change:selected", once(() => this.panel.redraw()));
    life.on("change:columns", once(() => (this.columns = readColumns(model.get("columns")))));
    this.drawTools();
    this.turn();
  }

  turn() {
    this.now = null;
    this.problem = "";
    this.panel.show();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), PATIENCE);
  }

  ask() {
    const focus = this.model.get("focus");
    if (focus < 0) return;
    const settle = (answer, problem) => {
      if (focus !== this.model.get("focus")) return;
      this.now = answer;
      this.problem = problem;
      this.drawTools();
      this.panel.redraw();
    };
    want(this.model, `attention/${focus}`).then((answer) => settle(answer, ""), (error) => settle(null, error.message));
  }

  /** Which of the answer's layers and heads is shown. */
  choice() {
    const at = this.now.choices.findIndex(([layer, head]) => layer === this.model.get("layer") && head === this.model.get("head"));
    return Math.max(0, at);
  }

  drawTools() {
    const { model } = this;
    const pairs = this.now?.choices || [[MEAN, MEAN]];
    const layers = [...new Set(pairs.map(([layer]) => layer))];
    const heads = pairs.filter(([layer]) => layer === model.get("layer")).map(([, head]) => head);
    this.search = h("input", { type: "search", class: "af-center", placeholder: "go to id", "aria-label": "Go to an id", onchange: (e) => goTo(model, this.columns, this.n, e.target.value) });
    const toLayer = (layer) => tell(model, { layer, head: layer === MEAN ? MEAN : model.get("head") });
    put(this.tools, h("label", { class: "af-check" }, choice("Layer", layers.map((l) => [l, layerName(l)]), model.get("layer"), toLayer)), h("label", { class: "af-check" }, choice("Head", (heads.length ? heads : [MEAN]).map((x) => [x, headName(x)]), model.get("head"), (v) => tell(model, { head: v }))),
      h("button", { type: "button", class: "af-chip", "aria-pressed": String(this.shown), onclick: () => { this.shown = !this.shown; this.drawTools(); this.panel.redraw(); } }, "overlay"),
      h("span", { class: "af-caption" }, "Weights show where information could flow; attributions show whether it mattered."), h("span", { class: "af-space" }), this.search);
  }

  slice(array, at) {
    const size = array.length / array.shape[0];
    return array.subarray(at * size, (at + 1) * size);
  }

  overlays(payload) {
    if (!this.now || !this.shown) return {};
    const at = this.choice();
    const out = {};
    for (const m of payload.modalities) {
      const all = this.now.places[m.name];
      if (!all) continue;
      const values = this.slice(all, at);
      out[m.name] = { values, scale: peak(values) || 1, signed: false, unit: "attention received" };
    }
    return out;
  }

  head() {
    if (this.problem) return blank("No attention for this sample", this.problem, button("Try again", () => { forget(this.model, "attention/"); this.ask(); }));
    const { now } = this;
    if (!now) return h("div", { class: "af-wait af-thin", role: "status" }, "Reading the weights");
    const values = this.slice(now.between, this.choice());
    const columns = now.modalities;
    const shares = [...values.subarray(0, columns.length)].map((v) => (Number.isFinite(v) ? v : 0));
    const tops = Object.entries(now.places).filter((_, i) => now.present[i]).map(([name, all]) => `${label(name)} ${number(peak(this.slice(all, this.choice())), 2)}`);
    return h("div", { class: "af-why" },
      h("div", { class: "af-card" }, h("h4", {}, "Between modalities"), matrix({ rows: now.rows, columns, values, present: now.present }), h("p", { class: "af-caption" }, "each row: what its tokens look at, summing to one; the class token's own share is left out")),
      h("div", { class: "af-card" }, h("h4", {}, "What the class token reads"), flow({ columns, kinds: now.kinds, shares, present: now.present })),
      h("div", { class: "af-card" }, predictionCard(now.prediction), colourKey("maximum", false, { title: "attention received", low: "none", high: "maximum" }), h("p", { class: "af-caption" }, `each modality has its own scale; maximum ${tops.join(", ")}`)));
  }
}

const render = ({ model, el }) => new AttentionView(model, el).frame.end;

export default { render };
