"""Periods by several methods, singly or one after another, with what the Earth's rotation makes of them.

`METHODS`: Lomb-Scargle, conditional entropy, analysis of variance of bins or of a Fourier series, and ``nested``, in which the best frequencies of
Lomb-Scargle and of conditional entropy are judged by the analysis of variance (ELS_ECE_EAOV of ztfperiodic and SCoPe: Coughlin et al. 2021,
MNRAS 505, 2954; Healy et al. 2024, ApJS 272, 14). Written from the papers' descriptions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.representations import folded_statistics as folded
from astrofuse_lab.alignment.representations.common import SEARCH, Arrays, Columns, Epochs, Layout, Options, choice, epochs, number
from astrofuse_lab.alignment.representations.periods import FEWEST, binned, checked, each, grid, power, search, together
from astrofuse_lab.errors import InputError

Numbers = NDArray[np.float64]
METHODS = ("lomb_scargle", "conditional_entropy", "aov", "aov_harmonic", "nested")
SIDEREAL_DAY = 0.99726956633
"""Mean solar days (IERS)."""
SHIFTS = (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0)
"""Cycles a sidereal day by which nightly observing mistakes a frequency."""
TERRESTRIAL = ((0.0325, 0.0345), (0.328, 0.339), (0.495, 0.507), (0.98, 1.025), (1.98, 2.03), (2.98, 3.035), (3.98, 4.04))
"""1/day: the month, and the day with its multiples and parts, solar to sidereal; our own choice of widths."""
TOP = 10
CLIP = 5.0
AROUND = 10
"""Finer steps either side at which a chosen frequency is judged."""


class Search(NamedTuple):
    """How periods are looked for.

    Attributes
    ----------
    method : str
        Of `METHODS`.
    shortest, longest : float
        Days; the highest frequency is 1 / shortest.
    samples_per_peak : int
    phases, levels : int
        Cells of conditional entropy; `phases` also of the analysis of variance.
    harmonics : int
        Of the Fourier series.
    top : int
        Frequencies that each method hands on to ``nested``.
    masked : sequence of (low, high)
        Frequencies, 1/day, that are never answers, e.g. `TERRESTRIAL`.
    clip : float
        Before folding, magnitudes farther than this from the median, in robust standard deviations, are brought there: one outlier would else
        leave all others in one cell of magnitude. 0: none are. Lomb-Scargle sees them as they are.
    turns : float
        A curve must hold this many of its periods: bins follow any trend that is seen once. 0: as long as `longest` says.
    fewest : int
        Epochs below which no period is given.
    """

    method: str = "lomb_scargle"
    shortest: float = 0.1
    longest: float = 1000.0
    samples_per_peak: int = 5
    phases: int = folded.PHASES
    levels: int = folded.LEVELS
    harmonics: int = 3
    top: int = TOP
    masked: Sequence[tuple[float, float]] = ()
    clip: float = CLIP
    turns: float = 2.0
    fewest: int = FEWEST


def found(got: Epochs, how: Search) -> tuple[Numbers, Numbers]:
    """The best period of each curve, days, and how far its statistic stands out.

    Parameters
    ----------
    got : Epochs
        In magnitudes.
    how : Search

    Returns
    -------
    period, significance : array, (curve,)
        The significance is the power of ``lomb_scargle``, Theta of the analyses of variance and of ``nested``, and for
        ``conditional_entropy`` the depth below the mean in standard deviations. NaN where there is no period.

    Raises
    ------
    InputError
        For periods or samples out of range.
    UnknownNameError
        For an unknown method.
    """
    choice("period method", how.method, METHODS)
    checked(how._asdict())
    if how.method == "lomb_scargle" and not how.masked and not how.turns and how.fewest <= FEWEST:
        return search(got, how.shortest, how.longest, how.samples_per_peak)

    def one(_: int, span: slice) -> tuple[float, float]:
        time, value, error = got.time[span] - got.time[span.start], got.value[span], got.error[span]
        longest = min(how.longest, float(np.ptp(time)) / how.turns) if how.turns else how.longest
        if np.ptp(value) == 0 or longest <= how.shortest:
            return np.nan, np.nan
        own = how._replace(longest=longest)
        best = _nested(time, value, error, own) if how.method == "nested" else _single(time, value, error, own)
        return 1 / best[0], best[1]

    pairs = [(np.nan, np.nan) if answer is None else answer for answer in each(got, one, max(how.fewest, FEWEST))]
    period, significance = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return period, significance


def spectrum(time: Numbers, value: Numbers, error: Numbers, how: Search) -> tuple[Numbers, Numbers]:
    """Frequencies (1/day) and the method's statistic at each, high where the fold is good; masked frequencies are -inf."""
    low, step, count = grid(time, how.shortest, how.longest, how.samples_per_peak)
    frequency = np.asarray(low + step * np.arange(count), dtype=np.float64)
    if how.method in ("lomb_scargle", "nested"):
        made = power(time, value, error, low, step, count)
    else:
        made = STATISTICS[how.method](time, clipped(value, how.clip), error, frequency, how)
    if how.method == "conditional_entropy":
        made = (made - made.mean()) / max(float(made.std()), 1e-300)
    for begin, end in how.masked:
        made[(frequency >= begin) & (frequency <= end)] = -np.inf
    return frequency, made


