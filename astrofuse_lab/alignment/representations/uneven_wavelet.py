"""The wavelet transform of unevenly sampled light curves: Foster's weighted wavelet Z.

Foster 1996 (AJ 112, 1709): at each time and frequency a constant and a sinusoid are fitted with weights that fall off as a Gaussian of the
distance in time; Z compares what the fit explains with what it leaves.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.machine_code import compiled
from astrofuse_lab.alignment.representations.common import Arrays, Columns, Epochs, Layout, Options, epochs
from astrofuse_lab.errors import InputError

OPTIONS: Mapping[str, Any] = {"rows": 64, "columns": 64, "shortest": 0.5, "longest": 500.0, "decay": 0.0125, "log": True}
FEWEST = 5.0
"""Effective number of epochs below which nothing is said: the fit has three numbers."""


def frequencies(options: Options) -> NDArray[np.float64]:
    """Of the rows, 1/day, from low to high."""
    if not 0 < options["shortest"] < options["longest"] or options["rows"] < 1 or options["columns"] < 1 or options["decay"] <= 0:
        raise InputError(
            f"shortest={options['shortest']!r}, longest={options['longest']!r}, decay={options['decay']!r}: periods in days, 0 < shortest < longest; "
            "rows, columns and decay above zero."
        )
    return np.geomspace(1 / options["longest"], 1 / options["shortest"], int(options["rows"]))


def layout(given: Layout, options: Options) -> Layout:
    """(band, frequency from low to high, column): columns run evenly from an object's first epoch to its last."""
    return Layout("image", given.channels, (len(given.channels), len(frequencies(options)), int(options["columns"])))


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Z, or log10(1 + Z); masked where fewer than `FEWEST` epochs count."""
    bands, rows, wide = len(given.channels), frequencies(options), int(options["columns"])
    got = epochs(arrays, bands, magnitudes=True)
    values = wwz(got, bands, rows, wide, float(options["decay"])).reshape(-1, bands, len(rows), wide)
    mask = np.isfinite(values)
    values = np.log10(1 + np.maximum(values, 0)) if options["log"] else values
    return {"flux": np.where(mask, values, 0.0).astype(np.float32), "mask": mask, "present": arrays["present"] & mask.any(axis=(1, 2, 3))}


def wwz(got: Epochs, bands: int, rows: NDArray[np.float64], columns: int, decay: float = 0.0125) -> NDArray[np.float64]:
    """Z of each curve: (curve, row, column), NaN where fewer than `FEWEST` epochs count.

    Parameters
    ----------
    got : Epochs
    bands : int
        Curves of one object, which share its columns.
    rows : array, (row,)
        Frequencies, 1/day.
    columns : int
    decay : float
        Weights are exp(-decay (2 pi f (t - tau))^2); 0.0125 is Foster's.
    """
    out = np.full((len(got.offsets) - 1, len(rows), columns), np.nan)
    _wwz(got.time, got.value, got.offsets, bands, rows, decay, out)
    return out


@compiled
def _wwz(time: Any, value: Any, offsets: Any, bands: int, rows: Any, decay: float, out: Any) -> None:
    """Every cell of every curve."""
    columns = out.shape[2]
    for curve in range(out.shape[0]):
        begin, end = offsets[curve], offsets[curve + 1]
        first, last = math.inf, -math.inf
        for other in range(curve // bands * bands, curve // bands * bands + bands):
            if offsets[other + 1] > offsets[other]:
                first, last = min(first, time[offsets[other]]), max(last, time[offsets[other + 1] - 1])
        for row in range(len(rows)):
            for column in range(columns):
                tau = first + (column + 0.5) / columns * (last - first)
                out[curve, row, column] = _cell(time[begin:end], value[begin:end], 2 * math.pi * rows[row], tau, decay)


@compiled
def _cell(time: Any, value: Any, omega: float, tau: float, decay: float) -> float:
    """Z = (N - 3) V_y / (2 (V_x - V_y)) (Foster 1996, eq. 5-11), with the sinusoid's sums about their weighted means."""
    total, squares, c, s, y = 0.0, 0.0, 0.0, 0.0, 0.0
    cc, ss, cs, yc, ys, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(time)):
        angle = omega * (time[i] - tau)
        power = decay * angle * angle
        if power > 30:
            continue
        weight, cosine, sine = math.exp(-power), math.cos(angle), math.sin(angle)
        total, squares, y, yy = total + weight, squares + weight * weight, y + weight * value[i], yy + weight * value[i] * value[i]
        c, s, cc, ss, cs = c + weight * cosine, s + weight * sine, cc + weight * cosine * cosine, ss + weight * sine * sine, cs + weight * cosine * sine
        yc, ys = yc + weight * value[i] * cosine, ys + weight * value[i] * sine
    if squares == 0 or total * total / squares < 5.0:
        return math.nan
    count = total * total / squares
    c, s, y = c / total, s / total, y / total
    cc, ss, cs, yc, ys, yy = cc / total - c * c, ss / total - s * s, cs / total - c * s, yc / total - y * c, ys / total - y * s, yy / total - y * y
    spread = cc * ss - cs * cs
    if spread <= 1e-9 or yy <= 0:
        return math.nan
    explained = (yc * yc * ss + ys * ys * cc - 2 * yc * ys * cs) / spread
    left = max(yy - explained, 1e-12 * yy)
    return (count - 3) * explained / (2 * left)
