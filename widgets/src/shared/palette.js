// How a column colours samples: classes by their one colour, numbers by viridis.
import { robust } from "./arrays.js";
import { CLASS_COLOURS, classColour, viridis } from "./colours.js";

export const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
const GREY = [127, 127, 127];
const TABLE = CLASS_COLOURS.map(rgb);
const RAMP = Array.from({ length: 256 }, (_, k) => viridis(k / 255));
const onRamp = (t) => RAMP[Math.round(255 * Math.min(1, Math.max(0, t)))];

/** Names of classes in order: those of the target the run predicts, else of the first target. */
export function classNames(columns, target) {
  const owner = columns.find((c) => c.name === target && c.kind === "category") || columns.find((c) => c.role === "target" && c.kind === "category");
  return owner ? owner.labels : [];
}

const FIXED = { right: "#009E73", wrong: "#D55E00" };

/** @param {any} column @param {string[]} classes names whose colours are fixed */
export function palette(column, classes) {
  if (!column || column.kind === "text") return { kind: "none", of: () => TABLE[0], entries: [], label: "" };
  if (column.kind === "number") {
    const [low, high] = robust(column.raw, (_i) => true, 0.02);
    return { kind: "number", of: (i) => (column.missing(i) ? GREY : onRamp((column.raw[i] - low) / (high - low || 1))), low, high, entries: [], label: column.unit ? `${column.name} (${column.unit})` : column.name };
  }
  const ours = column.labels.every((name) => classes.includes(name));
  const colours = column.labels.map((name, i) => FIXED[name] || classColour(ours ? classes.indexOf(name) : i));
  const inks = colours.map(rgb);
  return { kind: "category", of: (i) => (column.raw[i] < 0 ? GREY : inks[column.raw[i]]), entries: column.labels.map((name, code) => ({ name, code, colour: colours[code] })), label: column.name };
}

/** Red, green and blue of every sample, four bytes each, for the graphics card. @param {any} ink what `palette` gave @param {number} n @returns {Uint8Array} */
export function inkOf(ink, n) {
  const out = new Uint8Array(4 * n);
  for (let i = 0; i < n; i++) {
    const [r, g, b] = ink.of(i);
    out[4 * i] = r;
    out[4 * i + 1] = g;
    out[4 * i + 2] = b;
    out[4 * i + 3] = 255;
  }
  return out;
}
