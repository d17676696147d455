// The frame of every view: title, badge, status, error, code drawer, keys; theme; tidy end.
import { button, copy, h, letGo, once, put } from "./dom.js";
import { onLoss, onSilence } from "./link.js";
import styles from "./style.css";

function luminance(colour) {
  const [r, g, b, a = 1] = (colour.match(/[\d.]+/g) || []).map(Number);
  return a < 0.1 || b === undefined ? null : (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}

/** "dark" or "light": what the widget asks for, else the page's own surface, else the system. */
function themeOf(model, node) {
  const asked = model.get("theme");
  if (asked === "dark" || asked === "light") return asked;
  const jupyter = document.body.dataset.jpThemeLight;
  if (jupyter) return jupyter === "true" ? "light" : "dark";
  for (let at = node.parentNode; at; at = at.parentNode || at.host) {
    const shade = at instanceof Element ? luminance(getComputedStyle(at).backgroundColor) : null;
    if (shade !== null) return shade < 0.5 ? "dark" : "light";
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Follow the theme; `then` is called when it changes. */
export function watchTheme(model, root, life, then) {
  const apply = () => {
    const theme = themeOf(model, root);
    root.toggleAttribute("data-forced", model.get("theme") !== "auto");
    if (root.dataset.theme === theme) return;
    root.dataset.theme = theme;
    then();
  };
  const media = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(apply);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class", "style"] });
  media.addEventListener("change", apply);
  life.push(() => observer.disconnect(), () => media.removeEventListener("change", apply));
  life.on("change:theme", apply);
  apply();
  requestAnimationFrame(apply); // some hosts put the view into the page after render
}

/** Things to undo when the view goes, and listeners that undo themselves. */
export function lifetime(model) {
  const ends = [];
  return {
    push: (...more) => void ends.push(...more),
    on(names, call) {
      for (const name of names.split(" ")) {
        model.on(name, call);
        ends.push(() => model.off(name, call));
      }
    },
    end: () => ends.splice(0).forEach((end) => end()),
  };
}

/** What the view does, as Python that can be copied. */
export function codeDrawer(model, life) {
  const text = h("code", {});
  const copied = button("Copy", async (e) => {
    await copy(model.get("code"));
    e.target.textContent = "Copied";
    setTimeout(() => (e.target.textContent = "Copy"), 1200);
  }, { "aria-label": "Copy the code" });
  const drawer = h("div", { class: "af-code", hidden: true }, h("pre", {}, text), copied);
  const show = () => (text.textContent = model.get("code"));
  life.on("change:code", show);
  show();
  return drawer;
}

/** Keys and what they do. @param {[string, string][]} keys */
export const keyRows = (keys) => keys.flatMap(([key, what]) => [h("dt", {}, ...key.split(" ").map((k) => h("kbd", {}, k))), h("dd", {}, what)]);

const helpList = (keys) => h("dl", { class: "af-help", hidden: true, "aria-label": "Keys" }, keyRows(keys));

export function toggle(node, opener) {
  node.hidden = !node.hidden;
  opener.setAttribute("aria-expanded", String(!node.hidden));
}

/** Models whose Python is gone. */
const gone = new WeakSet();

/** A kernel that is gone leaves the view as a page without one: readable, greyed, without verbs; it says so, and goes on where the kernel is back. */
export function goneLine(model, life) {
  const box = h("div", { class: "af-gone", role: "alert", hidden: true }, "Python no longer answers: the kernel was restarted or has ended. What is shown stays readable; run the cell again to go on.");
  let lost = false;
  const look = () => requestAnimationFrame(() => {
    // what ipywidgets marks once the line is lost; JupyterLab closes it without a word when a kernel is restarted: the next message fails
    const away = lost || box.closest(".jupyter-widgets-disconnected") !== null;
    if (away === gone.has(model)) return;
    if (away) gone.add(model);
    else gone.delete(model);
    box.hidden = !away;
    box.closest(".af")?.toggleAttribute("data-gone", away);
    model.set("live", !away); // here alone: nobody is left to be told
  });
  life.on("comm_live_update comm:close", look);
  onLoss(model, () => {
    lost = true;
    look();
  });
  return box;
}

export function statusLine(model, life) {
  const bar = h("progress", { max: 1, "aria-label": "Progress" });
  const stop = button("Stop", () => {
    model.set("stop", true);
    model.save_changes();
  }, { class: "af-button af-stop" });
  const text = h("span", { class: "af-status", role: "status", "aria-live": "polite" });
  const show = () => {
    const busy = model.get("busy");
    const done = model.get("progress");
    if (!busy) letGo(stop);
    bar.hidden = stop.hidden = !busy;
    if (done > 0) bar.value = Math.min(1, done);
    else bar.removeAttribute("value");
    stop.disabled = model.get("stop");
    stop.textContent = model.get("stop") ? "Stopping" : "Stop";
    text.textContent = model.get("live") ? model.get("status") : gone.has(model) ? "no kernel" : "saved page, no kernel";
  };
  life.on("change:busy change:progress change:stop change:status change:live", once(show));
  show();
  return [text, bar, stop];
}

export function errorLine(model, life) {
  const text = h("span", {});
  const box = h("div", { class: "af-error", role: "alert", hidden: true }, text, button("Dismiss", (e) => {
    letGo(e.currentTarget);
    model.set("error", "");
    model.save_changes();
  }, { class: "af-link" }));
  const show = () => {
    text.textContent = model.get("error");
    box.hidden = !model.get("error");
  };
  life.on("change:error", show);
  show();
  return box;
}

/** Said, and the view greyed, while Python owes an answer: what is here can still be looked at. */
export function silenceLine(model, life) {
  const box = h("div", { class: "af-silent", role: "status", hidden: true }, "Python does not answer: the kernel is busy, was restarted, or is gone. What is here stays; if nothing comes, run the cell again.");
  life.push(onSilence(model, (silent) => {
    box.hidden = !silent;
    box.closest(".af")?.toggleAttribute("data-silent", silent);
  }));
  return box;
}

const TYPED = "input:not([type=checkbox]):not([type=radio]),textarea,select";
const PRESSED = "button,summary,a,input,[role=button]";

/** Whether JupyterLab's command mode must not hear of a key: it would cut, insert or leave cells for plain letters, arrows, Enter and space. */
const isPlain = (event) => !(event.altKey || event.ctrlKey || event.metaKey) && !["Tab", "Escape"].includes(event.key) && !/^F\d/.test(event.key) && !(event.shiftKey && event.key === "Enter");

/** Keys that edit text: where the field stands in a shadow root, JupyterLab does not see that somebody types, and would select or cut cells. */
const isEditing = (event) => event.composedPath()[0].matches?.(TYPED) && (event.ctrlKey || event.metaKey) && /^([acvxzy]|Arrow\w+|Home|End|Backspace|Delete)$/i.test(event.key);
const isOurs = (event) => isPlain(event) || isEditing(event);

/** Keys go to the view unless a control is being typed in, and no further than the outermost view; gives what ends that. */
export function keyboard(root, help, opener, keys) {
  const press = (event) => {
    const path = event.composedPath();
    const around = path.slice(path.indexOf(root) + 1).some((node) => node instanceof Element && node.hasAttribute("data-keys")); // the workbench has keys too
    if (isOurs(event) && !around) event.stopPropagation();
    if (path[0].matches?.(TYPED) && event.key !== "Escape") return;
    if ((event.key === "Enter" || event.key === " ") && path[0].matches?.(PRESSED)) return; // it presses that control
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const handler = event.key === "?" ? () => toggle(help, opener) : keys[event.key];
    if (!handler || handler(event) === false) return;
    event.preventDefault();
    event.stopPropagation();
  };
  root.setAttribute("data-keys", "");
  root.addEventListener("keydown", press);
  return () => root.removeEventListener("keydown", press);
}

/** Build the frame into `el`.
 * @param {any} model @param {HTMLElement} el
 * @param {{title: string, keys?: [string, string][], on?: Record<string, (event: any) => any>, themed?: () => void, looks?: string}} options `looks`: rules of the view's own, after those that all views share */
export function frame(model, el, { title, keys = [], on = {}, themed = () => {}, looks = "" }) {
  const life = lifetime(model);
  const badge = h("span", { class: "af-badge", title: "These data are simulated" }, "practice sky");
  const drawer = codeDrawer(model, life);
  const help = helpList([...keys, ["?", "show or hide these keys"]]);
  const codeButton = button("</> code", (e) => toggle(drawer, e.currentTarget), { class: "af-link", "aria-expanded": "false", "aria-label": "Show the line of Python" });
  const helpButton = button("?", (e) => toggle(help, e.currentTarget), { class: "af-link", "aria-expanded": "false", "aria-label": "Show the keys" });
  const note = h("span", { class: "af-note" });
  const head = h("header", { class: "af-head" }, h("h2", {}, title), note, badge, h("span", { class: "af-space" }), statusLine(model, life), codeButton, helpButton);
  const main = h("div", { class: "af-main" });
  const root = h("section", { class: "af", role: "region", "aria-label": `AstroFuse: ${title}`, tabindex: "0" }, h("style", {}, styles + looks), head, drawer, help, goneLine(model, life), errorLine(model, life), silenceLine(model, life), main);
  const showBadge = () => (badge.hidden = !model.get("simulated"));
  life.on("change:simulated", showBadge);
  showBadge();
  keyboard(root, help, helpButton, on);
  put(el, root);
  watchTheme(model, root, life, themed);
  return { root, main, note, life, end: life.end };
}

/** A designed state in place of data: what there is not, and what to do. */
export function blank(title, text, ...actions) {
  return h("div", { class: "af-blank" }, h("strong", {}, title), h("p", {}, text), actions.length ? h("div", { class: "af-row" }, actions) : null);
}

/** A skeleton while Python works; says so when it takes long. */
export function waiting(text = "Loading") {
  return h("div", { class: "af-wait", role: "status" }, h("span", {}, text), h("span", { class: "af-late" }, "Still waiting for Python: the kernel is busy, or gone."));
}
