"""The GWSkyNet networks: published sizes, the authors' weights against Keras, thresholds one after another, and sets of sky maps."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from astrofuse_lab.errors import InputError, RunError, SampleSetError, UnknownNameError
from astrofuse_lab.models.build import build
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.catalogue import RECIPES, SYSTEMS
from astrofuse_lab.samples import gw_maps
from astrofuse_lab.samples.preparation import Batch
from astrofuse_lab.training import originals_gwskynet, originals_onnx
from astrofuse_lab.training.cascades import GWSKYNET_MULTI, Cascade
from astrofuse_lab.training.run import Run

KERAS = r"""
import json, sys
import numpy as np
import keras
folder, given, out = sys.argv[1:]
inputs = dict(np.load(given))
KEEP = ("filters", "kernel_size", "padding", "activation", "units", "pool_size", "use_bias", "strides", "axis")
made = {}
for name in ("GWSkyNet_v1", "Glitch_vs_all_model", "NS_vs_all_model", "BBH_vs_all_model"):
    graph = json.load(open(f"{folder}/{name}.json"))["config"]
    said = {}
    for row in graph["layers"]:  # Keras 3 does not read graphs of Keras 2 whole; their rows it does
        settings = row["config"]
        if row["class_name"] == "InputLayer":
            said[row["name"]] = keras.Input(settings["batch_input_shape"][1:], name=row["name"])
            continue
        if row["name"] == graph["output_layers"][0][0]:
            assert settings["activation"] == "sigmoid"
            settings["activation"] = "linear"  # logits tell more of a difference than probabilities near 0 and 1
        layer = getattr(keras.layers, row["class_name"])(name=row["name"], **{key: settings[key] for key in KEEP if key in settings})
        before = [said[one[0]] for one in row["inbound_nodes"][0]]
        if row["class_name"] == "Add":  # Keras broadcasts what stands first, too
            before = sorted(before, key=lambda one: -one.shape[-1])
        said[row["name"]] = layer(before if len(before) > 1 else before[0])
    names = [one[0] for one in graph["input_layers"]]
    model = keras.Model([said[one] for one in names], said[graph["output_layers"][0][0]])
    model.load_weights(f"{folder}/{name}.h5", by_name=True)
    prefix = "v1" if name == "GWSkyNet_v1" else "multi"
    made[name] = keras.ops.convert_to_numpy(model([inputs[f"{prefix}.{one}"] for one in names])).ravel()
    made[name + ".size"] = np.array(model.count_params())
np.savez(out, **made)
"""
"""Run by itself: Keras takes its backend from the environment once, and no test of ours should find it there."""


def inputs(n=6, seed=0):
    """Pictures and numbers as the published networks take them, (sample, y, x, channel), of all sorts of contrast."""
    rng = np.random.default_rng(seed)
    given = {}
    for prefix, (rows, columns) in (("v1", (90, 180)), ("multi", (131, 131))):
        given[f"{prefix}.skymap"] = rng.uniform(size=(n, 90, 180, 1)) ** (10 ** rng.uniform(0, 3, (n, 1, 1, 1)))
        given[f"{prefix}.volume"] = rng.uniform(size=(n, rows, columns, 3)) ** (10 ** rng.uniform(0, 3, (n, 1, 1, 3)))
        given[f"{prefix}.detectors"] = rng.integers(0, 2, (n, 3)).astype(float)
    for name in ("distances", "skymap_norm", "distmu_norm", "distsigma_norm", "distnorm_norm"):
        given[f"v1.{name}"] = rng.uniform(0, 0.6, (n, 1)) ** 3
    for name, width in (("distances", 2), ("skymap_norms", 1), ("volume_norms", 3), ("LogBSN", 1), ("LogBCI", 1)):
        given[f"multi.{name}"] = rng.uniform(-0.3, 1, (n, width)) ** 3
    return {name: array.astype(np.float32) for name, array in given.items()}


def batch_of(given, prefix, volume, columns):
    """The same for our networks: channels first, columns of the table by name, in the set's order."""
    image = {"sky_map": given[f"{prefix}.skymap"], volume: given[f"{prefix}.volume"]}
    values = {name: torch.tensor(image[name]).permute(0, 3, 1, 2).contiguous() for name in (volume, "sky_map")}
    table = np.zeros((len(given[f"{prefix}.detectors"]), len(gw_maps.COLUMNS)), np.float32)
    for name, array in columns.items():
        table[:, gw_maps.COLUMNS.index(name)] = array
    values["table"] = torch.tensor(table)
    return Batch(values, {name: torch.ones_like(one, dtype=torch.bool) for name, one in values.items()}, {name: torch.ones(len(table), dtype=torch.bool) for name in values})


