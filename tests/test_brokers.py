"""ALeRCE, Fink and Lasair over loopback, in the formats that their clients and servers document."""

import json
from dataclasses import replace

import numpy as np
import packets as made
import pytest
from answering import Answering

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image, TableRow
from astrofuse_lab.surveys import brokers
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

HERE, NOWHERE, NAMED = Target("here", 150.0, 20.0), Target("nowhere", 10.0, 20.0), Target("named", identifier="ZTF19abguqsi")
ZTF = ("alerce/light_curve", "fink/light_curve", "lasair/light_curve")
DETECTIONS = [
    {"mjd": 59000.0, "candid": "1001", "fid": 1, "magpsf": 18.0, "sigmapsf": 0.1, "diffmaglim": 20.5, "isdiffpos": 1, "has_stamp": True, "ra": 150.0, "dec": 20.0},
    {"mjd": 59002.0, "candid": "1002", "fid": 2, "magpsf": 17.5, "sigmapsf": 0.05, "diffmaglim": 20.5, "isdiffpos": -1, "has_stamp": False, "ra": 150.0, "dec": 20.0},
]  # fmt: skip
LIMITS = [{"mjd": 58999.0, "fid": 1, "diffmaglim": 20.0}]
FINK = [
    {"i:objectId": "ZTF19abguqsi", "i:jd": 2459002.5, "i:fid": 2, "i:magpsf": 17.5, "i:sigmapsf": 0.05, "i:diffmaglim": 20.5, "i:isdiffpos": "f", "d:tag": "valid"},
    {"i:objectId": "ZTF19abguqsi", "i:jd": 2459000.5, "i:fid": 1, "i:magpsf": 18.0, "i:sigmapsf": 0.1, "i:diffmaglim": 20.5, "i:isdiffpos": "t", "d:tag": "valid"},
    {"i:jd": 2458999.5, "i:fid": "1", "i:magpsf": None, "i:sigmapsf": None, "i:diffmaglim": "20.0", "i:isdiffpos": None, "d:tag": "upperlim"},
]  # fmt: skip
LASAIR = [{"jd" if i else "mjd": (2400000.5 if i else 0.0) + d["mjd"], "candid": int(d["candid"]), "fid": d["fid"], "magpsf": d["magpsf"], "sigmapsf": d["sigmapsf"],
           "isdiffpos": "t" if d["isdiffpos"] == 1 else "f"} for i, d in enumerate(DETECTIONS)] + [{"mjd": 58999.0, "fid": 1, "magpsf": 20.0, "candid": None}]  # fmt: skip


def dumped(value):
    return (200, json.dumps(value).encode(), "application/json")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv(brokers.TOKEN, "abc123")
    answering = Answering()

    def near(asked, got, nothing=None):
        given = asked.query or ({k: v.decode() for k, v in asked.fields.items()} if asked.fields else json.loads(asked.body))
        return dumped(got if abs(float(given["ra"]) - 150) < 1 else nothing)

    other = {"oid": "ZTF20other", "meanra": 150.0005, "meandec": 20.0}
    answering.routes |= {
        "/objects": lambda asked: near(asked, {"items": [other, {"oid": "ZTF19abguqsi", "meanra": 150.0001, "meandec": 20.0}], "total": 2}, {"items": []}),
        "/objects/ZTF19abguqsi/lightcurve": dumped({"detections": DETECTIONS, "non_detections": LIMITS}),
        "/get_avro": (200, made.container(made.ZTF, [made.ztf()], "snappy"), "application/octet-stream"),
        "/api/v1/conesearch": lambda asked: near(asked, [{"i:objectId": "ZTF19abguqsi", "i:ra": 150.0, "i:dec": 20.0, "v:separation": 0.0}], []),
        "/api/v1/objects": dumped(FINK),
        "/cone/": lambda asked: near(asked, {"nearest": {"object": "ZTF19abguqsi", "separation": 0.1}}, {"nearest": {}}),
        "/object/": dumped({"objectId": "ZTF19abguqsi", "candidates": LASAIR}),
    }
    yield answering
    answering.close()


