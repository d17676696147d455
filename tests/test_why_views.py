"""Attribution, attention and contribution views in Chromium: coarse before fine, reading values by hand and key, comparing, checking, asking about changes, hostile words."""

import threading

import numpy as np
import pytest
from browser import chromium
from conftest import make_toy_samples
from explain_cases import samples as cached_samples
from explain_cases import trained
from test_views import Stage, key

import astrofuse_lab as af
from astrofuse_lab import explain
from astrofuse_lab.widgets.base import STATIC

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (STATIC / "contribution.js").is_file(), reason="browser: the views are not built; run make front-end"),
]
HOSTILE = "<img src=x onerror=window.hacked=1>"


LIGHT = pytest.mark.parametrize("stage", [pytest.param((False, 1024), id="light-1024")], indirect=True)
DARK = pytest.mark.parametrize("stage", [pytest.param((True, 1440), id="dark-1440")], indirect=True)


@pytest.fixture
def stage(request):
    dark, width = request.param
    with chromium(width=width, height=900, dark=dark) as browser:
        made = Stage(browser, dark, width)
        yield made
        made.end()


@LIGHT
def test_a_coarse_map_comes_first_and_values_can_be_read_by_hand_and_key(stage, monkeypatch):
    real, go = explain.attribute, threading.Event()

    def attribute(*arguments, on_coarse=None, **options):
        coarse = real(*arguments, **{**options, "steps": 2})
        if on_coarse is not None:
            on_coarse(coarse)
            go.wait(60)
        return real(*arguments, **options)

    monkeypatch.setattr(explain, "attribute", attribute)
    position = int(np.flatnonzero(cached_samples().present("image") & cached_samples().present("spectrum") & cached_samples().present("light_curve"))[0])
    widget = af.AttributionWidget(trained(), cached_samples(), selection=af.Selection(focus=str(cached_samples().object_ids[position])))
    host = stage.show(widget)
    host.until(lambda: "coarse; refining" in host.text())
    assert host.page.locator('[data-kind="image"] .af-total').inner_text().startswith("Σ")
    stage.shot(host, "why-coarse")
    go.set()
    host.until(lambda: "Worth of each modality" in host.text() and "refining" not in host.text())
    assert "One scale: a colour is the same change of the log odds" in host.text()
    host.until(lambda: "How certain" in host.text())

    host.page.locator('[data-kind="image"] .af-stack').hover()
    read = host.page.locator('[data-kind="image"] .af-out').inner_text()
    assert "RA " in read and "Dec " in read and "µJy" in read and f"attribution to {trained().predict(cached_samples().take([position]))['prediction'][0]}" in read
    host.page.locator('[data-kind="spectrum"] svg[role=img]').hover()
    read = host.page.locator('[data-kind="spectrum"] .af-caption').last.inner_text()
    assert "Å (rest" in read and "attribution" in read
    plot = host.page.locator('[data-kind="light_curve"] svg[role=img]').last
    plot.focus()
    plot.press("Shift+ArrowRight")
    assert "MJD" in host.page.locator('[data-kind="light_curve"] .af-out').inner_text() and widget.focus == position
    key(host, "s")
    host.until(lambda: "Each modality has its own scale" in host.text())


@DARK
def test_maps_are_compared_and_checked(stage, monkeypatch):
    from astropy.table import Table

    class Checks:
        passed, verdict = False, f"does not pass: {HOSTILE}"

        def table(self):
            return Table({"check": ["randomised weights", "seeds"], "passed": np.ma.MaskedArray([False, False], [False, True]), "value": [0.93, np.nan], "says": [HOSTILE, "not done"]})

    monkeypatch.setattr(explain, "check", lambda *a, **k: Checks())
    widget = af.AttributionWidget({"whole": trained(), HOSTILE: trained("late_fusion")}, cached_samples())
    host = stage.show(widget)
    host.until(lambda: "Worth of each modality" in host.text())
    host.page.get_by_role("button", name="Compare").click()
    host.until(lambda: host.page.get_by_text("rank correlation with A").count() == 1)
    assert widget.compare[0]["model"] == 1 and host.page.locator('[data-kind="spectrum"]').count() == 2
    host.page.get_by_label("Method B").select_option("occlusion")
    host.until(lambda: any("occlusion" in one for one in widget.attributions) and "gives no promise" not in host.text() and not widget.busy)
    host.page.get_by_role("button", name="Check this map").last.click()
    host.until(lambda: "fails its checks" in host.text())
    host.page.get_by_text("fails its checks").click()
    host.until(lambda: host.page.get_by_role("cell", name=HOSTILE).is_visible())
    stage.shot(host, "why-compare")
    assert host.page.evaluate("() => window.hacked") is None
    key(host, "c")
    host.until(lambda: host.page.locator('[data-kind="spectrum"]').count() == 1 and widget.compare == [])


