"""braai: what its stamps become, its published weights, and the score that ZTF's packets carry."""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from astrofuse_lab.alignment.representations import options_of
from astrofuse_lab.alignment.representations.common import Layout
from astrofuse_lab.alignment.representations.pictures import l2_layout, l2_run
from astrofuse_lab.errors import InputError, RunError, UnknownNameError
from astrofuse_lab.models.build import build
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.samples.registry import load_samples
from astrofuse_lab.training import originals_braai
from astrofuse_lab.training.originals import PublishedFile
from astrofuse_lab.training.run import Run

SENTINEL = np.float32(-3.4028235e38)
SIZES = {"conv1": (3, 3, 3, 16), "conv2": (3, 3, 16, 16), "conv3": (3, 3, 16, 32), "conv4": (3, 3, 32, 32), "fc_1": (1152, 256), "fc_out": (256, 1)}


def shown(flux, mask, **options):
    options, layout = options_of("l2", options), Layout("image", ("a",), flux.shape[1:])
    made = l2_run({"flux": flux, "mask": mask, "present": np.ones(len(flux), dtype=bool)}, layout, options, {})
    assert made["flux"].shape[1:] == l2_layout(layout, options).shape
    return made


def as_published(stamp, along):
    """Duev et al. 2019 and braai's notebook: NaN to zero, float32 norm, padding at the bottom and right."""
    with np.errstate(over="ignore"):
        data = np.nan_to_num(stamp, posinf=np.inf, neginf=-np.inf).astype(np.float32)
        norm = np.linalg.norm(data, axis=-1, keepdims=True) if along == "rows" else np.linalg.norm(data)
    data = data / np.where(norm == 0, 1, norm)
    return np.pad(data, [(0, 63 - data.shape[0]), (0, 63 - data.shape[1])], mode="constant", constant_values=1e-9)


def test_the_recipe_has_the_published_size():
    model = build(get_recipe("braai"), {"image": InputLayout("image", ("a", "b", "c"), (3, 63, 63))}, 2, "classification")
    assert model.parameter_count == 312_081  # Duev et al. 2019


@pytest.mark.parametrize("along", ["rows", "whole"])
@pytest.mark.parametrize("shape", [(63, 63), (40, 63), (63, 21), (50, 50)])
def test_l2_is_the_published_arithmetic(along, shape):
    rng = np.random.default_rng(1)
    stamps = rng.normal(200, 30, (4, 1, *shape)).astype(np.float32)
    stamps[1, 0, 5:9, 3:] = np.nan
    stamps[2, 0, 7, 4:6] = SENTINEL
    stamps[3, 0, 11] = 0
    mask = np.isfinite(stamps) & (np.abs(stamps) < 1e7)
    raw = np.where(np.isfinite(stamps), stamps, 0)
    made = shown(raw, mask, along=along, side=63, pad=1e-9)
    expected = np.stack([[as_published(one[0], along)] for one in stamps])
    np.testing.assert_allclose(made["flux"], expected, atol=3e-8)
    if shape != (63, 63):
        assert made["flux"][0, 0, -1, -1] == np.float32(1e-9)
    # in a larger frame, as stamps of the edge lie among whole ones, they are the same
    frame = np.zeros((4, 1, 63, 63), np.float32), np.zeros((4, 1, 63, 63), bool)
    for whole, part in zip(frame, (raw, mask), strict=True):
        whole[..., : shape[0], : shape[1]] = part
    again = shown(*frame, along=along, side=63, pad=1e-9)
    np.testing.assert_array_equal(again["flux"], made["flux"])
    np.testing.assert_array_equal(again["mask"], made["mask"])


def test_a_sentinel_hides_its_row_and_a_missing_pixel_does_not():
    flux, mask = np.full((1, 1, 4, 4), 2.0, np.float32), np.ones((1, 1, 4, 4), bool)
    mask[0, 0, 1, 0] = mask[0, 0, 2, 0] = False
    flux[0, 0, 1, 0], flux[0, 0, 2, 0] = SENTINEL, 0
    made = shown(flux, mask, along="rows")
    assert made["flux"][0, 0, 1].tolist() == [0.0] * 4
    np.testing.assert_allclose(made["flux"][0, 0, 2], [0, *[3**-0.5] * 3], rtol=1e-6)
    assert not made["mask"][0, 0, 1, 0] and made["mask"][0, 0, 1, 1]
    assert not shown(flux, mask, along="whole")["flux"].any()


def test_a_product_without_a_pixel_stays_missing():
    made = shown(np.zeros((1, 1, 8, 8), np.float32), np.zeros((1, 1, 8, 8), bool), side=63, pad=1e-9)
    assert not made["mask"].any()


@pytest.mark.parametrize("options", [{"side": -1}, {"side": 5000}, {"pad": float("inf")}])
def test_l2_refuses_what_cannot_be(options):
    with pytest.raises(InputError):
        l2_layout(Layout("image", ("a",), (1, 8, 8)), {"along": "rows", "side": 0, "pad": 0.0, **options})


