// Embedding: the map of a model's spaces; lasso a group, colour by any column, page through it.
import { typed } from "../shared/arrays.js";
import { icon, label } from "../shared/colours.js";
import { number, readColumns } from "../shared/columns.js";
import { button, choice, h, once, put } from "../shared/dom.js";
import { blank, frame, waiting } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { act, positions, readSelection, tell, writeSelection } from "../shared/link.js";
import { pager } from "../shared/paging.js";
import { classNames, palette } from "../shared/palette.js";
import { Scatter } from "../shared/scatter.js";

const LISTED = 60;

class EmbeddingView {
  constructor(model, el) {
    this.model = model;
    this.hidden = new Set();
    this.unpacked = new Map();
    this.frame = frame(model, el, { title: "Embedding", keys: KEYS.embedding, on: this.keys(), themed: () => this.scatter?.draw() });
    this.scatter = new Scatter({ pick: (i) => tell(model, { focus: i }), lasso: (found, how) => this.lasso(found, how), hover: (i, x, y) => this.hover(i, x, y) });
    this.frame.life.push(() => this.scatter.end());
    this.build();
    const { on } = this.frame.life;
    on("change:maps change:method change:space", once(() => this.showMap()));
    on("change:columns", once(() => this.readColumns()));
    on("change:colour", once(() => this.recolour()));
    on("change:selected change:focus", once(() => this.showSelection()));
    on("change:busy change:live change:notes", once(() => this.drawTools()));
  }

  keys() {
    const page = (by) => () => this.pager.page(by);
    return {
      ArrowRight: page(1), ArrowLeft: page(-1), ArrowDown: page(1), ArrowUp: page(-1), Escape: () => writeSelection(this.model, new Uint8Array(0)),
      "+": () => this.scatter.zoom(1.3), "=": () => this.scatter.zoom(1.3), "-": () => this.scatter.zoom(1 / 1.3), 0: () => this.scatter.fit(), l: () => this.use("lasso"), p: () => this.use("pan"), "/": () => this.colourBy?.focus(),
    };
  }

  build() {
    this.tools = h("div", { class: "af-row" });
    this.badges = h("div", { class: "af-row af-caption" });
    this.tip = h("div", { class: "af-tip", hidden: true, "aria-hidden": "true" });
    this.over = h("div", { class: "af-map-over" });
    this.legend = h("div", { class: "af-legend", role: "group", "aria-label": "Legend: press to hide or show" });
    this.summary = h("div", { class: "af-summary", "aria-live": "polite" });
    const stage = h("div", { class: "af-stage" }, this.scatter.canvas, this.over, this.tip);
    put(this.frame.main, this.tools, h("div", { class: "af-map-split" }, h("div", {}, stage, this.badges), h("div", { class: "af-panel" }, this.legend, this.summary)));
    this.frame.note.textContent = this.model.get("title");
    this.readColumns();
    this.showMap();
  }

  readColumns() {
    this.columns = readColumns(this.model.get("columns"));
    this.n = this.columns[0]?.raw.length && this.columns[0].raw[0] !== "" ? this.columns[0].raw.length : 0;
    this.pager = pager(this.model, this.n);
    if (!this.columns.some((c) => c.name === this.model.get("colour"))) tell(this.model, { colour: this.columns.find((c) => c.role === "target")?.name || "" });
    this.classes = classNames(this.columns, this.model.get("colour"));
    this.drawTools();
    this.recolour();
  }

  /** The planes of the method shown, unpacked once. */
  planes() {
    const method = this.model.get("method");
    const packed = (this.model.get("maps") || {})[method];
    if (!packed) return [];
    if (this.unpacked.get(method)?.packed !== packed) this.unpacked.set(method, { packed, planes: packed.map((p) => ({ ...p, xy: typed(p.xy) })) });
    return this.unpacked.get(method).planes;
  }

