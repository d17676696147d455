// Elements from plain values. Text is always set as text, never parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** What a field held when it was drawn or last took a change: anything else is being typed. @type {WeakMap<Element, string>} */
const held = new WeakMap();
const TYPED = "input:not([type=checkbox]):not([type=radio]):not([type=range]),textarea";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style" && typeof value === "object") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else if (["value", "checked", "disabled", "hidden", "selected"].includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(3)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

/** An HTML element.
 * @param {string} tag @param {any} [attributes] @param {...any} children @returns {any} */
export function h(tag, attributes, ...children) {
  const node = fill(document.createElement(tag), attributes, children);
  if (node.matches(TYPED)) {
    held.set(node, node.value);
    node.addEventListener("change", () => held.set(node, node.value));
  }
  return node;
}

/** An SVG element.
 * @param {string} tag @param {any} [attributes] @param {...any} children @returns {any} */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** By what a control is known across redraws. @param {Element} control */
const nameOf = (control) => control.getAttribute("aria-label") || control.getAttribute("data-name") || (control.matches("button") ? control.textContent : "");

/** What is being typed goes on in the field's next drawing, which tells of it when it is left; not in a field of another sample (`data-of`), or one whose value came from elsewhere meanwhile.
 * @param {{ value: string, before: string | undefined, of: string | null, from: number | null, to: number | null }} kept @param {any} now */
function carry(kept, now) {
  if (!now.matches(TYPED) || now.getAttribute("data-of") !== kept.of) return;
  if (kept.value !== kept.before && [kept.before, kept.value.trim()].includes(held.get(now))) {
    now.value = kept.value;
    now.addEventListener("blur", () => now.isConnected && now.value !== held.get(now) && now.dispatchEvent(new Event("change", { bubbles: true })));
  }
  if (kept.from !== null && now.selectionStart !== null && now.value === kept.value) now.setSelectionRange(kept.from, kept.to);
}

/** Replace what an element holds; the control that had the keyboard keeps it with what is being typed, and where it is gone or can no longer be used, its view has it: keys shall not fall to the page. @param {Element} node @param {...any} children */
export function put(node, ...children) {
  const root = /** @type {any} */ (node.getRootNode());
  const had = root.activeElement && root.activeElement !== node && node.contains(root.activeElement);
  const old = had ? root.activeElement : null;
  const active = had ? nameOf(old) : "";
  const kept = old?.matches(TYPED) ? { from: old.selectionStart, to: old.selectionEnd, value: old.value, before: held.get(old), of: old.getAttribute("data-of") } : null;
  node.replaceChildren();
  fill(node, {}, children);
  const now = active ? /** @type {HTMLElement | undefined} */ ([...node.querySelectorAll("button,input,select,textarea,summary")].find((c) => nameOf(c) === active)) : null;
  now?.focus({ preventScroll: true });
  if (kept && now && now !== old) carry(kept, now);
  if (had && !node.contains(root.activeElement)) /** @type {HTMLElement | null} */ (node.closest(".af[tabindex]"))?.focus({ preventScroll: true });
  return node;
}

/** Before a control is hidden: if it has the keyboard, its view shall have it. @param {HTMLElement} control */
export function letGo(control) {
  if (/** @type {any} */ (control.getRootNode()).activeElement === control) /** @type {HTMLElement | null} */ (control.closest(".af[tabindex]"))?.focus({ preventScroll: true });
}

/** A labelled control: the label is what a screen reader says and what a click on it reaches. */
export function field(label, control, unit = "") {
  return h("label", { class: "af-field" }, h("span", { class: "af-label" }, label), control, unit && h("span", { class: "af-unit" }, unit));
}

/** @param {any} label @param {(event: any) => void} onclick @param {any} [attributes] */
export function button(label, onclick, attributes = {}) {
  return h("button", { type: "button", class: "af-button", ...attributes, onclick }, label);
}

/** A select from [value, label] pairs; a value that is none of them, set from Python, is shown all the same. */
export function choice(label, pairs, value, onchange) {
  const known = pairs.some(([v]) => v === value) || value === "" ? pairs : [...pairs, [value, value]];
  const options = known.map(([v, text]) => h("option", { value: v, selected: v === value }, text));
  const node = h("select", { class: "af-select", "aria-label": label, onchange: (e) => onchange(e.target.value) }, options);
  node.value = value;
  return node;
}

/** Call `draw(width)` now and whenever the element's width changes; returns what stops it. */
export function sized(node, draw) {
  let last = 0;
  const observer = new ResizeObserver((entries) => {
    const width = Math.round(entries[0].contentRect.width);
    if (width > 0 && width !== last) draw((last = width));
  });
  observer.observe(node);
  return () => observer.disconnect();
}

/** Copy text; where the clipboard is closed to us (no https), through a hidden text area. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "af-offscreen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Join calls of one frame into one. @param {() => void} draw */
export function once(draw) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      draw();
    });
  };
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
