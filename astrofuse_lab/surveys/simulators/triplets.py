"""Simulated alert triplets: science, reference and difference stamps of what a pipeline detected, real sources in the sky or artefacts.

63 x 63 pixels of 1.01 arcsec in counts (DN), as in ZTF's packets: the detection lies in the middle of the difference stamp, where it is always positive. Fields, PSF
and sampling are those of `image_pairs` (galaxies by Spergel's profile, stars as flux^-1.5, Kolmogorov seeing and the pixel's square), each exposure with
a FWHM of its own.

- The difference follows Alard & Lupton (1998, ApJ 503, 325): the sharper image is brought to the other's PSF, here by the known ratio of both transfer
  functions, held at 1.05 at most; what is left of misregistration (0.05 to 0.15 pixels even where all is well) and of a wrong flux scale (1 %) stays, and so do
  the noise of both images, made smooth by the same kernel.
- Real: a ``transient``, on its host galaxy or alone, or a ``variable``, a star that is in the reference too and has become brighter or fainter (then the
  difference is turned over, as `isdiffpos` says). Signal-to-noise 5 to 100, more of them faint.
- Bogus, each as likely: a ``cosmic_ray`` (one to seven pixels in a row, sharper than any PSF; van Dokkum 2001, PASP 113, 1420); a ``dipole``
  (a bright star that two registrations put 0.3 to 1.2 pixels apart); a ``mismatch`` (a bright star subtracted with a PSF that is 10 to 30 % too wide or narrow, or a flux
  scale 3 to 10 % off: rings); a ``column`` (a bad column of the detector through the middle); ``noise`` (the highest peak of the smoothed noise of the
  difference: no source at all).
- One stamp in twenty lies at the edge of the detector: some columns are missing, in all three.

After the classes of artefacts in Duev et al. 2019 (MNRAS 489, 3582) and Goldstein et al. 2015 (AJ 150, 82). Left out: satellite trails (see `streaks`), ghosts, saturation
and its bleeding, proper motion, differences of colour.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from astrofuse_lab.modalities import Image, TableRow
from astrofuse_lab.surveys.simulators.image_pairs import KX, KY, SCALE, STAMP, WIDE, at, galaxy, seeing
from astrofuse_lab.surveys.simulators.simulator import Fields, Simulator
from astrofuse_lab.surveys.survey import Raw, provenance_of

STAMPS = ("science", "reference", "difference")
REAL, BOGUS = ("transient", "variable"), ("cosmic_ray", "dipole", "mismatch", "column", "noise")
MIDDLE = STAMP // 2
Plane = NDArray[np.float64]
Waves = NDArray[np.complex128]
OTHERS = ("snr", "fwhm_science", "fwhm_reference", "noise")


def moved(x: float, y: float) -> Waves:
    """What a shift by so many pixels does in Fourier space."""
    return np.asarray(np.exp(-2j * np.pi * (KX * x + KY * y)))


def kernel(sharp: Plane, wide: Plane) -> Plane:
    """Transfer function that brings the sharper image to the wider PSF; at most 1.05, so that noise is not blown up where nothing is left of the light."""
    return np.asarray(np.clip(wide / np.maximum(sharp, 1e-9), 0.0, 1.05) * (np.abs(sharp) > 1e-6))


def smoothed(plane: Plane, transfer: Plane) -> Plane:
    """A plane of `WIDE` pixels through a transfer function."""
    return np.asarray(np.fft.irfft2(np.fft.rfft2(plane) * transfer, (WIDE, WIDE)))


def field_of(rng: Generator, host: tuple[float, float] | None, star: float) -> Waves:
    """Light of the field without what was detected: galaxies and stars around, a host near the middle, a star of so many counts in the middle."""
    light = np.zeros_like(KX, dtype=complex)
    for i in range(rng.poisson(2.0) + (host is not None)):
        x, y = host if host is not None and i == 0 else rng.uniform(-34, 34, 2)
        flux = float(np.exp(rng.uniform(np.log(200), np.log(2e4))))
        light += flux * at(x, y) * galaxy(float(np.exp(rng.normal(0.4, 0.5))), rng.choice([0.5, -0.6]), rng.uniform(0.3, 1.0), rng.uniform(0, np.pi))
    for _ in range(rng.poisson(4.0)):
        light += min(100 * rng.pareto(0.5) + 100, 5e4) * at(*rng.uniform(-34, 34, 2))
    return light + star * at(0.0, 0.0)


def ray(rng: Generator, height: float) -> Plane:
    """A cosmic ray through the middle."""
    made, angle, steps = np.zeros((WIDE, WIDE)), rng.uniform(0, np.pi), np.arange(int(rng.integers(1, 8)))
    steps = steps - len(steps) // 2
    for x, y in zip(np.round(MIDDLE + steps * np.cos(angle)).astype(int), np.round(MIDDLE + steps * np.sin(angle)).astype(int), strict=True):
        made[y, x] = height * rng.uniform(0.4, 1.0)
    return made


class Triplets(Simulator):
    """What the surveys of one detection share.

    Options: ``real``, share of real sources; ``seed``.
    """

    stream = "practice/triplet"
    options: ClassVar[Mapping[str, float | int | str | bool]] = {"real": 0.5}

    def draw(self, rng: Generator, options: Mapping[str, Any]) -> Fields:
        """Stamps and truth of one detection."""
        kind = str(rng.choice(REAL, p=[0.7, 0.3]) if rng.uniform() < options["real"] else rng.choice(BOGUS))
        noise, fwhm_new, fwhm_old = float(np.exp(rng.uniform(np.log(6), np.log(25)))), rng.uniform(1.7, 3.2), rng.uniform(1.7, 2.6)
        snr = float(5 * (20 ** rng.beta(0.8, 1.8)))
        bright = kind in ("dipole", "mismatch", "variable")
        host = tuple(rng.normal(0, 3.0, 2)) if kind == "transient" and rng.uniform() < 0.7 else None
        light = field_of(rng, host, float(np.exp(rng.uniform(np.log(3e3), np.log(6e4)))) if bright else 0.0)
        new, old = (seeing(fwhm, rng.uniform(1.0, 1.15), rng.uniform(0, np.pi)) for fwhm in (fwhm_new, fwhm_old))
        apart, off = rng.uniform(0.05, 0.15), rng.normal(0, 0.01)
        believed = new
        if kind == "dipole":
            apart = rng.uniform(0.3, 1.2)
        elif kind == "mismatch":
            believed = seeing(fwhm_new * rng.choice([rng.uniform(0.7, 0.9), rng.uniform(1.1, 1.3)])) if rng.uniform() < 0.7 else new
            off = rng.choice([-1, 1]) * rng.uniform(0.03, 0.1) if believed is new else off
        angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5, 2)
        point = np.fft.irfft2(at(*place) * new, (WIDE, WIDE))
        size = snr * noise / np.sqrt((point**2).sum()) if kind in REAL else 0.0
        faded = kind == "variable" and rng.uniform() < 0.5
        shift = moved(apart * np.cos(angle), apart * np.sin(angle))
        photons, deep = 1 / rng.uniform(4, 8), rng.uniform(0.25, 0.5)
        science = np.maximum(np.fft.irfft2(light * shift * new, (WIDE, WIDE)), 0) * (1 + off) + (-size if faded else size) * point
        reference = np.maximum(np.fft.irfft2(light * old, (WIDE, WIDE)), 0)
        errors = [rng.standard_normal((WIDE, WIDE)) * np.sqrt(part**2 + photons * np.maximum(one, 0) * part / noise) for part, one in ((noise, science), (noise * deep, reference))]
        science, reference = science + errors[0], reference + errors[1]
        science, flaw = self._flawed(rng, kind, science, noise, snr)
        difference = self._subtracted(science, reference, believed, old, fwhm_new > fwhm_old)
        planes = np.stack([science + rng.uniform(80, 900), reference + rng.uniform(0, 200), -difference if faded else difference])
        planes = self._middle(rng, kind, planes)
        mask = np.ones(planes.shape, bool)
        if rng.uniform() < 0.05:
            cut = int(rng.integers(1, 28))
            mask[:, :, : cut if flaw < 0 else 0] = False
            mask[:, :, STAMP - cut if flaw >= 0 else STAMP :] = False
        made = {
            "flux": planes.astype(np.float32), "mask": mask, "kind": np.array(kind), "snr": snr if kind in REAL else np.nan, "fwhm_science": fwhm_new,
            "fwhm_reference": fwhm_old, "noise": noise, "positive": not faded,
        }  # fmt: skip
        return {name: np.asarray(value) for name, value in made.items()}

    def _flawed(self, rng: Generator, kind: str, science: Plane, noise: float, snr: float) -> tuple[Plane, float]:
        """The science image with its artefact, and a random sign."""
        if kind == "cosmic_ray":
            science = science + ray(rng, noise * snr * rng.uniform(0.6, 2.0))
        elif kind == "column":
            at_column, height = MIDDLE + int(rng.integers(-1, 2)), noise * snr * rng.uniform(0.3, 1.0)
            science = science.copy()
            science[:, at_column] += height * (1 + 0.2 * rng.standard_normal(WIDE))
        return science, float(rng.choice([-1, 1]))

    @staticmethod
    def _subtracted(science: Plane, reference: Plane, believed: Plane, old: Plane, wider: bool) -> Plane:
        if wider:
            return science - smoothed(reference, kernel(old, believed))
        return smoothed(science, kernel(believed, old)) - reference

    @staticmethod
    def _middle(rng: Generator, kind: str, planes: Plane) -> Plane:
        """The stamps; of noise, around the highest peak that the detection's filter finds, and of a residual, around its brightest pixel near by."""
        x = y = MIDDLE
        difference = planes[2] - np.median(planes[2])
        if kind == "noise":
            found = smoothed(difference, seeing(2.2))
            quiet = smoothed(np.abs(planes[0] - np.median(planes[0])), seeing(6.0))
            found[quiet > np.quantile(quiet, 0.5)] = -np.inf  # away from sources, whose photons and residuals would be found first
            y, x = (int(one) for one in np.unravel_index(np.argmax(found), found.shape))
        elif kind in ("dipole", "mismatch"):
            near = smoothed(difference, seeing(1.6))[MIDDLE - 4 : MIDDLE + 5, MIDDLE - 4 : MIDDLE + 5]
            y, x = (MIDDLE - 4 + int(one) for one in np.unravel_index(np.argmax(near), near.shape))
        return np.asarray(np.roll(planes, (MIDDLE - y, MIDDLE - x), axis=(1, 2))[:, :STAMP, :STAMP])


