"""Starts, watches and ends the process that computes UMAP; arrays cross as .npy files, never as pickles."""

import importlib.util
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import astrofuse_lab
from astrofuse_lab import memory

NEEDS = 450 * 1024**2
"""Bytes that the process takes at its peak: measured 423 MB for six spaces of 600 samples, most of it numba's compiler."""


class UmapFailed(Exception):
    """UMAP could not be computed; the message says why."""


def umap_planes(
    parts: Mapping[str, NDArray[np.float32]], *, neighbours: int, seed: int, timeout: float,
    stop: threading.Event | None = None, on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, NDArray[np.float32]]:  # fmt: skip
    """UMAP of several sets of vectors in one child process.

    Parameters
    ----------
    parts : mapping of space to float32 array, (n, width)
    neighbours, seed : int
    timeout : float
        Seconds.
    stop : threading.Event, optional
    on_progress : callable, optional

    Returns
    -------
    dict of space to float32 array, (n, 2)

    Raises
    ------
    UmapFailed
        If umap-learn is missing, memory is short, time is up, Stop was pressed, or the process failed.
    """
    if importlib.util.find_spec("umap") is None:
        raise UmapFailed("the package 'umap-learn' is not installed (pip install umap-learn)")
    room = _memory_left()
    if room is not None and room < NEEDS:
        raise UmapFailed(f"it needs {NEEDS / 1e6:.0f} MB and this server has {max(room, 0) / 1e6:.0f} MB left (MEM_LIMIT)")
    names = list(parts)
    with tempfile.TemporaryDirectory(prefix="astrofuse-umap-") as name:
        folder = Path(name)
        for number, space in enumerate(names):
            np.save(folder / f"{number:03d}.npy", np.asarray(parts[space], dtype=np.float32), allow_pickle=False)
        _run(folder, names, neighbours, seed, timeout, stop, on_progress)
        planes = {space: np.load(folder / f"{number:03d}.xy.npy", allow_pickle=False) for number, space in enumerate(names)}
    for space, plane in planes.items():
        if plane.shape != (len(parts[space]), 2) or not np.isfinite(plane).all():
            raise UmapFailed(f"its coordinates of {space!r} are not finite")
    return planes


def _run(
    folder: Path, names: list[str], neighbours: int, seed: int, timeout: float,
    stop: threading.Event | None, on_progress: Callable[[dict[str, Any]], None] | None,
) -> None:  # fmt: skip
    """Run the child to its end, or end it."""
    command = [sys.executable, "-m", "astrofuse_lab.explain.umap_process", str(folder), "--neighbours", str(neighbours), "--seed", str(seed)]
    above = str(Path(astrofuse_lab.__file__).parents[1])
    paths = [above, *filter(None, [os.environ.get("PYTHONPATH")])]
    errors = folder / "errors.txt"
    begin = time.monotonic()
    with errors.open("wb") as sink:
        child = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(child, lines), daemon=True)
    reader.start()
    done = 0
    try:
        while True:
            if stop is not None and stop.is_set():
                raise UmapFailed("it was stopped")
            if time.monotonic() - begin > timeout:
                raise UmapFailed(f"it took longer than {timeout:g} s; give a larger timeout, or fewer samples")
            try:
                line = lines.get(timeout=0.1)
            except queue.Empty:
                continue
            if line is None:
                break
            done += 1
            if on_progress:
                on_progress({"done": done, "total": len(names), "space": names[int(line)]})
        if child.wait(timeout=30) != 0 or done < len(names):
            raise UmapFailed(_reason(child.returncode, errors))
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        reader.join(timeout=5)


def _read(child: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str | None]") -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip().isdigit():
            lines.put(line.strip())
    lines.put(None)


def _reason(code: int, errors: Path) -> str:
    last = [line for line in errors.read_text(errors="replace").splitlines() if line.strip()][-1:]
    if code < 0:
        return f"its process was ended by signal {-code}" + (", as happens when memory runs out" if code == -9 else "")
    return f"its process failed ({last[0].strip() if last else f'exit status {code}'})"


def _memory_left() -> int | None:
    """Bytes left of the limit that JupyterHub and Binder set on a server; None where there is none."""
    limit = memory.promised()
    if limit is None:
        return None
    import psutil

    # inside such a container all processes are the server's own
    return limit - sum(p.info["memory_info"].rss for p in psutil.process_iter(["memory_info"]) if p.info["memory_info"])
