"""How a model's spaces came about: one embedding an epoch, laid over each other so that motion means something."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import some_samples
from astrofuse_lab.explain.agreement import turned
from astrofuse_lab.explain.embedding import Embedding
from astrofuse_lab.explain.embedding_made import embedded
from astrofuse_lab.explain.planes import How
from astrofuse_lab.explain.spaces import chosen_spaces

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

METHODS = ("pca", "umap")


def embed_epochs(
    run: "Run", samples: "SampleSet", epochs: Sequence[int] | None = None, method: str = "pca", *, spaces: Sequence[str] | None = None,
    layer: str | Sequence[str] = (), seed: int = 0, neighbours: int = 15, timeout: float = 600.0, rows: int = 64,
    on_progress: Callable[[dict[str, Any]], None] | None = None, stop: threading.Event | None = None,
) -> list[tuple[int, Embedding]]:  # fmt: skip
    """Embeddings of the same samples after each epoch of a training, aligned to one another.

    Each plane is turned, mirrored and shifted, never stretched, to lie as near as it can to that of the epoch after it, so that the last one is as
    `embed` gives it (orthogonal Procrustes). UMAP of an epoch begins where the one before it ended, and each is turned onto the one before.

    Parameters
    ----------
    run : Run
        Trained with ``af.train(..., out=folder, keep_epochs=True)``.
    samples : SampleSet
    epochs : sequence of int, optional
        None: all that were kept; 0 is before training. `astrofuse_lab.training.epoch_weights.kept_epochs` lists them.
    method : {"pca", "umap"}
    spaces, layer, seed, neighbours, timeout, rows
        As in `embed`; the timeout is for each epoch.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ..., "space": "epoch 3"}`` after each epoch.
    stop : threading.Event, optional
        Set it to end early; what is done until then is returned.

    Returns
    -------
    list of (int, Embedding)
        Ascending.

    Raises
    ------
    RunError
        If the run keeps no weights of epochs.
    UnknownNameError
        For an epoch, method, space or layer that is not there.
    """
    from astrofuse_lab.training.epoch_weights import kept_epochs, run_at

    if method not in METHODS:
        raise UnknownNameError("method for epochs", method, METHODS)
    some_samples(samples)
    known = kept_epochs(run)
    wanted = known if epochs is None else tuple(sorted({int(one) for one in epochs}))
    if not wanted:
        raise InputError(f"epochs is empty; kept are {', '.join(map(str, known))}. None takes them all.")
    for epoch in wanted:
        if epoch not in known:
            raise UnknownNameError("kept epoch", epoch, [str(one) for one in known])
    chosen = chosen_spaces(run, spaces, layer)
    device = "cuda" if run.device.type == "cuda" else "cpu"
    made: list[tuple[int, Embedding]] = []
    for epoch in wanted:
        if stop is not None and stop.is_set():
            break
        start = _starts(made[-1][1]) if made and method == "umap" else None
        how = How(int(neighbours), int(seed), float(timeout), device, start, stop)
        made.append((epoch, embedded(run_at(run, epoch), samples, method, chosen, how, rows)))
        if on_progress:
            on_progress({"done": len(made), "total": len(wanted), "space": f"epoch {epoch}"})
    if method == "pca":
        return aligned(made[::-1])[::-1]
    return aligned(made)


def _starts(before: Embedding) -> dict[str, Any]:
    """Where the points of the next map begin: a fifth as wide as UMAP's start, so that they can still find other places."""
    out = {}
    for space, plane in before.coordinates.items():
        here = plane[before.present[space]].astype(np.float64)
        here = here - here.mean(0) if len(here) else here
        out[space] = (here * (10 / max(float(np.abs(here).max(initial=0.0)), 1e-12))).astype(np.float32)
    return out


def aligned(made: Sequence[tuple[int, Embedding]]) -> list[tuple[int, Embedding]]:
    """Each embedding turned onto the one before it in the list; the first stays as it is.

    Axes of a principal plane are turned with it, so that `Embedding.place` stays exact.
    """
    out: list[tuple[int, Embedding]] = []
    for epoch, one in made:
        if out:
            coordinates, axes = {}, dict(one.axes)
            for space, plane in one.coordinates.items():
                coordinates[space] = turned(plane, out[-1][1].coordinates[space])
                if space in axes:
                    axes[space] = _turned_axes(axes[space], plane, coordinates[space])
            one = replace(one, coordinates=coordinates, axes=axes, _badges={})
        out.append((epoch, one))
    return out


def _turned_axes(axes: Any, plane: Any, onto: Any) -> Any:
    """Mean and directions after a turn that took the plane to another place."""
    has = np.isfinite(plane).all(1)
    if has.sum() < 2:
        return axes
    a, b = plane[has].astype(np.float64), onto[has].astype(np.float64)
    left, _, right = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    directions = axes[1] @ (left @ right)
    # the shift is put into the mean: coordinates are (vector - mean) @ directions
    shift = b.mean(0) - (a.mean(0) @ (left @ right))
    return axes[0] - directions @ shift, directions
