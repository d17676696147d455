"""Weights that come from elsewhere: pre-training stages, other runs, files; what was taken is told, and leaks are warned of."""

import json
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, RunError, UnknownNameError
from tests.conftest import make_toy_samples
from tests.test_resume import StopAfter, same


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(60)


def recipe(pretrain=None, **options):
    from astrofuse_lab.recipes.catalogue import get_recipe

    schedule = af.Part.of("end_to_end", batch_size=16, checkpoint_seconds=0.0, **options)
    return get_recipe("late_fusion").change(width=16, schedule=schedule, pretrain=pretrain)


MASKED = af.Part.of("masked", epochs=3)


def go(samples, given=None, target="label", modalities=("table", "text"), **more):
    return af.train(given or recipe(MASKED), samples, target, modalities, **{"epochs": 3, "progress": False, "device": "cpu", **more})


# ---- without a target -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["info_nce", "masked", "vae", "vicreg"])
def test_a_run_without_a_target_trains_saves_and_embeds(samples, tmp_path, name):
    run = go(samples, recipe(af.Part(name)), None, out=tmp_path / "run")
    assert run.task == "self_supervised" and run.state == "finished" and run.recipe.objective.name == name
    again = af.Run.open(tmp_path / "run", "cpu")
    assert same(run, again)
    table = again.embed(samples)
    assert table.colnames == ["object_id", "fused", "table", "text"]
    assert np.allclose(np.linalg.norm(np.asarray(table["fused"]), axis=1), 1, atol=1e-5)
    assert np.array_equal(np.ma.getmaskarray(table["text"])[:, 0], ~samples.present("text"))
    assert table["fused"].shape[1] == table["text"].shape[1]
    lengths = np.linalg.norm(np.asarray(table["text"]), axis=1)
    assert np.allclose(lengths, samples.present("text"), atol=1e-5)


def test_without_any_objective_it_is_masked_modelling(samples):
    assert go(samples, recipe(), None).recipe.objective.name == "masked"


@pytest.mark.slow
def test_a_contrast_finds_one_modality_by_another():
    samples = make_toy_samples(200, seed=2)
    given = recipe(af.Part.of("info_nce", temperature=0.3, learning_rate=5e-3, epochs=14, fused=False)).change(width=32, augment=())
    run = go(samples, given, None, ("image", "spectrum"), epochs=None)
    table = run.embed(samples)
    both = samples.present("image") & samples.present("spectrum")
    one, other = (np.asarray(table[name])[both] for name in ("image", "spectrum"))
    label = samples.column("label").data[both]
    # what both show is the class: the nearest spectrum of an image is of its class more often than chance, a third
    assert np.mean(label[(one @ other.T).argmax(1)] == label) > 0.6


def test_samples_without_a_modality_have_no_vector(samples):
    run = go(samples, recipe(af.Part("info_nce")), None, ("image", "spectrum"))
    none = ~samples.present("image") & ~samples.present("spectrum")
    assert none.any() and np.array_equal(np.ma.getmaskarray(run.embed(samples)["fused"])[:, 0], none)


# ---- before the training --------------------------------------------------------------------------------------------


def test_pretraining_sees_the_training_part_only_labelled_or_not(samples, tmp_path):
    label = [None if i % 3 == 0 else v for i, v in enumerate(samples.column("label").data.tolist())]
    table = samples._columns.append_column("kind", pa.array(label))
    roles = {n: r for n, r in samples.roles.items() if n != "object_id"} | {"kind": "target"}
    holed = af.SampleSet(table, samples._data, roles, samples.units, samples.card)
    split = holed.split(test=0.3, seed=1)
    run = go(holed, target="kind", split=split, out=tmp_path / "run")
    stage = af.Run.open(tmp_path / "run" / "pretraining", "cpu")
    assert stage.task == "self_supervised" and stage.state == "finished" and not stage.split.test
    assert set(stage.split.train) | set(stage.split.validation) <= set(split.train)
    assert not set(stage.split.train) & set(split.test)
    unlabelled = {str(i) for i, v in zip(holed.object_ids, label, strict=True) if v is None}
    assert set(stage.split.train) & unlabelled and not set(run.split.train) & unlabelled
    hosts = dict(zip(holed.object_ids.tolist(), holed.column("host").data.tolist(), strict=True))
    assert not {hosts[i] for i in stage.split.train} & {hosts[i] for i in (*run.split.validation, *run.split.test)}
    (told,) = run.record["stages"]
    assert told["name"] == "pretraining" and told["objective"] == "masked" and len(told["loss"]) == 3
    taken = run.record["started"]["taken"]
    assert {n.split(".")[0] for n in taken} == {"encoders", "fusions"} and not run.record["started"]["left"]
    assert all(n.startswith("heads.") for n in run.record["started"]["new"])
    assert run.preparation.to_json() == stage.preparation.to_json()  # weights go with the scalings they were trained on


