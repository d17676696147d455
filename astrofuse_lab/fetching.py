"""Many targets in many surveys: `fetch`, and the ways to find targets that need a survey or the network."""

import queue
import threading
import time as clock
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from astrofuse_lab import jobs
from astrofuse_lab.cache import Answers
from astrofuse_lab.crew import Crew, Event
from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.found import Found, Ledger
from astrofuse_lab.naming import from_names, from_text
from astrofuse_lab.progress import Progress, Reporter
from astrofuse_lab.questions import chosen_surveys, requests_to
from astrofuse_lab.region_search import from_region
from astrofuse_lab.surveys.survey import Survey
from astrofuse_lab.target_files import from_file
from astrofuse_lab.targets import Targets

__all__ = ["Found", "Targets", "fetch"]

POLL = 0.1  # s between looks at the stop sign
MODES = {
    "prefer-cache": "the archives are asked for what the cache lacks",
    "online": "the archives are asked for everything; an earlier answer stands in where a service is down",
    "offline": "the cache alone is asked",
}

# targets.py is data only: the ways that need a survey, a file or the network are joined to the class here
Targets.from_names = staticmethod(from_names)
Targets.from_text = staticmethod(from_text)
Targets.from_file = staticmethod(from_file)
Targets.from_region = staticmethod(from_region)


class Terms(NamedTuple):
    """How a fetch is made: the mode, what shows its progress, what ends it."""

    mode: str
    progress: bool
    on_progress: Progress | None
    stop: threading.Event
    timeout: float | None
    until: float | None

    @classmethod
    def of(cls, mode: str, progress: bool, on_progress: Progress | None, stop: threading.Event | None, timeout: float | None) -> "Terms":
        """The terms, once they make sense."""
        if mode not in MODES:
            raise InputError(f"mode={mode!r}: it is one of " + "; ".join(f"{name!r} ({words})" for name, words in MODES.items()) + ".")
        if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, float | int) or not timeout > 0):
            raise InputError(f"timeout={timeout!r} is no number of seconds above zero.")
        until = None if timeout is None else clock.monotonic() + timeout
        return cls(mode, progress, on_progress, stop or threading.Event(), timeout, until)

    def over(self) -> bool:
        """Whether the fetch is to end now."""
        return self.stop.is_set() or (self.until is not None and clock.monotonic() > self.until)


def fetch(
    targets: Targets, surveys: str | Survey | Sequence[str | Survey], radius: Any = 3.0, size: Any = 20.0, time: Any = None,
    options: Mapping[str, Any] | None = None, progress: bool = True, *,
    mode: str = "prefer-cache", timeout: float | None = None,
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
    mode : {"prefer-cache", "online", "offline"}
        ``online`` asks for everything anew; where a service is down an earlier answer is used, and marked as stale.
        ``offline`` asks nobody: what the cache lacks stays pending.
    timeout : float, optional
        Seconds for the whole fetch; what was not fetched by then stays pending. Single requests have limits of their own.
    stop : threading.Event, optional
        Setting it ends the fetch within two seconds; what was not fetched stays pending.
    on_progress : callable, optional
        Called in this thread with a dict: survey, done, total, failed, state (fetching, done, stopped).
    refresh : bool
        The same as ``mode="online"``.

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
        If the cache cannot be written or its limit leaves no room; ``error.found`` holds what was fetched until then.
    """
    if refresh and mode == "offline":
        raise InputError("refresh=True asks the archives, mode='offline' asks nobody. Choose one.")
    terms = Terms.of("online" if refresh else mode, progress, on_progress, stop, timeout)
    chosen = chosen_surveys(targets, surveys)
    asks = requests_to(chosen, radius, size, time, options)
    ledgers = {name: Ledger(survey, asks[name], len(targets)) for name, survey in chosen.items()}
    return _gather(targets, ledgers, terms)


def _gather(targets: Targets, ledgers: Mapping[str, Ledger], terms: Terms) -> Found:
    """Fill the ledgers from the cache, then from the archives."""

    def again(
        found: Found, *, progress: bool = terms.progress, stop: threading.Event | None = None, on_progress: Progress | None = None,
        timeout: float | None = terms.timeout, mode: str = terms.mode,
    ) -> Found:  # fmt: skip
        books = {name: book.again() for name, book in found._ledgers.items()}
        return _gather(found.targets, books, Terms.of(mode, progress, on_progress, stop, timeout))

    answers = Answers()
    found = Found(targets, ledgers, answers, again)
    if terms.mode != "online":
        for book in ledgers.values():
            _recall(targets, book, answers, terms)
    report = Reporter(ledgers, terms.progress, terms.on_progress)
    crew = Crew(targets, ledgers, answers, terms.until, found.fresh)
    try:
        if terms.mode != "offline" and any(book.counts()["pending"] for book in ledgers.values()) and not terms.over():
            answers.check_writable()
            crew.start()
        with jobs.running(f"Fetch {len(targets)} targets from {len(ledgers)} surveys" if len(ledgers) > 1 else f"Fetch {len(targets)} targets", terms.stop) as report.job:
            _listen(crew, terms, report)
    except StorageError as error:
        error.found = found
        raise
    finally:
        crew.close()
        answers.flush()
        report.end()
    return found


def _recall(targets: Targets, book: Ledger, answers: Answers, terms: Terms) -> None:
    """Enter what the cache holds."""
    pending = book.rows("pending")
    if not len(pending) or terms.over():
        return
    row_of = {targets[int(row)].object_id: int(row) for row in pending}
    for object_id, hit in answers.recall(book.survey, book.ask, (targets[int(row)] for row in pending), terms.over):
        book.write(row_of[object_id], "found" if hit.found else "empty", hit.path, own=hit.own)


def _listen(crew: Crew, terms: Terms, report: Reporter) -> None:
    """Write down what the crew reports, until it is done or the time is over."""
    for name in crew.ledgers:
        report.tell(name, "fetching")
    while not terms.over():
        working = crew.busy  # looked at before the queue, so that a last event is not missed
        try:
            event = crew.events.get(timeout=POLL if working else 0)
        except queue.Empty:
            if working:
                continue
            break
        if not isinstance(event, Event):
            raise event
        _note(crew, event, terms)
        report.tell(event.survey, "fetching")
    for name, book in crew.ledgers.items():
        if terms.mode == "offline":
            book.note = "not in the cache, and mode='offline' asks nobody"
        elif terms.until is not None and clock.monotonic() > terms.until:
            book.note = f"not fetched within timeout={terms.timeout:g} s; found.retry() goes on"
        report.tell(name, "stopped" if book.counts()["pending"] else "done")


def _note(crew: Crew, event: Event, terms: Terms) -> None:
    """Write down what became of some targets; an earlier answer stands in for one that a service owes."""
    book, rows = crew.ledgers[event.survey], list(event.rows)
    if event.down and terms.mode == "online":
        row_of = {crew.targets[row].object_id: row for row in rows}
        for object_id, hit in crew.answers.recall(book.survey, book.ask, (crew.targets[row] for row in rows)):
            row = row_of[object_id]
            book.write(row, "found" if hit.found else "empty", hit.path, f"an earlier answer: {event.message}", own=hit.own, stale=True)
            rows.remove(row)
    for row in rows:
        book.write(row, event.state, event.path, event.message, own=event.own)
