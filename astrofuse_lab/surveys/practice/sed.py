"""How objects shine with wavelength: templates of f_lambda in the rest frame, redshifted and scaled to an r magnitude.

Colours in images and catalogues are integrals of these same templates, so that all instruments tell one story.
Line wavelengths are in vacuum. Shapes follow the textbook features, not any one observed object:
stars as black bodies under their strongest lines; galaxies as an old and a young population with a 4000 Å break; quasars as a power law under
broad lines (Vanden Berk et al. 2001, doi:10.1086/321167, for positions and widths); supernovae as a cooling photosphere under P Cygni lines
(Filippenko 1997, doi:10.1146/annurev.astro.35.1.309); asteroids as reflected sunlight (DeMeo et al. 2009 for the S and C slopes).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LIGHT_SPEED = 299_792.458
"""km/s."""
BANDS: dict[str, tuple[float, float]] = {"g": (4770.0, 1380.0), "r": (6231.0, 1373.0), "i": (7625.0, 1526.0), "z": (9134.0, 1250.0)}
"""Centre and full width of each (box-shaped) passband, ångström."""
UJY = 3.33564e-7
"""f_nu in microjansky = f_lambda (1e-17 erg/s/cm2/Å) * wavelength² * UJY."""

BALMER = (6564.6, 4862.7, 4341.7, 4102.9, 3971.2)
METALS = ((3934.8, 12, 0.55), (3969.6, 12, 0.5), (4305.6, 20, 0.3), (5176.6, 25, 0.3), (5895.6, 9, 0.3), (8500.4, 8, 0.25), (8544.4, 8, 0.35), (8664.5, 8, 0.3))
"""Ca K, Ca H, G band, Mg b, Na D, Ca triplet: wavelength, sigma (Å), depth."""
TITANIUM = ((4955, 60, 0.35), (5170, 50, 0.4), (5600, 90, 0.3), (6250, 110, 0.45), (6750, 90, 0.4), (7150, 110, 0.6), (7700, 90, 0.45), (8450, 90, 0.5))
NEBULAR = ((3728.5, 1.0), (4862.7, 0.45), (4960.3, 0.2), (5008.2, 0.6), (6549.9, 0.15), (6564.6, 1.6), (6585.3, 0.45), (6718.3, 0.3), (6732.7, 0.25))
"""[O II], H beta, [O III], [N II], H alpha, [S II]: wavelength and relative equivalent width."""
BROAD = ((1215.7, 40.0), (1549.1, 25.0), (1908.7, 22.0), (2798.8, 32.0), (4341.7, 13.0), (4862.7, 46.0), (6564.6, 190.0))
"""Lyman alpha, C IV, C III], Mg II, H gamma, H beta, H alpha: wavelength and equivalent width (Å)."""
TYPE_IA = ((3945.1, 0.6), (4131.0, 0.3), (4560.0, 0.35), (5018.0, 0.35), (5454.0, 0.35), (5640.0, 0.35), (6356.0, 0.6), (8580.0, 0.55))
TYPE_II = ((3945.1, 0.3), (4341.7, 0.35), (4862.7, 0.45), (5169.0, 0.3), (5877.0, 0.35), (6564.6, 0.5), (8580.0, 0.35))
"""P Cygni features: rest wavelength of the blend and depth."""


@dataclass(frozen=True)
class Sed:
    """A template with its numbers.

    Attributes
    ----------
    template : str
        A key of `TEMPLATES`.
    redshift : float
    numbers : mapping of str to float
        What the template needs, e.g. ``temperature``.
    """

    template: str
    redshift: float = 0.0
    numbers: Mapping[str, float] = field(default_factory=dict)

    def but(self, **numbers: float) -> "Sed":
        """The same with some numbers changed."""
        return replace(self, numbers={**self.numbers, **numbers})


def black_body(wavelength: Floats, temperature: float) -> Floats:
    """Planck's law per unit wavelength, one at 5500 Å."""
    x, x0 = 1.438777e8 / (wavelength * temperature), 1.438777e8 / (5500.0 * temperature)
    return np.asarray((5500.0 / wavelength) ** 5 * np.expm1(min(x0, 500.0)) / np.expm1(np.minimum(x, 500.0)))


