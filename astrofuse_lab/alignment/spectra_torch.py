"""The resampling of `spectra` on an accelerator: batches of spectra, all borders sorted together."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.alignment.spectra import HUGE, TINY

Arrays = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]


def resampled(
    borders: Sequence[NDArray[np.float64]], flux: Sequence[NDArray[np.float64]], ivar: Sequence[NDArray[np.float64]], mask: Sequence[NDArray[np.bool_]],
    out: NDArray[np.float64], least: float, device: str,
) -> Arrays:  # fmt: skip
    """Flux, ivar and mask of a batch on the borders `out`; what `spectra_compiled.overlap` does, one spectrum after another."""
    length = max(len(one) for one in flux)
    # a pixel of no width takes part in nothing: this is how shorter spectra are filled up
    border = np.stack([np.pad(one, (0, length + 1 - len(one)), mode="edge") for one in borders])
    values, variance, good = (np.zeros((len(flux), length)) for _ in range(3))
    for i, (f, v, m) in enumerate(zip(flux, ivar, mask, strict=True)):
        fine = m & (np.abs(f) < HUGE) & (v > TINY) & (v < HUGE)  # comparisons with NaN are False
        good[i, : len(f)] = fine
        values[i, : len(f)] = np.where(fine, f, 0.0)
        variance[i, : len(f)] = np.where(fine, 1 / np.where(fine, v, 1.0), 0.0)
    got = overlap(*(torch.from_numpy(v).to(device) for v in (border, out, values, variance, good)))
    total, spread, covered = (v.cpu().numpy() for v in got)
    real = (covered > 0) & (covered >= least * np.diff(out) * (1 - 1e-12))
    safe = np.where(real, covered, 1.0)
    inverse = np.where(real, np.minimum(safe**2 / np.where(real, spread, 1.0), HUGE), 0.0)
    return np.where(real, total / safe, 0.0).astype(np.float32), inverse.astype(np.float32), real


def overlap(border: Tensor, out: Tensor, flux: Tensor, variance: Tensor, good: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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
