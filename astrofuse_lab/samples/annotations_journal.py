"""A file of JSON lines that is only ever added to: what `add` has returned from survives a kernel that is killed the moment after.

Several kernels may write one journal at once: each line goes to the end in one piece, under a lock of the system's, and is on the
disk (fsync) before `add` returns. A line that a kill or a full disk tore is skipped when reading, counted in `Journal.torn`, and costs
no other line. The first line says what the file is; nothing else is ever written over.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.storage import storage_errors

FORMAT, VERSION = "astrofuse-labels", 1
HEADER = (json.dumps({"format": FORMAT, "version": VERSION}) + "\n").encode()
LARGEST = 256 * 1024**2
"""Bytes of a file that is read at most."""
LINE = 1024**2
"""Bytes of a line that is read at most."""
Entry = dict[str, Any]


class Journal:
    """Entries (dictionaries that JSON can hold) in the order they were added, by this process or others.

    Parameters
    ----------
    path : path, optional
        The file, made with the first entry. None: memory only.

    Attributes
    ----------
    entries : list of dict
        All that are known here.
    waiting : list of dict
        Those that could not be written yet; they go with the next `add`.
    torn : int
        Lines that cannot be read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self.waiting: list[Entry] = []
        self.torn = 0
        self._read_to = 0
        self._file: tuple[int, int] | None = None

    def news(self) -> tuple[list[Entry], bool]:
        """Entries added since this was last asked, and whether they are all there are because the file is another one now.

        Raises
        ------
        SampleSetError
            If the file is no such journal, of a later version, or too large.
        StorageError
            If it cannot be read.
        """
        if self.path is None:
            return [], False
        with storage_errors(self.path):
            try:
                descriptor = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return [], False
            try:
                return self._news(descriptor)
            finally:
                os.close(descriptor)

    def add(self, entries: Sequence[Entry]) -> tuple[list[Entry], bool]:
        """Write entries at the end, and those that still wait; gives what others added before, as `news` does.

        Raises
        ------
        StorageError
            If they cannot be written; they wait in memory.
        SampleSetError
            As `news`; nothing is written.
        """
        self.waiting += entries
        if self.path is None:
            self.waiting.clear()
            self.entries += entries
            return [], False
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                with _locked(descriptor):
                    found, anew = self._news(descriptor)
                    lost = list(self.entries) if self._read_to == 0 else []  # the file was taken away: all goes into the new one
                    self._append(descriptor, [*lost, *self.waiting])
            finally:
                os.close(descriptor)
            if fresh:
                _sync_folder(self.path.parent)
        self.entries += self.waiting
        self.waiting = []
        return found, anew

    def _news(self, descriptor: int) -> tuple[list[Entry], bool]:
        state = os.fstat(descriptor)
        if state.st_size > LARGEST:
            raise SampleSetError(f"{self.path} has {state.st_size} bytes, {LARGEST} at most: it is no journal of labels.")
        same = self._file == (state.st_dev, state.st_ino) and state.st_size >= self._read_to
        begin = self._read_to if same else 0
        data = _read(descriptor, begin, state.st_size - begin)
        whole = data[: data.rfind(b"\n") + 1]  # what follows the last end of line is being written, or was torn
        if begin == 0:
            whole_header, _, rest = whole.partition(b"\n")
            if not whole and HEADER.startswith(data):
                self._read_to = 0
                return [], False  # empty, or torn in its first line
            self._check(whole_header)
        else:
            rest = whole
        torn, found = _parsed(rest)
        anew = begin == 0 and self._file is not None
        self.torn = torn + (self.torn if begin else 0)
        self._file, self._read_to = (state.st_dev, state.st_ino), begin + len(whole)
        self.entries = found if begin == 0 else [*self.entries, *found]
        return list(found), anew

    def _check(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            version = said["version"] if said["format"] == FORMAT else None
        except (ValueError, RecursionError, KeyError, TypeError):
            version = None
        if not isinstance(version, int):
            raise SampleSetError(f"{self.path} is no journal of labels: its first line is {line[:60]!r}. Move it away or give another path; nothing is written over it.")
        if version > VERSION:
            raise SampleSetError(f"{self.path} was written by a later version (format {version}, this one reads {VERSION}). Update astrofuse-lab.")

    def _append(self, descriptor: int, entries: Sequence[Entry]) -> None:
        size = os.fstat(descriptor).st_size
        text = b"".join(json.dumps(entry, separators=(",", ":"), allow_nan=False).encode() + b"\n" for entry in entries)
        if self._read_to == 0 and size:  # torn in its first line: begun anew
            os.ftruncate(descriptor, 0)
            size = 0
        if size == 0:
            text = HEADER + text
        elif _read(descriptor, size - 1, 1) != b"\n":
            text = b"\n" + text
        try:
            _write(descriptor, text)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        state = os.fstat(descriptor)
        self._file, self._read_to = (state.st_dev, state.st_ino), state.st_size


def _write(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]


def _read(descriptor: int, begin: int, size: int) -> bytes:
    pieces = []
    os.lseek(descriptor, begin, os.SEEK_SET)
    while size > 0 and (piece := os.read(descriptor, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _parsed(text: bytes) -> tuple[int, list[Entry]]:
    """How many lines cannot be read, and the entries of the others."""
    torn, found = 0, []
    for line in text.split(b"\n"):
        if not line.strip():
            continue
        try:
            entry = json.loads(line) if len(line) <= LINE else None
        except (ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict):
            found.append(entry)
        else:
            torn += 1
    return torn, found


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """One writer at a time; where the system has no such lock, appending in one piece has to do."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _sync_folder(folder: Path) -> None:
    """Put a new file's name on the disk, where folders can be synced."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def text_of(entry: Mapping[str, Any], name: str) -> str:
    """A field that must be text; else "". Journals may come from elsewhere."""
    value = entry.get(name, "")
    return value if isinstance(value, str) else ""
