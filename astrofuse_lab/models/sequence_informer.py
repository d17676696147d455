"""The Informer: attention for the few queries that have something to look at, and sequences that get shorter from layer to layer."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import SelfAttention, TransformerLayer, applied, attend, attention_weights
from astrofuse_lab.models.encoder import one_each, place_of
from astrofuse_lab.models.sequence_tokens import Cells, Patches, SequenceEncoder, in_order
from astrofuse_lab.models.tokens import InputLayout, Tokens


class ProbSparseAttention(SelfAttention):
    """Self-attention in which only the queries that differ most between keys are computed; the others take the mean of all values.

    Zhou et al. 2021 (arXiv:2012.07436), equation 4: the queries of largest max(q k) - mean(q k) over a sample of keys; of n real tokens
    ``factor * ceil(ln n)`` queries are computed, and as many keys sampled. Where the paper samples keys at random, these are spread evenly over
    the real ones, so that the same input gives the same answer.

    Parameters
    ----------
    width, heads : int
    factor : int
    """

    def __init__(self, width: int, heads: int, factor: int) -> None:
        super().__init__(width, heads)
        self.factor = factor

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, maps: list[Tensor] | None = None, first: int | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """Tokens (batch, token, width) to as many; see `SelfAttention`. In `maps`, the row of a query that was not computed is uniform over real keys."""
        if first is not None or bias is not None or (mask is not None and mask.ndim != 2):
            raise InputError("sparse attention is between all tokens of one mask, without a bias. Use SelfAttention for the rest.")
        batch, count, width = tokens.shape
        query, key, value = self.project(tokens).view(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mask = tokens.new_ones(batch, count, dtype=torch.bool) if mask is None else mask
        share = (mask / mask.sum(1, keepdim=True).clamp(min=1))[:, None, None, :].to(value.dtype)
        rows, computed = self.choose(query, key, mask)
        chosen = query.gather(2, rows[..., None].expand(-1, -1, -1, query.shape[-1]))
        mean = share @ value
        seen = torch.where(computed[..., None], attend(chosen, key, value, mask).to(value.dtype), mean)
        mixed = mean.expand_as(value).scatter(2, rows[..., None].expand_as(seen), seen)
        if maps is not None:
            uniform = share.float().expand(-1, self.heads, count, -1)
            weights = torch.where(computed[..., None], attention_weights(chosen, key, mask), share.float())
            maps.append(uniform.scatter(2, rows[..., None].expand_as(weights), weights))
            if maps[-1].requires_grad:
                mixed = applied(maps[-1], value)
        return self.out(mixed.transpose(1, 2).reshape(batch, count, width))

    def most(self, count: int) -> int:
        """Queries computed, and keys sampled, of so many real tokens."""
        return min(count, self.factor * math.ceil(math.log(max(count, 1))))

    @torch.no_grad()
    def choose(self, query: Tensor, key: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The queries to compute, (batch, head, row), and which of these rows count for their sample: a short one has fewer."""
        real = mask.sum(1, keepdim=True)
        each = torch.minimum(real, self.factor * real.clamp(min=1).log().ceil().long())
        index = torch.arange(max(self.most(mask.shape[1]), 1), device=mask.device)
        inside = (index < each)[:, None, :]
        # the sample: ranks among the real keys, evenly spread
        rank = (index * real) // each.clamp(min=1)
        place = in_order((~mask).to(torch.int8).argsort(dim=1, stable=True), rank.clamp(max=mask.shape[1] - 1))
        sample = key.gather(2, place[:, None, :, None].expand(-1, key.shape[1], -1, key.shape[-1]))
        scores = (query @ sample.transpose(-2, -1)).float() / math.sqrt(query.shape[-1])
        largest = scores.masked_fill(~inside[:, :, None], -torch.inf).amax(-1)
        mean = scores.masked_fill(~inside[:, :, None], 0.0).sum(-1) / each.clamp(min=1)[:, None]
        rows = (largest - mean).masked_fill(~mask[:, None], -torch.inf).topk(len(index), -1).indices
        return rows, inside.expand_as(rows)


