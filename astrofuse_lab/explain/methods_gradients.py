"""Attribution by following gradients, by captum: at the sample, along the path from its baseline, at random points of many paths."""

import numpy as np
import torch
from torch import Tensor

from astrofuse_lab.explain.attribution_result import place_axes
from astrofuse_lab.explain.methods_question import Found, Question, places, spread_mask

DRAWS = 32
"""Points that gradient SHAP takes unless told otherwise."""


def integrated_gradients(question: Question) -> Found:
    """Sundararajan et al. 2017, arXiv:1703.01365, on Gauss-Legendre nodes."""
    from captum.attr import IntegratedGradients

    values = IntegratedGradients(question.forward).attribute(
        question.inputs, question.baselines, additional_forward_args=(question.forward.rows,),
        n_steps=question.settings.steps, internal_batch_size=max(question.rows.now, len(question.inputs[0])),
    )  # fmt: skip
    return Found(values, passes=question.settings.steps)


def gradients(question: Question, points: tuple[Tensor, ...], rows: Tensor) -> tuple[Tensor, ...]:
    """captum's gradients of the score at points, each made of a sample of the chunk."""
    from captum.attr import Saliency

    given = tuple(point.detach().clone().requires_grad_() for point in points)
    return tuple(g.detach() for g in Saliency(question.forward).attribute(given, abs=False, additional_forward_args=(rows,)))


def saliency(question: Question) -> Found:
    """Absolute gradient at the sample (Simonyan et al. 2013, arXiv:1312.6034)."""
    return Found(tuple(g.abs() for g in gradients(question, question.inputs, question.forward.rows)))


def shap_draws(seed: int, baselines: int, draws: int, modalities: int) -> tuple[list[list[int]], Tensor]:
    """What captum's `GradientShap` draws for one sample after ``numpy.random.seed(seed)``: a baseline of each modality, and a point of the path."""
    luck = np.random.RandomState(seed)
    chosen = [luck.choice(baselines, draws).tolist() for _ in range(modalities)]
    return chosen, torch.tensor(luck.uniform(0.0, 1.0, draws), dtype=torch.float32)


def gradient_shap(question: Question) -> Found:
    """Expected gradients over baselines and points (Lundberg & Lee 2017, arXiv:1705.07874; Erion et al. 2021, arXiv:1906.10670).

    Each sample is given the draws that captum's `GradientShap` makes of the same seed, and baselines of its own.
    """
    count, draws = len(question.inputs[0]), question.settings.draws or DRAWS
    first, again = question.baselines, question.draw(1)
    several = any(one is not other for one, other in zip(first, again, strict=True))
    made = [question.draw(number) for number in range(draws)] if several else [first]
    chosen, along = shap_draws(question.settings.seed, len(made), draws, len(first))
    axes = [place_axes(kind, value.ndim) for kind, value in zip(question.kinds, question.inputs, strict=True)]
    total = [torch.zeros_like(value) for value in question.inputs]
    sums = [places(one, mask, a).double() for one, mask, a in zip(total, question.masks, axes, strict=True)]
    squares = [torch.zeros_like(one) for one in sums]
    gained = torch.zeros(count, device=first[0].device)
    size = max(1, question.rows.now // count)
    for begin in range(0, draws, size):
        numbers = range(begin, min(begin + size, draws))
        rows = question.forward.rows.repeat(len(numbers))
        starts = tuple(torch.cat([made[chosen[m][k]][m] for k in numbers]) for m in range(len(first)))
        ends = tuple(value.repeat(len(numbers), *[1] * (value.ndim - 1)) for value in question.inputs)
        share = along[begin : begin + len(numbers)].to(rows.device).repeat_interleave(count)
        points = tuple(spread_mask(share, s) * e + (1 - spread_mask(share, s)) * s for s, e in zip(starts, ends, strict=True))
        for m, slope in enumerate(gradients(question, points, rows)):
            each = (slope * (ends[m] - starts[m])).unflatten(0, (len(numbers), count))
            total[m] += each.sum(0)
            real = torch.stack([places(one, question.masks[m], axes[m]) for one in each]).double()
            sums[m] += real.sum(0)
            squares[m] += real.square().sum(0)
        if several:
            with torch.no_grad():
                gained += question.forward(*starts, rows).unflatten(0, (len(numbers), count)).sum(0)
    with torch.no_grad():
        difference = question.forward(*question.inputs, question.forward.rows) - gained / draws if several else None
    variance = [(q / draws - (s / draws).square()).clamp(min=0) * draws / max(1, draws - 1) for s, q in zip(sums, squares, strict=True)]
    error = tuple((v / draws).sqrt().float() for v in variance)
    return Found(tuple(one / draws for one in total), error, difference, draws)
