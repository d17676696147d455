"""A small web server on loopback that answers like the archives do, and counts what it is asked.

What it sends follows the documents of the services:

- ``/tap/sync``: TAP 1.1 (https://www.ivoa.net/documents/TAP/20190927/), section 2.3 (doQuery, ADQL, inline UPLOAD as multipart form data) and DALI 1.1
  section 4.4 (INFO QUERY_STATUS of OK, OVERFLOW, ERROR). Element order, PARAM and BINARY2 serialisation as in the answers of ESA's Gaia archive that
  astroquery ships for its own tests (astroquery/gaia/tests/data/job_1.vot, 1710099405832VAL-result.vot).
- ``/hips2fits``: https://alasky.cds.unistra.fr/hips-image-services/hips2fits; FITS with a TAN WCS, errors as JSON of title and description
  (astroquery/hips2fits/core.py, ``_parse_result``).
- ``/sesame/-oI/SNV?name``: https://vizier.cds.unistra.fr/vizier/doc/sesame.htx, plain text lines %J, %P, or ``#!*** Nothing found ***``.
"""

import io
import re
import threading
import time
from collections import deque
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlparse

import numpy as np
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.io.votable.tree import Info, Param, Resource, VOTableFile
from astropy.table import MaskedColumn, Table, vstack

from astrofuse_lab.surveys.gaia import COLUMNS

PAGE = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>The archive is <b>down</b> until Monday</h1></body></html>"
LOGIN_PAGE = b"<html><head><title>Sign in</title></head><body><form method=post><input name=user><input type='password' name=p></form></body></html>"


