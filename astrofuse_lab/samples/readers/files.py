"""Files of a mirror, read with suspicion: what each claims to hold is looked at before it is unpacked, and errors name the file.

Checksums are compared before (`samples.registry`), unless the user said not to; the limits here hold always.
"""

import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib import format as npy
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError, SampleSetError
from astrofuse_lab.storage import file_digest
from astrofuse_lab.surveys import parquet_files

MOST_BYTES = 4 * 1024**3
MOST_UNPACKED = 1024**3
"""Of one array in an archive."""
MOST_ROWS = 5_000_000
LARGEST_CHUNK = 64 * 1024**2  # bytes, of HDF5
AGAIN = "Copy it again from the mirror."


def version(reader: str) -> str:
    """Of a reader (its ``__file__``) and of what it shares with the others: another reader makes another set of the same files."""
    return "".join(file_digest(p) for p in (Path(reader), Path(__file__), *(Path(__file__).with_name(n) for n in ("curves.py", "places_on_sky.py", "texts.py"))))


@contextmanager
def reading(file: Path, what: str) -> Iterator[None]:
    """Turn whatever a parser raises into a SampleSetError that names the file."""
    try:
        yield
    except SampleSetError:
        raise
    except MemoryError:
        raise SampleSetError(f"{file} claims to hold more than this machine can. {AGAIN}") from None
    except Exception as error:  # parsers raise whatever their readers do
        raise SampleSetError(f"{file} cannot be read as {what} ({' '.join(str(error).split())[:300]}). {AGAIN}") from error


def exists(file: Path) -> None:
    """Raise SampleSetError unless the file is there."""
    if not file.is_file():
        raise SampleSetError(f"{file} is missing. Copy the folder {file.parent.name!r} from a complete mirror.")
    if file.stat().st_size > MOST_BYTES:
        raise SampleSetError(f"{file} has {file.stat().st_size} bytes; at most {MOST_BYTES} are read.")


def parquet(file: Path, needed: Sequence[str] = (), most: int = MOST_ROWS) -> pa.Table:
    """A Parquet table with at least the columns `needed` and at most `most` rows."""
    exists(file)
    with reading(file, "Parquet"):
        rows = pq.read_metadata(file).num_rows
        if rows > most:
            raise SampleSetError(f"{file} claims {rows} rows; at most {most} rows are read.")
        try:
            table = parquet_files.table(file.read_bytes(), file.name)
        except ArchiveError as error:
            raise SampleSetError(f"{file} cannot be read as Parquet ({error}). {AGAIN}") from error
    need(file, table, needed)
    return table


def npz(file: Path, needed: Mapping[str, tuple[str, int]]) -> dict[str, NDArray[Any]]:
    """Arrays of a numpy archive.

    Parameters
    ----------
    file : path
    needed : mapping of str to (str, int)
        Kinds of number (numpy letters, e.g. ``"iu"``) and axes of each array that is read; nothing else in the file is.

    Raises
    ------
    SampleSetError
        If an array is missing, of another kind or shape, holds objects, or claims more than the safety limits.
    """
    exists(file)
    arrays: dict[str, NDArray[Any]] = {}
    with reading(file, "a numpy archive"), zipfile.ZipFile(file) as archive:
        for name, (kinds, axes) in needed.items():
            try:
                info = archive.getinfo(f"{name}.npy")
            except KeyError:
                raise SampleSetError(f"{file} has no array {name!r}; is it another file? It has {', '.join(archive.namelist()[:8])}, ...") from None
            if info.file_size > MOST_UNPACKED:
                raise SampleSetError(f"{file}: {name!r} unpacks to {info.file_size} bytes; at most {MOST_UNPACKED} are read.")
            with archive.open(info) as member:
                arrays[name] = _npy(file, name, member.read(), kinds, axes)
    return arrays


def _npy(file: Path, name: str, content: bytes, kinds: str, axes: int) -> NDArray[Any]:
    buffer = io.BytesIO(content)
    major, _ = npy.read_magic(buffer)
    shape, _, dtype = (npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0)(buffer)
    if dtype.kind not in kinds or len(shape) != axes:
        raise SampleSetError(f"{file}: {name!r} holds {dtype} of shape {shape}; {axes} axes of kind {kinds!r} are expected.")
    # what is claimed must be there, before numpy makes room for it
    if int(np.prod(shape, dtype=object)) * dtype.itemsize != len(content) - buffer.tell():
        raise SampleSetError(f"{file}: {name!r} claims the shape {shape}, which its {len(content)} bytes do not hold. {AGAIN}")
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def csv(file: Path, needed: Sequence[str] = (), most: int = 100_000) -> pa.Table:
    """A comma-separated table with a header line; empty cells are missing, numbers become numbers."""
    from pyarrow import csv as arrow_csv

    exists(file)
    if file.stat().st_size > 64 * 1024**2:
        raise SampleSetError(f"{file} has {file.stat().st_size} bytes; at most 64 MiB of CSV are read.")
    with reading(file, "CSV"):
        table = arrow_csv.read_csv(file, convert_options=arrow_csv.ConvertOptions(strings_can_be_null=True, null_values=["", "nan", "NaN", "None"]))
    if len(table) > most:
        raise SampleSetError(f"{file} has {len(table)} rows; at most {most} rows are read.")
    need(file, table, needed)
    return table


