"""Encoders by selective state spaces, whose cost grows with the length of a sequence and not with its square."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import FeatureDropout
from astrofuse_lab.models.selective_scan import selective_scan
from astrofuse_lab.models.sequence_tokens import SequenceEncoder, days_between
from astrofuse_lab.models.tokens import InputLayout

FIRST_STEPS = (1e-3, 1e-1)
"""Step sizes that the network starts from, spread as a logarithm (Gu & Dao 2023, section 3.6)."""


class SelectivePass(nn.Module):
    """One selective state space along a sequence: what is kept and what is let in depend on the input.

    Algorithm 2 of Gu & Dao 2023 (arXiv:2312.00752), with a causal convolution before it as in their figure 3:
    h[t] = exp(D A) h[t-1] + (D A)^-1 (exp(D A) - 1) D B x[t] and y[t] = C h[t] + S x[t], where the step D and B, C are linear maps of x[t]
    (zero-order hold, their equation 4, exact for B too).

    Parameters
    ----------
    width : int
        Channels; each has a state of its own.
    state : int
        Numbers of a channel's state.
    kernel : int
        Steps that the convolution sees, up to the present one.
    """

    def __init__(self, width: int, state: int, kernel: int) -> None:
        super().__init__()
        self.state = state
        self.rank = max(1, width // 16)
        self.filter = nn.Parameter((torch.rand(kernel, width) * 2 - 1) / math.sqrt(kernel))
        self.shift = nn.Parameter(torch.zeros(width))
        self.select = nn.Linear(width, self.rank + 2 * state, bias=False)
        self.step = nn.Linear(self.rank, width)
        low, high = (math.log(x) for x in FIRST_STEPS)
        first = (low + (high - low) * torch.rand(width)).exp()
        with torch.no_grad():
            self.step.bias.copy_(first + torch.log(-torch.expm1(-first)))  # softplus of it is `first`
        self.log_rate = nn.Parameter(torch.arange(1, state + 1).float().log()[:, None].repeat(1, width))
        self.through = nn.Parameter(torch.ones(width))

    def forward(self, inputs: Tensor, mask: Tensor, scale: Tensor | None = None) -> Tensor:
        """Inputs (batch, step, width), zero where masked, and `scale` (batch, step) of the step sizes, to (batch, step, width)."""
        x = F.silu(self.convolve(inputs))
        low, inwards, outwards = self.select(x).float().split([self.rank, self.state, self.state], -1)
        size = F.softplus(self.step(low).float())
        if scale is not None:
            size = size * scale[..., None]
        # a masked step has no length: the state stays as it is
        return self.states(x.float(), size * mask[..., None], inwards, outwards)

    def convolve(self, inputs: Tensor) -> Tensor:
        """The causal convolution of each channel with its own filter, written as shifted sums."""
        kernel, count = len(self.filter), inputs.shape[1]
        padded = F.pad(inputs, (0, 0, kernel - 1, 0))
        out = self.shift + self.filter[0] * padded[:, :count]
        for k in range(1, kernel):
            out = out + self.filter[k] * padded[:, k : k + count]
        return out

    def states(self, x: Tensor, size: Tensor, inwards: Tensor, outwards: Tensor) -> Tensor:
        """What the states say: x and size (batch, step, width), inwards and outwards (batch, step, state) to (batch, step, width)."""
        return selective_scan(x, size, inwards, outwards, -self.log_rate.float().exp()) + self.through * x


class SelectiveLayer(nn.Module):
    """A Mamba block (Gu & Dao 2023, figure 3): selective state spaces and a gate between two linear maps, added to normalised tokens.

    Two directions share the linear maps, as in Vision Mamba (Zhu et al. 2024, arXiv:2401.09417).

    Parameters
    ----------
    width : int
    inner : int
        Channels of the state spaces.
    state, kernel : int
    directions : int
        1: forwards; 2: backwards too.
    dropout : float
    """

    def __init__(self, width: int, inner: int, state: int, kernel: int, directions: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 2 * inner, bias=False)
        self.passes = nn.ModuleList(SelectivePass(inner, state, kernel) for _ in range(directions))
        self.out = nn.Linear(inner, width, bias=False)
        self.dropout = FeatureDropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor, scales: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Tokens (batch, step, width) and their mask; `scales` of the step sizes, forwards and backwards."""
        inputs, gate = self.project(self.norm(tokens)).chunk(2, -1)
        inputs = inputs * mask[..., None]
        mixed = self.passes[0](inputs, mask, None if scales is None else scales[0])
        if len(self.passes) == 2:
            back = self.passes[1](inputs.flip(1), mask.flip(1), None if scales is None else scales[1].flip(1))
            mixed = mixed + back.flip(1)
        return tokens + self.dropout(self.out(mixed * F.silu(gate)))


class StateSpaceEncoder(SequenceEncoder):
    """Light curves, spectra, series and images to tokens by selective state spaces (Mamba).

    Epochs are read in order of time, patches of an image row by row. Masked steps leave the state as it is.

    Parameters
    ----------
    layout : InputLayout
    width : int
    layers : int
    state : int
        Numbers that each channel remembers.
    expansion : int
        Channels of the state spaces, in widths.
    kernel : int
        Steps that the convolution before each state space sees.
    bidirectional : bool
        Read from the end too.
    timescale : float
        Days. The step size of an epoch is multiplied by 1 + gap / timescale, the gap being the days since the epoch read before, so that the
        state fades with time and not with the count of epochs; 0 leaves it out. Of no meaning for other kinds.
    patch : int
        Pixels or samples of one step, along each axis; light curves take one epoch a step.
    tokens : int
        Cells of a spectrum or series, at most; light curves have a token an epoch, images a token a patch.
    dropout : float
    """

    kinds = ("light_curve", "spectrum", "series", "image")

    def __init__(
        self, layout: InputLayout, width: int, *, layers: int = 1, state: int = 8, expansion: int = 1, kernel: int = 4, bidirectional: bool = True,
        timescale: float = 10.0, patch: int = 16, tokens: int = 16, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, patch, tokens, ordered=True)
        if timescale < 0:
            raise InputError(f"timescale={timescale}: days above zero, or 0 to leave the gaps out; the default is 10.0.")
        self.timescale = timescale
        directions = 1 + bidirectional
        self.layers = nn.ModuleList(SelectiveLayer(width, expansion * width, state, kernel, directions, dropout) for _ in range(layers))

    def mix(self, tokens: Tensor, mask: Tensor, days: Tensor | None, maps: list[Tensor] | None) -> Tensor:
        """Tokens (batch, step, width), the real ones first, to as many."""
        scales = None
        if days is not None and self.timescale:
            gap = days_between(days, mask) / self.timescale
            # read backwards, an epoch comes after the one that is later
            scales = (1 + gap, 1 + torch.cat([gap[:, 1:], torch.zeros_like(gap[:, :1])], 1))
        for layer in self.layers:
            tokens = layer(tokens, mask, scales)
        return tokens
