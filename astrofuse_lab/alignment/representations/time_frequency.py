"""Time-frequency images of evenly sampled channels: STFT, continuous wavelet, Q-transform, Mel-type.

The axis is taken as even, with its mean step; frequencies are in cycles per its unit. Values that are masked weigh nothing, and what rests on them for more
than half is masked. Sources: Torrence & Compo 1998 (BAMS 79, 61: Morlet wavelet, their eq. 4 to 8), Chatterji et al. 2004 (CQG 21, S1809: Q-transform),
Stevens, Volkmann & Newman 1937 and O'Shaughnessy 1987 (Mel: m = 2595 log10(1 + f / 700)).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options
from astrofuse_lab.errors import InputError

Numbers = NDArray[np.float64]
HALF = 0.5
"""Share of a value's weight that must lie on good samples."""
STFT: Mapping[str, Any] = {"window": 64, "hop": 16, "log": True}
WAVELET: Mapping[str, Any] = {"scales": 64, "columns": 64, "omega": 6.0, "shortest": 2.0, "longest": 0.0, "log": True}
Q: Mapping[str, Any] = {"q": 8.0, "rows": 64, "columns": 64, "lowest": 0.0, "highest": 0.0}
MEL: Mapping[str, Any] = {"window": 128, "hop": 32, "bins": 40, "corner": 700.0, "lowest": 0.0, "highest": 0.0, "log": True}
TINY = 1e-12


def channels_of(arrays: Arrays, given: Layout) -> tuple[Numbers, NDArray[np.bool_], float]:
    """Values about their mean (object, channel, sample), which are good, and the axis's step."""
    spectrum = given.kind == "spectrum"
    values = np.asarray(arrays["flux" if spectrum else "values"], dtype=np.float64)
    mask = arrays["mask"] & np.isfinite(values)
    values, mask = (values[:, None], mask[:, None]) if spectrum else (values, mask)
    count = np.maximum(mask.sum(axis=2, keepdims=True), 1)
    values = np.where(mask, values, 0.0)
    values = np.where(mask, values - values.sum(axis=2, keepdims=True) / count, 0.0)
    axis = np.asarray(arrays["lambda" if spectrum else "axis"], dtype=np.float64)
    step = float(axis[-1] - axis[0]) / max(len(axis) - 1, 1)
    return values, mask, abs(step) or 1.0


def _image(given: Layout, rows: int, columns: int) -> Layout:
    channels = given.channels or ("flux",)
    return Layout("image", channels, (len(channels), rows, columns))


def _made(arrays: Arrays, values: Numbers, mask: NDArray[np.bool_]) -> Arrays:
    """As the fields of an image."""
    mask = mask & np.isfinite(values)
    return {"flux": np.where(mask, values, 0.0).astype(np.float32), "mask": mask, "present": arrays["present"] & mask.any(axis=(1, 2, 3))}


# ---- STFT and Mel ---------------------------------------------------------------------------------------------------


def _frames(given: Layout, options: Options) -> int:
    window, hop, samples = int(options["window"]), int(options["hop"]), given.shape[-1]
    if not (2 <= window <= samples and hop >= 1):
        raise InputError(f"window={window}, hop={hop}: a window of 2 to {samples} samples (all there are), and a hop of 1 or more.")
    return 1 + (samples - window) // hop


def stft(values: Numbers, mask: NDArray[np.bool_], window: int, hop: int) -> tuple[Numbers, NDArray[np.bool_]]:
    """Power under a Hann window (a sinusoid of amplitude a in the middle of a bin: a^2 / 4), frames without padding.

    Parameters
    ----------
    values : array, (..., sample)
    mask : bool array, (..., sample)
    window, hop : int

    Returns
    -------
    power : array, (..., frequency, frame)
        Frequencies 0 to half the sampling rate, ``window // 2 + 1``.
    good : bool array, (..., frame)
    """
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    cut = np.lib.stride_tricks.sliding_window_view(values, window, axis=-1)[..., ::hop, :]
    seen = np.lib.stride_tricks.sliding_window_view(mask, window, axis=-1)[..., ::hop, :] @ taper / taper.sum()
    power = np.abs(np.fft.rfft(cut * taper, axis=-1) / taper.sum()) ** 2
    return np.swapaxes(power, -1, -2), np.asarray(seen >= HALF)