def v1_batch(given):
    columns = dict(zip(gw_maps.DETECTORS, given["v1.detectors"].T, strict=True))
    names = {"distmean": "distances", "sky_max": "skymap_norm", "distmu_max": "distmu_norm", "distsigma_max": "distsigma_norm", "distnorm_max": "distnorm_norm"}
    return batch_of(given, "v1", "distance_layers", columns | {ours: given[f"v1.{theirs}"][:, 0] for ours, theirs in names.items()})


def multi_batch(given):
    columns = dict(zip(gw_maps.DETECTORS, given["multi.detectors"].T, strict=True))
    columns |= dict(zip(("distmean", "distmax"), given["multi.distances"].T, strict=True)) | dict(zip(("vol0_max", "vol1_max", "vol2_max"), given["multi.volume_norms"].T, strict=True))
    names = {"sky_max": "skymap_norms", "log_bsn": "LogBSN", "log_bci": "LogBCI"}
    return batch_of(given, "multi", "volume", columns | {ours: given[f"multi.{theirs}"][:, 0] for ours, theirs in names.items()})


def logits(run, batch):
    with torch.no_grad():
        return run.model.eval()(batch.values, batch.masks, batch.present).values


@pytest.mark.parametrize("key", ["gwskynet", "gwskynet_multi", "gwskynet_ii"])
@pytest.mark.parametrize("full", [False, True])
def test_networks_have_the_published_size(key, full):
    recipe, size = RECIPES[key], SYSTEMS[key].parameters[key]
    volume = "distance_layers" if key == "gwskynet" else "volume"
    sides = {"sky_map": (180, 360), volume: (262, 262)} if full else {"sky_map": (90, 180), volume: gw_maps.IMAGES[volume][1]}
    layouts = {name: InputLayout("image", gw_maps.IMAGES[name][0], (len(gw_maps.IMAGES[name][0]), *sides[name])) for name in (volume, "sky_map")}
    model = build(recipe, {**layouts, "table": InputLayout("table", gw_maps.COLUMNS, (len(gw_maps.COLUMNS),))}, 2, "classification")
    assert model.parameter_count == size == {"gwskynet": 3687, "gwskynet_multi": 3686, "gwskynet_ii": 3693}[key]


@pytest.mark.real
def test_published_weights_say_what_keras_says(mirror, tmp_path):
    """Our layers with the authors' weights against the authors' graph and weights run by Keras itself."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed: pip install keras (its torch backend suffices)")
    given = inputs(4)
    np.savez(tmp_path / "given.npz", **given)
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", KERAS, str(mirror / "gwskynet"), str(tmp_path / "given.npz"), str(tmp_path / "said.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    said = dict(np.load(tmp_path / "said.npz"))
    assert said["GWSkyNet_v1.size"] == 3687
    with torch.no_grad():
        _same(logits(Run.original("gwskynet", mirror), v1_batch(given))[:, 1], said["GWSkyNet_v1"])
        together = logits(Run.original("gwskynet_multi", mirror), multi_batch(given))
        for i, (label, file) in enumerate((("is_glitch", "Glitch"), ("is_ns", "NS"), ("is_bbh", "BBH"))):
            run, theirs = Run.original("gwskynet_multi", mirror, network=label), said[f"{file}_vs_all_model"]
            assert run.parameters == said[f"{file}_vs_all_model.size"] == 3686
            _same(logits(run, multi_batch(given))[:, 1], theirs)
            _same(together[:, i], theirs)


def _same(ours, theirs):
    """Logits alike to float32, probabilities to 1e-5; and of more than one value."""
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4, rtol=1e-5)
    np.testing.assert_allclose(ours.sigmoid().numpy(), 1 / (1 + np.exp(-theirs.astype(float))), atol=1e-5, rtol=0)
    assert np.ptp(theirs) > 0.5


@pytest.mark.real
def test_real_maps_go_through_the_published_networks(mirror):
    """The sky map's branch on 23 real maps; the rest of the networks is given nothing, and says so."""
    from astrofuse_lab.samples.readers import gw_sky_maps

    samples = gw_sky_maps.read(mirror / "gw_alerts")
    assert samples.present("sky_map").all()
    assert not samples.present("volume").any()
    assert not samples.present("distance_layers").any()
    assert np.ma.getmaskarray(samples.column("distmu_max")).all()
    assert np.ma.getmaskarray(samples.column("vol90")).sum() == 1  # S190718y
    peak = np.asarray(samples.column("sky_max"))
    assert ((peak > 1e-5) & (peak < 2e-4)).all()
    run = Run.original("gwskynet", mirror)
    tokens, _ = run.model.eval().encode(run.batch(samples).values, run.batch(samples).masks)
    vectors = tokens["sky_map"].values[:, 0].detach().numpy()
    assert vectors.shape == (23, 4)
    assert (vectors.std(axis=0) > 0).any()
    assert not tokens["distance_layers"].mask.any()
    said = np.asarray(run.predict(samples)["p_real"])
    assert np.isfinite(said).all()
    three = Run.original("gwskynet_multi", mirror).predict(samples)
    classes = GWSKYNET_MULTI(np.stack([three[f"p_{name}"] for name in ("is_glitch", "is_ns", "is_bbh")], axis=1))
    assert set(classes) <= set(GWSKYNET_MULTI.classes)


