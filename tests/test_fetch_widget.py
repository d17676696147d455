"""The fetch widget without a browser: files, lasso, estimate, first products, and code that does the same."""

import time

import astropy.units as u
import numpy as np
import pytest
from widget_tools import do, shown, until, values_of

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Image, LightCurve, Spectrum, Text, TimeSeries
from astrofuse_lab.surveys import health
from astrofuse_lab.surveys.practice.image import PracticeImage
from astrofuse_lab.widgets import fetch_facts
from astrofuse_lab.widgets.base import to_bits

pytest_plugins = ["widget_tools"]
pytestmark = pytest.mark.usefixtures("any_view")
FILE = b"object_id,ra,dec\nA <b>1</b>,150.1,2.2\nB,150.2,2.3\nC,150.3,2.4\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))


def settled(widget):
    assert widget.wait(120) and not widget.error, widget.error


def same_by_code(widget, before=None):
    scope = {"af": af, "u": u, **(before or {})}
    exec(widget.code.rsplit("\nsamples", 1)[0], scope)
    assert scope["targets"].ids == widget.targets.ids
    assert scope["found"].counts["found"].tolist() == widget.found.counts["found"].tolist()


def test_a_file_becomes_targets_and_stays_out_of_the_saved_state(tmp_path, monkeypatch, deliver):
    with shown(af.FetchWidget(surveys=["practice/table"])) as widget:
        deliver(widget.set_state, {"upload": {"name": "mine.csv", "data": memoryview(FILE)}})
        settled(widget)
        assert widget.mode == "file" and widget.targets.ids == ("A <b>1</b>", "B", "C") and widget.upload == {} and widget.sky["n"] == 3
        deliver(do, widget, "fetch")
        settled(widget)
        (tmp_path / "mine.csv").write_bytes(FILE)
        monkeypatch.chdir(tmp_path)
        same_by_code(widget)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\x00\x01\x02" * 99, "zero bytes"), (b"<html><script>x</script></html>", "no VOTable"), (b"id,ra,dec\nA,400,2\n", "row 0"), (b"0" * (8 * 1024**2 + 1), "a view takes 8")],
    ids=["rubbish", "page", "off the sky", "large"],
)
def test_a_file_that_is_none_says_so(content, words):
    with shown(af.FetchWidget(surveys=["practice/table"])) as widget:
        widget.set_state({"upload": {"name": "x.csv", "data": content}})
        assert widget.wait(60) and words in widget.error and not widget.busy and widget.targets is None
        do(widget, "fetch")
        assert widget.wait(60)
        assert widget.found is None or words == "a view takes 8"  # what was too large was not taken: the region is fetched


def test_lines_that_are_no_targets_may_be_left_out():
    with shown(af.FetchWidget(surveys=["practice/table"], mode="lines", lines="practice-00000042\n400 10\n10:00:24 +02:12:00")) as widget:
        do(widget, "look")
        assert widget.wait(60) and "line 2" in widget.error
        widget.skip = True
        do(widget, "fetch")
        settled(widget)
        assert len(widget.targets) == 2 and any("line 2" in note for note in widget.notes)
        same_by_code(widget)


@pytest.mark.parametrize(("verb", "stay"), [("keep", [1, 4, 5]), ("drop", [0, 2, 3, 6, 7])])
def test_what_a_lasso_selects_is_kept_or_left_out(deliver, verb, stay):
    with shown(af.FetchWidget(surveys=["practice/table"], count=8)) as widget:
        do(widget, "look")
        settled(widget)
        ids = widget.targets.ids
        deliver(widget.set_state, {"selected": to_bits(np.isin(np.arange(8), [1, 4, 5]))})
        until(lambda: widget.selection.ids == tuple(ids[i] for i in (1, 4, 5)))
        deliver(do, widget, verb)
        settled(widget)
        assert widget.targets.ids == tuple(ids[i] for i in stay) and widget.sky["n"] == widget.kept == len(stay) and widget.selection.ids == () and widget.selected == b""
        do(widget, "fetch")
        settled(widget)
        assert len(widget.found.targets) == len(stay)
        same_by_code(widget)
        widget.count = 9  # other targets: the choice is over
        assert "select(" not in widget.code and widget.kept == 0
        do(widget, verb)
        assert widget.wait(60) and "Press Show on the sky" in widget.error


def test_nothing_selected_cannot_be_kept():
    targets = af.Targets.from_table({"object_id": ["a", "b"], "ra": [10.0, 11.0], "dec": [1.0, 2.0]})
    with shown(af.FetchWidget(targets, surveys=["practice/table"])) as widget:
        do(widget, "keep")
        assert widget.wait(60) and "not none and not all" in widget.error
        widget.selection.ids = ("b",)
        do(widget, "keep")
        settled(widget)
        assert widget.targets.ids == ("b",) and "targets = targets.select(['b'])" in widget.code
        widget.mode = "region"
        do(widget, "look")
        settled(widget)
        widget.mode = "given"
        do(widget, "look")
        settled(widget)
        assert widget.targets.ids == ("a", "b") and widget.given == 2


