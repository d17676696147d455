"""Encoders of texts that a language model has read: its vectors to tokens."""

import torch
from torch import Tensor, nn

from astrofuse_lab.models.attention import FeatureDropout
from astrofuse_lab.models.encoder import Encoder, one_each
from astrofuse_lab.models.tokens import InputLayout, Tokens


class SentenceEncoder(Encoder):
    """Vectors of sentences to tokens, one a sentence, each told what the whole text says on the mean.

    For ``inputs={"text": Part.of("sentence")}``. The language model is not trained; this is all that learns.

    Parameters
    ----------
    layout : InputLayout
        Shape (384,), or whatever vectors there are.
    width : int
    hidden : int
        Width of the hidden layer; 1 or more.
    dropout : float
        Share of features set to zero while training.
    """

    kinds = ("text",)

    def __init__(self, layout: InputLayout, width: int, *, hidden: int = 64, dropout: float = 0.2) -> None:
        super().__init__(layout, width)
        self.read = nn.Sequential(nn.LayerNorm(layout.shape[0]), nn.Linear(layout.shape[0], hidden), FeatureDropout(dropout))
        self.sentence = nn.Sequential(nn.LayerNorm(2 * hidden), nn.Linear(2 * hidden, width), nn.GELU(), nn.Linear(width, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values (batch, sentence, number) and mask (batch, sentence) to tokens in order of the sentences."""
        real = mask[..., None]
        sentences = self.read(values.masked_fill(~real, 0.0)).masked_fill(~real, 0.0)
        mean = sentences.sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1)
        tokens = self.sentence(torch.cat([sentences, mean.expand_as(sentences)], -1))
        return Tokens(self.norm(tokens), mask, one_each("sentence", values.shape[1]))
