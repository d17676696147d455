"""Subaru's catalogue jobs over HTTP on loopback: no answer of the archive is at hand, so all of them are to the documented format."""

import json
import threading
import time
from dataclasses import replace

import pytest
from answering import Answering

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.surveys import hsc, jobs, sessions
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

TARGETS = Targets([Target("a", 150.1, 2.2), Target("nothing", 150.2, 2.2)])
VALUES = {"target_row": "0", "object_id": "43158034708430061", "ra": "150.10001", "dec": "2.2", "tract": "9813", "patch": "404", "g_cmodel_mag": "21.5", "y_cmodel_mag": "NaN"}


def table(*rows):
    names = ["target_row", *hsc.COLUMNS]
    lines = [",".join(names), *(",".join(str({**VALUES, **row}.get(name, "")) for name in names) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def server(monkeypatch):
    made = Answering()
    made.states = ["waiting", "running", "done"]
    made.csv = table({}, {"object_id": "43158034708430062", "ra": "150.1004"})

    def said(asked):
        body = json.loads(asked.body)
        assert body["credential"] == {"account_name": "me", "password": "secret word"} and body["clientVersion"] == 20190514.1
        step = asked.path.rpartition("/")[2]
        if step == "submit":
            made.job = body
            return json.dumps({"id": 77, "status": "waiting"}).encode()
        assert body["id"] == 77
        if step == "status":
            state = made.states.pop(0) if len(made.states) > 1 else made.states[0]
            return json.dumps({"id": 77, "status": state, "error": "relation pdr3_wide.forced is away" if state == "error" else None}).encode()
        return (200, made.csv, "text/csv") if step == "download" else b"{}"

    made.routes["/jobs/*"] = said
    monkeypatch.setattr(jobs, "FIRST", 0.01)
    monkeypatch.setattr(jobs, "LONGEST", 0.02)
    for pair in hsc.ACCOUNTS:
        for name in pair:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSP_PDR_USR", "me")
    monkeypatch.setenv("SSP_PDR_PWD", "secret word")
    yield made
    made.close()


def fetched(server, targets=TARGETS, **wanted):
    survey = replace(hsc.TABLE, url=server.url + "/jobs", timeout=5.0)
    raws = list(survey.query(targets, Ask(**wanted)))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(targets.ids)
    return raws, {k: v for raw in raws for k, v in survey.read(raw)}


def test_one_job_for_all_targets_documented_format(server):
    raws, rows = fetched(server, radius=3.0)
    assert list(rows) == ["a"] and [p.rpartition("/")[2] for p in server.paths()] == ["submit", "status", "status", "status", "download", "delete"]
    row = rows["a"]
    assert row.values["object_id"] == "43158034708430061" and row.values["g_cmodel_mag"] == 21.5 and row.values["y_cmodel_mag"] is None and row.values["i_cmodel_mag"] is None
    assert row.values["match_count"] == 2 and row.values["match_distance"] == pytest.approx(0.036, abs=1e-3) and row.units["g_cmodel_mag"] == "mag"
    assert row.roles["object_id"] == "id" and row.roles["g_extendedness_value"] == row.roles["tract"] == "other" and "g_cmodel_mag" not in row.roles
    job = server.job["catalog_job"]
    assert job["release_version"] == "pdr3" and job["out_format"] == "csv" and server.job["nomail"] is True
    assert job["sql"].count(" UNION ALL ") == 1 and "SELECT 1 AS target_row, object_id, " in job["sql"]
    assert "FROM pdr3_wide.forced WHERE isprimary AND coneSearch(coord, 150.1, 2.2, 3.0)" in job["sql"]
    assert len(raws) == 1 and raws[0].content == server.csv and "secret" not in repr(raws)  # nor is it in the cache


def test_the_deep_layer_and_no_other(server):
    fetched(server, options={"layer": "deep"})
    assert "FROM pdr3_dud_rev.forced " in server.job["catalog_job"]["sql"]
    with pytest.raises(InputError, match=r"no layer 'ultra'.*wide, deep"):
        fetched(server, options={"layer": "ultra"})


def test_a_header_behind_a_sign_of_comment_is_read(server):
    server.csv = b"# " + table({})
    assert list(fetched(server)[1]) == ["a"]
    server.csv = table()
    assert fetched(server)[1] == {}


def test_without_an_account_it_is_said_how_to_get_one(server, monkeypatch):
    monkeypatch.delenv("SSP_PDR_PWD")
    with pytest.raises(ArchiveError, match=r"hsc/table.*your own account.*export SSP_PDR_USR=\.\.\. SSP_PDR_PWD"):
        fetched(server)
    assert not server.asked
    monkeypatch.setenv("HSC_SSP_CAS_USERNAME", "me")
    monkeypatch.setenv("HSC_SSP_CAS_PASSWORD", "secret word")
    assert list(fetched(server)[1]) == ["a"]


def test_the_archives_own_words_and_no_password_in_them(server):
    server.states = ["running", "error"]
    with pytest.raises(ArchiveError, match=r"relation pdr3_wide\.forced is away") as caught:
        fetched(server)
    assert not caught.value.transient and server.paths()[-1].endswith("/cancel")
    server.routes["/jobs/*"] = (401, b"invalid id or password: secret word", "text/plain")
    with pytest.raises(ArchiveError, match="does not take the name and password") as caught:
        fetched(server)
    assert "secret" not in str(caught.value) and not caught.value.transient


def test_stop_ends_the_wait_and_the_job(server):
    server.states, stop = ["running"], threading.Event()
    threading.Timer(0.3, stop.set).start()
    begun = time.monotonic()
    with sessions.patience(stop), pytest.raises(ArchiveError, match="fetch has ended") as caught:
        fetched(server)
    assert caught.value.transient and time.monotonic() - begun < 2.0 and server.paths()[-1].endswith("/cancel")


def test_the_next_attempt_goes_on_with_the_same_job(server):
    whole, broken = server.routes["/jobs/*"], [True]

    def once(asked):
        if asked.path.endswith("/download") and broken:
            broken.clear()
            return (503, b"busy", "text/plain")
        return whole(asked)

    server.routes["/jobs/*"] = once
    with sessions.patience(threading.Event()) as mine, pytest.raises(ArchiveError, match="HTTP 503") as caught:
        fetched(server)
    assert caught.value.transient
    with sessions.patience(threading.Event(), answers=mine.given):
        assert list(fetched(server)[1]) == ["a"]
    assert len([p for p in server.paths() if p.endswith("/submit")]) == 1


def test_a_job_may_not_last_for_ever(monkeypatch):
    monkeypatch.setattr(jobs, "LONGEST", 0.02)
    with pytest.raises(ArchiveError, match="still at work") as caught:
        jobs.wait("x/y", lambda: "", "t", first=0.01, longest=0.1)
    assert caught.value.transient and caught.value.target == "t"
    with sessions.patience(threading.Event(), time.monotonic() + 0.1), pytest.raises(ArchiveError, match="fetch has ended"):
        jobs.wait("x/y", lambda: "", first=0.01)


@pytest.mark.parametrize("content", [table({"target_row": "7"}), table({"target_row": "x"}), table({"ra": "east"}), table({})[:-30], b"object_id,ra\n1,2\n", b"\xff\xfe"])
def test_damaged_answers(content):
    raw = Raw("hsc/table", ("a",), content, "", extra={"ra": [150.1], "dec": [2.2], "radius": 3.0})
    with pytest.raises(ArchiveError, match="hsc/table, target a"):
        list(hsc.TABLE.read(raw))


def test_a_region(server):
    found = replace(hsc.TABLE, url=server.url + "/jobs").objects_in(150.1, 2.2, 0.01, 5)
    assert found.ids == ("43158034708430061", "43158034708430062") and server.job["catalog_job"]["sql"].endswith("coneSearch(coord, 150.1, 2.2, 36.0) LIMIT 5")


@pytest.mark.remote
def test_the_archive_itself():
    raws = list(hsc.TABLE.query(Targets([Target("COSMOS", 150.1192, 2.2058)]), Ask(radius=5.0)))
    assert [k for raw in raws for k, _ in hsc.TABLE.read(raw)] == ["COSMOS"]
