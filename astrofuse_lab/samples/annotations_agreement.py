"""How far several people agree beyond chance: Cohen's and Fleiss' kappa, Krippendorff's alpha, each with its 95 % interval.

A table of codes (object, annotator) holds whole numbers from 0 for labels and -1 where there is none. None of these numbers says who is
right, and all depend on how common the labels are: read them beside the share of equal answers.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError

Codes = NDArray[np.int64]
RESAMPLES = 1000
NORMAL = 1.959963984540054
"""97.5th percentile of the normal distribution."""


class Agreement(NamedTuple):
    """One measure of agreement.

    Attributes
    ----------
    measure : str
        "" where nothing can be measured.
    value, low, high : float
        1: as one; 0: as by chance; with the 95 % interval. NaN where it is not defined.
    same : float
        Share of pairs of answers that are equal.
    objects, annotators : int
        How many were compared.
    """

    measure: str
    value: float
    low: float
    high: float
    same: float
    objects: int
    annotators: int

    def __str__(self) -> str:
        if not self.measure:
            return "no object was labelled by two annotators, so agreement cannot be measured"
        share = f"{self.same:.0%} of answers equal, {self.objects} objects, {self.annotators} annotators"
        if not np.isfinite(self.value):
            return f"{self.measure} is not defined, for all gave one label; {share}"
        between = f" [{self.low:.2f}, {self.high:.2f}]" if np.isfinite(self.low) else ""
        return f"{self.measure} {self.value:.2f}{between}; {share}"


NOTHING = Agreement("", np.nan, np.nan, np.nan, np.nan, 0, 0)


def _counts(codes: Codes) -> NDArray[np.float64]:
    """How many annotators gave each label: (object, label)."""
    labels = int(codes.max(initial=-1)) + 1
    return np.stack([(codes == label).sum(1) for label in range(labels)], axis=1).astype(float) if labels else np.zeros((len(codes), 0))


def same_share(codes: Codes) -> float:
    """Share of all pairs of answers to one object that are equal."""
    counts = _counts(codes)
    of = counts.sum(1)
    pairs = (of * (of - 1)).sum()
    return float((counts * (counts - 1)).sum() / pairs) if pairs else float("nan")


def cohen_kappa(codes: Codes) -> Agreement:
    """Two annotators (Cohen 1960, Educ. Psychol. Meas. 20, 37), with the large-sample interval of Fleiss, Cohen & Everitt (1969, Psychol. Bull. 72, 323, equation 13).

    Parameters
    ----------
    codes : int array, (object, 2)
        Objects that one of them left out take no part.
    """
    both = codes[(codes >= 0).all(1)]
    n = len(both)
    if n == 0:
        return NOTHING
    labels = int(both.max()) + 1
    table = np.bincount(both[:, 0] * labels + both[:, 1], minlength=labels * labels).reshape(labels, labels) / n
    rows, columns = table.sum(1), table.sum(0)
    same, chance = float(np.trace(table)), float(rows @ columns)
    if 1 - chance < 1e-12:
        return Agreement("Cohen's kappa", np.nan, np.nan, np.nan, same, n, 2)
    value = (same - chance) / (1 - chance)
    diagonal = (np.diag(table) * (1 - (rows + columns) * (1 - value)) ** 2).sum()
    crossed = (columns[:, None] + rows[None, :]) ** 2  # of the cell (i, j): what the second gives i and the first gives j
    beside = (1 - value) ** 2 * (table * crossed).sum() - (1 - value) ** 2 * (np.diag(table) * np.diag(crossed)).sum()
    error = np.sqrt(max(0.0, diagonal + beside - (value - chance * (1 - value)) ** 2) / n) / (1 - chance)
    return Agreement("Cohen's kappa", float(value), max(-1.0, float(value - NORMAL * error)), min(1.0, float(value + NORMAL * error)), same, n, 2)


def fleiss_kappa(codes: Codes, resamples: int = RESAMPLES, seed: int = 0) -> Agreement:
    """The same number of answers to each object, by whomever (Fleiss 1971, Psychol. Bull. 76, 378); the interval is a bootstrap over objects.

    Raises
    ------
    InputError
        If objects have different numbers of answers; `krippendorff_alpha` takes those.
    """
    counts = _counts(codes)
    answers = counts.sum(1)
    if len(counts) == 0 or (answers != answers[0]).any() or answers[0] < 2:
        raise InputError("Fleiss' kappa needs two or more answers to each object, to each the same number. measure='krippendorff' takes any.")
    per_object = ((counts**2).sum(1) - answers) / (answers * (answers - 1))

    def kappa(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = weights / weights.sum(-1, keepdims=True)
        shares = weights @ (counts / answers[0])
        return _ratio(weights @ per_object, (shares**2).sum(-1))

    value, low, high = _with_interval(kappa, len(counts), resamples, seed)
    return Agreement("Fleiss' kappa", value, low, high, same_share(codes), len(counts), _heard(codes))


def krippendorff_alpha(codes: Codes, resamples: int = RESAMPLES, seed: int = 0) -> Agreement:
    """Any number of annotators, any answers missing, labels without order (Krippendorff 2004, Content Analysis, chapter 11); bootstrap over objects.

    One minus the disagreement observed over that expected, by coincidences of answers to one object.
    """
    counts = _counts(codes)
    counts = counts[counts.sum(1) >= 2]
    if len(counts) == 0:
        return NOTHING
    of = counts.sum(1)
    equal = (counts * (counts - 1)).sum(1) / (of - 1)  # diagonal of the coincidence matrix, by object

    def alpha(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        margin, total = weights @ counts, weights @ of
        expected = (margin * (margin - 1)).sum(-1) / (total * np.maximum(total - 1, 1))
        return _ratio((weights @ equal) / total, expected)

    value, low, high = _with_interval(alpha, len(counts), resamples, seed)
    return Agreement("Krippendorff's alpha", value, low, high, same_share(codes), len(counts), _heard(codes))


MEASURES = ("cohen", "fleiss", "krippendorff")


def agreement_of(codes: Codes, resamples: int = RESAMPLES, seed: int = 0, measure: str | None = None) -> Agreement:
    """The measure named; None: Cohen's kappa of two annotators, Krippendorff's alpha of more.

    Raises
    ------
    UnknownNameError
        For another measure.
    InputError
        For Cohen's kappa of more than two, or Fleiss' of objects with different numbers of answers.
    """
    if measure is not None and measure not in MEASURES:
        raise UnknownNameError("measure of agreement", measure, MEASURES)
    heard = codes[(codes >= 0).sum(1) >= 2]
    heard = heard[:, (heard >= 0).any(0)] if len(heard) else heard
    if len(heard) == 0:
        return NOTHING
    if measure == "fleiss":
        return fleiss_kappa(heard, resamples, seed)
    if measure == "cohen" and heard.shape[1] > 2:
        raise InputError(f"Cohen's kappa is of two annotators, and {heard.shape[1]} labelled the same objects. Name two, or take measure='krippendorff'.")
    return cohen_kappa(heard) if heard.shape[1] == 2 and measure != "krippendorff" else krippendorff_alpha(heard, resamples, seed)


def _heard(codes: Codes) -> int:
    return int((codes >= 0).any(0).sum())


def _ratio(same: Any, chance: Any) -> NDArray[np.float64]:
    """(same - chance) / (1 - chance); NaN where chance alone gives 1."""
    rest = 1 - chance
    return np.where(rest > 1e-12, (same - chance) / np.where(rest > 1e-12, rest, 1.0), np.nan)


def _with_interval(measure: Any, n: int, resamples: int, seed: int) -> tuple[float, float, float]:
    value = float(measure(np.ones((1, n)))[0])
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)
    found = measure(drawn)
    found = found[np.isfinite(found)]
    if len(found) == 0 or n < 2:
        return value, float("nan"), float("nan")
    low, high = np.percentile(found, [2.5, 97.5])
    return value, float(low), float(high)
