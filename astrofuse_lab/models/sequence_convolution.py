"""Residual networks along one axis, with kernels of one size or of several beside each other."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import FeatureDropout
from astrofuse_lab.models.encoder import Encoder, cells, place_of
from astrofuse_lab.models.sequence_tokens import AXES
from astrofuse_lab.models.tokens import InputLayout, Tokens


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(4 if channels % 4 == 0 else 1, channels)


class ScaledConvolution(nn.Module):
    """Convolutions of several kernel sizes beside each other, each giving its share of the channels.

    The idea of Inception along one axis (Fawaz et al. 2020, arXiv:1909.04939, without its pooling branch); with one scale a plain convolution.

    Parameters
    ----------
    channels : int
        In and out.
    kernel : int
        The smallest kernel, odd; every other reaches twice as far as the one before.
    scales : int
    """

    def __init__(self, channels: int, kernel: int, scales: int) -> None:
        super().__init__()
        shares = [channels // scales + (i < channels % scales) for i in range(scales)]
        sizes = [(kernel - 1) * 2**i + 1 for i in range(scales)]
        # images of one row: on a CPU the kernels for images are the faster ones
        self.branches = nn.ModuleList(nn.Conv2d(channels, n, (1, k), padding=(0, k // 2), bias=False) for n, k in zip(shares, sizes, strict=True))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, 1, sample) to the same shape."""
        return torch.cat([branch(features) for branch in self.branches], 1)


class ScaledBlock(nn.Module):
    """Two convolutions added to their input (He et al. 2016, arXiv:1603.05027).

    Parameters
    ----------
    channels, kernel, scales : int
    """

    def __init__(self, channels: int, kernel: int, scales: int) -> None:
        super().__init__()
        one = (_norm(channels), nn.SiLU(), ScaledConvolution(channels, kernel, scales))
        two = (_norm(channels), nn.SiLU(), ScaledConvolution(channels, kernel, scales))
        self.branch = nn.Sequential(*one, *two)

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, 1, sample) to the same shape."""
        return features + self.branch(features)


class ResNet1dEncoder(Encoder):
    """Spectra and series to tokens by a residual network of any depth and width.

    A stem of stride two, then stages that halve the axis and, from the second on, double the channels.

    Parameters
    ----------
    layout : InputLayout
        Shape (pixel,) or (channel, sample).
    width : int
    channels : int
        Of the first stage.
    stages : int
    depth : int
        Residual blocks of a stage.
    kernel : int
        Samples that a convolution sees; odd.
    scales : int
        Kernel sizes beside each other, each reaching twice as far as the one before: 3 makes it an Inception network.
    tokens : int
        Ranges of the axis.
    dropout : float
        Share of features set to zero while training.
    """

    kinds = ("spectrum", "series")
    box: Tensor

    def __init__(
        self, layout: InputLayout, width: int, *, channels: int = 16, stages: int = 3, depth: int = 1, kernel: int = 3, scales: int = 1,
        tokens: int = 16, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width)
        _check(channels, kernel, scales)
        *several, samples = layout.shape
        bounds, self.count = cells(samples, 2 ** (stages + 1), tokens)
        self.stem = nn.Conv2d(2 * (several[0] if several else 1), channels, (1, 7), stride=(1, 2), padding=(0, 3))
        layers: list[nn.Module] = []
        for stage in range(stages):
            before, now = channels * 2 ** max(stage - 1, 0), channels * 2**stage
            layers += [_norm(before), nn.SiLU(), nn.Conv2d(before, now, (1, 3), stride=(1, 2), padding=(0, 1), bias=False)]
            layers += [ScaledBlock(now, kernel, scales) for _ in range(depth)]
        self.trunk = nn.Sequential(*layers, _norm(now), nn.SiLU())
        self.project = nn.Sequential(FeatureDropout(dropout), nn.Linear(now, width))
        self.position = nn.Parameter(0.02 * torch.randn(self.count, width))
        self.norm = nn.LayerNorm(width)
        self.bounds = bounds.tolist()
        self.register_buffer("box", bounds, persistent=False)

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask, (batch, pixel) or (batch, channel, sample), to tokens in order of the axis."""
        if values.ndim == 2:
            values, mask = values[:, None], mask[:, None]
        inputs = torch.cat([values.masked_fill(~mask, 0.0), mask.to(values.dtype)], 1)
        features = self.trunk(self.stem(inputs[:, :, None].contiguous(memory_format=torch.channels_last)))
        pooled = F.adaptive_avg_pool2d(features, (1, self.count))[:, :, 0].transpose(1, 2)
        seen = torch.stack([mask[..., b:e].flatten(1).any(1) for b, e in self.bounds], 1)
        return Tokens(self.norm(self.project(pooled) + self.position), seen, place_of(AXES[self.layout.kind], self.box))


def _check(channels: int, kernel: int, scales: int) -> None:
    if kernel % 2 == 0:
        raise InputError(f"kernel={kernel} has no middle. Take an odd number, e.g. {kernel + 1}.")
    if scales > channels:
        raise InputError(f"scales={scales}: {channels} channels cannot be shared among so many. Take scales up to {channels}, or more channels.")
