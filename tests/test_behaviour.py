"""How a fetch behaves: few requests a host, modes, stale answers, mirrors, what it will cost, pieces for other processes, 100,000 targets."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from loopback import Archive, replying, send

import astrofuse_lab as af
from astrofuse_lab import crew, queues, surveys
from astrofuse_lab.chunks import chunks, fetch_chunk
from astrofuse_lab.errors import ArchiveError, InputError, UnknownNameError
from astrofuse_lab.fetching import fetch
from astrofuse_lab.modalities import Text
from astrofuse_lab.surveys import archive as base
from astrofuse_lab.surveys import formats, health, sessions, transport
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

TARGETS = Targets(Target(f"t{i}", float(i), 10.0 if i % 5 else -10.0) for i in range(20))


@dataclass
class Plain(base.Archive):
    """A survey over HTTP: a list of what there is, then one file a target."""

    gives: type = Text
    citation: str = "Nobody et al."
    licence: str = "CC0"
    release: str = "1"
    listed: bool = False

    def query(self, targets, ask):
        self.chosen(ask)
        for target in targets:
            where = f"/file/{target.object_id}"
            if self.listed:
                where = formats.json_value(transport.ask(self, "/list", target=target.object_id, params={"id": target.object_id})[0], self.name, target.object_id)["file"]
            content, kind, address = transport.ask(self, where, target=target.object_id)
            yield Raw(self.name, (target.object_id,), content, address, kind)

    def read(self, raw):
        if not raw.content.startswith(b"text "):
            raise ArchiveError(self.name, "this is no text", raw.target_ids[0])
        yield raw.target_ids[0], Text(raw.content.decode())


class Files(Archive):
    """The server of `loopback` with lists and files."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.broken = {}

    def answer(self, handler):
        with self.lock:
            self.requests.append(handler.path)
            self.now += 1
            self.most = max(self.most, self.now)
            reply = self.replies.popleft() if self.replies else None
            left = self.broken.get(handler.path, 0)
            self.broken[handler.path] = left - 1
        time.sleep(self.delay)
        with self.lock:
            self.now -= 1
        if reply is not None and reply(handler):
            return
        if left > 0:
            send(handler, 503, b"later", "text/plain")
        elif handler.path.startswith("/list"):
            send(handler, 200, json.dumps({"file": "/file/" + handler.path.partition("=")[2]}).encode(), "application/json")
        else:
            send(handler, 200, b"text " + handler.path.encode(), "text/plain")


@pytest.fixture
def server():
    made = Files()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    health.forget()
    monkeypatch.setattr(crew, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(crew, "LONGEST_WAIT", 0.1)
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))
    yield
    health.forget()


@pytest.fixture
def plain(server):
    return Plain(name="plain/text", url=server.url)


def get(surveys_, targets=TARGETS, **options):
    return fetch(targets, surveys_, progress=False, **options)


# few requests a host -------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
def test_surveys_of_one_host_share_its_limit(server, threads):
    server.delay = 0.02
    three = [Plain(name=f"plain/{i}", url=f"{server.url}/{i}", threads=threads) for i in range(3)]
    assert get(three).complete
    assert server.most == threads


def test_two_fetches_at_once_ask_no_more_than_one(server, plain):
    server.delay = 0.02
    others = threading.Thread(target=get, args=(replace(plain, name="plain/other"),))
    others.start()
    assert get(plain).complete
    others.join()
    assert server.most == plain.threads and len(server.requests) == 40


def test_a_stopped_fetch_leaves_its_place_to_the_next(server, plain):
    server.replies.extend([lambda handler: time.sleep(30) or True] * 4)
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    found = get(plain, stop=stop)
    assert set(found.status["state"]) == {"pending"}
    begin = time.monotonic()
    assert found.retry().complete
    assert time.monotonic() - begin < 10 and queues.gate(plain.host).inside == 0


def test_a_host_that_asks_to_be_left_alone_is_left_alone_by_all(server, plain):
    server.replies.append(replying(429, b"slow down", Retry_After="0.7"))
    asked = []
    server.replies.extend([lambda handler: asked.append(time.monotonic())] * 30)
    begin = time.monotonic()
    assert get([plain, replace(plain, name="plain/other")]).complete
    assert sum(when - begin < 0.6 for when in asked) <= plain.threads  # those that were under way


