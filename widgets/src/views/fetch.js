// Fetch: targets, surveys, progress by survey, what was found and what failed, then align.
import { STATE_COLOURS, icon, label } from "../shared/colours.js";
import { number } from "../shared/columns.js";
import { costs, firstProducts } from "../shared/cost.js";
import { button, choice, field, h, once, put } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { act, tell, writeSelection } from "../shared/link.js";
import { lamp, lightsOf, picker } from "../shared/picker.js";
import { skyBlock } from "../shared/sky_block.js";

const MODES = [["region", "a region"], ["lines", "names or positions"], ["file", "a file"], ["given", "those given"]];
const STATES = ["found", "empty", "failed", "pending"];
const MEANING = { found: "there is data", empty: "asked, and nothing is there", failed: "the archive failed; Continue asks again", pending: "not asked yet" };
const UPLOAD = 8 * 1024 ** 2; // as in fetch.py
const WORDS = 3; // different failures of one survey shown in place

const numeric = (model, name, attributes = {}) => h("input", { type: "number", step: "any", min: 0, class: "af-small", value: model.get(name), "data-name": name, onchange: (e) => Number.isFinite(e.target.valueAsNumber) && tell(model, { [name]: e.target.valueAsNumber }), ...attributes });
const integer = (model, name, low) => numeric(model, name, { step: 1, min: low, onchange: (e) => tell(model, { [name]: Math.max(low, Math.floor(e.target.valueAsNumber || low)) }) });

function regionForm(model) {
  return h("div", { class: "af-row" },
    field("Centre", h("input", { type: "text", class: "af-center", value: model.get("center"), placeholder: "150.1 +2.2", "aria-label": "Centre: RA and Dec", onchange: (e) => tell(model, { center: e.target.value }) })),
    field("Radius (deg)", numeric(model, "circle")), field("At most", integer(model, "count", 1)),
    field("Objects of", choice("Whose objects", [["practice/table", "practice sky"], ["gaia/table", "Gaia"]], model.get("finder"), (v) => tell(model, { finder: v }))));
}

const skipBox = (model) => h("label", { class: "af-check" }, h("input", { type: "checkbox", "data-name": "skip", checked: model.get("skip"), onchange: (e) => tell(model, { skip: e.target.checked }) }), "leave out what is no target, and say so");

function linesForm(model) {
  return h("div", { class: "af-stackv" },
    h("textarea", { class: "af-lines", rows: 5, spellcheck: "false", "aria-label": "Targets, one a line", placeholder: "one a line: a name, a position, or both\n3C 273\n150.1025 2.2048\n10:00:24 +02:12:00\ngal 120.5 -3.2\npractice-00000042", value: model.get("lines"), onchange: (e) => tell(model, { lines: e.target.value }) }), skipBox(model));
}

function fileForm(model) {
  const said = h("span", { class: "af-caption", role: "status" }, model.get("file") ? `${model.get("file")}` : "CSV, VOTable, FITS, ECSV, Parquet, or lines of text; up to 8 MB");
  const take = async (e) => {
    const [chosen] = e.target.files;
    if (!chosen) return;
    if (chosen.size > UPLOAD) return put(said, `${chosen.name} has ${Math.round(chosen.size / 1024 ** 2)} MB, a view takes 8. Type targets = af.Targets.from_file(path) in a cell, then af.FetchWidget(targets).`);
    const upload = { name: chosen.name, data: new DataView(await chosen.arrayBuffer()) };
    tell(model, { upload });
  };
  const input = h("input", { type: "file", class: "af-file", "aria-label": "File of targets", disabled: !model.get("live") || model.get("busy"), onchange: take });
  return h("div", { class: "af-stackv" }, h("div", { class: "af-row" }, input, said), skipBox(model));
}

const FORMS = { region: regionForm, lines: linesForm, file: fileForm };

function targets(model, life) {
  const form = h("div", { class: "af-stackv" });
  const draw = () => {
    const mode = model.get("mode");
    const modes = MODES.filter(([m]) => m !== "given" || mode === m || model.get("given") > 0).map(([m, text]) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(m === mode), onclick: () => tell(model, { mode: m }) }, text));
    put(form, h("div", { class: "af-chips", role: "group", "aria-label": "Where targets come from" }, modes), FORMS[mode]?.(model),
      h("div", { class: "af-row" }, button("Show on the sky", () => act(model, "look"), { disabled: !model.get("live") || model.get("busy") }), model.get("sky")?.n ? null : h("span", { class: "af-caption" }, "No targets yet.")));
  };
  life.on("change:mode change:busy change:live change:center change:circle change:count change:finder change:lines change:file change:skip change:given change:sky", once(draw));
  draw();
  const sky = skyBlock(model, life);
  return { node: h("section", { class: "af-block" }, h("h3", {}, "Targets"), form, sky.node), redraw: sky.draw };
}

