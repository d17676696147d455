"""One modality shown as another: named steps that a recipe's `inputs` can ask for, on batches of arrays.

::

    recipe.change(inputs={"light_curve": Part.of("dmdt", edges="scope")})
    samples.represent("light_curve", "dmdt", edges="scope")
"""

from collections.abc import Mapping
from typing import Any

from astrofuse_lab.alignment.representations import dmdt
from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options, Representation
from astrofuse_lab.errors import InputError, UnknownNameError

__all__ = ["REPRESENTATIONS", "Arrays", "Columns", "Layout", "Options", "Representation", "options_of", "representation"]

CURVES = ("light_curve",)

REPRESENTATIONS: dict[str, Representation] = {
    "dmdt": Representation(
        CURVES, "image", dmdt.layout, dmdt.run, "pairs of epochs counted by difference of magnitude and time (Mahabal et al. 2017, arXiv:1709.06257)", dmdt.OPTIONS,
        scaling={"background": "none"},
    ),
}  # fmt: skip
"""Every representation by its name."""


def representation(name: str) -> Representation:
    """The representation of a name; UnknownNameError where there is none."""
    if name not in REPRESENTATIONS:
        raise UnknownNameError("representation", name, REPRESENTATIONS)
    return REPRESENTATIONS[name]


def options_of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a representation, those not given at their defaults.

    Raises
    ------
    InputError
        For an option that it does not have, or a value of another type than the default.
    """
    one = representation(name)
    for option, value in given.items():
        if option not in one.options:
            raise InputError(f"representation {name!r} has no option {option!r}; it has {', '.join(one.options) or 'none'}.")
        default = one.options[option]
        if option in one.columns:
            good = isinstance(value, str | int | float) and not isinstance(value, bool)
        elif isinstance(default, bool) or isinstance(value, bool):
            good = isinstance(default, bool) and isinstance(value, bool)
        elif isinstance(default, float):
            good = isinstance(value, int | float)
        else:
            good = isinstance(value, type(default) if not isinstance(default, list | tuple) else list | tuple)
        if not good:
            raise InputError(f"representation {name!r}: {option}={value!r} is {type(value).__name__}; the default is {default!r}.")
    return {**one.options, **given}
