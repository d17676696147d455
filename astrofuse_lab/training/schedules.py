"""How long, how fast and with what regularisation a model is trained."""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.recipes.schema import Part


@dataclass(frozen=True)
class Schedule:
    """Numbers of one training.

    Attributes
    ----------
    epochs : int, optional
        None: as many as make about `steps` steps, between 12 and 80.
    steps : int
    batch_size : int
    learning_rate : float
        The highest; it rises over the first `warmup` of all steps and falls along a cosine to a hundredth.
    weight_decay : float
        Of matrices and kernels; biases, gains and single vectors are left alone.
    warmup : float
        Share of all steps.
    patience : float
        Training ends when the validation loss has not improved for this share of all epochs.
    average : float
        Weights are averaged over about ``1 / (1 - average)`` steps, and the average is what is validated and kept
        (Polyak & Juditsky 1992); 0 turns it off.
    clip : float
        Largest norm of the gradient.
    validation : float
        Share of the training groups that is held out where the split names no validation part.
    sampler : {"shuffled", "balanced"}
        ``shuffled``: each training sample once in a pass. ``balanced``: as many draws, with repetition, each class as often as
        any other; the objective then weighs all alike.
    checkpoint_seconds : float
        A checkpoint is due this long after the last one; looked at after each batch.
    """

    epochs: int | None = None
    steps: int = 450
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.1
    patience: float = 0.4
    average: float = 0.95
    clip: float = 1.0
    validation: float = 0.15
    sampler: str = "shuffled"
    checkpoint_seconds: float = 5.0

    def epochs_for(self, samples: int) -> int:
        """Epochs for this many training samples."""
        if self.epochs is not None:
            return int(self.epochs)
        return int(min(80, max(12, round(self.steps / self.steps_per_epoch(samples)))))

    def steps_per_epoch(self, samples: int) -> int:
        """Batches in one pass."""
        return max(1, math.ceil(samples / self.batch_size))

    def rate(self, step: int, total: int) -> float:
        """Learning rate at a step, from 0 to `total`."""
        done = (step + 1) / max(1, total)
        if done < self.warmup:
            return self.learning_rate * done / self.warmup
        fall = (done - self.warmup) / max(1e-9, 1 - self.warmup)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, fall))))

    def optimiser(self, model: nn.Module) -> torch.optim.AdamW:
        """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over the model's trainable parameters."""
        trained = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim >= 2 and p.shape[0] > 1]
        vectors = [p for p in trained if not (p.ndim >= 2 and p.shape[0] > 1)]
        parts = [{"params": matrices, "weight_decay": self.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW([p for p in parts if p["params"]], lr=self.learning_rate, betas=(0.9, 0.99), foreach=True)


SAMPLERS = ("shuffled", "balanced")
SCHEDULES: dict[str, Schedule] = {"end_to_end": Schedule()}
"""All parts trained together, from the first step to the last."""


def make_schedule(part: Part, epochs: int | None = None) -> Schedule:
    """The schedule of a recipe; `epochs`, where given, wins.

    Raises
    ------
    UnknownNameError, InputError
        For a schedule, an option or a value that does not exist.
    """
    if part.name not in SCHEDULES:
        raise UnknownNameError("schedule", part.name, SCHEDULES)
    base = SCHEDULES[part.name]
    known = {f.name: getattr(base, f.name) for f in fields(Schedule)}
    for name in part.options:
        if name not in known:
            raise UnknownNameError(f"option of schedule {part.name!r}", name, known)
    options: dict[str, Any] = {**known, **part.options}
    if epochs is not None:
        options["epochs"] = epochs
    _check(options)
    return Schedule(**options)


def _check(options: dict[str, Any]) -> None:
    if options["sampler"] not in SAMPLERS:
        raise InputError(f"sampler={options['sampler']!r}: choose 'shuffled' or 'balanced'.")
    for name in ("epochs", "batch_size", "steps"):
        value = options[name]
        if value is not None and (isinstance(value, bool) or int(value) != value or value < 1):
            raise InputError(f"{name}={value!r}: a whole number, 1 or more.")
    for name, low, high in (("learning_rate", 0, 10), ("clip", 0, math.inf), ("validation", 0, 0.9), ("average", 0, 1), ("warmup", 0, 1), ("patience", 0, math.inf)):
        value = options[name]
        if not (low <= value < high) or (value == 0 and name in ("learning_rate", "clip", "validation")):
            raise InputError(f"{name}={value!r}: a number between {low} and {high}.")
