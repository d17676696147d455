"""What this Python is busy with: fetches, trainings, explanations; told to whoever listens, such as the lab extension's side panel.

A job that another one of the same thread began is part of that one and is not listed: a comparison is one job, not its twenty trainings.
Nothing is imported and no thread is started here.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KEPT = 8
"""Jobs that have ended and are still told of."""

Listener = Callable[["Job"], object]

_lock = threading.Lock()
_running: dict[int, "Job"] = {}
_ended: deque["Job"] = deque(maxlen=KEPT)
_listeners: list[Listener] = []
_numbers = itertools.count(1)
_inside = threading.local()


class Job:
    """One of them.

    Attributes
    ----------
    number : int
        Counts the jobs of this process.
    title : str
    done : float
        0 to 1; below 0 while the end cannot be known.
    said : str
        What is going on, in words.
    state : str
        ``running``, ``stopping``, ``finished``, ``stopped`` or ``failed``.
    seconds : float
        How long it has taken so far.
    """

    def __init__(self, title: str, stop: Callable[[], object] | None, listed: bool = True) -> None:
        self.number, self.title, self.listed = next(_numbers), title, listed
        self.done, self.said, self.state = -1.0, "", "running"
        self._stop = stop
        self._began, self._took = time.monotonic(), -1.0

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began if self._took < 0 else self._took

    @property
    def can_stop(self) -> bool:
        """Whether it can be asked to stop, and was not yet."""
        return self._stop is not None and self.state == "running"

    def tell(self, done: float, said: str = "") -> None:
        """Say how far it is: a share of 0 to 1 (below 0: nobody knows), and in words."""
        self.done, self.said = float(done), said
        _changed(self)

    def stop(self) -> bool:
        """Ask it to end after the batch or answer at hand; False when it cannot be asked."""
        if not self.can_stop or self._stop is None:
            return False
        self.state = "stopping"
        self._stop()
        _changed(self)
        return True

    def end(self, state: str) -> None:
        """It is over."""
        self.state, self._took = state, time.monotonic() - self._began
        if self.listed:
            with _lock:
                _running.pop(self.number, None)
                _ended.append(self)
        _changed(self)


def _changed(job: Job) -> None:
    if job.listed:
        for listener in list(_listeners):
            listener(job)


@contextmanager
def running(title: str, stop: threading.Event | Callable[[], object] | None = None) -> Iterator[Job]:
    """Tell of a job while it runs.

    Parameters
    ----------
    title : str
        "Train late_fusion".
    stop : threading.Event or callable, optional
        Set, or called, when somebody presses Stop; it must only ask, not wait. None: the job cannot be stopped.

    Yields
    ------
    Job
        To `tell` how far it is. It ends with the block: "stopped" where Stop was pressed or the event set, "failed" after an exception.
    """
    event = stop if isinstance(stop, threading.Event) else None
    inner = getattr(_inside, "busy", False)
    job = Job(title, event.set if event is not None else stop, listed=not inner)  # type: ignore[arg-type]
    if job.listed:
        with _lock:
            _running[job.number] = job
        _inside.busy = True
        _changed(job)
    state = "failed"
    try:
        yield job
        state = "stopped" if job.state == "stopping" or (event is not None and event.is_set()) else "finished"
    finally:
        if job.listed:
            _inside.busy = False
        job.end(state)


def known() -> list[Job]:
    """Jobs that run, oldest first, then the last that ended."""
    with _lock:
        return [*_running.values(), *reversed(_ended)]


def listen(listener: Listener) -> None:
    """Call this with a job whenever something became of it, on the job's own thread; it must be quick and raise nothing."""
    if listener not in _listeners:
        _listeners.append(listener)


def forget(listener: Listener) -> None:
    """Call it no longer."""
    if listener in _listeners:
        _listeners.remove(listener)