def test_who_asks_to_be_left_alone_for_an_hour_is(server, plain):
    server.replies.extend([replying(503, b"maintenance", Retry_After="3600")] * 8)
    begin = time.monotonic()
    found = get(plain)
    assert time.monotonic() - begin < 10 and len(server.requests) <= plain.threads
    assert set(found.status["state"]) == {"failed"} and all("3600 s" in m for m in found.status["message"])
    server.replies.clear()
    assert found.retry().complete


def test_pauses_grow_and_differ(monkeypatch):
    monkeypatch.setattr(crew, "FIRST_WAIT", 1.0)
    monkeypatch.setattr(crew, "LONGEST_WAIT", 20.0)
    for attempt, middle in ((1, 1), (2, 2), (4, 8), (7, 20)):
        waits = {crew._backoff(attempt) for _ in range(50)}
        assert len(waits) > 40 and 0.5 * middle <= min(waits) and max(waits) <= 1.5 * middle


def test_what_was_answered_is_not_asked_again(server, plain):
    server.broken = {f"/file/t{i}": 3 for i in (2, 7)}
    survey = replace(plain, listed=True, batch=5)
    assert get(survey).complete
    came = Counter(server.requests)
    assert {path: n for path, n in came.items() if n > 1} == {"/file/t2": 4, "/file/t7": 4}


def test_an_unreadable_list_is_asked_for_once_more(server, plain):
    server.replies.append(replying(200, b'{"file": "/fi', "application/json"))
    assert get(replace(plain, listed=True), TARGETS[:1]).complete
    assert Counter(server.requests) == {"/list?id=t0": 2, "/file/t0": 1}


def test_one_target_that_never_comes_holds_up_no_other(server, plain):
    server.broken = {"/file/t7": 99}
    found = get(replace(plain, batch=20))
    assert Counter(found.status["state"]) == {"found": 19, "failed": 1}
    assert max(Counter(server.requests).values()) == crew.ATTEMPTS
    assert "later" in next(m for m in found.status["message"] if m)


# limits of a request -------------------------------------------------------------------------------


def drip(handler):
    """Headers that trickle for ever."""
    try:
        for _ in range(100):
            handler.wfile.write(b"X")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass
    handler.close_connection = True
    return True


def test_headers_that_trickle_are_cut_off(server, plain, monkeypatch):
    monkeypatch.setattr(sessions, "WHOLE", 0.5)
    server.replies.append(drip)
    begin = time.monotonic()
    with pytest.raises(ArchiveError) as caught:
        transport.ask(plain, "/file/x")
    assert caught.value.transient and time.monotonic() - begin < 3
    assert transport.ask(plain, "/file/x")[0] == b"text /file/x"


def test_a_request_ends_with_its_fetch(server, plain):
    server.replies.append(lambda handler: time.sleep(20) or True)
    ended = threading.Event()
    threading.Timer(0.3, ended.set).start()
    begin = time.monotonic()
    with sessions.patience(ended), pytest.raises(ArchiveError):
        transport.ask(plain, "/file/x")
    assert time.monotonic() - begin < 2


# mirrors and health --------------------------------------------------------------------------------


def test_a_mirror_stands_in_and_goes_first_while_the_service_is_down(server, plain):
    gone = "http://127.0.0.1:9"  # the discard port: nobody listens
    survey = replace(plain, url=gone, mirrors=(server.url,), threads=1)
    found = get(survey)
    assert found.complete and len(server.requests) == 20
    lights = {row["host"]: (row["light"], row["requests"]) for row in af.surveys.health.table()}
    assert lights["127.0.0.1:9"] == ("down", 1), "a service that is down is not tried each time"
    assert lights[server.url[7:]][0] == "good"


def test_a_page_in_place_of_data_is_asked_of_the_mirror(server, plain):
    other = Files()
    other.replies.append(replying(200, b"<html>down until Monday</html>", "text/html"))
    try:
        assert get(replace(plain, url=other.url, mirrors=(server.url,)), TARGETS[:1]).complete
        assert (len(other.requests), len(server.requests)) == (1, 1)
    finally:
        other.close()


# modes ---------------------------------------------------------------------------------------------


def test_offline_asks_nobody(server, plain):
    get(plain, TARGETS[:8])
    asked = len(server.requests)
    found = get(plain, mode="offline")
    assert len(server.requests) == asked
    assert Counter(found.status["state"]) == {"found": 8, "pending": 12}
    assert "mode='offline'" in found.status["message"][10] and found.get("plain/text", "t3").text == "text /file/t3"
    assert found.retry().status["state"][10] == "pending"
    assert found.retry(mode="prefer-cache").complete


