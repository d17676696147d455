"""Who may ask which host when: a gate for each host, and the line of work in front of it."""

import heapq
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from astrofuse_lab.surveys.sessions import Answer
from astrofuse_lab.surveys.survey import Survey

THREADS = 4  # requests at a time, where a survey says nothing: archives ask for no more
LOOK = 0.2  # s between looks at the stop sign
WAITING = 2  # pieces of work a thread that may wait for another attempt before new ones are begun


class Gate:
    """One host: at most so many requests at a time, none while it asks to be left alone.

    All fetches of this process share the gates of real hosts, so that two of them ask no more than one.
    """

    def __init__(self) -> None:
        self._inside: set[object] = set()
        self._until = 0.0
        self._changed = threading.Condition()

    def enter(self, who: object, most: int, closed: threading.Event) -> bool:
        """Wait until asking is in order; False when the fetch has ended."""
        with self._changed:
            while not closed.is_set():
                left = self._until - time.monotonic()
                if left <= 0 and len(self._inside) < most:
                    self._inside.add(who)
                    return True
                self._changed.wait(min(left, LOOK) if left > 0 else LOOK)
        return False

    def leave(self, who: object) -> None:
        """Make place for the next."""
        with self._changed:
            self._inside.discard(who)
            self._changed.notify()

    def pause(self, seconds: float) -> None:
        """Ask nothing for so long."""
        with self._changed:
            self._until = max(self._until, time.monotonic() + seconds)

    @property
    def inside(self) -> int:
        """Requests that are under way."""
        return len(self._inside)


_gates: dict[str, Gate] = {}
_lock = threading.Lock()


def gate(host: str) -> Gate:
    """The gate of a host."""
    with _lock:
        return _gates.setdefault(host, Gate())


def host_of(survey: Survey) -> str:
    """The machine a survey asks; empty where it asks none, such as the practice sky."""
    return str(getattr(survey, "host", ""))


def threads_of(survey: Survey) -> int:
    """How many requests at a time a survey's host takes."""
    return max(1, int(getattr(survey, "threads", THREADS)))


@dataclass
class Job:
    """A piece of work: some targets of one survey, until each has an answer or a failure.

    Attributes
    ----------
    survey : str
    left : dict of str to int
        Ids and rows of the targets that lack an answer.
    tries : counter of str
        How often each target was asked for in vain.
    answers : dict
        What the archive answered in earlier attempts.
    unread : counter of str
        How often each answer that could not be read came.
    said : str
        The last failure.
    """

    survey: str
    left: dict[str, int]
    tries: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Answer] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    said: str = ""


class Line:
    """The work in front of one host: new pieces, survey by survey in turn, and those to be asked once more later.

    Parameters
    ----------
    work : dict of str to iterator of Job
        New pieces by survey, made one at a time as they are begun.
    threads : int
        How many take from this line.
    """

    def __init__(self, work: dict[str, Iterator[Job]], threads: int) -> None:
        self._new = deque(work.values())
        self._later: list[tuple[float, int, Job]] = []
        self._most = WAITING * threads
        self._serial = count()
        self._busy = 0
        self._changed = threading.Condition()

    def take(self, closed: threading.Event) -> Job | None:
        """The next piece; waits for one that is due. None when all is done or the fetch has ended."""
        with self._changed:
            while not closed.is_set():
                wait = self._later[0][0] - time.monotonic() if self._later else LOOK
                job = heapq.heappop(self._later)[2] if self._later and wait <= 0 else self._fresh()
                if job is not None:
                    self._busy += 1
                    return job
                if not (self._later or self._busy or self._new):
                    return None
                self._changed.wait(max(0.0, min(wait, LOOK)))
        return None

    def done(self) -> None:
        """A piece that was taken is finished, or back in line."""
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def again(self, job: Job, seconds: float) -> None:
        """Put a piece back, to be taken after so long."""
        with self._changed:
            heapq.heappush(self._later, (time.monotonic() + seconds, next(self._serial), job))

    def _fresh(self) -> Job | None:
        """A new piece of the survey whose turn it is, unless enough waits for another attempt."""
        while self._new and len(self._later) < self._most:
            work = self._new.popleft()
            job = next(work, None)
            if job is not None:
                self._new.append(work)
                return job
        return None