function surveys(model, life) {
  const asks = h("div", { class: "af-row" });
  const draw = () => {
    const practice = model.get("surveys").some((n) => n.startsWith("practice/"));
    put(asks, field("Match radius (″)", numeric(model, "radius")), field("Cutout size (″)", numeric(model, "size")),
      practice ? field("Practice sky: share missing", numeric(model, "missing", { max: 1, step: 0.05 })) : null, practice ? field("noise ×", numeric(model, "noise")) : null);
  };
  life.on("change:surveys change:radius change:size change:missing change:noise", once(draw));
  draw();
  return h("section", { class: "af-block" }, h("h3", {}, "Surveys"), picker(model, life), asks);
}

function fetchButtons(model, life) {
  const row = h("div", { class: "af-row" });
  const draw = () => {
    const rows = model.get("counts") || [];
    const begun = rows.some((r) => r.done > 0);
    const left = rows.reduce((sum, r) => sum + r.failed + r.pending, 0);
    const off = !model.get("live") || model.get("busy");
    const kept = model.get("kept");
    const n = kept ? kept : model.get("mode") === "region" ? model.get("count") : model.get("mode") === "lines" ? model.get("lines").split("\n").filter((l) => l.trim()).length : model.get("mode") === "file" && !model.get("file") ? 0 : model.get("sky")?.n || 0;
    const goOn = begun && left > 0 && !model.get("busy");
    put(row, goOn ? button(`Continue (${left} left)`, () => act(model, "continue"), { class: "af-button primary", disabled: off }) : null,
      button(`Fetch ${n ? `${model.get("mode") === "region" && !kept ? "up to " : ""}${n} ` : ""}target${n === 1 ? "" : "s"}`, () => act(model, "fetch"), { "data-name": "fetch", class: `af-button${goOn || model.get("complete") ? "" : " primary"}`, disabled: off || !model.get("surveys").length || (model.get("mode") === "lines" && !n) || (model.get("mode") === "file" && !model.get("file")) }),
      button("Estimate", () => act(model, "estimate"), { disabled: off || !model.get("surveys").length }),
      model.get("surveys").length ? null : h("span", { class: "af-caption" }, "Tick at least one survey."));
  };
  life.on("change:counts change:busy change:live change:mode change:lines change:count change:surveys change:complete change:sky change:file change:kept", once(draw));
  draw();
  return row;
}

function bar(row) {
  const part = (state) => h("i", { style: { width: `${(100 * row[state]) / (row.total || 1)}%`, background: STATE_COLOURS[state] } });
  // while a fetch runs only done and failed are known
  const known = row.found + row.empty > 0 ? ["found", "empty", "failed"] : ["failed"];
  const rest = row.found + row.empty > 0 ? null : h("i", { style: { width: `${(100 * (row.done - row.failed)) / (row.total || 1)}%`, background: "var(--af-accent)" } });
  return h("span", { class: "af-progress", role: "img", "aria-label": `${row.done} of ${row.total} done` }, known.map(part), rest);
}

/** What went wrong at one survey, said once for all targets that it happened to. */
function failures(problems, span) {
  const said = new Map();
  for (const [id, , whole] of problems) {
    const message = whole.replace(/ \(given up: [^()]*\)$/, ""); // counts up from one target to the next
    said.set(message, [...(said.get(message) || []), id]);
  }
  const rows = [...said].map(([message, ids]) => h("div", {}, h("strong", {}, `${ids.length} failed: `), message, h("details", {}, h("summary", {}, "which"), ids.join(", "))));
  return rows.length ? h("tr", { class: "af-said" }, h("td", { colspan: span }, rows.slice(0, WORDS), rows.length > WORDS ? h("details", {}, h("summary", {}, `${rows.length - WORDS} other failures`), rows.slice(WORDS)) : null)) : null;
}

