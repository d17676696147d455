"""One point-spread function for all images: kernels that widen a PSF to a common one, and what they do to masks and variances."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import AlignmentError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
WIDTHS = 2 * np.sqrt(2 * np.log(2))  # FWHM in standard deviations
FAR = 4.5  # standard deviations to which a Gaussian kernel reaches
LOST = 1e-3  # share of a kernel's weight that may lie on bad pixels or beyond the edge
SAME = 0.01  # two widths that differ less are the same
AMPLIFIED = 2.0  # no spatial frequency is made stronger than that


def gaussian(sigma: float) -> Floats:
    """A normed Gaussian kernel, pixels: (n, n), n odd; below half a pixel three taps of the same variance."""
    if sigma < 0.5:
        line = np.array([sigma**2 / 2, 1 - sigma**2, sigma**2 / 2])
    else:
        reach = int(np.ceil(FAR * sigma))
        line = np.exp(-((np.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    line = line / line.sum()
    return np.outer(line, line)


def widening(have: float, want: float, scale: float) -> Floats | None:
    """The kernel from one Gaussian PSF to another; None where they are the same.

    Parameters
    ----------
    have, want : float
        FWHM, arcsec.
    scale : float
        arcsec per pixel.

    Raises
    ------
    AlignmentError
        If the PSF would have to be sharpened, or is unknown.
    """
    if not scale > 0:
        raise AlignmentError(f"scale is {scale}: without the size of a pixel a PSF of {want:g} arcsec has none either. Give the step psf= and common=, images of both.")
    if not (np.isfinite(have) and have > 0):
        raise AlignmentError(f"psf_fwhm is {have}, so the kernel to {want:g} arcsec is unknown; give the step psf=, an image of the PSF, or leave the step out.")
    if have > want * (1 + SAME):
        raise AlignmentError(
            f"psf_fwhm is {have:.3g} arcsec, wider than the {want:.3g} asked for, and an image is not sharpened. "
            f"Give fwhm={have * 1.02:.3g} or more, or leave the step out: psf_fwhm is then kept as it is."
        )
    if have > want * (1 - SAME):
        return None
    return gaussian(np.sqrt(want**2 - have**2) / WIDTHS / scale)


def fwhm_of(psf: NDArray[Any]) -> float:
    """Of a PSF image, pixels: of the Gaussian that has as many pixels above half of its peak."""
    fine = _finer(np.asarray(psf, dtype=np.float64))
    return float(2 * np.sqrt((fine > fine.max() / 2).sum() / np.pi) / 8)


def _finer(psf: Floats) -> Floats:
    from scipy.ndimage import zoom

    return np.asarray(zoom(psf, 8, order=3, mode="nearest", grid_mode=True))


def matching(psf: NDArray[Any], common: NDArray[Any], regularisation: float = 1e-4) -> Floats:
    """The kernel from one PSF image to another by a regularised ratio of their transforms (Wiener; Boucaud et al. 2016, A&A 596, A63).

    Parameters
    ----------
    psf, common : array, (n, n)
        On the pixels of the image, n odd, the peak in the middle.
    regularisation : float
        Power of `psf`, as a share of its largest, below which its frequencies are not trusted.

    Returns
    -------
    array, (n, n)
        Sums to one.

    Raises
    ------
    AlignmentError
        If the shapes differ, a PSF is none, or `common` is sharper.
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (psf, common))
    if a.shape != b.shape or a.ndim != 2 or a.shape[0] != a.shape[1] or a.shape[0] % 2 == 0:
        raise AlignmentError(f"psf has shape {a.shape} and the common PSF {b.shape}; both are squares of the same odd number of pixels.")
    if not all(np.isfinite(v).all() and v.sum() > 0 for v in (a, b)):
        raise AlignmentError("psf or the common PSF has values that are not finite, or no flux.")
    have, want = fwhm_of(a), fwhm_of(b)
    if have > want * (1 + SAME):
        raise AlignmentError(f"psf is {have:.3g} pixels wide, the common PSF {want:.3g}: an image is not sharpened. Give a common PSF as wide as the widest.")
    fa, fb = (np.fft.fft2(np.fft.ifftshift(v / v.sum())) for v in (a, b))
    power = np.abs(fa) ** 2
    ratio = fa.conj() * fb / (power + regularisation * power.max())
    if np.abs(ratio).max() > AMPLIFIED:
        raise AlignmentError(f"psf lacks frequencies that the common PSF has (the kernel would amplify them {np.abs(ratio).max():.2g} times). Give a wider common PSF.")
    kernel = np.fft.fftshift(np.fft.ifft2(ratio).real)
    return np.asarray(kernel / kernel.sum())


def convolved(flux: NDArray[Any], mask: Bools, ivar: NDArray[Any] | None, kernel: Floats) -> tuple[Floats, Bools, Floats | None]:
    """One plane, smoothed; what reaches over bad pixels or the edge is bad.

    Parameters
    ----------
    flux, mask, ivar : array, (y, x)
    kernel : array, (n, n)
        Sums to one.

    Returns
    -------
    flux, mask, ivar
        Zero where bad. The variance is that of each pixel; neighbours are correlated from now on.
    """
    from scipy.signal import oaconvolve

    good = mask & np.isfinite(flux)
    if ivar is not None:
        good &= np.isfinite(ivar) & (ivar > 0)
    heavy = np.abs(kernel)
    covered = oaconvolve(good.astype(np.float64), heavy / heavy.sum(), mode="same")
    left = good & (covered >= 1 - LOST - 1e-9)
    smooth = np.where(left, oaconvolve(np.where(good, flux, 0.0), kernel, mode="same"), 0.0)
    if ivar is None:
        return smooth, left, None
    variance = oaconvolve(np.where(good, 1 / np.where(good, ivar, 1.0), 0.0), kernel**2, mode="same")
    left &= variance > 0
    return np.where(left, smooth, 0.0), left, np.where(left, 1 / np.where(left, variance, 1.0), 0.0)


def per_band(given: Any, bands: int, what: str) -> list[Floats]:
    """PSF images as arrays, one a band; one that is given alone is that of all.

    Raises
    ------
    AlignmentError
        If it is no image, nor one a band.
    """
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise AlignmentError(f"{what} is no image ({error}).") from error
    if array.ndim == 2:
        return [array] * bands
    if array.ndim != 3 or len(array) != bands:
        raise AlignmentError(f"{what} has shape {array.shape}; one image (y, x), or {bands}, one a band, are expected.")
    return list(array)


def widths(given: Sequence[float] | None, bands: int) -> list[float]:
    """FWHM of each band, NaN where unknown."""
    return [float("nan")] * bands if given is None else [float(v) for v in given]
