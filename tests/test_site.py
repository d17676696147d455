"""The documentation site: built without a warning, every name in its reference, every link checked without a network, pictures as the script says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from browser import chromium

import astrofuse_lab as af

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import check_links  # noqa: E402


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, its tutorials not run; one of them replaced by a short one that was run, with what live views leave behind."""
    pytest.importorskip("myst_nb", reason="the documentation's tools are not installed; run: make docs")
    out, ran = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("ran")
    view = {"text/plain": "SamplesWidget(3 samples)", "text/html": "<iframe class='astrofuse-frame' srcdoc='&lt;p&gt;a view&lt;/p&gt;'></iframe>"}
    live = {"application/vnd.jupyter.widget-view+json": {"model_id": "0" * 32, "version_major": 2, "version_minor": 0}, "application/vnd.holoviews_exec.v0+json": ""}
    cells = [
        nbformat.v4.new_markdown_cell("# From a patch of sky\n\n[Fetching](../docs/fetching.md), [next](02_ztf_alerts.ipynb), [code](../astrofuse_lab/errors.py)"),
        nbformat.v4.new_code_cell("widget", execution_count=1, outputs=[nbformat.v4.new_output("execute_result", data=view | live, execution_count=1)]),
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}, "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), ran / "01_first_fusion.ipynb")
    command = [sys.executable, str(DOCS / "build.py"), "--as-they-are", "--out", str(out), "--executed", str(ran)]
    done = subprocess.run(command, capture_output=True, text=True, env={k: v for k, v in os.environ.items() if k != "ASTROFUSE_EMBED"}, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return out / "html"


@pytest.mark.slow
def test_the_site_has_every_part_and_every_name(site):
    for page in ("index", "start", "concepts", "gallery", "citing", "contributing", "systems", "embedding-pages", "tutorials/index", "reference/index"):
        assert (site / f"{page}.html").exists(), page
    tutorials = [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert {path.stem for path in (site / "tutorials").glob("*.html")} == {*tutorials, "index"}
    reference = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    assert [name for name in af._DOOR if f"af.{name}</span>" not in reference] == []
    front = (site / "index.html").read_text()
    assert [path.stem for path in DOCS.glob("*.md") if f'href="{path.stem}.html"' not in front and not path.stem.startswith("systems-") and path.stem != "index"] == []


@pytest.mark.slow
def test_a_tutorial_shows_pages_in_place_of_live_views_and_its_links_are_moved(site):
    page = (site / "tutorials" / "01_first_fusion.html").read_text()
    assert 'srcdoc="&lt;p&gt;a view' in page or "srcdoc='&lt;p&gt;a view" in page
    assert "widget-view" not in page and "require.min.js" not in page and "html-manager" not in page
    assert 'href="../fetching.html"' in page and 'href="02_ztf_alerts.html"' in page and "/blob/main/astrofuse_lab/errors.py" in page


@pytest.mark.browser
@pytest.mark.slow
def test_the_site_opens_in_light_and_dark_and_finds_things_without_a_network(site):
    for dark, width in ((False, 1024), (True, 1920)):
        with chromium(width, 900, dark=dark) as browser:
            page = browser.page()
            for name in ("index", "start", "reference/training-and-judging", "systems"):
                page.goto((site / f"{name}.html").as_uri())
                page.get_by_role("heading", level=1).first.wait_for()
                assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth + 1"), f"{name} is wider than {width} px"
                browser.shot(page, f"site-{name.replace('/', '-')}-{'dark' if dark else 'light'}")
            page.goto((site / "search.html").as_uri() + "?q=conformal")
            page.locator("#search-results a", has_text="Three ideas").first.wait_for()
            assert browser.foreign == [] and browser.errors == []


@pytest.mark.parametrize(("body", "said"), [
    ('<a href="gone.html">x</a>', "gone.html leads nowhere"), ('<a href="#nowhere">x</a>', "no such place"), ('<a href="other.html#b">x</a>', "no such place"),
    ('<script src="https://cdn.example.org/x.js"></script>', "from the network"), ('<img src="//example.org/x.png">', "from the network"), ('<img src="x.png">', "which is not there"),
    ('<link rel="stylesheet" href="http://example.org/x.css">', "from the network"), ('<a href="https://nodots/">x</a>', "is no address"),
    ("<iframe srcdoc=\"&lt;script src='https://example.org/x.js'&gt;&lt;/script&gt;\"></iframe>", "from the network"),
    ('<a href="other.html#a">x</a><a href="https://arxiv.org/abs/1">y</a><a href="mailto:a@b.org">z</a><img src="data:image/gif;base64,"><link rel="canonical" href="https://a.org/">', None),
])  # fmt: skip
def test_links_are_checked(body, said, tmp_path):
    (tmp_path / "index.html").write_text(f"<html><body>{body}</body></html>")
    (tmp_path / "other.html").write_text("<html><body><h1 id='a'>A</h1></body></html>")
    found = check_links.broken(tmp_path)
    assert (found == []) if said is None else (len(found) == 1 and said in found[0])


def test_the_gallery_shows_the_practice_sky_and_has_its_pictures():
    text = (DOCS / "gallery.md").read_text()
    pictures = re.findall(r"!\[([^\]]*)\]\((gallery/[\w-]+\.png)\)", text)
    assert len(pictures) >= 8 and all("simulated" in says for says, _ in pictures)
    assert {name for _, name in pictures} == {f"gallery/{path.name}" for path in (DOCS / "gallery").iterdir()}
    assert sum(path.stat().st_size for path in (DOCS / "gallery").iterdir()) < 1_500_000


def test_start_in_five_minutes_runs(monkeypatch):
    """Up to the first plot; what trains or asks archives is shown elsewhere, so here only its names are looked up."""
    code = re.findall(r"```python\n(.*?)```", (DOCS / "start.md").read_text(), re.DOTALL)
    space = {}
    exec(compile(code[0].replace("n=200", "n=6"), "start.md", "exec"), space)
    assert len(space["samples"]) == 6
    named = {name for block in code for name in re.findall(r"\baf\.(\w+)", block)}
    assert named <= set(af._DOOR) and {"train", "compare", "workbench", "fetch", "align"} <= named
    assert json.loads((ROOT / "widgets" / "package.json").read_text())["version"] in (ROOT / "CITATION.cff").read_text()
