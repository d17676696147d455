"""Encoders of spectra, series and irregular light curves: against torch's own layers, published formulas and literal loops."""

import math

import numpy as np
import pytest
import torch
from model_cases import LAYOUTS, SAMPLES, WHOLE
from torch import nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import SelfAttention
from astrofuse_lab.models.parts import ENCODERS, make_part
from astrofuse_lab.models.perceiver import Look
from astrofuse_lab.models.sequence_convolution import ScaledConvolution
from astrofuse_lab.models.sequence_epochs import TimeModulation, TimeWaves
from astrofuse_lab.models.sequence_informer import Distilling, ProbSparseAttention
from astrofuse_lab.models.sequence_tokens import in_order, reading_order
from astrofuse_lab.models.sequence_transformers import ConformerLayer
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.schema import Part

SEEN = WHOLE.present["light_curve"]
CURVES, MASK = WHOLE.values["light_curve"][SEEN][:6], WHOLE.masks["light_curve"][SEEN][:6]
MINE = ("resnet1d", "spectrum_transformer", "conformer", "time_modulation", "sinusoidal_time", "informer", "perceiver", "recurrent", "state_space")
ATTENDING = [(name, kind) for name in MINE for kind in ENCODERS[name].kinds if ENCODERS[name].attends]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def _made(name, kind, **options):
    return make_part("encoder", Part(name, options), LAYOUTS[kind], 16).eval()


def _mask(*shape):
    mask = torch.rand(shape) > 0.3
    mask[:, 0] = True
    return mask


def _copy_attention(ours, peer):
    peer.in_proj_weight.copy_(ours.project.weight)
    peer.in_proj_bias.copy_(ours.project.bias)
    peer.out_proj.weight.copy_(ours.out.weight)
    peer.out_proj.bias.copy_(ours.out.bias)


def _peer_layer(layer, width, heads):
    """torch's own pre-norm transformer layer with these weights."""
    peer = nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
    with torch.no_grad():
        _copy_attention(layer.attention, peer.self_attn)
        for theirs, ours in ((peer.norm1, layer.attention_norm), (peer.norm2, layer.mlp[0]), (peer.linear1, layer.mlp[1]), (peer.linear2, layer.mlp[3])):
            theirs.load_state_dict(ours.state_dict())
    return peer


# ---- attention ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["spectrum_transformer", "time_modulation"])
def test_layers_equal_pytorchs_own_transformer(name):
    encoder = _made(name, ENCODERS[name].kinds[0])
    tokens, mask = torch.randn(3, 11, 16), _mask(3, 11)
    ours = theirs = tokens
    for layer in encoder.layers:
        ours = layer(ours, mask)
        theirs = _peer_layer(layer, 16, 4).train()(theirs, src_key_padding_mask=~mask)  # in training mode torch takes no short cut for masks
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_latents_look_as_pytorchs_own_attention_does():
    look = Look(16, 4, 0.0).eval()
    latents, inputs, mask = torch.randn(2, 3, 16), torch.randn(2, 9, 16), _mask(2, 9)
    cross = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        cross.in_proj_weight.copy_(torch.cat([look.cross.query.weight, look.cross.project.weight]))
        cross.in_proj_bias.copy_(torch.cat([look.cross.query.bias, look.cross.project.bias]))
        cross.out_proj.load_state_dict(look.cross.out.state_dict())
        keys = look.input_norm(inputs)
        seen, weights = cross(look.latent_norm(latents), keys, keys, key_padding_mask=~mask, average_attn_weights=False)
        expected = _peer_layer(look.layer, 16, 4)(latents + seen)
        maps = []
        assert torch.allclose(look(latents, inputs, mask, maps), expected, atol=1e-5)
    assert torch.allclose(maps[0], weights, atol=1e-6)
    assert [tuple(one.shape) for one in maps] == [(2, 4, 3, 9), (2, 4, 3, 3)]


