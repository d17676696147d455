"""Heterogeneity inside the network: what is done to inputs before their encoders, learned with them.

An adapter reads channels that stand beside the flux (errors, width of the PSF or LSF; see `samples.preparation`), uses them, and takes them away, so that
encoders see what they would see without. A channel is told by its name: ``"g"`` is flux, ``"error:g"``, ``"psf:g"`` and ``"lsf:flux"`` stand beside it.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.tokens import InputLayout

BESIDE = ("error", "psf", "lsf")


def channels_of(layout: InputLayout, role: str = "") -> list[int]:
    """Where the channels of a role are: "error", "psf", "lsf", or "" for those that are measurements themselves."""
    named = [name.split(":")[0] if name.split(":")[0] in BESIDE else "" for name in layout.channels]
    return [i for i, one in enumerate(named) if one == role]


def without(layout: InputLayout, roles: tuple[str, ...]) -> tuple[InputLayout, list[int]]:
    """The layout when the channels of some roles are taken away, and which stay; a spectrum that has no company left is one again."""
    gone = {i for role in roles for i in channels_of(layout, role)}
    stay = [i for i in range(len(layout.channels)) if i not in gone]
    if not gone:
        return layout, stay
    names = tuple(layout.channels[i] for i in stay)
    if layout.kind == "series" and names == ("flux",):
        return InputLayout("spectrum", (), layout.shape[1:]), stay
    return InputLayout(layout.kind, names, (len(stay), *layout.shape[1:])), stay


class Adapter(nn.Module):
    """Base of the adapters.

    Parameters
    ----------
    layouts : mapping of modality to InputLayout
        Those it works on.
    everything : mapping of modality to InputLayout
        All of the model.
    modality : str
        The one it is for; empty: all it can read.

    Attributes
    ----------
    layouts : dict
        What it gives.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    """Roles of channels, one of which a modality must have."""
    takes: ClassVar[tuple[str, ...]] = ()
    """Roles of channels that it takes away."""

    def __init__(self, layouts: Mapping[str, InputLayout], everything: Mapping[str, InputLayout], *, modality: str = "") -> None:
        super().__init__()
        self.given = dict(layouts)
        self.layouts: dict[str, InputLayout] = {}
        self.stay: dict[str, list[int]] = {}
        for name, layout in layouts.items():
            self.layouts[name], self.stay[name] = without(layout, self.takes)

    @classmethod
    def reads(cls, layout: InputLayout) -> bool:
        """True where it can work on such an input."""
        return layout.kind in ("image", "series") and any(channels_of(layout, role) for role in cls.needs)

    @classmethod
    def check(cls, layouts: Mapping[str, InputLayout]) -> None:
        """Raise InputError where modalities that it could read lack the channels it needs."""
        for name, layout in layouts.items():
            if layout.kind in ("image", "spectrum"):
                option = {"error": "errors", "psf": "psf", "lsf": "lsf"}
                how = " or ".join(f"{option[role]}=True" for role in cls.needs if (role, layout.kind) not in (("psf", "spectrum"), ("lsf", "image")))
                raise InputError(f"{name!r} has no {' or '.join(cls.needs)} beside its flux. Ask for it: inputs={{{name!r}: Part.of('scaled', {how})}}.")

    def forward(self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The modalities it works on, as far as they are given, adapted."""
        out, seen = {}, {}
        for name in self.given:
            if name in values:
                value, mask = self.adapt(name, values[name].masked_fill(~masks[name], 0.0), masks[name], values, masks)
                if self.layouts[name].kind == "spectrum":
                    value, mask = value[:, 0], mask[:, 0]
                out[name], seen[name] = value, mask
        return out, seen

    def adapt(self, name: str, value: Tensor, mask: Tensor, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """One modality, masked values zero: (batch, channel, ...) with all its channels to those that stay."""
        raise NotImplementedError


def beside(value: Tensor, mask: Tensor, where: list[int]) -> tuple[Tensor, Tensor]:
    """The mean of channels over all pixels where they are known, (batch, channel), and whether they are."""
    real = mask[:, where].flatten(2)
    count = real.sum(2)
    return (value[:, where].flatten(2) * real).sum(2) / count.clamp(min=1), count > 0


class Shrink(Adapter):
    """Uncertainty-aware normalisation: each value counts by its inverse variance.

    ``value * t^2 / (t^2 + error^2)``: the best linear estimate of a value whose spread is t (Wiener's filter pixel by pixel; James & Stein), with t
    learned for each channel. What is noise only comes near to zero, whatever the depth of the exposure; values without an error are left.

    Parameters
    ----------
    layouts, everything
        As in `Adapter`.
    spread : float
        What t begins at, in units of the scaled values (whose own spread is one).
    modality : str
    """

    needs = takes = ("error",)

    def __init__(self, layouts: Mapping[str, InputLayout], everything: Mapping[str, InputLayout], *, spread: float = 1.0, modality: str = "") -> None:
        super().__init__(layouts, everything, modality=modality)
        if spread <= 0:
            raise InputError(f"shrink spread={spread}: a positive number, e.g. 1.0.")
        start = torch.tensor(spread).log()
        self.spread = nn.ParameterDict({n: nn.Parameter(start.expand(len(channels_of(one))).clone()) for n, one in layouts.items()})

    def adapt(self, name: str, value: Tensor, mask: Tensor, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Shrunk flux."""
        layout = self.given[name]
        flux, error = channels_of(layout), channels_of(layout, "error")
        prior = (2 * self.spread[name]).exp().view(-1, *[1] * (value.ndim - 2))
        noise = value[:, error].square() * mask[:, error]
        shrunk = value.clone()
        shrunk[:, flux] = value[:, flux] * (prior / (prior + noise))
        stay = self.stay[name]
        return shrunk[:, stay], mask[:, stay]


class FiLM(Adapter):
    """The width of the PSF or LSF as an input: it scales and shifts each channel of the flux.

    Feature-wise linear modulation (Perez et al. 2018, arXiv:1709.07871) of the inputs, by a small network that sees the widths of all channels and which
    are known. It begins as no change at all. To give encoders the widths themselves as channels, ask for them (``psf=True``) and leave this out.

    Parameters
    ----------
    layouts, everything
        As in `Adapter`.
    hidden : int
    modality : str
    """

    needs = takes = ("psf", "lsf")

    def __init__(self, layouts: Mapping[str, InputLayout], everything: Mapping[str, InputLayout], *, hidden: int = 16, modality: str = "") -> None:
        super().__init__(layouts, everything, modality=modality)
        self.layers = nn.ModuleDict()
        for name, one in layouts.items():
            wide, flux = [i for role in self.needs for i in channels_of(one, role)], len(channels_of(one))
            last = nn.Linear(hidden, 2 * flux)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.layers[name] = nn.Sequential(nn.Linear(2 * len(wide), hidden), nn.GELU(), last)

    def adapt(self, name: str, value: Tensor, mask: Tensor, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Flux scaled and shifted, where real."""
        layout = self.given[name]
        flux = channels_of(layout)
        wide, known = beside(value, mask, [i for role in self.needs for i in channels_of(layout, role)])
        scale, shift = self.layers[name](torch.cat([wide, known.to(wide.dtype)], 1)).to(value.dtype).chunk(2, 1)
        axes = (..., *[None] * (value.ndim - 2))
        out = value.clone()
        out[:, flux] = (value[:, flux] * (1 + scale[axes]) + shift[axes]) * mask[:, flux]
        stay = self.stay[name]
        return out[:, stay], mask[:, stay]


class MatchResolution(Adapter):
    """Every sample is blurred from its own PSF (or LSF) to one common width, which is learned.

    Gaussians: the kernel's variance is the common one less the sample's own, none where that is sharper already; masked pixels take no part. Exact for
    flux itself (``stretch="none"``), an approximation for stretched values. Gradients reach the values and the common width.

    Parameters
    ----------
    layouts, everything
        As in `Adapter`.
    width : float
        What the common standard deviation begins at, pixels: above most of the samples' own.
    radius : int
        Of the kernel, pixels.
    modality : str
    """

    needs = takes = ("psf", "lsf")

    def __init__(
        self, layouts: Mapping[str, InputLayout], everything: Mapping[str, InputLayout], *, width: float = 2.5, radius: int = 8, modality: str = ""
    ) -> None:
        super().__init__(layouts, everything, modality=modality)
        if width <= 0:
            raise InputError(f"match_resolution width={width}: a positive number of pixels, e.g. 2.5.")
        self.radius = radius
        self.width = nn.ParameterDict({name: nn.Parameter(torch.tensor(width).log()) for name in layouts})

    def adapt(self, name: str, value: Tensor, mask: Tensor, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Blurred flux."""
        layout = self.given[name]
        flux, wide = channels_of(layout), [i for role in self.needs for i in channels_of(layout, role)]
        own, known = beside(value, mask, wide)
        # where a width is unknown nothing is done: no kernel is the right one
        more = torch.where(known, ((2 * self.width[name]).exp() - own.square()).clamp(min=0.0), 0.0)
        out = value.clone()
        out[:, flux] = torch.where(mask[:, flux], blurred(value[:, flux], mask[:, flux], more, self.radius), 0.0)
        stay = self.stay[name]
        return out[:, stay], mask[:, stay]


def blurred(value: Tensor, mask: Tensor, variance: Tensor, radius: int) -> Tensor:
    """Values (batch, channel, ...) through Gaussians of these variances (batch, channel), pixels squared; only from what is real."""
    steps = torch.arange(-radius, radius + 1, device=value.device, dtype=torch.float32)
    # a variance of zero is a kernel of one pixel; its gradient is finite
    kernel = (-0.5 * steps.square() / variance.float().clamp(min=1e-2)[..., None]).exp()
    kernel = (kernel / kernel.sum(-1, keepdim=True)).flatten(0, 1)[:, None]
    groups = len(kernel)
    both = []
    for one in (value.float() * mask, mask.float()):
        flat = one.reshape(1, groups, *one.shape[2:])
        if value.ndim == 3:
            both.append(F.conv1d(flat, kernel, padding=radius, groups=groups).view(value.shape))
        else:
            rows = F.conv2d(flat, kernel[:, :, None, :], padding=(0, radius), groups=groups)
            both.append(F.conv2d(rows, kernel[:, :, :, None], padding=(radius, 0), groups=groups).view(value.shape))
    return (both[0] / both[1].clamp(min=1e-6)).to(value.dtype)


class Calibrate(Adapter):
    """A zero point and a scale for each channel, learned, and pulled towards another modality.

    ``value * (1 + scale) + zero``, no change at the beginning. With a `reference`, training adds a loss: half the squared difference between the mean
    calibrated value of each channel and that of the reference's channel of the same name (of all its channels where none is called so), over samples that have both.

    Parameters
    ----------
    layouts, everything
        As in `Adapter`.
    reference : str
        The modality to agree with; empty: none, the objective alone decides.
    pull : float
        Weight of the loss.
    modality : str
    """

    def __init__(
        self, layouts: Mapping[str, InputLayout], everything: Mapping[str, InputLayout], *, reference: str = "", pull: float = 0.1, modality: str = ""
    ) -> None:
        own = {name: one for name, one in layouts.items() if name != reference}
        super().__init__(own, everything, modality=modality)
        self.reference = everything.get(reference)
        self.reference_name, self.pull = reference, pull
        if modality and modality == reference:
            raise UnknownNameError("modality to calibrate", modality, [n for n in everything if n != reference], f"{reference!r} is the reference itself.")
        counts = {name: len(channels_of(one)) if one.kind != "spectrum" else 1 for name, one in own.items()}
        self.scale = nn.ParameterDict({name: nn.Parameter(torch.zeros(count)) for name, count in counts.items()})
        self.zero = nn.ParameterDict({name: nn.Parameter(torch.zeros(count)) for name, count in counts.items()})
        self._apart: list[Tensor] = []

    @classmethod
    def reads(cls, layout: InputLayout) -> bool:
        """Images, spectra, series and tables: what has channels on a continuous scale."""
        return layout.kind in ("image", "series", "spectrum", "table")

    @classmethod
    def check(cls, layouts: Mapping[str, InputLayout]) -> None:
        """Nothing is lacking: there is just no such modality."""

    def forward(self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Adapter.forward`."""
        self._apart = []
        out, seen = {}, {}
        for name, layout in self.given.items():
            if name not in values:
                continue
            mask = masks[name]
            value = values[name].masked_fill(~mask, 0.0)
            flux = channels_of(layout) if layout.kind != "spectrum" else [0]
            deep = value[:, None] if layout.kind == "spectrum" else value
            shape = (-1, *[1] * (deep.ndim - 2))
            changed = deep.clone()
            changed[:, flux] = deep[:, flux] * (1 + self.scale[name].view(shape)) + self.zero[name].view(shape)
            changed = changed[:, 0] if layout.kind == "spectrum" else changed
            out[name], seen[name] = changed.masked_fill(~mask, 0.0), mask
            if self.training and self.reference is not None and self.reference_name in values:
                self._apart.append(self._difference(layout, out[name], mask, values[self.reference_name], masks[self.reference_name]))
        return out, seen

    def _difference(self, layout: InputLayout, value: Tensor, mask: Tensor, other: Tensor, other_mask: Tensor) -> Tensor:
        assert self.reference is not None
        own, known = _levels(layout, value, mask)
        target, there = _levels(self.reference, other.masked_fill(~other_mask, 0.0), other_mask)
        whole = (target * there).sum(1) / there.sum(1).clamp(min=1)
        total, count = own.new_zeros(()), own.new_zeros(())
        names = [layout.channels[i] for i in channels_of(layout)] if layout.kind != "spectrum" else ["flux"]
        others = [self.reference.channels[i] for i in channels_of(self.reference)] if self.reference.kind != "spectrum" else ["flux"]
        for i, channel in enumerate(names):
            same = others.index(channel) if channel in others else None
            goal, fine = (whole, there.any(1)) if same is None else (target[:, same], there[:, same])
            both = fine & known[:, i]
            total, count = total + (0.5 * (own[:, i] - goal.detach()).square() * both).sum(), count + both.sum()
        return total / count.clamp(min=1)

    def extra_loss(self) -> Tensor:
        """`pull` times the mean of half the squared differences, in the last batch."""
        apart, self._apart = self._apart, []
        return self.pull * torch.stack(apart).mean() if apart else next(self.parameters()).new_zeros(())


def _levels(layout: InputLayout, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each measured channel, (batch, channel), and whether it has a real value."""
    if layout.kind == "spectrum":
        return beside(value[:, None], mask[:, None], [0])
    if layout.kind == "table":
        return value, mask
    return beside(value, mask, channels_of(layout))
