"""The pages on attention and trust hold what they show: their code runs, and the tables name what there is."""

import json
import re
from pathlib import Path

import numpy as np

import astrofuse_lab as af
from astrofuse_lab.explain.attention_layers import COMBINE
from astrofuse_lab.explain.methods import METHODS
from astrofuse_lab.explain.trust import CHECKS

ROOT = Path(af.__file__).parents[1]


def ran(page):
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL):
        exec(block, names)
    return names


def test_the_page_on_attention_runs():
    names = ran("attention.md")
    links = names["links"]
    for layer in set(links["layer"]):
        assert np.isclose(links["reaching"][links["layer"] == layer].sum(), 1, atol=1e-5)
    text = (ROOT / "docs/attention.md").read_text()
    assert all(f'`"{name}"`' in text for name in COMBINE)


def test_the_page_on_trust_runs():
    found = ran("trust.md")["found"]
    assert found.verdict in found.table().meta["verdict"]
    text = (ROOT / "docs/trust.md").read_text()
    assert all(f"`{name}`" in text for name in CHECKS)


def test_the_table_of_planted_truths_is_that_of_the_results():
    told = json.loads((ROOT / "benchmarks/results/planted.json").read_text())
    assert {row["method"] for row in told["rows"]} >= set(METHODS)
    text = (ROOT / "docs/trust.md").read_text()
    for row in told["rows"]:
        if row["rate"] is not None:
            assert f"{row['rate']:.2f} ({row['low']:.2f}–{row['high']:.2f})" in text
