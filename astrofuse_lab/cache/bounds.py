"""How much the answers may take, and what goes first when they would take more."""

import json
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.storage import cache_root, write_json

LIMIT = 20e9
"""Bytes, where nothing else was said."""
FILE = "limit.json"
LEFT = 0.9  # of the limit, after room was made: not at each answer anew
RECOUNT = 0.05  # of the limit: after so many bytes of our own we look what other kernels wrote


class File(NamedTuple):
    """One answer on disk: path, survey (folder name), bytes, when it was last used (ns)."""

    path: str
    survey: str
    size: int
    used: int


def files(root: Path) -> Iterator[File]:
    """All answers below a folder, also what was left half-written."""
    for folder, _, names in os.walk(root):
        if folder == str(root):
            continue
        survey = os.path.relpath(folder, root).split(os.sep)[0]
        for name in names:
            path = os.path.join(folder, name)
            try:
                now = os.stat(path)
            except OSError:  # taken away by another kernel just now
                continue
            yield File(path, survey, now.st_size, max(now.st_atime_ns, now.st_mtime_ns))


def remove(some: Iterable[File]) -> int:
    """Delete answers; the bytes freed. What another kernel deleted first is not ours to count."""
    freed = 0
    for one in some:
        try:
            os.unlink(one.path)
            freed += one.size
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"{one.path} cannot be deleted ({error.strerror}).") from error
    return freed


def limit(most: float | None = None) -> float:
    """How many bytes the answers may take on this machine; what was not used for longest goes first.

    Parameters
    ----------
    most : float, optional
        A new limit, kept for all kernels; ``math.inf`` for none. Takes effect at once.

    Returns
    -------
    float
        The limit that holds.

    Raises
    ------
    InputError
        If `most` is no positive number.
    """
    root = cache_root() / "answers"
    if most is not None:
        if isinstance(most, bool) or not isinstance(most, float | int) or math.isnan(most) or most <= 0:
            raise InputError(f"most={most!r} is no number of bytes above zero. Type e.g. af.cache.limit(5e9), or math.inf for no limit.")
        write_json(root / FILE, {"bytes": None if math.isinf(most) else float(most)})
        make_room(root, float(most))
    return limit_of(root)


def limit_of(root: Path) -> float:
    """The limit noted in a folder of answers."""
    try:
        said = json.loads((root / FILE).read_text())["bytes"]
        return math.inf if said is None else float(said)
    except (OSError, ValueError, KeyError, TypeError):
        return LIMIT


def make_room(root: Path, most: float, coming: int = 0, since: int | None = None) -> int:
    """Delete what was not used for longest until `coming` more bytes fit.

    Parameters
    ----------
    since : int, optional
        ns since 1970: answers used later are in use and stay.

    Returns
    -------
    int
        Bytes that are left.

    Raises
    ------
    StorageError
        If what is in use leaves no room.
    """
    held = sorted(files(root), key=lambda one: one.used)
    total = sum(one.size for one in held)
    if total + coming <= most:
        return total
    for one in held:
        if total + coming <= most * LEFT or (since is not None and one.used >= since):
            break
        remove([one])
        total -= one.size  # gone, whoever was first: another kernel may have made room at the same time
    if total + coming > most:
        raise StorageError(
            f"the answers of this fetch take more than the cache may hold ({most / 1e6:,.0f} MB). "
            f"Type af.cache.limit({2 * max(most, total + coming):.2g}) and fetch again; only what is missing is asked for."
        )
    return total


class Space:
    """The room that one fetch has: counts what it writes and makes room in time.

    Parameters
    ----------
    root : Path
        The folder of the answers.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._total: int | None = None
        self._own = 0
        self._since = time.time_ns()

    def need(self, length: int) -> None:
        """Room for so many bytes more.

        Raises
        ------
        StorageError
            If all there is was used since this fetch began.
        """
        with self._lock:
            most = limit_of(self.root)
            if self._total is None or self._total + length > most or self._own > RECOUNT * most:
                self._total, self._own = make_room(self.root, most, length, self._since), 0
            self._total += length
            self._own += length
