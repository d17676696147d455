import os
import subprocess
import sys
import threading
import time

import explain_cases as cases
import numpy as np
import pytest
from sklearn.decomposition import PCA

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain import umap_child
from astrofuse_lab.explain.planes import How, make_planes, principal_plane

MODALITIES = cases.MODALITIES


def clusters(n=60, width=8):
    rng = np.random.default_rng(0)
    label = np.arange(n) % 3
    return (rng.normal(size=(n, width)) + 12 * np.eye(3, width)[label]).astype(np.float32), label


@pytest.fixture(scope="module")
def found():
    return explain.embed(cases.trained(), cases.samples(), "pca")


# ---- PCA -----------------------------------------------------------------------------------------------------------


def test_principal_plane_is_pca_with_a_fixed_sign():
    vectors, _ = clusters()
    plane = principal_plane(vectors)
    expected = PCA(2, svd_solver="full").fit(vectors)
    np.testing.assert_allclose(np.abs(plane), np.abs(expected.transform(vectors)), atol=1e-3)
    np.testing.assert_array_equal(plane, principal_plane(vectors))
    # turning the order of the samples round must not mirror the plane
    np.testing.assert_allclose(principal_plane(vectors[::-1])[::-1], plane, atol=1e-3)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (2, 4), (3, 1), (5, 2)])
def test_principal_plane_of_few(shape):
    plane = principal_plane(np.random.default_rng(0).normal(size=shape))
    assert plane.shape == (shape[0], 2)
    assert np.isfinite(plane).all()


# ---- spaces --------------------------------------------------------------------------------------------------------


def test_vectors_are_those_of_the_model(found):
    run = cases.trained()
    fused = run.forward(cases.samples()).fused
    np.testing.assert_allclose(found.vectors(), fused.vector.numpy(), atol=1e-5)
    for name in MODALITIES:
        tokens = fused.tokens[name]
        for i in np.flatnonzero(cases.samples().present(name))[:5]:
            np.testing.assert_allclose(found.vectors(name)[i], tokens.values[i][tokens.mask[i]].mean(0).numpy(), atol=1e-5)


def test_missing_modalities_have_no_place_and_that_is_said(found):
    for name in MODALITIES:
        present = cases.samples().present(name)
        np.testing.assert_array_equal(found.present[name], present)
        np.testing.assert_array_equal(np.isfinite(found.coordinates[name]).all(1), present)
        np.testing.assert_array_equal(found.neighbours(name).mask.all(1), ~present)
        said = f"{(~present).sum()} of 40 samples have no {name}"
        assert any(said in note for note in found.notes) == (not present.all())
    assert np.isfinite(found.coordinates["fused"]).all()
    table = found.table()
    assert list(table["object_id"]) == list(cases.samples().object_ids)
    assert list(table["label"]) == list(cases.samples().column("label"))
    assert list(table["prediction"]) == list(cases.trained().predict(cases.samples())["prediction"])
    np.testing.assert_array_equal(table["text_x"].mask, ~cases.samples().present("text"))


def test_neighbours_by_brute_force(found):
    for space in ("fused", "spectrum"):
        vectors = found.vectors(space).astype(float)
        near = found.neighbours(space, 4)
        for i in np.flatnonzero(found.present[space]):
            distance = np.linalg.norm(vectors - vectors[i], axis=1)
            distance[i] = np.nan
            np.testing.assert_allclose(distance[near[i].compressed()], np.sort(distance[np.isfinite(distance)])[:4], rtol=1e-3, atol=1e-4)
            assert i not in near[i].compressed()


def test_trustworthiness_of_a_plane_is_one():
    from dataclasses import replace

    found = explain.embed(cases.trained(), cases.samples(), "pca", spaces=["fused"])
    plane = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    same = replace(found, coordinates={"fused": plane}, _vectors={"fused": plane})
    assert same.trustworthiness() == pytest.approx(1.0)
    shuffled = replace(found, coordinates={"fused": plane[::-1].copy()}, _vectors={"fused": plane})
    assert shuffled.trustworthiness() < 0.8
    assert 0.5 < found.trustworthiness() <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_tiny_sets(count):
    few = cases.samples().take(np.arange(count))
    found = explain.embed(cases.trained(), few, "umap" if count < 5 else "pca")
    assert found.method == "pca"
    assert found.neighbours().shape == (count, count - 1)
    assert np.isfinite(found.coordinates["fused"]).all()
    assert np.isnan(found.trustworthiness()) == (count < 3)
    for name in MODALITIES:
        np.testing.assert_array_equal(np.isfinite(found.coordinates[name]).all(1), few.present(name))


def test_decision_level_and_chunks():
    run = cases.trained("decision_average")
    whole = explain.embed(run, cases.samples(), "pca")
    np.testing.assert_allclose(explain.embed(run, cases.samples(), "pca", rows=7).vectors("image"), whole.vectors("image"), atol=1e-5)


