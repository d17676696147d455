"""Neighbours, agreement of maps, clusters and anomalies, beside scikit-learn, SciPy and literal loops."""

import numpy as np
import pytest
from scipy.spatial import procrustes
from sklearn.cluster import HDBSCAN
from sklearn.manifold import trustworthiness
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain import agreement, grouping, neighbourhoods_large
from astrofuse_lab.explain.embedding import Embedding
from astrofuse_lab.explain.neighbourhoods import mean_interval, nearest, shared
from astrofuse_lab.explain.neighbourhoods_large import neighbourhood
from astrofuse_lab.explain.planes import principal_plane

rng = np.random.default_rng(0)


def blobs(n=300, width=6, groups=3, spread=0.3):
    label = np.sort(np.random.default_rng(1).choice(groups, n, p=[0.5, 0.3, 0.2]))
    return (np.random.default_rng(2).normal(0, spread, (n, width)) + 4 * np.eye(groups, width)[label]).astype(np.float32), label


def by_hand(spaces, present=None, parts=None, **more):
    """An Embedding of given vectors, PCA as its map."""
    n = len(next(iter(spaces.values())))
    present = present or {name: np.ones(n, dtype=bool) for name in spaces}
    planes = {}
    for name, one in spaces.items():
        planes[name] = np.full((n, 2), np.nan, dtype=np.float32)
        planes[name][present[name]] = principal_plane(one[present[name]])
    ids = np.array([f"s{i}" for i in range(n)])
    return Embedding(planes, present, ids, more.pop("method", "pca"), (), more.pop("k", 10), 0, {}, np.full(n, "") if parts is None else parts, _vectors=spaces, **more)


# ---- neighbours ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "width", "shift"), [(3000, 20, 0.0), (700, 5, 1000.0), (12, 3, 0.0)])
def test_nearest_by_scikit_learn(n, width, shift):
    points = (rng.normal(size=(n, width)) + shift).astype(np.float32)
    near, distance = nearest(points, 7)
    expected, order = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(points.astype(np.float64)).kneighbors()
    np.testing.assert_allclose(distance, expected, rtol=1e-5, atol=1e-5)
    assert (near == order).mean() > 0.999  # two that are equally near may change places
    near, distance = nearest(points, 3, points[:5] + 0.01)
    expected = NearestNeighbors(n_neighbors=3).fit(points.astype(np.float64)).kneighbors((points[:5] + 0.01).astype(np.float64))[0]
    np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=1e-5)


