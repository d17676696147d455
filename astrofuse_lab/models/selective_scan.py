"""The recurrence of selective state spaces for all steps of a sequence at once, without ever holding all states."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

IN_CACHE, ON_DEVICE = 2**19, 2**25
"""Numbers of states held at a time: on a CPU few enough for its cache, on a device enough to fill it."""


@torch.compiler.disable  # hundreds of steps to trace, and nothing to gain from fusing them
def selective_scan(x: Tensor, size: Tensor, inwards: Tensor, outwards: Tensor, rate: Tensor) -> Tensor:
    """What the states of selective state spaces say, step by step.

    h[t] = exp(D A) h[t-1] + (D A)^-1 (exp(D A) - 1) D B x[t] and y[t] = C h[t] (Gu & Dao 2023, arXiv:2312.00752, equations 2 and 4), from h = 0.
    Samples are taken a few at a time, and their states computed again for the gradient (section 3.3.2), so that memory grows with the
    sequence and not with the states.

    Parameters
    ----------
    x, size : Tensor, (batch, step, channel)
        The input and the step D; where D is zero the state stays as it is.
    inwards, outwards : Tensor, (batch, step, state)
        B and C, of all channels.
    rate : Tensor, (state, channel)
        A, below zero.

    Returns
    -------
    Tensor, (batch, step, channel)
    """
    said: Tensor = _SelectiveScan.apply(x, size, inwards, outwards, rate)
    return said


def linear_scan(decay: Tensor, drive: Tensor, backwards: bool = False) -> Tensor:
    """A linear recurrence over the second axis, written over `drive`, in about 2 sqrt(T) steps; without gradients.

    The steps are cut into chunks: all chunks are walked through at once, from zero, for where each would end; those ends are carried
    from chunk to chunk; and all are walked through again from what came before. No product of many decays is ever divided by.

    Parameters
    ----------
    decay, drive : Tensor, (batch, step, ...)
        Of the same shape.
    backwards : bool
        False: ``h[t] = decay[t] h[t-1] + drive[t]``; True: ``h[t] = decay[t+1] h[t+1] + drive[t]``.

    Returns
    -------
    Tensor, (batch, step, ...)
        `drive`, which now holds the states.
    """
    a, h, last = decay[:, 1:], drive[:, :-1] if backwards else drive[:, 1:], drive[:, -1 if backwards else 0]
    steps = a.shape[1]
    size = max(1, math.isqrt(steps))
    rest = steps % size
    for t in range(steps - 1, steps - 1 - rest, -1) if backwards else range(rest):
        last = h[:, t].addcmul_(a[:, t], last)
    a, h = ((one[:, : steps - rest] if backwards else one[:, rest:]).unflatten(1, (-1, size)) for one in (a, h))
    walk = range(size - 1, -1, -1) if backwards else range(size)
    end, kept = h[:, :, walk[0]].clone(), a[:, :, walk[0]].clone()
    for k in walk[1:]:
        torch.addcmul(h[:, :, k], a[:, :, k], end, out=end)
        kept *= a[:, :, k]
    begin = torch.empty_like(end)
    for m in range(end.shape[1] - 1, -1, -1) if backwards else range(end.shape[1]):
        begin[:, m] = last
        last = end[:, m].addcmul_(kept[:, m], last)
    for k in walk:
        begin = h[:, :, k].addcmul_(a[:, :, k], begin)
    return drive


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: Tensor, inwards: Tensor, outwards: Tensor, rate: Tensor) -> Tensor:
        ctx.save_for_backward(x, size, inwards, outwards, rate)
        said, parts = torch.empty_like(x), _parts(x, rate)
        room = _room(x, rate, parts, 3)
        for some in parts:
            states = _states(x[some], size[some], inwards[some], rate, room[:, : len(x[some])])[2]
            said[some] = (outwards[some][:, :, None] @ states)[:, :, 0]
        return said

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        *inputs, rate = ctx.saved_tensors
        results, of_rate, parts = [torch.empty_like(one) for one in inputs], torch.zeros_like(rate), _parts(inputs[0], rate)
        room = _room(inputs[0], rate, parts, 5)
        for some in parts:
            *each, more = _gradients(gradient[some], [one[some] for one in inputs], rate, room[:, : len(gradient[some])])
            of_rate += more
            for result, one in zip(results, each, strict=True):
                result[some] = one
        return *results, of_rate


def _states(x: Tensor, size: Tensor, inwards: Tensor, rate: Tensor, room: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decays, what a unit of input adds (exp(D A) - 1) / A, and states: (batch, step, state, channel) each, written to the first of `room`."""
    decay, unit, drive = room[:3]
    torch.mul(size[:, :, None], rate, out=decay).expm1_()
    torch.div(decay, rate, out=unit)
    torch.mul(unit, x[:, :, None], out=drive).mul_(inwards[..., None])
    return decay.add_(1), unit, linear_scan(decay, drive)


def _gradients(gradient: Tensor, inputs: list[Tensor], rate: Tensor, room: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, size, inwards, outwards and rate, from that of what is said: the chain rule, with the recurrence run backwards."""
    x, size, inwards, outwards = inputs
    decay, unit, states = _states(x, size, inwards, rate, room)
    of_outwards = (states @ gradient[..., None])[..., 0]
    back = linear_scan(decay, torch.mul(outwards[..., None], gradient[:, :, None], out=room[3]), backwards=True)
    added = unit.mul_(back)
    of_x, of_inwards = (inwards[:, :, None] @ added)[:, :, 0], (added @ x[..., None])[..., 0]
    # through the decays: d exp(D A) = exp(D A) d(D A), once of the state before and once of what is added
    drive = torch.mul(x[:, :, None], inwards[..., None], out=room[4])
    of_rate = -added.mul_(drive).sum((0, 1)) / rate
    of_product = drive.mul_(back).div_(rate)
    of_product[:, 1:].addcmul_(back[:, 1:], states[:, :-1])
    of_product.mul_(decay)
    of_size = torch.mul(of_product, rate, out=back).sum(2)
    return of_x, of_size, of_inwards, of_outwards, of_rate + of_product.mul_(size[:, :, None]).sum((0, 1))


def _parts(x: Tensor, rate: Tensor) -> list[slice]:
    """The samples to take at a time."""
    count = max(1, (ON_DEVICE if x.is_cuda else IN_CACHE) // max(1, x.shape[1] * rate.numel()))
    return [slice(begin, begin + count) for begin in range(0, len(x), count)]


def _room(x: Tensor, rate: Tensor, parts: list[slice], count: int) -> Tensor:
    """Memory for so many tensors of states of one part: asked for once, as new pages cost more than the sums written to them."""
    most = max((min(one.stop, len(x)) - one.start for one in parts), default=0)
    return x.new_empty(count, most, x.shape[1], *rate.shape)
