"""Spectra: flux, stretched with asinh, or with ``stretch="none"`` as it is; beside it, where asked for, its errors and the width of the line-spread function."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.samples.preparation.images import errors
from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling, spread

STRETCHES = ("asinh", "none")


def good(arrays: Arrays) -> NDArray[np.bool_]:
    """Pixels that can be used."""
    return np.asarray(arrays["mask"] & np.isfinite(arrays["flux"]))


def fit(arrays: Arrays, options: Mapping[str, Any]) -> dict[str, list[float]]:
    """The numbers of the scale, from training samples; UnknownNameError for a stretch that there is not."""
    if options.get("stretch", "asinh") not in STRETCHES:
        raise UnknownNameError("stretch of a spectrum", str(options["stretch"]), STRETCHES)
    fine = good(arrays)
    soft = spread(arrays["flux"][fine].astype(np.float64))
    stretched = np.arcsinh(arrays["flux"][fine] / soft)
    return {"soft": [soft], "centre": [float(stretched.mean()) if fine.any() else 0.0], "width": [max(float(stretched.std()), 1e-3) if fine.any() else 1.0]}


def apply(arrays: Arrays, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Values and mask as the encoders take them: (batch, pixel), or (batch, channel, pixel) with what stands beside the flux."""
    flux = arrays["flux"].astype(np.float32)
    mask = arrays["mask"] & np.isfinite(flux)
    soft, centre, width = (scaling.fitted[k][0] for k in ("soft", "centre", "width"))
    filled = np.where(mask, flux, 0.0)
    plain = scaling.options.get("stretch") == "none"
    values = filled if plain else ((np.arcsinh(filled / soft) - centre) / width * mask).astype(np.float32)
    parts = [(values, mask)]
    if scaling.options.get("errors"):
        parts.append(errors(arrays, filled, mask, np.ones_like(filled) if plain else 1.0 / (np.sqrt(soft**2 + filled**2) * width)))
    if scaling.options.get("lsf"):
        # of the grid's own pixels, so that it means the same to a kernel at every wavelength
        wide = np.asarray(arrays.get("lsf_sigma", np.full(flux.shape, np.nan)), dtype=np.float32) / np.gradient(np.asarray(arrays["lambda"], dtype=np.float64), axis=-1)
        known = mask & np.isfinite(wide) & (wide > 0)
        parts.append((np.where(known, wide, 0.0).astype(np.float32), known))
    if len(parts) == 1:
        return torch.from_numpy(values), torch.from_numpy(mask)
    return torch.from_numpy(np.stack([v for v, _ in parts], 1)), torch.from_numpy(np.stack([m for _, m in parts], 1))
