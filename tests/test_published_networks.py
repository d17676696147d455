"""Networks written as rows of layers: sizes as printed in papers, the same numbers as torch's own modules, and refusals that say why."""

import numpy as np
import pytest
import torch
from torch import nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.build import build
from astrofuse_lab.models.layers import LAYERS, Layers
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.schema import Part, Recipe

VGG6 = [
    ["conv", 16], ["relu"], ["conv", 16], ["relu"], ["max_pool", 2], ["dropout", 0.25], ["conv", 32], ["relu"], ["conv", 32], ["relu"], ["max_pool", 4],
    ["dropout", 0.25], ["flatten"], ["dense", 256], ["relu"], ["dropout", 0.5],
]  # fmt: skip


def test_vgg6_of_braai_has_the_published_size():
    recipe = Recipe("x", "x", {"image": Part.of("layers", layers=VGG6, project=False)}, Part("join"), Part.of("classification", hidden=0, single=True))
    model = build(recipe, {"image": InputLayout("image", ("a", "b", "c"), (3, 63, 63))}, 2, "classification")
    assert model.parameter_count == 312_081  # Duev et al. 2019, MNRAS 489, 3582
    said = model.eval()({"image": torch.rand(2, 3, 63, 63)}, {"image": torch.ones(2, 3, 63, 63, dtype=torch.bool)})
    assert said.values.shape == (2, 2)
    assert said.values[:, 0].tolist() == [0.0, 0.0]
    assert model.fusions["all"].vector_width == 256


def test_single_is_for_two_classes():
    recipe = Recipe("x", "x", {"table": Part("mlp")}, Part("concatenation"), Part.of("classification", single=True))
    with pytest.raises(InputError, match="two classes, and there are 3"):
        build(recipe, {"table": InputLayout("table", ("a",), (1,))}, 3, "classification")


def test_tokens_of_any_width_need_a_join():
    recipe = Recipe("x", "x", {"table": Part.of("layers", layers=[["dense", 5]], project=False), "image": Part("conv2d")}, Part("concatenation"), width=8)
    layouts = {"table": InputLayout("table", ("a",), (1,)), "image": InputLayout("image", ("a",), (1, 16, 16))}
    with pytest.raises(InputError, match=r"'table' are 5 wide, and this fusion needs 8.*Part\('join'\)"):
        build(recipe, layouts, 2, "classification")
    joined = build(recipe.change(fusion="join"), layouts, 2, "classification")
    assert joined.fusions["all"].vector_width == 13
    alone = build(recipe.change(fusion="join"), {"table": layouts["table"]}, 2, "classification")
    assert alone.fusions["all"].vector_width == 5
    whole = {"table": torch.ones(1, 1)}, {"table": torch.ones(1, 1, dtype=torch.bool)}
    with torch.no_grad():
        vector = joined.eval()(*whole).fused.vector
    assert vector[0, 5:].tolist() == [0.0] * 8  # the image is missing


