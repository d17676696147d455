// Label and learn: one large sample, a key a label; at the side what is asked next, progress, annotators and the curve.
import { typed } from "../shared/arrays.js";
import { classColour } from "../shared/colours.js";
import { button, h, once, put } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import looks from "../shared/label.css";
import { annotatorPart, exportPart, learnPart, progressPart, queuePart } from "../shared/label_parts.js";
import { act, forget, tell, want } from "../shared/link.js";
import { samplePanel } from "../shared/sample.js";

const NOT_SURE = -1;
const NINE = 9;
const MOST = 5; // classes of a prediction that are shown

class LabelView {
  constructor(model, el) {
    this.model = model;
    this.codes = new Map();
    this.queue = [];
    this.why = [];
    this.names = new Map();
    this.onward = true;
    this.view = frame(model, el, { title: "Label", keys: KEYS.label, on: this.keys(), looks });
    const { life } = this.view;
    this.view.note.textContent = model.get("title");
    this.bar = h("div", { class: "af-label-bar", role: "group", "aria-label": "Label this sample" });
    this.last = h("p", { class: "af-label-last", role: "status", "aria-live": "polite" });
    this.reason = h("div", { class: "af-label-why" });
    this.tells = h("div", { class: "af-label-tells", "aria-live": "polite" });
    this.panel = samplePanel(model, { page: (by) => this.page(by), place: () => [this.queue.indexOf(model.get("focus")) + 1, this.queue.length], head: (payload) => this.head(payload) });
    this.place = h("div", { class: "af-label-main" });
    this.asked = queuePart(model, life, () => ({ length: this.queue.length, left: this.left().length }));
    const side = h("div", { class: "af-label-side" }, learnPart(model, life), this.asked.node, progressPart(model, life),
      annotatorPart(model, life, { to: (i) => tell(model, { focus: i }), name: (i) => this.names.get(i) || `sample ${i + 1}` }), exportPart(model, life));
    put(this.view.main, h("div", { class: "af-label-split" }, this.place, side));
    this.readQueue();
    this.readGiven();
    this.show();
    life.push(() => this.panel.end());
    life.on("change:focus", () => this.show());
    life.on("change:queue", once(() => { this.readQueue(); this.show(); }));
    life.on("change:given", once(() => { this.readGiven(); this.redraw(); }));
    life.on("change:last change:live change:classes", once(() => this.redraw()));
    life.on("change:rounds change:blind", once(() => { forget(model, "said/"); this.drawTells(); }));
    life.on("change:busy change:error", once(() => (this.queue.length || model.get("focus") >= 0 ? this.drawReason() : this.show())));
  }

  keys() {
    const label = Object.fromEntries([...Array(NINE).keys()].map((k) => [String(k + 1), () => this.say(k)]));
    const { model } = this;
    return {
      ...label, 0: () => this.say(NOT_SURE), n: () => this.say(NOT_SURE), u: () => this.back(false), y: () => this.back(true),
      ArrowRight: () => this.page(1), ArrowLeft: () => this.page(-1), ArrowDown: () => this.page(1), ArrowUp: () => this.page(-1),
      t: () => model.get("live") && !model.get("busy") && act(model, "retrain"), Escape: () => (model.get("busy") ? tell(model, { stop: true }) : false),
    };
  }

  // ---- state ---------------------------------------------------------------------------------------------------------

  readQueue() {
    const queue = this.model.get("queue") || {};
    this.queue = queue.positions ? [...typed(queue.positions)] : [];
    this.why = queue.why || [];
  }

  readGiven() {
    const given = this.model.get("given") || {};
    const [places, codes] = given.positions ? [typed(given.positions), typed(given.codes)] : [[], []];
    this.codes = new Map([...places].map((p, k) => [p, codes[k]]));
    forget(this.model, "said/");
  }

  left() {
    return this.queue.filter((i) => !this.codes.has(i));
  }

  // ---- gestures ------------------------------------------------------------------------------------------------------

  page(by) {
    if (!this.queue.length) return;
    const at = this.queue.indexOf(this.model.get("focus"));
    const next = this.queue[at < 0 ? 0 : Math.min(this.queue.length - 1, Math.max(0, at + by))];
    if (next !== this.model.get("focus")) tell(this.model, { focus: next });
  }

  say(code) {
    const { model } = this;
    const i = model.get("focus");
    if (!model.get("live") || i < 0 || code >= model.get("classes").length) return;
    this.codes.set(i, code);
    forget(model, `said/${i}`);
    act(model, "say", { position: i, code });
    if (this.onward) this.next(i);
    this.redraw();
  }

  /** The next of the queue without a label; when all have one, the strategy is asked anew. */
  next(i) {
    const at = this.queue.indexOf(i);
    const after = [...this.queue.slice(at + 1), ...this.queue.slice(0, Math.max(0, at))].find((one) => !this.codes.has(one));
    if (after !== undefined) tell(this.model, { focus: after });
    else act(this.model, "refill");
  }

  back(again) {
    const { model } = this;
    if (model.get("live")) act(model, again ? "redo" : "undo");
  }

