"""CDS X-Match over HTTP on loopback, with the rows of a recorded answer."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from catalogue_answers import fetched, recorded, server, with_ucds
from loopback import votable

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.targets import Target, Targets

__all__ = ["server"]


def cross_match(content):
    """The service, with the rows of a recorded answer about six positions: those of the positions sent, under their own columns."""
    known = Table.read(content.decode(), format="ascii.csv")

    def answer(asked):
        assert asked.method == "POST"
        sent = Table.read(asked.fields["cat1"].decode(), format="ascii.csv")
        assert sent.colnames == ["target_row", "target_ra", "target_dec"]
        parts = [(row["target_row"], np.flatnonzero(np.isclose(known["ra"], row["target_ra"]) & np.isclose(known["dec"], row["target_dec"]))) for row in sent]
        index = np.concatenate([np.full(len(rows), place) for place, rows in parts]).astype(np.int32)
        table = known[np.concatenate([rows for _, rows in parts])]
        table.rename_columns(["ra", "dec", "my_id"], ["target_ra", "target_dec", "target_row"])
        table["target_row"] = index
        ucds = [("2MASS", "", "", "ID_MAIN"), ("RAJ2000", "", "deg", "POS_EQ_RA_MAIN"), ("DEJ2000", "", "deg", "POS_EQ_DEC_MAIN"), ("Jmag", "", "mag", "phot.mag;em.IR.J")]
        limit = int(asked.fields["MAXREC"])
        return 200, with_ucds(table[:limit], ucds), "application/x-votable+xml"

    return answer


@pytest.fixture
def six():
    positions = Table.read(recorded("xmatch/tests/data/posList.csv").decode(), format="ascii.csv")
    return Targets(Target(f"t{row['my_id']}", float(row["ra"]), float(row["dec"]), 2000.0) for row in positions)


def test_xmatch_matches_all_targets_in_one_request_documented_format(server, six):
    """The rows are those of a recorded answer; it is CSV, and VOTable is asked for here, since it carries units and UCDs."""
    content = recorded("xmatch/tests/data/query_res.csv")
    server.routes["/sync"] = cross_match(content)
    survey = replace(af.surveys.xmatch("vizier:II/246/out"), url=f"{server.url}/sync", mirrors=())
    raws, rows = fetched(survey, six, radius=5.0)
    assert len(raws) == len(server.asked) == 1 and list(rows) == list(six.ids)
    form = {k: v.decode() for k, v in server.asked[0].fields.items() if k != "cat1"}
    assert form == {"REQUEST": "xmatch", "cat2": "vizier:II/246/out", "distMaxArcsec": "5", "RESPONSEFORMAT": "votable", "selection": "all", "colRA1": "target_ra",
                    "colDec1": "target_dec", "MAXREC": "200000"}  # fmt: skip
    known = Table.read(content.decode(), format="ascii.csv")
    mine = known[known["my_id"] == 1]
    row = rows["t1"]
    assert row.values["match_distance"] == mine["angDist"].min() and row.values["match_count"] == len(mine) and row.values["2MASS"] == "17485281-2021323"
    assert row.roles["2MASS"] == "id" and row.roles["RAJ2000"] == "other" and "Jmag" not in row.roles and row.units["Jmag"] == "mag" and "target_row" not in row.values


def test_xmatch_asks_in_halves_where_the_row_limit_cuts(server, six):
    server.routes["/sync"] = cross_match(recorded("xmatch/tests/data/query_res.csv"))
    survey = replace(af.surveys.xmatch("II/246/out", ["Jmag"]), url=f"{server.url}/sync", mirrors=(), maxrec=6)
    raws, rows = fetched(survey, six, radius=5.0)
    assert len(raws) > 1 and list(rows) == list(six.ids) and set(rows["t1"].values) == {"Jmag", "match_distance", "match_count"}
    assert server.asked[0].fields["cols2"] == b"Jmag"
    with pytest.raises(ArchiveError, match="smaller radius"):
        fetched(replace(survey, maxrec=2), six, radius=5.0)
    with pytest.raises(InputError, match="180 at most"):
        fetched(survey, six, radius=200.0)


def test_xmatch_with_nothing_there_and_with_rubbish(server, six):
    survey = replace(af.surveys.xmatch("simbad"), url=f"{server.url}/sync", mirrors=())
    server.routes["/sync"] = votable(Table({"angDist": np.array([], float), "target_row": np.array([], np.int32)}))
    assert fetched(survey, six)[1] == {}
    server.routes["/sync"] = votable(Table({"angDist": [0.1], "target_row": np.array([6], np.int32)}))
    with pytest.raises(ArchiveError, match="row 6 of 6"):
        fetched(survey, six)
    server.routes["/sync"] = votable(Table({"angDist": [0.1]}))
    with pytest.raises(ArchiveError, match="lacks the columns target_row"):
        fetched(survey, six)
    server.routes["/sync"] = (400, b'{"error": "unknown table"}', "application/json")
    with pytest.raises(ArchiveError, match=r"HTTP 400.*unknown table"):
        fetched(survey, six)


@pytest.mark.remote
def test_the_real_cross_match(six):
    _, rows = fetched(af.surveys.xmatch("vizier:II/246/out"), six, radius=5.0)
    assert list(rows) == list(six.ids)
