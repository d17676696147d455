"""Where samples lie in a model's own spaces: the fused one, and that of each modality."""

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import Pace, device_of, explaining, some_samples, streams_of

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

FUSED = "fused"
FEWEST_FOR_UMAP = 5
"""Points below which UMAP has no neighbourhood to work with and PCA is taken."""
MOST_FOR_TRUST = 3000
"""Points of the trustworthiness score: it compares all pairs."""
OnProgress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Embedding:
    """Coordinates in the plane, one pair a sample and space.

    Attributes
    ----------
    coordinates : dict of space to float32 array, (n, 2)
        ``fused`` and each modality; NaN where the sample lacks the modality (False in `present`).
    present : dict of space to bool array, (n,)
        True where the sample has coordinates.
    object_ids : str array, (n,)
    method : str
        ``umap`` or ``pca``: what was done, which `notes` explain where it is not what was asked.
    notes : tuple of str
        What a reader should know: fallbacks, and samples without coordinates.
    k, seed : int
        Neighbours, and the seed of UMAP.
    labels : dict of str to array
        Target and prediction per sample, for colours; the target only where the samples have the column.
    """

    coordinates: dict[str, NDArray[np.float32]]
    present: dict[str, NDArray[np.bool_]]
    object_ids: NDArray[np.str_]
    method: str
    notes: tuple[str, ...]
    k: int
    seed: int
    labels: dict[str, Any] = field(default_factory=dict)
    _vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def spaces(self) -> tuple[str, ...]:
        """``fused``, then the modalities."""
        return tuple(self.coordinates)

    def _check(self, space: str) -> None:
        if space not in self.coordinates:
            raise UnknownNameError("space", space, self.coordinates)

    def vectors(self, space: str = FUSED) -> NDArray[np.float32]:
        """The model's own vectors, (n, width); NaN where the sample lacks the modality."""
        self._check(space)
        return self._vectors[space]

    def neighbours(self, space: str = FUSED, k: int | None = None) -> "np.ma.MaskedArray[Any, Any]":
        """Positions of the k nearest samples in the space itself (not in the plane), nearest first.

        Parameters
        ----------
        space : str
        k : int, optional
            None: `k` of the embedding. Fewer come back where there are fewer other samples.

        Returns
        -------
        masked int array, (n, k)
            Euclidean distance; rows of samples without the modality are masked (-1).
        """
        self._check(space)
        has = np.flatnonzero(self.present[space])
        count = min(self.k if k is None else int(k), max(len(has) - 1, 0))
        found = np.full((len(self.object_ids), count), -1, dtype=np.int64)
        if count > 0:
            from sklearn.neighbors import NearestNeighbors

            # asked without points, it leaves each point out of its own neighbours, identical twins or not
            nearest = NearestNeighbors(n_neighbors=count).fit(self._vectors[space][has]).kneighbors(return_distance=False)
            found[has] = has[nearest]
        return np.ma.MaskedArray(found, found < 0, fill_value=-1)

    def trustworthiness(self, space: str = FUSED) -> float:
        """How far neighbours in the plane are neighbours in the space: 1 all, 0 none (Venna & Kaski 2001, doi:10.1007/3-540-44668-0_68).

        With more than `MOST_FOR_TRUST` samples, of as many drawn with the embedding's seed; NaN for fewer than four.
        """
        self._check(space)
        has = np.flatnonzero(self.present[space])
        if len(has) > MOST_FOR_TRUST:
            has = np.sort(np.random.default_rng(self.seed).choice(has, MOST_FOR_TRUST, replace=False))
        count = min(self.k, (len(has) - 1) // 2)  # the score is defined for fewer neighbours than half the samples
        if count < 1:
            return float("nan")
        from sklearn.manifold import trustworthiness

        return float(trustworthiness(self._vectors[space][has], self.coordinates[space][has], n_neighbors=count))

    def table(self) -> "Table":
        """One row a sample: object_id, the target and prediction, and ``<space>_x``, ``<space>_y``, masked where missing."""
        from astropy.table import MaskedColumn, Table

        table = Table({"object_id": self.object_ids, **self.labels})
        for space, plane in self.coordinates.items():
            for axis, name in enumerate("xy"):
                table[f"{space}_{name}"] = MaskedColumn(np.nan_to_num(plane[:, axis]), mask=~self.present[space])
        table.meta.update(method=self.method, notes=list(self.notes), seed=self.seed)
        return table

    def __repr__(self) -> str:
        notes = "".join(f"; {note}" for note in self.notes)
        return f"Embedding({self.method} of {len(self.object_ids)} samples: {', '.join(self.spaces)}{notes})"


# ---- vectors -------------------------------------------------------------------------------------------------------


def space_vectors(
    run: "Run", samples: "SampleSet", spaces: Sequence[str], rows: int = 64
) -> tuple[dict[str, NDArray[np.float32]], torch.Tensor, NDArray[np.bool_]]:
    """One pass of the model: vectors of its spaces, (n, width) each, NaN where a sample lacks the modality; its outputs; who has any modality.

    The fused vector is what the head reads; a modality's is the mean of its encoder's real tokens.
    """
    from astrofuse_lab.models.fusion import masked_mean

    pieces: dict[str, list[NDArray[np.float32]]] = {space: [] for space in spaces}
    outputs, seen = [], []
    with explaining(run.model) as model, torch.inference_mode():
        for index in Pace(rows).chunks(len(samples)):
            part = run.batch(samples, index.numpy()).to(device_of(model))
            prediction = model(part.values, part.masks, part.present)
            fused = prediction.fused
            any_modality = torch.stack([one.mask.any(1) for one in fused.tokens.values()]).any(0)
            outputs.append(prediction.values.cpu())
            seen.append(any_modality.cpu())
            for space in spaces:
                if space == FUSED:
                    vectors, there = fused.vector, any_modality
                else:
                    one = fused.tokens[space]
                    vectors, there = masked_mean(one.values, one.mask), one.mask.any(1)
                pieces[space].append(torch.where(there[:, None], vectors.float(), torch.nan).cpu().numpy())
    return {space: np.concatenate(found) for space, found in pieces.items()}, torch.cat(outputs), torch.cat(seen).numpy()


# ---- planes --------------------------------------------------------------------------------------------------------


def principal_plane(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The first two principal components, (n, 2): always the same, sign included.

    Each axis points to where the largest of its loadings is positive. Axes along which nothing varies are zero.
    """
    centred = np.asarray(vectors, dtype=np.float64)
    centred = centred - centred.mean(0) if len(centred) else centred
    width = centred.shape[1]
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :2]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    plane = np.zeros((len(centred), 2))
    plane[:, : min(2, width)] = centred @ axes
    return plane.astype(np.float32)


def _pca(parts: dict[str, NDArray[np.float32]], **_: Any) -> tuple[dict[str, NDArray[np.float32]], list[str], str]:
    return {space: principal_plane(part) for space, part in parts.items()}, [], "pca"


def _umap(
    parts: dict[str, NDArray[np.float32]], *, k: int, seed: int, timeout: float, stop: threading.Event | None, on_progress: OnProgress | None
) -> tuple[dict[str, NDArray[np.float32]], list[str], str]:
    from astrofuse_lab.explain.umap_child import UmapFailed, umap_planes

    small = [space for space, part in parts.items() if len(part) < FEWEST_FOR_UMAP]
    large = {space: part for space, part in parts.items() if space not in small}
    notes = [f"PCA for {', '.join(small)}: UMAP needs at least {FEWEST_FOR_UMAP} samples"] if small else []
    planes = {space: principal_plane(parts[space]) for space in small}
    if not large:
        return planes, notes, "pca"
    try:
        return {**planes, **umap_planes(large, neighbours=k, seed=seed, timeout=timeout, stop=stop, on_progress=on_progress)}, notes, "umap"
    except UmapFailed as reason:
        note = f"PCA instead of UMAP: {reason}"
        if stop is None or not stop.is_set():  # who pressed Stop knows why
            warnings.warn(note, RuntimeWarning, stacklevel=3)
        return {space: principal_plane(part) for space, part in parts.items()}, [note], "pca"


METHODS: dict[str, Callable[..., tuple[dict[str, NDArray[np.float32]], list[str], str]]] = {"umap": _umap, "pca": _pca}


# ---- the verb ------------------------------------------------------------------------------------------------------


def embed(
    run: "Run", samples: "SampleSet", method: str = "umap", *, spaces: Sequence[str] | None = None, seed: int = 0, neighbours: int = 15,
    timeout: float = 600.0, rows: int = 64, on_progress: OnProgress | None = None, stop: threading.Event | None = None,
) -> Embedding:  # fmt: skip
    """Map samples to the plane by the vectors a run makes of them.

    Parameters
    ----------
    run : Run
    samples : SampleSet
        Read batch by batch; only their vectors are kept.
    method : {"umap", "pca"}
        UMAP runs in a process that ends and gives its memory back (about 420 MB while it runs, and ten seconds for numba
        to compile); PCA takes milliseconds. Where UMAP cannot run, PCA is taken, with a warning and a note.
    spaces : sequence of str, optional
        ``fused`` and names of modalities; None: all.
    seed : int
        UMAP with the same seed gives the same plane on the same machine.
    neighbours : int
        Size of UMAP's neighbourhoods, and of `Embedding.neighbours`; fewer where there are fewer samples.
    timeout : float
        Seconds that UMAP may take for all spaces together.
    rows : int
        Samples that the model is given at once.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ..., "space": ...}`` after each space.
    stop : threading.Event, optional
        Set it to end UMAP at once; PCA is given then.

    Returns
    -------
    Embedding

    Raises
    ------
    UnknownNameError
        For another method or space.
    InputError
        For an empty set, or fewer than one neighbour.
    """
    if method not in METHODS:
        raise UnknownNameError("embedding method", method, METHODS)
    if int(neighbours) < 1:
        raise InputError(f"neighbours={neighbours}: at least 1; 15 is usual.")
    some_samples(samples)
    wanted = _wanted(run, spaces)
    vectors, outputs, seen = space_vectors(run, samples, wanted, rows)
    labels = _labels(run, samples, outputs, seen)
    present = {space: np.asarray(~np.isnan(one).any(1)) for space, one in vectors.items()}
    parts = {space: one[present[space]] for space, one in vectors.items()}
    planes, notes, done = METHODS[method](parts, k=int(neighbours), seed=int(seed), timeout=float(timeout), stop=stop, on_progress=on_progress)
    coordinates = {}
    for space in wanted:
        coordinates[space] = np.full((len(samples), 2), np.nan, dtype=np.float32)
        coordinates[space][present[space]] = planes[space]
    return Embedding(coordinates, present, np.asarray(samples.object_ids), done, (*notes, *_lacking(present)), int(neighbours), int(seed), labels, vectors)


def _wanted(run: "Run", spaces: Sequence[str] | None) -> tuple[str, ...]:
    known = (FUSED, *streams_of(run))
    wanted = known if spaces is None else (spaces,) if isinstance(spaces, str) else tuple(spaces)
    for space in wanted:
        if space not in known:
            raise UnknownNameError("space", space, known)
    if not wanted:
        raise InputError(f"spaces is empty; there are {', '.join(known)}. None takes them all.")
    return wanted


def _lacking(present: dict[str, NDArray[np.bool_]]) -> list[str]:
    """Which spaces lack samples, in words."""
    missing = {space: int((~there).sum()) for space, there in present.items()}
    return [
        f"{count} of {len(present[space])} samples have no {space if space != FUSED else 'modality'} and no place in that space"
        for space, count in missing.items() if count
    ]  # fmt: skip


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