def test_the_training_begins_with_the_weights_of_its_pretraining(samples, tmp_path):
    slow = recipe(MASKED, learning_rate=1e-12, average=0.0, weight_decay=0.0)
    run = go(samples, slow.change(pretrain=af.Part.of("masked", epochs=2, learning_rate=2e-3)), out=tmp_path / "run", epochs=1)
    stage = af.Run.open(tmp_path / "run" / "pretraining", "cpu")
    for name, tensor in stage.model.state_dict().items():
        if not name.startswith("heads."):
            assert torch.allclose(run.model.state_dict()[name], tensor, atol=1e-6), name


def test_each_modality_by_itself(samples, tmp_path):
    run = go(samples, recipe(af.Part.of("vae", epochs=1, each=True)), out=tmp_path / "run", epochs=1)
    assert [one["name"] for one in run.record["stages"]] == ["pretraining/table", "pretraining/text"]
    assert af.Run.open(tmp_path / "run" / "pretraining" / "text", "cpu").modalities == ("text",)
    assert {n.split(".")[1] for n in run.record["started"]["taken"]} == {"table", "text"}


def test_every_epoch_says_its_stage(samples):
    rows = []
    go(samples, on_epoch=rows.append)
    assert [row["stage"] for row in rows] == ["pretraining"] * 3 + [""] * 3


def test_pretrain_refuses_what_it_does_not_know(samples):
    for part, error, words in (
        (af.Part("maskd"), UnknownNameError, r"no self-supervised objective 'maskd'.*masked"),
        (af.Part.of("masked", epoch=3), UnknownNameError, r"'epoch'.*epochs"),
        (af.Part.of("masked", each=1), InputError, "each=1"),
    ):
        with pytest.raises(error, match=words):
            go(samples, recipe(part))


# ---- stopped and killed ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(samples, tmp_path_factory):
    return go(samples, out=tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("looks", [3, 14])
def test_stopped_in_either_stage_and_gone_on_in_memory(samples, whole, looks):
    stopped = go(samples, stop=StopAfter(looks))
    assert stopped.state == "stopped" and stopped.task == ("self_supervised" if looks == 3 else "classification")
    resumed = go(samples, resume=stopped)
    assert resumed.state == "finished" and same(resumed, whole)
    assert resumed.record["stages"][0]["name"] == "pretraining" and resumed.record["started"]["taken"] == whole.record["started"]["taken"]


def test_stopped_in_a_folder_and_gone_on(samples, whole, tmp_path):
    for looks in (3, 8):
        stopped = go(samples, stop=StopAfter(looks), out=tmp_path / "run")
        assert stopped.state == "stopped"
    assert same(go(samples, out=tmp_path / "run"), whole)
    rows = []
    assert same(go(samples, out=tmp_path / "run", on_epoch=rows.append), whole) and not rows
    go(samples, out=tmp_path / "run", overwrite=True, stop=StopAfter(2))
    assert af.Run.open(tmp_path / "run" / "pretraining", "cpu").state == "stopped"


CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
from tests.test_transfer import go, make_toy_samples
go(make_toy_samples(60), out=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.full
def test_killed_in_either_stage_the_weights_are_the_same_to_the_bit(whole, tmp_path):
    out, luck, stages = tmp_path / "killed", random.Random(1), []
    for where in ("pretraining/checkpoints", "checkpoints"):
        process = subprocess.Popen([sys.executable, "-c", CHILD, str(out), str(Path(__file__).parents[1])], stdout=subprocess.DEVNULL)
        while process.poll() is None and not list(out.glob(f"{where}/*.json")):
            time.sleep(0.002)
        time.sleep(luck.uniform(0, 0.05))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            stages.append(where)
        process.wait()
    assert stages, "no training was caught"
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(out), str(Path(__file__).parents[1])], stdout=subprocess.DEVNULL)
    assert process.wait(120) == 0
    assert (out / "weights.safetensors").read_bytes() == (whole.path / "weights.safetensors").read_bytes()
    assert sorted(f.name for f in out.iterdir()) == sorted(f.name for f in whole.path.iterdir())
    assert sorted(f.name for f in (out / "pretraining").iterdir()) == sorted(f.name for f in (whole.path / "pretraining").iterdir())


# ---- from another run -----------------------------------------------------------------------------------------------


