"""The table of surveys, the protocol that each follows, and the template, asked over HTTP on loopback."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest

from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError, InputError, UnknownNameError
from astrofuse_lab.modalities import KIND_OF
from astrofuse_lab.surveys import formats
from astrofuse_lab.surveys.survey import Ask, Raw, Survey
from astrofuse_lab.surveys.template import TemplateTable
from astrofuse_lab.targets import Target, Targets

ANSWER = b"name,ra,dec,mag\nT 17,10.5,-3.25,\nT 18,10.5001,-3.25,17.5\n"


@pytest.mark.parametrize("name", surveys.SURVEYS)
def test_every_survey_follows_the_protocol(name):
    survey = surveys.get(name)
    assert isinstance(survey, Survey)
    assert survey.name == name == name.lower() and name.count("/") == 1
    assert survey.gives in KIND_OF
    assert survey.citation and survey.licence and survey.release and survey.batch >= 1
    assert survey.simulated == name.startswith("practice/")


@pytest.mark.parametrize("name", surveys.SURVEYS)
def test_every_survey_refuses_what_it_does_not_have(name):
    survey = surveys.get(name)
    for ask in (Ask(options={"colour": 1.0}), Ask(release="none such")):
        with pytest.raises(InputError, match="has no"):
            list(survey.query(Targets([Target("a", 10.0, 20.0)]), ask))


@pytest.mark.parametrize("name", surveys.SURVEYS)
@pytest.mark.parametrize("content", [b"", b"\x00" * 3000, b"<html>down</html>", b"{}", b"[1, 2"])
def test_rubbish_is_an_archive_error_that_names_survey_and_target(name, content):
    raw = Raw(name, ("the target",), content, "", extra={"bands": ["x"], "lengths": [len(content)], "radius": 3.0})
    with pytest.raises(ArchiveError) as caught:
        list(surveys.get(name).read(raw))
    assert caught.value.survey == name and name in str(caught.value)
    if name != "gaia/table":  # one table for all targets: none of them is to blame
        assert caught.value.target == "the target"


def test_list_surveys_has_a_row_for_each():
    table = surveys.list_surveys()
    assert table.colnames == ["name", "modality", "gives", "bands", "coverage", "release", "citation", "licence", "extra", "simulated"]
    assert list(table["name"]) == list(surveys.SURVEYS)
    rows = {row["name"]: row for row in table}
    assert rows["practice/image"]["modality"] == "image" and rows["practice/image"]["bands"] == "g r z"
    assert rows["practice/light_curve"]["simulated"] and not rows["gaia/table"]["simulated"]


def test_an_unknown_survey_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no survey 'practice/spectra'.*'practice/spectrum'.*list_surveys"):
        surveys.get("practice/spectra")


@pytest.fixture
def catalogue():
    """A server with one position in its catalogue."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            given = {k: float(v[0]) for k, v in parse_qs(urlparse(self.path).query).items()}
            asked.append(given)
            content = ANSWER if abs(given["ra"] - 10.5) < 1 else ANSWER.splitlines(keepends=True)[0]
            self.send_response(200 if given["dec"] > -80 else 503)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    server.asked = asked
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def template(catalogue):
    return TemplateTable(url=f"http://127.0.0.1:{catalogue.server_address[1]}/cone")


def test_the_template_fetches_the_nearest_row(template, catalogue):
    assert isinstance(template, Survey)
    targets = Targets([Target("here", 10.5, -3.25), Target("nowhere", 200.0, 10.0)])
    raws = list(template.query(targets, Ask(radius=3.6)))
    assert raws[0].content == ANSWER and catalogue.asked[0] == {"ra": 10.5, "dec": -3.25, "radius": 0.001}
    products = dict(p for raw in raws for p in template.read(raw))
    assert list(products) == ["here"]  # what the archive does not have was not seen
    row = products["here"]
    assert row.values == {"name": "T 17", "ra": 10.5, "dec": -3.25, "mag": None}
    assert row.units["mag"] == "mag" and "mag" not in row.roles
    assert row.provenance.survey == "template/table" and "radius=0.0010000" in row.provenance.query


def test_the_template_passes_on_what_went_wrong(template):
    with pytest.raises(ArchiveError, match=r"template/table, target south: HTTP 503") as caught:
        list(template.query(Targets([Target("south", 10.5, -85.0)]), Ask()))
    assert caught.value.transient


@pytest.mark.parametrize("content", [b"", b"ra,dec\n1,2\n", b"name,ra,dec,mag\nT 17,ten,1,2\n", b"\xff\xfe", b'name,ra,dec,mag\n"T 17,1,2'])
def test_the_template_refuses_other_answers(content):
    with pytest.raises(ArchiveError, match="template/table, target t"):
        list(TemplateTable(url="http://127.0.0.1").read(Raw("template/table", ("t",), content, "")))


def test_numbers_that_are_none_are_missing():
    """From CSV and JSON alike: no infinity comes of a text, however it is written."""
    (_, row), = TemplateTable(url="http://127.0.0.1").read(Raw("template/table", ("t",), b"name,ra,dec,mag\nT 17,10.5,inf,1e999\n", ""))
    assert row.values == {"name": "T 17", "ra": 10.5, "dec": None, "mag": None}
    value = formats.json_value(b'{"a": [1e999, -1e400, Infinity, NaN, 1e-400, 1.5, ' + b"9" * 400 + b'.0]}', "s")
    assert value == {"a": [None, None, None, None, 0.0, 1.5, None]}
