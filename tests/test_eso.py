"""ESO and Keck through TAP on loopback, an ESO data product written here to the standard."""

import io
from dataclasses import replace

import numpy as np
import pytest
from answering import Answering
from astropy.io import fits
from astropy.table import Table
from loopback import votable

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import SPECTRUM_UNIT
from astrofuse_lab.surveys import eso, koa
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

HERE, THERE, NOWHERE = Target("here", 253.1, -40.2), Target("there", 10.0, 5.0), Target("nowhere", 100.0, 5.0)


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def obscore(rows, status="OK"):
    columns = list(zip(*rows, strict=True)) or [[], [], [], []]
    made = Table({"dp_id": np.array(columns[0], dtype="U40"), "s_ra": np.array(columns[1], dtype=float), "s_dec": np.array(columns[2], dtype=float)})
    made["snr"], made["obs_collection"] = np.array(columns[3], dtype=float), np.full(len(made), "UVES")
    made["t_min"], made["t_max"] = np.full(len(made), 55000.0), np.full(len(made), 55000.1)
    return (200, votable(made, status), "application/x-votable+xml")


FOUND = [("ADP.2020-06-01T10:00:00.001", 253.1, -40.2, 10.0), ("ADP.2020-06-01T10:00:00.002", 253.1002, -40.2, 80.0), ("ADP.2020-06-01T10:00:00.003", 253.11, -40.2, 999.0)]


def product():
    primary = fits.PrimaryHDU()
    primary.header.update({"PRODCATG": "SCIENCE.SPECTRUM", "SPEC_RES": 42000.0, "MJD-OBS": 55000.0})
    n = 20
    unit = "10**(-16)erg.cm**(-2).s**(-1).angstrom**(-1)"
    table = fits.BinTableHDU.from_columns([
        fits.Column("WAVE", f"{n}D", unit="Angstrom", array=[np.linspace(5000, 5001.9, n)]), fits.Column("FLUX", f"{n}E", unit=unit, array=[np.full(n, 2.0)]),
        fits.Column("ERR", f"{n}E", unit=unit, array=[np.full(n, 0.5)]),
    ])  # fmt: skip
    table.header.update({"TUCD1": "em.wl;obs.atmos", "TUTYP1": "Spectrum.Data.SpectralAxis.Value", "TUTYP2": "Spectrum.Data.FluxAxis.Value",
                         "TUTYP3": "Spectrum.Data.FluxAxis.Accuracy.StatError", "TMID": 55000.05})  # fmt: skip
    file = io.BytesIO()
    fits.HDUList([primary, table]).writeto(file)
    return file.getvalue()


def fetched(survey, targets, **wanted):
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(t.object_id for t in targets)
    return {k: v for raw in raws for k, v in survey.read(raw)}


def test_eso_the_best_spectrum_within_the_radius(server):
    server.routes = {"/tap_obs/sync": obscore(FOUND), "/file/*": (200, product(), "application/fits")}
    survey = replace(eso.SPECTRUM, url=server.url + "/tap_obs", files=server.url + "/file/")
    got = fetched(survey, [HERE, THERE], radius=2.0, options={"collection": "UVES"}, time=(54000.0, 56000.0))
    assert list(got) == ["here"] and server.paths() == ["/tap_obs/sync", "/file/ADP.2020-06-01T10:00:00.002"]
    here = got["here"]
    assert here.wavelength[0] == pytest.approx(5001.394, abs=0.01) and here.unit == SPECTRUM_UNIT and here.flux == pytest.approx(20.0)  # air to vacuum
    assert here.ivar == pytest.approx(1 / 25) and here.time == 55000.05 and here.lsf_sigma[0] == pytest.approx(5001.394 / 42000 / 2.3548, rel=1e-4)
    adql = server.asked[0].fields["QUERY"].decode()
    for part in ("FROM ivoa.ObsCore", "c.dataproduct_type = 'spectrum'", "c.obs_collection = 'UVES'", "c.obs_release_date <= '20", "c.t_max >= 54000.0", "c.t_min <= 56000.0"):
        assert part in adql
    assert "UPLOAD" not in server.asked[0].fields and "CONTAINS" not in adql


