"""Metrics of distributions, retrieval and boxes against integrals, scipy and cases done by hand."""

import numpy as np
import pytest
from scipy import integrate, stats

from astrofuse_lab.errors import InputError
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training import metrics_boxes as B
from astrofuse_lab.training import metrics_distributions as D
from astrofuse_lab.training.metrics_retrieval import ranks


def mixture(n=6, k=3, seed=0):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(k), n)
    return D.Mixture(shares, rng.normal(0, 2, (n, k)), rng.uniform(0.3, 2, (n, k))), rng.normal(0, 2, n)


def integrated(distribution, truth):
    """CRPS as it is defined: the integral of the squared distance of two steps."""
    out = []
    for i, y in enumerate(truth):
        one = distribution.take(np.array([i]))
        def gap(x, y=y, one=one):
            return float((one.cdf(np.array([x]))[0] - (x >= y)) ** 2)
        out.append(integrate.quad(gap, -40, y, limit=200)[0] + integrate.quad(gap, y, 40, limit=200)[0])
    return np.array(out)


def test_crps_of_mixtures_is_its_integral_and_of_a_gaussian_the_textbook_one():
    distribution, truth = mixture()
    assert distribution.crps(truth) == pytest.approx(integrated(distribution, truth), abs=1e-6)
    # Gneiting & Raftery 2007, eq. 21
    z = (truth - 1.0) / 0.7
    textbook = 0.7 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    one = np.ones((6, 1))
    assert D.Mixture(one, 1.0 * one, 0.7 * one).crps(truth) == pytest.approx(textbook)


def test_crps_of_an_ensemble_is_the_mean_over_pairs():
    rng = np.random.default_rng(1)
    members, truth = rng.normal(0, 1, (7, 9)), rng.normal(0, 1, 7)
    pairs = np.abs(members - truth[:, None]).mean(1) - 0.5 * np.abs(members[:, :, None] - members[:, None]).mean((1, 2))
    assert D.Ensemble(members).crps(truth) == pytest.approx(pairs)
    assert D.Ensemble(members[:, :1]).crps(truth) == pytest.approx(np.abs(members[:, 0] - truth))  # of a point: the absolute error


def test_crps_of_many_quantiles_is_that_of_their_distribution():
    distribution, truth = mixture()
    levels = (np.arange(400) + 0.5) / 400
    quantiles = D.Quantiles(levels, np.stack([distribution.quantile(q) for q in levels], axis=1))
    assert quantiles.crps(truth) == pytest.approx(distribution.crps(truth), rel=2e-3)
    assert quantiles.cdf(truth) == pytest.approx(distribution.cdf(truth), abs=5e-3)


@pytest.mark.parametrize("form", ["mixture", "quantiles", "ensemble"])
def test_pit_is_even_and_intervals_cover_what_they_say_only_where_widths_are_right(form):
    rng = np.random.default_rng(2)
    centre = rng.normal(0, 1, (3000, 1))
    truth = rng.normal(centre[:, 0], 0.5)

    def made(width):
        if form == "mixture":
            return D.Mixture(np.ones_like(centre), centre, np.full_like(centre, width))
        levels = np.linspace(0.005, 0.995, 199)
        return D.Quantiles(levels, centre + width * stats.norm.ppf(levels)) if form == "quantiles" else D.Ensemble(centre + width * rng.normal(0, 1, (3000, 199)))

    one = np.ones((1, 3000))
    good, narrow = made(0.5), made(0.25)
    distance = D.pit_distance(truth, good, one)[0]
    assert distance == pytest.approx(stats.kstest(D.pit(truth, good), "uniform").statistic, abs=1e-9)
    assert distance < 0.03 < 0.1 < D.pit_distance(truth, narrow, one)[0]
    assert D.coverage(truth, good, one)[0] == pytest.approx(0.9, abs=0.02) and D.coverage(truth, narrow, one)[0] < 0.7
    assert D.width(truth, good, one)[0] == pytest.approx(2 * 1.6449 * 0.5, rel=0.03)
    assert D.crps(truth, good, one)[0] < D.crps(truth, narrow, one)[0]
    low, high = good.quantile(0.05), good.quantile(0.95)
    assert D.interval_coverage(truth, low, high, one) == pytest.approx(D.coverage(truth, good, one))


@pytest.mark.parametrize("name", ["crps", "pit_distance", "coverage@0.5", "width@0.5"])
def test_distribution_weights_mean_repetition(name):
    distribution, truth = mixture(n=25)
    metric, times = M.metric_named("distribution", name)[1], np.random.default_rng(1).integers(0, 4, (4, 25))
    for row, repeat in zip(metric(truth, distribution, times.astype(float)), times, strict=True):
        rows = np.repeat(np.arange(25), repeat)
        assert row == pytest.approx(M.value(metric, truth[rows], distribution.take(rows)))
    assert set(M.evaluate("distribution", truth, distribution, np.arange(25), 50)) == {"crps", "pit_distance", "coverage", "width"}


