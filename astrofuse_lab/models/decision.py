"""Decision-level fusion: each modality predicts by itself, and the predictions are combined."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from astrofuse_lab.models.fusion import masked_mean
from astrofuse_lab.models.tokens import Fused, Prediction


class Average(nn.Module):
    """The mean of the probabilities (classification) or values (regression) of the modalities a sample has.

    The sum rule of Kittler et al. 1998 (doi:10.1109/34.667881). The fused vector is the mean of the modalities' own.

    Parameters
    ----------
    task : {"classification", "regression"}
    """

    def __init__(self, task: str) -> None:
        super().__init__()
        self.task = task

    def forward(self, predictions: Mapping[str, Prediction], present: Mapping[str, Tensor]) -> Prediction:
        """Combine.

        Parameters
        ----------
        predictions : mapping of modality to Prediction
        present : mapping of modality to bool Tensor, (batch,)

        Returns
        -------
        Prediction
            `values`: log-probabilities (even over the classes where a sample has no modality), or values.
        """
        there = torch.stack([present[name] for name in predictions], 1)
        values = torch.stack([one.values for one in predictions.values()], 1)
        vectors = torch.stack([one.fused.vector for one in predictions.values()], 1)
        tokens = {name: one.fused.tokens[name] for name, one in predictions.items()}
        return Prediction(self.combine(values, there), Fused(masked_mean(vectors, there), tokens), {name: one.values for name, one in predictions.items()})

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """Outputs (batch, modality, output) and which are present (batch, modality) to (batch, output)."""
        if self.task != "classification":
            return masked_mean(values, there)
        share = masked_mean(values.softmax(-1), there)
        return torch.where(there.any(1, keepdim=True), share, 1.0 / share.shape[1]).clamp(min=1e-8).log()


class Product(Average):
    """The product of the probabilities of the modalities a sample has, normalised; of values, their mean.

    The product rule of Kittler et al. 1998 (doi:10.1109/34.667881) for even prior probabilities: right where modalities err
    independently given the class, and it lets one that is sure outvote several that are not.
    """

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """Sum of the log-probabilities of the modalities present."""
        if self.task != "classification":
            return super().combine(values, there)
        return (values.log_softmax(-1) * there[..., None]).sum(1).log_softmax(-1)
