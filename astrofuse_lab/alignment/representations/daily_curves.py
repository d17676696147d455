"""Light curves day by day from their first detection on: one band as an even series, a Gaussian process through its epochs.

What CCSNscore's recurrent branches take (Sharma et al. 2024, arXiv:2412.08601): 200 bins of one day, flux and error, between 0 and 1 over all
bands that are shown together, so that colours stay. Its process has a squared-exponential kernel and white noise; ours is the Matern process of
`astrofuse_lab.alignment.gaussian_processes`, each band by itself with the object's own amplitude and length.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import gaussian_processes
from astrofuse_lab.alignment.bands import wavelengths
from astrofuse_lab.alignment.representations.common import Arrays, Columns, Epochs, Layout, Options, choice, epochs
from astrofuse_lab.errors import InputError

OPTIONS: Mapping[str, Any] = {"band": "r", "together": [], "days": 200, "reach": 30.0, "fewest": 3}
"""`band`: shown; `together`: those that share a first day and a scale, []: all; `reach`: days from an epoch beyond which the process is not believed;
`fewest`: epochs of the band that there must be."""
MOST_EPOCHS = 400
"""Of one object and band, evenly chosen where there are more: the process takes the cube of them."""
FLOOR = 0.01
"""Least error, as a share of the highest flux: what processes through bright epochs with tiny errors otherwise break on."""


def layout(given: Layout, options: Options) -> Layout:
    """(2, day): the band's flux and its error."""
    names = [choice("band of this light curve", name, given.channels) for name in (options["band"], *options["together"])]
    if int(options["days"]) < 2 or not options["reach"] > 0 or int(options["fewest"]) < 1:
        raise InputError(f"days={options['days']!r}, reach={options['reach']!r}, fewest={options['fewest']!r}: two days or more, days above 0, one epoch or more.")
    if options["together"] and names[0] not in names[1:]:
        raise InputError(f"band={names[0]!r} is none of together={list(options['together'])}.")
    return Layout("series", (names[0], f"{names[0]}_error"), (2, int(options["days"])), "", "time since the first detection", "d")


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """The series of each object; masked where no epoch of the band is near, absent with fewer than `fewest` of them.

    Flux is brought between 0 and 1: lowest and highest of all that is shown together; errors are in the same unit.
    """
    values, mask = every_band(arrays, given, options)
    own = list(options["together"] or given.channels).index(options["band"])
    return _series(arrays, values[:, own], mask[:, own])


def each_band(arrays: Arrays, given: Layout, options: Options) -> dict[str, Arrays]:
    """The series of every band that is shown together, made at once: one process an object."""
    values, mask = every_band(arrays, given, options)
    return {name: _series(arrays, values[:, b], mask[:, b]) for b, name in enumerate(options["together"] or given.channels)}


def _series(arrays: Arrays, values: NDArray[np.float32], mask: NDArray[np.bool_]) -> Arrays:
    return {"axis": np.arange(values.shape[-1]) + 0.5, "values": np.where(mask, values, 0.0).astype(np.float32), "mask": mask, "present": arrays["present"] & mask.any(axis=(1, 2))}


def every_band(arrays: Arrays, given: Layout, options: Options) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Flux and error, and where they are known: (object, band, 2, day) each, in the order of `together`."""
    days, objects = int(options["days"]), len(arrays["offsets"]) - 1
    names = list(options["together"] or given.channels)
    which, place = [given.channels.index(name) for name in names], wavelengths(names)
    got = epochs(arrays, len(given.channels), magnitudes=False)
    values, mask = np.zeros((objects, len(names), 2, days), dtype=np.float32), np.zeros((objects, len(names), 2, days), dtype=bool)
    for i in range(objects):
        one = _epochs_of(got, i, len(given.channels), which, days)
        if one is None or np.bincount(one["band"]).max() < int(options["fewest"]):
            continue
        error = np.hypot(one["error"], FLOOR * np.abs(one["flux"]).max())
        process = gaussian_processes.fit(*(v[None] for v in (one["time"], one["flux"], error, place[one["band"]], np.ones(len(error), dtype=bool))), band_length=0.0)
        shown, number = np.unique(one["band"], return_counts=True)
        mean, variance, near = (v[0] for v in gaussian_processes.predict(process, np.arange(days) + 0.5, place[shown], float(options["reach"])))
        low, high = float(mean[near].min()), float(mean[near].max())
        values[i, shown] = np.stack([mean - low, np.sqrt(variance)], 1) / (high - low or 1.0)
        mask[i, shown] = near[:, None] & (number >= int(options["fewest"]))[:, None, None]
    return values, mask


def _epochs_of(got: Epochs, i: int, bands: int, which: list[int], days: int) -> dict[str, Any] | None:
    """Days since the first detection, flux, error and place in `which` of one object's epochs; None without any."""
    rows = [np.arange(got.offsets[i * bands + b], got.offsets[i * bands + b + 1]) for b in which]
    if not sum(map(len, rows)):
        return None
    first = min(got.time[some].min() for some in rows if len(some))
    rows = [some[got.time[some] - first < days] for some in rows]
    rows = [some if len(some) <= MOST_EPOCHS else some[np.linspace(0, len(some) - 1, MOST_EPOCHS).astype(int)] for some in rows]
    every = np.concatenate(rows)
    band = np.repeat(np.arange(len(which)), [len(some) for some in rows])
    return {"time": got.time[every] - first, "flux": got.value[every], "error": got.error[every], "band": band}
