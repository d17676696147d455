"""Layers of attention to one matrix: their mean, the paths through them, and what moved the score; and how it flows between modalities."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


def mean(layers: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean over heads; of each token over the layers in which it looks around."""
    each = torch.stack([layer.mean(1) for layer in layers])
    looks = (each.sum(-1) > 0).sum(0).clamp(min=1)
    return each.sum(0) / looks[..., None]


def rollout(layers: Sequence[Tensor]) -> Tensor:
    """Attention rollout: the product over layers of (A + 1) / 2 (Abnar & Zuidema 2020, arXiv:2005.00928, equation 1).

    A token that does not look around in a layer goes through it as it is.
    """
    flow = None
    for layer in layers:
        step = _step(layer.mean(1))
        flow = step if flow is None else step @ flow
    assert flow is not None
    return flow


def relevance(layers: Sequence[Tensor]) -> Tensor:
    """R - 1, with R <- R + E_h[(grad A * A)+] R over the layers (Chefer et al. 2021, arXiv:2103.15679, equations 5 and 6).

    Layers come as (grad A * A)+. Tokens of all modalities are one set here, so that the equation for self-attention serves for attention
    across modalities, too; the normalisation of their equations 8 and 9, by each token's own context, is not applied.
    """
    one = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype, device=layers[0].device)
    flow = one.expand(len(layers[0]), -1, -1)
    for layer in layers:
        flow = flow + layer.mean(1) @ flow
    return flow - one


COMBINE: dict[str, Callable[[Sequence[Tensor]], Tensor]] = {"mean": mean, "rollout": rollout, "gradient": relevance}


def _step(mixed: Tensor) -> Tensor:
    """(A + 1) / 2 of weights (n, token, token); 1 for tokens that do not look around."""
    return 0.5 * (mixed + torch.diag_embed(2.0 - (mixed.sum(-1) > 0).to(mixed.dtype)))


def folded(flow: Tensor, order: Mapping[str, slice], relayed: bool = True) -> Tensor:
    """One matrix without the fusion's own tokens: what goes to them is passed on as they look at the modalities' tokens.

    Not so of relevances (`relayed` False), where the paths through them are in the matrix already.
    """
    if "relay" not in order:
        return flow
    relay = order["relay"]
    kept = flow[:, : relay.start, : relay.start]
    if not relayed:
        return kept
    onward = flow[:, relay, : relay.start].clone()
    onward[..., 0] = 0.0  # the class token is nobody's input
    return kept + flow[:, : relay.start, relay] @ rows(onward)


def rows(weights: Tensor) -> Tensor:
    """Rows scaled to sum to one; rows of zeros stay."""
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total.clamp(min=torch.finfo(weights.dtype).tiny), 0.0)


def between(flow: Tensor, order: Mapping[str, slice], real: Mapping[str, Tensor], modalities: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Modality-to-modality (n, m, m) and class-to-modality (n, m) shares of one matrix (n, token, token)."""
    to = torch.stack([flow[:, :, order[name]].sum(-1) for name in modalities], -1)
    found = []
    for name in modalities:
        weight = real[name].to(flow.dtype)
        found.append(torch.einsum("nqm,nq->nm", to[:, order[name]], weight) / weight.sum(1, keepdim=True).clamp(min=1))
    return rows(torch.stack(found, 1)), rows(to[:, 0])


def flows(layers: Sequence[Tensor], order: Mapping[str, slice], real: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """How attention runs between groups of tokens, layer by layer: class token, modalities, and the fusion's own tokens where it has any.

    Parameters
    ----------
    layers : sequence of Tensor, (n, head, token, token)
        Weights, or relevances (grad A * A)+.
    order : mapping of group to slice
    real : mapping of modality to bool Tensor, (n, token)

    Returns
    -------
    shares : Tensor, (n, layer, group, group)
        From row to column: the mean over a group's real tokens of the attention they give to each group. Rows sum to one, or are zero for
        groups that look at nothing in that layer.
    reaching : Tensor, (n, layer, group, group)
        What of the class token at the end came this way, with what stays where it is, as in a rollout: each layer's sum to one, and what
        leaves a group in one layer is what came to it in the layer after.
    """
    size = layers[0].shape[-1]
    member = torch.zeros(len(order), size, dtype=layers[0].dtype, device=layers[0].device)
    weight = torch.zeros(len(layers[0]), size, dtype=layers[0].dtype, device=layers[0].device)
    for i, (name, where) in enumerate(order.items()):
        member[i, where] = 1.0
        weight[:, where] = real[name].to(weight.dtype) if name in real else 1.0
    shares, reaching = [], []
    arrived = torch.zeros_like(weight)
    arrived[:, 0] = 1.0
    for layer in reversed(layers):
        looks = rows(layer.mean(1))
        shares.append(rows(torch.einsum("gq,nq,nqk,hk->ngh", member, weight, looks, member)))
        step = arrived[:, :, None] * _step(looks)
        reaching.append(torch.einsum("gq,nqk,hk->ngh", member, step, member))
        arrived = step.sum(1)
    return torch.stack(shares[::-1], 1), torch.stack(reaching[::-1], 1)
