"""Answers by request, one file each.

``answers/<survey>/<request>/<ab>/<targets>.answer``: a line of JSON (what was asked, of which targets, which of them came
back, sha256 of the body), then the body as the archive sent it. Files appear whole or not at all, so a process that is
killed loses nothing but the answer it was waiting for, and several kernels may write at once. Only answers that could be
read are kept; failures never are. `index` knows which file holds what; files alone decide.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from astrofuse_lab.cache.bounds import Space
from astrofuse_lab.cache.index import Index, Row
from astrofuse_lab.errors import StorageError
from astrofuse_lab.storage import cache_root, write_bytes
from astrofuse_lab.surveys.survey import Ask, Raw, Survey
from astrofuse_lab.targets import Target, Targets

LAYOUT = 1
STALE = 3600.0  # s after which a half-written file is taken to be left by a process that was killed
AT_ONCE = 2000  # targets looked up in one go
UNUSED = 60.0  # s after which a look at an answer is noted as a use of it


@dataclass(frozen=True, slots=True)
class Hit:
    """Where the answer about one target lies, whether the target is in it, and whether it is about no other."""

    path: str
    found: bool
    own: bool = False


def target_key(target: Target) -> str:
    """The same text for the same identifier, position and motion."""
    parts: list[object] = [target.object_id, target.ra, target.dec, target.epoch, target.pmra, target.pmdec]
    parts += [target.time, target.identifier] if target.time is not None or target.identifier else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


LONGEST = 100  # signs of a survey's name in a folder's: file systems take 255 bytes


def slug(survey: str) -> str:
    """A survey's name as the name of a folder; what lies in it goes by the whole name."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", survey[:LONGEST]).lstrip(".") or "-"


