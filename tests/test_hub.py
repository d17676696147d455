"""As behind a proxy: the served workbench below a path of its own speaks to nothing else. JupyterLab below a hub's path is in `test_extension_live`."""

import sys
from urllib.parse import urlsplit

import pytest
from browser import Server, chromium
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.widgets.base import STATIC

PREFIX = "/user/a-student/"
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (STATIC / "host.js").exists(), reason="browser: the front end is not built; run: make front-end")]


class AppBelow(Server):
    """``panel serve`` behind a proxy that hands on a path."""

    name = "panel-below"

    def __init__(self, home, folder):
        super().__init__(home)
        self.folder = folder

    def command(self):
        app = str(STATIC.parent / "widgets" / "app.py")
        return [sys.executable, "-m", "panel", "serve", app, "--port", str(self.port), "--address", "127.0.0.1", "--prefix", PREFIX.rstrip("/"),
                "--allow-websocket-origin", f"127.0.0.1:{self.port}", "--args", str(self.folder)]  # fmt: skip

    def ready_path(self):
        return f"{PREFIX}static/js/bokeh.min.js"  # the page itself would begin a visit at each look


def elsewhere(browser):
    """Addresses that were asked for and do not lie below the prefix."""
    return [url for url in browser.requests if urlsplit(url).scheme in ("http", "ws") and not urlsplit(url).path.startswith(PREFIX)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_toy_samples(30).save(tmp_path_factory.mktemp("hub") / "samples")


def test_the_served_workbench_below_a_path(folder, tmp_path):
    assert len(af.SampleSet.open(folder)) == 30
    with AppBelow(tmp_path, folder) as app, chromium(1280, 900) as browser:
        page = browser.page()
        page.goto(app.url(f"{PREFIX}app"), timeout=180000)
        page.get_by_text("30 of 30 shown").wait_for(timeout=60000)
        browser.shot(page, "hub-served")
        assert browser.errors == [] and browser.foreign == [] and elsewhere(browser) == []
