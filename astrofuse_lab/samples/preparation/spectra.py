"""Spectra: flux, stretched with asinh."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling, spread


def good(arrays: Arrays) -> NDArray[np.bool_]:
    """Pixels that can be used."""
    return np.asarray(arrays["mask"] & np.isfinite(arrays["flux"]))


def fit(arrays: Arrays, options: Mapping[str, Any]) -> dict[str, list[float]]:
    """The numbers of the scale, from training samples."""
    fine = good(arrays)
    soft = spread(arrays["flux"][fine].astype(np.float64))
    stretched = np.arcsinh(arrays["flux"][fine] / soft)
    return {"soft": [soft], "centre": [float(stretched.mean()) if fine.any() else 0.0], "width": [max(float(stretched.std()), 1e-3) if fine.any() else 1.0]}


def apply(arrays: Arrays, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Values and mask as the encoders take them."""
    flux = arrays["flux"].astype(np.float32)
    mask = arrays["mask"] & np.isfinite(flux)
    soft, centre, width = (scaling.fitted[k][0] for k in ("soft", "centre", "width"))
    values = (np.arcsinh(np.where(mask, flux, 0.0) / soft) - centre) / width * mask
    return torch.from_numpy(values.astype(np.float32)), torch.from_numpy(mask)
