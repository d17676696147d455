"""Named sample sets: what there is, where it comes from, and how it becomes a SampleSet."""

import hashlib
import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from astrofuse_lab.errors import InputError, SampleSetError, StorageError, UnknownNameError
from astrofuse_lab.samples.entries import ENTRIES, Entry
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.storage import cache_root, file_digest

if TYPE_CHECKING:
    from astropy.table import Table

MIRROR = "ASTROFUSE_MIRROR"


def list_samples() -> "Table":
    """The named sample sets: one row a set, with its size, licence and citation.

    Returns
    -------
    Table
        name, title, modalities, objects, size (MB on disk once built), licence, citation, simulated, source.
    """
    from astropy.table import Table

    rows = [
        {
            "name": e.name, "title": e.title, "modalities": ", ".join(e.modalities), "objects": e.objects, "size": e.megabytes,
            "licence": e.licence, "citation": e.citation, "simulated": e.simulated,
            "source": f"mirror only: {e.folder}" if e.folder else "made on this machine",
        }
        for e in ENTRIES
    ]  # fmt: skip
    table = Table(rows=rows)
    table["size"].unit = "Mbyte"
    return table


def load_samples(
    name: str, n: int | None = None, seed: int = 0, *, mirror: str | Path | None = None, verify: bool = True, progress: bool = True
) -> SampleSet:
    """Load a named sample set.

    It is looked for in the cache, then built from the files of a mirror (or, for the practice sky, on this machine)
    and kept in the cache. Where the cache cannot be written the set stays in memory.

    Parameters
    ----------
    name : str
        See ``af.list_samples()``.
    n : int, optional
        At most so many objects, drawn with `seed`; None: all (600 of the practice sky).
    seed : int
        For the practice sky, which sky; for other sets, which `n` objects.
    mirror : path, optional
        The folder that holds the sets' folders; None: the environment variable ``ASTROFUSE_MIRROR``.
    verify : bool
        Compare the checksums of the mirror's files. False skips these, never the limits on what a file may hold.
    progress : bool
        Show what is being made.

    Returns
    -------
    SampleSet

    Raises
    ------
    UnknownNameError
        If there is no such set.
    SampleSetError
        If it is in neither cache nor mirror, or a file is missing or not what it should be.

    Examples
    --------
    >>> import astrofuse_lab as af
    >>> samples = af.load_samples("practice", n=12, progress=False)
    >>> len(samples), samples.simulated
    (12, True)
    """
    entries = {e.name: e for e in ENTRIES}
    if name not in entries:
        raise UnknownNameError("sample set", name, entries, "af.list_samples() lists them.")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1):
        raise InputError(f"n={n!r} is not a number of objects, at least 1; None loads all of {name!r}.")
    entry = entries[name]
    if not entry.folder:
        return _made(entry, int(n or entry.objects), int(seed), progress)
    return _some(_mirrored(entry, mirror, verify), n, seed)


def _made(entry: Entry, n: int, seed: int, progress: bool) -> SampleSet:
    module = importlib.import_module(entry.module)
    return _through_cache(entry.name, [module.VERSION, n, seed], lambda: module.make(n, seed, progress))


def _mirrored(entry: Entry, mirror: str | Path | None, verify: bool) -> SampleSet:
    module = importlib.import_module(entry.module)
    if mirror is None:
        kept = _kept(_place(entry.name, [module.VERSION, dict(entry.files)]))
        if kept is not None:
            return kept
    folder = _folder(entry, mirror)
    digests = {file: _digest(folder / file, known if verify else None) for file, known in entry.files.items()}
    return _through_cache(entry.name, [module.VERSION, digests], lambda: module.read(folder))


def _folder(entry: Entry, mirror: str | Path | None) -> Path:
    given = mirror or os.environ.get(MIRROR)
    if not given:
        raise SampleSetError(
            f"{entry.name!r} is mirror only, and no mirror is given. Set {MIRROR}=<folder>, or type af.load_samples({entry.name!r}, mirror='<folder>'), "
            f"where <folder>/{entry.folder} holds {', '.join(entry.files)}. af.load_samples('practice') needs no mirror."
        )
    folder = Path(given).expanduser() / entry.folder
    if not folder.is_dir():
        raise SampleSetError(f"the mirror {given} has no folder {entry.folder!r}, so {entry.name!r} cannot be read. mirror= is the folder that holds the sets' folders.")
    return folder


def _digest(file: Path, known: str | None) -> str:
    if not file.is_file():
        raise SampleSetError(f"{file} is missing. Copy it from a complete mirror.")
    try:
        found = file_digest(file)
    except OSError as error:
        raise SampleSetError(f"{file} cannot be read ({error.strerror}).") from error
    if known is not None and found != known:
        raise SampleSetError(
            f"{file} is not the file this version knows: sha256 {found[:12]}..., {known[:12]}... expected. Copy it again, or, if you trust it, pass verify=False."
        )
    return found


def _some(samples: SampleSet, n: int | None, seed: int) -> SampleSet:
    if n is None or n >= len(samples):
        return samples
    return samples.take(np.sort(np.random.default_rng(seed).choice(len(samples), n, replace=False)))


# ---- the cache of built sets --------------------------------------------------------------------------------------


def _place(name: str, parts: list[object]) -> Path:
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return cache_root() / "samples" / f"{name}-{key}"


def _kept(place: Path) -> SampleSet | None:
    """The set kept there; None where there is none, or it was damaged and must be made again."""
    try:
        return SampleSet.open(place) if place.is_dir() else None
    except (SampleSetError, OSError):
        return None


def _through_cache(name: str, parts: list[object], build: Callable[[], SampleSet]) -> SampleSet:
    place = _place(name, parts)
    kept = _kept(place)
    if kept is not None:
        return kept
    samples = build()
    try:
        samples.save(place, overwrite=True)
    except StorageError:
        return samples  # a cache that cannot be written is no reason to stop
    return _kept(place) or samples
