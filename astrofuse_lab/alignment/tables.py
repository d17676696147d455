"""Catalogue rows to columns: one type and unit a column, sentinels and NaN to missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from astrofuse_lab.alignment.column_units import inner
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import TableRow
from astrofuse_lab.targets import DEC_NAMES, ID_NAMES, RA_NAMES

SENTINELS = (-99.0, -999.0, -9999.0, -99999.0, 1e20)
"""Numbers that catalogues write where they have none; only exactly these."""
EMPTY = ("", "null", "nan", "none", "--")


@dataclass
class Columns:
    """Columns of one survey.

    Attributes
    ----------
    values : dict of str to list
        One entry a target, None where missing; each column of one type: float, int, bool or str.
    units, roles : dict of str to str
        A role for every column.
    notes : list of str
        What could not be used, by column.
    """

    values: dict[str, list[Any]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def check(row: TableRow) -> None:
    """Raise AlignmentError, naming the column, if a row holds anything but plain values."""
    for name, value in row.values.items():
        if not isinstance(value, str | int | float | bool | np.generic | None):
            raise AlignmentError(f"column {name!r} holds a {type(value).__name__}; numbers, text, booleans or None are expected.")


def stack(rows: Sequence[TableRow | None], sentinels: Sequence[float] = SENTINELS) -> Columns:
    """Put rows of one survey under each other.

    Parameters
    ----------
    rows : sequence of TableRow or None
        One entry a target.
    sentinels : sequence of float
        Values that mean missing.

    Returns
    -------
    Columns
        Numbers and booleans are inputs unless the row says otherwise; positions, identifiers and text are not. Fluxes are in
        microjansky, wavelengths in ångström, angles given in radians or hours in degrees; other units are the survey's.
    """
    out = Columns()
    names = dict.fromkeys(name for row in rows if row is not None for name in row.values)
    for name in names:
        units = {row.units[name] for row in rows if row is not None and name in row.units}
        unit = next((row.units[name] for row in rows if row is not None and name in row.units), "")
        values = [_plain(row.values.get(name), sentinels) if row is not None else None for row in rows]
        if len(units) > 1:
            values = _in_one_unit(values, [row.units.get(name, unit) if row is not None else unit for row in rows], unit, name, out.notes)
        values = _one_type(values, name, out.notes)
        change = inner(unit) if unit else None
        if change is not None and all(isinstance(v, int | float | None) for v in values):
            values, unit = [None if v is None else v * change.factor for v in values], change.unit
        out.values[name] = values
        if unit:
            out.units[name] = unit
        given = next((row.roles[name] for row in rows if row is not None and name in row.roles), None)
        out.roles[name] = given or default_role(name, out.values[name])
    return out


def default_role(name: str, values: Sequence[Any]) -> str:
    """The role of a column whose survey says nothing of it."""
    if name.lower() in ID_NAMES or name.lower().endswith(("_id", "objid")):
        return "id"
    if name.lower() in (*RA_NAMES, *DEC_NAMES, "epoch", "ref_epoch"):
        return "other"  # where and when somebody looked tells the source, not the object
    return "other" if any(isinstance(v, str) for v in values) or all(v is None for v in values) else "input"


def position_columns(columns: Columns) -> tuple[str, str] | None:
    """The names of the columns that hold the position of the matched source, where there are any."""
    lower = {name.lower(): name for name in columns.values}
    pair = [next((lower[n] for n in names if n in lower), None) for names in (RA_NAMES, DEC_NAMES)]
    return (pair[0], pair[1]) if pair[0] is not None and pair[1] is not None else None


def _plain(value: Any, sentinels: Sequence[float]) -> Any:
    """A Python value, or None for what means missing."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return None if value.strip().lower() in EMPTY else value
    if isinstance(value, bool):
        return value
    missing = value in sentinels or (isinstance(value, float) and not np.isfinite(value))
    return None if missing else value


def _in_one_unit(values: list[Any], units: list[str], wanted: str, name: str, notes: list[str]) -> list[Any]:
    from astropy.units import Unit

    out: list[Any] = []
    lost = 0
    for value, unit in zip(values, units, strict=True):
        try:
            out.append(value if value is None or unit == wanted else float(Unit(unit).to(Unit(wanted), value)))
        except (ValueError, TypeError):  # astropy's UnitConversionError and unknown units
            out.append(None)
            lost += 1
    if lost:
        notes.append(f"column {name!r}: {lost} values in a unit that is no {wanted}; masked")
    return out


def _one_type(values: list[Any], name: str, notes: list[str]) -> list[Any]:
    """All numbers, all booleans or all text."""
    kinds = {type(v) for v in values if v is not None}
    if kinds <= {bool} or kinds <= {str}:
        return values
    if kinds <= {int}:
        if all(v is None or abs(v) < 2**63 for v in values):
            return values
        return [None if v is None else str(v) for v in values]
    if kinds <= {int, float, bool}:
        return [None if v is None else _float(v) for v in values]
    notes.append(f"column {name!r} holds text and numbers; kept as text")
    return [None if v is None else str(v) for v in values]


def _float(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats is no measurement
        return None
