"""Feature-level fusion: tokens of all modalities to one vector, whatever subset of them a sample has."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.tokens import Fused, Tokens


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real tokens: (batch, token, width) and (batch, token) to (batch, width); zero where there is none."""
    weight = mask.to(values.dtype)
    return torch.einsum("btw,bt->bw", values, weight) / weight.sum(1, keepdim=True).clamp(min=1.0)


class Fusion(nn.Module):
    """Base of all fusions.

    Parameters
    ----------
    modalities : tuple of str
    width : int
    modality_dropout : float
        Chance that a modality of a sample is masked while training, so that the model learns to do without it
        (ModDrop, Neverova et al. 2015, arXiv:1501.00102). A sample always keeps one of those it has.

    Attributes
    ----------
    attends : bool
        True where it has attention.
    vector_width : int
        Of the vector it gives.
    fits : bool
        True while its `fit` is to be called before the next epoch, with tokens of training samples and their targets.
    """

    attends: ClassVar[bool] = False

    def __init__(self, modalities: tuple[str, ...], width: int, modality_dropout: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= modality_dropout < 1.0:
            raise InputError(f"modality_dropout={modality_dropout}: a share between 0 and 1, e.g. 0.2.")
        self.modalities = modalities
        self.width = self.vector_width = width
        self.modality_dropout = modality_dropout

    def meet(self, widths: Mapping[str, int]) -> None:
        """Learn how wide each stream's tokens are; InputError where the fusion needs all alike."""
        for name, one in widths.items():
            if one != self.width:
                raise InputError(f"the tokens of {name!r} are {one} wide, and this fusion needs {self.width}: leave its encoder's project=True, or use Part('join').")

    @property
    def fits(self) -> bool:
        """True while `fit` has something to work out before the next epoch."""
        return False

    def forward(self, tokens: Mapping[str, Tokens], attention: bool = False) -> Fused:
        """Tokens of any subset of the modalities to one vector a sample."""
        return self.fuse(self.drop(tokens), attention)

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """What a subclass does; tokens come with dropped modalities masked."""
        raise NotImplementedError

    def fit(self, tokens: Mapping[str, Tokens], target: Tensor) -> None:
        """Work out from training samples what gradients do not: see `Discriminant`."""

    def drop(self, tokens: Mapping[str, Tokens]) -> Mapping[str, Tokens]:
        """Mask modalities at random while training; else the tokens as they are."""
        if not self.training or self.modality_dropout == 0.0 or len(tokens) < 2:
            return tokens
        present = torch.stack([one.mask.any(1) for one in tokens.values()], 1)
        luck = torch.rand(present.shape, device=present.device).masked_fill(~present, -1.0)
        # a modality stays when it is lucky enough, or the luckiest of its sample
        keep = (luck >= self.modality_dropout) | (luck == luck.amax(1, keepdim=True))
        return {name: one._replace(mask=one.mask & keep[:, i, None]) for i, (name, one) in enumerate(tokens.items())}


class Pooled(Fusion):
    """One vector a modality: the mean of its real tokens, or a learned vector (or zeros) where it is missing."""

    def __init__(self, modalities: tuple[str, ...], width: int, modality_dropout: float = 0.0, *, missing: bool = True) -> None:
        super().__init__(modalities, width, modality_dropout)
        self.missing = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in modalities}) if missing else None

    def pooled(self, tokens: Mapping[str, Tokens]) -> tuple[Tensor, Tensor]:
        """Vectors (batch, modality, width) and which are present (batch, modality)."""
        some = next(iter(tokens.values()))
        vectors, present = [], []
        for name in self.modalities:
            empty = some.values.new_zeros(self.width) if self.missing is None else self.missing[name]
            empty = empty.expand(len(some.values), -1)
            there = tokens[name].mask.any(1) if name in tokens else some.mask.new_zeros(len(some.mask))
            vectors.append(torch.where(there[:, None], masked_mean(*tokens[name][:2]), empty) if name in tokens else empty)
            present.append(there)
        return torch.stack(vectors, 1), torch.stack(present, 1)


class Concatenation(Pooled):
    """Modality vectors side by side, then an MLP (late or joint fusion).

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
        self.mix = nn.Sequential(
            nn.Linear(len(modalities) * width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width), nn.LayerNorm(width)
        )

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The vectors of all modalities, mixed."""
        return Fused(self.mix(self.pooled(tokens)[0].flatten(1)), tokens)


class Gated(Pooled):
    """Gated multimodal unit: every modality's vector is weighted, number by number, by gates that see all of them.

    Arevalo et al. 2017 (arXiv:1702.01992), equations 1 to 5 for any number of modalities; here the sum is divided by the
    sum of the gates of the modalities present, so that a missing one does not change its scale.

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
        self.content = nn.ModuleDict({name: nn.Sequential(nn.Linear(width, width), nn.Tanh()) for name in modalities})
        self.gate = nn.Linear(len(modalities) * width, len(modalities) * width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The gated mean over the modalities present."""
        vectors, present = self.pooled(tokens)
        gates = self.gate(vectors.flatten(1)).view(vectors.shape).sigmoid() * present[..., None]
        content = torch.stack([self.content[name](vectors[:, i]) for i, name in enumerate(self.modalities)], 1)
        return Fused(self.norm(self.dropout((gates * content).sum(1)) / (gates.sum(1) + 0.1)), tokens)
