"""Encoders of table rows beside the plain one: transformers between columns, and a network whose weights are distributions."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.models.attention import FeatureDropout, TransformerLayer
from astrofuse_lab.models.encoder import Encoder, one_each
from astrofuse_lab.models.tokens import InputLayout, Tokens


class FeatureTransformer(Encoder):
    """Table rows to tokens, one a column, with attention between columns: FT-Transformer (Gorishniy et al. 2021, arXiv:2106.11959).

    A column's token is its value times a vector plus a vector. A missing column is seen by no other. No class token: fusion has one.

    Parameters
    ----------
    layout : InputLayout
        Shape (column,).
    width : int
    layers, heads : int
    expansion : int
        Width of each layer's MLP, in widths.
    dropout : float
        Share of features set to zero while training.
    """

    kinds = ("table",)
    attends = True

    def __init__(self, layout: InputLayout, width: int, *, layers: int = 2, heads: int = 4, expansion: int = 2, dropout: float = 0.1) -> None:
        super().__init__(layout, width)
        self.scale, self.shift = (nn.Parameter(torch.randn(layout.shape[0], width) / math.sqrt(width)) for _ in range(2))
        self.layers = nn.ModuleList(TransformerLayer(width, heads, expansion, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def embed(self, values: Tensor) -> Tensor:
        """Values (batch, column) to tokens (batch, column, width)."""
        return values[..., None] * self.scale + self.shift

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask (batch, column) to tokens in order of the columns."""
        tokens = self.embed(values.masked_fill(~mask, 0.0))
        for layer in self.layers:
            tokens = layer(tokens, mask, maps)
        return Tokens(self.norm(tokens), mask, one_each("column", values.shape[1]))


class QuantileTransformer(FeatureTransformer):
    """Quantile tokens with attention between columns, as ATAT reads its tables (Cabrera-Vives et al. 2024, A&A 689, A289, arXiv:2405.03078).

    Give it ``inputs={"table": Part.of("quantile")}``: values are then normal quantiles of their ranks in the training part, and the
    normal distribution takes them back to ranks, 0 to 1. A rank is written in equal bins: 1 in those below it, the part it has
    come in its own, 0 above (piecewise linear encoding, Gorishniy et al. 2022, arXiv:2203.05556, eq. 1), and
    each bin has a vector of its own in every column. ``bins=1`` is ATAT's tokenizer, a rank times a vector plus a vector. Of values
    scaled otherwise the bins are equal parts of a normal distribution.

    Parameters
    ----------
    layout : InputLayout
        Shape (column,).
    width : int
    bins : int
    layers, heads, expansion, dropout
        As of `FeatureTransformer`.
    """

    below: Tensor

    def __init__(self, layout: InputLayout, width: int, *, bins: int = 8, layers: int = 2, heads: int = 4, expansion: int = 2, dropout: float = 0.1) -> None:
        super().__init__(layout, width, layers=layers, heads=heads, expansion=expansion, dropout=dropout)
        self.scale = nn.Parameter(torch.randn(layout.shape[0], bins, width) / math.sqrt(width))
        self.register_buffer("below", torch.arange(bins), persistent=False)

    def encoded(self, values: Tensor) -> Tensor:
        """Values (batch, column) to how far each bin is filled, (batch, column, bin), 0 to 1."""
        rank = torch.special.ndtr(values.float())
        return (rank[..., None] * len(self.below) - self.below).clamp(0.0, 1.0)

    def embed(self, values: Tensor) -> Tensor:
        """Values (batch, column) to tokens (batch, column, width)."""
        return torch.einsum("ncb,cbw->ncw", self.encoded(values), self.scale) + self.shift


