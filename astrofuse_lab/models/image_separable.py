"""Families of convolutional image encoders with depthwise filters: Xception, EfficientNet, ConvNeXt.

A depthwise convolution looks around in each channel by itself; 1 x 1 convolutions then mix channels. Defaults are small; each
class says which numbers give the published networks. Group or layer normalisation stands for batch normalisation.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.models.image_blocks import ChannelAttention, ChannelNorm, attention_of, convolved, group_norm, rows_of_sizes, sizes
from astrofuse_lab.models.image_cnn import ImageEncoder
from astrofuse_lab.models.image_families import Residual
from astrofuse_lab.models.tokens import InputLayout


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """A depthwise separable convolution: 3 x 3 in each channel, then 1 x 1 across them, then normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False), nn.Conv2d(inputs, outputs, 1, bias=False), group_norm(outputs))


def _halved(inputs: int, between: int, outputs: int, attention: str, first: bool = False) -> Residual:
    """Two separable convolutions and max pooling, added to a strided 1 x 1 convolution."""
    begin = [] if first else [nn.ReLU()]
    branch = [*begin, separable(inputs, between), nn.ReLU(), separable(between, outputs), *attention_of(attention, outputs), nn.MaxPool2d(3, 2, 1)]
    return Residual(nn.Sequential(*branch), inputs, outputs, 2, act=False)


class XceptionEncoder(ImageEncoder):
    """Depthwise separable convolutions with residual connections: Xception (Chollet 2017, arXiv:1610.02357, fig. 5).

    Xception is ``stem=[32, 64], entry=[128, 256, 728], middle=8, leave=[1024, 1536, 2048]``.
    Departure: the first two convolutions, too, pad their borders.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    stem : list of int
        Channels of the two plain convolutions; the first halves the pixels along each axis.
    entry : list of int
        Channels of the entry flow's blocks, each of which halves them again.
    middle : int
        Blocks of three separable convolutions in the middle flow.
    leave : list of int
        Channels of the exit flow: of the last halving block, and of two more separable convolutions.
    attention : {"none", "channel", "coordinate"}
        What weighs the channels of each block before they are added.
    tokens : int
        Cells along each axis, at most.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    dropout : float
        Share of feature channels set to zero while training.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, stem: Sequence[int] = [12, 24], entry: Sequence[int] = [48], middle: int = 1,
        leave: Sequence[int] = [64, 64, 96], attention: str = "none", tokens: int = 4, crop: int = 0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        first, inputs = sizes("stem", stem, 2)
        self.stem = nn.Sequential(convolved(self.inputs, first, 3, 2), convolved(first, inputs, 3))
        blocks: list[nn.Module] = []
        for i, outputs in enumerate(sizes("entry", entry)):
            blocks.append(_halved(inputs, outputs, outputs, attention, first=i == 0))
            inputs = outputs
        for _ in range(middle):
            three = [layer for _ in range(3) for layer in (nn.ReLU(), separable(inputs, inputs))]
            blocks.append(Residual(nn.Sequential(*three, *attention_of(attention, inputs)), inputs, inputs, 1, act=False))
        last, beyond, outputs = sizes("leave", leave, 3)
        blocks.append(_halved(inputs, inputs, last, attention))
        self.trunk = nn.Sequential(*blocks, separable(last, beyond), nn.ReLU(), separable(beyond, outputs), nn.ReLU())
        self.read_out(outputs, 2 ** (2 + len(list(entry))), tokens, dropout)


class InvertedBottleneck(nn.Module):
    """1 x 1 to more channels, depthwise convolution, attention, 1 x 1 to few channels, added to the input where shapes allow (MBConv: Sandler et al. 2018, arXiv:1801.04381).

    Parameters
    ----------
    inputs, outputs : int
    expand : int
        Channels in between, in inputs.
    kernel, stride : int
    attention : str
        ``"channel"`` is squeeze and excitation through a quarter of the inputs, as in EfficientNet.
    """

    def __init__(self, inputs: int, outputs: int, expand: int, kernel: int, stride: int, attention: str) -> None:
        super().__init__()
        middle = expand * inputs
        wide = [convolved(inputs, middle, 1, act=nn.SiLU)] if expand > 1 else []
        weigh = [ChannelAttention(middle, max(1, inputs // 4), nn.SiLU)] if attention == "channel" else attention_of(attention, middle)
        self.layers = nn.Sequential(*wide, convolved(middle, middle, kernel, stride, middle, nn.SiLU), *weigh, convolved(middle, outputs, 1, act=None))
        self.added = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to features, fewer by the stride."""
        out = self.layers(features)
        return out + features if self.added else out


