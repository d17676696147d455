"""Abstracts of preprints that name an object, from arXiv.

Source: arXiv API user's manual (https://info.arxiv.org/help/api/user-manual.html), sections 3.1.1 (search_query with ``all:"..."``, id_list, start,
max_results, sortBy) and 3.3 (Atom: entry of id, published, title, summary; opensearch:totalResults); terms of use
(https://info.arxiv.org/help/api/tou.html): one connection, one request in three seconds, which `query` keeps among all threads of this process.
"""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from xml.etree import ElementTree

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.surveys import formats, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://export.arxiv.org/api"
PAUSE = 3.0  # s between requests, by the terms of use
MOST = 2000
ATOM, OPENSEARCH = "{http://www.w3.org/2005/Atom}", "{http://a9.com/-/spec/opensearch/1.1/}"
NUMBER = re.compile(r"(?:arxiv:)?(\d{4}\.\d{4,5}(?:v\d+)?|[a-z-]+(?:\.[A-Z]{2})?/\d{7}(?:v\d+)?)\Z", re.IGNORECASE)
_TURN = threading.Lock()
_last = 0.0


def _wait(pause: float) -> None:
    """Until it is this process' turn again."""
    global _last  # noqa: PLW0603, one clock for all threads
    left = _last + pause - time.monotonic()
    if left > 0:
        time.sleep(left)
    _last = time.monotonic()


@dataclass
class ArxivText(Archive):
    """Titles and abstracts of the preprints that name each target, newest first; ``limit`` says how many (20 where not given).

    A target whose identifier is an arXiv number has the abstract of that preprint.

    Attributes
    ----------
    pause : float
        Seconds between requests.
    """

    _: KW_ONLY
    gives: type = Text
    pause: float = PAUSE

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target, and three seconds between them."""
        self.chosen(ask)
        rows = min(MOST, 20 if ask.limit is None else max(1, ask.limit))
        for target in targets:
            name = messages.name_of(self.name, target)
            number = NUMBER.match(name)
            given = {"start": "0", "max_results": str(rows)}
            if number:
                given["id_list"] = number[1]
            else:
                words = re.sub(r'["\\]', " ", name)
                given |= {"search_query": f'all:"{words}"', "sortBy": "submittedDate", "sortOrder": "descending"}
            with _TURN:
                _wait(self.pause)
                content, media_type, address = transport.ask(self, "/query", target=target.object_id, params=given)
            yield Raw(self.name, (target.object_id,), content, address, media_type, now())

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """One text a target, unless no preprint names it."""
        target = raw.target_ids[0]
        content = formats.unpacked(raw.content, self.name, target)
        if re.search(rb"<!(?:DOCTYPE|ENTITY)", content, re.IGNORECASE):
            raise ArchiveError(self.name, "the answer declares XML entities, which no Atom feed does", target)
        with formats.reading(self.name, "Atom feed", target):
            feed = ElementTree.fromstring(content)  # noqa: S314, entities were refused above
            if feed.tag != f"{ATOM}feed":
                raise ValueError(f"it is a {feed.tag!r}")
            total = int(feed.findtext(f"{OPENSEARCH}totalResults", "0"))
            entries = feed.findall(f"{ATOM}entry")
            for entry in entries:
                if "/api/errors" in (entry.findtext(f"{ATOM}id") or ""):
                    raise ArchiveError(self.name, messages.plain(entry.findtext(f"{ATOM}summary") or "an error without words"), target)
            found = [_paper(entry) for entry in entries]
        if found:
            yield target, Text(messages.papers(found, total), provenance_of(self, raw))


def _paper(entry: ElementTree.Element) -> messages.Paper:
    def words(tag: str) -> str:
        return " ".join((entry.findtext(f"{ATOM}{tag}") or "").split())

    number = words("id").rpartition("/abs/")[2]
    return messages.Paper(words("title"), ", ".join(part for part in (words("published")[:10], f"arXiv:{number}" if number else "") if part), words("summary"))


TEXT = ArxivText(
    name="arxiv/text", url=URL, release=f"arXiv, live; {messages.RAW_TEXT}", needs=(), threads=1,
    licence="metadata CC0 1.0; the preprints under the licence that their authors chose", citation="Thank you to arXiv for use of its open access interoperability.",
    coverage=Coverage("what preprints name"),
)  # fmt: skip
