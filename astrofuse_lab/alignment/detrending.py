"""Slow changes taken out of light curves: windows of time and polynomials, blind to transits where these are known.

Sources: Tukey's biweight in a sliding window, after Hippke et al. 2019, AJ 158, 143 (arXiv:1906.00966), who find it the best to keep
transits; biweight location, Beers, Flynn & Gebhardt 1990, AJ 100, 32, equation 5.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.outliers import row_medians, side_by_side, windows
from astrofuse_lab.errors import AlignmentError

Numbers = NDArray[np.float64]
Bools = NDArray[np.bool_]
METHODS = ("biweight", "median", "polynomial")


def in_transit(time: Any, period: float, middle: float, duration: float) -> Bools:
    """Which epochs lie within half a duration of a transit.

    Parameters
    ----------
    time : array
        Days, on the clock of `middle`.
    period, middle, duration : float
        Days. A period of 0 or NaN: one transit only.
    """
    if not duration >= 0:
        raise AlignmentError(f"duration={duration}: days, zero or more.")
    away = np.asarray(time, dtype=np.float64) - middle
    if np.isfinite(period) and period > 0:
        away = (away + period / 2) % period - period / 2
    return np.asarray(np.abs(away) <= duration / 2)


def biweight(rows: Numbers, cut: float = 6.0, iterations: int = 1, tolerance: float = 1e-6) -> Numbers:
    """Biweight location of rows without their NaNs.

    Parameters
    ----------
    rows : array, (row, value)
    cut : float
        Values further than this many median absolute deviations from the centre count nothing.
    iterations : int
        1 gives ``astropy.stats.biweight_location``; more move the centre on until it stays within `tolerance` of the deviation.

    Returns
    -------
    array, (row,)
        NaN where a row has no value.
    """
    centre = row_medians(rows)
    deviation = row_medians(np.abs(rows - centre[:, None]))
    there = np.isfinite(rows)
    for _ in range(iterations):
        away = np.where(there, rows - centre[:, None], 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(there & (np.abs(away) < cut * deviation[:, None]), (1 - (away / (cut * deviation[:, None])) ** 2) ** 2, 0.0)
            step = (away * weight).sum(axis=1) / weight.sum(axis=1)
        step = np.where(deviation > 0, np.nan_to_num(step), 0.0)  # all values the same: the median is the answer
        centre = centre + step
        if not (np.abs(step) > tolerance * deviation).any():
            break
    return centre


def in_windows(time: Any, values: Any, series: Any, use: Any, width: float, method: str = "biweight", least: int = 3) -> Numbers:
    """The trend in a window that slides along each series.

    Parameters
    ----------
    time, values : array, (epoch,)
    series : int array, (epoch,)
    use : bool array, (epoch,)
        Epochs that the trend is made of; it is known at all epochs.
    width : float
        Days. Hippke et al. advise three times the longest transit.
    method : {"biweight", "median"}
    least : int
        Epochs in a window; NaN with fewer.
    """
    x = np.where(np.asarray(use, dtype=bool), np.asarray(values, dtype=np.float64), np.nan)
    order, begin, end = windows(time, series, width)
    ranked, out = x[order], np.full(len(x), np.nan)
    for part, rows in side_by_side(ranked, begin, end):
        trend = biweight(rows, cut=5.0, iterations=20) if method == "biweight" else row_medians(rows)
        out[part] = np.where(np.isfinite(rows).sum(axis=1) >= least, trend, np.nan)
    return out


def polynomial(time: Any, values: Any, errors: Any, series: Any, use: Any, degree: int) -> Numbers:
    """The polynomial of least squares, weighted by inverse variance, through each series.

    Chebyshev polynomials over the span of the series, so that the equations stay well conditioned; a series with fewer
    epochs than coefficients has no trend (NaN).
    """
    t, x, e = (np.asarray(v, dtype=np.float64) for v in (time, values, errors))
    which, good = np.asarray(series, dtype=np.int64), np.asarray(use, dtype=bool)
    n = int(which.max(initial=-1)) + 1
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, which[good], t[good])
    np.maximum.at(high, which[good], t[good])
    with np.errstate(invalid="ignore"):
        half = np.where(high > low, (high - low) / 2, 1.0)
        place = np.where(np.isfinite(low[which]), (t - (low + high)[which] / 2) / half[which], 0.0)
    basis = np.polynomial.chebyshev.chebvander(place, degree)
    weight = np.where(good, 1 / np.where(good, e, 1.0) ** 2, 0.0)
    matrix, side = np.zeros((n, degree + 1, degree + 1)), np.zeros((n, degree + 1))
    np.add.at(matrix, which, basis[:, :, None] * basis[:, None, :] * weight[:, None, None])
    np.add.at(side, which, basis * (np.where(good, x, 0.0) * weight)[:, None])
    enough = np.bincount(which, weights=good, minlength=n) > degree
    scale = np.maximum(np.trace(matrix, axis1=1, axis2=2), np.finfo(float).tiny)[:, None]
    solved = (np.linalg.pinv(matrix / scale[..., None], hermitian=True) @ (side / scale)[..., None])[..., 0]
    return np.asarray(np.where(enough[which], (basis * solved[which]).sum(axis=1), np.nan))


def trend(
    time: Any, values: Any, errors: Any, series: Any, mask: Any, *, method: str = "biweight", window: float = 1.0, degree: int = 2, transit: Any | None = None
) -> Numbers:
    """The slow part of each series.

    Parameters
    ----------
    time, values, errors : array, (epoch,)
    series : int array, (epoch,)
    mask : bool array, (epoch,)
        Good epochs.
    method : {"biweight", "median", "polynomial"}
    window : float
        Days; of the first two.
    degree : int
        Of a polynomial.
    transit : bool array, (epoch,), optional
        Epochs that the trend must not see (`in_transit`).

    Returns
    -------
    array, (epoch,)
        NaN where nothing is known of it.
    """
    use = np.asarray(mask, dtype=bool) & np.isfinite(np.asarray(time, dtype=np.float64))
    if transit is not None:
        use = use & ~np.asarray(transit, dtype=bool)
    if method == "polynomial":
        if degree < 0 or degree > 30:
            raise AlignmentError(f"degree={degree}: a polynomial of degree 0 to 30.")
        return polynomial(time, values, errors, series, use, int(degree))
    if method not in METHODS:
        raise AlignmentError(f"method={method!r}: a trend is one of {', '.join(METHODS)}.")
    if not window > 0:
        raise AlignmentError(f"window={window}: days, more than zero.")
    return in_windows(time, values, series, use, window, method)
