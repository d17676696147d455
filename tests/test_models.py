"""The contract of the models: one set of tests that every encoder, fusion, decision and head passes."""

import itertools
import json

import numpy as np
import pytest
import torch
from model_cases import KINDS, LAYOUTS, OUTPUTS, SAMPLES, WHOLE, all_encoders, learn, made, part_of, recipe_of, run, spoken
from torch import nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.attention import CrossAttention, SelfAttention
from astrofuse_lab.models.build import TASKS, build
from astrofuse_lab.models.encoder import place_of
from astrofuse_lab.models.fusion import Concatenation
from astrofuse_lab.models.heads import About
from astrofuse_lab.models.parts import DECISIONS, ENCODERS, FUSIONS, HEADS, PARTS, make_part, options_of
from astrofuse_lab.models.tokens import InputLayout, Prediction, Tokens
from astrofuse_lab.recipes.catalogue import RECIPES
from astrofuse_lab.recipes.schema import Part, Recipe


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tensors this small gain nothing from more threads, and lose much where other processes want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# an encoder meets a fusion in its tokens only, and a fusion a head in one vector: each member passes the whole contract beside
# the plainest others, and every combination of encoder, fusion and head is run once below
READS = [(name, kind) for name, encoder in ENCODERS.items() for kind in encoder.kinds]
SYSTEMS = [(f"{e}-{kind}-{f}", recipe_of({kind: e}, f, "classification"), "classification") for (e, kind), f in itertools.product(READS, ("joint_attention",))]
SYSTEMS += [(f"all-{f}", recipe_of(all_encoders(), f), "classification") for f in FUSIONS]
SYSTEMS += [(f"all-{h}-{t}", recipe_of(all_encoders(), "concatenation", h), t) for h, head in HEADS.items() for t in head.tasks]
SYSTEMS += [(f"all-{d}-{t}", recipe_of(all_encoders(), "concatenation", "auto", d), t) for d, t in itertools.product(DECISIONS, ("classification", "regression")) if t in DECISIONS[d].tasks]
SYSTEMS += [(f"recipe-{name}", recipe, "classification") for name, recipe in RECIPES.items() if recipe.fidelity == "own" and recipe.head.name in ("auto", "classification")]


@pytest.fixture(params=SYSTEMS, ids=[name for name, _, _ in SYSTEMS], scope="module")
def system(request):
    _, recipe, task = request.param
    return made(recipe, task), recipe, task


# ---- what every model does ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
def test_shapes_and_finite_numbers(system, count):
    model, recipe, task = system
    prediction = run(model, part_of(WHOLE, model, range(count)))
    assert prediction.values.shape == (count, OUTPUTS[task])
    assert prediction.values.dtype == torch.float32
    assert prediction.values.isfinite().all()
    assert prediction.fused.vector.shape == (count, next(iter(model.fusions.values())).vector_width)
    assert prediction.fused.vector.isfinite().all()
    assert set(prediction.fused.tokens) == set(model.modalities)
    for one in prediction.fused.tokens.values():
        assert one.values.shape == (*one.mask.shape, recipe.width)
        assert one.values.isfinite().all()
        assert one.place["box"].shape == (one.mask.shape[1], 2 * len(one.place["axes"]))
    assert prediction.fused.attention == {}
    assert set(prediction.per_modality) == (set(model.modalities) if recipe.decision else set())


HOLDERS = (nn.ParameterDict, nn.ModuleDict, nn.ModuleList)


def test_every_leaf_module_runs_and_every_parameter_learns(system):
    model, recipe, _ = system
    model.train()
    ran, hooks = set(), []
    for name, module in model.named_modules():
        # what only holds others is never called
        if not list(module.children()) and not isinstance(module, HOLDERS):
            hooks.append(module.register_forward_hook(lambda *_, name=name: ran.add(name)))
    leaves = {n for n, m in model.named_modules() if not list(m.children()) and not isinstance(m, HOLDERS)}
    batch = part_of(WHOLE, model, range(8))
    for i, mask in enumerate(batch.masks.values()):
        mask[i] = False  # each modality is missing once
    prediction = learn(model, batch)
    said = spoken(prediction)
    if not model.differentiable:  # its streams learn from their own losses
        said = torch.cat([said, *prediction.per_modality.values()], 1)
    asked = sum(m.extra_loss() for m in model.fusions.modules() if hasattr(m, "extra_loss"))  # decoders and generators learn by it alone
    ((said * torch.linspace(-1, 1, said.numel()).view_as(said)).sum() + asked).backward()
    for hook in hooks:
        hook.remove()
    # the learned vector of a missing modality tells the others' gates and layers; alone, or where each modality
    # decides by itself, there is nobody to tell (concatenation without any modality excepted)
    # and where a stand-in is made of the others, it is needed only by samples that have none at all
    alone = model.decision is not None or (len(model.modalities) == 1 and recipe.fusion.name == "gated") or recipe.fusion.name == "generated"
    exempt = ("missing",) if alone else ()
    idle = [name for name, p in model.named_parameters() if (p.grad is None or not p.grad.abs().sum() > 0) and not any(word in name for word in exempt)]
    model.zero_grad()
    model.eval()
    assert ran == leaves
    assert idle == []


