"""Difference images: science less a reference that is brought to its PSF, flux scale and sky first."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

Plane = NDArray[np.float64]
WIDTHS = ((0.7, 4), (1.5, 3), (3.0, 2))
"""Of the Gaussians that the kernel is made of: width in pixels, and the degree of the polynomial each is multiplied with."""


@dataclass(frozen=True)
class Difference:
    """A difference image and what was done to the reference.

    Attributes
    ----------
    image : array, (y, x)
        Science less matched reference; NaN where either is unknown, and at the edge, where the kernel looks beyond.
    error : array, (y, x)
        Its standard error, from the sky's noise, that of bright sources and how well the fit is.
    kernel : array, (side, side)
    scale : float
        Sum of the kernel: the ratio of the flux scales.
    sky : float
        Mean of the fitted sky (a plane).
    """

    image: Plane
    error: Plane
    kernel: Plane
    scale: float
    sky: float

    @property
    def significance(self) -> Plane:
        """The difference in units of its error."""
        return np.asarray(self.image / self.error)


def basis(half: int, widths: Any = WIDTHS) -> Plane:
    """The kernels of which the kernel is a sum, (kernel, side, side): Gaussians times powers of x and y (Alard & Lupton 1998, equation 3)."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    made = []
    for width, degree in widths:
        shape = np.exp(-0.5 * (x**2 + y**2) / width**2)
        shape /= shape.sum()
        made += [shape * (x / width) ** i * (y / width) ** j for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.stack(made)


def matched_difference(science: NDArray[Any], reference: NDArray[Any], half: int = 7, clip: float = 4.0, rounds: int = 3, photons: float = 0.03) -> Difference:
    """Subtract a reference convolved with the kernel that makes it most like the science image.

    Alard & Lupton 1998 (ApJ 503, 325): kernel and a plane of sky by weighted least squares over all pixels; pixels that do not fit, such as those of
    a transient, are left out in further rounds. A shift of a fraction of a pixel is a kernel too, so that images need not be registered to better than that.

    Parameters
    ----------
    science, reference : array, (y, x)
        NaN where unknown.
    half : int
        Of the kernel's side, less one, pixels.
    clip : float
        Residuals of more standard deviations are left out.
    rounds : int
    photons : float
        Variance that a source adds, over its flux in units of the sky's noise: bright pixels weigh less.

    Returns
    -------
    Difference

    Raises
    ------
    InputError
        For images of different shapes, or too small or empty for the kernel.
    """
    science, reference = np.asarray(science, float), np.asarray(reference, float)
    if science.shape != reference.shape or science.ndim != 2 or min(science.shape) < 4 * half:
        raise InputError(f"science {science.shape} and reference {reference.shape}: two images of one shape, (y, x), of at least {4 * half} pixels for half={half}.")
    known = np.isfinite(reference)
    filled = np.where(known, reference, np.nanmedian(reference) if known.any() else 0.0)
    shapes = basis(half)
    y, x = np.mgrid[-1 : 1 : science.shape[0] * 1j, -1 : 1 : science.shape[1] * 1j]
    columns = np.stack([*_convolved(filled, shapes), np.ones_like(science), x, y])
    good = np.isfinite(science) & (_convolved(known.astype(float), np.ones((1, 2 * half + 1, 2 * half + 1)))[0] > (2 * half + 1) ** 2 - 0.5)
    good[:half], good[-half:], good[:, :half], good[:, -half:] = False, False, False, False
    if good.sum() < 3 * len(columns):
        raise InputError(f"{int(good.sum())} pixels are known in both images away from the edge; a kernel of {len(columns)} numbers needs more. Take a smaller half={half}.")
    level = np.median(science[good])
    sky = max(1.4826 * float(np.median(np.abs(science[good] - level))), 1e-9)
    weight = 1 / np.sqrt(sky**2 * (1 + photons * np.maximum(science - level, 0) / sky))
    use, found, fitted, width = good, np.zeros(len(columns)), np.zeros_like(science), 1.0
    for _ in range(max(1, rounds)):
        found = np.linalg.lstsq((columns[:, use] * weight[use]).T, science[use] * weight[use], rcond=1e-8)[0]
        fitted = np.tensordot(found, columns, 1)
        left = (science - fitted) * weight
        width = max(1.4826 * float(np.median(np.abs(left[use]))), 1e-9)
        kept = good & (np.abs(left) < clip * width)
        if kept.sum() < 3 * len(columns):
            break
        use = kept
    kernel = np.tensordot(found[: len(shapes)], shapes, 1)
    return Difference(np.where(good, science - fitted, np.nan), width / weight, kernel, float(kernel.sum()), float(found[-3]))


def _convolved(image: Plane, kernels: Plane) -> Plane:
    """The image with each kernel, (kernel, y, x), beyond the edge as at it."""
    from scipy.signal import fftconvolve

    half = kernels.shape[-1] // 2
    wide = np.pad(image, half, mode="edge")
    return np.asarray(fftconvolve(wide[None], kernels, mode="valid", axes=(1, 2)))


def plain_difference(science: NDArray[Any], reference: NDArray[Any]) -> Plane:
    """Science less reference, each without its median: what a subtraction is without matching."""
    science, reference = np.asarray(science, float), np.asarray(reference, float)
    return np.asarray((science - np.nanmedian(science)) - (reference - np.nanmedian(reference)))
