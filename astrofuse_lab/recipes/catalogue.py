"""All recipes by name."""

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.recipes import alerts, starter
from astrofuse_lab.recipes.schema import Recipe

THEMES = (starter, alerts)
"""Every file of recipes, in the order in which they are shown."""
RECIPES: dict[str, Recipe] = {recipe.name: recipe for theme in THEMES for recipe in theme.RECIPES}

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