def fetched(name, server, *targets, **wanted):
    survey = replace(brokers.ROWS[name], url=server.url, timeout=2.0, **({"packets": server.url} if name.startswith("alerce") else {}))
    raws = list(survey.query(Targets(targets), Ask(**wanted)))
    assert [raw.target_ids for raw in raws] == [(t.object_id,) for t in targets]
    return {k: v for raw in raws for k, v in survey.read(raw)}


@pytest.mark.parametrize("name", ZTF)
def test_light_curves_documented_format(name, server):
    got = fetched(name, server, HERE, NOWHERE, NAMED)
    assert list(got) == ["here", "named"]
    for curve in got.values():
        assert list(curve.time) == pytest.approx([58999.0, 59000.0, 59002.0]) and list(curve.band) == ["g", "g", "r"] and list(curve.limit) == [True, False, False]
        # difference fluxes: the last is fainter than the reference
        assert curve.flux == pytest.approx([0.0, 3631e6 * 10**-7.2, -3631e6 * 10**-7.0]) and curve.mask.all()
        assert curve.flux_err[0] == pytest.approx(3631e6 * 10**-8.0 / 5) and curve.flux_err[1] == pytest.approx(curve.flux[1] * 0.1 * np.log(10) / 2.5)
        assert curve.unit == "uJy" and curve.clock == "UTC"
    assert list(fetched(name, server, NAMED, bands=("r",), time=(58999.5, 60000.0))["named"].band) == ["r"]


def test_what_the_brokers_are_asked(server):
    fetched("alerce/light_curve", server, HERE, radius=2.0)
    cone = server.asked[0]
    assert cone.query == {"ra": "150.0000000", "dec": "20.0000000", "radius": "2", "page_size": "1000"} and len(server.asked) == 2
    fetched("fink/light_curve", server, HERE, radius=2.0)
    cone, objects = (json.loads(asked.body) for asked in server.asked[2:])
    assert cone["radius"] == "2" and cone["columns"] == "i:objectId" and objects["objectId"] == "ZTF19abguqsi" and objects["withupperlim"] == "True"
    fetched("lasair/light_curve", server, HERE, radius=2.0)
    cone, one = server.asked[4:]
    assert cone.fields["requestType"] == b"nearest" and one.fields["objectId"] == b"ZTF19abguqsi" and one.method == "POST"


def test_alerce_sends_the_packet(server):
    image, row = (fetched(f"alerce/{gives}", server, HERE)["here"] for gives in ("image", "table"))
    assert isinstance(image, Image) and image.flux.shape == (3, 63, 63) and isinstance(row, TableRow) and row.values["magpsf"] == 18.0 and row.roles["rb"] == "other"
    # only detections with a packet of their own have stamps
    assert [a.query for a in server.asked if a.path == "/get_avro"] == [{"oid": "ZTF19abguqsi", "candid": "1001"}] * 2
    assert fetched("alerce/image", server, HERE, time=(59001.0, 59003.0)) == {}
    with pytest.raises(InputError, match="choose='best'"):
        fetched("alerce/image", server, HERE, options={"choose": "best"})


def test_rubin_through_fink(server):
    sources = [{"r:diaObjectId": "77", "r:midpointMjdTai": mjd, "r:psfFlux": flux, "r:psfFluxErr": 100.0, "r:band": band} for mjd, flux, band in ((61001.0, -50.0, "u"), (61000.0, 4000.0, "r"))]
    server.routes["/api/v1/conesearch"] = dumped([{"r:diaObjectId": "77", "r:ra": 150.0, "r:dec": 20.0, "r:midpointMjdTai": 61001.0, "v:separation": 0.0}])
    server.routes["/api/v1/sources"] = dumped(sources)
    curve = fetched("fink/rubin_light_curve", server, HERE)["here"]
    assert curve.clock == "TAI" and list(curve.time) == [61000.0, 61001.0] and curve.flux == pytest.approx([4.0, -0.05]) and list(curve.band) == ["r", "u"]
    assert json.loads(server.asked[1].body)["diaObjectId"] == "77"


