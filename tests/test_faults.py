"""A server on a bad day: three requests in ten go wrong, in every way that archives have; kill -9 at any moment; Stop at any moment."""

import hashlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from loopback import LOGIN_PAGE, PAGE, Archive, form, send

import astrofuse_lab as af
from astrofuse_lab import crew
from astrofuse_lab.cache.answers import opened
from astrofuse_lab.fetching import fetch
from astrofuse_lab.surveys import health, hips_cutouts, sessions
from astrofuse_lab.surveys.gaia import gaia_table
from astrofuse_lab.surveys.template import TemplateTable
from astrofuse_lab.targets import Target, Targets

SHARE = 0.3
SILENCE = 0.4  # s that the clients wait for a byte
WHOLE = 1.0  # s that they wait for an answer
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


class BadDay(Archive):
    """The archive of `loopback` with a cone search, and faults: decided by seed, request and how often it came, whatever the order of threads."""

    def __init__(self, seed=None):
        super().__init__()
        self.seed, self.came, self.faults, self.now, self.most = seed, Counter(), Counter(), 0, 0
        self.kinds = [
            self.silence, self.reset, self.busy(429, "0"), self.busy(429), self.busy(503, "0.05"), self.busy(503), self.cut, self.cut_unseen, self.page,
            self.other_type, self.drip, self.login, self.twice,
        ]  # fmt: skip

    def answer(self, handler):
        posted = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if handler.path == "/login":
            return send(handler, 200, LOGIN_PAGE, "text/html")
        fields = form(handler, posted) if posted else {}
        request = hashlib.sha256(repr((handler.path, sorted(fields.items()))).encode()).hexdigest()
        with self.lock:
            self.requests.append(handler.path)
            self.came[request] += 1
            self.now += 1
            self.most = max(self.most, self.now)
            chance = random.Random(f"{self.seed} {request} {self.came[request]}")
        time.sleep(self.delay)
        try:
            fault = chance.choice(self.kinds) if self.seed is not None and chance.random() < SHARE else None
            if fault is not None:
                self.faults[getattr(fault, "__name__", "busy")] += 1
                fault(handler, posted)
            else:
                send(handler, 200, *self.content(handler, posted))
        except OSError:
            pass  # the client has gone
        finally:
            with self.lock:
                self.now -= 1
        return None

    def content(self, handler, posted, times=1):
        """What the archive has to say: bytes and media type; all rows so many times."""
        path, given = urlparse(handler.path).path, {k: v[0] for k, v in parse_qs(urlparse(handler.path).query).items()}
        if path == "/cone":
            row = f"T {float(given['ra']):.3f},{given['ra']},{given['dec']},17.5\n" if float(given["dec"]) > 0 else ""
            return ("name,ra,dec,mag\n" + row * times).encode(), "text/csv"
        told = Recorder(handler.headers)
        if path == "/hips2fits":
            self.hips(told, given)
        else:
            self.tap(told, posted, times)
        return told.content, told.media_type

    # faults --------------------------------------------------------------------------------------

    def silence(self, handler, posted):
        time.sleep(3 * SILENCE)
        handler.close_connection = True

    def reset(self, handler, posted):
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True

    def busy(self, status, after=None):
        def busy(handler, posted):
            send(handler, status, b"too many requests", "text/plain", **({"Retry_After": after} if after is not None else {}))

        return busy

    def cut(self, handler, posted):
        content, kind = self.content(handler, posted)
        send(handler, 200, content[: len(content) // 2], kind, announced=len(content))
        handler.close_connection = True

    def cut_unseen(self, handler, posted):
        """Cut before a proxy counted the bytes."""
        content, kind = self.content(handler, posted)
        send(handler, 200, content[: len(content) // 3], kind)

    def page(self, handler, posted):
        send(handler, 200, PAGE, "text/html")

    def other_type(self, handler, posted):
        if random.Random(handler.path).random() < 0.5:
            send(handler, 200, PNG, "image/png")
        else:  # what was asked for, under a wrong name
            send(handler, 200, self.content(handler, posted)[0], "application/x-something")

    def drip(self, handler, posted):
        content, _ = self.content(handler, posted)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) + 1000))
        handler.end_headers()
        for byte in content[:100]:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.1)
        handler.close_connection = True

    def login(self, handler, posted):
        send(handler, 302, b"", "text/html", Location="/login")

    def twice(self, handler, posted):
        send(handler, 200, *self.content(handler, posted, times=2))


