"""Training to make a modality from the others: what the head `reconstruction` learns by."""

import torch
from torch import Tensor

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.models.heads_unlabelled import ReconstructionHead
from astrofuse_lab.training.learning import Inputs
from astrofuse_lab.training.self_supervised_base import SelfSupervised


class Reconstruction(SelfSupervised):
    """A modality is hidden from the model, which has others of the sample, and its input is given back by the head `reconstruction`.

    The loss is the mean squared error of its real numbers, in prepared units. Who has no other modality gives back what it is shown.

    Parameters
    ----------
    model : FusionModel
        With the head ``reconstruction``, which says what is made.
    hidden : float
        Share of the samples it is hidden of while training; it always is where the training is measured.
    """

    def __init__(self, model: FusionModel, *, hidden: float = 0.7) -> None:
        super().__init__(model)
        head = dict(model.heads).get("all")
        if not isinstance(head, ReconstructionHead):
            raise InputError("objective 'reconstruction' goes with the head 'reconstruction' and no decision. Use recipe.change(head=Part('reconstruction')).")
        if not 0 < hidden <= 1:
            raise InputError(f"hidden={hidden}: above 0, and 1 at most.")
        self.name, self.hidden = head.modality, hidden

    def per_sample(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[Tensor, Tensor]:
        """Error of the modality, of the samples that have it."""
        there = present[self.name]
        others = [one for name, one in present.items() if name != self.name]
        hide = torch.stack(others).any(0) if others else torch.zeros_like(there)
        if self.training:
            hide = hide & (torch.rand(len(hide), device=hide.device) < self.hidden)
        made = self.model(values, masks, {**present, self.name: there & ~hide}).extra["reconstruction"]
        real = masks[self.name] & there.view(-1, *[1] * (made.ndim - 1))
        error = torch.where(real, (made - values[self.name]).square(), 0.0)
        return error.flatten(1).sum(1) / real.flatten(1).sum(1).clamp(min=1), real.flatten(1).any(1)
