"""Sky maps of gravitational-wave alerts as pictures: plate carree grids of 1 or 2 degrees, as the GWSkyNet networks take them.

A map is what BAYESTAR writes (Singer & Price 2016, PRD 93, 024013): HEALPix cells, nested, ICRS, with the probability of each and, of the distance
in its direction, three layers (Singer et al. 2016, ApJS 226, 10): p(r) = norm / (sqrt(2 pi) sigma) exp(-(r - mu)^2 / (2 sigma^2)) r^2. Cells without
a distance hold (inf, 1, 0). The grid is that of Cabero et al. 2020 (ApJL 904, L9): 180 x 360 pixels of a degree, declination growing with y from
-89.5, right ascension decreasing with x from 359.5. Pure; arrays in, arrays out.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrofuse_lab.errors import InputError

Floats = NDArray[np.float64]
ROWS, COLUMNS = 180, 360
INVALID = (np.inf, 1.0, 0.0)
"""distmu, distsigma and distnorm of a cell without distance (Singer et al. 2016, table 1)."""
FIRST_ORDER, ROUNDS, SPLIT = 4, 7, 768
"""BAYESTAR's grid: nside 16, then seven times the most probable quarter of the first cells is cut in four (Singer & Price 2016, section VI.D)."""
AT_ONCE = 64


def nside_of(cells: int) -> int:
    """Nside of a whole map of so many cells; InputError where there is none."""
    nside = round((max(cells, 0) / 12) ** 0.5)
    if cells <= 0 or 12 * nside**2 != cells or nside & (nside - 1):
        raise InputError(f"{cells} cells are no HEALPix map: 12 nside^2 are expected, nside a power of two, e.g. 12288 (nside 32).")
    return int(nside)


@lru_cache(maxsize=4)
def _weights(nside: int) -> tuple[NDArray[np.int64], Floats]:
    from astropy import units as u
    from astropy_healpix import HEALPix

    lon, lat = np.meshgrid(COLUMNS - 0.5 - np.arange(COLUMNS), np.arange(ROWS) + 0.5 - ROWS / 2)
    cells, weights = HEALPix(nside=nside, order="nested").bilinear_interpolation_weights(lon.ravel() * u.deg, lat.ravel() * u.deg)
    return np.asarray(cells), np.asarray(weights)


