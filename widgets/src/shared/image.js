// An image on the sky: asinh stretch, one band or a composite, masked pixels hatched, scale bar and compass, an overlay.
import { css, diverging, viridis } from "./colours.js";
import { choice, h, put, s } from "./dom.js";
import { number, unitText } from "./columns.js";

const PIXELS = 288;

/** One plane stretched to 0..1: asinh above the sky, its knee at `soft` times the noise. */
function stretched(flux, from, count, [sky, noise, top], soft) {
  const out = new Float32Array(count);
  const knee = Math.max(noise * soft, 1e-12);
  const full = Math.asinh(Math.max(top - sky, knee) / knee);
  for (let i = 0; i < count; i++) out[i] = Math.min(1, Math.max(0, (Math.asinh((flux[from + i] - sky + noise) / knee) / full)));
  return out;
}

/** Which bands make red, green and blue: the reddest, the middle, the bluest. */
const mixOf = (bands) => [bands - 1, Math.floor((bands - 1) / 2), 0];

/** Pixels of the composite or of one band, y up, as ImageData. */
function pixels(image, ui, grey) {
  const [bands, ny, nx] = image.flux.shape;
  const size = ny * nx;
  const which = ui.composite === "rgb" && bands > 1 ? mixOf(bands) : Array(3).fill(Math.max(0, image.bands.indexOf(ui.composite)));
  const soft = 10 ** (2 - 3 * ui.stretch);
  const planes = which.map((b) => stretched(image.flux, b * size, size, image.levels[b], soft));
  if (bands === 2 && ui.composite === "rgb") planes[1] = planes[0].map((v, i) => (v + planes[2][i]) / 2);
  // under an overlay the image keeps its light and gives up its colours
  if (grey) planes.fill(planes[0].map((v, i) => (v + planes[1][i] + planes[2][i]) / 3));
  const out = new ImageData(nx, ny);
  for (let y = 0; y < ny; y++)
    for (let x = 0; x < nx; x++) {
      const at = ((ny - 1 - y) * nx + x) * 4;
      const i = y * nx + x;
      for (let c = 0; c < 3; c++) out.data[at + c] = 255 * planes[c][i];
      out.data[at + 3] = 255;
    }
  return out;
}

/** The overlay's colours: opaque where large, clear where near zero. */
function veil(overlay, nx, ny, alpha) {
  const out = new ImageData(nx, ny);
  for (let y = 0; y < ny; y++)
    for (let x = 0; x < nx; x++) {
      const v = overlay.values[y * nx + x] / (overlay.scale || 1);
      const at = ((ny - 1 - y) * nx + x) * 4;
      out.data.set(overlay.signed ? diverging(v) : viridis(v), at);
      out.data[at + 3] = 255 * alpha * Math.min(1, Math.sqrt(Math.abs(v)) * (overlay.signed ? 1.1 : 0.8)) || 0;
    }
  return out;
}

function canvasOf(data) {
  const canvas = document.createElement("canvas");
  canvas.width = data.width;
  canvas.height = data.height;
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

/** Masked pixels of the shown bands, as one path of small diagonals. */
function maskPath(image, ui, nx, ny) {
  const size = nx * ny;
  const which = ui.composite === "rgb" ? [...image.bands.keys()] : [Math.max(0, image.bands.indexOf(ui.composite))];
  let d = "";
  for (let i = 0; i < size; i++) {
    if (which.every((b) => image.mask[b * size + i])) continue;
    const [x, y] = [i % nx, ny - 1 - Math.floor(i / nx)];
    d += `M${x} ${y + 1}l1 -1`;
  }
  return d;
}

/** A round length that takes about a quarter of the image, in arcsec. */
function barLength(width) {
  const rough = width / 4;
  const base = 10 ** Math.floor(Math.log10(rough));
  return base * [5, 2, 1].find((m) => base * m <= rough * 1.0001);
}

function furniture(image, ui, nx, ny) {
  const u = nx / 100; // so that the marks have one size on the screen, whatever the pixels
  const marks = s("g", { class: "af-sky-marks", "stroke-width": 0.9 * u });
  if (image.scale > 0) {
    const length = barLength(nx * image.scale);
    const wide = length / image.scale;
    marks.append(s("path", { d: `M${5 * u} ${ny - 5 * u}h${wide}` }), s("text", { x: 5 * u + wide / 2, y: ny - 7.5 * u, "font-size": 5.2 * u, "text-anchor": "middle" }, `${number(length)}″`));
  }
  const [x, y] = [nx - 6 * u, ny - 6 * u];
  marks.append(
    s("path", { d: `M${x} ${y}v${-13 * u}m${-1.8 * u} ${3 * u}l${1.8 * u} ${-3 * u}l${1.8 * u} ${3 * u}M${x} ${y}h${-13 * u}m${3 * u} ${-1.8 * u}l${-3 * u} ${1.8 * u}l${3 * u} ${1.8 * u}` }),
    s("text", { x, y: y - 14.5 * u, "font-size": 5.2 * u, "text-anchor": "middle" }, "N"),
    s("text", { x: x - 15.5 * u, y: y + 1.8 * u, "font-size": 5.2 * u, "text-anchor": "middle" }, "E"),
  );
  return s("svg", { viewBox: `0 0 ${nx} ${ny}`, class: "af-over", "aria-hidden": "true" }, s("path", { d: maskPath(image, ui, nx, ny), class: "af-mask-marks", "stroke-width": 0.25 }), marks);
}

/** @param {any} image @param {any} context */
export function imageBody(image, { ui, overlay, body, tools }) {
  const [, ny, nx] = image.flux.shape;
  const words = `image, ${image.bands.join(", ")}, ${nx} by ${ny} pixels of ${number(image.scale)} arcsec`;
  const canvas = h("canvas", { width: PIXELS * 2, height: Math.round((PIXELS * 2 * ny) / nx), role: "img", "aria-label": words });
  const over = h("div", { class: "af-stack" }, canvas);
  const caption = h("p", { class: "af-caption" });
  const draw = () => {
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(canvasOf(pixels(image, ui, overlay && ui.overlay > 0)), 0, 0, canvas.width, canvas.height);
    if (overlay && ui.overlay > 0) pen.drawImage(canvasOf(veil(overlay, nx, ny, ui.overlay)), 0, 0, canvas.width, canvas.height);
    put(over, canvas, furniture(image, ui, nx, ny));
    put(caption, `${number(nx * image.scale)}″ × ${number(ny * image.scale)}″, ${ui.composite === "rgb" && image.bands.length > 1 ? image.bands.join(" + ") : ui.composite}, ${unitText(image.unit)} per pixel`);
  };
  if (ui.composite !== "rgb" && !image.bands.includes(ui.composite)) ui.composite = "rgb";
  if (image.bands.length === 1) ui.composite = image.bands[0];
  const set = (name) => (value) => {
    ui[name] = value;
    draw();
  };
  if (image.bands.length > 1) tools.append(choice("Bands shown", [["rgb", "composite"], ...image.bands.map((b) => [b, b])], ui.composite, set("composite")));
  const slide = (name, text) => h("label", { class: "af-slide" }, h("span", {}, text), h("input", { type: "range", min: 0, max: 1, step: 0.01, value: ui[name], "aria-label": `${text} of the image`, oninput: (e) => set(name)(Number(e.target.value)) }));
  body.append(over, h("div", { class: "af-under" }, slide("stretch", "stretch"), overlay ? slide("overlay", "overlay") : null), caption);
  draw();
}

export const overlayColour = (overlay, v) => css((overlay.signed ? diverging : viridis)(v / (overlay.scale || 1)));
