"""Metrics of classes: one class a sample (probabilities sum to one) or several labels a sample.

Conventions as in `astrofuse_lab.training.metrics`: `weights` is (resample, sample), the result (resample,). Functions that end in
``_each`` give one value a class, (resample, class). A class that a resample does not hold is left out of the mean over classes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BINS = 15
"""Bins of the calibration error (Guo et al. 2017, arXiv:1706.04599)."""


def ratio(part: Array, whole: Array) -> Array:
    """Quotient; NaN where the whole is nothing."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)


def mean_known(values: Array) -> Array:
    """Mean along the last axis over what is no NaN; NaN where nothing is known."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1))


# ---- one class a sample: truth int (sample,), predicted probabilities (sample, class) -------------------------------


def accuracy(truth: Array, predicted: Array, weights: Array) -> Array:
    """Share of samples whose most probable class is the true one."""
    return weights @ (predicted.argmax(1) == truth) / weights.sum(1)


def _taken(truth: Array, predicted: Array, weights: Array, threshold: float | None) -> tuple[Array, Array, Array]:
    """Per class: weight that is right, weight that is true, weight that is taken for it; each (resample, class).

    Taken for a class is what is most probably of it, or at least as probable as `threshold`.
    """
    classes = np.arange(predicted.shape[1])
    is_true = (truth[:, None] == classes).astype(float)
    is_said = ((predicted.argmax(1)[:, None] == classes) if threshold is None else (predicted >= threshold)).astype(float)
    return weights @ (is_true * is_said), weights @ is_true, weights @ is_said


def balanced_accuracy(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean over classes of the share of each that is found."""
    right, true, _ = _taken(truth, predicted, weights, None)
    return mean_known(ratio(right, true))


def f1_each(truth: Array, predicted: Array, weights: Array) -> Array:
    """Harmonic mean of purity and completeness of each class."""
    right, true, said = _taken(truth, predicted, weights, None)
    return ratio(2 * right, true + said)


