// Fetch: targets, surveys, progress by survey, what was found and what failed, then align.
import { unpack } from "../shared/arrays.js";
import { STATE_COLOURS, icon, label } from "../shared/colours.js";
import { number } from "../shared/columns.js";
import { button, choice, field, h, once, put, sized } from "../shared/dom.js";
import { blank, frame } from "../shared/frame.js";
import { KEYS } from "../shared/keys.js";
import { act, tell } from "../shared/link.js";
import { skyPlot } from "../shared/sky.js";

const MODES = [["region", "a region"], ["lines", "names or positions"], ["given", "those given"]];
const STATES = ["found", "empty", "failed", "pending"];
const MEANING = { found: "there is data", empty: "asked, and nothing is there", failed: "the archive failed; Continue asks again", pending: "not asked yet" };

const numeric = (model, name, attributes = {}) => h("input", { type: "number", step: "any", min: 0, class: "af-small", value: model.get(name), "data-name": name, onchange: (e) => Number.isFinite(e.target.valueAsNumber) && tell(model, { [name]: e.target.valueAsNumber }), ...attributes });
const integer = (model, name, low) => numeric(model, name, { step: 1, min: low, onchange: (e) => tell(model, { [name]: Math.max(low, Math.floor(e.target.valueAsNumber || low)) }) });

function regionForm(model) {
  return h("div", { class: "af-row" },
    field("Centre", h("input", { type: "text", class: "af-center", value: model.get("center"), placeholder: "150.1 +2.2", "aria-label": "Centre: RA and Dec", onchange: (e) => tell(model, { center: e.target.value }) })),
    field("Radius (deg)", numeric(model, "circle")), field("At most", integer(model, "count", 1)),
    field("Objects of", choice("Whose objects", [["practice/table", "practice sky"], ["gaia/table", "Gaia"]], model.get("finder"), (v) => tell(model, { finder: v }))));
}

function linesForm(model) {
  return h("textarea", { class: "af-lines", rows: 5, spellcheck: "false", "aria-label": "Targets, one a line", placeholder: "one a line: a name, or RA and Dec in degrees\n3C 273\n150.1025 2.2048\npractice-00000042", value: model.get("lines"), onchange: (e) => tell(model, { lines: e.target.value }) });
}

function targets(model, life) {
  const form = h("div", { class: "af-stackv" });
  const holder = h("div", { class: "af-holder" });
  let width = 0;
  const draw = () => {
    const given = model.get("mode") === "given";
    const modes = MODES.filter(([m]) => m !== "given" || given).map(([m, text]) => h("button", { type: "button", class: "af-chip", "aria-pressed": String(m === model.get("mode")), onclick: () => tell(model, { mode: m }) }, text));
    put(form, h("div", { class: "af-chips", role: "group", "aria-label": "Where targets come from" }, modes), model.get("mode") === "region" ? regionForm(model) : model.get("mode") === "lines" ? linesForm(model) : null,
      given ? null : h("div", { class: "af-row" }, button("Show on the sky", () => act(model, "look"), { disabled: !model.get("live") || model.get("busy") })));
  };
  const notes = h("div", { class: "af-caption" });
  const sky = () => {
    const packed = model.get("sky") || {};
    put(notes, (model.get("notes") || []).map((n) => h("div", {}, n)));
    if (!packed.n) return put(holder, blank("No targets yet", "Choose a region, or type names or positions, then press Fetch. The sky appears here."));
    return width && put(holder, skyPlot(unpack(packed), (model.get("counts") || []).length || 1, width));
  };
  life.on("change:mode change:busy change:live change:center change:circle change:count change:finder change:lines", once(draw));
  life.on("change:sky change:notes", once(sky));
  life.push(sized(holder, (w) => { width = w; sky(); }));
  draw();
  sky();
  return h("section", { class: "af-block" }, h("h3", {}, "Targets"), form, holder, notes);
}

function surveyRow(model, row, chosen, off) {
  const tick = (e) => {
    const now = new Set(model.get("surveys"));
    if (e.target.checked) now.add(row.name);
    else now.delete(row.name);
    tell(model, { surveys: model.get("catalogue").map((c) => c.name).filter((n) => now.has(n)) });
  };
  const more = [row.bands && `bands ${row.bands}`, /^\d+$/.test(row.release) ? `release ${row.release}` : row.release].filter(Boolean).join(", ");
  return h("label", { class: "af-survey", title: `${row.citation}\n${row.licence}` }, h("input", { type: "checkbox", "data-name": row.name, checked: chosen.has(row.name), disabled: off, onchange: tick }),
    h("span", { class: "af-stackv" }, h("span", { class: "af-row" }, row.name, row.simulated ? h("span", { class: "af-badge" }, "practice sky") : null, h("span", { class: "af-caption" }, more)), h("span", { class: "af-caption af-cite" }, row.citation)));
}

