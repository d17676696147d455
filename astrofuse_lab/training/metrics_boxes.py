"""Average precision of boxes, as COCO measures it (Lin et al. 2014, arXiv:1405.0312).

The boxes of one class are matched image by image: in the order of their scores, each takes the free true box it overlaps most, if
by at least the threshold. What depends on the images' weights is one array operation, so that a bootstrap over images costs little.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

Array = NDArray[Any]
RECALLS = np.linspace(0, 1, 101)
COCO = tuple(np.round(np.arange(0.5, 0.96, 0.05), 2).tolist())
"""IoU thresholds over which COCO's AP is the mean."""


def overlap(a: Array, b: Array) -> Array:
    """Intersection over union of boxes (x0, y0, x1, y1): (of a, of b)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    area_a, area_b = (np.prod(np.clip(box[:, 2:] - box[:, :2], 0, None), axis=-1) for box in (a, b))
    union = area_a[:, None] + area_b[None] - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)


def matched(true: Array, boxes: Array, scores: Array, threshold: float) -> Array:
    """Which predicted boxes of one image find a true box: bool (box,), in the order given."""
    hit = np.zeros(len(boxes), dtype=bool)
    if not len(true) or not len(boxes):
        return hit
    shared, free = overlap(boxes, true), np.ones(len(true), dtype=bool)
    for i in np.argsort(-scores, kind="stable"):
        best = int(np.argmax(np.where(free, shared[i], -1.0)))
        if free[best] and shared[i, best] >= threshold:
            hit[i], free[best] = True, False
    return hit


def average_precision(
    true: Sequence[Array], boxes: Sequence[Array], scores: Sequence[Array], weights: Array | None = None, *, threshold: float | Sequence[float] = 0.5
) -> Array:
    """Average precision over 101 recalls.

    Parameters
    ----------
    true : sequence of array (box, 4)
        True boxes of each image: x0, y0, x1, y1.
    boxes : sequence of array (box, 4)
        Predicted boxes of each image.
    scores : sequence of array (box,)
    weights : array, (resample, image), optional
        None: each image once.
    threshold : float or sequence of float
        Least intersection over union; of several the mean (`COCO`).

    Returns
    -------
    array, (resample,)
        NaN where a resample holds no true box.
    """
    if not len(true) == len(boxes) == len(scores) or any(len(b) != len(s) for b, s in zip(boxes, scores, strict=True)):
        raise InputError(f"average_precision: {len(true)} images of true boxes, {len(boxes)} of predicted ones, {len(scores)} of scores; one entry an image, one score a box.")
    weights = np.ones((1, len(true))) if weights is None else weights
    each = [np.reshape(np.asarray(b, dtype=np.float64), (-1, 4)) for b in true], [np.reshape(np.asarray(b, dtype=np.float64), (-1, 4)) for b in boxes]
    thresholds = [threshold] if isinstance(threshold, int | float) else list(threshold)
    image = np.repeat(np.arange(len(boxes)), [len(s) for s in scores])
    score = np.concatenate([np.asarray(s, dtype=np.float64) for s in scores]) if len(scores) else np.zeros(0)
    order = np.argsort(-score, kind="mergesort")
    total = weights @ np.array([len(b) for b in each[0]], dtype=float)
    found = []
    for least in thresholds:
        hit = np.concatenate([matched(t, b, np.asarray(s), least) for t, b, s in zip(*each, scores, strict=True)]) if len(scores) else np.zeros(0, dtype=bool)
        found.append(_area(hit[order], weights[:, image[order]], total))
    return np.mean(found, axis=0)


def _area(hit: Array, weights: Array, total: Array) -> Array:
    """Mean over 101 recalls of the best precision at that recall or beyond."""
    right, taken = np.cumsum(weights * hit, axis=1), np.cumsum(weights, axis=1)
    precision = np.where(taken > 0, right / np.where(taken > 0, taken, 1.0), 0.0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = right / np.where(total > 0, total, 1.0)[:, None]
    out = np.full(len(weights), np.nan)
    for row in np.flatnonzero(total > 0):
        # of equal recalls the first, as COCO's own code looks them up
        place = np.searchsorted(recall[row], RECALLS - 1e-12, side="left")
        out[row] = np.append(best[row], 0.0)[np.minimum(place, best.shape[1])].mean()
    return out
