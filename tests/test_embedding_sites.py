"""A lesson of 500 samples in sites that others build: Sphinx with myst-nb and nbsphinx, Jupyter Book; frames as MyST, Quarto, VS Code and Colab document them; a live workbench."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from browser import chromium, click_in_frame
from conftest import make_toy_samples
from test_embedding_pages import served
from test_workbench import App

import astrofuse_lab as af
from astrofuse_lab.widgets.base import STATIC
from astrofuse_lab.widgets.embedded import MODE

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (STATIC / "frame.html").exists(), reason="browser: the front end is not built; run: make front-end")]
PAGE = (Path(__file__).parents[1] / "docs" / "embedding-pages.md").read_text(encoding="utf-8")
LIMIT = 5_000_000
N = 500


def snippet(heading, language):
    """The code that the documentation gives."""
    return re.search(rf"{re.escape(heading)}.*?```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A run on 500 samples, saved."""
    folder = tmp_path_factory.mktemp("work")
    samples = make_toy_samples(N)
    run = af.train("joint_attention", samples.take(range(60)), target="label", epochs=1, progress=False)
    run.save(folder / "run")
    samples.take(range(40)).save(folder / "samples")
    return run, samples, folder


@pytest.fixture(scope="module")
def lesson(work):
    """A notebook that has been run with ASTROFUSE_EMBED set: text, and five views of 500 samples, two of them linked in one frame."""
    run, samples, _ = work
    selection = af.Selection()
    widgets = {
        "af.SamplesWidget(samples, selection)": af.SamplesWidget(samples, selection), "af.EmbeddingWidget(run, samples, selection)": af.EmbeddingWidget(run, samples, selection, umap=False),
        "af.AttributionWidget(run, samples, selection)": af.AttributionWidget(run, samples, selection), "af.EvaluationWidget(run, samples)": af.EvaluationWidget(run, samples, part="all"),
    }  # fmt: skip
    made = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}, "language_info": {"name": "python"}})
    made.cells = [nbformat.v4.new_markdown_cell("# A lesson\n\nFive hundred objects, *simulated*.")]
    before = os.environ.get(MODE)
    os.environ[MODE] = "6"
    try:
        shown = [(source, widget._repr_mimebundle_()) for source, widget in widgets.items()]
    finally:
        os.environ.pop(MODE) if before is None else os.environ.__setitem__(MODE, before)
    views = list(widgets.values())
    linked = views[1].embed(beside=[views[0]], stored=6)
    shown.append(("embedding.embed(beside=[samples])", {"text/plain": repr(linked), "text/html": linked._repr_html_()}))
    for number, (source, data) in enumerate(shown, 1):
        out = nbformat.v4.new_output("execute_result", data=dict(data), execution_count=number)
        made.cells.append(nbformat.v4.new_code_cell(source, execution_count=number, outputs=[out]))
    yield made, linked
    for widget in views:
        widget.close()


def works(browser, at, name, theirs=()):
    """Open a page with the lesson: nothing comes from the network, every view opens, and the linked ones follow one another."""
    page = browser.page()
    page.goto(at)
    frames = page.locator("iframe.astrofuse-frame")
    frames.last.wait_for()
    for i in range(frames.count()):
        frames.nth(i).scroll_into_view_if_needed()
        frames.nth(i).content_frame.locator("body[data-ready]").wait_for(timeout=60000)
    linked = frames.last.content_frame
    linked.locator(".view.samples").get_by_text(f"{N} of {N} shown").wait_for()
    linked.locator(".view.embedding canvas.af-map").wait_for()
    click_in_frame(page, linked, linked.locator(".view.samples").get_by_role("button", name="Select shown"))
    linked.locator(".view.embedding").get_by_role("heading", name=f"{N} selected").wait_for()
    browser.shot(page, f"embedding-{name}")
    assert browser.foreign == [] and [said for said in browser.errors if not any(known in said for known in theirs)] == [], name
    return frames.count()


