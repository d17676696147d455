"""What all convolutional encoders of images share, and the two plainest of them: LeNet-5 and the VGG type.

An image goes through a stem and a trunk; the features are averaged in cells of the sky, projected to the tokens' width,
given a learned position and normalised. Masks are further channels beside values that are zero where masked.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import FeatureDropout
from astrofuse_lab.models.encoder import Encoder, cells, place_of
from astrofuse_lab.models.image_blocks import attention_of, group_norm, sizes
from astrofuse_lab.models.rings import RadialProfile
from astrofuse_lab.models.tokens import InputLayout, Tokens


class ImageEncoder(Encoder):
    """Base of the convolutional encoders of images: pixels in, one token a cell of the sky out.

    A subclass makes ``stem`` and ``trunk`` (or overrides `features`), then calls `read_out`.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.

    Attributes
    ----------
    inputs : int
        Channels that the stem reads: bands and their masks.
    multiple : int
        Images are widened by missing pixels, below and on the right, to a multiple of this.
    """

    kinds = ("image",)
    multiple = 1
    box: Tensor
    stem: nn.Module
    trunk: nn.Module
    project: nn.Module

    def __init__(self, layout: InputLayout, width: int, crop: int = 0) -> None:
        super().__init__(layout, width)
        bands, *sides = layout.shape
        self.height, self.breadth = (min(crop, side) if crop else side for side in sides)
        self.top, self.left = (sides[0] - self.height) // 2, (sides[1] - self.breadth) // 2
        self.window = (..., slice(self.top, self.top + self.height), slice(self.left, self.left + self.breadth))
        self.inputs = 2 * bands
        self.profile: RadialProfile | None = None

    def lay_cells(self, stride: int, tokens: int) -> None:
        """Lay at most ``tokens`` x ``tokens`` cells over features that are squares of ``stride`` pixels."""
        (rows, self.rows), (columns, self.columns) = cells(self.height, stride, tokens), cells(self.breadth, stride, tokens)
        self.stride = stride
        box = torch.cat([rows.repeat_interleave(self.columns, 0) + self.top, columns.repeat(self.rows, 1) + self.left], 1)
        self.register_buffer("box", box, persistent=False)

    def read_out(self, channels: int, stride: int, tokens: int, dropout: float) -> None:
        """Make what turns features, one a square of ``stride`` pixels, into at most ``tokens`` x ``tokens`` tokens."""
        self.lay_cells(stride, tokens)
        self.project = nn.Sequential(FeatureDropout(dropout), nn.Linear(channels, self.width))
        self.position = nn.Parameter(0.02 * torch.randn(self.rows * self.columns, self.width))
        self.norm = nn.LayerNorm(self.width)

    def features(self, inputs: Tensor) -> Tensor:
        """Values and masks (batch, 2 * band, y, x) to (batch, channel, y / stride, x / stride), rounded up."""
        return self.trunk(self.stem(inputs))

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask (batch, band, y, x) to ``rows * columns`` tokens, row by row."""
        values, mask = values[self.window], mask[self.window]
        inputs, real = self.look(values, mask)
        features = self.features(inputs)
        features = F.adaptive_avg_pool2d(features, (self.rows, self.columns)).flatten(2).transpose(1, 2)
        tokens = self.project(features) + self.position
        if self.profile is not None:
            tokens = tokens + self.profile(values, mask)[:, None]
        return Tokens(self.norm(tokens), self.seen(real), place_of(("y", "x"), self.box))

    def look(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the network reads, (batch, 2 * band, y, x), widened to a multiple; and the mask as ones and zeros, not widened."""
        real = mask.to(values.dtype)
        inputs = torch.cat([values.masked_fill(~mask, 0.0), real], 1)
        if self.multiple > 1:
            inputs = F.pad(inputs, (0, -self.breadth % self.multiple, 0, -self.height % self.multiple))
        return inputs.contiguous(memory_format=torch.channels_last), real

    def seen(self, real: Tensor) -> Tensor:
        """Which cells have a good pixel in any band: (batch, band, y, x) of ones and zeros to bool (batch, cell)."""
        squares = F.max_pool2d(real.amax(1, keepdim=True), self.stride, self.stride, ceil_mode=True)
        return F.adaptive_max_pool2d(squares, (self.rows, self.columns)).flatten(1) > 0


class Subsampling(nn.Module):
    """Averages of 2 x 2 pixels times a learned factor plus a learned number, a channel each (LeCun et al. 1998, layers S2 and S4).

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2, ceil_mode=True)
        self.scale, self.shift = nn.Parameter(torch.ones(channels, 1, 1)), nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, y, x) to half of the pixels along each axis, rounded up."""
        return self.pool(features) * self.scale + self.shift


class ScaledTanh(nn.Module):
    """1.7159 tanh(2/3 x), whose gain is one for inputs of order one (LeCun et al. 1998, appendix A)."""

    def forward(self, features: Tensor) -> Tensor:
        """Any shape to the same."""
        return 1.7159 * torch.tanh(features * (2 / 3))


class LeNet5Encoder(ImageEncoder):
    """LeNet-5 (LeCun et al. 1998, Proc. IEEE 86, 2278): two convolutions of 5 x 5 with subsampling, a third over what is left.

    With ``width=84`` the projection is its layer F6. Departures: all maps of C3 see all of S2, borders are padded so that small
    images work, the third convolution is averaged in cells where the image is larger than 32 pixels.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    channels : list of int
        Maps of the layers C1, C3 and C5.
    attention : {"none", "channel", "coordinate"}
        What weighs the channels after C3.
    tokens : int
        Cells along each axis, at most.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    dropout : float
        Share of feature channels set to zero while training.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, channels: Sequence[int] = [6, 16, 120], attention: str = "none", tokens: int = 4, crop: int = 0,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        first, second, third = sizes("channels", channels, 3)
        self.stem = nn.Sequential(nn.Conv2d(self.inputs, first, 5, padding=2), ScaledTanh(), Subsampling(first), ScaledTanh())
        self.trunk = nn.Sequential(
            nn.Conv2d(first, second, 5, padding=2), ScaledTanh(), *attention_of(attention, second), Subsampling(second), ScaledTanh(),
            nn.Conv2d(second, third, 5, padding=2), ScaledTanh(),
        )  # fmt: skip
        self.read_out(third, 4, tokens, dropout)


