"""Training goes on where it was stopped or killed, and ends with the same bits as if it never had been."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import astrofuse_lab as af
from astrofuse_lab.errors import RunError
from tests.conftest import make_toy_samples

KILLS = 20 if os.environ.get("ASTROFUSE_PROVE") else 2
EPOCHS = 6


PIECES, UNLABELLED = "late_fusion in pieces", "late_fusion without labels"
"""Ways of training besides the plain one."""


def recipe(name="late_fusion"):
    from astrofuse_lab.recipes.catalogue import get_recipe

    # a checkpoint after every batch of 16: the most moments at which a kill can hit one
    augment = [af.Part("turn"), af.Part("noise"), af.Part.of("epoch_dropout", share=0.2), af.Part.of("crop", pixels=1)]
    more = {"accumulate": 3} if name == PIECES else {}
    return get_recipe(name.split(" ")[0]).change(schedule=af.Part.of("end_to_end", batch_size=16, checkpoint_seconds=0.0, **more), augment=augment)


def go(samples, out=None, name="late_fusion", **more):
    return af.train(recipe(name), samples, None if name == UNLABELLED else "label", epochs=EPOCHS, out=out, progress=False, device="cpu", **more)


def same(a, b):
    first, second = a.model.state_dict(), b.model.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples()


@pytest.fixture(scope="module")
def whole(samples):
    return go(samples)


class StopAfter(threading.Event):
    """Set after it has been looked at so many times: once an epoch and once a batch."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def is_set(self):
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("looks", [1, 4, 9, 17])
def test_stopped_in_memory_and_gone_on(samples, whole, looks):
    stopped = go(samples, stop=StopAfter(looks))
    assert stopped.state == "stopped" and stopped.snapshot is not None
    assert len(stopped.predict(samples)) == len(samples)
    resumed = go(samples, resume=stopped)
    assert resumed.state == "finished" and len(resumed.history) == len(whole.history)
    assert same(resumed, whole)


@pytest.mark.parametrize("name", [PIECES, UNLABELLED])
def test_other_ways_of_training_go_on_to_the_bit_too(samples, tmp_path, name):
    expected = go(samples, name=name, modalities=["table", "light_curve"])
    stopped = go(samples, tmp_path / "run", name=name, modalities=["table", "light_curve"], stop=StopAfter(6))
    assert stopped.state == "stopped" and len(stopped.history) < len(expected.history)
    resumed = go(samples, tmp_path / "run", name=name, modalities=["table", "light_curve"])
    assert resumed.state == "finished" and same(resumed, expected)


def test_stopped_in_a_folder_and_gone_on_twice(samples, whole, tmp_path):
    for looks in (5, 6):
        run = go(samples, tmp_path / "run", stop=StopAfter(looks))
        assert run.state == "stopped"
        assert af.Run.open(tmp_path / "run").state == "stopped"
    run = go(samples, tmp_path / "run")
    assert run.state == "finished" and same(run, whole)
    assert not (tmp_path / "run" / "checkpoints").exists()
    epochs = []
    again = go(samples, tmp_path / "run", on_epoch=epochs.append)
    assert not epochs and same(again, whole)  # finished: nothing is trained again


def test_a_stopped_run_can_be_saved_and_gone_on_with(samples, whole, tmp_path):
    stopped = go(samples, stop=StopAfter(7))
    stopped.save(tmp_path / "run")
    assert same(go(samples, tmp_path / "run"), whole)
    stopped.save(tmp_path / "other", overwrite=True)
    opened = af.Run.open(tmp_path / "other")
    assert same(go(samples, resume=opened), whole)


def test_going_on_with_another_training_is_refused(samples):
    stopped = go(samples, stop=StopAfter(7))
    with pytest.raises(RunError, match="seed"):
        go(samples, seed=3, resume=stopped)
    with pytest.raises(RunError, match="nothing to go on from"):
        go(samples, resume=go(samples))


@pytest.mark.parametrize("damage", ["cut", "altered", "json", "tensors gone"])
def test_an_unreadable_checkpoint_falls_back_to_the_one_before(samples, whole, tmp_path, damage):
    go(samples, tmp_path / "run", stop=StopAfter(12))
    folder = tmp_path / "run" / "checkpoints"
    assert len(list(folder.glob("*.json"))) == 2
    newest = max(folder.glob("*.json")).with_suffix(".json" if damage == "json" else ".safetensors")
    content = newest.read_bytes()
    if damage == "tensors gone":
        newest.unlink()
    else:
        newest.write_bytes(content[: len(content) // 2] if damage in ("cut", "json") else content[:-1] + bytes([content[-1] ^ 1]))
    epochs = []
    assert same(go(samples, tmp_path / "run", on_epoch=epochs.append), whole)
    assert epochs[0]["epoch"] > 1  # it did not begin anew


def test_all_checkpoints_unreadable_begins_anew(samples, whole, tmp_path):
    go(samples, tmp_path / "run", stop=StopAfter(12))
    for file in (tmp_path / "run" / "checkpoints").iterdir():
        file.write_bytes(b"{}")
    assert same(go(samples, tmp_path / "run"), whole)


def test_checkpoints_hold_no_pickle(samples, tmp_path):
    go(samples, tmp_path / "run", stop=StopAfter(10))
    files = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert {f.suffix for f in files} == {".json", ".safetensors"}
    tensors = load_file(files[-1])
    state = json.loads(files[-2].read_text())
    assert "optimiser.0.exp_avg" in tensors and state["epoch"] >= 1


CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
from tests.test_resume import go, make_toy_samples
go(make_toy_samples(), sys.argv[1], name=sys.argv[3])
"""


def child(out, name):
    root = str(Path(__file__).parents[1])
    return subprocess.Popen([sys.executable, "-c", CHILD, str(out), root, name], stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("name", ["late_fusion", *(["joint_attention", "decision_average", PIECES, UNLABELLED] if KILLS > 3 else [])])
def test_killed_at_random_moments_the_weights_are_the_same_to_the_bit(tmp_path, name):
    process = child(tmp_path / "whole", name)
    assert process.wait(300) == 0
    expected = (tmp_path / "whole" / "weights.safetensors").read_bytes()
    luck, killed = random.Random(0), 0
    out = tmp_path / "killed"
    while killed < KILLS:
        process = child(out, name)
        # the moment is counted from the first sign of training, so that kills fall within it however slow the machine is
        before = sorted(out.glob("checkpoints/*.json")) if out.is_dir() else []
        while process.poll() is None and (sorted(out.glob("checkpoints/*.json")) if out.is_dir() else []) == before:
            time.sleep(0.002)
        time.sleep(luck.uniform(0, 0.25))
        if process.poll() is not None:
            break  # it finished before it could be killed
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
    assert killed >= 1
    process = child(out, name)
    assert process.wait(300) == 0
    assert (out / "weights.safetensors").read_bytes() == expected
    run = af.Run.open(out)
    assert run.state == "finished" and len(run.history) == EPOCHS
    files = {"card.md", "history.json", "progress.jsonl", "run.json", "split.json", "weights.safetensors"}
    assert files <= {f.name for f in out.iterdir()} <= files | {"calibration.safetensors"}
