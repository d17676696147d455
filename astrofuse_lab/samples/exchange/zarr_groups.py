"""Zarr groups (version 2 of the format, which xarray, Julia and others read): an array a field, an array a column.

::

    columns/<name>              (object,); text as fixed-width unicode; beside it <name>.missing where values are missing
    <modality>/<field>          as in `arrays.FIELDS`, and <modality>/present

The description is the group's attribute. The package ``zarr`` is an extra: ``pip install astrofuse-lab[exchange]``.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import MissingExtraError, SampleSetError
from astrofuse_lab.samples.arrays import FIELDS, ModalityData
from astrofuse_lab.samples.exchange.described import KEY, bounded, columns_of, described, made, read_described
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet

STRETCH = 16 * 1024**2
"""Bytes of a chunk."""


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise MissingExtraError("zarr", "reading and writing Zarr groups") from None
    return zarr


def read(path: Path) -> SampleSet:
    """A group that we wrote, or one of the same layout: ``columns/`` and a description."""
    zarr = _zarr()
    _plain(path)
    with files.reading(path, "a Zarr group"):
        group = zarr.open_group(str(path), mode="r")
        said = read_described(group.attrs.get(KEY), path)
        if "columns" not in group:
            raise SampleSetError(f"{path} has no group 'columns' with one array a scalar column. It has {', '.join(sorted(group)) or 'nothing'}.")
        columns = {}
        for name in group["columns"].attrs.get("order", sorted(n for n in group["columns"] if not n.endswith(".missing"))):
            values = _array(group["columns"], name, path)
            missing = _array(group["columns"], f"{name}.missing", path).astype(bool) if f"{name}.missing" in group["columns"] else np.zeros(len(values), dtype=bool)
            columns[name] = pa.array(values.tolist(), pa.string(), mask=missing) if values.dtype.kind == "U" else pa.array(values, mask=missing)
        data = {}
        for name, spec in (said.modalities if said else {}).items():
            fields = {f: _array(group[name], f, path) for f in (*FIELDS[spec.kind], "present") if f in group[name]}
            present = fields.pop("present").astype(bool)
            data[name] = ModalityData(spec, fields, present)
    return made(pa.table(columns), data, said, path, path.stem)


def _array(group: Any, name: str, path: Path) -> NDArray[Any]:
    array = group[name]
    bounded(array.shape, path, name)
    if array.dtype.kind not in "fiubU":
        raise SampleSetError(f"{path}: {name!r} holds {array.dtype}; numbers, truth values or text are expected.")
    if math.prod(array.chunks) * array.dtype.itemsize > files.LARGEST_CHUNK:
        raise SampleSetError(f"{path}: {name!r} has chunks of {array.chunks} values, each of which would be unpacked whole; at most {files.LARGEST_CHUNK} bytes are.")
    return np.asarray(array[...])


def _plain(path: Path) -> None:
    """Refuse arrays of objects and filters, before zarr sees them: some decode by running what the file says (pickle)."""
    for file in path.rglob(".zarray"):
        with files.reading(file, "Zarr metadata"):
            told = json.loads(file.read_text())
            if "O" in str(told.get("dtype")) or told.get("filters"):
                raise SampleSetError(f"{file} has the type {told.get('dtype')} and filters {told.get('filters')}; only plain numbers, truth values and text are read.")
    if next(path.rglob("*"), None) is None:
        raise SampleSetError(f"{path} is empty; it is no Zarr group.")


def write(samples: SampleSet, path: Path) -> None:
    """One group, an array after another."""
    zarr = _zarr()
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    columns = group.create_group("columns")
    names = columns_of(samples).column_names
    for name in names:
        values = samples.column(name)
        empty = np.ma.getmaskarray(values)
        _put(columns, name, values.filled("" if values.dtype.kind == "U" else 0) if empty.any() else np.asarray(values.data))
        if empty.any():
            _put(columns, f"{name}.missing", empty)
    columns.attrs["order"] = names
    for name in samples.modalities:
        if name in samples._data:
            one = group.create_group(name)
            for field, array in samples.arrays(name).items():
                _put(one, field, array)
    group.attrs[KEY] = described(samples)


def _put(group: Any, name: str, values: NDArray[Any]) -> None:
    row = max(1, values.nbytes // max(1, len(values)))
    group.create_array(name, data=values, chunks=(max(1, min(len(values), STRETCH // row)), *map(int, values.shape[1:])) if values.size else tuple(max(1, n) for n in values.shape))