class Distilling(nn.Module):
    """Half as many tokens: a convolution over three, then the larger of each two (Zhou et al. 2021, equation 5).

    Pairs that do not overlap where the paper's overlap by one, so that padding cannot reach into them; no batch normalisation.

    Parameters
    ----------
    width : int
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.along = nn.Conv2d(width, width, (1, 3), padding=(0, 1))

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (batch, token, width) and their mask to half as many."""
        line = (tokens * mask[..., None]).transpose(1, 2)[:, :, None]
        features = F.elu(self.along(line))[:, :, 0].transpose(1, 2)
        odd = (0, features.shape[1] % 2)
        pairs = F.pad(features.masked_fill(~mask[..., None], -torch.inf), (0, 0, *odd), value=-torch.inf).unflatten(1, (-1, 2))
        kept = F.pad(mask, odd).unflatten(1, (-1, 2)).any(2)
        return pairs.amax(2).masked_fill(~kept[..., None], 0.0), kept


def _halved(box: Tensor) -> Tensor:
    last = torch.arange(1, len(box) + 1, 2, device=box.device).clamp(max=len(box) - 1)
    return torch.stack([box[::2, 0], box[last, 1]], 1)


class InformerEncoder(SequenceEncoder):
    """Light curves, series and spectra to tokens by sparse attention, with half as many tokens after each layer but the last.

    Parameters
    ----------
    layout : InputLayout
    width : int
    layers, heads : int
    factor : int
        Queries that a layer computes, in logarithms of the length; see `ProbSparseAttention`.
    distil : bool
        Halve the tokens between layers. Tokens of a light curve then stand for neighbouring epochs in order of time, and their places count
        these: where masked epochs lie between real ones, places are those of the real ones alone. False: one token an epoch.
    patch : int
        Pixels or samples of a token of a spectrum or series.
    tokens : int
        Tokens of a spectrum or series that are given, at most; more are pooled.
    dropout : float
    """

    kinds = ("light_curve", "series", "spectrum")
    attends = True

    def __init__(
        self, layout: InputLayout, width: int, *, layers: int = 2, heads: int = 4, factor: int = 5, distil: bool = True, patch: int = 16, tokens: int = 16,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, patch, tokens, ordered=layout.kind == "light_curve")
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout=dropout) for _ in range(layers))
        for layer in self.layers:
            layer.attention = ProbSparseAttention(width, heads, factor)
        self.distil = nn.ModuleList(Distilling(width) for _ in range(layers - 1 if distil else 0))
        if isinstance(self.embed, Patches):
            box = self._distilled(self.embed.box)
            self.cells = Cells(box, min(tokens, len(box)))

    def _distilled(self, box: Tensor) -> Tensor:
        for _ in self.distil:
            box = _halved(box)
        return box

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask by kind to tokens in order of time or axis."""
        tokens, seen, days, order = self.read(values, mask)
        box = self.embed.box if isinstance(self.embed, Patches) else one_each("epoch", mask.shape[1])["box"]
        keys = []
        for i, layer in enumerate(self.layers):
            tokens = layer(tokens, seen, maps)
            keys.append(box)
            if i < len(self.distil):
                tokens, seen = self.distil[i](tokens, seen)
                box = _halved(box)
        told = {} if maps is None else {"keys": keys, **({} if order is None else {"order": order})}
        if order is not None and not len(self.distil):
            back = order.argsort(1)
            tokens, seen = in_order(tokens, back), in_order(seen, back)
            days = None if days is None else in_order(days, back)
        if self.cells is not None:
            tokens, seen = self.cells(tokens, seen)
        return Tokens(self.norm(tokens), seen, {**self.place(days), **told})

    def place(self, days: Tensor | None) -> dict[str, Any]:
        """Where the tokens that are given lie; of halved epochs, the time is that of the first."""
        if isinstance(self.embed, Patches):
            return super().place(None)
        assert days is not None
        box = self._distilled(one_each("epoch", days.shape[1])["box"])
        return {**place_of(("epoch",), box), "coordinates": {"time": days[:, :: 2 ** len(self.distil)]}}