def _gauss(wavelength: Floats, centre: float, sigma: float) -> Floats:
    return np.exp(-0.5 * ((wavelength - centre) / sigma) ** 2)


def _step(wavelength: Floats, edge: float, below: float, width: float) -> Floats:
    """`below` on the blue side of an edge, one on the red side, smooth between."""
    return below + (1 - below) / (1 + np.exp(-(wavelength - edge) / width))


def stellar(wavelength: Floats, temperature: float, emission: float = 0.0) -> Floats:
    """A star: black body, Balmer lines strongest near 9500 K, metals and TiO in cool atmospheres; `emission` fills H alpha (flares, discs)."""
    flux = black_body(wavelength, temperature)
    hydrogen = 0.6 * np.exp(-0.5 * (np.log(temperature / 9500.0) / 0.28) ** 2)
    metals = 1 / (1 + np.exp((temperature - 6300.0) / 600.0))
    oxide = 1 / (1 + np.exp((temperature - 3900.0) / 200.0))
    for line in BALMER:
        flux = flux * (1 - hydrogen * _gauss(wavelength, line, 18.0)) * (1 + emission * _gauss(wavelength, line, 10.0))
    for centre, sigma, depth in METALS:
        flux = flux * (1 - metals * depth * _gauss(wavelength, centre, sigma))
    for centre, sigma, depth in TITANIUM:
        flux = flux * (1 - oxide * depth * _gauss(wavelength, centre, sigma))
    return flux * _step(wavelength, 4000.0, 1 - 0.35 * metals, 60.0)


def galactic(wavelength: Floats, young: float, lines: float = 1.0) -> Floats:
    """A galaxy: old population with a 4000 Å break, `young` (0 to 1) of the light at 5500 Å from hot stars, nebular lines with it."""
    old = black_body(wavelength, 4700.0) * _step(wavelength, 4000.0, 0.5, 40.0)
    for centre, sigma, depth in METALS:
        old = old * (1 - depth * _gauss(wavelength, centre, sigma + 6.0))
    hot = black_body(wavelength, 11_000.0) * _step(wavelength, 3700.0, 0.7, 60.0)
    for line in BALMER[1:]:
        hot = hot * (1 - 0.3 * _gauss(wavelength, line, 14.0))
    flux = (1 - young) * old + young * hot
    for centre, strength in NEBULAR:
        # equivalent width up to about 60 Å in H alpha; 3.5 Å of instrument and rotation
        flux = flux + lines * young * 38.0 * strength / (3.5 * 2.5066) * _gauss(wavelength, centre, 3.5)
    return flux


def active(wavelength: Floats, slope: float, lines: float, width: float = 4000.0) -> Floats:
    """A quasar: power law, broad lines of `width` (km/s) scaled by `lines`, iron bumps, and the forest below Lyman alpha."""
    flux = (wavelength / 3000.0) ** slope
    glow = np.zeros_like(flux)
    for centre, equivalent in BROAD:
        sigma = centre * width / LIGHT_SPEED / 2.3548
        glow = glow + equivalent / (sigma * 2.5066) * _gauss(wavelength, centre, sigma)
    for centre in (4960.3, 5008.2):
        glow = glow + (1.2 if centre > 5000 else 0.4) * _gauss(wavelength, centre, 7.0)
    glow = glow + 0.25 * _gauss(wavelength, 2500.0, 220.0) + 0.12 * _gauss(wavelength, 4570.0, 110.0)
    return flux * (1 + lines * glow) * _step(wavelength, 1216.0, 0.55, 4.0)


def _p_cygni(wavelength: Floats, rest: float, depth: float, velocity: float, spread: float) -> Floats:
    """Blueshifted trough and emission at rest: the profile of an expanding shell."""
    sigma = rest * spread / LIGHT_SPEED
    trough = 1 - depth * _gauss(wavelength, rest * (1 - velocity / LIGHT_SPEED), sigma)
    return trough * (1 + 0.6 * depth * _gauss(wavelength, rest * (1 + 0.1 * velocity / LIGHT_SPEED), 1.4 * sigma))


