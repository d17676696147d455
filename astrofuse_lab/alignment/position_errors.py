"""Errors of positions as covariances on the sky, and the distance of two sources in units of both their errors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import AlignmentError

Floats = NDArray[np.float64]


def circular(error: Any, n: int | None = None) -> Floats:
    """Covariances, (n, 3), of errors that are the same in all directions: arcsec, one sigma of each coordinate."""
    sigma = np.broadcast_to(np.asarray(error, dtype=np.float64), (np.size(error) if n is None else n,))
    return _checked(np.stack([sigma**2, sigma**2, np.zeros_like(sigma)], axis=-1))


def of_coordinates(ra_error: Any, dec_error: Any, correlation: Any = 0.0) -> Floats:
    """Covariances of errors along both coordinates, as Gaia gives them.

    Parameters
    ----------
    ra_error, dec_error : array, (n,)
        arcsec; `ra_error` includes cos(dec).
    correlation : float or array, (n,)
        Between -1 and 1.

    Returns
    -------
    array, (n, 3)
        East-east, north-north and east-north, arcsec2.
    """
    east, north, rho = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (ra_error, dec_error, correlation)))
    if np.any(np.abs(rho) > 1):
        raise AlignmentError(f"position errors: a correlation is {float(rho[np.abs(rho) > 1][0])}; it must lie between -1 and 1.")
    return _checked(np.stack([east**2, north**2, rho * east * north], axis=-1))


def elliptical(major: Any, minor: Any, angle: Any) -> Floats:
    """Covariances of error ellipses: half axes (arcsec, one sigma) and position angle of the major one (deg, east of north); (n, 3)."""
    a, b, pa = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (major, minor, angle)))
    sine, cosine = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    return _checked(np.stack([a**2 * sine**2 + b**2 * cosine**2, a**2 * cosine**2 + b**2 * sine**2, (a**2 - b**2) * sine * cosine], axis=-1))


def longest(covariance: Floats) -> Floats:
    """The major half axis, one sigma, arcsec; NaN where there is no error."""
    east, north, both = np.moveaxis(covariance, -1, 0)
    return np.asarray(np.sqrt((east + north) / 2 + np.hypot((east - north) / 2, both)))


def area(left: Floats, right: Floats, sigma: float, most: int = 64) -> Floats:
    """Mean solid angle around each left source in which a right source would be a match, deg2.

    Parameters
    ----------
    left : array, (left, 3) or (1, 3)
    right : array, (right, 3)
        Of which up to `most` are taken, evenly spread.
    sigma : float
    """
    sound = right[np.isfinite(right).all(axis=-1)]
    total = np.zeros(len(left))
    part = sound[:: max(1, len(sound) // most)]
    for one in part:
        east, north, both = np.moveaxis(left + one, -1, 0)
        total += np.sqrt(np.maximum(east * north - both**2, 0))
    return np.pi * sigma**2 * total / max(len(part), 1) / 3600**2


def normalised(ra: Floats, dec: Floats, lon: Floats, lat: Floats, left: Floats, right: Floats, separation: Floats) -> Floats:
    """Distance of pairs in units of their joint error: the square root of d' C^-1 d, where C is the sum of both covariances.

    Parameters
    ----------
    ra, dec, lon, lat : array, (pair,)
        deg, of the left and the right source.
    left, right : array, (pair, 3)
        Covariances, arcsec2.
    separation : array, (pair,)
        arcsec.

    Returns
    -------
    array, (pair,)
        Rayleigh distributed with unit scale for true pairs: below 1, 2, 3 for 39 %, 86 % and 98.9 %. Each covariance
        is turned into the frame of the arc between both, so that nothing special happens at a pole.
        Zero for equal positions, infinite where both errors are zero.
    """
    along, across, mixed = (a + b for a, b in zip(_turned(left, _bearing(ra, dec, lon, lat)), _turned(right, _bearing(lon, lat, ra, dec) + np.pi), strict=True))
    det = along * across - mixed**2
    with np.errstate(divide="ignore", invalid="ignore"):
        # of ellipses without width only what lies along them is near
        square = np.where(det > 1e-14 * along * across, separation**2 * across / det, np.where(mixed == 0, separation**2 / along, np.inf))
    return np.where(separation == 0, np.where(np.isfinite(along), 0.0, np.nan), np.sqrt(square))


def _bearing(ra: Floats, dec: Floats, lon: Floats, lat: Floats) -> Floats:
    """Position angle of the second place as seen from the first, radian east of north."""
    a, d, x, y = (np.radians(v) for v in (ra, dec, lon, lat))
    # cos d sin y - sin d cos y cos dx, without the cancellation of near places
    north = np.sin(y - d) + 2 * np.sin(d) * np.cos(y) * np.sin((x - a) / 2) ** 2
    return np.asarray(np.arctan2(np.cos(y) * np.sin(x - a), north))


def _turned(covariance: Floats, bearing: Floats) -> tuple[Floats, Floats, Floats]:
    """Variance along and across a direction, and their covariance."""
    east, north, both = np.moveaxis(covariance, -1, 0)
    sine, cosine = np.sin(bearing), np.cos(bearing)
    along = east * sine**2 + north * cosine**2 + 2 * both * sine * cosine
    across = east * cosine**2 + north * sine**2 - 2 * both * sine * cosine
    return along, across, (east - north) * sine * cosine + both * (cosine**2 - sine**2)


def _checked(covariance: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        wrong = (covariance[..., 0] < 0) | (covariance[..., 1] < 0) | np.isinf(covariance).any(axis=-1)
    if wrong.any():
        raise AlignmentError(f"position errors: row {int(np.flatnonzero(wrong)[0])} is infinite; give a number in arcsec, or NaN where none is known.")
    return covariance
