"""Simulated fast radio bursts as CHIME would see them: power against frequency (400 to 800 MHz) and time (250 ms), in six archetypes.

What is drawn, one burst a target; ranges are those of Frabjous' public parameter files (Kumar et al. 2025, arXiv:2507.14854; ajay2609/frabjous @ 2e35c44):

- A pulse is a Gaussian in time, delayed as nu^-2 by what dispersion is left (4.1488 ms per pc / cm3 at 1 GHz) and smeared within a channel, and convolved with an
  exponential whose time goes as nu^-4.4 (the "scattering measure" is that time in ms at 1 GHz, as in K. Smith's simpulse); each bin holds the integral over it,
  in closed form.
- Widths: a fifth uniform over the type's range, the rest log-normal (0.9311, 1.1 ms), the distribution of CHIME/FRB Catalog 1.
- I: broadband, nu^index, index -3 to 3. II: a Gaussian envelope, centre 425 to 775 MHz, width 95 to 395. III: 410 to 790, width 20 to 48.
  IV: two or three components 5 to 25 ms apart with one spectrum, (nu / 400.2 MHz)^(index + running ln(nu / 400.2 MHz)). V: two to five components 3 to 10 ms apart
  whose envelopes drift down by 1 to 20 MHz per ms. VI: broadband, seen through a side lobe: sinc^2 of pi (80 m / wavelength) sin(theta), theta 2 to 40 degrees.
- An envelope's standard deviation is half its "width", as the public code has it (its text says full width at half maximum).
- Spectra of IV are drawn from log-normals of peak and width fitted by eye to the 92 % of Catalog 1 that are peaked (median 480 MHz and 0.19 in ln nu), where Frabjous draws rows of the catalogue.
- Noise: white, so that the band-summed pulse has the asked signal-to-noise over the bins that hold its middle 90 %; 15, 25, 35, 50, 100 or 1000.
- Interference, where asked for: a share of channels is flagged and filled with noise about the mean of the good channels beside them.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Image, Modality, TableRow
from astrofuse_lab.surveys.simulators.simulator import Fields, Simulator
from astrofuse_lab.surveys.survey import Raw, provenance_of

Numbers = NDArray[np.float64]
TYPES = ("I", "II", "III", "IV", "V", "VI")
LOW, HIGH, SPAN = 400.0, 800.0, 0.25
"""Band (MHz) and length (s) of a dynamic spectrum."""
ARRIVAL = 0.1
"""When the first component arrives at infinite frequency, s from the begin."""
DISPERSION = 4.148806e-3
"""Delay at 1 GHz, s per pc / cm3."""
SCATTERING = -4.4
SIGNALS = (15.0, 25.0, 35.0, 50.0, 100.0, 1000.0)
RESIDUAL_DM = {"I": 0.1, "II": 0.3, "III": 0.2, "IV": 0.3, "V": 0.3, "VI": 1.0}
MOST_SCATTERING = {"V": 1.0, "VI": 3.5}
WIDTHS = {"I": (0.005, 0.025), "II": (0.005, 0.03), "III": (0.005, 0.02), "IV": (0.005, 0.025), "V": (0.0001, 0.01), "VI": (0.001, 0.03)}
ENVELOPES = {"II": ((425.0, 775.0), (95.0, 395.0)), "III": ((410.0, 790.0), (20.0, 48.0)), "V": ((425.0, 775.0), (100.0, 200.0))}
PIVOT = 400.2
"""MHz, of spectral running in the catalogue."""
BASELINE = 80.0
"""m, CHIME's largest, of the side lobes."""


def pulse(channels: int, bins: int, width: float, arrival: float, dm: float = 0.0, scattering: float = 0.0) -> Numbers:
    """A dispersed and scattered pulse of unit fluence in each channel.

    Parameters
    ----------
    channels, bins : int
        Of `LOW` to `HIGH`, and of `SPAN`.
    width : float
        Standard deviation of the Gaussian, s.
    arrival : float
        At infinite frequency, s.
    dm : float
        pc / cm3.
    scattering : float
        ms at 1 GHz.

    Returns
    -------
    array, (channel, bin)
        Mean over each bin, per s. Channels ascend in frequency.
    """
    nu = frequencies(channels)
    ghz = nu / 1000
    step = (HIGH - LOW) / channels / 1000
    smear = 2 * DISPERSION * dm * step * ghz**-3  # from one edge of the channel to the other
    sigma = np.sqrt(width**2 + smear**2 / 12)[:, None]
    edges = np.linspace(0, SPAN, bins + 1)
    x = edges - (arrival + DISPERSION * dm * ghz**-2)[:, None]
    whole = ndtr(x / sigma)
    tau = (scattering * 1e-3 * ghz**SCATTERING)[:, None]
    if scattering > 0:
        # the exponential's part, by logarithms: the exponent alone overflows where tau is short
        whole = whole - np.exp(np.minimum(sigma**2 / (2 * tau**2) - x / tau + log_ndtr(x / sigma - sigma / tau), 0.0))
    return np.asarray(np.diff(whole, axis=1) * bins / SPAN)


