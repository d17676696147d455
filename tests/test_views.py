"""Each built view in Chromium, driven through its states by hand and key; pictures go to test-results/screens to be looked at."""

import threading
import time

import numpy as np
import pytest
from answering import Answering
from browser import chromium
from conftest import make_toy_samples, with_series
from host import Host

import astrofuse_lab as af
from astrofuse_lab import outlines, regions
from astrofuse_lab.errors import ArchiveError, StorageError
from astrofuse_lab.surveys import health
from astrofuse_lab.surveys.practice.image import PracticeImage
from astrofuse_lab.widgets import fetch_aladin, fetch_facts
from astrofuse_lab.widgets.base import STATIC, Selection
from astrofuse_lab.widgets.header import HeaderWidget

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (STATIC / "samples.js").is_file(), reason="browser: the views are not built; run make front-end"),
]
LOOKS = [pytest.param((False, 1024), id="light-1024"), pytest.param((True, 1920), id="dark-1920")]

CHECK = """() => {
  const root = document.querySelector(".af");
  const shown = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== "hidden";
  const named = (e) => (e.getAttribute("aria-label") || e.closest("label")?.textContent || e.textContent || e.title || e.placeholder || "").trim();
  const nameless = [...root.querySelectorAll("button,input,select,textarea,canvas,svg[role=img]")].filter((e) => shown(e) && !named(e)).map((e) => e.outerHTML.slice(0, 120));
  const rgba = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const behind = (e) => { let under = []; for (let at = e; at; at = at.parentElement) { const c = rgba(getComputedStyle(at).backgroundColor); const a = c.length > 3 ? c[3] : 1; if (a > 0) under.push([c, a]); if (a === 1) break; }
    return under.reverse().reduce((base, [c, a]) => base.map((v, i) => v + (c[i] - v) * a), [255, 255, 255]); };
  const faint = [];
  for (const e of root.querySelectorAll("*")) {
    if (!(e instanceof HTMLElement) || !shown(e) || e.matches("mark,option,:disabled,style") || e.closest(":disabled,[aria-pressed=false]")) continue;
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const [a, b] = [light(rgba(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(1)} ${e.className}: ${e.textContent.slice(0, 40)}`);
  }
  return { nameless, faint: [...new Set(faint)], wide: document.documentElement.scrollWidth - innerWidth };
}"""


class Stage:
    """One browser in one look, and what every state must be: named controls, legible text, nothing cut off, a silent console."""

    def __init__(self, browser, dark, width):
        self.browser, self.dark = browser, dark
        self.look = f"{'dark' if dark else 'light'}-{width}"
        self.hosts = []

    def show(self, widget):
        host = Host(self.browser, widget, self.dark)
        self.hosts.append(host)
        return host

    def shot(self, host, state):
        self.browser.shot(host.page, f"{state}-{self.look}", full=True)
        found = host.page.evaluate(CHECK)
        assert found["nameless"] == [], f"{state}: controls without a name"
        assert found["faint"] == [], f"{state}: text of too little contrast"
        assert found["wide"] <= 0, f"{state}: {found['wide']} px stand out at the right"
        assert self.browser.errors == [] and self.browser.foreign == []

    def end(self):
        for host in self.hosts:
            host.close()
            host.widget.close()
        assert self.browser.errors == []


@pytest.fixture(params=LOOKS)
def stage(request):
    dark, width = request.param
    with chromium(width=width, height=900, dark=dark) as browser:
        made = Stage(browser, dark, width)
        yield made
        made.end()


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples()


@pytest.fixture(scope="module")
def run(samples):
    return af.train("joint_attention", samples, "label", epochs=25, progress=False)


def key(host, name):
    host.page.locator(".af").focus()
    host.page.keyboard.press(name)
    host.pump()


