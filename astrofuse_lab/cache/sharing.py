"""Answers handed on: record once, replay all term.

``export`` makes one folder (or, where its name ends in ``.tar``, one file) with the answers as they are and a
``manifest.json`` that holds the sha256 of each; ``add`` takes such a folder over after checking every one of them. Names are
never used as paths: each must be a survey's folder, a request and a file as `answers` makes them, or nothing is taken.
"""

import hashlib
import io
import json
import os
import re
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from astrofuse_lab.cache.bounds import Space, files
from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.storage import cache_root, new_folder, storage_errors, write_bytes

MANIFEST = "manifest.json"
FORMAT = "astrofuse-lab answers"
VERSION = 1
NAME = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*)/([0-9a-f]{24})/((?:many-)?[0-9a-f]{32})\.answer")
LARGEST = 1024**3  # bytes of one answer
LARGEST_MANIFEST = 256 * 1024**2


class Holder(Protocol):
    """What `af.fetch` gives back: it names the answers it rests on."""

    def answers(self) -> list[str]:
        """Paths of the answers."""
        ...


def export(path: str | Path, found: Holder | None = None, *, overwrite: bool = False) -> Path:
    """Answers for others: what a fetch found, or everything in the cache.

    Parameters
    ----------
    path : str or Path
        A new folder, or a new file whose name ends in ``.tar``.
    found : Found, optional
        None: all answers.
    overwrite : bool
        Replace an earlier export.

    Returns
    -------
    Path

    Raises
    ------
    StorageError
        If the place is taken, full or read-only, or an answer was altered.
    InputError
        If there is nothing to export.
    """
    path, root = Path(path), cache_root() / "answers"
    chosen = found.answers() if found is not None else sorted(one.path for one in files(root) if one.path.endswith(".answer"))
    listed = {name: one for one in chosen if (name := _name(one, root)) is not None}
    if not listed:
        raise InputError("there are no answers to export. Fetch something first; export(path, found) takes what a fetch found.")
    with _target(path, overwrite) as write:
        sums = {}
        for name, one in listed.items():
            content = _sound(one)
            sums[name] = hashlib.sha256(content).hexdigest()
            write(name, content)
        manifest = {"format": FORMAT, "version": VERSION, "made": datetime.now().astimezone().isoformat(timespec="seconds"), "files": sums}
        write(MANIFEST, json.dumps(manifest, indent=1).encode())
    return path


def add(path: str | Path) -> int:
    """Take over answers that somebody exported; an answer here that is newer stays.

    Parameters
    ----------
    path : str or Path
        The folder or ``.tar`` file that `export` made.

    Returns
    -------
    int
        How many answers were new.

    Raises
    ------
    StorageError
        If it is no such folder, a file is missing, altered or has a name that `export` does not make, or the disk is full.
        Nothing is taken then.
    """
    from astrofuse_lab.cache.answers import opened, parted, place

    path, root = Path(path), cache_root() / "answers"
    with _source(path) as read:
        sums = _manifest(read(MANIFEST, LARGEST_MANIFEST), path)
        for name, wanted in sums.items():  # all are checked before the first is taken
            content = read(name, LARGEST)
            if content is None or hashlib.sha256(content).hexdigest() != wanted or not parted(content)[0]:
                raise StorageError(f"{path}: {name} is missing or was altered, so nothing was taken. Get the export anew.")
        taken, space = 0, Space(root)
        for name in sums:
            survey, request, stem = NAME.fullmatch(name).groups()  # type: ignore[union-attr]
            target, content = place(root / survey / request, stem), read(name, LARGEST) or b""
            head, here = parted(content)[0], opened(target)[0]
            if not head or (here and here["retrieved"] >= head["retrieved"]):
                continue
            space.need(len(content))
            write_bytes(Path(target), content)
            with suppress(OSError, ValueError):  # the newest answer about a target counts: as old as it is, not as its copy
                os.utime(target, (time.time(), datetime.fromisoformat(head["retrieved"]).timestamp()))
            taken += 1
    return taken


def _name(path: str, root: Path) -> str | None:
    """The name of an answer in an export: survey, request and file, whatever folders lie between."""
    parts = os.path.relpath(path, root).split(os.sep)
    name = "/".join((*parts[:2], parts[-1]))
    return name if len(parts) >= 3 and NAME.fullmatch(name) else None


def _sound(path: str) -> bytes:
    from astrofuse_lab.cache.answers import parted

    try:
        content = Path(path).read_bytes()
    except OSError:
        content = b""
    if not parted(content)[0]:
        raise StorageError(f"the cached answer {path} has gone or was altered. Fetch again, then export.")
    return content


def _manifest(content: bytes | None, path: Path) -> dict[str, str]:
    """Names and checksums; StorageError where it is no manifest of ours."""
    try:
        data: Any = json.loads(content or b"")
        sums = data["files"]
        good = data["format"] == FORMAT and data["version"] == VERSION and isinstance(sums, dict)
    except (ValueError, KeyError, TypeError, RecursionError):
        good, sums = False, {}
    if not good:
        raise StorageError(f"{path} holds no answers exported by af.cache.export (no {MANIFEST} of version {VERSION}).")
    for name, digest in sums.items():
        if not NAME.fullmatch(name) or not isinstance(digest, str):
            raise StorageError(f"{path}: {name!r} is no name of an answer, so nothing was taken.")
    return sums


@contextmanager
def _target(path: Path, overwrite: bool) -> Iterator[Callable[[str, bytes], None]]:
    """What writes files into a new folder or tar, all or nothing."""
    if path.suffix != ".tar":
        with new_folder(path, overwrite, (MANIFEST,)) as folder:

            def put(name: str, content: bytes) -> None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)

            yield put
        return
    if path.exists() and not overwrite:
        raise StorageError(f"{path} already exists. Pass overwrite=True to replace it, or give another path.")
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with storage_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(partial, "w") as tar:

                def pack(name: str, content: bytes) -> None:
                    member = tarfile.TarInfo(name)
                    member.size, member.mtime = len(content), int(time.time())
                    tar.addfile(member, io.BytesIO(content))

                yield pack
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _source(path: Path) -> Iterator[Callable[[str, int], bytes | None]]:
    """What reads files of a folder or tar by their names; None for what is missing, too long, or no plain file."""
    if path.is_dir():

        def get(name: str, most: int) -> bytes | None:
            place = path / name
            if any(part.is_symlink() for part in (place, *list(place.parents)[: name.count("/")])) or not place.is_file() or place.stat().st_size > most:
                return None
            return place.read_bytes()

        yield get
        return
    try:
        with tarfile.open(path, "r:") as tar:
            members = {member.name: member for member in tar if member.isreg()}

            def unpack(name: str, most: int) -> bytes | None:
                member = members.get(name)
                file = tar.extractfile(member) if member is not None and member.size <= most else None
                return file.read() if file is not None else None

            yield unpack
    except (tarfile.TarError, FileNotFoundError, IsADirectoryError) as error:
        raise StorageError(f"{path} is no folder or tar file made by af.cache.export ({error}).") from error
