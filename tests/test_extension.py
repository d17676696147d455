"""The lab extension in a real JupyterLab: launcher cards, palette, side panel, inserted cells, cards of folders, drag, help, the workbench's tab."""

import json
import re
from importlib import resources
from pathlib import Path

import pytest
from browser import EXTENSION, Lab, chromium, command, notebook, open_lab, outputs, sources
from conftest import make_toy_samples

import astrofuse_lab

WIDGETS = Path(__file__).parents[1] / "widgets"
SOURCE = WIDGETS / "src" / "extension"
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (EXTENSION / "package.json").exists(), reason="browser: the front end is not built; run: make front-end")]
HOSTILE = "<img src=x onerror=\"window.hacked=1\">"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("lab")
    work = home / "work"
    (work / "study").mkdir(parents=True)
    make_toy_samples(12).save(work / "study" / "toy samples")
    (work / "study" / "quasars.csv").write_text("name,ra,dec\nQ1,10.5,-3\n")
    (work / "study" / "prices.csv").write_text("item,price\nlens,3\n")
    run = astrofuse_lab.train("late_fusion", make_toy_samples(40), target="label", modalities=["table"], epochs=2, progress=False)
    run.save(work / "study" / "first run")
    (work / "broken").mkdir()
    (work / "broken" / "manifest.json").write_text('{"format": "astrofuse-samples", ')
    (work / "foreign").mkdir()
    (work / "foreign" / "manifest.json").write_text('{"name": "an app of somebody\'s"}')
    stranger = json.loads((work / "study" / "toy samples" / "manifest.json").read_text())
    stranger["card"].update(title=HOSTILE, licence=HOSTILE, notes=[HOSTILE])
    (work / "stranger").mkdir()
    (work / "stranger" / "manifest.json").write_text(json.dumps(stranger))
    for file in (work / "study" / "toy samples").glob("*.npy"):  # no arrays
        (work / "stranger" / file.name).write_bytes(b"\x93NUMPY\x01\x00\xff\xff{'descr': '|O', 'fortran_order': False, 'shape': (9999999999999,), }")
    notebook(work / "study" / "mine.ipynb", [""])
    notebook(work / "study" / "other.ipynb", ["samples = 3", ""])
    with Lab(home) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser):
    page = browser.page()
    yield page
    page.close()


def axe_finds(page, *where):
    """What axe-core finds serious in these elements."""
    axe = pytest.importorskip("axe_playwright_python", reason="browser: the package axe-playwright-python is not installed")
    page.evaluate((resources.files(axe) / "axe.min.js").read_text())
    found = page.evaluate("(where) => axe.run({ include: where.map((w) => [w]) }, { resultTypes: ['violations'] }).then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 160))]))", list(where))
    return [one for one in found if one[0] in ("serious", "critical")]


def test_launcher_cards_open_a_new_analysis_the_tutorials_and_what_was_found(lab, browser, page):
    open_lab(page, lab)
    cards = page.locator(".jp-Launcher-section:has-text('AstroFuse Lab') .jp-LauncherCard")
    cards.first.wait_for()
    assert cards.locator(".jp-LauncherCard-label").all_inner_texts() == ["Tutorials", "New analysis", "Workbench", "Open a sample set", "Open a run"]
    browser.shot(page, "extension-launcher")
    cards.first.click()  # no tutorials here: a new analysis
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.content?.model?.cells?.length > 3")
    written = sources(page)
    assert "import astrofuse_lab as af" in written[0]
    assert written[1].startswith('samples = af.load_samples("practice"')
    (lab.root / "notebooks").mkdir()
    for name in ("01_first", "02_second"):
        notebook(lab.root / "notebooks" / f"{name}.ipynb", ["'the tutorial'"])
    page.evaluate("() => { window.jupyterapp.commands.execute('astrofuse-lab:start'); }")
    page.locator(".jp-Dialog select").select_option("02 second")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.context?.path === 'notebooks/02_second.ipynb'")
    page.evaluate("() => { window.jupyterapp.commands.execute('astrofuse-lab:open-run'); }")  # one only: it opens
    page.locator(".af-Card h1:has-text('late fusion')").wait_for()