def sphinx(source, out, **environment):
    """Build a site; warnings are errors."""
    done = subprocess.run([sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(source), str(out)], capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("engine", ["myst-nb", pytest.param("nbsphinx", marks=pytest.mark.full)])
def test_a_lesson_of_500_samples_in_sphinx(engine, lesson, tmp_path):
    pytest.importorskip(engine.replace("-", "_"), reason=f"browser: {engine} is not installed")
    notebook, _ = lesson
    source, out = tmp_path / "source", tmp_path / "html"
    source.mkdir()
    nbformat.write(notebook, source / "index.ipynb")
    (source / "conf.py").write_text(f"project = 'Course'\nhtml_theme = 'alabaster'\n{snippet(f'## Sphinx with {engine}', 'py')}")
    environment = {}
    if engine == "nbsphinx":
        pandoc = pytest.importorskip("pypandoc", reason="browser: nbsphinx needs pandoc; pip install pypandoc-binary").get_pandoc_path()
        environment["PATH"] = f"{Path(pandoc).parent}{os.pathsep}{os.environ['PATH']}"
    sphinx(source, out, **environment)
    assert (out / "index.html").stat().st_size < LIMIT
    with chromium(1280, 900) as browser:
        assert works(browser, (out / "index.html").as_uri(), engine) == 5


@pytest.mark.skipif(not os.environ.get("ASTROFUSE_PROVE"), reason="slow: installs Jupyter Book 1 in an environment of its own; set ASTROFUSE_PROVE=1")
def test_a_lesson_of_500_samples_in_jupyter_book(lesson, tmp_path):
    notebook, _ = lesson
    book, venv = tmp_path / "book", tmp_path / "venv"
    given = os.environ.get("ASTROFUSE_JUPYTER_BOOK")  # one that is there already
    if not given:
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "--quiet", "jupyter-book<2"], check=True, timeout=500)
    book.mkdir()
    nbformat.write(notebook, book / "intro.ipynb")
    (book / "_toc.yml").write_text("format: jb-book\nroot: intro\n")
    (book / "_config.yml").write_text("title: Course\nonly_build_toc_files: true\n" + snippet("## Jupyter Book", "yaml"))
    done = subprocess.run([given or str(venv / "bin" / "jupyter-book"), "build", "-W", str(book)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    made = book / "_build" / "html" / "intro.html"
    assert made.stat().st_size < LIMIT
    with chromium(1280, 900) as browser:
        assert works(browser, made.as_uri(), "jupyter-book", ("THEBE_JS_URL", "invalid theme mode")) == 5  # errors of its theme


def as_myst(text, _view):
    """A figure with a frame."""
    address = re.search(r"\{iframe\} (\S+)", text)[1]
    return f'<figure><iframe class="astrofuse-frame" width="100%" height="600" src="{address}" allowfullscreen></iframe></figure>'


def as_quarto(text, _view):
    """Raw HTML."""
    return re.search(r"```\{=html\}\n(.*?)```", text, re.DOTALL)[1].replace("<iframe ", '<iframe class="astrofuse-frame" ')


def as_vscode(_text, view):
    """A web view of the editor, around the output's HTML."""
    return f'<iframe id="webview" sandbox="allow-scripts allow-same-origin allow-forms allow-downloads" style="width: 100%; height: 800px" srcdoc="{html.escape(view.html)}"></iframe>'


def as_colab(_text, _view):
    """A frame of another origin, around the output's HTML."""
    return '<iframe id="webview" style="width: 100%; height: 800px" src="OUTPUT"></iframe>'


HOSTS = {"myst": as_myst, "quarto": as_quarto, "vscode": as_vscode, "colab": as_colab}
"""What each makes of its snippet, by its own documentation."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name == "colab" else pytest.mark.full) for name in HOSTS])
def test_documented_snippets_work_in_a_host_page(name, lesson, tmp_path):
    """Labelled as not run: the tool itself is not here."""
    said = re.search(rf"<!-- not run: {name} -->\n(.*?)(?=<!-- not run|\Z)", PAGE, re.DOTALL)[1]
    _, view = lesson
    view.save(tmp_path / "view.html")
    (tmp_path / "output.html").write_text(f"<!doctype html><html><head><link rel='icon' href='data:,'></head><body>{view.html}</body></html>")
    if name in ("vscode", "colab"):
        assert "view.embed(stored=20)" in said
    with served(tmp_path) as here, served(tmp_path) as elsewhere, chromium(1100, 900) as browser:
        body = HOSTS[name](said, view).replace("OUTPUT", f"{elsewhere}/output.html")
        label = f"Not run in {name}: the documented snippet in a host page"
        (tmp_path / "host.html").write_text(f"<!doctype html><html lang='en'><head><title>{label}</title><link rel='icon' href='data:,'></head><body><p>{label}</p>{body}</body></html>")
        page = browser.page()
        page.goto(f"{here}/host.html")
        outer = page.frame_locator("#webview") if "webview" in body else page
        frame = outer.frame_locator("iframe.astrofuse-frame")
        frame.locator("body[data-ready]").wait_for(timeout=60000)
        frame.locator(".view.samples").get_by_text(f"{N} of {N} shown").wait_for()
        click_in_frame(page, frame, frame.locator(".view.samples").get_by_role("button", name="Select shown"))
        frame.locator(".view.embedding").get_by_role("heading", name=f"{N} selected").wait_for()
        browser.shot(page, f"embedding-not-run-{name}")
        assert browser.errors == [] and browser.foreign == []


def test_a_workbench_becomes_a_page_where_a_notebook_is_run_for_a_site(work, monkeypatch):
    run, samples, _ = work
    monkeypatch.setenv(MODE, "2")
    empty, bench = af.workbench(), af.workbench(run, samples.take(range(30)), umap=False)
    try:
        assert "iframe class" not in str(empty._repr_mimebundle_())
        shown = bench._repr_mimebundle_()
        assert set(shown) == {"text/plain", "text/html"} and shown["text/html"].startswith("<iframe ") and len(shown["text/html"]) < 3_700_000
    finally:
        empty.close()
        bench.close()


@pytest.mark.full
def test_a_live_workbench_in_a_frame_of_a_page_elsewhere(work, tmp_path):
    *_, folder = work
    with App(tmp_path / "app", (folder / "run", folder / "samples")) as app, served(tmp_path) as course, chromium(1400, 1000) as browser:
        frame = af.Frame(app.url("app"), "The workbench of our class", 900).html
        (tmp_path / "course.html").write_text(f"<!doctype html><html lang='en'><head><title>Week 4</title><link rel='icon' href='data:,'></head><body>{frame}</body></html>")
        page = browser.page()
        page.goto(f"{course}/course.html")
        inside = page.frame_locator("iframe")
        inside.get_by_role("region", name="AstroFuse: Attribution").get_by_text("Worth of each modality").wait_for(timeout=120000)
        browser.shot(page, "embedding-live")
        assert browser.foreign == [] and browser.errors == []
