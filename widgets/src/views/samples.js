// Samples: a table left, all modalities of the sample in focus right; coverage and quality in tabs beside.
import { annotationBar, annotationColumns, annotations } from "../shared/annotate.js";
import { typed } from "../shared/arrays.js";
import { classColour } from "../shared/colours.js";
import { columnTest, filtered, readColumns, sorted } from "../shared/columns.js";
import { h, once, put } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { grid } from "../shared/grid.js";
import { KEYS } from "../shared/keys.js";
import { readSelection, tell, want, writeSelection } from "../shared/link.js";
import { qualityReport } from "../shared/quality.js";
import { samplePanel } from "../shared/sample.js";
import { columnPicker, footer, tabs, toolbar } from "../shared/table_tools.js";
import { upset } from "../shared/upset.js";

const SHOWN = 6;

function readState(model, notes) {
  const columns = readColumns(model.get("columns"));
  const coverage = (model.get("coverage") || []).map((c) => ({ ...c, present: typed(c.present) }));
  const n = coverage.length ? coverage[0].present.length : columns[0]?.raw.length || 0;
  const all = [...columns, ...annotationColumns(notes)];
  return { columns: all, coverage, n, query: "", has: new Set(), only: false, told: false, order: { name: "", down: false }, rows: [], filters: new Map(), shown: columns.slice(0, SHOWN).map((c) => c.name), raw: false };
}

const named = (state, name) => state.columns.find((c) => c.name === name);

function arrange(state, model) {
  const more = state.coverage.filter((c) => state.has.has(c.name)).map((c) => (i) => c.present[i]);
  for (const [name, text] of state.filters) {
    const test = columnTest(text, named(state, name));
    if (test) more.push(test);
  }
  if (state.only) {
    const mask = readSelection(model, state.n);
    more.push((i) => mask[i]);
  }
  const rows = filtered(state.query, state.columns, state.n, more);
  const by = named(state, state.order.name);
  state.rows = by ? sorted(rows, by, state.order.down) : rows;
}

function step(model, state, by) {
  const at = state.rows.indexOf(model.get("focus"));
  const next = state.rows[at < 0 ? 0 : Math.min(state.rows.length - 1, Math.max(0, at + by))];
  if (next !== undefined) tell(model, { focus: next });
}

function toggle(model, state, i) {
  const mask = readSelection(model, state.n);
  mask[i] ^= 1;
  writeSelection(model, mask);
}

/** The table for the columns shown now. */
function tableOf(model, state, again) {
  const classes = state.columns.find((one) => one.kind === "category" && one.role === "target");
  return grid({
    columns: state.shown.map((name) => named(state, name)), rows: () => state.rows, selected: () => readSelection(model, state.n), focus: () => model.get("focus"), order: () => state.order,
    pick: (i) => tell(model, { focus: i }), toggle: (i) => toggle(model, state, i),
    sort: (name) => { state.order = { name, down: state.order.name === name && !state.order.down }; again(); },
    filter: {
      get: (name) => state.filters.get(name) || "",
      set: (name, text) => {
        if (text.trim()) state.filters.set(name, text);
        else state.filters.delete(name);
        again();
        return !text.trim() || columnTest(text, named(state, name)) !== null;
      },
    },
    colour: (c, i) => (c === classes && !c.missing(i) ? classColour(c.raw[i]) : null),
  });
}

/** Everything below the head, built anew when the set changes. */
class Browser {
  constructor(model, view, notes) {
    this.model = model;
    this.view = view;
    this.ends = [];
    this.state = readState(model, notes);
    this.notes = notes;
    const { state } = this;
    this.tools = toolbar(state, () => this.again());
    this.foot = footer(model, state, notes);
    this.bar = annotationBar(model, notes, { next: () => step(model, state, 1) });
    this.rawChip = h("button", { type: "button", class: "af-chip", "aria-pressed": "false", title: "Show what archives sent beside what was made of it (key r)", onclick: () => this.toggleRaw() }, "raw beside aligned");
    this.panel = samplePanel(model, {
      page: (by) => step(model, state, by), place: () => [state.rows.indexOf(model.get("focus")) + 1, state.rows.length],
      head: () => this.bar.node, tools: this.rawChip, raw: () => (state.raw ? want(model, `raw/${model.get("focus")}`) : null),
    });
    this.place = h("div", { class: "af-table-place" });
    this.picker = columnPicker(state, SHOWN, () => this.retable());
    this.retable();
    const side = h("div", { class: "af-side" }, this.tools.node, this.place, this.foot.node);
    const samples = h("div", { class: "af-split" }, side, this.panel.node);
    this.tabs = tabs([
      ["samples", "Samples", () => samples],
      ["coverage", "Coverage", () => upset(state.coverage, state.n, (rows) => this.select(rows), this.ends)],
      ["quality", "Quality", () => qualityReport(model, this.ends)],
    ]);
    put(view.main, this.tabs.node);
    this.again();
    this.table.reveal();
    this.bar.show();
    this.panel.show();
  }