class BayesianLinear(nn.Module):
    """A linear layer whose weights are independent normal distributions (Blundell et al. 2015, arXiv:1505.05424).

    In training the outputs are drawn, each with the mean and variance that the weights give it: the local
    reparameterisation of Kingma et al. 2015 (arXiv:1506.02557, eq. 6), a draw for each row in place of one a batch. In evaluation
    the weights are their means.

    Parameters
    ----------
    inputs, outputs : int
    start : float
        Standard deviation of the weights before training, in those of the prior.
    """

    def __init__(self, inputs: int, outputs: int, start: float = 0.1) -> None:
        super().__init__()
        self.prior = 1 / math.sqrt(inputs)
        """Standard deviation of the prior: outputs of unit variance for inputs of unit variance."""
        plain = nn.Linear(inputs, outputs)
        self.weight, self.bias = plain.weight, plain.bias
        # softplus of rho is the standard deviation
        rho = math.log(math.expm1(start * self.prior))
        self.weight_rho, self.bias_rho = nn.Parameter(torch.full((outputs, inputs), rho)), nn.Parameter(torch.full((outputs,), rho))

    def forward(self, values: Tensor) -> Tensor:
        """Values (..., inputs) to (..., outputs)."""
        return self.sample(values) if self.training else F.linear(values, self.weight, self.bias)

    def sample(self, values: Tensor) -> Tensor:
        """Outputs drawn at random, whatever the mode."""
        mean = F.linear(values, self.weight, self.bias)
        variance = F.linear(values.square(), F.softplus(self.weight_rho).square(), F.softplus(self.bias_rho).square())
        return mean + (variance + 1e-12).sqrt() * torch.randn_like(mean)

    def kl(self) -> Tensor:
        """Kullback-Leibler divergence of all weights from the prior, nats; a scalar."""
        total = self.weight.new_zeros(())
        for mean, rho in ((self.weight, self.weight_rho), (self.bias, self.bias_rho)):
            ratio = (F.softplus(rho) / self.prior).square()
            total = total + 0.5 * (ratio + (mean / self.prior).square() - 1 - ratio.log()).sum()
        return total


class BayesianTableEncoder(Encoder):
    """Table rows to tokens, one a column, by the plain network's layers with distributions for weights: variational inference.

    Training adds `kl` over the number of training samples to the loss of each: with `divergence` = 1 the evidence lower bound
    (Blundell et al. 2015, eq. 2). ``predict`` with several passes draws new weights in each.

    Parameters
    ----------
    layout : InputLayout
        Shape (column,).
    width : int
    hidden : int
        Width of the hidden layers; 1 or more.
    divergence : float
        What the divergence is multiplied by; below 1 the data are trusted more than Bayes' rule would, which sets of a few hundred
        samples need (a cold posterior, Wenzel et al. 2020, arXiv:2002.02405).
    dropout : float
        Share of features set to zero while training.
    """

    kinds = ("table",)

    def __init__(self, layout: InputLayout, width: int, *, hidden: int = 64, divergence: float = 0.1, dropout: float = 0.0) -> None:
        super().__init__(layout, width)
        columns = layout.shape[0]
        self.divergence = divergence
        self.scale, self.shift = (nn.Parameter(torch.randn(columns, hidden)) for _ in range(2))
        self.column = nn.Sequential(nn.GELU(), FeatureDropout(dropout), BayesianLinear(hidden, width))
        self.row = nn.Sequential(BayesianLinear(2 * columns, hidden), nn.GELU(), nn.Dropout(dropout), BayesianLinear(hidden, width))
        self.name = nn.Parameter(0.02 * torch.randn(columns, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask (batch, column) to tokens in order of the columns."""
        values = values.masked_fill(~mask, 0.0)
        tokens = self.column(values[..., None] * self.scale + self.shift) + self.row(torch.cat([values, mask.to(values.dtype)], 1))[:, None] + self.name
        return Tokens(self.norm(tokens), mask, one_each("column", values.shape[1]))

    def kl(self) -> Tensor:
        """`divergence` times the divergence of all its weights from their priors, nats; a scalar."""
        return self.divergence * torch.stack([layer.kl() for layer in self.modules() if isinstance(layer, BayesianLinear)]).sum()
