"""Decision-level fusion: each stream predicts by itself, and the predictions are combined.

A stream is a modality, or several fused before they predict: hybrid systems combine both (`Decision`, options `groups` and `with_fused`).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.tokens import Fused, Prediction, Tokens

TINY = 1e-8
"""Probabilities are kept this far from 0 and 1 before a logarithm."""
LABELS = ("classification", "multi_label")
NUMBERS = ("regression", "multi_regression", "self_supervised")


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over the streams: (batch, stream, output) and weights (batch, stream) to (batch, output); zero where all weights are.

    By products and sums rather than a matrix product, which bfloat16 would round.
    """
    weight = weight.to(values.dtype)
    return (values * weight[..., None]).sum(1) / weight.sum(1, keepdim=True).clamp(min=TINY)


class Decision(nn.Module):
    """Base of all decisions.

    Parameters
    ----------
    task : str
        What the heads predict.
    modalities : tuple of str
    outputs : int
        Numbers that each head gives.
    with_fused : bool
        Hybrid fusion: all modalities fused are a further stream, beside each of them.
    groups : list of str
        The streams, where not each modality alone: ``["image+spectrum", "table"]`` fuses the first two before they predict. A recipe
        may be used with fewer modalities: those that are not there drop out of their groups.

    Attributes
    ----------
    streams : dict of str to tuple of str
        Modalities of each stream.
    tasks : tuple of str
        Tasks it can combine.
    differentiable : bool
        False where no useful gradient leads from the combined prediction to the inputs.
    fits : bool
        True where it learns, after the networks, from predictions on samples that they were not trained on (`fit`).

    Raises
    ------
    InputError
        For a task it cannot combine, or a modality in no group.
    """

    tasks: ClassVar[tuple[str, ...]] = (*LABELS, *NUMBERS)
    differentiable: ClassVar[bool] = True

    def __init__(self, task: str, modalities: Sequence[str], outputs: int, *, with_fused: bool = False, groups: Sequence[str] = ()) -> None:
        super().__init__()
        if task not in self.tasks:
            raise InputError(f"{type(self).__name__} combines {' or '.join(self.tasks)}, not {task}. For numbers take decision=Part('weighted_average').")
        self.task, self.outputs = task, outputs
        self.streams = streams_of(modalities, groups, with_fused)

    @property
    def fits(self) -> bool:
        """See the class."""
        return False

    def fit(self, values: Tensor, there: Tensor, truth: Tensor) -> None:
        """Learn from outputs (sample, stream, output), which are there (sample, stream), and truth (sample, target), NaN where unknown.

        Truth is a class code, labels 0 and 1, or standardised values.
        """
        raise NotImplementedError

    def forward(self, predictions: Mapping[str, Prediction], present: Mapping[str, Tensor]) -> Prediction:
        """Combine.

        Parameters
        ----------
        predictions : mapping of stream to Prediction
            Of any subset of the streams.
        present : mapping of stream to bool Tensor, (batch,)

        Returns
        -------
        Prediction
            `values`: log-probabilities (even over the classes where a sample has no stream), logits of labels, or values. The fused
            vector is the mean of the streams' own. `extra`: ``streams`` (batch, stream), True where a stream had something to go by.
        """
        some = next(iter(predictions.values()))
        zero, none = torch.zeros_like(some.values), torch.zeros(len(some.values), dtype=torch.bool, device=some.values.device)
        values = torch.stack([predictions[name].values if name in predictions else zero for name in self.streams], 1)
        there = torch.stack([present.get(name, none) for name in self.streams], 1)
        values = torch.where(there[..., None], values, 0.0)
        vectors = torch.stack([one.fused.vector for one in predictions.values()], 1)
        given = torch.stack([present[name] for name in predictions], 1)
        tokens: dict[str, Tokens] = {}
        for stream, one in predictions.items():
            for name in self.streams[stream]:
                if name in one.fused.tokens:
                    tokens.setdefault(name, one.fused.tokens[name])
        fused = Fused(weighted_mean(vectors.float(), given).to(vectors.dtype), tokens)
        combined = torch.where(there.any(1, keepdim=True), self.combine(values, there), self.nothing(values))
        each = self.own(values)
        return Prediction(
            combined, fused, {name: each[:, i] for i, name in enumerate(self.streams) if name in predictions},
            {"streams": there, **pooled_distributions(list(predictions.values()), given), **self.said(values, there)},
        )  # fmt: skip

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """Outputs (batch, stream, output) and which are there (batch, stream) to (batch, output)."""
        raise NotImplementedError

    def own(self, values: Tensor) -> Tensor:
        """What each stream says by itself, in the form of the combined `values`."""
        return values

    def said(self, values: Tensor, there: Tensor) -> dict[str, Tensor]:
        """What it says beyond the combined prediction."""
        return {}

    def nothing(self, values: Tensor) -> Tensor:
        """The answer to a sample without any stream: all classes alike, or the mean of the training values, 0."""
        return torch.full_like(values[:, 0], -torch.tensor(float(self.outputs)).log().item() if self.task == "classification" else 0.0)

    def probabilities(self, values: Tensor) -> Tensor:
        """Of classes, or of each label."""
        return values.softmax(-1) if self.task == "classification" else values.sigmoid()

    def values_of(self, probabilities: Tensor) -> Tensor:
        """The inverse of `probabilities`."""
        if self.task == "classification":
            return probabilities.clamp(min=TINY).log()
        return probabilities.clamp(1e-7, 1 - 1e-7).logit()


