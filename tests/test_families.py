"""Families of runs in a folder: what is opened answers as what was saved, all or nothing is written, and what does not fit is refused."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from astrofuse_lab.errors import InputError, RunError, StorageError
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.committees import Committee
from astrofuse_lab.training.dichotomies import Dichotomies
from astrofuse_lab.training.families import FILE, folder_of, open_family, save_family
from astrofuse_lab.training.pairwise import PairwiseRuns, train_pairwise
from astrofuse_lab.training.votes import Votes, train_votes

LAYERS = Part.of("layers", layers=[["dense", 4], ["relu"], ["dropout", 0.1]], project=False)
YES_NO = Recipe("f", "f", {"table": LAYERS}, Part("join"), Part.of("classification", hidden=0, single=True), schedule=Part.of("end_to_end", learning_rate=2e-2, epochs=1))
PAIRS = YES_NO.change(head=Part.of("classification", hidden=0))
TREE = {"": ("kind", ("hot", "cold")), "hot": ("fine", ("blue / UV", "white"))}


@pytest.fixture(scope="module")
def samples():
    x, y = np.random.default_rng(0).normal(size=(2, 80))
    fine = pa.array(np.where(y > 0, "blue / UV", "white"), mask=x <= 0)
    columns = pa.table({"object_id": [f"o{i}" for i in range(80)], "x": x, "y": y, "kind": np.where(x > 0, "hot", "cold"), "fine": fine})
    return SampleSet(columns, {}, {"x": "input", "y": "input", "kind": "target", "fine": "target"})


@pytest.fixture(scope="module")
def votes(samples):
    return train_votes(YES_NO, samples, TREE, device="cpu")


def same(one, other, samples):
    ours, theirs = one.predict(samples), other.predict(samples)
    assert ours.colnames == theirs.colnames
    for name in ours.colnames:
        hidden = [np.ma.getmaskarray(np.ma.asarray(table[name])) for table in (ours, theirs)]
        assert np.array_equal(*hidden) and np.array_equal(np.asarray(ours[name])[~hidden[0]], np.asarray(theirs[name])[~hidden[0]]), name


def test_a_folder_is_named_after_its_run():
    assert folder_of(("I", "II")) == "I-II" and folder_of(("", "Ia / 91bg")) == "first-Ia___91bg"
    assert folder_of(("..", "x")) == "run..-x" and len(folder_of(("a" * 400,))) == 128


def test_votes_answer_alike_when_opened(votes, samples, tmp_path):
    votes.save(tmp_path / "v")
    again = Votes.open(tmp_path / "v", "cpu")
    assert again.hierarchy == {above: (column, tuple(classes)) for above, (column, classes) in TREE.items()}
    same(votes, again, samples)
    with pytest.raises(StorageError, match="overwrite=True"):
        votes.save(tmp_path / "v")
    again.save(tmp_path / "v", overwrite=True)
    same(votes, Votes.open(tmp_path / "v", "cpu"), samples)


def test_a_committee_answers_alike_when_opened(votes, samples, tmp_path):
    hot, cold = votes.runs[""].values()
    made = Committee({"is it hot?": [hot, cold], "again": [hot]})
    made.save(tmp_path / "c")
    same(made, Committee.open(tmp_path / "c", "cpu"), samples)


def test_pairs_trained_into_a_folder_are_opened_there(samples, tmp_path):
    made = train_pairwise(PAIRS, samples, "kind", ("hot", "cold"), thresholds=[("hot", "cold", 0.3)], out=tmp_path / "p", device="cpu", progress=False)
    again = PairwiseRuns.open(tmp_path / "p", "cpu")
    assert again.classes == ("hot", "cold") and np.array_equal(again.thresholds, made.thresholds) and again.thresholds[0, 1] == 0.3
    same(made, again, samples)
    before = (tmp_path / "p" / "hot-cold" / "run.json").stat().st_mtime_ns
    train_pairwise(PAIRS, samples, "kind", ("hot", "cold"), thresholds=[("hot", "cold", 0.6)], out=tmp_path / "p", device="cpu", progress=False)
    assert PairwiseRuns.open(tmp_path / "p", "cpu").thresholds[0, 1] == 0.6 and (tmp_path / "p" / "hot-cold" / "run.json").stat().st_mtime_ns == before


def test_votes_trained_into_a_folder_are_opened_there(samples, tmp_path):
    made = train_votes(YES_NO, samples, {"": TREE[""]}, out=tmp_path / "v", device="cpu")
    same(made, Votes.open(tmp_path / "v", "cpu"), samples)
    assert sorted(one.name for one in (tmp_path / "v").iterdir()) == [FILE, "first-cold", "first-hot"]


def test_all_is_written_or_nothing(votes, samples, tmp_path):
    first, second = votes.runs[""].values()
    paths = first.path, second.path

    def fails(folder, overwrite=False):
        raise OSError(28, "No space left on device")

    broken = SimpleNamespace(path=None, save=fails)
    with pytest.raises(StorageError, match="is full"):
        save_family(tmp_path / "f", "votes", {("a",): first, ("b",): broken}, {})
    assert not list(tmp_path.iterdir()) and (first.path, second.path) == paths
    votes.save(tmp_path / "v")
    with pytest.raises(StorageError, match="is full"):
        save_family(tmp_path / "v", "votes", {("a",): first, ("b",): broken}, {}, overwrite=True)
    same(votes, Votes.open(tmp_path / "v", "cpu"), samples)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.tex").write_text("mine")
    with pytest.raises(StorageError, match=FILE):
        votes.save(tmp_path / "own", overwrite=True)
    assert (tmp_path / "own" / "thesis.tex").read_text() == "mine"


def test_what_does_not_fit_is_refused(votes, tmp_path):
    run = votes.runs[""]["hot"]
    with pytest.raises(InputError, match="share the folder"):
        save_family(tmp_path / "t", "votes", {("a b",): run, ("A_b",): run}, {})
    votes.save(tmp_path / "v")
    for cls in (Dichotomies, Committee, PairwiseRuns):
        with pytest.raises(RunError, match="of the kind 'votes'"):
            cls.open(tmp_path / "v")
    with pytest.raises(RunError, match="no family"):
        Votes.open(tmp_path)
    whole = json.loads((tmp_path / "v" / FILE).read_text())
    for change, said in (
        ({"runs": [{"of": ["", "hot"], "folder": "../v"}]}, "can be none of its own"), ({"runs": whole["runs"][1:]}, "does not fit its runs"), ({"about": {}}, "does not fit its runs"),
        ({"runs": 3}, "is damaged"), ({"version": 2}, "is damaged"), ({"runs": [{"of": ["", "hot"], "folder": "elsewhere"}]}, "elsewhere"),
    ):  # fmt: skip
        (tmp_path / "v" / FILE).write_text(json.dumps({**whole, **change}))
        with pytest.raises(RunError, match=said):
            Votes.open(tmp_path / "v", "cpu")
    (tmp_path / "v" / FILE).write_text("[" * 100_000)
    with pytest.raises(RunError, match="is damaged"):
        open_family(tmp_path / "v", "votes")
