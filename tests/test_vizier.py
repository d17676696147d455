"""Any catalogue of VizieR by its number, over HTTP on loopback; names of surveys made by a call."""

import re
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from catalogue_answers import TARGETS, fetched, server, with_ucds
from loopback import votable

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.surveys.vo_tables import VoTap

__all__ = ["server"]
SCHEMA = {
    "J/ApJS/271/25/catalog": [("recno", "INTEGER", "", "meta.record"), ("1LHAASO", "VARCHAR", "", "meta.id;meta.main"), ("Comp", "VARCHAR", "", "instr"),
                              ("RAJ2000", "DOUBLE", "deg", "pos.eq.ra;meta.main"), ("DEJ2000", "DOUBLE", "deg", "pos.eq.dec;meta.main"),
                              ("N0", "REAL", "10**-16/cm2/s/TeV", "phot.flux.density;em.gamma"), ("z", "REAL", "", "src.redshift")],
    "J/ApJS/271/25/refs": [("Ref", "VARCHAR", "", "meta.ref")],
    "II/999/a": [("RAJ2000", "DOUBLE", "deg", "pos.eq.ra"), ("DEJ2000", "DOUBLE", "deg", "pos.eq.dec")],
    "II/999/b": [("RAJ2000", "DOUBLE", "deg", "pos.eq.ra"), ("DEJ2000", "DOUBLE", "deg", "pos.eq.dec")],
    "II/998/a": [("RAJ2000", "VARCHAR", "", "pos.eq.ra"), ("DEJ2000", "VARCHAR", "", "pos.eq.dec")],
}  # fmt: skip


def vizier_service(quotes=""):
    """TAPVizieR with three small catalogues; `quotes` around the names in TAP_SCHEMA, which services do or do not."""

    def answer(asked):
        adql = asked.fields["QUERY"].decode()
        if "TAP_SCHEMA.tables" in adql:
            number = re.search(r"IN \('([^']+)'", adql)[1]
            found = [n for n in SCHEMA if n == number or n.startswith(f"{number}/")]
            table = Table({"table_name": MaskedColumn([f"{quotes}{n}{quotes}" for n in found], dtype="U40")})
        elif "TAP_SCHEMA.columns" in adql:
            rows = [(f"{quotes}{n}{quotes}", *c) for n in SCHEMA if f"'{n}'" in adql for c in SCHEMA[n]]
            table = Table(rows=rows, names=("table_name", "column_name", "datatype", "unit", "ucd"), dtype=["U40"] * 5)
        else:
            assert 'FROM tap_upload.targets AS t JOIN "J/ApJS/271/25/catalog" AS c' in adql
            table = Table({"target_row": np.array([0, 0], np.int32), "recno": [1, 2], "1LHAASO": ["1LHAASO J0040+0500u", "far"], "Comp": ["KM2A", "WCDA"],
                           "RAJ2000": [10.01, 10.1], "DEJ2000": [5.0, 5.0], "N0": np.array([0.5, 1.5], np.float32), "z": np.array([0.1, 0.2], np.float32)})  # fmt: skip
            table = table[[n for n in table.colnames if n == "target_row" or n in adql]]
            return 200, with_ucds(table, SCHEMA["J/ApJS/271/25/catalog"]), "application/x-votable+xml"
        return 200, votable(table), "application/x-votable+xml"

    return answer


@pytest.mark.parametrize("quotes", ["", '"'])
def test_a_vizier_catalogue_by_its_number(server, quotes):
    server.routes["/tap/sync"] = vizier_service(quotes)
    survey = replace(af.surveys.vizier("J/ApJS/271/25", radius=60.0), url=f"{server.url}/tap", mirrors=())
    raws, rows = fetched(survey, TARGETS[:2], radius=3.0)
    assert len(raws) == 1 and raws[0].extra["layout"]["table"] == "J/ApJS/271/25/catalog" and raws[0].extra["radius"] == 60.0
    row = rows["a"]
    assert list(rows) == ["a"] and row.values["1LHAASO"] == "1LHAASO J0040+0500u" and row.values["match_count"] == 1
    assert row.roles["1LHAASO"] == "id" and row.roles["z"] == "target" and row.roles["recno"] == row.roles["RAJ2000"] == "other" and "N0" not in row.roles
    assert row.units["RAJ2000"] == "deg" and "CDS, Strasbourg" in row.provenance.citation
    asked = len(server.asked)
    fetched(survey, TARGETS[:1])
    assert len(server.asked) == asked + 1  # the layout is asked once
    fresh = af.surveys.vizier("J/ApJS/271/25", radius=60.0)
    assert [v.values for _, v in fresh.read(raws[0])] == [row.values]  # pure: the answer carries what is needed


def test_vizier_columns_may_be_chosen_and_named(server):
    server.routes["/tap/sync"] = vizier_service()
    survey = replace(af.surveys.vizier("J/ApJS/271/25/catalog", {"flux": "N0", "source": "1LHAASO"}), url=f"{server.url}/tap", mirrors=())
    _, rows = fetched(survey, TARGETS[:1], radius=60.0)
    assert set(rows["a"].values) == {"flux", "source", "match_distance", "match_count"} and rows["a"].values["flux"] == 0.5
    assert '"1LHAASO"' in server.asked[-1].fields["QUERY"].decode()
    lacking = replace(af.surveys.vizier("J/ApJS/271/25/catalog", ["nothing"]), url=f"{server.url}/tap", mirrors=())
    with pytest.raises(ArchiveError, match="has no column nothing"):
        fetched(lacking, TARGETS[:1])


@pytest.mark.parametrize(("number", "words"), [("II/999", r"several tables with positions: II/999/a, II/999/b"), ("II/1", "VizieR has no catalogue 'II/1'"), ("II/998", "positions as text")])
def test_vizier_says_what_to_type_instead(server, number, words):
    server.routes["/tap/sync"] = vizier_service()
    with pytest.raises(ArchiveError, match=words):
        fetched(replace(af.surveys.vizier(number), url=f"{server.url}/tap", mirrors=()), TARGETS[:1])


@pytest.mark.parametrize("number", ["", "galex", "II/335'; DROP TABLE x --", "../etc", "II/335 out"])
def test_what_is_no_vizier_number_is_refused(number):
    with pytest.raises(InputError, match="VizieR"):
        af.surveys.vizier(number)
    with pytest.raises(InputError, match=r"VizieR|simbad"):
        af.surveys.xmatch(number)


def test_names_tell_two_ways_to_ask_apart():
    plain, chosen = af.surveys.vizier("II/246/out"), af.surveys.vizier('"II/246/out"', ["Jmag"])
    assert plain.name == "vizier/ii-246-out" and chosen.name.startswith("vizier/ii-246-out-") and plain.fingerprint != chosen.fingerprint
    assert af.surveys.xmatch("II/246/out").name == "xmatch/ii-246-out" and af.surveys.xmatch("simbad", ["main_id"]).name.startswith("xmatch/simbad-")
    assert isinstance(af.surveys.datalab("smash_dr2.object"), VoTap) and af.surveys.datalab("smash_dr2.object").geometry == "q3c"
    assert af.surveys.china_vo("ppmxl.main").url == "https://data.xao.ac.cn/tap"
    for wrong in (af.surveys.datalab, af.surveys.china_vo):
        with pytest.raises(InputError, match="with its schema"):
            wrong("tractor; drop")
