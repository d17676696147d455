"""Which samples to label next, as arithmetic: scores of single samples, and batches whose members complete each other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Array = NDArray[Any]
CELLS = 4_000_000
"""Distances held at once."""
NEIGHBOURS = 10
TREES = 200


# ---- scores: higher is asked for first ---------------------------------------------------------------------------------


def margin(shares: Array) -> Array:
    """One minus the difference of the two largest probabilities (Scheffer et al. 2001); of labels, one minus how far the least clear is from 1/2, twice."""
    top = np.sort(shares, axis=1)[:, ::-1]
    return np.asarray(1 - (top[:, 0] - top[:, 1]))


def label_margin(shares: Array) -> Array:
    """The same of independent labels, (sample, label): that of the least clear one."""
    return np.asarray(1 - np.abs(2 * shares - 1).min(1))


def least_confidence(shares: Array) -> Array:
    """One minus the largest probability (Lewis & Gale 1994)."""
    return np.asarray(1 - shares.max(1))


def label_least_confidence(shares: Array) -> Array:
    """The same of independent labels: the mean of theirs."""
    return np.asarray((1 - np.maximum(shares, 1 - shares)).mean(1))


def isolation(vectors: Array, seed: int) -> Array:
    """Isolation score, 0 to 1, the higher the stranger (Liu, Ting & Zhou 2008, ICDM, 413; scikit-learn's IsolationForest), fitted on these vectors."""
    from sklearn.ensemble import IsolationForest

    return np.asarray(-IsolationForest(n_estimators=TREES, random_state=seed).fit(vectors).score_samples(vectors))


def neighbour_distance(vectors: Array, k: int = NEIGHBOURS) -> Array:
    """Mean Euclidean distance to the k nearest others."""
    k = min(k, len(vectors) - 1)
    if k < 1:
        return np.zeros(len(vectors))
    out = np.empty(len(vectors))
    for begin, distance in _distances(vectors, vectors):
        distance[np.arange(len(distance)), begin + np.arange(len(distance))] = np.inf
        out[begin : begin + len(distance)] = np.partition(distance, k - 1, axis=1)[:, :k].mean(1)
    return out


# ---- batches ------------------------------------------------------------------------------------------------------------


def highest(scores: Array, n: int) -> Array:
    """Positions of the n highest scores; of equal ones the first."""
    return np.argsort(-scores, kind="stable")[:n]


def nearest_distance(vectors: Array, centres: Array) -> Array:
    """Euclidean distance of each vector to the nearest centre; infinite without centres."""
    out = np.full(len(vectors), np.inf)
    if len(centres):
        for begin, distance in _distances(vectors, centres):
            out[begin : begin + len(distance)] = distance.min(1)
    return out


def _distances(vectors: Array, others: Array) -> Any:
    step = max(1, CELLS // max(1, len(others)))
    for begin in range(0, len(vectors), step):
        yield begin, cdist(vectors[begin : begin + step], others)


def k_centre(vectors: Array, centres: Array, n: int, first: int | None = None) -> tuple[Array, Array]:
    """k-centre greedy: again and again the vector that is farthest from all centres so far (Sener & Savarese 2018, arXiv:1708.00489, algorithm 1).

    Its largest remaining distance is at most twice that of the best choice of n.

    Parameters
    ----------
    vectors : array, (sample, width)
    centres : array, (labelled, width)
        Where labels are already.
    n : int
    first : int, optional
        What begins where there are no centres. None: the vector nearest to the mean.

    Returns
    -------
    positions, distances : array, (n,)
        In the order chosen; the distance each had when it was chosen, infinite for a first one without centres.
    """
    distance = nearest_distance(vectors, centres)
    if not len(centres):
        first = int(np.linalg.norm(vectors - vectors.mean(0), axis=1).argmin()) if first is None else first
    chosen, found, taken = [], [], np.zeros(len(vectors), dtype=bool)
    for number in range(min(n, len(vectors))):
        at = first if number == 0 and first is not None and not len(centres) else int(np.where(taken, -1.0, distance).argmax())
        chosen.append(at)
        found.append(distance[at])
        taken[at] = True
        distance = np.minimum(distance, np.linalg.norm(vectors - vectors[at], axis=1))
    return np.array(chosen, dtype=np.int64), np.array(found, dtype=float)


def seeded(squared: Any, count: int, n: int, begin: Array | None, first: int | None, rng: np.random.Generator) -> tuple[Array, Array]:
    """k-means++ seeding: each next sample is drawn with a probability that goes as its squared distance to those chosen (Arthur & Vassilvitskii 2007).

    Parameters
    ----------
    squared : callable
        Squared distances (sample,) to the sample of a position.
    count, n : int
        Samples, and how many to choose.
    begin : array, (sample,), optional
        Squared distances to what counts as chosen already.
    first : int, optional
        Chosen first; None: drawn.
    rng : Generator

    Returns
    -------
    positions, distances : array, (n,)
        Distances when chosen, not squared.
    """
    distance = np.full(count, np.inf) if begin is None else begin.copy()
    chosen: list[int] = []
    found: list[float] = []
    taken = np.zeros(count, dtype=bool)
    for number in range(min(n, count)):
        weight = np.where(taken, 0.0, distance)
        if number == 0 and first is not None:
            at = first
        elif not np.isfinite(weight).all():
            at = int(rng.integers(count))
        elif weight.sum() > 0:
            at = int(rng.choice(count, p=weight / weight.sum()))
        else:  # only doubles of what is chosen are left
            at = int(rng.choice(np.flatnonzero(~taken)))
        chosen.append(at)
        found.append(float(np.sqrt(distance[at])))
        taken[at] = True
        distance = np.minimum(distance, squared(at))
    return np.array(chosen, dtype=np.int64), np.array(found)


def diverse(vectors: Array, centres: Array, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """k-means++ seeding of the vectors, with the labelled ones as centres already there."""
    begin = nearest_distance(vectors, centres) ** 2 if len(centres) else None
    return seeded(lambda at: ((vectors - vectors[at]) ** 2).sum(1), len(vectors), n, begin, None, rng)


def badge(shares: Array, vectors: Array, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """k-means++ seeding of gradients of the last layer's loss, the predicted class taken for true (Ash et al. 2020, arXiv:1906.03671, algorithm 1).

    The gradient of a sample is (probabilities - one of the predicted class) times its vector; products of two are products of their
    parts, so that none is ever written out. The first is the largest, as in the authors' code.

    Returns
    -------
    positions : array, (n,)
    lengths : array, (n,)
        Of the gradients.
    """
    error = shares.copy()
    error[np.arange(len(shares)), shares.argmax(1)] -= 1.0
    squares = (error**2).sum(1) * (vectors**2).sum(1)

    def squared(at: int) -> Array:
        return np.maximum(squares + squares[at] - 2 * (error @ error[at]) * (vectors @ vectors[at]), 0.0)

    chosen, _ = seeded(squared, len(shares), n, None, int(squares.argmax()) if len(shares) else None, rng)
    return chosen, np.sqrt(squares[chosen])
