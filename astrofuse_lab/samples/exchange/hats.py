"""HATS catalogues, which LSDB reads: Parquet files of nested rows, one a HEALPix cell.

Source: IVOA Note HATS 1.0 (https://www.ivoa.net/documents/Notes/HATS/20250822/) and github.com/astronomy-commons/hats (``io/paths.py``,
``catalog/dataset/table_properties.py``)::

    hats.properties, properties                     what the catalogue is
    partition_info.csv                              Norder,Npix of each partition
    dataset/Norder=K/Dir=D/Npix=N.parquet           D is N // 10000 * 10000; rows sorted by _healpix_29
    dataset/_common_metadata, dataset/_metadata     schema; schema with the statistics of all partitions

Cells are split until none holds more than `MOST` objects. Neighbours across a cell's border need LSDB's margin cache, which is not written.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, SampleSetError
from astrofuse_lab.samples.exchange import parquet
from astrofuse_lab.samples.exchange.described import KEY, described
from astrofuse_lab.samples.exchange.rows import to_rows
from astrofuse_lab.samples.exchange.rows_in import from_rows
from astrofuse_lab.samples.joining import joined
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet

INDEX, DEEPEST = "_healpix_29", 29
MOST = 100_000
"""Objects in a partition."""


def read(path: Path, bad_masks: bool = True) -> SampleSet:
    """All partitions of a catalogue, or of the primary one of a collection (``collection.properties``, as LSDB writes)."""
    path = _primary(path)
    if not (path / "dataset").is_dir():
        raise SampleSetError(f"{path} is no HATS catalogue: it has no folder 'dataset' of Norder=K/Dir=D/Npix=N.parquet.")
    found = sorted(path.glob("dataset/Norder=*/Dir=*/Npix=*.parquet")) or sorted(path.glob("dataset/Norder=*/Dir=*/Npix=*/*.parquet"))
    if not found:
        raise SampleSetError(f"{path}/dataset holds no partition Norder=K/Dir=D/Npix=N.parquet.")
    parts = []
    for file in found:
        rows = parquet.checked(file)
        rows = rows.drop_columns([n for n in (INDEX, "Norder", "Dir", "Npix") if n in rows.column_names])
        parts.append(from_rows(rows, file, path.name, bad_masks))
    return joined(parts)


def _primary(path: Path) -> Path:
    told = path / "collection.properties"
    if not told.is_file():
        return path
    with files.reading(told, "the properties of a collection"):
        lines = [line.split("=", 1) for line in told.read_text().splitlines() if "=" in line and not line.startswith("#")]
    name = next((value.strip() for key, value in lines if key.strip() == "hats_primary_table_url"), "")
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise SampleSetError(f"{told} names the primary catalogue {name!r}, which is no folder in the collection. Give the catalogue's own folder.")
    return path / name


def cells(samples: SampleSet, order: int) -> NDArray[np.int64]:
    """HEALPix cell of each object, nested.

    Raises
    ------
    InputError
        If objects have no position.
    """
    from astropy import units as u
    from astropy_healpix import HEALPix

    if not {"ra", "dec"} <= set(samples.roles):
        raise InputError("this format sorts objects by place on the sky; the set has no columns ra and dec (deg).")
    ra, dec = samples.column("ra"), samples.column("dec")
    lacking = np.ma.getmaskarray(ra) | np.ma.getmaskarray(dec)
    if lacking.any():
        raise InputError(f"{int(lacking.sum())} objects have no position, first {samples.object_ids[int(np.argmax(lacking))]!r}; this format sorts objects by place on the sky. Leave them out with samples.take(...).")
    return np.asarray(HEALPix(2**order, "nested").lonlat_to_healpix(np.asarray(ra.data, dtype=float) * u.deg, np.asarray(dec.data, dtype=float) * u.deg), dtype=np.int64)


def write(samples: SampleSet, path: Path) -> None:
    """A catalogue folder."""
    index = cells(samples, DEEPEST)
    order = np.argsort(index, kind="stable")
    partitions = _partitions(index[order])
    said = {KEY: described(samples)}
    footers, schema = [], None
    for level, pixel, begin, end in partitions:
        rows = to_rows(samples, order[begin:end])
        rows = rows.add_column(0, INDEX, pa.array(index[order[begin:end]])).replace_schema_metadata(said)
        schema = schema or rows.schema
        inside = f"Norder={level}/Dir={pixel // 10_000 * 10_000}/Npix={pixel}.parquet"
        file = path / "dataset" / inside
        file.parent.mkdir(parents=True, exist_ok=True)
        collected: list[pq.FileMetaData] = []
        pq.write_table(rows, file, metadata_collector=collected)
        collected[0].set_file_path(inside)
        footers += collected
    if schema is None:
        raise InputError("a set without objects makes no HATS catalogue.")
    pq.write_metadata(schema, path / "dataset" / "_common_metadata")
    pq.write_metadata(schema, path / "dataset" / "_metadata", metadata_collector=footers)
    (path / "partition_info.csv").write_text("Norder,Npix\n" + "".join(f"{level},{pixel}\n" for level, pixel, _, _ in partitions))
    properties = {
        "obs_collection": samples.card.name, "dataproduct_type": "object", "hats_nrows": len(samples), "hats_col_ra": "ra", "hats_col_dec": "dec",
        "hats_col_healpix": INDEX, "hats_col_healpix_order": DEEPEST, "hats_npix_suffix": ".parquet", "hats_order": max(level for level, *_ in partitions),
        "hats_max_rows": max(end - begin for *_, begin, end in partitions), "hats_builder": "astrofuse-lab", "hats_version": "v1.0",
    }  # fmt: skip
    text = "#HATS catalog\n" + "".join(f"{key}={' '.join(str(value).split())}\n" for key, value in properties.items())
    for name in ("hats.properties", "properties"):
        (path / name).write_text(text)


def _partitions(index: NDArray[np.int64], most: int | None = None) -> list[tuple[int, int, int, int]]:
    """Order, cell, and the stretch of the sorted objects in it."""
    most = most or MOST
    waiting = [(0, cell) for cell in range(11, -1, -1)]
    found = []
    while waiting:
        level, cell = waiting.pop()
        shift = 2 * (DEEPEST - level)
        begin, end = (int(np.searchsorted(index, edge << shift)) for edge in (cell, cell + 1))
        if begin == end:
            continue
        if end - begin > most and level < DEEPEST:
            waiting += [(level + 1, 4 * cell + i) for i in (3, 2, 1, 0)]
        else:
            found.append((level, cell, begin, end))
    return found