def test_what_is_masked_changes_nothing(system):
    model, _, _ = system
    batch = part_of(WHOLE, model, range(3))
    before = spoken(run(model, batch))
    for name in batch.values:
        values, mask = batch.values[name], batch.masks[name]
        hidden = ~mask.view(*mask.shape, *[1] * (values.ndim - mask.ndim)).expand_as(values)
        batch.values[name] = torch.where(hidden, torch.nan, values)
    assert torch.equal(before, spoken(run(model, batch)))


def test_padding_changes_nothing(system):
    model, _, _ = system
    batch = part_of(WHOLE, model, range(3))
    before = run(model, batch)
    for name in set(batch.values) & {"light_curve", "text"}:
        values, mask = batch.values[name], batch.masks[name]
        batch.values[name] = torch.cat([values, torch.full_like(values[:, :5], 7.0)], 1)
        batch.masks[name] = torch.cat([mask, torch.zeros_like(mask[:, :5])], 1)
    after = run(model, batch)
    assert torch.allclose(spoken(before), spoken(after), atol=1e-5)
    assert torch.allclose(before.fused.vector, after.fused.vector, atol=1e-5)


def test_a_sample_does_not_depend_on_its_neighbours(system):
    model, _, _ = system
    order = torch.tensor([4, 0, 3, 1, 2])
    whole, turned = (spoken(run(model, part_of(WHOLE, model, index))) for index in (range(5), order))
    assert torch.allclose(whole[order], turned, atol=1e-5)
    alone = torch.cat([spoken(run(model, part_of(WHOLE, model, [i]))) for i in range(5)])
    assert torch.allclose(whole, alone, atol=1e-5)


def test_a_missing_modality_is_masked(system):
    model, _, _ = system
    index = range(4)
    for gone in model.modalities if len(model.modalities) > 1 else ():
        absent = run(model, part_of(WHOLE, model, index, leave_out=(gone,)))
        masked = part_of(WHOLE, model, index)
        masked.masks[gone][:] = False
        said = part_of(WHOLE, model, index)
        said.present[gone][:] = False
        for batch in (masked, said):
            prediction = run(model, batch)
            assert torch.allclose(prediction.values, absent.values, atol=1e-5)
            assert torch.allclose(prediction.fused.vector, absent.fused.vector, atol=1e-5)


def test_without_any_modality_the_answer_is_finite(system):
    model, _, task = system
    batch = part_of(WHOLE, model, range(2))
    for mask in batch.masks.values():
        mask[0] = False
    prediction = learn(model.train(), batch)
    spoken(prediction).square().sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    model.eval()
    assert spoken(prediction).isfinite().all()
    assert all(g.isfinite().all() for g in gradients)
    if model.decision is not None and task == "classification":
        assert torch.allclose(prediction.values[0].exp(), torch.full((3,), 1 / 3))


def test_bfloat16_on_a_cpu(system):
    model, _, _ = system
    batch = part_of(WHOLE, model, range(3))
    with torch.autocast("cpu", torch.bfloat16):
        low = learn(model.train(), batch)
    spoken(low).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    model.zero_grad()
    model.eval()
    with torch.autocast("cpu", torch.bfloat16):
        low = run(model, batch)
    assert all(one.dtype == torch.float32 for one in (low.values, *low.extra.values()) if one.is_floating_point())
    full = run(model, batch)
    if not model.differentiable:  # a vote changes by steps: what it counts is compared
        low, full = (Prediction(torch.cat(list(one.per_modality.values()), 1), one.fused) for one in (low, full))
    assert torch.allclose(low.values, full.values, atol=0.15)
    assert torch.allclose(spoken(low), spoken(full), rtol=0.1, atol=0.15)