def _literal_sparse(attention, tokens, mask):
    """Zhou et al. 2021, algorithm 1, sample by sample and head by head, on the real tokens alone; keys sampled at even ranks."""
    heads, width = attention.heads, tokens.shape[-1] // attention.heads
    out, weights = torch.zeros_like(tokens), torch.zeros(len(tokens), heads, tokens.shape[1], tokens.shape[1])
    for i, there in enumerate(mask):
        index = there.nonzero()[:, 0]
        query, key, value = (part.view(-1, heads, width) for part in attention.project(tokens[i, index]).chunk(3, -1))
        count = min(len(index), attention.factor * math.ceil(math.log(len(index))))
        sample = [j * len(index) // count for j in range(count)] if count else []
        for head in range(heads):
            scores = query[:, head] @ key[:, head].T / math.sqrt(width)
            rows = torch.full_like(scores, 1 / len(index))
            if count:
                spread = scores[:, sample].amax(1) - scores[:, sample].mean(1)
                top = spread.argsort(descending=True)[:count]
                rows[top] = scores[top].softmax(1)
            out[i, index, head * width : (head + 1) * width] = rows @ value[:, head]
            weights[i, head, index[:, None], index] = rows
    return attention.out(out), weights


@pytest.mark.parametrize("factor", [1, 3])
def test_sparse_attention_equals_the_literal_algorithm(factor):
    attention, tokens, mask = ProbSparseAttention(16, 2, factor), torch.randn(4, 60, 16), _mask(4, 60)
    mask[2, 5:] = False
    mask[3, 1:] = False
    maps = []
    with torch.no_grad():
        got = attention(tokens, mask, maps)
        expected, weights = _literal_sparse(attention, tokens, mask)
    assert torch.allclose(got[mask], expected[mask], atol=1e-5)
    real = mask[:, None, :, None].expand_as(maps[0])
    assert torch.allclose(maps[0][real], weights[real], atol=1e-6)
    assert torch.allclose(maps[0].sum(-1), torch.ones(4, 2, 60), atol=1e-5)
    uniform = (maps[0][0] - 1 / mask[0].sum()).abs().masked_fill(~mask[0], 0.0).amax(-1) < 1e-6
    assert uniform[:, mask[0]].sum(1).tolist() == [int(mask[0].sum()) - factor * math.ceil(math.log(mask[0].sum()))] * 2


def test_sparse_attention_that_computes_all_queries_is_attention():
    sparse, full = ProbSparseAttention(16, 4, 100), SelfAttention(16, 4)
    full.load_state_dict(sparse.state_dict())
    tokens, mask = torch.randn(3, 20, 16), _mask(3, 20)
    assert torch.allclose(sparse(tokens, mask)[mask], full(tokens, mask)[mask], atol=1e-6)
    assert torch.allclose(sparse(tokens), full(tokens), atol=1e-6)


def test_sparse_attention_knows_no_padding():
    attention, tokens, mask = ProbSparseAttention(16, 2, 1), torch.randn(2, 40, 16), torch.ones(2, 40, dtype=torch.bool)
    longer = torch.cat([tokens, torch.randn(2, 300, 16)], 1)
    more = torch.cat([mask, torch.zeros(2, 300, dtype=torch.bool)], 1)
    assert torch.allclose(attention(tokens, mask), attention(longer, more)[:, :40], atol=1e-6)


@pytest.mark.parametrize(("name", "kind"), ATTENDING)
def test_maps_are_the_weights_that_were_applied(name, kind):
    encoder, applied, hooks, maps = _made(name, kind), [], [], []
    for module in encoder.modules():
        if hasattr(module, "heads") and hasattr(module, "out"):
            hooks.append(module.register_forward_hook(lambda m, args, out: applied.append((m, args, out))))
    values, mask = WHOLE.values[kind][:4], WHOLE.masks[kind][:4]
    with torch.no_grad():
        tokens = encoder(values, mask, maps)
        assert torch.allclose(encoder(values, mask).values, tokens.values, atol=1e-6), "asking for maps must not change the answer"
        applied = applied[: len(maps)]
        assert len(maps) == len(applied) > 0
        for weights, (module, args, out) in zip(maps, applied, strict=True):
            value = module.project(args[1] if hasattr(module, "query") else args[0]).chunk(2 if hasattr(module, "query") else 3, -1)[-1]
            mixed = weights @ value.unflatten(-1, (module.heads, -1)).transpose(1, 2)
            assert torch.allclose(module.out(mixed.transpose(1, 2).flatten(2)), out, atol=1e-5)
    for hook in hooks:
        hook.remove()


# ---- light curves -------------------------------------------------------------------------------------------------


def test_time_modulation_equals_the_published_sums():
    """x alpha(t) + beta(t): sums over h of a sin(2 pi h t / T) + b cos(2 pi h t / T), a pair for each band (arXiv:2405.03078)."""
    bands, width, harmonics, longest = 3, 4, 5, 700.0
    modulation = TimeModulation(bands, width, harmonics, longest)
    features, days, band = torch.randn(2, 6, width), 2000 * torch.rand(2, 6), torch.randint(0, bands, (2, 6))
    expected = torch.zeros(2, 6, width)
    for i in range(2):
        for epoch in range(6):
            series = modulation.series[band[i, epoch]].double()
            for feature in range(width):
                alpha = beta = 0.0
                for h in range(harmonics):
                    sine, cosine = (f(2 * math.pi * h * float(days[i, epoch]) / longest) for f in (math.sin, math.cos))
                    alpha += series[h, feature] * sine + series[harmonics + h, feature] * cosine
                    beta += series[h, width + feature] * sine + series[harmonics + h, width + feature] * cosine
                expected[i, epoch, feature] = features[i, epoch, feature] * alpha + beta
    assert torch.allclose(modulation(features, days, F.one_hot(band, bands).float()), expected, atol=1e-4)


@pytest.mark.parametrize("width", [8, 7])
def test_time_waves_equal_the_published_encoding(width):
    """sin and cos of t exp(-2 i ln(10000) / width), as arXiv:2408.16829 takes from Vaswani et al. 2017."""
    days = 300 * torch.rand(2, 5)
    waves = TimeWaves(width, 10_000.0, network=False)(days)
    half = -(-width // 2)
    for i in range(half):
        phase = days.double() * math.exp(-2 * i * math.log(10_000) / width)
        assert torch.allclose(waves[..., i].double(), phase.sin(), atol=1e-4)
        if half + i < width:
            assert torch.allclose(waves[..., half + i].double(), phase.cos(), atol=1e-4)


@pytest.mark.parametrize("name", ["time_modulation", "sinusoidal_time", "informer", "perceiver"])
def test_a_light_curve_is_a_set_of_epochs_and_time_counts(name):
    encoder = _made(name, "light_curve")
    tokens = encoder(CURVES, MASK)
    order = torch.stack([torch.randperm(CURVES.shape[1]) for _ in CURVES])
    turned = encoder(in_order(CURVES, order), in_order(MASK, order))
    # a token an epoch moves with it; halved epochs are in order of time and latents have no order
    expected = in_order(tokens.values, order) if name in ("time_modulation", "sinusoidal_time") else tokens.values
    assert torch.allclose(turned.values[turned.mask], expected[turned.mask], atol=1e-5)
    slower = CURVES.clone()
    slower[..., 0] *= 2
    assert not torch.allclose(encoder(slower, MASK).values, tokens.values, atol=1e-3)


@pytest.mark.parametrize("name", ["time_modulation", "sinusoidal_time"])
def test_the_band_of_an_epoch_counts(name):
    encoder, other = _made(name, "light_curve"), CURVES.clone()
    other[..., 4:] = CURVES[..., 4:].flip(-1)
    assert not torch.allclose(encoder(other, MASK).values, encoder(CURVES, MASK).values, atol=1e-2)


@pytest.mark.parametrize("name", ["time_modulation", "sinusoidal_time", "recurrent", "state_space", "informer"])
def test_tokens_know_their_time(name):
    order = torch.stack([torch.randperm(CURVES.shape[1]) for _ in CURVES])
    for options, step in (({}, 1), ({"layers": 3}, 4)) if name == "informer" else (({}, 1),):
        tokens = _made(name, "light_curve", **({"distil": False, **options} if step == 1 and name == "informer" else options))(in_order(CURVES, order), in_order(MASK, order))
        days = CURVES[..., 0] if step > 1 else in_order(CURVES[..., 0], order)
        there = tokens.mask
        assert torch.equal(tokens.place["coordinates"]["time"][there], (_sorted(days) if step > 1 else days)[:, ::step][there])


def _sorted(days):
    return in_order(days, reading_order(CURVES, MASK, "light_curve"))


@pytest.mark.parametrize(("name", "kind"), [("time_modulation", "light_curve"), ("sinusoidal_time", "light_curve"), ("spectrum_transformer", "spectrum"), ("spectrum_transformer", "series")])
def test_attention_falls_with_distance_where_asked(name, kind):
    """A slope so steep that each token sees those of its own time or place only."""
    encoder, maps = _made(name, kind, distance=True, layers=1), []
    with torch.no_grad():
        encoder.distance.slope["epochs" if kind == "light_curve" else "patches"].fill_(math.log(1e6))
    values, mask = (CURVES, MASK) if kind == "light_curve" else (WHOLE.values[kind][:6], torch.ones_like(WHOLE.masks[kind][:6]))
    tokens = encoder(values, mask, maps)
    own = torch.diagonal(maps[0], dim1=2, dim2=3)[tokens.mask[:, None].expand(-1, 4, -1)]
    assert torch.allclose(own, torch.ones_like(own), atol=1e-4)


# ---- distilling, latents ------------------------------------------------------------------------------------------


def test_distilling_equals_a_convolution_and_the_larger_of_two():
    distil = Distilling(6)
    conv = nn.Conv1d(6, 6, 3, padding=1)
    with torch.no_grad():
        conv.weight.copy_(distil.along.weight[:, :, 0])
        conv.bias.copy_(distil.along.bias)
    tokens = torch.randn(2, 7, 6)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[1, 4:] = False
    got, kept = distil(tokens, mask)
    whole = F.max_pool1d(F.elu(conv(tokens[:1].transpose(1, 2))), 2, ceil_mode=True).transpose(1, 2)
    assert torch.allclose(got[:1], whole, atol=1e-6)
    short = F.max_pool1d(F.elu(conv(tokens[1:, :4].transpose(1, 2))), 2).transpose(1, 2)
    assert torch.allclose(got[1:, :2], short, atol=1e-6)
    assert kept.tolist() == [[True] * 4, [True, True, False, False]]


def test_halved_tokens_of_a_light_curve_lie_where_their_epochs_are():
    encoder = _made("informer", "light_curve", layers=3)
    tokens = encoder(CURVES[:, :9], MASK[:, :9])
    assert tokens.place["axes"] == ("epoch",)
    assert tokens.place["box"].tolist() == [[0, 4], [4, 8], [8, 9]]
    whole = _made("informer", "light_curve", distil=False)(CURVES, MASK)
    assert torch.equal(whole.mask, MASK)
    assert whole.place["box"].tolist() == [[i, i + 1] for i in range(MASK.shape[1])]


def test_halved_patches_cover_the_axis():
    encoder = make_part("encoder", Part("informer", {"patch": 10, "layers": 2}), InputLayout("spectrum", (), (203,)), 16)
    tokens = encoder(torch.randn(2, 203), torch.ones(2, 203, dtype=torch.bool))
    box = tokens.place["box"].tolist()
    assert tokens.values.shape == (2, 11, 16)
    assert box[:2] == [[0, 20], [20, 40]]
    assert box[-1] == [200, 203]


@pytest.mark.parametrize("kind", ENCODERS["perceiver"].kinds)
def test_latents_stand_for_the_whole_input_or_are_masked(kind):
    encoder = _made("perceiver", kind, latents=3)
    mask = WHOLE.masks[kind][:8].clone()
    mask[0] = False
    maps = []
    tokens = encoder(WHOLE.values[kind][:8], mask, maps)
    assert all((one[0] == 0).all() and (one[mask.flatten(1).any(1)].sum(-1) > 0.99).all() for one in maps)
    assert tokens.values.shape == (8, 3, 16)
    assert torch.equal(tokens.mask, mask.flatten(1).any(1)[:, None].expand(-1, 3))
    sides = WHOLE.values[kind].shape[1:2] if kind == "light_curve" else LAYOUTS[kind].shape[-len(tokens.place["axes"]) :]
    assert tokens.place["box"].tolist() == [[end for side in sides for end in (0, side)]] * 3


def test_a_conformer_layer_equals_its_published_form():
    """Gulati et al. 2020, equation 1, with torch's own attention and one-dimensional convolution."""
    layer = ConformerLayer(16, 4, 7, 2, 0.0).eval()
    tokens, mask = torch.randn(3, 12, 16), _mask(3, 12)
    conv, attention = nn.Conv1d(16, 16, 7, padding=3, groups=16), nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        conv.weight.copy_(layer.convolution.along.weight[:, :, 0])
        conv.bias.copy_(layer.convolution.along.bias)
        _copy_attention(layer.attention, attention)
        x = tokens + layer.first(tokens) / 2
        normed = layer.attention_norm(x)
        x = x + attention(normed, normed, normed, key_padding_mask=~mask)[0]
        part = layer.convolution
        value, gate = part.gated(part.before(x)).chunk(2, -1)
        inner = (value * gate.sigmoid()).masked_fill(~mask[..., None], 0.0)
        inner = part.after(conv(inner.transpose(1, 2)).transpose(1, 2))
        x = x + part.out(inner * inner.sigmoid())
        x = layer.norm(x + layer.last(x) / 2)
        assert torch.allclose(layer(tokens, mask), x, atol=1e-5)
        other = torch.where(mask[..., None], tokens, 50.0)
        assert torch.allclose(layer(other, mask)[mask], x[mask], atol=1e-5)


def test_convolutions_of_several_scales_equal_one_dimensional_ones_side_by_side():
    scaled = ScaledConvolution(8, 3, 3)
    features = torch.randn(2, 8, 1, 40)
    expected = [F.conv1d(features[:, :, 0], b.weight[:, :, 0], padding=b.weight.shape[-1] // 2) for b in scaled.branches]
    assert [b.weight.shape[-1] for b in scaled.branches] == [3, 5, 9]
    assert [len(b.weight) for b in scaled.branches] == [3, 3, 2]
    assert torch.allclose(scaled(features)[:, :, 0], torch.cat(expected, 1), atol=1e-5)


@pytest.mark.parametrize("size", [384, 96, 50, 7])
def test_ranges_of_a_residual_network_are_where_their_tokens_look(size):
    encoder = ENCODERS["resnet1d"](InputLayout("spectrum", (), (size,)), 16).eval()
    values = torch.randn(1, size, requires_grad=True)
    tokens = encoder(values, torch.ones_like(values, dtype=torch.bool))
    covered, weights = torch.zeros(size, dtype=torch.bool), torch.randn(8, 16)
    for i, (begin, end) in enumerate(tokens.place["box"].tolist()):
        covered[begin:end] = True
        weight = sum(torch.autograd.grad(tokens.values[0, i] @ w, values, retain_graph=True)[0][0].square() for w in weights)
        assert begin - 16 <= (weight * torch.arange(size)).sum() / weight.sum() < end + 16
    assert covered.all()


def test_more_stages_and_blocks_are_more_layers():
    def convolutions(**options):
        return sum(isinstance(m, nn.Conv2d) for m in _made("resnet1d", "spectrum", **options).modules())

    assert convolutions(stages=1, depth=1) == 1 + (1 + 2)
    assert convolutions(stages=4, depth=3) == 1 + 4 * (1 + 3 * 2)
    assert convolutions(stages=2, depth=1, scales=2) == 1 + 2 * (1 + 2 * 2)


# ---- all of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [(name, ENCODERS[name].kinds[0]) for name in MINE])
def test_an_encoder_learns_what_can_be_learned(name, kind):
    present = WHOLE.present[kind]
    target = torch.from_numpy(np.unique(SAMPLES.column("label").data, return_inverse=True)[1])[present]
    encoder, head = _made(name, kind).train(), nn.Linear(16, 3)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(40):
        tokens = encoder(WHOLE.values[kind][present], WHOLE.masks[kind][present])
        real = tokens.mask[..., None]
        said = head((tokens.values * real).sum(1) / real.sum(1))
        loss = F.cross_entropy(said, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (said.argmax(1) == target).float().mean() > 0.8


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet1d", {"kernel": 4}, "kernel=4 has no middle. Take an odd number, e.g. 5"),
        ("resnet1d", {"channels": 4, "scales": 5}, "scales=5: 4 channels cannot be shared"),
        ("resnet1d", {"stages": 0}, "stages=0 is too small"),
        ("conformer", {"kernel": 6}, "kernel=6 has no middle"),
        ("conformer", {"heads": 3}, "heads=3 does not divide the width 16"),
        ("spectrum_transformer", {"patch": 0}, "patch=0 is too small"),
        ("time_modulation", {"longest": -3.0}, "longest=-3.0: days, more than one"),
        ("sinusoidal_time", {"time": "learned"}, "time='learned' is no way to embed times. Take 'fixed' or 'mlp'"),
        ("sinusoidal_time", {"longest": 0.5}, "longest=0.5: days, more than one"),
        ("informer", {"distil": 1}, "distil=1 is int, not bool"),
        ("informer", {"factor": 0}, "factor=0 is too small"),
        ("perceiver", {"latents": 0}, "latents=0 is too small"),
    ],
)
def test_bad_options_are_refused(name, options, words):
    with pytest.raises(InputError, match=words):
        make_part("encoder", Part(name, options), LAYOUTS[ENCODERS[name].kinds[0]], 16)


def test_sparse_attention_refuses_what_it_does_not_know():
    with pytest.raises(InputError, match="between all tokens of one mask, without a bias"):
        ProbSparseAttention(16, 2, 1)(torch.randn(1, 5, 16), first=1)
