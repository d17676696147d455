"""Fusions by attention: tokens of all modalities look at each other, and a class token reads what came of it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import CrossAttention, FeatureDropout, TransformerLayer, tell_gradient
from astrofuse_lab.models.distance import DistanceBias
from astrofuse_lab.models.fusion import Fusion
from astrofuse_lab.models.tokens import Fused, Tokens


class Frame:
    """Where every token lies along the axes of the maps: class token, the modalities' tokens in order, then the fusion's own ("relays").

    A layer whose queries or keys are some of them only is laid into zeros, so that all maps of a fusion have one shape; a token that does not
    look around in a layer has a row of zeros there.

    Parameters
    ----------
    tokens : mapping of modality to Tokens
    relays : mapping of name to int
        The fusion's own tokens, and how many each stands for.
    """

    def __init__(self, tokens: Mapping[str, Tokens], relays: Mapping[str, int] | None = None) -> None:
        sizes = {"class": 1, **{f"of {name}": one.mask.shape[1] for name, one in tokens.items()}, **(relays or {})}
        self.at: dict[str, range] = {}
        self.size = 0
        for name, count in sizes.items():
            self.at[name] = range(self.size, self.size + count)
            self.size += count
        self.maps: list[Tensor] = []

    def add(self, raw: Sequence[Tensor], queries: Sequence[str], keys: Sequence[str]) -> None:
        """Keep the map that a layer appended, if it was asked for one: (batch, head, query, key) of these tokens."""
        if not raw:
            return
        rows, columns = (torch.tensor([place for name in names for place in self.at[name]], device=raw[-1].device) for names in (queries, keys))

        def lay(weights: Tensor) -> Tensor:
            laid = weights.new_zeros(*weights.shape[:2], self.size, self.size)
            laid[:, :, rows[:, None], columns[None]] = weights
            return laid

        self.maps.append(lay(raw[-1].detach()))
        tell_gradient(raw[-1], self.maps[-1], lay)

    def named(self) -> dict[str, Tensor]:
        """The maps as `Fused.attention` holds them."""
        return {f"fusion.{i}": one for i, one in enumerate(self.maps)}


class Attending(Fusion):
    """Base of the fusions by attention: a class token, and a vector that tells each modality's tokens from the others'."""

    attends = True

    def __init__(self, modalities: tuple[str, ...], width: int, layers: int, modality_dropout: float) -> None:
        super().__init__(modalities, width, modality_dropout)
        if layers < 1:
            raise InputError(f"layers={layers}: a fusion by attention needs at least one.")
        self.class_token = nn.Parameter(0.02 * torch.randn(width))
        self.name = nn.ParameterDict({name: nn.Parameter(0.02 * torch.randn(width)) for name in modalities})
        self.norm = nn.LayerNorm(width)

    def begin(self, tokens: Mapping[str, Tokens]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The class token (batch, 1, width), its mask, and the states of each modality's tokens."""
        some = next(iter(tokens.values()))
        batch = len(some.values)
        return self.class_token.expand(batch, 1, -1), some.mask.new_ones(batch, 1), {name: one.values + self.name[name] for name, one in tokens.items()}


