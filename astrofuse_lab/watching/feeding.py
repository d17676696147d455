"""Packets from a broker, brought into the folder that is watched."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.storage import write_bytes
from astrofuse_lab.surveys import pixels
from astrofuse_lab.surveys.survey import Ask, Survey
from astrofuse_lab.targets import Targets
from astrofuse_lab.watching.packets import plain


def feed(survey: Survey, targets: Targets, folder: str | Path, show: Callable[[str], None] | None = None, every: float = 600.0) -> Callable[[], int]:
    """Brings the newest packet that a broker has of each target into a folder, no more often than asked.

    Parameters
    ----------
    survey : Survey
        A broker that sends packets: ``alerce/image``.
    targets : Targets
    folder : path
    show : callable, optional
        Told when the broker fails; it is asked again after `every` seconds.
    every : float
        Seconds.

    Returns
    -------
    callable
        How many packets came that were not there.
    """
    folder, state, had = Path(folder), {"next": 0.0}, set[str]()

    def bring() -> int:
        if time.monotonic() < state["next"]:
            return 0
        state["next"] = time.monotonic() + every
        count = 0
        try:
            for raw in survey.query(targets, Ask()):
                for content in pixels.unpack(survey.name, raw):
                    name = _named(survey.name, raw.target_ids[0], content)
                    if name not in had and not (folder / name).exists():
                        write_bytes(folder / name, content)
                        count += 1
                    had.add(name)
        except ArchiveError as error:
            (show or (lambda line: None))(f"{plain(str(error))}; asked again in {every:g} s")
        return count

    return bring


def _named(survey: str, target: str, content: bytes) -> str:
    safe = "".join(c if c.isalnum() else "-" for c in f"{survey}-{target}")[:80]
    return f"{safe}-{hashlib.sha256(content).hexdigest()[:12]}.avro"
