"""Published gravitational-wave events: parameters and strain from the Gravitational Wave Open Science Center, over plain HTTPS.

Sources: GWOSC API v2 (https://gwosc.org/api): ``/event-versions?include-default-parameters=true&lastver=true`` (name, shortName, gps, version, catalog,
detectors, default_parameters of name, best, upper_error, lower_error, unit), ``/event-versions/<name>/strain-files`` (detector, gps_start, sample_rate_kHz,
duration, file_format, download_url), pages of ``results`` with ``next``; https://gwosc.org/view_file (HDF5: strain/Strain with Xstart and Xspacing,
quality/simple/DQmask at 1 Hz, whose bit 0 is "data present"). The Python clients of sky maps and strain are GPL and not used; for
sky maps of published events see `gwosc_maps`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Modality, TableRow, TimeSeries
from astrofuse_lab.surveys import formats, hdf5_files, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://gwosc.org/api/v2"
MOST_PAGES = 200
DURATIONS = (32, 4096)
"""Seconds of strain in the files that accompany an event."""
CITATION = (
    "This research has made use of data or software obtained from the Gravitational Wave Open Science Center (gwosc.org), a service of the LIGO Scientific "
    "Collaboration, the Virgo Collaboration, and KAGRA. Cite Abbott et al. 2023, ApJS 267, 29 (O3) and Abbott et al. 2021, SoftwareX 13, 100658 (O1, O2)."
)
LICENCE = "CC-BY-4.0"
TEXTS = {"event": "id", "name": "other", "catalog": "other", "detectors": "other", "version": "other", "gps": "other", "mjd": "other"}
VERDICTS = ("p_astro", "far", "pastro")
"""Parameters that say how likely an event is one: a classifier must not see them."""


def pages(survey: Archive, path: str, target: str | None = None, **params: str) -> Iterator[bytes]:
    """The answers of a listing, page by page, as sent."""
    content, _, _ = transport.ask(survey, path, target=target, params=params, headers={"Accept": "application/json"})
    for _ in range(MOST_PAGES):
        yield content
        following = formats.json_value(content, survey.name, target, dict).get("next")
        if not following:
            return
        content, _, _ = transport.ask(survey, messages.same_house(survey, following, target), target=target, headers={"Accept": "application/json"})
    raise ArchiveError(survey.name, f"the listing has more than {MOST_PAGES} pages, so the answer is not complete", target)


def results(parts: Sequence[bytes], survey: str, target: str | None = None) -> list[dict[str, Any]]:
    """The entries of all pages."""
    rows: list[dict[str, Any]] = []
    for part in parts:
        value = formats.json_value(part, survey, target, dict)
        found = value.get("results")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ArchiveError(survey, "the answer has no list of results", target)
        rows += found
    return rows


def named(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """The entry with this name, alias, GraceDB number or, where it is the only one, beginning (``GW190412`` of ``GW190412_053044``); the latest version."""
    wanted = name.casefold()

    def known(row: dict[str, Any]) -> set[str]:
        aliases = row.get("aliases") or []
        many = [row.get("name"), row.get("shortName"), row.get("commonName"), row.get("grace_id"), *(aliases if isinstance(aliases, list) else [])]
        return {str(one).casefold() for one in many if one}

    exact = [row for row in rows if wanted in known(row)]
    starts = [row for row in rows if any(one.startswith(wanted + "_") for one in known(row))] if not exact else []
    if len({str(row.get("shortName")) for row in starts}) > 1:
        return None
    return max(exact or starts, key=lambda row: _version(row.get("version")), default=None)


@dataclass
class GwoscTable(Archive):
    """The published parameters of one event a target; the target's identifier is the event's name, e.g. ``GW150914``."""

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """The list of events, some pages for any number of targets."""
        self.chosen(ask)
        given = {"include-default-parameters": "true", "lastver": "true", "pagesize": "500", "format": "json"}
        parts = list(pages(self, "/event-versions", targets.ids[0] if len(targets) == 1 else None, **given))
        extra = {"lengths": [len(part) for part in parts], "names": {t.object_id: messages.name_of(self.name, t) for t in targets}}
        yield Raw(self.name, targets.ids, b"".join(parts), f"{self.url}/event-versions {given}", "application/json", now(), extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """A row for each event that is in the list; values are the best ones, with ``_lower`` and ``_upper`` errors."""
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        rows = results(messages.pieces(raw), self.name, only)
        origin = provenance_of(self, raw)
        for target in raw.target_ids:
            found = named(rows, messages.entry(raw, "names", target, target))
            if found is not None:
                with formats.reading(self.name, "list of events", target):
                    yield target, TableRow(*row_of(found), origin)


def row_of(event: dict[str, Any]) -> tuple[dict[str, float | int | str | bool | None], dict[str, str], dict[str, str]]:
    """Values, units and roles of one event."""
    gps = formats.number(str(event["gps"])) if event.get("gps") is not None else None
    values: dict[str, float | int | str | bool | None] = {
        "event": str(event.get("shortName") or event["name"]), "name": str(event["name"]), "catalog": str(event.get("catalog") or ""),
        "detectors": " ".join(str(one) for one in event.get("detectors") or []), "version": _version(event.get("version")),
        "gps": gps, "mjd": None if gps is None else messages.mjd_of_gps(gps),
    }  # fmt: skip
    units, roles = {"gps": "s", "mjd": "d"}, dict(TEXTS)
    for one in event.get("default_parameters") or []:
        name = str(one["name"])
        if name in values:
            raise ValueError(f"parameter {name!r} occurs twice")
        for column, key in ((name, "best"), (name + "_lower", "lower_error"), (name + "_upper", "upper_error")):
            value = one.get(key)
            values[column] = None if value is None else formats.number(str(value))
            if one.get("unit"):
                units[column] = str(one["unit"])
            if name in VERDICTS:
                roles[column] = "other"
        if one.get("is_upper_limit") or one.get("is_lower_limit"):
            values[name + "_is_limit"], roles[name + "_is_limit"] = True, "other"
    return values, units, roles


@dataclass
class GwoscStrain(Archive):
    """Strain of all detectors around one event a target, 4096 samples a second.

    The option ``window`` is how many seconds around the event are wanted; above 32 s, files of 4096 s (125 MB a detector) are fetched.
    """

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """The list of events once, then for each target the list of its files and one download a detector."""
        window = float(self.chosen(ask)["window"])
        detectors = self.chosen_bands(ask.bands)
        if not 0 < window <= DURATIONS[1]:
            raise InputError(f"{self.name}: window={window:g} s. Give seconds around the event, more than 0 and at most {DURATIONS[1]}.")
        events = results(list(pages(self, "/event-versions", lastver="true", pagesize="500", format="json")), self.name)
        duration = next(d for d in DURATIONS if window <= d)
        for target in targets:
            event = named(events, messages.name_of(self.name, target))
            files = self._files(event, duration, target.object_id) if event is not None else {}
            chosen = [name for name in detectors if name in files]
            contents = [transport.ask(self, files[name], target=target.object_id)[0] for name in chosen]
            extra = {"lengths": [len(one) for one in contents], "detectors": chosen, "window": window,
                     "gps": float(event["gps"]) if event is not None and chosen else None}  # fmt: skip
            query = " ".join(files[name] for name in chosen) or f"{self.url}/event-versions {messages.name_of(self.name, target)}"
            yield Raw(self.name, (target.object_id,), b"".join(contents), query, "application/x-hdf5", now(), extra)

    def _files(self, event: dict[str, Any], duration: int, target: str) -> dict[str, str]:
        """Detector to address of its HDF5 file of this duration."""
        path = f"/event-versions/{quote(str(event.get('name')), safe='')}/strain-files"
        listed = results(list(pages(self, path, target, **{"sample-rate": "4", "duration": str(duration), "format": "json"})), self.name, target)
        files: dict[str, str] = {}
        for one in listed:
            address = str(one.get("download_url") or one.get("hdf5_url") or "")
            four = one.get("sample_rate_kHz") in (4, 4.0, None) and one.get("duration") in (duration, None)
            if four and address.partition("?")[0].endswith(".hdf5"):
                files[str(one.get("detector"))] = messages.same_house(self, address, target)
        return files

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The strain of all detectors on one clock, unless the event has none."""
        target = raw.target_ids[0]
        detectors = raw.extra.get("detectors", ["?"])
        if not raw.content and detectors == []:
            return
        parts = messages.pieces(raw)
        with formats.reading(self.name, "strain file", target):
            window, gps = float(raw.extra.get("window", DURATIONS[0])), raw.extra.get("gps")  # type: ignore[arg-type]
            read = [strain(part, self.name, target, None if gps is None else float(gps), window) for part in parts]  # type: ignore[arg-type]
            start, step, length = read[0][0], read[0][1], min(len(one[2]) for one in read)
            if any(abs(one[0] - start) > step / 2 or one[1] != step for one in read) or not length:
                raise ValueError("the detectors' files are of other times or rates")
            values, mask = np.stack([one[2][:length] for one in read]), np.stack([one[3][:length] for one in read])
            begin = messages.mjd_of_gps(start)
        series = TimeSeries(begin, step, values, mask, tuple(str(one) for one in detectors), "strain", provenance_of(self, raw))  # type: ignore[attr-defined]
        yield target, series


