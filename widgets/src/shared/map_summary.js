// What is selected on a map, in numbers and ids, and the sample in focus; said aloud in one sentence.
import { button, h, put } from "./dom.js";
import { sampled } from "./map_thumbs.js";
import { roving } from "./roving.js";

const LISTED = 60;

/** @param {any} model @param {{facts: (i: number) => {id: string, facts: string[][]}, pick: (i: number) => void, clear: () => void}} on */
export function summary(model, { facts, pick, clear }) {
  const shown = h("div", { class: "af-summary" });
  const aloud = h("div", { class: "af-offscreen", role: "status", "aria-live": "polite" });
  const node = h("div", {}, shown, aloud);
  let n = 0;
  let ids = null;

  const classes = (mask, count, ink, column) => {
    if (ink.kind !== "category" || !column?.ready) return [];
    const [inside, all] = [new Map(), new Map()];
    for (let i = 0; i < n; i++) {
      const code = column.raw[i];
      all.set(code, (all.get(code) || 0) + 1);
      if (mask[i]) inside.set(code, (inside.get(code) || 0) + 1);
    }
    return ink.entries.map(({ name, code, colour }) => ({ name, colour, inside: inside.get(code) || 0, all: all.get(code) || 0, share: Math.round((100 * (inside.get(code) || 0)) / count) }));
  };

  const table = (rows) => h("table", { class: "af-values" }, h("tbody", {}, rows.map(({ name, colour, inside, all, share }) => h("tr", {}, h("th", { scope: "row" }, h("i", { class: "af-dot", style: { background: colour } }), name), h("td", { class: "af-num" }, inside), h("td", { class: "af-num af-none" }, `of ${all}`), h("td", { class: "af-num" }, `${share} %`)))));

  const listed = (mask, count) => {
    if (!ids?.ready) {
      ids?.load().then(() => shown.isConnected && draw.again?.(), () => {}); // a large set's ids come when somebody wants to read some
      return h("p", { class: "af-caption" }, "Loading the ids");
    }
    const some = sampled(mask, Math.min(count, LISTED), LISTED);
    const focus = model.get("focus");
    const node = h("div", { class: "af-ids", role: "group", "aria-label": "Ids of those selected; arrows go from one to the next" }, some.map((i) => button(ids.text(i), () => pick(i), { class: `af-link${i === focus ? " is-focus" : ""}` })), count > LISTED ? h("span", { class: "af-caption" }, `and ${(count - LISTED).toLocaleString("en")} more`) : null);
    roving(node, "button");
    return node;
  };

  const focused = (i) => {
    if (i < 0 || i >= n) return null;
    const { id, facts: told } = facts(i);
    return h("div", { class: "af-focused" }, h("h3", {}, id || `sample ${i}`), h("dl", { class: "af-facts" }, told.map(([name, text, role]) => h("div", { class: role === "target" ? "is-target" : "" }, h("dt", {}, name), h("dd", {}, text)))));
  };

  const say = (count, rows, focus) => {
    const most = [...rows].sort((a, b) => b.inside - a.inside)[0];
    const chosen = count ? `Selected: ${count} of ${n}${most?.inside ? `, most of them ${most.name}` : ""}.` : "Nothing selected.";
    const { id, facts: told } = focus >= 0 && focus < n ? facts(focus) : { id: "", facts: [] };
    const text = `${chosen}${focus >= 0 ? ` In focus: ${[id || `sample ${focus}`, ...told.map(([name, value]) => `${name} ${value}`)].join(", ")}.` : ""}`;
    if (aloud.textContent !== text) aloud.textContent = text;
  };

  /** @param {Uint8Array} mask @returns {number} how many are selected */
  const draw = (mask, ink, column) => {
    draw.again = () => draw(mask, ink, column);
    let count = 0;
    for (let i = 0; i < n; i++) count += mask[i];
    const focus = model.get("focus");
    const rows = count ? classes(mask, count, ink, column) : [];
    const head = h("div", { class: "af-row" }, h("h3", {}, `${count} selected`), h("span", { class: "af-space" }), button("Clear", clear, { class: "af-link" }));
    put(shown, count ? [head, table(rows), listed(mask, count)] : h("p", { class: "af-caption" }, "Draw around points to select them. Shift adds, alt takes away."), focused(focus));
    say(count, rows, focus);
    return count;
  };
  /** @type {(() => void) | null} */
  draw.again = null;

  return {
    node, draw,
    samples(count, columns) {
      n = count;
      ids = columns[0];
    },
  };
}