def test_a_large_fetch_asks_first_and_a_small_one_does_not(monkeypatch):
    with shown(af.FetchWidget(surveys=["practice/table", "practice/image"], count=6)) as widget:
        monkeypatch.setitem(fetch_facts.LARGE, "bytes", 1000.0)
        do(widget, "fetch")
        settled(widget)
        assert widget.found is None and widget.plan["asked"] and widget.plan["large"]
        expected = af.estimate(widget.targets, ["practice/table", "practice/image"])
        assert widget.plan["bytes"] == expected["bytes"].sum() and [r["requests"] for r in widget.plan["rows"]] == expected["requests"].tolist()
        do(widget, "fetch", sure=True)
        settled(widget)
        assert widget.complete and widget.plan == {}
        do(widget, "fetch")  # all in the cache by now, so that there is nothing to ask about
        settled(widget)
        assert widget.complete and widget.plan == {}
        do(widget, "estimate")
        settled(widget)
        assert [r["cached"] for r in widget.plan["rows"]] == [6, 6] and not widget.plan["asked"]
        widget.size = 30.0
        assert widget.plan == {}


def test_first_products_come_while_the_fetch_runs(monkeypatch):
    quick = PracticeImage.query
    monkeypatch.setattr(PracticeImage, "query", lambda self, targets, ask: (time.sleep(1.0), quick(self, targets, ask))[1])  # as slow as an archive
    with shown(af.FetchWidget(surveys=["practice/table", "practice/spectrum", "practice/image"], count=120, circle=3.0, center="40.0 -15.0")) as widget:
        early = []
        widget.observe(lambda change: early.append(widget.busy and not widget.complete and widget.found is None), "preview")
        do(widget, "fetch")
        settled(widget)
        assert True in early  # before the end
        assert [row["survey"] for row in widget.preview] == ["practice/table", "practice/spectrum", "practice/image"]
        for row in widget.preview:
            widget._handle_custom_msg({"type": "want", "key": f"product/{row['key']}"}, [])
            assert widget.wait(30)
            payload = widget.answer(f"product/{row['key']}")
            assert payload["object_id"] == row["object_id"] and payload["name"] == row["survey"]
            product = widget.found.get(row["survey"], row["object_id"])
            if isinstance(product, Spectrum):
                assert np.allclose(values_of(payload["flux"]), product.flux[:: -(-len(product.flux) // fetch_facts.POINTS)], equal_nan=True)
        stale = widget.preview[0]["key"]
        widget.count = 5
        do(widget, "look")
        settled(widget)
        assert widget.preview == []
        widget._handle_custom_msg({"type": "want", "key": f"product/{stale}"}, [])
        assert widget.wait(30)
        assert "is over" in widget.sent[-1][0]["error"]


def test_large_products_are_thinned_and_other_kinds_named():
    image = fetch_facts.preview_payload("s", "o", Image(np.zeros((2, 500, 400), "f4"), np.ones((2, 500, 400), bool), ("g", "r"), {}, 0.5))
    assert max(image["flux"]["shape"][1:]) <= fetch_facts.SIDE and image["scale"] == 2.0
    wave = np.arange(4000.0, 14000.0)
    assert len(values_of(fetch_facts.preview_payload("s", "o", Spectrum(wave, wave, wave, wave > 0))["flux"])) <= fetch_facts.POINTS
    curve = LightCurve(np.arange(9000.0), np.arange(9000.0), np.ones(9000), np.array(["g"] * 9000), np.ones(9000, bool))
    assert len(values_of(fetch_facts.preview_payload("s", "o", curve)["time"])) == 3000
    assert len(fetch_facts.preview_payload("s", "o", Text("x" * 9000))["text"]) < 2100
    other = fetch_facts.preview_payload("s", "o", TimeSeries(0.0, 1.0, np.zeros((1, 5)), np.ones((1, 5), bool), ("H1",)))
    assert other["kind"] == "time_series" and set(other) == {"name", "kind", "present", "object_id"}


def test_a_failure_is_told_in_the_archives_words_and_the_light_goes_out(monkeypatch):
    def broken(self, targets, ask):
        raise ArchiveError("practice/image", "<script>alert(1)</script> HTTP 500")

    monkeypatch.setattr(PracticeImage, "query", broken)
    health.forget()
    try:
        health.note("https://example.org/x", ArchiveError("s", "HTTP 503", transient=True), 0.1)
        with shown(af.FetchWidget(surveys=["practice/image", "practice/table"], count=3)) as widget:
            do(widget, "fetch")
            settled(widget)
            assert {p[1] for p in widget.problems} == {"practice/image"} and all("<script>" in p[2] for p in widget.problems)
            assert ["example.org", "down"] in [row[:2] for row in widget.lights] and [row["survey"] for row in widget.preview] == ["practice/table"]
    finally:
        health.forget()


def test_the_picker_has_every_survey_with_its_sky():
    rows = {row["name"]: row for row in fetch_facts.survey_rows()}
    assert list(rows) == af.list_surveys()["name"].tolist()
    assert rows["kids/table"]["latitude"] == 20.0 and rows["panstarrs/image"]["dec"] == [-30.0, 90.0] and rows["panstarrs/image"]["host"] == "ps1images.stsci.edu"
    assert all(row["coverage"] and row["citation"] and row["licence"] for row in rows.values())
