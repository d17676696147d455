"""Light curves of Kepler, K2 and TESS: MAST on loopback, files in the missions' documented format."""

import io
import json
from dataclasses import replace
from importlib.resources import files
from importlib.util import find_spec

import numpy as np
import pytest
from answering import Answering
from astropy.io import fits

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.surveys import formats, space_curves
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

STAR = Target("star", 285.679422, 50.241306)
TESS, KEPLER = space_curves.ROWS["tess/light_curve"], space_curves.ROWS["kepler/light_curve"]
DOWNLOAD = "/api/v0.1/Download/file"


def curve_file(start, level=1000.0, mission="TESS", quality=(0, 0, 128, 0, 0), flux=None):
    """A light-curve file as EXP-TESS-ARC-ICD-TM-0014 and the Kepler Archive Manual describe it; one cadence has no time, as in gaps."""
    time = start + np.array([0.0, 0.02, 0.04, 0.06, np.nan])
    values = level * np.array([1.0, 1.01, 5.0, 0.99, np.nan]) if flux is None else np.asarray(flux)
    flag = "SAP_QUALITY" if mission == "Kepler" else "QUALITY"
    table = fits.BinTableHDU.from_columns([
        fits.Column("TIME", "D", unit="BJD - 2457000, days", array=time), fits.Column("CADENCENO", "J", array=np.arange(5)),
        fits.Column("SAP_FLUX", "E", unit="e-/s", array=values * 0.9), fits.Column("SAP_FLUX_ERR", "E", unit="e-/s", array=values * 0.009),
        fits.Column("PDCSAP_FLUX", "E", unit="e-/s", array=values), fits.Column("PDCSAP_FLUX_ERR", "E", unit="e-/s", array=np.abs(values) * 0.01),
        fits.Column(flag, "J", array=np.array(quality)),
    ], name="LIGHTCURVE")  # fmt: skip
    table.header["BJDREFI"], table.header["BJDREFF"], table.header["TIMESYS"] = 2454833 if mission == "Kepler" else 2457000, 0.0, "TDB"
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    return file.getvalue()


def observation(obsid, name, away, first, last, exposure=120.0):
    return {"obsid": obsid, "target_name": name, "distance": away, "t_min": first, "t_max": last, "t_exptime": exposure, "obs_collection": "TESS"}


def product(obsid, name):
    return {"obsID": obsid, "productFilename": name, "dataURI": f"mast:TESS/product/{name}", "productSubGroupDescription": "LC"}


SEEN = [
    observation(1, "159717514", 0.1, 58324.8, 58352.7), observation(2, "159717514", 0.1, 59000.0, 59027.0), observation(3, "777", 2.0, 58324.8, 58352.7),
]  # fmt: skip
FILES = [
    "tess2018206045859-s0001-0000000159717514-0120-s_lc.fits", "tess2020186164531-s0027-0000000159717514-0189-s_lc.fits",
    "tess2020186164531-s0027-0000000159717514-0189-a_fast-lc.fits", "tess2018206045859-s0001-0000000159717514-0120-s_tp.fits", "hlsp_qlp_tess_s0001_llc.txt",
]  # fmt: skip


@pytest.fixture
def mast():
    server = Answering()
    server.busy = 0

    def invoke(asked):
        given = json.loads(asked.fields["request"])
        if server.busy:
            server.busy -= 1
            return json.dumps({"status": "EXECUTING", "data": [], "msg": ""}).encode()
        if given["service"] == "Mast.Caom.Filtered.Position":
            near = abs(float(given["params"]["position"].split(",")[0]) - STAR.ra) < 0.01
            rows = [row for row in SEEN if near]
        else:
            ids = given["params"]["obsid"].split(",")
            rows = [product(1 if "s0001" in name else 2, name) for name in FILES if ("1" if "s0001" in name else "2") in ids]
        return json.dumps({"status": "COMPLETE", "msg": "", "data": rows, "paging": {"rowsTotal": len(rows)}}).encode()

    server.routes["/api/v0/invoke"] = invoke
    server.routes[DOWNLOAD] = lambda asked: curve_file(1325.0 if "s0001" in asked.query["uri"] else 2036.0, 1000.0 if "s0001" in asked.query["uri"] else 1500.0)
    yield server
    server.close()


def fetched(survey, server, targets=(STAR,), **wanted):
    raws = list(replace(survey, url=server.url, timeout=2.0).query(Targets(targets), Ask(**wanted)))
    return raws, {k: v for raw in raws for k, v in survey.read(raw)}


