"""How many matches are false: chance neighbours, from shifted positions and from the density around each source.

A source that is no counterpart appears around a left position as a Poisson process whose rate is the local density. It
becomes a match when it appears before anything nearer does. So the expected number of false matches is the summed
probability that the circles that were searched, each until its first source, hold a chance one; this sum and the count of
false matches differ by Poisson noise only (the compensator of a counting process; Aalen 1978, Ann. Stat. 6, 701). It holds
at any density, whether or not counterparts exist. Beside it, the chance that an unrelated source lies as near as the
match does (Downes et al. 1986, MNRAS 218, 31) needs no more than the density.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import position_errors, zones
from astrofuse_lab.alignment.match import SKY, How, Links, Positions, candidates
from astrofuse_lab.alignment.match_coverage import Field, coverage, field_of, within
from astrofuse_lab.errors import AlignmentError

Floats = NDArray[np.float64]

AROUND = 24.0
"""Sources, on average, in the box in which the local density is counted."""
PRIOR = 2.0
"""So many matches of shifted positions are added to those counted and those expected."""
SHIFTS = 8
LEAST = 0.2
"""A box counts with this part at least."""
FAR = 6.0
"""Radii by which positions are shifted: beyond the counterparts, near enough for the same density."""
SAMPLE = 100_000
"""So many left rows are shifted at most, fewer where they meet more sources than this in all:"""
PAIRS = 1_000_000
BINS = 40
FEWEST = 40
"""Pairs in a bin of score."""


class FalseRate(NamedTuple):
    """What is known of false matches.

    Attributes
    ----------
    rate, error : float
        Share of the matches that is false, and its standard error; the error holds the Poisson noise of the false matches
        themselves, so that the true share of this very sample scatters around `rate` by `error`.
    local, shifted : float
        The same from the density around each source alone, and with the mean density of shifted positions alone.
    pair : array, (pair,)
        Probability that each pair is false.
    chance : array, (pair,)
        Probability that an unrelated source lies as near.
    density : array, (left,)
        Unrelated sources per deg2 around each left row; NaN without a position.
    notes : tuple of str
    """

    rate: float
    error: float
    local: float
    shifted: float
    pair: Floats
    chance: Floats
    density: Floats
    notes: tuple[str, ...]


def false_rate(left: Positions, right: Positions, every: Links, matched: Links, how: How, radius: float | None = None, sigma: float | None = None, seed: int = 0) -> FalseRate:
    """Estimate how many of the matches are chance neighbours.

    Parameters
    ----------
    left, right : Positions
        At one epoch.
    every, matched : Links
        All pairs within the limits, and those that `match.chosen` took.
    how, radius, sigma
        As in `match.links`.
    seed : int
        Of the shifted sample.

    Returns
    -------
    FalseRate

    Raises
    ------
    AlignmentError
        If the limit is zero: no chance can then be told from the data.
    """
    usable = np.isfinite(left.ra) & (np.abs(left.dec) <= 90)
    circle = areas(left, right, radius, sigma)
    usable &= np.isfinite(circle)
    nothing = np.full(len(matched.left), np.nan)
    if not usable.any() or not len(matched.left):
        return FalseRate(np.nan, np.nan, np.nan, np.nan, nothing, nothing, np.full(len(left.ra), np.nan), ())
    if not circle[usable].max() > 0:
        raise AlignmentError("a false-match rate needs a limit above zero: radius or sigma.")
    first = np.full(len(left.ra), 1.0)  # score of the first source around each left row
    np.minimum.at(first, every.left, every.score)
    fine = np.isfinite(right.ra) & (np.abs(right.dec) <= 90)
    there = right.ra[fine], right.dec[fine]
    field = field_of(*there)
    # of circles that hold many sources a part is enough to count them, and does not reach beyond the field
    part = min(1.0, 1 / np.sqrt(max(float(np.median(circle[usable])) * zones.density(*there), 1e-12)))
    limits = None if radius is None else radius * part, None if sigma is None else sigma * part
    density = local_density(left, right, every, circle * part**2, usable, field, part)
    hits, expected, counters = _shifted(left, right, density, circle * part**2, usable, limits, field, seed)
    # the shifts set the level, as far as they counted anything, the boxes its course over the sky
    level = (hits + PRIOR) / (expected + PRIOR)
    seen = np.flatnonzero(usable)
    growth = _growth(how, _firsts_of_right(every, len(right.ra)), counters)
    own = density[seen] * circle[seen]
    mean = np.full(len(seen), hits / max(expected, 1e-300) * own.sum() / len(seen)) if expected else own
    total, number = _compensator(own * level, first[seen], how, growth), len(matched.left)
    others = [_compensator(rate, first[seen], how, growth)(1.0) / number for rate in (own, mean)]
    crowding = (density * circle)[matched.left] / own.mean() if own.any() else np.ones(len(matched.left))
    pair = _per_pair(matched, total, crowding)
    amount = total(1.0)
    error = np.sqrt(amount + amount**2 / (hits + PRIOR)) / number
    notes: tuple[str, ...] = ()
    if abs(others[0] - others[1]) > 3 * error + 0.1 * max(others):
        notes = (f"false-match rate {others[0]:.3g} from local density, {others[1]:.3g} from shifted positions: the sources are clustered, or the lists cover different parts of the sky",)
    chance = -np.expm1(-density[matched.left] * circle[matched.left] * matched.score**2)
    return FalseRate(min(amount / number, 1.0), float(error), others[0], others[1], pair, chance, density, notes)


def areas(left: Positions, right: Positions, radius: float | None, sigma: float | None) -> Floats:
    """Solid angle in which a right source would be a match of each left row, deg2."""
    whole = np.inf if radius is None else SKY * np.sin(np.radians(min(radius / 3600, 180.0)) / 2) ** 2
    if sigma is None:
        return np.full(len(left.ra), whole)
    none = [np.zeros((1, 3)) if side.covariance is None else side.covariance for side in (left, right)]
    found = np.broadcast_to(position_errors.area(none[0], none[1], sigma), left.ra.shape)
    return np.where(np.isnan(found), np.nan, np.minimum(found, whole))


def local_density(left: Positions, right: Positions, every: Links, circle: Floats, usable: NDArray[np.bool_], field: Field | None, part: float = 1.0) -> Floats:
    """Sources per deg2 around each left row, without those that could be its match: in boxes that hold about `AROUND`,
    drawn to their mean as far as their scatter is Poisson noise (gamma prior by moments).

    A box that reaches beyond the convex hull of a field counts with the part inside; elsewhere an edge makes the density too low,
    by up to a half. `circle` (deg2) is what scores up to `part` belong to.
    """
    fine = np.isfinite(right.ra) & (np.abs(right.dec) <= 90)
    ra, dec = right.ra[fine], right.dec[fine]
    widest = float(np.max(circle[usable]))
    box = max(AROUND / max(zones.density(ra, dec), 1e-12), min(9 * widest, 16 * float(np.median(circle[usable]))))
    side = float(np.clip(np.sqrt(box), 1e-5, 60.0))
    made = np.full(len(left.ra), np.nan)
    number, area = zones.counts(left.ra[usable], left.dec[usable], ra, dec, side, side)
    own = np.bincount(every.left[every.score <= part], minlength=len(left.ra))[usable]
    covered = coverage(field, left.ra[usable], left.dec[usable], side)
    area = np.maximum(area - circle[usable], area / 2) * np.maximum(covered, LEAST)
    number = np.maximum(number - own, 0)
    outside = (covered == 0) & (number == 0)
    number, area = number[~outside], area[~outside]
    made[usable] = 0.0
    if not number.sum() > 0:
        return made
    mean = number.sum() / area.sum()
    # counts that scatter by more than Poisson's law show a structure; only so far are they believed
    expected = mean * area
    structure = (np.sum((number - expected) ** 2) - number.sum()) / np.sum(expected**2)
    weight = 1 / np.clip(structure, 1e-3, 1.0)
    made[np.flatnonzero(usable)[~outside]] = (number + weight) / (area + weight / mean)
    return made


# inside --------------------------------------------------------------------------------------------


def _shifted(
    left: Positions, right: Positions, density: Floats, circle: Floats, usable: NDArray[np.bool_], limits: tuple[float | None, float | None], field: Field | None, seed: int
) -> tuple[int, float, NDArray[np.int64]]:
    """Matches of positions shifted into several directions, as long as they stay in the field; how many the local density expects; the right rows that were met."""
    rows = np.flatnonzero(usable)
    most = int(np.clip(PAIRS / max(float(np.mean(density[rows] * circle[rows])), 1e-12), 100, SAMPLE))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    radii = np.sqrt(circle[rows] / np.pi)
    reach = np.maximum(radii * FAR, radii.max() * 2 if limits[1] is not None else 0.0)
    still = right._replace(epoch=None, pmra=None, pmdec=None)
    expected, met = 0.0, []
    for turn in range(SHIFTS):
        ra, dec = moved(left.ra[rows], left.dec[rows], reach, 360.0 * turn / SHIFTS)
        kept = np.flatnonzero(within(field, ra, dec) & within(field, left.ra[rows], left.dec[rows]))
        at = left.take(rows[kept])._replace(ra=ra[kept], dec=dec[kept], epoch=None, pmra=None, pmdec=None)
        met.append(candidates(at, still, *limits).right)
        expected += float(np.sum((density * circle)[rows[kept]]))
    return sum(len(one) for one in met), expected, np.concatenate(met)


def moved(ra: Floats, dec: Floats, distance: Floats, angle: float) -> tuple[Floats, Floats]:
    """Positions after a distance (deg) in a direction (deg, east of north), along a great circle."""
    d, r, pa = np.radians(dec), np.radians(distance), np.radians(angle)
    sine = np.sin(d) * np.cos(r) + np.cos(d) * np.sin(r) * np.cos(pa)
    east = np.arctan2(np.sin(pa) * np.sin(r) * np.cos(d), np.cos(r) - np.sin(d) * sine)
    return (ra + np.degrees(east)) % 360, np.degrees(np.arcsin(np.clip(sine, -1, 1)))


def _firsts_of_right(every: Links, n: int) -> Floats:
    """Score of the best left row of each right one; 1 where none is within the limits."""
    first = np.ones(n)
    np.minimum.at(first, every.right, every.score)
    return first


class _Growth(NamedTuple):
    """The integral of what a chance source is worth, over the searched area from 0 to 1."""

    at: Floats
    value: Floats

    def __call__(self, area: Floats) -> Floats:
        return np.interp(area, self.at, self.value)


def _growth(how: How, best: Floats, met: NDArray[np.int64]) -> _Growth:
    """A chance source counts fully; for mutual matches only if no left row lies nearer to it: among those that the shifts met, so many are free."""
    at = np.linspace(0, 1, 201)
    if how != "mutual" or not len(met):
        return _Growth(at, at)
    held = np.sort(best[met] ** 2)
    # of equal areas, as a source in reach of nobody has the area 1, it is free up to the end
    free = 1 - np.searchsorted(held, at, side="left") / len(held)
    return _Growth(at, np.concatenate([[0.0], np.cumsum((free[1:] + free[:-1]) / 2 * np.diff(at))]))


class _Compensator:
    """Expected false matches with an area (score squared) of up to some value."""

    def __init__(self, rate: Floats, until: Floats, growth: _Growth) -> None:
        by = np.argsort(until)
        self.until, self.growth, self.rate = until[by], growth, rate[by]
        self.ended = np.concatenate([[0.0], np.cumsum(self.rate * growth(self.until))])
        self.left = self.rate.sum() - np.concatenate([[0.0], np.cumsum(self.rate)])

    def __call__(self, area: float) -> float:
        place = int(np.searchsorted(self.until, area, side="right"))
        return float(self.ended[place] + max(self.left[place], 0.0) * self.growth(np.asarray(area)))


def _compensator(rate: Floats, first: Floats, how: How, growth: _Growth) -> _Compensator:
    """For all pairs every circle is searched to its end, otherwise to its first source."""
    return _Compensator(rate, np.ones_like(first) if how == "all" else first**2, growth)


def _per_pair(matched: Links, total: _Compensator, crowding: Floats) -> Floats:
    """Probability of each pair to be false: expected false over found, in bins of score that never fall, then by its own density."""
    from scipy.optimize import isotonic_regression

    area = matched.score**2
    by = np.argsort(area, kind="stable")
    bins = int(np.clip(len(area) // FEWEST, 1, BINS))
    parts = np.array_split(area[by], bins)
    edges = np.array([0.0, *((a[-1] + b[0]) / 2 for a, b in pairwise(parts)), 1.0])
    expected = np.diff([total(float(edge)) for edge in edges])
    found = np.array([len(part) for part in parts], dtype=np.float64)
    share = np.clip(isotonic_regression(expected / found, weights=found).x, 1e-12, 1 - 1e-12)
    own = np.empty(len(area))
    own[by] = np.repeat(share, found.astype(np.int64))
    odds = own / (1 - own) * crowding
    # the mean over all pairs is the overall rate
    wanted, part = total(1.0) / len(area), odds[:: max(1, len(odds) // 20_000)]
    low, high = -10.0, 10.0
    for _ in range(40):
        middle = (low + high) / 2
        scaled = part * np.exp(middle)
        low, high = (middle, high) if np.mean(scaled / (1 + scaled)) < wanted else (low, middle)
    odds = odds * np.exp((low + high) / 2)
    return np.asarray(odds / (1 + odds))
