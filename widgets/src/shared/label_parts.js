// The side of the labelling view: queue, progress, annotators, learning with its curve, and the file.
import { classColour } from "./colours.js";
import { number } from "./columns.js";
import { button, choice, field, h, once, put, s, sized } from "./dom.js";
import { act, tell } from "./link.js";
import { plot, roomy } from "./plot.js";
import { said, twin } from "./twin.js";

const HEIGHT = 200;
const words = (name) => String(name).replaceAll("_", " ");
const section = (title, ...rest) => h("section", { "aria-label": title }, h("h3", {}, title), ...rest);
const caption = (text, warn = false) => (text ? h("p", { class: `af-caption${warn ? " af-label-warn" : ""}` }, text) : null);
const off = (model) => !model.get("live");
const tick = (model, name, text, disabled) => h("label", { class: "af-check" }, h("input", { type: "checkbox", "data-name": name, checked: model.get(name), disabled, onchange: (e) => tell(model, { [name]: e.target.checked }) }), h("span", {}, text));

/** What is asked next, and why. @param {any} model @param {any} life @param {() => any} now */
export function queuePart(model, life, now) {
  const body = h("div", { class: "af-stackv" });
  const draw = () => {
    const { length, left } = now();
    const ways = model.get("ways") || [];
    const select = choice("Ask next for", ways.map((w) => [w.name, words(w.name)]), model.get("by"), (v) => tell(model, { by: v }));
    select.disabled = off(model) || model.get("judging");
    const votes = h("input", { type: "number", class: "af-small", min: 1, max: 99, step: 1, "data-name": "votes", value: model.get("votes"), disabled: off(model), onchange: (e) => tell(model, { votes: Math.min(99, Math.max(1, Math.floor(Number(e.target.value) || 1))) }) });
    const queue = model.get("queue") || {};
    put(body, field("Ask next for", select), caption(ways.find((w) => w.name === model.get("by"))?.what), caption(queue.note),
      field("Labels wanted of each sample", votes),
      model.get("known") || !model.get("tally").test ? null : tick(model, "judging", "label the samples that judge (by chance; never trained on)", off(model)),
      h("div", { class: "af-row" }, button("Ask anew", () => act(model, "refill"), { disabled: off(model) || model.get("busy") }), h("span", { class: "af-caption" }, `${left} of ${length} in the queue to do`)));
  };
  life.on("change:by change:ways change:votes change:judging change:queue change:tally change:busy change:live", once(draw));
  draw();
  return { node: section("Queue", body), draw };
}

/** How many labels of each class. @param {any} model @param {any} life */
export function progressPart(model, life) {
  const body = h("div", { class: "af-stackv" });
  const draw = () => {
    const tally = model.get("tally") || {};
    const classes = model.get("classes") || [];
    const most = Math.max(1, tally.pool || 0, tally.mine + tally.unsure);
    const share = (n) => ({ width: `${(100 * n) / most}%` });
    const bars = [...classes.map((_, k) => h("i", { style: { ...share(tally.per[k]), background: classColour(k) } })), h("i", { style: { ...share(tally.unsure), background: "var(--af-muted)" } })];
    const row = (name, n, dot) => h("tr", {}, h("th", { scope: "row" }, dot && h("i", { class: "af-dot", style: { background: dot } }), name), h("td", {}, number(n)));
    const kept = tally.unsaved ? "Not on the disk yet: the last label could not be written. It is kept in memory and goes with the next one." : tally.where ? "" : "Kept in memory only: give book=\"labels.jsonl\" to keep them.";
    put(body, h("div", { class: "af-label-stack", role: "img", "aria-label": `${tally.mine} labelled and ${tally.unsure} not sure, of ${tally.pool} samples` }, bars),
      h("table", { class: "af-label-counts" }, h("tbody", {}, classes.map((name, k) => row(name, tally.per[k], classColour(k))), tally.other ? row("other labels", tally.other, "") : null, row("not sure", tally.unsure, "var(--af-muted)"))),
      h("p", { class: "af-caption" }, `${number(tally.done)} of ${number(tally.pool)} samples done by ${model.get("annotator")}; ${number(tally.everyone)} labelled by anyone. `, tally.test ? `${number(tally.test)} are held out for judging${tally.judged < tally.test ? `, ${number(tally.judged)} of them with a known label` : ""}.` : "None are held out for judging: there are too few."),
      model.get("live") ? caption(kept, true) : null, tally.torn ? caption(`${tally.torn} line(s) of the book cannot be read; all others are there.`, true) : null,
      tally.where && !tally.unsaved ? h("p", { class: "af-caption af-cut", title: tally.where }, `each label is on the disk: ${tally.where.split("/").at(-1)}`) : null);
  };
  life.on("change:tally change:classes change:annotator", once(draw));
  draw();
  return section("Progress", body);
}

