"""MSFPD: solar flares from inversion lines in three forms (Mansouri et al. 2024, Harvard Dataverse; doi.org/10.7910/DVN/4A7ORF).

The published layout could not be learned: the page was not readable. The review says: rasters of the inversion line, vectors (the polarity
convex hull), multivariate series of its properties, all "in a supervised learning format", labels FQ, C, M, X. What is expected::

    samples.csv                        sample_id, harp, label; start (ISO time) is kept, other numbers are flare history (inputs)
    rasters/<sample_id>.png            optional: the inversion line
    polygons/<sample_id>.csv           optional: x, y of the hull's corners in pixels of the raster
    series/<sample_id>.csv             optional: one column a property, one row a time step; all of the same length

Polygons become images: 1 inside (even-odd rule), of the raster's size.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.readers import files, pictures
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

LAYOUT = "samples.csv (sample_id, harp, label), rasters/<sample_id>.png, polygons/<sample_id>.csv (x, y), series/<sample_id>.csv"
CLASSES = ("FQ", "C", "M", "X")
CARD = Card(
    "msfpd", "MSFPD: solar flares from inversion lines", citation="Mansouri et al. 2024, Harvard Dataverse, doi:10.7910/DVN/4A7ORF", licence="unknown",
    notes=("The layout of the published files is presumed, not learned.", "Split by region and time (role group: the region).", "Classes are very unbalanced: quote TSS and HSS, not accuracy."),
)  # fmt: skip


def read(path: Path, size: int = 128) -> SampleSet:
    """One object a sample.

    Raises
    ------
    SampleSetError
        If the folder has another layout, a label is none of FQ, C, M, X, or series differ in length or columns.
    """
    pictures.folder(path, LAYOUT, ("samples.csv",))
    rows = files.csv(path / "samples.csv", ("sample_id", "harp", "label"))
    ids = [str(v) for v in rows["sample_id"].to_pylist()]
    odd = next((v for v in rows["label"].to_pylist() if v not in CLASSES), None)
    if odd is not None:
        raise SampleSetError(f"{path / 'samples.csv'} has the label {odd!r}; labels are {', '.join(CLASSES)}.")
    numbers = [f.name for f in rows.schema if f.name not in ("sample_id", "harp", "label") and (pa.types.is_floating(f.type) or pa.types.is_integer(f.type))]
    table = rows.drop_columns(["sample_id"]).add_column(0, "object_id", pa.array(ids))
    planes = [pictures.grey(f) if (f := path / "rasters" / f"{i}.png").exists() else None for i in ids]
    shapes = [p.shape if p is not None else (size, size) for p in planes]
    data = {}
    if any(p is not None for p in planes):
        data["raster"] = _image("raster", [(p > 0).astype(np.float32) if p is not None else None for p in planes], size)
    hulls = [_polygon(f, s) if (f := path / "polygons" / f"{i}.csv").exists() else None for i, s in zip(ids, shapes, strict=True)]
    if any(p is not None for p in hulls):
        data["hull"] = _image("hull", hulls, size)
    if (path / "series").is_dir():
        data["series"] = _series(path / "series", ids)
    return SampleSet(table, data, {"label": "target", "harp": "group", **dict.fromkeys(numbers, "input")}, {}, CARD)


def _image(name: str, planes: list[Any], size: int) -> ModalityData:
    flux, mask, have = pictures.stacked(planes, size, size)
    return ModalityData(ModalitySpec(name, "image", (name,), flux.shape[1:], "fraction", oriented=False), {"flux": flux, "mask": mask}, have)


def _polygon(file: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    rows = files.csv(file, ("x", "y"))
    corners = list(zip(files.number(file, rows, "x").tolist(), files.number(file, rows, "y").tolist(), strict=True))
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise SampleSetError(f"{file} has {len(corners)} corners; a hull has at least three, all numbers.")
    return filled(corners, shape)


def filled(corners: list[tuple[float, float]], shape: tuple[int, int]) -> NDArray[np.float32]:
    """1 inside a polygon of (x, y) corners, (y, x)."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon(corners, fill=1, outline=1)
    return np.asarray(canvas, dtype=np.float32)


def _series(folder: Path, ids: list[str]) -> ModalityData:
    got: dict[str, NDArray[np.float64]] = {}
    names: tuple[str, ...] = ()
    for i in ids:
        if (file := folder / f"{i}.csv").exists():
            rows = files.csv(file)
            if names and (tuple(rows.column_names) != names or len(rows) != next(iter(got.values())).shape[1]):
                raise SampleSetError(f"{file} has {len(rows)} rows of {', '.join(rows.column_names)}; those before have {next(iter(got.values())).shape[1]} of {', '.join(names)}.")
            names = tuple(rows.column_names)
            got[i] = np.stack([files.number(file, rows, n) for n in names])
    if not got:
        raise SampleSetError(f"{folder} has no series named by a sample_id. Expected: {LAYOUT}")
    shape = next(iter(got.values())).shape
    values = np.stack([got.get(i, np.full(shape, np.nan)) for i in ids])
    mask = np.isfinite(values)
    spec = ModalitySpec("series", "series", names, shape, axis="step")
    return ModalityData(spec, {"axis": np.arange(shape[1], dtype=np.float64), "values": np.where(mask, values, 0).astype(np.float32), "mask": mask}, mask.any(axis=(1, 2)))
