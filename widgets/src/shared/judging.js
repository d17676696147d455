// Cards of the evaluation view: what each draws, and which samples a click on it means.
import { classColour, css, ink, label, viridis } from "./colours.js";
import { number } from "./columns.js";
import { h, s } from "./dom.js";
import { linePath, plot } from "./plot.js";
import { roving } from "./roving.js";
import { said, twin } from "./twin.js";

export const NONE = 255;
const HEIGHT = 264;
export const percent = (v) => (v === null || !Number.isFinite(v) ? "–" : `${(100 * v).toFixed(v < 0.0995 && v > 0 ? 1 : 0)} %`);
export const short = (v) => (v === null || v === undefined ? "–" : Math.abs(v) >= 100 ? number(v, 4) : v.toFixed(3).replace("-", "−"));
const SHARE = [0, 0.2, 0.4, 0.6, 0.8, 1];
const share = (text) => ({ domain: [-0.03, 1.03], ticks: SHARE, label: text });
export const span = (value, low, high) => `${short(value)} [${short(low)}, ${short(high)}]`;

/** Rows of a contender's arrays where a test holds. */
export function where(n, test) {
  const out = [];
  for (let i = 0; i < n; i++) if (test(i)) out.push(i);
  return out;
}

/** A matrix of counts, true by predicted; each row's shares as colour, and how much of a cell is selected as a bar.
 * @param {{names: string[], counts: number[][], truth: any, said: any, chosen: Uint8Array, pick: (rows: number[], words: string, event: any) => void}} given */
export function confusion({ names, counts, truth, said, chosen, pick }) {
  const k = names.length;
  const picked = counts.map((row) => row.map(() => 0));
  for (let i = 0; i < chosen.length; i++) if (chosen[i] && truth[i] < k && said[i] < k) picked[truth[i]][said[i]] += 1;
  const take = (test, words) => (e) => pick(where(truth.length, test), words, e);
  const head = h("tr", {}, h("th", { scope: "col" }, h("span", { class: "af-caption" }, "true ↓ predicted →")), names.map((name, c) =>
    h("th", { scope: "col" }, h("button", { type: "button", class: "af-link af-cut", title: `Select all that are predicted to be ${name}`, onclick: take((i) => said[i] === c && truth[i] !== NONE, `predicted ${name}`) }, name))));
  const body = counts.map((row, r) => {
    const sum = row.reduce((a, b) => a + b, 0);
    return h("tr", {}, h("th", { scope: "row" }, h("button", { type: "button", class: "af-link af-cut", title: `Select all that are ${names[r]}`, onclick: take((i) => truth[i] === r, `true ${names[r]}`) }, names[r]), h("span", { class: "af-unit" }, ` n = ${sum}`)), row.map((count, c) => {
      const colour = viridis(sum ? count / sum : 0);
      const words = `true ${names[r]}, predicted ${names[c]}`;
      const told = `${words}: ${count} of ${sum}${sum ? ` (${percent(count / sum)})` : ""}${picked[r][c] ? `, ${picked[r][c]} selected` : ""}`;
      return h("td", {}, h("button", { type: "button", class: `af-cell${r === c ? " is-right" : ""}`, "data-name": words, "aria-label": told, title: `${told}; click to select`, style: { background: css(colour), color: ink(colour) }, onclick: take((i) => truth[i] === r && said[i] === c, words) },
        String(count), sum && k < 9 ? h("small", {}, percent(count / sum)) : null, picked[r][c] ? h("i", { style: { width: `${(100 * picked[r][c]) / count}%` } }) : null));
    }));
  });
  const table = h("table", { class: `af-confusion${k > 8 ? " is-dense" : k > 6 ? " is-close is-closest" : k > 4 ? " is-close" : ""}` }, h("thead", {}, head), h("tbody", {}, body));
  roving(table, ".af-cell", k);
  return h("div", { class: "af-scroll af-confusion-holder" }, table);
}

/** Points with intervals that can be picked. @param {any} p a plot @param {any[]} items {x, y, low, high, colour, words, part: share selected, onclick} */
function bars(p, items) {
  for (const one of items) {
    const [x, y] = [p.X(one.x), p.Y(one.y)];
    p.layer.append(s("g", { class: "af-bin", role: "button", "aria-label": `Select ${one.words}`, onclick: one.onclick },
      s("title", {}, `${one.words}; click to select`), s("rect", { x: x - one.reach, y: p.box.top, width: 2 * one.reach, height: p.box.height, class: "hit" }),
      one.low === null ? null : s("path", { d: `M${x} ${p.Y(one.low)}V${p.Y(one.high)}`, class: "whisker", stroke: one.colour }), s("circle", { cx: x, cy: y, r: 4.5, fill: one.colour }), one.part > 0 ? s("circle", { cx: x, cy: y, r: 8, class: "ring" }) : null));
  }
  p.svg.setAttribute("role", "group");
  roving(p.svg, ".af-bin");
}

