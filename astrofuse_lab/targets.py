"""Lists of targets: data only. Names are resolved, files read and regions searched in the rooms that `fetching` binds here."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, TargetError
from astrofuse_lab.positions import propagated
from astrofuse_lab.target_columns import DEC_NAMES, GAIA_EPOCH, ID_NAMES, RA_NAMES, Columns, bad_rows, columns_of, read_columns, row_problem, sifted

__all__ = ["DEC_NAMES", "GAIA_EPOCH", "ID_NAMES", "RA_NAMES", "Target", "Targets", "ends_of", "span_of"]


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
    """An ordered list of targets, each id once; held by column, so that a million of them fit in memory.

    Build it with `from_table`, `from_file`, `from_text`, `from_names` or `from_region`.

    Parameters
    ----------
    targets : iterable of Target
    notes : sequence of str
        What was left out and why, by row number, and which objects lie close together.

    Attributes
    ----------
    whole : bool
        False where a service cut its list: there may be more than it names.

    Raises
    ------
    TargetError
        For a position off the sky or an id that occurs twice.
    """

    columns: ClassVar[tuple[str, ...]] = ("ra", "dec", "epoch", "pmra", "pmdec")
    from_names: ClassVar[Callable[..., "Targets"]]  # these need a survey, a file or the network: `fetching` binds them
    from_region: ClassVar[Callable[..., "Targets"]]
    from_text: ClassVar[Callable[..., "Targets"]]
    from_file: ClassVar[Callable[..., "Targets"]]

    def __init__(self, targets: Iterable[Target], notes: Sequence[str] = ()) -> None:
        rows = tuple(targets)
        spans = [t.time or (math.nan, math.nan) for t in rows] if any(t.time is not None for t in rows) else None
        numbers: Any = ([getattr(t, name) for t in rows] for name in self.columns)
        ra, dec, epoch, pmra, pmdec = numbers
        self._hold(columns_of([t.object_id for t in rows], ra, dec, epoch, pmra, pmdec, spans, [t.identifier for t in rows]), notes)
        for row in bad_rows(self._columns)[:1]:
            raise TargetError(f"row {row} ({self.ids[row]!r}): {row_problem(self._columns, row)}")
        seen: dict[str, int] = {}
        for row, object_id in enumerate(self.ids if len(self._rows) < len(rows) else ()):
            if seen.setdefault(object_id, row) != row:
                raise TargetError(
                    f"row {row}: the id {object_id!r} was already given in row {seen[object_id]}. "
                    "Give each target an id of its own, or none to have them numbered."
                )

    def _hold(self, columns: Columns, notes: Sequence[str] = ()) -> None:
        for column in columns[1:6]:
            column.setflags(write=False)
        self._columns = columns
        self.notes = tuple(notes)
        self.whole = True
        self._places: dict[str, int] | None = None

    @classmethod
    def _of(cls, columns: Columns, notes: Sequence[str] = ()) -> "Targets":
        """Of columns that were checked before."""
        made = cls.__new__(cls)
        made._hold(columns, notes)
        return made

    @classmethod
    def _listed(cls, rows: Sequence[Target], errors: str, near: float = 0.0, label: str = "row", numbers: Sequence[int] | None = None, notes: Sequence[str] = ()) -> "Targets":
        """Of targets not checked yet, as `target_columns.sifted` does."""
        spans = [t.time or (math.nan, math.nan) for t in rows]
        ids, names = [t.object_id for t in rows], [t.identifier for t in rows]
        of: Any = ([getattr(t, name) for t in rows] for name in cls.columns)
        ra, dec, epoch, pmra, pmdec = of
        columns, said = sifted(columns_of(ids, ra, dec, epoch, pmra, pmdec, spans, names), errors, near, label, numbers)
        return cls._of(columns, [*notes, *said])

    @property
    def _rows(self) -> dict[str, int]:
        if self._places is None:
            self._places = {object_id: row for row, object_id in enumerate(self.ids)}
        return self._places

    @classmethod
    def from_table(
        cls, table: Any, *, id: str | None = None, ra: str | None = None, dec: str | None = None, epoch: float | str | None = None,
        errors: Literal["raise", "skip"] = "raise", near: float = 1.0, time: Any = None,
    ) -> "Targets":  # fmt: skip
        """Targets from any table with positions.

        Parameters
        ----------
        table : astropy, pyarrow or pandas table, mapping of columns, or list of mappings
            Positions ICRS: degrees, or text in any notation (hours where sexagesimal). Columns may carry a unit (astropy):
            hourangle, radian, arcsec per year and the like are converted. Columns ``epoch`` (or ``ref_epoch``), ``pmra``,
            ``pmdec`` (mas per year), ``time_start``, ``time_stop`` (MJD) and ``identifier`` are taken over.
        id, ra, dec : str, optional
            Column names; the usual ones are recognised.
        epoch : float or str, optional
            Julian year of positions that have none, or the column that holds it; 2016 where nothing says otherwise.
        errors : {"raise", "skip"}
            What to do about rows that are no targets: raise, or leave them out and say so in ``targets.notes``.
        near : float
            arcsec. Objects that lie closer together are named in ``targets.notes``, and kept.
        time : pair, optional
            Time window of all targets without one, as in `during`.

        Returns
        -------
        Targets
            Rows that are exact repeats of an earlier row are left out and named in `notes`. Rows count from 0.

        Raises
        ------
        TargetError
            If columns are missing, or a position is not on the sky; the row is named.
        """
        made = cls._of(*sifted(read_columns(table, id, ra, dec, epoch), errors, near, advice="Targets.from_table(table, errors='skip') leaves such rows out."))
        return made if time is None else made.during(*ends_of(time), replace=False)

    @classmethod
    def from_identifiers(cls, identifiers: Iterable[str]) -> "Targets":
        """Events and other objects by what an archive calls them: ``Targets.from_identifiers(["GW150914", "S190425z"])``.

        They have no position; surveys that need one say so. `from_names` finds positions of objects on the sky.
        """
        return cls(Target(name, identifier=name) for name in (str(one).strip() for one in identifiers))

    @classmethod
    def from_times(cls, intervals: Mapping[str, tuple[float, float]]) -> "Targets":
        """Stretches of time by a name: ``Targets.from_times({"flare": (57272.0, 57272.5)})``, MJD (UTC), ISO dates or astropy Times."""
        return cls(Target(str(name), time=span_of(*ends_of(ends), error=TargetError)) for name, ends in intervals.items())

    @property
    def ids(self) -> tuple[str, ...]:
        """The identifiers, in order."""
        return self._columns.ids

    @property
    def ra(self) -> NDArray[np.float64]:
        """Right ascension, deg."""
        return self._columns.ra

    @property
    def dec(self) -> NDArray[np.float64]:
        """Declination, deg."""
        return self._columns.dec

    def select(self, ids: Iterable[str]) -> "Targets":
        """The targets with these ids, in this order."""
        wanted = list(ids)
        missing = [i for i in wanted if i not in self._rows]
        if missing:
            raise TargetError(f"no target has the id {missing[0]!r} ({len(missing)} unknown of {len(wanted)}).")
        if len(set(wanted)) < len(wanted):
            twice = next(i for i in wanted if wanted.count(i) > 1)
            raise TargetError(f"the id {twice!r} is asked for {wanted.count(twice)} times; a list of targets has each id once.")
        return self._of(self._columns.take([self._rows[i] for i in wanted]))

    def at(self, epoch: float) -> "Targets":
        """The same targets, moved along their proper motions to another epoch (Julian year).

        Motion is uniform and straight, with no radial velocity and parallax (`positions.propagated`): exact across the
        poles, where adding ``pmra / cos(dec)`` is not.
        """
        held = self._columns
        moved = propagated(held.ra, held.dec, held.pmra, held.pmdec, float(epoch) - held.epoch)
        return self._of(Columns(held.ids, moved[0], moved[1], np.full(len(self), float(epoch)), moved[2], moved[3], held.times, held.identifiers), self.notes)

    def during(self, start: Any, stop: Any, *, replace: bool = True) -> "Targets":
        """The same targets, wanted between two times only.

        Parameters
        ----------
        start, stop : float, str or Time
            MJD, an ISO date such as ``"2020-01-31"`` (UTC), or an astropy Time.
        replace : bool
            Whether targets that have a time window of their own get this one too.

        Raises
        ------
        InputError
            If they are no times, or not in this order.
        """
        span = span_of(start, stop)
        times = np.tile(np.array(span), (len(self), 1))
        own = self._columns.times
        if own is not None and not replace:
            times = np.where(np.isnan(own), times, own)
        return self._of(self._columns._replace(times=times), self.notes)

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns as lists: object_id, ra, dec, epoch, pmra, pmdec; time_start, time_stop and identifier where a target has them.

        `from_table` takes it back.
        """
        held = self._columns
        made: dict[str, list[Any]] = {"object_id": list(held.ids), **{name: getattr(held, name).tolist() for name in self.columns}}
        if held.times is not None:
            made |= {"time_start": held.times[:, 0].tolist(), "time_stop": held.times[:, 1].tolist()}
        if held.identifiers is not None:
            made["identifier"] = list(held.identifiers)
        return made

    def __len__(self) -> int:
        return len(self._columns.ids)

    def __iter__(self) -> Iterator[Target]:
        return (self._target(row) for row in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._of(self._columns.take(range(*index.indices(len(self)))))
        if isinstance(index, str):
            return self.select([index])[0]
        return self._target(range(len(self))[index])

    def _target(self, row: int) -> Target:
        held = self._columns
        # math.nan itself: two targets without position are equal then, as their parts are compared by identity first
        ra, dec = (math.nan if math.isnan(v) else v for v in (float(held.ra[row]), float(held.dec[row])))
        span = None if held.times is None or np.isnan(held.times[row]).all() else (float(held.times[row, 0]), float(held.times[row, 1]))
        name = held.identifiers[row] if held.identifiers else ""
        return Target(held.ids[row], ra, dec, float(held.epoch[row]), float(held.pmra[row]), float(held.pmdec[row]), span, name)

    def __repr__(self) -> str:
        noted = f", {len(self.notes)} notes" if self.notes else ""
        return f"Targets({len(self)} objects{noted})"


def span_of(start: Any, stop: Any, error: type[InputError] = InputError) -> tuple[float, float]:
    """Two times as MJD (UTC): numbers as they are, ISO dates and astropy Times converted."""
    ends = []
    for one in (start, stop):
        if isinstance(one, str):
            from astropy.time import Time

            try:
                one = Time(one, scale="utc")
            except ValueError:
                raise error(f"time={one!r} is no date. Type MJD, or e.g. '2020-01-31T12:00:00' (UTC).") from None
        try:
            ends.append(float(one.utc.mjd if hasattr(one, "mjd") else one))
        except (TypeError, ValueError):
            raise error(f"time={one!r} is no time. Type MJD, an ISO date, or an astropy Time.") from None
    if not (np.isfinite(ends).all() and ends[0] < ends[1]):
        raise error(f"the time {tuple(ends)} is no interval: first and last MJD.")
    return ends[0], ends[1]


def ends_of(time: Any) -> tuple[Any, Any]:
    """A pair of times; InputError for anything else."""
    try:
        start, stop = time
    except (TypeError, ValueError):
        raise InputError(f"time={time!r} is not a pair of times. Type e.g. time=(58849.0, 59215.0), in MJD.") from None
    return start, stop
