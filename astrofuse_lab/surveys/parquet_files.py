"""Parquet tables from files and services, in memory; pure and bounded.

Source: https://parquet.apache.org/docs/file-format/ (the footer tells what the file claims to hold; it is looked at before anything is unpacked).
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import formats

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MARK = b"PAR1"
MOST_ROWS = 5_000_000
MOST_WORDS = 8 * 1024**2
"""Bytes of one text in the footer, and things in one of its lists."""


def table(content: bytes, survey: str, needed: Sequence[str] = (), target: str | None = None, largest: int = formats.LARGEST) -> "pa.Table":
    """The rows of a Parquet file.

    Raises
    ------
    ArchiveError
        If it is cut short or damaged, claims more than `largest` bytes or more rows and cells than can be held, or lacks a column in `needed`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with formats.reading(survey, "Parquet table", target):
        if not (content.startswith(MARK) and content.endswith(MARK)):
            raise ValueError("it does not begin and end with PAR1")
        file = pq.ParquetFile(io.BytesIO(content), memory_map=False, thrift_string_size_limit=MOST_WORDS, thrift_container_size_limit=MOST_WORDS)
        said = file.metadata
        groups = [said.row_group(i) for i in range(said.num_row_groups)]
        columns = [group.column(j) for group in groups for j in range(group.num_columns)]
        size = sum(max(0, column.total_uncompressed_size) for column in columns)
        cells = sum(max(0, column.num_values) for column in columns)
        if said.num_rows > MOST_ROWS or size > largest or cells > formats.LARGEST_CELLS:
            raise ValueError(f"it claims {said.num_rows} rows, {cells} values and {size} bytes")
        lacking = [name for name in needed if name not in file.schema_arrow.names]
        if lacking:
            raise ArchiveError(survey, f"the answer lacks the columns {', '.join(lacking)}; it has {', '.join(file.schema_arrow.names[:12])}", target)
        try:
            spread = _spread(content, file)
            if spread > largest:
                raise ValueError(f"its texts take {spread} bytes when they are written out")
            # one thread: a service may be read from several already
            return file.read(use_threads=False)
        except pa.ArrowMemoryError:
            raise MemoryError from None


def _spread(content: bytes, file: "pq.ParquetFile") -> int:
    """Bytes that the texts of a file take in memory. One that is kept once, in a dictionary, may stand in millions of rows: the dictionaries are read as they are."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = [file.schema.column(i) for i in range(len(file.schema))]
    size: int = sum(max(0, column.length) * file.metadata.num_rows for column in columns if column.physical_type == "FIXED_LEN_BYTE_ARRAY")
    paths = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    if not paths:
        return int(size)
    kept = pq.ParquetFile(io.BytesIO(content), memory_map=False, read_dictionary=paths, thrift_string_size_limit=MOST_WORDS, thrift_container_size_limit=MOST_WORDS)
    for path in paths:  # one after another, as the whole may not fit
        waiting = [chunk for column in kept.read(columns=[path], use_threads=False).columns for chunk in column.chunks]
        while waiting:
            part = waiting.pop()
            if isinstance(part, pa.DictionaryArray):
                lengths = pc.binary_length(part.dictionary).cast(pa.int64())
                size += pc.sum(lengths.take(part.indices.fill_null(0))).as_py() or 0 if len(lengths) else 0
            elif isinstance(part, pa.StructArray):
                waiting += part.flatten()
            elif isinstance(part, pa.ListArray | pa.LargeListArray):
                waiting.append(part.values)
            elif pa.types.is_nested(part.type):
                raise ValueError(f"a column is of the type {part.type}")
            else:
                size += part.nbytes
    return int(size)


def one_row(rows: "pa.Table", number: int) -> bytes:
    """A row as a Parquet file of its own."""
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(rows.slice(number, 1), file, compression="snappy")
    return file.getvalue()
