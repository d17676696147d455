"""Benchmarks: one line format, the two options each of them takes, and `make prove` going on where it stopped. Nothing is timed here."""

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
NAMES = sorted(p.stem for p in FOLDER.glob("*.py") if p.stem not in ("reporting", "prove", "systems_parts", "bokeh_student") and not p.stem.startswith("align_"))
PARTS = sorted(p.stem for p in FOLDER.glob("align_*.py"))
FIELDS = ["work", "peer", "equal", "error", "tolerance", "seconds", "peer_seconds", "ratio", "goal", "machine"]


@pytest.fixture
def bench(monkeypatch):
    """Import a file of benchmarks/ as it is imported when run from there."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_a_line_holds_the_fields_of_the_format_in_order(bench, capsys):
    line = bench("reporting").Line("sum", "numpy", True, 1.23456e-9, 1e-6, 2.0, 3.0, 0.95)
    line.print()
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    told = json.loads(printed)
    assert list(told) == FIELDS
    assert (told["ratio"], told["goal"], told["error"]) == (1.5, 0.95, 1.235e-9)
    assert "cores" in told["machine"]


def test_what_json_cannot_hold_is_null(bench):
    told = bench("reporting").Line("sum", "numpy", False, math.nan, 0.0, 0.0, 3.0).to_json()
    assert (told["error"], told["ratio"], told["goal"]) == (None, None, None)
    json.dumps(told, allow_nan=False)


def test_pairs_are_run_in_turns_and_the_first_is_not_counted(bench):
    calls = []
    bench("reporting").interleaved(lambda: calls.append("ours"), lambda: calls.append("peer"), pairs=3)
    assert calls == ["ours", "peer"] * 4

COSTLY = ("fuse", "fusion_levels", "planted")
"""Begun in full counts alone."""


def test_there_is_one_for_each_claim():
    assert {"align", "fuse", "import_time", "practice_sky", "train", "ztf_alerts"} <= set(NAMES)


@pytest.mark.parametrize("name", PARTS)
def test_every_part_of_aligning_gives_lines(name):
    text = (FOLDER / f"{name}.py").read_text()
    assert "def lines(quick: bool) -> Iterator[Line]:" in text and "interleaved(" in text


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.full) if name in COSTLY else name for name in NAMES])
def test_every_benchmark_takes_quick_and_json_and_reports_by_lines(name):
    done = subprocess.run([sys.executable, f"benchmarks/{name}.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--quick" in done.stdout and "--json" in done.stdout
    text = (FOLDER / f"{name}.py").read_text()
    assert "from reporting import" in text and (".print()" in text or "sys.exit(report(" in text)


def test_every_part_of_align_has_rows(bench, monkeypatch, capsys, tmp_path):
    align, reporting = bench("align"), bench("reporting")
    assert [f"align_{part}" for part in align.PARTS] == PARTS and "align_images" in PARTS
    made = reporting.Line("a", "b", True, 0.0, 1e-3, 1.0, 50.0, 40.0)
    asked = []
    for part in PARTS:
        monkeypatch.setattr(bench(part), "lines", lambda quick, part=part: asked.append((part, quick)) or iter([made]))
    monkeypatch.setattr(reporting, "RESULTS", tmp_path)
    assert align.main(["images", "--quick", "--json"]) == 0 and asked == [("align_images", True)]
    assert json.loads(capsys.readouterr().out)["ratio"] == 50.0 and not list(tmp_path.iterdir())
    assert align.main([]) == 0
    assert "goal 40x" in capsys.readouterr().out and len(json.loads((tmp_path / "align.json").read_text())["lines"]) == len(PARTS)
    monkeypatch.setattr(bench("align_images"), "lines", lambda quick: iter([reporting.Line("a", "b", False, 1.0, 1e-3, 1.0, 50.0, 40.0)]))
    assert align.main(["images", "--quick"]) == 1 and "NOT EQUAL" in capsys.readouterr().out


def test_json_alone_is_printed_when_asked_for():
    # its exit status says whether the machine at hand was quick enough, which is none of this test's business
    done = subprocess.run([sys.executable, "benchmarks/import_time.py", "--quick", "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines and all(list(line) == FIELDS for line in lines)
    assert lines[0]["error"] == 0, "a heavy library is imported by the door"


def test_the_practice_sky_is_measured_on_every_subset(bench):
    import astrofuse_lab as af

    module = bench("practice_sky")
    samples = af.load_samples("practice", n=60, progress=False).take(range(60))
    split = samples.split(test=0.25)
    each = [[module.trained(dropout, samples, split, 0, epochs=1)] for dropout in (module.DROPOUT, 0.0)]
    rows = module.rows_of(*each)
    assert [row["count"] for row in rows] == [0] + [1] * 5 + [2] * 10 + [3] * 10 + [4] * 5 + [5]
    line = module.line_of(rows, *each).to_json()
    four = [row for row in rows if row["count"] == 4]
    better = sum(row["with_dropout"] - row["without"] for row in four) / 5
    assert line["equal"] == (better >= -line["tolerance"])
    assert line["seconds"] != line["peer_seconds"] and min(line["seconds"], line["peer_seconds"]) > 0


@pytest.fixture
def prove(bench, tmp_path, monkeypatch):
    """`prove` with two small parts, results of its own, and a commit and a mirror that the test decides."""
    module = bench("prove")
    say = "import sys; open(sys.argv[1], 'a').write('x'); print(sys.argv[2]); sys.exit(int(sys.argv[3]))"
    parts = {"one": (tmp_path / "one", "fine", "0"), "two": (tmp_path / "two", "SKIPPED [1] tests/t.py:1: real data: no mirror at nowhere", "0")}
    monkeypatch.setattr(module, "PARTS", {name: [sys.executable, "-c", say, *map(str, given)] for name, given in parts.items()})
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "commit", lambda: "abc1234")
    monkeypatch.setattr(module, "MIRROR", str(tmp_path / "mirror"))
    return module


def runs(tmp_path, name):
    file = tmp_path / name
    return len(file.read_text()) if file.exists() else 0


def test_prove_goes_on_where_it_stopped(prove, tmp_path, capsys, monkeypatch):
    assert prove.main(["one"]) == 0
    assert prove.main([]) == 0
    assert (runs(tmp_path, "one"), runs(tmp_path, "two")) == (1, 1)
    told = json.loads((tmp_path / "results" / "prove-one.json").read_text())
    assert (told["commit"], told["passed"]) == ("abc1234", True) and told["date"] and told["machine"]
    # a result cut short, and one of another commit, are made again
    (tmp_path / "results" / "prove-one.json").write_text('{"part": "one", "pas')
    prove.main([])
    assert (runs(tmp_path, "one"), runs(tmp_path, "two")) == (2, 1)
    monkeypatch.setattr(prove, "commit", lambda: "abc1234+changes")
    prove.main([])
    assert (runs(tmp_path, "one"), runs(tmp_path, "two")) == (3, 2)


def test_prove_names_skipped_real_data_last_and_makes_up_for_it(prove, tmp_path, capsys):
    prove.main([])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "real-data checks skipped: two: SKIPPED [1] tests/t.py:1: real data: no mirror at nowhere"
    (tmp_path / "mirror" / "ztf_alerts").mkdir(parents=True)
    prove.PARTS["two"][4] = "done"
    prove.main([])
    assert (runs(tmp_path, "one"), runs(tmp_path, "two")) == (1, 2)
    assert capsys.readouterr().out.splitlines()[-1] == "real-data checks skipped: none"


def test_prove_fails_with_a_part_that_fails(prove, tmp_path, capsys):
    prove.PARTS["one"][5] = "1"
    assert prove.main([]) == 1
    assert "1 failed: one" in capsys.readouterr().out
    prove.PARTS["one"][5] = "0"
    assert prove.main([]) == 0 and (runs(tmp_path, "one"), runs(tmp_path, "two")) == (2, 1)
    assert prove.main(["three"]) == 2 and "no part 'three'" in capsys.readouterr().out
