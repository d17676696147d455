"""Pictures of where an event is in space: the posterior density of its place, integrated along each of its principal axes.

With rho the probability per steradian of a direction n and the distance layers of `astrofuse_lab.alignment.sky_images`, the density per volume at
r n is rho(n) norm(n) / (sqrt(2 pi) sigma(n)) exp(-(r - mu(n))^2 / (2 sigma(n)^2)): the r^2 of p(r) and that of the volume element cancel (Singer et
al. 2016, ApJS 226, 10, and the "Going the distance" supplement, ApJL 829, L15). One cube of it in the frame of the axes gives all three pictures.
The axes are those of the second moments about us; which way along each is positive is arbitrary. Ours from the physics: no renderer was ported.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from astrofuse_lab.alignment.machine_code import compiled
from astrofuse_lab.alignment.sky_images import known_layers, nside_of
from astrofuse_lab.errors import InputError

Floats = NDArray[np.float64]
FACES = ((1, 0), (0, 2), (1, 2))
"""Axes along x and y of each picture, 0 the one along which the posterior is narrowest, 2 the widest (Abbott et al. 2022, arXiv:2111.04015)."""
FAINT = 7.0
"""Standard deviations of the distance beyond which nothing is added."""
CUT = FAINT**2 / 2
STEPS = 4
"""Cells of the table of directions, per degree."""


def fourth_moment(distmu: ArrayLike, distsigma: ArrayLike) -> Floats:
    """Integral of r^4 times a normal density from 0 on: with `distnorm`, the mean square distance of a cell; Mpc^4."""
    mu, sigma = np.asarray(distmu, dtype=np.float64), np.asarray(distsigma, dtype=np.float64)
    density = np.exp(-0.5 * (mu / sigma) ** 2) / np.sqrt(2 * np.pi)
    return np.asarray((mu**4 + 6 * mu**2 * sigma**2 + 3 * sigma**4) * ndtr(mu / sigma) + sigma * density * (mu**3 + 5 * mu * sigma**2))


def principal_axes(prob: ArrayLike, distmu: ArrayLike, distsigma: ArrayLike, distnorm: ArrayLike) -> Floats:
    """Directions of the posterior's second moments about us.

    Parameters
    ----------
    prob, distmu, distsigma, distnorm : array, (cell,)
        Nested HEALPix; Mpc, Mpc, 1 / Mpc2.

    Returns
    -------
    array, (3, 3)
        Unit vectors as columns, ICRS, narrowest first; right-handed.
    """
    probability, mu, sigma, norm = _checked(prob, distmu, distsigma, distnorm)
    direction = _directions(nside_of(len(probability)))
    weight = probability * norm * fourth_moment(mu, sigma)
    _, axes = np.linalg.eigh((direction * weight[:, None]).T @ direction)
    if np.linalg.det(axes) < 0:
        axes[:, 0] *= -1
    return np.asarray(axes)


def volume_images(prob: ArrayLike, distmu: ArrayLike, distsigma: ArrayLike, distnorm: ArrayLike, reach: float, size: int = 131) -> Floats:
    """The posterior seen along its principal axes.

    Parameters
    ----------
    prob, distmu, distsigma, distnorm : array, (cell,)
        As in `principal_axes`; cells that hold `INVALID` count for nothing.
    reach : float
        Half the side of the cube, Mpc; GWSkyNet-Multi takes the mean distance and 2.5 of its standard deviations.
    size : int
        Pixels along each side.

    Returns
    -------
    array, (3, size, size)
        Probability per Mpc2, for `FACES`.

    Raises
    ------
    InputError
        For layers that are no map, or no layer with a distance; a reach or a size that is none.
    """
    if not (np.isfinite(reach) and reach > 0):
        raise InputError(f"reach={reach!r}: half the side of the cube in Mpc, above 0.")
    if isinstance(size, bool) or not isinstance(size, int) or not 2 <= size <= 1024:
        raise InputError(f"size={size!r}: pixels along a side, 2 to 1024.")
    probability, mu, sigma, norm = _checked(prob, distmu, distsigma, distnorm)
    height = probability * len(probability) / (4 * np.pi) * norm / (np.sqrt(2 * np.pi) * sigma)
    axes, place = principal_axes(prob, distmu, distsigma, distnorm), np.linspace(-reach, reach, size)
    seen = height > 0
    near, far = (mu - FAINT * sigma)[seen].min(), (mu + FAINT * sigma)[seen].max()
    made = np.zeros((3, size, size))
    _summed(height, mu, np.sqrt(0.5) / sigma, axes, place, _table(nside_of(len(probability))), max(near, 0.0) ** 2, far**2, made)
    return made * (2 * reach / (size - 1))


@compiled
def _summed(height: Any, mu: Any, width: Any, axes: Any, place: Any, table: Any, near2: float, far2: float, made: Any) -> None:
    """The density at all points of the cube, added along each axis to the picture that it is seen in."""
    rows, columns = table.shape
    for i in range(len(place)):
        for j in range(len(place)):
            for k in range(len(place)):
                a, b, c = place[i], place[j], place[k]
                r2 = a * a + b * b + c * c
                if r2 < near2 or r2 > far2:
                    continue
                r = math.sqrt(r2)
                x = axes[0, 0] * a + axes[0, 1] * b + axes[0, 2] * c
                y = axes[1, 0] * a + axes[1, 1] * b + axes[1, 2] * c
                z = axes[2, 0] * a + axes[2, 1] * b + axes[2, 2] * c
                row = int((math.asin(min(max(z / max(r, 1e-30), -1.0), 1.0)) / math.pi + 0.5) * rows)
                column = math.floor(math.atan2(y, x) * (columns / (2 * math.pi))) % columns
                cell = table[min(row, rows - 1), column]
                if height[cell] > 0:
                    depth = (r - mu[cell]) * width[cell]
                    if depth * depth < CUT:
                        density = height[cell] * math.exp(-depth * depth)
                        made[0, i, j] += density
                        made[1, k, i] += density
                        made[2, k, j] += density


def _checked(*layers: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    """Probability and layers, with nothing where there is no distance."""
    probability = np.asarray(layers[0], dtype=np.float64)
    mu, sigma, norm = known_layers(*layers[1:])
    nside_of(probability.size)
    if probability.ndim != 1 or not probability.shape == mu.shape:
        raise InputError(f"probability of shape {probability.shape} and layers of {mu.shape}; a row of cells each.")
    good = np.isfinite(probability) & (probability > 0) & np.isfinite(mu) & np.isfinite(sigma) & np.isfinite(norm) & (sigma > 0)
    if not good.any():
        raise InputError("no cell of this map has a probability and a distance, so there is no volume.")
    return np.where(good, probability, 0.0), np.where(good, mu, 1.0), np.where(good, sigma, 1.0), np.where(good, norm, 0.0)


@lru_cache(maxsize=4)
def _directions(nside: int) -> Floats:
    """Unit vectors to the middle of all cells, (cell, 3)."""
    from astropy_healpix import healpix_to_xyz

    return np.stack([np.asarray(one) for one in healpix_to_xyz(np.arange(12 * nside**2), nside, order="nested")], axis=1)


@lru_cache(maxsize=4)
def _table(nside: int) -> NDArray[np.int32]:
    """The cell of each direction on a fine grid of declination and right ascension."""
    from astropy import units as u
    from astropy_healpix import lonlat_to_healpix

    per = STEPS * max(1, nside // 32)
    lon, lat = np.meshgrid((np.arange(360 * per) + 0.5) / per, (np.arange(180 * per) + 0.5) / per - 90)
    return np.asarray(lonlat_to_healpix(lon * u.deg, lat * u.deg, nside, order="nested")).astype(np.int32)
