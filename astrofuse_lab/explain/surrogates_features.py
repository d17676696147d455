"""Scalars that a person can read, with names and units: what a surrogate is made of.

`training.features` serves classical baselines with principal components, which predict well and say nothing; these are fewer, and each is a
quantity with a unit.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.text import words

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

Array = NDArray[Any]
WINDOWS, WORDS = 8, 12
"""Stretches of a spectrum, and words of texts that are asked for."""
RARE, COMMON = 0.05, 0.95
"""A word that fewer or more texts have divides nothing."""
Feature = tuple[str, str, Array]
"""Name, unit, and numbers (sample,), NaN where unknown."""


@dataclass(frozen=True)
class Scalars:
    """Which scalars are made: the same of any samples.

    Attributes
    ----------
    modalities : tuple of str
    words : mapping of modality to tuple of str
        What texts are asked for; learned from those that the surrogate is fitted to.
    presence : tuple of str
        Modalities that some of these lack: whether it is there is a number, too.
    """

    modalities: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    presence: tuple[str, ...]

    @classmethod
    def learned(cls, samples: "SampleSet", modalities: Sequence[str]) -> "Scalars":
        """From the samples that a surrogate is fitted to."""
        texts = {name: _frequent(samples, name) for name in modalities if samples.spec(name).kind == "text"}
        return cls(tuple(modalities), texts, tuple(name for name in modalities if 0 < samples.present(name).sum() < len(samples)))

    def of(self, samples: "SampleSet") -> list[Feature]:
        """Of some samples."""
        made: list[Feature] = [(f"{name} present", "", samples.present(name).astype(float)) for name in self.presence]
        for name in self.modalities:
            there, kind = samples.present(name), samples.spec(name).kind
            found = _texts(samples, name, self.words[name]) if kind == "text" else MAKE[kind](samples, name)
            made.extend((called, unit, np.where(there & np.isfinite(values), values, np.nan)) for called, unit, values in found)
        return made


def _mean(values: Array, use: Array, axis: Any) -> Array:
    """Mean over what can be used; NaN where there is nothing."""
    count = use.sum(axis)
    return np.where(count > 0, np.where(use, values, 0.0).sum(axis) / np.maximum(count, 1), np.nan)


def _images(samples: "SampleSet", name: str) -> Iterator[Feature]:
    """Of each band: flux above the median, and the size of where it comes from."""
    arrays, spec = samples.arrays(name), samples.spec(name)
    use = arrays["mask"] & np.isfinite(arrays["flux"])
    y, x = np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in arrays["flux"].shape[2:]), indexing="ij")
    for b, band in enumerate(spec.channels):
        flux, fine = arrays["flux"][:, b].astype(float), use[:, b]
        sky = np.array([np.median(one[good]) if good.any() else np.nan for one, good in zip(flux, fine, strict=True)])
        above = np.where(fine, flux - sky[:, None, None], 0.0)
        yield f"{name} {band} flux", spec.unit, np.where(fine.any((1, 2)), above.sum((1, 2)), np.nan)
        noise = 1.4826 * np.median(np.abs(above), axis=(1, 2), keepdims=True)
        bright = np.where(above > 3 * noise, above, 0.0)
        total = bright.sum((1, 2))
        spread = (bright * (x**2 + y**2)).sum((1, 2)) / np.where(total > 0, total, np.nan)
        yield f"{name} {band} size", "arcsec" if spec.scale else "pixel", np.sqrt(np.maximum(spread, 0)) * (spec.scale or 1.0)


def _spectra(samples: "SampleSet", name: str) -> Iterator[Feature]:
    """Mean flux in windows of equal width."""
    arrays = samples.arrays(name)
    use, wavelength = arrays["mask"] & np.isfinite(arrays["flux"]), np.asarray(arrays["lambda"], dtype=float)
    edges = np.linspace(wavelength.min(), wavelength.max(), WINDOWS + 1)
    for low, high in pairwise(edges):
        inside = (wavelength >= low) & ((wavelength < high) | (high == edges[-1]))
        yield f"{name} {low:.0f}-{high:.0f} Å", samples.spec(name).unit, _mean(arrays["flux"][:, inside].astype(float), use[:, inside], 1)


def _light_curves(samples: "SampleSet", name: str) -> Iterator[Feature]:
    """Epochs, time covered, and of each band the mean, the standard deviation and the highest flux."""
    arrays, spec = samples.arrays(name), samples.spec(name)
    n, owner = len(samples), np.repeat(np.arange(len(samples)), np.diff(arrays["offsets"]))
    fine = arrays["mask"] & np.isfinite(arrays["time"]) & np.isfinite(arrays["flux"])
    first, last = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(first, owner[fine], arrays["time"][fine])
    np.maximum.at(last, owner[fine], arrays["time"][fine])
    yield f"{name} epochs", "", np.bincount(owner[fine], minlength=n).astype(float)
    yield f"{name} span", "day", np.where(np.isfinite(first), last - np.where(np.isfinite(first), first, 0.0), np.nan)
    for b, band in enumerate(spec.channels):
        mine = fine & (arrays["band"] == b)
        count = np.bincount(owner[mine], minlength=n)
        flux = arrays["flux"][mine].astype(float)
        safe = np.where(count > 0, count, np.nan)
        mean = np.bincount(owner[mine], flux, n) / safe
        square = np.bincount(owner[mine], (flux - mean[owner[mine]]) ** 2, n) / safe
        top = np.full(n, -np.inf)
        np.maximum.at(top, owner[mine], flux)
        yield f"{name} {band} mean", spec.unit, mean
        yield f"{name} {band} scatter", spec.unit, np.sqrt(square)
        yield f"{name} {band} highest", spec.unit, top


def _series(samples: "SampleSet", name: str) -> Iterator[Feature]:
    """Of each channel the mean, the lowest and the highest value."""
    arrays, spec = samples.arrays(name), samples.spec(name)
    use = arrays["mask"] & np.isfinite(arrays["values"])
    for c, channel in enumerate(spec.channels):
        values, fine = arrays["values"][:, c].astype(float), use[:, c]
        yield f"{name} {channel} mean", spec.unit, _mean(values, fine, 1)
        yield f"{name} {channel} lowest", spec.unit, np.where(fine, values, np.inf).min(1)
        yield f"{name} {channel} highest", spec.unit, np.where(fine, values, -np.inf).max(1)


def _table(samples: "SampleSet", name: str) -> Iterator[Feature]:
    """Its columns."""
    for column in samples.inputs:
        yield column, samples.units.get(column, ""), np.ma.filled(samples.column(column).astype(float), np.nan)


def _said(samples: "SampleSet", name: str) -> list[list[str]]:
    arrays = samples.arrays(name)
    content, offsets = arrays["utf8"].tobytes(), arrays["offsets"]
    return [words(content[b:e].decode("utf-8", "replace")) for b, e in pairwise(offsets)]


def _frequent(samples: "SampleSet", name: str) -> tuple[str, ...]:
    """The words that divide the texts best into halves."""
    texts = [set(one) for one, there in zip(_said(samples, name), samples.present(name), strict=True) if there]
    counts = Counter(word for text in texts for word in text)
    kept, met = [], set()
    for word in sorted(counts, key=lambda word: (-len(word), word)):
        where = tuple(word in text for text in texts)
        if RARE * len(texts) <= counts[word] <= COMMON * len(texts) and where not in met:  # of words that always stand together the longest
            kept.append(word)
            met.add(where)
    return tuple(sorted(kept, key=lambda word: (abs(counts[word] / len(texts) - 0.5), word))[:WORDS])


def _texts(samples: "SampleSet", name: str, asked: Sequence[str]) -> Iterator[Feature]:
    """How many words, and whether each of those asked for is among them."""
    texts = _said(samples, name)
    yield f"{name} words", "", np.array([len(one) for one in texts], dtype=float)
    for word in asked:
        yield f"{name} says {word!r}", "", np.array([float(word in one) for one in texts])


MAKE: dict[str, Any] = {"image": _images, "spectrum": _spectra, "light_curve": _light_curves, "series": _series, "table": _table}
