"""What archives send, parsed: tables, images, JSON. Pure, bounded in size, and never more than an ArchiveError on rubbish.

Bytes from a network are hostile: they may be cut, claim more than they hold, or unpack to more than a machine has. Each
reader checks what is claimed against what is there before it makes an array.
"""

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import fits_tiles

if TYPE_CHECKING:
    from astropy.io.fits import HDUList
    from astropy.table import Table

LARGEST = 512 * 1024**2
"""Bytes that an answer may unpack to."""
LARGEST_CELLS = 50_000_000
"""Rows times columns of a table."""
MOST_COLUMNS = 10_000
"""Of a CSV: a header alone could name millions."""
OPENERS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
COUNTS = re.compile(rb"(Z?NAXIS|TFIELDS) *= *\+?(\d{4,})(?!\d|\.)")
CARD = 80  # bytes of a line in a FITS header
MOST_AXES = 999  # also of columns (FITS 4.0, sections 4.4.1 and 7.3.1)
VAST = re.compile(rb"[eE]\+?\d{3}|\d{309}")  # what a float may not hold
STATUS = re.compile(rb"<INFO\b(?=[^>]*QUERY_STATUS)[^>]*value=[\"'](\w+)", re.IGNORECASE)


@contextmanager
def reading(survey: str, what: str, target: str | None = None) -> Iterator[None]:
    """Turn whatever a parser raises into an ArchiveError: ``the answer is no complete <what> (...)``."""
    try:
        yield
    except ArchiveError:
        raise
    except MemoryError:
        raise ArchiveError(survey, f"the answer claims to be a {what} too large for this machine", target) from None
    except Exception as error:  # parsers raise whatever their readers do
        said = " ".join(str(error).split())[:300]
        raise ArchiveError(survey, f"the answer is no complete {what} ({type(error).__name__}: {said})", target, unreadable=True) from error


def unpacked(content: bytes, survey: str, target: str | None = None, largest: int = LARGEST) -> bytes:
    """The bytes inside gzip, bzip2 or xz; as they are where they are packed by none. A bomb is refused before it goes off."""
    for magic, opened in OPENERS:
        if content.startswith(magic):
            try:
                whole = opened(io.BytesIO(content)).read(largest + 1)
            except MemoryError:
                raise ArchiveError(survey, "the answer unpacks to more than this machine can hold", target) from None
            except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
                raise ArchiveError(survey, f"the packed answer is cut short or damaged ({error})", target, unreadable=True) from error
            if len(whole) > largest:
                raise ArchiveError(survey, f"the answer unpacks to more than {largest // 1024**2} MB and is refused", target)
            return bytes(whole)
    return content


def votable_status(content: bytes) -> str:
    """``OK``, ``OVERFLOW`` or ``ERROR`` as the service says (DALI 1.1, section 4.4.1); the last word counts, since an overflow comes after the rows."""
    said = STATUS.findall(content)
    return said[-1].decode("ascii", "replace").upper() if said else "OK"


def votable(content: bytes, survey: str, needed: Sequence[str] = (), target: str | None = None) -> "Table":
    """The first table of a VOTable, columns by name.

    Raises
    ------
    ArchiveError
        If the service reports an error, the document is cut short, or a column in `needed` is lacking.
    """
    from astropy.io.votable import parse

    content = unpacked(content, survey, target)
    if votable_status(content) == "ERROR":
        from astrofuse_lab.surveys import transport

        raise ArchiveError(survey, transport.words(content), target)
    with reading(survey, "VOTable", target):
        _alone(content)
        table = parse(io.BytesIO(content), verify="ignore").get_first_table().to_table(use_names_over_ids=True)
    return _having(table, needed, survey, target)


def _alone(content: bytes) -> None:
    """ValueError for a VOTable that sends its reader elsewhere: astropy would open the file or address that a STREAM names."""
    from astropy.utils.xml.iterparser import get_xml_iterator

    bare = content.replace(b"\0", b"")  # UTF-16
    if b"<!ENTITY" in bare:
        raise ValueError("it declares entities of its own")
    if b"href" not in bare:
        return
    with get_xml_iterator(io.BytesIO(content)) as elements:
        for opens, tag, attributes, _ in elements:
            if opens and tag.rpartition(":")[2] == "STREAM" and "href" in attributes:
                raise ValueError(f"its rows are elsewhere, at {str(attributes['href'])[:100]}")


