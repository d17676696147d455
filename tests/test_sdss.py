"""SDSS and APOGEE: SkyServer and the file server on loopback, files written here in the documented layouts."""

import io
import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from answering import Answering
from astropy.io import fits

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import SPECTRUM_UNIT
from astrofuse_lab.surveys import apogee, formats, sdss, skyserver
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

SQL = "/dr17/SkyServerWS/SearchTools/SqlSearch"
HERE, THERE, NOWHERE = Target("here", 184.9511, -0.8754), Target("there", 2.0234, 14.8398), Target("nowhere", 10.0, 80.0)
SPECTRA = b"#Table1\ntarget_row,distance,specObjID,run2d,plate,mjd,fiberID\n0,0.02,1,26,266,51602,1\n0,0.001,320932083365079040,v5_13_2,3586,55181,17\n1,0.003,2,103,1960,53289,22\n"


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def at(survey, server):
    return replace(survey, url=server.url, **({"files": server.url} if hasattr(survey, "files") else {}))


def fetched(survey, targets, **wanted):
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(t.object_id for t in targets)  # each in exactly one answer
    return {k: v for raw in raws for k, v in survey.read(raw)}


def written(*units):
    file = io.BytesIO()
    fits.HDUList(list(units)).writeto(file)
    return file.getvalue()


def spec_file(n=30):
    """HDU 1 of a spec file: COADD."""
    loglam = 3.58 + 1e-4 * np.arange(n)
    columns = {"flux": np.full(n, 2.0), "loglam": loglam, "ivar": np.full(n, 4.0), "and_mask": (np.arange(n) == 3) * 1, "wdisp": np.full(n, 1.1)}
    return written(fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column(k, "J" if k == "and_mask" else "E", array=v) for k, v in columns.items()], name="COADD"))


def test_the_nearest_spectrum_of_each_target(server):
    server.routes = {SQL: (200, SPECTRA, "text/plain"), "/dr17/*": spec_file()}
    got = fetched(at(sdss.SPECTRUM, server), [HERE, THERE, NOWHERE], radius=3.0)
    assert sorted(got) == ["here", "there"]
    here = got["here"]
    assert here.time == 55181 and here.unit == SPECTRUM_UNIT and here.wavelength[0] == pytest.approx(10**3.58) and here.ivar[0] == 4
    assert not here.mask[3] and here.mask.sum() == 29
    assert here.lsf_sigma[10] == pytest.approx(1.1 * (here.wavelength[11] - here.wavelength[10]), rel=1e-2)  # loglam is float32
    assert server.paths("/dr17/") == [  # one query for all, one file a target; BOSS and SDSS files lie in different trees
        SQL, "/dr17/eboss/spectro/redux/v5_13_2/spectra/lite/3586/spec-3586-55181-0017.fits",
        "/dr17/sdss/spectro/redux/103/spectra/lite/1960/spec-1960-53289-0022.fits",
    ]  # fmt: skip
    asked = server.asked[0]
    assert asked.method == "GET" and asked.query["format"] == "csv"
    assert re.search(r"VALUES \(0,184.9511000,-0.8754000\),\(1,2.0234000,14.8398000\),\(2,10.0000000,80.0000000\)\)", asked.query["cmd"])
    assert "dbo.fGetNearbySpecObjEq(t.ra,t.dec,0.0500000)" in asked.query["cmd"]  # arcmin


@pytest.mark.parametrize(("survey", "epoch"), [(sdss.SPECTRUM, 2004.0), (sdss.TABLE, 2004.0), (apogee.SPECTRUM, 2000.0)], ids=lambda s: getattr(s, "name", ""))
def test_proper_motions_are_followed_to_the_archives_epoch(server, survey, epoch):
    server.routes = {SQL: b"#Table1\n" + ",".join(["target_row", "distance", "objID", *sdss.FOUND[2:], *apogee.FOUND[2:]]).encode() + b"\n"}
    assert len(list(at(survey, server).query(Targets([Target("fast", 100.0, 0.0, 2016.0, 0.0, 10_000.0)]), Ask()))) == 1
    assert f"(0,100.0000000,{(epoch - 2016) * 10 / 3600:.7f})" in server.asked[0].query["cmd"]


