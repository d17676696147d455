"""The one attention of all models: a fused kernel to compute with, explicit weights only when asked for.

Scaled dot-product attention, softmax(Q K^T / sqrt(d)) V (Vaswani et al. 2017, arXiv:1706.03762). Masks are bool, True
where a key is real. A query that sees no real key gets zeros, never NaN.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Attention by PyTorch's fused kernel.

    Parameters
    ----------
    query : Tensor, (batch, head, query, width)
    key, value : Tensor, (batch, head, key, width)
    mask : bool Tensor, (batch, key) or (batch, query, key), optional
        True where the key is real, and seen by the query.
    bias : Tensor, (batch or 1, head or 1, query, key), optional
        Added to the scores, e.g. by distance; see `models.distance`.

    Returns
    -------
    Tensor, (batch, head, query, width)
        Zero for queries without a real key.
    """
    if mask is None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=None if bias is None else bias.to(query.dtype))
    seen = _seen(mask)
    some = seen.any(-1, keepdim=True)
    # a row without any key has no softmax; it sees all keys instead, and its result is set to zero
    applied = F.scaled_dot_product_attention(query, key, value, attn_mask=_added(seen | ~some, bias, query.dtype))
    return applied * some


def _seen(mask: Tensor) -> Tensor:
    """(batch, key) or (batch, query, key) to (batch, 1, query or 1, key)."""
    return mask[:, None, None, :] if mask.ndim == 2 else mask[:, None]


def _added(seen: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    return seen if bias is None else torch.where(seen, bias.to(dtype), -torch.inf)


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """The weights that `attend` applies: ``attention_weights(q, k, mask) @ v`` equals ``attend(q, k, v, mask)``.

    Returns
    -------
    Tensor, (batch, head, query, key)
        float32. Rows sum to one; all zero for queries without a real key.
    """
    scores = (query.float() @ key.float().transpose(-2, -1)) / math.sqrt(query.shape[-1])
    if bias is not None:
        scores = scores + bias.float()
    if mask is None:
        return scores.softmax(-1)
    real = _seen(mask)
    return torch.where(real, scores, torch.finfo(scores.dtype).min).softmax(-1) * real


def attend_and_tell(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, bias: Tensor | None = None, maps: list[Tensor] | None = None
) -> Tensor:
    """`attend`, with the weights appended to `maps` where it is given.

    While gradients are on, the weights asked for are themselves applied, without the fused kernel: a backward pass then leaves in the ``grad`` of
    each map how the result changes with each weight.
    """
    if maps is None:
        return attend(query, key, value, mask, bias)
    weights = attention_weights(query, key, mask, bias)
    maps.append(weights)
    return applied(weights, value) if weights.requires_grad else attend(query, key, value, mask, bias)


def applied(weights: Tensor, value: Tensor) -> Tensor:
    """Weights (batch, head, query, key) times values, keeping the gradient of the weights."""
    weights.retain_grad()
    return weights.to(value.dtype) @ value


def tell_gradient(raw: Tensor, laid: Tensor, lay: Callable[[Tensor], Tensor]) -> None:
    """When a backward pass reaches the weights `raw`, lay their gradient out as `laid` was, and keep it as its ``grad``."""
    if raw.requires_grad:
        raw.register_hook(lambda gradient: setattr(laid, "grad", lay(gradient)))


def check_heads(width: int, heads: int) -> None:
    """InputError unless the heads divide the width."""
    if heads < 1 or width % heads:
        raise InputError(f"heads={heads} does not divide the width {width}. Take one of {[n for n in (1, 2, 4, 8, 16) if width % n == 0]}.")


class SelfAttention(nn.Module):
    """Attention of a set of tokens to itself, with several heads.

    Parameters
    ----------
    width : int
        Width of the tokens; a multiple of `heads`.
    heads : int
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, maps: list[Tensor] | None = None, first: int | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """Tokens (batch, token, width) to tokens.

        Parameters
        ----------
        tokens : Tensor, (batch, token, width)
        mask : bool Tensor, (batch, token) or (batch, query, token), optional
        maps : list, optional
            Where given, the weights are appended to it.
        first : int, optional
            Only the first tokens look around; None: all. Mask by query and bias are of all tokens nevertheless.
        bias : Tensor, (batch or 1, head or 1, token, token), optional
            Added to the scores.
        """
        batch, count, width = tokens.shape
        query, key, value = self.project(tokens).view(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query = query[:, :, :first]
        if mask is not None and mask.ndim == 3:
            mask = mask[:, :first]
        if bias is not None:
            bias = bias[:, :, :first]
        seen = attend_and_tell(query, key, value, mask, bias, maps)
        return self.out(seen.transpose(1, 2).reshape(batch, query.shape[2], width))


class FeatureDropout(nn.Module):
    """Dropout that takes the same features from all tokens of a sample (Gal & Ghahramani 2016, arXiv:1512.05287).

    One coin a feature in place of one a number: on a CPU the coins cost as much as the layer they regularise.

    Parameters
    ----------
    share : float
        Share of the features set to zero while training.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, token, width) to the same shape."""
        if not self.training or self.share == 0.0:
            return tokens
        return tokens * F.dropout(tokens.new_ones(len(tokens), 1, tokens.shape[2]), self.share)


class TransformerLayer(nn.Module):
    """Attention, then an MLP on each token, each on normalised tokens and added to them (pre-norm, arXiv:2002.04745).

    Parameters
    ----------
    width, heads : int
    expansion : int
        Width of the MLP's hidden layer, in widths.
    dropout : float
        Share of each branch's features set to zero while training; attention weights themselves are never dropped, so
        that what is shown is what was applied.
    """

    def __init__(self, width: int, heads: int = 4, expansion: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))
        self.dropout = FeatureDropout(dropout)

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, maps: list[Tensor] | None = None, first: int | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """Tokens (batch, token, width) to tokens, or to the `first` of them; see `SelfAttention`."""
        tokens = tokens[:, :first] + self.dropout(self.attention(self.attention_norm(tokens), mask, maps, first, bias))
        return tokens + self.dropout(self.mlp(tokens))


class CrossAttention(nn.Module):
    """Attention of one set of tokens to another, with several heads.

    Parameters
    ----------
    width : int
        Width of the tokens; a multiple of `heads`.
    heads : int
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.project = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, others: Tensor, mask: Tensor | None = None, maps: list[Tensor] | None = None) -> Tensor:
        """What `tokens` (batch, query, width) see in `others` (batch, key, width), with their mask (batch, key)."""
        batch, count, width = tokens.shape
        query = self.query(tokens).view(batch, count, self.heads, -1).transpose(1, 2)
        key, value = self.project(others).view(batch, others.shape[1], 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = attend_and_tell(query, key, value, mask, maps=maps)
        return self.out(seen.transpose(1, 2).reshape(batch, count, width))