@LIGHT
def test_attention_flows_and_maps_of_encoders(stage):
    widget = af.AttentionWidget({"with": trained(), "without": trained("late_fusion")}, cached_samples())
    host = stage.show(widget)
    host.until(lambda: "How it flows to the class token" in host.text())
    drawing = host.page.locator('svg[aria-label^="What reaches the class token"]')
    drawing.wait_for()
    assert "%" in drawing.get_attribute("aria-label")
    host.page.locator("summary", has_text="the flow").click()
    assert host.page.get_by_role("rowheader", name="class token").first.is_visible()
    key(host, "g")
    host.until(lambda: "moved this score upwards counts" in host.text())
    stage.shot(host, "why-attention")
    host.page.get_by_label("Layer").select_option("light_curve.0")
    host.until(lambda: "encoder's own tokens" in host.text())
    host.page.get_by_label("Model").select_option(label="without")
    host.until(lambda: "This recipe has no attention" in host.text())
    stage.shot(host, "why-attention-none")


@DARK
def test_contributions_responses_and_changes(stage):
    widget = af.ContributionWidget(af.Ensemble([trained(), trained("late_fusion")]), cached_samples())
    host = stage.show(widget)
    tab = lambda name: host.page.get_by_role("tab", name=name)  # noqa: E731
    host.until(lambda: "Worth of each modality" in host.text())
    assert "between the members" in host.text()
    stage.shot(host, "why-worth")
    tab("All samples").click()
    host.until(lambda: "Nothing measured yet" in host.text())
    host.page.get_by_role("button", name="Measure all 40").click()
    host.until(lambda: "Every subset of modalities" in host.text() and not widget.busy)
    assert host.page.locator(".af-subsets tbody tr").count() == 32 and "flatters the model" in host.text()
    host.page.get_by_role("button", name="the smallest first").click()
    assert host.page.locator(".af-subsets tbody tr").first.locator(".af-set.on").count() == 0
    stage.shot(host, "why-subsets")
    tab("Response").click()
    slider = host.page.get_by_label("How much the input is multiplied by")
    host.until(slider.is_visible)
    slider.focus()
    slider.press("End")
    assert slider.get_attribute("aria-valuetext") == "× 4" and "p(" in host.text() and "not what causes what in the sky" in host.text()
    host.page.get_by_role("button", name="log odds").click()
    stage.shot(host, "why-response")
    key(host, "4")
    host.until(tab("Swap and edit").is_visible)
    host.page.get_by_label("Id of the other sample").fill("toy-0007")
    host.page.get_by_label("Id of the other sample").press("Enter")
    host.page.get_by_role("button", name="Ask the model about the swap").click()
    host.until(lambda: "of toy-0007" in host.page.locator(".af-changes").inner_text())
    host.page.get_by_label("Edit", exact=True).select_option(label="set a column")
    host.page.get_by_role("button", name="Ask the model about the edit").click()
    host.until(lambda: host.page.locator(".af-changes tbody tr").count() == 2 and "asking the model" not in host.text())
    stage.shot(host, "why-changes")


@LIGHT
def test_hostile_names_and_few_samples(stage):
    toys = make_toy_samples(24)
    column = list(toys._columns.column_names).index("label")
    words = [HOSTILE if v == "star" else v for v in toys._columns.column("label").to_pylist()]
    toys._columns = toys._columns.set_column(column, "label", [words])
    run = af.train("joint_attention", toys, "label", modalities=["table", "spectrum"], epochs=1, progress=False)
    for make, says in ((af.AttributionWidget, "Worth of each modality"), (af.ContributionWidget, "Worth of each modality"), (af.AttentionWidget, "How it flows")):
        host = stage.show(make(run, toys.take([0])))
        host.until(lambda says=says, host=host: says in host.text())
        assert HOSTILE in host.text() and "1 of 1" in host.text() and host.page.evaluate("() => window.hacked") is None
        empty = stage.show(make(run, toys.take([])))
        empty.until(lambda empty=empty: "No samples" in empty.text())
