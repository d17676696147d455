"""Keeps a workbench as a session's folder while it is used, and brings it back."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets as t

from astrofuse_lab.errors import AstroFuseError, StorageError
from astrofuse_lab.samples.annotations import FILE as ANNOTATIONS
from astrofuse_lab.samples.annotations import Annotations
from astrofuse_lab.storage import storage_errors, write_bytes, write_json
from astrofuse_lab.widgets import session as sessions
from astrofuse_lab.widgets.base import Worker, in_words
from astrofuse_lab.widgets.notebook_file import write_notebook
from astrofuse_lab.widgets.session import KEPT, Session
from astrofuse_lab.widgets.story import relative

if TYPE_CHECKING:
    from astrofuse_lab.widgets.workbench import Workbench

PAUSE = 0.5
"""Seconds between a gesture and the writing of it: several are written at once."""


class Keeper:
    """Writes a session's folder on a thread of its own.

    Parameters
    ----------
    bench : Workbench
    told : callable
        ``told(words, error)``: how the keeping goes.

    Attributes
    ----------
    folder : Path or None
        Where it is kept; None: nowhere.
    """

    def __init__(self, bench: "Workbench", told: Callable[[str, str], object]) -> None:
        self.bench, self._told = bench, told
        self.folder: Path | None = None
        self.writer = sessions.new_writer()
        self._worker = Worker("workbench-keeper", self._failed)
        self._written: dict[str, Any] = {}
        self._due = False
        self._soon = threading.Event()

    # ---- writing -------------------------------------------------------------------------------------------------

    def begin(self, folder: Path) -> None:
        """Keep it there from now on, and write it now.

        Raises
        ------
        StorageError
            If the folder cannot be written, or holds a session of another workbench.
        """
        before, self.folder = self.folder, folder.expanduser().resolve()
        kept, self._written = self._written, {}
        try:
            self.write()
        except AstroFuseError:
            self.folder, self._written = before, kept
            raise

    def due(self, *_: Any) -> None:
        """Something changed: write it soon."""
        if self.folder is not None and not self._due:
            self._due = True
            self._worker.submit(self._later)

    def _later(self) -> None:
        self._soon.wait(PAUSE)
        self._due = False
        if self.folder is not None:
            self.write()

    def write(self) -> None:
        """Write what changed."""
        assert self.folder is not None
        folder = self.folder
        with storage_errors(folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError as error:
                raise StorageError(f"the folder {folder} cannot be made ({error.strerror}). Give another one.") from error
        state = self._state()
        if state.samples == "samples" or state.run == "run":
            self._told("Keeping samples and run", "")
        sessions.write_session(folder, state)  # first, so that a session taken over by another is noticed before anything is written
        self._write_parts()
        write_notebook(folder / sessions.NOTEBOOK, self.bench.notebook_cells(folder))
        self._told(f"kept {time.strftime('%H:%M:%S')}", "")

    def _state(self) -> Session:
        bench, folder = self.bench, self.folder
        views = {name: {trait: getattr(bench.widgets[name], trait) for trait in traits} for name, traits in KEPT.items() if name in bench.widgets}
        return Session(
            bench.story, bench.header.step, relative(self.where("samples"), folder), relative(self.where("run"), folder), bench.umap, views,
            tuple(bench.selection.chosen.first(sessions.MOST_SELECTED)), bench.selection.focus, self.writer,
        )  # fmt: skip

    def where(self, name: str) -> Path | None:
        """Where samples or run lie, or will lie, in this session."""
        thing = getattr(self.bench, name)
        if thing is None or (name == "samples" and not len(thing)):
            return None
        own = self.folder / name if self.folder is not None else None
        if own is not None and (thing.path is None or thing.path == own or self._written.get(name) is thing):
            return own
        return Path(thing.path) if thing.path is not None else None

    def _write_parts(self) -> None:
        """Samples, run, comparison and targets, where they were made here and are not written yet."""
        bench, folder = self.bench, self.folder
        assert folder is not None
        for name in ("samples", "run"):
            thing = getattr(bench, name)
            if self.where(name) == folder / name and self._written.get(name) is not thing and thing.path != folder / name:
                thing.save(folder / name, overwrite=True)
                self._written[name] = thing
        if bench.comparison is not None and self._written.get("comparison") is not bench.comparison:
            sessions.write_comparison(folder, bench.comparison)
            self._written["comparison"] = bench.comparison
        elif bench.comparison is None:
            (folder / sessions.COMPARISON).unlink(missing_ok=True)
        if bench.samples is not None and bench.samples.annotations.path is None:
            said = bench.samples.annotations.to_json(bench.samples.object_ids.tolist())
            if said != self._written.get("said") and len(bench.samples.annotations):
                own = self.where("samples") == folder / "samples"  # beside the samples, where opening them finds it
                write_json((folder / "samples" if own else folder) / ANNOTATIONS, said)
                self._written["said"] = said
        self._write_targets()

    def _write_targets(self) -> None:
        """Targets that no line of Python makes: a file that was handed over, or an object."""
        name, fetch = self.targets(), self.bench.widgets.get("fetch")
        if not name or fetch is None or self._written.get("targets") is fetch.targets:
            return
        assert self.folder is not None
        if self.bench.story.fetched["mode"] == "file":
            write_bytes(self.folder / name, fetch._content)
        else:
            from astropy.table import Table

            Table(fetch.targets.to_dict()).write(self.folder / name, format="ascii.ecsv", overwrite=True)
        self._written["targets"] = fetch.targets

    def targets(self) -> str:
        """The name of the file that such targets are kept in; empty where there is none."""
        now = self.bench.story.fetched
        if now.get("mode") == "file":
            suffix = Path(str(now["file"])).suffix.lower()
            return f"targets{suffix if suffix[1:].isalnum() else ''}"
        return "targets.ecsv" if now.get("mode") == "given" else ""

    def _failed(self, error: Exception) -> None:
        self._told("", in_words(error))

    def close(self) -> None:
        """Write what is due, and end the thread."""
        self._soon.set()
        self._worker.drain(10)
        self._worker.close()

    def opened(self, folder: Path, comparison: Any) -> None:
        """Go on with a session that is there."""
        self.folder = folder
        self._written = {"comparison": comparison} if comparison is not None else {}

    def given_targets(self) -> Any:
        """Targets that a session keeps as a table; None where there are none."""
        now = self.bench.story.fetched
        if self.folder is None or now.get("mode") != "given" or not (self.folder / self.targets()).is_file():
            return None
        from astrofuse_lab.fetching import Targets

        return Targets.from_file(self.folder / self.targets())

    # ---- bringing back -------------------------------------------------------------------------------------------

    def restore(self, view: str, widget: Any, kept: dict[str, Any]) -> None:
        """Set a view as it was; a value that it does not take any more is left out."""
        if view == "fetch" and kept.get("mode") == "file":  # the bytes that were handed over
            place = self.folder / self.targets() if self.folder is not None and self.targets() else None
            if place is None or not place.is_file():
                kept.pop("mode")
            else:
                widget._content, widget.file = place.read_bytes(), str(self.bench.story.fetched["file"])
        for name in KEPT.get(view, ()):
            if name in kept:
                try:
                    setattr(widget, name, kept[name])
                except (t.TraitError, AstroFuseError, TypeError, ValueError):
                    continue


def annotations_of(folder: Path, ids: list[str]) -> Annotations | None:
    """Labels and notes that a session keeps itself; None where it keeps none."""
    if not (folder / ANNOTATIONS).is_file():
        return None
    kept, own = Annotations(folder / ANNOTATIONS), Annotations()
    for object_id, label, note, _ in kept.table(ids):
        own.set([str(object_id)], str(label), str(note))
    return own
