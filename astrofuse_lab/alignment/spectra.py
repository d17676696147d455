"""Spectra onto one wavelength grid, by exact overlap of the pixels: flux integrals are conserved (Carnall 2017, arXiv:1705.05165)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.alignment.grids import LogGrid
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Floats, Spectrum

BATCH = 256


class Resampled(NamedTuple):
    """Spectra on the common grid.

    Attributes
    ----------
    flux : float32 array, (spectrum, pixel)
        Mean flux density over the good part of each pixel; zero where `mask` is False.
    ivar : float32 array, (spectrum, pixel)
        Its inverse variance, without the covariance between neighbours.
    mask : bool array, (spectrum, pixel)
    """

    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    mask: NDArray[np.bool_]


def check(spectrum: Spectrum) -> None:
    """Raise AlignmentError, naming the field, if a spectrum cannot be resampled."""
    wavelength = np.asarray(spectrum.wavelength)
    if wavelength.ndim != 1 or len(wavelength) < 2:
        raise AlignmentError(f"lambda has shape {wavelength.shape}; at least 2 pixels on one axis are expected.")
    for name, array in (("flux", spectrum.flux), ("ivar", spectrum.ivar), ("mask", spectrum.mask)):
        if array.shape != wavelength.shape:
            raise AlignmentError(f"{name} has shape {array.shape}, lambda has {wavelength.shape}.")
    if not (np.isfinite(wavelength).all() and wavelength.min() > 0):
        raise AlignmentError("lambda is not positive and finite everywhere.")
    if len(np.unique(wavelength)) != len(wavelength):
        raise AlignmentError("lambda holds a wavelength twice.")
    if not _good(spectrum).any():
        raise AlignmentError("flux has no good pixel with a positive ivar.")


def resample(spectra: Sequence[Spectrum], grid: LogGrid, least: float = 0.5, device: str = "cpu") -> Resampled:
    """Bring spectra to a grid.

    Parameters
    ----------
    spectra : sequence of Spectrum
        Each with wavelengths of its own, in any order.
    grid : LogGrid
    least : float
        An output pixel is good if at least this share of it is covered by good input.
    device : str
        Where to compute.

    Returns
    -------
    Resampled
    """
    parts = [_batch(spectra[b : b + BATCH], grid, least, device) for b in range(0, len(spectra), BATCH)]
    if not parts:
        empty = np.zeros((0, len(grid)), dtype=np.float32)
        return Resampled(empty, empty, empty.astype(bool))
    return Resampled(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def edges(wavelength: Floats) -> NDArray[np.float64]:
    """Pixel borders halfway between the centres; the outer ones as far out as the next is in."""
    middle = (wavelength[1:] + wavelength[:-1]) / 2
    return np.concatenate([[2 * wavelength[0] - middle[0]], middle, [2 * wavelength[-1] - middle[-1]]])


def _good(spectrum: Spectrum) -> NDArray[np.bool_]:
    return np.asarray(spectrum.mask & np.isfinite(spectrum.flux) & np.isfinite(spectrum.ivar) & (spectrum.ivar > 0))


def _batch(spectra: Sequence[Spectrum], grid: LogGrid, least: float, device: str) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    length = max(len(s.wavelength) for s in spectra)
    # a pixel of no width takes part in nothing: this is how shorter spectra are filled up
    border = np.empty((len(spectra), length + 1))
    flux, variance, good = (np.zeros((len(spectra), length)) for _ in range(3))
    for i, one in enumerate(spectra):
        order, n = np.argsort(one.wavelength), len(one.wavelength)
        border[i, : n + 1] = edges(np.asarray(one.wavelength, dtype=np.float64)[order])
        border[i, n + 1 :] = border[i, n]
        fine = _good(one)[order]
        good[i, :n] = fine
        flux[i, :n] = np.where(fine, one.flux[order], 0.0)
        variance[i, :n] = np.where(fine, 1 / np.where(fine, one.ivar[order], 1.0), 0.0)
    out = _overlap(*(torch.from_numpy(v).to(device) for v in (border, grid.edges, flux, variance, good)))
    total, spread, covered = (v.cpu().numpy() for v in out)
    mask = covered >= least * np.diff(grid.edges)
    safe = np.where(mask, covered, 1.0)
    ivar = np.where(mask, safe**2 / np.where(mask, spread, 1.0), 0.0)
    return np.where(mask, total / safe, 0.0).astype(np.float32), ivar.astype(np.float32), mask


def _overlap(border: Tensor, out: Tensor, flux: Tensor, variance: Tensor, good: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Integral of the flux, sum of squared overlaps times variance, and good length, in every output pixel.

    All borders sorted together cut the axis into pieces that lie in one input and one output pixel each.
    """
    out = out.expand(len(border), -1).contiguous()
    cuts = torch.sort(torch.cat([border, out], dim=1), dim=1).values
    length, middle = cuts.diff(dim=1), ((cuts[:, 1:] + cuts[:, :-1]) / 2).contiguous()
    source = torch.searchsorted(border, middle, right=True) - 1
    target = torch.searchsorted(out, middle, right=True) - 1
    pixels, bins = flux.shape[1], out.shape[1] - 1
    length = torch.where((source >= 0) & (source < pixels) & (target >= 0) & (target < bins), length, 0.0)
    source, target = source.clamp(0, pixels - 1), target.clamp(0, bins - 1)
    length = length * good.gather(1, source)
    empty = torch.zeros(len(border), bins, dtype=flux.dtype, device=flux.device)
    return (
        empty.scatter_add(1, target, length * flux.gather(1, source)),
        empty.scatter_add(1, target, length**2 * variance.gather(1, source)),
        empty.scatter_add(1, target, length),
    )
