"""Encoders of rows and words: small networks applied to each column or word."""

import torch
from torch import Tensor, nn

from astrofuse_lab.models.attention import FeatureDropout
from astrofuse_lab.models.encoder import Encoder, one_each
from astrofuse_lab.models.tokens import InputLayout, Tokens


class TableEncoder(Encoder):
    """Table rows to tokens, one a column, so that attention between columns has a meaning.

    Each column has an embedding of its own (a value times a vector plus a vector, Gorishniy et al. 2021,
    arXiv:2106.11959) through an MLP; another MLP over the whole row adds what columns say together.

    Parameters
    ----------
    layout : InputLayout
        Shape (column,).
    width : int
    hidden : int
        Width of the hidden layers.
    dropout : float
    """

    kinds = ("table",)

    def __init__(self, layout: InputLayout, width: int, *, hidden: int = 64, dropout: float = 0.1) -> None:
        super().__init__(layout, width)
        columns = layout.shape[0]
        self.scale = nn.Parameter(torch.randn(columns, hidden))
        self.shift = nn.Parameter(torch.randn(columns, hidden))
        self.column = nn.Sequential(nn.GELU(), FeatureDropout(dropout), nn.Linear(hidden, width))
        self.row = nn.Sequential(nn.Linear(2 * columns, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        self.name = nn.Parameter(0.02 * torch.randn(columns, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask (batch, column) to tokens in order of the columns."""
        real = mask.to(values.dtype)
        values = values.masked_fill(~mask, 0.0)
        tokens = self.column(values[..., None] * self.scale + self.shift) + self.row(torch.cat([values, real], 1))[:, None] + self.name
        return Tokens(self.norm(tokens), mask, one_each("column", values.shape[1]))


class WordEncoder(Encoder):
    """Hashed n-grams of words to tokens, one a word, each seen with its neighbours.

    Parameters
    ----------
    layout : InputLayout
        Shape (bucket,).
    width : int
    hidden : int
        Width of the hidden layer.
    dropout : float
    """

    kinds = ("text",)

    def __init__(self, layout: InputLayout, width: int, *, hidden: int = 64, dropout: float = 0.2) -> None:
        super().__init__(layout, width)
        self.embed = nn.Sequential(nn.Linear(layout.shape[0], hidden, bias=False), FeatureDropout(dropout))
        self.word = nn.Sequential(nn.LayerNorm(3 * hidden), nn.Linear(3 * hidden, width), nn.GELU(), nn.Linear(width, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values (batch, word, bucket) and mask (batch, word) to tokens in order of the words."""
        words = self.embed(values).masked_fill(~mask[..., None], 0.0)
        beside = nn.functional.pad(words, (0, 0, 1, 1))
        return Tokens(self.norm(self.word(torch.cat([beside[:, :-2], words, beside[:, 2:]], -1))), mask, one_each("word", values.shape[1]))
