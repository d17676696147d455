"""The hips2fits client through astroquery, over HTTP, against a service on loopback."""

from dataclasses import replace
from io import BytesIO
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from loopback import LOGIN_PAGE, PAGE, Archive, cutout, replying, slow

from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image
from astrofuse_lab.surveys.hips_cutouts import make
from astrofuse_lab.surveys.hips_rows import ROWS
from astrofuse_lab.surveys.survey import Ask, Raw, Survey
from astrofuse_lab.targets import Target, Targets


@pytest.fixture
def archive():
    server = Archive()
    yield server
    server.close()


@pytest.fixture
def survey(archive):
    made = make("CDS/P/TEST", ["g", "red"], name="hips/test", scale=0.5, release="DR1", citation="Somebody", url=f"{archive.url}/hips2fits")
    return replace(made, timeout=1.0)


def images(survey, targets, **wanted):
    return {k: v for raw in survey.query(targets, Ask(**wanted)) for k, v in survey.read(raw)}


M31 = Target("M 31", 10.6847, 41.269)
FAR_SOUTH = Target("far south", 30.0, -85.0)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_every_row_follows_the_protocol(row):
    assert isinstance(row, Survey)
    assert row.name.startswith("hips/") and row.bands and row.citation and row.licence and row.release
    assert row.coverage.words and row.coverage.moc and 0.05 < row.scale < 200
    assert row.mirrors and row.host == "alasky.cds.unistra.fr"
    assert all(identifier.count("/") >= 2 for identifier in row.hips.values())


def test_one_cutout_with_all_bands(survey, archive):
    image = images(survey, Targets([M31]), size=20.0)["M 31"]
    assert isinstance(image, Image)
    assert image.flux.shape == image.mask.shape == (2, 40, 40) and image.mask.all()
    assert image.bands == ("g", "red") and image.scale == pytest.approx(0.5)
    assert image.flux[1].max() - image.flux[0].max() == pytest.approx(2)  # the service adds the length of the identifier
    assert len(archive.requests) == 2
    assert image.provenance.citation.startswith("Somebody")


def test_the_wcs_points_at_the_target(survey):
    image = images(survey, Targets([M31]), size=20.0)["M 31"]
    wcs = WCS(dict(image.wcs))
    assert wcs.pixel_to_world_values(19.5, 19.5) == pytest.approx((M31.ra, M31.dec))
    ra, dec = wcs.pixel_to_world_values(20.5, 19.5)  # east is left
    assert (ra - M31.ra) * 3600 * np.cos(np.radians(M31.dec)) == pytest.approx(-0.5, rel=1e-3)
    assert dec == pytest.approx(M31.dec, abs=1e-6)


def test_bands_can_be_chosen_and_unknown_ones_are_named(survey, archive):
    assert images(survey, Targets([M31]), bands=("red",))["M 31"].bands == ("red",)
    with pytest.raises(InputError, match=r"hips/test has no band 'q'. It has g, red"):
        images(survey, Targets([M31]), bands=("q",))
    with pytest.raises(InputError, match="no release 'DR2'"):
        images(survey, Targets([M31]), release="DR2")
    with pytest.raises(InputError, match="no option 'noise'"):
        images(survey, Targets([M31]), options={"noise": 2})


def test_what_was_not_observed_is_masked_and_an_empty_cutout_is_no_image(survey):
    found = images(survey, Targets([FAR_SOUTH, Target("edge", 200.0, 0.0)]))
    assert list(found) == ["edge"]
    edge = found["edge"]
    assert edge.mask[:, :, 20:].all() and not edge.mask[:, :, :20].any()
    assert np.isfinite(edge.flux).all()


def test_integer_pixels_with_blank_and_scale(survey):
    data = np.arange(16, dtype=np.int16).reshape(4, 4)
    header = fits.Header({"BLANK": 3, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4})
    hdu = fits.PrimaryHDU(data, header)
    hdu.header["BSCALE"], hdu.header["BZERO"] = 2.0, 10.0
    file = BytesIO()
    hdu.writeto(file, output_verify="silentfix")
    content = file.getvalue()
    stored = fits.open(BytesIO(content), do_not_scale_image_data=True)[0]
    raw = Raw("hips/test", ("x",), content, "", extra={"bands": ["g"], "lengths": [len(content)]})
    image = dict(survey.read(raw))["x"]
    blank = stored.data == stored.header["BLANK"]
    assert blank.sum() == 1 and (image.mask[0] == ~blank).all()
    expected = stored.data * stored.header.get("BSCALE", 1) + stored.header.get("BZERO", 0)
    assert image.flux[0][~blank] == pytest.approx(expected[~blank])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_names_survey_and_target(survey, archive, share):
    whole = cutout({"ra": "10", "dec": "5", "width": "40", "height": "40", "fov": "0.0055", "hips": "CDS/P/TEST/g"})
    used = 2880 + 40 * 40 * 4  # what follows is padding
    archive.replies.append(replying(200, whole[: int(used * share)], "image/fits"))
    with pytest.raises(ArchiveError, match=r"hips/test, target M 31: band g: the FITS file is cut short"):
        images(survey, Targets([M31]))


