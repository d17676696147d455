// You against the model: say what a sample is and where you looked; then see what it is, what the network said, and where it looked.
import looks from "../shared/against.css";
import { peak } from "../shared/arrays.js";
import { classColour, css, icon, ink, label, viridis } from "../shared/colours.js";
import { button, h, once, put } from "../shared/dom.js";
import { press } from "../shared/explain.js";
import { blank, frame } from "../shared/frame.js";
import { percent } from "../shared/judging.js";
import { imageBody } from "../shared/image.js";
import { KEYS } from "../shared/keys.js";
import labelled from "../shared/label.css";
import { act, forget, tell, want } from "../shared/link.js";
import { compared, markedPlace, paintMarks, placeRead } from "../shared/marks.js";
import { samplePanel } from "../shared/sample.js";
import { settings } from "../shared/slot.js";

const NINE = 9;
const MOST = 12; // marks on one drawing
const NEAR = 0.04;
const NO_OVERLAY = { columns: [], life: [], id: "" };

/** Counts, true by said: each row's shares as colour. */
function matrix(names, counts) {
  const body = counts.map((row, r) => {
    const sum = row.reduce((a, b) => a + b, 0);
    return h("tr", {}, h("th", { scope: "row" }, label(names[r])), row.map((n, c) => {
      const colour = viridis(sum ? n / sum : 0);
      return h("td", { class: r === c ? "is-right" : "", "aria-label": `true ${names[r]}, said ${names[c]}: ${n}`, style: sum ? { background: css(colour), color: ink(colour) } : null }, String(n));
    }));
  });
  return h("div", { class: "af-scroll", tabindex: "0", role: "group", "aria-label": "Confusion matrix" }, h("table", { class: "af-counts" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "true ↓ said →"), names.map((n) => h("th", { scope: "col" }, label(n))))), h("tbody", {}, body)));
}

/** Images before, after and their difference, beside each other: what changed shows in no composite. */
function stamps(payload) {
  const image = payload.modalities.find(compared);
  if (!image) return null;
  const one = (band) => {
    const body = h("div", { class: "af-body af-image" });
    imageBody(image, { ...NO_OVERLAY, ui: { ...settings(), composite: band }, body, tools: h("div", {}), name: label(band) });
    return h("figure", { class: "af-stamp" }, body, h("figcaption", { class: "af-caption" }, label(band)));
  };
  return h("div", { class: "af-stamps" }, image.bands.map(one));
}

class AgainstView {
  constructor(model, el) {
    this.model = model;
    this.shown = true;
    this.marks = new Map(); // of samples not answered yet: position -> {modality: [[u, v], ...]}
    this.answer = null;
    this.problem = "";
    const says = Object.fromEntries([...Array(NINE).keys()].map((k) => [String(k + 1), () => this.say(k)]));
    this.frame = frame(model, el, { title: "You against the model", keys: KEYS.against, looks: labelled + looks, on: { ...says, ArrowRight: () => this.page(1), ArrowLeft: () => this.page(-1), m: () => this.markRead(), Escape: () => this.clear() } });
    this.frame.note.textContent = model.get("title");
    this.n = model.get("told").codes?.length || 0;
    this.panel = samplePanel(model, { page: (by) => this.page(by), place: () => [model.get("focus") + 1, this.n], overlays: (p) => this.overlays(p), head: stamps });
    this.bar = h("div", { class: "af-label-bar", role: "group", "aria-label": "What is it?" });
    this.kinds = h("div", { class: "af-row" });
    this.verdict = h("div", { class: "af-verdicts", "aria-live": "polite" });
    this.scores = h("div", { class: "af-scores" });
    put(this.frame.main, this.n ? h("div", { class: "af-against" }, h("p", {}, model.get("text")), this.bar, this.kinds, this.verdict, this.panel.node, this.scores) : blank("No samples", "Give a trained run and its samples: lesson.against(\"my-game\", run, samples)."));
    this.panel.node.addEventListener("click", (e) => this.clicked(e));
    this.observer = new MutationObserver(once(() => this.paint()));
    const { life } = this.frame;
    life.push(this.panel.end, () => this.observer.disconnect());
    life.on("change:focus", once(() => this.turn()));
    life.on("change:told", once(() => { forget(model, "look/"); this.turn(); }));
    life.on("change:score change:group", once(() => this.drawScores()));
    life.on("change:live", once(() => this.draw()));
    if (this.n) this.turn();
    this.drawScores();
  }

  get at() {
    return this.model.get("focus");
  }

  get code() {
    return this.model.get("told").codes[this.at] ?? -1;
  }

  // ---- gestures ------------------------------------------------------------------------------------------------------

