"""Targets from files: CSV, VOTable, FITS, ECSV, Parquet, plain lines; packed or not. What a file claims is checked against what it holds.

A file may come from anybody: it is read up to a size, its tables are not followed to other files, and nothing in it is run.
"""

from typing import Any, Literal

from astrofuse_lab.errors import ArchiveError, TargetError
from astrofuse_lab.local_files import blaming, content_of
from astrofuse_lab.naming import from_text
from astrofuse_lab.surveys import formats
from astrofuse_lab.target_columns import DEC_NAMES, ID_NAMES, MANY_NOTES, OTHER_NAMES, RA_NAMES, read_columns, sifted
from astrofuse_lab.targets import Targets, ends_of

USED = frozenset((*RA_NAMES, *DEC_NAMES, *ID_NAMES, "identifier", *(name for names, _ in OTHER_NAMES.values() for name in names)))
DELIMITERS = ("\t", ",", ";", "|")


def from_file(
    file: Any, *, id: str | None = None, ra: str | None = None, dec: str | None = None, epoch: float | str | None = None,
    errors: Literal["raise", "skip"] = "raise", near: float = 1.0, time: Any = None, frame: str = "icrs",
) -> Targets:  # fmt: skip
    """Targets from a file.

    Parameters
    ----------
    file : path, bytes or binary file
        CSV (also with tabs, semicolons, bars or blanks between cells), VOTable, FITS, ECSV or Parquet, by its content; a text
        without a header that names the position columns is read as lines, as by `Targets.from_text`. gzip, bzip2 and xz are unpacked.
    id, ra, dec, epoch, errors, near, time
        As in `Targets.from_table`.
    frame : str
        For plain lines: the frame of positions that do not say theirs.

    Returns
    -------
    Targets
        Rows of a table count from 0; lines of a text from 1.

    Raises
    ------
    TargetError
        If the file cannot be read, is too large, or its rows are no targets.
    """
    name, content = content_of(file)
    with blaming(name):
        table, notes, numbers = _table(content, name, {c for c in (id, ra, dec, epoch) if isinstance(c, str)}, errors)
        if table is None:
            return from_text(content.decode("utf-8-sig"), frame=frame, errors=errors, near=near, time=time, epoch=None if isinstance(epoch, str) else epoch)
        columns, said = sifted(read_columns(table, id, ra, dec, epoch), errors, near, numbers=numbers, advice="Targets.from_file(path, errors='skip') leaves such rows out.")
    made = Targets._of(columns, [*notes, *said])
    return made if time is None else made.during(*ends_of(time), replace=False)


def _left(rows: int, dropped: list[int]) -> list[int] | None:
    """The numbers that rows had before some were dropped; None where none were."""
    if not dropped:
        return None
    gone = frozenset(dropped)
    return [row for row in range(rows + len(gone)) if row not in gone]


def _table(content: bytes, name: str, wanted: set[str], errors: str) -> tuple[Any, list[str], list[int] | None]:
    """A table that `read_columns` takes, or None for text without a header; notes; and the rows' numbers where some are left out."""
    if content.startswith(b"PAR1"):
        return _parquet(content, name, wanted), [], None
    if content.startswith(b"SIMPLE  ="):
        return _fits(content, name, wanted), [], None
    start = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        if b"<VOTABLE" not in content[:65536]:
            raise ArchiveError(name, "the file is a page or another XML document, and no VOTable")
        return formats.votable(content, name), [], None
    if start.startswith(b"# %ECSV"):
        from astropy.table import Table

        with formats.reading(name, "ECSV table"):
            return Table.read(content.decode("utf-8-sig").splitlines(), format="ascii.ecsv"), [], None
    return _csv(content.decode("utf-8-sig"), name, wanted, errors)


def _asked(names: list[str], wanted: set[str]) -> list[str]:
    return [one for one in names if one in wanted or one.lower() in USED]


