"""The table of doubts beside predictions: its columns are those of `Run.predict`, its distances and calibration those of scikit-learn and of hand."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples
from sklearn.calibration import calibration_curve
from sklearn.neighbors import KNeighborsTransformer

import astrofuse_lab as af
from astrofuse_lab import explain
from astrofuse_lab.errors import InputError
from astrofuse_lab.training.uncertainty import speak

QUICK = {"progress": False, "device": "cpu", "epochs": 4}


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(100, seed=3)


@pytest.fixture(scope="module")
def split(samples):
    return samples.split(test=0.25, validation=0.25, seed=1)


@pytest.fixture(scope="module")
def test_part(samples, split):
    return samples.select(split.test)


@pytest.fixture(scope="module")
def ensemble(samples, split):
    return af.train_ensemble("late_fusion", samples, "label", seeds=[0, 1], modalities=["table", "text"], split=split, **QUICK)


@pytest.fixture(scope="module")
def regressor(samples, split):
    return af.train("late_fusion", samples, "redshift", ["table", "text"], split, **QUICK)


def test_the_columns_are_those_of_predict(ensemble, test_part):
    run = ensemble.runs[0]
    for source, options in ((ensemble, {}), (run, {"mc": 5})):
        table = explain.uncertainty(source, test_part, **options, coverage=0.8)
        said = source.predict(test_part, **options, coverage=0.8, ood=True)
        assert list(table["object_id"]) == list(test_part.object_ids)
        for mine, theirs in (("prediction", "prediction"), ("total", "uncertainty"), ("data", "data_uncertainty"), ("model", "model_uncertainty"),
                             ("conformal_set", "conformal_set"), ("ood_score", "ood_score")):  # fmt: skip
            assert list(table[mine]) == list(said[theirs]), mine
        np.testing.assert_allclose(table["data"] + table["model"], table["total"], atol=1e-6)
        np.testing.assert_allclose(table["probability"], np.max([said[f"p_{c}"] for c in run.classes], axis=0))
        np.testing.assert_allclose(table["ood_percentile"], 100 * (1 - said["ood_share"]))
        assert table.meta["simulated"] and table.meta["coverage"] == 0.8


def test_calibration_of_the_validation_part_and_of_samples_not_met(ensemble, samples, split, test_part):
    run = ensemble.runs[0]
    rows = {(row["of"], row["measure"]): row for row in explain.uncertainty(run, samples, mc=0).meta["calibration"]}
    plain = rows["validation part", "calibration error"]
    said = run.predict(samples.select(split.validation))
    truth = np.asarray(samples.select(split.validation).column("label").data)
    confidence, right = np.max([said[f"p_{c}"] for c in run.classes], axis=0), np.asarray(said["prediction"]) == truth
    # scikit-learn's curve gives each bin's mean confidence and accuracy; ECE weighs their gaps by the bins' sizes
    from astrofuse_lab.training.metrics_classes import BINS

    share, mean = calibration_curve(right, confidence, n_bins=BINS)
    counts = np.bincount(np.minimum((confidence * BINS).astype(int), BINS - 1), minlength=BINS)
    assert plain["value"] == pytest.approx((np.abs(share - mean) * counts[counts > 0]).sum() / counts.sum(), abs=1e-6)
    assert plain["low"] <= plain["value"] + 0.05 and plain["n"] == len(truth)
    fresh = rows["these samples", "share of sets that hold the truth"]
    assert fresh["n"] == len(test_part) == rows["these samples", "calibration error"]["n"]  # of all samples only those were not met
    sets = run.predict(test_part, coverage=0.9)["conformal_set"]
    label = np.asarray(test_part.column("label").data)
    assert fresh["value"] == pytest.approx(np.mean([t in s.split(" | ") for t, s in zip(label, sets, strict=True)]))
    assert fresh["expected"] == 0.9 and fresh["low"] <= fresh["value"] <= fresh["high"]
    assert ("validation part", "calibration error, temperature of other folds") in rows
    known = explain.uncertainty(run, samples.select(split.train), mc=0).meta["calibration"]
    assert {row["of"] for row in known} == {"validation part"}  # what it was trained on says nothing


def test_distance_to_the_training_samples_as_scikit_learn_finds_it(ensemble, samples, split, test_part):
    table = explain.uncertainty(ensemble, test_part, training=samples, neighbours=5)
    expected = []
    for run in ensemble.runs:
        unit = [speak(run, some).vectors for some in (samples.select(split.train), test_part)]
        unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in unit]
        graph = KNeighborsTransformer(n_neighbors=4).fit(unit[0]).transform(unit[1])  # it gives one more than asked
        expected.append(graph.max(1).toarray()[:, 0])
    np.testing.assert_allclose(table["neighbour_distance"], np.mean(expected, axis=0), rtol=1e-6)
    assert (table["neighbour_percentile"] >= 0).all() and (table["neighbour_percentile"] < 100).all()
    inside = explain.uncertainty(ensemble, samples.select(split.train), training=samples, neighbours=5)
    assert np.mean(inside["neighbour_distance"]) < np.mean(table["neighbour_distance"])
    with pytest.raises(InputError, match="training holds 0"):
        explain.uncertainty(ensemble, test_part, training=test_part)


def test_numbers_have_intervals_and_parts(regressor, test_part):
    table = explain.uncertainty(regressor, test_part, mc=5)
    np.testing.assert_allclose(table["data"] ** 2 + table["model"] ** 2, table["total"] ** 2)
    assert (table["low"] <= table["prediction"]).all() and (table["prediction"] <= table["high"]).all()
    rows = {(row["of"], row["measure"]): row for row in table.meta["calibration"]}
    said = regressor.predict(test_part, coverage=0.9)
    truth = np.asarray(test_part.column("redshift").data)
    found = rows["these samples", "share of sets that hold the truth"]
    assert found["value"] == pytest.approx(np.mean((said["low"] <= truth) & (truth <= said["high"])))
    within = rows["these samples", "share within one sigma"]
    assert within["expected"] == pytest.approx(0.6827) and 0 <= within["low"] <= within["value"] <= within["high"] <= 1
    width = regressor.residual_width[0]
    held = regressor.held
    assert rows["validation part", "share within one sigma"]["value"] == pytest.approx(np.mean(np.abs(held.truth - held.values[:, 0]) <= width))


def test_what_cannot_be_said_is_left_out_with_the_reason(ensemble, test_part):
    run = ensemble.runs[0]
    plain = explain.uncertainty(run, test_part, mc=0)
    assert "data" not in plain.colnames and "not divided" in plain.meta["notes"][0] and "total" in plain.colnames
    held, run.held = run.held, None
    try:
        bare = explain.uncertainty(run, test_part)
    finally:
        run.held = held
    assert not {"conformal_set", "ood_score"} & set(bare.colnames) and "run.calibrate" in bare.meta["notes"][-1]
    with pytest.raises(InputError, match="no samples"):
        explain.uncertainty(run, test_part.take([]))
    with pytest.raises(InputError, match="coverage=1"):
        explain.uncertainty(run, test_part, coverage=1)


def test_labels_and_several_numbers(samples, split, test_part):
    table = samples._columns.append_column("bright", pa.array(np.asarray(samples.column("mag_g").data) < 19)).append_column("double", pa.array(2 * samples.column("redshift").data))
    roles = {**{n: r for n, r in samples.roles.items() if n != "object_id"}, "double": "target", "bright": "target"}
    more = af.SampleSet(table, samples._data, roles, samples.units, samples.card)
    several = af.train("late_fusion", more, ["redshift", "double"], ["text"], split, **QUICK)
    told = explain.uncertainty(several, more.select(split.test), mc=3)
    for name in ("prediction", "total", "data", "model", "low", "high"):
        assert f"{name}_redshift" in told.colnames and f"{name}_double" in told.colnames
    labels = af.train("late_fusion", more, ["is_star", "bright"], ["text"], split, **QUICK)
    told = explain.uncertainty(labels, more.select(split.test), mc=3)
    assert {"p_is_star", "p_bright", "total", "data", "model", "ood_score"} <= set(told.colnames) and "exclusive classes" in told.meta["notes"][-1]
    np.testing.assert_allclose(told["total"], told["data"] + told["model"])
