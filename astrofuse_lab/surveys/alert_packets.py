"""Alert packets in files: light curves, stamps and rows of ZTF's and Rubin's alerts, without a network.

``af.surveys.alerts("folder of packets")`` makes a survey for ``af.fetch``. Files are Avro (object container files with one or many packets, packed or not) or Parquet
with a packet a row (as the brokers store them). What the packets say: `alert_fields`. Which of them belong to a target is told by position, or by
``identifier``: the object's name, the alert's number, or a moving object's designation.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image, LightCurve, Modality, TableRow
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys import alert_fields, avro_files, curves, formats, parquet_files, pixels, sessions
from astrofuse_lab.surveys.alert_fields import Alert
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, Survey, provenance_of
from astrofuse_lab.surveys.ztf_images import CITATION as ZTF
from astrofuse_lab.targets import Target, Targets

ENDINGS = (".avro", ".avro.gz", ".parquet")
LARGEST_FILE = 2 * 1024**3
MOST_PACKETS = 500
"""Of one object, for its light curve: the newest."""
KINDS: dict[str, type] = {"light_curve": LightCurve, "image": Image, "table": TableRow}
CHOICES = ("last", "first")
CLOCK = {"ztf": "UTC", "rubin": "TAI"}
CITATIONS = {
    "ztf": f"{ZTF} Alert packets: Patterson et al. 2019, PASP 131, 018001.",
    "rubin": "Based on alerts of the Vera C. Rubin Observatory, which is operated by NSF NOIRLab and SLAC. Cite Ivezic et al. 2019, ApJ 873, 111; alert packets: LSE-163.",
}


class Place(NamedTuple):
    """Where a packet lies: the file, and its number there."""

    file: Path
    number: int


class Index(NamedTuple):
    """What all packets are, row by row; `named` has the rows that go by a name, `objects` those of one object."""

    alerts: list[Alert]
    places: list[Place]
    ra: curves.Array
    dec: curves.Array
    named: Mapping[str, list[int]]
    objects: Mapping[tuple[str, str], list[int]]


@dataclass
class AlertPackets(Archive):
    """One kind of product of the alerts of the object nearest to each target.

    ``options``: ``forced`` (light curves) takes forced photometry in place of detections and limits; ``choose`` (stamps, rows) ``"last"`` or ``"first"`` alert.

    Attributes
    ----------
    files : tuple of Path
    fingerprint : str
        Of the files: answers about others, or about changed ones, are not mixed up in the cache.
    """

    _: KW_ONLY
    files: tuple[Path, ...]
    fingerprint: str = ""
    needs: tuple[str, ...] = ()
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    index: Index | None = field(default=None, repr=False, compare=False)
    lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """The packets of each target, each as a file of its own."""
        given, bands = self.chosen(ask), self.chosen_bands(ask.bands)
        if given.get("choose", "last") not in CHOICES:
            raise InputError(f"{self.name}: choose={given['choose']!r}. It is one of {', '.join(CHOICES)}.")
        index = self.indexed()
        mine = []
        for target in targets:
            if not (target.has("position") or target.has("identifier")):
                raise InputError(f"{self.name} needs targets with a position or an identifier; {target.object_id!r} has neither.")
            rows, far, count = self._mine(index, target, ask)
            chosen = rows[-MOST_PACKETS:] if self.gives is LightCurve else rows[-1:] if given["choose"] == "last" else rows[:1]
            mine.append((target, rows, chosen, far, count))
        cut = packet_files([index.places[i] for _, _, chosen, _, _ in mine for i in chosen], self.name)
        for target, rows, chosen, far, count in mine:
            files = [cut[index.places[i]] for i in chosen]
            names = ", ".join(dict.fromkeys(f"{index.places[i].file.name}[{index.places[i].number}]" for i in chosen[-5:]))
            extra = curves.wanted(ask, target, bands, forced=bool(given.get("forced", False)), more={"match_distance": far, "match_count": count})
            yield pixels.pack(self, target.object_id, files, f"{len(chosen)} of {len(rows)} packets of the object: {names}", **extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The product of one target; nothing where no packet is its."""
        yield from read_packets(self, raw, pixels.unpack(self.name, raw))

    def indexed(self) -> Index:
        """What the files hold, looked at once."""
        with self.lock:
            if self.index is None:
                alerts, places = [], []
                for file in self.files:
                    mine = sessions.current()
                    if mine is not None and mine.over:
                        raise ArchiveError(self.name, "the fetch has ended", transient=True)
                    for number, packet in enumerate(packets_of(content_of(file, self.name), self.name, str(file))):
                        with formats.reading(self.name, f"alert packet (number {number} in {file.name})"):
                            alerts.append(alert_fields.alert_of(packet))
                        places.append(Place(file, number))
                ra, dec = (np.array([getattr(alert, axis) for alert in alerts], dtype=np.float64) for axis in ("ra", "dec"))
                named: dict[str, list[int]] = {}
                objects: dict[tuple[str, str], list[int]] = {}
                for row, alert in enumerate(alerts):
                    for word in {word for word in alert.names if word}:
                        named.setdefault(word, []).append(row)
                    objects.setdefault(_object(alert), []).append(row)
                self.index = Index(alerts, places, ra, dec, named, objects)
            return self.index

    def _mine(self, index: Index, target: Target, ask: Ask) -> tuple[list[int], float | None, int]:
        """Rows of the index in order of time, how far from the target the nearest is (arcsec), and how many objects are within the radius."""
        far = curves.distance(index.ra, index.dec, (target.ra, target.dec)) if target.has("position") else np.full(len(index.alerts), np.nan)
        mine = index.named.get(target.identifier or target.object_id, [])
        near = [int(i) for i in np.flatnonzero(far <= ask.radius)]
        if not mine and (target.identifier or not near):
            return [], None, 0
        # an alert's number stands for its object
        mine = index.objects[_object(index.alerts[mine[0] if mine else min(near, key=lambda i: far[i])])]
        span = target.time or ask.time
        if span is not None and self.gives is not LightCurve:
            mine = [i for i in mine if span[0] <= index.alerts[i].time <= span[1]]
        objects = len({_object(index.alerts[i]) for i in near}) or len(mine[:1])
        nearest = float(np.min(far[mine])) if mine and np.isfinite(far[mine]).any() else None
        return sorted(mine, key=lambda i: index.alerts[i].time), nearest, objects