def test_weights_are_taken_by_name_and_shape_and_told(samples, tmp_path):
    begin = go(samples, recipe(), epochs=2, out=tmp_path / "first")
    still = recipe(learning_rate=1e-12, average=0.0, weight_decay=0.0)
    run = go(samples, still, start=tmp_path / "first", seed=5, epochs=1)
    assert run.record["started"]["from"].endswith("first") and not run.record["started"]["left"] and not run.record["started"]["new"]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(run.model.state_dict().values(), begin.model.state_dict().values(), strict=True))
    other = go(samples, still, target="redshift", start=begin, epochs=1)
    assert all(n.startswith("heads.") for n in other.record["started"]["new"]), "a head that answers another question is not taken"
    wider = go(samples, recipe(), modalities=("table", "spectrum"), start=begin, epochs=1)
    started = wider.record["started"]
    assert any(n.startswith("encoders.text.") for n in started["left"]) and any(n.startswith("encoders.spectrum.") for n in started["new"])
    assert {n.split(".")[1] for n in started["taken"] if n.startswith("encoders.")} == {"table"}


def test_a_start_that_gives_nothing_or_is_nothing_is_refused(samples):
    begin = go(samples, recipe(), epochs=1)
    with pytest.raises(RunError, match="no weight of late_fusion fits"):
        go(samples, recipe().change(width=32), "redshift", ("spectrum",), start=begin)
    with pytest.raises(InputError, match="start=int"):
        go(samples, recipe(), start=3)
    with pytest.raises(RunError, match="no such folder"):
        go(samples, recipe(), start="/nowhere")


def test_a_leak_from_the_start_is_warned_of_and_recorded(samples):
    first, second = samples.split(test=0.3, seed=1), samples.split(test=0.3, seed=2)
    begin = go(samples, recipe(), split=first, epochs=1)
    shared = set(begin.split.train) & set(second.test)
    with pytest.warns(UserWarning, match=rf"trained on {len(shared)} of the {len(second.test)} samples of this test part"):
        run = go(samples, recipe(), split=second, start=begin, epochs=1)
    assert run.record["started"]["in_test"] == len(shared)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        clean = go(samples, recipe(), split=first, start=begin, epochs=1)
    assert clean.record["started"]["in_test"] == 0
    # what the first run saw is known two runs later
    with pytest.warns(UserWarning, match="trained on"):
        go(samples, recipe(), split=af.Split(second.test, tuple(sorted(shared))[:0] + tuple(set(begin.split.train) - set(second.test))[:6]), start=run, epochs=1)


