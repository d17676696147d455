"""Labels and notes that a person adds to objects, kept with the set: a small JSON file in its folder, or memory.

The file is none of those that the manifest seals, since it changes while the set does not. Sets that `load_samples` keeps in
the cache have theirs in ``annotations/`` of the cache folder, which outlives them. No model reads any of it;
`SampleSet.with_labels` makes a column of the labels where that is wanted.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import AstroFuseError, InputError, SampleSetError, StorageError
from astrofuse_lab.storage import cache_root, write_json

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet

FILE = "annotations.json"
FORMAT, VERSION = "astrofuse-annotations", 1
LABEL, NOTE, LABELS = 80, 10_000, 200
"""Characters of a label and of a note, and labels in use, at most."""
LARGEST = 256 * 1024**2
"""Bytes of a file that is read at most."""


class Annotation(NamedTuple):
    """What a person said of one object: a label, a note (either may be empty), and when (UTC, ISO 8601)."""

    label: str
    note: str
    time: str = ""


class Annotations:
    """Labels and notes by object_id; views of a set and sets made of it share them.

    Parameters
    ----------
    path : path, optional
        The file; read when first asked for, written after each change, all or nothing. None: memory only.

    Attributes
    ----------
    unsaved : bool
        The last change could not be written; it is kept in memory and goes with the next one.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.unsaved = False
        self._labels: list[str] = []
        self._objects: dict[str, Annotation] = {}
        self._seen: tuple[int, int] | None = None
        self._watchers: list[Callable[[list[str]], None]] = []
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_watchers": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    # ---- reading -------------------------------------------------------------------------------------------------

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in use, in the order they were first given."""
        with self._lock:
            self._refresh()
            return tuple(self._labels)

    def get(self, object_id: str) -> Annotation:
        """What was said of an object; empty where nothing was."""
        with self._lock:
            self._refresh()
            return self._objects.get(str(object_id), Annotation("", ""))

    def __len__(self) -> int:
        with self._lock:
            self._refresh()
            return len(self._objects)

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            self._refresh()
            return iter(list(self._objects))

    def table(self, ids: Iterable[str] | None = None) -> "Table":
        """One row an annotated object: object_id, label, note, time. `ids`: only these."""
        from astropy.table import Table

        chosen = list(self) if ids is None else [i for i in map(str, ids) if i in set(self)]
        rows = [(i, *self.get(i)) for i in chosen]
        return Table(rows=rows or None, names=("object_id", "label", "note", "time"), dtype=("str",) * 4)

    # ---- writing -------------------------------------------------------------------------------------------------

    def set(self, ids: str | Iterable[str], label: str | None = None, note: str | None = None) -> None:
        """Say something of one object or several; `SampleSet.annotate` also looks whether they exist.

        Parameters
        ----------
        ids : str or iterable of str
        label, note : str, optional
            None leaves it as it is, ``""`` takes it away.

        Raises
        ------
        InputError
            If a label or note is too long, or there are too many labels.
        StorageError
            If the file cannot be written; the change is kept in memory.
        SampleSetError
            If the file is damaged; it is not overwritten.
        """
        wanted = [ids] if isinstance(ids, str) else [str(i) for i in ids]
        label, note = _checked("label", label, LABEL), _checked("note", note, NOTE)
        with self._lock:
            self._refresh()
            if label and label not in self._labels:
                if len(self._labels) >= LABELS:
                    raise InputError(f"{LABELS} labels are in use, the most there can be; {label!r} would be one more. Write it as a note.")
                self._labels.append(label)
            when = datetime.now(UTC).isoformat(timespec="seconds")
            for object_id in wanted:
                old = self._objects.get(object_id, Annotation("", ""))
                new = Annotation(old.label if label is None else label, old.note if note is None else note, when)
                if new[:2] == ("", ""):
                    self._objects.pop(object_id, None)
                else:
                    self._objects[object_id] = new
            failed: AstroFuseError | None = None
            try:
                self._write()
            except AstroFuseError as error:
                failed = error
        for tell in list(self._watchers):  # what is kept in memory only is said all the same
            tell(wanted)
        if failed is not None:
            raise failed

    def watch(self, call: Callable[[list[str]], None]) -> None:
        """Call with the ids after each change made in this process, on the thread that makes it."""
        self._watchers.append(call)

    def unwatch(self, call: Callable[[list[str]], None]) -> None:
        """Call no more."""
        if call in self._watchers:
            self._watchers.remove(call)

    def _write(self) -> None:
        if self.path is None:
            return
        self.unsaved = True
        write_json(self.path, self.to_json())
        self.unsaved = False
        self._seen = _stamp(self.path)

    def to_json(self, ids: Iterable[str] | None = None) -> dict[str, Any]:
        """As a dictionary that JSON can hold; `ids`: only these objects."""
        with self._lock:
            self._refresh()
            chosen = set(self._objects) if ids is None else set(map(str, ids))
            objects = {i: one._asdict() for i, one in self._objects.items() if i in chosen}
            return {"format": FORMAT, "version": VERSION, "labels": list(self._labels), "objects": objects}

    # ---- the file ------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Read the file where it is another than the one last seen, so that two notebooks do not undo each other's work."""
        if self.path is None or self.unsaved or (stamp := _stamp(self.path)) is None or stamp == self._seen:
            return
        labels, objects = _read(self.path)
        self._labels, self._objects, self._seen = labels, objects, stamp

    def __repr__(self) -> str:
        return f"Annotations({len(self)} objects, labels: {', '.join(self.labels) or 'none'}; {f'kept in {self.path}' if self.path else 'in memory, samples.save(path) keeps them'})"


