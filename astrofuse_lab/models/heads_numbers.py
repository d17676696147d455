"""Heads of numbers: whole distributions, and several times ahead."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.heads import UNKNOWN, About, Head
from astrofuse_lab.models.tokens import Fused, Prediction

NARROWEST = 0.01
"""The least width of a Gaussian of a mixture, in standard deviations of the training values: a likelihood has no bound without it."""
LEVELS = (0.025, 0.16, 0.25, 0.5, 0.75, 0.84, 0.975)


class MixtureDensityHead(Head):
    """A mixture of Gaussians for one number (Bishop 1994, NCRG/94/004).

    `values` is its mean, (batch, 1); ``extra["weights"]``, ``["means"]`` and ``["scales"]``, (batch, component) each, in
    standard deviations of the training values.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    components : int
    """

    tasks = ("regression",)

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, components: int = 3, hidden: int = 64, dropout: float = 0.1
    ) -> None:
        self.components = components
        super().__init__(width, outputs, about, hidden=hidden, dropout=dropout)
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():  # apart from each other at the start, or all would learn the same
            last.bias[components : 2 * components] = torch.linspace(-1, 1, components) if components > 1 else 0.0

    def numbers(self, outputs: int) -> int:
        """Three a component."""
        return 3 * self.components

    def say(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The mixture and its mean."""
        weights, means, scales = numbers.chunk(3, 1)
        weights, scales = weights.softmax(1), F.softplus(scales) + NARROWEST
        return (weights * means).sum(1, keepdim=True), {"weights": weights, "means": means, "scales": scales}


class QuantilesHead(Head):
    """Quantiles of one number that cannot cross: the median, and positive steps away from it.

    `values` is the median, (batch, 1); ``extra["quantiles"]``, (batch, level), in standard deviations of the training values;
    ``extra["levels"]``, (batch, level), what they are the quantiles of.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    levels : sequence of float
        Ascending, between 0 and 1, with 0.5 among them.
    """

    tasks = ("regression",)
    level: Tensor

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, levels: Sequence[float] = LEVELS, hidden: int = 64, dropout: float = 0.1
    ) -> None:
        given = [float(one) for one in levels]
        if 0.5 not in given or given != sorted(set(given)) or given[0] <= 0 or given[-1] >= 1 or len(given) < 2:
            raise InputError(f"head 'quantiles': levels={list(levels)}; give them ascending, between 0 and 1, with 0.5 among them, e.g. [0.16, 0.5, 0.84].")
        self.count, self.middle = len(given), given.index(0.5)
        super().__init__(width, outputs, about, hidden=hidden, dropout=dropout)
        self.register_buffer("level", torch.tensor(given), persistent=False)

    def numbers(self, outputs: int) -> int:
        """One a level."""
        return self.count

    def say(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The median and what lies above and below it."""
        below, median, above = numbers.split([self.middle, 1, self.count - 1 - self.middle], 1)
        lower = median - F.softplus(below).flip(1).cumsum(1).flip(1)
        upper = median + F.softplus(above).cumsum(1)
        return median, {"quantiles": torch.cat([lower, median, upper], 1), "levels": self.level.expand(len(numbers), -1)}


class ForecastHead(Head):
    """A number for each of several times ahead, in the order of the target columns; values (batch, horizon), standardised.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    decoder : {"embedding", "recurrent"}
        ``embedding``: each horizon has a learned vector that is added to the fused one, and one network reads them all.
        ``recurrent``: a gated recurrent unit begins at the fused vector and is told its last answer (Cho et al. 2014,
        arXiv:1406.1078).
    """

    tasks = ("multi_regression",)

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, decoder: str = "embedding", hidden: int = 64, dropout: float = 0.1
    ) -> None:
        super().__init__(width, outputs, about, hidden=hidden, dropout=dropout)
        if decoder not in ("embedding", "recurrent"):
            raise UnknownNameError("decoder of the head 'forecast'", decoder, ("embedding", "recurrent"))
        self.horizon = nn.Parameter(torch.randn(outputs, width) / math.sqrt(2)) if decoder == "embedding" else None
        self.unit = nn.GRUCell(1, width) if decoder == "recurrent" else None

    def numbers(self, outputs: int) -> int:
        """One a horizon, one horizon at a time."""
        return 1

    def forward(self, fused: Fused) -> Prediction:
        """All horizons."""
        if self.horizon is not None:
            return Prediction(self.layers(fused.vector[:, None] + self.horizon)[..., 0].float(), fused)
        assert self.unit is not None
        state, said = fused.vector, [fused.vector.new_zeros(len(fused.vector), 1)]
        for _ in range(self.outputs):
            state = self.unit(said[-1].to(state.dtype), state)
            said.append(self.layers(state))
        return Prediction(torch.cat(said[1:], 1).float(), fused)
