"""Encoders, fusions, decisions and heads, and the models built of them."""
