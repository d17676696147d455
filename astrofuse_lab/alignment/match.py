"""Positions on the sky: motion between epochs, separations, and which sources of two lists belong together."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab import positions
from astrofuse_lab.alignment import position_errors, zones
from astrofuse_lab.errors import AlignmentError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
How = Literal["nearest", "mutual", "all"]

MAS = np.radians(1 / 3.6e6)
MANY = 30_000_000
"""Beyond so many pairs within the radius, the nearest are found by a tree, which does not look at the others."""
MOST = 500_000_000
CLASS = 4.0
"""Sources whose errors lie within this factor are searched together."""
SKY = 41252.96124941927


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

    row: Integers
    separation: Floats
    ambiguous: Bools


class Positions(NamedTuple):
    """A list of sources.

    Attributes
    ----------
    ra, dec : float64 array, (n,)
        deg, ICRS; rows that are not finite are never matched.
    covariance : float64 array, (n, 3), optional
        arcsec2, of `position_errors`.
    epoch : float64 array, (n,), optional
        Julian years.
    pmra, pmdec : float64 array, (n,), optional
        mas per year; `pmra` includes cos(dec). NaN is no motion.
    """

    ra: Floats
    dec: Floats
    covariance: Floats | None = None
    epoch: Floats | None = None
    pmra: Floats | None = None
    pmdec: Floats | None = None

    def take(self, rows: Any) -> "Positions":
        """Some of them."""
        return Positions(self.ra[rows], self.dec[rows], *(None if v is None else v[rows] for v in self[2:]))

    def at(self, epoch: float) -> "Positions":
        """All at one epoch; those without motion or epoch stay where they are."""
        if self.epoch is None or self.pmra is None or self.pmdec is None:
            return self
        moved = propagate(self.ra, self.dec, np.nan_to_num(self.pmra), np.nan_to_num(self.pmdec), np.nan_to_num(epoch - self.epoch))
        return self._replace(ra=moved[0], dec=moved[1], epoch=np.full_like(self.ra, epoch))


class Links(NamedTuple):
    """Pairs of two lists, by left row, then score, separation and right row.

    Attributes
    ----------
    left, right : int64 array, (pair,)
    separation : float64 array, (pair,)
        arcsec, at the epoch of the pair.
    score : float64 array, (pair,)
        Distance over what is allowed, 0 to 1: the separation over the radius, or the normalised one over `sigma`.
    candidates, claims : int64 array, (pair,)
        Sources that the left row could have, itself included, and left rows that could have the right one.
    """

    left: Integers
    right: Integers
    separation: Floats
    score: Floats
    candidates: Integers
    claims: Integers

    @property
    def ambiguous(self) -> Bools:
        """Whether either side had a choice."""
        return (self.candidates > 1) | (self.claims > 1)

    def take(self, rows: Any) -> "Links":
        """Some of them."""
        return Links(*(v[rows] for v in self))


def links(left: Positions, right: Positions, radius: float | None = None, sigma: float | None = None, how: How = "nearest") -> Links:
    """Match two lists of sources on the sphere.

    Parameters
    ----------
    left, right : Positions
        Where one list has motions and both have epochs, its sources are compared at the epoch of each source of the other
        list (where both move, the left ones are); the errors of motions are not added.
    radius : float, optional
        arcsec; the most that a pair may be apart.
    sigma : float, optional
        The most that it may be apart in units of the joint error of both positions, see `position_errors.normalised`;
        both limits hold where both are given. Sources without an error are then never matched.
    how : {"nearest", "mutual", "all"}
        For each left row the best right one; pairs where each is the other's best; or all pairs within the limits. The best
        has the lowest score; of equal ones the nearest, then the first row, is taken.

    Returns
    -------
    Links

    Raises
    ------
    AlignmentError
        If there is no limit, or more pairs lie within it than memory could hold.
    """
    if how not in ("nearest", "mutual", "all"):
        raise AlignmentError(f"how={how!r}: 'nearest', 'mutual' or 'all'.")
    return chosen(candidates(left, right, radius, sigma, how), how)


def candidates(left: Positions, right: Positions, radius: float | None = None, sigma: float | None = None, how: How = "all") -> Links:
    """All pairs within the limits, of which `chosen` takes what is wanted; parameters as in `links`.

    Where they are very many and only the best are wanted, the two nearest of each source stand for all.
    """
    for name, value in (("radius", radius), ("sigma", sigma)):
        if value is not None and not (np.ndim(value) == 0 and value >= 0 and np.isfinite(value)):
            raise AlignmentError(f"{name}={value!r}: 0 or more is expected.")
    if radius is None and sigma is None:
        raise AlignmentError("a match needs a limit: radius in arcsec, or sigma with errors of positions.")
    if sigma is not None and left.covariance is None and right.covariance is None:
        raise AlignmentError(f"sigma={sigma}: neither list has errors of its positions.")
    if left.pmra is None and right.pmra is not None:
        swapped = candidates(right, left, radius, sigma, how)
        return _arranged(swapped.right, swapped.left, swapped.separation, swapped.score, len(left.ra), len(right.ra))
    if sigma is None:
        assert radius is not None
        one, other, apart = _pairs(left, right, np.asarray(radius), how)
        score = apart / radius if radius > 0 else np.zeros_like(apart)
        return _arranged(one, other, apart, np.minimum(score, 1.0, out=score), len(left.ra), len(right.ra))
    return _by_errors(left, right, radius, sigma)


def chosen(pairs: Links, how: How) -> Links:
    """The best of all pairs: `how` as in `links`."""
    if how == "all" or not len(pairs.left):
        return pairs
    best = np.concatenate([[True], pairs.left[1:] != pairs.left[:-1]])
    if how == "mutual":
        several = pairs.claims > 1
        rows = np.flatnonzero(several)
        by = rows[np.lexsort((pairs.left[rows], pairs.separation[rows], pairs.score[rows], pairs.right[rows]))]
        again = pairs.right[by[1:]] == pairs.right[by[:-1]]
        best[by[1:][again]] = False
    return pairs.take(np.flatnonzero(best)) if not best.all() else pairs


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
    targets, sources = (Positions(*(np.asarray(v, dtype=np.float64) for v in side)) for side in ((ra, dec), (catalogue_ra, catalogue_dec)))
    found = candidates(targets, sources, radius, how="nearest")
    best = chosen(found, "nearest")
    row, apart, ambiguous = np.full(len(targets.ra), -1, dtype=np.int64), np.full(len(targets.ra), np.nan), np.zeros(len(targets.ra), dtype=bool)
    row[best.left], apart[best.left] = best.right, best.separation
    ambiguous[best.left] = (best.candidates > 1) | (np.bincount(best.right, minlength=len(sources.ra))[best.right] > 1)
    return Match(row, apart, ambiguous)


# inside --------------------------------------------------------------------------------------------


def _pairs(left: Positions, right: Positions, radius: Floats, how: How) -> zones.Pairs:
    """Pairs within a radius (arcsec, one or one for each left row), the left ones moved to the epoch of each right one."""
    square = float(np.sum(np.broadcast_to(np.maximum(radius, 0), left.ra.shape) ** 2)) / 3600**2
    expected = min(np.pi * square * zones.density(*_sound(right)), float(len(left.ra)) * len(right.ra))
    if expected > MANY and radius.ndim == 0 and how != "all" and (left.pmra is None or left.epoch is None or right.epoch is None):
        return _by_tree(left, right, float(radius))
    if expected > MOST:
        raise AlignmentError(f"circles of up to {float(np.max(radius)):.3g} arcsec give about {expected:.1g} pairs; choose a smaller radius, or how='nearest'.")
    if left.pmra is None or left.pmdec is None or left.epoch is None or right.epoch is None:
        return zones.within(left.ra, left.dec, right.ra, right.dec, radius)
    pmra, pmdec = np.nan_to_num(left.pmra), np.nan_to_num(left.pmdec)
    ends = [np.nanmin(v) if np.isfinite(v).any() else np.nan for v in (right.epoch, -right.epoch)]
    years = np.nan_to_num(np.maximum(np.abs(left.epoch - ends[0]), np.abs(left.epoch + ends[1])))
    wide = zones.within(left.ra, left.dec, right.ra, right.dec, radius + np.hypot(pmra, pmdec) / 1000 * years * (1 + 1e-6))
    one, other, _ = wide
    moved = propagate(left.ra[one], left.dec[one], pmra[one], pmdec[one], np.nan_to_num(right.epoch[other] - left.epoch[one]))
    apart = separation(*moved, right.ra[other], right.dec[other])
    near = np.flatnonzero(apart <= (radius[one] if radius.ndim else radius) + zones.SLACK)
    return zones.Pairs(one[near], other[near], apart[near])


def _by_errors(left: Positions, right: Positions, radius: float | None, sigma: float) -> Links:
    """Pairs within `sigma`: right sources of like errors are searched together, so that a few bad ones do not widen all circles."""
    none = [np.zeros((len(side.ra), 3)) if side.covariance is None else side.covariance for side in (left, right)]
    mine, theirs = (position_errors.longest(c) for c in none)
    found = []
    with np.errstate(divide="ignore", invalid="ignore"):
        kind = np.floor(np.log(theirs) / np.log(CLASS))
    for one in np.unique(kind[~np.isnan(kind)]):
        rows = np.flatnonzero(kind == one)
        reach = sigma * np.hypot(mine, theirs[rows].max()) * (1 + 1e-9)
        reach = np.where(np.isnan(reach), -1.0, reach if radius is None else np.minimum(reach, radius))
        usable = np.flatnonzero(reach >= 0)
        a, b, apart = _pairs(left.take(usable), right.take(rows), reach[usable], "all")
        found.append((usable[a], rows[b], apart))
    a, b, apart = (np.concatenate(v) for v in zip(*found, strict=True)) if found else (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    distance = position_errors.normalised(left.ra[a], left.dec[a], right.ra[b], right.dec[b], none[0][a], none[1][b], apart)
    near = np.flatnonzero(distance <= sigma * (1 + 1e-12))
    score = distance[near] / sigma if sigma > 0 else np.zeros(len(near))
    return _arranged(a[near], b[near], apart[near], np.minimum(score, 1.0), len(left.ra), len(right.ra))


def _arranged(left: Integers, right: Integers, apart: Floats, score: Floats, n: int, m: int) -> Links:
    """Sorted, and counted from both sides."""
    mine, theirs = np.bincount(left, minlength=n), np.bincount(right, minlength=m)
    choice = mine[left]
    if np.any(left[1:] < left[:-1]):
        by = np.argsort(left, kind="stable")
        left, right, apart, score, choice = left[by], right[by], apart[by], score[by], choice[by]
    rows = np.flatnonzero(choice > 1)
    if len(rows):
        by = rows[np.lexsort((right[rows], apart[rows], score[rows], left[rows]))]
        right[rows], apart[rows], score[rows] = right[by], apart[by], score[by]
    return Links(left, right, apart, score, choice, theirs[right])


def _by_tree(left: Positions, right: Positions, radius: float) -> zones.Pairs:
    """The two nearest of each source, of both sides."""
    from scipy.spatial import KDTree

    # the chord of an angle; a little more, so that the border itself is found
    chord = 2 * np.sin(np.radians(min(radius / 3600, 180.0)) / 2) * (1 + 1e-12) + 1e-15
    rows = [np.flatnonzero(np.isfinite(side.ra) & (np.abs(side.dec) <= 90)) for side in (left, right)]
    points = [unit_vectors(side.ra[at], side.dec[at]) for side, at in zip((left, right), rows, strict=True)]
    both = []
    for mine, other in ((0, 1), (1, 0)):
        k = min(2, len(rows[other]))
        if not k or not len(rows[mine]):
            continue
        distance, place = KDTree(points[other]).query(points[mine], k=k, distance_upper_bound=chord, workers=2)
        distance, place = distance.reshape(-1, k), place.reshape(-1, k)
        hit = np.nonzero(np.isfinite(distance))
        pair = (rows[mine][hit[0]], rows[other][place[hit]])
        both.append(np.stack(pair if mine == 0 else pair[::-1], axis=-1))
    pairs = np.unique(np.concatenate(both), axis=0) if both else np.zeros((0, 2), dtype=np.int64)
    one, other_ = pairs[:, 0], pairs[:, 1]
    return zones.Pairs(one, other_, separation(left.ra[one], left.dec[one], right.ra[other_], right.dec[other_]))


def _sound(side: Positions) -> tuple[Floats, Floats]:
    fine = np.isfinite(side.ra) & np.isfinite(side.dec)
    return (side.ra, side.dec) if fine.all() else (side.ra[fine], side.dec[fine])


# positions -----------------------------------------------------------------------------------------


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
    return positions.vectors(np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64))
