"""What one training makes small: a model together with what turns its predictions into a loss a sample.

A trainer knows only `Learning`: supervised and self-supervised trainings are members of it, and bring whatever further layers they
need (projections, decoders, a teacher). Those are trained, averaged and kept in checkpoints like the model, and dropped at the end.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.models.lora import merge
from astrofuse_lab.models.tokens import Prediction
from astrofuse_lab.training.anchors import Anchor
from astrofuse_lab.training.objectives import Objective
from astrofuse_lab.training.objectives_classes import Annealed

Inputs = dict[str, Tensor]


class Learned(NamedTuple):
    """What came of one batch.

    Attributes
    ----------
    loss : Tensor, (sample,)
    weight : Tensor, (sample,)
        How much each sample counts.
    values : Tensor, (sample, ...)
        The model's outputs, to measure.
    """

    loss: Tensor
    weight: Tensor
    values: Tensor


class Learning(nn.Module):
    """Base of all learnings.

    Parameters
    ----------
    model : FusionModel
        The only part that the run keeps.

    Attributes
    ----------
    divisible : bool
        A sample's loss does not depend on the batch it is in, so a batch may be computed in pieces. False where samples of a batch
        are compared, as contrastive losses do: then memory that runs out cannot be saved without changing the step.
    """

    divisible = True

    def __init__(self, model: FusionModel) -> None:
        super().__init__()
        self.model = model
        self.anchor: Anchor | None = None

    def forward(self, values: Inputs, masks: Inputs, present: Inputs, target: Tensor) -> Learned:
        """A prepared batch and its targets to a loss a sample.

        Parameters
        ----------
        values, masks, present : dict of modality to Tensor
        target : Tensor, (sample, ...)
            As `Problem` encodes them; without a target, zeros.
        """
        raise NotImplementedError

    def extra_loss(self) -> Tensor | float:
        """What is asked for beside the objective: by modules of the model (`extra_loss`, of the last forward) and by the anchor; in training."""
        return _total(self.model.modules(), "extra_loss") + (self.anchor(self.model) if self.anchor is not None else 0.0)

    def truth(self, target: Tensor) -> Tensor:
        """The truth among the targets; the others come from elsewhere, e.g. a teacher."""
        return target

    def weight(self, target: Tensor) -> Tensor:
        """How much samples with these targets count: (sample,). Of a whole batch, so that several processes agree on its sum."""
        return torch.ones(len(target), device=target.device)

    def kept(self) -> FusionModel:
        """The model as the run keeps it, when training has ended: adapted weights are merged."""
        merge(self.model)
        return self.model


class Supervised(Learning):
    """The model's prediction against the target.

    Parameters
    ----------
    model : FusionModel
    objective : Objective
    """

    shown: Tensor

    def __init__(self, model: FusionModel, objective: Objective) -> None:
        super().__init__(model)
        self.objective = objective
        self.divisible = not objective.together
        if isinstance(objective.loss, Annealed):
            self.register_buffer("shown", torch.zeros((), dtype=torch.int64))

    def forward(self, values: Inputs, masks: Inputs, present: Inputs, target: Tensor) -> Learned:
        """See `Learning.forward`."""
        loss, answer = self.answered(values, masks, present, target)
        return Learned(loss, self.weight(target), answer)

    def answered(self, values: Inputs, masks: Inputs, present: Inputs, truth: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each sample, (sample,), and the model's outputs."""
        prediction: Prediction = self.model(values, masks, present)
        if not self.training:
            return self.objective.of(prediction, truth), prediction.values
        loss = self.objective.per_sample(prediction, truth, self._epoch(len(truth))) + self.extra_loss() + self.divergence()
        return loss, prediction.values

    def divergence(self) -> Tensor | float:
        """Divergence of the distributions over weights from their priors (`kl` of Bayesian modules), a sample's share of it.

        The term beside the likelihood in the evidence lower bound (Blundell et al. 2015, arXiv:1505.05424, equation 8).
        """
        return _total(_outermost(self.model, "kl"), "kl") / self.objective.count

    def _epoch(self, count: int) -> Tensor | float:
        """Passes over the training part so far; only an objective that changes with them counts."""
        if not isinstance(self.objective.loss, Annealed):
            return 0.0
        world = torch.distributed.get_world_size() if torch.distributed.is_available() and torch.distributed.is_initialized() else 1
        self.shown += count * world
        return self.shown.float() / self.objective.count

    def weight(self, target: Tensor) -> Tensor:
        """By class, where the objective weighs classes."""
        return self.objective.weights(target)


def _total(modules: Iterable[nn.Module], method: str) -> Tensor | float:
    """The sum of what modules give that have a method of this name."""
    return sum(getattr(one, method)() for one in modules if hasattr(one, method))


def _outermost(module: nn.Module, method: str) -> Iterator[nn.Module]:
    """Modules that have a method of this name; one that is part of another such is spoken for by it."""
    if hasattr(module, method):
        yield module
        return
    for one in module.children():
        yield from _outermost(one, method)
