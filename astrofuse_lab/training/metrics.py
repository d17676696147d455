"""Metrics with intervals: every metric takes weights, so that a bootstrap over groups is one array operation.

Conventions: `weights` is (resample, sample); the result is (resample,). A class that a resample does not hold is left out
of the mean over classes, as scikit-learn leaves out classes that are not in the truth.

A metric with an option is named with its value behind an ``@``: ``"purity@0.9"``, ``"redshift_outliers@0.05"``, ``"top@5"``.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.training import metrics_classes as classes
from astrofuse_lab.training import metrics_numbers as numbers
from astrofuse_lab.training.metrics_classes import accuracy as accuracy
from astrofuse_lab.training.metrics_classes import balanced_accuracy as balanced_accuracy
from astrofuse_lab.training.metrics_classes import calibration_error as calibration_error
from astrofuse_lab.training.metrics_classes import roc_auc as roc_auc
from astrofuse_lab.training.metrics_distributions import DISTRIBUTION
from astrofuse_lab.training.metrics_numbers import mae as mae
from astrofuse_lab.training.metrics_numbers import nmad as nmad
from astrofuse_lab.training.metrics_numbers import over_targets
from astrofuse_lab.training.metrics_numbers import r2 as r2
from astrofuse_lab.training.metrics_numbers import rmse as rmse
from astrofuse_lab.training.metrics_retrieval import RETRIEVAL

Array = NDArray[Any]
Metric = Callable[[Array, Any, Array], Array]
CHUNK = 4_000_000
"""Weights held at once, resamples times samples."""

METRICS: dict[str, Mapping[str, Metric]] = {
    "classification": {
        "balanced_accuracy": balanced_accuracy, "macro_f1": classes.macro_f1, "roc_auc": roc_auc, "accuracy": accuracy,
        "log_loss": classes.log_loss, "calibration_error": calibration_error, "pr_auc": classes.pr_auc, "purity": classes.purity,
        "completeness": classes.completeness, "tss": classes.true_skill, "hss": classes.heidke_skill, "brier": classes.brier,
    },
    "multi_label": {
        "macro_f1": classes.label_macro_f1, "micro_f1": classes.label_micro_f1, "pr_auc": classes.label_pr_auc, "roc_auc": classes.label_roc_auc,
        "subset_accuracy": classes.subset_accuracy, "hamming_loss": classes.hamming_loss, "brier": classes.label_brier,
    },
    "regression": {
        "rmse": rmse, "mae": mae, "r2": r2, "nmad": nmad, "mse": numbers.mse, "bias": numbers.bias, "pearson_r": numbers.pearson_r,
        "outlier_fraction": numbers.outlier_fraction,
    },
    # errors of targets in several units have no mean that means anything, shares of their variances have
    "multi_regression": {
        "r2": over_targets(r2), "rmse": over_targets(rmse), "mae": over_targets(mae), "nmad": over_targets(nmad), "mse": over_targets(numbers.mse),
        "bias": over_targets(numbers.bias), "pearson_r": over_targets(numbers.pearson_r),
    },
    "self_supervised": {},
    "distribution": DISTRIBUTION,
    "retrieval": RETRIEVAL,
}  # fmt: skip
"""The first of each task is the one that is compared when none is named."""
REDSHIFT: dict[str, Metric] = {
    "redshift_nmad": numbers.redshift_nmad, "redshift_outliers": numbers.redshift_outliers, "redshift_bias": numbers.redshift_bias,
    "redshift_rmse": numbers.redshift_rmse,
}  # fmt: skip
"""Of a regression whose target is a redshift, by name; never measured unasked, since of other numbers they mean nothing."""
EACH: dict[str, dict[str, Metric]] = {
    "classification": {
        "purity": classes.purity_each, "completeness": classes.completeness_each, "f1": classes.f1_each, "roc_auc": classes.roc_auc_each,
        "pr_auc": classes.pr_auc_each,
    },
    "multi_label": {"f1": classes.label_f1_each, "roc_auc": classes.label_roc_auc_each, "pr_auc": classes.label_pr_auc_each},
}  # fmt: skip
"""Metrics with one value a class or label, (resample, class)."""
LOWER_IS_BETTER = frozenset({
    "log_loss", "calibration_error", "brier", "hamming_loss", "rmse", "mae", "mse", "nmad", "outlier_fraction", "redshift_nmad", "redshift_outliers",
    "redshift_rmse", "crps", "pit_distance", "width", "median_rank",
})  # fmt: skip
BEST_AT = {"bias": 0.0, "redshift_bias": 0.0, "coverage": 0.9}
"""Metrics that are best neither high nor low."""


def metric_named(task: str, name: str | None = None) -> tuple[str, Metric]:
    """A metric of a task by name, ``name@option`` where it has one; None gives the first.

    Raises
    ------
    InputError
        With the names that exist.
    """
    known = {**METRICS.get(task, {}), **(REDSHIFT if task == "regression" else {})}
    if not known:
        raise InputError(f"a model that learns {task.replace('_', ' ')} has no truth to be measured against; measure what is trained from it.")
    name = name or next(iter(known))
    base, at, option = name.partition("@")
    if base not in known:
        raise InputError(f"there is no metric {base!r} for {task}; there are {', '.join(known)}.")
    if not at:
        return name, known[base]
    options = list(inspect.signature(known[base]).parameters)[3:]
    try:
        return name, partial(known[base], **{options[0]: float(option)})
    except IndexError:
        raise InputError(f"metric {base!r} has no option, so {name!r} cannot be; write {base!r}.") from None
    except ValueError:
        raise InputError(f"metric {name!r}: behind the @ stands a number, its {options[0]}, e.g. '{base}@0.9'.") from None


def goodness(name: str, values: Any) -> Any:
    """Values of a metric turned so that higher is better, in its own unit."""
    base, _, option = name.partition("[")[0].partition("@")
    if base in BEST_AT:
        return -np.abs(values - (float(option) if option else BEST_AT[base]))
    return -values if base in LOWER_IS_BETTER else values


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


def value(metric: Metric, truth: Array, predicted: Any) -> float:
    """The metric on all samples, each counted once."""
    return float(metric(truth, predicted, np.ones((1, len(truth))))[0])


def resampled(metric: Metric, truth: Array, predicted: Any, groups: Array, resamples: int = 1000, seed: int = 0) -> Array:
    """The metric in each bootstrap resample over groups: (resample,)."""
    return np.concatenate([metric(truth, predicted, weights) for weights in group_weights(groups, resamples, seed)])


def interval(values: Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval; resamples where the metric is undefined are left out."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def evaluate(
    task: str, truth: Array, predicted: Any, groups: Array, resamples: int = 300, seed: int = 0, metrics: Mapping[str, Metric] | None = None
) -> dict[str, tuple[float, float, float]]:
    """All metrics of a task (or those given), each with its 95 % interval over groups: ``{name: (value, low, high)}``."""
    if len(truth) == 0:
        return {}
    chosen = METRICS[task] if metrics is None else metrics
    drawn: dict[str, list[Array]] = {name: [] for name in chosen}
    for weights in group_weights(groups, resamples, seed):
        for name, metric in chosen.items():
            drawn[name].append(metric(truth, predicted, weights))
    return {name: (value(metric, truth, predicted), *interval(np.concatenate(drawn[name]))) for name, metric in chosen.items()}


def vote(truth: Array, predicted: Array, groups: Array) -> tuple[Array, Array, Array]:
    """One row a group: the mean prediction and the commonest truth (the mean truth, for numbers; of labels, what most of the group bear).

    Returns
    -------
    truth, predicted, groups : array
        Groups in ascending order.
    """
    names, codes = np.unique(groups, return_inverse=True)
    counts = np.bincount(codes).astype(float)

    def mean(values: Array) -> Array:
        known = np.isfinite(values)
        total, number = np.zeros((2, len(names), *values.shape[1:]))
        np.add.at(total, codes, np.where(known, values, 0.0))
        np.add.at(number, codes, known.astype(float))
        return classes.ratio(total, number)

    if truth.ndim == 2:
        shared = mean(truth.astype(float))
        return shared >= 0.5 if truth.dtype == bool else shared, mean(predicted), names
    if predicted.ndim == 1:
        return np.bincount(codes, weights=truth) / counts, mean(predicted), names
    votes = np.zeros((len(names), predicted.shape[1]))
    np.add.at(votes, (codes, truth), 1)
    return votes.argmax(1), mean(predicted), names
