"""What stands in for missing values of a table, where a recipe asks for that: fitted on the rows it is shown, kept as plain numbers.

By default nothing does: missing is a mask. These work on scaled columns, (object, column) with a mask that is True where real.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
WAYS = ("mask", "median", "mean", "nearest", "iterative")
NEIGHBOURS, REFERENCES = 5, 1000
"""Nearest rows that are averaged, and rows of the training part that are kept to be found near, at most."""
ROUNDS = 5
"""Rounds of the iterative way."""


def fit(values: Floats, mask: Bools, how: str) -> dict[str, list[float]]:
    """The numbers that `fill` needs.

    Parameters
    ----------
    values : float array, (object, column)
        Zero where missing.
    mask : bool array, (object, column)
    how : str
        ``mask`` (nothing), ``median`` or ``mean`` of the column, ``nearest`` (mean of the 5 nearest rows that have the value,
        by Euclidean distance over shared columns; Troyanskaya et al. 2001, Bioinformatics 17, 520), ``iterative`` (each column
        by ridge regression on the others, in turns; van Buuren & Groothuis-Oudshoorn 2011, J. Stat. Soft. 45, 3; scikit-learn).

    Returns
    -------
    dict of str to list of float
    """
    if how not in WAYS:
        raise UnknownNameError("imputation", how, WAYS)
    if how == "mask":
        return {}
    middle = np.median if how == "median" else np.mean
    fitted = {"stand_in": [float(middle(values[mask[:, c], c])) if mask[:, c].any() else 0.0 for c in range(values.shape[1])]}
    if how == "nearest":
        rows = np.flatnonzero(mask.any(axis=1))
        rows = rows[np.linspace(0, len(rows) - 1, min(REFERENCES, len(rows))).astype(int)]
        fitted |= {"references": np.where(mask, values, 0.0)[rows].ravel().tolist(), "has": mask[rows].ravel().astype(float).tolist()}
    if how == "iterative" and values.shape[1] > 1:
        fitted |= _fit_iterative(values, mask, fitted["stand_in"])
    return fitted


def fill(values: Floats, mask: Bools, how: str, fitted: Mapping[str, Any]) -> tuple[Floats, Bools]:
    """Values with stand-ins, and the mask with them counted as real; rows without any value stay missing.

    Raises
    ------
    InputError
        If the fitted numbers do not fit the columns.
    """
    if how == "mask":
        return values, mask
    middle = np.asarray(fitted["stand_in"], dtype=np.float64)
    if middle.shape != values.shape[1:]:
        raise InputError(f"imputation fitted on {len(middle)} columns, {values.shape[1]} given.")
    some = mask.any(axis=1, keepdims=True)
    filled = np.where(mask, values, middle)
    if how == "nearest":
        filled = _nearest(filled, mask, fitted)
    elif how == "iterative" and "order" in fitted:
        filled = _iterated(filled, mask, fitted)
    return np.where(some, filled, 0.0), np.broadcast_to(some, mask.shape).copy()


def _nearest(filled: Floats, mask: Bools, fitted: Mapping[str, Any], chunk: int = 256) -> Floats:
    width = filled.shape[1]
    there = np.asarray(fitted["references"], dtype=np.float64).reshape(-1, width)
    has = np.asarray(fitted["has"], dtype=np.float64).reshape(-1, width)
    out = filled.copy()
    wanting = np.flatnonzero(~mask.all(axis=1) & mask.any(axis=1))
    for begin in range(0, len(wanting), chunk):
        rows = wanting[begin : begin + chunk]
        x, m = np.where(mask[rows], filled[rows], 0.0), mask[rows].astype(np.float64)
        shared = m @ has.T
        square = (x**2) @ has.T - 2 * x @ there.T + m @ (there**2).T
        # distances over shared columns, as if all were shared; rows that share none are nobody's neighbours
        away = np.where(shared > 0, np.maximum(square, 0.0) * width / np.maximum(shared, 1), np.inf)
        order = np.argsort(away, axis=1, kind="stable")
        for i, row in enumerate(rows):
            for c in np.flatnonzero(~mask[row]):
                able = order[i][(has[order[i], c] > 0) & np.isfinite(away[i, order[i]])][:NEIGHBOURS]
                if len(able):
                    out[row, c] = there[able, c].mean()
    return out


def _fit_iterative(values: Floats, mask: Bools, middle: list[float]) -> dict[str, list[float]]:
    """The linear regressions of scikit-learn's IterativeImputer, one after the other, as numbers."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (scikit-learn asks for this)
    from sklearn.impute import IterativeImputer

    known = mask.any(axis=0)
    whole = np.where(mask | ~known, np.where(known, values, np.asarray(middle)), np.nan)
    imputer = IterativeImputer(max_iter=ROUNDS, tol=0.0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        imputer.fit(whole[mask.any(axis=1)])
    order, weights = [], []
    for column, others, model in imputer.imputation_sequence_:
        row = np.zeros(values.shape[1] + 1)
        row[others], row[-1] = model.coef_, model.intercept_
        order.append(float(column))
        weights += row.tolist()
    return {"order": order, "weights": weights}


def _iterated(filled: Floats, mask: Bools, fitted: Mapping[str, Any]) -> Floats:
    out = filled.copy()
    weights = np.asarray(fitted["weights"], dtype=np.float64).reshape(-1, filled.shape[1] + 1)
    for column, row in zip(np.asarray(fitted["order"], dtype=int), weights, strict=True):
        lacking = ~mask[:, column]
        out[lacking, column] = out[lacking] @ row[:-1] + row[-1]
    return out
