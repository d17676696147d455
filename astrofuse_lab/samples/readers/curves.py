"""Light curves of data sets as the fields of a sample set: magnitudes to fluxes, epochs in order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

AB_ZERO = 3631e6
"""Microjansky at AB magnitude zero (Oke & Gunn 1983, ApJ 266, 713)."""
BRIGHTEST, FAINTEST = 0.0, 40.0
"""Magnitudes outside are errors of a pipeline and masked."""


def from_magnitudes(
    offsets: NDArray[np.integer[Any]], time: NDArray[np.float64], magnitude: NDArray[np.floating[Any]], error: NDArray[np.floating[Any]],
    band: NDArray[np.integer[Any]] | None = None, limit: NDArray[np.bool_] | None = None, good: NDArray[np.bool_] | None = None,
    zero: float = AB_ZERO, sigma: float = 5.0,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """The fields of light curves given in magnitudes.

    Parameters
    ----------
    offsets : int array, (object + 1,)
    time : array, (epoch,)
        In any order within an object; the answer is in order of time.
    magnitude, error : array, (epoch,)
        An upper limit's magnitude is its depth at `sigma`.
    band : int array, (epoch,), optional
        Index into the channels; None: one band.
    limit, good : bool array, (epoch,), optional
        True for upper limits; False for epochs to mask.
    zero : float
        Microjansky at magnitude zero.
    sigma : float
        At how many standard deviations upper limits are given.

    Returns
    -------
    dict
        As `samples.arrays.FIELDS`: flux = zero x 10^(-0.4 m), flux_err = flux x error x ln(10) / 2.5; of a limit, 0 and its depth / sigma.
        ``limit`` only where it was given.
    """
    upper = np.zeros(len(time), dtype=bool) if limit is None else limit
    mask = (magnitude > BRIGHTEST) & (magnitude < FAINTEST) & np.isfinite(time) & (upper | ((error > 0) & np.isfinite(error)))
    if good is not None:
        mask &= good
    size = zero * 10 ** (-0.4 * np.where(mask, magnitude, 99.0).astype(np.float64))
    flux = np.where(upper, 0.0, size)
    flux_err = np.where(upper, size / sigma, size * np.where(mask & ~upper, error, 0.0) * np.log(10) / 2.5)
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.lexsort((np.where(np.isfinite(time), time, np.inf), owner))
    fields: dict[str, NDArray[Any]] = {
        "offsets": np.asarray(offsets, dtype=np.int64), "time": np.asarray(time, dtype=np.float64)[order],
        "flux": np.where(mask, flux, 0.0).astype(np.float32)[order], "flux_err": np.where(mask, flux_err, 0.0).astype(np.float32)[order],
        "band": np.zeros(len(time), dtype=np.int8) if band is None else band.astype(np.int8)[order], "mask": mask[order],
    }  # fmt: skip
    return fields if limit is None else fields | {"limit": upper[order]}


def has_epoch(fields: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Which objects have at least one good epoch."""
    offsets = fields["offsets"]
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return np.asarray(np.bincount(owner[fields["mask"]], minlength=len(offsets) - 1) > 0)


def end_to_end(parts: Sequence[tuple[NDArray[np.int64], Sequence[NDArray[Any]]]]) -> tuple[NDArray[np.int64], list[NDArray[Any]], NDArray[np.int64]]:
    """Curves kept apart, one part a band, merged object by object.

    Parameters
    ----------
    parts : sequence of (offsets, columns)
        The same objects in each part; each part's columns are (epoch,) and in the same order in all parts.

    Returns
    -------
    offsets : int64 array, (object + 1,)
    columns : list of array
    part : int64 array, (epoch,)
        Which part each epoch is from.
    """
    owners = [np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)) for offsets, _ in parts]
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(parts[0][0]) - 1)
    columns = [np.concatenate([part[1][c] for part in parts])[order] for c in range(len(parts[0][1]))]
    part_of = np.repeat(np.arange(len(parts)), [len(o) for o in owners])[order]
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), columns, part_of
