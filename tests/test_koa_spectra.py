"""Keck's extracted spectra over HTTP on loopback; files written here to the documented format."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from answering import Answering
from astropy.io import fits
from astropy.table import Table
from loopback import votable

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import koa_spectra
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

HERE = Target("HD 187123", 296.743, 34.4199)
PREFIX = "/koadata14/HIRES/20100101/lev1/HI.20100101.2"
ORDERS = {"1_01": (5000.0, "Pass"), "1_02": (5040.0, "Pass"), "2_01": (6000.0, "Fail"), "2_02": (-1.0, "Unknown")}


def order(start, grade="Pass", n=50, **more):
    wave = np.full(n, -1.0) if start < 0 else start + np.arange(n)
    error = np.full(n, 2.0)
    error[3] = -1.0
    values = {"col": np.arange(n), "wave": wave, "Flux": np.full(n, 10.0 + start / 1000), "Error": error, "Background": np.ones(n), **more}
    table = fits.BinTableHDU.from_columns([fits.Column(name, "D", array=v) for name, v in values.items() if v is not None])
    table.header["EXQUAL"] = grade
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    return file.getvalue()


def frames(rows):
    made = Table({"koaid": [f"HI.20100101.{i}.fits" for i, _ in rows], "filehand": [f"/koadata14/HIRES/20100101/lev0/HI.20100101.{i}.fits" for i, _ in rows]})
    made["ra"], made["dec"], made["mjd"], made["elaptime"] = 296.743, 34.4199, 55197.5, np.array([e for _, e in rows], dtype=float)
    return (200, votable(made), "application/x-votable+xml")


@pytest.fixture
def server():
    made = Answering()
    made.data = [{"subdir": "binaryfits/ccd1/flux", "lev1files": ["HI.20100101.2_1_01_flux.fits", "HI.20100101.2_1_02_flux.fits"]},
                 {"subdir": "binaryfits/ccd1/trace", "lev1files": ["HI.20100101.2_1_01_trace.fits"]}, {"subdir": "lists", "lev1files": ["HI.caliblist"]},
                 {"subdir": "binaryfits/ccd2/flux", "lev1files": ["HI.20100101.2_2_01_flux.fits", "HI.20100101.2_2_02_flux.fits"]}]  # fmt: skip

    def listed(asked):
        if ".2.fits" not in asked.query["koaid"]:
            return (200, b'{"status": "error", "msg": "no level 1 data"}', "application/json")
        result = {"nlev1file": 6, "lev1subdir_prefix": PREFIX, "data": made.data}
        return (200, json.dumps({"input": asked.query, "result": result}).encode(), "application/json")

    made.routes = {
        "/TAP/sync": frames([(1, 300.0), (2, 200.0), (3, 100.0)]), "/cgi-bin/KoaAPI/nph-getL1list": listed,
        "/cgi-bin/KoaAPI/nph-dnloadL1data": lambda asked: (200, order(*ORDERS[asked.query["filehand"].split("_", 1)[1].removesuffix("_flux.fits")]), "text/html"),
    }  # fmt: skip
    yield made
    made.close()


def fetched(server, targets=(HERE,), **wanted):
    survey = replace(koa_spectra.HIRES, url=server.url, timeout=5.0)
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    assert [raw.target_ids for raw in raws] == [(t.object_id,) for t in targets]
    return raws, {k: v for raw in raws for k, v in survey.read(raw)}


def test_the_orders_of_the_longest_exposure_that_was_extracted_documented_format(server):
    raws, found = fetched(server, radius=10.0, time=(55000.0, 56000.0))
    assert [a.query["koaid"] for a in server.asked if a.path.endswith("getL1list")] == ["HI.20100101.1.fits", "HI.20100101.2.fits"]
    asked = [a.query["filehand"] for a in server.asked if a.path.endswith("dnloadL1data")]
    assert len(asked) == 4 and asked[0] == f"{PREFIX}/binaryfits/ccd1/flux/HI.20100101.2_1_01_flux.fits"
    adql = server.asked[0].fields["QUERY"].decode()
    assert "FROM koa_hires WHERE CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', 296.743, 34.4199, " in adql and adql.endswith("koaimtyp = 'object' AND mjd BETWEEN 55000.0 AND 56000.0")
    spectrum = found["HD 187123"]
    assert spectrum.unit == "ct" and spectrum.time == 55197.5 and np.all(np.diff(spectrum.wavelength) > 0)
    assert len(spectrum.wavelength) == 45 + 45 + 50  # the two orders overlap from 5040 to 5049: each gives its half; one without wavelengths gives nothing
    assert spectrum.flux[spectrum.wavelength == 5044.0] == pytest.approx(15.0) and spectrum.flux[spectrum.wavelength == 5045.0] == pytest.approx(15.04)
    bad = spectrum.wavelength[~spectrum.mask]
    assert list(bad[:1]) == [5003.0] and len(bad) == 51  # an error of -1, and the order that is graded Fail; 5043 lies in the other order's half
    assert spectrum.ivar[0] == pytest.approx(0.25) and "HI.20100101.2.fits (4 orders)" in spectrum.provenance.query and len(raws) == 1


def test_nothing_extracted_is_empty(server):
    server.routes["/TAP/sync"] = frames([(7, 300.0), (8, 200.0), (9, 100.0), (2, 50.0)])
    assert fetched(server)[1] == {} and len(server.paths("/cgi-bin")) == 3
    assert list(fetched(server, options={"frames": 4})[1]) == ["HD 187123"]
    server.routes["/TAP/sync"] = frames([])
    server.asked.clear()
    assert fetched(server)[1] == {} and len(server.asked) == 1


@pytest.mark.parametrize("name", ["../../etc/passwd_flux.fits", "a b_flux.fits", "x?y=1_flux.fits"])
def test_paths_that_are_none_are_refused(server, name):
    server.data = [{"subdir": "binaryfits/ccd1/flux", "lev1files": [name]}]
    with pytest.raises(ArchiveError, match=r"koa/hires_spectrum, target HD 187123.*no path of a file"):
        fetched(server)


def test_errors_in_the_archives_own_words(server):
    server.routes["/cgi-bin/KoaAPI/nph-dnloadL1data"] = (403, b"proprietary until 2030", "text/plain")
    with pytest.raises(ArchiveError, match="proprietary until 2030"):
        fetched(server)


@pytest.mark.parametrize("content", [b"", order(5000.0)[:3000], order(5000.0, Error=None), order(-1.0), fits.PrimaryHDU().header.tostring().encode()])
def test_damaged_answers(content):
    raw = Raw("koa/hires_spectrum", ("t",), content, "", extra={"lengths": [len(content)], "koaid": "HI.1"})
    with pytest.raises(ArchiveError, match="koa/hires_spectrum, target t"):
        list(koa_spectra.HIRES.read(raw))


@pytest.mark.remote
def test_the_archive_itself():
    raws = list(koa_spectra.HIRES.query(Targets([HERE]), Ask(radius=10.0)))
    assert [k for raw in raws for k, _ in koa_spectra.HIRES.read(raw)] in ([], ["HD 187123"])
