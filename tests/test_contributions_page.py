"""The page about contributions holds what it shows: its code runs, top to bottom, and it names every edit."""

import re
from pathlib import Path

import numpy as np

import astrofuse_lab as af
from astrofuse_lab.explain.interventions_edits import EDITS

PAGE = (Path(af.__file__).parents[1] / "docs" / "contributions.md").read_text()


def test_the_page_runs(capsys):
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 6
    np.testing.assert_allclose(names["worth"].shapley.sum(1), names["worth"].score - names["worth"].base, atol=1e-9)
    assert len(names["changed"].table()) == 4 * 6 and names["changed"].changed.any(1).all()
    assert "log odds of quasar = " in capsys.readouterr().out
    assert {"total", "data", "model", "ood_percentile", "neighbour_percentile"} <= set(names["doubts"].colnames)


def test_the_page_names_every_edit():
    for name in EDITS:
        assert f"| `{name}` |" in PAGE
