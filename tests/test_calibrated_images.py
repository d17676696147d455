"""Legacy Surveys, Pan-STARRS, ZTF, JWST and SkyView: requests over HTTP on loopback, answers in the documented formats."""

from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest
from image_server import ImageServer, fits_file, images, tan

from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.surveys import skyview
from astrofuse_lab.surveys.survey import Raw
from astrofuse_lab.surveys.ztf_images import address_of
from astrofuse_lab.targets import Target

M51 = Target("M 51", 202.4696, 47.1952)
SIDE = 8


@pytest.fixture
def server():
    made = ImageServer()
    yield made
    made.close()


def at(server, name, path=""):
    return replace(surveys.get(name), url=server.url + path, mirrors=(), timeout=5.0)


# Legacy Surveys ------------------------------------------------------------------------------------


def legacy_file(bands="griz", ivar=4.0, side=SIDE):
    """As map/views.py of the Sky Viewer writes it."""
    keywords = {**tan(M51.ra, M51.dec, side, 0.262), "BANDS": bands, **{f"BAND{i}": b for i, b in enumerate(bands)}}
    flux = np.stack([np.full((side, side), 1.0 + i, np.float32) for i in range(len(bands))])
    weight = np.full_like(flux, ivar)
    weight[:, 0] = 0  # no exposure there
    squeeze = (lambda cube: cube[0]) if len(bands) == 1 else (lambda cube: cube)
    return fits_file((squeeze(flux), {**keywords, "IMAGETYP": "IMAGE"}), (squeeze(weight), {**keywords, "IMAGETYP": "INVVAR"}))


def test_legacy_cutouts_are_calibrated_with_inverse_variance_documented_format(server):
    server.routes["/cutout.fits"] = legacy_file()
    image = images(at(server, "legacy/image", "/cutout.fits"), M51, size=SIDE * 0.262)["M 51"]
    assert server.requests == [
        ("/cutout.fits", {"ra": "202.4696000", "dec": "47.1952000", "layer": "ls-dr10", "pixscale": "0.262", "size": "8", "bands": "griz", "invvar": ""})
    ]
    assert image.bands == ("g", "r", "i", "z") and image.unit == "uJy" and image.scale == pytest.approx(0.262)
    assert not image.mask[:, 0].any() and image.mask[:, 1:].all()
    # a nanomaggie is magnitude 22.5, 3.631 uJy
    np.testing.assert_allclose(image.flux[:, 3, 3], 3.631 * np.arange(1, 5), rtol=1e-6)
    np.testing.assert_allclose(image.ivar[:, 3, 3], 4 / 3.631**2, rtol=1e-6)
    assert -2.5 * np.log10(image.flux[0, 3, 3]) + 23.9 == pytest.approx(22.5, abs=1e-3)


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (legacy_file("r"), ("r",)),
        (legacy_file(ivar=0.0), None),  # the survey did not look
        (fits_file((None, {"OVERLAP": False, "BANDS": "griz"})), None),
        (legacy_file()[:2000], ArchiveError),
        (fits_file((np.ones((4, 8, 8)), {**tan(1, 2, 8, 0.262), "BANDS": "griz", **{f"BAND{i}": b for i, b in enumerate("griz")}})), ArchiveError),
        (fits_file((np.ones((3, 8, 8)), {**tan(1, 2, 8, 0.262), "BANDS": "griz", **{f"BAND{i}": b for i, b in enumerate("griz")}})), ArchiveError),
        (fits_file((np.ones((8, 8)), {})), ArchiveError),
    ],
)
def test_legacy_answers(content, outcome):
    raw = Raw("legacy/image", ("a",), content, "", extra={"lengths": [len(content)]})
    survey = surveys.get("legacy/image")
    if outcome is ArchiveError:
        with pytest.raises(ArchiveError, match="legacy/image, target a: "):
            list(survey.read(raw))
    else:
        assert [image.bands for _, image in survey.read(raw)] == ([outcome] if outcome else [])


def test_legacy_releases_have_their_own_bands(server):
    server.routes["/cutout.fits"] = lambda query: legacy_file(query["bands"])
    survey = at(server, "legacy/image", "/cutout.fits")
    assert images(survey, M51, release="DR9")["M 51"].bands == ("g", "r", "z")
    assert server.requests[0][1]["layer"] == "ls-dr9"
    with pytest.raises(InputError, match=r"no band i in DR9. It has g, r, z"):
        images(survey, M51, release="DR9", bands=("i",))
    with pytest.raises(InputError, match="at most 3000"):
        images(survey, M51, size=3600.0)
    assert len(server.requests) == 1


# Pan-STARRS ----------------------------------------------------------------------------------------

HEAD = "projcell subcell ra dec filter mjd type filename shortname badflag\n"
A = 2.5 / np.log(10)


