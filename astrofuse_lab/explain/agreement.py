"""What a map may be trusted with: neighbours kept and invented, stability over seeds, and how far spaces agree with each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.explain.neighbourhoods import mean_interval, nearest, shared

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[Any]
Badge = dict[str, Any]
"""``name``, ``value``, ``low``, ``high`` (95 %, NaN where there is none) and ``says``, one sentence."""
CHUNK = 256


def trust_of_each(vectors: Array, plane: Array, k: int) -> NDArray[np.float64]:
    """Each sample's part of trustworthiness, (n,); their mean is that of Venna & Kaski 2001 (doi:10.1007/3-540-44668-0_68).

    One less the ranks, in the space, by which the k neighbours on the plane lie beyond the k nearest; scaled so that the worst is 0.

    Parameters
    ----------
    vectors : array, (n, width)
    plane : array, (n, 2)
    k : int
        Less than half of n.
    """
    n = len(vectors)
    if k < 1 or k >= n / 2:
        return np.full(n, np.nan)
    near = nearest(plane, k)[0]
    points = np.asarray(vectors, dtype=np.float64)
    points = points - points.mean(0)
    length = (points**2).sum(1)
    beyond = np.empty(n)
    for begin in range(0, n, CHUNK):
        rows = np.arange(begin, min(begin + CHUNK, n))
        distance = length[rows, None] + length - 2 * points[rows] @ points.T
        distance[np.arange(len(rows)), rows] = -np.inf  # itself has rank 0
        own = np.take_along_axis(distance, near[rows], 1)
        rank = np.stack([(distance < own[:, j, None]).sum(1) for j in range(k)], 1)
        beyond[rows] = np.maximum(rank - k, 0).sum(1)
    return np.asarray(1 - 2 * beyond / (k * (2 * n - 3 * k - 1)))


def kept_of_each(vectors: Array, plane: Array, k: int) -> NDArray[np.float64]:
    """Share of each sample's k nearest in the space that are among its k nearest on the plane, (n,)."""
    return shared(nearest(vectors, k)[0], nearest(plane, k)[0])


