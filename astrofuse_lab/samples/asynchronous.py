"""Modalities that were not observed at one time: how far apart they are, and which are too far."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.moments import nearest
from astrofuse_lab.alignment.scene import owners
from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet


def pair_in_time(samples: SampleSet, reference: str = "time", times: Mapping[str, str] | None = None, tolerance: float | None = None) -> SampleSet:
    """Keep how many days each modality lies from a moment of the object, and leave out what is further than a tolerance.

    Parameters
    ----------
    samples : SampleSet
    reference : str
        Column with the moment, MJD: of the image, the spectrum, the alert.
    times : mapping of modality to column, optional
        The time of modalities that have one, MJD. Light curves need none: their usable epoch nearest to the moment counts.
    tolerance : float, optional
        Days. A modality further away, or of unknown time, counts as missing for that object. None: nothing is left out.

    Returns
    -------
    SampleSet
        With a column ``<modality>_gap`` for each: days after the reference, negative before it, missing where either is unknown.

    Raises
    ------
    InputError
        If a column or modality does not exist, or a time is no number.
    """
    if tolerance is not None and not tolerance >= 0:
        raise InputError(f"tolerance={tolerance}: days, zero or more.")
    moment, given = _times(samples, reference), dict(times or {})
    names = [name for name, spec in samples.modalities.items() if spec.kind == "light_curve" or name in given]
    for name in given:
        samples.spec(name)
    gaps: dict[str, tuple[NDArray[np.float64], str]] = {}
    data = {name: samples.data_of(name) for name, spec in samples.modalities.items() if spec.kind != "table"}
    for name in names:
        if name in given:
            gap = _times(samples, given[name]) - moment
        else:
            arrays = samples.arrays(name)
            good = arrays["mask"] & np.isfinite(arrays["flux"]) & arrays["present"][owners(arrays)]
            gap = nearest(arrays["time"], owners(arrays), moment, np.arange(len(samples)), mask=good).gap
        gaps[f"{name}_gap"] = (np.where(samples.present(name), gap, np.nan), "d")
        if tolerance is not None:
            if name not in data:
                raise InputError(f"times={{{name!r}: ...}}: a table is kept whole; leave it out, or drop its columns.")
            data[name] = replace(data[name], present=data[name].present & (np.abs(np.nan_to_num(gap, nan=np.inf)) <= tolerance))
    return samples.with_data(data, columns=gaps)


def _times(samples: SampleSet, name: str) -> NDArray[np.float64]:
    column = samples.column(name)
    if column.dtype.kind not in "fi":
        raise InputError(f"column {name!r} holds no numbers, so no time; MJD is expected.")
    return np.ma.filled(column.astype(np.float64), np.nan)
