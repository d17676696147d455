"""Pixels that no optics made: sharper than any source (after van Dokkum 2001, PASP 113, 1420, without its subsampling)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.backgrounds import noise_of

TURNS = 4
BOX = 5  # pixels: a source is wider than half of it, a cosmic ray narrower


def cosmic_rays(flux: NDArray[Any], mask: NDArray[np.bool_], ivar: NDArray[Any] | None = None, sigma: float = 5.0, contrast: float = 3.0) -> NDArray[np.bool_]:
    """What is left of the mask of one plane.

    Parameters
    ----------
    flux, mask, ivar : array, (y, x)
        Noise is taken from `ivar`, else from the scatter of the plane.
    sigma : float
        Standard deviations by which a pixel is off the median of those around it.
    contrast : float
        How many times it is off what a smooth source could make there: the difference of medians over 3 and 7 pixels.

    Returns
    -------
    bool array, (y, x)
        False where `mask` was, and where pixels stand out.
    """
    from scipy.ndimage import median_filter

    good = mask & np.isfinite(flux)
    if not good.any():
        return np.asarray(good)
    if ivar is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            noise = np.where(np.isfinite(ivar) & (np.asarray(ivar) > 0), 1 / np.sqrt(np.asarray(ivar, dtype=np.float64)), np.inf)
    else:
        noise = np.full(flux.shape, noise_of(np.asarray(flux, dtype=np.float64), good))
    if not (noise > 0).all():  # more than half of the plane is one number: no scale to measure by
        return np.asarray(good)
    values = np.where(good, flux, 0.0).astype(np.float64)
    for _ in range(TURNS):
        filled = np.where(good, values, median_filter(values, BOX, mode="nearest"))
        over = filled - median_filter(filled, BOX, mode="nearest")
        small = median_filter(filled, 3, mode="nearest")
        fine = np.abs(small - median_filter(small, 7, mode="nearest"))
        odd = good & (np.abs(over) > sigma * noise) & (np.abs(over) > contrast * np.maximum(fine, noise))
        if not odd.any():
            break
        good = good & ~odd
    return np.asarray(good)
