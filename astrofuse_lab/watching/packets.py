"""Alert packets as a SampleSet that a run reads: stamps as they were sent, on no other grid, and fields of the candidate record."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import CONTROL, ArchiveError, InputError
from astrofuse_lab.modalities import Image
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.surveys import alert_fields, alert_packets
from astrofuse_lab.surveys.alert_fields import Alert
from astrofuse_lab.training.run import Run

Layout = tuple[str, tuple[str, ...], tuple[int, ...], str]
"""Kind, channels, shape and unit that a run reads of a modality."""
COUNTS = ("adu", "DN")
SMALLEST = 0.25
"""Share of the frame's side that a stamp covers at least: ZTF cuts stamps at the edge of its detectors."""
ORIGIN = Provenance("alert packets", release="as sent")
CARD = Card("alert-packets", "Alert packets, as they came", False, alert_packets.CITATIONS["ztf"], "as the stream's")
RAW: dict[str, Layout] = {"image": ("image", alert_fields.STAMPS, (3, 63, 63), "DN")}


class Packet(NamedTuple):
    """One packet: what it says, and which alert that is.

    Attributes
    ----------
    value : mapping
    alert : Alert
    key : str
        The alert's own number, with its stream: the same in every file.
    """

    value: Mapping[str, Any]
    alert: Alert
    key: str


def plain(words: str) -> str:
    """Words of a packet in one line, without what a terminal obeys."""
    return " ".join(CONTROL.sub("?", words).split())[:300]


def packet_of(value: Mapping[str, Any]) -> Packet:
    """The packet; ValueError where it follows neither schema or has no number."""
    alert = alert_fields.alert_of(value)
    if not alert.names[1]:
        raise ValueError("the alert has no number (candid, diaSourceId)")
    return Packet(value, alert, f"{alert.kind}:{plain(alert.names[1])}")


def reads(run: Run) -> dict[str, Layout]:
    """What a run wants of each packet, by modality.

    Raises
    ------
    InputError
        If it reads anything but stamps and fields of the packet.
    """
    wanted: dict[str, Layout] = {}
    for name, scaling in run.preparation.scalings.items():
        kind, channels, shape, unit = scaling.given if scaling.shown else scaling.layout
        if kind not in ("image", "table"):
            raise InputError(f"the run reads {name!r} ({kind}); of a packet, stamps and its own fields can be scored. Train with modalities=['image'] or ['image', 'table'].")
        unknown = [one for one in channels if one not in alert_fields.STAMPS] if kind == "image" else []
        if unknown:
            raise InputError(f"the run reads the plane {unknown[0]!r} of {name!r}; packets have {', '.join(alert_fields.STAMPS)}. Give a run that was trained on alert stamps.")
        wanted[name] = (kind, tuple(channels), tuple(shape), unit)
    return wanted


def samples_of(packets: "Iterable[Mapping[str, Any] | Packet]", wanted: Mapping[str, Layout] | None = None) -> tuple[SampleSet | None, dict[int, str]]:
    """Packets as a SampleSet, their raw pixels as they are.

    Parameters
    ----------
    packets : iterable of mapping or Packet
        Contents of packets, as ``fastavro`` or `astrofuse_lab.surveys.alert_packets.packets_of` give them.
    wanted : mapping of modality name to layout, optional
        Of `reads`; None: ``image``, the three stamps of ZTF in a frame of 63 x 63.

    Returns
    -------
    samples : SampleSet or None
        One object a packet, in order, ``object_id`` its number; smaller stamps lie at the top left of the frame, the rest is masked. Pixels that are no
        flux (ZTF's -3.4e38 outside the reference) are masked and keep their value. None where no packet is good.
    refused : dict of int to str
        Of the others, by their place: why.
    """
    wanted = RAW if wanted is None else wanted
    good: list[Packet] = []
    planes: list[dict[str, Any]] = []
    refused: dict[int, str] = {}
    seen: set[str] = set()
    for place, given in enumerate(packets):
        try:
            packet = given if isinstance(given, Packet) else packet_of(given)
            if packet.key in seen:
                raise ValueError("the same alert came before")
            made = {name: _framed(packet, layout) for name, layout in wanted.items() if layout[0] == "image"}
        except (ArchiveError, ValueError, TypeError, KeyError, AttributeError) as error:
            refused[place] = plain(str(error)) or type(error).__name__
            continue
        seen.add(packet.key)
        good.append(packet)
        planes.append(made)
    return (_set_of(good, planes, wanted) if good else None), refused


def _framed(packet: Packet, layout: Layout) -> tuple[Any, Any]:
    """Flux and mask of the planes that a run reads, in its frame; ValueError where they do not fit."""
    _, channels, shape, unit = layout
    image: Image | None = alert_fields.stamps(packet.value, packet.alert, "alert packet", packet.alert.names[1], ORIGIN, raw=True)
    if image is None:
        raise ValueError("it has no stamp with a pixel")
    rows, columns = image.flux.shape[1:]
    if image.unit != unit and not {image.unit, unit} <= set(COUNTS):
        raise ValueError(f"its stamps are in {image.unit!r}; the run reads {unit!r}")
    if rows > shape[1] or columns > shape[2] or rows < SMALLEST * shape[1] or columns < SMALLEST * shape[2]:
        raise ValueError(f"its stamps are {rows} x {columns} pixels; the run reads {shape[1]} x {shape[2]}")
    chosen = [alert_fields.STAMPS.index(one) for one in channels]
    flux, mask = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=bool)
    flux[:, :rows, :columns], mask[:, :rows, :columns] = image.flux[chosen], image.mask[chosen]
    return flux, mask


def _set_of(packets: Sequence[Packet], planes: Sequence[Mapping[str, Any]], wanted: Mapping[str, Layout]) -> SampleSet:
    columns: dict[str, Any] = {"object_id": [packet.key for packet in packets], "name": [plain(packet.alert.names[0]) for packet in packets]}
    roles: dict[str, str] = {}
    data: dict[str, ModalityData] = {}
    for name, (kind, channels, shape, unit) in wanted.items():
        if kind == "image":
            flux, mask = (np.stack([one[name][i] for one in planes]) for i in (0, 1))
            spec = ModalitySpec(name, "image", channels, shape, unit, scale=alert_fields.SCALE[packets[0].alert.kind], oriented=False, provenance=ORIGIN)
            data[name] = ModalityData(spec, {"flux": flux, "mask": mask}, np.asarray(mask.any(axis=(1, 2, 3))))
        else:
            columns |= {column: pa.array([field_of(packet, column) for packet in packets], pa.float64()) for column in channels}
            roles |= dict.fromkeys(channels, "input")
    return SampleSet(pa.table(columns), data, roles, {}, CARD)


def field_of(packet: Packet, column: str) -> float | None:
    """A field of the candidate record as a number; None where the packet does not have it.

    Columns of ``ztf-alerts`` are those of the record with ``c_`` before them, and ``history_days``, the days since the first detection on record.
    """
    record = packet.value["candidate" if packet.alert.kind == "ztf" else "diaSource"]
    if column == "history_days":
        first, last = record.get("jdstarthist"), record.get("jd")
        return None if first is None or last is None else float(last) - float(first)
    value = record.get(column.removeprefix("c_"))
    if isinstance(value, str):
        return float(value.lower() in ("t", "1", "true")) if column.endswith("isdiffpos") else None
    if value is None or not isinstance(value, int | float) or not math.isfinite(value) or value == alert_fields.MISSING:
        return None
    return float(value)
