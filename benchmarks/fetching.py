"""Fetching 1,000 targets x 4 modalities from services 50 ms away, beside a plain loop over pyvo and astroquery.

Four services on loopback, a process of their own: TAP with uploads (catalogue rows, and photometry), hips2fits (images) and SSA
(spectra, a list and a file each). Ours is ``af.fetch`` with an empty cache: batches where a service takes them, four requests
at a time a host. The loop is what one writes by hand: for each target one pyvo TAP query for the row and one for the
photometry, astroquery's hips2fits, pyvo's SSA search and the download of its first record, with pyvo's and astroquery's own
sessions. Both give what was fetched as arrays, which are compared target by target. Every request waits the same 50 ms at the server.

    python benchmarks/fetching.py [--quick] [--json]

With ``--quick`` the loop runs over the first 40 targets and its time is scaled to 1,000, which the line says.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np
from reporting import ROOT, Line, interleaved, save_results

N, SAMPLE, EPOCHS = 1000, 40, 30
LATENCY = 0.05  # s
SIDE, WAVES = 32, 1000
GOAL = 5.0
KINDS = ("table", "light_curve", "image", "spectrum")
FIELD = re.compile(rb'name="(\w+)"(?:; filename="[^"]*")?\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)\r\n--', re.DOTALL)
HEAD = '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/><TABLE>'
TAIL = "</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"


# the services --------------------------------------------------------------------------------------


def position(i: int) -> tuple[float, float]:
    """Where target `i` lies, deg; none is near another."""
    return (i * 0.35) % 360, -60 + (i * 7 % 120)


def number(ra: float, dec: float) -> int:
    """The target at a position."""
    i = round(ra / 0.35)
    assert abs(position(i)[1] - dec) < 1e-6
    return i


def votable(fields: dict[str, tuple[str, str]], rows: list[tuple[Any, ...]]) -> bytes:
    """Rows as a VOTable; fields by name: datatype and further attributes."""
    named = "".join(f'<FIELD name="{name}" datatype="{kind}" {more}/>' for name, (kind, more) in fields.items())
    body = "".join(f"<TR>{''.join(f'<TD>{cell}</TD>' for cell in row)}</TR>" for row in rows)
    return f"{HEAD}{named}<DATA><TABLEDATA>{body}{TAIL}".encode()


def row_of(i: int, columns: list[str]) -> tuple[Any, ...]:
    ra, dec = position(i)
    known = {"ra": ra, "dec": dec, "source_id": 10**18 + i, "parallax": 1 + i / N}
    return tuple(known.get(name, "") if name in known else 15.5 for name in columns)


def flux_of(i: int) -> np.ndarray:
    return 10 + i / N + np.arange(EPOCHS) / 10


def image_of(i: int) -> bytes:
    """A FITS file of one image."""
    from astropy.io import fits

    ra, dec = position(i)
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": SIDE / 2, "CRPIX2": SIDE / 2, "CRVAL1": ra, "CRVAL2": dec, "CDELT1": -1 / 3600, "CDELT2": 1 / 3600}
    file = io.BytesIO()
    fits.PrimaryHDU(np.full((SIDE, SIDE), i, dtype=np.float32), fits.Header(cards)).writeto(file)
    return file.getvalue()


def spectrum_of(i: int) -> bytes:
    """A FITS file of one spectrum."""
    from astropy.io import fits
    from astropy.table import Table

    table = Table({"wavelength": 4000.0 + 2 * np.arange(WAVES), "flux": np.full(WAVES, 1 + i / N), "ivar": np.ones(WAVES)})
    table["wavelength"].unit, table["flux"].unit = "Angstrom", "1e-17 erg / (s cm2 Angstrom)"
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(table)]).writeto(file)
    return file.getvalue()


class Service:
    """All four; what it sends is made before, so that only the waiting counts."""

    def __init__(self) -> None:
        self.asked, self.lock = 0, threading.Lock()
        self.images, self.spectra = ([make(i) for i in range(N)] for make in (image_of, spectrum_of))

    def tap(self, fields: dict[str, bytes]) -> tuple[int, bytes, str]:
        """A row, or the photometry, of each position in the query or the upload."""
        adql = fields["QUERY"].decode()
        if "TAP_SCHEMA" in adql:
            return 400, b"this service describes no tables", "text/plain"
        listed = [name.strip().rpartition(".")[2].strip('"') for name in re.search(r"SELECT(?: TOP \d+)? (.*?) FROM", adql, re.DOTALL)[1].split(",")]  # type: ignore[index]
        if "tap_upload" in adql:
            from astropy.io.votable import parse_single_table

            table = parse_single_table(io.BytesIO(fields["targets"])).to_table()
            places = [(int(row["target_row"]), number(float(row["ra"]), float(row["dec"]))) for row in table]
        else:
            ra, dec = (float(x) for x in re.search(r"CIRCLE\('ICRS',\s*([-\d.e]+),\s*([-\d.e]+)", adql).groups())  # type: ignore[union-attr]
            places = [(0, number(ra, dec))]
        columns = [name for name in listed if name != "target_row"]
        upload = "target_row" in listed
        if "photometry" in adql:
            rows = [
                (*((place,) if upload else ()), *({"mjd": 59000 + 3 * k, "flux": f, "flux_err": 0.5, "band": "g", "ra": position(i)[0], "dec": position(i)[1]}[c] for c in columns))
                for place, i in places for k, f in enumerate(flux_of(i))
            ]  # fmt: skip
        else:
            rows = [(*((place,) if upload else ()), *row_of(i, columns)) for place, i in places]
        kinds = {"target_row": ("int", ""), "source_id": ("long", ""), "band": ("char", 'arraysize="*"'), "mjd": ("double", 'unit="d"'), "flux": ("double", 'unit="uJy"'), "flux_err": ("double", 'unit="uJy"')}
        return 200, votable({name: kinds.get(name, ("double", "")) for name in listed}, rows), "application/x-votable+xml"

    def get(self, path: str, given: dict[str, str], host: str) -> tuple[int, bytes, str]:
        if path == "/hips2fits":
            return 200, self.images[number(float(given["ra"]), float(given["dec"]))], "image/fits"
        if path == "/ssa":
            ra, dec = (float(x) for x in given["POS"].split(","))
            fields = {"url": ("char", 'arraysize="*" utype="ssa:Access.Reference"'), "format": ("char", 'arraysize="*" utype="ssa:Access.Format"')}
            return 200, votable(fields, [(f"http://{host}/spectrum/{number(ra, dec)}", "application/fits")]), "application/x-votable+xml"
        if path.startswith("/spectrum/"):
            return 200, self.spectra[int(path.rpartition("/")[2])], "application/fits"
        return 404, b"no such service", "text/plain"


def serve() -> None:
    """Run the services until standard input ends; four ports, since each archive has a host of its own."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *given: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlparse(self.path)
            posted = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if parts.path == "/asked":
                status, content, kind = 200, str(service.asked).encode(), "text/plain"
            else:
                with service.lock:
                    service.asked += 1
                time.sleep(LATENCY)
                if parts.path.endswith("/sync"):
                    text = "urlencoded" in self.headers["Content-Type"]
                    fields = {k: v[0].encode() for k, v in parse_qs(posted.decode()).items()} if text else {k.decode(): v for k, v in FIELD.findall(posted)}
                    status, content, kind = service.tap(fields)
                else:
                    status, content, kind = service.get(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}, self.headers["Host"])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in KINDS]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps([f"http://127.0.0.1:{server.server_address[1]}" for server in servers]), flush=True)
    sys.stdin.read()


