// Attention: which modality looked at which, layer by layer, and where on each input the class token looked.
import { peak } from "../shared/arrays.js";
import { label } from "../shared/colours.js";
import { number, readColumns } from "../shared/columns.js";
import { button, choice, h, once, put } from "../shared/dom.js";
import looks from "../shared/explain.css";
import { asker, classChoice, classNumber, press, runChoice, searchBox, working } from "../shared/explain.js";
import { flowDrawing } from "../shared/flow.js";
import { blank, frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { forget, tell, writeSelection } from "../shared/link.js";
import { matrix } from "../shared/matrix.js";
import { pager } from "../shared/paging.js";
import { predictionCard } from "../shared/prediction.js";
import { samplePanel } from "../shared/sample.js";
import { colourKey } from "../shared/slot.js";

const MEAN = "mean";
const COMBINE = [["mean", "mean of layers"], ["rollout", "rollout through layers"], ["gradient", "weighted by gradients"]];
const SAYS = {
  mean: "Weights show where information could flow; attributions show whether it mattered.",
  rollout: "Rollout multiplies the layers, each token keeping half of itself: where the class token's content came from.",
  gradient: "Only attention that moved this score upwards counts: nearer to what mattered than the weights alone.",
};

const layerName = (layer) => {
  if (layer === MEAN) return "all layers";
  const [owner, place] = [layer.slice(0, layer.lastIndexOf(".")), Number(layer.split(".").at(-1)) + 1];
  return owner === "fusion" ? `layer ${place}` : `${label(owner)} encoder, layer ${place}`;
};
const headName = (head) => (head === MEAN ? "mean of heads" : `head ${Number(head) + 1}`);

class AttentionView {
  constructor(model, el) {
    this.model = model;
    this.shown = true;
    this.ends = [];
    const page = (by) => () => this.paging?.page(by);
    const combine = (name) => () => this.combine(name);
    this.frame = frame(model, el, { title: "Attention", keys: KEYS.attention, looks, on: {
      ArrowRight: page(1), ArrowLeft: page(-1), Escape: () => writeSelection(model, new Uint8Array(0)), o: () => this.flip(), m: combine("mean"), r: combine("rollout"), g: combine("gradient"), "/": () => this.search?.focus(),
    } });
    this.frame.note.textContent = model.get("title");
    this.columns = readColumns(model.get("columns"));
    this.n = model.get("coverage")?.[0]?.present?.shape?.[0] || 0;
    this.paging = pager(model, this.n);
    this.asks = asker(model, { key: () => this.key(), paint: () => { this.drawTools(); this.panel.redraw(); } });
    this.panel = samplePanel(model, { page: (by) => this.paging.page(by), place: () => this.paging.place(), overlays: (p) => this.overlays(p), head: () => this.head() });
    this.tools = h("div", { class: "af-row" });
    this.holder = h("div", {});
    put(this.frame.main, this.tools, this.holder);
    const { life } = this.frame;
    life.push(this.panel.end, this.asks.end, () => this.clean());
    life.on("change:focus", once(() => this.turn()));
    life.on("change:model change:available change:reason", once(() => this.build()));
    life.on("change:combine change:explained", once(() => this.changed()));
    life.on("change:layer change:head", once(() => { this.drawTools(); this.panel.redraw(); }));
    life.on("change:selected", once(() => this.panel.redraw()));
    life.on("change:columns", once(() => (this.columns = readColumns(model.get("columns")))));
    this.build();
  }

  build() {
    const { model } = this;
    this.drawTools();
    if (!model.get("available")) put(this.holder, blank("This recipe has no attention", model.get("reason")));
    else if (!this.n) put(this.holder, blank("No samples", "Give samples to the widget: af.AttentionWidget(run, samples)."));
    else {
      put(this.holder, this.panel.node);
      this.turn();
    }
  }

  clean() {
    this.ends.splice(0).forEach((end) => end());
  }

  run() {
    return this.model.get("runs_shown")[this.model.get("model")];
  }

  key() {
    const { model } = this;
    if (model.get("focus") < 0 || !model.get("available")) return "";
    const goal = model.get("combine") === "gradient" ? classNumber(this.run(), model.get("explained")) : "-";
    return `attention/${model.get("focus")}/${model.get("model")}/${goal}/${model.get("combine")}`;
  }

  turn() {
    this.asks.turn();
    this.panel.show();
  }

  changed() {
    if (this.asks.state.key !== this.key()) this.asks.turn(0);
    this.drawTools();
    this.panel.redraw();
  }

  flip() {
    this.shown = !this.shown;
    this.drawTools();
    this.panel.redraw();
  }

  combine(name) {
    if (this.model.get("live")) tell(this.model, { combine: name });
  }

  /** Which of the answer's layers and heads is shown. */
  choice() {
    const at = this.now().choices.findIndex(([layer, head]) => layer === this.model.get("layer") && head === this.model.get("head"));
    return Math.max(0, at);
  }

  now() {
    return this.asks.state.now;
  }

  /** The encoder's own layer that is shown, where one is. */
  ownLayer() {
    return this.now()?.own.find((one) => one.layer === this.model.get("layer"));
  }

  drawTools() {
    const { model } = this;
    if (!this.n) return;
    const live = model.get("live");
    this.search = searchBox(model, () => this.columns, this.n);
    if (!model.get("available")) return void put(this.tools, live ? runChoice(model.get("runs_shown"), model.get("model"), (v) => tell(model, { model: v })) : null);
    const now = this.now();
    const pairs = now?.choices || [[MEAN, MEAN]];
    const own = now?.own || [];
    const layers = [...new Set(pairs.map(([layer]) => layer)), ...own.map((one) => one.layer)];
    const mine = this.ownLayer();
    const heads = mine ? [MEAN, ...Array.from({ length: mine.heads }, (_, i) => String(i))] : pairs.filter(([layer]) => layer === model.get("layer")).map(([, head]) => head);
    const toLayer = (layer) => tell(model, { layer, head: MEAN });
    const how = model.get("combine");
    const known = layers.includes(model.get("layer")) ? model.get("layer") : MEAN;
    put(this.tools, live ? runChoice(model.get("runs_shown"), model.get("model"), (v) => tell(model, { model: v })) : null,
      live ? h("label", { class: "af-check" }, choice("Combination", COMBINE, how, (v) => this.combine(v))) : h("span", { class: "af-caption" }, COMBINE.find(([name]) => name === how)?.[1] || how),
      live && how === "gradient" ? classChoice(this.run(), model.get("explained"), (v) => tell(model, { explained: v }), "Class whose score is meant") : null,
      h("label", { class: "af-check" }, choice("Layer", layers.map((l) => [l, layerName(l)]), known, toLayer)), h("label", { class: "af-check" }, choice("Head", (heads.length ? heads : [MEAN]).map((x) => [x, headName(x)]), heads.includes(model.get("head")) ? model.get("head") : MEAN, (v) => tell(model, { head: v }))),
      press(this.shown, "overlay", "Show where attention fell", () => this.flip()), h("span", { class: "af-space" }), this.search);
  }

  slice(array, at) {
    const size = array.length / array.shape[0];
    return array.subarray(at * size, (at + 1) * size);
  }

  overlays(payload) {
    const now = this.now();
    if (!now || !this.shown) return {};
    const mine = this.ownLayer();
    const unit = now.combine === "gradient" && !mine ? "relevance of attention" : "attention received";
    const laid = (name, values) => [name, { values, scale: peak(values) || 1, signed: false, unit, shared: false }];
    if (mine) return Object.fromEntries([laid(mine.modality, this.slice(mine.values, Math.min(mine.heads, this.model.get("head") === MEAN ? 0 : Number(this.model.get("head")) + 1)))]);
    const at = this.choice();
    return Object.fromEntries(payload.modalities.filter((m) => now.places[m.name]).map((m) => laid(m.name, this.slice(now.places[m.name], at))));
  }

  head() {
    this.clean();
    const { now, problem } = this.asks.state;
    if (problem) return blank("No attention for this sample", problem, button("Try again", () => { forget(this.model, "attention/"); this.asks.turn(0); }));
    if (!now) return working("Reading the weights");
    const mine = this.ownLayer();
    const values = this.slice(now.between, this.choice());
    const columns = now.modalities;
    const tops = Object.entries(now.places).filter((_, i) => now.present[i]).map(([name, all]) => `${label(name)} ${number(peak(this.slice(all, this.choice())), 2)}`);
    const whole = now.combine === "gradient" ? `, for ${now.explained}` : "";
    return h("div", { class: "af-why" },
      h("div", { class: "af-card" }, h("h4", {}, `Between modalities${mine ? ", all layers" : ""}${whole}`), h("div", { class: "af-across-scroll" }, matrix({ rows: now.rows, columns, values, present: now.present })), h("p", { class: "af-caption" }, "each row: what its tokens look at, summing to one; the class token's own share is left out")),
      h("div", { class: "af-card" }, h("h4", {}, `How it flows to the class token${whole}`), flowDrawing(now.flow, { columns, kinds: now.kinds }, this.ends, this.panel.ui.open), h("p", { class: "af-caption" }, SAYS[now.combine])),
      h("div", { class: "af-card" }, predictionCard(now.prediction), colourKey("maximum", false, { title: mine ? "attention received" : now.combine === "gradient" ? "relevance" : "attention received", low: "none", high: "maximum" }),
        h("p", { class: "af-caption" }, mine ? `${layerName(mine.layer)}: what each place got from the encoder's own tokens, on average${mine.heads ? "" : "; heads are too many to be sent one by one"}` : `each modality has its own scale; maximum ${tops.join(", ")}`)));
  }
}

const render = ({ model, el }) => new AttentionView(model, el).frame.end;

export default { render };
