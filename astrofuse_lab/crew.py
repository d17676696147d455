"""The threads of a fetch: ask, read, keep, report; wait and ask again where that may help."""

import queue
import random
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from astrofuse_lab.cache import Answers
from astrofuse_lab.errors import ArchiveError, InputError, StorageError, TargetError
from astrofuse_lab.found import Ledger
from astrofuse_lab.surveys.survey import Raw
from astrofuse_lab.targets import Targets

THREADS = 4  # per survey: archives ask for no more
ATTEMPTS = 4
FIRST_WAIT = 1.0  # s, doubled at each attempt, with jitter so that threads do not come back together
LONGEST_WAIT = 30.0
LONGEST_ASKED_WAIT = 300.0  # s, of what a server may ask for in Retry-After
LONGEST_MESSAGE = 500
GIVE_UP = 8  # chunks failed in a row, each after all attempts: the archive is down, and waiting for the rest is waste

MAKERS = {
    "position": "af.Targets.from_names([...]), .from_table(table) or .from_region(...) make some",
    "time": "af.Targets.from_times({'name': (first_mjd, last_mjd)}) makes some",
    "identifier": "af.Targets.from_identifiers([...]) makes some",
}


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


class Event(NamedTuple):
    """What became of some targets of one survey."""

    survey: str
    rows: tuple[int, ...]
    state: str
    path: str | None = None
    message: str = ""


@dataclass
class Pace:
    """One survey's pauses, shared by its threads: a busy server is left alone by all of them."""

    closed: threading.Event
    until: float = 0.0
    misses: int = 0

    def pause(self, seconds: float) -> None:
        """Ask nothing for so long."""
        self.until = max(self.until, time.monotonic() + seconds)

    def wait(self) -> bool:
        """Wait until asking is in order; False when the fetch has ended."""
        while (left := self.until - time.monotonic()) > 0:
            if self.closed.wait(left):
                break
        return not self.closed.is_set()


class Crew:
    """Threads at work on several surveys.

    They are daemons: a thread that waits for an archive keeps nobody from stopping. What it still gets goes to the
    cache, but is reported no more.

    Parameters
    ----------
    targets : Targets
    ledgers : mapping of str to Ledger
        Rows that are pending are asked for.
    answers : Answers
    """

    def __init__(self, targets: Targets, ledgers: Mapping[str, Ledger], answers: Answers) -> None:
        self.targets, self.ledgers, self.answers = targets, ledgers, answers
        self.events: queue.SimpleQueue[Event | StorageError | InputError] = queue.SimpleQueue()
        self.closed = threading.Event()
        self._ids = targets.ids
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Set the threads to work."""
        for name, book in self.ledgers.items():
            rows = [i for i, state in enumerate(book.state) if state == "pending"]
            size = max(1, book.survey.batch)
            chunks = deque(rows[i : i + size] for i in range(0, len(rows), size))
            pace = Pace(self.closed)
            for number in range(min(THREADS, len(chunks))):
                thread = threading.Thread(target=self._work, args=(name, chunks, pace), name=f"fetch {name} {number}", daemon=True)
                self._threads.append(thread)
        for thread in self._threads:
            thread.start()

    @property
    def busy(self) -> bool:
        """Whether any thread is still at work."""
        return any(t.is_alive() for t in self._threads)

    def _work(self, name: str, chunks: "deque[list[int]]", pace: Pace) -> None:
        """One thread: chunk after chunk, until there are none."""
        try:
            while not self.closed.is_set():
                try:
                    rows = chunks.popleft()
                except IndexError:
                    return
                self._chunk(name, rows, pace)
        except (StorageError, InputError) as error:
            self.events.put(error)

    def _chunk(self, name: str, rows: Sequence[int], pace: Pace) -> None:
        """Ask for a few targets until each has an answer or a failure."""
        left = {self._ids[row]: row for row in rows}
        for what in getattr(self.ledgers[name].survey, "needs", ("position",)):
            lacking = {i: row for i, row in left.items() if not self.targets[row].has(what)}
            left = {i: row for i, row in left.items() if i not in lacking}
            self._fail(name, lacking, f"{name} needs targets with {_article(what)} {what}: {MAKERS[what]}")
        if not left:
            return
        if pace.misses >= GIVE_UP:
            self._fail(name, left, f"not asked: {pace.misses} requests to {name} failed in a row. found.retry() asks again.")
        attempt = 0
        while left and pace.wait():
            before = len(left)
            try:
                self._ask(name, left)
                pace.misses = 0
                self._fail(name, left, "the archive sent no answer about this target")
            except StorageError:
                raise
            except InputError as error:
                if not isinstance(error, TargetError):
                    raise  # the request makes no sense, so no target's would
                self._fail(name, left, _words(error))
            except Exception as error:  # whatever goes wrong with one archive must not end the others
                attempt = 1 if len(left) < before else attempt + 1
                transient, wait = _outlook(error)
                blamed = getattr(error, "target", None)
                if transient and attempt < ATTEMPTS:
                    pace.pause(wait if wait is not None else _backoff(attempt))
                    continue
                pace.misses += transient
                if blamed in left and len(left) > 1:
                    self._fail(name, {blamed: left.pop(blamed)}, _words(error))
                else:
                    self._fail(name, left, _words(error))

    def _ask(self, name: str, left: dict[str, int]) -> None:
        """One query; what comes back leaves `left`."""
        book = self.ledgers[name]
        for raw in book.survey.query(self.targets.select(left), book.ask):
            here = {i: left.pop(i) for i in raw.target_ids if i in left}
            try:
                found = [object_id for object_id, _ in book.survey.read(raw)]
            except Exception as error:  # an unreadable answer fails its own targets only
                self._fail(name, here, _words(error))
                continue
            self._keep(name, raw, here, set(found))
            if self.closed.is_set():
                left.clear()
                return

    def _keep(self, name: str, raw: Raw, here: Mapping[str, int], found: set[str]) -> None:
        book = self.ledgers[name]
        path = self.answers.keep(book.survey, book.ask, self.targets.select(raw.target_ids), raw, found)
        for state in ("found", "empty"):
            rows = tuple(row for object_id, row in here.items() if (object_id in found) == (state == "found"))
            if rows:
                self.events.put(Event(name, rows, state, path))

    def _fail(self, name: str, left: dict[str, int], message: str) -> None:
        if left:
            self.events.put(Event(name, tuple(left.values()), "failed", message=message))
            left.clear()


def _outlook(error: Exception) -> tuple[bool, float | None]:
    """Whether asking again may help, and after how many seconds the archive wants it, where it said so."""
    if isinstance(error, ArchiveError):
        wait = None if error.retry_after is None else min(error.retry_after, LONGEST_ASKED_WAIT)
        return error.transient, wait
    return isinstance(error, OSError), None  # timeouts and cut connections, those of requests included


def _backoff(attempt: int) -> float:
    return float(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5))


def _words(error: Exception) -> str:
    """What a failure says of itself; the kind is named where the library is not the one speaking."""
    said = " ".join(str(error).split()) or "no message"
    told = said if isinstance(error, ArchiveError) else f"{type(error).__name__}: {said}"
    return told if len(told) <= LONGEST_MESSAGE else told[: LONGEST_MESSAGE - 1] + "…"
