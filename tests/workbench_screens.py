"""Drives a workbench into every state, and keeps a picture of each, light and dark, from a laptop's width to a projector's.

``python tests/workbench_screens.py [FOLDER] [--quick]``: pictures in ``test-results/screens/workbench-states``; look at all of them. ``--quick``: two widths.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser import ROOT, SCREENS, Browser, chromium, free_port

WIDTHS = {1024: 768, 1366: 768, 1920: 1080, 2560: 1440}
FOLDER = SCREENS / "workbench-states"


@contextmanager
def served(bench: Any) -> Iterator[str]:
    """A workbench of this process in a page, so that both ends are at hand; gives its address."""
    import panel as pn

    from astrofuse_lab.widgets.visits import PAGE

    pn.extension(raw_css=[PAGE])
    port = free_port()
    server = pn.serve({"bench": lambda: bench}, port=port, address="127.0.0.1", websocket_origin=f"127.0.0.1:{port}", threaded=True, show=False, title="AstroFuse Lab")
    try:
        yield f"http://127.0.0.1:{port}/bench"
    finally:
        server.stop()


class Tour:
    """Takes the pictures.

    Parameters
    ----------
    browser : Browser
    url : str
    folder : Path
    widths : sequence of int
    """

    def __init__(self, browser: Browser, url: str, folder: Path, widths: Any) -> None:
        self.page, self.folder, self.widths = browser.page(), folder, widths
        self.page.goto(url)
        self.page.get_by_role("region", name="AstroFuse: Workbench").wait_for(timeout=180000)

    def shoot(self, state: str, widths: Any = None) -> None:
        """A state, at each width, light and dark."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for width in widths or self.widths:
            self.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
            for theme in ("light", "dark"):
                self.page.emulate_media(color_scheme=theme)
                self.page.wait_for_timeout(400)
                self.page.screenshot(path=str(self.folder / f"{state}-{theme}-{width}.png"))
        self.page.emulate_media(color_scheme="light")

    def step(self, number: int) -> None:
        """Turn to a step."""
        self.page.evaluate("() => window.scrollTo(0, 0)")
        self.page.get_by_role("region", name="AstroFuse: Workbench").get_by_role("tab").nth(number).click()

    def see(self, text: str, timeout: float = 300) -> None:
        """Wait until a text can be seen."""
        self.page.get_by_text(text).filter(visible=True).first.wait_for(timeout=timeout * 1000)


