"""A large fetch in pieces that any process can do: each is a text that says all, and leaves its answers in the cache.

::

    pieces = list(chunks(targets, ["gaia/table", "hips/legacy"], each=1000, size=20))
    outcomes = [fetch_chunk(piece) for piece in pieces]         # or client.map(fetch_chunk, pieces) of a Dask cluster
    found = af.fetch(targets, ["gaia/table", "hips/legacy"], size=20, mode="offline")

Processes that work on pieces share one cache folder (``ASTROFUSE_CACHE``). A piece that is done once more asks for what is
missing only.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import Any

from astrofuse_lab import surveys as _surveys
from astrofuse_lab.errors import InputError
from astrofuse_lab.fetching import fetch
from astrofuse_lab.questions import chosen_surveys, requests_to
from astrofuse_lab.surveys.survey import Ask, Survey
from astrofuse_lab.targets import Target, Targets

VERSION = 1


def chunks(
    targets: Targets, surveys: str | Sequence[str], each: int = 1000, radius: Any = 3.0, size: Any = 20.0, time: Any = None,
    options: Any = None, *, mode: str = "prefer-cache",
) -> Iterator[str]:
    """A fetch as JSON texts, one survey and at most `each` targets in a piece.

    Parameters
    ----------
    targets, surveys, radius, size, time, options, mode
        As of `fetch`; surveys by name, since another process finds them by it.
    each : int

    Raises
    ------
    UnknownNameError, InputError
        As of `fetch`; also for a survey object that other processes cannot find by its name.
    """
    if isinstance(each, bool) or not isinstance(each, int) or each < 1:
        raise InputError(f"each={each!r} is no number of targets, at least 1.")
    chosen = chosen_surveys(targets, surveys)
    for name, survey in chosen.items():
        if not _by_name(name, survey):
            raise InputError(f"survey {name!r} is an object of this process. Pieces are done elsewhere: use names of af.list_surveys(), or register it by an entry point.")
    asks = requests_to(chosen, radius, size, time, options)
    return (
        json.dumps({"version": VERSION, "survey": name, "ask": asks[name]._asdict(), "mode": mode, "targets": [astuple(t) for t in targets[start : start + each]]})
        for start in range(0, len(targets), each)
        for name in chosen
    )


def fetch_chunk(piece: str, timeout: float | None = None) -> dict[str, Any]:
    """Do one piece: the answers go to the cache.

    Parameters
    ----------
    piece : str
        One text of `chunks`.
    timeout : float, optional
        Seconds; a piece that is not complete may be done once more.

    Returns
    -------
    dict
        survey, found, empty, failed and pending (numbers of targets) and messages (of what failed, by object_id); JSON values.

    Raises
    ------
    InputError
        If it is no such text.
    """
    try:
        given = json.loads(piece)
        if given["version"] != VERSION:
            raise ValueError(f"version {given['version']}")
        targets = Targets(Target(*_tuples(row)) for row in given["targets"])
        wishes: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given["ask"].items()}
        ask = Ask(**wishes)
        name, mode = str(given["survey"]), str(given["mode"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"this is no piece of a fetch ({type(error).__name__}: {error}). Make some: list(chunks(targets, surveys)).") from error
    special = {"bands": ask.bands, "release": ask.release, "limit": ask.limit}
    options = {**ask.options, **{key: value for key, value in special.items() if value is not None}}
    found = fetch(targets, name, ask.radius, ask.size, ask.time, {name: options}, progress=False, mode=mode, timeout=timeout)
    book = found._ledgers[name]
    messages = {targets[int(row)].object_id: book.said(int(row)) for row in book.rows("failed")}
    return {"survey": name, **book.counts(), "messages": messages}


def _by_name(name: str, survey: Survey) -> bool:
    try:
        return _surveys.get(name) is survey
    except InputError:
        return False


def _tuples(row: Sequence[Any]) -> list[Any]:
    """Lists of JSON as the tuples they were."""
    return [tuple(value) if isinstance(value, list) else value for value in row]
