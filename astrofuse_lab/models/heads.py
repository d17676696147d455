"""Heads: a fused vector to what is asked for. The plain ones; those of trees, distributions and without a target are beside this file."""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.tokens import Fused, InputLayout, Prediction


class About(NamedTuple):
    """What a head may know beyond its width and outputs.

    Attributes
    ----------
    classes : tuple of str
        Names of the classes in the order of the outputs; empty where there are none, or nobody says.
    layouts : mapping of modality name to InputLayout
        The modalities behind the fused vector.
    """

    classes: tuple[str, ...] = ()
    layouts: Mapping[str, InputLayout] = {}


UNKNOWN = About()


def network(width: int, outputs: int, hidden: int, dropout: float) -> nn.Sequential:
    """One hidden layer; `hidden` = 0: none."""
    layers = [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)] if hidden else [nn.Linear(width, outputs)]
    return nn.Sequential(*layers)


class Head(nn.Module):
    """Base of the heads: one hidden layer, and what it gives as `Prediction.values`.

    Parameters
    ----------
    width : int
        Of the fused vector.
    outputs : int
        Classes, labels, target columns; 1 for one number, 0 without a target.
    about : About
    hidden : int
        Width of the hidden layer; 0 for a linear head.
    dropout : float

    Attributes
    ----------
    tasks : tuple of str
        What it can be the head of; the first is what it was made for.
    """

    tasks: ClassVar[tuple[str, ...]] = ()

    def __init__(self, width: int, outputs: int, about: About = UNKNOWN, *, hidden: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        self.outputs = outputs
        self.layers = network(width, self.numbers(outputs), hidden, dropout)

    def numbers(self, outputs: int) -> int:
        """How many numbers the layers give."""
        return outputs

    def forward(self, fused: Fused) -> Prediction:
        """The prediction of each sample, float32 whatever the precision before."""
        values, extra = self.say(self.layers(fused.vector).float())
        return Prediction(values, fused, extra=extra)

    def say(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What the layers gave, (batch, number), as `values` and `extra`."""
        return numbers, {}


class ClassificationHead(Head):
    """Logits of exclusive classes, (batch, class).

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    single : bool
        Of two classes: one number z, as published networks that end in a sigmoid; the logits are 0 and z, whose softmax is sigmoid(z).
    """

    tasks = ("classification",)

    def __init__(self, width: int, outputs: int, about: About = UNKNOWN, *, hidden: int = 64, dropout: float = 0.1, single: bool = False) -> None:
        self.single = single
        if single and outputs != 2:
            raise InputError(f"single=True is for two classes, and there are {outputs}: leave it out.")
        super().__init__(width, outputs, about, hidden=hidden, dropout=dropout)

    def numbers(self, outputs: int) -> int:
        """One of two classes, or one a class."""
        return 1 if self.single else outputs

    def say(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits."""
        return (F.pad(numbers, (1, 0)), {}) if self.single else (numbers, {})


class MultiLabelHead(Head):
    """Logits of labels of which any number may hold, (batch, label)."""

    tasks = ("multi_label",)


class RegressionHead(Head):
    """Standardised values, (batch, 1), or (batch, target) of several columns."""

    tasks = ("regression", "multi_regression")


class EvidentialHead(Head):
    """Evidence for each class, as the parameters of a Dirichlet distribution over the probabilities.

    Sensoy et al. 2018 (arXiv:1806.01768): alpha = 1 + evidence, probabilities alpha / S with S the sum of alpha. `values` are
    log(alpha), whose softmax these probabilities are; ``extra["alpha"]``, (batch, class); ``extra["vacuity"]`` = classes / S,
    (batch,): one where there is no evidence at all.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    """

    tasks = ("classification",)

    def say(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Evidence by softplus."""
        alpha = 1.0 + F.softplus(numbers)
        return alpha.log(), {"alpha": alpha, "vacuity": alpha.shape[1] / alpha.sum(1)}
