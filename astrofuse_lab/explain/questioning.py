"""A run, or the runs of an ensemble, asked about samples: everything in the order of samples, one row a member."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.adapter import answers, device_of, explaining, score_of, target_index
from astrofuse_lab.training.members import runs_of

if TYPE_CHECKING:
    from astrofuse_lab.samples.preparation import Batch
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run

    Source = Run | Ensemble

Array = NDArray[Any]


class Said(NamedTuple):
    """What members say.

    Attributes
    ----------
    values : float64 array, (member, sample, output)
        The model's own; NaN where it had nothing to go by.
    told : float64 array, (member, sample, output)
        The same as probabilities, or as numbers in the targets' units.
    """

    values: Array
    told: Array

    @property
    def mean(self) -> Array:
        """`told` over the members that have anything to go by, (sample, output); NaN where none has."""
        known = np.isfinite(self.told).all(2, keepdims=True)
        count = known.sum(0)
        return np.where(count > 0, np.where(known, self.told, 0.0).sum(0) / np.maximum(count, 1), np.nan)


class Panel:
    """Members that answer one question: what is the score of the target?

    Parameters
    ----------
    source : Run or Ensemble
    target : class, label or column, optional
        As in `attribute`; None: what all members together predict for each sample as it is.
    score : str, optional
        As in `attribute`.

    Attributes
    ----------
    runs : tuple of Run
    score_name : str
    """

    def __init__(self, source: "Source", target: Any = None, score: str | None = None) -> None:
        self.runs: tuple[Run, ...] = runs_of(source)
        self.source, self.target = source, target
        self.score_name, self._score = score_of(self.runs[0], score)

    @property
    def task(self) -> str:
        """As of its runs."""
        return self.runs[0].task

    def scored(self, values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Score of one output a row, of values as the first member's model gives them: (row,)."""
        return self._score(values, index)

    @property
    def modalities(self) -> tuple[str, ...]:
        """All that any member uses."""
        return tuple(dict.fromkeys(name for run in self.runs for name in run.modalities))

    def batches(self, samples: "SampleSet") -> "Iterator[tuple[Run, Batch]]":
        """Each member, and what it is given."""
        for run in self.runs:
            yield run, run.batch(samples)

    def ask(self, samples: "SampleSet") -> Said:
        """What each member says of all the samples, in one batch."""
        return joined([said_of(run, batch) for run, batch in self.batches(samples)])

    def goals(self, said: Said) -> Array:
        """Index of the output that is explained, (sample,), by what was said of the samples as they are."""
        mean = torch.from_numpy(np.nan_to_num(said.mean))
        return np.asarray(target_index(self.runs[0], self.target, mean).numpy())

    def named(self, goals: Array) -> tuple[Any, ...]:
        """What those outputs stand for."""
        return tuple(answers(self.runs[0])[i] for i in goals)

    def score(self, said: Said, goals: Array) -> Array:
        """The score of each sample's goal, (member, sample); numbers in standard deviations of the first member's training values."""
        values, index = said.values, torch.from_numpy(goals)
        problem = self.runs[0].problem
        if problem.centre:
            values = (said.told - np.array(problem.centre)) / np.array(problem.width)
        return np.stack([self._score(torch.from_numpy(one), index).numpy() for one in values])

    def likely(self, said: Said, goals: Array) -> Array:
        """Probability of each sample's goal, or the number predicted in its unit, (member, sample)."""
        return np.take_along_axis(said.told, goals[None, :, None], 2)[..., 0]

    def predicted(self, said: Said, goals: Array) -> Array:
        """What all members together predict, (sample,): the class (as text, "" where nothing is known), or the number; of labels and several numbers, that of the goal."""
        mean = said.mean
        if self.task != "classification":
            return np.take_along_axis(mean, goals[:, None], 1)[:, 0]
        known = np.isfinite(mean).all(1)
        return np.where(known, np.array([str(c) for c in self.runs[0].classes])[np.nan_to_num(mean).argmax(1)], "")

    def whole(self, name: str) -> str:
        """A modality that members use.

        Raises
        ------
        InputError
            With those they do.
        """
        if name not in self.modalities:
            raise InputError(f"{name!r} is none of what the model is given; it is given {', '.join(self.modalities)}.")
        return name


def said_of(run: "Run", batch: "Batch") -> Said:
    """What one run says of one batch."""
    with explaining(run.model) as model, torch.inference_mode():
        given = batch.to(device_of(model))
        values = model(given.values, given.masks, given.present).values.double().cpu()
    told = run.decode(values).reshape(values.shape)
    seen = torch.stack(list(batch.present.values())).any(0).cpu().numpy()[:, None]
    return Said(np.where(seen, values.numpy(), np.nan)[None], np.where(seen, told, np.nan)[None])


def joined(each: list[Said]) -> Said:
    """Several members' answers as one."""
    return Said(np.concatenate([one.values for one in each]), np.concatenate([one.told for one in each]))


def differ(one: "Batch", other: "Batch") -> NDArray[np.bool_]:
    """Where a model is given something else, (sample,): other values, other masks, or a modality more or less."""
    changed = np.zeros(len(one), dtype=bool)
    for name in one.values:
        for a, b in ((one.values[name], other.values[name]), (one.masks[name], other.masks[name]), (one.present[name], other.present[name])):
            first, second = a.numpy().reshape(len(a), a.shape[1] if a.ndim > 1 else 1, -1), b.numpy().reshape(len(b), b.shape[1] if b.ndim > 1 else 1, -1)
            shared = min(first.shape[1], second.shape[1])  # light curves and texts are as long as the longest of their batch
            changed |= (first[:, :shared] != second[:, :shared]).any((1, 2)) | first[:, shared:].any((1, 2)) | second[:, shared:].any((1, 2))
    return changed
