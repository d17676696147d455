"""Maps in a process that ends: ``python -m astrofuse_lab.explain.umap_process FOLDER --method umap --neighbours 15 --seed 0``.

Reads every ``<number>.vectors.npy`` (for UMAP ``<number>.near.npy``, ``.far.npy`` and ``.start.npy``) of the folder, writes
``<number>.xy.npy`` beside each, and prints its number when done. When the process ends, the system has all of its memory
back: numba and umap stay in no kernel. It ends by itself when whoever started it closes its standard input, dying included.
"""

import argparse
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _end_with_parent() -> None:
    while os.read(0, 1024):  # the plain descriptor: sys.stdin would hold a lock that the interpreter needs to end
        pass
    os._exit(1)


def _umap(folder: Path, number: str, neighbours: int, seed: int) -> Array:
    from astrofuse_lab.explain.umap_layout import layout

    near, far, start = (np.load(folder / f"{number}.{what}.npy", allow_pickle=False) for what in ("near", "far", "start"))
    # umap-learn counts a point among its own neighbours
    return layout(near[:, : max(neighbours - 1, 1)], far[:, : max(neighbours - 1, 1)], start, seed)


def _densmap(folder: Path, number: str, neighbours: int, seed: int) -> Array:
    import umap

    vectors = np.load(folder / f"{number}.vectors.npy", allow_pickle=False)
    # one job: with more, umap gives up the seed. Random start where the spectral one needs more points than there are
    start = "spectral" if len(vectors) > 2 * neighbours else "random"
    made = umap.UMAP(n_neighbors=max(2, min(neighbours, len(vectors) - 1)), random_state=seed, n_jobs=1, init=start, densmap=True).fit_transform(vectors)
    return np.asarray(made)


def _tsne(folder: Path, number: str, neighbours: int, seed: int) -> Array:
    from sklearn.manifold import TSNE

    vectors = np.load(folder / f"{number}.vectors.npy", allow_pickle=False)
    # a perplexity p looks at 3 p neighbours (van der Maaten 2014); 30 is usual
    perplexity = min(2.0 * neighbours, (len(vectors) - 1) / 3)
    return np.asarray(TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors))


def _pacmap(folder: Path, number: str, neighbours: int, seed: int) -> Array:
    import pacmap

    vectors = np.load(folder / f"{number}.vectors.npy", allow_pickle=False)
    return np.asarray(pacmap.PaCMAP(n_components=2, n_neighbors=min(neighbours, len(vectors) - 1), random_state=seed).fit_transform(vectors))


METHODS: dict[str, Callable[[Path, str, int, int], Array]] = {"umap": _umap, "densmap": _densmap, "tsne": _tsne, "pacmap": _pacmap}


def main(arguments: list[str] | None = None) -> int:
    """Map every array of a folder."""
    parser = argparse.ArgumentParser(prog="umap_process")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", choices=sorted(METHODS), default="umap")
    parser.add_argument("--neighbours", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in sorted({path.name.split(".")[0] for path in given.folder.glob("*.npy")}):
        if number.isdigit():
            found = np.asarray(METHODS[given.method](given.folder, number, given.neighbours, given.seed), dtype=np.float32)
            np.save(given.folder / f"{number}.xy.npy", found, allow_pickle=False)
            print(number, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
