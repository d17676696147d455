"""Simulated reference and science images of one field, not made alike, and the transient that only the second holds.

63 x 63 pixels of 1.01 arcsec, in units of the noise of a pixel of the science image's sky. The field is drawn in Fourier space, where all that
happens to light is a product, and only then put on pixels:

- galaxies: profiles of Spergel (2010, ApJS 191, 58, equation 7), 1 / (1 + k^2 r^2)^(1 + nu): nu = 0.5 is the exponential disc, nu = -0.6 near de
  Vaucouleurs' law; elliptic, one near the centre and others around it;
- stars: points, many faint and few bright (counts fall as flux^-1.5);
- the PSF: seeing by Kolmogorov turbulence, exp(-3.44 (k FWHM / 0.976)^(5/3)) (Fried 1966, JOSA 56, 1372), longer in one direction by up to 15 %
  (tracking), and the pixel's own square. Reference and science each have their own FWHM, 1.7 to 2.6 and 1.8 to 4 pixels;
- the science image is shifted by a fraction of a pixel (0.3, a standard deviation in x and y), and its flux scale (5 %), level and slope of the sky differ;
- noise: of the sky and of the photons of the sources; the reference, a mean of many, has a fourth to a half of it;
- where the option ``cosmic_rays`` says so, in that share of the science images a cosmic ray, which is no transient;
- in two of three pairs (the option ``transients``) a transient, a point with the science PSF: half of them on the light of the central galaxy, half anywhere. Its signal-to-noise
  ratio, 4 to 80, is that of the best filter on the sky alone.

After Sedaghat & Mahabal 2018 (MNRAS 476, 5365), who made pairs from galaxies of SDSS with kernels, warps and factors of brightness.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from astrofuse_lab.modalities import Image, TableRow
from astrofuse_lab.surveys.simulators.simulator import Fields, Simulator
from astrofuse_lab.surveys.survey import Raw, provenance_of

STAMP, SCALE = 63, 1.01
WIDE = 96
"""Side of the field that is drawn, so that what leaves at one edge does not come back at the other within the stamp."""
KY, KX = np.meshgrid(np.fft.fftfreq(WIDE), np.fft.rfftfreq(WIDE), indexing="ij")
PIXEL = np.sinc(KX) * np.sinc(KY)
Waves = NDArray[np.complex128]
Plane = NDArray[np.float64]


def seeing(fwhm: float, longer: float = 1.0, angle: float = 0.0) -> Plane:
    """Transfer function of the air, longer by a factor in one direction (radian), and the pixel."""
    along, across = KX * np.cos(angle) + KY * np.sin(angle), -KX * np.sin(angle) + KY * np.cos(angle)
    return np.asarray(np.exp(-3.44 * (np.hypot(along * longer, across) * fwhm / 0.976) ** (5 / 3)) * PIXEL)


def at(x: float, y: float) -> Waves:
    """A point of flux 1, pixels from the centre of the stamp."""
    half = STAMP // 2
    return np.asarray(np.exp(-2j * np.pi * (KX * (x + half) + KY * (y + half))))


def galaxy(radius: float, nu: float, flat: float, angle: float) -> Plane:
    """A galaxy of flux 1 at the origin: Spergel's profile, its scale radius in pixels, axis ratio and angle."""
    along, across = KX * np.cos(angle) + KY * np.sin(angle), -KX * np.sin(angle) + KY * np.cos(angle)
    return np.asarray((1 + (2 * np.pi * radius) ** 2 * (along**2 + (flat * across) ** 2)) ** -(1 + nu))


def seen(field: Waves, transfer: Plane) -> Plane:
    """On pixels, (63, 63)."""
    return np.asarray(np.fft.irfft2(field * transfer, (WIDE, WIDE))[:STAMP, :STAMP])


def sources(rng: Generator) -> tuple[Waves, float, float, float]:
    """A field without a transient; x, y of its central galaxy, and its size in pixels."""
    host = rng.normal(0, 5.0, 2)
    size = float(np.exp(rng.normal(0.6, 0.5)))
    field = np.zeros_like(KX, dtype=complex)
    for i in range(1 + rng.poisson(2.0)):
        x, y = host if i == 0 else rng.uniform(-34, 34, 2)
        radius = size if i == 0 else float(np.exp(rng.normal(0.2, 0.5)))
        flux = np.exp(rng.uniform(np.log(100), np.log(8000))) if i == 0 else 60 * rng.pareto(0.8) + 60
        field += min(flux, 2e4) * at(x, y) * galaxy(radius, rng.choice([0.5, -0.6]), rng.uniform(0.3, 1.0), rng.uniform(0, np.pi))
    for _ in range(rng.poisson(4.0)):
        field += min(60 * rng.pareto(0.5) + 60, 3e4) * at(*rng.uniform(-34, 34, 2))
    return field, *host, size


def sky(rng: Generator) -> Plane:
    """Level and slope that were not taken off."""
    grid = np.linspace(-1, 1, STAMP)
    return np.asarray(rng.normal(0, 3.0) + rng.normal(0, 1.0) * grid[:, None] + rng.normal(0, 1.0) * grid[None])


