"""Parts of the sky: circles, MOCs and credible regions of sky maps, as cells of HEALPix. Pure.

Sources: MOC 2.0 (https://www.ivoa.net/documents/MOC/20220727/), sections 4.1 (FITS: NUNIQ and RANGE at order 29), 4.2 (JSON) and 4.3 (ASCII);
Gorski et al. 2005, ApJ 622, 759 (nested cells: the children of cell i are 4i to 4i + 3).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, TargetError
from astrofuse_lab.local_files import blaming, content_of
from astrofuse_lab.modalities import SkyMap
from astrofuse_lab.positions import separation
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys import formats, sky_maps

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DEEPEST = 29
SKY = 41252.96124941927
"""deg2."""
ALL = 12 << 2 * DEEPEST
MARGIN = 1.03
"""The edge of a cell is looked at in 32 points; between them it bulges by less than this."""
ASCII = re.compile(r"\s*s?\s*\d+/[-\d\s,/]*")
TOKEN = re.compile(r"(\d+)/|(\d+)-(\d+)|(\d+)")


@dataclass(frozen=True, slots=True)
class Cells:
    """A part of the sky made of HEALPix cells, ICRS.

    Attributes
    ----------
    ranges : int array, (range, 2)
        First nested cell of order 29 and the one after the last; ascending, disjoint.
    mass : array, (range,)
        What lies in each range: its share of the sky, or its probability.
    """

    ranges: Integers
    mass: Floats

    def contains(self, ra: Floats, dec: Floats) -> NDArray[np.bool_]:
        """Whether positions (deg) lie in it."""
        cell = cells_at(ra, dec, DEEPEST)
        place = np.searchsorted(self.ranges[:, 0], cell, side="right") - 1
        return (place >= 0) & (cell < self.ranges[np.maximum(place, 0), 1])

    def share(self, order: int, cells: Integers) -> Floats:
        """How much of it lies in each of these cells; 0 where a cell is wholly outside."""
        first, shift = cells << 2 * (DEEPEST - order), np.int64(1) << 2 * (DEEPEST - order)
        touched = np.searchsorted(self.ranges[:, 0], first + shift, side="left") > np.searchsorted(self.ranges[:, 1], first, side="right")
        # a difference of sums may be zero for what is far smaller than the whole
        return np.where(touched, np.maximum(self._below(first + shift) - self._below(first), 1e-300), 0.0)

    def _below(self, cell: Integers) -> Floats:
        place = np.searchsorted(self.ranges[:, 0], cell, side="right") - 1
        at = np.maximum(place, 0)
        start, stop = self.ranges[at, 0], self.ranges[at, 1]
        part = np.minimum(cell - start, stop - start) / (stop - start)
        return np.where(place < 0, 0.0, np.concatenate([[0.0], np.cumsum(self.mass)])[at] + part * self.mass[at])

    @property
    def area(self) -> float:
        """deg2."""
        return float(np.sum((self.ranges[:, 1] - self.ranges[:, 0]) / ALL)) * SKY

    def __str__(self) -> str:
        return f"a region of {self.area:.4g} deg2"


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle on the sky; all in deg."""

    ra: float
    dec: float
    radius: float

    def contains(self, ra: Floats, dec: Floats) -> NDArray[np.bool_]:
        """Whether positions (deg) lie in it."""
        return separation(self.ra, self.dec, ra, dec) <= self.radius

    def share(self, order: int, cells: Integers) -> Floats:
        """The share of the sky that it has of each of these cells, roughly; 0 only where a cell is wholly outside."""
        lon, lat, reach = cell_circles(order, cells)
        touched = separation(self.ra, self.dec, lon, lat) <= self.radius + reach
        made = np.zeros(len(cells))
        finer = min(3, DEEPEST - order)
        small = (cells[touched, None] << 2 * finer) + np.arange(4**finer)
        inside = self.contains(*centres(order + finer, small.ravel())).reshape(small.shape).mean(axis=1)
        made[touched] = np.maximum(inside, 0.5 / 4**finer) / (12 * 4.0**order)
        return made

    @property
    def area(self) -> float:
        """deg2."""
        return SKY * float(np.sin(np.radians(self.radius) / 2) ** 2)

    def __str__(self) -> str:
        return f"{self.radius * 3600:g} arcsec of RA {self.ra:.5f}, Dec {self.dec:.5f} deg"


