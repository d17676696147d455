"""The hips2fits client through astroquery, over HTTP, against a service on loopback."""

import numpy as np
import pytest
from astropy.wcs import WCS
from loopback import LOGIN_PAGE, PAGE, Archive, cutout, replying, slow

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image
from astrofuse_lab.surveys.hips import ROWS, HipsImage
from astrofuse_lab.surveys.survey import Ask, Raw, Survey
from astrofuse_lab.targets import Target, Targets


@pytest.fixture
def archive():
    server = Archive()
    yield server
    server.close()


@pytest.fixture
def survey(archive):
    return HipsImage("hips/test", {"g": "CDS/P/TEST/g", "red": "CDS/P/TEST/red"}, 0.5, "DR1", "Somebody", "CC0", url=f"{archive.url}/hips2fits", timeout=1.0)


def images(survey, targets, **wanted):
    return {k: v for raw in survey.query(targets, Ask(**wanted)) for k, v in survey.read(raw)}


M31 = Target("M 31", 10.6847, 41.269)
FAR_SOUTH = Target("far south", 30.0, -85.0)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_every_row_follows_the_protocol(row):
    assert isinstance(row, Survey)
    assert row.name.startswith("hips/") and row.bands and row.citation and row.licence and row.release
    assert all(identifier.startswith("CDS/P/") for identifier in row.hips.values())


def test_one_cutout_with_all_bands(survey, archive):
    image = images(survey, Targets([M31]), size=20.0)["M 31"]
    assert isinstance(image, Image)
    assert image.flux.shape == image.mask.shape == (2, 40, 40) and image.mask.all()
    assert image.bands == ("g", "red") and image.scale == 0.5
    assert image.flux[1].max() - image.flux[0].max() == pytest.approx(2)  # the service adds the length of the identifier
    assert len(archive.requests) == 2
    assert image.provenance.citation == "Somebody"


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
    from io import BytesIO

    from astropy.io import fits

    data = np.arange(16, dtype=np.int16).reshape(4, 4)
    header = fits.Header({"BLANK": 3, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
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
        (replying(200, PAGE, "text/html"), "web page.*down until Monday", False),
        (replying(200, LOGIN_PAGE, "text/html"), "login", False),
        (replying(302, b"", Location="/login"), "login", False),
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
    survey = HipsImage("hips/test", {"g": "NOBODY/HAS/<b>this</b>"}, 0.5, "", "x", "y", url=f"{archive.url}/hips2fits")
    with pytest.raises(ArchiveError, match=r"HTTP 400.*Bad request: HiPS NOBODY/HAS/.*not found"):
        images(survey, Targets([M31]))


def test_a_cutout_that_is_too_large_is_refused_before_it_is_asked_for(survey, archive):
    with pytest.raises(InputError, match="smaller size"):
        images(survey, Targets([M31]), size=36_000.0)
    assert archive.requests == []


@pytest.mark.remote
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_real_service(row):
    image = images(row, Targets([Target("Abell 1656", 194.9531, 27.9807)]), size=30.0)["Abell 1656"]
    assert image.mask.any()
