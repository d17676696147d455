"""Starts, watches and ends the process that computes maps; arrays cross as .npy files, never as pickles."""

import importlib.util
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import astrofuse_lab
from astrofuse_lab import memory
from astrofuse_lab.explain.planes import PACKAGES, How, Near

NEEDS = {"umap": 190 * 1024**2, "tsne": 220 * 1024**2, "densmap": 450 * 1024**2, "pacmap": 450 * 1024**2}
"""Bytes that the process takes at its peak for some thousand samples, most of it libraries and numba's compiler (measured: UMAP 178 MB, t-SNE 205, densMAP 429)."""
A_SAMPLE = 1700
"""Bytes that each sample adds: neighbours, graph and layout (measured for UMAP: 337 MB for 100,000)."""


class ProcessFailed(Exception):
    """The map could not be computed; the message says why."""


def child_planes(
    method: str, parts: Mapping[str, NDArray[np.float32]], near: Mapping[str, Near], starts: Mapping[str, NDArray[np.float32]], how: How
) -> dict[str, NDArray[np.float32]]:
    """Planes of several sets of vectors, made in one child process.

    Parameters
    ----------
    method : str
    parts : mapping of space to float32 array, (n, width)
    near, starts : mapping
        For UMAP: neighbours with their distances, (n, k), and where each point begins, (n, 2).
    how : How

    Returns
    -------
    dict of space to float32 array, (n, 2)

    Raises
    ------
    ProcessFailed
        If a package is missing, memory is short, time is up, Stop was pressed, or the process failed.
    """
    module, package = PACKAGES[method]
    if importlib.util.find_spec(module) is None:
        raise ProcessFailed(f"the package {package!r} is not installed (pip install {package})")
    room, needs = _memory_left(), NEEDS[method] + A_SAMPLE * max(map(len, parts.values()))
    if room is not None and room < needs:
        raise ProcessFailed(f"it needs {needs / 1e6:.0f} MB and this server has {max(room, 0) / 1e6:.0f} MB left (MEM_LIMIT)")
    names = list(parts)
    with tempfile.TemporaryDirectory(prefix="astrofuse-map-") as name:
        folder = Path(name)
        for number, space in enumerate(names):
            given = {"near": near[space][0].astype(np.int32), "far": near[space][1], "start": starts[space]} if space in near else {"vectors": parts[space]}
            for what, array in given.items():
                np.save(folder / f"{number:03d}.{what}.npy", np.ascontiguousarray(array), allow_pickle=False)
        _run(folder, names, method, how)
        planes = {space: np.load(folder / f"{number:03d}.xy.npy", allow_pickle=False) for number, space in enumerate(names)}
    for space, plane in planes.items():
        if plane.shape != (len(parts[space]), 2) or not np.isfinite(plane).all():
            raise ProcessFailed(f"its coordinates of {space!r} are not finite")
    return planes


def _run(folder: Path, names: list[str], method: str, how: How) -> None:
    """Run the child to its end, or end it."""
    command = [
        sys.executable, "-P", "-m", "astrofuse_lab.explain.umap_process", str(folder), "--method", method, "--neighbours", str(how.k), "--seed", str(how.seed),
    ]  # fmt: skip
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
            if how.stop is not None and how.stop.is_set():
                raise ProcessFailed("it was stopped")
            if time.monotonic() - begin > how.timeout:
                raise ProcessFailed(f"it took longer than {how.timeout:g} s; give a larger timeout, or fewer samples")
            try:
                line = lines.get(timeout=0.1)
            except queue.Empty:
                continue
            if line is None:
                break
            done += 1
            if how.on_progress:
                how.on_progress({"done": done, "total": len(names), "space": names[int(line)]})
        if child.wait(timeout=30) != 0 or done < len(names):
            raise ProcessFailed(_reason(child.returncode, errors))
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
