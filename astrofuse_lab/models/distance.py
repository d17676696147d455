"""Attention biased by distance: what lies near on the sky, in wavelength or in time is looked at more."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.models.tokens import Tokens

UNITS = {"sky": 4.0, "wavelength": 32.0, "sample": 32.0, "time": 30.0}
"""What a slope of one counts in: pixels of an image, pixels of a spectrum's grid (even in log wavelength on a log grid), samples of a series, days."""
AXES = {("y", "x"): "sky", ("pixel",): "wavelength", ("sample",): "sample"}
"""Axes of a place whose boxes are positions that can be compared."""


def coordinates_of(place: Mapping[str, Any]) -> tuple[str, Tensor] | None:
    """Where tokens lie, where that can be measured.

    Parameters
    ----------
    place : mapping
        `Tokens.place`. ``place["coordinates"]``, e.g. ``{"time": Tensor (batch, token)}``, comes first; else the centres of the boxes
        of an image or a spectrum.

    Returns
    -------
    name : {"sky", "wavelength", "sample", "time"}
    position : Tensor, (batch or 1, token, axis)
        In pixels, samples or days. None for columns, words and what has no place.
    """
    for name, given in place.get("coordinates", {}).items():
        if name in UNITS:
            return name, given.float()[..., None] if given.ndim == 2 else given.float()
    name = AXES.get(place.get("axes", ()), "")
    if not name:
        return None
    box = place["box"].float()
    return name, ((box[:, 0::2] + box[:, 1::2]) / 2)[None]


class DistanceBias(nn.Module):
    """Minus a learned slope times the distance between two tokens of a modality, each head with its own slope.

    Attention with linear biases (Press et al. 2022, arXiv:2108.12409), which starts from slopes of 1/2 to 1/256 over the heads; here they are
    learned (as exponentials, so that near never counts less than far) and distances are those of the sky (pixels), of a spectrum
    (pixels of its grid) and of time (days). Tokens of different modalities, and those without a position, have no distance.

    Parameters
    ----------
    modalities : sequence of str
    heads : int
    """

    def __init__(self, modalities: Sequence[str], heads: int) -> None:
        super().__init__()
        begin = torch.tensor([-8.0 * (i + 1) / heads * math.log(2) for i in range(heads)])
        self.slope = nn.ParameterDict({name: nn.Parameter(begin.clone()) for name in modalities})

    def of(self, name: str, place: Mapping[str, Any], count: int, device: torch.device) -> Tensor:
        """The bias between the tokens of one modality: (batch or 1, head, token, token), zero or below."""
        found = coordinates_of(place)
        if found is None:
            distance = torch.zeros(1, count, count, device=device)
        else:
            axis, position = found
            position = position.to(device)
            distance = (position[:, :, None] - position[:, None]).square().sum(-1).sqrt() / UNITS[axis]
        return -self.slope[name].exp()[:, None, None] * distance[:, None]

    def forward(self, tokens: Mapping[str, Tokens], before: int = 0) -> Tensor:
        """The bias between all tokens, after `before` that have no place: (batch or 1, head, token, token)."""
        blocks = [self.of(name, one.place, one.mask.shape[1], one.mask.device) for name, one in tokens.items()]
        batch, size = max(len(one) for one in blocks), before + sum(one.shape[2] for one in blocks)
        bias = blocks[0].new_zeros(batch, blocks[0].shape[1], size, size)
        for one in blocks:
            end = before + one.shape[2]
            bias[:, :, before:end, before:end] = one
            before = end
        return bias
