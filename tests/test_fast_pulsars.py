"""The Pulsar Survey Scraper over HTTP on loopback; answers to its documented format."""

import json
from dataclasses import replace

import pytest
from answering import Answering

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import fast_pulsars
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

HERE, NOWHERE = Target("here", 285.5, 3.1), Target("nowhere", 10.0, 60.0)


def pulsar(ra, dec, survey, period=1.5, dm=300.0):
    values = {"ra": ("RA (deg)", ra), "dec": ("Dec (deg)", dec), "period": ("Spin Period (ms)", period), "dm": ("DM (pc/cc)", dm), "survey": ("Survey", survey),
              "url": ("Survey URL", "http://zmtt.bao.ac.cn/GPPS/GPPSnewPSR.html"), "distance": ("Distance (deg)", 0.01), "date": ("Retrieval Date", "2026-10-01 00:00")}  # fmt: skip
    return {key: {"display_name": words, "value": value} for key, (words, value) in values.items()}


def answer(matches, **pulsars):
    searched = {f"search{k}": {"display_name": k, "value": v} for k, v in {"ra": 285.5, "dec": 3.1, "coord": "19:02:00 +03:06:00", "rad": 0.05}.items()}
    return json.dumps({**searched, "nmatches": matches, **{name.replace("_p", "+").replace("_", "-"): one for name, one in pulsars.items()}}).encode()


FULL = answer(5, J1902_p0306g=pulsar(285.51, 3.1, "FAST-GPPS", 1063.7, -999), J1902_p0305=pulsar(285.53, 3.09, "CRAFTS"), J1902_p03=pulsar(285.5, 3.1, "ATNF"))


@pytest.fixture
def server():
    made = Answering()
    made.routes["/api"] = lambda asked: FULL if asked.query["ra"] == "285.5" else answer(0)
    yield made
    made.close()


def fetched(server, targets=(HERE, NOWHERE), **wanted):
    survey = replace(fast_pulsars.TABLE, url=server.url + "/api", timeout=5.0)
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    return {k: v for raw in raws for k, v in survey.read(raw)}


def test_the_nearest_pulsar_of_fast_documented_format(server):
    rows = fetched(server)
    assert list(rows) == ["here"] and server.asked[0].query == {"type": "search", "ra": "285.5", "dec": "3.1", "radius": "0.05"}
    row = rows["here"]
    assert row.values["name"] == "J1902+0306g" and row.values["survey"] == "FAST-GPPS" and row.values["period"] == 1063.7 and row.values["dm"] is None
    assert row.values["match_distance"] == pytest.approx(35.95, abs=0.02) and row.values["match_count"] == 2 and row.values["same_name"] == 2
    assert row.units["period"] == "ms" and row.units["dm"] == "pc / cm3" and row.roles["name"] == "id" and row.roles["survey"] == "other" and "period" not in row.roles


def test_its_own_radius_counts_where_the_fetchs_is_smaller(server):
    assert fetched(server, (HERE,), options={"radius": 10.0}) == {} and float(server.asked[-1].query["radius"]) == pytest.approx(10 / 3600)
    fetched(server, (HERE,), radius=720.0)
    assert server.asked[-1].query["radius"] == "0.2"


def test_errors_in_the_services_own_words(server):
    server.routes["/api"] = (400, b'{"error": "radius is too large"}', "application/json")
    with pytest.raises(ArchiveError, match=r"fast/pulsars, target here.*radius is too large"):
        fetched(server, (HERE,))


@pytest.mark.parametrize("content", [FULL[:-20], b'{"Error": "no such search"}', answer(1, a={"ra": 1}), answer(1, a=pulsar("east", 3.1, "CRAFTS")), answer(None)])
def test_damaged_answers(content):
    raw = Raw("fast/pulsars", ("t",), content, "", extra={"ra": 285.5, "dec": 3.1, "radius": 180.0})
    with pytest.raises(ArchiveError, match="fast/pulsars, target t"):
        list(fast_pulsars.TABLE.read(raw))


@pytest.mark.remote
def test_the_service_itself():
    raws = list(fast_pulsars.TABLE.query(Targets([Target("J1848+0127g", 282.0, 1.45)]), Ask(radius=1800.0)))
    assert [k for raw in raws for k, _ in fast_pulsars.TABLE.read(raw)] == ["J1848+0127g"]
