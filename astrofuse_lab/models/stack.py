"""Data-level fusion: modalities joined into one input before any encoder."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.tokens import InputLayout

Inputs = dict[str, Tensor]


class Stack(nn.Module):
    """Base of the stacks: some of a model's modalities become one.

    Parameters
    ----------
    layouts : mapping of modality to InputLayout
        Of the modalities that are joined, in order: those that were asked for and the model has.
    modalities : sequence of str
        Which to join, in this order; empty: all that can be.
    called : str
        What the joined input is called, e.g. to give it an encoder: ``encoders={"stack": Part("conv2d")}``.

    Attributes
    ----------
    layout : InputLayout
        Of the joined input.
    """

    kinds: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of kinds that can be joined with each other."""
    layout: InputLayout

    def __init__(self, layouts: Mapping[str, InputLayout], *, modalities: Sequence[str] = (), called: str = "stack") -> None:
        super().__init__()
        self.members = dict(layouts)
        self.called = called
        told = ", ".join(f"{n} ({one.kind})" for n, one in layouts.items())
        if not any({one.kind for one in layouts.values()} <= set(group) for group in self.kinds):
            able = " or ".join("/".join(group) for group in self.kinds)
            raise InputError(f"{told} cannot be stacked: this joins {able}. Name those that fit: stack=Part.of(..., modalities=[...]).")

    @classmethod
    def chosen(cls, layouts: Mapping[str, InputLayout], wanted: Sequence[str]) -> dict[str, InputLayout]:
        """Those asked for, in that order, that the model has; all of the first group of kinds that has any where none is named."""
        if wanted:
            return {name: layouts[name] for name in wanted if name in layouts}
        for group in cls.kinds:
            found = {name: one for name, one in layouts.items() if one.kind in group}
            if found:
                return found
        return {}

    def forward(self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Values and masks of the members that were given to those of the joined input; the others are masked in it."""
        some = next(iter(values.values()))
        parts, seen = [], []
        for name, layout in self.members.items():
            if name in values:
                value, mask = self.bring(values[name], masks[name], layout)
            else:
                value, mask = some.new_zeros(len(some), *self.shape(layout)), torch.zeros(len(some), *self.shape(layout), dtype=torch.bool, device=some.device)
            parts.append(value)
            seen.append(mask)
        return torch.cat(parts, 1), torch.cat(seen, 1)

    def shape(self, layout: InputLayout) -> tuple[int, ...]:
        """Of a member's part."""
        raise NotImplementedError

    def bring(self, value: Tensor, mask: Tensor, layout: InputLayout) -> tuple[Tensor, Tensor]:
        """A member as its part: values and mask (batch, *shape)."""
        raise NotImplementedError


def resampled(value: Tensor, mask: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(batch, channel, ...) at another size, linear between pixels, only from what is real; real where most of what is looked at is."""
    if value.shape[2:] == size:
        return value, mask
    mode = "linear" if len(size) == 1 else "bilinear"
    smaller = any(new < old for new, old in zip(size, value.shape[2:], strict=True))
    weight = mask.to(value.dtype)
    value = value.masked_fill(~mask, 0.0)
    if smaller:  # each new pixel is the mean of those it covers, so that nothing is stepped over
        pool: Any = F.adaptive_avg_pool1d if len(size) == 1 else F.adaptive_avg_pool2d
        filled, part = pool(value, size), pool(weight, size)
    else:
        filled, part = (F.interpolate(one, size=size, mode=mode, align_corners=False) for one in (value, weight))
    real = part > 0.5
    return torch.where(real, filled / part.clamp(min=1e-6), 0.0), real


class ChannelStack(Stack):
    """Images as bands of one image; spectra and series as channels of one series, all brought to the shape of the first.

    Larger or smaller members are resampled inside the model (linear, by what is real), so gradients and attributions reach them as they were given.
    """

    kinds = (("image",), ("spectrum", "series"))

    def __init__(self, layouts: Mapping[str, InputLayout], *, modalities: Sequence[str] = (), called: str = "stack") -> None:
        super().__init__(layouts, modalities=modalities, called=called)
        first = next(iter(layouts.values()))
        self.size = first.shape[1:] if first.kind in ("image", "series") else first.shape
        channels = tuple(f"{n} {c}" for n, one in layouts.items() for c in (one.channels if one.kind != "spectrum" else ("flux",)))
        count = sum(self.shape(one)[0] for one in layouts.values())
        self.layout = InputLayout("image" if first.kind == "image" else "series", channels, (count, *self.size))

    def shape(self, layout: InputLayout) -> tuple[int, ...]:
        """(channel, *size of the first)."""
        return (1 if layout.kind == "spectrum" else layout.shape[0], *self.size)

    def bring(self, value: Tensor, mask: Tensor, layout: InputLayout) -> tuple[Tensor, Tensor]:
        """Resampled to the first's size."""
        if layout.kind == "spectrum":
            value, mask = value[:, None], mask[:, None]
        return resampled(value, mask, tuple(self.size))


class FlatStack(Stack):
    """Spectra, series and tables side by side as one row of numbers.

    Parameters
    ----------
    layouts
        As in `Stack`.
    to : {"table", "series"}
        What the row is: a table, one token a number, or a series of one channel.
    modalities, called
        As in `Stack`.
    """

    kinds = (("table", "spectrum", "series"),)

    def __init__(self, layouts: Mapping[str, InputLayout], *, to: str = "table", modalities: Sequence[str] = (), called: str = "stack") -> None:
        super().__init__(layouts, modalities=modalities, called=called)
        if to not in ("table", "series"):
            raise InputError(f"stack to={to!r}: a 'table' or a 'series'.")
        self.gives = to
        count = sum(self.shape(one)[0] for one in layouts.values())
        names = tuple(f"{n} {c}" for n, one in layouts.items() for c in (one.channels if one.kind == "table" else range(self.shape(one)[0])))
        self.layout = InputLayout("table", names, (count,)) if to == "table" else InputLayout("series", ("stack",), (1, count))

    def shape(self, layout: InputLayout) -> tuple[int, ...]:
        """(number,)."""
        size = 1
        for one in layout.shape:
            size *= one
        return (size,)

    def bring(self, value: Tensor, mask: Tensor, layout: InputLayout) -> tuple[Tensor, Tensor]:
        """As one row."""
        return value.flatten(1), mask.flatten(1)

    def forward(self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See `Stack.forward`."""
        value, mask = super().forward(values, masks)
        return (value, mask) if self.gives == "table" else (value[:, None], mask[:, None])
