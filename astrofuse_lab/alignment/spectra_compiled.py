"""The inner loop of `spectra`, compiled."""

from typing import Any

from astrofuse_lab.alignment.machine_code import compiled
from astrofuse_lab.alignment.spectra import HUGE, TINY


@compiled
def overlap(border: Any, out: Any, flux: Any, ivar: Any, mask: Any, least: float, new_flux: Any, new_ivar: Any, new_mask: Any) -> None:
    """Fill `new_flux`, `new_ivar` and `new_mask` (output pixel,) of one spectrum: two pointers walk along both axes once.

    Parameters
    ----------
    border, out : float64 array, (pixel + 1,), (output pixel + 1,)
        Ascending borders of both axes.
    flux, ivar : float64 array, (pixel,)
    mask : bool array, (pixel,)
    least : float
        Share of an output pixel that must be covered.
    """
    pixels, bins = flux.shape[0], out.shape[0] - 1
    low = max(border[0], out[0])
    i = k = 0
    while i < pixels and border[i + 1] <= low:
        i += 1
    while k < bins and out[k + 1] <= low:
        new_flux[k], new_ivar[k], new_mask[k] = 0.0, 0.0, False
        k += 1
    total = spread = covered = 0.0
    while k < bins:
        if i < pixels:
            source, target = border[i + 1], out[k + 1]
            high = min(source, target)
            length = high - low
            f, v = flux[i], ivar[i]
            if length > 0 and mask[i] and TINY < v < HUGE and abs(f) < HUGE:
                total += length * f
                spread += length * length / v
                covered += length
            low = high
            if source <= target:
                i += 1
            if target > source:
                continue
        if covered > 0 and covered >= least * (out[k + 1] - out[k]) * (1 - 1e-12):
            new_flux[k], new_ivar[k], new_mask[k] = total / covered, min(covered * covered / spread, HUGE), True
        else:
            new_flux[k], new_ivar[k], new_mask[k] = 0.0, 0.0, False
        total = spread = covered = 0.0
        k += 1