const twinOfBins = (name, says, heads, rows) => ({ name, says, heads, rows: () => rows });

/** Reliability: what was said against how often it was so. @param {any} given @param {number} width */
export function reliability({ bins, at, chosen, words, pick, open }, width) {
  const off = bins.reduce((a, b) => (Math.abs(b.share - b.said) > Math.abs(a.share - a.said) ? b : a), bins[0]);
  const told = twinOfBins("reliability", off ? `Of ${bins.length} bins of the ${words}, the one farthest from right: ${percent(off.said)} was said on average, and it was so in ${percent(off.share)} (95 % interval ${percent(off.low)} to ${percent(off.high)}) of ${off.n} ${off.n === 1 ? "sample" : "samples"}.` : "No sample has a probability.",
    ["probability said", "mean said", "share that is so", "from", "to", "samples"], bins.map((b) => [`${(b.bin / 10).toFixed(1)} to ${((b.bin + 1) / 10).toFixed(1)}`, short(b.said), short(b.share), short(b.low), short(b.high), b.n]));
  const p = plot({ width, height: HEIGHT, label: `Reliability. ${said(told)}`, x: share(words), y: share("share that is so") });
  p.layer.append(s("path", { d: `M${p.X(0)} ${p.Y(0)}L${p.X(1)} ${p.Y(1)}`, class: "even" }));
  const most = Math.max(1, ...bins.map((b) => b.n));
  for (const b of bins) p.layer.append(s("rect", { x: p.X(b.bin / 10) + 1, width: Math.max(1, p.X(0.1) - p.X(0) - 2), y: p.Y(0) - (32 * b.n) / most, height: (32 * b.n) / most, class: "amount" }));
  p.layer.append(s("path", { d: linePath(bins.map((b) => b.said), bins.map((b) => b.share), p.X, p.Y), class: "curve main" }));
  bars(p, bins.map((b) => {
    const inside = where(at.length, (i) => at[i] === b.bin);
    const picked = inside.reduce((t, i) => t + chosen[i], 0);
    const told = `${b.n} samples said ${(b.bin / 10).toFixed(1)} to ${((b.bin + 1) / 10).toFixed(1)}: so in ${percent(b.share)} [${percent(b.low)}, ${percent(b.high)}]${picked ? `, ${picked} selected` : ""}`;
    return { x: b.said, y: b.share, low: b.low, high: b.high, colour: "var(--af-accent)", words: told, part: picked / b.n, reach: Math.max(6, (p.X(0.1) - p.X(0)) / 2 - 1), onclick: (e) => pick(inside, `said ${(b.bin / 10).toFixed(1)} to ${((b.bin + 1) / 10).toFixed(1)}`, e) };
  }));
  return [p.svg, twin(told, open)];
}

