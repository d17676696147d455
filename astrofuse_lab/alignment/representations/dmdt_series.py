"""DMDT images of evenly sampled channels: for each channel, how its values differ over which times, all pairs of samples counted.

Mahabal et al. 2017 (arXiv:1709.06257) for light curves; Biswas et al. 2019 (arXiv:1910.12143) for monitor channels of LIGO, whose edges no source
at hand gives. Ours are fixed numbers, or quantiles of training data channel by channel (`quantile_edges`). A cell holds its lower edge and not its
upper one; differences beyond the outermost edges count to the outermost cells, since an instability leaves any range.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.machine_code import compiled
from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options, choice
from astrofuse_lab.alignment.representations.dmdt import NORMS, cell_table, normalised
from astrofuse_lab.errors import InputError

Numbers = NDArray[np.float64]
DM = (-8.0, -4.0, -2.5, -1.6, -1.0, -0.6, -0.35, -0.2, -0.1, 0.0, 0.1, 0.2, 0.35, 0.6, 1.0, 1.6, 2.5, 4.0, 8.0)
"""In units of the channels."""
DT = (0.03, 0.09, 0.16, 0.28, 0.47, 0.78, 1.28, 2.03, 3.28, 5.03, 8.03, 13.03, 20.03, 30.03, 60.03)
"""In units of the axis; between multiples of 1/16 s, so that none lies on an edge."""
OPTIONS: Mapping[str, Any] = {"begin": 0.0, "end": 0.0, "channels": [], "dm": [], "dt": [], "norm": "column", "lags": 0}
"""`begin` and `end`: the stretch of the axis that is seen, both 0: all of it. `dm`: one list of edges, or one a channel. `lags`: how many time differences of each
dt cell are counted, evenly spread; 0: all of them. A few give the same shares with a little more noise, in a fraction of the time."""


def stretch_of(axis: Numbers, options: Options) -> slice:
    """The samples that are seen.

    Raises
    ------
    InputError
        For fewer than two of them.
    """
    begin, end = float(options["begin"]), float(options["end"])
    if begin == end == 0:
        return slice(0, len(axis))
    low, high = (int(np.searchsorted(axis, at - 1e-9)) for at in (begin, end))
    if high - low < 2:
        raise InputError(f"dmdt_series: begin={begin:g}, end={end:g} leave {max(high - low, 0)} samples of an axis from {axis[0]:g} to {axis[-1]:g}; two at least.")
    return slice(low, high)


def edges_of(options: Options, channels: int) -> tuple[list[Numbers], Numbers]:
    """dm edges of each channel, and dt edges.

    Raises
    ------
    InputError
        For edges that do not ascend, or lists that are not one a channel.
    """
    given = options["dm"] or list(DM)
    several = isinstance(given[0], list | tuple)
    rows = [_ascending(one, "dm") for one in (given if several else [given])]
    if len(rows) not in (1, channels) or len({len(row) for row in rows}) > 1:
        raise InputError(f"dmdt_series: dm= has {len(rows)} lists of {sorted({len(row) for row in rows})} edges; one for all, or as many for each of {channels} channels.")
    return rows * (channels // len(rows)), _ascending(options["dt"] or DT, "dt")


def _ascending(edges: Sequence[float], name: str) -> Numbers:
    try:
        made = np.array(edges, dtype=np.float64)
    except (TypeError, ValueError):
        made = np.array([])
    if made.ndim != 1 or len(made) < 2 or not np.isfinite(made).all() or (np.diff(made) <= 0).any():
        raise InputError(f"dmdt_series: {name}={str(edges)[:200]}; at least two numbers that ascend.")
    return made


def layout(given: Layout, options: Options) -> Layout:
    """One plane a channel: (channel, dm, dt)."""
    names = tuple(choice("channel of this series", name, given.channels) for name in options["channels"]) or given.channels
    dm, dt = edges_of(options, len(names))
    choice("DMDT norm", options["norm"], NORMS[1:])
    if options["lags"] < 0:
        raise InputError(f"dmdt_series: lags={options['lags']!r}; a number of time differences a cell, or 0 for all.")
    if float(options["begin"]) > float(options["end"]):
        raise InputError(f"dmdt_series: begin={options['begin']!r}, end={options['end']!r}; the first must be less.")
    return Layout("image", names, (len(names), len(dm[0]) - 1, len(dt) - 1))


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Counts of all pairs, by the norm; a channel without a pair inside the dt edges is masked."""
    pick = [given.channels.index(name) for name in options["channels"] or given.channels]
    axis = np.asarray(arrays["axis"], dtype=np.float64)
    part = stretch_of(axis, options)
    values = np.asarray(arrays["values"][:, pick, part], dtype=np.float64)
    good = np.asarray(arrays["mask"][:, pick, part] & np.isfinite(values))
    dm, dt = edges_of(options, len(pick))
    made = counts(np.where(good, values, 0.0), good, _step(axis[part]), dm, dt, int(options["lags"]))
    shape = made.shape
    flat = made.reshape(-1, *shape[2:])
    flux = normalised(flat, options["norm"]).astype(np.float32).reshape(shape)
    seen = (flat.sum(axis=(1, 2)) > 0).reshape(shape[:2])
    return {"flux": flux, "mask": np.broadcast_to(seen[..., None, None], shape).copy(), "present": arrays["present"] & seen.any(axis=1)}


