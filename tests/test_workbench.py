"""The workbench: linked views that wait for what they need, in a real notebook and as a served app, without a network."""

import sys
import time

import numpy as np
import pytest
from browser import ROOT, SCREENS, Lab, Server, chromium, command, notebook, open_lab, outputs, run_all
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.base import STATIC
from astrofuse_lab.widgets.hosting import Channel, Hosted, state_names
from astrofuse_lab.widgets.plot_theme import ON_DARK

pytestmark = pytest.mark.skipif(not (STATIC / "host.js").exists(), reason="the front end is not built; run: make front-end")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run and a sample set, as folders."""
    home = tmp_path_factory.mktemp("folders")
    run = af.train("joint_attention", make_toy_samples(60), target="label", epochs=2, progress=False)
    return run.save(home / "run"), make_toy_samples(40, seed=9).save(home / "samples")


@pytest.fixture
def bench(folders):
    bench = af.workbench(af.Run.open(folders[0]), af.SampleSet.open(folders[1]), umap=False)
    yield bench
    bench.close()


def until(true, timeout=60.0):
    end = time.monotonic() + timeout
    while not (value := true()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
    return value


def shown(bench):
    """The widgets that each step shows."""
    return [[type(o._widget).__name__ for o in step.select(Hosted)] for step in bench._steps]


# ---- without a browser -----------------------------------------------------------------------------------------------


def test_steps_wait_until_they_can_run():
    bench = af.workbench()
    assert shown(bench) == [["FetchWidget"], [], [], []]
    notices = [step.objects[0] for step in bench._steps[1:]]
    assert all("Fetch and align" in one.text for one in notices) and "Train one in step ③" in notices[2].text
    assert [step["why"] for step in bench.header.steps] == ["", "waits for samples", "waits for samples", "waits for a model"]
    assert bench._tabs.active == bench.header.step == 0
    bench.header.comm.receive({"method": "update", "state": {"step": 3}, "buffer_paths": []})
    assert bench._tabs.active == 3
    notices[2]._handle_msg({})  # its button
    assert bench._tabs.active == bench.header.step == 0
    assert not bench.header.simulated and not bench.header.ready
    bench.close()


def save_in(bench, page, folder=None):
    """What the head's Save does, on its thread; gives what it says."""
    bench.header.page = str(page)
    if folder is not None:
        bench.header.folder = str(folder)
    bench.header.comm.receive({"method": "custom", "content": {"type": "do", "verb": "save"}})
    assert bench.header.wait(120)
    return bench.header.written, bench.header.error


def test_head_saves_page_and_run_and_says_where(folders, tmp_path):
    run = af.train("late_fusion", make_toy_samples(40), target="label", modalities=["table"], epochs=1, progress=False)
    bench = af.workbench(run, af.SampleSet.open(folders[1]), umap=False)
    head = bench.header
    assert head.ready and head.simulated and head.unsaved and bench._tabs.active == head.step == 3
    assert head.page.endswith("astrofuse-late-fusion.html") and head.folder.endswith("astrofuse-late-fusion-run")
    told = []
    head.observe(lambda change: told.append(change["new"]), "status")
    written, error = save_in(bench, tmp_path / "deep" / "page.html", tmp_path / "run")
    assert not error and written[0] == f"Run saved in {tmp_path / 'run'}" and written[1].startswith(f"Page saved as {tmp_path / 'deep' / 'page.html'} (")
    assert any(line.startswith("Explaining and packing sample 1 of 40") for line in told)
    assert (tmp_path / "deep" / "page.html").stat().st_size > 100_000
    assert not head.unsaved and f"run = af.Run.open({str(tmp_path / 'run')!r})" in bench.code and head.code == bench.code
    again = af.Run.open(tmp_path / "run")
    assert np.array_equal(again.predict(bench.samples)["p_star"], run.predict(bench.samples)["p_star"])
    assert save_in(bench, tmp_path / "deep" / "page.html")[1] == ""  # its own page may be written again
    bench.close()


def test_head_refuses_what_it_may_not_or_cannot_write(bench, tmp_path):
    other = tmp_path / "theirs.html"
    other.write_text("precious")
    assert "already exists and was not written here" in save_in(bench, other)[1] and other.read_text() == "precious"
    assert "let it end in .html" in save_in(bench, tmp_path / "page.txt")[1]
    start = time.monotonic()
    assert "cannot be made" in save_in(bench, "/proc/none/page.html")[1]
    assert time.monotonic() - start < 5  # told before the long work
    assert not bench.header.busy and bench.header.written == []


def test_a_save_that_is_stopped_writes_nothing(bench, tmp_path):
    bench.header.observe(lambda change: bench.header.set_state({"stop": True}) if "sample 2 of" in change["new"] else None, "status")
    written, error = save_in(bench, tmp_path / "page.html")
    assert written == ["Stopped: no page was written."] and not error and list(tmp_path.iterdir()) == []


