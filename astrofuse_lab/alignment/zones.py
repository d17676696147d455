"""All pairs of two lists of positions within a radius: both sorted once by strips of declination, then merged.

After the zones algorithm (Gray, Nieto-Santisteban & Szalay 2007, arXiv:cs/0701171): a source is numbered by its strip of
declination and, within it, its right ascension; what can lie near a position is then one or two stretches of the sorted
list. No trigonometry is spent on what is far apart, unlike in a tree of unit vectors. Strips are as high as the density of
the sources allows, so that most positions look into one strip only.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TURN = 1 << 32
"""Steps of right ascension in a circle: 0.3 mas each; windows are wider by two."""
BLOCK = 262_144
"""So many positions look for candidates together: what they need then stays in the processor's cache."""
CHUNK = 4_000_000
"""So many candidates are looked at together."""
SAMPLE = 20_000
FEWEST = 0.3
"""Candidates by chance in the strip of a position, about: more cost distances, fewer cost searches."""
SLACK = 1e-9
"""arcsec. Rounding of positions in double precision; what lies on the border is within."""


class Pairs(NamedTuple):
    """Pairs of rows, by left row, then separation, then right row.

    Attributes
    ----------
    left, right : int64 array, (pair,)
    separation : float64 array, (pair,)
        arcsec.
    """

    left: Integers
    right: Integers
    separation: Floats


class Sorted(NamedTuple):
    """Positions by strip and right ascension.

    Attributes
    ----------
    key : int64 array, (n,)
        Strip times `TURN`, plus right ascension in steps.
    row : int64 array, (n,)
        Where each stands in the list that was given.
    """

    key: Integers
    row: Integers


def within(ra: Any, dec: Any, other_ra: Any, other_dec: Any, radius: Any) -> Pairs:
    """All pairs within a radius.

    Parameters
    ----------
    ra, dec : array, (left,)
        deg; rows that are not finite have no pair.
    other_ra, other_dec : array, (right,)
        deg.
    radius : float or array, (left,)
        arcsec, at most 180 deg; the border is within.

    Returns
    -------
    Pairs
    """
    own_ra, own_dec, lon, lat = (np.asarray(v, dtype=np.float64).ravel() for v in (ra, dec, other_ra, other_dec))
    own_ra, lon = _turned(own_ra), _turned(lon)
    parts = list(_chunks(own_ra, own_dec, lon, lat, np.asarray(radius, dtype=np.float64)))
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(nothing, nothing, np.zeros(0))
    left, right, apart = (parts[0] if len(parts) == 1 else tuple(np.concatenate(v) for v in zip(*parts, strict=True)))
    return _ordered(left, right, apart)


def counts(ra: Floats, dec: Floats, other_ra: Floats, other_dec: Floats, width: float, height: float) -> tuple[Integers, Floats]:
    """How many sources lie in a box around each position, as high as three strips, and the box's area.

    Parameters
    ----------
    ra, dec, other_ra, other_dec : array
        deg, finite.
    width, height : float
        deg, of the box; it reaches up to a sixth of its height further north than south, or the reverse.

    Returns
    -------
    count : int array, (left,)
    area : float array, (left,)
        deg2; what reaches over a pole is not counted.
    """
    strip = height / 3
    there, here = _sorted(_turned(other_ra), other_dec, strip), _sorted(_turned(ra), dec, strip)
    at, lat = here.key >> 32, dec[here.row]
    step = np.clip(width / 2 / np.maximum(np.cos(np.radians(lat)), 1e-9), 0, 180)
    total, area = np.zeros(len(ra), dtype=np.int64), np.zeros(len(ra))
    for offset in (-1, 0, 1):
        bottom, top = ((at + offset + k) * strip - 90 for k in (0, 1))
        on = (top > -90) & (bottom < 90)
        sines = np.sin(np.radians(np.clip(top, -90, 90))) - np.sin(np.radians(np.clip(bottom, -90, 90)))
        area += np.where(on, 2 * step * np.degrees(sines), 0.0)
        for which, start, stop in _windows(here.key & (TURN - 1), at + offset, np.ceil(step * (TURN / 360)).astype(np.int64)):
            total[which] += np.searchsorted(there.key, stop, side="right") - np.searchsorted(there.key, start, side="left")
    count, boxes = np.empty_like(total), np.empty_like(area)
    count[here.row], boxes[here.row] = total, area
    return count, boxes


