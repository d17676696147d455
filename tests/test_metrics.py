"""Metrics of classes and numbers against scikit-learn and scipy; bootstrap weights against resampling done by hand."""

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


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("ties", [False, True])
def test_classification_metrics_with_weights_equal_sklearn(classes, ties):
    truth, p = problem(classes, ties=ties)
    said, weights = p.argmax(1), np.random.default_rng(3).uniform(0, 3, (2, 200))
    onehot = np.eye(classes)[truth]
    for row in weights:
        precision = sk.precision_score(truth, said, average="macro", sample_weight=row)
        ap = sk.average_precision_score(truth, p[:, 1], sample_weight=row) if classes == 2 else sk.average_precision_score(onehot, p, sample_weight=row)
        recall = sk.recall_score(truth, said, average="macro", sample_weight=row)
        expected = {
            "purity": precision, "completeness": recall, "pr_auc": ap, "hss": sk.cohen_kappa_score(truth, said, sample_weight=row),
            "brier": sk.brier_score_loss(truth, p, sample_weight=row, labels=range(classes)),
        }  # fmt: skip
        for name, value in expected.items():
            assert M.METRICS["classification"][name](truth, p, row[None])[0] == pytest.approx(value, abs=1e-9), name
        each = M.EACH["classification"]["roc_auc"](truth, p, row[None])[0]
        assert each == pytest.approx([sk.roc_auc_score(truth == c, p[:, c], sample_weight=row) for c in range(classes)])


def test_purity_and_completeness_at_a_threshold():
    truth, p = problem(3)
    for threshold in (0.2, 0.6):
        for name, measure in (("purity", sk.precision_score), ("completeness", sk.recall_score)):
            expected = [measure(truth == c, p[:, c] >= threshold) for c in range(3)]
            full, metric = M.metric_named("classification", f"{name}@{threshold}")
            assert full == f"{name}@{threshold}" and M.value(metric, truth, p) == pytest.approx(np.mean(expected))
    # nothing is that probable: no purity to speak of, and nothing found
    assert np.isnan(M.value(M.metric_named("classification", "purity@1.1")[1], truth, p))
    assert M.value(M.metric_named("classification", "completeness@1.1")[1], truth, p) == 0


def test_skill_scores_are_those_of_flare_forecasting():
    # a confusion matrix as printed in that literature: hits, misses, false alarms, correct rejections
    hits, misses, alarms, quiet = 30, 10, 25, 435
    truth = np.r_[np.ones(hits + misses), np.zeros(alarms + quiet)].astype(int)
    said = np.r_[np.ones(hits), np.zeros(misses), np.ones(alarms), np.zeros(quiet)].astype(int)
    p = np.eye(2)[said]
    tss = hits / (hits + misses) - alarms / (alarms + quiet)
    hss2 = 2 * (hits * quiet - misses * alarms) / ((hits + misses) * (misses + quiet) + (hits + alarms) * (alarms + quiet))
    assert M.value(M.METRICS["classification"]["tss"], truth, p) == pytest.approx(tss)
    assert M.value(M.METRICS["classification"]["hss"], truth, p) == pytest.approx(hss2)
    # Peirce's skill of several classes, from the table of shares by hand
    truth, p = problem(4)
    joint = sk.confusion_matrix(truth, p.argmax(1)) / 200
    chance, spread = (joint.sum(1) * joint.sum(0)).sum(), (joint.sum(1) ** 2).sum()
    assert M.value(M.METRICS["classification"]["tss"], truth, p) == pytest.approx((np.trace(joint) - chance) / (1 - spread))


@pytest.mark.parametrize("name", [*M.METRICS["classification"], "purity@0.4", "completeness@0.4"])
@pytest.mark.parametrize("classes", [2, 4])
def test_weights_mean_repetition(name, classes):
    truth, p = problem(classes, n=60, ties=True)
    times = np.random.default_rng(1).integers(0, 4, (5, 60))
    metric = M.metric_named("classification", name)[1]
    weighted = metric(truth, p, times.astype(float))
    for row, repeat in enumerate(times):
        assert weighted[row] == pytest.approx(M.value(metric, np.repeat(truth, repeat), np.repeat(p, repeat, axis=0)), abs=1e-9)


