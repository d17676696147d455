// What could be wrong with a set: findings in words, then class balance, what is missing, signal to noise, leaks, duplicates.
import { classColour, label, modalityColour } from "./colours.js";
import { number } from "./columns.js";
import { button, h, put } from "./dom.js";
import { blank, waiting } from "./frame.js";
import { forget, want } from "./link.js";

const SHOWN = 12;
const WORDS = { serious: "serious", warning: "warning", note: "note" };

/** Rows of a table by the names of its columns. */
const records = (table) => (table ? table.rows.map((row) => Object.fromEntries(table.names.map((name, k) => [name, row[k]]))) : []);
const percent = (v) => (v === null ? "" : `${number(100 * v, 3)} %`);

function bars(rows, { name, share, text, colour }) {
  const top = Math.max(1e-12, ...rows.map(share));
  return h("table", { class: "af-values af-bars" }, h("tbody", {}, rows.map((row, k) => h("tr", {}, h("th", { scope: "row" }, name(row)),
    h("td", { class: "af-wide" }, h("span", { class: "af-bar" }, h("i", { style: { left: "0", width: `${(100 * share(row)) / top}%`, background: colour(row, k) } }))), h("td", { class: "af-num" }, text(row))))));
}

function block(title, note, ...body) {
  return h("section", { class: "af-block" }, h("h3", {}, title), note ? h("p", { class: "af-caption" }, note) : null, body);
}

const more = (table) => (table && table.count > SHOWN ? h("p", { class: "af-caption" }, `${SHOWN} of ${table.count} rows; samples.quality() has all.`) : null);

function balance(got) {
  if (!got.balance) return block("Classes", "This set has no target.");
  const rows = records(got.balance);
  if (rows.length && rows[0].class === undefined) return block("Target", `${got.target} is a number.`, listed(got.balance));
  // the colours that these classes have everywhere: in the order of their names
  const names = rows.map((r) => r.class).filter((name) => name !== "(none)").sort();
  return block("Classes", `of ${got.target}`, bars(rows.slice(0, SHOWN), { name: (r) => r.class, share: (r) => r.objects, text: (r) => `${r.objects}, ${percent(r.share)}`, colour: (r) => classColour(names.indexOf(r.class)) }), more(got.balance));
}

function missing(got) {
  const rows = records(got.masks).filter((r) => r.kind !== "column" || r.missing > 0);
  const top = (r) => (r.missing === null ? 0 : r.missing);
  return block("Missing and masked", "share of the objects without it; in brackets, masked where it is there",
    bars(rows.slice(0, SHOWN), { name: (r) => label(r.name), share: top, text: (r) => `${percent(r.missing)}${r.masked === null ? "" : ` (${percent(r.masked)})`}`, colour: (r) => modalityColour(r.kind) }), rows.length > SHOWN ? more({ count: rows.length }) : null);
}

/** A table as it is. */
function listed(table) {
  const rows = table.rows.slice(0, SHOWN);
  const words = (v) => (v === null ? "" : typeof v === "number" ? number(v, 4) : typeof v === "boolean" ? (v ? "yes" : "no") : v);
  return h("div", { class: "af-across-scroll" }, h("table", { class: "af-values" }, h("thead", {}, h("tr", {}, table.names.map((name, k) => h("th", { scope: "col", class: typeof rows[0]?.[k] === "number" ? "af-num" : "" }, label(name), table.units[k] ? ` (${table.units[k]})` : "")))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((v) => h("td", { class: typeof v === "number" ? "af-num" : "" }, words(v))))))));
}

function plainTable(title, note, table, none) {
  if (!table) return null;
  return block(title, table.count ? note : none, table.count ? listed(table) : null, more(table));
}

function draw(got) {
  const findings = got.findings.length ? h("ul", { class: "af-findings" }, got.findings.map(([level, about, says, todo]) => h("li", { class: `is-${level}` }, h("strong", {}, WORDS[level] || level), " ", h("span", { class: "af-unit" }, about), " ", says, " ", h("em", {}, todo))))
    : h("p", {}, "Nothing found that stands out. That is no proof that nothing leaks.");
  return h("div", { class: "af-quality" }, h("div", { class: "af-across" }, findings), balance(got), missing(got),
    plainTable("Signal to noise", "", got.signal, "No modality has errors."),
    plainTable("What gives the label away", got.target ? `how well each column alone predicts ${got.target}, the most telling first` : "", got.leakage, "No column was judged."),
    plainTable("Separations of matches", "", got.separations, "No column of separations."),
    plainTable("Duplicates", got.split ? "across: on both sides of the published split" : "", got.duplicates, "No two objects are the same or nearly so."));
}

/** @param {any} model @param {any[]} life */
export function qualityReport(model, life) {
  const node = h("div", { class: "af-tab-body" });
  let ended = false;
  life.push(() => (ended = true));
  const ask = () => {
    put(node, waiting("Looking for duplicates, leaks and gaps"));
    want(model, "quality/all").then((got) => !ended && put(node, draw(got)), (error) => {
      forget(model, "quality/");
      if (!ended) put(node, blank("Quality cannot be judged", error.message, model.get("live") ? button("Try again", ask) : null));
    });
  };
  ask();
  return node;
}
