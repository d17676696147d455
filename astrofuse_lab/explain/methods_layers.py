"""Grad-CAM: what a convolutional encoder's last features gave, laid back over its input."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.methods_question import Found, Question, spread_mask

if TYPE_CHECKING:
    from astrofuse_lab.samples.preparation import Batch

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
AXES = {"image": 2, "spectrum": 1, "series": 1}
"""Kinds whose convolutions run along places, and along how many axes."""


def spatial_layer(model: nn.Module, name: str, kind: str, part: "Batch") -> nn.Module | None:
    """The last module of a modality's encoder that holds a convolution and whose features still have places; None where there is none.

    Parameters
    ----------
    model : FusionModel
        In eval mode.
    name, kind : str
    part : Batch
        One sample or more: the encoder is run on it to see in which order its modules do.
    """
    encoders: Any = getattr(model, "encoders", {})
    if kind not in AXES or name not in encoders or encoders[name].attends:
        return None
    seen: list[tuple[nn.Module, torch.Size]] = []
    holding = [one for one in encoders[name].modules() if any(isinstance(inner, CONVOLUTIONS) for inner in one.modules())]
    hooks = [one.register_forward_hook(lambda module, _, out: seen.append((module, out.shape)) if isinstance(out, Tensor) else None) for one in holding]
    try:
        with torch.no_grad():
            model.encode(part.values, part.masks, part.present)  # type: ignore[operator]
    finally:
        for hook in hooks:
            hook.remove()
    shapes = [shape for module, shape in seen if isinstance(module, CONVOLUTIONS) and _has_places(shape, len(part), AXES[kind])]
    if not shapes:
        return None
    return [module for module, shape in seen if shape[2:] == shapes[-1][2:] and _has_places(shape, len(part), AXES[kind])][-1]


def _has_places(shape: torch.Size, count: int, axes: int) -> bool:
    flat = axes == 1 and len(shape) == 4 and shape[2] == 1  # convolutions along one axis may be written as of an image of one row
    return (len(shape) == 2 + axes or flat) and shape[0] == count and max(shape[2:]) > 1


def seen_by_convolutions(model: nn.Module, kinds: dict[str, str], part: "Batch", asked: bool) -> dict[str, str]:
    """The modalities that Grad-CAM can explain: all of those asked for, or what there is.

    Raises
    ------
    InputError
        If a modality asked for has no convolutional encoder of its own, or none has.
    """
    able = {name: kind for name, kind in kinds.items() if spatial_layer(model, name, kind, part) is not None}
    without = [name for name in kinds if name not in able]
    if not able or (asked and without):
        encoders: Any = getattr(model, "encoders", {})
        read = ", ".join(f"{name!r} is read by {type(encoders[name]).__name__}" if name in encoders else f"{name!r} is stacked with others" for name in without)
        raise InputError(
            f"Grad-CAM needs a convolutional encoder of images, spectra or series, and {read}. "
            + (f"Type modalities={list(able)!r}, or t" if able else "T")
            + "ake method='integrated_gradients', which any encoder allows; or train with one, e.g. recipe.change(encoders={**recipe.encoders, 'image': Part('resnet')})."
        )
    return able


def grad_cam(question: Question) -> Found:
    """Selvaraju et al. 2017, arXiv:1610.02391: features weighted by their mean gradients, where they speak for the class (captum's `LayerGradCam`).

    The map has the features' grain: it is interpolated to the input, and shared among the bands that are real at each pixel.
    """
    from captum.attr import LayerGradCam

    values = []
    for name, kind, value, mask in zip(question.forward.explained, question.kinds, question.inputs, question.masks, strict=True):
        forward = question.forward.only(name)
        layer = spatial_layer(forward.model, name, kind, forward.part)
        assert layer is not None  # seen_by_convolutions looked
        given = value.detach().clone().requires_grad_()
        map_ = LayerGradCam(forward, layer).attribute((given,), additional_forward_args=(forward.rows,), relu_attributions=True)
        encoders: Any = forward.model.encoders
        values.append(_laid(map_.detach(), encoders[name], value, mask, AXES[kind]))
    return Found(tuple(values))


def _laid(map_: Tensor, encoder: Any, value: Tensor, mask: Tensor, axes: int) -> Tensor:
    """A map of features, (sample, 1, ...), over the pixels that the encoder looks at, shared among the channels that are real there."""
    from captum.attr import LayerAttribution

    map_ = map_[:, :, 0] if map_.ndim == axes + 3 else map_
    sides, whole = list(value.shape[-axes:]), list(encoder.layout.shape[-axes:])  # they differ where an adapter shrinks what the encoder is given
    looked: Sequence[int] = [encoder.height, encoder.breadth] if hasattr(encoder, "height") else whole
    multiple = int(getattr(encoder, "multiple", 1))
    wide = LayerAttribution.interpolate(map_, tuple(side + -side % multiple for side in looked), "bilinear" if axes == 2 else "linear")
    begin = [encoder.top, encoder.left] if hasattr(encoder, "top") else [0] * axes
    full = value.new_zeros(len(value), 1, *whole)
    to, out_of = [slice(b, b + n) for b, n in zip(begin, looked, strict=True)], [slice(0, n) for n in looked]
    full[:, :, *to] = wide[:, :, *out_of]
    if whole != sides:
        full = LayerAttribution.interpolate(full, tuple(sides), "bilinear" if axes == 2 else "linear")
    if value.ndim == axes + 1:
        return full[:, 0] * mask
    real = spread_mask(mask, value).to(value)
    return full * real / real.sum(1, keepdim=True).clamp(min=1)
