"""What "nothing to see" looks like in each kind of data: where integrated gradients start, and what occlusion puts in.

Everything is in prepared space (`samples.preparation`). A baseline changes only what was measured: masks, epochs, bands
and errors stay as they are, so that what is attributed is the signal and not how it was observed.

=========== =================== ====================================================================================
kind        baseline            means
=========== =================== ====================================================================================
image       background          empty sky: no flux above the image's own background
image       sky_noise           empty sky with noise: drawn as wide as that of the image's own background, in each band
spectrum    continuum           the sample's own smooth continuum, a running median of its good pixels: lines count
spectrum    no_flux             zero flux at every wavelength: lines and continuum count
spectrum    sky_noise           zero flux with noise: drawn as wide as the differences of neighbouring pixels
light_curve no_variability      the object's own median flux in each band, at every epoch: variability counts
light_curve no_detection        zero flux at every epoch: brightness and colour count too
series      level               the training median of each channel, at every sample (prepared values are zero there)
table       median              the training median of every column
text        no_word             the words carry no meaning (their number stays)
=========== =================== ====================================================================================

The first of a kind is the default. ``sky_noise`` is drawn, seeded by the sample's own name, so that a sample has the same
noise alone and among others; gradient SHAP takes many draws of it, the other methods one. Gradient SHAP also takes given
samples as baselines (``references=``, called ``samples`` in `Attribution.baselines`).
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.samples.preparation import FIRST_BAND, FLUX, LIMIT, Scaling, tables

if TYPE_CHECKING:
    from astrofuse_lab.samples.preparation import Batch

WINDOW_SHARE = 0.1
"""Width of the running median, as a share of the spectrum: several times a broad line, narrower than the continuum's shape."""


def _zero(values: Tensor, mask: Tensor, scaling: Scaling) -> Tensor:
    return torch.zeros_like(values)


def _background(values: Tensor, mask: Tensor, scaling: Scaling) -> Tensor:
    bands = len(scaling.layout[1]) if scaling is not None else values.shape[1]  # errors and widths of the PSF stand behind the flux and stay
    return torch.cat([torch.zeros_like(values[:, :bands]), values[:, bands:]], 1)


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


