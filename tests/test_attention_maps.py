import explain_cases as cases
import numpy as np
import pytest
import torch

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain import attention_layers, attention_places

MODALITIES = cases.MODALITIES


@pytest.fixture(scope="module")
def found():
    return explain.attention(cases.trained(), cases.samples(), encoders=True)


def test_maps_are_those_of_the_model(found):
    run = cases.trained()
    some = np.array([0, 7, 21])
    fused = run.forward(cases.samples(), some, attention="all").fused
    slices = run.model.token_slices(fused)
    assert set(found.maps) == {"fusion.0", "fusion.1", "light_curve.0"}
    for layer in ("fusion.0", "fusion.1"):
        expected = fused.attention[layer].numpy()
        got = found.maps[layer][some]
        for name in ("class", *MODALITIES):
            # the model alone pads its own batch; what both have must agree
            width = min(slices[name].stop - slices[name].start, found.order[name].stop - found.order[name].start)
            one, other = expected[:, :, 0, slices[name]][..., :width], got[:, :, 0, found.order[name]][..., :width]
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_rows_sum_to_one_and_masked_tokens_get_nothing(found):
    for weights in found.maps.values():
        assert np.isfinite(weights).all()
        assert weights.min() >= 0
    for layer in ("fusion.0", "fusion.1"):
        np.testing.assert_allclose(found.maps[layer].sum(-1), 1, atol=1e-5)
    for name in MODALITIES:
        assert not found.received(name)[~found.token_masks[name]].any()
        assert not found.maps["fusion.0"][..., found.order[name]].transpose(0, 3, 1, 2)[~found.token_masks[name]].any()


def test_between_modalities(found):
    present = np.stack([cases.samples().present(name) for name in MODALITIES], 1)
    np.testing.assert_array_equal(found.present, present)
    rows = found.between.sum(-1)
    np.testing.assert_allclose(rows[present], 1, atol=1e-5)
    assert not rows[~present].any()
    assert not found.between.transpose(0, 2, 1)[~present].any()
    np.testing.assert_allclose(found.from_class.sum(1), 1, atol=1e-5)
    table = found.table()
    assert table.colnames == ["object_id", *MODALITIES]
    np.testing.assert_array_equal(np.stack([table[name].mask for name in MODALITIES], 1), ~present)


def test_between_equals_loops_over_tokens(found):
    sample = int(np.flatnonzero(found.present.all(1))[0])
    flow = np.mean([found.maps[f"fusion.{i}"][sample].mean(0) for i in range(2)], 0)
    for a, query in enumerate(MODALITIES):
        shares = []
        for key in MODALITIES:
            real = found.token_masks[query][sample]
            shares.append(np.mean([sum(flow[q, k] for k in range(*found.order[key].indices(999))) for q in np.arange(*found.order[query].indices(999))[real]]))
        np.testing.assert_allclose(found.between[sample, a], np.array(shares) / np.sum(shares), rtol=1e-4)


def test_rollout_is_equation_one_of_abnar_and_zuidema():
    generator = torch.Generator().manual_seed(0)
    layers = [torch.rand(2, 3, 5, 5, generator=generator).softmax(-1) for _ in range(3)]
    got = attention_layers.rollout(layers).numpy()
    for sample in range(2):
        expected = np.eye(5)
        for layer in layers:
            mixed = 0.5 * layer[sample].mean(0).numpy() + 0.5 * np.eye(5)
            expected = mixed @ expected
        np.testing.assert_allclose(got[sample], expected, rtol=1e-5)
    np.testing.assert_allclose(got.sum(-1), 1, rtol=1e-5)


def test_rollout_of_a_run():
    rolled = explain.attention(cases.trained(), cases.samples().take(np.arange(5)), combine="rollout")
    rows = rolled.between.sum(-1)
    np.testing.assert_allclose(rows[rolled.present], 1, atol=1e-5)
    # half of each step stays where it is, so a modality looks more at itself than by the mean
    mean = explain.attention(cases.trained(), cases.samples().take(np.arange(5)))
    assert (np.diagonal(rolled.between, axis1=1, axis2=2) >= np.diagonal(mean.between, axis1=1, axis2=2) - 1e-6).all()