def _object(alert: Alert) -> tuple[str, str]:
    """What alerts of one object have in common; those without a name (moving objects) are each their own."""
    return alert.kind, alert.names[0] or alert.names[1]


def packets_of(content: bytes, survey: str, target: str | None = None) -> Iterator[Mapping[str, Any]]:
    """All packets of an Avro or Parquet file.

    Raises
    ------
    ArchiveError
        If it is neither, cut short, or claims more than can be held.
    """
    if content.startswith(parquet_files.MARK):
        rows = parquet_files.table(content, survey, target=target)
        with formats.reading(survey, "Parquet file of packets", target):
            for batch in rows.to_batches(max_chunksize=64):
                yield from batch.to_pylist()
        return
    try:
        for packet in avro_files.packets(formats.unpacked(content, survey, target)):
            yield packet.value
    except avro_files.AvroError as error:
        raise avro_files.refused(survey, error, target) from error


def packet_files(places: Iterable[Place], survey: str) -> dict[Place, bytes]:
    """Packets as files of their own, each source read once; a file that holds one packet is given as it is."""
    wanted: dict[Path, set[int]] = {}
    for place in places:
        wanted.setdefault(place.file, set()).add(place.number)
    made: dict[Place, bytes] = {}
    for file, numbers in wanted.items():
        found = _cut(content_of(file, survey), numbers, survey, str(file))
        if set(found) != numbers:
            raise ArchiveError(survey, f"{file} has changed since it was looked at: it has no packet {min(numbers - set(found))}. Make the survey anew.")
        made |= {Place(file, number): content for number, content in found.items()}
    return made


def _cut(content: bytes, numbers: set[int], survey: str, file: str) -> dict[int, bytes]:
    if content.startswith(parquet_files.MARK):
        rows = parquet_files.table(content, survey, target=file)
        return {n: content if rows.num_rows == 1 else parquet_files.one_row(rows, n) for n in numbers if n < rows.num_rows}
    plain = formats.unpacked(content, survey, file)
    made, count = {}, 0
    try:
        head = avro_files.opened(plain)
        for count, packet in enumerate(avro_files.packets(plain), 1):
            if count - 1 in numbers:
                made[count - 1] = avro_files.one_packet(head, packet)
    except avro_files.AvroError as error:
        raise avro_files.refused(survey, error, file) from error
    return {0: content} if count == 1 and made else made