class TripletImage(Triplets):
    """The three stamps, (3, 63, 63), DN."""

    name = "practice/triplet"
    gives: type = Image
    bands: tuple[str, ...] = STAMPS

    def keeps(self, fields: Fields) -> Fields:
        """The stamps."""
        return {name: fields[name] for name in ("flux", "mask")}

    def product(self, fields: Fields, raw: Raw) -> Image:
        """As drawn; ValueError where they have another shape."""
        flux, mask = np.asarray(fields["flux"], np.float32), np.asarray(fields["mask"], bool)
        if flux.shape != (3, STAMP, STAMP) or mask.shape != flux.shape:
            raise ValueError(f"stamps of {flux.shape} and a mask of {mask.shape}, not {(3, STAMP, STAMP)}")
        mask &= np.isfinite(flux)
        return Image(np.where(mask, flux, 0), mask, STAMPS, {}, SCALE, unit="DN", provenance=provenance_of(self, raw))


class TripletTruth(Triplets):
    """What was drawn: real_bogus, kind, snr (of real sources, by the best filter on the sky alone), isdiffpos, and how the exposures were."""

    name = "practice/triplet_table"
    gives: type = TableRow

    def keeps(self, fields: Fields) -> Fields:
        """Without the stamps."""
        return {name: one for name, one in fields.items() if not one.ndim}

    def product(self, fields: Fields, raw: Raw) -> TableRow:
        """One row; ValueError for a kind that there is not."""
        kind = str(fields["kind"])
        if kind not in (*REAL, *BOGUS):
            raise ValueError(f"{kind[:20]!r} is no kind of detection")
        values = {"real_bogus": "real" if kind in REAL else "bogus", "kind": kind, "isdiffpos": bool(fields["positive"]), **{name: float(fields[name]) for name in OTHERS}}
        roles = {"real_bogus": "target", "kind": "target"} | dict.fromkeys(("isdiffpos", *OTHERS), "other")
        return self.row(values, raw, {"fwhm_science": "pix", "fwhm_reference": "pix"}, roles)


IMAGE, TABLE = TripletImage(), TripletTruth()
