"""What a run would answer before it has seen any data of a sample."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run


def before_any_data(run: "Run", samples: "SampleSet", prior: Sequence[float] | Mapping[Any, float] | None) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The model's values before any data: log-probabilities, log-odds of labels, or the training means; and what to say of it."""
    if run.task == "self_supervised":
        raise InputError("this run was trained without a target: it has no answer, before data or after.")
    if run.task in ("regression", "multi_regression"):
        if prior is not None:
            raise InputError("prior: this run predicts a number; its answer before any data is the training mean. Leave prior out.")
        return np.zeros(run.problem.outputs), ()  # the standardised mean
    if run.task == "multi_label":
        return _log_odds_before(run, samples, prior)
    note: tuple[str, ...] = ()
    if prior is None:
        shares, note = _training_prior(run, samples)
    else:
        given = [prior.get(name, 0.0) for name in run.classes] if isinstance(prior, Mapping) else list(prior)
        shares = np.asarray(given, dtype=np.float64)
    if shares.shape != (len(run.classes),) or not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        raise InputError(f"prior {prior!r}: give one probability for each of {', '.join(map(str, run.classes))}.")
    return np.log(np.clip(shares / shares.sum(), 1e-6, None)), note


def _log_odds_before(
    run: "Run", samples: "SampleSet", prior: Sequence[float] | Mapping[Any, float] | None
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Log-odds of each label before any data: as probable as said, as not where the objective balances them, or as they are frequent."""
    labels = run.problem.targets
    note: tuple[str, ...] = ()
    if prior is not None:
        shares = np.asarray([prior.get(name, 0.5) for name in labels] if isinstance(prior, Mapping) else list(prior), dtype=np.float64)
    elif run.recipe.objective.options.get("class_weights", "balanced") == "balanced":
        shares, note = np.full(len(labels), 0.5), ("before any data each label is as likely as not: the objective balances them",)
    else:
        truth, known = labels_of(run, samples)
        if not known.any():
            return np.zeros(len(labels)), ("before any data each label is taken to be as likely as not: these samples have none; pass prior= to say otherwise",)
        trained = known & np.isin(samples.object_ids, run.split.train)
        rows = truth[trained if trained.any() else known]
        shares = np.nan_to_num(np.nansum(rows, axis=0) / np.maximum(np.isfinite(rows).sum(axis=0), 1), nan=0.5)
        note = (f"before any data labels are as likely as they are frequent in the {'training part' if trained.any() else 'samples given'}",)
    if shares.shape != (len(labels),) or not ((shares >= 0) & (shares <= 1)).all():
        raise InputError(f"prior {prior!r}: give a probability for each of {', '.join(labels)}.")
    shares = np.clip(shares, 1e-6, 1 - 1e-6)
    return np.log(shares / (1 - shares)), note


def _training_prior(run: "Run", samples: "SampleSet") -> tuple[NDArray[np.float64], tuple[str, ...]]:
    count = len(run.classes)
    weights = run.recipe.objective.options.get("class_weights", "balanced")
    if weights == "balanced":
        return np.full(count, 1 / count), ("before any data all classes are equally likely: the objective balances them",)
    lean = np.asarray(weights if isinstance(weights, list) else np.ones(count), dtype=np.float64)
    weighed = ", times the weights that the objective gives them" if isinstance(weights, list) else ""
    codes, known = labels_of(run, samples)
    trained = known & np.isin(samples.object_ids, run.split.train)
    if trained.any():
        return np.bincount(codes[trained], minlength=count).astype(np.float64) * lean, (f"before any data classes are as likely as they are frequent in the training part{weighed}",)
    if known.any():
        return np.bincount(codes[known], minlength=count).astype(np.float64) * lean, (
            f"before any data classes are as likely as they are frequent in the samples given{weighed}; none is of the training part",
        )
    return np.full(count, 1 / count), ("before any data all classes are taken as equally likely: these samples have no labels; pass prior= to say otherwise",)


def labels_of(run: "Run", samples: "SampleSet") -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Class codes or values, and which are known; none where the samples do not have the column."""
    if not run.problem.targets or not set(run.problem.targets) <= set(samples.roles):
        return np.zeros(len(samples), dtype=np.int64), np.zeros(len(samples), dtype=bool)
    return run.problem.encode(samples)
