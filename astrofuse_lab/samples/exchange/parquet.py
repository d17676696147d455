"""Parquet files whose nested columns are modalities: ours, nested-pandas', and any other of that layout (see `rows`).

nested-pandas (github.com/lincc-frameworks/nested-pandas) reads structs of equally long lists as nested columns and writes them so.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from astrofuse_lab.errors import ArchiveError, SampleSetError
from astrofuse_lab.samples.exchange.rows import schema_of, stretches
from astrofuse_lab.samples.exchange.rows_in import from_rows
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.surveys import parquet_files


def read(path: Path, bad_masks: bool = True) -> SampleSet:
    """A set; `bad_masks` as in `rows_in.from_rows`."""
    return from_rows(checked(path), path, path.stem, bad_masks)


def checked(file: Path) -> pa.Table:
    """The rows of a file whose claims were compared with what it holds."""
    files.exists(file)
    with files.reading(file, "Parquet"):
        try:
            return parquet_files.table(file.read_bytes(), file.name, largest=files.MOST_BYTES)
        except ArchiveError as error:
            raise SampleSetError(f"{file} cannot be read as Parquet ({error}). {files.AGAIN}") from error


def write(samples: SampleSet, path: Path) -> None:
    """One file, a stretch of objects at a time."""
    with pq.ParquetWriter(path, schema_of(samples)) as writer:
        for rows in stretches(samples):
            writer.write_table(rows)
