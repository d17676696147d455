"""What stands in a comparison: operators side by side, each modality alone, ablations, baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from astrofuse_lab.alignment.augmentation import AUGMENTATIONS
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.parts import PARTS
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.trees import KINDS

FUSED, TREES, CHANCE = "fused", "trees", "chance"
PLAIN = "late_fusion"
"""The recipe whose encoders and fusion count as plain."""
LEVELS = {"fusion": "feature", "decision": "decision", "stack": "data"}
ABLATIONS = ("modalities", "modules")


@dataclass
class Entrant:
    """One row of a comparison, while it is made.

    Attributes
    ----------
    name : str
    modalities : tuple of str
    recipe : Recipe or None
        None: a baseline.
    kind : str
        Of a baseline, which (`KINDS`, or chance).
    predicted : list of array
        One a seed: (sample, class), (sample,) or (sample, target), NaN where not tested.
    parameters : int
        Trainable numbers; of baselines, zero.
    seconds : float
        Time spent training, all seeds and folds.
    milliseconds : list of float
        Time to predict one sample, one a training; of baselines with the summary features.
    """

    name: str
    modalities: tuple[str, ...]
    recipe: Recipe | None = None
    kind: str = ""
    predicted: list[NDArray[Any]] = field(default_factory=list)
    parameters: int = 0
    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)


def variants(recipe: str | Recipe | Sequence[str | Recipe], fusion: str | Part | Sequence[str | Part] | None) -> list[tuple[str, Recipe]]:
    """The fused models to compare, each with the name of its row: ``fused``, and with several ``fused: gated``.

    Raises
    ------
    InputError, UnknownNameError
        For an operator or recipe that does not exist, two of one name, or several recipes with several operators.
    """
    recipes = [get_recipe(one) for one in ([recipe] if isinstance(recipe, str | Recipe) else recipe)]
    if not recipes:
        raise InputError("recipe=[]: at least one.")
    if fusion is None:
        made = [(one.name, one) for one in recipes]
    else:
        if len(recipes) > 1:
            raise InputError(f"fusion= swaps the operator of one recipe; {len(recipes)} recipes are given. Give one of them, or leave fusion= out.")
        wanted = [fusion] if isinstance(fusion, str | Part) else list(fusion)
        made = [(one if isinstance(one, str) else one.name, with_operator(recipes[0], one)) for one in wanted]
    names = [name for name, _ in made]
    if len(set(names)) != len(names) or not names:
        raise InputError(f"compared side by side are {', '.join(names) or 'none'}: each at least once and with a name of its own; recipe.change(name=...) gives one.")
    return [(FUSED, made[0][1])] if len(made) == 1 else [(f"{FUSED}: {name}", one) for name, one in made]


def with_operator(recipe: Recipe, operator: str | Part) -> Recipe:
    """The recipe with another operator, all else as it is.

    Parameters
    ----------
    recipe : Recipe
    operator : str or Part
        A fusion; a name that is none is looked up among the decisions and stacks, and ``"decision: product"`` names the level.

    Raises
    ------
    UnknownNameError
        With the operators that exist.
    """
    part = operator if isinstance(operator, Part) else Part(operator)
    role, colon, name = part.name.partition(":")
    roles = [r for r in LEVELS if r in PARTS]
    if colon:
        if role.strip() not in roles:
            raise UnknownNameError("level", role.strip(), roles)
        roles, part = [role.strip()], Part(name.strip(), part.options)
    found = next((r for r in roles if part.name in PARTS[r]), None)
    if found is None:
        raise UnknownNameError("operator", part.name, [n for r in roles for n in PARTS[r]], "Type af.list_parts() to see them all.")
    own = getattr(recipe, found)
    if own is not None and own.name == part.name and not part.options:
        part = own  # the recipe's own operator, with the options it was given
    return recipe.change(**{"decision": None, "stack": None, found: part})


def for_modalities(recipe: Recipe, names: Sequence[str]) -> Recipe:
    """The recipe as some of the modalities can have it: what names another one is left out."""
    named = [str(one) for one in (recipe.stack.options.get("modalities") or ())] if recipe.stack else []  # type: ignore[union-attr]
    stack = None if len(names) < 2 or set(named) - set(names) else recipe.stack
    adapt = tuple(part for part in recipe.adapt if part.options.get("modality") in (None, "", *names))
    return recipe.change(stack=stack, adapt=adapt)


def entrants(
    made: list[tuple[str, Recipe]], base: Recipe, samples: SampleSet, names: tuple[str, ...], ablate: Sequence[str]
) -> list[Entrant]:
    """The rows that are trained: fused models, each modality alone, ablations."""
    rows = [Entrant(name, names, recipe) for name, recipe in made]
    if len(names) > 1:
        rows += [Entrant(name, (name,), for_modalities(base, (name,))) for name in names]
    if "modalities" in ablate and len(names) > 2:
        for name in names:
            left = tuple(other for other in names if other != name)
            rows.append(Entrant(f"without {name}", left, for_modalities(made[0][1], left)))
    if "modules" in ablate:
        rows += [Entrant(name, names, recipe) for name, recipe in without_modules(made[0][1], samples, names).items()]
    return rows


def without_modules(recipe: Recipe, samples: SampleSet, names: Sequence[str]) -> Mapping[str, Recipe]:
    """The recipe with one module at a time taken out or made plain; what is plain already is no row."""
    plain = get_recipe(PLAIN)
    out = {}
    for name in names:
        kind = samples.spec(name).kind
        simple = plain.encoder_for(name, kind)
        if recipe.encoder_for(name, kind) != simple:
            out[f"plain encoder of {name}"] = recipe.change(encoders={**recipe.encoders, name: simple})
    if recipe.decision is not None:
        out["without decision level"] = recipe.change(decision=None)
    if recipe.fusion != plain.fusion and recipe.decision is None:
        out["plain fusion"] = recipe.change(fusion=plain.fusion)
    for i, part in enumerate(recipe.adapt):
        out[f"without {part.name}"] = recipe.change(adapt=(*recipe.adapt[:i], *recipe.adapt[i + 1 :]))
    out |= {f"without {what}": recipe.change(**{what: None}) for what in ("stack", "pretrain") if getattr(recipe, what) is not None}
    if any(samples.spec(name).kind in AUGMENTATIONS[part.name].follows for part in recipe.augment for name in names):
        out["without augmentation"] = recipe.change(augment=())
    return out


def classical(names: tuple[str, ...], trees: str, each: bool, linear: bool) -> list[Entrant]:
    """The rows of baselines: trees on all modalities (and on each), a linear model, chance.

    Raises
    ------
    UnknownNameError
        For trees that do not exist.
    """
    kinds = {"both": ("extra_trees", "boosting")}.get(trees, (trees,))
    if trees not in ("both", "extra_trees", "boosting"):
        raise UnknownNameError("tree baseline", trees, ("extra_trees", "boosting", "both"))
    rows = [Entrant(f"{TREES}: {n}", (n,), kind=kinds[0]) for n in names if each and len(names) > 1]
    rows += [Entrant(TREES if i == 0 else kind, names, kind=kind) for i, kind in enumerate(kinds)]
    rows += [Entrant(KINDS[2], names, kind=KINDS[2])] if linear else []
    return [*rows, Entrant(CHANCE, (), kind=CHANCE)]


def check_ablations(ablate: str | Sequence[str]) -> tuple[str, ...]:
    """The ablations asked for; unknown ones raise UnknownNameError."""
    wanted = (ablate,) if isinstance(ablate, str) else tuple(ablate)
    for one in wanted:
        if one not in ABLATIONS:
            raise UnknownNameError("ablation", one, ABLATIONS)
    return wanted
