"""A SampleSet as one folder that numpy and pyarrow alone can read.

::

    manifest.json                 format, modalities, roles, units, card, size and sha256 of every file, and its own sha256
    columns.parquet               scalar columns, one row an object
    <modality>.<field>.npy        arrays as in `sample_set.FIELDS`; memory-mapped when opened
    <modality>.present.npy        which objects have it
    annotations.json              labels and notes of a person's, where there are any; not sealed
    labels.jsonl                  the book of several annotators' labels (`LabelBook`), where there is one; not sealed
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, SampleSetError
from astrofuse_lab.samples.annotations import FILE as ANNOTATIONS
from astrofuse_lab.samples.annotations_book import copy_books
from astrofuse_lab.samples.arrays import FIELDS, SHARED, ModalityData
from astrofuse_lab.samples.columns import ColumnFile
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.storage import file_digest, new_folder, write_json

FORMAT, VERSION = "astrofuse-samples", 1
CHUNK = 64 * 1024**2
"""Bytes held in memory while a set is written."""
VERIFY_BELOW = 128 * 1024**2
"""Sets smaller than this (bytes) have their checksums compared whenever they are opened."""


def write(samples: SampleSet, path: str | Path, overwrite: bool = False) -> Path:
    """Write a set (or a view of one: only its rows) as a folder, all of it or nothing.

    Raises
    ------
    StorageError
        If the folder exists and `overwrite` is False, the disk is full, or the place is read-only.
    """
    path = Path(path).expanduser()
    with new_folder(path, overwrite=overwrite, holds=("manifest.json",)) as folder:
        pq.write_table(samples._columns.take(samples.rows()), folder / "columns.parquet")
        for name in samples._data:
            _write_modality(samples, name, folder)
        if len(samples.annotations):
            write_json(folder / ANNOTATIONS, samples.annotations.to_json(samples.object_ids.tolist()))
        specs = {name: one.spec for name, one in samples._data.items()}
        write_manifest(folder, len(samples), specs, samples._table_spec, samples.roles, samples.units, samples.card)
        copy_books(samples, folder)
    return path.resolve()


def write_manifest(
    folder: Path, objects: int, specs: Mapping[str, ModalitySpec], table: ModalitySpec | None, roles: Mapping[str, str], units: Mapping[str, str], card: Card
) -> None:
    """Say what a folder's files are, with their checksums; written last."""
    files = {f.name: {"bytes": f.stat().st_size, "sha256": file_digest(f)} for f in sorted(folder.iterdir()) if f.name != ANNOTATIONS}
    manifest = {
        "format": FORMAT, "version": VERSION, "objects": objects, "modalities": {name: spec.to_json() for name, spec in specs.items()},
        "table": table.to_json() if table else None, "roles": dict(roles), "units": dict(units), "card": card.to_json(), "files": files,
    }  # fmt: skip
    write_json(folder / "manifest.json", {**manifest, "sha256": _seal(manifest)})


