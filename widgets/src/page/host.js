// A host for the views without ipywidgets: inside Panel (render), and in a page that was saved (boot).

/** What anywidget calls a model: values by name, and news about them. */
export class Model {
  /** @param {Record<string, any>} values @param {{changed?: (values: any) => void, sent?: (content: any) => void}} [to] */
  constructor(values, { changed = () => {}, sent = () => {} } = {}) {
    this.values = { ...values };
    this.calls = new Map();
    this.dirty = new Set();
    this.to = { changed, sent };
  }

  get(name) {
    return this.values[name];
  }

  set(name, value) {
    if (typeof name === "object") return void Object.entries(name).forEach(([k, v]) => this.set(k, v));
    if (this.values[name] === value) return;
    this.dirty.add(name);
    this.receive({ [name]: value });
  }

  save_changes() {
    const values = Object.fromEntries([...this.dirty].map((name) => [name, this.values[name]]));
    this.dirty.clear();
    if (Object.keys(values).length) this.to.changed(values);
  }

  on(names, call) {
    for (const name of names.split(" ")) this.calls.set(name, [...(this.calls.get(name) || []), call]);
  }

  off(name, call) {
    this.calls.set(name, (this.calls.get(name) || []).filter((one) => one !== call && call !== undefined));
  }

  send(content) {
    this.to.sent(content);
  }

  /** Take values from outside. */
  receive(values) {
    Object.assign(this.values, values);
    for (const name of Object.keys(values)) this.fire(`change:${name}`, this, values[name]);
    this.fire("change", this);
  }

  fire(name, ...given) {
    for (const call of this.calls.get(name) || []) call(...given);
  }
}

const modules = new Map();

/** The module behind a source text, made once. @param {string} source */
function moduleOf(source) {
  if (!modules.has(source)) {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    modules.set(source, import(url).finally(() => URL.revokeObjectURL(url)));
  }
  return modules.get(source);
}

/** Show a view; gives what undoes it. @param {string} source @param {Model} model @param {HTMLElement} el */
export async function mount(source, model, el) {
  const view = (await moduleOf(source)).default;
  await view.initialize?.({ model });
  return view.render?.({ model, el });
}

const bitsOf = (data) => (data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data?.buffer ?? 0, data?.byteOffset ?? 0, data?.byteLength ?? 0));

/** Positions of one view's samples among those of all, as numbers. */
const numbersOf = (places) => new Int32Array(bitsOf(places.data).slice().buffer);

/** What one view selected, or looks at, as another view counts its samples. */
function translated(name, value, from, to) {
  if (name === "focus") return value < 0 ? -1 : to.indexOf(from[value]);
  const bits = bitsOf(value);
  const chosen = new Set(from.filter((_, i) => ((bits[i >> 3] || 0) >> (i & 7)) & 1));
  const out = new Uint8Array((to.length + 7) >> 3);
  to.forEach((place, i) => chosen.has(place) && (out[i >> 3] |= 1 << (i & 7)));
  return new DataView(chosen.size ? out.buffer : new ArrayBuffer(0));
}

/** Let models share some values: what one sets, the others get, those of other samples by the places of theirs among all.
 * @param {Model[]} models @param {string[]} names @param {(Int32Array | null)[]} [places] @param {number[]} [groups] only models of one group are linked */
export function link(models, names, places = [], groups = []) {
  models.forEach((model, i) => {
    model.to.changed = (values) => {
      const shared = Object.entries(values).filter(([name]) => names.includes(name));
      models.forEach((other, j) => {
        if (other === model || !shared.length || groups[i] !== groups[j]) return;
        other.receive(Object.fromEntries(shared.map(([name, value]) => [name, places[i] ? translated(name, value, places[i], places[j]) : value])));
      });
    };
  });
}

// ---- Panel ----------------------------------------------------------------------------------------------------------

const plain = (data) => (data instanceof ArrayBuffer ? new DataView(data) : data);

/** Put buffers where `paths` says they were. */
function filled(values, paths, buffers) {
  paths.forEach((path, i) => {
    const owner = path.slice(0, -1).reduce((node, step) => node[step], values);
    owner[path.at(-1)] = plain(buffers[i]);
  });
  return values;
}

/** Binary values out of a change, as ipywidgets' protocol has them. */
function emptied(values) {
  const state = {};
  const paths = [];
  const buffers = [];
  for (const [name, value] of Object.entries(values)) {
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
      paths.push([name]);
      buffers.push(value instanceof ArrayBuffer ? value : value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength));
    } else state[name] = value;
  }
  return { state, paths, buffers };
}

