// Evaluation: what is right and what is wrong, as matrix, bins, curves and points; what is clicked is selected everywhere.
import { classColour, label } from "../shared/colours.js";
import { readColumns } from "../shared/columns.js";
import { button, choice, h, once, put, sized } from "../shared/dom.js";
import { blank, frame, waiting } from "../shared/frame.js";
import looks from "../shared/judging.css";
import { confusion, curves, errorBins, evenness, legend, NONE, percent, reliability, rivalColour, short, span, where } from "../shared/judging.js";
import { points } from "../shared/judging_points.js";
import { KEYS } from "../shared/keys.js";
import { forget, positions, readSelection, tell, want, writeSelection } from "../shared/link.js";
import { pager } from "../shared/paging.js";

const DASHES = [null, "6 3", "2 3", "8 3 2 3", "1 4"];
const MOST = 8;
const PICKS = ".af-cell,.af-bin,.af-points,input,select,button,summary";

class EvaluationView {
  constructor(model, el) {
    this.model = model;
    this.ended = false;
    this.vertex = -1;
    this.said = "";
    this.open = new Set();
    this.faults = new Map();
    this.answers = new Map();
    const page = (by) => () => this.paging.page(by);
    this.frame = frame(model, el, { title: "Evaluation", keys: KEYS.evaluation, looks, themed: () => this.later?.(), on: { ArrowRight: page(1), ArrowLeft: page(-1), Escape: () => writeSelection(model, new Uint8Array(0)), w: () => this.takeWrong() } });
    const { life, main, note } = this.frame;
    note.textContent = model.get("title");
    this.columns = readColumns(model.get("columns"));
    this.n = this.columns[0]?.raw[0] === "" ? 0 : this.columns[0]?.raw.length || 0;
    this.paging = pager(model, this.n);
    life.push(() => (this.ended = true));
    if (!this.n) return void put(main, blank("No samples", "Give samples to the widget: af.EvaluationWidget(run, samples)."));
    this.tools = h("div", { class: "af-row" });
    this.body = h("div", {});
    this.spoken = h("p", { class: "af-caption", role: "status", "aria-live": "polite" });
    put(main, this.tools, this.spoken, this.body);
    this.later = once(() => !this.ended && this.draw());
    life.push(sized(this.body, (width) => { this.width = width; this.later(); }));
    life.on("change:part change:shown", once(() => this.ask()));
    life.on("change:by change:measure change:one", once(() => { this.vertex = -1; this.ask(); }));
    life.on("change:selected change:focus", this.later);
    life.on("change:live change:rows change:verdict change:contenders change:parts change:names change:bys change:measures change:task change:unit", this.later);
    this.ask();
  }

  // ---- what Python says ---------------------------------------------------------------------------------------------

  place() { return Math.max(0, this.model.get("contenders").findIndex((c) => c.name === this.model.get("shown"))); }

  judgedKey(i) { return `judged/${this.model.get("part")}/${i}`; }

  errorsKey(i) {
    const { model } = this;
    const target = model.get("task") === "multi_regression" ? Math.max(0, model.get("names").indexOf(model.get("one"))) : 0;
    return `errors/${model.get("part")}/${i}/${target}/${model.get("measure")}/${model.get("bys").indexOf(model.get("by"))}`;
  }

  keys() {
    const all = this.model.get("contenders").map((_, i) => i).filter((i) => i === this.place() || this.known(this.judgedKey(i)));
    const binned = this.model.get("bys").length && this.model.get("measure") ? all.map((i) => this.errorsKey(i)) : [];
    return [...new Set([this.judgedKey(this.place()), ...all.map((i) => this.judgedKey(i)), ...binned])];
  }

  /** Whether an answer can be had: in a page without a kernel, what was stored with it. */
  known(key) { return this.model.get("live") || this.answers.get(key) || key in (this.model.get("saved") || {}); }

  ask() {
    for (const key of this.keys()) {
      if (this.answers.has(key) || !this.known(key)) continue;
      this.answers.set(key, null);
      want(this.model, key).then((answer) => { this.answers.set(key, answer); this.later(); }, (error) => { this.answers.delete(key); this.faults.set(key, error.message); this.later(); });
    }
    this.later();
  }

  got(key) { return this.answers.get(key); }

  // ---- selecting ----------------------------------------------------------------------------------------------------

  /** Which rows of an answer are selected. */
  chosen(answer) {
    const mask = readSelection(this.model, this.n);
    return Uint8Array.from(answer.positions, (i) => mask[i]);
  }

