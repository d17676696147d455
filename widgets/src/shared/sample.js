// The panel of one sample: its name and facts, paging, and a slot for each modality.
import { button, h, put } from "./dom.js";
import { blank, waiting } from "./frame.js";
import { want } from "./link.js";
import { settings, slot } from "./slot.js";
import { facts } from "./values.js";

/** @param {any} model
 * @param {{page: (by: number) => void, place: () => number[], overlays?: (payload: any) => any, head?: (payload: any) => any}} options
 *   `overlays`: modality name -> overlay, for views that draw on the data; `head`: more to say above the slots */
export function samplePanel(model, { page, place, overlays = () => ({}), head = () => null }) {
  const ui = settings();
  const node = h("div", { class: "af-sample", "aria-live": "off" });
  let ends = [];
  let shown = null;
  const clean = () => ends.splice(0).forEach((end) => end());

  const pager = (title) => {
    const [at, of] = place();
    return h("div", { class: "af-row af-pager" }, button("◄", () => page(-1), { "aria-label": "Previous sample", disabled: at === 1 }), button("►", () => page(1), { "aria-label": "Next sample", disabled: at >= of }), h("h3", { class: "af-id" }, title), h("span", { class: "af-caption" }, at > 0 ? `${at} of ${of}` : "not among those shown"));
  };

  const draw = (payload) => {
    clean();
    ends = [];
    const over = overlays(payload) || {};
    const slots = payload.modalities.map((m) => slot(m, { ui, columns: payload.columns, overlay: over[m.name], life: ends, id: payload.object_id }));
    put(node, pager(payload.object_id), facts(payload.columns), head(payload), h("div", { class: "af-slots" }, slots));
  };

  const show = () => {
    const focus = model.get("focus");
    if (focus < 0) return put(node, blank("No sample in focus", "Click a row or a point, or press → to begin with the first."));
    const key = `sample/${focus}`;
    // a fast answer should not flash a skeleton
    const slow = setTimeout(() => model.get("focus") === focus && put(node, waiting("Reading the sample")), shown ? 250 : 0);
    ends.push(() => clearTimeout(slow));
    return want(model, key).then((payload) => {
      clearTimeout(slow);
      if (model.get("focus") !== focus) return;
      shown = payload;
      draw(payload);
    }, (error) => {
      clearTimeout(slow);
      if (model.get("focus") === focus) put(node, blank("This sample cannot be shown", error.message, button("Try again", show)));
    });
  };
  return { node, show, redraw: () => shown && draw(shown), end: clean };
}