def test_another_start_is_another_training(samples, tmp_path):
    begin, other = go(samples, recipe(), epochs=1), go(samples, recipe(), epochs=1, seed=3)
    go(samples, recipe(), start=begin, epochs=1, out=tmp_path / "run")
    assert same(go(samples, recipe(), start=begin, epochs=1, out=tmp_path / "run"), af.Run.open(tmp_path / "run", "cpu"))
    with pytest.raises(RunError, match="start"):
        go(samples, recipe(), start=other, epochs=1, out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["record"]["started"]["recipe"] == "late_fusion"


# ---- from a file or a hub -------------------------------------------------------------------------------------------


def with_weights(source, frozen=False, hidden=64):
    encoder = af.Part.of("mlp", weights=str(source), frozen=frozen, hidden=hidden)
    return recipe().change(encoders={**recipe().encoders, "table": encoder})


@pytest.fixture(scope="module")
def trained_file(samples, tmp_path_factory):
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")
    run = go(samples, recipe(), epochs=1, seed=9, out=folder / "run")
    own = {n.removeprefix("encoders.table."): t.clone() for n, t in run.model.state_dict().items() if n.startswith("encoders.table.")}
    save_file(own, folder / "table.safetensors")
    return run, own, folder


@pytest.mark.parametrize("form", ["file", "run"])
def test_an_encoder_begins_with_the_weights_of_a_file_and_may_keep_them(samples, trained_file, tmp_path, form):
    _, own, folder = trained_file
    source = folder / ("table.safetensors" if form == "file" else "run/weights.safetensors")
    kept = folder / "moved.safetensors"
    kept.write_bytes(source.read_bytes())
    run = go(samples, with_weights(kept, frozen=True), epochs=1, out=tmp_path / "run")
    state = run.model.state_dict()
    assert all(torch.equal(state[f"encoders.table.{n}"], t) for n, t in own.items())
    free = go(samples, with_weights(kept), epochs=1)
    assert any(not torch.equal(free.model.state_dict()[f"encoders.table.{n}"], t) for n, t in own.items())
    kept.unlink()
    assert same(af.Run.open(tmp_path / "run", "cpu"), run), "a run needs no file but its own"
    with pytest.raises(InputError, match="no such file"):
        go(samples, with_weights(kept), epochs=1)


def test_a_stopped_training_goes_on_without_the_file(samples, trained_file, tmp_path):
    kept = tmp_path / "table.safetensors"
    kept.write_bytes((trained_file[2] / "table.safetensors").read_bytes())
    whole = go(samples, with_weights(kept))
    go(samples, with_weights(kept), out=tmp_path / "run", stop=StopAfter(5))
    kept.unlink()
    assert same(go(samples, with_weights(kept), out=tmp_path / "run"), whole)


def test_weights_that_do_not_fit_say_where(samples, trained_file, tmp_path):
    from safetensors.torch import save_file

    _, own, folder = trained_file
    source = folder / "table.safetensors"
    with pytest.raises(InputError, match=r"do not fit the encoder of 'table'.*scale is \[2, 64\], not \[2, 32\]"):
        go(samples, with_weights(source, hidden=32))
    short = {n: t for n, t in own.items() if n != "norm.weight"} | {"other": torch.zeros(1)}
    save_file(short, tmp_path / "short.safetensors")
    with pytest.raises(InputError, match=r"it lacks norm\.weight; it has other.*1 lacking, 1 too many"):
        go(samples, with_weights(tmp_path / "short.safetensors"))
    save_file(own | {"scale": own["scale"] * torch.nan}, tmp_path / "nan.safetensors")
    with pytest.raises(InputError, match="not finite"):
        go(samples, with_weights(tmp_path / "nan.safetensors"))
    with pytest.raises(InputError, match="frozen=1 is int"):
        go(samples, recipe().change(encoders={**recipe().encoders, "table": af.Part.of("mlp", frozen=1)}))


def test_hostile_files_are_refused_before_they_are_read(trained_file, tmp_path):
    from astrofuse_lab.models.weights import header_of

    good = (trained_file[2] / "table.safetensors").read_bytes()
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    header["scale"]["data_offsets"][1] = 10**12
    bad = json.dumps(header).encode()
    files = {
        "cut.safetensors": good[: 8 + length // 2], "long.safetensors": (2**60).to_bytes(8, "little") + good[8:], "empty.safetensors": b"",
        "far.safetensors": len(bad).to_bytes(8, "little") + bad + good[8 + length :], "list.safetensors": (2).to_bytes(8, "little") + b"[]",
        "short.safetensors": good[:-100],
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="no safetensors file"):
            header_of(tmp_path / name)
    (tmp_path / "model.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=r"only \.safetensors files are read.*save_file"):
        header_of(tmp_path / "model.pt")


def test_the_hub_is_asked_by_its_own_client_or_the_command_is_told(samples, trained_file, monkeypatch):
    import types

    asked = []

    def download(repository, file, revision=None):
        asked.append((repository, file, revision))
        if repository == "nobody/nothing":
            raise OSError("404 Client Error")
        return str(trained_file[2] / "table.safetensors")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=download))
    go(samples, with_weights("hub:lab/table@v1:encoders/table.safetensors"), epochs=1)
    go(samples, with_weights("hub:lab/table"), epochs=1)
    assert asked == [("lab/table", "encoders/table.safetensors", "v1"), ("lab/table", "model.safetensors", None)]
    with pytest.raises(InputError, match=r"404 Client Error.*hf download nobody/nothing model\.safetensors"):
        go(samples, with_weights("hub:nobody/nothing"))
    for source in ("hub:lab", "hub:lab/table:../x.safetensors"):
        with pytest.raises(InputError, match="hub:owner/name"):
            go(samples, with_weights(source))
    with pytest.raises(InputError, match="could run code"):
        go(samples, with_weights("hub:lab/table:pytorch_model.bin"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install huggingface_hub.*hf download lab/table"):
        go(samples, with_weights("hub:lab/table"))


def test_the_page_on_stages_runs_as_it_is_written(samples, tmp_path, monkeypatch):
    import re

    page = (Path(__file__).parents[1] / "docs" / "stages.md").read_text()
    code = "\n".join(re.findall(r"```py\n(.*?)```", page, re.DOTALL)).replace("epochs=30", "epochs=1").replace("labels=0.1", "labels=0.4")
    first, last = code.split("encoder = af.Part")[0], "encoder = af.Part" + code.split("encoder = af.Part")[1]
    monkeypatch.chdir(tmp_path)
    both = samples.with_data({name: samples.data_of(name) for name in ("image", "spectrum")})
    plain = recipe().change(schedule=af.Part.of("end_to_end", epochs=1))
    names = {"af": af, "recipe": plain, "samples": both, "split": both.split(test=0.2, seed=1), "practice_samples": both, "real_samples": both}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the same samples stand for both skies
        exec(compile(first, "stages.md", "exec"), names)
        exec(compile(last, "stages.md", "exec"), names)
    assert names["recipe"].encoders["image"].options["frozen"] is True
