"""Data-level fusion: what is stacked is what was given, and explanations still speak of the modalities."""

import explain_cases as cases
import numpy as np
import pytest
import torch
from model_cases import LAYOUTS, WHOLE, learn, part_of, run

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import SCORES
from astrofuse_lab.models.build import build
from astrofuse_lab.models.stack import ChannelStack, FlatStack, resampled
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.catalogue import RECIPES
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.training.loop import train

CHANNELS = Part.of("channels", modalities=["spectrum", "series"])
FLAT = Part.of("concatenation", modalities=["spectrum", "table"])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stacked(stack, fusion="joint_attention"):
    torch.manual_seed(0)
    return build(RECIPES["joint_attention"].change(width=16, stack=stack, fusion=fusion), LAYOUTS, 3, "classification").eval()


def test_channels_are_the_members_as_they_are():
    layouts = {name: InputLayout("image", bands, (len(bands), 8, 6)) for name, bands in (("hst", ("g",)), ("jwst", ("j", "k")))}
    stack = ChannelStack(layouts)
    values = {name: torch.randn(4, *one.shape) for name, one in layouts.items()}
    masks = {name: torch.rand(4, *one.shape) > 0.2 for name, one in layouts.items()}
    value, mask = stack(values, masks)
    assert stack.layout == InputLayout("image", ("hst g", "jwst j", "jwst k"), (3, 8, 6))
    assert torch.equal(value, torch.cat(list(values.values()), 1))
    assert torch.equal(mask, torch.cat(list(masks.values()), 1))
    alone = stack({"jwst": values["jwst"]}, {"jwst": masks["jwst"]})
    assert not alone[1][:, 0].any()
    assert torch.equal(alone[1][:, 1:], masks["jwst"])


def test_a_member_of_another_size_is_brought_to_the_firsts():
    ramp = torch.arange(16.0).expand(1, 1, 16)
    mask = torch.ones_like(ramp, dtype=torch.bool)
    smaller, real = resampled(ramp, mask, (8,))
    np.testing.assert_allclose(smaller[0, 0], np.arange(16).reshape(8, 2).mean(1))  # each new pixel is the mean of two
    larger, _ = resampled(ramp, mask, (32,))
    np.testing.assert_allclose(larger[0, 0, 1:-1], (np.arange(32) + 0.5)[1:-1] / 2 - 0.5, atol=1e-5)
    assert real.all()
    mask[..., 4:8] = False
    hidden, real = resampled(ramp.where(mask, torch.tensor(torch.nan)), mask, (8,))
    assert real[0, 0].tolist() == [True, True, False, False, True, True, True, True]
    assert hidden.isfinite().all()
    np.testing.assert_allclose(hidden[real], smaller[real])
    picture = torch.rand(2, 1, 12, 10, requires_grad=True)
    resampled(picture, torch.ones_like(picture, dtype=torch.bool), (6, 5))[0].sum().backward()
    np.testing.assert_allclose(picture.grad, 0.25)


def test_a_row_is_all_numbers_side_by_side():
    layouts = {"spectrum": InputLayout("spectrum", (), (5,)), "table": InputLayout("table", ("a", "b"), (2,))}
    values, masks = {"spectrum": torch.randn(3, 5), "table": torch.randn(3, 2)}, {"spectrum": torch.rand(3, 5) > 0.5, "table": torch.rand(3, 2) > 0.5}
    stack = FlatStack(layouts)
    assert stack.layout.kind == "table"
    assert stack.layout.channels[-2:] == ("table a", "table b")
    assert torch.equal(stack(values, masks)[0], torch.cat([values["spectrum"], values["table"]], 1))
    series = FlatStack(layouts, to="series")
    assert series.layout.shape == (1, 7)
    assert torch.equal(series(values, masks)[1][:, 0], torch.cat([masks["spectrum"], masks["table"]], 1))
    assert FlatStack.chosen(layouts | {"image": LAYOUTS["image"]}, ()) == layouts
    assert list(FlatStack.chosen(layouts, ("table", "spectrum"))) == ["table", "spectrum"]


