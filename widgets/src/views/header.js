// The head of the workbench: steps, what to do next, the notebook so far, the session, save, and the keys of all views in sight.
import looks from "../shared/bench.css";
import { guideLine, notebookDrawer, savePanel, steps } from "../shared/bench_parts.js";
import { label } from "../shared/colours.js";
import { button, h, once, put } from "../shared/dom.js";
import { errorLine, goneLine, keyRows, keyboard, lifetime, silenceLine, toggle, watchTheme } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { forget, onSilence, tell, want } from "../shared/link.js";
import styles from "../shared/style.css";

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

const SELDOM = 5000; // milliseconds between two looks whether Python is there

/** Whoever uses the workbench hears of it when Python is not there any more: every gesture asks, though seldom. */
function watchPython(model, life, place) {
  let asked = -SELDOM;
  let count = 0;
  const ask = () => {
    if (!model.get("live") || performance.now() - asked < SELDOM) return;
    asked = performance.now();
    want(model, `alive/${++count}`).then(() => forget(model, "alive/"), () => {});
  };
  for (const name of ["pointerdown", "keydown"]) {
    place.addEventListener(name, ask, true);
    life.push(() => place.removeEventListener(name, ask, true));
  }
  const grey = () => (place.style.filter = silent || !model.get("live") ? "grayscale(1)" : "");
  let silent = false;
  life.push(onSilence(model, (now) => {
    silent = now;
    grey();
  }));
  life.on("change:live", grey);
}

function render({ model, el }) {
  const life = lifetime(model);
  const badge = h("span", { class: "af-badge", title: "These data are simulated" }, "practice sky");
  const drawer = notebookDrawer(model, life);
  const saving = savePanel(model, life);
  const keys = help(model, life);
  const kept = h("span", { class: "af-kept" });
  const opener = (node, text, name, then = () => {}) => button(text, (e) => {
    toggle(node, e.currentTarget);
    if (!node.hidden) then();
  }, { class: "af-link", "aria-expanded": "false", "aria-label": name });
  let looked = 0;
  const look = () => model.get("live") && !model.get("served") && want(model, `sessions/${++looked}`).then(() => forget(model, "sessions/"), () => {});
  const buttons = { c: opener(drawer, "</> notebook", "Show the notebook so far"), w: opener(saving, "⤓ save", "Keep the session, save a page", look), "?": opener(keys, "?", "Show the keys") };
  const root = h("section", { class: "af af-bench", role: "region", "aria-label": "AstroFuse: Workbench", tabindex: "0" }, h("style", {}, styles + looks),
    h("header", { class: "af-head" }, h("h2", {}, "AstroFuse"), badge, steps(model, life), h("span", { class: "af-space" }), kept, Object.values(buttons)), goneLine(model, life), silenceLine(model, life), guideLine(model, life), drawer, saving, errorLine(model, life), keys);
  const show = () => {
    badge.hidden = !model.get("simulated");
    const session = model.get("session");
    kept.textContent = session ? `${session.split("/").at(-1)}: ${model.get("kept") || "kept"}` : model.get("served") ? "" : "not kept";
    kept.title = session ? `This session is kept in ${session}` : "This session is not kept: save keeps it";
  };
  life.on("change:simulated change:session change:kept change:served", show);
  show();
  put(el, root);
  watchTheme(model, root, life, () => {});
  const go = (i) => () => (model.get("steps") || [])[i] && tell(model, { step: i });
  const listen = () => {
    const place = around(el);
    watchPython(model, life, place);
    life.push(keyboard(place, keys, buttons["?"], { 1: go(0), 2: go(1), 3: go(2), 4: go(3), "<": () => go(model.get("step") - 1)(), ">": () => go(model.get("step") + 1)(), c: () => buttons.c.click(), w: () => buttons.w.click() }));
  };
  requestAnimationFrame(listen); // Panel puts the element into the page after render
  return life.end;
}

export default { render };
