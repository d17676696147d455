"""What NED knows of an object: type, redshift, the notes that papers made on it, and their titles.

Source: https://ned.ipac.caltech.edu/Documents/Guides/Interface/QueryAuto (``objsearch`` and ``datasearch``, ``of=xml_main``: VOTables); parameters as
astroquery's ipac/ned/core.py sends them, columns as in the answers recorded in its tests (query_near_position.xml, query_object.xml, query_notes.xml,
query_references.xml). Positions are J2000. NED's tables of references cut titles after some 80 letters, and end with "...".
"""

import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.surveys import formats, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Target, Targets

URL = "https://ned.ipac.caltech.edu/cgi-bin"
NAME, RA, DEC, TYPE, REDSHIFT = "Object Name", "RA(deg)", "DEC(deg)", "Type", "Redshift"
NEEDED = (NAME, RA, DEC, TYPE, REDSHIFT)
PARTS = ("objects", "notes", "references")
# NED answers with a VOTable that holds a parameter "Error" and no table
NOTHING = ("no object found", "not currently recognized", "not found", "no data", "no note", "no reference", "there are no")


@dataclass
class NedText(Archive):
    """A description of the object nearest to each target, or of the object with its name where the target has no position."""

    _: KW_ONLY
    gives: type = Text

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """Up to three requests a target: the objects there, then notes and references of the nearest."""
        settings = self.chosen(ask)
        for target in targets:
            given = self._search(target, ask.radius)
            first, _, address = transport.ask(self, "/objsearch", target=target.object_id, params=given)
            parts, kept = [first], ["objects"]
            place = {"ra": target.ra, "dec": target.dec} if target.has("position") else {}
            one = self._nearest(first, place, ask.radius, target.object_id)
            if one is not None:
                for what, kind in (("notes", "Notes"), ("references", "Reference")):
                    if settings[what]:
                        more = {"of": "xml_main", "objname": one[0][NAME], "search_type": kind}
                        if what == "references":
                            more |= {"ref_extend": "no", "begin_year": "1800", "end_year": now()[:4]}
                        parts.append(transport.ask(self, "/datasearch", target=target.object_id, params=more)[0])
                        kept.append(what)
            extra = {**place, "radius": ask.radius, "lengths": [len(part) for part in parts], "parts": kept, "most": int(settings["references"])}
            yield Raw(self.name, (target.object_id,), b"".join(parts), address, "text/xml", now(), extra)

    def _search(self, target: Target, radius: float) -> dict[str, str]:
        common = {"of": "xml_main", "img_stamp": "NO", "extend": "no", "list_limit": "0", "out_csys": "Equatorial", "out_equinox": "J2000.0"}
        if not target.has("position"):
            return {**common, "objname": messages.name_of(self.name, target), "obj_sort": "RA or Longitude"}
        moved = Targets([target]).at(2000.0)[0]
        return {**common, "search_type": "Near Position Search", "in_csys": "Equatorial", "in_equinox": "J2000.0", "lon": f"{moved.ra:.7f}d",
                "lat": f"{moved.dec:.7f}d", "radius": f"{radius / 60:.6f}", "obj_sort": "Distance to search center"}  # fmt: skip

    def _table(self, content: bytes, needed: tuple[str, ...], target: str) -> list[dict[str, Any]]:
        """Rows as plain values; none where NED says that there is nothing."""
        said = _complaint(content)
        if said:
            if any(words in said.lower() for words in NOTHING):
                return []
            raise ArchiveError(self.name, said, target)
        table = formats.votable(content, self.name, needed, target)
        with formats.reading(self.name, "table", target):
            return [{name: formats.plain(row[name]) for name in table.colnames} for row in table]

    def _nearest(self, content: bytes, place: dict[str, float], radius: float, target: str) -> tuple[dict[str, Any], float | None, int] | None:
        """The object nearest to the position, its distance and how many there are; by name the first and only."""
        rows = self._table(content, NEEDED, target)
        with formats.reading(self.name, "list of objects", target):
            if not place:
                return (rows[0], None, len(rows)) if rows else None
            far = [(float(separation_arcsec(place["ra"], place["dec"], row[RA], row[DEC])), number) for number, row in enumerate(rows) if row[RA] is not None]
            # NED gives positions to five digits, and its own radius search goes by better ones
            near = [pair for pair in sorted(far) if pair[0] <= radius + 0.1]
            return (rows[near[0][1]], near[0][0], len(near)) if near else None

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The text, unless NED has no object there."""
        target = raw.target_ids[0]
        parts = messages.pieces(raw)
        kinds = raw.extra.get("parts", ["objects"])
        with formats.reading(self.name, "description", target):
            by = dict(zip(kinds, parts, strict=True))  # type: ignore[call-overload]
            place = {name: float(raw.extra[name]) for name in ("ra", "dec") if raw.extra.get(name) is not None}  # type: ignore[arg-type]
            found = self._nearest(by["objects"], place, float(raw.extra.get("radius", 0.0)), target)  # type: ignore[arg-type]
        if found is None:
            return
        notes = self._table(by["notes"], ("Refcode", "Note"), target) if "notes" in by else []
        references = self._table(by["references"], ("Refcode", "Article Title"), target) if "references" in by else []
        with formats.reading(self.name, "description", target):
            text = description(*found, notes, references, int(raw.extra.get("most", 20)))  # type: ignore[call-overload]
        yield target, Text(text, provenance_of(self, raw))


def description(
    one: dict[str, Any], far: float | None, count: int, notes: list[dict[str, Any]], references: list[dict[str, Any]], most: int
) -> str:
    """What NED has on one object, as sentences."""
    lines = [f"{one[NAME]}. NED object type: {one[TYPE] or 'none'}." + (f" Redshift: {one[REDSHIFT]:g}." if isinstance(one[REDSHIFT], float | int) else "")]
    if far is not None:
        lines.append(f"At {far:.2f} arcsec from the position asked for" + (f", the nearest of {count} objects." if count > 1 else "."))
    if notes:
        lines.append("Notes:")
        lines += [f"{note['Refcode']}: {messages.plain(str(note['Note'] or ''))}" for note in notes]
    if references and most:
        lines.append(f"References ({min(most, len(references))} of {len(references)}):")
        lines += [f"{row['Refcode']}: {' '.join(str(row['Article Title'] or 'no title').split())}" for row in references[:most]]
    return messages.bounded("\n".join(lines))


def _complaint(content: bytes) -> str:
    """What NED says in place of a table."""
    head = content[:20_000]
    if b"<TABLE" in content[:200_000] or b"<VOTABLE" not in head:
        return ""
    said = re.search(rb'<PARAM\b[^>]*name="Error"[^>]*value="([^"]*)"', head) or re.search(rb"<(?:INFO|PARAM)\b[^>]*Error[^>]*>(.*?)</", head, re.DOTALL)
    return messages.plain(said[1].decode("utf-8", "replace")) if said else ""


TEXT = NedText(
    name="ned/text", url=URL, release=f"NED, live; {messages.RAW_TEXT}", licence="free to use with credit to NED", needs=(), threads=1,
    citation="This research has made use of the NASA/IPAC Extragalactic Database (NED), which is operated by the California Institute of Technology, "
    "under contract with the National Aeronautics and Space Administration.",
    coverage=Coverage("all sky, mostly galaxies, quasars and what lies in their directions"), settings={"references": 20, "notes": True},
)
