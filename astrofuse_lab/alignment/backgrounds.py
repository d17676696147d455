"""The sky below the sources of an image: a median, a plane or a mesh, each of what sigma clipping leaves."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import AlignmentError, InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MODELS = ("median", "plane", "mesh")
TURNS = 10  # of clipping, at most
DEVIATION = 1.482602218505602  # standard deviations in a median absolute deviation, of a Gaussian
ENOUGH = 0.25  # share of a mesh's box that must be left


def median_of(values: NDArray[Any], good: Bools) -> Floats:
    """Median of the good values along the last axis; NaN where there are none."""
    ordered = np.sort(np.where(good, values, np.inf), axis=-1)
    count = good.sum(-1)[..., None]
    low, high = (np.take_along_axis(ordered, np.maximum(at, 0), -1)[..., 0] for at in ((count - 1) // 2, np.minimum(count // 2, values.shape[-1] - 1)))
    return np.where(count[..., 0] > 0, np.where(count[..., 0] > 0, low, 0) / 2 + np.where(count[..., 0] > 0, high, 0) / 2, np.nan)


def clipped(values: NDArray[Any], good: Bools, sigma: float = 3.0) -> Bools:
    """Which values are left along the last axis once those more than `sigma` deviations (by the MAD) off the median are dropped, and again."""
    for _ in range(TURNS):
        centre = np.nan_to_num(median_of(values, good))[..., None]
        spread = DEVIATION * np.nan_to_num(median_of(np.abs(values - centre), good))[..., None]
        left = good & ((np.abs(values - centre) <= sigma * spread) | (spread == 0))
        if np.array_equal(left, good):
            break
        good = left
    return good


def noise_of(flux: NDArray[Any], good: Bools) -> float:
    """Standard deviation of what is left of a plane after clipping; NaN where nothing is."""
    values, left = flux.reshape(-1), clipped(flux.reshape(-1), good.reshape(-1))
    return float(DEVIATION * median_of(np.abs(values - median_of(values, left)), left))


def background(flux: NDArray[Any], mask: Bools, model: str = "median", box: int = 32, sigma: float = 3.0) -> Floats:
    """The sky of each band.

    Parameters
    ----------
    flux, mask : array, (band, y, x)
        True where good.
    model : {"median", "plane", "mesh"}
        A number; a tilted plane; or clipped medians in boxes with a cubic surface through them, as SExtractor has it (Bertin &
        Arnouts 1996, A&AS 117, 393), which follows whatever is larger than a box: galaxies too.
    box : int
        Pixels on a side, for the mesh.
    sigma : float
        Where values are clipped, standard deviations.

    Returns
    -------
    float64 array, (band, y, x)
        In the unit of `flux`.

    Raises
    ------
    AlignmentError
        If a band has too few good pixels.
    InputError
        If the model is none.
    """
    if model not in MODELS or int(box) < 2 or not sigma > 0:
        raise InputError(f"background(model={model!r}, box={box!r}, sigma={sigma!r}): the model is one of {', '.join(MODELS)}, box at least 2 pixels, sigma positive.")
    planes = np.where(mask & np.isfinite(flux), flux, 0.0).astype(np.float64)
    out = np.empty(planes.shape)
    for b, (plane, good) in enumerate(zip(planes, mask & np.isfinite(flux), strict=True)):
        if good.sum() < (1 if model == "median" else 3):
            raise AlignmentError(f"flux of band {b} has {int(good.sum())} good pixels, too few for a background.")
        if model == "median":
            out[b] = median_of(plane.reshape(-1), clipped(plane.reshape(-1), good.reshape(-1), sigma))
        else:
            out[b] = _plane(plane, good, sigma) if model == "plane" else _mesh(plane, good, int(box), sigma)
    return out


def _plane(plane: Floats, good: Bools, sigma: float) -> Floats:
    """Least squares, and again without what is far off."""
    y, x = (v / max(plane.shape) for v in np.indices(plane.shape))
    terms = np.stack([np.ones_like(x), x, y], -1)
    left, surface = clipped(plane.reshape(-1), good.reshape(-1), sigma).reshape(good.shape), np.zeros_like(plane)
    for _ in range(TURNS):
        if left.sum() < 3:
            raise AlignmentError(f"flux has {int(left.sum())} pixels that are sky, too few for a plane.")
        surface = terms @ np.linalg.lstsq(terms[left], plane[left], rcond=None)[0]
        again = clipped((plane - surface).reshape(-1), good.reshape(-1), sigma).reshape(good.shape)
        if np.array_equal(again, left):
            break
        left = again
    return np.asarray(surface)


def _mesh(plane: Floats, good: Bools, box: int, sigma: float) -> Floats:
    """Clipped medians of boxes, those of empty boxes from their neighbours, a median filter over 3 x 3 boxes, and a cubic surface."""
    from scipy.ndimage import distance_transform_edt, map_coordinates, median_filter

    rows, columns = (max(1, round(n / box)) for n in plane.shape)
    edges = [np.linspace(0, n, parts + 1).astype(int) for n, parts in zip(plane.shape, (rows, columns), strict=True)]
    levels = np.full((rows, columns), np.nan)
    for j in range(rows):
        for i in range(columns):
            part = (slice(edges[0][j], edges[0][j + 1]), slice(edges[1][i], edges[1][i + 1]))
            values, left = plane[part].reshape(-1), clipped(plane[part].reshape(-1), good[part].reshape(-1), sigma)
            if left.sum() >= max(1, ENOUGH * left.size):
                levels[j, i] = median_of(values, left)
    if np.isnan(levels).all():
        return np.full(plane.shape, float(median_of(plane.reshape(-1), clipped(plane.reshape(-1), good.reshape(-1), sigma))))
    nearest = distance_transform_edt(np.isnan(levels), return_distances=False, return_indices=True)
    levels = levels[tuple(nearest)]
    levels = _wider(median_filter(_wider(levels), size=3, mode="nearest")[tuple(slice(1, -1) if n > 1 else slice(None) for n in levels.shape)])
    middles = [(e[:-1] + e[1:] - 1) / 2 for e in edges]
    middles = [np.concatenate([[2 * m[0] - m[1]], m, [2 * m[-1] - m[-2]]]) if len(m) > 1 else m for m in middles]
    at = [np.interp(np.arange(n), m, np.arange(len(m))) if len(m) > 1 else np.zeros(n) for n, m in zip(plane.shape, middles, strict=True)]
    return np.asarray(map_coordinates(levels, np.meshgrid(*at, indexing="ij"), order=min(3, *(n - 1 for n in levels.shape)), mode="nearest"), dtype=np.float64)


def _wider(levels: Floats) -> Floats:
    """A box more on either side, straight on, so that a slope goes on to the edge."""
    return np.pad(levels, [(1, 1) if n > 1 else (0, 0) for n in levels.shape], mode="reflect", reflect_type="odd")
