"""How objects shine with time: one function a behaviour, all deterministic for a given object."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.surveys.practice.sed import Sed, band_fluxes, microjansky
from astrofuse_lab.surveys.practice.sources import Component, Source, random

Floats = NDArray[np.float64]

TINT: dict[str, Mapping[str, float]] = {
    "pulsator": {"g": 1.3, "r": 1.0, "i": 0.8, "z": 0.7}, "damped_walk": {"g": 1.2, "r": 1.0, "i": 0.9, "z": 0.8},
    "long_period": {"g": 1.25, "r": 1.0, "i": 0.8, "z": 0.6}, "flare": {"g": 1.4, "r": 1.0, "i": 0.7, "z": 0.5},
    "outburst": {"g": 1.1, "r": 1.0, "i": 0.9, "z": 0.9},
}  # fmt: skip
"""Amplitude in each band relative to r."""

# r-band decline after maximum: days, magnitudes (shapes as in Hsiao et al. 2007, arXiv:astro-ph/0703529, and Anderson et al. 2014, arXiv:1403.7091)
_DECLINE_IA = ((0, 5, 10, 15, 20, 25, 30, 40, 60, 100, 400), (0, 0.07, 0.3, 0.6, 0.75, 0.9, 1.2, 1.75, 2.5, 3.7, 12.0))
_DECLINE_II = ((0.0, 0.25, 1.0, 1.2, 5.0), (0.0, 0.15, 0.4, 1.9, 5.0))  # in units of the plateau's length


def constant(source: Source, time: Floats) -> Floats:
    """No change."""
    return np.zeros_like(time)


def pulsator(source: Source, time: Floats) -> Floats:
    """RR Lyrae and Cepheids: a fast rise over 15 % of the period, a slow fall."""
    x = (time / source.numbers["period"] + source.numbers["phase"]) % 1.0
    saw = np.where(x < 0.15, 1 - 2 * x / 0.15, -1 + 2 * (x - 0.15) / 0.85)
    return 0.5 * source.numbers["amplitude"] * np.sin(0.5 * np.pi * saw)


def eclipsing(source: Source, time: Floats) -> Floats:
    """A binary: two eclipses a period on a slightly rounded (ellipsoidal) light curve."""
    x = (time / source.numbers["period"] + source.numbers["phase"]) % 1.0
    primary = np.exp(-0.5 * ((np.minimum(x, 1 - x)) / 0.055) ** 2)
    secondary = source.numbers["second"] * np.exp(-0.5 * ((x - 0.5) / 0.055) ** 2)
    return source.numbers["amplitude"] * (primary + secondary + 0.22 * np.cos(4 * np.pi * x))


def long_period(source: Source, time: Floats) -> Floats:
    """Red giants: two slow waves of incommensurate periods."""
    x = 2 * np.pi * (time / source.numbers["period"] + source.numbers["phase"])
    return source.numbers["amplitude"] * (0.38 * np.sin(x) + 0.16 * np.sin(x / 2.7 + 1.0))


def damped_walk(source: Source, time: Floats) -> Floats:
    """A damped random walk (Kelly et al. 2009, arXiv:0903.5315), stepped exactly between the given times (ascending)."""
    steps = random(source.seed, source.number, 1).normal(size=len(time))
    keep = np.exp(-np.diff(time, prepend=time[:1]) / source.numbers["tau"])
    out, value = np.zeros_like(time), float(steps[0]) if len(time) else 0.0
    for i in range(len(time)):
        value = value * keep[i] + np.sqrt(1 - keep[i] ** 2) * steps[i]
        out[i] = value
    return source.numbers["amplitude"] * out


def burst(source: Source, time: Floats) -> Floats:
    """Rise from and return to the same level: dwarf novae in days, flares in hours."""
    since = time - source.numbers["peak"]
    light = np.exp(-np.abs(since) / np.where(since < 0, source.numbers["rise"], source.numbers["fall"]))
    return -2.5 * np.log10(1 + light * (10 ** (0.4 * source.numbers["amplitude"]) - 1))


def _dark_before(since: Floats, rise: float, power: float, decline: Floats) -> Floats:
    fraction = np.clip((since + rise) / rise, 0, 1) ** power
    with np.errstate(divide="ignore"):
        return np.where(since < 0, -2.5 * np.log10(fraction), decline)


def supernova_ia(source: Source, time: Floats) -> Floats:
    """A type Ia supernova in r: quadratic rise over 17 days, decline with a shoulder; infinitely faint before."""
    since = (time - source.numbers["peak"]) / source.numbers["stretch"] / (1 + (source.redshift or 0.0))
    return _dark_before(since, 17.0, 2.0, np.interp(since, *_DECLINE_IA))


def supernova_ii(source: Source, time: Floats) -> Floats:
    """A type II supernova in r: fast rise, plateau, fall."""
    since = (time - source.numbers["peak"]) / (1 + (source.redshift or 0.0))
    return _dark_before(since, 8.0, 0.8, np.interp(since / source.numbers["plateau"], *_DECLINE_II))


def passing(source: Source, time: Floats) -> Floats:
    """An asteroid: at this place for one night only, turning with its period."""
    turn = 0.5 * source.numbers["amplitude"] * np.sin(4 * np.pi * (time / source.numbers["period"] + source.numbers["phase"]))
    return np.where(np.abs(time - source.numbers["peak"]) < 0.4, turn, np.inf)


BEHAVIOURS: dict[str, Callable[[Source, Floats], Floats]] = {
    "constant": constant, "pulsator": pulsator, "eclipsing": eclipsing, "long_period": long_period, "damped_walk": damped_walk,
    "outburst": burst, "flare": burst, "supernova_ia": supernova_ia, "supernova_ii": supernova_ii, "passing": passing,
}  # fmt: skip
"""Magnitudes by which the varying component differs from its `mag` in r; positive is fainter."""


def sed_at(component: Component, source: Source, time: float) -> Sed:
    """The component's template at a time: a supernova's photosphere cools."""
    if "phase" not in component.sed.numbers:
        return component.sed
    return component.sed.but(phase=float(np.clip((time - source.numbers["peak"]) / (1 + component.sed.redshift), -15, 120)))


def _band_ratio(component: Component, source: Source, time: Floats, band: str) -> Floats:
    """Flux in a band over that in r, with time."""
    sed = component.sed
    if "phase" not in sed.numbers:
        return np.full_like(time, band_fluxes(sed)[band])
    grid = np.array([-15, -8, -3, 2, 7, 14, 22, 32, 50, 80, 120])
    ratio = [band_fluxes(sed.but(phase=float(p)))[band] for p in grid]
    return np.interp((time - source.numbers["peak"]) / (1 + sed.redshift), grid, ratio)


def fluxes(source: Source, component: Component, time: Floats, band: Sequence[str]) -> Floats:
    """Flux of one component in microjansky.

    Parameters
    ----------
    source : Source
    component : Component
        One of its components.
    time : array, (epoch,)
        MJD, ascending.
    band : sequence of str, (epoch,)
        Filter of each epoch.

    Returns
    -------
    array, (epoch,)
    """
    change = BEHAVIOURS[source.behaviour](source, time) if component.varies else np.zeros_like(time)
    tint = TINT.get(source.behaviour, {}) if component.varies else {}
    out = np.zeros_like(time)
    for name in dict.fromkeys(band):
        here = np.array([b == name for b in band])
        out[here] = microjansky(component.mag) * _band_ratio(component, source, time[here], name) * 10 ** (-0.4 * change[here] * tint.get(name, 1.0))
    return out


def moment(source: Source, kind: str) -> float:
    """When an image (``image_time``) or a spectrum (``spectrum_time``) is taken, MJD.

    Asteroids are followed: all instruments but the light-curve survey point at them in their night.
    """
    if source.behaviour == "passing":
        return source.numbers["peak"]
    return float(source.numbers.get(kind, source.numbers.get("quiet", 59_300.0)))
