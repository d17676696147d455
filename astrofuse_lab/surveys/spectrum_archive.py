"""What the archives of spectra have in common: find the file of each target, download it, read it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, Spectrum
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Archive
from astrofuse_lab.surveys.spectrum_files import read_spectrum
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

Choice = Mapping[str, float | int | str | bool]


class Product(NamedTuple):
    """Where the spectrum of one target lies, and what was said of it when it was found."""

    address: str
    said: Mapping[str, float | int | str | None] = {}


class Answer(NamedTuple):
    """One answer to a search: the bytes as sent, and the product chosen for each target that has one."""

    content: bytes
    media_type: str
    query: str
    products: Mapping[str, Product]


@dataclass
class SpectrumArchive(Archive):
    """Base of archives that list spectra in one request and give each as a file in another.

    A subclass adds `search`. A target that the list does not have is answered with the list itself.

    Attributes
    ----------
    flux_unit : str
        Of files that do not say it.
    epoch : float
        Julian year of the archive's positions: targets with proper motions are moved to it.
    """

    gives: type = Spectrum
    flux_unit: str = ""
    epoch: float = 2000.0

    def search(self, targets: Targets, ask: Ask, given: Choice) -> Iterator[tuple[Targets, Answer]]:
        """Answers with the targets that each is about; every target in exactly one. Meets the network."""
        raise NotImplementedError

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """A search for all targets, then one file a target that was found."""
        given = self.chosen(ask)
        asked = {"release": ask.release} if ask.release else {}
        for some, answer in self.search(targets.at(self.epoch), ask, given):
            without = tuple(t.object_id for t in some if t.object_id not in answer.products)
            if without:
                yield Raw(self.name, without, answer.content, answer.query, answer.media_type, now(), {"nothing": True})
            for target in some:
                if (product := answer.products.get(target.object_id)) is not None:
                    content, media_type, address = transport.ask(self, product.address, target=target.object_id)
                    yield Raw(self.name, (target.object_id,), content, address, media_type, now(), {**product.said, **asked})

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The spectrum of the one target; none where the search found nothing."""
        if raw.extra.get("nothing") is True:
            return
        target = raw.target_ids[0]
        spectrum = read_spectrum(raw.content, self.name, target, provenance_of(self, raw), raw.media_type, flux_unit=self.flux_unit)
        yield target, self.finish(spectrum, raw)

    def finish(self, spectrum: Spectrum, raw: Raw) -> Spectrum:
        """What the search said beyond the file, put into the spectrum; as it is by default. Pure."""
        return spectrum


def target_rows(survey: str, rows: list[dict[str, str | None]], targets: Targets, column: str = "target_row") -> dict[str, list[dict[str, str | None]]]:
    """Rows of an answer by target id; ArchiveError for a row about no target asked for."""
    made: dict[str, list[dict[str, str | None]]] = {}
    for row in rows:
        with formats.reading(survey, "table with the numbers of the targets"):
            number = int(str(row[column]))
        if not 0 <= number < len(targets):
            raise ArchiveError(survey, f"the archive answered about row {number} of {len(targets)} targets")
        made.setdefault(targets[number].object_id, []).append(row)
    return made
