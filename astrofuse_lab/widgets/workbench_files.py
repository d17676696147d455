"""The side of the workbench that looks outward: the notebook it writes, sessions, the page, the comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets import session as sessions
from astrofuse_lab.widgets.base import Base
from astrofuse_lab.widgets.embedded import HEIGHT, SIZE, STORED, Embedded, stored_by_mode
from astrofuse_lab.widgets.export import made_page, save_page
from astrofuse_lab.widgets.keeping import annotations_of
from astrofuse_lab.widgets.notebook_file import Cell, code_of, text_of
from astrofuse_lab.widgets.session import Session
from astrofuse_lab.widgets.story import TITLES, Story, Told, cells_of, relative

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run


class Outward:
    """The part of `Workbench` that writes files and reads them back."""

    # ---- the notebook ------------------------------------------------------------------------------------------------

    def notebook_cells(self: Any, base: Path | None = None) -> list[Cell]:
        """The notebook that the clicks have written so far; folders are named from `base`, where they lie below it."""
        places = {name: relative(where, base) for name in ("samples", "run") if (where := self.keeper.where(name)) is not None}
        if self.keeper.folder is not None and self.keeper.targets():
            places["targets"] = relative(self.keeper.folder / self.keeper.targets(), base)
        looks = {name: self.widgets[name].code for name in TITLES if name in self.widgets and self.run is not None}
        return cells_of(Told(self.story, self.samples if self._some() else None, self.run, self.comparison, places, looks, self.selection.chosen))

    @property
    def code(self: Any) -> str:
        """The code of that notebook."""
        return code_of(self.notebook_cells())

    def _notebook(self: Any) -> str:
        return text_of(self.notebook_cells())

    def _show_code(self: Any, _change: Any = None) -> None:
        """Tell the head soon: one gesture changes what several views are set to."""
        if not self._code_due:
            self._code_due = True
            self.header._quick.submit(self._tell_code)

    def _tell_code(self: Any) -> None:
        self._code_due = False
        cells = self.notebook_cells()
        self.header._update(code=code_of(cells), cells=[{"kind": cell.kind, "source": cell.source} for cell in cells])

    # ---- the comparison ----------------------------------------------------------------------------------------------

    def _compare(self: Any, on_progress: Any, stop: Any) -> None:
        """What the head's Compare does: the same run beside each modality alone, trees and chance."""
        from astrofuse_lab.training.comparison import compare

        run, samples = self.run, self.samples
        if run is None or samples is None:
            raise InputError("there is no run to compare yet. Train one in step 3.")
        epochs = next((one["settings"]["epochs"] or 0 for one in self.story.trainings[-1:]), int(run.record["fingerprint"]["epochs"]))
        self._show_guide()
        made = compare(
            run.recipe, samples, run.target, list(run.modalities), split=run.split, seeds=[run.seed], fused=run, epochs=epochs or None, progress=False, stop=stop,
            on_progress=lambda now: on_progress(now["done"], now["total"], now["row"]),
        )  # fmt: skip
        if run is self.run:
            self.comparison, self.story.compared = made, {"epochs": epochs, "verdict": str(made.meta.get("verdict", ""))}
            self._show_run()

    # ---- a session ---------------------------------------------------------------------------------------------------

    def _keep(self: Any, folder: Path) -> None:
        """What the head's Keep does."""
        if sessions.is_session(folder) and folder.expanduser().resolve() != self.keeper.folder:
            raise InputError(f"{folder} holds a session already. Open it, or give another folder to keep this one in.")
        self.keeper.begin(folder)
        self._show_code()

    def _reopen(self: Any, folder: Path) -> None:
        """What the head's Open does."""
        folder = folder.expanduser().resolve()
        self._take_back(folder, sessions.read_session(folder), (None, None, None))

    def _take_back(self: Any, folder: Path, back: Session, given: Sequence[Any]) -> None:
        """Be as a session was when it was left; what was given and is not what it holds takes the place of that."""
        samples, run, new = held(folder, back, *given[:2])
        comparison = given[2]
        back = sessions.take_over(folder, back, self.keeper.writer)
        self.story = Story(back.story.begun) if new == "samples" else back.story
        if new:
            self.story.trainings, self.story.compared = [], {}
        self.samples, self.run, self.umap = samples, run, back.umap and self.umap
        self.comparison = comparison if comparison is not None or new else sessions.read_comparison(folder)
        if samples is not None and samples.annotations.path is None and (said := annotations_of(folder, samples.object_ids.tolist())) is not None:
            samples.annotations = said
        self._back = back
        self.keeper.opened(folder, self.comparison)
        self._begin(back.step if not new else 3 if run is not None else 1)
        self.selection.ids, self.selection.focus = back.selected, back.focus
        self.header._update(session=str(folder))
        self._back = Session()
        self.keeper.due()

    # ---- a page ------------------------------------------------------------------------------------------------------

    def save(self: Any, path: str | Path, *, stored: int = 60, **more: Any) -> Path:
        """Write one self-contained page: map, samples, explanations and tables, without Python and without a network.

        Parameters
        ----------
        path : path
            Ends in ``.html``.
        stored : int
            Samples at most whose data and explanations are stored, those selected first, then from each class in turn.
        on_progress, stop
            As in `export.save_page`; what Panel's own ``save`` takes besides is not needed.

        Returns
        -------
        Path
            Absolute.

        Raises
        ------
        InputError
            If the workbench has no samples yet.
        StorageError
            If the file cannot be written.
        """
        return save_page(path, **self._page_parts(stored), on_progress=more.get("on_progress"), stop=more.get("stop"))  # type: ignore[return-value]  # None only where `stop` was given

    def embed(self: Any, *, stored: int = STORED, height: int = HEIGHT, size: int = 3 * SIZE) -> Embedded:
        """The same page inside another page, as ``widget.embed``.

        Parameters
        ----------
        stored : int
            Samples at most whose data and explanations are stored.
        height : int
            Screen pixels until the page says how tall it is.
        size : int
            Bytes at most, for each 100,000 samples.

        Raises
        ------
        InputError
            If the workbench has no samples yet.
        """
        page = made_page(**self._page_parts(stored), size=size, brief=True)
        assert page is not None  # nobody can stop it
        return Embedded(page, "AstroFuse Lab: workbench", height)

    def _page_parts(self: Any, stored: int) -> dict[str, Any]:
        """What a page is made of, once its views have nothing left to do."""
        if not self._some():
            raise InputError("the workbench has no samples yet, so there is nothing to save. Give some: af.workbench(run, samples).")
        views = self._saved()
        for view in views:
            view.wait()
        place = self.widgets["samples"]._place
        first = [place[i] for i in (self.selection.focus, *self.selection.ids) if i in place]
        return {"views": views, "samples": self.samples, "run": self.run, "comparison": self.comparison, "stored": stored, "first": first, "code": self.code}

    def _repr_mimebundle_(self: Any, include: Any = None, exclude: Any = None) -> Any:
        """As a live view; where a notebook is run to become a page, as that page."""
        stored = stored_by_mode()
        if not stored or not self._some():
            return super()._repr_mimebundle_(include, exclude)  # type: ignore[misc]  # Panel's
        return {"text/plain": repr(self), "text/html": self.embed(stored=stored).html}

    def _save_page(self: Any, path: Path, on_progress: Any, stop: Any) -> Path | None:
        """What the head's button does."""
        on_progress(0, 0)
        return self.save(path, on_progress=on_progress, stop=stop)  # type: ignore[no-any-return]

    def _save_run(self: Any, folder: Path) -> Path:
        self.run.save(folder)
        self._show_code()
        return folder.resolve()

    def _saved(self: Any) -> list[Base]:
        return [self.widgets[name] for name in (tuple(TITLES) if self.run is not None else ("samples",)) if name in self.widgets]


def held(folder: Path, back: Session, run: "Run | None", samples: "SampleSet | None") -> "tuple[SampleSet | None, Run | None, str]":
    """Samples and run of a session, and what of them is new.

    Parameters
    ----------
    folder : Path
    back : Session
    run, samples : optional
        Given beside the session.

    Returns
    -------
    samples, run
    new : {"", "run", "samples"}
        What was given and is not what the session holds: other samples, or another run on the same.
    """
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

    at = {name: sessions.place(folder, getattr(back, name)) for name in ("samples", "run")}
    kept = SampleSet.open(at["samples"]) if at["samples"] is not None else None
    if samples is not None and (kept is None or not np.array_equal(samples.object_ids, kept.object_ids)):
        return samples, run, "samples"
    before = Run.open(at["run"]) if at["run"] is not None and kept is not None else None
    if run is not None and (before is None or run.record.get("fingerprint") != before.record.get("fingerprint")):
        return samples if samples is not None else kept, run, "run"
    shown = samples if samples is not None and run is not None else kept if kept is not None else samples
    if before is not None and shown is not None:
        before.preparation.check(shown)
    return shown, before, ""
