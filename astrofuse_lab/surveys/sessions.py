"""Sessions in which no request lasts for ever: silence, a trickle and a fetch that was stopped end each of them.

requests limits the time between two bytes only. Here a watch closes the connection of a request that lasts too long as a
whole, or whose fetch has ended, so that whichever client waits for it (pyvo and astroquery as well) goes on at once.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from astrofuse_lab.surveys import health

if TYPE_CHECKING:
    from requests import Response, Session

SILENCE = 60.0  # s without a byte
CONNECT = 15.0  # s until a connection stands
WHOLE = 300.0  # s for one answer: a server that trickles would hold its thread for ever
LOOK = 0.2  # s between two looks of the watch
REMEMBERED = 32 * 1024**2  # bytes of answers that one piece of work keeps for its next attempt

Answer = tuple[bytes, str, str]
"""Content, media type, address."""

_OWN = threading.local()


@dataclass
class Patience:
    """How long this thread's requests may last, and what was answered already.

    Attributes
    ----------
    ended : threading.Event
        Set when nobody waits for the answer any more.
    until : float, optional
        The same at a moment of `time.monotonic`.
    answers : dict
        Answers of earlier attempts at the same piece of work: what was answered is not asked again.
    given : dict
        Answers of this attempt, for the next one. Not used in this one: who asks twice, as of a job's state, wants news.
    """

    ended: threading.Event = field(default_factory=threading.Event)
    until: float | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    given: dict[str, Answer] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether nobody waits any more."""
        return self.ended.is_set() or (self.until is not None and time.monotonic() > self.until)

    def remember(self, key: str, answer: Answer) -> None:
        """Keep an answer, while there is room."""
        if sum(len(content) for content, *_ in self.given.values()) + len(answer[0]) <= REMEMBERED:
            self.given[key] = answer

    def recall(self, key: str) -> Answer | None:
        """The answer that an earlier attempt got, once."""
        answer = self.answers.pop(key, None)
        if answer is not None:
            self.given[key] = answer
        return answer


@contextmanager
def patience(ended: threading.Event, until: float | None = None, answers: dict[str, Answer] | None = None) -> Iterator[Patience]:
    """Requests of this thread in this block end with the event or at that moment."""
    before = current()
    _OWN.patience = Patience(ended, until, dict(answers or {}))
    try:
        yield _OWN.patience
    finally:
        _OWN.patience = before
        _WATCH.forget()


def current() -> Patience | None:
    """What holds for this thread's requests; None: only the limits above."""
    return getattr(_OWN, "patience", None)


def own_session(silence: float) -> "Session":
    """This thread's session: connections to an archive stay open from one request to the next."""
    kept: dict[float, Session] = _OWN.__dict__.setdefault("sessions", {})
    if silence not in kept:
        kept[silence] = session(silence)
    return kept[silence]


def session(silence: float | None = None) -> "Session":
    """A session of requests in which every request has its limits."""
    import requests

    from astrofuse_lab import __version__

    limit = SILENCE if silence is None else silence

    class Limited(requests.Session):
        def request(self, method: Any, url: Any, **options: Any) -> "Response":  # type: ignore[override]
            mine, begin = current(), time.monotonic()
            if mine is not None and mine.over:
                raise requests.ConnectionError("the fetch has ended")
            given = options.get("timeout")
            read = given if isinstance(given, float | int) else limit
            if mine is not None and mine.until is not None:
                read = max(0.1, min(read, mine.until - begin))
            options["timeout"] = given if isinstance(given, tuple) else (min(CONNECT, read), read)
            options["stream"] = True  # the body is read in `transport.body`, under its own limits
            _WATCH.begin(WHOLE)
            try:
                response = super().request(method, url, **options)
            except requests.RequestException as error:
                if mine is None or not mine.over:
                    health.note(str(url), error, time.monotonic() - begin)
                _WATCH.forget()
                raise
            response.begun = begin  # type: ignore[attr-defined]
            return response

    made = Limited()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _adapter())
    made.headers["User-Agent"] = f"astrofuse-lab/{__version__} {made.headers['User-Agent']}"
    return made


def _adapter() -> Any:
    """What connects, and shows each connection to the watch before it waits for an answer."""
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Watched:
        sock: Any

        def getresponse(self, *given: Any, **options: Any) -> Any:
            _WATCH.see(self.sock)
            return super().getresponse(*given, **options)  # type: ignore[misc]

    class Plain(Watched, HTTPConnection):
        pass

    class Secure(Watched, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *given: Any, **options: Any) -> None:
            super().init_poolmanager(*given, **options)  # type: ignore[no-untyped-call]
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    return Adapter()


@dataclass
class _Guarded:
    """One thread's request."""

    until: float
    patience: Patience | None
    sock: Any = None
    cut: str = ""


class _Watch:
    """Closes connections whose time is over. Its thread runs only while there are requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[int, _Guarded] = {}
        self._runs = False

    def begin(self, seconds: float) -> None:
        """This thread asks something that may last so long."""
        with self._lock:
            self._kept[threading.get_ident()] = _Guarded(time.monotonic() + seconds, current())
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._look, name="fetch watch", daemon=True).start()

    def see(self, sock: Any) -> None:
        """The connection over which this thread waits."""
        with self._lock:
            guarded = self._kept.get(threading.get_ident())
            if guarded is not None:
                guarded.sock = sock

    def forget(self) -> str:
        """This thread waits no more; why its connection was closed, where it was."""
        with self._lock:
            guarded = self._kept.pop(threading.get_ident(), None)
        return guarded.cut if guarded is not None else ""

    def _look(self) -> None:
        while True:
            time.sleep(LOOK)
            with self._lock:
                if not self._kept:
                    self._runs = False
                    return
                for guarded in self._kept.values():
                    over = guarded.patience is not None and guarded.patience.over
                    if guarded.sock is None or guarded.cut or not (over or time.monotonic() > guarded.until):
                        continue
                    guarded.cut = "the fetch has ended" if over else f"the answer was not complete after {WHOLE:.0f} s"
                    # the system's own call: closing a TLS connection in good form would wait for the other side
                    with suppress(OSError, TypeError):
                        socket.socket.shutdown(guarded.sock, socket.SHUT_RDWR)


_WATCH = _Watch()


def done() -> str:
    """Called when an answer is complete or has failed: why the watch ended it, where it did."""
    return _WATCH.forget()
