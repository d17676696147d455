"""Fast radio bursts by the look of their dynamic spectra: Frabjous."""

from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.recipes.systems import System

RECIPES: tuple[Recipe, ...] = ()

SYSTEMS: tuple[System, ...] = ()
"""frabjous"""