def test_dr18_lies_elsewhere(server):
    server.routes = {SQL.replace("17", "18"): SPECTRA, "/dr18/spectro/sdss/redux/*": spec_file()}
    got = fetched(at(sdss.SPECTRUM, server), [HERE, THERE], release="DR18")
    assert sorted(got) == ["here", "there"] and got["here"].provenance.release == "DR18"


@pytest.mark.parametrize("survey", [sdss.SPECTRUM, sdss.TABLE, apogee.SPECTRUM], ids=lambda s: s.name)
@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((500, b'{"message": "Query timed out"}', "application/json"), "Query timed out"),
        ((200, b'{"message": "Incorrect syntax near dec"}', "application/json"), "Incorrect syntax"),
        (b"", "empty"), (b"#Table1\nno,such\n1,2\n", "lacks the columns"), (b"#Table1\ntarget_row,distance\n1", "cells|lacks"),
    ],
)  # fmt: skip
def test_errors_in_skyservers_own_words(server, survey, said, words):
    server.routes = {SQL: said}
    with pytest.raises(ArchiveError, match=words) as caught:
        fetched(at(survey, server), [HERE])
    assert caught.value.survey == survey.name


def test_a_row_about_no_target_and_names_that_lead_elsewhere_are_refused(server):
    survey = at(sdss.SPECTRUM, server)
    for rows, words in ((b"7,0.1,1,26,1,1,1", "row 7 of 1"), (b"0,0.1,1,../../etc,1,1,1", "run2d")):
        server.routes = {SQL: SPECTRA.split(b"\n0")[0] + b"\n" + rows + b"\n"}
        with pytest.raises(ArchiveError, match=words):
            fetched(survey, [HERE])
    with pytest.raises(ArchiveError, match="cut the answer"):
        skyserver.LIMIT, kept = 3, skyserver.LIMIT
        try:
            skyserver.rows("sdss/spectrum", SPECTRA, ())
        finally:
            skyserver.LIMIT = kept


def test_a_missing_file_names_the_target(server):
    server.routes = {SQL: SPECTRA}
    with pytest.raises(ArchiveError, match="404") as caught:
        fetched(at(sdss.SPECTRUM, server), [HERE, THERE])
    assert caught.value.target == "here"


def photo_rows():
    header = ["target_row", "distance", *sdss.PHOTO, *(f"spec_{n}" for n in sdss.SPEC)]
    near = {**dict.fromkeys(header, "18.5"), "target_row": "0", "distance": "0.01", "objID": "1237648720142401611", "type": "3", "petroRad_r": "-9999", "spec_z": "0.07",
            "spec_class": "GALAXY", "spec_subClass": "", "spec_specObjID": "320932083365079040"}  # fmt: skip
    far = {**near, "distance": "0.04", "objID": "5", "spec_z": "null", "spec_class": "null"}
    alone = {**far, "target_row": "1", "type": "6"}
    return "#Table1\n" + ",".join(header) + "\n" + "".join(",".join(row[h] for h in header) + "\n" for row in (far, near, alone))


def test_the_table_has_the_nearest_object_with_roles(server):
    server.routes = {SQL: photo_rows().encode()}
    got = fetched(at(sdss.TABLE, server), [HERE, THERE, NOWHERE], radius=3.0)
    assert sorted(got) == ["here", "there"] and len(server.asked) == 1
    row = got["here"]
    assert row.values["objID"] == "1237648720142401611" and row.values["psfMag_u"] == 18.5 and row.values["petroRad_r"] is None
    assert row.values["match_distance"] == pytest.approx(0.6) and row.values["match_count"] == 2 and row.values["type"] == "GALAXY"
    assert row.values["spec_z"] == 0.07 and row.values["spec_class"] == "GALAXY" and row.values["spec_subClass"] is None
    assert got["there"].values["spec_class"] is None and got["there"].values["type"] == "STAR"
    assert row.roles["spec_z"] == row.roles["spec_class"] == "target" and row.roles["objID"] == "id" and "psfMag_u" not in row.roles
    assert row.units["psfMag_u"] == "mag" and row.units["match_distance"] == "arcsec"
    assert "fGetNearbyObjEq" in server.asked[0].query["cmd"] and "LEFT JOIN SpecObj AS s ON s.bestObjID=p.objID" in server.asked[0].query["cmd"]


