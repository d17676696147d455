"""What does not belong to its series: sigma clipping and running medians, of many series at once.

A *series* is what is judged together, e.g. one band of one object. All series stand end to end in one array, told apart by
an integer each (`series`), in any order.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Bools = NDArray[np.bool_]
Whole = NDArray[np.int64]
MAD_TO_SIGMA = 1.482602218505602
CELLS = 4_000_000
"""Numbers held at once when windows are laid side by side: 32 MB."""


def series_of(owner: Any, band: Any) -> Whole:
    """One integer for each pair of object and band."""
    names, code = np.unique(np.asarray(band), return_inverse=True)
    both = np.asarray(owner, dtype=np.int64) * len(names) + code.ravel()
    return np.asarray(np.unique(both, return_inverse=True)[1].ravel())


def medians(values: Numbers, series: Whole, mask: Bools, count: int) -> Numbers:
    """Median of the good values of each series, (count,); NaN where it has none."""
    order = np.lexsort((values, series, ~mask))[: int(mask.sum())]
    sizes = np.bincount(series[order], minlength=count)
    begin = np.cumsum(sizes) - sizes
    out = np.full(count, np.nan)
    has = sizes > 0
    ranked = values[order]
    out[has] = (ranked[(begin + (sizes - 1) // 2)[has]] + ranked[(begin + sizes // 2)[has]]) / 2
    return out


def sigma_clip(
    values: Any, series: Any, mask: Any, *, low: float = 3.0, high: float = 3.0, iterations: int | None = 5, centre: str = "median", width: str = "std"
) -> Bools:
    """Which values stay when those far from the centre of their series are left out, again and again.

    Parameters
    ----------
    values : array, (epoch,)
    series : int array, (epoch,)
        0 to so many.
    mask : bool array, (epoch,)
        True where good; nothing else is looked at.
    low, high : float
        How many widths below and above the centre.
    iterations : int, optional
        None: until nothing more is left out.
    centre : {"median", "mean"}
    width : {"std", "mad"}
        ``mad``: 1.4826 times the median absolute deviation, which outliers hardly move.

    Returns
    -------
    bool array, (epoch,)
        Equal to ``astropy.stats.sigma_clip`` of each series.
    """
    x, which = np.asarray(values, dtype=np.float64), np.asarray(series, dtype=np.int64)
    keep = np.asarray(mask, dtype=bool) & np.isfinite(x)
    n = int(which.max(initial=-1)) + 1
    x = np.where(keep, x, 0.0)
    rounds = 0
    while iterations is None or rounds < iterations:
        rounds += 1
        size = np.maximum(np.bincount(which, weights=keep, minlength=n), 1)
        mean = np.bincount(which, weights=x * keep, minlength=n) / size
        middle = medians(x, which, keep, n) if centre == "median" else mean
        if width == "mad":
            spread = MAD_TO_SIGMA * medians(np.abs(x - middle[which]), which, keep, n)
        else:
            spread = np.sqrt(np.bincount(which, weights=(x - mean[which]) ** 2 * keep, minlength=n) / size)
        away = x - middle[which]
        left = keep & (away >= -low * spread[which]) & (away <= high * spread[which])
        if left.sum() == keep.sum():
            break
        keep = left
    return keep


def windows(time: Any, series: Any, width: float, at: Any | None = None, at_series: Any | None = None) -> tuple[Whole, Whole, Whole]:
    """For each moment, the epochs of its own series at most half a width away.

    Parameters
    ----------
    time, series : array, (epoch,)
    width : float
    at, at_series : array, (moment,), optional
        None: at the epochs themselves.

    Returns
    -------
    order : int array, (epoch,)
        Epochs by series and time.
    begin, end : int array, (moment,)
        The window in that order.
    """
    t, s = np.asarray(time, dtype=np.float64), np.asarray(series, dtype=np.int64)
    when, whose = (t, s) if at is None else (np.asarray(at, dtype=np.float64), np.asarray(at_series, dtype=np.int64))
    order = np.lexsort((t, s))
    if not len(t):
        return order, np.zeros(len(when), dtype=np.int64), np.zeros(len(when), dtype=np.int64)
    zero = min(t.min(), when.min(initial=np.inf))
    # series are laid along one line, so far apart that no window reaches from one into the next
    apart = max(t.max(), when.max(initial=-np.inf)) - zero + 2 * width + 1
    line = t[order] - zero + s[order] * apart
    place = when - zero + whose * apart
    return order, np.searchsorted(line, place - width / 2, "left").astype(np.int64), np.searchsorted(line, place + width / 2, "right").astype(np.int64)


def side_by_side(values: Numbers, begin: Whole, end: Whole) -> Iterator[tuple[slice, Numbers]]:
    """Windows of `values` as rows padded with NaN, a block of rows at a time."""
    at = 0
    while at < len(begin):
        longest = np.maximum.accumulate(np.maximum(end[at:] - begin[at:], 1))
        rows = max(1, int(np.searchsorted(longest * np.arange(1, len(longest) + 1), CELLS, "right")))
        part = slice(at, at + rows)
        index = begin[part, None] + np.arange(int(longest[rows - 1]))
        inside = index < end[part, None]
        yield part, np.where(inside, values[np.minimum(index, len(values) - 1)], np.nan)
        at += rows


def row_medians(rows: Numbers) -> Numbers:
    """Medians of rows without their NaNs; NaN where there is nothing else."""
    ranked = np.sort(rows, axis=1)  # NaN last
    n = np.isfinite(rows).sum(axis=1)
    pick = lambda i: np.take_along_axis(ranked, np.maximum(i, 0)[:, None], axis=1)[:, 0]  # noqa: E731
    return np.asarray(np.where(n > 0, (pick((n - 1) // 2) + pick(n // 2)) / 2, np.nan))


def running_median(time: Any, values: Any, series: Any, mask: Any, width: float) -> Numbers:
    """Median of the good values of the same series at most half a width away in time: (epoch,), NaN where there is none."""
    x, good = np.asarray(values, dtype=np.float64), np.asarray(mask, dtype=bool)
    order, begin, end = windows(time, series, width)
    ranked = np.where(good, x, np.nan)[order]
    out = np.full(len(x), np.nan)
    for part, rows in side_by_side(ranked, begin, end):
        out[part] = row_medians(rows)
    return out


def far_from_neighbours(time: Any, values: Any, errors: Any, series: Any, mask: Any, *, width: float, sigma: float = 5.0) -> Bools:
    """Which good values are at most `sigma` from the running median of their series.

    A width counts the error of the epoch and the scatter of its series about the median (1.4826 MAD), whichever is larger,
    so that a noisy series does not lose half of itself. An epoch alone in its window stays.

    Parameters
    ----------
    time, values, errors : array, (epoch,)
    series : int array, (epoch,)
    mask : bool array, (epoch,)
    width : float
        Days.
    sigma : float
    """
    x, good, which = np.asarray(values, dtype=np.float64), np.asarray(mask, dtype=bool), np.asarray(series, dtype=np.int64)
    away = np.abs(x - running_median(time, x, which, good, width))
    known = good & np.isfinite(away)
    n = int(which.max(initial=-1)) + 1
    scatter = MAD_TO_SIGMA * medians(np.where(known, away, 0.0), which, known, n)
    spread = np.maximum(np.asarray(errors, dtype=np.float64), scatter[which])
    return good & ~(known & (away > sigma * spread))
