"""Simulated transit candidates as TESS sees them: planets, eclipsing binaries, grazing eclipses and systematics.

What is drawn, one candidate a target:

- Stars: masses of 0.5 to 1.4 solar; radius M^0.8, effective temperature 5777 K M^0.6, luminosity R^2 (T / 5777 K)^4: rough main-sequence relations.
- Orbits are circular; a / R from the star's mean density (Seager & Mallen-Ornelas 2003, ApJ 585, 1038, equation 9), duration from their equation 3.
- Eclipses: the light of a disk with quadratic limb darkening (Mandel & Agol 2002, ApJ 580, L171) that a dark disk leaves, integrated over rings; of binaries
  the companion shines (surface brightness ratio J), is eclipsed half a period later, and the star's tides give twice the orbital frequency
  (Morris 1985, ApJ 295, 143). Twins are often found at half their period: their eclipses then alternate in depth.
- Systematics: a spot wave, a step of the pointing or scattered light at the ends of two orbits, folded at the period of their deepest dip.
- Noise: white, after the photometric precision of TESS (Ricker et al. 2015, JATIS 1, 014003, figure 8), and one sector of 27.4 days with a gap in the middle.
- Candidates have a signal-to-noise above 7, as the mission's detections (except systematics).
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from astrofuse_lab.modalities import LightCurve, Modality, TableRow
from astrofuse_lab.surveys.simulators.simulator import Fields, Simulator
from astrofuse_lab.surveys.survey import Raw, provenance_of

Numbers = NDArray[np.float64]
KINDS = {"planet": 0.3, "binary": 0.25, "grazing": 0.2, "systematics": 0.25}
"""Kinds of candidates and their shares."""
DISPOSITION = {"planet": "PC", "binary": "EB", "grazing": "V", "systematics": "J"}
"""As the labels of `tess-transits`."""
START = 58324.8
"""MJD at which the sector begins."""
SCALARS = ("Depth", "Duration", "Teff", "Radius", "logg", "Mass", "lum", "rho", "rp_rs", "DepthEven", "DepthOdd")
STELLAR = {"Teff": (5600.0, 900.0), "Radius": (1.0, 0.3), "logg": (4.45, 0.12), "Mass": (0.95, 0.26), "lum": (1.0, 1.2), "rho": (1.2, 0.5)}
"""Centre and width by which the stars' numbers are scaled; in `tess-transits` they came scaled as well."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
ORBIT = 4.2083
"""Size of an orbit of one day about a star of the Sun's mean density, in radii of the star."""
EARTH = 0.009168
"""Radius of the Earth in solar radii."""


def occulted(z: Numbers, k: float, u: tuple[float, float] = (0.0, 0.0)) -> Numbers:
    """Share of a star's light that a dark disk hides.

    Parameters
    ----------
    z : array
        Distance of the centres, in radii of the star.
    k : float
        Radius of the disk, in radii of the star.
    u : tuple of float
        Quadratic limb darkening (Mandel & Agol 2002, equation 7); (0, 0) is a uniform disk.

    Returns
    -------
    array
        0 to 1. A ring of radius r is hidden over arccos((r^2 + z^2 - k^2) / (2 r z)) of its half circle; rings are integrated by Gauss and Legendre.
    """
    z = np.abs(np.asarray(z, dtype=np.float64))
    out = np.zeros_like(z)
    near = z < 1 + k
    if not near.any():
        return out
    d = z[near][:, None]
    low, high = np.abs(d - k), np.minimum(1.0, d + k)
    low = np.minimum(low, high)
    # a substitution that is flat at both ends, where the hidden arc has square roots
    angle = (NODES + 1) * (np.pi / 2)
    r = low + (high - low) * (1 - np.cos(angle)) / 2
    step = (high - low) * np.sin(angle) / 2 * (np.pi / 2) * WEIGHTS
    with np.errstate(divide="ignore", invalid="ignore"):
        arc = np.arccos(np.clip((r**2 + d**2 - k**2) / np.maximum(2 * r * d, 1e-300), -1.0, 1.0)) / np.pi
    hidden = (brightness(r, u) * 2 * r * arc * step).sum(axis=1)
    inner = np.clip(k - d[:, 0], 0.0, 1.0)  # rings that lie wholly behind the disk
    out[near] = (hidden + _within(inner, u)) / _within(np.ones(1), u)
    return out


def brightness(r: Numbers, u: tuple[float, float]) -> Numbers:
    """Surface brightness at a radius, over that of the centre."""
    mu = np.sqrt(np.clip(1 - r**2, 0.0, 1.0))
    return 1 - u[0] * (1 - mu) - u[1] * (1 - mu) ** 2


def _within(r: Numbers, u: tuple[float, float]) -> Numbers:
    """Light within a radius: the integral of 2 r I(r)."""
    nodes = (NODES + 1) * (np.pi / 2)
    x = r[:, None] * (1 - np.cos(nodes)) / 2
    return np.asarray((brightness(x, u) * 2 * x * r[:, None] * np.sin(nodes) / 2 * (np.pi / 2) * WEIGHTS).sum(axis=1))