def test_samples(stage, samples):
    widget = af.SamplesWidget(samples)
    host = stage.show(widget)
    host.page.get_by_role("status").filter(has_text="Reading the sample").wait_for(timeout=5000)
    host.settle()
    assert "toy-0000" in host.text() and "practice sky" in host.text() and "rest frame at z = 0.1804" in host.page.inner_html("#view")
    stage.shot(host, "samples")

    lacking = next(i for i in range(60) if samples.present("image")[i] and not samples.present("spectrum")[i])
    widget.focus = lacking
    host.settle()
    assert "no spectrum for this object" in host.text()
    stage.shot(host, "samples-missing")

    key(host, "ArrowRight")
    assert widget.focus == lacking + 1
    key(host, " ")
    host.settle()
    assert widget.selection.ids == (f"toy-{lacking + 1:04d}",) and "1 selected" in host.text()

    key(host, "/")
    host.page.keyboard.type("label=quasar redshift>0.1")
    host.settle()
    wanted = int(((samples.column("label") == "quasar") & (samples.column("redshift") > 0.1)).sum())
    assert f"{wanted} of 60 shown" in host.text()
    host.page.get_by_role("button", name="Select shown").click()
    host.settle()
    assert len(widget.selection.ids) in (wanted, wanted + 1)
    host.page.get_by_role("columnheader", name="redshift").click()
    host.pump(0.2)
    stage.shot(host, "samples-filtered")
    key(host, "Escape")
    host.settle()
    assert widget.selection.ids == ()
    key(host, "Escape")
    host.pump(0.2)
    assert "60 of 60 shown" in host.text()

    host.page.get_by_label("Period to fold by, days").fill("6.28") if host.page.get_by_label("Period to fold by, days").count() else None
    host.page.get_by_label("Redshift of the line markers", exact=True).fill("0.5") if host.page.get_by_label("Redshift of the line markers", exact=True).count() else None
    host.pump(0.2)
    stage.shot(host, "samples-folded")
    host.page.get_by_role("button", name="Show the line of Python").click()
    key(host, "?")
    assert f"samples['{samples.object_ids[widget.focus]}']" in host.text() and "previous, next sample" in host.text()
    stage.shot(host, "samples-code-keys")


def test_a_series(stage, samples):
    both = with_series(samples)
    host = stage.show(af.SamplesWidget(both.take(np.flatnonzero(both.present("series")))))
    host.settle()
    slot = host.page.locator('[data-kind="series"]')
    assert "secondary" in slot.inner_text() and "phase -0.5 to 0.5" in slot.locator("svg[role=img]").get_attribute("aria-label").replace("\u2212", "-")
    assert slot.locator("svg[role=img] path[stroke]").count() >= 2
    stage.shot(host, "samples-series")


def test_samples_empty_and_without_a_kernel(stage, samples):
    host = stage.show(af.SamplesWidget(samples.take([])))
    host.pump(0.2)
    assert "No samples" in host.text()
    stage.shot(host, "samples-empty")

    saved = af.SamplesWidget(samples)
    saved.keep(["sample/0"])
    saved.live = False
    host = stage.show(saved)
    host.settle()
    assert "no kernel" in host.text() and "Hα" not in host.text() and "toy-0000" in host.text()
    saved.focus = 5
    host.settle()
    assert "This page has no kernel" in host.text()
    stage.shot(host, "samples-no-kernel")


