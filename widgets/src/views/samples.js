// Samples: a table left, all modalities of the sample in focus right.
import { typed } from "../shared/arrays.js";
import { classColour, icon, label } from "../shared/colours.js";
import { filtered, readColumns, sorted } from "../shared/columns.js";
import { button, h, once, put } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { grid } from "../shared/grid.js";
import { KEYS } from "../shared/keys.js";
import { positions, readSelection, tell, writeSelection } from "../shared/link.js";
import { samplePanel } from "../shared/sample.js";


function readState(model) {
  const columns = readColumns(model.get("columns"));
  const coverage = (model.get("coverage") || []).map((c) => ({ ...c, present: typed(c.present) }));
  return { columns, coverage, n: coverage.length ? coverage[0].present.length : columns[0]?.raw.length || 0, query: "", has: new Set(), only: false, order: { name: "", down: false }, rows: [] };
}

/** Columns a table of this width can hold; the id and the targets always come first. */
const shownColumns = (columns) => columns.slice(0, 6);

function arrange(state, model) {
  const more = state.coverage.filter((c) => state.has.has(c.name)).map((c) => (i) => c.present[i]);
  if (state.only) {
    const mask = readSelection(model, state.n);
    more.push((i) => mask[i]);
  }
  const rows = filtered(state.query, state.columns, state.n, more);
  const by = state.columns.find((c) => c.name === state.order.name);
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

function toolbar(state, again) {
  const search = h("input", { type: "search", class: "af-search", placeholder: "Search: a word, label=quasar, redshift>0.5", "aria-label": "Search the samples", oninput: (e) => { state.query = e.target.value; again(); } });
  const chips = state.coverage.map((c) => h("button", {
    type: "button", class: "af-chip", "aria-pressed": "false", title: `Only samples that have ${label(c.name)}`,
    onclick: (e) => {
      if (!state.has.delete(c.name)) state.has.add(c.name);
      e.currentTarget.setAttribute("aria-pressed", String(state.has.has(c.name)));
      again();
    },
  }, icon(c.kind, 14), label(c.name), h("span", { class: "af-num" }, c.present.reduce((sum, v) => sum + v, 0))));
  const only = h("button", { type: "button", class: "af-chip", "aria-pressed": "false", onclick: (e) => { state.only = !state.only; e.currentTarget.setAttribute("aria-pressed", String(state.only)); again(); } }, "selected only");
  return { search, node: h("div", { class: "af-bar-tools" }, search, h("div", { class: "af-chips", role: "group", "aria-label": "Only samples that have" }, chips, only)) };
}

function footer(model, state) {
  const count = h("span", { class: "af-caption" });
  const all = button("Select shown", () => {
    const mask = readSelection(model, state.n);
    for (const i of state.rows) mask[i] = 1;
    writeSelection(model, mask);
  }, { class: "af-link" });
  const none = button("Clear selection", () => writeSelection(model, new Uint8Array(0)), { class: "af-link" });
  return { node: h("div", { class: "af-row" }, count, h("span", { class: "af-space" }), all, none), show: () => (count.textContent = `${state.rows.length} of ${state.n} shown, ${positions(readSelection(model, state.n)).length} selected`) };
}

function render({ model, el }) {
  let state = readState(model);
  let search;
  const clear = () => {
    if (model.get("selected")?.byteLength) writeSelection(model, new Uint8Array(0));
    else if (search?.value) { search.value = state.query = ""; search.dispatchEvent(new Event("input")); }
  };
  const view = frame(model, el, {
    title: "Samples", keys: KEYS.samples,
    on: { ArrowLeft: () => step(model, state, -1), ArrowRight: () => step(model, state, 1), ArrowUp: () => step(model, state, -1), ArrowDown: () => step(model, state, 1), " ": (e) => (e.target.matches("button") ? false : model.get("focus") >= 0 && toggle(model, state, model.get("focus"))), "/": () => search?.focus(), Escape: clear },
  });
  const build = () => {
    state = readState(model);
    view.note.textContent = model.get("title");
    if (!state.n) return put(view.main, blank("No samples", "This set is empty. Align what was fetched with af.align(found), or load a set: af.load_samples(\"practice\")."));
    const table = grid({
      columns: shownColumns(state.columns), rows: () => state.rows, selected: () => readSelection(model, state.n), focus: () => model.get("focus"), order: () => state.order,
      pick: (i) => tell(model, { focus: i }), toggle: (i) => toggle(model, state, i),
      sort: (name) => { state.order = { name, down: state.order.name === name && !state.order.down }; again(); },
      colour: (c, i) => (c === state.columns.find((one) => one.kind === "category" && one.role === "target") && !c.missing(i) ? classColour(c.raw[i]) : null),
    });
    const foot = footer(model, state);
    const again = () => { arrange(state, model); table.update(); foot.show(); };
    const tools = toolbar(state, again);
    search = tools.search;
    const panel = samplePanel(model, { page: (by) => step(model, state, by), place: () => [state.rows.indexOf(model.get("focus")) + 1, state.rows.length] });
    view.life.push(table.end, panel.end);
    view.life.on("change:focus", () => { table.reveal(); table.update(); panel.show(); });
    view.life.on("change:selected", once(again));
    again();
    put(view.main, h("div", { class: "af-split" }, h("div", { class: "af-side" }, tools.node, table.node, foot.node), panel.node));
    table.reveal();
    panel.show();
    return undefined;
  };
  build();
  view.life.on("change:columns", once(build));
  return view.end;
}

export default { render };
