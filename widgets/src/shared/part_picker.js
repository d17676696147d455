// Which encoder, fusion, decision and head: one list each, and the options of what is chosen in a drawer.
import { label } from "./colours.js";
import { choice, field, h, put } from "./dom.js";
import { tell } from "./link.js";

const ROLES = [["fusion", "Fusion"], ["decision", "Decision"], ["head", "Head"]];

/** The part in force: picked, else the recipe's own. */
export function partOf(model, role, modality = "") {
  const parts = model.get("parts") || {}, own = model.get("own") || {};
  const found = modality ? parts.encoders?.[modality] || own.encoders?.[modality] : parts[role] || own[role];
  return found || { name: "", options: {} };
}

function pick(model, role, modality, part) {
  const parts = { ...(model.get("parts") || {}) };
  if (modality) parts.encoders = { ...(parts.encoders || {}), [modality]: part };
  else parts[role] = part;
  tell(model, { parts });
}

/** What was typed, as the type of the default; undefined where it is none. */
function typed(text, was) {
  if (Array.isArray(was)) {
    const items = text.split(",").map((v) => v.trim()).filter(Boolean);
    const numbers = items.map(Number);
    return was.every((v) => typeof v === "number") && numbers.every(Number.isFinite) ? numbers : items;
  }
  if (typeof was !== "number") return text;
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined;
}

function option(name, was, now, off, set) {
  if (typeof was === "boolean") return h("label", { class: "af-check" }, h("input", { type: "checkbox", checked: now, disabled: off, onchange: (e) => set(e.target.checked) }), label(name));
  const change = (e) => {
    const value = typed(e.target.value, was);
    e.target.setAttribute("aria-invalid", String(value === undefined));
    if (value !== undefined) set(value);
  };
  return field(label(name), h("input", { type: "text", class: "af-small", value: Array.isArray(now) ? now.join(", ") : String(now), disabled: off, onchange: change }));
}

function row(model, role, title, modality, off) {
  const part = partOf(model, role, modality);
  const kind = (model.get("available") || []).find((one) => one.name === modality)?.kind;
  const able = (model.get("catalogue") || []).filter((one) => one.role === role && (!modality || one.kinds.includes(kind)));
  const pairs = able.map((one) => [one.name, label(one.name)]);
  if (role === "decision") pairs.unshift(["", "none: features are fused"]);
  if (role === "head") pairs.unshift(["auto", "auto: by the target"]);
  const known = able.find((one) => one.name === part.name);
  const select = choice(title, pairs, part.name, (name) => pick(model, role, modality, { name, options: {} }));
  if (off) for (const one of select.matches("select") ? [select] : select.querySelectorAll("select")) one.disabled = true;
  const options = Object.entries(known?.options || {}).map(([name, was]) =>
    option(name, was, part.options?.[name] ?? was, off, (value) => pick(model, role, modality, { name: part.name, options: { ...part.options, [name]: value } })));
  return h("div", { "data-part": modality ? `${role}.${modality}` : role }, field(title, select), known ? h("p", { class: "af-caption" }, known.what) : null,
    options.length ? h("details", {}, h("summary", { class: "af-caption" }, `${options.length} options`), options) : null);
}

/** The pickers, below the recipe. */
export function partPicker(model, life, once) {
  const inside = h("div", { class: "af-form" });
  const node = h("details", { class: "af-parts" }, h("summary", { class: "af-label" }, "Parts"), inside);
  const draw = () => {
    const off = model.get("state") === "running" || !model.get("live");
    const open = new Set([...inside.querySelectorAll("details[open]")].map((one) => one.closest("[data-part]")?.dataset.part));
    const encoders = (model.get("modalities") || []).map((name) => row(model, "encoder", `Encoder of ${label(name)}`, name, off));
    put(inside, encoders, ROLES.map(([role, title]) => row(model, role, title, "", off)));
    for (const one of inside.querySelectorAll("[data-part]")) if (open.has(one.dataset.part)) for (const drawer of one.querySelectorAll("details")) drawer.open = true;
  };
  life.on("change:parts change:own change:catalogue change:modalities change:state change:live", once(draw));
  draw();
  return node;
}
