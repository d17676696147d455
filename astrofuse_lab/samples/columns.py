"""Scalar columns: roles, and masked arrays out of Arrow."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

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


def checked_ids(columns: pa.Table) -> dict[str, int]:
    """Row of each object_id; SampleSetError where one is missing or occurs twice."""
    column = columns.column("object_id")
    if column.null_count:
        raise SampleSetError(f"{column.null_count} objects have no object_id; every object needs one.")
    ids = [str(v) for v in column.to_pylist()]
    rows = {object_id: row for row, object_id in enumerate(ids)}
    if len(rows) != len(ids):
        repeated, times = Counter(ids).most_common(1)[0]
        raise SampleSetError(f"object_id {repeated!r} occurs {times} times; ids must be unique.")
    return rows


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
