"""Hubble and TESS cutouts of MAST: recorded answers of astroquery's own tests, and requests over HTTP on loopback."""

import io
import json
import zipfile
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from image_server import ImageServer, fits_file, images, tan

from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.surveys import formats
from astrofuse_lab.surveys.survey import Raw
from astrofuse_lab.targets import Target

NOTHING = b'{"msg": "No targets found.", "results": []}'
HERE = Target("a", 189.49206, 62.20615)


def recorded(name):
    file = files("astroquery.mast.tests") / "data" / name
    if not file.is_file():
        pytest.skip("astroquery is installed without its tests' data")
    return file.read_bytes()


def packed(**named):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in named.items():
            archive.writestr(name.replace("__", "."), content)
    return file.getvalue()


def answer(name, content, **extra):
    return list(surveys.get(name).read(Raw(name, ("a",), content, "", extra={"lengths": [len(content)], **extra})))


@pytest.fixture
def server():
    made = ImageServer()
    yield made
    made.close()


def at(server, name):
    return replace(surveys.get(name), url=server.url, timeout=5.0)


def test_a_deep_field_recorded_answer():
    from astropy.io import fits
    from astropy.wcs import WCS

    content = recorded("astrocut_189.49206_62.20615_100x100px_f.zip")
    ((_, image),) = answer("hst/deep_field_image", content)
    assert image.bands == ("F606W", "F814W", "F850LP") and image.flux.shape == (3, 100, 100) and image.unit == "uJy"
    assert image.scale == pytest.approx(0.03, rel=1e-4)
    x, y = WCS(dict(image.wcs)).world_to_pixel_values(HERE.ra, HERE.dec)
    assert abs(x - 49.5) < 1 and abs(y - 49.5) < 1
    with zipfile.ZipFile(io.BytesIO(content)) as archive, fits.open(io.BytesIO(archive.read(archive.namelist()[0]))) as units:
        rate, lam, pivot = units[1].data, units[1].header["PHOTFLAM"], units[1].header["PHOTPLAM"]
    good = image.mask[0]
    np.testing.assert_allclose(image.flux[0][good], rate[good] * lam * pivot**2 / 2.99792458e18 * 1e29, rtol=1e-5)
    # F606W of ACS: zero point 26.5 AB
    assert -2.5 * np.log10(lam * pivot**2 / 2.99792458e18 * 1e29) + 23.9 == pytest.approx(26.5, abs=0.02)
    ((_, one),) = answer("hst/deep_field_image", content, bands=["F814W", "F999N"])
    assert one.bands == ("F814W",)


