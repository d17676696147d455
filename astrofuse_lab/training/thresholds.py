"""What a threshold on a score costs: the share of real ones that are lost, and of bogus ones that are kept."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrofuse_lab.errors import InputError

if TYPE_CHECKING:
    from astropy.table import Table

STEPS = np.linspace(0.0, 1.0, 101)


def error_rates(truth: ArrayLike, score: ArrayLike, thresholds: ArrayLike = STEPS) -> "Table":
    """False negative and false positive rates by threshold (a score of at least the threshold counts as positive).

    Parameters
    ----------
    truth : bool array, (sample,)
    score : array, (sample,)
    thresholds : array
        Ascending.

    Returns
    -------
    Table
        threshold, fnr (of the positives, the share below), fpr (of the negatives, the share not below), and the 95 % Wilson intervals fnr_low, fnr_high, fpr_low, fpr_high
        (Wilson 1927, JASA 22, 209). ``meta["equal"]``: threshold and rate where both are nearest.

    Raises
    ------
    InputError
        If one of the two kinds is not there, or a score is no number.
    """
    from astropy.table import Table

    real, said, steps = np.asarray(truth, dtype=bool), np.asarray(score, dtype=np.float64), np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if real.shape != said.shape or real.ndim != 1 or not np.isfinite(said).all():
        raise InputError(f"truth {real.shape} and score {said.shape}: one number each a sample, and every score finite.")
    if real.all() or not real.any():
        raise InputError(f"of {len(real)} samples {int(real.sum())} are positive: there are no rates without some of both kinds.")
    positives, negatives = np.sort(said[real]), np.sort(said[~real])
    lost = np.searchsorted(positives, steps, side="left")
    kept = len(negatives) - np.searchsorted(negatives, steps, side="left")
    table = Table({"threshold": steps, "fnr": lost / len(positives), "fpr": kept / len(negatives)})
    for name, count, n in (("fnr", lost, len(positives)), ("fpr", kept, len(negatives))):
        table[f"{name}_low"], table[f"{name}_high"] = wilson(count, n)
    at = int(np.argmin(np.abs(np.asarray(table["fnr"]) - np.asarray(table["fpr"]))))
    table.meta["equal"] = (float(steps[at]), float((table["fnr"][at] + table["fpr"][at]) / 2))
    return table


def wilson(count: ArrayLike, n: int, z: float = 1.959964) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % interval of a share: `count` of `n`."""
    share = np.asarray(count, dtype=np.float64) / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)