  /** @param {boolean} [columns] other columns are shown: their list is drawn anew */
  retable(columns = false) {
    this.table?.end();
    if (columns) this.picker = columnPicker(this.state, SHOWN, () => this.retable());
    this.table = tableOf(this.model, this.state, () => this.again());
    put(this.place, this.picker, this.table.node);
    this.again();
  }

  again() {
    arrange(this.state, this.model);
    this.table.update();
    this.foot.show();
  }

  /** Something was said of a sample: with the first label the table shows a column of them. */
  said() {
    const { state, notes } = this;
    this.bar.show();
    if (!notes.book.said.size || state.told) return this.again();
    state.told = true;
    if (!state.shown.includes("my_label")) state.shown = [state.shown[0], "my_label", ...state.shown.slice(1)].slice(0, SHOWN);
    return this.retable(true);
  }

  select(rows) {
    const mask = new Uint8Array(this.state.n);
    for (const i of rows) mask[i] = 1;
    writeSelection(this.model, mask);
  }

  focused() {
    this.table.reveal();
    this.bar.show();
    this.panel.show();
  }

  toggleRaw() {
    this.state.raw = !this.state.raw;
    this.rawChip.setAttribute("aria-pressed", String(this.state.raw));
    this.panel.redraw();
  }

  toggleMask() {
    this.panel.ui.mask = !this.panel.ui.mask;
    this.panel.redraw();
  }

  /** Esc: the selection, then all that narrows the table. */
  clear() {
    if (this.model.get("selected")?.byteLength) return writeSelection(this.model, new Uint8Array(0));
    const { search } = this.tools;
    search.value = this.state.query = "";
    this.state.filters.clear();
    return this.retable();
  }

  end() {
    this.table.end();
    this.panel.end();
    this.bar.end();
    this.ends.splice(0).forEach((end) => end());
  }
}

function render({ model, el }) {
  /** @type {Browser | null} */
  let now = null;
  const page = (by) => () => now && step(model, now.state, by);
  const labels = Object.fromEntries([...Array(9).keys()].map((k) => [String(k + 1), () => now?.bar.label(k)]));
  const view = frame(model, el, {
    title: "Samples", keys: KEYS.samples,
    on: {
      ArrowLeft: page(-1), ArrowRight: page(1), ArrowUp: page(-1), ArrowDown: page(1), ...labels, 0: () => now?.bar.unlabel(),
      n: () => now?.bar.write(), r: () => now?.toggleRaw(), m: () => now?.toggleMask(), "/": () => now?.tools.search.focus(), Escape: () => now?.clear(),
      " ": (e) => (e.target.matches("button") ? false : now && model.get("focus") >= 0 && toggle(model, now.state, model.get("focus"))),
    },
  });
  const said = once(() => now?.said());
  const notes = annotations(model, view.life, said);
  const build = () => {
    now?.end();
    now = null;
    view.note.textContent = model.get("title");
    const [first] = model.get("coverage");
    const some = first ? first.present.shape[0] : model.get("columns").length;
    if (!some) return put(view.main, blank("No samples", "This set is empty. Align what was fetched with af.align(found), or load a set: af.load_samples(\"practice\")."));
    now = new Browser(model, view, notes);
    return undefined;
  };
  build();
  view.life.push(() => now?.end());
  view.life.on("change:focus", () => now?.focused());
  view.life.on("change:selected", once(() => now?.again()));
  view.life.on("change:columns", once(build));
  return view.end;
}

export default { render };
