"""LAMOST and DESI: their services on loopback, answers written here in the documented formats, real LAMOST fluxes from the mirror."""

import gzip
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from answering import Answering
from astropy.io import fits
from astropy.table import Table
from loopback import votable

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import SPECTRUM_UNIT
from astrofuse_lab.surveys import desi, lamost
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

HERE, THERE, NOWHERE = Target("here", 99.3163, 27.2324), Target("there", 0.0001, 40.0), Target("nowhere", 10.0, -60.0)


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def fetched(survey, server, targets, **wanted):
    survey = replace(survey, url=server.url)
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(t.object_id for t in targets)
    return {k: v for raw in raws for k, v in survey.read(raw)}


# LAMOST -------------------------------------------------------------------------------------------


def cone(asked):
    """Two observations of a star, and a neighbour; columns prefixed as in DR8 and DR9."""
    rows = [(101, 99.3163, 27.2324, 20.0, 55862), (102, 99.31631, 27.23241, 71.4, 55900), (103, 99.3170, 27.2324, 300.0, 55900)]
    near = [row for row in rows if abs(row[1] - float(asked.query["ra"])) < 1]
    names = [f"{'catalogue_' if 'dr9' in asked.path else ''}{n}" for n in ("obsid", "ra", "dec", "snrg", "mjd")]
    kinds = (np.int64, float, float, float, np.int64)
    return (200, votable(Table({n: np.array([r[i] for r in near], dtype=k) for i, (n, k) in enumerate(zip(names, kinds, strict=True))})), "text/xml")


def lamost_file(flux, ivar, andmask, table=False):
    """The layout until DR7 (image) and since DR8 (one row of arrays)."""
    wave = 10 ** (3.5682 + 1e-4 * np.arange(len(flux)))
    rows = {"FLUX": flux, "IVAR": ivar, "WAVELENGTH": wave, "ANDMASK": andmask, "ORMASK": andmask}
    if table:
        columns = [fits.Column(n, f"{len(wave)}E", array=np.array([v], dtype=np.float32)) for n, v in rows.items()]
        units = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="COADD")]
    else:
        units = [fits.PrimaryHDU(np.array(list(rows.values()), dtype=np.float32))]
    units[0].header.update({"TELESCOP": "LAMOST", "COEFF0": 3.5682, "COEFF1": 1e-4, "VACUUM": True})
    file = io.BytesIO()
    fits.HDUList(units).writeto(file)
    return file.getvalue()


FLUX = np.linspace(100, 200, 60)


@pytest.mark.parametrize(("release", "place"), [(None, "/dr10/v2.0"), ("DR9 v2.0", "/dr9/v2.0")])
@pytest.mark.parametrize("table", [False, True], ids=["image", "table"])
def test_lamost_the_best_observation(server, release, place, table):
    content = lamost_file(FLUX, np.full(60, 4.0), np.arange(60) == 7, table)
    server.routes = {place + "/voservice/conesearch": cone, place + "/spectrum/fits/102": (200, gzip.compress(content), "application/gzip")}
    got = fetched(lamost.SPECTRUM, server, [HERE, NOWHERE], radius=3.0, release=release)
    assert list(got) == ["here"] and server.paths() == [place + "/voservice/conesearch", place + "/spectrum/fits/102", place + "/voservice/conesearch"]
    assert float(server.asked[0].query["sr"]) == pytest.approx(3 / 3600, abs=1e-8)  # deg
    here = got["here"]
    assert here.wavelength[0] == pytest.approx(10**3.5682, rel=1e-6) and here.flux == pytest.approx(FLUX, rel=1e-6) and here.unit == "relative"
    assert list(np.flatnonzero(~here.mask)) == [7] and here.ivar[0] == 4