def test_json_there_and_back_gives_the_same_model(system):
    model, recipe, task = system
    back = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert back == recipe
    twin = made(back, task)
    assert list(twin.state_dict()) == list(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(twin.state_dict().values(), model.state_dict().values(), strict=True))
    assert twin.parameter_count == model.parameter_count > 0
    batch = part_of(WHOLE, model, range(2))
    assert torch.equal(spoken(run(twin, batch)), spoken(run(model, batch)))


@pytest.mark.parametrize(("name", "kind"), READS)
def test_every_encoder_with_every_fusion_and_head(name, kind):
    heads = [head for head in HEADS if not (head == "reconstruction" and kind in ("light_curve", "text"))]  # of no fixed size
    batch = None
    for fusion in FUSIONS:
        model = made(recipe_of({kind: name}, fusion), "classification").train()
        batch = batch or part_of(WHOLE, model, range(2))
        # a head sees nothing of an encoder but what was fused: all heads read the same
        fused = model.fusions["all"](model.encode(batch.values, batch.masks, batch.present)[0])
        parts = nn.ModuleDict({head: make_part("head", Part(head), 16, OUTPUTS[HEADS[head].tasks[0]], About((), model.layouts)) for head in heads}).train()
        said = {head: spoken(part(fused)) for head, part in parts.items()}
        sum(one.square().mean() for one in said.values()).backward()
        assert all(one.isfinite().all() for one in said.values()), (fusion, [head for head, one in said.items() if not one.isfinite().all()])
        learned = {head: [p.grad.isfinite().all() for p in part.parameters() if p.grad is not None] for head, part in parts.items()}
        assert all(ones and all(ones) for ones in learned.values()), (fusion, learned)
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None), fusion


# ---- attention ----------------------------------------------------------------------------------------------------


def test_attention_maps_are_what_the_layers_applied(system):
    model, _, _ = system
    batch = part_of(WHOLE, model, range(3))
    seen, hooks = [], []
    for module in model.fusions.modules():
        if isinstance(module, SelfAttention | CrossAttention):
            hooks.append(module.register_forward_hook(lambda m, args, out: seen.append((m, args, out))))
    prediction = run(model, batch, attention=True)
    for hook in hooks:
        hook.remove()
    maps = prediction.fused.attention
    assert model.attends == bool(maps)
    assert torch.allclose(prediction.values, run(model, batch).values, atol=1e-6), "asking for attention must not change the answer"
    slices = model.token_slices(prediction.fused)
    length = max(s.stop for s in slices.values())
    real = torch.cat([torch.ones(3, 1, dtype=torch.bool), *(prediction.fused.tokens[m].mask for m in model.modalities)], 1)
    for i, (key, weights) in enumerate(maps.items()):
        assert key == f"fusion.{i}"
        assert weights.shape[0] == 3
        assert weights.shape[2:] == (length, length)
        rows = weights.sum(-1)
        assert torch.allclose(rows, (rows > 0).float(), atol=1e-5), "rows sum to one, or look at nothing"
        assert (weights[..., : real.shape[1]][~real[:, None, None, :].expand(*weights.shape[:3], -1)] == 0).all()
        layer, args, out = seen[i]
        crossed = isinstance(layer, CrossAttention)
        # the map as the layer made it: all that is laid into the frame of all tokens, and what the layer applied
        raw = args[3][-1] if crossed else args[2][i if len(args[2]) == len(maps) else -1]
        assert torch.isclose(raw.square().sum(), weights.square().sum(), rtol=1e-4)
        value = layer.project(args[1] if crossed else args[0]).chunk(2 if crossed else 3, -1)[-1].unflatten(-1, (layer.heads, -1)).transpose(1, 2)
        applied = layer.out((raw @ value).transpose(1, 2).flatten(2))
        assert torch.allclose(applied, out, atol=1e-5)
    if maps:
        assert any((one[:, :, 0].sum(-1) > 0).all() for one in maps.values()), "the class token reads something"


