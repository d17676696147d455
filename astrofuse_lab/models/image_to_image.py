"""The encoder-decoder that makes one image of several: a layer of published networks, in which TransiNet is one row.

It gives its predictions at all scales side by side, as one vector; the head ``reconstruction`` with ``source=`` reads them as images, and the
objective ``reconstruction`` compares each scale with the truth.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrofuse_lab.errors import InputError

Shape = tuple[int, ...]
DOWN = ((64, 7, False), (128, 5, False), (256, 5, True), (512, 3, True), (512, 3, True), (1024, 3, True))
"""Of each level down: channels at width 1, kernel of the strided convolution, and whether a 3 x 3 follows it."""
UP = (512, 256, 128, 64, 32, 16)
SCALES = len(DOWN) + 1
BLOCK = 2 ** len(DOWN)
"""Sides are filled up with zeros to a multiple of this."""
SLOPE = 0.1


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.LeakyReLU(SLOPE))


class EncoderDecoder(nn.Module):
    """Down to a 64th in six steps and up again; each step up sees the step down of its size, and what was predicted one scale coarser.

    The plain form of FlowNet (Dosovitskiy et al. 2015, arXiv:1504.06852, figure 2) with one output channel and the input beside the last
    step, as in TransiNet (Sedaghat & Mahabal 2018, MNRAS 476, 5365).

    Parameters
    ----------
    channels : int
        Of the input.
    width : float
        Factor on all channels: 2 in TransiNet, 154,899,317 parameters; they grow with its square.
    """

    def __init__(self, channels: int, width: float) -> None:
        super().__init__()
        down, sizes = [], [channels]
        for size, kernel, more in DOWN:
            size = max(1, round(size * width))
            step = [_conv(sizes[-1], size, kernel, 2)] + ([_conv(size, size, 3)] if more else [])
            down.append(nn.Sequential(*step))
            sizes.append(size)
        self.down = nn.ModuleList(down)
        up, said, finer = [], [], []
        inputs = sizes[-1]
        for size, skip in zip(UP, reversed(sizes[:-1]), strict=True):
            size = max(1, round(size * width))
            said.append(nn.Conv2d(inputs, 1, 3, padding=1))
            finer.append(nn.ConvTranspose2d(1, 1, 4, 2, 1))
            up.append(nn.Sequential(nn.ConvTranspose2d(inputs, size, 4, 2, 1), nn.LeakyReLU(SLOPE)))
            inputs = skip + size + 1
        self.up, self.finer = nn.ModuleList(up), nn.ModuleList(finer)
        self.said = nn.ModuleList([*said, nn.Conv2d(inputs, 1, 3, padding=1)])
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, SLOPE)
                nn.init.zeros_(module.bias)
        for last in self.said:  # images are empty but for few pixels: begin with nothing rather than with noise
            nn.init.normal_(last.weight, std=1e-3)  # type: ignore[arg-type]

    def maps(self, x: Tensor) -> list[Tensor]:
        """(batch, channel, y, x) to seven predictions (batch, 1, y / 2^k, x / 2^k), the finest first; sides are filled up to a multiple of 64."""
        y, across = x.shape[-2:]
        x = F.pad(x, (0, -across % BLOCK, 0, -y % BLOCK))
        seen = [x]
        for down in self.down:
            seen.append(down(seen[-1]))
        now, said = seen[-1], []
        for level, up in enumerate(self.up):
            said.append(self.said[level](now))
            now = torch.cat([seen[-2 - level], up(now), self.finer[level](said[-1])], 1)
        return [self.said[-1](now), *reversed(said)]

    def forward(self, x: Tensor) -> Tensor:
        """All predictions side by side, (batch, number): the finest first."""
        return torch.cat([one.flatten(1) for one in self.maps(x)], 1)


def encoder_decoder(shape: Shape, width: float = 0.25) -> tuple[nn.Module, Shape]:
    """``["encoder_decoder", width]``: predictions at seven scales, side by side."""
    if len(shape) != 3:
        raise ValueError("an image is expected")
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width <= 4:
        raise ValueError(f"width={width!r}, a number above 0, and 4 at most, is expected")
    return EncoderDecoder(shape[0], width), (sum(y * x for y, x in scales(shape[1:], SCALES)),)


def scales(size: Any, number: int) -> list[tuple[int, int]]:
    """Sides of the predictions for an image of a size, the finest first; filled up to what can be halved so often."""
    block = 2 ** (number - 1)
    y, x = (-(-side // block) * block for side in size)
    return [(y >> k, x >> k) for k in range(number)]


def images_of(vector: Tensor, size: tuple[int, ...]) -> list[Tensor]:
    """A vector of predictions side by side, (batch, number), as images (batch, 1, y, x), the finest first, filled up as they are.

    Raises
    ------
    InputError
        Where these are no predictions for an image of this size.
    """
    for number in range(1, 12):
        sides = scales(size, number)
        if sum(y * x for y, x in sides) == vector.shape[1]:
            pieces = vector.split([y * x for y, x in sides], 1)
            return [one.view(-1, 1, *side) for one, side in zip(pieces, sides, strict=True)]
    raise InputError(f"{vector.shape[1]} numbers are no image of {size[0]} x {size[1]} at any number of scales; end the layers with ['encoder_decoder', 0.25].")
