"""Summary features and trees: fitted on training rows only, and good enough to be worth beating."""

import numpy as np
import pytest

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.features import Features, _history
from astrofuse_lab.training.problem import pose
from astrofuse_lab.training.trees import chance_predictions, tree_predictions
from tests.conftest import make_toy_samples

ALL = ("image", "spectrum", "light_curve", "table", "text")


@pytest.fixture(scope="module")
def toy():
    samples = make_toy_samples(200, seed=5)
    problem = pose(samples, "label", ALL)
    truth, _ = problem.encode(samples)
    return samples, problem, truth, Features(samples, ALL)


@pytest.mark.parametrize("kind", ["extra_trees", "boosting"])
def test_trees_learn_the_toy_classes(toy, kind):
    _samples, problem, truth, features = toy
    train, test = np.arange(140), np.arange(140, 200)
    p = tree_predictions(problem, features, ALL, truth, train, test, kind=kind)
    assert p.shape == (60, 3) and np.allclose(p.sum(1), 1)
    assert M.value(M.balanced_accuracy, truth[test], p) > 0.8


def test_regression_by_trees(toy):
    samples, _, _, features = toy
    problem = pose(samples, "redshift", ALL)
    truth, _ = problem.encode(samples)
    train, test = np.arange(140), np.arange(140, 200)
    said = tree_predictions(problem, features, ALL, truth, train, test)
    assert M.value(M.r2, truth[test], said) > 0.5


@pytest.mark.parametrize("modality", ALL)
def test_nothing_is_fitted_on_the_test_rows(toy, modality):
    samples, _, _, features = toy
    train = np.arange(100)
    some = Features(samples.take(np.arange(120)), (modality,)).of((modality,), train, 0)
    more = features.of((modality,), train, 0)[:120]
    assert np.allclose(some, more, equal_nan=True, atol=1e-6)


def test_missing_modalities_are_unknown_not_zero(toy):
    samples, _, _, features = toy
    for name in ("spectrum", "light_curve", "text"):
        values = features.of((name,), np.arange(200), 0)
        assert np.isnan(values[~samples.present(name)]).all() and (~samples.present(name)).any()
        assert np.isfinite(values[samples.present(name)]).any(1).all()


def test_trees_cope_with_a_modality_no_training_row_has(toy):
    samples, problem, truth, features = toy
    has = samples.present("text")
    train, test = np.flatnonzero(~has), np.flatnonzero(has)
    p = tree_predictions(problem, features, ("text", "table"), truth, train, test)
    assert np.isfinite(p).all()


def test_history_statistics_of_a_light_curve_done_by_hand():
    time = np.array([0.0, 1.0, 3.0, 7.0])
    row = _history(time, np.array([0.0, 10.0, -10.0, 0.0]), np.array([2.0, 1.0, 1.0, 4.0]), np.array([0, 0, 1, 1]), np.array([True, False, False, True]), 2)
    n, k, share, limits, span, since_first, since_last = row[:7]
    assert (n, k, share, limits, span, since_first, since_last) == (4, 2, 0.5, 2, 7.0, 6.0, 4.0)
    assert row[7:10] == [10.0, -10.0, 10.0]  # signal to noise: largest, smallest, mean size
    assert row[14] == 0.5  # half of the detections are negative
    assert row[15] == pytest.approx(np.log10(3))  # median depth of the limits
    assert row[16] == pytest.approx(np.log1p(100.0))  # reduced chi square about the weighted mean of zero
    assert np.isnan(row[17])  # no slope from two points
    assert row[-6:] == [1, pytest.approx(np.arcsinh(10)), 0.0, 1, pytest.approx(-np.arcsinh(10)), 0.0]


def test_chance_says_the_shares_of_the_training_part(toy):
    _, problem, truth, _ = toy
    p = chance_predictions(problem, truth, np.arange(100), np.arange(100, 110))
    assert np.allclose(p, np.bincount(truth[:100]) / 100)
    assert M.value(M.balanced_accuracy, truth[100:110], p) <= 0.5


def test_unknown_trees(toy):
    _, problem, truth, features = toy
    with pytest.raises(UnknownNameError, match="extra_trees"):
        tree_predictions(problem, features, ("table",), truth, np.arange(50), np.arange(50, 60), kind="extra_tree")


def test_a_linear_model_learns_too_and_knows_what_is_missing(toy):
    samples, problem, truth, features = toy
    train, test = np.arange(140), np.arange(140, 200)
    p = tree_predictions(problem, features, ALL, truth, train, test, kind="linear")
    assert np.allclose(p.sum(1), 1) and M.value(M.balanced_accuracy, truth[test], p) > 0.6
    said = tree_predictions(pose(samples, "redshift", ALL), features, ("table",), samples.column("redshift").data, train, test, kind="linear")
    # ridge of two columns, by hand on the same standardised columns, is as good
    assert M.value(M.r2, samples.column("redshift").data[test], said) > 0.3


class Several:
    """What the baselines need of a problem with several targets."""

    classes = ()

    def __init__(self, task):
        self.task = task


@pytest.mark.parametrize("kind", ["extra_trees", "linear"])
def test_several_targets_are_learned_one_by_one_where_known(toy, kind):
    samples, _, codes, features = toy
    train, test = np.arange(140), np.arange(140, 200)
    truth = np.column_stack([samples.column("redshift").data, samples.column("mag_g").data, np.full(200, 3.0)])
    truth[::3, 0] = np.nan
    said = tree_predictions(Several("multi_regression"), features, ("spectrum", "table"), truth, train, test, kind=kind)
    known = np.flatnonzero(np.isfinite(truth[:140, 0]))
    alone = tree_predictions(Several("regression"), features, ("spectrum", "table"), np.nan_to_num(truth[:, 0]), known, test, kind=kind)
    assert said.shape == (60, 3) and (said[:, 2] == 3).all()
    if kind == "linear":  # principal components differ a little: they are fitted on all training rows
        assert np.corrcoef(said[:, 0], alone)[0, 1] > 0.95
    labels = np.column_stack([codes == 0, codes != 0, np.ones(200)]).astype(float)
    p = tree_predictions(Several("multi_label"), features, ("spectrum", "table"), labels, train, test, kind=kind)
    assert ((p >= 0) & (p <= 1)).all() and (p[:, 2] == 1).all() and p[:, 0] + p[:, 1] == pytest.approx(np.ones(60), abs=0.1)
    mean = chance_predictions(Several("multi_regression"), truth, train, test)
    assert mean == pytest.approx(np.tile(np.nanmean(truth[:140], axis=0), (60, 1)))
