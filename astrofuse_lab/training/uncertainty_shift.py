"""How far samples lie from those that a model was trained on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def fit_gaussians(vectors: Array, codes: Array, classes: int) -> tuple[Array, Array]:
    """Mean of each class, (class, width), and the inverse of the covariance that all share, (width, width).

    Lee et al. 2018 (arXiv:1807.03888), equation 1, with the covariance shrunk towards a sphere as far as its own noise asks for (Ledoit &
    Wolf 2004, doi:10.1016/S0047-259X(03)00096-4): there may be fewer samples than numbers in a vector. A class without a sample is left out.

    Parameters
    ----------
    vectors : array, (sample, width)
    codes : int array, (sample,)
        Zeros for numbers.
    classes : int
    """
    from sklearn.covariance import ledoit_wolf

    there = [c for c in range(classes) if (codes == c).any()]
    means = np.stack([vectors[codes == c].mean(0) for c in there])
    centred = vectors - means[np.searchsorted(there, codes)]
    covariance, _ = ledoit_wolf(centred, assume_centered=True)
    # a number that never varies tells nothing, and must not make the rest singular
    covariance += 1e-9 * max(float(np.trace(covariance)) / len(covariance), 1e-12) * np.eye(len(covariance))
    return means, np.linalg.inv(covariance)


def distances(vectors: Array, means: Array, precision: Array) -> Array:
    """Mahalanobis distance to the nearest class, (sample,)."""
    apart = vectors[:, None] - means[None]
    return np.sqrt(np.maximum(np.einsum("sci,ij,scj->sc", apart, precision, apart), 0.0).min(1))


def energy(values: Array) -> Array:
    """Minus the logarithm of the sum of exponentials of logits, (sample,): high where no class is supported (Liu et al. 2020, arXiv:2010.03759)."""
    top = values.max(-1)
    return np.asarray(-(top + np.log(np.exp(values - top[..., None]).sum(-1))))


def share_beyond(scores: Array, held: Array) -> Array:
    """Share of held-out scores that are at least as large, counting the sample itself: a p-value, (sample,)."""
    above = len(held) - np.searchsorted(np.sort(held), scores, side="left")
    return np.asarray((above + 1) / (len(held) + 1))
