"""What is installed and running, what is wrong, and what to do about it."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from astrofuse_lab.storage import cache_root

if TYPE_CHECKING:
    from astropy.table import Table

PACKAGES = ("numpy", "astropy", "torch", "lightning-fabric", "captum", "umap-learn", "astroquery", "pyvo", "anywidget", "ipywidgets", "panel", "holoviews", "jupyterlab", "ipykernel")
VIEWS = ("fetch", "samples", "train", "embedding", "attribution", "attention")
GIGABYTE = 1024**3


class Finding(NamedTuple):
    """One line of the report: what was looked at, what was found, ``ok`` / ``note`` / ``problem``, and what to do."""

    check: str
    found: str
    state: str = "ok"
    advice: str = ""


def doctor() -> "Table":
    """Look at versions, device, memory, cache, mirror and front end.

    Returns
    -------
    Table
        check, found, state (``ok``, ``note`` or ``problem``) and advice: what to do where something is wrong.
    """
    from astropy.table import Table

    findings = [f for part in (_versions, _device, _memory, _cache, _mirror, _front_end, _lab) for f in part()]
    table = Table(rows=[tuple(f) for f in findings], names=Finding._fields)
    problems = [f for f in findings if f.state == "problem"]
    table.meta["summary"] = "nothing is wrong" if not problems else f"{len(problems)} problem(s): " + "; ".join(f"{f.check}: {f.advice}" for f in problems)
    return table


def _versions() -> Iterator[Finding]:
    version = platform.python_version()
    old = sys.version_info < (3, 11)
    yield Finding("python", f"{version} on {platform.system()} {platform.machine()}", "problem" if old else "ok", "use Python 3.11 or newer" if old else "")
    for name in ("astrofuse-lab", *PACKAGES):
        try:
            yield Finding(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            optional = name in ("jupyterlab", "ipykernel")
            yield Finding(name, "not installed", "note" if optional else "problem", f"pip install {name}")


def _device() -> Iterator[Finding]:
    try:
        import torch
    except ImportError as error:
        yield Finding("device", str(error), "problem", "pip install torch")
        return
    if torch.cuda.is_available():
        yield Finding("device", f"GPU {torch.cuda.get_device_name(0)}, {torch.cuda.get_device_properties(0).total_memory / GIGABYTE:.0f} GB")
    elif torch.backends.mps.is_available():
        yield Finding("device", "Apple GPU (mps)")
    else:
        yield Finding("device", f"CPU, {torch.get_num_threads()} threads", "note", "training uses the CPU; small sets are fine")
        cuda = [d.metadata["Name"] for d in importlib.metadata.distributions() if (d.metadata["Name"] or "").lower().startswith("nvidia-")]
        if cuda:
            yield Finding("cuda packages", f"{len(cuda)} installed without a GPU", "problem", "install the CPU build of torch: https://pytorch.org/get-started")


def _memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / GIGABYTE
    used = psutil.Process().memory_info().rss / GIGABYTE
    low = free < 0.5
    yield Finding("memory", f"{free:.1f} GB free, this kernel uses {used:.2f} GB", "problem" if low else "ok", "close other kernels" if low else "")


def _cache() -> Iterator[Finding]:
    root = cache_root()
    there = next((p for p in (root, *root.parents) if p.exists()), Path("/"))
    if not os.access(there, os.W_OK):
        yield Finding("cache", f"{root} cannot be written", "problem", "set ASTROFUSE_CACHE to a folder you may write to")
        return
    size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file()) / GIGABYTE if root.exists() else 0.0
    free = shutil.disk_usage(there).free / GIGABYTE
    yield Finding("cache", f"{root}: {size:.2f} GB, {free:.0f} GB free", "problem" if free < 0.5 else "ok", "free some disk space" if free < 0.5 else "")


def _mirror() -> Iterator[Finding]:
    given = os.environ.get("ASTROFUSE_MIRROR")
    if not given:
        yield Finding("mirror", "none", "note", "real sample sets need one: set ASTROFUSE_MIRROR to its folder, or pass mirror=")
    elif not Path(given).is_dir():
        yield Finding("mirror", f"{given} is no folder", "problem", "set ASTROFUSE_MIRROR to the folder that holds the sets' folders")
    else:
        yield Finding("mirror", f"{given}: {sum(1 for p in Path(given).iterdir() if p.is_dir())} folders")


def _front_end() -> Iterator[Finding]:
    static = Path(__file__).parent / "static"
    missing = [v for v in VIEWS if not (static / f"{v}.js").is_file()]
    if missing:
        yield Finding("widget views", f"{', '.join(missing)} not built", "problem", "run: make front-end")
    else:
        yield Finding("widget views", f"{len(VIEWS)} built")


def _lab() -> Iterator[Finding]:
    installed = [Path(p) / "share/jupyter/labextensions/astrofuse-lab/package.json" for p in (sys.prefix, Path.home() / ".local")]
    if any(p.is_file() for p in installed):
        yield Finding("lab extension", "installed")
    else:
        yield Finding("lab extension", "not installed", "note", "widgets work without it; for the launcher and side panel run: make front-end")