  /** Select rows of an answer; shift adds, alt takes away. */
  take(answer, rows, words, event) {
    const mask = event?.shiftKey || event?.altKey ? readSelection(this.model, this.n) : new Uint8Array(this.n);
    for (const row of rows) mask[answer.positions[row]] = event?.altKey ? 0 : 1;
    this.said = `${rows.length} ${rows.length === 1 ? "sample" : "samples"}${words ? `: ${words}` : ""}`;
    writeSelection(this.model, mask);
  }

  /** All that the contender shown has wrong. */
  wrong(answer) {
    if (answer.targets) return where(answer.n, (i) => this.target(answer).far[i]);
    const [truth, said] = this.codes(answer);
    return where(answer.n, (i) => truth[i] !== NONE && truth[i] !== said[i]);
  }

  takeWrong() {
    const answer = this.got(this.judgedKey(this.place()));
    if (answer && !answer.none) this.take(answer, this.wrong(answer), answer.targets ? "outliers" : "wrong");
  }

  which() { return this.model.get("names").indexOf(this.model.get("one")); }

  target(answer) { return answer.targets[Math.max(0, this.which())]; }

  codes(answer) {
    const i = this.model.get("task") === "multi_label" ? Math.max(0, this.which()) : -1;
    return i < 0 ? [answer.truth, answer.said] : [answer.truth[i], answer.said[i]];
  }

  // ---- drawing ------------------------------------------------------------------------------------------------------

  draw() {
    if (!this.width) return;
    const active = this.frame.root.getRootNode().activeElement;
    const card = active?.closest?.("[data-card]");
    const at = card ? [...card.querySelectorAll(PICKS)].indexOf(active) : -1;
    this.drawTools();
    const key = this.judgedKey(this.place());
    const answer = this.got(key);
    if (!this.known(key)) put(this.body, blank("Not stored", "This page has no kernel, and this was not stored with it. Open it in a notebook to see it."));
    else if (this.faults.has(key)) put(this.body, blank("This could not be measured", this.faults.get(key), this.model.get("live") ? button("Try again", () => { this.faults.clear(); forget(this.model); this.ask(); }) : null));
    else if (!answer) put(this.body, waiting("Measuring"));
    else if (answer.none) put(this.body, this.beside(), blank("Nothing to measure", answer.none));
    else put(this.body, this.facts(answer), this.beside(), h("div", { class: "af-judge" }, this.cards(answer)));
    const picked = positions(readSelection(this.model, this.n)).length;
    this.spoken.textContent = picked ? `${picked} selected${this.said ? `; last: ${this.said}` : ""}. Shift adds, alt takes away, Esc clears.` : "Click a cell, a bin, a curve or a point to select its samples in all linked views. Shift adds, alt takes away.";
    if (at >= 0) /** @type {any} */ (this.body.querySelector(`[data-card="${card.dataset.card}"]`)?.querySelectorAll(PICKS)[at])?.focus({ preventScroll: true });
  }

  drawTools() {
    const { model } = this;
    const task = model.get("task");
    const kept = Object.keys(model.get("saved") || {});
    const names = model.get("contenders").filter((_, i) => this.known(this.judgedKey(i))).map((c) => [c.name, `${label(c.name)}${c.run ? "" : " (compared)"}`]);
    const parts = model.get("parts").filter((p) => model.get("live") || [...kept, ...this.answers.keys()].some((key) => key.startsWith(`judged/${p.name}/`))).map((p) => [p.name, `${p.name} (${p.n})`]);
    const pairs = model.get("names").map((name) => [name, name]);
    const what = { classification: "class", multi_label: "label", multi_regression: "target" }[task];
    put(this.tools, names.length > 1 ? h("label", { class: "af-check" }, "model", choice("Model", names, model.get("shown"), (v) => tell(model, { shown: v }))) : null,
      h("label", { class: "af-check" }, "samples", choice("Part", parts, model.get("part"), (v) => tell(model, { part: v }))),
      what && pairs.length ? h("label", { class: "af-check" }, what, choice(`The ${what}`, task === "classification" ? [["", "all"], ...pairs] : pairs, model.get("one"), (v) => tell(model, { one: v }))) : null,
      h("span", { class: "af-space" }), task === "self_supervised" ? null : button(task.includes("regression") ? "Select outliers" : "Select wrong", () => this.takeWrong(), { class: "af-button" }));
  }

