"""How sure a run is: passes with dropout, ensembles, and what `predict` says of both, of calibration, coverage and shift."""

import json

import numpy as np
import pytest
import torch
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.models.attention import FeatureDropout
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training.uncertainty import dropping, entropies, shares_of, speak, split_entropy, split_variance


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(120, seed=3)


@pytest.fixture(scope="module")
def split(samples):
    return samples.split(test=0.25, validation=0.25, seed=1)


def trained(samples, split, target="label", recipe="late_fusion", epochs=6, modalities=("table", "text"), **more):
    recipe = get_recipe(recipe).change(width=16)
    return af.train(more.pop("change", lambda r: r)(recipe), samples, target, list(modalities), split, epochs=epochs, progress=False, device="cpu", **more)


@pytest.fixture(scope="module")
def classifier(samples, split):
    return trained(samples, split)


@pytest.fixture(scope="module")
def regressor(samples, split):
    return trained(samples, split, "redshift", change=lambda r: r.change(head=Part("quantiles")))


@pytest.fixture(scope="module")
def ensemble(samples, split):
    whole = af.Split((*split.train, *split.validation), split.test, (), split.by, split.group, split.seed)
    recipe = get_recipe("late_fusion").change(width=16)
    return af.train_ensemble(recipe, samples, "label", seeds=[3, 4, 5], modalities=["table", "text"], split=whole, epochs=4, progress=False, device="cpu")


@pytest.fixture(scope="module")
def test_part(samples, split):
    return samples.select(split.test)


# ---- parts of the doubt ---------------------------------------------------------------------------------------------


def test_doubt_splits_into_the_data_s_and_the_model_s():
    agree = np.array([[[0.5, 0.5]], [[0.5, 0.5]]])
    against = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert [float(one[0]) for one in split_entropy("classification", agree)] == pytest.approx([1.0, 0.0])
    assert [float(one[0]) for one in split_entropy("classification", against)] == pytest.approx([0.0, 1.0])
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), size=(7, 50))
    data, model = split_entropy("classification", shares)
    assert np.allclose(data + model, entropies("classification", shares.mean(0)))
    # mutual information as the mean divergence of members from their mean
    divergence = (shares * np.log(shares / shares.mean(0))).sum(-1).mean(0) / np.log(4)
    assert np.allclose(model, divergence)


def test_labels_doubt_one_by_one():
    shares = np.array([[[0.5, 1.0, 0.0, 0.5]]])
    assert float(entropies("multi_label", shares)[0, 0]) == pytest.approx(0.5)


def test_variance_splits_by_the_law_of_total_variance():
    rng = np.random.default_rng(0)
    means, widths = rng.normal(size=(6, 1, 1)), rng.uniform(0.5, 2, (6, 1, 1))
    draws = means + widths * rng.normal(size=(6, 400000, 1))
    data, model = split_variance(means, widths**2)
    assert float(data[0, 0] + model[0, 0]) == pytest.approx(draws.var(), rel=0.01)


# ---- passes with dropout --------------------------------------------------------------------------------------------


