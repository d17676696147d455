"""Simulated alerts of mergers and glitches with their sky maps in space, as pictures and numbers."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab import credible_regions
from astrofuse_lab.alignment import sky_images, sky_volumes
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples import gw_maps
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.simulated import version
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.surveys.simulators import gravitational_wave_alerts as alerts

VERSION = version(alerts, gw_maps, credible_regions, sky_images, sky_volumes)
NOTES = (
    "Simulated: a small BAYESTAR (coherent likelihood of amplitudes, phases and times) on mergers and on coincidences of noise; see astrofuse_lab.surveys.simulators.gravitational_wave_alerts.",
    "Glitches are chance coincidences of two loud detectors with random phases and times. Real glitches come in families, with habits of their own: how well a network tells them apart here "
    "says nothing of a detector's.",
    "A quarter of the alerts is of each kind, which no observing run has. Numbers of the alert (log_bci, log_bsn, distance) tell kinds nearly as well as the maps: trees on the table are the control.",
    "The detectors are as sensitive as in O4; simulated_maps(n, run='O3') of this module draws others.",
)  # fmt: skip


STEEPEST = 863_800.0
"""1 / Mpc2: the largest distnorm of the authors' training maps (GWSkyNet_predict.ipynb, github.com/GWML/GWSkyNet at aa4dff8)."""


def make(n: int, seed: int, progress: bool) -> SampleSet:
    """Draw n alerts and picture them; a tenth of a second each."""
    return simulated_maps(n, seed, "O4", progress)


def simulated_maps(n: int, seed: int = 0, run: str = "O4", progress: bool = False) -> SampleSet:
    """Simulated alerts of one observing run in the layout of `astrofuse_lab.samples.gw_maps`.

    Parameters
    ----------
    n, seed : int
    run : {"O3", "O4"}
        Which detectors' ranges and duty cycles.
    progress : bool

    Raises
    ------
    InputError
        For another run.
    """
    survey = alerts.TABLE
    ids = [f"gw-{run}-{seed}-{i:06d}" for i in range(n)]
    rows: list[dict[str, Any]] = []
    for i, one in enumerate(ids):
        drawn = survey.draw(survey.rng(one, seed), {"seed": seed, "run": run, "kind": "any"})
        layers = _fitted(*(drawn[name] for name in ("distmu", "distsigma", "distnorm")))
        row = gw_maps.inputs_of(drawn["prob"], layers, float(drawn["distmean"]), float(drawn["diststd"]))
        row |= dict(zip(gw_maps.DETECTORS, drawn["detectors"], strict=True))
        row |= {"log_bsn": drawn["logbsn"], "log_bci": drawn["logbci"], "area90": drawn["area90"], "vol90": drawn["vol90"], "kind": drawn["kind"], "run": str(drawn["run"])}
        rows.append(row | {name: drawn[name] for name in alerts.TRUTH})
        if progress and sys.stderr.isatty():
            print(f"\rsky maps (simulated) {i + 1}/{n}", end="" if i + 1 < n else "\n", file=sys.stderr, flush=True)
    card = Card("practice-gw-maps", "Simulated gravitational-wave alerts with sky maps and volumes", True, survey.citation, survey.licence, NOTES)
    provenance = Provenance("practice/gw_alerts", release=survey.release, query=f"run={run} seed={seed}", citation=survey.citation, licence=survey.licence, simulated=True)
    return gw_maps.gw_map_set(ids, rows, card, provenance, {"run": "other", **dict.fromkeys(alerts.TRUTH, "other")})


def _fitted(*layers: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The distance layers; where the fit is steeper than any BAYESTAR wrote, that of a distance known to a half: such cells would outshine all others."""
    mu, sigma, norm = (np.array(layer) for layer in layers)
    steep = norm > STEEPEST
    if steep.any():
        mean = credible_regions.moments(mu[steep], sigma[steep])[0]
        mu[steep], sigma[steep], norm[steep] = credible_regions.from_moments(mean, mean / 2)
    return mu, sigma, norm
