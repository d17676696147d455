"""Simulated transit candidates in the views of `tess-transits`: light curves folded at the period that was found."""

import sys
from dataclasses import replace
from typing import Any

import numpy as np

from astrofuse_lab.alignment.representations import folding
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.simulated import simulated, version
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.surveys.practice.observing import CITATION, LICENCE
from astrofuse_lab.surveys.simulators import transits

NAME = "practice-transits"
NOTES = (
    "Simulated: nothing here was observed. Physics and sources: astrofuse_lab/surveys/simulators/transits.py.",
    "Modalities, columns and scaling are those of 'tess-transits', so that a run trained on one predicts on the other; classes are nearer to even than those of TESS.",
    "Bins without an epoch are masked, where Nigraha's views are filled.",
)
VIEWS: dict[str, tuple[str, tuple[str, ...], tuple[dict[str, Any], ...]]] = {
    "global_view": ("folded_global", ("centred", "shifted"), ({}, {"shift": -0.25})),
    "half_phase": ("folded_half_phase", ("secondary", "primary"), ({"duration": "length"},)),
    "local_view": ("folded_local", ("transit",), ({"duration": "length"},)),
}
"""Representation, channels, and the options of each run of it, whose channels stand side by side."""


def make(n: int, seed: int, progress: bool) -> SampleSet:
    """Draw, fold and stack `n` candidates."""
    card = Card(NAME, f"Transit candidates of TESS: {n} folded light curves, seed {seed} (simulated)", True, CITATION, LICENCE, NOTES)
    whole = simulated("transit", n, seed, {"light_curve": transits.CURVE, "table": transits.TABLE}, card, progress=progress)
    data = {}
    for name, (how, channels, runs) in VIEWS.items():
        seen = [whole.represent("light_curve", how, period="Period", epoch="T0", **options) for options in runs]
        parts = [one.arrays("light_curve") for one in seen]
        values, mask = (np.concatenate([part[field] for part in parts], axis=1) for field in ("values", "mask"))
        spec = replace(seen[0].spec("light_curve"), name=name, channels=channels, shape=values.shape[1:], unit="scaled flux")
        data[name] = ModalityData(spec, {"axis": np.asarray(parts[0]["axis"]), "values": values, "mask": mask}, np.asarray(mask.any(axis=(1, 2))))
    return whole.with_data(data, card)


VERSION = version(transits, folding, sys.modules[__name__])
