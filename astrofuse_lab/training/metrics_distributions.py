"""Metrics of predicted distributions: CRPS, PIT, coverage.

A distribution is one of three forms, one row a sample: `Mixture` (of Gaussians), `Quantiles`, `Ensemble` (equal draws). Each gives its
cumulative distribution, its quantiles and its continuous ranked probability score (CRPS; Gneiting & Raftery 2007,
doi:10.1198/016214506000001437). The metrics take ``(truth, distribution, weights)`` as all others do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from astrofuse_lab.errors import InputError

Array = NDArray[Any]
BISECTIONS = 60
"""Halvings in the search of a mixture's quantile: 1e-18 of the bracket."""


class Distribution(Protocol):
    """What the metrics need of predicted distributions, one a sample."""

    def __len__(self) -> int: ...
    def take(self, rows: Array) -> "Distribution":
        """Those of some samples."""
        ...

    def cdf(self, at: Array) -> Array:
        """Probability of a value of at most `at` (sample,)."""
        ...

    def quantile(self, level: float) -> Array:
        """The value below which the share `level` lies: (sample,)."""
        ...

    def crps(self, truth: Array) -> Array:
        """Integral of the squared distance of the cumulative distribution from the step at the truth: (sample,), in the target's unit."""
        ...


def _density(z: Array) -> Array:
    return np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


def _mean_distance(mean: Array, width: Array) -> Array:
    """E|X| of a Gaussian."""
    z = mean / width
    return np.asarray(mean * (2 * ndtr(z) - 1) + 2 * width * _density(z))


@dataclass(frozen=True)
class Mixture:
    """Gaussian mixtures; one component is a plain Gaussian.

    Attributes
    ----------
    shares : array, (sample, component)
        Sum to one.
    means, widths : array, (sample, component)
        Widths are standard deviations, above zero.
    """

    shares: Array
    means: Array
    widths: Array

    def __post_init__(self) -> None:
        if not (self.shares.ndim == 2 and self.shares.shape == self.means.shape == self.widths.shape):
            raise InputError(f"Mixture: shares {self.shares.shape}, means {self.means.shape}, widths {self.widths.shape}; one (sample, component) is expected.")
        if not (self.widths > 0).all() or np.abs(self.shares.sum(1) - 1).max(initial=0.0) > 1e-3:
            raise InputError("Mixture: widths are above zero and the shares of a sample sum to one.")

    def __len__(self) -> int:
        return len(self.means)

    def take(self, rows: Array) -> "Mixture":
        """Those of some samples."""
        return Mixture(self.shares[rows], self.means[rows], self.widths[rows])

    def cdf(self, at: Array) -> Array:
        """See `Distribution.cdf`."""
        return np.asarray((self.shares * ndtr((np.asarray(at)[:, None] - self.means) / self.widths)).sum(1))

    def quantile(self, level: float) -> Array:
        """See `Distribution.quantile`; by bisection."""
        low, high = (self.means - 40 * self.widths).min(1), (self.means + 40 * self.widths).max(1)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = self.cdf(middle) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)

    def crps(self, truth: Array) -> Array:
        """Closed form (Grimit et al. 2006, doi:10.1256/qj.05.235): E|X - y| - E|X - X'| / 2."""
        near = (self.shares * _mean_distance(np.asarray(truth)[:, None] - self.means, self.widths)).sum(1)
        apart = _mean_distance(self.means[:, :, None] - self.means[:, None], np.hypot(self.widths[:, :, None], self.widths[:, None]))
        return np.asarray(near - 0.5 * np.einsum("si,sj,sij->s", self.shares, self.shares, apart))


@dataclass(frozen=True)
class Quantiles:
    """Values at given levels of probability; between them the cumulative distribution is a straight line, outside it is flat.

    Attributes
    ----------
    levels : array, (level,)
        Ascending, between 0 and 1.
    values : array, (sample, level)
        Ascending in each row (crossing quantiles are sorted; Chernozhukov et al. 2010, doi:10.3982/ECTA7880).
    """

    levels: Array
    values: Array

    def __post_init__(self) -> None:
        levels = np.asarray(self.levels, dtype=np.float64)
        if self.values.ndim != 2 or levels.shape != self.values.shape[1:] or not ((levels > 0) & (levels < 1)).all() or (np.diff(levels) <= 0).any():
            raise InputError(f"Quantiles: levels {levels.tolist()} for values {self.values.shape}; ascending levels between 0 and 1, one for each column.")
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "values", np.sort(self.values, axis=1))

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Array) -> "Quantiles":
        """Those of some samples."""
        return Quantiles(self.levels, self.values[rows])

    def cdf(self, at: Array) -> Array:
        """See `Distribution.cdf`; 0 below the lowest quantile, 1 above the highest."""
        at = np.asarray(at, dtype=np.float64)
        out = np.array([np.interp(a, row, self.levels) for a, row in zip(at, self.values, strict=True)])
        return np.where(at < self.values[:, 0], 0.0, np.where(at > self.values[:, -1], 1.0, out))

    def quantile(self, level: float) -> Array:
        """See `Distribution.quantile`; no further out than the outermost level."""
        return np.array([np.interp(level, self.levels, row) for row in self.values])

    def crps(self, truth: Array) -> Array:
        """Twice the pinball loss, summed over the levels, each for the stretch of 0 to 1 nearest to it (Laio & Tamea 2007, doi:10.5194/hess-11-1267-2007)."""
        error = np.asarray(truth)[:, None] - self.values
        loss = np.maximum(self.levels * error, (self.levels - 1) * error)
        ends = np.concatenate([[0.0], (self.levels[1:] + self.levels[:-1]) / 2, [1.0]])
        return np.asarray(2 * (loss * np.diff(ends)).sum(1))