def until(true: Callable[[], Any], seconds: float = 600.0) -> None:
    """Wait for Python."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError("waited in vain")
        time.sleep(0.1)


def states(folder: Path = FOLDER, quick: bool = False, targets: int = 40) -> list[str]:
    """Go through all states; the names of the pictures."""
    import astrofuse_lab as af

    few = (1024, 1920) if quick else tuple(WIDTHS)
    with tempfile.TemporaryDirectory() as home:
        bench = af.workbench(umap=False)
        fetch = bench.widgets["fetch"]
        fetch.count, fetch.circle = targets, 3.0
        try:
            with served(bench) as url, chromium(1366, 768) as browser:
                tour = Tour(browser, url, folder, few)
                _before(tour, bench, few[:2])
                _sky(tour, bench)
                _session(tour, bench, Path(home))
                _fuse(tour, bench)
                _inspect(tour, bench)
                assert browser.errors == [] and browser.foreign == [], (browser.errors, browser.foreign)
        finally:
            bench.close()
    return sorted(one.name for one in folder.glob("*.png"))


def _before(tour: Tour, bench: Any, few: Any) -> None:
    """Nothing is there yet; each step says what it waits for."""
    tour.see("Choose targets and surveys")
    tour.shoot("1-sky-empty")
    for number, name in enumerate(("samples", "fuse", "inspect"), start=1):
        tour.step(number)
        tour.see(("No samples yet", "Nothing to train on yet", "No model to look into yet")[number - 1])
        tour.shoot(f"{number + 1}-{name}-waits", few)
    tour.step(0)
    bench.widgets["fetch"]._update(error="HTTP 503 from the archive: maintenance until 12:00 UTC. Try again later, or untick gaia/table.")
    tour.see("maintenance until")
    tour.shoot("1-sky-error", few)
    bench.widgets["fetch"]._update(error="")


def _sky(tour: Tour, bench: Any) -> None:
    fetch = bench.widgets["fetch"]
    fetch._jobs.submit(fetch._job, fetch.ask, {})
    until(lambda: fetch.found is not None and not fetch.busy)
    tour.see("What was found is listed below")
    tour.shoot("1-sky-fetched")
    tour.page.get_by_role("button", name="Align").first.click()
    until(lambda: bench.samples is not None and not fetch.busy)
    tour.see("Look at the samples")
    tour.shoot("1-sky-aligned")
    tour.page.get_by_role("button", name="Look at the samples").click()
    tour.see("Look at some before you train")
    tour.shoot("2-samples", WIDTHS)


def _session(tour: Tour, bench: Any, home: Path) -> None:
    """The notebook, the session, the page, errors of them."""
    head = tour.page.get_by_role("region", name="AstroFuse: Workbench")
    head.get_by_role("button", name="Keep the session").click()
    tour.shoot("5-save", tour.widths[:2])
    bench.header._update(place="/proc/none/session")
    bench.header._jobs.submit(bench.header._job, bench.header.keep_session, {})
    until(lambda: bench.header.error)
    tour.see("/proc/none")
    tour.shoot("5-save-error", tour.widths[:2])
    bench.header._update(place=str(home / "survey"))
    head.get_by_role("button", name="Keep it here").click()
    until(lambda: bench.header.session and bench.header.kept)
    tour.see("Kept in")
    tour.shoot("5-save-kept", tour.widths[:2])
    head.get_by_role("button", name="Keep the session").click()
    head.get_by_role("button", name="Show the notebook").click()
    tour.see("The notebook so far")
    tour.shoot("6-notebook")
    head.get_by_role("button", name="Show the notebook").click()
    head.get_by_role("button", name="Show the keys").click()
    tour.shoot("7-keys", tour.widths[:2])
    head.get_by_role("button", name="Show the keys").click()


def _fuse(tour: Tour, bench: Any) -> None:
    train = bench.widgets["train"]
    tour.step(2)
    train._update(recipe="late_fusion", modalities=["image", "table", "text"], epochs=60)
    tour.see("kept back, to test")
    tour.shoot("3-fuse")
    train._jobs.submit(train._job, train.train, {})
    until(lambda: len(train.history) >= 1)
    tour.see("Training. Stop ends")
    tour.shoot("3-fuse-running", tour.widths[:1])
    train._update(stop=True)
    until(lambda: bench.run is not None and not train.busy)
    tour.see("Resume goes on")
    tour.shoot("3-fuse-stopped", tour.widths[:2])
    train._update(epochs=2)
    train._jobs.submit(train._job, train.train, {})
    until(lambda: bench.run is not None and bench.run.state == "finished" and not train.busy)
    tour.see("Look inside")
    tour.shoot("3-fuse-trained")


def _inspect(tour: Tour, bench: Any) -> None:
    tour.page.get_by_role("button", name="Look inside").click()
    tour.page.get_by_role("region", name="AstroFuse: Attribution").get_by_text("Worth of each modality").wait_for(timeout=300000)
    tour.shoot("4-inspect")
    bench.selection.ids = tuple(bench.samples.object_ids[:7])
    tour.page.get_by_role("button", name="Compare", exact=True).first.click()
    until(lambda: bench.header.comparing)
    tour.see("Training each modality alone")
    tour.shoot("4-inspect-comparing", tour.widths[:1])
    until(lambda: bench.comparison is not None and not bench.header.busy)
    tour.page.wait_for_timeout(3000)
    tour.shoot("4-inspect-compared", WIDTHS)
    for name in ("Contribution", "Evaluation"):
        tour.page.get_by_role("region", name=f"AstroFuse: {name}").scroll_into_view_if_needed()
        tour.page.wait_for_timeout(1000)
        tour.shoot(f"4-inspect-{name.lower()}", tour.widths[:2])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    threading.current_thread().name = "screens"
    given = [one for one in sys.argv[1:] if not one.startswith("-")]
    print("\n".join(states(Path(given[0]) if given else FOLDER, "--quick" in sys.argv)))
