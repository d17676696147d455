// Prediction against truth as points on a canvas: hover names one, a click takes it, a drag takes all in a box, arrows go from one to the next.
import { extent } from "./arrays.js";
import { number } from "./columns.js";
import { h, s } from "./dom.js";
import { plot, roomy } from "./plot.js";
import { said as saidOf, twin } from "./twin.js";

const HEIGHT = 300;
const NEAR = 12;

/** @param {{xs: any, ys: any, far: any, x: string, y: string, lines: [number, number, number][], label: string, chosen: Uint8Array, focus: number, name: (i: number) => string, pick: (rows: number[], words: string, event: any) => void, look: (i: number) => void, open: Set<string>}} given
 *   lines: slope, offset, and 1 for dashed @param {number} width */
export function points({ xs, ys, far, x, y, lines, label, chosen, focus, name, pick, look, open }, width) {
  const known = (i) => Number.isFinite(xs[i]) && Number.isFinite(ys[i]);
  const p = plot({ width, height: HEIGHT, label, x: { domain: roomy(extent(xs)), label: x }, y: { domain: roomy(extent(ys)), label: y } });
  const [a, b] = roomy(extent(xs));
  for (const [slope, offset, dashed] of lines) p.layer.append(s("path", { d: `M${p.X(a)} ${p.Y(slope * a + offset)}L${p.X(b)} ${p.Y(slope * b + offset)}`, class: dashed ? "even" : "line" }));
  p.svg.setAttribute("aria-hidden", "true");
  const order = [...xs.keys()].filter(known).sort((i, j) => xs[i] - xs[j]);
  const outliers = order.filter((i) => far[i]);
  const worst = [...outliers].sort((i, j) => Math.abs(ys[j] - xs[j] * lines[0][0]) - Math.abs(ys[i] - xs[i] * lines[0][0])).slice(0, 3).map(name);
  const ends = order.length ? `${x} from ${number(xs[order[0]], 3)} to ${number(xs[order.at(-1)], 3)}, ${y} from ${number(extent(ys)[0], 3)} to ${number(extent(ys)[1], 3)}` : "none is known";
  const told = {
    name: label.toLowerCase(), says: `${label} of ${order.length} samples: ${ends}. ${outliers.length} ${outliers.length === 1 ? "is an outlier" : "are outliers"}${worst.length ? `, the farthest ${worst.join(", ")}` : ""}.`,
    heads: ["id", x, y, "outlier"], rows: () => order.map((i) => [name(i), number(xs[i], 4), number(ys[i], 4), far[i] ? "yes" : "no"]),
  };
  const { left, top, width: w, height } = p.box;
  const ratio = window.devicePixelRatio || 1;
  const canvas = h("canvas", { class: "af-points", width: Math.round(w * ratio), height: Math.round(height * ratio), tabindex: "0", role: "application", "aria-label": `${saidOf(told)} Arrows go from sample to sample, Enter selects it.`, style: { left: `${left}px`, top: `${top}px`, width: `${w}px`, height: `${height}px` } });
  const said = h("p", { class: "af-caption", role: "status" });
  const box = h("div", { class: "af-box", hidden: true });
  let at = focus;

  const words = (i) => `${name(i)}: ${x} ${number(xs[i], 4)}, ${y} ${number(ys[i], 4)}${far[i] ? ", an outlier" : ""}`;
  const draw = () => {
    const g = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const colours = { plain: style.getPropertyValue("--af-accent").trim() || "#0b65c2", far: "#d55e00", ink: style.color };
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, w, height);
    const size = order.length > 20000 ? 1.2 : order.length > 2000 ? 2 : 3;
    const any = chosen.some((v) => v);
    const dot = (i, r) => {
      g.beginPath();
      g.arc(p.X(xs[i]) - left, p.Y(ys[i]) - top, r, 0, 7);
      g.fill();
    };
    for (const outlier of [0, 1]) {
      g.fillStyle = outlier ? colours.far : colours.plain;
      g.globalAlpha = any ? 0.25 : order.length > 20000 ? 0.3 : 0.7;
      for (const i of order) if (!!far[i] === !!outlier && !chosen[i]) dot(i, size);
      g.globalAlpha = 1;
      for (const i of order) if (!!far[i] === !!outlier && chosen[i]) dot(i, size + 1);
    }
    if (at >= 0 && known(at)) {
      g.strokeStyle = colours.ink;
      g.lineWidth = 2;
      g.beginPath();
      g.arc(p.X(xs[at]) - left, p.Y(ys[at]) - top, size + 5, 0, 7);
      g.stroke();
    }
  };
  const place = (e) => {
    const edge = canvas.getBoundingClientRect();
    return [((e.clientX - edge.left) * w) / (edge.width || 1), ((e.clientY - edge.top) * height) / (edge.height || 1)];
  };
  const nearest = (/** @type {number[]} */ [mx, my]) => {
    let [best, found] = [NEAR * NEAR, -1];
    for (const i of order) {
      const d = (p.X(xs[i]) - left - mx) ** 2 + (p.Y(ys[i]) - top - my) ** 2;
      if (d < best) [best, found] = [d, i];
    }
    return found;
  };
  let from = null;
  const show = (to) => {
    box.hidden = false;
    for (const [side, v] of Object.entries({ left: left + Math.min(from[0], to[0]), top: top + Math.min(from[1], to[1]), width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) })) box.style[side] = `${v}px`;
  };
  canvas.addEventListener("pointerdown", (e) => {
    from = place(e);
    canvas.setPointerCapture(e.pointerId);
  });
  canvas.addEventListener("pointermove", (e) => {
    if (from) return show(place(e));
    const i = nearest(place(e));
    said.textContent = i < 0 ? "" : words(i);
    return undefined;
  });
  canvas.addEventListener("pointerup", (e) => {
    const to = place(e);
    const start = from;
    from = null;
    box.hidden = true;
    if (!start) return;
    if (Math.hypot(to[0] - start[0], to[1] - start[1]) < 4) {
      const i = nearest(to);
      if (i < 0) return;
      look(i);
      pick([i], name(i), e);
      return;
    }
    const [x0, x1, y0, y1] = [Math.min(start[0], to[0]), Math.max(start[0], to[0]), Math.min(start[1], to[1]), Math.max(start[1], to[1])];
    pick(order.filter((i) => { const [px, py] = [p.X(xs[i]) - left, p.Y(ys[i]) - top]; return px >= x0 && px <= x1 && py >= y0 && py <= y1; }), "in the box", e);
  });
  canvas.addEventListener("pointercancel", () => {
    from = null;
    box.hidden = true;
  });
  canvas.addEventListener("keydown", (e) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[e.key];
    if (by && order.length) {
      at = order[Math.min(order.length - 1, Math.max(0, order.indexOf(at) + by))];
      said.textContent = words(at);
      draw();
      look(at);
    } else if (e.key === "Enter" && at >= 0 && known(at)) pick([at], name(at), e);
    else return;
    e.preventDefault();
    e.stopPropagation();
  });
  return { node: h("div", { class: "af-points-holder", style: { width: `${width}px` } }, p.svg, canvas, box, said), under: twin(told, open), draw };
}
