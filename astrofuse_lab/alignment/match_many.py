"""More than two lists of sources at once: which rows are the same object.

Two rules. *Anchored*: each row of the first list takes its match in each other list; what the first list lacks is not in
the result. *Connected*: all pairs within the limits are links; from the best score on, a link joins two groups unless they
hold rows of one list both, so that an object has at most one row of each list, and no list is privileged. A chain may
reach further than the limit: `spread` tells.

With errors of positions each group has a Bayes factor of being one object (Budavari & Szalay 2008, ApJ 679, 301, eq. 18)
and, with the densities of the lists as prior (their eq. 25), a probability.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import match, match_false_rate, zones
from astrofuse_lab.alignment.match import SKY, Links, Positions
from astrofuse_lab.errors import AlignmentError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Rule = Literal["anchored", "connected"]


class Groups(NamedTuple):
    """Objects that several lists have.

    Attributes
    ----------
    rows : int64 array, (object, list)
        -1 where a list does not have the object.
    ra, dec : array, (object,)
        deg; mean of the members, weighted by their errors where all have one.
    spread : array, (object,)
        arcsec; of the member farthest from the mean.
    ambiguous : bool array, (object,)
        A member could have joined another group, or been replaced by another row of its list.
    bayes : array, (object,), optional
        Decimal logarithm of the Bayes factor of one object against as many as there are members; NaN where an error is missing.
    probability : array, (object,), optional
    """

    rows: Integers
    ra: Floats
    dec: Floats
    spread: Floats
    ambiguous: NDArray[np.bool_]
    bayes: Floats | None = None
    probability: Floats | None = None


def grouped(lists: Sequence[Positions], radius: float | None = None, sigma: float | None = None, rule: Rule = "connected", least: int = 2) -> Groups:
    """Find the objects of several lists.

    Parameters
    ----------
    lists : sequence of Positions
    radius, sigma
        Limits of a pair, as in `match.links`.
    rule : {"connected", "anchored"}
    least : int
        Members that an object has to have; 1 keeps what one list alone has (for *anchored*, all rows of the first list).

    Returns
    -------
    Groups
        By the row of the first list that has them, then of the second, and so on.
    """
    if rule not in ("anchored", "connected"):
        raise AlignmentError(f"rule={rule!r}: 'anchored' or 'connected'.")
    if len(lists) < 2:
        raise AlignmentError(f"{len(lists)} list of sources: two or more are matched.")
    made = (_anchored if rule == "anchored" else _connected)(lists, radius, sigma)
    rows, ambiguous = made
    kept = np.flatnonzero((rows >= 0).sum(axis=1) >= max(least, 1))
    rows, ambiguous = rows[kept], ambiguous[kept]
    # -1, absent, comes after all rows
    by = np.lexsort(np.where(rows < 0, np.iinfo(np.int64).max, rows).T[::-1])
    return _described(lists, rows[by], ambiguous[by])


def false_rates(lists: Sequence[Positions], groups: Groups, radius: float | None = None, sigma: float | None = None, rule: Rule = "connected") -> Floats:
    """Probability of each object that a member is there by chance: of the pairs of its first member with each other one, as `match_false_rate` tells.

    Parameters
    ----------
    lists, groups, radius, sigma, rule
        As given to and by `grouped`.

    Returns
    -------
    array, (object,)
        0 for objects of one member.
    """
    rows, right = groups.rows, np.ones(len(groups.rows))
    first = np.argmax(rows >= 0, axis=1)
    for i, j in combinations(range(len(lists)), 2):
        of = np.flatnonzero((first == i) & (rows[:, j] >= 0))
        if not len(of):
            continue
        one, other = lists[i], lists[j]
        every = match.candidates(one, other, radius, sigma)
        by = of[np.argsort(rows[of, i])]
        pairs = _scored(every, rows[by, i], rows[by, j], one, other)
        right[by] *= 1 - match_false_rate.false_rate(one, other, every, pairs, "nearest" if rule == "anchored" else "mutual", radius, sigma).pair
    return 1 - right


def _scored(every: Links, left: Integers, right: Integers, one: Positions, other: Positions) -> Links:
    """Pairs of given rows; those that hang together by a third list only count as being at the limit."""
    key, wanted = every.left * len(other.ra) + every.right, left * len(other.ra) + right
    by = np.argsort(key)
    place = by[np.minimum(np.searchsorted(key[by], wanted), len(key) - 1)] if len(key) else np.zeros(len(wanted), dtype=np.int64)
    there = key[place] == wanted if len(key) else np.zeros(len(wanted), dtype=bool)
    apart = match.separation(one.ra[left], one.dec[left], other.ra[right], other.dec[right])
    score = np.where(there, every.score[place], 1.0) if len(key) else np.ones(len(wanted))
    nobody = np.ones(len(wanted), dtype=np.int64)
    return Links(left, right, apart, score, nobody, nobody)


# the rules -----------------------------------------------------------------------------------------


def _anchored(lists: Sequence[Positions], radius: float | None, sigma: float | None) -> tuple[Integers, NDArray[np.bool_]]:
    n = len(lists[0].ra)
    rows, ambiguous = np.full((n, len(lists)), -1, dtype=np.int64), np.zeros(n, dtype=bool)
    rows[:, 0] = np.arange(n)
    for place, other in enumerate(lists[1:], start=1):
        found = match.links(lists[0], other, radius, sigma, "nearest")
        rows[found.left, place] = found.right
        ambiguous[found.left] |= found.ambiguous
    return rows, ambiguous


def _connected(lists: Sequence[Positions], radius: float | None, sigma: float | None) -> tuple[Integers, NDArray[np.bool_]]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    starts = np.concatenate([[0], np.cumsum([len(one.ra) for one in lists])])
    total = int(starts[-1])
    pairs: list[tuple[int, int, Links]] = [(i, j, match.candidates(lists[i], lists[j], radius, sigma)) for i, j in combinations(range(len(lists)), 2)]
    left, right = (np.concatenate([starts[pair[side]] + pair[2][side] for pair in pairs]) for side in (0, 1))
    score, apart = (np.concatenate([getattr(links, name) for _, _, links in pairs]) for name in ("score", "separation"))
    _, group = connected_components(coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(total, total)), directed=False)
    owner = np.repeat(np.arange(len(lists)), np.diff(starts))
    # a group that holds a list twice is taken apart link by link; few are
    slot, number = np.unique(group.astype(np.int64) * len(lists) + owner, return_counts=True)
    twice = np.bincount(slot[number > 1] // len(lists), minlength=int(group.max(initial=0)) + 1) > 0
    contested = np.flatnonzero(twice[group[left]]) if len(left) else np.zeros(0, dtype=np.int64)
    by = contested[np.lexsort((right[contested], left[contested], apart[contested], score[contested]))]
    group = _taken_apart(group, twice, owner, left[by].tolist(), right[by].tolist())
    _, group = np.unique(group, return_inverse=True)
    rows = np.full((int(group.max(initial=-1)) + 1, len(lists)), -1, dtype=np.int64)
    rows[group, owner] = np.arange(total) - starts[owner]
    ambiguous = np.zeros(len(rows), dtype=bool)
    refused = group[left] != group[right]
    ambiguous[group[left[refused]]] = ambiguous[group[right[refused]]] = True
    return rows, ambiguous


def _taken_apart(group: Integers, twice: NDArray[np.bool_], owner: Integers, left: list[int], right: list[int]) -> Integers:
    """Numbers of groups of which none holds two rows of a list: those marked `twice` are built anew from their links, the best first."""
    group = group.astype(np.int64)
    members = np.flatnonzero(twice[group])
    fresh = int(group.max(initial=-1)) + 1
    group[members] = fresh + np.arange(len(members))
    held = {int(row): {int(row): int(owner[row])} for row in members}
    of = {int(row): int(row) for row in members}
    for one, other in zip(left, right, strict=True):
        a, b = of[one], of[other]
        if a == b or set(held[a].values()) & set(held[b].values()):
            continue
        if len(held[a]) < len(held[b]):
            a, b = b, a
        for row in held[b]:
            of[row] = a
            group[row] = group[a]
        held[a] |= held.pop(b)
    return group


# what they are like --------------------------------------------------------------------------------


def _described(lists: Sequence[Positions], rows: Integers, ambiguous: NDArray[np.bool_]) -> Groups:
    n, there = len(rows), rows >= 0
    points, variance = np.zeros((n, len(lists), 3)), np.full(rows.shape, np.nan)
    for place, one in enumerate(lists):
        at = np.flatnonzero(there[:, place])
        row = rows[at, place]
        points[at, place] = match.unit_vectors(one.ra[row], one.dec[row])
        if one.covariance is not None:
            variance[at, place] = one.covariance[row, :2].mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        known = np.all((variance > 0) | ~there, axis=1)
        weight = np.where(there, np.where(known[:, None], 1 / variance, 1.0), 0.0)
    mean = np.sum(np.nan_to_num(points) * weight[..., None], axis=1)
    ra, dec = np.degrees(np.arctan2(mean[:, 1], mean[:, 0])) % 360, np.degrees(np.arctan2(mean[:, 2], np.hypot(mean[:, 0], mean[:, 1])))
    away = np.zeros(rows.shape)
    for place, one in enumerate(lists):
        at = np.flatnonzero(there[:, place])
        away[at, place] = match.separation(one.ra[rows[at, place]], one.dec[rows[at, place]], ra[at], dec[at])
    spread = away.max(axis=1, initial=0.0)
    if all(one.covariance is None for one in lists):
        return Groups(rows, ra, dec, spread, ambiguous)
    weight *= np.degrees(3600.0) ** 2  # of radians
    number = there.sum(axis=1)
    logs = np.log(np.where(there, np.maximum(weight, 1e-300), 1.0)).sum(axis=1) - np.log(weight.sum(axis=1))
    bayes = np.where(known, (number - 1) * np.log(2) + logs - np.sum(weight * np.radians(away / 3600) ** 2, axis=1) / 2, np.nan)
    counts = np.log([max(zones.density(one.ra[fine], one.dec[fine]) * SKY, 1.0) for one in lists for fine in [np.isfinite(one.ra) & np.isfinite(one.dec)]])
    # as many objects in common as the smallest list has
    prior = np.where(there, counts, np.inf).min(axis=1) - np.where(there, counts, 0.0).sum(axis=1)
    with np.errstate(over="ignore"):
        probability = 1 / (1 + np.expm1(-np.minimum(prior, -1e-300)) * np.exp(-bayes))
    return Groups(rows, ra, dec, spread, ambiguous, bayes / np.log(10), np.where(number > 1, probability, 1.0))
