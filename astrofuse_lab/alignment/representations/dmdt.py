"""DMDT images: how magnitudes differ (dm) over which times (dt), all pairs of epochs counted on published edges.

Mahabal et al. 2017 (arXiv:1709.06257). A cell holds its lower edge and not its upper one; pairs outside the edges are not counted.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.alignment.machine_code import compiled
from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options, choice, epochs
from astrofuse_lab.errors import InputError


class Edges(NamedTuple):
    """Edges of the cells, magnitudes and days, ascending; the norm that was published with them."""

    dm: tuple[float, ...]
    dt: tuple[float, ...]
    norm: str
    source: str


def _days(*edges: float | str) -> tuple[float, ...]:
    return tuple(float(Fraction(edge)) if isinstance(edge, str) else float(edge) for edge in edges)


def _both_signs(*edges: float) -> tuple[float, ...]:
    return (*(-edge for edge in reversed(edges)), 0.0, *edges)


_ZTF_DM = _both_signs(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.25, 1.5, 2, 2.5, 3, 4.5, 8)
_LONG_DT = _days(0, "4/145", "1/25", "2/25", "3/25", 0.3, 0.75, 1, 1.5, 2.5, 3.5, 4.5, 5.5, 7, 10, 20, 30, 45, 60, 90, 120, 180, 240, 360, 500, 650, 2000)
EDGES: dict[str, Edges] = {
    "crts": Edges(
        _both_signs(0.1, 0.2, 0.3, 0.5, 1, 1.5, 2, 2.5, 3, 5, 8),
        _days(0, "1/145", "2/145", "3/145", "4/145", "1/25", "2/25", "3/25", 1.5, 2.5, 3.5, 4.5, 5.5, 7, 10, 20, 30, 60, 90, 120, 240, 600, 960, 2000, 4000),
        "255", "Mahabal et al. 2017, arXiv:1709.06257 (22 x 24)",
    ),
    "ztf_long": Edges(_both_signs(0.05, 0.1, 0.2, 0.3, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 8), _LONG_DT, "l2", "kowalski, ztf v20200205 (26 x 26)"),
    "ztf": Edges(
        _ZTF_DM,
        _days(0, "4/145", "1/25", "2/25", "3/25", 0.3, 0.5, 0.75, 1, 1.5, 2.5, 3.5, 4.5, 5.5, 7, 10, 20, 30, 45, 60, 75, 90, 120, 150, 180, 210, 240),
        "l2", "kowalski, ztf v20200318 (26 x 26)",
    ),
    "scope": Edges(_ZTF_DM, (0.0, 0.02759, *_LONG_DT[2:]), "l2", "Healy et al. 2024, arXiv:2312.00143, SCoPe's configuration (26 x 26)"),
    "ccsnscore": Edges(
        _both_signs(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.25, 1.5, 2, 2.5, 3, 4.5),
        _days(0, "1/24", "4/24", 0.25, 0.5, 0.75, 1, 2, 3, 6, 9, 12, 15, 24, 33, 48, 63, 72, 96, 126, 153, 180, 216, 255, 300),
        "sum", "Sharma et al. 2024, arXiv:2412.08601 (24 x 24)",
    ),
}  # fmt: skip
NORMS = ("published", "none", "l2", "sum", "255", "column")
MOST_CELLS = 2**20
"""Of the table that finds a dm's cell."""
ENOUGH = 256
"""Curves worth a thread."""


def edges_of(options: Options) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """dm edges, dt edges and norm of some options.

    Raises
    ------
    InputError
        For an unknown name, or own edges that do not ascend.
    """
    known = EDGES[choice("DMDT edges", options["edges"], EDGES)]
    made = []
    for name, published in (("dm", known.dm), ("dt", known.dt)):
        edges = np.array(options[name] or published, dtype=np.float64)
        if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise InputError(f"dmdt: {name}={options[name]!r}; at least two numbers that ascend.")
        if name == "dm" and np.diff(edges).min() * MOST_CELLS < 2 * (edges[-1] - edges[0]):
            raise InputError(f"dmdt: dm={options[name]!r}; cells differ in width by more than a factor of {MOST_CELLS // 2}. Give coarser edges.")
        made.append(edges)
    norm = choice("DMDT norm", options["norm"], NORMS)
    return made[0], made[1], known.norm if norm == "published" else norm


