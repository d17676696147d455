"""Conformal prediction: sets of classes, and intervals, that hold the truth as often as asked for, whatever the model is worth.

Split conformal prediction (Papadopoulos et al. 2002; Vovk et al. 2005): a score says how odd a truth looks beside a prediction; with n
held-out samples that are exchangeable with the new ones (drawn alike, in any order), a new score is at most the k-th smallest of theirs,
k = ceil((n + 1) coverage), with a chance of at least `coverage`, on average over new and held-out samples. Where samples of one group
(host, night, star) stand on both sides, or the new ones are of another kind, nothing is promised.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.uncertainty import quantiles_at

Array = NDArray[Any]
KINDS = ("lac", "aps")


def threshold(scores: Array, coverage: float) -> float:
    """The k-th smallest score; infinite where there are too few samples to promise so much.

    Raises
    ------
    InputError
        For a coverage that is none.
    """
    if isinstance(coverage, bool) or not 0 < coverage < 1:
        raise InputError(f"coverage={coverage!r}: a share between 0 and 1, e.g. 0.9.")
    k = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return float(np.sort(scores)[k - 1]) if k <= len(scores) else math.inf


def class_scores(shares: Array, kind: str = "lac") -> Array:
    """How odd each class would be as the truth, (sample, class), from probabilities (sample, class).

    Parameters
    ----------
    shares : array
    kind : {"lac", "aps"}
        ``lac``: one less its probability, which gives the smallest sets (Sadinle et al. 2019, arXiv:1609.00451). ``aps``: the sum of the
        probabilities down to it, which gives larger sets where samples are hard and smaller ones where they are easy (Romano et al. 2020,
        arXiv:2006.02544; without their random step, so that sets are rather too large than too small).
    """
    if kind not in KINDS:
        raise InputError(f"conformal={kind!r}: choose 'lac' or 'aps'.")
    if kind == "lac":
        return 1.0 - shares
    order = np.argsort(-shares, axis=1, kind="stable")
    scores = np.empty_like(shares)
    np.put_along_axis(scores, order, np.cumsum(np.take_along_axis(shares, order, 1), axis=1), 1)
    return scores


def class_sets(shares: Array, held: Array, truth: Array, coverage: float, kind: str = "lac") -> NDArray[np.bool_]:
    """Which classes are in the set of each sample, (sample, class); the most probable one always is.

    Parameters
    ----------
    shares : array, (sample, class)
        Probabilities of the samples asked about.
    held, truth : array, (held-out sample, class) and (held-out sample,)
        Probabilities of samples that the model was not trained on, and their class codes.
    coverage : float
    kind : {"lac", "aps"}
    """
    limit = threshold(class_scores(held, kind)[np.arange(len(truth)), truth.astype(int)], coverage)
    inside = class_scores(shares, kind) <= limit + 1e-12
    return np.asarray(inside | (shares == shares.max(1, keepdims=True)))


def interval(values: Array, held: Array, truth: Array, coverage: float, scale: Array | None = None, held_scale: Array | None = None) -> tuple[Array, Array]:
    """Low and high around values (sample,): the error of held-out samples, in units of their predicted width where there is one.

    Lei et al. 2018 (arXiv:1604.04173), sections 2.2 and 5.2.
    """
    known = np.isfinite(truth)
    width = np.ones_like(values) if scale is None else np.maximum(scale, 1e-12)
    held_width = 1.0 if held_scale is None else np.maximum(held_scale[known], 1e-12)
    limit = threshold(np.abs(truth[known] - held[known]) / held_width, coverage)
    return values - limit * width, values + limit * width


def quantile_interval(quantiles: Array, held: Array, truth: Array, coverage: float) -> tuple[Array, Array]:
    """Low and high from predicted quantiles (sample, level) at `uncertainty.GRID`, moved apart or together by what held-out samples need.

    Conformalised quantile regression (Romano et al. 2019, arXiv:1905.03222).
    """
    known = np.isfinite(truth)
    low, high = quantiles_at(held[known], coverage)
    limit = threshold(np.maximum(low - truth[known], truth[known] - high), coverage)
    low, high = quantiles_at(quantiles, coverage)
    middle = (low + high) / 2  # where they would cross
    return np.minimum(low - limit, middle), np.maximum(high + limit, middle)
