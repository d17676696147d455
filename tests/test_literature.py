"""Papers, circulars, telegrams and proposals over HTTP on loopback."""

import json
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from answering import Answering
from astropy.table import Table
from loopback import votable

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Text
from astrofuse_lab.surveys import ads, alma_proposals, arxiv, atel, gcn, mast_proposals, messages
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

ASTROQUERY = Path(find_spec("astroquery").origin).parent
TOKEN = "s3cret-t0ken"


class Heard(Answering):
    """Also keeps the headers and the addresses as sent."""

    def __init__(self):
        super().__init__()
        self.headers, self.lines = [], []

    def answer(self, handler):
        self.headers.append(handler.headers)
        self.lines.append(handler.path)
        super().answer(handler)


@pytest.fixture
def server():
    made = Heard()
    yield made
    made.close()


def fetch(survey, server, targets, **wanted):
    survey = replace(survey, url=server.url, timeout=5.0, **({"mirrors": ()} if survey.mirrors else {}))
    raws = list(survey.query(targets, Ask(**wanted)))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(targets.ids)
    found = {k: v for raw in raws for k, v in survey.read(raw)}
    assert all(isinstance(one, Text) and "may say what the object is" in one.provenance.release for one in found.values())
    return raws, found


def named(*names):
    return Targets.from_identifiers(names)


# ADS -----------------------------------------------------------------------------------------------


@pytest.fixture
def token(monkeypatch):
    for name in ads.TOKENS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ADS_API_TOKEN", TOKEN)


def docs(*titles, total=None):
    rows = [{"title": [t], "bibcode": f"2020ApJ...{i:03d}A", "year": "2020", "abstract": f"Abstract of <i>{t}</i> &amp; more."} for i, t in enumerate(titles)]
    return (200, json.dumps({"response": {"numFound": total or len(rows), "docs": rows}}).encode(), "application/json")


def test_ads_abstracts_by_name_and_the_token_in_a_header_only(server, token):
    server.routes["/query"] = lambda asked: docs("A jet", "A disk", total=75) if "3C 273" in asked.query["q"] else docs()
    raws, texts = fetch(ads.TEXT, server, named("3C 273", 'no "such"'), limit=2)
    assert server.asked[0].query == {"q": 'object:"3C 273"', "fl": "bibcode,title,abstract,year,pub", "rows": "2", "sort": "date desc"}
    assert server.asked[1].query["q"] == 'object:"no such"' and server.headers[0]["Authorization"] == f"Bearer {TOKEN}"
    assert list(texts) == ["3C 273"]
    assert texts["3C 273"].text.split("\n\n") == ["A jet (2020, 2020ApJ...000A). Abstract of A jet & more.", "A disk (2020, 2020ApJ...001A). Abstract of A disk & more.",
                                                  "[2 of 75 publications]"]  # fmt: skip
    assert TOKEN not in repr(raws) and TOKEN not in repr(texts) and not any(TOKEN in line for line in server.lines)


def test_ads_without_a_token_says_where_to_get_one(server, token, monkeypatch):
    monkeypatch.delenv("ADS_API_TOKEN")
    with pytest.raises(ArchiveError, match=r"ads/text, target 3C 273: ADS wants your own token.*settings/token.*export ADS_DEV_KEY=") as caught:
        fetch(ads.TEXT, server, named("3C 273"))
    assert not caught.value.transient and server.asked == []
    monkeypatch.setenv("ADS_DEV_KEY", "two words\nHeader: x")
    with pytest.raises(ArchiveError, match="signs that no token has"):
        fetch(ads.TEXT, server, named("3C 273"))
    with pytest.raises(InputError, match="field='colour'"):
        fetch(ads.TEXT, server, named("3C 273"), options={"field": "colour"})


def test_a_token_that_ads_refuses_is_not_repeated(server, token):
    server.routes["/query"] = (401, f'{{"error": "Unauthorized {TOKEN}"}}'.encode(), "application/json")
    with pytest.raises(ArchiveError, match="does not take the token in ADS_API_TOKEN") as caught:
        fetch(ads.TEXT, server, named("3C 273"))
    assert TOKEN not in str(caught.value)


def test_ads_recorded_answer():
    path = ASTROQUERY / "nasa_ads" / "tests" / "data" / "test_text.txt"
    if not path.is_file():
        pytest.skip("this astroquery was installed without its test data")
    found = dict(ads.TEXT.read(Raw("ads/text", ("x",), path.read_bytes(), "")))
    assert found["x"].text == "Origin of water around deeply embedded low-mass protostars (2011IAUS..280P.295P). abstract text"


