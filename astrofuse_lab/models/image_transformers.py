"""Transformers of images: patches that all see each other (ViT), and windows that shift from layer to layer (Swin).

A patch without a good pixel is seen by no other. Images are widened by missing pixels until patches fill them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import TransformerLayer, tell_gradient
from astrofuse_lab.models.distance import DistanceBias
from astrofuse_lab.models.encoder import place_of
from astrofuse_lab.models.image_blocks import sizes
from astrofuse_lab.models.image_cnn import ImageEncoder
from astrofuse_lab.models.tokens import InputLayout, Tokens

MOST_PATCHES = 4096
"""Tokens of one image, at most: attention grows with their square."""


class PatchEncoder(ImageEncoder):
    """Base of the two: an image cut into patches, a token each, with attention between them.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width, patch, hidden, merges, crop : int
        Side of a patch in pixels, width between the layers, and how often patches are merged two by two before they are tokens.
    """

    attends = True

    def __init__(self, layout: InputLayout, width: int, patch: int, hidden: int, merges: int, crop: int) -> None:
        super().__init__(layout, width, crop)
        self.multiple = patch * 2**merges
        self.lay_cells(self.multiple, MOST_PATCHES)  # no fewer cells than features
        if self.rows * self.columns > MOST_PATCHES:
            raise InputError(
                f"patch={patch}: {self.height} x {self.breadth} pixels are {self.rows} x {self.columns} tokens, more than {MOST_PATCHES}. Take larger patches, or crop."
            )
        self.stem = nn.Conv2d(self.inputs, hidden, patch, patch)


class VitEncoder(PatchEncoder):
    """Vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929): one token a patch, with a learned position.

    ViT-B/16 is ``patch=16, hidden=768, layers=12, heads=12, expansion=4``. No class token: fusion has one.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    patch : int
        Side of a patch, pixels. There are as many tokens as patches.
    hidden : int
        Width between the layers; 0: the tokens' width.
    layers, heads : int
    expansion : int
        Width of each layer's MLP, in widths.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    distance : bool
        Attention falls with the distance between two patches, by slopes that each head learns; see `DistanceBias`.
    dropout : float
        Share of features set to zero while training.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, patch: int = 8, hidden: int = 0, layers: int = 2, heads: int = 4, expansion: int = 2, crop: int = 0,
        distance: bool = False, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, patch, hidden or width, 0, crop)
        self.position = nn.Parameter(0.02 * torch.randn(self.rows * self.columns, hidden or width))
        self.layers = nn.ModuleList(TransformerLayer(hidden or width, heads, expansion, dropout) for _ in range(layers))
        self.distance = DistanceBias(("patches",), heads) if distance and layers else None
        self.norm = nn.LayerNorm(hidden or width)
        self.project = nn.Linear(hidden, width) if hidden else nn.Identity()

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask (batch, band, y, x) to tokens, row by row of patches."""
        inputs, real = self.look(values[self.window], mask[self.window])
        seen = self.seen(real)
        tokens = self.stem(inputs).flatten(2).transpose(1, 2) + self.position
        place = place_of(("y", "x"), self.box)
        bias = None if self.distance is None else self.distance.of("patches", place, tokens.shape[1], tokens.device)
        for layer in self.layers:
            tokens = layer(tokens, seen, maps, bias=bias)
        return Tokens(self.project(self.norm(tokens)), seen, place)


class WindowLayer(nn.Module):
    """A transformer layer within windows of a grid, with a learned bias by distance (Liu et al. 2021, arXiv:2103.14030, eqs. 3-4).

    Parameters
    ----------
    rows, columns : int
        Of the grid.
    width, heads, expansion : int
    window : int
        Side of a window, in cells; not more than the grid has.
    shifted : bool
        Whether windows lie half a window further down and right; cells that then come from opposite borders do not see each other.
    dropout : float
    """

    near: Tensor
    together: Tensor
    order: Tensor

    def __init__(self, rows: int, columns: int, width: int, heads: int, expansion: int, window: int, shifted: bool, dropout: float) -> None:
        super().__init__()
        self.rows, self.columns, self.window = rows, columns, min(window, max(rows, columns))
        self.shift = tuple(self.window // 2 if shifted and size > self.window else 0 for size in (rows, columns))
        self.layer = TransformerLayer(width, heads, expansion, dropout)
        self.bias = nn.Parameter(0.02 * torch.randn(heads, (2 * self.window - 1) ** 2))
        y, x = torch.arange(self.window**2) // self.window, torch.arange(self.window**2) % self.window
        apart = [a[:, None] - a[None, :] + self.window - 1 for a in (y, x)]
        self.register_buffer("near", apart[0] * (2 * self.window - 1) + apart[1], persistent=False)
        high, broad = (-(-size // self.window) * self.window for size in (rows, columns))
        # pieces of the shifted grid that lie beside each other in the image
        piece = self._pieces(high, self.shift[0])[:, None] * 3 + self._pieces(broad, self.shift[1])[None, :]
        pieces = self._cut(piece[None, :, :, None])[..., 0]
        self.register_buffer("together", pieces[:, :, None] == pieces[:, None, :], persistent=False)
        index = torch.full((high, broad), -1)
        index[:rows, :columns] = torch.arange(rows * columns).view(rows, columns)
        self.register_buffer("order", self._cut(index.roll((-self.shift[0], -self.shift[1]), (0, 1))[None, :, :, None]).flatten(), persistent=False)

    def _pieces(self, size: int, shift: int) -> Tensor:
        index = torch.arange(size)
        return (index >= size - self.window).int() + (index >= size - shift).int() if shift else torch.zeros(size, dtype=torch.int32)

    def _cut(self, grid: Tensor) -> Tensor:
        """(batch, y, x, width) to (batch * window, cell, width)."""
        return grid.unflatten(2, (-1, self.window)).unflatten(1, (-1, self.window)).transpose(2, 3).flatten(3, 4).flatten(0, 2).view(-1, self.window**2, grid.shape[-1])

    def forward(self, grid: Tensor, seen: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Grid (batch, y, x, width) and which of its cells are seen, bool (batch, y, x), to a grid.

        Where `maps` is given, the weights are appended as (batch, head, cell, cell) of the whole grid, row by row: zero between windows.
        """
        below, beside = -self.rows % self.window, -self.columns % self.window
        back = (-self.shift[0], -self.shift[1])
        moved = F.pad(grid, (0, 0, 0, beside, 0, below)).roll(back, (1, 2))
        real = F.pad(seen, (0, beside, 0, below)).roll(back, (1, 2))
        high, broad = moved.shape[1:3]
        mask = self._cut(real[..., None])[:, None, :, 0] & self.together.repeat(len(grid), 1, 1)
        own: list[Tensor] | None = None if maps is None else []
        tokens = self.layer(self._cut(moved), mask, own, bias=self.bias[:, self.near][None])
        if maps is not None and own is not None:
            maps.append(self._whole(own[0].detach(), len(grid)))
            tell_gradient(own[0], maps[-1], lambda gradient: self._whole(gradient, len(grid)))
        tokens = tokens.view(len(grid), high // self.window, broad // self.window, self.window, self.window, -1).transpose(2, 3).reshape(moved.shape)
        return tokens.roll(self.shift, (1, 2))[:, : self.rows, : self.columns]

    def _whole(self, weights: Tensor, batch: int) -> Tensor:
        """Weights within windows, (batch * window, head, cell, cell), as those between all cells of the grid."""
        heads, cells = weights.shape[1], self.rows * self.columns
        whole = weights.new_zeros(batch, heads, cells + 1, cells + 1)  # the last row and column take what lies outside of the grid
        place = self.order.where(self.order >= 0, cells).view(-1, self.window**2)
        for i, own in enumerate(weights.view(batch, -1, *weights.shape[1:]).unbind(1)):
            whole[:, :, place[i][:, None], place[i][None, :]] = own
        return whole[:, :, :cells, :cells]


class Merging(nn.Module):
    """2 x 2 cells beside each other to one of twice the width (Liu et al. 2021, sec. 3.1).

    Parameters
    ----------
    width : int
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduce = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, grid: Tensor) -> Tensor:
        """(batch, y, x, width) to (batch, y / 2, x / 2, 2 * width)."""
        four = torch.cat([grid[:, y::2, x::2] for x in (0, 1) for y in (0, 1)], -1)
        return self.reduce(self.norm(four))


class SwinEncoder(PatchEncoder):
    """Shifted windows: Swin transformer (Liu et al. 2021, arXiv:2103.14030), one token a cell of its last stage.

    Swin-T is ``patch=4, hidden=96, layers=[2, 2, 6, 2], heads=[3, 6, 12, 24], window=7, expansion=4``. Attention maps are those of
    the last stage, between tokens; the cells of earlier stages are finer than tokens, so their maps are not offered. No stochastic depth.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    patch : int
        Side of a patch, pixels. A token is ``patch * 2 ** (stages - 1)`` pixels wide.
    hidden : int
        Width of the first stage; each later one has twice the width and half the cells along each axis.
    layers, heads : list of int
        Of each stage. Every second layer is shifted.
    window : int
        Side of a window, cells.
    expansion : int
        Width of each layer's MLP, in widths.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    dropout : float
        Share of features set to zero while training.
    """

    def __init__(
        self, layout: InputLayout, width: int, *, patch: int = 4, hidden: int = 32, layers: Sequence[int] = [2, 2], heads: Sequence[int] = [2, 4], window: int = 4,
        expansion: int = 2, crop: int = 0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        depths = sizes("layers", layers)
        if hidden < 1:
            raise InputError(f"hidden={hidden}: the width of the first stage, 1 or more.")
        super().__init__(layout, width, patch, hidden, len(depths) - 1, crop)
        self.first = nn.LayerNorm(hidden)
        rows, columns = self.rows * 2 ** (len(depths) - 1), self.columns * 2 ** (len(depths) - 1)
        stages = []
        for stage, (count, own) in enumerate(zip(depths, sizes("heads", heads, len(depths)), strict=True)):
            merge = [Merging(hidden * 2 ** (stage - 1))] if stage else []
            size = (rows >> stage, columns >> stage, hidden * 2**stage, own, expansion, window)
            stages.append(nn.ModuleList([*merge, *(WindowLayer(*size, i % 2 == 1, dropout) for i in range(count))]))
        self.stages = nn.ModuleList(stages)
        self.norm = nn.LayerNorm(hidden * 2 ** (len(depths) - 1))
        self.project = nn.Linear(hidden * 2 ** (len(depths) - 1), width)

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask (batch, band, y, x) to tokens, row by row of the last stage's cells."""
        inputs, _ = self.look(values[self.window], mask[self.window])
        good = inputs[:, self.inputs // 2 :].amax(1, keepdim=True)
        grid = self.first(self.stem(inputs).movedim(1, -1))
        for stage, layers in enumerate(self.stages):
            assert isinstance(layers, nn.ModuleList)
            side = self.multiple >> (len(self.stages) - 1 - stage)
            seen = F.max_pool2d(good, side, side)[:, 0] > 0
            for layer in layers:
                last = stage == len(self.stages) - 1
                grid = layer(grid, seen, maps if last else None) if isinstance(layer, WindowLayer) else layer(grid)
        return Tokens(self.project(self.norm(grid)).flatten(1, 2), seen.flatten(1), place_of(("y", "x"), self.box))
