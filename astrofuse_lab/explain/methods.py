"""The ways to attribute, each by captum; an explicit table."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from astrofuse_lab.explain.adapter import PLACE_AXES, FlatForward

WINDOWS = {"image": 8, "spectrum": 48, "series": 24}
"""Occlusion windows along each axis; epochs, columns and words are hidden one by one."""


class Question(NamedTuple):
    """What a method is given for one chunk of samples."""

    forward: FlatForward
    inputs: tuple[Tensor, ...]
    baselines: tuple[Tensor, ...]
    rest: tuple[Tensor, ...]
    kinds: tuple[str, ...]
    steps: int
    rows: int


def _integrated_gradients(question: Question) -> tuple[Tensor, ...]:
    """Sundararajan et al. 2017, arXiv:1703.01365, on Gauss-Legendre nodes."""
    from captum.attr import IntegratedGradients

    return IntegratedGradients(question.forward).attribute(
        question.inputs, question.baselines, additional_forward_args=question.rest,
        n_steps=question.steps, internal_batch_size=question.rows,
    )  # fmt: skip


def _saliency(question: Question) -> tuple[Tensor, ...]:
    """Absolute gradient at the sample (Simonyan et al. 2013, arXiv:1312.6034)."""
    from captum.attr import Saliency

    inputs = tuple(value.detach().clone().requires_grad_() for value in question.inputs)
    return tuple(g.detach() for g in Saliency(question.forward).attribute(inputs, additional_forward_args=question.rest))


def _occlusion(question: Question) -> tuple[Tensor, ...]:
    """Score lost when a window, epoch, column or word takes its baseline (Zeiler & Fergus 2013, arXiv:1311.2901).

    The loss is shared equally among the values that the window changed, so that sums over windows are losses.
    """
    from captum.attr import FeatureAblation

    groups, first = [], 0
    for value, kind in zip(question.inputs, question.kinds, strict=True):
        groups.append(_windows(value.shape, kind).to(value.device) + first)  # ids of one modality never meet another's
        first = int(groups[-1].max()) + 1
    lost = FeatureAblation(question.forward).attribute(
        question.inputs, question.baselines, additional_forward_args=question.rest, feature_mask=tuple(groups),
        perturbations_per_eval=max(1, question.rows // len(question.inputs[0])),
    )  # fmt: skip
    out = []
    for value, baseline, group, loss in zip(question.inputs, question.baselines, groups, lost, strict=True):
        changed = (value != baseline).flatten(1)
        ids = (group - group.min()).expand(value.shape).flatten(1)
        count = torch.zeros(len(value), int(ids.max()) + 1, device=value.device).scatter_add_(1, ids, changed.float())
        out.append((loss.flatten(1) * changed / count.gather(1, ids).clamp(min=1)).view_as(value))
    return tuple(out)


def _windows(shape: Sequence[int], kind: str) -> Tensor:
    """Window number of each value of an input, (1, ...)."""
    numbers = torch.zeros([1] * len(shape), dtype=torch.long)
    for axis in PLACE_AXES[kind]:
        count = min(WINDOWS.get(kind, shape[axis]), shape[axis])
        along = torch.arange(shape[axis]) * count // shape[axis]
        numbers = numbers * count + along.view([-1 if a == axis else 1 for a in range(len(shape))])
    return numbers.expand(1, *shape[1:]).contiguous()


class Method(NamedTuple):
    """A way to attribute; `complete` ones promise to sum to the difference from the baseline, and `gradients` says whether it needs them."""

    function: Callable[[Question], tuple[Tensor, ...]]
    complete: bool
    gradients: bool


METHODS: dict[str, Method] = {
    "integrated_gradients": Method(_integrated_gradients, True, True),
    "saliency": Method(_saliency, False, True),
    "occlusion": Method(_occlusion, False, False),
}
