// Marks that a person puts on the drawings of a sample: where they are, and how they are drawn.
import { h, s } from "./dom.js";

const REACH = 0.08; // of the width, as in lessons/against.py
const PLACED = ["image", "spectrum", "light_curve"];

/** An image of before, after and their difference. @param {any} one */
export const compared = (one) => one.present && one.kind === "image" && one.bands.includes("difference");

/** Slots with the modality each shows, in order; then its bands one by one, where these are shown too. @param {Element} panel @param {any} payload */
function slots(panel, payload) {
  const whole = [...panel.querySelectorAll(".af-slot")].map((node, k) => ({ node, ...payload.modalities[k] }));
  const bands = [...panel.querySelectorAll(".af-stamp")].map((node) => ({ node, ...payload.modalities.find(compared) }));
  return [...whole, ...bands].filter((one) => one.present && PLACED.includes(one.kind));
}

/** The frame of a plot within its drawing, in the drawing's own units. @param {any} svg */
function frameOf(svg) {
  const frame = svg.querySelector("rect.frame");
  const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => Number(frame?.getAttribute(name)));
  return frame ? { x, y, width, height } : null;
}

const inside = (v) => v >= 0 && v <= 1;
const placed = (one, u, v) => (inside(u) && inside(v) ? { name: one.name, u, v, flat: one.kind !== "image" } : null);

/** The place under a click: modality, and shares from the left and from below; null beside the data. @param {Element} panel @param {any} payload @param {any} event */
export function markedPlace(panel, payload, event) {
  if (!payload) return null;
  const one = slots(panel, payload).find(({ node }) => node.contains(event.target));
  const stack = one && (one.kind === "image" ? event.target.closest(".af-stack") : event.target.closest("svg.af-plot"));
  if (!stack) return null;
  const edge = stack.getBoundingClientRect();
  const [x, y] = [event.clientX - edge.left, event.clientY - edge.top];
  if (one.kind === "image") return placed(one, x / edge.width, 1 - y / edge.height);
  const box = frameOf(stack);
  const scale = stack.viewBox.baseVal.width / edge.width;
  return box && placed(one, (x * scale - box.x) / box.width, 1 - (y * scale - box.y) / box.height);
}

/** The place that is read by shift and arrow keys on the drawing that has the keyboard. @param {Element} panel @param {any} payload @param {any} active */
export function placeRead(panel, payload, active) {
  const one = payload && active && slots(panel, payload).find(({ node }) => node.contains(active));
  if (!one) return null;
  if (one.kind === "image") {
    const read = active.querySelector(".af-read");
    const view = read?.ownerSVGElement.viewBox.baseVal;
    if (!(Number(read?.getAttribute("width")) > 0)) return null;
    return placed(one, (Number(read.getAttribute("x")) + 0.5) / view.width, 1 - (Number(read.getAttribute("y")) + 0.5) / view.height);
  }
  const box = active.matches("svg") && frameOf(active);
  const line = active.querySelector('path[opacity="0.55"]')?.getAttribute("d")?.match(/^M([\d.]+)/); // the cross-hair of a spectrum
  const ring = Number(active.querySelector('circle[r="7"]')?.getAttribute("cx") ?? -1); // the ring of a light curve
  const x = line ? Number(line[1]) : ring;
  return box && x > 0 ? placed(one, (x - box.x) / box.width, 0.5) : null;
}

/** Draw all marks anew. @param {Element} panel @param {any} payload @param {Record<string, number[][]>} marks */
export function paintMarks(panel, payload, marks) {
  panel.querySelectorAll(".af-mark, .af-mark-band").forEach((node) => node.remove());
  for (const one of slots(panel, payload)) {
    for (const [u, v] of marks[one.name] || []) {
      if (one.kind === "image") one.node.querySelector(".af-stack")?.append(h("i", { class: "af-mark", style: { left: `${100 * u}%`, bottom: `${100 * v}%`, width: `${200 * REACH}%` } }));
      else {
        const svg = one.node.querySelector("svg.af-plot");
        const box = svg && frameOf(svg);
        if (box) svg.append(s("rect", { class: "af-mark-band", x: Math.max(box.x, box.x + (u - REACH / 2) * box.width), y: box.y, width: REACH * box.width, height: box.height }));
      }
    }
  }
}