def panstarrs_list(query):
    kinds = query["type"].split(",")
    return (HEAD + "".join(
        f"2387 46 202.4 47.2 {b} 0.0 {k} /rings.v3.skycell/2387/046/rings.{k}.{b}.fits rings.{k}.{b}.fits 0\n" for b in query["filters"] if b != "y" for k in kinds
    )).encode()  # fmt: skip


def panstarrs_file(query):
    counts = 900.0 if ".wt" not in query["red"] else 81.0
    offset, soften = 0.5, 100.0
    data = np.full((SIDE, SIDE), A * np.arcsinh((counts - offset) / (2 * soften)), np.float32)
    data[0, 0] = np.nan
    keywords = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": M51.ra, "CRVAL2": M51.dec, "CRPIX1": 4.5, "CRPIX2": 4.5, "CDELT1": 0.25 / 3600,
                "CDELT2": 0.25 / 3600, "PC001001": -1.0, "PC001002": 0.0, "PC002001": 0.0, "PC002002": 1.0, "EXPTIME": 900.0, "RADESYS": "FK5"}  # fmt: skip
    return fits_file((data, {**keywords, "BSOFTEN": soften, "BOFFSET": offset}))


@pytest.mark.parametrize("variance", [False, True])
def test_panstarrs_stacks_are_linear_and_calibrated_documented_format(server, variance):
    server.routes.update({"/cgi-bin/ps1filenames.py": panstarrs_list, "/cgi-bin/fitscut.cgi": panstarrs_file})
    image = images(at(server, "panstarrs/image"), M51, size=2.0, options={"variance": variance})["M 51"]
    assert server.requests[0][1] == {"ra": "202.4696000", "dec": "47.1952000", "filters": "grizy", "type": "stack,stack.wt" if variance else "stack"}
    assert server.requests[1][1] == {
        "ra": "202.4696000", "dec": "47.1952000", "size": "8", "format": "fits", "red": "/rings.v3.skycell/2387/046/rings.stack.g.fits",
    }  # fmt: skip
    assert len(server.requests) == 1 + 4 * (1 + variance)
    assert image.bands == ("g", "r", "i", "z") and image.unit == "uJy" and image.scale == pytest.approx(0.25)
    assert not image.mask[:, 0, 0].any() and image.mask.sum() == 4 * 63
    # one count a second is magnitude 25
    assert -2.5 * np.log10(image.flux[1, 4, 4]) + 23.9 == pytest.approx(25.0, abs=1e-4)
    if variance:
        assert image.flux[1, 4, 4] * np.sqrt(image.ivar[1, 4, 4]) == pytest.approx(100, rel=1e-4)  # 900 counts, error 9
    else:
        assert image.ivar is None
    assert image.wcs["PC1_1"] == -1.0


def test_panstarrs_counts_stay_where_no_softening_is_told_and_a_position_off_the_survey_is_empty(server):
    survey = at(server, "panstarrs/image")
    server.routes["/cgi-bin/ps1filenames.py"] = [HEAD.encode(), panstarrs_list]
    assert images(survey, Target("south", 10.0, -60.0)) == {} and len(server.requests) == 1
    server.routes["/cgi-bin/fitscut.cgi"] = fits_file((np.full((8, 8), 90.0), {**tan(1, 2, 8, 0.25), "EXPTIME": 90.0}))
    assert images(survey, M51, bands=("g",))["M 51"].flux[0, 0, 0] == pytest.approx(10 ** ((23.9 - 25) / 2.5))
    server.routes["/cgi-bin/ps1filenames.py"] = panstarrs_list
    server.routes["/cgi-bin/fitscut.cgi"] = fits_file((np.ones((8, 8)), tan(1, 2, 8, 0.25)))
    with pytest.raises(ArchiveError, match=r"panstarrs/image, target M 51: band g: the header has no EXPTIME"):
        images(survey, M51, bands=("g",))
    server.routes["/cgi-bin/ps1filenames.py"] = b"an error has occurred"
    with pytest.raises(ArchiveError, match="no complete list of Pan-STARRS files"):
        images(survey, M51)


# ZTF -----------------------------------------------------------------------------------------------

SCI = "field,ccdid,qid,filtercode,imgtypecode,filefracday,obsjd,exptime,seeing,maglimit,infobits\n"
SCI_ROWS = (
    "535,11,3,zg,o,20180411467847,2458219.967847,30,2.1,20.1,0\n"
    "535,11,3,zg,o,20180412467847,2458220.967847,30,1.9,20.9,0\n"
    "535,11,3,zg,o,20180413467847,2458221.967847,30,1.8,21.5,33554432\n"  # bad
    "535,11,3,zr,o,20180412500000,2458221.0,30,1.7,20.5,0\n"
)