# arXiv ---------------------------------------------------------------------------------------------

FEED = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>ArXiv Query</title>
<opensearch:totalResults xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">{total}</opensearch:totalResults>{entries}</feed>"""
ENTRY = "<entry><id>http://arxiv.org/abs/2005.00001v1</id><published>2020-05-01T00:00:00Z</published><title>On\n  {0}</title><summary>  We look at\n{0} &lt;again&gt;. </summary></entry>"


def test_arxiv_by_name_and_number_documented_format(server):
    server.routes["/query"] = lambda asked: FEED.format(total=9, entries=ENTRY.format("M 51")).encode() if "nothing" not in str(asked.query) else FEED.format(total=0, entries="").encode()
    fast = replace(arxiv.TEXT, pause=0.0)
    _, texts = fetch(fast, server, named("M 51", "2005.00001", "nothing"), limit=1)
    assert server.asked[0].query == {"search_query": 'all:"M 51"', "start": "0", "max_results": "1", "sortBy": "submittedDate", "sortOrder": "descending"}
    assert server.asked[1].query == {"id_list": "2005.00001", "start": "0", "max_results": "1"}
    assert texts["M 51"].text == "On M 51 (2020-05-01, arXiv:2005.00001v1). We look at M 51 <again>.\n\n[1 of 9 publications]" and "nothing" not in texts


def test_arxiv_is_asked_no_more_often_than_it_allows(server, monkeypatch):
    waits = []
    monkeypatch.setattr(arxiv, "time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic))
    monkeypatch.setattr(arxiv, "_last", time.monotonic() - 1000)
    server.routes["/query"] = FEED.format(total=0, entries="").encode()
    assert arxiv.TEXT.pause == 3.0
    fetch(arxiv.TEXT, server, named("a", "b", "c"))
    assert len(waits) == 2 and all(2.5 < w <= 3.0 for w in waits)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FEED.format(total=1, entries="<entry><id>http://arxiv.org/api/errors#x</id><summary>incorrect id format</summary></entry>").encode(), "incorrect id format"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><feed>&a;</feed>', "entities"), (b"<rss/>", "rss"), (FEED.format(total="many", entries="").encode(), "Atom feed"),
    ],
)  # fmt: skip
def test_feeds_that_arxiv_would_not_send(content, words):
    with pytest.raises(ArchiveError, match=f"arxiv/text, target t: .*{words}"):
        list(arxiv.TEXT.read(Raw("arxiv/text", ("t",), content, "")))


# GCN -----------------------------------------------------------------------------------------------


def circular(number, subject="GRB 170817A: a burst", body="We saw <b>it</b>.", **more):
    return {"circularId": number, "subject": subject, "createdOn": 1503000000000 + number, "submitter": "A. Person at Institute <a@b.c>", "body": body, "eventId": "GRB 170817A", **more}


def test_circulars_of_an_event_documented_format(server):
    listed = [circular(3), {**circular(2), "body": ""}, circular(1), circular(3)]
    server.routes["/api/synonym/circulars"] = lambda asked: (200, json.dumps(listed if "grb" in asked.query["eventIds"] else []).encode(), "application/json")
    server.routes["/circulars/2.json"] = json.dumps(circular(2, body="The second.")).encode()
    _, texts = fetch(gcn.TEXT, server, named("grb170817a", "nothing"), limit=2)
    assert server.lines[0] == "/api/synonym/circulars?eventIds=grb170817a&eventIds=GRB+170817A" and "text/html" not in server.headers[0]["Accept"]
    assert list(texts) == ["grb170817a"]
    first, second, rest = texts["grb170817a"].text.split("\n\n")
    assert first == "GCN Circular 1 (2017-08-17 20:00:00 UT): GRB 170817A: a burst\nFrom: A. Person at Institute\nWe saw <b>it</b>."
    assert second.endswith("The second.") and rest == "[2 of 3 circulars; give a larger limit for more]"


def test_one_circular_by_its_number_and_none(server):
    server.routes["/circulars/21505.json"] = json.dumps(circular(21505)).encode()
    _, texts = fetch(gcn.TEXT, server, named("21505", "GCN 99999"))
    assert list(texts) == ["21505"] and texts["21505"].text.startswith("GCN Circular 21505 (")


