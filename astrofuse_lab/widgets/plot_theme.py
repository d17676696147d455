"""Plots follow the theme of the page they stand in: JupyterLab's, live, else the surface around them, else the system's.

A figure is drawn for a light page, on no ground of its own. In the browser the colours of its frame (not those of the data,
which mean something, but for two bands too dark to be seen) are exchanged for a dark page, and back.
"""

from typing import TYPE_CHECKING

from astrofuse_lab.widgets.colours import BAND_COLOURS, BAND_ON_DARK

if TYPE_CHECKING:
    from bokeh.plotting import figure

INK, FAINT, WEAK, HATCHING, GRID = "#3d3d3d", "#8c8c8c", "#e0e0e0", "#bdbdbd", "#e6e6e6"
"""Greys of a light page: text and marks, lines beside data, what is absent, what is masked, grid."""
ON_DARK = {
    # text, axes, whiskers
    "#444444": "#dfe2e6", INK: "#d5d9de", "black": "#9aa2ad", "#000000": "#f0f2f4",
    # grid, outline, borders
    GRID: "#2f353d", "#e5e5e5": "#363c45",
    # what is absent or masked
    WEAK: "#343a43", "#f4f4f4": "#20252b", HATCHING: "#5b636e",
    # lines and bars beside the data
    FAINT: "#9aa2ad", "#9a9a9a": "#7d8590", "#b4b4b4": "#7d8590",
    # the only colours of data among them: bands that a dark page would swallow
    **{BAND_COLOURS[band]: dark for band, dark in BAND_ON_DARK.items()},
}  # fmt: skip
"""The same on a dark page; white becomes the page's own surface, and text that stands on coloured cells stays as it is."""
TAG = "astrofuse-theme"

FOLLOW = """
const all = (window.astrofusePlots ??= {figures: new Map()});
const white = ["#ffffff", "white"];
const view = (model) => cb_context.index.find_one(model);

function surface(node) {
  for (let at = node; at; at = at.parentNode || at.host) {
    if (!(at instanceof Element)) continue;
    const [r, g, b, a = 1] = (getComputedStyle(at).backgroundColor.match(/[\\d.]+/g) || []).map(Number);
    if (b !== undefined && a > 0.9) return {dark: 0.299 * r + 0.587 * g + 0.114 * b < 128, colour: `rgb(${r}, ${g}, ${b})`};
  }
  // an unpainted page is white unless it says that it can be dark
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches;
  return {dark, colour: dark ? "#121212" : "#ffffff"};
}

// Values are set silently, and then only views are told: Python has no use for them, and Bokeh's scalars do not read
// back what its own scripts write.
function put(model, change) {
  model.setv(change, {silent: true});
  for (const name of Object.keys(change)) model.properties[name].change.emit();
  model.change.emit();
}

function repaint(model, own, page) {
  const change = {};
  for (const [name, value] of Object.entries(own)) {
    const light = (value?.value ?? value).toLowerCase();
    const text = name.endsWith("text_color");
    const ground = white.includes(light) && !text;
    const dark = ground ? page.colour : name === "background_fill_color" ? light : text && light === "black" ? inks["#444444"] : inks[light] ?? light;
    const now = page.dark ? dark : light;
    change[name] = typeof value === "string" ? now : {...value, value: now};
  }
  put(model, change);
}

/** The colours that the frame of a figure was given, by model, and columns of colours. */
function colours(figure) {
  const own = new Map();
  for (const model of figure.references()) {
    const known = {};
    for (const [name, value] of Object.entries(model.attributes ?? {})) {
      const colour = value?.value ?? value;
      if (/_color$/.test(name) && typeof colour === "string" && (colour.toLowerCase() in inks || white.includes(colour.toLowerCase()))) known[name] = value;
    }
    if (Object.keys(known).length) own.set(model, known);
  }
  return own;
}

function columns(figure, dark) {
  for (const model of figure.references()) {
    const column = model.type === "ColumnDataSource" ? model.data.color : null;
    if (!column || typeof column[0] !== "string") continue;
    model.astrofuseColours ??= [...column];
    put(model, {data: {...model.data, color: model.astrofuseColours.map((c) => (dark ? inks[c.toLowerCase()] ?? c : c))}});
  }
}

function follow(figure) {
  const el = view(figure)?.el;
  if (!el?.isConnected) return void (figure.document ?? all.figures.delete(figure));
  const page = surface(el.parentNode || el.getRootNode().host);
  const state = all.figures.get(figure);
  if (state.page === page.colour || (!page.dark && !state.own)) return; // it was drawn for a light page
  state.page = page.colour;
  state.own ??= colours(figure);
  for (const [model, own] of state.own) repaint(model, own, page);
  columns(figure, page.dark);
  view(figure)?.invalidate_layout?.();
}

if (!all.observer) {
  const every = () => { for (const [figure, {again}] of all.figures) again(figure); };
  // a theme's style sheet may come after its name
  const soon = () => { every(); for (const wait of [100, 600]) setTimeout(every, wait); };
  all.observer = new MutationObserver(soon);
  all.observer.observe(document.body, {attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class", "style"]});
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", soon);
}
if (!all.figures.has(figure)) all.figures.set(figure, {again: follow});
follow(figure);
"""


def follow_theme(figure: "figure") -> None:
    """Have a Bokeh figure follow the theme of the page it stands in; once a figure.

    Its inner width changes whenever it has been laid out, which is the first thing that a script can hear of.
    """
    from bokeh.models import CustomJS

    if TAG not in figure.tags:
        figure.tags = [*figure.tags, TAG]
        for name in ("border_fill_color", "background_fill_color"):
            if getattr(figure, name) == "#ffffff":  # not where a user chose another
                setattr(figure, name, None)  # the page shines through
        figure.js_on_change("inner_width", CustomJS(args={"figure": figure, "inks": ON_DARK}, code=FOLLOW))
