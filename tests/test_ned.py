"""NED over HTTP on loopback, with the real answers that astroquery ships for its own tests."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from answering import Answering

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import ned
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

DATA = Path(find_spec("astroquery").origin).parent / "ipac" / "ned" / "tests" / "data"
recorded = pytest.mark.skipif(not (DATA / "query_object.xml").is_file(), reason="this astroquery was installed without its test data")


def answer(name):
    return (DATA / f"query_{name}.xml").read_bytes()


NOTHING = b'<?xml version="1.0"?><VOTABLE version="1.1"><RESOURCE type="results"><PARAM name="Error" value=" No object found."/></RESOURCE></VOTABLE>'


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def ask(server, targets, **wanted):
    survey = replace(ned.TEXT, url=server.url, timeout=5.0)
    raws = list(survey.query(targets, Ask(**wanted)))
    assert [raw.target_ids for raw in raws] == [(i,) for i in targets.ids]
    return raws, {k: v for raw in raws for k, v in survey.read(raw)}


@recorded
def test_an_object_by_name_recorded_answer(server):
    server.routes["/objsearch"] = answer("object")
    server.routes["/datasearch"] = lambda asked: answer({"Notes": "notes", "Reference": "references"}[asked.query["search_type"]])
    _, texts = ask(server, Targets.from_identifiers(["3C 273"]))
    first, notes, references = (a.query for a in server.asked)
    assert first["objname"] == "3C 273" and first["of"] == "xml_main" and first["out_equinox"] == "J2000.0"
    assert notes == {"of": "xml_main", "objname": notes["objname"], "search_type": "Notes"} and references["ref_extend"] == "no" and references["begin_year"] == "1800"
    text = texts["3C 273"].text
    assert text.startswith(f"{notes['objname']}. NED object type: ") and "\nNotes:\n2008A&A...484..341R: The image of this well known quasar" in text
    assert "References (20 of " in text and "2011ApJS..192...19W: Seven-year Wilkinson Microwave Anisotropy Probe" in text
    assert "may say what the object is" in texts["3C 273"].provenance.release


@recorded
def test_the_nearest_of_a_position_recorded_answer(server):
    server.routes["/objsearch"] = answer("near_position")
    server.routes["/datasearch"] = NOTHING.replace(b"object", b"note")
    _, texts = ask(server, Targets([Target("here", 83.8211, -5.3928), Target("elsewhere", 83.0, -5.0)]), radius=2.0)
    query = server.asked[0].query
    assert query["search_type"] == "Near Position Search" and query["lon"] == "83.8211000d" and query["lat"] == "-5.3928000d" and float(query["radius"]) == pytest.approx(2 / 60, abs=1e-6)
    assert list(texts) == ["here"]  # nothing in the second answer lies within the radius of its position
    assert texts["here"].text.startswith("CXO J053517.0-052333. NED object type: *.") and "arcsec from the position" in texts["here"].text
    assert "Notes" not in texts["here"].text and "References" not in texts["here"].text


@recorded
def test_an_answer_cut_short_is_refused():
    content = answer("object")
    raw = Raw("ned/text", ("t",), content[: len(content) // 2], "")
    with pytest.raises(ArchiveError, match="ned/text, target t"):
        list(ned.TEXT.read(raw))


def test_nothing_there_is_no_failure_and_another_complaint_is(server):
    server.routes["/objsearch"] = NOTHING
    assert ask(server, Targets.from_identifiers(["no such"]))[1] == {}
    server.routes["/objsearch"] = NOTHING.replace(b" No object found.", b" The &lt;b&gt;database&lt;/b&gt; is down")
    with pytest.raises(ArchiveError, match=r"ned/text, target M 31: The .*database.* is down"):
        ask(server, Targets.from_identifiers(["M 31"]))


@pytest.mark.remote
def test_the_real_ned():
    texts = {k: v for raw in ned.TEXT.query(Targets([Target("M51", 202.469575, 47.195258)]), Ask(radius=5.0)) for k, v in ned.TEXT.read(raw)}
    assert "MESSIER 051" in texts["M51"].text.upper() and "References (20 of" in texts["M51"].text