def test_training_is_watched_stopped_and_resumed(stage, samples):
    widget = af.TrainWidget(samples, recipe="late_fusion", target="label", epochs=60)
    host = stage.show(widget)
    host.pump(0.2)
    assert "Nothing trained yet" in host.text()
    host.until(lambda: host.page.locator("svg.af-graph").count() == 1)
    stage.shot(host, "train-empty")
    host.page.get_by_label("Recipe", exact=True).select_option("gated_fusion")
    host.page.get_by_label("text", exact=False).first.uncheck()
    host.settle()
    assert widget.recipe == "gated_fusion" and "text" not in widget.modalities and "gated_fusion" in widget.code
    host.page.get_by_role("button", name="Train", exact=True).click()
    host.until(lambda: len(widget.history) >= 3 and host.page.locator("svg[aria-label^='loss by epoch' i]").count() == 1)
    stage.shot(host, "train-running")
    host.page.get_by_role("button", name="Stop").click()
    host.until(lambda: widget.state == "stopped")
    host.pump(0.3)
    stage.shot(host, "train-stopped")
    at = len(widget.history)
    host.page.get_by_role("button", name="Resume").click()
    host.until(lambda: widget.state == "finished", 120)
    host.pump(0.3)
    assert len(widget.history) > at and "balanced accuracy" in host.text() and "chance" in host.text()
    stage.shot(host, "train")
    widget.target = "mag_g"
    host.pump(0.2)
    host.page.get_by_role("button", name="Train", exact=True).click()
    host.until(lambda: widget.error)
    host.pump(0.2)
    assert host.page.get_by_role("alert").is_visible()
    stage.shot(host, "train-failed")


def lasso(host, *corners):
    box = host.page.locator("canvas.af-map").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    host.page.mouse.move(*at[0])
    host.page.mouse.down()
    for x, y in [*at[1:], at[0]]:
        host.page.mouse.move(x, y, steps=6)
    host.page.mouse.up()
    host.settle()


EVERYTHING = ((0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99))


def test_embedding_is_lassoed_and_coloured(stage, run, samples):
    widget = af.EmbeddingWidget(run, samples, umap=False)
    host = stage.show(widget)
    host.until(lambda: "pca" in widget.maps and not widget.busy)
    host.pump(0.4)
    assert "trustworthiness" in host.text() and "Draw around points" in host.text()
    stage.shot(host, "embedding")
    lasso(host, *EVERYTHING)
    assert len(widget.selection.ids) == 60 and "60 selected" in host.text()
    lasso(host, (0.01, 0.01), (0.5, 0.01), (0.5, 0.99), (0.01, 0.99))
    left = len(widget.selection.ids)
    assert 0 < left < 60
    key(host, "ArrowRight")
    host.settle()
    assert widget.selection.focus in widget.selection.ids
    stage.shot(host, "embedding-selected")
    # a legend entry that is hidden is not lassoed
    host.page.get_by_role("group", name="Legend").get_by_role("button", name="quasar").click()
    lasso(host, *EVERYTHING)
    chosen = samples.select(widget.selection.ids).column("label")
    assert "quasar" not in chosen.tolist() and len(chosen) == int((samples.column("label") != "quasar").sum())
    key(host, "Escape")
    host.settle()
    assert widget.selection.ids == ()
    host.page.get_by_role("group", name="Space").get_by_role("button", name="spectrum").click()
    host.page.get_by_label("Colour by").select_option("uncertainty")
    host.settle()
    host.pump(0.4)
    assert f"{60 - int(samples.present('spectrum').sum())} samples lack spectrum" in host.text() and widget.space == "spectrum"
    stage.shot(host, "embedding-spectrum-uncertainty")


def test_embedding_before_the_first_map_and_without_samples(stage, run, samples, monkeypatch):
    from astrofuse_lab import explain

    go = threading.Event()
    real = explain.embed
    monkeypatch.setattr(explain, "embed", lambda *a, **k: (go.wait(60), real(*a, **k))[1])
    widget = af.EmbeddingWidget(run, samples, umap=False)
    host = stage.show(widget)
    host.pump(0.5)
    assert "Asking the model" in host.text() and host.page.get_by_role("button", name="Stop").is_visible()
    stage.shot(host, "embedding-loading")
    go.set()
    host = stage.show(af.EmbeddingWidget(run, samples.take([])))
    host.pump(0.3)
    assert "No samples" in host.text()
    stage.shot(host, "embedding-empty")