def test_encoders_show_their_attention_when_asked(system):
    model, _, _ = system
    fused = run(model, part_of(WHOLE, model, range(3)), attention="all").fused
    maps, tokens = fused.attention, fused.tokens
    own = {name for name in model.modalities if model.encoders[name].attends}
    assert {key.split(".")[0] for key in maps} - {"fusion"} == own
    for name in own:
        mask = tokens[name].mask
        some = mask.any(1)
        for weights in (one for key, one in maps.items() if key.startswith(f"{name}.")):
            assert torch.allclose(weights.sum(-1)[some], torch.ones(weights.shape[:3])[some], atol=1e-5)
            if weights.shape[-1] == mask.shape[1]:  # not the finer tokens that an encoder pools, nor what latents look at
                assert (weights[~mask[:, None, None, :].expand_as(weights)] == 0).all()


def test_token_slices_follow_the_modalities_that_were_given():
    model = made(recipe_of(all_encoders(), "joint_attention"), "classification")
    fused = run(model, part_of(WHOLE, model, range(2), leave_out=("spectrum", "series", "text")), attention=True).fused
    slices = model.token_slices(fused)
    assert list(slices) == ["class", "image", "light_curve", "table"]
    assert slices["class"] == slice(0, 1)
    assert [s.stop - s.start for s in slices.values()][1:] == [fused.tokens[m].mask.shape[1] for m in list(slices)[1:]]
    assert fused.attention["fusion.0"].shape[-1] == slices["table"].stop


# ---- modality dropout, decisions ----------------------------------------------------------------------------------


def _marked_tokens(present):
    return {name: Tokens(torch.ones(len(present), 2, 4), present[:, i, None].expand(-1, 2), {}) for i, name in enumerate("abc")}


def test_modality_dropout_masks_its_share_and_never_all():
    torch.manual_seed(0)
    present = torch.rand(4000, 3) > 0.3
    fusion = Concatenation(("a", "b", "c"), 4, modality_dropout=0.4)
    kept = torch.stack([one.mask.all(1) for one in fusion.train().drop(_marked_tokens(present)).values()], 1)
    assert not (kept & ~present).any(), "nothing that is missing comes back"
    assert (kept.any(1) == present.any(1)).all(), "a sample that has some keeps one"
    count = present.sum(1)
    for there in (2, 3):
        rows = count == there
        # each is dropped with chance p, but for the luckiest where all would be
        expected = 1 - 0.4 + 0.4**there / there
        assert abs(float(kept[rows].sum() / present[rows].sum()) - expected) < 0.02
    assert torch.equal(torch.stack([one.mask.all(1) for one in fusion.eval().drop(_marked_tokens(present)).values()], 1), present)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_modality_dropout_reaches_every_fusion(fusion):
    model = made(recipe_of(all_encoders(), fusion, modality_dropout=0.9), "classification").train()
    prediction = run(model, part_of(WHOLE, model))
    shown = torch.stack([one.mask.any(1) for one in prediction.fused.tokens.values()], 1)
    had = torch.stack([WHOLE.present[name] for name in model.modalities], 1)
    assert shown.sum() < 0.5 * had.sum()
    assert (shown.any(1) == had.any(1)).all()


def test_the_average_is_the_mean_of_probabilities_over_the_modalities_present():
    model = made(RECIPES["decision_average"], "classification")
    batch = part_of(WHOLE, model)
    prediction = run(model, batch)
    each = np.stack([one.detach().double().softmax(-1).numpy() for one in prediction.per_modality.values()], 1)
    present = np.stack([batch.present[name].numpy() for name in prediction.per_modality], 1)
    expected = np.array([p[there].mean(0) for p, there in zip(each, present, strict=True)])
    assert np.allclose(prediction.values.exp().detach().numpy(), expected, atol=1e-6)


def test_the_product_is_the_normalised_product_of_probabilities_over_the_modalities_present():
    model = made(RECIPES["decision_average"].change(decision=Part("product")), "classification")
    batch = part_of(WHOLE, model)
    prediction = run(model, batch)
    each = np.stack([one.double().softmax(-1).numpy() for one in prediction.per_modality.values()], 1)
    present = np.stack([batch.present[name].numpy() for name in prediction.per_modality], 1)
    expected = np.where(present[..., None], each, 1.0).prod(1)
    assert np.allclose(prediction.values.exp().numpy(), expected / expected.sum(1, keepdims=True), atol=1e-6)


def test_the_average_of_values_is_taken_over_the_modalities_present():
    model = made(RECIPES["decision_average"], "regression")
    batch = part_of(WHOLE, model)
    prediction = run(model, batch)
    each = torch.cat(list(prediction.per_modality.values()), 1).detach().numpy()
    present = np.stack([batch.present[name].numpy() for name in prediction.per_modality], 1)
    expected = np.ma.MaskedArray(each, ~present).mean(1)
    assert np.allclose(prediction.values[:, 0].detach().numpy(), expected, atol=1e-6)