def test_columns_of_sdss_exist_in_the_lists_that_astroquery_ships_recorded_answer():
    pytest.importorskip("astroquery.sdss")
    for table, columns in (("PhotoObjAll", sdss.PHOTO), ("SpecObjAll", sdss.SPEC)):
        path = files("astroquery.sdss") / "data" / f"{table}_dr12.json"
        if not path.is_file():
            pytest.skip("this astroquery has no list of SDSS columns")
        known = {row["name"]: row["unit"] for row in formats.json_value(path.read_bytes(), "sdss")[0]["Rows"]}
        assert set(columns) <= set(known), set(columns) - set(known)
        for name, (unit, _) in columns.items():
            assert {"km / s": "km/s", "d": "days"}.get(unit, unit) == known[name] or known[name] == "", name


def test_skyserver_csv_is_read_recorded_answer():
    path = files("astroquery.sdss.tests") / "data" / "xid_sp.txt"
    if not path.is_file():
        pytest.skip("this astroquery has no recorded answer of SkyServer")
    rows = skyserver.rows("sdss/spectrum", path.read_bytes(), ("ra", "dec", "plate", "mjd", "fiberID", "run2d"))
    assert rows[0]["plate"] == "751" and rows[0]["objid"] == "1237652943176138868"
    assert sdss.SPECTRUM.address(rows[0], "DR17").endswith("/dr17/sdss/spectro/redux/26/spectra/lite/0751/spec-0751-52251-0160.fits")


STARS = (
    b"#Table1\ntarget_row,distance,apogee_id,telescope,field,snr\n0,0.0021,2M00000002+7417074,apo25m,120+12,50\n0,0.0022,2M00000002+7417074,apo25m,N7789,223.5\n"
    b"1,0.001,2M00000317+5821383,lco25m,116-04,20\n"
)


def apstar(rows=3, n=40):
    flux, error, mask = np.ones((rows, n)), np.full((rows, n), 0.1), np.zeros((rows, n), dtype=np.int32)
    flux[0], mask[0, 3], mask[0, 4] = 5.0, 1 << 12, 1 << 13  # a sky line, a telluric line
    head = fits.Header({"CRVAL1": 4.179, "CDELT1": 6e-6, "CTYPE1": "LOG-LINEAR", "BUNIT": "Flux (10^-17 erg/s/cm^2/Ang)"})
    return written(fits.PrimaryHDU(), fits.ImageHDU(flux, head), fits.ImageHDU(error, head), fits.ImageHDU(mask, head))


def test_apogee_the_best_combined_spectrum(server):
    server.routes = {SQL: STARS, "/dr17/apogee/*": apstar()}
    got = fetched(at(apogee.SPECTRUM, server), [HERE, THERE, NOWHERE], radius=2.0)
    assert server.paths("/dr17/apogee") == [  # the one with the best signal; asStar in the south
        "/dr17/apogee/spectro/redux/dr17/stars/apo25m/N7789/apStar-dr17-2M00000002+7417074.fits",
        "/dr17/apogee/spectro/redux/dr17/stars/lco25m/116-04/asStar-dr17-2M00000317+5821383.fits",
    ]
    here = got["here"]
    assert here.flux == pytest.approx(5.0) and here.unit == SPECTRUM_UNIT and here.ivar[0] == pytest.approx(100)
    assert here.wavelength == pytest.approx(10 ** (4.179 + 6e-6 * np.arange(40))) and list(np.flatnonzero(~here.mask)) == [3]
    assert "nowhere" not in got and "fGetNearbyApogeeStarEq" in server.asked[0].query["cmd"]


@pytest.mark.parametrize("content", [apstar()[:9000], written(fits.PrimaryHDU(), fits.ImageHDU(np.ones(3)))], ids=["cut", "short"])
def test_apogee_damaged_files(content):
    with pytest.raises(ArchiveError, match="apogee/spectrum, target t"):
        list(apogee.SPECTRUM.read(Raw("apogee/spectrum", ("t",), content, "")))


@pytest.mark.remote
@pytest.mark.parametrize(
    ("survey", "target"), [(sdss.SPECTRUM, Target("3C 273", 187.27792, 2.05239)), (sdss.TABLE, HERE), (apogee.SPECTRUM, Target("star", 0.000103, 74.285408))],
    ids=lambda s: getattr(s, "name", ""),
)  # fmt: skip
def test_live(survey, target):
    assert fetched(survey, [target], radius=5.0)
