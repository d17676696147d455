"""Spectra at a common resolution: the line-spread function is widened to a Gaussian that all can reach. Pure.

Each pixel's flux is spread over its neighbours by a Gaussian, sampled at their centres (the pixels' own width is in the flux
already). Sampled so, one narrower than a pixel has too small a variance; `_parameter` gives the width of the one that has the
wanted variance. The width may differ from pixel to pixel.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.spectra import edges
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Bools, Floats

FWHM = 2.3548200450309493
"""Of a Gaussian of sigma 1."""
SHARPER = 1e-3
"""Share by which the wanted width may lie below the one there is, and be taken as equal."""
UNEVEN = 4.0
"""Neighbouring pixels whose widths differ by more stand at a gap, over which nothing is spread."""
WIDEST = 2_000
"""Pixels that light may be spread to each side."""


class Matched(NamedTuple):
    """A spectrum at another resolution.

    Attributes
    ----------
    flux, ivar : float64 array, (pixel,)
        `ivar` without the covariance that neighbours now have: their noise is smoother than it says for sums.
    mask : bool array, (pixel,)
        True where the pixel was good and at least `least` of what reaches it is.
    lsf_sigma : float64 array, (pixel,)
        ångström.
    """

    flux: NDArray[np.float64]
    ivar: NDArray[np.float64]
    mask: NDArray[np.bool_]
    lsf_sigma: NDArray[np.float64]


def sigma_of(wavelength: Floats, resolution: float | None = None, fwhm: float | None = None) -> NDArray[np.float64]:
    """The width of the line-spread function, ångström, of a resolving power lambda / FWHM or of a FWHM in ångström.

    Raises
    ------
    AlignmentError
        Unless one of the two is given, and positive.
    """
    if (resolution is None) == (fwhm is None):
        raise AlignmentError("lsf_sigma: say one of resolution (lambda over FWHM) and fwhm (Angstrom).")
    value = float(resolution if fwhm is None else fwhm)  # type: ignore[arg-type]
    if not (np.isfinite(value) and value > 0):
        raise AlignmentError(f"lsf_sigma: {'fwhm' if resolution is None else 'resolution'}={value} is not positive.")
    wave = np.asarray(wavelength, dtype=np.float64)
    return wave / value / FWHM if fwhm is None else np.full(len(wave), value / FWHM)


def matched(wavelength: Floats, flux: Floats, ivar: Floats, mask: Bools, lsf_sigma: Floats, wanted: Floats, least: float = 0.5) -> Matched:
    """Widen the line-spread function of a spectrum.

    Parameters
    ----------
    wavelength, flux, ivar, mask : array, (pixel,)
        Ascending wavelengths, ångström.
    lsf_sigma, wanted : array, (pixel,)
        Its width now, and after, ångström.
    least : float
        Share of a pixel's light that must come from good pixels.

    Raises
    ------
    AlignmentError
        If `wanted` is narrower than `lsf_sigma` at a good pixel: nothing can be sharpened; or wavelengths do not ascend smoothly.
    """
    wave = np.asarray(wavelength, dtype=np.float64)
    width = np.diff(edges(wave))
    _smooth(wave, width)
    good = np.asarray(mask & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0))
    spread = _extra(wave, np.asarray(lsf_sigma, dtype=np.float64), np.asarray(wanted, dtype=np.float64), good)
    sigma = np.where(good, spread / width, 0.0)
    reach = min(int(np.ceil(6 * sigma.max(initial=0.0) + 1)), WIDEST)
    counts, noise = np.where(good, flux * width, 0.0), np.where(good, width**2 / np.where(good, ivar, 1.0), 0.0)
    # beyond the ends light would come in as it goes out: there and at bad pixels it is missing
    out, out_noise, whole, seen = (np.zeros(len(wave) + 2 * reach) for _ in range(4))
    inner = slice(reach, reach + len(wave))
    parameter = _parameter(np.pad(np.interp(wave, wave[good], sigma[good]) if good.any() else sigma, reach, mode="edge"))
    total = np.sum([np.exp(-0.5 * (n / parameter) ** 2) for n in range(-reach, reach + 1)], axis=0)
    there, counts, noise = (np.pad(v, reach) for v in (good.astype(float), counts, noise))
    for n in range(-reach, reach + 1):
        kernel = np.exp(-0.5 * (n / parameter) ** 2) / total
        target = slice(max(n, 0), len(total) + min(n, 0))
        source = slice(max(-n, 0), len(total) + min(-n, 0))
        out[target] += (kernel * counts)[source]
        out_noise[target] += (kernel**2 * noise)[source]
        whole[target] += kernel[source]
        seen[target] += (kernel * there)[source]
    share = np.divide(seen, whole, out=np.zeros_like(seen), where=whole > 0)[inner]
    fine = good & (share >= least)
    by = np.where(fine, width * share, 1.0)
    new = np.where(fine, out_noise[inner] / by**2, 1.0)
    return Matched(np.where(fine, out[inner] / by, 0.0), np.where(fine, 1 / new, 0.0), fine, np.maximum(np.asarray(wanted, dtype=np.float64), lsf_sigma))


def spreading(wavelength: Floats, sigma: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How light spreads over pixels of one grid, of many spectra at once.

    Parameters
    ----------
    wavelength, sigma : array, (pixel,)
        Ascending; standard deviation of the Gaussian by which each pixel's light is spread, ångström.

    Returns
    -------
    matrix : float64 array, (pixel to, pixel from)
        A column holds what a pixel's light becomes.
    whole : float64 array, (pixel,)
        What reaches a pixel where each, those beyond the ends among them, holds a light of one.
    width : float64 array, (pixel,)
        Of the pixels, ångström: light is flux times width.

    Raises
    ------
    AlignmentError
        For wavelengths that do not ascend smoothly.
    """
    wave = np.asarray(wavelength, dtype=np.float64)
    width = np.diff(edges(wave))
    _smooth(wave, width)
    pixels = np.asarray(sigma, dtype=np.float64) / width
    reach = min(int(np.ceil(6 * pixels.max() + 1)), WIDEST)
    parameter = _parameter(np.pad(pixels, reach, mode="edge"))
    total = np.sum([np.exp(-0.5 * (n / parameter) ** 2) for n in range(-reach, reach + 1)], axis=0)
    matrix = np.exp(-0.5 * ((np.arange(len(wave))[:, None] - np.arange(-reach, len(wave) + reach)) / parameter) ** 2) / total
    return matrix[:, reach : reach + len(wave)], matrix.sum(axis=1), width


