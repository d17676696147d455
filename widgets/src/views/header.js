// The head of the workbench: steps, badge, the code that the clicks have written, save, and the keys of all views in sight.
import { label } from "../shared/colours.js";
import { button, field, h, once, put } from "../shared/dom.js";
import { codeDrawer, errorLine, keyRows, keyboard, lifetime, statusLine, toggle, watchTheme } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { act, tell } from "../shared/link.js";
import styles from "../shared/style.css";

const NUMBERS = ["①", "②", "③", "④"];

function steps(model, life) {
  const nav = h("div", { class: "af-steps", role: "tablist", "aria-label": "Steps" });
  const draw = () => put(nav, (model.get("steps") || []).map((step, i) => {
    const on = i === model.get("step");
    return h("button", { type: "button", role: "tab", class: `af-step${step.why ? " is-waiting" : ""}`, "aria-selected": String(on), title: step.why ? `${step.name} ${step.why}` : null, onclick: () => tell(model, { step: i }) },
      h("span", { class: "af-step-name" }, `${NUMBERS[i]} ${step.name}`), step.why ? h("span", { class: "af-caption" }, step.why) : null);
  }));
  life.on("change:steps change:step", once(draw));
  draw();
  return nav;
}

/** Where to save, how far it is, what was written; errors stand below. */
function savePanel(model, life) {
  const node = h("div", { class: "af-save", hidden: true });
  const line = h("div", { class: "af-row" }, statusLine(model, life));
  const said = h("ul", { class: "af-written", role: "status", "aria-live": "polite" });
  const form = h("div", { class: "af-row af-bottom" });
  const path = (name, what, hint) => field(what, h("input", { type: "text", class: "af-path", spellcheck: "false", "data-name": name, value: model.get(name), placeholder: hint, disabled: model.get("busy"), onchange: (e) => tell(model, { [name]: e.target.value.trim() }), onkeydown: (e) => e.key === "Enter" && (tell(model, { [name]: e.target.value.trim() }), act(model, "save")) }));
  const draw = () => {
    const unsaved = model.get("unsaved");
    const ready = model.get("ready");
    put(form, path("page", "Page: one HTML file for any browser, without a network", "explorer.html"),
      unsaved ? path("folder", "Run: not saved yet; its folder (empty: leave it unsaved)", "run") : null,
      button(unsaved && model.get("folder") ? "Save page and run" : "Save page", () => act(model, "save"), { class: "af-button primary", disabled: !ready || model.get("busy") || !model.get("page") }),
      ready ? null : h("span", { class: "af-caption af-end" }, "Waits for samples: fetch and align them in step ①."));
    line.hidden = !model.get("busy");
    put(said, (model.get("written") || []).map((text) => h("li", {}, text)));
  };
  life.on("change:page change:folder change:unsaved change:ready change:busy change:written", once(draw));
  draw();
  put(node, form, line, said);
  return node;
}

function help(model, life) {
  const node = h("div", { class: "af-keys", hidden: true, "aria-label": "Keys", role: "region" });
  const draw = () => {
    const views = (model.get("steps") || [])[model.get("step")]?.views || [];
    const block = (name, keys) => h("div", {}, h("h3", {}, name), h("dl", { class: "af-help" }, keyRows(keys)));
    put(node, block("anywhere in the workbench", [...KEYS.header, ["?", "show or hide these keys"]]), views.filter((v) => KEYS[v]).map((v) => block(`in ${label(v)}, after a click into it`, KEYS[v])));
  };
  life.on("change:steps change:step", once(draw));
  draw();
  return node;
}

/** The workbench's own element, around this head and the steps below it; the head alone where there is none. */
function around(el) {
  const own = el.getRootNode().host;
  return own?.getRootNode()?.host || own || el;
}

function render({ model, el }) {
  const life = lifetime(model);
  const badge = h("span", { class: "af-badge", title: "These data are simulated" }, "practice sky");
  const drawer = codeDrawer(model, life);
  const saving = savePanel(model, life);
  const keys = help(model, life);
  const opener = (node, text, name) => button(text, (e) => toggle(node, e.currentTarget), { class: "af-link", "aria-expanded": "false", "aria-label": name });
  const buttons = { c: opener(drawer, "</> code", "Show the code written so far"), w: opener(saving, "⤓ save", "Save a page"), "?": opener(keys, "?", "Show the keys") };
  const root = h("section", { class: "af af-bench", role: "region", "aria-label": "AstroFuse: Workbench", tabindex: "0" }, h("style", {}, styles),
    h("header", { class: "af-head" }, h("h2", {}, "AstroFuse"), badge, steps(model, life), h("span", { class: "af-space" }), Object.values(buttons)), drawer, saving, errorLine(model, life), keys);
  const show = () => (badge.hidden = !model.get("simulated"));
  life.on("change:simulated", show);
  show();
  put(el, root);
  watchTheme(model, root, life, () => {});
  const go = (i) => () => (model.get("steps") || [])[i] && tell(model, { step: i });
  const listen = () => {
    const place = around(el);
    life.push(keyboard(place, keys, buttons["?"], { 1: go(0), 2: go(1), 3: go(2), 4: go(3), c: () => buttons.c.click(), w: () => buttons.w.click() }));
  };
  requestAnimationFrame(listen); // Panel puts the element into the page after render
  return life.end;
}

export default { render };
