"""What kernels tell the lab extension: jobs with Stop in two notebooks, closed notebooks, restarts; under a hub's prefix, with kernels on another server, in German."""

import json
import re
import sys
from pathlib import Path

import pytest
from browser import EXTENSION, Lab, Server, chromium, command, notebook, open_lab, run_all, sources
from conftest import make_toy_samples

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (EXTENSION / "package.json").exists(), reason="browser: the front end is not built; run: make front-end")]
PREFIX = "/user/anna"
PACK = "jupyterlab_language_pack_de_DE"
GERMAN = {"Jobs": "Aufträge", "Stop": "Anhalten", "Runs": "Trainings", "stopped": "angehalten"}
OF_JUPYTERLAB = r"WebSocket connection to .*/channels.* failed|debugger state|Canceled future for (debug|kernel_info)_request"
"""JupyterLab says it of its own lines to kernels, and of its debugger, when a notebook closes while its cell runs or a gateway restarts its kernel."""
WORK = """
import threading, time
from astrofuse_lab import jobs
halt = threading.Event()
with jobs.running("{title}", halt) as job:
    for i in range(3000):
        job.tell(i / 3000, f"step {{i}}")
        if halt.wait(0.1):
            break
print(job.state)
"""


class KernelServer(Server):
    """A Jupyter server that lends its kernels, as a gateway on another machine does."""

    name = "kernels"

    def command(self):
        return [
            sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
            "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={self.home}", "--ServerApp.jpserver_extensions={}",
        ]  # fmt: skip

    def environment(self):
        return {**super().environment(), "JUPYTER_CONFIG_DIR": str(self.home / "config"), "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"), "IPYTHONDIR": str(self.home / "ipython"), "ASTROFUSE_CACHE": str(self.home / "cache")}

    def ready_path(self):
        return "/api/status"


class HubLab(Lab):
    """JupyterLab as a hub starts it: under a person's prefix, with kernels from elsewhere."""

    def __init__(self, home, kernels, **more):
        super().__init__(home, **more)
        self.kernels = kernels

    def command(self):
        return [*super().command(), f"--ServerApp.base_url={PREFIX}/", f"--gateway-url={self.kernels.url()}", "--GatewayClient.request_timeout=240", "--GatewayClient.connect_timeout=240"]

    def url(self, path=""):
        return super().url(f"{PREFIX}/{path.lstrip('/')}")

    def request(self, method, path, body=None):
        return super().request(method, PREFIX + path, body)


def german(home: Path) -> str:
    """A language pack, as one is installed."""
    place = home / "packs"
    words = place / PACK / "locale" / "de_DE" / "LC_MESSAGES"
    words.mkdir(parents=True)
    (place / PACK / "__init__.py").write_text("")
    head = {"": {"domain": "astrofuse_lab", "language": "de-DE", "plural_forms": "nplurals=2; plural=(n != 1);", "version": "1"}}
    (words / "astrofuse_lab.json").write_text(json.dumps({**head, **{name: [said] for name, said in GERMAN.items()}}))
    told = place / f"{PACK}-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACK}\nVersion: 1\n")
    (told / "entry_points.txt").write_text(f"[jupyterlab.languagepack]\nde_DE = {PACK}\n")
    return str(place)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    home = tmp_path_factory.mktemp("hub")
    work = home / "work"
    make_toy_samples(6).save(work / "study" / "toy")
    for name in ("one", "two"):
        notebook(work / f"{name}.ipynb", [WORK.format(title=f"Work {name}")])
    with KernelServer(home / "elsewhere") as kernels:
        lab = HubLab(home, kernels)
        lab.extra = {"PYTHONPATH": f"{german(home)}:{lab.environment()['PYTHONPATH']}"}
        lab._write("translation-extension/plugin", {"locale": "de_DE"})
        place = home / "settings" / "astrofuse-lab" / "plugin.jupyterlab-settings"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps({"root": "/data/shared"}))
        with lab:
            yield lab


def row(panel, title):
    return panel.locator(f"[data-kind=jobs] .af-Panel-item:has-text('{title}')")


@pytest.mark.timeout(900)
def test_jobs_of_two_notebooks_under_a_hubs_prefix_with_kernels_elsewhere(hub):
    with chromium() as browser:
        page = browser.page()
        open_lab(page, hub, "one.ipynb", timeout=240)
        run_all(page, wait=False)
        command(page, "astrofuse-lab:panel")
        panel = page.locator("#astrofuse-lab-panel")
        panel.locator("[data-kind=jobs] summary:has-text('Aufträge')").wait_for()
        row(panel, "Work one").get_by_text("step").wait_for()
        status = page.locator(".af-Status-button")
        assert "Work one" in status.inner_text() and "MB of" in status.inner_text()
        command(page, "docmanager:open", {"path": "two.ipynb"})
        page.wait_for_function("() => { const w = window.jupyterapp.shell.currentWidget; const k = w?.sessionContext?.session?.kernel; return w.context.path === 'two.ipynb' && k?.connectionStatus === 'connected' && k.status === 'idle'; }")
        run_all(page, wait=False)
        row(panel, "Work two").get_by_text("step").wait_for()
        assert row(panel, "Work one").count() == 1 and "in one.ipynb" in row(panel, "Work one").inner_text()
        page.wait_for_function("() => document.querySelector('.af-Status-button').textContent.includes('Work two')")
        browser.shot(page, "extension-jobs")
        # Stop is heard while the cell runs, and by the right kernel
        row(panel, "Work one").get_by_role("button").click()
        page.locator("[data-kind=jobs] [data-state=stopped]:has-text('Work one')").wait_for()
        assert "angehalten" in row(panel, "Work one").inner_text() and "step" in row(panel, "Work two").inner_text()
        # a notebook that is closed keeps its kernel, and its job stays in sight
        page.evaluate("() => { const w = window.jupyterapp.shell.currentWidget; w.context.model.dirty = false; w.close(); }")
        page.wait_for_function("() => ![...window.jupyterapp.shell.widgets('main')].some((w) => w.context?.path === 'two.ipynb')")
        row(panel, "Work two").get_by_text("step").wait_for()
        browser.shot(page, "extension-jobs-closed")
        # opened again and restarted, it begins with nothing to tell
        command(page, "docmanager:open", {"path": "two.ipynb"})
        page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.context?.path === 'two.ipynb' && window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel")
        row(panel, "Work two").get_by_text("step").wait_for()
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        row(panel, "Work two").wait_for(state="detached")
        assert not page.locator(".af-Status").is_visible()
        # paths are written as the kernels' machine knows them
        panel.get_by_role("button", name="Load toy").click()
        page.wait_for_function("() => [...window.jupyterapp.shell.currentWidget.content.model.cells].some((c) => c.sharedModel.getSource().includes('SampleSet'))")
        assert any('af.SampleSet.open("/data/shared/study/toy")' in code for code in sources(page))
        command(page, "astrofuse-lab:open-card", {"path": "study/toy"})
        page.locator(".af-Card-preview tr").first.wait_for()
        assert all(PREFIX in url for url in browser.requests if url.startswith("http")), [u for u in browser.requests if PREFIX not in u][:5]
        assert browser.foreign == []
        assert [one for one in browser.errors if not re.search(OF_JUPYTERLAB, one)] == []
