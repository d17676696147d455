"""How soon a run knows: its light curves cut off some days after their first detection."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet

DETECTED = 5.0
"""Sigma of a first detection."""


def triggers(samples: SampleSet, modality: str, sigma: float = DETECTED, count: int = 1) -> NDArray[np.float64]:
    """Time of the detection that makes it `count` of them, (sample,), as `astrofuse_lab.alignment.moments.first_detection` finds it; NaN without one."""
    arrays = samples.arrays(modality)
    flux, error = (np.asarray(arrays[n], dtype=np.float64) for n in ("flux", "flux_err"))
    found = arrays["mask"] & np.isfinite(arrays["time"]) & np.isfinite(flux) & np.isfinite(error) & (error > 0)
    found &= np.where(found, flux, 0.0) >= sigma * np.where(found, error, 1.0)
    if "limit" in arrays:
        found &= ~arrays["limit"]
    out = np.full(len(samples), np.nan)
    for i, (begin, end) in enumerate(zip(arrays["offsets"][:-1], arrays["offsets"][1:], strict=True)):
        times = np.sort(arrays["time"][begin:end][found[begin:end]])
        if len(times) >= count and arrays["present"][i]:
            out[i] = times[count - 1]
    return out


def known_by(samples: SampleSet, modalities: Sequence[str], day: float, sigma: float = DETECTED, count: int = 1) -> tuple[SampleSet, NDArray[np.int64]]:
    """The samples with what their light curves knew `day` days after the trigger, and how many epochs that were: (sample,).

    The first trigger of all light curves counts. Without any trigger nothing was known: the light curves are missing.
    Other modalities stay as they are: what they know of later times is up to who uses them.

    Raises
    ------
    InputError
        If none of the modalities is a light curve.
    """
    curves = [name for name in modalities if samples.spec(name).kind == "light_curve"]
    if not curves:
        raise InputError(f"early times are of light curves, and the run uses {', '.join(modalities)}.")
    times = np.stack([triggers(samples, name, sigma, count) for name in curves])
    first = np.where(np.isfinite(times), times, np.inf).min(axis=0)
    data, epochs = {name: samples.data_of(name) for name in samples.modalities if name != "table"}, np.zeros(len(samples), dtype=np.int64)
    for name in curves:
        arrays = samples.arrays(name)
        present = arrays.pop("present")
        owner = np.repeat(np.arange(len(samples)), np.diff(arrays["offsets"]))
        # as moments.known_by: an epoch at that very time is known
        known = np.isfinite(first)[owner] & (arrays["time"] <= np.where(np.isfinite(first), first, 0.0)[owner] + day)
        arrays["mask"] = arrays["mask"] & known
        left = np.bincount(owner[arrays["mask"]], minlength=len(samples))
        data[name] = ModalityData(samples.spec(name), arrays, present & (left > 0))
        epochs += left
    return samples.with_data(data), epochs
