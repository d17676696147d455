"""Nearest neighbours of vectors, exactly, in blocks that fit a small memory; and how far two neighbourhoods agree."""

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab import memory

GROUP = 32
"""Columns whose smallest distance is looked at first: the k nearest lie in the k groups with the smallest."""
SPARE = 4
"""Neighbours looked at beyond those asked for, since the first look rounds."""
Array = NDArray[Any]


class Stopped(Exception):
    """Stop was pressed."""


def nearest(
    vectors: NDArray[np.floating[Any]], k: int, queries: NDArray[np.floating[Any]] | None = None, *,
    device: str | torch.device = "cpu", stop: threading.Event | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:  # fmt: skip
    """The k nearest vectors of each, by Euclidean distance, nearest first; exact, all pairs being looked at.

    Parameters
    ----------
    vectors : array, (n, width)
        Finite.
    k : int
        Fewer are given where there are fewer.
    queries : array, (q, width), optional
        None: the vectors themselves, each left out of its own neighbours, identical twins or not.
    device : str
        Where the products are taken.
    stop : threading.Event, optional

    Returns
    -------
    near : int64 array, (q, k)
    distance : float32 array, (q, k)

    Raises
    ------
    Stopped
    """
    own = queries is None
    count = max(0, min(int(k), len(vectors) - own))
    asked = np.asarray(vectors if queries is None else queries, dtype=np.float32)
    if count == 0 or len(asked) == 0:
        return np.zeros((len(asked), count), dtype=np.int64), np.zeros((len(asked), count), dtype=np.float32)
    middle = np.asarray(vectors, dtype=np.float64).mean(0).astype(np.float32)  # small numbers lose less in a square
    points = torch.from_numpy(np.asarray(vectors, dtype=np.float32) - middle).to(device)
    from_ = points if own else torch.from_numpy(asked - middle).to(device)
    half = 0.5 * points.square().sum(1)
    rows = row_budget(len(points), (count + SPARE) * points.shape[1])
    near, far = [], []
    for begin in range(0, len(from_), rows):
        if stop is not None and stop.is_set():
            raise Stopped
        block = from_[begin : begin + rows]
        score = torch.addmm(half, block, points.T, alpha=-1.0)  # half the squared distance, less the block's own length
        if own:
            score.diagonal(begin).fill_(torch.inf)
        chosen = smallest(score, min(count + SPARE, len(points) - own))
        distance = (points[chosen] - block[:, None]).double().square().sum(2).sqrt()
        distance, order = distance.sort(dim=1, stable=True)
        near.append(chosen.gather(1, order)[:, :count].cpu().numpy())
        far.append(distance[:, :count].float().cpu().numpy())
    return np.concatenate(near), np.concatenate(far)


def row_budget(columns: int, differences: int) -> int:
    """Rows of a block: some 100 MB of scores, or of differences; a quarter of it on a small server."""
    return int(np.clip((6 if memory.small() else 25) * 10**6 // max(columns, 2 * differences, 1), 16, 2048))


def smallest(score: torch.Tensor, count: int) -> torch.Tensor:
    """Columns of the `count` smallest of each row, (row, count), in the order of the columns."""
    columns = score.shape[1]
    groups = columns // GROUP
    if groups <= 4 * count:
        return score.topk(count, 1, largest=False).indices.sort(1).values
    whole = groups * GROUP
    least = score[:, :whole].view(len(score), GROUP, groups).amin(1)  # a group: every groups-th column, which is quick to reduce
    first = least.topk(count, 1, largest=False).indices
    candidates = (first[:, :, None] + groups * torch.arange(GROUP, device=score.device)).flatten(1)
    rest = torch.arange(whole, columns, device=score.device).expand(len(score), -1)
    candidates = torch.cat([candidates, rest], 1)
    best = score.gather(1, candidates).topk(count, 1, largest=False).indices
    return candidates.gather(1, best).sort(1).values


def shared(first: Array, second: Array) -> NDArray[np.float64]:
    """Share of each row's neighbours that both have, (n,): 1 all, 0 none; of rows of the same length, any order."""
    if first.shape[1] == 0:
        return np.full(len(first), np.nan)
    out = np.empty(len(first))
    step = max(1, 4_000_000 // first.shape[1] ** 2)
    for begin in range(0, len(first), step):
        rows = slice(begin, begin + step)
        out[rows] = (first[rows, :, None] == second[rows, None, :]).any(2).mean(1)
    return out


def mean_interval(values: Array) -> tuple[float, float, float]:
    """Mean and its 95 % interval, values taken as independent: mean -/+ 1.96 standard errors, kept within 0 and 1."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan"), float("nan")
    mean = float(known.mean())
    if len(known) < 2:
        return mean, float("nan"), float("nan")
    half = 1.96 * float(known.std(ddof=1)) / float(np.sqrt(len(known)))
    return mean, max(0.0, mean - half), min(1.0, mean + half)