def test_epochs_of_bad_quality_are_masked(server):
    server.routes["/api/v1/objects"] = dumped([FINK[1], {**FINK[0], "d:tag": "badquality"}])
    assert list(fetched("fink/light_curve", server, NAMED)["named"].mask) == [True, False]
    server.routes["/api/v1/objects"] = dumped([{**FINK[0], "d:tag": "dubious"}])
    with pytest.raises(ArchiveError, match="'dubious'"):
        fetched("fink/light_curve", server, NAMED)


def test_nothing_there_is_no_failure(server):
    server.routes["/objects"] = (404, b'{"message": "Not Found"}', "application/json")
    assert fetched("alerce/light_curve", server, HERE) == {}
    assert fetched("alerce/light_curve", server, Target("x", identifier="ZTF00none")) == {}  # 404 as well
    server.routes["/api/v1/objects"] = dumped([])
    assert fetched("fink/light_curve", server, Target("x", identifier="ZTF00none")) == {}


def test_the_brokers_own_words(server):
    server.routes["/api/v1/conesearch"] = (400, b"{'status': 'error', 'text': '`radius` cannot be bigger than 18,000 arcseconds'}", "text/html")
    with pytest.raises(ArchiveError, match="cannot be bigger than 18,000"):
        fetched("fink/light_curve", server, HERE)
    server.routes["/objects"] = dumped({"items": [{"oid": f"ZTF{i}", "meanra": 150.0, "meandec": 20.0} for i in range(brokers.MOST)]})
    with pytest.raises(ArchiveError, match="1000 objects are within the radius"):
        fetched("alerce/light_curve", server, HERE)
    server.routes["/get_avro"] = b"no packet"
    with pytest.raises(ArchiveError, match="no complete Avro file"):
        fetched("alerce/table", server, NAMED)


def test_lasair_wants_a_token(server, monkeypatch):
    server.routes["/object/"] = (401, b'{"detail": "Invalid token."}', "application/json")
    with pytest.raises(ArchiveError, match="does not take the token in LASAIR_TOKEN") as caught:
        fetched("lasair/light_curve", server, NAMED)
    assert "abc123" not in str(caught.value)
    for token, words in (("", "needs your own Lasair token"), ("with blank in", "signs that no token has")):
        monkeypatch.setenv(brokers.TOKEN, token)
        asked = len(server.asked)
        with pytest.raises(InputError, match=words):
            fetched("lasair/light_curve", server, NAMED)
        assert len(server.asked) == asked


def test_names_and_targets_that_make_no_sense(server):
    with pytest.raises(InputError, match="no name of an object"):
        fetched("alerce/light_curve", server, Target("x", identifier="../../secret?a=b"))
    with pytest.raises(InputError, match="position or an identifier"):
        fetched("fink/light_curve", server, Target("day", time=(59000.0, 59001.0)))
    assert all("secret" not in path for path in server.paths())


@pytest.mark.parametrize("name", ZTF)
@pytest.mark.parametrize("value", [[1], {"detections": 1, "candidates": 1, "non_detections": []}, [{"i:jd": "soon"}], {"candidates": [{"mjd": 1}], "detections": [{}], "non_detections": []}])
def test_other_json_is_an_archive_error(name, value):
    content = json.dumps(value).encode()
    with pytest.raises(ArchiveError) as caught:
        list(brokers.ROWS[name].read(Raw(name, ("t",), content, "", extra={"lengths": [len(content)]})))
    assert caught.value.survey == name and caught.value.target == "t"


@pytest.mark.remote
@pytest.mark.parametrize("name", [name for name in brokers.ROWS if not name.startswith("lasair")])
def test_live(name):
    target = Target("x", identifier="169298433216610349" if "rubin" in name else "ZTF21abfmbix")
    (raw,) = brokers.ROWS[name].query(Targets([target]), Ask())
    assert list(brokers.ROWS[name].read(raw))
