"""Sky maps of gravitational-wave alerts through convolutional branches: the GWSkyNet family."""

from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.recipes.systems import System

RECIPES: tuple[Recipe, ...] = ()

SYSTEMS: tuple[System, ...] = ()
"""gwskynet gwskynet_multi gwskynet_ii"""
