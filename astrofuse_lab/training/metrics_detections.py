"""Detections in images: peaks, which of them are true, and precision and recall over all thresholds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

if TYPE_CHECKING:
    from astropy.table import Table


class Peaks(NamedTuple):
    """Local maxima of one image, the highest first.

    Attributes
    ----------
    x, y : array
        Pixels from the image's centre.
    height : array
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    height: NDArray[np.float64]


def peaks(image: NDArray[Any], apart: int = 3, most: int = 20, sigma: float = 0.0) -> Peaks:
    """The highest local maxima of an image.

    Parameters
    ----------
    image : array, (y, x)
        NaN where unknown; there is no peak there.
    apart : int
        A peak is the highest pixel within this distance along both axes, pixels.
    most : int
    sigma : float
        Smooth with a Gaussian of this width before, pixels: a filter for points in a difference image. 0: as it is.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter

    image = np.asarray(image, float)
    known = np.isfinite(image)
    filled = np.where(known, image, 0.0)
    if sigma:
        filled = gaussian_filter(filled, sigma) / np.sqrt(np.maximum(gaussian_filter(known.astype(float), sigma), 1e-3))
    filled = np.where(known, filled, -np.inf)
    top = (filled == maximum_filter(filled, 2 * apart + 1, mode="nearest")) & (filled > 0) & known
    y, x = np.nonzero(top)
    order = np.argsort(-filled[y, x], kind="stable")[:most]
    middle = (np.array(image.shape) - 1) / 2
    return Peaks(x[order] - middle[1], y[order] - middle[0], filled[y, x][order])


class Detections(NamedTuple):
    """All peaks of all images, and the truth they were held against.

    Attributes
    ----------
    height : array, (peak,)
    true : bool array, (peak,)
        The highest peak within the radius of a source of its image, one a source.
    image : int array, (peak,)
    sources : int
        How many there are to find.
    """

    height: NDArray[np.float64]
    true: NDArray[np.bool_]
    image: NDArray[np.int64]
    sources: int


def matched(found: Sequence[Peaks], x: NDArray[Any], y: NDArray[Any], radius: float = 2.5) -> Detections:
    """Hold peaks against the one source that an image may have.

    Parameters
    ----------
    found : sequence of Peaks
        One an image.
    x, y : array, (image,)
        The source, pixels from the centre; NaN where there is none.
    radius : float
        Pixels.

    Raises
    ------
    InputError
        For other numbers of images.
    """
    x, y = np.ma.filled(np.ma.asarray(x, float), np.nan), np.ma.filled(np.ma.asarray(y, float), np.nan)
    if not len(found) == len(x) == len(y):
        raise InputError(f"{len(found)} images with peaks, but {len(x)} and {len(y)} places.")
    heights, true, images = [], [], []
    for i, one in enumerate(found):
        near = np.hypot(one.x - x[i], one.y - y[i]) <= radius  # never where there is no source: NaN is not below
        first = np.zeros(len(near), bool)
        if near.any():
            first[np.argmax(near)] = True  # peaks come highest first
        keep = first | ~near
        heights.append(one.height[keep])
        true.append(first[keep])
        images.append(np.full(keep.sum(), i))
    nothing: list[NDArray[Any]] = [np.zeros(0)]
    height, is_true, image = (np.concatenate(ones or nothing) for ones in (heights, true, images))
    return Detections(height, is_true.astype(bool), image.astype(np.int64), int(np.isfinite(x).sum()))


def precision_recall(detections: Detections) -> "Table":
    """Precision and recall at every threshold that changes them.

    Returns
    -------
    Table
        threshold (falling), precision, recall, false_per_source.
    """
    from astropy.table import Table

    order = np.argsort(-detections.height, kind="stable")
    true = np.cumsum(detections.true[order])
    number = np.arange(1, len(order) + 1)
    last = np.append(np.diff(detections.height[order]) != 0, True) if len(order) else np.zeros(0, bool)
    table = Table({"threshold": detections.height[order], "precision": true / number, "recall": true / max(detections.sources, 1), "false_per_source": (number - true) / max(detections.sources, 1)})
    return table[last]


def recall_at(detections: Detections, precision: float) -> tuple[float, float]:
    """The largest recall at a precision of at least this, and its threshold; 0 and infinity where it is never reached."""
    table = precision_recall(detections)
    good = np.flatnonzero(np.asarray(table["precision"]) >= precision)
    return (float(table["recall"][good[-1]]), float(table["threshold"][good[-1]])) if len(good) else (0.0, float("inf"))


def of_images(detections: Detections, images: NDArray[np.int64], has_source: NDArray[np.bool_]) -> Detections:
    """The detections of some images, with repetition, as a bootstrap draws them."""
    order = np.argsort(detections.image, kind="stable")
    bounds = np.searchsorted(detections.image[order], np.arange(len(has_source) + 1))
    rows = np.concatenate([order[bounds[i] : bounds[i + 1]] for i in images]) if len(images) else np.zeros(0, np.int64)
    return Detections(detections.height[rows], detections.true[rows], detections.image[rows], int(has_source[images].sum()))
