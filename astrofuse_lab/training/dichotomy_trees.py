"""Boosted trees that answer the same questions as networks do, from the same numbers; and what either goes by."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.recipes.taxonomy import THRESHOLD, Taxonomy
from astrofuse_lab.samples.altered import altered
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.training.dichotomies import HOLDS, answers, asking, check_answers
from astrofuse_lab.training.metrics_classes import binary_average_precision

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[np.float64]
Answer = Callable[[SampleSet], Array]
"""Samples to the probability of yes, (sample,)."""
ROUNDS, PATIENCE, RATE = 300, 10, 0.1
"""At most so many trees; no more once so many in turn have not helped (published: 999 and 10, with rates of 0.05 to 0.3)."""


def numbers_of(samples: SampleSet, modalities: Sequence[str]) -> Array:
    """The numbers of modalities of fixed size side by side, (sample, number), NaN where unknown.

    Raises
    ------
    InputError
        For a ragged modality.
    """
    parts = []
    for name in modalities:
        got = samples.arrays(name)
        if "offsets" in got:
            raise InputError(f"{name!r} is {samples.spec(name).kind}, of another length each time; trees need so many numbers, e.g. features of it.")
        values = got["values"] if "values" in got else got["flux"]
        parts.append(np.where(got["mask"], values, np.nan).reshape(len(samples), -1).astype(np.float64))
    if not parts:
        raise InputError("modalities=[]: name at least one.")
    return np.hstack(parts)


class Trees:
    """Histogram gradient boosting, one model a question. They live as long as the session: fitting again takes seconds, and pickles are not written.

    Attributes
    ----------
    models : dict of question to HistGradientBoostingClassifier
    modalities : tuple of str
    """

    def __init__(self, models: dict[str, Any], modalities: Sequence[str]) -> None:
        self.models, self.modalities = dict(models), tuple(modalities)

    @property
    def questions(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(self.models)

    def __repr__(self) -> str:
        return f"Trees({len(self.models)} questions from {', '.join(self.modalities)})"

    def predict(self, samples: SampleSet, ending: str = "_trees") -> "Table":
        """Probability that each class holds: object_id and ``<question><ending>``."""
        from astropy.table import Table

        values = numbers_of(samples, self.modalities)
        table = Table({"object_id": samples.object_ids})
        for name, model in self.models.items():
            table[f"{name}{ending}"] = model.predict_proba(values)[:, 1] if len(values) else np.zeros(0)
        return table


def train_trees(
    samples: SampleSet, questions: Sequence[str], *, split: Split, modalities: Sequence[str] = ("table",), threshold: float = THRESHOLD,
    within: Sequence[Taxonomy] = (), seed: int = 0,
) -> Trees:  # fmt: skip
    """Fit trees on the training part, with both answers weighing alike; they stop when its validation part (where there is one) gets no better.

    Parameters
    ----------
    samples, questions, split, threshold, within
        As `train_dichotomies`.
    modalities : sequence of str
        Of fixed size. Published: the features alone.
    seed : int

    Raises
    ------
    InputError, TrainingError
        As `train_dichotomies`.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    values = numbers_of(samples, modalities)
    models = {}
    for question in questions:
        asked = asking(samples, question, threshold, within)
        check_answers(asked, question, split)
        column = asked.column(HOLDS.format(question))
        known = ~np.ma.getmaskarray(column)
        train, validation = (one[known[one]] for one in (samples.positions(split.train), samples.positions(split.validation)))
        held = bool(len(np.unique(column.data[validation])) == 2)
        model = HistGradientBoostingClassifier(
            max_iter=ROUNDS if held else 100, learning_rate=RATE, early_stopping=held, n_iter_no_change=PATIENCE, class_weight="balanced", random_state=seed
        )
        more = {"X_val": values[validation], "y_val": column.data[validation].astype(bool)} if held else {}
        models[question] = model.fit(values[train], column.data[train].astype(bool), **more)
    return Trees(models, modalities)


def importance(
    answer: Answer, samples: SampleSet, question: str, groups: Mapping[str, Sequence[str]] | None = None, *, threshold: float = THRESHOLD, repeats: int = 3,
    seed: int = 0,
) -> "Table":  # fmt: skip
    """How much worse a question is answered when columns of the table are those of other samples (Breiman 2001, doi:10.1023/A:1010933404324).

    Parameters
    ----------
    answer : callable
        E.g. ``lambda s: run.outputs(s)[0][:, 1]``.
    samples : SampleSet
        Not seen in training.
    question : str
    groups : mapping of name to columns, optional
        Exchanged together, since what two columns both say is missed when one is exchanged. None: each input by itself.
    threshold : float
    repeats, seed : int
        Of the exchange.

    Returns
    -------
    Table
        One row a group, the most important first: name, cost (average precision lost), spread (over the repeats), share (of the sum of all positive costs).
    """
    from astropy.table import Table

    held, known = answers(samples, question, threshold)
    some = samples.take(np.flatnonzero(known))
    truth = held[known]
    groups = groups or {name: (name,) for name in some.inputs}
    before = _precision(truth, answer(some))
    rng = np.random.default_rng([seed, 71])
    rows = []
    for name, columns in groups.items():
        lost = [before - _precision(truth, answer(exchanged(some, columns, rng.permutation(len(some))))) for _ in range(repeats)]
        rows.append((name, float(np.mean(lost)), float(np.std(lost))))
    total = sum(max(cost, 0.0) for _, cost, _ in rows) or np.nan
    table = Table(rows=[(name, cost, spread, max(cost, 0.0) / total) for name, cost, spread in sorted(rows, key=lambda row: -row[1])], names=("name", "cost", "spread", "share"))
    table.meta["average_precision"] = before
    return table


def exchanged(samples: SampleSet, columns: Sequence[str], order: NDArray[np.int64]) -> SampleSet:
    """The set with some input columns given round among the samples, in this order; InputError for a column that is no input."""
    for name in columns:
        if name not in samples.inputs:
            raise InputError(f"{name!r} is no input; the inputs are {', '.join(samples.inputs)}.")
    return altered(samples, {}, {name: np.ma.filled(samples.column(name).astype(np.float64), np.nan)[order] for name in columns})


def _precision(truth: NDArray[np.bool_], said: Array) -> float:
    return float(binary_average_precision(truth, np.asarray(said), np.ones((1, len(truth))))[0])