def density(ra: Floats, dec: Floats) -> float:
    """Sources per deg2 that a source has around it, on average: of a sample, in boxes of the part of the sky that it covers."""
    if not len(ra):
        return 0.0
    part = slice(None, None, max(1, len(ra) // SAMPLE))
    turn, height = np.radians(ra[part]), np.sin(np.radians(dec[part]))
    # counted from the mean direction, so that a field at 0 h is in one piece
    middle = np.degrees(np.arctan2(np.sin(turn).mean(), np.cos(turn).mean()))
    lon = (ra[part] - middle + 180) % 360
    spans = [(v.min(), max(float(np.ptp(v)), 1e-9)) for v in (lon, height)]
    sides = int(np.clip(np.sqrt(len(lon) / 4), 1, 64))
    box = [np.minimum(((v - low) * (sides / span)).astype(np.int64), sides - 1) for v, (low, span) in zip((lon, height), spans, strict=True)]
    filled = np.bincount(box[0] * sides + box[1], minlength=sides * sides)
    area = spans[0][1] * np.degrees(spans[1][1]) / sides**2
    others = filled * np.maximum(filled - 1, 0).astype(np.float64)  # a source is none of its neighbours
    return float(others.sum() / len(lon) / area * (len(ra) / len(lon)))


# the merge -----------------------------------------------------------------------------------------


def _chunks(ra: Floats, dec: Floats, lon: Floats, lat: Floats, radius: Floats) -> Iterator[tuple[Integers, Integers, Floats]]:
    """Pairs piece by piece, in the order of the sky."""
    rows, others = _finite(ra, dec), _finite(lon, lat)
    if rows is not None:
        ra, dec = ra[rows], dec[rows]
        radius = radius[rows] if radius.ndim else radius
    if others is not None:
        lon, lat = lon[others], lat[others]
    if not len(ra) or not len(lon):
        return
    reach = np.minimum((np.maximum(radius, 0) + SLACK) / 3600 * (1 + 1e-12), 180.0)
    most = float(np.max(reach))
    strip = float(np.clip(FEWEST / max(density(lon, lat) * 2 * most, 1e-12), max(most, 1e-6), max(most, 2.0)))
    with ThreadPoolExecutor(2) as pool:  # sorting lets go of the interpreter
        one, other = pool.submit(_sorted, ra, dec, strip), pool.submit(_sorted, lon, lat, strip)
        here, there = one.result(), other.result()
    for start in range(0, len(here.row), BLOCK):
        part = Sorted(here.key[start : start + BLOCK], here.row[start : start + BLOCK])
        for left, right in _candidates(part, dec, there, reach, strip):
            apart = _apart(ra, dec, lon, lat, left, right)
            near = apart <= (reach[left] if reach.ndim else reach) * 3600
            if not near.all():
                left, right, apart = left[near], right[near], apart[near]
            yield (left if rows is None else rows[left]), (right if others is None else others[right]), apart


def _finite(ra: Floats, dec: Floats) -> Integers | None:
    """Rows with a position; None for all."""
    with np.errstate(invalid="ignore"):
        fine = np.isfinite(ra) & (np.abs(dec) <= 90)
    return None if fine.all() else np.flatnonzero(fine)


def _turned(ra: Floats) -> Floats:
    """Right ascension from 0 up to 360 deg, NaN as it is."""
    with np.errstate(invalid="ignore"):
        return ra % 360 if len(ra) and not (ra.min() >= 0 and ra.max() < 360) else ra


def _sorted(ra: Floats, dec: Floats, strip: float) -> Sorted:
    key = ((dec + 90) * (1 / strip)).astype(np.int64)
    key <<= 32
    # what is a hair below zero becomes 360 by rounding
    key += np.minimum((ra * (TURN / 360)).astype(np.int64), TURN - 1)
    row = np.argsort(key)
    return Sorted(key[row], row)


def _candidates(here: Sorted, dec: Floats, there: Sorted, reach: Floats, strip: float) -> Iterator[tuple[Integers, Integers]]:
    """Pairs of rows that may be near, of a stretch of the left list."""
    lat = dec[here.row]
    angle = reach[here.row] if reach.ndim else reach
    at, place = here.key >> 32, here.key & (TURN - 1)
    low = (np.maximum(lat - angle + 90, 0) * (1 / strip)).astype(np.int64)
    high = (np.minimum(lat + angle + 90, 180) * (1 / strip)).astype(np.int64)
    steps = _width(lat, angle)
    for offset in range(int((low - at).min()), int((high - at).max()) + 1):
        zone = at + offset
        concerned = (zone >= low) & (zone <= high)
        # all look into their own strip, few into its neighbours
        some = None if concerned.all() else np.flatnonzero(concerned)
        where = (place, zone, steps) if some is None else (place[some], zone[some], steps[some])
        for which, start, stop in _windows(*where):
            first = np.searchsorted(there.key, start, side="left")
            number = np.searchsorted(there.key, stop, side="right") - first
            hit = np.flatnonzero(number)
            concern = np.arange(len(place))[which] if some is None else some[which]
            yield from _expanded(here.row[concern[hit]], first[hit], number[hit], there.row)


def _windows(place: Integers, zone: Integers, steps: Integers) -> Iterator[tuple[Any, Integers, Integers]]:
    """First and last key of the stretches of right ascension around positions, and which positions each is for: two stretches across 0 h."""
    base = zone << 32
    low, high = place - steps, place + steps
    yield slice(None), base + np.maximum(low, 0), base + np.minimum(high, TURN - 1)
    whole = 2 * steps >= TURN
    for over, first, last in ((low < 0, low + TURN, None), (high >= TURN, None, high - TURN)):
        which = np.flatnonzero(over & ~whole)
        if len(which):
            start = base[which] + (0 if first is None else first[which])
            yield which, start, base[which] + (TURN - 1 if last is None else last[which])


def _width(lat: Floats, angle: Any) -> Integers:
    """Half the extent in right ascension of circles, in steps and rounded up: sin(extent) = sin(radius) / cos(dec), a whole turn around a pole."""
    lean = np.cos(np.radians(lat))
    ratio = np.sin(np.radians(np.minimum(angle, 90))) / np.maximum(lean, 1e-300)
    half = np.degrees(np.arcsin(np.minimum(ratio, 1)))
    return np.where((np.abs(lat) + angle >= 90) | (ratio >= 1), TURN, half * (TURN / 360 * (1 + 1e-9)) + 2).astype(np.int64)


def _expanded(left: Integers, first: Integers, number: Integers, rows: Integers) -> Iterator[tuple[Integers, Integers]]:
    """Each left row beside the `number` sorted rows from `first` on, in pieces that fit in memory."""
    sums = np.cumsum(number)
    start = 0
    while start < len(left):
        done = sums[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(sums, done + CHUNK, side="right")))
        count = number[start:stop]
        if sums[stop - 1] - done == stop - start:  # one each, as most are
            yield left[start:stop], rows[first[start:stop]]
        else:
            offset = np.arange(sums[stop - 1] - done) - np.repeat(sums[start:stop] - count - done, count)
            yield np.repeat(left[start:stop], count), rows[np.repeat(first[start:stop], count) + offset]
        start = stop


def _apart(ra: Floats, dec: Floats, lon: Floats, lat: Floats, left: Integers, right: Integers) -> Floats:
    """Separation of pairs in arcsec (haversine; exact for small ones)."""
    y, v = dec[left], lat[right]
    half = np.sin(np.radians(v - y) / 2) ** 2
    half += np.cos(np.radians(y)) * np.cos(np.radians(v)) * np.sin(np.radians(lon[right] - ra[left]) / 2) ** 2
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.minimum(half, 1)))) * 3600)


def _ordered(left: Integers, right: Integers, apart: Floats) -> Pairs:
    """By left row, separation and right row."""
    by = np.argsort(left)
    left, right, apart = left[by], right[by], apart[by]
    again = left[1:] == left[:-1]
    if again.any():
        several = np.flatnonzero(np.concatenate([again, [False]]) | np.concatenate([[False], again]))
        inside = several[np.lexsort((right[several], apart[several], left[several]))]
        left[several], right[several], apart[several] = left[inside], right[inside], apart[inside]
    return Pairs(left, right, apart)
