"""Where a product came from: kept with it from the archive to the figure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of one product, or of all products of one survey.

    Attributes
    ----------
    survey : str
        Name as in ``af.list_surveys()``, e.g. ``"practice/image"``.
    release : str
        Data release, where there is one.
    query : str
        The request as sent: an address, ADQL, or the parameters.
    retrieved : str
        When, ISO 8601, UTC.
    citation : str
        How to cite and acknowledge the data.
    licence : str
        The terms under which they may be used.
    simulated : bool
        True for the practice sky: shown as a badge in every view.
    """

    survey: str
    release: str = ""
    query: str = ""
    retrieved: str = ""
    citation: str = ""
    licence: str = ""
    simulated: bool = False

    def to_json(self) -> dict[str, object]:
        """As a dictionary that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Provenance":
        """From such a dictionary; keys of later versions are ignored."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in data.items() if k in known})  # type: ignore[arg-type]


def citations(provenances: Iterable[Provenance]) -> str:
    """The acknowledgements of several products, each once, in order of first use."""
    seen: dict[str, str] = {}
    for one in provenances:
        if one.citation:
            seen.setdefault(one.survey, f"{one.survey}: {one.citation} ({one.licence or 'licence not stated'})")
    return "\n".join(seen.values())
