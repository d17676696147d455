"""Build the documentation site: gather pages, run the tutorials, write the reference, call Sphinx, check every link without a network.

    python docs/build.py [--out out/site] [--executed FOLDER] [--as-they-are]

Tutorials run without the mirror of real data, so that the site shows the practice sky and nothing that may not be passed on; views become
pages of their own (ASTROFUSE_EMBED). A tutorial that was run before is not run again until it changes. ``--executed`` takes those that a test has
just run; ``--as-they-are`` runs none.
"""

import argparse
import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from check_links import broken
from contents import contents, tutorials_page
from reference_pages import write_reference

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/astrofuse-lab/astrofuse-lab/blob/main"
STORED = "6"
"""Samples that each view of a tutorial stores."""
MADE = ("tutorials", "reference")
"""Folders of pages that are not in docs/."""
LIVE = ("application/vnd.jupyter.widget-view+json", "application/vnd.holoviews_load.v0+json", "application/vnd.holoviews_exec.v0+json")
"""What only a notebook can read; the same stands beside it as HTML or JavaScript."""
RELATIVE = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)\s]+)(\))")


# ---- pages -----------------------------------------------------------------------------------------------------------


def moved(text: str, home: Path, source: Path) -> str:
    """A page's links as the site has them: to pages of the site where there is one, else to the file in the repository."""

    def one(found: re.Match[str]) -> str:
        path, _, anchor = found[2].partition("#")
        target = (home / path).resolve()
        anchor = f"#{anchor}" if anchor else ""
        if target == ROOT / "CITATION.cff":
            return f"](citing.md{anchor})"
        inside = {ROOT / "CONTRIBUTING.md": "contributing.md", ROOT / "CHANGELOG.md": "changelog.md", ROOT / "README.md": "index.md"}.get(target)
        if inside is None and target.parent == ROOT / "notebooks" and target.suffix == ".ipynb":
            inside = f"tutorials/{target.name}"
        if inside is None and DOCS in target.parents:
            page = target.relative_to(DOCS)
            inside = page.as_posix() if (source / page).exists() or page.parts[0] in MADE else None
        if inside is None and not target.exists():
            raise SystemExit(f"{found[0]} in {home} leads nowhere: there is no {target}.")
        return f"]({inside or f'{REPOSITORY}/{target.relative_to(ROOT).as_posix()}'}{anchor})"

    return RELATIVE.sub(one, text)


def gather(source: Path) -> None:
    """Put what the site is made of into a folder of its own."""
    for path in DOCS.iterdir():
        if path.suffix in (".md", ".svg") or path.name == "conf.py":
            shutil.copy(path, source)
    for folder in ("images", "_static", "gallery"):
        if (DOCS / folder).is_dir():
            shutil.copytree(DOCS / folder, source / folder)
    for name, page in (("CONTRIBUTING.md", "contributing.md"), ("CHANGELOG.md", "changelog.md")):
        (source / page).write_text(moved((ROOT / name).read_text(encoding="utf-8"), ROOT, source), encoding="utf-8")
    for path in source.glob("*.md"):
        if (DOCS / path.name).exists():
            path.write_text(moved(path.read_text(encoding="utf-8"), DOCS, source), encoding="utf-8")


# ---- tutorials -------------------------------------------------------------------------------------------------------


def run(notebook: Path, to: Path) -> Path:
    """Run a tutorial into a file of its own, unless that very text was run before."""
    done = to / f"{notebook.stem}-{hashlib.sha256(notebook.read_bytes() + STORED.encode()).hexdigest()[:16]}.ipynb"
    if not done.exists():
        with tempfile.TemporaryDirectory() as scratch:
            environment = {k: v for k, v in os.environ.items() if k != "ASTROFUSE_MIRROR"} | {"ASTROFUSE_EMBED": STORED, "JUPYTER_PLATFORM_DIRS": "1", "IPYTHONDIR": scratch}
            command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "notebook", "--execute", "--ExecutePreprocessor.timeout=900", "--output-dir", scratch, "--output", "run.ipynb", str(notebook)]
            ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if ended.returncode:
                raise SystemExit(f"{notebook.name} did not run:\n{ended.stderr[-3000:]}")
            to.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(scratch) / "run.ipynb", done)
    return done


def tutorials(source: Path, kept: Path, executed: Path | None, as_they_are: bool, processes: int) -> None:
    """The notebooks with their outputs."""
    to = source / "tutorials"
    to.mkdir()
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    given = {path.name: path for path in executed.glob("*.ipynb")} if executed else {}

    def made(notebook: Path) -> Path:
        return given[notebook.name] if notebook.name in given else notebook if as_they_are else run(notebook, kept)

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        for notebook, ready in zip(notebooks, pool.map(made, notebooks), strict=True):
            (to / notebook.name).write_text(for_site(ready.read_text(encoding="utf-8"), source), encoding="utf-8")
    (to / "index.md").write_text(tutorials_page(notebooks), encoding="utf-8")


def for_site(text: str, source: Path) -> str:
    """A notebook's text with its links moved, and what only a live widget manager could read taken out."""
    import nbformat

    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = moved(cell.source, ROOT / "notebooks", source).replace("](tutorials/", "](").replace("](index.md", "](../index.md")
            cell.source = re.sub(r"\]\((?!https?:|#|\.\./|\d\d_)([\w-]+\.md)", r"](../\1", cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data or len(data) > 1:
                for kind in LIVE:
                    data.pop(kind, None)
    return str(nbformat.writes(notebook))


# ---- all of it -------------------------------------------------------------------------------------------------------


def build(out: Path, executed: Path | None = None, as_they_are: bool = False, processes: int = 2) -> Path:
    """The site's folder; an error of Sphinx, a warning or a broken link ends it."""
    source, pages = out / "source", out / "html"
    for folder in (source, pages, out / "doctrees"):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    gather(source)
    tutorials(source, out / "executed", executed, as_they_are, processes)
    write_reference(source / "reference")
    contents(source)
    environment = {**os.environ, "ASTROFUSE_ROOT": str(ROOT), "MPLBACKEND": "agg"}
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", str(processes), "-b", "html", "-d", str(out / "doctrees"), str(source), str(pages)]
    if subprocess.run(command, env=environment, check=False).returncode:
        raise SystemExit("Sphinx warned; the lines above say where.")
    bad = broken(pages)
    if bad:
        raise SystemExit("links that lead nowhere, or things asked of the network:\n" + "\n".join(bad))
    return pages


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "site")
    parser.add_argument("--executed", type=Path, help="folder of notebooks that have been run")
    parser.add_argument("--as-they-are", action="store_true", help="run no notebook")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    made = build(given.out.resolve(), given.executed, given.as_they_are, given.processes)
    size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    print(f"{len(list(made.rglob('*.html')))} pages, {size / 1e6:.0f} MB: {made}/index.html")
