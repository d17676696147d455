"""The page about explaining holds what it shows: its code runs, top to bottom."""

import re
from pathlib import Path

import numpy as np

import astrofuse_lab as af
from astrofuse_lab.explain.baselines import BASELINES
from astrofuse_lab.explain.methods import METHODS

PAGE = (Path(af.__file__).parents[1] / "docs" / "explaining.md").read_text()


def test_the_page_runs():
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 5
    worth = names["worth"]
    np.testing.assert_allclose(worth.shapley.sum(1), worth.score - worth.base, atol=1e-9)


def test_the_page_names_every_method_and_baseline():
    for method in METHODS:
        assert f"`{method}`" in PAGE
    for baselines in BASELINES.values():
        for name in baselines:
            assert f"`{name}`" in PAGE
