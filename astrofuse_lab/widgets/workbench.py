"""All of it in one linked view: sky, samples, fuse, inspect."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn

from astrofuse_lab.errors import AstroFuseError, InputError
from astrofuse_lab.widgets import guide
from astrofuse_lab.widgets import session as sessions
from astrofuse_lab.widgets.attention import AttentionWidget
from astrofuse_lab.widgets.attribution import AttributionWidget
from astrofuse_lab.widgets.base import Base, Selection
from astrofuse_lab.widgets.contribution import ContributionWidget
from astrofuse_lab.widgets.embedding import EmbeddingWidget
from astrofuse_lab.widgets.evaluation import EvaluationWidget
from astrofuse_lab.widgets.fetch import FetchWidget
from astrofuse_lab.widgets.header import HeaderWidget
from astrofuse_lab.widgets.hosting import Channel, Drawn, Figure, Hosted, Notice, Row, Stack, drawn, fill, turn
from astrofuse_lab.widgets.keeping import Keeper
from astrofuse_lab.widgets.plotting import in_notebook, keep_style_sheets_inline
from astrofuse_lab.widgets.samples import SamplesWidget
from astrofuse_lab.widgets.session import KEPT, Session
from astrofuse_lab.widgets.story import SPLIT, TITLES, Story
from astrofuse_lab.widgets.train import TrainWidget
from astrofuse_lab.widgets.workbench_files import Outward

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.samples.split import Split
    from astrofuse_lab.training.run import Run

STEPS = ("Sky", "Samples", "Fuse", "Inspect")
INSPECT = tuple(TITLES)
"""Views of the last step."""
WAITING = {
    1: ("waits for samples", "No samples yet", "Fetch and align them in step ①, or give them: af.workbench(samples=samples).", 0),
    2: ("waits for samples", "Nothing to train on yet", "Training waits for samples. Fetch and align them in step ①, or give them: af.workbench(samples=samples).", 0),
    3: ("waits for a model", "No model to look into yet", "Train one in step ③, or give it with samples: af.workbench(run, samples).", 2),
}
"""What a step says that cannot run yet: in the head, as a title, in full; and the step to go to first."""
PRACTICE = tuple(f"practice/{kind}" for kind in ("image", "spectrum", "light_curve", "table", "text"))
"""Surveys that are ticked at the start: what the practice sky has of every object."""
STAYS = {"position": "sticky", "top": "0", "z-index": "20"}
"""The head stays in sight where the page scrolls; a notebook scrolls by itself."""
WIDE = {"sizing_mode": "stretch_width"}
TABS = ":host .bk-header { display: none; }"  # the head has them
BESIDE = {"embedding": {"flex": "5 1 560px", "min-width": "0"}, "attribution": {"flex": "7 1 640px", "min-width": "0"}, "attention": {"flex": "1 1 100%", "min-width": "0"}, "contribution": {"flex": "1 1 100%", "min-width": "0"}, "evaluation": {"flex": "1 1 100%", "min-width": "0"}}
"""On a wide screen the map stands beside what explains its points."""


def load_extension() -> None:
    """Put Panel's own files into the notebook, once, so that nothing is asked of a CDN."""
    if in_notebook():
        if not pn.extension._loaded:
            pn.extension(inline=True)
        keep_style_sheets_inline()  # a plot shown before may have loaded the extension without them


