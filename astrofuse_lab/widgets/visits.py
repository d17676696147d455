"""Visitors of a served workbench: each has one of their own, kept apart from all others."""

import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

import panel as pn

from astrofuse_lab.samples.annotations import Annotations
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.run import Run
from astrofuse_lab.widgets.hosting import Drawn
from astrofuse_lab.widgets.session import is_session
from astrofuse_lab.widgets.workbench import Workbench

PAGE = """
html, body { background: #ffffff; margin: 0; padding: 4px; box-sizing: border-box; }
@media (prefers-color-scheme: dark) { html, body { background: #0b0d10; color-scheme: dark; } }
"""
"""Around the workbench, light or dark as the visitor's system is; the views follow what they stand on."""
NAME = re.compile(r"[A-Za-z0-9_-]{22}")
"""What a session's name looks like: 128 random bits; nothing else is looked for on the disk."""


_plots: dict[tuple[str, ...], dict[str, Drawn]] = {}
"""Drawn once for all visitors of the same folders: two plots took most of what it costs to open a workbench."""


def visit(folders: Sequence[str] = (), sessions: str | Path | None = None) -> Workbench:
    """A workbench for the visitor at hand, which ends with their session.

    Parameters
    ----------
    folders : sequence of str
        Of a sample set, and of a run on it; none: the visitor fetches.
    sessions : path, optional
        Where sessions are kept; None: what ``ASTROFUSE_SESSIONS`` says; empty: nowhere.

    Returns
    -------
    Workbench

    Raises
    ------
    SampleSetError, RunError
        If a folder cannot be opened.
    """
    root = sessions if sessions is not None else os.environ.get("ASTROFUSE_SESSIONS", "")
    folder = place_of(Path(root).expanduser(), asked()) if root else None
    if folder is not None and is_session(folder):
        bench = Workbench(session=folder, served=True)
    else:
        samples = SampleSet.open(folders[0]) if folders else None
        if samples is not None:
            samples.annotations = Annotations()  # labels and notes are the visitor's own, and not the folder's
        run = Run.open(folders[1]) if len(folders) > 1 else None
        bench = Workbench(run, samples, session=folder, served=True, plots=_plots.setdefault(tuple(folders), {}))
    location = pn.state.location
    if folder is not None and location is not None:  # once the page is there: until then it says what its address is
        pn.state.onload(lambda: location.update_query(session=folder.name))  # type: ignore[arg-type]  # Panel annotates its keywords as one mapping
    pn.state.on_session_destroyed(lambda _context: bench.close())
    return bench


def asked() -> str:
    """The session that the address names."""
    given = (pn.state.session_args or {}).get("session", [b""])
    return given[0].decode("ascii", "replace") if given else ""


def place_of(root: Path, name: str) -> Path:
    """The folder of a session: the one asked for where there is one of that name, else a new one."""
    if NAME.fullmatch(name) and is_session(root / name):
        return root / name
    return root / secrets.token_urlsafe(16)
