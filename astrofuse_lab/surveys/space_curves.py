"""Light curves of Kepler, K2 and TESS from MAST, over plain HTTPS; lightkurve is not needed.

Sources: MAST's portal API (https://mast.stsci.edu/api/v0/, services Mast.Caom.Filtered.Position and Mast.Caom.Products; answers as recorded in
astroquery/mast/tests/data/caom.json and products.json) and file download (https://mast.stsci.edu/api/v0.1/Download/file?uri=...); files:
Kepler Archive Manual (https://archive.stsci.edu/kepler/manuals/archive_manual.pdf, section 2.3.1: TIME in BJD - 2454833 (TDB), SAP_FLUX, PDCSAP_FLUX in
electrons a second, SAP_QUALITY), TESS Science Data Products Description (https://archive.stsci.edu/missions/tess/doc/EXP-TESS-ARC-ICD-TM-0014.pdf,
section 5: TIME in BJD - 2457000 (TDB), QUALITY). Which quality bits make a cadence useless: as in lightkurve's default (``KeplerQualityFlags``,
``TessQualityFlags`` in lightkurve/utils.py, MIT).

An aperture, and with it the count of electrons, changes from quarter to quarter and sector to sector: each segment is divided by its median unless
``options={"normalise": False}``.
"""

import json
import re
import time as clocks
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import LightCurve, Modality
from astrofuse_lab.surveys import curves, formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.targets import Target, Targets

URL = "https://mast.stsci.edu"
EPOCH = {"Kepler": 2011.0, "K2": 2016.5, "TESS": 2020.0}
# attitude tweak, safe mode, coarse point, Earth point, desaturation, manual exclude, detector anomaly, no data, thruster firing
KEPLER_BAD = 1 + 2 + 4 + 8 + 32 + 256 + 16384 + 65536 + 1048576
# attitude tweak, safe mode, coarse point, Earth point, argabrightening, desaturation, manual exclude, impulsive outlier, bad calibration
TESS_BAD = 1 + 2 + 4 + 8 + 16 + 32 + 128 + 512 + 16384
LONG = 300.0
"""Seconds that an exposure of a long-cadence light curve lasts at least."""
FLUXES = {"pdcsap": "PDCSAP_FLUX", "sap": "SAP_FLUX"}
MOST_ROWS = 5_000_000
WAIT = 0.5  # s between two looks at a query that MAST is still working on
LOOKS = 40
CADENCES = ("long", "short", "fast")
NAMED = re.compile(r"(_llc|_slc|_lc|fast-lc)\.fits(\.gz)?$")


