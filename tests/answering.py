"""A small web server on loopback that answers by path and keeps what it was asked."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlparse

from loopback import form, send


class Asked(NamedTuple):
    """One request: method, path, query and posted form (first values), raw body."""

    method: str
    path: str
    query: dict[str, str]
    fields: dict[str, bytes]
    body: bytes


class Answering:
    """``routes[path]`` is what to send: bytes, (status, bytes, media type), or a function of `Asked` that gives either. A path ending in * is a prefix."""

    def __init__(self) -> None:
        self.routes: dict[str, bytes | tuple[int, bytes, str] | Callable[[Asked], bytes | tuple[int, bytes, str]]] = {}
        self.asked: list[Asked] = []
        answering = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                answering.answer(self)

            do_POST = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        url = urlparse(handler.path)
        kind = handler.headers.get("Content-Type", "")
        fields = form(handler, body) if kind.startswith(("application/x-www-form", "multipart/")) else {}
        asked = Asked(handler.command, url.path, {k: v[0] for k, v in parse_qs(url.query).items()}, fields, body)
        self.asked.append(asked)
        found = next((r for p, r in self.routes.items() if p == asked.path or (p.endswith("*") and asked.path.startswith(p[:-1]))), (404, b"no such file", "text/plain"))
        said = found(asked) if callable(found) else found
        status, content, media_type = said if isinstance(said, tuple) else (200, said, "application/octet-stream")
        send(handler, status, content, media_type)

    def paths(self, prefix: str = "") -> list[str]:
        """What was asked, in order."""
        return [a.path for a in self.asked if a.path.startswith(prefix)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
