"""The head of the workbench: its steps, what to do next, the notebook so far, the session, save, and the keys."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import traitlets as t

from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.storage import storage_errors
from astrofuse_lab.widgets.base import Base, Selection
from astrofuse_lab.widgets.embedded import page_name
from astrofuse_lab.widgets.session import is_session

Progress = Callable[[int, int], object]
LISTED = 12
"""Sessions offered at most."""


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
    keep, reopen : callable, optional
        ``keep(folder)`` keeps the session there from now on; ``reopen(folder)`` opens another.
    compare : callable, optional
        ``compare(on_progress, stop)``.
    notebook : callable, optional
        Gives the notebook as text.
    ask : callable, optional
        ``ask(view, verb)`` has a view do what its own button does.
    served : bool
        A visitor's browser is at the other end, who may neither read nor write folders of this machine: the page and the
        notebook go to the browser.

    Attributes
    ----------
    steps : list of dict
        name; why it cannot run yet, in a few words, else empty; views it shows.
    step : int
        The one that is open.
    guide : list of dict
        For each step: text; label of a button, the step it goes to or the verb it runs.
    ready, unsaved : bool
        There is something to save; the run has no folder yet.
    page, folder, place : str
        Where page, run and session go.
    written : list of str
        What was written, in words.
    session, kept : str
        Folder of the session that is kept, empty for none; how the keeping goes.
    sessions : list of str
        Folders of sessions found here.
    cells : list of dict
        The notebook so far: kind, source.
    download : dict
        A file that the browser should take: ``name``, ``key`` of the answer that has it.
    comparing : bool
        A comparison is being made.
    """

    view = "header"
    verbs = {"save": "write", "keep": "keep_session", "open": "open_session", "compare": "run_comparison", "fetch": "begin_fetch", "align": "begin_align", "train": "begin_train"}
    steps: Any = t.List().tag(sync=True)
    step = t.Int(0, min=0, max=3).tag(sync=True)
    guide: Any = t.List().tag(sync=True)
    ready = t.Bool(False).tag(sync=True)
    unsaved = t.Bool(False).tag(sync=True)
    page = t.Unicode("").tag(sync=True)
    folder = t.Unicode("").tag(sync=True)
    place = t.Unicode("").tag(sync=True)
    written: Any = t.List().tag(sync=True)
    session = t.Unicode("").tag(sync=True)
    kept = t.Unicode("").tag(sync=True)
    sessions: Any = t.List().tag(sync=True)
    cells: Any = t.List().tag(sync=True)
    download = t.Dict().tag(sync=True)
    served = t.Bool(False).tag(sync=True)

    def __init__(
        self, save_page: Callable[..., Path | None], save_run: Callable[[Path], Path], selection: Selection | None = None, *,
        keep: Callable[[Path], None] | None = None, reopen: Callable[[Path], None] | None = None, compare: Callable[..., None] | None = None,
        notebook: Callable[[], str] | None = None, ask: Callable[[str, str], object] | None = None, served: bool = False, **traits: Any,
    ) -> None:  # fmt: skip
        self._save_page, self._save_run, self._keep, self._reopen = save_page, save_run, keep, reopen
        self._compare, self._notebook, self._ask = compare, notebook, ask
        self._abroad = served  # what decides: a browser could say anything of the trait
        self._own: set[Path] = set()
        self._made: dict[str, tuple[str, bytes]] = {}
        self.comparing = False
        super().__init__((), selection, served=served, **traits)

    def propose(self, stem: str) -> None:
        """Suggest names that are free, in the folder that Python runs in."""
        here = Path.cwd()
        self._update(page=str(unused(here / f"{stem}.html")), folder=str(unused(here / f"{stem}-run")))
        if not self.place:
            self._update(place=str(unused(here / "astrofuse-session")))

    # ---- a page ------------------------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write the run, where it has no folder yet, and the page; blocks (the view's button runs it on the worker thread)."""
        if not self.ready:
            raise InputError("there are no samples yet, so there is nothing to save. Fetch and align them in step 1.")
        if self._abroad:
            self._hand_over()
            return
        page = page_name(Path(self.page.strip()).expanduser().resolve())
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

    def _hand_over(self) -> None:
        """The page for a visitor's browser; nothing of it stays here."""
        self._update(written=[], status="Saving")
        with tempfile.TemporaryDirectory() as folder:
            made = self._save_page(Path(folder) / "astrofuse.html", self._told, self._halt)
            content = made.read_bytes() if made is not None else b""
        if not content:
            self._update(written=["Stopped: no page was written."], status="")
            return
        self._made["page"] = ("astrofuse.html", content)
        self._update(written=[f"Page made ({len(content) / 1e6:.1f} MB); your browser has it among its downloads."], download={"name": "astrofuse.html", "key": f"file/page-{len(content)}-{id(content)}"}, status="", progress=1.0)

    def answer(self, key: str) -> dict[str, Any]:
        """``file/<notebook or page, with a number>``: a file for the browser to keep; ``alive/<number>``: nothing, but that Python is there; ``sessions/<number>``: nothing, but `sessions` is told."""
        if key.startswith("alive/"):
            return {}
        if key.startswith("sessions/"):
            self.look_around()
            return {}
        what = key.removeprefix("file/").split("-")[0]
        if key.startswith("file/") and what == "notebook" and self._notebook is not None:
            return {"name": "astrofuse.ipynb", "data": self._notebook().encode()}
        if key.startswith("file/") and what in self._made:
            name, content = self._made[what]
            return {"name": name, "data": content}
        return super().answer(key)

    def _told(self, done: int, total: int) -> None:
        """How many samples are explained and packed; total 0: waiting for a view to finish."""
        if total:
            self._update(status=f"Explaining and packing sample {done} of {total}", progress=done / total)
        else:
            self._update(status="Waiting for the map and the explanations that are under way", progress=-1.0)

    # ---- a session ---------------------------------------------------------------------------------------------------

    def _named(self) -> Path:
        """The folder that was typed."""
        if self._abroad:
            raise InputError("folders of this server are not open to visitors. Download the notebook or the page.")
        if not self.place.strip():
            raise InputError("no folder was given. Type one.")
        return Path(self.place.strip()).expanduser().resolve()

    def keep_session(self) -> None:
        """Keep the session in the folder that was typed, from now on."""
        place = self._named()
        if self._keep is None:
            raise InputError("there is nothing here that could be kept.")
        self._update(status="Keeping the session", progress=-1.0)
        self._keep(place)
        self._update(session=str(place), status="", progress=1.0)

    def open_session(self) -> None:
        """Open the session in the folder that was typed, in place of what is here."""
        place = self._named()
        if self._reopen is None:
            raise InputError("sessions cannot be opened here.")
        self._update(status="Opening the session", progress=-1.0)
        self._reopen(place)
        self._update(status="", progress=1.0)

    def look_around(self) -> None:
        """List the sessions in the folder that Python runs in."""
        if not self._abroad:
            here = sorted((one for one in Path.cwd().iterdir() if one.is_dir() and not one.name.startswith(".")), key=lambda one: one.stat().st_mtime, reverse=True)
            self._update(sessions=[str(one) for one in here[:500] if is_session(one)][:LISTED])

    def tell_kept(self, words: str, error: str) -> None:
        """How the keeping goes."""
        self._update(kept=words, **({"error": error} if error else {}))

    # ---- what the button beside the guide does ----------------------------------------------------------------------

    def begin_fetch(self) -> None:
        """Have the fetch view fetch."""
        self._have("fetch", "fetch")

    def begin_align(self) -> None:
        """Have the fetch view align."""
        self._have("fetch", "align")

    def begin_train(self) -> None:
        """Have the training view train."""
        self._have("train", "train")

    def _have(self, view: str, verb: str) -> None:
        if self._ask is None:
            raise InputError(f"there is no {view} view here.")
        self._ask(view, verb)

    # ---- the comparison ----------------------------------------------------------------------------------------------

    def run_comparison(self) -> None:
        """Train each modality alone, and trees, beside the run."""
        if self._compare is None:
            raise InputError("there is nothing here to compare.")
        self.comparing = True
        self._update(status="Comparing", progress=-1.0)
        try:
            self._compare(self._compared, self._halt)
        except InputError:
            if not self._halt.is_set():
                raise
        finally:
            self.comparing = False
            self._update(status="")

    def _compared(self, done: int, total: int, row: str) -> None:
        """How many trainings of the comparison are done."""
        self._update(status=f"Compared {done} of {total}: {row.replace('_', ' ')}", progress=done / max(total, 1))

    def __repr__(self) -> str:
        return f"HeaderWidget(step {self.step + 1} of {len(self.steps)})"
