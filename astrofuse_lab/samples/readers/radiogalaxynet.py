"""RadioGalaxyNET: radio galaxies and their infrared hosts (Gupta et al. 2024, PASA 41, e001; doi.org/10.25919/btk3-vx79).

The folders are those of the authors' code (github.com/Nikhel1/Gal-DINO, README); annotations are COCO's JSON::

    annotations/train.json  val.json  test.json
    train/  val/  test/                the pictures that images[].file_name names: planes radio, radio (other contrast), infrared (WISE W1)

One object is one picture. Its instances are counted by class, the largest one's class is the target, and their outlines are a second image
modality ``segmentation``, one plane a class. That the three planes lie in this order is from the paper, not checked on the files.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.readers import files, pictures
from astrofuse_lab.samples.readers.msfpd import filled
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

LAYOUT = "annotations/{train,val,test}.json (COCO) and the pictures in train/, val/, test/"
SIDES = ("train", "val", "test")
PLANES = ("radio", "radio_contrast", "W1")
MOST_JSON = 512 * 1024**2
CARD = Card(
    "radiogalaxynet", "RadioGalaxyNET: radio galaxies and their infrared hosts", citation="Gupta et al. 2024, PASA 41, e001", licence="unknown here; see the data's page",
    notes=("The order of the three planes is the paper's, not checked on the files.", "Instances without an area are left out.", "Neighbouring pictures overlap on the sky: use the published split."),
)  # fmt: skip


def read(path: Path, size: int = 128) -> SampleSet:
    """All three sides in one set, the side in the column ``side``.

    Raises
    ------
    SampleSetError
        If the folder has another layout; the picture or annotation is named.
    """
    pictures.folder(path, LAYOUT, ("annotations/*.json",))
    rows: list[dict[str, Any]] = []
    planes, outlines = [], []
    names: dict[int, str] = {}
    told = [(side, _told(path / "annotations" / f"{side}.json")) for side in SIDES if (path / "annotations" / f"{side}.json").exists()]
    for _, coco in told:
        names |= {int(c["id"]): str(c["name"]) for c in coco["categories"]}
    classes = [names[i] for i in sorted(names)]
    for side, coco in told:
        mine: dict[int, list[dict[str, Any]]] = {}
        for one in coco["annotations"]:
            if one.get("area", one["bbox"][2] * one["bbox"][3]) > 0 and one["bbox"][2] > 0 and one["bbox"][3] > 0:
                mine.setdefault(int(one["image_id"]), []).append(one)
        for image in coco["images"]:
            file = path / side / Path(str(image["file_name"])).name
            picture = pictures.picture(file)
            have = mine.get(int(image["id"]), [])
            rows.append(_row(side, image, have, names, classes))
            planes.append(np.stack([pictures.resized(p, size, size) for p in (picture if len(picture) == 3 else np.repeat(picture[:1], 3, axis=0))]))
            outlines.append(_outlines(have, names, classes, picture.shape[1:], size, file))
    if not rows:
        raise SampleSetError(f"{path}/annotations names no picture. Expected: {LAYOUT}")
    flux, drawn = np.stack(planes), np.stack(outlines)
    every = np.ones(len(rows), dtype=bool)
    data = {
        "image": ModalityData(ModalitySpec("image", "image", PLANES, flux.shape[1:], "grey", oriented=False), {"flux": flux, "mask": np.isfinite(flux)}, every),
        "segmentation": ModalityData(ModalitySpec("segmentation", "image", tuple(classes), drawn.shape[1:], "fraction", oriented=False), {"flux": drawn, "mask": np.ones(drawn.shape, dtype=bool)}, every),
    }  # fmt: skip
    table = pa.Table.from_pylist(rows)
    return SampleSet(table, data, {"side": "split", "label": "target", "instances": "target", **{f"n_{c}": "target" for c in classes}}, {}, CARD)


def _told(file: Path) -> dict[str, Any]:
    files.exists(file)
    if file.stat().st_size > MOST_JSON:
        raise SampleSetError(f"{file} has {file.stat().st_size} bytes; at most {MOST_JSON} are read.")
    with files.reading(file, "COCO's JSON"):
        told = json.loads(file.read_text())
        lacking = [key for key in ("images", "annotations", "categories") if not isinstance(told.get(key), list)]
        if lacking:
            raise SampleSetError(f"{file} has no list {lacking[0]!r}; COCO's annotations have images, annotations and categories.")
        return dict(told)


def _row(side: str, image: dict[str, Any], have: list[dict[str, Any]], names: dict[int, str], classes: list[str]) -> dict[str, Any]:
    largest = max(have, key=lambda one: one["bbox"][2] * one["bbox"][3], default=None)
    counts = [names[int(one["category_id"])] for one in have]
    host = (largest or {}).get("keypoints") or [None, None]
    return {
        "object_id": f"{side}/{Path(str(image['file_name'])).name}", "side": side, "label": names[int(largest["category_id"])] if largest else None, "instances": len(have),
        **{f"n_{c}": counts.count(c) for c in classes}, "host_x": None if host[0] is None else float(host[0]), "host_y": None if host[1] is None else float(host[1]),
    }  # fmt: skip


def _outlines(have: list[dict[str, Any]], names: dict[int, str], classes: list[str], shape: tuple[int, ...], size: int, file: Path) -> Any:
    drawn = np.zeros((len(classes), size, size), dtype=np.float32)
    for one in have:
        polygons = one.get("segmentation") or []
        if not isinstance(polygons, list):
            raise SampleSetError(f"{file}: an annotation's segmentation is {type(polygons).__name__}; lists of corners are read, run lengths are not.")
        for flat in polygons:
            corners = [(float(x), float(y)) for x, y in zip(flat[0::2], flat[1::2], strict=True)]
            if len(corners) >= 3:
                plane = pictures.resized(filled(corners, (shape[0], shape[1])), size, size)
                at = classes.index(names[int(one["category_id"])])
                drawn[at] = np.maximum(drawn[at], plane)
    return drawn
