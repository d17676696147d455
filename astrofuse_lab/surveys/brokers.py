"""Alerts from the brokers that make them searchable over HTTP: ALeRCE, Fink and Lasair.

Sources: ALeRCE, https://api.alerce.online/ztf/v1 (``/objects`` by position, ``/objects/<oid>/lightcurve`` with detections and non_detections) and
https://avro.alerce.online (``/get_avro``: the packet itself): addresses in alerce/default_config.json, fields in docs/source/models of
https://github.com/alercebroker/alerce_client; Fink, https://api.ztf.fink-portal.org and https://api.lsst.fink-portal.org (``/api/v1/conesearch``, ``/objects``,
``/sources``, ``/fp``): fields in apps/routes of https://github.com/astrolabsoftware/fink-object-api; Lasair, https://lasair-ztf.lsst.ac.uk/api (``/cone/``, ``/object/``, a
user's own token): lasair/lasair.py of the package lasair 0.1.4. Magnitudes and fluxes are those of the difference image (see `alert_fields`).

What a broker says an object is (classes, probabilities, cross-matches) is not fetched.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image, LightCurve, Modality, TableRow
from astrofuse_lab.surveys import alert_fields, alert_packets, curves, formats, pixels, transport
from astrofuse_lab.surveys.alert_packets import CHOICES, CITATIONS, CLOCK
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.targets import Target, Targets

ZTF_BANDS = tuple(alert_fields.ZTF_BANDS.values())
PACKETS = "https://avro.alerce.online"
MOST = 1000
"""Objects within the radius; more is a failure and no cut list."""
FINK_FIELDS = "i:objectId,i:jd,i:fid,i:magpsf,i:sigmapsf,i:diffmaglim,i:isdiffpos"
RUBIN_FIELDS = "r:diaObjectId,r:midpointMjdTai,r:psfFlux,r:psfFluxErr,r:band"
TOKEN = "LASAIR_TOKEN"  # noqa: S105 the name of a variable


@dataclass
class Broker(Archive):
    """What the brokers share: objects are found by name (``identifier``) or as the nearest within the radius."""

    _: KW_ONLY
    needs: tuple[str, ...] = ()
    threads: int = 2
    kind: str = "ztf"
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)

    def _name(self, target: Target, ask: Ask) -> tuple[str, str]:
        """What the broker calls the object (empty: it has none there), and what was asked."""
        if target.identifier:
            return target.identifier, target.identifier
        if not target.has("position"):
            raise InputError(f"{self.name} needs targets with a position or an identifier; {target.object_id!r} has neither.")
        return self._nearest(target, ask.radius)

    def _nearest(self, target: Target, radius: float) -> tuple[str, str]:
        raise NotImplementedError

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """As each broker is asked."""
        raise NotImplementedError

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """As each broker answers."""
        raise NotImplementedError

    def _curve(self, packet: Mapping[str, Any], raw: Raw, target: str) -> Iterator[tuple[str, Modality]]:
        with formats.reading(self.name, "light curve", target):
            epochs = alert_fields.epochs([packet], self.kind, False)
            curve = curves.made(epochs, raw.extra, provenance_of(self, raw), clock=CLOCK[self.kind])
        if curve is not None:
            yield target, curve

    def _listed(self, rows: Any, target: Target, ra: str, dec: str, name: str) -> str:
        """The nearest of a list of objects; empty where there is none."""
        with formats.reading(self.name, "list of objects", target.object_id):
            if len(rows) >= MOST:
                raise ValueError(f"{len(rows)} objects are within the radius. Ask for a smaller one")
            if not rows:
                return ""
            far = curves.distance(curves.numbers([row[ra] for row in rows]), curves.numbers([row[dec] for row in rows]), (target.ra, target.dec))
            return str(rows[int(np.nanargmin(far))][name])


@dataclass
class Alerce(Broker):
    """ZTF objects of ALeRCE: all detections and limits of an object, or its last or first alert packet (``options={"choose": "first"}``)."""

    _: KW_ONLY
    packets: str = PACKETS

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """The object nearest to each target, its light curve and, for stamps and rows, one packet."""
        given, bands = self.chosen(ask), self.chosen_bands(ask.bands)
        if given.get("choose", "last") not in CHOICES:
            raise InputError(f"{self.name}: choose={given['choose']!r}. It is one of {', '.join(CHOICES)}.")
        for target in targets:
            oid, said = self._name(target, ask)
            files: list[bytes] = []
            if oid:
                try:
                    content, _, said = transport.ask(self, f"/objects/{_plain(oid, self.name)}/lightcurve", target=target.object_id)
                    files = [content] if self.gives is LightCurve else self._packet(content, oid, target, ask, str(given["choose"]))
                except ArchiveError as error:
                    if "HTTP 404" not in str(error):  # no such object
                        raise
            yield pixels.pack(self, target.object_id, files, said, "application/json", **curves.wanted(ask, target, bands))

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The product; nothing where ALeRCE has no object there."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        if self.gives is not LightCurve:
            yield from alert_packets.read_packets(self, raw, files)
            return
        for content in files:
            rows = self._rows(content, target)
            if rows:
                yield from self._curve({"candidate": rows[0], "prv_candidates": rows[1:]}, raw, target)

    def _rows(self, content: bytes, target: str) -> list[dict[str, Any]]:
        """Detections and non-detections in the words of ZTF's packets."""
        value = formats.json_value(content, self.name, target, dict)
        with formats.reading(self.name, "light curve", target):
            rows = [(row, True) for row in value["detections"]] + [(row, False) for row in value["non_detections"]]
            return [{
                "jd": float(row["mjd"]) + curves.JD_TO_MJD, "fid": row["fid"], "magpsf": row["magpsf"] if seen else None,
                "sigmapsf": row["sigmapsf"] if seen else None, "diffmaglim": row.get("diffmaglim"), "isdiffpos": row["isdiffpos"] if seen else None,
                "candid": row.get("candid"), "has_stamp": row.get("has_stamp", False),
            } for row, seen in rows]  # fmt: skip

    def _packet(self, content: bytes, oid: str, target: Target, ask: Ask, choose: str) -> list[bytes]:
        rows = [row for row in self._rows(content, target.object_id) if row["has_stamp"] and row["candid"]]
        if span := target.time or ask.time:
            rows = [row for row in rows if span[0] <= row["jd"] - curves.JD_TO_MJD <= span[1]]
        if not rows:
            return []
        row = (max if choose == "last" else min)(rows, key=lambda row: row["jd"])
        return [transport.ask(self, f"{self.packets}/get_avro", target=target.object_id, params={"oid": oid, "candid": str(row["candid"])})[0]]

    def _nearest(self, target: Target, radius: float) -> tuple[str, str]:
        params = {"ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}", "radius": f"{radius:g}", "page_size": MOST}
        try:
            content, _, address = transport.ask(self, "/objects", target=target.object_id, params=params)
        except ArchiveError as error:
            if "HTTP 404" in str(error):  # how ALeRCE says that it has nothing there
                return "", f"{self.url}/objects {params}"
            raise
        value = formats.json_value(content, self.name, target.object_id, dict)
        with formats.reading(self.name, "list of objects", target.object_id):
            return self._listed(value["items"], target, "meanra", "meandec", "oid"), address


