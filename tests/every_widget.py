"""Every widget there is, made from one run and one set of samples: what holds for all is tested of each."""

from dataclasses import dataclass

import astrofuse_lab as af
from astrofuse_lab.lessons.plan import Plan, Question, Task
from astrofuse_lab.lessons.session import Session
from astrofuse_lab.widgets.against import AgainstWidget
from astrofuse_lab.widgets.header import HeaderWidget
from astrofuse_lab.widgets.lesson import LessonWidget


@dataclass(frozen=True)
class Given:
    """What widgets are made from."""

    run: object
    samples: object


def lesson_session():
    """A lesson with a question and a task of each kind of answer, some of them answered."""
    plan = Plan.of("every", "Every item", ["tell items apart"], 10, samples={"name": "practice", "n": 40})
    plan.add(Question.of("better", "Which is better?", ["one", "the other"]))
    plan.add(Question.of("width", "How wide?", unit="arcsec"))
    plan.add(Question.of("why", "Why?"))
    plan.add(Task.of("number", "Which number?", {"number": 3}, hints=["more than two"], reveal="count"))
    plan.add(Task.of("ids", "Which objects?", {"ids": {}}))
    plan.add(Task.of("own", "Make a set.", {"samples": {"at_least": 2}}))
    plan.body += [
        ("heading", [1, "A page"]),
        ("text", "With `code` and **weight**."),
        ("list", ["one", "two"]),
        ("code", "1 + 1"),
        *(("item", name) for name in plan.items),
    ]
    session = Session(plan, keep=False)
    session.answer("width", 2)
    session.check("number", 4)
    session.hint("number")
    return session


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
    "lesson": lambda it, selection: LessonWidget(lesson_session(), selection=selection),
    "against": lambda it, selection: AgainstWidget(it.run, it.samples, n=4, selection=selection),
    "header": lambda it, selection: HeaderWidget(
        lambda *_: None, lambda folder: folder, selection=selection, steps=[{"name": "Sky", "why": "", "views": ["fetch"]}]
    ),
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
