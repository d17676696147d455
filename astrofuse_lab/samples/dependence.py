"""How much one column tells of another: mutual information of binned values, against the same after permutation.

With few objects anything tells a little of anything. What is quoted is therefore the *adjusted share*: of the entropy of the
target, beyond what the mean of permuted targets gives, the part that the column tells (adjusted mutual information, Vinh, Epps &
Bailey 2010, J. Mach. Learn. Res. 11, 2837). Whether it is chance is judged against the greatest of all columns in each
permutation, so that a set with many columns raises no more false alarms than one with few (Westfall & Young 1993). Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
BINS, MOST = 16, 64
"""Bins of numbers, by quantiles; categories of text, the commonest, the rest being one."""
PERMUTATIONS = 99
LEFT = 0.05
"""Share of the target's entropy that must be left beyond chance for a column to be judged: a column of identifiers 'tells' all by itself."""


@dataclass(frozen=True)
class Told:
    """What one column tells of a target.

    Attributes
    ----------
    share : float
        Adjusted, about 0 for nothing, 1 for all; NaN where chance alone would tell nearly all.
    auc : float
        Mean over the classes, weighted by their size, of the area under the curve of one class against the rest when a bin's objects are ranked by the share of that class.
    p : float
        Probability that the best of all columns does so by chance.
    """

    share: float
    auc: float
    p: float


def codes_of(values: "np.ma.MaskedArray[tuple[int, ...], np.dtype[np.generic]]", bins: int = BINS) -> Codes:
    """Bin of each value: quantiles of numbers, categories of text; missing values are a bin of their own, 0.

    Numbers that few distinct values repeat, as flags and filters, have a bin a value.
    """
    known = ~np.ma.getmaskarray(values)
    data = np.asarray(values.data)
    if data.dtype.kind in "fc":
        known = known & np.isfinite(data)
    out = np.zeros(len(data), dtype=np.int64)
    if not known.any():
        return out
    kinds, inside, count = np.unique(data[known], return_inverse=True, return_counts=True)
    if data.dtype.kind in "fiu" and len(kinds) > bins:
        edges = np.unique(np.quantile(data[known].astype(np.float64), np.linspace(0, 1, bins + 1)[1:-1]))
        out[known] = 1 + np.searchsorted(edges, data[known].astype(np.float64), side="right")
        return out
    order = np.argsort(np.argsort(-count, kind="stable"))
    out[known] = 1 + np.minimum(order[inside], MOST)
    return out


def told(columns: Mapping[str, Codes], target: Codes, seed: int = 0, permutations: int = PERMUTATIONS) -> dict[str, Told]:
    """What each column tells of a target, (object,), beyond chance.

    Parameters
    ----------
    columns : mapping of str to int array, (object,)
        As of `codes_of`.
    target : int array, (object,)
    seed : int
        Of the permutations.
    permutations : int

    Returns
    -------
    dict of str to Told
    """
    rng = np.random.default_rng(seed)
    target = np.unique(target, return_inverse=True)[1]
    entropy = _entropy(np.bincount(target))
    shuffled = [rng.permutation(target) for _ in range(permutations)]
    raw, null = {}, {}
    dense = {name: np.unique(codes, return_inverse=True)[1] for name, codes in columns.items()}
    for name, codes in dense.items():
        raw[name] = mutual(codes, target)
        null[name] = np.array([mutual(codes, one) for one in shuffled])
    room = {name: entropy - float(null[name].mean()) if permutations else entropy for name in dense}
    judged = [name for name in dense if entropy > 0 and room[name] > LEFT * entropy]
    chance = np.max([(null[n] - null[n].mean()) / room[n] for n in judged], axis=0) if judged and permutations else np.zeros(permutations)
    out = {}
    for name, codes in dense.items():
        if name not in judged:
            out[name] = Told(np.nan, np.nan, 1.0)
            continue
        share = (raw[name] - float(null[name].mean())) / room[name]
        out[name] = Told(share, _auc(codes, target), float((1 + (chance >= share).sum()) / (permutations + 1)))
    return out


def mutual(one: Codes, other: Codes) -> float:
    """Mutual information of two codings, in nats."""
    width = int(other.max(initial=0)) + 1
    joint = np.bincount(one * width + other, minlength=(int(one.max(initial=0)) + 1) * width).reshape(-1, width)
    return _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0)) - _entropy(joint.ravel())


def _entropy(counts: Codes) -> float:
    share = counts[counts > 0] / max(1, counts.sum())
    return float(-(share * np.log(share)).sum())


def _auc(codes: Codes, target: Codes) -> float:
    """Mean area under the curve of one class against the rest."""
    width = int(target.max(initial=0)) + 1
    joint = np.bincount(codes * width + target, minlength=(int(codes.max(initial=0)) + 1) * width).reshape(-1, width).astype(np.float64)
    areas, weights = [], []
    for c in range(width):
        yes, no = joint[:, c], joint.sum(axis=1) - joint[:, c]
        if yes.sum() == 0 or no.sum() == 0:
            continue
        order = np.argsort(yes / np.maximum(yes + no, 1e-9))
        below = np.cumsum(no[order]) - no[order]
        areas.append(float((yes[order] * (below + no[order] / 2)).sum() / (yes.sum() * no.sum())))
        weights.append(yes.sum())
    return float(np.average(areas, weights=weights)) if areas else np.nan
