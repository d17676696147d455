// An image on the sky: asinh stretch, one band or three of them as colours, masked pixels hatched, scale bar and compass, an overlay.
import { diverging, viridis } from "./colours.js";
import { number, unitText } from "./columns.js";
import { choice, h, put, s } from "./dom.js";
import { certain, doubtful, saying } from "./overlay.js";
import { HOVER, readout } from "./plot.js";
import { said, twin } from "./twin.js";
import { imageTwin } from "./twins.js";

const PIXELS = 288;

/** One plane stretched to 0..1: asinh above the sky, its knee at `soft` times the noise. */
function stretched(flux, from, count, [sky, noise, top], soft) {
  const out = new Float32Array(count);
  const knee = Math.max(noise * soft, 1e-12);
  const full = Math.asinh(Math.max(top - sky, knee) / knee);
  for (let i = 0; i < count; i++) out[i] = Math.min(1, Math.max(0, (Math.asinh((flux[from + i] - sky + noise) / knee) / full)));
  return out;
}

const MEAN = -1; // of the other two: what two bands have for a third colour

/** Which bands make red, green and blue: those chosen for these bands, else the last, the middle and the first. */
function mixOf(image, ui) {
  const n = image.bands.length;
  return (ui.mixes[image.bands.join()] ||= [n - 1, n === 2 ? MEAN : Math.floor((n - 1) / 2), 0]);
}

const bandName = (image, b) => (b === MEAN ? "their mean" : image.bands[b]);

/** Three bands as colours after Lupton et al. (2004, PASP 116, 133): the asinh of their mean, in the proportions of the three, so that a bright core keeps its colour. */
function lupton(image, size, which, soft) {
  const levels = which.map((b) => image.levels[Math.max(0, b)]);
  const scale = levels.map(([sky, , top]) => 1 / Math.max(top - sky, 1e-30));
  const noise = levels.reduce((sum, level, c) => sum + level[1] * scale[c], 0) / 3;
  const knee = Math.max(noise * soft, 1e-12);
  const full = Math.asinh((1 + noise) / knee);
  const planes = which.map(() => new Float32Array(size));
  for (let i = 0; i < size; i++) {
    const x = which.map((b, c) => (b === MEAN ? NaN : Math.max(0, (image.flux[b * size + i] - levels[c][0]) * scale[c] + noise)));
    const known = x.filter((v) => !Number.isNaN(v));
    for (let c = 0; c < 3; c++) if (Number.isNaN(x[c])) x[c] = known.length ? known.reduce((a, v) => a + v, 0) / known.length : 0;
    const mean = (x[0] + x[1] + x[2]) / 3;
    const factor = mean > 0 ? Math.asinh(mean / knee) / full / mean : 0;
    const over = Math.max(1, x[0] * factor, x[1] * factor, x[2] * factor);
    for (let c = 0; c < 3; c++) planes[c][i] = (x[c] * factor) / over;
  }
  return planes;
}