@dataclass
class SpaceCurve(Archive):
    """The mission's own light curves of the observed star nearest to each target, one after another.

    ``options``: ``flux`` ``"pdcsap"`` (systematics removed) or ``"sap"``; ``cadence`` ``"long"`` (30 minutes), ``"short"`` (1 or 2 minutes), ``"fast"``
    (20 seconds); ``segments``: at most so many quarters, campaigns or sectors, the earliest of those within ``time=`` first (the provenance says how many there were);
    ``normalise``.

    Attributes
    ----------
    mission : str
        ``obs_collection`` at MAST.
    bad : int
        Bits of the quality column that make a cadence useless.
    """

    _: KW_ONLY
    mission: str
    bad: int
    gives: type = LightCurve
    url: str = URL
    timeout: float = 180.0
    threads: int = 2
    licence: str = "public domain; credit NASA and STScI"
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """For each target its observations, their products, and the files chosen."""
        given = self.chosen(ask)
        for name, choices in (("flux", tuple(FLUXES)), ("cadence", CADENCES)):
            if given[name] not in choices:
                raise InputError(f"{self.name}: {name}={given[name]!r}. It is one of {', '.join(choices)}.")
        if int(given["segments"]) < 1:
            raise InputError(f"{self.name}: segments={given['segments']}; give at least 1.")
        for moved in targets.at(EPOCH[self.mission]):
            files, said = self._files(moved, ask, given)
            extra = curves.wanted(ask, moved, flux=given["flux"], normalise=bool(given["normalise"]))
            yield pixels.pack(self, moved.object_id, files, f"{self.url} {said}", **extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The light curve against TDB; nothing where the mission did not look."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        relative = bool(raw.extra.get("normalise", True))
        parts = [self._segment(content, str(raw.extra.get("flux", "pdcsap")), relative, target) for content in files]
        if not parts:
            return
        with formats.reading(self.name, "light curve", target):
            columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
            if len(columns[0]) > MOST_ROWS:
                raise ValueError(f"it has {len(columns[0])} epochs. Ask for fewer segments or a shorter time")
            time, flux, error, good = columns
            epochs = curves.Epochs(time, flux, error, np.full(len(time), self.bands[0]), good.astype(bool))
            curve = curves.made(epochs, raw.extra, provenance_of(self, raw), clock="BJD_TDB", unit="relative" if relative else "electron / s")
        if curve is not None:
            yield target, curve

    def _files(self, target: Target, ask: Ask, given: Mapping[str, Any]) -> tuple[list[bytes], str]:
        """The files, as sent, and what was asked for."""
        filters: list[dict[str, Any]] = [{"paramName": "obs_collection", "values": [self.mission]}, {"paramName": "dataproduct_type", "values": ["timeseries"]}]
        place = f"{target.ra:.7f}, {target.dec:.7f}, {ask.radius / 3600:.7f}"
        seen = self._invoke("Mast.Caom.Filtered.Position", {"columns": "*", "filters": filters, "position": place}, target)
        with formats.reading(self.name, "list of observations", target.object_id):
            seen = of_nearest(seen, ask.radius)
            span = target.time or ask.time
            if span is not None:
                seen = [row for row in seen if _over(row, span)]
            ids = ",".join(str(int(row["obsid"])) for row in seen)
        if not ids:
            return [], f"no observation at {place}"
        products = self._invoke("Mast.Caom.Products", {"obsid": ids}, target)
        with formats.reading(self.name, "list of products", target.object_id):
            uris = sorted({str(row["dataURI"]) for row in products if cadence_of(row, seen) == given["cadence"]}, key=lambda uri: uri.rpartition("/")[2])
            if any(not uri.startswith("mast:") for uri in uris):
                raise ValueError(f"{uris[0]!r} is no file of MAST's")
        chosen = uris[: int(given["segments"])]
        said = f"{place}: {len(chosen)} of {len(uris)} {given['cadence']}-cadence files: " + " ".join(uri.rpartition("/")[2] for uri in chosen)
        return [transport.ask(self, "/api/v0.1/Download/file", target=target.object_id, params={"uri": uri})[0] for uri in chosen], said

    def _invoke(self, service: str, params: Mapping[str, Any], target: Target) -> list[dict[str, Any]]:
        """The rows of one query, when MAST has done it."""
        request = json.dumps({"service": service, "params": params, "format": "json", "pagesize": 50_000, "page": 1})
        for _look in range(LOOKS):
            content, _, _ = transport.ask(self, "/api/v0/invoke", target=target.object_id, method="POST", data={"request": request})
            value = formats.json_value(content, self.name, target.object_id, dict)
            if value.get("status") != "EXECUTING":
                break
            clocks.sleep(WAIT)
        if value.get("status") != "COMPLETE" or not isinstance(value.get("data"), list):
            raise ArchiveError(self.name, f"MAST says {value.get('status')}: {str(value.get('msg') or 'no message')[:300]}", target.object_id,
                               transient=value.get("status") == "EXECUTING")  # fmt: skip
        paging = value.get("paging") if isinstance(value.get("paging"), dict) else {}
        if int(paging.get("rowsTotal") or 0) > len(value["data"]):
            raise ArchiveError(self.name, f"MAST has {paging['rowsTotal']} rows and sent {len(value['data'])}. Ask for a smaller radius.", target.object_id)
        return [row for row in value["data"] if isinstance(row, dict)]

    def _segment(self, content: bytes, flux: str, relative: bool, target: str) -> tuple[Any, Any, Any, Any]:
        """Time, flux, error and whether a cadence is good, of one file."""
        units = formats.fits_hdus(content, self.name, target)
        with formats.reading(self.name, "light-curve file", target):
            unit = units["LIGHTCURVE"]
            column = FLUXES[flux]
            rows, header = unit.data, unit.header
            if str(header.get("TIMESYS", "TDB")).strip().upper() != "TDB":
                raise ValueError(f"its clock is {header['TIMESYS']}, not TDB")
            zero = float(header["BJDREFI"]) + float(header.get("BJDREFF", 0.0)) - curves.JD_TO_MJD
            time, values, error = (np.asarray(rows[name], dtype=np.float64) for name in ("TIME", column, f"{column}_ERR"))
            quality = np.asarray(rows["SAP_QUALITY" if "SAP_QUALITY" in unit.columns.names else "QUALITY"]).astype(np.int64)
            if time.ndim != 1 or not time.shape == values.shape == error.shape == quality.shape:
                raise ValueError("its columns are no series")
            good = (quality & self.bad) == 0
            if relative:
                use = good & np.isfinite(values)
                middle = float(np.median(values[use])) if use.any() else np.nan
                if not middle > 0:
                    good[:] = False
                    middle = np.nan
                values, error = values / middle, error / middle
            return time + zero, values, error, good


def of_nearest(rows: list[dict[str, Any]], radius: float) -> list[dict[str, Any]]:
    """The observations of the star nearest to the target: all with its name; none beyond the radius (arcsec)."""
    near = [row for row in rows if row.get("distance") is not None and float(row["distance"]) <= radius]
    if not near:
        return []
    best = min(near, key=lambda row: float(row["distance"]))
    return [row for row in near if row.get("target_name") == best.get("target_name")]


def _over(row: Mapping[str, Any], span: tuple[float, float]) -> bool:
    """Whether an observation lies in a stretch of time; true where MAST does not say when it was made."""
    if row.get("t_min") is None or row.get("t_max") is None:
        return True
    return float(row["t_min"]) <= span[1] and float(row["t_max"]) >= span[0]


def cadence_of(product: Mapping[str, Any], seen: list[dict[str, Any]]) -> str:
    """long, short or fast, as the file's name tells; empty where it is no light curve of the mission's own pipeline."""
    name = str(product.get("productFilename") or "")
    found = NAMED.search(name)
    if found is None or str(product.get("dataURI") or "").rpartition("/")[2] != name:
        return ""
    ending = found[1]
    if ending in ("_llc", "_slc"):
        return "long" if ending == "_llc" else "short"
    if not name.startswith("tess"):
        return ""  # high-level products have lc files of their own kinds
    if ending == "fast-lc":
        return "fast"
    times = [float(row["t_exptime"]) for row in seen if str(row.get("obsid")) == str(product.get("obsID")) and row.get("t_exptime") is not None]
    return "long" if times and min(times) >= LONG else "short"


OPTIONS: dict[str, float | int | str | bool] = {"flux": "pdcsap", "cadence": "long", "segments": 20, "normalise": True}
THANKS = (
    "This paper includes data collected by the {} mission and obtained from the MAST data archive at the Space Telescope Science Institute (STScI). Funding for "
    "the mission is provided by the NASA {}. STScI is operated by the Association of Universities for Research in Astronomy, Inc., under NASA contract "
    "NAS 5-26555. Cite {}."
)
ROWS: dict[str, SpaceCurve] = {
    row.name: row
    for row in (
        SpaceCurve(
            name="kepler/light_curve", mission="Kepler", bad=KEPLER_BAD, bands=("Kepler",), release="Kepler DR25 and as MAST holds it", settings=OPTIONS,
            citation=THANKS.format("Kepler", "Science Mission Directorate", "Borucki et al. 2010, Science 327, 977"),
            coverage=Coverage("116 square degrees in Cygnus and Lyra", (36.0, 53.0)),
        ),
        SpaceCurve(
            name="k2/light_curve", mission="K2", bad=KEPLER_BAD, bands=("Kepler",), release="as MAST holds it", settings=OPTIONS,
            citation=THANKS.format("K2", "Science Mission Directorate", "Howell et al. 2014, PASP 126, 398"),
            coverage=Coverage("fields along the ecliptic", (-35.0, 35.0)),
        ),
        SpaceCurve(
            name="tess/light_curve", mission="TESS", bad=TESS_BAD, bands=("TESS",), release="as MAST holds it", settings={**OPTIONS, "cadence": "short"},
            citation=THANKS.format("TESS", "Explorer Program", "Ricker et al. 2015, JATIS 1, 014003 and Jenkins et al. 2016, Proc. SPIE 9913, 99133E"),
            coverage=Coverage("93 % of the sky, by sectors; light curves of selected stars"),
        ),
    )
}  # fmt: skip
