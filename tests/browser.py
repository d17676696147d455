"""A real JupyterLab and a real Chromium for tests: start, drive, look, stop; nothing survives, nothing leaves this machine.

Used as::

    with Lab(tmp_path) as lab, chromium() as browser:
        page = browser.page()
        page.goto(lab.url("lab/tree/notebook.ipynb"))
        ...
        browser.shot(page, "notebook-light")
        assert browser.errors == [] and browser.foreign == []
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page

ROOT = Path(__file__).resolve().parents[1]
SCREENS = ROOT / "test-results" / "screens"
EXTENSION = ROOT / "astrofuse_lab" / "labextension"
ARGUMENTS = [
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--disable-background-networking",
]  # fmt: skip
LOCAL = ("127.0.0.1", "localhost", "[::1]", "::1")
HARMLESS: tuple[str, ...] = ()
PATIENCE = 90_000
"""Milliseconds that a page may take for anything: a test waits for what it names, never for a time."""
# two frames, or two seconds in a page that draws none
DRAWN = """() => Promise.race([
  new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))),
  new Promise((done) => setTimeout(done, 2000)),
])"""
"""Patterns of console errors that are not ours and mean nothing; each with its reason."""


def find_chromium() -> str | None:
    """Path of a Chromium on this machine; None lets Playwright use its own."""
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    found = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    return found or (str(mac) if mac.exists() else None)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Server:
    """A child process that serves HTTP on a free loopback port, in a process group of its own."""

    name = "server"
    patience = 180.0

    def __init__(self, home: Path) -> None:
        self.home = Path(home)
        self.port = free_port()
        self.log = self.home / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
        return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "NO_PROXY": "*", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}

    def ready_path(self) -> str:
        return "/"

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/{path.lstrip('/')}"

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def __enter__(self) -> "Server":
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.home, env=self.environment(), stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
            try:
                if self.request("GET", self.ready_path())[0] < 400:
                    return self
            except OSError:
                pass
            time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"{self.name} did not answer within {self.patience} s:\n{self.log.read_text()[-3000:]}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and all it started: kernels live in sessions of their own, so the group alone is not enough."""
        if self.process is None or self.process.poll() is not None:
            return
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        for child in psutil.wait_procs(family, timeout=3)[1]:
            child.kill()


