"""The head of the workbench: its steps, the badge, the code so far, save, and the keys."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import traitlets as t

from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.storage import storage_errors
from astrofuse_lab.widgets.base import Base, Selection

Progress = Callable[[int, int], object]


def unused(path: Path) -> Path:
    """This path, or with a number before its suffix where something is there already."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _try_place(page: Path) -> None:
    """Make the folder and write a file there for a moment.

    Raises
    ------
    StorageError
        If that does not work.
    """
    with storage_errors(page):
        try:
            page.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=page.parent):
                pass
        except FileNotFoundError as error:
            raise StorageError(f"the folder {page.parent} cannot be made ({error.strerror}). Give another path.") from error


class HeaderWidget(Base):
    """What stands above the steps of a workbench.

    Parameters
    ----------
    save_page : callable
        ``save_page(path, on_progress, stop)`` writes the page and gives its path; None when it was stopped.
    save_run : callable
        ``save_run(folder)`` gives the folder.
    selection : Selection, optional

    Attributes
    ----------
    steps : list of dict
        name; why it cannot run yet, in a few words, else empty; views it shows.
    step : int
        The one that is open.
    """

    view = "header"
    verbs = {"save": "write"}
    steps: Any = t.List().tag(sync=True)
    step = t.Int(0, min=0).tag(sync=True)
    ready = t.Bool(False).tag(sync=True)
    unsaved = t.Bool(False).tag(sync=True)
    page = t.Unicode("").tag(sync=True)
    folder = t.Unicode("").tag(sync=True)
    written: Any = t.List().tag(sync=True)

    def __init__(self, save_page: Callable[..., Path | None], save_run: Callable[[Path], Path], selection: Selection | None = None, **traits: Any) -> None:
        self._save_page, self._save_run = save_page, save_run
        self._own: set[Path] = set()
        super().__init__((), selection, **traits)

    def propose(self, stem: str) -> None:
        """Suggest names that are free, in the folder that Python runs in."""
        here = Path.cwd()
        self._update(page=str(unused(here / f"{stem}.html")), folder=str(unused(here / f"{stem}-run")))

    def write(self) -> None:
        """Write the run, where it has no folder yet, and the page; blocks (the view's button runs it on the worker thread)."""
        if not self.ready:
            raise InputError("there are no samples yet, so there is nothing to save. Fetch and align them in step 1.")
        page = Path(self.page.strip()).expanduser().resolve()
        if page.suffix.lower() not in (".html", ".htm"):
            raise InputError(f"{page} is no name of a page: let it end in .html.")
        if page.exists() and page not in self._own:
            raise InputError(f"{page} already exists and was not written here, so it is left as it is. Give another name.")
        _try_place(page)  # before the long work
        self._update(written=[], status="Saving")
        if self.unsaved and self.folder.strip():
            folder = self._save_run(Path(self.folder.strip()).expanduser())
            self._update(written=[f"Run saved in {folder}"], unsaved=False)
        made = self._save_page(page, self._told, self._halt)
        if made is None:
            self._update(written=[*self.written, "Stopped: no page was written."], status="")
            return
        self._own.add(made)
        self._update(written=[*self.written, f"Page saved as {made} ({made.stat().st_size / 1e6:.1f} MB)"], status="", progress=1.0)

    def _told(self, done: int, total: int) -> None:
        """How many samples are explained and packed; total 0: waiting for a view to finish."""
        if total:
            self._update(status=f"Explaining and packing sample {done} of {total}", progress=done / total)
        else:
            self._update(status="Waiting for the map and the explanations that are under way", progress=-1.0)

    def __repr__(self) -> str:
        return f"HeaderWidget(step {self.step + 1} of {len(self.steps)})"
