"""Alerts as nine numbers: GWSkyNet-Multi II, its explanation, and the mass gap."""

from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.recipes.systems import System

RECIPES: tuple[Recipe, ...] = ()

SYSTEMS: tuple[System, ...] = ()
"""gwskynet_explained gwskynet_multi_ii gwskynet_massgap"""
