"""Run folders: what goes in comes out, in another process too, and whatever is wrong with one is said."""

import json
import subprocess
import sys

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import RunError, StorageError
from tests.conftest import make_toy_samples

RECIPES = ("joint_attention", "decision_average")


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples()


@pytest.fixture(scope="module")
def run(samples):
    return af.train("joint_attention", samples, "label", split=samples.split(test=0.25), epochs=3, progress=False, device="cpu")


def equal(a, b):
    assert a.colnames == b.colnames
    for name in a.colnames:
        assert np.array_equal(np.asarray(a[name]), np.asarray(b[name])), name


@pytest.mark.parametrize(("target", "recipe"), [("label", "joint_attention"), ("is_star", "late_fusion"), ("redshift", "decision_average")])
def test_a_saved_run_is_the_same_run(samples, tmp_path, target, recipe):
    run = af.train(recipe, samples, target, epochs=2, progress=False, device="cpu")
    opened = af.Run.open(run.save(tmp_path / "run"), device="cpu")
    equal(run.predict(samples), opened.predict(samples))
    equal(run.history, opened.history)
    for name in ("target", "task", "classes", "modalities", "split", "state", "seed", "seconds", "parameters", "simulated", "recipe"):
        assert getattr(run, name) == getattr(opened, name), name
    assert [type(c) for c in opened.classes] == [type(c) for c in run.classes]
    assert run.metrics.colnames == ["part", "metric", "value", "low", "high", "n"] and len(run.metrics) == len(opened.metrics)
    assert opened.path == (tmp_path / "run").resolve()


def test_another_process_predicts_the_same(run, samples, tmp_path):
    run.save(tmp_path / "run")
    samples.save(tmp_path / "samples")
    code = (
        "import sys, numpy as np, astrofuse_lab as af\n"
        "told = af.Run.open(sys.argv[1], device='cpu').predict(af.SampleSet.open(sys.argv[2]))\n"
        "np.save(sys.argv[3], np.stack([told[f'p_{c}'] for c in ('galaxy', 'quasar', 'star')]))\n"
    )
    subprocess.run([sys.executable, "-c", code, *(str(tmp_path / n) for n in ("run", "samples", "p.npy"))], check=True)
    here = run.predict(af.SampleSet.open(tmp_path / "samples"))
    assert np.array_equal(np.load(tmp_path / "p.npy"), np.stack([here[f"p_{c}"] for c in run.classes]))


def test_the_folder_is_plain_files(run, tmp_path):
    folder = run.save(tmp_path / "run")
    assert sorted(f.name for f in folder.iterdir()) == ["calibration.safetensors", "card.md", "history.json", "run.json", "split.json", "weights.safetensors"]
    data = json.loads((folder / "run.json").read_text())
    assert data["problem"]["classes"] == ["galaxy", "quasar", "star"]
    record = data["record"]
    assert record["samples"]["card"]["name"] == "toy" and record["versions"]["torch"] and record["peak_memory"] > 1e6
    assert record["seconds"] > 0 and record["parameters"] == run.parameters
    assert len(json.loads((folder / "history.json").read_text())) == 3
    assert set(json.loads((folder / "split.json").read_text())["test"]) == set(run.split.test)


def test_predictions_follow_the_order_of_the_samples(run, samples):
    shuffled = samples.take(np.random.default_rng(0).permutation(len(samples)))
    told, moved = run.predict(samples), run.predict(shuffled)
    assert moved["object_id"].tolist() == shuffled.object_ids.tolist()
    at = {i: row for row, i in enumerate(told["object_id"])}
    assert np.allclose(moved["p_star"], [told["p_star"][at[i]] for i in moved["object_id"]], atol=1e-6)


def test_uncertainty_is_the_normalised_entropy(run, samples):
    from scipy.stats import entropy

    told = run.predict(samples)
    p = np.stack([told[f"p_{c}"] for c in run.classes], axis=1)
    assert np.allclose(told["uncertainty"], entropy(p, axis=1) / np.log(3))


