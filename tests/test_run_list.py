"""The list of runs, the model card, and the batch finder."""

import json
import re
import shutil

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, StorageError, TrainingError
from astrofuse_lab.training.run_list import COLUMNS
from tests.test_engine import go, recipe


@pytest.fixture(scope="module")
def folder(toy_samples, tmp_path_factory):
    """Three finished runs at two depths, one stopped, one killed, and folders that are none."""
    root = tmp_path_factory.mktemp("runs")
    split = toy_samples.split(test=0.3, seed=1)
    for name, more in {"a": {"epochs": 1}, "deep/er/b": {"epochs": 8}, "c": {"epochs": 1, "seed": 3, "modalities": ["table"]}}.items():
        go(toy_samples, split=split, out=root / name, **more)
    shutil.copytree(root / "a", root / "altered")
    text = (root / "altered" / "run.json").read_text()
    (root / "altered" / "run.json").write_text(text.replace('"seed": 0', '"seed": 7'))
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text("{")
    shutil.copytree(root / "a", root / "killed")
    fingerprint = json.loads(text)["record"]["fingerprint"]
    (root / "killed" / "run.json").unlink()
    (root / "killed" / "training.json").write_text(json.dumps({"fingerprint": fingerprint}))
    (root / "killed" / "checkpoints").mkdir()
    (root / "notes").mkdir()
    (root / "notes" / "thesis.tex").write_text("precious")
    return root


def test_runs_are_listed_best_first_with_what_they_are(folder):
    table = af.list_runs(folder)
    assert table.colnames == list(COLUMNS)
    assert sorted(table["name"]) == ["a", "c", "deep/er/b", "killed"]
    known = table[np.isfinite(table["value"])]
    assert list(known["value"]) == sorted(known["value"], reverse=True) and len(known) == 3
    assert table["state"][-1] == "unfinished" and np.isnan(table["value"][-1])
    for row in known:
        run = af.Run.open(row["path"], device="cpu")
        told = next(m for m in run.metrics if m["part"] == "test")
        assert (row["metric"], row["part"], row["n"]) == (told["metric"], "test", told["n"])
        assert row["value"] == told["value"] and row["low"] == told["low"] and row["high"] == told["high"]
        assert (row["recipe"], row["target"], row["seed"], row["parameters"]) == ("plain", "label", run.seed, run.parameters)
        assert row["modalities"] == ", ".join(run.modalities) and row["seconds"] == run.seconds and row["samples"] == "toy"


def test_bad_folders_are_passed_over_and_named(folder):
    skipped = af.list_runs(folder).meta["skipped"]
    assert len(skipped) == 2 and any("altered" in text and "checksum" in text for text in skipped) and any("broken" in text for text in skipped)


def test_a_metric_where_lower_is_better_is_sorted_that_way(folder):
    values = af.list_runs(folder, metric="log_loss", part="validation")["value"]
    values = values[np.isfinite(values)]
    assert len(values) == 3 and list(values) == sorted(values)


def test_no_runs_and_no_folder(tmp_path):
    assert len(af.list_runs(tmp_path)) == 0 and af.list_runs(tmp_path).colnames == list(COLUMNS)
    with pytest.raises(StorageError, match="is no folder"):
        af.list_runs(tmp_path / "nowhere")


# ---- the model card ----------------------------------------------------------------------------------------------------


def test_the_card_says_what_the_run_is(folder):
    card, run = (folder / "a" / "card.md").read_text(), af.Run.open(folder / "a", device="cpu")
    assert "Trained on simulated objects" in card and "galaxy, quasar, star" in card
    for words in ("## Model", "## Data", "## How good it is", "## Cost", "## Use and limits", "## Versions", f"{run.parameters:,}", run.record["versions"]["torch"]):
        assert words in card, words
    told = next(m for m in run.metrics if m["part"] == "test")
    assert f"{told['value']:.4g}" in card and f"{told['low']:.4g} to {told['high']:.4g}" in card


def test_a_card_that_a_person_added_to_leaves_the_run_readable(folder, tmp_path):
    shutil.copytree(folder / "a", tmp_path / "run")
    with open(tmp_path / "run" / "card.md", "a") as card:
        card.write("\nNot for use on weekends.\n")
    assert af.Run.open(tmp_path / "run", device="cpu").state == "finished"


def test_hostile_words_are_words_in_the_card(toy_samples):
    from dataclasses import replace

    from astrofuse_lab.training.model_card import model_card

    evil = "<script>alert(1)</script> ![x](http://evil.example/x.png) [click](javascript:alert(1)) | a |\n# Approved"
    run = go(toy_samples, epochs=1)
    run.record["samples"]["card"].update(title=evil, licence=evil, citation=evil, notes=[evil])
    run.record["left_out"] = {evil: 3}
    run.recipe = replace(run.recipe, title=evil)
    card = model_card(run)
    assert "<script" not in card and not re.search(r"(?<!\\)\]\(", card) and "javascript:" not in card and "http://evil" not in card
    assert not [line for line in card.splitlines() if line.startswith("# Approved")]


# ---- the batch finder --------------------------------------------------------------------------------------------------


def test_the_largest_batch_that_memory_holds(toy_samples, capsys):
    def found(memory):
        return af.find_batch_size(recipe(), toy_samples, "label", ["table", "text"], device="cpu", memory=memory)

    assert found(10**11) == 32  # of about 50 training samples
    needs = {int(n): float(m) for n, m in re.findall(r"(\d+) samples at once: ([\d.]+) MB", capsys.readouterr().out)}
    assert list(needs) == [1, 2, 4, 8, 16, 32] and sorted(needs.values()) == list(needs.values())
    assert found(int(1e6 * (needs[8] + needs[16]) / 2)) == 8
    assert "16 samples" not in capsys.readouterr().out  # what would not fit is not tried
    assert af.find_batch_size(recipe(), toy_samples, "label", ["table"], device="cpu", largest=5, progress=False) == 4


def test_a_batch_that_runs_out_of_memory_is_too_large(toy_samples, monkeypatch):
    import torch

    from astrofuse_lab.training.learning import Supervised

    plain = Supervised.forward

    def forward(self, values, masks, present, target):
        if len(target) > 11:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, values, masks, present, target)

    monkeypatch.setattr(Supervised, "forward", forward)
    assert af.find_batch_size(recipe(), toy_samples, "label", ["table"], device="cpu", progress=False) == 8


def test_finding_that_cannot_be(toy_samples):
    with pytest.raises(TrainingError, match="not even one sample"):
        af.find_batch_size(recipe(), toy_samples, "label", ["table"], device="cpu", memory=1000, progress=False)
    with pytest.raises(InputError, match="largest=0"):
        af.find_batch_size(recipe(), toy_samples, "label", ["table"], device="cpu", largest=0)
