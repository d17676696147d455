"""What SIMBAD knows of an object, by TAP, many targets to a query: its main table, and a description with types, names and references.

Source: the tables ``basic``, ``ident``, ``ids``, ``otypedef``, ``has_ref`` and ``ref`` of SIMBAD's TAP_SCHEMA
(https://simbad.cds.unistra.fr/simbad/tap/tapsearch.html; columns of ``basic`` and the links between tables as recorded in astroquery's
simbad/tests/data/simbad_basic_columns.xml and simbad_linked_to_basic.xml). Positions are ICRS at epoch J2000. Names are matched in SIMBAD's
normalised spelling (``m51`` finds ``M  51``). Notes are not in its TAP: see `simbad_notes`.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.surveys import formats, messages, simbad_notes, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import Targets

URL = "https://simbad.cds.unistra.fr/simbad/sim-tap"
MIRRORS = ("https://simbad.u-strasbg.fr/simbad/sim-tap",)
CITATION = (
    "This research has made use of the SIMBAD database, operated at CDS, Strasbourg, France. Cite Wenger et al. 2000, A&AS 143, 9."
)
LICENCE = "ODbL 1.0 for the database, with credit to CDS"
# what SIMBAD says an object is and how far, and where it lies, is no input
COLUMNS: dict[str, tuple[str, str]] = {
    "main_id": ("", "id"), "oid": ("", "other"), "ra": ("deg", "other"), "dec": ("deg", "other"),
    "otype": ("", "target"), "otype_txt": ("", "target"), "sp_type": ("", "target"), "morph_type": ("", "target"), "rvz_redshift": ("", "target"),
    "rvz_radvel": ("km / s", "other"), "rvz_type": ("", "other"), "nbref": ("", "other"), "update_date": ("", "other"),
    "plx_value": ("mas", "input"), "plx_err": ("mas", "input"), "pmra": ("mas / yr", "input"), "pmdec": ("mas / yr", "input"),
    "galdim_majaxis": ("arcmin", "input"), "galdim_minaxis": ("arcmin", "input"), "galdim_angle": ("deg", "input"),
}  # fmt: skip
DESCRIBED = ("main_id", "oid", "ra", "dec", "otype", "label", "description", "sp_type", "morph_type", "nbref", "ids")
REFERENCES = ("oidref", "bibcode", "year", "title")
MOST_REFERENCES = 15_000
"""References that one query may be about: SIMBAD sends no more than 20,000 rows at once without asking."""

TABLE = TapTable(
    name="simbad/table", url=URL, mirrors=MIRRORS, table="basic", columns=COLUMNS, epoch=2000.0, id_column="main_id", label="main_id", motion=("pmra", "pmdec"),
    release="SIMBAD4, live", citation=CITATION, licence=LICENCE, threads=2,
    coverage=Coverage("all sky, objects outside the solar system that papers name"),
)  # fmt: skip


@dataclass
class SimbadText(Archive):
    """A description of the object nearest to each target, or of the object with its name where the target has no position.

    Attributes
    ----------
    tap : TapTable
        How the service is asked.
    """

    _: KW_ONLY
    gives: type = Text
    batch: int = 50
    tap: TapTable = field(init=False)

    def __post_init__(self) -> None:
        self.tap = TapTable(
            name=self.name, url=self.url, mirrors=self.mirrors, timeout=self.timeout, table="basic", columns=COLUMNS, release=self.release,
            citation=self.citation, licence=self.licence,
        )  # fmt: skip

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One query for the objects of all targets, one or more for the titles of their references, and one for their notes."""
        settings = self.chosen(ask)
        places = targets.at(2000.0)
        parts, origins = [], []
        for by in ("position", "name"):
            rows = [row for row, target in enumerate(places) if target.has("position") == (by == "position")]
            if not rows:
                continue
            adql, upload = self._objects(by, places, rows, ask.radius)
            parts.append(self.tap.run(adql, upload, target=targets.ids[0] if len(targets) == 1 else None))
            origins.append(adql)
            if formats.votable_status(parts[-1]) == "OVERFLOW":
                if len(targets) == 1:
                    raise ArchiveError(self.name, f"more objects lie within {ask.radius:g} arcsec than are sent at once. Give a smaller radius.", targets.ids[0])
                middle = len(targets) // 2
                yield from self.query(targets[:middle], ask)
                yield from self.query(targets[middle:], ask)
                return
        objects = len(parts)
        extra: dict[str, object] = {"ra": [float(t.ra) for t in places], "dec": [float(t.dec) for t in places], "radius": ask.radius, "objects": objects,
                                    "references": int(settings["references"])}  # fmt: skip
        nearest = self._nearest(parts, Raw(self.name, targets.ids, b"", "", extra=_finite(extra)))
        if settings["references"]:
            for adql in _reference_queries(nearest, int(settings["references"])):
                parts.append(self.tap.run(adql))
                origins.append(adql)
        if settings["notes"] and nearest:
            script = simbad_notes.script({one["oid"]: str(one["main_id"]) for one, _, _ in nearest.values()})
            parts.append(transport.ask(self, simbad_notes.address(self.url), method="POST", data={"script": script})[0])
            extra["notes"] = True
        extra["lengths"] = [len(part) for part in parts]
        yield Raw(self.name, targets.ids, b"".join(parts), f"{self.url} {'; '.join(origins)}", "application/x-votable+xml", now(), _finite(extra))

    def _objects(self, by: str, targets: Targets, rows: Sequence[int], radius: float) -> tuple[str, bytes]:
        """The query for the objects of the targets in these rows, and its upload."""
        from astropy.io.votable.tree import VOTableFile
        from astropy.table import Table

        chosen = [targets[row] for row in rows]
        if by == "position":
            table = Table({"target_row": list(rows), "ra": [t.ra for t in chosen], "dec": [t.dec for t in chosen]})
            joined = f"JOIN basic AS b ON 1 = CONTAINS(POINT('ICRS', b.ra, b.dec), CIRCLE('ICRS', t.ra, t.dec, {radius / 3600!r}))"
        else:
            table = Table({"target_row": list(rows), "typed_id": [messages.name_of(self.name, t) for t in chosen]})
            joined = "JOIN ident AS i ON i.id = t.typed_id JOIN basic AS b ON b.oid = i.oidref"
        file = io.BytesIO()
        VOTableFile.from_table(table).to_xml(file)
        columns = "b.main_id, b.oid, b.ra, b.dec, b.otype, d.label, d.description, b.sp_type, b.morph_type, b.nbref, s.ids"
        adql = (
            f"SELECT t.target_row, {columns} FROM TAP_UPLOAD.targets AS t {joined} "  # noqa: S608, the parts are ours
            "LEFT JOIN otypedef AS d ON d.otype = b.otype LEFT JOIN ids AS s ON s.oidref = b.oid"
        )
        return adql, file.getvalue()

    def _nearest(self, parts: Sequence[bytes], raw: Raw) -> dict[str, tuple[dict[str, Any], float | None, int]]:
        """Target id to its object, the distance (arcsec; None by name) and how many lie within the radius."""
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        found: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        with formats.reading(self.name, "list of objects", only):
            ra, dec = raw.extra.get("ra"), raw.extra.get("dec")
            where = list(zip(ra, dec, strict=True)) if ra is not None else [(None, None)] * len(raw.target_ids)  # type: ignore[call-overload]
            for part in parts:
                table = formats.votable(part, self.name, ("target_row", *DESCRIBED), only)
                for row in table:
                    number = int(row["target_row"])
                    if not 0 <= number < len(where) == len(raw.target_ids):
                        raise ValueError(f"it is about row {number} of {len(raw.target_ids)} targets")
                    one = {name: formats.plain(row[name]) for name in DESCRIBED}
                    x, y = where[number]
                    far = -1.0 if x is None or y is None or one["ra"] is None else float(separation_arcsec(x, y, one["ra"], one["dec"]))
                    if far <= float(raw.extra["radius"]) * (1 + 1e-6) + 1e-4:  # type: ignore[arg-type]
                        found.setdefault(raw.target_ids[number], []).append((far, one))
        best = {}
        for target, many in found.items():
            far, one = min(many, key=lambda pair: pair[0])
            best[target] = (one, None if far < 0 else far, len({m["oid"] for _, m in many}))
        return best

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """A text for each target with an object."""
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        parts = messages.pieces(raw)
        with formats.reading(self.name, "description", only):
            objects = int(raw.extra.get("objects", 1))  # type: ignore[call-overload]
            most = int(raw.extra.get("references", 0))  # type: ignore[call-overload]
        nearest = self._nearest(parts[:objects], raw)
        notes = simbad_notes.notes_of(parts.pop(), self.name, only) if raw.extra.get("notes") is True and len(parts) > objects else {}
        references: dict[Any, list[dict[str, Any]]] = {}
        for part in parts[objects:]:
            with formats.reading(self.name, "list of references", only):
                for row in formats.votable(part, self.name, REFERENCES, only):
                    one = {name: formats.plain(row[name]) for name in REFERENCES}
                    references.setdefault(one["oidref"], []).append(one)
        origin = provenance_of(self, raw)
        for target in raw.target_ids:
            if target in nearest:
                number = nearest[target][0]["oid"]
                yield target, Text(description(*nearest[target], references.get(number, []), most, notes.get(number, "")), origin)


