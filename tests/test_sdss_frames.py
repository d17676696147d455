"""SDSS frames: which frame, the files, the stamp and its noise; answers in the documented formats over HTTP on loopback."""

import bz2
import io
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from image_server import ImageServer, images

from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.targets import Target

HERE = Target("galaxy", 150.0, 2.2)
COLUMNS = "run,rerun,camcol,field,gain_r,darkVariance_r,gain_i,darkVariance_i"
ROW = "2505,301,3,38,4.7,1.2,4.8,6.0"
WIDTH, HEIGHT, COUNTS, PER_COUNT, SKY = 60, 40, 300.0, 0.005, 120.0


def frame(shift=0, middle=(29.5, 19.5)):
    """A small frame, turned as SDSS's are (the camera scans north to south or east to west)."""
    scale = 0.396 / 3600
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg", "CRVAL1": HERE.ra, "CRVAL2": HERE.dec})
    header.update({"CRPIX1": middle[0] + 1 + shift, "CRPIX2": middle[1] + 1, "CD1_1": 0.0, "CD1_2": scale, "CD2_1": scale, "CD2_2": 0.0})
    header["TAI"] = 4.5e9 + 60 * shift
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = (COUNTS * PER_COUNT * np.exp(-0.5 * ((x - middle[0] - shift) ** 2 + (y - middle[1]) ** 2) / 9)).astype(np.float32)
    coarse = np.full((5, 8), SKY, np.float32)
    sky = fits.BinTableHDU.from_columns([
        fits.Column("ALLSKY", "40E", dim="(8,5)", array=coarse[None]),
        fits.Column("XINTERP", f"{WIDTH}E", array=np.linspace(0, 7, WIDTH)[None]),
        fits.Column("YINTERP", f"{HEIGHT}E", array=np.linspace(0, 4, HEIGHT)[None]),
    ])  # fmt: skip
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(picture, header), fits.ImageHDU(np.full(WIDTH, PER_COUNT, np.float32)), sky]).writeto(file)
    return bz2.compress(file.getvalue())


@pytest.fixture
def server():
    made = ImageServer()
    place = "/frames/301/2505/3/frame-{}-002505-3-0038.fits.bz2"
    made.routes = {"/sql": f"#Table1\n{COLUMNS}\n{ROW}\n".encode(), place.format("r"): frame(), place.format("i"): frame(shift=2)}
    yield made
    made.close()


@pytest.fixture
def survey(server):
    return replace(surveys.get("sdss/image"), url=f"{server.url}/sql", frames=f"{server.url}/frames", timeout=5.0)


def test_a_stamp_is_cut_calibrated_and_weighted_documented_format(server, survey):
    image = images(survey, HERE, bands=("r", "i"), size=20 * 0.396)["galaxy"]
    assert [path for path, _ in server.requests] == ["/sql", *(f"/frames/301/2505/3/frame-{b}-002505-3-0038.fits.bz2" for b in "ri")]
    query = server.requests[0][1]
    assert query["format"] == "csv" and "dbo.fGetNearestObjEq(150.0000000, 2.2000000, 1) AS n" in query["cmd"]
    assert "f.gain_r, f.darkVariance_r, f.gain_i, f.darkVariance_i FROM" in query["cmd"]
    assert image.flux.shape == (2, 20, 20) and image.mask.all() and image.unit == "uJy" and image.scale == pytest.approx(0.396)
    x, y = WCS(dict(image.wcs)).world_to_pixel_values(HERE.ra, HERE.dec)
    assert abs(x - 9.5) <= 0.5 and abs(y - 9.5) <= 0.5
    peak = np.unravel_index(image.flux[0].argmax(), (20, 20))
    assert abs(peak[0] - y) <= 1 and abs(peak[1] - x) <= 1
    # the noise as the data model writes it: counts / gain + dark variance, in counts
    counts = image.flux[0].astype(float) / 3.631 / PER_COUNT
    expected = ((counts + SKY) / 4.7 + 1.2) * (PER_COUNT * 3.631) ** 2
    np.testing.assert_allclose(1 / image.ivar[0], expected, rtol=1e-4)
    # i lies two pixels aside and is brought onto r's grid
    np.testing.assert_allclose(image.flux[1], image.flux[0], atol=1e-4 * image.flux[0].max())
    assert image.time == pytest.approx((4.5e9 + 60) / 86400)


def test_beyond_the_edge_of_the_frame_there_is_nothing(server, survey):
    server.routes["/frames/301/2505/3/frame-r-002505-3-0038.fits.bz2"] = frame(middle=(5, 5))
    image = images(survey, HERE, bands=("r",), size=20 * 0.396)["galaxy"]
    assert not image.mask[0, :4].any() and not image.mask[0, :, :4].any() and image.mask[0, 6:, 6:].all()
    server.routes["/frames/301/2505/3/frame-r-002505-3-0038.fits.bz2"] = frame(middle=(-500, 5))
    with pytest.raises(ArchiveError, match=r"sdss/image, target galaxy: band r: the frame does not hold the position \(RA 150.0, Dec 2.2\)"):
        images(survey, HERE, bands=("r",))


def test_where_sdss_did_not_look_there_is_no_image(server, survey):
    server.routes["/sql"] = f"#Table1\n{COLUMNS}\n".encode()
    assert images(survey, HERE, bands=("r", "i")) == {} and len(server.requests) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"error_message\nIncorrect syntax near x", "Incorrect syntax near x"),
        (b"#Table1\nrun,rerun\n1,2\n", "lacks the columns camcol, field"),
        (b"", "empty"),
    ],
)
def test_the_sql_services_own_errors_are_passed_on(server, survey, content, words):
    server.routes["/sql"] = content
    with pytest.raises(ArchiveError, match=rf"sdss/image, target galaxy: .*{words}"):
        images(survey, HERE, bands=("r", "i"))


@pytest.mark.parametrize("spoil", [lambda c: c[: len(c) // 2], lambda c: bz2.decompress(c)[:5000], lambda c: b"BZh9" + bytes(100)])
def test_a_frame_cut_short_names_band_and_target(server, survey, spoil):
    server.routes["/frames/301/2505/3/frame-i-002505-3-0038.fits.bz2"] = spoil(frame())
    with pytest.raises(ArchiveError, match=r"sdss/image, target galaxy: band i: the FITS file is cut short or unreadable"):
        images(survey, HERE, bands=("r", "i"))


def test_sizes_beyond_a_frame_are_refused(server, survey):
    with pytest.raises(InputError, match="at most 1489"):
        images(survey, HERE, size=3600.0)
    assert server.requests == []


@pytest.mark.remote
def test_the_real_service():
    image = images(surveys.get("sdss/image"), HERE, bands=("g", "r"), size=20.0)["galaxy"]
    assert image.mask.all() and image.ivar is not None
