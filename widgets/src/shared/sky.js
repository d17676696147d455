// Targets on the sky: the whole sky in Aitoff's projection, or a tangent plane around them, north up, east left.
import { number } from "./columns.js";
import { h, s } from "./dom.js";
import { ticks } from "./plot.js";

const RAD = Math.PI / 180;
const WIDE = 25; // deg: above this the whole sky is shown

/** Direction in the middle of all targets, and how far the farthest lies, in deg. */
function middle(ra, dec) {
  let [x, y, z] = [0, 0, 0];
  for (let i = 0; i < ra.length; i++) {
    x += Math.cos(dec[i] * RAD) * Math.cos(ra[i] * RAD);
    y += Math.cos(dec[i] * RAD) * Math.sin(ra[i] * RAD);
    z += Math.sin(dec[i] * RAD);
  }
  const length = Math.hypot(x, y, z);
  if (length < 1e-6 * ra.length) return { ra: 180, dec: 0, reach: 180 };
  const at = { ra: (Math.atan2(y, x) / RAD + 360) % 360, dec: Math.asin(z / length) / RAD, reach: 0 };
  for (let i = 0; i < ra.length; i++) {
    const cos = Math.sin(at.dec * RAD) * Math.sin(dec[i] * RAD) + Math.cos(at.dec * RAD) * Math.cos(dec[i] * RAD) * Math.cos((ra[i] - at.ra) * RAD);
    at.reach = Math.max(at.reach, Math.acos(Math.min(1, cos)) / RAD);
  }
  return at;
}

/** Aitoff, RA 180 in the middle, east left: x in -2..2, y in -1..1. */
function aitoff(ra, dec) {
  const half = (180 - ra) * RAD / 2;
  const alpha = Math.acos(Math.cos(dec * RAD) * Math.cos(half));
  const sinc = alpha < 1e-9 ? 1 : Math.sin(alpha) / alpha;
  return [(2 * Math.cos(dec * RAD) * Math.sin(half)) / sinc / (Math.PI / 2), Math.sin(dec * RAD) / sinc / (Math.PI / 2)];
}

/** Gnomonic projection about a centre, in deg, east to the left. */
function tangent(center) {
  const [sin0, cos0] = [Math.sin(center.dec * RAD), Math.cos(center.dec * RAD)];
  return (ra, dec) => {
    const d = (ra - center.ra) * RAD;
    const [sin, cos] = [Math.sin(dec * RAD), Math.cos(dec * RAD)];
    const c = sin0 * sin + cos0 * cos * Math.cos(d);
    return c <= 0.05 ? [NaN, NaN] : [(-cos * Math.sin(d)) / c / RAD, (cos0 * sin - sin0 * cos * Math.cos(d)) / c / RAD];
  };
}

const curve = (points) => {
  let pen = false;
  return points.map(([x, y]) => {
    const ok = Number.isFinite(x);
    const piece = ok ? `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}` : "";
    pen = ok;
    return piece;
  }).join("");
};

const range = (low, high, count) => Array.from({ length: count + 1 }, (_, i) => low + ((high - low) * i) / count);

function allSky(width, height) {
  const k = Math.min(width / 4.3, height / 2.3);
  const to = (ra, dec) => {
    const [x, y] = aitoff(ra, dec);
    return [width / 2 + k * x, height / 2 - k * y];
  };
  const lines = [];
  for (const dec of [-60, -30, 0, 30, 60]) lines.push({ d: curve(range(0.01, 359.99, 90).map((ra) => to(ra, dec))), at: to(359.9, dec), text: `${dec < 0 ? "−" : "+"}${Math.abs(dec)}°`, anchor: "end" });
  for (const ra of [0.01, 60, 120, 180, 240, 300, 359.99]) lines.push({ d: curve(range(-90, 90, 45).map((dec) => to(ra, dec))), at: ra > 1 && ra < 359 ? to(ra, 0) : null, text: `${ra}°`, anchor: "middle" });
  return { to, lines };
}

function zoomed(center, width, height) {
  const project = tangent(center);
  const reach = Math.max(center.reach * 1.12, 0.002);
  const k = Math.min(width - 88, height - 44) / 2 / reach;
  const to = (ra, dec) => {
    const [x, y] = project(ra, dec);
    return [36 + width / 2 + k * x, (height - 24) / 2 - k * y];
  };
  const stretch = Math.max(Math.cos(center.dec * RAD), 0.05);
  const [decs, ras] = [[center.dec - reach, center.dec + reach], [center.ra - reach / stretch, center.ra + reach / stretch]];
  const lines = [];
  for (const dec of ticks(...decs, 4)) if (Math.abs(dec) <= 90) lines.push({ d: curve(range(ras[0], ras[1], 24).map((ra) => to(ra, dec))), at: to(ras[1], dec), text: `${number(dec, 6)}°`, anchor: "end" });
  for (const ra of ticks(...ras, 4)) lines.push({ d: curve(range(decs[0], decs[1], 24).map((dec) => to(ra, dec))), at: [to(ra, decs[0])[0], height - 26], text: `${number((ra + 360) % 360, 6)}°`, anchor: "middle" });
  return { to, lines };
}

/** Dots of one colour as one path. */
const dots = (points, colour, size) => s("path", { d: points.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h.01`).join(""), stroke: colour, "stroke-width": size, "stroke-linecap": "round", fill: "none" });

/** @param {{ra: Float64Array, dec: Float64Array, found: Int32Array}} sky @param {number} surveys @param {number} width */
export function skyPlot(sky, surveys, width, height = 260) {
  const center = middle(sky.ra, sky.dec);
  const whole = center.reach > WIDE;
  const { to, lines } = whole ? allSky(width, height) : zoomed(center, width, height);
  const size = sky.ra.length > 2000 ? 2.5 : 5;
  const groups = { none: [], some: [], all: [] };
  for (let i = 0; i < sky.ra.length; i++) {
    const at = to(sky.ra[i], sky.dec[i]);
    if (Number.isFinite(at[0])) groups[sky.found[i] === 0 ? "none" : sky.found[i] < surveys ? "some" : "all"].push(at);
  }
  const words = whole ? "whole sky, Aitoff" : `around RA ${number(center.ra, 6)}°, Dec ${number(center.dec, 6)}°`;
  const svg = s("svg", { class: "af-plot", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${sky.ra.length} targets on the sky, ${words}` },
    s("g", { class: "axes" }, lines.map((l) => s("path", { d: l.d, class: "grid" })), lines.map((l) => (l.at ? s("text", { x: l.at[0] - (l.anchor === "end" ? 4 : 0), y: l.at[1] + 4, "text-anchor": l.anchor }, l.text) : null))),
    dots(groups.none, "var(--af-muted)", size), dots(groups.some, "#56B4E9", size), dots(groups.all, "#009E73", size),
    whole ? null : s("text", { x: width / 2 + 36, y: height - 6, "text-anchor": "middle", class: "title" }, "RA (ICRS, east left)"),
    whole ? null : s("text", { x: 12, y: height / 2, transform: `rotate(-90 12 ${height / 2})`, "text-anchor": "middle", class: "title" }, "Dec"));
  const key = [["var(--af-muted)", "nothing yet", groups.none], ["#56B4E9", "found in some", groups.some], ["#009E73", "found in all", groups.all]];
  return h("div", {}, svg, h("div", { class: "af-row af-caption" }, `${sky.ra.length} targets, ${words}`, key.filter(([, , list]) => list.length).map(([colour, text, list]) => h("span", { class: "af-check" }, h("i", { class: "af-dot", style: { background: colour } }), `${text} ${list.length}`))));
}
