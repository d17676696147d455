"""The practice sky as a ready sample set: rendered by its surveys and aligned as any other."""

import hashlib
from dataclasses import replace
from pathlib import Path

from astrofuse_lab import surveys
from astrofuse_lab.alignment.grids import LogGrid, PixelGrid, TimeGrid
from astrofuse_lab.errors import TargetError
from astrofuse_lab.modalities import Modality
from astrofuse_lab.samples.assemble import align
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.surveys.practice.catalogue import LARGEST_RADIUS, objects_in, radius_for
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Targets

CENTRE = (150.0, 2.2)
"""deg, ICRS."""
SURVEYS = ("practice/image", "practice/spectrum", "practice/light_curve", "practice/table", "practice/text")
IMAGE, SPECTRUM, LIGHT_CURVE = PixelGrid(48, 0.262), LogGrid(3800, 9200, 1e-3), TimeGrid()
NOTES = (
    "Simulated: stars, galaxies, quasars, supernovae, variable stars and asteroids of the practice sky. Nothing here was observed.",
    "Each survey misses about a tenth of the objects, so some modalities are masked.",
    "Objects of one pointing share seeing and sky: split on 'group'.",
)


def _fingerprint() -> str:
    """Of the code that makes the set: a cached set is opened only by the code that would make the same one."""
    package = Path(__file__).parents[1]
    files = sorted([*package.glob("surveys/practice/*.py"), *package.glob("alignment/*.py"), *(package / "samples" / f"{n}.py" for n in ("practice", "assemble", "collect"))])
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


VERSION = _fingerprint()


def make(n: int, seed: int, progress: bool) -> SampleSet:
    """Render, read and align `n` objects of the practice sky with this seed."""
    targets = objects_in(*CENTRE, min(radius_for(n), LARGEST_RADIUS), n)
    ask = Ask(size=IMAGE.size * IMAGE.scale, options={"seed": seed})
    samples = align(Rendered(targets, ask), IMAGE, SPECTRUM, LIGHT_CURVE, progress=progress)
    notes = (*NOTES, *samples.card.notes)
    samples.card = replace(samples.card, name="practice", title=f"The practice sky: {len(samples)} objects, seed {seed} (simulated)", notes=notes)
    return samples


class Rendered:
    """What `fetch` would find, rendered when asked for: nothing is written, so that no cache is needed and none is filled.

    Parameters
    ----------
    targets : Targets
    ask : Ask
        The same for all surveys.
    """

    def __init__(self, targets: Targets, ask: Ask) -> None:
        self.targets, self.surveys, self.ask = targets, SURVEYS, ask
        self._row = {object_id: i for i, object_id in enumerate(targets.ids)}
        self._last: tuple[tuple[str, int], dict[str, Modality]] = (("", -1), {})

    def get(self, survey: str, object_id: str) -> Modality | None:
        """One product, or None where there is none; asked in order, every request is rendered once."""
        if object_id not in self._row:
            raise TargetError(f"no target has the id {object_id!r}.")
        one = surveys.get(survey)
        begin = self._row[object_id] // one.batch * one.batch
        if self._last[0] != (survey, begin):
            answers = one.query(self.targets[begin : begin + one.batch], self.ask)
            self._last = ((survey, begin), {i: product for raw in answers for i, product in one.read(raw)})
        return self._last[1].get(object_id)