def exploding_ia(wavelength: Floats, phase: float) -> Floats:
    """A type Ia supernova `phase` days after maximum: silicon and sulphur, then iron, under a cooling photosphere."""
    temperature = 5000.0 + 8500.0 * np.exp(-(phase + 15.0) / 22.0)
    velocity = 8500.0 + 4500.0 * np.exp(-(phase + 15.0) / 18.0)
    flux = black_body(wavelength, float(temperature))
    iron = float(np.clip((phase - 5.0) / 20.0, 0, 1))
    for rest, depth in TYPE_IA:
        silicon = rest in (4131.0, 5454.0, 5640.0, 6356.0)
        flux = flux * _p_cygni(wavelength, rest, depth * ((1 - 0.8 * iron) if silicon else (0.7 + 0.6 * iron)), velocity, 3000.0)
    return flux * _step(wavelength, 4000.0, 0.55, 100.0)


def exploding_ii(wavelength: Floats, phase: float) -> Floats:
    """A type II supernova `phase` days after maximum: hydrogen P Cygni lines that grow as the hot continuum cools."""
    temperature = 5500.0 + 11_000.0 * np.exp(-(phase + 10.0) / 15.0)
    growth = float(np.clip((phase + 12.0) / 25.0, 0.1, 1.3))
    flux = black_body(wavelength, float(temperature))
    for rest, depth in TYPE_II:
        flux = flux * _p_cygni(wavelength, rest, min(depth * growth, 0.8), 6000.0 + 4000.0 * np.exp(-(phase + 10.0) / 30.0), 2600.0)
    return flux * (1 + 0.7 * growth * _gauss(wavelength, 6590.0, 75.0))


def reflected(wavelength: Floats, slope: float, band: float) -> Floats:
    """Sunlight from a rocky surface: reflectance with `slope` per 1000 Å and an olivine-pyroxene `band` beyond 7500 Å."""
    reflectance = 1 + slope * (np.minimum(wavelength, 7500.0) - 5500.0) / 1000.0 - band * np.clip((wavelength - 7500.0) / 2000.0, 0, 1)
    return stellar(wavelength, 5772.0) * np.maximum(reflectance, 0.05)


TEMPLATES: dict[str, Callable[..., Floats]] = {
    "stellar": stellar, "galactic": galactic, "active": active,
    "exploding_ia": exploding_ia, "exploding_ii": exploding_ii, "reflected": reflected,
}  # fmt: skip

_BAND_GRID = {name: np.linspace(centre - width / 2, centre + width / 2, 41) for name, (centre, width) in BANDS.items()}


def shape(sed: Sed, wavelength: Floats) -> Floats:
    """f_lambda at observed wavelengths, in arbitrary units."""
    return TEMPLATES[sed.template](np.asarray(wavelength, dtype=np.float64) / (1 + sed.redshift), **sed.numbers)


def band_fluxes(sed: Sed) -> Mapping[str, float]:
    """Mean f_nu through each passband, in units of the r band (photon-counting mean, as AB magnitudes are defined)."""
    return _band_fluxes(sed.template, sed.redshift, tuple(sed.numbers.items()))


@lru_cache(maxsize=8192)
def _band_fluxes(template: str, redshift: float, numbers: tuple[tuple[str, float], ...]) -> Mapping[str, float]:
    grid = np.concatenate(list(_BAND_GRID.values()))
    flux = shape(Sed(template, redshift, dict(numbers)), grid).reshape(len(BANDS), -1)
    waves = grid.reshape(len(BANDS), -1)
    means = (flux * waves).sum(1) / (1 / waves).sum(1)
    return MappingProxyType(dict(zip(BANDS, (means / means[list(BANDS).index("r")]).tolist(), strict=True)))


def flux_density(sed: Sed, wavelength: Floats, r_flux: float) -> Floats:
    """f_lambda (1e-17 erg/s/cm2/Å) of an object with `r_flux` microjansky in the r band."""
    grid = _BAND_GRID["r"]
    mean = (shape(sed, grid) * grid).sum() / (1 / grid).sum() * UJY
    return np.asarray(shape(sed, wavelength) * (r_flux / mean))


def microjansky(mag: float) -> float:
    """Flux of an AB magnitude."""
    return float(10 ** (0.4 * (23.9 - mag)))


def magnitude(flux: float) -> float | None:
    """AB magnitude of a flux in microjansky; None where there is none."""
    return float(23.9 - 2.5 * np.log10(flux)) if flux > 0 else None
