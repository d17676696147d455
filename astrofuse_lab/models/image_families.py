"""Families of convolutional image encoders with wide filters: residual networks, pyramid split attention, inception modules.

Defaults are small, for cutouts and two processor cores; each class says which numbers give the published networks. Group
normalisation stands for batch normalisation throughout.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.image_blocks import PyramidSplitAttention, attention_of, convolved, group_norm, rows_of_sizes, sizes
from astrofuse_lab.models.image_cnn import ImageEncoder
from astrofuse_lab.models.tokens import InputLayout

BOTTLENECK = 4
"""Channels of a bottleneck block's output in channels of its middle."""


class Residual(nn.Module):
    """A branch added to its input, then an activation (He et al. 2016, CVPR, arXiv:1512.03385, eqs. 1-2).

    Parameters
    ----------
    branch : Module
    inputs, outputs, stride : int
        Where the branch changes channels or halves pixels, a 1 x 1 convolution does so to the input.
    act : bool
        Whether the activation follows.
    """

    def __init__(self, branch: nn.Module, inputs: int, outputs: int, stride: int, act: bool = True) -> None:
        super().__init__()
        self.branch = branch
        self.skip = convolved(inputs, outputs, 1, stride, act=None) if stride > 1 or inputs != outputs else nn.Identity()
        self.act = nn.ReLU() if act else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to features, fewer by the stride."""
        return self.act(self.branch(features) + self.skip(features))


def stem_of(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """The first layers of a residual network: 3 x 3 for stride 1, 7 x 7 / 2 for 2, and max pooling after it for 4."""
    if stride not in (1, 2, 4):
        raise InputError(f"stem_stride={stride}: 1 (3 x 3), 2 (7 x 7 in steps of two) or 4 (and max pooling after it).")
    first = convolved(inputs, outputs, 7 if stride > 1 else 3, min(stride, 2))
    return nn.Sequential(first, nn.MaxPool2d(3, 2, 1)) if stride == 4 else first


class ResNetEncoder(ImageEncoder):
    """Residual network (He et al. 2016, arXiv:1512.03385), of basic or bottleneck blocks.

    With ``channels=64, stem_stride=4``: ResNet-18 is ``layers=[2, 2, 2, 2]``, ResNet-34 ``[3, 4, 6, 3]``, ResNet-50
    ``[3, 4, 6, 3]`` with ``bottleneck=True``. The stride of a bottleneck is in its 3 x 3 convolution.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    channels : int
        Of the first stage; each later one has twice as many and half the pixels along each axis.
    layers : list of int
        Blocks of each stage.
    bottleneck : bool
        Blocks of 1 x 1, 3 x 3 and 1 x 1 in place of two 3 x 3 convolutions.
    stem_stride : {1, 2, 4}
        Pixels along each axis per feature of the first stage.
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
        self, layout: InputLayout, width: int, *, channels: int = 16, layers: Sequence[int] = [1, 1, 1], bottleneck: bool = False, stem_stride: int = 2,
        attention: str = "none", tokens: int = 4, crop: int = 0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        self.stem = stem_of(self.inputs, channels, stem_stride)
        block = bottleneck_block if bottleneck else basic_block
        self.trunk, outputs = stages_of(sizes("layers", layers), channels, BOTTLENECK if bottleneck else 1, lambda i, m, s: block(i, m, s, attention))
        self.read_out(outputs, stem_stride * 2 ** (len(layers) - 1), tokens, dropout)


def stages_of(layers: Sequence[int], channels: int, expansion: int, block: Callable[[int, int, int], nn.Module]) -> tuple[nn.Sequential, int]:
    """Stages of residual blocks, each stage but the first with twice the channels and half the pixels; and the channels of the last."""
    blocks, inputs = [], channels
    for stage, count in enumerate(layers):
        middle = channels * 2**stage
        for i in range(count):
            stride = 2 if i == 0 and stage > 0 else 1
            blocks.append(Residual(block(inputs, middle, stride), inputs, expansion * middle, stride))
            inputs = expansion * middle
    return nn.Sequential(*blocks), inputs


def basic_block(inputs: int, middle: int, stride: int, attention: str) -> nn.Sequential:
    """Two 3 x 3 convolutions."""
    return nn.Sequential(convolved(inputs, middle, 3, stride), convolved(middle, middle, 3, act=None), *attention_of(attention, middle))


def bottleneck_block(inputs: int, middle: int, stride: int, attention: str, between: nn.Module | None = None) -> nn.Sequential:
    """1 x 1, 3 x 3 (or the module given in its place), 1 x 1."""
    outputs = BOTTLENECK * middle
    seen = convolved(middle, middle, 3, stride) if between is None else nn.Sequential(between, group_norm(middle), nn.ReLU())
    return nn.Sequential(convolved(inputs, middle, 1), seen, convolved(middle, outputs, 1, act=None), *attention_of(attention, outputs))


