"""Layers, new samples on an old map, retrieval in a shared space, epochs, and embeddings as folders."""

import itertools
import json
import os
import shutil
import threading
from dataclasses import replace

import explain_cases as cases
import numpy as np
import pytest
from conftest import make_toy_samples
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, MissingExtraError, RunError, StorageError, UnknownNameError
from astrofuse_lab.explain import umap_layout
from astrofuse_lab.explain.agreement import trust_of_each
from astrofuse_lab.explain.embedding_epochs import aligned
from astrofuse_lab.explain.neighbourhoods import nearest
from astrofuse_lab.explain.placing import placed
from astrofuse_lab.explain.planes import How, make_planes, on_axes, principal_plane
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training import epoch_weights
from astrofuse_lab.training.loop import train


@pytest.fixture(scope="module")
def found():
    return explain.embed(cases.trained(), cases.samples(), "pca")


# ---- layers --------------------------------------------------------------------------------------------------------


def test_layers_are_listed_and_each_can_be_mapped(found):
    run, samples = cases.trained(), cases.samples()
    table = explain.layers(run, samples)
    assert {"encoders.image", "encoders.spectrum.stem", "fusions.all.layers.0"} <= set(table["layer"])
    made = explain.embed(run, samples, "pca", spaces=["fused", "layer:encoders.image"], layer=["encoders.spectrum.stem", "fusions.all.layers.0"])
    assert made.spaces == ("fused", "layer:encoders.image", "layer:encoders.spectrum.stem", "layer:fusions.all.layers.0")
    widths = dict(zip(table["layer"], table["width"], strict=True))
    for space in made.spaces[1:]:
        assert made.vectors(space).shape == (40, widths[space.removeprefix("layer:")])
    # an encoder's own output is the modality's space; a sample without it has no place
    np.testing.assert_allclose(made.vectors("layer:encoders.image"), found.vectors("image"), atol=1e-5)
    np.testing.assert_array_equal(made.present["layer:encoders.spectrum.stem"], cases.samples().present("spectrum"))
    assert explain.embed(run, samples, "pca", layer="encoders.text").spaces == ("layer:encoders.text",)


def test_a_layer_is_averaged_over_its_places(found):
    import torch

    run, samples, kept = cases.trained(), cases.samples(), {}
    made = explain.embed(run, samples, "pca", layer=["encoders.spectrum.stem", "fusions.all.layers.0"])
    for name in ("encoders.spectrum.stem", "fusions.all.layers.0"):
        hook = run.model.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: kept.update({name: out}))
        with torch.inference_mode():
            fused = run.forward(samples).fused
        hook.remove()
    stem = kept["encoders.spectrum.stem"].mean(2).numpy()  # (batch, channel, place)
    there = samples.present("spectrum")
    np.testing.assert_allclose(made.vectors("layer:encoders.spectrum.stem")[there], stem[there], atol=1e-5)
    # after fusion, (batch, token, width): only tokens that are real, the class token first
    real = torch.cat([torch.ones(40, 1, dtype=torch.bool), *[one.mask for one in fused.tokens.values()]], 1)
    for i in (0, 7):
        np.testing.assert_allclose(made.vectors("layer:fusions.all.layers.0")[i], kept["fusions.all.layers.0"][i][real[i]].mean(0).numpy(), atol=1e-5)


def test_layers_that_are_none():
    run, samples = cases.trained(), cases.samples()
    with pytest.raises(UnknownNameError, match=r"encoders\.image\.stem.*af\.explain\.layers"):
        explain.embed(run, samples, "pca", layer="encoders.image.stam")
    with pytest.raises(UnknownNameError, match="A layer is named by layer:"):
        explain.embed(run, samples, "pca", spaces=["encoders.image"])
    with pytest.raises(InputError, match=r"was not used|gives no vector"):
        explain.embed(run, samples, "pca", layer="front")


# ---- methods -------------------------------------------------------------------------------------------------------


def test_the_curve_is_the_papers():
    # McInnes et al. 2018, section 4.3 (min_dist 0.001), and umap-learn's documentation of min_dist 0.1
    assert umap_layout.curve(0.001) == (pytest.approx(1.929, abs=2e-3), pytest.approx(0.7915, abs=2e-4))
    assert umap_layout.curve(0.1) == (pytest.approx(1.577, abs=1e-3), pytest.approx(0.8951, abs=1e-4))


