"""Spectra to the inner units: vacuum ångström and 1e-17 erg / s / cm2 / Angstrom, sorted, with errors and a mask. Pure.

Sources: air to vacuum, N. Piskunov's inverse of Morton 2000, ApJS 130, 403 as used by VALD
(https://www.astro.uu.se/valdwiki/Air-to-vacuum%20conversion), good to 1e-9 from 2000 to 100000 Å; noise where a file has no errors,
DER_SNR of Stoehr et al. 2008, ASP Conf. Ser. 394, 505 (https://www.stecf.org/software/ASTROsoft/DER_SNR/).
"""

import re
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import SPECTRUM_UNIT, Spectrum
from astrofuse_lab.provenance import Provenance

Array = NDArray[np.float64]
LARGEST = 20_000_000
"""Pixels of one spectrum."""
BELIEVED = (500.0, 1e6)
"""Wavelengths without a unit are taken as ångström if they lie in this range, else refused."""
HUGE = 1e37
"""Beyond this, numbers do not fit float32 and are no measurement."""
FWHM = 2.3548200450309493
# a scale before a unit: "10**(-16)erg...", "10^-17 erg", "1E-17 erg", "1.0 x 10-16 erg"
POWER = re.compile(r"^(?:1(?:\.0*)?\s*[x*]\s*)?10\s*(?:\*\*|\^)?\s*\(?\s*([+-]\d{1,3})\s*\)?")
NUMBER = re.compile(r"^(\d{1,9}(?:\.\d{0,9})?(?:[eE][+-]?\d{1,3})?)(?=[\s*.a-zA-Z(])")
WORDS = (
    (re.compile(r"\b(?:angstroms?|ang|aa)\b", re.IGNORECASE), "Angstrom"), (re.compile(r"(?<=[/ .*])A\b"), "Angstrom"), (re.compile(r"^A$"), "Angstrom"),
    (re.compile(r"\bergs\b", re.IGNORECASE), "erg"), (re.compile(r"\bsec(?:onds?)?\b", re.IGNORECASE), "s"), (re.compile(r"\b(?:microns?|micrometers?|micrometres?)\b", re.IGNORECASE), "um"),
    (re.compile(r"\bnanomet(?:er|re)s?\b", re.IGNORECASE), "nm"), (re.compile(r"\bERG/CM2/S/ANGSTROM\b", re.IGNORECASE), "erg/cm2/s/Angstrom"), (re.compile(r"Å"), "Angstrom"),
    (re.compile(r"\bflam\b", re.IGNORECASE), "erg/(cm2 s Angstrom)"), (re.compile(r"\bfnu\b", re.IGNORECASE), "erg/(cm2 s Hz)"),
    (re.compile(r"(?<=[a-z])\^(?=[-\d(])"), "**"),
)  # fmt: skip


class Pixels(NamedTuple):
    """What a file says, before any conversion.

    Attributes
    ----------
    wave, flux : array, (pixel,)
    wave_unit, flux_unit : str
        As written in the file; empty where it is silent.
    sigma, ivar : array, (pixel,), optional
        One of the two, in flux units.
    good : bool array, (pixel,), optional
    lsf_sigma : array, (pixel,), optional
        Ångström.
    air : bool
        Wavelengths are those in air.
    log : bool
        ``wave`` is log10 of the wavelength.
    resolution : float, optional
        Resolving power, where no `lsf_sigma` is given.
    time : float, optional
        MJD.
    """

    wave: Array
    flux: Array
    wave_unit: str = ""
    flux_unit: str = ""
    sigma: Array | None = None
    ivar: Array | None = None
    good: NDArray[np.bool_] | None = None
    lsf_sigma: Array | None = None
    air: bool = False
    log: bool = False
    resolution: float | None = None
    time: float | None = None


def vacuum(air: Array) -> Array:
    """Vacuum wavelengths (Å) of wavelengths in air (Å); unchanged below 2000 Å, where spectra are never given in air."""
    square = (1e4 / np.maximum(air, 2000.0)) ** 2
    index = 1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - square) + 1.599740894897e-4 / (38.92568793293 - square)
    return np.where(air >= 2000.0, air * index, air)


