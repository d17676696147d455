"""Several sets as one, written to disk a stretch at a time: what a chunked build and readers of many files end with.

Sets are joined end to end, in order. Columns that some lack are missing there; a modality that some lack is absent there; light curves
take the bands of all. Anything else that differs (grids, units, shapes) would make one set of two kinds of data, and is an error.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples import store
from astrofuse_lab.samples.arrays import FIELDS, SHARED, ModalityData
from astrofuse_lab.samples.columns import Ids
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.storage import new_folder

Opened = tuple[str, Callable[[], SampleSet]]
"""A part: its name in messages, and how it is opened. Parts are opened one at a time: a thousand would exhaust the system's memory maps."""
ABSENT = {"psf_fwhm": np.nan, "lsf_sigma": np.nan}
"""What absent objects hold in optional fields; all else is zero."""


@dataclass
class _Plan:
    """What the joined set will be."""

    objects: list[int]
    schema: pa.Schema
    roles: dict[str, str]
    units: dict[str, str]
    card: Card
    table_spec: ModalitySpec | None
    specs: dict[str, ModalitySpec]
    dtypes: dict[str, dict[str, Any]]
    shared: dict[str, dict[str, NDArray[Any]]]
    lengths: dict[str, list[int]]


def write_joined(parts: Sequence[Opened], path: Path, overwrite: bool = False, card: Card | None = None) -> Path:
    """Write the objects of all parts as one set, all of it or nothing.

    Parameters
    ----------
    parts : sequence of (name, function)
        Each function opens one set; all arrays of one part's stretch are held at once, never a whole set's.
    path : path
    overwrite : bool
    card : Card, optional
        None: the first part's, with the notes of all.

    Raises
    ------
    SampleSetError
        Naming the part and what differs, or an id that two parts have.
    """
    plan = _planned(parts)
    with new_folder(path, overwrite=overwrite, holds=("manifest.json",)) as folder:
        with pq.ParquetWriter(folder / "columns.parquet", plan.schema) as writer:
            for _, opened in parts:
                samples = opened()
                writer.write_table(_fitted(samples._columns.take(samples.rows()), plan.schema))
        for name in plan.specs:
            _write(parts, name, plan, folder)
        store.write_manifest(folder, sum(plan.objects), plan.specs, plan.table_spec, plan.roles, plan.units, card or plan.card)
    return path.resolve()


def joined(parts: Sequence[SampleSet]) -> SampleSet:
    """The objects of all parts as one set in memory."""
    named: list[Opened] = [(f"part {i}", lambda part=part: part) for i, part in enumerate(parts)]  # type: ignore[misc]
    if len(parts) == 1:
        return parts[0]
    plan = _planned(named)
    table = pa.concat_tables([_fitted(p._columns.take(p.rows()), plan.schema) for p in parts])
    data = {}
    for name, spec in plan.specs.items():
        pieces = list(_pieces(named, name, plan))
        fields = {f: np.concatenate([piece[f] for piece in pieces]) for f in plan.dtypes[name]}
        if "offsets" in FIELDS[spec.kind]:
            fields["offsets"] = _offsets(pieces)
        fields |= plan.shared[name]
        present = fields.pop("present")
        data[name] = ModalityData(spec, fields, present)
    return SampleSet(table, data, plan.roles, plan.units, plan.card, plan.table_spec)


# ---- what the parts have in common --------------------------------------------------------------------------------


def _planned(parts: Sequence[Opened]) -> _Plan:
    if not parts:
        raise SampleSetError("there is nothing to join: no part holds an object.")
    plan: _Plan | None = None
    schemas: list[pa.Schema] = []
    ids: list[pa.ChunkedArray] = []
    notes: list[str] = []
    for number, (label, opened) in enumerate(parts):
        samples = opened()
        if plan is None:
            plan = _Plan([], pa.schema([]), {}, {}, samples.card, samples._table_spec, {}, {}, {}, {})
        schemas.append(samples._columns.schema.remove_metadata())
        ids.append(samples._columns.column("object_id").cast(pa.string()).take(samples.rows()))
        notes += samples.card.notes
        plan.objects.append(len(samples))
        _agree(label, "role", plan.roles, {n: r for n, r in samples.roles.items() if n != "object_id"})
        _agree(label, "unit", plan.units, samples.units)
        for name, one in samples._data.items():
            whole = one if one.fields else samples.data_of(name)
            _add(plan, label, number, name, whole, samples)
        for name in plan.lengths:
            plan.lengths[name] += [0] * (number + 1 - len(plan.lengths[name]))
    assert plan is not None
    try:
        plan.schema = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise SampleSetError(f"the parts cannot be joined: a column has different types ({error}).") from error
    Ids(pa.table({"object_id": pa.chunked_array([c for column in ids for c in column.chunks], pa.string())})).check()
    plan.card = replace(plan.card, notes=tuple(dict.fromkeys(notes)))
    return plan


def _agree(label: str, what: str, known: dict[str, str], more: dict[str, str]) -> None:
    for name, value in more.items():
        if known.setdefault(name, value) != value:
            raise SampleSetError(f"{label}: column {name!r} has the {what} {value!r}, parts before have {known[name]!r}. Give all parts the same.")


