"""Simulated dynamic spectra of fast radio bursts, in six archetypes."""

import sys

from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.simulated import simulated, version
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.surveys.practice.observing import CITATION, LICENCE
from astrofuse_lab.surveys.simulators import dynamic_spectra

NAME = "practice-bursts"
NOTES = (
    "Simulated: nothing here was observed. Physics and sources: astrofuse_lab/surveys/simulators/dynamic_spectra.py.",
    "Six archetypes are drawn, I to VI; Frabjous classifies five: bursts in side lobes (VI) are never a class. samples.take(...) or make(..., types=5) leaves them out.",
    "Rows of a picture are channels from 400 MHz up, columns are time: do not turn it. The numbers that made a burst are columns, and no inputs.",
    "Signal-to-noise is one of 15, 25, 35, 50, 100 and 1000, as in Frabjous' simulations; real bursts are mostly at the low end.",
)


def make(n: int, seed: int, progress: bool, *, side: int = 256, types: int = 6, signal: float = 0.0, interference: float = 0.0) -> SampleSet:
    """Draw and stack `n` bursts; the options are those of `astrofuse_lab.surveys.simulators.dynamic_spectra.Bursts`."""
    card = Card(NAME, f"Fast radio bursts: {n} dynamic spectra of {side} x {side}, seed {seed} (simulated)", True, CITATION, LICENCE, NOTES)
    options: dict[str, float | int | str | bool] = {"side": side, "types": types, "signal": signal, "interference": interference}
    return simulated("burst", n, seed, {"image": dynamic_spectra.PICTURE, "table": dynamic_spectra.TABLE}, card, options=options, progress=progress)


VERSION = version(dynamic_spectra, sys.modules[__name__])
