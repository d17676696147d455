"""One sample drawn small: a stamp of its image, the run of its spectrum, its light curve, a line of its text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.modalities import Image, LightCurve, Modality, Series, Spectrum, Text
from astrofuse_lab.widgets.wire import _levels, array, plain

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

STAMP = 48
"""Pixels a side of a stamp at most."""
BINS = 120
"""Places of a spectrum or series that is drawn small."""
EPOCHS = 150
WORDS = 90
"""Characters of a text."""
SHOWN = ("target", "prediction")


def binned(values: NDArray[Any], good: NDArray[np.bool_], bins: int = BINS) -> NDArray[np.float64]:
    """Means of neighbouring values where `good`; NaN where a bin has none."""
    n = len(values)
    edges = np.linspace(0, n, min(bins, n) + 1).astype(int)[:-1]
    if n == 0:
        return np.zeros(0)
    ok = good & np.isfinite(values)
    count = np.add.reduceat(ok.astype(float), edges)
    total = np.add.reduceat(np.where(ok, values, 0.0).astype(float), edges)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _unit(values: NDArray[Any], low: float = 0.01, high: float = 0.99) -> NDArray[np.float64]:
    """Values as 0 to 1 between two quantiles; what is beyond is put at the end, NaN stays."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return np.full(len(values), np.nan)
    a, b = np.quantile(known, [low, high])
    return np.clip((values - a) / (b - a), 0, 1) if b > a else np.where(np.isfinite(values), 0.5, np.nan)


def stamp(one: Image, side: int = STAMP) -> NDArray[np.uint8]:
    """An image as red, green and blue, (height, width, 3): bands by wavelength from blue to red, asinh above the sky (Lupton et al. 2004, doi:10.1086/382245)."""
    flux, mask = np.asarray(one.flux), np.asarray(one.mask, dtype=bool)
    step = max(1, -(-max(flux.shape[-2:]) // side))
    bands = [len(flux) - 1, len(flux) // 2, 0]
    planes = []
    for band in bands:
        sky, noise, bright = _levels(flux[band], mask[band])
        rows, columns = (flux.shape[-2] // step) * step, (flux.shape[-1] // step) * step
        ok = (mask[band] & np.isfinite(flux[band]))[:rows, :columns]
        blocks = (rows // step, step, columns // step, step)
        count = ok.reshape(blocks).sum((1, 3))
        mean = np.where(ok, flux[band][:rows, :columns], 0.0).reshape(blocks).sum((1, 3)) / np.maximum(count, 1)
        softened = np.arcsinh(np.maximum(np.where(count > 0, mean - sky, 0.0), 0.0) / (2 * noise)) / np.arcsinh(max(bright - sky, noise) / (2 * noise))
        planes.append(np.clip(softened, 0, 1))
    return np.round(255 * np.stack(planes, -1)).astype(np.uint8)[::-1]


def small(one: Modality, channels: Sequence[str] = ()) -> dict[str, Any] | None:
    """One modality drawn small; None for what has no small drawing."""
    if isinstance(one, Image):
        return {"kind": "image", "pixels": array(stamp(one), "uint8"), "says": ", ".join(one.bands)}
    if isinstance(one, Spectrum):
        run = binned(np.asarray(one.flux), np.asarray(one.mask, dtype=bool))
        ends = [float(one.wavelength[0]), float(one.wavelength[-1])] if len(one.wavelength) else [0.0, 0.0]
        return {"kind": "spectrum", "y": array(_unit(run)), "says": f"{ends[0]:.0f} to {ends[1]:.0f} Å"}
    if isinstance(one, LightCurve):
        return _epochs(one, channels)
    if isinstance(one, Series):
        first, good = np.atleast_2d(np.asarray(one.values))[0], np.atleast_2d(np.asarray(one.mask, dtype=bool))[0]
        return {"kind": "series", "y": array(_unit(binned(first, good))), "says": f"{one.channels[0]} by {one.axis_name}"}
    if isinstance(one, Text):
        return {"kind": "text", "says": one.text[:WORDS] + ("…" if len(one.text) > WORDS else "")}
    return None


def _epochs(one: LightCurve, channels: Sequence[str]) -> dict[str, Any]:
    """The latest epochs that were measured, time and flux from 0 to 1, and each one's band."""
    good = np.flatnonzero(np.asarray(one.mask, dtype=bool) & np.isfinite(one.flux))[-EPOCHS:]
    time, flux = np.asarray(one.time, dtype=float)[good], np.asarray(one.flux, dtype=float)[good]
    bands = list(dict.fromkeys([*channels, *np.asarray(one.band).tolist()]))
    days = f"{time[-1] - time[0]:.0f} d" if len(time) else "no epoch"
    where = _unit(time, 0, 1) if len(time) else time
    return {
        "kind": "light_curve", "x": array(where), "y": array(_unit(flux) if len(flux) else flux),
        "band": array([bands.index(b) for b in np.asarray(one.band)[good]], "int32"), "bands": bands, "says": f"{len(good)} epochs, {days}",
    }  # fmt: skip


def thumbnail(samples: "SampleSet", position: int) -> dict[str, Any]:
    """One object of a set: its id, what it is, and each modality that it has, small."""
    sample = samples[position]
    parts = []
    for name, spec in samples.modalities.items():
        one = sample.modalities[name]
        drawn = small(one, spec.channels) if one is not None else None
        if drawn is not None:
            parts.append({"name": name, **drawn})
    facts = [[name, str(value) if isinstance(value, bool | np.bool_) else plain(value)] for name, value in sample.columns.items() if samples.roles.get(name) in SHOWN]
    return {"object_id": sample.object_id, "facts": facts[:6], "parts": parts}
