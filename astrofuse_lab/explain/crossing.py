"""From one modality to another: "find the spectra like this image", with what such an answer is worth."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.embedding import Embedding
    from astrofuse_lab.training.run import Run

Array = NDArray[Any]
FEWEST = 16
"""Samples with both modalities that a mapping is fitted on."""
MOST_HELD = 5000
"""Held-out samples that the recall is measured on."""
SHRINK = (0.01, 0.1, 1.0, 10.0)
"""Ridges tried, as shares of the mean variance."""


@dataclass(frozen=True)
class Retrieved:
    """What was found for each query, nearest first.

    Attributes
    ----------
    query_ids : str array, (query,)
    ids : str array, (query, k)
        Of samples that have `to`; the query itself is among the candidates where it has it.
    positions : int array, (query, k)
        Their places in the embedding.
    score : float32 array, (query, k)
        Cosine similarity, -1 to 1.
    from_, to : str
    how : str
        In which vectors they were compared.
    recall, low, high : float
        How often the held-out sample's own counterpart is among the k nearest of all held-out ones, with its 95 % interval (Wilson 1927);
        NaN where there are none.
    chance : float
        The same for a guess.
    held_out : int
        Samples it was measured on.
    """

    query_ids: NDArray[np.str_]
    ids: NDArray[np.str_]
    positions: NDArray[np.int64]
    score: NDArray[np.float32]
    from_: str
    to: str
    how: str
    recall: float
    low: float
    high: float
    chance: float
    held_out: int

    @property
    def k(self) -> int:
        """How many were found for each."""
        return self.ids.shape[1]

    @property
    def says(self) -> str:
        """What it is worth, in one sentence."""
        if not self.held_out:
            return f"{self.how}; nothing was held out, so nobody knows how good these are"
        worth = "" if self.low > self.chance else ", which is no better than chance: do not read anything into these"
        return (
            f"{self.how}; of {self.held_out} held-out samples, {self.recall:.0%} ({self.low:.0%} to {self.high:.0%}) have their own {self.to} among the "
            f"{self.k} nearest to their {self.from_}, {self.chance:.1%} by chance{worth}"
        )

    def table(self) -> "Table":
        """One row a query and rank: query, rank, object_id, score, own (True where it is the query itself)."""
        from astropy.table import Table

        count, k = self.ids.shape
        query = np.repeat(self.query_ids, k)
        table = Table({"query": query, "rank": np.tile(np.arange(1, k + 1), count), "object_id": self.ids.ravel(), "score": self.score.ravel()})
        table["own"] = query == self.ids.ravel()
        table.meta.update(from_=self.from_, to=self.to, says=self.says, recall=self.recall, chance=self.chance)
        return table

    def __repr__(self) -> str:
        return f"Retrieved({len(self.query_ids)} by {self.from_}, {self.k} {self.to} each; {self.says})"


def retrieve(embedding: "Embedding", queries: Any, from_: str, to: str, k: int, run: "Run | None") -> Retrieved:
    """See `Embedding.retrieve`."""
    for space in (from_, to):
        if space not in embedding.coordinates:
            raise UnknownNameError("space", space, embedding.coordinates)
    if from_ == to:
        raise InputError(f"from_ and to are both {to!r}; neighbours in one space are embedding.neighbours({to!r}).")
    if k < 1:
        raise InputError(f"k={k}: at least 1.")
    shared = from_ in embedding._units and to in embedding._units
    given, wanted = (embedding._units if shared else embedding._vectors)[from_], (embedding._units if shared else embedding._vectors)[to]
    ids, asked = _queries(embedding, queries, from_, shared, run)
    both = np.flatnonzero(embedding.present[from_] & embedding.present[to])
    learn, hold, said = _divided(embedding, both, shared)
    if shared:
        how = f"compared in the space that the run was trained to share ({said})"
        left, right, sought = np.asarray(given, np.float64), np.asarray(wanted, np.float64), np.asarray(asked, np.float64)
    else:
        fit = correlated(given[learn], wanted[learn], embedding.seed)
        left, right, sought = fit.first(given), fit.second(wanted), fit.first(asked)
        how = f"compared through a mapping (canonical correlations) fitted on {len(learn)} samples that have both ({said})"
    candidates = np.flatnonzero(embedding.present[to])
    score = _cosine(sought, right[candidates])
    count = min(k, len(candidates))
    best = np.argsort(-score, axis=1, kind="stable")[:, :count]
    found = candidates[best]
    recall, low, high, chance = _recall(left[hold], right[hold], count)
    names = np.asarray(embedding.object_ids)[found] if len(found) else np.zeros((0, count), dtype="U1")
    return Retrieved(
        ids, names, found, np.take_along_axis(score, best, 1).astype(np.float32), from_, to, how, recall, low, high, chance, len(hold)
    )  # fmt: skip


def _queries(embedding: "Embedding", queries: Any, from_: str, shared: bool, run: "Run | None") -> tuple[NDArray[np.str_], Array]:
    """Ids and vectors of what is asked for."""
    if hasattr(queries, "object_ids") and hasattr(queries, "modalities"):
        from astrofuse_lab.explain.placing import same_run
        from astrofuse_lab.explain.spaces import space_vectors

        if run is None:
            raise InputError("these are samples of another set: give the run that the embedding was made by, run=run.")
        same_run(embedding, run)
        ids = np.asarray(queries.object_ids)
        vectors = np.ma.filled(np.ma.asarray(run.embed(queries)[from_]), np.nan) if shared else space_vectors(run, queries, [from_])[0][from_]
    else:
        names = [queries] if isinstance(queries, str) else [str(one) for one in queries]
        place = {str(one): i for i, one in enumerate(embedding.object_ids)}
        for name in names:
            if name not in place:
                raise UnknownNameError("sample of this embedding", name, place)
        ids = np.asarray(names)
        vectors = (embedding._units if shared else embedding._vectors)[from_][[place[name] for name in names]]
    lacking = [str(i) for i, fine in zip(ids, np.isfinite(vectors).all(1), strict=True) if not fine]
    if lacking:
        raise InputError(f"{len(lacking)} of {len(ids)} queries have no {from_}: {', '.join(lacking[:5])}. Ask with samples that have it.")
    return ids, np.asarray(vectors, dtype=np.float32)


def _divided(embedding: "Embedding", both: NDArray[np.int64], shared: bool) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """What the mapping is fitted on, what its recall is measured on, and that in words."""
    part = embedding.parts[both] if len(embedding.parts) else np.full(len(both), "")
    luck = np.random.default_rng(embedding.seed)
    learn, hold, said = both[part == "train"], both[part != "train"], "held out: what the run was not trained on"
    if not shared and (len(learn) < FEWEST or not len(hold)):
        order = luck.permutation(both)
        learn, hold = np.sort(order[: (len(order) + 1) // 2]), np.sort(order[(len(order) + 1) // 2 :])
        seen = "the run was trained on some of them, so the recall may flatter" if (part == "train").any() else "none of which the run was trained on"
        said = f"held out: a random half of these samples, {seen}"
    if not shared and len(learn) < FEWEST:
        raise InputError(f"{len(both)} samples have both modalities; a mapping from one to the other needs {2 * FEWEST}. Embed more samples.")
    if len(hold) > MOST_HELD:
        hold = np.sort(luck.choice(hold, MOST_HELD, replace=False))
    return learn, hold, said


def _cosine(first: Array, second: Array) -> NDArray[np.float64]:
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (np.asarray(first, np.float64), np.asarray(second, np.float64)))
    return np.asarray(a @ b.T)


def _recall(queries: Array, candidates: Array, k: int) -> tuple[float, float, float, float]:
    """Recall at k with its Wilson interval, and chance."""
    from astrofuse_lab.training.metrics_retrieval import ranks

    n = len(queries)
    if n == 0:
        return float("nan"), float("nan"), float("nan"), float("nan")
    share = float((ranks(queries, candidates)[1] <= k).mean())
    z = 1.959964
    middle, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return share, max(0.0, float((middle - half) / scale)), min(1.0, float((middle + half) / scale)), min(1.0, k / n)


# ---- the mapping ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Correlated:
    """Directions along which two sets of vectors of the same samples go together."""

    means: tuple[Array, Array]
    weights: tuple[Array, Array]

    def first(self, vectors: Array) -> NDArray[np.float64]:
        """Vectors of the first kind in the common space, (n, d)."""
        return np.asarray((vectors - self.means[0]) @ self.weights[0])

    def second(self, vectors: Array) -> NDArray[np.float64]:
        """Vectors of the second kind in the common space, (n, d)."""
        return np.asarray((vectors - self.means[1]) @ self.weights[1])


def correlated(first: Array, second: Array, seed: int = 0) -> Correlated:
    """Canonical correlations with a ridge (Hotelling 1936; Vinod 1976), each direction weighted by its correlation (Gong et al. 2014, arXiv:1212.4522, eq. 5).

    The ridge is the one of `SHRINK` that ranks counterparts best on a third of the samples, which is then fitted on too.

    Parameters
    ----------
    first, second : array, (n, width)
        Row by row the same samples.
    seed : int
    """
    from astrofuse_lab.training.metrics_retrieval import ranks

    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    order = np.random.default_rng(seed).permutation(len(a))
    held, rest = order[: max(2, len(a) // 3)], order[max(2, len(a) // 3) :]

    def lost(ridge: float) -> float:
        fit = _fitted(a[rest], b[rest], ridge)
        return float(np.log(ranks(fit.first(a[held]), fit.second(b[held]))[1]).mean())

    return _fitted(a, b, min(SHRINK, key=lost))


def _fitted(a: Array, b: Array, ridge: float) -> Correlated:
    means = a.mean(0), b.mean(0)
    a, b = a - means[0], b - means[1]
    roots = []
    for x in (a, b):
        size, axes = np.linalg.eigh(x.T @ x / len(x))
        size = np.maximum(size, 0)
        roots.append(axes / np.sqrt(size + ridge * max(float(size.mean()), 1e-300)))
    left, strength, right = np.linalg.svd(roots[0].T @ (a.T @ b / len(a)) @ roots[1], full_matrices=False)
    return Correlated(means, (roots[0] @ left * strength, roots[1] @ right.T * strength))
