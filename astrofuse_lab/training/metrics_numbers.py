"""Metrics of numbers: one or several a sample, and redshifts, whose errors are counted in units of 1 + z.

Conventions as in `astrofuse_lab.training.metrics`: truth and prediction (sample,), `weights` (resample, sample), the result (resample,).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.training.metrics_classes import mean_known, ratio

Array = NDArray[Any]
EPS = float(np.finfo(np.float64).eps)
OUTLIER = 0.15
"""|dz| / (1 + z) beyond which a photometric redshift is catastrophic (Hildebrandt et al. 2010, doi:10.1051/0004-6361/201014885)."""


def mse(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean square error."""
    return weights @ (predicted - truth) ** 2 / weights.sum(1)


def rmse(truth: Array, predicted: Array, weights: Array) -> Array:
    """Root mean square error."""
    return np.sqrt(mse(truth, predicted, weights))


def mae(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean absolute error."""
    return weights @ np.abs(predicted - truth) / weights.sum(1)


def bias(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean of prediction minus truth: best at zero."""
    return weights @ (predicted - truth) / weights.sum(1)


def _moments(values: Array, weights: Array) -> tuple[Array, Array]:
    """Weighted mean of the values less their plain mean, and their variance: of large numbers, the squares would swallow it."""
    shift = float(np.mean(values))
    total = weights.sum(1)
    mean, square = weights @ (values - shift) / total, weights @ (values - shift) ** 2 / total
    # a constant has a variance of rounding errors
    rounding = EPS * square + (EPS * abs(shift)) ** 2
    return mean, np.where(square - mean**2 > 8 * rounding, square - mean**2, 0.0)


def r2(truth: Array, predicted: Array, weights: Array) -> Array:
    """Share of the variance explained."""
    _, variance = _moments(truth, weights)
    return 1 - ratio(mse(truth, predicted, weights), variance)


def pearson_r(truth: Array, predicted: Array, weights: Array) -> Array:
    """Correlation coefficient of truth and prediction."""
    (a, spread_a), (b, spread_b) = _moments(truth, weights), _moments(predicted, weights)
    common = weights @ ((truth - np.mean(truth)) * (predicted - np.mean(predicted))) / weights.sum(1) - a * b
    return ratio(common, np.sqrt(spread_a * spread_b))


def weighted_median(values: Array, weights: Array) -> Array:
    """Median of each row of `values` (resample, sample) under its weights; the mean of the two middle values where they differ."""
    order = np.argsort(values, axis=1, kind="stable")
    values, weights = np.take_along_axis(values, order, 1), np.take_along_axis(weights, order, 1)
    reached = np.cumsum(weights, axis=1)
    half = reached[:, -1:] / 2
    low, high = (reached >= half).argmax(1), (reached > half).argmax(1)
    rows = np.arange(len(values))
    return (values[rows, low] + values[rows, high]) / 2


def _nmad(error: Array, weights: Array) -> Array:
    error = np.broadcast_to(error, weights.shape)
    centre = weighted_median(error, weights)[:, None]
    return 1.4826 * weighted_median(np.abs(error - centre), weights)


def nmad(truth: Array, predicted: Array, weights: Array) -> Array:
    """1.4826 times the median absolute deviation of the error from its median: a width that outliers leave alone."""
    return _nmad(predicted - truth, weights)


def outlier_fraction(truth: Array, predicted: Array, weights: Array, cut: float = 5.0) -> Array:
    """Share of errors further than `cut` times the NMAD from their median."""
    error = np.broadcast_to(predicted - truth, weights.shape)
    far = np.abs(error - weighted_median(error, weights)[:, None]) > cut * nmad(truth, predicted, weights)[:, None]
    return (weights * far).sum(1) / weights.sum(1)


# ---- redshifts -------------------------------------------------------------------------------------------------------


def _scaled(truth: Array, predicted: Array) -> Array:
    """Errors in units of 1 + z; NaN for a truth that is no redshift."""
    return np.where(truth > -1, (predicted - truth) / np.where(truth > -1, 1 + truth, 1.0), np.nan)


def redshift_bias(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean of dz / (1 + z): best at zero."""
    return weights @ _scaled(truth, predicted) / weights.sum(1)


def redshift_rmse(truth: Array, predicted: Array, weights: Array) -> Array:
    """Root mean square of dz / (1 + z)."""
    return np.sqrt(weights @ _scaled(truth, predicted) ** 2 / weights.sum(1))


def redshift_nmad(truth: Array, predicted: Array, weights: Array) -> Array:
    """1.4826 times the median of |dz - median(dz)| / (1 + z) (Brammer et al. 2008, doi:10.1086/591786)."""
    if not (truth > -1).all():
        return np.full(len(weights), np.nan)
    error = np.broadcast_to(predicted - truth, weights.shape)
    return 1.4826 * weighted_median(np.abs(error - weighted_median(error, weights)[:, None]) / (1 + truth), weights)


def redshift_outliers(truth: Array, predicted: Array, weights: Array, cut: float = OUTLIER) -> Array:
    """Share of samples with |dz| / (1 + z) above `cut`."""
    error = _scaled(truth, predicted)
    return weights @ np.where(np.isfinite(error), np.abs(error) > cut, np.nan) / weights.sum(1)


# ---- several numbers a sample: truth (sample, target) with NaN where unknown, prediction (sample, target) ------------

Metric = Callable[[Array, Array, Array], Array]


def each_target(metric: Metric, truth: Array, predicted: Array, weights: Array) -> Array:
    """A metric of each target, over the samples that have it: (resample, target)."""
    out = np.full((len(weights), truth.shape[1]), np.nan)
    for i, known in enumerate((np.isfinite(truth) & np.isfinite(predicted)).T):
        some = weights[:, known].sum(1) > 0
        if some.any():
            out[some, i] = metric(truth[known, i], predicted[known, i], weights[np.ix_(some, known)])
    return out


def over_targets(metric: Metric) -> Metric:
    """The mean of a metric over targets, each over the samples that have it."""

    def measure(truth: Array, predicted: Array, weights: Array) -> Array:
        return mean_known(each_target(metric, truth, predicted, weights))

    measure.__doc__ = f"Mean over targets: {metric.__doc__}"
    return measure