@dataclass(frozen=True)
class Ensemble:
    """Equally likely draws.

    Attributes
    ----------
    members : array, (sample, draw)
    """

    members: Array

    def __post_init__(self) -> None:
        if self.members.ndim != 2 or self.members.shape[1] < 1:
            raise InputError(f"Ensemble: members of shape {self.members.shape}; (sample, draw) is expected.")
        object.__setattr__(self, "members", np.sort(self.members, axis=1))

    def __len__(self) -> int:
        return len(self.members)

    def take(self, rows: Array) -> "Ensemble":
        """Those of some samples."""
        return Ensemble(self.members[rows])

    def cdf(self, at: Array) -> Array:
        """See `Distribution.cdf`; the truth among the draws as one more draw, ties in the middle: (below + ties / 2 + 1/2) / (draws + 1)."""
        at = np.asarray(at)[:, None]
        below, ties = (self.members < at).sum(1), (self.members == at).sum(1)
        return np.asarray((below + 0.5 * ties + 0.5) / (self.members.shape[1] + 1))

    def quantile(self, level: float) -> Array:
        """See `Distribution.quantile`."""
        return np.asarray(np.quantile(self.members, level, axis=1))

    def crps(self, truth: Array) -> Array:
        """E|X - y| - E|X - X'| / 2 over the draws, by sorting (Hersbach 2000, doi:10.1175/1520-0434(2000)015<0559:DOTCRP>2.0.CO;2)."""
        count = self.members.shape[1]
        rank = 2 * np.arange(1, count + 1) - count - 1
        return np.asarray(np.abs(self.members - np.asarray(truth)[:, None]).mean(1) - (self.members * rank).sum(1) / count**2)


# ---- metrics ---------------------------------------------------------------------------------------------------------


def crps(truth: Array, predicted: Distribution, weights: Array) -> Array:
    """Mean continuous ranked probability score, in the target's unit: of a point prediction it is the mean absolute error."""
    return np.asarray(weights @ predicted.crps(truth) / weights.sum(1))


def pit(truth: Array, predicted: Distribution) -> Array:
    """Probability integral transforms: where in its distribution each truth lies, 0 to 1; even where the widths are right (Dawid 1984)."""
    return predicted.cdf(truth)


def pit_distance(truth: Array, predicted: Distribution, weights: Array) -> Array:
    """Kolmogorov-Smirnov distance of the PIT values from an even distribution: 0 is perfect."""
    values = np.sort(pit(truth, predicted))
    order = np.argsort(pit(truth, predicted), kind="stable")
    reached = np.cumsum(weights[:, order], axis=1) / weights.sum(1)[:, None]
    before = np.concatenate([np.zeros((len(reached), 1)), reached[:, :-1]], axis=1)
    return np.asarray(np.maximum(reached - values, values - before).max(1))


def coverage(truth: Array, predicted: Distribution, weights: Array, level: float = 0.9) -> Array:
    """Share of truths inside the central interval that should hold `level` of them."""
    inside = (truth >= predicted.quantile((1 - level) / 2)) & (truth <= predicted.quantile((1 + level) / 2))
    return np.asarray(weights @ inside / weights.sum(1))


def width(truth: Array, predicted: Distribution, weights: Array, level: float = 0.9) -> Array:
    """Mean width of the central interval that should hold `level`: of two that cover alike, the narrower is better."""
    return np.asarray(weights @ (predicted.quantile((1 + level) / 2) - predicted.quantile((1 - level) / 2)) / weights.sum(1))


def interval_coverage(truth: Array, low: Array, high: Array, weights: Array) -> Array:
    """Share of truths between two bounds that a sample has of its own, e.g. of conformal intervals: (resample,)."""
    return np.asarray(weights @ ((truth >= low) & (truth <= high)) / weights.sum(1))


DISTRIBUTION: dict[str, Callable[..., Array]] = {"crps": crps, "pit_distance": pit_distance, "coverage": coverage, "width": width}
