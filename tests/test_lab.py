"""Notebook 01 in a real JupyterLab, in front of a person's eyes: run it, then click what a person clicks."""

import json
import shutil
from pathlib import Path

import pytest
from browser import EXTENSION, Lab, chromium, notebook, open_lab, outputs, run_all

ROOT = Path(__file__).parents[1]
NOTEBOOK = "01_first_fusion.ipynb"
BUILT = (ROOT / "astrofuse_lab/static/train.js").exists() and EXTENSION.exists()
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not BUILT, reason="browser: the front end is not built; run: make front-end")]

ASK = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code, store_history: false });
  let text = "";
  future.onIOPub = (m) => { text += m.header.msg_type === "stream" ? m.content.text : m.header.msg_type === "error" ? m.content.evalue : ""; };
  await future.done;
  return text.trim();
}"""
SCROLL = """async (index) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = index;
  await notebook.scrollToItem(index, "start");
}"""


def ask(page, code):
    """Run code in the notebook's kernel and give what it prints."""
    return page.evaluate(ASK, code)


def cell_with(page, text):
    """Position of the code cell whose source holds a text."""
    codes = page.evaluate("() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(c => c.type === 'code' ? c.sharedModel.getSource() : '')")
    return next(i for i, source in enumerate(codes) if text in source)


def show(page, text, title):
    """Scroll to the cell with a text in its source and give its view."""
    page.evaluate(SCROLL, cell_with(page, text))
    view = page.locator(f'section.af[aria-label="AstroFuse: {title}"]').first
    view.wait_for(timeout=60_000)
    view.scroll_into_view_if_needed()
    return view


def failures(page):
    return [f"cell {i}: {o.get('ename')}: {o.get('evalue')}" for i, cell in enumerate(outputs(page)) for o in cell if o.get("output_type") == "error"]


@pytest.fixture(scope="module")
def chrome():
    """One Chromium for this file: Playwright allows one at a time."""
    with chromium(1500, 1000) as browser:
        yield browser


@pytest.fixture(scope="module")
def first(chrome, tmp_path_factory):
    """Notebook 01, run from top to bottom."""
    home = tmp_path_factory.mktemp("first")
    work = home / "work"
    work.mkdir()
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, work / NOTEBOOK)
    with Lab(home, environment={"ASTROFUSE_CACHE": str(home / "cache")}) as lab:
        page = chrome.page()
        page.set_default_timeout(60_000)
        open_lab(page, lab, NOTEBOOK)
        run_all(page, timeout=900)
        yield page, chrome
        page.close()


@pytest.mark.timeout(1200)
def test_every_cell_runs(first):
    page, _ = first
    assert failures(page) == []
    assert ask(page, "print(run.state, len(samples) > 250, sorted(samples.modalities))") == "finished True ['image', 'light_curve', 'spectrum', 'table', 'text']"
    text = json.dumps(outputs(page))
    assert "identical" in text and "balanced" in text


def test_fetch_widget_fetches_stops_and_goes_on(first):
    page, browser = first
    view = show(page, "af.FetchWidget", "Fetch")
    assert view.locator("header .af-badge").is_visible()
    view.get_by_role("button", name="Fetch").first.click()
    page.wait_for_function("() => true")
    view.get_by_role("button", name="Align").wait_for()
    for _ in range(600):
        if ask(page, "print(fetching.found is not None and fetching.found.complete)") == "True":
            break
        page.wait_for_timeout(200)
    assert ask(page, "print(fetching.found.complete)") == "True"
    browser.shot(page, "lab-fetch")
    view.get_by_role("button", name="Show the line of Python").click()
    assert "af.fetch(" in view.inner_text()


def test_samples_widget_pages(first):
    page, browser = first
    view = show(page, "af.SamplesWidget", "Samples")
    view.get_by_text("image", exact=True).first.wait_for()
    before = ask(page, "print(selection.focus)")
    view.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(800)
    assert ask(page, "print(selection.focus)") != before
    assert "vacuum wavelength" in view.inner_text() or view.locator("svg").count() > 0
    browser.shot(page, "lab-samples")


