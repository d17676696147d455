"""How sequences become tokens: epochs one by one, pixels and samples in patches; and in which order recurrent encoders read them."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.models.encoder import Encoder, cells, one_each, place_of
from astrofuse_lab.models.tokens import InputLayout, Tokens
from astrofuse_lab.models.transformer import TimeEncoding

AXES = {"spectrum": ("pixel",), "series": ("sample",), "image": ("y", "x")}


class Patches(nn.Module):
    """Ranges of a spectrum or series, or squares of an image, to tokens: one linear map of the values and the mask in each, and its position.

    The patch embedding of Dosovitskiy et al. 2021 (arXiv:2010.11929), in one dimension or two.

    Parameters
    ----------
    layout : InputLayout
        Shape (pixel,), (channel, sample) or (band, y, x).
    width : int
    patch : int
        Pixels of a patch along each axis; the last patch may be shorter.
    """

    box: Tensor

    def __init__(self, layout: InputLayout, width: int, patch: int) -> None:
        super().__init__()
        channels, sides = (1, layout.shape) if len(layout.shape) == 1 else (layout.shape[0], layout.shape[1:])
        self.sides = sides
        self.patch = tuple(min(patch, side) for side in sides)
        self.count = tuple(-(-side // size) for side, size in zip(sides, self.patch, strict=True))
        self.axes = AXES[layout.kind]
        self.embed = nn.Linear(2 * channels * math.prod(self.patch), width)
        self.position = nn.Parameter(0.02 * torch.randn(math.prod(self.count), width))
        self.register_buffer("box", self._boxes(), persistent=False)

    def _boxes(self) -> Tensor:
        ranges = []
        for side, size, count in zip(self.sides, self.patch, self.count, strict=True):
            begin = torch.arange(count) * size
            ranges.append(torch.stack([begin, (begin + size).clamp(max=side)], 1))
        if len(ranges) == 1:
            return ranges[0]
        rows, columns = ranges
        return torch.cat([rows.repeat_interleave(len(columns), 0), columns.repeat(len(rows), 1)], 1)

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Values and mask (batch, channel, ...) or (batch, pixel) to tokens (batch, token, width) and where any of them is real."""
        if values.ndim == 2:
            values, mask = values[:, None], mask[:, None]
        # every sum below is over numbers that are there: what is masked is zero, whatever it was
        both = self._cut(torch.stack([values.masked_fill(~mask, 0.0), mask.to(values.dtype)], 2))
        return self.embed(both.flatten(2)) + self.position, both[..., 1, :].flatten(2).any(2)

    def _cut(self, both: Tensor) -> Tensor:
        """(batch, channel, 2, side...) to (batch, token, channel, 2, pixel)."""
        short = [count * size - side for side, size, count in zip(self.sides, self.patch, self.count, strict=True)]
        if any(short):
            both = F.pad(both, [n for missing in reversed(short) for n in (0, missing)])
        if len(self.sides) == 1:
            return both.unflatten(-1, (self.count[0], self.patch[0])).permute(0, 3, 1, 2, 4)
        cut = both.unflatten(-1, (self.count[1], self.patch[1])).unflatten(-3, (self.count[0], self.patch[0]))
        return cut.permute(0, 3, 5, 1, 2, 4, 6).flatten(5).flatten(1, 2)


