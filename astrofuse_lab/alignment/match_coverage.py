"""How much of a box around each position a catalogue covers: small fields end inside many boxes."""

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


def coverage(ra: Floats, dec: Floats, other_ra: Floats, other_dec: Floats, side: float) -> Floats:
    """The part of boxes that lies inside the convex hull of a catalogue.

    Parameters
    ----------
    ra, dec : array, (n,)
        deg, of the middles of the boxes.
    other_ra, other_dec : array, (source,)
        deg, of the catalogue.
    side : float
        deg, of the boxes.

    Returns
    -------
    array, (n,)
        1 for wide catalogues, few sources, and fields whose edge is short. Holes and inward bends are not seen.
    """
    from scipy.spatial import ConvexHull, QhullError

    whole = np.ones(len(ra))
    middle = match.unit_vectors(other_ra, other_dec).mean(axis=0) if len(other_ra) > 10 else np.zeros(3)
    if np.linalg.norm(middle) < 0.5:
        return whole
    there = _plane(other_ra, other_dec, middle)
    if there is None:
        return whole
    try:
        hull = ConvexHull(there)
    except QhullError:  # on one line
        return whole
    # of two dimensions: `area` is the length of the edge, `volume` what it encloses
    if hull.area * side / 2 < FEW * hull.volume or hull.volume < side**2:
        return whole
    here = _plane(ra, dec, middle, WIDEST * 1.5)
    if here is None:
        return whole
    steps = (np.arange(POINTS) + 0.5) / POINTS - 0.5
    offsets = side * np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    normal, shift = hull.equations[:, :2], hull.equations[:, 2]
    for start in range(0, len(ra), BLOCK):
        points = here[start : start + BLOCK, None] + offsets
        inside = np.ones(points.shape[:2], dtype=bool)
        for one, level in zip(normal, shift, strict=True):
            inside &= points @ one + level <= 0
        whole[start : start + BLOCK] = inside.mean(axis=1)
    return whole


def _plane(ra: Floats, dec: Floats, middle: Floats, widest: float = WIDEST) -> Floats | None:
    """Tangent plane, deg; east and north up; None where a position is too far from its middle."""
    axis = middle / np.linalg.norm(middle)
    lon, lat = np.arctan2(axis[1], axis[0]), np.arcsin(np.clip(axis[2], -1, 1))
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    points = match.unit_vectors(ra, dec)
    depth = points @ axis
    if depth.min() < np.cos(np.radians(widest / 2)):
        return None
    return np.degrees(np.stack([points @ east, points @ north], axis=-1) / depth[:, None])
