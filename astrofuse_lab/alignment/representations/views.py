"""Series and pictures as published networks were given them: some channels of many, side by side as one, without wild outliers; brought to one peak."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options, choice
from astrofuse_lab.errors import InputError

VIEW: Mapping[str, Any] = {"channels": (), "join": False, "clip": 0.0}
"""`channels`: which, in this order, (): all; `join`: end to end as one channel; `clip`: values beyond this are this, 0: none are."""

PEAK: Mapping[str, Any] = {"to": 255.0}


def layout(given: Layout, options: Options) -> Layout:
    """Fewer channels; or one, as long as all of them."""
    names = tuple(choice("channel of this series", name, given.channels) for name in options["channels"]) or given.channels
    if not options["clip"] >= 0:
        raise InputError(f"clip={options['clip']!r}: a number above 0, in the units of the series, or 0 for none.")
    length = given.shape[-1]
    if options["join"]:
        return Layout("series", ("+".join(names),), (1, len(names) * length), given.unit, "sample", "")
    return given._replace(channels=names, shape=(len(names), length))


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Nigraha (Rao et al. 2021, arXiv:2101.09227) sees the secondary and the primary eclipse as one row of 162, after views whose outliers reach hundreds."""
    pick = [given.channels.index(name) for name in options["channels"] or given.channels]
    mask = arrays["mask"][:, pick] & np.isfinite(arrays["values"][:, pick])
    values = np.where(mask, arrays["values"][:, pick], 0.0)
    if options["clip"]:
        values = np.clip(values, -float(options["clip"]), float(options["clip"]))
    axis = arrays["axis"]
    if options["join"]:
        values, mask = (one.reshape(len(one), 1, -1) for one in (values, mask))
        axis = np.arange(values.shape[-1], dtype=np.float64)
    return {"axis": axis, "values": values.astype(np.float32), "mask": mask, "present": arrays["present"] & mask.any(axis=(1, 2))}


def peak_layout(given: Layout, options: Options) -> Layout:
    """As it was, without a unit."""
    if not options["to"] > 0:
        raise InputError(f"to={options['to']!r}: what the largest value becomes, a number above 0.")
    return given._replace(unit="")


def peak_run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Each picture divided by its largest good value and times `to`; one without a value above zero is left as it is.

    Kumar et al. 2025 (arXiv:2507.14854): dynamic spectra are so brought to 255, whatever the fluence.
    """
    mask = arrays["mask"] & np.isfinite(arrays["flux"])
    flux = np.where(mask, arrays["flux"], 0.0).astype(np.float64)
    top = flux.max(axis=(1, 2, 3), keepdims=True)
    flux = flux * np.where(top > 0, float(options["to"]) / np.where(top > 0, top, 1.0), 1.0)
    return {"flux": flux.astype(np.float32), "mask": mask, "present": arrays["present"].copy()}