def description(one: dict[str, Any], far: float | None, count: int, references: Sequence[dict[str, Any]], most: int, notes: str = "") -> str:
    """What SIMBAD has on one object, as sentences; the newest `most` references."""
    kind = one["label"] or one["otype"]
    more = f", {one['description']}" if one["description"] and one["description"] != kind else ""
    lines = [f"{one['main_id']}. Object type: {kind} ({one['otype']}){more}." if kind else f"{one['main_id']}."]
    if one["sp_type"]:
        lines.append(f"Spectral type: {one['sp_type']}.")
    if one["morph_type"]:
        lines.append(f"Morphological type: {one['morph_type']}.")
    names = [" ".join(name.split()) for name in str(one["ids"] or "").split("|") if name.strip()]
    if names:
        lines.append(f"Identifiers: {'; '.join(names)}.")
    if far is not None:
        lines.append(f"At {far:.2f} arcsec from the position asked for" + (f", the nearest of {count} objects." if count > 1 else "."))
    if notes:
        lines.append(f"Notes: {messages.plain(notes)}")
    newest = sorted(references, key=lambda r: (r["year"] or 0, r["bibcode"] or ""), reverse=True)[:most]
    total = one["nbref"] or len(references)
    if newest:
        lines.append(f"References ({len(newest)} of {total}, newest first):")
        lines += [f"{r['bibcode']}: {messages.plain(str(r['title'] or 'no title'))}" for r in newest]
    return messages.bounded("\n".join(lines))