def turned(plane: Array, onto: Array, fit: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """A plane turned, mirrored and shifted, never stretched, to lie as near as it can to another (orthogonal Procrustes; Schönemann 1966).

    Parameters
    ----------
    plane, onto : array, (n, 2)
    fit : bool array, (n,), optional
        The rows to go by. None: those that are finite in both.
    """
    both = np.isfinite(plane).all(1) & np.isfinite(onto).all(1)
    both = both if fit is None else both & fit
    if both.sum() < 2:
        return np.asarray(plane, dtype=np.float32)
    a, b = np.asarray(plane, np.float64), np.asarray(onto, np.float64)
    middle, there = a[both].mean(0), b[both].mean(0)
    left, _, right = np.linalg.svd((a[both] - middle).T @ (b[both] - there))
    return np.asarray((a - middle) @ (left @ right) + there, dtype=np.float32)


def unlike(first: Array, second: Array) -> float:
    """Procrustes disparity of two planes: the share of the spread that no turn, shift and scale removes; 0 the same, 1 nothing in common."""
    a, b = (x - x.mean(0) for x in (np.asarray(first, np.float64), np.asarray(second, np.float64)))
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float("nan") if size == 0 else float(1 - (np.linalg.svd(a.T @ b, compute_uv=False).sum() / size) ** 2)


def plane_badges(vectors: Array, plane: Array, k: int, of: int) -> list[Badge]:
    """What can be said of one map at once.

    Parameters
    ----------
    vectors, plane : array, (n, width), (n, 2)
        The samples looked at.
    k : int
    of : int
        How many samples the map has.
    """
    n = len(vectors)
    drawn = f" (of {n} samples drawn from {of})" if n < of else ""
    count = min(k, (n - 1) // 2)
    names = ("trustworthiness", "neighbours kept")
    if count < 1:
        few = f"{n} samples are too few to say"
        return [{"name": name, "value": float("nan"), "low": float("nan"), "high": float("nan"), "says": few} for name in names]
    trust, kept = mean_interval(trust_of_each(vectors, plane, count)), mean_interval(kept_of_each(vectors, plane, count))
    chance = count / (n - 1)
    says = (
        f"near each other on the map, near each other in the space: 1 all, 0 none{drawn}",
        f"of the {count} nearest in the space, the share that is nearest on the map too; {chance:.2g} by chance{drawn}",
    )
    return [
        {"name": name, "value": found[0], "low": found[1], "high": found[2], "says": text} for name, found, text in zip(names, (trust, kept), says, strict=True)
    ]


def seed_badges(planes: list[Array], k: int, of: int) -> list[Badge]:
    """How far maps of the same samples from several seeds agree: neighbours in common, and the spread that no turn explains."""
    n, pairs = len(planes[0]), [(a, b) for i, a in enumerate(planes) for b in planes[i + 1 :]]
    count = min(k, max(n - 1, 0))
    drawn = f" (of {n} samples drawn from {of}, whose map is their own)" if n < of else ""
    each = np.mean([shared(nearest(a, count)[0], nearest(b, count)[0]) for a, b in pairs], 0) if count else np.full(n, np.nan)
    value, low, high = mean_interval(each)
    shifts = [unlike(a, b) for a, b in pairs]
    return [
        {"name": "seed stability", "value": value, "low": low, "high": high,
         "says": f"share of the {count} nearest on the map that stay so with another seed, {len(planes)} seeds{drawn}"},
        {"name": "seed shift", "value": float(np.mean(shifts)), "low": float(min(shifts)), "high": float(max(shifts)),
         "says": f"share of the layout that another seed changes, turns aside: 0 none, 1 all; low and high are the extremes of {len(pairs)} pairs{drawn}"},
    ]  # fmt: skip


# ---- between spaces ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Complementarity:
    """How far neighbours differ from space to space: what one modality sees and another does not.

    Attributes
    ----------
    spaces : tuple of str
    overlap, low, high : float64 array, (space, space)
        Mean share of the k nearest that two spaces have in common, among samples that have both, and its 95 % interval; 1 on the diagonal.
    chance : float64 array, (space, space)
        The same for spaces that have nothing to do with each other, k / (n - 1).
    count : int array, (space, space)
        Samples compared.
    per_sample : float32 array, (space, space, n)
        Of each sample; NaN where it lacks a space or was not drawn.
    jaccard : float64 array, (space, space)
        Mean of common over all neighbours of the two.
    k : int
    object_ids : str array, (n,)
    """

    spaces: tuple[str, ...]
    overlap: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    chance: NDArray[np.float64]
    count: NDArray[np.int64]
    per_sample: NDArray[np.float32]
    jaccard: NDArray[np.float64]
    k: int
    object_ids: NDArray[np.str_]

    def between(self, first: str, second: str) -> NDArray[np.float32]:
        """Share of common neighbours of each sample, (n,): low where the two tell different things about it."""
        for space in (first, second):
            if space not in self.spaces:
                raise UnknownNameError("space", space, self.spaces)
        return self.per_sample[self.spaces.index(first), self.spaces.index(second)]

    def table(self) -> "Table":
        """One row a pair of spaces: overlap with interval, Jaccard, chance, samples."""
        from astropy.table import Table

        rows = [(i, j) for i in range(len(self.spaces)) for j in range(i + 1, len(self.spaces))]
        columns = {name: [float(getattr(self, name)[i, j]) for i, j in rows] for name in ("overlap", "low", "high", "jaccard", "chance")}
        table = Table({"space": [self.spaces[i] for i, _ in rows], "other": [self.spaces[j] for _, j in rows], **columns})
        table["samples"] = [int(self.count[i, j]) for i, j in rows]
        table.meta.update(k=self.k)
        return table

    def __repr__(self) -> str:
        pairs = [f"{a}/{b} {self.overlap[i, j]:.2f}" for i, a in enumerate(self.spaces) for j, b in enumerate(self.spaces) if i < j]
        return f"Complementarity(share of the {self.k} nearest in common: {', '.join(pairs)})"


def complementarity(vectors: Mapping[str, Array], present: Mapping[str, Array], object_ids: Array, k: int, most: int, seed: int) -> Complementarity:
    """Compare every pair of spaces, on at most `most` samples that have both; see `Complementarity`."""
    spaces = tuple(vectors)
    size, n = len(spaces), len(object_ids)
    square = np.full((size, size), np.nan)
    overlap, low, high, chance, jaccard = (square.copy() for _ in range(5))
    count = np.zeros((size, size), dtype=np.int64)
    each = np.full((size, size, n), np.nan, dtype=np.float32)
    for i, first in enumerate(spaces):
        for j in range(i, size):
            both = np.flatnonzero(present[first] & present[spaces[j]])
            if len(both) > most:
                both = np.sort(np.random.default_rng(seed).choice(both, most, replace=False))
            near = min(k, len(both) - 1)
            count[i, j] = count[j, i] = len(both)
            if near < 1:
                continue
            common = np.ones(len(both)) if i == j else shared(nearest(vectors[first][both], near)[0], nearest(vectors[spaces[j]][both], near)[0])
            values = (*mean_interval(common), near / (len(both) - 1), float((common / (2 - common)).mean()))
            for square, value in zip((overlap, low, high, chance, jaccard), values, strict=True):
                square[i, j] = square[j, i] = value
            each[i, j, both] = each[j, i, both] = common
    return Complementarity(spaces, overlap, low, high, chance, count, each, jaccard, k, np.asarray(object_ids))