def test_attribution_pages_through_the_selection(stage, run, samples):
    selection = Selection(ids=tuple(samples.object_ids[10:14]), focus=str(samples.object_ids[10]))
    widget = af.AttributionWidget(run, samples, selection=selection)
    host = stage.show(widget)
    host.pump(0.1)
    stage.shot(host, "attribution-loading")
    host.until(lambda: len(widget.attributions) == 1)
    host.settle()
    assert "1 of 4" in host.text() and "Worth of each modality" in host.text() and "delta" in host.text()
    stage.shot(host, "attribution")
    key(host, "ArrowRight")
    host.until(lambda: len(widget.attributions) == 2)
    host.settle()
    assert selection.focus == "toy-0011" and "2 of 4" in host.text()
    host.page.get_by_label("Class to explain", exact=True).first.select_option("star")
    host.until(lambda: len(widget.attributions) == 3)
    host.settle()
    assert "Attribution to star" in host.text() and "target='star'" in widget.code
    host.page.get_by_role("button", name="one scale for all").click()
    host.page.get_by_label("Method").select_option("occlusion")
    host.until(lambda: len(widget.attributions) == 4)
    host.settle()
    stage.shot(host, "attribution-star-occlusion")


def test_attribution_that_fails_says_so_and_may_be_tried_again(stage, run, samples, monkeypatch):
    from astrofuse_lab import explain

    real = explain.attribute

    def fails(*arguments, **options):
        raise ArchiveError("model", "out of memory at 32 steps. Close other notebooks.")

    monkeypatch.setattr(explain, "attribute", fails)
    host = stage.show(af.AttributionWidget(run, samples))
    host.pump(0.5)
    host.settle()
    assert "could not be explained" in host.text() and "out of memory" in host.text()
    stage.shot(host, "attribution-error")
    monkeypatch.setattr(explain, "attribute", real)
    host.page.get_by_role("button", name="Try again").click()
    host.until(lambda: "Worth of each modality" in host.text())


def test_attention_by_layer_and_head(stage, run, samples):
    widget = af.AttentionWidget(run, samples)
    host = stage.show(widget)
    host.until(lambda: "How it flows to the class token" in host.text())
    host.settle()
    stage.shot(host, "attention")
    host.page.get_by_label("Layer").select_option("fusion.0")
    host.pump(0.2)
    host.page.get_by_label("Head").select_option("1")
    host.settle()
    assert (widget.layer, widget.head) == ("fusion.0", "1") and "maps['fusion.0'][0, 1]" in widget.code
    before = host.page.inner_text(".af-matrix")
    host.page.get_by_label("Head").select_option("2")
    host.settle()
    assert host.page.inner_text(".af-matrix") != before
    stage.shot(host, "attention-head")


def test_attention_of_a_recipe_without(stage, samples):
    plain = af.train("late_fusion", samples, "label", modalities=["table"], epochs=1, progress=False)
    host = stage.show(af.AttentionWidget(plain, samples))
    host.pump(0.2)
    assert "no attention" in host.text() and "joint_attention" in host.text()
    stage.shot(host, "attention-none")


def test_fetch_stop_continue_align(stage, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path))
    quick = PracticeImage.query
    monkeypatch.setattr(PracticeImage, "query", lambda self, targets, ask: (time.sleep(1.0), quick(self, targets, ask))[1])  # as slow as an archive
    widget = af.FetchWidget(count=150, circle=2.0, surveys=["practice/image", "practice/spectrum", "practice/table"])
    host = stage.show(widget)
    host.pump(0.2)
    assert "No targets yet" in host.text() and "Nothing fetched yet" in host.text()
    stage.shot(host, "fetch-empty")
    host.page.get_by_role("button", name="Fetch up to 150 targets").click()
    host.until(lambda: any(r["done"] for r in widget.counts))
    host.page.get_by_role("button", name="Stop").click(timeout=10_000)
    stage.shot(host, "fetch-running")
    host.until(lambda: not widget.busy)
    host.until(lambda: "Continue (" in host.text())
    stage.shot(host, "fetch-stopped")
    host.page.get_by_role("button", name="Continue").click()
    host.until(lambda: widget.complete and not widget.busy, 180)
    host.pump(0.3)
    stage.shot(host, "fetch")
    host.page.get_by_role("button", name="Align").click()
    host.until(lambda: widget.samples is not None and not widget.busy, 120)
    host.until(lambda: "150 samples" in host.text())
    stage.shot(host, "fetch-aligned")