/** ROC or precision against recall. @param {{kind: string, lines: any[], chosen: Uint8Array, vertex: number, pick: any, open: Set<string>}} given lines: {name, curve, colour, dash, own: can be picked} @param {number} width */
export function curves({ kind, lines, chosen, vertex, pick, open }, width) {
  const roc = kind === "roc";
  const told = {
    name: roc ? "ROC" : "precision and recall", says: `${lines.map((one) => `${one.name}: ${roc ? "area" : "mean precision"} ${span(...one.curve[kind])}`).join("; ")}. In brackets 95 % intervals.`,
    heads: ["curve", "taken from probability", ...(roc ? ["false positive rate", "true positive rate"] : ["completeness (recall)", "purity (precision)"])],
    rows: () => lines.flatMap(({ name, curve }) => Array.from(curve.threshold, (t, v) => [name, short(t), ...(roc ? [short(curve.x[v]), short(curve.y[v])] : [short(curve.y[v]), short(curve.precision[v])])])),
  };
  const p = plot({ width, height: HEIGHT, label: `${roc ? "ROC curves" : "Precision and recall"}. ${said(told)}`, x: share(roc ? "false positive rate" : "completeness (recall)"), y: share(roc ? "true positive rate" : "purity (precision)") });
  if (roc) p.layer.append(s("path", { d: `M${p.X(0)} ${p.Y(0)}L${p.X(1)} ${p.Y(1)}`, class: "even" }));
  for (const one of lines) {
    const { x, y, precision, at } = one.curve;
    const xs = roc ? [0, ...x] : [...y];
    const ys = roc ? [0, ...y] : [...precision];
    const d = roc ? linePath(xs, ys, p.X, p.Y) : xs.map((v, i) => `${i ? `H${p.X(v).toFixed(1)}V${p.Y(ys[i]).toFixed(1)}` : `M${p.X(v).toFixed(1)} ${p.Y(ys[i]).toFixed(1)}`}`).join("");
    p.layer.append(s("path", { d, class: "curve", stroke: one.colour, "stroke-dasharray": one.dash, fill: "none" }, s("title", {}, one.name)));
    if (!one.own) continue;
    const where_ = (v) => [p.X(roc ? x[v] : y[v]), p.Y(roc ? y[v] : precision[v])];
    const seen = new Set();
    for (let i = 0; i < at.length; i++) if (chosen[i] && at[i] !== NONE) seen.add(at[i]);
    for (const v of [...seen].slice(0, 255)) p.layer.append(s("circle", { cx: where_(v)[0], cy: where_(v)[1], r: 3.5, fill: one.colour, class: "picked" }));
    if (lines.filter((l) => l.own).length === 1 && vertex >= 0 && vertex < x.length) p.layer.append(s("circle", { cx: where_(vertex)[0], cy: where_(vertex)[1], r: 7, class: "ring" }));
  }
  const nearest = (e) => {
    const edge = p.svg.getBoundingClientRect();
    const scale = edge.width / width || 1;
    const [mx, my] = [(e.clientX - edge.left) / scale, (e.clientY - edge.top) / scale];
    let best = { d: 40 * 40, line: null, v: 0 };
    for (const line of lines.filter((l) => l.own)) {
      const { x, y, precision } = line.curve;
      for (let v = 0; v < x.length; v++) {
        const d = (p.X(roc ? x[v] : y[v]) - mx) ** 2 + (p.Y(roc ? y[v] : precision[v]) - my) ** 2;
        if (d < best.d) best = { d, line, v };
      }
    }
    return best;
  };
  p.svg.classList.add("af-pickable");
  p.svg.addEventListener("click", (/** @type {any} */ e) => {
    const { line, v } = nearest(e);
    if (line) pick(line, v, e);
  });
  return [p.svg, twin(told, open)];
}

/** A metric in bins of a column, of several contenders beside each other; the first's bins can be picked. @param {any} given @param {number} width */
export function errorBins({ series, name, unit, measure, chosen, pick, open }, width) {
  const bins = series[0].answer.bins;
  const ends = series.flatMap((one) => one.answer.bins.flatMap((b) => [b.value, b.low, b.high])).filter((v) => v !== null);
  const [low, high] = [Math.min(0, ...ends), Math.max(1e-9, ...ends)];
  const edges = [bins[0].low_edge, ...bins.map((b) => b.high_edge)];
  const title = unit ? `${label(name)} (${unit})` : label(name);
  const known = bins.filter((b) => b.value !== null);
  const by = (pickOne) => known.reduce((a, b) => (pickOne(a.value, b.value) === a.value ? a : b), known[0]);
  const place = (b) => `${span(b.value, b.low, b.high)} where ${title} is ${number(b.low_edge, 3)} to ${number(b.high_edge, 3)}`;
  const told = {
    name: "errors by column", says: known.length ? `${label(measure)} of ${series[0].name} is lowest, ${place(by(Math.min))}, and highest, ${place(by(Math.max))}. In brackets 95 % intervals.` : "No bin has a value.",
    heads: ["model", `${title} from`, "to", label(measure), "from", "to", "samples"], rows: () => series.flatMap((one) => one.answer.bins.map((b) => [one.name, number(b.low_edge, 3), number(b.high_edge, 3), short(b.value), short(b.low), short(b.high), b.n])),
  };
  const p = plot({ width, height: HEIGHT, label: `${label(measure)} by ${label(name)}. ${said(told)}`, x: { domain: [0, bins.length], label: title, ticks: edges.map((_, i) => i), format: (i) => number(edges[i], 3) }, y: { domain: [low - 0.04 * (high - low), high + 0.06 * (high - low)], label: label(measure) } });
  const step = p.X(1) - p.X(0);
  const drawn = series.map((one, j) => one.answer.bins.map((b, i) => ({ b, i, x: i + 0.5 + (j - (series.length - 1) / 2) * Math.min(0.16, 0.6 / series.length) })));
  drawn.slice(1).forEach((row, j) => {
    const { colour, name: who } = series[j + 1];
    p.layer.append(s("path", { d: linePath(row.map((o) => o.x), row.map((o) => o.b.value ?? NaN), p.X, p.Y), class: "curve", stroke: colour, "stroke-dasharray": "4 3" }));
    for (const { b, x } of row) if (b.value !== null) p.layer.append(s("g", {}, s("title", {}, `${who}: ${span(b.value, b.low, b.high)}, n = ${b.n}`), b.low === null ? null : s("path", { d: `M${p.X(x)} ${p.Y(b.low)}V${p.Y(b.high)}`, class: "whisker", stroke: colour }), s("circle", { cx: p.X(x), cy: p.Y(b.value), r: 3.5, fill: colour })));
  });
  p.layer.append(s("path", { d: linePath(drawn[0].map((o) => o.x), drawn[0].map((o) => o.b.value ?? NaN), p.X, p.Y), class: "curve main" }));
  const { at } = series[0].answer;
  bars(p, drawn[0].filter((o) => o.b.value !== null).map(({ b, i, x }) => {
    const inside = where(at.length, (k) => at[k] === i);
    const picked = inside.reduce((t, k) => t + chosen[k], 0);
    const range = `${label(name)} ${number(b.low_edge, 3)} to ${number(b.high_edge, 3)}`;
    return { x, y: b.value, low: b.low, high: b.high, colour: "var(--af-accent)", part: picked, reach: step / 2 - 1, words: `${b.n} samples with ${range}: ${label(measure)} ${span(b.value, b.low, b.high)}${picked ? `, ${picked} selected` : ""}`, onclick: (e) => pick(inside, range, e) };
  }));
  return [p.svg, twin(told, open)];
}

