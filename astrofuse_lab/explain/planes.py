"""From vectors to the plane: PCA here, the others in a process that ends."""

import importlib.util
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, MissingExtraError
from astrofuse_lab.explain.neighbourhoods import Stopped
from astrofuse_lab.explain.neighbourhoods_large import neighbourhood

FEWEST = 5
"""Points below which neighbours say nothing and PCA is taken."""
Planes = dict[str, NDArray[np.float32]]
Near = tuple[NDArray[np.int64], NDArray[np.float32]]
Axes = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Mean, (width,), and the two directions, (width, 2)."""
OnProgress = Callable[[dict[str, Any]], None]
METHODS = ("umap", "pca", "tsne", "densmap", "pacmap")
TITLES = {"umap": "UMAP", "pca": "PCA", "tsne": "t-SNE", "densmap": "densMAP", "pacmap": "PaCMAP"}
PACKAGES = {"umap": ("numba", "numba"), "tsne": ("sklearn", "scikit-learn"), "densmap": ("umap", "umap-learn"), "pacmap": ("pacmap", "pacmap")}
"""What each needs: the module, and what to install."""


class Made(NamedTuple):
    """Planes, and what goes with them.

    Attributes
    ----------
    planes : dict of space to float32 array, (n, 2)
    notes : list of str
    method : str
        What was done.
    axes : dict of space to (mean, directions)
        Of planes made by PCA.
    near : dict of space to (int64 array, float32 array), (n, k)
        Neighbours and their distances, where they were found on the way.
    """

    planes: Planes
    notes: list[str]
    method: str
    axes: dict[str, Axes]
    near: dict[str, Near]


class How(NamedTuple):
    """How planes are to be made."""

    k: int
    seed: int
    timeout: float = 600.0
    device: str = "cpu"
    start: Mapping[str, NDArray[np.float32]] | None = None
    stop: threading.Event | None = None
    on_progress: OnProgress | None = None


def principal_axes(vectors: NDArray[np.floating[Any]]) -> Axes:
    """Mean, (width,), and the first two principal axes, (width, 2), each pointing to where the largest of its loadings is positive.

    An axis along which nothing varies is zero.
    """
    points = np.asarray(vectors, dtype=np.float64)
    width = points.shape[1]
    mean = points.mean(0) if len(points) else np.zeros(width)
    centred = points - mean
    size, found = np.linalg.eigh(centred.T @ centred)
    found = found[:, ::-1][:, :2]
    found = found * np.where(found[np.abs(found).argmax(0), np.arange(found.shape[1])] < 0, -1.0, 1.0)
    axes = np.zeros((width, 2))
    axes[:, : found.shape[1]] = found * (size[::-1][:2] > 1e-12 * max(float(size[-1]), 1e-300))
    return mean, axes


def on_axes(vectors: NDArray[np.floating[Any]], axes: Axes) -> NDArray[np.float32]:
    """Coordinates of vectors, (n, 2), on stored axes: the same arithmetic for old samples and new ones."""
    return np.asarray((np.asarray(vectors, dtype=np.float64) - axes[0]) @ axes[1], dtype=np.float32)


def principal_plane(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The first two principal components, (n, 2): always the same, sign included."""
    return on_axes(vectors, principal_axes(vectors))


def check_method(method: str) -> None:
    """Raise MissingExtraError where a method's package is not installed and nothing can stand in for it."""
    module, package = PACKAGES.get(method, ("numpy", "numpy"))
    if method not in ("umap", "pca") and importlib.util.find_spec(module) is None:
        raise MissingExtraError(package, f"embed(method={method!r})")


def make_planes(parts: Mapping[str, NDArray[np.float32]], method: str, how: How) -> Made:
    """Planes of several sets of vectors, (n, width) each and finite.

    Where a method cannot run (time, memory, Stop), PCA is given with a note, and a warning unless it was stopped.
    """
    if method == "pca":
        return _principal(parts, [])
    small = [space for space, part in parts.items() if len(part) < FEWEST]
    large = {space: part for space, part in parts.items() if space not in small}
    title = TITLES[method]
    notes = [f"PCA for {', '.join(small)}: {title} needs at least {FEWEST} samples"] if small else []
    if not large:
        return _principal(parts, notes)
    from astrofuse_lab.explain.umap_child import ProcessFailed, child_planes

    try:
        near, told = _neighbours(large, how) if method == "umap" else ({}, [])
        starts = {space: _start(space, part, how) for space, part in large.items()} if method == "umap" else {}
        made = child_planes(method, large, near, starts, how)
    except (ProcessFailed, Stopped) as reason:
        note = f"PCA instead of {title}: {reason if isinstance(reason, ProcessFailed) else 'it was stopped'}"
        if how.stop is None or not how.stop.is_set():  # who pressed Stop knows why
            warnings.warn(note, RuntimeWarning, stacklevel=3)
        return _principal(parts, [note])
    rest = _principal({space: parts[space] for space in small}, notes)
    return Made({**rest.planes, **made}, [*notes, *told], method, rest.axes, near)


def spread_out(made: Made, present: Mapping[str, NDArray[np.bool_]]) -> Planes:
    """Planes of the samples that have one, as rows of all samples; NaN for the others."""
    out: Planes = {}
    for space, there in present.items():
        out[space] = np.full((len(there), 2), np.nan, dtype=np.float32)
        out[space][there] = made.planes[space]
    return out


def _neighbours(parts: Mapping[str, NDArray[np.float32]], how: How) -> tuple[dict[str, Near], list[str]]:
    out, notes = {}, []
    for space, part in parts.items():
        near, far, found = neighbourhood(part, how.k, device=how.device, stop=how.stop)
        out[space] = near, far
        if found < 1:
            notes.append(f"{found:.1%} of the true neighbours in {space} were found")
    return out, notes


def _principal(parts: Mapping[str, NDArray[np.float32]], notes: list[str]) -> Made:
    axes = {space: principal_axes(part) for space, part in parts.items()}
    return Made({space: on_axes(part, axes[space]) for space, part in parts.items()}, notes, "pca", axes, {})


def _start(space: str, part: NDArray[np.float32], how: How) -> NDArray[np.float32]:
    """Where the layout begins: as given, else the principal plane, widened to 10 on its longer side."""
    if how.start is not None and space in how.start:
        given = np.asarray(how.start[space], dtype=np.float32)
        if given.shape != (len(part), 2) or not np.isfinite(given).all():
            raise InputError(f"start of {space!r} has shape {given.shape}; ({len(part)}, 2) finite numbers are needed.")
        return given
    plane = principal_plane(part)
    return np.asarray(plane * (10 / max(float(np.abs(plane).max()), 1e-12)), dtype=np.float32)