def test_fetch_of_typed_targets_over_the_whole_sky(stage):
    widget = af.FetchWidget(surveys=["practice/table"])
    host = stage.show(widget)
    host.page.get_by_role("button", name="names or positions").click()
    host.pump(0.2)
    box = host.page.get_by_label("Targets, one a line")
    box.fill("400 10")
    box.blur()
    host.settle()
    host.page.get_by_role("button", name="Fetch 1 target").click()
    host.until(lambda: widget.error)
    host.pump(0.2)
    assert "RA 400" in host.text()
    stage.shot(host, "fetch-error")
    box = host.page.get_by_label("Targets, one a line")
    box.fill("\n".join(f"{ra} {dec}" for ra in range(0, 360, 30) for dec in (-60, -20, 20, 60)))
    box.blur()
    host.settle()
    host.page.get_by_role("button", name="Show on the sky").click()
    host.until(lambda: widget.sky.get("n") == 48 and not widget.busy)
    host.pump(0.2)
    assert "whole sky, Aitoff" in host.text() and not widget.error
    stage.shot(host, "fetch-all-sky")


def drag(host, *places):
    """Draw on the sky, in shares of its width and height."""
    canvas = host.page.locator(".af-sky")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    host.page.mouse.move(*at[0])
    host.page.mouse.down()
    for x, y in at[1:]:
        host.page.mouse.move(x, y, steps=6)
    host.page.mouse.up()
    host.settle()


def test_fetch_region_drawn_targets_lassoed_and_a_large_fetch_asked_about(stage, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path))
    monkeypatch.setitem(fetch_facts.LARGE, "bytes", 1000.0)
    widget = af.FetchWidget(surveys=["practice/table", "practice/image"], count=40)
    host = stage.show(widget)
    host.pump(0.3)
    drag(host, (0.55, 0.3), (0.65, 0.3), (0.65, 0.6), (0.55, 0.6))
    assert widget.center != "150.1 +2.2" and 0 < widget.circle < 1.5 and float(widget.center.split()[0]) < 150.1  # to the right is west
    host.page.get_by_role("button", name="Show on the sky").click()
    host.until(lambda: widget.sky and not widget.busy)
    host.pump(0.2)
    drag(host, (0.02, 0.02), (0.53, 0.02), (0.53, 0.98), (0.02, 0.98))
    chosen = widget.selection.ids
    east = [t.object_id for t in widget.targets if t.ra > float(np.median(widget.targets.ra)) + 0.3 * widget.circle]
    assert 0 < len(chosen) < 40 and set(east) <= set(chosen)
    stage.shot(host, "fetch-lasso")
    host.page.get_by_role("button", name=f"Keep these {len(chosen)}").click()
    host.settle()
    assert widget.targets.ids == chosen
    host.page.get_by_role("button", name=f"Fetch {len(chosen)} targets").click()
    host.until(lambda: "This is a large fetch" in host.text())
    assert widget.found is None
    stage.shot(host, "fetch-large")
    host.page.get_by_role("button", name="Fetch all the same").click()
    host.until(lambda: widget.complete and not widget.busy)
    host.until(lambda: host.page.locator(".af-first .af-slot").count() == 2)
    stage.shot(host, "fetch-first-products")