def test_passes_are_repeatable_and_leave_the_callers_random_state_and_model_alone(classifier, test_part):
    torch.manual_seed(11)
    np.random.seed(5)  # noqa: NPY002
    expected, state = torch.rand(3), np.random.get_state()[1].copy()  # noqa: NPY002
    torch.manual_seed(11)
    first = speak(classifier, test_part, passes=4, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert not any(module.training for module in classifier.model.modules())
    assert np.array_equal(first.values, speak(classifier, test_part, passes=4, seed=1).values)
    assert not np.array_equal(first.values, speak(classifier, test_part, passes=4, seed=2).values)
    assert first.values.shape == (4, len(test_part), 3)
    assert all(not np.array_equal(first.values[0], one) for one in first.values[1:])


def test_without_passes_it_says_what_the_run_says(classifier, regressor, test_part):
    spoken = speak(classifier, test_part)
    predicted, seen = classifier.outputs(test_part)
    assert np.allclose(shares_of("classification", spoken.values[0]), predicted) and np.array_equal(spoken.seen, seen)
    spoken = speak(regressor, test_part)
    assert np.allclose(spoken.values[0, :, 0], regressor.outputs(test_part)[0])
    assert np.allclose(np.sqrt(spoken.variance[0, :, 0]), regressor.distribution(test_part).std)


def test_only_what_draws_is_switched_on():
    from model_cases import made, recipe_of

    model = made(recipe_of(("mlp", "ngram_mlp"), "concatenation", modality_dropout=0.5), "classification")
    twin = dropping(model)
    on = {type(module) for module in twin.modules() if module.training}
    assert on and on <= {torch.nn.Dropout, FeatureDropout}
    assert not twin.training and not any(module.training for module in model.modules())


def test_a_model_that_draws_nothing_is_refused(samples, split, test_part):
    still = trained(samples, split, epochs=1, modalities=("table",), change=lambda r: r.change(
        encoders={"table": Part.of("mlp", dropout=0.0)}, fusion=Part.of("concatenation", dropout=0.0), head=Part.of("auto", dropout=0.0)))  # fmt: skip
    with pytest.raises(InputError, match=r"no dropout.*af\.Ensemble"):
        still.predict(test_part, mc=5)
    for wrong in (-1, 2.5, True):
        with pytest.raises(InputError, match="mc="):
            still.predict(test_part, mc=wrong)


def test_layers_whose_weights_are_distributions_draw_in_each_pass(samples, split, test_part):
    from astrofuse_lab.models.parts import ENCODERS

    name = next((name for name in ENCODERS if "bayes" in name), None)
    if name is None:
        pytest.skip("no Bayesian encoder")
    bayesian = trained(samples, split, epochs=2, modalities=("table",), change=lambda r: r.change(
        encoders={"table": Part(name)}, fusion=Part.of("concatenation", dropout=0.0), head=Part.of("auto", dropout=0.0)))  # fmt: skip
    told = bayesian.predict(test_part, mc=4)
    assert (np.asarray(told["model_uncertainty"]) > 0).all()


def test_passes_say_more_where_the_mean_is_what_they_say_on_average(classifier, test_part):
    told = classifier.predict(test_part, mc=8, seed=3)
    shares = shares_of("classification", speak(classifier, test_part, None, 8, 3).values)
    assert np.allclose(np.stack([told[f"p_{c}"] for c in classifier.classes], 1), shares.mean(0))
    assert np.allclose(told["uncertainty"], np.asarray(told["data_uncertainty"]) + told["model_uncertainty"])
    assert (np.asarray(told["model_uncertainty"]) > 0).all()


# ---- predict --------------------------------------------------------------------------------------------------------


def test_plain_predictions_are_as_they_were(classifier, regressor, test_part):
    told = classifier.predict(test_part)
    assert told.colnames == ["object_id", *(f"p_{c}" for c in classifier.classes), "prediction", "uncertainty"]
    assert regressor.predict(test_part).colnames == ["object_id", "prediction", "uncertainty"]
    assert np.allclose(regressor.predict(test_part)["uncertainty"], regressor.distribution(test_part).std)


def test_calibrated_probabilities_are_those_of_the_record(classifier, test_part):
    plain, numbers = classifier.predict(test_part), classifier.record["calibration"]
    assert json.loads(json.dumps(numbers)) == numbers
    assert numbers["n"] == len(classifier.split.validation)
    raw = np.log(np.stack([plain[f"p_{c}"] for c in classifier.classes], 1)) / numbers["temperature"]
    expected = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    warm, named = classifier.predict(test_part, calibrated=True), classifier.predict(test_part, calibrated="temperature")
    for i, c in enumerate(classifier.classes):
        assert np.allclose(warm[f"p_{c}"], expected[:, i]) and np.array_equal(warm[f"p_{c}"], named[f"p_{c}"])
    assert list(warm["prediction"]) == list(plain["prediction"])
    stepped = classifier.predict(test_part, calibrated="isotonic")
    assert np.allclose(sum(stepped[f"p_{c}"] for c in classifier.classes), 1)
    with pytest.raises(InputError, match="'temperature' or 'isotonic'"):
        classifier.predict(test_part, calibrated="platt")


def test_sets_are_larger_for_more_coverage_and_hold_the_most_probable_class(classifier, test_part):
    sets = {coverage: [set(text.split(" | ")) for text in classifier.predict(test_part, coverage=coverage)["conformal_set"]] for coverage in (0.6, 0.9)}
    best = classifier.predict(test_part)["prediction"]
    assert all(a <= b for a, b in zip(*sets.values(), strict=True))
    assert all(one in some for one, some in zip(best, sets[0.6], strict=True))
    more = classifier.predict(test_part, coverage=0.999)
    assert set(more["conformal_set"]) == {" | ".join(classifier.classes)}, "thirty samples cannot promise so much"
    assert np.mean([len(one) for one in sets[0.9]]) < 3
    assert list(classifier.predict(test_part, coverage=0.9, mc=3, calibrated=True)["conformal_set"]) == list(classifier.predict(test_part, coverage=0.9)["conformal_set"])


def test_intervals_of_numbers(regressor, samples, split, test_part):
    told, narrow = regressor.predict(test_part, coverage=0.9), regressor.predict(test_part, coverage=0.5)
    assert (told["low"] < told["high"]).all() and np.mean(told["high"] - told["low"]) > np.mean(narrow["high"] - narrow["low"])
    truth = test_part.column("redshift").data
    assert ((truth >= told["low"]) & (truth <= told["high"])).mean() > 0.75
    plain = trained(samples, split, "redshift", epochs=2)
    said = plain.predict(test_part, coverage=0.9)
    assert np.ptp(said["high"] - said["low"]) < 1e-9, "as wide for all, where the head says no width"
    assert np.allclose((said["high"] + said["low"]) / 2, said["prediction"])
    with pytest.raises(InputError, match=r"coverage=0\.9 gives intervals"):
        plain.predict(test_part, calibrated=True)


def test_widths_are_calibrated_where_the_head_gives_them(regressor, test_part):
    told, plain = regressor.predict(test_part, calibrated=True), regressor.predict(test_part)
    assert np.allclose(told["uncertainty"], plain["uncertainty"] * regressor.record["calibration"]["scale"])
    passes = regressor.predict(test_part, mc=4)
    assert np.allclose(passes["uncertainty"] ** 2, passes["data_uncertainty"] ** 2 + passes["model_uncertainty"] ** 2)


def test_samples_unlike_the_training_part_stand_out(classifier, samples, test_part):
    told = classifier.predict(test_part, ood=True)
    assert {"ood_score", "ood_share", "ood_energy"} <= set(told.colnames)
    train = classifier.predict(samples.select(classifier.split.train), ood=True)
    assert np.median(train["ood_share"]) > 0.3
    values = classifier.forward(test_part).values.double().cpu().numpy()
    assert np.allclose(told["ood_energy"], -np.log(np.exp(values).sum(1)), atol=1e-5)
    # colours ten times as wide as any that were seen
    import pyarrow as pa

    table = test_part._columns
    for name in ("mag_g", "colour"):
        column = table.column(name).to_numpy()
        table = table.set_column(table.column_names.index(name), name, pa.array(column.mean() + 10 * (column - column.mean() + 1), pa.float64()))
    roles = {n: r for n, r in test_part.roles.items() if n != "object_id"}
    far = classifier.predict(af.SampleSet(table, test_part._data, roles, test_part.units, test_part.card), ood=True)
    assert np.median(far["ood_score"]) > np.median(told["ood_score"])
    assert np.median(far["ood_share"]) < np.median(told["ood_share"])


def test_several_targets_and_labels(samples, split, test_part):
    import pyarrow as pa

    table = samples._columns.append_column("double", pa.array(2 * samples.column("redshift").data + 1))
    roles = {**{n: r for n, r in samples.roles.items() if n != "object_id"}, "double": "target"}
    more = af.SampleSet(table, samples._data, roles, samples.units, samples.card)
    run = trained(more, split, ["redshift", "double"], epochs=2)
    told = run.predict(more.select(split.test), mc=3, coverage=0.8)
    for name in ("redshift", "double"):
        assert (told[f"low_{name}"] < told[f"prediction_{name}"] + 1).all() and (told[f"model_uncertainty_{name}"] >= 0).all()
    assert run.predict(more).colnames == ["object_id", "prediction_redshift", "prediction_double"]


def test_samples_without_anything_are_masked(samples, split):
    run = trained(samples, split, modalities=("spectrum",), epochs=1)
    told = run.predict(samples, mc=2, calibrated=True, coverage=0.9, ood=True)
    missing = ~samples.present("spectrum")
    assert missing.any()
    for name in told.colnames[1:]:
        assert np.array_equal(np.ma.getmaskarray(told[name]), missing), name


def test_nothing_to_say_of_no_samples(classifier, samples):
    told = classifier.predict(samples.take([]), mc=2, calibrated=True, coverage=0.9, ood=True)
    assert len(told) == 0 and "conformal_set" in told.colnames


# ---- folders --------------------------------------------------------------------------------------------------------

ALL = {"mc": 3, "calibrated": "isotonic", "coverage": 0.8, "conformal": "aps", "ood": True, "seed": 4}


def equal(a, b):
    assert a.colnames == b.colnames
    for name in a.colnames:
        assert np.ma.allequal(np.ma.asarray(a[name]), np.ma.asarray(b[name])), name


def test_a_run_says_the_same_when_it_is_opened_again(classifier, regressor, test_part, tmp_path):
    equal(af.Run.open(classifier.save(tmp_path / "a"), "cpu").predict(test_part, **ALL), classifier.predict(test_part, **ALL))
    asked = {"mc": 3, "calibrated": True, "coverage": 0.8, "ood": True}
    equal(af.Run.open(regressor.save(tmp_path / "b"), "cpu").predict(test_part, **asked), regressor.predict(test_part, **asked))


def test_a_folder_of_before_opens_and_says_what_it_lacks(classifier, test_part, tmp_path):
    from astrofuse_lab.training.run_folder import _own_digest

    folder = classifier.save(tmp_path / "run")
    (folder / "calibration.safetensors").unlink()
    data = json.loads((folder / "run.json").read_text())
    del data["files"]["calibration.safetensors"], data["record"]["calibration"], data["sha256"]
    (folder / "run.json").write_text(json.dumps({**data, "sha256": _own_digest(data)}))
    old = af.Run.open(folder, "cpu")
    equal(old.predict(test_part, mc=2), classifier.predict(test_part, mc=2))
    for asked in ({"calibrated": True}, {"coverage": 0.9}, {"ood": True}):
        with pytest.raises(InputError, match=r"nothing was held out.*earlier version"):
            old.predict(test_part, **asked)
    again = af.Run.open(old.save(tmp_path / "again"), "cpu")
    assert again.held is None


@pytest.mark.parametrize("harm", ["bit", "missing", "unfit"])
def test_a_spoiled_calibration_is_refused(harm, classifier, tmp_path):
    from safetensors.torch import load_file, save_file

    from astrofuse_lab.training.run_folder import _own_digest, digest

    folder = classifier.save(tmp_path / "run")
    file = folder / "calibration.safetensors"
    if harm == "bit":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(bytes(content))
    elif harm == "missing":
        file.unlink()
    else:
        tensors = load_file(file)
        save_file({**tensors, "truth": tensors["truth"][:-1].clone()}, file)
        data = json.loads((folder / "run.json").read_text())
        del data["sha256"]
        data["files"][file.name] = {"bytes": file.stat().st_size, "sha256": digest(file.read_bytes())}
        (folder / "run.json").write_text(json.dumps({**data, "sha256": _own_digest(data)}))
    with pytest.raises(RunError, match=r"calibration"):
        af.Run.open(folder, "cpu")


def test_what_is_held_is_what_the_run_says_of_its_validation_part(classifier, samples):
    validation = samples.select(classifier.split.validation)
    predicted, _ = classifier.outputs(validation)
    assert np.allclose(shares_of("classification", classifier.held.values), predicted, atol=1e-6)
    assert classifier.held.truth.tolist() == [classifier.classes.index(one) for one in validation.column("label").data]


def test_a_run_may_be_calibrated_on_other_samples(samples, split, test_part, tmp_path):
    run = trained(samples, split, epochs=2)
    before = dict(run.record["calibration"])
    assert run.calibrate(test_part) is run
    assert run.record["calibration"]["n"] == len(test_part) == len(run.held.values) == len(run.held.distances)
    assert run.record["calibration"] != before
    predicted, _ = run.outputs(test_part)
    assert np.allclose(shares_of("classification", run.held.values), predicted, atol=1e-6)
    told = run.predict(test_part, coverage=0.8, ood=True)
    inside = [one in text.split(" | ") for one, text in zip(test_part.column("label").data, told["conformal_set"], strict=True)]
    assert np.mean(inside) >= 0.8, "of the samples it was calibrated on, exactly"
    equal(af.Run.open(run.save(tmp_path / "run"), "cpu").predict(test_part, **ALL), run.predict(test_part, **ALL))
    with pytest.raises(InputError, match=r"of these \d+ samples were trained on"):
        run.calibrate(samples)
    nameless = test_part.take(np.zeros(0, dtype=int))
    with pytest.raises(InputError, match="none of these 0 samples"):
        run.calibrate(nameless)


# ---- ensembles ------------------------------------------------------------------------------------------------------


def test_an_ensemble_is_the_mean_of_its_runs(ensemble, test_part):
    each = np.stack([run.outputs(test_part)[0] for run in ensemble])
    predicted, seen = ensemble.outputs(test_part)
    assert np.allclose(predicted, each.mean(0)) and seen.all()
    told = ensemble.predict(test_part)
    assert np.allclose(np.stack([told[f"p_{c}"] for c in ensemble.classes], 1), predicted)
    data, model = split_entropy("classification", each)
    assert np.allclose(told["data_uncertainty"], data) and np.allclose(told["model_uncertainty"], model)
    assert (ensemble.target, ensemble.task, ensemble.modalities, len(ensemble)) == ("label", "classification", ("table", "text"), 3)


def test_members_share_their_validation_part_and_calibration_is_of_all_together(ensemble, samples, split, test_part):
    from astrofuse_lab.training.uncertainty_calibration import fit_temperature

    assert len({run.split.validation for run in ensemble}) == 1
    assert len({run.seed for run in ensemble}) == 3
    assert {run.split.test for run in ensemble} == {split.test}
    validation = samples.select(ensemble.split.validation)
    together = np.log(ensemble.outputs(validation)[0])
    truth = np.array([ensemble.classes.index(one) for one in validation.column("label").data])
    assert ensemble.held.numbers["temperature"] == pytest.approx(fit_temperature("classification", together, truth), rel=1e-4)
    told = ensemble.predict(test_part, calibrated=True, coverage=0.9, ood=True, mc=2)
    assert {"conformal_set", "ood_score", "ood_share", "model_uncertainty"} <= set(told.colnames)


def test_an_ensemble_comes_back_from_its_folders(ensemble, test_part, tmp_path):
    again = af.Ensemble.open(ensemble.save(tmp_path / "all"), "cpu")
    equal(again.predict(test_part, calibrated=True, coverage=0.9, ood=True), ensemble.predict(test_part, calibrated=True, coverage=0.9, ood=True))
    with pytest.raises(RunError, match="holds 0 run folder"):
        af.Ensemble.open(tmp_path / "none")


def test_numbers_of_an_ensemble_have_a_width_of_both_kinds(samples, split, test_part):
    several = af.train_ensemble(get_recipe("late_fusion").change(width=16), samples, "redshift", seeds=[0, 1], modalities=["table"], split=split, epochs=2, progress=False, device="cpu")
    told = several.predict(test_part, coverage=0.9, calibrated=True)
    assert (told["model_uncertainty"] > 0).all() and (told["high"] > told["low"]).all()
    each = np.stack([run.outputs(test_part)[0] for run in several])
    assert np.allclose(told["prediction"], each.mean(0))
    scale = several.held.numbers["scale"]
    assert np.allclose(told["model_uncertainty"], each.std(0) * scale)


def test_a_run_without_its_modality_takes_no_part(samples, split):
    runs = [trained(samples, split, epochs=1, modalities=(name,)) for name in ("spectrum", "table")]
    both = af.Ensemble(runs)
    missing = ~samples.present("spectrum")
    told, alone = both.predict(samples), runs[1].predict(samples)
    for c in both.classes:
        assert np.allclose(told[f"p_{c}"][missing], alone[f"p_{c}"][missing])
    assert np.allclose(told["model_uncertainty"][missing], 0, atol=1e-9) and (told["model_uncertainty"][~missing] > 0).all()
    assert np.allclose(both.outputs(samples)[0], np.stack([told[f"p_{c}"] for c in both.classes], 1))
    assert both.modalities == ("spectrum", "table")


@pytest.mark.parametrize("decision", [None, Part.of("average", with_fused=True)])
def test_the_table_says_for_whom_a_stand_in_was_made(decision, samples, split):
    run = trained(samples, split, "redshift" if decision is None else "label", epochs=1, modalities=("table", "spectrum"), change=lambda r: r.change(
        fusion=Part("generated"), decision=decision))  # fmt: skip
    told = run.predict(samples)
    missing = ~samples.present("spectrum") & samples.present("table")
    assert missing.any() and not missing.all()
    assert np.array_equal(np.asarray(told["generated_spectrum"]), missing)
    assert "generated_spectrum" in af.Ensemble([run, run]).predict(samples).colnames


def test_evidence_is_told(samples, split, test_part):
    run = trained(samples, split, recipe="decision_average", epochs=2, change=lambda r: r.change(decision=Part("evidential")))
    told = run.predict(test_part, calibrated=True)
    assert np.allclose(told["ignorance"], run.extras(test_part)["ignorance"], atol=1e-6)
    assert (told["ignorance"] > 0).all() and (told["ignorance"] < 1).all() and (told["conflict"] >= 0).all()


def test_runs_that_do_not_belong_together_are_refused(classifier, regressor, samples, split, test_part):
    with pytest.raises(InputError, match="two runs or more, not 1"):
        af.Ensemble([classifier])
    with pytest.raises(InputError, match="targets are"):
        af.Ensemble([classifier, regressor])
    with pytest.raises(InputError, match=r"seeds=\[1, 1\]"):
        af.train_ensemble("late_fusion", samples, "label", seeds=[1, 1])
    whole = af.Split((*split.train, *split.validation), split.test, (), split.by, split.group, split.seed)
    other = af.Ensemble([trained(samples, whole, epochs=1, seed=seed) for seed in (1, 2)])
    assert len(other.predict(test_part)) == len(test_part)
    with pytest.raises(InputError, match=r"validated on different samples.*train_ensemble"):
        other.predict(test_part, coverage=0.9)
