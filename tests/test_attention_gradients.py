"""Attention weighted by gradients, flows between modalities, and encoders' own maps: against literal loops and what the kernel applied."""

from functools import lru_cache

import explain_cases as cases
import numpy as np
import pytest
import torch
from model_cases import WHOLE, made, part_of, recipe_of, run

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain import attention_layers, attention_places
from astrofuse_lab.models import attention as models_attention
from astrofuse_lab.models.parts import ENCODERS, FUSIONS
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training.loop import train

ATTENDING = sorted((name, kind) for name, encoder in ENCODERS.items() if encoder.attends for kind in encoder.kinds)
MODALITIES = cases.MODALITIES


@pytest.fixture(scope="module")
def found():
    return explain.attention(cases.trained(), cases.samples(), combine="gradient", encoders=True)


def told(model, batch, attention):
    """With gradients, unlike `run`."""
    return model(batch.values, batch.masks, batch.present, attention=attention)


def nudged(monkeypatch):
    """Every weight gets a zero of its own added: the gradient with respect to it is that of the weight, found without our bookkeeping."""
    real, zeros = models_attention.attention_weights, []

    def with_zero(query, key, mask=None, bias=None):
        weights = real(query, key, mask, bias)
        zeros.append((weights, torch.zeros_like(weights, requires_grad=True)))
        return weights + zeros[-1][1]

    monkeypatch.setattr(models_attention, "attention_weights", with_zero)
    return zeros


# ---- gradients of weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", [name for name, one in FUSIONS.items() if one.attends])
def test_each_map_of_a_fusion_knows_how_it_moves_the_result(fusion, monkeypatch):
    model = made(recipe_of({"table": "ft_transformer", "light_curve": "time_transformer"}, fusion), "classification").eval()
    batch = part_of(WHOLE, model, range(3))
    zeros = nudged(monkeypatch)
    said = told(model, batch, True)
    said.values[:, 0].sum().backward()
    for one, (raw, zero) in zip(said.fused.attention.values(), zeros, strict=True):
        gradient = zero.grad
        # the frame of all tokens holds what the layer had, whatever the places
        assert one.grad.shape == one.shape
        assert torch.allclose((one.grad * one.detach()).sum((-2, -1)), (gradient * raw.detach()).sum((-2, -1)), atol=1e-6)
        assert torch.allclose(one.grad.square().sum(), gradient.square().sum(), rtol=1e-4)


@pytest.mark.parametrize(("name", "kind"), ATTENDING)
def test_what_an_encoder_shows_is_what_it_applies(name, kind):
    """With gradients on, the maps themselves are multiplied with the values: the answer is that of the fused kernel."""
    model = made(recipe_of({kind: name}, "joint_attention"), "classification").eval()
    batch = part_of(WHOLE, model, range(3))
    said, kernel = told(model, batch, "all"), run(model, batch)
    assert torch.allclose(said.values, kernel.values, atol=1e-5)
    said.values[:, 0].sum().backward()
    for key, weights in said.fused.attention.items():
        assert weights.grad.isfinite().all(), key
        assert weights.grad.any(), key
        rows = weights.detach().sum(-1)
        assert torch.allclose(rows, (rows > 0).float(), atol=1e-5), key


def test_relevance_is_equations_five_and_six_of_chefer_et_al(found):
    sample = 4
    relevance = np.eye(found.maps["fusion.0"].shape[-1])
    for layer in ("fusion.0", "fusion.1"):
        heads = found.weighted[layer][sample]
        assert heads.min() >= 0
        relevance = relevance + heads.mean(0) @ relevance
    relevance -= np.eye(len(relevance))
    for name in MODALITIES:
        np.testing.assert_allclose(found.received(name)[sample], relevance[0, found.order[name]], rtol=1e-4, atol=1e-7)
    shares = np.array([relevance[0, found.order[name]].sum() for name in MODALITIES])
    np.testing.assert_allclose(found.from_class[sample], shares / shares.sum(), rtol=1e-3)


