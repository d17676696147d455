"""Trainings that come before a training: self-supervised, or each modality alone. Each is a run of its own, in a folder below."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.parts import HEADS
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes
from astrofuse_lab.training.plan import Plan
from astrofuse_lab.training.schedules import Schedule
from astrofuse_lab.training.self_supervised import AUTO, SELF_SUPERVISED, options_of

FOLDERS = ("pretraining", "alone")
SHARED = ("batch_size", "checkpoint_seconds", "accumulate", "halve", "clip", "average", "shape")
"""Options of a recipe's schedule that hold for its earlier stages, too."""


@dataclass(frozen=True)
class Stage:
    """One training before the last.

    Attributes
    ----------
    name : str
        Of its folder.
    recipe : Recipe
    supervised : bool
    modalities : tuple of str
    split : Split
        Without a test part.
    parts : tuple of str
        Beginnings of the names of weights that the last training takes.
    """

    name: str
    recipe: Recipe
    supervised: bool
    modalities: tuple[str, ...]
    split: Split
    parts: tuple[str, ...]


def self_supervised_recipe(recipe: Recipe) -> Recipe:
    """The recipe that a training without a target follows: its `pretrain`, where it has one, is the objective and says how long.

    Options of `pretrain` are those of the objective, those of a schedule (epochs, learning_rate, batch_size, ...), and ``each``.

    Raises
    ------
    UnknownNameError
        For an option that neither has.
    """
    if recipe.pretrain is None:
        plain = recipe.objective.name == "auto" and recipe.head.name in ("auto", "projection")
        return recipe.change(objective=Part(AUTO, recipe.objective.options)) if plain else recipe
    part = recipe.pretrain
    if part.name not in SELF_SUPERVISED:
        raise UnknownNameError("self-supervised objective", part.name, SELF_SUPERVISED, "Type af.list_parts() to see them all.")
    timing = {f.name for f in fields(Schedule)}
    own = options_of(SELF_SUPERVISED[part.name])
    unknown = [name for name in part.options if name not in own and name not in timing and name != "each"]
    if unknown:
        raise UnknownNameError(f"option of pretrain {part.name!r}", unknown[0], [*own, *sorted(timing), "each"])
    schedule = {name: value for name, value in recipe.schedule.options.items() if name in SHARED}
    schedule.update({name: value for name, value in part.options.items() if name in timing})
    objective = Part(part.name, {name: value for name, value in part.options.items() if name in own})
    return recipe.change(pretrain=None, objective=objective, schedule=Part("end_to_end", schedule), head=Part(part.name if part.name in HEADS else "auto"))


def each_alone(recipe: Recipe) -> bool:
    """Whether `pretrain` trains each modality by itself: its option ``each``."""
    each = recipe.pretrain.options.get("each", False) if recipe.pretrain else False
    if not isinstance(each, bool):
        raise InputError(f"pretrain: each={each!r}: True or False.")
    return each


def stages_of(plan: Plan, given: Split | None) -> list[Stage]:
    """What comes before the plan's own training, in order.

    Parameters
    ----------
    plan : Plan
    given : Split, optional
        As the caller gave it: samples of its training part that the plan leaves out for want of a label are pre-trained on.
    """
    stages = []
    supervised = plan.problem.task != "self_supervised"
    if plan.recipe.pretrain is not None and supervised:
        recipe, split = self_supervised_recipe(plan.recipe), unlabelled_split(plan, given)
        if each_alone(plan.recipe):
            stages += [Stage(f"pretraining/{name}", recipe, False, (name,), split, ("encoders.",)) for name in plan.modalities]
        else:
            stages.append(Stage("pretraining", recipe, False, plan.modalities, split, ("encoders.", "fusions.")))
    if plan.schedule.alone and len(plan.modalities) > 1:
        schedule = {name: value for name, value in plan.recipe.schedule.options.items() if name in (*SHARED, "learning_rate", "epochs", "steps", "sampler")}
        recipe = plan.recipe.change(pretrain=None, schedule=Part("end_to_end", schedule), decision=None)
        split = Split(plan.split.train, (), plan.split.validation, plan.split.by, plan.split.group, plan.split.seed)
        stages += [Stage(f"alone/{name}", recipe, supervised, (name,), split, ("encoders.",)) for name in plan.modalities]
    return stages


def unlabelled_split(plan: Plan, given: Split | None) -> Split:
    """All of the training part, with a label or without, but for groups that validate; never a sample of the test part."""
    samples, own = plan.samples, plan.split
    pool = np.arange(len(samples)) if given is None else samples.positions(given.train)
    held, test = samples.positions(own.validation), samples.positions(own.test)
    groups = group_codes(samples, own.group)
    kept = pool[~np.isin(groups[pool], groups[held]) & ~np.isin(groups[pool], groups[test])]
    kept = np.union1d(kept, samples.positions(own.train))
    return Split(tuple(map(str, samples.object_ids[kept])), (), own.validation, own.by, own.group, own.seed)


def clear_stages(folder: Path) -> None:
    """Remove the folders of earlier stages."""
    for name in FOLDERS:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)


def told_of(stage: Stage, record: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the last run's record says of a stage."""
    return {
        "name": stage.name, "objective": stage.recipe.objective.name, "modalities": list(stage.modalities), "samples": len(stage.split.train),
        "epochs": len(rows), "best_epoch": record["best_epoch"], "seconds": record["seconds"], "loss": [row["validation_loss"] for row in rows],
    }  # fmt: skip


def subset_split(samples: SampleSet, split: Split, share: float, seed: int = 0, target: str | None = None) -> Split:
    """A split whose training part is smaller, for curves of few labels: whole groups, and more shares hold all of what fewer do.

    Parameters
    ----------
    samples : SampleSet
    split : Split
    share : float
        Of the groups of its training part, above 0 to 1; of those of each class where a target is named, at least one (two, where some
        of them will have to validate).
    seed : int
    target : str, optional
        Column whose values are to keep their shares.

    Returns
    -------
    Split
        With the same test and validation parts.

    Raises
    ------
    InputError
        For a share that is none.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise InputError(f"share of labels {share!r}: above 0, to 1, e.g. 0.1.")
    train = samples.positions(split.train)
    groups = group_codes(samples, split.group)[train]
    names, first = np.unique(groups, return_index=True)
    rng = np.random.default_rng([seed, 23])
    order = rng.permutation(len(names))
    strata = np.zeros(len(names), dtype=np.int64)
    if target is not None:
        column = samples.column(target)
        values = np.where(np.ma.getmaskarray(column), "", np.asarray(column.data).astype(str))
        if column.dtype.kind not in "f":
            strata = np.unique(values[train][first], return_inverse=True)[1]
    chosen = []
    for stratum in np.unique(strata):
        own = order[strata[order] == stratum]
        chosen.append(own[: max(1 if split.validation else 2, round(share * len(own)))])
    kept = train[np.isin(groups, names[np.concatenate(chosen)])]
    note = f"{share:g} of the training groups" + (f"; {split.note}" if split.note else "")
    return Split(tuple(map(str, samples.object_ids[kept])), split.test, split.validation, split.by, split.group, split.seed, note)
