// One modality of one sample in its slot: icon, name, source, controls, drawing; a missing one is an empty, labelled slot.
import { icon, label } from "./colours.js";
import { number } from "./columns.js";
import { h } from "./dom.js";
import { imageBody } from "./image.js";
import { lightCurveBody } from "./light_curve.js";
import { seriesBody } from "./series.js";
import { spectrumBody } from "./spectrum.js";
import { tableBody, textBody } from "./values.js";

const BODIES = { image: imageBody, spectrum: spectrumBody, light_curve: lightCurveBody, series: seriesBody, table: tableBody, text: textBody };

/** Settings that outlive the sample they were made on. */
export const settings = () => ({ stretch: 0.5, composite: "rgb", mixes: {}, mask: true, fold: "none", redshift: {}, lines: true, period: 0, overlay: 0.8, hidden: new Set(), open: new Set() });

function missing(kind) {
  return h("div", { class: "af-missing" }, `no ${label(kind)} for this object`);
}

/** What there is no drawing for, plainly: its kind and its shape. */
function plainly({ kind, plain }) {
  return h("div", { class: "af-missing" }, `${label(kind)}${plain && plain !== kind ? ` (${plain})` : ""}: this view has no drawing for it. samples[i] in a cell gives its numbers.`);
}

/**
 * @param {any} modality one entry of a sample's payload
 * @param {{ui: any, columns: any[], overlay?: import("./overlay.js").Overlay, life: any[], id: string, raw?: boolean, tag?: string}} context
 *   `overlay`: a number for each place (pixel, epoch, column, word), drawn on the data; `tag`: which of several drawings of the same data this is
 */
export function slot(modality, context) {
  const { name, kind, present } = modality;
  const tools = h("div", { class: "af-tools" });
  const body = h("div", { class: `af-body af-${kind}` });
  const source = present && modality.source && modality.source !== name && modality.source !== "unknown" ? h("span", { class: "af-source", title: modality.citation || "" }, modality.source) : null;
  const scale = present && context.overlay && !context.overlay.shared ? h("span", { class: "af-source", title: "full colour; colours and bars go with the square root of the value" }, `${context.overlay.signed ? "±" : "0 to "}${number(context.overlay.scale, 2)}`) : null;
  const total = present && context.overlay?.total ? h("span", { class: "af-num af-total", title: "sum over all places of this modality" }, context.overlay.total) : null;
  const head = h("header", { class: "af-slot-head" }, context.tag ? h("span", { class: "af-tag" }, context.tag) : null, icon(kind), h("h3", {}, context.raw ? name : label(name)), context.raw ? h("span", { class: "af-tag" }, "as sent") : null, total, source, scale, h("span", { class: "af-space" }), tools);
  const node = h("article", { class: `af-slot${present ? "" : " af-empty"}${context.raw ? " af-raw" : ""}`, "data-kind": kind, "aria-label": `${context.tag ? `${context.tag}, ` : ""}${label(name)}${context.raw ? ", as sent" : ""}${present ? "" : ", missing"}` }, head, body);
  if (modality.problem) body.append(h("div", { class: "af-missing" }, `cannot be read: ${modality.problem}`));
  else if (!present) body.append(missing(kind));
  else if (BODIES[kind]) BODIES[kind](modality, { ...context, name: [context.tag, label(name), context.raw ? "as sent" : ""].filter(Boolean).join(" "), body, tools });
  else body.append(plainly(modality));
  return node;
}

/** The key to an overlay's colours. */
export function colourKey(scale, signed, words) {
  const ends = signed ? [`−${words.low}`, `+${words.high}`] : [words.low, words.high];
  return h("div", { class: "af-key", role: "img", "aria-label": `${words.title}: ${ends.join(" to ")}` }, h("span", {}, words.title), h("span", { class: "af-num" }, signed ? `−${scale}` : "0"), h("span", { class: `af-ramp ${signed ? "signed" : "plain"}` }), h("span", { class: "af-num" }, signed ? `+${scale}` : scale));
}
