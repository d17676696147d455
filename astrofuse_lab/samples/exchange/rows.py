"""A set as Arrow rows, one object a row, modalities as nested columns: what Parquet, Hugging Face, HATS and nested-pandas files hold.

================  ==========================================================================================
image             struct of lists, one element a band: ``band``, ``flux`` (y, x), ``mask``, ``ivar``, ``psf_fwhm``, ``scale``
spectrum          struct of lists, one element a pixel: ``lambda``, ``flux``, ``ivar``, ``mask``, ``lsf_sigma``
light_curve       struct of lists, one element an epoch: ``time``, ``flux``, ``flux_err``, ``band``, ``mask``, ``limit``
series            struct of lists, one element a channel: ``channel``, ``axis`` (sample), ``values``, ``mask``
text              text
================  ==========================================================================================

These are the nested features of the Multimodal Universe (github.com/MultimodalUniverse/MultimodalUniverse, DESIGN.md and
``scripts/*/*.py``), and structs of equally long lists are what nested-pandas calls a nested column. What an object lacks is null.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.arrays import FIELDS, SHARED
from astrofuse_lab.samples.exchange.described import KEY, columns_of, described
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import ModalitySpec

STRETCH = 64 * 1024**2
"""Bytes of arrays that are held at once."""


def schema_of(samples: SampleSet) -> pa.Schema:
    """Of all rows, with the description."""
    return to_rows(samples, np.zeros(0, dtype=np.int64)).schema.with_metadata({KEY: described(samples)})


def stretches(samples: SampleSet) -> Iterator[pa.Table]:
    """The rows, some at a time."""
    per_row = sum(_bytes(samples, name) for name in samples.modalities) + 1
    step = max(1, STRETCH // per_row)
    schema = schema_of(samples)
    for begin in range(0, max(1, len(samples)), step):
        yield to_rows(samples, np.arange(begin, min(len(samples), begin + step))).replace_schema_metadata(schema.metadata)


def _bytes(samples: SampleSet, name: str) -> int:
    one = samples._data.get(name)
    return sum(int(a.nbytes) for a in one.fields.values()) // max(1, len(one.present)) if one is not None else 0


def to_rows(samples: SampleSet, positions: NDArray[np.int64]) -> pa.Table:
    """Some objects as rows."""
    table = columns_of(samples.take(positions))
    for name, spec in samples.modalities.items():
        if name not in samples._data:
            continue  # the table: its columns are there
        if name in table.column_names:
            raise SampleSetError(f"{name!r} is a column and a modality; rename the column before you export.")
        table = table.append_column(name, nested(samples.arrays(name, positions), spec))
    return table


def nested(got: dict[str, NDArray[Any]], spec: ModalitySpec) -> pa.Array:
    """One modality's arrays as a nested column, null where absent."""
    present = got.pop("present")
    if spec.kind not in FIELDS:
        raise SampleSetError(f"{spec.name!r} is shown as a {spec.kind}, which has no nested layout. Export the set that it was made of.")
    if spec.kind == "text":
        raw, cuts = got["utf8"].tobytes(), got["offsets"].tolist()
        return pa.array([raw[a:b].decode("utf-8", "replace") if p else None for a, b, p in zip(cuts[:-1], cuts[1:], present, strict=True)], pa.string())
    n = len(present)
    if spec.kind == "light_curve":
        got["band"] = np.asarray(spec.channels, dtype=str)[got["band"]] if len(spec.channels) else np.zeros(0, dtype=str)
        lists = {f: pa.ListArray.from_arrays(pa.array(got["offsets"].astype(np.int32)), pa.array(a)) for f, a in got.items() if f != "offsets"}
    else:
        lists = {f: listed(np.broadcast_to(a, (n, *a.shape)) if f in SHARED else a, spec.kind == "series" and f in SHARED, len(spec.channels)) for f, a in got.items()}
    if spec.kind in ("image", "series"):
        names = np.broadcast_to(np.asarray(spec.channels, dtype=str), (n, len(spec.channels)))
        lists = {("band" if spec.kind == "image" else "channel"): listed(names), **lists}
    if spec.kind == "image":
        lists["scale"] = listed(np.full((n, len(spec.channels)), spec.scale, dtype=np.float32))
    return pa.StructArray.from_arrays(list(lists.values()), names=list(lists), mask=pa.array(~present))


def listed(array: NDArray[Any], repeat: bool = False, times: int = 1) -> pa.Array:
    """A dense array (object, ...) as lists of lists; `repeat`: each object's row as often as it has channels."""
    if repeat:
        array = np.broadcast_to(array[:, None], (len(array), times, *array.shape[1:]))
    inner: pa.Array = pa.array(np.ascontiguousarray(array).reshape(-1))
    for axis in range(array.ndim - 1, 0, -1):
        count = int(np.prod(array.shape[:axis], dtype=np.int64))
        inner = pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int64) * array.shape[axis], pa.int64()).cast(pa.int32()), inner)
    return inner
