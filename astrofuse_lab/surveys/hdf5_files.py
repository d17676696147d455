"""HDF5 (and netCDF-4) from a network, in memory: only arrays that lie in the file itself, and only as large as they may be.

Source: HDF5 file format 3.0 (https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html), external links, external storage and virtual datasets, none of which
are followed: they name files on this machine.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.surveys import formats

MAGIC = b"\x89HDF\r\n\x1a\n"
LARGEST_CHUNK = 64 * 1024**2


@contextmanager
def opened(content: bytes, survey: str, target: str | None = None) -> Iterator[Any]:
    """The file, closed at the end; whatever goes wrong inside becomes an ArchiveError."""
    import h5py

    with formats.reading(survey, "HDF5 file", target):
        if not content.startswith(MAGIC):
            raise ValueError("it does not begin as HDF5 does")
        with h5py.File(io.BytesIO(content), "r") as file:
            yield file


def dataset(file: Any, path: str) -> Any:
    """A dataset by its path, checked to lie in this file; ValueError where it does not."""
    import h5py

    place = file
    for part in path.strip("/").split("/"):
        link = place.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{path!r} is not in the file itself")
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        raise ValueError(f"{path!r} is no dataset")
    if place.is_virtual or place.external:
        raise ValueError(f"{path!r} lies in another file")
    if place.chunks and math.prod(place.chunks) * place.dtype.itemsize > LARGEST_CHUNK:
        raise ValueError(f"{path!r} has chunks of {place.chunks} values")
    return place


def numbers(found: Any, first: int = 0, last: int | None = None, most: int = 20_000_000) -> NDArray[Any]:
    """Values `first` to `last` of a one-dimensional dataset of numbers; ValueError for another kind, or more than `most`."""
    if found.ndim != 1 or found.dtype.kind not in "iuf" or found.dtype.itemsize > 8:
        raise ValueError(f"{found.name!r} is {found.ndim}-dimensional, of {found.dtype}")
    last = len(found) if last is None else min(last, len(found))
    if not 0 <= first <= last or last - first > most:
        raise ValueError(f"{found.name!r} has {len(found)} values; {first} to {last} were wanted, at most {most}")
    return np.asarray(found[first:last])


def attribute(found: Any, name: str, default: Any = None) -> Any:
    """An attribute as a plain value: a number, or text."""
    value = found.attrs.get(name, default)
    if isinstance(value, np.ndarray):
        if value.size != 1:
            raise ValueError(f"attribute {name!r} has {value.size} values")
        value = value.ravel()[0]
    value = value.item() if hasattr(value, "item") else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
