"""Feature-level fusions against reference implementations, literal loops, and small problems whose answer is known."""

import itertools

import explain_cases as cases
import numpy as np
import pytest
import scipy.linalg
import torch
from model_cases import LAYOUTS, WHOLE, made, part_of, recipe_of
from torch import nn

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.attention import CrossAttention, SelfAttention
from astrofuse_lab.models.build import build
from astrofuse_lab.models.fusion_discriminant import between_classes, classes_of, correlate
from astrofuse_lab.models.parts import FUSIONS, make_part, options_of
from astrofuse_lab.models.tokens import Tokens
from astrofuse_lab.recipes.catalogue import RECIPES, get_recipe
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training.learning import Supervised
from astrofuse_lab.training.loop import train
from astrofuse_lab.training.objectives import make_objective

NAMES = ("a", "b", "c")
WIDTH = 8


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fusion_of(name, modalities=NAMES, seed=0, **options):
    torch.manual_seed(seed)
    return make_part("fusion", Part(name, options), modalities, WIDTH).eval()


def some_tokens(batch=6, seed=1):
    """Three modalities of different lengths; of the second sample `b` is missing, of the third all but `c`."""
    torch.manual_seed(seed)
    tokens = {name: Tokens(torch.randn(batch, n, WIDTH), torch.rand(batch, n) > 0.2, {}) for name, n in zip(NAMES, (4, 3, 5), strict=True)}
    for one in tokens.values():
        one.mask[:, 0] = True
    tokens["b"].mask[1:3] = False
    tokens["a"].mask[2] = False
    return tokens


def means(tokens):
    """(batch, modality, width) and present, in plain numpy."""
    out = np.zeros((len(tokens["a"].mask), 3, WIDTH))
    for m, one in enumerate(tokens.values()):
        for i, mask in enumerate(one.mask):
            if mask.any():
                out[i, m] = one.values[i][mask].numpy().mean(0)
    return out, np.stack([one.mask.any(1).numpy() for one in tokens.values()], 1)


# ---- attention beside torch's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize("crossed", [False, True])
def test_attention_is_torchs_own(crossed):
    torch.manual_seed(0)
    ours = (CrossAttention if crossed else SelfAttention)(WIDTH, 2)
    theirs = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.project.weight]) if crossed else ours.project.weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.project.bias]) if crossed else ours.project.bias)
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    query, other, mask = torch.randn(3, 4, WIDTH), torch.randn(3, 5, WIDTH), torch.rand(3, 5) > 0.4
    mask[:, 0] = True
    maps, bias = [], torch.randn(1, 2, 5, 5)
    if crossed:
        out = ours(query, other, mask, maps)
        expected, weights = theirs(query, other, other, key_padding_mask=~mask, average_attn_weights=False)
    else:
        out = ours(other, mask, maps, bias=bias)
        # torch adds a float mask to the scores
        added = bias.expand(3, 2, 5, 5).flatten(0, 1).masked_fill(~mask.repeat_interleave(2, 0)[:, None], -torch.inf)
        expected, weights = theirs(other, other, other, attn_mask=added, average_attn_weights=False)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(maps[0], weights, atol=1e-6, rtol=1e-4)


