"""How long, how fast and with what regularisation a model is trained, and which of its parameters."""

import fnmatch
import math
from collections.abc import Iterable, Sequence
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
        The highest.
    shape : {"cosine", "one_cycle", "constant"}
        ``cosine``: it rises over the first `warmup` of all steps and falls along a cosine to a hundredth. ``one_cycle``: it rises
        along a cosine from a 25th and falls along one to a 250 000th (Smith & Topin 2018, arXiv:1708.07120). ``constant``: it
        stays after its rise.
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
    accumulate : int
        Pieces in which each batch is computed, gradients added: the same step for that much less memory.
    halve : bool
        Where memory does not suffice, compute half as many samples at once and go on; the step stays the same.
    freeze : sequence of str
        Patterns of names of parameters that keep the values they start with, e.g. ``["encoders.*"]``; see ``run.model.named_parameters()``.
    unfreeze_at : float
        Share of all steps after which they learn as well; 1: never.
    encoder_rate : float
        The encoders learn at this share of the rate: what was trained before is not to be undone by what is new.
    alone : bool
        Each modality is first trained by itself, with a head of its own; then all together, from those encoders.
    lora : sequence of str
        Patterns of names of modules (linear and convolutional) whose weights are changed by a matrix of low rank only; see `astrofuse_lab.models.lora`.
        Their own weights are then frozen, and the two are one weight when training ends.
    lora_rank : int
    lora_alpha : float
    anchor : {"", "l2_sp", "ewc"}
        Pull to the weights that were started from: all alike (``l2_sp``) or as much as they mattered (``ewc``); see `astrofuse_lab.training.anchors`.
    anchor_strength : float
    replay : float
        Of the samples in this set that the run started from was trained on, the share to train on again.
    taught : float
        Share of a teacher's answers in the loss, beside the truth (Hinton et al. 2015, arXiv:1503.02531).
    temperature : float
        By which the answers of teacher and student are softened.
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
    accumulate: int = 1
    halve: bool = True
    shape: str = "cosine"
    freeze: Sequence[str] = ()
    unfreeze_at: float = 1.0
    encoder_rate: float = 1.0
    alone: bool = False
    lora: Sequence[str] = ()
    lora_rank: int = 4
    lora_alpha: float = 8.0
    anchor: str = ""
    anchor_strength: float = 0.01
    replay: float = 0.0
    taught: float = 0.5
    temperature: float = 2.0

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
        if self.shape == "one_cycle":
            return self._one_cycle(step, total)
        done = (step + 1) / max(1, total)
        if done < self.warmup:
            return self.learning_rate * done / self.warmup
        if self.shape == "constant":
            return self.learning_rate
        fall = (done - self.warmup) / max(1e-9, 1 - self.warmup)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, fall))))

    def _one_cycle(self, step: int, total: int) -> float:
        top = self.warmup * total - 1
        if step <= top:
            low, high, done = self.learning_rate / 25, self.learning_rate, step / max(1e-9, top)
        else:
            low, high, done = self.learning_rate, self.learning_rate / 25e4, (step - top) / max(1e-9, total - 1 - top)
        return high + (low - high) / 2 * (1 + math.cos(math.pi * min(1.0, done)))

    def optimiser(self, model: nn.Module) -> torch.optim.AdamW:
        """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over the parameters that ever learn; those that never do are frozen.

        Parameters
        ----------
        model : Module
            A model, or a `Learning`: names then begin where its model's do.

        Raises
        ------
        InputError
            Where a pattern fits nothing, or nothing is left to learn.
        """
        named = [(name.removeprefix("model."), p) for name, p in model.named_parameters()]
        frozen = matching(self.freeze, [name for name, _ in named], "freeze")
        for name, p in named:
            if name in frozen and self.unfreeze_at >= 1 and ".parametrizations." not in name:
                p.requires_grad_(False)
        groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
        for name, p in named:
            if p.requires_grad:
                factor = self.encoder_rate if name.startswith("encoders.") else 1.0
                late = name in frozen and ".parametrizations." not in name
                groups.setdefault((factor, late, p.ndim >= 2 and p.shape[0] > 1), []).append(p)
        if not groups:
            raise InputError(f"freeze={list(self.freeze)} leaves nothing to train.")
        parts = [
            {"params": own, "weight_decay": self.weight_decay if matrix else 0.0, "factor": factor, "late": late}
            # the fastest first: its rate is what the history shows
            for (factor, late, matrix), own in sorted(groups.items(), key=lambda one: (one[0][1], -one[0][0], not one[0][2]))
        ]
        return torch.optim.AdamW(parts, lr=self.learning_rate, betas=(0.9, 0.99), foreach=True)

    def set_rates(self, groups: Iterable[dict[str, Any]], step: int, total: int) -> None:
        """Give each of an optimiser's groups its rate of this step; zero to what is still frozen."""
        rate, waits = self.rate(step, total), (step + 1) / max(1, total) <= self.unfreeze_at
        for group in groups:
            group["lr"] = 0.0 if group["late"] and waits else rate * group["factor"]