def layout(given: Layout, options: Options) -> Layout:
    """One image a band: (band, dm, dt)."""
    dm, dt, _ = edges_of(options)
    return Layout("image", given.channels, (len(given.channels), len(dm) - 1, len(dt) - 1))


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """DMDT images of light curves, one a band; a band without a pair of epochs inside the edges is masked."""
    dm, dt, norm = edges_of(options)
    bands = len(given.channels)
    got = epochs(arrays, bands, magnitudes=True)
    made = counts(got.time, got.value, got.offsets, dm, dt)
    shape = (len(arrays["offsets"]) - 1, bands, len(dm) - 1, len(dt) - 1)
    seen = (made.sum(axis=(1, 2)) > 0).reshape(shape[:2])
    flux = normalised(made, norm).astype(np.float32).reshape(shape)
    return {"flux": flux, "mask": np.broadcast_to(seen[..., None, None], shape).copy(), "present": arrays["present"] & seen.any(axis=1)}


def counts(
    time: NDArray[np.float64], magnitude: NDArray[np.float64], offsets: NDArray[np.int64], dm: NDArray[np.float64], dt: NDArray[np.float64]
) -> NDArray[np.int32]:
    """Pairs of epochs in each cell of the (dm, dt) plane.

    Parameters
    ----------
    time : array, (epoch,)
        Days, ascending within each curve.
    magnitude : array, (epoch,)
        dm is that of the later epoch minus that of the earlier one.
    offsets : int array, (curve + 1,)
    dm, dt : array
        Edges, ascending.

    Returns
    -------
    int32 array, (curve, dm, dt)
    """
    table, scale = cell_table(dm)
    out = np.zeros((len(offsets) - 1, len(dt) - 1, len(dm) - 1), dtype=np.int32)
    # torch's count: asking numba for its own changes that of torch in this thread alone, and results to the bit with it
    parts = np.linspace(0, len(out), min(torch.get_num_threads(), max(1, len(out) // ENOUGH)) + 1).astype(int)
    work = [(time, magnitude, offsets[b : e + 1], dm, dt, table, scale, out[b:e]) for b, e in pairwise(parts)]
    if len(work) == 1:
        _count(*work[0])
    else:
        with ThreadPoolExecutor(len(work)) as pool:
            list(pool.map(lambda one: _count(*one), work))
    return np.ascontiguousarray(out.transpose(0, 2, 1))


def cell_table(dm: NDArray[np.float64]) -> tuple[NDArray[np.int32], float]:
    """The cell of each of many even steps from the first edge on, and steps per unit: a difference lies in the cell found so, or in the next."""
    low = dm[0]
    # a step is narrower than any cell: it holds one edge at most
    cells = int(min(max(1024, 2 * (dm[-1] - low) / np.diff(dm).min()), MOST_CELLS))
    scale = float(cells / (dm[-1] - low))
    return np.clip(np.searchsorted(dm, low + np.arange(cells + 1) / scale - 1e-9, side="right") - 1, 0, len(dm) - 2).astype(np.int32), scale


@compiled
def _count(time: Any, magnitude: Any, offsets: Any, dm: Any, dt: Any, table: Any, scale: float, out: Any) -> None:
    """For each epoch the later ones in turn: their dt only grows, so its cell is found by going on; that of dm by a table."""
    low, high = dm[0], dm[-1]
    for curve in range(len(offsets) - 1):
        end = offsets[curve + 1]
        for i in range(offsets[curve], end):
            j, now, here = i + 1, time[i], magnitude[i]
            while j < end and time[j] - now < dt[0]:
                j += 1
            for cell in range(len(dt) - 1):
                column, until = out[curve, cell], dt[cell + 1]
                while j < end and time[j] - now < until:
                    differ = magnitude[j] - here
                    j += 1
                    if low <= differ < high:
                        row = table[int((differ - low) * scale)]
                        row += differ >= dm[row + 1]
                        column[row] += 1


def normalised(made: NDArray[Any], norm: str) -> NDArray[np.float64]:
    """Counts by one of `NORMS`: (curve, dm, dt).

    ``255``: floor(255 shares + 0.99999), so that one pair is seen: 0 to 255 as of Mahabal et al. 2017 (whose rounding no source at hand confirms); ``l2``: over the root of the sum of
    squares; ``sum``: shares, times the number of dm edges and of dt edges (Sharma et al. 2024); ``column``: shares among pairs of one dt.
    """
    values = made.astype(np.float64)
    if norm == "none":
        return values
    if norm == "l2":
        size = np.sqrt((values**2).sum(axis=(1, 2), keepdims=True))
        return np.asarray(values / np.maximum(size, 1e-300))
    if norm == "column":
        return np.asarray(values / np.maximum(values.sum(axis=1, keepdims=True), 1))
    shares = values / np.maximum(values.sum(axis=(1, 2), keepdims=True), 1)
    return np.asarray(np.floor(255 * shares + 0.99999)) if norm == "255" else shares * (values.shape[1] + 1) * (values.shape[2] + 1)


OPTIONS: Mapping[str, Any] = {"edges": "crts", "dm": [], "dt": [], "norm": "published"}
