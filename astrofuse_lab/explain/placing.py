"""New samples on a map that stays as it is: a function of stored vectors, coordinates and neighbours, with no fitted model kept."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.adapter import some_samples
from astrofuse_lab.explain.neighbourhoods import nearest
from astrofuse_lab.explain.planes import Axes, on_axes

if TYPE_CHECKING:
    from astrofuse_lab.explain.embedding import Embedding
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run


LONG, SHORT, RATE = 100, 30, 0.25
"""Epochs for maps of up to 10,000 samples and of more, and the first step: as in umap-learn's transform."""

SAME = 1e-4
"""A distance, as a share of that to the k-th neighbour, that is rounding: batches of another size give vectors other last digits."""


def same_run(embedding: "Embedding", run: "Run") -> None:
    """Raise InputError where vectors of a run would not lie in the embedding's spaces."""
    from astrofuse_lab.training.transfer import digest_of

    if embedding.made_by and digest_of(run) != embedding.made_by:
        raise InputError("the embedding was made by a run with other weights: their vectors cannot be compared. Give that run, or make a new embedding with this one.")


def place(embedding: "Embedding", run: "Run", samples: "SampleSet", rows: int) -> "Embedding":
    """See `Embedding.place`."""
    from astrofuse_lab.explain.embedding import Embedding
    from astrofuse_lab.explain.embedding_made import describe
    from astrofuse_lab.explain.spaces import space_vectors

    same_run(embedding, run)
    some_samples(samples)
    vectors, outputs, seen = space_vectors(run, samples, embedding.spaces, rows)
    present, coordinates, notes = {}, {}, []
    labels, parts, units = describe(run, samples, outputs, seen, embedding.spaces)
    for space, one in vectors.items():
        there = present[space] = np.asarray(np.isfinite(one).all(1))
        has = embedding.present[space]
        if not has.any():
            raise InputError(f"no sample of this embedding has {space}: there is nothing to place new ones by. Embed samples that have it.")
        coordinates[space] = np.full((len(one), 2), np.nan, dtype=np.float32)
        known, spacing = embedding._vectors[space][has], embedding.near(space)[1]
        settle = embedding.method in ("umap", "densmap")
        coordinates[space][there] = placed(one[there], known, embedding.coordinates[space][has], embedding.k, embedding.axes.get(space), settle, embedding.seed)
        labels[f"unlike_{space}"] = _unlike(one, there, known, spacing)
        if (~there).any():
            notes.append(f"{int((~there).sum())} of {len(there)} samples have no place in {space}")
    told = f"placed among {len(embedding.object_ids)} samples by {'their stored axes' if embedding.method == 'pca' else 'the nearest of them'}; the map was not made again"
    return Embedding(
        coordinates, present, np.asarray(samples.object_ids), embedding.method, (told, *notes), embedding.k, embedding.seed, labels, parts,
        dict(embedding.axes), embedding.made_by, vectors, units,
    )  # fmt: skip


def placed(
    new: NDArray[np.float32], vectors: NDArray[np.float32], plane: NDArray[np.float32], k: int, axes: Axes | None = None, settle: bool = False, seed: int = 0
) -> NDArray[np.float32]:
    """Coordinates of new vectors, (m, 2), on a plane; each depends on no other new one.

    By PCA exactly, with its axes. Else the mean of the coordinates of the nearest neighbours, weighted by how much each belongs to the new point,
    which is where UMAP's own transform begins; what lies on a known vector is put where that one is.

    Parameters
    ----------
    new : array, (m, width)
    vectors : array, (n, width)
        Of the samples on the map.
    plane : array, (n, 2)
    k : int
        Neighbours looked at.
    axes : tuple, optional
        Of a plane made by PCA.
    settle : bool
        Go on from there with UMAP's forces, towards the neighbours and away from others, all of which stay where they are.
    seed : int
        Of who these others are.
    """
    if axes is not None:
        return on_axes(new, axes)
    if not len(new):
        return np.zeros((0, 2), dtype=np.float32)
    from astrofuse_lab.explain.umap_layout import memberships

    near, distance = nearest(vectors, k, new)
    weight = memberships(distance).astype(np.float64)
    on_top = distance <= SAME * distance[:, -1:]
    same = on_top[:, 0]
    weight[same] = on_top[same]
    begin = (plane[near].astype(np.float64) * weight[:, :, None]).sum(1) / weight.sum(1)[:, None]
    if settle:
        begin[~same] = _settled(begin[~same], plane[near[~same]].astype(np.float64), weight[~same], plane, seed)
    return begin.astype(np.float32)


def _settled(at: NDArray[np.float64], beside: NDArray[np.float64], weight: NDArray[np.float64], plane: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Points, (m, 2), after some epochs of UMAP's forces from their neighbours, (m, k, 2), and from points of the plane that are the same for all."""
    from astrofuse_lab.explain.umap_layout import MANY, NEGATIVES, curve

    a, b = curve()
    luck, epochs = np.random.default_rng(seed), SHORT if len(plane) > MANY else LONG
    due = weight / np.maximum(weight.max(1, keepdims=True), 1e-12)
    for epoch in range(epochs):
        rate = RATE * (1 - epoch / epochs)
        turn = np.floor((epoch + 1) * due) > np.floor(epoch * due)
        others = plane[luck.integers(0, len(plane), (beside.shape[1], NEGATIVES))].astype(np.float64)
        for j in range(beside.shape[1]):
            step = at - beside[:, j]
            square = np.maximum((step**2).sum(1, keepdims=True), 1e-12)
            moved = np.clip(-2 * a * b * square ** (b - 1) / (1 + a * square**b) * step, -4, 4)
            for other in others[j]:
                away = at - other
                square = (away**2).sum(1, keepdims=True)
                moved += np.clip(2 * b / ((0.001 + square) * (1 + a * square**b)) * away, -4, 4)
            at = at + rate * moved * turn[:, j, None]
    return at


def _unlike(new: NDArray[np.float32], there: NDArray[np.bool_], vectors: NDArray[np.float32], spacing: NDArray[np.float32]) -> "np.ma.MaskedArray[tuple[int, ...], np.dtype[np.float64]]":
    """Share of the map's samples whose nearest neighbour is nearer than that of each new one."""
    share = np.zeros(len(new))
    if spacing.shape[1]:
        usual = np.sort(spacing[:, 0])
        own = nearest(vectors, 2, new[there])[1]
        # one that the map knows is as far from the map as those on it are from each other: not at all
        share[there] = np.where(own[:, 0] <= SAME * own[:, -1], 0.0, np.searchsorted(usual, own[:, 0]) / len(usual))
    return np.ma.MaskedArray(share, mask=~there)
