"""A model as a recipe would make it, before anything is trained."""

from collections.abc import Sequence

import numpy as np
import torch

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.build import FusionModel, build, layouts_of
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.devices import forked
from astrofuse_lab.training.problem import Problem, pose

SOME = 48
"""Samples by which layouts are known: scalings do not change a model's shape."""


def preview(recipe: Recipe, samples: SampleSet, target: str, modalities: Sequence[str]) -> tuple[FusionModel, Problem]:
    """The model with random weights, and the target as a task; the caller's random state stays as it is.

    Raises
    ------
    InputError
        For a recipe that cannot be built of these modalities, as ``af.train`` would say it.
    """
    if not modalities:
        raise InputError("no modality is chosen. Tick at least one.")
    there = np.all([samples.present(name) for name in modalities], axis=0)
    each = [np.flatnonzero(samples.present(name))[:SOME] for name in modalities]
    some = samples.take(np.unique(np.concatenate([np.flatnonzero(there)[:SOME], *each])))
    problem = pose(samples, target, modalities, recipe.head)
    with forked(torch.device("cpu")):
        return build(recipe, layouts_of(Preparation.fit(some, modalities, recipe.inputs).to_json()), problem.outputs, problem.task, problem.classes), problem