def test_eso_refuses_other_collections_and_files_elsewhere(server):
    survey = replace(eso.SPECTRUM, url=server.url + "/tap_obs", files=server.url + "/file/")
    with pytest.raises(InputError, match="no collection 'MUSE'"):
        fetched(survey, [HERE], options={"collection": "MUSE"})
    server.routes = {"/tap_obs/sync": obscore([("../../login?x=", 253.1, -40.2, 1.0)])}
    with pytest.raises(ArchiveError, match="dp_id"):
        fetched(survey, [HERE])


def test_eso_overflow_is_loud_and_refusals_are_in_its_own_words(server):
    survey = replace(eso.SPECTRUM, url=server.url + "/tap_obs", files=server.url + "/file/")
    server.routes = {"/tap_obs/sync": obscore(FOUND, "OVERFLOW")}
    with pytest.raises(ArchiveError, match="OVERFLOW"):
        fetched(survey, [HERE, THERE])
    assert len(server.asked) == 2  # both, then one alone
    server.routes = {"/tap_obs/sync": obscore(FOUND), "/file/*": (401, b"Access denied to proprietary data", "text/plain")}
    with pytest.raises(ArchiveError, match="Access denied") as caught:
        fetched(survey, [HERE])
    assert caught.value.target == "here"


def frames(rows):
    made = Table({"koaid": [f"HI.2010010{i}.1.fits" for i in range(len(rows))], "ra": [r[0] for r in rows], "dec": [r[1] for r in rows], "elaptime": [r[2] for r in rows]})
    for name in ("targname", "koaimtyp", "date_obs", "progid", "progpi", "semester"):
        made[name] = ["x"] * len(rows)
    return (200, votable(made), "application/x-votable+xml")


def test_koa_the_longest_frame_and_how_many(server):
    server.routes = {"/TAP/sync": frames([(253.1, -40.2, 30.0), (253.1001, -40.2, 900.0), (253.2, -40.2, 5000.0)])}
    survey = replace(koa.ROWS["koa/hires"], url=server.url + "/TAP")
    row = fetched(survey, [HERE], radius=5.0)["here"]
    assert row.values["koaid"] == "HI.20100101.1.fits" and row.values["frames"] == 2 and row.values["total_elaptime"] == 930 and row.units["total_elaptime"] == "s"
    assert set(row.roles) == set(row.values)  # metadata of an observation is never an input
    adql = server.asked[0].fields["QUERY"].decode()
    assert "FROM koa_hires WHERE (CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', 253.1, -40.2, " in adql and "koaimtyp = 'object'" in adql


def test_koa_nothing_there_is_empty_and_errors_are_its_own(server):
    survey = replace(koa.ROWS["koa/lris"], url=server.url + "/TAP")
    server.routes = {"/TAP/sync": frames([(1.0, 1.0, 1.0)])}
    assert fetched(survey, [HERE]) == {}
    server.routes = {"/TAP/sync": (200, b'<VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">no table koa_lris</INFO></RESOURCE></VOTABLE>', "text/xml")}
    with pytest.raises(ArchiveError, match="no table koa_lris"):
        fetched(survey, [HERE])


@pytest.mark.parametrize("row", koa.ROWS.values(), ids=koa.ROWS)
def test_koa_damaged_answers(row):
    with pytest.raises(ArchiveError, match=row.name):
        list(row.read(Raw(row.name, ("t",), frames([(1.0, 1.0, 1.0)])[1][:900], "", extra={"ra": [1.0], "dec": [1.0], "radius": 3.0})))


@pytest.mark.remote
@pytest.mark.parametrize(("survey", "target"), [(eso.SPECTRUM, Target("HD 10700", 26.009, -15.9338)), (koa.ROWS["koa/hires"], Target("HD 187123", 296.743, 34.4199))])
def test_live(survey, target):
    assert list(survey.query(Targets([target]), Ask(radius=20.0)))