def frequencies(channels: int) -> Numbers:
    """Middles of the channels, MHz, ascending."""
    return np.asarray(LOW + (np.arange(channels) + 0.5) / channels * (HIGH - LOW))


def envelope(channels: int, centre: float, width: float) -> Numbers:
    """A Gaussian in frequency of standard deviation width / 2."""
    return np.asarray(np.exp(-((frequencies(channels) - centre) ** 2) / (2 * (width / 2) ** 2)))


def power_law(channels: int, index: float, running: float = 0.0) -> Numbers:
    """(nu / pivot)^(index + running ln(nu / pivot))."""
    ratio = np.log(frequencies(channels) / PIVOT)
    return np.asarray(np.exp(np.clip(index * ratio + running * ratio**2, -80, 80)))


def side_lobe(channels: int, theta: float) -> Numbers:
    """Power of a uniform aperture of `BASELINE` at an angle (degrees): Fraunhofer's sinc squared."""
    return np.asarray(np.sinc(BASELINE * frequencies(channels) / 299.792458 * np.sin(np.deg2rad(theta))) ** 2)


def noise_level(burst: Numbers, signal: float) -> float:
    """Standard deviation of a pixel's noise for a signal-to-noise of the band-summed pulse, over the bins of its middle 90 %."""
    together = np.cumsum(burst.sum(axis=0))
    wide = int(np.searchsorted(together, 0.95 * together[-1]) - np.searchsorted(together, 0.05 * together[-1])) + 1
    return float(together[-1] / (signal * np.sqrt(len(burst) * wide)))


def _width(rng: Generator, kind: str, most: float = np.inf) -> float:
    for _ in range(50):
        made = rng.uniform(*WIDTHS[kind]) if kind != "V" and rng.uniform() < 0.2 else max(rng.lognormal(np.log(1.1e-3), 0.9311), 1e-4)
        if made < min(most, 0.01 if kind == "V" else np.inf):
            return float(made)
    return 1e-4


def _spectrum(rng: Generator, channels: int) -> Numbers:
    """Of a burst of type IV."""
    if rng.uniform() < 0.085:
        return power_law(channels, rng.normal(-2.4, 2.0), rng.uniform(0.0, 3.0))
    running = -1 / (2 * rng.lognormal(np.log(0.19), 0.6) ** 2)
    peak = PIVOT * np.exp(np.clip(rng.normal(np.log(480 / PIVOT), 0.2), -0.2, 0.75))
    return power_law(channels, -2 * running * np.log(peak / PIVOT), running)


def components(rng: Generator, kind: str, channels: int) -> list[tuple[float, float, float, Numbers]]:
    """The pulses of one burst: seconds after the first, width (s), fluence, spectrum."""
    fluence = rng.uniform(5.0, 10.0 if kind == "III" else 50.0)
    if kind in ("I", "VI"):
        spectrum = power_law(channels, rng.uniform(-3.0, 3.0))
        return [(0.0, _width(rng, kind), fluence, spectrum * side_lobe(channels, rng.uniform(2.0, 40.0)) if kind == "VI" else spectrum)]
    if kind in ("II", "III"):
        return [(0.0, _width(rng, kind), fluence, envelope(channels, *(rng.uniform(*span) for span in ENVELOPES[kind])))]
    many = int(rng.integers(2, 4) if kind == "IV" else rng.integers(2, 6))
    apart = rng.uniform(*((0.005, 0.025) if kind == "IV" else (0.003, 0.01)), many - 1)
    late = np.concatenate([[0.0], np.cumsum(apart)])
    ratio = np.concatenate([[1.0], rng.uniform(*((0.2, 1.5) if kind == "IV" else (0.5, 1.0)), many - 1)])
    widths = [_width(rng, kind, 0.5 * (apart[max(i - 1, 0)])) for i in range(many)]
    if kind == "IV":
        one = _spectrum(rng, channels)
        return [(float(t), w, fluence * r, one) for t, w, r in zip(late, widths, ratio, strict=True)]
    first, drift = rng.uniform(*ENVELOPES["V"][0]), -rng.uniform(1.0, 20.0) * 1000
    return [(float(t), w, fluence * r, envelope(channels, first + drift * t, rng.uniform(*ENVELOPES["V"][1]))) for t, w, r in zip(late, widths, ratio, strict=True)]