def test_weighted_maps_are_gradient_times_weight(found, monkeypatch):
    fitted, some = cases.trained(), np.array([2, 9])
    batch = fitted.batch(cases.samples(), some)
    zeros = nudged(monkeypatch)
    values = {name: one.clone().requires_grad_() for name, one in batch.values.items()}
    said = fitted.model(values, batch.masks, batch.present, attention=True)
    index = [list(fitted.classes).index(found.target[i]) for i in some]
    logits = said.values
    odds = torch.stack([logits[i, k] - torch.cat([logits[i, :k], logits[i, k + 1 :]]).logsumexp(0) for i, k in enumerate(index)]).sum()
    gradients = torch.autograd.grad(odds, [zero for _, zero in zeros])
    slices = fitted.model.token_slices(said.fused)
    for i, gradient in enumerate(gradients):
        expected = (gradient * zeros[i][0]).clamp(min=0).detach().numpy()
        for name in ("class", *MODALITIES):
            width = min(slices[name].stop - slices[name].start, found.order[name].stop - found.order[name].start)
            got = found.weighted[f"fusion.{i}"][some][:, :, 0, found.order[name]][..., :width]
            np.testing.assert_allclose(got, expected[:, :, 0, slices[name]][..., :width], atol=1e-5)


def test_a_gradient_changes_nothing_in_the_run(found):
    fitted = cases.trained()
    assert all(p.grad is None for p in fitted.model.parameters())
    assert not fitted.model.training
    plain = explain.attention(fitted, cases.samples(), encoders=True)
    for key in found.maps:  # the weights themselves are the same, whatever is asked of them
        np.testing.assert_allclose(found.maps[key], plain.maps[key], atol=1e-6)
    assert plain.weighted is plain.maps
    assert plain.target == ()


def test_a_class_is_asked_for():
    few = cases.samples().take(np.arange(4))
    one = explain.attention(cases.trained(), few, combine="gradient", target="quasar")
    assert one.target == ("quasar",) * 4
    other = explain.attention(cases.trained(), few, combine="gradient", target="star")
    assert not np.allclose(one.received("spectrum"), other.received("spectrum"))
    with pytest.raises(InputError, match="combine='gradient'"):
        explain.attention(cases.trained(), few, target="star")
    with pytest.raises(UnknownNameError, match="star"):
        explain.attention(cases.trained(), few, combine="gradient", target="sta")


# ---- flow ----------------------------------------------------------------------------------------------------------


def test_flow_of_two_layers_by_hand():
    order = {"class": slice(0, 1), "image": slice(1, 3), "text": slice(3, 4)}
    real = {"image": torch.tensor([[True, False]]), "text": torch.tensor([[True]])}
    generator = torch.Generator().manual_seed(0)
    layers = [torch.rand(1, 2, 4, 4, generator=generator).softmax(-1) for _ in range(2)]
    shares, reaching = (one.numpy()[0] for one in attention_layers.flows(layers, order, real))
    one = [0.5 * (layer[0].mean(0).numpy() + np.eye(4)) for layer in layers]
    arrived = [one[1][0] @ one[0], one[1][0]]
    for layer in range(2):
        np.testing.assert_allclose(reaching[layer].sum(), 1, rtol=1e-5)
        came = np.eye(4)[0] if layer == 1 else arrived[1]
        for g, rows in enumerate(order.values()):
            for h, columns in enumerate(order.values()):
                np.testing.assert_allclose(reaching[layer, g, h], (came[rows, None] * one[layer][rows, columns]).sum(), rtol=1e-5)
    np.testing.assert_allclose(reaching[0].sum(1), reaching[0].sum(1))
    np.testing.assert_allclose(reaching[0].sum(1), reaching[1].sum(0), rtol=1e-5)  # what leaves a group has come to it
    image = layers[0][0].mean(0).numpy()[1]  # the one image token that is real
    np.testing.assert_allclose(shares[0, 1], [image[0], image[1:3].sum(), image[3]], rtol=1e-5)


@lru_cache
def through_a_bottleneck():
    recipe = get_recipe("joint_attention").change(fusion=Part.of("bottleneck"))
    return train(recipe, cases.samples(), "label", ["spectrum", "table", "text"], epochs=1, device="cpu", progress=False)