def car_images(maps: ArrayLike, pool: int = 1) -> Floats:
    """Maps on the grid, bilinear between cells; a pixel that touches a cell without a value is zero.

    Parameters
    ----------
    maps : array, (map, cell)
        Nested HEALPix, any unit.
    pool : int
        2: the largest of each 2 x 2 pixels, 90 x 180.

    Returns
    -------
    array, (map, 180 / pool, 360 / pool)

    Raises
    ------
    InputError
        For what is no whole HEALPix map, or a pool that does not divide the grid.
    """
    values = np.atleast_2d(np.asarray(maps, dtype=np.float64))
    if values.ndim != 2:
        raise InputError(f"maps of shape {values.shape}; (map, cell) is expected.")
    if isinstance(pool, bool) or pool < 1 or ROWS % pool:
        raise InputError(f"pool={pool!r}: a divisor of {ROWS}, e.g. 1 or 2.")
    cells, weights = _weights(nside_of(values.shape[1]))
    made = np.empty((len(values), ROWS // pool, COLUMNS // pool))
    for begin in range(0, len(values), AT_ONCE):
        some = values[begin : begin + AT_ONCE]
        fine = sum(some[:, corner] * weight for corner, weight in zip(cells, weights, strict=True))
        fine = np.nan_to_num(np.asarray(fine), nan=0.0, posinf=0.0, neginf=0.0)
        made[begin : begin + AT_ONCE] = fine.reshape(len(some), ROWS // pool, pool, COLUMNS // pool, pool).max(axis=(2, 4))
    return made


def to_peak(images: ArrayLike) -> tuple[Floats, Floats]:
    """Images divided by their largest values, and these values; an empty image stays zero.

    Parameters
    ----------
    images : array, (..., y, x)

    Returns
    -------
    images : array, (..., y, x)
    peaks : array, (...)
    """
    values = np.asarray(images, dtype=np.float64)
    peaks = values.max(axis=(-2, -1))
    return values / np.where(peaks > 0, peaks, 1.0)[..., None, None], peaks


def known_layers(distmu: ArrayLike, distsigma: ArrayLike, distnorm: ArrayLike) -> Floats:
    """The distance layers with NaN for `INVALID` values, (3, ...)."""
    layers = np.stack([np.asarray(one, dtype=np.float64) for one in (distmu, distsigma, distnorm)])
    return np.where(np.stack([layers[i] == invalid for i, invalid in enumerate(INVALID)]), np.nan, layers)


def map_inputs(prob: ArrayLike, distmu: ArrayLike | None = None, distsigma: ArrayLike | None = None, distnorm: ArrayLike | None = None) -> dict[str, Any]:
    """What GWSkyNet reads of one map: pictures of 90 x 180, divided by their peaks, and the peaks.

    Parameters
    ----------
    prob : array, (cell,)
        Probability of each cell.
    distmu, distsigma, distnorm : array, (cell,), optional
        Mpc, Mpc, 1 / Mpc2.

    Returns
    -------
    dict
        ``sky_map`` (1, 90, 180); ``sky_max``, the largest probability of a cell as wide as BAYESTAR's smallest (`native_nside`), which is what the
        published networks were given; with layers ``distance_layers`` (3, 90, 180) and their peaks, ``distmu_max`` (Mpc), ``distsigma_max`` (Mpc) and
        ``distnorm_max`` (1 / Mpc2).

    Raises
    ------
    InputError
        Where the probability is none.
    """
    probability = np.asarray(prob, dtype=np.float64)
    if probability.ndim != 1 or not np.isfinite(probability).all() or (probability < 0).any() or not probability.sum() > 0:
        raise InputError("a sky map is one row of probabilities, finite, not negative, not all zero.")
    image, peak = to_peak(car_images(probability, 2))
    ratio = nside_of(len(probability)) / native_nside(probability)
    made: dict[str, Any] = {"sky_map": image, "sky_max": float(peak[0]) * ratio**2}
    if distmu is not None and distsigma is not None and distnorm is not None:
        layers, peaks = to_peak(car_images(known_layers(distmu, distsigma, distnorm), 2))
        made |= {"distance_layers": layers, "distmu_max": float(peaks[0]), "distsigma_max": float(peaks[1]), "distnorm_max": float(peaks[2])}
    return made


def native_nside(prob: ArrayLike) -> int:
    """Nside of BAYESTAR's smallest cells for such a map, by its rule of refinement; cells finer than the map share its probability evenly.

    The FITS files of alerts are written at this nside, and "the largest probability of a cell" depends on it.

    Parameters
    ----------
    prob : array, (cell,)
        Nested, nside 16 at least.
    """
    probability = np.asarray(prob, dtype=np.float64)
    finest = nside_of(len(probability)).bit_length() - 1
    if finest < FIRST_ORDER:
        raise InputError(f"a map of nside {2**finest} is coarser than BAYESTAR's first grid, nside {2**FIRST_ORDER}.")
    level = {finest: probability}
    for coarser in range(finest - 1, FIRST_ORDER - 1, -1):
        level[coarser] = level[coarser + 1].reshape(-1, 4).sum(axis=1)
    p, order = level[FIRST_ORDER], np.full(len(level[FIRST_ORDER]), FIRST_ORDER)
    cell = np.arange(len(p))
    for _ in range(ROUNDS):
        chosen = np.zeros(len(p), dtype=bool)
        chosen[np.argsort(-p, kind="stable")[:SPLIT]] = True
        parents, deeper = cell[chosen], order[chosen] + 1
        children = parents[:, None] * 4 + np.arange(4)
        shares = np.repeat(p[chosen][:, None] / 4, 4, axis=1)
        for one in np.unique(deeper[deeper <= finest]):
            shares[deeper == one] = level[one][children[deeper == one]]
        p = np.concatenate([p[~chosen], shares.ravel()])
        cell, order = np.concatenate([cell[~chosen], children.ravel()]), np.concatenate([order[~chosen], np.repeat(deeper, 4)])
    return int(2 ** order.max())
