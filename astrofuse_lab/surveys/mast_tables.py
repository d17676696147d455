"""Pan-STARRS1 DR2 mean objects and the Hubble Source Catalog v3, from MAST.

Sources: Pan-STARRS, https://catalogs.mast.stsci.edu/docs/panstarrs.html (``mean.json``; ra, dec, radius in deg, ``columns=[...]``, ``pagesize``; the answer has ``info``
and ``data``), columns and units from its ``metadata.json``, -999 where nothing was measured
(https://outerspace.stsci.edu/display/PANSTARRS/PS1+MeanObjectView+table+fields); ``raMeanErr`` and ``decMeanErr`` are in arcsec
(.../PS1+AstrometryCorrection+table+fields), whatever the metadata say. Magnitudes are AB. Hubble Source Catalog (not the Hyper Suprime-Cam of the
same initials), https://mast.stsci.edu/api/v0/_services.html (``Mast.Hsc.Db.v3``; ``magtype`` 1: 0.05 or 0.15 arcsec apertures, ABMAG), columns,
https://archive.stsci.edu/hst/hsc/help/HSC_faq.html.

One request a target. MAST does take lists: ``POST .../panstarrs/dr2/mean/crossmatch/upload.csv`` of the Pan-STARRS API
(https://outerspace.stsci.edu/display/PANSTARRS/Easy+cross-match+with+PS1+using+a+list+of+source+positions) and the cross-match services of the MAST API. But the pages
that could be read here name neither the most rows of such an answer nor how a cut one can be told from a whole one, and say nothing of which columns it has
beside those of the catalogue: rows that go missing without a word are worse than many small requests. MAST's TAP service of Pan-STARRS
(https://mast.stsci.edu/vo-tap/api/v0.1/ps1dr2, ``dbo.MeanObjectView``) is open to ``af.surveys.tap``, which asks about many positions in a query.

The catalogue of the Hyper Suprime-Cam survey (HSC-SSP) is another: see `hsc`.
For thousands of targets `af.surveys.xmatch` is quicker: ``af.surveys.xmatch("vizier:II/349/ps1")`` (DR1).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.positions import within
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Target, Targets

LARGEST = 5000
"""Rows of one answer; a cone that has more is refused."""
THANKS = "Based on data from the Mikulski Archive for Space Telescopes (MAST) at the Space Telescope Science Institute, operated by AURA, Inc., under NASA contract NAS 5-26555. "
Columns = Mapping[str, tuple[str, str]]


@dataclass
class MastTable(Archive):
    """The row nearest to each target. A subclass says how to ask and where the rows are.

    Attributes
    ----------
    columns : mapping of str to (str, str)
        Column to unit and role.
    place : tuple of str
        The columns of right ascension and declination, deg.
    epoch : float
        Julian year of the positions.
    missing : float, optional
        What stands for no measurement.
    """

    _: KW_ONLY
    gives: type = TableRow
    batch: int = 8
    columns: Columns
    place: tuple[str, str]
    epoch: float = 2000.0
    missing: float | None = None

    def sent(self, target: Target, ask: Ask) -> tuple[str, str, dict[str, Any]]:
        """Method, path and options of the request about one target."""
        raise NotImplementedError

    def rows(self, raw: Raw) -> list[dict[str, Any]]:
        """The rows of an answer."""
        raise NotImplementedError

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target."""
        self.chosen(ask)
        for target in targets.at(self.epoch):
            method, path, options = self.sent(target, ask)
            content, media_type, address = transport.ask(self, path, target=target.object_id, method=method, **options)
            raw = Raw(self.name, (target.object_id,), content, address, media_type, now(), {"ra": target.ra, "dec": target.dec, "radius": ask.radius})
            self.rows(raw)  # what is no table now, or is not ready yet, is none later either: say so while it can be asked again
            yield raw

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The nearest row, if there is one."""
        target = raw.target_ids[0]
        found = self.rows(raw)
        if not found:
            return
        with formats.reading(self.name, "table", target):
            lacking = [name for name in self.columns if name not in found[0]]
            if lacking:
                raise ArchiveError(self.name, f"the answer lacks the columns {', '.join(lacking)}; it has {', '.join(list(found[0])[:12])}", target, unreadable=True)
            ra, dec = (np.array([float(row[name]) for row in found]) for name in self.place)
            extra: Any = raw.extra
            near, distance = within(float(extra["ra"]), float(extra["dec"]), ra, dec, float(extra["radius"]))
            if not len(near):
                return
            values = {name: self.plain(found[int(near[0])][name], role) for name, (_, role) in self.columns.items()}
            values.update(match_distance=float(distance[0]), match_count=len(near))
        units = {**{name: unit for name, (unit, _) in self.columns.items() if unit}, "match_distance": "arcsec"}
        roles = {**{name: role for name, (_, role) in self.columns.items() if role != "input"}, "match_distance": "other", "match_count": "other"}
        yield target, TableRow(values, units, roles, provenance_of(self, raw))

    def plain(self, cell: Any, role: str) -> float | int | str | bool | None:
        """A cell as a value."""
        if cell is None or (self.missing is not None and isinstance(cell, float | int) and cell == self.missing):
            return None
        if isinstance(cell, dict | list):
            raise TypeError("a cell holds a list")
        return str(cell) if role == "id" else cell


@dataclass
class PanstarrsTable(MastTable):
    """Mean object of Pan-STARRS1: photometry averaged over the single exposures. ``nDetections`` of 1 is mostly no real source."""

    def sent(self, target: Target, ask: Ask) -> tuple[str, str, dict[str, Any]]:
        """A cone of ``dr2/mean.json`` or ``dr1/mean.json``."""
        params = {"ra": f"{target.ra:.8f}", "dec": f"{target.dec:.8f}", "radius": f"{ask.radius / 3600:.8f}", "pagesize": LARGEST, "columns": f"[{','.join(self.columns)}]"}
        return "GET", f"/{(ask.release or self.release).lower()}/mean.json", {"params": params}

    def rows(self, raw: Raw) -> list[dict[str, Any]]:
        """``data`` under the names in ``info``."""
        target = raw.target_ids[0]
        said = formats.json_value(raw.content, self.name, target, dict)
        with formats.reading(self.name, "table", target):
            names, data = [column["name"] for column in said["info"]], said["data"]
            if len(data) >= LARGEST:
                raise ArchiveError(self.name, f"the answer has {len(data)} rows, the most that was asked for, and may be cut. Give a smaller radius.", target)
            return [dict(zip(names, row, strict=True)) for row in data]


@dataclass
class HubbleTable(MastTable):
    """Match of the Hubble Source Catalog: one row an object, with the magnitude in every filter that an answer has (None: not seen in it).

    Columns are instrument and filter, ``A_F814W`` (A is ACS, W2 WFPC2, W3 WFC3), with ``_Sigma`` and ``_N``, the number of images.
    """

    def sent(self, target: Target, ask: Ask) -> tuple[str, str, dict[str, Any]]:
        """A request of the MAST API; ``nr`` is the most rows, ``ni`` the fewest images a source is in."""
        params = {"ra": target.ra, "dec": target.dec, "radius": ask.radius / 3600, "nr": LARGEST, "ni": 1, "magtype": 1}
        request = {"service": "Mast.Hsc.Db.v3", "params": params, "format": "json", "pagesize": LARGEST, "page": 1}
        return "POST", "", {"data": {"request": json.dumps(request)}}

    def rows(self, raw: Raw) -> list[dict[str, Any]]:
        """``data``, a list of rows by name; a request that still runs is asked again later."""
        target = raw.target_ids[0]
        said = formats.json_value(raw.content, self.name, target, dict)
        status = said.get("status")
        if status == "EXECUTING":
            raise ArchiveError(self.name, "MAST is still at work on the request", target, transient=True)
        if status != "COMPLETE":
            raise ArchiveError(self.name, str(said.get("msg") or f"the answer has no status COMPLETE, but {status!r}")[:300], target, unreadable=status is None)
        with formats.reading(self.name, "table", target):
            data = said["data"]
            if len(data) >= LARGEST:
                raise ArchiveError(self.name, f"the answer has {len(data)} rows, the most that was asked for, and may be cut. Give a smaller radius.", target)
            return [dict(row) for row in data]

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The nearest match, with the magnitude in every filter."""
        for target, row in super().read(raw):
            assert isinstance(row, TableRow)
            at = (row.values["MatchRA"], row.values["MatchDec"])
            full = next(r for r in self.rows(raw) if (r["MatchRA"], r["MatchDec"]) == at)
            more = [name for name in full if name[:2] in ("A_", "W2", "W3") and name.count("_") >= 1]
            with formats.reading(self.name, "table", target):
                values = {**row.values, **{name: self.plain(full[name], "input") for name in more}}
            units = {**row.units, **{name: "mag" for name in more if not name.endswith("_N")}}
            roles = {**row.roles, **{name: "other" for name in more if name.endswith("_N")}}
            yield target, TableRow(values, units, roles, row.provenance)