class VggEncoder(ImageEncoder):
    """Stages of 3 x 3 convolutions, each stage ended by max pooling (Simonyan & Zisserman 2015, arXiv:1409.1556).

    VGG-16 is ``channels=[64, 128, 256, 512, 512], layers=[2, 2, 3, 3, 3], pools=[2, 2, 2, 2, 2], norm=False``; the VGG6 of braai
    (Duev et al. 2019, arXiv:1907.11259) ``channels=[16, 32], layers=[2, 2], pools=[2, 4], norm=False``. Departures: borders are
    padded, and the projection of cells takes the place of the wide dense layers.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    channels, layers, pools : list of int
        Of each stage: channels, convolutions, and the side of the max pooling.
    norm : bool
        Group normalisation after each convolution.
    attention : {"none", "channel", "coordinate"}
        What weighs the channels at the end of each stage.
    tokens : int
        Cells along each axis, at most.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    dropout : float
        Share of feature channels set to zero while training.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, channels: Sequence[int] = [16, 32], layers: Sequence[int] = [2, 2], pools: Sequence[int] = [2, 4],
        norm: bool = True, attention: str = "none", tokens: int = 4, crop: int = 0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        wide = sizes("channels", channels)
        stages, stride, inputs = [], 1, self.inputs
        for outputs, count, pool in zip(wide, sizes("layers", layers, len(wide)), sizes("pools", pools, len(wide)), strict=True):
            stages.append(self._stage(inputs, outputs, count, norm, attention, pool))
            inputs, stride = outputs, stride * pool
        if stride > 64:
            raise InputError(f"pools={list(pools)} leave one feature a square of {stride} pixels; at most 64.")
        self.stem, self.trunk = stages[0], nn.Sequential(*stages[1:])
        self.read_out(inputs, stride, tokens, dropout)

    @staticmethod
    def _stage(inputs: int, outputs: int, count: int, norm: bool, attention: str, pool: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i in range(count):
            layers += [nn.Conv2d(inputs if i == 0 else outputs, outputs, 3, padding=1), *([group_norm(outputs)] if norm else []), nn.ReLU()]
        return nn.Sequential(*layers, *attention_of(attention, outputs), nn.MaxPool2d(pool, ceil_mode=True))
