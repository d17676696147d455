"""The recurrence h[t] = a[t] h[t-1] + b[t] of state-space models, for all t at once in about 2 sqrt(T) steps."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear_scan(decay: Tensor, drive: Tensor) -> Tensor:
    """States of a linear recurrence that starts from zero.

    The steps are cut into chunks: all chunks are walked through at once, from zero, for where each would end; those ends are carried
    from chunk to chunk; and all are walked through again from what came before. The sums are those of the literal recurrence in the
    same order within a chunk, so no product of many decays is ever divided by. Gradients are the same recurrence backwards.

    Parameters
    ----------
    decay, drive : Tensor, (batch, step, ...)
        Of the same shape.

    Returns
    -------
    Tensor, (batch, step, ...)
        ``out[:, t] = decay[:, t] * out[:, t - 1] + drive[:, t]``.
    """
    states: Tensor = _Scan.apply(decay, drive)
    return states


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, drive: Tensor) -> Tensor:
        states = _scan(decay, drive)
        ctx.save_for_backward(decay, states)
        return states

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        decay, states = ctx.saved_tensors
        # g[t] = gradient[t] + a[t+1] g[t+1]: the scan of the flipped tensors, decays one step later
        later = torch.cat([torch.zeros_like(decay[:, :1]), decay[:, 1:].flip(1)], 1)
        of_drive = _scan(later, gradient.flip(1)).flip(1)
        of_decay = torch.zeros_like(decay)
        torch.mul(of_drive[:, 1:], states[:, :-1], out=of_decay[:, 1:])
        return of_decay, of_drive


def _scan(decay: Tensor, drive: Tensor) -> Tensor:
    steps = drive.shape[1]
    size = max(1, math.isqrt(steps))
    count = steps // size
    states = torch.empty_like(drive)
    a, b, h = (x[:, : count * size].unflatten(1, (count, size)) for x in (decay, drive, states))
    end, kept = b[:, :, 0].clone(), a[:, :, 0].clone()
    for k in range(1, size):
        torch.addcmul(b[:, :, k], a[:, :, k], end, out=end)
        kept *= a[:, :, k]
    for m in range(1, count):
        end[:, m].addcmul_(kept[:, m], end[:, m - 1])
    h[:, 0, 0] = b[:, 0, 0]
    torch.addcmul(b[:, 1:, 0], a[:, 1:, 0], end[:, :-1], out=h[:, 1:, 0])
    for k in range(1, size):
        torch.addcmul(b[:, :, k], a[:, :, k], h[:, :, k - 1], out=h[:, :, k])
    for t in range(count * size, steps):
        torch.addcmul(drive[:, t], decay[:, t], states[:, t - 1], out=states[:, t])
    return states