def test_laid_over_the_input(found):
    batch = cases.trained().batch(cases.samples())
    shapes = {"image": (16, 16), "spectrum": (96,), "light_curve": batch.masks["light_curve"].shape[1:], "table": (2,), "text": (64,)}
    for name in MODALITIES:
        over = found.on_input(name)
        assert over.shape == (len(cases.samples()), *shapes[name])
        np.testing.assert_allclose(over.reshape(len(over), -1).sum(1), found.received(name).sum(1), atol=1e-5)
    np.testing.assert_array_equal(found.on_input("table"), found.received("table"))  # one token a column


def test_weights_are_spread_over_boxes_by_hand():
    place = {"axes": ("y", "x"), "box": np.array([[0, 1, 0, 2], [1, 3, 1, 3]])}
    over = attention_places.lay(np.array([[1.0, 0.5]], dtype=np.float32), place, (3, 3))
    np.testing.assert_allclose(over[0], [[0.5, 0.5, 0], [0, 0.125, 0.125], [0, 0.125, 0.125]])
    np.testing.assert_allclose(attention_places.lay(np.array([[0.6]], dtype=np.float32), {}, (3,))[0], [0.2, 0.2, 0.2], rtol=1e-6)


def test_one_sample_and_one_modality():
    run = cases.trained("joint_attention", "label", ("table",))
    one = explain.attention(run, cases.samples().take([0]))
    assert one.between.shape == (1, 1, 1)
    assert one.between[0, 0, 0] == pytest.approx(1)
    np.testing.assert_allclose(one.maps["fusion.0"].sum(-1), 1, atol=1e-6)


def test_one_layer_or_head_alone(found):
    assert found.heads == {name: found.maps[name].shape[1] for name in ("fusion.0", "fusion.1")}
    sample, layer, head = 3, "fusion.1", 1
    alone = found.only(layer, head)
    weights = found.maps[layer][sample, head]
    np.testing.assert_array_equal(alone.received("spectrum")[sample], weights[0, found.order["spectrum"]])
    for a, name in enumerate(MODALITIES):
        real = found.token_masks[name][sample]
        if not real.any():
            assert not alone.between[sample, a].any()
            continue
        rows = weights[found.order[name]][real]
        shares = np.array([rows[:, found.order[other]].sum(1).mean() for other in MODALITIES])
        np.testing.assert_allclose(alone.between[sample, a], shares / shares.sum(), rtol=1e-4)
    # the mean of a layer's heads is the mean of what each of them received, and the mean of layers is what `mean` combines
    mean = found.only(layer).received("image")
    np.testing.assert_allclose(mean, np.mean([found.only(layer, h).received("image") for h in range(found.heads[layer])], axis=0), atol=1e-6)
    np.testing.assert_allclose(found.received("image"), np.mean([found.only(name).received("image") for name in found.heads], axis=0), atol=1e-6)
    with pytest.raises(UnknownNameError, match=r"fusion\.0"):
        found.only("fusion.9")
    with pytest.raises(InputError, match="has no head 99"):
        found.only("fusion.0", 99)


def test_chunks_and_maps_left_out(found):
    told = []
    small = explain.attention(cases.trained(), cases.samples(), rows=7, keep_maps=False, on_progress=told.append)
    np.testing.assert_allclose(small.between, found.between, atol=1e-6)
    assert told[-1] == {"done": len(cases.samples()), "total": len(cases.samples())}
    with pytest.raises(InputError, match="keep_maps=True"):
        _ = small.maps


@pytest.mark.parametrize("recipe", ["late_fusion", "gated_fusion", "decision_average"])
def test_recipes_without_attention_name_those_with(recipe):
    with pytest.raises(InputError, match=rf"'{recipe}' fuses without attention.*joint_attention"):
        explain.attention(cases.trained(recipe), cases.samples())


def test_bad_names(found):
    with pytest.raises(UnknownNameError, match="rollout"):
        explain.attention(cases.trained(), cases.samples(), combine="roll_out")
    with pytest.raises(UnknownNameError, match="spectrum"):
        found.on_input("spectra")
    with pytest.raises(InputError, match="no samples"):
        explain.attention(cases.trained(), cases.samples().take([]))