def matching(patterns: Sequence[str], names: Sequence[str], what: str) -> set[str]:
    """The names that fit any of the patterns, as in file names: ``encoders.*``, ``*.norm.weight``.

    Raises
    ------
    InputError
        For a pattern that fits none.
    """
    found: set[str] = set()
    for pattern in patterns:
        fitting = fnmatch.filter(names, pattern)
        if not fitting:
            tops = sorted({".".join(name.split(".")[:2]) + ".*" for name in names})
            raise InputError(f"{what}=[{pattern!r}] fits nothing in the model. Its parts: {', '.join(tops)}.")
        found.update(fitting)
    return found


SAMPLERS = ("shuffled", "balanced")
SHAPES = ("cosine", "one_cycle", "constant")
ANCHORS = ("", "l2_sp", "ewc")
SCHEDULES: dict[str, Schedule] = {
    "end_to_end": Schedule(),
    "one_cycle": Schedule(shape="one_cycle", warmup=0.3),
    "staged": Schedule(alone=True, encoder_rate=0.1),
    "frozen_encoders": Schedule(freeze=("encoders.*",)),
    "probe": Schedule(freeze=("encoders.*", "fusions.*")),
    "thawed": Schedule(freeze=("encoders.*",), unfreeze_at=0.5, encoder_rate=0.1),
    "lora": Schedule(lora=("encoders.*",)),
    "incremental": Schedule(learning_rate=5e-4, anchor="l2_sp", replay=1.0),
}
"""``end_to_end``: all parts together, from the first step to the last. ``staged``: each modality alone, then together at a lower rate of
the encoders. The others need weights to start from (`pretrain`, ``start=``, or weights of encoders): what was trained before stays
(``frozen_encoders``; ``probe``: the fusion, too, so that only the head learns), learns late (``thawed``), by little (``lora``), or is
held on to while new samples come in (``incremental``)."""


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
    for name, known in (("sampler", SAMPLERS), ("shape", SHAPES), ("anchor", ANCHORS)):
        if options[name] not in known:
            raise InputError(f"{name}={options[name]!r}: choose {' or '.join(map(repr, known))}.")
    for name in ("halve", "alone"):
        if not isinstance(options[name], bool):
            raise InputError(f"{name}={options[name]!r}: True or False.")
    for name in ("freeze", "lora"):
        if isinstance(options[name], str) or not all(isinstance(one, str) for one in options[name]):
            raise InputError(f"{name}={options[name]!r}: a list of patterns, e.g. ['encoders.*'].")
    for name in ("epochs", "batch_size", "steps", "accumulate", "lora_rank"):
        value = options[name]
        if value is not None and (isinstance(value, bool) or int(value) != value or value < 1):
            raise InputError(f"{name}={value!r}: a whole number, 1 or more.")
    limits = {
        "learning_rate": (0, 10), "clip": (0, math.inf), "validation": (0, 0.9), "average": (0, 1), "warmup": (0, 1), "patience": (0, math.inf),
        "unfreeze_at": (0, math.inf), "encoder_rate": (0, math.inf), "lora_alpha": (0, math.inf), "anchor_strength": (0, math.inf), "replay": (0, 1.000001),
        "taught": (0, 1.000001), "temperature": (0, math.inf),
    }  # fmt: skip
    for name, (low, high) in limits.items():
        value = options[name]
        if isinstance(value, bool) or not (low <= value < high) or (value == 0 and name in ("learning_rate", "clip", "validation", "lora_alpha", "temperature")):
            raise InputError(f"{name}={value!r}: a number between {low} and {round(high, 3)}.")
