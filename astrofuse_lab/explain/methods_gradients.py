"""Attribution by following gradients, by captum: at the sample, along the path from its baseline, at random points of many paths."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from astrofuse_lab.explain.attribution_result import place_axes
from astrofuse_lab.explain.methods_question import Found, Question, places, spread_mask

DRAWS = 32
"""Points that gradient SHAP takes unless told otherwise."""
FLOOR = 1e-2
"""Differences below this are too small for a share of them to mean much: the delta must then be below the tolerance of this."""


POINTS = (8, 16, 32, 64, 128, 256)
"""Points of the path that integrated gradients take in turn, each time for the samples that do not sum to their difference yet."""


@lru_cache
def path_points(count: int) -> tuple[Tensor, Tensor]:
    """Places along the path from the baseline (0) to the sample (1), and their weights.

    Clenshaw & Curtis 1960 (Numer. Math. 2, 197) in t with the place t^2: models change most near the baseline, where inputs vanish and
    normalisation acts, and every second point of twice the count is a point of this one, so that nothing is computed again. The point at the
    baseline itself has no weight and is left out.
    """
    k, turns = torch.arange(count + 1, dtype=torch.float64), torch.arange(1, count // 2 + 1, dtype=torch.float64)
    angle = torch.pi * k / count
    terms = torch.cos(2 * angle[:, None] * turns) / (4 * turns**2 - 1) * torch.where(turns == count // 2, 1.0, 2.0)
    weight = (1 - terms.sum(1)) * torch.where((k == 0) | (k == count), 1.0, 2.0) / count / 2
    place = (1 + torch.cos(angle)) / 2
    return (place**2)[:-1].float(), (weight * 2 * place)[:-1].float()


def integrated_gradients(question: Question) -> Found:
    """Sundararajan et al. 2017, arXiv:1703.01365: on as many points as each sample needs, or on captum's own Gauss-Legendre nodes."""
    from captum.attr import IntegratedGradients

    if not question.settings.steps:
        return _refined(question)
    values = IntegratedGradients(question.forward).attribute(
        question.inputs, question.baselines, additional_forward_args=(question.forward.rows,),
        n_steps=question.settings.steps, internal_batch_size=max(question.rows.now, len(question.inputs[0])),
    )  # fmt: skip
    return Found(values, passes=question.settings.steps)


def _refined(question: Question) -> Found:
    """The same on nested points, until the values sum to the difference within the tolerance."""
    settings, count = question.settings, len(question.inputs[0])
    counts = [n for n in POINTS if n <= settings.most]
    allowed = settings.tolerance * question.difference.abs().clamp(min=FLOOR)
    gap = tuple(end - start for end, start in zip(question.inputs, question.baselines, strict=True))
    # one sum a level, each with that level's weights: what was computed for one level counts in all finer ones
    sums = [value.new_zeros(len(counts), *value.shape) for value in question.inputs]
    out, passes = [torch.zeros_like(value) for value in question.inputs], torch.zeros(count, dtype=torch.long, device=gap[0].device)
    open_rows = question.forward.rows
    for level, points in enumerate(counts):
        fresh = range(points) if level == 0 else range(1, points, 2)
        _add_points(question, gap, open_rows, points, fresh, counts[level:], [one[level:] for one in sums])
        passes[open_rows] = points
        total: Tensor | float = 0.0
        for value, own, width, mask in zip(out, sums, gap, question.masks, strict=True):
            value[open_rows] = own[level, open_rows] * width[open_rows]
            total = total + (value[open_rows] * spread_mask(mask[open_rows], width)).flatten(1).sum(1)
        open_rows = open_rows[(total - question.difference[open_rows]).abs() > allowed[open_rows]]
        if not len(open_rows):
            break
    return Found(tuple(out), passes=passes)


def _add_points(
    question: Question, gap: tuple[Tensor, ...], open_rows: Tensor, points: int, fresh: range, counts: list[int], sums: list[Tensor]
) -> None:
    """Gradients at the fresh points of some samples, added to the sums of this level and of all finer ones."""
    places_, _ = path_points(points)
    size = max(1, question.rows.now // len(open_rows))
    for begin in range(0, len(fresh), size):
        numbers = fresh[begin : begin + size]
        share = places_[list(numbers)].to(open_rows.device).repeat_interleave(len(open_rows))
        rows = open_rows.repeat(len(numbers))
        at = tuple(start[rows] + spread_mask(share, width) * width[rows] for start, width in zip(question.baselines, gap, strict=True))
        weights = torch.stack([path_points(n)[1][[k * n // points for k in numbers]] for n in counts]).to(open_rows.device)
        for own, slope in zip(sums, gradients(question, at, rows), strict=True):
            each = slope.view(len(numbers), -1)
            own[:, open_rows] += (weights @ each).view(len(counts), len(open_rows), *own.shape[2:])


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
