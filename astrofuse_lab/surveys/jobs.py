"""Jobs that an archive works on for a while: their state is asked for, less and less often, until they are done or nobody waits any more."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import sessions

FIRST = 0.5  # s before the state is asked for again, at the beginning
LONGEST = 20.0  # s, later
LONGEST_JOB = 3600.0  # s where the fetch has no limit of its own
GOODBYE = 1.0  # s for telling an archive that its work is not wanted any more


def wait(survey: str, state: Callable[[], str], target: str | None = None, *, first: float | None = None, longest: float = LONGEST_JOB) -> str:
    """What `state` says once it says something.

    Parameters
    ----------
    survey, target : str
        Named in errors.
    state : callable
        Asks the archive; empty text while it is at work.
    first : float, optional
        s until the second question; each further pause is half as long again, `LONGEST` at most.
    longest : float
        s after which the job is given up.

    Raises
    ------
    ArchiveError
        Transient, when the fetch is stopped or its time is over, or the job takes too long.
    """
    mine, pause, until = sessions.current(), FIRST if first is None else first, time.monotonic() + longest
    stop = threading.Event() if mine is None else mine.ended
    while True:
        if said := state():
            return said
        left = (until if mine is None or mine.until is None else min(until, mine.until)) - time.monotonic()
        if stop.wait(max(0.0, min(pause, left))) or ended():
            raise ArchiveError(survey, "the fetch has ended while the archive was at work on the job", target, transient=True)
        if left <= pause and time.monotonic() >= until:
            raise ArchiveError(survey, f"the archive was still at work on the job after {longest:.0f} s. Ask for fewer targets at once.", target, transient=True)
        pause = min(1.5 * pause, LONGEST)


def ended() -> bool:
    """Whether the fetch that this thread works for waits no more."""
    mine = sessions.current()
    return mine is not None and mine.over


def goodbye(send: Callable[[], object]) -> None:
    """Tell the archive to drop a job, also after Stop; whether it hears that matters to nobody here."""
    # an archive that does not hear it forgets jobs by itself, later
    with sessions.patience(threading.Event(), time.monotonic() + GOODBYE), suppress(ArchiveError):
        send()
