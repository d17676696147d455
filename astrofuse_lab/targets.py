"""Lists of targets: data only. Names are resolved and regions searched in `fetching`."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import TargetError

RA_NAMES = ("ra", "raj2000", "ra_icrs", "ra_deg", "_raj2000", "s_ra", "alpha")
DEC_NAMES = ("dec", "dej2000", "decj2000", "de_icrs", "dec_icrs", "dec_deg", "_dej2000", "s_dec", "delta", "decl")
ID_NAMES = ("object_id", "id", "target", "name", "objectid", "source_id", "main_id", "designation")
GAIA_EPOCH = 2016.0


@dataclass(frozen=True, slots=True)
class Target:
    """One object: a name, and a position (ICRS, at an epoch), a time interval or an identifier in an archive.

    Attributes
    ----------
    object_id : str
    ra, dec : float
        deg, ICRS, at `epoch`; NaN for what has no position, such as an event or a day of the Sun.
    epoch : float
        Julian year.
    pmra, pmdec : float
        mas per year; pmra includes cos(dec).
    time : tuple of float, optional
        First and last MJD of what is wanted of this target; goes before the ``time=`` of the whole fetch.
    identifier : str
        What an archive calls it, where that is not `object_id`.
    """

    object_id: str
    ra: float = math.nan
    dec: float = math.nan
    epoch: float = GAIA_EPOCH
    pmra: float = 0.0
    pmdec: float = 0.0
    time: tuple[float, float] | None = None
    identifier: str = ""

    def has(self, what: str) -> bool:
        """Whether it has a ``position``, a ``time`` or an ``identifier``."""
        return {"position": math.isfinite(self.ra), "time": self.time is not None, "identifier": bool(self.identifier)}[what]


class Targets(Sequence[Target]):
    """An ordered list of targets, each id once.

    Build it with `from_table`, `from_names` or `from_region`.

    Parameters
    ----------
    targets : iterable of Target
    notes : sequence of str
        What was left out and why, by row number; shown by ``print(targets)``.

    Raises
    ------
    TargetError
        For a position off the sky or an id that occurs twice.
    """

    columns: ClassVar[tuple[str, ...]] = ("ra", "dec", "epoch", "pmra", "pmdec")
    from_names: ClassVar[Callable[..., "Targets"]]  # these two need a survey or the network: `fetching` binds them
    from_region: ClassVar[Callable[..., "Targets"]]

    def __init__(self, targets: Iterable[Target], notes: Sequence[str] = ()) -> None:
        self._targets = tuple(targets)
        self.notes = tuple(notes)
        seen: dict[str, int] = {}
        for row, target in enumerate(self._targets):
            problem = _problem(target)
            if problem:
                raise TargetError(f"row {row} ({target.object_id!r}): {problem}")
            if target.object_id in seen:
                raise TargetError(
                    f"row {row}: the id {target.object_id!r} was already given in row {seen[target.object_id]}. "
                    "Give each target an id of its own, or none to have them numbered."
                )
            seen[target.object_id] = row
        self._row = seen

    @classmethod
    def from_table(cls, table: Any, *, id: str | None = None, ra: str | None = None, dec: str | None = None) -> "Targets":
        """Targets from any table with positions.

        Parameters
        ----------
        table : astropy Table, pandas DataFrame, mapping of columns, or list of mappings
            Positions in degrees, ICRS. Columns may carry a unit (astropy): hourangle and radian are converted.
        id, ra, dec : str, optional
            Column names; the usual ones are recognised.

        Returns
        -------
        Targets
            Rows that are exact repeats of an earlier row are left out and named in `notes`.

        Raises
        ------
        TargetError
            If columns are missing, or a position is not on the sky; the row is named.
        """
        columns = _columns(table)
        lower = {name.lower(): name for name in columns}
        ra_name = ra or _first(RA_NAMES, lower)
        dec_name = dec or _first(DEC_NAMES, lower)
        for given, role in ((ra_name, "ra"), (dec_name, "dec")):
            if given is None or given not in columns:
                raise TargetError(
                    f"no column for {role} among {list(columns)[:12]}. "
                    f"Say which one it is: Targets.from_table(table, ra='...', dec='...')."
                )
        assert ra_name is not None and dec_name is not None
        id_name = id or _first(ID_NAMES, lower)
        lon, lat = _degrees(columns[ra_name], ra_name), _degrees(columns[dec_name], dec_name)
        ids = [str(v) for v in columns[id_name]] if id_name else [f"target-{i:05d}" for i in range(len(lon))]
        lengths = {name: len(column) for name, column in ((ra_name, lon), (dec_name, lat), (id_name, ids)) if name}
        if len(set(lengths.values())) > 1:
            raise TargetError(f"columns of unequal length: {', '.join(f'{name} has {n} rows' for name, n in lengths.items())}.")
        extra = {n: _degrees(columns[lower[n]], n, angle=False) for n in ("epoch", "pmra", "pmdec") if n in lower}
        rows, notes = [], []
        first: dict[Target, int] = {}
        for i, (object_id, x, y) in enumerate(zip(ids, lon, lat, strict=True)):
            # a missing proper motion is a motion of zero, not a reason to lose the object
            more: dict[str, Any] = {n: float(v[i]) for n, v in extra.items() if np.isfinite(v[i])}
            target = Target(object_id, float(x), float(y), **more)
            if target in first:
                notes.append(f"row {i}: {object_id!r} repeats row {first[target]}; left out")
                continue
            first[target] = i
            problem = _problem(target)
            if problem:
                raise TargetError(f"row {i} ({object_id!r}): {problem}")
            rows.append(target)
        return cls(rows, notes)

    @classmethod
    def from_identifiers(cls, identifiers: Iterable[str]) -> "Targets":
        """Events and other objects by what an archive calls them: ``Targets.from_identifiers(["GW150914", "S190425z"])``.

        They have no position; surveys that need one say so. `from_names` finds positions of objects on the sky.
        """
        return cls(Target(name, identifier=name) for name in (str(one).strip() for one in identifiers))

    @classmethod
    def from_times(cls, intervals: Mapping[str, tuple[float, float]]) -> "Targets":
        """Stretches of time by a name: ``Targets.from_times({"flare": (57272.0, 57272.5)})``, MJD (UTC)."""
        return cls(Target(str(name), time=(float(first), float(last))) for name, (first, last) in intervals.items())

    @property
    def ids(self) -> tuple[str, ...]:
        """The identifiers, in order."""
        return tuple(t.object_id for t in self._targets)

    @property
    def ra(self) -> NDArray[np.float64]:
        """Right ascension, deg."""
        return np.array([t.ra for t in self._targets], dtype=np.float64)

    @property
    def dec(self) -> NDArray[np.float64]:
        """Declination, deg."""
        return np.array([t.dec for t in self._targets], dtype=np.float64)

    def select(self, ids: Iterable[str]) -> "Targets":
        """The targets with these ids, in this order."""
        wanted = list(ids)
        missing = [i for i in wanted if i not in self._row]
        if missing:
            raise TargetError(f"no target has the id {missing[0]!r} ({len(missing)} unknown of {len(wanted)}).")
        return Targets(self._targets[self._row[i]] for i in wanted)

    def at(self, epoch: float) -> "Targets":
        """The same targets, moved along their proper motions to another epoch (Julian year)."""
        moved = []
        for t in self._targets:
            years = epoch - t.epoch
            dec = t.dec + t.pmdec * years / 3.6e6
            ra = (t.ra + t.pmra * years / 3.6e6 / max(np.cos(np.radians(t.dec)), 1e-9)) % 360.0
            moved.append(replace(t, ra=float(ra), dec=float(np.clip(dec, -90, 90)), epoch=epoch))
        return Targets(moved, self.notes)

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns as lists: object_id, ra, dec, epoch, pmra, pmdec."""
        names = ("object_id", *self.columns)
        return {name: [getattr(t, name) for t in self._targets] for name in names}

    def __len__(self) -> int:
        return len(self._targets)

    def __iter__(self) -> Iterator[Target]:
        return iter(self._targets)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Targets(self._targets[index])
        if isinstance(index, str):
            return self.select([index])[0]
        return self._targets[index]

    def __repr__(self) -> str:
        noted = f", {len(self.notes)} notes" if self.notes else ""
        return f"Targets({len(self)} objects{noted})"


