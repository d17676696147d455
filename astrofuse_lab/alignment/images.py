"""Images onto one pixel grid: flux, mask and inverse variance together."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.alignment.projection import Floats, check_wcs, pixel_map
from astrofuse_lab.alignment.weights import Weights, bilinear, overlaps
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.modalities import Image

METHODS = ("exact", "bilinear")
BATCH = 8  # images at once: more do not fit the processor's cache
MOST_SAMPLES = 16  # along a side of an output pixel
TOUCHED = 1e-6  # an output pixel is bad once bad input has more than this share of its weight
BRIGHTNESS = re.compile(r"/\s*\(?[^/]*\b(arcsec|arcmin|deg|sr|rad|pixel_angle)|\b(arcsec|arcmin|deg|sr|rad)\s*(\^|\*\*)?\s*\(?-")
PER_BEAM = re.compile(r"\bbeam\b", re.IGNORECASE)


class Resampled(NamedTuple):
    """Images on the common grid.

    Attributes
    ----------
    flux : float32 array, (image, band, y, x)
        Zero where `mask` is False.
    mask : bool array, (image, band, y, x)
        True where every input pixel that contributes was good and inside the image.
    ivar : float32 array, (image, band, y, x), or None
        Without the covariance between neighbouring pixels that any resampling makes.
    """

    flux: NDArray[np.float32]
    mask: NDArray[np.bool_]
    ivar: NDArray[np.float32] | None


def resample(images: Sequence[Image], grid: PixelGrid, ra: Any, dec: Any, method: str | None = None, device: str = "cpu") -> Resampled:
    """Bring images of the same shape to a grid, each centred on its target.

    Parameters
    ----------
    images : sequence of Image
        Of one shape and unit; `ivar` is carried if all have it.
    grid : PixelGrid
    ra, dec : array, (image,)
        Centres, deg, ICRS.
    method : {"exact", "bilinear"}, optional
        ``exact``: shares of the overlapping area, as Drizzle and `reproject.reproject_exact` do; flux is conserved.
        ``bilinear``: interpolation, as `reproject.reproject_interp` does, averaged over a pixel coarser than the input's.
        None: bilinear for brightness per solid angle (``MJy / sr``), exact for flux per pixel.
    device : str
        Where to compute.

    Returns
    -------
    Resampled
        In the unit of the input; flux per pixel is scaled with the area of the pixels.

    Raises
    ------
    AlignmentError
        If the shapes or units differ, or a WCS is none.
    """
    if len({(image.flux.shape, image.unit) for image in images}) != 1:
        raise AlignmentError(f"images of {sorted({(i.flux.shape, i.unit) for i in images})}: resample those of one shape and unit together.")
    if method not in (None, *METHODS):
        raise InputError(f"method={method!r}: choose one of {', '.join(METHODS)}, or None.")
    _countable(images[0].unit)
    lon, lat = (np.broadcast_to(np.asarray(v, dtype=np.float64), (len(images),)) for v in (ra, dec))
    chosen = method or ("bilinear" if per_solid_angle(images[0].unit) else "exact")
    parts = [_batch(images[b : b + BATCH], grid, lon[b : b + BATCH], lat[b : b + BATCH], chosen, device) for b in range(0, len(images), BATCH)]
    flux, mask, ivar = (None if any(one is None for one in p) else np.concatenate(p) for p in zip(*parts, strict=True))
    assert flux is not None and mask is not None
    return Resampled(flux, mask, ivar)


def check(image: Image) -> None:
    """Raise AlignmentError, naming the field, if an image cannot be resampled."""
    if image.flux.ndim != 3 or len(image.bands) != len(image.flux):
        raise AlignmentError(f"flux has shape {image.flux.shape} for the bands {', '.join(image.bands)}; (band, y, x) is expected.")
    for name, array in (("mask", image.mask), ("ivar", image.ivar)):
        if array is not None and array.shape != image.flux.shape:
            raise AlignmentError(f"{name} has shape {array.shape}, flux has {image.flux.shape}.")
    if min(image.flux.shape[1:]) < 2:
        raise AlignmentError(f"flux is {image.flux.shape[1]} x {image.flux.shape[2]} pixels; at least 2 x 2 are needed.")
    if not (image.mask & np.isfinite(image.flux)).any():
        raise AlignmentError("flux has no good pixel.")
    _countable(image.unit)
    check_wcs(image.wcs, (image.flux.shape[1], image.flux.shape[2]))


def _countable(unit: str) -> None:
    """AlignmentError for flux per beam, which is neither flux per pixel nor per solid angle until the beam's area is known."""
    if PER_BEAM.search(unit):
        raise AlignmentError(
            f"the unit is {unit!r}, and how large the beam is stands nowhere (BMAJ and BMIN in the FITS header). Divide flux by pi BMAJ BMIN / (4 ln 2) (deg2), "
            "multiply it with the square of the image's scale (deg), and give the image with unit='uJy' or the like."
        )


