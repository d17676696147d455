"""Attention back on what it was paid to: pixels, wavelengths, epochs, columns and words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def lay(weights: NDArray[np.float32], place: Mapping[str, Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Token weights (n, token) spread evenly over their boxes: (n, *shape).

    Parameters
    ----------
    place : mapping
        ``box``, int (token, 2 * axes), absent for tokens that stand for the whole input; ``order``, int (n, epoch), where boxes count the
        epochs of each sample in an order of their own.
    """
    out = np.zeros((len(weights), *shape), dtype=np.float32)
    box = place.get("box")
    for token in range(weights.shape[1]):
        where = tuple(slice(None) for _ in shape) if box is None else tuple(slice(box[token][2 * a], box[token][2 * a + 1]) for a in range(len(shape)))
        covered = out[(slice(None), *where)]
        covered += (weights[:, token] / max(int(np.prod(covered.shape[1:])), 1)).reshape(-1, *[1] * len(shape))
    if "order" not in place:
        return out
    order, back = place["order"], np.zeros_like(out)
    np.put_along_axis(back, order, out[:, : order.shape[1]], axis=1)
    return back


def received(weights: NDArray[np.float32], maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each key of an encoder's layer got from its real queries, on average: (n, query, key) to (n, key).

    A key that no query of `maps`, (n, head, query, key), looks at is masked, and so is the query of the same number where tokens look at
    themselves. The first argument may be one head of them, or what `Attention.weighted` makes of it.
    """
    real = maps.sum((1, 2)) > 0 if weights.shape[1] == weights.shape[2] else np.ones(weights.shape[:2], dtype=bool)
    total = (weights * real[..., None]).sum(1) / np.maximum(real.sum(1), 1)[:, None]
    return np.asarray(total, dtype=np.float32)


def keys_of(place: Mapping[str, Any], layer: int) -> dict[str, Any]:
    """Where the keys of an encoder's layer lie: those it tells of, or its own tokens. See `astrofuse_lab.models.tokens.Tokens`."""
    if "keys" not in place:
        return {"box": place["box"]} if "box" in place else {}
    return {"box": np.asarray(place["keys"][layer]), **({"order": place["order"]} if "order" in place else {})}
