"""Sources against a sky map or an error region: probability at each position, credible level, and the same in space where distances are known.

Sources: Singer et al. 2016, ApJL 829, L15 and ApJS 226, 10 (conditional distance: r^2 times a Gaussian; credible levels in
area and volume by descending density); Gehrels et al. 2016, ApJ 820, 136 (ranking galaxies by probability in volume).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, erfcx

from astrofuse_lab.alignment import match
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import SkyMap
from astrofuse_lab.surveys.sky_maps import moments

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DEEPEST = 29
THRESHOLDS = 160
"""Densities at which the volume inside is integrated; levels between are interpolated."""
CELLS = 200_000
"""So many cells are integrated together."""
FAINT = 1e-9
"""What has a smaller part of the highest density in space is at level 1."""


class ErrorRegion(NamedTuple):
    """An ellipse in which something lies with a probability, e.g. of a neutrino or a gamma-ray burst; Gaussian across.

    Attributes
    ----------
    ra, dec : float
        deg, ICRS.
    radius : float
        deg; the major half axis of the ellipse that holds `level`.
    level : float
    minor : float, optional
        deg; None: a circle.
    angle : float
        Position angle of the major axis, deg east of north.
    time : float, optional
        MJD of the event.
    """

    ra: float
    dec: float
    radius: float
    level: float = 0.9
    minor: float | None = None
    angle: float = 0.0
    time: float | None = None


class Placed(NamedTuple):
    """Where sources lie in a region.

    Attributes
    ----------
    density : array, (source,)
        Probability per deg2 at the position; NaN without a position.
    level : array, (source,)
        The credible level of the smallest region that holds the position: 0 at the peak, 1 where there is no probability.
    volume_density : array, (source,), optional
        Probability per Mpc3 at position and distance; NaN without a distance.
    volume_level : array, (source,), optional
        The same as `level` in space.
    offset : array, (source,), optional
        Distance of the source from the mean of the map in its direction, in units of both errors.
    """

    density: Floats
    level: Floats
    volume_density: Floats | None = None
    volume_level: Floats | None = None
    offset: Floats | None = None


def in_region(ra: Floats, dec: Floats, region: ErrorRegion) -> Placed:
    """Place sources (deg) in an error region.

    The density is a Gaussian in the distance from the centre along the great circle, brought to a total of one over the sphere
    (to 0.1 % for half axes below 20 deg).
    """
    major, minor = region.radius, region.radius if region.minor is None else region.minor
    if not (0 < region.level < 1 and 0 < minor <= major < 180 and np.isfinite([region.ra, region.dec, region.angle]).all() and abs(region.dec) <= 90):
        raise AlignmentError(f"{region}: half axes in deg (0 < minor <= radius < 180), a level between 0 and 1, and a position are expected.")
    scale = np.sqrt(-2 * np.log1p(-region.level))
    first, second = major / scale, minor / scale
    apart = match.separation(ra, dec, region.ra, region.dec) / 3600
    bearing = _bearing(region.ra, region.dec, ra, dec) - np.radians(region.angle)
    chi2 = apart**2 * (np.cos(bearing) ** 2 / first**2 + np.sin(bearing) ** 2 / second**2)
    # a ring on the sphere is shorter than one in the plane
    shrink = 1 - np.radians(1) ** 2 * (first**2 + second**2) / 6
    return Placed(np.exp(-chi2 / 2) / (2 * np.pi * first * second * shrink), -np.expm1(-chi2 / 2))


def in_map(ra: Floats, dec: Floats, sky_map: SkyMap, distance: Floats | None = None, distance_error: Floats | None = None) -> Placed:
    """Place sources in a sky map.

    Parameters
    ----------
    ra, dec : array, (source,)
        deg; NaN gives NaN.
    sky_map : SkyMap
    distance, distance_error : array, (source,), optional
        Mpc; used where the map has distances. An error smears the density along the line of sight: the two
        Gaussians are convolved.

    Returns
    -------
    Placed
    """
    fine = np.isfinite(ra) & (np.abs(dec) <= 90)
    order = _orders(sky_map.uniq)
    mass = np.asarray(sky_map.density, dtype=np.float64) * (np.pi / 3 / 4.0**order)
    cell = np.full(len(ra), -1, dtype=np.int64)
    cell[fine] = _cells(ra[fine], dec[fine], sky_map.uniq, order)
    inside = cell >= 0
    by = np.argsort(-np.asarray(sky_map.density), kind="stable")
    sums = np.empty(len(by))
    sums[by] = np.cumsum(mass[by]) / mass.sum()
    density = np.where(inside, np.asarray(sky_map.density, dtype=np.float64)[cell], 0.0)
    level = np.where(density > 0, np.minimum(sums[cell], 1.0), 1.0)
    density, level = (np.where(fine, v, np.nan) for v in (density * np.radians(1) ** 2, level))
    if distance is None or sky_map.distance_mean is None or sky_map.distance_std is None:
        return Placed(density, level)
    return Placed(density, level, *_in_space(sky_map, mass, np.where(fine, cell, -1), fine, distance, distance_error))


def parameters(mean: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
    """Location, width and norm of conditional distances from their mean and standard deviation (Mpc): the inverse of `sky_maps.moments`.

    Returns
    -------
    location, width, norm : array
        NaN where there is no distance, or where no such distribution has these moments (a mean below 1.73 times the deviation).
    """
    grid = np.concatenate([-np.geomspace(1e3, 10, 200), np.linspace(-10, 30, 4001)[1:], np.geomspace(30, 1e6, 2000)[1:]])
    unit_mean, unit_std = moments(grid, np.ones_like(grid))
    ratio = unit_mean / unit_std
    # above, mean over deviation grows with location over width without a turn
    keep = np.maximum.accumulate(ratio) == ratio
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.where(std > 0, mean / std, np.nan)
    z = np.interp(wanted, ratio[keep], grid[keep], left=np.nan)
    for _ in range(3):
        step = 1e-4 * np.maximum(np.abs(z), 1)
        values = [np.divide(*moments(z + shift, np.ones_like(z))) for shift in (0.0, step)]
        slope = (values[1] - values[0]) / step
        with np.errstate(divide="ignore", invalid="ignore"):
            move = np.where(np.abs(slope) > 1e-12, (wanted - values[0]) / slope, 0.0)
        z = z + np.clip(move, -0.01 * np.maximum(np.abs(z), 1), 0.01 * np.maximum(np.abs(z), 1))
    width = std / moments(z, np.ones_like(z))[1]
    return z * width, width, 1 / (width**2 * _second(z))


# inside --------------------------------------------------------------------------------------------


def _second(z: Floats) -> Floats:
    """Integral of r^2 times a unit Gaussian around z over r above 0."""
    near = np.maximum(z, -30.0)
    phi = np.exp(-(near**2) / 2) / np.sqrt(2 * np.pi)
    # Phi(z) = phi(z) sqrt(pi / 2) erfcx(-z / sqrt 2), exact in the far tail
    inner = np.where(near < 5, phi * np.sqrt(np.pi / 2) * erfcx(-np.minimum(near, 5) / np.sqrt(2)), (1 + erf(near / np.sqrt(2))) / 2)
    return np.asarray((1 + near**2) * inner + near * phi)


def _in_space(sky_map: SkyMap, mass: Floats, cell: Integers, fine: NDArray[np.bool_], distance: Floats, error: Floats | None) -> tuple[Floats, Floats, Floats]:
    """Density, level and offset in space."""
    assert sky_map.distance_mean is not None and sky_map.distance_std is not None
    mean, std = (np.asarray(v, dtype=np.float64) for v in (sky_map.distance_mean, sky_map.distance_std))
    location, width, norm = parameters(mean, std)
    known = fine & np.isfinite(distance) & (distance > 0)
    spread = np.zeros_like(distance) if error is None else np.nan_to_num(error)
    at = np.maximum(cell, 0)
    there = known & (cell >= 0) & np.isfinite(norm[at])
    total = np.hypot(width[at], spread)
    with np.errstate(invalid="ignore"):
        gauss = np.exp(-(((distance - location[at]) / total) ** 2) / 2) / (np.sqrt(2 * np.pi) * total)
        sharp = np.exp(-(((distance - location[at]) / width[at]) ** 2) / 2) / (np.sqrt(2 * np.pi) * width[at])
        scale = np.asarray(sky_map.density, dtype=np.float64)[at] * norm[at]
        offset = (distance - mean[at]) / np.hypot(std[at], spread)
    density = np.where(known, np.where(there, scale * gauss, 0.0), np.nan)
    level = np.where(known, 1.0, np.nan)
    level[there] = _volume_level((scale * sharp)[there], sky_map, mass, location, width, norm)
    return density, level, np.where(there, offset, np.nan)


def _volume_level(wanted: Floats, sky_map: SkyMap, mass: Floats, location: Floats, width: Floats, norm: Floats) -> Floats:
    """Probability of all places with a higher density in space than each of these."""
    held = np.flatnonzero(np.isfinite(norm) & (mass > 0))
    # the density along a line of sight peaks at its location, or at the observer
    peak = np.asarray(sky_map.density, dtype=np.float64)[held] * norm[held] / (np.sqrt(2 * np.pi) * width[held])
    top = float(np.max(peak * np.exp(-np.minimum(location[held] / width[held], 0) ** 2 / 2), initial=0.0))
    if not len(wanted) or not top > 0:
        return np.ones(len(wanted))
    grid = np.geomspace(FAINT, 1, THRESHOLDS) * top
    share = np.zeros(THRESHOLDS)
    for start in range(0, len(held), CELLS):
        part = slice(start, start + CELLS)
        rows = held[part]
        z, weight = location[rows] / width[rows], mass[rows]
        for i, limit in enumerate(grid):
            some = peak[part] > limit
            if some.any():
                half = np.sqrt(2 * np.log(peak[part][some] / limit))
                share[i] += np.sum(weight[some] * np.maximum(_below(z[some] + half, z[some]) - _below(z[some] - half, z[some]), 0))
    share = np.minimum(share / mass.sum(), 1.0)
    return np.where(wanted >= grid[0], np.interp(np.log(np.maximum(wanted, grid[0])), np.log(grid), share), 1.0)


def _below(x: Floats, z: Floats) -> Floats:
    """Probability that a distance in units of its width lies below x, for r^2 times a Gaussian around z."""
    x = np.maximum(x, 0.0)

    def primitive(t: Floats) -> Floats:
        # of (t + z)^2 exp(-t^2 / 2) / sqrt(2 pi), t = x - z
        return np.asarray((1 + z**2) * erf(t / np.sqrt(2)) / 2 - (t + 2 * z) * np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi))

    return np.clip((primitive(x - z) - primitive(-z)) / np.maximum(_second(z), 1e-300), 0.0, 1.0)


def _orders(uniq: Integers) -> Integers:
    return np.asarray(np.searchsorted(np.int64(4) << 2 * np.arange(DEEPEST + 1), uniq, side="right") - 1, dtype=np.int64)


def _cells(ra: Floats, dec: Floats, uniq: Integers, order: Integers) -> Integers:
    """Which cell of a map each position lies in; -1 where the map has none."""
    import astropy.units as u
    from astropy_healpix import lonlat_to_healpix

    place = np.asarray(lonlat_to_healpix(ra * u.deg, dec * u.deg, 1 << DEEPEST, order="nested"), dtype=np.int64)
    shift = 2 * (DEEPEST - order)
    first = (uniq - (np.int64(4) << 2 * order)) << shift
    by = np.argsort(first)
    at = np.searchsorted(first[by], place, side="right") - 1
    found = by[np.maximum(at, 0)]
    return np.where((at >= 0) & (place < first[found] + (np.int64(1) << shift[found])), found, -1)


def _bearing(ra: float, dec: float, lon: Any, lat: Any) -> Floats:
    """Position angle of places as seen from a centre, radian east of north."""
    a, d, x, y = (np.radians(v) for v in (ra, dec, lon, lat))
    return np.asarray(np.arctan2(np.cos(y) * np.sin(x - a), np.sin(y - d) + 2 * np.sin(d) * np.cos(y) * np.sin((x - a) / 2) ** 2))
