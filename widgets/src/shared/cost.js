// What a fetch will cost, before it is begun; and the first products, as they come in.
import { button, h, once, put } from "./dom.js";
import { number } from "./columns.js";
import { act, tell, want } from "./link.js";
import { settings, slot } from "./slot.js";

/** Bytes as a person says them. */
export const size = (bytes) => (bytes >= 1e9 ? `${number(bytes / 1e9, 2)} GB` : bytes >= 1e6 ? `${number(Math.round(bytes / 1e5) / 10)} MB` : bytes >= 1e3 ? `${Math.round(bytes / 1e3)} kB` : `${Math.round(bytes)} bytes`);

/** Seconds as a person says them. */
export const span = (seconds) => (seconds >= 7200 ? `${number(Math.round(seconds / 360) / 10)} h` : seconds >= 120 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds)} s`);

/** @param {any} model @param {any} life */
export function costs(model, life) {
  const node = h("div", {});
  const draw = () => {
    const plan = model.get("plan");
    if (!plan?.rows?.length) return put(node);
    const off = !model.get("live") || model.get("busy");
    const body = plan.rows.map((r) => h("tr", {}, h("th", { scope: "row" }, h("div", { class: "af-cut", title: r.survey }, r.survey)), [r.targets, r.cached, r.requests].map((v) => h("td", { class: `af-num${v ? "" : " af-none"}` }, v.toLocaleString("en"))), h("td", { class: "af-num" }, span(r.seconds)), h("td", { class: "af-num" }, size(r.bytes)), h("td", { class: "af-caption" }, r.basis)));
    const heads = ["survey", "targets", "in the cache", "requests", "time", "to come", ""];
    const said = h("p", {}, h("strong", {}, plan.asked ? "This is a large fetch: " : "Estimate: "), `${plan.requests ? `at least ${plan.requests.toLocaleString("en")} requests` : "no request to any archive"}, about ${span(plan.seconds)}, about ${size(plan.bytes)}. What the cache has is not asked again; Stop and Continue work at any time.`);
    const asks = plan.asked ? h("div", { class: "af-row" }, button("Fetch all the same", () => act(model, "fetch", { sure: true }), { class: "af-button primary", disabled: off }), button("Not now", () => tell(model, { plan: {} }), { disabled: off })) : null;
    return put(node, h("div", { class: `af-plan${plan.asked ? " is-asked" : ""}`, role: plan.asked ? "alert" : "status" }, said, asks,
      h("div", { class: "af-scroll" }, h("table", { class: "af-values" }, h("thead", {}, h("tr", {}, heads.map((t, i) => h("th", { class: i > 0 && i < 6 ? "af-num" : "" }, t)))), h("tbody", {}, body)))));
  };
  life.on("change:plan change:busy change:live", once(draw));
  draw();
  return node;
}

/** @param {any} model @param {any} life */
export function firstProducts(model, life) {
  const ui = settings();
  const grid = h("div", { class: "af-firsts" });
  const node = h("details", { class: "af-more", open: true, hidden: true }, h("summary", {}, "First products"), grid);
  const cards = new Map();
  const ends = [];
  const fill = (row, card) => want(model, `product/${row.key}`).then(
    (product) => put(card, h("div", { class: "af-caption" }, row.object_id), slot(product, { ui, columns: [], life: ends, id: row.object_id })),
    (error) => put(card, h("p", { class: "af-caption" }, `${row.survey}, ${row.object_id}: ${error.message}`)));
  const draw = () => {
    const rows = model.get("preview") || [];
    node.hidden = !rows.length;
    const keys = new Set(rows.map((r) => r.key));
    for (const [key, card] of cards) if (!keys.has(key)) { card.remove(); cards.delete(key); }
    for (const row of rows) {
      if (cards.has(row.key)) continue;
      const card = h("div", { class: "af-first" }, h("p", { class: "af-caption" }, `Reading ${row.survey}`));
      cards.set(row.key, card);
      fill(row, card);
    }
    if (rows.length) grid.append(...rows.map((row) => cards.get(row.key)));
  };
  life.on("change:preview", once(draw));
  life.push(() => ends.splice(0).forEach((end) => end()));
  draw();
  return node;
}
