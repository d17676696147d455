"""Lock losses of a gravitational-wave detector, simulated: 22 auxiliary channels up to the moment when the interferometer falls out of resonance.

Biswas et al. 2019 (arXiv:1910.12143) tell lock losses of LIGO's second run from quiet stretches by 22 auxiliary control channels, of which SRCL,
MICH and REFL suffice. Neither channels nor code are public. Here, each channel is a Gaussian process of three parts in units of its quiet
root mean square: white sensing noise; slow drift, white below 0.02 Hz and falling as 1/f beyond, as of alignment and temperature; and the
microseism, 0.1 to 0.3 Hz (Peterson 1993, USGS open-file report 93-322), one ground motion that enters all channels with couplings of their own.
Bursts that ring and decay come at random in any channel, in quiet stretches as before lock losses. Gains differ from stretch to stretch.

A lock loss adds an instability to the three channels alone: from about 40 s before, an oscillation of one frequency, 0.4 to 4 Hz, as of an
unstable loop or a torque of radiation pressure (Sidles & Sigg 2006, Phys. Lett. A 354, 167), growing exponentially, and a ramp. Some, `sudden`,
come without a sign. How fast it grows is our own choice, so that accuracies here tell of this simulation and not of LIGO.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from astrofuse_lab.modalities import Modality, Series, TableRow
from astrofuse_lab.surveys.simulators.simulator import Fields, Simulator
from astrofuse_lab.surveys.survey import Raw, provenance_of

RATE = 16
"""Samples a second."""
SECONDS = 120
"""Of a stretch; it ends with the lock loss, or anywhere."""
TELLING = ("SRCL", "MICH", "REFL")
CHANNELS = (
    "DARM", "CARM", "MICH", "PRCL", "SRCL", "REFL", "POP", "ASAIR", "TRX", "TRY", "IMC_L", "IMC_TRANS",
    "CHARD_P", "CHARD_Y", "DHARD_P", "DHARD_Y", "CSOFT_P", "DSOFT_P", "PRC2_P", "SRC1_P", "SRC1_Y", "MICH_P",
)  # fmt: skip
"""Lengths, powers and alignment (P pitch, Y yaw), 22 in all; which the paper took no source at hand says, the three aside."""
ONSET, ONSET_SPREAD = 40.0, 4.0
GROWTH = (8.0, 25.0)
"""e-folding time, s."""
FIRST = (1.0, 0.5)
"""Amplitude at the onset, in units of the channel's quiet rms: median, and scatter of its logarithm."""
RAMP = 1.5
"""Rms of the drift that the instability brings until the end."""
LOSS, QUIET = "lock loss", "quiet"


class LockLosses(Simulator):
    """Monitor channels of one stretch; option ``share``: of stretches that end with a lock loss; ``sudden``: of those without a sign of it."""

    name = "practice/lock_loss"
    gives: type = Series
    stream = "lock loss"
    options: ClassVar[Mapping[str, float | int | str | bool]] = {"share": 0.5, "sudden": 0.02}

    def draw(self, rng: Generator, options: Mapping[str, Any]) -> Fields:
        """Values (channel, sample) and what was drawn for them."""
        lost = bool(rng.random() < options["share"])
        sudden = bool(rng.random() < options["sudden"])
        time = np.arange(-SECONDS * RATE, 0) / RATE
        values = quiet(rng, len(time))
        bursts(rng, values, time)
        onset = -max(float(rng.normal(ONSET, ONSET_SPREAD)), 5.0)
        frequency, growth = float(rng.uniform(0.4, 4.0)), float(rng.uniform(*GROWTH))
        added = unstable(rng, time, onset, frequency, growth)
        if lost and not sudden:
            values[[CHANNELS.index(name) for name in TELLING]] += added
        values *= np.exp(rng.normal(0, 0.2, len(values)))[:, None]
        return {
            "values": values.astype(np.float32), "lost": np.array(lost), "sudden": np.array(lost and sudden), "onset": np.array(onset if lost else np.nan),
            "frequency": np.array(frequency if lost else np.nan), "growth": np.array(growth if lost else np.nan),
        }  # fmt: skip

    def keeps(self, fields: Fields) -> Fields:
        """The channels."""
        return {"values": fields["values"]}

    def product(self, fields: Fields, raw: Raw) -> Modality:
        """All channels on the axis of seconds before the end."""
        values = np.asarray(fields["values"], dtype=np.float64)
        if values.shape != (len(CHANNELS), SECONDS * RATE):
            raise ValueError(f"channels of the shape {values.shape}")
        axis = np.arange(-SECONDS * RATE, 0) / RATE
        return Series(axis, values, np.isfinite(values), CHANNELS, "time before the end", "s", "quiet rms", provenance_of(self, raw))


