"""Simulated alerts of mergers and glitches as the nine numbers that GWSkyNet-Multi II reads, with the truth beside them."""

import sys

from astrofuse_lab import credible_regions
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.simulated import simulated, version
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.surveys.simulators import gravitational_wave_alerts as alerts

NAME = "practice-gw-alerts"
VERSION = version(alerts, credible_regions, sys.modules[__name__])
NOTES = (
    "Simulated: nothing here was observed. Physics and sources: astrofuse_lab/surveys/simulators/gravitational_wave_alerts.py.",
    "Columns are named as those of 'gw-alerts', so that a run trained on one predicts on the other. A quarter is of each class, which no observing run has.",
    "Glitches are chance coincidences with random phases and times; real ones come in families. How well a network tells them apart here says nothing of a detector's.",
    "Distance alone separates neutron stars from black holes (selection): a control on distmean_mpc belongs beside any result.",
    "has_mass_gap (a component of 2 to 5 solar masses), has_ns (one below 3), masses and chirp_mass are the truth, and missing for glitches: targets, never inputs.",
)


def make(n: int, seed: int, progress: bool) -> SampleSet:
    """Draw n alerts of O4; 30 ms each."""
    return simulated_alerts(n, seed, "O4", progress=progress)


def simulated_alerts(n: int, seed: int = 0, run: str = "O4", kind: str = "any", progress: bool = False) -> SampleSet:
    """Simulated alerts of one observing run.

    Parameters
    ----------
    n, seed : int
    run : {"O3", "O4"}
        Which detectors' ranges and duty cycles.
    kind : {"any", "Glitch", "BBH", "NSBH", "BNS"}
    progress : bool

    Raises
    ------
    InputError
        For another run or kind.
    """
    card = Card(NAME, f"Gravitational-wave alerts as numbers: {n} of {run}, seed {seed} (simulated)", True, alerts.TABLE.citation, alerts.TABLE.licence, NOTES)
    return simulated(f"gw-{run}-{kind}", n, seed, {"table": alerts.TABLE}, card, options={"run": run, "kind": kind}, progress=progress)
