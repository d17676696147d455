"""Spectra as the classifiers of supernovae at the SED Machine take them: few pixels, little resolution, brought between 0 and 1.

The grid of 256 points is the one that stands in the public code of Sharma et al. 2024 (arXiv:2412.08601), and the steps of the scale are its:
over the median of points 50 to 200; zero where outside (-5, 100); a running median; the lowest at 0, the highest at 1. The width of
its running median is in no source at hand: 3 here.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options, choice, number
from astrofuse_lab.alignment.resolution import sigma_of, spreading
from astrofuse_lab.errors import InputError

SCALES = ("range", "none")
MIDDLE = (50 / 256, 200 / 256)
"""Where the median is taken, as shares of the grid."""
KEPT = (-5.0, 100.0)
"""In medians; what lies outside is no spectrum."""
FEWEST = 8
"""Good pixels that a spectrum needs on the grid."""
FLAT = 1e-6
"""Range of a spectrum that is flat, as a share of its flux."""
LONGEST = 8192
"""Pixels of a spectrum whose resolution is lowered: the spreading is a matrix of its square."""
SEDM: Mapping[str, Any] = {"first": 3790.0, "last": 9208.75, "pixels": 256, "resolution": 100.0, "redshift": 0.0, "scale": "range", "median": 3}


def layout(given: Layout, options: Options) -> Layout:
    """(pixel,); without a unit where it is scaled."""
    first, last, pixels = float(options["first"]), float(options["last"]), int(options["pixels"])
    if not (0 < first < last) or pixels < FEWEST:
        raise InputError(f"first={first:g}, last={last:g}, pixels={pixels}: ascending wavelengths, Angstrom, and {FEWEST} pixels or more.")
    if options["resolution"] < 0 or int(options["median"]) < 1 or int(options["median"]) % 2 == 0:
        raise InputError(f"resolution={options['resolution']!r}, median={options['median']!r}: lambda over FWHM, or 0 to leave it as it is; an odd number of pixels, 1 for none.")
    if options["resolution"] and given.shape[-1] > LONGEST:
        raise InputError(f"spectra of {given.shape[-1]} pixels; the resolution of at most {LONGEST} is lowered. Bring them to a coarser grid first: af.align(..., spectrum=grid).")
    unit = given.unit if choice("scale of a spectrum", options["scale"], SCALES) == "none" else ""
    return Layout("spectrum", (), (pixels,), unit)


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Spectra on the grid; at rest where `redshift` is a number or a column, and observed where that is missing.

    The line-spread function is widened as if it had been sharp: a spectrum of R = 500 ends at R = 98, not 100. Between pixels a cubic spline
    goes through the good ones; a point farther than one pixel from the next good one is masked, as are whole spectra with fewer than `FEWEST` points.
    """
    wave = np.asarray(arrays["lambda"], dtype=np.float64)
    mask = arrays["mask"] & np.isfinite(arrays["flux"])
    flux = np.where(mask, arrays["flux"], 0.0).astype(np.float64)
    ivar = np.where(mask, arrays["ivar"], 0.0).astype(np.float64) if "ivar" in arrays else mask.astype(np.float64)
    if options["resolution"]:
        flux, mask = _lowered(wave, flux, mask, float(options["resolution"]))
    grid = np.linspace(float(options["first"]), float(options["last"]), int(options["pixels"]))
    shift = number(options["redshift"], "redshift", len(flux), columns)
    shift = np.where(np.isfinite(shift) & (shift > -1), shift, 0.0)
    out, weight, seen = (np.zeros((len(flux), len(grid))) for _ in range(3))
    for i in range(len(flux)):
        out[i], weight[i], seen[i] = _read_off(wave, flux[i], ivar[i], mask[i], grid * (1 + shift[i]))
    good = (seen > 0) & ((seen > 0).sum(axis=1, keepdims=True) >= FEWEST)
    if options["scale"] == "range":
        out, by = ranged(np.where(good, out, np.nan), int(options["median"]))
        weight = weight * by[:, None] ** 2
    return {
        "lambda": grid, "flux": np.where(good, out, 0.0).astype(np.float32), "ivar": np.where(good, weight, 0.0).astype(np.float32), "mask": good,
        "present": arrays["present"] & good.any(axis=1),
    }  # fmt: skip


def _lowered(wave: NDArray[np.float64], flux: NDArray[np.float64], mask: NDArray[np.bool_], resolution: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """All spectra at once: light spread over neighbours, over the share of it that comes from good pixels, half at least."""
    matrix, whole, width = spreading(wave, sigma_of(wave, resolution))
    share = mask.astype(np.float64) @ matrix.T / whole
    good = mask & (share >= 0.5)
    return np.where(good, (flux * width) @ matrix.T / np.where(good, share * width, 1.0), 0.0), good


def _read_off(
    wave: NDArray[np.float64], flux: NDArray[np.float64], ivar: NDArray[np.float64], mask: NDArray[np.bool_], at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Flux, inverse variance and whether it is covered, at wavelengths `at`."""
    x = wave[mask]
    if len(x) < FEWEST:
        return np.zeros(len(at)), np.zeros(len(at)), np.zeros(len(at), dtype=bool)
    above = np.clip(np.searchsorted(x, at), 1, len(x) - 1)
    step = np.interp(at, wave[1:], np.diff(wave))
    gap = np.minimum(np.abs(at - x[above - 1]), np.abs(x[above] - at))
    covered = (gap <= step) & (at >= x[0] - 1e-6 * step) & (at <= x[-1] + 1e-6 * step)
    return np.where(covered, CubicSpline(x, flux[mask])(np.clip(at, x[0], x[-1])), 0.0), np.interp(at, x, ivar[mask]), covered


def ranged(flux: NDArray[np.float64], median: int = 3) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spectra between 0 and 1 by the steps of this module.

    Parameters
    ----------
    flux : float64 array, (object, pixel)
        NaN where there is none.
    median : int
        Pixels of the running median, an odd number; what is missing in it is passed over.

    Returns
    -------
    flux : float64 array, (object, pixel)
        NaN where it was; a flat spectrum is 0 throughout.
    by : float64 array, (object,)
        What a difference of fluxes was divided by.
    """
    out, by = np.full(flux.shape, np.nan), np.ones(len(flux))
    begin, end = (round(share * flux.shape[1]) for share in MIDDLE)
    for i in np.flatnonzero(np.isfinite(flux).any(axis=1)):
        seen = np.isfinite(flux[i])
        middle = flux[i, begin:end][seen[begin:end]]
        level = abs(float(np.median(middle if len(middle) else flux[i][seen]))) or 1.0
        one = flux[i] / level
        one[seen & ((one <= KEPT[0]) | (one >= KEPT[1]))] = 0.0
        windows = sliding_window_view(np.pad(one, median // 2, constant_values=np.nan), median)
        smooth = np.full(len(one), np.nan)
        smooth[seen] = np.nanmedian(windows[seen], axis=1)
        low, high = float(np.nanmin(smooth)), float(np.nanmax(smooth))
        # a flat spectrum must not become its own rounding
        span = high - low if high - low > FLAT * max(abs(high), abs(low)) else np.inf
        out[i], by[i] = (smooth - low) / span, level * span if np.isfinite(span) else 1.0
    return out, by
