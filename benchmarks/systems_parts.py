"""What the systems' measurements share: a number with its interval and reference, and paired intervals."""

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RUNS = os.environ.get("SYSTEMS_RUNS")
"""A folder that keeps sets and trainings, so that a measurement that was cut off goes on; None: nothing is kept."""


@dataclass(frozen=True)
class Number:
    """One measured number.

    Attributes
    ----------
    name : str
        E.g. "accuracy, shallow CNN".
    value : float
    low, high : float, optional
        95 % interval, over groups of the test rows.
    n : int, optional
        Rows it was measured on.
    data : str
        Sample set, and which part.
    reference_name : str
        What it stands beside: a reference recomputed on the same rows.
    reference : float, optional
    difference : tuple of float, optional
        Value less reference: paired 95 % interval.
    published : float, optional
    note : str
        What limits it.
    higher_is_better : bool, optional
        None: neither (counts, sizes, errors without a goal).
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    data: str = ""
    reference_name: str = ""
    reference: float | None = None
    difference: tuple[float, float] | None = None
    published: float | None = None
    note: str = ""
    higher_is_better: bool | None = None

    @property
    def below(self) -> bool:
        """True where the paired interval lies wholly on the wrong side of the reference."""
        if self.difference is None or self.higher_is_better is None:
            return False
        return self.difference[1] < 0 if self.higher_is_better else self.difference[0] > 0

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it; numbers to five figures, NaN as null."""
        return {name: _plain(value) for name, value in {**asdict(self), "below": self.below}.items()}

    def __str__(self) -> str:
        interval = f" ({self.low:.4g} to {self.high:.4g})" if self.low is not None and self.high is not None else ""
        beside = f"; {self.reference_name} {self.reference:.4g}" if self.reference is not None else ""
        paired = f", difference {self.difference[0]:+.3g} to {self.difference[1]:+.3g}" if self.difference is not None else ""
        said = f"; published {self.published:g}" if self.published is not None else ""
        return f"{self.name} {self.value:.5g}{interval}{beside}{paired}{said}{' (' + self.note + ')' if self.note else ''}{' BELOW' if self.below else ''}"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


Metric = Callable[[NDArray[Any], NDArray[Any]], float]


def interval(metric: Metric, truth: NDArray[Any], said: NDArray[Any], groups: NDArray[Any] | None = None, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Bootstrapped 95 % interval of a metric, over groups."""
    values = [metric(truth[rows], said[rows]) for rows in resampled(len(truth), groups, draws, seed)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def paired(metric: Metric, truth: NDArray[Any], ours: NDArray[Any], theirs: NDArray[Any], groups: NDArray[Any] | None = None, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Bootstrapped 95 % interval of the difference of a metric between two predictions of the same rows."""
    values = [metric(truth[rows], ours[rows]) - metric(truth[rows], theirs[rows]) for rows in resampled(len(truth), groups, draws, seed)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def resampled(n: int, groups: NDArray[Any] | None, draws: int, seed: int) -> Any:
    """Rows of each bootstrap draw; whole groups are drawn."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(codes.max() + 2))
    for _ in range(draws):
        chosen = rng.integers(codes.max() + 1, size=codes.max() + 1)
        yield np.concatenate([order[bounds[g] : bounds[g + 1]] for g in chosen])
