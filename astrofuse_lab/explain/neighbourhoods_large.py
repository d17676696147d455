"""Nearest neighbours among very many vectors: looked for in the cells around each, and compared with the true ones on some of them.

An inverted file (Jégou, Douze & Schmid 2011, doi:10.1109/TPAMI.2010.57, section IV) whose number of cells to look into is not guessed: it is
doubled until as many of the true neighbours are found as were asked for, and where that would be no saving, all pairs are looked at.
"""

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.explain.neighbourhoods import SPARE, Stopped, nearest, row_budget, smallest

FROM = 20_000
"""Vectors from which on cells are a saving."""
ENOUGH = 0.98
"""Share of the true neighbours that is to be found."""
CHECKED = 400
"""Vectors on which that is measured."""
ROUNDS, DRAWN = 6, 64
"""Of k-means; vectors a cell that it is given."""
Array = NDArray[Any]


def neighbourhood(
    vectors: NDArray[np.floating[Any]], k: int, *, device: str = "cpu", stop: threading.Event | None = None, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float32], float]:
    """The k nearest of each vector, (n, k), their distances, and the share of the true neighbours that was found (1: all pairs were looked at).

    Parameters
    ----------
    vectors : array, (n, width)
        Finite.
    k : int
    device : str
    stop : threading.Event, optional
    seed : int
        Of the cells.

    Raises
    ------
    Stopped
    """
    n = len(vectors)
    if n < FROM:
        return *nearest(vectors, k, device=device, stop=stop), 1.0
    points = torch.from_numpy(np.asarray(vectors, dtype=np.float32) - np.asarray(vectors, dtype=np.float64).mean(0).astype(np.float32)).to(device)
    luck = np.random.default_rng(seed)
    centres = _centres(points, int(np.sqrt(n)), luck)
    cell = _assigned(points, centres)
    order = torch.argsort(cell, stable=True)
    begins = torch.searchsorted(cell[order], torch.arange(len(centres) + 1, device=points.device)).tolist()
    beside = torch.cdist(centres, centres).argsort(1)
    drawn = np.sort(luck.choice(n, CHECKED, replace=False))
    truth = nearest(vectors, k + 1, np.asarray(vectors)[drawn], device=device, stop=stop)[0]
    truth = np.stack([row[row != i][:k] for row, i in zip(truth, drawn, strict=True)])
    look = 8
    while look * 4 <= len(centres):
        # first only for those whose neighbours are known: what it would come to is then known too
        some = _search(points, cell, order, begins, beside, look, k, stop, torch.from_numpy(drawn).to(points.device))[0]
        found = float((truth[:, :, None] == some[:, None, :]).any(2).mean())
        if found >= ENOUGH:
            near, far = _search(points, cell, order, begins, beside, look, k, stop)
            return near, far, found
        look *= 2
    return *nearest(vectors, k, device=device, stop=stop), 1.0


def _centres(points: Tensor, count: int, luck: np.random.Generator) -> Tensor:
    """Centres of cells by k-means on a draw, (count, width); one that loses all its vectors stays where it was."""
    some = points[torch.from_numpy(np.sort(luck.choice(len(points), min(len(points), DRAWN * count), replace=False))).to(points.device)]
    centres = some[torch.from_numpy(np.sort(luck.choice(len(some), count, replace=False))).to(points.device)].clone()
    for _ in range(ROUNDS):
        own = _assigned(some, centres)
        # as a product of matrices: adding by index comes out otherwise each time on a GPU
        total, held = torch.zeros_like(centres), torch.zeros(count, device=some.device)
        for part, mine in zip(some.split(8192), own.split(8192), strict=True):
            member = torch.nn.functional.one_hot(mine, count).to(some.dtype)
            total, held = total + member.T @ part, held + member.sum(0)
        centres = torch.where((held > 0)[:, None], total / held.clamp(min=1)[:, None], centres)
    return centres


def _assigned(points: Tensor, centres: Tensor) -> Tensor:
    half = 0.5 * centres.square().sum(1)
    rows = row_budget(len(centres), points.shape[1])
    return torch.cat([torch.addmm(half, part, centres.T, alpha=-1.0).argmin(1) for part in points.split(rows)])


def _search(
    points: Tensor, cell: Tensor, order: Tensor, begins: list[int], beside: Tensor, look: int, k: int, stop: threading.Event | None, only: Tensor | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Neighbours of all points, or of some, among the points of the `look` cells nearest to their own."""
    asked = torch.arange(len(points), device=points.device) if only is None else only
    by = torch.argsort(cell[asked], stable=True)
    starts = torch.searchsorted(cell[asked][by], torch.arange(len(begins), device=points.device)).tolist()
    near = torch.zeros(len(asked), k, dtype=torch.int64)
    far = torch.full((len(asked), k), torch.inf)
    half = 0.5 * points.square().sum(1)
    for one in range(len(begins) - 1):
        if stop is not None and stop.is_set():
            raise Stopped
        mine = by[starts[one] : starts[one + 1]]
        if not len(mine):
            continue
        cells, held, width = beside[one].tolist(), 0, 0
        while width < len(cells) and (width < look or held <= 4 * k):  # in crowded places a few, in empty ones as many as it takes
            held += begins[cells[width] + 1] - begins[cells[width]]
            width += 1
        others = torch.cat([order[begins[c] : begins[c + 1]] for c in cells[:width]])
        there = points[others]
        for part in mine.split(row_budget(len(others), (k + SPARE) * points.shape[1])):
            own = asked[part]
            score = torch.addmm(half[others], points[own], there.T, alpha=-1.0)
            score[others[None, :] == own[:, None]] = torch.inf
            chosen = smallest(score, min(k + SPARE, len(others) - 1))
            distance = (there[chosen] - points[own][:, None]).double().square().sum(2).sqrt()
            distance, rank = distance.sort(dim=1, stable=True)
            found = others[chosen.gather(1, rank)][:, :k]
            near[part.cpu(), : found.shape[1]], far[part.cpu(), : found.shape[1]] = found.cpu(), distance[:, :k].float().cpu()
    return near.numpy(), far.numpy()