def _checked(what: str, text: str | None, most: int) -> str | None:
    if text is None:
        return None
    text = str(text).strip() if what == "note" else " ".join(str(text).split())
    text = text.encode("utf-8", "replace").decode()  # lone surrogates cannot be written
    if len(text) > most:
        raise InputError(f"a {what} of {len(text)} characters; {most} at most. Shorten it{', or write it as a note' if what == 'label' else ''}.")
    return text


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be looked at ({error.strerror}).") from error
    return state.st_mtime_ns, state.st_size


def _read(path: Path) -> tuple[list[str], dict[str, Annotation]]:
    """Labels and annotations of a file.

    Raises
    ------
    SampleSetError
        If it is damaged, too large or of a later version.
    """
    damaged = f"{path} is damaged (%s). Restore it from a copy, or move it away to begin anew; nothing is written over it."
    try:
        if path.stat().st_size > LARGEST:
            raise SampleSetError(damaged % f"{path.stat().st_size} bytes, {LARGEST} at most")
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise KeyError("format")
        if data["version"] > VERSION:
            raise SampleSetError(f"{path} was written by a later version (format {data['version']}, this one reads {VERSION}). Update astrofuse-lab.")
        objects = {}
        for object_id, one in data["objects"].items():
            objects[object_id] = Annotation(*(_text(one.get(name, "")) for name in Annotation._fields))
        given = [_text(label) for label in data["labels"]]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise SampleSetError(damaged % (repr(error)[:200])) from error
    labels = list(dict.fromkeys([*given, *(one.label for one in objects.values())]))
    return [label for label in labels if label], objects


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value


def beside(folder: Path | None) -> Path | None:
    """Where the annotations of a set in this folder are kept: in it, or, for sets that the cache keeps, in ``annotations/`` of the cache."""
    if folder is None:
        return None
    cached = (cache_root() / "samples").resolve()
    return cached.parent / "annotations" / f"{folder.name}.json" if folder.parent == cached else folder / FILE


def labelled(samples: "SampleSet", name: str, role: str) -> "SampleSet":
    """The set with a person's labels as a text column, missing where there is none; see `SampleSet.with_labels`."""
    if name in samples.roles:
        raise InputError(f"there is a column {name!r} already; its role is {samples.roles[name]!r}. Give another name.")
    if role not in ("other", "target", "group", "split"):
        raise InputError(f"role {role!r} for labels: they are words. Give 'other', 'target', 'group' or 'split'.")
    return with_column(samples, name, pa.array([samples.annotations.get(str(i)).label or None for i in samples.object_ids], pa.string()), role)


def with_column(samples: "SampleSet", name: str, values: pa.Array, role: str) -> "SampleSet":
    """The same objects over the same arrays with one scalar column more: a value a sample, in order."""
    place = np.full(len(samples._columns), -1)
    place[samples.rows()] = np.arange(len(samples))
    made = samples._view(samples.rows())
    made._columns = samples._columns.append_column(name, values.take(pa.array(place, mask=place < 0)))
    made._roles = {**samples.roles, name: role}
    return made