/** Who labels, and how far all agree. @param {any} model @param {any} life @param {{to: (i: number) => void, name: (i: number) => string}} go to a sample, and its name */
export function annotatorPart(model, life, go) {
  const body = h("div", { class: "af-stackv" });
  const draw = () => {
    const names = model.get("annotators") || [];
    const agreement = model.get("agreement") || {};
    const tally = model.get("tally") || {};
    const select = choice("Annotator", names.map((n) => [n, n]), model.get("annotator"), (v) => tell(model, { annotator: v }));
    select.disabled = off(model);
    const fresh = h("input", { type: "text", maxlength: 80, placeholder: "new name, Enter", "aria-label": "New annotator, press Enter", disabled: off(model), onkeydown: (e) => {
      if (e.key !== "Enter" || !e.target.value.trim()) return;
      const name = e.target.value.trim();
      e.target.value = "";
      tell(model, { annotator: name });
    } });
    const apart = (tally.apart || []).map((i) => button(String(go.name(i)), () => go.to(i), { class: "af-link" }));
    put(body, h("div", { class: "af-label-who" }, select, fresh),
      names.length > 1 ? caption(agreement.says) : caption("With a second annotator, agreement is shown here. Labels wanted of each sample: 2 asks both about the same ones."),
      apart.length ? h("div", {}, h("span", { class: "af-caption" }, `${tally.apart_all} with different labels`), h("div", { class: "af-label-ids" }, apart)) : null);
  };
  life.on("change:annotators change:annotator change:agreement change:tally change:live", once(draw));
  draw();
  return section("Annotators", body);
}

// ---- the curve -------------------------------------------------------------------------------------------------------

const point = (one) => `${number(one.value, 3)} [${number(one.low, 3)}, ${number(one.high, 3)}] with ${one.labels} labels`;

/** Score by number of labels, with intervals; beside it as many labels by chance. */
function curve(rounds, width) {
  const judged = rounds.filter((r) => r.value !== null).sort((a, b) => a.labels - b.labels);
  const lines = [{ kind: "soft", name: "by chance", points: judged.map((r) => r.random).filter((r) => r && r.value !== null) }, { kind: "main", name: "as asked", points: judged }];
  const every = lines.flatMap((l) => l.points);
  const ends = every.flatMap((p) => [p.value, p.low, p.high]).filter((v) => v !== null);
  const labels = every.map((p) => p.labels);
  const told = {
    name: "the curve of labels", says: `${words(judged[0].metric)} by number of labels: ${lines.filter((l) => l.points.length).map((l) => `${l.name} ${l.points.length > 1 ? `from ${point(l.points[0])} to ` : ""}${point(l.points.at(-1))}`).join("; ")}. In brackets 95 % intervals.`,
    heads: ["labels chosen", "labels", words(judged[0].metric), "from", "to"], rows: () => lines.flatMap((l) => l.points.map((one) => [l.name, one.labels, number(one.value, 3), number(one.low, 3), number(one.high, 3)])),
  };
  const p = plot({ width, height: HEIGHT, label: said(told), x: { domain: roomy([Math.min(...labels), Math.max(...labels)], 0.08), label: "labels" }, y: { domain: roomy([Math.min(...ends), Math.max(...ends)], 0.06), label: words(judged[0].metric) } });
  lines.forEach((line, k) => {
    const shift = k === 0 ? 3 : 0; // beside one another, not on top
    p.layer.append(s("path", { class: `curve ${line.kind}`, d: line.points.map((one, i) => `${i ? "L" : "M"}${(p.X(one.labels) + shift).toFixed(1)} ${p.Y(one.value).toFixed(1)}`).join("") }));
    for (const one of line.points) {
      const x = p.X(one.labels) + shift;
      if (one.low !== null) p.layer.append(s("path", { class: `whisker ${line.kind}`, d: `M${x} ${p.Y(one.low)}V${p.Y(one.high)}` }));
      p.layer.append(s("circle", { class: `knot ${line.kind}`, cx: x, cy: p.Y(one.value), r: 3 }, s("title", {}, `${line.name}: ${point(one)}`)));
    }
  });
  return { svg: p.svg, two: lines[0].points.length > 0, told };
}

