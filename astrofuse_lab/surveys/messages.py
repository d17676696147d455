"""What the surveys of texts and events share: names of targets, answers of several parts, papers as text, markup made plain, GPS time."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from astrofuse_lab.errors import ArchiveError, TargetError
from astrofuse_lab.surveys import transport
from astrofuse_lab.surveys.survey import Raw
from astrofuse_lab.targets import Target

if TYPE_CHECKING:
    from astrofuse_lab.surveys.archive import Archive

RAW_TEXT = "raw text: it may say what the object is, so mask such words before a classifier sees it"
"""Part of the release of every survey of texts: it stands in the provenance of each."""
LONGEST = 200_000
"""Characters of one text."""
SPACE = re.compile(r"[ \t\r\f\v\xa0]+")
BLOCKS = frozenset("p br div tr li ul ol table h1 h2 h3 h4 h5 h6 pre td th".split())  # noqa: SIM905
SILENT = frozenset(("script", "style", "noscript", "template", "head"))


class Paper(NamedTuple):
    """One publication, as far as an archive tells."""

    title: str
    source: str = ""
    abstract: str = ""


def name_of(survey: str, target: Target) -> str:
    """What to ask for: the identifier, else the id.

    Raises
    ------
    TargetError
        For a name that no archive takes (control characters, more than 200 letters).
    """
    name = " ".join((target.identifier or target.object_id).split())
    if len(name) > 200 or not name.isprintable():
        raise TargetError(f"{survey}: the name {name[:40]!r} is not one to search for. Give af.Targets.from_identifiers([...]) the names that the archive uses.")
    return name


def unless_missing(survey: "Archive", path: str = "", *, target: str | None = None, **options: Any) -> tuple[bytes, str, str] | None:
    """As `transport.ask`; None where the archive says 404, its word for what it does not have."""
    try:
        return transport.ask(survey, path, target=target, **options)
    except ArchiveError as error:
        if " HTTP 404 " in str(error):
            return None
        raise


def same_house(survey: "Archive", address: object, target: str | None = None) -> str:
    """An address that an answer gave, if it is one of the archive's own: no answer sends us elsewhere."""
    parts = urlsplit(str(address))
    hosts = {urlsplit(place).hostname for place in (survey.url, *survey.mirrors)}
    if parts.scheme not in ("http", "https") or parts.hostname not in hosts:
        raise ArchiveError(survey.name, f"the archive points to another place ({str(address)[:100]!r}), which is not followed", target)
    return str(address)


def pieces(raw: Raw, needed: int | None = None) -> list[bytes]:
    """The bodies that follow each other in an answer, by ``extra["lengths"]``; one where there is no such entry."""
    lengths = raw.extra.get("lengths", [len(raw.content)])
    target = raw.target_ids[0] if len(raw.target_ids) == 1 else None
    if not isinstance(lengths, Sequence) or any(not isinstance(n, int) or n < 0 for n in lengths) or sum(lengths) != len(raw.content):
        raise ArchiveError(raw.survey, f"the answer has {len(raw.content)} bytes, not the {lengths} that were kept", target)
    if needed is not None and len(lengths) != needed:
        raise ArchiveError(raw.survey, f"the answer has {len(lengths)} parts, not {needed}", target)
    made, start = [], 0
    for length in lengths:
        made.append(raw.content[start : start + length])
        start += length
    return made


def entry(raw: Raw, key: str, target: str, fallback: str = "") -> str:
    """What `query` kept for one target under ``extra[key]``, a mapping by target id."""
    kept = raw.extra.get(key)
    return str(kept.get(target, fallback)) if isinstance(kept, Mapping) else fallback


def papers(found: Iterable[Paper], total: int | None = None) -> str:
    """Publications as text, one a paragraph; says so where there are more than are shown."""
    lines = [" ".join(part for part in (one.title.rstrip("."), f"({one.source})" if one.source else "") if part) + ". " + one.abstract for one in found]
    if total is not None and total > len(lines):
        lines.append(f"[{len(lines)} of {total} publications]")
    return bounded("\n\n".join(line.strip() for line in lines))


def bounded(text: str) -> str:
    """A text without control characters, at most `LONGEST` characters, marked where it was cut."""
    text = "".join(c for c in text if c.isprintable() or c in "\n\t").strip()
    return text if len(text) <= LONGEST else text[:LONGEST] + f"\n[cut after {LONGEST} characters]"


class _Words(HTMLParser):
    """Collects the words of a page, or of the element with one id."""

    def __init__(self, only: str = "") -> None:
        super().__init__(convert_charrefs=True)
        self.only, self.depth, self.silent, self.container = only, 0, 0, ""
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # only elements of the container's own kind are counted: pages leave paragraphs and list items open
        if self.depth:
            self.depth += tag == self.container
        elif self.only and dict(attrs).get("id") == self.only:
            self.depth, self.container = 1, tag
        self.silent += tag in SILENT
        if tag in BLOCKS:
            self._add("\n")

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(0, self.silent - (tag in SILENT))
        if tag in BLOCKS:
            self._add("\n")
        self.depth = max(0, self.depth - (tag == self.container))

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _add(self, text: str) -> None:
        if not self.silent and (self.depth or not self.only):
            self.parts.append(text)


def plain(markup: str, only: str = "") -> str:
    """The words in a piece of HTML, or in its element with the id `only`; scripts and styles left out, lines kept."""
    reader = _Words(only)
    reader.feed(markup)
    reader.close()
    lines = (SPACE.sub(" ", line).strip() for line in html.unescape("".join(reader.parts)).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def mjd_of_gps(seconds: float) -> float:
    """MJD (UTC) of GPS seconds."""
    from astropy.time import Time

    return float(Time(seconds, format="gps").utc.mjd)


def gps_of_mjd(mjd: float) -> float:
    """GPS seconds of MJD (UTC)."""
    from astropy.time import Time

    return float(Time(mjd, format="mjd", scale="utc").gps)
