"""Calibration: probabilities that are right as often as they say, fitted on samples that the model was not trained on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.training.uncertainty import shares_of

Array = NDArray[Any]
Knots = Sequence[Mapping[str, Sequence[float]]]
COOLEST, HOTTEST = 0.05, 20.0
LABELS = ("classification", "multi_label")


def negative_log_likelihood(task: str, values: Array, truth: Array, temperature: float = 1.0) -> float:
    """Mean over samples with a known truth: class codes (sample,), or labels (sample, label), NaN where unknown."""
    shares = np.clip(shares_of(task, values, temperature), 1e-12, 1 - 1e-12)
    if task == "classification":
        return float(-np.log(shares[np.arange(len(truth)), truth.astype(int)]).mean())
    known = np.isfinite(truth)
    return float(-np.where(truth > 0.5, np.log(shares), np.log1p(-shares))[known].mean())


def fit_temperature(task: str, values: Array, truth: Array) -> float:
    """The one number that values are divided by, so that their likelihood is greatest (Guo et al. 2017, arXiv:1706.04599).

    It changes no order of classes. In 1 / T the likelihood has one maximum; T is sought from 0.05 to 20, for where all is right it has none.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda log: negative_log_likelihood(task, values, truth, float(np.exp(log))), bounds=(np.log(COOLEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def fit_isotonic(task: str, values: Array, truth: Array) -> list[dict[str, list[float]]]:
    """For each class or label the ascending function of its probability that is nearest to how often it is true, as knots ``p`` and ``q``.

    Zadrozny & Elkan 2002 (doi:10.1145/775047.775151): each class against the rest. Needs more samples than a temperature.
    """
    from sklearn.isotonic import IsotonicRegression

    shares, knots = shares_of(task, values), []
    for i in range(shares.shape[1]):
        hit = (truth == i).astype(float) if task == "classification" else truth[:, i]
        known = np.isfinite(hit)
        if not known.any():
            knots.append({"p": [0.0, 1.0], "q": [0.0, 1.0]})
            continue
        fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(shares[known, i], hit[known])
        knots.append({"p": fitted.X_thresholds_.tolist(), "q": fitted.y_thresholds_.tolist()})
    return knots


def apply_isotonic(task: str, shares: Array, knots: Knots) -> Array:
    """Calibrated probabilities (sample, output); those of classes sum to one, and where none is left they stay as they were."""
    told = np.stack([np.interp(shares[:, i], one["p"], one["q"]) for i, one in enumerate(knots)], 1)
    if task != "classification":
        return told
    total = told.sum(1, keepdims=True)
    return np.where(total > 0, told / np.where(total > 0, total, 1.0), shares)


def fit_scale(values: Array, variance: Array, truth: Array) -> float:
    """What predicted standard deviations are multiplied by, so that errors have unit variance (Laves et al. 2020, arXiv:2006.13092).

    Values, variance and truth are (sample, target); truth is NaN where unknown.
    """
    known = np.isfinite(truth)
    square = ((values - truth) ** 2 / np.maximum(variance, 1e-300))[known]
    return float(np.sqrt(square.mean())) if len(square) else 1.0
