"""What lies where on the practice sky: object numbers and positions, computed from the position alone.

The sphere is cut into declination zones of 0.25 deg, each zone into cells of about 0.25 deg (the zones algorithm, Gray et al. 2004,
arXiv:cs/0408031). Every cell holds 16 objects, one in each of 4 x 4 parts, so that two objects lie at least about 45 arcsec apart
(less within a degree of the poles). The object number is ``16 * cell + part``, the name ``practice-00000042``. Positions are the same for every
seed; the seed decides what the objects are.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, TargetError
from astrofuse_lab.positions import separation
from astrofuse_lab.surveys.practice.sources import Source, draw
from astrofuse_lab.targets import Target, Targets

ZONE = 0.25
"""Height of a declination zone and width of a cell, deg."""
SIDE = 4
PER_CELL = SIDE * SIDE
LARGEST_RADIUS = 30.0
PREFIX = "practice-"

_ZONES = round(180 / ZONE)
_MIDDLE = -90 + ZONE * (np.arange(_ZONES) + 0.5)
_COLUMNS = np.maximum(np.round(360 * np.cos(np.radians(_MIDDLE)) / ZONE).astype(np.int64), 1)
_FIRST = np.concatenate([[0], np.cumsum(_COLUMNS)])
COUNT = int(_FIRST[-1]) * PER_CELL
"""Objects on the whole sky."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def name_of(number: int) -> str:
    """The name of an object, e.g. ``practice-00000042``."""
    return f"{PREFIX}{number:08d}"


def number_of(name: str) -> int:
    """The number in a name such as ``practice-42`` or ``practice-00000042``.

    Raises
    ------
    TargetError
        If it is no name of the practice sky.
    """
    digits = name.strip().lower().removeprefix(PREFIX)
    if digits == name.strip().lower() or not (digits.isascii() and digits.isdigit()):
        raise TargetError(f"{name!r} is no object of the practice sky. Their names look like {name_of(42)!r}.")
    number = int(digits[:20])
    if number >= COUNT:
        raise TargetError(f"{name!r}: the practice sky has {COUNT} objects, {name_of(0)} to {name_of(COUNT - 1)}.")
    return number


def resolve(name: str) -> Target:
    """The position behind a name of the practice sky, without a network; TargetError if there is none."""
    number = number_of(name)
    ra, dec = positions(np.array([number]))
    return Target(name_of(number), float(ra[0]), float(dec[0]))


def uniform(numbers: Integers, stream: int) -> Floats:
    """A fixed random number in [0, 1) for each object number (the finaliser of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        x = numbers.astype(np.uint64) + np.uint64(stream + 1) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        x = x ^ (x >> np.uint64(31))
    return np.asarray((x >> np.uint64(11)).astype(np.float64) / 2.0**53)


def positions(numbers: Integers) -> tuple[Floats, Floats]:
    """ICRS positions of objects, deg."""
    cell, part = np.divmod(numbers, PER_CELL)
    zone = np.searchsorted(_FIRST, cell, side="right") - 1
    column = cell - _FIRST[zone]
    # jitter over the inner 80 % of a part keeps neighbours apart
    x = (part % SIDE + 0.1 + 0.8 * uniform(numbers, 0)) / SIDE
    y = (part // SIDE + 0.1 + 0.8 * uniform(numbers, 1)) / SIDE
    return 360.0 * (column + x) / _COLUMNS[zone], -90 + ZONE * (zone + y)


def _cells(ra: float, dec: float, radius: float) -> Integers:
    """All cells that a circle may touch."""
    low, high = (int(np.clip((v + 90) // ZONE, 0, _ZONES - 1)) for v in (dec - radius, dec + radius))
    cells = []
    for zone in range(low, high + 1):
        count = int(_COLUMNS[zone])
        half = 180.0
        if abs(dec) + radius < 89.9:
            half = float(np.degrees(np.arcsin(min(1.0, np.sin(np.radians(radius)) / np.cos(np.radians(dec))))))
        first, last = (int(np.floor(v / 360 * count)) for v in (ra - half, ra + half))
        columns = np.arange(first, min(last, first + count - 1) + 1) % count
        cells.append(_FIRST[zone] + columns)
    return np.concatenate(cells).astype(np.int64)


def numbers_in(ra: float, dec: float, radius: float) -> Integers:
    """Numbers of all objects within `radius` (deg) of a position, ascending."""
    numbers = np.sort((_cells(ra, dec, radius)[:, None] * PER_CELL + np.arange(PER_CELL)).ravel())
    return numbers[separation(*positions(numbers), ra, dec) <= radius]


def objects_in(ra: float, dec: float, radius: float, n: int | None = None) -> Targets:
    """The objects of the practice sky in a circle.

    Parameters
    ----------
    ra, dec, radius : float
        deg, ICRS; the radius at most 30 deg.
    n : int, optional
        At most so many, spread over the circle; a smaller `n` gives a part of those of a larger one.

    Returns
    -------
    Targets
        Named ``practice-...``, by number. There are about 256 to a square degree.

    Raises
    ------
    InputError
        If the circle is larger than 30 deg or `n` is negative.
    TargetError
        If the centre is off the sky.
    """
    Targets([Target("centre", float(ra), float(dec))])  # a position off the sky is refused here
    if not 0 < radius <= LARGEST_RADIUS:
        raise InputError(f"radius {radius} deg: between 0 and {LARGEST_RADIUS:.0f} deg; for n objects radius_for(n) is enough.")
    if n is not None and n < 0:
        raise InputError(f"n={n}: a number of objects, or None for all.")
    numbers = numbers_in(ra, dec, radius)
    if n is not None and n < len(numbers):
        numbers = np.sort(numbers[np.argsort(uniform(numbers, 2), kind="stable")[:n]])
    lon, lat = positions(numbers)
    return Targets(Target(name_of(int(i)), float(x), float(y)) for i, x, y in zip(numbers, lon, lat, strict=True))


def radius_for(n: int) -> float:
    """Radius of a circle that holds about 1.5 times `n` objects, deg."""
    return float(np.sqrt(1.5 * max(n, 1) / (np.pi * PER_CELL / ZONE**2)))


def nearest(ra: float, dec: float, radius: float) -> int | None:
    """The number of the object nearest to a position, None where there is none within `radius` (arcsec)."""
    numbers = numbers_in(ra, dec, radius / 3600)
    if len(numbers) == 0:
        return None
    return int(numbers[np.argmin(separation(*positions(numbers), ra, dec))])


@lru_cache(maxsize=20_000)
def source(number: int, seed: int = 0) -> Source:
    """Everything that is true of an object; `seed` chooses the sky."""
    ra, dec = positions(np.array([number]))
    return draw(number, name_of(number), float(ra[0]), float(dec[0]), f"field-{number // PER_CELL:06d}", seed)


def at(ra: float, dec: float, radius: float = 3.0, seed: int = 0) -> Source | None:
    """The object nearest to a position within `radius` (arcsec), or None."""
    number = nearest(ra, dec, radius)
    return None if number is None else source(number, seed)
