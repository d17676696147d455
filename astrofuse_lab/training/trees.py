"""The baseline that every fused model stands beside: trees on summary features of each modality.

Extremely randomised trees (Geurts et al. 2006, doi:10.1007/s10994-006-6226-1) or histogram gradient boosting, both of
scikit-learn, with the classes weighted evenly.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.training.features import Features
from astrofuse_lab.training.problem import Problem

TREES = 400
KINDS = ("extra_trees", "boosting")


def tree_predictions(
    problem: Problem, features: Features, modalities: tuple[str, ...], truth: NDArray[Any], train: NDArray[np.int64], test: NDArray[np.int64],
    *, seed: int = 0, kind: str = "extra_trees",
) -> NDArray[np.float64]:  # fmt: skip
    """Fit trees on some samples and predict others.

    Parameters
    ----------
    problem : Problem
    features : Features
    modalities : tuple of str
        Their features side by side: fusion as a tree does it.
    truth : array, (sample,)
        Class codes or values, of all samples of `features`.
    train, test : int array
        Positions.
    seed : int
    kind : {"extra_trees", "boosting"}

    Returns
    -------
    array
        Probabilities (test sample, class), or values (test sample,).
    """
    values = features.of(modalities, train, seed)
    known = np.isfinite(values)
    # below all training values: a tree splits "unknown" off with one cut, and no sample is lost
    with np.errstate(invalid="ignore"):
        low = np.min(np.where(known[train], values[train], np.inf), axis=0)
    values = np.where(known, values, np.where(np.isfinite(low), low, 0.0) - 1.0)
    model = _model(problem.task, kind, seed).fit(values[train], truth[train])
    if problem.task == "regression":
        return np.asarray(model.predict(values[test]), dtype=np.float64)
    out = np.zeros((len(test), len(problem.classes)))
    if len(test):
        out[:, model.classes_.astype(int)] = model.predict_proba(values[test])
    return out


def _model(task: str, kind: str, seed: int) -> Any:
    from sklearn import ensemble

    if kind not in KINDS:
        raise UnknownNameError("tree baseline", kind, KINDS)
    classify = task == "classification"
    if kind == "boosting":
        made = ensemble.HistGradientBoostingClassifier if classify else ensemble.HistGradientBoostingRegressor
        options: dict[str, Any] = {"class_weight": "balanced"} if classify else {}
        return made(max_iter=200, learning_rate=0.06, random_state=seed, **options)
    if classify:
        return ensemble.ExtraTreesClassifier(TREES, class_weight="balanced", random_state=seed)
    return ensemble.ExtraTreesRegressor(TREES, random_state=seed)


def chance_predictions(problem: Problem, truth: NDArray[Any], train: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.float64]:
    """What one says without looking: the shares of the classes in the training part, or its mean."""
    if problem.task == "regression":
        return np.full(len(test), float(truth[train].mean()))
    shares = np.bincount(truth[train], minlength=len(problem.classes)) / len(train)
    return np.tile(shares, (len(test), 1))
