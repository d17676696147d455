"""DESI spectra through SPARCL, NOIRLab's database of spectra, over plain HTTPS.

Source: the source of SPARCL's own client, https://github.com/astro-datalab/sparclclient (sparcl/client.py, sparcl/fields.py: ``GET /sparc/datafields/``,
``POST /sparc/find/?limit=``, ``POST /sparc/spectras/?include=&format=json&dataset_list=``; that client asks for pickles, which are never opened here);
fields, https://astrosparcl.datalab.noirlab.edu/sparc/sfc/; contents, https://desidatamodel.readthedocs.io (coadd files: flux in
1e-17 erg / s / cm2 / Angstrom, vacuum wavelengths in ångström, solar system barycentre, mask 0 where good).
A field has a name of science (``flux``) and one of storage; requests use the latter, answers may use either.
The width of the line-spread function is not given: the unit of SPARCL's ``wave_sigma`` for DESI was not found in its documentation.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import SPECTRUM_UNIT, Modality, Spectrum
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.spectrum_units import Pixels, spectrum_of
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Target, Targets

LIMIT = 500
EPOCH = 2015.5
"""Of the Legacy Surveys' and Gaia DR2's positions, from which fibres were placed."""
OUT = ("sparcl_id", "ra", "dec", "specprimary", "data_release")
INCLUDE = ("sparcl_id", "wavelength", "flux", "ivar", "mask", "dateobs_center")
Record = dict[str, Any]


@dataclass
class DesiSpectra(Archive):
    """The DESI coadded spectrum nearest to each target; the primary one (``specprimary``) where there are several of an object."""

    gives: type = Spectrum

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One search a target, since the service knows boxes only, and one request for the spectra of all of them."""
        self.chosen(ask)
        release = ask.release or self.release
        content, _, address = transport.ask(self, "/sparc/datafields/")
        stored = self._stored(content, release)
        ids: dict[str, str] = {}
        for target in targets.at(EPOCH):
            best = self._nearest(target, ask, release, stored)
            if best is not None:
                ids[target.object_id] = best
        extra: dict[str, object] = {"ids": ids, "fields": {old: new for new, old in stored.items() if new in INCLUDE}, "release": release}
        if not ids:
            yield Raw(self.name, targets.ids, content, address, "application/json", now(), extra)
            return
        parameters = {"include": ",".join(stored[name] for name in INCLUDE if name in stored), "format": "json", "dataset_list": release}
        content, media_type, address = transport.ask(self, "/sparc/spectras/", method="POST", params=parameters, json=sorted(set(ids.values())))
        yield Raw(self.name, targets.ids, content, address, media_type, now(), extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The spectra of the targets that were found."""
        alone = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        ids = raw.extra.get("ids")
        answer = formats.json_value(raw.content, self.name, alone, list)
        if isinstance(ids, Mapping) and not ids:
            return
        names = raw.extra.get("fields")
        science: Mapping[str, str] = names if isinstance(names, Mapping) else {}
        by_id: dict[str, Record] = {}
        with formats.reading(self.name, "list of spectra", alone):
            status = answer[0].get("status", {}) if isinstance(answer[0], dict) else {}
            if not (isinstance(status, dict) and status.get("success", True)):
                raise ArchiveError(self.name, f"the archive reports {str(status)[:300]}", alone)
            for record in answer[1:]:
                record = {science.get(key, key): value for key, value in record.items()}
                by_id[str(record["sparcl_id"])] = record
        if not isinstance(ids, Mapping):
            raise ArchiveError(self.name, "the answer does not say which spectrum is whose", alone)
        origin = provenance_of(self, raw)
        for target, identifier in ids.items():
            if str(identifier) not in by_id:
                raise ArchiveError(self.name, f"spectrum {identifier} was found and then not sent", target)
            with formats.reading(self.name, "DESI spectrum", target):
                pixels = _pixels(by_id[str(identifier)])
            yield target, spectrum_of(pixels, self.name, target, origin)

    def _stored(self, content: bytes, release: str) -> dict[str, str]:
        """Names of storage by names of science."""
        fields = formats.json_value(content, self.name, None, list)
        with formats.reading(self.name, "list of fields"):
            stored = {str(f["newdp"]): str(f["origdp"]) for f in fields if f["data_release"] == release}
        lacking = [name for name in (*OUT, *INCLUDE[:-2]) if name not in stored]
        if lacking:
            raise ArchiveError(self.name, f"SPARCL has no fields {', '.join(lacking)} for {release}. It may have changed: see https://astrosparcl.datalab.noirlab.edu")
        return stored

    def _nearest(self, target: Target, ask: Ask, release: str, stored: Mapping[str, str]) -> str | None:
        """The identifier of the spectrum to fetch."""
        records: list[Record] = []
        for low, high in boxes(target, ask.radius):
            side = ask.radius / 3600
            search = [[stored["data_release"], release], [stored["ra"], low, high], [stored["dec"], target.dec - side, target.dec + side]]
            specification = {"outfields": [stored[name] for name in OUT], "search": search}
            content, _, _ = transport.ask(self, "/sparc/find/", target=target.object_id, method="POST", params={"limit": LIMIT}, json=specification)
            answer = formats.json_value(content, self.name, target.object_id, list)
            if len(answer) - 1 >= LIMIT:
                raise ArchiveError(self.name, f"{LIMIT} spectra or more lie within {ask.radius:g} arcsec. Give a smaller radius.", target.object_id)
            records += answer[1:]
        with formats.reading(self.name, "list of spectra", target.object_id):
            science = {old: new for new, old in stored.items()}
            rows = [{science.get(k, k): v for k, v in record.items()} for record in records]
            away = separation_arcsec(target.ra, target.dec, np.array([float(r["ra"]) for r in rows]), np.array([float(r["dec"]) for r in rows]))
            # of one object's spectra (same place) the primary one
            order = sorted((round(float(d), 1), not r.get("specprimary"), float(d), str(r["sparcl_id"])) for d, r in zip(away, rows, strict=True) if d <= ask.radius)
        return order[0][-1] if order else None


def boxes(target: Target, radius: float) -> list[tuple[float, float]]:
    """Right ascensions (deg) of a box around a circle of `radius` arcsec, in two parts where it crosses 0."""
    half = math.degrees(min(math.pi, math.radians(radius / 3600) / max(math.cos(math.radians(min(90.0, abs(target.dec) + radius / 3600))), 1e-9)))
    if half >= 180:
        return [(0.0, 360.0)]
    low, high = target.ra - half, target.ra + half
    if low < 0:
        return [(low + 360, 360.0), (0.0, high)]
    return [(low, 360.0), (0.0, high - 360)] if high > 360 else [(low, high)]


def _pixels(record: Record) -> Pixels:
    wave, flux, ivar = (np.array(record[k], dtype=np.float64) for k in ("wavelength", "flux", "ivar"))
    good = np.array(record["mask"], dtype=np.float64) == 0 if record.get("mask") is not None else None
    return Pixels(wave, flux, "Angstrom", SPECTRUM_UNIT, ivar=ivar, good=good, time=_mjd(record.get("dateobs_center")))


def _mjd(date: object) -> float | None:
    """MJD of an ISO date, as SPARCL gives dates; None where there is none."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(str(date).replace("Z", "+00:00"))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.timestamp() / 86400 + 40587


SPECTRUM = DesiSpectra(
    name="desi/spectrum", url="https://astrosparcl.datalab.noirlab.edu", release="DESI-DR1", releases=("DESI-EDR",), wavelengths=(3600.0, 9824.0), batch=20, threads=2,
    coverage=Coverage("about 9,500 deg2 of the northern and equatorial sky", (-25.0, 85.0)),
    citation=(
        "DESI Collaboration 2025, arXiv:2503.14745 (Data Release 1); full acknowledgement: https://data.desi.lbl.gov/doc/acknowledgments/. "
        "This research uses services or data provided by the SPectra Analysis and Retrievable Catalog Lab (SPARCL) and the Astro Data Lab, which are both part of the "
        "Community Science and Data Center (CSDC) Program of NSF NOIRLab. NOIRLab is operated by the Association of Universities for Research in Astronomy (AURA), Inc. "
        "under a cooperative agreement with the U.S. National Science Foundation. Juneau et al. 2024, arXiv:2401.05576 (SPARCL)."
    ),
    licence="CC-BY-4.0",
)  # fmt: skip
