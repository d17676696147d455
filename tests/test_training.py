"""Training: it learns, it is deterministic, it leaves the caller's random state alone, and it says what is wrong."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, RunError, StorageError, TrainingError, UnknownNameError
from astrofuse_lab.recipes.catalogue import RECIPES
from astrofuse_lab.training.folds import folds
from astrofuse_lab.training.schedules import Schedule, make_schedule
from tests.conftest import make_toy_samples

RECIPE = "late_fusion"


def quick(samples, target="label", modalities=("table", "text"), **more):
    given = {"recipe": RECIPE, "epochs": 2, "progress": False, "device": "cpu", **more}
    return af.train(given.pop("recipe"), samples, target, modalities, **given)


def with_columns(samples, roles=None, **columns):
    table = samples._columns
    for name, values in columns.items():
        table = table.append_column(name, values if isinstance(values, pa.Array) else pa.array(values))
    named = {n: r for n, r in samples.roles.items() if n != "object_id"}
    return af.SampleSet(table, samples._data, {**named, **(roles or {})}, samples.units, samples.card)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True))


@pytest.mark.parametrize("recipe", ["late_fusion", "gated_fusion", "joint_attention", "decision_average"])
def test_every_starter_recipe_learns_the_toy_classes(recipe):
    samples = make_toy_samples(160, seed=3)
    split = samples.split(test=0.3, seed=1)
    run = af.train(recipe, samples, "label", split=split, epochs=25, progress=False, device="cpu")
    tested = {(r["part"], r["metric"]): r["value"] for r in run.metrics}
    assert tested["test", "balanced_accuracy"] > 0.75  # chance is 0.33
    assert run.history["train_loss"][-1] < run.history["train_loss"][0]


def test_regression_learns(toy_samples):
    run = quick(toy_samples, "redshift", ("image", "table", "text"), epochs=25)
    assert run.task == "regression" and run.classes == ()
    told = run.predict(toy_samples)
    error = np.asarray(told["prediction"]) - toy_samples.column("redshift").data
    assert np.sqrt(np.mean(error**2)) < 0.75 * toy_samples.column("redshift").data.std()
    assert (told["uncertainty"] > 0).all()


@pytest.mark.parametrize("recipe", [name for name, one in RECIPES.items() if one.fidelity == "own"])  # published networks read inputs of their own
@pytest.mark.parametrize("modality", ["image", "spectrum", "light_curve", "table", "text"])
def test_one_modality_works_with_every_recipe(toy_samples, modality, recipe):
    run = af.train(recipe, toy_samples, "label", [modality], epochs=1, progress=False, device="cpu")
    assert run.modalities == (modality,)
    told = run.predict(toy_samples)
    assert list(told["object_id"]) == list(toy_samples.object_ids)
    # who lacks the one modality gets no answer
    assert np.ma.getmaskarray(np.ma.asarray(told["prediction"])).tolist() == (~toy_samples.present(modality)).tolist()


def test_the_same_seed_gives_the_same_bits_and_another_does_not(toy_samples):
    a, b, c = quick(toy_samples, seed=4), quick(toy_samples, seed=4), quick(toy_samples, seed=5)
    assert same(a, b)
    assert not same(a, c)


def test_the_callers_random_state_is_left_alone(toy_samples):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    quick(toy_samples, on_epoch=lambda _: None)
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_validation_shares_no_group_with_training(toy_samples):
    split = toy_samples.split(test=0.25, seed=2)
    run = quick(toy_samples, split=split)
    group = dict(zip(toy_samples.object_ids.tolist(), toy_samples.column("host").data.tolist(), strict=True))
    parts = [{group[i] for i in side} for side in (run.split.train, run.split.validation, run.split.test)]
    assert all(parts)
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert set(run.split.train) | set(run.split.validation) == set(split.train)
    label = dict(zip(toy_samples.object_ids.tolist(), toy_samples.column("label").data.tolist(), strict=True))
    assert {label[i] for i in run.split.validation} == set(run.classes)


def test_scalings_are_fitted_on_the_training_part_only(toy_samples):
    split = toy_samples.split(test=0.4, seed=2)
    run = quick(toy_samples, modalities=["table"], split=split)
    values = toy_samples.column("mag_g").data
    train = toy_samples.positions(run.split.train)
    column = run.preparation.scalings["table"].layout[1].index("mag_g")
    assert run.preparation.scalings["table"].fitted["centre"][column] == pytest.approx(np.median(values[train]))
    assert np.median(values[train]) != np.median(values)


def test_the_given_validation_part_is_used(toy_samples):
    split = toy_samples.split(test=0.2, validation=0.2, seed=1)
    run = quick(toy_samples, split=split)
    assert run.split.validation == split.validation and run.split.train == split.train


def test_samples_without_a_target_are_left_out_and_counted(toy_samples):
    label = toy_samples.column("label").data.tolist()
    holed = with_columns(toy_samples, {"kind": "target"}, kind=pa.array([None if i < 7 else "  " if i == 7 else v for i, v in enumerate(label)]))
    run = quick(holed, "kind")
    assert run.record["left_out"] == {"no value of the target": 8}
    assert not set(holed.object_ids[:8]) & {*run.split.train, *run.split.validation}
    assert len(run.predict(holed)) == len(holed)  # they are predicted all the same


@pytest.mark.parametrize(("column", "classes"), [("is_star", (False, True)), ("count", (0, 1, 2)), ("label", ("galaxy", "quasar", "star"))])
def test_classes_keep_their_type(toy_samples, column, classes):
    samples = with_columns(toy_samples, {"count": "target"}, count=np.arange(60) % 3)
    run = quick(samples, column)
    assert run.classes == classes and [type(c) for c in run.classes] == [type(c) for c in classes]
    told = run.predict(samples)
    assert told.colnames == ["object_id", *(f"p_{c}" for c in classes), "prediction", "uncertainty"]
    assert told["prediction"].dtype == np.array(classes).dtype
    assert np.allclose(sum(told[f"p_{c}"] for c in classes), 1)
    assert (told["uncertainty"] >= 0).all() and (told["uncertainty"] <= 1 + 1e-9).all()


def test_class_weights_balance_the_loss():
    from astrofuse_lab.training.objectives import make_objective

    codes = np.array([0] * 90 + [1] * 10)
    objective = make_objective(af.Part("auto"), "classification", codes, 2)
    per_class = [float(objective.weights(torch.tensor([c])) * (codes == c).sum()) for c in (0, 1)]
    assert per_class[0] == pytest.approx(per_class[1])
    assert make_objective(af.Part.of("cross_entropy", class_weights="none"), "classification", codes, 2).class_weights is None


def test_streaming_from_disk_gives_the_same_batches(toy_samples, tmp_path):
    from astrofuse_lab.samples.preparation import Preparation
    from astrofuse_lab.training.feed import Feed

    stored = af.SampleSet.open(toy_samples.save(tmp_path / "set"))
    preparation = Preparation.fit(stored, tuple(stored.modalities))
    positions, indices = np.arange(3, 50), [np.array([0, 5, 9]), np.array([40, 2]), np.array([7])]
    kept, streamed = (Feed(preparation, stored, positions, torch.device("cpu"), memory=m) for m in (10**9, 0))
    assert kept.kept is not None and streamed.kept is None
    for a, b in zip(kept.batches(indices), streamed.batches(indices), strict=True):
        for name in a.values:
            assert torch.equal(a.values[name], b.values[name]) and torch.equal(a.masks[name], b.masks[name]), name


def test_turned_images_are_the_eight_symmetries():
    from astrofuse_lab.alignment.augmented_images import dihedral

    image = torch.arange(9.0).view(1, 1, 3, 3).expand(8, 1, 3, 3)
    got = {tuple(t.flatten().tolist()) for t in dihedral(image, torch.arange(8))}
    expected = {tuple(torch.rot90(one, k).flatten().tolist()) for k in range(4) for one in (image[0, 0], image[0, 0].T)}
    assert got == expected and len(got) == 8


def test_epoch_dropout_keeps_the_last_epoch_and_adds_none(toy_samples):
    from astrofuse_lab.alignment.augmentation import chosen
    from astrofuse_lab.samples.preparation import Preparation
    from astrofuse_lab.training.feed import Feed

    preparation = Preparation.fit(toy_samples, ("light_curve",))
    feed = Feed(preparation, toy_samples, np.arange(60), torch.device("cpu"), augment=chosen(["turn", ("epoch_dropout", {"share": 0.9})]))
    batch = feed.batch(np.flatnonzero(toy_samples.present("light_curve")))
    before = batch.masks["light_curve"]
    after = feed.varied(batch, [0]).masks["light_curve"]
    assert not (after & ~before).any() and after.sum() < 0.8 * before.sum()
    def last(mask):
        return [int(row.nonzero().max()) for row in mask]
    assert last(after) == last(before)


def test_history_reports_every_epoch_and_ends_early(toy_samples):
    seen = []
    recipe = af.Recipe.from_json({**_recipe_json(), "schedule": {"name": "end_to_end", "options": {"patience": 0.05, "learning_rate": 1e-9, "average": 0.0}}})
    run = quick(toy_samples, recipe=recipe, epochs=40, on_epoch=seen.append)
    assert len(seen) == len(run.history) < 40 and run.record["ended"] == "patience"
    assert set(seen[0]) >= {"epoch", "epochs", "train_loss", "validation_loss", "metric", "best", "seconds"}
    assert [s["epoch"] for s in seen] == list(range(1, len(seen) + 1))
    assert run.history["best"][0] and run.state == "finished"


def _recipe_json():
    from astrofuse_lab.recipes.catalogue import get_recipe

    return get_recipe(RECIPE).to_json()


def test_the_best_weights_are_kept_not_the_last(toy_samples):
    run = quick(toy_samples, epochs=30, modalities=["table"])
    best = int(np.argmin(run.history["validation_loss"]))
    assert run.record["best_epoch"] == run.history["epoch"][best]
    told = {(r["part"], r["metric"]): r["value"] for r in run.metrics}
    assert told["validation", "balanced_accuracy"] == pytest.approx(run.history["metric"][best])


def test_nan_loss_names_the_batch_and_keeps_the_checkpoint(toy_samples, tmp_path, monkeypatch):
    from astrofuse_lab.training import objectives

    calls = {"n": 0}

    kind = objectives.OBJECTIVES["cross_entropy"]

    def spoiled(smoothing=0.0):
        plain = kind.make(smoothing)

        def loss(prediction, target):
            calls["n"] += prediction.values.requires_grad  # steps, not looks at the validation part
            return plain(prediction, target) * (float("nan") if calls["n"] == 8 else 1.0)

        return loss

    monkeypatch.setitem(objectives.OBJECTIVES, "cross_entropy", kind._replace(make=spoiled))
    json = _recipe_json()
    json["schedule"]["options"] = {"batch_size": 16, "checkpoint_seconds": 0.0}
    with pytest.raises(TrainingError, match=r"epoch \d+, batch \d+ \(objects toy-") as error:
        quick(toy_samples, recipe=af.Recipe.from_json(json), epochs=5, out=tmp_path / "run")
    assert "learning_rate" in str(error.value)
    assert list((tmp_path / "run" / "checkpoints").glob("*.safetensors"))
    monkeypatch.undo()
    assert quick(toy_samples, recipe=af.Recipe.from_json(json), epochs=5, out=tmp_path / "run").state == "finished"


# ---- bad input ------------------------------------------------------------------------------------------------------


def test_bad_names(toy_samples):
    for error, match, more in (
        (InputError, "colour", {"target": "colours"}),
        (UnknownNameError, "late_fusion", {"recipe": "late_fushion"}),
        (InputError, "table", {"modalities": ["tables"]}),
        (InputError, "at most once", {"modalities": ["table", "table"]}),
        (InputError, "no modality", {"modalities": []}),
        (InputError, "no device", {"device": "gpux"}),
        (InputError, "CUDA", {"device": "cuda:99"}),
        (InputError, "epochs", {"epochs": 0}),
        (InputError, "seed", {"seed": -1}),
        (InputError, "is the id", {"target": "object_id"}),
        (InputError, "is an input", {"target": "colour"}),
    ):
        with pytest.raises(error, match=match):
            quick(toy_samples, **more)
    quick(toy_samples, "colour", ["text"])  # an input may be predicted from the others


def test_bad_classes(toy_samples):
    base = toy_samples.column("label").data.tolist()
    lonely = with_columns(toy_samples, kind=["only one" if i == 5 else v for i, v in enumerate(base)])
    with pytest.raises(TrainingError, match=r"'only one'.*1 training sample"):
        quick(lonely, "kind")
    with pytest.raises(TrainingError, match="one class 'star'"):
        quick(toy_samples.take(toy_samples.column("label").data == "star"))
    with pytest.raises(InputError, match="no value"):
        quick(with_columns(toy_samples, kind=pa.array([None] * 60, pa.string())), "kind")
    ids, label = toy_samples.object_ids, toy_samples.column("label").data
    absent = af.Split(tuple(ids[label == "star"][:6]) + tuple(ids[label == "quasar"][:6]), (), tuple(ids[label == "galaxy"][:6]))
    with pytest.raises(TrainingError, match="'galaxy' of 'label' has no sample in the training part"):
        quick(toy_samples, split=absent)


def test_nothing_to_train_on(toy_samples):
    with pytest.raises(InputError, match="empty"):
        quick(toy_samples.take([]))
    with pytest.raises(InputError, match="not in this set"):
        quick(toy_samples, split=af.Split(("nobody",), ()))
    with pytest.raises(InputError, match=r"split=tuple: samples\.split"):
        quick(toy_samples, split=(list(toy_samples.object_ids[:50]), []))
    none = toy_samples.take(~toy_samples.present("spectrum"))
    with pytest.raises((InputError, TrainingError), match="spectrum"):
        quick(none, modalities=["spectrum"])


def test_a_modality_of_nothing_but_nan_is_refused(toy_samples):
    from dataclasses import replace

    spectrum = toy_samples._data["spectrum"]
    hollow = replace(spectrum, fields={**spectrum.fields, "flux": np.full_like(spectrum.fields["flux"], np.nan)})
    roles = {n: r for n, r in toy_samples.roles.items() if n != "object_id"}
    samples = af.SampleSet(toy_samples._columns, {**toy_samples._data, "spectrum": hollow}, roles, {}, toy_samples.card)
    with pytest.raises(InputError, match=r"'spectrum'.*modalities=\['table'\]"):
        quick(samples, modalities=["table", "spectrum"])


def test_schedules_refuse_what_they_do_not_know():
    with pytest.raises(UnknownNameError, match="learning_rate"):
        make_schedule(af.Part.of("end_to_end", learning_rat=1e-3))
    with pytest.raises(InputError, match="batch_size"):
        make_schedule(af.Part.of("end_to_end", batch_size=0))
    schedule = Schedule(warmup=0.1)
    rates = [schedule.rate(step, 100) for step in range(100)]
    assert max(rates) == pytest.approx(schedule.learning_rate, rel=0.01) and 8 <= int(np.argmax(rates)) <= 10
    assert rates[-1] < 0.02 * schedule.learning_rate


def test_out_of_another_training_says_what_differs(toy_samples, tmp_path):
    quick(toy_samples, out=tmp_path / "run")
    with pytest.raises(RunError, match=r"seed \(0 there, 1 now\)"):
        quick(toy_samples, out=tmp_path / "run", seed=1)
    with pytest.raises(RunError, match="modalities"):
        quick(toy_samples, out=tmp_path / "run", modalities=["text"])
    with pytest.raises(StorageError, match="overwrite=True"):
        quick(toy_samples, out=tmp_path / "run", resume=False)
    assert quick(toy_samples, out=tmp_path / "run", seed=1, overwrite=True).seed == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(StorageError, match="holds no run"):
            quick(toy_samples, out=tmp_path / "mine", overwrite=overwrite)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"


def test_nothing_is_written_without_out(toy_samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick(toy_samples)
    assert not list(tmp_path.iterdir())


def test_a_set_stop_ends_at_once(toy_samples):
    stop = threading.Event()
    stop.set()
    run = quick(toy_samples, stop=stop)
    assert run.state == "stopped" and len(run.history) == 0
    assert len(run.predict(toy_samples)) == len(toy_samples)


def test_folds_test_every_group_once(toy_samples):
    codes = np.arange(60) % 3
    made = folds(toy_samples, 4, strata=codes)
    tested = [i for split in made for i in split.test]
    assert sorted(tested) == sorted(toy_samples.object_ids)
    group = dict(zip(toy_samples.object_ids.tolist(), toy_samples.column("host").data.tolist(), strict=True))
    for split in made:
        assert not {group[i] for i in split.train} & {group[i] for i in split.test}
        assert len(split.train) + len(split.test) == 60
    with pytest.raises(InputError, match="folds=1"):
        folds(toy_samples, 1)


def test_lists_name_what_there_is():
    recipes, parts = af.list_recipes(), af.list_parts()
    assert {"late_fusion", "joint_attention"} <= set(recipes["name"])
    roles = {"adapter", "augmentation", "encoder", "fusion", "decision", "head", "objective", "representation", "schedule", "self-supervised objective", "stack"}
    assert roles == set(parts["role"])
    assert all(len(str(what)) > 10 for what in parts["what"])


TWO = """
import sys
sys.path.insert(0, sys.argv[2])
from tests.test_training import exact
exact(sys.argv[1])
"""


def exact(out):
    """A training without anything random but its order, so that one process and two take the same steps."""
    plain = {"table": af.Part.of("mlp", dropout=0.0), "text": af.Part.of("ngram_mlp", dropout=0.0)}
    parts = {"encoders": plain, "fusion": af.Part.of("concatenation", dropout=0.0), "head": af.Part.of("auto", dropout=0.0)}
    recipe = af.Recipe("exact", "Nothing random", schedule=af.Part.of("end_to_end", batch_size=16, learning_rate=1e-3), **parts)
    return quick(make_toy_samples(), recipe=recipe, out=out)


@pytest.mark.full  # test_distributed has the same by torchrun
def test_two_processes_train_what_one_does(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(TWO)
    command = [str(Path(sys.executable).parent / "fabric"), "run", "--accelerator=cpu", "--devices=2", "--strategy=ddp", str(script)]
    done = subprocess.run([*command, str(tmp_path / "two"), str(Path(__file__).parents[1])], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = exact(tmp_path / "one"), af.Run.open(tmp_path / "two", device="cpu")
    assert two.record["processes"] == 2
    for a, b in zip(one.model.state_dict().values(), two.model.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert np.allclose(one.history["train_loss"], two.history["train_loss"], atol=1e-4)
