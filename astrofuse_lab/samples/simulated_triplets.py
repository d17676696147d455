"""Simulated alert triplets as a sample set, in the layout of `braai-alerts` and `ztf-alerts`."""

from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.simulated import simulated, version
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.surveys.practice.observing import CITATION, LICENCE
from astrofuse_lab.surveys.simulators import image_pairs, triplets

VERSION = version(triplets, image_pairs)
NOTES = (
    "Simulated: nothing here was observed. real_bogus and kind are the truth, which no set of real alerts at hand has by eye.",
    "snr, fwhm and noise are the truth of the simulation, never inputs.",
    "Stamps have the layout of 'braai-alerts': the published network predicts on them, though nobody fitted the simulation to what it was trained on.",
)


def make(n: int, seed: int, progress: bool) -> SampleSet:
    """`n` detections."""
    card = Card("practice-triplets", f"Alert triplets, real sources and artefacts: {n} detections, seed {seed} (simulated)", True, CITATION, LICENCE, NOTES)
    return simulated("triplet", n, seed, {"image": triplets.IMAGE, "table": triplets.TABLE}, card, progress=progress)
