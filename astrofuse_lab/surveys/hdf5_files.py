"""HDF5 (and netCDF-4) from a network: one-dimensional arrays of numbers that lie in the file itself, read by a process of their own.

A damaged file can hang or crash the HDF5 library, and with it the whole interpreter, since the library holds its lock all the while; links, external
storage and virtual datasets name other files of this machine. So a short-lived process reads the file, within limits of time and memory, and follows
nothing. Source: HDF5 file format 3.0 (https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html).
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import formats, hdf5_child

MAGIC = b"\x89HDF\r\n\x1a\n"
LIMIT = 60.0
"""Seconds that reading one file may take; the largest strain files take two."""


class Array(NamedTuple):
    """One dataset: its values, one-dimensional, and its attributes (numbers, texts and short lists of these)."""

    values: NDArray[Any]
    attributes: dict[str, Any]


def read(content: bytes, paths: Sequence[str], survey: str, target: str | None = None, most: int = 20_000_000, limit: float | None = None) -> dict[str, Array]:
    """The datasets of these paths.

    Parameters
    ----------
    content : bytes
        The file.
    paths : sequence of str
        ``group/dataset``.
    survey, target : str
        Named in errors.
    most : int
        Values that one dataset may have.
    limit : float, optional
        Seconds; `LIMIT` where not given.

    Raises
    ------
    ArchiveError
        For what is no HDF5 file, lacks a dataset, keeps it in another file, has too many values, or hangs or crashes the library.
    """
    if not content.startswith(MAGIC):
        raise ArchiveError(survey, "the answer is no HDF5 file (it does not begin as one)", target)
    limit = LIMIT if limit is None else limit
    command = [sys.executable, "-I", str(Path(hdf5_child.__file__)), json.dumps({"paths": list(paths), "most": most})]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=limit, check=False)  # noqa: S603, our own script
    except subprocess.TimeoutExpired:
        raise ArchiveError(survey, f"the answer is a damaged HDF5 file: it could not be read in {limit:g} s", target) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[-400:] if done.returncode > 0 else ""
        raise ArchiveError(survey, f"the answer is no complete HDF5 file ({said or 'the HDF5 library gave up on it'})", target)
    with formats.reading(survey, "HDF5 file", target):
        line, _, rest = done.stdout.partition(b"\n")
        found, start = {}, 0
        for head in json.loads(line):
            kind = np.dtype(head["kind"])
            found[head["path"]] = Array(np.frombuffer(rest, kind, int(head["size"]), start), head["attributes"])
            start += kind.itemsize * int(head["size"])
        return found
