"""What the archive clients share: one request, its mirrors in turn, and the answer or the archive's own words on why there is none."""

import html
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import health, refusals, sessions
from astrofuse_lab.surveys.sessions import SILENCE, own_session, session

if TYPE_CHECKING:
    from requests import Response, Session

    from astrofuse_lab.surveys.archive import Archive

__all__ = ["LARGEST", "SILENCE", "ask", "body", "connection", "own_session", "session", "through", "words"]

RESTED = 120.0  # s after which a service that was down is asked first again
LARGEST = 512 * 1024**2  # bytes
BUSY = (408, 425, 429, 500, 502, 503, 504)
LOGIN = re.compile(r"\b(log[- ]?in|sign[- ]?in|sso|oauth|cas|auth)\b", re.IGNORECASE)
STATUS_ERROR = re.compile(rb"<INFO\b[^>]*QUERY_STATUS[^>]*?(?:/>|>(.*?)</INFO>)", re.DOTALL)


def ask(
    survey: "Archive", path: str = "", *, target: str | None = None, method: str = "GET", page: bool = False, **options: Any
) -> tuple[bytes, str, str]:
    """One request to a survey's service, its mirrors in turn where it cannot be reached.

    Parameters
    ----------
    survey : Archive
        Whose ``url`` and ``mirrors`` are asked.
    path : str
        Appended to the address; a whole address (``https://...``) is taken as it is and has no mirrors.
    target : str, optional
        Named in errors.
    method : str
    page : bool
        Whether a web page is what the archive has to give; else one is an error.
    **options
        Of `requests.Session.request`: params, data, files, headers ...

    Returns
    -------
    content : bytes
        The body, untouched.
    media_type : str
    address : str
        Where it came from, parameters included.

    Raises
    ------
    ArchiveError
        As `body`; the last one where no mirror could be reached.
    """
    mine = sessions.current()
    # the mirrors say the same, so that an answer of one of them is an answer; what files hold cannot be compared
    key = "" if mine is None or options.get("files") else repr((method, survey.url, path, sorted(options.items())))
    known = mine.recall(key) if mine is not None and key else None
    if known is not None:
        return known
    answer = through(survey, lambda place, session: session.request(method, place, **options), path, target=target, page=page)
    if mine is not None and key:
        mine.remember(key, answer)
    return answer


def through(
    survey: "Archive", send: Callable[[str, "Session"], "Response"], path: str = "", *, target: str | None = None, page: bool = False
) -> tuple[bytes, str, str]:
    """As `ask`, for a client library that makes the request itself: ``send(address, session)`` gives the response."""
    whole = path.startswith(("http://", "https://"))
    places = [path] if whole else sorted((base + path for base in (survey.url, *survey.mirrors)), key=_down)
    mine = sessions.current()
    for number, place in enumerate(places, 1):
        try:
            with connection(survey.name, target):
                response = send(place, own_session(survey.timeout))
            content = body(response, survey.name, target, page, survey.largest)
        except ArchiveError as error:
            if error.transient and number < len(places) and not (mine is not None and mine.over):
                continue  # another machine may do
            raise
        return content, response.headers.get("Content-Type", "").partition(";")[0].strip(), str(response.url)
    raise AssertionError("a survey has an address")


def _down(place: str) -> bool:
    """Whether a service failed the last times, and lately: its mirrors are asked first then."""
    return health.light(urlsplit(place).netloc, RESTED) == "down"


@contextmanager
def connection(survey: str, target: str | None = None) -> Iterator[None]:
    """Turn what requests raises into an ArchiveError that says in plain words what happened."""
    import requests

    try:
        yield
    except requests.Timeout:
        raise ArchiveError(survey, "the archive did not answer in time", target, transient=True) from None
    except requests.ConnectionError as error:
        raise ArchiveError(survey, _unreached(error), target, transient=True) from error
    except requests.RequestException as error:
        cut = isinstance(error, requests.exceptions.ChunkedEncodingError)
        raise ArchiveError(survey, _unreached(error) if cut else f"the request failed ({refusals.in_words(error)})", target, transient=cut) from error
    except Exception as error:
        # clients that make requests themselves (pyvo, astroquery) wrap what requests raised in errors of their own
        if isinstance(error, ArchiveError) or not refusals.of_the_network(error):
            raise
        raise ArchiveError(survey, _unreached(error), target, transient=True) from error