@pytest.mark.parametrize("stack", [CHANNELS, FLAT, Part.of("concatenation", modalities=["spectrum", "table"], to="series", called="row")])
@pytest.mark.parametrize("fusion", ["joint_attention", "concatenation"])
def test_inputs_stay_the_modalities_and_streams_are_what_encoders_read(stack, fusion):
    model, members = stacked(stack, fusion), stack.options["modalities"]
    name = stack.options.get("called", "stack")
    assert model.modalities == tuple(LAYOUTS)
    assert set(model.streams) == set(LAYOUTS) - set(members) | {name}
    assert set(model.encoders) == set(model.streams)
    batch = part_of(WHOLE, model, range(4))
    whole = run(model, batch)
    assert set(whole.fused.tokens) == set(model.streams)
    assert whole.values.isfinite().all()
    # a member that is missing, masked or left out gives the same answer; with all members missing so is the stream
    for gone in (members[:1], members):
        absent = run(model, part_of(WHOLE, model, range(4), leave_out=gone))
        masked, said = part_of(WHOLE, model, range(4)), part_of(WHOLE, model, range(4))
        for one in gone:
            masked.masks[one][:] = False
            said.present[one][:] = False
        for other in (masked, said):
            torch.testing.assert_close(run(model, other).values, absent.values, atol=1e-5, rtol=1e-4)
        assert (name in absent.fused.tokens) == (gone != members)
    there = batch.masks[members[0]].flatten(1).any(1) | batch.masks[members[1]].flatten(1).any(1)
    assert torch.equal(whole.fused.tokens[name].mask.any(1), there)
    hidden = part_of(WHOLE, model, range(4))
    for key, mask in hidden.masks.items():
        hidden.values[key] = hidden.values[key].masked_fill(~mask.view(*mask.shape, *[1] * (hidden.values[key].ndim - mask.ndim)), torch.nan)
    assert torch.equal(run(model, hidden).values, whole.values)


def test_gradients_reach_every_member():
    model = stacked(CHANNELS)
    batch = part_of(WHOLE, model)
    for name in ("spectrum", "series"):
        batch.values[name].requires_grad_(True)
    learn(model, batch).values.square().sum().backward()
    for name in ("spectrum", "series"):
        gradient = batch.values[name].grad
        assert (gradient[batch.masks[name]] != 0).float().mean() > 0.5
        assert not gradient[~batch.masks[name]].any()


def test_ablations_leave_members_out():
    recipe = RECIPES["joint_attention"].change(width=16, stack=CHANNELS)
    assert build(recipe, {n: LAYOUTS[n] for n in ("image", "spectrum")}, 3, "classification").streams == ("image", "stack")
    assert build(recipe, {"table": LAYOUTS["table"]}, 3, "classification").streams == ("table",)


@pytest.mark.parametrize(
    ("stack", "error", "words"),
    [
        (Part("colour"), UnknownNameError, "no stack 'colour'"),
        (Part.of("channels", modalities=["image", "spectrum"]), InputError, r"image \(image\), spectrum \(spectrum\) cannot be stacked: this joins image or spectrum/series"),
        (Part.of("concatenation", modalities=["text"]), InputError, "cannot be stacked"),
        (Part.of("concatenation", to="text"), InputError, "a 'table' or a 'series'"),
        (Part.of("channels", modality="image"), InputError, "has no option 'modality'"),
    ],
)
def test_what_cannot_be_stacked_says_why(stack, error, words):
    with pytest.raises(error, match=words):
        stacked(stack)


@pytest.fixture(scope="module")
def trained():
    recipe = Recipe.from_json(RECIPES["joint_attention"].change(stack=FLAT).to_json())
    return train(recipe, cases.samples(), "label", ["spectrum", "table", "text"], epochs=2, device="cpu", progress=False)


def test_attributions_are_of_the_modalities(trained):
    found = explain.attribute(trained, cases.samples().take(np.arange(6)), steps=16)
    assert set(found.values) == {"spectrum", "table", "text"}
    assert found.values["spectrum"].shape == (6, 96)
    assert np.abs(found.values["spectrum"]).sum() > 0
    np.testing.assert_allclose(found.convergence_delta, 0, atol=0.2)


def test_contributions_are_of_the_modalities(trained):
    some = cases.samples().take(np.arange(6))
    found = explain.contributions(trained, some)
    assert found.modalities == ("spectrum", "table", "text")
    # by definition: a subset's score is the model's own on it
    batch = trained.batch(some)
    only = trained.model({"table": batch.values["table"]}, {"table": batch.masks["table"]}, {"table": batch.present["table"]}).values
    table = found.game[:, 0b010]
    index = torch.tensor([list(trained.classes).index(one) for one in found.target])
    odds = SCORES[found.score_name](only, index).detach().numpy()
    here = batch.present["table"].numpy()
    np.testing.assert_allclose(table[here], odds[here], atol=1e-4)


def test_attention_and_embedding_are_of_the_streams(trained):
    some = cases.samples().take(np.arange(8))
    found = explain.attention(trained, some)
    assert found.modalities == ("stack", "text")
    assert found.on_input("stack").shape == (8, 96 + 2)
    vectors = explain.embed(trained, some, method="pca")
    assert set(vectors.coordinates) == {"fused", "stack", "text"}
