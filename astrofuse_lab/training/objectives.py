"""What training makes small: one loss per sample, and how much each sample counts."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.parts import AUTO_HEADS
from astrofuse_lab.models.tokens import Prediction
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training import objectives_classes as classes
from astrofuse_lab.training import objectives_numbers as numbers
from astrofuse_lab.training.objectives_classes import Annealed, Loss


class Kind(NamedTuple):
    """One row of the table of objectives.

    Attributes
    ----------
    tasks : tuple of str
    make : callable
        Gives the loss, from the objective's options.
    heads : tuple of str
        Heads (or decisions) that say what it needs; (): any head of its tasks.
    needs : tuple of str
        Names in `Prediction.extra` of which it needs all of one group: ``"weights means scales"``.
    together : bool
        Samples of a batch are compared with each other.
    """

    tasks: tuple[str, ...]
    make: Callable[..., Loss]
    heads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    together: bool = False


CLASSES, LABELS, NUMBERS = ("classification",), ("multi_label",), ("regression", "multi_regression")
WEIGHED = CLASSES + LABELS
"""Tasks whose objectives have the option `class_weights`."""
PLAIN = ("regression", "forecast")
MIXTURE, QUANTILES = "weights means scales", "levels quantiles"
OBJECTIVES: dict[str, Kind] = {
    "cross_entropy": Kind(CLASSES, classes.cross_entropy),
    "focal": Kind(CLASSES + LABELS, classes.focal),
    "cost_sensitive": Kind(CLASSES, classes.cost_sensitive),
    "supervised_contrastive": Kind(CLASSES, classes.supervised_contrastive, together=True),
    "ordinal": Kind(CLASSES, classes.ordinal, ("ordinal",), ("cumulative",)),
    "hierarchical": Kind(CLASSES, classes.hierarchical, ("hierarchical",), ("path",)),
    "evidential": Kind(CLASSES, classes.evidential, ("evidential",), ("alpha", "evidence")),
    "pairwise": Kind(CLASSES, classes.pairwise, ("pairwise",), ("pairs",)),
    "binary": Kind(LABELS, classes.binary),
    "huber": Kind(NUMBERS, numbers.huber, PLAIN),
    "squared_error": Kind(NUMBERS, numbers.squared_error, PLAIN),
    "absolute_error": Kind(NUMBERS, numbers.absolute_error, PLAIN),
    "log_cosh": Kind(NUMBERS, numbers.log_cosh, PLAIN),
    "mixture_density": Kind(NUMBERS[:1], numbers.mixture_density, ("mixture_density",), (MIXTURE,)),
    "quantile": Kind(NUMBERS[:1], numbers.quantile, ("quantiles",), (QUANTILES,)),
    "crps": Kind(NUMBERS[:1], numbers.crps, ("mixture_density", "quantiles"), (MIXTURE, QUANTILES)),
    "one_class": Kind(("self_supervised",), numbers.one_class, ("anomaly_score",), ("score",), together=True),
}
AUTO = {
    "classification": "cross_entropy", "hierarchical": "hierarchical", "ordinal": "ordinal", "evidential": "evidential", "pairwise": "pairwise", "multi_label": "binary", "taxonomy": "binary",
    "regression": "huber", "forecast": "huber", "mixture_density": "mixture_density", "quantiles": "quantile", "anomaly_score": "one_class",
}  # fmt: skip
"""The objective that `auto` takes for each head."""


@dataclass(frozen=True)
class Objective:
    """A loss and how much each class or label counts.

    Attributes
    ----------
    name : str
    loss : Loss
    class_weights : float Tensor, (class,), optional
    label_weights : float Tensor, (label, 2), optional
        Of each label where it does not hold, and where it does.
    count : int
        Training samples.
    needs, together
        As in `Kind`.
    """

    name: str
    loss: Loss
    class_weights: Tensor | None = None
    label_weights: Tensor | None = None
    count: int = 1
    needs: tuple[str, ...] = ()
    together: bool = False

    def weights(self, target: Tensor) -> Tensor:
        """How much each sample counts: (sample,)."""
        if self.class_weights is None:
            return torch.ones(len(target), device=target.device)
        return self.class_weights.to(target.device)[target]

    def of(self, prediction: Prediction, target: Tensor, epoch: Tensor | float = math.inf) -> Tensor:
        """The loss of each sample, (sample,): what validation measures.

        Parameters
        ----------
        prediction : Prediction
        target : Tensor, (sample,) or (sample, output)
            NaN where one of several targets is unknown: it does not count, and the others' mean does.
        epoch : float
            For an objective that changes while training goes on; where nothing is said, as it is in the end.
        """
        if prediction.each and not self._told(prediction):
            # the combination is a value alone: the loss is the mean of those of the streams that a sample has
            losses, there = zip(*self._streams(prediction, target, epoch), strict=True)
            seen = torch.stack(there)
            return torch.where(seen, torch.stack(losses), 0.0).sum(0) / seen.sum(0).clamp(min=1)
        return self._one(prediction, target, epoch)

    def per_sample(self, prediction: Prediction, target: Tensor, epoch: Tensor | float = math.inf) -> Tensor:
        """The loss that is trained, (sample,).

        At decision level each stream's own prediction is trained too, on the samples that have it: their combination
        alone would let one stream do all the work.
        """
        total = self.of(prediction, target, epoch)
        for loss, there in self._streams(prediction, target, epoch) if prediction.per_modality else ():
            total = total + torch.where(there, loss, 0.0)
        return total

    def _told(self, prediction: Prediction) -> bool:
        return not self.needs or any(set(group.split()) <= set(prediction.extra) for group in self.needs)

    def _streams(self, prediction: Prediction, target: Tensor, epoch: Tensor | float) -> list[tuple[Tensor, Tensor]]:
        """Loss of each stream, (sample,), and who has it, bool (sample,)."""
        found = []
        for place, (name, values) in enumerate(prediction.per_modality.items()):
            one = prediction.each[name]
            there = torch.stack([tokens.mask.any(1) for tokens in one.fused.tokens.values()]).any(0)
            own = one if self.needs and self._told(one) else Prediction(values, one.fused, extra=_evidence(prediction, values, place))
            found.append((self._one(own, target, epoch), there))
        return found

    def _one(self, prediction: Prediction, target: Tensor, epoch: Tensor | float) -> Tensor:
        known = None
        if target.is_floating_point():
            target = target if target.ndim == 2 else target[:, None]
            known = target.isfinite()
            target = torch.where(known, target, 0.0)
        loss = self.loss(prediction, target, epoch) if isinstance(self.loss, Annealed) else self.loss(prediction, target)
        if known is None or loss.ndim == 1:
            return loss
        if self.label_weights is not None:
            weights = self.label_weights.to(target.device)
            loss = loss * torch.where(target > 0.5, weights[:, 1], weights[:, 0])
        return torch.where(known, loss, 0.0).sum(1) / known.sum(1).clamp(min=1)


def _evidence(prediction: Prediction, values: Tensor, place: int) -> dict[str, Tensor]:
    """The Dirichlet distribution of one stream of an evidential decision: its mean, and S = classes / ignorance."""
    if "ignorances" not in prediction.extra:
        return {}
    ignorance = prediction.extra["ignorances"][:, place]
    return {"alpha": values.softmax(1) * (values.shape[1] / ignorance)[:, None]} if ignorance.ndim == 1 else {}


def make_objective(
    part: Part, task: str, codes: NDArray[Any], outputs: int, balanced: bool = False, head: str = "auto", decision: str = ""
) -> Objective:
    """The objective of a recipe for a task.

    Parameters
    ----------
    part : Part
        ``auto`` takes what suits the head (`AUTO`). Of classes and labels, the option ``class_weights`` is "balanced" (default: each class, or
        each label's yes and no, weighs alike), "none", or a list: a weight a class, or a weight of each label's yes.
    task : str
    codes : array
        Training targets.
    outputs : int
    balanced : bool
        Classes are drawn equally often already: by default they then weigh alike.
    head, decision : str
        Names of the recipe's; "": no decision.

    Raises
    ------
    UnknownNameError, InputError
        For a name, or an option, that does not exist, or that is for another task or head.
    """
    head = AUTO_HEADS[task] if head == "auto" else head
    if part.name == "auto" and head not in AUTO:
        raise InputError(f"no objective goes with the head {head!r} by itself. Name one: recipe.change(objective=Part(...)); see af.list_parts().")
    name = AUTO[head] if part.name == "auto" else part.name
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    kind = OBJECTIVES[name]
    if task not in kind.tasks:
        raise InputError(f"objective {name!r} is for {' and '.join(kind.tasks)}, the target needs {task}. Use recipe.change(objective=Part('auto')).")
    if kind.heads and not {head, decision} & set(kind.heads):
        raise InputError(
            f"objective {name!r} goes with the head {' or '.join(map(repr, kind.heads))}, the recipe has {head!r}. "
            f"Use recipe.change(head=Part({kind.heads[0]!r})), or objective=Part('auto')."
        )
    options = dict(part.options)
    weights = _weights(options.pop("class_weights", None), task, codes, outputs, balanced)
    known = inspect.signature(kind.make).parameters
    for option in options:
        if option not in known:
            raise InputError(f"objective {name!r} has no option {option!r}; it has {', '.join([*known, *(['class_weights'] if task in WEIGHED else [])]) or 'none'}.")
    if "costs" in options:
        _check_costs(options["costs"], outputs)
    return Objective(name, kind.make(**options), *weights, len(codes), kind.needs, kind.together)


def _weights(given: Any, task: str, codes: NDArray[Any], outputs: int, balanced: bool) -> tuple[Tensor | None, Tensor | None]:
    """Weights of classes, and of labels."""
    if task not in WEIGHED:
        if given is not None:
            raise InputError(f"class_weights={given!r} is for classes and labels; {task.replace('_', ' ')} has none. Leave it out.")
        return None, None
    given = given or ("none" if balanced else "balanced")
    if isinstance(given, list):
        if len(given) != outputs or not all(isinstance(one, int | float) and one > 0 for one in given):
            raise InputError(f"class_weights={given}: give {outputs} numbers above 0, in the order of the {'classes' if task in CLASSES else 'labels'}.")
        made = torch.tensor(given, dtype=torch.float32)
        return (made, None) if task in CLASSES else (None, torch.stack([torch.ones_like(made), made], 1))
    if given not in ("balanced", "none"):
        raise InputError(f"class_weights={given!r}: choose 'balanced' or 'none', or give a list of {outputs} numbers.")
    if given == "none":
        return None, None
    if task in CLASSES:
        counts = np.bincount(codes, minlength=outputs)
        return torch.tensor(len(codes) / (outputs * np.maximum(counts, 1)), dtype=torch.float32), None
    held = np.stack([(codes == value).sum(axis=0) for value in (0, 1)], axis=1)
    return None, torch.tensor(held.sum(axis=1, keepdims=True) / (2 * np.maximum(held, 1)), dtype=torch.float32)


def _check_costs(costs: Any, outputs: int) -> None:
    rows = costs if isinstance(costs, list) and all(isinstance(row, list) for row in costs) else []
    if len(rows) != outputs or any(len(row) != outputs for row in rows):
        raise InputError(f"costs has {len(rows)} row(s); it needs {outputs} rows of {outputs} numbers, a row a true class, in the order of the classes.")
    if not all(isinstance(one, int | float) and one >= 0 for row in rows for one in row):
        raise InputError(f"costs={costs}: numbers of 0 or more.")
