"""What `match` is given, as positions: any table with coordinates, its errors, epochs and motions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import position_errors
from astrofuse_lab.alignment.match import Positions
from astrofuse_lab.errors import InputError, TargetError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.target_columns import DEC_NAMES, GAIA_EPOCH, ID_NAMES, OTHER_NAMES, RA_NAMES, Columns, read_columns
from astrofuse_lab.targets import Targets

Floats = NDArray[np.float64]

ERROR_NAMES = ("pos_err", "poserr", "pos_error", "position_error", "err_pos", "e_pos", "error_radius", "radec_err")
COORDINATE_ERRORS = (("ra_error", "dec_error", "ra_dec_corr"), ("e_ra", "e_dec", ""), ("e_raj2000", "e_dej2000", ""), ("ra_err", "dec_err", ""), ("raerr", "decerr", ""))
DISTANCE_NAMES = ("distance", "dist", "luminosity_distance", "distmpc")
TIME_NAMES = ("time", "mjd", "jd", "time_start", "discovery_mjd")
ELLIPSE = ("major", "minor", "angle")
MOVES = ("epoch", "pmra", "pmdec")


class Side(NamedTuple):
    """One list of sources.

    Attributes
    ----------
    name : str
        What errors call it.
    positions : Positions
    ids : array, (n,), optional
        Numbers or text, as the column holds them.
    table : mapping of str to column
    notes : tuple of str
    """

    name: str
    positions: Positions
    ids: NDArray[Any] | None
    table: Mapping[str, Any]
    notes: tuple[str, ...]


def side_of(given: Any, name: str, error: Any = None, recognise: bool = False) -> Side:
    """Read positions from what a person gives.

    Parameters
    ----------
    given : Targets, SampleSet, astropy or pandas or pyarrow table, SkyCoord, mapping of columns, or list of mappings
        Coordinate columns are recognised as by `Targets.from_table`.
    name : str
        ``left``, ``right``: for errors.
    error : float, Quantity, str, sequence or mapping, optional
        As in `matching.match`.
    recognise : bool
        Whether columns of errors are looked for where `error` is None.

    Raises
    ------
    InputError
        If there are no coordinates, a position lies off the sky, or columns of errors do not exist.
    """
    columns = {key: _plain(column) for key, column in _columns(given).items()}
    try:
        read = _read(columns)
    except TargetError as problem:
        raise TargetError(f"match, {name}: {problem}") from None
    with np.errstate(invalid="ignore"):
        off = np.flatnonzero((np.abs(read.dec) > 90) | (read.ra < -360) | (read.ra > 720))
    if len(off):
        row = int(off[0])
        raise TargetError(f"match, {name}, row {row}: RA {read.ra[row]}, Dec {read.dec[row]} lies off the sky; degrees are expected. {len(off)} such rows.")
    lower = {str(key).lower() for key in columns}
    moves = lower & {*OTHER_NAMES["pmra"][0]} and lower & {*OTHER_NAMES["pmdec"][0]} and bool(np.any((read.pmra != 0) | (read.pmdec != 0)))
    dated = lower & {*OTHER_NAMES["epoch"][0]}
    notes = []
    lost = int(np.sum(~(np.isfinite(read.ra) & np.isfinite(read.dec))))
    if lost:
        notes.append(f"{name}: {lost} rows have no position and no match")
    if moves and not dated:
        notes.append(f"{name}: proper motions are not used, as there is no column 'epoch'")
    covariance = covariances(columns, len(read.ra), error, name, recognise)
    motion = (read.pmra, read.pmdec) if moves and dated else (None, None)
    positions = Positions(read.ra, read.dec, covariance, read.epoch if dated else None, *motion)
    return Side(name, positions, _ids(columns), columns, tuple(notes))


def _read(columns: Mapping[str, Any]) -> Columns:
    """Positions, epochs and motions. Numbers are taken as arrays; anything else goes the way of `Targets.from_table`."""
    lower = {str(key).lower(): key for key in columns}
    found = {what: next((lower[n] for n in names if n in lower), None) for what, names in (("ra", RA_NAMES), ("dec", DEC_NAMES), *((k, OTHER_NAMES[k][0]) for k in MOVES))}
    if any(key is None or np.asarray(columns[key]).dtype.kind not in "fiu" for key in (found["ra"], found["dec"])):
        return read_columns({key: column for key, column in columns.items() if str(key).lower() not in ID_NAMES})
    units = {"ra": "deg", "dec": "deg", "epoch": "", "pmra": "mas / yr", "pmdec": "mas / yr"}
    made = {what: _numeric(columns[key], str(key), units[what]) for what, key in found.items() if key is not None}
    n = len(made["ra"])
    for what, values in made.items():
        if values.shape != (n,):
            raise TargetError(f"columns of unequal length: {found['ra']} has {n} rows, {found[what]} has {np.size(values)}.")
    still = np.zeros(n)
    epoch = made.get("epoch", np.full(n, GAIA_EPOCH))
    pmra, pmdec = (np.nan_to_num(made.get(what, still)) for what in ("pmra", "pmdec"))
    return Columns((), made["ra"], made["dec"], np.where(np.isfinite(epoch), epoch, GAIA_EPOCH), pmra, pmdec)


def _ids(columns: Mapping[str, Any]) -> NDArray[Any] | None:
    lower = {str(key).lower(): key for key in columns}
    name = next((lower[name] for name in ID_NAMES if name in lower), None)
    if name is None:
        return None
    values = np.ma.filled(np.ma.asarray(columns[name])) if isinstance(columns[name], np.ma.MaskedArray) else np.asarray(columns[name])
    return values.astype(str) if values.dtype.kind in "OST" else values


def numbers(side: Side, given: Any, names: Sequence[str], what: str, unit: str = "") -> Floats | None:
    """A column of numbers that a person names or the usual names find, in `unit`; or numbers as they are; None for none."""
    if given is None:
        lower = {str(key).lower(): key for key in side.table}
        given = next((lower[name] for name in names if name in lower), None)
        if given is None:
            return None
    if isinstance(given, str):
        if given not in side.table:
            raise InputError(f"match({what}={given!r}): {side.name} has no such column; it has {', '.join(map(str, list(side.table)[:12]))}.")
        given = side.table[given]
    if unit == "mjd" and hasattr(given, "mjd"):  # astropy Time
        given, unit = given.utc.mjd, ""
    values = _numeric(given, what, "" if unit == "mjd" else unit)
    if values.ndim == 0:
        values = np.full(len(side.positions.ra), float(values))
    if len(values) != len(side.positions.ra):
        raise InputError(f"match({what}=...): {len(values)} values for {len(side.positions.ra)} rows of {side.name}.")
    return values


def covariances(table: Mapping[str, Any], n: int, error: Any, name: str, recognise: bool) -> Floats | None:
    """Errors of positions, (n, 3) in arcsec2; None where there are none."""
    if error is None and recognise:
        error = _recognised(table)
    if error is None:
        return None

    def column(key: Any, unit: str = "arcsec") -> Floats:
        if isinstance(key, str):
            if key not in table:
                raise InputError(f"match(errors=...): {name} has no column {key!r}; it has {', '.join(map(str, list(table)[:12]))}.")
            key = table[key]
        return np.broadcast_to(_numeric(key, "errors", unit), (n,))

    if isinstance(error, Mapping):
        if set(error) != set(ELLIPSE):
            raise InputError(f"match(errors={dict(error)!r}): an ellipse has {', '.join(ELLIPSE)}.")
        return position_errors.elliptical(column(error["major"]), column(error["minor"]), column(error["angle"], "deg"))
    if isinstance(error, tuple | list) and 2 <= len(error) <= 3 and all(isinstance(key, str) for key in error):
        correlation = column(error[2], "") if len(error) == 3 else 0.0
        return position_errors.of_coordinates(column(error[0]), column(error[1]), correlation)
    return position_errors.circular(column(error))


def _recognised(table: Mapping[str, Any]) -> Any:
    lower = {str(key).lower(): key for key in table}
    for one, other, correlation in COORDINATE_ERRORS:
        if one in lower and other in lower:
            return (lower[one], lower[other], *([lower[correlation]] if correlation in lower else []))
    return next((lower[name] for name in ERROR_NAMES if name in lower), None)


def _columns(given: Any) -> dict[str, Any]:
    if isinstance(given, Targets):
        return given.to_dict()
    if isinstance(given, SampleSet):
        table = given.table
        return {name: table[name] for name in table.colnames}
    if hasattr(given, "transform_to") and hasattr(given, "icrs"):  # SkyCoord
        return {"ra": np.atleast_1d(given.icrs.ra.deg), "dec": np.atleast_1d(given.icrs.dec.deg)}
    if isinstance(given, Mapping):
        return dict(given)
    for names in ("colnames", "column_names", "columns"):
        if hasattr(given, names):
            return {str(name): given[name] for name in getattr(given, names)}
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise InputError(f"match: a {type(given).__name__} is no list of sources. Give a table with columns ra and dec, Targets or a SampleSet.")
    rows = list(given)
    if not all(isinstance(row, Mapping) for row in rows):
        raise InputError("match: a list of rows is expected to hold mappings, e.g. [{'ra': 10.0, 'dec': 20.0}].")
    return {str(key): [row.get(key) for row in rows] for key in rows[0]} if rows else {"ra": [], "dec": []}


def _plain(column: Any) -> Any:
    """A Quantity as a column with a unit, which all below understand."""
    if hasattr(column, "to_value") and hasattr(column, "unit") and not hasattr(column, "mjd"):
        from astropy.table import Column

        return Column(np.asarray(column.value), unit=column.unit)
    return column


def _numeric(column: Any, what: str, unit: str) -> Floats:
    own = getattr(column, "unit", None)
    try:
        if hasattr(column, "to_numpy") and not hasattr(column, "unit"):
            column = column.to_numpy(zero_copy_only=False) if hasattr(column, "to_pylist") else column.to_numpy(dtype=np.float64, na_value=np.nan)
        values = np.ma.filled(np.ma.asarray(getattr(column, "value", column)).astype(np.float64), np.nan)
        if own is not None and unit and hasattr(own, "to"):
            values = own.to(unit, values)
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise InputError(f"match({what}=...): numbers are expected ({problem}).") from None
