"""Rates of errors by threshold: beside a literal count and scipy's interval."""

import numpy as np
import pytest
from scipy.stats import binomtest

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.thresholds import error_rates, wilson


def test_rates_are_what_counting_gives():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=200) < 0.4
    score = np.round(np.clip(0.3 * truth + rng.normal(0.4, 0.25, 200), 0, 1), 2)  # with ties at the thresholds
    table = error_rates(truth, score)
    for row in table:
        said = score >= row["threshold"]
        assert row["fnr"] == np.mean(~said[truth]) and row["fpr"] == np.mean(said[~truth])
    assert table["fnr"][0] == 0 and table["fpr"][0] == 1 and np.all(np.diff(table["fnr"]) >= 0) and np.all(np.diff(table["fpr"]) <= 0)
    threshold, rate = table.meta["equal"]
    row = table[table["threshold"] == threshold]
    assert abs(row["fnr"][0] - row["fpr"][0]) == np.abs(table["fnr"] - table["fpr"]).min() and rate == pytest.approx((row["fnr"][0] + row["fpr"][0]) / 2)


@pytest.mark.parametrize(("count", "n"), [(0, 10), (3, 10), (10, 10), (7, 300)])
def test_wilson_is_scipys(count, n):
    ours, theirs = wilson(count, n), binomtest(count, n).proportion_ci(method="wilson")
    assert float(ours[0]) == pytest.approx(theirs.low, abs=1e-6) and float(ours[1]) == pytest.approx(theirs.high, abs=1e-6)


@pytest.mark.parametrize(("truth", "score", "words"), [
    ([True, True], [0.1, 0.2], "2 are positive"), ([True, False], [0.1, np.nan], "finite"), ([True], [0.1, 0.2], "one number each"),
])  # fmt: skip
def test_what_has_no_rates(truth, score, words):
    with pytest.raises(InputError, match=words):
        error_rates(truth, score)
