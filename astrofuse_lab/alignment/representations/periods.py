"""Lomb-Scargle periodograms of light curves and the periods of their highest peaks.

Zechmeister & Kürster 2009 (A&A 496, 577), by the non-uniform FFT of nifty-ls (Garrison et al. 2024, RNAAS 8, 250): of the packages at
hand the fastest (2 cores, 50,000 frequencies of 200 epochs: 7 ms a curve, astropy's ``fast`` 145 ms).
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.alignment.machine_code import compiled
from astrofuse_lab.alignment.representations.common import Arrays, Columns, Epochs, Layout, Options, epochs
from astrofuse_lab.errors import InputError

Numbers = NDArray[np.float64]
FEWEST = 5
"""Epochs below which there is no periodogram."""
MOST_FREQUENCIES = 2**21
LOSS = 0.75
"""Of a peak's height may be lost between every second of five samples a peak: 1 - sinc(0.2)^2 = 0.12, and aliases lean on each other."""
MOST_PEAKS = 32
FINE = 4
"""Samples a peak from which every second one may be left out at first."""
MOST_THREADS = 8
OPTIONS: Mapping[str, Any] = {"points": 512, "shortest": 0.1, "longest": 1000.0, "samples_per_peak": 5, "quantity": "magnitude"}


def checked(options: Options) -> None:
    """Raise InputError unless the range of periods is one."""
    if not 0 < options["shortest"] < options["longest"]:
        raise InputError(f"shortest={options['shortest']!r}, longest={options['longest']!r}: periods in days, 0 < shortest < longest.")
    if options["samples_per_peak"] < 1 or options.get("points", 1) < 1:
        raise InputError(f"samples_per_peak={options['samples_per_peak']!r}, points={options.get('points')!r}: 1 or more each.")


def grid(time: Numbers, shortest: float, longest: float, samples_per_peak: int = 5) -> tuple[float, float, int]:
    """Lowest frequency, step and number of frequencies (1/day) for one curve: a peak is 1 / its length wide."""
    low, high = 1 / longest, 1 / shortest
    step = 1 / (max(float(np.ptp(time)), shortest) * samples_per_peak)
    count = int(np.ceil((high - low) / step)) + 1
    if count > MOST_FREQUENCIES:
        raise InputError(f"{count} frequencies are needed for periods from {shortest:g} d over {np.ptp(time):.0f} d; {MOST_FREQUENCIES} are the most. Give a longer shortest=.")
    return low, step, count


def power(time: Numbers, value: Numbers, error: Numbers, low: float, step: float, count: int) -> Numbers:
    """Standard normalised power (0 to 1) of one curve at ``low + step * arange(count)``; a mean is fitted with each sinusoid."""
    from nifty_ls import finufft

    made = finufft.lombscargle(time - time[0], value, fmin=low, df=step, Nf=count, dy=np.ascontiguousarray(error), nthreads=1)
    return np.asarray(made, dtype=np.float64).reshape(-1)


@compiled
def power_at(time: Any, value: Any, error: Any, frequency: Any) -> Any:
    """The same power at any frequencies, by direct sums (Zechmeister & Kürster 2009, eq. 4 to 15)."""
    out = np.empty(len(frequency))
    total, mean, square = 0.0, 0.0, 0.0
    for i in range(len(time)):
        total += 1 / error[i] ** 2
        mean += value[i] / error[i] ** 2
    mean /= total
    for i in range(len(time)):
        square += (value[i] - mean) ** 2 / error[i] ** 2 / total
    for k in range(len(frequency)):
        c, s, yc, ys, cc, cs = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(len(time)):
            angle, weight, off = 2 * np.pi * frequency[k] * time[i], 1 / error[i] ** 2 / total, value[i] - mean
            cosine, sine = np.cos(angle), np.sin(angle)
            c, s = c + weight * cosine, s + weight * sine
            yc, ys = yc + weight * off * cosine, ys + weight * off * sine
            cc, cs = cc + weight * cosine * cosine, cs + weight * cosine * sine
        ss = 1 - cc - s * s
        cc, cs = cc - c * c, cs - c * s
        spread = cc * ss - cs * cs
        out[k] = (ss * yc * yc + cc * ys * ys - 2 * cs * yc * ys) / (square * spread) if spread > 0 and square > 0 else 0.0
    return out


def each(got: Epochs, work: Callable[[int, slice], Any], fewest: int = FEWEST) -> list[Any]:
    """What `work` says of each curve, given its number and its epochs, None below `fewest` of them; on several threads, since FFTs let go of Python."""
    spans = [slice(int(b), int(e)) for b, e in zip(got.offsets[:-1], got.offsets[1:], strict=True)]
    task = lambda i: work(i, spans[i]) if spans[i].stop - spans[i].start >= fewest else None  # noqa: E731
    threads = min(torch.get_num_threads(), MOST_THREADS, len(spans))
    if threads < 2:
        return [task(i) for i in range(len(spans))]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(task, range(len(spans))))