def _reference_queries(nearest: dict[str, tuple[dict[str, Any], float | None, int]], most: int) -> Iterator[str]:
    """Queries for the references of these objects, each within the row limit; objects with very many are asked for alone, the newest only."""
    counts = {one["oid"]: int(one["nbref"] or 0) for one, _, _ in nearest.values() if one["oid"] is not None}
    columns, tables = 'h.oidref, r.bibcode, r."year", r.title', "has_ref AS h JOIN ref AS r ON r.oidbib = h.oidbibref"
    group: list[int] = []
    room = MOST_REFERENCES
    for oid, count in sorted(counts.items(), key=lambda pair: pair[1]):
        if count > MOST_REFERENCES // 10:
            yield f'SELECT TOP {most} {columns} FROM {tables} WHERE h.oidref = {int(oid)} ORDER BY r."year" DESC'  # noqa: S608, numbers
            continue
        if count > room:
            yield f"SELECT {columns} FROM {tables} WHERE h.oidref IN ({', '.join(map(str, group))})"  # noqa: S608, numbers
            group, room = [], MOST_REFERENCES
        if count:
            group, room = [*group, int(oid)], room - count
    if group:
        yield f"SELECT {columns} FROM {tables} WHERE h.oidref IN ({', '.join(map(str, group))})"  # noqa: S608, numbers


def _finite(extra: dict[str, object]) -> dict[str, object]:
    """JSON has no NaN: a target without a position has None."""
    plain = {name: [v if v == v else None for v in extra[name]] for name in ("ra", "dec")}  # type: ignore[attr-defined]
    return {**extra, **plain}


TEXT = SimbadText(
    name="simbad/text", url=URL, mirrors=MIRRORS, release=f"SIMBAD4, live; {messages.RAW_TEXT}", citation=CITATION, licence=LICENCE, needs=(),
    coverage=Coverage("all sky, objects outside the solar system that papers name"), settings={"references": 20, "notes": True}, threads=2,
)
ROWS: dict[str, Archive] = {row.name: row for row in (TABLE, TEXT)}