def test_tess_documented_format(mast):
    raws, got = fetched(TESS, mast, (STAR, Target("nothing", 10.0, 20.0)))
    assert list(got) == ["star"] and [raw.target_ids[0] for raw in raws] == ["star", "nothing"]
    curve = got["star"]
    # BTJD 0 is BJD 2457000; times are dynamical, the gap without a time is no epoch
    assert curve.clock == "BJD_TDB" and curve.time[0] == pytest.approx(1325.0 + 56999.5) and len(curve.time) == 8 and (np.diff(curve.time) > 0).all()
    # each sector has its own level; the spoilt cadence (128, manual exclude) counts in neither
    assert curve.unit == "relative" and curve.flux[[0, 4]] == pytest.approx(1.0) and list(curve.mask) == [True, True, False, True] * 2
    assert curve.flux_err[0] == pytest.approx(0.01) and set(curve.band) == {"TESS"}
    uris = [a.query["uri"] for a in mast.asked if a.path == DOWNLOAD]
    assert uris == [f"mast:TESS/product/{name}" for name in FILES[:2]]
    first = json.loads(mast.asked[0].fields["request"])
    assert first["params"]["position"] == "285.6794220, 50.2413060, 0.0008333"
    assert {"paramName": "obs_collection", "values": ["TESS"]} in first["params"]["filters"]
    assert "2 of 2 short-cadence files" in raws[0].query


def test_options_bound_the_curve(mast):
    raws, got = fetched(TESS, mast, options={"segments": 1, "flux": "sap", "normalise": False})
    assert "1 of 2 short-cadence files" in raws[0].query and got["star"].unit == "electron / s"  # said where it is short of what there is
    assert len(got["star"].time) == 4 and got["star"].flux[0] == pytest.approx(900.0)
    _, got = fetched(TESS, mast, time=(59000.0, 59100.0))
    assert got["star"].time[0] == pytest.approx(2036.0 + 56999.5)
    assert [a.query["uri"] for a in mast.asked if a.path == DOWNLOAD][1:] == [f"mast:TESS/product/{FILES[1]}"]
    raws, _ = fetched(TESS, mast, options={"cadence": "fast"})
    assert FILES[2] in raws[0].query
    assert len(fetched(TESS, mast, limit=3)[1]["star"].time) == 3
    for options, words in (({"flux": "raw"}, "pdcsap, sap"), ({"cadence": "daily"}, "long, short, fast"), ({"segments": 0}, "at least 1")):
        with pytest.raises(InputError, match=words):
            fetched(TESS, mast, options=options)


def test_kepler_documented_format():
    content = curve_file(120.5, 50.0, "Kepler", (0, 1 << 20, 128, 0, 0))
    ((_, curve),) = KEPLER.read(Raw(KEPLER.name, ("t",), content, "", extra={"lengths": [len(content)], "normalise": False}))
    assert curve.time[0] == pytest.approx(120.5 + 54832.5) and list(curve.mask) == [True, False, True, True]  # thruster firing is bad, a cosmic ray in the aperture not
    ((_, dark),) = KEPLER.read(Raw(KEPLER.name, ("t",), curve_file(1.0, flux=[-1.0] * 5, mission="Kepler"), "", extra={"lengths": [len(content)]}))
    assert not dark.mask.any()  # no median to divide by


def test_cadences_are_told_by_name():
    seen = [observation(1, "a", 0, 0, 1, 600.0), observation(2, "a", 0, 0, 1, 120.0)]
    named = {
        "kplr011904151-2009131105131_llc.fits": "long", "kplr011904151-2009166044711_slc.fits": "short", "ktwo201367065-c01_llc.fits": "long",
        "tess2018206045859-s0001-0000000159717514-0120-s_lc.fits": "short", "hlsp_qlp_tess_ffi_s0001-0000000159717514_tess_v01_lc.fits": "",
        "tess2018206045859-s0001-0000000159717514-0120-s_tp.fits": "",
    }  # fmt: skip
    assert {name: space_curves.cadence_of(product(2, name), seen) for name in named} == named
    assert space_curves.cadence_of(product(1, "tess2020186164531-s0027-0000000159717514-0189-s_lc.fits"), seen) == "long"


def test_a_query_that_takes_long_is_waited_for(mast, monkeypatch):
    monkeypatch.setattr(space_curves, "WAIT", 0.01)
    mast.busy = 3
    assert "star" in fetched(TESS, mast)[1]
    mast.busy = 1000
    with pytest.raises(ArchiveError, match="EXECUTING") as caught:
        fetched(TESS, mast)
    assert caught.value.transient


