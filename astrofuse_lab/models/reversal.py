"""A layer that turns a gradient round, so that one optimiser trains two parts against each other."""

import torch
from torch import Tensor


class _Reversed(torch.autograd.Function):
    """Itself forward, its negative backward: the gradient reversal layer of Ganin et al. 2016 (arXiv:1505.07818)."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength  # type: ignore[attr-defined]
        return values.view_as(values)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None  # type: ignore[attr-defined]


def reverse(values: Tensor, strength: float = 1.0) -> Tensor:
    """The values; on the way back their gradient times ``-strength``."""
    reversed_: Tensor = _Reversed.apply(values, strength)
    return reversed_