class EpsaEncoder(ImageEncoder):
    """Residual network with pyramid split attention in place of each bottleneck's 3 x 3 convolution (Zhang et al. 2021, arXiv:2105.14447).

    EPSANet-50 (small) is ``channels=64, layers=[3, 4, 6, 3], stem_stride=4, reduction=16``.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    channels : int
        Of the first stage's middle; each later one has twice as many and half the pixels along each axis.
    layers : list of int
        Blocks of each stage.
    kernels, groups : list of int
        Size and groups of the convolutions side by side; their number divides the channels.
    reduction : int
        Of the squeeze and excitation of each size.
    stem_stride : {1, 2, 4}
        Pixels along each axis per feature of the first stage.
    tokens : int
        Cells along each axis, at most.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    dropout : float
        Share of feature channels set to zero while training.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, channels: int = 16, layers: Sequence[int] = [1, 1, 1], kernels: Sequence[int] = [3, 5, 7, 9],
        groups: Sequence[int] = [1, 4, 8, 16], reduction: int = 2, stem_stride: int = 2, tokens: int = 4, crop: int = 0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        side = sizes("kernels", kernels)
        if any(n % 2 == 0 for n in side):
            raise InputError(f"kernels={side}: odd numbers, so that each convolution has a middle.")
        apart = sizes("groups", groups, len(side))
        self.stem = stem_of(self.inputs, channels, stem_stride)

        def block(inputs: int, middle: int, stride: int) -> nn.Module:
            return bottleneck_block(inputs, middle, stride, "none", PyramidSplitAttention(middle, side, apart, stride, reduction))

        self.trunk, outputs = stages_of(sizes("layers", layers), channels, BOTTLENECK, block)
        self.read_out(outputs, stem_stride * 2 ** (len(layers) - 1), tokens, dropout)


INCEPTION = ("1 x 1", "3 x 3 reduced", "3 x 3", "5 x 5 reduced", "5 x 5", "pooled")
"""The numbers of an inception module, as the paper's table 1 has them."""


class InceptionModule(nn.Module):
    """Convolutions of 1 x 1, 3 x 3 and 5 x 5 and max pooling side by side (Szegedy et al. 2015, arXiv:1409.4842, fig. 2b).

    Parameters
    ----------
    inputs : int
    row : sequence of int
        Channels, see `INCEPTION`.
    attention : str
    """

    def __init__(self, inputs: int, row: Sequence[int], attention: str) -> None:
        super().__init__()
        one, less3, three, less5, five, pooled = row
        self.branches = nn.ModuleList([
            convolved(inputs, one, 1),
            nn.Sequential(convolved(inputs, less3, 1), convolved(less3, three, 3)),
            nn.Sequential(convolved(inputs, less5, 1), convolved(less5, five, 5)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), convolved(inputs, pooled, 1)),
        ])  # fmt: skip
        self.outputs = one + three + five + pooled
        self.weigh = nn.Sequential(*attention_of(attention, self.outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to features of as many pixels."""
        return self.weigh(torch.cat([branch(features) for branch in self.branches], 1))


class InceptionEncoder(ImageEncoder):
    """Inception modules after a stem of three convolutions: GoogLeNet (Szegedy et al. 2015, arXiv:1409.4842).

    GoogLeNet is ``stem=[64, 64, 192]``, ``modules`` the nine rows of its table 1, and ``pools=[2, 7]``: max pooling before
    modules 4a and 5a. Departures: normalisation (as in its successor), no auxiliary outputs.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    stem : list of int
        Channels of the convolutions of 7 x 7 / 2, 1 x 1 and 3 x 3.
    modules : list of lists of int
        Channels of each module: 1 x 1, 3 x 3 reduced, 3 x 3, 5 x 5 reduced, 5 x 5, pooled.
    pools : list of int
        Before which modules, from 0, max pooling halves the pixels along each axis.
    stem_stride : {2, 4, 8}
        Pixels along each axis per feature of the first module: 8 is max pooling on both sides of the stem's last two
        convolutions (GoogLeNet), 4 after them only, 2 none.
    attention : {"none", "channel", "coordinate"}
        What weighs the channels of each module.
    tokens : int
        Cells along each axis, at most.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    dropout : float
        Share of feature channels set to zero while training.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, stem: Sequence[int] = [8, 8, 24],
        modules: Sequence[Any] = [[8, 12, 16, 4, 8, 8], [16, 16, 32, 4, 8, 8], [16, 24, 32, 8, 16, 16]], pools: Sequence[int] = [2], stem_stride: int = 4,
        attention: str = "none", tokens: int = 4, crop: int = 0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        rows = rows_of_sizes("modules", modules, INCEPTION)
        before = sizes("pools", pools, least=0)
        if stem_stride not in (2, 4, 8) or max(before) >= len(rows):
            raise InputError(f"stem_stride={stem_stride}, pools={before}: stem_stride is 2, 4 or 8, and pools are numbers of modules, 0 to {len(rows) - 1}.")
        first, second, inputs = sizes("stem", stem, 3)
        halve = [[nn.MaxPool2d(3, 2, 1)] if stem_stride >= least else [] for least in (8, 4)]
        self.stem = nn.Sequential(convolved(self.inputs, first, 7, 2), *halve[0], convolved(first, second, 1), convolved(second, inputs, 3), *halve[1])
        layers: list[nn.Module] = []
        for i, row in enumerate(rows):
            layers += [nn.MaxPool2d(3, 2, 1)] * (i in before)
            module = InceptionModule(inputs, row, attention)
            layers.append(module)
            inputs = module.outputs
        self.trunk = nn.Sequential(*layers)
        self.read_out(inputs, stem_stride * 2 ** len(set(before)), tokens, dropout)
