"""Contestants behind a service: any that speaks OpenAI's protocol (``/chat/completions``), asked alert by alert; a benchmark that was stopped goes on where it was.

Protocol: https://platform.openai.com/docs/api-reference/chat. It is spoken by hosted models and by local servers (vLLM, llama.cpp, Ollama, LM Studio).
"""

import concurrent.futures
import ipaddress
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from astrofuse_lab.alert_benchmark.alerts import Alert
from astrofuse_lab.alert_benchmark.prompt import SCHEMA, messages
from astrofuse_lab.alert_benchmark.scores import Scores, score
from astrofuse_lab.errors import ArchiveError, InputError, StorageError
from astrofuse_lab.watching.journal import Lines

FORMS = ("none", "json_object", "json_schema")
LARGEST = 16 * 1024**2
"""Bytes of one answer."""
BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
LONGEST_WAIT = 60.0


class Refusal(ArchiveError):
    """The service will not answer, however often it is asked: a wrong token, address or model."""


class Reply(NamedTuple):
    """What came back: text, seconds it took, tokens as the service counts them."""

    text: str
    seconds: float
    tokens: int | None


@dataclass(frozen=True)
class Endpoint:
    """A model behind an address.

    Parameters
    ----------
    url : str
        E.g. ``https://api.openai.com/v1`` or ``http://127.0.0.1:8000/v1``: https, or this machine.
    model : str
        As the service calls it.
    token_from : str
        The environment variable that holds the token; it is sent to this address alone and written nowhere. A service on this machine needs none.
    timeout : float
        Seconds that an answer may take.
    retries : int
        How often it is asked again where it is busy or cannot be reached.
    form : {"none", "json_object", "json_schema"}
        What the service is told of the answer's form, where it can be told; the published benchmark tells it in words alone.
    longest : int
        Tokens of an answer.
    settings : mapping
        Further fields of the request, e.g. ``{"temperature": 0}``.

    Raises
    ------
    InputError
        For an address, a form or numbers that cannot be.
    """

    url: str
    model: str
    token_from: str = "OPENAI_API_KEY"  # noqa: S105, the name of a variable
    timeout: float = 120.0
    retries: int = 4
    form: str = "none"
    longest: int = 4096
    settings: Mapping[str, Any] = field(default_factory=dict)
    pause: float = 1.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.username or not parts.hostname or parts.scheme not in ("http", "https") or (parts.scheme == "http" and not _is_here(parts.hostname)):
            raise InputError(f"url={self.url!r}: an address with https, or http on this machine (http://127.0.0.1:8000/v1), without a name or password in it.")
        if self.form not in FORMS:
            raise InputError(f"form={self.form!r}: it is one of {', '.join(FORMS)}.")
        if not (self.timeout > 0 and self.retries >= 0 and self.longest > 0 and self.pause >= 0):
            raise InputError(f"timeout={self.timeout!r}, retries={self.retries!r}, longest={self.longest!r}: a time above 0, a number of times from 0, a number of tokens from 1.")

    def __call__(self, alert: Alert) -> Reply:
        """Ask about one alert.

        Raises
        ------
        InputError
            If the service wants a token that is not set.
        ArchiveError
            If it refuses (`Refusal`), or cannot be reached again and again (then ``transient``).
        """
        body: dict[str, Any] = {"model": self.model, "messages": messages(alert), "max_tokens": self.longest, **self.settings}
        if self.form == "json_object":
            body["response_format"] = {"type": "json_object"}
        elif self.form == "json_schema":
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "alert", "strict": True, "schema": SCHEMA}}
        begin = time.perf_counter()
        for attempt in range(self.retries + 1):
            try:
                text, tokens = self._ask(body, alert.name)
                return Reply(text, time.perf_counter() - begin, tokens)
            except ArchiveError as error:
                if not error.transient or attempt == self.retries:
                    raise
                wait = self.pause * 2**attempt if error.retry_after is None else error.retry_after
                time.sleep(min(wait, LONGEST_WAIT))
        raise AssertionError("a loop of at least one attempt")

    def _token(self) -> str:
        token = os.environ.get(self.token_from, "").strip()
        if not token and not _is_here(urlsplit(self.url).hostname or ""):
            raise InputError(f"{self.url} needs a token. Set it before starting Python: export {self.token_from}=...")
        if token and (not token.isascii() or not token.isprintable() or " " in token):
            raise InputError(f"the token in {self.token_from} has signs that no token has. Copy it again.")
        return token

    def _ask(self, body: Mapping[str, Any], target: str) -> tuple[str, int | None]:
        import requests

        token = self._token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            # no redirection: the token is for this address alone
            with requests.post(
                f"{self.url.rstrip('/')}/chat/completions", json=body, headers=headers, timeout=(10, self.timeout), stream=True, allow_redirects=False
            ) as answer:  # fmt: skip
                content, limit = b"", time.monotonic() + self.timeout
                for piece in answer.iter_content(1 << 16):
                    content += piece
                    if len(content) > LARGEST or time.monotonic() > limit:
                        raise ArchiveError(self.model, f"the answer is longer than {LARGEST} bytes or {self.timeout:g} s", target)
        except requests.RequestException as error:
            # the words of requests may hold the headers that were sent; its kind is enough
            raise ArchiveError(self.model, f"{self.url} cannot be reached ({type(error).__name__})", target, transient=True) from None
        if answer.status_code != 200:
            raise self._refused(answer.status_code, content, answer.headers.get("Retry-After", ""), token, target)
        return _text_of(content, self.model, target)

    def _refused(self, status: int, content: bytes, wait: str, token: str, target: str) -> ArchiveError:
        said = content[:2000].decode("utf-8", "replace")
        try:
            error = json.loads(said)["error"]
            said = str(error["message"] if isinstance(error, dict) else error)
        except (ValueError, KeyError, TypeError):
            pass
        said = " ".join((said.replace(token, "***") if token else said).split())[:300]
        hint = f" Look at the token in {self.token_from}." if status in (401, 403) else " Look at the address and the model's name." if status == 404 else ""
        seconds = float(wait) if wait.replace(".", "", 1).isdigit() else None
        kind = ArchiveError if status in BUSY or status >= 500 else Refusal
        return kind(self.model, f"HTTP {status}: {said or 'no words'}.{hint}", target, transient=status in BUSY, retry_after=seconds)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text_of(content: bytes, model: str, target: str) -> tuple[str, int | None]:
    try:
        value = json.loads(content)
        text = value["choices"][0]["message"]["content"]
        if isinstance(text, list):  # some services send parts
            text = "".join(part.get("text", "") for part in text)
        tokens = value.get("usage", {}).get("completion_tokens") if isinstance(value.get("usage"), dict) else None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ArchiveError(model, f"the answer is not of OpenAI's protocol ({content[:80]!r})", target) from None
    # a model that thought until its tokens were used up says nothing: that is an answer, and counts as one that cannot be read
    return str(text or ""), tokens if isinstance(tokens, int) else None


