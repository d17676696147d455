"""The page about explaining holds what it shows: its code runs, top to bottom."""

import re
from pathlib import Path

import numpy as np

import astrofuse_lab as af
from astrofuse_lab.explain.baselines import BASELINES, names_of
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
    page = (Path(af.__file__).parents[1] / "docs" / "attribution.md").read_text()
    for method in METHODS:
        assert f"`{method}`" in PAGE and f"| `{method}`" in page
    for kind in BASELINES:
        for name in names_of(kind):
            assert f"`{name}`" in page


def test_the_page_about_attributions_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", (Path(af.__file__).parents[1] / "docs" / "attribution.md").read_text(), re.DOTALL):
        exec(block, names)
    assert names["both"].spread["image"].shape == names["both"].per_place("image").shape
    assert names["again"].method == "integrated_gradients" and (tmp_path / "why").is_dir()
