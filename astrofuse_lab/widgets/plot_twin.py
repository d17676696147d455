"""The twin of a plot: the same in one or two sentences and as a table, for those who do not see it and for those who want the numbers.

`words` and `tables` read any HoloViews plot. In a page, plots of ``af.plot`` carry theirs: the figure has a name and a
description, and a line below it opens the table.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.plot_theme import FAINT
from astrofuse_lab.widgets.plot_twin_page import show_twin

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[Any]
Columns = dict[str, Array]
DRAWN = ("Curve", "Scatter", "Points", "Bars", "Spikes", "Histogram", "HeatMap", "Path")
"""Elements that stand for data; rules, spans, names and boxes only help to read them."""


class Told:
    """A HoloViews hook that does nothing but carry what is said of a plot, where that cannot be read off its elements.

    Parameters
    ----------
    words : str
    columns : mapping of str to sequence
        Of equal lengths.
    """

    def __init__(self, words: str, columns: Mapping[str, Any]) -> None:
        self.words = words
        self.columns: Columns = {name: np.asarray(values) for name, values in columns.items()}

    def __call__(self, _plot: Any, _element: Any) -> None:
        """Leave the figure as it is."""


def number(value: Any, figures: int = 4) -> str:
    """A number as a sentence has it; ``unknown`` for NaN."""
    if isinstance(value, str | np.str_ | bool | np.bool_):
        return str(value)
    v = float(value)
    if not np.isfinite(v):
        return "unknown"
    long = 1e4 <= abs(v) < 1e9  # a date, or a count: no exponent
    return f"{v:.{max(figures, len(str(int(abs(v)))) + 2) if long else figures}g}".replace("-", "−")


def _option(element: Any, name: str, group: str = "plot") -> Any:
    import holoviews as hv

    return hv.Store.lookup_options("bokeh", element, group).kwargs.get(name)


def _panels(plot: Any) -> list[Any]:
    """Each panel of a layout; a panel is an element, or an overlay of some."""
    import holoviews as hv

    if isinstance(plot, hv.Layout | hv.NdLayout | hv.GridSpace):
        return [panel for one in plot for panel in _panels(one)]
    if isinstance(plot, hv.HoloMap | hv.DynamicMap):
        return _panels(plot.last) if plot.last is not None else []
    if not isinstance(plot, hv.Element | hv.Overlay | hv.NdOverlay):
        raise InputError(f"a twin is made of a HoloViews plot, such as af.plot.spectrum(samples[0]), not of {type(plot).__name__}.")
    return [plot]


def _layers(panel: Any) -> list[Any]:
    import holoviews as hv

    return list(panel) if isinstance(panel, hv.Overlay | hv.NdOverlay) else [panel]


def _values(layer: Any, k: int) -> Array:
    return np.asarray(layer.dimension_values(k, expanded=True, flat=True))


def _summary(label: str, x: Any, y: Any, across: Array, up: Array) -> str:
    """One layer in words."""
    known = np.flatnonzero(np.isfinite(up)) if up.dtype.kind in "fiu" else np.arange(len(up))
    if not len(known):
        return f"{label}: no value" if label else "no value"
    said = f"{len(known)} {'value' if len(known) == 1 else 'values'}{f', {len(up) - len(known)} masked' if len(known) < len(up) else ''}"
    if up.dtype.kind in "fiu":
        low, high = known[np.argmin(up[known])], known[np.argmax(up[known])]
        unit = f" {x.unit}" if x.unit else ""
        first = f"{number(up[low])} ({x.label} {number(across[low])}{unit})"
        said += f", {y.label} {first if len(known) == 1 else f'{number(up[low])} throughout'}" if low == high else f", {y.label} lowest {first}, highest {number(up[high])} ({number(across[high])}{unit})"
    return f"{label}: {said}" if label else said


def _interval(layers: list[Any], place: int, n: int) -> Columns:
    """The band or the bars that belong to a curve: those just before it, of the same length."""
    for other in reversed(layers[:place]):
        kind = type(other).__name__
        if kind == "Area" and len(other) == n and len(other.vdims) > 1:
            return {"from": _values(other, 1), "to": _values(other, 2)}
        if kind == "ErrorBars" and len(other) == n:
            below, above = _values(other, 2), _values(other, min(3, len(other.dimensions()) - 1))
            return {"from": _values(other, 1) - below, "to": _values(other, 1) + above}
        if kind in DRAWN:
            break
    return {}


def _rows(panel: Any, layers: list[Any]) -> Told | None:
    """Rows with names on the y axis and their values written beside them: forests, comparisons."""
    ticks = _option(panel, "yticks")
    texts = [one for one in layers if type(one).__name__ == "Labels" and len(one.vdims) == 1]
    if not isinstance(ticks, list) or not texts or not all(isinstance(t, tuple) for t in ticks):
        return None
    said = {round(float(p)): str(t) for p, t in zip(_values(texts[0], 1), _values(texts[0], 2), strict=True)}
    rows = [(str(name), said.get(int(place), "")) for place, name in sorted(ticks, key=lambda t: -t[0])]
    words = "; ".join(f"{name} {text}" for name, text in rows)
    label = str(_option(panel, "xlabel") or "value")
    return Told(f"{label}: {words}.", {"row": [name for name, _ in rows], label: [text for _, text in rows]})


def _heat(layer: Any) -> tuple[str, Columns]:
    """Cells of two axes: the strongest ones, and all of them."""
    x, y = layer.kdims[:2]
    value = np.asarray(layer.dimension_values(2), dtype=float)
    across, up = (np.asarray(layer.dimension_values(k)).astype(str) for k in (0, 1))
    top = [i for i in np.argsort(-np.nan_to_num(value, nan=-np.inf), kind="stable")[:3] if np.isfinite(value[i])]
    words = f"{layer.vdims[0].label} is highest at " + ", ".join(f"{y.label} {up[i]} and {x.label} {across[i]} ({number(value[i], 3)})" for i in top)
    return words, {x.label: across, y.label: up, **{d.label: np.asarray(layer.dimension_values(d)) for d in layer.vdims}}


def _one(layers: list[Any], place: int) -> tuple[str, Columns] | None:
    """One layer that stands for data, in words and columns; None for what only repeats another."""
    layer = layers[place]
    kind, n = type(layer).__name__, len(layer)
    if kind not in DRAWN or n == 0:
        return None
    if kind == "HeatMap":
        return _heat(layer)
    if kind == "Histogram":
        edges, counts = np.asarray(layer.edges, dtype=float), np.asarray(layer.dimension_values(1), dtype=float)
        return _summary(layer.label, layer.kdims[0], layer.vdims[0], edges[:-1], counts), {f"{layer.kdims[0].label}, from": edges[:-1], "to": edges[1:], layer.vdims[0].label: counts}
    x, y = layer.dimensions()[:2]
    across, up = _values(layer, 0), _values(layer, 1)
    before = layers[place - 1] if place else None
    if not layer.label and before is not None and type(before).__name__ == "Curve" and len(before) == n and np.array_equal(_values(before, 1), up, equal_nan=up.dtype.kind == "f"):
        return None  # the same points, marked
    if kind == "Curve" and n == 2 and layer.label in ("", "perfect") and _option(layer, "color", "style") == FAINT:
        return None  # a line to compare with
    more = {d.label: np.asarray(layer.dimension_values(d)) for d in layer.dimensions()[2:] if d.name not in ("colour", "color")}
    return _summary(layer.label, x, y, across, up), {x.pprint_label: across, y.pprint_label: up, **_interval(layers, place, n), **more}


def twin_of(panel: Any) -> tuple[str, str, Columns]:
    """Title, sentence and columns of one panel."""
    title = str(_option(panel, "title") or panel.label or panel.group)
    hooks = _option(panel, "hooks") or []
    told = next((one for one in hooks if isinstance(one, Told)), None)
    layers = _layers(panel)
    told = told or _rows(panel, layers)
    if told is not None:
        return title, told.words, told.columns
    found = [(layer, one) for place, layer in enumerate(layers) if (one := _one(layers, place)) is not None]
    if not found:
        return title, "There is nothing to read from it as numbers.", {}
    heads = list(dict.fromkeys(name for _, (_, columns) in found for name in columns))
    several = len(found) > 1
    parts: dict[str, list[Array]] = {**({"series": []} if several else {}), **{name: [] for name in heads}}
    for k, (layer, (_, columns)) in enumerate(found):
        n = len(next(iter(columns.values())))
        if several:
            parts["series"].append(np.full(n, layer.label or f"series {k + 1}"))
        for name in heads:
            parts[name].append(columns[name] if name in columns else np.full(n, np.nan))
    words = "; ".join(words for _, (words, _) in found)
    return title, f"{words}.", {name: np.concatenate([p.astype(object) for p in those]) if len({p.dtype.kind for p in those}) > 1 else np.concatenate(those) for name, those in parts.items()}


def words(plot: Any) -> str:
    """A plot in words: of each panel its title, and what it shows.

    Parameters
    ----------
    plot : HoloViews element, overlay or layout
        Of ``af.plot``, or any other.

    Returns
    -------
    str

    Raises
    ------
    InputError
        For what is no HoloViews plot.
    """
    return "\n".join(f"{title}. {said}" for title, said, _ in map(twin_of, _panels(plot)) if said)


def tables(plot: Any) -> "dict[str, Table]":
    """The numbers of a plot, a table a panel, by the panel's title.

    Parameters
    ----------
    plot : HoloViews element, overlay or layout
        Of ``af.plot``, or any other.

    Returns
    -------
    dict of str to astropy.table.Table
        Columns are named like the axes; of several curves the first column, ``series``, says which.

    Raises
    ------
    InputError
        For what is no HoloViews plot.
    """
    from astropy.table import Table

    out: dict[str, Table] = {}
    for title, said, columns in map(twin_of, _panels(plot)):
        if not said:
            continue  # part of the panel before it
        name = title if title not in out else f"{title} ({len(out) + 1})"
        out[name] = Table({head: values.astype(str) if values.dtype.kind == "O" else values for head, values in columns.items()}, meta={"words": said})
    return out


def carry_twin(plot: Any, element: Any) -> None:
    """A HoloViews hook: the figure says what it shows, and a line below it opens the table."""
    title, said, columns = twin_of(element)
    if said:
        show_twin(plot.state, title, said, columns)
