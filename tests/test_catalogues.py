"""Catalogues through TAP (IRSA, ESO, Chandra, Astro Data Lab, ESA) and MAST's own interfaces, asked over HTTP on loopback."""

import io
import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.io.votable import parse_single_table
from astropy.table import Table
from catalogue_answers import TARGETS, fetched, recorded, server
from loopback import votable

from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.surveys import mast_tables
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import Target, Targets

__all__ = ["server"]
INSTALLED = ("2mass/table", "allwise/table", "catwise/table", "kids/table", "chandra/table", *(f"datalab/{n}" for n in ("ls_dr10", "des_dr2", "delve_dr2", "nsc_dr2")))
MINE = (*INSTALLED, "panstarrs/table", "hubble/table", "galex/table", "auger/events", "lhaaso/table", "fashi/table", "einstein_probe/observations", "china_vo/pulsars")
SKY = np.array([[10.0, 5.0], [10.0002, 5.0], [359.9999, -5.0], [200.0, 40.0]])


def sources(survey, columns, places, index):
    """Rows of a made-up catalogue, columns as the survey names them."""
    table = Table()
    for name, (_, role) in columns.items():
        if name == survey.ra or name == survey.dec:
            table[name] = places[index, 0 if name == survey.ra else 1]
        elif role == "id":
            table[name] = [f"J{i}" for i in index]
        elif role == "input":
            table[name] = np.array(15.0 + index, dtype=np.float32)
        else:
            table[name] = np.array(index, dtype=np.int16)
    return table


def tap_service(survey, sky=SKY, change=lambda table: table):
    """Answers a TAP query about the made-up sky; positions uploaded or read from the query."""

    def answer(asked):
        adql = asked.fields["QUERY"].decode()
        rows = []
        if "targets" in asked.fields:
            upload = parse_single_table(io.BytesIO(asked.fields["targets"])).to_table()
            size = float(re.search(r"CIRCLE\('ICRS', [\w.]+, [\w.]+, ([\d.e-]+)\)", adql)[1]) * 3600
            for row in upload:
                rows += [(int(row["target_row"]), i) for i in np.flatnonzero(separation_arcsec(row["ra"], row["dec"], *sky.T) <= size)]
        else:
            rows = [(0, i) for i in range(len(sky))]  # more than was asked for: what lies outside is left out here
        table = sources(survey, survey.columns, sky, np.array([i for _, i in rows], dtype=int))
        if "targets" in asked.fields:
            table.add_column(np.array([r for r, _ in rows], dtype=np.int32), name="target_row", index=0)
        return 200, votable(change(table)), "application/x-votable+xml"

    return answer


@pytest.mark.parametrize("name", MINE)
def test_rows_say_what_they_are(name):
    survey = surveys.get(name)
    assert survey.coverage.words and "http" in survey.url and survey.threads <= 4
    columns = getattr(survey, "columns", {})
    for column, (unit, role) in columns.items() if isinstance(survey, TapTable) else ():
        u.Unit(unit)
        assert role in ("input", "id", "other", "target"), column
        if column.lower() in ("ra", "dec", "raj2000", "decj2000", "type", "class_star", "sg2dphot", "z_b", "var_flag", "extent_flag", "ext_flg"):
            assert role != "input", column
    assert "VizieR" in survey.citation or "vizier" not in survey.url


@pytest.mark.parametrize("name", INSTALLED)
def test_tap_catalogues_give_the_nearest_row(name, server):
    survey = replace(surveys.get(name), url=f"{server.url}/tap", mirrors=())
    server.routes["/tap/sync"] = tap_service(survey)
    raws, rows = fetched(survey, radius=3.0)
    assert len(raws) == len(server.asked) == 1  # one query for all positions
    assert list(rows) == ["a", "wrap"]
    row = rows["a"]
    assert row.values[survey.id_column] == "J0" and row.roles[survey.id_column] == "id"
    assert row.values["match_count"] == 2 and row.values["match_distance"] == pytest.approx(0.00003 * 3600 * np.cos(np.radians(5)), abs=1e-4)
    assert set(row.values) == {*survey.columns, "match_distance", "match_count"}
    assert row.provenance.survey == name and row.provenance.citation
    adql = server.asked[0].fields["QUERY"].decode()
    assert all(column in adql for column in survey.columns) and survey.table in adql


