"""Fusions that multiply modalities, route samples to experts, or map modalities to the space of one."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.fusion import Pooled, masked_mean
from astrofuse_lab.models.tokens import Fused, Tokens


class LowRankTensor(Pooled):
    """Low-rank fusion of the outer product of all modalities' vectors, each with a one appended.

    Liu et al. 2018 (arXiv:1806.00064, equations 5 to 8): the weight tensor that would multiply the outer product is a sum of `rank` products of
    one factor a modality, so the outer product itself is never made. A missing modality is the vector (0, ..., 0, 1): products of the others stay.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    rank : int
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(self, modalities: tuple[str, ...], width: int, *, rank: int = 4, dropout: float = 0.1, modality_dropout: float = 0.0) -> None:
        super().__init__(modalities, width, modality_dropout, missing=False)
        self.factor = nn.ParameterDict({name: nn.Parameter(torch.randn(rank, width + 1, width) / width**0.5) for name in modalities})
        with torch.no_grad():  # the appended ones begin as ones, so that lower orders come through a product of many
            for one in self.factor.values():
                one[:, -1] = 1.0
        self.weight = nn.Parameter(torch.full((rank,), rank**-0.5))
        self.bias = nn.Parameter(torch.zeros(width))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The normalised product."""
        return Fused(self.norm(self.dropout(self.multiply(self.pooled(tokens)[0]))), tokens)

    def multiply(self, vectors: Tensor) -> Tensor:
        """Vectors (batch, modality, width), zero where missing, to (batch, width)."""
        whole = F.pad(vectors, (0, 1), value=1.0)
        product = torch.ones((), device=vectors.device)
        for i, name in enumerate(self.modalities):
            product = product * torch.einsum("bi,rio->bro", whole[:, i], self.factor[name]).float()
        return torch.einsum("bro,r->bo", product, self.weight) + self.bias


class MixtureOfExperts(Pooled):
    """Each sample goes to the few of several networks that a router picks from its modalities; their outputs are weighted and summed.

    Noisy top-k gating (Shazeer et al. 2017, arXiv:1701.06538, equations 2 to 5) with its loss on the balance of load (equations 6 and 7: the squared
    coefficient of variation of the experts' importance), which training adds; the top-2 fusion of AppleCiDEr (Junell et al. 2025, arXiv:2507.16088).
    All experts are computed and those that are picked are summed: for the few and small ones here faster than sorting samples.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    experts : int
    top : int
        Experts for each sample, at least two.
    balance : float
        Weight of the loss on the balance.
    noise : float
        Standard deviation of what is added to the router's scores while training, so that all experts are tried.
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, experts: int = 4, top: int = 2, balance: float = 0.01, noise: float = 0.5, dropout: float = 0.1,
        modality_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(modalities, width, modality_dropout)
        if not 2 <= top <= experts:
            raise InputError(f"mixture_of_experts top={top}: from 2 (a single share is always one and teaches the router nothing) to the {experts} experts.")
        self.top, self.balance, self.noise = top, balance, noise
        inputs = len(modalities) * width
        self.router = nn.Linear(inputs, experts)
        nn.init.zeros_(self.router.bias)
        self.enter = nn.Parameter(torch.randn(experts, inputs, 2 * width) / inputs**0.5)
        self.enter_bias = nn.Parameter(torch.zeros(experts, 2 * width))
        self.leave = nn.Parameter(torch.randn(experts, 2 * width, width) / (2 * width) ** 0.5)
        self.leave_bias = nn.Parameter(torch.zeros(experts, width))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        self._importance: Tensor | None = None

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The picked experts' outputs, weighted."""
        vectors = self.pooled(tokens)[0].flatten(1)
        share = self.route(self.router(vectors).float())
        self._importance = share.sum(0) if self.training else None
        hidden = self.dropout(F.gelu(torch.einsum("bi,eih->beh", vectors, self.enter) + self.enter_bias))
        each = torch.einsum("beh,eho->beo", hidden, self.leave) + self.leave_bias
        return Fused(self.norm(torch.einsum("beo,be->bo", each.float(), share)), tokens)

    def route(self, scores: Tensor) -> Tensor:
        """Scores (batch, expert) to shares (batch, expert) that sum to one over the `top` highest and are zero elsewhere."""
        if self.training and self.noise:
            scores = scores + self.noise * torch.randn_like(scores)
        picked = scores.topk(self.top, 1)
        return torch.zeros_like(scores).scatter(1, picked.indices, picked.values.softmax(1))

    def extra_loss(self) -> Tensor:
        """`balance` times the squared coefficient of variation of the experts' importance in the last batch."""
        importance, self._importance = self._importance, None  # once: a graph that is kept cannot be copied with the module
        if importance is None:
            return self.leave.new_zeros(())
        mean = importance.mean()
        return self.balance * ((importance - mean).square().mean() / mean.square().clamp(min=1e-9))


class Projection(Pooled):
    """All modalities mapped linearly to the space of one of them, and averaged there with it.

    The space is held by a loss that training adds: one minus the cosine between each projection and the vector it should come near to, where a
    sample has both (the alignment of projections in e.g. LLaVA's first stage, Liu et al. 2023, arXiv:2304.08485, with a regression in place of words).

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    onto : str
        The modality whose space it is; empty, or not among the model's: the first.
    pull : float
        Weight of the loss.
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, onto: str = "", pull: float = 0.1, dropout: float = 0.1, modality_dropout: float = 0.0
    ) -> None:
        super().__init__(modalities, width, modality_dropout, missing=False)
        self.onto = onto if onto in modalities else modalities[0]
        self.pull = pull
        self.project = nn.ModuleDict({name: nn.Linear(width, width) for name in modalities if name != self.onto})
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        self._apart: Tensor | None = None

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The mean of what is present, in the one space."""
        vectors, present = self.pooled(tokens)
        mapped = torch.stack([self.project[name](vectors[:, i]) if name in self.project else vectors[:, i] for i, name in enumerate(self.modalities)], 1)
        if self.training:
            i = self.modalities.index(self.onto)
            both = present & present[:, i : i + 1]
            both[:, i] = False
            apart = 1.0 - F.cosine_similarity(mapped.float(), vectors[:, i : i + 1].detach().float(), dim=-1, eps=1e-6)
            self._apart = (apart * both).sum() / both.sum().clamp(min=1)
        else:
            self._apart = None
        return Fused(self.norm(self.dropout(masked_mean(mapped, present))), tokens)

    def extra_loss(self) -> Tensor:
        """`pull` times the mean of one minus the cosine, in the last batch."""
        apart, self._apart = self._apart, None
        return self.norm.weight.new_zeros(()) if apart is None else self.pull * apart