/** Counts of equal bins that should be even, with the band in which 95 % of them lie then. @param {any} given @param {number} width */
export function evenness({ pit, chosen, pick, open }, width) {
  const out = pit.counts.filter((n) => n < pit.low || n > pit.high).length;
  const told = twinOfBins("predicted distributions", `${out} of ${pit.counts.length} bins lie outside the band from ${number(pit.low, 3)} to ${number(pit.high, 3)} samples in which 95 % of the bins of an even distribution lie.`,
    ["share of the distribution below the truth", "samples", "even would be"], pit.counts.map((n, b) => [`${b / 10} to ${(b + 1) / 10}`, n, number(pit.even, 3)]));
  const most = Math.max(pit.high, ...pit.counts) * 1.15;
  const p = plot({ width, height: HEIGHT, label: `Where in its predicted distribution each truth lies. ${said(told)}`, x: { domain: [0, 1], label: "share of the predicted distribution below the truth" }, y: { domain: [0, most], label: "samples" } });
  p.layer.append(s("rect", { x: p.X(0), width: p.X(1) - p.X(0), y: p.Y(pit.high), height: p.Y(pit.low) - p.Y(pit.high), class: "amount" }), s("path", { d: `M${p.X(0)} ${p.Y(pit.even)}H${p.X(1)}`, class: "even" }));
  bars(p, pit.counts.map((n, b) => {
    const inside = where(pit.at.length, (i) => pit.at[i] === b);
    const picked = inside.reduce((t, i) => t + chosen[i], 0);
    return { x: (b + 0.5) / 10, y: n, low: null, high: null, colour: "var(--af-accent)", part: picked, reach: (p.X(0.1) - p.X(0)) / 2 - 1, words: `${n} samples whose truth lies at ${b / 10} to ${(b + 1) / 10} of its distribution${picked ? `, ${picked} selected` : ""}`, onclick: (e) => pick(inside, `truth at ${b / 10} to ${(b + 1) / 10}`, e) };
  }));
  return [p.svg, twin(told, open)];
}

/** Name and colour of each line. @param {{name: string, colour: string, dash?: string, words?: string}[]} lines */
export const legend = (lines) => h("div", { class: "af-lines-key" }, lines.map((one) => h("span", { class: "af-check" }, s("svg", { width: 20, height: 8, "aria-hidden": "true" }, s("path", { d: "M0 4H20", class: "curve", stroke: one.colour, "stroke-dasharray": one.dash })), one.name, one.words ? h("span", { class: "af-unit af-num" }, one.words) : null)));

/** The colour of a contender beside the one shown. */
export const rivalColour = (i) => classColour([1, 2, 3, 4, 5][i % 5]);