function surveys(model, life) {
  const list = h("div", { class: "af-surveys" });
  const asks = h("div", { class: "af-row" });
  const draw = () => {
    const off = !model.get("live") || model.get("busy");
    const chosen = new Set(model.get("surveys"));
    const groups = model.get("catalogue").reduce((m, c) => m.set(c.modality, [...(m.get(c.modality) || []), c]), new Map());
    put(list, [...groups].map(([kind, rows]) => h("div", { role: "group", "aria-label": label(kind) }, h("h4", {}, icon(kind), label(kind)), rows.map((r) => surveyRow(model, r, chosen, off)))));
    const practice = [...chosen].some((n) => n.startsWith("practice/"));
    put(asks, field("Match radius (″)", numeric(model, "radius")), field("Cutout size (″)", numeric(model, "size")),
      practice ? field("Practice sky: share missing", numeric(model, "missing", { max: 1, step: 0.05 })) : null, practice ? field("noise ×", numeric(model, "noise")) : null);
  };
  life.on("change:catalogue change:surveys change:busy change:live change:radius change:size change:missing change:noise", once(draw));
  draw();
  return h("section", { class: "af-block" }, h("h3", {}, "Surveys"), list, asks);
}

function fetchButtons(model, life) {
  const row = h("div", { class: "af-row" });
  const draw = () => {
    const rows = model.get("counts") || [];
    const begun = rows.some((r) => r.done > 0);
    const left = rows.reduce((sum, r) => sum + r.failed + r.pending, 0);
    const off = !model.get("live") || model.get("busy");
    const n = model.get("mode") === "region" ? model.get("count") : model.get("mode") === "lines" ? model.get("lines").split("\n").filter((l) => l.trim()).length : model.get("sky")?.n || 0;
    const goOn = begun && left > 0 && !model.get("busy");
    put(row, goOn ? button(`Continue (${left} left)`, () => act(model, "continue"), { class: "af-button primary", disabled: off }) : null,
      button(`Fetch ${n ? `${model.get("mode") === "region" ? "up to " : ""}${n} ` : ""}target${n === 1 ? "" : "s"}`, () => act(model, "fetch"), { class: `af-button${goOn || model.get("complete") ? "" : " primary"}`, disabled: off || !model.get("surveys").length || (model.get("mode") === "lines" && !n) }),
      model.get("surveys").length ? null : h("span", { class: "af-caption" }, "Tick at least one survey."));
  };
  life.on("change:counts change:busy change:live change:mode change:lines change:count change:surveys change:complete change:sky", once(draw));
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

function progress(model, life) {
  const node = h("div", {});
  const draw = () => {
    const rows = model.get("counts") || [];
    if (!rows.length) return put(node, blank("Nothing fetched yet", "Press Fetch. Each survey shows how far it is; what an archive sent is kept, so nothing is fetched twice."));
    const running = model.get("busy") && rows.some((r) => r.state === "fetching" || r.state === "waiting");
    const heads = ["survey", "", "done", ...(running ? ["failed"] : STATES)];
    const body = rows.map((r) => h("tr", {}, h("th", { scope: "row" }, icon(r.modality, 14), " ", r.survey), h("td", { class: "af-wide" }, bar(r)), h("td", { class: "af-num" }, `${r.done}/${r.total}`), (running ? ["failed"] : STATES).map((state) => h("td", { class: `af-num${r[state] ? "" : " af-none"}`, title: MEANING[state] }, r[state]))));
    return put(node, h("table", { class: "af-values af-progress-table" }, h("thead", {}, h("tr", {}, heads.map((t, i) => h("th", { class: i > 1 ? "af-num" : "", title: MEANING[t] || null }, t, MEANING[t] ? h("i", { class: "af-dot after", style: { background: STATE_COLOURS[t] } }) : null)))), h("tbody", {}, body)), failures(model.get("problems") || []));
  };
  life.on("change:counts change:problems change:busy", once(draw));
  draw();
  return node;
}

function failures(problems) {
  if (!problems.length) return null;
  const rows = problems.map(([id, survey, message]) => h("tr", {}, h("th", { scope: "row" }, id), h("td", {}, survey), h("td", {}, message)));
  return h("details", { class: "af-more" }, h("summary", {}, `${problems.length} failed: what the archives said`), h("div", { class: "af-scroll" }, h("table", { class: "af-values" }, h("tbody", {}, rows))));
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
  const view = frame(model, el, { title: "Fetch", keys: KEYS.fetch, on: {
    f: () => model.get("live") && !model.get("busy") && act(model, (model.get("counts") || []).some((r) => r.done > 0 && r.failed + r.pending > 0) ? "continue" : "fetch"),
    a: () => model.get("live") && !model.get("busy") && act(model, "align"), Escape: () => (model.get("busy") ? tell(model, { stop: true }) : false),
  } });
  const { life } = view;
  put(view.main, h("div", { class: "af-fetch" }, targets(model, life), surveys(model, life), h("section", { class: "af-block af-across" }, h("div", { class: "af-row" }, h("h3", {}, "Fetch and align"), fetchButtons(model, life)), progress(model, life), aligning(model, life))));
  return view.end;
}

export default { render };
