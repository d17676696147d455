"""Bad pixels of spectra: cosmic rays, dead runs, wavelengths given twice; running medians. Pure; masks only lose pixels."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Bools, Floats


class Cleaned(NamedTuple):
    """Arrays of one spectrum, (pixel,)."""

    flux: NDArray[np.float64]
    ivar: NDArray[np.float64]
    mask: NDArray[np.bool_]


class Tidy(NamedTuple):
    """A spectrum in ascending order, (pixel,), each wavelength once."""

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    ivar: NDArray[np.float64]
    mask: NDArray[np.bool_]
    lsf_sigma: NDArray[np.float64] | None


def scatter(values: Floats) -> float:
    """Robust standard deviation: 1.4826 times the median distance from the median; 0 of nothing."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if len(values) else 0.0


def running_median(values: Floats, good: Bools, width: int) -> NDArray[np.float64]:
    """The median of the good pixels in a window about each pixel, (..., pixel); NaN where there is none.

    Parameters
    ----------
    values, good : array, (..., pixel)
    width : int
        Pixels, odd; the window is cut at the ends.

    Raises
    ------
    AlignmentError
        If `width` is even or not positive.
    """
    if width < 1 or width % 2 == 0:
        raise AlignmentError(f"width={width}: an odd number of pixels is expected.")
    half = [(0, 0)] * (np.ndim(values) - 1) + [(width // 2, width // 2)]
    held = np.pad(np.where(good, values, np.inf).astype(np.float64), half, constant_values=np.inf)
    ordered = np.sort(sliding_window_view(held, width, axis=-1), axis=-1)
    n = np.isfinite(ordered).sum(axis=-1)
    low, high = (np.take_along_axis(ordered, np.clip(at, 0, width - 1)[..., None], axis=-1)[..., 0] for at in ((n - 1) // 2, n // 2))
    return np.where(n > 0, (np.where(n > 0, low, 0.0) + np.where(n > 0, high, 0.0)) / 2, np.nan)


def median_filtered(flux: Floats, ivar: Floats, mask: Bools, width: int = 5) -> Cleaned:
    """Every good pixel replaced by the median of the good ones about it.

    The variance of a median of n equal Gaussian errors is pi / (2 (n + pi/2 - 1)) times theirs, which is exact for 1 and good to
    3 % beyond (Kendall & Stuart, vol. 1, asymptotic with the small-sample term); the mean of the window's is taken.
    """
    good = np.asarray(mask & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0))
    middle = running_median(flux, good, width)
    variance = np.where(good, 1 / np.where(good, ivar, 1.0), 0.0).astype(np.float64)
    ends = [(0, 0)] * (np.ndim(flux) - 1) + [(width // 2, width // 2)]
    n, total = (sliding_window_view(np.pad(v, ends), width, axis=-1).sum(axis=-1) for v in (good.astype(np.float64), variance))
    spread = np.where(good, total / np.maximum(n, 1) * np.pi / (2 * (n + np.pi / 2 - 1)), 1.0)
    return Cleaned(np.where(good, middle, 0.0), np.where(good, 1 / spread, 0.0), good)


def cosmic_rays(flux: Floats, ivar: Floats, mask: Bools, threshold: float = 8.0, widest: int = 3, window: int = 15) -> NDArray[np.bool_]:
    """Pixels hit by cosmic rays: bright, and narrower than a line can be.

    A run of pixels above the running median by more than `threshold` times the noise, with its neighbours above half of that, is
    a hit if it is at most `widest` pixels long; a longer one is a line. The idea of van Dokkum 2001 (PASP 113, 1420), that
    a hit has sharper edges than the optics can make, for one dimension. The noise is that of `ivar`, or the scatter about the median where larger.

    Parameters
    ----------
    flux, ivar, mask : array, (pixel,)
    threshold : float
    widest : int
        Pixels; below the FWHM of the line-spread function, so that no line is taken.
    window : int
        Pixels of the running median, odd, well above `widest`.

    Returns
    -------
    bool array, (pixel,)
        True where hit.

    Raises
    ------
    AlignmentError
        If `window` is not odd or not above twice `widest`.
    """
    if not (threshold > 0 and widest >= 1 and window > 2 * widest):
        raise AlignmentError(f"threshold={threshold}, widest={widest}, window={window}: a positive threshold, and a window above twice the widest hit, are expected.")
    good = np.asarray(mask & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0))
    if good.sum() < window:
        return np.zeros(len(flux), dtype=bool)
    above = np.where(good, flux - running_median(flux, good, window), 0.0) * np.sqrt(np.where(good, ivar, 0.0))
    above = above / max(1.0, scatter(above[good]))
    candidate = above > threshold / 2
    # borders of runs: +1 where one begins, -1 after its end
    steps = np.diff(np.concatenate([[0], candidate.astype(np.int8), [0]]))
    hit = np.zeros(len(flux), dtype=bool)
    for begin, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        if end - begin <= widest and above[begin:end].max() > threshold:
            hit[begin:end] = True
    return hit


def bad_pixels(wavelength: Floats, flux: Floats, ivar: Floats, mask: Bools, ranges: tuple[tuple[float, float], ...] = (), dead: int = 3) -> NDArray[np.bool_]:
    """Pixels that hold no measurement: not finite, without a positive ivar, in a run of at least `dead` zeros, or in one of `ranges` (ångström).

    Raises
    ------
    AlignmentError
        If a range is none.
    """
    for one in ranges:
        if len(one) != 2 or not one[0] < one[1]:
            raise AlignmentError(f"ranges: {one!r} is no pair of wavelengths, the lower first.")
    bad = ~(mask & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0))
    for low, high in ranges:
        bad |= (wavelength >= low) & (wavelength <= high)
    steps = np.diff(np.concatenate([[0], (np.asarray(flux) == 0).astype(np.int8), [0]]))
    for begin, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        if dead and end - begin >= dead:
            bad[begin:end] = True
    return np.asarray(bad)


def tidied(wavelength: Floats, flux: Floats, ivar: Floats, mask: Bools, lsf_sigma: Floats | None = None) -> Tidy:
    """Ascending wavelengths, each once; pixels without one are dropped.

    Pixels at one wavelength become their mean, weighted by ivar: the good ones alone, if there are any. Their ivar is the sum.

    Raises
    ------
    AlignmentError
        If fewer than two wavelengths are left.
    """
    wave = np.asarray(wavelength, dtype=np.float64)
    real = np.flatnonzero(np.isfinite(wave) & (wave > 0))
    new, where = np.unique(wave[real], return_inverse=True)
    if len(new) < 2:
        raise AlignmentError(f"lambda has {len(new)} positive, finite wavelengths among {len(wave)}; at least 2 are expected.")
    good = np.asarray(mask & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0))[real]
    weight = np.where(good, np.asarray(ivar, dtype=np.float64)[real], 0.0)
    total = np.asarray(np.bincount(where, weight, len(new)), dtype=np.float64)
    mean = np.bincount(where, weight * np.where(good, np.asarray(flux, dtype=np.float64)[real], 0.0), len(new)) / np.where(total > 0, total, 1.0)
    width = None
    if lsf_sigma is not None:
        width = np.bincount(where, np.asarray(lsf_sigma, dtype=np.float64)[real], len(new)) / np.bincount(where, minlength=len(new))
    return Tidy(new, mean, total, total > 0, width)