# ---- encoders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 63, 30, 16, 5])
def test_cells_of_an_image_are_where_their_tokens_look(size):
    torch.manual_seed(0)
    encoder = ENCODERS["conv2d"](InputLayout("image", ("r",), (1, size, size)), 16).eval()
    values = torch.randn(1, 1, size, size, requires_grad=True)
    tokens = encoder(values, torch.ones_like(values, dtype=torch.bool))
    box = tokens.place["box"]
    covered = torch.zeros(size, size, dtype=torch.bool)
    weights = torch.randn(8, 16)  # a plain sum would be constant: tokens are normalised
    for i, (top, bottom, left, right) in enumerate(box.tolist()):
        covered[top:bottom, left:right] = True
        weight = sum(torch.autograd.grad(tokens.values[0, i] @ w, values, retain_graph=True)[0][0, 0].square() for w in weights)
        y, x = ((weight.sum(axis) * torch.arange(size)).sum() / weight.sum() for axis in (1, 0))
        assert top - 8 <= y < bottom + 8
        assert left - 8 <= x < right + 8
    assert covered.all()


@pytest.mark.parametrize("size", [384, 96, 50, 7])
def test_ranges_of_a_spectrum_are_where_their_tokens_look(size):
    torch.manual_seed(0)
    encoder = ENCODERS["conv1d"](InputLayout("spectrum", (), (size,)), 16).eval()
    values = torch.randn(1, size, requires_grad=True)
    tokens = encoder(values, torch.ones_like(values, dtype=torch.bool))
    covered, weights = torch.zeros(size, dtype=torch.bool), torch.randn(8, 16)
    for i, (begin, end) in enumerate(tokens.place["box"].tolist()):
        covered[begin:end] = True
        weight = sum(torch.autograd.grad(tokens.values[0, i] @ w, values, retain_graph=True)[0][0].square() for w in weights)
        assert begin - 8 <= (weight * torch.arange(size)).sum() / weight.sum() < end + 8
    assert covered.all()


def test_outside_of_the_crop_nothing_is_seen_and_cells_lie_inside():
    torch.manual_seed(0)
    encoder = ENCODERS["conv2d"](InputLayout("image", ("r",), (1, 40, 30)), 16, crop=20).eval()
    values, mask = torch.randn(1, 1, 40, 30), torch.ones(1, 1, 40, 30, dtype=torch.bool)
    tokens = encoder(values, mask)
    box = tokens.place["box"]
    assert box[:, :2].min() == 10
    assert box[:, :2].max() == 30
    assert box[:, 2:].min() == 5
    assert box[:, 2:].max() == 25
    inside = torch.zeros_like(mask)
    inside[..., 10:30, 5:25] = True
    assert torch.equal(encoder(values.where(inside, torch.nan), mask & inside).values, tokens.values)


def test_cells_without_a_good_pixel_are_masked():
    encoder = ENCODERS["conv2d"](InputLayout("image", ("g", "r"), (2, 64, 64)), 16)
    mask = torch.zeros(1, 2, 64, 64, dtype=torch.bool)
    mask[0, 1, :16, 48:] = True
    assert encoder(torch.zeros(1, 2, 64, 64), mask).mask.tolist() == [[i == 3 for i in range(16)]]


def test_a_light_curve_is_a_set_of_epochs_and_time_counts():
    torch.manual_seed(0)
    encoder = ENCODERS["time_transformer"](LAYOUTS["light_curve"], 16).eval()
    values, mask = WHOLE.values["light_curve"][:4], WHOLE.masks["light_curve"][:4]
    tokens = encoder(values, mask).values
    order = torch.randperm(values.shape[1])
    assert torch.allclose(encoder(values[:, order], mask[:, order]).values, tokens[:, order], atol=1e-5)
    slower = values.clone()
    slower[..., 0] *= 2
    assert not torch.allclose(encoder(slower, mask).values, tokens, atol=1e-3)


