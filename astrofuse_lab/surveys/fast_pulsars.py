"""Pulsars that FAST found: those listed by its surveys GPPS (Galactic Plane Pulsar Snapshot) and CRAFTS.

Source: the Pulsar Survey Scraper, which reads the surveys' own pages (http://zmtt.bao.ac.cn/GPPS/GPPSnewPSR.html, CRAFTS at http://groups.bao.ac.cn/ism/CRAFTS/) and
some thirty others, and gives them as JSON: ``https://pulsar.cgca-hub.org/api`` with type=search, ra, dec and radius in degrees; the answer has ``nmatches`` and, under each
pulsar's name, ra, dec, period (ms), dm (pc / cm3), survey, url, distance, date as {display_name, value}, -999 where there is no number
(https://github.com/dlakaplan/pulsarsurveyscraper_server, README; https://github.com/dlakaplan/pulsarsurveyscraper, pulsarsurveyscraper/surveys.py). Neither list is in VizieR.

A pulsar that two surveys list under one name comes once, as one of them has it: ``same_name`` counts entries that were lost so. Positions of new pulsars are good to
an arcminute or two: the option ``radius`` (arcsec) counts where the fetch's is smaller.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://pulsar.cgca-hub.org/api"
SURVEYS = ("FAST-GPPS", "CRAFTS")
NO_NUMBER = -999.0
UNITS = {"ra": "deg", "dec": "deg", "period": "ms", "dm": "pc / cm3", "match_distance": "arcsec"}
ROLES = {"name": "id", **dict.fromkeys(("ra", "dec", "survey", "url", "date", "match_distance", "match_count", "same_name"), "other")}


@dataclass
class FastPulsars(Archive):
    """The pulsar of FAST's surveys nearest to each target."""

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target."""
        radius = max(ask.radius, float(self.chosen(ask)["radius"]))
        for target in targets.at(2020.0):
            given = {"type": "search", "ra": repr(float(target.ra)), "dec": repr(float(target.dec)), "radius": repr(radius / 3600)}
            content, media_type, address = transport.ask(self, target=target.object_id, params=given)
            yield Raw(self.name, (target.object_id,), content, address, media_type, now(), {"ra": float(target.ra), "dec": float(target.dec), "radius": radius})

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The nearest of them, unless none lies within the radius."""
        target = raw.target_ids[0]
        said = formats.json_value(raw.content, self.name, target, dict)
        if "nmatches" not in said:
            raise ArchiveError(self.name, f"the answer has no nmatches: {' '.join(str(said).split())[:200]}", target, unreadable=True)
        with formats.reading(self.name, "list of pulsars", target):
            found = {name: one for name, one in said.items() if isinstance(one, dict) and not name.startswith("search")}
            rows = [row for name, one in found.items() if (row := row_of(name, one))["survey"] in SURVEYS]
            place, limit = (float(raw.extra["ra"]), float(raw.extra["dec"])), float(raw.extra["radius"]) * (1 + 1e-6) + 1e-3  # type: ignore[arg-type]
            far = separation_arcsec(*place, np.array([row["ra"] for row in rows], dtype=float), np.array([row["dec"] for row in rows], dtype=float))
            near = [i for i in np.argsort(far, kind="stable") if far[i] <= limit]
            lost = max(0, int(said["nmatches"]) - len(found))
        if near:
            values = {**rows[near[0]], "same_name": lost, "match_distance": float(far[near[0]]), "match_count": len(near)}
            yield target, TableRow(values, UNITS, ROLES, provenance_of(self, raw))


def row_of(name: str, one: dict[str, Any]) -> dict[str, Any]:
    """One pulsar's values."""
    numbers = {key: formats.number(str(one[key]["value"])) for key in ("ra", "dec", "period", "dm")}
    texts = {key: str(one[key]["value"])[:300] for key in ("survey", "url", "date")}
    if numbers["ra"] is None or numbers["dec"] is None:
        raise ValueError(f"{name[:40]!r} has no position")
    return {"name": name, **{key: None if value == NO_NUMBER else value for key, value in numbers.items()}, **texts}


TABLE = FastPulsars(
    name="fast/pulsars", gives=TableRow, url=URL, release="GPPS and CRAFTS lists, live", threads=1, settings={"radius": 180.0},
    coverage=Coverage("the sky that FAST sees, GPPS within 10 deg of the galactic plane", (-14.4, 65.6)),
    citation=(
        "This work made use of the data from FAST (Five-hundred-meter Aperture Spherical radio Telescope), a Chinese national mega-science facility, operated by the National "
        "Astronomical Observatories, Chinese Academy of Sciences. Cite Han et al. 2021, RAA 21, 107 (GPPS), Li et al. 2018, IEEE Microw. Mag. 19, 112 (CRAFTS) and "
        "Kaplan 2022, Astrophysics Source Code Library, ascl:2210.001 (Pulsar Survey Scraper)."
    ),
    licence="lists on the surveys' public pages; cite their papers",
)  # fmt: skip