def per_solid_angle(unit: str) -> bool:
    """True for surface brightness, such as ``MJy / sr``; False for flux per pixel."""
    return bool(BRIGHTNESS.search(unit))


def _batch(images: Sequence[Image], grid: PixelGrid, ra: Floats, dec: Floats, method: str, device: str) -> tuple[Any, Any, Any]:
    good = np.stack([i.mask & np.isfinite(i.flux) for i in images])
    has_ivar = all(i.ivar is not None for i in images)
    if has_ivar:
        ivar = np.stack([np.asarray(i.ivar) for i in images])
        good &= np.isfinite(ivar) & (ivar > 0)
    weights = _weights(images, grid, ra, dec, method, device)
    area = weights.value.sum(-1)
    bad = _gather(_planes(~good, device), weights.place, weights.value)
    mask = weights.whole[:, None] & (bad <= TOUCHED * area[:, None])
    scale = _flux_scale(images, grid, ra, dec, method, device)
    flux = torch.where(mask, _gather(_planes(np.where(good, np.stack([i.flux for i in images]), 0.0), device), weights.place, weights.value) * scale, 0.0)
    shape = (len(images), good.shape[1], grid.size, grid.size)
    out_ivar = None
    if has_ivar:
        variance = _planes(np.where(good, 1 / np.where(good, ivar, 1.0), 0.0), device)
        spread = _gather(variance, weights.place, weights.value**2) * scale**2
        out_ivar = torch.where(mask & (spread > 0), 1 / spread.clamp_min(1e-300), 0.0).float().cpu().numpy().reshape(shape)
    return flux.float().cpu().numpy().reshape(shape), mask.cpu().numpy().reshape(shape), out_ivar


def _weights(images: Sequence[Image], grid: PixelGrid, ra: Floats, dec: Floats, method: str, device: str) -> Weights:
    headers, shape = [i.wcs for i in images], (images[0].flux.shape[1], images[0].flux.shape[2])
    if method == "exact":
        weights = overlaps(*pixel_map(headers, grid, ra, dec, np.arange(grid.size + 1) - grid.size / 2, device), shape)
        if not per_solid_angle(images[0].unit):
            return weights
        return weights._replace(value=weights.value / weights.value.sum(-1, keepdim=True).clamp_min(1e-12))
    k = int(np.clip(np.ceil(grid.scale / min(i.scale for i in images) - 1e-6), 1, MOST_SAMPLES))
    step = (np.arange(k * grid.size) + 0.5) / k - grid.size / 2
    return bilinear(*pixel_map(headers, grid, ra, dec, step, device), k, shape)


def _flux_scale(images: Sequence[Image], grid: PixelGrid, ra: Floats, dec: Floats, method: str, device: str) -> Tensor:
    """Input pixels to an output pixel, for interpolated flux per pixel: (image, 1, out); else one."""
    if method == "exact" or per_solid_angle(images[0].unit):
        return torch.ones(1, 1, 1, dtype=torch.float64, device=device)
    x, y = pixel_map([i.wcs for i in images], grid, ra, dec, np.arange(grid.size + 1) - grid.size / 2, device)
    # half the cross product of the diagonals of each pixel
    ux, uy = (v[:, 1:, 1:] - v[:, :-1, :-1] for v in (x, y))
    vx, vy = (v[:, 1:, :-1] - v[:, :-1, 1:] for v in (x, y))
    return ((ux * vy - uy * vx).abs() / 2).flatten(1)[:, None].nan_to_num()


def _planes(array: NDArray[Any], device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64)).to(device).flatten(2)


def _gather(planes: Tensor, place: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of input pixels: planes (image, band, pixel), place and weights (image, out, window) to (image, band, out)."""
    index = place.flatten(1)
    return torch.stack([torch.gather(plane, 1, index).view(place.shape).mul_(weights).sum(-1) for plane in planes.unbind(1)], dim=1)