def test_side_panel_lists_what_is_there_and_inserts_runnable_cells(lab, browser, page):
    open_lab(page, lab, "study/mine.ipynb")
    command(page, "astrofuse-lab:panel")
    panel = page.locator("#astrofuse-lab-panel")
    panel.locator(".af-Panel-note:has-text('searched')").wait_for()
    shown = {kind: panel.locator(f"[data-kind={kind}] .af-Panel-name").all_inner_texts() for kind in ("targets", "samples", "runs")}
    assert any(re.fullmatch(r"toy samples\s*practice sky", name) for name in shown["samples"])
    assert shown["targets"] == ["quasars.csv"]
    assert len(shown["runs"]) == 1 and shown["runs"][0].startswith("first run")
    assert "12 objects" in panel.locator("[data-kind=samples] .af-Panel-about").first.inner_text()
    assert "late_fusion · target label · table" in panel.locator("[data-kind=runs] .af-Panel-about").inner_text()
    assert "Nothing is running" in panel.locator("[data-kind=jobs]").inner_text()
    browser.shot(page, "extension-panel-light")
    assert axe_finds(page, "#astrofuse-lab-panel") == []
    panel.get_by_role("button", name="Look toy samples").click()
    assert 'import astrofuse_lab as af\nsamples = af.SampleSet.open("toy samples")\naf.SamplesWidget(samples)' in sources(page)
    command(page, "apputils:change-theme", {"theme": "JupyterLab Dark"})
    page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    command(page, "docmanager:open", {"path": "study/toy samples/manifest.json"})
    page.locator(".af-Card-preview tr").first.wait_for()
    browser.shot(page, "extension-panel-dark")
    assert axe_finds(page, "#astrofuse-lab-panel", ".af-Card") == []
    command(page, "apputils:change-theme", {"theme": "JupyterLab Light"})
    page.wait_for_selector("body[data-jp-theme-light=true]", state="attached")


def test_rows_of_the_panel_are_dragged_into_a_notebook(lab, page):
    open_lab(page, lab, "study/other.ipynb")
    command(page, "astrofuse-lab:panel")
    panel = page.locator("#astrofuse-lab-panel")
    row = panel.locator("[data-kind=samples] .af-Panel-item:has-text('toy samples') .af-Panel-name")
    row.wait_for()
    cell = page.locator(".jp-Notebook .jp-Cell").nth(1)
    start, end = row.bounding_box(), cell.bounding_box()
    page.mouse.move(start["x"] + 10, start["y"] + 8)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(start["x"] + 10 + (end["x"] + 200 - start["x"] - 10) * step / 8, start["y"] + 8 + (end["y"] + 12 - start["y"] - 8) * step / 8)
    page.mouse.up()
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget.content.model.cells.length === 3")
    assert sources(page)[1] == 'import astrofuse_lab as af\nsamples = af.SampleSet.open("toy samples")\nsamples'


def test_folders_open_as_cards_and_foreign_files_as_ever(lab, browser, page):
    open_lab(page, lab)
    command(page, "docmanager:open", {"path": "study/toy samples/manifest.json"})
    card = page.locator(".af-Card")
    card.locator(".af-Card-preview tr").first.wait_for()
    said = card.inner_text()
    assert "Toy samples for tests" in said and "practice sky" in said and "12 objects" in said and "The first 6 samples" in said
    assert card.locator("canvas").count() > 1 and card.locator("svg path").count() > 4 and card.locator(".af-Card-missing").count() > 0
    drawn = "() => { const c = document.querySelector('.af-Card canvas'); return new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size; }"
    assert page.evaluate(drawn) > 10, "the picture is of one grey"
    browser.shot(page, "extension-card-samples")
    command(page, "astrofuse-lab:open-card", {"path": "study/first run"})
    page.locator(".af-Card-curve").wait_for()
    said = page.locator(".af-Card:visible").inner_text()
    assert "95 % interval" in said and "balanced accuracy" in said and "validation" in said
    browser.shot(page, "extension-card-run")
    assert axe_finds(page, ".af-CardTab:not(.lm-mod-hidden) .af-Card") == []
    assert {p.name for p in (lab.root / "study" / "toy samples").iterdir()} >= {"manifest.json"}, "a card may not rename its file"
    for folder in ("foreign", "broken"):
        command(page, "docmanager:open", {"path": f"{folder}/manifest.json"})
        page.wait_for_function("(path) => [...window.jupyterapp.shell.widgets('main')].some((w) => w.context?.path === path && !w.hasClass('af-CardTab'))", arg=f"{folder}/manifest.json")