def test_memberships_and_their_union_by_definition():
    points = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    points[3] = points[4]
    near, distance = nearest(points, 14)
    weight = umap_layout.memberships(distance)
    np.testing.assert_allclose(weight.sum(1), np.log2(15), atol=1e-3)
    assert (weight[:, 0] == 1).all() and weight[3, 1] == 1  # a twin does not hide the next
    dense = np.zeros((80, 80))
    dense[np.arange(80)[:, None], near] = weight
    dense = dense + dense.T - dense * dense.T
    begins, tails, union = umap_layout.graph(near, weight)
    again = np.zeros((80, 80))
    for i in range(80):
        again[i, tails[begins[i] : begins[i + 1]]] = union[begins[i] : begins[i + 1]]
    np.testing.assert_allclose(again, dense, atol=1e-6)


def test_forces_from_the_table():
    a, b = umap_layout.curve()
    square = np.geomspace(1e-6, 1e5, 500).astype(np.float32)
    entry = (square.view(np.int32) - umap_layout.FIRST_BITS) >> umap_layout.STEPS
    table = umap_layout.forces(a, b)[entry]
    exact = square.astype(np.float64)
    np.testing.assert_allclose(table[:, 0], -2 * a * b * exact ** (b - 1) / (1 + a * exact**b), rtol=0.01)
    np.testing.assert_allclose(table[:, 1], 2 * b / ((0.001 + exact) * (1 + a * exact**b)), rtol=0.02)