def test_irsa_is_asked_in_the_form_that_it_documents():
    adql = surveys.get("2mass/table").adql(TARGETS, Ask(radius=3.6))
    assert adql.startswith("SELECT TAP_UPLOAD.targets.target_row, fp_psc.designation, fp_psc.ra, ")
    assert adql.endswith("FROM fp_psc, TAP_UPLOAD.targets WHERE CONTAINS(POINT('ICRS', fp_psc.ra, fp_psc.dec), "
                         "CIRCLE('ICRS', TAP_UPLOAD.targets.ra, TAP_UPLOAD.targets.dec, 0.001)) = 1")  # fmt: skip


def test_chandra_is_asked_for_boxes_and_passes_zero_hours():
    chandra = surveys.get("chandra/table")
    adql = chandra.adql(Targets([Target("x", 0.0, 60.0, 2000.0)]), Ask(radius=3600.0))
    boxes = re.findall(r"\(c\.dec BETWEEN (\S+) AND (\S+) AND c\.ra BETWEEN (\S+) AND (\S+)\)", adql)
    (a, b, c, d), (_, _, e, f) = [tuple(map(float, box)) for box in boxes]
    assert (a, b) == (59.0, 61.0) and d == 360.0 and e == 0.0 and f == pytest.approx(360 - c) and 2.0 < f < 2.01
    assert "CONTAINS" not in adql and "ABS" not in adql  # its parser knows comparisons only
    assert chandra.boxes(10.0, 89.9, 0.5) == ["(c.dec BETWEEN 89.4 AND 90.0)"]


def test_data_lab_is_asked_with_q3c_and_legacy_fluxes_become_microjansky(server):
    legacy = replace(surveys.get("datalab/ls_dr10"), url=f"{server.url}/tap")
    server.routes["/tap/sync"] = tap_service(legacy)
    _, rows = fetched(legacy)
    adql = server.asked[0].fields["QUERY"].decode()
    assert adql.count("'t' = Q3C_RADIAL_QUERY(c.ra, c.dec, ") == 3 and adql.endswith("AND c.brick_primary = 1") and "UPLOAD" not in server.asked[0].fields
    assert rows["a"].values["flux_g"] == pytest.approx(15 * 3.631) and rows["a"].units["flux_g"] == "uJy"
    assert rows["a"].values["flux_ivar_g"] == pytest.approx(15 / 3.631**2) and rows["a"].values["sersic"] == 15.0


@pytest.mark.parametrize(("name", "column", "gap"), [("kids/table", "MAG_GAAP_u", 99.0), ("kids/table", "MAG_GAAP_u", -99.0), ("datalab/nsc_dr2", "gmag", 99.99),
                                                     ("datalab/des_dr2", "wavg_mag_psf_y", 99.0)])  # fmt: skip
def test_what_stands_for_no_measurement_is_none(name, column, gap, server):
    survey = replace(surveys.get(name), url=f"{server.url}/tap")

    def change(table):
        table[column] = np.full(len(table), gap, dtype=np.float32)
        table[survey.ra].info.unit = None
        return table

    server.routes["/tap/sync"] = tap_service(survey, change=change)
    _, rows = fetched(survey)
    assert rows["a"].values[column] is None and rows["a"].values[survey.dec] == 5.0


def test_2mass_columns_and_units_recorded_answer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fields = {f.name: f for f in parse_single_table(io.BytesIO(recorded("ipac/irsa/tests/data/Cone.xml")), verify="ignore").fields}
    for column, (unit, _) in surveys.get("2mass/table").columns.items():
        assert column in fields, column
        assert (str(u.Unit(unit)) if unit else "None") == str(fields[column].unit), column


# MAST ---------------------------------------------------------------------------------------------


