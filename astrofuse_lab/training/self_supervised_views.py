"""Another view of a prepared batch: noise on what is real, and some units left out."""

from collections.abc import Mapping

import torch

from astrofuse_lab.models.autoencoders import FLUX, draw_hidden, patch_of, units, without
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.training.learning import Inputs


def another_view(
    layouts: Mapping[str, InputLayout], values: Inputs, masks: Inputs, noise: float, share: float, luck: torch.Generator | None
) -> tuple[Inputs, Inputs]:
    """Values and masks, varied.

    Parameters
    ----------
    layouts : mapping of modality to InputLayout
    values, masks : dict of Tensor
    noise : float
        Standard deviation of what is added, in prepared units; of a light curve to its flux only, of a text not at all.
    share : float
        Of the units that a sample has, left out; 0: none.
    luck : Generator, optional
        None: torch's own.
    """
    seen, real = {}, {}
    for name, one in values.items():
        layout, mask = layouts[name], masks[name]
        seen[name] = noisy(layout, one, noise, luck)
        real[name] = mask
        if share > 0:
            patch = patch_of(layout)
            real[name] = without(layout, mask, draw_hidden(units(layout, one, mask, patch).real.any(2), share, luck), patch)
    return seen, real


def noisy(layout: InputLayout, values: torch.Tensor, noise: float, luck: torch.Generator | None) -> torch.Tensor:
    """Values with Gaussian noise of this standard deviation, where noise has a meaning: see `another_view`."""
    if noise == 0 or layout.kind == "text":
        return values
    if layout.kind == "light_curve":
        added = torch.zeros_like(values)
        added[..., FLUX] = noise * torch.randn(values.shape[:-1], generator=luck, device=values.device)
        return values + added
    return values + noise * torch.randn(values.shape, generator=luck, device=values.device)