@dataclass
class Fink(Broker):
    """Light curves of Fink: for ZTF with upper limits (epochs of bad quality are masked), for Rubin the detections."""

    _: KW_ONLY
    gives: type = LightCurve

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """A cone search for each target without a name, then the object."""
        self.chosen(ask)
        bands = self.chosen_bands(ask.bands)
        rubin = self.kind == "rubin"
        for target in targets:
            name, said = self._name(target, ask)
            files = []
            if name:
                # the tag that tells limits from detections comes besides the columns asked for
                wanted = {"diaObjectId": name, "columns": RUBIN_FIELDS} if rubin else {"objectId": name, "columns": FINK_FIELDS, "withupperlim": "True"}
                path = "/api/v1/sources" if rubin else "/api/v1/objects"
                content, _, said = transport.ask(self, path, target=target.object_id, method="POST", json={**wanted, "output-format": "json"})
                files = [content]
                said = f"{said} {name}"
            yield pixels.pack(self, target.object_id, files, said, "application/json", **curves.wanted(ask, target, bands))

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The light curve; nothing where Fink has no object there."""
        target = raw.target_ids[0]
        for content in pixels.unpack(self.name, raw):
            rows = formats.json_value(content, self.name, target, list)
            with formats.reading(self.name, "light curve", target):
                records = [self._record(row) for row in rows]
            if records and self.kind == "rubin":
                yield from self._curve({"diaSource": records[0], "prvDiaSources": records[1:]}, raw, target)
            elif records:
                yield from self._curve({"candidate": records[0], "prv_candidates": records[1:]}, raw, target)

    def _record(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """One row in the words of the packets."""
        if self.kind == "rubin":
            return {name: row[f"r:{name}"] for name in ("midpointMjdTai", "psfFlux", "psfFluxErr", "band")}
        record = {name: row.get(f"i:{name}") for name in ("jd", "fid", "magpsf", "sigmapsf", "diffmaglim", "isdiffpos")}
        tag = row.get("d:tag", "valid")
        if record["jd"] is None or tag not in ("valid", "upperlim", "badquality"):
            raise ValueError(f"a row has the tag {str(tag)[:40]!r} and the time {record['jd']}")
        if tag == "upperlim":
            record["magpsf"] = record["sigmapsf"] = None
        elif tag == "badquality":
            record["sigmapsf"] = None  # the mask follows from an error that is none
        return record

    def _nearest(self, target: Target, radius: float) -> tuple[str, str]:
        letter, name = ("r", "diaObjectId") if self.kind == "rubin" else ("i", "objectId")
        wanted = {
            "ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}", "radius": f"{radius:g}", "n": MOST, "columns": f"{letter}:{name}", "output-format": "json",
        }  # fmt: skip
        content, _, address = transport.ask(self, "/api/v1/conesearch", target=target.object_id, method="POST", json=wanted)
        rows = formats.json_value(content, self.name, target.object_id, list)
        return self._listed(rows, target, f"{letter}:ra", f"{letter}:dec", f"{letter}:{name}"), f"{address} {wanted['ra']} {wanted['dec']}"


@dataclass
class Lasair(Broker):
    """ZTF light curves of Lasair, with the user's own token (LASAIR_TOKEN in the environment)."""

    _: KW_ONLY
    gives: type = LightCurve

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """A cone search for each target without a name, then the object."""
        self.chosen(ask)
        bands = self.chosen_bands(ask.bands)
        _token(self.name)
        for target in targets:
            name, said = self._name(target, ask)
            files = [self._post("object", {"objectId": name, "lite": "True"}, target)] if name else []
            yield pixels.pack(self, target.object_id, files, f"{self.url}/object/ {said}", "application/json", **curves.wanted(ask, target, bands))

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The light curve; nothing where Lasair has no object there."""
        target = raw.target_ids[0]
        for content in pixels.unpack(self.name, raw):
            value = formats.json_value(content, self.name, target, dict)
            with formats.reading(self.name, "light curve", target):
                rows = [_lasair(row) for row in value["candidates"]]
            if rows:
                yield from self._curve({"candidate": rows[0], "prv_candidates": rows[1:]}, raw, target)

    def _nearest(self, target: Target, radius: float) -> tuple[str, str]:
        given = {"ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}", "radius": f"{radius:g}", "requestType": "nearest"}
        found = formats.json_value(self._post("cone", given, target), self.name, target.object_id, dict)
        with formats.reading(self.name, "cone search", target.object_id):
            nearest = found.get("nearest", found)
            return str((nearest or {}).get("object") or (nearest or {}).get("objectId") or ""), f"{given['ra']} {given['dec']}"

    def _post(self, method: str, given: Mapping[str, str], target: Target) -> bytes:
        headers = {"Authorization": f"Token {_token(self.name)}"}
        try:
            return transport.ask(self, f"/{method}/", target=target.object_id, method="POST", data=dict(given), headers=headers)[0]
        except ArchiveError as error:
            if "wants a login" not in str(error):
                raise
            raise ArchiveError(self.name, f"Lasair does not take the token in {TOKEN}. Make a new one on your page at https://lasair-ztf.lsst.ac.uk", target.object_id) from None


def _lasair(row: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate in the words of the packets. One without a candid is an exposure without a detection, its magnitude the limit."""
    seen = bool(row.get("candid"))
    jd = row["jd"] if row.get("jd") is not None else float(row["mjd"]) + curves.JD_TO_MJD
    depth = row.get("diffmaglim") if seen or row.get("diffmaglim") is not None else row.get("magpsf")
    return {"jd": jd, "fid": row["fid"], "magpsf": row["magpsf"] if seen else None, "sigmapsf": row["sigmapsf"] if seen else None, "diffmaglim": depth,
            "isdiffpos": row.get("isdiffpos")}  # fmt: skip


