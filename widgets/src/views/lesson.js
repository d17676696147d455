// A lesson, or one question or task of it: predict before you see, try, ask for a hint, and see how far you have come.
import { button, field, h, once, put } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import looks from "../shared/lesson.css";
import { act } from "../shared/link.js";

/** Text with `code` and **strong** in it; all else stays as it is. @param {string} text */
function words(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => (/^`[^`]+`$/.test(part) ? h("code", {}, part.slice(1, -1)) : /^\*\*[^*]+\*\*$/.test(part) ? h("strong", {}, part.slice(2, -2)) : part));
}

const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

class LessonView {
  constructor(model, el) {
    this.model = model;
    this.drafts = new Map(); // what was typed or picked and is not stored yet, by item
    const item = model.get("items")[0];
    const title = model.get("only") ? (item?.kind === "question" ? "Predict" : "Task") : "Lesson";
    this.frame = frame(model, el, { title, keys: KEYS.lesson, looks });
    this.holder = h("div", { class: "af-lesson" });
    put(this.frame.main, this.holder);
    this.frame.life.on("change:items change:plan change:body change:live change:busy change:written change:student", once(() => this.draw()));
    this.draw();
  }

  draw() {
    const { model } = this;
    const [plan, items, only] = [model.get("plan"), model.get("items"), model.get("only")];
    this.frame.note.textContent = plan.title || "";
    this.still = !model.get("live") || model.get("busy");
    if (only) return put(this.holder, items.map((one) => this.item(one)));
    const body = model.get("body");
    const byName = new Map(items.map((one) => [one.name, one]));
    const parts = body.length ? body.map((block) => this.block(block, byName)) : items.length ? this.list(items) : blank("No questions yet", "They appear here once their cells have run: lesson.predict(...) and lesson.task(...).");
    return put(this.holder, this.top(plan), parts, this.foot(plan));
  }

  // ---- the lesson ----------------------------------------------------------------------------------------------------

  top(plan) {
    const facts = [plan.minutes ? `about ${plan.minutes} minutes` : "", plan.samples, `seed ${plan.seed}`].filter(Boolean).join(" · ");
    const share = plan.of ? plan.done / plan.of : 0;
    return h("div", { class: "af-lesson-top" },
      h("p", { class: "af-lesson-facts af-caption" }, facts),
      plan.objectives.length ? [h("h3", {}, "Afterwards you can"), h("ul", {}, plan.objectives.map((one) => h("li", {}, words(one))))] : null,
      plan.of ? [h("p", { class: "af-caption", role: "status" }, `${plan.done} of ${count(plan.of, "question or task", "questions and tasks")} done`), h("div", { class: "af-lesson-bar", "aria-hidden": "true" }, h("i", { style: { width: `${100 * share}%` } }))] : null,
      plan.open ? h("p", { class: "af-caption" }, "Open for a teacher: results are shown without predictions.") : null,
      plan.problem ? h("p", { class: "af-caption af-poor" }, plan.problem) : null);
  }

  /** A notebook has the cards in its own place; here is where each stands. */
  list(items) {
    const state = (one) => (one.kind === "question" ? (one.done ? "predicted" : "to predict") : one.kind === "contest" ? `${one.tries} of ${one.n} told` : one.done ? "right" : one.tries ? `${count(one.tries, "try", "tries")}, not yet` : "to do");
    return h("div", { class: "af-scroll" }, h("table", { class: "af-values" }, h("thead", {}, h("tr", {}, ["", "question or task", "state"].map((one) => h("th", { scope: "col" }, one)))),
      h("tbody", {}, items.map((one) => h("tr", {}, h("td", {}, h("span", { "aria-hidden": "true" }, one.done ? "●" : "○")), h("th", { scope: "row" }, words(one.text)), h("td", {}, state(one)))))));
  }

  block([kind, more], byName) {
    if (kind === "heading") return h("h3", {}, words(more[1]));
    if (kind === "list") return h("ul", {}, more.map((one) => h("li", {}, words(one))));
    if (kind === "code") return h("pre", { tabindex: "0", "aria-label": "Code to run in a cell" }, more);
    if (kind === "item") return byName.has(more) ? this.item(byName.get(more)) : null;
    return h("p", {}, words(more));
  }

  foot(plan) {
    const { model } = this;
    if (!model.get("live")) return h("p", { class: "af-caption" }, "This page has no kernel: open the lesson in a notebook to answer.");
    const name = h("input", { type: "text", value: model.get("student"), maxlength: 80, autocomplete: "off", "aria-label": "Your name or number", disabled: this.still, onchange: (e) => act(model, "rename", { student: e.target.value }) });
    return h("div", { class: "af-foot" }, field("Your name or number (stands in the file; may be empty)", name), button("Save progress for the teacher", () => act(model, "save"), { disabled: this.still || !plan.of }),
      h("p", { class: "af-caption", role: "status" }, model.get("written") ? `Written: ${model.get("written")}` : ""));
  }

  // ---- items ---------------------------------------------------------------------------------------------------------

  item(one) {
    const state = one.kind === "question" ? (one.done ? "stored" : "open") : one.kind === "contest" ? `${one.tries} of ${one.n} told` : one.done ? "right" : one.tries ? "wrong" : "open";
    const said = { stored: "your prediction is stored", right: `right after ${count(one.tries, "try", "tries")}`, wrong: `${count(one.tries, "try", "tries")}, not yet right`, open: one.kind === "question" ? "predict before you see" : "to do" }[state];
    const alone = Boolean(this.model.get("only")); // the frame says what it is
    return h("section", { class: `af-item${alone ? " is-alone" : ""}`, "data-state": state, "aria-label": `${one.kind === "question" ? "Question" : "Task"} ${one.name}` },
      h("div", { class: "af-item-head" }, alone ? null : h("strong", {}, one.kind === "question" ? "Question" : "Task"), h("span", {}, one.name), h("span", { class: "af-space" }), h("span", { class: `af-tag${state === "right" ? " right" : state === "wrong" ? " wrong" : ""}`, role: "status" }, said)),
      h("div", { class: "af-ask" }, words(one.text)), one.kind === "question" ? this.question(one) : this.task(one));
  }

  question(one) {
    if (one.done) {
      const unit = one.unit && one.unit !== "1" ? ` ${one.unit}` : "";
      const outcome = one.outcome === null || one.outcome === undefined ? null : h("p", {}, "It came out: ", h("strong", {}, `${one.outcome}${unit}`));
      return [h("p", {}, "You predicted: ", h("strong", {}, `${one.answer}${unit}`)), outcome, one.early ? h("p", { class: "af-caption" }, "The result had been shown before.") : null];
    }
    const store = () => {
      const value = this.drafts.get(one.name);
      if (value !== undefined && value !== "") act(this.model, "answer", { name: one.name, value });
    };
    const save = button("Store my prediction", store, { "aria-label": `Store my prediction of ${one.name}`, disabled: this.still || !this.drafts.get(one.name) });
    const keep = (value) => {
      this.drafts.set(one.name, value);
      save.disabled = this.still || value === "";
    };
    return [this.input(one, keep, store), h("div", { class: "af-row" }, save, h("span", { class: "af-caption" }, "The first one stands."))];
  }

  input(one, keep, store) {
    const draft = this.drafts.get(one.name) ?? "";
    if (one.choices.length) {
      const pick = (text) => h("label", {}, h("input", { type: "radio", name: `${one.name}-${this.frame.root.dataset.theme}`, value: text, checked: draft === text, disabled: this.still, "aria-label": text, onchange: () => keep(text) }), h("span", {}, words(text)));
      return h("fieldset", { class: "af-choices", "aria-label": one.text }, one.choices.map(pick));
    }
    if (!one.unit) return h("textarea", { "aria-label": `Your answer to ${one.name}`, maxlength: 4000, disabled: this.still, value: draft, oninput: (e) => keep(e.target.value) });
    return this.typed(one, keep, store, one.unit === "1" ? "" : one.unit);
  }

  typed(one, keep, then, unit = "") {
    const box = h("input", { type: "text", inputmode: one.asks === "text" ? "text" : "decimal", "aria-label": `Your answer to ${one.name}`, disabled: this.still, value: this.drafts.get(one.name) ?? "", oninput: (e) => keep(e.target.value), onkeydown: (e) => e.key === "Enter" && then() });
    return h("div", { class: "af-row" }, box, unit ? h("span", { class: "af-unit" }, unit) : null);
  }

  task(one) {
    const { model } = this;
    const check = () => {
      const value = this.drafts.get(one.name);
      if (one.asks === "ids" || value) act(model, "check", { name: one.name, value });
    };
    const keep = (value) => this.drafts.set(one.name, value);
    const ways = { code: h("p", { class: "af-caption" }, "Answer in a cell: ", h("code", {}, `af.lesson.check("${one.name}", your_answer)`)), ids: h("div", { class: "af-row" }, button("Check my selection", check, { disabled: this.still })) };
    const tries = ways[one.asks] || [this.typed(one, keep, check), h("div", { class: "af-row" }, button("Check", check, { disabled: this.still, "aria-label": `Check ${one.name}` }), h("span", { class: "af-caption" }, "or in a cell: ", h("code", {}, `af.lesson.check("${one.name}", ...)`)))];
    const more = h("div", { class: "af-row" },
      one.left ? button(one.shown.length ? "Next hint" : "Hint", () => act(model, "hint", { name: one.name }), { class: "af-link", disabled: this.still, "aria-label": `Hint to ${one.name}` }) : null,
      one.solution ? null : button("Show the answer", () => act(model, "reveal", { name: one.name }), { class: "af-link", disabled: this.still, "aria-label": `Show the answer to ${one.name}` }));
    return [model.get("live") ? tries : null, one.words ? h("p", { role: "status" }, one.words) : null,
      one.shown.length ? h("div", { class: "af-hints" }, one.shown.map((text, k) => h("p", {}, h("strong", {}, `Hint ${k + 1}: `), words(text)))) : null,
      one.solution ? h("div", { class: "af-hints" }, h("p", {}, h("strong", {}, "Answer: "), words(one.solution))) : null, model.get("live") ? more : null];
  }
}

const render = ({ model, el }) => new LessonView(model, el).frame.end;

export default { render };
