"""How orderly a light curve is when folded: conditional entropy and analysis of variance, at any frequencies.

Graham et al. 2013 (MNRAS 434, 2629): the curve is folded, its magnitudes brought to 0 to 1, and the unit square divided into phase x magnitude
cells. With p(m_i, phi_j) the share of epochs in a cell and p(phi_j) that in its column,

    H = sum over i, j of p(m_i, phi_j) ln(p(phi_j) / p(m_i, phi_j))

is least where the fold is most orderly. Analysis of variance: of bins of phase (Schwarzenberg-Czerny 1989, MNRAS 241, 153) and of a Fourier
series (Schwarzenberg-Czerny 1996, ApJ 460, L107). The methods are those of ztfperiodic (Coughlin et al. 2021), written from the papers.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.machine_code import compiled
from astrofuse_lab.alignment.representations.common import Epochs
from astrofuse_lab.alignment.representations.periods import each

Numbers = NDArray[np.float64]
PHASES, LEVELS = 20, 10
"""Cells of phase and of magnitude, as SCoPe has them."""


def entropy(time: Numbers, value: Numbers, frequency: Numbers, phases: int = PHASES, levels: int = LEVELS) -> Numbers:
    """Conditional entropy of one curve at each frequency, in nats: low where it folds well.

    Parameters
    ----------
    time, value : array, (epoch,)
        Days and magnitudes.
    frequency : array, (frequency,)
        1/day.
    phases, levels : int
        Cells of phase and of magnitude.
    """
    out = np.empty(len(frequency))
    _entropy(np.asarray(time, np.float64), levels_of(value, levels), np.asarray(frequency, np.float64), phases, levels, gains(len(time)), out)
    return out


def entropies(got: Epochs, frequency: Numbers, phases: int = PHASES, levels: int = LEVELS) -> Numbers:
    """The same of many curves at the same frequencies: (curve, frequency); NaN of a curve without epochs."""
    rows = each(got, lambda _, span: entropy(got.time[span], got.value[span], frequency, phases, levels), 1)
    return np.array([np.full(len(frequency), np.nan) if row is None else row for row in rows]).reshape(-1, len(frequency))


def levels_of(value: Numbers, levels: int) -> NDArray[np.int32]:
    """The cell of each magnitude, the range of the curve divided evenly; its top belongs to the last cell."""
    low, wide = float(value.min()), float(np.ptp(value))
    share = (value - low) / wide if wide > 0 else np.zeros(len(value))
    return np.minimum((share * levels).astype(np.int32), levels - 1).astype(np.int32)


def gains(most: int) -> Numbers:
    """What the sum of c ln c grows by when a cell of c epochs gets one more: so no logarithm is taken and no cell visited again."""
    count = np.arange(most + 1, dtype=np.float64)
    sums = count * np.log(np.maximum(count, 1))
    return np.asarray(np.diff(sums))


@compiled
def _entropy(time: Any, level: Any, frequency: Any, phases: int, levels: int, gain: Any, out: Any) -> None:
    """H = (sum of column counts' c ln c less that of the cells') / N."""
    n = len(time)
    turns, column = np.empty(n), np.empty(n, np.int32)
    cells, columns = np.zeros(phases * levels, np.int32), np.zeros(phases, np.int32)
    for k in range(len(frequency)):
        # the product is stored before its whole part is taken off: one fused step would move epochs across cells
        for i in range(n):
            turns[i] = time[i] * frequency[k]
        for i in range(n):
            column[i] = min(int((turns[i] - math.floor(turns[i])) * phases), phases - 1)
        cells[:] = 0
        columns[:] = 0
        total = 0.0
        for i in range(n):
            j = column[i]
            at = j * levels + level[i]
            total += gain[columns[j]] - gain[cells[at]]
            columns[j] += 1
            cells[at] += 1
        out[k] = total / n


def variance(time: Numbers, value: Numbers, frequency: Numbers, phases: int = PHASES, error: Numbers | None = None) -> Numbers:
    """Theta of one curve at each frequency: variance between bins of phase over that within them (Schwarzenberg-Czerny 1989, eq. 1 to 5).

    Bins without an epoch do not count; 0 where there are too few epochs for the bins. It is the F of a one-way analysis of variance; with errors,
    epochs weigh by their inverse squares, as in the paper of 1996.
    """
    out = np.empty(len(frequency))
    weight = np.ones(len(value)) if error is None else 1 / np.asarray(error, np.float64) ** 2
    about = np.asarray(value - np.average(value, weights=weight), np.float64)
    _variance(np.asarray(time, np.float64), about, weight / weight.mean(), np.asarray(frequency, np.float64), phases, out)
    return out


@compiled
def _variance(time: Any, value: Any, weight: Any, frequency: Any, phases: int, out: Any) -> None:
    n = len(time)
    square = 0.0
    for i in range(n):
        square += weight[i] * value[i] * value[i]
    turns, count, total = np.empty(n), np.zeros(phases), np.zeros(phases)
    for k in range(len(frequency)):
        for i in range(n):
            turns[i] = time[i] * frequency[k]
        count[:] = 0.0
        total[:] = 0.0
        for i in range(n):
            j = min(int((turns[i] - math.floor(turns[i])) * phases), phases - 1)
            count[j] += weight[i]
            total[j] += weight[i] * value[i]
        between, filled = 0.0, 0
        for j in range(phases):
            if count[j] > 0:
                filled += 1
                between += total[j] * total[j] / count[j]
        within = square - between
        fits = filled > 1 and n > filled and square > 0
        out[k] = (between / (filled - 1)) / (max(within, 1e-14 * square) / (n - filled)) if fits else 0.0


def harmonic_variance(time: Numbers, value: Numbers, error: Numbers, frequency: Numbers, harmonics: int = 3) -> Numbers:
    """Theta of one curve at each frequency with a Fourier series for a model (Schwarzenberg-Czerny 1996, eq. 11).

    What the series explains is found by weighted least squares, which is what his orthogonal polynomials project on. 0 where there are no
    more epochs than coefficients.

    Parameters
    ----------
    time, value, error : array, (epoch,)
    frequency : array, (frequency,)
    harmonics : int
    """
    out = np.empty(len(frequency))
    weight = 1 / np.asarray(error, np.float64) ** 2
    about = value - np.average(value, weights=weight)
    _harmonic(np.asarray(time, np.float64), np.asarray(about, np.float64), weight / weight.sum(), np.asarray(frequency, np.float64), harmonics, out)
    return out


@compiled
def _harmonic(time: Any, value: Any, weight: Any, frequency: Any, harmonics: int, out: Any) -> None:
    """Sums of cosines and sines up to twice the harmonics give the normal equations, solved by Cholesky's factors."""
    n, size = len(time), 2 * harmonics + 1
    square = 0.0
    for i in range(n):
        square += weight[i] * value[i] * value[i]
    c, s = np.empty(2 * harmonics + 1), np.empty(2 * harmonics + 1)
    gram, right = np.empty((size, size)), np.empty(size)
    for k in range(len(frequency)):
        out[k] = 0.0
        if n <= size or square <= 0:
            continue
        c[:] = 0.0
        s[:] = 0.0
        right[:] = 0.0
        for i in range(n):
            angle = 2 * math.pi * frequency[k] * time[i]
            step_c, step_s = math.cos(angle), math.sin(angle)
            now_c, now_s = 1.0, 0.0
            for h in range(2 * harmonics + 1):
                c[h] += weight[i] * now_c
                s[h] += weight[i] * now_s
                if h <= harmonics:
                    right[h] += weight[i] * value[i] * now_c
                    if h > 0:
                        right[harmonics + h] += weight[i] * value[i] * now_s
                now_c, now_s = now_c * step_c - now_s * step_s, now_c * step_s + now_s * step_c
        for a in range(harmonics + 1):
            for b in range(harmonics + 1):
                gram[a, b] = 0.5 * (c[a + b] + c[abs(a - b)])
                if b > 0:
                    gram[a, harmonics + b] = 0.5 * (s[a + b] + (s[b - a] if b >= a else -s[a - b]))
                    gram[harmonics + b, a] = gram[a, harmonics + b]
                    if a > 0:
                        gram[harmonics + a, harmonics + b] = 0.5 * (c[abs(a - b)] - c[a + b])
        explained = _explained(gram, right)
        out[k] = (n - size) * explained / (2 * harmonics * max(square - explained, 1e-14 * square))


@compiled
def _explained(gram: Any, right: Any) -> float:
    """right' gram^-1 right, by the Cholesky factor that overwrites gram; directions that the epochs cannot tell from others are left out."""
    total = 0.0
    size = len(right)
    for a in range(size):
        own = gram[a, a]
        for m in range(a):
            own -= gram[a, m] * gram[a, m]
        if own < 1e-10:
            for b in range(a, size):
                gram[b, a] = 0.0
            continue
        root = math.sqrt(own)
        gram[a, a] = root
        for b in range(a + 1, size):
            mixed = gram[b, a]
            for m in range(a):
                mixed -= gram[b, m] * gram[a, m]
            gram[b, a] = mixed / root
        known = right[a]
        for m in range(a):
            known -= gram[a, m] * right[m]
        right[a] = known / root
        total += right[a] * right[a]
    return total
