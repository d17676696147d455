"""From a recipe to a model: what puts its parts together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.alignment.sentences import WIDTH as SENTENCE_WIDTH
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.decision import Decision
from astrofuse_lab.models.encoder import Encoder
from astrofuse_lab.models.front import Front
from astrofuse_lab.models.fusion import masked_mean
from astrofuse_lab.models.heads import About
from astrofuse_lab.models.parts import AUTO_HEADS, ENCODERS, HEADS, generic_options, make_part
from astrofuse_lab.models.tokens import Fused, InputLayout, Prediction, Tokens
from astrofuse_lab.models.weights import load_weights
from astrofuse_lab.recipes.schema import Part, Recipe

TASKS = tuple(AUTO_HEADS)
AXES = {
    "image": ("band", "y", "x"), "spectrum": ("pixel",), "light_curve": ("epoch", "channel"), "series": ("channel", "sample"), "table": ("column",),
    "text": ("word", "bucket"),
}  # fmt: skip
RAGGED = ("light_curve", "text")
"""Kinds whose first axis differs from batch to batch."""

BESIDE = {"errors": "error", "psf": "psf", "lsf": "lsf"}
"""Options of a preparation, and what the channels are called that they add."""


class FusionModel(nn.Module):
    """Encoders, fusion and head; or, with a decision part, one fusion and head a stream (a modality, or several) and their combination.

    Parameters
    ----------
    recipe : Recipe
    layouts : mapping of modality name to InputLayout
    outputs : int
        Classes, labels or target columns; 1 for one number, 0 without a target.
    task : str
        One of `TASKS`.
    classes : sequence of str
        Names of the classes, for heads that ask for them.
    initial : bool
        As in `build`.

    Attributes
    ----------
    modalities : tuple of str
        The inputs.
    streams : tuple of str
        What encoders read and fusion is given tokens of: the modalities, but for those that the recipe stacks into one.
    attends : bool
        True where the fusion has attention, so that ``attention=True`` gives maps.
    """

    def __init__(self, recipe: Recipe, layouts: Mapping[str, InputLayout], outputs: int, task: str, classes: Sequence[str] = (), initial: bool = True) -> None:
        super().__init__()
        self.modalities = tuple(layouts)
        self.layouts = dict(layouts)
        self.task = task
        self.front = Front(recipe, layouts)
        self.streams = tuple(self.front.layouts)
        self.encoders = nn.ModuleDict({name: _encoder(recipe, name, layout, initial) for name, layout in self.front.layouts.items()})
        self.decision: Decision | None = make_part("decision", recipe.decision, task, self.streams, outputs) if recipe.decision else None
        groups = self.decision.streams if self.decision is not None else {"all": self.streams}
        self.fusions = nn.ModuleDict({name: make_part("fusion", recipe.fusion, group, recipe.width) for name, group in groups.items()})
        widths: dict[str, int] = {}
        for name, group in groups.items():
            fusion: Any = self.fusions[name]
            fusion.meet({one: self.encoders[one].width for one in group})
            widths[name] = fusion.vector_width
        head = _head(recipe, task)
        names = tuple(map(str, classes))
        abouts = {name: About(names, {m: self.front.layouts[m] for m in group}) for name, group in groups.items()}
        self.heads = nn.ModuleDict({name: make_part("head", head, widths[name], outputs, about) for name, about in abouts.items()})
        self.attends = self.decision is None and self.fusions["all"].attends

    @property
    def separable(self) -> bool:
        """True where a modality's tokens are those of one stream of its own, whatever the other modalities are."""
        return self.streams == self.modalities

    @property
    def differentiable(self) -> bool:
        """False where no useful gradient leads from the prediction to the inputs."""
        return self.decision is None or self.decision.differentiable

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
            each: dict[str, Prediction] = {}
            present: dict[str, Tensor] = {}
            for stream, members in self.decision.streams.items():
                own = {name: tokens[name] for name in members if name in tokens}
                if own:
                    each[stream] = self.heads[stream](self.fusions[stream](own))
                    present[stream] = torch.stack([one.mask.any(1) for one in own.values()]).any(0)
            combined: Prediction = self.decision(each, present)
            return _marked(replace(combined, each=each), [one.fused for one in each.values()])
        fused: Fused = self.fusions["all"](tokens, attention)
        prediction: Prediction = self.heads["all"](fused)
        return _marked(prediction, [fused])

    def encode(
        self, values: Mapping[str, Tensor], masks: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None, attention: bool = False
    ) -> tuple[dict[str, Tokens], dict[str, Tensor]]:
        """Tokens of each stream that has a modality given, in the model's order, and the attention maps of their encoders where asked for."""
        self._check_input(values, masks)
        given, real = {}, {}
        for name in self.modalities:
            if name in values:
                mask = masks[name]
                if present is not None and name in present:
                    mask = mask & present[name].view(-1, *[1] * (mask.ndim - 1))
                given[name], real[name] = values[name], mask
        given, real = self.front(given, real)
        tokens, maps = {}, {}
        for name, value in given.items():
            own: list[Tensor] | None = [] if attention and self.encoders[name].attends else None
            tokens[name] = self.encoders[name](value, real[name], own)
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
        """Where each modality's tokens lie along the axes of the fusion's attention maps.

        The class token is first; the fusion's own tokens (summaries, bottlenecks, marks), where maps have them, are last, as ``relay``.
        """
        tokens = fused.tokens if isinstance(fused, Fused) else fused
        slices, begin = {"class": slice(0, 1)}, 1
        for name in tokens:
            slices[name] = slice(begin, begin + tokens[name].mask.shape[1])
            begin = slices[name].stop
        whole = [one.shape[-1] for key, one in fused.attention.items() if key.startswith("fusion.")] if isinstance(fused, Fused) else []
        if whole and whole[0] > begin:
            slices["relay"] = slice(begin, whole[0])
        return slices

    @property
    def fits(self) -> bool:
        """True where a fusion works something out from training samples before each epoch."""
        return any(fusion.fits for fusion in self.fusions.values())

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Mapping[str, Tensor], Mapping[str, Tensor], Mapping[str, Tensor], Tensor]]) -> None:
        """Let fusions work out what gradients do not: values, masks, present and target of training samples, batch by batch."""
        pieces: dict[str, list[tuple[Tensor, Tensor]]] = {}
        targets = []
        for values, masks, present, target in batches:
            # one vector a stream: what can be fitted, and all that fits in memory
            for name, one in self.encode(values, masks, present)[0].items():
                pieces.setdefault(name, []).append((masked_mean(*one[:2])[:, None], one.mask.any(1, keepdim=True)))
            targets.append(target)
        whole = {name: Tokens(torch.cat([v for v, _ in own]), torch.cat([m for _, m in own]), {}) for name, own in pieces.items()}
        groups = self.decision.streams if self.decision is not None else {"all": self.streams}
        for name, members in groups.items():
            fusion: Any = self.fusions[name]
            if fusion.fits:
                fusion.fit({m: whole[m] for m in members if m in whole}, torch.cat(targets))


