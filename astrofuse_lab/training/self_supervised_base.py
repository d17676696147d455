"""Training without labels: what every self-supervised objective shares."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.models.fusion import masked_mean
from astrofuse_lab.models.tokens import Fused, Tokens
from astrofuse_lab.training.learning import Inputs, Learned, Learning


class SelfSupervised(Learning):
    """Base of the self-supervised objectives.

    A subclass takes the model, and its options as keywords with plain defaults. Layers that it adds are dropped when training ends.
    """

    def per_sample(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[Tensor, Tensor]:
        """A prepared batch to a loss a sample, (sample,), and which samples have one, bool (sample,)."""
        raise NotImplementedError

    def forward(self, values: Inputs, masks: Inputs, present: Inputs, target: Tensor) -> Learned:
        """See `Learning.forward`; the target is not looked at."""
        loss, there = self.per_sample(values, masks, present)
        loss = torch.where(there, loss.float(), 0.0) + (self.extra_loss() if self.training else 0.0)
        if not self.divisible:  # the mean over the batch is then the mean over the samples that have a loss
            loss = loss * (len(there) / there.sum().clamp(min=1))
        return Learned(loss, self.weight(target), loss.new_zeros(len(loss), 0))

    def luck(self, device: torch.device) -> torch.Generator | None:
        """Torch's own random numbers while training; the same ones each time while measuring."""
        return None if self.training else torch.Generator(device).manual_seed(0)

    def fused(self, tokens: Mapping[str, Tokens]) -> Fused | None:
        """What the fusion makes of tokens; None for a model that fuses decisions."""
        return self.model.fusions["all"](tokens) if "all" in self.model.fusions else None


def vectors_of(tokens: Mapping[str, Tokens]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """One vector a modality, the mean of its real tokens, (batch, width) in float32; and who has it, (batch,)."""
    return {name: masked_mean(one.values, one.mask).float() for name, one in tokens.items()}, {name: one.mask.any(1) for name, one in tokens.items()}


def unit_vectors(model: FusionModel, tokens: Mapping[str, Tokens], projected: bool = True) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """One unit vector a modality, (batch, dimension), zero where it is missing, and who has it.

    Parameters
    ----------
    model : FusionModel
    tokens : mapping of modality to Tokens
    projected : bool
        Through the projection of its head, where that has one; False: as the encoders give them.
    """
    vectors, there = vectors_of(tokens)
    own = {name: layer for head in model.heads.values() for name, layer in getattr(head, "own", {}).items()} if projected else {}
    made = {name: F.normalize((own[name](one).float() if name in own else one), dim=-1) for name, one in vectors.items()}
    return {name: one * there[name][:, None] for name, one in made.items()}, there


def unit_of(model: FusionModel, fused: Fused, projected: bool = True) -> Tensor:
    """The fused vector as a unit vector, (batch, dimension), in the same space."""
    made = model.heads["all"](fused).extra if projected else {}
    return made["embedding"] if "embedding" in made else F.normalize(fused.vector.float(), dim=-1)


def stream_of(model: FusionModel) -> dict[str, str]:
    """The stream whose tokens hold each modality: its own, or what it is stacked in."""
    return {name: stream for stream, members in model.front.members.items() for name in members}


def width_of(model: FusionModel) -> int:
    """Width of the model's tokens."""
    return int(next(iter(model.encoders.values())).width)  # type: ignore[arg-type]