# both sides ----------------------------------------------------------------------------------------


def surveys_at(urls: list[str]) -> list[Any]:
    from astrofuse_lab import surveys
    from astrofuse_lab.surveys import hips_cutouts
    from astrofuse_lab.surveys.gaia import gaia_table

    photometry = {"time": ("mjd", "d"), "flux": ("flux", "uJy"), "flux_err": ("flux_err", "uJy"), "band": "band"}
    return [
        gaia_table(f"{urls[0]}/tap"),
        surveys.tap(f"{urls[1]}/tap", table="photometry", gives="light_curve", columns=photometry, ra="ra", dec="dec", angle="deg", uploads=True, name="bench/light_curve"),
        replace(hips_cutouts.make("CDS/P/TEST", bands="g", name="bench/image", url=f"{urls[2]}/hips2fits"), scale=1.0),
        surveys.ssa(f"{urls[3]}/ssa", name="bench/spectrum"),
    ]


def ours(urls: list[str]) -> dict[str, list[np.ndarray]]:
    """Fetched by AstroFuse Lab into an empty cache, and read."""
    import astrofuse_lab as af

    targets = af.Targets.from_table({"id": [f"t{i}" for i in range(N)], "ra": [position(i)[0] for i in range(N)], "dec": [position(i)[1] for i in range(N)]})
    chosen = surveys_at(urls)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASTROFUSE_CACHE"] = folder
        found = af.fetch(targets, chosen, radius=3.0, size=SIDE, progress=False)
        if not found.complete:
            raise SystemExit(f"the fetch is not complete: {found!r} {[m for m in found.status['message'] if m][:3]}")
        products = {kind: [product for _, product in found.products(survey.name)] for kind, survey in zip(KINDS, chosen, strict=True)}
    return {
        "table": [np.array([float(p.values["source_id"]), p.values["parallax"]]) for p in products["table"]],
        "light_curve": [np.asarray(p.flux) for p in products["light_curve"]],
        "image": [np.asarray(p.flux[0]) for p in products["image"]],
        "spectrum": [np.asarray(p.flux) for p in products["spectrum"]],
    }


