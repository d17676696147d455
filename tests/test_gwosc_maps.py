"""Sky maps of published events over HTTP on loopback; files to the documented formats."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
from answering import Answering
from test_sky_maps import flat, multi_order

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import gwosc_maps
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Targets

EVENTS = [
    {"name": "GW190412_053044-v2", "shortName": "GW190412_053044", "version": 2, "catalog": "GWTC-2.1-confident", "grace_id": "S190412m"},
    {"name": "GW191103_012549-v1", "shortName": "GW191103_012549", "version": 1, "catalog": "GWTC-3-confident", "grace_id": None},
    {"name": "GW200105_162426-v2", "shortName": "GW200105_162426", "version": 2, "catalog": "GWTC-9", "grace_id": "S200105ae"},
]
FLAT = gzip.compress(flat(8, np.full(768, 1 / 768), "NESTED"))
FILES = {"bayestar.multiorder.fits": "x", "Bilby.multiorder.fits": "x", "p_astro.json": "x"}


@pytest.fixture
def server():
    made = Answering()
    made.routes = {
        "/dcc/GW170817_skymap.fits.gz": FLAT, "/gwosc/event-versions": json.dumps({"next": None, "results": EVENTS}).encode(),
        "/gracedb/superevents/S190412m/files/": json.dumps(FILES).encode(), "/gracedb/superevents/S190412m/files/Bilby.multiorder.fits": multi_order(),
    }  # fmt: skip
    yield made
    made.close()


def fetched(server, names):
    survey = replace(gwosc_maps.SKY_MAP, url=server.url + "/dcc", events=server.url + "/gwosc", alerts=server.url + "/gracedb", timeout=5.0)
    raws = list(survey.query(Targets.from_identifiers(names), Ask()))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(names)
    return {k: v for raw in raws for k, v in survey.read(raw)}


def test_the_first_catalogues_own_maps_and_alerts_of_later_events_documented_format(server):
    maps = fetched(server, ["GW170817", "GW190412", "GW1"])
    assert sorted(maps) == ["GW170817", "GW190412"]  # there is no GW1, which is no failure
    assert maps["GW170817"].provenance.release == "GWTC-1, GW170817" and maps["GW170817"].provenance.query.endswith("/dcc/GW170817_skymap.fits.gz")
    assert maps["GW190412"].provenance.release == "GraceDB S190412m, Bilby.multiorder.fits" and len(maps["GW190412"].uniq) == 15
    assert all(np.all(one.density >= 0) for one in maps.values()) and len(server.paths("/gwosc")) == 1


def test_events_of_the_first_catalogue_need_no_list(server):
    assert list(fetched(server, ["gw170817-v3"])) == ["gw170817-v3"] and server.paths() == ["/dcc/GW170817_skymap.fits.gz"]


@pytest.mark.parametrize(("name", "says"), [("GW191103_012549", "zenodo.org/records/8177023"), ("GW200105_162426", "https://gwosc.org")])
def test_where_only_the_whole_catalogue_has_a_map_it_says_so(server, name, says):
    with pytest.raises(ArchiveError, match=rf"gwosc/sky_map, target {name}: no public alert has a sky map.*{says}"):
        fetched(server, [name])


@pytest.mark.parametrize("content", [b"", FLAT[:200], b'{"results": []}'])
def test_damaged_answers(content):
    with pytest.raises(ArchiveError, match="gwosc/sky_map, target t"):
        list(gwosc_maps.SKY_MAP.read(Raw("gwosc/sky_map", ("t",), content, "")))


@pytest.mark.remote
@pytest.mark.parametrize("name", ["GW170817", "GW190412"])
def test_the_archive_itself(name):
    raws = list(gwosc_maps.SKY_MAP.query(Targets.from_identifiers([name]), Ask()))
    assert [k for raw in raws for k, _ in gwosc_maps.SKY_MAP.read(raw)] == [name]
