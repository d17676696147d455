"""SMTD: magnetic types of sunspots (Fang et al. 2019, Adv. Astron. 2019, 9196234; tianchi.aliyun.com/dataset/74779).

The published layout could not be learned: the page was not readable. What is expected is what the review's table says of counts and
formats, and how that group works::

    continuum/<alpha|beta|betax>/<name>.<fits|png>
    magnetogram/<alpha|beta|betax>/<name>.<fits|png>

The two are paired by file name without its ending; one that has no partner stays, with the other modality missing (at least 2,952
magnetograms do). A number after ``HARP`` or ``.`` in the name is the active region, which is the group: frames of one region are near
duplicates. Images are brought to 160 x 80 pixels, as the authors' network takes them, and scaled to 0 to 1 by their own range.
"""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.readers import pictures
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

LAYOUT = "{continuum,magnetogram}/{alpha,beta,betax}/<name>.{fits,png}"
CLASSES = {"alpha": "Alpha", "beta": "Beta", "betax": "Beta-x", "beta-x": "Beta-x"}
WIDTH, HEIGHT = 160, 80
REGION = re.compile(r"(?:harp|sharp_(?:cea_)?720s)[._-]?0*(\d+)", re.IGNORECASE)
CARD = Card(
    "smtd", "SMTD: magnetic types of sunspots", citation="Fang et al. 2019, Adv. Astron. 2019, 9196234", licence="unknown",
    notes=("The layout of the published files is presumed, not learned.", "Split by region: frames of one region are near duplicates. Where the name gives no region, no group is known.",
           "Classes are unbalanced; images that lack a partner miss one modality."),
)  # fmt: skip


def read(path: Path) -> SampleSet:
    """A set of two image modalities with the class as target.

    Raises
    ------
    SampleSetError
        If the folder has another layout.
    """
    pictures.folder(path, LAYOUT, ("continuum/*/", "magnetogram/*/"))
    found: dict[tuple[str, str], dict[str, Path]] = {}
    for tree in ("continuum", "magnetogram"):
        for folder in sorted(f for f in (path / tree).iterdir() if f.is_dir()):
            label = CLASSES.get(folder.name.lower())
            if label is None:
                raise SampleSetError(f"{folder} is no class; classes are {', '.join(CLASSES)}. Expected: {LAYOUT}")
            for file in pictures.pictures(folder):
                found.setdefault((label, file.name.split(".fits")[0].rsplit(".png", 1)[0]), {})[tree] = file
    if not found:
        raise SampleSetError(f"{path} holds no pictures. Expected: {LAYOUT}")
    keys = sorted(found)
    regions = [m[1] if (m := REGION.search(name)) else None for _, name in keys]
    table = pa.table({
        "object_id": [f"{label}/{name}" for label, name in keys], "label": [label for label, _ in keys],
        "region": pa.array([r or f"unknown:{label}/{name}" for r, (label, name) in zip(regions, keys, strict=True)]), "paired": [len(found[k]) == 2 for k in keys],
    })  # fmt: skip
    data = {tree: _images([found[k].get(tree) for k in keys], tree) for tree in ("continuum", "magnetogram")}
    return SampleSet(table, data, {"label": "target", "region": "group"}, {}, CARD)


def _images(chosen: list[Path | None], name: str) -> ModalityData:
    flux, mask, have = pictures.stacked([_scaled(pictures.grey(f)) if f is not None else None for f in chosen], WIDTH, HEIGHT)
    return ModalityData(ModalitySpec(name, "image", (name,), flux.shape[1:], "grey", oriented=False), {"flux": flux, "mask": mask}, have)


def _scaled(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = (float(np.nanmin(plane)), float(np.nanmax(plane))) if np.isfinite(plane).any() else (0.0, 1.0)
    return ((plane - low) / (high - low if high > low else 1.0)).astype(np.float32)
