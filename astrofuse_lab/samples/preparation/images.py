"""Images: flux above the background, stretched with asinh."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling, spread


def fit(arrays: Arrays, options: Mapping[str, Any]) -> dict[str, list[float]]:
    """The numbers of the scale, from training samples."""
    flux, mask = _above_background(arrays, options)
    if options.get("stretch") == "none":
        return {"soft": [1.0] * flux.shape[1], "width": [1.0] * flux.shape[1]}
    soft = [spread(flux[:, b][mask[:, b]]) for b in range(flux.shape[1])]
    stretched = np.arcsinh(flux / np.array(soft, dtype=np.float32)[:, None, None])
    return {"soft": soft, "width": [max(float(stretched[:, b][mask[:, b]].std()), 1e-3) if mask[:, b].any() else 1.0 for b in range(flux.shape[1])]}


def _above_background(arrays: Arrays, options: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    flux = np.asarray(arrays["flux"], dtype=np.float32)
    mask: NDArray[np.bool_] = np.asarray(arrays["mask"] & np.isfinite(flux))
    flux = np.where(mask, flux, np.nan)
    if options.get("background") == "median" and flux.size:
        flat = flux.reshape(*flux.shape[:2], -1)
        empty = np.asarray(~mask.reshape(flat.shape).any(-1))
        flat = np.where(empty[..., None], 0.0, flat)  # nanmedian warns on a plane without a pixel
        flux = flux - np.nanmedian(flat, axis=-1)[..., None, None]
        if options.get("scale") == "sample":  # each plane in units of its own noise, wherever its zero point lies
            noise = 1.4826 * np.nanmedian(np.abs(flat - np.nanmedian(flat, axis=-1)[..., None]), axis=-1)
            flux = flux / np.maximum(noise, 1e-6)[..., None, None]
    return np.where(mask, flux, 0.0).astype(np.float32), mask


def apply(arrays: Arrays, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Values and mask as the encoders take them."""
    flux, mask = _above_background(arrays, scaling.options)
    if scaling.options.get("stretch") == "none":
        return torch.from_numpy(flux), torch.from_numpy(mask)
    soft, width = (np.array(scaling.fitted[k], dtype=np.float32)[:, None, None] for k in ("soft", "width"))
    return torch.from_numpy(np.arcsinh(flux / soft) / width * mask), torch.from_numpy(mask)
