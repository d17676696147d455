"""Asynchronous TAP over HTTP on loopback, as UWS 1.1 tells: jobs by redirect, phases, results, errors, deletion."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from loopback import form, send, votable
from test_generic import BOTH, CATALOGUE, answer, tap

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import jobs, sessions
from astrofuse_lab.surveys.survey import Ask

ERROR = b'<VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">no such column</INFO></RESOURCE></VOTABLE>'


class Jobs:
    """A TAP service with jobs; `phases` is what a job goes through, `sync` what it says at once."""

    def __init__(self):
        self.phases, self.sync, self.jobs, self.asked, self.last, self.result = ["QUEUED", "EXECUTING", "COMPLETED"], None, [], [], ERROR, None
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                service.asked.append(f"{self.command} {self.path}")
                service.answer(self, {k: v.decode() for k, v in form(self, body).items()} if body else {})

            do_POST = do_DELETE = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/tap"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler, given):
        path, job = handler.path, f"{self.url}/async/{len(self.jobs)}"
        if path == "/tap/sync":
            return send(handler, *(self.sync if self.sync and "TAP_SCHEMA" not in given["QUERY"] else tap(given)))
        if path == "/tap/async" and self.phases:
            assert given["REQUEST"] == "doQuery" and given["LANG"] == "ADQL" and given["MAXREC"]
            self.jobs.append({"given": given, "phases": None})
            return send(handler, 303, b"", "text/plain", Location=f"{self.url}/async/{len(self.jobs)}")
        if not path.startswith("/tap/async/"):
            return send(handler, 404, b"no such thing", "text/plain")
        mine = self.jobs[-1]
        if handler.command == "DELETE":
            return send(handler, 303, b"", "text/plain", Location=f"{self.url}/async")
        if path.endswith("/phase") and handler.command == "POST":
            assert given == {"PHASE": "RUN"}
            mine["phases"] = list(self.phases)
            return send(handler, 303, b"", "text/plain", Location=job)
        if path.endswith("/phase"):
            return send(handler, 200, (mine["phases"].pop(0) if len(mine["phases"]) > 1 else mine["phases"][0]).encode() + b"\n", "text/plain")
        if path.endswith("/results/result"):
            return send(handler, *(self.result or tap(mine["given"])))
        return send(handler, 200, self.last if path.endswith("/error") else b'<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0"/>', "text/xml")


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(jobs, "FIRST", 0.01)
    monkeypatch.setattr(jobs, "LONGEST", 0.02)
    made = Jobs()
    yield made
    made.server.shutdown()
    made.server.server_close()


def survey(service, **more):
    return af.surveys.tap(service.url, table="cat.main", timeout=5.0, **more)


def test_a_query_as_a_job_gives_the_bytes_as_sent(service):
    raws, rows = answer(survey(service, asynchronous=True, uploads=False), radius=3.0)
    assert list(rows) == ["here"] and rows["here"].values["Name"] == "one" and raws[0].content == tap(service.jobs[0]["given"])[1]
    assert service.asked == [
        "POST /tap/sync", "POST /tap/async", "GET /tap/async/1", "POST /tap/async/1/phase", "GET /tap/async/1", "GET /tap/async/1/phase", "GET /tap/async/1/phase",
        "GET /tap/async/1/phase", "GET /tap/async/1/results/result", "DELETE /tap/async/1",
    ]  # fmt: skip


def test_an_upload_goes_with_the_job(service):
    made = survey(service, asynchronous=True, uploads=True)
    with pytest.raises(ArchiveError, match="target_row"):  # this service joins nothing
        answer(made, radius=3.0)
    given = service.jobs[0]["given"]
    assert given["UPLOAD"] == "targets,param:targets" and "<VOTABLE" in given["targets"] and "tap_upload.targets" in given["QUERY"]


@pytest.mark.parametrize("said", [(504, b"gateway timeout", "text/plain"), (200, ERROR.replace(b"no such column", b"Query timed out"), "text/xml")])
def test_what_takes_too_long_at_once_becomes_a_job(service, said):
    service.sync = said
    assert list(answer(survey(service, uploads=False), radius=3.0)[1]) == ["here"] and len(service.jobs) == 1
    with pytest.raises(ArchiveError, match=r"timeout|timed out"):
        answer(survey(service, uploads=False, asynchronous=False))
    service.phases = []  # no jobs: what was said first is said
    with pytest.raises(ArchiveError, match=r"timeout|timed out"):
        answer(survey(service, uploads=False))


def test_other_errors_do_not_become_jobs(service):
    service.sync = (400, ERROR, "text/xml")
    with pytest.raises(ArchiveError, match="no such column"):
        answer(survey(service, uploads=False))
    assert not service.jobs


@pytest.mark.parametrize(("phase", "last", "words"), [("ERROR", ERROR, "ERROR: no such column"), ("ABORTED", b"killed by the operator", "ABORTED: killed by the operator")])
def test_a_job_that_failed_in_the_services_own_words(service, phase, last, words):
    service.phases, service.last = ["EXECUTING", phase], last
    with pytest.raises(ArchiveError, match=words) as caught:
        answer(survey(service, uploads=False, asynchronous=True))
    assert not caught.value.transient and service.asked[-1] == "DELETE /tap/async/1"


def test_a_service_without_jobs_says_so(service):
    service.phases = []
    with pytest.raises(ArchiveError, match=r"takes no jobs at /async.*HTTP 404"):
        answer(survey(service, uploads=False, asynchronous=True))


def test_stop_ends_the_job(service):
    service.phases, stop = ["EXECUTING"], threading.Event()
    threading.Timer(0.3, stop.set).start()
    begun = time.monotonic()
    with sessions.patience(stop), pytest.raises(ArchiveError, match="fetch has ended") as caught:
        list(survey(service, uploads=False, asynchronous=True).query(BOTH, Ask()))
    assert caught.value.transient and time.monotonic() - begun < 2.0 and service.asked[-1] == "DELETE /tap/async/1"


def test_truncation_of_a_job_is_loud(service):
    service.result = (200, votable(CATALOGUE, "OVERFLOW"), "text/xml")
    with pytest.raises(ArchiveError, match="OVERFLOW"):
        answer(survey(service, uploads=False, asynchronous=True))