def test_a_causal_mask_by_query_is_torchs_own():
    torch.manual_seed(0)
    ours, theirs = SelfAttention(WIDTH, 2), nn.MultiheadAttention(WIDTH, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.project.weight)
        theirs.in_proj_bias.copy_(ours.project.bias)
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    tokens, seen, maps = torch.randn(2, 5, WIDTH), torch.ones(5, 5, dtype=torch.bool).tril(), []
    expected, weights = theirs(tokens, tokens, tokens, attn_mask=~seen, average_attn_weights=False)
    torch.testing.assert_close(ours(tokens, seen.expand(2, 5, 5), maps), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(maps[0], weights, atol=1e-6, rtol=1e-4)


# ---- number by number ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "product", "max", "weighted_sum", "weighted_average"])
def test_elementwise_operators_are_what_their_names_say(name):
    fusion, tokens = fusion_of(name), some_tokens()
    vectors, present = means(tokens)
    with torch.no_grad():
        for i, one in enumerate(getattr(fusion, "weight", getattr(fusion, "score", {})).values()):
            one.fill_(0.5 + i)
        mapped = np.stack([(fusion.content[n](torch.tensor(vectors[:, i], dtype=torch.float32))).numpy() for i, n in enumerate(NAMES)], 1)
        got = fusion(tokens).vector.numpy()
    for i, row in enumerate(mapped):
        there, which = row[present[i]], np.flatnonzero(present[i])
        weights = 0.5 + which
        softmax = np.exp(weights) / np.exp(weights).sum()
        expected = {
            "sum": there.sum(0), "product": np.prod(there, 0), "max": there.max(0), "weighted_sum": weights @ there, "weighted_average": softmax @ there,
        }[name]  # fmt: skip
        normed = (expected - expected.mean()) / np.sqrt(expected.var() + 1e-5)
        np.testing.assert_allclose(got[i], normed, atol=2e-5)


def test_low_rank_fusion_is_the_full_tensor_on_the_outer_product():
    fusion, tokens = fusion_of("low_rank_tensor", rank=3), some_tokens()
    vectors, _ = means(tokens)
    factors = [fusion.factor[name].detach().double().numpy() for name in NAMES]
    weight = fusion.weight.detach().double().numpy()
    full = sum(weight[r] * np.einsum("io,jo,ko->ijko", *(factor[r] for factor in factors)) for r in range(3))
    got = fusion.multiply(torch.tensor(vectors, dtype=torch.float32)).detach().numpy()
    for i, row in enumerate(vectors):
        a, b, c = (np.append(one, 1.0) for one in row)
        outer = a[:, None, None] * b[None, :, None] * c[None, None, :]
        np.testing.assert_allclose(got[i], np.tensordot(outer, full, 3), rtol=2e-3, atol=1e-4)


def test_experts_are_picked_and_weighted_as_by_a_loop():
    fusion, tokens = fusion_of("mixture_of_experts", experts=5, top=2), some_tokens()
    vectors = fusion.pooled(tokens)[0].flatten(1)
    with torch.no_grad():
        scores, got = fusion.router(vectors), fusion(tokens).vector
        for i, vector in enumerate(vectors):
            best = sorted(range(5), key=lambda e: -float(scores[i, e]))[:2]
            share = torch.stack([scores[i, e] for e in best]).softmax(0)
            each = [nn.functional.gelu(vector @ fusion.enter[e] + fusion.enter_bias[e]) @ fusion.leave[e] + fusion.leave_bias[e] for e in best]
            torch.testing.assert_close(got[i], fusion.norm(sum(s * one for s, one in zip(share, each, strict=True))), atol=1e-5, rtol=1e-4)


def test_the_balance_of_experts_is_the_squared_coefficient_of_variation():
    fusion, tokens = fusion_of("mixture_of_experts", experts=4, top=2, balance=2.0, noise=0.0, dropout=0.0).train(), some_tokens()
    with torch.no_grad():
        fusion.router.weight.zero_()
        fusion.router.bias.copy_(torch.tensor([0.0, 3.0, 0.0, 3.0]))
    fusion(tokens)
    importance = np.array([0, 3, 0, 3])  # all six samples go to two, by halves
    assert fusion.extra_loss().item() == pytest.approx(2.0 * importance.var() / importance.mean() ** 2)
    fusion.eval()(tokens)
    assert float(fusion.extra_loss()) == 0.0


def test_the_balance_is_learned():
    fusion, tokens = fusion_of("mixture_of_experts", experts=3, top=2, balance=1.0).train(), some_tokens(64)
    with torch.no_grad():
        fusion.router.bias.copy_(torch.tensor([4.0, 0.0, 0.0]))
    optimiser, losses = torch.optim.Adam(fusion.parameters(), lr=0.05), []
    for _ in range(60):
        fusion(tokens)
        losses.append(fusion.extra_loss())
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.3 * losses[0]


def test_projections_come_near_to_the_space_they_are_pulled_to():
    fusion = fusion_of("projection", onto="b", pull=1.0, dropout=0.0).train()
    torch.manual_seed(3)
    hidden = torch.randn(64, WIDTH)
    tokens = {n: Tokens((hidden @ torch.randn(WIDTH, WIDTH))[:, None], torch.ones(64, 1, dtype=torch.bool), {}) for n in NAMES}
    optimiser, losses = torch.optim.Adam(fusion.parameters(), lr=0.02), []
    for _ in range(150):
        fusion(tokens)
        losses.append(fusion.extra_loss())
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.1 * losses[0]
    mapped = fusion.project["a"](tokens["a"].values[:, 0])
    assert nn.functional.cosine_similarity(mapped, tokens["b"].values[:, 0], dim=1).mean() > 0.9


# ---- discriminant correlation analysis -----------------------------------------------------------------------------


def _classes(n=400, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(4, size=n)
    return [rng.normal(size=(4, p))[codes] * 2 + rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) for p in (WIDTH, WIDTH, WIDTH)], codes


def test_between_class_scatter_becomes_the_unit_matrix_as_scipy_has_it():
    (x, _, _), codes = _classes()
    scatter = sum((codes == c).mean() * np.outer(d := x[codes == c].mean(0) - x.mean(0), d) for c in range(4))
    got = between_classes(torch.tensor(x), torch.tensor(codes)).numpy()
    size, vectors = scipy.linalg.eigh(scatter)
    expected = (vectors[:, -3:] / np.sqrt(size[-3:]))[:, ::-1]
    np.testing.assert_allclose(np.abs(got), np.abs(expected), rtol=1e-6)  # eigenvectors have no sign
    np.testing.assert_allclose(got.T @ scatter @ got, np.eye(3), atol=1e-9)


def test_two_sets_correlate_one_by_one_and_classes_stay_apart():
    (x, y, _), codes = _classes()
    tokens = {n: Tokens(torch.tensor(v, dtype=torch.float32)[:, None], torch.ones(len(v), 1, dtype=torch.bool), {}) for n, v in (("a", x), ("b", y))}
    fusion = fusion_of("discriminant", ("a", "b"))
    fusion.fit(tokens, torch.tensor(codes))
    a, b = ((v - v.mean(0)) @ m.double().numpy() for v, m in zip((x, y), fusion.maps, strict=True))
    cross = a.T @ b / len(a)
    np.testing.assert_allclose(cross[:3, :3], np.eye(3), atol=1e-4)
    assert not cross[3:].any(), "three directions tell four classes apart"
    # the reference: scipy's eigenvectors of the scatter, then the singular vectors of what is left, up to signs
    whole = []
    for v in (x, y):
        scatter = sum((codes == c).mean() * np.outer(d := v[codes == c].mean(0) - v.mean(0), d) for c in range(4))
        size, vectors = scipy.linalg.eigh(scatter)
        whole.append((v - v.mean(0)) @ (vectors[:, -3:] / np.sqrt(size[-3:])))
    left, size, right = scipy.linalg.svd(whole[0].T @ whole[1] / len(x))
    np.testing.assert_allclose(np.abs(a[:, :3]), np.abs(whole[0] @ left / np.sqrt(size)), atol=2e-4)
    np.testing.assert_allclose(np.abs(b[:, :3]), np.abs(whole[1] @ right.T / np.sqrt(size)), atol=2e-4)
    np.testing.assert_allclose(fusion.together(tokens).numpy()[:, :3], (a + b)[:, :3], atol=1e-4)


def test_fitting_again_turns_back_to_where_it_was():
    sets, codes = _classes()
    tokens = {n: Tokens(torch.tensor(v, dtype=torch.float32)[:, None], torch.ones(len(v), 1, dtype=torch.bool), {}) for n, v in zip(NAMES, sets, strict=True)}
    tokens["b"].mask[:100] = False
    fusion = fusion_of("discriminant")
    fusion.fit(tokens, torch.tensor(codes))
    first, before = fusion.maps.clone(), fusion.together(tokens)
    fusion.fit({n: one._replace(values=one.values + 1e-4 * torch.randn_like(one.values)) for n, one in tokens.items()}, torch.tensor(codes))
    torch.testing.assert_close(fusion.maps, first, atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(fusion.together(tokens), before, atol=2e-2, rtol=2e-2)


def test_projections_are_worked_out_so_often_and_then_held():
    sets, codes = _classes()
    tokens = {n: Tokens(torch.tensor(v, dtype=torch.float32)[:, None], torch.ones(len(v), 1, dtype=torch.bool), {}) for n, v in zip(NAMES, sets, strict=True)}
    fusion, seen = fusion_of("discriminant", epochs=2), []
    for _ in range(4):
        fusion.fit({n: one._replace(values=one.values + torch.randn_like(one.values)) for n, one in tokens.items()}, torch.tensor(codes))
        seen.append(fusion.maps.clone())
    assert not torch.equal(seen[0], seen[1]) and torch.equal(seen[1], seen[2]) and torch.equal(seen[2], seen[3])


def test_targets_become_classes():
    assert classes_of(torch.tensor([3, 1, 3])).tolist() == [1, 0, 1]
    assert classes_of(torch.linspace(0, 1, 10)).bincount().tolist() == [2, 2, 2, 2, 2]
    assert classes_of(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])).tolist() == [1, 0, 1]
    assert len(classes_of(torch.rand(200, 3)).unique()) == 5
    left, right = correlate(torch.randn(50, 2).double(), torch.randn(50, 3).double())
    assert left.shape[1] == right.shape[1] == 2


