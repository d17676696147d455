// A table of any length: only the rows on screen exist; arrows move, space selects, a click on a head sorts.
import { h, once, put } from "./dom.js";

const ROW = 28;

/**
 * @param {{columns: any[], rows: () => number[], selected: () => Uint8Array, focus: () => number, pick: (i: number) => void,
 *   toggle: (i: number) => void, sort: (name: string) => void, order: () => {name: string, down: boolean}, colour?: (c: any, i: number) => string | null,
 *   filter?: {get: (name: string) => string, set: (name: string, text: string) => boolean}}} source
 *   `filter`: what is typed under each head; `set` says whether it means something
 */
export function grid(source) {
  const { columns } = source;
  const heads = h("div", { class: "af-grid-row af-grid-head", role: "row" });
  const space = h("div", { class: "af-grid-space" });
  const view = h("div", { class: "af-grid-view", tabindex: "0", role: "rowgroup", "aria-label": "Samples" }, space);
  const { filter } = source;
  const filters = filter ? h("div", { class: "af-grid-row af-grid-filters", role: "row" }, h("span", { class: "af-tick", role: "gridcell" }), columns.map((c) => h("span", { role: "gridcell" }, h("input", {
    type: "text", value: filter.get(c.name), placeholder: c.kind === "number" ? "0..1, >2" : "filter", "aria-label": `Filter ${c.name}`, title: c.kind === "number" ? "a number, >0.5, 0.1..0.5, or - for missing" : "part of a word, =whole, !=other, or - for missing",
    oninput: (e) => e.target.setAttribute("aria-invalid", String(!filter.set(c.name, e.target.value))),
    onkeydown: (e) => { if (e.key === "Escape") { e.stopPropagation(); if (e.target.value) { e.target.value = ""; e.target.dispatchEvent(new Event("input")); } else node.closest(".af")?.focus(); } },
  })))) : null;
  const node = h("div", { class: "af-grid", role: "grid", "aria-label": "Samples" }, heads, filters, view);
  node.style.setProperty("--columns", String(columns.length));

  const drawHeads = () => {
    const { name, down } = source.order();
    put(heads, h("span", { class: "af-tick", role: "columnheader", "aria-label": "Selected" }), columns.map((c) =>
      h("button", { type: "button", role: "columnheader", title: `${c.name}${c.unit ? ` (${c.unit})` : ""}, ${c.role}; click to sort`, "aria-sort": c.name === name ? (down ? "descending" : "ascending") : "none", class: c.kind === "number" ? "af-num" : "", onclick: () => source.sort(c.name) },
        c.name, c.name === name ? (down ? " ↓" : " ↑") : "")));
  };

  const rowNode = (i, at, mask, focus) => {
    const box = h("input", { type: "checkbox", checked: mask[i] > 0, tabindex: "-1", "aria-label": `Select ${columns[0].text(i)}`, onclick: (e) => { e.stopPropagation(); source.toggle(i); } });
    const cells = columns.map((c) => {
      const colour = source.colour?.(c, i);
      return h("span", { role: "gridcell", class: `${c.kind === "number" ? "af-num" : ""}${c.missing(i) ? " af-none" : ""}`, title: c.text(i) }, colour && h("i", { class: "af-dot", style: { background: colour } }), c.missing(i) ? "–" : c.text(i));
    });
    return h("div", { class: `af-grid-row${i === focus ? " is-focus" : ""}${mask[i] ? " is-selected" : ""}`, role: "row", "aria-selected": String(mask[i] > 0), style: { top: `${at * ROW}px` }, onclick: () => source.pick(i) }, h("span", { class: "af-tick", role: "gridcell" }, box), cells);
  };

  const draw = () => {
    const rows = source.rows();
    const first = Math.max(0, Math.floor(view.scrollTop / ROW) - 4);
    const last = Math.min(rows.length, first + Math.ceil((view.clientHeight || 400) / ROW) + 8);
    const mask = source.selected();
    const focus = source.focus();
    space.style.height = `${rows.length * ROW}px`;
    put(space, rows.slice(first, last).map((i, k) => rowNode(i, first + k, mask, focus)));
  };

  const reveal = () => {
    const at = source.rows().indexOf(source.focus());
    if (at < 0) return;
    if (at * ROW < view.scrollTop) view.scrollTop = at * ROW;
    else if ((at + 1) * ROW > view.scrollTop + view.clientHeight) view.scrollTop = (at + 1) * ROW - view.clientHeight;
  };

  const later = once(draw);
  view.addEventListener("scroll", later);
  // the rows that fit are known only once the host has laid the view out
  const observer = new ResizeObserver(later);
  observer.observe(view);
  drawHeads();
  return { node, update: () => { drawHeads(); later(); }, reveal: () => { reveal(); later(); }, end: () => observer.disconnect() };
}
