"""A session of the workbench as a folder, to be reopened later, after a restart, or in another kernel.

::

    session.json       format, where samples and run lie, the steps, what each view was set to, what was selected
    notebook.ipynb     the steps as code, for a person to go on with
    samples/, run/     ordinary folders of a sample set and a run, where these were made here
    comparison.json    the table of `af.compare`, where there is one
    targets.*          targets that were handed over as a file or made in code

Nothing in it is executed when it is opened: it holds settings, never code.
"""

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.storage import read_json, storage_errors, write_json
from astrofuse_lab.widgets.story import Story

if TYPE_CHECKING:
    from astropy.table import Table

FORMAT, VERSION = "astrofuse-session", 1
FILE, NOTEBOOK, COMPARISON = "session.json", "notebook.ipynb", "comparison.json"
LARGEST = 64 * 1024**2
"""Bytes of a file of a session that is read."""
KEPT: dict[str, tuple[str, ...]] = {
    "fetch": ("mode", "lines", "skip", "center", "circle", "count", "finder", "surveys", "radius", "size", "missing", "noise", "pixels", "scale"),
    "train": ("recipe", "target", "modalities", "parts", "epochs", "seed", "runs"),
    "embedding": ("space", "colour", "density", "beside"),
    "attribution": ("explained", "method"),
    "attention": ("explained", "layer", "head", "combine"),
    "contribution": ("explained", "tab"),
    "evaluation": ("part", "one", "by", "measure"),
}
"""What is kept of each view, in the order in which it is set again."""
MOST_SELECTED = 100_000


@dataclass(frozen=True)
class Session:
    """What ``session.json`` says.

    Attributes
    ----------
    story : Story
    step : int
        The one that was open.
    samples, run : str
        Folders, from that of the session or in full; empty for none.
    umap : bool
    views : dict
        By view, values by trait.
    selected : tuple of str
        Ids.
    focus : str
        The sample looked at.
    writer : str
        Which workbench writes here: another one that opens the session takes its place.
    """

    story: Story = field(default_factory=Story)
    step: int = 0
    samples: str = ""
    run: str = ""
    umap: bool = True
    views: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    selected: tuple[str, ...] = ()
    focus: str = ""
    writer: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        own = {"step": self.step, "samples": self.samples, "run": self.run, "umap": self.umap, "views": {k: dict(v) for k, v in self.views.items()}}
        return {"format": FORMAT, "version": VERSION, "saved": now(), "writer": self.writer, "story": self.story.to_json(), **own, "selected": list(self.selected[:MOST_SELECTED]), "focus": self.focus}


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def new_writer() -> str:
    """A name that no other workbench has."""
    return uuid.uuid4().hex


def is_session(folder: Path) -> bool:
    """Whether a folder holds a session."""
    with storage_errors(folder):
        return (folder / FILE).is_file()


def read_session(folder: Path) -> Session:
    """What a session's folder says.

    Raises
    ------
    StorageError
        If it holds none, or one that cannot be read.
    """
    data = _read(folder / FILE)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise StorageError(f"{folder / FILE} is no session of the workbench; its format is {str(data.get('format') if isinstance(data, dict) else data)[:40]!r}.")
    if not isinstance(data.get("version"), int) or data["version"] > VERSION:
        raise StorageError(f"{folder / FILE} has version {str(data.get('version'))[:20]}; this AstroFuse Lab reads {VERSION}. Update it: pip install -U astrofuse-lab.")
    try:
        views = {str(view): {str(name): value for name, value in kept.items() if name in KEPT.get(str(view), ())} for view, kept in data["views"].items()}
        return Session(
            Story.from_json(data["story"]), min(max(int(data["step"]), 0), 3), str(data["samples"]), str(data["run"]), bool(data["umap"]), views,
            tuple(str(one) for one in data["selected"][:MOST_SELECTED]), str(data["focus"]), str(data["writer"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise StorageError(f"{folder / FILE} cannot be read: {error if isinstance(error, InputError) else f'{type(error).__name__}: {error}'}") from error


def write_session(folder: Path, session: Session) -> None:
    """Write what a session is.

    Raises
    ------
    StorageError
        If the folder cannot be written, or another workbench has opened the session since.
    """
    if is_session(folder):
        writer = str(_read(folder / FILE).get("writer", ""))
        if writer != session.writer:
            raise StorageError(f"{folder} was opened by another workbench, which writes it now; this one no longer does. Give another folder to keep what is here.")
    write_json(folder / FILE, session.to_json())


def take_over(folder: Path, session: Session, writer: str) -> Session:
    """From now on this writer's."""
    write_json(folder / FILE, replace(session, writer=writer).to_json())
    return replace(session, writer=writer)


def place(folder: Path, where: str) -> Path | None:
    """A folder that a session names."""
    return None if not where else (folder / where) if not Path(where).is_absolute() else Path(where)


def _read(path: Path) -> Any:
    try:
        return read_json(path, LARGEST)
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path} cannot be read ({error}). Give the folder of a session, or leave session= out.") from error


# ---- the comparison ------------------------------------------------------------------------------------------------

LISTED = ("ids", "classes", "truth")
SAID = ("target", "metric", "verdict", "simulated")


def write_comparison(folder: Path, comparison: "Table") -> None:
    """Keep the table of a comparison, with what was predicted."""
    rows = [[_plain(row[name]) for name in comparison.colnames] for row in comparison]
    meta = {name: _plain(comparison.meta[name]) for name in (*SAID, *LISTED) if name in comparison.meta}
    predicted = {name: _plain(np.asarray(values)) for name, values in comparison.meta.get("predictions", {}).items()}
    write_json(folder / COMPARISON, {"columns": list(comparison.colnames), "rows": rows, "meta": meta, "predictions": predicted})


def read_comparison(folder: Path) -> "Table | None":
    """The table of a comparison; None where there is none.

    Raises
    ------
    StorageError
        If the file cannot be read.
    """
    from astropy.table import Table

    if not (folder / COMPARISON).is_file():
        return None
    data = _read(folder / COMPARISON)
    try:
        columns = {str(name): [row[i] for row in data["rows"]] for i, name in enumerate(data["columns"])}
        made = Table({name: _column(values) for name, values in columns.items()})
        made.meta.update({name: data["meta"][name] for name in SAID if name in data["meta"]})
        made.meta.update({name: np.array(data["meta"][name]) for name in LISTED if name in data["meta"]})
        made.meta["predictions"] = {str(name): np.array(values, dtype=float) for name, values in data["predictions"].items()}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StorageError(f"{folder / COMPARISON} cannot be read ({type(error).__name__}: {error}).") from error
    return made


def _column(values: list[Any]) -> Any:
    """A column with its gaps masked."""
    gaps = [value is None for value in values]
    if not any(gaps):
        return values
    return np.ma.array([math.nan if value is None else value for value in values], mask=gaps)


def _plain(value: Any) -> Any:
    """A value as JSON has it; NaN and what is masked are null."""
    if value is None or np.ma.is_masked(value):
        return None
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(one) for one in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value if isinstance(value, bool | int | float | str) else str(value)
