"""Why an archive could not be reached, in plain words, whichever client asked it: requests, pyvo or astroquery."""

import socket
import ssl

import pytest
import requests
from urllib3 import exceptions as lower

from astrofuse_lab import fetching
from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import get, health, refusals, transport
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Targets

TARGETS = Targets.from_table({"object_id": ["a"], "ra": [150.1], "dec": [2.2]})
RAW = ("HTTPSConnectionPool", "HTTPConnection", "Max retries", "urllib3", "object at 0x", "Errno", "<")


@pytest.mark.parametrize("name", ["kids/table", "gaia/table", "hips/sdss", "sdss/spectrum", "2mass/table"])
def test_no_network_is_said_in_plain_words_whichever_client_asks(name):
    survey = get(name)
    with pytest.raises(ArchiveError, match="cannot be reached") as caught:
        list(survey.query(TARGETS, Ask()))
    said = str(caught.value)
    assert caught.value.transient and "name not resolved: " in said and said.count(survey.host) <= 1 and len(said) < 160
    assert not any(word in said for word in RAW)


def test_the_light_and_the_table_of_failures_say_the_same(monkeypatch):
    health.forget()
    monkeypatch.setattr("astrofuse_lab.crew.ATTEMPTS", 1)
    found = fetching.fetch(TARGETS, ["kids/table"], progress=False)
    told = [*found.status["message"], *(row["said"] for row in health.table())]
    assert told and not any(word in said for said in told for word in RAW)
    assert any("name not resolved" in said for said in told)
    health.forget()


def at(host):
    return type("Pool", (), {"host": host})()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.ConnectionError(lower.MaxRetryError(at("a.org"), "/x", lower.NameResolutionError("a.org", at("a.org"), socket.gaierror(-2, "Name or service not known")))), "name not resolved: a.org"),
        (requests.exceptions.SSLError(lower.MaxRetryError(at("a.org"), "/x", lower.SSLError(ssl.SSLCertVerificationError(1, "certificate verify failed: expired")))), "no secure connection, certificate verify failed: expired: a.org"),
        (requests.exceptions.ProxyError(lower.MaxRetryError(at("a.org"), "/x", lower.ProxyError("Cannot connect to proxy.", OSError("no")))), "the proxy does not let it through: a.org"),
        (requests.exceptions.ConnectTimeout(lower.MaxRetryError(at("a.org"), "/x", lower.ConnectTimeoutError(at("a.org"), "timed out"))), "no connection in time: a.org"),
        (requests.ConnectionError(lower.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))), "the connection was cut"),
        (requests.ConnectionError(lower.ReadTimeoutError(at("a.org"), "/x", "Read timed out.")), "no answer in time: a.org"),
        (requests.ConnectionError(lower.MaxRetryError(at("a.org"), "/x", lower.NewConnectionError(at("a.org"), "Failed: [Errno 113] No route to host"))), None),
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
    ],
    ids=["name", "certificate", "proxy", "slow", "cut", "silent", "route", "system"],
)  # fmt: skip
def test_each_kind_of_failure_has_its_words(error, words):
    said = refusals.in_words(error)
    assert said == words if words else ("No route to host" in said and "a.org" in said)
    assert not any(word in said for word in RAW)


def test_a_real_refusal_names_the_host():
    with socket.socket() as taken:  # bound, not listening: refused at once
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(requests.ConnectionError) as caught:
            requests.get(f"http://127.0.0.1:{taken.getsockname()[1]}/", timeout=5)
    assert refusals.in_words(caught.value) == "connection refused: 127.0.0.1" and not refusals.was_cut(caught.value)


def test_what_a_client_makes_of_a_failure_is_seen_through():
    class DALServiceError(Exception):  # as pyvo's: the cause is kept as an attribute
        def __init__(self, reason, cause):
            super().__init__(reason)
            self.reason, self.cause = reason, cause

    inner = requests.ConnectionError(lower.MaxRetryError(at("a.org"), "/x", lower.NameResolutionError("a.org", at("a.org"), socket.gaierror(-2, "unknown"))))
    with pytest.raises(ArchiveError, match=r"x/y, target t: the archive cannot be reached \(name not resolved: a\.org\)") as caught, transport.connection("x/y", "t"):
        raise DALServiceError(str(inner), inner)
    assert caught.value.transient
    with pytest.raises(KeyError), transport.connection("x/y"):  # no failure of the network stays what it is
        raise KeyError("column")
    with pytest.raises(ArchiveError, match=r"connection to the archive was cut$") as caught, transport.connection("x/y"):
        raise requests.ConnectionError(lower.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")))
