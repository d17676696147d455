"""From stored arrays to tensors a model trains on: scaling fitted on the training part only, and stored with the run.

What an encoder is given, per kind (values float32; mask True where real):

=========== ============================ ==================== =====================================================
kind        values                       mask                 channels
=========== ============================ ==================== =====================================================
image       (batch, band, y, x)          (batch, band, y, x)  asinh-stretched flux above the background
spectrum    (batch, pixel)               (batch, pixel)       asinh-stretched flux
light_curve (batch, epoch, channel)      (batch, epoch)       days since the first epoch, asinh flux, log error,
                                                              upper limit, then one channel a band (one-hot)
series      (batch, channel, sample)     (batch, channel,     asinh-stretched values, each channel by itself
                                         sample)
table       (batch, column)              (batch, column)      scaled columns: robust z-scores, or as asked
text        (batch, word, bucket)        (batch, word)        hashed n-grams of each word
text        (batch, sentence, 384)       (batch, sentence)    as ``"sentence"``: vectors of a language model
=========== ============================ ==================== =====================================================

Images may also carry, after the flux, planes of its errors (in the stretched units) and of the PSF's width (standard deviation in pixels), band by
band: options ``errors=True`` and ``psf=True``. So may spectra, with ``errors=True`` and ``lsf=True``: they are then (batch, channel, pixel).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from astrofuse_lab.alignment.representations import representation
from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.preparation import images, light_curves, series, spectra, tables, texts
from astrofuse_lab.samples.preparation.light_curves import ERROR, FIRST_BAND, FLUX, LIMIT, TIME
from astrofuse_lab.samples.preparation.scaling import Scaling
from astrofuse_lab.samples.represented import asked, numbers, with_shown
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import ModalitySpec

__all__ = ["APPLY", "DEFAULTS", "ERROR", "FIRST_BAND", "FIT", "FLUX", "GOOD", "LIMIT", "TIME", "Batch", "Preparation", "Scaling"]

FIT_ON = {"image": 512, "spectrum": 512, "light_curve": 20_000, "series": 4096}
"""Objects looked at to fit a scale: enough for a median, cheap for a large set; of tables, all."""
MOST_SHOWN = 10_000
"""Of tables that a representation has yet to make."""


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
    "image": {"background": "median", "scale": "set", "stretch": "asinh", "errors": False, "psf": False},
    "spectrum": {"errors": False, "lsf": False},
    "light_curve": {"epochs": 200},
    "series": {"stretch": "asinh"},
    "table": dict(tables.OPTIONS),
    "text": dict(texts.TREATMENTS["hashed"]),
}


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
            Options that differ from `DEFAULTS`, e.g. ``{"text": Part.of("hashed", words=32)}``, another scaling of a table's columns,
            ``{"table": Part.of("quantile", impute="median")}``, or a representation, e.g.
            ``{"light_curve": Part.of("dmdt", edges="scope")}``, with options of its own and of the scaling that follows.
        """
        scalings = {}
        for name in modalities:
            shown, changed = asked(samples.spec(name), inputs)
            given = _layout(samples, name) if shown else []
            seen = with_shown(samples, {name: shown} if shown else {})
            spec = seen.spec(name)
            options = texts.options_of(changed) if spec.kind == "text" else {**DEFAULTS[spec.kind], **changed}
            has = np.flatnonzero(samples.present(name))
            if len(has) == 0:
                raise InputError(f"no training sample has a usable {name!r}. Leave it out: modalities={[m for m in modalities if m != name]}.")
            some = has[:: max(1, len(has) // FIT_ON.get(spec.kind, MOST_SHOWN if shown else len(has)))]
            arrays = seen.arrays(name, some)
            if not GOOD[spec.kind](arrays).any():
                raise InputError(
                    f"every value of {name!r} is missing or not a number in the training samples. Leave it out: modalities={[m for m in modalities if m != name]}."
                )
            fitted = tables.fit(arrays, options, spec.channels) if spec.kind == "table" else FIT[spec.kind](arrays, options) if spec.kind in FIT else {}
            if spec.kind == "image" and options.get("psf"):
                fitted["pixel"] = [float(spec.scale) or 1.0]
            scalings[name] = Scaling(spec.kind, _layout(seen, name), options, fitted, shown, given)
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
                raise RunError(
                    f"the run was trained with {name!r}; these samples have {', '.join(there) or 'no modality'}. Give samples that were aligned the same way."
                )
            expected = scaling.given if scaling.shown else scaling.layout
            if scaling.shown and scaling.given[0] == "table":  # read by its columns' names: what else the table holds changes nothing
                scaling.shown.spec(samples.spec(name))
            elif _same_unit(_layout(samples, name)) != _same_unit(expected):
                raise RunError(
                    f"{name!r} has another layout than the run was trained on: {_layout(samples, name)} here, {expected} in the run. Align with the same grids, bands and columns."
                )
            lacking = [column for column in self.columns(name) if column not in samples.roles]
            if lacking:
                raise RunError(f"the run shows {name!r} as {scaling.shown.name!r} with the column {lacking[0]!r}, which these samples lack." if scaling.shown else "")

    def batch(self, samples: SampleSet, positions: Sequence[int] | NDArray[np.int64] | None = None) -> Batch:
        """Tensors of some samples (None: all); only their rows are read from disk."""
        values, masks, present = {}, {}, {}
        for name, scaling in self.scalings.items():
            arrays = self._shown(samples, name, positions)
            v, m = APPLY[scaling.kind](arrays, scaling)
            # a product whose values are all masked is a missing product, whatever the store says
            has = torch.from_numpy(arrays["present"].copy()) & m.flatten(1).any(1)
            m = m & has.view(-1, *[1] * (m.ndim - 1))
            values[name], masks[name], present[name] = v.masked_fill_(~m.view(*m.shape, *[1] * (v.ndim - m.ndim)), 0.0), m, has
        return Batch(values, masks, present)

    def inverse(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        """Scaled values of a table, (object, column), in the columns' own units; InputError for other kinds."""
        if name not in self.scalings or self.scalings[name].kind != "table":
            able = [n for n, one in self.scalings.items() if one.kind == "table"]
            raise InputError(f"only tables can be scaled back, and {name!r} is none; there is {', '.join(able) or 'none'}.")
        return tables.inverse(values, self.scalings[name])

    def columns(self, name: str) -> tuple[str, ...]:
        """The scalar columns that a modality's representation reads."""
        shown = self.scalings[name].shown
        return representation(shown.name).needs(shown.options) if shown else ()

    def represented(self, samples: SampleSet) -> SampleSet:
        """The samples as the encoders see them, before scaling: modalities that the run shows as others are those."""
        return with_shown(samples, {name: one.shown for name, one in self.scalings.items() if one.shown})

    def _shown(self, samples: SampleSet, name: str, positions: Sequence[int] | NDArray[np.int64] | None) -> dict[str, NDArray[Any]]:
        arrays, scaling = samples.arrays(name, positions), self.scalings[name]
        if scaling.shown is None:
            return arrays
        kind, channels, shape, unit = scaling.given if scaling.given[0] != "table" else _layout(samples, name)
        some = samples if positions is None or not self.columns(name) else samples.take(np.asarray(positions))
        return scaling.shown.arrays(arrays, ModalitySpec(name, kind, tuple(channels), tuple(shape), unit), lambda column: numbers(some, column))

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return {name: scaling.to_json() for name, scaling in self.scalings.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Preparation":
        """From such a dictionary; RunError if it is damaged."""
        try:
            scalings = {name: Scaling.from_json(d) for name, d in data.items()}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise RunError(f"the stored preparation is damaged ({error!r}). Restore the run from a copy, or train it again.") from error
        unknown = [s.kind for s in scalings.values() if s.kind not in APPLY]
        if unknown:
            raise RunError(f"the stored preparation holds the kind {unknown[0]!r}; this version knows {', '.join(APPLY)}.")
        return cls(scalings)


def _same_unit(layout: list[Any]) -> list[Any]:
    """Counts of a detector go by two names: DN in tables of ZTF, adu in the FITS standard."""
    return [*layout[:3], "adu" if layout[3] == "DN" else layout[3]]


def _layout(samples: SampleSet, name: str) -> list[Any]:
    kind, channels, shape, unit = samples.spec(name).layout()
    return [kind, list(channels), list(shape), unit]


FIT = {"image": images.fit, "spectrum": spectra.fit, "light_curve": light_curves.fit, "series": series.fit}
APPLY = {
    "image": images.apply, "spectrum": spectra.apply, "light_curve": light_curves.apply, "series": series.apply, "table": tables.apply, "text": texts.apply,
}  # fmt: skip
GOOD: dict[str, Callable[[dict[str, NDArray[Any]]], NDArray[Any]]] = {
    "image": lambda arrays: arrays["mask"] & np.isfinite(arrays["flux"]),
    "spectrum": spectra.good,
    "light_curve": light_curves.good,
    "series": series.good,
    "table": lambda arrays: arrays["mask"],
    "text": lambda arrays: np.diff(arrays["offsets"]) > 0,
}
