// One map of the view: its points, what may be believed of it, and what is said in place of points that are not there.
import { icon, label } from "./colours.js";
import { h, put } from "./dom.js";
import { blank, waiting } from "./frame.js";
import { whole } from "./parts.js";
import { Scatter } from "./scatter.js";

const SAYS = { pca: "First two principal components of the model's vectors.", epoch: "Turned to lie on the map of the trained model, never stretched.", given: "" };
const NEIGHBOURS = "Neighbours mean something on this map; distances between groups do not.";

/** What a badge says, with its interval where it has one. */
function tag({ name, value, low, high, says }) {
  const known = low !== null && low !== undefined && high !== null && high !== undefined;
  const text = `${name} ${value === null || value === undefined ? "not known" : value.toFixed(2)}${known ? ` [${low.toFixed(2)}, ${high.toFixed(2)}]` : ""}`;
  return h("span", { class: "af-tag", title: says || "" }, text);
}

/** @param {any} model @param {any} report what the scatter tells @param {any} head controls above the map */
export function pane(model, report, head) {
  const scatter = new Scatter(report);
  const over = h("div", { class: "af-map-over" });
  const tip = h("div", { class: "af-tip", hidden: true, "aria-hidden": "true" });
  const badges = h("div", { class: "af-row af-caption af-badges" });
  const stage = h("div", { class: "af-stage" }, scatter.canvas, scatter.marks, over, tip);
  const node = h("div", { class: "af-pane" }, head, stage, badges);
  let wanted = null;
  let shown = null;
  const kept = new WeakMap();

  /** Coordinates of a plane, fetched once. */
  const coordinates = (plane) => {
    if (!kept.has(plane)) {
      const found = whole(model, plane.xy, (share) => plane === wanted && put(over, waiting(`Loading the map, ${Math.round(100 * share)} %`)));
      kept.set(plane, found);
      found.catch(() => kept.delete(plane));
    }
    return kept.get(plane);
  };

  const says = (plane, n, method) => {
    const missing = n - plane.n;
    const given = plane.badges?.length ? plane.badges.map(tag) : plane.trust === null || plane.trust === undefined ? [] : [h("span", { class: "af-tag", title: "share of neighbours on the map that are neighbours in the model's own space (Venna and Kaski 2001); 1 is best" }, `trustworthiness ${plane.trust.toFixed(2)} (${plane.k} neighbours, ${plane.n} samples)`)];
    put(badges, given, missing > 0 && h("span", { class: "af-tag" }, plane.space === "given" ? `${missing} have no place here` : `${missing} samples lack ${label(plane.space)}`), SAYS[method] === "" ? null : h("span", {}, SAYS[method] || NEIGHBOURS));
  };

  /** Show a plane; `then` is called once its points are there. @param {any} plane @param {number} n @param {string} method @param {() => void} then */
  const show = (plane, n, method, then) => {
    wanted = plane;
    if (!n) return put(over, blank("No samples", "Give samples to the widget: af.EmbeddingWidget(run, samples)."));
    if (!plane) return put(over, model.get("error") ? blank("No map", "The message above says why.") : waiting("Asking the model for its vectors"));
    says(plane, n, method);
    if (shown === plane) return undefined;
    return coordinates(plane).then((xy) => {
      if (plane !== wanted || scatter.gone) return;
      shown = plane;
      put(over, plane.n ? null : blank(`No sample has ${label(plane.space)}`, "Choose another space."));
      scatter.place(xy);
      then();
    }, (error) => plane === wanted && put(over, blank("The map cannot be shown", error.message)));
  };

  /** Put the tip beside the pointer, inside the map. */
  const tipAt = (x, y) => {
    const { clientWidth: w, clientHeight: hgt } = scatter.canvas;
    tip.style.left = `${x > w / 2 ? Math.max(0, x - tip.offsetWidth - 14) : x + 14}px`;
    tip.style.top = `${Math.max(0, Math.min(y - 10, hgt - tip.offsetHeight - 4))}px`;
  };
  return { node, scatter, tip, tipAt, show, get plane() { return shown; } };
}

/** A space as a button shows it. @param {string} space */
export const spaceName = (space) => [space === "fused" || space === "given" ? null : icon(space, 14), label(space)];