def air(wave: Array) -> Array:
    """Wavelengths in air (Å) of vacuum wavelengths (Å), Morton 2000, equation 8, the IAU standard; unchanged below 2000 Å in vacuum."""
    square = (1e4 / np.maximum(wave, 2000.0)) ** 2
    index = 1 + 8.34254e-5 + 2.406147e-2 / (130 - square) + 1.5998e-4 / (38.9 - square)
    return np.where(wave >= 2000.0, wave / index, wave)


def unit_of(text: str) -> Any:
    """An astropy unit from what archives write; None where it is none that astropy knows."""
    text = " ".join(text.strip().strip("'\"[]").split())
    return None if not text or len(text) > 100 or re.search(r"\d{10}", text) else _unit_of(text)


@cache
def spectrum_unit() -> Any:
    """`SPECTRUM_UNIT` as astropy has it."""
    from astropy import units as u

    return u.Unit(SPECTRUM_UNIT)


@lru_cache(maxsize=512)  # a thousand files of one archive write the same few
def _unit_of(text: str) -> Any:
    from astropy import units as u

    scale = 1.0
    if power := POWER.match(text):
        scale, text = 10.0 ** int(power[1]), text[power.end() :]
    elif number := NUMBER.match(text):
        scale, text = float(number[1]), text[number.end() :]
    text = text.lstrip(" .*x")
    for pattern, word in WORDS:
        text = pattern.sub(word, text)
    if re.search(r"\*\*\(?[+-]?\d{3}|\^\(?[+-]?\d{3}", text):
        return None  # a power of a thousand is no unit and takes for ever
    text = re.sub(r"^erg/cm/s/Angstrom$", "erg/cm2/s/Angstrom", text)  # SDSS leaves the square out in BUNIT
    first, *below = text.split("/")
    if len(below) > 1 and not re.search(r"[() .]", "".join(below)):
        text = f"{first}/({' '.join(below)})"
    for form in ("generic", "vounit", "cds", "ogip"):
        try:
            unit = u.Unit(text, format=form, parse_strict="raise")
        except (ValueError, TypeError, AttributeError, ZeroDivisionError, OverflowError):
            continue
        return u.Unit(scale * unit) if scale != 1.0 else unit
    return None


def angstrom(pixels: Pixels) -> Array:
    """Vacuum wavelengths, Å.

    Raises
    ------
    ValueError
        For a unit that is none of length, frequency or energy, or none at all where the numbers are no ångström.
    """
    from astropy import units as u

    wave = np.asarray(pixels.wave, dtype=np.float64)
    said = pixels.wave_unit.strip()
    logarithm = re.match(r"^(?:dex|log(?:10)?)\s*\((.*)\)$", said, re.IGNORECASE) or re.match(r"^log(?:10)?[ _]+(.*)$", said, re.IGNORECASE)
    if pixels.log or logarithm:
        with np.errstate(over="ignore"):
            wave = 10.0**wave
        said = (logarithm[1] if logarithm else said).strip()
    if said.lower() in ("", "none", "pixel", "-", "dimensionless", "log"):
        finite = wave[np.isfinite(wave)]
        if not len(finite) or finite.min() < BELIEVED[0] or finite.max() > BELIEVED[1]:
            raise ValueError("the file does not say the unit of its wavelengths, and they are no ångström")
    else:
        unit = unit_of(said)
        if unit is None:
            raise ValueError(f"{said[:60]!r} is no unit of wavelength")
        try:
            wave = np.asarray(unit.to(u.AA, wave), dtype=np.float64)
        except u.UnitConversionError:  # a frequency or an energy
            wave = np.asarray((wave * unit).to_value(u.AA, equivalencies=u.spectral()), dtype=np.float64)
    return vacuum(wave) if pixels.air else wave


def flux_factor(said: str, wave: Array) -> tuple[Array | float, str]:
    """What the flux must be multiplied by, and the unit it then has: `SPECTRUM_UNIT`, or what the file says where that is no flux density."""
    from astropy import units as u

    unit = unit_of(said)
    if unit is None:
        return 1.0, " ".join(said.split())[:60] or "relative"
    try:
        return np.full(len(wave), unit.to(spectrum_unit())), SPECTRUM_UNIT
    except (u.UnitConversionError, TypeError):
        pass  # per frequency, perhaps
    try:
        return np.asarray(unit.to(spectrum_unit(), 1.0, equivalencies=u.spectral_density(wave * u.AA)) * np.ones(len(wave))), SPECTRUM_UNIT
    except (u.UnitConversionError, TypeError):
        return 1.0, unit.to_string() or "relative"