class Recorder:
    """A handler that keeps what it is told to send."""

    def __init__(self, headers):
        self.headers, self.wfile, self.content, self.media_type = headers, self, b"", ""

    def send_response(self, status):
        assert status == 200

    def send_header(self, name, value):
        if name == "Content-Type":
            self.media_type = value

    def write(self, content):
        self.content += content

    def end_headers(self):
        pass

    flush = end_headers


@pytest.fixture
def day():
    """A maker of servers."""
    made = []

    def make(seed=None):
        made.append(BadDay(seed))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    health.forget()
    monkeypatch.setattr(crew, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(crew, "LONGEST_WAIT", 0.3)
    monkeypatch.setattr(sessions, "WHOLE", WHOLE)
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))
    yield
    health.forget()


def surveys_at(server, patience=None):
    patience = patience or SILENCE
    return [
        replace(gaia_table(f"{server.url}/tap", timeout=patience), batch=3),
        replace(hips_cutouts.make("CDS/P/TEST", bands="g", name="hips/test", url=f"{server.url}/hips2fits"), timeout=patience),
        TemplateTable(url=f"{server.url}/cone", timeout=patience),
    ]


TARGETS = Targets(Target(f"s{i}", 10.0 + i, 5.0 if i % 4 else -5.0) for i in range(20))


def told(found):
    """All that was fetched, to be compared."""
    table = {}
    for name in found.surveys:
        for object_id, product in found.products(name):
            table[name, object_id] = product.flux.tobytes() if hasattr(product, "flux") else sorted(product.values.items(), key=str)
    states = {(row["survey"], row["object_id"]): row["state"] for row in found.status}
    return states, table


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_requests_in_ten_go_wrong_and_nothing_is_lost(day, monkeypatch, tmp_path, seed):
    clean = day()
    with monkeypatch.context() as calm:
        calm.setattr(sessions, "WHOLE", 60.0)  # that the machine is busy is no fault
        states, products = told(fetch(TARGETS, surveys_at(clean, patience=60.0), size=10, progress=False))
    assert Counter(states.values()) == {"found": 50, "empty": 10}
    assert max(clean.came.values()) == 1

    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "other"))
    bad = day(seed)
    found = fetch(TARGETS, surveys_at(bad), size=10, progress=False)
    assert found.complete, [row for row in found.status if row["state"] == "failed"]
    assert told(found) == (states, products)
    assert max(bad.came.values()) <= crew.ATTEMPTS
    assert bad.came.keys() == clean.came.keys() or len(bad.came) >= len(clean.came)
    assert bad.faults.total() > 0.15 * sum(bad.came.values()), "the day was not that bad"


def test_every_kind_of_fault_is_met_on_those_days(day):
    met = Counter()
    for seed in (1, 2, 3):
        server = day(seed)
        fetch(TARGETS, surveys_at(server), size=10, progress=False, mode="online")
        met += server.faults
    assert set(met) == {kind.__name__ for kind in server.kinds}, met


