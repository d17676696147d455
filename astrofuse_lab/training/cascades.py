"""Classes by thresholds one after another: what one-against-all networks say, put in order of what must not be missed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrofuse_lab.errors import InputError


@dataclass(frozen=True)
class Cascade:
    """The first class whose score reaches its threshold; where none does, the one that is least below or most above.

    Attributes
    ----------
    classes : tuple of str
        In the order in which they are asked.
    thresholds : tuple of float
        Of each, as its scores are.
    """

    classes: tuple[str, ...]
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.classes or len(self.classes) != len(self.thresholds) or not np.isfinite(self.thresholds).all():
            raise InputError(f"{len(self.classes)} classes and thresholds {self.thresholds}: one finite threshold a class is expected.")

    def __call__(self, scores: ArrayLike) -> NDArray[np.str_]:
        """The class of each sample.

        Parameters
        ----------
        scores : array, (sample, class)
            In the order of `classes`; not a number where there is no score.

        Returns
        -------
        array of str, (sample,)
            "" where no class has a score.

        Raises
        ------
        InputError
            For scores of another number of classes.
        """
        given = np.asarray(scores, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != len(self.classes):
            raise InputError(f"scores of shape {given.shape}; (sample, {len(self.classes)}) is expected, for {', '.join(self.classes)}.")
        excess = given - np.asarray(self.thresholds)
        reached = excess >= 0
        # of equal excesses the first: argmax takes it, as the published rule does
        largest = np.where(np.isnan(excess), -np.inf, excess).argmax(axis=1)
        chosen = np.where(reached.any(axis=1), reached.argmax(axis=1), largest)
        return np.where(np.isnan(given).all(axis=1), "", np.asarray(self.classes)[chosen])


GWSKYNET_MULTI = Cascade(("Glitch", "NS", "BBH"), (0.3233, 0.6216, 0.3118))
"""GWSkyNet-Multi (Abbott et al. 2022, ApJ 927, 232; thresholds in GWSkyNet_Multi_predict.ipynb, github.com/GWML/GWSkyNet at aa4dff8), for probabilities of 0 to 1."""
