// Columns of a sample set: values by row, filters typed by hand, sorting, colours.
import { lines, typed } from "./arrays.js";

const COMPARE = { ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b, "=": (a, b) => a === b, "!=": (a, b) => a !== b };

/** @typedef {{name: string, kind: string, role: string, unit: string, labels: string[], raw: any, text: (i: number) => string, missing: (i: number) => boolean}} Column */

/** @param {any} packed @returns {Column} */
function column(packed) {
  const { name, kind, role, unit } = packed;
  if (kind === "text") {
    const all = lines(packed.utf8);
    return { name, kind, role, unit, labels: [], raw: all, text: (i) => all[i] ?? "", missing: (i) => !all[i] };
  }
  const raw = typed(packed.values);
  if (kind === "category") return { name, kind, role, unit, labels: packed.labels, raw, text: (i) => packed.labels[raw[i]] ?? "", missing: (i) => raw[i] < 0 };
  return { name, kind, role, unit, labels: [], raw, text: (i) => number(raw[i], 3), missing: (i) => Number.isNaN(raw[i]) };
}

/** @param {any[]} packed @returns {Column[]} */
export const readColumns = (packed) => (packed || []).map(column);

/** A unit as it is printed. @param {string} unit */
export const unitText = (unit) => (unit || "").replace("uJy", "µJy").replace("1e-17 erg / (s cm2 Angstrom)", "10⁻¹⁷ erg s⁻¹ cm⁻² Å⁻¹");

/** A number as a person writes it: five figures at most, never an exponent where none is needed. */
export function number(v, figures = 5) {
  if (v === null || v === undefined || !Number.isFinite(v)) return "";
  if (Number.isInteger(v) && Math.abs(v) < 1e9) return String(v);
  const size = Math.abs(v);
  if (size >= 1e6 || size < 1e-4) return v.toExponential(Math.min(3, figures - 1)).replace("e+", "e").replace("-", "−");
  return String(Number(v.toPrecision(Math.max(figures, Math.floor(Math.log10(size)) + 3)))).replace("-", "−");
}

/** `0.1..0.5`, either end of which may be left out; null for anything else. @returns {[number, number] | null} */
function spanOf(text) {
  const match = text.match(/^([^.]*(?:\.\d+)?[^.]*)\.\.(.*)$/);
  const ends = match && [match[1].trim() === "" ? -Infinity : Number(match[1]), match[2].trim() === "" ? Infinity : Number(match[2])];
  return ends && !ends.some(Number.isNaN) ? /** @type {[number, number]} */ (ends) : null;
}

/** The condition typed under one column's head: `>0.5`, `0.1..0.5`, a number, part of a word, `-` for missing; null while it says nothing yet.
 * @param {string} text @param {Column} owner @returns {((i: number) => boolean) | null} */
export function columnTest(text, owner) {
  const word = text.trim();
  if (!word) return null;
  if (word === "-" || word === "–") return (i) => owner.missing(i);
  const match = word.match(/^(>=|<=|!=|>|<|=)\s*(.*)$/);
  if (owner.kind === "number") {
    const span = spanOf(word);
    if (span) return (i) => owner.raw[i] >= span[0] && owner.raw[i] <= span[1];
    const test = COMPARE[match ? match[1] : "="];
    const bound = Number((match ? match[2] : word) || NaN);
    return Number.isNaN(bound) ? null : (i) => !owner.missing(i) && test(owner.raw[i], bound);
  }
  const low = (match ? match[2] : word).toLowerCase();
  if (!match) return (i) => owner.text(i).toLowerCase().includes(low);
  return (i) => !owner.missing(i) && COMPARE[match[1]](owner.text(i).toLowerCase(), low);
}

/** One condition, `redshift>0.5`, `label=quasar`, or a word that any text or id must contain. */
function condition(word, columns) {
  const match = word.match(/^([^<>=!]+)(>=|<=|!=|>|<|=)(.+)$/);
  const owner = match && columns.find((c) => c.name.toLowerCase() === match[1].toLowerCase());
  if (!owner) {
    const low = word.toLowerCase();
    const texts = columns.filter((c) => c.kind !== "number");
    return (i) => texts.some((c) => c.text(i).toLowerCase().includes(low));
  }
  const test = COMPARE[match[2]];
  if (owner.kind === "number") {
    const span = match[2] === "=" && spanOf(match[3]);
    const bound = Number(match[3]);
    return span ? (i) => owner.raw[i] >= span[0] && owner.raw[i] <= span[1] : (i) => !owner.missing(i) && test(owner.raw[i], bound);
  }
  return (i) => !owner.missing(i) && test(owner.text(i).toLowerCase(), match[3].toLowerCase());
}

/** Rows that meet every condition typed, in order. @param {string} query @param {Column[]} columns @param {number} n @param {((i: number) => any)[]} [more] */
export function filtered(query, columns, n, more = []) {
  const words = (query.match(/(?:[^\s"]|"[^"]*"?)+/g) || []).map((word) => word.replaceAll('"', "")).filter(Boolean);
  const tests = [...words.map((word) => condition(word, columns)), ...more];
  const rows = [];
  for (let i = 0; i < n; i++) if (tests.every((test) => test(i))) rows.push(i);
  return rows;
}

/** Rows sorted by a column, missing last. @param {number[]} rows @param {Column} by @param {boolean} down */
export function sorted(rows, by, down) {
  const sign = down ? -1 : 1;
  const key = by.kind === "number" ? (i) => by.raw[i] : by.text;
  return [...rows].sort((a, b) => {
    if (by.missing(a) || by.missing(b)) return Number(by.missing(a)) - Number(by.missing(b));
    const [x, y] = [key(a), key(b)];
    return x < y ? -sign : x > y ? sign : a - b;
  });
}