def test_masts_own_words_and_cut_lists(mast):
    mast.routes["/api/v0/invoke"] = b'{"status": "ERROR", "msg": "no such service", "data": []}'
    with pytest.raises(ArchiveError, match="no such service"):
        fetched(TESS, mast)
    mast.routes["/api/v0/invoke"] = b'{"status": "COMPLETE", "data": [], "paging": {"rowsTotal": 9}}'
    with pytest.raises(ArchiveError, match="has 9 rows and sent 0"):
        fetched(TESS, mast)


def test_lists_of_mast_are_read_recorded_answer():
    """The two lists in the shape in which MAST really sends them (for Hubble: none of them is a light curve)."""
    folder = files("astroquery.mast.tests") / "data"
    if not (folder / "caom.json").is_file():
        pytest.skip("this astroquery has no recorded answers of MAST")
    observations, products = (formats.json_value((folder / f"{name}.json").read_bytes(), "t", kind=dict) for name in ("caom", "products"))
    assert observations["status"] == products["status"] == "COMPLETE"
    rows = space_curves.of_nearest(observations["data"], 1e4)
    assert rows and len({row["target_name"] for row in rows}) == 1 and all(isinstance(row["obsid"], int) for row in rows)
    assert {space_curves.cadence_of(row, rows) for row in products["data"]} == {""}
    assert all(row["dataURI"].startswith("mast:") for row in products["data"] if row["dataURI"])


def test_the_missions_flags_are_those_of_lightkurve():
    """1130799 stands in lightkurve's documentation; where a user has installed it, both masks are compared."""
    assert space_curves.KEPLER_BAD == 1130799
    if find_spec("lightkurve"):
        from lightkurve.utils import KeplerQualityFlags, TessQualityFlags

        assert KeplerQualityFlags.DEFAULT_BITMASK == space_curves.KEPLER_BAD and TessQualityFlags.DEFAULT_BITMASK == space_curves.TESS_BAD


@pytest.mark.skipif(find_spec("lightkurve") is None, reason="lightkurve is not installed")
@pytest.mark.parametrize("flux", ["pdcsap", "sap"])
@pytest.mark.parametrize("mission", ["TESS", "Kepler"])
def test_the_peer_lightkurve_reads_the_same(mission, flux, tmp_path):
    from lightkurve.io.kepler import read_kepler_lightcurve
    from lightkurve.io.tess import read_tess_lightcurve

    content = curve_file(1325.0, mission=mission)
    (tmp_path / "x_lc.fits").write_bytes(content)
    peer = {"TESS": read_tess_lightcurve, "Kepler": read_kepler_lightcurve}[mission](str(tmp_path / "x_lc.fits"), flux_column=f"{flux}_flux")
    survey = {"TESS": TESS, "Kepler": KEPLER}[mission]
    ((_, ours),) = survey.read(Raw(survey.name, ("t",), content, "", extra={"lengths": [len(content)], "flux": flux, "normalise": False}))
    assert np.array_equal(peer.time.tdb.mjd, ours.time[ours.mask]) and np.array_equal(peer.flux.value, ours.flux[ours.mask])
    assert np.array_equal(peer.flux_err.value, ours.flux_err[ours.mask])


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_archive_errors():
    whole = curve_file(1.0)
    for cut in range(0, len(whole) - 2880 + 100, 499):  # in the last block the rows end and padding follows
        with pytest.raises(ArchiveError):
            list(TESS.read(Raw(TESS.name, ("t",), whole[:cut], "", extra={"lengths": [cut]})))
    rng = np.random.default_rng(1)
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(whole), 12):
            data[place] = int(rng.integers(256))
        try:
            for _, curve in TESS.read(Raw(TESS.name, ("t",), bytes(data), "", extra={"lengths": [len(whole)]})):
                assert np.isfinite(curve.flux).all() and len(curve.time) <= 5
        except ArchiveError as error:
            assert error.target == "t"


@pytest.mark.remote
@pytest.mark.parametrize("survey", space_curves.ROWS.values(), ids=space_curves.ROWS)
def test_live(survey):
    target = {"k2/light_curve": Target("K2-3", 172.334949, -1.454787)}.get(survey.name, STAR)
    (raw,) = survey.query(Targets([target]), Ask(radius=10.0, options={"segments": 1}))
    assert list(survey.read(raw))
