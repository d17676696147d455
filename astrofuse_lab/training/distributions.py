"""Predicted distributions of a number: densities, probabilities and quantiles, in the target's unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.problem import Problem

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[np.float64]
INTERVALS = (0.025, 0.16, 0.5, 0.84, 0.975)
HALVINGS = 60
"""Steps of bisection: to the last bit of a double."""


@dataclass(frozen=True)
class Distribution:
    """One distribution a sample: a mixture of Gaussians, or straight lines between quantiles.

    Beyond the outermost quantiles the cumulative probability goes on with the slope that it has at the end of what is known, to 0 and 1.

    Attributes
    ----------
    kind : {"mixture", "quantiles"}
    parts : tuple of array
        mixture: weights, means and scales, (sample, component) each; quantiles: levels and values, (sample, level), outermost included.
    object_ids : str array, (sample,)
    seen : bool array, (sample,)
        False where a sample had nothing to go by: its numbers mean nothing.
    unit : str
    """

    kind: str
    parts: tuple[Array, ...]
    object_ids: Any = None
    seen: Any = None
    unit: str = ""

    def __len__(self) -> int:
        return len(self.parts[0])

    def pdf(self, values: Any) -> Array:
        """Density, per unit: (sample,) at one number; (sample, value) at a row of numbers, or at each sample's own, ``truth[:, None]``."""
        points, shaped = self._points(values)
        if self.kind == "mixture":
            weights, means, scales = (part[:, None] for part in self.parts)
            z = (points[..., None] - means) / scales
            return shaped((weights * np.exp(-0.5 * z**2) / (scales * np.sqrt(2 * np.pi))).sum(-1))
        levels, places = self.parts
        slopes = np.diff(levels) / np.maximum(np.diff(places), 1e-300)
        found = np.stack([np.searchsorted(row, x, side="right") - 1 for row, x in zip(places, points, strict=True)])
        inside = (found >= 0) & (found < slopes.shape[1])
        return shaped(np.where(inside, np.take_along_axis(slopes, found.clip(0, slopes.shape[1] - 1), 1), 0.0))

    def cdf(self, values: Any) -> Array:
        """Probability of no more than these values; shapes as in `pdf`."""
        from scipy.special import ndtr

        points, shaped = self._points(values)
        if self.kind == "mixture":
            weights, means, scales = (part[:, None] for part in self.parts)
            return shaped((weights * ndtr((points[..., None] - means) / scales)).sum(-1))
        return shaped(np.stack([np.interp(x, row, level) for x, level, row in zip(points, *self.parts, strict=True)]))

    def quantile(self, levels: float | Sequence[float]) -> Array:
        """The values below which lies this probability: (sample,) for one level, (sample, level) for several."""
        wanted = np.atleast_1d(np.asarray(levels, dtype=np.float64))
        if wanted.ndim > 1 or not ((wanted > 0) & (wanted < 1)).all():
            raise InputError(f"levels={levels}: probabilities between 0 and 1, e.g. [0.16, 0.5, 0.84].")
        if self.kind == "quantiles":
            made = np.stack([np.interp(wanted, level, row) for level, row in zip(*self.parts, strict=True)]) if len(self) else np.zeros((0, len(wanted)))
        else:
            _, means, scales = self.parts
            low, high = (np.repeat(edge[:, None], len(wanted), 1) for edge in ((means - 40 * scales).min(1), (means + 40 * scales).max(1)))
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                below = self.cdf(middle) < wanted
                low, high = np.where(below, middle, low), np.where(below, high, middle)
            made = (low + high) / 2
        return made[:, 0] if np.ndim(levels) == 0 else made

    @property
    def mean(self) -> Array:
        """(sample,)."""
        if self.kind == "mixture":
            weights, means, _ = self.parts
            return np.asarray((weights * means).sum(1))
        levels, places = self.parts
        return np.asarray((np.diff(levels) * (places[:, 1:] + places[:, :-1]) / 2).sum(1))

    @property
    def std(self) -> Array:
        """(sample,)."""
        if self.kind == "mixture":
            weights, means, scales = self.parts
            return np.sqrt((weights * (scales**2 + (means - self.mean[:, None]) ** 2)).sum(1))
        levels, places = self.parts
        left, right = places[:, :-1] - self.mean[:, None], places[:, 1:] - self.mean[:, None]
        return np.sqrt((np.diff(levels) * (left**2 + left * right + right**2) / 3).sum(1))

    def table(self, levels: Sequence[float] = INTERVALS) -> "Table":
        """One row a sample: object_id, mean, std and ``q_<level>``; masked where a sample had nothing to go by."""
        from astropy.table import MaskedColumn, Table

        ids = np.arange(len(self)) if self.object_ids is None else self.object_ids
        hidden = np.zeros(len(self), dtype=bool) if self.seen is None else ~self.seen
        made = {"mean": self.mean, "std": self.std, **{f"q_{level:g}": column for level, column in zip(levels, self.quantile(levels).T, strict=True)}}
        table = Table({"object_id": ids})
        for name, column in made.items():
            table[name] = MaskedColumn(column, mask=hidden) if hidden.any() else column
            table[name].unit = self.unit or None
        return table

    def _points(self, values: Any) -> tuple[Array, Any]:
        """Values as (sample, value), and what brings the result into the shape that was asked for."""
        given = np.asarray(values, dtype=np.float64)
        if given.ndim == 0:
            return np.full((len(self), 1), float(given)), lambda made: made[:, 0]
        if given.ndim == 1:
            return np.broadcast_to(given, (len(self), len(given))), lambda made: made
        if given.ndim == 2 and len(given) == len(self):
            return given, lambda made: made
        raise InputError(f"values of shape {given.shape}: one value, a row of values for all samples, or ({len(self)}, value).")


def of_extras(extra: Mapping[str, NDArray[Any]], problem: Problem) -> Distribution | None:
    """The distribution that a head's `extra` holds, in the target's unit; None where it holds none."""
    if problem.task != "regression" or not problem.width:
        return None
    width = problem.width[0]
    numbers = {name: np.asarray(extra[name], dtype=np.float64) for name in ("weights", "means", "scales", "quantiles", "levels") if name in extra}
    if {"weights", "means", "scales"} <= set(numbers):
        return Distribution("mixture", (numbers["weights"], problem.in_units(numbers["means"]), numbers["scales"] * width))
    if {"quantiles", "levels"} <= set(numbers):
        return Distribution("quantiles", _to_the_ends(numbers["levels"], problem.in_units(numbers["quantiles"])))
    return None


def _to_the_ends(levels: Array, places: Array) -> tuple[Array, Array]:
    """Levels from 0 to 1 and where they lie: the outermost pieces go on."""
    first = places[:, :1] - levels[:, :1] * (places[:, 1:2] - places[:, :1]) / (levels[:, 1:2] - levels[:, :1])
    last = places[:, -1:] + (1 - levels[:, -1:]) * (places[:, -1:] - places[:, -2:-1]) / (levels[:, -1:] - levels[:, -2:-1])
    ends = np.zeros((len(levels), 1))
    return np.concatenate([ends, levels, ends + 1], 1), np.concatenate([first, places, last], 1)
