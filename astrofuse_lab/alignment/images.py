"""Images onto one pixel grid: flux, mask and inverse variance together."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab import memory
from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.alignment.projection import Floats, check_wcs, pixel_map
from astrofuse_lab.alignment.weights import Weights, bilinear, overlaps
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.modalities import Image

METHODS = ("exact", "bilinear")
BATCH = 32  # images at once, by one thread
ON_DEVICE = 8  # images at once as tensors, whose windows are many times as large: more do not fit a processor's cache
ON_ACCELERATOR = 256
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


def resample(images: Sequence[Image], grid: PixelGrid, ra: Any, dec: Any, method: str | None = None, device: str = "cpu", samples: int | None = None) -> Resampled:
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
    samples : int, optional
        Along a side of an output pixel, for ``bilinear``; 1 is what `reproject.reproject_interp` does, None: as many as the
        ratio of the scales, so that no input pixel is passed over.

    Returns
    -------
    Resampled
        In the unit of the input; flux per pixel is scaled with the area of the pixels.

    Raises
    ------
    AlignmentError
        If the shapes or units differ, or a WCS is none.
    InputError
        If the method or the number of samples is none.
    """
    if len({(image.flux.shape, image.unit) for image in images}) != 1:
        raise AlignmentError(f"images of {sorted({(i.flux.shape, i.unit) for i in images})}: resample those of one shape and unit together.")
    if method not in (None, *METHODS):
        raise InputError(f"method={method!r}: choose one of {', '.join(METHODS)}, or None.")
    _countable(images[0].unit)
    if samples is not None and not (isinstance(samples, int) and 1 <= samples <= MOST_SAMPLES):
        raise InputError(f"samples={samples!r}: give a whole number from 1 to {MOST_SAMPLES}, or None.")
    lon, lat = (np.broadcast_to(np.asarray(v, dtype=np.float64), (len(images),)) for v in (ra, dec))
    chosen = method or ("bilinear" if per_solid_angle(images[0].unit) else "exact")
    k = 0 if chosen == "exact" else samples or int(np.clip(np.ceil(grid.scale / min(i.scale for i in images) - 1e-6), 1, MOST_SAMPLES))
    out = _empty(images, grid)
    compiled = device == "cpu" and not memory.small()
    each, run = (BATCH, _on_processor) if compiled else (ON_DEVICE if device == "cpu" else ON_ACCELERATOR, _on_device)

    def work(start: int) -> None:
        part = slice(start, start + each)
        there = Resampled(out.flux[part], out.mask[part], None if out.ivar is None else out.ivar[part])
        run(images[part], grid, lon[part], lat[part], k, device, there)

    starts = range(0, len(images), each)
    threads = min(torch.get_num_threads(), len(starts)) if compiled else 1
    if threads < 2:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, starts):  # gives on what was raised
                pass
    return out


def as_they_are(images: Sequence[Image], grid: PixelGrid) -> Resampled:
    """Images that lie on the grid already, or nobody knows where.

    Raises
    ------
    AlignmentError
        If one has another number of pixels.
    """
    out = _empty(images, grid)
    for i, image in enumerate(images):
        if image.flux.shape[1:] != (grid.size, grid.size):
            raise AlignmentError(f"flux has {image.flux.shape[2]} x {image.flux.shape[1]} pixels, the others {grid.size} x {grid.size}, and without a wcs they cannot be resampled.")
        with np.errstate(over="ignore", invalid="ignore"):
            flux = np.asarray(image.flux).astype(np.float32)
        out.mask[i] = image.mask & np.isfinite(flux)
        if out.ivar is not None:
            variance = np.empty(flux.shape, np.float32)
            _variance(image.ivar, out.mask[i], variance)
            out.ivar[i] = np.where(out.mask[i], np.asarray(image.ivar), 0)
        out.flux[i] = np.where(out.mask[i], flux, 0)
    return out


def check(image: Image, placed: bool = True) -> None:
    """Raise AlignmentError, naming the field, if an image cannot be resampled; `placed`: it needs a WCS."""
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
    if placed:
        check_wcs(image.wcs, (image.flux.shape[1], image.flux.shape[2]))


def _countable(unit: str) -> None:
    """AlignmentError for flux per beam, which is neither flux per pixel nor per solid angle until the beam's area is known."""
    if PER_BEAM.search(unit):
        raise AlignmentError(
            f"the unit is {unit!r}, and how large the beam is stands nowhere (BMAJ and BMIN in the FITS header). Say it in a step: "
            "steps={'image': [('to_microjansky', {'beam': [major, minor]})]}, FWHM in arcsec; or divide flux by pi BMAJ BMIN / (4 ln 2) (deg2), multiply it with the square of "
            "the image's scale (deg), and give the image with unit='uJy'."
        )


def per_solid_angle(unit: str) -> bool:
    """True for surface brightness, such as ``MJy / sr``; False for flux per pixel."""
    return bool(BRIGHTNESS.search(unit))


def _empty(images: Sequence[Image], grid: PixelGrid) -> Resampled:
    shape = (len(images), images[0].flux.shape[0], grid.size, grid.size)
    ivar = np.zeros(shape, np.float32) if all(i.ivar is not None for i in images) else None
    return Resampled(np.zeros(shape, np.float32), np.zeros(shape, np.bool_), ivar)


