"""Plots of tables of scores: forests of intervals, and curves with bands. All take the tables that af.compare, af.evaluate ... return."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.colours import CLASS_COLOURS, MODALITY_COLOURS, class_colour
from astrofuse_lab.widgets.plot_theme import FAINT, INK
from astrofuse_lab.widgets.plotting import ACCENT, PLAIN, STYLE, backend, titled

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[Any]
BAD, GREY = CLASS_COLOURS[1], "#9a9a9a"
FEW = 20
"""Points of a curve that are marked; of more, only the line is drawn."""
Line = tuple[str, Array, Array, Array, Array, str]
"""Name, x, value, low, high, colour."""


def need(table: Any, columns: Sequence[str], what: str) -> None:
    """Raise InputError unless a table has these columns."""
    missing = set(columns) - set(getattr(table, "colnames", ()))
    if missing:
        raise InputError(f"this is not a table of {what}: it has no column {', '.join(sorted(missing))}.")


def numbers(table: "Table", *columns: str) -> list[Array]:
    """Columns as floats, NaN where masked."""
    return [np.ma.filled(np.ma.asarray(table[c]).astype(float), np.nan) for c in columns]


def intervals(
    names: Sequence[str], value: Array, low: Array, high: Array, colours: Sequence[str], label: str, title: str, *, line: float | None = None, width: int = 580
) -> Any:
    """Points with intervals, one row each, the first on top; numbers beside them, and a dashed line to compare with."""
    hv = backend()
    place = np.arange(len(names))[::-1]
    ends = np.concatenate([low, high, value, [np.nan if line is None else line]])
    ends = ends[np.isfinite(ends)]
    if not len(ends):
        raise InputError("none of these scores is a number; there is nothing to draw.")
    reach = float(np.ptp(ends)) or max(abs(float(ends[0])), 1e-3)
    x, y = hv.Dimension("value", label=label), hv.Dimension("row", label=" ")
    whiskers = hv.Segments((low, place, high, place, list(colours)), ["value", "row", "x1", "y1"], "colour").opts(color="colour", line_width=2)
    points = hv.Scatter((value, place, list(colours)), x, [y, "colour"]).opts(color="colour", size=8)
    told = [f"{v:.3f} [{a:.3f}, {b:.3f}]" for v, a, b in zip(value, low, high, strict=True)]
    text = hv.Labels((np.full(len(names), float(ends.max()) + 0.04 * reach), place, told), [x, y], "said").opts(text_align="left", text_font_size="9pt", text_color=INK)
    layers = [whiskers, points, text]
    if line is not None:
        layers.insert(0, hv.VLines([line]).opts(color=FAINT, line_dash="dashed", line_width=1))
    ticks = [(int(p), n.replace("_", " ")) for p, n in zip(place, names, strict=True)]
    return hv.Overlay(layers).opts(
        title=title, width=width, height=90 + 28 * len(names), yticks=ticks, ylabel="", xlabel=label, show_legend=False,
        xlim=(float(ends.min()) - 0.06 * reach, float(ends.max()) + 1.0 * reach), ylim=(-0.6, len(names) - 0.4), hooks=[PLAIN], **STYLE,
    )  # fmt: skip


def _simulated(table: "Table") -> bool:
    return bool(table.meta.get("simulated", False))


# ---- comparisons -----------------------------------------------------------------------------------------------------


def forest(table: "Table", *, width: int = 580) -> Any:
    """How much better the fused model of ``af.compare`` is than each other row, with paired 95 % intervals; right of the line it is better.

    Parameters
    ----------
    table : Table

    Returns
    -------
    holoviews.Overlay
    """
    need(table, ("model", "metric", "difference", "difference_low", "difference_high"), "af.compare")
    rows = table[1:]
    value, low, high = numbers(rows, "difference", "difference_low", "difference_high")
    colours = [ACCENT if a > 0 else BAD if b < 0 else GREY for a, b in zip(low, high, strict=True)]
    metric = str(table["metric"][0]).replace("_", " ")
    title = titled(f"{table['model'][0]} against ...", "95 % paired", simulated=_simulated(table))
    return intervals([str(n) for n in rows["model"]], value, low, high, colours, f"difference in {metric}", title, line=0.0, width=width)


def subsets(table: "Table", *, width: int = 580) -> Any:
    """A fused model on every subset of its modalities, the smallest first, with the best of each size marked.

    Parameters
    ----------
    table : Table
        Of ``af.compare(subsets=True)`` or ``af.evaluate(subsets=True)``, or its ``meta["subsets"]``.

    Returns
    -------
    holoviews.Overlay
    """
    found = _beside(table, "subsets")
    need(found, ("modalities", "metric", "value", "low", "high"), "af.compare(subsets=True)")
    from astrofuse_lab.training.metrics import goodness

    value, low, high = numbers(found, "value", "low", "high")
    names = [str(n) for n in found["modalities"]]
    size, metric = np.array([n.count(" + ") for n in names]), str(found["metric"][0])
    good = np.nan_to_num(goodness(metric, value), nan=-np.inf)
    best = {int(np.flatnonzero(size == s)[np.argmax(good[size == s])]) for s in np.unique(size)}
    colours = [MODALITY_COLOURS.get(n, ACCENT if i in best else GREY) for i, n in enumerate(names)]
    full = float(value[int(np.argmax(size))])
    return intervals(names, value, low, high, colours, metric.replace("_", " "), titled("which modalities are needed", simulated=_simulated(table)), line=full, width=width)


def _beside(table: Any, name: str) -> Any:
    """A table that another carries, or the table itself; of several runs, the first."""
    found = getattr(table, "meta", {}).get(name, table)
    if "run" in getattr(found, "colnames", ()) and len(found):
        return found[found["run"] == found["run"][0]]
    return found


def subgroups(table: "Table", *, width: int = 640) -> Any:
    """Scores by subgroup, those served worse than the rest in another colour; the line is the score of all.

    Parameters
    ----------
    table : Table
        Of ``af.evaluate(by=...)``.

    Returns
    -------
    holoviews.Overlay
    """
    found = _beside(table, "subgroups")
    need(found, ("by", "subgroup", "metric", "value", "low", "high", "n", "difference_high"), "af.evaluate(by=...)")
    value, low, high = numbers(found, "value", "low", "high")
    worse = numbers(found, "difference_high")[0] < 0
    names = [f"{r['by']}: {r['subgroup']} (n = {r['n']})" for r in found]
    metric = str(found["metric"][0])
    whole = [float(r["value"]) for r in table if "run" in table.colnames and r["metric"] == metric and "subgroup" not in table.colnames][:1]
    colours = [BAD if bad else ACCENT for bad in worse]
    title = titled(f"{int(worse.sum())} of {len(worse)} subgroups served worse than the rest", simulated=_simulated(table))
    return intervals(names, value, low, high, colours, metric.replace("_", " "), title, line=whole[0] if whole else None, width=width)


def leaderboard(table: "Table", *, width: int = 640) -> Any:
    """The entries of a benchmark: runs and predictions in colour, baselines grey, shortcuts in the colour of a warning.

    Parameters
    ----------
    table : Table
        Of ``benchmark.leaderboard(folder)``.

    Returns
    -------
    holoviews.Overlay
    """
    need(table, ("name", "kind", "metric", "value", "low", "high"), "benchmark.leaderboard(folder)")
    value, low, high = numbers(table, "value", "low", "high")
    names = [str(r["name"]) + ("" if "checked" not in table.colnames or r["checked"] in ("same", "not checked") else f" ({r['checked']})") for r in table]
    colours = [BAD if n.startswith("shortcut") else GREY if k == "baseline" else ACCENT for n, k in zip(names, table["kind"], strict=True)]
    chance = [float(v) for v, n in zip(value, names, strict=True) if n == "chance"][:1]
    title = titled(str(table.meta.get("benchmark", "leaderboard")), simulated=_simulated(table))
    return intervals(names, value, low, high, colours, str(table["metric"][0]).replace("_", " "), title, line=chance[0] if chance else None, width=width)


# ---- curves ----------------------------------------------------------------------------------------------------------


def label_curve(table: "Table", *, width: int = 520, height: int = 340) -> Any:
    """Scores against the number of labels, with 95 % bands.

    Parameters
    ----------
    table : Table
        Of ``af.label_curve``.

    Returns
    -------
    holoviews.Overlay
    """
    need(table, ("labels", "model", "metric", "value", "low", "high"), "af.label_curve")
    models = list(dict.fromkeys(str(m) for m in table["model"]))
    lines = [(m, table[[str(n) == m for n in table["model"]]]) for m in models]
    singles = [m for m, rows in lines if str(rows["modalities"][0]) == m] if "modalities" in table.colnames else []
    colours = {m: ACCENT if m.startswith("fused") and i == 0 else MODALITY_COLOURS.get(m, FAINT if m == "chance" else class_colour(i) if m not in singles else GREY) for i, m in enumerate(models)}
    title = titled("score by number of labels", simulated=_simulated(table))
    drawn = [_line(m, rows, "labels", colours[m]) for m, rows in lines]
    return banded(drawn, "labels to learn from", str(table["metric"][0]), title, width, height, log=True)


def early_times(table: "Table", *, width: int = 520, height: int = 340) -> Any:
    """Scores against the days since the first detection after which the light curves are cut off, with 95 % bands.

    Parameters
    ----------
    table : Table
        Of ``af.evaluate(early=(1, 3, 10))``.

    Returns
    -------
    holoviews.Overlay
    """
    found = getattr(table, "meta", {}).get("early", table)
    need(found, ("run", "day", "metric", "value", "low", "high"), "af.evaluate(early=...)")
    runs = list(dict.fromkeys(str(r) for r in found["run"]))
    lines = [_line(r, found[[str(n) == r for n in found["run"]]], "day", class_colour(i)) for i, r in enumerate(runs)]
    return banded(lines, "days since the first detection", str(found["metric"][0]), titled("how soon it knows", simulated=_simulated(table)), width, height)


def _line(name: str, rows: "Table", across: str, colour: str) -> Line:
    at, value, low, high = numbers(rows, across, "value", "low", "high")
    return name, at, value, low, high, colour


def banded(lines: Sequence[Line], across: str, metric: str, title: str, width: int, height: int, log: bool = False) -> Any:
    """Curves (name, x, value, low, high, colour) with bands."""
    hv = backend()
    x, y = hv.Dimension("x", label=across), hv.Dimension("y", label=metric.replace("_", " "))
    layers = []
    for name, at, value, low, high, colour in lines:
        known = np.isfinite(value) & np.isfinite(low) & np.isfinite(high)
        order = np.argsort(at[known], kind="stable")
        at, value, low, high = (v[known][order] for v in (at, value, low, high))
        layers += [
            hv.Area((at, low, high), x, [y, "high"]).opts(color=colour, alpha=0.15, line_alpha=0),
            hv.Curve((at, value), x, y, label=name.replace("_", " ")).opts(color=colour, line_width=2),
        ]
        if len(at) <= FEW:
            layers.append(hv.Scatter((at, value), x, y).opts(color=colour, size=6))
    return hv.Overlay(layers).opts(title=title, width=width, height=height, logx=log, legend_position="right", hooks=[PLAIN], **STYLE)