def test_columns_and_words_have_a_token_each():
    model = made(recipe_of(all_encoders(), "concatenation"), "classification")
    tokens = run(model, part_of(WHOLE, model)).fused.tokens
    for name, axis in (("table", "column"), ("text", "word"), ("light_curve", "epoch")):
        assert tokens[name].place["axes"] == (axis,)
        assert tokens[name].place["box"].tolist() == [[i, i + 1] for i in range(tokens[name].mask.shape[1])]
        assert torch.equal(tokens[name].mask, WHOLE.masks[name])


def _given(role, kind):
    return {"encoder": (LAYOUTS.get(kind), 16), "fusion": (("image", "text"), 16), "head": (16, 3, About((), {m: LAYOUTS[m] for m in ("image", "text", "table")}))}[role]


OTHERS = {"heads": 2, "initialisation": "glorot", "depth": 2, "layers": 3, "tokens": 1, "hidden": 32, "channels": 8, "periods": 8, "history": 0, "profile": 0, "shortest": 5.0, "crop": 9}
OTHERS |= {"components": 5, "levels": [0.1, 0.5, 0.9], "decoder": "recurrent", "dimension": 24, "modality": "table", "kind": "reconstruction"}
OTHERS |= {"causal": False, "distance": True, "bottlenecks": 2, "rank": 2, "experts": 6, "top": 3, "balance": 0.5, "noise": 0.0, "pull": 0.5, "query": "text", "onto": "text"}
POSED = ("order", "tree", "labels", "thresholds", "epochs", "project", "single", "source")
"""Options of heads that name classes, which this test has none of, or two; and of tokens of another width (tests/test_published_networks.py, tests/test_image_to_image.py)."""

OTHERS |= {"cell": "gru", "bidirectional": False, "patch": 5, "state": 4, "expansion": 3, "kernel": 9, "timescale": 0.0}
OTHERS |= {"stages": 2, "scales": 3, "factor": 1, "distil": False, "latents": 3, "harmonics": 4, "longest": 300.0, "time": "mlp", "band": False}
OTHERS_OF_LISTS = {
    "generated": {"fusion": "gated", "generator": "gan", "weight": 3.0}, "multimodal_vae": {"experts": "mixture", "latent": 4, "beta": 3.0, "weight": 0.5},
    # where an option is a list, or the name of one of several ways
    "lenet5": {"channels": [4, 8, 16]},
    "layers": {"layers": [["flatten"], ["dense", 8], ["tanh"]], "columns": list(LAYOUTS["table"].channels[:1])},
    "join": {"layers": [["dense", 9]]},
    "vgg": {"channels": [8, 16], "layers": [1, 1], "pools": [2, 2], "norm": False},
    "resnet": {"layers": [2, 1], "bottleneck": True, "stem_stride": 4},
    "epsa": {"layers": [2, 1], "kernels": [1, 3, 5, 7], "groups": [1, 1, 1, 1], "reduction": 4, "stem_stride": 4},
    "inception": {"stem": [4, 8, 16], "modules": [[8, 8, 8, 8, 8, 8]] * 3, "pools": [1], "stem_stride": 2},
    "xception": {"stem": [8, 16], "entry": [32], "middle": 2, "leave": [32, 32, 32]},
    "efficientnet": {"stem": 8, "stages": [[1, 8, 1, 1, 3]], "head": 32},
    "convnext": {"patch": 2, "channels": [16, 32], "layers": [2, 1]},
    "ft_transformer": {"expansion": 3},
    "quantile_transformer": {"bins": 4, "expansion": 3},
    "bayesian_mlp": {"divergence": 0.01},
    "vit": {"patch": 4, "expansion": 3},
    "swin": {"hidden": 16, "patch": 2, "layers": [1, 1], "heads": [4, 4], "window": 2, "expansion": 3},
    "conv3d": {"bands": 2, "channels": [8, 16, 32], "layers": [2, 1, 1]},
}


OTHERS_OF_DECISIONS = {
    "hidden": 8, "with_fused": True, "groups": ["table+text", "spectrum"], "weights": "skill", "evidence": "exp", "balanced": False, "strength": 0.05, "trees": 7, "leaf": 9,
    "rounds": 3, "rate": 0.4, "width": 3, "penalty": 9.0, "members": 7, "share": 0.4,
}  # fmt: skip


