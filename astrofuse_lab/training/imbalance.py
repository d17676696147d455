"""Which modality a model ignores: how much worse it does when a modality's tokens are those of another sample, or are not there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from astrofuse_lab.models.build import FusionModel
    from astrofuse_lab.models.tokens import Tokens
    from astrofuse_lab.samples.preparation import Batch
    from astrofuse_lab.training.feed import Feed
    from astrofuse_lab.training.objectives import Objective

IGNORED = 0.02
"""A modality whose exchange costs less than this share of the loss that is saved by all together is ignored."""
ROWS = 128
"""Validation samples looked at after each epoch."""
FEWEST = 8
"""Samples that have a modality, to say something of it."""


@dataclass(frozen=True)
class Use:
    """How much a model uses a modality, on one batch.

    Attributes
    ----------
    cost : float
        How much the mean loss of the samples that have it rises when its tokens are those of other samples: zero for what is ignored.
    error : float
        Standard error of `cost`.
    share : float
        `cost` over the sum of all modalities', where that is positive; NaN where nothing is used.
    gradient : float
        Mean length of the loss's gradient with respect to its tokens, over that of all modalities (one: as strong as the mean). What trains its
        encoder; small where another modality already explains the target (Peng et al. 2022, arXiv:2203.15332).
    samples : int
        That have the modality.
    """

    cost: float
    error: float
    share: float
    gradient: float
    samples: int


def modality_use(model: "FusionModel", batch: "Batch", target: Tensor, objective: "Objective", seed: int = 0) -> dict[str, Use]:
    """How much a model uses each of its streams (modalities, or what is stacked of them).

    Two more passes of fusion and head a modality; encoders run once, and nothing of the model changes. Tokens are exchanged between the samples that
    have the modality (permutation importance, Breiman 2001, doi:10.1023/A:1010933404324, on tokens), so what it says is lost and all else stays as it is.

    Parameters
    ----------
    model : FusionModel
    batch : Batch
        Validation samples, some hundreds.
    target : Tensor, (sample, ...)
        As `Problem` encodes them.
    objective : Objective
    seed : int
        Of the exchange.

    Returns
    -------
    dict of stream to Use
        Of those that at least eight samples have.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            tokens, _ = model.encode(batch.values, batch.masks, batch.present)
            before = objective.of(model.predict(tokens), target)
        lengths = _gradients(model, tokens, target, objective)
        luck = torch.Generator().manual_seed(seed)
        costs: dict[str, tuple[float, float, int]] = {}
        for name, one in tokens.items():
            there = one.mask.any(1).nonzero()[:, 0]
            if len(there) < FEWEST:
                continue
            with torch.no_grad():
                rise = (objective.of(model.predict({**tokens, name: _exchanged(one, there, luck)}), target) - before)[there].double()
            costs[name] = float(rise.mean()), float(rise.std() / len(rise) ** 0.5), len(there)
    finally:
        model.train(training)
    total = sum(max(cost, 0.0) for cost, _, _ in costs.values())
    mean = sum(lengths[name] for name in costs) / max(len(costs), 1)
    return {
        name: Use(cost, error, cost / total if total > 0 else float("nan"), lengths[name] / mean if mean > 0 else float("nan"), count)
        for name, (cost, error, count) in costs.items()
    }


def _exchanged(one: "Tokens", there: Tensor, luck: torch.Generator) -> "Tokens":
    """Tokens of the samples `there` given round: each gets another's, with its mask and place."""
    order = there[torch.randperm(len(there), generator=luck).to(there.device)]
    given = order.roll(1)
    values, mask, place = one.values.clone(), one.mask.clone(), dict(one.place)
    values[order], mask[order] = one.values[given], one.mask[given]
    if "coordinates" in place:
        place["coordinates"] = {name: _swapped(where, order, given) for name, where in place["coordinates"].items()}
    return one._replace(values=values, mask=mask, place=place)


def _swapped(where: Tensor, order: Tensor, given: Tensor) -> Tensor:
    out = where.clone()
    out[order] = where[given]
    return out


def _gradients(model: "FusionModel", tokens: Mapping[str, "Tokens"], target: Tensor, objective: "Objective") -> dict[str, float]:
    """Mean over the samples that have it of the length of the loss's gradient with respect to each stream's tokens."""
    with torch.enable_grad():
        leaves = {name: one._replace(values=one.values.detach().requires_grad_(True)) for name, one in tokens.items()}
        loss = objective.of(model.predict(leaves), target).sum()
        found = torch.autograd.grad(loss, [one.values for one in leaves.values()], allow_unused=True) if loss.requires_grad else (None,) * len(leaves)
    out = {}
    for (name, one), gradient in zip(leaves.items(), found, strict=True):
        length = one.values.new_zeros(len(one.mask)) if gradient is None else (gradient * one.mask[..., None]).flatten(1).norm(dim=1)
        out[name] = float(length[one.mask.any(1)].mean()) if bool(one.mask.any()) else 0.0
    return out


def watched(learning: nn.Module, feed: "Feed", target: Tensor, begin: int, count: int) -> dict[str, Any]:
    """What an epoch's entry in the history says of the use of modalities: ``use`` by stream, and ``ignored`` in words.

    Parameters
    ----------
    learning : Learning
        With an objective on the model's predictions; others, and models of one modality, have nothing to say: ``{}``.
    feed : Feed
    target : Tensor
        In the feed's order.
    begin, count : int
        The validation samples in it; at most `ROWS` of them are looked at.
    """
    model, objective = getattr(learning, "model", None), getattr(learning, "objective", None)
    if objective is None or getattr(objective, "together", False) or len(getattr(model, "streams", ())) < 2 or not count:
        return {}
    assert isinstance(model, nn.Module)
    index = begin + np.unique(np.linspace(0, count - 1, min(count, ROWS)).astype(np.int64))
    use = modality_use(model, feed.batch(index), target[torch.from_numpy(index).to(target.device)], objective)  # type: ignore[arg-type]
    told = {name: {key: round(value, 6) if math.isfinite(value) else None for key, value in vars(one).items()} for name, one in use.items()}
    return {"use": told, "ignored": in_words(use)}


def in_words(use: Mapping[str, Use]) -> list[str]:
    """One sentence for each modality that the model ignores, as far as the samples can tell; none where all are used.

    A modality is ignored where its exchange costs no more than 2 % of what all exchanges cost together, even at the upper end of its 95 % interval.
    """
    total = sum(max(one.cost, 0.0) for one in use.values())
    ignored = [name for name, one in use.items() if len(use) > 1 and total > 0 and one.cost + 1.96 * one.error < IGNORED * total]
    if not ignored:
        return []
    first = max(use, key=lambda name: use[name].cost)
    said = []
    for name in ignored:
        weak = use[name].gradient < 0.1
        why = "its encoder hardly learns any more" if weak else "what it says may be in the others already, or not be there"
        said.append(
            f"The model ignores {name!r}: with the {name!r} of other objects the loss rises by {use[name].cost:.3g} +- {use[name].error:.2g} "
            f"(by {use[first].cost:.3g} with other {first!r}); {why}. Try modality dropout, e.g. "
            f"recipe.change(fusion=Part.of(..., modality_dropout=0.3)), or compare with a run without {name!r}."
        )
    return said