def panstarrs_answer(survey, places):
    names = list(survey.columns)
    data = []
    for number, (ra, dec) in enumerate(places):
        row = dict.fromkeys(names, 17.5) | {"objID": f"1234500000000000{number:02d}", "objName": "PSO", "raMean": ra, "decMean": dec, "yMeanKronMag": -999.0}
        data.append([row[name] for name in names])
    return json.dumps({"info": [{"name": name, "type": "float"} for name in names], "data": data}).encode()


def test_panstarrs_documented_format(server):
    survey = replace(surveys.get("panstarrs/table"), url=server.url)
    server.routes["/dr2/mean.json"] = lambda asked: (200, panstarrs_answer(survey, SKY[:2] if asked.query["ra"].startswith("10.0") else []), "application/json")
    raws, rows = fetched(survey, TARGETS[:2], radius=3.6)
    assert [a.query["radius"] for a in server.asked] == ["0.00100000"] * 2 and server.asked[0].query["columns"].startswith("[objID,objName,raMean,")
    assert len(raws) == 2 and list(rows) == ["a"]  # nothing there is no failure
    assert rows["a"].values["objID"] == "123450000000000000" and rows["a"].values["match_count"] == 2 and rows["a"].values["yMeanKronMag"] is None
    server.routes["/dr1/mean.json"] = server.routes["/dr2/mean.json"]
    fetched(survey, TARGETS[:1], release="DR1")
    assert server.asked[-1].path == "/dr1/mean.json"


def test_panstarrs_columns_and_units_recorded_answer():
    known = {row["name"]: row for row in json.loads(recorded("mast/tests/data/panstarrs_columns.json"))}
    for column, (unit, _) in surveys.get("panstarrs/table").columns.items():
        assert column in known, column
        if known[column]["unit"] != "NULL" and not column.endswith("MeanErr"):  # errors of positions: arcsec, as the table's own documentation says
            assert unit == known[column]["unit"], column


def test_panstarrs_rows_recorded_answer():
    survey = surveys.get("panstarrs/table")
    rows = survey.rows(Raw(survey.name, ("t",), recorded("mast/tests/data/panstarrs.json"), ""))
    assert len(rows) == 35 and rows[0]["objID"] == "68960059717834079"
    with pytest.raises(ArchiveError, match=r"panstarrs/table, target t.*lacks the columns"):
        list(survey.read(Raw(survey.name, ("t",), recorded("mast/tests/data/panstarrs.json"), "", extra={"ra": 0.0, "dec": 0.0, "radius": 3.0})))


def test_hubble_recorded_answer():
    survey = surveys.get("hubble/table")
    content = recorded("mast/tests/data/hsc.json")
    first = json.loads(content)["data"][0]
    raw = Raw(survey.name, ("M 15",), content, "", extra={"ra": first["MatchRA"] + 1e-5, "dec": first["MatchDec"], "radius": 30.0})
    row = dict(survey.read(raw))["M 15"]
    assert row.values["MatchID"] == str(first["MatchID"]) and row.values["W3_F336W"] == first["W3_F336W"] and row.values["A_F606W"] is None
    assert row.values["match_count"] > 1 and row.values["match_distance"] == pytest.approx(1e-5 * 3600 * np.cos(np.radians(first["MatchDec"])), rel=1e-3)
    assert row.units["W3_F336W"] == "mag" and row.roles["W3_F336W_N"] == "other" and "W3_F336W" not in row.roles


@pytest.mark.parametrize(("status", "words", "transient"), [("EXECUTING", "still at work", True), ("ERROR", "no such service", False)])
def test_hubble_asks_the_service_and_passes_on_what_it_says(server, status, words, transient):
    survey = replace(surveys.get("hubble/table"), url=f"{server.url}/invoke")
    server.routes["/invoke"] = json.dumps({"status": status, "msg": "no such service", "data": []}).encode()
    with pytest.raises(ArchiveError, match=rf"hubble/table, target a.*{words}") as caught:
        fetched(survey, TARGETS[:1])
    assert caught.value.transient is transient
    request = json.loads(server.asked[0].fields["request"])
    assert request["service"] == "Mast.Hsc.Db.v3" and request["params"]["radius"] == 3.0 / 3600 and request["format"] == "json"