def test_fetch_surveys_searched_and_told_by_light(stage):
    widget = af.FetchWidget(surveys=["practice/table"], lights=[["gea.esac.esa.int", "down", "HTTP 503 <img src=x onerror=window.hit=1>"], ["irsa.ipac.caltech.edu", "good", ""]])
    host = stage.show(widget)
    host.pump(0.2)
    names = host.page.locator(".af-survey input").evaluate_all("(all) => all.map((e) => e.dataset.name)")
    assert names[:5] == [f"practice/{kind}" for kind in ("image", "spectrum", "light_curve", "table", "text")] and set(names) == set(af.list_surveys()["name"])
    key(host, "/")
    host.page.keyboard.type("gaia")
    host.page.get_by_label("Modality").select_option("spectrum")
    names = host.page.locator(".af-survey input").evaluate_all("(all) => all.map((e) => e.dataset.name)")
    assert names == ["gaia/xp", "gaia/rvs"]
    assert host.page.get_by_role("img", name="gea.esac.esa.int does not answer: HTTP 503 <img").count() == 2
    host.page.locator("input[data-name='gaia/xp']").check()
    host.settle()
    assert widget.surveys == ["practice/table", "gaia/xp"] and "'gaia/xp'" in widget.code
    host.page.get_by_label("How to cite gaia/xp").click()
    stage.shot(host, "fetch-surveys")
    host.page.get_by_label("Search the surveys").fill("nothing has this name")
    assert "No survey fits" in host.text()
    assert host.page.evaluate("() => window.hit") is None


def test_fetch_of_a_file_and_markup_in_it(stage, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path))
    evil = "<img src=x onerror=window.hit=1>"
    file = tmp_path / "mine.csv"
    file.write_text(f"object_id,ra,dec\n{evil},10,-60\nb,11,-60\nb,11.1,-60\nc,12,95\n")

    def broken(self, targets, ask):
        raise ArchiveError("practice/image", f"{evil}: HTTP 500")

    monkeypatch.setattr(PracticeImage, "query", broken)
    widget = af.FetchWidget(surveys=["practice/image", "kids/table"])
    host = stage.show(widget)
    host.page.get_by_role("button", name="a file").click()
    host.settle()
    host.page.get_by_label("File of targets").set_input_files(file)
    host.until(lambda: widget.error)
    assert "row 2" in widget.error
    host.page.get_by_label("leave out what is no target").check()
    host.settle()
    host.page.get_by_role("button", name="Show on the sky").click()
    # Python may begin after the click, and the page hear of it later
    host.until(lambda: "row 2" in host.text() and "kids/table: no target lies inside what it saw" in host.text() and not widget.busy)
    host.page.locator("input[data-name='kids/table']").uncheck()
    host.settle()
    host.page.get_by_role("button", name="Fetch", exact=False).first.click()
    host.until(lambda: widget.problems and not widget.busy and f"{evil}: HTTP 500" in host.text())
    host.page.locator(".af-said summary").first.click()
    assert host.page.evaluate("() => window.hit") is None and host.page.locator("#view img").count() == 0
    stage.shot(host, "fetch-failed")


