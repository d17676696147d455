"""Pairwise votes: every two classes have a judge of their own, and the class for which most speaks is the answer.

One-against-one classification (Knerr et al. 1990; Hastie & Tibshirani 1998, doi:10.1214/aos/1028144844) with the thresholds of Frabjous (Kumar et al. 2025,
arXiv:2507.14854). Classes i < j have one number p, the probability that j is right rather than i. The matrix of evidence has a row a class: p in row j and
column i, 1 - p in row i and column j, nothing on the diagonal. A matrix of thresholds is subtracted (0.5 where nothing is said: what a judge without an opinion
says), and the sum of a row is its class's vote. The largest wins; of equal ones the first in the order of the classes.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.heads import UNKNOWN, About, Head

Numbers = NDArray[np.float64]
TIE = 1e-9
"""Votes this near to each other are equal."""


class Vote(NamedTuple):
    """What a vote came to.

    Attributes
    ----------
    sums : array, (..., class)
        Evidence for each class; they sum to zero over the classes where no pair is missing and thresholds of a pair sum to one.
    winner : int array, (...)
        Of equal sums the first; -1 where no pair said anything.
    tied : bool array, (...)
        Another class has as much.
    """

    sums: Numbers
    winner: NDArray[np.int64]
    tied: NDArray[np.bool_]


def pairs_of(classes: int) -> list[tuple[int, int]]:
    """Pairs of classes in the order of their numbers: (0, 1), (0, 2), ... (1, 2), ..."""
    return list(itertools.combinations(range(classes), 2))


def thresholds_of(classes: Sequence[str], given: Sequence[Sequence[Any]] = ()) -> Numbers:
    """The matrix of thresholds, (class, class); zero on the diagonal.

    Parameters
    ----------
    classes : sequence of str
    given : sequence of (class, other, threshold)
        What evidence for `class` against `other` has to pass; for the other way round it is one less that. 0.5 for all other pairs.

    Raises
    ------
    UnknownNameError, InputError
        For a class that there is not, a pair of one class, or a threshold that is no probability.
    """
    matrix = np.full((len(classes), len(classes)), 0.5)
    np.fill_diagonal(matrix, 0.0)
    for one, other, threshold in given:
        for name in (one, other):
            if name not in classes:
                raise UnknownNameError("class of this vote", str(name), list(classes))
        if one == other or not 0 <= float(threshold) <= 1:
            raise InputError(f"threshold {threshold!r} of {one!r} against {other!r}: two classes and a number from 0 to 1, e.g. ['I', 'II', 0.64].")
        i, j = list(classes).index(one), list(classes).index(other)
        matrix[i, j], matrix[j, i] = float(threshold), 1 - float(threshold)
    return matrix


def evidence(said: ArrayLike, classes: int) -> Numbers:
    """The matrix of evidence, (..., class, class): what speaks for the row's class against the column's; NaN on the diagonal and where a pair is missing.

    Parameters
    ----------
    said : array, (..., pair)
        Probability of the second class of each pair of `pairs_of`; NaN where it is missing.
    classes : int

    Raises
    ------
    InputError
        For another number of pairs, or what is no probability.
    """
    p, pairs = np.asarray(said, dtype=np.float64), pairs_of(classes)
    if p.shape[-1] != len(pairs):
        raise InputError(f"{p.shape[-1]} pairs for {classes} classes; {len(pairs)} are expected, in the order (0, 1), (0, 2), ...")
    if ((p < 0) | (p > 1)).any():
        raise InputError("what the judges of pairs say is a probability, from 0 to 1.")
    matrix = np.full((*p.shape[:-1], classes, classes), np.nan)
    for k, (i, j) in enumerate(pairs):
        matrix[..., j, i], matrix[..., i, j] = p[..., k], 1 - p[..., k]
    return matrix


def vote(said: ArrayLike, thresholds: ArrayLike) -> Vote:
    """The vote of judges of pairs.

    Parameters
    ----------
    said : array, (..., pair)
        As in `evidence`.
    thresholds : array, (class, class)
        Of `thresholds_of`.
    """
    limits = np.asarray(thresholds, dtype=np.float64)
    left = evidence(said, len(limits)) - limits
    return counted(np.nansum(left, axis=-1), np.isfinite(left).any(axis=(-1, -2)))


def counted(sums: ArrayLike, heard: ArrayLike = True) -> Vote:
    """The winners of sums of evidence, (..., class); `heard` is False where there was none."""
    values = np.asarray(sums, dtype=np.float64)
    winner = np.argmax(values >= values.max(axis=-1, keepdims=True) - TIE, axis=-1)
    tied = (values >= values.max(axis=-1, keepdims=True) - TIE).sum(axis=-1) > 1
    ok = np.broadcast_to(np.asarray(heard, dtype=bool), winner.shape)
    return Vote(values, np.where(ok, winner, -1), np.asarray(tied & ok))


class PairwiseHead(Head):
    """A number for every two classes, and their vote.

    One network instead of one a pair: `values` are the sums of the vote, so that the answer is its winner; their softmax is a share, and no calibrated
    probability. ``extra["pairs"]``, (batch, pair): log-odds of each pair's second class. Goes with the objective ``pairwise``, in which a sample trains the
    pairs that its class is in.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    thresholds : list of [class, other, threshold]
        See `thresholds_of`; (): 0.5 for all.
    """

    tasks = ("classification",)
    signs: Tensor
    offset: Tensor

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, thresholds: Sequence[Any] = (), hidden: int = 64, dropout: float = 0.1
    ) -> None:
        super().__init__(width, outputs, about, hidden=hidden, dropout=dropout)
        limits = thresholds_of(about.classes or tuple(map(str, range(outputs))), thresholds if about.classes else ())
        signs = np.zeros((len(pairs_of(outputs)), outputs))
        for k, (i, j) in enumerate(pairs_of(outputs)):
            signs[k, i], signs[k, j] = -1.0, 1.0
        # of each row: the constants of 1 - p, less its thresholds
        first = np.array([outputs - 1 - i for i in range(outputs)], dtype=np.float64)
        self.register_buffer("signs", torch.tensor(signs, dtype=torch.float32), persistent=False)
        self.register_buffer("offset", torch.tensor(first - limits.sum(1), dtype=torch.float32), persistent=False)

    def numbers(self, outputs: int) -> int:
        """One a pair."""
        return outputs * (outputs - 1) // 2

    def say(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Sums of the vote."""
        return numbers.sigmoid() @ self.signs + self.offset, {"pairs": numbers}


def by_name(sums: Mapping[str, ArrayLike]) -> Vote:
    """The vote of sums given by the names of the classes, e.g. columns of a table."""
    return counted(np.stack([np.asarray(one, dtype=np.float64) for one in sums.values()], axis=-1))