  page(by) {
    const next = Math.min(this.n - 1, Math.max(0, this.at + by));
    if (next !== this.at) tell(this.model, { focus: next });
  }

  /** The next sample without an answer. */
  next() {
    const { codes } = this.model.get("told");
    const order = [...codes.keys()].map((k) => (this.at + 1 + k) % this.n);
    const found = order.find((k) => codes[k] < 0);
    if (found !== undefined) tell(this.model, { focus: found });
  }

  say(code) {
    if (!this.model.get("live") || this.at < 0 || this.code >= 0 || code >= this.model.get("classes").length) return;
    act(this.model, "say", { position: this.at, code, marks: this.marks.get(this.at) || {} });
  }

  mine() {
    if (!this.marks.has(this.at)) this.marks.set(this.at, {});
    return this.marks.get(this.at);
  }

  clear() {
    this.marks.delete(this.at);
    this.draw();
    this.paint();
  }

  /** A kind of data that decided, with or without places. */
  toggle(name) {
    const mine = this.mine();
    if (mine[name]) delete mine[name];
    else mine[name] = [];
    this.draw();
    this.paint();
  }

  mark(found) {
    if (!found || this.code >= 0 || !this.model.get("live")) return;
    const mine = this.mine();
    const places = (mine[found.name] ||= []);
    const old = places.findIndex(([u, v]) => Math.abs(u - found.u) < NEAR && (found.flat || Math.abs(v - found.v) < NEAR));
    if (old >= 0) places.splice(old, 1);
    else if (places.length < MOST) places.push([found.u, found.v]);
    this.draw();
    this.paint();
  }

  clicked(event) {
    this.mark(markedPlace(this.panel.node, this.panel.payload(), event));
  }

  markRead() {
    const root = /** @type {any} */ (this.frame.root.getRootNode());
    this.mark(placeRead(this.panel.node, this.panel.payload(), root.activeElement));
  }

  // ---- asking --------------------------------------------------------------------------------------------------------

  turn() {
    this.answer = null;
    this.problem = "";
    Promise.resolve(this.panel.show()).then(() => this.paint());
    this.draw();
    if (this.code < 0) return;
    const at = this.at;
    want(this.model, `look/${at}`).then((answer) => {
      if (at !== this.at || answer.hidden) return;
      this.answer = answer;
      this.draw();
      this.panel.redraw();
      this.paint();
    }, (error) => {
      if (at !== this.at) return;
      this.problem = error.message;
      this.draw();
    });
  }

  overlays(payload) {
    const map = this.answer?.map;
    if (!map || !this.shown) return {};
    const there = payload.modalities.filter((m) => map.values[m.name]);
    return Object.fromEntries(there.map(({ name }) => [name, { values: map.values[name], spread: null, spreadKind: "", scale: peak(map.values[name]) || 1, signed: map.signed, unit: `attribution to ${map.explained}`, total: "", shared: false }]));
  }

  // ---- drawing -------------------------------------------------------------------------------------------------------

  draw() {
    this.drawBar();
    this.drawKinds();
    this.drawVerdict();
  }

  drawBar() {
    const { model } = this;
    const still = !model.get("live") || this.at < 0 || this.code >= 0;
    const chip = (name, k) => h("button", { type: "button", class: "af-chip", disabled: still, "aria-pressed": String(this.code === k), "data-name": `say-${name}`, onclick: () => this.say(k) }, k < NINE ? h("kbd", {}, k + 1) : null, h("i", { class: "af-dot", style: { background: classColour(k), margin: "0" } }), h("span", {}, label(name)));
    const left = model.get("told").codes.filter((c) => c < 0).length;
    put(this.bar, model.get("classes").map(chip), h("span", { class: "af-space" }), h("span", { class: "af-caption", role: "status" }, left ? `${left} left` : "all answered"), button("Next", () => this.next(), { disabled: !left }));
  }

  drawKinds() {
    const payload = this.panel.payload();
    if (this.code >= 0 || !this.model.get("live") || !payload || payload.position !== this.at) return put(this.kinds);
    const mine = this.marks.get(this.at) || {};
    const there = payload.modalities.filter((m) => m.present);
    return put(this.kinds, h("span", { class: "af-label" }, "What decides you?"), there.map((m) => press(Boolean(mine[m.name]), label(m.name), `${label(m.name)} decides me`, () => this.toggle(m.name))), h("span", { class: "af-caption" }, "Click into a drawing to mark where you look; click a mark to take it away."));
  }

