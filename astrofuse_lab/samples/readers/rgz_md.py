"""RGZ-MD: radio galaxies, what people wrote of them, and their tags (Chen et al. 2023, PASA 40, e051; zenodo.org/records/7988868).

The published layout could not be learned: the record was not readable. What is expected::

    subjects.csv                       subject_id, tags (separated by | or ;), text; other columns are kept
    images/<subject_id>.<png|fits>     optional: radio or infrared picture, or several planes
    text_embeddings.npy, image_embeddings.npy        optional: (subject, 768), in the order of subjects.csv

Tags occur in what people wrote. ``strip=True`` (the default) takes them out of the text, so that the answer is not in the question.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.exchange.rows_in import text_data
from astrofuse_lab.samples.readers import files, pictures
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

LAYOUT = "subjects.csv (subject_id, tags, text), images/<subject_id>.png, text_embeddings.npy and image_embeddings.npy of 768 numbers a subject"
CARD = Card(
    "rgz-md", "RGZ-MD: radio galaxies with what people wrote of them", citation="Chen et al. 2023, PASA 40, e051", licence="unknown",
    notes=("The layout of the published files is presumed, not learned.", "Tags occur in the text; strip=True takes them out.", "Text is short and often absent."),
)  # fmt: skip


def read(path: Path, strip: bool = True, size: int = 64) -> SampleSet:
    """One object a subject; each tag is a column ``tag_<name>``, a target.

    Raises
    ------
    SampleSetError
        If the folder has another layout, or arrays and subjects do not agree.
    """
    pictures.folder(path, LAYOUT, ("subjects.csv",))
    rows = files.csv(path / "subjects.csv", ("subject_id", "tags", "text"))
    ids = [str(v) for v in rows["subject_id"].to_pylist()]
    tags = [[t.strip().lstrip("#").lower() for t in re.split(r"[|;]", v or "") if t.strip()] for v in rows["tags"].to_pylist()]
    known = sorted({t for some in tags for t in some})
    table = pa.table({"object_id": ids, **{f"tag_{t}": [t in some for some in tags] for t in known}})
    for name in rows.column_names:
        if name not in ("subject_id", "tags", "text", *table.column_names):
            table = table.append_column(name, rows[name])
    texts = [_without(v, known) if strip and v else v for v in (None if v is None else str(v) for v in rows["text"].to_pylist())]
    data = {"text": text_data(pa.array([t or None for t in texts], pa.string()), ModalitySpec("text", "text"))}
    if (path / "images").is_dir():
        data["image"] = _images(path / "images", ids, size)
    for name in ("text_embeddings", "image_embeddings"):
        if (file := path / f"{name}.npy").exists():
            data[name] = _embeddings(file, name, len(ids))
    return SampleSet(table, data, {f"tag_{t}": "target" for t in known}, {}, CARD)


def _without(text: str, tags: list[str]) -> str:
    words = sorted({w for t in tags for w in (t, t.replace("_", " "), t.replace("-", " "))}, key=len, reverse=True)
    return " ".join(re.sub("|".join(rf"#?\b{re.escape(w)}s?\b" for w in words), " ", text, flags=re.IGNORECASE).split()) if words else text


def _images(folder: Path, ids: list[str], size: int) -> ModalityData:
    found = {f.name.split(".")[0]: f for f in pictures.pictures(folder)}
    if not set(found) & set(ids):
        raise SampleSetError(f"{folder} has no picture named by a subject_id of subjects.csv, e.g. {ids[0] if ids else ''}.png. Expected: {LAYOUT}")
    planes = [pictures.picture(found[i]) if i in found else None for i in ids]
    bands = max(len(p) for p in planes if p is not None)
    flux = np.zeros((len(ids), bands, size, size), dtype=np.float32)
    mask = np.zeros(flux.shape, dtype=bool)
    for i, plane in enumerate(planes):
        for b, one in enumerate(plane if plane is not None else ()):
            flux[i, b], mask[i, b] = pictures.resized(one, size, size), True
    spec = ModalitySpec("image", "image", tuple(f"plane{b}" for b in range(bands)), flux.shape[1:], "grey", oriented=False)
    return ModalityData(spec, {"flux": flux, "mask": mask}, np.asarray(mask.any(axis=(1, 2, 3))))


def _embeddings(file: Path, name: str, objects: int) -> ModalityData:
    with files.reading(file, "numpy"):
        values: NDArray[np.float32] = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    if values.ndim != 2 or len(values) != objects or values.dtype.kind != "f":
        raise SampleSetError(f"{file} holds {values.dtype} of shape {values.shape}; floats of ({objects}, 768) are expected, one row a subject.")
    spec = ModalitySpec(name, "series", ("value",), (1, values.shape[1]), axis="component")
    fields: dict[str, NDArray[Any]] = {"axis": np.arange(values.shape[1], dtype=np.float64), "values": values[:, None].astype(np.float32), "mask": np.isfinite(values)[:, None]}
    return ModalityData(spec, fields, np.asarray(np.isfinite(values).all(axis=1)))
