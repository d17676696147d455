"""Every widget there is, made from one run and one set of samples: what holds for all is tested of each."""

from dataclasses import dataclass

import astrofuse_lab as af
from astrofuse_lab.widgets.header import HeaderWidget


@dataclass(frozen=True)
class Given:
    """What widgets are made from."""

    run: object
    samples: object


EVERY = {
    "fetch": lambda it, selection: af.FetchWidget(selection=selection),
    "samples": lambda it, selection: af.SamplesWidget(it.samples, selection),
    "train": lambda it, selection: af.TrainWidget(it.samples, selection=selection, recipe="late_fusion"),
    "embedding": lambda it, selection: af.EmbeddingWidget(it.run, it.samples, selection, umap=False),
    "attribution": lambda it, selection: af.AttributionWidget(it.run, it.samples, selection),
    "attention": lambda it, selection: af.AttentionWidget(it.run, it.samples, selection),
    "contribution": lambda it, selection: af.ContributionWidget(it.run, it.samples, selection),
    "evaluation": lambda it, selection: af.EvaluationWidget(it.run, it.samples, selection),
    "label": lambda it, selection: af.LabelWidget(it.samples, [*map(str, it.run.classes)], it.run, selection),
    "header": lambda it, selection: HeaderWidget(lambda *_: None, lambda folder: folder, selection=selection, steps=[{"name": "Sky", "why": "", "views": ["fetch"]}]),
}
"""By the name of the view; called with `Given` and a selection."""
OF_RUN = ("embedding", "attribution", "attention", "contribution", "evaluation", "label")
OF_SAMPLES = ("samples", *OF_RUN)
SAVED = tuple(name for name in EVERY if name != "header")
"""Views that may be saved as a page of their own."""


def made(name, run, samples, selection=None):
    """One widget, with nothing left to do."""
    widget = EVERY[name](Given(run, samples), selection)
    widget.wait(120)
    return widget