class Workbench(Outward, pn.viewable.Viewer):
    """The linked view that ``af.workbench`` makes.

    Attributes
    ----------
    selection : Selection
        Shared by all views; ``selection.ids`` are the samples selected.
    samples : SampleSet or None
        Given, or aligned in step 1.
    run : Run or None
        Given, or trained in step 3.
    comparison : Table or None
        Of ``af.compare``; shown in step 4.
    widgets : dict of str to widget
        Those that are there so far: fetch, samples, train, embedding, attribution, attention, contribution, evaluation.
    story : Story
        What was done, as data.
    keeper : Keeper
        Keeps the session; ``keeper.folder`` says where.

    Parameters
    ----------
    run, samples, comparison, umap, session
        As of `workbench`.
    served : bool
        For a visitor who has no Python here and may not touch the server's folders.
    plots : dict, optional
        Plots of this very run and set that were drawn for others, by name; what is drawn here is added.
    """

    def __init__(
        self, run: "Run | None" = None, samples: "SampleSet | None" = None, comparison: "Table | None" = None, umap: bool = True,
        session: str | Path | None = None, served: bool = False, plots: dict[str, Drawn] | None = None, **params: Any,
    ) -> None:  # fmt: skip
        folder = Path(session).expanduser().resolve() if session is not None else None
        back = sessions.read_session(folder) if folder is not None and sessions.is_session(folder) else None
        if run is not None and samples is not None:
            run.preparation.check(samples)
        load_extension()
        super().__init__(**params)
        self.selection = Selection()
        self.widgets: dict[str, Base] = {}
        self.split: Split | None = None
        self._code_due = False
        self._heard: Any = None
        self.story, self.umap, self._back = Story(begun=sessions.now()), umap, Session()
        self.run, self.samples, self.comparison = run, samples, comparison
        self._given: tuple[Any, ...]
        self._given, self._drawn = ((run, samples), plots) if plots is not None else ((), {})
        self._steps = [pn.Column(**WIDE) for _ in STEPS]
        # all steps stay in the page: in a notebook, Panel cannot take Bokeh plots out and put them back without breaking its connection
        self._tabs = pn.Tabs(*zip(STEPS, self._steps, strict=True), dynamic=False, stylesheets=[TABS], **WIDE)
        self.header = HeaderWidget(self._save_page, self._save_run, keep=self._keep, reopen=self._reopen, compare=self._compare, notebook=self._notebook, ask=self._ask, served=served, selection=self.selection, comm=Channel())
        self.keeper = Keeper(self, self.header.tell_kept)
        self._layout = pn.Column(Hosted(self.header, styles=STAYS), self._tabs, **WIDE)
        self.header.observe(self._turned, "step")
        self.header.observe(self._compared, "busy")
        self._tabs.param.watch(lambda event: self.header._update(step=event.new), "active")
        self.selection.observe(self.keeper.due, ["ids", "focus"])
        if back is not None and folder is not None:
            self._take_back(folder, back, given=(run, samples, comparison))
        else:
            self._begin(3 if run is not None else 1 if samples is not None else 0)
            if folder is not None:
                self.keeper.begin(folder)
                self.header._update(session=str(folder))

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout

    def _begin(self, step: int) -> None:
        """Fill all steps anew, and turn to one."""
        fetch = self._add("fetch", FetchWidget, self.keeper.given_targets(), PRACTICE)
        fetch.observe(self._fetched, "aligned")
        fetch.observe(self._show_guide, ["busy", "complete"])
        fill(self._steps[0], [self._show("fetch")])
        self._show_samples()
        self._show_run()
        self.header._update(step=step)  # which turns the tabs

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _add(self, name: str, kind: Callable[..., Base], *given: Any, **options: Any) -> Base:
        """Make a widget linked to the others, in place of the one of that name; in a session that is reopened, set as it was."""
        old = self.widgets.pop(name, None)
        if old is not None:
            old.close()
        made = self.widgets[name] = kind(*given, selection=self.selection, comm=Channel(), **options)
        self.keeper.restore(name, made, dict(self._back.views.get(name, {})))
        made.observe(self._show_code, "code")
        made.observe(self.keeper.due, list(KEPT.get(name, ("code",))))
        return made

    def _show(self, name: str) -> Hosted:
        return Hosted(self.widgets[name], styles=BESIDE.get(name, {}))

    def _plot(self, name: str, thing: Any) -> pn.viewable.Viewable:
        """One plot, or the sentence that says why there is none; of what all visitors share it is drawn once."""
        from astrofuse_lab.widgets import plots

        kept = self._drawn if any(thing is one for one in self._given) else {}
        try:
            if name not in kept:
                kept[name] = drawn(getattr(plots, name)(thing))
        except AstroFuseError as error:
            return Notice(str(error))
        return Figure(kept[name])

    def _wait(self, step: int) -> None:
        _, title, text, first = WAITING[step]
        if first and not self._some():  # the step before waits too
            text, first = f"Fetch and align samples in step ① first. {text}", 0
        fill(self._steps[step], [Notice(text, title, f"Go to step {'①②③④'[first]} {STEPS[first]}", lambda: self.header._update(step=first))])

    def _turned(self, change: Any) -> None:
        if change["new"] < len(STEPS):
            turn(self._tabs, change["new"])
            self.keeper.due()

    def _some(self) -> bool:
        return self.samples is not None and len(self.samples) > 0

    def _show_state(self) -> None:
        """Tell the head which steps can run, what they show, and what can be saved."""
        some, trained = self._some(), self.run is not None
        views = (["fetch"], ["samples"] if some else [], ["train"] if some else [], [n for n in INSPECT if n in self.widgets and some and trained])
        waits = ("", *(["" if some else WAITING[i][0] for i in (1, 2)]), "" if some and trained else WAITING[3][0])
        unsaved = self.run is not None and self.run.path is None
        self.header._update(
            steps=[{"name": name, "why": why, "views": shown} for name, why, shown in zip(STEPS, waits, views, strict=True)], ready=some,
            unsaved=unsaved, simulated=bool(some and self.samples.simulated), written=[],  # type: ignore[union-attr]
        )  # fmt: skip
        self.header.propose("-".join(["astrofuse", *([self.run.recipe.name.replace("_", "-")] if self.run is not None else [])]))
        self._show_code()
        self._show_guide()
        self.keeper.due()

    def _show_guide(self, _change: Any = None) -> None:
        """Say what to do next, in each step."""
        fetch, train = self.widgets["fetch"], self.widgets.get("train")
        rows = [guide.sky(fetch, self.samples), *(guide.row("") for _ in range(3))]
        if self._some() and train is not None:
            rows[1] = guide.samples_step(self.samples)
            rows[2] = guide.fuse(train, self.run, len(self.split.test) if self.split is not None else 0)
            if self.run is not None:
                rows[3] = guide.inspect(self.run, str(self.comparison.meta.get("verdict", "")) if self.comparison is not None else "", self.header.comparing)
        self.header._update(guide=rows)

    def _show_samples(self) -> None:
        """Fill steps 2 and 3."""
        if not self._some():
            self._wait(1)
            self._wait(2)
        else:
            assert self.samples is not None
            self.split = split_of(self.samples)
            self._add("samples", SamplesWidget, self.samples)
            train = self._add("train", TrainWidget, self.samples, self.run.recipe if self.run is not None else None, split=self.split)
            if self.run is not None and self.story.trainings:
                train.go_on_with(self.run, self.story.trainings[-1]["settings"], list(self._back.views.get("train", {}).get("runs", ())))  # type: ignore[attr-defined]
            train.observe(self._trained, "state")
            train.observe(self._show_guide, "busy")
            self._hear(self.samples.annotations)
            fill(self._steps[1], [self._show("samples"), self._plot("coverage", self.samples)])
            fill(self._steps[2], [self._show("train")])
        self._show_state()

    def _hear(self, annotations: Any) -> None:
        """Keep what a person says of these samples, and no longer of those before."""
        if self._heard is not None:
            self._heard.unwatch(self.keeper.due)
        self._heard = annotations
        if annotations is not None:
            annotations.watch(self.keeper.due)

    def _show_run(self) -> None:
        """Fill step 4."""
        if self.run is None or not self._some():
            self._wait(3)
        else:
            self._add("embedding", EmbeddingWidget, self.run, self.samples, umap=self.umap)
            self._add("attribution", AttributionWidget, self.run, self.samples)
            views = [self._show("embedding"), self._show("attribution")]
            if self.run.model.attends:
                self._add("attention", AttentionWidget, self.run, self.samples)
                views.append(self._show("attention"))
            elif "attention" in self.widgets:
                self.widgets.pop("attention").close()
            self._add("contribution", ContributionWidget, self.run, self.samples)
            views.append(self._show("contribution"))
            self._add("evaluation", EvaluationWidget, self.run, self.samples, comparison=self._fitting())
            views.append(self._show("evaluation"))
            fill(self._steps[3], [Row(*views, align_items="flex-start", gap="12px", **WIDE), self._judgement()])
        self._show_state()

    def _fitting(self) -> "Table | None":
        """The comparison, where it is of what the run predicts."""
        assert self.run is not None
        return self.comparison if self.comparison is not None and self.comparison.meta.get("target") == self.run.target else None

    def _judgement(self) -> pn.viewable.Viewable:
        """How it was learnt, and the comparison."""
        assert self.run is not None
        plots = [] if self.comparison is None else [self._plot("comparison", self.comparison)]
        plots += [self._plot("learning_curve", self.run)]
        missing = [] if self.comparison is not None else ["No comparison yet: Compare, above, shows fused beside each modality, trees and chance; so does af.workbench(run, samples, comparison=af.compare(...))."]
        return Stack(Row(*plots, **WIDE), *map(Notice, missing), **WIDE)

    # ---- what happens in the views -----------------------------------------------------------------------------------

    def _ask(self, view: str, verb: str) -> None:
        """Have a view do what its own button does."""
        if view not in self.widgets:
            raise InputError("that waits for samples: fetch and align them in step 1.")
        self.widgets[view].comm.receive({"method": "custom", "content": {"type": "do", "verb": verb}})

    def _compared(self, _change: Any) -> None:
        if self.run is not None:
            self._show_guide()

    def _fetched(self, _change: Any) -> None:
        fetch = self.widgets["fetch"]
        made = getattr(fetch, "samples", None)
        if made is not None and made is not self.samples:
            counts = [[r["survey"], r["found"], r["empty"], r["failed"], r["pending"]] for r in fetch.counts]  # type: ignore[attr-defined]
            self.story = Story(self.story.begun, dict(fetch.asked), counts)  # type: ignore[attr-defined]
            self.samples, self.run, self.comparison, self._back = made, None, None, Session()
            self._show_samples()
            self._show_run()

    def _trained(self, change: Any) -> None:
        train = self.widgets["train"]
        made = getattr(train, "run", None)
        if change["new"] in ("finished", "stopped") and made is not None and made is not self.run:
            told = {"settings": dict(train._asked), "state": made.state, "epochs": len(made.history), "metrics": list(train.metrics), "split": self.split is not None}  # type: ignore[attr-defined]
            self.story.trainings = [*(one for one in self.story.trainings if one["state"] == "finished"), told]
            self.run, self.comparison, self.story.compared = made, None, {}
            self._show_run()

    def take(self, run: "Run | None" = None, samples: "SampleSet | None" = None, comparison: "Table | None" = None) -> None:
        """Come back from code: go on with these in place of what is here.

        Parameters
        ----------
        run : Run, optional
            None, with samples: the one that is here, where it takes them.
        samples : SampleSet, optional
            None: those that are here.
        comparison : Table, optional

        Raises
        ------
        InputError
            If a run comes before there are samples.
        RunError
            If the samples do not fit the run.
        """
        samples = samples if samples is not None else self.samples
        if run is not None and samples is None:
            raise InputError("a run needs samples to be looked at: bench.take(run, samples).")
        if run is not None and samples is not None:
            run.preparation.check(samples)
        if samples is not self.samples:
            self.story, self.run, self.comparison = Story(self.story.begun), None, None
        if run is not None and run is not self.run:
            self.story.trainings, self.story.compared, self.comparison = [], {}, None
        self.samples, self.run, self._back = samples, run if run is not None else self.run, Session()
        self.comparison = comparison if comparison is not None else self.comparison
        self._show_samples()
        self._show_run()
        self.header._update(step=3 if self.run is not None else 1 if self._some() else 0)

    def close(self) -> None:
        """End all threads."""
        self.keeper.close()
        self._hear(None)
        self.selection.unobserve(self.keeper.due, ["ids", "focus"])
        for widget in (self.header, *self.widgets.values()):
            widget.close()

    def __repr__(self) -> str:
        return f"Workbench({self.run!r}, {self.samples!r})"