@pytest.mark.parametrize(
    ("name", "form"),
    [("GRB170817A", "GRB 170817A"), ("s190425z", "LIGO/Virgo S190425z"), ("IC 200916a", "IceCube-200916A"), ("AT 2017gfo", "AT2017gfo"), ("SN2023ixf", "SN 2023ixf"),
     ("EP240315A", "EP240315a"), ("FRB 20180301a", "FRB 20180301A"), ("GW170817", "GW170817")],
)  # fmt: skip
def test_events_are_spelled_as_gcn_does(name, form):
    assert gcn.spellings(name)[0] == name and form in gcn.spellings(name)


# ATel ----------------------------------------------------------------------------------------------

TELEGRAM = b"""<!DOCTYPE html><html><head><title>ATel #1</title><style>p{}</style></head><body><div id="nav">Outside <a>GCN</a></div>
<div id="telegram"><h1 class=title>A bright nova</h1><p>ATel #1; <strong>A. Person</strong><p>We report <script>alert(1)</script>a nova in M&nbsp;31 &lt; 3 mag.<div>R = 16.2</div></div>
<div>Footer</div></body></html>"""
RSS = b"""<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<item><title>ATel 17000: Spectrum of SN 2026abc</title><link>https://www.astronomerstelegram.org/?read=17000</link><description>&lt;p&gt;A type Ia&lt;/p&gt;</description><dc:date>2026-11-01T00:00:00</dc:date></item>
<item><title>ATel 17001: Another</title><description>not it</description></item></rdf:RDF>"""


def test_a_telegram_by_number_and_the_feed_by_name_documented_format(server):
    server.routes["/"] = lambda asked: (200, TELEGRAM, "text/html") if "read" in asked.query else (200, RSS, "text/xml")
    raws, texts = fetch(atel.TEXT, server, named("ATel #1", "SN2026abc", "SN 2026xyz"))
    assert [raw.target_ids for raw in raws] == [("ATel #1",), ("SN2026abc", "SN 2026xyz")] and server.asked[0].query == {"read": "1"}
    assert texts["ATel #1"].text == "A bright nova\n\nATel #1; A. Person\nWe report a nova in M 31 < 3 mag.\nR = 16.2"
    assert texts["SN2026abc"].text == "ATel 17000: Spectrum of SN 2026abc (2026-11-01). A type Ia" and "SN 2026xyz" not in texts
    server.routes["/"] = (200, b"<html><body>No such telegram</body></html>", "text/html")
    with pytest.raises(ArchiveError, match="atel/text, target 99999: the page has no telegram"):
        fetch(atel.TEXT, server, named("99999"))


# ALMA ----------------------------------------------------------------------------------------------


def test_proposals_at_a_position(server):
    rows = [("2016.1.00386.S", "CO of M83", "Koda, Jin", "Spiral galaxies", "We propose a map."), ("2017.1.00079.S", "More CO", "", "", "")]

    def answer(asked):
        table = Table({n: np.array([r[i] for r in rows if "204.25" in asked.fields["QUERY"].decode()], dtype="U60") for i, n in enumerate(alma_proposals.COLUMNS)})
        return (200, votable(table), "application/x-votable+xml")

    server.routes["/sync"] = answer
    _, texts = fetch(alma_proposals.TEXT, server, Targets([Target("M83", 204.25, -29.87), Target("b", 10.0, 20.0)]), radius=3.6)
    assert server.asked[0].fields["QUERY"].decode().endswith("WHERE INTERSECTS(CIRCLE('ICRS', 204.25, -29.87, 0.001), s_region) = 1")
    assert list(texts) == ["M83"]
    assert texts["M83"].text == "More CO (ALMA 2017.1.00079.S).\n\nCO of M83 (ALMA 2016.1.00386.S, Koda, Jin). Keywords: Spiral galaxies. We propose a map."


def test_alma_columns_recorded_answer():
    path = ASTROQUERY / "alma" / "tests" / "data" / "alma-onerow.txt"
    if not path.is_file():
        pytest.skip("this astroquery was installed without its test data")
    table = Table.read(path, format="ascii")
    content = votable(Table({n: [str(table[n][0])] for n in alma_proposals.COLUMNS}))
    found = dict(alma_proposals.TEXT.read(Raw("alma/text", ("M83",), content, "")))
    assert found["M83"].text.startswith("Mapping Molecular ISM in the Whole Disk of M83 (ALMA 2017.1.00079.S, Koda, Jin). Keywords: Spiral galaxies")


