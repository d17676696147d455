"""Training without labels: formulas against the papers and torch's own, every objective's contract, and that it learns."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from model_cases import LAYOUTS, WHOLE, all_encoders, made, part_of, recipe_of
from torch import nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.autoencoders import UnitDecoder, draw_hidden, patch_of, units, without
from astrofuse_lab.models.parts import HEADS
from astrofuse_lab.models.reversal import reverse
from astrofuse_lab.models.variational import drawn, elbo, importance_bound, log_normal, normal_kl, product_of_experts
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training.self_supervised import SELF_SUPERVISED, make_self_supervised, options_of
from astrofuse_lab.training.self_supervised_contrast import info_nce, sigmoid_contrast, vicreg


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def vectors(n=7, width=5, seed=0):
    luck = torch.Generator().manual_seed(seed)
    return [F.normalize(torch.randn(n, width, generator=luck, dtype=torch.float64), dim=1) for _ in range(2)]


def learning_of(name, modalities=None, seed=0, fusion="concatenation", decision=None, **options):
    recipe = recipe_of(all_encoders(), fusion, head=name if name in HEADS else "auto", decision=decision)
    if modalities:
        recipe = recipe.change(encoders={k: v for k, v in recipe.encoders.items() if k in modalities})
    torch.manual_seed(seed)
    return make_self_supervised(Part(name, options), made(recipe, "self_supervised"))


def ask(learning, batch):
    return learning(batch.values, batch.masks, batch.present, torch.zeros(len(batch)))


# ---- formulas -------------------------------------------------------------------------------------------------------


def test_info_nce_is_the_cross_entropy_of_finding_the_partner_both_ways():
    one, other = vectors()
    expected = []
    for i in range(len(one)):
        there = torch.stack([one[i] @ other[j] for j in range(len(one))]) * 10
        back = torch.stack([other[i] @ one[j] for j in range(len(one))]) * 10
        expected.append((F.cross_entropy(there[None], torch.tensor([i])) + F.cross_entropy(back[None], torch.tensor([i]))) / 2)
    assert torch.allclose(info_nce(one, other, 10.0), torch.stack(expected), atol=1e-12)
    assert float(info_nce(one[:1], other[:1], 10.0)) == 0.0  # alone, there is nobody to be taken for


def test_sigmoid_contrast_is_the_papers_sum():
    one, other = vectors()
    expected = [sum(math.log(1 + math.exp(-(1 if i == j else -1) * (8 * float(one[i] @ other[j]) - 3))) for j in range(7)) for i in range(7)]
    assert np.allclose(sigmoid_contrast(one, other, 8.0, -3.0).numpy(), expected, atol=1e-12)


def test_vicreg_is_the_papers_formula():
    luck = np.random.default_rng(0)
    x, y = luck.normal(0, 0.7, (9, 4)), luck.normal(0, 0.7, (9, 4))
    variance = sum(np.maximum(0, 1 - np.sqrt(z.var(0, ddof=1) + 1e-4)).mean() / 2 for z in (x, y))
    covariance = 0.0
    for z in (x, y):
        c = np.cov(z.T)
        covariance += (c[~np.eye(4, dtype=bool)] ** 2).sum() / 4
    expected = 25 * ((x - y) ** 2).mean() + 25 * variance + covariance
    assert float(vicreg(torch.from_numpy(x), torch.from_numpy(y)).mean()) == pytest.approx(expected, rel=1e-10)


def test_the_divergence_and_the_densities_are_those_of_torch():
    luck = torch.Generator().manual_seed(1)
    mean, log_variance = (torch.randn(6, 3, generator=luck, dtype=torch.float64) for _ in range(2))
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    divergence = torch.distributions.kl_divergence(posterior, standard).sum(-1)
    assert torch.allclose(normal_kl(mean, log_variance), divergence, atol=1e-12)
    at = torch.randn(6, 3, generator=luck, dtype=torch.float64)
    assert torch.allclose(log_normal(at, mean, log_variance), posterior.log_prob(at), atol=1e-12)
    likelihood = torch.randn(6, generator=luck, dtype=torch.float64)
    assert torch.allclose(elbo(likelihood, mean, log_variance), likelihood - divergence, atol=1e-12)


def test_the_importance_weighted_bound_lies_between_the_elbo_and_the_evidence():
    # a model whose evidence is known: z ~ N(0, 1), x | z ~ N(z, 1), so x ~ N(0, 2); a posterior that is wrong
    luck = torch.Generator().manual_seed(0)
    x = torch.tensor([1.3, -0.4], dtype=torch.float64)
    mean, log_variance = torch.tensor([[0.2], [0.3]], dtype=torch.float64), torch.tensor([[-0.2], [-0.5]], dtype=torch.float64)
    bounds = {}
    for count in (1, 5, 200):
        told = []
        for _ in range(800 if count < 200 else 30):
            z = torch.stack([drawn(mean, log_variance, luck) for _ in range(count)])
            told.append(importance_bound(log_normal(x, z[..., 0]), z, mean, log_variance))
        bounds[count] = torch.stack(told).mean(0)
    exact = torch.distributions.Normal(0.0, math.sqrt(2)).log_prob(x)
    posterior = torch.distributions.Normal(mean[:, 0], (0.5 * log_variance[:, 0]).exp())
    z = posterior.sample((20000,))
    plain = log_normal(x, z).mean(0) - normal_kl(mean, log_variance)
    assert torch.allclose(bounds[1], plain, atol=0.07)  # one draw: the ELBO
    assert (bounds[5] > bounds[1]).all() and (bounds[200] > bounds[5]).all()
    assert torch.allclose(bounds[200], exact, atol=0.02) and (bounds[5] < exact).all()


def test_the_product_of_experts_is_the_product_of_densities():
    means, log_variances = torch.tensor([[[0.7], [-1.2]]], dtype=torch.float64), torch.tensor([[[0.3], [-0.9]]], dtype=torch.float64)
    z = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    for there in ([True, True], [True, False], [False, False]):
        log = log_normal(z)
        for i, used in enumerate(there):
            if used:
                log = log + log_normal(z, means[0, i], log_variances[0, i])
        density = (log - log.max()).exp()
        density = density / density.sum()
        mean, log_variance = product_of_experts(means, log_variances, torch.tensor([there]))
        centre = (density * z).sum()
        assert float(mean) == pytest.approx(float(centre), abs=1e-6)
        assert float(log_variance.exp()) == pytest.approx(float((density * (z - centre) ** 2).sum()), abs=1e-5)


def test_a_reversed_gradient_is_the_negative():
    values = torch.randn(3, 2, requires_grad=True)
    assert torch.equal(reverse(values, 0.5), values)
    reverse(values, 0.5).square().sum().backward()
    assert torch.allclose(values.grad, -0.5 * 2 * values.detach())


# ---- units ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LAYOUTS)
def test_units_hold_each_number_once_and_hiding_hides_exactly_them(kind):
    layout, values, mask = LAYOUTS[kind], WHOLE.values[kind], WHOLE.masks[kind]
    patch = patch_of(layout)
    cut = units(layout, values, mask, patch)
    assert cut.values.shape == cut.real.shape
    if kind == "light_curve":
        assert torch.equal(cut.values[..., 0], values[..., 1]) and torch.equal(cut.real[..., 0], mask)
    else:
        assert float(cut.values.double().sum()) == pytest.approx(float(values.double().sum()), rel=1e-6)
    hidden = draw_hidden(cut.real.any(2), 0.5, torch.Generator().manual_seed(0))
    visible = without(layout, mask, hidden, patch)
    assert not (visible & ~mask).any()
    after = units(layout, values, visible, patch)
    assert not after.real[hidden].any() and torch.equal(after.real[~hidden], cut.real[~hidden])
    count = cut.real.any(2).sum(1)
    assert ((hidden.sum(1) < count) | (count == 0)).all() and ((hidden.sum(1) > 0) | (count < 2)).all()


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_decoder_gives_back_what_a_unit_has_and_is_not_told_it(kind):
    torch.manual_seed(0)
    layout, values, mask = LAYOUTS[kind], WHOLE.values[kind], WHOLE.masks[kind]
    decoder = UnitDecoder(layout, 16)
    context, real = torch.randn(len(values), 3, 16), torch.ones(len(values), 3, dtype=torch.bool)
    made = decoder(context, real, values)
    assert made.shape == units(layout, values, mask, decoder.patch).values.shape
    changed = values.clone()
    if kind == "light_curve":
        changed[..., 1] += 1
    else:
        changed += 1
    assert torch.equal(decoder(context, real, changed), made), "a query may not show the answer"
    nothing = decoder(context, torch.zeros_like(real), values)
    assert nothing.isfinite().all() and not torch.allclose(nothing, made)


# ---- every objective ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SELF_SUPERVISED)
@pytest.mark.parametrize("fusion", ["concatenation", "joint_attention"])
def test_every_objective_learns_with_its_whole_model_and_stays_finite(name, fusion):
    learning = learning_of(name, fusion=fusion, **({"of": "fused"} if name == "vae" else {})).train()
    batch = part_of(WHOLE, learning.model, range(12))
    torch.manual_seed(3)
    told = ask(learning, batch)
    assert told.loss.shape == told.weight.shape == (12,) and told.values.shape == (12, 0)
    assert told.loss.isfinite().all() and float(told.loss.detach().sum()) > 0
    told.loss.mean().backward()
    gradients = {n: p.grad for n, p in learning.named_parameters()}
    assert all(g is None or g.isfinite().all() for g in gradients.values())
    reached = {n for n, g in gradients.items() if g is not None and float(g.abs().sum()) > 0}
    for modality in learning.model.modalities:
        assert any(n.startswith(f"model.encoders.{modality}.") for n in reached), modality
    own = {n for n in gradients if not n.startswith("model.")}
    assert own <= reached, own - reached
    if name not in ("denoising", "vicreg"):  # which train what comes before the fusion
        assert any(n.startswith("model.fusions.") for n in reached)


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_what_is_measured_twice_is_the_same_and_leaves_random_numbers_alone(name):
    learning = learning_of(name).eval()
    batch = part_of(WHOLE, learning.model, range(6))
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    with torch.inference_mode():
        first, second = ask(learning, batch).loss, ask(learning, batch).loss
    assert torch.equal(first, second)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_what_is_masked_or_missing_changes_nothing(name):
    learning = learning_of(name).eval()
    batch = part_of(WHOLE, learning.model, range(6))
    for mask in batch.masks.values():
        mask[0] = False  # one sample has nothing at all
    with torch.inference_mode():
        before = ask(learning, batch).loss
        for key, one in batch.values.items():
            mask = batch.masks[key]
            hidden = ~mask.view(*mask.shape, *[1] * (one.ndim - mask.ndim)).expand_as(one)
            batch.values[key] = torch.where(hidden, torch.full_like(one, 7.0), one)
        after = ask(learning, batch).loss
    assert torch.allclose(before, after, atol=1e-4)
    assert float(before[0]) == 0.0 and before.isfinite().all()


def test_only_samples_with_both_enter_a_pair():
    learning = learning_of("info_nce", ("table", "text"), fused=False).eval()
    batch = part_of(WHOLE, learning.model, range(10))
    batch.masks["text"][:4] = False
    with torch.inference_mode():
        loss, there = learning.per_sample(batch.values, batch.masks, batch.present)
        has = batch.masks["text"].any(1) & batch.masks["table"].any(1)
        alone = part_of(batch, learning.model, has.nonzero()[:, 0])
        only, _ = learning.per_sample(alone.values, alone.masks, alone.present)
        told = ask(learning, batch).loss
    assert torch.equal(there, has) and not loss[~has].any()
    assert torch.allclose(loss[has], only, atol=1e-6)
    assert float(told.mean()) == pytest.approx(float(only.mean()), rel=1e-5)


def test_a_batch_in_which_nobody_has_both_gives_no_gradient_but_a_graph():
    learning = learning_of("info_nce", ("table", "text")).train()
    batch = part_of(WHOLE, learning.model, range(4))
    batch.masks["text"][:] = False
    loss = ask(learning, batch).loss
    loss.sum().backward()
    assert not loss.any() and all(p.grad is None or not p.grad.any() for p in learning.parameters())


OTHERS = {
    "temperature": 0.5, "bias": -2.0, "among": "mean", "fused": False, "hidden": 24, "views": "augmented", "noise": 0.7, "share": 0.3, "invariance": 5.0,
    "variance": 5.0, "covariance": 5.0, "strength": 3.0, "across": False, "patch": 4, "of": "fused", "latent": 4, "samples": 3, "beta": 3.0, "domain": "survey",
    "error": "absolute", "filled": 0.5,
}  # fmt: skip


@pytest.mark.parametrize(("name", "option"), [(n, o) for n, made in SELF_SUPERVISED.items() for o in options_of(made)])
def test_every_option_does_something(name, option):
    default = options_of(SELF_SUPERVISED[name])[option]
    other = 0.2 if (name, option) == ("reconstruction", "hidden") else OTHERS[option]
    assert other != default
    more = {"views": "augmented"} if name == "vicreg" and option in ("noise", "share") else {}
    results = []
    for value in (default, other):
        learning = learning_of(name, **{**more, option: value}).train()
        torch.manual_seed(1)
        told = ask(learning, part_of(WHOLE, learning.model, range(12))).loss
        told.mean().backward()
        results.append((told.detach(), [p.grad.clone() for p in learning.model.encoders.parameters() if p.grad is not None]))
    same_loss = torch.allclose(results[0][0], results[1][0])
    assert not (same_loss and all(torch.allclose(a, b) for a, b in zip(results[0][1], results[1][1], strict=False)))


@pytest.mark.parametrize("name", ["masked", "denoising", "vae", "vicreg"])
def test_one_modality_is_enough_for_what_needs_no_second(name):
    for kind in LAYOUTS:
        learning = learning_of(name, (kind,)).train()
        told = ask(learning, part_of(WHOLE, learning.model, range(6)))
        told.loss.mean().backward()
        assert told.loss.isfinite().all()


@pytest.mark.parametrize(
    ("name", "modalities", "options", "words"),
    [
        ("info_nce", ("table",), {}, r"only 'table'.*masked"),
        ("info_nce", None, {"temperature": 0.0}, "temperature=0.0"),
        ("info_nce", None, {"among": "all"}, "among='all'.*pairs"),
        ("info_nce", None, {"temprature": 0.1}, "no option 'temprature'; it has temperature"),
        ("masked", None, {"share": 1}, "share=1"),
        ("masked", None, {"across": 1}, "across=1 is int"),
        ("vae", None, {"samples": 4, "beta": 2.0}, "beta=2.0"),
        ("vicreg", ("table",), {"views": "modalities"}, "views='augmented'"),
    ],
)
def test_what_cannot_be_trained_says_why(name, modalities, options, words):
    with pytest.raises(InputError, match=words):
        learning_of(name, modalities, **options)


def test_an_unknown_objective_names_the_others():
    with pytest.raises(UnknownNameError, match=r"'info_nse'.*info_nce"):
        learning_of("info_nse")


def test_decisions_have_no_fused_vector_to_learn_from():
    assert ask(learning_of("info_nce", decision="average").train(), part_of(WHOLE, learning_of("masked").model, range(6))).loss.isfinite().all()
    with pytest.raises(InputError, match="of='each'"):
        learning_of("vae", decision="average", of="fused")


def test_contrast_brings_the_modalities_of_a_sample_together():
    learning = learning_of("info_nce", ("table", "spectrum"), temperature=0.2).train()
    both = WHOLE.present["table"] & WHOLE.present["spectrum"]
    batch = part_of(WHOLE, learning.model, both.nonzero()[:, 0])
    optimiser = torch.optim.AdamW(learning.parameters(), lr=5e-3)
    for _ in range(40):
        loss = ask(learning, batch).loss.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    learning.eval()
    with torch.inference_mode():
        tokens = learning.model.encode(batch.values, batch.masks, batch.present)[0]
        one, other, _ = learning.pairs(tokens)[0]
    found = (one @ other.T).argmax(1) == torch.arange(len(one))
    assert float(found.float().mean()) > 0.5  # chance: one in 20


def test_what_is_hidden_is_found_from_the_rest():
    learning = learning_of("masked", ("table",), share=0.5).train()
    luck = np.random.default_rng(0)
    x = luck.normal(size=(64, 1)).repeat(2, 1).astype(np.float32)  # two columns that say the same
    values, masks = {"table": torch.from_numpy(x)}, {"table": torch.ones(64, 2, dtype=torch.bool)}
    present = {"table": torch.ones(64, dtype=torch.bool)}
    optimiser = torch.optim.AdamW(learning.parameters(), lr=3e-3)
    for _ in range(110):
        loss = learning(values, masks, present, torch.zeros(64)).loss.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.3  # without the other column: the variance, 1
    assert isinstance(learning.decoders, nn.ModuleDict)


def test_confused_domains_cannot_be_told_apart_any_longer():
    from astrofuse_lab.training.distillation import domains
    from tests.conftest import make_toy_samples

    luck = torch.Generator().manual_seed(0)
    n = 96
    domain = torch.arange(n) % 2
    what = torch.randn(n, 1, generator=luck)
    # both tables tell the object, and each is shifted by the survey it comes from
    tables = [torch.cat([what + 0.1 * torch.randn(n, 1, generator=luck), domain[:, None] * 2.0 - 1.0], 1) for _ in range(2)]
    layouts = {"one": LAYOUTS["table"], "two": LAYOUTS["table"]}
    told = {}
    for strength in (0.0, 1.0):
        torch.manual_seed(0)
        from astrofuse_lab.models.build import build

        model = build(recipe_of(("mlp",), "concatenation"), layouts, 0, "self_supervised")
        learning = make_self_supervised(Part.of("adversarial", domain="survey", strength=strength, fused=False, temperature=0.5), model).train()
        optimiser = torch.optim.AdamW(learning.parameters(), lr=3e-3)
        values = dict(zip(layouts, tables, strict=True))
        masks, present = {m: torch.ones(n, 2, dtype=torch.bool) for m in layouts}, {m: torch.ones(n, dtype=torch.bool) for m in layouts}
        for _ in range(120):
            loss = learning(values, masks, present, domain.double()).loss.mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            tokens = model.eval().encode(values, masks, present)[0]
            guess = learning.judge(F.normalize(tokens["one"].values.mean(1), dim=-1))
        told[strength] = float(F.cross_entropy(guess, domain))
    assert told[1.0] > 2 * told[0.0]
    with pytest.raises(InputError, match=r"domain='object_id' has 40 value\(s\)"):
        domains(make_toy_samples(40), "object_id")