def separation(phase: Numbers, a: float, b: float) -> tuple[Numbers, NDArray[np.bool_]]:
    """Distance of the centres in radii of the star, for a circular orbit of size `a` and impact parameter `b`, and whether the companion is in front."""
    angle = 2 * np.pi * phase
    return np.sqrt((a * np.sin(angle)) ** 2 + (b * np.cos(angle)) ** 2), np.cos(angle) > 0


def duration_of(period: float, a: float, b: float, k: float) -> float:
    """First to last contact, in the period's unit (Seager & Mallen-Ornelas 2003, equation 3); 0 where they never touch."""
    chord = (1 + k) ** 2 - b**2
    return float(period / np.pi * np.arcsin(min(1.0, np.sqrt(chord / max(a**2 - b**2, 1e-9))))) if chord > 0 else 0.0


def noise_of(magnitude: float, minutes: float) -> float:
    """Relative error of one exposure."""
    hour = 1e-6 * np.sqrt(60.0**2 + (200.0 * 10 ** (0.2 * (magnitude - 10))) ** 2 + (80.0 * 10 ** (0.4 * (magnitude - 10))) ** 2)
    return float(hour * np.sqrt(60.0 / minutes))


def _star(rng: Generator) -> dict[str, float]:
    mass = rng.uniform(0.5, 1.4)
    radius, teff = mass**0.8, 5777 * mass**0.6
    return {
        "Teff": teff, "Radius": radius, "logg": 4.438 + np.log10(mass / radius**2), "Mass": mass, "lum": radius**2 * (teff / 5777) ** 4, "rho": mass / radius**3,
    }  # fmt: skip


def _eclipses(rng: Generator, kind: str, star: Mapping[str, float], phase_of: Any) -> tuple[Numbers, float, float, float]:
    """Relative flux of a planet, binary or grazing system, its folding period and duration (days), and the ratio of radii."""
    period = float(np.exp(rng.uniform(np.log(0.6), np.log(13.0))))
    u = (0.45 - 0.1 * (star["Teff"] - 5777) / 1000, 0.2)
    bright = q = 0.0
    if kind == "planet":
        k = float(np.exp(rng.uniform(np.log(1.5), np.log(16.0)))) * EARTH / star["Radius"]
        b = rng.uniform(0.0, 0.85)
    elif kind == "binary":
        k, b = rng.uniform(0.3, 1.0), rng.uniform(0.0, 0.7)
        q, bright = k**1.25, float(np.clip(k**3 * rng.uniform(0.3, 1.2), 0.0, 1.0))
    else:
        k = rng.uniform(0.15, 0.9)
        b, q, bright = rng.uniform(1 - 0.5 * k, 1 + 0.8 * k), k**1.25, rng.uniform(0.0, 0.15)
    a = max(ORBIT * period ** (2 / 3) * star["rho"] ** (1 / 3) * (1 + q) ** (1 / 3), 1.15 * (1 + k))
    phase = phase_of(period)
    z, front = separation(phase, a, b)
    second = bright * k**2
    flux = 1 - np.where(front, occulted(z, k, u), 0.0)
    # behind: the companion, a uniform disk of radius k, is covered by the star
    covered = np.where(front, 0.0, occulted(z / k, 1 / k)) if second else 0.0
    flux = (flux + second * (1 - covered)) / (1 + second)
    flux -= 1.3 * q * a**-3 * np.cos(4 * np.pi * phase)
    half = kind == "binary" and bright > 0.5 and rng.uniform() < 0.5
    return flux, period / 2 if half else period, duration_of(period, a, b, k), k


def _systematics(rng: Generator, time: Numbers) -> tuple[Numbers, float, float]:
    """Relative flux of what is no eclipse, and the period and duration it was folded at."""
    size, form = 10 ** rng.uniform(-3.3, -1.7), rng.integers(3)
    period = float(np.exp(rng.uniform(np.log(0.6), np.log(13.0))))
    day = time - time[0]
    if form == 0:
        wave = np.sin(2 * np.pi * day / period + rng.uniform(0, 6.3)) + rng.uniform(0, 0.8) * np.sin(4 * np.pi * day / period)
        flux = 1 + 0.5 * size * wave
    elif form == 1:
        flux = 1 - size * ((day > rng.uniform(3, 22)) & (day % rng.uniform(4, 14) < rng.uniform(0.1, 0.6)))
    else:
        flux = 1 + size * (np.exp(-(day % 13.7) / rng.uniform(0.1, 0.8)) - rng.uniform(0.2, 1.0) * np.exp(-(13.7 - day % 13.7) / rng.uniform(0.1, 0.8)))
    return flux, period, float(rng.uniform(0.05, 0.12) * period)


