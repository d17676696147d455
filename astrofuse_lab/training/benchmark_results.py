"""What comes of a benchmark: checked scores, their table, and shortcuts as baselines."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.features import Features
from astrofuse_lab.training.report import SCORES, formatted

if TYPE_CHECKING:
    from astropy.table import Table

MOST_WORDS = 64
"""Words of a text column that a shortcut sees, the commonest of the training part."""


@dataclass(frozen=True)
class Result:
    """A score that was checked; made by `Benchmark.score`.

    Attributes
    ----------
    benchmark : str
    digest : str
        Of the ids, truth and split it was measured on.
    kind : {"run", "predictions", "baseline"}
    name : str
    scores : mapping of str to (value, low, high)
        With 95 % intervals over groups.
    predictions : Table
        What was scored, in the order of the test ids.
    about : mapping
        Of a run: recipe, modalities, seed, parameters, seconds, versions, fingerprint.
    checked : tuple of str
        What was checked, in words.
    """

    benchmark: str
    digest: str
    kind: str
    name: str
    scores: Mapping[str, tuple[float, float, float]]
    predictions: "Table"
    about: Mapping[str, Any] = field(default_factory=dict)
    checked: tuple[str, ...] = ()

    def __repr__(self) -> str:
        metric, (value, low, high) = next(iter(self.scores.items()))
        return f"Result({self.name!r} on {self.benchmark}: {metric} {value:.3f} [{low:.3f}, {high:.3f}]; checked: {', '.join(self.checked)})"


class Shortcut:
    """Columns as features of a baseline, in place of `Features`: numbers as they are, each word between commas of a text as present or not."""

    def __init__(self, samples: SampleSet, columns: Sequence[str]) -> None:
        self.samples, self.columns = samples, columns

    def of(self, modalities: tuple[str, ...], train: NDArray[Any], seed: int = 0) -> NDArray[Any]:
        """As `Features.of`: (sample, feature)."""
        return np.hstack([self._one(name, train, seed) for name in self.columns])

    def _one(self, name: str, train: NDArray[Any], seed: int) -> NDArray[Any]:
        kind, colon, modality = name.partition(":")
        if colon and kind == "modality":
            return Features(self.samples, (modality,)).of((modality,), train, seed)
        column = self.samples.column(name)
        if column.dtype.kind != "U":
            return np.ma.filled(column.astype(np.float64), np.nan)[:, None]
        words = [{word.strip() for word in re.split("[,;]", text)} for text in column.filled("").astype(str)]
        common = Counter(word for i in train for word in words[i] if word).most_common(MOST_WORDS)
        return np.array([[word in mine for word, _ in common] for mine in words], dtype=np.float64).reshape(len(words), -1)


def as_rows(results: Sequence[Result]) -> "Table":
    """Results as a table: name, kind, and for each metric value, low and high; the best first."""
    from astropy.table import Table

    first = next(iter(results[0].scores))
    ordered = sorted(results, key=lambda r: -np.nan_to_num(float(M.goodness(first, r.scores[first][0])), nan=-np.inf))
    table = Table(rows=[
        {"name": r.name, "kind": r.kind, "metric": first, **dict(zip(SCORES, r.scores[first], strict=True)), **{m: v[0] for m, v in r.scores.items() if m != first}}
        for r in ordered
    ])  # fmt: skip
    return formatted(table, [*SCORES, *(m for m in results[0].scores if m != first)])
