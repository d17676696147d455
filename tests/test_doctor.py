"""The doctor finds what is wrong and says what to do."""

from pathlib import Path

import astrofuse_lab as af


def rows(table):
    return {row["check"]: row for row in table}


def test_reports_what_matters():
    found = rows(af.doctor())
    for check in ("python", "torch", "memory", "device", "cache", "mirror", "widget views", "lab extension"):
        assert check in found
    assert set(af.doctor()["state"]) <= {"ok", "note", "problem"}


def test_every_problem_comes_with_advice(monkeypatch, tmp_path):
    monkeypatch.setenv("ASTROFUSE_MIRROR", str(tmp_path / "nowhere"))
    table = af.doctor()
    assert rows(table)["mirror"]["state"] == "problem"
    assert "ASTROFUSE_MIRROR" in table.meta["summary"]
    assert all(row["advice"] for row in table if row["state"] == "problem")


def test_an_unwritable_cache_is_a_problem(monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", "/proc/astrofuse")
    assert rows(af.doctor())["cache"]["state"] == "problem"


def test_no_cuda_packages_without_a_gpu():
    import runpy

    runpy.run_path(str(Path(__file__).parents[1] / ".ci/check-no-cuda.py"))
