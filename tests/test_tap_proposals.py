"""Programmes of ESO, CADC and Keck by TAP on loopback; answers to the documented columns."""

from dataclasses import replace

import numpy as np
import pytest
from answering import Answering
from astropy.table import Table
from loopback import votable

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.surveys import tap_proposals
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

HERE, NOWHERE = Target("SGR A", 266.4168, -29.0078), Target("nowhere", 10.0, 80.0)
TITLES = ("The gas cloud <b>G2</b>", "Stars near the black hole")


def programmes(survey, rows=2, status="OK"):
    """Observations of two programmes, the first of them with two instruments, and one without a title."""
    filled = {survey.number: ["091.B-0088(B)", "091.B-0088(B)", "106.A-0001", "200.X-0"], survey.title: [TITLES[0], TITLES[0], TITLES[1], ""],
              survey.by: ["GILLESSEN/ GENZEL", "GILLESSEN/ GENZEL", "", "Nobody"]}  # fmt: skip
    table = Table({name: np.array(filled.get(name, [f"{name} one", f"{name} two", f"{name} one", "x"]), dtype="U80")[: 2 * rows] for name in survey.columns})
    return (200, votable(table, status), "application/x-votable+xml")


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def fetched(server, survey, targets=(HERE,), **wanted):
    survey = replace(survey, url=server.url + "/tap", timeout=5.0)
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    assert [raw.target_ids for raw in raws] == [(t.object_id,) for t in targets]
    return {k: v for raw in raws for k, v in survey.read(raw)}


def queries(server):
    return [asked.fields["QUERY"].decode() for asked in server.asked]


def test_eso_titles_and_leaders_documented_format(server):
    server.routes["/tap/sync"] = lambda asked: programmes(tap_proposals.ESO, 2 if b"266.4168" in asked.fields["QUERY"] else 0)
    texts = fetched(server, tap_proposals.ESO, (HERE, NOWHERE), radius=36.0)
    assert list(texts) == ["SGR A"]
    assert texts["SGR A"].text == (
        "Stars near the black hole (ESO 106.A-0001). instrument one.\n\nThe gas cloud G2 (ESO 091.B-0088(B), GILLESSEN/ GENZEL). instrument one, instrument two."
    )
    assert "may say what the object is" in texts["SGR A"].provenance.release and "dbo.raw" in texts["SGR A"].provenance.query
    assert queries(server)[0].endswith("FROM dbo.raw WHERE dp_cat = 'SCIENCE' AND INTERSECTS(s_region, CIRCLE('ICRS', 266.4168, -29.0078, 0.01)) = 1")


def test_cadc_gemini_and_others_with_keywords(server):
    server.routes["/tap/sync"] = programmes(tap_proposals.CADC)
    text = fetched(server, tap_proposals.CADC, bands=("GEMINI", "CFHT"))["SGR A"].text
    assert "Keywords: proposal_keywords one; proposal_keywords two." in text and "(091.B-0088(B), GILLESSEN/ GENZEL)" in text
    (adql,) = queries(server)
    assert "INTERSECTS(CIRCLE('ICRS', 266.4168, -29.0078, " in adql and ", p.position_bounds) = 1 AND o.collection IN ('GEMINI', 'CFHT') AND" in adql
    with pytest.raises(InputError, match="has no band 'HST'"):
        fetched(server, tap_proposals.CADC, bands=("HST",))


def test_keck_asks_each_instruments_table(server):
    server.routes["/tap/sync"] = lambda asked: programmes(tap_proposals.KOA, 2 if b"koa_esi" in asked.fields["QUERY"] else 0)
    text = fetched(server, tap_proposals.KOA, bands=("hires", "esi"))["SGR A"].text
    assert [q.partition(" FROM ")[2].split()[0] for q in queries(server)] == ["koa_hires", "koa_esi"] and text.startswith("Stars near the black hole (Keck 106.A-0001)")


@pytest.mark.parametrize("survey", tap_proposals.ROWS.values(), ids=tap_proposals.ROWS)
def test_cut_answers_are_loud_and_errors_are_their_own(server, survey):
    server.routes["/tap/sync"] = programmes(survey, 2, "OVERFLOW")
    with pytest.raises(ArchiveError, match="not complete"):
        fetched(server, survey)
    server.routes["/tap/sync"] = (400, b'<VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">no such table</INFO></RESOURCE></VOTABLE>', "text/xml")
    with pytest.raises(ArchiveError, match="no such table"):
        fetched(server, survey)
    whole = programmes(survey)[1]
    for content in (whole[:-200], whole.replace(survey.title.encode(), b"nothing"), b"<VOTABLE>"):
        with pytest.raises(ArchiveError, match=f"{survey.name}, target t"):
            list(survey.read(Raw(survey.name, ("t",), content, "", extra={"lengths": [len(content)]})))


@pytest.mark.remote
@pytest.mark.parametrize("survey", tap_proposals.ROWS.values(), ids=tap_proposals.ROWS)
def test_the_archive_itself(survey):
    place = Target("M 87", 187.7059, 12.3911)
    raws = list(survey.query(Targets([place]), Ask(radius=30.0)))
    assert [k for raw in raws for k, _ in survey.read(raw)] == ["M 87"]
