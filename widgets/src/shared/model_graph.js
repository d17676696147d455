// A model as boxes from left to right, with the parameters of each; colours come from the style sheet.
import { label } from "./colours.js";
import { h, put, s } from "./dom.js";
import { want } from "./link.js";
import { listed, said, twin } from "./twin.js";

const COLUMNS = ["input", "encoder", "fusion", "head", "decision", "rest"];
const WIDE = 132, HIGH = 46, ACROSS = 34, DOWN = 10;
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** 1234567 as 1.23 M. */
export function amount(count) {
  if (count < 1000) return String(count);
  return count < 1e6 ? `${(count / 1e3).toFixed(count < 1e4 ? 1 : 0)} k` : `${(count / 1e6).toFixed(2)} M`;
}

/** The boxes placed in columns. @param {any[]} boxes */
function placed(boxes) {
  const columns = COLUMNS.map((role) => boxes.filter((one) => one.role === role)).filter((own) => own.length);
  const height = Math.max(...columns.map((own) => own.length)) * (HIGH + DOWN) + DOWN;
  const at = new Map();
  columns.forEach((own, i) => {
    const top = (height - own.length * (HIGH + DOWN) + DOWN) / 2;
    own.forEach((one, j) => at.set(one.key, { ...one, x: 2 + i * (WIDE + ACROSS), y: top + j * (HIGH + DOWN) }));
  });
  return { at, width: columns.length * (WIDE + ACROSS) - ACROSS + 4, height };
}

/** The drawing in words and as a table. @param {{boxes: any[], total: number}} told @returns {import("./twin.js").Twin} */
function graphTwin(told) {
  const titles = new Map(told.boxes.map((one) => [one.key, label(one.title)]));
  const from = (one) => listed((one.after || []).map((key) => titles.get(key)).filter(Boolean));
  return {
    name: "the model", says: `A model of ${amount(told.total)} parameters: ${told.boxes.map((one) => `${one.role} ${label(one.title)}${one.parameters ? ` (${amount(one.parameters)})` : ""}${from(one) ? ` after ${from(one)}` : ""}`).join("; ")}.`,
    heads: ["part", "role", "detail", "parameters", "takes from"], rows: () => told.boxes.map((one) => [label(one.title), one.role, one.detail || "", one.parameters, from(one)]),
  };
}

/** The drawing. @param {{boxes: any[], total: number}} told */
export function graph(told) {
  const { at, width, height } = placed(told.boxes);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, class: "af-graph", role: "img", "aria-label": said(graphTwin(told)), style: `max-width:${width}px` });
  for (const one of at.values())
    for (const key of one.after || []) {
      const from = at.get(key);
      if (!from) continue;
      const [x1, y1, x2, y2] = [from.x + WIDE, from.y + HIGH / 2, one.x, one.y + HIGH / 2];
      svg.append(s("path", { class: "link", d: `M${x1} ${y1}C${x1 + ACROSS / 2} ${y1} ${x2 - ACROSS / 2} ${y2} ${x2} ${y2}` }));
    }
  for (const one of at.values()) {
    const title = `${one.role}: ${label(one.title)}${one.detail ? `, ${one.detail}` : ""}, ${one.parameters.toLocaleString("en")} parameters`;
    svg.append(s("g", { class: `box ${one.role}`, "data-key": one.key }, s("title", {}, title), s("rect", { x: one.x, y: one.y, width: WIDE, height: HIGH, rx: 4 }),
      s("text", { x: one.x + 8, y: one.y + 19, class: "name" }, cut(label(one.title), 18)),
      s("text", { x: one.x + 8, y: one.y + 36, class: "detail" }, cut(one.parameters ? `${amount(one.parameters)}${one.detail ? `, ${one.detail}` : ""}` : one.detail, 21))));
  }
  return svg;
}

/** The model as it is chosen now; asked for anew when a setting changes. */
export function modelGraph(model, life, once) {
  const node = h("section", { class: "af-model" });
  const open = new Set();
  let asked = 0;
  const draw = async () => {
    const mine = ++asked;
    if (!model.get("live")) return put(node);
    const key = `model ${JSON.stringify([model.get("recipe"), model.get("target"), model.get("modalities"), model.get("parts")])}`;
    try {
      const told = await want(model, key);
      if (mine !== asked) return null;
      return put(node, h("div", { class: "af-row" }, h("h3", {}, "Model"), h("span", { class: "af-caption" }, `${told.total.toLocaleString("en")} parameters`)), h("div", { class: "af-scroll" }, graph(told)), twin(graphTwin(told), open));
    } catch (/** @type {any} */ error) {
      if (mine !== asked) return null;
      return put(node, h("h3", {}, "Model"), h("p", { class: "af-caption", role: "status" }, `It cannot be built: ${error.message}`));
    }
  };
  life.on("change:recipe change:target change:modalities change:parts change:live", once(draw));
  draw();
  return node;
}
