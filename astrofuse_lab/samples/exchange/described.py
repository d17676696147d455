"""What a set says of itself, as one JSON text that formats with room for it carry along; and columns of other people's tables."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.arrays import SHARED, ModalityData
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

if TYPE_CHECKING:
    from astropy.table import Table

KEY = "astrofuse"
"""Under which the description is kept."""
MOST_BYTES = 4 * 1024**2
MOST_VALUES = 2**31
"""Of one array that somebody else's file claims."""
ID_NAMES = ("object_id", "objectid", "objid", "source_id", "id", "name")
"""Columns that may name the objects of a table that is not ours, best first."""


class Described(NamedTuple):
    """Everything about a set but its numbers."""

    modalities: Mapping[str, ModalitySpec] = {}
    roles: Mapping[str, str] = {}
    units: Mapping[str, str] = {}
    card: Card = Card()
    table: ModalitySpec | None = None
    axes: Mapping[str, Sequence[float]] = {}
    """Wavelengths and axes that all objects share: a file of objects that all lack the modality could not say them."""


def described(samples: SampleSet) -> str:
    """As JSON."""
    return json.dumps({
        "modalities": {n: s.to_json() for n, s in samples.modalities.items() if s.kind != "table" or n in samples._data},
        "roles": {n: r for n, r in samples.roles.items() if n != "object_id"}, "units": samples.units, "card": samples.card.to_json(),
        "table": samples._table_spec.to_json() if samples._table_spec else None,
        "axes": {n: a.tolist() for n, one in samples._data.items() for f, a in one.fields.items() if f in SHARED},
    })  # fmt: skip


def read_described(text: str | bytes | None, where: object) -> Described | None:
    """From JSON; None where there is none (somebody else's file).

    Raises
    ------
    SampleSetError
        If the text is there and is no such description.
    """
    if text is None:
        return None
    try:
        if len(text) > MOST_BYTES:
            raise ValueError(f"{len(text)} bytes")
        data = json.loads(text)
        specs = {str(n): ModalitySpec.from_json(s) for n, s in data["modalities"].items()}
        table = ModalitySpec.from_json(data["table"]) if data.get("table") else None
        axes = {str(n): [float(v) for v in a] for n, a in data.get("axes", {}).items()}
        return Described(specs, dict(data["roles"]), dict(data["units"]), Card.from_json(data["card"]), table, axes)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SampleSetError(f"{where}: the description under {KEY!r} is damaged ({error!r}). Write the file again.") from error


def made(columns: pa.Table, data: Mapping[str, ModalityData], said: Described | None, where: object, name: str) -> SampleSet:
    """A SampleSet of columns and arrays that were read; without a description, all columns are ``other``."""
    columns = identified(columns, where)
    said = said or Described(card=Card(name, notes=(f"Read from {name}: roles of columns are not known; give them, e.g. with af.SampleSet(...).",)))
    for modality, axis in said.axes.items():
        for field in SHARED & set(data[modality].fields if modality in data else ()):
            data[modality].fields[field] = np.asarray(axis, dtype=data[modality].fields[field].dtype)
    if {n for n in said.roles if n in columns.column_names} == set(columns.column_names) - {"object_id"}:
        columns = columns.select(["object_id", *(n for n in said.roles if n in columns.column_names)])  # some formats sort them
    there = set(columns.column_names)
    roles = {n: r for n, r in said.roles.items() if n in there}
    return SampleSet(columns, data, roles, {n: u for n, u in said.units.items() if n in there}, said.card, said.table)


def identified(columns: pa.Table, where: object) -> pa.Table:
    """With the column `object_id` as text; another table's identifier takes its place, else the row number does."""
    named = {n.lower(): n for n in reversed(columns.column_names)}
    column = next((named[n] for n in ID_NAMES if n in named), None)
    if column is None:
        ids = pa.array([str(i) for i in range(len(columns))], pa.string())
    else:
        ids = columns.column(column)
        if pa.types.is_nested(ids.type) or pa.types.is_floating(ids.type):
            raise SampleSetError(f"{where}: column {column!r} holds {ids.type}, which names no objects. Rename it, and add a column object_id.")
        ids = ids.cast(pa.string())
    rest = columns.drop_columns([n for n in ("object_id",) if n in columns.column_names])
    return rest.add_column(0, "object_id", ids)


def columns_of(samples: SampleSet) -> pa.Table:
    """The scalar columns, in order."""
    return samples._columns.take(samples.rows())


def table_of(samples: SampleSet) -> "Table":
    """The scalar columns for astropy's writers, with the description in ``meta``."""
    table = samples.table
    for name in table.colnames:
        table[name].info.meta = {}
    table.meta = {KEY: described(samples)}
    return table


def from_table(table: "Table", where: object) -> tuple[pa.Table, dict[str, str], dict[str, Any]]:
    """Scalar columns of an astropy Table, their units, and the columns that are no scalars."""
    names, units, others = {}, {}, {}
    for name in table.colnames:
        column = table[name]
        values = np.ma.asarray(np.ma.masked_array(column.data if hasattr(column, "data") else column))
        if values.ndim != 1 or values.dtype.kind == "O":
            texts = _texts(values) if values.ndim == 1 else None
            if texts is None:
                others[name] = column
                continue
            names[name] = pa.array(texts, pa.string())
            continue
        names[name] = _arrow(values, where, name)
        if getattr(column, "unit", None) is not None:
            units[name] = str(column.unit)
    return pa.table(names), units, others


def _texts(values: Any) -> list[str | None] | None:
    listed = [None if m else v for v, m in zip(values.data.tolist(), np.ma.getmaskarray(values).tolist(), strict=True)]
    return listed if all(v is None or isinstance(v, str) for v in listed) else None


def _arrow(values: Any, where: object, name: str) -> pa.Array:
    mask = np.ma.getmaskarray(values)
    data = np.asarray(values.filled() if values.dtype.kind not in "fiubSU" else values.data)
    if data.dtype.kind == "S":
        data = np.char.decode(data, "utf-8", "replace")
    if data.dtype.kind == "U":
        return pa.array([None if m else v for v, m in zip(data.tolist(), mask.tolist(), strict=True)], pa.string())
    if data.dtype.kind not in "fiub":
        raise SampleSetError(f"{where}: column {name!r} holds {data.dtype}, which is no number, truth value or text.")
    return pa.array(data.astype(data.dtype.newbyteorder("=")), mask=mask)


def bounded(shape: Sequence[int], where: object, name: str) -> None:
    """Raise SampleSetError where an array claims more than is read at once."""
    if math.prod(int(n) for n in shape) > MOST_VALUES:
        raise SampleSetError(f"{where}: {name!r} claims the shape {tuple(shape)}; at most {MOST_VALUES} values are read. Split the file.")
