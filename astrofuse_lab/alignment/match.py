"""Positions on the sky: motion between epochs, separations, and the nearest source."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MAS = np.radians(1 / 3.6e6)


class Match(NamedTuple):
    """The nearest source of each target.

    Attributes
    ----------
    row : int64 array, (target,)
        In the catalogue; -1 where nothing lies within the radius.
    separation : float64 array, (target,)
        arcsec; NaN where there is no match.
    ambiguous : bool array, (target,)
        Another source lies within the radius too, or another target has the same nearest source.
    """

    row: NDArray[np.int64]
    separation: Floats
    ambiguous: NDArray[np.bool_]


def nearest(ra: Any, dec: Any, catalogue_ra: Any, catalogue_dec: Any, radius: float) -> Match:
    """Match targets to the sources of a catalogue, on the sphere.

    Parameters
    ----------
    ra, dec : array, (target,)
        deg, at the epoch of the catalogue (see `propagate`).
    catalogue_ra, catalogue_dec : array, (source,)
        deg; sources without a finite position are never matched.
    radius : float
        arcsec.

    Returns
    -------
    Match
    """
    from scipy.spatial import KDTree

    targets, sources = unit_vectors(ra, dec), unit_vectors(catalogue_ra, catalogue_dec)
    index = np.full(len(targets), -1, dtype=np.int64)
    angle = np.full((len(targets), 2), np.nan)
    ambiguous = np.zeros(len(targets), dtype=bool)
    rows = np.flatnonzero(np.isfinite(sources).all(axis=1))
    valid = np.flatnonzero(np.isfinite(targets).all(axis=1))
    if len(rows) and len(valid):
        # the chord of an angle; a little more, so that the border itself is found
        chord = 2 * np.sin(np.radians(min(radius / 3600, 180.0)) / 2) * (1 + 1e-12) + 1e-15
        distance, place = KDTree(sources[rows]).query(targets[valid], k=2, distance_upper_bound=chord)
        angle[valid] = np.degrees(2 * np.arcsin(np.clip(distance / 2, 0, 1))) * 3600
        hit = np.isfinite(distance[:, 0])
        index[valid[hit]] = rows[place[hit, 0]]
        ambiguous[valid] = hit & np.isfinite(distance[:, 1])
        claims = np.bincount(index[index >= 0], minlength=len(sources))
        ambiguous |= (index >= 0) & (claims[index] > 1)
    return Match(index, np.where(index >= 0, angle[:, 0], np.nan), ambiguous)


def separation(ra: Any, dec: Any, other_ra: Any, other_dec: Any) -> Floats:
    """Angle between positions in deg, in arcsec (Vincenty's formula: exact for all angles)."""
    a, b = np.broadcast_arrays(unit_vectors(ra, dec), unit_vectors(other_ra, other_dec))
    return np.asarray(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(axis=-1))) * 3600)


def propagate(ra: Any, dec: Any, pmra: Any, pmdec: Any, years: Any) -> tuple[Floats, Floats]:
    """Move positions along their proper motions (Hipparcos and Tycho catalogues, ESA SP-1200, vol. 1, eq. 1.5.19, no radial motion).

    Parameters
    ----------
    ra, dec : array
        deg.
    pmra, pmdec : array
        mas per year; `pmra` includes cos(dec).
    years : array
        Julian years from the epoch of the positions to the one wanted.

    Returns
    -------
    ra, dec : array
        deg.
    """
    lon, lat = (np.radians(np.asarray(v, dtype=np.float64)) for v in (ra, dec))
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=-1)
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=-1)
    step = (np.asarray(pmra)[..., None] * east + np.asarray(pmdec)[..., None] * north) * MAS * np.asarray(years)[..., None]
    x, y, z = np.moveaxis(unit_vectors(ra, dec) + step, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def unit_vectors(ra: Any, dec: Any) -> Floats:
    """Directions of positions in deg: (..., 3)."""
    lon, lat = (np.radians(np.asarray(v, dtype=np.float64)) for v in (ra, dec))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
