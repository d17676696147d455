"""Raw answers of the archives on disk: what was fetched once is not fetched again.

::

    af.cache.size()                 bytes kept
    af.cache.limit(5e9)             at most so many; what was not used for longest goes first
    af.cache.clear("gaia/table")    forget one survey, or everything
    af.cache.export("class", found) one folder (or class.tar) for others, with checksums
    af.cache.add("class")           take such a folder over, then fetch with mode="offline"
"""

from typing import TYPE_CHECKING, Any

from astrofuse_lab.cache.answers import STALE, Answers, Hit, target_key
from astrofuse_lab.cache.bounds import files, limit, remove
from astrofuse_lab.cache.sharing import add, export
from astrofuse_lab.errors import UnknownNameError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["STALE", "Answers", "Hit", "add", "clear", "contents", "export", "limit", "size", "target_key"]


def size() -> int:
    """Bytes that the answers take on disk."""
    return sum(one.size for one in files(Answers().root))


def contents() -> "Table":
    """What is kept: survey (as a folder name), answers, bytes."""
    from astropy.table import Table

    held: dict[str, list[int]] = {}
    for one in files(Answers().root):
        row = held.setdefault(one.survey, [0, 0])
        row[0] += 1
        row[1] += one.size
    names = ("survey", "answers", "bytes")
    rows: list[tuple[Any, ...]] = [(name, *held[name]) for name in sorted(held)]
    return Table(rows=rows, names=names) if rows else Table({name: [] for name in names})


def clear(survey: str | None = None) -> int:
    """Forget answers; fetching again asks the network for them.

    Parameters
    ----------
    survey : str, optional
        One survey's alone, e.g. ``"gaia/table"``.

    Returns
    -------
    int
        Bytes that were freed.

    Raises
    ------
    UnknownNameError
        If nothing of this survey is kept.
    """
    from astrofuse_lab.cache.answers import slug

    kept = list(files(Answers().root))
    if survey is None:
        return remove(kept)
    wanted = slug(survey)
    if kept and not any(one.survey == wanted for one in kept):
        raise UnknownNameError("answer kept of survey", survey, {one.survey.replace("-", "/", 1) for one in kept}, "af.cache.contents() shows what is kept.")
    return remove(one for one in kept if one.survey == wanted)