def test_distributions_that_are_none():
    one = np.ones((2, 1))
    for bad in (lambda: D.Mixture(one, one, 0 * one), lambda: D.Mixture(0.5 * one, one, one), lambda: D.Quantiles(np.array([0.5, 0.1]), np.zeros((2, 2))), lambda: D.Ensemble(np.zeros(3))):
        with pytest.raises(InputError):
            bad()


# ---- retrieval -------------------------------------------------------------------------------------------------------


def test_ranks_by_hand():
    candidates = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]])
    queries = np.array([[2.0, 0.1], [1.0, 0.2], [3.0, 3.0]])
    count, rank = ranks(queries, candidates, np.array([0, 1, 2]))
    assert count.tolist() == [4, 4, 4] and rank.tolist() == [1, 3, 1]  # the second is nearer to 0 and 2 than to 1
    top = {k: M.value(M.metric_named("retrieval", f"top@{k}")[1], count, rank) for k in (1, 2, 3)}
    assert top == pytest.approx({1: 2 / 3, 2: 2 / 3, 3: 1.0})
    assert M.value(M.metric_named("retrieval", "median_rank")[1], count, rank) == 1
    assert M.value(M.metric_named("retrieval", "reciprocal_rank")[1], count, rank) == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert M.value(M.metric_named("retrieval", "top_percent@75")[1], count, rank) == 1
    with pytest.raises(InputError, match="equal widths"):
        ranks(queries, candidates[:, :1])


def test_an_embedding_that_says_nothing_ranks_like_chance():
    count, rank = ranks(np.ones((50, 3)), np.ones((50, 3)))
    assert rank.mean() == 25.5
    count, rank = ranks(np.random.default_rng(0).normal(size=(400, 8)), np.random.default_rng(1).normal(size=(400, 8)))
    assert M.value(M.metric_named("retrieval", "top_percent@10")[1], count, rank) == pytest.approx(0.1, abs=0.05)


# ---- boxes -----------------------------------------------------------------------------------------------------------


def test_overlap_by_hand():
    a = np.array([[0, 0, 2, 2], [0, 0, 0, 0]], dtype=float)
    assert B.overlap(a, np.array([[1, 1, 3, 3], [0, 0, 2, 2.0]])) == pytest.approx(np.array([[1 / 7, 1.0], [0.0, 0.0]]))


def boxes_by_hand():
    """Two images with three true boxes; of four predicted ones, by score: right, wrong, right, a second one on a box already found."""
    true = [np.array([[0, 0, 10, 10], [20, 20, 30, 30]]), np.array([[0, 0, 10, 10]])]
    said = [np.array([[0, 0, 10, 10], [50, 50, 60, 60], [1, 0, 11, 10]]), np.array([[0, 0, 10, 9]])]
    return true, said, [np.array([0.9, 0.8, 0.3]), np.array([0.5])]


def test_average_precision_by_hand():
    # precision 1, 1/2, 2/3, 1/2 at recall 1/3, 1/3, 2/3, 2/3: best from there on 1 up to 1/3 (34 of 101 recalls), 2/3 up to 2/3 (33), then 0
    true, said, scores = boxes_by_hand()
    expected = (34 * 1 + 33 * 2 / 3) / 101
    assert B.average_precision(true, said, scores) == pytest.approx([expected])
    # at 0.95 the box of IoU 0.9 finds nothing: only the first is right
    assert B.average_precision(true, said, scores, threshold=0.95) == pytest.approx([34 / 101])
    assert B.average_precision(true, said, scores, threshold=B.COCO) == pytest.approx([(9 * expected + 34 / 101) / 10])
    assert B.average_precision(true, true, [np.ones(2), np.ones(1)]) == pytest.approx([1.0])
    assert B.average_precision(true, [np.zeros((0, 4))] * 2, [np.zeros(0)] * 2) == pytest.approx([0.0])
    assert np.isnan(B.average_precision([np.zeros((0, 4))], [said[1]], [scores[1]])).all()
    with pytest.raises(InputError, match="one score a box"):
        B.average_precision(true, said, scores[::-1])


def test_box_weights_mean_repeated_images():
    rng = np.random.default_rng(3)
    corner = [rng.uniform(0, 50, (rng.integers(0, 5), 2)) for _ in range(12)]
    true = [np.hstack([c, c + 10]) for c in corner]
    said = [np.vstack([t + rng.normal(0, 1.5, t.shape), np.tile(rng.uniform(0, 50, (2, 2)), 2) + np.array([0, 0, 8, 8])]) for t in true]
    scores = [rng.random(len(s)) for s in said]
    times = rng.integers(0, 3, (5, 12))
    weighted = B.average_precision(true, said, scores, times.astype(float), threshold=(0.5, 0.7))
    for row, repeat in zip(weighted, times, strict=True):
        again = [[one[i] for i in np.repeat(np.arange(12), repeat)] for one in (true, said, scores)]
        assert row == pytest.approx(B.average_precision(*again, threshold=(0.5, 0.7))[0], abs=1e-9)
