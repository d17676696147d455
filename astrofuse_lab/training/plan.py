"""Everything that is decided before the first step of a training, and the fingerprint that a resumed one must share."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.alignment.augmentation import Chosen, chosen, columns_of
from astrofuse_lab.alignment.bands import WAVELENGTH, plain
from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.samples.represented import represented, told_by
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.training.problem import Problem, pose, scaled
from astrofuse_lab.training.schedules import Schedule, make_schedule
from astrofuse_lab.training.validation import Parts, divide

if TYPE_CHECKING:
    from astrofuse_lab.training.run import Run
    from astrofuse_lab.training.transfer import Start


@dataclass(frozen=True)
class Plan:
    """What is trained on what, and how.

    Attributes
    ----------
    recipe : Recipe
    samples : SampleSet
    problem : Problem
    modalities : tuple of str
    parts : Parts
    split : Split
        The ids of `parts`.
    augment : tuple of Chosen
        How training batches are varied.
    schedule : Schedule
        With its epochs decided.
    seed : int
    fingerprint : dict
        Short descriptions and digests of all of this.
    start : Start, optional
        What it begins with; None: random weights.
    teacher : Run, optional
        Whose answers are learned from as well.
    """

    recipe: Recipe
    samples: SampleSet
    problem: Problem
    modalities: tuple[str, ...]
    parts: Parts
    split: Split
    augment: tuple[Chosen, ...]
    schedule: Schedule
    seed: int
    fingerprint: dict[str, Any]
    start: "Start | None" = None
    teacher: "Run | None" = None

    def prepare(self) -> Preparation:
        """Scalings fitted on the training part, but for those that are kept from what it starts with."""
        kept = {name: one for name, one in self.start.scalings.items() if name in self.modalities} if self.start else {}
        Preparation(kept).check(self.samples)
        rest = [name for name in self.modalities if name not in kept]
        fitted = Preparation.fit(self.samples.take(self.parts.train), rest, self.recipe.inputs).scalings if rest else {}
        return Preparation({name: {**kept, **fitted}[name] for name in self.modalities})


def make_plan(
    recipe: str | Recipe, samples: SampleSet, target: str | Sequence[str] | None, modalities: Sequence[str] | None, split: Split | None, seed: int, epochs: int | None
) -> Plan:
    """Check all arguments of a training and decide what they leave open."""
    recipe = get_recipe(recipe)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed={seed!r}: a whole number, 0 or more.")
    names = choose_modalities(samples, modalities)
    seen = represented(samples, recipe.inputs)
    for name in names:
        if recipe.stack is None:  # what is stacked is read together; building the model says what lacks an encoder
            recipe.encoder_for(name, seen.spec(name).kind)
    schedule = make_schedule(recipe.schedule, epochs)
    augment = chosen(recipe.augment, {name: samples.spec(name).kind for name in names})
    _check_columns(augment, samples, names)
    if split is not None and not isinstance(split, Split):
        raise InputError(f"split={type(split).__name__}: samples.split(test=0.2) makes one, or af.Split(train_ids, test_ids).")
    problem = pose(samples if split is None else samples.select([*split.train, *split.validation]), target, names, recipe.head)
    for name in names:
        for column in set(problem.targets) & set(told_by(samples.spec(name), recipe.inputs)):
            raise InputError(f"recipe {recipe.name!r} shows {name!r} with the column {column!r}, which is a target: the answer would be in the input.")
    parts = divide(samples, problem, names, split, schedule.validation, int(seed))
    values = problem.encode(samples)[0]
    problem = scaled(problem, values[parts.train])
    ids = samples.object_ids
    train_ids, test_ids, validation_ids = (tuple(map(str, ids[p])) for p in (parts.train, parts.test, parts.validation))
    given = split or Split((), (), seed=int(seed))
    whole = Split(train_ids, test_ids, validation_ids, given.by, given.group, given.seed)
    schedule = replace(schedule, epochs=schedule.epochs_for(len(parts.train)))
    fingerprint = {
        "recipe": recipe.to_json(), "target": target if isinstance(target, str) else list(problem.targets), "modalities": list(names), "seed": int(seed), "epochs": schedule.epochs,
        "split": {side: _digest(getattr(whole, side)) for side in ("train", "validation", "test")},
        "samples": {"ids": _digest(ids.tolist()), "layout": [[m, *map(str, samples.spec(m).layout())] for m in names], "target": _digest(values.tolist())},
    }  # fmt: skip
    return Plan(recipe, samples, problem, names, parts, whole, augment, schedule, int(seed), json.loads(json.dumps(fingerprint)))


def _check_columns(augment: Sequence[Chosen], samples: SampleSet, names: Sequence[str]) -> None:
    """Raise InputError unless augmentations find the columns they need, and know the bands."""
    for name in columns_of(augment):
        if samples.column(name).dtype.kind not in "fi":
            raise InputError(f"augment: column {name!r} holds no numbers, so no augmentation can change it.")
    for one in augment:
        for name in names if one.what.whole else ():
            bands = samples.spec(name).channels
            known = [band for band in bands if plain(band) in WAVELENGTH]
            if len(known) < len(bands):
                unknown = next(band for band in bands if band not in known)
                kept = f"Keep the others: af.align(samples, light_curve=af.TimeGrid(bands={known})), or t" if known else "T"
                raise InputError(f"augmentation {one.name!r}: nobody knows at which wavelength the band {unknown!r} of {name!r} lies. {kept}rain without the augmentation.")


def choose_modalities(samples: SampleSet, modalities: Sequence[str] | None) -> tuple[str, ...]:
    """The modalities to use: those named, else all that any sample has.

    Raises
    ------
    InputError
        For one that does not exist or is named twice, or if there is none, or no sample.
    """
    if not len(samples):
        raise InputError("there are no samples to train on: the set is empty.")
    if modalities is None:
        names = tuple(name for name in samples.modalities if samples.present(name).any())
    else:
        names = (modalities,) if isinstance(modalities, str) else tuple(modalities)
    for name in names:
        samples.spec(name)
    if len(set(names)) != len(names):
        raise InputError(f"modalities={list(names)}: each at most once.")
    if not names:
        raise InputError(f"no modality to train on. This set has {', '.join(samples.modalities) or 'none'}.")
    return names


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def check_fingerprint(ours: Mapping[str, Any], theirs: Mapping[str, Any], where: object) -> None:
    """Raise RunError saying what differs, unless two trainings are the same."""
    differing = [name for name in ours if ours[name] != theirs.get(name, "auto" if name == "precision" else None)]  # runs of before had no choice
    if not differing:
        return
    told = []
    for name in differing:
        a, b = ours[name], theirs.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            told.append(f"{name} ({', '.join(str(k) for k in a if a[k] != b.get(k))})")
        else:
            told.append(f"{name} ({b} there, {a} now)")
    raise RunError(f"{where} holds another training: it differs in {'; '.join(told)}. Give another out=, or overwrite=True to replace it.")
