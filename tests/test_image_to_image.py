"""Deep published networks as layers, and image-to-image ones: sizes as Keras and the papers count them, formulas by literal loops, and that they learn."""

import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.build import build
from astrofuse_lab.models.image_to_image import SCALES, images_of, scales
from astrofuse_lab.models.layers import Layers
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.training.self_supervised import make_self_supervised

PROVE = os.environ.get("ASTROFUSE_PROVE") == "1"
STREAK = {"difference": InputLayout("image", ("difference",), (1, 144, 144))}
SIZES = {"deepstreaks_vgg6": 2_114_033, "deepstreaks_resnet50": 17_348_993, "deepstreaks_densenet121": 6_948_609}
"""Trainable parameters as Keras 3.15 counts the same layers (17,386,753 and 7,032,257 with the running means): its own DenseNet121 at 144 x 144 x 1
with one output; ResNet50 by Keras layers with the stages of the system's code."""
PAIR = {name: InputLayout("image", ("r",), (1, 63, 63)) for name in ("reference", "science", "transient")}


def small(width=0.03125, **options):
    head = Part.of("reconstruction", modality="transient", source="stack")
    encoders = {"stack": Part.of("layers", layers=[["encoder_decoder", width]], project=False), "transient": Part.of("layers", layers=[["global_average"]], project=False)}
    recipe = Recipe("x", "x", encoders, Part("join"), head, objective=Part.of("reconstruction", hidden=1.0, error="absolute", **options))
    return recipe.change(stack=Part.of("channels", modalities=["reference", "science"]))


def batch_of(n=3, seed=0):
    luck = torch.Generator().manual_seed(seed)
    values = {name: torch.randn(n, 1, 63, 63, generator=luck) for name in PAIR}
    masks = {name: torch.ones(n, 1, 63, 63, dtype=torch.bool) for name in PAIR}
    return values, masks, {name: torch.ones(n, dtype=torch.bool) for name in PAIR}


@pytest.mark.parametrize("name", SIZES)
def test_networks_of_deepstreaks_have_their_size(name):
    recipe = get_recipe(name)
    with torch.device("meta"):
        model = build(recipe, STREAK, 2, "classification")
    assert model.parameter_count == SIZES[name]
    assert model.train()({"difference": torch.empty(2, 1, 144, 144, device="meta")}, {"difference": torch.empty(2, 1, 144, 144, dtype=torch.bool, device="meta")}).values.shape == (2, 2)


@pytest.mark.skipif(not PROVE, reason="a forward and backward pass of each network at its published size: ASTROFUSE_PROVE=1")
@pytest.mark.parametrize(("name", "layouts", "outputs", "task"), [*((name, STREAK, 2, "classification") for name in SIZES), ("transinet", PAIR, 0, "self_supervised")])
def test_published_sizes_run_forward_and_back(name, layouts, outputs, task):
    model = build(get_recipe(name), layouts, outputs, task).train()
    values = {one: torch.randn(2, *layout.shape) for one, layout in layouts.items()}
    said = model(values, {one: torch.ones_like(value, dtype=torch.bool) for one, value in values.items()})
    sum(one.square().mean() for one in (said.values, *said.extra.values()) if one.numel()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_transinet_has_the_published_size():
    with torch.device("meta"):
        model = build(get_recipe("transinet"), PAIR, 0, "self_supervised")
    assert model.parameter_count == 154_899_317  # NimSed/TransiNet0-pytorch at its width 2, counted
    assert sum(p.numel() for p in build(get_recipe("transinet_small"), PAIR, 0, "self_supervised").parameters()) < 154_899_317 / 200


# ---- layers ---------------------------------------------------------------------------------------------------------


def test_a_stage_is_bottlenecks_added_to_their_input():
    torch.manual_seed(0)
    layers = Layers([["residual_stage", 3, 8, 2, 2]], (4, 9, 9)).eval()
    x = torch.rand(2, 4, 9, 9)
    expected = x
    for i, block in enumerate(layers.steps[0]):
        convs = [one for one in block.main if isinstance(one, nn.Conv2d)]
        norms = [one for one in block.main if isinstance(one, nn.BatchNorm2d)]
        stride = 2 if i == 0 else 1
        y = F.conv2d(expected, convs[0].weight, convs[0].bias, stride=stride) / (1 + norms[0].eps) ** 0.5
        y = F.conv2d(y.relu(), convs[1].weight, convs[1].bias, padding=1) / (1 + norms[1].eps) ** 0.5
        y = F.conv2d(y.relu(), convs[2].weight, convs[2].bias) / (1 + norms[2].eps) ** 0.5
        if i == 0:
            expected = F.conv2d(expected, block.short[0].weight, block.short[0].bias, stride=2) / (1 + block.short[1].eps) ** 0.5
        expected = (expected + y).relu()
    assert torch.allclose(layers(x), expected, atol=1e-5) and layers.shape == (8, 5, 5) == tuple(expected.shape[1:])


def test_a_dense_block_sees_all_that_came_before():
    torch.manual_seed(0)
    layers = Layers([["dense_block", 3, 2], ["transition", 0.5]], (4, 8, 8)).eval()
    block, halved = layers.steps
    x = torch.rand(2, 4, 8, 8)
    grown = [x]
    for one in block.layers:
        grown.append(one(torch.cat(grown, 1)))
    assert [one.shape[1] for one in grown] == [4, 2, 2, 2] and block.layers[2][2].weight.shape == (8, 8, 1, 1)
    assert torch.allclose(block(x), torch.cat(grown, 1), atol=1e-6)
    assert layers.shape == (5, 4, 4) == tuple(layers(x).shape[1:])
    assert torch.allclose(halved(block(x)), F.avg_pool2d(halved[2](halved[1](halved[0](block(x)))), 2))


@pytest.mark.parametrize("rows", [[["pad", -1]], [["residual_stage", 4, 8, 0]], [["dense_block", 0, 4]], [["transition", 0.0]], [["encoder_decoder", 0]], [["flatten"], ["pad", 2]]])
def test_sizes_that_cannot_be_are_refused(rows):
    with pytest.raises(InputError, match="cannot read"):
        Layers(rows, (2, 8, 8))


# ---- image to image -------------------------------------------------------------------------------------------------


def test_predictions_come_back_as_images_of_seven_scales():
    layers = Layers([["encoder_decoder", 0.03125]], (2, 63, 63))
    x = torch.rand(2, 2, 63, 63)
    vector = layers(x)
    expected = layers.steps[0].maps(x)
    made = images_of(vector, (63, 63))
    assert vector.shape[1:] == layers.shape and len(made) == SCALES == 7
    assert [tuple(one.shape[2:]) for one in made] == scales((63, 63), 7) == [(64 >> k, 64 >> k) for k in range(7)]
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))
    assert [tuple(one.shape[2:]) for one in images_of(torch.rand(1, 130 * 70), (130, 70))] == [(130, 70)]
    with pytest.raises(InputError, match="1000 numbers are no image of 63 x 63"):
        images_of(torch.rand(1, 1000), (63, 63))