@pytest.mark.parametrize("name", ["panstarrs/table", "hubble/table"])
def test_an_answer_that_may_be_cut_is_refused(name, monkeypatch):
    survey = surveys.get(name)
    monkeypatch.setattr(mast_tables, "LARGEST", 3)
    data = [[1.0] * len(survey.columns)] * 3 if name.startswith("pan") else [dict.fromkeys(survey.columns, 1.0)] * 3
    content = json.dumps({"status": "COMPLETE", "info": [{"name": n} for n in survey.columns], "data": data}).encode()
    with pytest.raises(ArchiveError, match=rf"{name}, target t: the answer has 3 rows.*may be cut"):
        list(survey.read(Raw(name, ("t",), content, "", extra={"ra": 1.0, "dec": 1.0, "radius": 3.0})))


# what there is, rather than sources ---------------------------------------------------------------


def test_einstein_probe_gives_the_nearest_observation(server):
    survey = replace(surveys.get("einstein_probe/observations"), url=f"{server.url}/tap")
    columns = [(name, "VARCHAR" if name in ("obs_id", "target_name", "instrument_name", "dataproduct_type", "access_url") else "DOUBLE") for name in survey.columns]

    def answer(asked):
        if asked.path.endswith("capabilities"):
            return b"<capabilities><uploadMethod ivo-id='ivo://ivoa.net/std/TAPRegExt#upload-inline'/></capabilities>"
        if "TAP_SCHEMA" in asked.fields["QUERY"].decode():
            return votable(Table(rows=[(*c, "", "") for c in columns], names=("column_name", "datatype", "unit", "ucd"), dtype=["U30"] * 4))
        table = Table({name: (["x", "y"] if kind == "VARCHAR" else [60400.0, 60500.0]) for name, kind in columns})
        table["s_ra"], table["s_dec"], table["target_row"] = [10.3, 10.2], [5.0, 5.0], np.array([0, 0], np.int32)
        return votable(table)

    server.routes.update({"/tap/sync": answer, "/tap/capabilities": answer})
    _, rows = fetched(survey, TARGETS[:1], radius=3.0)
    row = rows["a"]
    assert row.values["obs_id"] == "y" and row.values["match_count"] == 2 and not set(row.values) - set(row.roles)  # nothing of it is a model's input
    assert row.units["t_min"] == "d"


@pytest.mark.remote
@pytest.mark.parametrize(("name", "place", "radius"), [
    ("2mass/table", (10.684737, 41.269035), 3.0), ("allwise/table", (269.45, 4.69), 30.0), ("catwise/table", (150.1, 2.2), 30.0), ("panstarrs/table", (210.8, 54.35), 10.0),
    ("hubble/table", (322.525085, 12.166688), 3.0), ("kids/table", (180.0, 0.5), 20.0), ("chandra/table", (83.8186, -5.3897), 3.0), ("galex/table", (150.1, 2.2), 60.0),
    ("auger/events", (200.0, -43.0), 3.0), ("lhaaso/table", (83.63, 22.01), 3.0), ("fashi/table", (214.73, 36.48), 600.0), ("datalab/ls_dr10", (150.1, 2.2), 5.0),
    ("datalab/des_dr2", (40.0, -30.0), 20.0), ("datalab/delve_dr2", (180.0, -20.0), 20.0), ("datalab/nsc_dr2", (180.0, -20.0), 20.0),
    ("einstein_probe/observations", (310.7048, 41.3833), 3.0), ("china_vo/pulsars", (83.633, 22.014), 30.0),
])  # fmt: skip
def test_the_real_archives(name, place, radius):
    _, rows = fetched(surveys.get(name), Targets([Target("x", *place, 2000.0)]), radius=radius)
    assert rows["x"].values["match_count"] >= 1
