"""Named treatments of one image; see `steps`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from astrofuse_lab.alignment import backgrounds, image_units, point_spread, reconstruction_steps, registration
from astrofuse_lab.alignment.cosmic_rays import cosmic_rays
from astrofuse_lab.alignment.steps import Step, measured
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.modalities import Image

About = Mapping[str, Any]


def background(image: Image, about: About, model: str, box: int, sigma: float) -> Image:
    """Without its sky; masks and variances stay as they are."""
    sky = backgrounds.background(image.flux, image.mask, model, box, sigma)
    return replace(image, flux=np.where(image.mask, image.flux - sky, image.flux).astype(np.float32))


def sigma_clip(image: Image, about: About, sigma: float, contrast: float) -> Image:
    """Single pixels that stand out are masked: cosmic rays, hot and dead pixels."""
    good = [cosmic_rays(flux, mask, None if image.ivar is None else image.ivar[b], sigma, contrast) for b, (flux, mask) in enumerate(zip(image.flux, image.mask, strict=True))]
    return replace(image, mask=np.stack(good))


def to_microjansky(image: Image, about: About, zero_point: Any, beam: Any) -> Image:
    """Microjansky per pixel; inverse variances follow."""
    zero, width = image_units.column_or(zero_point, about, "an AB zero point"), image_units.column_or(beam, about, "the FWHM of a beam")
    by = np.array(image_units.factors(image, zero, width))[:, None, None]
    ivar = None if image.ivar is None else (image.ivar / by**2).astype(np.float32)
    return replace(image, flux=(image.flux * by).astype(np.float32), ivar=ivar, unit="uJy")


def psf_match(image: Image, about: About, fwhm: Any, psf: Any, common: Any, regularisation: float) -> Image:
    """Smoothed to a common PSF."""
    bands = len(image.bands)
    if (fwhm is None) == (common is None) or (common is not None and psf is None):
        raise InputError("psf_match: give fwhm=, the common FWHM in arcsec, or psf= and common=, images of the image's PSF and of the common one.")
    if common is None:
        want = float(image_units.column_or(fwhm, about, "the FWHM of a PSF"))
        kernels = [_named(image.bands[b], point_spread.widening, have, want, image.scale) for b, have in enumerate(point_spread.widths(image.psf_fwhm, bands))]
        widths = [want] * bands
    else:
        ours, theirs = (point_spread.per_band(given, bands, what) for given, what in ((psf, "psf"), (common, "common")))
        kernels = [_named(image.bands[b], point_spread.matching, ours[b], theirs[b], regularisation) for b in range(bands)]
        widths = [point_spread.fwhm_of(one) * image.scale for one in theirs]
    flux, mask = np.array(image.flux, dtype=np.float32), np.array(image.mask)
    ivar = None if image.ivar is None else np.array(image.ivar, dtype=np.float32)
    for b, kernel in enumerate(kernels):
        if kernel is None:
            continue
        flux[b], mask[b], new = point_spread.convolved(image.flux[b], image.mask[b], None if image.ivar is None else image.ivar[b], kernel)
        if ivar is not None and new is not None:
            ivar[b] = new
    if not mask.any():
        raise AlignmentError("mask leaves no pixel whose surroundings are good as far as the kernel reaches: the image is too small or too full of bad pixels for this PSF.")
    return replace(image, flux=flux, mask=mask, ivar=ivar, psf_fwhm=tuple(widths))


def _named(band: str, function: Any, *given: Any) -> Any:
    try:
        return function(*given)
    except AlignmentError as error:
        raise AlignmentError(f"band {band}: {error}") from error


def register(image: Image, about: About, to: str, most: float, whiten: float, bands: Any) -> Image:
    """The source on its target, or the bands on one of them; what was measured becomes columns."""
    if to != "target":
        moved, found = registration.onto_band(image, to, most, whiten, bands)
        for band, shift in found.items():
            _report(about, f"image_shift_{band}", shift, image.scale)
        return moved
    place = about.get("ra"), about.get("dec")
    if not all(isinstance(v, int | float) and np.isfinite(v) for v in place):
        raise AlignmentError(f"ra, dec are {place[0]}, {place[1]}: to be registered to its target, an object needs a position. Type to= and the name of a band instead.")
    moved, shift = registration.onto_target(image, float(place[0]), float(place[1]), most)  # type: ignore[arg-type]
    _report(about, "image_shift", shift, image.scale)
    return moved


def _report(about: About, name: str, shift: registration.Shift, scale: float) -> None:
    size, unit = (scale, "arcsec") if scale else (1.0, "pix")
    for part, value, said in (("x", shift.x * size, unit), ("y", shift.y * size, unit), ("strength", shift.strength, ""), ("applied", float(shift.found), "")):
        measured(about, f"{name}_{part}", float(value), said)


STEPS: dict[str, Step] = {
    "background": Step(background, {"model": "median", "box": 32, "sigma": 3.0}, "subtracts the sky: median, plane, or mesh of `box` pixels (Bertin & Arnouts 1996), clipped at `sigma`"),
    "sigma_clip": Step(sigma_clip, {"sigma": 5.0, "contrast": 3.0}, "masks single pixels that stand out from their neighbours (after van Dokkum 2001)"),
    "to_microjansky": Step(
        to_microjansky, {"zero_point": None, "beam": None},
        "microjansky per pixel, of nanomaggies, counts with an AB zero point (number, one a band, or column), Jy, per solid angle, per beam (FWHM, arcsec)",
    ),
    "psf_match": Step(
        psf_match, {"fwhm": None, "psf": None, "common": None, "regularisation": 1e-4},
        "smooths to a common PSF: Gaussian of `fwhm` arcsec, or `common` by images of both (Boucaud et al. 2016); never sharpens",
    ),
    "register": Step(
        register, {"to": "target", "most": 2.0, "whiten": 0.0, "bands": None},
        "puts the brightest source within `most` arcsec on its target by correcting the WCS, or all bands on one of them (Guizar-Sicairos et al. 2008); shifts are kept as columns",
    ),
    **reconstruction_steps.IMAGE,
}  # fmt: skip