def run_benchmark(
    alerts: Sequence[Alert], contestant: Callable[[Alert], "Reply | str"], out: str | Path, *, workers: int = 1, show: Callable[[str], None] | None = None
) -> Scores:
    """Ask a contestant about every alert, keep what it says line by line, and score it.

    Parameters
    ----------
    alerts : sequence of Alert
    contestant : callable
        An `Endpoint`, or any function of an alert that gives text.
    out : path
        JSON lines: name, text, seconds, tokens, error, time. Alerts that have a text there are not asked again, those that failed are.
    workers : int
        Alerts asked at once.
    show : callable, optional
        Takes a line a failure.

    Returns
    -------
    Scores
        Of all alerts; what failed or cannot be read counts as wrong.

    Raises
    ------
    InputError
        For two alerts of one name.
    Refusal
        If the service refuses before it has answered once (a wrong token, address or model): the rest need not be asked.
    StorageError
        If `out` cannot be written or holds other lines.
    """
    if len({alert.name for alert in alerts}) < len(alerts):
        raise InputError("two alerts have one name; answers go by names.")
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 64:
        raise InputError(f"workers={workers!r}: a whole number from 1 to 64.")
    lines = Lines(Path(out))
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    try:
        said = answers_in(lines)
        told = len(said)
        waiting = {pool.submit(contestant, alert): alert for alert in alerts if alert.name not in said}
        for done in concurrent.futures.as_completed(waiting):
            alert = waiting[done]
            row: dict[str, Any] = {"name": alert.name, "text": None, "seconds": None, "tokens": None, "error": None, "time": datetime.now(UTC).isoformat(timespec="seconds")}
            try:
                reply = done.result()
                reply = reply if isinstance(reply, Reply) else Reply(str(reply), 0.0, None)
                row |= {"text": reply.text, "seconds": round(reply.seconds, 3), "tokens": reply.tokens}
                said[alert.name] = reply.text
            except ArchiveError as error:
                if isinstance(error, Refusal) and len(said) == told == 0:
                    raise
                row["error"] = str(error)
                (show or (lambda line: None))(str(error))
            lines.add(json.dumps(row) + "\n")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        lines.close()
    return score(alerts, said)


def answers_in(lines: "Lines | str | Path") -> dict[str, str]:
    """The texts of a file that `run_benchmark` wrote, by name; the last of each.

    Raises
    ------
    StorageError
        If it holds other lines.
    """
    if not isinstance(lines, Lines):
        opened = Lines(Path(lines))
        try:
            return answers_in(opened)
        finally:
            opened.close()
    said: dict[str, str] = {}
    for line in lines.lines():
        try:
            row = json.loads(line)
            name, text = row["name"], row["text"]
        except (ValueError, KeyError, TypeError):
            raise StorageError(f"{lines.path} holds other lines than a benchmark writes ({line[:60]!r}). Give another file.") from None
        if text is not None:
            said[str(name)] = str(text)
    return said
