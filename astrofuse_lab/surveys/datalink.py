"""From a row of a service to the file behind it: directly, through DataLink, or as a cutout that the service makes. Parsing only.

Sources: DataLink 1.1 (https://www.ivoa.net/documents/DataLink/20231215/), sections 3.2 (columns) and 4.1 (service descriptors); SODA 1.0
(https://www.ivoa.net/documents/SODA/20170517/), section 3.3 (CIRCLE). Semantics are matched as text: the IVOA's vocabulary, which pyvo downloads for
it, is not needed for what a file is.
"""

import io
import re
from typing import NamedTuple

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import formats

SODA = "ivo://ivoa.net/std/soda#sync"
COLUMNS = ("access_url", "semantics")
PREFERRED = ("fits", "votable", "csv", "text")
"""Kinds of files by how much they say of themselves."""


class Cutter(NamedTuple):
    """A service that cuts: its address and the identifier it wants."""

    address: str
    identifier: str


def is_datalink(content: bytes, media_type: str) -> bool:
    """Whether a document is one of links."""
    if "content=datalink" in media_type.replace(" ", "").replace('"', ""):
        return True
    head = content[:20_000]
    return b"<VOTABLE" in head and all(re.search(rb"<FIELD\b[^>]*name=[\"']" + name + rb"[\"']", head) for name in (b"access_url", b"semantics", b"error_message"))


def link(content: bytes, survey: str, target: str, semantics: str = "#this") -> str:
    """The address of the file with this relation to the row, the most telling format first; empty where there is none.

    Raises
    ------
    ArchiveError
        With the service's own words, where it has an error in place of a link.
    """
    table = formats.votable(content, survey, COLUMNS, target)
    rows = [{name: formats.plain(row[name]) for name in table.colnames} for row in table]
    found = [row for row in rows if str(row["semantics"] or "").rpartition("#")[2] == semantics.lstrip("#")]
    good = [row for row in found if row["access_url"]]
    if not good:
        said = next((str(row["error_message"]) for row in (found or rows) if row.get("error_message")), "")
        if said:
            raise ArchiveError(survey, f"the service has no file to give: {said[:300]}", target)
        return ""
    return str(min(good, key=lambda row: rank(str(row.get("content_type") or "")))["access_url"])


def rank(media_type: str) -> int:
    """How good a format is, smallest first."""
    return next((i for i, word in enumerate(PREFERRED) if word in media_type.lower()), len(PREFERRED))


def cutter(content: bytes, survey: str, target: str) -> Cutter | None:
    """The service in a document of links that makes cutouts by CIRCLE; None where there is none."""
    from astropy.io.votable import parse

    with formats.reading(survey, "DataLink document", target):
        document = parse(io.BytesIO(content), verify="ignore")
        for resource in document.resources:
            said = {p.name.lower(): str(p.value) for p in resource.params if p.name}
            if not said.get("standardid", "").lower().startswith(SODA) or not said.get("accessurl"):
                continue
            inputs = {p.name.upper(): p for group in resource.groups for p in group.entries if getattr(p, "name", None)}
            own = inputs.get("ID")
            if own is not None and {"CIRCLE", "POS"} & set(inputs) and str(own.value):
                return Cutter(said["accessurl"], str(own.value))
    return None
