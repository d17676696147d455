"""Targets from a region of the sky: the objects that a survey has in a circle, a MOC or a credible region. `fetching` binds it to `Targets`.

Surveys answer circles, and at most so many objects of one. A large region is parted into HEALPix cells; each is asked for
by the circle around it, and of the answer the cell takes what lies in it. So an object on a border belongs to one cell, and
none is lost or given twice. A cell whose answer may be cut is asked for in its four children.
"""

import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab import surveys
from astrofuse_lab.errors import InputError, TargetError, UnknownNameError
from astrofuse_lab.regions import DEEPEST, SKY, Cells, Circle, cell_circles, cells_at, region_of
from astrofuse_lab.surveys.survey import Survey
from astrofuse_lab.targets import Target, Targets, ends_of

Search = Callable[[float, float, float, int], Targets]

WIDE = 20.0
"""deg: larger circles are parted."""
COARSEST = 2
"""HEALPix order whose cells lie in circles of less than `WIDE`."""
MOST_CELLS = 48
LIMIT = 5000
"""Objects asked for at once; well below what services cut answers at."""
MOST = 1_000_000
THREADS = 4


def from_region(
    center: Any = None, radius: Any = None, n: int | None = 100, survey: str | Survey = "practice/table", *, shape: Any = None, level: float = 0.9, time: Any = None,
) -> Targets:  # fmt: skip
    """The objects that a survey has in a part of the sky.

    Parameters
    ----------
    center : SkyCoord, str or pair
        Of a circle. A SkyCoord; ``"150.1 2.2"`` in deg or ``"10:00:24 +02:12:00"`` in hours and deg; or (ra, dec) in deg.
    radius : Quantity or float
        A plain number is arcsec, as everywhere.
    n : int, optional
        At most so many, spread over the region (of a sky map: by probability). None for all there are, up to a million.
    survey : str or Survey
        What has the objects: ``"practice/table"``, ``"gaia/table"``, any other catalogue that can list a circle, or an
        ``af.surveys.tap(...)``.
    shape : SkyMap, MOC, str or path
        In place of a circle: a sky map or a MOC, or a file of one, as in `regions.region_of`.
    level : float
        Of a sky map: the probability that its credible region holds.
    time : pair, optional
        Time window of all targets, as in `Targets.during`.

    Raises
    ------
    TargetError
        If the centre is no position, the shape no region, or no object lies in it.
    InputError
        If the survey cannot search regions, or `radius`, `level` or `n` cannot be used.
    ArchiveError
        If the survey cannot be asked.
    """
    search, name = _search_of(survey)
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise InputError(f"n={n!r} is not a number of objects, at least 1.")
    if (shape is None) == (center is None):
        raise InputError("a region is a circle or a shape. Type from_region(center, radius), or from_region(shape=sky_map, level=0.9).")
    if shape is None:
        circle = Circle(*_center(center), _radius(radius))
        small = n is not None and n < LIMIT and circle.radius <= WIDE
        found = search(circle.ra, circle.dec, circle.radius, n or 0) if small else None
        if found is None or not found.whole:
            found = collected(search, circle, n, name)
        none, advice = f"within {circle}", "Give a larger radius."
    else:
        region = region_of(shape, level)
        found = collected(search, region, n, name)
        none, advice = f"in {region}", "Give a larger one, or another survey."
    if not len(found):
        raise TargetError(f"{name} has no object {none}. {advice}")
    return found if time is None else found.during(*ends_of(time), replace=False)


def _search_of(survey: str | Survey) -> tuple[Search, str]:
    """What lists the objects of a circle, and the survey's name."""
    known = survey if not isinstance(survey, str) else surveys.get(survey) if survey in surveys.names() else None
    search = getattr(known, "objects_in", None)
    if search is None:
        able = [name for name in surveys.names() if name == "practice/table" or hasattr(surveys.get(name), "objects_in")]
        raise UnknownNameError("survey that can search a region", getattr(survey, "name", survey), able, "practice/table needs no network; af.surveys.tap(...) makes one of any TAP table.")
    return search, str(getattr(known, "name", survey))


def _radius(radius: Any) -> float:
    """deg."""
    try:
        degrees = float(radius.to_value("deg") if hasattr(radius, "to_value") else float(radius) / 3600)
    except (TypeError, ValueError) as error:
        raise InputError(f"radius={radius!r} is no angle ({error}). Type e.g. radius=0.5 * u.deg, or a plain number of arcsec.") from None
    if not 0 < degrees <= 180:
        raise InputError(f"radius={radius!r} is not an angle between 0 and 180 deg.")
    return degrees


def _center(center: Any) -> tuple[float, float]:
    """ICRS degrees from whatever names a position; TargetError if it is none."""
    if hasattr(center, "icrs"):
        if not getattr(center, "isscalar", True):
            raise TargetError(f"center holds {len(center)} positions; a region has one. Type center[0].")
        return float(center.icrs.ra.deg), float(center.icrs.dec.deg)
    try:
        ra, dec = _pair(center)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"center={center!r} is no position ({error}). Type (150.1, 2.2), '150.1 2.2' or '10:00:24 +02:12:00'; "
            "for a name: center = Targets.from_names(['M 31'])[0], then (center.ra, center.dec)."
        ) from None
    Targets([Target("center", ra, dec)])
    return ra, dec


def _pair(center: Any) -> tuple[float, float]:
    if not isinstance(center, str):
        ra, dec = (float(v.to_value("deg") if hasattr(v, "to_value") else v) for v in center)
        return ra, dec
    parts = center.replace(",", " ").split()
    if len(parts) == 2:
        try:
            return float(parts[0]), float(parts[1])
        except ValueError:
            pass  # sexagesimal
    from astropy.coordinates import SkyCoord

    coord = SkyCoord(center, unit=("hourangle", "deg"))
    return float(coord.ra.deg), float(coord.dec.deg)