class Bursts(Simulator):
    """What the surveys of one burst share.

    Options: ``side``, channels and bins (256, as published); ``signal``, signal-to-noise (0: one of `SIGNALS`); ``interference``, share of flagged channels;
    ``types``, how many of `TYPES` are drawn, in their order (5: without side lobes, which are never a class); ``seed``.
    """

    stream = "bursts"
    options: ClassVar[Mapping[str, float | int | str | bool]] = {"side": 256, "signal": 0.0, "interference": 0.0, "types": 6}
    bands: tuple[str, ...] = ("400-800 MHz",)

    def draw(self, rng: Generator, options: Mapping[str, Any]) -> Fields:
        """Dynamic spectrum and truth."""
        side, types = int(options["side"]), int(options["types"])
        if not 16 <= side <= 1024 or not 1 <= types <= len(TYPES) or not 0 <= options["interference"] < 0.9 or options["signal"] < 0:
            raise InputError(
                f"side={options['side']}, types={options['types']}, interference={options['interference']}, signal={options['signal']}: 16 to 1024, 1 to {len(TYPES)}, 0 to 0.9, 0 or more."
            )
        kind = TYPES[int(rng.integers(types))]
        dm, scattering = rng.uniform(0.0, RESIDUAL_DM[kind]), rng.uniform(0.0, MOST_SCATTERING.get(kind, 2.0))
        parts = components(rng, kind, side)
        burst = np.zeros((side, side))
        for late, width, fluence, spectrum in parts:
            burst += fluence * (spectrum / spectrum.mean())[:, None] * pulse(side, side, width, ARRIVAL + late, dm, scattering)
        signal = float(options["signal"]) or float(rng.choice(SIGNALS))
        level = noise_level(burst, signal)
        seen = burst + level * rng.standard_normal(burst.shape)
        flagged = rng.uniform(size=side) < options["interference"]
        truth = [dm, scattering, signal, len(parts), parts[0][1] * 1e3, parts[0][2], float(flagged.mean())]
        return {"power": _filled(seen, flagged, level, rng).astype(np.float32), "kind": np.array(kind), "truth": np.array(truth, dtype=np.float64)}


def _filled(seen: Numbers, flagged: NDArray[np.bool_], level: float, rng: Generator) -> Numbers:
    """Flagged channels as noise about the mean of the nearest good ones either side."""
    good = np.flatnonzero(~flagged)
    if not flagged.any() or not len(good):
        return seen
    lost = np.flatnonzero(flagged)
    place = np.searchsorted(good, lost)
    below, above = good[np.maximum(place - 1, 0)], good[np.minimum(place, len(good) - 1)]
    made = seen.copy()
    made[lost] = 0.5 * (seen[below] + seen[above]) + np.sqrt(0.5) * level * rng.standard_normal((len(lost), seen.shape[1]))
    return made


class BurstPictures(Bursts):
    """The dynamic spectrum: rows are channels from 400 MHz up, columns are time."""

    name = "practice/dynamic_spectrum"
    gives: type = Image

    def keeps(self, fields: Fields) -> Fields:
        """The picture."""
        return {"power": fields["power"]}

    def product(self, fields: Fields, raw: Raw) -> Modality:
        """As an image without place on the sky."""
        power = fields["power"][None]
        return Image(power, np.ones(power.shape, bool), self.bands, {}, 0.0, unit="Jy ms / s (simulated)", provenance=provenance_of(self, raw))


class BurstTable(Bursts):
    """What the burst is, and how it was made."""

    name = "practice/burst_table"
    gives: type = TableRow

    def keeps(self, fields: Fields) -> Fields:
        """Without the picture."""
        return {name: fields[name] for name in ("kind", "truth")}

    def product(self, fields: Fields, raw: Raw) -> Modality:
        """`archetype` is the target; the numbers that made the burst are no inputs."""
        names = ("dm_left", "scattering", "signal_to_noise", "components", "width", "fluence", "flagged")
        values: dict[str, Any] = {"archetype": str(fields["kind"]), **dict(zip(names, fields["truth"], strict=True))}
        units = {"dm_left": "pc cm-3", "scattering": "ms", "width": "ms", "fluence": "Jy ms"}
        return self.row(values, raw, units, {"archetype": "target", **dict.fromkeys(names, "other")})


PICTURE, TABLE = BurstPictures(), BurstTable()