def _decided(name, options):
    """What a model with this decision says; one that fits has been fitted."""
    model = made(recipe_of(("mlp", "ngram_mlp", "conv1d"), "concatenation").change(decision=Part(name, options)), "classification")
    decision = model.decision.train(not model.decision.fits)
    if decision.fits:
        rng = torch.Generator().manual_seed(0)
        truth = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), 60, True, generator=rng)
        values = torch.randn(60, len(decision.streams), 3, generator=rng) + 2.0 * nn.functional.one_hot(truth, 3)[:, None] / (1 + torch.arange(len(decision.streams)))[:, None]
        decision.fit(values, torch.rand(60, len(decision.streams), generator=rng) < 0.8, truth[:, None].float())
    torch.manual_seed(1)
    return run(model, part_of(WHOLE, model)).values


@pytest.mark.parametrize(("role", "name", "option"), [(r, n, o) for r, table in PARTS.items() if r not in ("stack", "adapter") for n, part in table.items() for o in options_of(part)])
def test_every_option_does_something(role, name, option):
    if option in POSED:
        pytest.skip("an option of the problem or of fitting: tests/test_problem.py, tests/test_fusion_operators.py")
    default = options_of(PARTS[role][name])[option]
    given = OTHERS_OF_DECISIONS if role == "decision" else OTHERS_OF_LISTS.get(name, {})
    other = 0.6 if option.endswith("dropout") else "coordinate" if option == "attention" else given[option] if option in given else OTHERS[option]
    other = other if other != default else other - 1
    # an encoder of several kinds may have options that only some of them need
    kinds = ("table",) if option == "columns" else ENCODERS[name].kinds if role == "encoder" else (None,)
    assert any(_differ(_outputs(role, name, option, (default, other), kind)) for kind in kinds)


def _differ(outputs):
    return outputs[0].shape != outputs[1].shape or not torch.allclose(*outputs)


def _outputs(role, name, option, values, kind):
    outputs = []
    for value in values:
        if role == "decision":
            outputs.append(_decided(name, {option: value}))
            continue
        torch.manual_seed(0)
        part = make_part(role, Part(name, {option: value}), *_given(role, kind)).train()
        torch.manual_seed(1)
        if role == "encoder":
            tokens = part(WHOLE.values[kind], WHOLE.masks[kind]).values
            beside = [getattr(part, name)()[None] for name in ("extra_loss", "kl") if hasattr(part, name)]
            outputs.append(torch.cat([tokens.flatten(), *beside]) if beside else tokens)
            continue
        place = place_of(("y", "x"), 16 * torch.arange(6)[:, None] + torch.tensor([0, 16, 0, 16]))
        tokens = {m: Tokens(torch.randn(24, 6, 16), torch.rand(24, 6) > 0.2, place if m == "image" else {}) for m in ("image", "text")}
        fused = Concatenation(("image", "text"), 16)(tokens) if role == "head" else tokens
        outputs.append(spoken(part(fused)) if role == "head" else part(fused).vector)
        if hasattr(part, "extra_loss"):
            outputs[-1] = torch.cat([outputs[-1].flatten(), part.extra_loss()[None]])
    return outputs


# ---- learning -----------------------------------------------------------------------------------------------------


ALL_KINDS = [name for name, recipe in RECIPES.items() if set(KINDS) - {"series"} <= set(recipe.encoders)]
"""Recipes for any modalities; published networks have inputs and sizes of their own (tests/test_published_networks.py and each system's)."""


