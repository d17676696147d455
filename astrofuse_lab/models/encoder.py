"""What every encoder is: one modality's values and mask in, tokens out."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from astrofuse_lab.models.tokens import InputLayout, Tokens


class Encoder(nn.Module):
    """Base of all encoders.

    A subclass is constructed with an `InputLayout`, the width of its tokens, and its options as keywords; these are what
    a recipe's `Part` may set.

    Attributes
    ----------
    kinds : tuple of str
        The kinds of modality it reads.
    attends : bool
        True where it has attention of its own; then `forward` fills `maps`.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    attends: ClassVar[bool] = False

    def __init__(self, layout: InputLayout, width: int) -> None:
        super().__init__()
        self.layout = layout
        self.width = width

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask as `samples.preparation` makes them to tokens.

        Parameters
        ----------
        values : Tensor
            (batch, ...) by kind. What is masked changes nothing.
        mask : bool Tensor
            True where real.
        maps : list, optional
            Where given, an encoder with attention appends its weights, (batch, head, query, key) a layer.
        """
        raise NotImplementedError


def cells(size: int, stride: int, count: int) -> tuple[Tensor, int]:
    """Where `count` pooled cells lie along an axis of `size` pixels, seen through strides.

    Returns
    -------
    bounds : int Tensor, (cell, 2)
        First pixel and one past the last, of each cell.
    count : int
        Cells there are: fewer than asked for where the axis is short.
    """
    features = -(-size // stride)
    count = min(count, features)
    index = torch.arange(count)
    # the rule of adaptive pooling: from the floor of the begin to the ceiling of the end
    begin, end = (index * features) // count, -((-(index + 1) * features) // count)
    return torch.stack([begin * stride, (end * stride).clamp(max=size)], 1), count


def place_of(axes: tuple[str, ...], box: Tensor) -> dict[str, Any]:
    """The `place` of tokens: axis names, and begin and end along each axis, (token, 2 * axes)."""
    return {"axes": axes, "box": box}


def one_each(axis: str, count: int) -> dict[str, Any]:
    """The `place` of tokens that each stand for one epoch, column or word."""
    index = torch.arange(count)
    return place_of((axis,), torch.stack([index, index + 1], 1))