PS1: dict[str, tuple[str, str]] = {
    "objID": ("", "id"), "objName": ("", "other"), "raMean": ("deg", "other"), "decMean": ("deg", "other"), "raMeanErr": ("arcsec", "other"), "decMeanErr": ("arcsec", "other"),
    "epochMean": ("d", "other"), "qualityFlag": ("", "other"), "objInfoFlag": ("", "other"), "nDetections": ("", "other"),
    **{f"n{band}": ("", "other") for band in "grizy"},
    **{f"{band}{kind}": ("mag", "input") for band in "grizy" for kind in ("MeanPSFMag", "MeanPSFMagErr", "MeanKronMag", "MeanKronMagErr", "MeanApMag", "MeanApMagErr")},
    **{f"{band}QfPerfect": ("", "other") for band in "grizy"},
}  # fmt: skip
HSC: dict[str, tuple[str, str]] = {
    "MatchID": ("", "id"), "MatchRA": ("deg", "other"), "MatchDec": ("deg", "other"), "DSigma": ("mas", "other"), "AbsCorr": ("", "other"), "NumFilters": ("", "other"),
    "NumVisits": ("", "other"), "NumImages": ("", "other"), "StartMJD": ("d", "other"), "StopMJD": ("d", "other"), "TargetName": ("", "other"), "CI": ("", "input"),
    "CI_Sigma": ("", "other"), "KronRadius": ("arcsec", "input"), "KronRadius_Sigma": ("arcsec", "other"), "Extinction": ("mag", "input"), "SpectrumFlag": ("", "other"),
}  # fmt: skip
PANSTARRS = PanstarrsTable(
    name="panstarrs/table", url="https://catalogs.mast.stsci.edu/api/v0.1/panstarrs", columns=PS1, place=("raMean", "decMean"), epoch=2012.5, missing=-999.0, release="DR2",
    releases=("DR1",), coverage=Coverage("north of -30 deg", (-30.0, 90.0), 0.0, "CDS/P/PanSTARRS/DR1/color-z-zg-g"),
    citation=(
        "The Pan-STARRS1 Surveys (PS1) and the PS1 public science archive have been made possible through contributions by the Institute for Astronomy, the University of "
        "Hawaii and partners (full text: https://panstarrs.stsci.edu/). Cite Chambers et al. 2016, arXiv:1612.05560 and Flewelling et al. 2020, ApJS 251, 7. "
    ) + THANKS,
    licence="free to use with the Pan-STARRS1 acknowledgement",
)  # fmt: skip
HUBBLE = HubbleTable(
    name="hubble/table", url="https://mast.stsci.edu/api/v0/invoke", columns=HSC, place=("MatchRA", "MatchDec"), epoch=2005.0, release="Hubble Source Catalog v3",
    timeout=120.0, coverage=Coverage("single Hubble images of WFPC2, ACS and WFC3"),
    citation=(
        "Based on observations made with the NASA/ESA Hubble Space Telescope, and obtained from the Hubble Legacy Archive, which is a collaboration between the Space Telescope "
        "Science Institute (STScI/NASA), the Space Telescope European Coordinating Facility (ST-ECF/ESAC/ESA) and the Canadian Astronomy Data Centre (CADC/NRC/CSA). "
        "Cite Whitmore et al. 2016, AJ 151, 134. "
    ) + THANKS,
    licence="public domain; credit NASA, ESA and STScI",
)  # fmt: skip
ROWS = {row.name: row for row in (PANSTARRS, HUBBLE)}