MBCONV = ("expansion", "channels", "layers", "stride", "kernel")
"""The numbers of an EfficientNet stage."""


class EfficientNetEncoder(ImageEncoder):
    """Inverted bottlenecks with squeeze and excitation: EfficientNet (Tan & Le 2019, arXiv:1905.11946).

    B0 is ``stem=32, head=1280`` and ``stages=[[1, 16, 1, 1, 3], [6, 24, 2, 2, 3], [6, 40, 2, 2, 5], [6, 80, 3, 2, 3],
    [6, 112, 3, 1, 5], [6, 192, 4, 2, 5], [6, 320, 1, 1, 3]]``, its table 1. No stochastic depth.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    stem : int
        Channels of the first convolution, which halves the pixels along each axis.
    stages : list of lists of int
        Of each stage: expansion, channels, layers, stride of its first layer, kernel.
    head : int
        Channels of the last 1 x 1 convolution.
    attention : {"channel", "coordinate", "none"}
        What weighs the channels in the middle of each block.
    tokens : int
        Cells along each axis, at most.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    dropout : float
        Share of feature channels set to zero while training.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, stem: int = 16, stages: Sequence[Any] = [[1, 16, 1, 1, 3], [4, 24, 1, 2, 3], [4, 40, 1, 2, 5]], head: int = 96,
        attention: str = "channel", tokens: int = 4, crop: int = 0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        self.stem = convolved(self.inputs, stem, 3, 2, act=nn.SiLU)
        blocks: list[nn.Module] = []
        inputs, stride = stem, 2
        for expand, outputs, count, step, kernel in rows_of_sizes("stages", stages, MBCONV):
            for i in range(count):
                blocks.append(InvertedBottleneck(inputs, outputs, expand, kernel, step if i == 0 else 1, attention))
                inputs = outputs
            stride *= step
        self.trunk = nn.Sequential(*blocks, convolved(inputs, head, 1, act=nn.SiLU))
        self.read_out(head, stride, tokens, dropout)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7 x 7, layer normalisation, an MLP over the channels, times a learned factor, added (Liu et al. 2022, arXiv:2201.03545, fig. 4).

    Parameters
    ----------
    channels : int
    attention : str
    """

    def __init__(self, channels: int, attention: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels), ChannelNorm(channels), nn.Conv2d(channels, 4 * channels, 1), nn.GELU(),
            nn.Conv2d(4 * channels, channels, 1), *attention_of(attention, channels),
        )  # fmt: skip
        # the paper begins at 1e-6, which very deep networks need; few layers and few steps would hardly leave it
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.1))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to features of the same shape."""
        return features + self.scale * self.layers(features)


class ConvNeXtEncoder(ImageEncoder):
    """Convolutions in the manner of transformers: ConvNeXt (Liu et al. 2022, arXiv:2201.03545).

    ConvNeXt-T is ``patch=4, channels=[96, 192, 384, 768], layers=[3, 3, 9, 3]``. No stochastic depth. Images are widened by missing
    pixels until their sides are multiples of the network's stride.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    patch : int
        Side of the squares that the stem cuts an image into, pixels.
    channels, layers : list of int
        Of each stage: channels and blocks. Each stage but the first halves the features along each axis.
    attention : {"none", "channel", "coordinate"}
        What weighs the channels of each block.
    tokens : int
        Cells along each axis, at most.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    dropout : float
        Share of feature channels set to zero while training.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, patch: int = 4, channels: Sequence[int] = [24, 48], layers: Sequence[int] = [1, 1], attention: str = "none",
        tokens: int = 4, crop: int = 0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        wide = sizes("channels", channels)
        self.multiple = patch * 2 ** (len(wide) - 1)
        self.stem = nn.Sequential(nn.Conv2d(self.inputs, wide[0], patch, patch), ChannelNorm(wide[0]))
        blocks: list[nn.Module] = []
        for stage, count in enumerate(sizes("layers", layers, len(wide))):
            if stage > 0:
                blocks += [ChannelNorm(wide[stage - 1]), nn.Conv2d(wide[stage - 1], wide[stage], 2, 2)]
            blocks += [ConvNeXtBlock(wide[stage], attention) for _ in range(count)]
        self.trunk = nn.Sequential(*blocks, ChannelNorm(wide[-1]))
        self.read_out(wide[-1], self.multiple, tokens, dropout)