# cells ---------------------------------------------------------------------------------------------


def cells_at(ra: Floats, dec: Floats, order: int) -> Integers:
    """The nested cell of each position (deg)."""
    import astropy.units as u
    from astropy_healpix import lonlat_to_healpix

    return np.asarray(lonlat_to_healpix(np.asarray(ra) * u.deg, np.asarray(dec) * u.deg, 1 << order, order="nested"), dtype=np.int64)


def centres(order: int, cells: Integers) -> tuple[Floats, Floats]:
    """Positions (deg) of the centres of nested cells."""
    from astropy_healpix import healpix_to_lonlat

    lon, lat = healpix_to_lonlat(cells, 1 << order, order="nested")
    return np.asarray(lon.to_value("deg")), np.asarray(lat.to_value("deg"))


def cell_circles(order: int, cells: Integers) -> tuple[Floats, Floats, Floats]:
    """Centre and radius (deg) of a circle around each cell."""
    from astropy_healpix import boundaries_lonlat

    lon, lat = centres(order, cells)
    edge_lon, edge_lat = (np.asarray(v.to_value("deg")) for v in boundaries_lonlat(cells, 8, 1 << order, order="nested"))
    reach = separation(lon[:, None], lat[:, None], edge_lon, edge_lat).max(axis=1)  # type: ignore[arg-type]
    return lon, lat, reach * MARGIN


def cells_of(uniq: Integers, mass: Floats | None = None) -> Cells:
    """A region of cells given by NUNIQ numbers; `mass` of each cell, its share of the sky where it is not given.

    Raises
    ------
    ValueError
        If a number is no NUNIQ number.
    """
    uniq = np.asarray(uniq, dtype=np.int64).ravel()
    if uniq.size and (uniq.min() < 4 or uniq.max() >= np.int64(4) << 2 * (DEEPEST + 1)):
        raise ValueError("a cell number is no NUNIQ number")
    order = np.searchsorted(np.int64(4) << 2 * np.arange(DEEPEST + 1), uniq, side="right") - 1
    index, shift = uniq - (np.int64(4) << 2 * order), 2 * (DEEPEST - order)
    if np.any(index >= np.int64(12) << 2 * order):
        raise ValueError("a cell lies off the sky")
    ranges = np.stack([index << shift, (index + 1) << shift], axis=-1)
    if mass is None:
        return merged(ranges)
    by = np.argsort(ranges[:, 0], kind="stable")
    return Cells(ranges[by], np.asarray(mass, dtype=np.float64)[by])


def merged(ranges: Integers) -> Cells:
    """A region of ranges of cells of order 29, in any order, overlapping or not; ValueError for what lies off the sky."""
    if ranges.size and (ranges.min() < 0 or ranges.max() > ALL or np.any(ranges[:, 0] >= ranges[:, 1])):
        raise ValueError("a range of cells is empty or lies off the sky")
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    last = np.maximum.accumulate(ranges[:, 1]) if len(ranges) else ranges[:, 1]
    opens = np.concatenate([[True], ranges[1:, 0] > last[:-1]])[: len(ranges)]
    starts = np.flatnonzero(opens)
    ends = np.concatenate([starts[1:], [len(ranges)]])[: len(starts)] - 1
    joined = np.stack([ranges[starts, 0], last[ends]], axis=-1)
    return Cells(joined, (joined[:, 1] - joined[:, 0]) / ALL)


def credible_region(sky_map: SkyMap, level: float = 0.9) -> Cells:
    """The smallest region that holds the source with this probability: the densest cells whose probabilities reach it.

    Raises
    ------
    InputError
        If `level` is no probability.
    """
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level <= 1:
        raise InputError(f"level={level!r} is no probability: above 0, at most 1, e.g. level=0.9.")
    order = np.searchsorted(np.int64(4) << 2 * np.arange(DEEPEST + 1), sky_map.uniq, side="right") - 1
    mass = np.asarray(sky_map.density, dtype=np.float64) * (np.pi / 3 / 4.0**order)
    by = np.argsort(-np.asarray(sky_map.density), kind="stable")
    sums = np.cumsum(mass[by])
    # a sum of many may fall short of what it sums by rounding
    count = len(by) if level == 1 else int(np.searchsorted(sums, level * sums[-1] * (1 - 1e-12))) + 1
    kept = by[:count][mass[by[:count]] > 0]
    return cells_of(sky_map.uniq[kept], mass[kept])


