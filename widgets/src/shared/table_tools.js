// What stands around a table of samples: search and chips above, counts and selection below, which columns, and tabs.
import { icon, label } from "./colours.js";
import { button, choice, h, put } from "./dom.js";
import { positions, readSelection, writeSelection } from "./link.js";

/** @param {any} state @param {() => void} again */
export function toolbar(state, again) {
  const search = h("input", { type: "search", class: "af-search", placeholder: "Search: a word, label=quasar, redshift=0.1..0.5", "aria-label": "Search the samples", oninput: (e) => { state.query = e.target.value; again(); } });
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

/** @param {any} model @param {any} state @param {any} notes */
export function footer(model, state, notes) {
  const count = h("span", { class: "af-caption", role: "status" });
  const all = button("Select shown", () => {
    const mask = readSelection(model, state.n);
    for (const i of state.rows) mask[i] = 1;
    writeSelection(model, mask);
  }, { class: "af-link" });
  const none = button("Clear selection", () => writeSelection(model, new Uint8Array(0)), { class: "af-link" });
  const many = h("span", {});
  let words = "";
  const show = () => {
    const chosen = positions(readSelection(model, state.n));
    const said = notes.book.said.size;
    count.textContent = `${state.rows.length} of ${state.n} shown, ${chosen.length} selected${said ? `, ${said} with your label or note` : ""}`;
    const possible = chosen.length > 0 && notes.book.state === "known" && model.get("live");
    const now = possible ? [chosen.length, ...notes.book.labels].join("\n") : "";
    if (now === words) return;
    words = now;
    put(many, possible ? choice(`Label the ${chosen.length} selected`, [["", `label the ${chosen.length} selected`], ...notes.book.labels.map((name) => [`=${name}`, name]), ["=", "no label"]], "", (value) => {
      if (value) notes.setAll(positions(readSelection(model, state.n)), value.slice(1));
      many.querySelector("select").value = "";
    }) : null);
  };
  return { node: h("div", { class: "af-row" }, count, h("span", { class: "af-space" }), many, all, none), show };
}

/** Which columns the table shows, as many as fit. @param {any} state @param {number} most @param {() => void} again */
export function columnPicker(state, most, again) {
  const list = h("div", { class: "af-column-list", role: "group", "aria-label": "Columns shown" });
  const draw = () => put(list, state.columns.map((c) => {
    const on = state.shown.includes(c.name);
    return h("label", { class: "af-check" }, h("input", {
      type: "checkbox", checked: on, disabled: c.role === "id" || (!on && state.shown.length >= most), "data-name": `column-${c.name}`,
      onchange: (e) => {
        if (e.target.checked) state.shown.splice(1, 0, c.name); // first after the id, so that it is seen in a narrow table too
        else {
          state.shown = state.shown.filter((name) => name !== c.name);
          state.filters.delete(c.name);
        }
        draw();
        again();
      },
    }), c.name, h("span", { class: "af-unit" }, c.unit));
  }));
  draw();
  return h("details", { class: "af-columns" }, h("summary", {}, "columns"), list, h("p", { class: "af-caption" }, `up to ${most}, fewer where it is narrow, the last chosen first; a search reaches all`));
}

/** Tabs that are built when first opened. @param {[string, string, () => any][]} pages */
export function tabs(pages) {
  const built = new Map();
  const list = h("div", { class: "af-tabs", role: "tablist", "aria-label": pages.map(([, title]) => title).join(", ") });
  const body = h("div", { role: "tabpanel" });
  const open = (name) => {
    const page = pages.find(([one]) => one === name);
    if (!built.has(name)) {
      const made = page[2]();
      built.set(name, made);
      body.append(made);
    }
    for (const [one, node] of built) node.hidden = one !== name;
    body.setAttribute("aria-label", page[1]);
    for (const tab of list.children) {
      tab.setAttribute("aria-selected", String(tab.dataset.name === name));
      tab.tabIndex = tab.dataset.name === name ? 0 : -1;
    }
  };
  const move = (e) => {
    const by = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    if (!by) return;
    e.preventDefault();
    e.stopPropagation();
    const all = [...list.children];
    const next = all[(all.indexOf(e.target) + by + all.length) % all.length];
    next.focus();
    open(next.dataset.name);
  };
  list.append(...pages.map(([name, title]) => h("button", { type: "button", role: "tab", class: "af-tab", "data-name": name, onclick: () => open(name), onkeydown: move }, title)));
  open(pages[0][0]);
  return { node: h("div", { class: "af-tabbed" }, list, body), open };
}