def test_bad_input():
    run, samples = cases.trained(), cases.samples()
    with pytest.raises(UnknownNameError, match="umap"):
        explain.embed(run, samples, "umpa")
    with pytest.raises(UnknownNameError, match="fused"):
        explain.embed(run, samples, "pca", spaces=["fuzed"])
    with pytest.raises(InputError, match="no samples"):
        explain.embed(run, samples.take([]), "pca")
    with pytest.raises(InputError, match="at least 1"):
        explain.embed(run, samples, "pca", neighbours=0)


# ---- UMAP in a process that ends -----------------------------------------------------------------------------------


def test_umap_keeps_clusters_apart_and_is_the_same_again():
    vectors, label = clusters()
    loaded, told = "umap" in sys.modules, []
    # the same vectors twice, and too few for a spectral start, in one process: it takes its time to compile
    planes = make_planes({"a": vectors, "b": vectors, "few": vectors[:6]}, "umap", How(10, 3, 300, on_progress=told.append)).planes
    np.testing.assert_array_equal(planes["a"], planes["b"])
    assert planes["a"].dtype == np.float32
    assert planes["few"].shape == (6, 2)
    for i, point in enumerate(planes["a"]):
        distance = np.linalg.norm(planes["a"] - point, axis=1)
        assert (label[np.argsort(distance)[1:6]] == label[i]).all()
    assert [t["space"] for t in told] == ["a", "b", "few"]
    assert ("umap" in sys.modules) == loaded  # nothing of it stays here
    assert not [p for p in _children() if "umap_process" in p]


def test_embedding_by_umap():
    found = explain.embed(cases.trained(), cases.samples(), spaces=["fused", "text"], seed=1)
    assert found.method == "umap"
    assert found.trustworthiness() > 0.7
    np.testing.assert_array_equal(np.isfinite(found.coordinates["text"]).all(1), cases.samples().present("text"))
    assert found.table().meta["method"] == "umap"
    badges = {badge["name"]: badge for badge in found.badges(seeds=2, timeout=300)}
    assert list(badges) == ["trustworthiness", "neighbours kept", "seed stability", "seed shift"]
    assert badges["trustworthiness"]["value"] == pytest.approx(found.trustworthiness())
    assert badges["seed stability"]["low"] < badges["seed stability"]["value"] <= 1
    assert found.badges(seeds=2) == list(badges.values())  # kept: nothing is made again


def _children():
    import psutil

    return [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]


def _falls_back(reason, **arguments):
    with pytest.warns(RuntimeWarning, match=f"PCA instead of UMAP: .*{reason}"):
        found = explain.embed(cases.trained(), cases.samples(), spaces=["fused"], **arguments)
    assert found.method == "pca"
    assert any("PCA instead of UMAP" in note for note in found.notes)
    np.testing.assert_array_equal(found.coordinates["fused"], explain.embed(cases.trained(), cases.samples(), "pca").coordinates["fused"])
    assert not [p for p in _children() if "umap_process" in p]


def test_time_runs_out():
    _falls_back("longer than 0.2 s", timeout=0.2)


def test_umap_is_missing(monkeypatch):
    monkeypatch.setattr(umap_child.importlib.util, "find_spec", lambda name: None)
    _falls_back("'numba' is not installed")


def test_the_process_fails(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'OSError: libllvm is gone' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(umap_child.sys, "executable", str(broken))
    _falls_back("libllvm is gone")


def test_the_process_is_killed(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nkill -9 $$\n")
    broken.chmod(0o755)
    monkeypatch.setattr(umap_child.sys, "executable", str(broken))
    _falls_back("signal 9, as happens when memory runs out")


def test_memory_is_short(monkeypatch):
    monkeypatch.setenv("MEM_LIMIT", str(200 * 1024**2))
    _falls_back("MEM_LIMIT")


def test_stop_ends_the_process_at_once():
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    begin = time.monotonic()
    found = explain.embed(cases.trained(), cases.samples(), spaces=["fused"], stop=stop)
    assert found.method == "pca"
    assert "it was stopped" in found.notes[0]
    assert time.monotonic() - begin < 60
    assert not [p for p in _children() if "umap_process" in p]


def test_the_process_does_not_outlive_its_parent(tmp_path):
    np.save(tmp_path / "000.npy", clusters(400, 32)[0])
    child = subprocess.Popen([sys.executable, "-m", "astrofuse_lab.explain.umap_process", str(tmp_path)], stdin=subprocess.PIPE, env=dict(os.environ))
    child.stdin.close()
    try:
        assert child.wait(timeout=60) == 1
    finally:
        child.kill()
    assert not list(tmp_path.glob("*.xy.npy"))
