"""Comparisons: the same rows for all, paired intervals, and words that say what the numbers say."""

import threading

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.training import metrics as M
from tests.conftest import make_toy_samples

QUICK = {"progress": False, "device": "cpu", "epochs": 3, "resamples": 200}


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(90, seed=1)


@pytest.fixture(scope="module")
def table(samples):
    return af.compare("late_fusion", samples, "label", ["table", "text"], seeds=2, subsets=True, trees_each=True, **QUICK)


def test_rows_and_columns(table):
    assert table["model"].tolist() == ["fused", "table", "text", "trees: table", "trees: text", "trees", "chance"]
    assert {"metric", "value", "low", "high", "difference", "difference_low", "difference_high", "parameters", "seconds"} <= set(table.colnames)
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert np.isnan(table["difference"][0]) and np.isfinite(table["difference"][1:]).all()
    assert (table["parameters"][:3] > 0).all() and (table["seconds"][:6] > 0).all()
    assert table["value"][-1] == pytest.approx(1 / 3)  # chance: balanced accuracy of one class always


def test_all_rows_are_tested_on_the_same_objects(table, samples):
    split = samples.split(test=0.25)
    assert sorted(table.meta["ids"]) == sorted(split.test)
    for made in table.meta["predictions"].values():
        assert len(made) == 2 and all(len(p) == len(split.test) and np.isfinite(p).all() for p in made)
    assert table.meta["seeds"] == 2 and table.meta["simulated"]


def test_values_and_differences_follow_from_the_predictions(table, samples):
    truth = table.meta["truth"]
    def mean(name):
        return np.mean([M.value(M.balanced_accuracy, truth, p) for p in table.meta["predictions"][name]])
    for row in table[1:]:
        assert row["value"] == pytest.approx(mean(row["model"]))
        assert row["difference"] == pytest.approx(mean("fused") - mean(row["model"]))
    groups = np.unique(samples.select(table.meta["ids"]).column("host").data, return_inverse=True)[1]
    ids = samples.object_ids
    codes = np.unique(samples.column("host").data, return_inverse=True)[1][[ids.tolist().index(i) for i in table.meta["ids"]]]
    assert len(np.unique(groups)) == len(np.unique(codes)) == table.meta["test_groups"]
    drawn = {n: np.mean([M.resampled(M.balanced_accuracy, truth, p, codes, 200) for p in table.meta["predictions"][n]], axis=0) for n in ("fused", "text")}
    row = table[table["model"].tolist().index("text")]
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(M.interval(drawn["fused"] - drawn["text"]))


def test_paired_differences_are_narrower_than_unpaired(table):
    row = table[table["model"].tolist().index("trees")]
    paired = row["difference_high"] - row["difference_low"]
    unpaired = np.hypot(table["high"][0] - table["low"][0], row["high"] - row["low"])
    assert paired < unpaired


def test_subsets_of_the_fused_model(table):
    subsets = table.meta["subsets"]
    assert subsets["modalities"].tolist() == ["table", "text", "table + text"]
    assert subsets["value"][-1] == pytest.approx(table["value"][0])  # with all modalities it is the fused row


def test_folds_test_everything_once_and_groups_vote(samples):
    table = af.compare("late_fusion", samples, "label", ["table", "text"], seeds=[5], folds=3, one_vote=True, metric="roc_auc", **QUICK)
    assert table.meta["test_samples"] == 90 and table.meta["test_groups"] == 45 and table.meta["splits"] == 3
    assert set(table["metric"]) == {"roc_auc"} and table["value"][-1] == pytest.approx(0.5, abs=0.15)


def test_regression_is_better_when_lower(samples):
    table = af.compare("late_fusion", samples, "redshift", ["table", "text"], seeds=1, **QUICK)
    assert set(table["metric"]) == {"rmse"}
    fused, chance = table["value"][0], table["value"][-1]
    assert table["difference"][-1] == pytest.approx(chance - fused)  # positive where fused is better


def verdict_of(**rows):
    from astropy.table import Table

    from astrofuse_lab.training.report import verdict

    names = {"fused": "a + b", "a": "a", "b": "b", "trees": "a + b", "chance": ""}
    return verdict(Table(rows=[
        {"model": n, "modalities": m, "metric": "roc_auc", "value": 0.8, "low": 0.7, "high": 0.9,
         "difference": rows.get(n, (0.3, 0.2, 0.4))[0], "difference_low": rows.get(n, (0.3, 0.2, 0.4))[1], "difference_high": rows.get(n, (0.3, 0.2, 0.4))[2]}
        for n, m in names.items()
    ]))  # fmt: skip


def test_the_verdict_says_when_fused_is_not_better():
    told = verdict_of(b=(0.01, -0.02, 0.04), trees=(-0.1, -0.2, -0.05))
    assert "no different from the best single modality, b, as far as these samples can tell (+0.010 [-0.020, +0.040])" in told.replace("b as", "b, as")
    assert "worse than the trees (-0.100 [-0.200, -0.050])" in told
    assert "better than the best single modality, b (+0.050" in verdict_of(b=(0.05, 0.01, 0.09))


def test_bad_arguments(samples):
    for match, more in (
        ("exclude each other", {"folds": 3, "split": samples.split()}),
        ("at least one", {"seeds": 0}),
        ("no metric", {"metric": "accuraci"}),
        ("needs test ids", {"split": af.Split(tuple(samples.object_ids), ())}),
        ("tested again", {"split": [samples.split(), samples.split()]}),
        ("folds=1", {"folds": 1}),
    ):
        with pytest.raises(InputError, match=match):
            af.compare("late_fusion", samples, "label", ["table"], **{"seeds": 1, **QUICK, **more})


def test_stop_ends_it(samples):
    stop = threading.Event()
    told = []

    def watch(now):
        told.append(now)
        stop.set()

    with pytest.raises(InputError, match="stopped"):
        af.compare("late_fusion", samples, "label", ["table", "text"], seeds=1, stop=stop, on_progress=watch, **QUICK)
    assert len(told) == 1 and told[0]["total"] == 3


def test_a_run_at_hand_is_not_trained_again(toy_samples):
    import astrofuse_lab as af

    split = toy_samples.split(test=0.3, seed=2)
    options = {"target": "label", "modalities": ["image", "table"], "split": split}
    run = af.train("late_fusion", toy_samples, **options, epochs=2, progress=False)
    given = af.compare("late_fusion", toy_samples, **options, seeds=1, epochs=2, fused=run, progress=False)
    anew = af.compare("late_fusion", toy_samples, **options, seeds=1, epochs=2, progress=False)
    assert given["value"][0] == anew["value"][0]
    with pytest.raises(af.errors.InputError, match="the recipe"):
        af.compare("gated_fusion", toy_samples, **options, seeds=1, fused=run, progress=False)
    with pytest.raises(af.errors.InputError, match="the split"):
        af.compare("late_fusion", toy_samples, **{**options, "split": toy_samples.split(test=0.3, seed=3)}, seeds=1, fused=run, progress=False)
    fewer = af.Split(split.train[:-6], split.test, by=split.by, group=split.group, seed=split.seed)
    with pytest.raises(af.errors.InputError, match="the split"):  # the same test part, but another training part
        af.compare("late_fusion", toy_samples, **{**options, "split": fewer}, seeds=1, epochs=2, fused=run, progress=False)
    with pytest.raises(af.errors.InputError, match="its seed"):
        af.compare("late_fusion", toy_samples, **options, seeds=[4], epochs=2, fused=run, progress=False)
