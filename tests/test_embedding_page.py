"""The page about embeddings holds what it shows: its code runs, top to bottom."""

import re
from pathlib import Path

import numpy as np

import astrofuse_lab as af
from astrofuse_lab.explain.grouping import BY
from astrofuse_lab.explain.planes import METHODS

PAGE = (Path(af.__file__).parents[1] / "docs" / "embedding.md").read_text()


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 9
    assert [epoch for epoch, _ in names["steps"]] == [0, 1, 2]
    np.testing.assert_array_equal(names["again"].coordinates["fused"], names["plane"].coordinates["fused"])
    np.testing.assert_allclose(names["placed"].coordinates["fused"], names["plane"].coordinates["fused"][:5], rtol=0, atol=1e-3)


def test_the_page_names_every_method_badge_and_score():
    for name in (*METHODS, *BY, "trustworthiness", "neighbours kept", "seed stability", "seed shift"):
        assert f"`{name}`" in PAGE, name