  facts(answer) {
    const { model } = this;
    const part = model.get("parts").find((p) => p.name === model.get("part"));
    const metrics = answer.targets ? this.target(answer).metrics : answer.metrics;
    const unit = answer.targets && !this.target(answer).redshift ? model.get("unit") : "";
    return h("div", {}, h("div", { class: "af-figures" }, metrics.map(([name, value, low, high]) => h("div", {}, h("small", {}, `${label(name)}${unit && !["r2", "outlier_fraction"].includes(name) ? ` (${unit})` : ""}`), h("strong", {}, short(value)), h("span", {}, `[${short(low)}, ${short(high)}]`)))),
      h("p", { class: "af-caption" }, `n = ${answer.n}${answer.groups < answer.n ? ` in ${answer.groups} groups` : ""}: ${part?.says || ""}. Brackets: 95 % intervals.`),
      answer.seen && !["train", "validation", "all"].includes(model.get("part")) ? h("p", { class: "af-warned" }, `${label(model.get("shown"))} was itself trained on ${answer.seen} of them, by a split of its own: it is flattered.`) : null);
  }

  /** The comparison's rows, as intervals on one scale. */
  beside() {
    const rows = this.model.get("rows");
    if (!rows.length) return null;
    const singles = rows.filter((r) => r.model === r.modalities);
    const best = singles.length ? singles.reduce((a, b) => (a.difference <= b.difference ? a : b)).model : "";
    const main = (r, i) => i === 0 || r.model === best || ["trees", "boosting", "linear", "chance"].includes(r.model);
    const ends = rows.flatMap((r) => [r.low, r.high, r.value]).filter((v) => v !== null);
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const at = (v) => `${(100 * (v - low)) / (high - low || 1)}%`;
    const line = (r, i) => h("tr", { class: i === 0 ? "is-main" : "" }, h("th", { scope: "row" }, label(r.model), r.model === best ? h("span", { class: "af-unit" }, " best single") : null),
      h("td", { class: "af-wide" }, r.value === null ? null : h("span", { class: "af-interval" }, h("i", { style: { left: at(r.low ?? r.value), width: `calc(${at(r.high ?? r.value)} - ${at(r.low ?? r.value)})` } }), h("b", { style: { left: at(r.value) } }))),
      h("td", {}, span(r.value, r.low, r.high)), h("td", {}, i === 0 || r.difference === null ? "" : `${r.difference >= 0 ? "+" : "−"}${short(Math.abs(r.difference))} [${short(r.difference_low)}, ${short(r.difference_high)}]`));
    const shown = rows.map((r, i) => [r, i]).filter(([r, i]) => main(r, i));
    return h("section", { "aria-label": "Fused beside its parts" }, h("h3", {}, "Fused beside its parts"), h("div", { class: "af-scroll" }, h("table", { class: "af-beside" }, h("thead", {}, h("tr", {}, ["model", label(rows[0].metric), "value and 95 % interval", `${label(rows[0].model)} less this, paired`].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, shown.map(([r, i]) => line(r, i))))), h("p", { class: "af-caption" }, this.model.get("verdict")));
  }

  cards(answer) {
    const gap = 24;
    const across = Math.max(1, Math.floor((this.width + gap) / (372 + gap)));
    const width = Math.min(560, Math.floor((this.width - gap * (across - 1)) / across));
    const chosen = this.chosen(answer);
    const pick = (rows, words, event) => this.take(answer, rows, words, event);
    const card = (name, title, ...inside) => h("section", { "data-card": name, "aria-label": title }, h("h3", {}, title), inside);
    const errors = this.errorsCard(card, width, answer);
    if (answer.targets) return [...this.numberCards(card, width, answer, chosen, pick), errors];
    const names = this.model.get("task") === "multi_label" ? [`no ${this.model.get("one")}`, this.model.get("one")] : this.model.get("names");
    const [truth, said] = this.codes(answer);
    const counts = this.model.get("task") === "multi_label" ? answer.confusion[Math.max(0, this.which())] : answer.confusion;
    return [card("confusion", "Confusion", confusion({ names, counts, truth, said, chosen, pick }), h("p", { class: "af-caption" }, "colour: share of its row; the bar in a cell: how much of it is selected")), this.reliabilityCard(card, width, answer, chosen, pick), ...this.curveCards(card, width, answer, chosen), errors];
  }

  reliabilityCard(card, width, answer, chosen, pick) {
    const several = this.model.get("task") === "multi_label";
    const i = several ? Math.max(0, this.which()) : this.which() + 1;
    const one = answer.reliability[i];
    const words = several || i > 0 ? `probability of ${this.model.get("one")}` : "highest probability";
    const ece = several || i > 0 ? null : answer.metrics.find(([name]) => name === "calibration_error");
    const [drawn, under] = reliability({ bins: one.bins, at: one.at, chosen, words, pick, open: this.open }, width);
    return card("reliability", "Reliability", drawn, h("p", { class: "af-caption" }, `${ece ? `expected calibration error ${span(...ece.slice(1))}; ` : ""}bars: Wilson 95 % intervals; grey: how many samples`), under);
  }

  /** The curves of each class, or of one class from each contender. */
  lines(answer) {
    const { model } = this;
    const [task, which] = [model.get("task"), this.which()];
    const names = model.get("names");
    if (task === "classification" && which < 0) {
      const order = names.map((_, i) => i).filter((i) => answer.curves[i].drawn).sort((a, b) => answer.curves[b].members - answer.curves[a].members).slice(0, names.length === 2 ? 0 : MOST).sort((a, b) => a - b);
      const some = names.length === 2 && answer.curves[1].drawn ? [1] : order;
      return some.map((i) => ({ name: names[i], curve: answer.curves[i], colour: classColour(i), dash: DASHES[0], own: true, of: names[i] }));
    }
    const i = Math.max(0, which);
    const own = this.place();
    const rivals = model.get("contenders").map((c, k) => ({ c, k, answer: this.got(this.judgedKey(k)) })).filter((one) => one.k !== own && one.answer && !one.answer.none);
    const all = [{ name: label(model.get("shown")), curve: answer.curves[i], colour: "var(--af-accent)", dash: null, own: true, of: names[i] }, ...rivals.map((one, j) => ({ name: label(one.c.name), curve: one.answer.curves[i], colour: rivalColour(j), dash: DASHES[(j % 4) + 1], own: false, of: names[i] }))];
    return all.filter((one) => one.curve?.drawn);
  }

  curveCards(card, width, answer, chosen) {
    const lines = this.lines(answer);
    const none = () => blank("No curve", "A curve needs samples both of a class and of others; these are of one class alone.");
    const pick = (line, v, event) => {
      this.vertex = v;
      this.take(answer, where(answer.n, (i) => line.curve.at[i] <= v && line.curve.at[i] !== NONE), `taken for ${line.of} from probability ${short(line.curve.threshold[v])} on`, event);
    };
    const own = lines.filter((one) => one.own);
    const key = (name) => legend(lines.map((one) => ({ name: one.name, colour: one.colour, dash: one.dash, words: `${name === "roc" ? "area" : "mean precision"} ${span(...one.curve[name])}` })));
    const slider = own.length === 1 ? this.threshold(own[0], pick) : h("p", { class: "af-caption" }, "Click a curve to take the samples up to there; choose one class for a threshold to set by key.");
    const made = (name, title, ...more) => {
      if (!lines.length) return card(name, title, none());
      const [drawn, under] = curves({ kind: name, lines, chosen, vertex: this.vertex, pick, open: this.open }, width);
      return card(name, title, drawn, key(name), more, under);
    };
    return [made("roc", "ROC", slider), made("pr", "Precision and recall")];
  }

  threshold(line, pick) {
    const { threshold, precision, y } = line.curve;
    const v = Math.min(threshold.length - 1, Math.max(0, this.vertex));
    const told = (k) => `from ${short(threshold[k])} on: purity ${percent(precision[k])}, completeness ${percent(y[k])}`;
    const text = h("span", { class: "af-num" }, told(v));
    return h("div", { class: "af-threshold" }, h("input", { type: "range", min: 0, max: threshold.length - 1, step: 1, value: v, "aria-label": `How many to take for ${line.of}`, "aria-valuetext": told(v), oninput: (e) => { text.textContent = told(Number(e.target.value)); e.target.setAttribute("aria-valuetext", text.textContent); }, onchange: (e) => pick(line, Number(e.target.value), null) }), text);
  }

  numberCards(card, width, answer, chosen, pick) {
    const one = this.target(answer);
    const unit = this.model.get("unit") && !one.redshift ? ` (${this.model.get("unit")})` : "";
    const { middle, reach, redshift, name } = one;
    const scaled = redshift ? reach : 0;
    /** @type {[number, number, number][]} */
    const bounds = reach > 0 ? [[1 + scaled, middle + reach, 1], [1 - scaled, middle - reach, 1]] : [];
    const look = (i) => tell(this.model, { focus: answer.positions[i] });
    const common = { far: one.far, chosen, open: this.open, focus: answer.positions.indexOf(this.model.get("focus")), name: (i) => this.columns[0].text(answer.positions[i]), pick, look };
    const against = points({ ...common, xs: one.truth, ys: one.said, x: `true ${label(name)}${unit}`, y: `predicted ${label(name)}${unit}`, lines: [[1, 0, 0], ...bounds], label: "Prediction against truth" }, width);
    /** @type {[number, number, number][]} */
    const level = [[0, middle, 0], ...(reach > 0 ? [[0, middle + reach, 1], [0, middle - reach, 1]] : [])].map(([a, b, c]) => [a, b, c]);
    const error = redshift ? "Δz / (1 + z)" : `predicted less true${unit}`;
    const left = points({ ...common, xs: one.truth, ys: one.error, x: `true ${label(name)}${unit}`, y: error, lines: level, label: "Error against truth" }, width);
    requestAnimationFrame(() => { against.draw(); left.draw(); }); // colours are known once it stands in the page
    const far = where(answer.n, (i) => one.far[i]);
    const outliers = h("div", { class: "af-row" }, button(far.length === 1 ? "Select the outlier" : `Select the ${far.length} outliers`, (e) => pick(far, "outliers", e), { class: "af-link", disabled: !far.length }), h("span", { class: "af-caption" }, redshift ? `beyond ${short(reach)} of 1 + z, dashed` : `beyond five NMAD (${short(reach)}) from the median error, dashed`));
    return [card("against", `Prediction against truth: ${label(name)}`, against.node, against.under, outliers), card("error", "Error against truth", left.node, left.under, h("p", { class: "af-caption" }, `${redshift ? "" : `median error ${short(middle)}; `}n = ${one.n}`)),
      answer.pit ? card("pit", "Predicted distributions", evenness({ pit: answer.pit, chosen, pick, open: this.open }, width), h("p", { class: "af-caption" }, "even where widths are right (95 % of an even one lie in the grey band); a valley: too narrow, a hill: too wide")) : null];
  }

  errorsCard(card, width, judged) {
    const { model } = this;
    if (!model.get("bys").length) return null;
    const own = this.place();
    const answer = this.got(this.errorsKey(own));
    const [live, kept] = [model.get("live"), [...Object.keys(model.get("saved") || {}), ...this.answers.keys()]];
    const measures = model.get("measures").filter((m) => live || kept.some((key) => key.split("/")[4] === m));
    const bys = model.get("bys").filter((_, i) => live || kept.some((key) => key.startsWith(`errors/${model.get("part")}/${own}/`) && key.endsWith(`/${model.get("measure")}/${i}`)));
    const head = h("header", {}, h("label", { class: "af-check" }, choice("Measure", measures.map((m) => [m, label(m)]), model.get("measure"), (v) => tell(model, { measure: v })), "by", choice("Column to bin by", bys.map((b) => [b, label(b)]), model.get("by"), (v) => tell(model, { by: v }))));
    const fault = this.faults.get(this.errorsKey(own));
    if (!this.known(this.errorsKey(own))) return card("errors", "Errors by column", head, blank("Not stored", "This was not stored with the page."));
    if (fault) return card("errors", "Errors by column", head, blank("Not measured", fault));
    if (!answer) return card("errors", "Errors by column", head, waiting("Measuring"));
    if (answer.none) return card("errors", "Errors by column", head, blank("Unknown", answer.none));
    const rivals = model.get("contenders").map((c, k) => ({ name: label(c.name), answer: k === own ? null : this.got(this.errorsKey(k)) })).filter((one) => one.answer && !one.answer.none).map((one, j) => ({ ...one, colour: rivalColour(j) }));
    const series = [{ name: label(model.get("shown")), answer, colour: "var(--af-accent)" }, ...rivals];
    const unknown = answer.unknown ? h("span", {}, `; ${answer.unknown} without a value`) : null;
    const [drawn, under] = errorBins({ series, name: model.get("by"), unit: answer.unit, measure: model.get("measure"), chosen: this.chosen(answer), pick: (rows, words, event) => this.take(answer, rows, words, event), open: this.open }, width);
    return card("errors", "Errors by column", head, drawn,
      series.length > 1 ? legend(series.map((one, j) => ({ name: one.name, colour: one.colour, dash: j ? "4 3" : null }))) : null, h("p", { class: "af-caption" }, `equally many of ${judged.n} samples in each bin`, unknown), under);
  }
}

const render = ({ model, el }) => new EvaluationView(model, el).frame.end;

export default { render };