def noise_of(flux: Array, good: NDArray[np.bool_]) -> float:
    """The noise of a spectrum from its own pixels (DER_SNR); at least a thousandth of the median flux, since a model has none."""
    kept = flux[good]
    floor = 1e-3 * float(np.median(np.abs(kept))) if len(kept) else 0.0
    if len(kept) < 5:
        return floor
    return max(floor, 0.6052697 * float(np.median(np.abs(2 * kept[2:-2] - kept[:-4] - kept[4:]))))  # 1.482602 / sqrt(6)


def spectrum_of(pixels: Pixels, survey: str, target: str | None, provenance: Provenance) -> Spectrum:
    """A `Spectrum` in inner units, wavelengths ascending, each once.

    Raises
    ------
    ArchiveError
        If arrays are of unequal length, there are fewer than two pixels with a wavelength, or units make no sense.
    """
    shapes = {np.shape(a) for a in (*pixels[:2], pixels.sigma, pixels.ivar, pixels.good, pixels.lsf_sigma) if a is not None}
    if len(shapes) != 1 or any(len(shape) != 1 or shape[0] > LARGEST for shape in shapes):
        told = ", ".join(" x ".join(map(str, shape)) or "no" for shape in sorted(shapes))
        raise ArchiveError(survey, f"the spectrum's columns have {told} pixels", target)
    try:
        wave = angstrom(pixels)
    except (ValueError, TypeError, OverflowError) as error:
        raise ArchiveError(survey, f"the spectrum cannot be read: {error}", target) from error
    keep = np.flatnonzero(np.isfinite(wave) & (wave > 0))
    _, first = np.unique(wave[keep], return_index=True)
    order = keep[first]
    if len(order) < 2:
        raise ArchiveError(survey, f"the spectrum has {len(order)} pixels with a wavelength, of {len(wave)}", target)
    wave = wave[order]
    factor, unit = flux_factor(pixels.flux_unit, wave)
    with np.errstate(all="ignore"):
        flux = np.asarray(pixels.flux, dtype=np.float64)[order] * factor
        good = np.isfinite(flux) & (True if pixels.good is None else np.asarray(pixels.good, dtype=bool)[order])
        ivar = _inverse_variance(pixels, order, factor)
        if ivar is None:
            spread = noise_of(flux, good)
            ivar = np.full(len(flux), 1 / spread**2 if spread > 0 else 0.0)
        good &= (ivar > 0) & (ivar < HUGE) & (np.abs(flux) < HUGE)
    width = None
    if pixels.lsf_sigma is not None:
        width = np.asarray(pixels.lsf_sigma, dtype=np.float64)[order]
    elif pixels.resolution and 1 < pixels.resolution < 1e7:
        width = wave / pixels.resolution / FWHM
    return Spectrum(
        wave, np.where(np.abs(flux) < HUGE, flux, 0.0).astype(np.float32), np.where(good, ivar, 0.0).astype(np.float32), good,
        None if width is None else width.astype(np.float32), pixels.time, unit, provenance,
    )  # fmt: skip


def _inverse_variance(pixels: Pixels, order: NDArray[np.intp], factor: Array | float) -> Array | None:
    """In the unit of the converted flux; None where the file has no usable errors."""
    if pixels.ivar is not None:
        ivar = np.asarray(pixels.ivar, dtype=np.float64)[order]
        return np.where(np.isfinite(ivar) & (ivar > 0), ivar, 0.0) / np.square(factor)
    if pixels.sigma is None:
        return None
    sigma = np.asarray(pixels.sigma, dtype=np.float64)[order] * factor
    usable = np.isfinite(sigma) & (sigma > 0)
    return np.where(usable, 1 / np.where(usable, sigma, 1.0) ** 2, 0.0) if usable.any() else None
