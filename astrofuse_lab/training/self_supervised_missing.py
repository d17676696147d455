"""Training to make a modality from the others: what the head `reconstruction` learns by."""

import torch
import torch.nn.functional as F
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.models.heads_unlabelled import ReconstructionHead
from astrofuse_lab.training.learning import Inputs
from astrofuse_lab.training.self_supervised_base import SelfSupervised


class Reconstruction(SelfSupervised):
    """A modality is hidden from the model, which has others of the sample, and its input is given back by the head `reconstruction`.

    The loss is the mean error of its real numbers, in prepared units; of a head that gives several scales, the mean over them, each against the
    truth averaged to its pixels. Who has no other modality gives back what it is shown.

    Parameters
    ----------
    model : FusionModel
        With the head ``reconstruction``, which says what is made.
    hidden : float
        Share of the samples it is hidden of while training; it always is where the training is measured.
    error : {"squared", "absolute"}
        ``absolute``: L1, as image-to-image networks have it.
    filled : float
        Share of the loss that falls to the numbers that are not zero, where a sample has any: an image that is empty but for few pixels is
        otherwise best answered, for long, by nothing. 0: every number counts alike.
    """

    def __init__(self, model: FusionModel, *, hidden: float = 0.7, error: str = "squared", filled: float = 0.0) -> None:
        super().__init__(model)
        head = dict(model.heads).get("all")
        if not isinstance(head, ReconstructionHead):
            raise InputError("objective 'reconstruction' goes with the head 'reconstruction' and no decision. Use recipe.change(head=Part('reconstruction')).")
        if not 0 < hidden <= 1:
            raise InputError(f"hidden={hidden}: above 0, and 1 at most.")
        if error not in ("squared", "absolute"):
            raise UnknownNameError("error of the objective 'reconstruction'", error, ("squared", "absolute"))
        if not 0 <= filled < 1:
            raise InputError(f"filled={filled}: a share from 0 to below 1.")
        self.name, self.hidden, self.error, self.filled = head.modality, hidden, error, filled

    def per_sample(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[Tensor, Tensor]:
        """Error of the modality, of the samples that have it."""
        there = present[self.name]
        others = [one for name, one in present.items() if name != self.name]
        hide = torch.stack(others).any(0) if others else torch.zeros_like(there)
        if self.training:
            hide = hide & (torch.rand(len(hide), device=hide.device) < self.hidden)
        extra = self.model(values, masks, {**present, self.name: there & ~hide}).extra
        real = masks[self.name] & there.view(-1, *[1] * (values[self.name].ndim - 1))
        truth, counts = values[self.name].masked_fill(~real, 0.0), real.float()
        losses = [self._mean(extra["reconstruction"], truth, counts)]
        coarser = [extra[key] for key in sorted(extra, key=_scale) if key.startswith("scale.")]
        if coarser:
            y, x = coarser[0].shape[-2] * 2, coarser[0].shape[-1] * 2
            truth, counts = (F.pad(one, (0, x - one.shape[-1], 0, y - one.shape[-2])) for one in (truth, counts))
        for one in coarser:
            truth, counts = F.avg_pool2d(truth, 2), F.avg_pool2d(counts, 2)
            losses.append(self._mean(one, truth, counts))
        return torch.stack(losses).mean(0), real.flatten(1).any(1)

    def _mean(self, made: Tensor, truth: Tensor, counts: Tensor) -> Tensor:
        """Mean error of each sample, (batch,), by how much each number counts."""
        error = (made - truth).square() if self.error == "squared" else (made - truth).abs()
        whole = _weighed(error, counts)
        if not self.filled:
            return whole
        some = counts * (truth != 0)
        share = self.filled * some.flatten(1).any(1)
        return share * _weighed(error, some) + (1 - share) * _weighed(error, counts - some)


def _weighed(error: Tensor, counts: Tensor) -> Tensor:
    return (error * counts).flatten(1).sum(1) / counts.flatten(1).sum(1).clamp(min=1e-6)


def _scale(key: str) -> int:
    return int(key.removeprefix("scale.")) if key.startswith("scale.") else 0
