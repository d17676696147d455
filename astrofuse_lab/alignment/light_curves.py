"""Light curves: which epochs are kept, in which order, and their means in bins of time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.grids import TimeGrid
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import LightCurve

Numbers = NDArray[np.float64]
Rows = dict[str, NDArray[Any]]
MOST_BINS = 2**31


@dataclass(frozen=True)
class Curves:
    """Light curves end to end, object i at ``offsets[i]:offsets[i + 1]``, each in order of time.

    Attributes
    ----------
    offsets : int64 array, (object + 1,)
    time, flux, flux_err : array, (epoch,)
    band : int8 array, (epoch,)
        Index into the bands asked for.
    mask, limit : bool array, (epoch,)
    """

    offsets: NDArray[np.int64]
    time: Numbers
    flux: NDArray[np.float32]
    flux_err: NDArray[np.float32]
    band: NDArray[np.int8]
    mask: NDArray[np.bool_]
    limit: NDArray[np.bool_]

    def fields(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return dict(self.__dict__)


def check(curve: LightCurve) -> None:
    """Raise AlignmentError, naming the field, if a light curve cannot be used."""
    n = len(curve.time)
    for name in ("flux", "flux_err", "band", "mask", "limit"):
        array = getattr(curve, name)
        if array is not None and array.shape != (n,):
            raise AlignmentError(f"{name} has shape {array.shape}, time has {n} epochs.")
    if not _good(curve).any():
        raise AlignmentError("flux has no good epoch with a positive flux_err.")


def bands_of(curves: Iterable[LightCurve], known: Sequence[str] = ()) -> tuple[str, ...]:
    """The bands that occur: those of `known` in its order, then others in order of first appearance."""
    found = dict.fromkeys(str(b) for curve in curves for b in np.unique(curve.band))
    return (*(b for b in known if b in found), *(b for b in found if b not in known))


def stack(owners: Sequence[int], curves: Sequence[LightCurve], objects: int, bands: Sequence[str], grid: TimeGrid) -> Curves:
    """Light curves of many objects, selected, sorted and, if the grid has a step, binned.

    Parameters
    ----------
    owners : sequence of int
        The object of each curve, 0 to ``objects - 1``; curves of one object are merged.
    curves : sequence of LightCurve
        In one unit and clock.
    objects : int
    bands : sequence of str
        Epochs in other bands are left out.
    grid : TimeGrid

    Returns
    -------
    Curves
        Unusable epochs stay, masked, where epochs are kept; bins hold usable epochs only.
    """
    rows = _rows(owners, curves, bands)
    keep = (rows["band"] >= 0) & np.isfinite(rows["time"])
    if grid.start is not None:
        keep &= rows["time"] >= grid.start
    if grid.stop is not None:
        keep &= rows["time"] <= grid.stop
    if grid.step is not None:
        keep &= rows["mask"]
    rows = {name: v[keep] for name, v in rows.items()}
    if grid.step is not None and len(rows["time"]):
        rows = _binned(rows, grid.step, grid.start)
    order = np.lexsort((rows["band"], rows["time"], rows["owner"]))
    rows = {name: v[order] for name, v in rows.items()}
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows["owner"], minlength=objects))]).astype(np.int64)
    flux, error = (np.where(rows["mask"], rows[name], 0.0).astype(np.float32) for name in ("flux", "flux_err"))
    return Curves(offsets, rows["time"], flux, error, rows["band"].astype(np.int8), rows["mask"], rows["limit"])


def _rows(owners: Sequence[int], curves: Sequence[LightCurve], bands: Sequence[str]) -> Rows:
    """All epochs of all curves as columns."""
    index = {name: i for i, name in enumerate(bands)}
    limits = [c.limit if c.limit is not None else np.zeros(len(c.time), dtype=bool) for c in curves]
    nothing = [np.zeros(0)]
    rows: Rows = {"owner": np.repeat(np.asarray(owners, dtype=np.int64), [len(c.time) for c in curves])}
    for name in ("time", "flux", "flux_err"):
        rows[name] = np.concatenate([np.asarray(getattr(c, name), dtype=np.float64) for c in curves] or nothing)
    rows["band"] = np.array([index.get(str(b), -1) for c in curves for b in c.band], dtype=np.int64)
    rows["mask"] = np.concatenate([_good(c) for c in curves] or nothing).astype(bool)
    rows["limit"] = np.concatenate(limits or nothing).astype(bool)
    return rows


def _good(curve: LightCurve) -> NDArray[np.bool_]:
    # at least half a unit in the last place of float32, so that an error never rounds to zero
    fine = np.isfinite(curve.time) & np.isfinite(curve.flux) & np.isfinite(curve.flux_err)
    return np.asarray(curve.mask & fine & (np.asarray(curve.flux_err) > np.finfo(np.float32).tiny))


def _binned(rows: Rows, step: float, start: float | None) -> Rows:
    """Means in bins of equal width."""
    begin = start if start is not None else float(np.floor(rows["time"].min()))
    slot = np.floor((rows["time"] - begin) / step)
    if slot.max() > MOST_BINS:
        raise AlignmentError(f"TimeGrid(step={step}) cuts {slot.max() * step:.6g} days into more than {MOST_BINS} bins; give a larger step.")
    return means(rows, slot, begin)


def means(rows: Rows, slot: Numbers, begin: float) -> Rows:
    """Means weighted by inverse variance per object, band and bin.

    A bin with detections uses them alone; a bin of upper limits is an upper limit, as deep as the deepest.

    Parameters
    ----------
    rows : dict of array
        Usable epochs: owner, time, flux, flux_err, band (integers), limit.
    slot : array, (epoch,)
        The bin of each.
    begin : float
        MJD from which times are averaged, close to them: they keep their digits.
    """
    bins, inverse = np.unique(np.stack([rows["owner"], slot.astype(np.int64), rows["band"]], axis=1), axis=0, return_inverse=True)
    inverse, n = inverse.ravel(), len(bins)
    limit = np.bincount(inverse, weights=~rows["limit"], minlength=n) == 0
    use = ~rows["limit"]
    order = np.lexsort((rows["flux_err"], inverse))  # the deepest epoch of each bin comes first
    deepest = order[np.unique(inverse[order], return_index=True)[1]]
    use[deepest[limit]] = True
    weight = np.where(use, 1 / rows["flux_err"] ** 2, 0.0)
    total = np.bincount(inverse, weights=weight, minlength=n)
    flux, when = (np.bincount(inverse, weights=weight * v, minlength=n) / total for v in (rows["flux"], rows["time"] - begin))
    return {
        "owner": bins[:, 0], "time": when + begin, "flux": flux, "flux_err": 1 / np.sqrt(total), "band": bins[:, 2],
        "mask": np.ones(n, dtype=bool), "limit": limit,
    }  # fmt: skip


def nightly(curve: LightCurve, longitude: float = 0.0) -> LightCurve:
    """One epoch a band and night: the mean weighted by inverse variance (`means`).

    Parameters
    ----------
    curve : LightCurve
        Epochs that cannot be used are left out.
    longitude : float
        Of the telescope, deg east: a night runs from noon to noon of its mean solar time.

    Raises
    ------
    AlignmentError
        If no epoch can be used.
    """
    check(curve)
    good = _good(curve)
    names, band = np.unique(curve.band[good], return_inverse=True)
    time, flux, error = (np.asarray(v, dtype=np.float64)[good] for v in (curve.time, curve.flux, curve.flux_err))
    limit = np.zeros(len(time), dtype=bool) if curve.limit is None else curve.limit[good]
    rows: Rows = {"owner": np.zeros(len(time), dtype=np.int64), "time": time, "flux": flux, "flux_err": error, "band": band.ravel().astype(np.int64), "limit": limit}
    got = means(rows, np.floor(time + longitude / 360 - 0.5), float(np.floor(time.min())))
    order = np.lexsort((got["band"], got["time"]))
    return replace(
        curve, time=got["time"][order], flux=got["flux"][order].astype(curve.flux.dtype), flux_err=got["flux_err"][order].astype(curve.flux_err.dtype),
        band=names[got["band"][order]], mask=got["mask"][order], limit=None if curve.limit is None else got["limit"][order],
    )  # fmt: skip