def test_every_scale_sees_the_coarser_one_and_the_last_the_input():
    network = Layers([["encoder_decoder", 0.03125]], (2, 64, 64)).steps[0].double()
    x = torch.rand(1, 2, 64, 64, dtype=torch.double)
    before = network.maps(x)
    with torch.no_grad():
        network.said[0].bias += 1.0  # the coarsest says something else
    assert all((a - b).abs().max() > 0 for a, b in zip(before, network.maps(x), strict=True))
    with torch.no_grad():
        network.said[6].weight[:, 2:] = 0.0  # of the finest only what reads the input is left
    assert torch.allclose(network.maps(x)[0], F.conv2d(x, network.said[6].weight[:, :2], network.said[6].bias, padding=1))


def test_what_is_to_be_made_is_never_looked_at():
    torch.manual_seed(0)
    model = build(small(), PAIR, 0, "self_supervised").eval()
    values, masks, present = batch_of()
    made = model(values, masks, present).extra["reconstruction"]
    assert made.shape == (3, 1, 63, 63)
    assert torch.equal(made, model({**values, "transient": values["transient"] * 5}, masks, present).extra["reconstruction"])
    assert torch.equal(made, model({n: values[n] for n in ("reference", "science")}, masks, present).extra["reconstruction"])
    assert not torch.equal(made, model({**values, "science": values["science"] * 5}, masks, present).extra["reconstruction"])
    assert not model({"transient": values["transient"]}, masks, present).extra["reconstruction"].any()


@pytest.mark.parametrize("filled", [0.0, 0.3])
def test_the_loss_is_the_mean_error_over_all_scales(filled):
    torch.manual_seed(0)
    recipe = small(filled=filled)
    model = build(recipe, PAIR, 0, "self_supervised")
    learning = make_self_supervised(recipe.objective, model).eval()
    values, masks, present = batch_of()
    values["transient"][:, :, :, 20:] = 0.0
    masks["transient"][1, 0, :, 40:] = False
    present["transient"][2] = False
    loss, there = learning.per_sample(values, masks, present)
    said = model(values, masks, present).extra
    assert there.tolist() == [True, True, False] and loss[2] == 0
    for i in range(2):
        truth = np.zeros((64, 64))
        truth[:63, :63] = np.where(masks["transient"][i, 0], values["transient"][i, 0], 0)
        counts = np.zeros((64, 64))
        counts[:63, :63] = masks["transient"][i, 0]
        losses = []
        for k in range(7):
            side = 64 >> k
            means, shares = (one.reshape(side, 2**k, side, 2**k).mean((1, 3)) for one in (truth, counts))
            made = (said["reconstruction"] if k == 0 else said[f"scale.{k}"])[i, 0].detach().double().numpy()
            if k == 0:
                made = np.pad(made, (0, 1))
            error, some = np.abs(made - means), shares * (means != 0)
            whole = (error * shares).sum() / shares.sum()
            rest = (shares - some).sum()
            apart = filled * (error * some).sum() / some.sum() + (1 - filled) * ((error * (shares - some)).sum() / rest if rest > 0 else 0.0)
            losses.append(apart if filled else whole)
        assert float(loss[i].detach()) == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"head": Part.of("reconstruction", modality="transient", source="other")}, InputError, "source='other' makes an image of one band"),
        ({"head": Part.of("reconstruction", modality="transient", source="transient")}, InputError, "source='transient'"),
        ({"objective": Part.of("reconstruction", error="cubed")}, UnknownNameError, "cubed"),
        ({"objective": Part.of("reconstruction", filled=1.0)}, InputError, "filled=1.0"),
    ],
)
def test_what_cannot_be_is_refused(change, error, words):
    with pytest.raises(error, match=words):
        recipe = small().change(**change)
        make_self_supervised(recipe.objective, build(recipe, PAIR, 0, "self_supervised"))
