"""Stretches of a gravitational-wave detector's monitors, quiet or before a lock loss: simulated."""

from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.simulated import simulated, version
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.surveys.practice.observing import CITATION, LICENCE
from astrofuse_lab.surveys.simulators import lock_losses

VERSION = version(lock_losses)
NOTES = (
    "Simulated: no detector was involved. What precedes a lock loss, and how fast it grows, is our choice: accuracies tell of the simulation alone.",
    f"Only {', '.join(lock_losses.TELLING)} carry a sign of a lock loss; one in fifty comes without. sudden, onset, frequency and growth are the truth, and no inputs.",
    "The axis is seconds before the end. A lead time is asked for by the end of a window: inputs={'series': Part.of('dmdt_series', begin=-90.0, end=-30.0)}.",
    "Each stretch is its own group. Accuracies are of as many quiet stretches as lock losses; in a detector's day quiet ones prevail by far.",
)


def make(n: int, seed: int, progress: bool) -> SampleSet:
    """Draw `n` stretches: modality ``series`` (22 channels, 120 s at 16 Hz), target ``label``."""
    card = Card("practice-lock-losses", f"{n} stretches of 22 monitor channels, quiet or before a lock loss, seed {seed} (simulated)", True, CITATION, LICENCE, NOTES)
    surveys = {"series": lock_losses.SURVEYS["practice/lock_loss"], "table": lock_losses.SURVEYS["practice/lock_loss_table"]}
    return simulated("stretch", n, seed, surveys, card, progress=progress)