def read_packets(survey: Survey, raw: Raw, files: Sequence[bytes]) -> Iterator[tuple[str, Modality]]:
    """What the packets of one target give: shared with the brokers that send packets."""
    target = raw.target_ids[0]
    found = [packet for content in files for packet in packets_of(content, survey.name, target)]
    if files and not found:
        raise ArchiveError(survey.name, "the file holds no packet", target)
    if not found:
        return
    with formats.reading(survey.name, "alert packet", target):
        alerts = [alert_fields.alert_of(packet) for packet in found]
        kind = alerts[-1].kind
        origin = _origin(survey, raw, kind)
        product: Modality | None
        if survey.gives is LightCurve:
            mine = [packet for packet, alert in zip(found, alerts, strict=True) if alert.kind == kind]
            product = curves.made(alert_fields.epochs(mine, kind, bool(raw.extra.get("forced"))), raw.extra, origin, clock=CLOCK[kind])
        elif survey.gives is Image:
            product = alert_fields.stamps(found[-1], alerts[-1], survey.name, target, origin)
        else:
            more: Any = raw.extra.get("more") or {}
            product = alert_fields.row(found[-1], alerts[-1], origin, more)
    if product is not None:
        yield target, product


def _origin(survey: Survey, raw: Raw, kind: str) -> Provenance:
    origin = provenance_of(survey, raw)
    return replace(origin, citation=f"{CITATIONS[kind]} {origin.citation}".strip())


def content_of(file: Path, survey: str) -> bytes:
    """The bytes of a file of packets; ArchiveError where it cannot be read or is too large."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ArchiveError(survey, f"{file} is larger than {LARGEST_FILE // 1024**3} GB. Split it into smaller files.")
        return file.read_bytes()
    except OSError as error:
        raise ArchiveError(survey, f"{file} cannot be read ({error.strerror or error})") from error


def alerts(files: "str | Path | Iterable[str | Path]", *, gives: str = "light_curve", name: str = "", citation: str = "", licence: str = "") -> AlertPackets:
    """A survey of the alert packets in files.

    Parameters
    ----------
    files : path, or several
        Avro or Parquet files, or folders that hold such (``.avro``, ``.avro.gz``, ``.parquet``; subfolders too).
    gives : str
        ``light_curve``, ``image`` (science, reference, difference) or ``table`` (the candidate's measurements).
    name : str
        Of the survey; empty: the folder's or first file's name and what it gives.
    citation, licence : str
        Besides those of the stream, carried by every product.

    Returns
    -------
    survey
        For ``af.fetch(targets, surveys=[...])``, beside names. Targets have a position, or an identifier.

    Raises
    ------
    InputError
        If there is no such file or no packet file in a folder, or for another kind of product.
    """
    if gives not in KINDS:
        raise InputError(f"gives={gives!r}. It is one of {', '.join(map(repr, KINDS))}.")
    given = [Path(file) for file in ([files] if isinstance(files, str | Path) else files)]
    found = tuple(file for path in given for file in _found(path))
    if not found:
        raise InputError("no files were given. Type af.surveys.alerts('folder of packets').")
    stem = (given[0].name if given[0].is_dir() else found[0].name.split(".")[0]).lower()
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in stem).strip("-.") or "alerts"
    marks = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in found]
    return AlertPackets(
        name=name or f"{plain}/{gives}", gives=KINDS[gives], url="", files=found, release="as packed", batch=100, threads=2,
        bands=alert_fields.STAMPS if gives == "image" else (), citation=citation, licence=licence or "as the stream's: public ZTF and Rubin alerts are free to use with credit",
        coverage=Coverage("where the packets lie"), settings={"forced": False} if gives == "light_curve" else {"choose": "last"},
        fingerprint=hashlib.sha256(repr((gives, marks)).encode()).hexdigest()[:16],
    )  # fmt: skip


def _found(path: Path) -> list[Path]:
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.name.lower().endswith(ENDINGS) and file.is_file())
        if not inside:
            raise InputError(f"{path} holds no packets: no file that ends in {', '.join(ENDINGS)}.")
        return inside
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    return [path]
