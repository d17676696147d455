"""Abstracts of papers about an object from the SAO/NASA Astrophysics Data System, by the user's own token.

Source: https://github.com/adsabs/adsabs-dev-api (``GET /v1/search/query`` with q, fl, rows, sort; ``Authorization: Bearer <token>``; answers as recorded
in astroquery's nasa_ads/tests/data/test_text.txt); https://ui.adsabs.harvard.edu/help/search/ (``object:`` joins SIMBAD's and NED's names).
The token is read from ADS_DEV_KEY or ADS_API_TOKEN when a question is asked, and goes into a header only: never into an address, an answer or the cache.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.surveys import formats, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://api.adsabs.harvard.edu/v1/search"
TOKENS = ("ADS_DEV_KEY", "ADS_API_TOKEN")
FIELDS = "bibcode,title,abstract,year,pub"
MOST = 2000
"""Rows that ADS sends at once."""


@dataclass
class AdsText(Archive):
    """Titles and abstracts of the papers about each target, by its name, newest first. ``limit`` says how many (20 where not given)."""

    _: KW_ONLY
    gives: type = Text

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target."""
        field = str(self.chosen(ask)["field"])
        if field not in ("object", "abs", "title", "full", "bibcode"):
            raise InputError(f"{self.name}: field={field!r}. It is one of object, abs, title, full, bibcode.")
        token = _token(self.name, targets.ids[0])
        rows = min(MOST, 20 if ask.limit is None else max(1, ask.limit))
        for target in targets:
            name = " ".join(re.sub(r'["\\]', " ", messages.name_of(self.name, target)).split())
            given = {"q": f'{field}:"{name}"', "fl": FIELDS, "rows": str(rows), "sort": "date desc"}
            try:
                content, media_type, address = transport.ask(
                    self, "/query", target=target.object_id, params=given, headers={"Authorization": f"Bearer {token}"}
                )
            except ArchiveError as error:
                if "wants a login" not in str(error):
                    raise
                raise ArchiveError(self.name, f"ADS does not take the token in {' or '.join(n for n in TOKENS if os.environ.get(n))}. Make a new one at "
                                   "https://ui.adsabs.harvard.edu/user/settings/token", target.object_id) from None  # fmt: skip
            yield Raw(self.name, (target.object_id,), content, address, media_type, now())

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """One text a target, unless ADS has no paper."""
        target = raw.target_ids[0]
        value = formats.json_value(raw.content, self.name, target, dict)
        with formats.reading(self.name, "list of papers", target):
            docs, total = value["response"]["docs"], int(value["response"]["numFound"])
            found = [messages.Paper(messages.plain(_first(doc.get("title"))), _source(doc), messages.plain(_first(doc.get("abstract")))) for doc in docs]
        if found:
            yield target, Text(messages.papers(found, total), provenance_of(self, raw))


def _token(survey: str, target: str) -> str:
    """The user's token; ArchiveError where there is none: the other surveys of a fetch go on without."""
    for name in TOKENS:
        token = os.environ.get(name, "").strip()
        if token:
            if not token.isascii() or not token.isprintable() or " " in token:
                raise ArchiveError(survey, f"the token in {name} has signs that no token has. Copy it again from https://ui.adsabs.harvard.edu/user/settings/token", target)
            return token
    raise ArchiveError(
        survey, "ADS wants your own token. Make one (free) at https://ui.adsabs.harvard.edu/user/settings/token and set it before starting Python: "
        f"export {TOKENS[0]}=...  It is sent to ADS alone and kept nowhere.", target,
    )


def _first(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return "" if value is None else str(value)


def _source(doc: dict[str, Any]) -> str:
    return ", ".join(str(doc[key]) for key in ("year", "bibcode") if doc.get(key))


TEXT = AdsText(
    name="ads/text", url=URL, release=f"ADS, live; {messages.RAW_TEXT}", needs=(), threads=2, settings={"field": "object"},
    licence="abstracts are their publishers'; for personal research use under the ADS terms of use (https://ui.adsabs.harvard.edu/help/terms/)",
    citation="This research has made use of NASA's Astrophysics Data System Bibliographic Services.", coverage=Coverage("what papers name"),
)  # fmt: skip
