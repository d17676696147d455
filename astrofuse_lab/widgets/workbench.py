"""All of it in one linked view: sky, samples, fuse, inspect."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import panel as pn

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.attention import AttentionWidget
from astrofuse_lab.widgets.attribution import AttributionWidget
from astrofuse_lab.widgets.base import Base, Selection
from astrofuse_lab.widgets.contribution import ContributionWidget
from astrofuse_lab.widgets.embedding import EmbeddingWidget
from astrofuse_lab.widgets.evaluation import EvaluationWidget
from astrofuse_lab.widgets.export import save_page
from astrofuse_lab.widgets.fetch import FetchWidget
from astrofuse_lab.widgets.header import HeaderWidget
from astrofuse_lab.widgets.hosting import Channel, Figure, Hosted, Notice
from astrofuse_lab.widgets.plotting import in_notebook, keep_style_sheets_inline
from astrofuse_lab.widgets.samples import SamplesWidget
from astrofuse_lab.widgets.train import TrainWidget

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

STEPS = ("Sky", "Samples", "Fuse", "Inspect")
INSPECT = ("embedding", "attribution", "attention", "contribution", "evaluation")
"""Views of the last step, in their order."""
WAITING = {
    1: ("waits for samples", "No samples yet", "Fetch and align them in step ①, or give them: af.workbench(samples=samples).", 0),
    2: ("waits for samples", "Nothing to train on yet", "Training waits for samples. Fetch and align them in step ①, or give them: af.workbench(samples=samples).", 0),
    3: ("waits for a model", "No model to look into yet", "Train one in step ③, or give it with samples: af.workbench(run, samples).", 2),
}
"""What a step says that cannot run yet: in the head, as a title, in full; and the step to go to first."""
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


class Workbench(pn.viewable.Viewer):
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
    """

    def __init__(self, run: "Run | None" = None, samples: "SampleSet | None" = None, comparison: "Table | None" = None, umap: bool = True, **params: Any) -> None:
        if run is not None and samples is not None:
            run.preparation.check(samples)
        load_extension()
        super().__init__(**params)
        self.selection = Selection()
        self.run, self.samples, self.comparison, self.umap = run, samples, comparison, umap
        self.widgets: dict[str, Base] = {}
        self._steps = [pn.Column(**WIDE) for _ in STEPS]
        # all steps stay in the page: in a notebook, Panel cannot take Bokeh plots out and put them back without breaking its connection
        self._tabs = pn.Tabs(*zip(STEPS, self._steps, strict=True), dynamic=False, stylesheets=[TABS], **WIDE)
        self.header = HeaderWidget(self._save_page, self._save_run, selection=self.selection, comm=Channel())
        self._layout = pn.Column(Hosted(self.header), self._tabs, **WIDE)
        fetch = self._add("fetch", FetchWidget)
        fetch.observe(self._fetched, "aligned")
        self._steps[0].objects = [self._show("fetch")]
        self._show_samples()
        self._show_run()
        self.header.observe(self._turned, "step")
        self._tabs.param.watch(lambda event: self.header._update(step=event.new), "active")
        self._tabs.active = 3 if run is not None else 1 if samples is not None else 0

    def __panel__(self) -> pn.viewable.Viewable:
        return self._layout

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _add(self, name: str, kind: Callable[..., Base], *given: Any, **options: Any) -> Base:
        """Make a widget linked to the others, in place of the one of that name."""
        old = self.widgets.pop(name, None)
        if old is not None:
            old.close()
        self.widgets[name] = kind(*given, selection=self.selection, comm=Channel(), **options)
        self.widgets[name].observe(self._show_code, "code")
        return self.widgets[name]

    def _show(self, name: str) -> Hosted:
        return Hosted(self.widgets[name], styles=BESIDE.get(name, {}))

    def _wait(self, step: int) -> None:
        _, title, text, first = WAITING[step]
        if first and (self.samples is None or len(self.samples) == 0):  # the step before waits too
            text, first = f"Fetch and align samples in step ① first. {text}", 0
        self._steps[step].objects = [Notice(text, title, f"Go to step {'①②③④'[first]} {STEPS[first]}", lambda: self.header._update(step=first))]

    def _turned(self, change: Any) -> None:
        if change["new"] < len(STEPS):
            self._tabs.active = change["new"]

    def _show_state(self) -> None:
        """Tell the head which steps can run, what they show, and what can be saved."""
        some, trained = self.samples is not None and len(self.samples) > 0, self.run is not None
        views = (["fetch"], ["samples"] if some else [], ["train"] if some else [], [n for n in INSPECT if n in self.widgets and some and trained])
        waits = ("", *(["" if some else WAITING[i][0] for i in (1, 2)]), "" if some and trained else WAITING[3][0])
        unsaved = self.run is not None and self.run.path is None
        self.header._update(
            steps=[{"name": name, "why": why, "views": shown} for name, why, shown in zip(STEPS, waits, views, strict=True)], ready=some,
            unsaved=unsaved, simulated=bool(some and self.samples.simulated), written=[], code=self.code,  # type: ignore[union-attr]
        )  # fmt: skip
        self.header.propose("-".join(["astrofuse", *([self.run.recipe.name.replace("_", "-")] if self.run is not None else [])]))

    def _show_samples(self) -> None:
        """Fill steps 2 and 3."""
        if self.samples is None or len(self.samples) == 0:
            self._wait(1)
            self._wait(2)
        else:
            self._add("samples", SamplesWidget, self.samples)
            train = self._add("train", TrainWidget, self.samples, self.run.recipe if self.run is not None else None)
            train.observe(self._trained, "state")
            self._steps[1].objects = [self._show("samples"), _plot("coverage", self.samples)]
            self._steps[2].objects = [self._show("train")]
        self._show_state()

    def _show_run(self) -> None:
        """Fill step 4."""
        if self.run is None or self.samples is None or len(self.samples) == 0:
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
            self._steps[3].objects = [pn.FlexBox(*views, align_items="flex-start", gap="12px", **WIDE), self._judgement()]
        self._show_state()

    def _fitting(self) -> "Table | None":
        """The comparison, where it is of what the run predicts."""
        assert self.run is not None
        return self.comparison if self.comparison is not None and self.comparison.meta.get("target") == self.run.target else None

    def _judgement(self) -> pn.viewable.Viewable:
        """How it was learnt, and the comparison."""
        assert self.run is not None
        plots = [] if self.comparison is None else [_plot("comparison", self.comparison)]
        plots += [_plot("learning_curve", self.run)]
        missing = [] if self.comparison is not None else ["No comparison yet: af.workbench(run, samples, comparison=af.compare(...)) shows fused beside each modality, trees and chance."]
        return pn.Column(pn.FlexBox(*plots, **WIDE), *map(Notice, missing), **WIDE)

    # ---- what happens in the views -----------------------------------------------------------------------------------

    def _fetched(self, _change: Any) -> None:
        made = getattr(self.widgets["fetch"], "samples", None)
        if made is not None and made is not self.samples:
            self.samples, self.run, self.comparison = made, None, None
            self._show_samples()
            self._show_run()

    def _trained(self, change: Any) -> None:
        if change["new"] in ("finished", "stopped"):
            self.run = getattr(self.widgets["train"], "run", None) or self.run
            self.comparison = None
            self._show_run()

    def _show_code(self, _change: Any = None) -> None:
        self.header._update(code=self.code)

    @property
    def code(self) -> str:
        """The notebook that the clicks have written so far."""
        lines = ["import astropy.units as u", "", "import astrofuse_lab as af", ""]
        order = [name for name in ("fetch", "samples", "train", *INSPECT) if name in self.widgets]
        if "samples" in self.widgets and getattr(self.widgets["fetch"], "samples", None) is None:
            order.remove("fetch")  # the samples were given
            lines += [_opened("samples", "SampleSet", self.samples)]
        if self.run is not None and getattr(self.widgets.get("train"), "run", None) is None:
            order = [name for name in order if name != "train"]
            lines += [_opened("run", "Run", self.run)]
        return "\n".join([*lines, *(self.widgets[name].code for name in order)])

    # ---- a page ------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, *, stored: int = 60, **more: Any) -> Path:
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
        if self.samples is None or len(self.samples) == 0:
            raise InputError("the workbench has no samples yet, so there is nothing to save. Give some: af.workbench(run, samples).")
        views = self._saved()
        for view in views:
            view.wait()
        place = self.widgets["samples"]._place
        first = [place[i] for i in (self.selection.focus, *self.selection.ids) if i in place]
        return save_page(  # type: ignore[return-value]  # None only where `stop` was given
            path, views, self.samples, self.run, self.comparison, stored=stored, first=first, code=self.code,
            on_progress=more.get("on_progress"), stop=more.get("stop"),
        )  # fmt: skip

    def _save_page(self, path: Path, on_progress: Any, stop: Any) -> Path | None:
        """What the head's button does."""
        on_progress(0, 0)
        return self.save(path, on_progress=on_progress, stop=stop)

    def _save_run(self, folder: Path) -> Path:
        assert self.run is not None
        self.run.save(folder)
        self._show_code()
        return folder.resolve()

    def _saved(self) -> list[Base]:
        return [self.widgets[name] for name in (INSPECT if self.run is not None else ("samples",)) if name in self.widgets]

    def close(self) -> None:
        """End all threads."""
        for widget in (self.header, *self.widgets.values()):
            widget.close()

    def __repr__(self) -> str:
        return f"Workbench({self.run!r}, {self.samples!r})"


def _opened(name: str, kind: str, thing: Any) -> str:
    where = getattr(thing, "path", None)
    return f"{name} = af.{kind}.open({str(where)!r})" if where is not None else f"# {name}: as given to af.workbench"


def _plot(name: str, *given: Any) -> pn.viewable.Viewable:
    """One plot, or the sentence that says why there is none."""
    from astrofuse_lab.errors import AstroFuseError
    from astrofuse_lab.widgets import plots

    try:
        return Figure(getattr(plots, name)(*given))
    except AstroFuseError as error:
        return Notice(str(error))


def workbench(run: "Run | None" = None, samples: "SampleSet | None" = None, *, comparison: "Table | None" = None, umap: bool = True) -> Workbench:
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
    """
    if run is not None and samples is None:
        raise InputError("a run needs samples to be looked at: af.workbench(run, samples).")
    return Workbench(run, samples, comparison, umap)
