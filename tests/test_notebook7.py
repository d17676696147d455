"""Notebook 7: widgets show and are linked, and say so when the kernel was restarted; nothing leaves the machine."""

import sys
import time
from pathlib import Path

import pytest
from browser import EXTENSION, Lab, chromium, notebook

from astrofuse_lab.widgets.base import STATIC

pytest.importorskip("notebook", reason="browser: the package notebook is not installed")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not ((STATIC / "evaluation.js").is_file() and EXTENSION.exists()), reason="browser: the front end is not built; run: make front-end")]
OF_NOTEBOOK = ("uncaught: Cannot read properties of undefined (reading 'schema')",)
"""Notebook 7.6.5 says it of a settings plugin of its own, also with our extension switched off."""
TESTS = Path(__file__).parent
CODE = [
    f"import sys; sys.path.insert(0, {str(TESTS)!r})\nimport astrofuse_lab as af\nfrom conftest import make_toy_samples\nsamples = make_toy_samples(30)\nselection = af.Selection()",
    "af.SamplesWidget(samples, selection)",
    "import numpy as np\naf.EmbeddingWidget.from_arrays(np.c_[samples.column('mag_g'), samples.column('redshift')], {'label': samples.column('label')}, samples=samples, selection=selection)",
]


class Notebook7(Lab):
    """The notebook server in place of JupyterLab's."""

    name = "notebook"

    def _write(self, name, values):
        """Settings of JupyterLab's own plugins, some of which are not here."""

    def command(self):
        return [
            sys.executable, "-m", "notebook", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
            "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={self.root}", "--JupyterNotebookApp.news_url=None",
            "--JupyterNotebookApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]  # fmt: skip


def choose(page, menu, item):
    """An item of a menu, as a person takes it."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.locator(".lm-Menu-itemLabel", has_text=item).first.click()


@pytest.mark.timeout(300)
def test_widgets_show_and_are_linked(tmp_path):
    work = tmp_path / "work"
    notebook(work / "seven.ipynb", CODE)
    with Notebook7(tmp_path, work, environment={"ASTROFUSE_CACHE": str(tmp_path / "cache")}) as server, chromium(1280, 1000) as browser:
        page = browser.page()
        page.goto(server.url("notebooks/seven.ipynb"))
        page.locator(".jp-Notebook").wait_for()
        page.get_by_text("Python 3 (ipykernel)").wait_for()
        choose(page, "Run", "Run All Cells")
        samples, embedding = (page.locator(f'section.af[aria-label="AstroFuse: {name}"]') for name in ("Samples", "Embedding"))
        samples.get_by_text("30 of 30 shown").wait_for()
        embedding.locator("canvas").first.wait_for()
        samples.get_by_role("button", name="Select shown").click()
        embedding.get_by_role("heading", name="30 selected").wait_for()
        browser.shot(page, "notebook7")
        choose(page, "Kernel", "Restart Kernel")
        page.locator(".jp-Dialog .jp-mod-accept").click()
        page.locator(".jp-Dialog").wait_for(state="detached")
        page.get_by_text("Python 3 (ipykernel)").wait_for()
        until = time.monotonic() + 60  # the old line is closed while the kernel starts again
        while not samples.get_by_text("Python no longer answers").is_visible() and time.monotonic() < until:
            samples.get_by_role("row").nth(3 + int(time.monotonic()) % 5).click()
            page.wait_for_timeout(500)
        assert samples.get_by_text("Python no longer answers").is_visible() and samples.get_by_text("30 of 30 shown").is_visible()
        browser.shot(page, "notebook7-restarted")
        assert [one for one in browser.errors if one not in OF_NOTEBOOK] == [] and browser.foreign == []
