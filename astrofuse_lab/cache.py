"""Raw answers of the archives on disk, by request: what was fetched once is not fetched again.

One file an answer, ``answers/<survey>/<request>/<targets>.answer``: a line of JSON (what was asked, of which
targets, which of them came back, sha256 of the body), then the body as the archive sent it. Files appear whole or
not at all, so a process that is killed loses nothing but the answer it was waiting for. Only answers that could be
read are kept; failures never are.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrofuse_lab.errors import StorageError
from astrofuse_lab.storage import cache_root, write_bytes
from astrofuse_lab.surveys.survey import Ask, Raw, Survey
from astrofuse_lab.targets import Target, Targets

LAYOUT = 1
STALE = 3600.0  # s after which a half-written file is taken to be left by a process that was killed


@dataclass(frozen=True, slots=True)
class Hit:
    """Where the answer about one target lies, and whether the target is in it."""

    path: str
    found: bool


def target_key(target: Target) -> str:
    """The same text for the same identifier, position and motion."""
    parts: list[object] = [target.object_id, target.ra, target.dec, target.epoch, target.pmra, target.pmdec]
    parts += [target.time, target.identifier] if target.time is not None or target.identifier else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class Answers:
    """The answers kept on this machine.

    Parameters
    ----------
    root : Path, optional
        None: ``answers`` in the cache folder (`storage.cache_root`).
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path(root) if root is not None else cache_root() / "answers"

    def folder(self, survey: Survey, ask: Ask) -> Path:
        """Where answers to this request of this release of the survey lie."""
        request = json.dumps([LAYOUT, survey.name, survey.release, ask.key()])
        return self.root / survey.name.replace("/", "-") / hashlib.sha256(request.encode()).hexdigest()[:24]

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
            If the disk is full or read-only.
        """
        keys = [target_key(t) for t in targets]
        stem = keys[0] if len(keys) == 1 else "many-" + hashlib.sha256("".join(keys).encode()).hexdigest()[:32]
        head = {
            "layout": LAYOUT, "survey": raw.survey, "ids": list(raw.target_ids), "keys": keys, "found": sorted(set(found)),
            "query": raw.query, "media_type": raw.media_type, "retrieved": raw.retrieved, "extra": dict(raw.extra),
            "length": len(raw.content), "sha256": raw.digest(),
        }  # fmt: skip
        path = self.folder(survey, ask) / f"{stem}.answer"
        try:
            write_bytes(path, json.dumps(head).encode() + b"\n" + raw.content)
        except StorageError as error:
            raise StorageError(f"{error} ASTROFUSE_CACHE says where answers are kept; fetching again asks only for what is missing.") from error
        return str(path)

    def lookup(self, survey: Survey, ask: Ask, targets: Targets, stopped: Callable[[], bool] = lambda: False) -> dict[str, Hit]:
        """What is already here about these targets: id to `Hit`. The newest answer counts; altered files do not.

        `stopped` is asked before each file; when it says True, what was looked at until then is returned.
        """
        folder = self.folder(survey, ask)
        if not folder.is_dir():
            return {}
        wanted = {target_key(t): t.object_id for t in targets}
        hits: dict[str, Hit] = {}
        for path in _by_age(folder):
            if stopped():
                break
            if not path.name.startswith("many-") and path.stem not in wanted:
                continue
            head, place = _read(path)[0], str(path)
            found = set(head.get("found", ()))
            for key in head.get("keys", ()):
                if key in wanted:
                    hits[wanted[key]] = Hit(place, wanted[key] in found)
        return hits

    def load(self, path: str) -> Raw:
        """One answer as it was sent.

        Raises
        ------
        StorageError
            If the file has gone or was altered since it was written.
        """
        head, content = _read(Path(path))
        if not head:
            raise StorageError(f"the cached answer {path} has gone or was altered. Fetch again; only what is missing is asked for.")
        return Raw(head["survey"], tuple(head["ids"]), content, head["query"], head["media_type"], head["retrieved"], head["extra"])


def _by_age(folder: Path) -> list[Path]:
    """The answers in a folder, oldest first; what a killed process left half-written is cleared away."""
    aged = []
    for path in folder.iterdir():
        try:
            changed = path.stat().st_mtime_ns
            if path.name.startswith("."):
                if time.time() - changed / 1e9 > STALE:
                    path.unlink()
            elif path.suffix == ".answer":
                aged.append((changed, path))
        except OSError:  # taken away by another process, or a read-only disk: neither hinders reading
            continue
    return [path for _, path in sorted(aged)]


def _read(path: Path) -> tuple[Mapping[str, Any], bytes]:
    """Header and body, both empty when they are not what was written."""
    try:
        line, _, content = path.read_bytes().partition(b"\n")
        head = json.loads(line)
    except (OSError, ValueError):
        return {}, b""
    whole = isinstance(head, dict) and head.get("layout") == LAYOUT and head.get("length") == len(content)
    if not whole or head.get("sha256") != hashlib.sha256(content).hexdigest():
        return {}, b""
    return head, content
