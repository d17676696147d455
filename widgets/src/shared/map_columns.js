// Columns of a map: those of a large set are asked for when they are first needed; searching a million ids takes a tenth of a second.
import { bytesOf, typed } from "./arrays.js";
import { columnTest, number, readColumns } from "./columns.js";
import { whole } from "./parts.js";

/** @typedef {import("./columns.js").Column & {n: number, ready: boolean, load: () => Promise<any>, has?: (word: string) => Uint8Array}} MapColumn */

/** Lines of UTF-8 text, decoded one by one. */
class Lines {
  /** @param {Uint8Array} bytes @param {number} n */
  constructor(bytes, n) {
    this.bytes = bytes;
    this.starts = new Uint32Array(n + 1);
    let line = 1;
    for (let k = 0; k < bytes.length && line < n; k++) if (bytes[k] === 10) this.starts[line++] = k + 1;
    this.starts[n] = bytes.length + 1;
    this.decoder = new TextDecoder();
    this.lowered = null;
    this.ends = null;
  }

  at = (i) => this.decoder.decode(this.bytes.subarray(this.starts[i], Math.max(this.starts[i], this.starts[i + 1] - 1)));

  /** Which lines contain a word, whatever its case. @param {string} word @returns {Uint8Array} */
  has(word) {
    const n = this.starts.length - 1;
    const found = new Uint8Array(n);
    const all = (this.lowered ??= this.decoder.decode(this.bytes).toLowerCase());
    if (!this.ends) {
      this.ends = new Uint32Array(n);
      let at = -1;
      for (let i = 0; i < n; i++) {
        at = all.indexOf("\n", at + 1);
        this.ends[i] = at < 0 ? (at = all.length) : at;
      }
    }
    let line = 0;
    for (let at = all.indexOf(word); at >= 0; at = all.indexOf(word, this.ends[line])) {
      while (this.ends[line] < at) line++;
      found[line] = 1;
      if (line + 1 >= n) break;
    }
    return found;
  }
}

/** Row numbers as ids. */
const numbered = (n) => ({
  at: (i) => String(i),
  has: (word) => {
    const found = new Uint8Array(n);
    for (let i = 0; i < n; i++) if (String(i).includes(word)) found[i] = 1;
    return found;
  },
});

/** One column whose values may come later. @param {any} model @param {any} packed @returns {MapColumn} */
function later(model, packed) {
  const { name, kind, role, unit = "", n } = packed;
  const own = { name, kind, role, unit, n, labels: packed.labels || [], raw: null, ready: false, loading: null, text: (_i) => "", missing: (_i) => true, load: () => Promise.resolve(own), has: null };
  const fill = (values) => {
    if (kind === "text") {
      const lines = packed.rows ? numbered(n) : new Lines(values, n);
      Object.assign(own, { text: lines.at, missing: (i) => !lines.at(i), has: (word) => lines.has(word) });
    } else if (kind === "category") {
      const codes = Int16Array.from(values, (code) => (code === 255 ? -1 : code));
      Object.assign(own, { raw: codes, text: (i) => own.labels[codes[i]] ?? "", missing: (i) => codes[i] < 0 });
    } else Object.assign(own, { raw: values, text: (i) => number(values[i], 3), missing: (i) => Number.isNaN(values[i]) });
    own.ready = true;
    return own;
  };
  const stored = kind === "text" ? packed.utf8 : packed.values;
  if (packed.rows) fill(null);
  else {
    own.load = () => (own.loading ??= whole(model, stored).then(fill, (error) => {
      own.loading = null; // it may be tried again
      throw error;
    }));
    if (stored.parts === undefined) fill(stored.dtype ? typed(stored) : bytesOf(stored));
  }
  return own;
}

/** @param {any} model @param {any[]} packed @returns {MapColumn[]} */
export const mapColumns = (model, packed) => (packed || []).map((one) => {
  if (one.n !== undefined) return later(model, one);
  const [known] = readColumns([one]);
  const column = Object.assign(known, { n: known.raw.length, ready: true, load: () => Promise.resolve(column), has: null });
  return column;
});

/** Samples whose text contains a word, in any column of text or labels that is here. */
function word(low, columns, n) {
  const found = new Uint8Array(n);
  for (const column of columns) {
    if (!column.ready || column.kind === "number") continue;
    if (column.has) {
      const has = column.has(low);
      for (let i = 0; i < n; i++) found[i] |= has[i];
    } else if (column.kind === "category") {
      const codes = column.labels.map((name) => Number(name.toLowerCase().includes(low)));
      if (codes.includes(1)) for (let i = 0; i < n; i++) found[i] |= codes[column.raw[i]] || 0;
    } else for (let i = 0; i < n; i++) found[i] |= Number(column.text(i).toLowerCase().includes(low));
  }
  return found;
}

/**
 * Samples that meet every condition typed: words that an id or label contains, `redshift>0.5`, `redshift=0.1..0.5`, `label=quasar`; quotes hold a name with spaces together.
 * @param {string} query @param {MapColumn[]} columns @param {number} n @returns {Promise<{mask: Uint8Array, count: number}>}
 */
export async function search(query, columns, n) {
  const mask = new Uint8Array(n).fill(1);
  const words = (query.match(/(?:[^\s"]|"[^"]*"?)+/g) || []).map((one) => one.replaceAll('"', "")).filter(Boolean);
  for (const one of words) {
    const match = one.match(/^([^<>=!]+)(>=|<=|!=|>|<|=)(.+)$/);
    const owner = match && columns.find((c) => c.name.toLowerCase() === match[1].trim().toLowerCase());
    if (owner) {
      await owner.load();
      const test = columnTest(match[2] === "=" && match[3].includes("..") ? match[3] : match[2] + match[3], owner) || (() => false);
      for (let i = 0; i < n; i++) if (mask[i] && !test(i)) mask[i] = 0;
    } else {
      await Promise.all(columns.filter((c) => c.kind !== "number").map((c) => c.load()));
      const has = word(one.toLowerCase(), columns, n);
      for (let i = 0; i < n; i++) mask[i] &= has[i];
    }
  }
  let count = 0;
  for (let i = 0; i < n; i++) count += mask[i];
  return { mask, count: words.length ? count : 0 };
}