def test_a_strangers_card_executes_nothing(lab, page):
    open_lab(page, lab)
    command(page, "docmanager:open", {"path": "stranger/manifest.json"})
    card = page.locator(".af-Card")
    card.get_by_text("No preview").wait_for()
    assert card.locator("h1").inner_text().startswith(HOSTILE) and page.evaluate("() => window.hacked") is None
    assert card.locator("img").count() == 0


def test_palette_inserts_a_cell_that_defines_what_it_needs(lab, browser, page):
    open_lab(page, lab, "study/other.ipynb")
    command(page, "apputils:activate-command-palette")
    page.keyboard.type("embedding widget")
    item = page.locator(".lm-CommandPalette-item:has-text('Insert a cell: embedding widget')")
    item.wait_for()
    browser.shot(page, "extension-palette")
    item.click()
    page.wait_for_function("() => [...window.jupyterapp.shell.currentWidget.content.model.cells].some(c => c.sharedModel.getSource().includes('EmbeddingWidget'))")
    cell = next(s for s in sources(page) if "EmbeddingWidget" in s)
    # the notebook defines samples but no run
    assert 'run = af.train("late_fusion", samples, target="label")' in cell
    assert "load_samples" not in cell
    assert cell.endswith("af.EmbeddingWidget(run, samples)")


def test_the_workbench_opens_as_a_tab_by_the_keyboard_and_help_follows_it(lab, browser, page):
    open_lab(page, lab)
    page.locator(".jp-Launcher").first.wait_for()
    page.keyboard.press("Alt+Shift+A")
    page.keyboard.press("Alt+Shift+W")
    bench = page.locator('section.af[aria-label="AstroFuse: Workbench"]')
    bench.wait_for(timeout=120_000)
    assert not page.locator(".af-mod-bench .jp-InputArea").first.is_visible()
    browser.shot(page, "extension-bench")
    bench.click(position={"x": 20, "y": 8})
    page.keyboard.press("Alt+Shift+A")
    page.keyboard.press("Alt+Shift+H")
    panel = page.locator("#astrofuse-lab-help")
    panel.get_by_text("Four steps in one linked view").wait_for()
    page.locator('section.af[aria-label="AstroFuse: Fetch"]').click(position={"x": 20, "y": 8})
    panel.get_by_text("Asks archives for images").wait_for()
    browser.shot(page, "extension-help")
    page.get_by_role("button", name="Show the cells").click()
    assert page.locator(".jp-InputArea").first.is_visible() and re.search(r"bench = af\.workbench\(session=.(Untitled\d*)-session", sources(page)[0])
    assert [o for cell in outputs(page) for o in cell if o["output_type"] == "error"] == []


def test_no_console_error_and_no_foreign_request(browser):
    assert browser.requests, "the tests above did not run"
    assert browser.errors == []
    assert browser.foreign == []


def test_inserted_code_names_only_what_the_door_has():
    code = "".join((SOURCE / f"{name}.js").read_text() for name in ("cells", "panel", "bench", "card"))
    names = set(re.findall(r"\baf\.([A-Za-z]\w+)", code))
    assert {"EmbeddingWidget", "SampleSet", "doctor"} <= names
    assert names <= set(dir(astrofuse_lab))


def test_every_view_has_a_page_of_help():
    views = {path.stem for path in (WIDGETS / "src" / "views").glob("*.js")}
    assert views <= set(re.findall(r"view: '(\w+)'", (SOURCE / "help.js").read_text()))


def test_what_is_read_is_translatable():
    """Sentences that a person reads go through the translator, as literals that can be collected."""
    said = 0
    for path in SOURCE.glob("*.js"):
        code = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.S)
        said += len(re.findall(r"trans\._(?:_|n)\(\s*'", code))
        assert not re.findall(r"trans\._(?:_|n)\(\s*[^'\s]", code), f"{path.name}: only literals can be collected"
        assert not re.findall(r"(?:label|caption|title|aria-label'?): '[A-Z]", code), f"{path.name}: a sentence without trans.__"
    assert said > 80