# MAST ----------------------------------------------------------------------------------------------


def test_programmes_at_a_position(server):
    def answer(asked):
        wanted = json.loads(asked.fields["request"])
        assert wanted["service"] == "Mast.Caom.Filtered.Position" and wanted["params"]["filters"] == [{"paramName": "obs_collection", "values": ["HST"]}]
        row = {"obs_collection": "HST", "proposal_id": "8880", "proposal_pi": "Osten", "obs_title": "EV Lac", "target_classification": "STAR;M V-IV", "instrument_name": "STIS/CCD", "target_name": "x"}
        rows = [row, {**row, "instrument_name": "WFC3"}, {**row, "proposal_id": "12345", "obs_title": "A newer one", "proposal_pi": None}, {**row, "proposal_id": None}]
        rows = rows if wanted["params"]["position"] == "341.7, 44.33, 0.001" else []
        return (200, json.dumps({"status": server.status, "msg": "wait", "data": rows, "paging": {"rowsTotal": len(rows) + server.more}}).encode(), "text/json")

    server.routes["/"] = answer
    server.status, server.more = "COMPLETE", 0
    targets = Targets([Target("EV Lac", 341.7, 44.33), Target("b", 10.0, 20.0)])
    _, texts = fetch(mast_proposals.TEXT, server, targets, radius=3.6, bands=("HST",))
    assert list(texts) == ["EV Lac"]
    assert texts["EV Lac"].text == ("A newer one (HST 12345). Instruments: STIS/CCD. Target classification: STAR;M V-IV.\n\n"
                                    "EV Lac (HST 8880, Osten). Instruments: STIS/CCD, WFC3. Target classification: STAR;M V-IV.")  # fmt: skip
    server.more = 1
    with pytest.raises(ArchiveError, match="not complete"):
        fetch(mast_proposals.TEXT, server, targets, radius=3.6, bands=("HST",))
    server.status = "EXECUTING"
    with pytest.raises(ArchiveError, match="still at work") as caught:
        fetch(mast_proposals.TEXT, server, targets, radius=3.6, bands=("HST",))
    assert caught.value.transient


@pytest.mark.parametrize("name", ["advSearch.json", "advSearchPos.json"])
def test_programmes_recorded_answer(name):
    path = ASTROQUERY / "mast" / "tests" / "data" / name
    if not path.is_file():
        pytest.skip("this astroquery was installed without its test data")
    text = dict(mast_proposals.TEXT.read(Raw("mast/text", ("t",), path.read_bytes(), "")))["t"].text
    assert ("EV Lac (HST 8880, Osten)." if name == "advSearch.json" else "EXTENDED GALEX COVERAGE OF THE CFHT 'WIDE' LEGACY SURVEY (GALEX") in text


# what they share -----------------------------------------------------------------------------------


def test_names_that_are_none_are_refused_and_long_texts_are_cut():
    with pytest.raises(InputError, match="not one to search for"):
        messages.name_of("s", Target("x" * 201, 1.0, 2.0))
    cut = messages.bounded("a\x00b\x1b[31m" + "c" * messages.LONGEST)
    assert cut.startswith("ab[31mccc") and cut.endswith(f"[cut after {messages.LONGEST} characters]")
    with pytest.raises(ArchiveError, match="were kept"):
        messages.pieces(Raw("s", ("t",), b"abc", "", extra={"lengths": [1, 1]}))


@pytest.mark.remote
@pytest.mark.parametrize(
    ("survey", "name"), [(arxiv.TEXT, "3C 273"), (gcn.TEXT, "GRB 170817A"), (gcn.TEXT, "21505"), (atel.TEXT, "10000"), (ads.TEXT, "3C 273")], ids=lambda v: getattr(v, "name", v)
)
def test_the_real_services(survey, name):
    if survey is ads.TEXT and not any(map(__import__("os").environ.get, ads.TOKENS)):
        pytest.skip("needs ADS_DEV_KEY")
    texts = {k: v for raw in survey.query(named(name), Ask()) for k, v in survey.read(raw)}
    assert len(texts[name].text) > 200


@pytest.mark.remote
def test_the_real_alma():
    texts = {k: v for raw in alma_proposals.TEXT.query(Targets([Target("M83", 204.25383, -29.86576)]), Ask()) for k, v in alma_proposals.TEXT.read(raw)}
    assert "2017.1.00079.S" in texts["M83"].text