class LockLossRows(LockLosses):
    """The truth of the same stretches."""

    name = "practice/lock_loss_table"
    gives = TableRow

    def keeps(self, fields: Fields) -> Fields:
        """All but the channels."""
        return {name: value for name, value in fields.items() if name != "values"}

    def product(self, fields: Fields, raw: Raw) -> Modality:
        """``label`` is the target; all other columns tell of it and are no inputs."""
        values = {"label": LOSS if bool(fields["lost"]) else QUIET, "sudden": bool(fields["sudden"]), **{name: float(fields[name]) for name in ("onset", "frequency", "growth")}}
        return self.row(values, raw, {"onset": "s", "frequency": "Hz", "growth": "s"}, {"label": "target", **dict.fromkeys(("sudden", "onset", "frequency", "growth"), "other")})


def shaped(rng: Generator, channels: int, samples: int, power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian noise of a power spectrum (frequency,), brought to an expected rms of 1: (channel, sample)."""
    phases = rng.normal(size=(channels, len(power))) + 1j * rng.normal(size=(channels, len(power)))
    power = np.where(np.arange(len(power)) == 0, 0.0, power)
    # irfft of white complex Gaussians of unit parts has the variance 4 sum(power) / samples^2
    return np.asarray(np.fft.irfft(phases * np.sqrt(power), samples, axis=1) * samples / np.sqrt(4 * power.sum()))


def quiet(rng: Generator, samples: int) -> NDArray[np.float64]:
    """Noise, drift and microseism of all channels: (channel, sample)."""
    count = len(CHANNELS)
    f = np.fft.rfftfreq(samples, 1 / RATE)
    # drawn over twice the length, so that the ends of a stretch do not join
    long = np.fft.rfftfreq(2 * samples, 1 / RATE)
    drift = shaped(rng, count, 2 * samples, 1 / (1 + (long / 0.02) ** 2))[:, :samples]
    white = shaped(rng, count, samples, np.ones(len(f)))
    peak = rng.uniform(0.12, 0.25)
    ground = shaped(rng, 1, 2 * samples, np.exp(-0.5 * ((long - peak) / 0.04) ** 2))[:, :samples]
    own = shaped(rng, count, 2 * samples, np.exp(-0.5 * ((long - peak) / 0.04) ** 2))[:, :samples]
    shares = np.random.default_rng(22).dirichlet((2.0, 2.0, 2.0), count)  # of the detector, the same in all stretches
    coupled = np.sqrt(0.7) * ground + np.sqrt(0.3) * own
    loud = np.exp(rng.normal(0, 0.3) - 0.09)  # the sea's weather, its mean square 1
    return np.asarray(np.sqrt(shares[:, :1]) * white + np.sqrt(shares[:, 1:2]) * drift + loud * np.sqrt(shares[:, 2:]) * coupled)


def bursts(rng: Generator, values: NDArray[np.float64], time: NDArray[np.float64]) -> None:
    """Ring-downs at random, one a stretch on average, each in one to three channels: they sound like an instability and pass."""
    for _ in range(rng.poisson(1.0)):
        begin, frequency, decay, high = rng.uniform(-SECONDS, 0), rng.uniform(0.4, 4.0), rng.uniform(2.0, 10.0), np.exp(rng.normal(0.3, 0.5))
        since = time - begin
        ring = np.where(since >= 0, high * np.exp(-np.maximum(since, 0) / decay) * np.sin(2 * np.pi * frequency * since), 0.0)
        values[rng.permutation(len(values))[: rng.integers(1, 4)]] += ring


def unstable(rng: Generator, time: NDArray[np.float64], onset: float, frequency: float, growth: float) -> NDArray[np.float64]:
    """What an instability adds to each of the three channels: (3, sample)."""
    since = np.maximum(time - onset, 0.0)
    grown = np.where(time >= onset, np.exp(since / growth), 0.0)
    first = FIRST[0] * np.exp(rng.normal(0, FIRST[1]))
    each = np.exp(rng.normal(0, 0.3, 3))[:, None]
    phase = rng.uniform(0, 2 * np.pi, 3)[:, None]
    ramp = rng.normal(0, RAMP, 3)[:, None] * since / max(-onset, 1.0)
    return np.asarray(first * each * grown * np.sin(2 * np.pi * frequency * time + phase) + ramp)


SURVEYS = {one.name: one for one in (LockLosses(), LockLossRows())}
