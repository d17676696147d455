"""The whole path by mouse in a real JupyterLab: fetch, look, train, compare, look inside; the kernel is restarted in the middle, and the notebook written meanwhile gives the same numbers."""

import json
import os
import sys

import pytest
from browser import ROOT, SCREENS, Lab, chromium, notebook, open_lab, outputs, run_all

import astrofuse_lab as af
from astrofuse_lab.widgets.base import STATIC

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.skipif(not (STATIC / "host.js").exists(), reason="the front end is not built; run: make front-end")]
CELL = "import astrofuse_lab as af\nbench = af.workbench(session='survey', umap=False)\nbench"
LONG = 240_000  # ms; a page waits for what is seen, however slow the machine


class Bench:
    """A workbench in the notebook at hand, as a person sees it."""

    def __init__(self, page, browser):
        self.page, self.browser = page, browser
        self.where = page.locator(".jp-NotebookPanel:visible")

    @property
    def head(self):
        return self.where.get_by_role("region", name="AstroFuse: Workbench")

    def press(self, name, exact=False):
        self.where.get_by_role("button", name=name, exact=exact).filter(visible=True).first.click(timeout=LONG)

    def see(self, text):
        self.where.get_by_text(text).filter(visible=True).first.wait_for(timeout=LONG)

    def fill(self, name, value):
        field = self.where.locator(f"input[data-name={name}]").filter(visible=True).first
        field.fill(str(value))
        field.press("Tab")

    def untick(self, *names):
        for name in names:
            self.where.locator(f"input[data-name='{name}']").filter(visible=True).first.uncheck()

    def shot(self, name):
        self.browser.shot(self.page, f"workbench-path-{name}")


def until(page, true):
    """Wait, and let the page breathe."""
    for _ in range(LONG // 500):
        if true():
            return
        page.wait_for_timeout(500)
    raise AssertionError("waited in vain")


def fetch_and_align(bench):
    bench.see("Choose targets and surveys")
    assert "waits for samples" in bench.head.inner_text()
    bench.untick("practice/image", "practice/spectrum", "practice/light_curve")
    bench.fill("count", 40)
    bench.press("Fetch up to 40 targets")
    bench.see("What was found is listed below")
    bench.press("Align")
    bench.see("samples are aligned")
    bench.shot("1-aligned")
    bench.press("Look at the samples")
    bench.see("Look at some before you train")
    bench.press("Train on them")
    bench.see("kept back, to test")


def restart(bench):
    """The kernel goes; what is there stays to be read, and says so; the same cell brings all of it back."""
    page = bench.page
    bench.head.get_by_text("kept", exact=False).first.wait_for(timeout=LONG)
    page.wait_for_timeout(1500)  # what was done last is written half a second later
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'", timeout=LONG)
    bench.head.get_by_role("tab").nth(1).click()
    bench.see("Python does not answer")
    bench.shot("2-restarted")
    run_all(page, timeout=240)
    bench.see("kept back, to test")  # step 3, as it was left


def train_and_look(bench, session):
    bench.where.get_by_label("Recipe").select_option("late_fusion")
    bench.fill("epochs", 2)
    bench.press("Train", exact=True)
    bench.press("Look inside")
    bench.where.get_by_role("region", name="AstroFuse: Attribution").get_by_text("Worth of each modality").wait_for(timeout=LONG)
    bench.head.get_by_role("button", name="Compare", exact=True).click()
    until(bench.page, lambda: json.loads((session / "session.json").read_text())["story"]["compared"])
    bench.see("chance")
    bench.shot("3-compared")


@pytest.mark.timeout(1500)
def test_the_whole_path_by_mouse_and_its_notebook_gives_the_same_numbers(tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    environment = {"ASTROFUSE_CACHE": str(tmp_path / "cache")}
    with Lab(tmp_path, environment=environment) as lab, chromium(1440, 1000) as browser:
        notebook(lab.root / "bench.ipynb", [CELL])
        page = browser.page()
        open_lab(page, lab, "bench.ipynb")
        run_all(page, timeout=240)
        bench = Bench(page, browser)
        fetch_and_align(bench)
        assert browser.errors == [] and browser.foreign == []
        restart(bench)
        train_and_look(bench, lab.root / "survey")
        bench.press("Show the notebook so far")
        bench.see("written to")
        bench.shot("4-notebook")
        page.wait_for_timeout(1500)
        assert not any(o["output_type"] == "error" for cell in outputs(page) for o in cell)
        assert browser.foreign == []
    session = lab.root / "survey"
    told = json.loads((session / "session.json").read_text())
    said = told["story"]["trainings"][-1]["metrics"]
    assert said and told["story"]["compared"]["verdict"]

    # a clean kernel, in the session's folder: the same numbers, to the last digit
    written = nbformat.read(session / "notebook.ipynb", as_version=4)
    last = "import json\njson.dump([float(v) for v in run.metrics['value']], open('numbers.json', 'w')), json.dump(comparison.meta['verdict'], open('verdict.json', 'w'))"
    written.cells.append(nbformat.v4.new_code_cell(last))
    nbformat.validate(written)
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    client = nbclient.NotebookClient(written, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(session)}})
    client.execute(env={**os.environ, **environment, "PYTHONPATH": paths, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"})
    numbers = json.loads((session / "numbers.json").read_text())
    assert numbers == [row["value"] for row in said]
    assert json.loads((session / "verdict.json").read_text()) == told["story"]["compared"]["verdict"]
    assert numbers == [float(v) for v in af.Run.open(session / "run").metrics["value"]]
    assert (SCREENS / "workbench-path-4-notebook.png").exists()
