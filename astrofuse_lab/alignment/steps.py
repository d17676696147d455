"""Named treatments of single products before they go onto the common grid: `af.align(found, steps={"spectrum": ["rest_frame", ...]})`."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from astrofuse_lab.errors import InputError

TABLES = {
    "image": "astrofuse_lab.alignment.image_steps",
    "spectrum": "astrofuse_lab.alignment.spectrum_steps",
    "light_curve": "astrofuse_lab.alignment.light_curve_steps",
    "text": "astrofuse_lab.alignment.text_steps",
}
"""Where the table ``STEPS`` of each kind stands: name to `Step`."""


MEASURED = " measured"
"""Under this name `about` gathers what steps measured, to become columns; no column of an archive is called so."""


def measured(about: Mapping[str, Any], name: str, value: float, unit: str = "") -> None:
    """Keep a number that a step found for the set's table: a column `name`, which is no input."""
    if isinstance(about, dict):
        about.setdefault(MEASURED, {})[name] = (value, unit)


class Step(NamedTuple):
    """One treatment.

    Attributes
    ----------
    run : callable
        ``run(product, about, **options)`` gives a product of the same kind. `about` holds what is known of the object:
        ``object_id``, ``ra``, ``dec`` and every scalar column by its name (None where missing). AlignmentError names the
        field that does not allow it; the other objects go on.
    options : mapping
        The options and their defaults: numbers, text, booleans, lists of these.
    says : str
        One line for a person: what is done, after whom.
    """

    run: Callable[..., Any]
    options: Mapping[str, Any]
    says: str


class Planned(NamedTuple):
    """A step with its options chosen."""

    name: str
    step: Step
    options: dict[str, Any]


def steps_of(kind: str) -> Mapping[str, Step]:
    """The table of one kind; InputError for a kind that has none."""
    if kind not in TABLES:
        raise InputError(f"steps={{{kind!r}: ...}}: steps are named for {', '.join(TABLES)}.")
    table: Mapping[str, Step] = importlib.import_module(TABLES[kind]).STEPS
    return table


def planned(kind: str, steps: Sequence[Any]) -> tuple[Planned, ...]:
    """Look names up and check their options.

    Parameters
    ----------
    kind : str
    steps : sequence
        Each a name, a pair ``(name, {option: value})``, or a recipe's Part.

    Raises
    ------
    InputError
        For a step or option that does not exist.
    """
    table, plan = steps_of(kind), []
    if isinstance(steps, str):
        steps = [steps]
    for one in steps:
        name, given = (one.name, dict(one.options)) if hasattr(one, "options") else (one, {}) if isinstance(one, str) else (one[0], dict(one[1]))
        if name not in table:
            raise InputError(f"there is no step {name!r} for {kind}; there are {', '.join(table) or 'none'}.")
        unknown = sorted(set(given) - set(table[name].options))
        if unknown:
            raise InputError(f"step {name!r} has no option {unknown[0]!r}; it has {', '.join(table[name].options) or 'none'}.")
        plan.append(Planned(name, table[name], {**table[name].options, **given}))
    return tuple(plan)


def treated(product: Any, plan: Sequence[Planned], about: Mapping[str, Any]) -> Any:
    """The product after all steps, in order."""
    for one in plan:
        product = one.step.run(product, about, **one.options)
    return product
