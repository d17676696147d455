"""Fusion of published networks: the branches' vectors side by side, as they are, and the layers that follow."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.models.fusion import Fusion, masked_mean
from astrofuse_lab.models.layers import Layers
from astrofuse_lab.models.tokens import Fused, Tokens


class Join(Fusion):
    """Each modality's vector, of any width, side by side in the model's order; zeros where it is missing; then layers, where any are named.

    Parameters
    ----------
    modalities, width
        As in `Fusion`; `width` is not used: the vector is as wide as what is joined, or as the last layer.
    layers : list of [name, *sizes]
        Of `astrofuse_lab.models.layers`, e.g. ``[["dense", 512], ["relu"]]``.
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(self, modalities: tuple[str, ...], width: int, *, layers: Sequence[Any] = (), modality_dropout: float = 0.0) -> None:
        super().__init__(modalities, width, modality_dropout)
        self.rows = list(layers)
        self.widths: dict[str, int] = {}
        self.layers: Layers | nn.Identity = nn.Identity()
        self.meet(dict.fromkeys(modalities, width))

    def meet(self, widths: Mapping[str, int]) -> None:
        """Any widths."""
        self.widths = dict(widths)
        whole = sum(self.widths.values())
        self.layers = Layers(self.rows, (whole,)) if self.rows else nn.Identity()
        self.vector_width = self.layers.shape[0] if isinstance(self.layers, Layers) else whole

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The vectors in order."""
        some = next(iter(tokens.values()))
        vectors: list[Tensor] = []
        for name in self.modalities:
            if name in tokens:
                one = tokens[name]
                vectors.append(masked_mean(one.values, one.mask) if one.values.shape[1] > 1 else one.values[:, 0] * one.mask)
            else:
                vectors.append(some.values.new_zeros(len(some.values), self.widths[name]))
        return Fused(self.layers(torch.cat(vectors, 1)), tokens)