def _marked(prediction: Prediction, fused: Sequence[Fused]) -> Prediction:
    """The prediction with what says for whom a stand-in was made, in any of the streams."""
    made: dict[str, Tensor] = {}
    for one in fused:
        for name, tokens in one.tokens.items():
            if "generated" in tokens.place:
                key, here = f"generated.{name}", tokens.place["generated"]
                made[key] = made[key] | here if key in made else here
    return replace(prediction, extra={**prediction.extra, **made}) if made else prediction


def _encoder(recipe: Recipe, name: str, layout: InputLayout, initial: bool) -> Encoder:
    part = recipe.encoder_for(name, layout.kind)
    other = recipe.encoders.get(layout.kind, part)
    if part.name in ENCODERS and other.name in ENCODERS and layout.kind not in ENCODERS[part.name].kinds and layout.kind in ENCODERS[other.name].kinds:
        part = other  # a modality called like a kind, shown as another: a light curve as an image
    if part.name in ENCODERS and layout.kind not in ENCODERS[part.name].kinds:
        able = [n for n, encoder in ENCODERS.items() if layout.kind in encoder.kinds]
        raise InputError(f"encoder {part.name!r} reads {' or '.join(ENCODERS[part.name].kinds)}, but {name!r} is {layout.kind}. For that there is: {', '.join(able)}.")
    generic = generic_options(part)
    made: Encoder = make_part("encoder", Part(part.name, {n: v for n, v in part.options.items() if n not in generic}), layout, recipe.width)
    if initial and generic["weights"]:
        load_weights(made, generic["weights"], name)
    if generic["frozen"]:
        made.requires_grad_(False)
    return made


def _head(recipe: Recipe, task: str) -> Part:
    if recipe.head.name == "auto":
        return Part(AUTO_HEADS[task], recipe.head.options)
    if recipe.head.name in HEADS and task not in HEADS[recipe.head.name].tasks:
        raise InputError(f"recipe {recipe.name!r} has the head {recipe.head.name!r}, but the target needs {task}. Use recipe.change(head=Part('auto')).")
    if recipe.decision and recipe.head.name in ("reconstruction", "anomaly_score"):
        raise InputError(f"recipe {recipe.name!r}: the head {recipe.head.name!r} says nothing that a decision could combine. Use recipe.change(decision=None).")
    return recipe.head


def build(recipe: Recipe, layouts: Mapping[str, InputLayout], outputs: int, task: str, classes: Sequence[str] = (), initial: bool = True) -> FusionModel:
    """A model with random weights from a recipe.

    The weights follow torch's random state: seed it for the same weights.

    Parameters
    ----------
    recipe : Recipe
    layouts : mapping of modality name to InputLayout
        The modalities of the model, in order; any number from one.
    outputs : int
        Classes (at least two), labels or target columns (at least one); 1 for regression, 0 without a target.
    task : {"classification", "multi_label", "regression", "multi_regression", "self_supervised"}
    classes : sequence of str
        Names of the classes in the order of the outputs: heads with a tree or an order ask for them.
    initial : bool
        Read the weights that encoders begin with from where their option ``weights`` says. False for a model whose own weights follow.

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
    _check_outputs(task, outputs)
    return FusionModel(recipe, layouts, outputs, task, classes, initial)


def _check_outputs(task: str, outputs: int) -> None:
    if task == "classification" and outputs < 2:
        raise InputError(f"outputs={outputs}: classification needs at least 2.")
    if task == "regression" and outputs != 1:
        raise InputError(f"outputs={outputs}: regression has one.")
    if task.startswith("multi") and outputs < 1:
        raise InputError(f"outputs={outputs}: {task} needs at least 1.")
    if task == "self_supervised" and outputs != 0:
        raise InputError(f"outputs={outputs}: without a target there are none, outputs=0.")


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
        shape = (SENTENCE_WIDTH if scaling["options"].get("treatment") == "sentence" else int(scaling["options"]["buckets"]),)
    beside = [name for option, name in BESIDE.items() if kind in ("image", "spectrum") and scaling["options"].get(option)]
    if kind == "spectrum" and beside:
        return InputLayout("series", ("flux", *(f"{name}:flux" for name in beside)), (1 + len(beside), *shape))
    if kind == "image" and beside:
        channels, shape = [*channels, *(f"{name}:{band}" for name in beside for band in channels)], ((1 + len(beside)) * shape[0], *shape[1:])
    return InputLayout(kind, tuple(channels), tuple(shape))
