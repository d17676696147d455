// The panel of one sample: its name and facts, paging, and a slot for each modality.
import { button, h, put } from "./dom.js";
import { blank, waiting } from "./frame.js";
import { want } from "./link.js";
import { settings, slot } from "./slot.js";
import { facts } from "./values.js";

/** @param {any} model
 * @param {{page: (by: number) => void, place: () => number[], overlays?: (payload: any) => any, head?: (payload: any) => any, raw?: () => Promise<any> | null, tools?: any, only?: (modality: any) => boolean}} options
 *   `overlays`: modality name -> overlay, for views that draw on the data; several of them are drawn beside each other; `head`: more to say above the slots; `raw`: what archives sent for the sample in focus, where that is asked for; `tools`: controls at the right of the pager; `only`: which modalities have slots */
export function samplePanel(model, { page, place, overlays = () => ({}), head = () => null, raw = () => null, tools = null, only = () => true }) {
  const ui = settings();
  const node = h("div", { class: "af-sample", "aria-live": "off" });
  let ends = [];
  let shown = null;
  const clean = () => ends.splice(0).forEach((end) => end());

  const pager = (title) => {
    const [at, of] = place();
    return h("div", { class: "af-row af-pager" }, button("◄", () => page(-1), { "aria-label": "Previous sample", disabled: at === 1 }), button("►", () => page(1), { "aria-label": "Next sample", disabled: at >= of }), h("h3", { class: "af-id" }, title), h("span", { class: "af-caption" }, at > 0 ? `${at} of ${of}` : "not among those shown"), h("span", { class: "af-space" }), tools);
  };

  const draw = (payload) => {
    clean();
    ends = [];
    const over = overlays(payload) || {};
    const many = Array.isArray(over) ? over : [over];
    const slots = payload.modalities.filter(only).flatMap((m) => many.map((one, k) => slot(m, { ui, columns: payload.columns, overlay: one[m.name], life: ends, id: payload.object_id, tag: many.length > 1 ? "ABCD"[k] : "" })));
    const sent = raw();
    const holder = h("div", { class: `af-slots${sent ? " af-paired" : ""}${many.length > 1 ? " af-beside" : ""}`, style: many.length > 1 ? { "--beside": many.length } : null }, slots);
    // what is set on one of several drawings of the same data holds for all
    if (many.length > 1) holder.addEventListener("change", () => requestAnimationFrame(() => shown === payload && draw(payload)));
    const note = h("p", { class: "af-caption", role: "status", hidden: !sent }, "Reading what was sent");
    put(node, pager(payload.object_id), facts(payload.columns), head(payload), note, holder);
    sent?.then((got) => holder.isConnected && beside(payload, got, slots, holder, note), (error) => (note.textContent = error.message));
  };

  /** Each product as sent, after what was made of it. */
  const beside = (payload, got, slots, holder, note) => {
    if (!got.kept) return void (note.textContent = "What archives sent is not kept with this set: raw products can be seen in the session that fetched and aligned them, with af.align(found).");
    note.hidden = got.products.length > 0;
    note.textContent = got.products.length ? "" : "Nothing but columns and text was sent for this object.";
    const taken = new Set();
    const rows = payload.modalities.flatMap((m, k) => {
      const fit = got.products.filter((one, i) => one.kind === m.kind && !taken.has(i) && taken.add(i));
      return [slots[k], ...fit.map((one) => slot(one, { ui, columns: payload.columns, life: ends, id: payload.object_id, raw: true }))];
    });
    const rest = got.products.filter((_, i) => !taken.has(i)).map((one) => slot(one, { ui, columns: payload.columns, life: ends, id: payload.object_id, raw: true }));
    put(holder, rows, rest);
    return undefined;
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
  return { node, show, ui, redraw: () => shown && draw(shown), payload: () => shown, end: clean };
}
