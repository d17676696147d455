// Parts of the workbench's head: what to do next, the notebook so far, where it is kept and saved.
import { button, copy, field, h, once, put } from "./dom.js";
import { statusLine } from "./frame.js";
import { act, forget, tell, want } from "./link.js";

const NUMBERS = ["①", "②", "③", "④"];

/** Hand bytes or text to the browser as a file. @param {string} name @param {any} data @param {string} type */
function handOver(name, data, type) {
  const url = URL.createObjectURL(new Blob([data], { type }));
  const link = h("a", { href: url, download: name, class: "af-offscreen" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

let asked = 0;

/** Ask for a file and hand it over. @param {any} model @param {string} what */
async function take(model, what) {
  const got = await want(model, `file/${what}`);
  forget(model, "file/");
  handOver(got.name, got.data, what.startsWith("page") ? "text/html" : "application/x-ipynb+json");
}

/** What has the keyboard, however deep in shadow roots; null for the page itself. */
function focused() {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at === document.body ? null : at;
}

/** Steps, as tabs: one stop of the Tab key, arrows go between them, Enter and space open one. */
export function steps(model, life) {
  const nav = h("div", { class: "af-steps", role: "tablist", "aria-label": "Steps", onkeydown: (e) => {
    const all = /** @type {HTMLElement[]} */ ([...nav.children]);
    const at = all.findIndex((one) => one === e.target);
    const to = { ArrowRight: all[at + 1], ArrowLeft: all[at - 1], Home: all[0], End: all.at(-1) }[e.key];
    if (at < 0 || !to) return;
    e.preventDefault();
    e.stopPropagation();
    all.forEach((one) => (one.tabIndex = one === to ? 0 : -1));
    to.focus();
  } });
  // a view that had the keyboard goes with its step: the next Tab shall begin here, and not at the top of the page
  let had = /** @type {Element | null} */ (null);
  life.on("change:step", () => {
    had = focused();
    setTimeout(() => had && !focused()?.getClientRects().length && nav.isConnected && /** @type {HTMLElement | null} */ (nav.querySelector("[aria-selected=true]"))?.focus({ preventScroll: true }), 400);
  });
  const draw = () => put(nav, (model.get("steps") || []).map((step, i) => {
    const on = i === model.get("step");
    return h("button", { type: "button", role: "tab", class: `af-step${step.why ? " is-waiting" : ""}`, "aria-selected": String(on), tabindex: on ? "0" : "-1", title: step.why ? `${step.name} ${step.why}` : null, onclick: () => tell(model, { step: i }) },
      h("span", { class: "af-step-name" }, `${NUMBERS[i]} ${step.name}`), step.why ? h("span", { class: "af-caption" }, step.why) : null);
  }));
  life.on("change:steps change:step", once(draw));
  draw();
  return nav;
}

/** One sentence of what this step has and one button to what comes next; while the head works, how far it is. */
export function guideLine(model, life) {
  const said = h("span", { class: "af-said", role: "status", "aria-live": "polite" });
  const box = h("div", { class: "af-guide", role: "group", "aria-label": "What to do next" });
  const busy = h("div", { class: "af-row af-busy" }, statusLine(model, life));
  const draw = () => {
    const row = (model.get("guide") || [])[model.get("step")];
    box.hidden = !row?.text;
    busy.hidden = !model.get("busy");
    if (!row) return;
    said.textContent = row.text;
    const name = row.go >= 0 ? `${row.label} ${NUMBERS[row.go]}` : row.label;
    const does = { fetch: () => act(model, "fetch"), align: () => act(model, "align"), train: () => act(model, "train"), compare: () => act(model, "compare") };
    const go = () => (row.go >= 0 ? tell(model, { step: row.go }) : does[row.verb]?.());
    put(box, said, row.label ? button(name, go, { class: "af-button primary", disabled: model.get("busy") || !model.get("live") }) : null);
  };
  life.on("change:guide change:step change:busy change:live", once(draw));
  draw();
  return [box, busy];
}

const unmarked = (text) => text.replace(/\*\*/g, "").replace(/\\([\\`*_{}[\]()#+!|<>&~$-])/g, "$1").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

/** Rows of a table in Markdown, of which the second is a rule. @param {string[]} lines */
function tableOf(lines) {
  const rows = lines.map((line) => line.replace(/^\| | \|$/g, "").split(" | ").map(unmarked));
  return h("table", { class: "af-table" }, h("thead", {}, h("tr", {}, rows[0].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows.slice(2).map((row) => h("tr", {}, row.map((value) => h("td", { class: /^[\d.-]+$/.test(value) ? "af-num" : null }, value))))));
}

/** A cell: code as it is; of text the headings, tables and words. */
function cellOf({ kind, source }) {
  if (kind === "code") return h("pre", { class: "af-cell" }, h("code", {}, source));
  const parts = source.split(/\n{2,}/).map((block) => {
    if (/^#+ /.test(block)) return h("h3", {}, unmarked(block.replace(/^#+ /, "")));
    return block.startsWith("| ") ? tableOf(block.split("\n")) : h("p", {}, unmarked(block));
  });
  return h("div", { class: "af-cell" }, parts);
}

/** The notebook that the clicks have written so far. */
export function notebookDrawer(model, life) {
  const cells = h("div", { class: "af-cells", tabindex: "0", role: "region", "aria-label": "The notebook so far" });
  const where = h("span", { class: "af-caption" });
  const copied = button("Copy the code", async (e) => {
    await copy(model.get("code"));
    e.target.textContent = "Copied";
    setTimeout(() => (e.target.textContent = "Copy the code"), 1200);
  });
  const download = button("Download the notebook", () => take(model, `notebook-${++asked}`).catch((error) => tell(model, { error: error.message })));
  const node = h("div", { class: "af-book", hidden: true }, h("div", { class: "af-row" }, h("h3", {}, "The notebook so far"), where, h("span", { class: "af-space" }), copied, download), cells);
  const draw = () => {
    put(cells, (model.get("cells") || []).map(cellOf));
    const session = model.get("session");
    where.textContent = session ? `written to ${session}/notebook.ipynb as you go` : "runs from top to bottom and gives the same numbers";
    download.disabled = !model.get("live");
  };
  life.on("change:cells change:session change:live", once(draw));
  draw();
  return node;
}

/** A path to type, with Enter as its button. */
function path(model, name, what, hint, go) {
  const say = (e) => tell(model, { [name]: e.target.value.trim() });
  return field(what, h("input", { type: "text", class: "af-path", spellcheck: "false", "data-name": name, value: model.get(name), placeholder: hint, disabled: model.get("busy"), oninput: say, onkeydown: (e) => e.key === "Enter" && (say(e), go()) }));
}

/** Where the session is kept; others to open. */
function sessionPart(model) {
  const kept = model.get("session");
  const keep = () => act(model, "keep");
  const open = () => act(model, "open");
  const others = (model.get("sessions") || []).filter((one) => one !== kept);
  return h("section", { class: "af-part", "aria-label": "Session" },
    h("h3", {}, "Session"),
    h("p", { class: "af-caption" }, kept ? `Kept in ${kept} as you go: settings, samples, run, notebook. af.workbench(session="${kept}") brings it back.` : "Keep settings, samples, run and notebook in a folder, from now on as you go; a later kernel opens it as you left it."),
    h("div", { class: "af-row af-bottom" }, path(model, "place", "Folder", "my-session", kept ? open : keep),
      button("Keep it here", keep, { class: kept ? "af-button" : "af-button primary", "data-needs": "place" }),
      button("Open", open, { "data-needs": "place" })),
    others.length ? h("div", { class: "af-chips", role: "group", "aria-label": "Sessions found here" }, others.map((one) => h("button", { type: "button", class: "af-chip", title: one, onclick: () => tell(model, { place: one }) }, one.split("/").at(-1)))) : null);
}

/** Where to save, how far it is, what was written; errors stand below. */
export function savePanel(model, life) {
  const node = h("div", { class: "af-save", hidden: true });
  const said = h("ul", { class: "af-written", role: "status", "aria-live": "polite" });
  const form = h("div", { class: "af-part" });
  const session = h("div", {});
  const needed = () => {
    for (const one of node.querySelectorAll("button[data-needs]")) {
      const needs = one.getAttribute("data-needs");
      one.toggleAttribute("disabled", model.get("busy") || !model.get(needs) || (needs === "page" && !model.get("ready")));
    }
  };
  const draw = () => {
    const unsaved = model.get("unsaved") && !model.get("session");
    const ready = model.get("ready");
    const served = model.get("served");
    const save = () => act(model, "save");
    put(session, served ? null : sessionPart(model));
    const what = served ? "Make the page" : unsaved && model.get("folder") ? "Save page and run" : "Save page";
    put(form, h("h3", {}, "Page"), h("p", { class: "af-caption" }, "One HTML file for any browser, without Python and without a network."),
      h("div", { class: "af-row af-bottom" },
        served ? null : path(model, "page", "File", "explorer.html", save),
        unsaved && !served ? path(model, "folder", "Run: not saved yet; its folder (empty: leave it unsaved)", "run", save) : null,
        button(what, save, { class: `af-button${model.get("session") || served ? " primary" : ""}`, "data-needs": served ? "ready" : "page" }),
        ready ? null : h("span", { class: "af-caption af-end" }, "Waits for samples: fetch and align them in step ①.")));
    put(said, (model.get("written") || []).map((text) => h("li", {}, text)));
    needed();
  };
  const typing = (name) => {
    const at = /** @type {any} */ (node.getRootNode()).activeElement;
    return at?.getAttribute("data-name") === name && at.value.trim() === model.get(name);
  };
  const redraw = once(draw);
  const told = (name) => () => (typing(name) && (name !== "folder" || model.get(name)) ? needed() : redraw());
  life.on("change:page", told("page"));
  life.on("change:folder", told("folder"));
  life.on("change:place", told("place"));
  life.on("change:session change:sessions change:unsaved change:ready change:busy change:written change:served", redraw);
  let last = "";
  life.on("change:download", () => {
    const key = model.get("download").key;
    if (key && key !== last) take(model, (last = key).slice(5)).catch((error) => tell(model, { error: error.message }));
  });
  put(node, session, form, said);
  draw();
  return node;
}
