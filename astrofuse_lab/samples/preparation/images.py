"""Images: flux above the background, stretched with asinh; beside it, where asked for, its errors and the width of the PSF."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling, spread

SIGMA = 2.3548
"""Full width at half maximum of a Gaussian in standard deviations."""
MOST_ERROR = 10.0
"""Larger errors say no more: the value is unknown."""


def fit(arrays: Arrays, options: Mapping[str, Any]) -> dict[str, list[float]]:
    """The numbers of the scale, from training samples."""
    if options.get("errors") and options.get("scale") == "sample":
        raise InputError("errors=True needs images on one scale, scale='set': with scale='sample' each plane is in units of its own noise already.")
    flux, mask = _above_background(arrays, options)
    if options.get("stretch") == "none":
        return {"soft": [1.0] * flux.shape[1], "width": [1.0] * flux.shape[1]}
    soft = [spread(flux[:, b][mask[:, b]]) for b in range(flux.shape[1])]
    stretched = np.arcsinh(flux / np.array(soft, dtype=np.float32)[:, None, None])
    return {"soft": soft, "width": [max(float(stretched[:, b][mask[:, b]].std()), 1e-3) if mask[:, b].any() else 1.0 for b in range(flux.shape[1])]}


def planes(flux: NDArray[Any], mask: NDArray[Any], arrays: Arrays, scaling: Scaling) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """What stands beside the flux, plane by plane as the bands: values (object, band, y, x) and where they are known."""
    beside = []
    if scaling.options.get("errors"):
        soft, width = (np.array(scaling.fitted[k], dtype=np.float32)[:, None, None] for k in ("soft", "width"))
        slope = 1.0 / width if scaling.options.get("stretch") == "none" else 1.0 / (np.sqrt(soft**2 + flux**2) * width)
        beside.append(errors(arrays, flux, mask, slope))
    if scaling.options.get("psf"):
        wide = np.asarray(arrays.get("psf_fwhm", np.full(flux.shape[:2], np.nan)), dtype=np.float32) / SIGMA / scaling.fitted["pixel"][0]
        known = np.isfinite(wide) & (wide > 0)
        wide = np.where(known, wide, 0.0)[..., None, None]
        beside.append((np.broadcast_to(wide, flux.shape).astype(np.float32), known[..., None, None] & mask))
    return beside


def errors(arrays: Arrays, flux: NDArray[Any], mask: NDArray[Any], slope: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Standard errors of the stretched values, which `slope` (their derivative) gives of those of the flux, at most `MOST_ERROR`."""
    ivar = np.asarray(arrays["ivar"], dtype=np.float32) if "ivar" in arrays else np.zeros_like(flux)
    known = mask & np.isfinite(ivar) & (ivar > 0)
    return np.where(known, np.minimum(slope / np.sqrt(np.where(known, ivar, 1.0)), MOST_ERROR), 0.0).astype(np.float32), known


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
    soft, width = (np.array(scaling.fitted[k], dtype=np.float32)[:, None, None] for k in ("soft", "width"))
    values = flux if scaling.options.get("stretch") == "none" else np.arcsinh(flux / soft) / width * mask
    parts = [(values, mask), *planes(flux, mask, arrays, scaling)]
    return torch.from_numpy(np.concatenate([v for v, _ in parts], 1)), torch.from_numpy(np.concatenate([m for _, m in parts], 1))