  showMap() {
    const planes = this.planes();
    const plane = planes.find((p) => p.space === this.model.get("space")) || planes[0];
    this.drawTools();
    if (!this.n) return put(this.over, blank("No samples", "Give samples to the widget: af.EmbeddingWidget(run, samples)."));
    if (!plane) return put(this.over, this.model.get("error") ? blank("No map", "The message above says why.") : waiting("Asking the model for its vectors"));
    put(this.over, plane.n ? null : blank(`No sample has ${label(plane.space)}`, "Choose another space."));
    if (this.shown !== plane) this.scatter.place(plane.xy);
    this.shown = plane;
    this.drawBadges(plane);
    this.showSelection();
    return undefined;
  }

  drawBadges(plane) {
    const missing = this.n - plane.n;
    const trust = plane.trust === null ? null : h("span", { class: "af-tag", title: "share of neighbours on the map that are neighbours in the model's own space (Venna and Kaski 2001); 1 is best" }, `trustworthiness ${plane.trust.toFixed(2)} (${plane.k} neighbours, ${plane.n} samples)`);
    put(this.badges, trust, missing > 0 && h("span", { class: "af-tag" }, `${missing} samples lack ${label(plane.space)}`), h("span", {}, this.model.get("method") === "pca" ? "First two principal components of the model's vectors." : "Neighbours mean something on this map; distances between groups do not."));
  }

  use(tool) {
    this.scatter.tool = tool;
    this.drawTools();
  }

