"""Difference cutouts with moving objects and what is taken for them: streaks, satellites, cosmic rays, dipoles, ghosts, or nothing.

What is drawn, in units of the noise of one pixel, on 63 x 63 pixels of 1.01 arcsec (a ZTF stamp), seen with a Gaussian PSF:

- ``streak``: a fast-moving object, a source that moves evenly along a line while the shutter is open. Its profile is the convolution of a line of
  length L with the PSF, in closed form (Veres et al. 2012, PASP 124, 1197, equation 3). L is drawn evenly in its logarithm from 4 to 45 pixels: 8 to
  90 arcsec a minute in an exposure of 30 s.
- ``satellite``: a line across the whole stamp, wider than the PSF (near, hence out of focus), brighter, at times flickering as it tumbles.
- ``cosmic_ray``: charge in the silicon along a short track, straight or bent: it never passed the optics, so no PSF smooths it.
- ``dipole``: a star subtracted with an offset of a fraction of a pixel to two: a positive and a negative PSF side by side.
- ``ghost``: light reflected between filter and detector, out of focus: a piece of a wide ring.
- ``noise``: nothing.

The signal-to-noise ratio is that of the best filter, the root of the summed squares of the signal. Streaks of DeepStreaks (Duev et al. 2019,
MNRAS 486, 4158) were pasted on bogus cutouts; the noise drawn here is white, with faint residuals of stars, and `astrofuse_lab.samples.simulated_streaks`
paints the same objects on real difference stamps. The stamp is enlarged to 144 x 144 pixels, linearly, as that system's cutouts are.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import erf

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Image, TableRow
from astrofuse_lab.surveys.simulators.simulator import Fields, Simulator
from astrofuse_lab.surveys.survey import Raw, provenance_of

STAMP, SIDE, SCALE = 63, 144, 1.01
SIGMA = 2.3548
KINDS = ("streak", "satellite", "cosmic_ray", "dipole", "ghost", "noise")
SHARES = (0.34, 0.16, 0.14, 0.14, 0.11, 0.11)
REAL, SHORT = ("streak", "satellite", "cosmic_ray"), ("streak", "cosmic_ray")
Plane = NDArray[np.float64]
Y, X = np.mgrid[:STAMP, :STAMP].astype(float) - STAMP // 2


def line(length: float, angle: float, sigma: float, x: float = 0.0, y: float = 0.0) -> Plane:
    """A streak of total flux 1, (63, 63): the closed form of a moving Gaussian.

    Parameters
    ----------
    length, sigma : float
        Pixels.
    angle : float
        Radian, from the x axis.
    x, y : float
        Of its middle, pixels from the centre.
    """
    along = (X - x) * np.cos(angle) + (Y - y) * np.sin(angle)
    across = -(X - x) * np.sin(angle) + (Y - y) * np.cos(angle)
    ends = erf((along + length / 2) / (np.sqrt(2) * sigma)) - erf((along - length / 2) / (np.sqrt(2) * sigma))
    return np.asarray(ends / (2 * length) * np.exp(-0.5 * (across / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma))


def point(sigma: float, x: float = 0.0, y: float = 0.0) -> Plane:
    """A point source of flux 1."""
    return np.asarray(np.exp(-0.5 * ((X - x) ** 2 + (Y - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2))


def scaled(signal: Plane, snr: float) -> Plane:
    """The signal at a signal-to-noise ratio of the best filter, for white noise of 1 a pixel."""
    return np.asarray(signal * (snr / np.sqrt((signal**2).sum())))


def paint(rng: Generator, kind: str, fwhm: float) -> tuple[Plane, dict[str, float]]:
    """One object without noise, (63, 63), and the truth: length (pixel), snr, angle (deg), NaN where it has none.

    Raises
    ------
    InputError
        For a kind that there is not.
    """
    if kind not in KINDS:
        raise InputError(f"kind={kind!r} is none of {', '.join(KINDS)}.")
    sigma, angle = fwhm / SIGMA, rng.uniform(0, np.pi)
    at = rng.normal(0, 2.0, 2)
    truth = {"length": np.nan, "snr": np.nan, "angle": np.nan}
    if kind == "noise":
        return np.zeros((STAMP, STAMP)), truth
    if kind == "streak":
        length, snr = np.exp(rng.uniform(np.log(4), np.log(45))), np.exp(rng.uniform(np.log(5), np.log(60)))
        return scaled(line(length, angle, sigma, *at), snr), {"length": length, "snr": snr, "angle": np.degrees(angle)}
    if kind == "satellite":
        snr = np.exp(rng.uniform(np.log(15), np.log(300)))
        wide = np.hypot(sigma, rng.uniform(0.3, 2.0))
        signal = line(4.0 * STAMP, angle, wide, *rng.uniform(-12, 12, 2))
        if rng.uniform() < 0.3:
            signal *= 1 + 0.8 * np.sin((X * np.cos(angle) + Y * np.sin(angle)) * 2 * np.pi / rng.uniform(10, 60) + rng.uniform(0, 2 * np.pi))
        return scaled(signal, snr), {"length": 4.0 * STAMP, "snr": snr, "angle": np.degrees(angle)}
    if kind == "cosmic_ray":
        length, snr = rng.uniform(2, 18), np.exp(rng.uniform(np.log(8), np.log(120)))
        return scaled(_track(rng, length, angle, at), snr), {"length": length, "snr": snr, "angle": np.degrees(angle)}
    if kind == "dipole":
        snr, off = np.exp(rng.uniform(np.log(8), np.log(100))), rng.uniform(0.3, 2.0) * np.array([np.cos(angle), np.sin(angle)]) / 2
        return scaled(point(sigma, *(at + off)) - rng.uniform(0.8, 1.1) * point(sigma, *(at - off)), snr), {**truth, "snr": snr}
    snr, radius, wide = np.exp(rng.uniform(np.log(8), np.log(60))), rng.uniform(15, 60), rng.uniform(2, 6)
    middle = radius * np.array([np.cos(angle), np.sin(angle)]) + at  # the ring passes near the centre of the stamp
    return scaled(np.exp(-0.5 * ((np.hypot(X - middle[0], Y - middle[1]) - radius) / wide) ** 2), snr), {**truth, "snr": snr}


def _track(rng: Generator, length: float, angle: float, at: NDArray[np.float64]) -> Plane:
    """Charge left in single pixels along a track, in steps of a tenth of a pixel."""
    steps = max(2, int(10 * length))
    bend = np.cumsum(rng.normal(0, rng.choice([0.0, 0.06]), steps))
    along = np.cumsum(np.stack([np.cos(angle + bend), np.sin(angle + bend)]) * length / steps, axis=1)
    places = np.round(along - along.mean(1, keepdims=True) + at[:, None]).astype(int) + STAMP // 2
    signal = np.zeros((STAMP, STAMP))
    good = ((places >= 0) & (places < STAMP)).all(0)
    np.add.at(signal, (places[1][good], places[0][good]), rng.exponential(1.0, steps)[good])
    return signal if signal.any() else point(0.4)


def noise(rng: Generator, fwhm: float) -> Plane:
    """The background of a difference: white noise of 1 a pixel, and now and then what is left of faint stars, positive and negative."""
    made = rng.normal(0, 1.0, (STAMP, STAMP))
    for _ in range(rng.poisson(1.0)):
        x, y = rng.uniform(-30, 30, 2)
        if np.hypot(x, y) > 8:
            made += scaled(point(fwhm / SIGMA, x, y) - point(fwhm / SIGMA * rng.uniform(0.85, 1.15), x + rng.normal(0, 0.3), y), rng.uniform(0, 5))
    return made


def enlarged(image: NDArray[Any], side: int = SIDE) -> NDArray[np.float32]:
    """(..., y, x) to (..., side, side), linear between the centres of pixels."""
    places = np.clip((np.arange(side) + 0.5) * image.shape[-1] / side - 0.5, 0, image.shape[-1] - 1)
    low = np.minimum(places.astype(int), image.shape[-1] - 2)
    weights = np.zeros((side, image.shape[-1]))
    np.add.at(weights, (np.arange(side), low), 1 - (places - low))
    np.add.at(weights, (np.arange(side), low + 1), places - low)
    return np.asarray(weights @ np.asarray(image, float) @ weights.T, np.float32)


def labels(kind: str) -> dict[str, bool | None]:
    """Of the three tasks: rb, is it real (long ones and cosmic rays are); sl, of what is real, is it short; kd, is it to be kept."""
    return {"rb": kind in REAL, "sl": kind in SHORT if kind in REAL else None, "kd": kind == "streak"}


class Streaks(Simulator):
    """Base of the two surveys of one stream: the cutout and what is in it."""

    stream = "practice/streak"
    options: ClassVar[Mapping[str, float | int | str | bool]] = {"kind": ""}

    def draw(self, rng: Generator, options: Mapping[str, Any]) -> Fields:
        """An object of a kind (drawn, unless the option names one) on noise."""
        kind = options["kind"] or str(rng.choice(KINDS, p=SHARES))
        fwhm = rng.uniform(1.7, 3.6)
        signal, truth = paint(rng, kind, fwhm)
        made: dict[str, Any] = {"stamp": (signal + noise(rng, fwhm)).astype(np.float32), "kind": kind, "fwhm": fwhm, **truth}
        return {name: np.asarray(value) for name, value in made.items()}


class StreakImages(Streaks):
    """Difference cutouts, (1, 144, 144), in units of the noise of a pixel of the stamp."""

    name = "practice/streak_image"
    gives: type = Image
    bands: tuple[str, ...] = ("difference",)

    def keeps(self, fields: Fields) -> Fields:
        """The stamp alone: the truth is another survey's."""
        return {"stamp": fields["stamp"]}

    def product(self, fields: Fields, raw: Raw) -> Image:
        """Enlarged; ValueError where the stamp is none."""
        if fields["stamp"].shape != (STAMP, STAMP):
            raise ValueError(f"a stamp of {fields['stamp'].shape}, not {(STAMP, STAMP)}")
        flux = enlarged(fields["stamp"])[None]
        return Image(flux, np.isfinite(flux), self.bands, {}, SCALE * STAMP / SIDE, unit="sigma", provenance=provenance_of(self, raw))


class StreakTruth(Streaks):
    """What was drawn: kind, the labels of the three tasks, length (pixel), snr, angle (deg), fwhm (pixel)."""

    name = "practice/streak_table"
    gives: type = TableRow

    def keeps(self, fields: Fields) -> Fields:
        """Without the stamp."""
        return {name: one for name, one in fields.items() if name != "stamp"}

    def product(self, fields: Fields, raw: Raw) -> TableRow:
        """One row."""
        kind = str(fields["kind"])
        numbers = {name: float(fields[name]) for name in ("length", "snr", "angle", "fwhm")}
        return self.row({"kind": kind, **labels(kind), **numbers}, raw, UNITS, ROLES)


UNITS = {"length": "pix", "angle": "deg", "fwhm": "pix"}
ROLES = {"kind": "target", "rb": "target", "sl": "target", "kd": "target", "length": "other", "snr": "other", "angle": "other", "fwhm": "other"}
IMAGE, TABLE = StreakImages(), StreakTruth()