def stft_layout(given: Layout, options: Options) -> Layout:
    """(channel, frequency from low to high, frame)."""
    return _image(given, int(options["window"]) // 2 + 1, _frames(given, options))


def stft_run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Power, or its log10."""
    values, mask, _ = channels_of(arrays, given)
    power, good = stft(values, mask, int(options["window"]), int(options["hop"]))
    power = np.log10(power + TINY) if options["log"] else power
    return _made(arrays, power, np.broadcast_to(good[..., None, :], power.shape))


def mel_filters(bins: int, frequency: Numbers, lowest: float, highest: float, corner: float) -> Numbers:
    """Triangles evenly spaced in m = log(1 + f / corner), each one at its middle: (bin, frequency)."""
    edges = corner * np.expm1(np.linspace(np.log1p(lowest / corner), np.log1p(highest / corner), bins + 2))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.asarray(np.clip(np.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)), 0, None))


def mel_layout(given: Layout, options: Options) -> Layout:
    """(channel, Mel bin from low to high, frame)."""
    if options["bins"] < 1 or options["corner"] <= 0 or options["lowest"] < 0:
        raise InputError(f"bins={options['bins']!r}, corner={options['corner']!r}, lowest={options['lowest']!r}: bins and corner above zero, lowest zero or more.")
    return _image(given, int(options["bins"]), _frames(given, options))


def mel_run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Power in each Mel bin, or its log10; a bin narrower than the STFT's resolution is masked."""
    values, mask, step = channels_of(arrays, given)
    window = int(options["window"])
    power, good = stft(values, mask, window, int(options["hop"]))
    frequency = np.fft.rfftfreq(window, step).astype(np.float64)
    highest = float(options["highest"]) or float(frequency[-1])
    if not options["lowest"] < highest:
        raise InputError(f"lowest={options['lowest']!r}, highest={highest!r}: the first must be less.")
    filters = mel_filters(int(options["bins"]), frequency, float(options["lowest"]), highest, float(options["corner"]))
    made = np.einsum("bf,ocft->ocbt", filters, power)
    made = np.log10(made + TINY) if options["log"] else made
    return _made(arrays, made, good[..., None, :] & (filters.sum(axis=1) > 0)[:, None])


# ---- wavelet and Q --------------------------------------------------------------------------------------------------


def _in_columns(values: Numbers, columns: int) -> Numbers:
    """Means of equal stretches of the last axis."""
    edges = np.linspace(0, values.shape[-1], columns + 1).astype(int)
    return np.asarray(np.add.reduceat(values, edges[:-1], axis=-1) / np.diff(edges))


def wavelet(values: Numbers, scales: Numbers, omega: float = 6.0) -> NDArray[np.complex128]:
    """Continuous Morlet wavelet transform, zeros beyond the ends.

    Parameters
    ----------
    values : array, (..., sample)
    scales : array, (scale,)
        In samples (Torrence & Compo 1998, eq. 4, with a step of 1).
    omega : float
        Cycles in the wavelet times 2 pi.

    Returns
    -------
    complex array, (..., scale, sample)
    """
    n = values.shape[-1]
    padded = 1 << int(np.ceil(np.log2(2 * n)))
    angular = 2 * np.pi * np.fft.fftfreq(padded)
    with np.errstate(under="ignore"):
        morlet = np.pi**-0.25 * np.exp(-0.5 * (scales[:, None] * angular - omega) ** 2) * (angular > 0) * np.sqrt(2 * np.pi * scales[:, None])
    return np.asarray(np.fft.ifft(np.fft.fft(values, padded)[..., None, :] * morlet, axis=-1)[..., :n])


def _support(mask: NDArray[np.bool_], scales: Numbers) -> Numbers:
    """Share of each wavelet's energy, a Gaussian of the width of its scale / sqrt 2, on good samples: (..., scale, sample)."""
    n = mask.shape[-1]
    padded = 1 << int(np.ceil(np.log2(2 * n)))
    angular = 2 * np.pi * np.fft.rfftfreq(padded)
    with np.errstate(under="ignore"):
        gauss = np.exp(-0.25 * (scales[:, None] * angular) ** 2)
    return np.asarray(np.fft.irfft(np.fft.rfft(mask.astype(np.float64), padded)[..., None, :] * gauss, padded, axis=-1)[..., :n])


def scales_of(samples: int, options: Options) -> tuple[Numbers, Numbers]:
    """Scales and their Fourier periods, both in samples, from short to long; ``longest`` 0 is a quarter of all samples."""
    longest = float(options["longest"]) or samples / 4
    if not 2 <= options["shortest"] < longest or options["scales"] < 1 or not 1 <= options["columns"] <= samples:
        raise InputError(f"shortest={options['shortest']!r}, longest={longest:g}, columns={options['columns']!r}: periods in samples, 2 or more, ascending; at most {samples} columns.")
    period = np.geomspace(options["shortest"], longest, int(options["scales"]))
    omega = float(options["omega"])
    return period * (omega + np.sqrt(2 + omega**2)) / (4 * np.pi), period


def wavelet_layout(given: Layout, options: Options) -> Layout:
    """(channel, scale from short to long, column)."""
    scales_of(given.shape[-1], options)
    return _image(given, int(options["scales"]), int(options["columns"]))


def wavelet_run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """Power |W|^2 over the variance, or its log10, as means of equal stretches of the axis."""
    values, mask, _ = channels_of(arrays, given)
    scales, _ = scales_of(values.shape[-1], options)
    variance = (values**2).sum(axis=2) / np.maximum(mask.sum(axis=2), 1)
    wide = int(options["columns"])
    power = np.empty((*values.shape[:2], len(scales), wide))
    seen = np.empty(power.shape)
    for i in range(len(values)):  # object by object: every sample at every scale is much
        power[i] = _in_columns(np.abs(wavelet(values[i], scales, float(options["omega"]))) ** 2, wide)
        seen[i] = _in_columns(_support(mask[i], scales), wide)
    with np.errstate(invalid="ignore", divide="ignore"):
        power = power / variance[..., None, None]
    power = np.log10(power + TINY) if options["log"] else power
    return _made(arrays, power, seen >= HALF)


def frequencies(given: Layout, options: Options, step: float = 1.0) -> Numbers:
    """Of the rows of a Q-transform, from low to high; the limits default to what Q and the length allow."""
    samples, q = given.shape[-1], float(options["q"])
    lowest = float(options["lowest"]) * step or 4 * q / (2 * np.pi * samples)
    highest = float(options["highest"]) * step or 0.5 / (1 + np.sqrt(11) / q)
    if q < np.sqrt(11) or not 0 < lowest < highest <= 0.5 or not 1 <= options["columns"] <= samples:
        raise InputError(f"q={q:g}, lowest={lowest / step:g}, highest={highest / step:g}: q at least sqrt 11, frequencies ascending up to {0.5 / step:g}; at most {samples} columns.")
    return np.geomspace(lowest, highest, int(options["rows"]))


def q_transform(values: Numbers, rows: Numbers, q: float) -> Numbers:
    """Energies of tiles of constant Q over the median of their row: (..., row, sample).

    Parameters
    ----------
    values : array, (..., sample)
    rows : array, (row,)
        Frequencies, cycles per sample. The window, a bisquare in frequency, reaches to f (1 +- sqrt 11 / q) (Chatterji et al. 2004).
    q : float
    """
    n = values.shape[-1]
    spectrum, frequency = np.fft.fft(values), np.fft.fftfreq(n)
    place = (frequency - rows[:, None]) * q / (rows[:, None] * np.sqrt(11))
    window = np.where(np.abs(place) < 1, (1 - place**2) ** 2, 0.0)
    window *= np.sqrt(315 * q / (128 * np.sqrt(11) * rows))[:, None]
    energy = np.abs(np.fft.ifft(spectrum[..., None, :] * window, axis=-1)) ** 2
    middle = np.median(energy, axis=-1, keepdims=True)
    return np.asarray(energy / np.where(middle > 0, middle, 1.0))


def q_layout(given: Layout, options: Options) -> Layout:
    """(channel, frequency from low to high, column)."""
    if not options["lowest"] and not options["highest"]:
        frequencies(given, options)
    return _image(given, int(options["rows"]), int(options["columns"]))


def q_run(arrays: Arrays, given: Layout, options: Options, columns: Columns) -> Arrays:
    """The highest energy in each of equal stretches of the axis, so that no short burst is lost."""
    values, mask, step = channels_of(arrays, given)
    rows, wide = frequencies(given, options, step), int(options["columns"])
    edges = np.linspace(0, values.shape[-1], wide + 1).astype(int)[:-1]
    width = float(options["q"]) / (2 * np.pi * rows)
    energy, seen = np.empty((*values.shape[:2], len(rows), wide)), np.empty((*values.shape[:2], len(rows), wide))
    for i in range(len(values)):
        energy[i] = np.maximum.reduceat(q_transform(values[i], rows, float(options["q"])), edges, axis=-1)
        seen[i] = _in_columns(_support(mask[i], width), wide)
    return _made(arrays, energy, seen >= HALF)
