// The sky of the fetch view: plot or Aladin Lite, what can be done with the targets chosen there, what surveys did not see.
import { hindrance, mountAladin } from "./aladin.js";
import { lines, unpack } from "./arrays.js";
import { button, h, once, put } from "./dom.js";
import { act, readSelection, tell, writeSelection } from "./link.js";
import { covers, skyView } from "./sky.js";
import { skyTwin } from "./sky_keys.js";
import { twin } from "./twin.js";

const NAMED = 3; // surveys named in a line

/** The circle asked for, where its centre is plain degrees. */
function regionOf(model) {
  const match = model.get("mode") === "region" && model.get("center").trim().match(/^([\d.]+)[\s,]+([-+]?[\d.]+)$/);
  if (!match || !(model.get("circle") > 0) || Number(match[1]) > 360 || Math.abs(Number(match[2])) > 90) return null;
  return { ra: Number(match[1]), dec: Number(match[2]), radius: Math.min(90, model.get("circle")) };
}

/** Which ticked surveys did not look where targets lie, in words. */
function uncovered(state, surveys) {
  return surveys.flatMap((one) => {
    let out = 0;
    for (let i = 0; i < state.n; i++) if (Number.isFinite(state.ra[i]) && !covers(one, state.ra[i], state.dec[i])) out++;
    return out ? [h("div", {}, `${one.name}: ${out === state.n ? "no target lies" : `${out} of ${state.n} targets lie outside`}${out === state.n ? " inside" : ""} what it saw (${one.coverage})`)] : [];
  });
}

/** Why coverages are rough, once for all surveys that it happened to. */
function rough(surveys) {
  const said = new Map();
  for (const one of surveys) if (one.note) said.set(one.note, [...(said.get(one.note) || []), one.name]);
  return [...said].map(([note, names]) => h("div", {}, `Rough shade for ${names.slice(0, NAMED).join(", ")}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ""}: the exact coverage cannot be got (${note}).`));
}

/** Aladin Lite in a box of its own: asked for, shown, and why not. */
function aladinBox(model, life) {
  const box = h("div", { class: "af-aladin", hidden: true });
  let [shown, end] = ["", /** @type {null | (() => void)} */ (null)];
  const drop = () => {
    end?.();
    [shown, end] = ["", null];
    put(box);
  };
  const follow = async () => {
    const id = model.get("sky_kind") === "aladin" ? model.get("aladin") : "";
    box.hidden = !id;
    if (id === shown) return;
    drop();
    shown = id;
    if (!id) return;
    put(box, h("div", { class: "af-caption", role: "status" }, "Aladin Lite is loading ..."));
    try {
      const stop = await mountAladin(model, id, box);
      if (stop === null) tell(model, { aladin: "" });
      else if (shown === id) end = stop;
      else stop();
    } catch (error) {
      if (shown === id) tell(model, { hindered: /** @type {Error} */ (error).message });
    }
  };
  if (model.get("has_aladin")) tell(model, { hindered: hindrance(model) });
  life.on("change:sky_kind change:aladin", once(follow));
  life.push(drop);
  follow();
  return box;
}

/** @param {any} model @param {any} life */
export function skyBlock(model, life) {
  let state = { n: 0, ra: [], dec: [], found: [], ids: [] };
  let outlines = {};
  const bar = h("div", { class: "af-row" });
  const words = h("div", { class: "af-caption af-notes" });
  const other = h("div", { class: "af-caption" });
  const under = h("div", {});
  const open = new Set();
  /** The ticked surveys that look at positions, with what they saw. */
  const looking = () => {
    const chosen = new Set(model.get("surveys"));
    return model.get("catalogue").filter((c) => chosen.has(c.name) && c.needs.includes("position")).map((c) => {
      const got = outlines[c.moc];
      return got?.ranges ? { ...c, outline: got } : got?.note ? { ...c, note: got.note } : c;
    });
  };
  const sky = skyView({
    state: () => ({ ...state, asked: (model.get("counts") || []).length || 1, mask: readSelection(model, state.n), surveys: looking(), region: regionOf(model) }),
    select: (inside, how) => {
      const mask = how === "new" ? new Uint8Array(state.n) : readSelection(model, state.n);
      for (const i of inside) mask[i] = how === "remove" ? 0 : 1;
      writeSelection(model, mask);
    },
    circle: (ra, dec, radius) => {
      sky.ui.region = false;
      tell(model, { mode: "region", center: `${ra.toFixed(4)} ${dec < 0 ? "" : "+"}${dec.toFixed(4)}`, circle: Number(radius.toPrecision(4)) });
    },
  });
  const aladin = aladinBox(model, life);
  const chip = (text, pressed, onclick) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(pressed), onclick }, text);
  const tool = (text, name) => chip(text, sky.ui[name], () => { sky.ui[name] = !sky.ui[name]; draw(); });
  const kinds = (photo) => !model.get("has_aladin") ? null : h("span", { class: "af-chips", role: "group", "aria-label": "Sky" },
    chip("sky plot", !photo, () => tell(model, { sky_by: "plot" })), chip("Aladin Lite", photo, () => tell(model, { sky_by: "aladin", hindered: hindrance(model) })));
  const tools = (photo, off) => photo
    ? [["circle", "Select in a circle"], ["rectangle", "Select in a rectangle"]].map(([shape, text]) => button(text, () => tell(model, { tool: shape }), { disabled: off || !state.n }))
    : [tool("whole sky", "whole"), state.n ? tool("draw a region", "region") : null];
  const draw = () => {
    const off = !model.get("live") || model.get("busy");
    const photo = model.get("sky_kind") === "aladin";
    const chosen = readSelection(model, state.n).reduce((sum, v) => sum + v, 0);
    const part = chosen && chosen < state.n;
    const hint = photo ? "" : sky.ui.region || !state.n ? "Drag on the sky to draw a region." : "Drag on the sky to select targets, or use arrows and space.";
    put(bar, kinds(photo), tools(photo, off), h("span", { class: "af-caption" }, chosen ? `${chosen} selected` : hint),
      part ? [button(`Keep these ${chosen}`, () => act(model, "keep"), { disabled: off }), button("Leave them out", () => act(model, "drop"), { disabled: off })] : null,
      chosen ? button("Clear", () => writeSelection(model, new Uint8Array(0)), { class: "af-link" }) : null);
    const surveys = looking();
    put(words, (model.get("notes") || []).map((n) => h("div", {}, n)), uncovered(state, surveys), rough(surveys));
    put(other, model.get("sky_words"));
    sky.node.hidden = photo;
    if (!photo) sky.draw();
    put(under, state.n ? twin(skyTwin({ ...state, asked: (model.get("counts") || []).length, mask: readSelection(model, state.n), surveys: looking() }, covers), open) : null);
  };
  const read = () => {
    const packed = model.get("sky") || {};
    state = packed.n ? { ...unpack(packed), ids: lines(packed.ids) } : { n: 0, ra: [], dec: [], found: [], ids: [] };
    draw();
  };
  const cover = () => {
    outlines = unpack(model.get("outlines") || {});
    draw();
  };
  life.on("change:sky", once(read));
  life.on("change:outlines", once(cover));
  life.on("change:notes change:selected change:surveys change:counts change:busy change:live change:mode change:center change:circle change:sky_kind change:sky_words change:has_aladin", once(draw));
  life.push(sky.end);
  read();
  cover();
  return { node: h("div", { class: "af-stackv" }, bar, sky.node, aladin, other, words, under), draw };
}
