"""Summary features of each modality: what a classical baseline is given.

Raw features are computed once a set; what is fitted (principal components, vocabularies) is fitted on training rows only.
Whatever is unknown is NaN here and becomes a value below all others for the trees, which can split it off.
"""

import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.text import words
from astrofuse_lab.samples.sample_set import SampleSet

Array = NDArray[Any]
IMAGE_COMPONENTS, SPECTRUM_COMPONENTS, TEXT_COMPONENTS = 24, 24, 32
SPECTRUM_BINS = 128


# ---- raw: one row a sample ----------------------------------------------------------------------------------------


def _image(samples: SampleSet, name: str) -> Array:
    """The central half of each band, its median taken off, in units of its own scatter, arcsinh-stretched: (sample, band, pixel)."""
    arrays = samples.arrays(name)
    flux = np.where(arrays["mask"] & np.isfinite(arrays["flux"]), arrays["flux"], np.nan).astype(np.float32)
    height, width = flux.shape[2:]
    rows, columns = ((size - max(1, size // 2)) // 2 for size in (height, width))
    flat = flux.reshape(*flux.shape[:2], -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a band without a pixel is NaN, as it should be
        centre = np.nanmedian(flat, axis=-1, keepdims=True)
        scatter = 1.4826 * np.nanmedian(np.abs(flat - centre), axis=-1, keepdims=True)
    scaled = (flux - centre[..., None]) / np.maximum(scatter, 1e-6)[..., None]
    part = scaled[:, :, rows : rows + max(1, height // 2), columns : columns + max(1, width // 2)]
    return np.asarray(np.arcsinh(part).reshape(*flux.shape[:2], -1))


def _spectrum(samples: SampleSet, name: str) -> Array:
    """Flux divided by its median, averaged in `SPECTRUM_BINS` bins: (sample, bin)."""
    arrays = samples.arrays(name)
    mask = arrays["mask"] & np.isfinite(arrays["flux"])
    flux = np.where(mask, arrays["flux"], 0.0).astype(np.float64)
    edges = np.linspace(0, flux.shape[1], min(SPECTRUM_BINS, flux.shape[1]) + 1).astype(int)[:-1]
    count = np.add.reduceat(mask, edges, axis=1, dtype=float)
    binned = np.where(count > 0, np.add.reduceat(flux, edges, axis=1) / np.maximum(count, 1), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        level = np.nanmedian(np.abs(binned), axis=1, keepdims=True)
    return np.column_stack([np.arcsinh(binned / np.maximum(level, 1e-6)), np.log10(np.maximum(level, 1e-6))])


def _light_curve(samples: SampleSet, name: str) -> Array:
    """Counts, times, brightness and variability of a history, over all bands and in each: (sample, statistic)."""
    arrays = samples.arrays(name)
    bands = len(samples.spec(name).channels)
    limits = arrays.get("limit", np.zeros(len(arrays["time"]), dtype=bool))
    good = arrays["mask"] & np.isfinite(arrays["time"]) & np.isfinite(arrays["flux"]) & np.isfinite(arrays["flux_err"])
    rows = []
    for begin, end in pairwise(arrays["offsets"]):
        keep = slice(int(begin), int(end))
        use = good[keep]
        time, flux, error, band, limit = (a[keep][use] for a in (arrays["time"], arrays["flux"], arrays["flux_err"], arrays["band"], limits))
        rows.append(_history(time, flux.astype(float), error.astype(float), band, limit, bands))
    return np.array(rows, dtype=float).reshape(len(rows), -1)


def _history(time: Array, flux: Array, error: Array, band: Array, limit: Array, bands: int) -> list[float]:
    nan = float("nan")
    seen = ~limit
    n, k = len(time), int(seen.sum())
    row = [n, k, k / n if n else nan, int(limit.sum())]
    row += [np.ptp(time), time[-1] - time[seen][0] if k else nan, time[-1] - time[seen][-1] if k else nan] if n else [nan] * 3
    signal = flux[seen] / np.maximum(error[seen], 1e-9)
    stretched = np.arcsinh(flux[seen])
    row += [signal.max(), signal.min(), np.abs(signal).mean(), stretched.mean(), stretched.std(), np.ptp(stretched), stretched[-1]] if k else [nan] * 7
    row += [float((flux[seen] < 0).mean())] if k else [nan]
    row += [np.log10(max(np.median(error[limit]), 1e-9)) if limit.any() else nan]
    weight = 1 / np.maximum(error[seen], 1e-9) ** 2
    row += [float(np.log1p(np.mean((flux[seen] - (flux[seen] * weight).sum() / weight.sum()) ** 2 * weight)))] if k > 1 else [nan]
    row += [float(np.polyfit(time[seen] - time[seen].mean(), stretched, 1)[0])] if k > 2 and np.ptp(time[seen]) > 0 else [nan]
    row += [float(band[-1])] if n else [nan]
    for b in range(bands):
        mine = seen & (band == b)
        bright = np.arcsinh(flux[mine])
        row += [int(mine.sum()), bright.mean() if len(bright) else nan, bright.std() if len(bright) else nan]
    return [float(v) for v in row]


def _series(samples: SampleSet, name: str) -> Array:
    """Values, arcsinh-stretched: (sample, channel x sample of the axis)."""
    arrays = samples.arrays(name)
    values = np.where(arrays["mask"] & np.isfinite(arrays["values"]), arrays["values"], np.nan).astype(np.float64)
    return np.asarray(np.arcsinh(values).reshape(len(values), -1))


def _table(samples: SampleSet, name: str) -> Array:
    arrays = samples.arrays(name)
    return np.where(arrays["mask"], arrays["values"], np.nan)


def _text(samples: SampleSet, name: str) -> list[str]:
    arrays = samples.arrays(name)
    content, offsets = arrays["utf8"].tobytes(), arrays["offsets"]
    return [" ".join(words(content[b:e].decode("utf-8", "replace"))) for b, e in pairwise(offsets)]


RAW: dict[str, Callable[[SampleSet, str], Any]] = {
    "image": _image, "spectrum": _spectrum, "light_curve": _light_curve, "series": _series, "table": _table, "text": _text,
}  # fmt: skip


# ---- fitted on training rows ----------------------------------------------------------------------------------------


def _components(raw: Array, train: Array, count: int, seed: int) -> Array:
    """Principal components fitted on training rows; what is missing is the training mean."""
    from sklearn.decomposition import PCA

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        centre = np.nan_to_num(np.nanmean(raw[train], axis=0))
    filled = np.where(np.isfinite(raw), raw, centre)
    pca = PCA(min(count, len(train), raw.shape[1]), svd_solver="randomized", random_state=seed).fit(filled[train])
    return np.asarray(pca.transform(filled))


def _fit_image(raw: Array, train: Array, seed: int) -> Array:
    return np.hstack([_components(raw[:, band], train, IMAGE_COMPONENTS, seed) for band in range(raw.shape[1])])


def _fit_spectrum(raw: Array, train: Array, seed: int) -> Array:
    return np.hstack([_components(raw, train, SPECTRUM_COMPONENTS, seed), raw[:, -1:]])


def _fit_series(raw: Array, train: Array, seed: int) -> Array:
    return _components(raw, train, SPECTRUM_COMPONENTS, seed)


def _fit_text(raw: list[str], train: Array, seed: int) -> Array:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectoriser = TfidfVectorizer(analyzer="word", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    try:
        known = vectoriser.fit_transform([raw[i] for i in train])
    except ValueError:  # no word occurs twice
        return np.zeros((len(raw), 1))
    weights = vectoriser.transform(raw)
    count = min(TEXT_COMPONENTS, known.shape[1] - 1, known.shape[0] - 1)
    if count < 1:
        return np.asarray(weights.toarray())
    return np.asarray(TruncatedSVD(count, random_state=seed).fit(known).transform(weights))


FIT: dict[str, Callable[..., Array]] = {"image": _fit_image, "spectrum": _fit_spectrum, "series": _fit_series, "text": _fit_text}


class Features:
    """Summary features of a sample set, modality by modality.

    Parameters
    ----------
    samples : SampleSet
    modalities : sequence of str

    Attributes
    ----------
    seconds : dict of str to float
        What each modality took, for all samples.
    """

    def __init__(self, samples: SampleSet, modalities: tuple[str, ...]) -> None:
        self.kinds = {name: samples.spec(name).kind for name in modalities}
        self.raw: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        for name, kind in self.kinds.items():
            begin = time.monotonic()
            self.raw[name] = RAW[kind](samples, name)
            self.seconds[name] = time.monotonic() - begin
        self.present = {name: samples.present(name) for name in modalities}

    def of(self, modalities: tuple[str, ...], train: Array, seed: int = 0) -> Array:
        """Features of all samples: (sample, feature), NaN where unknown.

        Parameters
        ----------
        modalities : tuple of str
        train : int array
            Positions that anything fitted is fitted on.
        seed : int
        """
        parts = []
        for name in modalities:
            raw, present = self.raw[name], self.present[name]
            fit = FIT.get(self.kinds[name])
            if fit is not None and not present[train].any():
                continue  # nothing to fit on, nothing to say
            values = raw if fit is None else fit(raw, train[present[train]], seed)
            parts.append(np.where(present[:, None], values, np.nan))
        return np.hstack(parts) if parts else np.zeros((len(next(iter(self.present.values()))), 1))
