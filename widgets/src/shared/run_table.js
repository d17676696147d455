// Runs beside each other: their curves over one another and a table; and gauges of the device.
import { classColour, label } from "./colours.js";
import { number } from "./columns.js";
import { h, put, s, sized } from "./dom.js";
import { linePath, plot, roomy } from "./plot.js";

const bytes = (n) => (n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : `${Math.round(n / 1e6)} MB`);

function overlay(runs, width) {
  const lines = runs.map((run) => ({ run, epochs: run.curve.map((r) => r.epoch), losses: run.curve.map((r) => (r.validation_loss === null ? NaN : r.validation_loss)) }));
  const values = lines.flatMap((one) => one.losses).filter(Number.isFinite);
  if (!values.length) return null;
  const last = Math.max(2, ...lines.flatMap((one) => one.epochs));
  const p = plot({ width, height: 220, label: "validation loss of each run by epoch", x: { domain: [1, last], label: "epoch" }, y: { domain: roomy([Math.min(...values), Math.max(...values)], 0.08), label: "validation loss" } });
  for (const { run, epochs, losses } of lines)
    p.layer.append(s("path", { d: linePath(epochs, losses, p.X, p.Y), class: "curve", stroke: classColour((run.number - 1) % 8), "stroke-dasharray": run.number > 8 ? "5 3" : null }, s("title", {}, `run ${run.number}`)));
  return p.svg;
}

function line(run) {
  const f = run.figure;
  const swatch = s("svg", { width: 20, height: 8, "aria-hidden": "true" }, s("path", { d: "M0 4H20", class: "curve", stroke: classColour((run.number - 1) % 8) }));
  const value = f.value === null ? "" : number(f.value, 3);
  const range = f.low === null || f.low === undefined ? "" : `[${number(f.low, 3)}, ${number(f.high, 3)}]`;
  return h("tr", {}, h("th", { scope: "row" }, h("span", { class: "af-check" }, swatch, run.number)), h("td", {}, label(run.recipe)), h("td", {}, label(run.fusion)), h("td", {}, run.modalities.map(label).join(", ")),
    h("td", { class: "af-num" }, run.seed), h("td", {}, label(f.metric), f.part ? h("span", { class: "af-unit" }, ` ${f.part}`) : null), h("td", { class: "af-num" }, h("strong", {}, value)), h("td", { class: "af-num af-unit" }, range),
    h("td", { class: "af-num" }, run.parameters.toLocaleString("en")), h("td", { class: "af-num" }, `${number(run.seconds, 3)} s`), h("td", {}, run.state));
}

/** Shown from the second run on. */
export function runTable(model, life, once) {
  const inside = h("section", {});
  let width = 0;
  const draw = () => {
    const runs = model.get("runs") || [];
    if (runs.length < 2 || !width) return put(inside);
    const heads = ["run", "recipe", "fusion", "from", "seed", "metric", "value", "95 % interval", "parameters", "time", ""].map((t) => h("th", {}, t));
    return put(inside, h("h3", {}, "Runs"), overlay(runs, Math.min(width, 720)), h("div", { class: "af-scroll" }, h("table", { class: "af-values" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, runs.map(line)))));
  };
  life.on("change:runs", once(draw));
  const outer = h("div", {}, inside);
  life.push(sized(outer, (w) => { width = w; draw(); }));
  return outer;
}

/** Device and memory, as of the last epoch. */
export function gauges(model, life, once) {
  const node = h("div", { class: "af-row af-caption" });
  const draw = () => {
    const g = model.get("gauges") || {};
    if (!g.device) return put(node);
    const text = `${bytes(g.memory)} of ${bytes(g.memory_total)}`;
    return put(node, h("span", {}, g.device), h("meter", { min: 0, max: g.memory_total, value: g.memory, title: `memory: ${text}`, "aria-label": `memory in use: ${text}` }), h("span", { class: "af-num" }, text));
  };
  life.on("change:gauges", once(draw));
  draw();
  return node;
}