  // ---- drawing -------------------------------------------------------------------------------------------------------

  show() {
    const { model } = this;
    const some = this.queue.length || model.get("focus") >= 0;
    if (!some) put(this.place, this.empty());
    else if (!this.panel.node.isConnected) put(this.place, this.bar, this.last, this.reason, this.panel.node);
    if (some) this.panel.show();
    this.redraw();
  }

  empty() {
    const { model } = this;
    const tally = model.get("tally") || {};
    if (!tally.pool && !tally.test) return blank("No samples", "This set is empty. Align what was fetched with af.align(found), or load a set: af.load_samples(\"practice\").");
    if (model.get("busy")) return h("div", { class: "af-wait", role: "status" }, h("span", {}, "Looking for the samples to ask about"));
    if (!model.get("live")) return blank("Nothing to look at", "This page was saved before a sample was in focus.");
    return blank("Nothing left to ask", `Done: ${tally.done} of ${tally.pool}. More labels wanted of each sample, another annotator, or Retrain go on from here.`);
  }

  redraw() {
    this.drawBar();
    this.drawLast();
    this.drawReason();
    this.drawTells();
    this.asked.draw();
  }

  drawBar() {
    const { model } = this;
    const i = model.get("focus");
    const still = !model.get("live") || i < 0;
    const mine = this.codes.get(i);
    const tally = model.get("tally") || {};
    const chip = (text, code, key) => h("button", { type: "button", class: "af-chip", disabled: still, "aria-pressed": String(mine === code), "data-name": `label-${text}`, title: text, onclick: () => this.say(code) }, key && h("kbd", {}, key), code >= 0 ? h("i", { class: "af-dot", style: { background: classColour(code), margin: "0" } }) : null, h("span", {}, text));
    const onward = h("input", { type: "checkbox", "data-name": "onward", checked: this.onward, onchange: (e) => (this.onward = e.target.checked) });
    put(this.bar, model.get("classes").map((name, k) => chip(name, k, k < NINE ? k + 1 : null)), chip("not sure", NOT_SURE, "n"), h("span", { class: "af-space" }),
      button("Undo", () => this.back(false), { disabled: still || !tally.undo, title: "key u" }), button("Redo", () => this.back(true), { disabled: still || !tally.redo, title: "key y" }),
      h("label", { class: "af-check" }, onward, "go on after labelling"));
  }

  drawLast() {
    const one = this.model.get("last") || {};
    if (!one.id) return put(this.last);
    const model = one.prediction === null || one.prediction === undefined ? "" : `; the model says ${one.prediction}${one.sure === null ? "" : ` (${Math.round(100 * one.sure)} %)`}`;
    return put(this.last, h("strong", {}, one.id), `: ${this.model.get("annotator")} said ${one.said}${model}`);
  }

  drawReason() {
    const at = this.queue.indexOf(this.model.get("focus"));
    const done = this.queue.length ? "This queue is done." : this.model.get("busy") ? "" : "Nothing left to ask.";
    put(this.reason, at >= 0 && this.why[at] ? h("span", {}, `asked because: ${this.why[at]}`) : null, this.left().length ? null : h("span", {}, done));
  }

  head(payload) {
    if (!this.names.has(payload.position)) this.names.set(payload.position, payload.object_id);
    return this.tells;
  }

  dot(name) {
    const code = this.model.get("classes").indexOf(name);
    return code < 0 ? null : h("i", { class: "af-dot", style: { background: classColour(code) } });
  }

  /** The model's classes, the likeliest first. */
  predicted({ card, model }) {
    if (!card) return h("span", { class: "af-none" }, model ? "The model predicts no classes." : "No model yet: Retrain makes one.");
    if (!card.p) return h("span", { class: "af-none" }, "No prediction: the sample has none of the model's modalities.");
    const order = [...card.p.keys()].sort((a, b) => card.p[b] - card.p[a]).slice(0, MOST);
    return [h("span", { class: "af-label" }, "the model"), ...order.map((k, at) => h(at ? "span" : "strong", {}, this.dot(card.classes[k]), `${card.classes[k]} ${Math.round(100 * card.p[k])} %`))];
  }

  /** What the model and the others say, once this annotator has. */
  drawTells() {
    const { model } = this;
    const i = model.get("focus");
    if (i < 0) return put(this.tells);
    if (model.get("blind") && !this.codes.has(i)) return put(this.tells, "Prediction and other people's labels are shown once you have labelled this sample.");
    return want(model, `said/${i}`).then((said) => {
      if (model.get("focus") !== i) return;
      if (said.hidden) return void put(this.tells, "Prediction and other people's labels are shown once you have labelled this sample.");
      put(this.tells, h("div", { class: "af-label-line" }, this.predicted(said)), said.votes.length ? h("div", { class: "af-label-line" }, said.votes.map((v) => h("span", {}, this.dot(v.label), `${v.who}: ${v.label}`))) : null);
    }, () => put(this.tells));
  }
}

function render({ model, el }) {
  return new LabelView(model, el).view.end;
}

export default { render };