def plain_dataset(file: Path, h5: Any, name: str) -> Any:
    """A data set that lies in this very HDF5 file; links and external storage could make us read any file of the user's.

    Answers of archives are read by a process of their own (`surveys.hdf5_files`), since a damaged file can hang or crash the HDF5 library, and nobody has
    seen its bytes before. Files of a mirror are read here: their sha256 is compared before, with that of the very files that this reader was tested on, so
    a damaged one never comes this far; and they are too large to go through a pipe. Who passes ``verify=False`` says that they trust the file; the limits on
    what it claims hold all the same.
    """
    import h5py

    dataset = h5[name] if isinstance(h5.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise SampleSetError(f"{file}: {name!r} is no plain data set inside the file.")
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > LARGEST_CHUNK:
        raise SampleSetError(f"{file}: {name!r} has chunks of {dataset.chunks} values, each of which would be unpacked whole; at most {LARGEST_CHUNK} bytes are.")
    return dataset


# ---- columns ------------------------------------------------------------------------------------------------------


def need(file: Path, table: pa.Table, names: Sequence[str]) -> None:
    """Raise SampleSetError unless the table has these columns."""
    lacking = [name for name in names if name not in table.column_names]
    if lacking:
        raise SampleSetError(f"{file} has no column {lacking[0]!r}; is it another file? It has {', '.join(table.column_names[:8])}, ...")


def whole(file: Path, table: pa.Table, name: str) -> NDArray[np.int64]:
    """A column of whole numbers without gaps."""
    column = table.column(name)
    if not pa.types.is_integer(column.type) or column.null_count:
        raise SampleSetError(f"{file}: column {name!r} must hold whole numbers without gaps, not {column.type}.")
    return np.asarray(column).astype(np.int64)


def number(file: Path, table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column of numbers, NaN where missing."""
    column = table.column(name)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise SampleSetError(f"{file}: column {name!r} must hold numbers, not {column.type}.")
    return np.asarray(column.cast(pa.float64(), safe=False).fill_null(float("nan")))


def flag(file: Path, table: pa.Table, name: str) -> NDArray[np.bool_]:
    """A column of booleans, False where missing."""
    column = table.column(name)
    if not pa.types.is_boolean(column.type):
        raise SampleSetError(f"{file}: column {name!r} must hold booleans, not {column.type}.")
    return np.asarray(column.fill_null(False).combine_chunks().to_numpy(zero_copy_only=False), dtype=bool)


def texts(file: Path, table: pa.Table, name: str) -> NDArray[np.str_]:
    """A column of text, empty where missing."""
    column = table.column(name)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise SampleSetError(f"{file}: column {name!r} must hold text, not {column.type}.")
    return np.array(column.fill_null("").to_pylist(), dtype=str)


def lists(file: Path, table: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A column of lists of numbers, end to end: offsets (row + 1,) and values."""
    column = table.column(name).combine_chunks()
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise SampleSetError(f"{file}: column {name!r} must hold lists of numbers, not {kind}.")
    lengths = np.asarray(column.value_lengths().fill_null(0)).astype(np.int64)
    values = np.asarray(column.flatten().cast(pa.float64()).fill_null(float("nan")))
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values


def rectangle(file: Path, table: pa.Table, name: str, width: int) -> NDArray[np.float64]:
    """A column of lists that all have `width` numbers: (row, width)."""
    offsets, values = lists(file, table, name)
    if (np.diff(offsets) != width).any():
        row = int(np.flatnonzero(np.diff(offsets) != width)[0])
        raise SampleSetError(f"{file}: {name!r} of row {row} has {np.diff(offsets)[row]} numbers; {width} are expected.")
    return values.reshape(-1, width)


def places(there: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each wanted id lies, and whether it is there at all."""
    if len(there) == 0:
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    order = np.argsort(there, kind="stable")
    place = order[np.clip(np.searchsorted(there, wanted, sorter=order), 0, len(there) - 1)]
    return place, there[place] == wanted


def roles_of(table: pa.Table, inputs: Sequence[str] = (), **others: Sequence[str]) -> dict[str, str]:
    """Roles of the columns that are there: ``inputs``, and names by role (``target=("label",)``)."""
    names = set(table.column_names)
    return {name: role for role, members in {"input": inputs, **others}.items() for name in members if name in names}
