"""The real ipyaladin inside the fetch view, in a real JupyterLab; what it would load from the network is a small stand-in, or does not come."""

import pytest
from browser import Lab, chromium, notebook, open_lab, run_all

from astrofuse_lab.widgets.base import STATIC

pytest.importorskip("ipyaladin", reason="ipyaladin is not installed (optional: pip install ipyaladin)")
pytestmark = [
    pytest.mark.browser, pytest.mark.timeout(300),
    pytest.mark.skipif(not (STATIC / "fetch.js").is_file(), reason="browser: the views are not built; run make front-end"),
]  # fmt: skip

CELL = """
import astrofuse_lab as af
targets = af.Targets.from_table({"object_id": ["a", "b <b>x</b>", "c", "d"], "ra": [150.1, 150.2, 150.3, 150.2], "dec": [2.1, 2.2, 2.15, 2.3]})
fetching = af.FetchWidget(targets, surveys=["practice/table"])
fetching
"""

STAND_IN = """
const calls = (window.calls = []);
const note = (name) => (...given) => void calls.push([name, ...given.filter((v) => typeof v !== "object")]);
const A = {
  init: Promise.resolve(),
  aladin: function (div) {
    const heard = {};
    div.style.background = "#123";
    div.textContent = "stand-in";
    const made = { layers: [], view: { catalogCanvas: document.createElement("canvas") }, on: (name, call) => (heard[name] = call),
      getFov: () => [1, 1], getViewWCS: () => ({}), getRotation: () => 0, getProjectionName: () => "SIN", getOverlayImageLayer: () => null, getBaseImageLayer: () => ({}),
      addCatalog: (one) => { made.layers.push(one); calls.push(["addCatalog", one.name, one.sources.map((s) => s.data.name).join("|")]); },
      addMOC: (one) => calls.push(["addMOC", one.name]),
      removeOverlay: (name) => { made.layers = made.layers.filter((l) => l.name !== name); calls.push(["removeOverlay", name]); },
      select: (shape) => { calls.push(["select", shape]); heard.select?.([made.layers.at(-1).sources.filter((_, i) => i % 2 === 0)]); } };
    for (const name of ["gotoRaDec", "setFoV", "setRotation", "setProjection", "setFrame", "setImageSurvey", "setOverlayImageLayer"]) made[name] = note(name);
    return made;
  },
  MOCFromJSON: (json, options) => ({ json, name: options.name }),
  catalogFromURL(url, options, then) {
    fetch(url).then((r) => r.text()).then((text) => {
      const page = new DOMParser().parseFromString(text, "text/xml");
      const names = [...page.getElementsByTagName("FIELD")].map((f) => f.getAttribute("name"));
      const sources = [...page.getElementsByTagName("TR")].map((row) => {
        const data = Object.fromEntries([...row.getElementsByTagName("TD")].map((cell, i) => [names[i], cell.textContent]));
        return { ra: Number(data.ra), dec: Number(data.dec), data, x: 0, y: 0 };
      });
      then({ name: options.name, sources });
    });
  },
};
export default A;
"""


@pytest.fixture
def view(tmp_path, request):
    with Lab(tmp_path, environment={"ASTROFUSE_CACHE": str(tmp_path / "cache")}) as lab, chromium(1400, 900) as browser:
        if request.param:
            browser.context.route("https://esm.sh/**", lambda route: route.fulfill(body=STAND_IN, content_type="text/javascript", headers={"Access-Control-Allow-Origin": "*"}))
        notebook(lab.root / "sky.ipynb", [CELL])
        page = browser.page()
        open_lab(page, lab, "sky.ipynb")
        run_all(page, wait=False)
        view = page.locator(".af", has=page.locator(".af-fetch"))
        view.wait_for()
        yield page, view, browser


@pytest.mark.parametrize("view", [True], indirect=True)
def test_targets_lie_over_aladin_lite_and_are_selected_there(view):
    page, sky, browser = view
    sky.locator(".aladin-widget").wait_for()
    page.wait_for_function("() => window.calls?.some((c) => c[0] === 'addCatalog')")
    assert ["addCatalog", "targets", "a|b <b>x</b>|c|d"] in page.evaluate("() => window.calls")
    assert not sky.locator("canvas.af-sky").is_visible()
    sky.get_by_role("button", name="Select in a circle").click()
    sky.get_by_text("2 selected").wait_for()
    browser.shot(page, "lab-aladin")
    sky.get_by_role("button", name="Keep these 2").click()
    page.wait_for_function("() => window.calls.filter((c) => c[0] === 'addCatalog').at(-1)[2] === 'a|c'")
    sky.get_by_role("button", name="sky plot").click()
    sky.locator("canvas.af-sky").wait_for()
    sky.get_by_role("button", name="Aladin Lite").click()
    sky.locator(".aladin-widget").wait_for()
    assert browser.errors == []


@pytest.mark.parametrize("view", [False], indirect=True)
def test_without_the_network_the_plot_stays(view):
    page, sky, browser = view
    sky.get_by_text("Aladin Lite cannot be shown").wait_for()
    assert sky.locator("canvas.af-sky").is_visible() and sky.locator(".af-error").is_hidden()
    assert any("esm.sh" in url for url in browser.foreign)
    browser.shot(page, "lab-aladin-offline")
