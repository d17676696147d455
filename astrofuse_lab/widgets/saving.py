"""What every widget offers beside its view: a page of its own, and the selection as ids and samples."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.widgets.embedded import HEIGHT, SIZE, STORED, Embedded, page_name, stored_by_mode

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.widgets.base import Base
    from astrofuse_lab.widgets.selection import Selection

UNKEPT = ("annotations/", "part/", "raw/", "sample/", "thumb/")
"""Answers that a page does not store because the view once asked for them: a person's own notes, pieces of arrays, and what `page_keys` names."""
ASKED = 64


class Saving:
    """The part of `Base` that looks outward: pages without a kernel, and Python's side of the selection."""

    samples: Any = None
    """What is shown; None of a view without samples."""
    selection: "Selection"
    _ids: NDArray[np.str_]
    _page_asked: dict[str, None]

    # ---- selection -----------------------------------------------------------------------------------------------

    def _set_ids(self, ids: Iterable[str]) -> None:
        self._ids = ids.astype(str, copy=False) if isinstance(ids, np.ndarray) else np.asarray(list(ids), dtype=str)
        self._places: dict[str, int] | None = None

    @property
    def _place(self) -> dict[str, int]:
        """Id -> position; made when first needed: that of a million ids takes half a second and 150 MB."""
        if self._places is None:
            self._places = {object_id: i for i, object_id in enumerate(self._ids.tolist())}
        return self._places

    @property
    def selected_samples(self) -> "SampleSet":
        """The selected samples, as a set of their own.

        Raises
        ------
        InputError
            If this view shows no samples.
        """
        if self.samples is None:
            raise InputError(f"{type(self).__name__} shows no samples, so none are selected; widget.selection.ids has the ids.")
        return self.samples.take(np.flatnonzero(self._selected_mask()))  # type: ignore[no-any-return]

    def _selected_mask(self) -> NDArray[np.bool_]:
        """Which of this widget's samples are selected, (n,)."""
        known = self.selection.chosen.over(self._ids)
        if known is not None:
            return known
        mask = np.zeros(len(self._ids), dtype=bool)
        mask[[self._place[i] for i in self.selection.ids if i in self._place]] = True
        return mask

    def select(self, ids: Iterable[str] | NDArray[np.bool_]) -> None:
        """Select samples here and in every linked view.

        Parameters
        ----------
        ids : iterable of str, or bool array, (n,)
            Ids, or a mask over this widget's samples; empty selects none.

        Raises
        ------
        UnknownNameError
            For an id that this widget does not show.
        InputError
            For a mask of another length.
        """
        if isinstance(ids, np.ndarray) and ids.dtype == bool:
            if ids.shape != self._ids.shape:
                raise InputError(f"a mask of shape {ids.shape} cannot select among {len(self._ids)} samples; give one bool a sample, or ids.")
            return self.selection.choose(self._ids, ids.copy())
        wanted = [ids] if isinstance(ids, str) else [str(i) for i in ids]
        unknown = next((i for i in wanted if i not in self._place), None)
        if unknown is not None:
            raise UnknownNameError("sample", unknown, list(self._place))
        self.selection.ids = tuple(wanted)
        return None

    # ---- a page --------------------------------------------------------------------------------------------------

    def page_keys(self, position: int) -> tuple[str, ...]:
        """The answers that a page without a kernel stores of one sample."""
        return ()

    def page_together(self, positions: Sequence[int]) -> dict[str, Any]:
        """Those of the answers of `page_keys`, by key, that are sooner worked out for several samples at once."""
        return {}

    def page_always(self) -> tuple[str, ...]:
        """The answers that a page stores of no single sample: those that the view has asked for so far."""
        return tuple(key for key in self._page_asked if not key.startswith(UNKEPT) and key.split("/")[0] not in {k.split("/")[0] for k in self.page_keys(0)})

    def page_state(self) -> dict[str, Any]:
        """Traits that a page has otherwise than a notebook: with the arrays in them that a notebook asks for in parts."""
        return {}

    def _remember(self, key: str) -> None:
        """A view asked for this."""
        self._page_asked.pop(key, None)
        self._page_asked[key] = None
        while len(self._page_asked) > ASKED:
            self._page_asked.pop(next(iter(self._page_asked)))

    def save(
        self, path: str | Path, *, beside: "Sequence[Base]" = (), stored: int = 60, title: str = "",
        on_progress: Callable[[int, int], object] | None = None, stop: threading.Event | None = None,
    ) -> Path | None:  # fmt: skip
        """Write one self-contained page with this view, linked and interactive, without Python and without a network.

        Parameters
        ----------
        path : path
            Ends in ``.html``.
        beside : sequence of widgets
            More views for the same page; those that share this widget's selection are linked.
        stored : int
            Samples at most whose data and answers are stored: those in focus and selected first, then from each class in turn.
        title : str
            None given: the sample set's.
        on_progress : callable, optional
            Called with the number of the sample at hand and how many there are.
        stop : threading.Event, optional
            Set it to give up after the sample at hand; nothing is written then.

        Returns
        -------
        Path or None
            Absolute; None when stopped. ``path.stat().st_size`` is its size; a page of 100,000 points stays below 5 MB.

        Raises
        ------
        InputError
            If the name does not end in ``.html``, or the front end is not built.
        StorageError
            If the file cannot be written.
        """
        from astrofuse_lab.widgets.export import save_page

        return save_page(page_name(Path(path)), **self._page_parts(beside, stored), title=title, on_progress=on_progress, stop=stop)

    def embed(self, *, beside: "Sequence[Base]" = (), stored: int = STORED, title: str = "", height: int = HEIGHT, size: int = SIZE) -> Embedded:
        """This view as a page inside another page: linked and interactive, without Python and without a network.

        As the last line of a cell it shows itself, and stays in the notebook's file: Sphinx (myst-nb, nbsphinx), Jupyter Book, Quarto and others pass it on.
        ``widget.embed().html`` is what to paste into a page, ``widget.embed().save("view.html")`` a file for a frame of a learning platform.

        Parameters
        ----------
        beside : sequence of widgets
            More views for the same frame; those that share this widget's selection are linked.
        stored : int
            Samples at most whose data and answers are stored: those in focus and selected first, then from each class in turn.
        title : str
            None given: the sample set's.
        height : int
            Screen pixels until the view says how tall it is, which it cannot where scripts are taken out of pages.
        size : int
            Bytes at most, for each 100,000 samples; what there is no room for is left out, and named.

        Returns
        -------
        Embedded

        Raises
        ------
        InputError
            If there are no samples, or the front end is not built.
        """
        from astrofuse_lab.widgets.export import made_page

        page = made_page(**self._page_parts(beside, stored), title=title, size=size, brief=True)
        assert page is not None  # nobody can stop it
        return Embedded(page, title or f"AstroFuse Lab: {type(self).__name__.removesuffix('Widget').lower()}", height)

    def _page_parts(self, beside: "Sequence[Base]", stored: int) -> dict[str, Any]:
        """What a page of these views is made of, once they have nothing left to do."""
        widgets: list[Any] = [self, *beside]
        for widget in widgets:
            widget.wait()
        first = [self._place[i] for i in (self.selection.focus, *self.selection.chosen.first(stored)) if i in self._place]
        code = "\n\n".join(dict.fromkeys(w.code for w in widgets if w.code))
        return {"views": widgets, "samples": self.samples, "run": _run_of(widgets), "stored": stored, "first": first, "code": code}

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """As a live view; where a notebook is run to become a page (`MODE`), as that page."""
        stored = stored_by_mode()
        if not stored:
            return super()._repr_mimebundle_(**options)  # type: ignore[misc]  # anywidget's
        try:
            return {"text/plain": repr(self), "text/html": self.embed(stored=stored).html}
        except InputError as error:  # nothing in it yet
            return {"text/plain": f"{self!r}: {error}"}


def _run_of(widgets: Sequence[Any]) -> Any:
    """The run that these views are of, where it is one."""
    given = [(getattr(w, "run", None), *(w.runs.values() if isinstance(getattr(w, "runs", None), Mapping) else ())) for w in widgets]
    runs = [run for some in given for run in some if hasattr(run, "metrics") and hasattr(run, "recipe")]
    return runs[0] if runs and all(run is runs[0] for run in runs) else None
