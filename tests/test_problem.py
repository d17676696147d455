"""Problems: what columns and heads make of a target, in numbers and back, and what cannot be learned is said."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, TrainingError
from astrofuse_lab.training.problem import Problem, pose, scaled
from astrofuse_lab.training.validation import divide, strata
from tests.conftest import make_toy_samples

N = 60


def column(samples, name, values, role="target"):
    roles = {n: r for n, r in samples.roles.items() if n != "object_id"} | {name: role}
    kept = samples._columns.drop_columns([name]) if name in samples._columns.column_names else samples._columns
    return af.SampleSet(kept.append_column(name, pa.array(values)), samples._data, roles, samples.units, samples.card)


@pytest.fixture(scope="module")
def samples():
    made = make_toy_samples(N)
    rng = np.random.default_rng(0)
    code = np.unique(made.column("label").data, return_inverse=True)[1]
    for name, values in {
        "bright": (code >= 1).tolist(), "blue": [None if i % 7 == 0 else bool(c == 1) for i, c in enumerate(code)], "detected": (code == 0).astype(int),
        "h1": code + rng.normal(0, 0.1, N), "h2": [None if i % 5 == 0 else 100.0 * c + i for i, c in enumerate(code)], "stage": code,
    }.items():  # fmt: skip
        made = column(made, name, values)
    return made


def quick(samples, target, modalities=("table", "text"), head=None, **more):
    recipe = af.Recipe("plain", "Table and text", {"table": af.Part("mlp"), "text": af.Part("ngram_mlp")}, af.Part("concatenation"), head=head or af.Part("auto"), width=16)
    return af.train(recipe, samples, target, list(modalities), epochs=1, progress=False, device="cpu", **more)


@pytest.mark.parametrize(
    ("target", "head", "task"),
    [
        ("label", "auto", "classification"), ("bright", "auto", "classification"), ("stage", "auto", "classification"), ("redshift", "auto", "regression"),
        ("stage", "regression", "regression"), ("stage", "quantiles", "regression"), ("stage", "ordinal", "classification"), (["h1"], "auto", "regression"),
        (["bright", "blue"], "auto", "multi_label"), (["h1", "h2"], "auto", "multi_regression"), (["h1", "stage"], "auto", "multi_regression"),
        (["bright", "detected"], "multi_label", "multi_label"), ("bright", "multi_label", "multi_label"), ("h1", "forecast", "multi_regression"),
        (None, "auto", "self_supervised"), (None, "anomaly_score", "self_supervised"),
    ],
)  # fmt: skip
def test_columns_and_heads_make_the_task(samples, target, head, task):
    problem = pose(samples, target, ["text"], head)
    names = () if target is None else (target,) if isinstance(target, str) else tuple(target)
    assert problem.task == task and problem.targets == names
    assert problem.outputs == (3 if task == "classification" and target != "bright" else 2 if target == "bright" and task == "classification" else len(names))
    truth, known = problem.encode(samples)
    assert len(truth) == N and known.shape == (N,) and known.any()
    assert problem.blank(4).shape == ((4,) if task == "regression" else (4, problem.outputs))


@pytest.mark.parametrize(
    ("target", "head", "words"),
    [
        (["label", "bright"], "auto", "'label' is text"),
        (["bright", "h1"], "auto", "'bright' is yes or no, and 'h1' a number"),
        (["h1", "h2"], "multi_label", "label 'h1' holds other values"),
        (["h1", "h2"], "quantiles", "head 'quantiles' predicts one column, not 2"),
        (["h1", "h1"], "auto", "each once"),
        ([], "auto", "names of columns"),
        (["h1", "object_id"], "auto", "'object_id' is the id"),
        (["h1", "colour"], "auto", r"'colour' is an input.*modalities=\['text'\]"),
        ("label", "quantiles", "is text; the recipe's head is quantiles"),
        ("label", "projection", r"learns without a target: pass target=None"),
        (None, "classification", "head 'classification' needs a target"),
        ("label", af.Part.of("ordinal", order=["star", "quasar"]), "does not name each class of 'label' once; they are galaxy, quasar, star"),
        ("label", af.Part.of("ordinal", order=["star", "quasar", "galaxy", "star"]), "does not name each class"),
    ],
)
def test_what_cannot_be_posed_is_said(samples, target, head, words):
    with pytest.raises(InputError, match=words):
        pose(samples, target, ["table", "text"], head)


def test_a_target_in_the_table_is_refused_for_each_of_several(samples):
    with pytest.raises(InputError, match="'mag_g' is an input"):
        quick(samples, ["h1", "mag_g"])
    assert quick(samples, ["h1", "mag_g"], ["text"]).task == "multi_regression"


def test_classes_come_in_the_order_of_the_head(samples):
    problem = pose(samples, "label", ["text"], af.Part.of("ordinal", order=["star", "galaxy", "quasar"]))
    assert problem.classes == ("star", "galaxy", "quasar")
    truth, known = problem.encode(samples)
    assert known.all() and np.array_equal(np.array(problem.classes)[truth], samples.column("label").data)
    numbered = pose(samples, "stage", ["text"], af.Part.of("ordinal", order=[2, 0, 1]))
    assert numbered.classes == (2, 0, 1) and numbered.encode(samples)[0].tolist() == [{2: 0, 0: 1, 1: 2}[v] for v in samples.column("stage").data.tolist()]


def test_unknown_values_are_gaps_and_who_has_any_is_known(samples):
    truth, known = pose(samples, ["bright", "blue"], ["text"]).encode(samples)
    assert np.array_equal(np.isnan(truth[:, 1]), np.arange(N) % 7 == 0) and known.all()
    assert set(truth[np.isfinite(truth)]) == {0.0, 1.0}
    gone = column(samples, "h1", [None if i % 5 == 0 else float(i) for i in range(N)])
    truth, known = pose(gone, ["h1", "h2"], ["text"]).encode(gone)
    assert np.array_equal(known, np.arange(N) % 5 != 0)


def test_scales_are_those_of_the_training_part_and_of_each_target(samples):
    split = samples.split(test=0.3, seed=1)
    run = quick(samples, ["h1", "h2"], split=split)
    train = samples.positions(run.split.train)
    for i, name in enumerate(("h1", "h2")):
        values = np.ma.filled(samples.column(name).astype(float), np.nan)[train]
        assert run.problem.centre[i] == pytest.approx(np.nanmean(values)) and run.problem.width[i] == pytest.approx(np.nanstd(values))
    truth = run.problem.encode(samples)[0]
    assert np.allclose(run.problem.in_units(run.problem.standardised(truth).astype(float)), truth, rtol=1e-5, equal_nan=True)
    assert run.problem.standardised(truth).dtype == np.float32


def test_json_there_and_back_and_from_runs_of_one_target():
    for problem in (
        Problem("kind", "classification", ("a", "b")), Problem("z", "regression", (), (1.0,), (2.0,)), Problem("", "self_supervised"),
        Problem("a, b", "multi_regression", (), (0.0, 1.0), (1.0, 2.0), ("a", "b")), Problem("x, y", "multi_label", targets=("x", "y")),
    ):  # fmt: skip
        assert Problem.from_json(json.loads(json.dumps(problem.to_json()))) == problem
    old = {"target": "z", "task": "regression", "classes": [], "centre": 0.5, "width": 0.1}
    assert Problem.from_json(old) == Problem("z", "regression", (), (0.5,), (0.1,), ("z",))
    old = {"target": "label", "task": "classification", "classes": ["a", "b"], "centre": 0.0, "width": 1.0}
    assert Problem.from_json(old) == Problem("label", "classification", ("a", "b"))
    with pytest.raises(ValueError, match="2 targets, 1 centres"):
        Problem.from_json({"target": "a, b", "task": "multi_regression", "classes": [], "centre": [0.0], "width": [1.0], "targets": ["a", "b"]})
    with pytest.raises(InputError, match="no task 'clustering'"):
        Problem("a", "clustering")


def test_a_run_written_when_there_was_one_target_opens(samples, tmp_path):
    from tests.test_run import reseal

    run = quick(samples, "redshift")
    folder = run.save(tmp_path / "run")
    reseal(folder, lambda d: d.update(problem={"target": "redshift", "task": "regression", "classes": [], "centre": run.problem.centre[0], "width": run.problem.width[0]}))
    assert np.array_equal(af.Run.open(folder, device="cpu").outputs(samples)[0], run.outputs(samples)[0])


# ---- dealing out ----------------------------------------------------------------------------------------------------


def test_strata_of_labels_are_their_rarest_and_of_numbers_their_fifths():
    labels = Problem("a, b", "multi_label", targets=("a", "b"))
    truth = np.array([[1, 1], [1, 0], [1, np.nan], [0, 0], [np.nan, 1]])
    assert strata(labels, truth).tolist() == [1, 0, 0, -1, 1]
    values = np.random.default_rng(0).normal(size=1000)
    one = strata(Problem("z", "regression"), values)
    assert np.bincount(one).tolist() == pytest.approx([200] * 5, abs=2) and values[one == 0].max() < values[one == 4].min()
    both = strata(Problem("a, b", "multi_regression", targets=("a", "b")), np.stack([values, np.where(values > 0, np.nan, 1e6 * values)], 1))
    assert len(np.unique(both)) == 5 and np.corrcoef(both, values)[0, 1] > 0.8
    assert strata(Problem("", "self_supervised"), np.zeros(4)).tolist() == [0] * 4


def test_every_label_is_on_both_sides_of_the_validation(samples):
    problem = pose(samples, ["bright", "blue"], ["text"])
    parts = divide(samples, problem, ("table",), None, 0.2, 0)
    truth = problem.encode(samples)[0]
    for part in (parts.train, parts.validation):
        assert (np.nansum(truth[part], axis=0) > 0).all() and (np.nansum(truth[part] == 0, axis=0) > 0).all()


@pytest.mark.parametrize("target", ["label", ["bright", "blue"], ["h1", "h2"], "redshift"])
def test_balanced_draws_come_of_every_task(samples, target):
    recipe = af.Recipe("plain", "Table", {"table": af.Part("mlp")}, af.Part("concatenation"), width=16, schedule=af.Part.of("end_to_end", sampler="balanced"))
    assert af.train(recipe, samples, target, ["table"], epochs=1, progress=False, device="cpu").state == "finished"


# ---- faults ---------------------------------------------------------------------------------------------------------


def test_a_label_of_one_object_is_refused_in_words(samples):
    rare = column(samples, "rare", [i == 3 for i in range(N)])
    with pytest.raises(TrainingError, match=r"label 'rare' holds for 1 training sample\(s\) in 1 group\(s\); 2 are needed.*target=\['bright'\]"):
        quick(rare, ["bright", "rare"])
    always = column(samples, "always", [True] * N)
    with pytest.raises(TrainingError, match="label 'always' is denied for 0"):
        quick(always, ["bright", "always"])
    single = column(samples, "kind", ["odd" if i == 3 else "usual" for i in range(N)])
    with pytest.raises(TrainingError, match=r"class 'odd' of 'kind' has 1 training sample"):
        quick(single, "kind")


def test_a_class_absent_from_training_is_refused_in_words(samples):
    label = samples.column("label").data
    ids = samples.object_ids
    split = af.Split(tuple(map(str, ids[label != "star"])), (), tuple(map(str, ids[label == "star"])))
    with pytest.raises(TrainingError, match="class 'star' of 'label' has no sample in the training part"):
        quick(samples, "label", split=split)
    with pytest.raises(TrainingError, match="label 'bright' is denied for 0"):
        quick(samples, ["bright", "blue"], split=af.Split(tuple(map(str, ids[label != "galaxy"])), (), tuple(map(str, ids[label == "galaxy"]))))


@pytest.mark.parametrize("target", ["flat", ["h1", "flat"]])
def test_constant_numbers_are_refused_in_words(samples, target):
    flat = column(samples, "flat", [2.5] * N)
    with pytest.raises(TrainingError, match=r"'flat' is 2.5 in all .* there is nothing to learn"):
        quick(flat, target)


def test_a_target_without_any_training_value_is_refused_in_words(samples):
    problem = Problem("a, b", "multi_regression", targets=("a", "b"))
    with pytest.raises(TrainingError, match="'b' has no value in the training part"):
        scaled(problem, np.array([[1.0, np.nan], [2.0, np.nan]]))


@pytest.mark.parametrize("target", ["label", ["bright", "blue"], ["h1", "h2"], None])
def test_a_modality_that_nobody_has_is_refused_in_words(samples, target):
    none = samples.take(~samples.present("text"))
    with pytest.raises((InputError, TrainingError), match="text"):
        quick(none, target, ["text"])


# ---- what looks at runs of each task --------------------------------------------------------------------------------


def test_explanations_name_the_label_or_column_and_refuse_what_has_no_answer(samples):
    few = samples.take(np.arange(8))
    labels, numbers, none = quick(samples, ["bright", "blue"]), quick(samples, ["h1", "h2"]), quick(samples, None)
    found = af.explain.attribute(labels, few, "saliency", target="blue")
    assert found.target == ("blue",) * 8 and found.score_name == "log_odds"
    logits = torch.from_numpy(labels.outputs(few)[0]).logit()[:, 1].numpy()
    assert np.allclose(found.score, logits, atol=1e-4)
    assert set(af.explain.attribute(labels, few, "saliency").target) <= {"bright", "blue"}
    found = af.explain.attribute(numbers, few, "saliency", target="h2")
    assert np.allclose(found.score * numbers.problem.width[1] + numbers.problem.centre[1], numbers.outputs(few)[0][:, 1], atol=1e-2)
    with pytest.raises(InputError, match=r"predicts 2 numbers.*target='h1'"):
        af.explain.attribute(numbers, few, "saliency")
    with pytest.raises(InputError, match="without a target"):
        af.explain.attribute(none, few, "saliency")


def test_contributions_of_modalities_are_for_labels_and_columns_too(samples):
    few = samples.take(np.arange(20))
    labels, numbers = quick(samples, ["bright", "blue"]), quick(samples, ["h1", "h2"])
    found = af.explain.contributions(labels, few, target="bright", resamples=5)
    p = labels.outputs(few)[0][:, 0]
    assert np.allclose(found.base + found.shapley.sum(1), np.log(p / (1 - p)), atol=1e-4)
    assert np.allclose(found.base, 0)  # as likely as not: the objective balances each label
    found = af.explain.contributions(numbers, few, target="h1", resamples=5)
    assert np.allclose((found.base + found.shapley.sum(1)) * numbers.problem.width[0] + numbers.problem.centre[0], numbers.outputs(few)[0][:, 0], atol=1e-3)
    with pytest.raises(InputError, match="give a probability for each of bright, blue"):
        af.explain.contributions(labels, few, prior=[0.5])
