// Samples drawn small: beside the pointer, and a strip of those selected. Asked of Python once, when the pointer has rested, and kept.
import { bandColour, modalityColour } from "./colours.js";
import { number } from "./columns.js";
import { button, h, put, s } from "./dom.js";
import { want } from "./link.js";

const KEPT = 400;
const REST = 90; // milliseconds that the pointer rests before Python is asked
const STRIP = 12;
const [W, H] = [104, 48];

function stamp({ pixels, name, says }) {
  const [rows, columns] = pixels.shape;
  const canvas = h("canvas", { class: "af-thumb-image", width: columns, height: rows, role: "img", "aria-label": `${name}: ${says}` });
  const data = new ImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) data.data.set([pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2], 255], 4 * i);
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

/** A line through values from 0 to 1, broken where there is none. */
function line({ kind, y }) {
  let path = "";
  let pen = "M";
  y.forEach((v, k) => {
    if (Number.isNaN(v)) pen = "M";
    else {
      path += `${pen}${((k / Math.max(1, y.length - 1)) * (W - 4) + 2).toFixed(1)} ${((1 - v) * (H - 6) + 3).toFixed(1)}`;
      pen = "L";
    }
  });
  return s("svg", { class: "af-thumb-plot", viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" }, s("path", { d: path, fill: "none", stroke: modalityColour(kind), "stroke-width": 1.2, "stroke-linejoin": "round" }));
}

function epochs({ x, y, band, bands }) {
  const dots = Array.from(x, (v, k) => s("circle", { cx: (v * (W - 8) + 4).toFixed(1), cy: ((1 - y[k]) * (H - 8) + 4).toFixed(1), r: 1.7, fill: bandColour(bands[band[k]], band[k]) }));
  return s("svg", { class: "af-thumb-plot", viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" }, dots);
}

const DRAW = { image: stamp, spectrum: line, series: line, light_curve: epochs, text: ({ says }) => h("p", { class: "af-thumb-text" }, says) };

/** One sample's small pictures. @param {any} payload @param {number} most parts at most */
const pictures = (payload, most) => h("div", { class: "af-thumb-parts" }, payload.parts.filter((part) => part.kind in DRAW).slice(0, most).map((part) => h("figure", { "data-kind": part.kind, title: `${part.name}: ${part.says}` }, DRAW[part.kind](part))));

/** @param {any} model @param {(i: number) => any[]} facts what is known of a sample without asking @param {(i: number) => string} name */
export function thumbs(model, facts, name) {
  const kept = new Map();
  const ask = (i) => {
    if (!kept.has(i)) {
      const answer = want(model, `thumb/${i}`);
      kept.set(i, answer);
      answer.catch(() => kept.delete(i));
      if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    }
    return kept.get(i);
  };
  let timer = 0;
  let now = -1;

  /** Say what the sample under the pointer is, and draw it as soon as it rests there. @param {HTMLElement} tip @param {number} i */
  const hover = (tip, i) => {
    if (i === now) return;
    now = i;
    clearTimeout(timer);
    tip.hidden = i < 0;
    if (i < 0) return;
    put(tip, facts(i));
    if (!model.get("thumbs")) return;
    timer = setTimeout(() => ask(i).then((payload) => {
      if (now === i) put(tip, h("strong", {}, payload.object_id), payload.facts.map(([name, value]) => h("div", {}, `${name} ${typeof value === "number" ? number(value, 3) : value ?? ""}`)), pictures(payload, 4));
    }, () => now === i && tip.append(h("div", { class: "af-caption" }, model.get("live") ? "Python does not answer." : "Not stored with this page."))), kept.has(i) ? 0 : REST);
  };

  /** A strip of samples: of many, some from all over the selection. @param {HTMLElement} node @param {number[]} chosen @param {number} focus @param {(i: number) => void} pick */
  const strip = (node, chosen, focus, pick) => {
    if (!model.get("thumbs") || !chosen.length) return void put(node);
    const known = model.get("live") ? chosen : chosen.filter((i) => `thumb/${i}` in (model.get("saved") || {}));
    const some = known.length <= STRIP ? known : Array.from({ length: STRIP }, (_, k) => known[Math.floor((k * known.length) / STRIP)]);
    const cards = some.map((i) => button(h("span", { class: "af-card-id" }, name(i)), () => pick(i), { class: `af-card${i === focus ? " is-focus" : ""}`, "data-sample": i, "aria-label": name(i) }));
    put(node, cards);
    some.forEach((i, k) => ask(i).then((payload) => {
      cards[k].setAttribute("aria-label", payload.object_id);
      cards[k].title = [payload.object_id, ...payload.facts.map(([name, value]) => `${name} ${value ?? ""}`)].join("\n");
      cards[k].dataset.ready = "true";
      put(cards[k], h("span", { class: "af-card-id" }, payload.object_id), pictures(payload, 2));
    }, (error) => put(cards[k], h("span", { class: "af-caption" }, error.message.slice(0, 60)))));
    return undefined;
  };
  return { hover, strip, some: STRIP, end: () => clearTimeout(timer) };
}

/** Some positions of a selection, from all over it, without listing a million of them. @param {Uint8Array} mask @param {number} count how many are selected @param {number} most */
export function sampled(mask, count, most) {
  const out = [];
  const stride = count <= most ? 1 : count / most;
  let [seen, next] = [0, 0];
  for (let i = 0; i < mask.length && out.length < most; i++) {
    if (!mask[i]) continue;
    if (seen++ >= next) {
      out.push(i);
      next += stride;
    }
  }
  return out;
}
