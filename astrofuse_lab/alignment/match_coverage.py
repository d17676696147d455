"""Where a catalogue of a small field ends: boxes and shifted positions beyond its edge say nothing of its density."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import match

Floats = NDArray[np.float64]

WIDEST = 40.0
"""deg; wider catalogues have few boxes at their edge."""
FEW = 0.02
"""Part of the field that lies at its edge, below which nothing is corrected."""
POINTS = 6
"""By as many points a box is sampled along each side."""
BLOCK = 20_000


class Field(NamedTuple):
    """Convex hull of a catalogue in its tangent plane. Holes and inward bends are not seen.

    Attributes
    ----------
    middle : array, (3,)
        Direction of the tangent point.
    normal, level : array, (side, 2) and (side,)
        A place is inside where ``place @ normal + level <= 0`` for each side, deg.
    edge, area : float
        Length of the edge, deg, and what it encloses, deg2.
    """

    middle: Floats
    normal: Floats
    level: Floats
    edge: float
    area: float


def field_of(ra: Floats, dec: Floats) -> Field | None:
    """The field of a catalogue (deg); None where it is wider than `WIDEST`, or ten sources and less, or a line."""
    from scipy.spatial import ConvexHull, QhullError

    if len(ra) <= 10:
        return None
    middle = match.unit_vectors(ra, dec).mean(axis=0)
    places = _plane(ra, dec, middle, WIDEST)
    if places is None or np.isnan(places).any():
        return None
    try:
        hull = ConvexHull(places)
    except QhullError:  # on one line
        return None
    # of two dimensions: `area` is the length of the edge, `volume` what it encloses
    return Field(middle, hull.equations[:, :2], hull.equations[:, 2], float(hull.area), float(hull.volume))


def coverage(field: Field | None, ra: Floats, dec: Floats, side: float) -> Floats:
    """The part of boxes, `side` deg wide around positions (deg), that lies inside a field; 1 where there is no field, or its edge is short."""
    whole = np.ones(len(ra))
    if field is None or field.edge * side / 2 < FEW * field.area or field.area < side**2:
        return whole
    steps = side * ((np.arange(POINTS) + 0.5) / POINTS - 0.5)
    offsets = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    here = _plane(ra, dec, field.middle, 170.0)
    assert here is not None
    for start in range(0, len(ra), BLOCK):
        whole[start : start + BLOCK] = _inside(field, here[start : start + BLOCK, None] + offsets).mean(axis=1)
    return whole


def within(field: Field | None, ra: Floats, dec: Floats) -> NDArray[np.bool_]:
    """Whether positions (deg) lie inside a field; all where there is none."""
    if field is None:
        return np.ones(len(ra), dtype=bool)
    here = _plane(ra, dec, field.middle, 170.0)
    assert here is not None
    return _inside(field, here)


def _inside(field: Field, places: Floats) -> NDArray[np.bool_]:
    made = np.ones(places.shape[:-1], dtype=bool)
    for one, level in zip(field.normal, field.level, strict=True):
        made &= places @ one + level <= 0  # NaN, too far, is outside
    return made


def _plane(ra: Floats, dec: Floats, middle: Floats, widest: float) -> Floats | None:
    """Tangent plane, deg, east and north up; NaN for what is more than half of `widest` (deg) from its middle. None without a middle."""
    length = np.linalg.norm(middle)
    if length < 0.5:
        return None
    axis = middle / length
    lon, lat = np.arctan2(axis[1], axis[0]), np.arcsin(np.clip(axis[2], -1, 1))
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    points = match.unit_vectors(ra, dec)
    depth = points @ axis
    depth = np.where(depth < np.cos(np.radians(widest / 2)), np.nan, depth)
    return np.asarray(np.degrees(np.stack([points @ east, points @ north], axis=-1) / depth[:, None]))