def test_head_of_the_workbench(stage, tmp_path):
    go = threading.Event()

    def save_page(path, on_progress, _stop):
        on_progress(0, 0)
        go.wait(60)
        on_progress(3, 4)
        path.write_text("a page")
        return path

    def save_run(folder):
        raise StorageError(f"{folder} already exists. Give another path.")

    steps = [{"name": "Sky", "why": "", "views": ["fetch"]}, {"name": "Samples", "why": "waits for samples", "views": []}, {"name": "Fuse", "why": "waits for samples", "views": []}, {"name": "Inspect", "why": "waits for a model", "views": []}]
    kept = []
    cells = [{"kind": "markdown", "source": "# A set of \\<b\\>stars&lt;/b&gt;"}, {"kind": "code", "source": "import astrofuse_lab as af"}]
    guide = [{"text": "Choose targets.", "label": "", "go": -1, "verb": ""}, *({"text": "", "label": "", "go": -1, "verb": ""} for _ in range(3))]
    widget = HeaderWidget(save_page, save_run, keep=kept.append, notebook=lambda: '{"cells": []}', steps=steps, code="import astrofuse_lab as af", cells=cells, guide=guide)
    host = stage.show(widget)
    host.pump(0.2)
    page = host.page
    assert "practice sky" not in host.text() and "waits for a model" in host.text() and "Choose targets." in host.text() and "not kept" in host.text()
    page.get_by_role("button", name="Keep the session, save a page").click()
    assert page.get_by_role("button", name="Save page").is_disabled() and "Waits for samples" in host.text()
    stage.shot(host, "head-waiting")

    every = [{**step, "why": ""} for step in steps]
    widget._update(steps=[*every[:3], {**every[3], "views": ["embedding", "attention"]}], ready=True, simulated=True, unsaved=True, page=str(tmp_path / "page.html"), folder=str(tmp_path / "run"))
    host.until(lambda: "practice sky" in host.text())
    assert "waits" not in host.text()
    page.get_by_role("button", name="Save page and run").click()
    host.until(lambda: "already exists" in host.text())  # the run cannot be saved there; nothing else was done
    assert widget.unsaved and not (tmp_path / "page.html").exists()
    stage.shot(host, "head-error")

    page.locator("input[data-name=folder]").fill("")
    page.keyboard.press("Tab")
    host.pump(0.2)
    page.get_by_role("button", name="Save page", exact=True).click()
    host.until(lambda: "Waiting for the map" in host.text())
    assert page.get_by_role("button", name="Stop").is_visible() and page.locator("input[data-name=page]").is_disabled()
    stage.shot(host, "head-saving")
    go.set()
    host.until(lambda: f"Page saved as {tmp_path / 'page.html'}" in host.text())
    assert (tmp_path / "page.html").read_text() == "a page"
    stage.shot(host, "head-saved")

    key(host, "w")
    assert not page.locator("input[data-name=page]").is_visible()
    key(host, "4")
    host.until(lambda: widget.step == 3)
    key(host, "?")
    assert "bring a sample into focus" in host.text() and "overlay on or off" in host.text()
    stage.shot(host, "head-keys")
    key(host, "?")
    key(host, "c")
    assert "import astrofuse_lab as af" in host.text() and "A set of <b>stars</b>" in host.text() and page.locator(".af-cells b").count() == 0
    stage.shot(host, "head-code")
    with page.expect_download() as taken:
        page.get_by_role("button", name="Download the notebook").click()
        host.until(lambda: not widget._quick._jobs.qsize())
        host.settle()
    assert taken.value.suggested_filename == "astrofuse.ipynb" and taken.value.path().read_text() == '{"cells": []}'

    widget._update(guide=[{**row, "text": "Trained.", "label": "Look inside", "go": 0} for row in guide])
    host.until(lambda: "Look inside" in host.text())
    page.get_by_role("button", name="Look inside ①").click()
    host.until(lambda: widget.step == 0)
    key(host, "w")
    typed = page.locator("input[data-name=place]")
    typed.click()
    for some in (str(tmp_path / "sur"), "vey"):  # what Python tells meanwhile takes nothing away from who types
        page.keyboard.type(some)
        widget._update(written=[*widget.written, "More was written"])
        host.pump(0.2)
        assert page.get_by_role("button", name="Keep it here").is_enabled()
    assert typed.input_value() == widget.place == str(tmp_path / "survey")
    page.keyboard.press("Home")
    page.keyboard.press("Delete")
    widget._update(sessions=[str(tmp_path / "another")])
    host.until(lambda: "another" in host.text())
    page.keyboard.type("/")
    host.until(lambda: widget.place == str(tmp_path / "survey"))
    page.get_by_role("button", name="Keep it here").click()
    host.until(lambda: kept and widget.session)
    assert kept == [tmp_path / "survey"] and f"Kept in {tmp_path / 'survey'}" in host.text()
    stage.shot(host, "head-kept")


