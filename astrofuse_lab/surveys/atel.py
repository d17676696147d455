"""The Astronomer's Telegram: one telegram by its number, or those in the feed of the latest ones that name an object.

Source: https://www.astronomerstelegram.org: the page of a telegram (``?read=<number>``, the text in the element with the id ``telegram``) and the feed of
the latest ones (``?rss``: items of title, link, description, dc:date). The site documents no search over all telegrams; ADS has them
(``ads/text`` with ``field="abs"``, journal ATel).
"""

import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from xml.etree import ElementTree

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.surveys import formats, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://www.astronomerstelegram.org"
NUMBER = re.compile(r"\s*(?:ATel)?\s*#?\s*(\d{1,6})\s*\Z", re.IGNORECASE)


@dataclass
class AtelText(Archive):
    """One telegram a target where its identifier is a number (``12345``, ``ATel 12345``); else what the feed of the latest ones has on its name."""

    _: KW_ONLY
    gives: type = Text
    batch: int = 200

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a telegram, and one for the feed, whatever the number of names."""
        self.chosen(ask)
        names = {t.object_id: messages.name_of(self.name, t) for t in targets}
        others = []
        for target, name in names.items():
            number = NUMBER.match(name)
            if not number:
                others.append(target)
                continue
            content, media_type, address = transport.ask(self, "/", target=target, params={"read": number[1]}, page=True)
            yield Raw(self.name, (target,), content, address, media_type, now(), {"number": number[1]})
        if others:
            content, media_type, address = transport.ask(self, "/", target=others[0] if len(others) == 1 else None, params={"rss": ""})
            yield Raw(self.name, tuple(others), content, address, media_type, now(), {"names": {t: names[t] for t in others}})

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The telegram, or those of the feed that have the name in title or text."""
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        origin = provenance_of(self, raw)
        if "number" in raw.extra:
            with formats.reading(self.name, "page", only):
                text = messages.plain(raw.content.decode("utf-8", "replace"), "telegram")
            if not text:
                raise ArchiveError(self.name, "the page has no telegram", only)
            yield raw.target_ids[0], Text(messages.bounded(text), origin)
            return
        if re.search(rb"<!(?:DOCTYPE|ENTITY)", raw.content, re.IGNORECASE):
            raise ArchiveError(self.name, "the feed declares XML entities, which no feed does", only)
        with formats.reading(self.name, "feed", only):
            feed = ElementTree.fromstring(raw.content)  # noqa: S314, entities were refused above
            if _tag(feed) not in ("RDF", "rss"):
                raise ValueError(f"it is a {feed.tag!r}")
            items = [_item(one) for one in feed.iter() if _tag(one) == "item"]
        for target in raw.target_ids:
            name = _squeezed(messages.entry(raw, "names", target, target))
            found = [one for one in items if name and name in _squeezed(f"{one.title} {one.abstract}")]
            if found:
                yield target, Text(messages.papers(found), origin)


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _item(item: ElementTree.Element) -> messages.Paper:
    texts = {_tag(child): (child.text or "").strip() for child in item}
    return messages.Paper(messages.plain(texts.get("title", "")), texts.get("date", "")[:10], messages.plain(texts.get("description", "")))


def _squeezed(text: str) -> str:
    """Without spaces, signs and case: telegrams write SN 2023ixf, SN2023ixf and sn 2023ixf."""
    return re.sub(r"[\s_-]+", "", text).casefold()


TEXT = AtelText(
    name="atel/text", url=URL, release=f"ATel, live; {messages.RAW_TEXT}", needs=(), threads=1, licence="the authors', free to read; cite each telegram used",
    citation="Cite each telegram used as The Astronomer's Telegram, No. <number>; Rutledge 1998, PASP 110, 754.", coverage=Coverage("what telegrams name"),
)
