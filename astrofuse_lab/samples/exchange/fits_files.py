"""FITS files: a binary table of the scalar columns, and an image extension a field of each modality.

::

    OBJECTS              binary table, one row an object; TUNITn are the units, TNULL marks missing whole numbers
    image.flux ...       `arrays.FIELDS` as they are, truth values as bytes, named by EXTNAME
    image.present        who has it
    ASTROFUSE            the description, UTF-8 text as bytes

Any other FITS file gives the columns of its first binary table (FITS 4.0, section 7.3).
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.arrays import FIELDS, ModalityData
from astrofuse_lab.samples.exchange.described import KEY, bounded, columns_of, described, from_table, made, read_described
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet

PARTS = "AFPARTS"
TRUTHS = ("mask", "limit", "present")


def read(path: Path) -> SampleSet:
    """A set, or the columns of somebody else's table."""
    from astropy.io import fits
    from astropy.table import Table

    files.exists(path)
    with files.reading(path, "FITS"), warnings.catch_warnings(), fits.open(path, memmap=True, lazy_load_hdus=False) as hdus:
        warnings.filterwarnings("error", ".*truncated.*")
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
        if not tables:
            raise SampleSetError(f"{path} has no binary table; a sample set needs one row an object.")
        claimed = tables[0].header.get(PARTS)
        if claimed is not None and claimed != len(hdus):
            raise SampleSetError(f"{path} has {len(hdus)} extensions of {claimed}: it was cut short. {files.AGAIN}")
        text = bytes(np.asarray(hdus[KEY].data, dtype=np.uint8)) if KEY in hdus else None
        said = read_described(text, path)
        columns, units, _ = from_table(Table.read(tables[0], character_as_bytes=False), path)
        data = {}
        for name, spec in (said.modalities if said else {}).items():
            fields: dict[str, NDArray[Any]] = {}
            for field in (*FIELDS.get(spec.kind, ()), "present"):
                if f"{name}.{field}" in hdus:
                    hdu = hdus[f"{name}.{field}"]
                    bounded(hdu.shape or (0,), path, f"{name}.{field}")
                    fields[field] = _native(hdu, field)
            if "present" not in fields:
                raise SampleSetError(f"{path} lacks the extension {name}.present. Write the file again.")
            present = fields.pop("present")
            data[name] = ModalityData(spec, fields, present)
    if said is None:
        samples = made(columns, data, said, path, path.name.split(".")[0])
        return SampleSet(samples._columns, {}, {}, {n: u for n, u in units.items() if n in samples.roles}, samples.card)
    return made(_emptied(columns), data, said, path, path.stem)


def _emptied(columns: pa.Table) -> pa.Table:
    """FITS text has no missing values: empty is missing. NaN is missing in numbers."""
    out = {}
    for name in columns.column_names:
        column = columns.column(name).combine_chunks()
        if pa.types.is_string(column.type) and name != "object_id":
            column = pa.array([v or None for v in column.to_pylist()], pa.string())
        elif pa.types.is_floating(column.type):
            values = np.asarray(column.fill_null(float("nan")))
            column = pa.array(values, mask=np.isnan(values))
        out[name] = column
    return pa.table(out)


def _native(hdu: Any, field: str) -> NDArray[Any]:
    if hdu.data is None:  # FITS has no arrays of no elements: the header says what it was
        return np.zeros(tuple(int(n) for n in hdu.header["SHAPE"].split(",")), dtype=np.dtype(hdu.header["DTYPE"]))
    values = np.asarray(hdu.data)
    return values.astype(bool) if field in TRUTHS else values.astype(np.dtype(hdu.header.get("DTYPE", values.dtype.newbyteorder("=").str)))


def write(samples: SampleSet, path: Path) -> None:
    """One file."""
    from astropy.io import fits

    hdus: list[Any] = [fits.PrimaryHDU(), _objects(samples)]
    for name, spec in samples.modalities.items():
        if name in samples._data:
            hdus += [_extension(f"{name}.{field}", array) for field, array in samples.arrays(name).items() if field == "present" or field in FIELDS[spec.kind]]
    hdus.append(_extension(KEY, np.frombuffer(described(samples).encode(), dtype=np.uint8)))
    hdus[1].header[PARTS] = (len(hdus), "extensions of this file")
    fits.HDUList(hdus).writeto(path, output_verify="exception")


def _objects(samples: SampleSet) -> Any:
    from astropy.io import fits

    columns = []
    for name in columns_of(samples).column_names:
        values, unit = samples.column(name), samples.units.get(name)
        empty = np.ma.getmaskarray(values)
        if values.dtype.kind == "U":
            data = np.char.encode(values.filled(""), "utf-8")
            columns.append(fits.Column(name, f"{max(1, data.dtype.itemsize)}A", unit, array=data))
        elif values.dtype.kind == "b" and not empty.any():
            columns.append(fits.Column(name, "L", unit, array=values.data))
        elif values.dtype.kind == "i":
            null = int(np.iinfo(np.int64).min) if empty.any() else None
            columns.append(fits.Column(name, "K", unit, null=null, array=values.filled(null) if empty.any() else values.data))
        else:
            columns.append(fits.Column(name, "D", unit, array=np.ma.filled(values.astype(np.float64), np.nan)))
    return fits.BinTableHDU.from_columns(columns, name="OBJECTS")


def _extension(name: str, array: NDArray[Any]) -> Any:
    from astropy.io import fits

    stored = array.astype(np.uint8) if array.dtype == bool else array.astype(np.int16) if array.dtype == np.int8 else array
    header = fits.Header({"DTYPE": array.dtype.str.lstrip("<>=|"), "SHAPE": ",".join(map(str, array.shape))})
    return fits.ImageHDU(stored if stored.size else None, header, name=name)
