"""Recipes: systems as rows of names and numbers. Data only; torch is never imported here."""
