"""What is to be predicted: the target columns as numbers, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, TrainingError
from astrofuse_lab.models.build import TASKS
from astrofuse_lab.models.parts import HEADS
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.sample_set import SampleSet

MOST_CLASSES = 20
"""An integer column with more distinct values than this is regressed, unless the recipe's head says otherwise."""
NUMBERS = ("regression", "multi_regression")


@dataclass(frozen=True)
class Problem:
    """Target columns, posed as a task.

    Attributes
    ----------
    target : str
        The column; of several, their names in one text; "" without a target.
    task : str
        ``classification``, ``multi_label``, ``regression``, ``multi_regression`` or ``self_supervised``.
    classes : tuple
        Of a classification, of the column's own type: sorted, or in the order that the head names.
    centre, width : tuple of float
        Numbers are predicted as ``(value - centre) / width``, a pair a target; fitted on the training part.
    targets : tuple of str
        The columns; of multi_label, the labels.
    """

    target: str
    task: str
    classes: tuple[Any, ...] = ()
    centre: tuple[float, ...] = ()
    width: tuple[float, ...] = ()
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"there is no task {self.task!r}; there are {', '.join(TASKS)}.")
        if self.target and not self.targets:
            object.__setattr__(self, "targets", (self.target,))

    @property
    def outputs(self) -> int:
        """Numbers that the head gives."""
        return len(self.classes) if self.task == "classification" else len(self.targets)

    @property
    def several(self) -> bool:
        """True where truth and prediction have a column a target: multi_label and multi_regression."""
        return self.task.startswith("multi")

    def blank(self, count: int) -> NDArray[np.float64]:
        """Predictions not yet made: NaN, in the shape that `Run.outputs` gives for so many samples."""
        return np.full(count if self.task == "regression" else (count, self.outputs), np.nan)

    def encode(self, samples: SampleSet) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The truth of a set, and of which samples it is known.

        Returns
        -------
        truth : array
            classification: class codes (sample,), int64; multi_label: 0 or 1, (sample, label); regression: values (sample,);
            multi_regression: (sample, target); float64, NaN where one of several is unknown. Without a target: zeros.
        known : bool array, (sample,)
            Of several targets, any. A value that is none of the classes counts as unknown.
        """
        if self.task == "self_supervised":
            return np.zeros(len(samples)), np.ones(len(samples), dtype=bool)
        columns = [known_values(samples, name) for name in self.targets]
        if self.task == "classification":
            return self._codes(*columns[0])
        if self.task == "regression":
            values, known = columns[0]
            return np.where(known, values.astype(np.float64), 0.0), known
        truth = np.stack([np.where(known, values.astype(np.float64), np.nan) for values, known in columns], axis=1)
        if self.task == "multi_label":
            truth[~np.isin(truth, (0, 1))] = np.nan
        return truth, np.isfinite(truth).any(axis=1)

    def _codes(self, values: NDArray[Any], known: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        classes = np.array(self.classes)
        if classes.dtype.kind != values.dtype.kind:
            raise InputError(f"column {self.target!r} holds {values.dtype.name} here and {classes.dtype.name} in the run. Give samples with the same target.")
        ascending = np.argsort(classes)
        code = ascending[np.searchsorted(classes[ascending], values).clip(0, len(classes) - 1)]
        known = known & (classes[code] == values)
        return np.where(known, code, 0).astype(np.int64), known

    def standardised(self, truth: NDArray[Any]) -> NDArray[Any]:
        """The truth as a model learns it: numbers (and labels) as float32, centred and scaled where there is a scale; classes as they are."""
        if self.task == "classification":
            return truth
        if self.task in NUMBERS:
            truth = (truth - self._fitted(self.centre)) / self._fitted(self.width)
        return truth.astype(np.float32)

    def in_units(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardised numbers, (sample,) or (sample, target), in the targets' own units."""
        return np.asarray(values * self._fitted(self.width) + self._fitted(self.centre))

    def _fitted(self, numbers: tuple[float, ...]) -> Any:
        return np.array(numbers) if self.several else numbers[0]

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {
            "target": self.target, "task": self.task, "classes": list(self.classes), "centre": list(self.centre), "width": list(self.width),
            "targets": list(self.targets),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Problem":
        """From such a dictionary, or from one of a run written when there was one target: centre and width were one number then."""
        centre, width = (tuple(map(float, one if isinstance(one, list) else [one])) if data["task"] in NUMBERS else () for one in (data["centre"], data["width"]))
        made = cls(str(data["target"]), data["task"], tuple(data["classes"]), centre, width, tuple(map(str, data.get("targets", ()))))
        if made.task in NUMBERS and not len(made.centre) == len(made.width) == len(made.targets):
            raise ValueError(f"{len(made.targets)} targets, {len(made.centre)} centres and {len(made.width)} widths")
        return made


def known_values(samples: SampleSet, target: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The target column and where it has a value: a number that is finite, a text that is not blank."""
    column = samples.column(target)
    values, known = np.asarray(column.data), ~np.ma.getmaskarray(column)
    if values.dtype.kind == "f":
        known = known & np.isfinite(values)
    elif values.dtype.kind == "U":
        known = known & (np.char.strip(values) != "")
    return values, known


def pose(samples: SampleSet, target: str | Sequence[str] | None, modalities: Sequence[str], head: str | Part = "auto") -> Problem:
    """Decide the task from the columns' types and collect the classes.

    Parameters
    ----------
    samples : SampleSet
    target : str, sequence of str, or None
        A column: text, booleans and integers of few values are classified, other numbers regressed. Several columns: booleans are labels,
        numbers are regressed together; a sample may lack some of them. None: nothing is predicted.
    modalities : sequence of str
    head : str or Part
        The recipe's head: what it can do decides where the columns leave it open, and its option ``order`` orders the classes.

    Raises
    ------
    InputError
        If a column does not exist, feeds the table that is used, is the id, or has no value; for columns of several kinds; for a head that
        cannot do it.
    """
    head = Part(head) if isinstance(head, str) else head
    able = HEADS[head.name].tasks if head.name in HEADS else ()
    if target is None:
        if able and "self_supervised" not in able:
            raise InputError(f"target=None: the recipe's head {head.name!r} needs a target. Give one, or use recipe.change(head=Part('auto')).")
        return Problem("", "self_supervised")
    names = (target,) if isinstance(target, str) else tuple(target)
    if able == ("self_supervised",):
        raise InputError(f"the recipe's head {head.name!r} learns without a target: pass target=None, or use recipe.change(head=Part('auto')).")
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise InputError(f"target={list(names)}: names of columns, each once. Targets of this set: {_targets(samples)}.")
    columns = {name: _values_to_learn(samples, name, modalities) for name in names}
    if len(names) == 1 and not (able and all(task.startswith("multi") for task in able)):
        return _one(names[0], columns[names[0]], able, head)
    return Problem(", ".join(names), _task_of_several(columns, able, head.name), targets=names)


def _values_to_learn(samples: SampleSet, target: str, modalities: Sequence[str]) -> NDArray[Any]:
    """The known values of a column that may be a target."""
    values, known = known_values(samples, target)
    role = samples.roles[target]
    if role == "id":
        raise InputError(f"target {target!r} is the id, which no model can predict. Targets of this set: {_targets(samples)}.")
    if role == "input" and "table" in modalities:
        raise InputError(
            f"target {target!r} is an input: the modality 'table' would give the answer away. "
            f"Leave the table out, modalities={[m for m in modalities if m != 'table']}, or take one of {_targets(samples)}."
        )
    if not known.any():
        raise InputError(f"target {target!r} has no value in these {len(samples)} samples. Targets of this set: {_targets(samples)}.")
    return values[known]


def _one(target: str, values: NDArray[Any], able: Sequence[str], head: Part) -> Problem:
    """The problem of one column."""
    if able:
        task = "classification" if "classification" in able else "regression"
    elif values.dtype.kind in "Ub" or (values.dtype.kind in "iu" and len(np.unique(values)) <= MOST_CLASSES):
        task = "classification"
    else:
        task = "regression"
    if task == "regression":
        if values.dtype.kind == "U":
            raise InputError(f"target {target!r} is text; the recipe's head is {head.name}, which needs a number. Use recipe.change(head=Part('auto')).")
        return Problem(target, task)
    classes = [v.item() for v in np.unique(values)]
    order = head.options.get("order")
    if isinstance(order, list) and order:
        ranks = {str(name): rank for rank, name in enumerate(order)}
        if set(ranks) != set(map(str, classes)) or len(ranks) < len(order):
            raise InputError(f"head {head.name!r}: order={order} does not name each class of {target!r} once; they are {', '.join(map(str, classes))}.")
        classes.sort(key=lambda name: ranks[str(name)])
    return Problem(target, task, tuple(classes))


def _task_of_several(columns: Mapping[str, NDArray[Any]], able: Sequence[str], head: str) -> str:
    text = [name for name, values in columns.items() if values.dtype.kind not in "biuf"]
    if text:
        raise InputError(f"target {text[0]!r} is text: of several targets all are yes or no, or all are numbers. Train on {text[0]!r} alone to classify it.")
    yes = [name for name, values in columns.items() if values.dtype.kind == "b"]
    if able:
        task = next((task for task in able if task.startswith("multi")), "")
        if not task:
            raise InputError(f"the recipe's head {head!r} predicts one column, not {len(columns)}. Use recipe.change(head=Part('auto')).")
    elif len(yes) not in (0, len(columns)):
        other = next(name for name in columns if name not in yes)
        raise InputError(f"target {yes[0]!r} is yes or no, and {other!r} a number: of several targets all are of one kind. Train on them apart.")
    else:
        task = "multi_label" if yes else "multi_regression"
    odd = [name for name, values in columns.items() if task == "multi_label" and not np.isin(values, (0, 1)).all()]
    if odd:
        raise InputError(f"label {odd[0]!r} holds other values than yes and no, e.g. {next(v for v in columns[odd[0]] if v not in (0, 1))}.")
    return task


def scaled(problem: Problem, values: NDArray[Any]) -> Problem:
    """The same problem with centre and width of its numbers fitted to training values.

    Raises
    ------
    TrainingError
        For a target that is the same number in all training samples, or known in none of them.
    """
    if problem.task not in NUMBERS:
        return problem
    centre, width = [], []
    for name, column in zip(problem.targets, values.reshape(len(values), -1).T, strict=True):
        known = column[np.isfinite(column)]
        if not len(known):
            raise TrainingError(f"target {name!r} has no value in the training part. Leave it out, or make another split.")
        if known.min() == known.max():
            raise TrainingError(f"target {name!r} is {known[0]:g} in all {len(known)} training samples that have it: there is nothing to learn. Leave it out.")
        centre.append(float(np.mean(known)))
        width.append(float(np.std(known)))
    return replace(problem, centre=tuple(centre), width=tuple(width))


def _targets(samples: SampleSet) -> str:
    return ", ".join(repr(name) for name, role in samples.roles.items() if role == "target") or "(no column has the role target)"