@pytest.mark.timeout(600)
def test_training_draws_itself_stops_and_resumes(first):
    page, browser = first
    view = show(page, "af.TrainWidget", "Train")
    view.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_timeout(500)
    for _ in range(300):
        if int(ask(page, "print(len(training.history))")) >= 2:
            break
        page.wait_for_timeout(200)
    browser.shot(page, "lab-train-running")
    view.get_by_role("button", name="Stop").click()
    view.get_by_role("button", name="Resume").wait_for()
    assert ask(page, "print(training.state)") == "stopped"
    epochs = int(ask(page, "print(len(training.history))"))
    browser.shot(page, "lab-train-stopped")
    view.get_by_role("button", name="Resume").click()
    for _ in range(1200):
        if ask(page, "print(training.state)") == "finished":
            break
        page.wait_for_timeout(250)
    assert ask(page, "print(training.state, training.error)").strip() == "finished"
    assert int(ask(page, "print(len(training.history))")) > epochs
    browser.shot(page, "lab-train-finished")


@pytest.mark.timeout(600)
def test_lasso_attribution_and_attention_are_linked(first):
    page, browser = first
    view = show(page, "af.EmbeddingWidget", "Embedding")
    canvas = view.locator("canvas").first
    canvas.wait_for()
    view.get_by_role("button", name="lasso").click()
    box = canvas.bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.6), (0.02, 0.6), (0.02, 0.02)]
    points = [(box["x"] + fx * box["width"], box["y"] + fy * box["height"]) for fx, fy in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()
    for _ in range(100):
        chosen = int(ask(page, "print(len(linked.ids))"))
        if chosen:
            break
        page.wait_for_timeout(100)
    assert 0 < chosen <= int(ask(page, "print(len(tested))"))
    assert f"{chosen} selected" in view.inner_text()
    browser.shot(page, "lab-embedding")

    view = show(page, "af.AttributionWidget", "Attribution")
    for _ in range(300):
        if ask(page, "print(attribution.busy)") == "False":
            break
        page.wait_for_timeout(200)
    view.get_by_text("Worth of each modality").wait_for()
    assert ask(page, "print(attribution.error)") == ""
    browser.shot(page, "lab-attribution")

    view = show(page, "af.AttentionWidget", "Attention")
    for _ in range(300):
        if ask(page, "print(attention.busy)") == "False":
            break
        page.wait_for_timeout(200)
    assert ask(page, "print(attention.error)") == ""
    assert "image" in view.inner_text() and "spectrum" in view.inner_text()
    browser.shot(page, "lab-attention")


def test_workbench_shows_in_a_cell(first):
    page, browser = first
    page.evaluate(SCROLL, cell_with(page, "bench = af.workbench"))
    page.wait_for_timeout(4000)
    browser.shot(page, "lab-workbench")
    assert page.locator('section.af[aria-label="AstroFuse: Embedding"]').count() >= 1


def test_nothing_left_the_machine_and_the_console_is_clean(first):
    _, browser = first
    assert browser.foreign == []
    assert browser.errors == []


@pytest.mark.parametrize("subshells", [True, False], ids=["subshells on", "subshells off"])
@pytest.mark.timeout(400)
def test_widgets_work_with_and_without_kernel_subshells(chrome, tmp_path, subshells):
    tests = str(Path(__file__).parent)
    code = [
        f"import sys; sys.path.insert(0, {tests!r})\nimport astrofuse_lab as af\nfrom conftest import make_toy_samples\nsamples = make_toy_samples(80)",
        'training = af.TrainWidget(samples, recipe="late_fusion")\ntraining',
    ]
    work = tmp_path / "work"
    notebook(work / "small.ipynb", code)
    with Lab(tmp_path, work, subshells=subshells, environment={"ASTROFUSE_CACHE": str(tmp_path / "cache")}) as lab:
        page, before = chrome.page(), len(chrome.errors)
        page.set_default_timeout(60_000)
        open_lab(page, lab, "small.ipynb")
        run_all(page, timeout=120)
        assert failures(page) == []
        view = page.locator('section.af[aria-label="AstroFuse: Train"]')
        view.get_by_role("button", name="Train", exact=True).click()
        for _ in range(400):
            if ask(page, "print(training.state)") == "finished":
                break
            page.wait_for_timeout(250)
        assert ask(page, "print(training.state, training.error)").strip() == "finished"
        assert chrome.errors[before:] == []
        page.close()
