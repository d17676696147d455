"""Fusions by attention through tokens of their own: summaries, bottlenecks, and a chain with begin marks."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.models.attention import TransformerLayer
from astrofuse_lab.models.fusion_attention import Attending, Frame
from astrofuse_lab.models.tokens import Fused, Tokens


class BilevelAttention(Attending):
    """Attention within each modality first, then across: summaries of the modalities look at each other.

    Two levels as in hierarchical attention (Yang et al. 2016, doi:10.18653/v1/N16-1174): a summary token beside the tokens of each
    modality takes up what they say, and a class token reads the summaries.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    layers, heads : int
        Layers of each level.
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, layers: int = 1, heads: int = 4, dropout: float = 0.1, modality_dropout: float = 0.0
    ) -> None:
        super().__init__(modalities, width, layers, modality_dropout)
        self.summary = nn.Parameter(0.02 * torch.randn(width))
        self.within = nn.ModuleDict({n: nn.ModuleList(TransformerLayer(width, heads, dropout=dropout) for _ in range(layers)) for n in modalities})
        self.across = nn.ModuleList(TransformerLayer(width, heads, dropout=dropout) for _ in range(layers))

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The class token at the end; maps within each modality, layer by layer, then those across."""
        first, real, states = self.begin(tokens)
        frame = Frame(tokens, {f"summary {name}": 1 for name in tokens})
        summaries = []
        for name, one in states.items():
            sequence = torch.cat([self.summary.expand_as(first) + self.name[name], one], 1)
            mask = torch.cat([real, tokens[name].mask], 1)
            where = [f"summary {name}", f"of {name}"]
            own: Any = self.within[name]
            for i, layer in enumerate(own):
                raw: list[Tensor] | None = [] if attention else None
                sequence = layer(sequence, mask, raw, None if attention or i < len(self.across) - 1 else 1)
                frame.add(raw or (), where, where)
            summaries.append(sequence[:, :1])
        sequence = torch.cat([first, *summaries], 1)
        mask = torch.cat([real, *(one.mask.any(1, keepdim=True) for one in tokens.values())], 1)
        where = ["class", *(f"summary {name}" for name in tokens)]
        for i, layer in enumerate(self.across):
            raw = [] if attention else None
            sequence = layer(sequence, mask, raw, None if attention or i < len(self.across) - 1 else 1)
            frame.add(raw or (), where, where)
        return Fused(self.norm(sequence[:, 0]), tokens, frame.named())


class BottleneckAttention(Attending):
    """Modalities speak to each other through a few bottleneck tokens only.

    Nagrani et al. 2021 (arXiv:2107.00135, equations 8 and 9): in each layer every modality attends to its own tokens and the bottleneck, and
    the bottleneck goes on as the mean of what the modalities that are there made of it. A class token reads bottleneck and tokens at the end.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    bottlenecks : int
        Tokens of the bottleneck.
    layers, heads : int
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, bottlenecks: int = 4, layers: int = 2, heads: int = 4, dropout: float = 0.1,
        modality_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(modalities, width, layers, modality_dropout)
        self.bottleneck = nn.Parameter(0.02 * torch.randn(bottlenecks, width))
        self.layers = nn.ModuleList(nn.ModuleDict({n: TransformerLayer(width, heads, dropout=dropout) for n in modalities}) for _ in range(layers))
        self.read = TransformerLayer(width, heads, dropout=dropout)

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The class token at the end; a map a layer and modality, then that of the class token's look at all."""
        first, real, states = self.begin(tokens)
        count = len(self.bottleneck)
        frame, neck = Frame(tokens, {"bottleneck": count}), self.bottleneck.expand(len(first), -1, -1)
        open_ = real.expand(-1, count)
        there = {name: one.mask.any(1)[:, None, None].to(one.values.dtype) for name, one in tokens.items()}
        blocks: Any = self.layers
        for block in blocks:
            total, sharing = torch.zeros_like(neck), torch.zeros_like(neck[:, :1, :1])
            for name in states:
                raw: list[Tensor] | None = [] if attention else None
                out = block[name](torch.cat([neck, states[name]], 1), torch.cat([open_, tokens[name].mask], 1), raw)
                where = ["bottleneck", f"of {name}"]
                frame.add(raw or (), where, where)
                states[name] = out[:, count:]
                total, sharing = total + out[:, :count] * there[name], sharing + there[name]
            neck = torch.where(sharing > 0, total / sharing.clamp(min=1.0), neck)
        raw = [] if attention else None
        mask = torch.cat([real, open_, *(one.mask for one in tokens.values())], 1)
        last = self.read(torch.cat([first, neck, *states.values()], 1), mask, raw, 1)
        frame.add(raw or (), ["class"], ["class", "bottleneck", *(f"of {name}" for name in tokens)])
        return Fused(self.norm(last[:, 0]), tokens, frame.named())


class TokenChain(Attending):
    """All tokens in one chain, modality after modality, each begun by its mark; every token sees what came before it.

    The sequence of multimodal transformers that chain the tokens of surveys (AION-1, Parker et al. 2025, arXiv:2510.17960, whose encoder is
    ``causal=False``). A class token at the end of the chain has seen everything and is the fused vector.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    causal : bool
        False: every token sees all.
    layers, heads : int
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, causal: bool = True, layers: int = 2, heads: int = 4, dropout: float = 0.1,
        modality_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(modalities, width, layers, modality_dropout)
        self.causal = causal
        self.mark = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in modalities})
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout=dropout) for _ in range(layers))

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The class token at the end; one map a layer."""
        last, real, states = self.begin(tokens)
        frame = Frame(tokens, {f"mark {name}": 1 for name in tokens})
        parts, masks, where = [], [], []
        for name in (n for n in self.modalities if n in tokens):
            there = tokens[name].mask.any(1, keepdim=True)
            parts += [self.mark[name].expand_as(last), states[name]]
            masks += [there, tokens[name].mask]
            where += [f"mark {name}", f"of {name}"]
        sequence, mask, where = torch.cat([*parts, last], 1), torch.cat([*masks, real], 1), [*where, "class"]
        if self.causal:
            mask = mask[:, None] & torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device).tril()
        for layer in self.layers:
            raw: list[Tensor] | None = [] if attention else None
            sequence = layer(sequence, mask, raw)
            frame.add(raw or (), where, where)
        return Fused(self.norm(sequence[:, -1]), tokens, frame.named())