def _noise(values: Tensor, wide: Tensor, seeds: Sequence[int]) -> Tensor:
    drawn = [torch.randn(values.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn).to(values) * wide


def _sky_noise(values: Tensor, mask: Tensor, scaling: Scaling, seeds: Sequence[int]) -> Tensor:
    bands = len(scaling.layout[1])  # errors and widths of the PSF may stand behind the flux
    flat = values.masked_fill(~mask, torch.nan).flatten(2)
    middle = flat.nanmedian(2, keepdim=True).values
    wide = 1.4826 * (flat - middle).abs().nanmedian(2).values.nan_to_num(0.0)
    sky = (middle[..., None].nan_to_num(0.0) + _noise(values, wide[..., None, None], seeds)) * mask
    return torch.cat([sky[:, :bands], values[:, bands:]], 1)


def _dark_noise(values: Tensor, mask: Tensor, scaling: Scaling, seeds: Sequence[int]) -> Tensor:
    steps = (values[:, 1:] - values[:, :-1]).masked_fill(~(mask[:, 1:] & mask[:, :-1]), torch.nan)
    wide = 1.4826 / 2**0.5 * steps.abs().nanmedian(1, keepdim=True).values.nan_to_num(0.0) if values.shape[1] > 1 else torch.zeros_like(values)
    return (_dark(scaling) + _noise(values, wide, seeds)) * mask


Baseline = Callable[[Tensor, Tensor, Scaling], Tensor]
BASELINES: dict[str, dict[str, Baseline]] = {
    "image": {"background": _background},
    "spectrum": {"continuum": _continuum, "no_flux": _no_flux},
    "light_curve": {"no_variability": _no_variability, "no_detection": _no_detection},
    "series": {"level": _zero},
    "table": {"median": _median},
    "text": {"no_word": _zero},
}
"""Kind -> name -> function of (values, mask, scaling); the first name is the default."""
Drawn = Callable[[Tensor, Tensor, Scaling, Sequence[int]], Tensor]
DRAWN: dict[str, dict[str, Drawn]] = {"image": {"sky_noise": _sky_noise}, "spectrum": {"sky_noise": _dark_noise}}
"""The same for baselines that are drawn, with a seed a sample."""


def names_of(kind: str) -> tuple[str, ...]:
    """The baselines of a kind, the default first."""
    return (*BASELINES[kind], *DRAWN.get(kind, {}))


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
        fitting = [modality for modality, kind in kinds.items() if baseline in names_of(kind)]
        if not fitting:
            raise UnknownNameError("baseline", baseline, {b for kind in kinds.values() for b in names_of(kind)})
        return names | dict.fromkeys(fitting, baseline)
    if not isinstance(baseline, Mapping):
        raise InputError(f"baseline is a name, or names by modality, not {type(baseline).__name__}. Type e.g. baseline={{'spectrum': 'no_flux'}}.")
    for key, name in baseline.items():
        matching = [modality for modality, kind in kinds.items() if key in (modality, kind)]
        if not matching:
            raise UnknownNameError("modality to give a baseline", key, kinds)
        for modality in matching:
            if name not in names_of(kinds[modality]):
                raise UnknownNameError(f"baseline for {modality!r}", name, names_of(kinds[modality]))
            names[modality] = name
    return names


def draws_of(seed: int, object_ids: Iterable[Any], number: int) -> list[int]:
    """A seed a sample for the draw of that number: the same wherever the sample stands."""
    return [zlib.crc32(f"{seed}/{number}/{name}".encode()) for name in object_ids]


def make(
    names: Mapping[str, str], values: Mapping[str, Tensor], masks: Mapping[str, Tensor], scalings: Mapping[str, Any], seeds: Sequence[int] | None = None,
    references: "Batch | None" = None,
) -> dict[str, Tensor]:
    """The baselines by modality, each the shape of its values; where masked, equal to the values.

    Parameters
    ----------
    names : mapping of modality to str
    values, masks, scalings : mapping of modality
    seeds : sequence of int
        One a sample, for baselines that are drawn; None: 0, 1, ...
    references : Batch, optional
        What ``samples`` are drawn from.
    """
    made = {}
    for modality, name in names.items():
        scaling, value, mask = scalings[modality], values[modality], masks[modality]
        given = list(range(len(value))) if seeds is None else seeds
        if name == "samples":
            made[modality] = _one_of(references, modality, given, _plain(scaling, "", value, mask, given), value, mask)
        else:
            made[modality] = _plain(scaling, name, value, mask, given)
    return made


def _plain(scaling: Any, name: str, value: Tensor, mask: Tensor, seeds: Sequence[int]) -> Tensor:
    """A baseline that needs no other samples; by an empty name, the default."""
    kind = scaling.made
    name = name or next(iter(BASELINES[kind]))
    beside = value[:, 1:] if kind == "spectrum" and value.ndim == 3 else None  # errors or line spread stand behind the flux and stay
    if beside is not None:
        value, mask = value[:, 0], mask[:, 0]
    made = DRAWN[kind][name](value, mask, scaling, seeds) if name in DRAWN.get(kind, {}) else BASELINES[kind][name](value, mask, scaling)
    return made if beside is None else torch.cat([made[:, None], beside], 1)


def _one_of(references: "Batch | None", modality: str, seeds: Sequence[int], default: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """A sample drawn from the references for each; the default where that sample has nothing real."""
    if references is None:
        raise InputError("baseline 'samples' needs samples to draw from: references=samples.select(run.split.train).")
    having = references.masks[modality].flatten(1).any(1).nonzero()[:, 0]
    if not len(having):
        return default
    chosen = having[torch.tensor([seed % len(having) for seed in seeds])]
    other, known = references.values[modality][chosen].to(value), references.masks[modality][chosen].to(mask.device)
    return torch.where(mask, torch.where(known, other, default), value)
