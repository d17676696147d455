"""The lab extension in a real JupyterLab: launcher card, palette, side panel, inserted cells."""

import re
from pathlib import Path

import pytest
from browser import EXTENSION, Lab, chromium, command, notebook, open_lab, sources
from conftest import make_toy_samples

import astrofuse_lab

WIDGETS = Path(__file__).parents[1] / "widgets"
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (EXTENSION / "package.json").exists(), reason="browser: the front end is not built; run: make front-end")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    work = home / "work"
    (work / "study").mkdir(parents=True)
    make_toy_samples(12).save(work / "study" / "toy samples")
    (work / "study" / "quasars.csv").write_text("name,ra,dec\nQ1,10.5,-3\n")
    (work / "study" / "prices.csv").write_text("item,price\nlens,3\n")
    run = astrofuse_lab.train("late_fusion", make_toy_samples(40), target="label", modalities=["table"], epochs=1, progress=False)
    run.save(work / "study" / "first run")
    (work / "broken").mkdir()
    (work / "broken" / "manifest.json").write_text('{"format": "astrofuse-samples", ')
    notebook(work / "study" / "mine.ipynb", [""])
    notebook(work / "study" / "other.ipynb", ["samples = 3", ""])
    with Lab(home) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def test_launcher_card_opens_a_new_analysis_or_the_tutorial(lab, browser):
    page = browser.page()
    open_lab(page, lab)
    cards = page.locator(".jp-Launcher-section:has-text('AstroFuse Lab') .jp-LauncherCard")
    cards.first.wait_for()
    assert cards.locator(".jp-LauncherCard-label").all_inner_texts() == ["AstroFuse Lab", "New analysis"]
    browser.shot(page, "extension-launcher")
    cards.first.click()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.content?.model?.cells?.length > 3")
    written = sources(page)
    assert "import astrofuse_lab as af" in written[0]
    assert written[1].startswith('samples = af.load_samples("practice"')
    (lab.root / "notebooks").mkdir()
    notebook(lab.root / "notebooks" / "01_first.ipynb", ["'the tutorial'"])
    command(page, "astrofuse-lab:start")
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.context?.path === 'notebooks/01_first.ipynb'")
    page.close()


def test_side_panel_lists_what_is_there_and_inserts_runnable_cells(lab, browser):
    page = browser.page()
    open_lab(page, lab, "study/mine.ipynb")
    command(page, "astrofuse-lab:panel")
    panel = page.locator("#astrofuse-lab-panel")
    panel.locator(".af-Panel-note:has-text('searched')").wait_for()
    shown = {kind: panel.locator(f"[data-kind={kind}] .af-Panel-name").all_inner_texts() for kind in ("targets", "samples", "runs")}
    assert len(shown["samples"]) == 1 and re.fullmatch(r"toy samples\s*practice sky", shown["samples"][0])
    assert shown["targets"] == ["quasars.csv"]
    assert len(shown["runs"]) == 1 and shown["runs"][0].startswith("first run")
    assert "12 objects" in panel.locator("[data-kind=samples] .af-Panel-about").inner_text()
    assert "late_fusion · target label · table" in panel.locator("[data-kind=runs] .af-Panel-about").inner_text()
    browser.shot(page, "extension-panel-light")
    panel.get_by_role("button", name="Look toy samples").click()
    inserted = sources(page)
    assert 'import astrofuse_lab as af\nsamples = af.SampleSet.open("toy samples")\naf.SamplesWidget(samples)' in inserted
    command(page, "apputils:change-theme", {"theme": "JupyterLab Dark"})
    page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    browser.shot(page, "extension-panel-dark")
    command(page, "apputils:change-theme", {"theme": "JupyterLab Light"})
    page.wait_for_selector("body[data-jp-theme-light=true]", state="attached")
    page.close()


def test_palette_inserts_a_cell_that_defines_what_it_needs(lab, browser):
    page = browser.page()
    open_lab(page, lab, "study/other.ipynb")
    command(page, "apputils:activate-command-palette")
    page.keyboard.type("embedding widget")
    item = page.locator(".lm-CommandPalette-item:has-text('Insert a cell: embedding widget')")
    item.wait_for()
    browser.shot(page, "extension-palette")
    item.click()
    page.wait_for_function("() => [...window.jupyterapp.shell.currentWidget.content.model.cells].some(c => c.sharedModel.getSource().includes('EmbeddingWidget'))")
    cell = next(s for s in sources(page) if "EmbeddingWidget" in s)
    # the notebook defines samples but no run
    assert 'run = af.train("late_fusion", samples, target="label")' in cell
    assert "load_samples" not in cell
    assert cell.endswith("af.EmbeddingWidget(run, samples)")
    page.close()


def test_no_console_error_and_no_foreign_request(browser):
    assert browser.requests, "the tests above did not run"
    assert browser.errors == []
    assert browser.foreign == []


def test_inserted_code_names_only_what_the_door_has():
    code = (WIDGETS / "src" / "extension" / "cells.js").read_text() + (WIDGETS / "src" / "extension" / "panel.js").read_text()
    names = set(re.findall(r"\baf\.(\w+)", code))
    assert {"EmbeddingWidget", "SampleSet", "doctor"} <= names
    assert names <= set(dir(astrofuse_lab))
