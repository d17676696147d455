"""Bad pixels given a value by those beside them: interpolated along an axis, or the weighted mean of a neighbourhood.

A step that a person asks for, never a part of alignment: the pixels become good, with the variance of what they were made of,
and only where enough good ones are near. What is made of neighbours is correlated with them.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import AlignmentError

Numbers = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Filled(NamedTuple):
    """Pixels of the shape that was given.

    Attributes
    ----------
    flux, ivar : array
        `ivar` is None where none was given.
    mask : bool array
        True where a pixel was good or has been given a value.
    new : bool array
        Which have.
    """

    flux: Numbers
    ivar: Numbers | None
    mask: Bools
    new: Bools


def _good(flux: Any, ivar: Any | None, mask: Any) -> tuple[Numbers, Numbers | None, Bools]:
    values, good = np.asarray(flux, dtype=np.float64), np.asarray(mask, dtype=bool) & np.isfinite(np.asarray(flux, dtype=np.float64))
    if ivar is None:
        return np.where(good, values, 0.0), None, good
    weight = np.asarray(ivar, dtype=np.float64)
    good = good & np.isfinite(weight) & (weight > 0)
    return np.where(good, values, 0.0), np.where(good, 1 / np.where(good, weight, 1.0), 0.0), good


def _filled(flux: Any, ivar: Any | None, mask: Any, new: Bools, value: Numbers, variance: Numbers | None) -> Filled:
    kept = np.asarray(mask, dtype=bool)
    out = np.where(new, value, np.asarray(flux, dtype=np.float64))
    if ivar is None or variance is None:
        return Filled(out, None, kept | new, new)
    return Filled(out, np.where(new, 1 / np.where(variance > 0, variance, np.inf), np.asarray(ivar, dtype=np.float64)), kept | new, new)


def interpolated(flux: Any, ivar: Any | None, mask: Any, widest: int = 3, place: Any | None = None) -> Filled:
    """Gaps of at most `widest` pixels along the last axis bridged by a straight line between the good pixels beside them.

    Parameters
    ----------
    flux, ivar, mask : array, (..., pixel)
        `ivar` may be None.
    widest : int
        Pixels. Gaps at the ends are not bridged: there is nothing on the other side.
    place : array, (pixel,), optional
        Where pixels lie, e.g. wavelengths; None: evenly.
    """
    if widest < 1:
        raise AlignmentError(f"widest={widest}: a gap of at least 1 pixel.")
    values, variance, good = _good(flux, ivar, mask)
    n = values.shape[-1]
    index = np.arange(n)
    left = np.maximum.accumulate(np.where(good, index, -1), axis=-1)
    right = np.flip(np.minimum.accumulate(np.flip(np.where(good, index, n), -1), axis=-1), -1)
    new = ~np.asarray(mask, dtype=bool) & ~good & (left >= 0) & (right < n) & (right - left - 1 <= widest)
    a, b = np.where(new, left, 0), np.where(new, right, 0)
    x = index.astype(np.float64) if place is None else np.asarray(place, dtype=np.float64)
    share = np.where(new, (x - x[a]) / np.where(new, x[b] - x[a], 1.0), 0.0)
    value = np.take_along_axis(values, a, -1) * (1 - share) + np.take_along_axis(values, b, -1) * share
    spread = None if variance is None else np.take_along_axis(variance, a, -1) * (1 - share) ** 2 + np.take_along_axis(variance, b, -1) * share**2
    return _filled(flux, ivar, mask, new, value, spread)


def from_neighbours(flux: Any, ivar: Any | None, mask: Any, sigma: float = 1.0, least: float = 0.25) -> Filled:
    """Bad pixels of images as the mean of good ones around them, weighted with a Gaussian; one plane by itself.

    Parameters
    ----------
    flux, ivar, mask : array, (..., y, x)
        `ivar` may be None.
    sigma : float
        Pixels. Weights end at four of them.
    least : float
        Share of the Gaussian's weight, the middle left out, that must fall on good pixels: the midst of a large hole stays bad.

    Returns
    -------
    Filled
        The values equal ``astropy.convolution.interpolate_replace_nans`` with a Gaussian2DKernel.
    """
    if not sigma > 0 or not 0 <= least <= 1:
        raise AlignmentError(f"sigma={sigma}, least={least}: a width above 0 pixels, and a share from 0 to 1.")
    from scipy.ndimage import correlate1d

    values, variance, good = _good(flux, ivar, mask)
    reach = int(np.ceil(4 * sigma))
    kernel = np.exp(-((np.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    blur = lambda v, k: correlate1d(correlate1d(v, k, axis=-1, mode="constant"), k, axis=-2, mode="constant")  # noqa: E731
    weight = blur(good.astype(np.float64), kernel)
    # what there could be: the same in the middle of a good image, less the pixel itself
    new = ~np.asarray(mask, dtype=bool) & ~good & (weight >= np.maximum(least * (kernel.sum() ** 2 - 1), 1e-300))
    safe = np.where(new, weight, 1.0)
    spread = None if variance is None else blur(variance, kernel**2) / safe**2
    return _filled(flux, ivar, mask, new, blur(values, kernel) / safe, spread)


def median_filtered(flux: Any, mask: Any, size: int = 3) -> tuple[Numbers, Bools]:
    """The median of the good pixels in a square around each; at the borders, of those that there are.

    Parameters
    ----------
    flux, mask : array, (..., y, x)
    size : int
        Pixels on a side, odd.

    Returns
    -------
    flux : array
    mask : bool array
        True where there was a good pixel and the pixel itself was good: masks do not shrink.
    """
    if size < 1 or size % 2 == 0:
        raise AlignmentError(f"size={size}: an odd number of pixels.")
    values, _, good = _good(flux, None, mask)
    edge = [(0, 0)] * (values.ndim - 2) + [(size // 2, size // 2)] * 2
    padded, there = np.pad(values, edge), np.pad(good, edge)
    side = lambda v: np.lib.stride_tricks.sliding_window_view(v, (size, size), axis=(-2, -1)).reshape(*values.shape, size * size)  # noqa: E731
    return np.where(good, _medians(side(padded), side(there)), np.asarray(flux, dtype=np.float64)), good


def _medians(values: Numbers, good: Bools) -> Numbers:
    """Medians along the last axis of the good values; zero where there is none."""
    ranked = np.sort(np.where(good, values, np.inf), axis=-1)
    n = good.sum(axis=-1)
    low, high = (np.take_along_axis(ranked, np.clip(i, 0, ranked.shape[-1] - 1)[..., None], -1)[..., 0] for i in ((n - 1) // 2, n // 2))
    return np.asarray(np.where(n > 0, (np.where(n > 0, low, 0) + np.where(n > 0, high, 0)) / 2, 0.0))
