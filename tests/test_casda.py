"""ASKAP images of CASDA: each step with the answers that astroquery ships for its tests, over HTTP on loopback."""

import base64
import math
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from image_server import ImageServer, fits_file, images, tan

from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys.casda_images import job_of
from astrofuse_lab.targets import Target

HERE = Target("field", 333.9092, -45.8418)


def recorded(name):
    file = files("astroquery.casda.tests") / "data" / name
    if not file.is_file():
        pytest.skip("astroquery is installed without its tests' data")
    return file.read_bytes()


def picture(**more):
    keywords = {**tan(HERE.ra, HERE.dec, 8, 2.5), "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CTYPE3": "STOKES", "CTYPE4": "FREQ",
                "BUNIT": "Jy/beam", "BMAJ": 15 / 3600, "BMIN": 12 / 3600}  # fmt: skip
    return fits_file((np.full((1, 1, 8, 8), 2e-3, np.float32), {**keywords, **more}))


@pytest.fixture
def server(monkeypatch):
    made = ImageServer()
    local = lambda content: re.sub(rb"https?(?:://|%3A%2F%2F)(?:casda|data)\.csiro\.au", made.url.encode(), content)  # noqa: E731
    link = "/casda_vo_proxy/vo/datalink/links"
    made.routes = {
        "/sia2/query": local(recorded("cone.xml")),
        link: local(recorded("datalink.xml")),
        "/casda_data_access/data/async": (303, f"{made.url}/job/7".encode()),
        # the first answer is to the client that was led here by its POST
        "/job/7": [b"", recorded("run_job.xml"), recorded("run_job.xml"), local(recorded("cutout_333.9092_-45.8418_0.5000.xml"))],
        "/job/7/parameters": b"", "/job/7/phase": b"",
        "/download/web/111-000-111-000/cutout.fits": picture(),
    }  # fmt: skip
    monkeypatch.setenv("OPAL_USERNAME", "someone@example.org")
    monkeypatch.setenv("OPAL_PASSWORD", "secret")
    yield made
    made.close()


@pytest.fixture
def survey(server):
    return replace(surveys.get("casda/image"), url=f"{server.url}/sia2/query", poll=0.01, patience=5.0, timeout=5.0)


def test_an_image_is_found_cut_and_calibrated_recorded_answer(server, survey):
    image = images(survey, HERE, size=20.0)["field"]
    asked = server.requests
    circle = f"CIRCLE 333.9092000 -45.8418000 {20 / 3600 / math.sqrt(2):.7f}"
    assert asked[0] == ("/sia2/query", {"POS": circle})
    assert asked[1] == ("/casda_vo_proxy/vo/datalink/links", {"ID": "cube-502"})  # the restored image, not its weights or noise
    assert asked[2] == ("/casda_data_access/data/async", {"ID": "cube-244"})
    assert ("/job/7/parameters", {"POS": circle}) in asked and ("/job/7/phase", {"phase": "RUN"}) in asked
    assert [path for path, _ in asked].count("/job/7") == 4 and asked[-1][0].endswith("cutout.fits")
    beam = math.pi * math.radians(15 / 3600) * math.radians(12 / 3600) / (4 * math.log(2))
    assert image.unit == "MJy / sr" and image.flux[0, 3, 3] == pytest.approx(2e-3 / beam * 1e-6)
    assert image.psf_fwhm == pytest.approx((math.sqrt(180),)) and image.wcs["CTYPE1"] == "RA---SIN"
    # the password goes with the datalink alone, and is in no record of the product
    with_secret = [path for (path, _), headers in zip(asked, server.headers, strict=True) if "Authorization" in headers]
    assert with_secret == ["/casda_vo_proxy/vo/datalink/links"]
    sent = server.headers[1]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"someone@example.org:secret" and "secret" not in repr(image.provenance)


def test_without_an_account_the_message_says_what_to_do(server, survey, monkeypatch):
    monkeypatch.delenv("OPAL_PASSWORD")
    for reply in (recorded("datalink_noaccess.xml"), (401, b"Unauthorized")):
        server.routes["/casda_vo_proxy/vo/datalink/links"] = reply
        with pytest.raises(ArchiveError, match=r"casda/image, target field: CASDA hands out pixels to registered users only.*OPAL_USERNAME and OPAL_PASSWORD.*hips/racs"):
            images(survey, HERE)
    monkeypatch.setenv("OPAL_PASSWORD", "wrong")
    with pytest.raises(ArchiveError, match="wants a login or refuses access"):
        images(survey, HERE)


def test_what_is_not_released_is_not_taken_recorded_answer(server, survey):
    server.routes["/sia2/query"] = re.sub(rb"2017-08-02T03:51:19.728Z", b"2999-01-01T00:00:00.000Z", server.routes["/sia2/query"])
    assert images(survey, HERE) == {} and len(server.requests) == 1


def test_a_job_that_fails_or_lasts_says_so(server, survey):
    failed = recorded("run_job.xml").replace(b"EXECUTING", b"ERROR")
    server.routes["/job/7"] = [b"", failed]
    with pytest.raises(ArchiveError, match="the cutout was not made: the job ended as ERROR"):
        images(survey, HERE)
    server.routes["/job/7"] = lambda query: recorded("run_job.xml")
    with pytest.raises(ArchiveError, match="not ready after 0 s") as caught:
        images(replace(survey, patience=0.0), HERE)
    assert caught.value.transient


def test_addresses_that_are_not_https_are_refused(server, survey):
    """The password must not go out in the clear, whatever an answer names."""
    server.routes["/sia2/query"] = server.routes["/sia2/query"].replace(server.url.encode(), b"http://casda.csiro.au")
    with pytest.raises(ArchiveError, match="not HTTPS"):
        images(survey, HERE)


@pytest.mark.parametrize("content", [picture(BUNIT="Jy"), picture(BMAJ=0.0), picture()[:2000]])
def test_what_is_no_image_in_jansky_per_beam_is_refused(server, survey, content):
    server.routes["/download/web/111-000-111-000/cutout.fits"] = content
    with pytest.raises(ArchiveError, match="casda/image, target field: "):
        images(survey, HERE)


@pytest.mark.parametrize("content", [b"", b"<html>", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", b"<?xml version='1.0'?><job"])
def test_rubbish_in_place_of_a_job(content):
    with pytest.raises(ArchiveError, match="no complete job description"):
        job_of(content, "casda/image", "t")


@pytest.mark.remote
def test_the_real_service():
    """Searches only: pixels need an account."""
    with pytest.raises(ArchiveError, match="OPAL_USERNAME"):
        images(surveys.get("casda/image"), HERE)