def test_one_class_leaves_the_projections_as_they_are():
    fusion, tokens = fusion_of("discriminant"), some_tokens()
    fusion.fit(tokens, torch.zeros(6, dtype=torch.long))
    assert not fusion.fitted
    assert torch.equal(fusion.maps[0], torch.eye(WIDTH))


def test_training_fits_before_each_epoch():
    run_ = train(RECIPES["late_fusion"].change(fusion="discriminant"), cases.samples(), "label", ["spectrum", "table"], epochs=2, device="cpu", progress=False)
    fusion = run_.model.fusions["all"]
    assert fusion.fitted
    classes = len(run_.classes)
    assert fusion.maps[:, :, : classes - 1].abs().sum() > 0
    assert not fusion.maps[:, :, classes - 1 :].any()


# ---- who looks at whom ---------------------------------------------------------------------------------------------


ATTENDING = [name for name, fusion in FUSIONS.items() if fusion.attends]


def maps_of(name, tokens, **options):
    fused = fusion_of(name, **options)(tokens, True)
    return [one.detach() for one in fused.attention.values()], {"class": [0], "a": range(1, 5), "b": range(5, 8), "c": range(8, 13)}


def looks(weights, at, query, key):
    return bool(weights[:, :, list(at[query])][..., list(at[key])].sum() > 0)


