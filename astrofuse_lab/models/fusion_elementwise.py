"""Fusions of one vector a modality, number by number: averages, sum, product, maximum; and a deep network over all of them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from astrofuse_lab.models.fusion import Fusion, Pooled, masked_mean
from astrofuse_lab.models.tokens import Fused, Tokens


class Mapped(Fusion):
    """Base of the fusions that combine each modality's vector, linearly mapped to a common space, over the modalities a sample has.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(self, modalities: tuple[str, ...], width: int, *, dropout: float = 0.1, modality_dropout: float = 0.0) -> None:
        super().__init__(modalities, width, modality_dropout)
        self.content = nn.ModuleDict({name: nn.Linear(width, width) for name in modalities})
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """What `combine` makes of the modalities present, normalised; of none, a constant."""
        names = [name for name in self.modalities if name in tokens]
        vectors = torch.stack([self.content[name](masked_mean(*tokens[name][:2])).float() for name in names], 1)
        present = torch.stack([tokens[name].mask.any(1) for name in names], 1)
        return Fused(self.dropout(self.norm(self.combine(vectors, present, names))), tokens)

    def combine(self, vectors: Tensor, present: Tensor, names: list[str]) -> Tensor:
        """Vectors (batch, modality, width) of these modalities and which are present (batch, modality) to (batch, width)."""
        raise NotImplementedError


class Sum(Mapped):
    """The sum of the vectors of the modalities present (element-wise addition)."""

    def combine(self, vectors: Tensor, present: Tensor, names: list[str]) -> Tensor:
        """A missing modality adds nothing."""
        return (vectors * present[..., None]).sum(1)


class Product(Mapped):
    """The element-wise (Hadamard) product of the vectors of the modalities present.

    Kim et al. 2017 (arXiv:1610.04325) without the tanh. The maps begin near one, so that a product of many modalities neither vanishes nor grows.
    """

    def __init__(self, modalities: tuple[str, ...], width: int, *, dropout: float = 0.1, modality_dropout: float = 0.0) -> None:
        super().__init__(modalities, width, dropout=dropout, modality_dropout=modality_dropout)
        for one in self.content.values():
            assert isinstance(one, nn.Linear)
            nn.init.ones_(one.bias)

    def combine(self, vectors: Tensor, present: Tensor, names: list[str]) -> Tensor:
        """A missing modality is a factor of one; of none at all the product is zero."""
        return torch.where(present[..., None], vectors, 1.0).prod(1) * present.any(1, keepdim=True)


class Maximum(Mapped):
    """The element-wise maximum of the vectors of the modalities present."""

    def combine(self, vectors: Tensor, present: Tensor, names: list[str]) -> Tensor:
        """A missing modality never wins; of none at all the maximum is zero."""
        return torch.where(present.any(1, keepdim=True), vectors.masked_fill(~present[..., None], torch.finfo(vectors.dtype).min).amax(1), 0.0)


class WeightedSum(Mapped):
    """The sum of the modalities' vectors, each times a learned number.

    A missing modality adds nothing, so the sum is smaller without it; `WeightedAverage` keeps its scale.
    """

    def __init__(self, modalities: tuple[str, ...], width: int, *, dropout: float = 0.1, modality_dropout: float = 0.0) -> None:
        super().__init__(modalities, width, dropout=dropout, modality_dropout=modality_dropout)
        self.weight = nn.ParameterDict({name: nn.Parameter(torch.ones(())) for name in modalities})

    def combine(self, vectors: Tensor, present: Tensor, names: list[str]) -> Tensor:
        """Learned weights times vectors; an absent one counts zero."""
        return torch.einsum("bmw,bm,m->bw", vectors, present.to(vectors.dtype), torch.stack([self.weight[name] for name in names]))


class WeightedAverage(Mapped):
    """The mean of the modalities' vectors with one learned weight each: a softmax over those a sample has."""

    def __init__(self, modalities: tuple[str, ...], width: int, *, dropout: float = 0.1, modality_dropout: float = 0.0) -> None:
        super().__init__(modalities, width, dropout=dropout, modality_dropout=modality_dropout)
        self.score = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in modalities})

    def combine(self, vectors: Tensor, present: Tensor, names: list[str]) -> Tensor:
        """Weights sum to one over the modalities present."""
        score = torch.stack([self.score[name] for name in names]).expand(present.shape)
        weight = score.masked_fill(~present, torch.finfo(score.dtype).min).softmax(1) * present
        return torch.einsum("bmw,bm->bw", vectors, weight)


class FeedForward(Pooled):
    """Modality vectors side by side through a deep MLP with shortcuts.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    layers : int
        Hidden layers after the first, each added to what came before it.
    hidden : int
        Their width.
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, layers: int = 3, hidden: int = 256, dropout: float = 0.1, modality_dropout: float = 0.0
    ) -> None:
        super().__init__(modalities, width, modality_dropout)
        self.enter = nn.Sequential(nn.Linear(len(modalities) * width, hidden), nn.GELU())
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, hidden)) for _ in range(layers)
        )
        self.leave = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, width), nn.LayerNorm(width))

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The vectors of all modalities, mixed."""
        state = self.enter(self.pooled(tokens)[0].flatten(1))
        for layer in self.layers:
            state = state + layer(state)
        return Fused(self.leave(state), tokens)