def pooled_distributions(predictions: Sequence[Prediction], there: Tensor) -> dict[str, Tensor]:
    """The distributions that heads of numbers give, as one: the union of mixtures, each with the same share, or the mean of quantiles.

    The linear opinion pool, and Vincent averaging (Ratcliff 1979, doi:10.1037/0033-2909.86.3.446); `there` is (batch, stream).
    """
    extra = [one.extra for one in predictions]
    share = there.float() / there.sum(1, keepdim=True).clamp(min=1)
    if all({"weights", "means", "scales"} <= set(one) for one in extra):
        weights = torch.cat([one["weights"] * share[:, i, None] for i, one in enumerate(extra)], 1)
        # where nothing is there, all alike: a mixture's weights sum to one
        weights = torch.where(there.any(1, keepdim=True), weights, 1.0 / weights.shape[1])
        return {"weights": weights, **{name: torch.cat([one[name] for one in extra], 1) for name in ("means", "scales")}}
    if all({"quantiles", "levels"} <= set(one) for one in extra):
        return {"quantiles": weighted_mean(torch.stack([one["quantiles"] for one in extra], 1), share), "levels": extra[0]["levels"]}
    return {}


def streams_of(modalities: Sequence[str], groups: Sequence[str] = (), with_fused: bool = False) -> dict[str, tuple[str, ...]]:
    """The streams of a hybrid, by name: modalities joined with ``+``.

    Raises
    ------
    InputError, UnknownNameError
        For groups of which none can be used, and a modality in none of them.
    """
    streams = {}
    for group in groups or modalities:
        named = [group] if group in modalities else [name.strip() for name in str(group).split("+")]
        members = tuple(name for name in modalities if name in named)
        if members:
            streams["+".join(members)] = members
    if not streams:
        raise UnknownNameError("modality of this model", groups[0], modalities)
    left = [name for name in modalities if not any(name in members for members in streams.values())]
    if left:
        raise InputError(f"decision groups={list(groups)}: {left[0]!r} is in none of them. Add {left[0]!r} as a group of its own, or to another: 'image+{left[0]}'.")
    if with_fused:
        streams["+".join(modalities)] = tuple(modalities)
    return streams


class Average(Decision):
    """The mean of the probabilities (of classes or labels) or values of the streams a sample has.

    The sum rule of Kittler et al. 1998 (doi:10.1109/34.667881).

    Parameters
    ----------
    task, modalities, outputs, with_fused, groups
        As in `Decision`.
    """

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """The mean over what is there."""
        if self.task in NUMBERS:
            return weighted_mean(values, there)
        return self.values_of(weighted_mean(self.probabilities(values), there))


class Product(Average):
    """The product of the probabilities of the streams a sample has, normalised; of values, their mean.

    The product rule of Kittler et al. 1998 (doi:10.1109/34.667881) for even prior probabilities: right where streams err
    independently given the class, and it lets one that is sure outvote several that are not.

    Parameters
    ----------
    task, modalities, outputs, with_fused, groups
        As in `Decision`.
    """

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """Sum of the log-probabilities, or of the labels' logits, of what is there."""
        if self.task in NUMBERS:
            return super().combine(values, there)
        if self.task == "multi_label":
            return (values * there[..., None]).sum(1)
        return (values.log_softmax(-1) * there[..., None]).sum(1).log_softmax(-1)


class Voting(Average):
    """Each stream a sample has gives one vote to its most probable class, or to yes or no of each label; of values, the median.

    Majority vote (Kittler et al. 1998, doi:10.1109/34.667881); ties go to the larger mean probability, which counts as a thousandth
    of a vote. The probabilities are shares of votes. A vote is a step: only that thousandth has a gradient, so that the streams learn
    from their own losses, and explanations by gradients are refused (`differentiable`); those that hide inputs are right.

    Parameters
    ----------
    task, modalities, outputs, with_fused, groups
        As in `Decision`.
    """

    differentiable = False
    TIE = 1e-3

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """Shares of votes, or the median."""
        if self.task in NUMBERS:
            return masked_median(values, there)
        probabilities = self.probabilities(values)
        if self.task == "classification":
            votes = nn.functional.one_hot(probabilities.argmax(-1), self.outputs)
        else:
            votes = (values > 0).long()
        votes = (votes * there[..., None]).sum(1)
        count = there.sum(1, keepdim=True)
        return self.values_of((votes + self.TIE * weighted_mean(probabilities, there)) / (count + self.TIE))


def masked_median(values: Tensor, there: Tensor) -> Tensor:
    """Median over the streams that are there, the mean of the two middle ones where they are even; zero where none is."""
    ordered = values.masked_fill(~there[..., None], torch.inf).sort(1).values
    count = there.sum(1)[:, None, None].expand(-1, 1, values.shape[2])
    low, high = (ordered.gather(1, place)[:, 0] for place in ((count - 1).clamp(min=0) // 2, (count // 2).clamp(max=values.shape[1] - 1)))
    # hidden before they are added, or the gradient of an infinite number would be none
    some = there.any(1, keepdim=True)
    return (torch.where(some, low, 0.0) + torch.where(some, high, 0.0)) / 2