class Epochs(nn.Module):
    """Epochs of a light curve to tokens: what was measured, when, and in an ordered reading how long after the one before.

    Parameters
    ----------
    layout : InputLayout
        Shape (channel,): days, flux, log error, upper limit, one-hot bands.
    width : int
    gaps : bool
        With the days since the epoch before as one more input, as a logarithm.
    """

    def __init__(self, layout: InputLayout, width: int, gaps: bool) -> None:
        super().__init__()
        self.gaps = gaps
        self.measurement = nn.Sequential(nn.Linear(layout.shape[0] - 1 + gaps, width), nn.GELU(), nn.Linear(width, width))
        self.time = TimeEncoding(width)

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Values (batch, epoch, channel) and mask (batch, epoch) to tokens (batch, epoch, width) and the mask."""
        values = values.masked_fill(~mask[..., None], 0.0)
        inputs = values[..., 1:]
        if self.gaps:
            inputs = torch.cat([inputs, days_between(values[..., 0], mask).log1p()[..., None]], -1)
        return self.measurement(inputs) + self.time(values[..., 0]), mask


def days_between(days: Tensor, mask: Tensor) -> Tensor:
    """Days since the epoch before, (batch, epoch), of epochs in order of time; zero for the first and where masked."""
    gap = torch.diff(days, dim=1, prepend=days[:, :1])
    return gap.clamp(min=0).masked_fill(~mask, 0.0)


def reading_order(values: Tensor, mask: Tensor, kind: str) -> Tensor:
    """Positions (batch, token) that put what is real first: epochs in order of time, ranges in order of their axis.

    Epochs of the same time are ordered by band and flux, so that no order of storage shows.
    """
    if kind != "light_curve":
        return (~mask).to(torch.int8).argsort(dim=1, stable=True)
    order = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    band = values[..., 4:] @ torch.arange(values.shape[-1] - 4, device=values.device, dtype=values.dtype)
    for key in (values[..., 1], band, values[..., 0]):
        key = torch.where(mask, key, torch.inf).gather(1, order)
        order = order.gather(1, key.argsort(dim=1, stable=True))
    return order


def in_order(tokens: Tensor, order: Tensor) -> Tensor:
    """Tokens (batch, token, ...) taken in an order (batch, token)."""
    return tokens.gather(1, order.view(*order.shape, *[1] * (tokens.ndim - 2)).expand(-1, -1, *tokens.shape[2:]))


class Cells(nn.Module):
    """Means over neighbouring tokens, so that a long axis gives few.

    Parameters
    ----------
    box : int Tensor, (token, 2)
        Where the tokens lie.
    count : int
        Cells, at most.
    """

    share: Tensor
    box: Tensor

    def __init__(self, box: Tensor, count: int) -> None:
        super().__init__()
        bounds, count = cells(len(box), 1, count)
        index = torch.arange(len(box))
        self.register_buffer("share", ((index >= bounds[:, :1]) & (index < bounds[:, 1:])).float(), persistent=False)
        self.register_buffer("box", torch.stack([box[bounds[:, 0], 0], box[bounds[:, 1] - 1, 1]], 1), persistent=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (batch, token, width) and their mask to cells and theirs; a cell is the mean of its real tokens."""
        real = mask.to(tokens.dtype)
        total = real @ self.share.T.to(tokens.dtype)
        mean = (self.share.to(tokens.dtype) @ (tokens * real[..., None])) / total.clamp(min=1)[..., None]
        return mean, total > 0


class SequenceEncoder(Encoder):
    """Base of encoders that embed a sequence, mix its tokens in `mix`, and give one an epoch or one a cell of the axis.

    Parameters
    ----------
    layout : InputLayout
    width : int
    patch : int
        Pixels or samples of a token before mixing; an epoch of a light curve is always a token.
    tokens : int
        Cells of a spectrum or series that are given to fusion, at most; images give every patch.
    ordered : bool
        `mix` is given real tokens first, in order of time or axis, and masked ones after them.
    """

    def __init__(self, layout: InputLayout, width: int, patch: int, tokens: int, ordered: bool = False) -> None:
        super().__init__(layout, width)
        self.ordered = ordered
        self.embed: Patches | Epochs = Epochs(layout, width, ordered) if layout.kind == "light_curve" else Patches(layout, width, patch)
        pooled = isinstance(self.embed, Patches) and len(self.embed.axes) == 1 and len(self.embed.box) > tokens
        self.cells = Cells(self.embed.box, tokens) if pooled and isinstance(self.embed, Patches) else None
        self.norm = nn.LayerNorm(width)

    def mix(self, tokens: Tensor, mask: Tensor, days: Tensor | None, maps: list[Tensor] | None) -> Tensor:
        """Tokens (batch, token, width) to as many; `days` (batch, token) are the times of a light curve's epochs."""
        raise NotImplementedError

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask by kind to one token an epoch, a cell of the axis or a patch of an image."""
        tokens, seen, days, order = self.read(values, mask)
        tokens = self.mix(tokens, seen, days, maps)
        if order is not None:
            back = order.argsort(1)
            tokens, seen = in_order(tokens, back), in_order(seen, back)
            days = None if days is None else in_order(days, back)
        told = {}
        if self.cells is not None:
            tokens, seen = self.cells(tokens, seen)
            if maps and isinstance(self.embed, Patches):
                told = {"keys": [self.embed.box] * len(maps)}  # attention was between the finer ones
        return Tokens(self.norm(tokens), seen, {**self.place(days), **told})

    def read(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Embedded tokens and their mask, days of epochs, and the order they were put in; the last two only where there are such."""
        if isinstance(self.embed, Patches):
            tokens, seen = self.embed(values, mask)
            if not self.ordered:
                return tokens, seen, None, None
            first = reading_order(tokens, seen, self.layout.kind)
            return in_order(tokens, first), in_order(seen, first), None, first
        values = values.masked_fill(~mask[..., None], 0.0)
        order = reading_order(values, mask, self.layout.kind) if self.ordered else None
        if order is not None:
            values, mask = in_order(values, order), in_order(mask, order)
        tokens, seen = self.embed(values, mask)
        return tokens, seen, values[..., 0], order

    def place(self, days: Tensor | None) -> dict[str, Any]:
        """Where the tokens that are given lie; `days` (batch, epoch) of a light curve, as it was stored."""
        if isinstance(self.embed, Patches):
            return place_of(self.embed.axes, self.embed.box if self.cells is None else self.cells.box)
        assert days is not None
        return {**one_each("epoch", days.shape[1]), "coordinates": {"time": days}}
