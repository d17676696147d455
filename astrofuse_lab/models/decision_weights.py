"""Decisions that learn how much each stream counts: by a weight each, or by a network on all scores."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.decision import NUMBERS, Average, Decision, weighted_mean

LOWEST = 9.0
"""Log-probabilities further than this below those of an even distribution say no more: one sure stream is not to decide alone."""


def score_features(values: Tensor, there: Tensor, task: str) -> Tensor:
    """Scores side by side with flags of presence, (batch, stream * (output + 1)).

    Classes as log-probabilities over those of an even distribution, labels as logits, numbers as they are; zero, which is the answer
    of a stream that knows nothing, where a stream is missing.
    """
    if task == "classification":
        values = (values.log_softmax(-1) + math.log(max(1, values.shape[-1]))).clamp(min=-LOWEST)
    elif task not in NUMBERS:
        values = values.clamp(-LOWEST, LOWEST)
    flags = there[..., None].to(values.dtype)
    return torch.cat([values * flags, flags], -1).flatten(1)


class WeightedAverage(Average):
    """The weighted mean of the probabilities, or values, of the streams a sample has; the weights of those present sum to one.

    The linear opinion pool (Genest & Zidek 1986, doi:10.1214/ss/1177013825).

    Parameters
    ----------
    task, modalities, outputs, with_fused, groups
        As in `Decision`.
    weights : {"learned", "skill"}
        Learned with the networks; or, after them, from what each stream does by itself on samples that it was not trained on: its balanced
        accuracy above chance (of labels, above one half), or one over its mean square error.
    """

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, weights: str = "learned", with_fused: bool = False, groups: Sequence[str] = ()
    ) -> None:
        super().__init__(task, modalities, outputs, with_fused=with_fused, groups=groups)
        if weights not in ("learned", "skill"):
            raise InputError(f"weighted_average weights={weights!r}: choose 'learned' or 'skill'.")
        self.how = weights
        level = torch.zeros(len(self.streams))
        if weights == "learned":
            self.level = nn.Parameter(level)
        else:
            self.register_buffer("level", level)

    @property
    def fits(self) -> bool:
        """Only weights from skill are found after the networks."""
        return self.how == "skill"

    def weights(self, there: Tensor) -> Tensor:
        """The weight of each stream of each sample, (batch, stream)."""
        return torch.where(there, self.level.float(), -torch.inf).masked_fill(~there.any(1, keepdim=True), 0.0).softmax(1)

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """The weighted mean over what is there."""
        weights = self.weights(there)
        return weighted_mean(values, weights) if self.task in NUMBERS else self.values_of(weighted_mean(self.probabilities(values), weights))

    def said(self, values: Tensor, there: Tensor) -> dict[str, Tensor]:
        """The weights."""
        return {"stream_weights": torch.where(there, self.weights(there), 0.0)}

    def fit(self, values: Tensor, there: Tensor, truth: Tensor) -> None:
        """Set the weights by skill."""
        skill = torch.stack([self._skill(values[there[:, i], i], truth[there[:, i]]) for i in range(len(self.streams))])
        self.get_buffer("level").copy_(skill.clamp(min=1e-3).log())

    def _skill(self, values: Tensor, truth: Tensor) -> Tensor:
        """Of one stream on the samples that have it; zero where there is none."""
        known = truth.isfinite()
        if not known.any():
            return torch.tensor(0.0)
        if self.task in NUMBERS:
            return 1.0 / (values - truth)[known].square().mean().clamp(min=1e-6)
        if self.task == "classification":
            found = [(values.argmax(1) == c)[truth[:, 0] == c].float().mean() for c in truth[:, 0].unique()]
            return torch.stack(found).mean() - 1.0 / self.outputs
        rates = [((values > 0) == (truth > 0.5))[known & ((truth > 0.5) == side)].float().mean() for side in (True, False)]
        return torch.stack([rate for rate in rates if rate.isfinite()]).mean() - 0.5


class ScoreConcatenation(Decision):
    """All streams' scores side by side, with flags that say which are there, through an MLP that is trained with the networks.

    Parameters
    ----------
    task, modalities, outputs, with_fused, groups
        As in `Decision`.
    hidden : int
        Width of the hidden layer; 0: a linear combination.
    dropout : float
    """

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, hidden: int = 32, dropout: float = 0.1, with_fused: bool = False, groups: Sequence[str] = ()
    ) -> None:
        super().__init__(task, modalities, outputs, with_fused=with_fused, groups=groups)
        size = len(self.streams) * (outputs + 1)
        layers = [nn.Linear(size, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)] if hidden else [nn.Linear(size, outputs)]
        self.layers = nn.Sequential(*layers)

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """What the MLP makes of the scores."""
        combined = self.layers(score_features(values, there, self.task)).float()
        return combined.log_softmax(-1) if self.task == "classification" else combined
