"""Named treatments of one spectrum; see `steps`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from astrofuse_lab.alignment import continuum, extinction, reconstruction_steps, sky_lines, spectra, spectrum_cleaning, spectrum_frames
from astrofuse_lab.alignment import resolution as lsf
from astrofuse_lab.alignment.steps import Step, measured
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import SPECTRUM_UNIT, Spectrum
from astrofuse_lab.surveys.spectrum_units import air, vacuum

About = Mapping[str, Any]


def number(what: str, given: Any, about: About) -> float:
    """A number, or that in the column of this name.

    Raises
    ------
    AlignmentError
        If the object has none; it names the column.
    """
    value = about.get(given) if isinstance(given, str) else given
    try:
        return _finite(value)
    except (TypeError, ValueError):
        where = f"column {given!r}" if isinstance(given, str) else what
        known = [name for name, one in about.items() if isinstance(one, int | float) and not isinstance(one, bool)]
        there = f" Columns with numbers: {', '.join(known[:12])}." if isinstance(given, str) and given not in about else ""
        raise AlignmentError(f"{where} holds {value!r}, where {what} is expected.{there}") from None


def _finite(value: Any) -> float:
    got = float(value)
    if not np.isfinite(got):
        raise ValueError
    return got


def _ascending(spectrum: Spectrum) -> Spectrum:
    """In ascending order, as filters and fits need it; AlignmentError where a wavelength stands twice."""
    spectra.check(spectrum)
    wave = np.asarray(spectrum.wavelength)
    if np.all(wave[1:] > wave[:-1]):
        return spectrum
    order = np.argsort(wave)
    width = None if spectrum.lsf_sigma is None else spectrum.lsf_sigma[order]
    return replace(spectrum, wavelength=wave[order], flux=spectrum.flux[order], ivar=spectrum.ivar[order], mask=spectrum.mask[order], lsf_sigma=width)


def _without(spectrum: Spectrum, bad: np.ndarray[Any, np.dtype[np.bool_]]) -> Spectrum:
    return replace(spectrum, mask=np.asarray(spectrum.mask & ~bad))


def tidy_wavelengths(spectrum: Spectrum, about: About) -> Spectrum:
    """See `spectrum_cleaning.tidied`."""
    got = spectrum_cleaning.tidied(spectrum.wavelength, spectrum.flux, spectrum.ivar, spectrum.mask, spectrum.lsf_sigma)
    return replace(spectrum, wavelength=got.wavelength, flux=got.flux, ivar=got.ivar, mask=got.mask, lsf_sigma=got.lsf_sigma)


def air_to_vacuum(spectrum: Spectrum, about: About) -> Spectrum:
    """See `spectrum_units.vacuum`."""
    spectra.check_pixels(spectrum)
    return replace(spectrum, wavelength=vacuum(np.asarray(spectrum.wavelength, dtype=np.float64)))


def vacuum_to_air(spectrum: Spectrum, about: About) -> Spectrum:
    """See `spectrum_units.air`."""
    spectra.check_pixels(spectrum)
    return replace(spectrum, wavelength=air(np.asarray(spectrum.wavelength, dtype=np.float64)))


def flux_unit(spectrum: Spectrum, about: About, unit: str) -> Spectrum:
    """Convert between densities per wavelength and per frequency, at each pixel's wavelength."""
    from astropy import units as u

    spectra.check_pixels(spectrum)
    wave = np.asarray(spectrum.wavelength, dtype=np.float64)
    try:
        by = u.Unit(spectrum.unit).to(u.Unit(unit), np.ones(len(wave)), equivalencies=u.spectral_density(wave * u.AA))
    except (ValueError, TypeError) as error:  # UnitConversionError is both
        raise AlignmentError(f"flux in {spectrum.unit or 'no unit'!r} cannot be converted to {unit!r}.") from error
    return replace(spectrum, flux=spectrum.flux * by, ivar=spectrum.ivar / by**2, unit=unit)


def rest_frame(spectrum: Spectrum, about: About, redshift: Any, conserve: bool) -> Spectrum:
    """See `spectrum_frames.shifted`."""
    return spectrum_frames.shifted(spectrum, number("a redshift", redshift, about), conserve)


def radial_velocity(spectrum: Spectrum, about: About, velocity: Any, conserve: bool) -> Spectrum:
    """See `spectrum_frames.redshift_of`."""
    return spectrum_frames.shifted(spectrum, spectrum_frames.redshift_of(number("a velocity in km/s", velocity, about)), conserve)


def solar_frame(spectrum: Spectrum, about: About, place: Any, time: Any, kind: str) -> Spectrum:
    """See `spectrum_frames.solar_velocity`."""
    if time is None and spectrum.time is None:
        raise AlignmentError("time is missing: the spectrum has none. Give the MJD, or the name of a column that holds it, as time.")
    when = spectrum.time if time is None else number("an MJD", time, about)
    ra, dec = (number(f"{name} in deg", name, about) for name in ("ra", "dec"))
    velocity = spectrum_frames.solar_velocity(ra, dec, float(when), place, kind)  # type: ignore[arg-type]
    measured(about, "spectrum_solar_velocity", velocity, "km / s")
    return spectrum_frames.towards_sun(spectrum, velocity)


def match_lsf(spectrum: Spectrum, about: About, resolution: float | None, fwhm: float | None, own: Any, least: float) -> Spectrum:
    """See `resolution.matched`."""
    spectrum = _ascending(spectrum)
    now = spectrum.lsf_sigma if own is None else lsf.sigma_of(spectrum.wavelength, number("a resolving power", own, about))
    if now is None:
        raise AlignmentError("lsf_sigma is missing: this spectrum does not say its resolution. Give it as own: lambda over FWHM, or the name of a column.")
    wanted = lsf.sigma_of(spectrum.wavelength, resolution, fwhm)
    got = lsf.matched(spectrum.wavelength, spectrum.flux, spectrum.ivar, spectrum.mask, now, wanted, least)
    return replace(spectrum, flux=got.flux, ivar=got.ivar, mask=got.mask, lsf_sigma=got.lsf_sigma)