def test_a_run_without_samples_is_refused(folders):
    with pytest.raises(InputError, match="needs samples"):
        af.workbench(af.Run.open(folders[0]))


def test_given_all_every_step_is_there_and_linked(bench):
    assert shown(bench) == [["FetchWidget"], ["SamplesWidget"], ["TrainWidget"], ["EmbeddingWidget", "AttributionWidget", "AttentionWidget", "ContributionWidget", "EvaluationWidget"]]
    assert bench._tabs.active == 3 and bench.header.steps[3] == {"name": "Inspect", "why": "", "views": ["embedding", "attribution", "attention", "contribution", "evaluation"]}
    ids = tuple(bench.samples.object_ids[:3])
    bench.selection.ids = ids
    bench.selection.focus = ids[1]
    for name in ("samples", "embedding", "attribution", "attention", "contribution"):
        assert bench.widgets[name].focus == 1
        assert np.unpackbits(np.frombuffer(bench.widgets[name].selected, np.uint8)).sum() == 3


def test_code_runs_from_the_folders_given(bench, folders):
    lines = bench.code.splitlines()
    assert f"samples = af.SampleSet.open({str(folders[1].resolve())!r})" in lines
    assert f"run = af.Run.open({str(folders[0].resolve())!r})" in lines
    assert not any("af.fetch(" in line for line in lines)
    compile(bench.code, "workbench", "exec")


def test_training_in_step_3_fills_step_4(folders):
    bench = af.workbench(samples=af.SampleSet.open(folders[1]), umap=False)
    assert shown(bench)[3] == []
    train = bench.widgets["train"]
    train.recipe, train.modalities, train.epochs = "late_fusion", ["table"], 1
    train.comm.receive({"method": "custom", "content": {"type": "do", "verb": "train"}})
    until(lambda: bench.run is not None and shown(bench)[3])
    assert shown(bench)[3] == ["EmbeddingWidget", "AttributionWidget", "ContributionWidget", "EvaluationWidget"]  # late fusion has no attention
    assert train.code in bench.code
    bench.close()


def test_channel_carries_buffers_both_ways(toy_samples):
    widget = af.SamplesWidget(toy_samples, comm=Channel())
    heard = []
    widget.comm.listeners.append(heard.append)
    widget.comm.receive({"method": "update", "state": {"focus": 4}, "buffer_paths": [["selected"]]}, [b"\x05"])
    assert widget.wait()
    assert widget.focus == 4 and widget.selected == b"\x05"
    assert widget.selection.ids == tuple(toy_samples.object_ids[[0, 2]]) and widget.selection.focus == toy_samples.object_ids[4]
    widget.comm.receive({"method": "custom", "content": {"type": "want", "key": "sample/4"}})
    assert widget.wait()
    answer = next(m for m in heard if m["method"] == "custom")
    assert answer["content"]["key"] == "sample/4" and all(isinstance(b, bytes) for b in answer["buffers"]) and answer["buffers"]
    assert "selected" in state_names(widget) and "_esm" not in state_names(widget)
    widget.close()


# ---- in a browser ----------------------------------------------------------------------------------------------------


class App(Server):
    """``panel serve`` of the packaged app on given folders."""

    name = "panel"

    def __init__(self, home, folders):
        super().__init__(home)
        self.folders = folders

    def command(self):
        app = str(ROOT / "astrofuse_lab" / "widgets" / "app.py")
        run, samples = map(str, self.folders)
        return [sys.executable, "-m", "panel", "serve", app, "--port", str(self.port), "--address", "127.0.0.1",
                "--allow-websocket-origin", f"127.0.0.1:{self.port}", "--args", samples, run]  # fmt: skip

    def ready_path(self):
        return "/static/js/bokeh.min.js"  # the page itself would begin a visit at each look


def look_around(page, browser, where, name):
    """Inspect, lasso, follow the selection to the samples step and back."""
    where.get_by_role("region", name="AstroFuse: Attribution").get_by_text("Worth of each modality").wait_for(timeout=60000)
    where.get_by_text("trustworthiness").wait_for(timeout=60000)
    browser.shot(page, f"{name}-inspect")
    canvas = where.locator(".af canvas.af-map").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    page.mouse.down()
    for x, y in ((0.99, 0.01), (0.99, 0.98), (0.01, 0.98), (0.01, 0.02)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=6)
    page.mouse.up()
    # the samples step says so too, in a tab that nobody sees: it may be the first to have heard
    where.get_by_text("40 selected").filter(visible=True).first.wait_for()
    where.get_by_role("tab", name="② Samples").click()
    where.get_by_text("40 of 40 shown, 40 selected").wait_for(timeout=30000)
    browser.shot(page, f"{name}-samples")
    where.get_by_role("tab", name="Fuse").click()
    where.get_by_role("button", name="Train").first.wait_for()
    browser.shot(page, f"{name}-fuse")
    where.get_by_role("tab", name="Sky").click()
    where.get_by_role("button", name="Fetch").first.wait_for()
    browser.shot(page, f"{name}-sky")
    use_the_head(page, browser, where, name)


