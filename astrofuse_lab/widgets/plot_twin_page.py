"""The twin of a plot in the page: a name for screen readers on the figure, and below it a line that opens sentence and table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bokeh.plotting import figure

SHOWN = 200
"""Rows in the page; more are thinned evenly, and `tables` has all."""
TAG = "astrofuse-twin"

SHOW = """
const view = cb_context.index.find_one(figure);
if (!view?.el?.isConnected) return;
view.el.setAttribute("role", "figure");
view.el.setAttribute("aria-label", `${twin.title}. ${twin.says}`);
// below the outermost element of the plot, so that opening it moves what comes after; a plot among other things of an app has but its name
let root = view;
while (root.parent) root = root.parent;
const place = root.el.parentNode;
if (String(root.model.type).startsWith("panel.") || !(place instanceof Element || place instanceof ShadowRoot)) return;
if ([...place.querySelectorAll("details.astrofuse-twin")].some((one) => one.dataset.figure === figure.id)) return;
const made = (tag, text = "", style = "") => { const node = document.createElement(tag); node.textContent = text; node.style.cssText = style; return node; };
const details = made("details", "", "font: 12px/16px system-ui, sans-serif; color: inherit; margin: 0 8px 8px; max-width: 720px; text-align: left;");
details.className = "astrofuse-twin";
details.dataset.figure = figure.id;
details.append(made("summary", `in words and as a table: ${twin.title}`, "cursor: pointer; padding: 4px 0; width: fit-content;"));
details.addEventListener("toggle", () => {
  if (!details.open || details.childElementCount > 1) return;
  const table = made("table", "", "border-collapse: collapse; font-variant-numeric: tabular-nums;");
  const row = (cells, tag) => { const line = made("tr"); cells.forEach((cell, k) => { const one = made(k ? tag : "th", cell, "padding: 2px 8px; text-align: left; border: 0; border-bottom: 1px solid #8888; font-weight: " + (tag === "th" ? 600 : 400)); if (one.tagName === "TH") one.scope = tag === "th" ? "col" : "row"; line.append(one); }); return line; };
  const [head, body] = [made("thead"), made("tbody")];
  head.append(row(twin.heads, "th"));
  body.append(...twin.rows.map((cells) => row(cells, "td")));
  table.append(head, body);
  const scroll = made("div", "", "max-height: 288px; overflow: auto;");
  Object.assign(scroll, { tabIndex: 0, role: "region", ariaLabel: `Table of ${twin.title}, scrolls` });
  scroll.append(table);
  details.append(made("p", twin.says, "margin: 4px 0; line-height: 20px; max-width: 88ch;"));
  if (twin.rows.length) details.append(scroll, made("p", twin.rows.length < twin.count ? `${twin.rows.length} of ${twin.count} rows, evenly spaced; af.plot.tables(plot) has all.` : `${twin.count} rows`, "margin: 4px 0; opacity: 0.85;"));
});
place.append(details);
"""


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.6g}".replace("-", "−") if np.isfinite(value) else ""
    return str(value)


def rows_of(columns: Mapping[str, NDArray[Any]], most: int = SHOWN) -> tuple[list[list[str]], int]:
    """Rows as text, thinned evenly where they are many, and how many there are."""
    count = len(next(iter(columns.values()))) if columns else 0
    which = np.arange(count) if count <= most else np.round(np.linspace(0, count - 1, most)).astype(int)
    return [[_cell(values[i]) for values in columns.values()] for i in which], count


def show_twin(figure: "figure", title: str, says: str, columns: Mapping[str, NDArray[Any]]) -> None:
    """Have a Bokeh figure name itself and carry its table, once a figure; it is shown when the figure has been laid out."""
    from bokeh.models import CustomJS

    if TAG in figure.tags:
        return
    figure.tags = [*figure.tags, TAG]
    rows, count = rows_of(columns)
    twin = {"title": title, "says": says, "heads": list(columns), "rows": rows, "count": count}
    figure.js_on_change("inner_width", CustomJS(args={"figure": figure, "twin": twin}, code=SHOW))