const key = (kind, name) => h("span", { class: "af-check" }, s("svg", { width: 20, height: 8, "aria-hidden": "true" }, s("path", { d: "M0 4H20", class: `curve ${kind}` })), name);

/** Retrain, and the curve. @param {any} model @param {any} life */
export function learnPart(model, life) {
  const row = h("div", { class: "af-stackv" });
  const holder = h("div", { class: "af-label-curve" });
  const open = new Set();
  const said = h("div", { class: "af-stackv", "aria-live": "polite" });
  let width = 0;
  const drawRow = () => put(row, h("div", { class: "af-row" }, button("Retrain", () => act(model, "retrain"), { class: "af-button primary", disabled: off(model) || model.get("busy") })),
    model.get("known") ? tick(model, "chance", "also train on as many labels by chance, to compare", off(model)) : caption("Labelling by chance is not shown beside: what it would have given is not known here."));
  const drawCurve = () => {
    const rounds = model.get("rounds") || [];
    const judged = rounds.filter((r) => r.value !== null);
    const last = rounds.at(-1);
    const few = last && Object.entries(last.left_out || {}).map(([name, n]) => `${n} of ${name}`).join(", ");
    if (!judged.length || !width) put(holder);
    else {
      const made = curve(rounds, width);
      put(holder, made.svg, h("div", { class: "af-row af-caption" }, key("main", "as asked"), made.two ? key("soft", "by chance") : null), twin(made.told, open));
    }
    put(said, !rounds.length ? caption("No curve yet. Retrain when two classes have two labels each; each training adds a point, judged on samples that are never asked for.") : null,
      last && last.value === null ? caption(`Trained on ${last.labels} labels, not judged: no sample that judges has a label. Tick "label the samples that judge".`) : null,
      last && last.value !== null ? h("p", { class: "af-caption" }, `${words(last.metric)} ${point(last)}${last.random && last.random.value !== null ? `; by chance ${point(last.random)}` : ""}. Brackets: 95 %, ${last.tested} samples judge. `, apart(last)) : null,
      few ? caption(`Too few labels to learn from: ${few}.`) : null);
  };
  life.on("change:busy change:live change:known change:chance", once(drawRow));
  life.on("change:rounds", once(drawCurve));
  life.push(sized(holder, (w) => { width = w; drawCurve(); }));
  drawRow();
  drawCurve();
  return section("Learn", row, holder, said);
}

/** Whether the last point differs from chance, by the paired difference. */
function apart({ gain }) {
  if (!gain || gain[1] === null) return "";
  const [more, low, high] = gain;
  const figures = `: difference ${number(more, 3)} [${number(low, 3)}, ${number(high, 3)}].`;
  return `${low > 0 ? "Better than by chance" : high < 0 ? "Worse than by chance" : "Not told apart from labelling by chance"}${figures}`;
}

/** Where the labels are written to. @param {any} model @param {any} life */
export function exportPart(model, life) {
  const body = h("div", { class: "af-stackv" });
  const draw = () => {
    const path = h("input", { type: "text", spellcheck: "false", "data-name": "place", value: model.get("place"), disabled: off(model), onchange: (e) => tell(model, { place: e.target.value.trim() }) });
    put(body, field("File, .csv or .ecsv", path), h("div", { class: "af-row" }, button("Export", () => act(model, "export"), { disabled: off(model) || model.get("busy") || !model.get("place") })), h("p", { class: "af-caption", role: "status" }, model.get("written")));
  };
  life.on("change:place change:written change:busy change:live", once(draw));
  draw();
  return section("Labels as a file", body);
}
