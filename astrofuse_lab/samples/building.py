"""Sets larger than memory, built in chunks that can be made anywhere, in any order, and again after a crash.

::

    <folder>/                     the set: the old one until the last moment, then the new one
    .<folder>.building/           while it is built
        plan.json                 how many chunks, and the key that says what they are made of
        chunk-000007/             a finished chunk, itself a sample set
        chunk-000008.none         a chunk that has no objects

A chunk is a pure function of its number. It takes its name when it is whole, so that one that is there is finished. No state is held
but these files: any number of processes or machines that share the disk may make chunks at the same time, whoever makes one twice
makes the same. When all are there they are joined into the set, which takes its place whole; the chunks go afterwards.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from astrofuse_lab.errors import InputError, SampleSetError, StorageError
from astrofuse_lab.samples.joining import Opened, write_joined
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.storage import storage_errors, write_bytes, write_json

Map = Callable[[Callable[[int], int], Iterable[int]], Iterable[int]]


class SampleSetWriter:
    """Writes a sample set chunk by chunk; it holds a path and numbers only, and may be sent to other processes.

    Parameters
    ----------
    path : path
        The set's folder.
    chunks : int
        How many there will be.
    key : str
        Says what the chunks are made of, e.g. a version or a catalogue's digest: chunks that another key left behind are not used.
    overwrite : bool
        Replace the set that is there, when all chunks are done and not before.

    Raises
    ------
    StorageError
        If the place is taken or cannot be written.
    SampleSetError
        If another build of this set is half done, with another key or number of chunks.

    Examples
    --------
    >>> writer = SampleSetWriter("survey", chunks=100, key="dr10")     # doctest: +SKIP
    >>> for number in writer.missing():                                # doctest: +SKIP
    ...     writer.write(number, make(number))
    >>> samples = writer.finish()                                      # doctest: +SKIP
    """

    def __init__(self, path: str | Path, chunks: int, key: str = "", overwrite: bool = False) -> None:
        if isinstance(chunks, bool) or not isinstance(chunks, int) or not 1 <= chunks <= 999_999:
            raise InputError(f"chunks={chunks!r}; a number from 1 to 999999 is expected.")
        self.path = Path(path).expanduser().absolute()
        self.chunks, self.key, self.overwrite = chunks, str(key), overwrite
        if self.path.exists() and not overwrite:
            raise StorageError(f"{self.path} already exists. Pass overwrite=True to replace it when the new set is done, or give another path.")
        self.folder = self.path.with_name(f".{self.path.name}.building")
        plan, file = {"chunks": chunks, "key": self.key}, self.folder / "plan.json"
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if file.exists():
            known = _plan(file)
            if known != plan:
                raise SampleSetError(f"{self.folder} is a half-done build of {known.get('chunks')} chunks with key {known.get('key')!r}; this one has {chunks} and {self.key!r}. Finish that one, or remove the folder.")
        else:
            write_json(file, plan)

    def missing(self) -> list[int]:
        """The numbers of the chunks that are not done."""
        return [n for n in range(self.chunks) if not self._done(n)]

    def write(self, number: int, samples: SampleSet | None) -> None:
        """Keep one chunk; None: it has no objects. A chunk that is there already is left as it is."""
        self._check(number)
        if self._done(number):
            return
        if samples is None or len(samples) == 0:
            write_bytes(self._empty(number), b"")
            return
        try:
            samples.save(self._chunk(number), overwrite=True)
        except (StorageError, OSError):
            if not self._done(number):  # else another process made the same chunk at the same time
                raise

    def finish(self, card: Card | None = None) -> SampleSet:
        """Join the chunks and put the set in its place; the old one is there until then.

        Raises
        ------
        SampleSetError
            If chunks are missing or do not fit together; they are named, and nothing is lost.
        """
        missing = self.missing()
        if missing:
            raise SampleSetError(f"{len(missing)} of {self.chunks} chunks of {self.path} are not done, first {missing[0]}. Write them, then finish() again.")
        parts: list[Opened] = [
            (f"chunk {n} of {self.path.name}", partial(SampleSet.open, self._chunk(n))) for n in range(self.chunks) if not self._empty(n).exists()
        ]
        if not parts:
            raise SampleSetError(f"none of the {self.chunks} chunks of {self.path} has an object.")
        write_joined(parts, self.path, overwrite=self.overwrite, card=card)
        shutil.rmtree(self.folder, ignore_errors=True)
        return SampleSet.open(self.path, verify=False)

    def _check(self, number: int) -> None:
        if isinstance(number, bool) or not 0 <= number < self.chunks:
            raise InputError(f"there is no chunk {number!r}; they are 0 to {self.chunks - 1}.")

    def _chunk(self, number: int) -> Path:
        return self.folder / f"chunk-{number:06d}"

    def _empty(self, number: int) -> Path:
        return self.folder / f"chunk-{number:06d}.none"

    def _done(self, number: int) -> bool:
        return os.path.exists(self._chunk(number) / "manifest.json") or os.path.exists(self._empty(number))


def _plan(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise SampleSetError(f"{file} is damaged. Remove the folder {file.parent} and build again.") from error


def _make_one(writer: SampleSetWriter, make: Callable[[int], SampleSet | None], number: int) -> int:
    writer.write(number, make(number))
    return number


def build_samples(
    path: str | Path, chunks: int, make: Callable[[int], SampleSet | None], *, key: str = "", overwrite: bool = False, map: Map | None = None
) -> SampleSet:
    """Build a sample set of any size from chunks; after a crash the same line goes on where it stopped.

    Parameters
    ----------
    path : path
        The set's folder. What is there stays until the new set is whole.
    chunks : int
    make : function of int
        Gives the SampleSet of one chunk, or None where it has no objects. The same number must give the same objects.
    key : str
        Says what the chunks are made of; chunks of another key are not used.
    overwrite : bool
    map : function, optional
        Like the built-in ``map``: ``pool.map`` of concurrent.futures, or of a Dask cluster
        ``lambda work, numbers: client.gather(client.map(work, numbers))``. None: one after another.

    Returns
    -------
    SampleSet
        Memory-mapped.

    Raises
    ------
    SampleSetError, StorageError
        As `SampleSetWriter`. What `make` raises comes through; finished chunks stay.

    Examples
    --------
    >>> import astrofuse_lab as af
    >>> def make(number):
    ...     return af.align(af.fetch(targets[1000 * number : 1000 * (number + 1)], surveys))  # doctest: +SKIP
    >>> samples = af.build_samples("survey", 100, make)                                        # doctest: +SKIP
    """
    writer = SampleSetWriter(path, chunks, key, overwrite)
    for _ in (map or _one_by_one)(partial(_make_one, writer, make), writer.missing()):
        pass
    return writer.finish()


def _one_by_one(work: Callable[[int], int], numbers: Iterable[int]) -> Iterable[int]:
    return (work(n) for n in numbers)