@pytest.mark.parametrize("recipe", ["joint_attention", "bottleneck"])
def test_flow_of_a_run(recipe):
    fitted = through_a_bottleneck() if recipe == "bottleneck" else cases.trained(recipe)
    found = explain.attention(fitted, cases.samples(), combine="rollout")
    table = found.flow()
    assert table.colnames == ["layer", "source", "target", "weight", "reaching"]
    assert ("relay" in set(table["source"])) == (recipe == "bottleneck")
    for layer in range(len(found.heads)):
        rows = table[table["layer"] == layer]
        assert np.isclose(rows["reaching"].sum(), 1, atol=1e-5)
        for target in set(rows["target"]):
            own = rows[rows["target"] == target]
            looks = own["weight"].sum()
            assert np.isclose(looks, 1, atol=1e-5) or looks == 0
    sample = int(np.flatnonzero(~found.present.all(1))[0])
    missing = found.modalities[int(np.flatnonzero(~found.present[sample])[0])]
    alone = found.flow(sample)
    assert not alone[alone["source"] == missing]["weight"].any()
    assert not alone[alone["target"] == missing]["weight"].any()
    with pytest.raises(InputError, match="no sample at position 999"):
        found.flow(999)


def test_flow_reaches_what_a_rollout_reaches():
    found = explain.attention(cases.trained(), cases.samples(), combine="rollout")
    first = found.flow(3)
    first = first[first["layer"] == 0]
    for name in MODALITIES:
        np.testing.assert_allclose(first["reaching"][first["source"] == name].sum(), found.received(name)[3].sum(), atol=1e-5)


# ---- encoders' own maps, on the input ------------------------------------------------------------------------------


def test_an_encoders_layer_on_its_input(found):
    layer, run_of = "light_curve.0", cases.trained()
    assert found.encoder_heads == {layer: run_of.model.encoders["light_curve"].layers[0].attention.heads}
    plain = explain.attention(run_of, cases.samples(), encoders=True)
    over = plain.on_input("light_curve", layer, 1)
    weights, mask = plain.maps[layer], plain.token_masks["light_curve"]
    for sample in (0, 11):
        real = np.flatnonzero(mask[sample])
        expected = np.zeros(over.shape[1])
        for query in real:
            expected[: mask.shape[1]] += weights[sample, 1, query] / len(real)
        np.testing.assert_allclose(over[sample], expected, atol=1e-6)
    some = mask.any(1)
    np.testing.assert_allclose(over[some].sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(plain.on_input("image", "fusion.1", 2), plain.only("fusion.1", 2).on_input("image"))
    with pytest.raises(UnknownNameError, match=r"light_curve\.0.*fusion\.1"):
        plain.on_input("image", layer)
    with pytest.raises(InputError, match="has no head 9"):
        plain.on_input("light_curve", layer, 9)


@pytest.mark.parametrize(("name", "kind"), ATTENDING)
def test_keys_of_every_encoder_cover_the_input_they_were_made_of(name, kind):
    model = made(recipe_of({kind: name}, "joint_attention"), "classification").eval()
    batch = part_of(WHOLE, model, range(3))
    fused = run(model, batch, attention="all").fused
    place = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in fused.tokens[kind].place.items()}
    from astrofuse_lab.explain.adapter import PLACE_AXES

    shape = tuple(batch.values[kind].shape[axis] for axis in PLACE_AXES[kind])
    own = [weights for key, weights in fused.attention.items() if key.startswith(f"{kind}.")]
    assert own
    for layer, weights in enumerate(own):
        keys = attention_places.keys_of(place, layer)
        assert len(keys["box"]) == weights.shape[-1], "a box for every key"
        ones = attention_places.lay(np.ones((3, weights.shape[-1]), dtype=np.float32), keys, shape)
        assert (ones > 0).all(), "boxes leave nothing out"
        seen = attention_places.received(weights.mean(1).numpy(), weights.numpy())
        over = attention_places.lay(seen, keys, shape)
        np.testing.assert_allclose(over.reshape(3, -1).sum(1), seen.sum(1), atol=1e-4)
        if kind == "light_curve":  # epochs that are masked are looked at by nobody
            assert not over[~batch.masks[kind].numpy()].any() or weights.shape[-1] != shape[0]


def test_epochs_in_an_order_of_their_own_come_back_to_their_places():
    place = {"box": np.array([[0, 1], [1, 2], [2, 3]]), "order": np.array([[2, 0, 1], [0, 1, 2]])}
    over = attention_places.lay(np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], dtype=np.float32), place, (3,))
    np.testing.assert_allclose(over, [[0.3, 0.2, 0.5], [0.5, 0.3, 0.2]])