def _seal(manifest: dict[str, Any]) -> str:
    """sha256 of the manifest's content, whatever its spacing."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _write_modality(samples: SampleSet, name: str, folder: Path) -> None:
    """All fields side by side, some rows at a time. Plain writes: a full disk under a memory map kills the process."""
    one, rows = samples._data[name], samples.rows()
    if one.spec.kind not in FIELDS:
        raise InputError(f"{name!r} is shown as a {one.spec.kind}, which is kept as columns, not as arrays. Save the set that it was made of, or af.SampleSet(...) with these columns as inputs.")
    if not one.fields:  # made as it is read: here at once
        one, rows = samples.data_of(name), np.arange(len(samples))
    counts = np.diff(one.fields["offsets"])[rows] if one.ragged else None
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64) if counts is not None else None
    whole = {"offsets": offsets} if offsets is not None else {}
    whole |= {field: np.asarray(array) for field, array in one.fields.items() if field in SHARED}
    for field, array in whole.items():
        np.save(folder / f"{name}.{field}.npy", array, allow_pickle=False)
    parts = {field: array for field, array in {**one.fields, "present": one.present}.items() if field not in whole}
    per_row = sum(a.nbytes for a in parts.values()) // max(1, len(one.present)) + 1
    step = max(1, CHUNK // per_row)
    with ExitStack() as stack:
        out = {}
        for field, array in parts.items():
            out[field] = stack.enter_context(open(folder / f"{name}.{field}.npy", "wb"))
            length = int(offsets[-1]) if offsets is not None and field != "present" else len(rows)
            header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": (length, *array.shape[1:])}
            np.lib.format.write_array_header_1_0(out[field], header)
        for begin in range(0, len(rows), step):
            got = one.read(rows[begin : begin + step])
            for field, file in out.items():
                file.write(np.ascontiguousarray(got[field]).data)


def read(path: str | Path, verify: bool | None = None) -> SampleSet:
    """Open a folder, its arrays memory-mapped.

    Parameters
    ----------
    path : path
    verify : bool, optional
        Compare checksums. None: only for sets under 128 MiB. Sizes are always compared.

    Raises
    ------
    SampleSetError
        If the folder is no sample set, or a file is missing or altered; the file is named.
    """
    folder = Path(path).expanduser().resolve()
    manifest = _manifest(folder, verify is not False)
    _check_files(folder, manifest["files"], verify)
    try:
        columns = ColumnFile(folder / "columns.parquet")
        specs = {name: ModalitySpec.from_json(spec) for name, spec in manifest["modalities"].items()}
        table = ModalitySpec.from_json(manifest["table"]) if manifest.get("table") else None
        roles = {name: role for name, role in manifest["roles"].items() if name != "object_id"}
        card, units = Card.from_json(manifest["card"]), dict(manifest["units"])
    except (pa.ArrowException, KeyError, TypeError, AttributeError, ValueError) as error:
        raise SampleSetError(f"{folder} is damaged ({error!r}). Restore it from a copy, or make the set again.") from error
    if len(columns) != manifest["objects"]:
        raise SampleSetError(f"{folder}/columns.parquet has {len(columns)} rows, the manifest says {manifest['objects']}. Restore it from a copy.")
    data = {name: _modality(folder, name, spec, manifest["files"]) for name, spec in specs.items()}
    return SampleSet(columns, data, roles, units, card, table, path=folder, checked=True)


def _manifest(folder: Path, sealed: bool) -> dict[str, Any]:
    file = folder / "manifest.json"
    if not file.is_file():
        there = "it holds no manifest.json" if folder.is_dir() else "there is no such folder"
        raise SampleSetError(f"{folder} is no sample set: {there}. af.load_samples(name) loads a named set; samples.save(path) writes one.")
    try:
        manifest = json.loads(file.read_text())
        if manifest["format"] != FORMAT:
            raise KeyError("format")
        if manifest["version"] > VERSION:
            raise SampleSetError(f"{folder} was written by a later version (format {manifest['version']}, this one reads {VERSION}). Update astrofuse-lab.")
        missing = {"objects", "modalities", "roles", "units", "card", "files", "sha256"} - set(manifest)
        if missing:
            raise KeyError(min(missing))
        seal = manifest.pop("sha256")
    except UnicodeDecodeError as error:  # its repr holds the whole file
        raise SampleSetError(f"{file} is damaged (no UTF-8 at byte {error.start}). Restore it from a copy, or make the set again.") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise SampleSetError(f"{file} is damaged ({error!r}). Restore it from a copy, or make the set again.") from error
    if sealed and seal != _seal(manifest):
        raise SampleSetError(f"{file} was altered since the set was saved. Restore it from a copy; SampleSet.open(path, verify=False) opens it as it is.")
    return dict(manifest)


def _check_files(folder: Path, files: dict[str, dict[str, Any]], verify: bool | None) -> None:
    try:
        total = sum(int(f["bytes"]) + 0 * len(f["sha256"]) for f in files.values())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SampleSetError(f"{folder}/manifest.json is damaged ({error!r}). Restore it from a copy, or make the set again.") from error
    thorough = total < VERIFY_BELOW if verify is None else verify
    for name, known in files.items():
        if "/" in name or "\\" in name or name.startswith("."):
            raise SampleSetError(f"{folder}/manifest.json names {name!r}, which is no plain file name. The set is damaged or hostile.")
        file = folder / name
        if not file.is_file():
            raise SampleSetError(f"{folder} lacks the file {name!r}. Restore it from a copy, or make the set again.")
        size = file.stat().st_size
        if size != known["bytes"] or (thorough and file_digest(file) != known["sha256"]):
            how = f"{size} bytes, {known['bytes']} saved" if size != known["bytes"] else "its checksum differs"
            raise SampleSetError(
                f"{file} was altered since the set was saved ({how}). "
                "Restore it from a copy; SampleSet.open(path, verify=False) skips the checksum, not the size."
            )


def _modality(folder: Path, name: str, spec: ModalitySpec, files: dict[str, Any]) -> ModalityData:
    fields: dict[str, NDArray[Any]] = {}
    for field in (*FIELDS.get(spec.kind, ()), "present"):
        file = folder / f"{name}.{field}.npy"
        if file.name not in files:  # what the manifest does not name was not checked, so it is not read
            continue
        try:
            fields[field] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            if "empty" not in str(error):  # an array of no elements cannot be mapped
                raise SampleSetError(f"{file} cannot be read ({error}). Restore it from a copy.") from error
            fields[field] = np.load(file, allow_pickle=False)
    if "present" not in fields:
        raise SampleSetError(f"{folder} lacks the file '{name}.present.npy'. Restore it from a copy, or make the set again.")
    present = np.asarray(fields.pop("present"))
    return ModalityData(spec, fields, present)
