"""High-energy neutrino alerts of IceCube (gold and bronze tracks), from the table of GCN notices.

Source: https://gcn.gsfc.nasa.gov/amon_icecube_gold_bronze_events.html, the archive of these notices that https://gcn.nasa.gov/missions names. Its columns:
RunNum_EventNum, Rev, Date (yy/mm/dd), Time (UT), NoticeType, RA and Dec (deg, J2000), Error90 and Error50 (arcmin), Energy (TeV), Signalness, FAR (1/yr),
Comments; https://gcn.gsfc.nasa.gov/doc/IceCube_High_Energy_Neutrino_Track_Alerts_v2.pdf says what they are. The notices' JSON form
(https://gcn.nasa.gov/schema/stable/gcn/notices/icecube) comes by Kafka only. One table holds all alerts: one request for any number of targets.
"""

import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.surveys import formats, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://gcn.gsfc.nasa.gov/amon_icecube_gold_bronze_events.html"
EVENT = re.compile(r"\d{5,7}_\d{1,12}\Z")
NAMED = re.compile(r"(?:IceCube|IC)[\s_-]*(\d{6})([A-Z])\Z", re.IGNORECASE)
UNITS = {"mjd": "d", "ra": "deg", "dec": "deg", "error90": "arcmin", "error50": "arcmin", "energy": "TeV", "far": "1 / yr", "match_distance": "arcsec"}
ROLES = {"event": "id", "revision": "other", "mjd": "other", "notice_type": "target", "ra": "other", "dec": "other", "signalness": "target", "far": "other",
         "comments": "other", "match_distance": "other", "match_count": "other"}  # fmt: skip
MOST_CELLS = 200_000


class _Cells(HTMLParser):
    """Rows of cells of all tables of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.open, self.count = False, 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th", "tr"):
            self.open = tag != "tr"
        if tag in ("td", "th") and self.rows:
            self.count += 1
            if self.count > MOST_CELLS:
                raise ValueError(f"the page has more than {MOST_CELLS} cells")
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self.open = False

    def handle_data(self, data: str) -> None:
        if self.open and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def alerts(content: bytes) -> list[dict[str, Any]]:
    """The latest revision of each alert on the page; ValueError where the page has no alert."""
    reader = _Cells()
    reader.feed(content.decode("utf-8", "replace"))
    reader.close()
    found: dict[str, dict[str, Any]] = {}
    for row in reader.rows:
        cells = [" ".join(cell.split()) for cell in row]
        if len(cells) < 12 or not EVENT.match(cells[0]):
            continue
        one = _alert(cells)
        if one is not None and one["revision"] >= found.get(cells[0], {"revision": -1})["revision"]:
            found[cells[0]] = one
    if not found:
        raise ValueError("it has no table of alerts")
    return list(found.values())


def _alert(cells: list[str]) -> dict[str, Any] | None:
    """One row; None where its place or time is not given (notices lost to a network fault have words there)."""
    from astropy.time import Time

    try:
        year, month, day = (int(part) for part in cells[2].split("/"))
        when = datetime(2000 + year % 100, month, day, tzinfo=UTC).strftime("%Y-%m-%dT") + cells[3]
        mjd = float(Time(when, format="isot", scale="utc").mjd)
        ra, dec, error90, error50, energy, signalness, far = (formats.number(cell or None) for cell in cells[5:12])
        revision = int(cells[1])
    except ValueError:
        return None
    if ra is None or dec is None:
        return None
    return {
        "event": cells[0], "revision": revision, "mjd": mjd, "notice_type": cells[4], "ra": ra, "dec": dec, "error90": error90, "error50": error50,
        "energy": energy, "signalness": signalness, "far": far, "comments": cells[12][:500] if len(cells) > 12 else "",
    }  # fmt: skip


@dataclass
class IceCubeTable(Archive):
    """The alert of each target: by number (``137840_57034692``) or name (``IceCube-230416A``), else the nearest whose 90 % circle holds the position.

    A name is told by its date; where there were several alerts on a day only the number tells them apart, since the letters are not in the table.
    ``match_distance`` and ``match_count`` as in other tables; the match radius is added to the alert's own error.
    """

    _: KW_ONLY
    gives: type = TableRow
    batch: int = 10_000

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request for all targets."""
        self.chosen(ask)
        content, media_type, address = transport.ask(self, page=True, target=targets.ids[0] if len(targets) == 1 else None)
        places = {t.object_id: [float(t.ra), float(t.dec)] for t in targets.at(2000.0) if t.has("position")}
        extra = {"names": {t.object_id: messages.name_of(self.name, t) for t in targets}, "places": places, "radius": ask.radius}
        yield Raw(self.name, targets.ids, content, address, media_type, now(), extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """A row for each target with an alert."""
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        with formats.reading(self.name, "page of alerts", only):
            rows = alerts(raw.content)
            places, radius = raw.extra.get("places", {}), float(raw.extra.get("radius", 0.0))  # type: ignore[arg-type]
            if not isinstance(places, dict):
                raise ArchiveError(self.name, "the positions asked for are lost", only)
        origin = provenance_of(self, raw)
        for target in raw.target_ids:
            found = by_name(rows, messages.entry(raw, "names", target, target)) or (near(rows, places[target], radius) if target in places else None)
            if found is not None:
                yield target, TableRow(found, UNITS, ROLES, origin)


def by_name(rows: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """The alert with this number, or the only one of the day in the name."""
    from astropy.time import Time

    hits = [row for row in rows if row["event"] == name.strip()]
    day = NAMED.match(name.strip())
    if day:
        hits = [row for row in rows if Time(row["mjd"], format="mjd").strftime("%y%m%d") == day[1]]
    return {**hits[0], "match_distance": None, "match_count": 1} if len(hits) == 1 else None


def near(rows: list[dict[str, Any]], place: Any, radius: float) -> dict[str, Any] | None:
    """The nearest alert whose 90 % circle, widened by `radius` (arcsec), holds a position."""
    far = separation_arcsec(float(place[0]), float(place[1]), np.array([r["ra"] for r in rows]), np.array([r["dec"] for r in rows]))
    held = [i for i, row in enumerate(rows) if far[i] <= radius + 60 * (row["error90"] or 0.0)]
    if not held:
        return None
    best = min(held, key=lambda i: far[i])
    return {**rows[best], "match_distance": float(far[best]), "match_count": len(held)}


TABLE = IceCubeTable(
    name="icecube/table", url=URL, release="gold and bronze track alerts, live", needs=(), threads=1, licence="public, with credit to IceCube and GCN",
    citation="This research has made use of IceCube alerts distributed by GCN and AMON. Cite Blaufuss et al. 2019, PoS(ICRC2019)1021, and the GCN Circular of each alert used.",
    coverage=Coverage("all sky, June 2019 and later; latest revision of each alert"),
)  # fmt: skip