class Archive:
    """The server. ``replies`` queues what to send before the regular answer: a callable that takes the handler and returns True when it has answered."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.asked: list[tuple[float, float]] = []
        self.adql: list[str] = []
        self.replies: deque = deque()
        self.sky = np.array([[10.0 + i, 5.0] for i in range(20)])  # positions of "Gaia" sources
        self.limit = 10_000
        self.lock = threading.Lock()
        self.delay = 0.0
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                archive.answer(self)

            do_POST = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        posted = handler.rfile.read(length)
        with self.lock:
            self.requests.append(handler.path)
            reply = self.replies.popleft() if self.replies else None
        time.sleep(self.delay)
        try:
            if reply is not None and reply(handler):
                return
            path = urlparse(handler.path)
            if path.path == "/tap/sync":
                self.tap(handler, posted)
            elif path.path == "/hips2fits":
                self.hips(handler, {k: v[0] for k, v in parse_qs(path.query).items()})
            elif path.path.startswith("/sesame/-oI/SNV"):
                self.sesame(handler, unquote(path.query))
            elif path.path == "/login":
                send(handler, 200, LOGIN_PAGE, "text/html")
            else:
                send(handler, 404, b"no such service", "text/plain")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has gone, as in tests of timeouts and of stop

    # TAP ---------------------------------------------------------------------------------------

    def tap(self, handler: BaseHTTPRequestHandler, posted: bytes, times: int = 1) -> None:
        fields = form(handler, posted)
        adql = fields["QUERY"].decode()
        with self.lock:
            self.adql.append(adql)
        assert fields["REQUEST"] == b"doQuery" and fields["LANG"] == b"ADQL"
        if "tap_upload" not in adql:
            ra, dec, radius = (float(v) for v in re.search(r"CIRCLE\('ICRS', ([^,]+), ([^,]+), ([^)]+)\)", adql).groups())
            inside = [i for i in range(len(self.sky)) if np.hypot((self.sky[i, 0] - ra) * np.cos(np.radians(dec)), self.sky[i, 1] - dec) <= radius]
            inside = inside[: int(re.search(r"TOP (\d+)", adql)[1])]
            table = Table({"designation": [f"Gaia DR3 {1000 + i}" for i in inside], "ra": self.sky[inside, 0], "dec": self.sky[inside, 1]})
            table["pmra"] = MaskedColumn(np.full(len(inside), 1.5), mask=[i % 2 == 0 for i in inside])
            table["pmdec"] = np.full(len(inside), -2.5)
            return send(handler, 200, votable(table), "application/x-votable+xml;serialization=binary2")
        assert fields["UPLOAD"] == b"targets,param:targets"
        upload = parse_single_table(io.BytesIO(fields["targets"])).to_table()
        radius = float(re.search(r"CIRCLE\('ICRS', t.ra, t.dec, ([^)]+)\)", adql)[1])
        table = vstack([match(upload, self.sky, radius)] * times)
        status = "OK"
        if len(table) > self.limit:
            table, status = table[: self.limit], "OVERFLOW"
        return send(handler, 200, votable(table, status), "application/x-votable+xml;serialization=binary2")

    # hips2fits ---------------------------------------------------------------------------------

    def hips(self, handler: BaseHTTPRequestHandler, given: dict[str, str]) -> None:
        with self.lock:
            self.asked.append((float(given["ra"]), float(given["dec"])))
        if not given["hips"].startswith("CDS/P/"):
            return send(handler, 400, b'{"title": "Bad request", "description": "HiPS ' + given["hips"].encode() + b' not found"}', "application/json")
        assert given["format"] == "fits" and given["projection"] == "TAN"
        return send(handler, 200, cutout(given), "image/fits")

    def sesame(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        known = {
            # from https://cds.unistra.fr/cgi-bin/nph-sesame/-oI/SNV?..., values of SIMBAD
            "M 51": "%@ 1522887\n%I.0 M  51\n%C.0 Sy2\n%J 202.469575 +47.195258 = 13:29:52.69 +47:11:42.9\n%J.E [6.27 4.47 90] A 2006AJ....131.1163S\n",
            "Barnard's star": "%@ 755463\n%C.0 BY*\n%J 269.45207696 +04.69336497 = 17:57:48.49 +04:41:36.1\n%P -801.551 +10362.394 [0.032 0.036 90] A 2020yCat.1350....0G\n",
        }
        said = known.get(name, "#!SIMBAD: No known catalog could be found\n#!*** Nothing found ***\n")
        text = f"# {name}\t#Q22523669\n#=Sc=Simbad (CDS, via client/server):    1     4ms\n{said}\n#====Done (2026-Oct-03,10:00:00z)====\n"
        send(handler, 200, text.encode(), "text/plain")


def send(handler: BaseHTTPRequestHandler, status: int, content: bytes, media_type: str, announced: int | None = None, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(len(content) if announced is None else announced))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()


def replying(status: int, content: bytes, media_type: str = "text/plain", announced: int | None = None, **headers: str):
    """A reply for ``Archive.replies``."""

    def reply(handler: BaseHTTPRequestHandler) -> bool:
        send(handler, status, content, media_type, announced, **headers)
        if announced is not None:
            handler.close_connection = True
        return True

    return reply


def slow(seconds: float):
    """A reply that first keeps silent, then lets the regular answer follow."""

    def reply(handler: BaseHTTPRequestHandler) -> bool:
        time.sleep(seconds)
        return False

    return reply


def form(handler: BaseHTTPRequestHandler, posted: bytes) -> dict[str, bytes]:
    """The fields of a posted form, urlencoded or multipart."""
    media_type = handler.headers["Content-Type"]
    if media_type.startswith("application/x-www-form-urlencoded"):
        return {k: v[0].encode() for k, v in parse_qs(posted.decode()).items()}
    message = BytesParser().parsebytes(b"Content-Type: " + media_type.encode() + b"\r\n\r\n" + posted)
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in message.get_payload()}


def match(upload: Table, sky: np.ndarray, radius: float) -> Table:
    """What the cross-match query of surveys/gaia.py asks for, on a made-up sky."""
    rows = []
    for place, ra, dec in zip(upload["target_row"], upload["ra"], upload["dec"], strict=True):
        distance = np.hypot((sky[:, 0] - ra) * np.cos(np.radians(dec)), sky[:, 1] - dec)
        rows += [(int(place), 3600 * float(distance[i]), i) for i in np.flatnonzero(distance <= radius)]
    index = np.array([r[2] for r in rows], dtype=int)
    table = Table({"target_row": np.array([r[0] for r in rows], dtype=np.int32), "match_distance": np.array([r[1] for r in rows], dtype=float)})
    for name in COLUMNS:
        table[name] = column(name, index, sky)
    return table


def column(name: str, index: np.ndarray, sky: np.ndarray) -> MaskedColumn:
    if name == "source_id":
        return MaskedColumn(4_583_627_001_381_815_936 + index, dtype=np.int64)
    if name in ("ra", "dec"):
        return MaskedColumn(sky[index, 0 if name == "ra" else 1])
    if name == "phot_variable_flag":
        return MaskedColumn(["NOT_AVAILABLE"] * len(index), dtype="U13")
    if name.startswith("in_"):
        return MaskedColumn(index % 2 == 0)
    if name == "non_single_star":
        return MaskedColumn(np.zeros(len(index)), dtype=np.int16)
    values = MaskedColumn((10 + index).astype(np.float32))
    if name == "radial_velocity":
        values.mask = index % 2 == 1
    if name == "parallax":
        values = MaskedColumn(np.where(index % 3 == 2, np.nan, 10.0 + index))
    return values


def votable(table: Table, status: str = "OK") -> bytes:
    """A VOTable as ESA's archive sends it: INFO QUERY_STATUS first, BINARY2."""
    made = VOTableFile.from_table(table)
    resource: Resource = made.resources[0]
    resource.type = "results"
    resource.infos.append(Info(name="QUERY_STATUS", value=status))
    resource.params.append(Param(made, name="RELEASE", datatype="char", arraysize="*", value="Gaia DR3"))
    made.version = "1.4"
    file = io.BytesIO()
    made.to_xml(file, tabledata_format="binary2")
    return file.getvalue()


def cutout(given: dict[str, str]) -> bytes:
    """A FITS cutout with a star in the middle; no coverage south of Dec -80, half of it at RA 200."""
    width, height = int(given["width"]), int(given["height"])
    y, x = np.mgrid[:height, :width]
    data = (100 * np.exp(-0.5 * ((x - (width - 1) / 2) ** 2 + (y - (height - 1) / 2) ** 2) / 4) + len(given["hips"])).astype(np.float32)
    if float(given["dec"]) < -80:
        data[:] = np.nan
    if float(given["ra"]) == 200:
        data[:, : width // 2] = np.nan
    header = fits.Header()
    step = float(given["fov"]) / max(width, height)
    for key, value in {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": (width + 1) / 2, "CRPIX2": (height + 1) / 2, "CRVAL1": float(given["ra"]),
        "CRVAL2": float(given["dec"]), "CDELT1": -step, "CDELT2": step, "CUNIT1": "deg", "CUNIT2": "deg", "LONPOLE": 180.0, "RADESYS": "ICRS",
    }.items():  # fmt: skip
        header[key] = value
    file = io.BytesIO()
    fits.PrimaryHDU(data, header).writeto(file)
    return file.getvalue()
