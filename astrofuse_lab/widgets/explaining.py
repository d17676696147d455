"""What the views that explain share: runs by name, predictions as columns, and slow answers of which older ones are dropped as a person pages on."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import traitlets as t
from ipywidgets.widgets.widget import _remove_buffers

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.members import runs_of
from astrofuse_lab.widgets.base import Base, Selection, Worker
from astrofuse_lab.widgets.predictions import prediction_columns
from astrofuse_lab.widgets.samples import sample_answer
from astrofuse_lab.widgets.wire import columns_payload, coverage_payload

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run

    Source = Run | Ensemble

PREDICTED = "-"
GRACE = 0.25
"""Seconds in which a view asks for its first answer."""
DROPPED = "dropped: another sample was asked for"
"""What a question gets whose sample is no longer looked at; the view asks again where it returned to it."""


def named_runs(run: "Source | Iterable[Source] | Mapping[str, Source]") -> dict[str, "Source"]:
    """Runs by the names that a person sees: those of a mapping, else of their recipes, numbered where two are the same.

    Raises
    ------
    InputError
        If there is none.
    """
    if isinstance(run, Mapping):
        named = {str(name): one for name, one in run.items()}
    else:
        given: list[Any] = [run] if hasattr(run, "recipe") else list(run)  # an ensemble can be gone through, too
        titles = [f"{one.recipe.name}{f', {len(runs_of(one))} members' if len(runs_of(one)) > 1 else ''}" for one in given]
        named = {title if titles.count(title) == 1 else f"{title} ({titles[: i + 1].count(title)})": one for i, (title, one) in enumerate(zip(titles, given, strict=True))}
    if not named:
        raise InputError("no run was given: a view that explains needs one, af.train(...), several in a list or a dictionary, or an ensemble.")
    return named


def run_rows(runs: Mapping[str, "Source"]) -> list[dict[str, Any]]:
    """Name, target, task, classes and number of members of each run, for the view."""
    return [{"name": name, "target": one.target, "task": one.task, "classes": [str(c) for c in one.classes], "members": len(runs_of(one))} for name, one in runs.items()]


class Explainer(Base):
    """A view of one sample at a time that asks a model.

    Parameters
    ----------
    run : Run, Ensemble, or several of them in a list or a dictionary
    samples : SampleSet
    selection : Selection, optional

    Attributes
    ----------
    runs : dict of str to Run or Ensemble
    """

    slow: ClassVar[tuple[str, ...]] = ()
    """Kinds of keys that are worked out on the `_jobs` thread; their second part is the position."""
    columns: Any = t.List().tag(sync=True)
    coverage: Any = t.List().tag(sync=True)
    runs_shown: Any = t.List().tag(sync=True)
    title = t.Unicode("").tag(sync=True)

    def __init__(self, run: Any, samples: "SampleSet", selection: Selection | None = None, **traits: Any) -> None:
        self.runs = named_runs(run)
        for one in self.runs.values():
            for member in runs_of(one):
                member.preparation.check(samples)  # here, where it can be mended, and not in a job a moment later
        self.samples = samples
        self.first = next(iter(self.runs.values()))
        # as the model sees them: a light curve as its DMDT image, where the run says so
        self.shown = runs_of(self.first)[0].preparation.represented(samples)
        self._turned = threading.Event()
        self._ending = threading.Event()
        self._at = self._asking = ""
        self._active: dict[object, str] = {}
        self._aside: Worker | None = None
        given = {
            "columns": columns_payload(samples), "coverage": coverage_payload(self.shown), "runs_shown": run_rows(self.runs),
            "title": f"{' | '.join(self.runs)}, {self.first.target}", "simulated": samples.simulated,
        }  # fmt: skip
        super().__init__(samples.object_ids, selection, **{**given, **traits})
        self._aside = Worker(f"{type(self).__name__}-aside", self._failed)
        self._begin()
        self._aside.submit(self._add_predictions)

    def _warm(self) -> None:
        """Import what the first answer needs, while the view is being drawn."""

    def _add_predictions(self) -> None:
        """Columns that say what is predicted: after the first answer, if one is asked for, since a person waits for that."""
        self._warm()
        self._ending.wait(GRACE)
        while self._active and not self._ending.is_set():
            self._ending.wait(0.05)
        if len(self.samples) and not self._ending.is_set():
            self._update(columns=[*self.columns, *prediction_columns(cast("Run", self.first), self.samples)])

    def _which(self) -> str:
        """The sample in focus as Python."""
        return f"samples.select([{str(self._ids[self.focus])!r}])" if 0 <= self.focus < len(self._ids) else "samples"

    def _named(self, number: int) -> str:
        """A run as Python."""
        return "run" if len(self.runs) == 1 else f"runs[{list(self.runs)[number]!r}]"

    # ---- slow answers ----------------------------------------------------------------------------------------------

    def _received(self, widget: Any, content: Any, buffers: Any) -> None:
        if isinstance(content, dict) and content.get("type") == "want":
            kind, position, *_ = [*str(content.get("key", "")).split("/"), ""]
            if kind in self.slow:
                with self._lock:
                    if position != self._at:
                        self._turned.set()  # whoever is being explained is no longer looked at
                    self._at = position
        super()._received(widget, content, buffers)

    def _lane(self, key: str) -> Worker:
        kind = key.split("/", 1)[0]
        return self._aside_lane() if kind == "doubt" else self._jobs if kind in self.slow else self._quick

    def _aside_lane(self) -> Worker:
        """The thread for what must never delay a map: checks and doubts."""
        assert self._aside is not None
        return self._aside

    def _give(self, key: str) -> None:
        kind, position, *_ = [*key.split("/"), ""]
        if kind in self.slow:
            with self._lock:
                late = position != self._at
                if not late:
                    self._turned.clear()
                if kind != "doubt":
                    self._asking = key
            if late:
                self.send({"type": "answer", "key": key, "error": DROPPED})
                return
        super()._give(key)

    def _give_coarse(self, key: str, payload: dict[str, Any]) -> None:
        """Send a first answer to the question at hand; a finer one follows."""
        if key == self._asking and not self._turned.is_set():
            bare, paths, buffers = _remove_buffers(payload)
            self.send({"type": "answer", "key": key, "partial": True, "payload": bare, "paths": paths}, buffers)

    def _stopped(self, change: Any) -> None:
        super()._stopped(change)
        if change["new"]:
            self._turned.set()

    @contextmanager
    def _doing(self, text: str) -> Iterator[None]:
        """Say what is going on while it is; several threads may be at something."""
        token = object()
        with self._lock:
            self._active[token] = text
            self._update(busy=True, progress=-1.0, status=text)
        try:
            yield
        finally:
            with self._lock:
                del self._active[token]
                left = list(self._active.values())
                self._update(**({"status": left[-1]} if left else {"busy": False, "status": "", "stop": False, "progress": 0.0}))

    # ---- answers ---------------------------------------------------------------------------------------------------

    def _one(self, position: str) -> "SampleSet":
        """The sample at a position, as a set of one."""
        if not position.isdigit() or int(position) >= len(self.samples):
            raise InputError(f"no sample at position {position!r}; positions are 0 to {len(self.samples) - 1}.")
        return self.samples.take([int(position)])

    def _source(self, number: str) -> "Source":
        """The run of a number."""
        if not number.isdigit() or int(number) >= len(self.runs):
            raise InputError(f"no run number {number!r}; there are {len(self.runs)}: {', '.join(self.runs)}.")
        return list(self.runs.values())[int(number)]

    def _goal(self, source: "Source", target: str) -> Any:
        """The class of a number, or None for the predicted one."""
        if target == PREDICTED or source.task not in ("classification", "multi_label"):
            return None
        if not target.isdigit() or int(target) >= len(source.classes):
            raise InputError(f"no class number {target!r}; the run has {len(source.classes)}: {', '.join(map(str, source.classes))}.")
        return source.classes[int(target)]

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``."""
        return sample_answer(self.shown, key)

    def page_keys(self, position: int) -> tuple[str, ...]:
        """The answers that a page without a kernel stores of one sample."""
        return (f"sample/{position}",)

    # ---- end -------------------------------------------------------------------------------------------------------

    def wait(self, timeout: float = 600.0) -> bool:
        """As `Base.wait`, with what runs aside."""
        return super().wait(timeout) and (self._aside is None or self._aside.drain(timeout))

    def close(self) -> None:
        """As `Base.close`; what runs aside ends, too."""
        if not self._ended:  # nor ever made, where what was given was refused
            self._ending.set()
            self._turned.set()
            self._halt.set()
            if self._aside is not None:
                self._aside.close()
        super().close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(np.atleast_1d(self._ids))} samples, {', '.join(self.runs)})"
