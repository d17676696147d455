"""Layers of deep convolutional networks: padding, stages of bottlenecks (ResNet), dense blocks and transitions (DenseNet).

Each is one row of a list of layers, so that ResNet50 and DenseNet121 of published systems are ten rows; see `astrofuse_lab.models.layers`.
"""

from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]
Made = tuple[nn.Module, Shape]
EPSILON = 1.001e-5
"""Of the batch normalisation of DenseNet, as Keras has it."""


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1, each normalised, added to the input (He et al. 2016, arXiv:1512.03385, figure 5).

    Parameters
    ----------
    inputs, inner, outputs : int
        Channels.
    stride : int
        Of the first 1 x 1, as in the first release of that paper and in Keras' examples.
    projected : bool
        The input passes through a normalised 1 x 1 before it is added: needed where the shape changes.
    momentum : float
        Share of the new batch in the running mean.
    """

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, projected: bool, momentum: float) -> None:
        super().__init__()

        def normed(*conv: Any, **options: Any) -> list[nn.Module]:
            return [nn.Conv2d(*conv, **options), nn.BatchNorm2d(conv[1], eps=1e-3, momentum=momentum)]

        self.main = nn.Sequential(
            *normed(inputs, inner, 1, stride=stride), nn.ReLU(), *normed(inner, inner, 3, padding=1), nn.ReLU(), *normed(inner, outputs, 1)
        )
        self.short = nn.Sequential(*normed(inputs, outputs, 1, stride=stride)) if projected else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, y, x) to (batch, outputs, y / stride, x / stride)."""
        return (self.short(x) + self.main(x)).relu()


class DenseBlock(nn.Module):
    """Layers of which each sees what all before it gave (Huang et al. 2017, arXiv:1608.06993, equation 2): 1 x 1 to 4 x growth, 3 x 3 to growth.

    Parameters
    ----------
    inputs, number, growth : int
        Channels, layers, and channels that each adds.
    momentum : float
    """

    def __init__(self, inputs: int, number: int, growth: int, momentum: float) -> None:
        super().__init__()

        def grown(channels: int) -> nn.Module:
            return nn.Sequential(
                nn.BatchNorm2d(channels, eps=EPSILON, momentum=momentum), nn.ReLU(), nn.Conv2d(channels, 4 * growth, 1, bias=False),
                nn.BatchNorm2d(4 * growth, eps=EPSILON, momentum=momentum), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
            )  # fmt: skip

        self.layers = nn.ModuleList(grown(inputs + i * growth) for i in range(number))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, y, x) to (batch, inputs + number x growth, y, x)."""
        for one in self.layers:
            x = torch.cat([x, one(x)], 1)
        return x


def _image(shape: Shape) -> None:
    if len(shape) != 3:
        raise ValueError("an image is expected")


def _whole(value: Any, what: str, low: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{what}={value!r}, a whole number from {low} is expected")
    return value


def pad(shape: Shape, border: int) -> Made:
    """``["pad", border]``: zeros around an image."""
    _image(shape)
    border = _whole(border, "border", 0)
    return nn.ZeroPad2d(border), (shape[0], *(side + 2 * border for side in shape[1:]))


def residual_stage(shape: Shape, inner: int, outputs: int, blocks: int, stride: int = 1, momentum: float = 0.1) -> Made:
    """``["residual_stage", inner, outputs, blocks, stride, momentum]``: bottlenecks, the first projected and strided."""
    _image(shape)
    inner, outputs, stride = _whole(inner, "inner"), _whole(outputs, "outputs"), _whole(stride, "stride")
    first = Bottleneck(shape[0], inner, outputs, stride, True, momentum)
    others = [Bottleneck(outputs, inner, outputs, 1, False, momentum) for _ in range(_whole(blocks, "blocks") - 1)]
    return nn.Sequential(first, *others), (outputs, *((side - 1) // stride + 1 for side in shape[1:]))


def dense_block(shape: Shape, number: int, growth: int, momentum: float = 0.1) -> Made:
    """``["dense_block", number, growth, momentum]``."""
    _image(shape)
    number, growth = _whole(number, "number"), _whole(growth, "growth")
    return DenseBlock(shape[0], number, growth, momentum), (shape[0] + number * growth, *shape[1:])


def transition(shape: Shape, share: float = 0.5, momentum: float = 0.1) -> Made:
    """``["transition", share, momentum]``: that share of the channels, by 1 x 1, and half the sides, by averaging."""
    _image(shape)
    if not 0 < share <= 1:
        raise ValueError(f"share={share!r}, a number above 0, and 1 at most, is expected")
    channels = int(shape[0] * share)
    made = nn.Sequential(
        nn.BatchNorm2d(shape[0], eps=EPSILON, momentum=momentum), nn.ReLU(), nn.Conv2d(shape[0], channels, 1, bias=False), nn.AvgPool2d(2)
    )
    return made, (channels, *(side // 2 for side in shape[1:]))
