"""Folded views: a light curve over one period, in bins of phase.

Global 201, local 81 over two durations either side, and the half-phase pair 2 x 81, as of Rao et al. 2021 (Nigraha, arXiv:2101.09227)
after Shallue & Vanderburg 2018 (AJ 155, 94). A bin is the median of its epochs; one without any is masked, not filled.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options, choice, epochs, number
from astrofuse_lab.alignment.representations.period_search import METHODS, periods
from astrofuse_lab.errors import InputError

Numbers = NDArray[np.float64]
NORMS = ("depth", "median", "none")
PARTS = {"global": ("",), "local": ("",), "half_phase": ("secondary", "primary")}
COMMON: Mapping[str, Any] = {
    "period": "search", "epoch": "", "norm": "depth", "clip": 10.0, "shortest": 0.1, "longest": 1000.0, "samples_per_peak": 5, "method": "lomb_scargle",
}  # fmt: skip
GLOBAL: Mapping[str, Any] = {"bins": 201, "shift": 0.0, **COMMON}
LOCAL: Mapping[str, Any] = {"bins": 81, "duration": 0.05, "durations": 2.0, **COMMON}
"""`duration`: days by column, or a number: a share of the period."""


def layout_for(view: str) -> Any:
    """The layout of a view: one channel a band, two for the half-phase pair."""

    def layout(given: Layout, options: Options) -> Layout:
        choice("norm of a folded view", options["norm"], NORMS)
        choice("period method", options["method"], METHODS)
        if options["bins"] < 2:
            raise InputError(f"bins={options['bins']!r}: 2 or more.")
        channels = tuple(" ".join(filter(None, (band, part))) for band in given.channels for part in PARTS[view])
        around = "durations" if "durations" in options else "phase"
        return Layout("series", channels, (len(channels), int(options["bins"])), "", around, "")

    return layout


def run_for(view: str) -> Any:
    """The kernel of a view."""

    def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
        objects, bands, bins = len(arrays["offsets"]) - 1, len(given.channels), int(options["bins"])
        period = periods(arrays, options, columns)
        start = _epochs_of(arrays, bands, period, options, columns)
        got = epochs(arrays, bands, magnitudes=False)
        owner = np.repeat(np.arange(objects), np.diff(got.offsets).reshape(objects, bands).sum(axis=1))
        group = np.repeat(np.arange(objects * bands), np.diff(got.offsets))
        with np.errstate(invalid="ignore", divide="ignore"):
            phase = (got.time - start[owner]) / period[owner]
        level = binned_median(got.value, group, objects * bands)
        relative = got.value / level[group] if options["norm"] != "none" else got.value
        made = []
        for part in PARTS[view]:
            if view == "global":
                place = (phase + 0.5 + options["shift"]) % 1.0
            else:
                reach = _reach(options, period, columns)[owner]
                place = ((phase + (0.0 if part == "secondary" else 0.5)) % 1.0 - 0.5) / (2 * reach) + 0.5
            made.append(folded(place, relative, group, objects * bands, bins))
        # the two halves of a pair share one depth: how deep a secondary eclipse is beside the primary one says most
        values = _normed(np.stack(made, axis=1).reshape(objects, bands, -1), options["norm"], float(options["clip"])).reshape(objects, -1, bins)
        mask = np.isfinite(values)
        half = 0.5 if view == "global" else float(options["durations"])
        axis = (np.arange(bins) + 0.5) / bins * 2 * half - half
        return {"axis": axis, "values": np.where(mask, values, 0.0).astype(np.float32), "mask": mask, "present": arrays["present"] & mask.any(axis=(1, 2))}

    return run


def _reach(options: Options, period: Numbers, columns: Columns) -> Numbers:
    """Half the width of a local view, as a share of the period; half a period at most."""
    given = options["duration"]
    share = number(given, "duration", len(period), columns) / (period if isinstance(given, str) else 1.0)
    return np.clip(np.where(share > 0, share, np.nan) * float(options["durations"]), 0, 0.5)


def _epochs_of(arrays: Arrays, bands: int, period: Numbers, options: Options, columns: Columns) -> Numbers:
    """When phase is zero, MJD: as the option says, else at the faintest of 50 bins of the period, all bands together."""
    if options["epoch"] != "":
        return number(options["epoch"], "epoch", len(period), columns)
    got = epochs(arrays, 1, magnitudes=False)
    owner = np.repeat(np.arange(len(period)), np.diff(got.offsets))
    first = got.time[np.minimum(got.offsets[:-1], max(len(got.time) - 1, 0))] if len(got.time) else np.zeros(len(period))
    with np.errstate(invalid="ignore"):
        place = ((got.time - first[owner]) / period[owner]) % 1.0
    depth = folded(place, got.value / binned_median(got.value, owner, len(period))[owner], owner, len(period), 50)
    lowest = np.argmin(np.where(np.isfinite(depth), depth, np.inf), axis=1)
    return np.asarray(first + (lowest + 0.5) / 50 * period)


def _normed(values: Numbers, norm: str, clip: float) -> Numbers:
    """``depth``: lowest bin -1, level 1 (Nigraha), clipped; ``median``: relative flux less one."""
    if norm == "none":
        return values
    values = values - 1
    if norm == "median":
        return values
    with np.errstate(invalid="ignore"):
        lowest = np.where(np.isfinite(values), values, np.inf).min(axis=2, keepdims=True)
    depth = np.where(np.isfinite(lowest) & (lowest < 0), -lowest, np.nan)
    return np.clip(values / depth * 2 + 1, -clip, clip)


def binned_median(values: Numbers, place: NDArray[np.int64], bins: int) -> Numbers:
    """The median of the values in each bin; NaN in an empty one.

    Parameters
    ----------
    values, place : array, (value,)
        `place` is each value's bin, 0 to ``bins - 1``.
    """
    order = np.lexsort((values, place))
    counts = np.bincount(place, minlength=bins)
    begin = np.cumsum(counts) - counts
    out = np.full(bins, np.nan)
    has = counts > 0
    low, high = begin[has] + (counts[has] - 1) // 2, begin[has] + counts[has] // 2
    out[has] = 0.5 * (values[order[low]] + values[order[high]])
    return out


def folded(place: Numbers, values: Numbers, group: NDArray[np.int64], groups: int, bins: int) -> Numbers:
    """Medians in bins along a view: (group, bin), NaN where empty.

    Parameters
    ----------
    place : array, (epoch,)
        0 to 1 along the view; what lies outside, or is NaN, is left out.
    values : array, (epoch,)
    group : int array, (epoch,)
    groups, bins : int
    """
    keep = (place >= 0) & (place < 1) & np.isfinite(values)
    cell = group[keep] * bins + np.minimum((place[keep] * bins).astype(np.int64), bins - 1)
    return binned_median(values[keep], cell, groups * bins).reshape(groups, bins)
