"""Published weights: taken from the mirror, else the cache, else their source; only with the checksum that is known, and only where they fit."""

import hashlib

import pytest
import requests
import torch

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.models.build import build, layouts_of
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.training.originals import PublishedFile, published, run_of
from astrofuse_lab.training.problem import Problem

CONTENT = b"weights"
FILE = PublishedFile("w.npz", "folder", hashlib.sha256(CONTENT).hexdigest(), "https://example.org/w.npz")


class Answer:
    def __init__(self, content, status=200):
        self.content, self.status = content, status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def raise_for_status(self):
        if self.status != 200:
            raise requests.HTTPError(str(self.status))

    def iter_content(self, _):
        yield self.content


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ASTROFUSE_MIRROR", raising=False)
    return tmp_path


def test_the_mirror_comes_first(nowhere):
    (nowhere / "folder").mkdir()
    (nowhere / "folder/w.npz").write_bytes(CONTENT)
    assert published(FILE, nowhere) == nowhere / "folder/w.npz"
    (nowhere / "folder/w.npz").write_bytes(b"others")
    with pytest.raises(RunError, match=r"w\.npz is not the file this version knows: sha256"):
        published(FILE, nowhere)


def test_downloaded_once_and_kept(nowhere, monkeypatch):
    asked = []
    monkeypatch.setattr(requests, "get", lambda url, **_: asked.append(url) or Answer(CONTENT))
    path = published(FILE)
    assert path.read_bytes() == CONTENT and published(FILE) == path and asked == [FILE.url]


@pytest.mark.parametrize(("answer", "words"), [(Answer(b"other"), "sent another file"), (Answer(b"", 404), r"could not be had from https://example\.org/w\.npz \(HTTPError\)")])
def test_what_a_source_sends_is_looked_at(nowhere, monkeypatch, answer, words):
    monkeypatch.setattr(requests, "get", lambda url, **_: answer)
    with pytest.raises(RunError, match=words):
        published(FILE)
    assert not list((nowhere / "cache").rglob("w.npz"))


def test_a_file_of_the_mirror_alone_says_so(nowhere):
    with pytest.raises(RunError, match="is in the mirror only: set ASTROFUSE_MIRROR"):
        published(FILE._replace(url=""))
    with pytest.raises(InputError, match=r"no https address"):
        published(FILE._replace(url="http://example.org/w.npz"))


def test_a_run_of_given_weights_predicts_is_kept_and_refuses_others(toy_samples, tmp_path):
    recipe = Recipe("given", "Given", {"table": Part.of("layers", layers=[["dense", 4], ["relu"]], project=False)}, Part("join"), Part.of("classification", hidden=0, single=True))
    preparation = Preparation.fit(toy_samples, ["table"])
    problem = Problem("kind", "classification", ("no", "yes"))
    torch.manual_seed(0)
    weights = build(recipe, layouts_of(preparation.to_json()), 2, "classification", problem.classes).state_dict()
    about = {"title": "Given weights", "citation": "Somebody 2020", "licence": "MIT"}
    run = run_of(recipe, preparation, problem, weights, **about)
    said = run.predict(toy_samples)
    assert {"p_no", "p_yes"} <= set(said.colnames) and len(run.history) == 0 and not run.simulated
    run.save(tmp_path / "run")
    again = af.Run.open(tmp_path / "run")
    assert list(again.predict(toy_samples)["p_yes"]) == list(said["p_yes"])
    card = (tmp_path / "run/card.md").read_text()
    assert "Somebody 2020" in card
    with pytest.raises(RunError, match=r"do not fit the recipe 'given' .*lack"):
        run_of(recipe, preparation, problem, dict(list(weights.items())[1:]), **about)
