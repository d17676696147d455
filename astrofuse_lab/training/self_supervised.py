"""Training without labels: the table of objectives, and how one is made."""

import inspect
from typing import Any

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training.self_supervised_base import SelfSupervised
from astrofuse_lab.training.self_supervised_contrast import Adversarial, InfoNCE, SigmoidContrast, VICReg
from astrofuse_lab.training.self_supervised_masked import Denoising, Masked
from astrofuse_lab.training.self_supervised_missing import Reconstruction
from astrofuse_lab.training.self_supervised_vae import Variational

SELF_SUPERVISED: dict[str, type[SelfSupervised]] = {
    "info_nce": InfoNCE, "sigmoid_contrast": SigmoidContrast, "vicreg": VICReg, "adversarial": Adversarial,
    "masked": Masked, "denoising": Denoising, "vae": Variational, "reconstruction": Reconstruction,
}  # fmt: skip
COMPARED = ("info_nce", "sigmoid_contrast", "adversarial", "supervised_contrastive")
"""Objectives that train the projection of the head."""
AUTO = "masked"
"""What a training without a target does where its recipe names none: it needs no second modality."""


def options_of(objective: type[SelfSupervised]) -> dict[str, Any]:
    """The options an objective has, with their defaults."""
    return {name: p.default for name, p in inspect.signature(objective).parameters.items() if p.kind is p.KEYWORD_ONLY}


def make_self_supervised(part: Part, model: FusionModel) -> SelfSupervised:
    """The objective of a recipe.

    Raises
    ------
    UnknownNameError, InputError
        For a name, an option or a value that does not exist.
    """
    if part.name not in SELF_SUPERVISED:
        raise UnknownNameError("self-supervised objective", part.name, SELF_SUPERVISED, "Type af.list_parts() to see them all.")
    made = SELF_SUPERVISED[part.name]
    known = options_of(made)
    for name, value in part.options.items():
        if name not in known:
            raise InputError(f"self-supervised objective {part.name!r} has no option {name!r}; it has {', '.join(known)}.")
        default = known[name]
        good = isinstance(value, bool) if isinstance(default, bool) else isinstance(value, (int, float) if isinstance(default, float) else type(default))
        if not good or (isinstance(value, bool) and not isinstance(default, bool)):
            raise InputError(f"self-supervised objective {part.name!r}: {name}={value!r} is {type(value).__name__}; the default is {default!r}.")
    return made(model, **part.options)