# cell by cell --------------------------------------------------------------------------------------


@dataclass
class Piece:
    """One cell of a region: what is known of it, how much of that is taken, and whether there is more.

    Attributes
    ----------
    share : float
        How much of the region lies in it.
    known : list of Target
        In an order of their own that has nothing to do with the sky.
    children : list of Piece
        In its place, where one answer cannot hold it.
    """

    order: int
    cell: int
    share: float
    known: list[Target] = field(default_factory=list)
    taken: int = 0
    complete: bool = False
    children: list["Piece"] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether nothing is left in it."""
        return self.complete and self.taken >= len(self.known)


def collected(search: Search, region: Cells | Circle, n: int | None, survey: str) -> Targets:
    """At most `n` objects of a region, each cell's part by what the region has in it; all of them where `n` is None.

    Parameters
    ----------
    search : callable
        Position and radius (deg) and a number to at most so many objects in that circle, in a fair choice.
    region : Cells or Circle
    n : int, optional
    survey : str
        Named in errors.
    """
    pieces = [Piece(order, int(cell), float(share)) for order, cell, share in _cover(region)]
    wanted = MOST + 1 if n is None else n
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        while True:
            lacking = wanted - sum(piece.taken for piece in pieces)
            active = [piece for piece in pieces if not piece.done]
            if lacking <= 0 or not active:
                break
            quotas = [LIMIT * len(active)] * len(active) if n is None else _quotas(lacking, np.array([piece.share for piece in active]))
            asked = [(piece, int(quota)) for piece, quota in zip(active, quotas, strict=True) if quota]
            list(pool.map(lambda one: _grow(search, region, survey, *one), asked))
            for piece, quota in asked:
                piece.taken = min(len(piece.known), piece.taken + quota)
            pieces = [one for piece in pieces for one in (piece.children or [piece])]
    found = [target for piece in pieces for target in piece.known[: piece.taken]]
    if n is None and len(found) > MOST:
        raise TargetError(f"{survey} has more than {MOST:,} objects in {region}. Give n=, or a smaller region.")
    return _named(found, survey)


def _cover(region: Cells | Circle) -> list[tuple[int, int, float]]:
    """Cells that hold the whole region, with their shares: finer ones while they are few and mostly outside it."""
    order, cells = 0, np.arange(12, dtype=np.int64)
    share = region.share(order, cells)
    while order < DEEPEST - 4:
        cells, share = cells[share > 0], share[share > 0]
        if order >= COARSEST and (len(cells) / (12 * 4**order) <= 2 * region.area / SKY or len(cells) > MOST_CELLS):
            break
        order, cells = order + 1, ((cells[:, None] << 2) + np.arange(4)).ravel()
        share = region.share(order, cells)
    return [(order, int(cell), float(part)) for cell, part in zip(cells, share, strict=True) if part > 0]


def _quotas(wanted: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of `wanted` each piece is to give: evenly spaced steps through the sum of shares."""
    sums = np.cumsum(shares)
    steps = (np.arange(wanted) + 0.5) / wanted * sums[-1]
    return np.bincount(np.minimum(np.searchsorted(sums, steps), len(shares) - 1), minlength=len(shares)).astype(np.int64)


def _grow(search: Search, region: Cells | Circle, survey: str, piece: Piece, more: int) -> None:
    """Ask until `more` objects beyond those taken are known, or all there are; part the piece where one answer cannot hold them."""
    want = piece.taken + more
    if piece.complete or len(piece.known) >= want:
        return
    lon, lat, reach = (float(v[0]) for v in cell_circles(piece.order, np.array([piece.cell])))
    size = min(LIMIT, 4 * want + 16)
    while True:
        found = search(lon, lat, reach, size)
        inside = (cells_at(found.ra, found.dec, piece.order) == piece.cell) & region.contains(found.ra, found.dec) if len(found) else np.zeros(0, dtype=bool)
        piece.known = sorted((found[int(row)] for row in np.flatnonzero(inside)), key=lambda t: zlib.crc32(f"{t.object_id} {t.ra} {t.dec}".encode()))
        piece.complete = found.whole and len(found) < size
        if piece.complete or len(piece.known) >= want:
            return
        if size >= LIMIT or not found.whole:
            break
        size = min(LIMIT, 4 * size)
    if piece.order >= DEEPEST - 4:
        raise TargetError(f"{survey} has {LIMIT} objects and more within {reach * 3600:.2g} arcsec of RA {lon:.5f}, Dec {lat:.5f} deg: its list cannot be parted any further.")
    cells = 4 * np.int64(piece.cell) + np.arange(4)
    shares = region.share(piece.order + 1, cells)
    piece.children = [Piece(piece.order + 1, int(cell), float(share)) for cell, share in zip(cells, shares, strict=True) if share > 0]
    # seen more closely, a cell at the edge of a circle may lie outside of it
    piece.complete = not piece.children


def _named(found: list[Target], survey: str) -> Targets:
    """Targets; those of a catalogue without names, which every answer numbers from 0, numbered anew; two of one name get their positions in it."""
    ids = [t.object_id for t in found]
    often = Counter(ids)
    if len(often) < len(ids):
        if all(i.startswith(f"{survey}-") for i in ids):
            ids = [f"{survey}-{i:05d}" for i in range(len(ids))]
        else:
            ids = [i if often[i] == 1 else f"{i} ({t.ra:.6f} {t.dec:+.6f})" for i, t in zip(ids, found, strict=True)]
    return Targets._listed([replace(t, object_id=i) for t, i in zip(found, ids, strict=True)], "skip")
