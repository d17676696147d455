"""Variable stars: DMDT images, periods and features."""

from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.recipes.systems import System

RECIPES: tuple[Recipe, ...] = ()

SYSTEMS: tuple[System, ...] = ()
"""dmdt ztfperiodic"""