@pytest.mark.parametrize("reply", [replying(503, b"mending"), replying(200, b"<html>mending</html>"), replying(429, b"mending", Retry_After="9999")])
def test_a_stale_answer_stands_in_for_a_service_that_is_down(server, plain, reply):
    first = get(plain, TARGETS[:6])
    server.replies.extend([reply] * 500)
    found = get(plain, TARGETS[:8], mode="online")
    status = found.status
    assert list(status["state"]) == ["found"] * 6 + ["failed"] * 2 and list(status["stale"]) == [True] * 6 + [False] * 2
    assert "an earlier answer" in status["message"][0] and "mending" in " ".join(status["message"])
    assert found.get("plain/text", "t1") == first.get("plain/text", "t1")
    assert "6 of them stale" in repr(found) and "6 stale" in found._repr_html_() and found.counts["stale"][0] == 6
    server.replies.clear()
    again = found.retry()
    assert again.complete and list(again.status["stale"]) == [True] * 6 + [False] * 2
    fresh = get(plain, TARGETS[:8], refresh=True)
    assert fresh.complete and not any(fresh.status["stale"])


def test_what_an_archive_refuses_is_no_reason_for_a_stale_answer(server, plain):
    get(plain, TARGETS[:1])
    server.replies.extend([replying(404, b"withdrawn")] * 8)
    found = get(plain, TARGETS[:1], mode="online")
    assert found.status["state"][0] == "failed" and "withdrawn" in found.status["message"][0]


@pytest.mark.parametrize("options", [{"mode": "ofline"}, {"mode": "offline", "refresh": True}, {"timeout": 0}, {"timeout": "1"}, {"timeout": True}])
def test_modes_and_times_that_make_no_sense(plain, server, options):
    with pytest.raises(InputError):
        get(plain, **options)
    assert server.requests == []


def test_two_surveys_of_one_name_are_refused(plain, server):
    with pytest.raises(InputError, match="two different surveys are called 'plain/text'"):
        get([plain, replace(plain, url=f"{server.url}/other")])
    assert get([plain, replace(plain)], TARGETS[:1]).surveys == ("plain/text",)


def test_provenance_and_citation(plain, server):
    found = get(plain, TARGETS[:2])
    raw = found._answers.load(found.answers()[0])
    assert raw.query == f"{server.url}/file/t0" and raw.retrieved.startswith("20")
    assert "Nobody et al. (CC0)" in found.cite() and "@misc{plain-text," in found.cite()


# before and elsewhere ------------------------------------------------------------------------------


def test_an_estimate_learns_from_what_was_measured(server, plain):
    survey = replace(plain, listed=True)
    other = replace(plain, name="plain/other", batch=10)
    table = af.estimate(TARGETS, [survey, other, "practice/text"])
    assert table.colnames == ["survey", "targets", "cached", "requests", "seconds", "bytes", "basis"]
    assert list(table["requests"]) == [20, 2, 0] and list(table["basis"]) == ["assumed"] * 3
    assert server.requests == []
    get(survey, TARGETS[:5])
    row = af.estimate(TARGETS, survey)[0]
    assert (row["cached"], row["requests"], row["basis"]) == (5, 30, "measured")  # two requests a target
    assert 0 < row["seconds"] < 5 and 0 < row["bytes"] < 15 * 10_000
    assert af.estimate(TARGETS, survey, mode="online")["requests"][0] == 40
    assert af.estimate(TARGETS, survey, mode="offline")["requests"][0] == 0
    small, large = (af.estimate(TARGETS, "hips/dss2", size=size)["bytes"][0] for size in (20, 60))
    assert large == pytest.approx(9 * small)
    with pytest.raises(UnknownNameError):
        af.estimate(TARGETS, "gaia/tabel")


ELSEWHERE = """
    import json, sys
    from astrofuse_lab.chunks import fetch_chunk

    for line in sys.stdin:
        print(json.dumps(fetch_chunk(line)), flush=True)
"""


def test_pieces_are_done_by_another_process_and_collected_here(tmp_path):
    targets = af.Targets.from_region("150 2", 3600.0, n=12)
    wanted = {"radius": 2.0, "size": 6.0, "options": {"practice/image": {"missing": 0.4, "bands": ["g", "z"]}}}
    names = ["practice/image", "practice/text"]
    pieces = list(chunks(targets, names, each=5, **wanted))
    assert len(pieces) == 6 and all(isinstance(json.loads(piece), dict) for piece in pieces)
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(ELSEWHERE))
    environment = {**os.environ, "PYTHONPATH": str(Path(af.__file__).parents[1])}
    done = subprocess.run([sys.executable, str(script)], input="\n".join(pieces), capture_output=True, text=True, env=environment, check=True)
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(o["found"] + o["empty"] for o in outcomes) == 24 and not any(o["pending"] or o["messages"] for o in outcomes)
    found = af.fetch(targets, names, mode="offline", progress=False, **wanted)
    assert found.complete
    assert sum(o["found"] for o in outcomes if o["survey"] == "practice/image") == found.counts["found"][0]


