"""From stored arrays to tensors a model trains on: scaling fitted on the training part only, and stored with the run.

What an encoder is given, per kind (values float32; mask True where real):

=========== ============================ ==================== =====================================================
kind        values                       mask                 channels
=========== ============================ ==================== =====================================================
image       (batch, band, y, x)          (batch, band, y, x)  asinh-stretched flux above the background
spectrum    (batch, pixel)               (batch, pixel)       asinh-stretched flux
light_curve (batch, epoch, channel)      (batch, epoch)       days since the first epoch, asinh flux, log error,
                                                              upper limit, then one channel a band (one-hot)
table       (batch, column)              (batch, column)      z-scores
text        (batch, word, bucket)        (batch, word)        hashed n-grams of each word
=========== ============================ ==================== =====================================================
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.alignment.text import hashed_words, words
from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.sample_set import SampleSet

TIME, FLUX, ERROR, LIMIT, FIRST_BAND = 0, 1, 2, 3, 4
"""Channels of a light curve."""
FIT_ON = {"image": 512, "spectrum": 512, "light_curve": 20_000}
"""Objects looked at to fit a scale: enough for a median, cheap for a large set; of tables, all."""


class Batch(NamedTuple):
    """What a model is given, keyed by modality.

    Attributes
    ----------
    values, masks : dict of Tensor
        As in the table of this module; masked values are zero.
    present : dict of Tensor
        bool, (batch,): the sample has this modality.
    """

    values: dict[str, Tensor]
    masks: dict[str, Tensor]
    present: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.present.values())))

    def to(self, device: Any) -> "Batch":
        """The same on another device."""
        return Batch(*({name: t.to(device, non_blocking=True) for name, t in part.items()} for part in self))

    def take(self, index: Tensor) -> "Batch":
        """Some of its samples."""
        return Batch(*({name: t[index] for name, t in part.items()} for part in self))


DEFAULTS: dict[str, dict[str, Any]] = {
    "image": {"background": "median", "scale": "set"},
    "spectrum": {},
    "light_curve": {"epochs": 200},
    "table": {"clip": 6.0},
    "text": {"words": 64, "buckets": 256},
}


@dataclass(frozen=True)
class Scaling:
    """How one modality becomes a tensor: options and the numbers fitted on the training part.

    Attributes
    ----------
    kind : str
    layout : list
        Channels, shape and unit of the set it was fitted on; another layout is refused.
    options : mapping
    fitted : mapping of str to list of float
    """

    kind: str
    layout: list[Any]
    options: Mapping[str, Any]
    fitted: Mapping[str, list[float]]

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {"kind": self.kind, "layout": self.layout, "options": dict(self.options), "fitted": {k: list(v) for k, v in self.fitted.items()}}


class Preparation:
    """The scalings of all modalities of a run.

    Parameters
    ----------
    scalings : mapping of modality name to Scaling
    """

    def __init__(self, scalings: Mapping[str, Scaling]) -> None:
        self.scalings = dict(scalings)

    @classmethod
    def fit(cls, samples: SampleSet, modalities: Sequence[str], inputs: Mapping[str, Part] | None = None) -> "Preparation":
        """Fit on a training part.

        Parameters
        ----------
        samples : SampleSet
            Training samples only.
        modalities : sequence of str
        inputs : mapping of modality name or kind to Part
            Options that differ from `DEFAULTS`, e.g. ``{"text": Part.of("hashed", words=32)}``.
        """
        scalings = {}
        for name in modalities:
            spec = samples.spec(name)
            part = (inputs or {}).get(name) or (inputs or {}).get(spec.kind)
            options = {**DEFAULTS[spec.kind], **(part.options if part else {})}
            has = np.flatnonzero(samples.present(name))
            if len(has) == 0:
                raise InputError(f"no training sample has a usable {name!r}. Leave it out: modalities={[m for m in modalities if m != name]}.")
            some = has[:: max(1, len(has) // FIT_ON.get(spec.kind, len(has)))]
            arrays = samples.arrays(name, some)
            if not GOOD[spec.kind](arrays).any():
                raise InputError(f"every value of {name!r} is missing or not a number in the training samples. Leave it out: modalities={[m for m in modalities if m != name]}.")
            fitted = FIT[spec.kind](arrays, options) if spec.kind in FIT else {}
            scalings[name] = Scaling(spec.kind, _layout(samples, name), options, fitted)
        return cls(scalings)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modality names, in order."""
        return tuple(self.scalings)

    def check(self, samples: SampleSet) -> None:
        """Raise RunError unless the set has every modality in the layout this was fitted on; InputError for what is no set."""
        if not hasattr(samples, "modalities"):
            raise InputError(f"samples is a {type(samples).__name__}. Give a SampleSet: af.load_samples(name), af.align(found) or af.SampleSet.open(path).")
        there = samples.modalities
        for name, scaling in self.scalings.items():
            if name not in there:
                raise RunError(f"the run was trained with {name!r}; these samples have {', '.join(there) or 'no modality'}. Give samples that were aligned the same way.")
            if _layout(samples, name) != scaling.layout:
                raise RunError(f"{name!r} has another layout than the run was trained on: {_layout(samples, name)} here, {scaling.layout} in the run. Align with the same grids, bands and columns.")

    def batch(self, samples: SampleSet, positions: Sequence[int] | NDArray[np.int64] | None = None) -> Batch:
        """Tensors of some samples (None: all); only their rows are read from disk."""
        values, masks, present = {}, {}, {}
        for name, scaling in self.scalings.items():
            arrays = samples.arrays(name, positions)
            v, m = APPLY[scaling.kind](arrays, scaling)
            # a product whose values are all masked is a missing product, whatever the store says
            has = torch.from_numpy(arrays["present"].copy()) & m.flatten(1).any(1)
            m = m & has.view(-1, *[1] * (m.ndim - 1))
            values[name], masks[name], present[name] = v.masked_fill_(~m.view(*m.shape, *[1] * (v.ndim - m.ndim)), 0.0), m, has
        return Batch(values, masks, present)

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {name: scaling.to_json() for name, scaling in self.scalings.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Preparation":
        """From such a dictionary; RunError if it is damaged."""
        try:
            scalings = {name: Scaling(d["kind"], list(d["layout"]), dict(d["options"]), dict(d["fitted"])) for name, d in data.items()}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise RunError(f"the stored preparation is damaged ({error!r}). Restore the run from a copy, or train it again.") from error
        unknown = [s.kind for s in scalings.values() if s.kind not in APPLY]
        if unknown:
            raise RunError(f"the stored preparation holds the kind {unknown[0]!r}; this version knows {', '.join(APPLY)}.")
        return cls(scalings)


def _layout(samples: SampleSet, name: str) -> list[Any]:
    kind, channels, shape, unit = samples.spec(name).layout()
    return [kind, list(channels), list(shape), unit]


# ---- one fit and one apply per kind ------------------------------------------------------------------------------


def _spread(values: NDArray[Any]) -> float:
    """A robust width of a sample: 1.4826 times the median absolute deviation, never zero."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 1.0
    width = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return width if width > 0 else (float(np.std(values)) or 1.0)


def _fit_image(arrays: dict[str, NDArray[Any]], options: Mapping[str, Any]) -> dict[str, list[float]]:
    flux, mask = _above_background(arrays, options)
    soft = [_spread(flux[:, b][mask[:, b]]) for b in range(flux.shape[1])]
    stretched = np.arcsinh(flux / np.array(soft, dtype=np.float32)[:, None, None])
    return {"soft": soft, "width": [max(float(stretched[:, b][mask[:, b]].std()), 1e-3) if mask[:, b].any() else 1.0 for b in range(flux.shape[1])]}


def _above_background(arrays: dict[str, NDArray[Any]], options: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    flux = np.asarray(arrays["flux"], dtype=np.float32)
    mask: NDArray[np.bool_] = np.asarray(arrays["mask"] & np.isfinite(flux))
    flux = np.where(mask, flux, np.nan)
    if options.get("background") == "median" and flux.size:
        flat = flux.reshape(*flux.shape[:2], -1)
        empty = np.asarray(~mask.reshape(flat.shape).any(-1))
        flat = np.where(empty[..., None], 0.0, flat)  # nanmedian warns on a plane without a pixel
        flux = flux - np.nanmedian(flat, axis=-1)[..., None, None]
        if options.get("scale") == "sample":  # each plane in units of its own noise, wherever its zero point lies
            noise = 1.4826 * np.nanmedian(np.abs(flat - np.nanmedian(flat, axis=-1)[..., None]), axis=-1)
            flux = flux / np.maximum(noise, 1e-6)[..., None, None]
    return np.where(mask, flux, 0.0).astype(np.float32), mask


def _apply_image(arrays: dict[str, NDArray[Any]], scaling: Scaling) -> tuple[Tensor, Tensor]:
    flux, mask = _above_background(arrays, scaling.options)
    soft, width = (np.array(scaling.fitted[k], dtype=np.float32)[:, None, None] for k in ("soft", "width"))
    return torch.from_numpy(np.arcsinh(flux / soft) / width * mask), torch.from_numpy(mask)


def _fit_spectrum(arrays: dict[str, NDArray[Any]], options: Mapping[str, Any]) -> dict[str, list[float]]:
    good = GOOD["spectrum"](arrays)
    soft = _spread(arrays["flux"][good].astype(np.float64))
    stretched = np.arcsinh(arrays["flux"][good] / soft)
    return {"soft": [soft], "centre": [float(stretched.mean()) if good.any() else 0.0], "width": [max(float(stretched.std()), 1e-3) if good.any() else 1.0]}


def _apply_spectrum(arrays: dict[str, NDArray[Any]], scaling: Scaling) -> tuple[Tensor, Tensor]:
    flux = arrays["flux"].astype(np.float32)
    mask = arrays["mask"] & np.isfinite(flux)
    soft, centre, width = (scaling.fitted[k][0] for k in ("soft", "centre", "width"))
    values = (np.arcsinh(np.where(mask, flux, 0.0) / soft) - centre) / width * mask
    return torch.from_numpy(values.astype(np.float32)), torch.from_numpy(mask)


def _good_epochs(arrays: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    return arrays["mask"] & np.isfinite(arrays["time"]) & np.isfinite(arrays["flux"]) & np.isfinite(arrays["flux_err"])


def _fit_light_curve(arrays: dict[str, NDArray[Any]], options: Mapping[str, Any]) -> dict[str, list[float]]:
    good = _good_epochs(arrays)
    errors = arrays["flux_err"][good]
    soft = float(np.median(errors[errors > 0])) if (errors > 0).any() else 1.0
    stretched = np.arcsinh(arrays["flux"][good] / soft)
    return {"soft": [soft], "centre": [float(stretched.mean()) if good.any() else 0.0], "width": [max(float(stretched.std()), 1e-3) if good.any() else 1.0]}


def _apply_light_curve(arrays: dict[str, NDArray[Any]], scaling: Scaling) -> tuple[Tensor, Tensor]:
    bands = len(scaling.layout[1])
    end = arrays["offsets"][1:]
    counts = np.minimum(np.diff(arrays["offsets"]), int(scaling.options["epochs"]))  # the latest epochs, where there are too many
    row = np.repeat(np.arange(len(counts)), counts)
    column = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    source = np.repeat(end - counts, counts) + column
    keep = _good_epochs(arrays)[source]
    row, column, source = row[keep], column[keep], source[keep]

    values = np.zeros((len(counts), max(1, int(counts.max(initial=1))), FIRST_BAND + bands), dtype=np.float32)
    mask = np.zeros(values.shape[:2], dtype=bool)
    mask[row, column] = True
    time = arrays["time"][source]
    first = np.full(len(counts), np.inf)
    np.minimum.at(first, row, time)
    soft, centre, width = (scaling.fitted[k][0] for k in ("soft", "centre", "width"))
    values[row, column, TIME] = time - first[row]
    values[row, column, FLUX] = (np.arcsinh(arrays["flux"][source] / soft) - centre) / width
    values[row, column, ERROR] = np.log10(np.clip(arrays["flux_err"][source] / soft, 1e-3, 1e3))
    values[row, column, LIMIT] = arrays["limit"][source] if "limit" in arrays else 0.0
    values[row, column, FIRST_BAND + arrays["band"][source]] = 1.0
    return torch.from_numpy(values), torch.from_numpy(mask)


def _fit_table(arrays: dict[str, NDArray[Any]], options: Mapping[str, Any]) -> dict[str, list[float]]:
    values = np.ma.MaskedArray(arrays["values"], ~arrays["mask"])
    centre = np.ma.filled(np.ma.median(values, axis=0), 0.0)
    width = np.array([_spread(values[:, c].compressed()) for c in range(values.shape[1])])
    return {"centre": [float(v) for v in centre], "width": [float(v) for v in width]}


def _apply_table(arrays: dict[str, NDArray[Any]], scaling: Scaling) -> tuple[Tensor, Tensor]:
    centre, width = (np.array(scaling.fitted[k]) for k in ("centre", "width"))
    clip = float(scaling.options["clip"])
    values = np.clip((arrays["values"] - centre) / width, -clip, clip) * arrays["mask"]
    return torch.from_numpy(values.astype(np.float32)), torch.from_numpy(arrays["mask"].copy())


def _apply_text(arrays: dict[str, NDArray[Any]], scaling: Scaling) -> tuple[Tensor, Tensor]:
    length, buckets = int(scaling.options["words"]), int(scaling.options["buckets"])
    content, offsets = arrays["utf8"].tobytes(), arrays["offsets"]
    texts = [words(content[b:e].decode("utf-8", "replace"), length) for b, e in pairwise(offsets)]
    values, mask = hashed_words(texts, buckets, length)
    return torch.from_numpy(values), torch.from_numpy(mask)


FIT = {"image": _fit_image, "spectrum": _fit_spectrum, "light_curve": _fit_light_curve, "table": _fit_table}
APPLY = {"image": _apply_image, "spectrum": _apply_spectrum, "light_curve": _apply_light_curve, "table": _apply_table, "text": _apply_text}
GOOD: dict[str, Callable[[dict[str, NDArray[Any]]], NDArray[Any]]] = {
    "image": lambda arrays: arrays["mask"] & np.isfinite(arrays["flux"]),
    "spectrum": lambda arrays: arrays["mask"] & np.isfinite(arrays["flux"]),
    "light_curve": _good_epochs,
    "table": lambda arrays: arrays["mask"],
    "text": lambda arrays: np.diff(arrays["offsets"]) > 0,
}
