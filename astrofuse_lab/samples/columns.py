"""Scalar columns: roles, ids, columns read from their file one by one, and masked arrays out of Arrow."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.specification import ROLES


def checked_roles(columns: pa.Table, roles: Mapping[str, str]) -> dict[str, str]:
    """A role for every column; SampleSetError for roles or columns that do not exist, or inputs that are no numbers."""
    names = columns.column_names
    if "object_id" not in names:
        raise SampleSetError(f"the columns have no 'object_id'; they are {', '.join(names)}.")
    for name, role in roles.items():
        if role not in ROLES or name not in names:
            raise SampleSetError(f"role {role!r} of column {name!r}: roles are {', '.join(ROLES)}, columns are {', '.join(names)}.")
        kind = columns.schema.field(name).type
        if role == "input" and not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise SampleSetError(f"column {name!r} has role 'input' but holds {kind}; inputs are numbers or booleans.")
    return {name: "id" if name == "object_id" else roles.get(name, "other") for name in names}


def checked_ids(columns: "pa.Table | ColumnFile") -> "Ids":
    """The object_ids; SampleSetError where one is missing or occurs twice."""
    ids = Ids(columns)
    ids.check()
    return ids


class Ids:
    """Rows by object_id. Nothing is looked at before it is asked for: a million ids take a second to become a dictionary."""

    def __init__(self, columns: "pa.Table | ColumnFile") -> None:
        self._columns = columns

    @cached_property
    def column(self) -> pa.ChunkedArray:
        """As text."""
        column = self._columns.column("object_id")
        return column if pa.types.is_string(column.type) else column.cast(pa.string())

    def check(self) -> None:
        """Raise SampleSetError where an id is missing or occurs twice."""
        if self.column.null_count:
            raise SampleSetError(f"{self.column.null_count} objects have no object_id; every object needs one.")
        if pc.count_distinct(self.column).as_py() != len(self.column):
            counts = pc.value_counts(self.column)
            most = int(np.argmax(np.asarray(counts.field("counts"))))
            raise SampleSetError(f"object_id {counts[most]['values'].as_py()!r} occurs {counts[most]['counts'].as_py()} times; ids must be unique.")

    @cached_property
    def _rows(self) -> dict[str, int]:
        self.check()
        return {object_id: row for row, object_id in enumerate(self.column.to_pylist())}

    def rows(self, wanted: list[str]) -> NDArray[np.int64]:
        """Rows of these ids, -1 where there is none."""
        known = self._rows
        return np.array([known.get(i, -1) for i in wanted], dtype=np.int64)


class ColumnFile:
    """The columns of a Parquet file, each read when it is first asked for; what a SampleSet uses of a `pyarrow.Table`.

    Raises
    ------
    SampleSetError
        Naming the file, where a column cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._reading():
            self._file = pq.ParquetFile(path, memory_map=True)
            self.schema: pa.Schema = self._file.schema_arrow.remove_metadata()
            self.num_rows: int = self._file.metadata.num_rows
        self._read: dict[str, pa.ChunkedArray] = {}

    def _reading(self) -> "_Reading":
        return _Reading(self.path)

    def __len__(self) -> int:
        return self.num_rows

    @property
    def column_names(self) -> list[str]:
        """In order."""
        return list(self.schema.names)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, kept once it was read."""
        if name not in self._read:
            with self._reading():
                self._read[name] = self._file.read(columns=[name], use_threads=False).column(name)
            if len(self._read[name]) != self.num_rows:
                raise SampleSetError(f"{self.path} is damaged: column {name!r} has {len(self._read[name])} rows of {self.num_rows}.")
        return self._read[name]

    def table(self) -> pa.Table:
        """All columns."""
        return pa.table([self.column(name) for name in self.column_names], schema=self.schema)

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        """All columns of some rows."""
        return self.table().take(rows)

    def __getattr__(self, name: str) -> Any:
        # the verbs that make another table: all columns are needed then
        if name in ("drop_columns", "append_column", "set_column", "select", "slice", "filter", "to_pandas", "to_batches"):
            return getattr(self.table(), name)
        raise AttributeError(f"a ColumnFile has no {name!r}; table() gives a pyarrow Table")

    def __reduce__(self) -> tuple[Any, ...]:
        return (ColumnFile, (self.path,))


class _Reading:
    """Arrow's errors, as the set's own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, pa.ArrowException | OSError | ValueError):
            raise SampleSetError(f"{self.path} is damaged ({error!r}). Restore it from a copy, or make the set again.") from error


def any_number(columns: Iterable[np.ma.MaskedArray[Any, Any]], rows: int) -> NDArray[np.bool_]:
    """Rows where any of the columns has a number: bool, (row,). One column after another, as most often the first tells."""
    found = np.zeros(rows, dtype=bool)
    for column in columns:
        found |= np.isfinite(np.ma.filled(column.astype(np.float64), np.nan))
        if found.all():
            break
    return found


def masked(column: pa.ChunkedArray) -> np.ma.MaskedArray[Any, Any]:
    """A column as a masked array of the nearest of float64, int64, bool and str."""
    mask = np.asarray(column.is_null())
    kind = column.type
    if pa.types.is_boolean(kind):
        return np.ma.MaskedArray(np.asarray(column.fill_null(False)).astype(bool), mask)
    if pa.types.is_integer(kind):
        return np.ma.MaskedArray(np.asarray(column.fill_null(0)).astype(np.int64), mask)
    if pa.types.is_floating(kind):
        values = np.asarray(column.fill_null(float("nan"))).astype(np.float64)
        return np.ma.MaskedArray(values, mask | np.isnan(values))
    return np.ma.MaskedArray(np.array([str(v) if v is not None else "" for v in column.to_pylist()], dtype=str), mask)
