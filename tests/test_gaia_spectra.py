"""Gaia's DataLink products: TAP and data server on loopback, and the real answer that astroquery ships for its own tests."""

import io
import zipfile
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from answering import Answering
from astropy.table import Table
from loopback import votable

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import SPECTRUM_UNIT
from astrofuse_lab.surveys import gaia_spectra as gaia
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

SOURCE = "5937083312263887616"
HERE, THERE, NOWHERE = Target("here", 10.0, 5.0), Target("there", 20.0, 5.0), Target("nowhere", 30.0, 5.0)
TAP, DATA = "/tap-server/tap/sync", "/data-server/data"


@pytest.fixture
def server():
    made = Answering()
    rows = [(0, int(SOURCE), 10.0001), (0, 7, 10.0), (1, int(SOURCE) + 2, 20.0)]
    made.routes[TAP] = lambda asked: sources([row for row in rows if row[0] < asked.fields["targets"].count(b"<TR>")])
    yield made
    made.close()


def sources(rows, status="OK"):
    rows = list(zip(*rows, strict=True)) or [[], [], []]
    made = Table({"target_row": np.array(rows[0], dtype=np.int32), "source_id": np.array(rows[1], dtype=np.int64), "ra": np.array(rows[2], dtype=float)})
    made["dec"] = np.full(len(made), 5.0)
    return (200, votable(made, status), "application/x-votable+xml")


