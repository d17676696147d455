"""Metrics against scikit-learn; bootstrap weights against resampling done by hand."""

import numpy as np
import pytest
import sklearn.metrics as sk

from astrofuse_lab.errors import InputError
from astrofuse_lab.training import metrics as M


def problem(classes, n=200, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    score = rng.normal(0, 1, (n, classes)) + 1.2 * np.eye(classes)[truth]
    p = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    if ties:
        p = np.round(p, 1) + 1e-3
        p /= p.sum(1, keepdims=True)
    return truth, p


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_classification_metrics_equal_sklearn(classes, ties):
    truth, p = problem(classes, ties=ties)
    said = p.argmax(1)
    auc = sk.roc_auc_score(truth, p[:, 1]) if classes == 2 else sk.roc_auc_score(truth, p, multi_class="ovr", average="macro")
    expected = {
        "balanced_accuracy": sk.balanced_accuracy_score(truth, said), "macro_f1": sk.f1_score(truth, said, average="macro"),
        "accuracy": sk.accuracy_score(truth, said), "roc_auc": auc, "log_loss": sk.log_loss(truth, p, labels=range(classes)),
    }  # fmt: skip
    for name, value in expected.items():
        assert M.value(M.METRICS["classification"][name], truth, p) == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "roc_auc", "accuracy", "log_loss", "calibration_error"])
@pytest.mark.parametrize("classes", [2, 4])
def test_weights_mean_repetition(name, classes):
    truth, p = problem(classes, n=60, ties=True)
    times = np.random.default_rng(1).integers(0, 4, (5, 60))
    metric = M.METRICS["classification"][name]
    weighted = metric(truth, p, times.astype(float))
    for row, repeat in enumerate(times):
        assert weighted[row] == pytest.approx(M.value(metric, np.repeat(truth, repeat), np.repeat(p, repeat, axis=0)), abs=1e-9)


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "nmad"])
def test_regression_weights_mean_repetition(name):
    rng = np.random.default_rng(0)
    truth, said = rng.normal(0, 1, 41), rng.normal(0, 1, 41)
    times = rng.integers(0, 4, (5, 41))
    metric = M.METRICS["regression"][name]
    weighted = metric(truth, said, times.astype(float))
    for row, repeat in enumerate(times):
        assert weighted[row] == pytest.approx(M.value(metric, np.repeat(truth, repeat), np.repeat(said, repeat)), abs=1e-9)


def test_regression_metrics_equal_sklearn_and_scipy():
    from scipy.stats import median_abs_deviation

    rng = np.random.default_rng(2)
    truth = rng.normal(3, 1, 101)
    said = truth + rng.standard_t(2, 101)
    assert M.value(M.rmse, truth, said) == pytest.approx(sk.root_mean_squared_error(truth, said))
    assert M.value(M.mae, truth, said) == pytest.approx(sk.mean_absolute_error(truth, said))
    assert M.value(M.r2, truth, said) == pytest.approx(sk.r2_score(truth, said))
    assert M.value(M.nmad, truth, said) == pytest.approx(1.4826 * median_abs_deviation(said - truth))


def test_calibration_error_of_a_case_done_by_hand():
    # two bins of confidence: 0.9 (of 4, 2 right) and 0.6 (of 2, 2 right)
    p = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    truth = np.array([0, 0, 1, 1, 0, 0])
    assert M.value(M.calibration_error, truth, p) == pytest.approx((4 * abs(0.9 - 0.5) + 2 * abs(0.6 - 1.0)) / 6)


def test_a_class_that_is_absent_is_left_out_of_the_mean():
    truth, p = problem(3)
    keep = truth != 2
    with pytest.warns(UserWarning):
        expected = sk.balanced_accuracy_score(truth[keep], p[keep].argmax(1))
    assert M.value(M.balanced_accuracy, truth[keep], p[keep]) == pytest.approx(expected)
    assert np.isnan(M.value(M.roc_auc, np.zeros(5, dtype=int), np.full((5, 2), 0.5)))


def test_group_weights_draw_whole_groups():
    groups = np.array([7, 7, 3, 3, 3, 9])
    weights = np.concatenate(list(M.group_weights(groups, 500, seed=3)))
    assert weights.shape == (500, 6)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 2] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 5]].sum(1) == 3).all()
    assert weights.mean(0) == pytest.approx(np.ones(6), abs=0.15)


def test_chunks_change_nothing(monkeypatch):
    groups = np.arange(50) // 2
    whole = np.concatenate(list(M.group_weights(groups, 40)))
    monkeypatch.setattr(M, "CHUNK", 50 * 7)
    parts = list(M.group_weights(groups, 40))
    assert len(parts) > 3
    assert np.array_equal(np.concatenate(parts), whole)


def test_interval_of_a_mean_is_the_textbook_one():
    rng = np.random.default_rng(0)
    right = (rng.random(2000) < 0.8).astype(int)
    p = np.eye(2)[right]  # predicts class 1 where right
    low, high = M.interval(M.resampled(M.accuracy, np.ones(2000, dtype=int), p, np.arange(2000), 2000))
    sigma = np.sqrt(right.mean() * (1 - right.mean()) / 2000)
    assert low == pytest.approx(right.mean() - 1.96 * sigma, abs=0.003)
    assert high == pytest.approx(right.mean() + 1.96 * sigma, abs=0.003)


def test_intervals_are_wider_over_groups_than_over_samples():
    rng = np.random.default_rng(0)
    of_group = rng.random(40) < 0.7
    right = np.repeat(of_group, 25)  # all 25 samples of a group are right together
    truth, p = np.ones(1000, dtype=int), np.eye(2)[right.astype(int)]
    def width(groups):
        return np.diff(M.interval(M.resampled(M.accuracy, truth, p, groups, 500)))[0]
    assert width(np.arange(1000) // 25) > 3 * width(np.arange(1000))


def test_evaluate_holds_the_value_within_its_interval():
    truth, p = problem(3)
    for value, low, high in M.evaluate("classification", truth, p, np.arange(200) // 2).values():
        assert low <= high and np.isfinite([value, low, high]).all()
    assert M.evaluate("classification", truth[:0], p[:0], np.zeros(0)) == {}


def test_votes_average_within_groups():
    truth, p, names = M.vote(np.array([1, 1, 0, 1]), np.array([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1], [0.1, 0.9]]), np.array([5, 5, 2, 5]))
    assert names.tolist() == [2, 5] and truth.tolist() == [0, 1]
    assert p == pytest.approx(np.array([[0.9, 0.1], [0.3, 0.7]]))


def test_unknown_metric_names_those_there_are():
    with pytest.raises(InputError, match="balanced_accuracy"):
        M.metric_named("classification", "rmse")
