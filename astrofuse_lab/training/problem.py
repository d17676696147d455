"""What is to be predicted: the target column as numbers, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet

MOST_CLASSES = 20
"""An integer column with more distinct values than this is regressed, unless the recipe's head says otherwise."""
TASKS = ("classification", "regression")


@dataclass(frozen=True)
class Problem:
    """A target column, posed as a task.

    Attributes
    ----------
    target : str
    task : str
        ``classification`` or ``regression``.
    classes : tuple
        In sorted order, of the column's own type: str, int or bool.
    centre, width : float
        Regression is done on ``(value - centre) / width``; fitted on the training part.
    """

    target: str
    task: str
    classes: tuple[Any, ...] = ()
    centre: float = 0.0
    width: float = 1.0

    @property
    def outputs(self) -> int:
        """Numbers that the head gives."""
        return len(self.classes) if self.task == "classification" else 1

    def encode(self, samples: SampleSet) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Class codes (int64) or values (float64) of a set, and which of them are known.

        A value that is none of the classes counts as unknown.
        """
        values, known = known_values(samples, self.target)
        if self.task == "regression":
            return np.where(known, values.astype(np.float64), 0.0), known
        classes = np.array(self.classes)
        if classes.dtype.kind != values.dtype.kind:
            raise InputError(f"column {self.target!r} holds {values.dtype.name} here and {classes.dtype.name} in the run. Give samples with the same target.")
        code = np.searchsorted(classes, values).clip(0, len(classes) - 1)
        known = known & (classes[code] == values)
        return np.where(known, code, 0).astype(np.int64), known


def known_values(samples: SampleSet, target: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The target column and where it has a value: a number that is finite, a text that is not blank."""
    column = samples.column(target)
    values, known = np.asarray(column.data), ~np.ma.getmaskarray(column)
    if values.dtype.kind == "f":
        known = known & np.isfinite(values)
    elif values.dtype.kind == "U":
        known = known & (np.char.strip(values) != "")
    return values, known


def pose(samples: SampleSet, target: str, modalities: Sequence[str], head: str = "auto") -> Problem:
    """Decide the task from the column's type and collect the classes.

    Parameters
    ----------
    samples : SampleSet
    target : str
        A column. Text, booleans and integers of few values are classified, other numbers regressed.
    modalities : sequence of str
    head : {"auto", "classification", "regression"}

    Raises
    ------
    InputError
        If the column does not exist, feeds the table that is used, is the id, or has no value.
    """
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
    some = values[known]
    if head in TASKS:
        task = head
    elif values.dtype.kind in "Ub" or (values.dtype.kind in "iu" and len(np.unique(some)) <= MOST_CLASSES):
        task = "classification"
    else:
        task = "regression"
    if task == "regression":
        if values.dtype.kind == "U":
            raise InputError(f"target {target!r} is text; the recipe's head is regression, which needs a number. Use recipe.change(head=Part('auto')).")
        return Problem(target, task)
    return Problem(target, task, tuple(v.item() for v in np.unique(some)))


def scaled(problem: Problem, values: NDArray[Any]) -> Problem:
    """The same regression problem with its centre and width fitted to training values."""
    if problem.task == "classification" or len(values) == 0:
        return problem
    width = float(np.std(values))
    return Problem(problem.target, problem.task, (), float(np.mean(values)), width if width > 0 else 1.0)


def _targets(samples: SampleSet) -> str:
    return ", ".join(repr(name) for name, role in samples.roles.items() if role == "target") or "(no column has the role target)"