def _unreached(error: Exception) -> str:
    said = refusals.in_words(error)
    if said.startswith("no answer in time"):
        return "the archive did not answer in time"
    if not refusals.was_cut(error):
        return f"the archive cannot be reached ({said})"
    where = said.partition(": ")[2]
    return f"the connection to the archive was cut{f' ({where})' if where else ''}"


def body(response: "Response", survey: str, target: str | None = None, page: bool = False, largest: int = LARGEST) -> bytes:
    """The bytes of an answer, untouched.

    Raises
    ------
    ArchiveError
        With the archive's own words, for an error status, a web page or a login form in place of data, a cut
        connection, or an answer too long or too slow. Marked transient where asking again may help: a page with
        status 200 mostly stands for a service that is being mended or a gateway that lost the way.
    """
    begun, mine = getattr(response, "begun", time.monotonic()), sessions.current()
    try:
        content = _body(response, survey, target, page, largest)
    except ArchiveError as error:
        if mine is None or not mine.over:
            health.note(response.url, error, time.monotonic() - begun)
        raise
    finally:
        sessions.done()
    health.note(response.url, None, time.monotonic() - begun)
    health.count(survey, requests=1)
    return content


def _body(response: "Response", survey: str, target: str | None, page: bool, largest: int) -> bytes:
    try:
        with connection(survey, target):
            content = _read(response, survey, target, largest)
    except ArchiveError as error:
        if ended := sessions.done():
            raise ArchiveError(survey, ended, target, transient=True) from error
        raise
    media_type = response.headers.get("Content-Type", "")
    said = words(content, media_type)
    if response.status_code in (401, 403):
        raise ArchiveError(survey, f"the archive wants a login or refuses access (HTTP {response.status_code}): {said}", target)
    if response.status_code >= 400:
        raise ArchiveError(
            survey, f"HTTP {response.status_code} {response.reason}: {said}", target,
            transient=response.status_code in BUSY, retry_after=_retry_after(response.headers.get("Retry-After")),
        )  # fmt: skip
    if _asks_for_login(response, content):
        raise ArchiveError(survey, f"the archive wants a login (HTTP {response.status_code}): {said}", target, transient=True)
    if _is_page(content) and not page:
        raise ArchiveError(survey, f"the archive sent a web page in place of data: {said}", target, transient=True)
    return content


def words(content: bytes, media_type: str = "") -> str:
    """What an error document says, as plain text: JSON of title and description, a VOTable's status, a web page, or text."""
    head = content[:20_000]
    status = STATUS_ERROR.search(head)
    if status and status[1]:
        return _short(_plain(status[1].decode("utf-8", "replace")))
    text = head.decode("utf-8", "replace")
    if "json" in media_type or text.lstrip().startswith("{"):
        try:
            data = json.loads(content)
        except ValueError:
            data = None
        if isinstance(data, dict):
            parts = [str(data[k]) for k in ("title", "description", "message", "error", "detail") if data.get(k)]
            if parts:
                return _short(": ".join(parts))
    if "\x00" in text:
        return "no message"
    return _short(_plain(text)) or "no message"


def _read(response: "Response", survey: str, target: str | None, largest: int) -> bytes:
    """The body, within the limits on time and length."""
    parts, length = [], 0
    for part in response.iter_content(64 * 1024):
        parts.append(part)
        length += len(part)
        if length > largest:
            raise ArchiveError(survey, f"the answer is longer than {largest // 1024**2} MB. Ask for fewer targets or a smaller size.", target)
    return b"".join(parts)


def _is_page(content: bytes) -> bool:
    start = content[:1000].lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))


def _asks_for_login(response: "Response", content: bytes) -> bool:
    """A redirect that ended on a login form comes with status 200."""
    if not _is_page(content):
        return False
    form = re.search(rb"type\s*=\s*['\"]?password", content, re.IGNORECASE) is not None
    return form or (bool(response.history) and LOGIN.search(response.url) is not None)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, given as seconds or as a date (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _plain(markup: str) -> str:
    """The text in a piece of HTML or XML; only ever shown as text."""
    markup = re.sub(r"<(script|style)\b.*?</\1\s*>", " ", markup, flags=re.DOTALL | re.IGNORECASE)
    markup = re.sub(r"<!\[CDATA\[(.*?)\]\]>", r"\1", markup, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", " ", markup))


def _short(text: str, length: int = 300) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
