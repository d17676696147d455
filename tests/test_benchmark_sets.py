"""Benchmarks: fixed splits, scores that were checked, leaderboards that can be measured again, challenges that hide their answers."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.table import Table

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, SampleSetError, StorageError, UnknownNameError
from astrofuse_lab.recipes.benchmarks import BENCHMARKS, BenchmarkEntry
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.benchmarks import Benchmark
from tests.conftest import make_toy_samples

ENTRY = BenchmarkEntry(
    "toy/label", "Kinds of toy", "practice", "label", "classification", ("spectrum", "table"), ("balanced_accuracy", "roc_auc", "pr_auc", "macro_f1", "log_loss", "brier", "tss", "accuracy"),
    {"test": 0.3, "seed": 1}, controls={"position": ("ra", "dec"), "words": ("modality:text",), "host": ("host",)}, notes=("For tests.",),
)  # fmt: skip


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(100, seed=3)


@pytest.fixture(scope="module")
def benchmark(samples):
    return Benchmark(ENTRY, samples=samples)


@pytest.fixture(scope="module")
def run(benchmark):
    return af.train("late_fusion", benchmark.samples(), benchmark.target, ["spectrum", "table"], split=benchmark.split, epochs=3, device="cpu", progress=False)


def said(benchmark, seed=0):
    """A table of predictions, a little better than chance."""
    rng = np.random.default_rng(seed)
    truth = benchmark.problem.encode(benchmark.samples())[0][benchmark.samples().positions(benchmark.split.test)]
    p = rng.dirichlet(np.ones(3), len(truth)) + 0.5 * np.eye(3)[truth]
    p /= p.sum(1, keepdims=True)
    return Table({"object_id": list(benchmark.split.test), **{c: p[:, i] for i, c in enumerate(benchmark.columns)}})


def test_every_benchmark_is_listed_and_names_what_exists():
    table = af.list_benchmarks()
    assert table["name"].tolist() == [e.name for e in BENCHMARKS] and {"ztf-alerts/sso", "supernovae/type", "eros1-variables/class", "crts-variables/main", "tess-transits/planet", "practice-sky/class"} <= set(table["name"])
    sets = {row["name"]: row["modalities"].split(", ") for row in af.list_samples()}
    for entry in BENCHMARKS:
        assert set(entry.modalities) <= set(sets[entry.samples]), entry.name
        assert len(entry.digest) == 16 and int(entry.digest, 16) >= 0
        for metric in entry.metrics:
            M.metric_named(entry.task, metric)
    with pytest.raises(UnknownNameError, match="supernovae/type"):
        af.benchmark("supernovae/typ")


PRACTICE = pytest.mark.skipif(not os.environ.get("ASTROFUSE_PROVE"), reason="renders 600 objects; ASTROFUSE_PROVE=1 does")


@pytest.mark.real
@pytest.mark.parametrize("name", [pytest.param(e.name, marks=[PRACTICE] * (e.samples == "practice")) for e in BENCHMARKS])
def test_sets_are_what_they_were_when_defined(name, mirror):
    benchmark = af.benchmark(name, mirror=mirror, progress=False)
    split = benchmark.split  # raises where the digest is another
    groups = {side: set(benchmark.samples().select(getattr(split, side)).column(benchmark._group).data.tolist()) for side in ("train", "test")} if benchmark._group else {"train": set(), "test": set()}
    assert not groups["train"] & groups["test"]
    for columns in benchmark.entry.controls.values():
        for column in columns:
            assert column.startswith("modality:") or column in benchmark.samples().roles


def test_another_set_is_refused(samples):
    from dataclasses import replace

    made = Benchmark(ENTRY, samples=samples)
    fixed = Benchmark(replace(ENTRY, digest=made.digest), samples=samples)
    assert fixed.split == made.split and fixed.digest == made.digest
    with pytest.raises(SampleSetError, match="other samples than those at hand"):
        _ = Benchmark(replace(ENTRY, digest=made.digest), samples=samples.take(np.arange(90))).split


def test_a_split_by_source_and_samples_without_target(samples):
    from dataclasses import replace

    entry = replace(ENTRY, target="redshift", task="regression", split={"train": {"host": "group-1"}, "test": {"host": "group-3", "object_id": "toy-00"}}, metrics=("rmse",), controls={})
    made = Benchmark(entry, samples=samples)
    hosts = made.samples().select(made.split.test).column("host").data
    assert len(hosts) and all("group-3" in h for h in hosts)
    assert all("group-1" in h for h in made.samples().select(made.split.train).column("host").data)


def test_a_run_and_its_predictions_score_the_same(benchmark, run):
    by_run, by_table = benchmark.score(run, resamples=50), benchmark.score(run.predict(benchmark.samples().select(benchmark.split.test)), resamples=50)
    assert by_run.scores == by_table.scores and by_run.kind == "run" and by_table.kind == "predictions"
    test = benchmark.samples().positions(benchmark.split.test)
    truth = benchmark.problem.encode(benchmark.samples())[0][test]
    assert by_run.scores["roc_auc"][0] == pytest.approx(M.value(M.roc_auc, truth, run.outputs(benchmark.samples(), test)[0]))
    assert "trained on no test object" in by_run.checked and by_run.about["parameters"] == run.parameters
    shuffled = said(benchmark)[::-1]
    assert benchmark.score(shuffled, resamples=50).scores == benchmark.score(said(benchmark), resamples=50).scores


def test_what_is_wrong_with_predictions_is_said(benchmark):
    good = said(benchmark)
    missing, twice, strange = good[1:], good.copy(), good.copy()
    twice["object_id"][0] = twice["object_id"][1]
    strange["object_id"] = [*good["object_id"][:-1], "unknown"]
    unsure, negative, halved = good.copy(), good.copy(), good.copy()
    unsure["p_star"][3] = np.nan
    negative["p_star"][0], negative["p_galaxy"][0], negative["p_quasar"][0] = -0.2, 0.6, 0.6
    halved["p_star"] = halved["p_star"] / 2
    without = good.copy()
    without.remove_column("p_quasar")
    for match, table in (
        ("lack 1 of", missing), ("ids twice", twice), ("hold 1 others, first 'unknown'", strange), ("not finite for 1", unsure), ("no probabilities", negative), ("no probabilities", halved), ("lack the column 'p_quasar'", without),
    ):
        with pytest.raises(InputError, match=match):
            benchmark.score(table)


def test_a_run_that_has_seen_the_test_part_is_refused(benchmark, samples):
    options = {"epochs": 1, "device": "cpu", "progress": False}
    seen = af.train("late_fusion", samples, "label", ["table"], **options)
    with pytest.raises(InputError, match="trained or validated on"):
        benchmark.score(seen)
    # objects of a test host, though no test object: the other half of each pair
    test = set(benchmark.split.test)
    hosts = dict(zip(samples.object_ids, samples.column("host").data, strict=True))
    from dataclasses import replace

    sibling = Benchmark(replace(ENTRY, split={"test": 0.3, "seed": 1, "group": "object_id"}), samples=samples)
    apart = set(sibling.split.test)
    assert {hosts[i] for i in apart} & {hosts[i] for i in sibling.split.train}
    leaking = af.train("late_fusion", samples, "label", ["table"], split=sibling.split, **options)
    with pytest.raises(InputError, match="groups \\(host\\)"):
        sibling.score(leaking)
    assert test
    wide = af.train("late_fusion", samples, "label", ["table", "text"], split=benchmark.split, **options)
    with pytest.raises(InputError, match="sees text"):
        benchmark.score(wide)
    other = af.train("late_fusion", samples, "is_star", ["table"], split=benchmark.split, **options)
    with pytest.raises(InputError, match="predicts 'is_star'"):
        benchmark.score(other)


def test_baselines_are_recomputed_with_shortcuts(benchmark):
    results = {r.name: r for r in benchmark.baselines(resamples=20)}
    assert set(results) == {"chance", "extra_trees", "boosting", "linear", "shortcut: position", "shortcut: words", "shortcut: host"}
    assert results["chance"].scores["balanced_accuracy"][0] == pytest.approx(1 / 3)
    best = results["extra_trees"].scores["balanced_accuracy"][0]
    assert best > 0.6 > results["shortcut: position"].scores["balanced_accuracy"][0]
    assert all(r.kind == "baseline" and r.digest == benchmark.digest for r in results.values())


def test_a_leaderboard_grows_and_is_measured_again(benchmark, run, tmp_path):
    entry = benchmark.enter(run, tmp_path, name="ours", note="three epochs")
    benchmark.enter(said(benchmark), tmp_path, name="guess")
    benchmark.enter(benchmark.score(said(benchmark, 5)), tmp_path, name="from a result")
    lines = (tmp_path / "toy_label.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["ours", "guess", "from a result"]
    assert json.loads(lines[0])["about"]["recipe"]["name"] == "late_fusion" and entry.note == "three epochs"
    table = benchmark.leaderboard(tmp_path)
    assert set(table["checked"]) == {"same"} and {"ours", "guess", "extra_trees", "shortcut: words"} <= set(table["name"])
    assert (np.diff(table["value"]) <= 0).all()
    for match, call in (
        ("has the name 'ours'", lambda: benchmark.enter(said(benchmark, 7), tmp_path, name="ours")),
        ("the same predictions", lambda: benchmark.enter(said(benchmark), tmp_path, name="again")),
        ("no probabilities", lambda: benchmark.enter(Table({**{c: said(benchmark)[c] for c in ("object_id", "p_galaxy", "p_quasar")}, "p_star": np.ones(len(benchmark.split.test))}), tmp_path)),
    ):
        with pytest.raises(InputError, match=match):
            call()
    assert len((tmp_path / "toy_label.jsonl").read_text().splitlines()) == 3


def test_a_line_that_was_altered_shows(benchmark, samples, tmp_path):
    benchmark.enter(said(benchmark), tmp_path, name="honest")
    benchmark.enter(said(benchmark, 1), tmp_path, name="better")
    benchmark.enter(said(benchmark, 2), tmp_path, name="lost")
    board = tmp_path / "toy_label.jsonl"
    lines = [json.loads(line) for line in board.read_text().splitlines()]
    lines[1]["scores"]["balanced_accuracy"][0] = 0.999
    (tmp_path / "toy_label" / f"{lines[2]['predictions'][:16]}.csv").unlink()
    foreign = {**lines[0], "name": "foreign", "digest": "0" * 16}
    board.write_text("".join(json.dumps(line) + "\n" for line in [*lines, foreign]))
    states = dict(zip(*(benchmark.leaderboard(tmp_path, baselines=False)[c].tolist() for c in ("name", "checked")), strict=True))
    assert states == {"honest": "same", "better": "differs", "lost": "no predictions", "foreign": "other samples"}
    assert benchmark.leaderboard(tmp_path, baselines=False)["name"][0] != "better"  # what differs stands last
    board.write_text("no json\n")
    with pytest.raises(StorageError, match="line 1"):
        benchmark.leaderboard(tmp_path)
    with pytest.raises(InputError, match="no entry"):
        benchmark.leaderboard(tmp_path / "empty", baselines=False)


@pytest.fixture(scope="module")
def package(benchmark, tmp_path_factory):
    return benchmark.export(tmp_path_factory.mktemp("challenge") / "package", seed=4)


def test_a_challenge_hides_its_answers(benchmark, package, samples):
    assert sorted(p.name for p in package.iterdir()) == ["organiser", "public"]
    test = af.SampleSet.open(package / "public" / "test")
    assert set(test.roles) == {"object_id", "mag_g", "colour"} and set(test.modalities) == {"spectrum", "table"}
    assert not set(test.object_ids) & set(samples.object_ids)
    content = b"".join(p.read_bytes() for p in (package / "public").rglob("*") if p.is_file() and "train" not in p.parts)
    assert not any(i.encode() in content for i in benchmark.split.test)
    train = af.SampleSet.open(package / "public" / "train")
    assert set(train.object_ids) == set(benchmark.split.train) and "label" in train.roles
    rows = [line.split(",") for line in (package / "organiser" / "ids.csv").read_text().splitlines()[1:]]
    own = dict(rows)
    assert [own[i] for i in test.object_ids] != list(benchmark.split.test) and set(own.values()) == set(benchmark.split.test)
    labels = dict(line.split(",") for line in (package / "organiser" / "labels.csv").read_text().splitlines()[1:])
    truth = dict(zip(samples.object_ids, samples.column("label").data, strict=True))
    assert all(labels[new] == truth[old] for new, old in own.items())
    mine, theirs = test.arrays("spectrum", [0])["flux"], samples.select([own[test.object_ids[0]]]).arrays("spectrum")["flux"]
    assert np.array_equal(mine, theirs)
    told = (package / "public" / "README.md").read_text()
    assert "balanced_accuracy" in told and benchmark.digest in told and "Simulated" in told
    assert set(benchmark.export(package.parent / "again").joinpath("organiser", "ids.csv").read_text().splitlines()) != set((package / "organiser" / "ids.csv").read_text().splitlines())


def scored(package, submission, labels="organiser/labels.csv"):
    return subprocess.run([sys.executable, "-I", package / "public" / "score.py", submission, package / labels], capture_output=True, text=True, check=False)


def test_the_score_script_needs_numpy_only_and_agrees(benchmark, package, tmp_path):
    own = dict(line.split(",") for line in (package / "organiser" / "ids.csv").read_text().splitlines()[1:])
    old_to_new = {old: new for new, old in own.items()}
    table = said(benchmark)
    lines = [",".join(table.colnames), *(",".join([old_to_new[row["object_id"]], *(repr(float(row[c])) for c in benchmark.columns)]) for row in table)]
    file = tmp_path / "submission.csv"
    file.write_text("\n".join(lines) + "\n")
    told = json.loads(scored(package, file).stdout)
    ours = benchmark.score(table, resamples=2).scores
    for metric in benchmark.metrics:
        assert told[metric] == pytest.approx(ours[metric][0], abs=1e-9), metric
    sample = json.loads(scored(package, package / "public" / "sample_submission.csv").stdout)
    assert sample["balanced_accuracy"] == pytest.approx(1 / 3)
    source = (package / "public" / "score.py").read_text()
    assert {line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))} == {"csv", "json", "sys", "typing", "numpy"}
    for match, bad in (("missing", "\n".join(lines[:-1])), ("there twice", "\n".join([*lines, lines[-1]])), ("no probabilities", "\n".join(lines).replace(lines[1], lines[1].rsplit(",", 1)[0] + ",7")), ("number", "\n".join(lines).replace(lines[1], lines[1].rsplit(",", 1)[0] + ",x"))):
        file.write_text(bad + "\n")
        done = scored(package, file)
        assert done.returncode != 0 and match in done.stderr


def test_a_challenge_of_numbers(samples, tmp_path):
    from dataclasses import replace

    made = Benchmark(replace(ENTRY, target="redshift", task="regression", metrics=("rmse", "redshift_nmad", "redshift_outliers", "redshift_bias", "mae", "r2", "bias"), controls={}), samples=samples)
    package = made.export(tmp_path / "package")
    told = json.loads(scored(package, package / "public" / "sample_submission.csv").stdout)
    chance = next(r for r in made.baselines(resamples=2) if r.name == "chance")
    for metric in made.metrics:
        assert told[metric] == pytest.approx(chance.scores[metric][0], abs=1e-9), metric