def use_the_head(page, browser, where, name):
    """Code, keys and save from the head of the workbench, by mouse and by key."""
    head = where.get_by_role("region", name="AstroFuse: Workbench")
    assert head.get_by_text("practice sky", exact=True).is_visible()
    head.focus()
    page.keyboard.press("4")
    where.get_by_role("region", name="AstroFuse: Attribution").get_by_text("Worth of each modality").wait_for()
    page.keyboard.press("?")
    keys = head.get_by_role("region", name="Keys")
    assert keys.get_by_text("lasso; with shift add, with alt take away").is_visible() and keys.get_by_text("go to a step").is_visible()
    browser.shot(page, f"{name}-keys")
    page.keyboard.press("?")
    page.keyboard.press("c")
    head.get_by_text("af.explain.embed(").wait_for()
    page.keyboard.press("c")
    page.keyboard.press("w")
    if "app" in name:  # a visitor gets the page, and no folder of the server is written
        with page.expect_download(timeout=240000) as taken:
            head.get_by_role("button", name="Make the page").click()
        browser.shot(page, f"{name}-saved")
        assert taken.value.suggested_filename == "astrofuse.html" and taken.value.path().stat().st_size > 100_000
        assert head.locator("input[data-name=page], input[data-name=place]").count() == 0
        return
    target = SCREENS.parent / f"{name}.html"
    target.unlink(missing_ok=True)
    field = head.locator("input[data-name=page]")
    field.fill(str(target.with_suffix(".txt")))
    field.press("Enter")
    head.get_by_text("let it end in .html").wait_for()
    browser.shot(page, f"{name}-save-error")
    field.fill(str(target))
    field.press("Tab")
    head.get_by_role("button", name="Save page").click()
    head.get_by_text(f"Page saved as {target}").wait_for(timeout=120000)
    assert not head.get_by_text("let it end in .html").is_visible()
    browser.shot(page, f"{name}-saved")
    assert target.stat().st_size > 100_000
    target.unlink()


PLOTS = """() => [...window.astrofusePlots.figures.keys()].filter((f) => f.document).map((f) => [f.title.text_color, f.border_fill_color, f.xaxis?.[0]?.major_label_text_color ?? f.below[0]?.major_label_text_color])"""


def plots_follow(page, where, theme):
    """The plots below the views have the colours of JupyterLab's theme, and change with it."""

    def colours():
        found = page.evaluate(PLOTS)
        assert len(found) >= 4 and all(ground is None for _, ground, _ in found)
        return {(title, label) for title, _, label in found}

    light, dark = {("#444444", "#444444")}, {(ON_DARK["#444444"], ON_DARK["#444444"])}
    first, second = (dark, light) if "Dark" in theme else (light, dark)
    until(lambda: colours() == first)
    command(page, "apputils:change-theme", {"theme": "JupyterLab Light" if "Dark" in theme else "JupyterLab Dark"})
    until(lambda: colours() == second)
    assert [o for cell in outputs(page) for o in cell if o["output_type"] == "stream"] == []  # Python was not troubled


@pytest.mark.browser
def test_served_as_an_app(folders, tmp_path):
    with App(tmp_path, folders) as app, chromium(1440, 1000) as browser:
        page = browser.page()
        page.goto(app.url("app"), timeout=180000)  # the first visit imports everything
        look_around(page, browser, page, "workbench-app")
        assert browser.errors == [] and browser.foreign == []


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_in_a_notebook(folders, tmp_path, theme):
    cells = [
        "import astrofuse_lab as af",
        f"bench = af.workbench(af.Run.open({str(folders[0])!r}), af.SampleSet.open({str(folders[1])!r}), umap=False)\nbench.widgets['train'].epochs = 1\nbench.widgets['train'].modalities = ['table', 'text']\nbench",
    ]
    with Lab(tmp_path, theme=theme) as lab, chromium(1440, 1000, dark="Dark" in theme) as browser:
        notebook(lab.root / "bench.ipynb", cells)
        page = browser.page()
        open_lab(page, lab, "bench.ipynb")
        run_all(page)
        where = page.locator(".jp-NotebookPanel:visible")
        look_around(page, browser, where, f"workbench-{theme.split()[-1].lower()}")
        plots_follow(page, where, theme)
        assert not any(o["output_type"] == "error" for cell in outputs(page) for o in cell)
        assert browser.errors == [] and browser.foreign == []
