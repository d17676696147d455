// Which samples have which modalities: an UpSet plot (Lex et al. 2014), bars above a matrix of dots; a click selects.
import { label, modalityColour } from "./colours.js";
import { h, put, s, sized } from "./dom.js";
import { roving } from "./roving.js";
import { twin } from "./twin.js";

const MOST = 24;

/** Combinations that occur, the most frequent first. @param {any[]} coverage @param {number} n */
export function combinations(coverage, n) {
  const found = new Map();
  for (let i = 0; i < n; i++) {
    const key = coverage.map((c) => (c.present[i] ? "1" : "0")).join("");
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(i);
  }
  return [...found].map(([key, rows]) => ({ has: [...key].map((bit) => bit === "1"), rows })).sort((a, b) => b.rows.length - a.rows.length || b.has.filter(Boolean).length - a.has.filter(Boolean).length);
}

const words = (coverage, one) => coverage.filter((_, k) => one.has[k]).map((c) => label(c.name)).join(" + ") || "nothing";

function draw(coverage, all, n, width, pick) {
  const left = 196;
  const shown = all.slice(0, MOST);
  const step = Math.max(20, Math.min(56, (width - left - 16) / shown.length));
  const [bars, row] = [180, 24];
  const height = bars + 28 + coverage.length * row;
  const top = Math.max(1, shown[0]?.rows.length || 1);
  const most = Math.max(1, ...coverage.map((c) => c.count));
  const svg = s("svg", { class: "af-plot af-upset", width: Math.max(width, left + shown.length * step + 8), height, role: "group", "aria-label": `Coverage: ${all.length} combinations of ${coverage.length} modalities among ${n} samples` });
  svg.append(s("text", { x: left - 8, y: 14, "text-anchor": "end", class: "title" }, "samples with exactly these"));
  coverage.forEach((c, k) => {
    const y = bars + 28 + k * row;
    if (k % 2 === 0) svg.append(s("rect", { x: 0, y, width: left + shown.length * step + 8, height: row, class: "stripe" }));
    svg.append(s("rect", { x: 128, y: y + 7, width: 56 * (c.count / most), height: 10, fill: modalityColour(c.kind) }, s("title", {}, `${c.count} of ${n} have ${label(c.name)}`)));
    svg.append(s("text", { x: 8, y: y + 16 }, label(c.name)), s("text", { x: 122, y: y + 16, "text-anchor": "end" }, String(c.count)));
  });
  shown.forEach((one, at) => {
    const x = left + at * step + step / 2;
    const size = (bars - 24) * (one.rows.length / top);
    const said = `${words(coverage, one)}: ${one.rows.length} of ${n} samples`;
    const g = s("g", { class: "af-upset-bar", role: "button", "aria-label": `Select the samples with ${said}`, onclick: () => pick(one, words(coverage, one)) }, s("title", {}, `${said}; click to select them`));
    g.append(s("rect", { x: x - step / 2, y: 0, width: step, height, class: "hit" }), s("rect", { x: x - step * 0.32, y: bars - size, width: step * 0.64, height: size, class: "bar" }), s("text", { x, y: bars - size - 5, "text-anchor": "middle" }, String(one.rows.length)));
    const on = one.has.flatMap((v, k) => (v ? [k] : []));
    if (on.length > 1) g.append(s("path", { d: `M${x} ${bars + 28 + on[0] * row + 12}V${bars + 28 + on.at(-1) * row + 12}`, class: "link" }));
    coverage.forEach((c, k) => g.append(s("circle", { cx: x, cy: bars + 28 + k * row + 12, r: 5, class: one.has[k] ? "" : "off", fill: one.has[k] ? modalityColour(c.kind) : undefined })));
    svg.append(g);
  });
  svg.append(s("path", { d: `M${left} ${bars}H${left + shown.length * step}`, class: "frame" }));
  roving(svg, ".af-upset-bar");
  return svg;
}

/** @param {any[]} given coverage by modality @param {number} n @param {(rows: number[]) => void} select @param {any} life */
export function upset(given, n, select, life) {
  const coverage = given.map((c) => ({ ...c, count: c.present.reduce((sum, v) => sum + (v > 0 ? 1 : 0), 0) }));
  const all = combinations(coverage, n);
  const holder = h("div", { class: "af-holder af-across-scroll" });
  const complete = all.find((one) => one.has.every(Boolean))?.rows.length || 0;
  const note = h("p", { class: "af-caption" }, `${complete} of ${n} samples have all ${coverage.length} modalities. Click a bar, or go there with the arrows and press Enter, to select its samples.${all.length > MOST ? ` The ${MOST} most frequent of ${all.length} combinations.` : ""}`);
  const said = h("p", { class: "af-caption", role: "status" });
  life.push(sized(holder, (width) => put(holder, draw(coverage, all, n, width, (one, name) => {
    select(one.rows);
    said.textContent = `${one.rows.length} samples with ${name} are selected.`;
  }))));
  const told = {
    name: "coverage", says: `${complete} of ${n} samples have all ${coverage.length} modalities. ${coverage.map((c) => `${c.count} have ${label(c.name)}`).join(", ")}. The commonest combination is ${words(coverage, all[0])}, with ${all[0].rows.length} samples.`,
    heads: ["modalities", "samples", "share", ...coverage.map((c) => label(c.name))], rows: () => all.map((one) => [words(coverage, one), one.rows.length, `${((100 * one.rows.length) / n).toFixed(1)} %`, ...one.has.map((v) => (v ? "yes" : "no"))]),
  };
  return h("div", { class: "af-tab-body" }, note, holder, said, n ? twin(told) : null);
}
