// Points without WebGL: counts in cells when they crowd, which is faster than drawing them anywhere; circles, or squares of pixels, where there is no WebGL.
import { css } from "./colours.js";

const MANY = 8000; // points above which pixels are written instead of circles drawn
const CELL = 2;

/** @typedef {{xy: Float32Array, ink: Uint8Array, state: Uint8Array}} Points */
/** @typedef {{x: number, y: number, scale: number, width: number, height: number}} View */

/** Circles by colour, so that the pen changes ink seldom. @param {OffscreenCanvasRenderingContext2D} pen @param {Points} points @param {View} view */
function dots(pen, { xy, ink, state }, view, wanted, size, alpha, ranges) {
  const inks = new Map();
  for (let k = 0; k < ranges.length; k += 2) for (let i = ranges[k]; i < ranges[k + 1]; i++) {
    if ((state[i] & 3) !== wanted) continue;
    const x = (xy[2 * i] - view.x) * view.scale + view.width / 2;
    const y = view.height / 2 - (xy[2 * i + 1] - view.y) * view.scale;
    if (x < -9 || y < -9 || x > view.width + 9 || y > view.height + 9) continue;
    const key = (ink[4 * i] << 16) | (ink[4 * i + 1] << 8) | ink[4 * i + 2];
    if (!inks.has(key)) inks.set(key, []);
    inks.get(key).push(x, y);
  }
  pen.globalAlpha = alpha;
  for (const [key, at] of inks) {
    pen.fillStyle = css([key >> 16, (key >> 8) & 255, key & 255]);
    pen.beginPath();
    for (let k = 0; k < at.length; k += 2) {
      pen.moveTo(at[k] + size / 2, at[k + 1]);
      pen.arc(at[k], at[k + 1], size / 2, 0, 6.2832);
    }
    pen.fill();
  }
  pen.globalAlpha = 1;
}

const scratch = { sums: new Float32Array(0), images: [] };

/** Counts, and sums of red, green and blue, in cells of `cell` pixels; the same memory each time. @param {Points} points @param {View} view */
function counted({ xy, ink, state }, view, wanted, cell, half, ranges) {
  const [w, h] = [Math.max(1, Math.round(view.width / cell)), Math.max(1, Math.round(view.height / cell))]; // a whole number of cells fills the map
  if (scratch.sums.length !== 4 * w * h) scratch.sums = new Float32Array(4 * w * h);
  const sums = scratch.sums.fill(0);
  const across = (view.scale * w) / view.width;
  const down = (view.scale * h) / view.height;
  const x0 = w / 2 - view.x * across;
  const y0 = h / 2 + view.y * down;
  const wide = 2 * half + 1;
  for (let k = 0; k < ranges.length; k += 2)
    for (let i = ranges[k], end = ranges[k + 1]; i < end; i++) {
      if ((state[i] & 3) !== wanted) continue;
      const x = Math.floor(xy[2 * i] * across + x0) - half;
      const y = Math.floor(y0 - xy[2 * i + 1] * down) - half;
      for (let v = y; v < y + wide; v++)
        for (let u = x; u < x + wide; u++) {
          if (u < 0 || v < 0 || u >= w || v >= h) continue;
          const at = 4 * (v * w + u);
          sums[at] += ink[4 * i];
          sums[at + 1] += ink[4 * i + 1];
          sums[at + 2] += ink[4 * i + 2];
          sums[at + 3]++;
        }
    }
  return { w, h, sums };
}

/** An empty picture for the first or second pass, the same one as long as the size is. */
function blank(pass, w, h) {
  const old = scratch.images[pass];
  if (old?.width === w && old.height === h) {
    old.data.fill(0);
    return old;
  }
  return (scratch.images[pass] = new ImageData(w, h));
}

/** Counts as a picture, strength by their logarithm, or full where anything is; colours are multiplied by their strength. @param {Points} points @param {View} view */
function toned(points, view, wanted, alpha, { cell, half, most, ranges }) {
  const { w, h, sums } = counted(points, view, wanted, cell, half, ranges);
  const image = blank(Number(wanted > 1), w, h);
  const { data } = image;
  const scale = most ? 0.82 / Math.log1p(most) : 0;
  for (let at = 0; at < sums.length; at += 4) {
    const n = sums[at + 3];
    if (!n) continue;
    const tone = alpha * (most ? Math.min(1, 0.18 + scale * Math.log1p(n)) : 1);
    data[at] = (sums[at] / n) * tone;
    data[at + 1] = (sums[at + 1] / n) * tone;
    data[at + 2] = (sums[at + 2] / n) * tone;
    data[at + 3] = 255 * tone;
  }
  return image;
}

const PASSES = { true: [[1, 0.3], [3, 0.95]], false: [[1, 0.85]] };

/** Counts of points where they crowd, those selected above the others. @param {Points} points @param {View} view @param {{any: boolean, most: number, ranges: number[]}} how */
export const countPoints = (points, view, { any, most, ranges }) => PASSES[any].map(([wanted, alpha]) => toned(points, view, wanted, alpha, { cell: CELL, half: 0, most, ranges }));

/** Sheets of counts, or the points themselves, drawn without a graphics card. @param {Points} points @param {View} view @param {{dpr: number, any: boolean, size: number, ranges: number[]}} how @param {ImageData[] | null} sheets @returns {ImageBitmap} */
export function drawPoints(points, view, { dpr, any, size, ranges }, sheets) {
  const few = !sheets && points.state.length <= MANY;
  const laid = few ? [] : sheets || PASSES[any].map(([wanted, alpha]) => toned(points, view, wanted, alpha, { cell: 1, half: size > 4 ? 2 : 1, most: 0, ranges }));
  // as many pixels as were counted in; the page stretches the picture
  const [w, h] = few ? [Math.round(view.width * dpr), Math.round(view.height * dpr)] : [laid[0].width, laid[0].height];
  const canvas = new OffscreenCanvas(w, h);
  const pen = canvas.getContext("2d");
  if (few) pen.scale(dpr, dpr);
  if (few) for (const [wanted, alpha] of PASSES[any]) dots(pen, points, view, wanted, size, alpha, ranges);
  for (const image of laid) {
    const sheet = new OffscreenCanvas(w, h);
    sheet.getContext("2d").putImageData(plain(image), 0, 0);
    pen.drawImage(sheet, 0, 0);
  }
  return canvas.transferToImageBitmap();
}

/** The same with colours as they are, which is how a 2-D canvas wants them. @param {ImageData} image */
function plain(image) {
  const { data } = image;
  for (let at = 0; at < data.length; at += 4) if (data[at + 3]) for (let k = 0; k < 3; k++) data[at + k] = (255 * data[at + k]) / data[at + 3];
  return image;
}
