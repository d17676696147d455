// Labels and notes that a person adds: asked for once, then kept up to date; a bar to write them.
import { button, h, once, put } from "./dom.js";
import { act, forget, want } from "./link.js";

const KEYS = 9;

/** What is said of each sample, by position. @param {any} model @param {any} life @param {() => void} changed called when anything is known anew */
export function annotations(model, life, changed) {
  const book = { said: new Map(), labels: [], where: "", state: "waiting", problem: "", revision: model.get("annotated")?.revision || 0 };
  let ended = false;
  life.push(() => (ended = true));
  const given = (label) => label && !book.labels.includes(label) && book.labels.push(label);
  const write = (position, label, note) => {
    given(label);
    if (label || note) book.said.set(position, { label, note });
    else book.said.delete(position);
  };
  const ask = () => {
    forget(model, "annotations/");
    want(model, "annotations/all").then((all) => {
      if (ended) return;
      book.said.clear();
      book.labels = [...new Set([...all.labels, ...all.classes])];
      all.positions.forEach((p, k) => write(p, all.labels[all.codes[k]] || "", all.notes[k]));
      book.where = all.where;
      book.state = "known";
      changed();
    }, (error) => {
      if (ended) return;
      book.state = model.get("live") ? "failed" : "absent";
      book.problem = error.message;
      changed();
    });
  };
  life.on("change:annotated", () => {
    const one = model.get("annotated");
    const next = one.revision === book.revision + 1;
    book.revision = one.revision;
    if (!next || one.position === undefined || book.state !== "known") return ask();
    write(one.position, one.label, one.note);
    changed();
  });
  ask();
  return {
    book, ask,
    get: (i) => book.said.get(i) || { label: "", note: "" },
    /** Say it here at once, then to Python, which says it back. */
    set(i, values) {
      if (book.state !== "known" || !model.get("live")) return;
      write(i, ...Object.values({ ...(book.said.get(i) || { label: "", note: "" }), ...values }));
      changed();
      act(model, "annotate", { positions: [i], ...values });
    },
    setAll(positions, label) {
      if (book.state === "known" && model.get("live")) act(model, "annotate", { positions, label });
    },
  };
}

/** Columns of what is said, for the table and its filters; values are looked up, since they change. */
export function annotationColumns(notes) {
  const column = (name, part) => ({ name, kind: "text", role: "yours", unit: "", labels: [], raw: [], text: (i) => notes.get(i)[part], missing: (i) => !notes.get(i)[part] });
  return [column("my_label", "label"), column("my_note", "note")];
}

/** The bar above the slots: chips with their keys, a new label, a note. @param {any} model @param {any} notes */
export function annotationBar(model, notes, { next = () => {} } = {}) {
  const node = h("div", { class: "af-said-bar", role: "group", "aria-label": "Your label and note" });
  const { book } = notes;
  let note = null;
  let typing = 0;
  let drawn = "";
  const focus = () => model.get("focus");

  const toggle = (label) => {
    const i = focus();
    if (i < 0) return;
    const taken = notes.get(i).label === label;
    notes.set(i, { label: taken ? "" : label });
    if (!taken && node.querySelector("input[data-name=onward]")?.checked) next();
  };
  const chips = (mine, still) => book.labels.map((label, k) => h("button", { type: "button", class: "af-chip", disabled: still, "aria-pressed": String(label === mine), "data-name": `label-${label}`, onclick: () => toggle(label) }, k < KEYS ? h("kbd", {}, k + 1) : null, label));
  const keep = (i, text) => {
    clearTimeout(typing);
    typing = 0;
    if (text !== notes.get(i).note) notes.set(i, { note: text });
  };
  const onward = { on: false };

  const show = () => {
    const i = focus();
    if (i < 0 || book.state !== "known") drawn = "";
    if (i < 0 || book.state === "absent") return put(node);
    if (book.state === "failed") return put(node, h("span", { class: "af-caption" }, `Your labels and notes cannot be read: ${book.problem}`), button("Try again", notes.ask, { class: "af-link" }));
    const still = book.state !== "known" || !model.get("live");
    const mine = notes.get(i);
    const place = node.querySelector(".af-chips");
    // what is being typed must survive what Python says meanwhile
    if (place && drawn === `${i} ${still} ${book.where}`) {
      put(place, chips(mine.label, still));
      if (note.getRootNode().activeElement !== note && !typing) note.value = mine.note;
      return undefined;
    }
    drawn = `${i} ${still} ${book.where}`;
    note = h("textarea", {
      rows: 1, class: "af-my-note", placeholder: "a note", "aria-label": "Your note", maxlength: 10000, disabled: still, "data-of": i, value: mine.note,
      oninput: (e) => { clearTimeout(typing); typing = window.setTimeout(keep, 600, i, e.target.value); },
      onchange: (e) => keep(i, e.target.value),
      onblur: (e) => typing && keep(i, e.target.value),
      onkeydown: (e) => { if (e.key === "Escape" || (e.key === "Enter" && !e.shiftKey)) { e.preventDefault(); e.stopPropagation(); e.target.blur(); node.closest(".af")?.focus(); } },
    });
    const wanted = h("input", { type: "text", class: "af-new-label", placeholder: "new label", "aria-label": "New label, press Enter", maxlength: 80, disabled: still, onkeydown: (e) => {
      if (e.key !== "Enter" || !e.target.value.trim()) return;
      const label = e.target.value.trim().split(/\s+/).join(" ");
      e.target.value = "";
      node.closest(".af")?.focus();
      if (notes.get(focus()).label !== label) toggle(label);
    } });
    const on = h("input", { type: "checkbox", "data-name": "onward", checked: onward.on, onchange: (e) => (onward.on = e.target.checked) });
    put(node, h("span", { class: "af-label" }, "your label"), h("div", { class: "af-chips" }, chips(mine.label, still)), wanted, h("label", { class: "af-check" }, on, "go on after labelling"), note,
      h("span", { class: "af-caption af-cut", title: book.where ? `kept in ${book.where}` : "" }, book.where ? "kept with the set" : "kept in memory until the set is saved"));
    return undefined;
  };
  const later = once(show);
  return {
    node, show, update: later,
    label: (k) => { if (book.labels[k]) toggle(book.labels[k]); },
    unlabel: () => focus() >= 0 && notes.set(focus(), { label: "" }),
    write: () => note?.focus(),
    end: () => clearTimeout(typing),
  };
}