def split_of(samples: "SampleSet") -> "Split | None":
    """How samples are divided for a training here; None where they are too few."""
    if len(samples) < guide.ENOUGH:
        return None
    try:
        return samples.split(**SPLIT)  # type: ignore[arg-type]
    except AstroFuseError:
        return None


def workbench(
    run: "Run | None" = None, samples: "SampleSet | None" = None, *, comparison: "Table | None" = None, umap: bool = True, session: str | Path | None = None,
) -> Workbench:  # fmt: skip
    """All of it in one linked view of four steps: sky, samples, fuse, inspect.

    Shows in a notebook cell; ``.servable()`` and ``panel serve`` make it an app; ``.save("page.html")`` one page without a kernel.

    Parameters
    ----------
    run : Run, optional
        None: trained in step 3.
    samples : SampleSet, optional
        None: fetched and aligned in step 1. A run needs samples.
    comparison : Table, optional
        Of ``af.compare``, drawn in step 4.
    umap : bool
        Compute UMAP in the background; False: PCA until asked for.
    session : path, optional
        A folder that keeps what is done: settings, samples, run, and ``notebook.ipynb``, which does all of it again. Where it holds a
        session, that is reopened as it was left, also by another kernel; samples or a run given beside it that it does not hold take
        the place of its own.

    Returns
    -------
    Workbench
        A Panel object.

    Raises
    ------
    InputError
        If a run comes without samples.
    RunError
        If the samples lack a modality of the run or hold it in another layout, as `Run.predict`.
    StorageError
        If the session cannot be read or written.
    """
    if run is not None and samples is None:
        raise InputError("a run needs samples to be looked at: af.workbench(run, samples).")
    return Workbench(run, samples, comparison, umap, session)
