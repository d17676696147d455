// How attention runs between modalities, layer by layer, to the class token: ribbons as wide as what reaches it that way.
import { icon, label, modalityColour } from "./colours.js";
import { number } from "./columns.js";
import { h, s, sized, put } from "./dom.js";
import { listed, said, twin } from "./twin.js";

const WORDS = { class: "class token", relay: "the fusion's own tokens" };
const GAP = 10;
const LEFT = 128;
const RIGHT = 96;
const wordOf = (name) => WORDS[name] || label(name);
const colourOf = (name, kinds) => (name in kinds ? modalityColour(kinds[name]) : "var(--af-muted)");
const share = (v) => `${number(100 * v, 2)} %`;

/** Heights of the nodes of one column: what leaves, or what comes to, each name. */
function column(rows, side, names, height, x) {
  const sum = new Map(names.map((name) => [name, 0]));
  for (const row of rows) sum.set(row[side], (sum.get(row[side]) || 0) + row.mass);
  const there = [...sum].filter(([, v]) => v > 1e-4);
  const full = height - GAP * Math.max(0, there.length - 1);
  const total = there.reduce((all, [, v]) => all + v, 0) || 1;
  let y = 4;
  return new Map(there.map(([name, v]) => {
    const size = (v / total) * full;
    const node = { name, v, x, y, size, out: y, in: y, scale: full / total };
    y += size + GAP;
    return [name, node];
  }));
}

function ribbon(from, to, mass, fill, words) {
  const [a, b] = [mass * from.scale, mass * to.scale];
  const [x0, x1] = [from.x + 4, to.x - 4];
  const mid = (x0 + x1) / 2;
  const d = `M${x0} ${from.out}C${mid} ${from.out} ${mid} ${to.in} ${x1} ${to.in}v${b}C${mid} ${to.in + b} ${mid} ${from.out + a} ${x0} ${from.out + a}Z`;
  from.out += a;
  to.in += b;
  return s("path", { d, fill, opacity: 0.55 }, s("title", {}, words));
}

function draw(layers, names, kinds, width, told) {
  const height = Math.max(150, names.length * 34);
  const step = (width - LEFT - RIGHT) / layers.length;
  const parts = [];
  let from = column(layers[0], "source", names, height, LEFT);
  const nodes = [from];
  layers.forEach((rows, l) => {
    const to = column(rows, "target", names, height, LEFT + step * (l + 1));
    for (const name of names) for (const goal of names)
      for (const row of rows.filter((r) => r.source === name && r.target === goal && r.mass > 1e-4))
        if (from.has(name) && to.has(goal)) parts.push(ribbon(from.get(name), to.get(goal), row.mass, colourOf(name, kinds), `layer ${l + 1}: ${wordOf(name)} to ${wordOf(goal)}, ${share(row.mass)} of what reaches the class token`));
    for (const node of to.values()) node.out = node.y;
    nodes.push(to);
    from = to;
  });
  const first = [...nodes[0].values()];
  const last = [...nodes.at(-1).values()];
  const bars = nodes.flatMap((one) => [...one.values()].map((n) => s("rect", { x: n.x - 4, y: n.y, width: 8, height: Math.max(1, n.size), fill: colourOf(n.name, kinds) }, s("title", {}, `${wordOf(n.name)} ${share(n.v)}`))));
  let under = -99;
  const left = first.map((n) => {
    const y = Math.max(n.y + n.size / 2 + 4, under + 12);
    under = y;
    return s("text", { x: LEFT - 10, y, "text-anchor": "end" }, `${wordOf(n.name)} ${share(n.v)}`);
  });
  const right = last.map((n) => s("text", { x: width - RIGHT + 10, y: n.y + n.size / 2 + 4 }, wordOf(n.name)));
  const heads = layers.map((_, l) => s("text", { x: LEFT + step * (l + 0.5), y: height + 22, "text-anchor": "middle", class: "title" }, `layer ${l + 1}`));
  return s("svg", { class: "af-plot", width, height: height + 28, viewBox: `0 0 ${width} ${height + 28}`, role: "img", "aria-label": said(told) }, parts, bars, left, right, heads);
}

/** The same in words and as rows. @returns {import("./twin.js").Twin} */
function flowTwin(layers) {
  const first = new Map();
  for (const row of layers[0]) first.set(row.source, (first.get(row.source) || 0) + row.mass);
  const from = [...first].filter(([, v]) => v > 1e-4).sort((a, b) => b[1] - a[1]).map(([name, v]) => `${share(v)} from ${wordOf(name)}`);
  return {
    name: "the flow", says: `What reaches the class token: ${listed(from)}.`,
    heads: ["layer", "from", "to", "share of what it looks at", "reaches the class token"],
    rows: () => layers.flatMap((one, l) => one.map((r) => [l + 1, wordOf(r.source), wordOf(r.target), share(r.weight), share(r.mass)])),
  };
}

/** @param {any[][]} flow rows of layer, source, target, weight, reaching @param {{columns: string[], kinds: string[]}} about @param {any[]} life @param {Set<string>} [kept] which twins are open */
export function flowDrawing(flow, { columns, kinds }, life, kept) {
  const rows = flow.map(([layer, source, target, weight, mass]) => ({ layer, source, target, weight: weight || 0, mass: mass || 0 }));
  const layers = [...new Set(rows.map((r) => r.layer))].sort((a, b) => a - b).map((l) => rows.filter((r) => r.layer === l));
  const total = layers.length ? layers[0].reduce((sum, r) => sum + r.mass, 0) : 0;
  if (!(total > 0)) return h("p", { class: "af-caption" }, "Nothing flows to the class token here: no attention moved this score upwards.");
  const names = [...columns, "relay", "class"];
  const told = flowTwin(layers);
  const holder = h("div", { class: "af-holder" });
  const byName = Object.fromEntries(columns.map((name, i) => [name, kinds[i]]));
  life.push(sized(holder, (width) => put(holder, draw(layers, names, byName, Math.max(360, width), told))));
  return h("div", { class: "af-flow" }, holder, h("div", { class: "af-chips", "aria-hidden": "true" }, columns.map((name, i) => h("span", { class: "af-check" }, icon(kinds[i], 14), label(name)))), twin(told, kept));
}