@pytest.mark.parametrize(
    ("reply", "words", "transient"),
    [
        (replying(200, PAGE, "text/html"), "web page.*down until Monday", True),
        (replying(200, LOGIN_PAGE, "text/html"), "login", True),
        (replying(302, b"", Location="/login"), "login", True),
        (replying(503, b"back soon"), "HTTP 503.*back soon", True),
        (replying(200, b"half", announced=5000), "cut|reached|failed", True),
        (slow(3), "in time", True),
    ],
)
def test_a_failure_says_what_the_archive_said(survey, archive, reply, words, transient):
    archive.replies.append(reply)
    with pytest.raises(ArchiveError, match=rf"(?s)hips/test, target M 31.*({words})") as caught:
        images(survey, Targets([M31]))
    assert caught.value.transient is transient


def test_the_services_own_error_is_passed_on(archive):
    survey = make("NOBODY/HAS/this", url=f"{archive.url}/hips2fits")
    with pytest.raises(ArchiveError, match=r"HTTP 400.*Bad request: HiPS NOBODY/HAS/this not found"):
        images(survey, Targets([M31]))


def test_a_cutout_that_is_too_large_is_refused_before_it_is_asked_for(survey, archive):
    with pytest.raises(InputError, match="smaller size"):
        images(survey, Targets([M31]), size=36_000.0)
    assert archive.requests == []


def test_any_hips_by_its_identifier(archive):
    one = surveys.hips("CDS/P/2MASS/J", url=f"{archive.url}/hips2fits")
    assert one.name == "hips/cds_p_2mass_j" and one.hips == {"J": "CDS/P/2MASS/J"} and isinstance(one, Survey)
    assert list(images(one, Targets([M31]))) == ["M 31"]
    query = parse_qs(urlparse(archive.requests[0]).query)
    assert {k: query[k] for k in ("hips", "format", "projection", "width", "height", "coordsys")} == {
        "hips": ["CDS/P/2MASS/J"], "format": ["fits"], "projection": ["TAN"], "width": ["20"], "height": ["20"], "coordsys": ["icrs"],
    }  # fmt: skip
    assert float(query["fov"][0]) == pytest.approx(20 / 3600)
    assert surveys.hips("a/b", {"x": "c/d"}).hips == {"x": "c/d"} and surveys.hips("CDS/P/DES-DR2", "gr").hips["r"] == "CDS/P/DES-DR2/r"
    for wrong in ({"id": "2MASS"}, {"id": "CDS/P/2MASS", "bands": []}, {"id": "CDS/P/2MASS", "scale": 0.0}, {"id": "<b>a</b>/b"}):
        with pytest.raises(InputError, match=r"HiPS identifier|at least one band"):
            surveys.hips(**wrong)


@pytest.mark.parametrize("alpha", [True, False])
def test_a_coloured_hips_gives_three_bands_of_one_request(archive, alpha):
    """PNG tiles come as a cube of red, green, blue and, in most, opacity."""
    data = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
    data[3] = 255
    data[:, 0] = 0  # nothing there
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4, "CRVAL1": 10.0, "CRVAL2": 41.0})
    file = BytesIO()
    fits.PrimaryHDU(data[: 3 + alpha], header).writeto(file)
    archive.replies.append(replying(200, file.getvalue(), "image/fits"))
    survey = surveys.hips("cxc/P/rgb", colour=True, url=f"{archive.url}/hips2fits")
    image = images(survey, Targets([M31]))["M 31"]
    assert len(archive.requests) == 1 and image.bands == ("red", "green", "blue")
    np.testing.assert_array_equal(image.flux, data[:3])
    assert not image.mask[:, 0].any() and image.mask[:, 1:].all() and image.unit == "adu"


@pytest.mark.parametrize("count", ["99999999999", "1000", "9" * 25])
def test_a_header_that_counts_for_ever_is_refused_at_once(survey, archive, count):
    """astropy looks at each of the axes that a header claims before it looks for the pixels."""
    whole = cutout({"ra": "10", "dec": "5", "width": "40", "height": "40", "fov": "0.0055", "hips": "CDS/P/TEST/g"})
    assert whole.count(b"NAXIS   =                    2") == 1
    archive.replies.append(replying(200, whole.replace(b"NAXIS   =                    2", b"NAXIS   = " + count.rjust(20).encode()[:25]), "image/fits"))
    with pytest.raises(ArchiveError, match=r"hips/test, target M 31: band g: the FITS file is cut short or unreadable .*NAXIS = "):
        images(survey, Targets([M31]))


@pytest.mark.parametrize("lengths", [None, [3], [5, -1], "4", [1.5, 2.5]])
def test_lengths_that_are_not_those_of_the_content_are_refused(survey, lengths):
    with pytest.raises(ArchiveError, match=r"hips/test, target x: the answer has 4 bytes"):
        list(survey.read(Raw("hips/test", ("x",), b"abcd", "", extra={"bands": ["g"], "lengths": lengths})))


def test_the_second_machine_is_asked_when_the_first_is_down(archive):
    archive.replies.append(replying(503, b"back soon"))
    survey = replace(surveys.hips("CDS/P/TEST/g"), url=f"{archive.url}/hips2fits", mirrors=(f"{archive.url}/hips2fits",))
    assert list(images(survey, Targets([M31]))) == ["M 31"] and len(archive.requests) == 2


@pytest.mark.remote
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_real_service(row):
    image = images(row, Targets([Target("Abell 1656", 194.9531, 27.9807)]), size=30.0)["Abell 1656"]
    assert image.mask.any()
