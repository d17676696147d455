"""Learning from another run's answers as well as from the truth."""

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.alignment.augmentation import columns_of
from astrofuse_lab.errors import InputError
from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.learning import Inputs, Learned, Supervised
from astrofuse_lab.training.objectives import Objective
from astrofuse_lab.training.problem import known_values
from astrofuse_lab.training.self_supervised_contrast import MOST_DOMAINS

if TYPE_CHECKING:
    from astrofuse_lab.training.plan import Plan

LEAST = 1e-7
"""Smallest probability of a teacher."""


def soft_cross_entropy(values: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's softened probabilities from the teacher's, times the temperature squared, (sample,).

    Hinton et al. 2015 (arXiv:1503.02531), section 2; the factor keeps the gradient's size as the temperature changes.

    Parameters
    ----------
    values : Tensor, (sample, class)
        Logits or log-probabilities.
    taught : Tensor, (sample, class)
        Probabilities.
    temperature : float
    """
    teacher = (taught.clamp(min=LEAST).log() / temperature).log_softmax(1)
    student = (values.float() / temperature).log_softmax(1)
    return temperature**2 * (teacher.exp() * (teacher - student)).sum(1)


class Distilled(Supervised):
    """The truth, and what a teacher says of each sample where it says something.

    Targets have the truth in their first column and the teacher's answer in the others, NaN where it has none.

    Parameters
    ----------
    model, objective
        As in `Supervised`.
    task : {"classification", "regression"}
    share : float
        Of the teacher in the loss.
    temperature : float
        By which both answers are softened; of regression, the squared error of the teacher's value counts.
    """

    def __init__(self, model: FusionModel, objective: Objective, task: str, share: float, temperature: float) -> None:
        super().__init__(model, objective)
        self.task, self.share, self.temperature = task, share, temperature

    def truth(self, target: Tensor) -> Tensor:
        """See `Learning.truth`."""
        return target[:, 0].long() if self.task == "classification" else target[:, 0].float()

    def weight(self, target: Tensor) -> Tensor:
        """By class, where the objective weighs classes."""
        return super().weight(self.truth(target))

    def forward(self, values: Inputs, masks: Inputs, present: Inputs, target: Tensor) -> Learned:
        """See `Learning.forward`; what is measured is the truth alone."""
        hard, answer = self.answered(values, masks, present, self.truth(target))
        if not self.training:
            return Learned(hard, self.weight(target), answer)
        taught = target[:, 1:].float()
        told = taught.isfinite().all(1)
        taught = torch.where(told[:, None], taught, 0.5)
        if self.task == "classification":
            soft = soft_cross_entropy(answer, taught, self.temperature)
        else:
            soft = F.mse_loss(answer[:, 0].float(), taught[:, 0], reduction="none")
        return Learned(torch.where(told, (1 - self.share) * hard + self.share * soft, hard), self.weight(target), answer)


def taught(plan: "Plan", positions: NDArray[np.int64], codes: NDArray[np.generic]) -> NDArray[np.generic]:
    """Targets with the teacher's answers beside the truth; as they are where there is no teacher. Without a target, domains to confuse.

    Parameters
    ----------
    plan : Plan
    positions : int array, (sample,)
    codes : array, (sample,)
        The truth, standardised.

    Returns
    -------
    array, (sample, 1 + output)
    """
    domain = plan.recipe.objective.options.get("domain", "")
    if plan.problem.task == "self_supervised" and domain:
        return domains(plan.samples, str(domain))[positions]
    if plan.teacher is None:
        return codes
    answers, seen = plan.teacher.outputs(plan.samples, positions)
    answers = np.asarray(answers, dtype=np.float64)
    if plan.problem.task == "regression":
        answers = plan.problem.standardised(answers)[:, None]
    return np.column_stack([codes, np.where(seen[:, None], answers, np.nan)])


def domains(samples: SampleSet, column: str) -> NDArray[np.float64]:
    """The domain of each sample as a number from zero, below it where nobody knows: the column's values in order.

    Raises
    ------
    InputError
        For a column that does not exist or has more values than `MOST_DOMAINS`, or one.
    """
    values, known = known_values(samples, column)
    names = np.unique(values[known])
    if not 2 <= len(names) <= MOST_DOMAINS:
        raise InputError(f"domain={column!r} has {len(names)} value(s): from 2 to {MOST_DOMAINS} can be confused, e.g. a column that names the survey.")
    return np.where(known, np.searchsorted(names, values), -1).astype(np.float64)


def check_teacher(plan: "Plan") -> None:
    """Raise InputError unless the teacher answers what is asked."""
    teacher, problem = plan.teacher, plan.problem
    if teacher is None:
        return
    if problem.task not in ("classification", "regression"):
        raise InputError(f"teacher=: what is taught is one column to classify or regress, not {problem.task}.")
    if (teacher.task, teacher.target) != (problem.task, problem.target):
        raise InputError(f"the teacher predicts {teacher.target!r} ({teacher.task}), and this training {problem.target!r} ({problem.task}).")
    if teacher.classes != problem.classes:
        raise InputError(f"the teacher knows the classes {', '.join(map(str, teacher.classes))}; this training {', '.join(map(str, problem.classes))}.")
    if problem.target in columns_of(plan.augment):
        raise InputError(f"an augmentation changes the target {problem.target!r}, which the teacher would not know. Train without it: recipe.change(augment=...).")
