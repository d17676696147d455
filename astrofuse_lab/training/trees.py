"""The baselines that every fused model stands beside: trees and a linear model on summary features of each modality, and chance.

Extremely randomised trees (Geurts et al. 2006, doi:10.1007/s10994-006-6226-1), histogram gradient boosting, and logistic or ridge
regression, all of scikit-learn, with the classes weighted evenly. Several labels or targets are learned one by one.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.training.problem import Problem

Array = NDArray[Any]
TREES = 400
KINDS = ("extra_trees", "boosting", "linear")
SAYS = {"extra_trees": "extra_trees of scikit-learn", "boosting": "boosting of scikit-learn", "linear": "a linear model of scikit-learn"}


class Described(Protocol):
    """What describes samples to a baseline: `astrofuse_lab.training.features.Features`, or columns of theirs."""

    def of(self, modalities: tuple[str, ...], train: NDArray[np.int64], seed: int = 0) -> Array:
        """Features of all samples: (sample, feature), NaN where unknown; what is fitted is fitted on `train`."""
        ...


def tree_predictions(
    problem: Problem, features: Described, modalities: tuple[str, ...], truth: Array, train: NDArray[np.int64], test: NDArray[np.int64],
    *, seed: int = 0, kind: str = "extra_trees",
) -> NDArray[np.float64]:  # fmt: skip
    """Fit a baseline on some samples and predict others.

    Parameters
    ----------
    problem : Problem
    features : Described
    modalities : tuple of str
        Their features side by side: fusion as a tree does it.
    truth : array, (sample,) or (sample, target)
        Class codes or values, of all samples of `features`; of several, NaN where unknown.
    train, test : int array
        Positions.
    seed : int
    kind : {"extra_trees", "boosting", "linear"}

    Returns
    -------
    array
        Probabilities (test sample, class or label), or values (test sample,) or (test sample, target).
    """
    return fit_baseline(problem, features, modalities, truth, train, seed=seed, kind=kind)(test)


def fit_baseline(
    problem: Problem, features: Described, modalities: tuple[str, ...], truth: Array, train: NDArray[np.int64], *, seed: int = 0,
    kind: str = "extra_trees", trees: int = TREES,
) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:  # fmt: skip
    """A baseline fitted on some samples: from positions to predictions; see `tree_predictions`. Of extra_trees so many `trees`."""
    if kind not in KINDS:
        raise UnknownNameError("baseline", kind, KINDS)
    values = features.of(modalities, train, seed)
    if kind != "linear":
        values = _below_all(values, train)
    classify = problem.task in ("classification", "multi_label")
    if truth.ndim == 1:
        one = _fit(values[train], truth[train], classify, kind, seed, trees)
        return lambda test: _said(one, values[test], len(problem.classes) if classify else 0)
    models = []
    for column in truth[train].T:
        known = np.isfinite(column)
        y = column[known] > 0.5 if classify else column[known]
        models.append(_fit(values[train][known], y.astype(int) if classify else y, classify, kind, seed, trees))
    return lambda test: np.stack([_said(one, values[test], 2)[:, 1] if classify else _said(one, values[test], 0) for one in models], axis=1)


def _below_all(values: Array, train: NDArray[np.int64]) -> Array:
    """What is unknown below all training values: a tree splits it off with one cut, and no sample is lost."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        low = np.min(np.where(known[train], values[train], np.inf), axis=0)
    return np.where(known, values, np.where(np.isfinite(low), low, 0.0) - 1.0)


def _fit(x: Array, y: Array, classify: bool, kind: str, seed: int, trees: int) -> Any:
    """A fitted model; where all targets are equal (or none is known), that value."""
    if len(np.unique(y)) < 2:
        return y[0] if len(y) else np.nan
    return _model(classify, kind, seed, trees).fit(x, y)


def _said(model: Any, x: Array, classes: int) -> NDArray[np.float64]:
    """Probabilities (sample, class), or values where `classes` is zero."""
    if not hasattr(model, "predict"):
        return np.full(len(x), float(model)) if not classes else np.tile(np.arange(classes) == model, (len(x), 1)).astype(float)
    if not classes:
        return np.asarray(model.predict(x), dtype=np.float64) if len(x) else np.zeros(0)
    out = np.zeros((len(x), classes))
    if len(x):
        out[:, model.classes_.astype(int)] = model.predict_proba(x)
    return out


def _model(classify: bool, kind: str, seed: int, trees: int) -> Any:
    from sklearn import ensemble, impute, linear_model, pipeline, preprocessing

    if kind == "linear":
        last = linear_model.LogisticRegression(max_iter=2000, class_weight="balanced") if classify else linear_model.RidgeCV(np.logspace(-2, 4, 13))
        # the mean where unknown, and a column that says so
        return pipeline.make_pipeline(impute.SimpleImputer(add_indicator=True, keep_empty_features=True), preprocessing.StandardScaler(), last)
    if kind == "boosting":
        made = ensemble.HistGradientBoostingClassifier if classify else ensemble.HistGradientBoostingRegressor
        options: dict[str, Any] = {"class_weight": "balanced"} if classify else {}
        return made(max_iter=200, learning_rate=0.06, random_state=seed, **options)
    if classify:
        return ensemble.ExtraTreesClassifier(trees, class_weight="balanced", random_state=seed)
    return ensemble.ExtraTreesRegressor(trees, random_state=seed)


def chance_predictions(problem: Problem, truth: Array, train: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.float64]:
    """What one says without looking: the shares of the classes or labels in the training part, or its mean."""
    if truth.ndim == 2:
        known = np.isfinite(truth[train])
        mean = np.where(known, truth[train], 0.0).sum(0) / np.maximum(known.sum(0), 1)
        return np.tile(mean, (len(test), 1))
    if problem.task == "regression":
        return np.full(len(test), float(truth[train].mean()))
    shares = np.bincount(truth[train], minlength=len(problem.classes)) / len(train)
    return np.tile(shares, (len(test), 1))
