"""How the services fare: what became of the last requests to each host in this process."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import refusals

if TYPE_CHECKING:
    from astropy.table import Table

REMEMBERED = 20
"""Requests to a host that count."""


@dataclass
class Record:
    """The last requests to one host.

    Attributes
    ----------
    outcomes : deque of bool
        True for an answer, False for a failure that was the service's.
    seconds : float
        The last answer took.
    said : str
        The last failure, in the archive's own words.
    when : float
        Of the last request, seconds since 1970.
    taken : deque of float
        Seconds of the last answers.
    """

    outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    seconds: float = 0.0
    said: str = ""
    when: float = 0.0
    taken: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    @property
    def light(self) -> str:
        """``good``; ``poor``: some of the last requests failed; ``down``: the last three did; ``unknown``: none was made."""
        if not self.outcomes:
            return "unknown"
        if not any(list(self.outcomes)[-3:]):
            return "down"
        return "good" if all(self.outcomes) else "poor"


_records: dict[str, Record] = {}
_requests: dict[str, list[int]] = {}  # by survey: requests answered, targets that got an answer
_lock = threading.Lock()


def note(address: str, failure: Exception | None, seconds: float) -> None:
    """Remember what became of a request. A failure that asking again will not mend was an answer."""
    with _lock:
        record = _records.setdefault(urlsplit(address).netloc, Record())
        record.outcomes.append(not (failure is not None and getattr(failure, "transient", True)))
        record.seconds, record.when = seconds, time.time()
        if failure is None:
            record.taken.append(seconds)
        else:
            record.said = (str(failure) if isinstance(failure, ArchiveError) else refusals.in_words(failure))[:300]


def light(host: str, recent: float | None = None) -> str:
    """The light of one host; see `Record.light`. ``unknown`` also where it was not asked for `recent` seconds."""
    with _lock:
        record = _records.get(host)
        return "unknown" if record is None or (recent is not None and time.time() - record.when > recent) else record.light


def latency(host: str) -> float | None:
    """Median seconds that the last answers of a host took; None where it was not asked in this process."""
    with _lock:
        taken = sorted(_records[host].taken) if host in _records else []
    return taken[len(taken) // 2] if taken else None


def count(survey: str, requests: int = 0, targets: int = 0) -> None:
    """Remember how many requests a survey's targets took."""
    with _lock:
        tally = _requests.setdefault(survey, [0, 0])
        tally[0] += requests
        tally[1] += targets


def requests_per_target(survey: str) -> float | None:
    """How many requests a target took in this process; None before the first."""
    with _lock:
        asked, got = _requests.get(survey, (0, 0))
    return asked / got if asked and got else None


def table() -> "Table":
    """One row a host asked in this process: host, light, requests, failed, seconds, said."""
    from astropy.table import Table

    names = ("host", "light", "requests", "failed", "seconds", "said")
    with _lock:
        rows = [(h, r.light, len(r.outcomes), r.outcomes.count(False), r.seconds, r.said) for h, r in sorted(_records.items())]
    return Table(rows=rows, names=names) if rows else Table({name: [] for name in names})


def forget() -> None:
    """Begin anew."""
    with _lock:
        _records.clear()
        _requests.clear()
