"""How well questions are answered, and how far answers agree: with the truth, with each other, and with the taxonomy."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.recipes.taxonomy import THRESHOLD, Taxonomy
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import group_codes
from astrofuse_lab.training.dichotomies import answers
from astrofuse_lab.training.metrics import interval, resampled, value
from astrofuse_lab.training.metrics_classes import binary_average_precision, binary_roc_auc, ratio

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[Any]
ENDINGS = ("_dnn", "_xgb")
"""Of the columns of SCoPe's published scores: networks, and trees of XGBoost."""


def precision_at(threshold: float) -> Callable[[Array, Array, Array], Array]:
    """The share of what is taken for a yes (above the threshold) that is one."""
    return lambda truth, said, weights: ratio((weights * (truth & (said > threshold))).sum(1), (weights * (said > threshold)).sum(1))


def recall_at(threshold: float) -> Callable[[Array, Array, Array], Array]:
    """The share of the yes that is taken for one."""
    return lambda truth, said, weights: ratio((weights * (truth & (said > threshold))).sum(1), (weights * truth).sum(1))


def judge_answers(
    said: Mapping[str, Array], samples: SampleSet, *, threshold: float = THRESHOLD, taken: float = 0.5, group: str | None = None, resamples: int = 1000
) -> "Table":
    """How well questions are answered on samples that were not trained on.

    Parameters
    ----------
    said : mapping of question to array
        Probability of yes of each sample; NaN or masked where there is none.
    samples : SampleSet
    threshold : float
        Above which a fraction is a yes.
    taken : float
        Above which a probability is.
    group : str, optional
        Column of equal values that are drawn together; None: the one with role ``group``.
    resamples : int

    Returns
    -------
    Table
        One row a question: question, yes, no, and precision, recall, pr_auc, roc_auc with ``_low`` and ``_high`` (95 %, over groups). ``yes`` over all is what chance reaches in pr_auc.
    """
    from astropy.table import Table

    metrics = {"precision": precision_at(taken), "recall": recall_at(taken), "pr_auc": binary_average_precision, "roc_auc": binary_roc_auc}
    codes = group_codes(samples, group)
    rows = []
    for question, given in said.items():
        score = np.ma.filled(np.ma.masked_invalid(np.ma.asarray(given, dtype=np.float64)), np.nan)
        held, known = answers(samples, question, threshold)
        use = known & np.isfinite(score)
        if not use.any():
            raise InputError(f"question {question!r}: no sample has both a score and an answer.")
        truth, score, groups = held[use], score[use], codes[use]
        row: dict[str, Any] = {"question": question, "yes": int(truth.sum()), "no": int((~truth).sum())}
        for name, metric in metrics.items():
            low, high = interval(resampled(metric, truth, score, groups, resamples))
            row |= {name: value(metric, truth, score), f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    table = Table(rows=rows)
    for name in table.colnames[3:]:
        table[name].info.format = ".3f"
    return table


def scores_of(table: "Table", ending: str) -> dict[str, NDArray[np.float64]]:
    """Columns ``<question><ending>`` of a table of predictions, by question; NaN where masked."""
    found = {name.removesuffix(ending): np.ma.filled(np.ma.asarray(table[name], dtype=np.float64), np.nan) for name in table.colnames if name.endswith(ending)}
    if not found:
        raise InputError(f"no column ends with {ending!r}; there are {', '.join(table.colnames[:12])}.")
    return found


def agreement(table: "Table", endings: tuple[str, str] = ENDINGS, threshold: float = THRESHOLD) -> "Table":
    """How far two classifiers agree, question by question: not how right they are.

    Parameters
    ----------
    table : Table
        With columns ``<question><ending>`` of both, e.g. ``af.load_samples("scope-predictions").table``.
    endings : two of str
    threshold : float
        A class is taken where its score is above.

    Returns
    -------
    Table
        One row a question of both: both, first_only, second_only, neither (counts), agree (share), kappa (Cohen 1960; NaN where neither ever takes it, or both always), correlation (Spearman's),
        difference (mean of the second less the first).
    """
    from astropy.table import Table
    from scipy.stats import spearmanr

    first, second = scores_of(table, endings[0]), scores_of(table, endings[1])
    rows = []
    for question in [name for name in first if name in second]:
        a, b = first[question], second[question]
        use = np.isfinite(a) & np.isfinite(b)
        a, b = a[use], b[use]
        x, y = a > threshold, b > threshold
        agree, chance = float((x == y).mean()), float(x.mean() * y.mean() + (1 - x.mean()) * (1 - y.mean()))
        rank = float(spearmanr(a, b).statistic) if len(np.unique(a)) > 1 < len(np.unique(b)) else np.nan
        kappa = (agree - chance) / (1 - chance) if chance < 1 else np.nan
        rows.append((question, int((x & y).sum()), int((x & ~y).sum()), int((y & ~x).sum()), int((~x & ~y).sum()), agree, kappa, rank, float((b - a).mean())))
    names = ("question", "both", "first_only", "second_only", "neither", "agree", "kappa", "correlation", "difference")
    made = Table(rows=rows, names=names)
    for name in names[5:]:
        made[name].info.format = ".3f"
    made.meta |= {"first": endings[0], "second": endings[1], "threshold": threshold}
    return made


def contradictions(said: Mapping[str, Array], taxonomies: Sequence[Taxonomy], slack: float = 0.0) -> "Table":
    """Where scores of a class lie above those of the class that contains it: one row a pair.

    Returns
    -------
    Table
        question, within, share (of the samples that have both, contradicting by more than `slack`), worst (the largest excess).
    """
    from astropy.table import Table

    rows = []
    for tree in taxonomies:
        for question in [name for name in said if name in tree]:
            above = next((one for one in reversed(tree.ancestors(question)) if one in said), "")
            if above:
                excess = np.asarray(said[question], dtype=np.float64) - np.asarray(said[above], dtype=np.float64)
                excess = excess[np.isfinite(excess)]
                rows.append((question, above, float((excess > slack).mean()) if len(excess) else np.nan, float(excess.max(initial=0.0))))
    return Table(rows=rows, names=("question", "within", "share", "worst")) if rows else Table(names=("question", "within", "share", "worst"), dtype=(str, str, float, float))


def taxonomy_table(taxonomy: Taxonomy, samples: SampleSet | None = None, threshold: float = THRESHOLD) -> "Table":
    """A taxonomy as a table, one row a class, in its order: class (indented), key, within, asked, and, with samples, yes, no and unknown of those that are columns."""
    from astropy.table import MaskedColumn, Table

    keys = list(taxonomy.nodes)
    table = Table({
        "class": ["· " * len(taxonomy.ancestors(key)) + taxonomy[key].title for key in keys], "key": keys, "within": [taxonomy[key].parent for key in keys],
        "asked": [taxonomy[key].asked for key in keys],
    })  # fmt: skip
    if samples is None:
        return table
    counts = np.zeros((len(keys), 3), dtype=int)
    there = np.array([key in samples.roles for key in keys])
    for i in np.flatnonzero(there):
        held, known = answers(samples, keys[i], threshold)
        counts[i] = (held & known).sum(), (~held & known).sum(), (~known).sum()
    for name, column in zip(("yes", "no", "unknown"), counts.T, strict=True):
        table[name] = MaskedColumn(column, mask=~there)
    return table