function progress(model, life) {
  const node = h("div", {});
  const draw = () => {
    const rows = model.get("counts") || [];
    if (!rows.length) return put(node, blank("Nothing fetched yet", "Press Fetch. Each survey shows how far it is; what an archive sent is kept, so nothing is fetched twice."));
    const running = model.get("busy") && rows.some((r) => r.state === "fetching" || r.state === "waiting");
    const heads = ["survey", "", "done", ...(running ? ["failed"] : STATES)];
    const hosts = new Map(model.get("catalogue").map((c) => [c.name, c.host]));
    const lights = lightsOf(model);
    const problems = model.get("problems") || [];
    const body = rows.flatMap((r) => {
      const host = hosts.get(r.survey);
      const [light, words] = lights.get(host) || ["", ""];
      const live = running && words && light !== "good" ? h("tr", { class: "af-said" }, h("td", { colspan: heads.length }, `${host}: ${words}`)) : null;
      return [h("tr", {}, h("th", { scope: "row" }, h("span", { class: "af-named" }, icon(r.modality, 14), h("span", { class: "af-cut", title: r.survey }, r.survey), lamp(lights, host))), h("td", { class: "af-wide" }, bar(r)), h("td", { class: "af-num" }, `${r.done}/${r.total}`), (running ? ["failed"] : STATES).map((state) => h("td", { class: `af-num${r[state] ? "" : " af-none"}`, title: MEANING[state] }, r[state]))),
        live || failures(problems.filter((p) => p[1] === r.survey), heads.length)];
    });
    return put(node, h("table", { class: "af-values af-progress-table" }, h("thead", {}, h("tr", {}, heads.map((t, i) => h("th", { class: i > 1 ? "af-num" : "", title: MEANING[t] || null }, t, MEANING[t] ? h("i", { class: "af-dot after", style: { background: STATE_COLOURS[t] } }) : null)))), h("tbody", {}, body)));
  };
  life.on("change:counts change:problems change:busy change:lights", once(draw));
  draw();
  return node;
}

function aligning(model, life) {
  const node = h("div", { class: "af-stackv" });
  const draw = () => {
    const any = (model.get("counts") || []).some((r) => r.found > 0);
    if (!any) return put(node);
    const rows = model.get("aligned") || [];
    const done = rows.length ? h("p", {}, h("strong", {}, `${rows[0].total} samples`), ": ", rows.map((r) => h("span", { class: "af-tag" }, icon(r.kind, 14), ` ${label(r.name)} ${r.count}`))) : null;
    return put(node, h("div", { class: "af-row" }, field("Image pixels", integer(model, "pixels", 8)), field("″ per pixel", numeric(model, "scale")), h("span", { class: "af-caption af-end" }, `${number(model.get("pixels") * model.get("scale"), 3)}″ wide; spectra 3800 to 9200 Å; light curves keep their epochs`)),
      h("div", { class: "af-row" }, button("Align", () => act(model, "align"), { class: `af-button${model.get("complete") && !rows.length ? " primary" : ""}`, disabled: !model.get("live") || model.get("busy") }), done));
  };
  life.on("change:counts change:aligned change:busy change:complete change:live change:pixels change:scale", once(draw));
  draw();
  return node;
}

function render({ model, el }) {
  const parts = { redraw: () => {} };
  const ready = () => model.get("live") && !model.get("busy");
  const view = frame(model, el, { title: "Fetch", keys: KEYS.fetch, themed: () => parts.redraw(), on: {
    f: () => ready() && act(model, (model.get("counts") || []).some((r) => r.done > 0 && r.failed + r.pending > 0) ? "continue" : "fetch"),
    e: () => ready() && act(model, "estimate"), a: () => ready() && act(model, "align"), "/": () => /** @type {HTMLElement | null} */ (view.main.querySelector(".af-search"))?.focus(),
    Escape: () => {
      if (model.get("busy")) tell(model, { stop: true });
      else if (model.get("selected")?.byteLength) writeSelection(model, new Uint8Array(0));
      else return false;
      return true;
    },
  } });
  const { life } = view;
  const left = targets(model, life);
  parts.redraw = left.redraw;
  put(view.main, h("div", { class: "af-fetch" }, left.node, surveys(model, life), h("section", { class: "af-block af-across" }, h("div", { class: "af-row" }, h("h3", {}, "Fetch and align"), fetchButtons(model, life)), costs(model, life), progress(model, life), firstProducts(model, life), aligning(model, life))));
  return view.end;
}

export default { render };
