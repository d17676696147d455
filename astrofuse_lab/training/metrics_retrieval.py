"""Metrics of retrieval: how near the top of the list its own counterpart stands, e.g. the spectrum of the same object among all spectra.

The task ``retrieval`` has as prediction the rank of the right candidate (query,), 1 the best, and as truth how many candidates there were (query,).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.metrics_numbers import weighted_median

Array = NDArray[Any]
CHUNK = 1024


def ranks(queries: Array, candidates: Array, right: Array | None = None) -> tuple[Array, Array]:
    """Rank of each query's right candidate by cosine similarity; the task's truth and prediction.

    Parameters
    ----------
    queries : array, (query, width)
    candidates : array, (candidate, width)
    right : int array, (query,), optional
        Which candidate belongs to a query. None: the one in the same row.

    Returns
    -------
    count, rank : array, (query,)
        How many candidates there were, and the rank; among equals the middle one, so that a constant embedding is no better than chance.
    """
    right = np.arange(len(queries)) if right is None else np.asarray(right)
    if queries.ndim != 2 or candidates.ndim != 2 or queries.shape[1] != candidates.shape[1] or len(right) != len(queries) or (right >= len(candidates)).any():
        raise InputError(f"ranks: queries {queries.shape}, candidates {candidates.shape}, {len(right)} right ones; equal widths and one right candidate a query are needed.")
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (queries.astype(np.float64), candidates.astype(np.float64)))
    out = np.empty(len(a))
    for begin in range(0, len(a), CHUNK):
        rows = slice(begin, begin + CHUNK)
        scores = a[rows] @ b.T
        mine = np.take_along_axis(scores, right[rows, None], 1)
        out[rows] = 1 + (scores > mine).sum(1) + ((scores == mine).sum(1) - 1) / 2
    return np.full(len(a), len(b)), out


def top(count: Array, rank: Array, weights: Array, k: float = 1) -> Array:
    """Share of queries whose right candidate is among the first `k` (recall at k)."""
    return weights @ (rank <= k) / weights.sum(1)


def top_percent(count: Array, rank: Array, weights: Array, percent: float = 1.0) -> Array:
    """Share of queries whose right candidate is in the first `percent` of the candidates."""
    return weights @ (rank <= np.maximum(count * percent / 100, 1)) / weights.sum(1)


def median_rank(count: Array, rank: Array, weights: Array) -> Array:
    """Median rank of the right candidate."""
    return weighted_median(np.broadcast_to(rank, weights.shape), weights)


def reciprocal_rank(count: Array, rank: Array, weights: Array) -> Array:
    """Mean of one over the rank."""
    return weights @ (1 / rank) / weights.sum(1)


RETRIEVAL: dict[str, Callable[..., Array]] = {"top": top, "top_percent": top_percent, "median_rank": median_rank, "reciprocal_rank": reciprocal_rank}