# stop ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 0.3, 0.9])
def test_stop_returns_within_two_seconds_whatever_the_archive_does(day, monkeypatch, after):
    monkeypatch.setattr(sessions, "WHOLE", 300.0)
    server = day(4)
    server.kinds = [server.drip, lambda handler, posted: time.sleep(20), server.busy(503, "100"), server.busy(429)]
    monkeypatch.setattr(sys.modules[__name__], "SHARE", 1.0)
    monkeypatch.setattr(sys.modules[__name__], "SILENCE", 60.0)
    stop = threading.Event()
    threading.Timer(after, stop.set).start()
    begin = time.monotonic()
    found = fetch(TARGETS, surveys_at(server), size=10, progress=False, stop=stop)
    assert time.monotonic() - begin < after + 2
    assert not found.complete
    # no thread of the fetch goes on asking, and those that waited were cut off
    time.sleep(1.0)
    asked = len(server.requests)
    time.sleep(0.5)
    assert len(server.requests) == asked
    assert not [t for t in threading.enumerate() if t.name.startswith(("fetch gaia", "fetch hips"))]


def test_the_time_for_the_whole_fetch_is_kept(day, monkeypatch):
    server = day(5)
    server.kinds = [lambda handler, posted: time.sleep(20)]
    monkeypatch.setattr(sys.modules[__name__], "SHARE", 1.0)
    begin = time.monotonic()
    found = fetch(TARGETS[:3], surveys_at(server)[1], size=10, progress=False, timeout=0.8)
    assert time.monotonic() - begin < 0.8 + 2
    assert set(found.status["state"]) == {"pending"} and "timeout=0.8 s" in found.status["message"][0]
    server.seed = None
    assert found.retry(timeout=30.0).complete


# kill -9 -------------------------------------------------------------------------------------------

NURSE = """
    import os, sys
    from astrofuse_lab.fetching import fetch
    from astrofuse_lab.surveys import hips_cutouts
    from astrofuse_lab.targets import Target, Targets
    import astropy.io.fits, astroquery.hips2fits, requests

    survey = hips_cutouts.make("CDS/P/TEST", bands="g", name="hips/test", url=sys.argv[1] + "/hips2fits")
    targets = Targets(Target(f"k{i}", float(i) + 0.5, 5.0) for i in range(120))
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()  # this process has no threads: they are the child's
        if child == 0:
            found = fetch(targets, survey, size=10, progress=False)
            print("complete" if found.complete else found, flush=True)
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("over", flush=True)
"""


def test_kill_9_at_twenty_moments_repeats_at_most_what_was_in_flight(day, tmp_path):
    server = day()
    server.delay = 0.04
    script, cache = tmp_path / "nurse.py", tmp_path / "killed"
    script.write_text(textwrap.dedent(NURSE))
    environment = {**os.environ, "ASTROFUSE_CACHE": str(cache), "PYTHONPATH": str(Path(af.__file__).parents[1])}
    nurse = subprocess.Popen([sys.executable, str(script), server.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1)
    chance = random.Random(9)
    try:
        assert nurse.stdout.readline() == "ready\n"
        for kill in range(21):
            before = len(server.requests)
            nurse.stdin.write("go\n")
            child = int(nurse.stdout.readline())
            if kill < 20:
                while len(server.requests) == before:  # its first request
                    time.sleep(0.002)
                time.sleep(chance.uniform(0.0, 0.15))
                os.kill(child, signal.SIGKILL)
                assert nurse.stdout.readline() == "over\n", "it was done too soon to be killed"
                time.sleep(2 * server.delay)  # what it had asked last has arrived
            files = [path for path in (cache / "answers").rglob("*.answer") if not path.name.startswith(".")]
            assert all(opened(str(path))[0] for path in files), "a file is not whole"
        assert nurse.stdout.readline() == "complete\n"
    finally:
        nurse.stdin.close()
        nurse.wait(timeout=60)
    files = [path for path in (cache / "answers").rglob("*.answer") if not path.name.startswith(".")]
    assert len(files) == len(server.came) == 120
    repeated = sum(server.came.values()) - 120
    assert repeated <= 20 * 4, f"{repeated} requests were repeated after 20 kills with 4 at a time"
    assert np.all(np.fromiter(server.came.values(), int) <= 1 + 20)