def _add(plan: _Plan, label: str, number: int, name: str, one: ModalityData, samples: SampleSet) -> None:
    """Take one part's modality into the plan."""
    spec = one.spec
    if name not in plan.specs:
        plan.specs[name] = spec
        plan.dtypes[name] = {f: (a.dtype, a.shape[1:]) for f, a in {**one.fields, "present": one.present}.items() if f not in SHARED and f != "offsets"}
        plan.shared[name] = {f: np.asarray(a) for f, a in one.fields.items() if f in SHARED}
        plan.lengths[name] = []
    known = plan.specs[name]
    if spec.kind == "light_curve" == known.kind:  # bands are names: those of all parts
        plan.specs[name] = known = replace(known, channels=tuple(dict.fromkeys([*known.channels, *spec.channels])))
        spec = replace(spec, channels=known.channels)
        if len(known.channels) > np.iinfo(plan.dtypes[name]["band"][0]).max:
            plan.dtypes[name]["band"] = (np.dtype(np.int32), ())
    if replace(spec, provenance=known.provenance) != known:
        raise SampleSetError(f"{label}: modality {name!r} is {_said(spec)}, parts before have {_said(known)}. Give all parts the same grid.")
    for field, array in plan.shared[name].items():
        if field not in one.fields or not np.array_equal(one.fields[field], array):
            raise SampleSetError(f"{label}: {name}.{field} differs from that of the parts before. Give all parts the same grid.")
    fields = {f for f in one.fields if f not in SHARED and f != "offsets"} | {"present"}
    if fields != set(plan.dtypes[name]):
        odd = min(fields ^ set(plan.dtypes[name]))
        raise SampleSetError(f"{label}: {'it has' if odd in fields else 'it lacks'} the field {name}.{odd}, unlike the parts before.")
    plan.lengths[name] += [0] * (number - len(plan.lengths[name]))
    if one.ragged:
        offsets, rows = one.fields["offsets"], samples.rows() if one is samples._data[name] else np.arange(len(samples))
        plan.lengths[name].append(int((offsets[rows + 1] - offsets[rows]).sum()))
    else:
        plan.lengths[name].append(len(samples))


def _said(spec: ModalitySpec) -> str:
    return f"{spec.kind} {spec.shape} of {', '.join(spec.channels) or 'no channels'} in {spec.unit or 'no unit'}" + (f", {spec.scale} arcsec a pixel" if spec.scale else "")


def _fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A part's columns in the order and types of all; those it lacks are missing."""
    columns = [table.column(f.name).cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type) for f in schema]
    return pa.table(columns, schema=schema)


# ---- arrays, a stretch at a time ----------------------------------------------------------------------------------


def _pieces(parts: Sequence[Opened], name: str, plan: _Plan) -> Iterator[dict[str, NDArray[Any]]]:
    """The arrays of one modality, stretch after stretch; ragged ones with offsets of their own."""
    spec, dtypes = plan.specs[name], plan.dtypes[name]
    ragged = "offsets" in FIELDS[spec.kind]
    for (_, opened), objects in zip(parts, plan.objects, strict=True):
        samples = opened()
        if name not in samples._data:
            empty = {f: np.full((0 if ragged and f != "present" else objects, *shape), ABSENT.get(f, 0), dtype=d) for f, (d, shape) in dtypes.items()}
            yield empty | ({"offsets": np.zeros(objects + 1, dtype=np.int64)} if ragged else {})
            continue
        width = sum(np.dtype(d).itemsize * int(np.prod(shape)) for d, shape in dtypes.values()) * (plan.lengths[name][0] // max(1, plan.objects[0]) + 1 if ragged else 1)
        step = max(1, store.CHUNK // width)
        own = samples.spec(name).channels
        for begin in range(0, objects, step):
            got = samples.arrays(name, np.arange(begin, min(objects, begin + step)))
            if spec.kind == "light_curve" and own != spec.channels:
                got["band"] = np.array([spec.channels.index(b) for b in own], dtype=dtypes["band"][0])[got["band"]]
            yield {f: got[f].astype(dtypes[f][0], copy=False) if f in dtypes else got[f] for f in got if f not in SHARED}


def _offsets(pieces: Sequence[dict[str, NDArray[Any]]]) -> NDArray[np.int64]:
    counts = [np.diff(piece["offsets"]) for piece in pieces]
    return np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)


def _write(parts: Sequence[Opened], name: str, plan: _Plan, folder: Path) -> None:
    """All fields of one modality side by side. Plain writes: a full disk under a memory map kills the process."""
    for field, array in plan.shared[name].items():
        np.save(folder / f"{name}.{field}.npy", array, allow_pickle=False)
    counts = []
    with ExitStack() as stack:
        out = {}
        for field, (dtype, shape) in plan.dtypes[name].items():
            out[field] = stack.enter_context(open(folder / f"{name}.{field}.npy", "wb"))
            length = sum(plan.objects) if field == "present" else sum(plan.lengths[name]) if "offsets" in FIELDS[plan.specs[name].kind] else sum(plan.objects)
            np.lib.format.write_array_header_1_0(out[field], {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (length, *shape)})
        for piece in _pieces(parts, name, plan):
            for field, file in out.items():
                file.write(np.ascontiguousarray(piece[field]).data)
            if "offsets" in piece:
                counts.append({"offsets": piece["offsets"]})
    if counts:
        np.save(folder / f"{name}.offsets.npy", _offsets(counts), allow_pickle=False)
