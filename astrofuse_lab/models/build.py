"""From a recipe to a model: what puts its parts together."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.encoder import Encoder
from astrofuse_lab.models.parts import ENCODERS, HEADS, make_part
from astrofuse_lab.models.tokens import Fused, InputLayout, Prediction, Tokens
from astrofuse_lab.recipes.schema import Part, Recipe

TASKS = tuple(HEADS)
AXES = {
    "image": ("band", "y", "x"), "spectrum": ("pixel",), "light_curve": ("epoch", "channel"), "series": ("channel", "sample"), "table": ("column",),
    "text": ("word", "bucket"),
}  # fmt: skip
RAGGED = ("light_curve", "text")
"""Kinds whose first axis differs from batch to batch."""


class FusionModel(nn.Module):
    """Encoders, fusion and head; or, with a decision part, one fusion and head a modality and their combination.

    Parameters
    ----------
    recipe : Recipe
    layouts : mapping of modality name to InputLayout
    outputs : int
        Classes, or 1.
    task : {"classification", "regression"}

    Attributes
    ----------
    modalities : tuple of str
    attends : bool
        True where the fusion has attention, so that ``attention=True`` gives maps.
    """

    def __init__(self, recipe: Recipe, layouts: Mapping[str, InputLayout], outputs: int, task: str) -> None:
        super().__init__()
        self.modalities = tuple(layouts)
        self.layouts = dict(layouts)
        self.task = task
        self.encoders = nn.ModuleDict({name: _encoder(recipe, name, layout) for name, layout in layouts.items()})
        groups = {name: (name,) for name in layouts} if recipe.decision else {"all": self.modalities}
        self.fusions = nn.ModuleDict({name: make_part("fusion", recipe.fusion, group, recipe.width) for name, group in groups.items()})
        head = _head(recipe, task)
        self.heads = nn.ModuleDict({name: make_part("head", head, recipe.width, outputs) for name in groups})
        self.decision = make_part("decision", recipe.decision, task) if recipe.decision else None
        self.attends = self.decision is None and self.fusions["all"].attends

    @property
    def parameter_count(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def forward(
        self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None, *, attention: bool | str = False
    ) -> Prediction:
        """Predict.

        Parameters
        ----------
        values, masks : mapping of modality to Tensor
            As `samples.preparation` makes them. A modality that is not there is missing.
        present : mapping of modality to bool Tensor, (batch,), optional
            False masks a sample's modality. None: present where any of it is real.
        attention : bool or "all"
            True: weights of the fusion's layers, ``fusion.0`` the first. ``"all"``: also those of encoders with
            attention of their own, ``light_curve.0`` the first.

        Returns
        -------
        Prediction
        """
        tokens, maps = self.encode(values, masks, present, attention == "all")
        prediction = self.predict(tokens, bool(attention))
        if not maps:
            return prediction
        return replace(prediction, fused=prediction.fused._replace(attention={**prediction.fused.attention, **maps}))

    def predict(self, tokens: Mapping[str, Tokens], attention: bool = False) -> Prediction:
        """Predict from the tokens of any subset of the modalities, as `encode` gives them: what comes after the encoders."""
        if self.decision is not None:
            each = {name: self.heads[name](self.fusions[name]({name: one})) for name, one in tokens.items()}
            combined: Prediction = self.decision(each, {name: one.mask.any(1) for name, one in tokens.items()})
            return combined
        fused: Fused = self.fusions["all"](tokens, attention)
        prediction: Prediction = self.heads["all"](fused)
        return prediction

    def encode(
        self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None, attention: bool = False
    ) -> tuple[dict[str, Tokens], dict[str, Tensor]]:
        """Tokens of each modality given, in the model's order, and the attention maps of their encoders where asked for."""
        self._check_input(values, masks)
        tokens, maps = {}, {}
        for name in self.modalities:
            if name not in values:
                continue
            mask = masks[name]
            if present is not None and name in present:
                mask = mask & present[name].view(-1, *[1] * (mask.ndim - 1))
            own: list[Tensor] | None = [] if attention and self.encoders[name].attends else None
            tokens[name] = self.encoders[name](values[name], mask, own)
            maps.update({f"{name}.{i}": one for i, one in enumerate(own or ())})
        return tokens, maps

    def _check_input(self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
        if not values:
            raise InputError(f"no modality was given; the model takes any of {', '.join(self.modalities)}.")
        for name, tensor in values.items():
            if name not in self.layouts:
                raise UnknownNameError("modality of this model", name, self.modalities)
            layout = self.layouts[name]
            got = tuple(tensor.shape[2:] if layout.kind in RAGGED else tensor.shape[1:])
            if got != layout.shape:
                raise InputError(f"{name!r} has shape {tuple(tensor.shape)}; the model takes (batch, {', '.join(AXES[layout.kind])}) with {layout.shape} last.")
            if name not in masks:
                raise InputError(f"{name!r} has values but no mask; masks are True where a value is real.")
            expected = tuple(tensor.shape[:2] if layout.kind in RAGGED else tensor.shape)
            if tuple(masks[name].shape) != expected or masks[name].dtype != torch.bool:
                raise InputError(f"the mask of {name!r} has shape {tuple(masks[name].shape)} and {masks[name].dtype}; it needs {expected} and torch.bool.")

    def token_slices(self, fused: Fused | Mapping[str, Tokens]) -> dict[str, slice]:
        """Where each modality's tokens lie along the axes of the fusion's attention maps; the class token is first."""
        tokens = fused.tokens if isinstance(fused, Fused) else fused
        slices, begin = {"class": slice(0, 1)}, 1
        for name in self.modalities:
            if name in tokens:
                slices[name] = slice(begin, begin + tokens[name].mask.shape[1])
                begin = slices[name].stop
        return slices


def _encoder(recipe: Recipe, name: str, layout: InputLayout) -> Encoder:
    part = recipe.encoder_for(name, layout.kind)
    other = recipe.encoders.get(layout.kind, part)
    if part.name in ENCODERS and other.name in ENCODERS and layout.kind not in ENCODERS[part.name].kinds and layout.kind in ENCODERS[other.name].kinds:
        part = other  # a modality called like a kind, shown as another: a light curve as an image
    if part.name in ENCODERS and layout.kind not in ENCODERS[part.name].kinds:
        able = [n for n, encoder in ENCODERS.items() if layout.kind in encoder.kinds]
        raise InputError(f"encoder {part.name!r} reads {' or '.join(ENCODERS[part.name].kinds)}, but {name!r} is {layout.kind}. For that there is: {', '.join(able)}.")
    made: Encoder = make_part("encoder", part, layout, recipe.width)
    return made


def _head(recipe: Recipe, task: str) -> Part:
    if recipe.head.name == "auto":
        return Part(task, recipe.head.options)
    if recipe.head.name in HEADS and HEADS[recipe.head.name].task != task:
        raise InputError(f"recipe {recipe.name!r} has the head {recipe.head.name!r}, but the target needs {task}. Use recipe.change(head=Part('auto')).")
    return recipe.head


def build(recipe: Recipe, layouts: Mapping[str, InputLayout], outputs: int, task: str) -> FusionModel:
    """A model with random weights from a recipe.

    The weights follow torch's random state: seed it for the same weights.

    Parameters
    ----------
    recipe : Recipe
    layouts : mapping of modality name to InputLayout
        The modalities of the model, in order; any number from one.
    outputs : int
        Classes (at least two), or 1 for regression.
    task : {"classification", "regression"}

    Returns
    -------
    FusionModel

    Raises
    ------
    UnknownNameError
        For a part that does not exist.
    InputError
        For an option a part does not have, an encoder that cannot read its modality, no modality or one with an unusable name.
    """
    if task not in TASKS:
        raise UnknownNameError("task", task, TASKS)
    if not layouts:
        raise InputError("a model needs at least one modality; none was given.")
    for name in layouts:
        if not name or "." in name or hasattr(nn.ModuleDict(), name) or hasattr(nn.ParameterDict(), name):
            raise InputError(f"a model cannot have a modality called {name!r}; take a name without a point that is no attribute of torch's modules, e.g. 'my_image'.")
    if task == "classification" and outputs < 2:
        raise InputError(f"outputs={outputs}: classification needs at least 2.")
    if task == "regression" and outputs != 1:
        raise InputError(f"outputs={outputs}: regression has one.")
    return FusionModel(recipe, layouts, outputs, task)


def layouts_of(scalings: Mapping[str, Mapping[str, Any]]) -> dict[str, InputLayout]:
    """The layouts of a run's inputs, from what `Preparation.to_json` gives.

    Parameters
    ----------
    scalings : mapping of modality name to mapping
        Each with ``kind``, ``layout`` (kind, channels, shape, unit) and ``options``.
    """
    return {name: _layout_of(one) for name, one in scalings.items()}


def _layout_of(scaling: Mapping[str, Any]) -> InputLayout:
    kind, channels, shape, _ = scaling["layout"]
    if kind == "light_curve":
        shape = (4 + len(channels),)  # days, flux, log error, upper limit, then one a band
    elif kind == "text":
        shape = (int(scaling["options"]["buckets"]),)
    return InputLayout(kind, tuple(channels), tuple(shape))