class Answers:
    """The answers kept on this machine.

    Parameters
    ----------
    root : Path, optional
        None: ``answers`` in the cache folder (`storage.cache_root`).
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path(root) if root is not None else cache_root() / "answers"
        self._index = Index(self.root)
        self._space = Space(self.root)

    def folder(self, survey: Survey, ask: Ask) -> Path:
        """Where answers to this request of this release of the survey lie."""
        settings = getattr(survey, "fingerprint", "")  # a service asked by its address: one name, many ways to ask
        request = json.dumps([LAYOUT, survey.name, survey.release, ask.key(), *([settings] if settings else [])])
        return self.root / slug(survey.name) / hashlib.sha256(request.encode()).hexdigest()[:24]

    def own(self, survey: Survey, ask: Ask, target: Target) -> str:
        """The path of an answer about this target alone."""
        return place(self.folder(survey, ask), target_key(target))

    def check_writable(self) -> None:
        """Fail before the network is asked, not after.

        Raises
        ------
        StorageError
            If nothing can be written there.
        """
        probe = self.root / f".probe-{time.time_ns()}"
        try:
            write_bytes(probe, b"")
            probe.unlink(missing_ok=True)
        except StorageError as error:
            raise StorageError(f"the cache {self.root} cannot be written ({error.__cause__ or error}). Set ASTROFUSE_CACHE to a folder you may write to.") from error

    def keep(self, survey: Survey, ask: Ask, targets: Targets, raw: Raw, found: Iterable[str]) -> str:
        """Write one answer.

        Parameters
        ----------
        targets : Targets
            Those the answer is about, in the order of ``raw.target_ids``.
        found : iterable of str
            The ids that came back.

        Returns
        -------
        str
            Its path, for `load`.

        Raises
        ------
        StorageError
            If the disk is full or read-only, or the cache's limit leaves no room.
        """
        keys, back = [target_key(t) for t in targets], set(found)
        stem = keys[0] if len(keys) == 1 else "many-" + hashlib.sha256("".join(keys).encode()).hexdigest()[:32]
        head = {
            "layout": LAYOUT, "survey": raw.survey, "ids": list(raw.target_ids), "keys": keys, "found": sorted(back),
            "query": raw.query, "media_type": raw.media_type, "retrieved": raw.retrieved, "extra": dict(raw.extra),
            "length": len(raw.content), "sha256": raw.digest(),
        }  # fmt: skip
        folder = self.folder(survey, ask)
        path, content = place(folder, stem), json.dumps(head).encode() + b"\n" + raw.content
        self._space.need(len(content))
        try:
            written = _write(Path(path), content)
        except StorageError as error:
            raise StorageError(f"{error} ASTROFUSE_CACHE says where answers are kept; fetching again asks only for what is missing.") from error
        pairs = tuple((key, i in back) for key, i in zip(keys, raw.target_ids, strict=True))
        self._index.add(Row(folder, path, written.st_size, written.st_mtime_ns, pairs))
        return path

    def lookup(self, survey: Survey, ask: Ask, targets: Targets, stopped: Callable[[], bool] = lambda: False) -> dict[str, Hit]:
        """What is already here about these targets, all at once; see `recall`."""
        return dict(self.recall(survey, ask, targets, stopped))

    def recall(self, survey: Survey, ask: Ask, targets: Iterable[Target], stopped: Callable[[], bool] = lambda: False) -> Iterator[tuple[str, Hit]]:
        """What is already here about these targets: id and `Hit`. The newest answer counts; altered files do not.

        `stopped` is asked now and then; when it says True, what was looked at until then is all.
        """
        folder, rest = self.folder(survey, ask), iter(targets)
        if not folder.is_dir():
            return
        self._index.sync(folder, opened, stopped)
        while not stopped() and (some := list(islice(rest, AT_ONCE))):
            wanted = {target_key(t): t.object_id for t in some}
            rows = self._index.find(folder, wanted)
            # an index is as good as the files are: those altered since are looked at again
            odd = {os.path.dirname(row.path) for row in rows.values() if not self._as_noted(row)}
            if odd:
                self._index.sync(folder, opened, stopped, odd)
                rows = self._index.find(folder, wanted)
            for key, row in rows.items():
                yield wanted[key], Hit(row.path, row.found, row.path.endswith(f"{os.sep}{key}.answer"))

    def _as_noted(self, row: Any) -> bool:
        """Whether a file is what the index says; it is used, so it goes later when room is made."""
        try:
            now = os.stat(row.path)
        except OSError:
            return False
        if time.time() - now.st_atime > UNUSED:
            _touch(row.path, now.st_mtime_ns)
        return bool((now.st_size, now.st_mtime_ns) == (row.size, row.mtime))

    def load(self, path: str) -> Raw:
        """One answer as it was sent.

        Raises
        ------
        StorageError
            If the file has gone or was altered since it was written.
        """
        head, content = opened(path)
        if not head:
            # a file that was altered but kept its date would be taken for good again
            if os.path.isfile(path) and os.access(path, os.R_OK):
                with suppress(OSError):
                    os.unlink(path)
            raise StorageError(f"the cached answer {path} has gone or was altered. Fetch again; only what is missing is asked for.")
        with suppress(OSError):
            _touch(path, os.stat(path).st_mtime_ns)
        return Raw(head["survey"], tuple(head["ids"]), content, head["query"], head["media_type"], head["retrieved"], head["extra"])

    def mean_size(self, survey: Survey) -> float | None:
        """Bytes a target, of what is kept of this survey; None where nothing is."""
        return self._index.mean_size(self.root / slug(survey.name))

    def flush(self) -> None:
        """Write down in the index what was kept; without it the next lookup opens these files once."""
        self._index.flush()


def place(folder: Path, stem: str) -> str:
    """Where a file lies: 256 folders, since file systems are slow with 100,000 names in one."""
    return os.path.join(folder, stem.removeprefix("many-")[:2], f"{stem}.answer")


def _write(path: Path, content: bytes) -> os.stat_result:
    for _ in range(3):
        try:
            return write_bytes(path, content)
        except FileNotFoundError:  # another kernel cleared the cache between the making of the folder and of the file
            continue
    return write_bytes(path, content)


def _touch(path: str, mtime: int) -> None:
    """Note a use; the date of the content stays."""
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), mtime))


def opened(path: str) -> tuple[Mapping[str, Any], bytes]:
    """Header and body, both empty when they are not what was written. Clears away what a killed process left half-written."""
    if os.path.basename(path).startswith("."):
        with suppress(OSError):
            if time.time() - os.stat(path).st_mtime > STALE:
                os.unlink(path)
        return {}, b""
    try:
        with open(path, "rb") as file:
            return parted(file.read())
    except OSError:
        return {}, b""


def parted(whole: bytes) -> tuple[Mapping[str, Any], bytes]:
    """The bytes of a file as header and body, both empty when they are not what `Answers.keep` writes."""
    line, _, content = whole.partition(b"\n")
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        return {}, b""
    if not isinstance(head, dict) or head.get("layout") != LAYOUT or head.get("length") != len(content):
        return {}, b""
    lists = [head.get(name) for name in ("ids", "keys", "found")]
    texts = [head.get(name) for name in ("survey", "query", "media_type", "retrieved")]
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists) or len(head["ids"]) != len(head["keys"]):
        return {}, b""
    if not all(isinstance(text, str) for text in texts) or not isinstance(head.get("extra"), dict):
        return {}, b""
    return (head, content) if head.get("sha256") == hashlib.sha256(content).hexdigest() else ({}, b"")