  drawVerdict() {
    const { model } = this;
    if (this.code < 0) return put(this.verdict, model.get("live") ? null : h("p", { class: "af-caption" }, "This page has no kernel: play in a notebook."));
    const [names, truth] = [model.get("classes"), model.get("told").truth[this.at]];
    const right = truth === this.code;
    const card = this.answer?.card;
    const p = card?.p ? card.p[card.classes.indexOf(card.prediction)] : null;
    const said = card ? (card.prediction === null ? "nothing" : `${label(card.prediction)}${p === null ? "" : ` (${percent(p)})`}`) : this.problem ? "not known" : "…";
    const tick = (ok) => h("span", { class: `af-tag ${ok ? "right" : "wrong"}` }, ok ? "right" : "wrong");
    return put(this.verdict, h("div", { class: "af-told", "data-state": right ? "right" : "wrong" }, h("span", {}, "You said ", h("strong", {}, label(names[this.code])), " ", tick(right)), h("span", {}, "The network says ", h("strong", {}, said), card && card.prediction !== null ? [" ", tick(card.prediction === names[truth])] : null), h("span", {}, "It is ", h("strong", {}, label(names[truth])))),
      this.problem ? h("p", { class: "af-caption af-poor" }, this.problem) : this.answer ? this.looked() : h("div", { class: "af-wait af-thin", role: "status" }, "Asking where the network looked"));
  }

  /** Where you looked beside where the network did, by modality. */
  looked() {
    const rows = this.answer.looks.map((one) => h("tr", {}, h("th", { scope: "row" }, icon(one.kind), " ", label(one.modality)), h("td", {}, one.yours ? "yes" : "–"),
      h("td", {}, h("span", { class: "af-bar" }, h("i", { style: { left: "0", width: `${100 * one.share}%`, background: "var(--af-accent)" } })), h("span", { class: "af-num" }, percent(one.share))), h("td", {}, one.under === null ? "–" : `${percent(one.under)} of it, on ${percent(one.covered)} of the places`)));
    const flip = () => { this.shown = !this.shown; this.draw(); this.panel.redraw(); this.paint(); };
    return [h("div", { class: "af-scroll" }, h("table", { class: "af-looks" }, h("thead", {}, h("tr", {}, ["data", "decided you", "share of the network's attribution", "under your marks"].map((one) => h("th", { scope: "col" }, one)))), h("tbody", {}, rows))),
      h("div", { class: "af-row" }, press(this.shown, "where the network looked", "Colours: for and against what the network says, by attribution", flip), h("span", { class: "af-caption" }, `Attribution to ${label(this.answer.map.explained)}, by ${label(this.answer.map.method)}. Orange speaks for it, blue against it; rings and bands are your marks. Attribution says what the score depends on, not whether the reason is good.`))];
  }

  drawScores() {
    const { model } = this;
    const score = model.get("score");
    const group = model.get("group");
    if (!score.n) return put(this.scores, h("p", { class: "af-caption" }, "Your score and the network's appear here after the first answer."));
    const part = (title, one) => h("section", {}, h("h3", {}, title), h("p", { class: "af-caption" }, `${one.right} of ${score.n} right: ${percent(one.right / score.n)} [${percent(one.low)}, ${percent(one.high)}]`), matrix(score.classes, one.matrix));
    const all = (group.matrix || []).flat().reduce((a, b) => a + b, 0);
    const right = (group.matrix || []).reduce((sum, row, k) => sum + row[k], 0);
    return put(this.scores, part("You", score.you), part("The network, on the same samples", score.model), group.people ? h("section", {}, h("h3", {}, `The class, ${group.people} ${group.people === 1 ? "person" : "people"}`), h("p", { class: "af-caption" }, `${right} of ${all} answers right: ${percent(right / Math.max(1, all))}`), matrix(group.classes, group.matrix)) : null,
      h("p", { class: "af-caption" }, `Right where the other is wrong: you ${score.only_you}, the network ${score.only_model}. ${score.n < 20 ? "So few samples decide nothing: look at the intervals." : ""}`));
  }

  /** Marks are drawn over the drawings, which draw themselves anew when their width changes. */
  paint() {
    this.observer.disconnect();
    const payload = this.panel.payload();
    if (payload && payload.position === this.at) {
      const marks = this.code >= 0 ? this.answer?.marks || this.marks.get(this.at) || {} : this.marks.get(this.at) || {};
      paintMarks(this.panel.node, payload, marks);
      this.panel.node.classList.toggle("af-can-mark", this.code < 0);
      if (!this.kinds.childElementCount) this.drawKinds();
    }
    this.observer.observe(this.panel.node, { childList: true, subtree: true });
  }
}

const render = ({ model, el }) => new AgainstView(model, el).frame.end;

export default { render };
