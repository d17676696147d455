"""Deletion and insertion: take away what the map calls important, or give only that, and see how fast the answer goes or comes.

Petsiuk et al. 2018 (arXiv:1806.07421, section 3.2), with the baselines of the attribution in place of a blurred image, and beside it the same
in random order. Places are counted within each modality: a tenth deleted is a tenth of the pixels, of the epochs and of the words.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.explain.attribution_result import Attribution, place_axes
from astrofuse_lab.explain.trust_case import Case, Check, not_done

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Of each modality's places, deleted or inserted."""
RANDOM_ORDERS = 2


def ranks_by_map(found: Attribution) -> dict[str, NDArray[np.float64]]:
    """For each real place the share of the sample's places that the map puts before it, [0, 1); 2 where there is nothing real."""
    return {name: _shares(-found.per_place(name).astype(float), found.place_mask(name)) for name in found.modalities}


def ranks_at_random(found: Attribution, seed: int) -> dict[str, NDArray[np.float64]]:
    """The same in random order."""
    rng = np.random.default_rng(seed)
    return {name: _shares(rng.random(found.place_mask(name).shape), found.place_mask(name)) for name in found.modalities}


def _shares(keys: NDArray[Any], real: NDArray[np.bool_]) -> NDArray[np.float64]:
    flat, there = np.where(real, keys, np.inf).reshape(len(keys), -1), real.reshape(len(real), -1)
    place = flat.argsort(1, kind="stable").argsort(1, kind="stable")
    shares = place / np.maximum(there.sum(1, keepdims=True), 1)
    return np.asarray(np.where(there, shares, 2.0).reshape(keys.shape))


def curve(case: Case, ranks: Mapping[str, NDArray[np.float64]], deleted: bool) -> NDArray[np.float64]:
    """The score of each sample's target with the first shares of the places deleted (or alone inserted): (n, share)."""
    part, scalings = case.batch, case.run.preparation.scalings
    out = np.zeros((len(part), len(SHARES)))
    for number, share in enumerate(SHARES):
        values = {name: _mixed(part.values[name], case.start[name], ranks[name] < share, scalings[name].made, deleted) for name in ranks}
        out[:, number] = case.scores(case.run, values, "probability")
    return out


def _mixed(value: Tensor, start: Tensor, chosen: NDArray[np.bool_], kind: str, deleted: bool) -> Tensor:
    """The baseline at the chosen places and the value elsewhere, or the other way round."""
    axes = place_axes(kind, value.ndim)
    shape = [len(value), *(value.shape[axis] if axis in axes else 1 for axis in range(1, value.ndim))]
    here = torch.from_numpy(chosen).view(shape)
    return torch.where(here, start, value) if deleted else torch.where(here, value, start)


def area(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area under each curve over `SHARES`, (n,)."""
    return np.asarray(np.trapezoid(values, SHARES, axis=1))


def check_curves(case: Case, deleted: bool) -> list[Check]:
    """The map's order must beat a random one."""
    name = "deletion" if deleted else "insertion"
    if not np.isfinite(case.map.difference).all():
        return [not_done(name, "the run gives no finite score")]
    by_map = area(curve(case, ranks_by_map(case.map), deleted))
    orders = [area(curve(case, ranks_at_random(case.map, case.seed + i), deleted)) for i in range(RANDOM_ORDERS)]
    gain = (np.mean(orders, 0) - by_map) * (1 if deleted else -1)
    value, low, high = case.over_samples(gain)
    passed = bool(low > 0)
    done = "taking away what the map puts first lowers the score" if deleted else "giving what the map puts first brings the score back"
    says = f"{done} {'faster' if passed else 'no faster'} than in random order (area {by_map.mean():.3f} against {np.mean(orders):.3f})"
    return [Check(name, value, 0.0, low, high, passed, says)]
