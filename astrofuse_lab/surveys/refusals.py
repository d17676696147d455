"""Why a connection failed, in plain words. requests and urllib3 name addresses three times over, and classes of their own."""

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

MOST = 12
"""Errors that an error is made of, looked at."""
NOISE = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>:? ?|HTTPS?Connection(Pool)?\([^()]*\):? ?|\[Errno -?\d+\] ?")


def in_words(error: BaseException) -> str:
    """What kept a request from its answer, and at which host: ``name not resolved: kids.eso.org``.

    Parameters
    ----------
    error : exception
        Of requests, urllib3, the system, or of a client such as pyvo or astroquery that wraps one of these.
    """
    from urllib3 import exceptions as lower

    parts = list(_inside(error))
    has = lambda *kinds: any(isinstance(part, kinds) for part in parts)  # noqa: E731, read once
    if has(socket.gaierror, lower.NameResolutionError):
        said = "name not resolved"
    elif has(ConnectionRefusedError):
        said = "connection refused"
    elif has(ssl.SSLError, lower.SSLError):
        said = f"no secure connection, {_own(next(p for p in reversed(parts) if isinstance(p, ssl.SSLError | lower.SSLError)))}"
    elif has(lower.ProxyError):
        said = "the proxy does not let it through"
    elif has(lower.ReadTimeoutError):
        said = "no answer in time"
    elif has(lower.ProtocolError, ConnectionError):  # the system's own: reset, aborted, broken pipe
        said = "the connection was cut"
    elif has(TimeoutError) or (has(lower.ConnectTimeoutError) and not has(lower.NewConnectionError)):
        said = "no connection in time"
    else:
        said = _own(parts[-1])
    host = _host(parts)
    return f"{said}: {host}" if host and host not in said else said


def was_cut(error: BaseException) -> bool:
    """Whether the connection stood before it failed."""
    from urllib3 import exceptions as lower

    parts = list(_inside(error))
    return any(isinstance(p, lower.ProtocolError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError) for p in parts)


def of_the_network(error: BaseException) -> bool:
    """Whether the network is to blame: requests or urllib3 raised it, or what another client made of theirs."""
    import requests
    from urllib3 import exceptions as lower

    return any(isinstance(part, requests.ConnectionError | requests.Timeout | lower.HTTPError) for part in _inside(error))


def _inside(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it was made of, outermost first."""
    waiting: list[object] = [error]
    seen: list[BaseException] = []
    while waiting and len(seen) < MOST:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or any(one is known for known in seen):
            continue
        seen.append(one)
        yield one
        waiting += [getattr(one, "reason", None), getattr(one, "cause", None), one.__cause__, *one.args, one.__context__]


def _host(parts: list[BaseException]) -> str:
    """The host that was asked, where an error knows it."""
    for part in parts:
        request = getattr(part, "request", None)
        pool = part.__dict__.get("pool") or part.__dict__.get("conn")
        host = getattr(pool, "host", "") or urlsplit(str(getattr(request, "url", "") or "")).hostname
        if host:
            return str(host)
    return ""


def _own(error: BaseException) -> str:
    """What an error says, without the names of objects."""
    said = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
    return " ".join(NOISE.sub("", str(said)).split())[:200] or type(error).__name__