@pytest.mark.parametrize("side", [7, 8, 11])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (4, 2), (1, 1), (5, 3)])
def test_same_padding_gives_as_many_as_the_stride_leaves(side, kernel, stride):
    layers = Layers([["conv", 2, kernel, "same", stride]], (1, side, side))
    assert layers.shape == (2, -(-side // stride), -(-side // stride))
    assert layers(torch.rand(1, 1, side, side)).shape[1:] == layers.shape


def test_flattening_puts_the_channels_last():
    x = torch.arange(12.0).view(1, 3, 2, 2)
    assert Layers([["flatten"]], (3, 2, 2))(x)[0, :3].tolist() == [0.0, 4.0, 8.0]


def test_residual_adds_one_channel_to_all():
    layers = Layers([["residual", [["conv", 4, 3, "same"]]]], (1, 6, 6))
    x = torch.rand(2, 1, 6, 6)
    assert torch.allclose(layers(x), x + layers.steps[0].inner(x))
    with pytest.raises(InputError, match="what is added has the shape"):
        Layers([["residual", [["conv", 4]]]], (1, 6, 6))


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_missing_steps_are_stepped_over(kind):
    torch.manual_seed(0)
    x, real = torch.rand(3, 2, 9), torch.tensor(np.random.default_rng(0).uniform(size=(3, 9)) < 0.6)
    for gives in ("last", "sequence"):
        layers = Layers([[kind, 4, "both", gives]], (2, 9))
        said = layers(x, real)
        cells = layers.steps[0].cells
        for i in range(3):
            out, state = cells(x[i : i + 1, :, real[i]].transpose(1, 2))
            last = torch.cat(list(state[0] if kind == "lstm" else state), -1)[0]
            expected = last if gives == "last" else out[0].T
            assert torch.allclose(said[i] if gives == "last" else said[i][:, real[i]], expected, atol=1e-6)
        assert layers.shape == tuple(said.shape[1:])


def test_each_number_has_layers_of_its_own():
    torch.manual_seed(0)
    layers, x = Layers([["each", [["dense", 2], ["relu"]], 3]], (5,)), torch.rand(4, 5)
    own = layers.steps[0].layers
    assert torch.equal(layers(x), torch.cat([x[:, :3], own[0](x[:, 3:4]), own[1](x[:, 4:5])], 1))
    assert sum(p.numel() for p in layers.parameters()) == 2 * 4


def test_networks_side_by_side_read_the_same_input():
    torch.manual_seed(0)
    layers, x = Layers([["parallel", [[["global_average"], ["dense", 2]], [["flatten"]]]]], (3, 2, 2)), torch.rand(4, 3, 2, 2)
    assert torch.allclose(layers(x)[:, :2], layers.steps[0].networks[0].steps[1](x.mean((2, 3))))
    assert layers.shape == (14,)


def test_columns_of_a_table_are_read_by_name():
    encoder = Part.of("layers", layers=[["each", [["relu"]], 0]], columns=["c", "a"], project=False)
    recipe = Recipe("x", "x", {"table": encoder}, Part("join"), Part.of("classification", hidden=0))
    model = build(recipe, {"table": InputLayout("table", ("a", "b", "c"), (3,))}, 2, "classification").eval()
    said = model({"table": torch.tensor([[1.0, 2.0, 3.0]])}, {"table": torch.tensor([[True, True, False]])})
    assert said.fused.vector.tolist() == [[0.0, 1.0]]
    with pytest.raises(UnknownNameError, match="no column of the table 'd'"):
        build(recipe.change(encoders={"table": Part.of("layers", columns=["d"])}), {"table": InputLayout("table", ("a",), (1,))}, 2, "classification")
    with pytest.raises(InputError, match="are of a table, and this input is image"):
        build(recipe.change(encoders={"image": Part.of("layers", columns=["d"])}), {"image": InputLayout("image", ("a",), (1, 4, 4))}, 2, "classification")


def test_layers_are_torch_in_order():
    torch.manual_seed(0)
    ours = Layers([["conv", 4, 3], ["relu"], ["max_pool", 2], ["flatten"], ["dense", 3]], (2, 8, 8))
    conv, dense = ours.steps[0], ours.steps[4]
    x = torch.rand(2, 2, 8, 8)
    expected = dense(nn.functional.max_pool2d(conv(x).relu(), 2).permute(0, 2, 3, 1).flatten(1))
    assert torch.allclose(ours(x), expected)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_says_what_shape_it_gives(name):
    sizes = {"conv": [3], "separable": [3], "max_pool": [2], "average_pool": [2], "dense": [3], "residual": [[["conv", 4, 3, "same"]]], "lstm": [3], "gru": [3], "each": [[["dense", 2], ["relu"]], 1], "parallel": [[[["flatten"]], [["flatten"], ["dense", 2]]]]}
    for shape in ((4, 9, 9), (4, 9), (4,)):
        try:
            layers = Layers([[name, *sizes.get(name, [])]], shape)
        except InputError:
            continue
        assert layers(torch.rand(2, *shape)).shape[1:] == layers.shape
        return
    pytest.skip("a layer with sizes of its own, tested where it is used")


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([["convolution", 3]], "convolution"),
        (["conv"], "no layer"),
        ([["conv", 0]], "channels=0"),
        ([["conv", 4, 9]], "leaves nothing of 1 x 6 x 6"),
        ([["dense", 3]], "put 'flatten'"),
        ([["conv", 4, 3, "full"]], "padding='full'"),
        ([["flatten"], ["conv", 3]], "an image or a sequence"),
        ([["conv", 4, 3, "same", 1, 1, True, 7]], "cannot read"),
        ([["flatten"], ["dense", 10**9]], "at most"),
        ([["flatten"], ["each", [["relu"]], 99]], "keep=99"),
        ([["each", [["relu"]]]], "a vector of at least"),
        ([["parallel", [[["relu"]]]]], "each network ends with a vector"),
        ([["parallel", []]], "each network ends with a vector"),
    ],
)
def test_what_cannot_be_is_refused(layers, words):
    with pytest.raises((InputError, UnknownNameError), match=words):
        Layers(layers, (1, 6, 6))


def test_weights_can_be_drawn_as_keras_draws_them():
    """Glorot & Bengio 2010, eq. 16: uniform within sqrt(6 / (inputs + outputs)), where a kernel's inputs and outputs count each of its pixels; biases are zero."""
    made, layout = {}, {"image": InputLayout("image", ("a", "b", "c"), (3, 63, 63))}
    for how in ("torch", "glorot"):
        torch.manual_seed(0)
        recipe = Recipe("x", "x", {"image": Part.of("layers", layers=VGG6, project=False, initialisation=how)}, Part("join"), Part.of("classification", hidden=0, single=True))
        made[how] = [one for one in build(recipe, layout, 2, "classification").encoders["image"].layers.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    assert [tuple(one.weight.shape) for one in made["glorot"]] == [(16, 3, 3, 3), (16, 16, 3, 3), (32, 16, 3, 3), (32, 32, 3, 3), (256, 1152)]
    for one, plain in zip(made["glorot"], made["torch"], strict=True):
        pixels = int(np.prod(one.weight.shape[2:]))
        limit = (6 / (pixels * (one.weight.shape[0] + one.weight.shape[1]))) ** 0.5
        assert 0.97 * limit < float(one.weight.detach().abs().max()) <= limit and float(one.weight.detach().std()) == pytest.approx(limit / 3**0.5, rel=0.05)
        assert not one.bias.detach().any() and plain.bias.detach().any()
    with pytest.raises(InputError, match=r"initialisation='keras'.*one of torch, glorot"):
        build(recipe.change(encoders={"image": Part.of("layers", initialisation="keras")}), layout, 2, "classification")
