// Embedding: the map of a model's spaces; lasso a group, colour by any column, search, compare two maps, page through what was found.
import { label } from "../shared/colours.js";
import { button, choice, h, once, put } from "../shared/dom.js";
import { frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { act, readSelection, tell, writeSelection } from "../shared/link.js";
import looks from "../shared/map.css";
import { mapColumns, search } from "../shared/map_columns.js";
import { epochSlider } from "../shared/map_epochs.js";
import { legend } from "../shared/map_legend.js";
import { mapTwin } from "../shared/map_twin.js";
import { pane, spaceName } from "../shared/map_pane.js";
import { summary } from "../shared/map_summary.js";
import { sampled, thumbs } from "../shared/map_thumbs.js";
import { pager } from "../shared/paging.js";
import { classNames, inkOf, palette } from "../shared/palette.js";
import { twin } from "../shared/twin.js";

const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const STEP = 60; // pixels that shift and an arrow move the map

class EmbeddingView {
  constructor(model, el) {
    this.model = model;
    this.frame = frame(model, el, { title: "Embedding", keys: KEYS.embedding, on: this.keys(), themed: () => this.panes?.forEach((p) => p.scatter.draw()), looks });
    this.found = null;
    this.build();
    const { on } = this.frame.life;
    on("change:maps change:method change:space change:beside change:epoch change:epochs", once(() => this.showMaps()));
    on("change:columns", once(() => this.readColumns()));
    on("change:colour", once(() => this.recolour()));
    on("change:selected change:focus", once(() => this.showSelection()));
    on("change:busy change:live change:notes change:methods change:density change:thumbs change:kept", once(() => this.drawTools()));
  }

  keys() {
    const arrow = (name) => (event) => this.arrow(name, event);
    const scatter = () => (this.panes[1]?.scatter.canvas === this.frame.root.getRootNode().activeElement ? this.panes[1] : this.panes[0]).scatter;
    const page = (by) => () => this.pager.page(by);
    return {
      ...Object.fromEntries(Object.keys(ARROWS).map((name) => [name, arrow(name)])), "[": page(-1), "]": page(1),
      Escape: () => this.clear(), " ": (event) => this.flip(event), Home: () => scatter().fit(), 0: () => scatter().fit(),
      "+": () => scatter().zoom(1.3), "=": () => scatter().zoom(1.3), "-": () => scatter().zoom(1 / 1.3),
      l: () => this.use("lasso"), p: () => this.use("pan"), v: () => scatter().visible("new"), c: () => this.compare(), "/": () => this.query.focus(), k: () => this.colourBy?.focus(),
    };
  }

  /** On a map an arrow goes to the neighbour that lies there, with shift it moves the map; elsewhere it pages through the samples. */
  arrow(name, event) {
    const [dx, dy] = ARROWS[name];
    const on = this.panes.find((p) => p.scatter.canvas === event.target);
    if (!on) return this.pager.page(dx + dy > 0 ? (name === "ArrowUp" ? -1 : 1) : name === "ArrowDown" ? 1 : -1);
    if (event.shiftKey) return on.scatter.pan(-dx * STEP, dy * STEP);
    const next = on.scatter.neighbour(this.model.get("focus"), dx, dy);
    if (next < 0) return undefined;
    tell(this.model, { focus: next });
    return on.scatter.reveal(next);
  }

  /** Select the sample in focus, or take it out. */
  flip(event) {
    const focus = this.model.get("focus");
    if (!this.panes.some((p) => p.scatter.canvas === event.target) || focus < 0) return false;
    const mask = readSelection(this.model, this.n);
    mask[focus] ^= 1;
    return writeSelection(this.model, mask);
  }

  clear() {
    this.query.value = "";
    this.find("");
    writeSelection(this.model, new Uint8Array(0));
  }

  build() {
    const { model } = this;
    this.tools = h("div", { class: "af-row" });
    this.more = h("div", { class: "af-row" });
    this.query = h("input", { type: "search", class: "af-find", placeholder: "search ids, label=…, z>0.5", "aria-label": "Search samples; Enter selects them", oninput: () => this.find(this.query.value), onkeydown: (event) => event.key === "Enter" && this.take() });
    this.says = h("span", { class: "af-caption", role: "status" });
    this.thumbs = thumbs(model, (i) => this.facts(i), (i) => this.known(i).id || `sample ${i}`);
    this.legendNode = h("div", { class: "af-legend", role: "group", "aria-label": "Legend: press to hide or show" });
    this.legend = legend(this.legendNode, () => this.restate());
    this.heads = [h("div", { class: "af-row af-pane-head", hidden: true }), h("div", { class: "af-row af-pane-head" })];
    this.panes = [this.pane(0)];
    this.paneBox = h("div", { class: "af-panes" }, this.panes[0].node);
    this.epochs = epochSlider(model, this.frame.life);
    this.twins = h("div", {});
    this.open = new Set();
    this.summary = summary(model, { facts: (i) => this.known(i), pick: (i) => this.pick(i), clear: () => this.clear() });
    this.strip = h("div", { class: "af-strip", role: "group", "aria-label": "Some of those selected" });
    const left = h("div", {}, this.paneBox, this.epochs.node, this.twins, this.strip);
    put(this.frame.main, this.tools, this.more, h("div", { class: "af-map-split" }, left, h("div", { class: "af-panel" }, this.legendNode, this.summary.node)));
    this.frame.note.textContent = model.get("title");
    this.frame.life.push(() => this.panes.forEach((p) => p.scatter.end()), () => this.thumbs.end());
    this.readColumns();
    this.showMaps();
  }

  pane(k) {
    const made = pane(this.model, { pick: (i) => this.pick(i), lasso: (each, how) => this.lasso(each, how), hover: (i, x, y) => this.hover(k, i, x, y) }, this.heads[k]);
    return made;
  }

  readColumns() {
    this.columns = mapColumns(this.model, this.model.get("columns"));
    const n = this.columns[0]?.n === 1 && this.columns[0].ready && this.columns[0].text(0) === "" ? 0 : this.columns[0]?.n || 0;
    if (n !== this.n) this.found = null;
    this.n = n;
    this.pager = pager(this.model, n);
    if (!this.columns.some((c) => c.name === this.model.get("colour"))) tell(this.model, { colour: this.columns.find((c) => c.role === "target" && c.kind !== "text")?.name || "" });
    this.classes = classNames(this.columns, this.model.get("colour"));
    this.summary.samples(n, this.columns);
    this.drawTools();
    this.recolour();
  }

  /** Which planes the maps show: that of the method and space, or of an epoch of training; and the one beside it. */
  wanted() {
    const { model } = this;
    const maps = model.get("maps") || {};
    const of = (method, space) => ({ method, plane: (maps[method] || []).find((p) => p.space === space) });
    const first = of(model.get("method"), model.get("space"));
    first.plane ??= (maps[model.get("method")] || [])[0];
    const frames = this.epochs.frames(first.plane?.space ?? model.get("space"));
    const frame = frames[model.get("epoch")];
    if (frame) Object.assign(first, { plane: frame, method: "epoch" });
    const [method, ...space] = model.get("beside").split("/");
    return [first, ...(method ? [of(method, space.join("/"))] : [])];
  }

  showMaps() {
    const wanted = this.wanted();
    this.drawTools();
    while (this.panes.length > wanted.length) {
      const gone = this.panes.pop();
      gone.scatter.end();
      gone.node.remove();
    }
    while (this.panes.length < wanted.length) {
      const added = this.pane(this.panes.length);
      this.panes.push(added);
      this.paneBox.append(added.node);
      added.scatter.colours(this.inks);
    }
    this.paneBox.classList.toggle("is-two", wanted.length > 1);
    this.epochs.draw(wanted[0].plane?.space);
    wanted.forEach(({ plane, method }, k) => this.panes[k].show(plane, this.n, method, () => this.restate()));
    this.drawHeads(wanted);
    this.showSelection();
  }

  /** What each of two maps is; the second may be chosen there. */
  drawHeads(wanted) {
    const { model } = this;
    const titles = Object.fromEntries(model.get("methods") || []);
    const named = (method, space) => [titles[method], space].filter(Boolean).map(label).join(" · ");
    this.heads[0].hidden = wanted.length < 2;
    if (wanted.length < 2) return;
    const pairs = Object.entries(model.get("maps") || {}).flatMap(([method, planes]) => planes.map((p) => [`${method}/${p.space}`, named(method, p.space)]));
    put(this.heads[0], h("strong", {}, wanted[0].plane ? named(model.get("method"), wanted[0].plane.space) : ""));
    put(this.heads[1], h("label", { class: "af-check" }, "beside it", choice("Map beside", pairs, model.get("beside"), (beside) => tell(model, { beside }))), h("span", { class: "af-space" }), button("Close", () => this.compare(), { class: "af-link", "aria-label": "Close the second map" }));
  }

  /** A second map beside the first: another space of the same method, or else another method; or none. */
  compare() {
    const { model } = this;
    if (model.get("beside")) return tell(model, { beside: "" });
    const all = Object.entries(model.get("maps") || {}).flatMap(([method, planes]) => planes.map((p) => [method, p.space]));
    const [method, space] = [model.get("method"), this.wanted()[0].plane?.space];
    const other = all.find(([m, s]) => m === method && s !== space) || all.find(([m, s]) => m !== method && s === space) || all[0];
    return other && tell(model, { beside: other.join("/") });
  }

  use(tool) {
    for (const one of this.panes) one.scatter.tool = tool;
    this.drawTools();
  }

  drawTools() {
    const { model } = this;
    const maps = model.get("maps") || {};
    const live = model.get("live");
    const planes = maps[model.get("method")] || [];
    const shown = (planes.find((p) => p.space === model.get("space")) || planes[0])?.space;
    const chip = (text, pressed, onclick, more = {}) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(pressed), onclick, ...more }, text);
    const spaces = planes.length < 2 && shown === "given" ? [] : planes.map((p) => chip(spaceName(p.space), p.space === shown, () => tell(model, { space: p.space })));
    // a page without a kernel computes nothing: only what was stored is offered, and one map is no choice
    const known = (model.get("methods") || []).filter(([m]) => live || m in maps);
    const methods = known.length < 2 ? [] : known.map(([m, title]) => {
      const ready = m in maps;
      return chip(title, m === model.get("method"), () => (ready ? tell(model, { method: m }) : act(model, "embed", { method: m })), { disabled: !ready && (m === "pca" || model.get("busy") || !live), title: ready ? `Show ${title}` : `Compute ${title} in the background` });
    });
    const group = (name, chips) => (chips.length ? h("div", { class: "af-chips", role: "group", "aria-label": name }, chips) : null);
    const several = Object.values(maps).flat().length > 1;
    put(this.tools, group("Space", spaces), group("Method", methods), h("span", { class: "af-space" }), several ? chip("compare", Boolean(model.get("beside")), () => this.compare(), { title: "A second map beside this one, with the same selection" }) : null);
    this.tools.hidden = !(spaces.length || methods.length || several);
    const coloured = this.columns?.filter((c) => c.kind !== "text") || [];
    this.colourBy = choice("Colour by", coloured.map((c) => [c.name, c.name]), model.get("colour"), (v) => tell(model, { colour: v }));
    const tool = (name, text) => chip(text, this.panes[0].scatter.tool === name, () => this.use(name));
    const idle = live && !model.get("busy") && known.length > 0 && planes.length > 0;
    const job = (text, call, title, there = true) => (live && known.length && there ? button(text, call, { class: "af-link", disabled: !idle, title }) : null);
    put(this.more, h("label", { class: "af-check" }, "colour by", this.colourBy), this.query, this.says,
      job("Find groups", () => act(model, "groups", { space: shown }), "Clusters (HDBSCAN) and anomalies of this space, as columns to colour by"),
      job("Check stability", () => act(model, "stability", { method: model.get("method"), space: shown }), "Make this map with other seeds and say how much of it stays", model.get("method") !== "pca"),
      job("Show training", () => act(model, "training"), "How this map came about, epoch by epoch", model.get("kept") > 0 && !model.get("epochs").length),
      h("span", { class: "af-space" }), group("Tool", [tool("lasso", "lasso"), tool("pan", "move")]),
      choice("Draw", [["auto", "points, or density"], ["points", "points"], ["density", "density"]], model.get("density"), (v) => tell(model, { density: v })),
      button("Show all", () => this.panes.forEach((p) => p.scatter.fit()), { class: "af-link" }));
    for (const one of this.panes) if (one.scatter.mode !== model.get("density")) {
      one.scatter.mode = model.get("density");
      one.scatter.draw();
    }
    this.tools.title = (model.get("notes") || []).join("\n");
  }

  recolour() {
    const name = this.model.get("colour");
    const column = this.columns.find((c) => c.name === name);
    if (this.colourBy) this.colourBy.value = name;
    if (column && !column.ready) column.load().then(() => this.model.get("colour") === name && this.recolour(), (error) => (this.says.textContent = error.message));
    this.column = column;
    this.ink = palette(column?.ready ? column : null, this.classes);
    this.inks = inkOf(this.ink, this.n);
    for (const one of this.panes) one.scatter.colours(this.inks);
    this.legend.show(this.ink, column);
    this.restate();
  }

  /** Each map that is shown, in words and as a table. */
  drawTwins(mask) {
    const shown = this.panes.filter((p) => p.plane?.n && p.scatter.xy.length === 2 * this.n);
    const titles = Object.fromEntries(this.model.get("methods") || []);
    put(this.twins, shown.map((p, k) => {
      const method = k && this.model.get("beside") ? this.model.get("beside").split("/")[0] : this.model.get("method");
      const what = [titles[method], label(p.plane.space)].filter(Boolean).join(", ");
      const badges = (p.plane.badges || []).map(({ name, value }) => `${name} ${value === null || value === undefined ? "not known" : value.toFixed(2)}`).join(", ");
      return twin(mapTwin({ xy: p.scatter.xy, n: this.n, ink: this.ink, column: this.column, mask, what, badges }), this.open);
    }));
  }

  /** Tell the maps which samples are drawn and which are selected. */
  restate() {
    this.shown = this.legend.mask(this.n);
    this.showSelection();
  }

  find(query) {
    const asked = (this.asked = query.trim());
    clearTimeout(this.typing);
    this.found = null;
    this.says.textContent = "";
    if (!asked) return;
    this.typing = setTimeout(() => search(asked, this.columns, this.n).then((found) => {
      if (this.asked !== asked) return;
      this.found = found;
      this.says.textContent = found.count ? `${found.count} found; Enter selects` : "none found";
    }, (error) => (this.says.textContent = error.message)), 150);
  }

  /** Select what was searched for, and go to it. */
  async take() {
    clearTimeout(this.typing);
    this.asked = this.query.value.trim();
    if (!this.asked) return;
    const { mask, count } = (this.found = await search(this.asked, this.columns, this.n));
    this.says.textContent = count ? `${count} found` : "none found";
    if (!count) return;
    const first = mask.indexOf(1);
    writeSelection(this.model, mask);
    tell(this.model, { focus: first });
    for (const one of this.panes) one.scatter.reveal(first);
  }

  pick(i) {
    tell(this.model, { focus: i });
    for (const one of this.panes) one.scatter.reveal(i);
  }

  lasso(each, how) {
    const mask = how === "new" ? new Uint8Array(this.n) : readSelection(this.model, this.n);
    const value = how === "remove" ? 0 : 1;
    each((i) => (mask[i] = value));
    writeSelection(this.model, mask);
  }

  /** What is known of a sample here, without asking Python. */
  known(i) {
    const told = this.columns.filter((c, k) => k > 0 && c.ready && c.kind !== "text" && (["target", "prediction"].includes(c.role) || c === this.column));
    return { id: this.columns[0]?.ready ? this.columns[0].text(i) : "", facts: told.filter((c) => !c.missing(i)).slice(0, 6).map((c) => [c.name, c.text(i), c.role]) };
  }

  facts(i) {
    const { id, facts } = this.known(i);
    return [h("strong", {}, id || `sample ${i}`), facts.map(([name, text]) => h("div", {}, `${name} ${text}`))];
  }

  hover(k, i, x, y) {
    const { tip, tipAt } = this.panes[k];
    this.panes.forEach(({ scatter }, other) => {
      if (other === k || scatter.beside === i) return;
      scatter.beside = i;
      scatter.drawMarks();
    });
    this.thumbs.hover(tip, i);
    if (i >= 0) tipAt(x, y);
  }

  showSelection() {
    const mask = readSelection(this.model, this.n);
    const focus = this.model.get("focus");
    for (const { scatter } of this.panes) {
      scatter.focus = focus;
      scatter.drawMarks();
      if (scatter.xy.length !== 2 * this.n || (scatter.told?.[0] === this.shown && scatter.told[1] === this.model.get("selected"))) continue;
      scatter.states(this.shown, mask);
      scatter.told = [this.shown, this.model.get("selected")];
    }
    const count = this.summary.draw(mask, this.ink, this.column);
    this.drawTwins(mask);
    this.thumbs.strip(this.strip, sampled(mask, count, this.thumbs.some), focus, (i) => this.pick(i));
  }
}

function render({ model, el }) {
  const view = new EmbeddingView(model, el);
  return view.frame.end;
}

export default { render };