class Transits(Simulator):
    """What the surveys of one candidate share.

    Options: ``minutes``, length of an exposure; ``noise``, factor on the errors; ``seed``.
    """

    stream = "transits"
    options: ClassVar[Mapping[str, float | int | str | bool]] = {"minutes": 10.0, "noise": 1.0}
    bands: tuple[str, ...] = ("TESS",)

    def draw(self, rng: Generator, options: Mapping[str, Any]) -> Fields:
        """Light curve, scalars and truth."""
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        magnitude, star = rng.uniform(7.5, 13.5), _star(rng)
        day = np.arange(0.0, 27.4, options["minutes"] / 1440)
        day = day[(day < 13.0) | (day > 14.2)]
        error = noise_of(magnitude, options["minutes"]) * options["noise"]
        for _ in range(40):
            start = rng.uniform(0.0, 1.0)
            if kind == "systematics":
                flux, period, length = _systematics(rng, day)
                k = 0.0
            else:
                fine = day[:, None] + np.array([-1, 0, 1]) / 3 * options["minutes"] / 1440  # an exposure is the mean of its thirds
                many, period, length, k = _eclipses(rng, kind, star, lambda p, fine=fine, start=start: (fine.ravel() / p - start + 0.5) % 1 - 0.5)
                flux = many.reshape(fine.shape).mean(axis=1)
                flux = flux / np.median(flux)
            depth = 1 - flux.min()
            if kind == "systematics" or depth / error * np.sqrt(max(length / period, 0.0) * len(day)) > 7:
                break
        noisy = flux + error * rng.standard_normal(len(day))
        epoch = _deepest(day, noisy, period)
        scalars = {**_depths(day, noisy, period, epoch, length), "Duration": 24 * length, **{n: (v - STELLAR[n][0]) / STELLAR[n][1] for n, v in star.items()}}
        scalars["rp_rs"] = np.sqrt(max(1 - scalars["Depth"], 0.0))
        level = 10 ** ((23.9 - magnitude) / 2.5)
        return {
            "time": START + day, "flux": level * noisy, "flux_err": np.full(len(day), level * error), "kind": np.array(kind), "scalars": np.array([scalars[n] for n in SCALARS]),
            "other": np.array([period, START + epoch, length, magnitude, k]),
        }  # fmt: skip


def _deepest(day: Numbers, flux: Numbers, period: float) -> float:
    """When the folded curve is lowest: the middle of the deepest of its bins."""
    bins = int(np.clip(len(day) // 12, 20, 100))
    place = ((day / period) % 1 * bins).astype(int)
    total, count = np.bincount(place, flux, bins), np.bincount(place, minlength=bins)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    around = np.convolve(np.r_[mean[-1], mean, mean[0]], [1, 2, 1], mode="valid") if np.isfinite(mean).all() else mean
    return float((np.argmin(around) + 0.5) / bins * period)


def _depths(day: Numbers, flux: Numbers, period: float, epoch: float, length: float) -> dict[str, float]:
    """Flux in the middle half of all, the even and the odd transits; 1 where none was seen."""
    cycle = np.round((day - epoch) / period)
    inside = np.abs(day - epoch - cycle * period) < max(length / 4, 0.011)
    found = {}
    for name, some in (("Depth", inside), ("DepthEven", inside & (cycle % 2 == 0)), ("DepthOdd", inside & (cycle % 2 == 1))):
        found[name] = float(np.median(flux[some])) if some.any() else 1.0
    return found


class TransitCurves(Transits):
    """The light curve."""

    name = "practice/transit_light_curve"
    gives: type = LightCurve

    def keeps(self, fields: Fields) -> Fields:
        """The epochs."""
        return {name: fields[name] for name in ("time", "flux", "flux_err")}

    def product(self, fields: Fields, raw: Raw) -> Modality:
        """All epochs are good; magnitudes of TESS are taken for AB."""
        many = len(fields["time"])
        return LightCurve(
            fields["time"], fields["flux"], fields["flux_err"], np.full(many, "TESS"), np.ones(many, bool), clock="BJD_TDB", provenance=provenance_of(self, raw)
        )  # fmt: skip


class TransitTable(Transits):
    """Scalars of the candidate and its star, how it folds, and what it is."""

    name = "practice/transit_table"
    gives: type = TableRow

    def keeps(self, fields: Fields) -> Fields:
        """Without the epochs."""
        return {name: fields[name] for name in ("kind", "scalars", "other")}

    def product(self, fields: Fields, raw: Raw) -> Modality:
        """Columns as of `tess-transits`, the stars' numbers scaled likewise; `length` is the duration in days."""
        kind = str(fields["kind"])
        values: dict[str, Any] = {"is_planet": kind == "planet", "disposition": DISPOSITION[kind], "kind": kind}
        values |= dict(zip(SCALARS, fields["scalars"], strict=True)) | dict(zip(("Period", "T0", "length", "TMag", "k"), fields["other"], strict=True))
        roles = {"is_planet": "target", "disposition": "target", "kind": "target", **dict.fromkeys(SCALARS, "input"), **dict.fromkeys(("Period", "T0", "length", "TMag", "k"), "other")}
        return self.row(values, raw, {"Period": "d", "T0": "d", "length": "d", "TMag": "mag", "Duration": "h"}, roles)


CURVE, TABLE = TransitCurves(), TransitTable()