def test_a_layout_is_the_same_on_any_number_of_threads():
    points = np.random.default_rng(0).normal(size=(2200, 3)).astype(np.float32)
    near, distance = nearest(points, 10)
    start = principal_plane(points)
    one, three = (umap_layout.layout(near, distance, start, 5, epochs=6, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)
    assert not np.array_equal(one, umap_layout.layout(near, distance, start, 6, epochs=6))


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_maps_of_digits_and_samples_placed_on_them(method):
    digits = load_digits()
    chosen = np.random.default_rng(0).permutation(len(digits.data))[:700]
    points, label = digits.data[chosen].astype(np.float32), digits.target[chosen]
    made = make_planes({"a": points[:500]}, method, How(15, 0, 300))
    plane = made.planes["a"]
    assert made.method == method
    assert trust_of_each(points[:500], plane, 15).mean() > 0.97  # umap-learn's: 0.98
    new = placed(points[500:], points[:500], plane, 15, settle=method == "umap")
    own = trust_of_each(points, np.concatenate([plane, new]), 15)[500:].mean()
    # umap-learn's own transform of these reaches 0.975 (benchmarks); labels are found on the map as well as it does, 0.95
    assert own > 0.94
    assert KNeighborsClassifier(10).fit(plane, label[:500]).score(new, label[500:]) > 0.9
    # nobody's place depends on who else is placed, and who is on the map already stays
    np.testing.assert_allclose(placed(points[600:603], points[:500], plane, 15, settle=method == "umap"), new[100:103], atol=1e-5)
    np.testing.assert_allclose(placed(points[:9], points[:500], plane, 15, settle=True), plane[:9], atol=1e-4)


@pytest.mark.skipif(not os.environ.get("ASTROFUSE_PROVE"), reason="umap-learn compiles for a minute; ASTROFUSE_PROVE=1 does")
@pytest.mark.filterwarnings("ignore")
def test_graph_map_and_places_beside_umap_learn():
    import umap
    from umap.umap_ import fuzzy_simplicial_set

    digits = load_digits()
    chosen = np.random.default_rng(0).permutation(len(digits.data))[:1200]
    points, label = digits.data[chosen].astype(np.float32), digits.target[chosen]
    fitted = points[:900]
    near, distance = nearest(fitted, 14)
    begins, tails, union = umap_layout.graph(near, umap_layout.memberships(distance))
    own = np.arange(900)[:, None]
    theirs = fuzzy_simplicial_set(fitted, 15, np.random.RandomState(0), "euclidean", knn_indices=np.hstack([own, near]), knn_dists=np.hstack([0.0 * own, distance]).astype(np.float32))[0]
    ours = np.zeros((900, 900))
    for i in range(900):
        ours[i, tails[begins[i] : begins[i + 1]]] = union[begins[i] : begins[i + 1]]
    np.testing.assert_allclose(ours, theirs.toarray(), atol=1e-3)
    peer = umap.UMAP(n_neighbors=15, random_state=0, n_jobs=1).fit(fitted)
    plane = make_planes({"a": fitted}, "umap", How(15, 0, 300)).planes["a"]
    new = placed(points[900:], fitted, plane, 15, settle=True)
    maps = {"ours": (plane, new), "theirs": (peer.embedding_, peer.transform(points[900:]))}
    trust = {who: trust_of_each(points, np.concatenate(one), 15) for who, one in maps.items()}
    right = {who: KNeighborsClassifier(15).fit(one[0], label[:900]).score(one[1], label[900:]) for who, one in maps.items()}
    assert trust["ours"][:900].mean() > trust["theirs"][:900].mean() - 0.005
    assert trust["ours"][900:].mean() > trust["theirs"][900:].mean() - 0.01
    assert right["ours"] > right["theirs"] - 0.02


def test_methods_that_need_a_package(monkeypatch):
    from astrofuse_lab.explain import planes

    monkeypatch.setattr(planes.importlib.util, "find_spec", lambda name: None)
    for method, package in (("densmap", "umap-learn"), ("pacmap", "pacmap"), ("tsne", "scikit-learn")):
        with pytest.raises(MissingExtraError, match=f"pip install {package}"):
            explain.embed(cases.trained(), cases.samples(), method)


def test_the_same_vectors_by_another_method(found):
    other = found.mapped("tsne", seed=3)
    assert (other.method, other.seed) == ("tsne", 3) and not other.axes
    np.testing.assert_array_equal(other.vectors("image"), found.vectors("image"))
    again = other.mapped("pca", seed=0)
    for space in found.spaces:
        np.testing.assert_array_equal(again.coordinates[space], found.coordinates[space])
    assert again.notes == found.notes
    with pytest.raises(UnknownNameError, match="pca"):
        found.mapped("pcaa")


# ---- new samples ---------------------------------------------------------------------------------------------------


def test_new_samples_on_principal_axes_lie_where_they_would_have(found):
    run, everyone = cases.trained(), make_toy_samples(60, seed=4)
    placed_ = found.place(run, everyone)
    for space in found.spaces:
        there = placed_.present[space]
        np.testing.assert_array_equal(there, everyone.present(space) if space != "fused" else True)
        np.testing.assert_allclose(placed_.coordinates[space][there], on_axes(placed_.vectors(space)[there], found.axes[space]), atol=0)
        mean, axes = found.axes[space]
        np.testing.assert_allclose(placed_.coordinates[space][there], (placed_.vectors(space)[there] - mean) @ axes, atol=1e-4)
    # those that are on the map already fall on themselves
    again = found.place(run, cases.samples())
    np.testing.assert_array_equal(again.coordinates["fused"], found.coordinates["fused"])
    assert again.labels["unlike_fused"].max() == 0
    assert "not made again" in again.notes[0]
    with pytest.raises(InputError, match="other weights"):
        found.place(cases.trained("decision_average"), everyone)


# ---- retrieval in a shared space -----------------------------------------------------------------------------------


def test_retrieval_in_the_space_that_a_run_was_trained_to_share():
    recipe = get_recipe("late_fusion").change(objective=Part("info_nce"), head=Part("projection"))
    names = ["spectrum", "table"]
    run = train(recipe, cases.samples(), None, names, epochs=2, device="cpu", progress=False)
    made = explain.embed(run, cases.samples(), "pca")
    assert set(made._units) >= set(names)
    i = int(np.flatnonzero(cases.samples().present("spectrum"))[0])
    query = str(made.object_ids[i])
    answer = made.retrieve(query, "spectrum", "table", k=4)
    units = {name: np.ma.filled(run.embed(cases.samples())[name].astype(float), np.nan) for name in names}
    expected = np.argsort(-(units["table"] @ units["spectrum"][i]))[:4]
    np.testing.assert_array_equal(answer.positions[0], expected)
    assert "trained to share" in answer.says
    other = made.retrieve(cases.samples().take([i]), "spectrum", "table", k=4, run=run)
    np.testing.assert_array_equal(other.positions, answer.positions)
    with pytest.raises(InputError, match="run=run"):
        made.retrieve(cases.samples().take([i]), "spectrum", "table")


# ---- epochs --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "run"
    return train("late_fusion", cases.samples(), "label", ["spectrum", "table"], epochs=3, device="cpu", progress=False, out=folder, keep_epochs=True)


def test_epochs_are_those_of_the_training(kept):
    assert epoch_weights.kept_epochs(kept) == (0, 1, 2, 3)
    best = next(row["epoch"] for row in reversed(kept._history) if row["best"])
    after = epoch_weights.run_at(kept, best)
    for name, tensor in kept.model.state_dict().items():
        np.testing.assert_array_equal(after.model.state_dict()[name].numpy(), tensor.numpy())
    plain = train("late_fusion", cases.samples(), "label", ["spectrum", "table"], epochs=3, device="cpu", progress=False)
    for name, tensor in plain.model.state_dict().items():  # keeping them changes nothing
        np.testing.assert_array_equal(kept.model.state_dict()[name].numpy(), tensor.numpy())


def test_embeddings_of_epochs_lie_over_each_other(kept):
    told = []
    made = explain.embed_epochs(kept, cases.samples(), on_progress=told.append)
    assert [epoch for epoch, _ in made] == [0, 1, 2, 3]
    assert [one["done"] for one in told] == [1, 2, 3, 4]
    last = explain.embed(epoch_weights.run_at(kept, 3), cases.samples(), "pca")
    np.testing.assert_array_equal(made[-1][1].coordinates["fused"], last.coordinates["fused"])
    for (epoch, one), (_, after) in itertools.pairwise(made):
        alone = explain.embed(epoch_weights.run_at(kept, epoch), cases.samples(), "pca")
        for space in one.spaces:
            there = one.present[space]
            # no turn brings it nearer than it is, and none has stretched it
            target = after.coordinates[space][there]
            step = ((one.coordinates[space][there] - target) ** 2).sum()
            assert step <= ((alone.coordinates[space][there] - target) ** 2).sum() + 1e-6
            distance = [np.linalg.norm(x[there][:, None] - x[there][None], axis=2) for x in (one.coordinates[space], alone.coordinates[space])]
            np.testing.assert_allclose(*distance, atol=1e-4)
            np.testing.assert_allclose(on_axes(one.vectors(space)[there], one.axes[space]), one.coordinates[space][there], atol=1e-4)
    assert len(explain.embed_epochs(kept, cases.samples(), [0, 3], "umap", spaces=["fused"])) == 2


def test_alignment_undoes_any_turn(found):
    plane = found.coordinates["fused"]
    turned = replace(found, coordinates={**found.coordinates, "fused": plane @ np.array([[0, 1], [1, 0]], dtype=np.float32) + 3})
    (_, first), (_, second) = aligned([(0, found), (1, turned)])
    np.testing.assert_allclose(second.coordinates["fused"], first.coordinates["fused"], atol=1e-4)


def test_epochs_that_are_not_there(kept, tmp_path):
    with pytest.raises(RunError, match="keep_epochs=True"):
        explain.embed_epochs(cases.trained(), cases.samples())
    with pytest.raises(InputError, match="out='my_run'"):
        train("late_fusion", cases.samples(), "label", ["table"], epochs=1, device="cpu", progress=False, keep_epochs=True)
    with pytest.raises(UnknownNameError, match="kept epoch 7"):
        explain.embed_epochs(kept, cases.samples(), [7])
    with pytest.raises(UnknownNameError, match="method for epochs"):
        explain.embed_epochs(kept, cases.samples(), method="tsne")
    shutil.copytree(kept.path, tmp_path / "run")
    other = type(kept).open(tmp_path / "run", device="cpu")
    file = tmp_path / "run/epochs/0002.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match="checksum"):
        epoch_weights.run_at(other, 2)
    (tmp_path / "run/epochs/epochs.json").write_text("[1]")
    with pytest.raises(RunError, match="damaged"):
        epoch_weights.kept_epochs(other)


def test_epochs_of_a_training_that_was_stopped_and_resumed(kept, tmp_path):
    stop, given = threading.Event(), {"device": "cpu", "progress": False, "out": tmp_path / "run", "keep_epochs": True, "epochs": 3}
    names = ["spectrum", "table"]
    train("late_fusion", cases.samples(), "label", names, **given, stop=stop, on_epoch=lambda now: stop.set())
    run = train("late_fusion", cases.samples(), "label", names, **given)
    assert epoch_weights.kept_epochs(run) == (0, 1, 2, 3)
    for name, tensor in epoch_weights.run_at(kept, 2).model.state_dict().items():
        np.testing.assert_array_equal(epoch_weights.run_at(run, 2).model.state_dict()[name].numpy(), tensor.numpy())
    again = train("late_fusion", cases.samples(), "label", names, **{**given, "keep_epochs": False}, overwrite=True)
    assert not (again.path / "epochs").exists()


def test_a_bounded_number_is_kept_and_the_last(monkeypatch):
    monkeypatch.setattr(epoch_weights, "MOST", 6)
    kept = []
    for epoch in range(40):
        kept = epoch_weights._thinned([*kept, epoch])
        assert len(kept) <= 6 and kept[0] == 0 and kept[-1] == epoch
    assert kept == [0, 8, 16, 24, 32, 39]


# ---- folders -------------------------------------------------------------------------------------------------------


def test_an_embedding_comes_back_from_its_folder(found, tmp_path):
    made = found.save(tmp_path / "map")
    again = explain.Embedding.open(made)
    assert (again.method, again.notes, again.k, again.seed, again.made_by, again.spaces) == (found.method, found.notes, 15, 0, found.made_by, found.spaces)
    np.testing.assert_array_equal(again.object_ids, found.object_ids)
    np.testing.assert_array_equal(again.parts, found.parts)
    for space in found.spaces:
        np.testing.assert_array_equal(again.coordinates[space], found.coordinates[space])
        np.testing.assert_array_equal(again.neighbours(space), found.neighbours(space))
    assert list(again.table()["prediction"]) == list(found.table()["prediction"])
    np.testing.assert_array_equal(again.place(cases.trained(), cases.samples()).coordinates["image"], found.coordinates["image"])
    assert not list(made.glob("*.pkl")) and all(file.suffix in (".npy", ".json") for file in made.iterdir())
    with pytest.raises(StorageError, match="overwrite=True"):
        found.save(made)
    found.save(made, overwrite=True)


def _array(name, change):
    def spoil(folder):
        array = np.load(folder / name)
        np.save(folder / name, change(array), allow_pickle=True)
        data = json.loads((folder / "embedding.json").read_text())
        import hashlib

        content = (folder / name).read_bytes()
        data["files"][name.removesuffix(".npy")] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (folder / "embedding.json").write_text(json.dumps(data))

    return spoil


def _index(**changes):
    return lambda folder: (folder / "embedding.json").write_text(json.dumps({**json.loads((folder / "embedding.json").read_text()), **changes}))


def _longer(folder):
    """A header that promises more than the file holds."""
    file = folder / "vectors.0.npy"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"(40, ", b"(9999999, ").replace(b"       \n", b"\n", 1)[: len(content)])


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda folder: (folder / "embedding.json").unlink(), "holds no embedding.json"),
    (lambda folder: (folder / "embedding.json").write_text("{" * 100_000), "damaged"),
    (_index(format="other"), "damaged"), (_index(version=9), "later version"), (_index(spaces=["a"] * 6), "spaces"), (_index(method="eval"), "method"),
    (_index(files={}), "fits together"), (_index(spaces=[]), "spaces"),
    (lambda folder: (folder / "ids.npy").unlink(), "missing or altered"),
    (lambda folder: (folder / "near.1.npy").write_bytes((folder / "near.1.npy").read_bytes()[:-1] + b"x"), "altered"),
    (_array("coordinates.0.npy", lambda a: a.astype(object)), "fits together"),
    (_array("coordinates.0.npy", lambda a: a[:5]), "shape"), (_array("coordinates.0.npy", lambda a: a.astype(complex)), "complex"),
    (_array("near.0.npy", lambda a: a + 1000), "not there"), (_array("present.0.npy", lambda a: ~a), "samples that have it"),
    (_array("vectors.0.npy", lambda a: a * np.nan), "samples that have it"), (_longer, "fits together"),
])  # fmt: skip
def test_folders_that_were_damaged_or_are_hostile(found, tmp_path, spoil, message):
    made = found.save(tmp_path / "map")
    spoil(made)
    with pytest.raises(StorageError, match=message):
        explain.Embedding.open(made)
