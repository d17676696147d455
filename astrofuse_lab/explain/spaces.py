"""Vectors that a model makes of samples: fused, of each modality, and of any layer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import Pace, device_of, explaining, some_samples, streams_of
from astrofuse_lab.models.fusion import masked_mean
from astrofuse_lab.models.tokens import Fused, Prediction, Tokens

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

FUSED = "fused"
LAYER = "layer:"
CHANNELS_FIRST = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm)
Vectors = dict[str, NDArray[np.float32]]


def chosen_spaces(run: "Run", spaces: Sequence[str] | None, layer: str | Sequence[str] = ()) -> tuple[str, ...]:
    """The spaces asked for: ``fused``, names of modalities, and ``layer:<name>``; unknown ones raise UnknownNameError."""
    known = (FUSED, *streams_of(run))
    layers = (layer,) if isinstance(layer, str) else tuple(layer)
    given = (() if layers else known) if spaces is None else (spaces,) if isinstance(spaces, str) else tuple(spaces)
    wanted = (*given, *(LAYER + name.removeprefix(LAYER) for name in layers))
    for space in wanted:
        if space.startswith(LAYER):
            modules = dict(_modules(run.model))
            if space.removeprefix(LAYER) not in modules:
                raise UnknownNameError("layer", space.removeprefix(LAYER), modules, "af.explain.layers(run, samples) lists them.")
        elif space not in known:
            raise UnknownNameError("space", space, known, f"A layer is named by {LAYER}<name>.")
    if not wanted:
        raise InputError(f"spaces is empty; there are {', '.join(known)}. None takes them all.")
    return tuple(dict.fromkeys(wanted))


def space_vectors(run: "Run", samples: "SampleSet", spaces: Sequence[str], rows: int = 64) -> tuple[Vectors, Tensor, NDArray[np.bool_]]:
    """One pass of the model: vectors of its spaces, (n, width) each, NaN where a sample lacks the modality; its outputs; who has any modality.

    The fused vector is what the head reads; a modality's is the mean of its encoder's real tokens; a layer's the mean over its places.
    """
    pieces: dict[str, list[NDArray[np.float32]]] = {space: [] for space in spaces}
    outputs, seen = [], []
    with explaining(run.model) as model, torch.inference_mode(), _heard(model, [s.removeprefix(LAYER) for s in spaces if s.startswith(LAYER)]) as heard:
        for index in Pace(rows).chunks(len(samples)):
            heard.clear()
            part = run.batch(samples, index.numpy()).to(device_of(model))
            prediction = model(part.values, part.masks, part.present)
            fused = prediction.fused
            any_modality = torch.stack([one.mask.any(1) for one in fused.tokens.values()]).any(0)
            outputs.append(prediction.values.cpu())
            seen.append(any_modality.cpu())
            for space in spaces:
                if space == FUSED:
                    vectors, there = fused.vector, any_modality
                elif space.startswith(LAYER):
                    name = space.removeprefix(LAYER)
                    vectors, there = _pooled(name, model.get_submodule(name), heard, fused.tokens)
                else:
                    one = fused.tokens[space]
                    vectors, there = masked_mean(one.values, one.mask), one.mask.any(1)
                pieces[space].append(torch.where(there[:, None], vectors.float(), torch.nan).cpu().numpy())
    return {space: np.concatenate(found) for space, found in pieces.items()}, torch.cat(outputs), torch.cat(seen).numpy()


# ---- layers --------------------------------------------------------------------------------------------------------


def layers(run: "Run", samples: "SampleSet") -> "Table":
    """The layers of a run that can be mapped: ``embed(run, samples, spaces=["layer:<name>"])``.

    Parameters
    ----------
    run : Run
    samples : SampleSet
        A few of them are shown to the model.

    Returns
    -------
    Table
        layer, kind (its class), width (of its vectors), parameters; in the order in which they work.
    """
    from astropy.table import Table

    some_samples(samples)
    names = [name for name, _ in _modules(run.model)]
    found: list[tuple[str, str, int, int]] = []
    with explaining(run.model) as model, torch.inference_mode(), _heard(model, names) as heard:
        part = run.batch(samples, np.arange(min(2, len(samples)))).to(device_of(model))
        tokens = model(part.values, part.masks, part.present).fused.tokens
        for name in heard:
            module = model.get_submodule(name)
            try:
                width = int(_pooled(name, module, heard, tokens)[0].shape[1])
            except InputError:
                continue
            found.append((name, type(module).__name__, width, sum(p.numel() for p in module.parameters())))
    columns = zip(*found, strict=True) if found else ([], [], [], [])
    return Table(dict(zip(("layer", "kind", "width", "parameters"), map(list, columns), strict=True)))


def _modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules that compute something, by name."""
    for name, module in model.named_modules():
        if name and not isinstance(module, nn.ModuleDict | nn.ModuleList | nn.Dropout | nn.Identity):
            yield name, module


@contextmanager
def _heard(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What the named modules gave when they were last called, in the order in which they were done."""
    heard: dict[str, Any] = {}

    def listen(name: str) -> Any:
        def hook(_module: nn.Module, _given: Any, out: Any) -> None:
            heard.pop(name, None)
            heard[name] = out

        return hook

    hooks = [model.get_submodule(name).register_forward_hook(listen(name)) for name in names]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _pooled(name: str, module: nn.Module, heard: Mapping[str, Any], tokens: Mapping[str, Tokens]) -> tuple[Tensor, Tensor]:
    """A layer's output as one vector a sample, (batch, width), and who has one, (batch,)."""
    masks = {stream: one.mask for stream, one in tokens.items()}
    own = [part for part in name.split(".")[1:2] if part in masks]  # encoders.image..., and fusions or heads of one stream
    there = masks[own[0]].any(1) if own else torch.stack([mask.any(1) for mask in masks.values()]).any(0)
    if name not in heard:
        raise InputError(f"layer {name!r} was not used for these samples. af.explain.layers(run, samples) lists those that are.")
    out = heard[name]
    if isinstance(out, Tokens):
        return masked_mean(out.values, out.mask), out.mask.any(1)
    out = out.vector if isinstance(out, Fused) else out.values if isinstance(out, Prediction) else out
    out = out[0] if isinstance(out, tuple | list) and out else out
    if not isinstance(out, Tensor) or not out.is_floating_point() or out.ndim < 2 or len(out) != len(there) or 0 in out.shape:
        said = f"{tuple(out.shape)} for {len(there)} samples" if isinstance(out, Tensor) else type(out).__name__
        raise InputError(f"layer {name!r} gives no vector a sample ({said}). af.explain.layers(run, samples) lists those that do.")
    if out.ndim == 2:
        return out, there
    if out.ndim > 3 or _channels_first(module):
        return out.flatten(2).mean(2), there
    mask = _mask_of(out.shape[1], [masks[own[0]]] if own else list(masks.values()))
    return (out.mean(1) if mask is None else masked_mean(out, mask)), there


def _channels_first(module: nn.Module) -> bool:
    """Whether an output of three axes is (batch, channel, place): what the last layer with weights in it says."""
    last = [one for one in module.modules() if next(one.parameters(recurse=False), None) is not None][-1:]
    return bool(last) and isinstance(last[0], CHANNELS_FIRST)


def _mask_of(places: int, masks: list[Tensor]) -> Tensor | None:
    """Which of a layer's places are real, where they are the tokens', with or without a class token before them; None: nobody knows."""
    whole = torch.cat(masks, 1)
    if places == whole.shape[1]:
        return whole
    if places == whole.shape[1] + 1:
        return torch.cat([whole.new_ones(len(whole), 1), whole], 1)
    return None
