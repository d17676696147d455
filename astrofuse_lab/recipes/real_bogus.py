"""Real or bogus: is a detection in a difference image something in the sky?"""

from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.recipes.systems import System

RECIPES: tuple[Recipe, ...] = ()

SYSTEMS: tuple[System, ...] = ()
"""braai"""
