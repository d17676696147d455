"""Embeddings as folders: arrays in .npy files, the rest in ``embedding.json``, never a pickle.

::

    embedding.json            spaces, method, notes, seed, and for each array its file, type, shape and sha256
    coordinates.0.npy ...     by number of the space: coordinates, present, vectors, near and far (neighbours and distances), units, mean and axes (of PCA)
    ids.npy, parts.npy, label.0.npy, label.0.mask.npy ...

Every file is compared with what ``embedding.json`` says of it before any of it is used.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import StorageError
from astrofuse_lab.explain.planes import METHODS
from astrofuse_lab.storage import new_folder, write_bytes, write_json

if TYPE_CHECKING:
    from astrofuse_lab.explain.embedding import Embedding

FORMAT, VERSION = "astrofuse-embedding", 1
INDEX = "embedding.json"
LARGEST_INDEX = 16 * 1024**2
MOST_SPACES, MOST_LABELS = 1000, 1000
KINDS = "fiubU"
"""Kinds of numbers and texts that a file may hold; no objects."""
Array = NDArray[Any]


def save(embedding: "Embedding", folder: Path, overwrite: bool) -> Path:
    """See `Embedding.save`."""
    for space in embedding.spaces:
        embedding.near(space)  # so that they are kept
    folder = folder.expanduser()
    with new_folder(folder, overwrite=overwrite, holds=(INDEX,)) as made:
        listed = {}
        for name, array in _arrays(embedding).items():
            content = io.BytesIO()
            np.save(content, np.ascontiguousarray(array), allow_pickle=False)
            listed[name] = {"bytes": content.getbuffer().nbytes, "sha256": hashlib.sha256(content.getbuffer()).hexdigest()}
            write_bytes(made / f"{name}.npy", content.getvalue())
        data = {
            "format": FORMAT, "version": VERSION, "spaces": list(embedding.spaces), "labels": list(embedding.labels), "method": embedding.method,
            "notes": list(embedding.notes), "k": embedding.k, "seed": embedding.seed, "made_by": embedding.made_by, "files": listed,
        }  # fmt: skip
        write_json(made / INDEX, data)
    return folder.resolve()


def _arrays(embedding: "Embedding") -> dict[str, Array]:
    out: dict[str, Array] = {"ids": _text(embedding.object_ids), "parts": _text(embedding.parts)}
    for i, space in enumerate(embedding.spaces):
        out |= {f"coordinates.{i}": embedding.coordinates[space], f"present.{i}": embedding.present[space], f"vectors.{i}": embedding._vectors[space]}
        out[f"near.{i}"], out[f"far.{i}"] = embedding._near[space]
        if space in embedding.axes:
            out[f"mean.{i}"], out[f"axes.{i}"] = embedding.axes[space]
        if space in embedding._units:
            out[f"units.{i}"] = embedding._units[space]
    for i, values in enumerate(embedding.labels.values()):
        data = np.asarray(np.ma.getdata(values))
        out[f"label.{i}"] = data if data.dtype.kind in "fiub" else _text(data)
        if np.ma.getmaskarray(values).any():
            out[f"label.{i}.mask"] = np.ma.getmaskarray(values)
    return out


def _text(values: Array) -> Array:
    return np.asarray([str(one) for one in values], dtype=np.str_) if len(values) else np.zeros(0, dtype="U1")


# ---- open ----------------------------------------------------------------------------------------------------------


def open_embedding(folder: Path) -> "Embedding":
    """See `Embedding.open`."""
    from astrofuse_lab.explain.embedding import Embedding

    folder = folder.expanduser()
    data = _index(folder)
    try:
        spaces, labels = [str(one) for one in data["spaces"]], [str(one) for one in data["labels"]]
        if len(spaces) != len(set(spaces)) or not 0 < len(spaces) <= MOST_SPACES or len(labels) > MOST_LABELS or data["method"] not in METHODS:
            raise ValueError("its spaces, labels or method are none")
        read = _Reader(folder, dict(data["files"]))
        ids = read("ids", "U", (None,))
        n = len(ids)
        parts = read("parts", "U", (n,)) if read.size("parts") else np.zeros(0, dtype="U1")
        found: dict[str, dict[str, Any]] = {what: {} for what in ("coordinates", "present", "vectors", "near", "axes", "units")}
        for i, space in enumerate(spaces):
            there = found["present"][space] = read(f"present.{i}", "b", (n,))
            found["coordinates"][space] = read(f"coordinates.{i}", "f", (n, 2))
            found["vectors"][space] = read(f"vectors.{i}", "f", (n, None))
            if not (np.isfinite(found["coordinates"][space]).all(1) == there).all() or not np.isfinite(found["vectors"][space][there]).all():
                raise ValueError(f"coordinates of {space!r} are not those of the samples that have it")
            found["near"][space] = _neighbours(read, i, int(there.sum()))
            width = found["vectors"][space].shape[1]
            if f"axes.{i}" in read.files:
                found["axes"][space] = (read(f"mean.{i}", "f", (width,)), read(f"axes.{i}", "f", (width, 2)))
            if f"units.{i}" in read.files:
                found["units"][space] = read(f"units.{i}", "f", (n, None))
        values = {name: _label(read, i, n) for i, name in enumerate(labels)}
        notes = tuple(str(note) for note in data["notes"])
        return Embedding(
            found["coordinates"], found["present"], ids, str(data["method"]), notes, int(data["k"]), int(data["seed"]), values, parts,
            found["axes"], str(data["made_by"]), found["vectors"], found["units"], found["near"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise StorageError(f"{folder} does not hold an embedding that fits together ({error}). Restore it from a copy, or make it again.") from error


def _index(folder: Path) -> dict[str, Any]:
    file = folder / INDEX
    if not file.is_file():
        raise StorageError(f"{folder} is no folder of an embedding: it holds no {INDEX}. embedding.save(folder) writes one.")
    if file.stat().st_size > LARGEST_INDEX:
        raise StorageError(f"{file} has {file.stat().st_size} bytes, more than any embedding needs. It is damaged or hostile.")
    try:
        data = dict(json.loads(file.read_text()))
        if data["format"] != FORMAT:
            raise KeyError("format")
        version = int(data["version"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(f"{file} is damaged ({type(error).__name__}). Restore it from a copy, or make the embedding again.") from error
    if version > VERSION:
        raise StorageError(f"{folder} was written by a later version (format {version}, this one reads {VERSION}). Update astrofuse-lab.")
    return data


class _Reader:
    """Arrays of a folder, each compared with what was said of it."""

    def __init__(self, folder: Path, files: dict[str, Any]) -> None:
        self.folder, self.files = folder, files

    def size(self, name: str) -> int:
        """Rows that a file says it has."""
        return len(self._open(name))

    def _open(self, name: str) -> Array:
        file, known = self.folder / f"{name}.npy", self.files[name]
        if not file.is_file() or file.is_symlink() or file.stat().st_size != known["bytes"]:
            raise ValueError(f"{file.name} is missing or altered")
        # mapped, so that a header that promises more than the file holds is refused before memory is taken
        return np.load(file, mmap_mode="r", allow_pickle=False)

    def __call__(self, name: str, kinds: str, shape: tuple[int | None, ...]) -> Array:
        """An array of one of these kinds and of this shape; None: any length."""
        mapped = self._open(name)
        fits = mapped.ndim == len(shape) and all(want is None or have == want for have, want in zip(mapped.shape, shape, strict=True))
        if mapped.dtype.kind not in KINDS or mapped.dtype.kind not in kinds or not fits:
            raise ValueError(f"{name}.npy holds {mapped.dtype} of shape {mapped.shape}")
        if hashlib.sha256((self.folder / f"{name}.npy").read_bytes()).hexdigest() != self.files[name]["sha256"]:
            raise ValueError(f"{name}.npy was altered")
        return np.array(mapped)


def _neighbours(read: _Reader, i: int, count: int) -> tuple[Array, Array]:
    near = read(f"near.{i}", "i", (count, None))
    far = read(f"far.{i}", "f", near.shape)
    if near.size and (near.min() < 0 or near.max() >= count):
        raise ValueError(f"near.{i}.npy names samples that are not there")
    return near.astype(np.int64), far


def _label(read: _Reader, i: int, n: int) -> Any:
    values = read(f"label.{i}", KINDS, (n,))
    return np.ma.MaskedArray(values, mask=read(f"label.{i}.mask", "b", (n,))) if f"label.{i}.mask" in read.files else values