STATISTICS: Mapping[str, Callable[[Numbers, Numbers, Numbers, Numbers, Search], Numbers]] = {
    "conditional_entropy": lambda time, value, error, frequency, how: -folded.entropy(time, value, frequency, how.phases, how.levels),
    "aov": lambda time, value, error, frequency, how: folded.variance(time, value, frequency, how.phases, error),
    "aov_harmonic": lambda time, value, error, frequency, how: folded.harmonic_variance(time, value, error, frequency, how.harmonics),
}
"""The statistic of each method that folds: high where the fold is good."""


def clipped(value: Numbers, clip: float) -> Numbers:
    """Magnitudes no farther from their median than `clip` robust standard deviations (1.4826 MAD)."""
    middle = float(np.median(value))
    wide = clip * 1.4826 * float(np.median(np.abs(value - middle)))
    return np.clip(value, middle - wide, middle + wide) if wide > 0 else value


def peaks(values: Numbers, top: int) -> NDArray[np.int64]:
    """Places of the highest local maxima, the highest first."""
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    place = np.flatnonzero((values >= padded[:-2]) & (values > padded[2:]) & np.isfinite(values))
    return np.asarray(place[np.argsort(-values[place], kind="stable")[:top]])


def _single(time: Numbers, value: Numbers, error: Numbers, how: Search) -> tuple[float, float]:
    frequency, values = spectrum(time, value, error, how)
    at = int(values.argmax())
    return float(frequency[at]), float(values[at])


def _nested(time: Numbers, value: Numbers, error: Numbers, how: Search) -> tuple[float, float]:
    """Candidates of two methods, with the sidereal aliases of the best of each, judged by the third."""
    candidates: list[float] = []
    step = 0.0
    for method in ("lomb_scargle", "conditional_entropy"):
        frequency, values = spectrum(time, value, error, how._replace(method=method))
        step = float(frequency[1] - frequency[0]) if len(frequency) > 1 else 0.0
        best = frequency[peaks(values, how.top)]
        candidates += [*best, *(np.abs(best[:1, None] + np.array(SHIFTS[1:]) / SIDEREAL_DAY).ravel())]
    near = np.add.outer(np.array(candidates), step * np.linspace(-1, 1, 2 * AROUND + 1)).ravel()
    near = near[(near >= 1 / how.longest) & (near <= 1 / how.shortest)]
    for begin, end in how.masked:
        near = near[(near < begin) | (near > end)]
    if not len(near):
        return np.nan, np.nan
    # bins, not a series: of a curve with one bump a series with harmonics says the same of its period and of twice that
    theta = folded.variance(time, clipped(value, how.clip), near, how.phases, error)
    return float(near[theta.argmax()]), float(theta.max())


# ---- what a period is to the true one ---------------------------------------------------------------------------------

RELATIONS = ("same", "half", "double", "alias", "other")


