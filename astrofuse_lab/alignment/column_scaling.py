"""Columns of a table to numbers of order one, and back: each scaling is fitted on the values it is shown, and nothing else.

============ ================================================================ ==================================================
name         scaled value                                                     after
============ ================================================================ ==================================================
``robust``   (x - median) / (1.4826 median absolute deviation)                the default: wild values do not set the scale
``z_score``  (x - mean) / standard deviation
``min_max``  (x - least) / (greatest - least): 0 to 1
``largest``  x / greatest |x|: zero stays zero
``log``      z-score of log10(x); masked where x is not above 0
``asinh``    z-score of asinh((x - median) / robust width)                    Lupton, Gunn & Szalay 1999, AJ 118, 1406
``quantile`` normal quantile of the mid-rank, straight lines between knots    the rank-based normal scores of Blom 1958
``none``     x                                                                columns that are of order one already
============ ================================================================ ==================================================

All are monotone, so that they can be undone within the range of values that was fitted. Pure; float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from astrofuse_lab.errors import UnknownNameError

Floats = NDArray[np.float64]
KNOTS = 500
"""Quantiles that are kept of a column, at most."""


class ColumnScaling(NamedTuple):
    """One way to scale a column.

    Attributes
    ----------
    fit : callable
        Good values, (object,), one at least, to the numbers that are kept.
    forward, inverse : callable
        Values and these numbers to scaled values, and back; `forward` gives NaN where there is no scaled value.
    """

    fit: Callable[[Floats], list[float]]
    forward: Callable[[Floats, Floats], Floats]
    inverse: Callable[[Floats, Floats], Floats]


def width_of(values: Floats) -> float:
    """A robust width: 1.4826 times the median absolute deviation; where that is zero the standard deviation, else one."""
    width = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return width if width > 0 else (float(np.std(values)) or 1.0)


def _spread(values: Floats) -> float:
    return float(np.std(values)) or 1.0


def _affine(values: Floats, numbers: Floats) -> Floats:
    return np.asarray((values - numbers[0]) / numbers[1])


def _affine_back(scaled: Floats, numbers: Floats) -> Floats:
    return np.asarray(scaled * numbers[1] + numbers[0])


def _fit_log(values: Floats) -> list[float]:
    positive = np.log10(values[values > 0])
    return [float(positive.mean()), _spread(positive)] if len(positive) else [0.0, 1.0]


def _log(values: Floats, numbers: Floats) -> Floats:
    return _affine(np.log10(np.where(values > 0, values, np.nan)), numbers)


def _log_back(scaled: Floats, numbers: Floats) -> Floats:
    return np.asarray(10.0 ** _affine_back(scaled, numbers))


def _fit_asinh(values: Floats) -> list[float]:
    centre, soft = float(np.median(values)), width_of(values)
    stretched = np.arcsinh((values - centre) / soft)
    return [centre, soft, float(stretched.mean()), _spread(stretched)]


def _asinh(values: Floats, numbers: Floats) -> Floats:
    return _affine(np.arcsinh(_affine(values, numbers[:2])), numbers[2:])


def _asinh_back(scaled: Floats, numbers: Floats) -> Floats:
    return _affine_back(np.sinh(_affine_back(scaled, numbers[2:])), numbers[:2])


def _fit_quantile(values: Floats) -> list[float]:
    """Knots, then their shares: each knot once, at the middle of the ranks it takes."""
    ordered = np.sort(values)
    count = min(KNOTS, len(ordered))
    chosen = np.quantile(ordered, (np.arange(count) + 0.5) / count) if len(ordered) > KNOTS else ordered
    chosen[[0, -1]] = ordered[[0, -1]]  # the range that was seen
    knots = np.unique(chosen)
    share = (np.searchsorted(ordered, knots, "left") + np.searchsorted(ordered, knots, "right")) / (2 * len(ordered))
    # between two values of the data no rank passes, and two knots would share one: then the first stands for both
    share, first = np.unique(np.clip(share, 0.5 / len(ordered), 1 - 0.5 / len(ordered)), return_index=True)
    return [*knots[first].tolist(), *share.tolist()]


def _quantile(values: Floats, numbers: Floats) -> Floats:
    knots, share = np.split(numbers, 2)
    scaled = ndtri(np.interp(values, knots, share))
    return np.where(np.isfinite(values), scaled, np.nan)


def _quantile_back(scaled: Floats, numbers: Floats) -> Floats:
    knots, share = np.split(numbers, 2)
    return np.asarray(np.interp(ndtr(scaled), share, knots), dtype=np.float64)


SCALINGS: dict[str, ColumnScaling] = {
    "robust": ColumnScaling(lambda v: [float(np.median(v)), width_of(v)], _affine, _affine_back),
    "z_score": ColumnScaling(lambda v: [float(v.mean()), _spread(v)], _affine, _affine_back),
    "min_max": ColumnScaling(lambda v: [float(v.min()), float(v.max() - v.min()) or 1.0], _affine, _affine_back),
    "largest": ColumnScaling(lambda v: [0.0, float(np.abs(v).max()) or 1.0], _affine, _affine_back),
    "log": ColumnScaling(_fit_log, _log, _log_back),
    "asinh": ColumnScaling(_fit_asinh, _asinh, _asinh_back),
    "quantile": ColumnScaling(_fit_quantile, _quantile, _quantile_back),
    "none": ColumnScaling(lambda v: [0.0, 1.0], _affine, _affine_back),
}
"""Every scaling by its name."""


def scaling(name: str) -> ColumnScaling:
    """The scaling of a name; UnknownNameError where there is none."""
    if name not in SCALINGS:
        raise UnknownNameError("scaling of columns", name, SCALINGS)
    return SCALINGS[name]
