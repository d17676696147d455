"""The door's `match`: tables of sources in, a table of matches out, with what a person needs to trust or doubt each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.alignment import match as _kernel
from astrofuse_lab.alignment import match_many
from astrofuse_lab.alignment.match_false_rate import FalseRate, false_rate
from astrofuse_lab.alignment.match_regions import ErrorRegion
from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import SkyMap
from astrofuse_lab.samples import match_regions_table
from astrofuse_lab.samples.match_sides import Side, side_of

if TYPE_CHECKING:
    from astropy.table import Table

REVIEW = (0.05, 0.5)
"""False-match rates between which a person should look."""


def match(
    left: Any, right: Any, *more: Any, radius: Any = None, how: str = "nearest", sigma: float | None = None, errors: Sequence[Any] | None = None,
    epoch: float | None = None, rates: bool = True, review: tuple[float, float] = REVIEW, rule: str = "connected", least: int = 2,
    level: float = 0.9, window: tuple[float, float] | None = None, time: Any = None, distance: Any = None, distance_error: Any = None,
) -> "Table":  # fmt: skip
    """Which sources of two or more lists are the same, or which lie in a sky map or an error region.

    Parameters
    ----------
    left, right, *more : Targets, SampleSet, table (astropy, pandas, pyarrow), SkyCoord, mapping of columns, or list of mappings
        Coordinates are recognised as by ``af.Targets.from_table``. `right` may be a SkyMap or an ErrorRegion.
    radius : float or Quantity, optional
        arcsec; the most that a pair may be apart.
    how : {"nearest", "mutual", "all"}
        The best of `right` for each row of `left`; pairs where each is the other's best; or all pairs.
    sigma : float, optional
        The most that a pair may be apart in units of the joint error of both positions (Rayleigh: 3.03 holds 99 % of true
        pairs). The best is then the nearest in these units. A `radius` beside it holds too.
    errors : sequence, optional
        One entry for each list: a number or Quantity or column name (circular, one sigma of each coordinate), two or three
        column names (along RA, times cos(dec), along Dec, correlation), a mapping of ``major``, ``minor``, ``angle`` (ellipse,
        deg east of north), or None. In arcsec where no unit says otherwise. With `sigma`, usual column names are recognised.
    epoch : float, optional
        Julian year to which both lists are moved along their proper motions. None: where a list has motions and both have
        epochs, each source is compared at the epoch of its partner.
    rates : bool
        Estimate false-match rates.
    review : pair of float
        False-match rates between which, or from below which if the pair is ambiguous, a person should look.
    rule, least
        For three or more lists: see `astrofuse_lab.alignment.match_many.grouped`.
    level, window, time, distance, distance_error
        For a sky map or error region: see `astrofuse_lab.samples.match_regions_table.placed`.

    Returns
    -------
    Table
        Two lists: a row a pair, with ``left_row``, ``right_row`` (and ids where there are any), ``separation`` (arcsec),
        ``sigma`` where errors were used, ``candidates``, ``claims``, ``ambiguous``, ``chance`` (that an unrelated source lies as
        near), ``false_rate`` (that this pair is false), ``review``, and ``accepted``: True for what is clear, False for what is
        hopeless, masked for what a person has to decide (see `decide`). ``meta`` has the rates of the whole with their error.
        More lists: a row an object, with ``row_0``, ``row_1``, ..., masked where a list lacks it, and the last three columns alike. Sky map: a row for each row of `left`.

    Raises
    ------
    InputError
        If a list has no coordinates, or there is no limit.
    """
    low, high = _band(review)
    if isinstance(right, SkyMap | ErrorRegion):
        if more:
            raise InputError("match: a sky map is matched with one list at a time.")
        return match_regions_table.placed(side_of(left, "left"), right, level, window, time, distance, distance_error)
    given = (left, right, *more)
    names = ("left", "right") if not more else tuple(f"list {i}" for i in range(len(given)))
    each = _errors(errors, len(given))
    sides = [side_of(one, name, error, sigma is not None) for one, name, error in zip(given, names, each, strict=True)]
    limit = _arcsec(radius)
    if limit is None and sigma is None:
        raise InputError("match needs a limit: radius=1.0 (arcsec), or sigma=3 with errors of positions.")
    if sigma is not None and all(side.positions.covariance is None for side in sides):
        raise InputError(f"match(sigma={sigma}): no list has errors of its positions. Give e.g. errors=(0.3, 'pos_err'), in arcsec; None for a list without.")
    if epoch is not None:
        sides = [side._replace(positions=side.positions.at(float(epoch))._replace(pmra=None, pmdec=None)) for side in sides]
    if more:
        return _many(sides, limit, sigma, rule, least, rates, low, high)
    return _two(sides[0], sides[1], limit, sigma, how, rates, low, high)


def decide(pairs: "Table", decisions: Any, by: str = "") -> "Table":
    """Give the decisions of a person back to a table of matches.

    Parameters
    ----------
    pairs : Table
        From `match`.
    decisions : mapping or table
        Mapping of row of `pairs`, or pair of ``(left_row, right_row)``, to True or False; or a table with columns ``left_row``,
        ``right_row`` and ``accepted``, masked where nothing was decided: the table of matches itself, written to a file, edited
        and read again.
    by : str
        Who decided; kept beside each decision.

    Returns
    -------
    Table
        A copy with ``accepted`` set, ``review`` False where it is, and a column ``decided_by``. ``matches[matches["accepted"].filled(False)]``
        are the pairs to go on with.

    Raises
    ------
    InputError
        If a decision is for a pair that is not there, or is neither True nor False.
    """
    table = pairs.copy()
    places = {(int(a), int(b)): row for row, (a, b) in enumerate(zip(table["left_row"], table["right_row"], strict=True))}
    if "decided_by" not in table.colnames:
        table["decided_by"] = np.full(len(table), "", dtype=object)
    for key, verdict in _decisions(decisions):
        row = places.get(key, -1) if isinstance(key, tuple) else key
        if not 0 <= row < len(table):
            raise InputError(f"decide: there is no pair {key}; the table has {len(table)} rows, with left_row and right_row.")
        if not isinstance(verdict, bool | np.bool_):
            raise InputError(f"decide: the decision for {key} is {verdict!r}; True or False is expected.")
        decided = bool(verdict)
        if table["accepted"].mask[row] or bool(table["accepted"][row]) != decided:
            table["decided_by"][row] = by or "a person"
        table["accepted"][row], table["review"][row] = decided, False
    return table


# inside --------------------------------------------------------------------------------------------


def _two(left: Side, right: Side, radius: float | None, sigma: float | None, how: str, rates: bool, low: float, high: float) -> "Table":
    from astropy.table import MaskedColumn, Table

    if how not in ("nearest", "mutual", "all"):
        raise InputError(f"match(how={how!r}): 'nearest', 'mutual' or 'all'.")
    every = _kernel.candidates(left.positions, right.positions, radius, sigma, how)  # type: ignore[arg-type]
    found = _kernel.chosen(every, how)  # type: ignore[arg-type]
    table = Table({"left_row": found.left, "right_row": found.right})
    for side, rows in ((left, found.left), (right, found.right)):
        if side.ids is not None:
            table[f"{side.name}_id"] = side.ids[rows]
    table["separation"] = found.separation
    table["separation"].unit = "arcsec"
    if sigma is not None:
        table["sigma"] = found.score * sigma
    table["candidates"], table["claims"], table["ambiguous"] = found.candidates, found.claims, found.ambiguous
    told: FalseRate | None = None
    notes = [*left.notes, *right.notes]
    if rates and (radius is None or radius > 0) and (sigma is None or sigma > 0):
        told = false_rate(left.positions, right.positions, every, found, how, radius, sigma)  # type: ignore[arg-type]
        table["chance"], table["false_rate"] = told.chance, told.pair
        notes += told.notes
    rate = np.zeros(len(table)) if told is None else np.nan_to_num(told.pair)
    look = (rate < high) & ((rate >= low) | found.ambiguous)
    table["review"] = look
    table["accepted"] = MaskedColumn(rate < high, mask=look, dtype=bool)
    table.meta.update({
        "how": how, "radius": radius, "sigma": sigma, "left": len(left.positions.ra), "right": len(right.positions.ra),
        "unmatched": len(left.positions.ra) - int(np.count_nonzero(np.diff(found.left, prepend=-1))), "review": (low, high), "notes": notes,
    })  # fmt: skip
    if told is not None:
        table.meta.update({"false_rate": told.rate, "false_rate_error": told.error, "false_rate_local": told.local, "false_rate_shifted": told.shifted})
    return table


def _many(sides: Sequence[Side], radius: float | None, sigma: float | None, rule: str, least: int, rates: bool, low: float, high: float) -> "Table":
    from astropy.table import MaskedColumn, Table

    if rule not in ("anchored", "connected"):
        raise InputError(f"match(rule={rule!r}): 'anchored' or 'connected'.")
    found = match_many.grouped([side.positions for side in sides], radius, sigma, rule, least)  # type: ignore[arg-type]
    table = Table()
    for place, side in enumerate(sides):
        rows = found.rows[:, place]
        table[f"row_{place}"] = MaskedColumn(rows, mask=rows < 0)
        if side.ids is not None:
            absent = np.zeros(1, dtype=side.ids.dtype)
            table[f"id_{place}"] = MaskedColumn(np.concatenate([side.ids, absent])[rows], mask=rows < 0)
    table["ra"], table["dec"], table["spread"] = found.ra, found.dec, found.spread
    for name, unit in (("ra", "deg"), ("dec", "deg"), ("spread", "arcsec")):
        table[name].unit = unit
    table["members"], table["ambiguous"] = (found.rows >= 0).sum(axis=1), found.ambiguous
    if found.bayes is not None and found.probability is not None:
        table["log_bayes"], table["probability"] = found.bayes, found.probability
    rate = np.zeros(len(table))
    if rates and radius != 0 and sigma != 0:
        rate = match_many.false_rates([side.positions for side in sides], found, radius, sigma, rule)  # type: ignore[arg-type]
        table["false_rate"] = rate
    table["review"] = look = (rate < high) & ((rate >= low) | found.ambiguous)
    table["accepted"] = MaskedColumn(rate < high, mask=look, dtype=bool)
    table.meta.update({"rule": rule, "radius": radius, "sigma": sigma, "lists": [len(side.positions.ra) for side in sides], "notes": [n for side in sides for n in side.notes]})
    return table


def _decisions(given: Any) -> list[tuple[Any, Any]]:
    """Decisions as pairs of a row, or a pair of rows, and a verdict; those not made left out."""
    if isinstance(given, Mapping):
        return [((int(k[0]), int(k[1])) if isinstance(k, tuple) else int(k), v) for k, v in given.items()]
    names = {str(n) for n in getattr(given, "colnames", getattr(given, "columns", ()))}
    if not {"left_row", "right_row", "accepted"} <= names:
        raise InputError("decide: a mapping {row: True}, or a table with left_row, right_row and accepted, is expected.")
    verdicts = given["accepted"]
    empty = np.ma.getmaskarray(np.ma.asarray(verdicts)) if hasattr(verdicts, "mask") and not callable(verdicts.mask) else np.array([v is None or v != v for v in verdicts])
    made = []
    for row in np.flatnonzero(~empty):
        a, b, verdict = (given[name][int(row)] for name in ("left_row", "right_row", "accepted"))
        if isinstance(verdict, str | np.str_) and verdict.strip().lower() in ("true", "false", "yes", "no"):
            verdict = verdict.strip().lower() in ("true", "yes")
        made.append(((int(a), int(b)), verdict))
    return made


def _errors(given: Any, n: int) -> list[Any]:
    if given is None:
        return [None] * n
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != n:
        raise InputError(f"match(errors={given!r}): one entry for each of the {n} lists, in a tuple; None for a list without.")
    return list(given)


def _arcsec(radius: Any) -> float | None:
    if radius is None:
        return None
    try:
        value = float(radius.to_value("arcsec") if hasattr(radius, "to_value") else radius)
    except (TypeError, ValueError):
        value = np.nan
    if not (np.isfinite(value) and 0 <= value <= 180 * 3600):
        raise InputError(f"match(radius={radius!r}): arcsec, from 0 up to 180 deg.")
    return value


def _band(review: Any) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in review)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        raise InputError(f"match(review={review!r}): two false-match rates, e.g. (0.05, 0.5).")
    return low, high