def test_weights_that_are_none_are_refused(tmp_path, monkeypatch):
    import h5py

    file = tmp_path / "x.h5"
    file.write_bytes(b"no file of any kind")
    with pytest.raises(RunError, match="no file of Keras weights"):
        originals_gwskynet.keras_arrays(file)
    with h5py.File(file, "w") as made:
        made.create_dataset("dense/dense/kernel:0", data=np.zeros((200, 100), np.float32))
    with pytest.raises(RunError, match="at most 10000 numbers"):
        originals_gwskynet.keras_arrays(file)
    with h5py.File(file, "w") as made:
        made.create_dataset("dense/dense/kernel:0", data=np.zeros((32, 4), np.float32))
    read = originals_gwskynet.keras_arrays(file)
    with pytest.raises(RunError, match="no layer or array 'separable_conv2d'"):
        originals_gwskynet._branch_weights(read, originals_gwskynet.V1_LAYERS)
    with pytest.raises(UnknownNameError, match="is_glitch"):
        Run.original("gwskynet_multi", network="is_glitsh")


def test_gwskynet_ii_asks_for_the_users_own_weights(monkeypatch):
    def nowhere(name):
        raise originals_onnx.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(originals_onnx.metadata, "files", nowhere)
    with pytest.raises(RunError, match=r"GPL and no part of this package.*pip install --no-deps gwskynet"):
        Run.original("gwskynet_ii")
    with pytest.raises(InputError, match="numbers and points"):
        Run.original("gwskynet_ii", version="../x")
    monkeypatch.setattr(originals_onnx.metadata, "files", lambda name: [])
    with pytest.raises(RunError, match=r"no weights of version 9\.9\.9; it has none"):
        Run.original("gwskynet_ii", version="9.9.9")


def test_gwskynet_ii_with_weights_of_an_installation(tmp_path):
    """Where a user has the package: our layers against onnxruntime."""
    runtime = pytest.importorskip("onnxruntime", reason="GWSkyNet II: onnxruntime, onnx and gwskynet (GPL) are the user's to install")
    pytest.importorskip("onnx", reason="GWSkyNet II: onnx is the user's to install")
    try:
        file = originals_onnx.installed("2.6.0")
    except RunError:
        pytest.skip("GWSkyNet II: the package gwskynet (GPL) is not installed")
    rng, n = np.random.default_rng(0), 3
    sky, volume = rng.uniform(size=(n, 180, 360, 1)).astype(np.float32) ** 9, rng.uniform(size=(n, 262, 262, 3)).astype(np.float32) ** 5
    numbers = {name: rng.uniform(0, 1, (n, 1)).astype(np.float32) for name in ("log_bsn", "distmean", "sky_max", "vol0_max", "vol1_max", "vol2_max", "log_bci")}
    detectors = rng.integers(0, 2, (n, 3)).astype(np.float32)
    session = runtime.InferenceSession(str(file))
    order = [sky, numbers["log_bsn"], volume, detectors, *(numbers[name] for name in ("distmean", "sky_max", "vol0_max", "vol1_max", "vol2_max", "log_bci"))]
    feed = {one.name: array for one, array in zip(session.get_inputs(), order, strict=True)}
    theirs = np.concatenate([session.run(None, {name: array[i : i + 1] for name, array in feed.items()})[0].ravel() for i in range(n)])
    given = {"ii.skymap": sky, "ii.volume": volume, "ii.detectors": detectors}
    columns = dict(zip(gw_maps.DETECTORS, detectors.T, strict=True)) | {name: array[:, 0] for name, array in numbers.items()}
    run = Run.original("gwskynet_ii")
    assert run.parameters == 3693
    batch = batch_of(given, "ii", "volume", columns)
    encoded = {name: run.model.encoders[name](batch.values[name], batch.masks[name]) for name in run.modalities}
    ours = run.model.eval().predict(encoded).values.softmax(1)[:, 1].detach().numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_thresholds_are_asked_one_after_another():
    """Cases worked by hand with 32.33, 62.16 and 31.18 %."""
    scores = [[0.33, 0.9, 0.9], [0.3233, 0, 0], [0.32, 0.63, 0.99], [0.32, 0.62, 0.32], [0.3, 0.6, 0.1], [0.1, 0.1, 0.3], [0.2, 0.0, 0.0], [np.nan] * 3, [0.1, np.nan, 0.2]]
    assert GWSKYNET_MULTI(scores).tolist() == ["Glitch", "Glitch", "NS", "BBH", "NS", "BBH", "Glitch", "", "BBH"]
    # as the notebook says: below all thresholds the largest of 0.2-0.3233, 0-0.6216, 0-0.3118
    assert Cascade(("a", "b"), (0.5, 0.5))([[0.25, 0.25]]).tolist() == ["a"]
    with pytest.raises(InputError, match=r"\(sample, 3\)"):
        GWSKYNET_MULTI([[0.1, 0.2]])
    with pytest.raises(InputError, match="one finite threshold"):
        Cascade(("a",), (0.1, 0.2))