def _problem(target: Target) -> str:
    """What is wrong with a position, in words; empty when nothing is."""
    if not target.object_id.strip():
        return "the id is empty."
    if target.time is not None and not (np.isfinite(target.time).all() and target.time[0] < target.time[1]):
        return f"the time {target.time} is no interval: first and last MJD."
    if np.isnan(target.ra) and np.isnan(target.dec) and (target.time is not None or target.identifier):
        return ""
    if not np.isfinite(target.ra) or not np.isfinite(target.dec):
        return f"the position (RA {target.ra}, Dec {target.dec}) is not a number. Remove the row or fill it in."
    if not 0.0 <= target.ra <= 360.0:
        return f"RA {target.ra} is outside 0 to 360 deg. Is it in hours, or in another column?"
    if not -90.0 <= target.dec <= 90.0:
        return f"Dec {target.dec} is outside -90 to +90 deg. Are ra and dec swapped?"
    return ""


def _first(names: Iterable[str], lower: Mapping[str, str]) -> str | None:
    return next((lower[n] for n in names if n in lower), None)


def _columns(table: Any) -> dict[str, Any]:
    """Columns by name from whatever a person holds as a table."""
    if isinstance(table, Mapping):
        return dict(table)
    for names in ("colnames", "columns"):  # astropy, pandas
        if hasattr(table, names):
            return {str(name): table[name] for name in getattr(table, names)}
    rows = list(table)
    if rows and all(isinstance(r, Mapping) for r in rows):
        return {str(k): [r.get(k) for r in rows] for k in rows[0]}
    if not rows:
        return {"ra": [], "dec": []}
    raise TargetError(f"cannot read a {type(table).__name__} as a table. Give an astropy Table, a DataFrame, or {{'ra': [...], 'dec': [...]}}.")


def _degrees(column: Any, name: str, angle: bool = True) -> NDArray[np.float64]:
    """A column as float degrees, its unit converted where it has one; masked values become NaN."""
    unit = getattr(column, "unit", None)
    values = column
    if unit is not None and angle and hasattr(unit, "to"):
        values = np.ma.filled(np.ma.asarray(getattr(column, "value", column), dtype=np.float64), np.nan) * unit.to("deg")
    try:
        return np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
    except (TypeError, ValueError) as error:
        raise TargetError(f"column {name!r} is not numeric ({error}). Positions are decimal degrees, ICRS.") from None
