"""All recipes by name."""

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.recipes import (
    alerts,
    exoplanets,
    gravitational_wave_numbers,
    gravitational_waves,
    language,
    lock_loss,
    radio,
    real_bogus,
    starter,
    streaks,
    supernovae,
    variable_taxonomies,
    variables,
)
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.recipes.systems import System

THEMES = (
    starter, alerts, real_bogus, streaks, variables, variable_taxonomies, exoplanets, supernovae, lock_loss, gravitational_waves, gravitational_wave_numbers, radio, language,
)  # fmt: skip
"""Every file of recipes, in the order in which they are shown."""
RECIPES: dict[str, Recipe] = {recipe.name: recipe for theme in THEMES for recipe in theme.RECIPES}

KEYS = (
    "braai", "deepstreaks", "transinet", "dmdt", "ztfperiodic", "scope", "scope_full", "nigraha", "sniascore", "ccsnscore", "dmdt_ligo", "gwskynet",
    "gwskynet_multi", "gwskynet_explained", "gwskynet_ii", "gwskynet_multi_ii", "gwskynet_massgap", "frabjous", "astroalertbench",
)  # fmt: skip
"""The lecture's systems, in its order."""
_SYSTEMS = {system.key: system for theme in THEMES for system in getattr(theme, "SYSTEMS", ())}
SYSTEMS: dict[str, System] = {key: _SYSTEMS[key] for key in (*KEYS, *sorted(set(_SYSTEMS) - set(KEYS))) if key in _SYSTEMS}

RENAMED = {"cross_attention": "joint_attention"}
"""Recipes by the names they had before."""


def get_recipe(recipe: "str | Recipe") -> Recipe:
    """A recipe by its name; a Recipe is returned as it is.

    Raises
    ------
    UnknownNameError
        With the nearest names that exist.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, str):
        raise InputError(f"a recipe is a name or a Recipe, not {type(recipe).__name__}. Type af.list_recipes() to see the names.")
    recipe = RENAMED.get(recipe, recipe)
    if recipe not in RECIPES:
        raise UnknownNameError("recipe", recipe, RECIPES, "Type af.list_recipes() to see them all.")
    return RECIPES[recipe]
