"""Bad pixels reconstructed, as named steps of images and spectra; see `steps` and `reconstruction`."""

from dataclasses import replace

import numpy as np

from astrofuse_lab.alignment import reconstruction
from astrofuse_lab.alignment.light_curve_steps import About
from astrofuse_lab.alignment.steps import Step, measured
from astrofuse_lab.modalities import Image, Spectrum


def _kept(product: Image | Spectrum, got: reconstruction.Filled, about: About, name: str) -> dict[str, object]:
    measured(about, name, float(got.new.sum()))
    ivar = {} if got.ivar is None or product.ivar is None else {"ivar": got.ivar.astype(product.ivar.dtype)}
    return {"flux": got.flux.astype(product.flux.dtype), "mask": got.mask, **ivar}


def from_neighbours(image: Image, about: About, sigma: float = 1.0, least: float = 0.25) -> Image:
    """Bad pixels as the weighted mean of good ones around them; how many is kept as a column."""
    got = reconstruction.from_neighbours(image.flux, image.ivar, image.mask, sigma, least)
    return replace(image, **_kept(image, got, about, "image_reconstructed_pixels"))  # type: ignore[arg-type]


def median_filtered(image: Image, about: About, size: int = 3) -> Image:
    """The median of the good pixels around each; what noise is left is not known, so there is no inverse variance."""
    flux, mask = reconstruction.median_filtered(image.flux, image.mask, size)
    return replace(image, flux=flux.astype(image.flux.dtype), mask=mask, ivar=None)


def interpolated(spectrum: Spectrum, about: About, widest: int = 3) -> Spectrum:
    """Gaps of a few pixels bridged by a straight line; how many pixels is kept as a column."""
    order = np.argsort(spectrum.wavelength, kind="stable")
    wave, flux, ivar, mask = (np.asarray(v)[order] for v in (spectrum.wavelength, spectrum.flux, spectrum.ivar, spectrum.mask))
    got = reconstruction.interpolated(flux, ivar, mask, widest, wave)
    width = None if spectrum.lsf_sigma is None else spectrum.lsf_sigma[order]
    return replace(spectrum, wavelength=wave, lsf_sigma=width, **_kept(spectrum, got, about, "spectrum_interpolated_pixels"))  # type: ignore[arg-type]


IMAGE = {
    "reconstruct": Step(
        from_neighbours, {"sigma": 1.0, "least": 0.25}, "gives bad pixels the Gaussian-weighted mean of good ones around them, with its variance"
    ),
    "median_filter": Step(median_filtered, {"size": 3}, "the median of the good pixels in a square around each; drops the inverse variance"),
}
SPECTRUM = {"interpolate": Step(interpolated, {"widest": 3}, "bridges gaps of at most `widest` pixels by a straight line, with its variance")}
