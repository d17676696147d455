"""practice/image: pictures in g, r and z through a 4-m telescope's PSF, with noise, bad pixels and an imperfect WCS."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Image
from astrofuse_lab.surveys.practice import fits_bytes
from astrofuse_lab.surveys.practice.observing import Instrument, Seen, Settings, weather
from astrofuse_lab.surveys.practice.sed import Sed, band_fluxes, microjansky
from astrofuse_lab.surveys.practice.shapes import FWHM, Shape, paint
from astrofuse_lab.surveys.practice.sources import Component, Source, random
from astrofuse_lab.surveys.practice.variability import fluxes, moment
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of

SCALE = 0.262
"""arcsec per pixel."""
SEEING = {"g": 1.35, "r": 1.2, "z": 1.1}
"""Median FWHM, arcsec."""
DEPTH = {"g": 23.6, "r": 23.2, "z": 22.3}
"""Five-sigma magnitude of a point source."""
GAIN = 200.0
"""Electrons per microjansky."""
FULL_WELL = 45.0
"""Microjansky in a pixel that saturates it."""
LARGEST = 120.0
"""Largest cutout, arcsec."""
TURN = 3.0
"""Pictures are rotated by up to so many degrees."""
FIELD_DENSITY = 0.0022
"""Unrelated faint objects per square arcsec."""

Picture = NDArray[np.float32]


class PracticeImage(Instrument):
    """Cutouts of the practice sky: per target one FLUX and one IVAR extension, (band, y, x), microjansky; bad pixels have ivar 0."""

    name = "practice/image"
    gives: type = Image
    bands: tuple[str, ...] = ("g", "r", "z")
    media_type = "application/fits"

    def render(self, seen: list[Seen], ask: Ask, settings: Settings, bands: tuple[str, ...]) -> bytes:
        """Pictures of all targets as one FITS file."""
        if not ask.size <= LARGEST:
            raise InputError(f"size {ask.size} arcsec: cutouts of {self.name} are at most {LARGEST:.0f} arcsec wide.")
        units: list[Any] = []
        for one in seen:
            if not one.missing:
                units += self._units(one, ask.size, settings, bands)
        return fits_bytes.write(units)

    def _units(self, one: Seen, size: float, settings: Settings, bands: tuple[str, ...]) -> list[Any]:
        from astropy.io import fits

        rng = self.rng(one.source)
        # a rotated picture must still cover the square asked for
        side = int(np.ceil(size / SCALE * (np.cos(np.radians(TURN)) + np.sin(np.radians(TURN))))) + 2
        truth, told = _pointing(one, side, settings.misalignment, rng)
        east, north = _offsets(truth, side, one)
        clear = weather(one.source)
        chosen = [list(self.bands).index(b) for b in bands]
        field = _in_view(one.source, east, north)
        planes = [_exposure(one.source, field, band, east, north, clear.seeing, clear.sky * settings.noise, rng) for band in self.bands]
        flux, ivar = (np.stack([planes[i][k] for i in chosen]) for k in (0, 1))
        header = fits.Header(told)
        header["BUNIT"], header["ROW"], header["BANDS"] = "uJy", one.row, ",".join(bands)
        header["MJD-OBS"] = moment(one.source, "image_time")
        for i, band in enumerate(bands):
            header[f"PSF{i + 1}"] = (round(SEEING[band] * clear.seeing, 4), f"FWHM in {band}, arcsec")
        return [fits.ImageHDU(flux, header, name="FLUX"), fits.ImageHDU(ivar, name="IVAR")]

    def parse(self, raw: Raw) -> Iterator[tuple[int, Image]]:
        """One `Image` a target."""
        units = fits_bytes.read(raw.content)
        origin = provenance_of(self, raw)
        for flux, ivar in zip(units[::2], units[1::2], strict=True):
            header = flux.header
            bands = tuple(str(header["BANDS"]).split(","))
            wcs = {"WCSAXES": 2} | {k: header[k] for k in _WCS_KEYS}
            data, weight = np.asarray(flux.data, dtype=np.float32), np.asarray(ivar.data, dtype=np.float32)
            if data.ndim != 3 or data.shape != weight.shape or len(bands) != len(data):
                raise ValueError(f"flux {data.shape}, ivar {weight.shape} and bands {bands} do not fit")
            scale, psf, time = float(header["CDELT2"]) * 3600, tuple(float(header[f"PSF{i + 1}"]) for i in range(len(bands))), float(header["MJD-OBS"])
            if not (0 < scale < 3600 and np.isfinite([*psf, time]).all()):
                raise ValueError(f"scale {scale} arcsec, PSF {psf} and MJD {time} are not those of an image")
            yield int(header["ROW"]), Image(
                data, (weight > 0) & np.isfinite(data) & np.isfinite(weight), bands, wcs, scale, weight, psf, time, str(header["BUNIT"]), origin,
            )  # fmt: skip


_WCS_KEYS = (
    "CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1", "CDELT2", "PC1_1", "PC1_2", "PC2_1", "PC2_2", "RADESYS",
)  # fmt: skip


def _pointing(one: Seen, side: int, misalignment: float, rng: Generator) -> tuple[dict[str, Any], dict[str, Any]]:
    """The true WCS of a picture, and the one its header tells, which errs by the misalignment."""
    middle = (side + 1) / 2 + rng.uniform(-0.5, 0.5, 2)
    turn = rng.uniform(-TURN, TURN)
    error, tilt = rng.normal(0, 1, 2), rng.normal(0, 1)
    truth = _wcs(one, middle, turn)
    return truth, _wcs(one, middle + misalignment * error / SCALE, turn + 0.5 * misalignment * tilt)


def _wcs(one: Seen, middle: NDArray[np.float64], turn: float) -> dict[str, Any]:
    s, c = float(np.sin(np.radians(turn))), float(np.cos(np.radians(turn)))
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg", "CRVAL1": one.ra, "CRVAL2": one.dec,
        "CRPIX1": float(middle[0]), "CRPIX2": float(middle[1]), "CDELT1": -SCALE / 3600, "CDELT2": SCALE / 3600,
        "PC1_1": c, "PC1_2": -s, "PC2_1": s, "PC2_2": c, "RADESYS": "ICRS",
    }  # fmt: skip


def _offsets(wcs: dict[str, Any], side: int, one: Seen) -> tuple[Picture, Picture]:
    """How far east and north of the object each pixel lies, arcsec (flat sky: exact to 1e-6 over a cutout)."""
    x = np.arange(1, side + 1) - wcs["CRPIX1"]
    y = (np.arange(1, side + 1) - wcs["CRPIX2"])[:, None]
    east = -SCALE * (wcs["PC1_1"] * x + wcs["PC1_2"] * y)
    north = SCALE * (wcs["PC2_1"] * x + wcs["PC2_2"] * y)
    away = ((one.source.ra - one.ra + 180) % 360 - 180) * np.cos(np.radians(one.dec))
    return (east - away * 3600).astype(np.float32), (north - (one.source.dec - one.dec) * 3600).astype(np.float32)


def neighbours(source: Source) -> tuple[Component, ...]:
    """Unrelated faint objects around a source, the same in every cutout: counts rise tenfold every 3 magnitudes."""
    rng = random(source.seed, source.number, 41)
    out = []
    for _ in range(rng.poisson(FIELD_DENSITY * LARGEST**2)):
        east, north = rng.uniform(-LARGEST / 2, LARGEST / 2, 2)
        mag = 23.6 + 3 * np.log10(rng.uniform(0.01, 1.0))
        extended = rng.uniform() < 0.6
        shape = Shape(rng.uniform(0.3, 1.0), 1.0, rng.uniform(0.3, 1), rng.uniform(0, 180)) if extended else Shape()
        sed = Sed("galactic", rng.uniform(0.1, 0.6), {"young": rng.uniform()}) if extended else Sed("stellar", 0.0, {"temperature": rng.uniform(3300, 7000)})
        out.append(Component(sed, float(mag), shape, float(east), float(north)))
    return tuple(out)


def _in_view(source: Source, east: Picture, north: Picture) -> list[tuple[Component, dict[str, float]]]:
    """The neighbours that reach into a picture, with their fluxes by band."""
    low_e, high_e, low_n, high_n = east.min() - 3, east.max() + 3, north.min() - 3, north.max() + 3
    inside = [c for c in neighbours(source) if low_e < c.east < high_e and low_n < c.north < high_n]
    return [(c, {band: microjansky(c.mag) * ratio for band, ratio in band_fluxes(c.sed).items()}) for c in inside]


def _exposure(
    source: Source, field: list[tuple[Component, dict[str, float]]], band: str, east: Picture, north: Picture, seeing: float, sky: float, rng: Generator
) -> tuple[Picture, Picture]:
    """Flux and inverse variance in one band."""
    fwhm = SEEING[band] * seeing
    flux = np.zeros(east.shape, dtype=np.float32)
    when = np.array([moment(source, "image_time")])
    light = [(c, float(fluxes(source, c, when, [band])[0])) for c in source.components] + [(c, by_band[band]) for c, by_band in field]
    for c, total in light:
        if total > 0:
            paint(flux, east - np.float32(c.east), north - np.float32(c.north), c.shape, total, fwhm, SCALE**2)
    # five sigma at DEPTH spread over the PSF's noise-equivalent area
    area = 4 * np.pi * (fwhm / FWHM / SCALE) ** 2
    deep = microjansky(DEPTH[band]) / 5 / np.sqrt(area) * sky
    variance = deep**2 + np.maximum(flux, 0) / GAIN
    bad = _bad_pixels(flux, rng)
    seen = flux + rng.normal(0, 1, flux.shape).astype(np.float32) * np.sqrt(variance)
    return np.where(bad, np.minimum(seen, FULL_WELL), seen).astype(np.float32), np.where(bad, 0, 1 / variance).astype(np.float32)


def _bad_pixels(flux: Picture, rng: Generator) -> NDArray[np.bool_]:
    """Saturated pixels with the charge that bleeds along their columns, cosmic rays, now and then a dead column."""
    full = flux > FULL_WELL
    bad = full.copy()
    for shift in (1, 2, 3):
        bad[shift:] |= full[:-shift]
        bad[:-shift] |= full[shift:]
    side = len(flux)
    for _ in range(rng.poisson(2e-4 * flux.size)):
        x, y, length, slope = rng.integers(side), rng.integers(side), rng.integers(1, 6), rng.uniform(-1, 1)
        along = np.arange(length)
        bad[np.clip((y + slope * along).astype(int), 0, side - 1), np.clip(x + along, 0, side - 1)] = True
    column = rng.integers(side)
    if rng.uniform() < 0.08:
        bad[:, column] = True
    return bad
