"""Inputs as units that can be hidden and given back: patches, epochs, columns, words; and the light decoder that gives them back.

============ ============================== ======================================
kind         a unit                         its numbers
============ ============================== ======================================
image        a square patch, all bands      band * patch * patch
spectrum     a run of pixels                patch
series       a run of samples, all channels channel * patch
light_curve  an epoch                       its flux; time, error and band are told
table        a column                       1
text         a word                         bucket
============ ============================== ======================================
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.models.attention import attend
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.models.transformer import TimeEncoding

ACROSS = {"image": 8, "spectrum": 32, "series": 32}
"""Units along an axis, where the size of a patch is not given."""
DAYS, FLUX = 0, 1
"""Channels of a light curve."""


class Units(NamedTuple):
    """An input cut into units.

    Attributes
    ----------
    values : Tensor, (batch, unit, number)
    real : bool Tensor, (batch, unit, number)
    """

    values: Tensor
    real: Tensor


def patch_of(layout: InputLayout, patch: int = 0) -> int:
    """Side of a patch in pixels or samples: as given, else the one that makes `ACROSS` of them; 1 for other kinds."""
    if layout.kind not in ACROSS:
        return 1
    return patch or max(2, -(-layout.shape[-1] // ACROSS[layout.kind]))


def _cut(tensor: Tensor, kind: str, patch: int) -> Tensor:
    """(batch, ..., axis) to (batch, unit, number), zeros beyond the edge."""
    if kind == "image":
        batch, bands, height, width = tensor.shape
        padded = F.pad(tensor, (0, -width % patch, 0, -height % patch))
        cut = padded.view(batch, bands, padded.shape[2] // patch, patch, padded.shape[3] // patch, patch)
        return cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
    lanes = tensor if kind == "series" else tensor[:, None]
    padded = F.pad(lanes, (0, -lanes.shape[-1] % patch))
    return padded.unflatten(-1, (-1, patch)).transpose(1, 2).flatten(2)


def units(layout: InputLayout, values: Tensor, mask: Tensor, patch: int) -> Units:
    """Cut prepared values and their mask into units; see the table of this module.

    Parameters
    ----------
    layout : InputLayout
    values, mask : Tensor
        As `samples.preparation` makes them.
    patch : int
        From `patch_of`.
    """
    if layout.kind == "light_curve":
        return Units(values[..., FLUX : FLUX + 1], mask[..., None])
    if layout.kind == "text":
        return Units(values, mask[..., None].expand_as(values))
    if layout.kind == "table":
        return Units(values[..., None], mask[..., None])
    return Units(_cut(values, layout.kind, patch), _cut(mask.to(values.dtype), layout.kind, patch) > 0.5)


def without(layout: InputLayout, mask: Tensor, hidden: Tensor, patch: int) -> Tensor:
    """The mask with the hidden units, bool (batch, unit), masked as well."""
    if layout.kind in ("light_curve", "text", "table"):
        return mask & ~hidden
    if layout.kind == "image":
        height, width = mask.shape[2:]
        grid = hidden.view(len(hidden), -(-height // patch), -(-width // patch))
        wide = grid.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, :height, :width]
        return mask & ~wide[:, None]
    wide = hidden.repeat_interleave(patch, 1)[:, : mask.shape[-1]]
    return mask & ~(wide[:, None] if layout.kind == "series" else wide)


def draw_hidden(real: Tensor, share: float, luck: torch.Generator | None) -> Tensor:
    """Which units to hide: `share` of those a sample has, at least one, never all; none where there is but one.

    Parameters
    ----------
    real : bool Tensor, (batch, unit)
    share : float
    luck : Generator, optional
        None: torch's own.

    Returns
    -------
    bool Tensor, (batch, unit)
    """
    count = real.sum(1, keepdim=True)
    wanted = torch.minimum((count * share).round().clamp(min=1), count - 1)
    drawn = torch.rand(real.shape, generator=luck, device=real.device).masked_fill(~real, 2.0)
    rank = drawn.argsort(1).argsort(1)
    return real & (rank < wanted)


class UnitDecoder(nn.Module):
    """A light decoder: one query a unit looks once at the tokens it is given, and an MLP makes the unit's numbers of what it sees.

    A query knows where its unit lies (patch, column or word), and for an epoch when it was taken, how well and in which band, but not
    its flux. It takes tokens of any encoder, in any number, and is dropped when training ends (the asymmetric design of masked
    autoencoders, He et al. 2022, arXiv:2111.06377).

    Parameters
    ----------
    layout : InputLayout
    width : int
        Of the tokens.
    patch : int
        As in `patch_of`; 0 chooses it.
    """

    def __init__(self, layout: InputLayout, width: int, patch: int = 0) -> None:
        super().__init__()
        self.layout, self.patch = layout, patch_of(layout, patch)
        shape = layout.shape
        if layout.kind == "light_curve":
            numbers = 1
            self.when, self.how = TimeEncoding(width), nn.Linear(shape[0] - 2, width)
        elif layout.kind == "text":
            numbers = shape[0]
            self.when = TimeEncoding(width, periods=8, shortest=2.0)
        else:
            empty = torch.zeros(1, *shape)
            count, numbers = units(layout, empty, empty > 0, self.patch).values.shape[1:]
            self.place = nn.Parameter(0.02 * torch.randn(count, width))
        self.norm = nn.LayerNorm(width)
        self.look = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.give = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, numbers))

    def queries(self, values: Tensor) -> Tensor:
        """One query a unit: (batch, unit, width)."""
        if self.layout.kind == "light_curve":
            return self.when(values[..., DAYS]) + self.how(values[..., FLUX + 1 :])
        if self.layout.kind == "text":
            index = torch.arange(values.shape[1], device=values.device)
            return self.when(index.expand(len(values), -1))
        return self.place.expand(len(values), -1, -1)

    def forward(self, context: Tensor, mask: Tensor, values: Tensor) -> Tensor:
        """Numbers of each unit.

        Parameters
        ----------
        context : Tensor, (batch, token, width)
            What may be looked at.
        mask : bool Tensor, (batch, token)
        values : Tensor
            The input, for what queries are told of it.

        Returns
        -------
        Tensor, (batch, unit, number)
        """
        context, query = self.norm(context), self.queries(values)
        seen = attend(self.look["query"](query)[:, None], self.look["key"](context)[:, None], self.look["value"](context)[:, None], mask)
        return self.give(query + seen[:, 0]).float()
