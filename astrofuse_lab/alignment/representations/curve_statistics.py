"""Statistics of light curves: brightness, spread, shape and order of magnitudes, one row of numbers a curve.

Definitions: Sokolovsky et al. 2017 (MNRAS 464, 274: chi2red, roms, peak-to-peak, excess variance, 1/eta, Welch I, Stetson J, K), Stetson 1996
(PASP 108, 851), Kim et al. 2014 (A&A 566, A43: eta_e), Richards et al. 2011 (ApJ 733, 10: amplitude, beyond_1_std, percentile ratios, slopes),
Nun et al. 2015 (arXiv:1506.00010: rcs, con, gskew), Coughlin et al. 2021 (MNRAS 505, 2954: which of them, and the percentile ranges).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.machine_code import compiled
from astrofuse_lab.alignment.representations.common import Epochs

NAMES = (
    "n", "median", "wmean", "chi2red", "roms", "wstd", "norm_peak_to_peak_amp", "norm_excess_var", "median_abs_dev", "iqr", "i60r", "i70r", "i80r", "i90r",
    "skew", "small_kurtosis", "inv_von_neumann", "welch_i", "stetson_j", "stetson_k", "anderson_darling", "shapiro_wilk",
    "mean", "std", "amplitude", "beyond_1_std", "con", "eta_e", "max_slope", "linear_trend", "median_brp", "pair_slope_trend", "percent_amplitude",
    "flux_percentile_5_95", "mid20", "mid35", "mid50", "mid65", "mid80", "rcs", "gskew",
)  # fmt: skip
PUBLISHED = NAMES[:22]
"""Those of Coughlin et al. 2021 that need no period."""
FEWEST = 4
"""Epochs below which only the count is known."""


def statistics(got: Epochs) -> NDArray[np.float64]:
    """All statistics: (curve, `NAMES`), NaN where they cannot be known.

    Parameters
    ----------
    got : Epochs
        In magnitudes.
    """
    out = np.full((len(got.offsets) - 1, len(NAMES)), np.nan)
    _all(got.time, got.value, got.error, got.offsets, out)
    out[:, NAMES.index("shapiro_wilk")] = shapiro_wilk(got)
    return np.where(np.isfinite(out), out, np.nan)


def shapiro_wilk(got: Epochs) -> NDArray[np.float64]:
    """Shapiro & Wilk's W of each curve's values: 1 where they are Gaussian."""
    import warnings

    from scipy.stats import shapiro

    out = np.full(len(got.offsets) - 1, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # above 5,000 values its p may be inaccurate; W is not
        for i, (begin, end) in enumerate(zip(got.offsets[:-1], got.offsets[1:], strict=True)):
            values = got.value[begin:end]
            if len(values) >= FEWEST and np.ptp(values) > 0:
                out[i] = shapiro(values).statistic
    return out


@compiled
def _percentile(ordered: Any, share: float) -> float:
    """Linear between order statistics, as numpy's."""
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (at - low) * (ordered[high] - ordered[low]))


@compiled
def _moments(m: Any, e: Any, out: Any) -> tuple[float, float, float]:
    """mean and weighted mean, scatter, chi2, RoMS, skew, kurtosis: out[2:6], [7], [14:16], [22:24]."""
    n = len(m)
    mean = m.mean()
    weight, total = 0.0, 0.0
    for i in range(n):
        weight += 1 / e[i] ** 2
        total += m[i] / e[i] ** 2
    wmean = total / weight
    second, third, fourth, chi2, excess = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        d = m[i] - mean
        second += d * d
        third += d**3
        fourth += d**4
        chi2 += ((m[i] - wmean) / e[i]) ** 2
        excess += d * d - e[i] ** 2
    std = math.sqrt(second / (n - 1))
    out[2], out[3], out[5], out[7] = wmean, chi2 / (n - 1), math.sqrt(chi2 / weight), excess / (n * mean * mean)
    if std > 0:
        out[14] = n * third / ((n - 1) * (n - 2) * std**3)
        out[15] = n * (n + 1) / ((n - 1.0) * (n - 2) * (n - 3)) * fourth / std**4 - 3 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3))
    out[22], out[23] = mean, std
    return mean, wmean, std