/** A view inside a Panel component; both ends speak ipywidgets' own messages. @param {{model: any, el: HTMLElement}} panel */
export function render({ model: panel, el }) {
  const say = (method, more) => panel.send_msg({ method, ...more });
  const model = new Model({}, {
    changed: (values) => say("update", emptied(values)),
    sent: (content) => say("custom", { content }),
  });
  const box = document.createElement("div");
  box.textContent = "Waiting for Python. If nothing comes, run the cell again.";
  el.replaceChildren(box);
  let end = null;
  let shown = false;
  const hear = async (event) => {
    const { method, source, state, content, paths = [], buffers = [] } = event.data ?? event;
    if (method === "custom") return model.fire("msg:custom", content, buffers.map(plain));
    if (method !== "update") return;
    const values = filled(state, paths, buffers);
    if (shown) return model.receive(values);
    if (!source) return; // news from before the greeting was answered: the answer has it
    shown = true;
    Object.assign(model.values, values);
    box.textContent = "";
    end = await mount(source, model, box);
  };
  panel.on("msg:custom", hear);
  panel.on("remove", () => end?.());
  say("hello", {});
}

// ---- a saved page ---------------------------------------------------------------------------------------------------

/** Base64 of gzip of: header length, header (JSON), buffers end to end. */
export async function unpacked(text) {
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  const length = new DataView(bytes).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  const start = 4 + length;
  const open = (value) => {
    if (Array.isArray(value)) return value.map(open);
    if (!value || typeof value !== "object") return value;
    if (Array.isArray(value.$buffer)) return new DataView(bytes, start + value.$buffer[0], value.$buffer[1]);
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, open(v)]));
  };
  return open(header);
}

/** An element; text never becomes markup. */
function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function tableOf({ caption, columns, rows, notes = [] }) {
  const head = element("tr", "", ...columns.map((name) => Object.assign(element("th", "", name), { scope: "col" })));
  const body = rows.map((row) => element("tr", "", ...row.map((cell) => element("td", /^[-−]?[\d.]/.test(cell) ? "number" : "", cell))));
  const table = element("table", "", element("caption", "", caption), element("thead", "", head), element("tbody", "", ...body));
  return element("section", "table", element("div", "scroll", table), ...notes.map((note) => element("p", "note", note)));
}

/** Fill the page from what was saved in it. */
async function boot(holder) {
  const page = await unpacked(holder.textContent);
  document.title = page.title;
  const title = element("header", "", element("h1", "", page.title), ...(page.simulated ? [element("span", "badge", "practice sky")] : []), element("p", "", page.subtitle));
  const stage = element("div", "views");
  const models = page.views.map((view) => new Model(view.state));
  link(models, ["selected", "focus"], page.views.map((view) => view.places && numbersOf(view.places)), page.views.map((view) => view.group));
  const still = document.getElementById("still");
  const about = page.brief ? [element("details", "about", element("summary", "", "About this view, data and code"), footer(page))] : [footer(page)];
  document.body.classList.toggle("brief", !!page.brief);
  document.body.replaceChildren(...(page.brief ? [] : [title]), element("main", "", stage, ...page.tables.map(tableOf)), ...about);
  await Promise.all(page.views.map(async (view, i) => {
    const el = element("div", `view ${view.name}`);
    stage.append(el);
    try {
      await mount(view.source, models[i], el);
    } catch (/** @type {any} */ error) { // the others go on; of a map its picture stays
      console.error(error);
      const picture = view.name === "embedding" && still?.querySelector("img")?.naturalWidth ? still : "";
      el.replaceChildren(element("p", "failed", `This view could not be drawn here: ${error.message}.`), picture);
    }
  }));
  document.body.dataset.ready = "true";
  if (window.parent !== window) tellHeight();
}

/** In a frame: tell the page around it how tall this one is, whenever that changes; a frame of another origin cannot be measured from there. */
function tellHeight() {
  new ResizeObserver(() => window.parent.postMessage({ astrofuseHeight: document.body.getBoundingClientRect().height }, "*")).observe(document.body);
}

function footer({ notes, citations, code }) {
  const parts = [element("h2", "", "About this page"), ...notes.map((note) => element("p", "", note))];
  if (citations.length) parts.push(element("h2", "", "Cite"), element("ul", "", ...citations.map((line) => element("li", "", line))));
  if (code) parts.push(element("h2", "", "The same in Python"), Object.assign(element("pre", "", code), { tabIndex: 0, ariaLabel: "The same in Python", role: "region" }));
  return element("footer", "", ...parts);
}

const holder = document.getElementById("astrofuse-page");
if (holder) {
  boot(holder).catch((error) => {
    const still = document.getElementById("still");
    document.body.replaceChildren(element("p", "failed", `This page could not be opened: ${error.message}. It needs a browser of 2023 or later.`), ...(still ? [still] : []));
    throw error;
  });
}