def test_a_piece_says_what_failed_and_goes_on_when_done_again(server, plain, monkeypatch):
    known = surveys.get
    monkeypatch.setattr(surveys, "get", lambda name: plain if name == plain.name else known(name))
    server.broken = {"/file/t3": 99}
    (piece,) = chunks(TARGETS, "plain/text")
    outcome = fetch_chunk(piece)
    assert outcome["failed"] == 1 and "later" in outcome["messages"]["t3"]
    server.broken.clear()
    asked = len(server.requests)
    assert fetch_chunk(piece)["found"] == 20 and len(server.requests) == asked + 1


def test_pieces_that_make_no_sense(plain):
    with pytest.raises(InputError, match="object of this process"):
        chunks(TARGETS, plain)
    with pytest.raises(InputError, match="each=0"):
        chunks(TARGETS, "practice/text", each=0)
    for piece in ("", "[]", '{"version": 9}', '{"version": 1, "survey": "x"}'):
        with pytest.raises(InputError, match="no piece of a fetch"):
            fetch_chunk(piece)


# 100,000 targets -----------------------------------------------------------------------------------


@dataclass
class Counted:
    """A survey that answers at once, from memory, many targets to an answer."""

    name: str = "toy/large"
    gives: type = Text
    bands: tuple = ()
    release: str = "1"
    citation: str = "nobody"
    licence: str = "CC0"
    simulated: bool = True
    batch: int = 1000
    size: int = 20_000
    asked: Counter = field(default_factory=Counter)

    def query(self, targets, ask):
        self.asked.update(targets.ids)
        yield Raw(self.name, targets.ids, "\n".join(targets.ids).encode() + b" " * self.size, "q")

    def read(self, raw):
        for object_id in raw.content.decode().split():
            yield object_id, Text(object_id)


@pytest.mark.parametrize("n", [20_000, *([100_000] if os.environ.get("ASTROFUSE_PROVE") else [])])
def test_memory_stays_flat_and_progress_honest(n):
    survey = Counted(asked=Counter())
    survey.asked.update = lambda ids: None  # the count itself is not to be measured
    targets = Targets(Target(f"x{i}", i * 0.003, 0.0) for i in range(n))
    told = []
    # what the first fetch of a process imports, and what targets work out once, is not to be measured
    fetch(targets, replace(survey, name="toy/before"), progress=False)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        found = fetch(targets, survey, progress=False, on_progress=told.append)
        held, peak = (m - before for m in tracemalloc.get_traced_memory())
    finally:
        tracemalloc.stop()
    assert found.complete and len(told) < 400
    assert [p["done"] for p in told] == sorted(p["done"] for p in told) and told[-1]["done"] == n
    # the ids and a few bytes a line of the book; nothing of what was fetched (20 kB an answer, a product a target)
    assert held < 200 * n and peak < 400 * n + 1_000_000, (held, peak)  # and some reports and answers in flight, which are more where the machine is busy
    assert found._ledgers["toy/large"].counts()["found"] == n
    assert sum(1 for _ in found.products("toy/large")) == n
    again = fetch(targets, survey, progress=False, mode="offline")
    assert again.complete


def test_work_is_made_as_it_is_begun(monkeypatch):
    """Pieces of work are not listed before: with 100,000 single requests there would be as many dictionaries."""
    made = []
    real = queues.Job

    def counted(*given, **options):
        made.append(1)
        return real(*given, **options)

    monkeypatch.setattr(crew, "Job", counted)
    survey = Counted(batch=1)
    stop = threading.Event()

    def progress(report):
        if report["done"] > 20:
            stop.set()

    targets = Targets(Target(f"x{i}", i * 0.003, 0.0) for i in range(5000))
    found = fetch(targets, survey, progress=False, stop=stop, on_progress=progress)
    assert not found.complete and len(made) < 5000


def test_the_key_of_a_request_is_what_it_was():
    """Answers that users have are found by it."""
    assert Ask().key() == '[3.0, 20.0, null, null, null, null, {}]'
