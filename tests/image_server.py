"""A web server on loopback for the image surveys: answers by path, and remembers what it was asked. FITS files as the archives send them."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from astropy.io import fits

from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Targets


class ImageServer:
    """``routes[path]`` is an answer (bytes, or status and bytes), a list of answers to be given in turn, or a function of the query."""

    def __init__(self) -> None:
        self.routes: dict = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                posted = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                path = urlsplit(self.path)
                query = dict(parse_qsl(path.query, keep_blank_values=True) + parse_qsl(posted, keep_blank_values=True))
                server.requests.append((path.path, query))
                server.headers.append(dict(self.headers))
                reply = server.routes.get(path.path, (404, b"no such file"))
                if isinstance(reply, list):
                    reply = reply.pop(0)
                if callable(reply):
                    reply = reply(query)
                status, content = reply if isinstance(reply, tuple) else (200, reply)
                self.send_response(status)
                if status in (302, 303):
                    self.send_header("Location", content.decode())
                    content = b""
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def tan(ra: float, dec: float, side: int, scale: float) -> dict[str, float | str]:
    """Keywords of a plain tangent projection about a position, scale in arcsec."""
    middle = (side + 1) / 2
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec, "CRPIX1": middle, "CRPIX2": middle,
        "CD1_1": -scale / 3600, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": scale / 3600,
    }  # fmt: skip


def fits_file(*units: tuple[object, dict], empty_first: bool = False) -> bytes:
    """A FITS file of these pictures (None for none) and keywords."""
    made: list = [fits.PrimaryHDU()] if empty_first else []
    for data, keywords in units:
        made.append((fits.ImageHDU if made else fits.PrimaryHDU)(None if data is None else np.asarray(data), fits.Header(keywords)))
    file = io.BytesIO()
    fits.HDUList(made).writeto(file)
    return file.getvalue()


def images(survey, *targets, **wanted):
    """What a survey yields about these targets, by id."""
    return {k: v for raw in survey.query(Targets(targets), Ask(**wanted)) for k, v in survey.read(raw)}