def ztf_file(flux=100.0, ra=M51.ra, shift=0.0):
    keywords = {**tan(ra, M51.dec, SIDE, 1.012), "MAGZP": 26.4}
    keywords["CRPIX1"] += shift
    x = np.arange(SIDE)[None].repeat(SIDE, 0)
    return fits_file((np.asarray(flux + x - shift, np.float32), keywords))


def test_ztf_exposures_are_found_cut_masked_and_calibrated_documented_format(server):
    server.routes["/search/ztf/products/sci"] = (SCI + SCI_ROWS).encode()
    mask = np.zeros((SIDE, SIDE), np.int16)
    mask[0, 0], mask[1, 1], mask[2, 2] = 256, 2, 2048  # saturated; a detection and a catalogued source are no fault
    place = "/data/ztf/products/sci/2018/0412/467847/ztf_20180412467847_000535_zg_c11_o_q3_"
    other = "/data/ztf/products/sci/2018/0412/500000/ztf_20180412500000_000535_zr_c11_o_q3_"
    for name, shift in ((place, 0.0), (other, 1.0)):
        server.routes[name + "sciimg.fits"] = ztf_file(shift=shift)
        server.routes[name + "mskimg.fits"] = fits_file((mask, {}))
    image = images(at(server, "ztf/image"), M51, size=8.0, time=(58219.0, 58222.0))["M 51"]
    path, query = server.requests[0]
    assert path == "/search/ztf/products/sci" and query["POS"] == "202.4696000,47.1952000" and query["ct"] == "csv"
    assert query["WHERE"] == "ipac_gid=1 AND filtercode IN ('zg','zr','zi') AND obsjd BETWEEN 2458219.500000 AND 2458222.500000"
    assert server.requests[1] == (place + "sciimg.fits", {"center": "202.4696000,47.1952000", "size": "8arcsec", "gzip": "false"})
    assert [p for p, _ in server.requests[1:]] == [place + "sciimg.fits", place + "mskimg.fits", other + "sciimg.fits", other + "mskimg.fits"]
    assert image.bands == ("g", "r") and image.unit == "uJy" and image.psf_fwhm == (1.9, 1.7)
    assert not image.mask[0, 0, 0] and image.mask[0, 1, 1] and image.mask[0, 2, 2]
    assert image.flux[0, 1, 1] == pytest.approx(101 * 10 ** ((23.9 - 26.4) / 2.5), rel=1e-5)
    # r lies one pixel aside: it is brought onto g's grid
    good = image.mask.all(0)
    np.testing.assert_allclose(image.flux[1][good], image.flux[0][good], rtol=1e-4)
    assert good.sum() > 45 and not image.mask[1][:, -1].any() and image.time == pytest.approx(58220.4838, abs=1e-3)


def test_ztf_choice_of_exposure_and_files_that_are_not_there(server):
    server.routes["/search/ztf/products/sci"] = (SCI + SCI_ROWS).encode()
    first = "/data/ztf/products/sci/2018/0411/467847/ztf_20180411467847_000535_zg_c11_o_q3_"
    server.routes.update({first + "sciimg.fits": ztf_file(), first + "mskimg.fits": fits_file((np.zeros((SIDE, SIDE), np.int16), {}))})
    survey = at(server, "ztf/image")
    # the deepest has no file: the next is taken
    image = images(survey, M51, bands=("g",), size=8.0)["M 51"]
    assert image.time == pytest.approx(58219.4675, abs=1e-3) and [p[-11:] for p, _ in server.requests[1:]] == ["sciimg.fits"[-11:]] * 2 + ["mskimg.fits"[-11:]]
    with pytest.raises(ArchiveError, match="HTTP 404"):
        images(survey, M51, bands=("r",))
    with pytest.raises(InputError, match=r"choose='best' is none of deepest, first, last"):
        images(survey, M51, options={"choose": "best"})
    server.routes["/search/ztf/products/sci"] = SCI.encode()
    assert images(survey, M51) == {}
    server.routes["/search/ztf/products/sci"] = b"field,ccdid\n1,2\n"
    with pytest.raises(ArchiveError, match="lacks the columns qid, filtercode"):
        images(survey, M51)


def test_ztf_references_have_inverse_variance_documented_format(server):
    place = "/data/ztf/products/ref/000/field000535/zg/ccd11/q3/ztf_000535_zg_c11_q3_"
    server.routes["/search/ztf/products/ref"] = b"field,ccdid,qid,filtercode,maglimit\n535,11,3,zg,22.5\n"
    server.routes[place + "refimg.fits"] = ztf_file()
    server.routes[place + "refunc.fits"] = fits_file((np.full((SIDE, SIDE), 2.0), tan(M51.ra, M51.dec, SIDE, 1.012)))
    image = images(at(server, "ztf/reference_image"), M51, bands=("g",))["M 51"]
    assert server.requests[0][1]["WHERE"] == "filtercode IN ('zg')"
    assert image.flux[0, 0, 0] * np.sqrt(image.ivar[0, 0, 0]) == pytest.approx(50, rel=1e-5) and image.time is None and image.psf_fwhm is None