def test_sets_of_maps_have_one_layout():
    from astrofuse_lab.samples import simulated_gw_maps

    samples = simulated_gw_maps.simulated_maps(3, seed=5)
    again = simulated_gw_maps.simulated_maps(2, seed=5)
    assert samples.card.simulated
    assert "Simulated" in samples.card.notes[0]
    for name, (channels, sides) in gw_maps.IMAGES.items():
        flux = samples.arrays(name)["flux"]
        assert flux.shape == (3, len(channels), *sides)
        assert np.isfinite(flux).all()
        np.testing.assert_allclose(flux.max(axis=(2, 3)), 1)
        np.testing.assert_array_equal(again.arrays(name)["flux"], flux[:2])
    numbers = {name: np.asarray(samples.column(name)) for name in gw_maps.NUMBERS}
    np.testing.assert_allclose(numbers["distmax"], numbers["distmean"] + 2.5 * numbers["diststd"])
    assert (numbers["distnorm_max"] <= simulated_gw_maps.STEEPEST * 1.001).all()
    # each picture of the volume holds about all of the probability
    pixel = 2 * numbers["distmax"] / (gw_maps.IMAGES["volume"][1][0] - 1)
    for i in range(3):
        whole = samples.arrays("volume")["flux"][:, i].sum(axis=(1, 2)) * numbers[f"vol{i}_max"] * pixel**2
        assert ((whole > 0.7) & (whole < 1.05)).all()  # tails lie outside
    kinds = np.asarray(samples.column("kind"))
    assert (np.asarray(samples.column("origin")) == np.where(kinds == "Glitch", "glitch", "real")).all()
    assert (np.asarray(samples.column("is_ns")) == np.isin(kinds, ["BNS", "NSBH"])).all()
    assert samples.roles["origin"] == "target"
    assert samples.roles["distance"] == "other"
    with pytest.raises(SampleSetError, match="no sky map"):
        gw_maps.gw_map_set([], [], samples.card, samples.spec("sky_map").provenance, {})


def test_published_norms_are_applied_once():
    """A column of the training set's largest value is 1 for the network; what it does not read is left alone."""
    from astrofuse_lab.samples import simulated_gw_maps

    samples = simulated_gw_maps.simulated_maps(2, seed=1)
    preparation = originals_gwskynet.preparation_of("volume", originals_gwskynet.MULTI_NORMS)
    table = preparation.batch(samples).values["table"].numpy()
    for name, norm in originals_gwskynet.MULTI_NORMS.items():
        np.testing.assert_allclose(table[:, gw_maps.COLUMNS.index(name)], np.asarray(samples.column(name)) / norm, rtol=1e-6)
    np.testing.assert_allclose(table[:, gw_maps.COLUMNS.index("area90")], np.asarray(samples.column("area90")), rtol=1e-6)
    assert json.dumps(preparation.to_json())