def macro_f1(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean over classes of the harmonic mean of precision and recall."""
    return mean_known(f1_each(truth, predicted, weights))


def purity_each(truth: Array, predicted: Array, weights: Array, threshold: float | None = None) -> Array:
    """Of what is taken for a class, the share that is of it (precision, reliability); NaN where nothing is taken."""
    right, _, said = _taken(truth, predicted, weights, threshold)
    return ratio(right, said)


def completeness_each(truth: Array, predicted: Array, weights: Array, threshold: float | None = None) -> Array:
    """Of what is of a class, the share that is taken for it (recall, efficiency)."""
    right, true, _ = _taken(truth, predicted, weights, threshold)
    return ratio(right, true)


def purity(truth: Array, predicted: Array, weights: Array, threshold: float | None = None) -> Array:
    """Mean purity of the classes that anything is taken for."""
    return mean_known(purity_each(truth, predicted, weights, threshold))


def completeness(truth: Array, predicted: Array, weights: Array, threshold: float | None = None) -> Array:
    """Mean completeness of the classes; without a threshold it is the balanced accuracy."""
    return mean_known(completeness_each(truth, predicted, weights, threshold))


def _agreement(truth: Array, predicted: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Share right, share right by chance given both margins, and the same with the true margin twice; (resample,)."""
    right, true, said = _taken(truth, predicted, weights, None)
    total = weights.sum(1)
    return right.sum(1) / total, (true * said).sum(1) / total**2, (true**2).sum(1) / total**2


def true_skill(truth: Array, predicted: Array, weights: Array) -> Array:
    """True skill statistic of Peirce: with two classes hit rate minus false-alarm rate, which class shares do not change.

    Several classes: Wilks (2011), Statistical Methods in the Atmospheric Sciences, section 8.2; in flare forecasting Bloomfield et al. (2012),
    doi:10.1088/2041-8205/747/2/L41.
    """
    share, chance, spread = _agreement(truth, predicted, weights)
    return ratio(share - chance, 1 - spread)


def heidke_skill(truth: Array, predicted: Array, weights: Array) -> Array:
    """Heidke skill score: how much more is right than by chance with the same margins, i.e. Cohen's kappa.

    With two classes it is HSS2 of Bobra & Couvidat (2015), doi:10.1088/0004-637X/798/2/135.
    """
    share, chance, _ = _agreement(truth, predicted, weights)
    return ratio(share - chance, 1 - chance)


def brier(truth: Array, predicted: Array, weights: Array) -> Array:
    """Brier score: squared error of the probabilities, summed over classes; of two classes half of that, the error of one of them."""
    true = (truth[:, None] == np.arange(predicted.shape[1])).astype(float)
    scale = 0.5 if predicted.shape[1] == 2 else 1.0
    return scale * (weights @ ((predicted - true) ** 2).sum(1)) / weights.sum(1)


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


# ---- ranking: a positive class and a score ---------------------------------------------------------------------------


def _by_score(positive: Array, score: Array, weights: Array) -> tuple[Array, Array]:
    """Weight of positives and of negatives at each distinct score, lowest first: (resample, score)."""
    order = np.argsort(score, kind="stable")
    score, positive, weights = score[order], positive[order], weights[:, order]
    first = np.flatnonzero(np.r_[True, np.diff(score) > 0])  # begin of each run of equal scores
    return np.add.reduceat(weights * positive, first, axis=1), np.add.reduceat(weights * ~positive, first, axis=1)


def binary_roc_auc(positive: Array, score: Array, weights: Array) -> Array:
    """Weighted probability that a positive scores above a negative, ties counting half."""
    up, down = _by_score(positive, score, weights)
    below = np.cumsum(down, axis=1) - down
    return ratio((up * (below + 0.5 * down)).sum(1), up.sum(1) * down.sum(1))


def binary_average_precision(positive: Array, score: Array, weights: Array) -> Array:
    """Area under precision against recall as a sum of steps, not of trapezia (Davis & Goadrich 2006, doi:10.1145/1143844.1143874)."""
    up, down = (np.flip(part, axis=1) for part in _by_score(positive, score, weights))
    found = np.cumsum(up, axis=1)
    taken = found + np.cumsum(down, axis=1)
    return ratio((up * np.where(taken > 0, found / np.where(taken > 0, taken, 1.0), 0.0)).sum(1), up.sum(1))


Ranking = Callable[[Array, Array, Array], Array]


def _each(rank: Ranking, truth: Array, predicted: Array, weights: Array) -> Array:
    return np.stack([rank(truth == c, predicted[:, c], weights) for c in range(predicted.shape[1])], axis=-1)


def roc_auc_each(truth: Array, predicted: Array, weights: Array) -> Array:
    """Area under the ROC curve of each class against the rest."""
    return _each(binary_roc_auc, truth, predicted, weights)


def pr_auc_each(truth: Array, predicted: Array, weights: Array) -> Array:
    """Average precision of each class against the rest."""
    return _each(binary_average_precision, truth, predicted, weights)


def roc_auc(truth: Array, predicted: Array, weights: Array) -> Array:
    """Area under the ROC curve; with more than two classes the mean of each against the rest."""
    if predicted.shape[1] == 2:
        return binary_roc_auc(truth == 1, predicted[:, 1], weights)
    return mean_known(roc_auc_each(truth, predicted, weights))


def pr_auc(truth: Array, predicted: Array, weights: Array) -> Array:
    """Average precision: of two classes that of the second, of more the mean of each against the rest."""
    if predicted.shape[1] == 2:
        return binary_average_precision(truth == 1, predicted[:, 1], weights)
    return mean_known(pr_auc_each(truth, predicted, weights))


# ---- several labels a sample: truth bool, or float with NaN where unknown; probabilities; both (sample, label) -----


def _labels(truth: Array) -> tuple[Array, Array]:
    """Which labels are borne and which are known, both bool (sample, label)."""
    if truth.dtype == bool:
        return truth, np.ones_like(truth)
    known = np.isfinite(truth)
    return known & (np.where(known, truth, 0.0) > 0.5), known


def _label_counts(truth: Array, predicted: Array, weights: Array, threshold: float) -> tuple[Array, Array, Array]:
    borne, known = _labels(truth)
    said = (predicted >= threshold) & known
    return weights @ (borne & said).astype(float), weights @ borne.astype(float), weights @ said.astype(float)


def label_f1_each(truth: Array, predicted: Array, weights: Array, threshold: float = 0.5) -> Array:
    """Harmonic mean of precision and recall of each label."""
    right, true, said = _label_counts(truth, predicted, weights, threshold)
    return ratio(2 * right, true + said)


def label_macro_f1(truth: Array, predicted: Array, weights: Array, threshold: float = 0.5) -> Array:
    """Mean over labels of the harmonic mean of precision and recall."""
    return mean_known(label_f1_each(truth, predicted, weights, threshold))


def label_micro_f1(truth: Array, predicted: Array, weights: Array, threshold: float = 0.5) -> Array:
    """Harmonic mean of precision and recall of all labels thrown together."""
    right, true, said = (counts.sum(1) for counts in _label_counts(truth, predicted, weights, threshold))
    return ratio(2 * right, true + said)


def subset_accuracy(truth: Array, predicted: Array, weights: Array, threshold: float = 0.5) -> Array:
    """Share of samples of which every known label is right; of samples with any known."""
    borne, known = _labels(truth)
    right = (((predicted >= threshold) == borne) | ~known).all(1)
    some = known.any(1)
    return ratio(weights @ (right & some), weights @ some.astype(float))


def hamming_loss(truth: Array, predicted: Array, weights: Array, threshold: float = 0.5) -> Array:
    """Share of known labels that are wrong."""
    borne, known = _labels(truth)
    wrong = (((predicted >= threshold) != borne) & known).sum(1)
    return ratio(weights @ wrong, weights @ known.sum(1).astype(float))


def _label_each(rank: Ranking, truth: Array, predicted: Array, weights: Array) -> Array:
    borne, known = _labels(truth)
    columns = [(borne[k, i], predicted[k, i], weights[:, k]) for i, k in enumerate(known.T)]
    return np.stack([rank(*c) if len(c[0]) else np.full(len(weights), np.nan) for c in columns], axis=-1)


def label_roc_auc_each(truth: Array, predicted: Array, weights: Array) -> Array:
    """Area under the ROC curve of each label."""
    return _label_each(binary_roc_auc, truth, predicted, weights)


def label_pr_auc_each(truth: Array, predicted: Array, weights: Array) -> Array:
    """Average precision of each label."""
    return _label_each(binary_average_precision, truth, predicted, weights)


def label_roc_auc(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean over labels of the area under the ROC curve."""
    return mean_known(label_roc_auc_each(truth, predicted, weights))


def label_pr_auc(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean over labels of the average precision."""
    return mean_known(label_pr_auc_each(truth, predicted, weights))


def label_brier(truth: Array, predicted: Array, weights: Array) -> Array:
    """Mean squared error of the probabilities of known labels."""
    borne, known = _labels(truth)
    return ratio(weights @ np.where(known, (predicted - borne) ** 2, 0.0).sum(1), weights @ known.sum(1).astype(float))
