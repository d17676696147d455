"""MPILD: polarity inversion lines of solar active regions (Ji et al. 2023, ApJS 265, 28; doi.org/10.7910/DVN/BKP1RH).

The layout is that of the same group's sample (github.com/annieee6446/ec22-MPIL, ``Sample_Input/377``); that the Dataverse files use these
names is likely, not confirmed::

    <HARP>/harp<HARP>_<YYYY-MM-DD-HH:MM:SS>_<BLOS|BR...>_<PIL|RoPI|CHPIL>_<thresholds>.png        8-bit grey, another size for each region
    *.csv                              optional: rows with a HARP number and a time, joined to the images

A colon in the names may have become ``-``, ``_`` or ``.`` where a disk or an archive does not allow it. One object is one region at one
time; each of the three masks is an image modality, 1 inside. They are brought to ``size`` pixels a side with the aspect ratio lost.
"""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.readers import files, pictures
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

LAYOUT = "<HARP>/harp<HARP>_<YYYY-MM-DD-HH:MM:SS>_<field>_<PIL|RoPI|CHPIL>_<thresholds>.png, and CSV files of their properties"
NAME = re.compile(r"harp0*(\d+)_(\d{4}-\d\d-\d\d)[-T_](\d\d)\D(\d\d)\D(\d\d)_([A-Za-z]+)_(PIL|RoPI|CHPIL)(?:_(.*))?\.png", re.IGNORECASE)
MASKS = {"pil": "pil", "ropi": "ropi", "chpil": "convex_hull"}
TIME = ("time", "t_rec", "timestamp", "date", "datetime")
CARD = Card(
    "mpild", "MPILD: polarity inversion lines of solar active regions", citation="Ji et al. 2023, ApJS 265, 28", licence="unknown",
    notes=("The layout is that of the group's own sample of one region; that of the Dataverse is not confirmed.", "Split by region (role group).",
           "Masks of all sizes are brought to one square; scale and aspect ratio are lost, the original size is in width and height."),
)  # fmt: skip


def read(path: Path, size: int = 128) -> SampleSet:
    """One object a region and time.

    Raises
    ------
    SampleSetError
        If no file has such a name, or a property file has no region or time.
    """
    found: dict[tuple[int, str], dict[str, Path]] = {}
    fields: dict[tuple[int, str], str] = {}
    for file in sorted(path.rglob("*.png")):
        if match := NAME.fullmatch(file.name):
            harp, day, hour, minute, second, field, mask, _ = match.groups()
            key = (int(harp), f"{day}T{hour}:{minute}:{second}")
            found.setdefault(key, {})[MASKS[mask.lower()]] = file
            fields[key] = field.upper()
    if not found:
        raise SampleSetError(f"{path} is not of the layout that this reader expects: no picture has such a name. Expected: {LAYOUT}")
    keys = sorted(found)
    shapes: dict[tuple[int, str], tuple[int, ...]] = {}
    data: dict[str, ModalityData] = {}
    for name in MASKS.values():
        planes = []
        for key in keys:
            plane = pictures.grey(found[key][name]) if name in found[key] else None
            shapes[key] = plane.shape if plane is not None else shapes.get(key, (0, 0))
            planes.append((plane > 0).astype(np.float32) if plane is not None else None)
        flux, mask, have = pictures.stacked(planes, size, size)
        data[name] = ModalityData(ModalitySpec(name, "image", (name,), flux.shape[1:], "fraction", oriented=False), {"flux": flux, "mask": mask}, have)
    table = pa.table({
        "object_id": [f"{harp}-{time}" for harp, time in keys], "harp": [harp for harp, _ in keys], "time": [time for _, time in keys], "field": [fields[k] for k in keys],
        "height": [shapes[k][0] for k in keys], "width": [shapes[k][1] for k in keys],
    })  # fmt: skip
    table, inputs = _properties(path, table, keys)
    return SampleSet(table, data, {"harp": "group", **dict.fromkeys(inputs, "input")}, {}, CARD)


def _properties(path: Path, table: pa.Table, keys: list[tuple[int, str]]) -> tuple[pa.Table, list[str]]:
    """Numbers of the CSV files, joined by region and time."""
    inputs: list[str] = []
    places = {key: i for i, key in enumerate(keys)}
    for file in sorted(path.rglob("*.csv")):
        rows = files.csv(file)
        names = {n.lower(): n for n in rows.column_names}
        harp, time = next((names[n] for n in names if "harp" in n), None), next((names[n] for n in TIME if n in names), None)
        if harp is None or time is None:
            raise SampleSetError(f"{file} has no column of regions (harp...) and times ({', '.join(TIME)}); it has {', '.join(rows.column_names)}.")
        at = [places.get((int(h), _iso(t))) if h is not None else None for h, t in zip(rows[harp].to_pylist(), map(str, rows[time].to_pylist()), strict=True)]
        for name in rows.column_names:
            kind = rows.schema.field(name).type
            if name in (harp, time) or name in table.column_names or not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
                continue
            values = np.full(len(keys), np.nan)
            for place, value in zip(at, rows[name].to_pylist(), strict=True):
                if place is not None and value is not None:
                    values[place] = value
            table = table.append_column(name, pa.array(values, mask=np.isnan(values)))
            inputs.append(name)
    return table, inputs


def _iso(time: str) -> str:
    numbers = re.findall(r"\d+", time)
    if len(numbers) == 1 or len(numbers) < 5:
        return time
    year, month, day, hour, minute = numbers[:5]
    return f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute:0>2}:{(numbers[5] if len(numbers) > 5 else '0'):0>2}"
