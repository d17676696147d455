"""Types of supernovae from spectra and light curves: SNIascore and CCSNscore."""

from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.recipes.systems import System

RECIPES: tuple[Recipe, ...] = ()

SYSTEMS: tuple[System, ...] = ()
"""sniascore ccsnscore"""
