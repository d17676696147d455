"""Gravitational-wave candidates (superevents) of LIGO, Virgo and KAGRA from GraceDB, over plain HTTPS: parameters and sky maps.

Sources: https://gracedb.ligo.org/documentation/models.html (superevent: t_start, t_0, t_end in GPS seconds, far in Hz, preferred event),
https://gracedb.ligo.org/documentation/rest.html (``/api/superevents/<id>/`` and ``/api/superevents/<id>/files/``, public without a login),
https://emfollow.docs.ligo.org/userguide/content.html (names of the sky map files). The Python clients are GPL and not used.
Files of a superevent: a JSON object, file name (``name``, ``name,version``) to address.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from astrofuse_lab.modalities import Modality, SkyMap, TableRow
from astrofuse_lab.surveys import formats, messages, sky_maps, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://gracedb.ligo.org/api"
# a better analysis goes before a faster one, and many orders before one
MAPS = ("bilby.multiorder.fits", "lalinference.multiorder.fits", "bilby.offline", "bayestar.multiorder.fits", ".multiorder.fits", ".fits.gz", ".fits")
CITATION = (
    "This research has made use of the Gravitational-Wave Candidate Event Database (GraceDB, https://gracedb.ligo.org), a service of the LIGO, Virgo and "
    "KAGRA collaborations. Cite the GCN Circulars of the candidates used."
)
LICENCE = "public alerts, free to use with credit to LIGO/Virgo/KAGRA"

# what an event is taken for (category, group, labels, names) and when it was is no input
UNITS = {"t_start": "s", "t_0": "s", "t_end": "s", "mjd": "d", "far": "Hz", "time_coinc_far": "Hz", "space_coinc_far": "Hz", "preferred_far": "Hz",
         "preferred_gpstime": "s", "duration": "s", "reporting_latency": "s"}  # fmt: skip
TEXTS = ("superevent_id", "gw_id", "category", "created", "labels", "group", "pipeline", "search", "instruments", "preferred_event")
ROLES = {name: "id" if name == "superevent_id" else "other" for name in (*TEXTS, "t_start", "t_0", "t_end", "mjd", "preferred_gpstime")}


@dataclass
class GraceTable(Archive):
    """The parameters of one superevent a target; the target's identifier is the superevent's, e.g. ``S190425z``."""

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target."""
        self.chosen(ask)
        for target in targets:
            path = f"/superevents/{quote(messages.name_of(self.name, target), safe='')}/"
            answer = messages.unless_missing(self, path, target=target.object_id, headers={"Accept": "application/json"})
            content, media_type, address = answer or (b"", "", self.url + path)
            yield Raw(self.name, (target.object_id,), content, address, media_type, now(), {"missing": answer is None})

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The row, unless there is no such superevent."""
        if raw.extra.get("missing") is True and not raw.content:
            return
        target = raw.target_ids[0]
        event = formats.json_value(raw.content, self.name, target, dict)
        with formats.reading(self.name, "superevent", target):
            yield target, TableRow(values_of(event), UNITS, ROLES, provenance_of(self, raw))


def values_of(event: dict[str, Any]) -> dict[str, float | int | str | bool | None]:
    """A superevent as one row."""
    preferred = event.get("preferred_event_data") or {}
    labels = event.get("labels") or []
    if not isinstance(preferred, dict) or not isinstance(labels, list):
        raise TypeError("preferred_event_data or labels are of another kind")
    times = {name: float(event[name]) for name in ("t_start", "t_0", "t_end")}
    if not all(math.isfinite(time) for time in times.values()):
        raise ValueError(f"its times are {times}")
    return {
        "superevent_id": str(event["superevent_id"]), "gw_id": _text(event.get("gw_id")), "category": _text(event.get("category")),
        "created": _text(event.get("created")), "labels": " ".join(str(one) for one in labels[:200]), **times, "mjd": messages.mjd_of_gps(times["t_0"]),
        "duration": times["t_end"] - times["t_start"],
        **{name: _number(event.get(name)) for name in ("far", "time_coinc_far", "space_coinc_far")},
        "preferred_event": _text(preferred.get("graceid") or event.get("preferred_event")),
        **{name: _text(preferred.get(name)) for name in ("group", "pipeline", "search", "instruments")},
        "preferred_far": _number(preferred.get("far")), "preferred_gpstime": _number(preferred.get("gpstime")),
        "reporting_latency": _number(preferred.get("reporting_latency")),
    }  # fmt: skip


@dataclass
class GraceSkyMap(Archive):
    """The sky map of one superevent a target: the multi-order map of the best analysis there is, else a plain one."""

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """Two requests a target: the list of files, then the map."""
        chosen = str(self.chosen(ask)["file"])
        for target in targets:
            base = f"/superevents/{quote(messages.name_of(self.name, target), safe='')}/files/"
            listed = messages.unless_missing(self, base, target=target.object_id, headers={"Accept": "application/json"})
            name = None if listed is None else best(formats.json_value(listed[0], self.name, target.object_id, dict), chosen)
            if name is None:
                yield Raw(self.name, (target.object_id,), b"", self.url + base, "", now(), {"missing": True, "file": chosen})
                continue
            content, media_type, address = transport.ask(self, base + quote(name, safe=","), target=target.object_id)
            yield Raw(self.name, (target.object_id,), content, address, media_type, now(), {"file": name})

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The map, unless the superevent has none."""
        if raw.extra.get("missing") is True and not raw.content:
            return
        yield raw.target_ids[0], sky_maps.read(raw.content, self.name, provenance_of(self, raw), raw.target_ids[0])


def best(files: dict[str, Any], wanted: str = "") -> str | None:
    """The name of the file to read: the one wanted, else by `MAPS`; the newest version (a name without ``,number``) where there are several."""
    names = sorted(str(name) for name in files)
    if wanted:
        return wanted if wanted in files else None
    plain = [name for name in names if "," not in name] or names
    for ending in MAPS:
        hits = [name for name in plain if name.lower().partition(",")[0].endswith((".fits", ".fits.gz")) and ending in name.lower()]
        if hits:
            return hits[0]
    return None


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)[:2000]


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return formats.number(str(value))


ROWS: dict[str, Archive] = {
    row.name: row
    for row in (
        GraceTable(
            name="gracedb/table", gives=TableRow, url=URL, release="GraceDB, live", citation=CITATION, licence=LICENCE, needs=("identifier",), threads=2,
            coverage=Coverage("superevents of O3 and later that are public"),
        ),
        GraceSkyMap(
            name="gracedb/sky_map", gives=SkyMap, url=URL, release="GraceDB, live", citation=CITATION, licence=LICENCE, needs=("identifier",), threads=2,
            coverage=Coverage("superevents of O3 and later that are public"), settings={"file": ""},
        ),
    )
}  # fmt: skip