def csv_table(
    content: bytes, survey: str, needed: Sequence[str] = (), target: str | None = None, *, delimiter: str = ",", comment: str = "#"
) -> list[dict[str, str | None]]:
    """Rows of a CSV with a header line, as text; empty cells and ``null`` are None.

    Raises
    ------
    ArchiveError
        If a row has more or fewer cells than the header, or a column in `needed` is lacking.
    """
    with reading(survey, "CSV table", target):
        text = unpacked(content, survey, target).decode("utf-8-sig")
        if "\x00" in text:
            raise ValueError("it holds zero bytes")
        lines = (line for line in text.splitlines() if line.strip() and not (comment and line.startswith(comment)))
        rows = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
        names = [name.strip() for name in next(rows, [])]
        if not names or len(names) > MOST_COLUMNS:
            raise ValueError(f"it has {len(names)} columns" if names else "it is empty")
        lacking = [name for name in needed if name not in names]
        if lacking:
            raise ArchiveError(survey, f"the answer lacks the columns {', '.join(lacking)}; it has {', '.join(names[:12])}", target, unreadable=True)
        made = []
        for number, row in enumerate(rows, 1):
            if len(row) != len(names):
                raise ValueError(f"row {number} has {len(row)} cells, the header {len(names)}")
            if number * len(names) > LARGEST_CELLS:
                raise ValueError(f"it has more than {LARGEST_CELLS} cells")
            made.append({n: (None if cell.strip().lower() in ("", "null", "nan", "none") else cell.strip()) for n, cell in zip(names, row, strict=True)})
        return made


def json_value(content: bytes, survey: str, target: str | None = None, kind: type | tuple[type, ...] = (dict, list)) -> Any:
    """A JSON document whose outermost value is of this kind; NaN, infinities and numbers that are too large for one (``1e999``) become None."""
    with reading(survey, "JSON document", target):
        content = unpacked(content, survey, target)
        # astronomically large numbers are rare, and a function of ours for each number is slow
        value = json.loads(content.decode("utf-8-sig"), parse_constant=lambda _: None, parse_float=_finite if VAST.search(content) else None)
        if not isinstance(value, kind):
            raise TypeError(f"it is a {type(value).__name__}")
        return value


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def fits_hdus(content: bytes, survey: str, target: str | None = None) -> "HDUList":
    """A FITS file in memory, every unit's claimed size checked against the bytes there are.

    astropy only warns of a file that is cut short; here that is an ArchiveError. Units are read when their ``data`` is
    looked at: do so inside `reading`.
    """
    from astropy.io import fits

    content = unpacked(content, survey, target)
    with reading(survey, "FITS file", target):
        if not content.startswith(b"SIMPLE  ="):
            raise ValueError("it does not begin with SIMPLE")
        # astropy counts to whatever a header says before it looks further
        for card in COUNTS.finditer(content):
            if card.start() % CARD == 0 and int(card[2]) > MOST_AXES:
                raise ValueError(f"{card[1].decode()} = {int(card[2]):g}, of at most {MOST_AXES}")
        options = {"memmap": False, "lazy_load_hdus": True, "ignore_missing_end": False, "ignore_missing_simple": False, "output_verify": "ignore"}
        units, packed = fits.open(io.BytesIO(content), disable_image_compression=True, **options), False
        for number in itertools.count():
            try:
                unit = units[number]
            except IndexError:
                break
            # before the next unit is looked for: after a negative length astropy would find the same units for ever
            start, length = unit.fileinfo()["datLoc"], _claimed(unit.header)
            if length < 0 or start + length > len(content):
                raise ValueError(f"unit {number} claims {length} bytes, {len(content) - start} are there")
            if unit.header.get("ZIMAGE"):
                packed = True
                fits_tiles.check(unit, LARGEST)
        return fits.open(io.BytesIO(content), **options) if packed else units


def _claimed(header: Any) -> int:
    """Bytes of data a header announces (FITS 4.0, equation 2)."""
    axes = [int(header.get(f"NAXIS{axis}", 0)) for axis in range(1, int(header.get("NAXIS", 0)) + 1)]
    if not axes:
        return 0
    if axes[0] == 0 and header.get("GROUPS") is True:
        axes = axes[1:]
    size = math.prod(axes) + int(header.get("PCOUNT", 0))
    return abs(int(header["BITPIX"])) // 8 * int(header.get("GCOUNT", 1)) * size


def _having(table: "Table", needed: Sequence[str], survey: str, target: str | None) -> "Table":
    if len(table) * max(1, len(table.colnames)) > LARGEST_CELLS:
        raise ArchiveError(survey, f"the answer has {len(table)} rows of {len(table.colnames)} columns, more than can be held. Ask for fewer targets.", target)
    lacking = [name for name in needed if name not in table.colnames]
    if lacking:
        raise ArchiveError(survey, f"the answer lacks the columns {', '.join(lacking)}; it has {', '.join(table.colnames[:12])}", target, unreadable=True)
    return table


def plain(cell: Any) -> Any:
    """A plain Python value of a table cell, None where there is none."""
    if np.ma.is_masked(cell):
        return None
    value = cell.item() if hasattr(cell, "item") and np.ndim(cell) == 0 else cell
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.strip() or None
    return None if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)) else value


def number(text: str | None) -> float | None:
    """A finite number from a cell of text; None where it is empty. ValueError for anything else."""
    if text is None:
        return None
    value = float(text)
    return value if math.isfinite(value) else None