# reading -------------------------------------------------------------------------------------------


def region_of(shape: Any, level: float = 0.9) -> Cells:
    """The region that a person gives.

    Parameters
    ----------
    shape : SkyMap, mocpy.MOC, str, mapping, path or bytes
        A sky map; a MOC as text (``"3/1-4,7 5/120"``) or as JSON values; or a file of either: MOC in FITS, JSON or ASCII,
        sky map in FITS (multi-order or plain HEALPix), packed or not.
    level : float
        Of a sky map: the probability that its credible region holds.

    Raises
    ------
    TargetError
        If it is none of these, damaged, of another frame than ICRS, or empty.
    """
    if isinstance(shape, Cells):
        return shape
    if isinstance(shape, SkyMap):
        return credible_region(shape, level)
    if hasattr(shape, "serialize"):  # mocpy
        shape = shape.serialize(format="json")
    if isinstance(shape, str) and ASCII.fullmatch(shape):
        name, content = "shape", shape.encode()
    elif isinstance(shape, Mapping):
        name, content = "shape", json.dumps(shape).encode()
    else:
        name, content = content_of(shape)
    with blaming(name):
        found = _read(content, name, level)
    if not len(found.ranges):
        raise TargetError(f"{name}: the region is empty.")
    return found


def _read(content: bytes, name: str, level: float) -> Cells:
    if not content.startswith(b"SIMPLE  ="):
        with formats.reading(name, "MOC"):
            text = content.decode("utf-8").strip()
            return _json(json.loads(text)) if text.startswith("{") else _ascii(text)
    units = formats.fits_hdus(content, name)
    with formats.reading(name, "MOC or sky map"):
        table = next(unit for unit in units if unit.header.get("XTENSION", "").strip() == "BINTABLE")
        names = [str(one).upper() for one in table.columns.names]
        if {"PROBDENSITY", "PROB", "PROBABILITY"} & set(names):
            return credible_region(sky_maps.read(content, name, Provenance(name)), level)
        ordering = str(table.header.get("ORDERING", "")).strip().upper()
        if str(table.header.get("MOCDIM", "SPACE")).strip().upper() != "SPACE" or ordering not in ("NUNIQ", "RANGE", "RANGE29"):
            raise ValueError(f"MOCDIM {table.header.get('MOCDIM')!r}, ORDERING {ordering!r}: neither a MOC of the sky nor a sky map")
        if str(table.header.get("COORDSYS", "C")).strip().upper()[:1] != "C":
            raise ValueError(f"COORDSYS {table.header['COORDSYS']!r} is not ICRS")
        numbers = np.asarray(table.data.field(0)).astype(np.int64).ravel()
        return cells_of(numbers) if ordering == "NUNIQ" else merged(numbers.reshape(-1, 2))


def _ascii(text: str) -> Cells:
    if not ASCII.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no MOC such as 3/1-4,7 5/120")
    order, ranges = -1, []
    for found in TOKEN.finditer(text):
        if found[1] is not None:
            order = int(found[1])
            if order > DEEPEST:
                raise ValueError(f"order {order} is deeper than {DEEPEST}")
            continue
        first, last = (found[2], found[3]) if found[2] is not None else (found[4], found[4])
        ranges.append((order, int(first), int(last)))
    return _ranges(ranges)


def _json(value: Any) -> Cells:
    value = value.get("s", value)
    return _ranges([(int(order), int(cell), int(cell)) for order, cells in value.items() for cell in cells])


def _ranges(given: list[tuple[int, int, int]]) -> Cells:
    """A region of (order, first cell, last cell)."""
    for order, first, last in given:
        if not 0 <= order <= DEEPEST or not 0 <= first <= last < 12 << 2 * order:
            raise ValueError(f"order {order} has no cells {first} to {last}")
    shifts = [2 * (DEEPEST - order) for order, _, _ in given]
    pairs = [(first << shift, (last + 1) << shift) for (_, first, last), shift in zip(given, shifts, strict=True)]
    return merged(np.array(pairs, dtype=np.int64).reshape(-1, 2))
