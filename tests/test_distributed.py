"""Two processes on this machine take the steps that one takes, and measure what one measures; each reads its own share."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import astrofuse_lab as af
from tests.conftest import make_toy_samples
from tests.test_engine import PLAIN, furthest

ROOT = Path(__file__).parents[1]
LAUNCHERS = {
    "fabric run": [str(Path(sys.executable).parent / "fabric"), "run", "--accelerator=cpu", "--devices=2", "--strategy=ddp", "--main-port={port}"],
    "torchrun": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1", "--master-port={port}"],
}


def train(out):
    """Nothing random but the order; the last batch of an epoch has one sample, which only one of two processes can compute."""
    parts = {"encoders": PLAIN, "fusion": af.Part.of("concatenation", dropout=0.0), "head": af.Part.of("auto", dropout=0.0)}
    recipe = af.Recipe("exact", "Nothing random", schedule=af.Part.of("end_to_end", batch_size=10, learning_rate=1e-3), **parts)
    samples = make_toy_samples()
    ids = [str(i) for i in samples.object_ids]
    split = af.Split(tuple(ids[:41]), tuple(ids[50:]), tuple(ids[41:50]))
    return af.train(recipe, samples, "label", ["table", "text"], split=split, epochs=3, progress=False, device="cpu", out=out)


def worker(folder):
    """What each process runs: it writes down what it read, and once runs out of memory alone."""
    import os

    from astrofuse_lab.training import feed
    from astrofuse_lab.training.learning import Supervised

    folder, rank = Path(folder), int(os.environ["LOCAL_RANK"])
    train(folder / "kept")
    read = []
    plain_batches, plain_forward, most = feed.Feed.batches, Supervised.forward, feed.MOST_MEMORY
    feed.MOST_MEMORY = 0  # nothing is kept: samples are read when a batch needs them
    feed.Feed.batches = lambda self, indices: (read.extend(self.positions[index].tolist() for index in indices), plain_batches(self, indices))[1]
    train(folder / "read")
    feed.Feed.batches, feed.MOST_MEMORY = plain_batches, most
    (folder / f"read-{rank}.json").write_text(json.dumps(read))

    def forward(self, values, masks, present, target):
        if self.training and rank == 1 and len(target) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain_forward(self, values, masks, present, target)

    Supervised.forward = forward
    train(folder / "halved")


@pytest.fixture(scope="module", params=[pytest.param("fabric run", marks=pytest.mark.full), "torchrun"])
def two(request, tmp_path_factory):
    """The folder where two processes have trained."""
    folder = tmp_path_factory.mktemp("two")
    script = folder / "two.py"
    script.write_text("import sys\nsys.path.insert(0, sys.argv[2])\nfrom tests.test_distributed import worker\nworker(sys.argv[1])\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [word.format(port=port) for word in LAUNCHERS[request.param]]
    done = subprocess.run([*launcher, str(script), str(folder), str(ROOT)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def one():
    return train(None)


@pytest.mark.parametrize("name", ["kept", "read", "halved"])
def test_gradients_and_metrics_are_those_of_one_process(two, one, name):
    run = af.Run.open(two / name, device="cpu")
    assert run.record["processes"] == 2 and one.record["processes"] == 1
    assert furthest(run, one) < 1e-4  # a tenth of one step of AdamW, which takes gradients of rounding for gradients
    for column in ("train_loss", "validation_loss", "metric"):
        assert np.allclose(run.history[column], one.history[column], atol=1e-5), column
    for ours, theirs in zip(run.metrics, one.metrics, strict=True):
        assert (ours["part"], ours["metric"], ours["n"]) == (theirs["part"], theirs["metric"], theirs["n"])
        assert np.allclose([ours[c] for c in ("value", "low", "high")], [theirs[c] for c in ("value", "low", "high")], atol=1e-4, equal_nan=True)


def test_each_process_reads_its_share_and_no_sample_of_the_other(two):
    """Conditions: samples are not kept in memory; 41 are trained in batches of 10, 9 validated in one batch, three times.

    Besides, each process reads the few that tell which modality is ignored, and the first one measures the finished run.
    """
    read = [json.loads((two / f"read-{rank}.json").read_text()) for rank in (0, 1)]
    assert [len(batches) for batches in read] == [3 * (5 + 1)] * 2
    every = []
    for first, second in zip(*read, strict=True):
        shared = set(first) & set(second)
        lone = len(first) == len(second) == 1 and first == second  # the last batch: a stand-in, which does not count
        padded = len(shared) == 1 and len(set(first) | set(second)) == 9  # validation of 9: the first is computed twice, counted once
        assert not shared or lone or padded
        assert len(first) <= 5 and len(second) <= 5
        every += [*set(first) | set(second)]
    assert sorted(every) == sorted([*range(50)] * 3)


def test_a_process_that_runs_out_of_memory_alone_has_both_go_on_in_smaller_pieces(two):
    from astrofuse_lab.training.progress import read_progress

    run = af.Run.open(two / "halved", device="cpu")
    assert run.record["cost"]["at_once"] == 5 and run.state == "finished"
    assert sum(e["event"] == "said" for e in read_progress(two / "halved")) == 1
    assert sum(e["event"] == "said" for e in read_progress(two / "kept")) == 0
