"""The SampleSet: ids, arrays, masks, scalar columns and a card; a view of rows costs nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import KINDS, Modality, TableRow
from astrofuse_lab.samples.annotations import Annotations, beside, labelled
from astrofuse_lab.samples.arrays import FIELDS as FIELDS
from astrofuse_lab.samples.arrays import ModalityData as ModalityData
from astrofuse_lab.samples.columns import ColumnFile, Ids, any_number, checked_ids, checked_roles, masked
from astrofuse_lab.samples.nouns import noun
from astrofuse_lab.samples.specification import Card, ModalitySpec

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.assemble import Products
    from astrofuse_lab.samples.card import SetCard
    from astrofuse_lab.samples.quality_report import Quality
    from astrofuse_lab.samples.split import Split

CACHED = ("object_ids", "_position_of_row")
"""What a view of other rows must work out for itself."""


@dataclass(frozen=True)
class Sample:
    """One object with the modalities it has; missing ones are None.

    Attributes
    ----------
    object_id : str
    columns : mapping
        All scalar columns, None where missing.
    modalities : mapping of str to Modality or None
    """

    object_id: str
    columns: Mapping[str, Any]
    modalities: Mapping[str, Modality | None] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Modality | None:
        return self.modalities[name]

    def __repr__(self) -> str:
        has = [name for name, value in self.modalities.items() if value is not None]
        lacks = [name for name, value in self.modalities.items() if value is None]
        return f"Sample({self.object_id!r}, has {', '.join(has) or 'nothing'}{'; misses ' + ', '.join(lacks) if lacks else ''})"


class SampleSet:
    """Aligned objects, each with any subset of the modalities.

    Made by ``af.align``, ``af.load_samples`` or ``SampleSet.open``; the constructor is for readers of data sets.

    Parameters
    ----------
    columns : pyarrow Table
        Scalar columns under their source names; ``object_id`` (text, unique) is required, ``ra`` and ``dec`` (deg) usual.
    data : mapping of str to ModalityData
        All but the table, which is made of the columns whose role is ``input``.
    roles : mapping of str to str
        Role of each column (`ROLES`); columns not named are ``other``, ``object_id`` is ``id``.
    units : mapping of str to str
    card : Card
    table_spec : ModalitySpec, optional
        Provenance of the table, where it has one of its own.
    checked : bool
        True where the ids were checked when the set was saved: they are looked at when they are first asked for.

    Attributes
    ----------
    annotations : Annotations
        Labels and notes of a person's.
    raw : Found or None
        What it was aligned from, in the session that aligned it.
    """

    def __init__(
        self, columns: pa.Table | ColumnFile, data: Mapping[str, ModalityData], roles: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None, card: Card | None = None, table_spec: ModalitySpec | None = None,
        rows: NDArray[np.int64] | None = None, path: Path | None = None, checked: bool = False,
    ) -> None:  # fmt: skip
        self._columns = columns
        self._data = dict(data)
        self._roles = checked_roles(columns, roles or {})
        self._units = dict(units or {})
        self._card = (card or Card()).bare()
        self._table_spec = table_spec
        self._rows = np.arange(len(columns)) if rows is None else np.asarray(rows, dtype=np.int64)
        self.path = path
        self.annotations = Annotations(beside(path))
        self.raw: Products | None = None
        self._ids = Ids(columns) if checked else checked_ids(columns)
        for one in self._data.values():
            one.check(len(columns))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "raw": None}  # what archives sent stays in its process

    @property
    def card(self) -> "SetCard":
        """What a person should know of the set; called, ``samples.card()``, the data card to publish."""
        from astrofuse_lab.samples.card import SetCard

        return SetCard.of(self._card, self)

    @card.setter
    def card(self, card: Card) -> None:
        self._card = card.bare()

    def _view(self, rows: NDArray[np.int64]) -> "SampleSet":
        """The same store seen through other rows; nothing is checked or copied again."""
        view = object.__new__(SampleSet)
        view.__dict__.update({name: value for name, value in self.__dict__.items() if name not in CACHED})
        view._rows = rows
        return view

    # ---- what there is -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def object_ids(self) -> NDArray[np.str_]:
        """The ids, in order."""
        ids = np.asarray(self._columns.column("object_id").take(self._rows).to_pylist(), dtype=str)
        ids.setflags(write=False)
        return ids

    @property
    def roles(self) -> dict[str, str]:
        """Role of each scalar column."""
        return dict(self._roles)

    @property
    def units(self) -> dict[str, str]:
        """Unit of each scalar column that has one."""
        return dict(self._units)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that feed the modality ``table``."""
        return tuple(name for name in self._columns.column_names if self._roles[name] == "input")

    @property
    def modalities(self) -> dict[str, ModalitySpec]:
        """The modalities and their layout, in the order of `KINDS`."""
        return dict(self._specs)

    @cached_property
    def _specs(self) -> dict[str, ModalitySpec]:
        specs = {name: one.spec for name, one in self._data.items()}
        if self.inputs and "table" not in self._data:
            base = self._table_spec or ModalitySpec("table", "table")
            specs["table"] = ModalitySpec("table", "table", self.inputs, (len(self.inputs),), "", provenance=base.provenance)
        return dict(sorted(specs.items(), key=lambda item: (KINDS.index(item[1].kind), item[0])))

    @property
    def simulated(self) -> bool:
        """True when the data come from the practice sky."""
        return self.card.simulated

    def spec(self, modality: str) -> ModalitySpec:
        """Layout of one modality; unknown names raise InputError."""
        if modality not in self._specs:
            raise InputError(f"this set has no modality {modality!r}; it has {', '.join(self._specs) or 'none'}.")
        return self._specs[modality]

    def present(self, modality: str) -> NDArray[np.bool_]:
        """Which objects have a modality: bool, (object,)."""
        self.spec(modality)
        if modality not in self._data:  # the table, made of columns
            return any_number((self.column(name) for name in self.inputs), len(self))
        return np.asarray(self._data[modality].present[self._rows], dtype=bool)

    def column(self, name: str) -> np.ma.MaskedArray[Any, Any]:
        """One scalar column as a masked array: float64, int64, bool or str."""
        if name not in self._columns.column_names:
            raise InputError(f"there is no column {name!r}; there are {', '.join(self._columns.column_names)}.")
        return masked(self._columns.column(name).take(self._rows))

    @property
    def table(self) -> "Table":
        """The scalar columns as an astropy Table; each column's role is in ``table[name].meta["role"]``."""
        from astropy.table import MaskedColumn, Table

        table = Table()
        for name in self._columns.column_names:
            table[name] = MaskedColumn(self.column(name), name=name, unit=self._units.get(name) or None)
            table[name].info.meta = {"role": self._roles[name]}
        table.meta["name"] = self.card.name
        return table

    # ---- arrays --------------------------------------------------------------------------------------------------

    def rows(self, positions: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Rows of the store behind positions of this set."""
        return self._rows if positions is None else self._rows[np.asarray(positions, dtype=np.int64)]

    def arrays(self, modality: str, positions: Sequence[int] | NDArray[np.int64] | None = None) -> dict[str, NDArray[Any]]:
        """The arrays of some objects, copied out of the memory map; only their rows are read.

        Returns
        -------
        dict
            The fields of `FIELDS`; ragged kinds with `offsets` of their own; ``present``, (object,), always.
            For a table: ``values`` float64 (object, column) and ``mask``.
        """
        self.spec(modality)
        rows = self.rows(positions)
        if modality not in self._data:
            return self._table_arrays(rows)
        return self._data[modality].read(rows)

    def _table_arrays(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        columns = [masked(self._columns.column(name).take(rows)).astype(np.float64) for name in self.inputs]
        values = np.ma.stack(columns, axis=1) if columns else np.ma.zeros((len(rows), 0))
        mask: NDArray[np.bool_] = np.asarray(~np.ma.getmaskarray(values) & np.isfinite(values.filled(np.nan)))
        return {"values": np.where(mask, values.filled(0.0), 0.0), "mask": mask, "present": np.asarray(mask.any(axis=1))}

    # ---- parts ---------------------------------------------------------------------------------------------------

    def positions(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """Positions of these ids in this set; unknown ids raise InputError."""
        wanted = [str(i) for i in ids]
        rows = self._ids.rows(wanted)
        found = np.where(rows >= 0, self._position_of_row[rows], -1) if len(self._position_of_row) else np.full(len(rows), -1)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            raise InputError(f"{len(missing)} of {len(wanted)} ids are not in this set, first {wanted[missing[0]]!r}.")
        return found.astype(np.int64)

    @cached_property
    def _position_of_row(self) -> NDArray[np.int64]:
        """Where each row of the store is in this view; -1 where it is not."""
        place = np.full(len(self._columns), -1, dtype=np.int64)
        place[self._rows[::-1]] = np.arange(len(self._rows))[::-1]
        return place

    def select(self, ids: Iterable[str]) -> "SampleSet":
        """The objects with these ids, in this order; no array is copied."""
        return self.take(self.positions(ids))

    def take(self, positions: Sequence[int] | NDArray[Any]) -> "SampleSet":
        """The objects at these positions (integers, or a bool array over the set); no array is copied."""
        chosen = np.asarray(positions)
        if chosen.dtype == bool and chosen.shape != (len(self),):
            raise InputError(f"a boolean choice of {chosen.shape[0]} for {len(self)} samples; give one for each.")
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        outside = chosen[(chosen < -len(self)) | (chosen >= len(self))]
        if len(outside):
            raise InputError(f"position {outside[0]} of a set of {len(self)} samples.")
        return self._view(self._rows[chosen])

    def __getitem__(self, index: Any) -> Any:
        """One `Sample` by position or id; a slice or array of positions gives a SampleSet."""
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        if isinstance(index, str):
            return self._sample(int(self.positions([index])[0]))
        if isinstance(index, list | tuple | np.ndarray):
            return self.select(map(str, index)) if len(index) and isinstance(index[0], str) else self.take(np.asarray(index))
        position = int(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} of a set of {len(self)} samples.")
        return self._sample(position % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self._sample(i) for i in range(len(self)))

    def columns_of(self, position: int) -> dict[str, Any]:
        """All scalar columns of one object, None where missing."""
        return {name: self._columns.column(name)[int(self._rows[position])].as_py() for name in self._columns.column_names}

    def one(self, modality: str, position: int) -> Modality | None:
        """One object's modality, None where it has none."""
        return self._modality(modality, position, self.columns_of(position))

    def data_of(self, modality: str) -> ModalityData:
        """The arrays of one modality for the objects of this view, in its order; a table has none of its own."""
        whole = self._data[modality]
        if whole.fields and np.array_equal(self._rows, np.arange(len(self._columns))):
            return whole
        fields = whole.read(self._rows)
        return ModalityData(whole.spec, fields, fields.pop("present"))

    def with_data(self, data: Mapping[str, ModalityData], card: Card | None = None, columns: Mapping[str, tuple[NDArray[Any], str]] | None = None) -> "SampleSet":
        """A set of the same objects and columns with other modalities, and `columns` more (numbers, NaN where missing, and unit) that are no inputs."""
        table, roles, units = self._columns.take(self._rows), dict(self._roles), dict(self._units)
        for name, (values, unit) in (columns or {}).items():
            table = table.drop_columns(name) if name in table.column_names else table
            table = table.append_column(name, pa.array(values, mask=~np.isfinite(values)))
            roles[name], units[name] = "other", unit
        made = SampleSet(table, data, roles, units, card or self.card, self._table_spec)
        made.annotations, made.raw = self.annotations, self.raw
        return made

    def seen_as(self, data: Mapping[str, ModalityData]) -> "SampleSet":
        """The same objects with other arrays behind their modalities, of as many rows; nothing is copied."""
        view = self._view(self._rows)
        view._data = dict(data)
        view.__dict__.pop("_specs", None)
        return view

    def represent(self, modality: str, name: str, **options: Any) -> "SampleSet":
        """The same objects with one modality shown as another: ``samples.represent("light_curve", "dmdt", edges="scope")``.

        Made anew whenever it is read; ``arrays(modality)`` gives the arrays, ``save(path)`` keeps them. The names and their
        options are in `astrofuse_lab.alignment.representations.REPRESENTATIONS`.
        """
        from astrofuse_lab.samples.represented import represent

        return represent(self, modality, name, options)

    def _sample(self, position: int) -> Sample:
        columns = self.columns_of(position)
        parts = {name: self._modality(name, position, columns) for name in self.modalities}
        return Sample(str(columns["object_id"]), columns, parts)

    def _modality(self, name: str, position: int, columns: Mapping[str, Any]) -> Modality | None:
        """One object's modality as its noun of layer 0; None where it has none."""
        spec = self.spec(name)
        if name not in self._data:
            values = {n: columns[n] for n in spec.channels}
            return None if all(v is None for v in values.values()) else TableRow(values, {n: self._units.get(n, "") for n in values}, provenance=spec.provenance)
        got = self.arrays(name, [position])
        if not got["present"][0]:
            return None
        return noun(spec, got, columns)

    # ---- verbs that live in rooms of their own ---------------------------------------------------------------------

    def split(self, test: float = 0.2, group: str | None = None, seed: int = 0, by: str = "object", **options: Any) -> "Split":
        """Train and test ids that share no group; see `astrofuse_lab.samples.split.make_split`."""
        from astrofuse_lab.samples.split import make_split

        return make_split(self, test=test, group=group, seed=seed, by=by, **options)

    def annotate(self, ids: str | Iterable[str], label: str | None = None, note: str | None = None) -> None:
        """Add a label or a note of a person's to objects, kept with the set; None leaves it, ``""`` removes it. `annotations` has them all."""
        wanted = [ids] if isinstance(ids, str) else [str(i) for i in ids]
        self.positions(wanted)
        self.annotations.set(wanted, label, note)

    def with_labels(self, name: str = "my_label", role: str = "other") -> "SampleSet":
        """The set with a person's labels as a column, e.g. ``samples.with_labels("vetted", role="target")`` to train on them."""
        return labelled(self, name, role)

    def coverage(self) -> "Table":
        """Which objects have which modalities: one row a combination, with its count."""
        from astrofuse_lab.samples.quality import coverage

        return coverage(self)

    def describe(self) -> "Table":
        """One row a modality or column: role, unit, shape, how many objects have it, range or classes."""
        from astrofuse_lab.samples.quality import describe

        return describe(self)

    def quality(self, target: str | None = None, split: "Split | None" = None, sources: Sequence[str] | None = None, seed: int = 0) -> "Quality":
        """What is wrong with the set, in words that say what to do; see `astrofuse_lab.samples.quality_report.quality`."""
        from astrofuse_lab.samples.quality_report import quality

        return quality(self, target, split, sources, seed)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write one folder, all of it or nothing; see `astrofuse_lab.samples.store`."""
        from astrofuse_lab.samples.store import write

        return write(self, path, overwrite=overwrite)

    def export(self, path: str | Path, format: str | None = None, overwrite: bool = False) -> Path:
        """Write in another format (``af.list_formats()``): told by the ending, or given; see `astrofuse_lab.samples.exchange.export`."""
        from astrofuse_lab.samples.exchange import export

        return export(self, path, format, overwrite)

    @classmethod
    def open(cls, path: str | Path, verify: bool | None = None) -> "SampleSet":
        """Open such a folder, memory-mapped; see `astrofuse_lab.samples.store.read`."""
        from astrofuse_lab.samples.store import read

        return read(path, verify=verify)

    def __repr__(self) -> str:
        has = ", ".join(f"{name} {int(self.present(name).sum())}" for name in self.modalities)
        badge = ", practice sky (simulated)" if self.simulated else ""
        return f"SampleSet({self.card.name!r}, {len(self)} objects: {has or 'no modality'}{badge})"
