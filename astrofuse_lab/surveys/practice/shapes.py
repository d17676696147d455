"""How objects are spread on the sky: points, Sérsic profiles and trails as sums of Gaussians, so that convolution with a PSF is exact.

Sums of Gaussians for galaxy profiles: Cappellari 2002, arXiv:astro-ph/0201430; Hogg & Lang 2013, arXiv:1210.6563.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FWHM = 2.3548200450309493
"""Full width at half maximum of a Gaussian of unit sigma."""
PSF_PARTS = ((0.85, 0.93), (0.15, 2.1))
"""Core and wing of the point-spread function: share of the light, sigma relative to FWHM / 2.35 (close to a Moffat profile with beta = 3)."""


@dataclass(frozen=True)
class Shape:
    """How light is spread, arcsec and degrees.

    Attributes
    ----------
    radius : float
        Half-light radius; 0: a point.
    index : float
        Sérsic index, 0.5 to 5.
    axis_ratio : float
    angle : float
        Of the major axis or the trail, from north to east.
    length : float
        Of a trail; 0: none.
    """

    radius: float = 0.0
    index: float = 1.0
    axis_ratio: float = 1.0
    angle: float = 0.0
    length: float = 0.0


class Gaussians(NamedTuple):
    """A sum of Gaussians on the sky; offsets and covariances in arcsec, (east, north)."""

    weight: Floats
    offset: Floats
    covariance: Floats


@lru_cache(maxsize=64)
def sersic_mixture(index: float) -> tuple[Floats, Floats]:
    """Weights (sum one) and variances of round Gaussians that follow a Sérsic profile of half-light radius one.

    Fitted by non-negative least squares of the light in rings, from 0.01 to 8 half-light radii.
    """
    from scipy.optimize import nnls
    from scipy.special import gammaincinv

    if index <= 0.5:  # is a Gaussian
        return np.ones(1), np.array([0.5 / np.log(2)])
    shape_term = float(gammaincinv(2 * index, 0.5))
    r = np.geomspace(0.01, 8.0, 160)
    profile = np.exp(-shape_term * (r ** (1 / index) - 1))
    sigma = np.geomspace(0.03, 6.0, 10)
    rings = np.exp(-0.5 * (r[:, None] / sigma) ** 2) / (2 * np.pi * sigma**2)
    weight, _ = nnls(rings * r[:, None] ** 1.5, profile * r**1.5)
    keep = weight > 3e-3 * weight.sum()
    weight, sigma = weight[keep], sigma[keep]
    return weight / weight.sum(), sigma**2


def _rotated(along: float, across: float, angle: float) -> Floats:
    """Covariance with `along` (variance) in the direction `angle` from north to east."""
    s, c = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    turn = np.array([[s, c], [c, -s]])
    return np.asarray(turn @ np.diag([along, across]) @ turn.T)


@lru_cache(maxsize=8192)
def spread(shape: Shape) -> Gaussians:
    """A shape as Gaussians, before the PSF."""
    if shape.length > 0:
        steps = np.linspace(-0.5, 0.5, max(3, int(np.ceil(shape.length / 0.5)) + 1)) * shape.length
        direction = np.array([np.sin(np.radians(shape.angle)), np.cos(np.radians(shape.angle))])
        return Gaussians(np.full(len(steps), 1 / len(steps)), steps[:, None] * direction, np.zeros((len(steps), 2, 2)))
    if shape.radius <= 0:
        return Gaussians(np.ones(1), np.zeros((1, 2)), np.zeros((1, 2, 2)))
    weight, variance = sersic_mixture(round(2 * shape.index) / 2)
    base = _rotated(shape.radius**2, (shape.radius * shape.axis_ratio) ** 2, shape.angle)
    return Gaussians(weight, np.zeros((len(weight), 2)), variance[:, None, None] * base)


def paint(canvas: NDArray[np.float32], east: NDArray[np.float32], north: NDArray[np.float32], shape: Shape, flux: float, fwhm: float, area: float) -> None:
    """Add an object to a picture.

    Parameters
    ----------
    canvas : float32 array, (y, x)
        Flux per pixel; changed in place.
    east, north : float32 arrays, (y, x)
        Offset of each pixel from the object, arcsec.
    shape : Shape
    flux : float
        Total flux of the object.
    fwhm : float
        Of the PSF, arcsec.
    area : float
        Of a pixel, arcsec².
    """
    parts = spread(shape)
    middle = (canvas.shape[0] // 2, canvas.shape[1] // 2)
    column, row = north[:, middle[1]], east[middle[0]]
    # the picture is turned a little: a row is not all at one declination
    slack = (np.ptp(north[middle[0]]) + np.ptp(east[:, middle[1]])) / 2
    blur = [(share, (width * fwhm / FWHM) ** 2) for share, width in PSF_PARTS]
    for weight, (x, y), covariance in zip(*parts, strict=True):
        # light much wider than the PSF does not tell core from wing: one Gaussian of the same variance will do
        wide = np.linalg.det(covariance) > (2.0 * fwhm) ** 4
        for share, psf in [(1.0, sum(s * v for s, v in blur))] if wide else blur:
            xx, yy, xy = float(covariance[0, 0] + psf), float(covariance[1, 1] + psf), float(covariance[0, 1])
            det = xx * yy - xy * xy
            reach = 5.0 * float(np.sqrt(max(xx, yy))) + slack
            box = np.ix_(np.abs(column - y) < reach, np.abs(row - x) < reach)
            dx, dy = east[box] - np.float32(x), north[box] - np.float32(y)
            peak = share * weight * flux * area / (2 * np.pi * np.sqrt(det))
            canvas[box] += np.float32(peak) * np.exp(np.float32(-0.5 * yy / det) * dx * dx + np.float32(xy / det) * dx * dy + np.float32(-0.5 * xx / det) * dy * dy)


@lru_cache(maxsize=8192)
def share_within(shape: Shape, distance: float, aperture: float, fwhm: float) -> float:
    """Share of an object's light inside a round aperture (diameter, arcsec) whose centre lies `distance` arcsec away.

    Elongated shapes are taken as round ones of the same mean variance.
    """
    from scipy.special import i0e

    parts = spread(shape)
    shares, widths = np.array(PSF_PARTS).T
    variance = (np.trace(parts.covariance, axis1=1, axis2=2) / 2 + ((widths * fwhm / FWHM) ** 2)[:, None])[..., None]
    away = np.hypot(distance, np.hypot(*parts.offset.T))[:, None]
    edges = np.linspace(0, aperture / 2, 13)
    r, step = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    # a round Gaussian beside the centre, averaged over the angle: exp(-(r - d)²/2v) times the scaled Bessel function of r d / v
    rings = np.exp(-0.5 * (r - away) ** 2 / variance) * i0e(r * away / variance) * r * step / variance
    return float(min((shares[:, None] * parts.weight * rings.sum(-1)).sum(), 1.0))