def test_one_way_only_one_modality_asks():
    maps, at = maps_of("one_way_attention", some_tokens(), query="b", layers=2)
    assert len(maps) == 3
    for weights in maps[:2]:
        pairs = {(q, k) for q, k in itertools.product(at, at) if looks(weights, at, q, k)}
        assert pairs == {("class", "class"), ("class", "a"), ("class", "c"), ("b", "class"), ("b", "a"), ("b", "c")}
    assert not looks(maps[2], at, "class", "a")
    assert fusion_of("one_way_attention", query="radio").query == "a", "a model without that modality asks with its first"


def test_both_ways_every_pair_has_a_map():
    maps, at = maps_of("co_attention", some_tokens())
    pairs = [{(q, k) for q, k in itertools.product(at, at) if looks(weights, at, q, k)} for weights in maps]
    assert pairs[:-1] == [{(a, b)} for a in NAMES for b in NAMES if a != b]
    assert pairs[-1] == {("class", k) for k in at}


def test_bottlenecks_are_the_only_way_across():
    maps, at = maps_of("bottleneck", some_tokens(), layers=2, bottlenecks=2)
    at["relay"] = range(13, 15)
    assert len(maps) == 2 * 3 + 1
    for weights in maps[:-1]:
        assert not any(looks(weights, at, q, k) for q, k in itertools.permutations(NAMES, 2))
    assert looks(maps[0], at, "a", "relay")
    assert looks(maps[0], at, "relay", "a")


def test_bilevel_looks_within_first():
    maps, at = maps_of("bilevel_attention", some_tokens())
    at["relay"] = range(13, 16)
    assert len(maps) == 4
    assert not any(looks(weights, at, q, k) for weights in maps for q, k in itertools.permutations(NAMES, 2))
    assert not any(looks(maps[-1], at, "class", name) for name in NAMES)
    assert looks(maps[-1], at, "class", "relay")


@pytest.mark.parametrize("causal", [True, False])
def test_a_chain_sees_what_came_before(causal):
    maps, at = maps_of("token_chain", some_tokens(), causal=causal)
    later = [looks(weights, at, q, k) for weights in maps for q, k in (("a", "b"), ("b", "c"), ("a", "c"), ("a", "class"))]
    assert all(looks(weights, at, q, k) for weights in maps for q, k in (("b", "a"), ("c", "a"), ("class", "a")))
    assert later == [not causal] * len(later)