def test_fetch_coverage_by_moc(stage, tmp_path, monkeypatch):
    """A survey with a MOC is drawn by it, to the cell; one whose MOC cannot be got stays rough, and that is said."""
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path))
    rng = np.random.default_rng(3)
    cells = np.unique(np.concatenate([np.arange(200, 330), rng.integers(0, 768, 60)]))
    text = " ".join(["3/", *map(str, cells), "8/", *map(str, rng.integers(0, 12 * 4**8, 4000))])
    server = Answering()
    server.routes["/query"] = lambda asked: text.encode() if "SDSS" in asked.query["ID"] else (503, b"maintenance", "text/plain")
    monkeypatch.setattr(outlines.SERVER, "url", server.url + "/query")
    monkeypatch.setattr(outlines.SERVER, "mirrors", ())
    monkeypatch.setattr(fetch_aladin, "installed", str)
    health.forget()
    ra, dec = rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    ra[:3], dec[:3] = (0.0, 359.999999, 90.0), (90.0, -90.0, 41.8103148957)  # poles, and where belt and caps meet
    targets = af.Targets.from_table({"object_id": [f"t{i}" for i in range(3000)], "ra": ra, "dec": dec})
    widget = af.FetchWidget(targets, surveys=["hips/sdss", "hips/panstarrs", "practice/table"])
    host = stage.show(widget)
    assert widget.wait_for_outlines()
    host.settle()
    out = int((~regions.region_of(text).contains(targets.ra, targets.dec)).sum())
    assert 0 < out < 3000
    said = host.text()
    assert f"hips/sdss: {out} of 3000 targets lie outside what it saw" in said
    assert "Rough shade for hips/panstarrs: the exact coverage cannot be got (HTTP 503" in said and "seen by the ticked surveys, some of them roughly" in said
    assert "pip install ipyaladin" in said
    stage.shot(host, "fetch-moc")
    host.page.locator("input[data-name='hips/panstarrs']").uncheck()
    host.settle()
    assert "Rough shade" not in host.text() and "seen by the ticked surveys," not in host.text()
    server.close()
    health.forget()


def test_fetch_with_a_survey_of_a_very_long_name(stage):
    long = "someone/" + "a-table-with-a-name-that-says-everything-about-it-" * 4
    widget = af.FetchWidget(surveys=["practice/table"])
    row = {**widget.catalogue[0], "name": long, "simulated": False}
    host = stage.show(widget)
    widget.catalogue, widget.surveys = [*widget.catalogue, row], ["practice/table", long]
    one = {"modality": "table", "found": 3, "empty": 0, "failed": 1, "pending": 0, "done": 4, "total": 4, "state": "done"}
    widget.counts = [{"survey": name, **one} for name in ("practice/table", long)]
    widget.plan = {"rows": [{"survey": long, "targets": 4, "cached": 0, "requests": 4, "seconds": 1.0, "bytes": 1e6, "basis": "assumed"}], "requests": 4, "seconds": 1.0, "bytes": 1e6, "large": False, "asked": False}
    host.settle()
    table = host.page.locator(".af-progress-table")
    assert table.bounding_box()["width"] <= host.page.locator(".af-across").bounding_box()["width"] + 1
    name = table.get_by_title(long)
    assert name.evaluate("(e) => e.scrollWidth > e.clientWidth && getComputedStyle(e).textOverflow") == "ellipsis"
    assert table.locator("tbody td.af-num").last.is_visible()
    stage.shot(host, "fetch-long-name")


def test_fetch_says_why_aladin_lite_is_not_shown(stage, monkeypatch):
    monkeypatch.setattr(fetch_aladin, "installed", lambda: "0.8.1")
    host = stage.show(af.FetchWidget(surveys=["practice/table"]))
    host.settle()
    assert "Aladin Lite cannot be shown: this page holds no other widgets" in host.text()
    host.page.get_by_role("button", name="sky plot").click()
    host.settle()
    assert host.widget.sky_by == "plot" and "cannot be shown" not in host.text() and host.page.locator("canvas.af-sky").is_visible()
    stage.shot(host, "fetch-aladin-hindered")