def test_tess_recorded_answer():
    from astropy.io import fits

    content = recorded("astrocut_107.27_-70.0_5x5.zip")
    ((_, image),) = answer("tess/image", content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive, fits.open(io.BytesIO(archive.read(archive.namelist()[0]))) as units:
        rows = units[1].data
        good = rows["QUALITY"] == 0
        np.testing.assert_allclose(image.flux[0], rows["FLUX"][good].astype(float).mean(0), rtol=1e-5)
        np.testing.assert_allclose(image.ivar[0] ** -0.5, np.sqrt((rows["FLUX_ERR"][good].astype(float) ** 2).sum(0)) / good.sum(), rtol=1e-4)
    assert image.bands == ("TESS",) and image.unit == "electron / s" and image.scale == pytest.approx(20.6, abs=0.5)
    assert 58324 < image.time < 58353 and image.wcs["CTYPE1"] == "RA---TAN-SIP" and "A_0_2" in image.wcs  # sector 1
    ((_, early),) = answer("tess/image", content, time=[58324.0, 58330.0])
    assert early.time < 58330 and early.ivar.mean() < image.ivar.mean()
    assert answer("tess/image", content, time=[50000.0, 50001.0]) == []


def test_hubble_is_asked_as_documented(server):
    one = fits_file((np.full((8, 8), 5.0), {**tan(HERE.ra, HERE.dec, 8, 0.04), "FILTER": "F160W", "PHOTFLAM": 1.9e-20, "PHOTPLAM": 15369.0, "BUNIT": "ELECTRONS/S"}), empty_first=True)
    patchy = np.full((8, 8), 7.0)
    patchy[:4] = 0
    two = fits_file((patchy, {**tan(HERE.ra, HERE.dec, 8, 0.04), "PHOTFLAM": 7e-20, "PHOTPLAM": 8045.0, "BUNIT": "ELECTRONS", "EXPTIME": 100.0}), empty_first=True)
    server.routes["/astrocut"] = packed(hst_cutout_wfc3_ir_f160w_coarse__fits=one, hst_cutout_acs_wfc_f814w_fine__fits=two, note__txt=b"x")
    image = images(at(server, "hst/image"), HERE, size=0.32)["a"]
    assert server.requests == [("/astrocut", {"ra": "189.4920600", "dec": "62.2061500", "x": "0.00008889", "y": "0.00008889", "units": "d"})]
    assert image.bands == ("F160W", "F814W") and not image.mask[1, :4].any() and image.mask[0].all()
    assert image.flux[1, 7, 7] == pytest.approx(7 / 100 * 7e-20 * 8045.0**2 / 2.99792458e18 * 1e29)
    images(at(server, "hst/deep_field_image"), HERE, size=6.0, options={"survey": "goods_north"})
    assert server.requests[1][1]["survey"] == "goods_north"
    with pytest.raises(InputError, match="at most 5000"):
        images(at(server, "hst/image"), HERE, size=3600.0)


def test_a_filter_without_calibration_leaves_all_in_counts():
    keywords = {**tan(1.0, 2.0, 8, 0.04), "PHOTPLAM": 8045.0}
    content = packed(
        x_f814w_drz__fits=fits_file((np.ones((8, 8)), keywords), empty_first=True),
        x_f606w_drz__fits=fits_file((np.full((8, 8), 2.0), {**keywords, "PHOTFLAM": 1e-19}), empty_first=True),
    )
    ((_, image),) = answer("hst/image", content)
    assert image.unit == "electron / s" and image.flux[:, 0, 0].tolist() == [2.0, 1.0]


def test_where_nothing_was_seen_there_is_no_image(server):
    server.routes.update({"/astrocut": NOTHING, "/sector": b'{"results": []}'})
    assert images(at(server, "hst/image"), HERE) == images(at(server, "tess/image"), HERE) == {}
    assert [path for path, _ in server.requests] == ["/astrocut", "/sector"]
    server.routes["/sector"] = b'{"results":[{"sectorName":"tess-s0014-1-3","sector":"14","camera":"1","ccd":"3"},{"sector":"7"}]}'
    assert images(at(server, "tess/image"), HERE, size=100.0) == {}
    assert server.requests[-1] == ("/astrocut", {"ra": "189.4920600", "dec": "62.2061500", "x": "5", "y": "5", "units": "px", "sector": "7"})
    assert images(at(server, "tess/image"), HERE, options={"sector": 9}) == {} and server.requests[-1][0] == "/sector"


def test_the_list_of_sectors_recorded_answer(server):
    server.routes.update({"/sector": recorded("tess_sector.json"), "/astrocut": NOTHING})
    images(at(server, "tess/image"), HERE)
    assert server.requests[-1][1]["sector"] == "1"


@pytest.mark.parametrize("name", ["hst/image", "tess/image"])
@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 not a zip", packed(a__fits=b"SIMPLE  = nothing"), packed(a__fits=fits_file((np.ones((4, 4)), {}))), b'{"msg": "x", "results": [1]}',
        b'{"detail": "internal error"}', packed(a_f606w__fits=fits_file((np.ones((4, 4)), tan(1, 2, 4, 1)))[:3000]),
    ],
)  # fmt: skip
def test_what_is_no_cutout_is_an_archive_error(name, content):
    with pytest.raises(ArchiveError, match=f"{name}, target a: ") as caught:
        answer(name, content)
    assert json.dumps(str(caught.value)) and caught.value.target == "a"


def test_a_bomb_is_refused_before_it_goes_off(monkeypatch):
    monkeypatch.setattr(formats, "LARGEST", 1024**2)
    with pytest.raises(ArchiveError, match="unpacks to more than 1 MB"):
        answer("hst/image", packed(a_f606w__fits=bytes(2 * 1024**2)))


@pytest.mark.remote
@pytest.mark.parametrize("name", ["hst/deep_field_image", "hst/image", "tess/image", "jwst/image"])
def test_the_real_services(name):
    size = 105.0 if name == "tess/image" else 3.0
    assert images(surveys.get(name), Target("GOODS-S", 53.1625, -27.7914), size=size)["GOODS-S"].mask.any()
