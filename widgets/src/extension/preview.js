// The first samples of a set, drawn small on its card: one row a modality, one column a sample, an empty slot where a sample lacks it.

import { bandColour, icon, modalityColour } from '../shared/colours.js';
import { s } from '../shared/dom.js';
import { around, element } from './dom';
import { bytes, rows } from './npy';

const SAMPLES = 6;
const LARGEST = 1024 * 1024; // numbers of one sample that are still drawn
const [W, H] = [112, 64];

/** The value below which a share of the finite ones lies. */
function quantile(values, share) {
  const known = values.filter(Number.isFinite).sort((a, b) => a - b);
  return known.length ? known[Math.min(known.length - 1, Math.floor(share * known.length))] : 0;
}

/** An image in grey, asinh stretched from its sky to its brightest percent, its masked pixels left out. */
function picture(flux, mask, ny, nx) {
  const canvas = element('canvas', 'af-Card-picture', '', { width: nx, height: ny, 'aria-hidden': 'true' });
  const [sky, low, top] = [quantile(flux, 0.5), quantile(flux, 0.16), quantile(flux, 0.995)];
  const noise = Math.max(sky - low, 1e-12);
  const full = Math.asinh(Math.max(top - sky, noise) / noise);
  const data = new ImageData(nx, ny);
  for (let i = 0; i < nx * ny; i++) {
    const [y, x] = [Math.floor(i / nx), i % nx];
    const at = 4 * ((ny - 1 - y) * nx + x);
    const level = 255 * Math.min(1, Math.max(0, Math.asinh((flux[i] - low) / noise) / full));
    data.data.set([level, level, level, mask && !mask[i] ? 0 : 255], at);
  }
  canvas.getContext('2d').putImageData(data, 0, 0);
  return canvas;
}

const frame = () => s('svg', { viewBox: `0 0 ${W} ${H}`, class: 'af-Card-plot', 'aria-hidden': 'true' });
const scale = (values, from, to) => {
  const [low, high] = [quantile(values, 0), quantile(values, 1)];
  return value => from + ((value - low) / (high - low || 1)) * (to - from);
};

/** Values on an even axis as a line, means of what falls on one screen pixel, broken where nothing is known. */
function line(values, mask, kind) {
  const known = Array.from(values, (value, i) => (Number.isFinite(value) && (!mask || mask[i]) ? value : NaN));
  const bins = Math.min(W - 4, known.length);
  const means = Array.from({ length: bins }, (_, b) => {
    const part = known.slice(Math.floor((b * known.length) / bins), Math.floor(((b + 1) * known.length) / bins)).filter(Number.isFinite);
    return part.length ? part.reduce((a, v) => a + v, 0) / part.length : NaN;
  });
  const y = scale(means, H - 3, 3);
  let path = '';
  means.forEach((value, i) => {
    path += Number.isFinite(value) ? `${path && Number.isFinite(means[i - 1]) ? 'L' : 'M'}${(2 + (i * (W - 4)) / Math.max(1, bins - 1)).toFixed(1)} ${y(value).toFixed(1)}` : '';
  });
  const node = frame();
  node.append(s('path', { d: path, fill: 'none', stroke: modalityColour(kind), 'stroke-width': 1.2, 'stroke-linejoin': 'round' }));
  return node;
}

/** Epochs as points in the colours of their bands. */
function points({ time, flux, band }, bands) {
  const [x, y] = [scale(time, 4, W - 4), scale(flux, H - 4, 4)];
  const node = frame();
  Array.from(time, (t, i) => Number.isFinite(flux[i]) && node.append(s('circle', { cx: x(t).toFixed(1), cy: y(flux[i]).toFixed(1), r: 1.7, fill: bandColour(bands[band[i]] ?? '', band[i]) })));
  return node;
}

/** Part of a flat array that belongs to sample `i`. */
const slice = (array, each, i) => array.slice(i * each, (i + 1) * each);

/** What makes the picture of sample `i` of one modality; null where nothing can be drawn. @param {any} read @param {string} stem @param {any} spec @param {number} count */
async function painter(read, stem, spec, count) {
  const each = spec.shape.reduce((a, b) => a * b, 1);
  if (each > LARGEST) {
    return null;
  }
  if (spec.kind === 'image') {
    const [flux, mask] = await Promise.all([read(`${stem}.flux.npy`, 0, count), read(`${stem}.mask.npy`, 0, count)]);
    const [bands, ny, nx] = flux?.shape ?? [];
    const middle = Math.floor((bands ?? 1) / 2) * ny * nx;
    const band = (array, i) => array.values.slice(i * bands * ny * nx + middle, i * bands * ny * nx + middle + ny * nx);
    return flux && nx ? i => picture(band(flux, i), mask && band(mask, i), ny, nx) : null;
  }
  if (spec.kind === 'spectrum' || spec.kind === 'series') {
    const field = spec.kind === 'series' ? 'values' : 'flux';
    const [flux, mask] = await Promise.all([read(`${stem}.${field}.npy`, 0, count), read(`${stem}.mask.npy`, 0, count)]);
    const long = flux?.shape.at(-1);
    return flux ? i => line(slice(flux.values, each, i).slice(0, long), mask && slice(mask.values, each, i).slice(0, long), spec.kind) : null;
  }
  const offsets = (await read(`${stem}.offsets.npy`, 0, count + 1))?.values;
  if (!offsets || offsets.length < 2 || offsets.at(-1) > LARGEST) {
    return null;
  }
  if (spec.kind === 'light_curve') {
    const [time, flux, band] = await Promise.all(['time', 'flux', 'band'].map(name => read(`${stem}.${name}.npy`, 0, offsets.at(-1))));
    const cut = (array, i) => array.values.slice(offsets[i], offsets[i + 1]);
    return time && flux && band ? i => points({ time: cut(time, i), flux: cut(flux, i), band: cut(band, i) }, spec.channels) : null;
  }
  const letters = await read(`${stem}.utf8.npy`, 0, offsets.at(-1));
  return letters ? i => element('p', 'af-Card-text', new TextDecoder().decode(Uint8Array.from(letters.values.slice(offsets[i], offsets[i + 1])))) : null;
}

/**
 * Draw the first samples of the set in a folder; an empty list where none can be drawn.
 * @param {any} lab @param {string} path @param {any} manifest checked by the card
 */
export async function preview(lab, path, manifest) {
  const { trans, app } = lab;
  const count = Math.min(SAMPLES, manifest.objects);
  const read = (file, first, n) => (n > 0 ? rows(app.serviceManager.serverSettings, `${path}/${file}`, first, n) : null);
  const lines = await Promise.all(Object.entries(manifest.modalities).map(async ([name, spec]) => {
    if (!/^\w+$/.test(name)) {
      return null; // a name is part of a file's; those that are written here are words
    }
    const [draw, present] = await Promise.all([painter(read, name, spec, count).catch(() => null), read(`${name}.present.npy`, 0, count).catch(() => null)]);
    if (!draw) {
      return null;
    }
    const cells = Array.from({ length: count }, (_, i) => (present && !present.values[i] ? element('td', 'af-Card-missing', trans.__('missing')) : around('td', '', [draw(i)])));
    return around('tr', '', [around('th', '', [icon(spec.kind), ` ${name.replaceAll('_', ' ')}`], { scope: 'row' }), ...cells]);
  }));
  return lines.filter(Boolean);
}

/** The first kilobyte of a text file, for a card. @param {any} lab @param {string} path */
export const peek = async (lab, path) => new TextDecoder().decode((await bytes(lab.app.serviceManager.serverSettings, path, 0, 1024)) ?? new ArrayBuffer(0));
