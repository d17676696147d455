"""The threads of a fetch: ask, read, keep, report; wait and ask again where that may help."""

import queue
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from astrofuse_lab.cache import Answers
from astrofuse_lab.errors import ArchiveError, InputError, MissingExtraError, StorageError, TargetError
from astrofuse_lab.found import Fresh, Ledger, size_of
from astrofuse_lab.modalities import Modality
from astrofuse_lab.queues import THREADS as THREADS
from astrofuse_lab.queues import Gate, Job, Line, gate, host_of, threads_of
from astrofuse_lab.surveys import health, refusals, sessions
from astrofuse_lab.surveys.survey import Raw
from astrofuse_lab.targets import Targets

ATTEMPTS = 8  # with three requests in ten lost, one target in 15,000 is not got
FIRST_WAIT = 1.0  # s, doubled at each attempt, with jitter so that threads do not come back together
LONGEST_WAIT = 20.0
LONGEST_ASKED_WAIT = 300.0  # s, of what a server may ask for in Retry-After; who asks for more is left alone
LONGEST_MESSAGE = 500
SAME = 3  # times that the same unreadable answer came: it is what the archive has to say
GIVE_UP = 20  # requests failed in a row: the archive is down, and waiting for the rest is waste

MAKERS = {
    "position": "af.Targets.from_names([...]), .from_table(table) or .from_region(...) make some",
    "time": "af.Targets.from_times({'name': (first_mjd, last_mjd)}) makes some",
    "identifier": "af.Targets.from_identifiers([...]) makes some",
}


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


class Event(NamedTuple):
    """What became of some targets of one survey; `own`: the answer is about one target alone; `down`: the service is, and said nothing about the targets."""

    survey: str
    rows: tuple[int, ...]
    state: str
    path: str | None = None
    message: str = ""
    own: bool = False
    down: bool = False


@dataclass
class Pace:
    """How one survey fares in this fetch: failures in a row, and why it is asked no more."""

    gate: Gate
    misses: int = 0
    closed: str = ""


class Holds(NamedTuple):
    """What one answer holds: the targets that came back and, where there is room for them, the products and how many bytes they take."""

    found: set[str]
    products: dict[str, Modality]
    size: int


class UnreadError(Exception):
    """Answers (the argument, a list of bytes) came that could not be read; asking again may bring better ones."""


