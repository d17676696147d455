"""What "nothing to see" looks like in each kind of data: where integrated gradients start, and what occlusion puts in.

Everything is in prepared space (`samples.preparation`). A baseline changes only what was measured: masks, epochs, bands
and errors stay as they are, so that what is attributed is the signal and not how it was observed.

=========== =================== ====================================================================================
kind        baseline            means
=========== =================== ====================================================================================
image       background          empty sky: no flux above the image's own background
spectrum    continuum           the sample's own smooth continuum, a running median of its good pixels: lines count
spectrum    no_flux             zero flux at every wavelength: lines and continuum count
light_curve no_variability      the object's own median flux in each band, at every epoch: variability counts
light_curve no_detection        zero flux at every epoch: brightness and colour count too
series      level               the training median of each channel, at every sample (prepared values are zero there)
table       median              the training median of every column
text        no_word             the words carry no meaning (their number stays)
=========== =================== ====================================================================================

The first of a kind is the default.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.samples.preparation import FIRST_BAND, FLUX, LIMIT, Scaling, tables

WINDOW_SHARE = 0.1
"""Width of the running median, as a share of the spectrum: several times a broad line, narrower than the continuum's shape."""


def _zero(values: Tensor, mask: Tensor, scaling: Scaling) -> Tensor:
    return torch.zeros_like(values)


def _median(values: Tensor, mask: Tensor, scaling: Scaling) -> Tensor:
    return torch.from_numpy(tables.median(scaling)).to(values).expand_as(values) * mask


def _dark(scaling: Scaling) -> float:
    """Zero flux in prepared space: asinh(0) = 0, then centred and scaled."""
    return -scaling.fitted["centre"][0] / scaling.fitted["width"][0]


def _continuum(values: Tensor, mask: Tensor, scaling: Scaling) -> Tensor:
    half = max(2, int(WINDOW_SHARE * values.shape[1]) // 2)
    rows = []
    for row, good in zip(values.masked_fill(~mask, torch.nan), mask, strict=True):  # one at a time: windows are large
        if not good.any():
            rows.append(torch.zeros_like(row))
            continue
        padded = torch.nn.functional.pad(row, (half, half), value=torch.nan)
        smooth = padded.unfold(0, 2 * half + 1, 1).nanmedian(1).values
        rows.append(torch.where(smooth.isnan(), row.nanmedian(), smooth))
    return torch.stack(rows) * mask if rows else torch.zeros_like(values)


def _no_flux(values: Tensor, mask: Tensor, scaling: Scaling) -> Tensor:
    return torch.full_like(values, _dark(scaling)) * mask


def _no_variability(values: Tensor, mask: Tensor, scaling: Scaling) -> Tensor:
    baseline = values.clone()
    flux = values[..., FLUX]
    detected = mask & (values[..., LIMIT] == 0)
    for band in range(FIRST_BAND, values.shape[-1]):
        here = mask & (values[..., band] > 0)
        seen = here & detected
        seen = torch.where(seen.any(1, keepdim=True), seen, here)  # only limits in this band: their median
        level = flux.masked_fill(~seen, torch.nan).nanmedian(1, keepdim=True).values.nan_to_num(0.0)
        baseline[..., FLUX] = torch.where(here, level, baseline[..., FLUX])
    return baseline


def _no_detection(values: Tensor, mask: Tensor, scaling: Scaling) -> Tensor:
    baseline = values.clone()
    baseline[..., FLUX] = torch.where(mask, torch.full_like(values[..., FLUX], _dark(scaling)), values[..., FLUX])
    return baseline


Baseline = Callable[[Tensor, Tensor, Scaling], Tensor]
BASELINES: dict[str, dict[str, Baseline]] = {
    "image": {"background": _zero},
    "spectrum": {"continuum": _continuum, "no_flux": _no_flux},
    "light_curve": {"no_variability": _no_variability, "no_detection": _no_detection},
    "series": {"level": _zero},
    "table": {"median": _median},
    "text": {"no_word": _zero},
}
"""Kind -> name -> function of (values, mask, scaling); the first name is the default."""


def choose(kinds: Mapping[str, str], baseline: str | Mapping[str, str] | None) -> dict[str, str]:
    """The baseline of each modality.

    Parameters
    ----------
    kinds : mapping of modality to kind
        The modalities explained.
    baseline : None, str or mapping of modality (or kind) to str
        A single name is for the modalities whose kind has it; the others keep their default.

    Raises
    ------
    UnknownNameError
        For a name that no modality explained has, or a modality that is not explained.
    """
    names = {modality: next(iter(BASELINES[kind])) for modality, kind in kinds.items()}
    if baseline is None:
        return names
    if isinstance(baseline, str):
        fitting = [modality for modality, kind in kinds.items() if baseline in BASELINES[kind]]
        if not fitting:
            raise UnknownNameError("baseline", baseline, {b for kind in kinds.values() for b in BASELINES[kind]})
        return names | dict.fromkeys(fitting, baseline)
    if not isinstance(baseline, Mapping):
        raise InputError(f"baseline is a name, or names by modality, not {type(baseline).__name__}. Type e.g. baseline={{'spectrum': 'no_flux'}}.")
    for key, name in baseline.items():
        matching = [modality for modality, kind in kinds.items() if key in (modality, kind)]
        if not matching:
            raise UnknownNameError("modality to give a baseline", key, kinds)
        for modality in matching:
            if name not in BASELINES[kinds[modality]]:
                raise UnknownNameError(f"baseline for {modality!r}", name, BASELINES[kinds[modality]])
            names[modality] = name
    return names


def make(names: Mapping[str, str], values: Mapping[str, Tensor], masks: Mapping[str, Tensor], scalings: Mapping[str, Any]) -> dict[str, Tensor]:
    """The baselines by modality, each the shape of its values; where masked, equal to the values."""
    return {modality: BASELINES[scalings[modality].made][name](values[modality], masks[modality], scalings[modality]) for modality, name in names.items()}
