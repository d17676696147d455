"""practice/spectrum: fibre spectra from 3600 to 9800 Å at a resolution near 1500, with sky lines and bad pixels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from astrofuse_lab.modalities import SPECTRUM_UNIT, Spectrum
from astrofuse_lab.surveys.practice import fits_bytes
from astrofuse_lab.surveys.practice.observing import Instrument, Seen, Settings
from astrofuse_lab.surveys.practice.sed import Sed, flux_density
from astrofuse_lab.surveys.practice.shapes import share_within
from astrofuse_lab.surveys.practice.sources import Source
from astrofuse_lab.surveys.practice.variability import fluxes, moment, sed_at
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of

Floats = NDArray[np.float64]

WAVELENGTH = 10 ** np.arange(np.log10(3600.0), np.log10(9800.0), 2.5e-4)
"""Pixel centres, ångström in vacuum."""
FIBRE = 2.0
"""Diameter on the sky, arcsec."""
SEEING = 1.3
SKY_LINES = ((5578.9, 6.0), (5891.6, 2.5), (6302.0, 3.5), (6365.5, 2.0))
"""Oxygen and sodium in the night sky: wavelength, noise relative to the continuum."""
ROLLING = 120.0
"""Length over which the flux calibration errs, in pixels."""


class PracticeSpectrum(Instrument):
    """Spectra of the practice sky: one file with a row a target, in the extensions FLUX, IVAR, MASK, WAVELENGTH and FIBERMAP."""

    name = "practice/spectrum"
    gives: type = Spectrum
    media_type = "application/fits"

    def render(self, seen: list[Seen], ask: Ask, settings: Settings, bands: tuple[str, ...]) -> bytes:
        """Spectra of all targets as one FITS file."""
        from astropy.io import fits

        kept = [one for one in seen if not one.missing]
        exposures = [_exposure(one, settings, self.rng(one.source)) for one in kept]
        shape = (len(kept), len(WAVELENGTH))
        flux, ivar, bad = (np.array([e[k] for e in exposures], dtype=kind).reshape(shape) for k, kind in ((0, np.float32), (1, np.float32), (2, np.uint8)))
        rows = fits.BinTableHDU.from_columns([
            fits.Column("ROW", "J", array=np.array([one.row for one in kept], dtype=np.int32)),
            fits.Column("MJD", "D", array=np.array([moment(one.source, "spectrum_time") for one in kept], dtype=np.float64)),
        ], name="FIBERMAP")  # fmt: skip
        header = fits.Header({"BUNIT": SPECTRUM_UNIT})
        return fits_bytes.write([
            rows, fits.ImageHDU(WAVELENGTH, name="WAVELENGTH"), fits.ImageHDU(flux if len(kept) else None, header, name="FLUX"),
            fits.ImageHDU(ivar if len(kept) else None, name="IVAR"), fits.ImageHDU(bad if len(kept) else None, name="MASK"),
        ])  # fmt: skip

    def parse(self, raw: Raw) -> Iterator[tuple[int, Spectrum]]:
        """One `Spectrum` a row."""
        units: dict[str, Any] = {unit.name: unit for unit in fits_bytes.read(raw.content)}
        rows = units["FIBERMAP"].data
        if not len(rows):
            return
        wave = np.asarray(units["WAVELENGTH"].data, dtype=np.float64)
        flux, ivar = (np.asarray(units[k].data, dtype=np.float32) for k in ("FLUX", "IVAR"))
        good = (np.asarray(units["MASK"].data) == 0) & (ivar > 0) & np.isfinite(flux) & np.isfinite(ivar)
        if not flux.shape == ivar.shape == good.shape == (len(rows), len(wave)):
            raise ValueError(f"flux {flux.shape} does not fit {len(rows)} rows of {len(wave)} wavelengths")
        if not (np.isfinite(wave).all() and (np.diff(wave) > 0).all() and np.isfinite(rows["MJD"]).all()):
            raise ValueError("its wavelengths do not ascend, or a time is no number")
        unit, origin = str(units["FLUX"].header["BUNIT"]), provenance_of(self, raw)
        width = wave / 1500.0 / 2.3548
        for i in range(len(rows)):
            yield int(rows["ROW"][i]), Spectrum(wave, flux[i], ivar[i], good[i], width, float(rows["MJD"][i]), unit, origin)


def _exposure(one: Seen, settings: Settings, rng: Generator) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Flux, inverse variance and bad pixels of one fibre."""
    # a fibre set beside the target by the misalignment catches less of a point, and other parts of a galaxy
    shift = settings.misalignment * rng.normal(0, 1, 2)
    truth = light_in_fibre(one.source, float(shift[0]), float(shift[1]))
    noise = _noise_level(rng) * settings.noise
    variance = noise**2 + 0.02 * np.maximum(truth, 0)
    rolling = np.interp(np.arange(len(WAVELENGTH)), np.arange(0, len(WAVELENGTH) + ROLLING, ROLLING), _rolling(rng))
    flux = truth * rolling + rng.normal(0, 1, len(WAVELENGTH)) * np.sqrt(variance)
    bad = rng.uniform(size=len(WAVELENGTH)) < 0.003
    gap = rng.integers(len(WAVELENGTH) - 25)
    if rng.uniform() < 0.15:
        bad[gap : gap + rng.integers(5, 25)] = True
    hits = rng.integers(0, len(WAVELENGTH), rng.poisson(3))
    flux[hits] += rng.exponential(8.0, len(hits)) * noise[hits]
    bad[hits[: len(hits) // 2]] = True  # half of the cosmic rays are recognised
    return flux, np.where(bad, 0.0, 1 / variance), bad


def light_in_fibre(source: Source, east: float = 0.0, north: float = 0.0) -> Floats:
    """f_lambda that enters the fibre, its centre beside the target by some arcsec."""
    when = moment(source, "spectrum_time")
    caught: dict[int, tuple[Sed, float]] = {}
    for c in source.components:
        r_flux = float(fluxes(source, c, np.array([when]), ["r"])[0])
        if r_flux > 0:
            share = share_within(c.shape, float(np.hypot(c.east - east, c.north - north)), FIBRE, SEEING)
            # pieces that shine alike (the knots of an arm) are one sum
            caught[id(c.sed)] = (sed_at(c, source, when), caught.get(id(c.sed), (c.sed, 0.0))[1] + r_flux * share)
    return np.asarray(sum((flux_density(sed, WAVELENGTH, r_flux) for sed, r_flux in caught.values()), np.zeros(len(WAVELENGTH))))


def _noise_level(rng: Generator) -> Floats:
    """One-sigma noise per pixel: throughput falls at both ends, hydroxyl lines crowd the red."""
    x = (WAVELENGTH - 6500.0) / 3000.0
    level = 0.55 * (1 + 1.2 * np.clip(-x, 0, None) ** 3 * 2 + 0.5 * np.clip(x, 0, None) ** 2)
    for line, strength in SKY_LINES:
        level = level * (1 + strength * np.exp(-0.5 * ((WAVELENGTH - line) / 4.0) ** 2))
    forest = np.clip((WAVELENGTH - 7200.0) / 1200.0, 0, 1) * np.clip(np.sin(WAVELENGTH / 14.0) + 0.6 * np.sin(WAVELENGTH / 5.3) - 0.4, 0, None)
    return level * (1 + 1.6 * forest) * float(np.exp(rng.normal(0, 0.25)))


def _rolling(rng: Generator) -> Floats:
    """Errors of the flux calibration: a grey loss, a tilt from refraction at the fibre, 3 % from knot to knot."""
    knots = int(np.ceil(len(WAVELENGTH) / ROLLING)) + 1
    tilt = 0.12 * rng.normal() * np.linspace(-1, 1, knots)
    return np.asarray((1 + tilt) * (1 + 0.03 * rng.normal(0, 1, knots)) * np.exp(0.1 * rng.normal()))