def loop(urls: list[str], n: int) -> dict[str, list[np.ndarray]]:
    """The same by hand for the first `n` targets, one request after another."""
    import pyvo
    import requests
    from astropy import units as u
    from astropy.coordinates import Angle, Latitude, Longitude, SkyCoord
    from astropy.io import fits
    from astroquery.hips2fits import hips2fitsClass

    from astrofuse_lab.surveys.gaia import COLUMNS

    rows, curves, spectra = pyvo.dal.TAPService(f"{urls[0]}/tap"), pyvo.dal.TAPService(f"{urls[1]}/tap"), pyvo.dal.SSAService(f"{urls[3]}/ssa")
    hips = hips2fitsClass()
    hips.server = f"{urls[2]}/hips2fits"
    session = requests.Session()
    made: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for i in range(n):
        ra, dec = position(i)
        circle = f"1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {ra!r}, {dec!r}, {3 / 3600!r}))"
        row = rows.search(f"SELECT {', '.join(COLUMNS)} FROM gaiadr3.gaia_source WHERE {circle}").to_table()[0]
        made["table"].append(np.array([float(row["source_id"]), float(row["parallax"])]))
        points = curves.search(f"SELECT mjd, flux, flux_err, band FROM photometry WHERE {circle}").to_table()
        made["light_curve"].append(np.asarray(points["flux"], dtype=float))
        image = hips.query(
            hips="CDS/P/TEST/g", width=SIDE, height=SIDE, projection="TAN", ra=Longitude(ra * u.deg), dec=Latitude(dec * u.deg), fov=Angle(SIDE * u.arcsec), format="fits"
        )
        made["image"].append(np.asarray(image[0].data))
        found = spectra.search(pos=SkyCoord(ra * u.deg, dec * u.deg), diameter=6 * u.arcsec)
        content = session.get(found[0].acref if hasattr(found[0], "acref") else found[0].getdataurl(), timeout=60).content
        made["spectrum"].append(np.asarray(fits.open(io.BytesIO(content))[1].data["flux"], dtype=float))
    return made


def difference(one: dict[str, list[np.ndarray]], other: dict[str, list[np.ndarray]], n: int) -> float:
    """The largest, relative, over the first `n` targets; infinite where a product is missing."""
    worst = 0.0
    for kind in KINDS:
        if len(one[kind]) != N or len(other[kind]) != n:
            return float("inf")
        for a, b in zip(one[kind], other[kind], strict=False):
            if a.shape != b.shape:
                return float("inf")
            worst = max(worst, float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1))))
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the loop over 40 targets, scaled to 1,000")
    parser.add_argument("--json", action="store_true", help="JSON lines alone")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve()
        return 0
    n, pairs = (SAMPLE, 1) if args.quick else (N, 1)
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        urls = json.loads(server.stdout.readline())  # type: ignore[union-attr]
        kept: dict[str, Any] = {}
        counts: dict[str, int] = {}

        def counted(name: str, work: Any) -> None:
            before = asked(urls[0])
            kept[name] = work()
            counts[name] = asked(urls[0]) - before

        seconds, peer = interleaved(lambda: counted("ours", lambda: ours(urls)), lambda: counted("loop", lambda: loop(urls, n)), pairs)
    finally:
        server.stdin.close()  # type: ignore[union-attr]
        server.wait(timeout=30)
    scale = N // n
    error = difference(kept["ours"], kept["loop"], n)
    said = f", timed on {n} targets and scaled by {scale}" if scale > 1 else ""
    line = Line(
        work=f"fetch {N} targets x {len(KINDS)} modalities, {LATENCY * 1000:.0f} ms a request ({counts['ours']} requests)",
        peer=f"plain loop over pyvo and astroquery ({counts['loop'] * scale} requests{said})", equal=error <= 1e-6, error=error, tolerance=1e-6,
        seconds=seconds, peer_seconds=peer * scale, goal=GOAL,
    )  # fmt: skip
    line.print()
    if not args.quick:
        save_results("fetching", {"lines": [line.to_json()], "requests": counts, "targets": N, "latency_seconds": LATENCY})
    return 0 if line.equal else 1


def asked(url: str) -> int:
    """Requests that the services have had."""
    with urllib.request.urlopen(f"{url}/asked") as answer:
        return int(answer.read())


if __name__ == "__main__":
    sys.exit(main())
