"""Notebook 01 in a real JupyterLab, in front of a person's eyes: run it, then click what a person clicks."""

import ast
import json
import shutil
import textwrap
from pathlib import Path

import pytest
from browser import EXTENSION, Lab, chromium, notebook, open_lab, outputs, run_all

ROOT = Path(__file__).parents[1]
NOTEBOOK = "01_first_fusion.ipynb"
BUILT = (ROOT / "astrofuse_lab/static/train.js").exists() and EXTENSION.exists()
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not BUILT, reason="browser: the front end is not built; run: make front-end")]

ASK = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  // what was printed comes with the reply: streams are told apart by what else the kernel does at the time, and may go astray
  const reply = await kernel.requestExecute({ code, store_history: false, user_expressions: { said: "_said.getvalue()" } }).done;
  return reply.content.status === "ok" ? reply.content.user_expressions.said.data["text/plain"] : JSON.stringify(reply.content.evalue);
}"""
SCROLL = """async (index) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = index;
  await notebook.scrollToItem(index, "start");
}"""


def ask(page, code):
    """Run code in the notebook's kernel and give what it prints."""
    whole = f"import contextlib, io\n_said = io.StringIO()\nwith contextlib.redirect_stdout(_said):\n    exec({textwrap.dedent(code)!r}, globals())"
    return ast.literal_eval(page.evaluate(ASK, whole)).strip()


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


SLOW = """
import time as _time
from astrofuse_lab.surveys.practice.observing import Instrument
asked, _quick, _batch = [], Instrument.query, Instrument.batch
def _slow(self, targets, ask):
    asked.extend((self.name, i) for i in targets.ids)
    for raw in _quick(self, targets, ask):
        _time.sleep(0.3)
        yield raw
Instrument.query, Instrument.batch = _slow, 8
"""
"""Makes the practice sky as slow as an archive in the notebook's kernel, and writes down who is asked about what."""


def ask_until(page, code, wanted, seconds=120):
    """Ask the kernel until it prints what is wanted."""
    for _ in range(seconds * 4):
        if (said := ask(page, code)) == wanted:
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"{code}: {said!r}, not {wanted!r}, after {seconds} s")


def rows_done(view):
    """What the widget's own table says: survey -> [done, total]."""
    cells = view.locator(".af-progress-table tbody tr").evaluate_all("(rows) => rows.map((r) => [r.cells[0].innerText.trim(), r.cells[2].innerText.trim()])")
    return {name: [int(n) for n in share.split("/")] for name, share in cells}


@pytest.mark.timeout(400)
def test_fetch_widget_stops_and_goes_on_where_it_stopped(first):
    page, browser = first
    n = int(ask(page, "print(len(targets))"))
    ask(page, SLOW)
    view = show(page, "af.FetchWidget", "Fetch")
    assert view.locator("header .af-badge").is_visible()
    view.get_by_role("button", name="Fetch").first.click()
    page.wait_for_function("() => [...document.querySelectorAll('.af-progress-table tbody tr')].some((r) => parseInt(r.cells[2].innerText) > 20)")
    browser.shot(page, "lab-fetch-running")
    view.get_by_role("button", name="Stop").click()
    go_on = view.get_by_role("button", name="Continue")
    go_on.wait_for()
    page.wait_for_timeout(500)
    partial = rows_done(view)
    assert len(partial) == 5 and all(total == n for _, total in partial.values())
    assert 0 < sum(done for done, _ in partial.values()) < 5 * n  # something, not all
    assert "Stopped; Continue goes on where it stopped" in view.inner_text()
    assert str(5 * n - sum(done for done, _ in partial.values())) in go_on.inner_text()  # "Continue (1234 left)"
    browser.shot(page, "lab-fetch-stopped")
    # requests that were on their way still end up in the cache; then note what is known
    ask_until(page, "import threading; print(any(t.name.startswith('fetch ') for t in threading.enumerate()))", "False")
    ask(page, "known = {(str(r['survey']), str(r['object_id'])) for r in fetching.found.status if r['state'] in ('found', 'empty')}; before = len(asked)")
    assert int(ask(page, "print(len(known))")) == sum(done for done, _ in partial.values())
    go_on.click()
    ask_until(page, "print(fetching.found.complete and not fetching.busy)", "True", 240)
    go_on.wait_for(state="detached")
    for _ in range(40):  # the view hears of the last answers a moment after the kernel
        if rows_done(view) == {name: [n, n] for name in partial}:
            break
        page.wait_for_timeout(250)
    assert rows_done(view) == {name: [n, n] for name in partial}
    assert ask(page, "print(len(asked) > before, known & set(asked[before:]), len(asked) - len(set(asked)))") == "True set() 0"
    browser.shot(page, "lab-fetch")
    ask(page, "Instrument.query, Instrument.batch = _quick, _batch")
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
    view.locator("svg .knot").first.wait_for()  # the first epoch has drawn itself
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
    view.get_by_text(f"{chosen} selected").wait_for()
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


def test_the_exercises_tell_right_from_wrong(first):
    """What nbmake does at the end of the other notebooks."""
    page, _ = first
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import course_answers; course_answers.hold(lesson, globals()); print('held')"
    assert ask(page, code) == "held"
    assert ask(page, "print(lesson.done())") == "(0, 6)"


def test_nothing_left_the_machine_and_the_console_is_clean(first):
    _, browser = first
    assert browser.foreign == []
    assert browser.errors == []


@pytest.mark.parametrize("subshells", [True, pytest.param(False, marks=pytest.mark.full)], ids=["subshells on", "subshells off"])
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