def test_a_sample_without_any_modality_is_masked(samples):
    run = af.train("late_fusion", samples, "label", ["text"], epochs=1, progress=False)
    told = run.predict(samples)
    assert np.array_equal(told["prediction"].mask, ~samples.present("text"))
    assert np.array_equal(told["p_star"].mask, ~samples.present("text"))


def test_forward_and_predict_agree(run, samples):
    import torch

    prediction = run.forward(samples, [3, 5, 8], attention=True)
    assert torch.allclose(prediction.values.softmax(1).double(), torch.tensor(np.stack([run.predict(samples)[f"p_{c}"][[3, 5, 8]] for c in run.classes], axis=1)), atol=1e-5)
    assert not prediction.values.requires_grad and prediction.fused.attention
    assert len(run.batch(samples, [1, 2])) == 2


def test_no_samples_no_predictions(run, samples):
    told = run.predict(samples.take([]))
    assert len(told) == 0 and told.colnames[0] == "object_id"


def test_samples_of_another_schema_are_refused(run, samples):
    without = af.SampleSet(samples._columns, {k: v for k, v in samples._data.items() if k != "image"}, {}, {}, samples.card)
    with pytest.raises(RunError, match="'image'"):
        run.predict(without)
    with pytest.raises(RunError, match="another layout"):
        roles = {n: r for n, r in samples.roles.items() if n not in ("object_id", "colour")}
        run.predict(af.SampleSet(samples._columns, samples._data, roles, {}, samples.card))


def test_saving_over_something_needs_a_word(run, tmp_path):
    run.save(tmp_path / "run")
    other = af.Run.open(tmp_path / "run")
    other.path = None
    with pytest.raises(StorageError, match="overwrite=True"):
        other.save(tmp_path / "run")
    other.save(tmp_path / "run", overwrite=True)


@pytest.mark.parametrize("name", ["weights.safetensors", "split.json", "history.json", "run.json"])
@pytest.mark.parametrize("how", ["missing", "cut", "altered"])
def test_damage_is_seen(run, tmp_path, name, how):
    folder = run.save(tmp_path / "run")
    file = folder / name
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        at = content.rindex(b"1") if name.endswith("json") else len(content) // 2
        file.write_bytes(content[:at] + (b"2" if name.endswith("json") else bytes([content[at] ^ 1])) + content[at + 1 :])
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        af.Run.open(folder)


def reseal(folder, change):
    """Alter run.json as someone would who knows the format: with its checksums made right."""
    from astrofuse_lab.training.run_folder import _own_digest

    data = json.loads((folder / "run.json").read_text())
    data.pop("sha256")
    change(data)
    (folder / "run.json").write_text(json.dumps({**data, "sha256": _own_digest(data)}))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["problem"].update(classes=["a", "b"]),
        lambda d: d["recipe"].update(width=8),
        lambda d: d["recipe"]["fusion"].update(name="__import__"),
        lambda d: d["recipe"].pop("encoders"),
        lambda d: d["preparation"].pop("image"),
        lambda d: d["preparation"]["image"].update(kind="cube"),
        lambda d: d.update(record={}),
        lambda d: d.update(files={}),
        lambda d: d.update(format="something else"),
        lambda d: d.update(version=99),
    ],
)
def test_a_folder_that_does_not_fit_together_is_refused(run, tmp_path, change):
    folder = run.save(tmp_path / "run")
    reseal(folder, change)
    with pytest.raises(RunError):
        af.Run.open(folder)


def test_a_pickle_in_place_of_weights_is_not_run(run, tmp_path):
    import hashlib
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    folder = run.save(tmp_path / "run")
    content = pickle.dumps(Evil())
    (folder / "weights.safetensors").write_bytes(content)
    reseal(folder, lambda d: d["files"]["weights.safetensors"].update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(RunError):
        af.Run.open(folder)
    assert not (tmp_path / "owned").exists()


def test_what_is_no_run_folder(tmp_path):
    with pytest.raises(RunError, match="no such folder"):
        af.Run.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"run\.json"):
        af.Run.open(tmp_path)