def relation(period: Numbers, truth: Numbers, length: Numbers | float, slip: float = 0.5, loose: float = 1e-3) -> NDArray[np.str_]:
    """What each found period is to the true one, of `RELATIONS`; ``"none"`` where there is none.

    Two frequencies are one if over the curve's length they drift apart by less than `slip` cycles, or differ by less than the share `loose`.
    ``alias``: the true one, its half or double, shifted by a number of `SHIFTS` cycles a sidereal day.

    Parameters
    ----------
    period, truth : array, (curve,)
        Days.
    length : array or float
        Days between first and last epoch.
    slip, loose : float
    """
    said = np.full(len(period), "other", dtype="U6")
    with np.errstate(divide="ignore", invalid="ignore"):
        frequency, true = 1 / np.asarray(period, np.float64), 1 / np.asarray(truth, np.float64)

        def near(expected: Numbers) -> NDArray[np.bool_]:
            return np.asarray(np.abs(frequency - expected) <= np.maximum(slip / np.asarray(length), loose * expected))

        for factor in (1.0, 2.0, 0.5):
            for shift in SHIFTS[1:]:
                said[near(np.abs(factor * true + shift / SIDEREAL_DAY))] = "alias"
        for name, factor in (("double", 0.5), ("half", 2.0), ("same", 1.0)):
            said[near(factor * true)] = name
    said[~np.isfinite(frequency) | ~np.isfinite(true)] = "none"
    return said


def aliased(period: Numbers, length: Numbers | float, slip: float = 0.5) -> NDArray[np.bool_]:
    """True where a found period is one that nightly observing makes: a whole or half number of cycles a solar or sidereal day.

    Needs no truth: on unlabelled curves, how often this happens beside how often it would by chance says how far periods may be trusted.
    """
    frequency = 1 / np.asarray(period, np.float64)
    near = np.zeros(len(frequency), dtype=bool)
    for day in (1.0, SIDEREAL_DAY):
        for shift in SHIFTS[1::2]:
            near |= np.abs(frequency - shift / day) <= slip / np.asarray(length)
    return near


# ---- as representations ask for them ----------------------------------------------------------------------------------


def periods(arrays: Arrays, options: Options, columns: Columns) -> Numbers:
    """The period of each object, days, as the option ``period`` says: a number, a column, or searched for in all bands together, by ``method``.

    For the search, each band's median is taken off its magnitudes first.
    """
    objects = len(arrays["offsets"]) - 1
    if options["period"] != SEARCH:
        period = number(options["period"], "period", objects, columns)
        return np.where(period > 0, period, np.nan)
    turns = 0.0 if options["method"] == "lomb_scargle" else 2.0
    how = Search(options["method"], options["shortest"], options["longest"], options["samples_per_peak"], turns=turns)
    return found(together(arrays), how)[0]


OPTIONS: Mapping[str, Any] = {
    "method": "conditional_entropy", "points": 512, "shortest": 0.1, "longest": 1000.0, "samples_per_peak": 5, "phases": folded.PHASES, "levels": folded.LEVELS, "harmonics": 3,
}  # fmt: skip


def layout(given: Layout, options: Options) -> Layout:
    """One channel a band, from long periods to short: (band, frequency)."""
    checked(options)
    choice("period method", options["method"], METHODS[:-1])
    if min(options["phases"], options["levels"]) < 2 or options["harmonics"] < 1:
        raise InputError(f"phases={options['phases']!r}, levels={options['levels']!r}, harmonics={options['harmonics']!r}: 2 or more cells each way, and 1 harmonic or more.")
    return Layout("series", given.channels, (len(given.channels), int(options["points"])), "", "log10 frequency", "1/d")


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """The highest value of the method's statistic in each of `points` bins of log frequency, in standard deviations above its mean."""
    points, bands = int(options["points"]), len(given.channels)
    got = epochs(arrays, bands, magnitudes=True)
    edges = np.linspace(-np.log10(options["longest"]), -np.log10(options["shortest"]), points + 1)
    how = Search(**{name: options[name] for name in ("method", "shortest", "longest", "samples_per_peak", "phases", "levels", "harmonics")})

    def one(_: int, span: slice) -> Numbers:
        frequency, values = spectrum(got.time[span], got.value[span], got.error[span], how)
        return binned((values - values.mean()) / max(float(values.std()), 1e-300), np.log10(frequency), edges)

    nothing = np.full(points, np.nan)
    values = np.array([nothing if answer is None else answer for answer in each(got, one)]).reshape(-1, bands, points)
    mask = np.isfinite(values)
    made = np.where(mask, values, 0.0).astype(np.float32)
    return {"axis": (edges[:-1] + edges[1:]) / 2, "values": made, "mask": mask, "present": arrays["present"] & mask.any(axis=(1, 2))}
