"""What a spectrum is divided by: its continuum, with lines rejected unevenly. Pure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from astrofuse_lab.alignment.spectrum_cleaning import running_median, scatter
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Bools, Floats

METHODS = ("polynomial", "spline", "median")
BENDS = 1e-2
"""Weight of a spline's bends beside that of the data, by looking at galaxies, A and M stars: less overshoots in bands that are clipped, more misses the continuum."""


class Normalised(NamedTuple):
    """A spectrum divided by its continuum.

    Attributes
    ----------
    flux, ivar : float64 array, (pixel,)
        Without unit; `ivar` times the continuum squared. The continuum is taken as known: its own error is not in it.
    mask : bool array, (pixel,)
        False also where the continuum is not positive.
    continuum : float64 array, (pixel,)
        What was divided by, in the unit of the flux.
    """

    flux: NDArray[np.float64]
    ivar: NDArray[np.float64]
    mask: NDArray[np.bool_]
    continuum: NDArray[np.float64]


def normalised(
    wavelength: Floats, flux: Floats, ivar: Floats, mask: Bools, method: str = "spline", order: int = 5, window: float = 300.0,
    low: float = 2.0, high: float = 3.0, rounds: int = 10,
) -> Normalised:  # fmt: skip
    """Divide by the continuum; see `continuum` for the parameters.

    Raises
    ------
    AlignmentError
        As `continuum`, and if the continuum is positive nowhere.
    """
    level = continuum(wavelength, flux, ivar, mask, method, order, window, low, high, rounds)
    good = _good(flux, ivar, mask) & np.isfinite(level) & (level > 0)
    if not good.any():
        raise AlignmentError("flux has a continuum that is positive nowhere; a spectrum like this (sky-subtracted noise?) is not divided by it.")
    safe = np.where(good, level, 1.0)
    return Normalised(np.where(good, flux, 0.0) / safe, np.where(good, ivar, 0.0) * safe**2, good, level)


def continuum(
    wavelength: Floats, flux: Floats, ivar: Floats, mask: Bools, method: str = "spline", order: int = 5, window: float = 300.0,
    low: float = 2.0, high: float = 3.0, rounds: int = 10,
) -> NDArray[np.float64]:  # fmt: skip
    """The continuum of one spectrum.

    Parameters
    ----------
    wavelength, flux, ivar, mask : array, (pixel,)
        Ascending wavelengths, ångström.
    method : str
        ``polynomial`` (Legendre, weighted by ivar), ``spline`` (cubic with knots `window` apart, held straight where there are no
        data: Eilers & Marx 1996, Stat. Sci. 11, 89) or ``median`` (running, over `window`).
    order : int
        Of the polynomial.
    window : float
        ångström.
    low, high : float
        Pixels further below or above than so many times the robust scatter are left out and the fit made again: absorption asks
        for a smaller `low`, emission for a smaller `high`.
    rounds : int
        At most.

    Raises
    ------
    AlignmentError
        If a method does not exist, or there are too few good pixels.
    """
    if method not in METHODS:
        raise AlignmentError(f"method={method!r}: {', '.join(METHODS)} are there.")
    if not (window > 0 and low > 0 and high > 0 and order >= 0):
        raise AlignmentError(f"window={window}, low={low}, high={high}, order={order}: positive numbers are expected.")
    wave, good = np.asarray(wavelength, dtype=np.float64), _good(flux, ivar, mask)
    if good.sum() < max(order + 2, 5):
        raise AlignmentError(f"flux has {good.sum()} good pixels, too few for a continuum.")
    values = np.where(good, flux, 0.0).astype(np.float64)
    if method == "median":
        pixels = max(3, round(window / float(np.median(np.diff(wave)))) | 1)
        return running_median(values, good, pixels)
    basis = np.polynomial.legendre.legvander(2 * (wave - wave[0]) / (wave[-1] - wave[0]) - 1, order) if method == "polynomial" else _splines(wave, window)
    # bends of the spline cost a little: it crosses gaps, and bands that were clipped, without overshooting
    bends = np.diff(np.eye(basis.shape[1]), 2, axis=0) if method == "spline" else np.zeros((1, basis.shape[1]))
    # errors that differ by orders of magnitude would let a few pixels decide
    weight = np.where(good, np.clip(ivar, None, 100 * np.median(ivar[good])), 0.0).astype(np.float64)
    kept, floor = good.copy(), 1e-4 * float(np.median(np.abs(values[good])))  # below it lies rounding, not noise
    level = values
    for _ in range(max(1, rounds)):
        w = weight * kept
        normal = basis.T @ (w[:, None] * basis)
        normal += bends.T @ bends * (BENDS * np.trace(normal) / basis.shape[1])
        level = basis @ np.linalg.lstsq(normal, basis.T @ (w * values), rcond=1e-12)[0]
        away = values - level
        spread = max(scatter(away[kept]), floor)
        now = good & (away >= -low * spread) & (away <= high * spread)
        if now.sum() < max(order + 2, 5) or np.array_equal(now, kept):
            break
        kept = now
    return np.asarray(level)


def _splines(wave: NDArray[np.float64], window: float) -> NDArray[np.float64]:
    """Cubic B-splines at all pixels, (pixel, spline)."""
    inner = np.linspace(wave[0], wave[-1], max(2, int(np.ceil((wave[-1] - wave[0]) / window)) + 1))
    knots = np.concatenate([[wave[0]] * 3, inner, [wave[-1]] * 3])
    return np.asarray(BSpline.design_matrix(wave, knots, 3).toarray())


def _good(flux: Floats, ivar: Floats, mask: Bools) -> NDArray[np.bool_]:
    return np.asarray(mask & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0))
