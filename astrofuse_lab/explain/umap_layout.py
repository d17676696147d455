"""UMAP from neighbours to the plane (McInnes, Healy & Melville 2018, arXiv:1802.03426), in a form that is the same on any number of threads.

What differs from umap-learn, and why:

- In each epoch every point moves itself, by the places that the others had when the epoch began. So points can be shared out among threads
  and the answer stays the same, while umap-learn has to keep to one thread to honour a seed.
- It begins with the principal plane, not with eigenvectors of the graph: quicker, never random, and the map grows out of the one that was
  shown before (Kobak & Linderman 2021, doi:10.1038/s41587-020-00809-z).
- Forces depend on the squared distance alone, so they are read from a table with 128 entries for each doubling instead of taking powers.
- Nothing is compiled for searching neighbours, which arrive as they are: the first call takes seconds less.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.machine_code import compiled

Array = NDArray[Any]
NEGATIVES = 5
"""Points pushed away for each that is drawn nearer."""
MANY, LONG, SHORT = 10_000, 500, 200
"""Points above which `SHORT` epochs do, else `LONG`, as in umap-learn."""
FIRST_BITS, LAST_BITS, STEPS = 0x2D800000, 0x4F000000, 16
"""Squared distances of the table, 2^-36 to 2^31, as bits of a float32; bits of the fraction that are dropped: 2^7 entries a doubling."""
FEW = 2000
"""Points below which sharing them out costs more than it saves."""


def curve(min_dist: float = 0.1, spread: float = 1.0) -> tuple[float, float]:
    """a and b of 1 / (1 + a d^2b), fitted to a membership that is 1 below `min_dist` and falls off over `spread` (section 3.2 there).

    Gauss-Newton steps, damped, in log a and b.
    """
    d = np.linspace(0, 3 * spread, 300)[1:]
    wanted = np.where(d < min_dist, 1.0, np.exp(-(d - min_dist) / spread))

    def left(at: Array) -> tuple[Array, Array]:
        power = np.exp(at[0]) * d ** (2 * at[1])
        value = 1 / (1 + power)
        slope = -power * value**2
        return value - wanted, np.stack([slope, slope * 2 * np.log(d)], 1)

    at, damping = np.array([0.0, 1.0]), 1e-3
    for _ in range(100):
        error, slopes = left(at)
        normal = slopes.T @ slopes
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), slopes.T @ error)
        better = (left(at - step)[0] ** 2).sum() < (error**2).sum()
        at, damping = (at - step, damping / 3) if better else (at, damping * 3)
        if np.abs(step).max() < 1e-12:
            break
    return float(np.exp(at[0])), float(at[1])


def memberships(distance: Array) -> NDArray[np.float32]:
    """How much each neighbour belongs to a point, (n, k), 1 for the nearest: exp(-(d - rho) / sigma), sigma such that the sum is log2(k + 1).

    Parameters
    ----------
    distance : array, (n, k)
        To the neighbours, ascending; a point is no neighbour of its own.
    """
    far = np.asarray(distance, dtype=np.float64)
    target = np.log2(far.shape[1] + 1)
    real = far > 0
    nearest = np.where(real.any(1), far[np.arange(len(far)), real.argmax(1)], 0.0)
    beyond = np.maximum(far - nearest[:, None], 0)
    low, high, sigma = np.zeros(len(far)), np.full(len(far), np.inf), np.ones(len(far))
    for _ in range(64):
        total = np.exp(-beyond / sigma[:, None]).sum(1)
        if (np.abs(total - target) < 1e-5).all():
            break
        high, low = np.where(total > target, sigma, high), np.where(total > target, low, sigma)
        sigma = np.where(np.isinf(high), sigma * 2, (low + high) / 2)
    floor = 1e-3 * np.where(nearest > 0, far.mean(1), far.mean())
    sigma = np.maximum(np.maximum(sigma, floor), 1e-300)
    return np.exp(-beyond / sigma[:, None]).astype(np.float32)


def graph(near: Array, weight: Array) -> tuple[Array, Array, Array]:
    """The union of what each says of the other, w + w' - w w', as rows: begins, (n + 1,), neighbours and weights of both directions."""
    n, k = near.shape
    heads = np.repeat(np.arange(n, dtype=np.int64), k)
    said = weight.ravel() > 0
    heads, tails, given = heads[said], near.ravel()[said].astype(np.int64), weight.ravel()[said]
    keys = heads * n + tails
    order = np.argsort(keys)
    keys, given = keys[order], given[order]
    back = tails * n + heads
    every = np.unique(np.concatenate([keys, back]))
    here, there = _looked_up(keys, given, every), _looked_up(keys, given, (every % n) * n + every // n)
    begins = np.searchsorted(every, np.arange(n + 1, dtype=np.int64) * n)
    return begins.astype(np.int64), (every % n).astype(np.int32), (here + there - here * there).astype(np.float32)


def _looked_up(keys: Array, values: Array, wanted: Array) -> Array:
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray(np.where(keys[place] == wanted, values[place], 0.0))


def forces(a: float, b: float) -> NDArray[np.float32]:
    """Coefficients of the difference of two points, (entry, 2): drawn nearer, pushed away; by the bits of the squared distance."""
    bits = np.arange(FIRST_BITS >> STEPS, (LAST_BITS >> STEPS) + 1, dtype=np.int32) << STEPS
    square = (bits + (1 << (STEPS - 1))).view(np.float32).astype(np.float64)  # the middle of each entry
    power = square**b
    nearer = -2 * a * b * power / (square * (1 + a * power))
    away = 2 * b / ((0.001 + square) * (1 + a * power))
    return np.ascontiguousarray(np.stack([nearer, away], 1).astype(np.float32))


@compiled
def move(begin: int, end: int, epoch: int, rate: float, seed: int, old: Array, new: Array, begins: Array, tails: Array, every: Array, due: Array, table: Array) -> None:
    """One epoch of the points from `begin` to `end`.

    Parameters
    ----------
    old, new : float32 array, (n, 2)
        Places at the beginning of the epoch, and after it.
    begins, tails : array
        The graph, row by row.
    every, due : float32 array, (edges,)
        Epochs from one turn of an edge to its next, and when that is.
    """
    n = len(old)
    one = np.empty(1, np.float32)
    bits = one.view(np.int32)
    limit, step = np.float32(4.0), np.float32(rate)
    last = len(table) - 1
    for i in range(begin, end):
        x, y = old[i, 0], old[i, 1]
        state = np.uint64(seed) ^ (np.uint64(epoch) << np.uint64(40)) ^ np.uint64(i)
        for _ in range(2):  # neighbouring numbers give unlike ones (splitmix64; Steele et al. 2014)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        for e in range(begins[i], begins[i + 1]):
            if due[e] > epoch:
                continue
            due[e] += every[e]
            j = tails[e]
            for _ in range(2):  # once for each direction of the edge
                dx, dy = x - old[j, 0], y - old[j, 1]
                one[0] = dx * dx + dy * dy
                g = table[min(max((bits[0] - FIRST_BITS) >> STEPS, 0), last), 0]
                x += step * min(max(g * dx, -limit), limit)
                y += step * min(max(g * dy, -limit), limit)
            sx, sy = np.float32(0.0), np.float32(0.0)
            for _ in range(NEGATIVES):
                state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                other = np.int64(((state >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))
                if other != i:
                    dx, dy = x - old[other, 0], y - old[other, 1]
                    one[0] = dx * dx + dy * dy
                    g = table[min(max((bits[0] - FIRST_BITS) >> STEPS, 0), last), 1]
                    sx += min(max(g * dx, -limit), limit)
                    sy += min(max(g * dy, -limit), limit)
            x += step * sx
            y += step * sy
        new[i, 0], new[i, 1] = x, y


def layout(near: Array, distance: Array, start: Array, seed: int = 0, epochs: int | None = None, threads: int | None = None) -> NDArray[np.float32]:
    """Coordinates of points from their neighbours, (n, 2) float32.

    Parameters
    ----------
    near, distance : array, (n, k)
        Positions of the neighbours and distances to them, nearest first.
    start : array, (n, 2)
        Where the points begin.
    seed : int
    epochs : int, optional
        None: 500 up to 10,000 points, else 200.
    threads : int, optional
        None: one a core. The answer does not depend on it.
    """
    n = len(near)
    epochs = (LONG if n <= MANY else SHORT) if epochs is None else int(epochs)
    begins, tails, weight = graph(near, memberships(distance))
    strongest = max(float(weight.max(initial=0.0)), 1e-30)
    every = np.where(weight >= strongest / epochs, strongest / np.maximum(weight, 1e-30), 2.0 * epochs).astype(np.float32)
    due, table = every.copy(), forces(*curve())
    luck = np.random.default_rng(seed)
    # twins would lie on top of each other for ever
    old = np.ascontiguousarray(start + luck.normal(0, 1e-4, (n, 2)), dtype=np.float32)
    new = old.copy()
    mixed = int(luck.integers(2**62))
    workers = 1 if n < FEW else threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    cuts = np.linspace(0, n, (1 if workers == 1 else 4 * workers) + 1).astype(int).tolist()
    with ThreadPoolExecutor(workers) as pool:
        for epoch in range(epochs):
            given: Any = (epoch, 1.0 - epoch / epochs, mixed, old, new, begins, tails, every, due, table)
            if workers == 1:
                move(0, n, *given)
            else:
                done = [pool.submit(move, first, last, *given) for first, last in itertools.pairwise(cuts)]
                for one in done:
                    one.result()
            old, new = new, old
    return old