  drawTools() {
    const { model } = this;
    const planes = this.planes();
    const maps = model.get("maps") || {};
    const spaces = planes.map((p) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(p.space === model.get("space")), onclick: () => tell(model, { space: p.space }) }, p.space === "fused" ? null : icon(p.space, 14), label(p.space)));
    // a page without a kernel computes nothing: only what was stored is offered, and one map is no choice
    const known = ["pca", "umap"].filter((m) => model.get("live") || m in maps);
    const methods = known.length < 2 ? [] : known.map((m) => {
      const ready = m in maps;
      const start = () => (ready ? tell(model, { method: m }) : act(model, "umap"));
      return h("button", { type: "button", class: "af-chip", "aria-pressed": String(m === model.get("method")), disabled: !ready && (m === "pca" || model.get("busy") || !model.get("live")), title: ready ? `Show ${m.toUpperCase()}` : "Compute UMAP in the background", onclick: start }, m.toUpperCase());
    });
    const coloured = this.columns?.filter((c) => c.kind !== "text") || [];
    this.colourBy = choice("Colour by", coloured.map((c) => [c.name, c.name]), model.get("colour"), (v) => tell(model, { colour: v }));
    const tool = (name, text) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(this.scatter.tool === name), onclick: () => this.use(name) }, text);
    put(this.tools, h("div", { class: "af-chips", role: "group", "aria-label": "Space" }, spaces), methods.length ? h("div", { class: "af-chips", role: "group", "aria-label": "Method" }, methods) : null,
      h("label", { class: "af-check" }, "colour by", this.colourBy), h("span", { class: "af-space" }), h("div", { class: "af-chips", role: "group", "aria-label": "Tool" }, tool("lasso", "lasso"), tool("pan", "move")),
      button("Show all", () => this.scatter.fit(), { class: "af-link" }));
    const notes = model.get("notes") || [];
    this.tools.title = notes.join("\n");
  }

  recolour() {
    const column = this.columns.find((c) => c.name === this.model.get("colour"));
    this.ink = palette(column, this.classes);
    this.column = column;
    this.hidden.clear();
    if (this.colourBy) this.colourBy.value = this.model.get("colour");
    this.scatter.colours(this.n, this.ink.of);
    this.filter();
    this.drawLegend();
    this.showSelection();
  }

  filter() {
    const raw = this.ink.kind === "category" && this.hidden.size ? this.column.raw : null;
    this.scatter.show(this.n, (i) => !raw || !this.hidden.has(raw[i]));
  }

  drawLegend() {
    const { ink } = this;
    if (ink.kind === "number") return put(this.legend, h("h3", {}, ink.label), h("div", { class: "af-key" }, h("span", { class: "af-num" }, number(ink.low, 3)), h("span", { class: "af-ramp plain" }), h("span", { class: "af-num" }, number(ink.high, 3))));
    if (ink.kind === "none") return put(this.legend, h("p", { class: "af-caption" }, "Choose a column to colour by."));
    const flip = (code) => {
      if (!this.hidden.delete(code)) this.hidden.add(code);
      this.drawLegend();
      this.filter();
    };
    const counts = new Map();
    for (const code of this.column.raw) counts.set(code, (counts.get(code) || 0) + 1);
    return put(this.legend, h("h3", {}, ink.label), ink.entries.map(({ name, code, colour }) =>
      h("button", { type: "button", class: "af-chip", "aria-pressed": String(!this.hidden.has(code)), onclick: () => flip(code) }, h("i", { class: "af-dot", style: { background: colour } }), name, h("span", { class: "af-num" }, counts.get(code) || 0))));
  }

  lasso(found, how) {
    const mask = how === "new" ? new Uint8Array(this.n) : readSelection(this.model, this.n);
    for (const i of found) mask[i] = how === "remove" ? 0 : 1;
    writeSelection(this.model, mask);
  }

  hover(i, x, y) {
    this.tip.hidden = i < 0;
    if (i < 0) return;
    const told = this.columns.filter((c) => c.role === "target" || c.role === "prediction").filter((c) => !c.missing(i)).slice(0, 5);
    put(this.tip, h("strong", {}, this.columns[0].text(i)), told.map((c) => h("div", {}, `${c.name} ${c.text(i)}`)));
    const right = x > this.scatter.canvas.clientWidth - 190;
    this.tip.style.left = `${right ? x - 190 : x + 14}px`;
    this.tip.style.top = `${Math.max(0, y - 10)}px`;
  }

  showSelection() {
    const mask = readSelection(this.model, this.n);
    const chosen = positions(mask);
    Object.assign(this.scatter, { selected: mask, any: chosen.length > 0, focus: this.model.get("focus") });
    this.scatter.draw();
    put(this.summary, chosen.length ? this.counts(mask, chosen) : this.invitation(), this.focused());
  }

  invitation() {
    return h("p", { class: "af-caption" }, "Draw around points to select them. Shift adds, alt takes away.");
  }

  counts(mask, chosen) {
    const rows = this.ink.kind === "category" ? this.ink.entries.map(({ name, code, colour }) => {
      let [inside, all] = [0, 0];
      for (let i = 0; i < this.n; i++) if (this.column.raw[i] === code) { all++; inside += mask[i]; }
      return h("tr", {}, h("th", { scope: "row" }, h("i", { class: "af-dot", style: { background: colour } }), name), h("td", { class: "af-num" }, inside), h("td", { class: "af-num af-none" }, `of ${all}`), h("td", { class: "af-num" }, `${Math.round((100 * inside) / chosen.length)} %`));
    }) : [];
    const list = chosen.slice(0, LISTED).map((i) => button(this.columns[0].text(i), () => tell(this.model, { focus: i }), { class: `af-link${i === this.model.get("focus") ? " is-focus" : ""}` }));
    return [h("div", { class: "af-row" }, h("h3", {}, `${chosen.length} selected`), h("span", { class: "af-space" }), button("Clear", () => writeSelection(this.model, new Uint8Array(0)), { class: "af-link" })),
      h("table", { class: "af-values" }, h("tbody", {}, rows)), h("div", { class: "af-ids" }, list, chosen.length > LISTED ? h("span", { class: "af-caption" }, `and ${chosen.length - LISTED} more`) : null)];
  }

  focused() {
    const i = this.model.get("focus");
    if (i < 0 || i >= this.n) return null;
    const told = this.columns.slice(1).filter((c) => ["target", "prediction"].includes(c.role) && !c.missing(i));
    return h("div", { class: "af-focused" }, h("h3", {}, this.columns[0].text(i)), h("dl", { class: "af-facts" }, told.map((c) => h("div", { class: c.role === "target" ? "is-target" : "" }, h("dt", {}, c.name), h("dd", {}, c.text(i))))));
  }
}

function render({ model, el }) {
  const view = new EmbeddingView(model, el);
  return view.frame.end;
}

export default { render };
