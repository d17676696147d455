"""Clusters of samples, and samples that are unlike the others, in a space of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.neighbourhoods import nearest
from astrofuse_lab.explain.suggestion_scores import isolation

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[Any]
MOST = 10_000
"""Samples that HDBSCAN is given: it compares all pairs. The others join the cluster of the nearest one that it was given."""
BY = ("neighbours", "local_outlier_factor", "isolation_forest")
NOISE, ABSENT = -1, -2


@dataclass(frozen=True)
class Clusters:
    """Groups that are dense, of any shape, and what belongs to none.

    Attributes
    ----------
    labels : int array, (n,)
        0 the largest cluster, and so on; -1 belongs to none; -2 has no place in the space.
    probability : float32 array, (n,)
        How far inside its cluster a sample lies, 0 to 1; NaN where it has no place.
    space, on : str
        Which vectors: ``on="space"`` the model's own, ``on="plane"`` the map's coordinates.
    least : int
        Fewest samples of a cluster.
    notes : tuple of str
    object_ids : str array, (n,)
    """

    labels: NDArray[np.int64]
    probability: NDArray[np.float32]
    space: str
    on: str
    least: int
    notes: tuple[str, ...]
    object_ids: NDArray[np.str_]

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return int(self.labels.max(initial=NOISE)) + 1

    def members(self, cluster: int) -> NDArray[np.int64]:
        """Positions of a cluster's samples (-1: of those that belong to none), the surest first."""
        if not NOISE <= cluster < self.count:
            raise UnknownNameError("cluster", cluster, map(str, range(NOISE, self.count)))
        found = np.flatnonzero(self.labels == cluster)
        return found[np.argsort(-self.probability[found], kind="stable")]

    def table(self) -> "Table":
        """One row a sample: object_id, cluster (masked where it belongs to none) and probability."""
        from astropy.table import MaskedColumn, Table

        table = Table({"object_id": self.object_ids})
        table["cluster"] = MaskedColumn(self.labels, mask=self.labels < 0)
        table["probability"] = MaskedColumn(np.nan_to_num(self.probability), mask=self.labels == ABSENT)
        table.meta.update(space=self.space, on=self.on, least=self.least, notes=list(self.notes))
        return table

    def __repr__(self) -> str:
        sizes = ", ".join(str(int((self.labels == c).sum())) for c in range(self.count)) or "none"
        where = "the space itself" if self.on == "space" else "the map, which may tear and join what the space does not"
        return f"Clusters({self.count} of {self.space} on {where}: {sizes} samples; {int((self.labels == NOISE).sum())} in none)"


def clusters(points: Array, present: Array, object_ids: Array, space: str, on: str, least: int | None, seed: int) -> Clusters:
    """HDBSCAN (Campello, Moulavi & Sander 2013, doi:10.1007/978-3-642-37456-2_14; scikit-learn) of points, (n, width)."""
    has = np.flatnonzero(present)
    fewest = max(5, round(0.02 * len(has))) if least is None else int(least)
    if fewest < 2:
        raise InputError(f"least={least}: a cluster has at least 2 samples; None takes 2 % of them, at least 5.")
    labels, probability, notes = np.full(len(present), ABSENT), np.full(len(present), np.nan, dtype=np.float32), []
    labels[has], probability[has] = NOISE, 0.0
    drawn = has
    if len(has) > MOST:
        drawn = np.sort(np.random.default_rng(seed).choice(has, MOST, replace=False))
        notes.append(f"{MOST} of {len(has)} samples were clustered; the others have the cluster of the nearest of them")
    # of those drawn, as many as stand for the fewest of all
    smallest = max(2, round(fewest * len(drawn) / len(has))) if len(has) else 2
    if len(drawn) >= smallest:
        from sklearn.cluster import HDBSCAN

        found = HDBSCAN(min_cluster_size=smallest, min_samples=min(5, smallest), copy=True).fit(np.asarray(points[drawn], dtype=np.float64))
        labels[drawn], probability[drawn] = found.labels_, found.probabilities_
        rest = np.setdiff1d(has, drawn)
        if len(rest):
            near = drawn[nearest(points[drawn], 1, points[rest])[0][:, 0]]
            labels[rest], probability[rest] = labels[near], probability[near]
    sizes = np.bincount(labels[labels >= 0], minlength=int(labels.max(initial=NOISE)) + 1)
    renamed = np.empty(len(sizes), dtype=np.int64)
    renamed[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    inside = labels >= 0
    labels[inside] = renamed[labels[inside]]
    return Clusters(labels, probability, space, on, fewest, tuple(notes), np.asarray(object_ids))


def anomalies(vectors: Array, present: Array, object_ids: Array, by: str, k: int, seed: int, labels: Sequence[str] = ()) -> "Table":
    """How unlike the others each sample is, with its nearest, in a table; see `Embedding.anomalies`."""
    from astropy.table import MaskedColumn, Table

    if by not in BY:
        raise UnknownNameError("score of anomaly", by, BY)
    has = np.flatnonzero(present)
    n, count = len(present), min(k, max(len(has) - 1, 0))
    score, percentile, near = np.zeros(n), np.zeros(n), np.full((n, count), -1, dtype=np.int64)
    if count:
        found, distance = nearest(vectors[has], count)
        near[has] = has[found]
        far = distance.astype(np.float64)
        score[has] = far.mean(1) if by == BY[0] else outlier_factor(found, far) if by == BY[1] else isolation(vectors[has], seed)
        order = np.sort(score[has])
        # the share of samples that are less strange, ties counted half
        percentile[has] = 50 * (np.searchsorted(order, score[has]) + np.searchsorted(order, score[has], "right")) / len(has)
    lacks = ~np.asarray(present, dtype=bool) if count else np.ones(n, dtype=bool)
    table = Table({"object_id": np.asarray(object_ids)})
    table["score"], table["percentile"] = MaskedColumn(score, mask=lacks), MaskedColumn(percentile, mask=lacks)
    table["nearest"] = MaskedColumn(np.where(near >= 0, np.asarray(object_ids)[near], ""), mask=near < 0)
    table.meta.update(by=by, k=count, seed=seed)
    return table


def outlier_factor(near: Array, distance: Array) -> Array:
    """Local outlier factor of each point from its neighbours, (n,): about 1 where its surroundings are as dense as its neighbours'
    (Breunig et al. 2000, doi:10.1145/342009.335388, eqs. 2 to 5).

    Parameters
    ----------
    near : int array, (n, k)
    distance : array, (n, k)
        Ascending.
    """
    reach = np.maximum(distance, distance[near, -1])
    density = 1 / (reach.mean(1) + 1e-10)
    return np.asarray(density[near].mean(1) / density)
