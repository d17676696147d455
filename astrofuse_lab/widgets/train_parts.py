"""What the training view picks parts from, and the model it draws before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from astrofuse_lab.errors import InputError

if TYPE_CHECKING:
    from astrofuse_lab.models.build import FusionModel
    from astrofuse_lab.recipes.schema import Part, Recipe
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.problem import Problem

ROLES = ("fusion", "decision", "head")


def catalogue() -> list[dict[str, Any]]:
    """One row a part to pick: role, name, what it is, the kinds an encoder reads, and its options with their defaults."""
    from astrofuse_lab.models.parts import PARTS, options_of

    rows = []
    for role in ("encoder", *ROLES):
        for name, part in PARTS[role].items():
            what = (part.__doc__ or "").split("\n")[0]
            rows.append({"role": role, "name": name, "what": what, "kinds": list(getattr(part, "kinds", ())), "options": _plain(options_of(part))})
    return rows


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if isinstance(value, int | float | str | bool | tuple | list)}


def told(part: "Part | None") -> dict[str, Any]:
    """A part as the view knows it; without a name where there is none."""
    return {"name": part.name, "options": _plain(part.options)} if part else {"name": "", "options": {}}


def changed(recipe: "Recipe", parts: Mapping[str, Any]) -> "Recipe":
    """The recipe with the parts that were picked.

    Parameters
    ----------
    recipe : Recipe
    parts : mapping
        ``fusion``, ``decision``, ``head``: {"name": ..., "options": {...}}, no name for no decision part; ``encoders``: the same by modality.

    Raises
    ------
    InputError
        For a role that does not exist or what is no part.
    """
    changes: dict[str, Any] = {}
    for role, given in parts.items():
        if role == "encoders" and isinstance(given, Mapping):
            changes["encoders"] = {**recipe.encoders, **{str(name): _part(role, one) for name, one in given.items()}}
        elif role in ROLES:
            changes[role] = None if role == "decision" and given == {"name": "", "options": {}} else _part(role, given)
        else:
            raise InputError(f"there is no part {role!r} to pick; there are encoders, {', '.join(ROLES)}.")
    return replace(recipe, **changes) if changes else recipe


def _part(role: str, given: Any) -> "Part":
    from astrofuse_lab.recipes.schema import Part

    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str) or not isinstance(given.get("options", {}), Mapping):
        raise InputError(f"{role}: {str(given)[:80]!r} is no part; it has a name and options.")
    if not all(isinstance(name, str) and name.isidentifier() for name in given.get("options", {})):  # they stand in the line of Python as they are
        raise InputError(f"{role}: {str(list(given['options']))[:80]} are no names of options.")
    return Part(given["name"], dict(given.get("options", {})))


def written(parts: Mapping[str, Any]) -> str:
    """The arguments of ``recipe.change`` that pick the same."""

    def one(given: Mapping[str, Any]) -> str:
        options = "".join(f", {name}={value!r}" for name, value in given.get("options", {}).items())
        return f"af.Part.of({given['name']!r}{options})" if given["name"] else "None"

    told = []
    for role, given in parts.items():
        if role == "encoders":
            told.append("encoders={**recipe.encoders, " + ", ".join(f"{name!r}: {one(part)}" for name, part in given.items()) + "}")
        else:
            told.append(f"{role}={one(given)}")
    return ", ".join(told)


def line_of(settings: Mapping[str, Any], every: bool, *, name: str = "run", split: bool = False, out: str = "") -> str:
    """The lines of Python that train with these settings.

    Parameters
    ----------
    settings : mapping
        recipe, parts, target, modalities, seed, epochs, as the training view keeps them.
    every : bool
        These are all modalities that the samples have.
    name : str
        What the run is called.
    split : bool
        Training is on a ``split`` made before.
    out : str
        Folder of the run.
    """
    picked = written(settings["parts"]) if settings["parts"] else ""
    parts = ["recipe" if picked else repr(settings["recipe"]), "samples", f"target={settings['target']!r}"]
    parts += [] if every else [f"modalities={list(settings['modalities'])!r}"]
    parts += ["split=split"] if split else []
    parts += [f"seed={settings['seed']}"] + ([f"epochs={settings['epochs']}"] if settings["epochs"] else [])
    parts += [f"out={out!r}"] if out else []
    before = f"recipe = af.get_recipe({settings['recipe']!r})\nrecipe = recipe.change({picked})\n" if picked else ""
    return f"{before}{name} = af.train({', '.join(parts)})"


def drawn(recipe: "Recipe", samples: "SampleSet", target: str, modalities: Sequence[str]) -> dict[str, Any]:
    """The model as boxes from left to right, with the parameters of each, before anything is trained.

    Returns
    -------
    dict
        boxes: role (input, encoder, fusion, decision, head), key, title, detail, parameters, and `after`, the keys it follows; total.

    Raises
    ------
    InputError
        For a recipe that cannot be built of these modalities, as ``af.train`` would say it.
    """
    from astrofuse_lab.training.preview import preview

    model, problem = preview(recipe, samples, target, modalities)
    return {"boxes": _boxes(model, recipe, samples, problem), "total": _count(model)}


def _count(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())


def _boxes(model: "FusionModel", recipe: "Recipe", samples: "SampleSet", problem: "Problem") -> list[dict[str, Any]]:
    boxes: list[dict[str, Any]] = []

    def box(role: str, key: str, title: str, detail: str, parameters: int, after: Sequence[str] = ()) -> None:
        boxes.append({"role": role, "key": key, "title": title, "detail": detail, "parameters": parameters, "after": list(after)})

    for name, layout in model.layouts.items():
        box("input", f"input.{name}", name, f"{layout.kind}, {' x '.join(map(str, layout.shape))}", 0)
    for name, encoder in model.encoders.items():
        kind = model.layouts[name].kind if name in model.layouts else ""
        title = recipe.encoder_for(name, kind).name if kind else name
        after = [f"input.{name}"] if kind else [f"input.{one}" for one in model.layouts]
        box("encoder", f"encoder.{name}", title, f"to tokens of {recipe.width}", _count(encoder), after)
    for name, fusion in model.fusions.items():
        members = [f"encoder.{one}" for one in getattr(fusion, "modalities", ()) if one in model.encoders] or [f"encoder.{one}" for one in model.encoders]
        box("fusion", f"fusion.{name}", recipe.fusion.name, "" if name == "all" else f"of {name}", _count(fusion), members)
    for name, head in model.heads.items():
        outputs = f"{problem.outputs} classes" if problem.classes else f"{problem.outputs} number(s)"
        box("head", f"head.{name}", problem.task if recipe.head.name == "auto" else recipe.head.name, outputs, _count(head), [f"fusion.{name}"])
    if model.decision is not None and recipe.decision is not None:
        box("decision", "decision", recipe.decision.name, "of all heads", _count(model.decision), [f"head.{name}" for name in model.heads])
    rest = _count(model) - sum(one["parameters"] for one in boxes)
    if rest:
        box("rest", "rest", "other layers", "stack and adapters", rest)
    return boxes
