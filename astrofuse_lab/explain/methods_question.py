"""What a method of attribution is asked, and what it gives back."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from astrofuse_lab.explain.attribution_forward import ChunkForward, Rows


class Settings(NamedTuple):
    """How finely a method looks.

    Attributes
    ----------
    steps : int
        Points along a path; 0: as many as each sample needs, by `tolerance`, at most `most`.
    tolerance : float
    most : int
    draws : int
        Random draws a sample; 0: as many as the method needs.
    repeats : int
        How often LIME and KernelSHAP begin anew, for their standard error.
    windows : mapping of kind to int
        Windows along each axis, where they differ from the method's own.
    whole : bool
        Modalities are hidden whole.
    seed : int
    """

    steps: int = 0
    tolerance: float = 0.01
    most: int = 256
    draws: int = 0
    repeats: int = 4
    windows: Mapping[str, int] = {}
    whole: bool = False
    seed: int = 0


class Question(NamedTuple):
    """What a method is given for one chunk of samples.

    Attributes
    ----------
    forward : ChunkForward
    inputs, baselines, masks : tuple of Tensor
        Of each modality explained, (sample, ...); a baseline equals the input wherever nothing is hidden.
    kinds : tuple of str
    difference : Tensor, (sample,)
        Score of the sample less score of its baseline.
    settings : Settings
    rows : Rows
        Rows the model may be given at once.
    draw : callable
        Baselines of another draw, by its number; the same tensors where baselines are not drawn.
    """

    forward: ChunkForward
    inputs: tuple[Tensor, ...]
    baselines: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    kinds: tuple[str, ...]
    difference: Tensor
    settings: Settings
    rows: Rows
    draw: Callable[[int], tuple[Tensor, ...]]


class Found(NamedTuple):
    """What a method gives: a number for each value, and what it knows of its own error.

    Attributes
    ----------
    values : tuple of Tensor
        The shapes of the inputs.
    error : tuple of Tensor, optional
        Standard error of the sums over places, (sample, place ...).
    difference : Tensor, (sample,), optional
        What the values sum to, where that is not the difference from the first baseline.
    passes : int or Tensor, (sample,)
        Points, draws or windows a sample took.
    """

    values: tuple[Tensor, ...]
    error: tuple[Tensor, ...] | None = None
    difference: Tensor | None = None
    passes: int | Tensor = 1


def spread_mask(mask: Tensor, like: Tensor) -> Tensor:
    """A mask with the axes of the values it belongs to."""
    return mask.view(*mask.shape, *[1] * (like.ndim - mask.ndim))


def places(values: Tensor, mask: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Real values summed over all axes but the sample's and those of places."""
    real = values * spread_mask(mask, values)
    other = [axis for axis in range(1, values.ndim) if axis not in axes]
    return real.sum(other) if other else real


def deviation(each: list[Tensor]) -> Tensor:
    """Standard error of the mean of several estimates."""
    stacked = torch.stack(each)
    return stacked.std(0) / len(each) ** 0.5 if len(each) > 1 else torch.full_like(each[0], torch.nan)