@pytest.mark.parametrize("name", [*M.METRICS["regression"], *M.REDSHIFT, "outlier_fraction@2", "redshift_outliers@0.5"])
def test_regression_weights_mean_repetition(name):
    rng = np.random.default_rng(0)
    truth, said = rng.uniform(0, 3, 41), rng.normal(0, 1, 41)
    times = rng.integers(0, 4, (5, 41))
    metric = M.metric_named("regression", name)[1]
    weighted = metric(truth, said, times.astype(float))
    for row, repeat in enumerate(times):
        assert weighted[row] == pytest.approx(M.value(metric, np.repeat(truth, repeat), np.repeat(said, repeat)), abs=1e-9)


def test_regression_metrics_equal_sklearn_and_scipy():
    from scipy.stats import median_abs_deviation, pearsonr

    rng = np.random.default_rng(2)
    truth = rng.normal(3, 1, 101)
    said = truth + rng.standard_t(2, 101)
    assert M.value(M.rmse, truth, said) == pytest.approx(sk.root_mean_squared_error(truth, said))
    assert M.value(M.mae, truth, said) == pytest.approx(sk.mean_absolute_error(truth, said))
    assert M.value(M.r2, truth, said) == pytest.approx(sk.r2_score(truth, said))
    assert M.value(M.nmad, truth, said) == pytest.approx(1.4826 * median_abs_deviation(said - truth))
    weights = rng.uniform(0, 2, 101)
    measure = M.METRICS["regression"]
    assert measure["mse"](truth, said, weights[None])[0] == pytest.approx(sk.mean_squared_error(truth, said, sample_weight=weights))
    assert measure["r2"](truth, said, weights[None])[0] == pytest.approx(sk.r2_score(truth, said, sample_weight=weights))
    assert measure["pearson_r"](truth, said, weights[None])[0] == pytest.approx(np.cov(truth, said, aweights=weights)[0, 1] / np.sqrt(np.prod(np.diag(np.cov(truth, said, aweights=weights)))))
    assert measure["bias"](truth, said, weights[None])[0] == pytest.approx(np.average(said - truth, weights=weights))
    assert M.value(measure["pearson_r"], truth, said) == pytest.approx(pearsonr(truth, said)[0])
    far = np.abs(said - truth - np.median(said - truth)) > 3 * M.value(M.nmad, truth, said)
    assert M.value(M.metric_named("regression", "outlier_fraction@3")[1], truth, said) == pytest.approx(far.mean())


def test_large_numbers_keep_their_variance():
    truth = 1e9 + np.array([0.0, 1.0, 2.0, 3.0])
    said = truth + np.array([0.1, -0.1, 0.1, -0.1])
    assert M.value(M.r2, truth, said) == pytest.approx(1 - 0.01 / 1.25, abs=1e-6)
    assert M.value(M.METRICS["regression"]["pearson_r"], truth, said) == pytest.approx(np.corrcoef(truth - 1e9, said - 1e9)[0, 1], abs=1e-6)
    assert np.isnan(M.value(M.METRICS["regression"]["pearson_r"], truth, np.full(4, 1e9)))


def test_redshift_metrics_of_a_case_done_by_hand():
    truth, said = np.array([0.0, 1.0, 3.0, 0.5]), np.array([0.1, 1.4, 2.6, 2.0])
    scaled = np.array([0.1, 0.2, -0.1, 1.0])
    assert M.value(M.REDSHIFT["redshift_outliers"], truth, said) == 0.5
    assert M.value(M.metric_named("regression", "redshift_outliers@0.05")[1], truth, said) == 1.0
    assert M.value(M.REDSHIFT["redshift_bias"], truth, said) == pytest.approx(scaled.mean())
    assert M.value(M.REDSHIFT["redshift_rmse"], truth, said) == pytest.approx(np.sqrt((scaled**2).mean()))
    error = said - truth
    assert M.value(M.REDSHIFT["redshift_nmad"], truth, said) == pytest.approx(1.4826 * np.median(np.abs(error - np.median(error)) / (1 + truth)))
    for metric in M.REDSHIFT.values():  # a truth that is no redshift has none of these
        assert np.isnan(M.value(metric, np.array([-2.0, 1.0]), np.array([0.0, 1.0])))


def labels(unknown=0.0, n=150):
    rng = np.random.default_rng(4)
    truth = rng.random((n, 4)) < [0.5, 0.2, 0.7, 0.1]
    p = 1 / (1 + np.exp(-(rng.normal(0, 1, (n, 4)) + 2 * truth - 1)))
    return np.where(rng.random(truth.shape) < unknown, np.nan, truth), p


