"""Many targets in many surveys: `fetch`, and the ways to find targets that need a survey or the network."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from astrofuse_lab import surveys as _surveys
from astrofuse_lab.cache import Answers
from astrofuse_lab.crew import Crew
from astrofuse_lab.errors import InputError, StorageError, UnknownNameError
from astrofuse_lab.found import Found, Ledger
from astrofuse_lab.naming import from_names, from_region
from astrofuse_lab.surveys.survey import Ask, Survey
from astrofuse_lab.targets import Targets

__all__ = ["Found", "Targets", "fetch"]

Progress = Callable[[dict[str, object]], object]
LIFTED = ("bands", "release", "limit")  # options that are fields of the request itself
POLL = 0.1  # s between looks at the stop sign

# targets.py is data only: the ways that need a survey or the network are joined to the class here
Targets.from_names = staticmethod(from_names)
Targets.from_region = staticmethod(from_region)


def fetch(
    targets: Targets, surveys: str | Survey | Sequence[str | Survey], radius: Any = 3.0, size: Any = 20.0, time: Any = None,
    options: Mapping[str, Any] | None = None, progress: bool = True, *,
    stop: threading.Event | None = None, on_progress: Progress | None = None, refresh: bool = False,
) -> Found:
    """Fetch what several surveys have on a list of targets.

    Surveys are asked side by side, a few requests each at a time. Timeouts and busy servers are asked again with
    growing pauses. What fails is noted in the archive's own words and hinders nothing else. Answers are kept in the
    cache, so that the same request asks the network only for what is missing, also after a crash.

    Parameters
    ----------
    targets : Targets
    surveys : str or Survey, or sequence of these
        Names from ``af.list_surveys()``, or objects such as ``af.surveys.tap(...)`` makes.
    radius : Quantity or float
        How far from the target a source may lie; a plain number is arcsec.
    size : Quantity or float
        Width and height of image cutouts; a plain number is arcsec.
    time : pair of float or Time, optional
        First and last epoch wanted, MJD.
    options : mapping, optional
        Settings, e.g. ``{"noise": 2.0}``, or per survey: ``{"practice/image": {"missing": 0.3}}``. ``bands``,
        ``release`` and ``limit`` (rows per target) go into the request of every survey that heeds them.
    progress : bool
        Show a line of text while fetching.
    stop : threading.Event, optional
        Setting it ends the fetch within two seconds; what was not fetched stays pending.
    on_progress : callable, optional
        Called in this thread with a dict: survey, done, total, failed, state (fetching, done, stopped).
    refresh : bool
        Ask again for what is in the cache.

    Returns
    -------
    Found
        Partial results are results: see ``found.status``; ``found.retry()`` goes on.

    Raises
    ------
    UnknownNameError
        For a survey that does not exist.
    InputError
        For no targets, no surveys, or an argument or option that cannot be used.
    StorageError
        If the cache cannot be written; ``error.found`` holds what was fetched until then.
    """
    chosen = _chosen(targets, surveys)
    asks = _asks(chosen, radius, size, time, options)
    ledgers = {name: Ledger.new(survey, asks[name], len(targets)) for name, survey in chosen.items()}
    return _gather(targets, ledgers, progress, stop, on_progress, refresh)


def _gather(
    targets: Targets, ledgers: Mapping[str, Ledger], progress: bool, stop: threading.Event | None, on_progress: Progress | None, refresh: bool
) -> Found:
    """Fill the ledgers from the cache, then from the archives."""

    def again(
        found: Found, *, progress: bool = progress, stop: threading.Event | None = None, on_progress: Progress | None = None
    ) -> Found:
        books = {name: book.again() for name, book in found._ledgers.items()}
        return _gather(found.targets, books, progress, stop, on_progress, refresh)

    answers = Answers()
    found = Found(targets, ledgers, answers, again)
    if not refresh:
        for book in ledgers.values():
            _recall(targets, book, answers, stop)
    report = _Reporter(ledgers, progress, on_progress)
    crew = Crew(targets, ledgers, answers)
    try:
        if any("pending" in book.state for book in ledgers.values()) and not (stop is not None and stop.is_set()):
            answers.check_writable()
            crew.start()
        _listen(crew, ledgers, stop, report)
    except StorageError as error:
        error.found = found
        raise
    finally:
        crew.closed.set()
        report.end()
    return found


def _recall(targets: Targets, book: Ledger, answers: Answers, stop: threading.Event | None) -> None:
    """Enter what the cache holds."""
    wanted = Targets(t for t, state in zip(targets, book.state, strict=True) if state == "pending")
    if not len(wanted):
        return
    hits = answers.lookup(book.survey, book.ask, wanted, stop.is_set if stop is not None else lambda: False)
    for row, object_id in enumerate(targets.ids):
        if book.state[row] == "pending" and object_id in hits:
            hit = hits[object_id]
            book.write(row, "found" if hit.found else "empty", hit.path)


def _listen(crew: Crew, ledgers: Mapping[str, Ledger], stop: threading.Event | None, report: "_Reporter") -> None:
    """Write down what the crew reports, until it is done or told to stop."""
    import queue

    for name in ledgers:
        report.tell(name, "fetching")
    while not (stop is not None and stop.is_set()):
        working = crew.busy  # looked at before the queue, so that a last event is not missed
        try:
            event = crew.events.get(timeout=POLL if working else 0)
        except queue.Empty:
            if working:
                continue
            break
        if isinstance(event, StorageError | InputError):
            raise event
        for row in event.rows:
            ledgers[event.survey].write(row, event.state, event.path, event.message)
        report.tell(event.survey, "fetching")
    for name, book in ledgers.items():
        report.tell(name, "stopped" if "pending" in book.state else "done")


class _Reporter:
    """Tells a callback and, on a terminal or in a notebook, a line of text how far a fetch is."""

    def __init__(self, ledgers: Mapping[str, Ledger], shown: bool, callback: Progress | None) -> None:
        self.ledgers, self.shown, self.callback = ledgers, shown, callback
        self.start = self.last = time.monotonic()
        in_notebook = type(sys.stderr).__module__.startswith("ipykernel")
        self.out = sys.stdout if in_notebook else sys.stderr  # a notebook paints stderr red, as if something were wrong
        self.live = shown and (in_notebook or sys.stderr.isatty())

    def tell(self, name: str, state: str) -> None:
        counts = self.ledgers[name].counts()
        if self.callback is not None:
            total = len(self.ledgers[name].state)
            self.callback({"survey": name, "done": total - counts["pending"], "total": total, "failed": counts["failed"], "state": state})
        if self.live and time.monotonic() - self.last > 0.2:
            self.last = time.monotonic()
            self.out.write("\r" + self._line() + "\x1b[K")
            self.out.flush()

    def end(self) -> None:
        if self.shown:
            self.out.write(("\r" if self.live else "") + self._line() + ("\x1b[K\n" if self.live else "\n"))
            self.out.flush()

    def _line(self) -> str:
        parts = []
        for name, book in self.ledgers.items():
            counts, total = book.counts(), len(book.state)
            parts.append(f"{name} {total - counts['pending']}/{total}" + (f" ({counts['failed']} failed)" if counts["failed"] else ""))
        return "  ".join(parts) + f"  {time.monotonic() - self.start:.0f} s"


def _chosen(targets: Targets, names: str | Survey | Sequence[str | Survey]) -> dict[str, Survey]:
    """The surveys by name, once it is clear that there is something to do."""
    if not isinstance(targets, Targets):
        raise InputError(f"targets is a {type(targets).__name__}. Make Targets of it first: af.Targets.from_table(table), .from_names([...]) or .from_region(...).")
    if not len(targets):
        raise InputError("there are no targets to fetch. Targets.from_table(table), .from_names([...]) or .from_region(center, radius) finds some.")
    listed = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if not listed:
        raise InputError("no survey was named. Type e.g. surveys=['practice/image', 'practice/spectrum']; af.list_surveys() shows them all.")
    return {survey.name: survey for survey in map(_surveys.get, listed)}


def _asks(chosen: Mapping[str, Survey], radius: Any, size: Any, epochs: Any, options: Mapping[str, Any] | None) -> dict[str, Ask]:
    """The request to each survey, in plain numbers."""
    base = Ask(_arcsec(radius, "radius"), _arcsec(size, "size"), _span(epochs))
    general = {k: v for k, v in (options or {}).items() if not isinstance(v, Mapping)}
    special = {k: v for k, v in (options or {}).items() if isinstance(v, Mapping)}
    for name in special:
        if name not in chosen:
            raise UnknownNameError("survey in this fetch", name, chosen, "Options are given per survey, or once for all.")
    asks = {}
    for name in chosen:
        given = {**general, **special.get(name, {})}
        for key, value in given.items():
            if key not in LIFTED and not isinstance(value, float | int | str | bool):
                raise InputError(f"options: {key}={value!r} for {name} is a {type(value).__name__}; a number, a text or a truth value is needed.")
        rest = {k: v for k, v in given.items() if k not in LIFTED}
        asks[name] = base._replace(
            bands=_bands(given.get("bands")), release=given.get("release"), limit=None if given.get("limit") is None else int(given["limit"]), options=rest
        )
    return asks


def _bands(given: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return (given,) if isinstance(given, str) else tuple(str(b) for b in given)


def _arcsec(value: Any, name: str) -> float:
    """An angle in arcsec from a Quantity or a plain number."""
    try:
        plain = float(value.to_value("arcsec") if hasattr(value, "to_value") else value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}={value!r} is no angle ({error}). Type e.g. {name}=3 * u.arcsec, or a plain number of arcsec.") from None
    if not (np.isfinite(plain) and 0 < plain <= 3600 * 180):
        raise InputError(f"{name}={value!r} is not an angle above zero. Type e.g. {name}=3 * u.arcsec.")
    return plain


def _span(epochs: Any) -> tuple[float, float] | None:
    """First and last MJD."""
    if epochs is None:
        return None
    try:
        first, last = (float(getattr(e, "mjd", e)) for e in epochs)
    except (TypeError, ValueError):
        raise InputError(f"time={epochs!r} is not a pair of epochs. Type e.g. time=(58849.0, 59215.0), in MJD, or a pair of astropy Times.") from None
    if not first < last:
        raise InputError(f"time={epochs!r}: the first epoch is not before the last (MJD).")
    return first, last