def test_lamost_errors(server):
    server.routes = {"/dr10/v2.0/voservice/conesearch": cone}
    with pytest.raises(ArchiveError, match="404") as caught:
        fetched(lamost.SPECTRUM, server, [HERE], radius=3.0)
    assert caught.value.target == "here"
    server.routes["/dr10/v2.0/voservice/conesearch"] = (200, votable(Table({"no": [1]})), "text/xml")
    with pytest.raises(ArchiveError, match="no column 'ra'"):
        fetched(lamost.SPECTRUM, server, [HERE])
    server.routes["/dr10/v2.0/voservice/conesearch"] = (200, b"<html>please log in <input type=password></html>", "text/html")
    with pytest.raises(ArchiveError, match="login"):
        fetched(lamost.SPECTRUM, server, [HERE])


def test_real_lamost_fluxes_pass_through_both_layouts():
    path = Path(os.environ.get("ASTROFUSE_MIRROR", "../shared/data")) / "lamost_sample" / "lamost_176.parquet"
    if not path.is_file():
        pytest.skip("no mirror with lamost_sample")
    rows = pytest.importorskip("pyarrow.parquet").read_table(path, columns=["flux", "ivar", "andmask", "n_pix"]).slice(0, 5).to_pylist()
    for row in rows:
        flux, ivar, mask = (np.array(row[k], dtype=float) for k in ("flux", "ivar", "andmask"))
        image, table = (dict(lamost.SPECTRUM.read(Raw("lamost/spectrum", ("t",), lamost_file(flux, ivar, mask, t), "")))["t"] for t in (False, True))
        assert image.flux == pytest.approx(table.flux) and image.mask.sum() == table.mask.sum() == ((ivar > 0) & (mask == 0) & np.isfinite(flux)).sum()
        assert 3600 < image.wavelength[0] < 3750 and 9000 < image.wavelength[-1] < 9200


# DESI ---------------------------------------------------------------------------------------------

STORED = {"flux": "spectra.flux", "ivar": "spectra.ivar", "mask": "spectra.mask", "wavelength": "spectra.wavelength"}
FIELDS = [
    {"data_release": release, "newdp": name, "origdp": STORED.get(name, name), "storage": "C", "default": True, "all": True}
    for release in ("DESI-DR1", "DESI-EDR") for name in (*desi.OUT, *desi.INCLUDE[1:])
]  # fmt: skip
FOUND = [
    {"_dr": "DESI-DR1", "sparcl_id": "far", "ra": 99.3170, "dec": 27.2324, "specprimary": True, "data_release": "DESI-DR1"},
    {"_dr": "DESI-DR1", "sparcl_id": "second", "ra": 99.3163, "dec": 27.2324, "specprimary": False, "data_release": "DESI-DR1"},
    {"_dr": "DESI-DR1", "sparcl_id": "first", "ra": 99.3163, "dec": 27.2324, "specprimary": True, "data_release": "DESI-DR1"},
    {"_dr": "DESI-DR1", "sparcl_id": "zero", "ra": 359.99999, "dec": 40.0, "specprimary": True, "data_release": "DESI-DR1"},
]


def find(asked):
    limits = {key: rest for key, *rest in json.loads(asked.body)["search"]}
    assert limits["data_release"] == ["DESI-DR1"]
    inside = [r for r in FOUND if all(limits[k][0] <= r[k] <= limits[k][1] for k in ("ra", "dec"))]
    return (200, json.dumps([{"status": {"success": True}}, *inside]).encode(), "application/json")


def spectra(asked):
    assert asked.query["format"] == "json" and asked.query["dataset_list"] == "DESI-DR1" and "spectra.flux" in asked.query["include"]
    record = {"_dr": "DESI-DR1", "spectra.wavelength": [3600.0, 3600.8, 3601.6], "spectra.flux": [1.0, None, 3.0], "spectra.ivar": [4.0, 4.0, 0.0],
              "spectra.mask": [0, 0, 0], "dateobs_center": "2021-05-14T00:00:00Z"}  # fmt: skip
    records = [{**record, "sparcl_id": i} for i in reversed(json.loads(asked.body))]
    return (200, json.dumps([{"status": {"success": True, "warnings": []}}, *records]).encode(), "application/json")


