"""The layout of Hyrax's ``FitsImageDataset``: a catalogue, and one FITS file an object and band in one folder.

Source: github.com/lincc-frameworks/hyrax, ``src/hyrax/datasets/fits_image_dataset.py``: a table that astropy reads, with the columns
``object_id``, ``filename`` and, where an object has several, ``filter``; every image is the first extension that holds one. Hyrax turns
ids into whole numbers, so those we write are numbers; ``source_id`` keeps ours. The set's scalar columns are columns of the catalogue.

We add the extensions MASK (1: good) and IVAR. In Hyrax: ``data_location`` is the folder, ``filter_catalog`` its ``catalog.csv``.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, SampleSetError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.exchange.described import columns_of, from_table, made
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import ModalitySpec

CATALOGUE = "catalog.csv"
SCALE = "PIXSCALE"
"""Keyword, arcsec per pixel."""


def read(path: Path, catalog: str | Path = CATALOGUE) -> SampleSet:
    """Images of one shape, and the catalogue's other columns.

    Raises
    ------
    SampleSetError
        If the catalogue lacks a column, or an image is missing or has another shape; the file is named.
    """
    from astropy.table import Table

    file = path / catalog
    files.exists(file)
    with files.reading(file, "a catalogue"):
        table = Table.read(file)
    if lacking := {"object_id", "filename"} - set(table.colnames):
        raise SampleSetError(f"{file} has no column {min(lacking)!r}; Hyrax's catalogues have object_id, filename and filter. It has {', '.join(table.colnames)}.")
    rows: dict[str, dict[str, str]] = {}
    first: list[int] = []
    for i, (who, name) in enumerate(zip(table["object_id"], table["filename"], strict=True)):
        if str(who) not in rows:
            first.append(i)
        rows.setdefault(str(who), {})[str(table["filter"][i]) if "filter" in table.colnames else "image"] = str(name)
    bands = tuple(dict.fromkeys(b for have in rows.values() for b in have))
    image = _images(path, list(rows.values()), bands)
    columns, _units, _ = from_table(table[first], file)
    columns = columns.drop_columns([n for n in ("filename", "filter") if n in columns.column_names])
    if "source_id" in columns.column_names:  # ours
        columns = columns.drop_columns(["object_id"]).rename_columns(["object_id" if n == "source_id" else n for n in columns.column_names if n != "object_id"])
    return made(columns, {"image": image}, None, file, path.name)


def _images(folder: Path, rows: list[dict[str, str]], bands: tuple[str, ...]) -> ModalityData:
    shape: tuple[int, ...] | None = None
    got: list[dict[str, dict[str, NDArray[Any]]]] = []
    scale, unit = 0.0, ""
    for have in rows:
        planes = {}
        for band, name in have.items():
            parts, header = _planes(folder, name)
            shape = shape or parts["flux"].shape
            if parts["flux"].shape != shape:
                raise SampleSetError(f"{folder / name} has {parts['flux'].shape} pixels, images before {shape}. A set has one shape; cut them, as Hyrax does with crop_to.")
            planes[band] = parts
            scale, unit = scale or float(header.get(SCALE, 0.0)), unit or str(header.get("BUNIT", ""))
        got.append(planes)
    whole = (len(rows), len(bands), *(shape or (0, 0)))
    fields: dict[str, NDArray[Any]] = {"flux": np.zeros(whole, dtype=np.float32), "mask": np.zeros(whole, dtype=bool)}
    if any("ivar" in p for planes in got for p in planes.values()):
        fields["ivar"] = np.zeros(whole, dtype=np.float32)
    for i, planes in enumerate(got):
        for band, parts in planes.items():
            for field in fields:
                if field in parts:
                    fields[field][i, bands.index(band)] = parts[field]
    spec = ModalitySpec("image", "image", bands, whole[1:], unit, scale=scale, oriented=False)
    return ModalityData(spec, fields, np.asarray(fields["mask"].any(axis=(1, 2, 3))))


def _planes(folder: Path, name: str) -> tuple[dict[str, NDArray[Any]], Any]:
    from astropy.io import fits

    if "/" in name or "\\" in name or name.startswith("."):
        raise SampleSetError(f"{folder / CATALOGUE} names the file {name!r}; files lie in the folder itself.")
    file = folder / name
    files.exists(file)
    with files.reading(file, "a FITS image"), fits.open(file, memmap=False) as hdus:
        flat = next((h for h in hdus if h.data is not None and np.ndim(h.data) == 2), None)
        if flat is None:
            raise SampleSetError(f"{file} has no image of two axes.")
        flux = np.asarray(flat.data, dtype=np.float32)
        parts = {"flux": np.where(np.isfinite(flux), flux, 0), "mask": np.isfinite(flux)}
        if "MASK" in hdus:
            parts["mask"] = np.asarray(hdus["MASK"].data).astype(bool)
        if "IVAR" in hdus:
            parts["ivar"] = np.asarray(hdus["IVAR"].data, dtype=np.float32)
        return parts, flat.header


def write(samples: SampleSet, path: Path) -> None:
    """A folder of the set's image modality: ``image``, else the only one."""
    from astropy.io import fits

    images = [n for n, s in samples.modalities.items() if s.kind == "image" and n in samples._data]
    name = "image" if "image" in images else images[0] if images else None
    if name is None:
        raise InputError("Hyrax's folders hold images; this set has none. Export it as parquet or hats.")
    spec = samples.spec(name)
    have = samples.present(name)
    columns = columns_of(samples)
    heads = [n for n in columns.column_names if n not in ("object_id", "filename", "filter", "source_id")]
    with open(path / CATALOGUE, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["object_id", "filter", "filename", "source_id", *heads])
        for i in np.flatnonzero(have).tolist():
            got = samples.arrays(name, [i])
            about = columns.slice(i, 1).to_pylist()[0]
            for b, band in enumerate(spec.channels):
                plain = "".join(c if c.isalnum() else "-" for c in band)
                head = fits.Header({SCALE: spec.scale, "FILTER": plain})
                hdus = [fits.PrimaryHDU(got["flux"][0, b], head), fits.ImageHDU(got["mask"][0, b].astype(np.uint8), name="MASK")]
                hdus += [fits.ImageHDU(got["ivar"][0, b], name="IVAR")] if "ivar" in got else []
                fits.HDUList(hdus).writeto(path / f"{i:08d}_{plain}.fits")
                out.writerow([i, band, f"{i:08d}_{plain}.fits", about["object_id"], *("" if about[h] is None else about[h] for h in heads)])