def zipped(**tables):
    """Products as the data server packs them, named PRODUCT-Gaia DR3 SOURCE.xml."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as pack:
        for name, table in tables.items():
            pack.writestr(f"{name.replace('__', '-Gaia DR3 ')}.xml", votable(table))
    return file.getvalue()


def spectrum(start=336.0, step=2.0, unit="W.m**-2.nm**-1", n=343):
    made = Table({"wavelength": start + step * np.arange(n), "flux": np.full(n, 1e-17), "flux_error": np.full(n, 1e-18)})
    made["wavelength"].unit, made["flux"].unit, made["flux_error"].unit = "nm", unit, unit
    return made


def fetched(survey, server, targets, **wanted):
    survey = replace(survey, url=server.url)
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(t.object_id for t in targets)
    return {k: v for raw in raws for k, v in survey.read(raw)}


def test_xp_sampled_of_the_nearest_sources(server):
    server.routes[DATA] = (200, zipped(**{f"XP_SAMPLED__{SOURCE[:-1]}8": spectrum(), "XP_SAMPLED__7": spectrum()}), "application/zip")
    got = fetched(gaia.XP, server, [HERE, THERE, NOWHERE], radius=2.0)
    assert sorted(got) == ["here", "there"] and len(server.asked) == 2  # one query, one download for all
    here = got["here"]
    assert here.wavelength[[0, -1]] == pytest.approx([3360, 10200]) and here.unit == SPECTRUM_UNIT
    assert here.flux == pytest.approx(100.0) and here.ivar == pytest.approx(0.01)  # 1e-17 W / m2 / nm is 1e-15 erg / s / cm2 / Å
    tap, data = server.asked
    assert b"has_xp_sampled = 'True'" in tap.fields["QUERY"] and b"tap_upload.targets" in tap.fields["QUERY"]
    assert data.fields["RETRIEVAL_TYPE"] == b"XP_SAMPLED" and data.fields["DATA_STRUCTURE"] == b"INDIVIDUAL" and data.fields["FORMAT"] == b"votable"
    assert data.fields["ID"] == f"{SOURCE[:-1]}8,7".encode()


def test_a_real_zip_of_the_archive_recorded_answer():
    path = files("astroquery.gaia.tests") / "data" / f"gaia_dr3_source_id_{SOURCE}_dl_products_vot.zip"
    if not path.is_file():
        pytest.skip("this astroquery has no recorded DataLink products")
    raw = Raw("gaia/xp", ("a", "b"), path.read_bytes(), "", extra={"sources": {"b": SOURCE}})
    ((target, got),) = gaia.XP.read(raw)
    assert target == "b" and len(got.flux) == 343 and got.wavelength[0] == pytest.approx(3360.0) and got.mask.all()
    # the same spectrum in the archive's CSV: 4.3137092E-17 W / m2 / nm at 336 nm
    assert got.flux[0] == pytest.approx(431.37092) and got.ivar[0] == pytest.approx(1 / 57.488387**2, rel=1e-5) and got.unit == SPECTRUM_UNIT


def test_rvs_keeps_its_unit_and_drops_missing_pixels(server):
    table = spectrum(846.0, 0.01, "", 2401)
    table["flux"], table["flux_error"] = np.where(np.arange(2401) < 5, np.nan, 1.0), np.full(2401, 0.02)
    server.routes[DATA] = zipped(**{f"RVS__{SOURCE[:-1]}8": table})
    got = fetched(gaia.RVS, server, [HERE, THERE], radius=2.0)
    (one,) = got.values()
    assert one.unit == "continuum" and one.mask.sum() == 2396 and one.wavelength[-1] == pytest.approx(8700) and one.ivar[9] == pytest.approx(2500)
    assert one.lsf_sigma[0] == pytest.approx(8460 / 11500 / 2.3548, rel=1e-4)


def light_curve():
    made = Table({"source_id": [7] * 5, "band": ["G", "BP", "RP", "G", "G"], "time": [1700.5, 1700.6, 1700.6, 1650.0, 1900.0]})
    made["flux"], made["flux_error"] = [1000.0, 500.0, 700.0, 1100.0, np.nan], [10.0, 20.0, 20.0, 10.0, 10.0]
    made["rejected_by_variability"] = [False, True, False, False, False]
    return made


def test_epoch_photometry_in_microjansky_of_the_ab_system(server):
    server.routes[DATA] = zipped(**{f"EPOCH_PHOTOMETRY__{7}": light_curve()})
    curve = fetched(gaia.CURVE, server, [HERE], radius=2.0)["here"]
    assert curve.time[0] == 55197 + 1650.0 and curve.clock == "BJD_TCB" and list(curve.band) == ["G", "G", "BP", "RP", "G"]
    assert curve.flux[1] == pytest.approx(10 ** ((23.9 - (25.8010 - 2.5 * np.log10(1000.0))) / 2.5), rel=1e-5)
    assert list(curve.mask) == [True, True, False, True, False] and curve.flux_err[1] == pytest.approx(curve.flux[1] / 100)
    some = fetched(gaia.CURVE, server, [HERE], radius=2.0, bands=("G",), time=(56890.0, 57000.0))["here"]
    assert len(some.time) == 1 and some.band[0] == "G"
    assert fetched(gaia.CURVE, server, [HERE], radius=2.0, time=(50000.0, 50001.0)) == {}
    with pytest.raises(InputError, match="has no band 'K'"):
        fetched(gaia.CURVE, server, [HERE], bands=("K",))


def test_no_source_is_an_empty_answer_without_a_download(server):
    server.routes[TAP] = sources([])
    assert fetched(gaia.XP, server, [HERE, THERE]) == {} and server.paths() == [TAP]


def test_a_cut_list_of_sources_is_asked_for_in_halves(server):
    server.routes[TAP] = lambda asked: sources([(0, 7, 10.0)], "OVERFLOW" if b"<TD>20" in asked.body or (b"20.0" in asked.body and b"10.0" in asked.body) else "OK")
    server.routes[DATA] = zipped(XP_SAMPLED__7=spectrum())
    with pytest.raises(ArchiveError, match="OVERFLOW"):
        fetched(gaia.XP, server, [HERE, THERE], radius=2.0)  # the second half is one target, and still too much
    assert server.paths() == [TAP, TAP, DATA, TAP]


def test_the_data_servers_own_words(server):
    server.routes[DATA] = (500, b"Cannot retrieve products: too many", "text/plain")
    with pytest.raises(ArchiveError, match="too many") as caught:
        fetched(gaia.XP, server, [HERE], radius=2.0)
    assert caught.value.transient


def test_a_bomb_and_a_damaged_zip_are_refused(monkeypatch):
    content = zipped(**{f"XP_SAMPLED__{SOURCE}": spectrum()})
    monkeypatch.setattr(gaia, "LARGEST", 1000)
    for some, words in ((content, "unpacks to more"), (content[:-30], "no complete ZIP"), (content[:200] + b"\xff" * 200 + content[400:], "ZIP")):
        with pytest.raises(ArchiveError, match=words):
            list(gaia.XP.read(Raw("gaia/xp", ("t",), some, "", extra={"sources": {"t": SOURCE}})))


@pytest.mark.remote
@pytest.mark.parametrize("survey", gaia.ROWS.values(), ids=gaia.ROWS)
def test_live(survey):
    target = {"gaia/light_curve": Target("RR Lyr", 291.36633, 42.78438)}.get(survey.name, Target("star", 251.51920772923995, -51.50535255488219))
    assert list(survey.query(Targets([target]), Ask(radius=3.0)))
