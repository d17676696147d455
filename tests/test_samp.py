"""SAMP on a hub of this test's own: samples and selections go out, tables, rows and positions come in; nothing is read from other machines."""

import http.server
import io
import threading
import time

import numpy as np
import pytest
from astropy.table import Table
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.widgets import samp as ours

samp = pytest.importorskip("pyvo.samp")


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)


def asked(other, me, kind, **params):
    """What a tool answers; not by the hub's `callAndWait`, which loses an answer that comes before it has begun to wait (pyvo 1.9)."""
    answers, tag = [], f"asked-{time.monotonic_ns()}"
    other.bind_receive_response(tag, lambda _key, _sender, _tag, answer: answers.append(answer))
    other.call(me, tag, {"samp.mtype": kind, "samp.params": params})
    until(lambda: answers)
    return answers[0]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    place = tmp_path_factory.mktemp("hub") / "samp.hub"
    made = samp.SAMPHubServer(web_profile=False, addr="127.0.0.1", lockfile=str(place))
    samp.conf.use_internet = False
    made.start()
    yield place
    made.stop()


@pytest.fixture
def other(hub, monkeypatch):
    """Another tool, which writes down what it hears."""
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{hub.as_uri()}")
    client = samp.SAMPIntegratedClient(name="Other tool", addr="127.0.0.1")
    client.connect()
    client.heard = []
    for kind in ("table.load.votable", "table.select.rowList", "table.highlight.row"):
        client.bind_receive_notification(kind, lambda _k, _s, kind, params, _e: client.heard.append((kind, params)))
    yield client
    client.disconnect()


@pytest.fixture
def link(other):
    made = af.SampLink(make_toy_samples(20))
    yield made
    made.close()


def test_samples_and_selections_go_out(link, other):
    assert link.tools() == ["Other tool"] or "Other tool" in link.tools()
    assert "Other tool" in link.send()
    until(lambda: other.heard)
    kind, params = other.heard[0]
    assert kind == "table.load.votable" and params["name"] == "Toy samples for tests"
    table = Table.read(io.BytesIO(ours.read_own(params["url"])), format="votable")
    assert list(table["object_id"]) == link.samples.object_ids.tolist() and np.allclose(table["ra"], link.samples.column("ra"))
    link.selection.ids = tuple(link.samples.object_ids[[2, 5]])
    link.selection.focus = str(link.samples.object_ids[7])
    until(lambda: len(other.heard) > 2)
    said = dict(other.heard[1:])
    assert said["table.select.rowList"]["row-list"] == ["2", "5"] and said["table.select.rowList"]["table-id"] == params["table-id"]
    assert said["table.highlight.row"]["row"] == "7"


def test_rows_positions_and_tables_come_in_and_are_not_sent_back(link, other, tmp_path):
    link.send()
    until(lambda: other.heard)
    own = other.heard[0][1]["table-id"]
    other.heard.clear()
    me = link._client.get_public_id()

    def say(kind, **params):
        return asked(other, me, kind, **params)

    assert say("table.select.rowList", **{"table-id": own, "row-list": ["1", "3", "999", "-4"]})["samp.status"] == "samp.ok"
    assert link.selection.ids == tuple(link.samples.object_ids[[1, 3]])
    say("table.select.rowList", **{"table-id": "somebody else's", "row-list": ["0"]})
    assert len(link.selection.ids) == 2
    say("table.highlight.row", **{"table-id": own, "row": "6"})
    assert link.selection.focus == link.samples.object_ids[6]
    ra, dec = (float(link.samples.column(name)[4]) for name in ("ra", "dec"))
    say("coord.pointAt.sky", ra=str(ra + 0.001), dec=str(dec))
    assert link.selection.focus == link.samples.object_ids[4]
    say("coord.pointAt.sky", ra=str((ra + 180) % 360), dec=str(-dec))
    assert link.selection.focus == link.samples.object_ids[4]
    Table({"ra": [10.0, 20.0], "dec": [1.0, 2.0]}).write(tmp_path / "two.vot", format="votable")
    assert say("table.load.votable", url=(tmp_path / "two.vot").as_uri(), name="two stars")["samp.status"] == "samp.ok"
    assert link.received[-1].name == "two stars" and link.received[-1].sender == "Other tool"
    assert len(af.Targets.from_table(link.received[-1].table)) == 2
    time.sleep(0.3)
    assert other.heard == [], "what came from another tool was told to it again"
    assert "1 tables received" in repr(link)


def test_what_is_not_on_this_machine_or_no_table_is_refused_in_words(link, other, tmp_path):
    me = link._client.get_public_id()
    (tmp_path / "bomb.vot").write_text('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><VOTABLE>&b;</VOTABLE>')
    for url, why in (("http://example.org/t.vot", "not on this machine"), ("ftp://127.0.0.1/x", "not on this machine"), ("file://elsewhere/etc/passwd", "not on this machine"), ("file:///", "is no file"), ((tmp_path / "bomb.vot").as_uri(), "entities")):
        answer = asked(other, me, "table.load.votable", url=url)
        assert answer["samp.status"] == "samp.error" and why in answer["samp.error"]["samp.errortxt"], (url, answer)
        assert why in link.problem
    assert link.received == []
    answer = asked(other, me, "table.select.rowList", **{"table-id": link._table_id, "row-list": "os.system('x')"})
    assert link.selection.ids == () and answer


def test_a_web_server_of_this_machine_is_read_but_not_where_it_points(tmp_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302 if self.path == "/away" else 200)
            self.send_header("Location", "http://example.org/")
            self.end_headers()
            self.wfile.write(b"<VOTABLE/>")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert ours.read_own(f"http://127.0.0.1:{server.server_port}/t") == b"<VOTABLE/>"
        with pytest.raises(ArchiveError, match="302"):
            ours.read_own(f"http://127.0.0.1:{server.server_port}/away")
    finally:
        server.shutdown()
        server.server_close()


def test_without_a_hub_or_a_receiver_it_says_what_to_do(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{hub.as_uri()}")
    alone = af.SampLink(make_toy_samples(5), name="alone")
    try:
        with pytest.raises(InputError, match="TOPCAT"):
            alone.send()
        with pytest.raises(InputError, match="nothing to send"):
            af.SampLink.send(type("Empty", (), {"samples": None})(), None)
    finally:
        alone.close()
    assert repr(alone) == "SampLink(closed)"
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'none').as_uri()}")
    with pytest.raises(InputError, match="no SAMP hub answers"):
        af.SampLink()
