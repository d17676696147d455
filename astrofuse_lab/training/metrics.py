"""Metrics with intervals: every metric takes weights, so that a bootstrap over groups is one array operation.

Conventions: `weights` is (resample, sample); the result is (resample,). A class that a resample does not hold is left out
of the mean over classes, as scikit-learn leaves out classes that are not in the truth.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

Array = NDArray[Any]
Metric = Callable[[Array, Array, Array], Array]
CHUNK = 4_000_000
"""Weights held at once, resamples times samples."""
BINS = 15
"""Bins of the calibration error (Guo et al. 2017, arXiv:1706.04599)."""


# ---- classification: truth int (sample,), predicted probabilities (sample, class) ----------------------------------


def accuracy(truth: Array, predicted: Array, weights: Array) -> Array:
    """Share of samples whose most probable class is the true one."""
    return weights @ (predicted.argmax(1) == truth) / weights.sum(1)


def _confusion(truth: Array, predicted: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Per class: weight that is right, weight that is true, weight that is predicted; each (resample, class)."""
    classes = np.arange(predicted.shape[1])
    said = predicted.argmax(1)
    is_true, is_said = (truth[:, None] == classes).astype(float), (said[:, None] == classes).astype(float)
    return weights @ (is_true * is_said), weights @ is_true, weights @ is_said


def _mean_over(values: Array, there: Array) -> Array:
    """Mean along the last axis over the entries that are there."""
    count = there.sum(-1)
    return np.where(count > 0, np.where(there, values, 0.0).sum(-1) / np.maximum(count, 1), np.nan)