@lru_cache(maxsize=1)
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard deviations, pixels, of Gaussians sampled at whole pixels, and the parameters that give them."""
    parameter = np.linspace(0.08, 1.5, 3000)
    n = np.arange(-12, 13)
    weight = np.exp(-0.5 * (n / parameter[:, None]) ** 2)
    return np.sqrt((weight * n**2).sum(axis=1) / weight.sum(axis=1)), parameter


def _parameter(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """The parameter of the sampled Gaussian whose standard deviation is `sigma` pixels."""
    known, parameter = _table()
    return np.asarray(np.where(sigma > 1.2, sigma, np.interp(sigma, known, parameter)))


def _extra(wave: NDArray[np.float64], now: NDArray[np.float64], wanted: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """By how much to widen, ångström."""
    if not (np.isfinite(now[good]).all() and (now[good] > 0).all()):
        raise AlignmentError("lsf_sigma is not positive and finite at every good pixel; the resolution of this spectrum is not known.")
    sharper = good & (wanted < now * (1 - SHARPER))
    if sharper.any():
        i = int(np.flatnonzero(sharper)[np.argmin((wanted / now)[sharper])])
        raise AlignmentError(
            f"lsf_sigma is {now[i]:.4g} Angstrom at {wave[i]:.6g}, wider than the {wanted[i]:.4g} wanted (and at {sharper.sum() - 1} pixels more): a spectrum is not "
            f"sharpened. Ask for a resolution of at most {np.min(wave[good] / now[good]) / FWHM:.4g}, or leave this survey out."
        )
    return np.asarray(np.sqrt(np.clip(np.where(good, wanted**2 - now**2, 0.0), 0.0, None)))


def _smooth(wave: NDArray[np.float64], width: NDArray[np.float64]) -> None:
    if not (width > 0).all():
        raise AlignmentError("lambda does not ascend; bring it in order with the step 'tidy_wavelengths'.")
    ratio = width[1:] / width[:-1]
    jump = np.flatnonzero((ratio > UNEVEN) | (ratio < 1 / UNEVEN))
    if len(jump):
        raise AlignmentError(f"lambda has a gap near {wave[jump[0]]:.6g} Angstrom, over which light is not spread. Bring the spectrum to a grid first: af.align(..., spectrum=grid).")