def _parquet(content: bytes, name: str, wanted: set[str]) -> Any:
    """The columns in use of a Parquet file, whose footer says beforehand what they unpack to."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with formats.reading(name, "Parquet file"):
        # a dictionary of what is in use only: others may be of any kind and size
        file = pq.ParquetFile(pa.BufferReader(content))
        held = file.metadata
        size = sum(held.row_group(i).total_byte_size for i in range(held.num_row_groups))
        if held.num_rows * max(1, held.num_columns) > formats.LARGEST_CELLS or size > formats.LARGEST:
            raise ValueError(f"{held.num_rows} rows, {size // 1024**2} MB unpacked")
        table = file.read(columns=_asked(file.schema_arrow.names, wanted), use_threads=False)
        return {column: table[column].combine_chunks() for column in table.column_names} or {one: [] for one in file.schema_arrow.names}


def _fits(content: bytes, name: str, wanted: set[str]) -> Any:
    """The first table of a FITS file that has positions, else the first; columns in use only."""
    from astropy.io import fits
    from astropy.table import Column, MaskedColumn, Table

    units = formats.fits_hdus(content, name)
    with formats.reading(name, "FITS table"):
        tables = [unit for unit in units if isinstance(unit, fits.BinTableHDU | fits.TableHDU) and not unit.header.get("ZIMAGE")]
        if not tables:
            raise ValueError(f"none of its {len(units)} units is a table")
        unit = next((one for one in tables if any(n.lower() in RA_NAMES or n in wanted for n in one.columns.names)), tables[0])
        made = Table()
        for one in _asked(unit.columns.names, wanted):
            data, null = unit.data[one], unit.columns[one].null
            if data.ndim != 1 or data.dtype.kind not in "biufSU":
                continue
            values = data.astype(data.dtype.newbyteorder("="))
            hidden = None if null is None or values.dtype.kind not in "iu" else values == null
            column = Column(values) if hidden is None else MaskedColumn(values, mask=hidden)
            column.unit = unit.columns[one].unit
            made[one] = column
        return made if made.colnames else {one: [] for one in unit.columns.names}


def _csv(text: str, name: str, wanted: set[str], errors: str) -> tuple[Any, list[str], list[int] | None]:
    """Columns in use of separated text, as text; None where no header names positions. Rows that do not fit the header are bad rows."""
    import pyarrow as pa
    from pyarrow import csv

    if "\x00" in text:
        raise ArchiveError(name, "the file holds zero bytes: neither a table nor text")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if any(line.startswith("#") or not line.strip() for line in lines):
        lines = [line for line in lines if line.strip() and not line.startswith("#")]
    if not lines:
        return None, [], None
    delimiter = max(DELIMITERS, key=lines[0].count)
    if delimiter not in lines[0]:
        delimiter, lines = "\t", ["\t".join(line.split()) for line in lines]
    names = [cell.strip().strip('"') for cell in lines[0].split(delimiter)]
    lower = {one.lower() for one in names}
    if not ((lower & set(RA_NAMES) and lower & set(DEC_NAMES)) or (wanted and wanted <= set(names))):
        return None, [], None
    if len(set(names)) < len(names):
        raise ArchiveError(name, f"its header names a column twice: {', '.join(names[:12])}")
    bad: list[str] = []
    dropped: list[int] = []

    def refuse(row: Any) -> str:
        dropped.append(row.number - 1)
        if len(bad) < MANY_NOTES:
            bad.append(f"left out: row {row.number - 1}: {row.actual_columns} cells, the header has {row.expected_columns} ({row.text[:60]!r})")
        return "skip"

    used = _asked(names, wanted)
    if len(lines) == 1:
        return {one: [] for one in used}, [], None
    with formats.reading(name, "CSV table"):
        table = csv.read_csv(
            pa.BufferReader("\n".join([*lines[1:], ""]).encode()),
            csv.ReadOptions(use_threads=False, column_names=names, block_size=1 << 24),
            csv.ParseOptions(delimiter=delimiter, invalid_row_handler=refuse, newlines_in_values='"' in text),
            csv.ConvertOptions(column_types={one: pa.string() for one in names}, include_columns=used, strings_can_be_null=True, quoted_strings_can_be_null=True,
                               null_values=["", "null", "NULL", "nan", "NaN", "None", "N/A", "--"]),
        )  # fmt: skip
    if bad and errors == "raise":
        more = f", and so have {len(dropped) - 1} other rows another number" if len(dropped) > 1 else ""
        raise TargetError(f"{bad[0].removeprefix('left out: ')}{more}. Targets.from_file(path, errors='skip') leaves such rows out.")
    return {one: table[one] for one in used}, bad, _left(table.num_rows, dropped)