def strain(content: bytes, survey: str, target: str, gps: float | None, window: float) -> tuple[float, float, Any, Any]:
    """First GPS second, step (s), strain and mask of one file, `window` seconds around `gps`; zeros where it is masked."""
    found = hdf5_files.read(content, ("strain/Strain", "quality/simple/DQmask"), survey, target)
    with formats.reading(survey, "strain file", target):
        whole, said = found["strain/Strain"]
        flags = found["quality/simple/DQmask"].values
        start, step = float(said["Xstart"]), float(said["Xspacing"])
        if not 1e-6 < step < 1:
            raise ValueError(f"a step of {step} s")
        first = 0 if gps is None else max(0, round((gps - window / 2 - start) / step))
        last = None if gps is None else max(first, round((gps + window / 2 - start) / step))
        values = whole[first:last].astype(np.float64)
        second = np.floor((np.arange(len(values)) + first) * step + 1e-9).astype(np.int64)
        if len(second) and second[-1] >= len(flags):
            raise ValueError(f"{len(flags)} s of quality flags for more strain")
    mask = np.isfinite(values) & ((flags[second].astype(np.int64) & 1) == 1)
    return start + first * step, step, np.where(mask, values, 0.0), mask


def _version(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


ROWS: dict[str, Archive] = {
    row.name: row
    for row in (
        GwoscTable(
            name="gwosc/table", gives=TableRow, url=URL, release="latest version of each event", citation=CITATION, licence=LICENCE, needs=("identifier",),
            batch=10_000, threads=1, coverage=Coverage("published events, O1 and later"),
        ),
        GwoscStrain(
            name="gwosc/strain", gives=TimeSeries, url=URL, release="latest version of each event, 4 kHz", citation=CITATION, licence=LICENCE,
            needs=("identifier",), bands=("H1", "L1", "V1", "K1", "G1"), batch=4, threads=2, settings={"window": 32.0},
            coverage=Coverage("published events, O1 and later"),
        ),
    )
}  # fmt: skip