def balanced_accuracy(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean over classes of the share of each that is found."""
    right, true, _ = _confusion(truth, predicted, weights)
    return _mean_over(right / np.maximum(true, 1e-12), true > 0)


def macro_f1(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean over classes of the harmonic mean of precision and recall."""
    right, true, said = _confusion(truth, predicted, weights)
    return _mean_over(2 * right / np.maximum(true + said, 1e-12), true + said > 0)


def _binary_auc(positive: Array, score: Array, weights: Array) -> Array:
    """Weighted probability that a positive scores above a negative, ties counting half."""
    order = np.argsort(score, kind="stable")
    score, positive, weights = score[order], positive[order], weights[:, order]
    first = np.flatnonzero(np.r_[True, np.diff(score) > 0])  # begin of each run of equal scores
    up = np.add.reduceat(weights * positive, first, axis=1)
    down = np.add.reduceat(weights * ~positive, first, axis=1)
    below = np.cumsum(down, axis=1) - down
    total = up.sum(1) * down.sum(1)
    return np.where(total > 0, (up * (below + 0.5 * down)).sum(1) / np.maximum(total, 1e-12), np.nan)


def roc_auc(truth: Array, predicted: Array, weights: Array) -> Array:
    """Area under the ROC curve; with more than two classes the mean of each against the rest."""
    if predicted.shape[1] == 2:
        return _binary_auc(truth == 1, predicted[:, 1], weights)
    each = np.stack([_binary_auc(truth == c, predicted[:, c], weights) for c in range(predicted.shape[1])], axis=-1)
    return _mean_over(each, np.isfinite(each))


def log_loss(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean negative log-probability of the true class."""
    true = np.clip(predicted[np.arange(len(truth)), truth].astype(np.float64), np.finfo(np.float64).eps, 1.0)
    return weights @ -np.log(true) / weights.sum(1)


def calibration_error(truth: Array, predicted: Array, weights: Array) -> Array:
    """Expected calibration error: mean gap between confidence and accuracy over `BINS` equal bins of confidence."""
    confidence = predicted.max(1)
    right = predicted.argmax(1) == truth
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    inside = (bins[:, None] == np.arange(BINS)).astype(float)
    return np.abs(weights @ (inside * (confidence - right)[:, None])).sum(1) / weights.sum(1)


# ---- regression: truth and prediction (sample,) ---------------------------------------------------------------------


def rmse(truth: Array, predicted: Array, weights: Array) -> Array:
    """Root mean square error."""
    return np.sqrt(weights @ (predicted - truth) ** 2 / weights.sum(1))


def mae(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean absolute error."""
    return weights @ np.abs(predicted - truth) / weights.sum(1)


def r2(truth: Array, predicted: Array, weights: Array) -> Array:
    """Share of the variance explained."""
    total = weights.sum(1)
    mean = weights @ truth / total
    variance = weights @ truth**2 / total - mean**2
    return np.where(variance > 0, 1 - weights @ (predicted - truth) ** 2 / total / np.maximum(variance, 1e-300), np.nan)


def _weighted_median(values: Array, weights: Array) -> Array:
    """Median of each row of `values` (resample, sample) under its weights; the mean of the two middle values where they differ."""
    order = np.argsort(values, axis=1, kind="stable")
    values, weights = np.take_along_axis(values, order, 1), np.take_along_axis(weights, order, 1)
    reached = np.cumsum(weights, axis=1)
    half = reached[:, -1:] / 2
    low, high = (reached >= half).argmax(1), (reached > half).argmax(1)
    rows = np.arange(len(values))
    return (values[rows, low] + values[rows, high]) / 2


def nmad(truth: Array, predicted: Array, weights: Array) -> Array:
    """1.4826 times the median absolute deviation of the error from its median: a width that outliers leave alone."""
    error = np.broadcast_to(predicted - truth, weights.shape)
    centre = _weighted_median(error, weights)[:, None]
    return 1.4826 * _weighted_median(np.abs(error - centre), weights)


METRICS: dict[str, dict[str, Metric]] = {
    "classification": {
        "balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1, "roc_auc": roc_auc, "accuracy": accuracy,
        "log_loss": log_loss, "calibration_error": calibration_error,
    },
    "regression": {"rmse": rmse, "mae": mae, "r2": r2, "nmad": nmad},
}  # fmt: skip
"""The first of each task is the one that is compared when none is named."""
LOWER_IS_BETTER = frozenset({"log_loss", "calibration_error", "rmse", "mae", "nmad"})


def metric_named(task: str, name: str | None = None) -> tuple[str, Metric]:
    """A metric of a task by name; None gives the first.

    Raises
    ------
    InputError
        With the names that exist.
    """
    known = METRICS[task]
    name = name or next(iter(known))
    if name not in known:
        raise InputError(f"there is no metric {name!r} for {task}; there are {', '.join(known)}.")
    return name, known[name]


# ---- intervals ------------------------------------------------------------------------------------------------------


def group_weights(groups: Array, resamples: int, seed: int = 0) -> Iterator[Array]:
    """Weights of bootstrap resamples that draw whole groups with replacement, in chunks of bounded size.

    Parameters
    ----------
    groups : int array, (sample,)
        Equal within a group.
    resamples : int
    seed : int
        The same seed gives the same resamples, which is what makes differences paired.

    Yields
    ------
    float array, (chunk of resamples, sample)
    """
    _, codes = np.unique(groups, return_inverse=True)
    count = int(codes.max(initial=-1)) + 1
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // max(1, len(codes)))
    for begin in range(0, resamples, step):
        size = min(step, resamples - begin)
        yield rng.multinomial(count, np.full(count, 1 / count), size=size)[:, codes].astype(np.float64)


def value(metric: Metric, truth: Array, predicted: Array) -> float:
    """The metric on all samples, each counted once."""
    return float(metric(truth, predicted, np.ones((1, len(truth))))[0])


def resampled(metric: Metric, truth: Array, predicted: Array, groups: Array, resamples: int = 1000, seed: int = 0) -> Array:
    """The metric in each bootstrap resample over groups: (resample,)."""
    return np.concatenate([metric(truth, predicted, weights) for weights in group_weights(groups, resamples, seed)])


def interval(values: Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval; resamples where the metric is undefined are left out."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def evaluate(task: str, truth: Array, predicted: Array, groups: Array, resamples: int = 300, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """All metrics of a task, each with its 95 % interval over groups: ``{name: (value, low, high)}``."""
    if len(truth) == 0:
        return {}
    drawn: dict[str, list[Array]] = {name: [] for name in METRICS[task]}
    for weights in group_weights(groups, resamples, seed):
        for name, metric in METRICS[task].items():
            drawn[name].append(metric(truth, predicted, weights))
    return {name: (value(metric, truth, predicted), *interval(np.concatenate(drawn[name]))) for name, metric in METRICS[task].items()}


def vote(truth: Array, predicted: Array, groups: Array) -> tuple[Array, Array, Array]:
    """One row a group: the mean prediction and the commonest truth (the mean truth, for regression).

    Returns
    -------
    truth, predicted, groups : array
        Groups in ascending order.
    """
    names, codes = np.unique(groups, return_inverse=True)
    counts = np.bincount(codes).astype(float)
    mean = np.zeros((len(names), *predicted.shape[1:]))
    np.add.at(mean, codes, predicted)
    mean /= counts.reshape(-1, *[1] * (predicted.ndim - 1))
    if predicted.ndim == 1:
        return np.bincount(codes, weights=truth) / counts, mean, names
    votes = np.zeros((len(names), predicted.shape[1]))
    np.add.at(votes, (codes, truth), 1)
    return votes.argmax(1), mean, names