def _step(axis: Numbers) -> float:
    return float(axis[-1] - axis[0]) / (len(axis) - 1)


def counts(values: Numbers, good: NDArray[np.bool_], step: float, dm: Sequence[Numbers], dt: Numbers, lags: int = 0) -> NDArray[np.int32]:
    """Pairs of samples in each cell.

    Parameters
    ----------
    values : array, (object, channel, sample)
    good : bool array, of the same shape
        Pairs of which one is not good are not counted.
    step : float
        Between samples, in units of `dt`.
    dm : sequence of array
        Edges of each channel.
    dt : array
        Edges.
    lags : int
        Of each dt cell; 0: all.

    Returns
    -------
    int32 array, (object, channel, dm, dt)
    """
    samples = values.shape[2]
    column = np.searchsorted(dt, step * np.arange(samples), side="right") - 1
    column[column >= len(dt) - 1] = -1
    column[0] = -1
    if lags:
        for cell in range(len(dt) - 1):
            own = np.flatnonzero(column == cell)
            kept = own[np.unique(np.linspace(0, len(own) - 1, min(lags, len(own))).astype(int))] if len(own) else own
            column[np.setdiff1d(own, kept)] = -1
    out = np.zeros((*values.shape[:2], len(dt) - 1, len(dm[0]) - 1), dtype=np.int32)
    whole = np.asarray(good.all(axis=2))
    for channel, edges in enumerate(dm):
        table, scale = cell_table(edges)
        for i in range(len(values)):
            _count(values[i, channel], good[i, channel], bool(whole[i, channel]), column, edges, table, scale, out[i, channel])
    return np.ascontiguousarray(out.transpose(0, 1, 3, 2))


@compiled
def _count(value: Any, good: Any, whole: bool, column: Any, dm: Any, table: Any, scale: float, out: Any) -> None:
    """Lag by lag: all pairs of one lag lie in one column."""
    samples, low, last = len(value), dm[0], len(dm) - 2
    top = dm[len(dm) - 1]
    for lag in range(1, samples):
        if column[lag] < 0:
            continue
        here = out[column[lag]]
        for i in range(samples - lag):
            if whole or (good[i] and good[i + lag]):
                differ = value[i + lag] - value[i]
                if differ < low:
                    row = 0
                elif differ >= top:
                    row = last
                else:
                    row = table[int((differ - low) * scale)]
                    row += differ >= dm[row + 1]
                here[row] += 1


def quantile_edges(arrays: Arrays, cells: int = 18, begin: float = 0.0, end: float = 0.0, pairs: int = 20_000, seed: int = 0) -> list[list[float]]:
    """dm edges channel by channel, for the option ``dm``: quantiles of the differences of some pairs of samples, so that cells hold as many each.

    Parameters
    ----------
    arrays : dict
        Of a series; training objects only, for what is fitted may not see the others.
    cells : int
    begin, end : float
        As the options.
    pairs : int
        Drawn of each channel.
    seed : int
    """
    if isinstance(cells, bool) or cells < 2:
        raise InputError(f"cells={cells!r}: 2 or more.")
    part = stretch_of(np.asarray(arrays["axis"], dtype=np.float64), {"begin": begin, "end": end})
    values, mask = np.asarray(arrays["values"][..., part], dtype=np.float64), np.asarray(arrays["mask"][..., part])
    rng, made = np.random.default_rng(seed), []
    for channel in range(values.shape[1]):
        row, first, second = (rng.integers(size, size=pairs) for size in (len(values), values.shape[2], values.shape[2]))
        one, other = values[row, channel, first], values[row, channel, second]
        both = mask[row, channel, first] & mask[row, channel, second] & np.isfinite(one) & np.isfinite(other) & (first != second)
        edges = np.unique(np.quantile((other - one)[both], np.linspace(0, 1, cells + 1))) if both.any() else np.array([])
        if len(edges) != cells + 1:
            raise InputError(f"channel {channel} has too few different values for {cells} cells. Give fewer cells, or dm= yourself.")
        made.append([float(edge) for edge in edges])
    return made
