// Targets on the sky, on a canvas: which part the chosen surveys saw, the region asked for, a lasso.
import { number } from "./columns.js";
import { h, put, sized } from "./dom.js";
import { holds } from "./healpix.js";
import { ticks } from "./plot.js";
import { inside } from "./point_grid.js";
import { toward } from "./sky_keys.js";
import { aitoff, circlePoints, galacticLatitude, galacticPlane, middle, tangent } from "./projection.js";

const WIDE = 25; // deg: above this the whole sky is shown
const HEIGHT = 280;
const [FINE, COARSE, MANY] = [2, 4, 6]; // px: coverage is painted in such squares; fine ones by MOCs, of so many surveys at most
const SOME = "#56B4E9";
const ALL = "#009E73";
const CHOSEN = "#E69F00";

/** Whether a survey saw a direction: by its MOC where it is known, else by its limits. @param {{dec: number[], latitude: number, outline?: any}} survey */
export const covers = (survey, ra, dec) => survey.outline ? holds(survey.outline, ra, dec) : dec >= survey.dec[0] && dec <= survey.dec[1] && (!survey.latitude || Math.abs(galacticLatitude(ra, dec)) >= survey.latitude);

/** Whether nothing is rough about a survey's coverage. */
const exact = (survey) => survey.outline || (survey.dec[0] <= -90 && survey.dec[1] >= 90 && !survey.latitude && !survey.moc);
const how = (surveys) => surveys.map((s) => `${s.name}: ${s.outline ? `${number(s.outline.area, 3)} deg², by its MOC` : exact(s) ? "all sky, as it states" : "roughly, by the declination and galactic latitude that it states"}`).slice(0, 12).join("\n");

const range = (low, high, count) => Array.from({ length: count + 1 }, (_, i) => low + ((high - low) * i) / count);
const degrees = (v) => `${number(v, 6).replace("-", "−")}°`;

/** Lines of equal RA and Dec with their labels: [points on the sky, label, place, anchor]. */
function graticule(sky, whole, center, width, height) {
  if (whole) {
    const decs = [-60, -30, 0, 30, 60].map((dec) => [range(0.01, 359.99, 90).map((ra) => [ra, dec]), `${dec > 0 ? "+" : ""}${degrees(dec)}`, sky.to(359.99, dec), "right"]);
    const ras = [0.01, 60, 120, 180, 240, 300, 359.99].map((ra) => [range(-90, 90, 45).map((dec) => [ra, dec]), ra > 1 && ra < 359 ? degrees(ra) : "", sky.to(ra, 0), "center"]);
    return [...decs, ...ras];
  }
  const reach = center.reach * 1.3;
  const wide = reach * Math.max(1, width / height);
  const stretch = Math.max(Math.cos((Math.abs(center.dec) * Math.PI) / 180), 0.05);
  const [decs, ras] = [[center.dec - reach, center.dec + reach], [center.ra - Math.min(90, wide / stretch), center.ra + Math.min(90, wide / stretch)]];
  return [
    ...ticks(decs[0], decs[1], 4).filter((dec) => Math.abs(dec) <= 90).map((dec) => [range(ras[0], ras[1], 24).map((ra) => [ra, dec]), degrees(dec), [56, sky.to(center.ra, dec)[1]], "right"]),
    ...ticks(ras[0], ras[1], 6).map((ra) => [range(decs[0], decs[1], 24).map((dec) => [ra, dec]), degrees((ra + 360) % 360), [sky.to(ra, center.dec - center.reach)[0], height - 24], "center"]),
  ];
}

/**
 * @param {{state: () => {ra: ArrayLike<number>, dec: ArrayLike<number>, found: ArrayLike<number>, ids: string[], n: number, asked: number, mask: Uint8Array, surveys: any[], region: any},
 *   select: (inside: number[], how: string) => void, circle: (ra: number, dec: number, radius: number) => void}} options
 */