def _inner(grid: PixelGrid, k: int, around: int = 0) -> Floats:
    """Offsets of k samples to a pixel, and some more around, from the centre of the grid, output pixels."""
    return np.asarray((np.arange(-around, k * grid.size + around) + 0.5) / k - grid.size / 2, dtype=np.float64)


def _corners(grid: PixelGrid) -> Floats:
    return np.asarray(np.arange(grid.size + 1) - grid.size / 2, dtype=np.float64)


def _area(x: Tensor, y: Tensor) -> Tensor:
    """Input pixels to an output pixel, from its corners: (image, y, x)."""
    # half the cross product of the diagonals of each pixel
    ux, uy = (v[:, 1:, 1:] - v[:, :-1, :-1] for v in (x, y))
    vx, vy = (v[:, 1:, :-1] - v[:, :-1, 1:] for v in (x, y))
    return ((ux * vy - uy * vx).abs() / 2).nan_to_num()


def _on_processor(images: Sequence[Image], grid: PixelGrid, ra: Floats, dec: Floats, k: int, device: str, out: Resampled) -> None:
    """Fill `out` by compiled loops; k is 0 for overlapping areas."""
    from astrofuse_lab.alignment.compiled import resampled

    headers, brightness = [i.wcs for i in images], per_solid_angle(images[0].unit)
    x, y = (v.numpy() for v in pixel_map(headers, grid, ra, dec, _inner(grid, k, 1) if k else _corners(grid)))
    shape = (len(images), *images[0].flux.shape)
    flux, good = np.empty(shape, np.float32), np.empty(shape, np.bool_)
    variance = np.empty(shape if out.ivar is not None else (len(images), 0, 0, 0), np.float32)
    ivar = out.ivar if out.ivar is not None else np.zeros((len(images), 0, 0, 0), np.float32)

    for i, image in enumerate(images):
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is bad
            flux[i] = image.flux
        np.isfinite(flux[i], out=good[i])
        good[i] &= np.asarray(image.mask, dtype=np.bool_)
        if variance.size:
            _variance(np.asarray(image.ivar), good[i], variance[i])
            variance[i][~good[i]] = 0
        if not good[i].all():
            flux[i][~good[i]] = 0
    resampled(x, y, k, brightness, flux, good, variance, out.flux, out.mask, ivar)


def _variance(ivar: Any, good: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
    """One over `ivar`; where there is none, `good` becomes False."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        out[...] = 1 / np.asarray(ivar, dtype=np.float64)
    good &= np.isfinite(out) & (out > 0)


def _on_device(images: Sequence[Image], grid: PixelGrid, ra: Floats, dec: Floats, k: int, device: str, out: Resampled) -> None:
    """Fill `out` by tensors: weights of windows of input pixels, then sums over them."""
    good = np.stack([np.asarray(i.mask, dtype=np.bool_) & np.isfinite(i.flux) for i in images])
    if out.ivar is not None:
        variance = np.zeros(good.shape, np.float32)
        for i, image in enumerate(images):
            _variance(image.ivar, good[i], variance[i])
    weights = _weights(images, grid, ra, dec, k, device)
    area = weights.value.sum(-1)
    mask = weights.whole[:, None] & (_gather(_planes(~good, device), weights.place, weights.value) <= TOUCHED * area[:, None])
    scale = torch.ones(1, 1, 1, dtype=torch.float64, device=device)
    if k and not per_solid_angle(images[0].unit):
        scale = _area(*pixel_map([i.wcs for i in images], grid, ra, dec, _corners(grid), device)).flatten(1)[:, None]
    planes = _planes(np.where(good, np.stack([i.flux for i in images]), 0.0), device)
    flux = torch.where(mask, _gather(planes, weights.place, weights.value) * scale, 0.0)
    out.flux[...], out.mask[...] = (v.cpu().numpy().reshape(out.flux.shape) for v in (flux.float(), mask))
    if out.ivar is not None:
        spread = _gather(_planes(np.where(good, variance, 0.0), device), weights.place, weights.value**2) * scale**2
        out.ivar[...] = torch.where(mask & (spread > 0), 1 / spread.clamp_min(1e-300), 0.0).float().cpu().numpy().reshape(out.flux.shape)


def _weights(images: Sequence[Image], grid: PixelGrid, ra: Floats, dec: Floats, k: int, device: str) -> Weights:
    headers, shape = [i.wcs for i in images], (images[0].flux.shape[1], images[0].flux.shape[2])
    if k:
        return bilinear(*pixel_map(headers, grid, ra, dec, _inner(grid, k), device), k, shape)
    weights = overlaps(*pixel_map(headers, grid, ra, dec, _corners(grid), device), shape)
    if not per_solid_angle(images[0].unit):
        return weights
    return weights._replace(value=weights.value / weights.value.sum(-1, keepdim=True).clamp_min(1e-12))


def _planes(array: NDArray[Any], device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64)).to(device).flatten(2)


def _gather(planes: Tensor, place: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of input pixels: planes (image, band, pixel), place and weights (image, out, window) to (image, band, out)."""
    index = place.flatten(1)
    return torch.stack([torch.gather(plane, 1, index).view(place.shape).mul_(weights).sum(-1) for plane in planes.unbind(1)], dim=1)
