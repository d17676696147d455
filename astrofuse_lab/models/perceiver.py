"""The Perceiver: a few learned vectors that look at an input of any length, and are all that is given."""

from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.models.attention import CrossAttention, FeatureDropout, TransformerLayer
from astrofuse_lab.models.encoder import one_each, place_of
from astrofuse_lab.models.sequence_tokens import Patches, SequenceEncoder
from astrofuse_lab.models.tokens import InputLayout, Tokens


class Look(nn.Module):
    """Latent vectors that look at an input, then at each other (Jaegle et al. 2021, arXiv:2103.03206, figure 1).

    Parameters
    ----------
    width, heads : int
    dropout : float
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.latent_norm, self.input_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.cross = CrossAttention(width, heads)
        self.dropout = FeatureDropout(dropout)
        self.layer = TransformerLayer(width, heads, dropout=dropout)

    def forward(self, latents: Tensor, inputs: Tensor, mask: Tensor, maps: list[Tensor] | None) -> Tensor:
        """Latents (batch, latent, width), inputs (batch, token, width) and their mask to latents; a sample without a real input keeps them."""
        latents = latents + self.dropout(self.cross(self.latent_norm(latents), self.input_norm(inputs), mask, maps))
        looked: Tensor = self.layer(latents, mask.any(1, keepdim=True).expand(latents.shape[:2]), maps)
        return looked


class PerceiverEncoder(SequenceEncoder):
    """Light curves, spectra, series and images to as many tokens as there are latent vectors, whatever the length of the input.

    The cost grows with the length and not with its square. Each token stands for the whole input; what it looked at is in its maps, (latent, token)
    and (latent, latent) in turn. A light curve is a set of epochs.

    Parameters
    ----------
    layout : InputLayout
    width : int
    latents : int
        Tokens that are given.
    layers : int
        Times that the latents look.
    heads : int
    patch : int
        Pixels or samples of a token of the input, along each axis.
    dropout : float
    """

    kinds = ("light_curve", "spectrum", "series", "image")
    attends = True

    def __init__(self, layout: InputLayout, width: int, *, latents: int = 8, layers: int = 2, heads: int = 4, patch: int = 8, dropout: float = 0.1) -> None:
        super().__init__(layout, width, patch, tokens=latents)
        self.cells = None
        # of the size of normalised tokens, so that latents differ from the start
        self.latents = nn.Parameter(torch.randn(latents, width))
        self.layers = nn.ModuleList(Look(width, heads, dropout) for _ in range(layers))

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask by kind to one token a latent."""
        inputs, seen, days, _ = self.read(values, mask)
        latents = self.latents.expand(len(inputs), -1, -1)
        for layer in self.layers:
            latents = layer(latents, inputs, seen, maps)
        real = seen.any(1, keepdim=True).expand(-1, len(self.latents))
        place = self.place(days)
        if maps is not None:
            looked_at = self.embed.box if isinstance(self.embed, Patches) else one_each("epoch", inputs.shape[1])["box"]
            place["keys"] = [looked_at, place["box"]] * len(self.layers)
        return Tokens(self.norm(latents), real, place)

    def place(self, days: Tensor | None) -> dict[str, Any]:
        """The whole input, for each latent."""
        if isinstance(self.embed, Patches):
            axes, ends = self.embed.axes, [end for side in self.embed.sides for end in (0, side)]
        else:
            assert days is not None
            axes, ends = ("epoch",), [0, days.shape[1]]
        return place_of(axes, torch.tensor([ends]).repeat(len(self.latents), 1))
