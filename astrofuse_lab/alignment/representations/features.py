"""Light curves as rows of numbers: statistics, period, and a Fourier fit at that period.

Magnitudes: the fit is m = a + b (t - mean t) + sum over k of amp_k cos(2 pi k (t - mean t) / P - phi_k), with the number of harmonics, up to five, of the lowest
Bayesian information criterion (van Roestel et al. 2021, AJ 161, 267; Coughlin et al. 2021, MNRAS 505, 2954).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.representations.common import Arrays, Columns, Epochs, Layout, Options, choice, epochs
from astrofuse_lab.alignment.representations.curve_statistics import NAMES, PUBLISHED, statistics
from astrofuse_lab.alignment.representations.period_search import METHODS, periods
from astrofuse_lab.alignment.representations.periods import checked, each

Numbers = NDArray[np.float64]
HARMONICS = 5
FOURIER = (
    "f1_power", "f1_bic", "f1_a", "f1_b", "f1_amp", "f1_phi0",
    *(f"f1_rel{what}{k}" for k in range(1, HARMONICS) for what in ("amp", "phi")),
)  # fmt: skip
"""Power is the share of chi2 that the fit takes away; phases are in cycles; relphi_k is phi_(k+1) - (k+1) phi_1."""
AS_PUBLISHED = {
    **{name: name for name in (*PUBLISHED, *FOURIER)},
    "small_kurtosis": "smallkurt", "inv_von_neumann": "inv_vonneumannratio", "anderson_darling": "ad", "shapiro_wilk": "sw",
    "f1_bic": "f1_BIC",
}  # fmt: skip
"""The 36 of Coughlin et al. 2021 (22 statistics, 14 of the Fourier fit) by our names, and what ztfperiodic's and SCoPe's files call them."""
SETS = ("all", "published")
OPTIONS: Mapping[str, Any] = {"which": "all", "period": "search", "shortest": 0.1, "longest": 1000.0, "samples_per_peak": 5, "method": "lomb_scargle"}


def names(which: str) -> tuple[str, ...]:
    """Statistics of a curve, without those of its object: all, or the 36 published ones less the Fourier fit's 14."""
    return NAMES if choice("set of features", which, SETS) == "all" else PUBLISHED


def layout(given: Layout, options: Options) -> Layout:
    """The statistics of each band, then log period (days) and the Fourier fit of the object; without a period (``""``), neither."""
    checked(options)
    choice("period method", options["method"], METHODS)
    several = len(given.channels) > 1
    own = [f"{band}_{name}" if several else name for band in given.channels for name in names(options["which"])]
    made = (*own, *(() if options["period"] == "" else ("log_period", *_fourier(given.channels))))
    return Layout("table", made, (len(made),))


def _fourier(bands: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{band}_{name}" if len(bands) > 1 else name for band in bands for name in FOURIER)


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """The row of numbers of each object; what cannot be known is masked."""
    objects, bands = len(arrays["offsets"]) - 1, len(given.channels)
    got = epochs(arrays, bands, magnitudes=True)
    wanted = [NAMES.index(name) for name in names(options["which"])]
    parts = [statistics(got)[:, wanted].reshape(objects, -1)]
    if options["period"] != "":
        period = periods(arrays, options, columns)
        parts.append(np.log10(period)[:, None])
        parts.append(fourier(got.time, got.value, got.error, got.offsets, np.repeat(period, bands)).reshape(objects, -1))
    values = np.hstack(parts)
    mask = np.isfinite(values)
    return {"values": np.where(mask, values, 0.0), "mask": mask, "present": arrays["present"] & (np.diff(got.offsets).reshape(objects, bands).sum(axis=1) > 0)}


def fourier(time: Numbers, value: Numbers, error: Numbers, offsets: NDArray[np.int64], period: Numbers) -> Numbers:
    """The Fourier fit of each curve: (curve, `FOURIER`), NaN where it has no period or fewer than 5 epochs.

    Parameters
    ----------
    time, value, error : array, (epoch,)
    offsets : int array, (curve + 1,)
    period : array, (curve,)
    """
    out = np.full((len(offsets) - 1, len(FOURIER)), np.nan)
    got = Epochs(time, value, error, offsets)
    for i, row in enumerate(each(got, lambda i, span: _fit(time[span], value[span], error[span], float(period[i])))):
        if row is not None:
            out[i] = row
    return out


def _fit(time: Numbers, value: Numbers, error: Numbers, period: float) -> Numbers | None:
    """One curve: normal equations once, solved for each number of harmonics."""
    if not np.isfinite(period):
        return None
    n = len(time)
    t = time - time.mean()
    angle = 2 * np.pi * t / period
    length = max(float(np.ptp(t)), 1e-9)
    waves = [wave(k * angle) for k in range(1, HARMONICS + 1) for wave in (np.cos, np.sin)]
    design = np.stack([np.ones(n), t / length, *waves], axis=1) / error[:, None]
    level = value / error
    gram, right, total = design.T @ design, design.T @ level, float(level @ level)
    flat = total - right[0] ** 2 / gram[0, 0]
    best: tuple[float, int, Numbers, float] | None = None
    for harmonics in range(HARMONICS + 1):
        size = 2 + 2 * harmonics
        if size >= n:
            break
        found = np.linalg.lstsq(gram[:size, :size], right[:size], rcond=None)[0].astype(np.float64)
        chi2 = float(((level - design[:, :size] @ found) ** 2).sum())
        bic = chi2 + size * float(np.log(n))
        if best is None or bic < best[0]:
            best = bic, harmonics, found, chi2
    assert best is not None
    return _row(best, length, flat)


def _row(best: tuple[float, int, Numbers, float], length: float, flat: float) -> Numbers:
    """What is said of the best fit, in the order of `FOURIER`."""
    bic, harmonics, found, chi2 = best
    row = np.full(len(FOURIER), np.nan)
    row[:4] = 1 - chi2 / flat if flat > 0 else np.nan, bic, found[0], found[1] / length
    waves = np.zeros((HARMONICS, 2))
    waves[:harmonics] = found[2:].reshape(-1, 2)
    amplitude, phase = np.hypot(*waves.T), np.arctan2(waves[:, 1], waves[:, 0]) / (2 * np.pi)
    row[4] = amplitude[0]
    if harmonics:
        row[5] = phase[0] % 1.0
        row[6::2] = amplitude[1:] / amplitude[0]
        relative = (phase[1:] - np.arange(2, HARMONICS + 1) * phase[0]) % 1.0
        row[7::2] = np.where(np.arange(1, HARMONICS) < harmonics, relative, np.nan)  # a harmonic that is not there has no phase
    return row