def divide_continuum(spectrum: Spectrum, about: About, method: str, order: int, window: float, low: float, high: float) -> Spectrum:
    """See `continuum.normalised`, which also gives what was divided by."""
    one = _ascending(spectrum)
    got = continuum.normalised(one.wavelength, one.flux, one.ivar, one.mask, method, order, window, low, high)
    # the level is gone from the flux, and is worth a column
    measured(about, "spectrum_continuum", float(np.median(got.continuum[got.mask])), one.unit)
    return replace(one, flux=got.flux, ivar=got.ivar, mask=got.mask, unit="")


def mask_lines(spectrum: Spectrum, about: About, lines: str | Sequence[str], half_width: float) -> Spectrum:
    """See `sky_lines.covered`."""
    return _without(spectrum, sky_lines.covered(spectrum.wavelength, lines if isinstance(lines, str) else tuple(lines), half_width))


def mask_bad(spectrum: Spectrum, about: About, ranges: Sequence[Sequence[float]], dead: int) -> Spectrum:
    """See `spectrum_cleaning.bad_pixels`."""
    pairs: Any = tuple(tuple(map(float, one)) for one in ranges)
    return _without(spectrum, spectrum_cleaning.bad_pixels(spectrum.wavelength, spectrum.flux, spectrum.ivar, spectrum.mask, pairs, dead))


def cosmic_rays(spectrum: Spectrum, about: About, threshold: float, widest: int, window: int) -> Spectrum:
    """See `spectrum_cleaning.cosmic_rays`."""
    one = _ascending(spectrum)
    hit = spectrum_cleaning.cosmic_rays(one.flux, one.ivar, one.mask, threshold, widest, window)
    measured(about, "spectrum_cosmic_ray_pixels", float(hit.sum()))
    return _without(one, hit)


def median_filter(spectrum: Spectrum, about: About, width: int) -> Spectrum:
    """See `spectrum_cleaning.median_filtered`."""
    one = _ascending(spectrum)
    got = spectrum_cleaning.median_filtered(one.flux, one.ivar, one.mask, width)
    return replace(one, flux=got.flux, ivar=got.ivar, mask=got.mask)


def deredden(spectrum: Spectrum, about: About, ebv: Any, r_v: float) -> Spectrum:
    """See `extinction.brighter`."""
    by = extinction.brighter(spectrum.wavelength, number("E(B - V) in mag", ebv, about), r_v)
    known = np.isfinite(by)
    by = np.where(known, by, 1.0)
    return replace(spectrum, flux=spectrum.flux * by, ivar=spectrum.ivar / by**2, mask=np.asarray(spectrum.mask & known))


STEPS: dict[str, Step] = {
    "tidy_wavelengths": Step(tidy_wavelengths, {}, "pixels without a wavelength dropped, those at one wavelength merged by their ivar, ascending order"),
    "air_to_vacuum": Step(air_to_vacuum, {}, "wavelengths in air to vacuum (Morton 2000, inverse by Piskunov); the readers have done so where a file says air"),
    "vacuum_to_air": Step(vacuum_to_air, {}, "wavelengths in vacuum to air (Morton 2000); sample sets are understood to be in vacuum"),
    "flux_unit": Step(flux_unit, {"unit": SPECTRUM_UNIT}, "flux densities per wavelength and per frequency into each other, at each pixel's wavelength"),
    "rest_frame": Step(rest_frame, {"redshift": "z", "conserve": True}, "wavelengths divided by 1 + z, flux density multiplied by it; redshift: a column or a number"),
    "radial_velocity": Step(radial_velocity, {"velocity": "rv", "conserve": True}, "the same by a radial velocity in km/s, relativistically"),
    "solar_frame": Step(
        solar_frame, {"place": None, "time": None, "kind": "barycentric"}, "to the solar system's barycentre, or the Sun, for spectra that are still as observed (astropy)"
    ),
    "match_lsf": Step(
        match_lsf, {"resolution": None, "fwhm": None, "own": None, "least": 0.5}, "line-spread function widened to one Gaussian, in lambda over FWHM or Angstrom; refuses to sharpen"
    ),
    "divide_continuum": Step(
        divide_continuum, {"method": "spline", "order": 5, "window": 300.0, "low": 2.0, "high": 3.0}, "flux divided by its continuum: spline, polynomial or median, lines clipped unevenly"
    ),
    "mask_lines": Step(mask_lines, {"lines": "all", "half_width": 5.0}, "night-sky lines and telluric bands masked (sky, airglow, telluric, oh, ...); before rest_frame"),
    "mask_bad": Step(mask_bad, {"ranges": (), "dead": 3}, "pixels that hold no measurement masked: not finite, no ivar, runs of zeros, ranges in Angstrom"),
    "cosmic_rays": Step(cosmic_rays, {"threshold": 8.0, "widest": 3, "window": 15}, "bright runs of pixels narrower than a line can be masked (after van Dokkum 2001)"),
    "median_filter": Step(median_filter, {"width": 5}, "running median of the good pixels, with the ivar of a median"),
    "deredden": Step(deredden, {"ebv": "ebv_mw", "r_v": 3.1}, "the Milky Way's dust taken away (Fitzpatrick 1999); before rest_frame"),
    **reconstruction_steps.SPECTRUM,
}
