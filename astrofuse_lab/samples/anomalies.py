"""Rows of a table that are unlike the others: an Isolation Forest, fitted on the training part only."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split

SCORE, FLAG = "isolation_score", "isolation_flag"
FEWEST = 8


def isolation_forest(
    samples: SampleSet,
    columns: Sequence[str] | None = None,
    fit: Split | Iterable[str] | None = None,
    *,
    share: float | None = None,
    trees: int = 200,
    seed: int = 0,
) -> SampleSet:
    """Flag what is easily told apart from the rest (Liu, Ting & Zhou 2008, ICDM, 413; scikit-learn's IsolationForest).

    A strange object may be bad data or a discovery: nothing is left out, two columns are added.

    Parameters
    ----------
    samples : SampleSet
    columns : sequence of str, optional
        Numbers to judge by. None: the inputs of the table.
    fit : Split or iterable of ids, optional
        Of a Split, only the training part is looked at; every object is judged. None: all objects.
    share : float, optional
        Flag this share of the objects that were looked at. None: where the score is above 0.5, which the authors take as strange.
    trees, seed : int

    Returns
    -------
    SampleSet
        With ``isolation_score`` (0 to 1, the higher the stranger; missing where an object has none of the columns) and
        ``isolation_flag`` (1 or 0). A missing number counts as the median of those looked at.

    Raises
    ------
    InputError
        If a column holds no numbers, or there are too few objects.
    """
    from sklearn.ensemble import IsolationForest

    names = list(samples.inputs if columns is None else columns)
    values = np.stack([_numbers(samples, name) for name in names], axis=1) if names else np.zeros((len(samples), 0))
    if not names:
        raise InputError("isolation_forest: this set has no input column; name the columns to judge by.")
    ids = fit.train if isinstance(fit, Split) else fit
    looked = np.arange(len(samples)) if ids is None else samples.positions(ids)
    looked = looked[np.isfinite(values[looked]).any(axis=1)]
    if len(looked) < FEWEST or (share is not None and not 0 < share <= 0.5):
        raise InputError(f"isolation_forest: {len(looked)} objects to look at, share={share}; at least {FEWEST}, and a share above 0, at most 0.5.")
    known = np.isfinite(values[looked])
    middle = np.array([np.median(values[looked, c][known[:, c]]) if known[:, c].any() else 0.0 for c in range(len(names))])
    whole = np.where(np.isfinite(values), values, middle)
    forest = IsolationForest(n_estimators=trees, random_state=seed).fit(whole[looked])
    score = np.where(np.isfinite(values).any(axis=1), -forest.score_samples(whole), np.nan)
    border = 0.5 if share is None else float(np.quantile(score[looked], 1 - share))
    flag = np.where(np.isfinite(score), (score > border).astype(float), np.nan)
    data = {name: samples.data_of(name) for name, spec in samples.modalities.items() if spec.kind != "table"}
    return samples.with_data(data, columns={SCORE: (score, ""), FLAG: (flag, "")})


def _numbers(samples: SampleSet, name: str) -> NDArray[np.float64]:
    column = samples.column(name)
    if column.dtype.kind not in "fib":
        raise InputError(f"isolation_forest: column {name!r} holds no numbers; give columns= without it.")
    values = np.ma.filled(column.astype(np.float64), np.nan)
    return np.where(np.isfinite(values), values, np.nan)