@pytest.mark.parametrize("name", ALL_KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_every_recipe_builds_for_every_task_and_for_one_modality(name, task):
    for layouts in (LAYOUTS, *({kind: LAYOUTS[kind]} for kind in KINDS)):
        model = build(RECIPES[name], layouts, OUTPUTS[task], task)
        assert model.task == task
        assert model.modalities == tuple(layouts)


@pytest.mark.parametrize("name", ALL_KINDS)
def test_a_recipe_learns_what_can_be_learned(name):
    classes, codes = np.unique(SAMPLES.column("label").data, return_inverse=True)
    torch.manual_seed(0)
    model = build(RECIPES[name].change(width=16), LAYOUTS, len(classes), "classification").train()
    optimiser, target = torch.optim.AdamW(model.parameters(), lr=5e-3), torch.from_numpy(codes)
    for _ in range(30):
        loss = nn.functional.cross_entropy(learn(model, WHOLE).values, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (run(model.eval(), WHOLE).values.argmax(1) == target).float().mean() > 0.9


# ---- what cannot be used ------------------------------------------------------------------------------------------


def _tried(**changes):
    return recipe_of(all_encoders(), "concatenation").change(**changes)


@pytest.mark.parametrize(
    ("recipe", "error", "words"),
    [
        (_tried(fusion=Part("concatenate")), UnknownNameError, "no fusion 'concatenate'.*'concatenation'"),
        (_tried(encoders={**_tried().encoders, "image": Part("conv4d")}), UnknownNameError, "no encoder 'conv4d'.*conv"),
        (_tried(decision=Part("vote")), UnknownNameError, "no decision 'vote'.*voting"),
        (_tried(head=Part("classifier")), UnknownNameError, "no head 'classifier'.*classification"),
        (_tried(head=Part("regression")), InputError, r"head 'regression'.*needs classification.*Part\('auto'\)"),
        (_tried(fusion=Part.of("concatenation", dropuot=0.1)), InputError, "'concatenation' has no option 'dropuot'; it has dropout, modality_dropout"),
        (_tried(fusion=Part.of("concatenation", dropout=1.5)), InputError, "dropout=1.5.*from 0 to below 1"),
        (_tried(fusion=Part.of("joint_attention", layers="two")), InputError, "layers='two' is str, not int"),
        (_tried(fusion=Part.of("joint_attention", layers=True)), InputError, "layers=True is bool, not int"),
        (_tried(fusion=Part.of("joint_attention", layers=0)), InputError, "layers=0.*at least one"),
        (_tried(fusion=Part.of("joint_attention", heads=3)), InputError, "heads=3 does not divide the width 16"),
        (_tried(encoders={**_tried().encoders, "image": Part.of("conv2d", channels=0)}), InputError, "channels=0 is too small"),
        (_tried(encoders={**_tried().encoders, "image": Part("conv1d")}), InputError, "'conv1d' reads spectrum, but 'image' is image.*conv2d"),
        (_tried(encoders={"image": Part("conv2d")}), InputError, "no encoder for 'spectrum'"),
    ],
)
def test_a_recipe_that_cannot_be_built_says_why(recipe, error, words):
    with pytest.raises(error, match=words):
        build(recipe, LAYOUTS, 3, "classification")


@pytest.mark.parametrize(
    ("layouts", "outputs", "task", "words"),
    [
        ({}, 3, "classification", "at least one modality"),
        (LAYOUTS, 1, "classification", "outputs=1: classification needs at least 2"),
        (LAYOUTS, 3, "regression", "outputs=3: regression has one"),
        (LAYOUTS, 3, "clustering", "no task 'clustering'"),
        ({"a.b": LAYOUTS["image"]}, 3, "classification", "'a.b'.*without a point"),
        ({"values": LAYOUTS["image"]}, 3, "classification", "cannot have a modality called 'values'"),
    ],
)
def test_a_model_that_cannot_be_built_says_why(layouts, outputs, task, words):
    with pytest.raises(InputError, match=words):
        build(_tried(), layouts, outputs, task)


def test_input_that_does_not_fit_is_refused():
    model = made(recipe_of(all_encoders(), "concatenation"), "classification")
    batch = part_of(WHOLE, model, range(2))
    with pytest.raises(InputError, match="no modality was given; the model takes any of image, spectrum"):
        model({}, {})
    with pytest.raises(UnknownNameError, match="no modality of this model 'radio'"):
        model({"radio": torch.zeros(2, 4)}, {})
    with pytest.raises(InputError, match=r"'spectrum' has shape \(2, 50\).*\(batch, pixel\).*\(96,\)"):
        model({"spectrum": torch.zeros(2, 50)}, {"spectrum": torch.ones(2, 50, dtype=torch.bool)})
    with pytest.raises(InputError, match="'image' has values but no mask"):
        model({"image": batch.values["image"]}, {})
    with pytest.raises(InputError, match=r"mask of 'table' has shape \(2, 3\)"):
        model({"table": batch.values["table"]}, {"table": torch.ones(2, 3, dtype=torch.bool)})


def test_names_of_modalities_need_not_be_their_kinds():
    recipe = _tried()
    layouts = {"hst/acs": LAYOUTS["image"], "table": LAYOUTS["table"], "low resolution": LAYOUTS["spectrum"]}
    model = build(recipe, layouts, 3, "classification")
    values = {"hst/acs": WHOLE.values["image"], "low resolution": WHOLE.values["spectrum"]}
    masks = {"hst/acs": WHOLE.masks["image"], "low resolution": WHOLE.masks["spectrum"]}
    assert model(values, masks).values.shape == (24, 3)
