// Attribution: why this class? What each pixel, wavelength, epoch, column and word did to the score, beside other methods, classes and models.
import { peak } from "../shared/arrays.js";
import { label } from "../shared/colours.js";
import { number, readColumns } from "../shared/columns.js";
import { button, choice, h, once, put } from "../shared/dom.js";
import looks from "../shared/explain.css";
import { PREDICTED, asker, classChoice, classNumber, press, runChoice, scoreName, searchBox, working } from "../shared/explain.js";
import { blank, frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { act, forget, tell, want, writeSelection } from "../shared/link.js";
import { pager } from "../shared/paging.js";
import { predictionCard } from "../shared/prediction.js";
import { samplePanel } from "../shared/sample.js";
import { colourKey } from "../shared/slot.js";
import { checkBadge, doubtList } from "../shared/trust.js";
import { signed, worthBars } from "../shared/worth.js";

const BESIDE = 3; // maps at most beside the first

class AttributionView {
  constructor(model, el) {
    this.model = model;
    this.shared = true;
    this.shown = true;
    this.probed = false; // which methods refuse this model is found out after the first map
    this.doubts = new Map();
    this.alike = new Map();
    const page = (by) => () => this.paging.page(by);
    this.frame = frame(model, el, { title: "Attribution", keys: KEYS.attribution, looks, on: {
      ArrowRight: page(1), ArrowLeft: page(-1), Escape: () => writeSelection(model, new Uint8Array(0)), o: () => this.flip("shown"), s: () => this.flip("shared"), c: () => this.add(true), v: () => this.check(0), "/": () => this.search?.focus(),
    } });
    this.columns = readColumns(model.get("columns"));
    this.n = model.get("coverage")?.[0]?.present?.shape?.[0] || 0;
    this.paging = pager(model, this.n);
    this.asks = Array.from({ length: 1 + BESIDE }, (_, k) => asker(model, { key: () => this.key(k), paint: () => this.painted(k) }));
    this.panel = samplePanel(model, { page: (by) => this.paging.page(by), place: () => this.paging.place(), overlays: (p) => this.overlays(p), head: () => this.head() });
    this.frame.life.push(this.panel.end, ...this.asks.map((one) => one.end));
    this.tools = h("div", { class: "af-row" });
    this.frame.note.textContent = model.get("title");
    put(this.frame.main, this.n ? [this.tools, this.panel.node] : blank("No samples", "Give samples to the widget: af.AttributionWidget(run, samples)."));
    const { on } = this.frame.life;
    on("change:focus", once(() => this.turn()));
    on("change:explained change:method change:model change:compare", once(() => this.changed()));
    on("change:selected change:checks", once(() => this.panel.redraw()));
    on("change:methods", once(() => { this.drawTools(); if (this.panels().length > 1) this.panel.redraw(); }));
    on("change:columns", once(() => (this.columns = readColumns(model.get("columns")))));
    this.drawTools();
    if (this.n) this.turn();
  }

  // ---- what is shown -------------------------------------------------------------------------------------------------

  /** The first map, and those beside it. */
  panels() {
    const { model } = this;
    return [{ model: model.get("model"), method: model.get("method"), explained: model.get("explained") }, ...(model.get("compare") || [])];
  }

  runOf(panel) {
    return this.model.get("runs_shown")[panel.model] || this.model.get("runs_shown")[0];
  }

  part(panel) {
    return `${panel.model}/${classNumber(this.runOf(panel), panel.explained)}/${panel.method}`;
  }

  key(k) {
    const panel = this.panels()[k];
    return panel && this.model.get("focus") >= 0 ? `attribution/${this.model.get("focus")}/${this.part(panel)}` : "";
  }

  /** Change one panel; the first is the widget's own method, class and model. */
  set(k, change) {
    if (k === 0) return tell(this.model, change);
    const compare = this.model.get("compare").map((one, i) => (i === k - 1 ? { ...one, ...change } : one));
    return tell(this.model, { compare });
  }

  /** Another map beside: by another method, else of another class, else of another model; with `or end`, none where there are some. */
  add(toggle = false) {
    if (!this.model.get("live")) return;
    const kept = this.model.get("compare") || [];
    if (toggle && kept.length) return tell(this.model, { compare: [] });
    if (kept.length >= BESIDE) return;
    const own = this.panels().at(-1);
    const runs = this.model.get("runs_shown");
    const more = runs.length > 1 ? { model: (own.model + 1) % runs.length } : { method: this.methods(own).find((m) => !m.reason && !this.panels().some((p) => p.method === m.name))?.name || own.method };
    tell(this.model, { compare: [...kept, { ...own, ...more }] });
  }

  drop(k) {
    tell(this.model, { compare: this.model.get("compare").filter((_, i) => i !== k - 1) });
  }

  methods(panel) {
    return this.model.get("methods")[panel.model] || [];
  }

  flip(name) {
    this[name] = !this[name];
    this.drawTools();
    this.panel.redraw();
  }

  check(k) {
    const panel = this.panels()[k];
    if (this.model.get("live")) act(this.model, "check", { method: panel.method, model: panel.model });
  }

  // ---- asking --------------------------------------------------------------------------------------------------------

  turn() {
    this.doubts.clear();
    this.alike.clear();
    this.panels().forEach((_, k) => this.asks[k].turn());
    this.panel.show();
  }

  changed() {
    this.drawTools();
    this.panels().forEach((_, k) => this.asks[k].state.key !== this.key(k) && this.asks[k].turn(0));
    this.panel.redraw();
  }

  /** A map has come: draw it, then ask what may wait. */
  painted(k) {
    this.panel.redraw();
    const { state } = this.asks[k];
    if (!state.now || state.coarse) return;
    const panels = this.panels();
    const focus = this.model.get("focus");
    if (k > 0 && panels[k]) this.later(this.alike, `alike/${focus}/${this.part(panels[0])}/${this.part(panels[k])}`);
    if (!this.probed && this.model.get("live")) act(this.model, "probe");
    this.probed = true;
    this.later(this.doubts, `doubt/${focus}/${panels[k]?.model ?? 0}`);
  }

  later(book, key) {
    if (book.has(key)) return;
    book.set(key, null);
    want(this.model, key).then((answer) => {
      book.set(key, answer);
      this.panel.redraw();
    }, () => book.delete(key)); // the map is what was asked for; what stands beside it may be missing
  }

  // ---- drawing -------------------------------------------------------------------------------------------------------

  drawTools() {
    const { model } = this;
    const live = model.get("live");
    const panels = this.panels();
    this.search = searchBox(model, () => this.columns, this.n);
    put(this.tools, panels.length === 1 ? this.controls(0) : null, press(this.shown, "overlay", "Show what the prediction rests on", () => this.flip("shown")), press(this.shared, "one scale for all", "One colour scale for all modalities, or one for each", () => this.flip("shared")),
      live && panels.length <= BESIDE ? button(panels.length > 1 ? "Add another" : "Compare", () => this.add(), { title: "Another method, class or model beside this one" }) : null, h("span", { class: "af-space" }), this.search);
  }

  /** What one panel shows: model, class, method. */
  controls(k) {
    const panel = this.panels()[k];
    const letter = this.panels().length > 1 ? ` ${"ABCD"[k]}` : "";
    // a page without a kernel has the explanations that were stored with it, and offers no others
    if (!this.model.get("live")) return [h("span", { class: "af-caption" }, `${panel.model || this.model.get("runs_shown").length > 1 ? `${this.runOf(panel).name}, ` : ""}by ${label(panel.method)}`)];
    const pairs = this.methods(panel).map((m) => [m.name, `${label(m.name)}${m.reason ? " (does not apply)" : ""}`]);
    const pick = choice(`Method${letter}`, pairs, panel.method, (v) => this.set(k, { method: v }));
    for (const option of pick.options) {
      const one = this.methods(panel).find((m) => m.name === option.value);
      option.disabled = !!one?.reason;
      option.title = one?.reason || (one ? `says ${one.says}; does not say ${one.says_not}` : "");
    }
    return [runChoice(this.model.get("runs_shown"), panel.model, (v) => this.set(k, { model: v }), `Model${letter}`), classChoice(this.runOf(panel), panel.explained, (v) => this.set(k, { explained: v }), `Class to explain${letter}`), h("label", { class: "af-check" }, "by", pick)];
  }

  /** Full colour of each modality in each panel: one for all whose numbers mean the same, or one for each. */
  scales() {
    const panels = this.panels().map((_, k) => this.asks[k].state.now);
    const tops = panels.map((now) => (now ? Object.fromEntries(Object.entries(now.values).map(([name, v]) => [name, peak(v)])) : {}));
    const kind = (now) => now && `${now.method}/${now.score_name}`;
    return panels.map((now, k) => {
      const same = panels.flatMap((other, j) => (kind(other) === kind(now) ? Object.values(tops[j]) : []));
      const all = Math.max(...same, 1e-12);
      return Object.fromEntries(Object.entries(tops[k]).map(([name, top]) => [name, this.shared ? all : top || 1]));
    });
  }

  overlays(payload) {
    const scales = this.scales();
    const all = this.panels().map((_, k) => {
      const { now } = this.asks[k].state;
      if (!now || !this.shown) return {};
      const there = payload.modalities.filter((m) => now.values[m.name]);
      return Object.fromEntries(there.map(({ name }) => {
        const total = now.totals.find(([m]) => m === name);
        const sum = now.signed && total ? `Σ ${signed(total[1])}${total[2] !== null ? ` ± ${number(total[2], 1)}` : ""}` : "";
        return [name, { values: now.values[name], spread: now.spread[name] || null, spreadKind: now.spread_kind, scale: scales[k][name], signed: now.signed, unit: `attribution to ${now.explained}`, total: sum, shared: this.shared }];
      }));
    });
    return all.length > 1 ? all : all[0];
  }

  /** Above the slots: the prediction, the worth of each modality, how far to trust the numbers; side by side where maps are compared. */
  head() {
    const panels = this.panels();
    if (panels.length === 1) {
      const cards = this.cards(0);
      return Array.isArray(cards) ? h("div", { class: "af-why" }, cards) : cards;
    }
    const columns = panels.map((_, k) => h("div", { class: "af-card" }, h("div", { class: "af-row" }, h("span", { class: "af-tag" }, "ABCD"[k]), this.controls(k), h("span", { class: "af-space" }), k && this.model.get("live") ? button("Remove", () => this.drop(k), { class: "af-link", "aria-label": `Remove ${"ABCD"[k]}` }) : null), this.cards(k)));
    return h("div", { class: "af-columns-why", style: { "--beside": panels.length } }, columns);
  }

  cards(k) {
    const { now, problem, coarse } = this.asks[k].state;
    const panel = this.panels()[k];
    if (problem) return blank("This sample could not be explained", problem, button("Try again", () => { forget(this.model, "attribution/"); this.asks[k].turn(0); }));
    if (!now) return working("Explaining this sample");
    const explained = panel.explained === PREDICTED ? now.explained : panel.explained;
    const pick = this.model.get("live") && now.prediction.task === "classification" ? (name) => this.set(k, { explained: name === panel.explained ? PREDICTED : name }) : undefined;
    const doubt = doubtList(this.doubts.get(`doubt/${this.model.get("focus")}/${panel.model}`));
    const card = predictionCard(now.prediction, explained, pick);
    return [doubt ? h("div", { class: "af-stack-cards" }, card, doubt) : card, now.worth ? worthBars(now.worth) : now.stopped ? h("div", { class: "af-card" }, h("h4", {}, "Worth of each modality"), h("p", { class: "af-caption" }, "Stopped before it was worked out."), button("Go on", () => { forget(this.model, "attribution/"); this.asks[k].turn(0); })) : working("What is each modality worth?"), this.trust(k, now, coarse)];
  }

  trust(k, now, coarse) {
    const panel = this.panels()[k];
    const score = scoreName(now.score_name);
    const scale = Math.max(...Object.values(this.scales()[k]), 0);
    const poor = !coarse && now.relative !== null && now.relative > now.limit;
    const adds = now.delta === null ? `${label(now.method)} does not promise to add up to the score` : `sums to ${number(now.difference, 3)} of the ${score}, delta ${number(now.delta, 2)} (${number(100 * now.relative, 2)} %)`;
    const baselines = Object.entries(now.baselines).map(([m, b]) => `${label(m)} ${label(b)}`).join(", ");
    const means = this.shared ? `One scale: a colour is the same change of the ${score} everywhere; full colour is ${now.signed ? "±" : ""}${number(scale, 2)} at one place. A pale map of many places can still matter: Σ beside each name is its sum.` : "Each modality has its own scale, beside its name: colours do not compare between modalities.";
    const spread = now.spread_kind ? h("p", { class: "af-caption" }, now.spread_kind === "between members" ? "mean of the members; faint and hatched where they do not agree" : "faint and hatched where the value is no larger than its standard error") : null;
    const alike = k ? this.alike.get(`alike/${this.model.get("focus")}/${this.part(this.panels()[0])}/${this.part(panel)}`) : null;
    const like = alike ? h("p", { class: "af-caption" }, `rank correlation with A: ${alike.modalities.map(([m, v]) => `${label(m)} ${v === null ? "unknown" : number(v, 2)}`).join(", ")}`) : null;
    const ask = this.model.get("live") ? () => this.check(k) : null;
    return h("div", { class: "af-card" }, h("h4", {}, `Attribution to ${now.explained}`), coarse ? h("span", { class: "af-refining", role: "status" }, "coarse; refining") : now.stopped ? h("p", { class: "af-caption af-poor" }, "Stopped: as fine as it was by then.") : null,
      colourKey(this.shared ? number(scale, 2) : "max", now.signed, { title: score, low: "", high: "" }), h("p", { class: "af-caption" }, means), spread,
      h("p", { class: `af-caption${poor ? " af-poor" : ""}` }, poor ? `Not converged: ${adds}. Read it with care.` : adds), baselines ? h("p", { class: "af-caption" }, `baseline: ${baselines}`) : null,
      now.notes.length ? h("p", { class: "af-caption" }, now.notes.join("; ")) : null, like, checkBadge(this.model.get("checks")[`${panel.model}/${panel.method}`], ask));
  }
}

const render = ({ model, el }) => new AttributionView(model, el).frame.end;

export default { render };