def cosmic_ray(rng: Generator) -> Plane:
    """A few pixels in a row."""
    made, angle, steps = np.zeros((STAMP, STAMP)), rng.uniform(0, np.pi), np.arange(rng.integers(1, 8))
    x, y = (np.round(rng.uniform(4, STAMP - 5) + steps * part).astype(int) for part in (np.cos(angle), np.sin(angle)))
    inside = (x >= 0) & (x < STAMP) & (y >= 0) & (y < STAMP)
    made[y[inside], x[inside]] = rng.uniform(8, 80)
    return made


class ImagePairs(Simulator):
    """Base of the surveys of one stream: reference, science, the transient alone, and the truth."""

    stream = "practice/image_pair"
    options: ClassVar[Mapping[str, float | int | str | bool]] = {"shift": 0.3, "transients": 0.65, "cosmic_rays": 0.0}

    def draw(self, rng: Generator, options: Mapping[str, Any]) -> Fields:
        """A pair."""
        field, x, y, size = sources(rng)
        fwhms = rng.uniform(1.7, 2.6), rng.uniform(1.8, 4.0)
        old, new = (seeing(fwhm, rng.uniform(1.0, 1.15), rng.uniform(0, np.pi)) for fwhm in fwhms)
        shift, factor = rng.normal(0, 1, 2) * options["shift"], np.exp(rng.normal(0, 0.05))
        photons, depth = rng.uniform(0.01, 0.05), rng.uniform(0.25, 0.5)
        near = rng.uniform() < 0.5
        place = np.array([x, y]) + rng.normal(0, 1.5 * size, 2) if near else rng.uniform(-26, 26, 2)
        place = np.clip(place, -27, 27)
        there, snr = rng.uniform() < options["transients"], np.exp(rng.uniform(np.log(4), np.log(80)))
        transient = seen(at(*(place + shift)), new)
        transient *= snr / np.sqrt((transient**2).sum()) if there else 0.0
        reference = np.maximum(seen(field, old), 0)
        science = factor * np.maximum(seen(field * np.exp(-2j * np.pi * (KX * shift[0] + KY * shift[1])), new), 0) + transient
        truth = np.where(transient > 0.02 * transient.max(), transient, 0.0)  # without its faintest wings, so that empty pixels are empty
        noise = rng.normal(0, 1, (2, STAMP, STAMP))
        reference = reference + noise[0] * depth * np.sqrt(1 + photons * reference) + sky(rng)
        science = science + noise[1] * np.sqrt(1 + photons * science) + sky(rng)
        if rng.uniform() < options["cosmic_rays"]:
            science = science + cosmic_ray(rng)
        x, y = place + shift
        made = {
            "reference": reference.astype(np.float32), "science": science.astype(np.float32), "transient": truth.astype(np.float32), "has_transient": there,
            "x": x if there else np.nan, "y": y if there else np.nan, "snr": snr if there else np.nan, "on_host": bool(there and near),
            "fwhm_reference": fwhms[0], "fwhm_science": fwhms[1], "shift": float(np.hypot(*shift)), "flux_scale": float(factor),
        }  # fmt: skip
        return {name: np.asarray(value) for name, value in made.items()}


class PairImage(ImagePairs):
    """One of the images, (1, 63, 63), in units of the noise of the science image's sky.

    Parameters
    ----------
    which : {"reference", "science", "transient"}
    """

    gives: type = Image

    def __init__(self, which: str) -> None:
        self.which, self.name, self.bands = which, f"practice/image_pair_{which}", (which,)

    def keeps(self, fields: Fields) -> Fields:
        """That image."""
        return {self.which: fields[self.which]}

    def product(self, fields: Fields, raw: Raw) -> Image:
        """As drawn; ValueError where it has another shape."""
        flux = np.asarray(fields[self.which], np.float32)
        if flux.shape != (STAMP, STAMP):
            raise ValueError(f"an image of {flux.shape}, not {(STAMP, STAMP)}")
        return Image(flux[None], np.isfinite(flux)[None], self.bands, {}, SCALE, unit="sigma", provenance=provenance_of(self, raw))


class PairTruth(ImagePairs):
    """What was drawn: has_transient, its place (pixels from the centre, in the science image), snr, whether it lies on the central galaxy, and the mismatch."""

    name = "practice/image_pair_table"
    gives: type = TableRow

    def keeps(self, fields: Fields) -> Fields:
        """Without the images."""
        return {name: one for name, one in fields.items() if not one.ndim}

    def product(self, fields: Fields, raw: Raw) -> TableRow:
        """One row."""
        values = {name: bool(fields[name]) if name in FLAGS else float(fields[name]) for name in (*FLAGS, *NUMBERS)}
        roles = dict.fromkeys((*FLAGS, *NUMBERS), "other") | {"has_transient": "target"}
        return self.row(values, raw, dict.fromkeys(("x", "y", "fwhm_reference", "fwhm_science", "shift"), "pix"), roles)


FLAGS, NUMBERS = ("has_transient", "on_host"), ("x", "y", "snr", "fwhm_reference", "fwhm_science", "shift", "flux_scale")
REFERENCE, SCIENCE, TRANSIENT, TABLE = PairImage("reference"), PairImage("science"), PairImage("transient"), PairTruth()
