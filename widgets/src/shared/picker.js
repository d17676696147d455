// Which surveys to fetch from: searched, by modality, with coverage, citation, licence and a light for the service.
import { icon, label } from "./colours.js";
import { choice, h, once, put } from "./dom.js";
import { tell } from "./link.js";

const LIGHTS = { good: ["#009E73", "answers"], poor: ["#E69F00", "some of its last answers failed"], down: ["#D55E00", "does not answer"], unknown: ["", "not asked yet"] };
const NEEDS = { time: "needs a time", identifier: "needs an identifier" };

/** Host -> [light, its last failure]. @param {any} model */
export const lightsOf = (model) => new Map((model.get("lights") || []).map(([host, light, said]) => [host, [light, said]]));

/** A dot that says how a service fares, in colour, shape and words. */
export function lamp(lights, host) {
  if (!host) return null;
  const [light, said] = lights.get(host) || ["unknown", ""];
  const [colour, words] = LIGHTS[light] || LIGHTS.unknown;
  const text = `${host} ${words}${said && light !== "good" ? `: ${said}` : ""}`;
  return h("i", { class: `af-lamp is-${light}`, role: "img", "aria-label": text, title: text, style: colour ? { background: colour } : {} });
}

function row(model, one, chosen, off, lights) {
  const tick = (e) => {
    const now = new Set(model.get("surveys"));
    if (e.target.checked) now.add(one.name);
    else now.delete(one.name);
    tell(model, { surveys: model.get("catalogue").map((c) => c.name).filter((n) => now.has(n)) });
  };
  const release = /^\d+$/.test(one.release) ? `release ${one.release}` : one.release;
  const more = [one.bands && `bands ${one.bands}`, release, ...one.needs.map((n) => NEEDS[n])].filter(Boolean).join(", ");
  return h("div", { class: "af-survey" },
    h("label", { class: "af-row" }, h("input", { type: "checkbox", "data-name": one.name, checked: chosen.has(one.name), disabled: off, onchange: tick }), h("span", { class: "af-cut", title: one.name }, one.name),
      one.simulated ? h("span", { class: "af-badge" }, "practice sky") : null, lamp(lights, one.host), h("span", { class: "af-caption" }, more)),
    h("div", { class: "af-caption af-indent" }, one.coverage, one.extra ? h("strong", {}, `; pip install "astrofuse-lab[${one.extra}]" first`) : null),
    h("details", { class: "af-caption af-indent" }, h("summary", { "aria-label": `How to cite ${one.name}` }, "cite, licence"), h("p", {}, one.citation || "no citation stated"), h("p", {}, `Licence: ${one.licence || "not stated"}`)));
}

/** @param {any} model @param {any} life */
export function picker(model, life) {
  const ui = { query: "", kind: "", ticked: false, at: "" };
  const list = h("div", { class: "af-surveys", role: "group", "aria-label": "Surveys: up and down go from one to the next, right to how it is cited", onkeydown: (e) => along(e) });
  const boxes = () => /** @type {HTMLInputElement[]} */ ([...list.querySelectorAll("input[type=checkbox]:not(:disabled)")]);
  /** More than a hundred surveys are one stop of the Tab key, else nobody would come past them. */
  const stops = () => {
    const all = boxes();
    const here = all.find((one) => one.dataset.name === ui.at) || all[0];
    for (const one of all) one.tabIndex = one === here ? 0 : -1;
    for (const one of list.querySelectorAll("summary")) one.tabIndex = -1;
  };
  const along = (e) => {
    const all = boxes();
    const at = all.findIndex((one) => one.closest(".af-survey") === e.target.closest(".af-survey"));
    if (at < 0 || e.altKey || e.ctrlKey || e.metaKey) return;
    const to = { ArrowDown: all[at + 1], ArrowUp: all[at - 1], Home: all[0], End: all.at(-1), ArrowLeft: all[at], ArrowRight: all[at].closest(".af-survey").querySelector("summary") }[e.key];
    if (!(e.key.startsWith("Arrow") || e.key === "Home" || e.key === "End")) return;
    e.preventDefault();
    e.stopPropagation();
    if (!to) return;
    if (to instanceof HTMLInputElement) ui.at = to.dataset.name || "";
    stops();
    to.focus();
  };
  const count = h("span", { class: "af-caption", role: "status" });
  const fit = (one, chosen) => {
    const text = `${one.name} ${label(one.modality)} ${one.bands} ${one.release} ${one.coverage} ${one.citation}`.toLowerCase();
    return (!ui.kind || one.modality === ui.kind) && (!ui.ticked || chosen.has(one.name)) && ui.query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  };
  const draw = () => {
    const off = !model.get("live") || model.get("busy");
    const chosen = new Set(model.get("surveys"));
    const lights = lightsOf(model);
    const all = model.get("catalogue");
    const rows = all.filter((one) => fit(one, chosen));
    // simulated surveys first, since they need no network; then what the archives have, by modality
    const groups = new Map();
    for (const one of [...rows].sort((a, b) => Number(b.simulated) - Number(a.simulated))) {
      const name = one.simulated ? "practice sky, offline" : label(one.modality);
      groups.set(name, [...(groups.get(name) || []), one]);
    }
    const at = list.scrollTop;
    put(list, [...groups].map(([name, some]) => h("div", { role: "group", "aria-label": name }, h("h4", {}, some[0].simulated ? null : icon(some[0].modality), name, h("span", { class: "af-num" }, ` ${some.length}`)), some.map((one) => row(model, one, chosen, off, lights)))),
      rows.length ? null : h("p", { class: "af-caption" }, "No survey fits. Search for fewer words, or choose all modalities."));
    list.scrollTop = at;
    stops();
    count.textContent = `${rows.length} of ${all.length} shown, ${chosen.size} ticked`;
  };
  const kinds = [...new Set(model.get("catalogue").map((c) => c.modality))];
  const search = h("input", { type: "search", class: "af-search", placeholder: "Search: gaia, infrared, south, ...", "aria-label": "Search the surveys", oninput: (e) => { ui.query = e.target.value; draw(); } });
  const only = h("button", { type: "button", class: "af-chip", "aria-pressed": "false", onclick: (e) => { ui.ticked = !ui.ticked; e.currentTarget.setAttribute("aria-pressed", String(ui.ticked)); draw(); } }, "ticked only");
  const kind = choice("Modality", [["", "all modalities"], ...kinds.map((k) => [k, label(k)])], "", (v) => { ui.kind = v; draw(); });
  life.on("change:catalogue change:surveys change:busy change:live change:lights", once(draw));
  draw();
  return h("div", { class: "af-stackv" }, search, h("div", { class: "af-row" }, kind, only, count), list);
}
