"""Matching piece by piece: the seam for catalogues larger than memory, such as HATS folders that LSDB or Dask go through.

A piece is a HEALPix cell with what lies near it. `piece_of` cuts one out of arrays; whoever holds a partition and its
margin cache (HATS) builds the `Piece` of them. `matched` is pure, reads and writes nothing else, and gives exactly the
pairs that the whole would give for the rows of the cell, so that pieces can run anywhere, in any order, and again.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import match, position_errors
from astrofuse_lab.alignment.match import How, Links, Positions
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.regions import cell_circles, cells_at

Integers = NDArray[np.int64]
ROUNDING = 1.001
"""A bound on distances, and no more."""


class Piece(NamedTuple):
    """Part of two lists.

    Attributes
    ----------
    left, right : Positions
        The left list holds all rows up to twice the reach (see `reach`) from the cell, the right one up to once.
    left_row, right_row : int64 array
        Where each stands in its whole list.
    core : bool array, (left,)
        Which left rows belong to the cell; pairs are given for them only.
    """

    left: Positions
    right: Positions
    left_row: Integers
    right_row: Integers
    core: NDArray[np.bool_]


def matched(piece: Piece, radius: float | None = None, sigma: float | None = None, how: How = "nearest") -> Links:
    """The pairs of one piece, with rows of the whole lists; parameters as in `match.links`."""
    found = match.links(piece.left, piece.right, radius, sigma, how)
    own = found.take(np.flatnonzero(piece.core[found.left]))
    return own._replace(left=piece.left_row[own.left], right=piece.right_row[own.right])


def reach(left: Positions, right: Positions, radius: float | None = None, sigma: float | None = None) -> float:
    """How far apart a pair can be, arcsec: the margin that a right partition needs; a left one needs twice as much."""
    far = np.inf if radius is None else float(radius)
    if sigma is not None:
        one, other = (0.0 if side.covariance is None else float(np.nanmax(position_errors.longest(side.covariance), initial=0.0)) for side in (left, right))
        far = min(far, sigma * float(np.hypot(one, other)))
    if not np.isfinite(far):
        raise AlignmentError("a match needs a limit: radius in arcsec, or sigma with errors of positions.")
    if left.epoch is not None and right.epoch is not None:
        epochs = np.concatenate([left.epoch, right.epoch])
        years = float(np.nanmax(epochs, initial=-np.inf) - np.nanmin(epochs, initial=np.inf))
        speed = sum(float(np.nanmax(np.hypot(side.pmra, side.pmdec), initial=0.0)) for side in (left, right) if side.pmra is not None and side.pmdec is not None)
        far += speed / 1000 * max(years, 0.0)
    return far * ROUNDING


def piece_of(left: Positions, right: Positions, order: int, cell: int, far: float) -> Piece:
    """Cut out one cell of HEALPix (nested) with its margins.

    Parameters
    ----------
    left, right : Positions
    order, cell : int
    far : float
        arcsec, of `reach`.
    """
    ra, dec, around = (float(v[0]) for v in cell_circles(order, np.array([cell], dtype=np.int64)))
    rows = []
    for side, margin in ((left, 2 * far), (right, far)):
        # one number a row before any trigonometry: most lie in other strips
        strip = np.flatnonzero(np.abs(side.dec - dec) <= around + margin / 3600 + 1e-9)
        near = match.separation(side.ra[strip], side.dec[strip], ra, dec) <= (around * 3600 + margin) * ROUNDING
        rows.append(strip[near])
    mine = left.take(rows[0])
    return Piece(mine, right.take(rows[1]), rows[0], rows[1], cells_at(mine.ra, mine.dec, order) == cell)


def pieces(left: Positions, right: Positions, order: int, far: float) -> Iterator[Piece]:
    """All pieces of two lists, one after the other: each left row with a position is in the core of one."""
    fine = np.isfinite(left.ra) & (np.abs(left.dec) <= 90)
    for cell in np.unique(cells_at(left.ra[fine], left.dec[fine], order)).tolist():
        yield piece_of(left, right, order, cell, far)


def joined(parts: list[Links]) -> Links:
    """Pairs of several pieces, ordered as those of the whole."""
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Links(nothing, nothing, np.zeros(0), np.zeros(0), nothing, nothing)
    whole = Links(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return whole.take(np.lexsort((whole.right, whole.separation, whole.score, whole.left)))
