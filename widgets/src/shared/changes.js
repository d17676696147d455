// Interventions on the model's input: a modality of another object, or an edit of the data; what is predicted before and after.
import { label } from "./colours.js";
import { number } from "./columns.js";
import { button, choice, h, s } from "./dom.js";

export const NOT_CAUSES = "This is what the model does when its input is changed, not what causes what in the sky: the changed object need not exist.";
const isShare = (task) => task === "classification" || task === "multi_label";

/** Before and after on one axis: an open dot, an arrow, a full dot; a tick for each member. */
function arrow(one) {
  const all = one.likely.flat().filter((v) => v !== null);
  const share = isShare(one.task);
  const [low, high] = share ? [0, 1] : [Math.min(...all), Math.max(...all)];
  const pad = share ? 0 : (high - low) * 0.15 || 1;
  const X = (v) => 8 + (204 * (v - low + pad)) / (high - low + 2 * pad);
  const mean = one.likely.map((row) => (row.every((v) => v === null) ? NaN : row.reduce((a, v) => a + (v ?? 0), 0) / row.length));
  const ticks = one.members > 1 ? one.likely.flatMap((row, k) => row.filter((v) => v !== null).map((v) => s("path", { d: `M${X(v)} ${k ? 16 : 4}v5`, stroke: "var(--af-muted)" }))) : [];
  const [a, b] = mean.map((v) => (Number.isFinite(v) ? X(v) : null));
  const head = a !== null && b !== null && Math.abs(b - a) > 9 ? s("path", { d: `M${a} 12.5H${b - Math.sign(b - a) * 5}`, stroke: "var(--af-text)", "stroke-width": 1.4 }) : null;
  return s("svg", { class: "af-plot", width: 220, height: 25, role: "img", "aria-label": `${number(mean[0], 3)} before, ${number(mean[1], 3)} after` }, s("path", { d: "M8 12.5h204", stroke: "var(--af-line)" }), ticks, head,
    a === null ? null : s("circle", { cx: a, cy: 12.5, r: 4, fill: "var(--af-bg)", stroke: "var(--af-text)", "stroke-width": 1.5 }), b === null ? null : s("circle", { cx: b, cy: 12.5, r: 4, fill: one.flipped ? "#D55E00" : "var(--af-accent)" }));
}

const value = (one, k) => {
  const row = one.likely[k].filter((v) => v !== null);
  return row.length ? number(row.reduce((a, v) => a + v, 0) / row.length, 3) : "nothing to go by";
};

/** One row a change. @param {any[]} history @param {(i: number) => void} remove */
export function changeTable(history, remove) {
  if (!history.length) return h("p", { class: "af-caption" }, "No change asked for yet.");
  const heads = ["change", `${history[0].one && isShare(history[0].one.task) ? "probability" : "prediction"}: ○ before, ● after`, "before → after", "score", "predicted", ""];
  const rows = history.map(({ one, name, problem }, i) => {
    const away = h("td", {}, button("Remove", () => remove(i), { class: "af-link", "aria-label": `Remove ${name}` }));
    if (problem) return h("tr", {}, h("th", { scope: "row" }, name), h("td", { colspan: 4, class: "af-poor" }, problem), away);
    if (!one) return h("tr", {}, h("th", { scope: "row" }, name), h("td", { colspan: 4, class: "af-none", role: "status" }, "asking the model"), away);
    const what = isShare(one.task) ? `p(${one.explained}) ` : "";
    if (!one.changed) return h("tr", {}, h("th", { scope: "row" }, one.name), h("td", { colspan: 4, class: "af-none" }, "nothing changed: this sample does not have what the change needs, or the model is not given it"), away);
    return h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, arrow(one)), h("td", { class: "af-num" }, `${what}${value(one, 0)} → ${value(one, 1)} ${one.unit}`),
      h("td", { class: "af-num", title: `change of the ${one.score_name.replaceAll("_", " ")}` }, `${one.difference > 0 ? "+" : ""}${number(one.difference, 2)}${one.members > 1 ? ` ± ${number(one.spread, 2)}` : ""}`),
      h("td", {}, one.flipped ? h("span", { class: "af-tag wrong" }, `${one.predicted[0]} → ${one.predicted[1]}`) : isShare(one.task) ? String(one.predicted[1]) : ""), away);
  });
  return h("div", { class: "af-across-scroll" }, h("table", { class: "af-values af-changes" }, h("thead", {}, h("tr", {}, heads.map((name) => (name ? h("th", { scope: "col" }, name) : h("td", {}))))), h("tbody", {}, rows)));
}

/** The form of one edit; `ui.edit` is its number, `ui.fields` what was typed. @param {any[]} edits @param {any} ui @param {(name: string, parts: any[]) => void} ask @param {() => void} again */
export function editForm(edits, ui, ask, again) {
  ui.edit = Math.min(ui.edit || 0, edits.length - 1);
  const edit = edits[ui.edit];
  const typed = (ui.fields[ui.edit] ||= Object.fromEntries(edit.fields.map((f) => [f.name, f.value])));
  const fields = edit.fields.map((f) => {
    if (f.kind === "choice") return h("label", { class: "af-check" }, f.label, choice(f.label, f.options.map((o) => [o, label(o)]), typed[f.name], (v) => (typed[f.name] = v)));
    const number_ = f.kind === "number";
    return h("label", { class: "af-check" }, f.label, h("input", { type: number_ ? "number" : "text", step: number_ ? "any" : null, class: number_ ? "af-small" : "", "aria-label": f.label, value: typed[f.name] ?? "", oninput: (e) => (typed[f.name] = e.target.value) }));
  });
  const go = () => {
    const options = { ...edit.fixed };
    for (const f of edit.fields) {
      const v = typed[f.name];
      if (f.kind === "number") options[f.name] = v === "" || v === null || v === undefined ? null : Number(v);
      else options[f.name] = f.kind === "words" ? String(v).trim().split(/\s+/).filter(Boolean) : v;
    }
    ask(`${edit.label}: ${edit.fields.map((f) => typed[f.name] ?? "missing").join(", ")}`, [{ name: edit.name, options }]);
  };
  return h("div", { class: "af-row", role: "group", "aria-label": "Edit the data" }, h("label", { class: "af-check" }, "edit", choice("Edit", edits.map((e, i) => [String(i), e.label]), String(ui.edit), (v) => { ui.edit = Number(v); again(); })), fields, button("Ask the model", go, { class: "af-button", "aria-label": "Ask the model about the edit" }));
}
