"""Objectives that give back: part of the input is hidden or spoiled, and a light decoder finds it again from the tokens."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.autoencoders import UnitDecoder, Units, draw_hidden, patch_of, units, without
from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.training.learning import Inputs
from astrofuse_lab.training.self_supervised_base import SelfSupervised, stream_of, vectors_of, width_of
from astrofuse_lab.training.self_supervised_views import another_view


def mean_over(squares: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each sample's (unit, number) over those asked for, (batch,), and who has any."""
    count = asked.flatten(1).sum(1)
    return (squares * asked).flatten(1).sum(1) / count.clamp(min=1), count > 0


def errors(made: Inputs, cut: Mapping[str, Units], asked: Inputs) -> tuple[Tensor, Tensor]:
    """Squared errors of the numbers asked for, averaged within each modality and then over those that a sample has."""
    losses = [mean_over((made[name] - cut[name].values).square(), asked[name]) for name in made]
    total, count = torch.stack([loss for loss, _ in losses]).sum(0), torch.stack([there for _, there in losses]).sum(0)
    return total / count.clamp(min=1), count > 0


class _GivenBack(SelfSupervised):
    """A decoder a modality that sees tokens.

    Parameters
    ----------
    model : FusionModel
    across : bool
        Decoders see the tokens of all modalities and the fused vector; False: only those of their own.
    patch : int
        Side of the patches of images, spectra and series; 0: an eighth of an image's side, a 32nd of an axis.
    """

    def __init__(self, model: FusionModel, across: bool, patch: int) -> None:
        super().__init__(model)
        if patch < 0:
            raise InputError(f"patch={patch}: a whole number, 0 chooses it.")
        width = width_of(model)
        self.across, self.streams = across, stream_of(model)
        self.patches = {name: patch_of(layout, patch) for name, layout in model.layouts.items()}
        self.decoders = nn.ModuleDict({name: UnitDecoder(layout, width, patch) for name, layout in model.layouts.items()})

    def given_back(self, seen: Inputs, visible: Inputs, present: Inputs, values: Inputs) -> dict[str, Tensor]:
        """Each input's units, (batch, unit, number), from what is seen of all; `values` tell queries when and where."""
        tokens = self.model.encode(seen, visible, present)[0]
        parts = [(one.values, one.mask) for one in tokens.values()]
        fused = self.fused(tokens) if self.across else None
        if fused is not None:
            parts.append((fused.vector[:, None], torch.stack([one.mask.any(1) for one in tokens.values()]).any(0)[:, None]))
        together = torch.cat([p[0] for p in parts], 1), torch.cat([p[1] for p in parts], 1)
        made = {}
        for name, one in values.items():
            context = together if self.across else tokens[self.streams[name]][:2]
            made[name] = self.decoders[name](*context, one)
        return made


class Masked(_GivenBack):
    """Patches, epochs, columns and words of the inputs are hidden from the encoders, and predicted from the tokens of the rest.

    Masked autoencoders (He et al. 2022, arXiv:2111.06377) for any encoder: what is hidden is masked in the input, so an encoder
    never sees it. The loss is the squared error of the hidden numbers, in prepared units.

    Parameters
    ----------
    model : FusionModel
    share : float
        Of each input's units, hidden.
    across, patch
        As in `_GivenBack`; across, a modality helps to find what another hides (Bachmann et al. 2022, arXiv:2204.01678).
    """

    def __init__(self, model: FusionModel, *, share: float = 0.5, across: bool = True, patch: int = 0) -> None:
        super().__init__(model, across, patch)
        if not 0 < share < 1:
            raise InputError(f"share={share}: between 0 and 1, e.g. 0.5.")
        self.share = share

    def per_sample(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[Tensor, Tensor]:
        """The mean over modalities of the error of what is hidden."""
        cut, hidden, visible = {}, {}, {}
        luck = self.luck(next(iter(values.values())).device)
        for name, one in values.items():
            layout, patch = self.model.layouts[name], self.patches[name]
            cut[name] = units(layout, one, masks[name], patch)
            hidden[name] = draw_hidden(cut[name].real.any(2), self.share, luck)
            visible[name] = without(layout, masks[name], hidden[name], patch)
        made = self.given_back(values, visible, present, values)
        return errors(made, cut, {name: one.real & hidden[name][..., None] for name, one in cut.items()})


class Denoising(_GivenBack):
    """Inputs are given back from one vector a modality, which saw them with noise and with parts left out.

    The denoising autoencoder (Vincent et al. 2008, doi:10.1145/1390156.1390294); with noise=0 and share=0 the plain one.

    Parameters
    ----------
    model : FusionModel
    noise : float
        Standard deviation of what is added to the inputs, in prepared units.
    share : float
        Of each input's units, left out of what is seen.
    patch : int
        As in `_GivenBack`.
    """

    def __init__(self, model: FusionModel, *, noise: float = 0.3, share: float = 0.0, patch: int = 0) -> None:
        super().__init__(model, False, patch)
        if noise < 0 or not 0 <= share < 1:
            raise InputError(f"noise={noise}: at least 0; share={share}: from 0 to below 1.")
        self.noise, self.share = noise, share

    def per_sample(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[Tensor, Tensor]:
        """The mean over modalities of the error of all real numbers."""
        layouts = self.model.layouts
        seen, real = another_view(layouts, values, masks, self.noise, self.share, self.luck(next(iter(values.values())).device))
        vectors, there = vectors_of(self.model.encode(seen, real, present)[0])
        made = {n: self.decoders[n](vectors[self.streams[n]][:, None], there[self.streams[n]][:, None], one) for n, one in values.items()}
        cut = {n: units(layouts[n], one, masks[n], self.patches[n]) for n, one in values.items()}
        return errors(made, cut, {n: one.real & there[self.streams[n]][:, None, None] for n, one in cut.items()})