@compiled
def _ranks(m: Any, e: Any, ordered: Any, scratch: Any, out: Any) -> None:
    """Median, its deviations and ranges of percentiles: out[1], [4], [6], [8:14], [24], [30], [32:39], [40]."""
    n = len(m)
    middle = _percentile(ordered, 0.5)
    roms, high, low, far = 0.0, -math.inf, math.inf, 0.0
    for i in range(n):
        off = abs(m[i] - middle)
        scratch[i] = off
        roms += off / e[i]
        high, low, far = max(high, m[i] - e[i]), min(low, m[i] + e[i]), max(far, 10 ** (-0.4 * (m[i] - middle)) - 1)
    scratch.sort()
    out[1], out[4], out[6], out[8] = middle, roms / (n - 1), (high - low) / (high + low), _percentile(scratch, 0.5)
    for k in range(5):
        share = (0.25, 0.2, 0.15, 0.1, 0.05)[k]
        out[9 + k] = _percentile(ordered, 1 - share) - _percentile(ordered, share)
    edge = max(1, math.ceil(0.05 * n))
    out[24] = 0.5 * (_percentile(ordered[n - edge :], 0.5) - _percentile(ordered[:edge], 0.5))
    near = 0
    for i in range(n):
        near += abs(m[i] - middle) < 0.1 * (ordered[-1] - ordered[0])
    out[30], out[32] = near / n, far
    wide = 10 ** (-0.4 * (_percentile(ordered, 0.05) - middle)) - 10 ** (-0.4 * (_percentile(ordered, 0.95) - middle))
    out[33] = wide
    for k in range(5):
        half = (0.1, 0.175, 0.25, 0.325, 0.4)[k]
        inner = 10 ** (-0.4 * (_percentile(ordered, 0.5 - half) - middle)) - 10 ** (-0.4 * (_percentile(ordered, 0.5 + half) - middle))
        out[34 + k] = inner / wide
    tail = max(1, math.ceil(0.03 * n))
    out[40] = _percentile(ordered[:tail], 0.5) + _percentile(ordered[n - tail :], 0.5) - 2 * middle


@compiled
def _order(t: Any, m: Any, e: Any, mean: float, wmean: float, std: float, out: Any) -> None:
    """What depends on the order in time: out[16:20], [26:30], [31], [39]."""
    n = len(m)
    scale = math.sqrt(n / (n - 1.0))
    neumann, welch, stetson, weighted, weights, steep, absolute, square = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        delta = scale * (m[i] - wmean) / e[i]
        absolute += abs(delta)
        square += delta * delta
        if i < n - 1:
            product = delta * scale * (m[i + 1] - wmean) / e[i + 1]
            welch += product / scale**2
            stetson += math.copysign(math.sqrt(abs(product)), product)
            step, apart = m[i + 1] - m[i], t[i + 1] - t[i]
            neumann += step * step
            if apart > 0:
                weighted += step * step / apart**2
                weights += 1 / apart**2
                steep = max(steep, abs(step) / apart)
    if neumann > 0:
        out[16] = std * std * (n - 1) / neumann
    out[17], out[18], out[28] = math.sqrt(1.0 / (n * (n - 1.0))) * welch, stetson / (n - 1), steep
    if square > 0:
        out[19] = absolute / n / math.sqrt(square / n)
    if std > 0 and weights > 0:
        mean_weight = weights / (n - 1)
        out[27] = mean_weight * (t[-1] - t[0]) ** 2 * weighted / (std * std * weights)


@compiled
def _runs(t: Any, m: Any, mean: float, wmean: float, std: float, wstd: float, out: Any) -> None:
    """Runs, trends and the cumulative sum: out[25:27], [29], [31], [39]."""
    n = len(m)
    beyond, runs, upward, high, low, walk = 0, 0, 0, -math.inf, math.inf, 0.0
    middle, top, bottom = t.mean(), 0.0, 0.0
    for i in range(n):
        beyond += abs(m[i] - wmean) > wstd
        if i < n - 2:
            above = m[i] > mean + 2 * std and m[i + 1] > mean + 2 * std and m[i + 2] > mean + 2 * std
            below = m[i] < mean - 2 * std and m[i + 1] < mean - 2 * std and m[i + 2] < mean - 2 * std
            runs += above or below
        if max(0, n - 31) < i:
            upward += (m[i] > m[i - 1]) - (m[i] < m[i - 1])
        walk += m[i] - mean
        high, low = max(high, walk), min(low, walk)
        top += (t[i] - middle) * (m[i] - mean)
        bottom += (t[i] - middle) ** 2
    out[25], out[26], out[31] = beyond / n, runs / max(1, n - 2), upward / min(30, n - 1)
    if bottom > 0:
        out[29] = top / bottom
    if std > 0:
        out[39] = (high - low) / (n * std)


@compiled
def _anderson_darling(ordered: Any, mean: float, std: float) -> float:
    """A squared of a Gaussian with the sample's mean and width (Anderson & Darling 1952)."""
    n, total = len(ordered), 0.0
    for i in range(n):
        below = 0.5 * math.erfc(-(ordered[i] - mean) / std / math.sqrt(2.0))
        above = 0.5 * math.erfc((ordered[n - 1 - i] - mean) / std / math.sqrt(2.0))
        total += (2 * i + 1) * (math.log(max(below, 1e-300)) + math.log(max(above, 1e-300)))
    return -n - total / n


@compiled
def _all(time: Any, value: Any, error: Any, offsets: Any, out: Any) -> None:
    """Every statistic of every curve."""
    for curve in range(len(offsets) - 1):
        begin, end = offsets[curve], offsets[curve + 1]
        row, n = out[curve], end - begin
        row[0] = n
        if n < 4:
            continue
        t, m, e = time[begin:end], value[begin:end], error[begin:end]
        ordered = np.sort(m)
        mean, wmean, std = _moments(m, e, row)
        _ranks(m, e, ordered, np.empty(n), row)
        _order(t, m, e, mean, wmean, std, row)
        _runs(t, m, mean, wmean, std, row[5], row)
        if std > 0:
            row[20] = _anderson_darling(ordered, mean, std)