def test_ztf_addresses_follow_the_rules_of_the_archive():
    """The example of the IRSA pages."""
    row = {"field": "535", "ccdid": "11", "qid": "3", "filtercode": "zr", "filefracday": "20180411467847", "imgtypecode": "o"}
    assert address_of(row, "sci")[0] == "/data/ztf/products/sci/2018/0411/467847/ztf_20180411467847_000535_zr_c11_o_q3_sciimg.fits"


# JWST ----------------------------------------------------------------------------------------------


def jwst_file(bunit="10.0*nanoJansky", filters=("F115W-CLEAR", "F444W-CLEAR")):
    """As described of DJA's thumbnails: the first filter is the primary unit, EXTVER is a word."""
    units = []
    for name in filters:
        keywords = {**tan(53.16, -27.79, SIDE, 0.05), "EXTNAME": name, "BUNIT": bunit, "ZP": 27.998}
        units += [(np.full((SIDE, SIDE), 2.0), {**keywords, "EXTVER": "SCI"}), (np.full((SIDE, SIDE), 25.0), {**keywords, "EXTVER": "WHT"})]
    return fits_file(*units)


def test_jwst_cutouts_are_calibrated_with_weights_documented_format(server):
    server.routes["/thumb"] = jwst_file()
    image = images(at(server, "jwst/image"), Target("a", 53.16, -27.79), size=4.0)["a"]
    query = server.requests[0][1]
    assert query["size"] == "2" and query["output"] == "fits_weight" and query["filters"].startswith("f090w-clear,f115w-clear")
    assert image.bands == ("F115W", "F444W") and image.unit == "uJy" and image.scale == pytest.approx(0.05)
    assert image.flux[0, 3, 3] == pytest.approx(0.02) and image.ivar[0, 3, 3] == pytest.approx(25 / 1e-4)  # 10 nJy a unit; ZP is not believed
    server.routes["/thumb"] = jwst_file("counts/s")
    with pytest.raises(ArchiveError, match=r"band F115W: the unit 'counts/s' is not nanojansky"):
        images(at(server, "jwst/image"), M51)


# SkyView -------------------------------------------------------------------------------------------


def test_skyview_gives_any_of_its_surveys_documented_format(server):
    keywords = {**tan(M51.ra, M51.dec, SIDE, 15.0), "RADESYS": "FK5"}
    server.routes["/images"] = lambda query: fits_file((np.full((SIDE, SIDE), 0.0 if "Hard" in query["Survey"] else 3.0), keywords))
    survey = at(server, "skyview/rosat", "/images")
    image = images(survey, M51, size=360.0)["M 51"]
    assert server.requests[0][1] == {
        "Position": "202.4696000,47.1952000", "Survey": "RASS-Cnt Soft", "Pixels": "8,8", "Size": "0.1000000,0.1000000",
        "Projection": "Tan", "Coordinates": "J2000", "Return": "FITS",
    }  # fmt: skip
    assert image.bands == ("soft", "hard") and image.mask[0].all() and not image.mask[1].any() and image.unit == "adu"
    assert images(survey, M51, bands=("hard",)) == {}
    one = skyview.make("Planck 857 I", scale=60.0)
    assert one.name == "skyview/planck_857_i" and one.bands == ("Planck 857 I",)
    with pytest.raises(InputError, match="at least one"):
        skyview.make([])
    server.routes["/images"] = b"<html><body>Unable to find survey</body></html>"
    with pytest.raises(ArchiveError, match=r"web page in place of data: Unable to find survey"):
        images(survey, M51)


def test_skyviews_names_are_those_it_lists_recorded_answer():
    """astroquery's record of SkyView's query form."""
    import json
    from importlib.resources import files

    record = files("astroquery.skyview.tests") / "data" / "survey_dict.json"
    if not record.is_file():
        pytest.skip("astroquery is installed without its tests' data")
    listed = {name for group in json.loads(record.read_text()).values() for name in group}
    assert {name for row in skyview.ROWS.values() for name in row.surveys.values()} <= listed


@pytest.mark.remote
@pytest.mark.parametrize("name", ["legacy/image", "panstarrs/image", "ztf/image", "ztf/reference_image", "skyview/galex", "skyview/nvss"])
def test_the_real_services(name):
    image = images(surveys.get(name), M51, size=60.0 * (surveys.get(name).scale > 1) + 20)["M 51"]
    assert image.mask.any() and urlsplit(image.provenance.query).netloc == surveys.get(name).host