@pytest.fixture
def sparcl(server):
    server.routes = {"/sparc/datafields/": json.dumps(FIELDS).encode(), "/sparc/find/": find, "/sparc/spectras/": spectra}
    return server


def test_desi_primary_spectra_in_one_request(sparcl):
    got = fetched(desi.SPECTRUM, sparcl, [HERE, THERE, NOWHERE], radius=3.0)
    assert sorted(got) == ["here", "there"]
    assert sparcl.paths("/sparc/spectras/") == ["/sparc/spectras/"] and json.loads(sparcl.asked[-1].body) == ["first", "zero"]
    assert len(sparcl.paths("/sparc/find/")) == 4  # the box around RA 0 has two parts
    here = got["here"]
    assert here.wavelength == pytest.approx([3600, 3600.8, 3601.6]) and list(here.mask) == [True, False, False] and here.unit == SPECTRUM_UNIT
    assert here.time == pytest.approx(59348.0) and here.flux[0] == 1 and here.ivar[0] == 4


def test_desi_nothing_there_is_empty(sparcl):
    assert fetched(desi.SPECTRUM, sparcl, [NOWHERE]) == {} and not sparcl.paths("/sparc/spectras/")


def test_desi_errors(sparcl, monkeypatch):
    sparcl.routes["/sparc/spectras/"] = (400, b'{"errorMessage": "[BADPATH]"}', "application/json")
    with pytest.raises(ArchiveError, match="BADPATH"):
        fetched(desi.SPECTRUM, sparcl, [HERE])
    sparcl.routes["/sparc/spectras/"] = json.dumps([{"status": {}}]).encode()
    with pytest.raises(ArchiveError, match="found and then not sent"):
        fetched(desi.SPECTRUM, sparcl, [HERE])
    monkeypatch.setattr(desi, "LIMIT", 2)
    with pytest.raises(ArchiveError, match="2 spectra or more"):
        fetched(desi.SPECTRUM, sparcl, [HERE], radius=5.0)
    sparcl.routes["/sparc/datafields/"] = b'[{"data_release": "DESI-DR1", "newdp": "flux", "origdp": "f"}]'
    with pytest.raises(ArchiveError, match="no fields sparcl_id, ra"):
        fetched(desi.SPECTRUM, sparcl, [HERE])


@pytest.mark.parametrize("record", [{"sparcl_id": "i"}, {"sparcl_id": "i", "wavelength": [1], "flux": [[1]], "ivar": ["x"]}, 7])
def test_desi_records_that_are_none(record):
    raw = Raw("desi/spectrum", ("t",), json.dumps([{}, record]).encode(), "", extra={"ids": {"t": "i"}, "fields": {}})
    with pytest.raises(ArchiveError, match="desi/spectrum, target t"):
        list(desi.SPECTRUM.read(raw))


@pytest.mark.parametrize(("ra", "dec", "parts"), [(10.0, 0.0, 1), (0.0001, 60.0, 2), (359.9999, -60.0, 2), (50.0, 89.9999, 1)])
def test_boxes_hold_their_circles(ra, dec, parts):
    made = desi.boxes(Target("t", ra, dec), 3.0)
    assert len(made) == parts
    for angle in np.linspace(0, 2 * np.pi, 24):
        y = dec + 3 / 3600 * np.sin(angle)
        x = (ra + 3 / 3600 * np.cos(angle) / np.cos(np.radians(y))) % 360
        assert abs(y) > 90 or any(low - 1e-9 <= x <= high + 1e-9 for low, high in made)


@pytest.mark.remote
@pytest.mark.parametrize(("survey", "target"), [(lamost.SPECTRUM, HERE), (desi.SPECTRUM, Target("a galaxy", 150.1, 2.2))], ids=lambda s: getattr(s, "name", ""))
def test_live(survey, target):
    assert list(survey.query(Targets([target]), Ask(radius=60.0)))