@pytest.mark.parametrize("name", ATTENDING)
def test_explanations_of_every_attending_fusion(name):
    run_ = train(RECIPES["joint_attention"].change(fusion=name), cases.samples(), "label", ["spectrum", "table", "text"], epochs=1, device="cpu", progress=False)
    for combine in ("mean", "rollout"):
        found = explain.attention(run_, cases.samples(), combine=combine)
        np.testing.assert_allclose(found.from_class.sum(1), 1, atol=1e-4)
        # one way, what others look at is not asked; elsewhere each modality looks at some
        rows = found.between.sum(-1)[found.present]
        assert ((np.abs(rows - 1) < 1e-4) | (rows == 0)).all()
        assert (found.received("table").sum(1) > 0).any()
        assert np.isfinite(found.on_input("spectrum")).all()


# ---- learning, names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_learns_what_no_modality_says_alone(name):
    torch.manual_seed(0)
    target = torch.randint(2, (1280,))
    hidden = 0.8 * (2.0 * target[:, None] - 1) + torch.randn(1280, 3)  # each modality says it with its own noise
    turn = torch.randn(3, WIDTH)
    tokens = {n: Tokens((hidden[:, i, None] * turn[i])[:, None], torch.ones(1280, 1, dtype=torch.bool), {}) for i, n in enumerate(NAMES)}
    quiet = {"dropout": 0.0} if "dropout" in options_of(FUSIONS[name]) else {}
    fusion = fusion_of(name, **quiet).train()
    head = nn.Sequential(nn.Linear(fusion.vector_width, 16), nn.GELU(), nn.Linear(16, 2))
    optimiser = torch.optim.AdamW([*fusion.parameters(), *head.parameters()], lr=1e-2)
    half = {n: one._replace(values=one.values[:256], mask=one.mask[:256]) for n, one in tokens.items()}
    for step in range(60):
        if step % 20 == 0:
            fusion.fit(half, target[:256])
        loss = nn.functional.cross_entropy(head(fusion(half).vector), target[:256])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    right = (head(fusion.eval()(tokens).vector).argmax(1) == target)[256:].float().mean()
    alone = max(float(((hidden[256:, i] > 0).long() == target[256:]).float().mean()) for i in range(3))
    assert right > alone + 0.05, (right, alone)


def test_the_operator_is_one_argument():
    recipe = get_recipe("late_fusion").change(fusion="sum")
    assert recipe.fusion == Part("sum")
    assert get_recipe("late_fusion").change(fusion="gated", head="auto").fusion == Part("gated")
    with pytest.raises(UnknownNameError, match="no fusion 'addition'"):
        build(recipe.change(fusion="addition"), LAYOUTS, 3, "classification")
    with pytest.raises(InputError, match=r"top=5.*to the 4 experts"):
        fusion_of("mixture_of_experts", top=5)


def test_the_old_name_of_joint_attention_still_works():
    assert get_recipe("cross_attention") is RECIPES["joint_attention"]
    assert type(fusion_of("cross_attention")) is FUSIONS["joint_attention"]


def test_what_modules_ask_for_is_added_to_the_loss():
    model = made(recipe_of(("mlp",), "mixture_of_experts", balance=3.0, noise=0.0), "classification").train()
    objective = make_objective(Part("auto"), "classification", np.arange(24) % 3, 3)
    learning, batch, target = Supervised(model, objective), part_of(WHOLE, model), torch.arange(24) % 3
    model.eval()
    learning.training = True  # without dropout: what is added is all that differs
    plain = learning(batch.values, batch.masks, batch.present, target).loss
    model.fusions["all"].training = True
    model.fusions["all"].dropout.eval()
    asked = learning(batch.values, batch.masks, batch.present, target).loss
    share = model.fusions["all"].route(model.fusions["all"].router(model.fusions["all"].pooled(model.encode(batch.values, batch.masks)[0])[0].flatten(1)))
    total = share.sum(0)
    torch.testing.assert_close(asked - plain, (3.0 * total.var(correction=0) / total.mean() ** 2).expand(24), atol=1e-5, rtol=1e-3)