class Crew:
    """Threads at work on several surveys.

    They are daemons: a thread that waits for an archive keeps nobody from stopping. Its connection is closed; what it
    still gets goes to the cache, but is reported no more.

    Parameters
    ----------
    targets : Targets
    ledgers : mapping of str to Ledger
        Rows that are pending are asked for.
    answers : Answers
    until : float, optional
        Moment of `time.monotonic` after which nobody waits.
    fresh : Fresh, optional
        Where products that were read wait to be asked for.
    """

    def __init__(self, targets: Targets, ledgers: Mapping[str, Ledger], answers: Answers, until: float | None = None, fresh: Fresh | None = None) -> None:
        self.targets, self.ledgers, self.answers, self.until, self.fresh = targets, ledgers, answers, until, fresh or Fresh(0)
        self.events: queue.SimpleQueue[Event | StorageError | InputError] = queue.SimpleQueue()
        self.closed = threading.Event()
        self._ids = targets.ids
        self._threads: list[threading.Thread] = []
        self._paces: dict[str, Pace] = {}

    def start(self) -> None:
        """Set the threads to work."""
        hosts: dict[str, list[str]] = {}
        for name, book in self.ledgers.items():
            host = host_of(book.survey)
            hosts.setdefault(host or f"{name} ", []).append(name)  # who asks no host has a gate of its own
            self._paces[name] = Pace(gate(host) if host else Gate())
        for names in hosts.values():
            threads = max(threads_of(self.ledgers[name].survey) for name in names)
            line = Line({name: self._jobs(name) for name in names}, threads)
            pieces = sum(-(-self.ledgers[name].counts()["pending"] // max(1, self.ledgers[name].survey.batch)) for name in names)
            for number in range(min(threads, pieces)):
                self._threads.append(threading.Thread(target=self._work, args=(line,), name=f"fetch {names[0]} {number}", daemon=True))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End: connections are closed, and others may ask in the place of threads that still wait."""
        self.closed.set()
        for pace in self._paces.values():
            for thread in self._threads:
                pace.gate.leave(thread)

    @property
    def busy(self) -> bool:
        """Whether any thread is still at work."""
        return any(t.is_alive() for t in self._threads)

    def _jobs(self, name: str) -> Iterator[Job]:
        """The pending rows in pieces of one request each, made as they are begun."""
        book = self.ledgers[name]
        rows, size = book.rows("pending"), max(1, book.survey.batch)
        for start in range(0, len(rows), size):
            yield Job(name, {self._ids[row]: int(row) for row in rows[start : start + size]})

    def _work(self, line: Line) -> None:
        """One thread: piece after piece, until there are none."""
        try:
            while (job := line.take(self.closed)) is not None:
                try:
                    while job.left and not self.closed.is_set() and self._attempt(job, line):
                        pass
                finally:
                    line.done()
        except (StorageError, InputError) as error:
            self.events.put(error)

    def _attempt(self, job: Job, line: Line) -> bool:
        """Ask once; True when the rest of the piece may be asked for at once."""
        pace, survey = self._paces[job.survey], self.ledgers[job.survey].survey
        for what in getattr(survey, "needs", ("position",)):
            lacking = {i: row for i, row in job.left.items() if not self.targets[row].has(what)}
            job.left = {i: row for i, row in job.left.items() if i not in lacking}
            self._fail(job.survey, lacking, f"{job.survey} needs targets with {_article(what)} {what}: {MAKERS[what]}")
        if not job.left:
            return False
        if pace.closed or pace.misses >= GIVE_UP:
            why = pace.closed or f"the last {pace.misses} requests to {job.survey} failed"
            self._fail(job.survey, job.left, f"{job.said} (given up: {why})" if job.said else f"not asked: {why}. found.retry() asks again.", down=True)
            return False
        me = threading.current_thread()
        if not pace.gate.enter(me, threads_of(survey), self.closed):
            return False
        before = len(job.left)
        try:
            with sessions.patience(self.closed, self.until, job.answers) as mine:
                try:
                    self._ask(job)
                except UnreadError as error:
                    bad = error.args[0]
                    mine.given = {key: answer for key, answer in mine.given.items() if not any(answer[0] in content for content in bad)}
                    raise
                finally:
                    job.answers = {**mine.answers, **mine.given}
            pace.misses = 0
            return False
        except StorageError:
            raise
        except InputError as error:
            if not isinstance(error, TargetError):
                raise  # the request makes no sense, so no target's would
            self._fail(job.survey, job.left, _words(error))
        except Exception as error:  # whatever goes wrong with one archive must not end the others
            return self._went_wrong(job, line, pace, error, before)
        finally:
            pace.gate.leave(me)
        return False

    def _went_wrong(self, job: Job, line: Line, pace: Pace, error: Exception, before: int) -> bool:
        """Fail what was asked for too often, and put the rest back in line where asking again may help."""
        if self.closed.is_set():
            return False  # it was ended by us
        blamed, said = getattr(error, "target", None), _words(error)
        unread = isinstance(error, UnreadError) or getattr(error, "unreadable", False)
        transient, wait = _outlook(error)
        if isinstance(error, UnreadError):
            asked = list(job.left)
        else:
            asked = [blamed] if blamed in job.left else list(job.left)
            if blamed not in job.left and len(job.left) < before:
                job.tries.clear()  # somebody got an answer, and who did not is unknown
            if unread:
                job.unread[said] += 1
                unread, job.answers = job.unread[said] < SAME, {}
            job.said = said
        job.tries.update(asked)
        pace.misses = pace.misses + 1 if transient else 0
        if wait is not None and wait > LONGEST_ASKED_WAIT:
            pace.closed = f"{job.survey} asks to be left alone for {wait:.0f} s"
            self._fail(job.survey, job.left, f"{said} (it asks to be left alone for {wait:.0f} s)", down=True)
            return False
        most = max(job.tries[i] for i in asked)
        lost = {i: row for i, row in job.left.items() if i in asked and (job.tries[i] >= ATTEMPTS or not (transient or unread))}
        job.left = {i: row for i, row in job.left.items() if i not in lost}
        self._fail(job.survey, lost, job.said, down=transient)
        if job.left and (transient or unread):
            seconds = wait if wait is not None else _backoff(most)
            # a busy server is left alone by all threads; so is one of which nothing is heard
            if wait is not None or pace.misses > 2:
                pace.gate.pause(wait if wait is not None else _backoff(min(most, pace.misses - 2)))
            line.again(job, seconds)
            return False
        return bool(job.left)

    def _ask(self, job: Job) -> None:
        """One query; what comes back leaves ``job.left``. UnreadError where an answer could not be read but another may."""
        book, again, bad = self.ledgers[job.survey], dict[str, int](), list[bytes]()
        for raw in book.survey.query(self.targets.select(job.left), book.ask):
            here = {i: job.left.pop(i) for i in raw.target_ids if i in job.left}
            try:
                holds = self._read(book, raw)
            except Exception as error:  # an unreadable answer fails its own targets only
                digest, job.said = raw.digest(), _words(error)
                job.unread[digest] += 1
                if isinstance(error, MissingExtraError) or job.unread[digest] >= SAME:
                    self._fail(job.survey, here, job.said)
                else:
                    again.update(here)
                    bad.append(raw.content)
                continue
            self._keep(job.survey, raw, here, holds)
            if self.closed.is_set():
                job.left.clear()
                return
        self._fail(job.survey, job.left, "the archive sent no answer about this target")
        if again:
            job.left = again
            raise UnreadError(bad)
        job.left.clear()

    def _read(self, book: Ledger, raw: Raw) -> Holds:
        """What an answer holds."""
        found, products, size = set[str](), dict[str, Modality](), 0
        for object_id, product in book.survey.read(raw):
            found.add(object_id)
            if size <= self.fresh.room:
                size += size_of(product)
                products[object_id] = product
        return Holds(found, products, size) if size <= self.fresh.room else Holds(found, {}, 0)

    def _keep(self, name: str, raw: Raw, here: Mapping[str, int], holds: Holds) -> None:
        found, products, size = holds
        book, own = self.ledgers[name], len(raw.target_ids) == 1
        path = self.answers.keep(book.survey, book.ask, self.targets.select(raw.target_ids), raw, found)
        if products:
            self.fresh.put(name, path, products, size)
        health.count(name, targets=len(here))
        for state in ("found", "empty"):
            rows = tuple(row for object_id, row in here.items() if (object_id in found) == (state == "found"))
            if rows:
                self.events.put(Event(name, rows, state, path, own=own))

    def _fail(self, name: str, left: dict[str, int], message: str, down: bool = False) -> None:
        if left:
            self.events.put(Event(name, tuple(left.values()), "failed", message=message, down=down))
            left.clear()


def _outlook(error: Exception) -> tuple[bool, float | None]:
    """Whether asking again may help, and after how many seconds the archive wants it, where it said so."""
    if isinstance(error, ArchiveError):
        return error.transient, error.retry_after
    return isinstance(error, OSError), None  # timeouts and cut connections, those of requests included


def _backoff(attempt: int) -> float:
    return float(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5))


def _words(error: Exception) -> str:
    """What a failure says of itself; the kind is named where the library is not the one speaking."""
    said = " ".join(str(error).split()) or "no message"
    if isinstance(error, ArchiveError):
        told = said
    elif refusals.of_the_network(error):
        told = f"the archive cannot be reached ({refusals.in_words(error)})"
    else:
        told = f"{type(error).__name__}: {said}"
    return told if len(told) <= LONGEST_MESSAGE else told[: LONGEST_MESSAGE - 1] + "…"
