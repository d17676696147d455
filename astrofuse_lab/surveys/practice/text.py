"""practice/text: short reports by imperfect observers, as JSON lines."""

import json
from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from astrofuse_lab.modalities import Text
from astrofuse_lab.surveys.practice.observing import Instrument, Seen, Settings
from astrofuse_lab.surveys.practice.phrases import CLOSINGS, CLUES, CONDITIONS, MISLEADING, OPENINGS, SHORT, VAGUE
from astrofuse_lab.surveys.practice.sed import magnitude
from astrofuse_lab.surveys.practice.sources import Source
from astrofuse_lab.surveys.practice.variability import fluxes, moment
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of

MISTAKEN = 0.1
"""Share of reports that describe another kind of object."""
UNDECIDED = 0.16
"""Share of reports without any clue."""
SLIP = 0.012
"""Chance that a letter is mistyped, before the factor ``noise``."""


class PracticeText(Instrument):
    """Reports on the practice sky: a line of JSON a target, the first line telling how many follow."""

    name = "practice/text"
    gives: type = Text
    media_type = "application/x-ndjson"

    def render(self, seen: list[Seen], ask: Ask, settings: Settings, bands: tuple[str, ...]) -> bytes:
        """The reports on all targets."""
        lines = [{"row": one.row, "report": report(one.source, settings, self.rng(one.source))} for one in seen if not one.missing]
        head = {"origin": "AstroFuse Lab practice sky, simulated", "lines": len(lines)}
        return "".join(json.dumps(line) + "\n" for line in [head, *lines]).encode()

    def parse(self, raw: Raw) -> Iterator[tuple[int, Text]]:
        """One `Text` a target."""
        head, *lines = (json.loads(line) for line in raw.content.decode("utf-8").splitlines())
        origin = provenance_of(self, raw)
        if len(lines) != int(head["lines"]):
            raise ValueError(f"{len(lines)} of {head['lines']} reports")
        for line in lines:
            yield int(line["row"]), Text(str(line["report"]), origin)


def report(source: Source, settings: Settings, rng: Generator) -> str:
    """What an observer writes: a measurement, one or two remarks, a closing."""
    opening = str(rng.choice(OPENINGS)).format(band="r", mag=_estimate(source, rng), condition=str(rng.choice(CONDITIONS)) or "usual conditions")
    remarks = _remarks(source.label, rng)
    sentences = [opening, *(f"{r[0].upper()}{r[1:]}." for r in remarks), str(rng.choice(CLOSINGS))]
    return _typed(" ".join(s for s in sentences if s), settings.noise, rng)


def _estimate(source: Source, rng: Generator) -> float:
    """A magnitude by eye on the night of the picture, wrong by a few tenths."""
    when = np.array([moment(source, "image_time")])
    flux = sum(float(fluxes(source, c, when, ["r"])[0]) for c in source.components)
    return (magnitude(max(flux, 0.5)) or 0.0) + float(rng.normal(0, 0.3))


def _remarks(label: str, rng: Generator) -> list[str]:
    luck = rng.uniform()
    if luck < UNDECIDED:
        return [str(r) for r in rng.choice(VAGUE, 2, replace=False)]
    about = str(rng.choice(MISLEADING[label])) if luck < UNDECIDED + MISTAKEN else label
    remarks = [str(rng.choice(CLUES[about]))]
    if rng.uniform() < 0.3:  # a second remark agrees or not
        remarks.append(str(rng.choice(CLUES[label if rng.uniform() < 0.6 else str(rng.choice(MISLEADING[label]))])))
    if rng.uniform() < 0.5:
        remarks.append(str(rng.choice(VAGUE)))
    return [remarks[i] for i in rng.permutation(len(remarks))]


def _typed(text: str, noise: float, rng: Generator) -> str:
    """The hand of a tired person: shortened words, missing and doubled letters, no capitals now and then."""
    words = [SHORT[w] if w in SHORT and rng.uniform() < 0.3 else w for w in text.split(" ")]
    letters = list(" ".join(words))
    luck = rng.uniform(size=len(letters))
    chance = min(SLIP * noise, 0.2)
    typed = ["" if u < chance / 2 and c.isalpha() else c + c if u < chance and c.isalpha() else c for c, u in zip(letters, luck, strict=True)]
    out = "".join(typed)
    return out.lower() if rng.uniform() < 0.25 else out
