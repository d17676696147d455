"""Blocks that the families of image encoders share: normalisation, channel and coordinate attention, checks of lists of sizes.

Group normalisation (Wu & He 2018, arXiv:1803.08494) stands wherever a paper has batch normalisation: a sample then does not
depend on its neighbours, and a batch of one works. It has the same number of parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError

ATTENTIONS = ("none", "channel", "coordinate")
"""What the option ``attention`` of the convolutional families may be."""


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in four groups, or in one where four do not divide the channels."""
    return nn.GroupNorm(4 if channels % 4 == 0 else 1, channels)


def sizes(name: str, given: Sequence[Any], count: int | None = None, least: int = 1) -> list[int]:
    """A list of whole numbers as an option gives it; InputError unless it is one, of `count` and none below `least`."""
    values = list(given)
    if not values or (count is not None and len(values) != count) or any(isinstance(n, bool) or not isinstance(n, int) or n < least for n in values):
        many = "at least one whole number" if count is None else f"{count} whole numbers"
        raise InputError(f"{name}={values!r}: a list of {many}, each {least} or more, e.g. {[max(least, 8)] * (count or 3)}.")
    return values


def rows_of_sizes(name: str, given: Sequence[Any], columns: tuple[str, ...]) -> list[list[int]]:
    """A list of lists of whole numbers; InputError unless each has one for every column."""
    if not given or not all(isinstance(row, list | tuple) for row in given):
        raise InputError(f"{name}={list(given)!r}: a list of lists [{', '.join(columns)}], one a block.")
    return [sizes(f"{name}[{i}]", row, len(columns)) for i, row in enumerate(given)]


def convolved(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: Callable[[], nn.Module] | None = nn.ReLU) -> nn.Sequential:
    """A convolution that halves by its stride (rounded up), normalisation, and an activation where one is given."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), group_norm(outputs)]
    return nn.Sequential(*layers, *([act()] if act else []))


class ChannelAttention(nn.Module):
    """Squeeze and excitation: each channel times a factor in 0 to 1 learned from all channels' means (Hu et al. 2018, arXiv:1709.01507, eqs. 2-4).

    Parameters
    ----------
    channels : int
    hidden : int, optional
        Channels squeezed to; by default a sixteenth, at least four.
    act : callable
        Makes the activation between the two layers.
    """

    def __init__(self, channels: int, hidden: int | None = None, act: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        hidden = hidden or max(4, channels // 16)
        self.layers = nn.Sequential(nn.Conv2d(channels, hidden, 1), act(), nn.Conv2d(hidden, channels, 1))

    def weights(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to factors (batch, channel, 1, 1), before the sigmoid."""
        return self.layers(features.mean((2, 3), keepdim=True))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to features of the same shape."""
        return features * self.weights(features).sigmoid()


class CoordinateAttention(nn.Module):
    """Channels weighted row by row and column by column, so that where something lies is kept (Hou et al. 2021, arXiv:2103.02907, eqs. 4-8).

    Parameters
    ----------
    channels : int
    reduction : int
        Channels are squeezed to this part of them, at least eight.
    """

    def __init__(self, channels: int, reduction: int = 32) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.squeeze = nn.Sequential(nn.Conv2d(channels, hidden, 1), group_norm(hidden), nn.Hardswish())
        self.rows, self.columns = nn.Conv2d(hidden, channels, 1), nn.Conv2d(hidden, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to features of the same shape."""
        along_y, along_x = features.mean(3, keepdim=True), features.mean(2, keepdim=True).transpose(2, 3)
        both = self.squeeze(torch.cat([along_y, along_x], 2))
        y, x = both.split([features.shape[2], features.shape[3]], 2)
        return features * self.rows(y).sigmoid() * self.columns(x.transpose(2, 3)).sigmoid()


def attention_of(kind: str, channels: int) -> list[nn.Module]:
    """The module that the option ``attention`` asks for, or none; InputError for another word."""
    if kind not in ATTENTIONS:
        raise InputError(f"attention={kind!r} is none of {', '.join(ATTENTIONS)}.")
    return [] if kind == "none" else [ChannelAttention(channels) if kind == "channel" else CoordinateAttention(channels)]


class PyramidSplitAttention(nn.Module):
    """Convolutions of several sizes side by side, whose channels compete for weight by a softmax over the sizes (EPSANet: Zhang et al. 2021, arXiv:2105.14447, eqs. 3-9).

    Parameters
    ----------
    channels : int
        In and out; a multiple of the number of kernels.
    kernels, groups : sequence of int
        Size and groups of each convolution; groups that do not divide its channels are lowered until they do.
    stride : int
    reduction : int
        Of the squeeze and excitation that each size's channels go through, all with the same weights.
    """

    def __init__(self, channels: int, kernels: Sequence[int], groups: Sequence[int], stride: int = 1, reduction: int = 4) -> None:
        super().__init__()
        if channels % len(kernels):
            raise InputError(f"{channels} channels cannot be split into {len(kernels)} kernels; take a multiple.")
        part = channels // len(kernels)
        able = [max(n for n in range(1, g + 1) if channels % n == 0 and part % n == 0) for g in groups]
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, part, k, stride, k // 2, groups=g, bias=False) for k, g in zip(kernels, able, strict=True))
        self.weigh = ChannelAttention(part, max(1, part // reduction))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to features of as many channels."""
        parts = torch.stack([convolution(features) for convolution in self.convolutions], 1)
        weights = torch.stack([self.weigh.weights(part).sigmoid() for part in parts.unbind(1)], 1).softmax(1)
        return (parts * weights).flatten(1, 2)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to features of the same shape."""
        return F.layer_norm(features.movedim(1, -1), self.weight.shape, self.weight, self.bias, 1e-6).movedim(-1, 1)
