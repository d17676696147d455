"""The nine numbers of a gravitational-wave alert as GWSkyNet-Multi II is given them (Raza et al. 2025, arXiv:2502.00297, section 2)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options
from astrofuse_lab.errors import InputError

SCALES: Mapping[str, tuple[bool, float]] = {
    "map_vol90_mpc3": (True, 13.864), "map_area90_deg2": (True, 4.542), "H1": (False, 1.0), "L1": (False, 1.0), "V1": (False, 1.0), "distmean_mpc": (True, 4.3588),
    "diststd_mpc": (True, 4.3588), "log_bsn": (False, 100.0), "log_bci": (False, 47.103),
}  # fmt: skip
"""In the network's order: column, whether its decimal logarithm is taken, and the largest of the authors' training set, by which it is divided
(input_normalization_factors.json; github.com/nayyer-raza/GWSkyNet-Multi @ 15c5973, MIT)."""
VOLUME = "map_vol90_mpc3"
MOST = "log_bsn"
OPTIONS: Mapping[str, Any] = {"infinite": 1.0}


def layout(given: Layout, options: Options) -> Layout:
    """Nine columns; InputError where the table lacks one."""
    lacking = [name for name in SCALES if name not in given.channels]
    if lacking:
        raise InputError(f"the table has no column {lacking[0]!r}; an alert's numbers are {', '.join(SCALES)}.")
    return Layout("table", tuple(SCALES), (len(SCALES),))


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Logarithms, the Bayes factor of signal against noise no larger than 100, and each divided by its largest.

    An infinite volume, which sets keep as a missing one, is put at `infinite`: where an alert has its other eight numbers and no volume, less than nine
    tenths of its probability has a distance at all. The default is the largest volume of the authors' training set. An alert that lacks any other
    number is missing as a whole: the network was never shown one.
    """
    values, mask = (np.asarray(arrays[field]) for field in ("values", "mask"))
    pick = [given.channels.index(name) for name in SCALES]
    out, good = np.array(values[:, pick], np.float64), np.array(mask[:, pick], bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, (name, (logarithm, largest)) in enumerate(SCALES.items()):
            column = np.log10(out[:, i]) if logarithm else np.minimum(out[:, i], largest) if name == MOST else out[:, i]
            out[:, i] = column / largest
            good[:, i] &= np.isfinite(out[:, i])
    at = list(SCALES).index(VOLUME)
    rest = np.asarray(np.delete(good, at, axis=1).all(axis=1))
    out[:, at] = np.where(good[:, at], out[:, at], float(options["infinite"]))
    good = np.broadcast_to(rest[:, None], good.shape)
    return {"values": np.where(good, out, 0.0), "mask": good.copy(), "present": np.asarray(arrays["present"]) & rest}