def test_twins_are_neighbours_and_nobody_is_his_own():
    points = np.repeat(rng.normal(size=(5, 3)), 4, axis=0)
    near, distance = nearest(points, 3)
    for i in range(20):
        assert set(near[i]) == set(range(i // 4 * 4, i // 4 * 4 + 4)) - {i}
    assert not distance.any()
    assert [one.shape for one in nearest(points[:2], 9)] == [(2, 1), (2, 1)]
    assert [one.shape for one in nearest(points[:1], 9)] == [(1, 0), (1, 0)]


def test_cells_find_what_all_pairs_find(monkeypatch):
    monkeypatch.setattr(neighbourhoods_large, "FROM", 2000)
    points, _ = blobs(6000, 4)
    with monkeypatch.context() as patch:  # all pairs only for those on which it is measured
        patch.setattr(neighbourhoods_large, "nearest", lambda vectors, k, queries=None, **more: nearest(vectors, k, queries[:], **more))
        near, distance, found = neighbourhood(points, 10)
    truth, far = nearest(points, 10)
    assert 0.98 <= found <= 1
    assert shared(near, truth).mean() == pytest.approx(found, abs=0.01)
    assert (distance >= far - 1e-5).all()
    assert (near != np.arange(6000)[:, None]).all()
    # where there is nothing to go by, all pairs are looked at
    noise = np.random.default_rng(0).normal(size=(2500, 64)).astype(np.float32)
    near, _, found = neighbourhood(noise, 5)
    assert found == 1
    np.testing.assert_array_equal(near, nearest(noise, 5)[0])


def test_shared_neighbours_by_sets():
    first, second = (np.stack([rng.permutation(30)[:6] for _ in range(50)]) for _ in range(2))
    expected = [len(set(a) & set(b)) / 6 for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(shared(first, second), expected)
    mean, low, high = mean_interval(np.array([0.2, 0.4, np.nan, 0.6]))
    assert (mean, high - mean) == (pytest.approx(0.4), pytest.approx(1.96 * 0.2 / np.sqrt(3)))
    assert low == pytest.approx(2 * mean - high)


# ---- agreement -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 8, 30])
def test_trustworthiness_by_scikit_learn(k):
    points, _ = blobs(150)
    plane = principal_plane(points)
    assert agreement.trust_of_each(points, plane, k).mean() == pytest.approx(trustworthiness(points, plane, n_neighbors=k), abs=1e-6)


def test_procrustes_by_scipy_and_turns_undone():
    plane = rng.normal(size=(60, 2))
    other = plane + rng.normal(0, 0.5, (60, 2))
    assert agreement.unlike(plane, other) == pytest.approx(procrustes(plane, other)[2])
    angle = 2.0
    mirror = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])
    moved = plane @ mirror + [3, -7]
    moved[5] = np.nan
    turned = agreement.turned(moved, plane)
    np.testing.assert_allclose(np.delete(turned, 5, 0), np.delete(plane, 5, 0), atol=1e-5)
    assert np.isnan(turned[5]).all()
    # never stretched
    assert np.ptp(agreement.turned(3 * plane, plane)) == pytest.approx(3 * np.ptp(plane), rel=0.2)


def test_badges_of_a_map_that_keeps_all_and_of_one_that_keeps_nothing():
    flat = by_hand({"fused": rng.normal(size=(400, 2)).astype(np.float32)})
    trust, kept = flat.badges()
    assert trust["value"] == pytest.approx(1) and kept["value"] == pytest.approx(1)
    lost = by_hand({"fused": rng.normal(size=(400, 60)).astype(np.float32)})
    lost.coordinates["fused"][:] = rng.normal(size=(400, 2))
    trust, kept = lost.badges()
    assert trust["low"] < trust["value"] < trust["high"] < 0.6
    assert abs(kept["value"] - 10 / 399) < 0.02  # chance
    assert "0.025 by chance" in kept["says"]
    few = by_hand({"fused": rng.normal(size=(2, 4)).astype(np.float32)}).badges()
    assert all(np.isnan(one["value"]) and "too few" in one["says"] for one in few)


def test_seed_badges():
    points, _ = blobs(200)
    plane = principal_plane(points)
    stable, shift = agreement.seed_badges([plane, plane @ np.array([[0, 1], [-1, 0]])], 8, 200)
    assert stable["value"] == pytest.approx(1) and shift["value"] == pytest.approx(0, abs=1e-6)
    stable, shift = agreement.seed_badges([plane, rng.permutation(plane)], 8, 900)
    assert stable["value"] < 0.12 and shift["value"] > 0.9
    assert "200 samples drawn from 900" in stable["says"]


def test_complementarity_of_the_same_of_unlike_and_of_absent():
    points = rng.normal(size=(600, 5)).astype(np.float32)
    other = rng.normal(size=(600, 8)).astype(np.float32)
    has = rng.random(600) < 0.5
    other[~has] = np.nan
    made = by_hand({"a": points, "b": points * 3 + 1, "c": other}, {"a": np.ones(600, bool), "b": np.ones(600, bool), "c": has})
    found = made.complementarity(k=6)
    assert found.overlap[0, 1] == found.jaccard[0, 1] == 1
    assert found.low[0, 2] < found.chance[0, 2] < found.high[0, 2]
    assert found.count[0, 2] == has.sum()
    np.testing.assert_array_equal(np.isfinite(found.between("a", "c")), has)
    # of one sample, by hand
    both = np.flatnonzero(has)
    i = both[3]
    near = [set(both[np.argsort(np.linalg.norm(v[both] - v[i], axis=1))[1:7]]) for v in (points, other)]
    assert found.between("c", "a")[i] == pytest.approx(len(near[0] & near[1]) / 6)
    assert list(found.table()["samples"]) == [600, has.sum(), has.sum()]
    with pytest.raises(UnknownNameError, match="Known: a, b, c"):
        found.between("a", "fused")


# ---- clusters and anomalies ----------------------------------------------------------------------------------------


def test_clusters_by_scikit_learn_named_by_size():
    points, label = blobs()
    made = by_hand({"fused": points, "half": np.where(label[:, None] == 0, np.nan, points)}, {"fused": np.ones(300, bool), "half": label != 0})
    found = made.clusters()
    assert found.count == 3
    expected = HDBSCAN(min_cluster_size=6, min_samples=5, copy=True).fit(points.astype(np.float64)).labels_
    for cluster in range(3):
        members = found.members(cluster)
        assert len(set(expected[members])) == 1 and set(members) == set(np.flatnonzero(expected == expected[members[0]]))
        assert (label[members] == cluster).all()  # the draw made 0 the largest
    assert set(found.table()["cluster"].compressed()) == {0, 1, 2}
    half = made.clusters("half", on="plane")
    assert (half.labels[label == 0] == -2).all() and half.count == 2
    assert "map" in repr(half) and "space itself" in repr(found)
    with pytest.raises(InputError, match="least=1"):
        made.clusters(least=1)
    with pytest.raises(UnknownNameError, match="plane"):
        made.clusters(on="map")
    assert by_hand({"fused": points[:3]}).clusters().count == 0


def test_the_rest_joins_the_cluster_of_the_nearest(monkeypatch):
    monkeypatch.setattr(grouping, "MOST", 120)
    points, label = blobs()
    found = by_hand({"fused": points}).clusters()
    assert found.count == 3 and "120 of 300" in found.notes[0]
    inside = found.labels >= 0
    assert inside.mean() > 0.9 and (found.labels[inside] == label[inside]).all()


def test_anomalies_by_scikit_learn_and_a_planted_one():
    points, _ = blobs()
    points[17] = 40
    absent = np.ones(300, bool)
    absent[4] = False
    made = by_hand({"fused": points}, {"fused": absent})
    for by in grouping.BY:
        found = made.anomalies(by=by, k=9)
        assert found["percentile"].argmax() == 17 and found["percentile"][17] > 99.5
        assert found["score"].mask[4] and found["nearest"].mask[4].all() and not found["score"].mask[5]
        assert found["nearest"].shape == (300, 9)
    expected = -LocalOutlierFactor(n_neighbors=9).fit(points[absent]).negative_outlier_factor_
    np.testing.assert_allclose(made.anomalies(by="local_outlier_factor", k=9)["score"].compressed(), expected, rtol=1e-4)
    with pytest.raises(UnknownNameError, match="local_outlier_factor"):
        made.anomalies(by="lof_outlier_factor")
    assert by_hand({"fused": points[:1]}).anomalies()["score"].mask.all()


# ---- from one space to another -------------------------------------------------------------------------------------


def pair(n=400, noise=0.1, related=True):
    hidden = np.random.default_rng(3).normal(size=(n, 6))
    first = hidden @ np.random.default_rng(4).normal(size=(6, 20))
    second = (hidden if related else np.random.default_rng(5).normal(size=(n, 6))) @ np.random.default_rng(6).normal(size=(6, 15))
    first, second = (x + noise * rng.normal(size=x.shape) for x in (first, second))
    parts = np.array(["train"] * (n // 2) + ["test"] * (n - n // 2))
    return by_hand({"image": first.astype(np.float32), "spectrum": second.astype(np.float32)}, parts=parts)


def test_retrieval_through_a_mapping_that_was_learnt():
    made = pair(noise=0.6)
    found = made.retrieve(["s390", "s2"], "image", "spectrum", k=5)
    assert found.ids.shape == (2, 5) and "s2" in found.ids[1]
    assert found.held_out == 200 and found.recall > 0.5 and found.chance == pytest.approx(5 / 200)
    assert found.low < found.recall < found.high <= 1
    assert (np.diff(found.score, axis=1) <= 0).all()
    assert found.table()["own"].sum() == sum(query in ids for query, ids in zip(("s390", "s2"), found.ids, strict=True))
    assert "no better than chance" not in found.says


def test_retrieval_where_there_is_nothing_to_find_says_so():
    found = pair(related=False).retrieve("s3", "image", "spectrum", k=10)
    assert found.low < found.chance < found.high
    assert "no better than chance: do not read anything into these" in found.says


def test_retrieval_without_a_training_part_and_what_it_refuses():
    made = pair()
    made = by_hand(made._vectors)
    found = made.retrieve("s3", "spectrum", "image")
    assert found.held_out == 200 and "random half" in found.says
    for arguments, message in [
        (("s3", "image", "image"), "both 'image'"), (("s3", "image", "text"), "no space"), (("x3", "image", "spectrum"), "no sample"),
        (("s3", "image", "spectrum", 0), "at least 1"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=message):
            made.retrieve(*arguments)
    made._vectors["image"][3] = np.nan
    with pytest.raises(InputError, match="1 of 1 queries have no image: s3"):
        made.retrieve("s3", "image", "spectrum")
    with pytest.raises(InputError, match="needs 32"):
        by_hand({name: one[:20] for name, one in pair()._vectors.items()}).retrieve("s1", "image", "spectrum")
