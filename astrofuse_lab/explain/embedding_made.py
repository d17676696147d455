"""From a run and samples to an `Embedding`."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import some_samples
from astrofuse_lab.explain.embedding import Embedding
from astrofuse_lab.explain.planes import METHODS, How, check_method, make_planes, spread_out
from astrofuse_lab.explain.spaces import FUSED, chosen_spaces, space_vectors
from astrofuse_lab.training.self_supervised import COMPARED
from astrofuse_lab.training.transfer import digest_of

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

OnProgress = Callable[[dict[str, Any]], None]


def embed(
    run: "Run", samples: "SampleSet", method: str = "umap", *, spaces: Sequence[str] | None = None, layer: str | Sequence[str] = (), seed: int = 0,
    neighbours: int = 15, timeout: float = 600.0, rows: int = 64, on_progress: OnProgress | None = None, stop: threading.Event | None = None,
) -> Embedding:  # fmt: skip
    """Map samples to the plane by the vectors a run makes of them.

    Parameters
    ----------
    run : Run
    samples : SampleSet
        Read batch by batch; only their vectors are kept.
    method : {"umap", "pca", "tsne", "densmap", "pacmap"}
        PCA takes milliseconds. The others run in a process that ends and gives its memory back. densMAP needs umap-learn, PaCMAP pacmap.
        Where they cannot run for want of time or memory, PCA is taken, with a warning and a note.
    spaces : sequence of str, optional
        ``fused``, names of modalities and ``layer:<name>``; None: fused and all modalities.
    layer : str or sequence of str
        The same as ``spaces=["layer:<name>"]``; `astrofuse_lab.explain.layers` lists them. Layers are averaged over their places.
    seed : int
        The same seed gives the same plane on the same machine.
    neighbours : int
        Size of UMAP's neighbourhoods, the point itself counted, and of `Embedding.neighbours`; fewer where there are fewer samples.
    timeout : float
        Seconds that the process may take for all spaces together.
    rows : int
        Samples that the model is given at once.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ..., "space": ...}`` after each space.
    stop : threading.Event, optional
        Set it to end the process at once; PCA is given then.

    Returns
    -------
    Embedding

    Raises
    ------
    UnknownNameError
        For another method, space or layer.
    InputError
        For an empty set, fewer than one neighbour, or a layer that gives no vector a sample.
    MissingExtraError
        For a method whose package is not installed.
    """
    if method not in METHODS:
        raise UnknownNameError("embedding method", method, METHODS)
    check_method(method)
    if int(neighbours) < 1:
        raise InputError(f"neighbours={neighbours}: at least 1; 15 is usual.")
    some_samples(samples)
    wanted = chosen_spaces(run, spaces, layer)
    device = "cuda" if run.device.type == "cuda" else "cpu"
    how = How(int(neighbours), int(seed), float(timeout), device, stop=stop, on_progress=on_progress)
    return embedded(run, samples, method, wanted, how, rows)


def embedded(run: "Run", samples: "SampleSet", method: str, spaces: Sequence[str], how: How, rows: int) -> Embedding:
    """An embedding of spaces that are known to exist; see `embed`."""
    vectors, outputs, seen = space_vectors(run, samples, spaces, rows)
    present = {space: np.asarray(np.isfinite(one).all(1)) for space, one in vectors.items()}
    made = make_planes({space: one[present[space]] for space, one in vectors.items()}, method, how)
    labels, parts, units = describe(run, samples, outputs, seen, spaces)
    return Embedding(
        spread_out(made, present), present, np.asarray(samples.object_ids), made.method, (*made.notes, *_lacking(vectors, present)), how.k, how.seed,
        labels, parts, made.axes, digest_of(run), vectors, units, made.near,
    )  # fmt: skip


def describe(
    run: "Run", samples: "SampleSet", outputs: torch.Tensor, seen: NDArray[np.bool_], spaces: Sequence[str]
) -> tuple[dict[str, Any], NDArray[np.str_], dict[str, NDArray[np.float32]]]:
    """What goes with coordinates: labels, parts of the run, and unit vectors of all modalities in one space, where the run was trained to compare them."""
    where = {str(i): part for part in ("test", "validation", "train") for i in getattr(run.split, part)}
    parts = np.array([where.get(str(i), "") for i in samples.object_ids], dtype="U10")
    units = {}
    if run.recipe.objective.name in COMPARED:
        table = run.embed(samples)
        units = {space: np.ma.filled(np.ma.asarray(table[space]).astype(np.float32), np.nan) for space in spaces if space in table.colnames}
    return _labels(run, samples, outputs, seen), parts, units


def _lacking(vectors: dict[str, NDArray[np.float32]], present: dict[str, NDArray[np.bool_]]) -> list[str]:
    """Which spaces lack samples, in words."""
    notes = []
    for space, there in present.items():
        absent = np.isnan(vectors[space]).all(1)
        if absent.any():
            what = space if space != FUSED and not space.startswith("layer:") else "modality"
            notes.append(f"{int(absent.sum())} of {len(there)} samples have no {what} and no place in that space")
        if (~there & ~absent).any():
            notes.append(f"the model's {space} of {int((~there & ~absent).sum())} samples is not finite; they have no place in that space")
    return notes


def _labels(run: "Run", samples: "SampleSet", outputs: torch.Tensor, seen: NDArray[np.bool_]) -> dict[str, Any]:
    """What a person colours a map by: the target, where the samples have it, and the prediction, masked as `Run.predict` does."""
    labels: dict[str, Any] = {}
    for name in run.problem.targets:
        if name in samples.roles:
            labels[name] = samples.column(name)
    predicted = run.decode(outputs)
    if predicted.ndim == 1 or run.classes:
        labels["prediction"] = np.ma.MaskedArray(np.array(run.classes)[predicted.argmax(1)] if run.classes else predicted, mask=~seen)
        return labels
    stem = "p_" if run.task == "multi_label" else "prediction_"
    return labels | {stem + name: np.ma.MaskedArray(column, mask=~seen) for name, column in zip(run.problem.targets, predicted.T, strict=True)}
