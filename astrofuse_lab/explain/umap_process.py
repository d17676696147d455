"""UMAP in a process that ends: ``python -m astrofuse_lab.explain.umap_process FOLDER --neighbours 15 --seed 0``.

Reads every ``<number>.npy`` of the folder, writes ``<number>.xy.npy`` beside each, and prints its number when done.
When the process ends, the system has all of its memory back: umap and numba stay in no kernel. It ends by itself
when whoever started it closes its standard input, dying included.
"""

import argparse
import os
import sys
import threading
from pathlib import Path

import numpy as np


def _end_with_parent() -> None:
    while os.read(0, 1024):  # the plain descriptor: sys.stdin would hold a lock that the interpreter needs to end
        pass
    os._exit(1)


def coordinates(vectors: "np.ndarray", neighbours: int, seed: int) -> "np.ndarray":
    """UMAP of vectors, (n, width), to the plane, (n, 2) float32 (McInnes, Healy & Melville 2018, arXiv:1802.03426)."""
    import umap

    # one job: with more, umap gives up the seed. Random start where the spectral one needs more points than there are
    start = "spectral" if len(vectors) > 2 * neighbours else "random"
    model = umap.UMAP(n_neighbors=min(neighbours, len(vectors) - 1), random_state=seed, n_jobs=1, init=start)
    return np.asarray(model.fit_transform(np.asarray(vectors, dtype=np.float32)), dtype=np.float32)


def main(arguments: list[str] | None = None) -> int:
    """Embed every array of a folder."""
    parser = argparse.ArgumentParser(prog="umap_process")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--neighbours", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for path in sorted(given.folder.glob("*.npy")):
        if path.stem.isdigit():
            found = coordinates(np.load(path, allow_pickle=False), given.neighbours, given.seed)
            np.save(path.with_suffix(".xy.npy"), found, allow_pickle=False)
            print(path.stem, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
