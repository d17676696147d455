"""Markup, script and paths in whatever an archive may name: inert in the views, and never a file outside the cache."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from browser import chromium
from conftest import make_toy_samples
from host import Host

import astrofuse_lab as af
from astrofuse_lab import surveys
from astrofuse_lab.errors import ArchiveError, AstroFuseError
from astrofuse_lab.fetching import fetch
from astrofuse_lab.modalities import TableRow, Text
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Raw, provenance_of
from astrofuse_lab.targets import Target, Targets
from astrofuse_lab.widgets.base import STATIC

EVIL = "<script>window.hacked=1</script><img src=x onerror=\"window.hacked=1\">'\"><svg onload=window.hacked=1>"
LINK = "javascript:window.hacked=1"
NAMES = (f"toy/row {EVIL}", f"toy/text {EVIL}")
PATHS = ["../../outside", "/tmp/astrofuse-outside", "..", ".", "a\x00b", "x" * 10_000, "C:\\outside", "con", "~/outside", "a/../../../b", "\u202egpj.exe", "file:///etc/passwd", "%2e%2e%2foutside", " "]


class Evil(Archive):
    """A survey whose every word is markup; one target of four it refuses, in such words."""

    def query(self, targets, ask):
        for target in targets:
            if target.object_id.startswith("bad"):
                raise ArchiveError(self.name, f"no such object {EVIL} {LINK}", target.object_id)
        yield Raw(self.name, targets.ids, b"x", f"{LINK}?{EVIL}")

    def read(self, raw):
        for target in raw.target_ids:
            origin = provenance_of(self, raw)
            row = TableRow({f"col {EVIL}": 1.0, "class": EVIL, "id": LINK}, {f"col {EVIL}": EVIL}, {"class": "target", "id": "id"}, origin)
            yield target, row if self.gives is TableRow else Text(f"{EVIL} {LINK}", origin)


def evil(name, gives):
    return Evil(name=name, gives=gives, url=LINK, citation=EVIL, licence=EVIL, release=EVIL, bands=(f"g{EVIL}", "r"), simulated=True, needs=(), coverage=Coverage(EVIL))


ROW, TEXT = evil(NAMES[0], TableRow), evil(NAMES[1], Text)


@pytest.fixture
def known(monkeypatch, tmp_path):
    """The surveys in the table, and a cache."""
    for name, attribute in zip(NAMES, ("ROW", "TEXT"), strict=True):
        monkeypatch.setitem(surveys.SURVEYS, name, f"{__name__}:{attribute}")
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def browser():
    with chromium(width=1024, height=900) as browser:
        yield browser
        assert browser.errors == [] and browser.foreign == []


def inert(host, *shown):
    """What was named is there as text, and nothing of it became an element."""
    page = host.page
    assert not page.evaluate("() => window.hacked")
    assert page.evaluate("() => document.querySelectorAll('#view script, #view [onerror], #view [onload], #view a[href^=\"javascript\" i], #view iframe').length") == 0
    text = page.evaluate("() => document.getElementById('view').textContent")
    for word in shown:
        assert word in text


def targets():
    return Targets([*(Target(f"{i} {EVIL}", 150.0 + i / 50, 2.0) for i in range(5)), Target(f"bad {EVIL}", 150.05, 2.1)])


needs_views = pytest.mark.skipif(not (STATIC / "fetch.js").is_file(), reason="browser: the views are not built; run make front-end")


@pytest.mark.browser
@needs_views
def test_the_fetch_view_shows_what_archives_say_as_text(known, browser):
    widget = af.FetchWidget(targets(), surveys=list(NAMES))
    host = Host(browser, widget)
    host.pump(0.3)
    inert(host, EVIL)
    host.page.get_by_role("button", name="Fetch 6 targets").first.click()
    host.until(lambda: widget.found is not None and not widget.busy, 90)
    host.until(lambda: "no such object <script>" in host.text(), 30)  # drawn with the next frame
    assert widget.problems
    inert(host, EVIL)
    for name in ("Align", "first products", "Show the line of Python"):
        button = host.page.get_by_role("button", name=name)
        if button.count() and button.first.is_enabled():
            button.first.click()
            host.until(lambda: not widget.busy)
            host.settle()
            inert(host)
    host.close()
    widget.close()


@pytest.mark.browser
@needs_views
def test_the_samples_view_shows_names_texts_and_classes_as_text(browser):
    toy = make_toy_samples(12)
    n = len(toy)
    texts = [f"{i} {EVIL} {LINK}".encode() for i in range(n)]
    text = ModalityData(
        ModalitySpec("text", "text"), {"offsets": np.concatenate([[0], np.cumsum([len(t) for t in texts])]).astype(np.int64), "utf8": np.frombuffer(b"".join(texts), dtype=np.uint8)},
        np.ones(n, dtype=bool),
    )  # fmt: skip
    old = toy._data["image"]
    image = ModalityData(ModalitySpec("image", "image", (EVIL, f"r{EVIL}"), (2, 16, 16), EVIL, scale=0.5), dict(old.fields), np.ones(n, dtype=bool))
    columns = pa.table({"object_id": [f"{i} {EVIL}" for i in range(n)], "ra": np.zeros(n), "dec": np.zeros(n), EVIL: [EVIL] * n, "label": [f"{EVIL}{i % 2}" for i in range(n)]})
    samples = SampleSet(columns, {"image": image, "text": text}, {"label": "target", EVIL: "other"}, {EVIL: EVIL}, Card("toy", EVIL, simulated=True))
    widget = af.SamplesWidget(samples)
    host = Host(browser, widget)
    host.settle()
    inert(host, f"0 {EVIL}")
    host.page.locator(".af").focus()
    for key in ("ArrowRight", " ", "?"):
        host.page.keyboard.press(key)
        host.settle()
        inert(host)
    host.close()
    widget.close()


def test_what_was_found_is_escaped_in_its_table(known):
    found = fetch(targets(), list(NAMES), progress=False)
    table = found._repr_html_()
    assert "<script" not in table and "<img" not in table and "<svg" not in table and "&lt;script&gt;" in table
    assert EVIL in found.get(NAMES[1], f"1 {EVIL}").text and found.counts["failed"].sum() == 2
    assert "<script" not in getattr(targets(), "_repr_html_", lambda: "")() and found.cite()


@pytest.mark.parametrize("kind", ["object ids", "survey names", "releases"])
def test_names_that_lead_elsewhere_write_nothing_outside_the_cache(kind, known, tmp_path, monkeypatch):
    inside = tmp_path / "deep" / "in" / "here"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    outside = [Path("/tmp/astrofuse-outside"), Path("/tmp/outside")]
    assert not any(path.exists() for path in outside)
    taken = 0
    for path in PATHS:
        survey = evil(path if kind == "survey names" else NAMES[1], Text)
        survey.release = path if kind == "releases" else "1"
        try:
            found = fetch(Targets([Target(path if kind == "object ids" else "a", 1.0, 2.0)]), [survey], progress=False)
            taken += int(found.counts["found"][0])
        except AstroFuseError:  # refused as a name
            continue
        except (TypeError, UnicodeError, OSError) as error:
            pytest.fail(f"{path!r}: {type(error).__name__}: {error}")
    assert taken or kind == "survey names"
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()}
    assert written <= {"cache"} and not any(path.exists() for path in outside)
    assert all(path.resolve().is_relative_to(tmp_path / "cache") for path in (tmp_path / "cache").rglob("*"))
