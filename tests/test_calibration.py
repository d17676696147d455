"""Calibration, conformal sets and intervals, distance from the training samples: beside scikit-learn and scipy, and promises kept in simulation."""

import math

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.metrics import roc_auc, value
from astrofuse_lab.training.uncertainty import GRID, quantiles_at
from astrofuse_lab.training.uncertainty_calibration import apply_isotonic, fit_isotonic, fit_scale, fit_temperature, negative_log_likelihood
from astrofuse_lab.training.uncertainty_conformal import class_scores, class_sets, interval, quantile_interval, threshold
from astrofuse_lab.training.uncertainty_shift import distances, energy, fit_gaussians, share_beyond


def drawn(count, seed=0, hot=1.0, classes=4):
    """Logits that are `hot` times too large, and classes drawn by the right probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (count, classes))
    truth = (softmax(logits, axis=1).cumsum(1) < rng.random((count, 1))).sum(1)
    return hot * logits, truth.clip(0, classes - 1)


# ---- calibration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hot", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_logits_that_are_too_large(hot):
    logits, truth = drawn(20000, hot=hot)
    found = fit_temperature("classification", logits, truth)
    assert found == pytest.approx(hot, rel=0.05)
    least = min(negative_log_likelihood("classification", logits, truth, t) for t in found * np.array([0.97, 1.03]))
    assert negative_log_likelihood("classification", logits, truth, found) < least


def test_the_temperature_is_scikit_learns():
    calibration = pytest.importorskip("sklearn.calibration")
    if not hasattr(calibration, "_TemperatureScaling"):
        pytest.skip("this scikit-learn has no temperature scaling")
    logits, truth = drawn(3000, hot=2.2)
    theirs = calibration._TemperatureScaling().fit(logits, truth)
    assert fit_temperature("classification", logits, truth) == pytest.approx(1 / float(theirs.beta_), rel=1e-3)


def test_the_temperature_of_labels_leaves_unknown_ones_out():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (8000, 2))
    truth = (rng.random((8000, 2)) < 1 / (1 + np.exp(-logits))).astype(float)
    spoiled = truth.copy()
    spoiled[:4000, 1] = np.nan
    found = [fit_temperature("multi_label", 2 * logits, given) for given in (truth, spoiled)]
    assert found == pytest.approx([2.0, 2.0], rel=0.08)


def test_where_all_is_right_the_temperature_has_an_end():
    assert 0.05 <= fit_temperature("classification", 3 * np.eye(3), np.arange(3)) < 0.1
    assert 10 < fit_temperature("classification", 3 * np.eye(3), (np.arange(3) + 1) % 3) <= 20


def test_isotonic_calibration_is_scikit_learns():
    from sklearn.isotonic import IsotonicRegression

    logits, truth = drawn(1500, hot=3.0)
    shares = softmax(logits, axis=1)
    knots = fit_isotonic("classification", logits, truth)
    fresh = softmax(drawn(500, 1, 3.0)[0], axis=1)
    each = np.stack([IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(shares[:, i], truth == i).predict(fresh[:, i]) for i in range(4)], 1)
    told = apply_isotonic("classification", fresh, knots)
    assert np.allclose(told, each / each.sum(1, keepdims=True), atol=1e-9)
    assert np.allclose(told.sum(1), 1)


def test_classes_are_calibrated_each_against_the_rest_as_in_scikit_learn():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.naive_bayes import GaussianNB

    frozen = pytest.importorskip("sklearn.frozen")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(900, 3))
    features = np.concatenate([features, features + 0.3 * rng.normal(size=(900, 3))], 1)  # naive Bayes counts each twice
    truth = (features[:, :3] @ rng.normal(size=(3, 3)) + rng.gumbel(size=(900, 3))).argmax(1)
    model = GaussianNB().fit(features[:300], truth[:300])
    theirs = CalibratedClassifierCV(frozen.FrozenEstimator(model), method="isotonic", ensemble=False).fit(features[300:600], truth[300:600])
    knots = fit_isotonic("classification", model.predict_log_proba(features[300:600]), truth[300:600])
    assert np.allclose(apply_isotonic("classification", model.predict_proba(features[600:]), knots), theirs.predict_proba(features[600:]), atol=1e-6)


def test_calibration_lowers_the_error_of_what_it_says():
    from astrofuse_lab.training.metrics import calibration_error

    logits, truth = drawn(4000, hot=3.0)
    fresh, known = drawn(4000, 1, 3.0)
    before = softmax(fresh, axis=1)
    warm = softmax(fresh / fit_temperature("classification", logits, truth), axis=1)
    stepped = apply_isotonic("classification", before, fit_isotonic("classification", logits, truth))
    errors = [value(calibration_error, known, shares) for shares in (before, warm, stepped)]
    assert errors[0] > 0.15
    assert errors[1] < 0.03
    assert errors[2] < 0.05


def test_probabilities_that_vanish_stay_as_they_were():
    knots = [{"p": [0.0, 0.6, 1.0], "q": [0.0, 0.0, 1.0]}] * 2
    told = apply_isotonic("classification", np.array([[0.5, 0.5], [0.9, 0.1]]), knots)
    assert told[0].tolist() == [0.5, 0.5] and told[1].tolist() == [1.0, 0.0]


def test_the_scale_makes_errors_of_unit_variance():
    rng = np.random.default_rng(0)
    wide = rng.uniform(0.5, 2.0, (5000, 1))
    values = rng.normal(size=(5000, 1))
    truth = values + 3.0 * wide * rng.normal(size=(5000, 1))
    truth[::7] = np.nan
    assert fit_scale(values, wide**2, truth) == pytest.approx(3.0, rel=0.05)


# ---- conformal sets -------------------------------------------------------------------------------------------------


def test_the_threshold_is_the_kth_smallest_score():
    scores = np.arange(1.0, 20.0)
    assert threshold(scores, 0.9) == 18.0  # ceil(20 * 0.9)
    assert threshold(scores, 0.95) == 19.0
    assert threshold(scores, 0.96) == math.inf, "nineteen samples cannot promise so much"
    for wrong in (0.0, 1.0, 90, True):
        with pytest.raises(InputError, match="coverage"):
            threshold(scores, wrong)


def test_scores_of_classes_by_hand():
    shares = np.array([[0.5, 0.2, 0.3]])
    assert np.allclose(class_scores(shares, "lac"), [[0.5, 0.8, 0.7]])
    assert np.allclose(class_scores(shares, "aps"), [[0.5, 1.0, 0.8]])
    with pytest.raises(InputError, match="'lac' or 'aps'"):
        class_scores(shares, "raps")


@pytest.mark.parametrize("kind", ["lac", "aps"])
@pytest.mark.parametrize("hot", [0.3, 1.0, 4.0])
def test_sets_hold_the_truth_as_often_as_promised_however_wrong_the_model(kind, hot):
    """Coverage is promised on average over held-out and new samples; without randomness APS is above."""
    covered, sizes = [], []
    for seed in range(150):
        logits, truth = drawn(300, seed, hot)
        shares = softmax(logits, axis=1)
        inside = class_sets(shares[100:], shares[:100], truth[:100], 0.9, kind)
        covered.append(inside[np.arange(200), truth[100:]].mean())
        sizes.append(inside.sum(1).mean())
        assert inside.any(1).all()
    # the exact expectation of split conformal prediction lies in [0.9, 0.9 + 1 / 101] where scores have no ties
    error = np.std(covered) / np.sqrt(len(covered))
    assert np.mean(covered) > 0.9 - 3 * error
    assert np.mean(covered) < 0.9 + 1 / 101 + 3 * error + (0.0 if kind == "lac" else 0.08)
    assert 1.0 <= np.mean(sizes) < 4.0


def test_the_least_ambiguous_sets_are_the_smallest():
    logits, truth = drawn(3000)
    shares = softmax(logits, axis=1)
    sizes = {kind: class_sets(shares[1000:], shares[:1000], truth[:1000], 0.9, kind).sum(1).mean() for kind in ("lac", "aps")}
    assert sizes["lac"] < sizes["aps"]


@pytest.mark.parametrize("how", ["residual", "scaled", "quantiles"])
def test_intervals_hold_the_truth_as_often_as_promised(how):
    """A model that is biased and thinks its errors three times too small."""
    covered, widths = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, 300)
        noise = 0.1 + np.abs(x)
        truth = x + noise * rng.normal(size=300)
        truth[rng.random(300) < 0.02] = np.nan
        said, scale = x + 0.05, noise / 3
        held, new = slice(0, 100), slice(100, 300)
        if how == "residual":
            low, high = interval(said[new], said[held], truth[held], 0.8)
        elif how == "scaled":
            low, high = interval(said[new], said[held], truth[held], 0.8, scale[new], scale[held])
        else:
            quantiles = said[:, None] + scale[:, None] * norm.ppf(GRID)
            low, high = quantile_interval(quantiles[new], quantiles[held], truth[held], 0.8)
        known = np.isfinite(truth[new])
        covered.append(((truth[new] >= low) & (truth[new] <= high))[known].mean())
        widths.append(np.mean(high - low))
    error = np.std(covered) / np.sqrt(len(covered))
    assert 0.8 - 3 * error < np.mean(covered) < 0.8 + 1 / 97 + 3 * error
    # intervals that follow the noise are narrower than those that are the same for all
    ideal = 2 * norm.ppf(0.9) * 0.6
    assert np.mean(widths) < (1.35 if how == "residual" else 1.2) * ideal


def test_quantiles_between_those_that_are_kept():
    quantiles = np.stack([norm.ppf(GRID), 2 * norm.ppf(GRID)])
    for coverage in (0.5, 0.68, 0.9, 0.95, 0.99):
        low, high = quantiles_at(quantiles, coverage)
        assert np.allclose(high, norm.ppf((1 + coverage) / 2) * np.array([1, 2]), rtol=0.01) and np.allclose(low, -high)
    assert quantiles_at(quantiles, 0.9999)[1][0] == pytest.approx(norm.ppf(0.995)), "no farther than is known"


# ---- shift ----------------------------------------------------------------------------------------------------------


def test_distances_are_scipys_and_the_covariance_is_scikit_learns():
    from scipy.spatial.distance import mahalanobis
    from sklearn.covariance import LedoitWolf

    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=300)
    centres = rng.normal(0, 3, (3, 5))
    vectors = centres[codes] + rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5))
    means, precision = fit_gaussians(vectors, codes, 3)
    assert np.allclose(means, [vectors[codes == c].mean(0) for c in range(3)])
    theirs = LedoitWolf(assume_centered=True).fit(vectors - means[codes]).precision_
    assert np.allclose(precision, theirs, rtol=1e-5)
    fresh = rng.normal(0, 4, (20, 5))
    expected = [min(mahalanobis(one, mean, precision) for mean in means) for one in fresh]
    assert np.allclose(distances(fresh, means, precision), expected)


def test_fewer_samples_than_numbers_and_a_class_without_samples():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(10, 40))
    vectors[:, 7] = 1.0
    means, precision = fit_gaussians(vectors, np.repeat([0, 2], 5), 3)
    assert means.shape == (2, 40) and np.isfinite(precision).all()
    assert np.isfinite(distances(rng.normal(size=(4, 40)), means, precision)).all()


def test_what_is_shifted_stands_out():
    rng = np.random.default_rng(0)
    train, held, same = (rng.normal(size=(count, 6)) for count in (400, 200, 300))
    other = rng.normal(size=(300, 6)) + np.array([2.5, 0, 0, 0, 0, 0])
    means, precision = fit_gaussians(train, np.zeros(400, dtype=int), 1)
    known, inside, outside = (distances(one, means, precision) for one in (held, same, other))
    truth = np.repeat([0, 1], 300)
    score = np.concatenate([inside, outside])
    assert value(roc_auc, truth, np.stack([-score, score], 1)) > 0.8
    # among its like a sample's share is even between 0 and 1
    shares = share_beyond(inside, known)
    assert abs((shares <= 0.1).mean() - 0.1) < 0.05 and abs(np.median(shares) - 0.5) < 0.08
    assert (share_beyond(outside, known) <= 0.1).mean() > 0.5


def test_share_beyond_and_energy_by_hand():
    assert share_beyond(np.array([0.5, 2.0, 9.0]), np.array([3.0, 1.0, 2.0])).tolist() == [1.0, 0.75, 0.25]
    assert energy(np.array([[1.0, 2.0, 3.0]]))[0] == pytest.approx(-np.log(np.exp([1, 2, 3]).sum()))
    assert energy(np.array([[1000.0, 0.0]]))[0] == pytest.approx(-1000.0)
