"""What training makes small: one loss per sample, and how much each sample counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.tokens import Prediction
from astrofuse_lab.recipes.schema import Part

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs (sample, output) and targets (sample,) to a loss a sample."""


def cross_entropy(smoothing: float = 0.0) -> Loss:
    """Negative log-probability of the true class; `smoothing` spreads that share of the truth over all classes."""
    return lambda outputs, target: F.cross_entropy(outputs, target, reduction="none", label_smoothing=smoothing)


def focal(gamma: float = 2.0) -> Loss:
    """Cross-entropy that counts what is already right less (Lin et al. 2017, arXiv:1708.02002)."""

    def loss(outputs: Tensor, target: Tensor) -> Tensor:
        plain = F.cross_entropy(outputs, target, reduction="none")
        return (1 - torch.exp(-plain)) ** gamma * plain

    return loss


def huber(delta: float = 1.0) -> Loss:
    """Square of small errors, absolute value of large ones, in standard deviations of the training values."""
    return lambda outputs, target: F.huber_loss(outputs[:, 0], target, reduction="none", delta=delta)


def squared_error() -> Loss:
    """Square of the error, in standard deviations of the training values."""
    return lambda outputs, target: F.mse_loss(outputs[:, 0], target, reduction="none")


OBJECTIVES: dict[str, tuple[str, Callable[..., Loss]]] = {
    "cross_entropy": ("classification", cross_entropy),
    "focal": ("classification", focal),
    "huber": ("regression", huber),
    "squared_error": ("regression", squared_error),
}
"""Name: the task it is for, and what makes the loss from its options."""
AUTO = {"classification": "cross_entropy", "regression": "huber"}


@dataclass(frozen=True)
class Objective:
    """A loss and the weight of each class.

    Attributes
    ----------
    name : str
    loss : callable
    class_weights : float Tensor, (class,), optional
    """

    name: str
    loss: Loss
    class_weights: Tensor | None = None

    def weights(self, target: Tensor) -> Tensor:
        """How much each sample counts: (sample,)."""
        if self.class_weights is None:
            return torch.ones(len(target), device=target.device)
        return self.class_weights.to(target.device)[target]

    def of(self, prediction: Prediction, target: Tensor) -> Tensor:
        """The loss of each sample, (sample,): what validation measures."""
        return self.loss(prediction.values.float(), target)

    def per_sample(self, prediction: Prediction, present: Mapping[str, Tensor], target: Tensor) -> Tensor:
        """The loss that is trained, (sample,).

        At decision level each stream's own prediction is trained too, on the samples that have it: their average
        alone would let one modality do all the work.
        """
        total = self.of(prediction, target)
        for name, own in prediction.per_modality.items():
            # a stream may be several modalities: it is there where any of them is
            there = torch.stack([one.mask.any(1) for one in prediction.each[name].fused.tokens.values()]).any(0)
            total = total + torch.where(there, self.loss(own.float(), target), 0.0)
        return total


def make_objective(part: Part, task: str, codes: NDArray[Any], outputs: int, balanced: bool = False) -> Objective:
    """The objective of a recipe for a task.

    Parameters
    ----------
    part : Part
        ``auto`` takes cross-entropy or the Huber loss. The option ``class_weights`` is "balanced" (default) or "none".
    task : str
    codes : array
        Training targets.
    outputs : int
    balanced : bool
        Classes are drawn equally often already: by default they then weigh alike.

    Raises
    ------
    UnknownNameError, InputError
        For a name, or an option, that does not exist, or that is for the other task.
    """
    name = AUTO[task] if part.name == "auto" else part.name
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    suits, make = OBJECTIVES[name]
    if suits != task:
        raise InputError(f"objective {name!r} is for {suits}, the target needs {task}. Use recipe.change(objective=Part('auto')).")
    options = dict(part.options)
    balance = options.pop("class_weights", "none" if balanced else "balanced")
    if balance not in ("balanced", "none"):
        raise InputError(f"class_weights={balance!r}: choose 'balanced' or 'none'.")
    try:
        loss = make(**options)
    except TypeError:
        raise InputError(f"objective {name!r} has no option among {sorted(options)}.") from None
    if task != "classification" or balance == "none":
        return Objective(name, loss)
    counts = np.bincount(codes, minlength=outputs)
    return Objective(name, loss, torch.tensor(len(codes) / (outputs * np.maximum(counts, 1)), dtype=torch.float32))
