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


POINTS = (7, 15, 24, 48, 96, 192)
"""Points of the path that integrated gradients take in turn, each time for the samples that do not sum to their difference yet."""
BEND = 4.5
"""How closely the points crowd near the baseline: places are (exp(4.5 t) - 1) / (exp(4.5) - 1) for points t. Models change most there, where inputs
vanish and normalisation acts; with this, 15 points do what 50 evenly laid ones do."""
_KRONROD = (
    (0.991455371120813, 0.022935322010529), (0.949107912342759, 0.063092092629979), (0.864864423359769, 0.104790010322250),
    (0.741531185599394, 0.140653259715525), (0.586087235467691, 0.169004726639267), (0.405845151377397, 0.190350578064785),
    (0.207784955007898, 0.204432940075298), (0.0, 0.209482141084728),
)  # fmt: skip
"""Half of the 15 points of Gauss and Kronrod, and their weights (QUADPACK, Piessens et al. 1983); every second is one of Gauss's 7."""


@lru_cache
def path_points(count: int) -> tuple[Tensor, Tensor]:
    """Places along the path from the baseline (0) to the sample (1), and their weights: of Gauss and Kronrod for 15, else of Gauss and Legendre.

    Every second of the 15, from the second on, is one of the 7.
    """
    if count == 15:
        t = np.array([-x for x, _ in _KRONROD] + [x for x, _ in _KRONROD[-2::-1]])
        weight = np.array([w for _, w in _KRONROD] + [w for _, w in _KRONROD[-2::-1]])
    else:
        t, weight = np.polynomial.legendre.leggauss(count)
    t = (t + 1) / 2
    place, slope = np.expm1(BEND * t) / np.expm1(BEND), BEND * np.exp(BEND * t) / np.expm1(BEND)
    return torch.tensor(place, dtype=torch.float32), torch.tensor(weight / 2 * slope, dtype=torch.float32)


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
    """The same on more and more points, until the values sum to the difference within the tolerance."""
    settings, count = question.settings, len(question.inputs[0])
    allowed = settings.tolerance * question.difference.abs().clamp(min=FLOOR)
    gap = tuple(end - start for end, start in zip(question.inputs, question.baselines, strict=True))
    out, passes = [torch.zeros_like(value) for value in question.inputs], torch.zeros(count, dtype=torch.long, device=gap[0].device)
    open_rows, begun = question.forward.rows, [torch.zeros_like(value) for value in question.inputs]
    for points in (n for n in POINTS if n <= settings.most):
        sums = [torch.zeros_like(value) for value in question.inputs]
        if points == POINTS[0]:
            # these points count in the next level too, with other weights: what was computed is not computed again
            _add_points(question, gap, open_rows, points, range(points), [(sums, path_points(7)[1]), (begun, path_points(15)[1][1::2])])
        elif points == POINTS[1]:
            sums = begun
            _add_points(question, gap, open_rows, points, range(0, points, 2), [(sums, path_points(15)[1])])
        else:
            _add_points(question, gap, open_rows, points, range(points), [(sums, path_points(points)[1])])
        passes[open_rows] = points
        total: Tensor | float = 0.0
        for value, own, width, mask in zip(out, sums, gap, question.masks, strict=True):
            value[open_rows] = own[open_rows] * width[open_rows]
            total = total + (value[open_rows] * spread_mask(mask[open_rows], width)).flatten(1).sum(1)
        open_rows = open_rows[(total - question.difference[open_rows]).abs() > allowed[open_rows]]
        if not len(open_rows):
            break
    return Found(tuple(out), passes=passes)


def _add_points(
    question: Question, gap: tuple[Tensor, ...], open_rows: Tensor, points: int, fresh: range, sums: list[tuple[list[Tensor], Tensor]]
) -> None:
    """Gradients of some samples at fresh points of so many, added to sums, each with its weights by the number of the point."""
    along, _ = path_points(points)
    size = max(1, question.rows.now // len(open_rows))
    for begin in range(0, len(fresh), size):
        numbers = list(fresh[begin : begin + size])
        rows, share = open_rows.repeat(len(numbers)), along[numbers].to(open_rows.device).repeat_interleave(len(open_rows))
        at = tuple(torch.addcmul(start[rows], spread_mask(share, width), width[rows]) for start, width in zip(question.baselines, gap, strict=True))
        weights = torch.stack([weight[numbers] for _, weight in sums]).to(open_rows.device)
        for modality, slope in enumerate(gradients(question, at, rows)):
            weighed = weights @ slope.view(len(numbers), -1)
            for (own, _), one in zip(sums, weighed, strict=True):
                own[modality][open_rows] += one.view(len(open_rows), *slope.shape[1:])


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