class Lab(Server):
    """JupyterLab with settings, runtime files and workspaces of its own.

    Parameters
    ----------
    home : Path
        A temporary folder; `root` (``home/work`` unless given) is what the file browser shows.
    subshells : bool
        False makes the front end deliver widget messages on the main shell, as older front ends do.
    """

    name = "jupyterlab"

    def __init__(self, home: Path, root: Path | None = None, subshells: bool = True, theme: str = "JupyterLab Light", environment: dict[str, str] | None = None):
        super().__init__(home)
        self.root = root or self.home / "work"
        self.subshells, self.theme, self.extra = subshells, theme, environment or {}

    def __enter__(self) -> "Lab":
        self.root.mkdir(parents=True, exist_ok=True)
        self._write("apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False})
        self._write("apputils-extension/themes", {"theme": self.theme})
        self._write("apputils-extension/kernels-settings", {"commsOverSubshells": "perCommTarget" if self.subshells else "disabled"})
        super().__enter__()
        return self

    def _write(self, name: str, values: dict[str, Any]) -> None:
        path = self.home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def environment(self) -> dict[str, str]:
        paths = {
            "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython",
            "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }  # fmt: skip
        return {**super().environment(), **{k: str(self.home / v) for k, v in paths.items()}, **self._extension_path(), **self.extra}

    def _extension_path(self) -> dict[str, str]:
        """Show the built extension to this server where the environment has no link to it yet."""
        if (Path(sys.prefix) / "share" / "jupyter" / "labextensions" / "astrofuse-lab" / "package.json").exists():
            return {}
        link = self.home / "share" / "labextensions" / "astrofuse-lab"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(EXTENSION)
        return {"JUPYTER_PATH": str(self.home / "share")}

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0",
            "--IdentityProvider.token=", "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={self.root}",
            "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.expose_app_in_browser=True",
        ]  # fmt: skip

    def ready_path(self) -> str:
        return "/api/status"

    def stop(self) -> None:
        """Ask the server to end its kernels first."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.request("POST", "/api/shutdown")
                self.process.wait(15)
            except (OSError, subprocess.TimeoutExpired):
                pass
        super().stop()


class Browser:
    """One Chromium context that collects console errors and refuses, and writes down, every request that leaves this machine."""

    def __init__(self, context: "BrowserContext") -> None:
        self.context = context
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.foreign: list[str] = []
        context.route(lambda url: not _is_local(url), self._refuse)
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("console", self._console)
        context.on("weberror", lambda failure: self.errors.append(f"uncaught: {failure.error}"))

    def _refuse(self, route: Any) -> None:
        self.foreign.append(route.request.url)
        route.abort()

    def _console(self, message: "ConsoleMessage") -> None:
        if message.type == "error" and not any(re.search(p, message.text) for p in HARMLESS):
            self.errors.append(f"{message.text} ({message.location.get('url', '')}:{message.location.get('lineNumber', '')})")

    def page(self) -> "Page":
        """A new page."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE)
        return page

    def shot(self, page: Any, name: str, full: bool = False) -> Path:
        """Save what a page, or one element of it, looks like under test-results/screens."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        path = SCREENS / f"{name}.png"
        page.screenshot(path=str(path), **({"full_page": full} if full else {}))
        return path


def click_in_frame(page: Any, frame: Any, control: Any) -> None:
    """Click what lies in a frame. Until frame and page are drawn where they were scrolled to, Chromium takes a click to where the frame was: it is drawn first, and who sees nothing happen clicks again."""
    for _ in range(5):
        control.scroll_into_view_if_needed()
        for place in (page.locator("body"), frame.locator("body")):
            place.evaluate(DRAWN)
        control.click()
        if control.evaluate("(one) => one.getRootNode().activeElement === one"):
            return
    raise AssertionError(f"five clicks did not reach {control}")


def _is_local(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme not in ("http", "https", "ws", "wss") or parts.hostname in LOCAL


@contextmanager
def chromium(width: int = 1440, height: int = 900, dark: bool = False, **options: Any) -> Iterator[Browser]:
    """A headless Chromium; the test is skipped, by name, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="browser: the package playwright is not installed")
    with playwright.sync_playwright() as play:
        try:
            browser = play.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        except playwright.Error as error:
            pytest.skip(f"browser: no Chromium ({str(error).splitlines()[0]}); sudo apt-get install chromium")
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options)
        try:
            yield Browser(context)
        finally:
            context.close()
            browser.close()


# ---- what tests do in JupyterLab ---------------------------------------------------------------------------------------


def notebook(path: Path, cells: list[str]) -> Path:
    """Write a notebook of code cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = [{"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": c} for i, c in enumerate(cells)]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    path.write_text(json.dumps({"cells": code, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def open_lab(page: "Page", lab: Lab, path: str = "", timeout: float = 60) -> None:
    """Open JupyterLab, on a notebook where a path is given, and wait until it can be used."""
    page.goto(lab.url(f"lab/tree/{urllib.parse.quote(path)}?reset" if path else "lab?reset"))
    page.wait_for_selector("#jp-main-dock-panel", timeout=timeout * 1000)
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=timeout * 1000)
    if path.endswith(".ipynb"):
        page.wait_for_function(
            "() => { const k = window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel; return k && k.connectionStatus === 'connected' && k.status === 'idle'; }",
            timeout=timeout * 1000,
        )  # fmt: skip


def command(page: "Page", name: str, arguments: dict[str, Any] | None = None) -> None:
    """Run a command of JupyterLab by its id, through the palette's own registry."""
    page.evaluate("([id, args]) => window.jupyterapp.commands.execute(id, args)", [name, arguments or {}])


def run_all(page: "Page", timeout: float = 120, wait: bool = True) -> None:
    """Run all cells of the current notebook; with `wait` until the last one has ended or one has failed."""
    page.evaluate("() => { window.ranAll = false; window.jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.ranAll = true; }); }")
    if wait:
        wait_until_ran(page, timeout)


def wait_until_ran(page: "Page", timeout: float = 120) -> None:
    """Wait for the end of `run_all`."""
    page.wait_for_function("() => window.ranAll", timeout=timeout * 1000)


def outputs(page: "Page") -> list[list[dict[str, Any]]]:
    """The outputs of each cell of the current notebook, as the notebook format has them, also of cells that are off screen."""
    return list(page.evaluate("() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(c => c.type === 'code' ? c.outputs.toJSON() : [])"))


def sources(page: "Page") -> list[str]:
    """The source of each cell of the current notebook."""
    return list(page.evaluate("() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(c => c.sharedModel.getSource())"))
