"""Positions on the sphere as arrays: motion from one epoch to another, and objects that lie close together."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAS = np.pi / 180 / 3.6e6
FEW = 200
"""Up to so many positions all distances are taken at once; importing a search tree would take longer."""
SAME = 1e-12
"""Unit vectors are equal below this, 2e-7 arcsec."""


def vectors(ra: Floats, dec: Floats) -> Floats:
    """Unit vectors, (n, 3), of positions in deg."""
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def degrees(vector: Floats) -> tuple[Floats, Floats]:
    """RA in [0, 360) and Dec, deg, of vectors of any length; exact also beside a pole."""
    x, y, z = np.moveaxis(vector, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def propagated(ra: Floats, dec: Floats, pmra: Floats, pmdec: Floats, years: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Positions and proper motions after a number of years, in uniform motion on a straight line across the line of sight.

    Parameters
    ----------
    ra, dec : array, (n,)
        deg.
    pmra, pmdec : array, (n,)
        mas per year; pmra includes cos(dec).
    years : array, (n,)
        Julian years.

    Returns
    -------
    ra, dec, pmra, pmdec : array, (n,)
        What does not move keeps its position to the last bit.

    Notes
    -----
    The vector form (Hipparcos and Tycho Catalogues, ESA SP-1200, volume 1, section 1.5.5, with radial velocity and
    parallax of zero) holds across a pole, where adding ``pmra / cos(dec)`` fails. A test compares it with ERFA.
    """
    a, d = np.radians(ra), np.radians(dec)
    east = np.stack([-np.sin(a), np.cos(a), np.zeros_like(a)], axis=-1)
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)], axis=-1)
    velocity = MAS * (pmra[:, None] * east + pmdec[:, None] * north)
    path = vectors(ra, dec) + velocity * years[:, None]
    length = np.linalg.norm(path, axis=-1, keepdims=True)
    new_ra, new_dec = degrees(path)
    place = path / length
    turned = (velocity - place * np.sum(place * velocity, axis=-1, keepdims=True)) / length / MAS
    a, d = np.radians(new_ra), np.radians(new_dec)
    new_pmra = turned[:, 1] * np.cos(a) - turned[:, 0] * np.sin(a)
    new_pmdec = turned[:, 2] * np.cos(d) - np.sin(d) * (turned[:, 0] * np.cos(a) + turned[:, 1] * np.sin(a))
    moves = ((pmra != 0) | (pmdec != 0)) & (years != 0)
    return tuple(np.where(moves, new, old) for new, old in ((new_ra, ra), (new_dec, dec), (new_pmra, pmra), (new_pmdec, pmdec)))  # type: ignore[return-value]


def close_pairs(ra: Floats, dec: Floats, tolerance: float) -> list[tuple[int, int, float]]:
    """Objects with another one within `tolerance` arcsec.

    Returns
    -------
    list of (int, int, float)
        Row, an earlier row, their distance in arcsec; ordered. An object with several neighbours is named with its
        nearest, so that a crowd of n gives at most n pairs.
    """
    finite = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if len(finite) < 2 or not tolerance >= 0:
        return []
    points = vectors(ra[finite], dec[finite])
    _, first, group = np.unique(np.round(points / SAME), axis=0, return_index=True, return_inverse=True)
    # the earliest of each group of equal positions stands for it: thousands of equal points would make a tree slow
    alike = first[np.ravel(group)]
    pairs = {(int(finite[i]), int(finite[j])): 0.0 for i, j in enumerate(alike) if i != j}
    kept = np.sort(first)
    if len(kept) > 1:
        chord, nearest = _nearest(points[kept])
        apart = np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1))) * 3600
        for i in np.flatnonzero(apart <= tolerance):
            one, other = int(finite[kept[i]]), int(finite[kept[nearest[i]]])
            pairs[max(one, other), min(one, other)] = float(apart[i])
    return [(*rows, distance) for rows, distance in sorted(pairs.items())]


def _nearest(points: Floats) -> tuple[Floats, Integers]:
    """Distance to the nearest other point, and which it is."""
    if len(points) <= FEW:
        chord = np.linalg.norm(points[:, None] - points[None], axis=-1)
        np.fill_diagonal(chord, np.inf)
        nearest = np.argmin(chord, axis=1)
        return chord[np.arange(len(points)), nearest], nearest
    from scipy.spatial import cKDTree

    chord, index = cKDTree(points).query(points, k=2)
    other = np.where(index[:, 0] == np.arange(len(points)), 1, 0)
    rows = np.arange(len(points))
    return chord[rows, other], index[rows, other]


def separation(ra: Floats | float, dec: Floats | float, other_ra: Floats | float, other_dec: Floats | float) -> Floats:
    """Distances on the sky, deg, of positions in deg (haversine, exact for small ones)."""
    a, d, x, y = (np.radians(v) for v in (ra, dec, other_ra, other_dec))
    half = np.sin((y - d) / 2) ** 2 + np.cos(d) * np.cos(y) * np.sin((x - a) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1)))))


def separation_arcsec(ra: Floats | float, dec: Floats | float, other_ra: Floats | float, other_dec: Floats | float) -> Floats:
    """`separation` in arcsec, the unit of match distances."""
    return np.asarray(separation(ra, dec, other_ra, other_dec) * 3600)


def within(ra: float, dec: float, other_ra: Floats, other_dec: Floats, radius: float) -> tuple[Integers, Floats]:
    """Which positions (deg) lie within `radius` (arcsec) of one, nearest first, and their distances in arcsec.

    A little more than the radius counts, since services round what they send; what has no position is not within it.
    """
    with np.errstate(invalid="ignore"):
        distance = separation_arcsec(ra, dec, other_ra, other_dec)
        near = np.flatnonzero(distance <= radius * (1 + 1e-6) + 1e-4)
    rows = near[np.argsort(distance[near], kind="stable")]
    return rows, distance[rows]
