"""UMAP beside umap-learn, each in a fresh process: the first time ever, the first time in a session, and for 100,000 vectors of 128 numbers.

    python benchmarks/embed.py [--quick] [--json]

Timed from when NumPy and PyTorch are there, which a run needs anyway, to coordinates: imports, compilation and neighbours included. "Error" is by how
much the map's trustworthiness (500 points, against all) falls short of umap-learn's; below the tolerance the maps count as equally good.
umap-learn is given a seed, as ours always has one, and so keeps to one thread; a second row lets it take all cores and another map each time.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reporting import Line, report

WIDTH, K, SEED, CHECKED = 128, 15, 0, 500
TOLERANCE = 0.005
FIRST, QUICK, FULL = 1000, 6000, 100_000


def vectors(n: int) -> NDArray[np.float32]:
    """Forty groups on a curved sheet of sixteen dimensions, with noise in all."""
    rng = np.random.default_rng(SEED)
    centres, mix = rng.normal(size=(40, 16)) * 2, rng.normal(size=(16, WIDTH))
    inner = centres[rng.integers(0, 40, n)] + rng.normal(size=(n, 16))
    return (np.tanh(inner @ mix / 4) + 0.1 * rng.normal(size=(n, WIDTH))).astype(np.float32)


def work(who: str, source: Path, target: Path) -> None:
    """What runs in a fresh process: reads vectors, writes coordinates, prints the seconds between."""
    import torch

    data = np.load(source, allow_pickle=False)
    torch.zeros(1)
    begin = time.perf_counter()
    if who == "ours":
        from astrofuse_lab.explain.planes import How, make_planes

        device = "cuda" if torch.cuda.is_available() else "cpu"
        made = make_planes({"fused": data}, "umap", How(K, SEED, 3600.0, device))
        assert made.method == "umap", made.notes
        plane = made.planes["fused"]
    else:
        import umap

        seeded: dict[str, Any] = {"random_state": SEED, "n_jobs": 1} if who == "peer" else {"n_jobs": -1}
        plane = umap.UMAP(n_neighbors=K, **seeded).fit_transform(data)
    seconds = time.perf_counter() - begin
    np.save(target, np.asarray(plane, dtype=np.float32), allow_pickle=False)
    print(f"seconds {seconds}")


def timed(who: str, folder: Path, cache: Path) -> tuple[float, NDArray[np.float32]]:
    """Seconds and coordinates of one fresh process, with this folder of compiled code."""
    target = folder / f"{who}.npy"
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", who, str(folder / "vectors.npy"), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONWARNINGS": "ignore"})
    if done.returncode:
        raise RuntimeError(f"{who}: {done.stderr[-1000:]}")
    return float(done.stdout.split()[-1]), np.load(target, allow_pickle=False)


def trust(data: NDArray[np.float32], plane: NDArray[np.float32]) -> float:
    """Trustworthiness of some points, ranked among all (Venna & Kaski 2001)."""
    n = len(data)
    rows = np.random.default_rng(1).choice(n, min(CHECKED, n), replace=False)
    points = data.astype(np.float64) - data.mean(0)
    length, beyond = (points**2).sum(1), 0
    for i in rows:
        near = np.argsort(((plane - plane[i]) ** 2).sum(1), kind="stable")
        near = near[near != i][:K]
        distance = length - 2 * points @ points[i]
        distance[i] = -np.inf
        rank = (distance[None, :] < distance[near, None]).sum(1)
        beyond += int(np.maximum(rank - K, 0).sum())
    return 1 - 2 * beyond / (len(rows) * K * (2 * n - 3 * K - 1))


def line(what: str, n: int, goal: float, times: dict[str, float], lost: float, peer: str, name: str) -> Line:
    return Line(
        work=f"UMAP of {n:,} x {WIDTH}, {what}", peer=name, equal=lost <= TOLERANCE, error=max(lost, 0.0), tolerance=TOLERANCE,
        seconds=times["ours"], peer_seconds=times[peer], goal=goal,
    )  # fmt: skip


def lines(quick: bool) -> Iterator[Line]:
    """Every claim."""
    with tempfile.TemporaryDirectory(prefix="astrofuse-embed-") as name:
        folder, caches = Path(name), {who: Path(name) / f"compiled-{who}" for who in ("ours", "peer")}
        data = vectors(FIRST)
        np.save(folder / "vectors.npy", data, allow_pickle=False)
        for what, goal in (("the first time ever (nothing compiled)", 1.0), ("the first time in a session (compiled code kept on disk)", 1.0)):
            found = {who: timed(who, folder, caches[who]) for who in ("ours", "peer")}
            lost = trust(data, found["peer"][1]) - trust(data, found["ours"][1])
            yield line(what, len(data), goal, {who: one[0] for who, one in found.items()}, lost, "peer", "umap-learn, seeded")
        data = vectors(QUICK if quick else FULL)
        np.save(folder / "vectors.npy", data, allow_pickle=False)
        found = {who: timed(who, folder, caches.get(who, caches["peer"])) for who in ("ours", "peer", "peer_parallel")}
        good = {who: trust(data, one[1]) for who, one in found.items()}
        for peer, title in (("peer", "umap-learn, seeded"), ("peer_parallel", "umap-learn, unseeded, all cores")):
            yield line("in a fresh process", len(data), 1.0, {who: one[0] for who, one in found.items()}, good[peer] - good["ours"], peer, title)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        sys.exit()
    sys.exit(report("embed", __doc__, lines))
