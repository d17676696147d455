"""A trained run as a contestant: the same JSON as a language model's, from its probabilities.

What it can honestly say: Part A is read off the record by a program, and is right by construction; the self scores of Part B are its probabilities on the scale of
0 to 5, so that MSRS, calibration gap and r ask how well these probabilities know when they are right.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from astrofuse_lab.alert_benchmark.alerts import CLASSES, Alert, sample_set
from astrofuse_lab.alert_benchmark.prompt import PATHS, READ, SELF, TEXTS
from astrofuse_lab.alert_benchmark.scores import read_of
from astrofuse_lab.errors import InputError
from astrofuse_lab.training.run import Run

BLANK: dict[str, Any] = {"filter_band": "r", "subtraction_sign": "positive", "magpsf": -999.0, "sigmapsf": -999.0, "ndethist": -999, "ncovhist": -999}
"""What the form wants where the record has nothing; it counts as wrong, as any answer does."""


def answer_of(run: Run, alerts: Sequence[Alert]) -> dict[str, str]:
    """What a run says of alerts, as JSON texts by name.

    Parameters
    ----------
    run : Run
        Trained on `sample_set` of other alerts, target ``gold``; it need not know all five classes.
    alerts : sequence of Alert

    Raises
    ------
    InputError
        For a run of other classes.
    RunError
        For one that reads other modalities or columns.
    """
    unknown = [str(name) for name in run.classes if name not in CLASSES]
    if unknown or not run.classes:
        raise InputError(f"the run predicts {unknown[0] if unknown else run.task!r}, which is none of {', '.join(CLASSES)}. Train it: af.train(recipe, sample_set(alerts), 'gold').")
    samples = sample_set(alerts)
    shares, seen = run.outputs(samples)
    has = {name: samples.present(name) for name in run.modalities}
    said = {}
    for row, alert in enumerate(alerts):
        given = [name for name in run.modalities if has[name][row]]
        # of an alert of which it sees nothing, it says what it says of nothing: all classes alike
        said[alert.name] = json.dumps(_answer(alert, run, shares[row] if seen[row] else np.full(len(run.classes), 1 / len(run.classes)), given))
    return said


def _answer(alert: Alert, run: Run, shares: Any, given: Sequence[str]) -> dict[str, Any]:
    order = np.argsort(shares)[::-1]
    first, second = (str(run.classes[i]) for i in (order[0], order[min(1, len(order) - 1)]))
    level = round(5 * float(shares[order[0]]))
    words = {
        TEXTS[0]: f"{' and '.join(given) or 'nothing'} as read by {run.recipe.name}",
        TEXTS[1]: f"{first}, with a probability of {shares[order[0]]:.3f}",
        TEXTS[2]: f"{second}, with a probability of {shares[order[min(1, len(order) - 1)]]:.3f}",
    }
    read = {**BLANK, **read_of(alert)}
    return {
        "Part A": {name: read[name] for name in READ}, "Part B": {**words, **dict.fromkeys(SELF, level)},
        "Part C": dict(zip(("stage1", "stage2", "stage3"), PATHS[first], strict=True)),
    }  # fmt: skip


def contestant(run: Run) -> Callable[[Alert], str]:
    """A run as a function of one alert, as `run_benchmark` takes it."""
    return lambda alert: answer_of(run, [alert])[alert.name]