def _token(survey: str) -> str:
    """The user's token; InputError where there is none."""
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise InputError(
            f"{survey} needs your own Lasair token. Make an account (free) at https://lasair-ztf.lsst.ac.uk, look under My Profile, and set it before "
            f"starting Python: export {TOKEN}=...  It is sent to Lasair alone and kept nowhere. fink/light_curve and alerce/light_curve need none."
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(f"{survey}: the token in {TOKEN} has signs that no token has. Copy it again from My Profile at https://lasair-ztf.lsst.ac.uk")
    return token


def _plain(name: str, survey: str) -> str:
    """A name that may stand in an address."""
    if not name.isalnum():
        raise InputError(f"{survey}: {name[:60]!r} is no name of an object there. They look like ZTF19abguqsi.")
    return name


NORTH = Coverage("north of -31 deg, what has varied", (-31.0, 90.0))
ALERCE: dict[str, Any] = {
    "url": "https://api.alerce.online/ztf/v1", "release": "live", "licence": "public ZTF alerts; credit ZTF and ALeRCE", "coverage": NORTH,
    "citation": f"{CITATIONS['ztf']} Cite Forster et al. 2021, AJ 161, 242 (ALeRCE).",
}  # fmt: skip
FINK: dict[str, Any] = {"release": "live", "licence": "public alerts; credit the survey and Fink"}
MOLLER = "This work made use of Fink, Moller et al. 2021, MNRAS 501, 3272."
ROWS: dict[str, Broker] = {
    row.name: row
    for row in (
        Alerce(name="alerce/light_curve", gives=LightCurve, bands=ZTF_BANDS, **ALERCE),
        Alerce(name="alerce/image", gives=Image, bands=alert_fields.STAMPS, scale=alert_fields.SCALE["ztf"], settings={"choose": "last"}, **ALERCE),
        Alerce(name="alerce/table", gives=TableRow, settings={"choose": "last"}, **ALERCE),
        Fink(name="fink/light_curve", url="https://api.ztf.fink-portal.org", bands=ZTF_BANDS, coverage=NORTH, citation=f"{CITATIONS['ztf']} {MOLLER}", **FINK),
        Fink(
            name="fink/rubin_light_curve", url="https://api.lsst.fink-portal.org", kind="rubin", bands=("u", "g", "r", "i", "z", "y"),
            coverage=Coverage("south of +15 deg, what has varied", (-90.0, 15.0)), citation=f"{CITATIONS['rubin']} {MOLLER}", **FINK,
        ),
        Lasair(
            name="lasair/light_curve", url="https://lasair-ztf.lsst.ac.uk/api", bands=ZTF_BANDS, coverage=NORTH, release="live",
            licence="public ZTF alerts; credit ZTF and Lasair", citation=f"{CITATIONS['ztf']} Cite Williams et al. 2024, RASTI 3, 362 (Lasair).",
        ),
    )
}  # fmt: skip
