"""Light curves from catalogues of detections: ZTF's releases and NEOWISE at IRSA, ASAS-SN's Sky Patrol, over loopback in their documented formats."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from answering import Answering
from astropy.table import MaskedColumn, Table
from loopback import votable

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import LightCurve
from astrofuse_lab.surveys import asassn, curves, neowise, parquet_files, ztf_curves
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

HERE, NOWHERE = Target("here", 298.0025, 29.87147), Target("nowhere", 10.0, 5.0)


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def fetched(survey, server, targets=(HERE,), path="", **wanted):
    survey = replace(survey, url=server.url + path, timeout=2.0)
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    assert [raw.target_ids for raw in raws] == [(t.object_id,) for t in targets]
    return {k: v for raw in raws for k, v in survey.read(raw)}


# ---- ZTF ----------------------------------------------------------------------------------------------------------

HEAD = (
    "oid,expid,hjd,mjd,mag,magerr,catflags,filtercode,ra,dec,chi,sharp,filefracday,field,ccdid,qid,limitmag,magzp,magzprms,clrcoeff,clrcounc,exptime,airmass,"
    "programid\n"
)


def ztf_row(oid, mjd, mag, band="zg", flags=0, ra=298.0026, dec=29.8715):
    return f"{oid},1,{mjd + 2400000.5},{mjd},{mag},0.02,{flags},{band},{ra},{dec},0.9,0.01,20180404,680,1,1,20.5,26.2,0.03,-0.06,0.001,30,1.1,1\n"


ZTF = HEAD + "".join([
    ztf_row(2, 58300.25, 17.0, "zr", 0, 298.00261), ztf_row(1, 58200.25, 16.0), ztf_row(1, 58201.25, 16.5, flags=32768), ztf_row(1, 58202.25, 16.1, flags=2),
    ztf_row(9, 58200.25, 12.0, ra=298.0040),  # a neighbour 5 arcsec away
])  # fmt: skip


def test_ztf_documented_format(server):
    server.routes["/lc"] = lambda asked: ZTF.encode() if "298" in asked.query["POS"] else HEAD.encode()
    got = fetched(ztf_curves.CURVE, server, (HERE, NOWHERE), "/lc", radius=5.0)
    assert list(got) == ["here"]
    curve = got["here"]
    assert isinstance(curve, LightCurve) and list(curve.time) == [58200.25, 58201.25, 58202.25, 58300.25]
    assert list(curve.band) == ["g", "g", "g", "r"] and list(curve.mask) == [True, False, True, True] and curve.limit is None and curve.unit == "uJy"
    assert curve.flux[0] == pytest.approx(3631e6 * 10**-6.4) and curve.flux_err[0] == pytest.approx(curve.flux[0] * 0.02 * np.log(10) / 2.5)
    assert server.asked[0].query == {"POS": "CIRCLE 298.0025000 29.8714700 0.0013889", "BANDNAME": "g,r,i", "FORMAT": "CSV"}


def test_ztf_options_bands_and_time(server):
    server.routes["/lc"] = ZTF.encode()
    some = fetched(ztf_curves.CURVE, server, path="/lc", bands=("g",), time=(58201.0, 58300.5), options={"clean": True, "collection": "ztf_dr20"})["here"]
    assert list(some.time) == [58201.25, 58202.25] and not some.mask.any()
    assert server.asked[0].query["BANDNAME"] == "g" and server.asked[0].query["COLLECTION"] == "ztf_dr20"
    assert len(fetched(ztf_curves.CURVE, server, path="/lc", limit=2)["here"].time) == 2
    assert fetched(ztf_curves.CURVE, server, path="/lc", time=(50000.0, 50001.0)) == {}
    with pytest.raises(InputError, match="has no band 'z'"):
        fetched(ztf_curves.CURVE, server, bands=("z",))


def test_ztf_names_no_object_beyond_the_radius(server):
    server.routes["/lc"] = (HEAD + ztf_row(9, 58200.25, 12.0, ra=298.0040)).encode()
    assert fetched(ztf_curves.CURVE, server, path="/lc", radius=3.0) == {}


def test_irsas_own_words(server):
    said = b'<?xml version="1.0"?><VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">POS is malformed</INFO></RESOURCE></VOTABLE>'
    server.routes["/lc"] = (200, said, "text/xml")
    with pytest.raises(ArchiveError, match="POS is malformed"):
        fetched(ztf_curves.CURVE, server, path="/lc")
    server.routes["/lc"] = ZTF.replace("58300.25,17.0", "58300.25,bright").encode()
    with pytest.raises(ArchiveError, match="no complete ZTF light curve"):
        fetched(ztf_curves.CURVE, server, path="/lc")


# ---- NEOWISE ------------------------------------------------------------------------------------------------------


def exposures(status="OK"):
    made = Table({"ra": [298.0] * 5, "dec": [29.87] * 5, "mjd": [57000.0, 57000.1, 57000.2, 57000.3, 57000.4]})
    made["w1mpro"], made["w2mpro"] = [10.0] * 5, MaskedColumn([10.5, 10.5, 10.5, 10.5, 0.0], mask=[False] * 4 + [True])
    made["w1sigmpro"] = [0.02] * 5
    made["w2sigmpro"] = MaskedColumn([0.03, 0.03, 0.03, 0.0, 0.0], mask=[False, False, False, True, True])
    made["qual_frame"], made["qi_fact"], made["saa_sep"] = [10, 0, 10, 10, 10], [1.0] * 5, [30.0, 30.0, -2.0, 30.0, 30.0]
    made["moon_masked"], made["cc_flags"] = ["00", "00", "00", "00", "01"], ["0000", "0000", "0000", "d000", "0000"]
    return votable(made, status)


def test_neowise_documented_format(server):
    server.routes["/sync"] = (200, exposures(), "application/x-votable+xml")
    curve = fetched(neowise.CURVE, server, time=(57000.0, 57001.0))["here"]
    one, two = (curve.band == band for band in ("W1", "W2"))
    assert one.sum() == 5 and two.sum() == 4  # the last exposure measured no W2
    # Jarrett et al. 2011: 309.540 and 171.787 Jy at magnitude zero
    assert curve.flux[one][0] == pytest.approx(309.540e6 * 1e-4) and curve.flux[two][0] == pytest.approx(171.787e6 * 10**-4.2)
    assert list(curve.mask[one]) == [True, False, False, False, True] and list(curve.mask[two]) == [True, False, False, True]
    assert list(curve.limit[two]) == [False, False, False, True] and curve.flux[two][3] == 0
    assert curve.flux_err[two][3] == pytest.approx(171.787e6 * 10**-4.2 / 2)
    fields = server.asked[0].fields
    assert fields["LANG"] == b"ADQL" and b"FROM neowiser_p1bs_psd" in fields["QUERY"] and b"CIRCLE('ICRS', 298.0025000, 29.8714700, 0.0008333)" in fields["QUERY"]
    assert b"mjd BETWEEN 57000.000000 AND 57001.000000" in fields["QUERY"]


def test_neowise_is_never_silently_short(server):
    server.routes["/sync"] = (200, exposures("OVERFLOW"), "application/x-votable+xml")
    with pytest.raises(ArchiveError, match="more than 5 exposures"):
        fetched(neowise.CURVE, server)
    server.routes["/sync"] = (200, votable(Table.read(io.BytesIO(exposures()), format="votable")[:0]), "application/x-votable+xml")
    assert fetched(neowise.CURVE, server) == {}


# ---- ASAS-SN ------------------------------------------------------------------------------------------------------


def parquet(**columns):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


STARS = parquet(asas_sn_id=pa.array([71, 70]), ra_deg=[298.0040, 298.0026], dec_deg=[29.8715, 29.8715])
BLOCK = parquet(
    # the first two rows are those of the client's own documentation
    asas_sn_id=pa.array([70, 70, 70, 71, 70]), jd=[2458512.5, 2459338.5, 2459338.75, 2459338.5, 2457000.5], flux=[1.723106, 2.081630, 0.01, 99.0, 2.0],
    flux_err=[0.037263, 0.044157, 0.04, 1.0, 0.1], mag=[15.809285, 15.604057, 17.5, 11.0, 15.6], mag_err=[0.023506, 0.023057, 99.99, 0.01, 0.05],
    limit=[18.224440, 18.040153, 17.5, 17.0, 17.0], fwhm=[1.44] * 5, image_id=["bG038905"] * 5, camera=["bG"] * 5, quality=["G", "B", "G", "G", "G"],
    phot_filter=["g", "g", "g", "g", "V"],
)  # fmt: skip


def routes(server, stars=STARS):
    server.routes["/lookup_cone/*"] = (200, stars, "application/octet-stream")
    server.routes["/get_block_servers"] = (200, b'["127.0.0.1"]', "application/json")
    server.routes["/get_block/*"] = (200, BLOCK, "application/octet-stream")


def test_asassn_documented_format(server):
    routes(server)
    curve = fetched(asassn.CURVE, server)["here"]
    assert list(curve.time) == [57000.0, 58512.0, 59338.0, 59338.25] and list(curve.band) == ["V", "g", "g", "g"]
    assert curve.flux[1] == pytest.approx(1723.106) and curve.flux_err[1] == pytest.approx(37.263)
    assert curve.flux[1] == pytest.approx(3631e6 * 10 ** (-0.4 * 15.809285), rel=1e-3)  # the scale of the catalogue is AB's
    assert list(curve.mask) == [True, True, False, True] and list(curve.limit) == [False, False, False, True]
    assert curve.flux[3] == 0 and curve.flux_err[3] == pytest.approx(3631e6 * 10**-7.0 / 5)
    paths = server.paths()
    assert paths[0] == "/lookup_cone/radius0.0008333_ra298.0025000_dec29.8714700" and paths[1] == "/get_block_servers"
    assert paths[2].startswith("/get_block/query_hash-") and paths[2].endswith("-block_idx-0-catalog-master_list") and len(paths) == 3
    assert b'"download": true' in server.asked[0].body


def test_asassn_without_a_star_asks_no_photometry(server):
    routes(server, parquet(asas_sn_id=pa.array([], pa.int64()), ra_deg=pa.array([], pa.float64()), dec_deg=pa.array([], pa.float64())))
    assert fetched(asassn.CURVE, server) == {} and len(server.asked) == 1


def test_asassn_asks_no_machine_of_strangers(server):
    routes(server)
    server.routes["/get_block_servers"] = (200, b'["evil.example.org"]', "application/json")
    with pytest.raises(ArchiveError, match="not one of the survey's"):
        fetched(asassn.CURVE, server)


# ---- shared -------------------------------------------------------------------------------------------------------


def test_what_is_no_number_is_masked():
    bad = curves.Epochs(np.array([2.0, 1.0, np.nan]), np.array([1.0, np.inf, 1.0]), np.array([np.nan, 1.0, 1.0]), np.array(["g", "r", "g"]), np.ones(3, dtype=bool))
    curve = curves.made(bad, {}, None)
    assert list(curve.time) == [1.0, 2.0] and not curve.mask.any() and np.isfinite(curve.flux).all() and np.isfinite(curve.flux_err).all()
    with pytest.raises(ValueError, match="unequal"):
        curves.made(bad._replace(flux=np.zeros(2)), {}, None)


def test_distances_agree_with_astropy():
    from astropy.coordinates import SkyCoord

    ra, dec = np.array([359.9999, 10.0, 200.0]), np.array([89.5, -5.0, 0.0])
    ours = curves.distance(ra, dec, (0.0001, 89.5))
    assert ours == pytest.approx(SkyCoord(0.0001, 89.5, unit="deg").separation(SkyCoord(ra, dec, unit="deg")).arcsec, rel=1e-9)


def test_parquet_that_claims_too_much_or_is_cut_is_refused(monkeypatch):
    for content in (BLOCK[:-9], b"PAR1" + b"\x00" * 40 + b"PAR1", BLOCK[:300] + b"\xff" * 300 + BLOCK[600:]):
        with pytest.raises(ArchiveError, match="asassn"):
            parquet_files.table(content, "asassn/light_curve", asassn.NEEDED, "t")
    with pytest.raises(ArchiveError, match="claims"):
        parquet_files.table(BLOCK, "asassn/light_curve", target="t", largest=100)
    with pytest.raises(ArchiveError, match="lacks the columns nothing"):
        parquet_files.table(BLOCK, "asassn/light_curve", ("nothing",), "t")


@pytest.mark.parametrize("survey", [ztf_curves.CURVE, neowise.CURVE, asassn.CURVE], ids=lambda s: s.name)
def test_cut_answers_are_archive_errors(survey):
    whole = {"ztf/light_curve": ZTF.encode(), "neowise/light_curve": exposures(), "asassn/light_curve": STARS + BLOCK}[survey.name]
    lengths = {"lengths": [len(STARS), len(BLOCK)]} if survey is asassn.CURVE else {}
    for cut in range(10, len(whole) - 40, max(1, len(whole) // 40)):
        try:
            list(survey.read(Raw(survey.name, ("t",), whole[:cut], "", extra={"at": [298.0025, 29.87147], "radius": 5.0, **lengths})))
        except ArchiveError as error:
            assert error.survey == survey.name and error.target == "t"


@pytest.mark.remote
@pytest.mark.parametrize("survey", [ztf_curves.CURVE, neowise.CURVE, asassn.CURVE], ids=lambda s: s.name)
def test_live(survey):
    (raw,) = survey.query(Targets([Target("RZ Vul", 298.0025, 29.87147)]), Ask(radius=5.0))
    assert list(survey.read(raw))
