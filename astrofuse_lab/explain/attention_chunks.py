"""What `attention` keeps of each chunk of samples: the model's own weights, and of ``combine="gradient"`` what they did to the score."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.explain.adapter import Pace, Score, device_of, explaining, target_index
from astrofuse_lab.explain.attention_layers import COMBINE, between, flows, folded
from astrofuse_lab.samples.preparation import Batch

if TYPE_CHECKING:
    from astrofuse_lab.models.tokens import Fused, Prediction
    from astrofuse_lab.training.run import Run

MOST_MAPS = 256 * 1024**2
"""Bytes of full maps that are kept without being asked for."""


class Asked(NamedTuple):
    """What `attention` was asked for."""

    combine: str
    encoders: bool
    keep: bool | None
    target: Any
    score: Score | None


def collect(run: "Run", batch: "Batch", asked: Asked, pace: Pace) -> tuple[dict[str, NDArray[Any]], "Fused"]:
    """What `_piece` keeps of all samples, and the last chunk's `Fused`, whose layout is everyone's."""
    model, fused, keep = run.model, None, asked.keep
    pieces: list[dict[str, NDArray[Any]]] = []
    with explaining(model), _gradients(asked.score is not None):
        for index in pace.chunks(len(batch)):
            part = batch.take(index).to(device_of(model))
            if asked.score is not None:  # gradients with respect to weights are on the way to those of the inputs
                part = Batch({name: value.clone().requires_grad_() for name, value in part.values.items()}, part.masks, part.present)
            said = model(part.values, part.masks, part.present, attention="all" if asked.encoders else True)
            fused = said.fused
            if keep is None:
                keep = len(batch) * sum(one[0].nbytes for one in fused.attention.values()) * (1 if asked.score is None else 2) <= MOST_MAPS
            weighted, goal = (dict(fused.attention), None) if asked.score is None else _relevant(run, said, asked, part)
            pieces.append(_piece(fused, weighted, goal, model.token_slices(fused), asked, keep))
    assert fused is not None
    return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}, fused


@contextmanager
def _gradients(wanted: bool) -> Iterator[None]:
    with torch.inference_mode(not wanted), torch.set_grad_enabled(wanted):
        yield


def _relevant(run: "Run", said: "Prediction", asked: Asked, part: "Batch") -> tuple[dict[str, Tensor], Tensor]:
    """(gradient of the target's score x weight)+ of each map, and the targets."""
    assert asked.score is not None
    goal = target_index(run, asked.target, said.values.detach())
    torch.autograd.backward(asked.score(said.values, goal).sum(), inputs=list(part.values.values()))
    found = {}
    for key, one in said.fused.attention.items():
        weights = one.detach()
        found[key] = torch.zeros_like(weights) if one.grad is None else (one.grad.detach() * weights).clamp(min=0)
    return found, goal


def _piece(
    fused: "Fused", weighted: Mapping[str, Tensor], goal: Tensor | None, order: Mapping[str, slice], asked: Asked, keep: bool
) -> dict[str, NDArray[Any]]:
    """What is kept of one chunk, as arrays."""
    real = {name: one.mask for name, one in fused.tokens.items()}
    layers = [one for key, one in weighted.items() if key.startswith("fusion.")]
    flow = folded(COMBINE[asked.combine](layers), order, goal is None)
    to, from_class = between(flow, order, real, tuple(fused.tokens))
    shares, reaching = flows(layers, order, real)
    piece = {"between": to, "class": from_class, "received": flow[:, 0], "shares": shares, "reaching": reaching}
    piece |= {f"mask:{name}": mask for name, mask in real.items()}
    piece |= {f"order:{name}": one.place["order"] for name, one in fused.tokens.items() if "order" in one.place}
    if goal is not None:
        piece["goal"] = goal
    if keep:
        piece |= {f"map:{key}": one for key, one in fused.attention.items()}
        if goal is not None:
            piece |= {f"weighted:{key}": one for key, one in weighted.items()}
    return {key: one.detach().cpu().numpy() for key, one in piece.items()}
