"""The protocol that every survey follows: `query` meets the network, `read` is pure."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol, runtime_checkable

from astrofuse_lab.modalities import Modality
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.targets import Targets


class Ask(NamedTuple):
    """What is asked of a survey, the same for all targets of one fetch.

    Attributes
    ----------
    radius : float
        Match radius, arcsec: how far from the target a source may lie.
    size : float
        Width and height of cutouts, arcsec.
    time : tuple of float, optional
        First and last MJD.
    bands : tuple of str, optional
        None: all bands of the survey.
    release : str, optional
        None: the survey's default release.
    limit : int, optional
        At most so many rows per target.
    options : mapping
        Settings of this survey alone, e.g. ``{"missing": 0.3}`` for the practice sky.
    """

    radius: float = 3.0
    size: float = 20.0
    time: tuple[float, float] | None = None
    bands: tuple[str, ...] | None = None
    release: str | None = None
    limit: int | None = None
    options: Mapping[str, float | int | str | bool] = {}

    def key(self) -> str:
        """The same text for the same request, whatever the order of the options."""
        return json.dumps([*self[:-1], dict(sorted(self.options.items()))])


def now() -> str:
    """This moment, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Raw:
    """One answer of an archive, as sent; it may hold several targets.

    Attributes
    ----------
    survey : str
    target_ids : tuple of str
        The targets that were asked for in this request, also those that did not come back.
    content : bytes
        The body, untouched.
    query : str
        The request as sent.
    media_type : str
        What the server said it is.
    retrieved : str
        ISO 8601, UTC.
    extra : mapping
        What `read` needs beyond the bytes (positions asked for, radius), JSON values only.
    """

    survey: str
    target_ids: tuple[str, ...]
    content: bytes
    query: str
    media_type: str = "application/octet-stream"
    retrieved: str = field(default_factory=now)
    extra: Mapping[str, object] = field(default_factory=dict)

    def digest(self) -> str:
        """sha256 of the body."""
        return hashlib.sha256(self.content).hexdigest()


@runtime_checkable
class Survey(Protocol):
    """One archive product behind one name.

    Attributes
    ----------
    name : str
        Lower-case ``provider/product``.
    gives : type
        The modality class that `read` yields.
    bands : tuple of str
    release, citation, licence : str
    simulated : bool
    batch : int
        How many targets one request may hold.

    Clients of real archives are best made from `surveys.archive.Archive`, which states more: address, mirrors,
    coverage, scale, options, an optional package, how many requests at a time.
    """

    name: str
    gives: type
    bands: tuple[str, ...]
    release: str
    citation: str
    licence: str
    simulated: bool
    batch: int

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """The only lines that meet the network. Called with at most `batch` targets, from several threads.

        Each target belongs to exactly one of the answers. Raises ArchiveError where the archive fails (`transient` where asking again may help),
        and InputError where the request itself makes no sense.
        """
        ...

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """Pure: (target id, product) pairs. A target that does not come back was not seen."""
        ...


def provenance_of(survey: Survey, raw: Raw) -> Provenance:
    """The provenance that every product of one answer carries; its release is the one asked for, where ``raw.extra`` names one."""
    asked = raw.extra.get("release")
    return Provenance(
        survey=survey.name, release=asked if isinstance(asked, str) and asked else survey.release, query=raw.query, retrieved=raw.retrieved,
        citation=survey.citation, licence=survey.licence, simulated=survey.simulated,
    )
