// What is on the data of a sample, in words and as tables: spectrum, light curve, series, image, text.
import { label } from "./colours.js";
import { number, unitText } from "./columns.js";
import { listed } from "./twin.js";

/** Smallest, middle and largest of the finite values where `ok`, and where the ends lie. */
export function summed(values, ok = (_i) => true) {
  const kept = [];
  let [low, high] = [-1, -1];
  for (let i = 0; i < values.length; i++) {
    if (!ok(i) || !Number.isFinite(values[i])) continue;
    kept.push(values[i]);
    if (low < 0 || values[i] < values[low]) low = i;
    if (high < 0 || values[i] > values[high]) high = i;
  }
  const line = Float64Array.from(kept).sort();
  return { n: line.length, low, high, middle: line.length ? line[line.length >> 1] : NaN };
}

const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const signed = (v, figures = 2) => `${v > 0 ? "+" : ""}${number(v, figures)}`;
const shown = (overlay, v) => (overlay.signed ? signed(v) : number(v, 2));

/** Where an overlay is strongest, and against. @param {any} overlay @param {(i: number) => string} place */
function strongest(overlay, place) {
  const { n, low, high } = summed(overlay.values);
  if (!n) return ` ${capital(overlay.unit)}: nothing here was read by the model.`;
  const against = overlay.signed && overlay.values[low] < 0 ? `, lowest ${place(low)} (${shown(overlay, overlay.values[low])})` : "";
  return ` ${capital(overlay.unit)} is highest ${place(high)} (${shown(overlay, overlay.values[high])})${against}${overlay.total ? `; ${overlay.total.replace("Σ", "its sum is")}` : ""}.`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const overlayCells = (overlay, i) => (overlay ? [number(overlay.values[i], 3), ...(overlay.spread ? [number(overlay.spread[i], 2)] : [])] : []);
const overlayHeads = (overlay) => (overlay ? [overlay.unit, ...(overlay.spread ? [`± ${overlay.spreadKind || ""}`.trim()] : [])] : []);

/** @param {any} one @param {{name: string, z: number | null, overlay?: any}} context @returns {import("./twin.js").Twin} */
export function spectrumTwin(one, { name, z, overlay }) {
  const ok = (i) => one.mask[i] > 0;
  const unit = unitText(one.unit);
  const { n, low, high, middle } = summed(one.flux, ok);
  const at = (i) => `${number(one.wavelength[i])} Å`;
  const hidden = one.flux.length - n;
  const noise = summed(one.flux.map((v, i) => Math.abs(v) / one.error[i]), ok).middle;
  const seen = z === null ? [] : one.lines.filter(([, rest]) => rest * (1 + z) >= one.wavelength[0] && rest * (1 + z) <= one.wavelength.at(-1)).map(([text, rest]) => `${text} at ${number(rest * (1 + z))}`);
  const says = n ? `${capital(label(name))} of ${plural(one.flux.length, "pixel")} from ${at(0)} to ${at(one.flux.length - 1)}${hidden ? `, ${hidden} of them masked` : ""}: flux lowest ${number(one.flux[low], 3)} at ${at(low)}, median ${number(middle, 3)}, highest ${number(one.flux[high], 3)} at ${at(high)}, in ${unit || "no unit"}${Number.isFinite(noise) ? `; median signal to noise ${number(noise, 2)} a pixel` : ""}.${z === null ? "" : ` At redshift ${number(z, 4)} ${seen.length ? `these lines fall in it, in Å: ${listed(seen.slice(0, 12))}` : "no known line falls in it"}.`}` : `${capital(label(name))}: every pixel is masked.`;
  return {
    name: label(name), says: says + (overlay ? strongest(overlay, (i) => `at ${at(i)}`) : ""),
    heads: ["wavelength (Å)", ...(z === null ? [] : ["at rest (Å)"]), `flux (${unit})`, "error", ...overlayHeads(overlay)],
    rows: () => [...one.flux.keys()].map((i) => [number(one.wavelength[i]), ...(z === null ? [] : [number(one.wavelength[i] / (1 + z))]), ok(i) ? number(one.flux[i], 4) : "masked", ok(i) ? number(one.error[i], 3) : "", ...overlayCells(overlay, i)]),
  };
}

/** @param {any} one @param {{name: string, period: number, overlay?: any, points: any[]}} context `points`: what is drawn @returns {import("./twin.js").Twin} */
export function lightCurveTwin(one, { name, period, overlay, points }) {
  const unit = unitText(one.unit);
  const magnitudes = /mag/i.test(one.unit);
  const bands = one.bands.flatMap((band, b) => {
    const own = points.filter((p) => p.band === b && !p.masked && !p.limit);
    if (!own.length) return [];
    const { low, high, middle } = summed(own.map((p) => p.y));
    const bright = magnitudes ? low : high;
    return [`in ${band} ${plural(own.length, "measurement")} from ${number(own[low].y, 3)} to ${number(own[high].y, 3)}, median ${number(middle, 3)}, brightest at MJD ${number(one.time[own[bright].i], 8)}`];
  });
  const times = summed(one.time);
  const count = (test) => points.filter(test).length;
  const more = [[count((p) => p.limit), "upper limit"], [count((p) => p.masked), "masked epoch"]].filter(([n]) => n).map(([n, text]) => plural(Number(n), String(text)));
  const says = times.n ? `${capital(label(name))} of ${plural(one.time.length, "epoch")} over ${number(one.time[times.high] - one.time[times.low], 4)} days from MJD ${number(one.time[times.low], 8)}, in ${unit || "no unit"}${magnitudes ? ", small is bright" : ""}. ${bands.length ? `${capital(bands.join("; "))}.` : "No good measurement is shown."}${more.length ? ` Also ${listed(more)}.` : ""}${period > 0 ? ` Folded at a period of ${number(period, 8)} days.` : ""}` : `${capital(label(name))} without a single epoch.`;
  const values = overlay ? overlay.values : [];
  return {
    name: label(name), says: says + (overlay ? strongest({ ...overlay, values: points.map((p) => values[p.i]) }, (k) => `at MJD ${number(one.time[points[k].i], 8)} in ${one.bands[points[k].band]}`) : ""),
    heads: ["MJD", ...(period > 0 ? ["phase"] : []), "band", magnitudes ? "magnitude" : `flux (${unit})`, "error", "kind", ...overlayHeads(overlay)],
    rows: () => [...points].sort((a, b) => one.time[a.i] - one.time[b.i]).map((p) => [number(one.time[p.i], 9), ...(period > 0 ? [p.x.toFixed(3)] : []), one.bands[p.band], number(p.y, 4), p.e ? number(p.e, 3) : "", p.masked ? "masked" : p.limit ? "upper limit, 3σ" : "measured", ...overlayCells(overlay, p.i)]),
  };
}

/** @param {any} one @param {{name: string, overlay?: any}} context @returns {import("./twin.js").Twin} */
export function seriesTwin(one, { name, overlay }) {
  const n = one.axis.length;
  const unit = unitText(one.unit);
  const at = (i) => `${one.axis_name} ${number(one.axis[i], 4)}`;
  const rows = one.channels.map((channel, c) => ({ channel, values: one.values.subarray(c * n, (c + 1) * n), ok: (i) => one.mask[c * n + i] > 0 }));
  const told = rows.map(({ channel, values, ok }) => {
    const { n: good, low, high, middle } = summed(values, ok);
    return good ? `${channel} from ${number(values[low], 3)} at ${at(low)} to ${number(values[high], 3)} at ${at(high)}, median ${number(middle, 3)}${good < n ? `, ${n - good} masked` : ""}` : `${channel}: all masked`;
  });
  return {
    name: label(name), says: `${capital(label(name))} of ${plural(n, "sample")} in ${plural(one.channels.length, "channel")}, ${one.axis_name} ${number(one.axis[0], 4)} to ${number(one.axis[n - 1], 4)}${one.axis_unit ? ` ${one.axis_unit}` : ""}${unit ? `, in ${unit}` : ""}: ${told.join("; ")}.${overlay ? strongest(overlay, (i) => `at ${at(i)}`) : ""}`,
    heads: [one.axis_unit ? `${one.axis_name} (${one.axis_unit})` : one.axis_name, ...one.channels, ...overlayHeads(overlay)],
    rows: () => Array.from({ length: n }, (_, i) => [number(one.axis[i], 5), ...rows.map((row) => (row.ok(i) ? number(row.values[i], 4) : "masked")), ...overlayCells(overlay, i)]),
  };
}

const PARTS = [["top left", "top", "top right"], ["left", "middle", "right"], ["bottom left", "bottom", "bottom right"]];
const partOf = (x, y, nx, ny) => PARTS[2 - Math.min(2, Math.floor((3 * y) / ny))][Math.min(2, Math.floor((3 * x) / nx))];

/** Of an image: each band, and each ninth of it. @param {any} image @param {{name: string, overlay?: any, place: (x: number, y: number) => string}} context @returns {import("./twin.js").Twin} */
export function imageTwin(image, { name, overlay, place }) {
  const [, ny, nx] = image.flux.shape;
  const size = nx * ny;
  const unit = unitText(image.unit);
  const where = (i) => `at ${place((i % nx) + 0.5, Math.floor(i / nx) + 0.5) || `pixel ${i % nx}, ${Math.floor(i / nx)}`} (${partOf(i % nx, Math.floor(i / nx), nx, ny)})`;
  const planes = image.bands.map((band, b) => ({ band, flux: image.flux.subarray(b * size, (b + 1) * size), ok: (i) => image.mask[b * size + i] > 0 }));
  const told = planes.map(({ band, flux, ok }) => {
    const { n, high, middle } = summed(flux, ok);
    return n ? `${band} brightest ${number(flux[high], 3)} ${where(high)}, median ${number(middle, 2)}${n < size ? `, ${size - n} pixels masked` : ""}` : `${band} all masked`;
  });
  const across = image.scale > 0 ? `, ${number(nx * image.scale, 3)} by ${number(ny * image.scale, 3)} arcsec` : "";
  const mean = (values, ok, part) => {
    let [sum, n] = [0, 0];
    for (let i = 0; i < size; i++) if (partOf(i % nx, Math.floor(i / nx), nx, ny) === part && ok(i) && Number.isFinite(values[i])) [sum, n] = [sum + values[i], n + 1];
    return { sum, n };
  };
  const rows = () => PARTS.flat().map((part) => [part, ...planes.map(({ flux, ok }) => { const { sum, n } = mean(flux, ok, part); return n ? number(sum / n, 3) : "masked"; }), ...(overlay ? [number(mean(overlay.values, () => true, part).sum, 3)] : [])]);
  return {
    name: label(name), says: `${capital(label(name))} in ${plural(image.bands.length, "band")}, ${nx} by ${ny} pixels${across}, in ${unit || "no unit"} per pixel: ${told.join("; ")}.${overlay ? strongest(overlay, where) : ""}`,
    heads: ["ninth of the image", ...image.bands.map((band) => `mean ${band} (${unit})`), ...(overlay ? [`sum of ${overlay.unit}`] : [])], rows,
  };
}

/** Words with what an overlay says of each. @param {any} one @param {{name: string, overlay: any}} context @returns {import("./twin.js").Twin} */
export function textTwin(one, { name, overlay }) {
  const words = one.words.slice(0, overlay.values.length).map(([begin, end]) => one.text.slice(begin, end));
  return {
    name: label(name), says: `${capital(label(name))} of ${plural(one.words.length, "word")}${words.length < one.words.length ? `, of which the model read ${words.length}` : ""}.${words.length ? strongest(overlay, (i) => `at “${words[i]}”`) : ""}`,
    heads: ["place", "word", ...overlayHeads(overlay)], rows: () => words.map((word, i) => [i + 1, word, ...overlayCells(overlay, i)]),
  };
}
