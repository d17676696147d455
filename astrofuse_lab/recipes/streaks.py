"""Fast movers and image pairs: DeepStreaks and TransiNet."""

from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.recipes.systems import System

RECIPES: tuple[Recipe, ...] = ()

SYSTEMS: tuple[System, ...] = ()
"""deepstreaks transinet"""
