"""Build Binder's environment in a clean folder, run notebooks in it, and watch the memory.

Binder guarantees 1 GB: server and all kernel processes together may use at most 900 MB (resident) at every cell of notebook 01, where all begin, and 1,024 of any
other. The first plot of notebook 01 must be there after 60 s.

    python .ci/check-binder.py [--reuse FOLDER] [--all]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FIRST_NOTEBOOK = "01_first_fusion"
LARGEST = "08_the_lectures_toolbox"
LIMITS_MB = {FIRST_NOTEBOOK: 900}
PROMISED_MB = 1024
FIRST = 60
"""Seconds of processor from the first cell to the first plot."""

WATCH = """
import json, os, subprocess, sys, threading, time
from pathlib import Path
import nbformat, psutil
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
server = subprocess.Popen([sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port=0", "--ServerApp.root_dir=" + sys.argv[3]],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
peak, cell, over = {}, [-1], threading.Event()
first = {}
SHOWN = ("application/vnd.holoviews_exec.v0+json", "application/vnd.jupyter.widget-view+json", "image/png", "image/svg+xml")

def kernels():
    return [p for p in psutil.Process().children() if p.pid != server.pid]

def drawn(cell, **_):
    # the first cell that shows a picture, a plot or a view
    if not first and any(mime in SHOWN for output in cell.get("outputs", []) for mime in output.get("data", {})):
        first["seconds"] = round(time.time() - begin, 1)
        first["processor_s"] = round(sum(p.cpu_times().user + p.cpu_times().system for p in kernels()), 1)

def memory(process):
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.Error:
            pass
    return total / 2**20

def watch():
    while not over.is_set():
        used = memory(psutil.Process(server.pid)) + sum(memory(k) for k in kernels())
        peak[cell[0]] = max(peak.get(cell[0], 0), used)
        time.sleep(0.05)

time.sleep(4)  # a server at rest
watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
client = NotebookClient(notebook, timeout=900, resources={"metadata": {"path": sys.argv[3]}},
                        on_cell_start=lambda cell_index, **_: cell.__setitem__(0, cell_index), on_cell_executed=drawn)
begin = time.time()
try:
    client.execute()
finally:
    over.set()
    server.terminate()
Path(sys.argv[2]).write_text(json.dumps({"peak_mb": {str(k): round(v) for k, v in peak.items()}, "seconds": round(time.time() - begin), "first_plot": first}))
"""


def environment(folder: Path, cache: Path | str) -> dict[str, str]:
    """What a process in the image is told; Binder has no real data."""
    told = {**os.environ, "ASTROFUSE_CACHE": str(cache), "PATH": f"{folder / 'env/bin'}:{os.environ['PATH']}"}
    told.pop("ASTROFUSE_MIRROR", None)
    return told


def build(folder: Path) -> Path:
    """A clone of what is committed and a new environment, made by binder/postBuild."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "repo")], check=True)
    venv.create(folder / "env", with_pip=True)
    python = folder / "env/bin/python"
    subprocess.run(["bash", "binder/postBuild"], cwd=folder / "repo", env=environment(folder, folder / "cache") | {"PYTHON": str(python)}, check=True)
    return python


def watched(folder: Path, python: Path, name: str) -> dict[str, Any]:
    """What one notebook took, in a cache that holds what the image does, and not what an earlier run left."""
    result, repo = folder / f"{name}.json", folder / "repo"
    with tempfile.TemporaryDirectory(prefix="binder-cache-") as cache:
        shutil.copytree(folder / "cache", cache, dirs_exist_ok=True)
        command = [python, folder / "watch.py", repo / f"notebooks/{name}.ipynb", result, repo / "notebooks"]
        subprocess.run([repo / "binder/start", *command], env=environment(folder, cache), check=True)
    figures: dict[str, Any] = json.loads(result.read_text())
    cell, most = max(figures["peak_mb"].items(), key=lambda item: item[1])
    return {"most_mb": most, "cell": int(cell), "limit_mb": LIMITS_MB.get(name, PROMISED_MB), **figures}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reuse", type=Path, help="a folder built before")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--all", action="store_true", help="all notebooks, and not the first and the largest alone")
    args = parser.parse_args()
    folder = args.reuse or Path(tempfile.mkdtemp(prefix="binder-"))
    python = folder / "env/bin/python" if args.reuse else build(folder)
    (folder / "watch.py").write_text(WATCH)
    print(f"built in {folder}")
    names = sorted(path.stem for path in (folder / "repo/notebooks").glob("*.ipynb")) if args.all else [FIRST_NOTEBOOK, LARGEST]
    found, failed = {}, False
    for name in names:
        found[name] = one = watched(folder, python, name)
        failed |= one["most_mb"] > one["limit_mb"]
        print(f"{name}: {one['seconds']} s; most memory {one['most_mb']} MB at cell {one['cell']} (limit {one['limit_mb']} MB)", flush=True)
    plot = found[FIRST_NOTEBOOK]["first_plot"]
    print(f"first plot of {FIRST_NOTEBOOK} after {plot.get('seconds')} s ({plot.get('processor_s')} s of processor; goal {FIRST} s on two idle cores)")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))
    return int(failed or not plot or plot["processor_s"] > FIRST)


if __name__ == "__main__":
    sys.exit(main())
