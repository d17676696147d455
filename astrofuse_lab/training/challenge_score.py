"""Scores a submission against the labels of a challenge. Needs Python and numpy only: python score.py submission.csv labels.csv

A submission has the columns object_id and p_<class> for each class (or prediction, for numbers), one row for each object of the labels.
"""

import csv
import json
import sys
from typing import Any

import numpy as np


def read(path: str) -> dict[str, dict[str, str]]:
    """Rows by object_id; an id that comes twice ends the program."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    out = {row["object_id"]: row for row in rows}
    if len(out) < len(rows):
        sys.exit(f"{path}: {len(rows) - len(out)} ids are there twice.")
    return out


def auc(positive: Any, score: Any) -> float:
    """Probability that a positive scores above a negative, ties counting half."""
    up, down = score[positive], score[~positive]
    if not len(up) or not len(down):
        return float("nan")
    below = np.searchsorted(np.sort(down), up, side="left") + np.searchsorted(np.sort(down), up, side="right")
    return float(below.mean() / 2 / len(down))


def average_precision(positive: Any, score: Any) -> float:
    """Precision at each positive of the ranking, averaged; equal scores share theirs."""
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.r_[np.flatnonzero(np.diff(score)), len(score) - 1]
    found = np.cumsum(positive)[last]
    gained = np.diff(np.r_[0, found])
    return float((gained * found / (last + 1)).sum() / positive.sum()) if positive.any() else float("nan")


def of_classes(truth: Any, p: Any) -> dict[str, float]:
    """Metrics of probabilities (object, class) for class numbers (object,)."""
    n = p.shape[1]
    said, hot = p.argmax(1), truth[:, None] == np.arange(n)
    table = np.zeros((n, n))
    np.add.at(table, (truth, said), 1)
    true, taken, right = table.sum(1), table.sum(0), np.diag(table)
    there = true > 0
    chance, spread = (true * taken).sum() / len(truth) ** 2, (true**2).sum() / len(truth) ** 2
    known = (true + taken) > 0
    ranked = [1] if n == 2 else range(n)
    return {
        "balanced_accuracy": float((right[there] / true[there]).mean()),
        "macro_f1": float((2 * right[known] / (true + taken)[known]).mean()),
        "roc_auc": float(np.nanmean([auc(hot[:, c], p[:, c]) for c in ranked])),
        "pr_auc": float(np.nanmean([average_precision(hot[:, c], p[:, c]) for c in ranked])),
        "accuracy": float((said == truth).mean()),
        "log_loss": float(-np.log(np.clip(p[np.arange(len(truth)), truth], 2.3e-16, 1)).mean()),
        "brier": float(((p - hot) ** 2).sum(1).mean() * (0.5 if n == 2 else 1)),
        "tss": float((right.sum() / len(truth) - chance) / (1 - spread)) if spread < 1 else float("nan"),
    }


def of_numbers(truth: Any, said: Any) -> dict[str, float]:
    """Metrics of numbers; those of redshifts in units of 1 + z."""
    error, scaled = said - truth, (said - truth) / (1 + truth)
    return {
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "r2": float(1 - (error**2).mean() / truth.var()),
        "bias": float(error.mean()),
        "redshift_bias": float(scaled.mean()),
        "redshift_nmad": float(1.4826 * np.median(np.abs(error - np.median(error)) / (1 + truth))),
        "redshift_outliers": float((np.abs(scaled) > 0.15).mean()),
    }


def score(submission: str, labels: str) -> dict[str, float]:
    """All metrics of a submission, as a dictionary; what is wrong with it ends the program with a sentence."""
    given, known = read(submission), read(labels)
    if set(given) != set(known):
        sys.exit(f"{submission}: {len(set(known) - set(given))} of {len(known)} objects are missing, {len(set(given) - set(known))} are unknown.")
    ids = list(known)
    columns = [name for name in given[ids[0]] if name.startswith("p_")] or ["prediction"]
    try:
        values = np.array([[float(given[i][name]) for name in columns] for i in ids])
    except (KeyError, TypeError, ValueError) as error:
        sys.exit(f"{submission}: a number is missing or is none ({error}).")
    if not np.isfinite(values).all():
        sys.exit(f"{submission}: some numbers are not finite.")
    if columns == ["prediction"]:
        return of_numbers(np.array([float(known[i]["label"]) for i in ids]), values[:, 0])
    if (values < 0).any() or (values > 1).any() or np.abs(values.sum(1) - 1).max() > 1e-3:
        sys.exit(f"{submission}: the columns {', '.join(columns)} are no probabilities; each lies between 0 and 1, and a row sums to 1.")
    names = [name[2:] for name in columns]
    unknown = sorted({known[i]["label"] for i in ids} - set(names))
    if unknown:
        sys.exit(f"{submission}: no column p_{unknown[0]}.")
    return of_classes(np.array([names.index(known[i]["label"]) for i in ids]), values)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(json.dumps(score(sys.argv[1], sys.argv[2]), indent=1))