export function skyView({ state, select, circle }) {
  const canvas = h("canvas", { class: "af-sky", role: "application", "aria-roledescription": "sky", tabindex: "0" });
  const caption = h("div", { class: "af-row af-caption" });
  const readout = h("div", { class: "af-caption", "aria-live": "off" });
  const holder = h("div", { class: "af-holder" }, canvas);
  const node = h("div", {}, holder, readout, caption);
  const ui = { whole: false, region: false };
  let [width, now, trail, spot] = [0, /** @type {any} */ (null), /** @type {number[][]} */ ([]), -1];
  let paint = { data: null, key: "" };

  const scene = () => {
    const all = state();
    const around = all.n ? middle(all.ra, all.dec) : all.region ? { ra: all.region.ra, dec: all.region.dec, reach: all.region.radius * 1.6 } : { ra: 180, dec: 0, reach: 180 };
    const center = { ...around, reach: Math.max(around.reach, 0.002) };
    const whole = ui.whole || center.reach > WIDE;
    const sky = whole ? aitoff(width, HEIGHT) : tangent(center, width, HEIGHT);
    const points = Array.from({ length: all.n }, (_, i) => sky.to(all.ra[i], all.dec[i]));
    return { ...all, sky, center, whole, points };
  };

  const colour = (name) => getComputedStyle(canvas).getPropertyValue(name).trim();

  function path(pen, directions) {
    let [last, before] = [null, 0];
    pen.beginPath();
    for (const [ra, dec] of directions) {
      const at = now.sky.to(ra, dec);
      // a line that leaves one edge of the map comes back at the other
      if (!Number.isFinite(at[0])) last = null;
      else {
        if (last && !(now.whole && Math.abs(ra - before) > 180)) pen.lineTo(at[0], at[1]);
        else pen.moveTo(at[0], at[1]);
        [last, before] = [at, ra];
      }
    }
    pen.stroke();
  }

  /** Coverage as squares, the more surveys the stronger; painted anew only when the map or the surveys change. */
  function coverage(pen, accent) {
    const { surveys, sky } = now;
    if (!surveys.length) return;
    const key = JSON.stringify([width, now.whole, now.center, accent, surveys.map((s) => [s.dec, s.latitude, s.outline && [s.moc, s.outline.order, s.outline.ranges.length]])]);
    if (key !== paint.key) {
      const layer = document.createElement("canvas");
      [layer.width, layer.height] = [width, HEIGHT];
      const brush = layer.getContext("2d");
      brush.fillStyle = accent;
      const block = surveys.length <= MANY && surveys.some((s) => s.outline) ? FINE : COARSE;
      for (let x = 0; x < width; x += block)
        for (let y = 0; y < HEIGHT; y += block) {
          const at = sky.from(x + block / 2, y + block / 2);
          const share = at ? surveys.filter((s) => covers(s, at[0], at[1])).length / surveys.length : 0;
          if (!share) continue;
          brush.globalAlpha = 0.04 + 0.22 * share;
          brush.fillRect(x, y, block, block);
        }
      paint = { data: layer, key };
    }
    pen.drawImage(paint.data, 0, 0, width, HEIGHT);
  }

  function dots(pen, indices, fill, size) {
    pen.fillStyle = fill;
    for (const i of indices) {
      const [x, y] = now.points[i];
      if (!Number.isFinite(x)) continue;
      pen.beginPath();
      pen.arc(x, y, size, 0, 7);
      pen.fill();
    }
  }

  function targets(pen, muted) {
    const groups = { none: [], some: [], all: [], chosen: [] };
    for (let i = 0; i < now.n; i++) {
      groups[now.found[i] === 0 ? "none" : now.found[i] < now.asked ? "some" : "all"].push(i);
      if (now.mask[i]) groups.chosen.push(i);
    }
    const size = now.n > 2000 ? 1.3 : 2.6;
    dots(pen, groups.chosen, CHOSEN, size + 2.2);
    dots(pen, groups.none, muted, size);
    dots(pen, groups.some, SOME, size);
    dots(pen, groups.all, ALL, size);
    return [[muted, "nothing yet", groups.none], [SOME, "found in some", groups.some], [ALL, "found in all", groups.all], [CHOSEN, "selected", groups.chosen]].filter((g) => g[2].length);
  }

  function frame(pen, text, muted) {
    pen.font = "11px system-ui, sans-serif";
    pen.lineWidth = 1;
    for (const [points, label, at, anchor] of graticule(now.sky, now.whole, now.center, width, HEIGHT)) {
      pen.strokeStyle = muted;
      pen.globalAlpha = 0.3;
      path(pen, points);
      pen.globalAlpha = 1;
      pen.fillStyle = now.whole ? muted : text;
      pen.textAlign = anchor;
      if (label && Number.isFinite(at[0]) && at[0] > (now.whole ? 0 : anchor === "right" ? 0 : 70) && at[0] < width - (now.whole ? 0 : 20) && at[1] > 4 && at[1] < HEIGHT) pen.fillText(label, at[0] - (anchor === "right" ? 4 : 0), at[1] + (now.whole && anchor === "center" ? -3 : 4));
    }
    pen.strokeStyle = muted;
    pen.setLineDash([2, 4]);
    path(pen, range(0, 360, 180).map(galacticPlane));
    pen.setLineDash([]);
    if (now.whole) return;
    pen.fillStyle = muted;
    pen.textAlign = "center";
    pen.fillText("RA (ICRS, east left)", width / 2 + 36, HEIGHT - 6);
    pen.save();
    pen.translate(11, HEIGHT / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText("Dec", 0, 0);
    pen.restore();
  }

  function draw() {
    if (!width) return;
    now = scene();
    const scale = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * scale, HEIGHT * scale];
    Object.assign(canvas.style, { width: `${width}px`, height: `${HEIGHT}px` });
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const [text, muted, accent] = ["--af-text", "--af-muted", "--af-accent"].map(colour);
    coverage(pen, accent);
    frame(pen, text, muted);
    pen.strokeStyle = accent;
    pen.lineWidth = 1.5;
    if (now.region) path(pen, circlePoints(now.region.ra, now.region.dec, Math.max(now.region.radius, 0.001)));
    const key = targets(pen, muted);
    if (spot >= 0 && spot < now.n && Number.isFinite(now.points[spot][0])) {
      pen.strokeStyle = text;
      pen.beginPath();
      pen.arc(now.points[spot][0], now.points[spot][1], 9, 0, 7);
      pen.stroke();
    }
    if (trail.length > 1) {
      pen.strokeStyle = text;
      pen.beginPath();
      trail.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.stroke();
    }
    const words = now.whole ? "whole sky, Aitoff" : `around RA ${degrees(now.center.ra)}, Dec ${degrees(now.center.dec)}`;
    canvas.setAttribute("aria-label", `${now.n} targets on the sky, ${words}. ${now.n ? "Arrows go from target to target, space selects, Escape clears." : "Type a centre and a radius, or drag to draw a region."}`);
    put(caption, `${now.n ? `${now.n} targets, ` : ""}${words}`, key.map(([fill, say, list]) => h("span", { class: "af-check" }, h("i", { class: "af-dot", style: { background: fill } }), `${say} ${list.length}`)),
      now.surveys.length ? h("span", { class: "af-check", title: how(now.surveys) }, h("i", { class: "af-swatch" }), `seen by the ticked surveys${now.surveys.every(exact) ? "" : now.surveys.some((s) => s.outline) ? ", some of them roughly" : ", roughly"}`) : null,
      h("span", { class: "af-check" }, h("i", { class: "af-dash" }), "galactic plane"));
  }

  const drawing = () => ui.region || !now?.n;
  const words = (i) => `${now.ids[i] ?? `target ${i}`}: RA ${number(now.ra[i], 8)}°, Dec ${number(now.dec[i], 8)}°, found in ${now.found[i]} of ${now.asked}${now.mask[i] ? ", selected" : ""}`;
  const at = (e) => [e.offsetX, e.offsetY];

  function finish(how) {
    const drawn = trail;
    trail = [];
    if (drawn.length < 3) return draw();
    if (!drawing()) select([...now.points.keys()].filter((i) => inside(drawn, now.points[i][0], now.points[i][1])), how);
    else {
      const sky = drawn.map(([x, y]) => now.sky.from(x, y)).filter(Boolean);
      const round = middle(sky.map((d) => d[0]), sky.map((d) => d[1]));
      if (sky.length > 2 && round.reach > 0) circle(round.ra, round.dec, Math.min(round.reach, 90));
    }
    return draw();
  }

  canvas.addEventListener("pointerdown", (e) => {
    canvas.setPointerCapture(e.pointerId);
    trail = [at(e)];
  });
  canvas.addEventListener("pointermove", (e) => {
    if (trail.length) {
      trail.push(at(e));
      return draw();
    }
    const here = now?.sky.from(...at(e));
    if (!here) return put(readout);
    let [best, least] = [-1, 8];
    now.points.forEach(([x, y], i) => {
      const d = Math.hypot(x - e.offsetX, y - e.offsetY);
      if (d < least) [best, least] = [i, d];
    });
    readout.setAttribute("aria-live", "off");
    return put(readout, best >= 0 ? words(best) : `RA ${number(here[0], 5)}°, Dec ${number(here[1], 5)}°`);
  });
  canvas.addEventListener("pointerup", (e) => finish(e.shiftKey ? "add" : e.altKey ? "remove" : "new"));
  canvas.addEventListener("pointercancel", () => { trail = []; draw(); });
  canvas.addEventListener("pointerleave", () => put(readout));
  canvas.addEventListener("keydown", (e) => {
    const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key] || [0, 0];
    if (!now?.n || e.altKey || e.ctrlKey || e.metaKey) return;
    if (dx || dy) spot = toward(now.points, spot, dx, dy, [width / 2, HEIGHT / 2]);
    else if ((e.key === " " || e.key === "Enter") && spot >= 0) select([spot], now.mask[spot] ? "remove" : "add");
    else return;
    e.preventDefault();
    e.stopPropagation();
    draw();
    readout.setAttribute("aria-live", "polite");
    put(readout, words(spot));
  });
  const end = sized(holder, (w) => { width = w; draw(); });
  return { node, ui, draw, end };
}