def test_multi_label_metrics_equal_sklearn():
    truth, p = labels()
    said, weights, bear = p >= 0.5, np.random.default_rng(5).uniform(0, 2, 150), truth > 0.5
    expected = {
        "macro_f1": sk.f1_score(bear, said, average="macro", sample_weight=weights), "micro_f1": sk.f1_score(bear, said, average="micro", sample_weight=weights),
        "pr_auc": sk.average_precision_score(bear, p, sample_weight=weights), "roc_auc": sk.roc_auc_score(bear, p, sample_weight=weights),
        "subset_accuracy": sk.accuracy_score(bear, said, sample_weight=weights), "hamming_loss": sk.hamming_loss(bear, said, sample_weight=weights),
    }  # fmt: skip
    for name, value in expected.items():
        assert M.METRICS["multi_label"][name](truth, p, weights[None])[0] == pytest.approx(value), name
        assert M.METRICS["multi_label"][name](bear, p, weights[None])[0] == pytest.approx(value), name  # as booleans


def test_unknown_labels_count_neither_way():
    truth, p = labels(unknown=0.3)
    known = np.isfinite(truth)
    one = np.ones((1, 150))
    each = M.EACH["multi_label"]["pr_auc"](truth, p, one)[0]
    assert each == pytest.approx([sk.average_precision_score(truth[k, i], p[k, i]) for i, k in enumerate(known.T)])
    wrong = ((p >= 0.5) != (truth > 0.5)) & known
    assert M.METRICS["multi_label"]["hamming_loss"](truth, p, one)[0] == pytest.approx(wrong.sum() / known.sum())
    some = known.any(1)
    assert M.METRICS["multi_label"]["subset_accuracy"](truth, p, one)[0] == pytest.approx((~wrong.any(1))[some].mean())
    changed = np.where(known, p, 1 - p)
    for name, metric in M.METRICS["multi_label"].items():
        assert metric(truth, changed, one) == pytest.approx(metric(truth, p, one)), name


def test_several_targets_are_the_mean_of_each_over_what_is_known():
    rng = np.random.default_rng(6)
    truth = rng.normal(0, [1, 10, 100], (80, 3))
    said = truth + rng.normal(0, [0.5, 2, 90], (80, 3))
    truth[rng.random((80, 3)) < 0.2] = np.nan
    known = np.isfinite(truth)
    for name, metric in M.METRICS["multi_regression"].items():
        single = M.METRICS["regression"][name]
        assert M.value(metric, truth, said) == pytest.approx(np.mean([M.value(single, truth[k, i], said[k, i]) for i, k in enumerate(known.T)])), name
    assert M.metric_named("multi_regression")[0] == "r2"
    truth[:, 2] = np.nan  # a target nobody knows is left out
    assert M.value(M.METRICS["multi_regression"]["mae"], truth, said) == pytest.approx(np.mean([M.value(M.mae, truth[k, i], said[k, i]) for i, k in enumerate(known.T[:2])]))


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


def test_votes_of_several_targets_and_labels():
    truth = np.array([[1.0, np.nan], [3.0, 4.0], [5.0, 6.0]])
    mean, said, _ = M.vote(truth, np.arange(6.0).reshape(3, 2), np.array([0, 0, 1]))
    assert mean == pytest.approx(np.array([[2.0, 4.0], [5.0, 6.0]])) and said == pytest.approx(np.array([[1.0, 2.0], [4.0, 5.0]]))
    bear, _, _ = M.vote(np.array([[True, False], [True, True], [True, False]]), np.zeros((3, 2)), np.array([0, 0, 0]))
    assert bear.dtype == bool and bear.tolist() == [[True, False]]


def test_unknown_metric_names_those_there_are():
    with pytest.raises(InputError, match="balanced_accuracy"):
        M.metric_named("classification", "rmse")
    with pytest.raises(InputError, match="has no option"):
        M.metric_named("classification", "accuracy@0.5")
    with pytest.raises(InputError, match="a number, its threshold"):
        M.metric_named("classification", "purity@high")
    with pytest.raises(InputError, match="no truth"):
        M.metric_named("self_supervised")


def test_goodness_puts_the_better_value_higher():
    for name, better, worse in (("roc_auc", 0.9, 0.8), ("rmse", 0.1, 0.2), ("bias", -0.1, 0.2), ("coverage@0.5", 0.55, 0.9), ("redshift_outliers@0.05", 0.1, 0.3), ("nmad[z]", 0.1, 0.2)):
        assert M.goodness(name, better) > M.goodness(name, worse), name
    named = {n for task in M.METRICS.values() for n in task} | set(M.REDSHIFT)
    assert set(M.BEST_AT) | M.LOWER_IS_BETTER <= named
