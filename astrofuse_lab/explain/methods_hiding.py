"""Attribution by hiding one thing at a time, by captum: windows, epochs, columns and words, or whole bands and modalities."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from astrofuse_lab.explain.attribution_forward import RAGGED
from astrofuse_lab.explain.attribution_result import place_axes
from astrofuse_lab.explain.methods_question import Found, Question
from astrofuse_lab.samples.preparation import FIRST_BAND

WINDOWS = {"image": 8, "spectrum": 48, "series": 24}
"""Occlusion windows along each axis; epochs, columns and words are hidden one by one."""


def windows_of(value: Tensor, mask: Tensor, kind: str, windows: Mapping[str, int]) -> Tensor:
    """Window number of each value of an input, (1 or sample, ...); all bands and channels of a place have one.

    Windows of epochs and words divide what each sample has; those of other axes are the same for all samples.
    """
    shape = value.shape
    if kind in RAGGED and kind in windows:
        length = mask.sum(1, keepdim=True).clamp(min=1)
        count = length.clamp(max=windows[kind])
        along = (torch.arange(shape[1], device=value.device) * count // length).clamp(max=count - 1)
        return along[..., None].expand(shape).contiguous()
    numbers = torch.zeros([1] * len(shape), dtype=torch.long, device=value.device)
    for axis in place_axes(kind, len(shape)):
        many = min(windows.get(kind, shape[axis]), shape[axis])
        line = torch.arange(shape[axis], device=value.device) * many // shape[axis]
        numbers = numbers * many + line.view([-1 if a == axis else 1 for a in range(len(shape))])
    return numbers.expand(1, *shape[1:]).contiguous()


def channels_of(value: Tensor, kind: str, whole: bool) -> Tensor:
    """Feature number of each value, (1 or sample, ...): its band, channel or column; with `whole`, one for all."""
    numbers = torch.zeros([1] * value.ndim, dtype=torch.long, device=value.device)
    if not whole and kind == "light_curve":  # the band of an epoch is told by its own channels; only the flux is hidden
        band = value[..., FIRST_BAND:].argmax(-1, keepdim=True) if value.shape[-1] > FIRST_BAND else numbers
        return band.expand(value.shape).contiguous()
    if not whole and kind == "table":
        numbers = torch.arange(value.shape[1], device=value.device)[None]
    elif not whole and (kind in ("image", "series") or (kind == "spectrum" and value.ndim == 3)):
        numbers = torch.arange(value.shape[1], device=value.device).view(1, -1, *[1] * (value.ndim - 2))
    return numbers.expand(1, *value.shape[1:]).contiguous()


def occlusion(question: Question) -> Found:
    """Score lost when a window, epoch, column or word takes its baseline (Zeiler & Fergus 2013, arXiv:1311.2901).

    The loss is shared equally among the values that the window changed, so that sums over windows are losses.
    """
    windows = {**WINDOWS, **question.settings.windows}
    return _hide(question, [windows_of(*one, windows) for one in zip(question.inputs, question.masks, question.kinds, strict=True)])


def feature_ablation(question: Question) -> Found:
    """Score lost when a whole band, channel or column takes its baseline, wherever it is; with ``whole``, a whole modality."""
    return _hide(question, [channels_of(value, kind, question.settings.whole) for value, kind in zip(question.inputs, question.kinds, strict=True)])


def _hide(question: Question, groups: Sequence[Tensor]) -> Found:
    """Losses by captum's `FeatureAblation`, modality by modality, so that where encoders are independent only one of them runs again."""
    from captum.attr import FeatureAblation

    values, passes = [], 0
    for name, value, baseline, group in zip(question.forward.explained, question.inputs, question.baselines, groups, strict=True):
        forward = question.forward.only(name)
        lost = FeatureAblation(forward).attribute(
            (value,), (baseline,), additional_forward_args=(forward.rows,), feature_mask=(group,),
            perturbations_per_eval=max(1, question.rows.now // len(value)),
        )[0]  # fmt: skip
        values.append(shared(lost, value, baseline, group))
        passes += int(group.max()) + 1
    return Found(tuple(values), passes=passes)


def shared(lost: Tensor, value: Tensor, baseline: Tensor, group: Tensor) -> Tensor:
    """A loss given to every value of its group, divided among those that hiding the group changed."""
    changed = (value != baseline).flatten(1)
    ids = group.expand(value.shape).flatten(1)
    count = torch.zeros(len(value), int(ids.max()) + 1, device=value.device).scatter_add_(1, ids, changed.float())
    return (lost.flatten(1) * changed / count.gather(1, ids).clamp(min=1)).view_as(value)