def search(got: Epochs, shortest: float = 0.1, longest: float = 1000.0, samples_per_peak: int = 5) -> tuple[Numbers, Numbers]:
    """The period of the highest peak of each curve, days, and its power.

    Parameters
    ----------
    got : Epochs
    shortest, longest : float
        Days.
    samples_per_peak : int
        From `FINE` on, every second sample comes from the FFT. Those in between are summed directly where neighbours are high, and the place of the
        highest is refined by a parabola.

    Returns
    -------
    period, power : array, (curve,)
        NaN where there are fewer than `FEWEST` epochs or nothing varies.
    """

    def one(_: int, span: slice) -> tuple[float, float]:
        if np.ptp(got.value[span]) == 0:
            return np.nan, np.nan
        time, value, error = got.time[span] - got.time[span.start], got.value[span], got.error[span]
        low, step, count = grid(time, shortest, longest, samples_per_peak)
        every = 2 if samples_per_peak >= FINE else 1
        coarse = power(time, value, error, low, every * step, (count - 1) // every + 1)
        high = np.flatnonzero(coarse >= LOSS * coarse.max())
        high = high[np.argsort(-coarse[high], kind="stable")[:MOST_PEAKS]]
        near = np.unique(np.clip(every * high[:, None] + np.arange(-1, 2), 0, count - 1))
        values = np.asarray(power_at(time, value, error, low + step * near))
        at, top = int(near[values.argmax()]), float(values.max())
        left, right = power_at(time, value, error, low + step * np.array([at - 1.0, at + 1.0]))
        bend = left - 2 * top + right
        shift = 0.5 * (left - right) / bend if 0 < at < count - 1 and bend < 0 else 0.0
        return 1 / (low + step * (at + shift)), top

    found = [(np.nan, np.nan) if answer is None else answer for answer in each(got, one)]
    period, height = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return period, height


def layout(given: Layout, options: Options) -> Layout:
    """One channel a band, from long periods to short: (band, frequency)."""
    checked(options)
    return Layout("series", given.channels, (len(given.channels), int(options["points"])), "", "log10 frequency", "1/d")


def run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """The highest power in each of `points` bins of log frequency, so that no narrow peak is missed; bins without a sample are masked."""
    points, bands = int(options["points"]), len(given.channels)
    got = epochs(arrays, bands, options["quantity"] == "magnitude")
    edges = np.linspace(-np.log10(options["longest"]), -np.log10(options["shortest"]), points + 1)

    def one(_: int, span: slice) -> Numbers:
        low, step, count = grid(got.time[span], options["shortest"], options["longest"], options["samples_per_peak"])
        values = power(got.time[span], got.value[span], got.error[span], low, step, count)
        return binned(values, np.log10(low + step * np.arange(count)), edges)

    nothing = np.full(points, np.nan)
    values = np.array([nothing if answer is None else answer for answer in each(got, one)]).reshape(-1, bands, points)
    mask = np.isfinite(values)
    return {
        "axis": (edges[:-1] + edges[1:]) / 2, "values": np.where(mask, values, 0.0).astype(np.float32), "mask": mask,
        "present": arrays["present"] & mask.any(axis=(1, 2)),
    }  # fmt: skip


def binned(values: Numbers, place: Numbers, edges: Numbers) -> Numbers:
    """The highest of the values in each bin of their ascending places, NaN where a bin has none; what lies beyond the edges counts to the outermost bins."""
    points = len(edges) - 1
    bin_of = np.clip(np.searchsorted(edges, place, side="right") - 1, 0, points - 1)
    begin = np.searchsorted(bin_of, np.arange(points))
    filled = begin < np.searchsorted(bin_of, np.arange(points), side="right")
    made = np.full(points, np.nan)
    made[filled] = np.maximum.reduceat(values, begin[filled])
    return made


def together(arrays: Arrays) -> Epochs:
    """All bands of an object as one curve of magnitudes, each band about its own median."""
    bands = int(arrays["band"].max(initial=0)) + 1
    by_band = epochs(arrays, bands, magnitudes=True)
    counts = np.diff(by_band.offsets)
    middle = np.array([np.median(by_band.value[b:e]) if e > b else 0.0 for b, e in zip(by_band.offsets[:-1], by_band.offsets[1:], strict=True)])
    value = by_band.value - np.repeat(middle, counts)
    owner = np.repeat(np.arange(len(counts)) // bands, counts)
    order = np.lexsort((by_band.time, owner))
    return Epochs(by_band.time[order], value[order], by_band.error[order], by_band.offsets[::bands].copy())
