"""What all instruments of the practice sky share: settings, matching, weather, and how answers become errors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Modality
from astrofuse_lab.surveys.practice.catalogue import nearest, source
from astrofuse_lab.surveys.practice.sources import Source, random
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Targets

CITATION = "Simulated data from the practice sky of AstroFuse Lab; not observations. Cite AstroFuse Lab (CITATION.cff)."
LICENCE = "CC0-1.0"
RELEASE = "1"
# one stream of random numbers a purpose, so that adding one never changes another
STREAMS = {"practice/image": 11, "practice/spectrum": 12, "practice/light_curve": 13, "practice/table": 14, "practice/text": 15}
WEATHER, MISSING = 21, 31


@dataclass(frozen=True)
class Settings:
    """What ``options`` may hold.

    Attributes
    ----------
    seed : int
        Which sky: other objects in the same places, and other noise.
    missing : float
        Share of targets, 0 to 1, that each survey does not see.
    misalignment : float
        Typical error of the astrometry, arcsec; the orientation errs by half as many degrees.
    noise : float
        Factor on all errors, above 0.
    """

    seed: int = 0
    missing: float = 0.1
    misalignment: float = 0.1
    noise: float = 1.0

    @classmethod
    def from_ask(cls, ask: Ask) -> "Settings":
        """The options of a request, checked; InputError names what is wrong."""
        known = tuple(cls.__dataclass_fields__)
        for name, value in ask.options.items():
            if name not in known:
                raise InputError(f"the practice sky has no option {name!r}. It has {', '.join(known)}.")
            if isinstance(value, bool | str) or not np.isfinite(value):
                raise InputError(f"option {name}={value!r} of the practice sky is not a number.")
        settings = cls(**ask.options)  # type: ignore[arg-type]
        limits = {"seed": (0, 2**63), "missing": (0, 1), "misalignment": (0, 60), "noise": (1e-3, 1e3)}
        for name, (low, high) in limits.items():
            if not low <= getattr(settings, name) <= high:
                raise InputError(f"option {name}={getattr(settings, name)} of the practice sky lies outside {low:g} to {high:g}.")
        if settings.seed != int(settings.seed):
            raise InputError(f"option seed={settings.seed} of the practice sky is not a whole number.")
        return cls(int(settings.seed), settings.missing, settings.misalignment, settings.noise)


class Seen(NamedTuple):
    """One target of a request that has an object: its place in the request, the object, its distance (arcsec)."""

    row: int
    ra: float
    dec: float
    source: Source
    missing: bool


class Weather(NamedTuple):
    """What a pointing shares: seeing relative to the median, and sky noise relative to a dark night."""

    seeing: float
    sky: float


def weather(one: Source) -> Weather:
    """Seeing and sky of the pointing an object lies in."""
    rng = random(one.seed, int(one.pointing.removeprefix("field-")), WEATHER)
    return Weather(float(np.exp(rng.normal(0, 0.12))), float(np.exp(rng.normal(0, 0.1))))


class Instrument:
    """A survey of the practice sky: `render` makes the bytes of a request, `parse` reads them.

    Attributes
    ----------
    name, gives, bands, release, citation, licence, simulated, batch
        As in `astrofuse_lab.surveys.survey.Survey`.
    """

    name: str
    gives: type
    bands: tuple[str, ...] = ()
    media_type: str
    release = RELEASE
    citation = CITATION
    licence = LICENCE
    simulated = True
    batch = 50

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """Render what this instrument sees of the targets, in one answer.

        Raises
        ------
        InputError
            For an option, band or release that the practice sky does not have.
        """
        settings = Settings.from_ask(ask)
        bands = self.chosen_bands(ask)
        if ask.release not in (None, self.release):
            raise InputError(f"{self.name} has no release {ask.release!r}, only {self.release!r}.")
        seen = list(self._seen(targets, ask, settings))
        content = self.render(seen, ask, settings, bands)
        sent = f"{self.name} release={self.release} radius={ask.radius:g} size={ask.size:g} {settings}"
        yield Raw(self.name, targets.ids, content, sent, self.media_type)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """Products from the bytes of an answer.

        Raises
        ------
        ArchiveError
            If the bytes are cut short or are something else; names the first target that cannot be read.
        """
        done = -1
        try:
            for row, product in self.parse(raw):
                if not 0 <= row < len(raw.target_ids):
                    raise ValueError(f"it is about row {row} of {len(raw.target_ids)} targets")
                done = row
                yield raw.target_ids[row], product
        except Exception as error:  # answers come from a cache that others may have written to, and parsers raise whatever their readers do
            target = raw.target_ids[min(done + 1, len(raw.target_ids) - 1)] if raw.target_ids else None
            raise ArchiveError(self.name, f"the answer of {len(raw.content)} bytes cannot be read ({type(error).__name__}: {str(error)[:300]}). Fetch it again.", target) from error

    def chosen_bands(self, ask: Ask) -> tuple[str, ...]:
        """The bands asked for, in the survey's order; InputError for one it does not have."""
        if ask.bands is None or not self.bands:
            return self.bands
        unknown = [b for b in ask.bands if b not in self.bands]
        if unknown or not ask.bands:
            raise InputError(f"{self.name} has no band {unknown[0] if unknown else '(none given)'!r}. It has {', '.join(self.bands)}.")
        return tuple(b for b in self.bands if b in ask.bands)

    def rng(self, one: Source) -> Generator:
        """The noise of this instrument for one object: the same in every request."""
        return random(one.seed, one.number, STREAMS[self.name])

    def _seen(self, targets: Targets, ask: Ask, settings: Settings) -> Iterator[Seen]:
        for row, target in enumerate(targets):
            number = nearest(target.ra, target.dec, ask.radius)
            if number is None:
                continue
            missing = bool(random(settings.seed, number, MISSING + STREAMS[self.name]).uniform() < settings.missing)
            yield Seen(row, target.ra, target.dec, source(number, settings.seed), missing)

    def render(self, seen: list[Seen], ask: Ask, settings: Settings, bands: tuple[str, ...]) -> bytes:
        """The bytes of one answer. An object marked missing is left out by all surveys but the table, whose truth columns stay."""
        raise NotImplementedError

    def parse(self, raw: Raw) -> Iterator[tuple[int, Modality]]:
        """Products by their place in the request; any of the errors that `read` translates for unreadable bytes."""
        raise NotImplementedError
