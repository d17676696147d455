// The legend of a map, which is a filter: classes are hidden by a press, numbers by the ends of a range.
import { robust } from "./arrays.js";
import { css, viridis } from "./colours.js";
import { number } from "./columns.js";
import { h, put } from "./dom.js";

const BINS = 44;
const STEPS = 400;

/** How many values lie in each of `BINS` bins between two numbers. */
function histogram(raw, low, high) {
  const counts = new Uint32Array(BINS);
  for (let i = 0; i < raw.length; i++) {
    const k = Math.floor(((raw[i] - low) / (high - low || 1)) * BINS);
    if (k >= 0 && k < BINS) counts[k]++;
    else if (raw[i] === high) counts[BINS - 1]++;
  }
  return counts;
}

/** @param {HTMLElement} node @param {() => void} changed called when the filter was changed */
export function legend(node, changed) {
  let [ink, column] = [null, null];
  const hidden = new Set();
  let range = null;
  let ends = [0, 1];

  const categories = () => {
    const counts = new Map();
    for (const code of column.raw) counts.set(code, (counts.get(code) || 0) + 1);
    const flip = (code) => {
      if (!hidden.delete(code)) hidden.add(code);
      draw();
      changed();
    };
    const entry = (name, code, colour) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(!hidden.has(code)), onclick: () => flip(code) }, h("i", { class: "af-dot", style: { background: colour } }), name, h("span", { class: "af-num" }, counts.get(code) || 0));
    return [ink.entries.map(({ name, code, colour }) => entry(name, code, colour)), counts.get(-1) ? entry("missing", -1, "#7f7f7f") : null];
  };

  const numbers = () => {
    const [low, high] = ends;
    const counts = histogram(column.raw, low, high);
    const most = Math.max(1, ...counts);
    const colour = (v) => css(viridis((v - ink.low) / (ink.high - ink.low || 1)));
    const bars = Array.from(counts, (n, k) => h("i", { style: { height: `${n ? 6 + 94 * (n / most) : 0}%`, background: colour(low + ((k + 0.5) / BINS) * (high - low)) } }));
    const plot = h("div", { class: "af-range-bars", "aria-hidden": "true" }, bars);
    const said = h("span", { class: "af-num" });
    const value = (slider) => low + (Number(slider.value) / STEPS) * (high - low);
    const slider = (name, at) => h("input", { type: "range", class: "af-range", min: 0, max: STEPS, value: Math.round(((at - low) / (high - low || 1)) * STEPS), "aria-label": `${ink.label}: ${name}`, oninput: () => take() });
    const [from, to] = [slider("from", range ? range[0] : low), slider("to", range ? range[1] : high)];
    const tell = () => {
      const [a, b] = [Number(from.value), Number(to.value)];
      bars.forEach((bar, k) => bar.classList.toggle("is-out", (k + 1) / BINS <= a / STEPS || k / BINS >= b / STEPS));
      said.textContent = `${a === 0 ? "lowest" : number(value(from), 3)} to ${b === STEPS ? "highest" : number(value(to), 3)}`;
      for (const one of [from, to]) one.setAttribute("aria-valuetext", number(value(one), 3));
    };
    const take = () => {
      if (Number(from.value) > Number(to.value)) [from.value, to.value] = [to.value, from.value];
      const [a, b] = [Number(from.value), Number(to.value)];
      range = a === 0 && b === STEPS ? null : [a === 0 ? -Infinity : value(from), b === STEPS ? Infinity : value(to)];
      tell();
      changed();
    };
    tell();
    return h("div", { class: "af-range-box" }, plot, h("div", { class: "af-range-ends" }, from, to), h("div", { class: "af-key" }, h("span", { class: "af-num" }, number(ink.low, 3)), h("span", { class: "af-ramp plain" }), h("span", { class: "af-num" }, number(ink.high, 3)), h("span", { class: "af-space" }), said));
  };

  const draw = () => {
    if (!ink || ink.kind === "none") return put(node, h("p", { class: "af-caption" }, column && !column.ready ? "Loading the column" : "Choose a column to colour by."));
    return put(node, h("h3", {}, ink.label), ink.kind === "number" ? numbers() : categories());
  };

  return {
    /** Show another column; its filter starts open. */
    show(newInk, newColumn) {
      [ink, column, range] = [newInk, newColumn, null];
      hidden.clear();
      if (ink.kind === "number") {
        const [a, b] = robust(column.raw, (_i) => true, 0.001);
        ends = [Math.min(a, ink.low), Math.max(b, ink.high)];
      }
      draw();
    },
    /** One byte a sample: 1 where it is let through; null where all are. @param {number} n */
    mask(n) {
      if (!column?.ready || (ink.kind === "category" ? !hidden.size : !range)) return null;
      const out = new Uint8Array(n);
      const { raw } = column;
      if (ink.kind === "category") for (let i = 0; i < n; i++) out[i] = Number(!hidden.has(raw[i]));
      else for (let i = 0; i < n; i++) out[i] = Number(raw[i] >= range[0] && raw[i] <= range[1]);
      return out;
    },
  };
}