/** Pixels of the composite or of one band, y up, as ImageData. */
function pixels(image, ui, grey) {
  const [bands, ny, nx] = image.flux.shape;
  const size = ny * nx;
  const soft = 10 ** (2 - 3 * ui.stretch);
  const colours = ui.composite === "rgb" && bands > 1;
  const one = Math.max(0, image.bands.indexOf(ui.composite));
  const planes = colours ? lupton(image, size, mixOf(image, ui), soft) : Array(3).fill(stretched(image.flux, one * size, size, image.levels[one], soft));
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
      out.data[at + 3] = 255 * alpha * certain(overlay, y * nx + x) * Math.min(1, Math.sqrt(Math.abs(v)) * (overlay.signed ? 1.1 : 0.8)) || 0;
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

/** Masked pixels of the shown bands, as one path of small diagonals, and how many they are. */
function maskPath(image, ui, nx, ny) {
  const size = nx * ny;
  const which = ui.composite === "rgb" && image.bands.length > 1 ? mixOf(image, ui).filter((b) => b !== MEAN) : [Math.max(0, image.bands.indexOf(ui.composite))];
  let d = "";
  let count = 0;
  for (let i = 0; i < size; i++) {
    if (which.every((b) => image.mask[b * size + i])) continue;
    const [x, y] = [i % nx, ny - 1 - Math.floor(i / nx)];
    d += `M${x} ${y + 1}l1 -1`;
    count++;
  }
  return { d, count };
}

/** Pixels where members of an ensemble do not agree, as a path of diagonals the other way. */
function doubtPath(overlay, nx, ny) {
  let d = "";
  for (let i = 0; overlay?.spread && i < nx * ny; i++) if (doubtful(overlay, i)) d += `M${i % nx} ${ny - 1 - Math.floor(i / nx)}l1 1`;
  return d;
}

const RADIANS = Math.PI / 180;
const two = (v) => String(v).padStart(2, "0");

/** Degrees as hours, minutes and seconds, or as degrees, minutes and seconds. */
function sexagesimal(degrees, of, figures) {
  const unit = 3600 * 10 ** figures;
  const all = Math.round((Math.abs(degrees) / of) * unit);
  const seconds = (all % (unit / 60)) / 10 ** figures;
  return `${two(Math.floor(all / unit))}${of > 1 ? "ʰ" : "°"}${two(Math.floor((all % unit) / (unit / 60)))}${of > 1 ? "ᵐ" : "′"}${seconds.toFixed(figures).padStart(figures + 3, "0")}${of > 1 ? "ˢ" : "″"}`;
}

/** Right ascension and declination of a place in pixels (edge to edge), between the places of a grid that Python gives. */
export function skyText(image, x, y) {
  if (!image.sky) return "";
  const n = image.sky.shape[0];
  const [, ny, nx] = image.flux.shape;
  const [u, v] = [(x / nx) * (n - 1), (y / ny) * (n - 1)];
  const [i, j] = [Math.min(n - 2, Math.max(0, Math.floor(u))), Math.min(n - 2, Math.max(0, Math.floor(v)))];
  const point = [0, 1, 2].map((c) => {
    const at = (a, b) => image.sky[((j + b) * n + i + a) * 3 + c];
    const [p, q] = [u - i, v - j];
    return at(0, 0) * (1 - p) * (1 - q) + at(1, 0) * p * (1 - q) + at(0, 1) * (1 - p) * q + at(1, 1) * p * q;
  });
  const ra = (Math.atan2(point[1], point[0]) / RADIANS + 360) % 360;
  const dec = Math.atan2(point[2], Math.hypot(point[0], point[1])) / RADIANS;
  return `RA ${sexagesimal(ra, 15, 2)} Dec ${dec < 0 ? "−" : "+"}${sexagesimal(dec, 1, 1)}`;
}

/** What lies at one pixel. */
function pixelText(image, overlay, x, y) {
  const [bands, ny, nx] = image.flux.shape;
  const [column, row] = [Math.floor(x), Math.floor(y)];
  if (!(column >= 0 && column < nx && row >= 0 && row < ny)) return "";
  const i = row * nx + column;
  const values = Array.from({ length: bands }, (_, b) => `${image.bands[b]} ${image.mask[b * ny * nx + i] ? number(image.flux[b * ny * nx + i], 3) : "masked"}`);
  return [skyText(image, x, y) || `pixel ${column}, ${row}`, `${values.join(", ")} ${unitText(image.unit)}`, overlay ? saying(overlay, i) : ""].filter(Boolean).join(" · ");
}

/** A round length that takes about a quarter of the image, in arcsec. */
function barLength(width) {
  const rough = width / 4;
  const base = 10 ** Math.floor(Math.log10(rough));
  return base * [5, 2, 1].find((m) => base * m <= rough * 1.0001);
}

/** An arrow from a place along a direction, y up, and its letter. */
function arrow(x, y, [dx, dy], u, name) {
  const [ex, ey] = [x + 13 * u * dx, y - 13 * u * dy];
  const barb = (turn) => `M${ex} ${ey}l${3 * u * (-dx * 0.86 + turn * dy * 0.5)} ${3 * u * (dy * 0.86 + turn * dx * 0.5)}`;
  return [s("path", { d: `M${x} ${y}L${ex} ${ey}${barb(1)}${barb(-1)}` }), s("text", { x: x + 17 * u * dx, y: y - 17 * u * dy + 1.8 * u, "font-size": 5.2 * u, "text-anchor": "middle" }, name)];
}

function furniture(image, ui, nx, ny, mask, doubt) {
  const u = nx / 100; // so that the marks have one size on the screen, whatever the pixels
  const marks = s("g", { class: "af-sky-marks", "stroke-width": 0.9 * u });
  if (image.scale > 0) {
    const length = barLength(nx * image.scale);
    const wide = length / image.scale;
    marks.append(s("path", { d: `M${5 * u} ${ny - 5 * u}h${wide}` }), s("text", { x: 5 * u + wide / 2, y: ny - 7.5 * u, "font-size": 5.2 * u, "text-anchor": "middle" }, `${number(length)}″`));
  }
  if (image.compass) { // of an image whose place on the sky is unknown nobody knows where north is
    const [a, b, c, d] = image.compass;
    const reach = (v, w) => Math.max(6, 20 * Math.max(v, w, 0)) * u;
    const [x, y] = [nx - reach(a, c), ny - reach(-b, -d)];
    marks.append(...arrow(x, y, [a, b], u, "N"), ...arrow(x, y, [c, d], u, "E"));
  }
  return s("svg", { viewBox: `0 0 ${nx} ${ny}`, class: "af-over", "aria-hidden": "true" }, ui.mask && s("path", { d: mask.d, class: "af-mask-marks", "stroke-width": 0.25 }), doubt && s("path", { d: doubt, stroke: "#fff", opacity: 0.6, "stroke-width": 0.12 }), s("rect", { class: "af-read", width: 0, height: 0, fill: "none", stroke: "#fff", "stroke-width": 0.9 * u }), marks);
}

/** @param {any} image @param {any} context */
export function imageBody(image, { ui, overlay, body, tools, name }) {
  const [, ny, nx] = image.flux.shape;
  const told = imageTwin(image, { name, overlay, place: (x, y) => skyText(image, x, y) });
  const canvas = h("canvas", { width: PIXELS * 2, height: Math.round((PIXELS * 2 * ny) / nx), role: "img", "aria-label": said(told) });
  const over = h("div", { class: "af-stack", role: "group", "aria-label": `${name}; ${HOVER}` }, canvas);
  const caption = h("p", { class: "af-caption" });
  const mixer = h("div", { class: "af-under" });
  const out = h("p", { class: "af-caption af-out" });
  const place = (x, y) => [(x / (over.clientWidth || 1)) * nx, (1 - y / (over.clientHeight || 1)) * ny];
  readout(over, (x, y) => pixelText(image, overlay, ...place(x, y)), out, (x, y) => {
    const [column, row] = place(x, y).map(Math.floor);
    const inside = column >= 0 && column < nx && row >= 0 && row < ny;
    for (const [name, v] of Object.entries(inside ? { x: column, y: ny - 1 - row, width: 1, height: 1 } : { width: 0, height: 0 })) over.querySelector(".af-read")?.setAttribute(name, v);
  });
  const draw = () => {
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(canvasOf(pixels(image, ui, overlay && ui.overlay > 0)), 0, 0, canvas.width, canvas.height);
    if (overlay && ui.overlay > 0) pen.drawImage(canvasOf(veil(overlay, nx, ny, ui.overlay)), 0, 0, canvas.width, canvas.height);
    const mask = maskPath(image, ui, nx, ny);
    put(over, canvas, furniture(image, ui, nx, ny, mask, overlay && ui.overlay > 0 ? doubtPath(overlay, nx, ny) : ""));
    put(mixer, ui.composite === "rgb" && image.bands.length > 1 ? ["red", "green", "blue"].map((name, c) => h("label", { class: "af-check" }, name, bandChoice(name, c))) : null);
    const size = image.scale > 0 ? `${number(nx * image.scale)}″ × ${number(ny * image.scale)}″` : `${nx} × ${ny} pixels`;
    const masked = mask.count ? `, ${mask.count} pixels masked (${number((100 * mask.count) / (nx * ny), 2)} %)` : "";
    put(caption, `${image.shown ? `${image.shown}, ` : ""}${size}, ${ui.composite === "rgb" && image.bands.length > 1 ? mixOf(image, ui).map((b) => bandName(image, b)).join(" + ") : shownBand()}, ${unitText(image.unit)} per pixel${masked}`);
  };
  const shownBand = () => image.bands[Math.max(0, image.bands.indexOf(ui.composite))];
  const bandChoice = (name, c) => choice(`${name} of the composite`, [...image.bands.map((b, k) => [String(k), b]), ...(image.bands.length === 2 ? [[String(MEAN), "mean"]] : [])], String(mixOf(image, ui)[c]), (k) => { mixOf(image, ui)[c] = Number(k); draw(); });
  if (ui.composite !== "rgb" && !image.bands.includes(ui.composite) && image.bands.length > 1) ui.composite = "rgb";
  const set = (name) => (value) => {
    ui[name] = value;
    draw();
  };
  if (image.bands.length > 1) tools.append(choice("Bands shown", [["rgb", "composite"], ...image.bands.map((b) => [b, b])], ui.composite, set("composite")));
  const slide = (name, text) => h("label", { class: "af-slide" }, h("span", {}, text), h("input", { type: "range", min: 0, max: 1, step: 0.01, value: ui[name], "aria-label": `${text} of the image`, oninput: (e) => set(name)(Number(e.target.value)) }));
  if (image.mask.some((v) => !v)) tools.append(h("label", { class: "af-check" }, h("input", { type: "checkbox", "data-mask": "", checked: ui.mask, onchange: (e) => set("mask")(e.target.checked) }), "mask"));
  body.append(over, h("div", { class: "af-under" }, slide("stretch", "stretch"), overlay ? slide("overlay", "overlay") : null), mixer, caption, out, twin(told, ui.open));
  draw();
}
