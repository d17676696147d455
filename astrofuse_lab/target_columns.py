"""Columns of targets: found in a table by their usual names, brought to deg and mas per year, checked row by row."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, TargetError
from astrofuse_lab.notation import angle
from astrofuse_lab.positions import close_pairs

Floats = NDArray[np.float64]

RA_NAMES = ("ra", "raj2000", "ra_icrs", "ra_deg", "_raj2000", "s_ra", "alpha", "right_ascension")
DEC_NAMES = ("dec", "dej2000", "decj2000", "de_icrs", "dec_icrs", "dec_deg", "_dej2000", "s_dec", "delta", "decl", "declination")
ID_NAMES = ("object_id", "id", "target", "name", "objectid", "source_id", "main_id", "designation")
OTHER_NAMES = {
    # what: column names, unit
    "epoch": (("epoch", "ref_epoch"), ""),
    "pmra": (("pmra", "pm_ra", "pmra_cosdec", "pm_ra_cosdec"), "mas / yr"),
    "pmdec": (("pmdec", "pm_dec", "pmde"), "mas / yr"),
    "time_start": (("time_start", "t_min"), ""),
    "time_stop": (("time_stop", "t_max"), ""),
}
GAIA_EPOCH = 2016.0
EPOCHS = (1000.0, 3000.0)
MANY_NOTES = 1000
"""So many rows are named one by one; the rest are counted."""


class Columns(NamedTuple):
    """What targets are, by column; NaN and empty text for what a target lacks.

    Attributes
    ----------
    ids, identifiers : tuple of str
        `identifiers` is None where no target has one.
    ra, dec, epoch, pmra, pmdec : array, (n,)
    times : array, (n, 2), optional
        MJD; None where no target has a time.
    """

    ids: tuple[str, ...]
    ra: Floats
    dec: Floats
    epoch: Floats
    pmra: Floats
    pmdec: Floats
    times: Floats | None = None
    identifiers: tuple[str, ...] | None = None

    def take(self, rows: Any) -> "Columns":
        """These rows, in this order."""
        at = np.asarray(rows, dtype=np.intp)
        names = None if self.identifiers is None else tuple(self.identifiers[i] for i in at)
        return Columns(
            tuple(self.ids[i] for i in at), self.ra[at], self.dec[at], self.epoch[at], self.pmra[at], self.pmdec[at],
            None if self.times is None else self.times[at], names,
        )  # fmt: skip


def columns_of(
    ids: Sequence[str], ra: Any = math.nan, dec: Any = math.nan, epoch: Any = GAIA_EPOCH, pmra: Any = 0.0, pmdec: Any = 0.0,
    times: Any = None, identifiers: Sequence[str] | None = None,
) -> Columns:  # fmt: skip
    """Columns of values, or of one value for all."""
    n = len(ids)

    def full(column: Any) -> Floats:
        return np.array(np.broadcast_to(np.asarray(column, dtype=np.float64), (n,)))

    spans = None if times is None or not n else np.array(np.broadcast_to(np.asarray(times, dtype=np.float64), (n, 2)))
    held = None if spans is None or np.isnan(spans).all() else spans
    return Columns(tuple(ids), full(ra), full(dec), full(epoch), full(pmra), full(pmdec), held, tuple(identifiers) if identifiers and any(identifiers) else None)


# a table's columns ---------------------------------------------------------------------------------


def read_columns(table: Any, id: str | None = None, ra: str | None = None, dec: str | None = None, epoch: float | str | None = None) -> Columns:
    """Columns of any table with positions; parameters as in `Targets.from_table`.

    Raises
    ------
    TargetError
        If columns are missing, of unequal length, or not numbers.
    """
    columns = _table_columns(table)
    lower = {name.lower(): name for name in columns}
    ra_name, dec_name = ra or _first(RA_NAMES, lower), dec or _first(DEC_NAMES, lower)
    for given, role in ((ra_name, "ra"), (dec_name, "dec"), (id, "id"), (epoch, "epoch")):
        wanted = role in ("ra", "dec") or isinstance(given, str)
        if wanted and (given is None or given not in columns):
            raise TargetError(
                f"no column for {role} among {list(columns)[:12]}. Say which one it is: Targets.from_table(table, ra='...', dec='...')."
            )
    assert ra_name is not None and dec_name is not None
    id_name = id or _first(ID_NAMES, lower)
    lon, lat = _angles(columns[ra_name], ra_name, True), _angles(columns[dec_name], dec_name, False)
    ids = [_text(v) for v in _listed(columns[id_name])] if id_name else [f"target-{i:05d}" for i in range(len(lon))]
    values: dict[str, Any] = {what: _numbers(columns[lower[name]], name, unit) for what, (names, unit) in OTHER_NAMES.items() if (name := _first(names, lower, True))}
    if isinstance(epoch, str):
        values["epoch"] = _numbers(columns[epoch], epoch, "")
    names = "identifier" in lower and [_text(v) for v in _listed(columns[lower["identifier"]])]
    lengths = {ra_name: len(lon), dec_name: len(lat), **({id_name: len(ids)} if id_name else {}), **{k: len(v) for k, v in values.items()}}
    if len(set(lengths.values())) > 1:
        raise TargetError(f"columns of unequal length: {', '.join(f'{name} has {n} rows' for name, n in lengths.items())}.")
    # a missing proper motion is a motion of zero, and a missing epoch the usual one: no reason to lose the object
    usual = GAIA_EPOCH if epoch is None or isinstance(epoch, str) else float(epoch)
    pmra, pmdec = (np.nan_to_num(values.get(what, np.zeros(len(lon)))) for what in ("pmra", "pmdec"))
    when = np.where(np.isfinite(own := values.get("epoch", np.full(len(lon), np.nan))), own, usual)
    nothing = np.full(len(lon), np.nan)
    times = np.stack([values.get("time_start", nothing), values.get("time_stop", nothing)], axis=-1)
    return columns_of(ids, lon, lat, when, pmra, pmdec, times, names or None)


def _first(names: Iterable[str], lower: Mapping[str, str], key: bool = False) -> str | None:
    return next((n if key else lower[n] for n in names if n in lower), None)


def _table_columns(table: Any) -> dict[str, Any]:
    """Columns by name from whatever a person holds as a table."""
    if isinstance(table, Mapping):
        return dict(table)
    for names in ("colnames", "column_names", "columns"):  # astropy; pyarrow; pandas
        if hasattr(table, names):
            return {str(name): table[name] for name in getattr(table, names)}
    if isinstance(table, str | bytes) or hasattr(table, "__fspath__"):
        raise TargetError(f"{str(table)[:80]!r} is no table. Targets.from_file(path) reads files, Targets.from_text(text) pasted lines.")
    rows = list(table)
    if rows and all(isinstance(r, Mapping) for r in rows):
        return {str(k): [r.get(k) for r in rows] for k in rows[0]}
    if not rows:
        return {"ra": [], "dec": []}
    raise TargetError(f"cannot read a {type(table).__name__} as a table. Give an astropy Table, a DataFrame, or {{'ra': [...], 'dec': [...]}}.")


def _listed(column: Any) -> list[Any]:
    """Plain values of a column of any library; None where there is none."""
    if hasattr(column, "to_pylist"):  # pyarrow
        return list(column.to_pylist())
    if isinstance(column, np.ma.MaskedArray):
        return list(column.tolist())
    return list(column.tolist() if hasattr(column, "tolist") else column)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return "" if value is None or value != value else str(value).strip()


def _numbers(column: Any, name: str, unit: str) -> Floats:
    """A column as floats, in `unit` where the column carries one; NaN where there is none."""
    own = getattr(column, "unit", None)
    if hasattr(column, "to_pylist"):
        column = column.to_pandas() if str(column.type) in ("double", "float", "int64", "int32") else column.to_pylist()
    try:
        if isinstance(column, list | tuple):
            column = [math.nan if v is None or (isinstance(v, str) and not v.strip()) else v for v in column]
        elif hasattr(column, "to_numpy"):  # pandas, whose missing integers are no numbers to numpy
            column = column.to_numpy(dtype=np.float64, na_value=math.nan)
        values = np.ma.filled(np.ma.asarray(getattr(column, "value", column)).astype(np.float64), np.nan)
        return np.asarray(values * own.to(unit) if own is not None and unit and hasattr(own, "to") and str(own) else values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TargetError(f"column {name!r} is not numeric ({error}).") from None


def _angles(column: Any, name: str, is_ra: bool) -> Floats:
    """An angle column in deg: numbers by their unit, text in any notation."""
    values = _listed(column)
    if not any(isinstance(v, str | bytes) for v in values[:100]) and not any(isinstance(v, str) for v in values):
        unit = "deg" if getattr(getattr(column, "unit", None), "physical_type", None) == "angle" else ""
        return _numbers(column, name, unit)
    values = [_text(value) for value in values]
    missing = ("", "nan", "null", "none", "--")
    with suppress(ValueError):  # numbers as text, as a CSV holds them
        return np.array([math.nan if v.lower() in missing else v for v in values], dtype=np.float64)
    unit = str(getattr(column, "unit", None) or "").strip('"')
    hours = is_ra and not unit.startswith("deg")
    made = np.full(len(values), np.nan)
    for i, text in enumerate(values):
        if text.lower() in missing:
            continue
        try:
            made[i] = angle(text, hours)
        except ValueError as error:
            raise TargetError(f"column {name!r} is not numeric, and row {i} no angle in another notation ({error}). Positions are ICRS.") from None
    return made


# checks --------------------------------------------------------------------------------------------


def problem(ra: float, dec: float, object_id: str = "x", time: Sequence[float] | None = None, identifier: str = "", epoch: float = GAIA_EPOCH) -> str:
    """What is wrong with a target, in words; empty when nothing is."""
    if not object_id.strip():
        return "the id is empty."
    if time is not None and not (np.isfinite(time).all() and time[0] < time[1]):
        return f"the time {tuple(float(t) for t in time)} is no interval: first and last MJD."
    if math.isnan(ra) and math.isnan(dec) and (time is not None or identifier):
        return ""
    if not math.isfinite(ra) or not math.isfinite(dec):
        return f"the position (RA {ra}, Dec {dec}) is not a number. Remove the row or fill it in."
    if not 0.0 <= ra <= 360.0:
        return f"RA {ra} is outside 0 to 360 deg. Is it in hours, or in another column?"
    if not -90.0 <= dec <= 90.0:
        return f"Dec {dec} is outside -90 to +90 deg. Are ra and dec swapped?"
    if not EPOCHS[0] <= epoch <= EPOCHS[1]:
        return f"the epoch {epoch} is no Julian year, such as 2000.0."
    return ""


def row_problem(columns: Columns, row: int) -> str:
    """`problem` of one row."""
    span = None if columns.times is None or np.isnan(columns.times[row]).all() else columns.times[row]
    name = columns.identifiers[row] if columns.identifiers else ""
    return problem(float(columns.ra[row]), float(columns.dec[row]), columns.ids[row], span, name, float(columns.epoch[row]))


def bad_rows(columns: Columns) -> NDArray[np.intp]:
    """Rows with a problem."""
    with np.errstate(invalid="ignore"):
        fine = (columns.ra >= 0) & (columns.ra <= 360) & (columns.dec >= -90) & (columns.dec <= 90) & (columns.epoch >= EPOCHS[0]) & (columns.epoch <= EPOCHS[1])
    if columns.times is not None:
        fine &= np.isnan(columns.times).all(axis=1)  # looked at one by one
    fine &= np.fromiter((bool(i.strip()) for i in columns.ids), dtype=bool, count=len(columns.ids))
    return np.array([row for row in np.flatnonzero(~fine).tolist() if row_problem(columns, row)], dtype=np.intp)


def sifted(
    columns: Columns, errors: str = "raise", near: float = 1.0, label: str = "row", numbers: Sequence[int] | None = None, advice: str = "errors='skip' leaves it out."
) -> tuple[Columns, list[str]]:
    """Columns without bad rows and repeats, and notes on both and on objects that lie close together.

    Parameters
    ----------
    columns : Columns
    errors : {"raise", "skip"}
    near : float
        arcsec; objects within it of one another are named, and kept.
    label, numbers
        How a row is called: ``row`` and its index, or ``line`` and the numbers of the lines.

    Raises
    ------
    TargetError
        For a bad row, or an id that occurs again for something else; only with `errors` ``raise``.
    InputError
        If `errors` or `near` cannot be used.
    """
    if errors not in ("raise", "skip"):
        raise InputError(f"errors={errors!r}: 'raise' or 'skip'.")
    if isinstance(near, bool) or not isinstance(near, int | float) or not near >= 0:
        raise InputError(f"near={near!r} is no distance in arcsec, 0 or more.")
    called = (lambda row: f"{label} {row}") if numbers is None else (lambda row: f"{label} {numbers[row]}")
    faults = {int(row): f"{called(row)} ({columns.ids[row]!r}): {row_problem(columns, row)}" for row in bad_rows(columns)}
    out: dict[int, str] = {row: f"left out: {words}" for row, words in faults.items()}
    first: dict[str, int] = {}
    for row, object_id in enumerate(columns.ids):
        if row in faults:
            continue
        before = first.setdefault(object_id, row)
        if before == row:
            continue
        if _same(columns, before, row):
            out[row] = f"{called(row)}: {object_id!r} repeats {called(before)}; left out"
        else:
            faults[row] = f"{called(row)}: the id {object_id!r} was already given in {called(before)}. Give each target an id of its own, or none to have them numbered."
            out[row] = f"left out: {faults[row]}"
    if faults and errors == "raise":
        rows = sorted(faults)
        more = f" So are {len(rows) - 1} others: {label}s {', '.join(called(r).partition(' ')[2] for r in rows[1:6])}{', ...' if len(rows) > 6 else ''}." if len(rows) > 1 else ""
        raise TargetError(f"{faults[rows[0]]}{more} {advice}")
    notes = [out[row] for row in sorted(out)]
    kept = np.array([row for row in range(len(columns.ids)) if row not in out], dtype=np.intp) if out else np.arange(len(columns.ids))
    sound = columns.take(kept) if out else columns
    for row, other, apart in close_pairs(sound.ra, sound.dec, near):
        one, two = int(kept[row]), int(kept[other])
        notes.append(f"{called(one)}: {columns.ids[one]!r} lies {apart:.2g} arcsec from {columns.ids[two]!r} ({called(two)}); both kept")
    if len(notes) > MANY_NOTES:
        notes = [*notes[:MANY_NOTES], f"and {len(notes) - MANY_NOTES} more such rows"]
    return sound, notes


def _same(columns: Columns, one: int, other: int) -> bool:
    numbers = all(np.array_equal(column[one], column[other], equal_nan=True) for column in columns[1:6])
    spans = columns.times is None or np.array_equal(columns.times[one], columns.times[other], equal_nan=True)
    return numbers and spans and (columns.identifiers is None or columns.identifiers[one] == columns.identifiers[other])