# ---- published weights --------------------------------------------------------------------------------------------


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """A mirror of random weights in both published forms."""
    import hashlib

    import h5py

    rng = np.random.default_rng(2)
    raw = {f"{name}.kernel": rng.normal(0, np.sqrt(2 / np.prod(size[:-1])), size).astype(np.float32) for name, size in SIZES.items()}
    raw |= {f"{name}.bias": rng.normal(0, 0.05, size[-1]).astype(np.float32) for name, size in SIZES.items()}
    folder = tmp_path / "braai"
    folder.mkdir()
    np.savez(folder / "d6_m7.weights.npz", **raw)
    with h5py.File(folder / "d6_m7.weights.h5", "w") as file:
        for name, array in raw.items():
            layer, one = name.split(".")
            file[f"{layer}/{layer}/{one}:0"] = array
    known = [PublishedFile(name, "braai", hashlib.sha256((folder / name).read_bytes()).hexdigest()) for name in ("d6_m7.weights.npz", "d6_m7.weights.h5")]
    monkeypatch.setitem(originals_braai.FILES, "d6_m7", tuple(known))
    return tmp_path, raw


def by_hand(x, w):
    """VGG6 as the paper prints it, in float64 and channels last, without torch; (row, column, channel)."""
    for name, pool in (("conv1", 0), ("conv2", 2), ("conv3", 0), ("conv4", 4)):
        windows = sliding_window_view(x, (3, 3), axis=(0, 1))  # (row, column, channel, 3, 3)
        x = np.maximum(np.einsum("ijcab,abcd->ijd", windows, w[f"{name}.kernel"], optimize=True) + w[f"{name}.bias"], 0)
        if pool:
            rows, columns = (side // pool * pool for side in x.shape[:2])
            x = x[:rows, :columns].reshape(rows // pool, pool, columns // pool, pool, -1).max(axis=(1, 3))
    hidden = np.maximum(x.ravel() @ w["fc_1.kernel"] + w["fc_1.bias"], 0)
    return 1 / (1 + np.exp(-(hidden @ w["fc_out.kernel"] + w["fc_out.bias"])[0]))


def test_keras_weights_are_laid_out_as_the_network_says(weights):
    folder, raw = weights
    run = Run.original("braai", mirror=folder)
    x = np.random.default_rng(3).normal(0, 0.2, (2, 3, 63, 63)).astype(np.float32)
    with torch.inference_mode():
        said = run.model({"image": torch.from_numpy(x)}, {"image": torch.ones(2, 3, 63, 63, dtype=torch.bool)})
    scores = run.decode(said.values)[:, run.classes.index("real")]
    np.testing.assert_allclose(scores, [by_hand(one.transpose(1, 2, 0).astype(np.float64), raw) for one in x], atol=1e-6)


def test_the_authors_file_gives_the_same_weights(weights):
    folder, _ = weights
    packed = Run.original("braai", mirror=folder).model.state_dict()
    (folder / "braai" / "d6_m7.weights.npz").unlink()
    for name, tensor in Run.original("braai", mirror=folder).model.state_dict().items():
        assert torch.equal(tensor, packed[name])


def test_weights_that_are_nowhere_or_others(weights, tmp_path):
    with pytest.raises(UnknownNameError, match="d6_m8"):
        Run.original("braai", version="d6_m8", mirror=tmp_path)
    (tmp_path / "braai" / "d6_m7.weights.npz").write_bytes(b"PK something else")
    with pytest.raises(RunError, match="is not the file this version knows"):
        Run.original("braai", mirror=tmp_path)


@pytest.mark.real
def test_the_run_gives_the_score_of_the_packets(mirror):
    samples = load_samples("braai-alerts", mirror=mirror)
    run = Run.original("braai", mirror=mirror)
    assert run.parameters == 312_081 and list(samples.column("drbversion")) == ["d6_m7"] * 20
    table = run.predict(samples)
    np.testing.assert_allclose(table["p_real"], samples.column("drb").data, atol=1e-5)
    # the other version was trained on stamps divided as a whole, and is another network
    other = Run.original("braai", mirror=mirror, version="d6_m9").predict(samples)["p_real"]
    assert np.abs(other - samples.column("drb").data).max() > 0.1


@pytest.mark.real
def test_scores_on_rounded_stamps_are_near(mirror):
    """ztf-alerts holds stamps rounded to a part of their noise (rms at most 1/27): most scores move by less than 0.01."""
    samples = load_samples("ztf-alerts", mirror=mirror)
    drb = np.ma.filled(samples.column("c_drb").astype(float), np.nan)
    rows = np.flatnonzero(np.isfinite(drb) & (np.asarray(samples.column("nan_frac")) == 0) & (np.asarray(samples.column("time")) > 58900))[::12]
    error = np.abs(Run.original("braai", mirror=mirror).outputs(samples, rows)[0][:, 1] - drb[rows])
    assert len(rows) > 80 and np.median(error) < 1e-4 and np.percentile(error, 95) < 0.02