class CrossLayer(nn.Module):
    """Tokens look at others, then an MLP on each: `TransformerLayer` with two sets."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.query_norm, self.key_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = FeatureDropout(dropout)

    def forward(self, tokens: Tensor, others: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """Tokens (batch, query, width) after a look at others (batch, key, width) with their mask."""
        tokens = tokens + self.dropout(self.attention(self.query_norm(tokens), self.key_norm(others), mask, maps))
        return tokens + self.dropout(self.mlp(tokens))


class JointAttention(Attending):
    """Self-attention between the tokens of all modalities and a class token, whose last state is the fused vector.

    Every token may look at every other, of its own modality and of the others; tokens of a missing modality are masked.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    layers, heads : int
    distance : bool
        Scores fall with the distance on the sky, in wavelength and in time, by slopes that each head learns; see `DistanceBias`.
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, layers: int = 2, heads: int = 4, distance: bool = False, dropout: float = 0.1,
        modality_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(modalities, width, layers, modality_dropout)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout=dropout) for _ in range(layers))
        self.distance = DistanceBias(modalities, heads) if distance else None

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The class token after all layers; one map a layer, ``fusion.0`` the first, where asked for."""
        first, real, states = self.begin(tokens)
        sequence = torch.cat([first, *states.values()], 1)
        mask = torch.cat([real, *(one.mask for one in tokens.values())], 1)
        bias = None if self.distance is None else self.distance(tokens, 1)
        maps: list[Tensor] | None = [] if attention else None
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            # only the class token is read after the last layer; the others look around there when their maps are asked for
            sequence = layer(sequence, mask, maps, 1 if i == last and maps is None else None, bias)
        return Fused(self.norm(sequence[:, 0]), tokens, {f"fusion.{i}": one for i, one in enumerate(maps or ())})


class OneWayAttention(Attending):
    """One modality asks the others: its tokens and a class token look at theirs, then at each other.

    Cross-attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3) and self-attention after it, the two levels of Wei et al. 2023
    (PASP 135, 084501), where a spectrum guides the look at an image. Where the asking modality is missing, the class token asks alone.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    query : str
        The modality that asks; empty, or not among the model's: the first.
    layers, heads : int
        Of looks at the others.
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, query: str = "", layers: int = 2, heads: int = 4, dropout: float = 0.1,
        modality_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(modalities, width, layers, modality_dropout)
        self.query = query if query in modalities else modalities[0]
        self.layers = nn.ModuleList(CrossLayer(width, heads, dropout) for _ in range(layers))
        self.settle = TransformerLayer(width, heads, dropout=dropout)

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The class token at the end; one map a look, and one of the self-attention."""
        first, real, states = self.begin(tokens)
        frame, own, others = Frame(tokens), [n for n in tokens if n == self.query], [n for n in tokens if n != self.query]
        asking = torch.cat([first, *(states[name] for name in own)], 1)
        # the class token is among the keys, so that there is one where no other modality is
        seen = torch.cat([real, *(tokens[name].mask for name in others)], 1)
        for layer in self.layers:
            raw: list[Tensor] | None = [] if attention else None
            asking = layer(asking, torch.cat([asking[:, :1], *(states[name] for name in others)], 1), seen, raw)
            frame.add(raw or (), ["class", *(f"of {n}" for n in own)], ["class", *(f"of {n}" for n in others)])
        raw = [] if attention else None
        after = self.settle(asking, torch.cat([real, *(tokens[name].mask for name in own)], 1), raw, None if attention else 1)
        both = ["class", *(f"of {n}" for n in own)]
        frame.add(raw or (), both, both)
        return Fused(self.norm(after[:, 0]), tokens, frame.named())


class CoLayer(nn.Module):
    """Every modality's tokens look at every other's, then an MLP a modality."""

    def __init__(self, modalities: tuple[str, ...], width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.ModuleDict({name: nn.LayerNorm(width) for name in modalities})
        self.look = nn.ModuleDict({f"{a} at {b}": CrossAttention(width, heads) for a in modalities for b in modalities if a != b})
        self.mlp = nn.ModuleDict(
            {n: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for n in modalities}
        )
        self.dropout = FeatureDropout(dropout)

    def forward(self, states: Mapping[str, Tensor], tokens: Mapping[str, Tokens], frame: Frame | None) -> dict[str, Tensor]:
        """States of each modality's tokens after a look at the others; the maps go to `frame`."""
        there = {name: one.mask.any(1)[:, None, None].to(one.values.dtype) for name, one in tokens.items()}
        calm = {name: self.norm[name](one) for name, one in states.items()}
        out = {}
        for a in states:
            total, partners = torch.zeros_like(states[a]), torch.zeros_like(there[a])
            for b in (name for name in states if name != a):
                raw: list[Tensor] | None = None if frame is None else []
                total = total + self.look[f"{a} at {b}"](calm[a], calm[b], tokens[b].mask, raw) * there[b]
                partners = partners + there[b]
                if frame is not None:
                    frame.add(raw or (), [f"of {a}"], [f"of {b}"])
            after = states[a] + self.dropout(total / partners.clamp(min=1.0))
            out[a] = after + self.dropout(self.mlp[a](after))
        return out


class CoAttention(Attending):
    """Every modality looks at every other, pair by pair and both ways; then a class token reads all.

    The co-attention of ViLBERT (Lu et al. 2019, arXiv:1908.02265) for any number of modalities: what a token sees in the modalities that are
    there is averaged, so that a missing one does not change the scale.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    layers, heads : int
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, layers: int = 1, heads: int = 4, dropout: float = 0.1, modality_dropout: float = 0.0
    ) -> None:
        super().__init__(modalities, width, layers, modality_dropout)
        self.layers = nn.ModuleList(CoLayer(modalities, width, heads, dropout) for _ in range(layers if len(modalities) > 1 else 0))
        self.read = TransformerLayer(width, heads, dropout=dropout)

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The class token at the end; a map a layer and ordered pair, then that of the class token's look at all."""
        first, real, states = self.begin(tokens)
        frame = Frame(tokens)
        for layer in self.layers:
            states = layer(states, tokens, frame if attention else None)
        raw: list[Tensor] | None = [] if attention else None
        mask = torch.cat([real, *(one.mask for one in tokens.values())], 1)
        last = self.read(torch.cat([first, *states.values()], 1), mask, raw, 1)
        frame.add(raw or (), ["class"], ["class", *(f"of {name}" for name in tokens)])
        return Fused(self.norm(last[:, 0]), tokens, frame.named())
