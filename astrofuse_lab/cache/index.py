"""Which answer file holds which target, in one SQLite file, so that a lookup of 100,000 targets opens none of theirs.

The index only repeats what the files say. It is brought up to date at each lookup (folders that changed are listed, files
that are new or were altered are read once), made anew when it is missing or damaged, and kept in memory where the disk
allows no such file. SQLite's locks let several kernels use it at once.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

NAME = "index.sqlite"
VERSION = 1
BUSY = 0.5  # s that another kernel may hold the file
BUFFERED = 256  # answers noted in one go
SETTLED = 2_000_000_000  # ns: a folder changed more recently may change again without a new date
ASKED = 500  # keys in one question, below SQLite's limit on parameters

FIND = "SELECT key, folder, name, size, mtime, found FROM held JOIN files ON files.id = held.file WHERE request = ? AND key IN ({}) ORDER BY mtime"

TABLES = """
CREATE TABLE folders (name TEXT PRIMARY KEY, mtime INTEGER) WITHOUT ROWID;
CREATE TABLE files (id INTEGER PRIMARY KEY, folder TEXT, name TEXT, size INTEGER, mtime INTEGER, UNIQUE (folder, name));
CREATE TABLE held (request TEXT, key TEXT, file INTEGER, found INTEGER, PRIMARY KEY (request, key, file)) WITHOUT ROWID;
CREATE INDEX held_file ON held (file);
"""


class Row(NamedTuple):
    """One answer file: the folder of its request, path, bytes, date in ns, and (key, found) of each target."""

    request: Path
    path: str
    size: int
    mtime: int
    pairs: tuple[tuple[str, bool], ...]


class Place(NamedTuple):
    """Where the newest answer about one target is noted to lie."""

    path: str
    size: int
    mtime: int
    found: bool


class Index:
    """The index of one cache.

    Parameters
    ----------
    root : Path
        The folder of the answers, which need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._rows: list[Row] = []
        self._open: sqlite3.Connection | None = None
        self._in_memory = False

    def add(self, row: Row) -> None:
        """Note a file just written; many are written down in one go."""
        with self._lock:
            self._rows.append(row)
            full = len(self._rows) >= BUFFERED
        if full:
            self.flush()

    def flush(self) -> None:
        """Write down what was noted. What cannot be written down is found by the next lookup."""
        with self._lock:
            rows, self._rows = self._rows, []
            if rows:
                self._safely(lambda base: self._enter(base, rows))

    def sync(
        self, request: Path, read: Callable[[str], tuple[Mapping[str, Any], bytes]], stopped: Callable[[], bool] = lambda: False,
        changed: Collection[str] = (),
    ) -> None:  # fmt: skip
        """Bring the index up to date with the files of one request.

        Parameters
        ----------
        request : Path
            Their folder.
        read : callable
            Header and body of a file, empty where it is not whole.
        stopped : callable
            Says True when there is no more time.
        changed : collection of str
            Folders to be listed even where their date is as noted.
        """
        self.flush()
        with self._lock:
            begun = False
            while not begun:
                begun, in_memory = True, self._in_memory
                below = [entry.path for entry in _entries(request) if entry.is_dir(follow_symlinks=False)]
                for folder in (str(request), *below):
                    # one transaction a folder, so that other kernels wait for moments only
                    if self._safely(partial(self._folder, request=request, folder=folder, read=read, stopped=stopped, listed=folder in changed)) is False:
                        return
                    if self._in_memory != in_memory:  # shut out of the file half-way: what was noted there is not here
                        begun = False
                        break

    def find(self, request: Path, keys: Iterable[str]) -> dict[str, Place]:
        """The newest file about each of these targets that has one."""
        wanted, name, root = list(keys), self._name(request), str(self.root)

        def look(base: sqlite3.Connection) -> dict[str, Place]:
            newest: dict[str, Place] = {}
            for start in range(0, len(wanted), ASKED):
                some = wanted[start : start + ASKED]
                query = FIND.format(",".join("?" * len(some)))
                for key, folder, file, size, mtime, there in base.execute(query, (name, *some)):
                    newest[key] = Place(f"{root}{os.sep}{folder}{os.sep}{file}", size, mtime, bool(there))
            return newest

        with self._lock:
            return self._safely(look) or {}

    def mean_size(self, survey: Path) -> float | None:
        """Bytes a target in the files noted below one folder."""
        name = self._name(survey)
        query = "SELECT SUM(size), SUM((SELECT COUNT(*) FROM held WHERE file = files.id)) FROM files WHERE folder >= ? AND folder < ?"
        with self._lock:
            said = self._safely(lambda base: base.execute(query, (f"{name}/", f"{name}0")).fetchone())  # "0" follows "/"
        return said[0] / said[1] if said and said[1] else None

    # ---- inside ------------------------------------------------------------------------------------------------

    def _name(self, folder: str | Path) -> str:
        return os.path.relpath(folder, self.root).replace(os.sep, "/")

    def _safely(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do it in one transaction: in the file, in a new one where it is damaged, in memory where there can be none."""
        if not self.root.is_dir():
            return None
        for attempt in range(3):
            try:
                base = self._base(attempt == 2)
                with base:
                    return work(base)
            except sqlite3.Error as error:
                self._close()
                if attempt == 0 and not isinstance(error, sqlite3.OperationalError):  # operational: locked, read-only, full; else damaged
                    for end in ("", "-journal"):
                        with suppress(OSError):
                            os.unlink(self.root / f"{NAME}{end}")
        return None

    def _base(self, in_memory: bool) -> sqlite3.Connection:
        if self._open is None:
            where = ":memory:" if in_memory else str(self.root / NAME)
            base = sqlite3.connect(where, timeout=BUSY, check_same_thread=False, isolation_level=None)
            try:
                # the files are what counts: a machine that loses power may lose the index
                base.execute("PRAGMA synchronous = OFF")
                base.execute("BEGIN IMMEDIATE")
                version = base.execute("PRAGMA user_version").fetchone()[0]
                if version != VERSION:
                    for kind, name in base.execute("SELECT type, name FROM sqlite_master WHERE type = 'table'").fetchall():
                        base.execute(f"DROP {kind} {name}")
                    for line in TABLES.strip().split(";"):
                        base.execute(line)
                    base.execute(f"PRAGMA user_version = {VERSION}")
                base.execute("COMMIT")
            except sqlite3.Error:
                base.close()
                raise
            base.isolation_level = "IMMEDIATE"
            self._open, self._in_memory = base, in_memory
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            with suppress(sqlite3.Error):
                self._open.close()
            self._open = None

    def _enter(self, base: sqlite3.Connection, rows: Iterable[Row]) -> None:
        for row in rows:
            folder, name = self._name(os.path.dirname(row.path)), os.path.basename(row.path)
            self._drop(base, folder, [name])
            number = base.execute("INSERT INTO files (folder, name, size, mtime) VALUES (?, ?, ?, ?)", (folder, name, row.size, row.mtime)).lastrowid
            request = self._name(row.request)
            base.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", [(request, key, number, found) for key, found in row.pairs])

    def _drop(self, base: sqlite3.Connection, folder: str, names: Iterable[str]) -> None:
        for name in names:
            for (number,) in base.execute("SELECT id FROM files WHERE folder = ? AND name = ?", (folder, name)).fetchall():
                base.execute("DELETE FROM held WHERE file = ?", (number,))
                base.execute("DELETE FROM files WHERE id = ?", (number,))

    def _folder(self, base: sqlite3.Connection, request: Path, folder: str, read: Callable[[str], Any], stopped: Callable[[], bool], listed: bool) -> bool:
        """Bring one folder up to date; False when stopped half-way."""
        try:
            date = os.stat(folder).st_mtime_ns
        except OSError:
            return True  # cleared by another kernel just now
        name = self._name(folder)
        known = base.execute("SELECT mtime FROM folders WHERE name = ?", (name,)).fetchone()
        if known and known[0] == date and not listed:
            return True
        settled = time.time_ns() - date > SETTLED
        whole = self._list(base, request, folder, read, stopped)
        if whole:
            base.execute("INSERT OR REPLACE INTO folders VALUES (?, ?)", (name, date if settled else 0))
        return whole

    def _list(self, base: sqlite3.Connection, request: Path, folder: str, read: Callable[[str], Any], stopped: Callable[[], bool]) -> bool:
        """Compare the files of one folder with what is noted; False when stopped half-way."""
        name = self._name(folder)
        noted = {n: (size, mtime) for n, size, mtime in base.execute("SELECT name, size, mtime FROM files WHERE folder = ?", (name,))}
        for entry in _entries(folder):
            try:
                now = entry.stat()
                if not entry.is_file():
                    continue
            except OSError:
                continue
            if noted.pop(entry.name, None) == (now.st_size, now.st_mtime_ns):
                continue
            if stopped():
                return False
            if entry.name.startswith("."):
                read(entry.path)  # clears away what a killed process left
            elif entry.name.endswith(".answer"):
                head = read(entry.path)[0]
                back = set(head.get("found", ()))
                pairs = tuple((key, i in back) for key, i in zip(head.get("keys", ()), head.get("ids", ()), strict=True))
                # a file that is not whole is noted too, as holding nothing, so that it is not read each time
                self._enter(base, [Row(request, entry.path, now.st_size, now.st_mtime_ns, pairs)])
        self._drop(base, name, noted)
        return True


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
