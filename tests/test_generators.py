"""What stands in for a missing modality, and a latent vector that all modalities tell of."""

import numpy as np
import pytest
import torch
from model_cases import WHOLE, all_encoders, learn, made, part_of, recipe_of, run

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.fusion_generated import Generated, MultimodalVAE
from astrofuse_lab.models.generators import GENERATORS, Diffusion
from astrofuse_lab.models.parts import FUSIONS
from astrofuse_lab.models.tokens import Tokens
from astrofuse_lab.models.variational import normal_kl
from tests.conftest import make_toy_samples


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tokens_of(a, b, has_b):
    """Two modalities of one token each; the second may be missing."""
    everywhere = torch.ones(len(a), 1, dtype=torch.bool)
    return {"a": Tokens(a[:, None], everywhere, {}), "b": Tokens(b[:, None] * has_b[:, None, None], has_b[:, None], {})}


def pairs(n, seed=0):
    """Vectors of which the second follows from the first."""
    luck = torch.Generator().manual_seed(seed)
    a = torch.randn(n, 8, generator=luck)
    turned = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(7)))[0]
    return a, torch.tanh(a @ turned)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_learns_what_follows_from_the_other_modality(name):
    torch.manual_seed(0)
    fusion = Generated(("a", "b"), 8, generator=name).train()
    optimiser = torch.optim.AdamW(fusion.parameters(), lr=3e-3)
    a, b = pairs(256)
    for _ in range(220):
        fusion(tokens_of(a, b, torch.ones(256, dtype=torch.bool)))
        loss = fusion.extra_loss()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    a, b = pairs(64, seed=1)
    fusion.eval()
    with torch.no_grad():
        made_ = fusion.generate["b"](torch.cat([a, torch.ones(64, 1)], 1))
        again = fusion.generate["b"](torch.cat([a, torch.ones(64, 1)], 1))
    assert torch.equal(made_, again)
    assert float((made_ - b).square().mean()) < 0.4 * float(b.var())
    assert float(loss.detach()) < 1.0


@pytest.mark.parametrize("name", GENERATORS)
def test_stand_ins_are_marked_and_change_nothing_for_who_has_all(name):
    torch.manual_seed(0)
    fusion = Generated(("a", "b"), 8, generator=name).eval()
    a, b = pairs(6)
    has = torch.tensor([True, True, False, True, False, True])
    with torch.no_grad():
        fused = fusion(tokens_of(a, b, has))
        plain = fusion.inner(tokens_of(a, b, has))
    assert torch.equal(fused.tokens["b"].place["generated"], ~has) and not fused.tokens["a"].place["generated"].any()
    assert torch.equal(fused.tokens["b"].mask[:, 0], has), "a stand-in is no observation"
    assert torch.allclose(fused.vector[has], plain.vector[has], atol=1e-6)
    assert not torch.allclose(fused.vector[~has], plain.vector[~has], atol=1e-3)
    nothing = {n: one._replace(mask=torch.zeros_like(one.mask)) for n, one in tokens_of(a, b, has).items()}
    with torch.no_grad():
        assert not fusion(nothing).tokens["b"].place["generated"].any(), "of nothing, nothing is made"


def test_a_prediction_says_what_was_generated():
    model = made(recipe_of(all_encoders(), "generated"), "classification")
    batch = part_of(WHOLE, model, range(5))
    batch.masks["text"][2:] = False
    prediction = run(model, batch)
    assert prediction.extra["generated.text"][2:].all()
    absent = run(model, part_of(batch, model, range(5), leave_out=("text",)), attention=False)
    assert torch.allclose(absent.values[2:], prediction.values[2:], atol=1e-5)


def test_what_is_generated_is_not_drawn_to_what_is_easy_to_generate():
    torch.manual_seed(0)
    fusion = Generated(("a", "b"), 8).train()
    a, b = (one.requires_grad_() for one in pairs(12))
    fusion(tokens_of(a, b, torch.ones(12, dtype=torch.bool)))
    torch.manual_seed(1)
    loss = fusion.extra_loss()
    gradient = torch.autograd.grad(loss, [p for n, p in fusion.named_parameters() if n.startswith("generate.b")], retain_graph=True)
    assert all(g.isfinite().all() and g.any() for g in gradient)
    only_b = torch.autograd.grad((fusion.generate["b"].loss(torch.cat([a.detach(), torch.ones(12, 1)], 1), b.detach())).sum(), fusion.generate["b"].parameters())
    assert all(g.any() for g in only_b)
    assert float(fusion.extra_loss().detach()) == 0.0, "asked for once"


def test_the_denoising_steps_recover_a_vector_that_is_known():
    class Known(Diffusion):
        def denoised(self, seen, time, known):
            return known

    known = torch.randn(4, 8)
    assert torch.allclose(Known(8, 8, 16).drawn(known, torch.randn(4, 8)), known, atol=1e-5)


@pytest.mark.parametrize("fusion", [name for name in FUSIONS if name != "generated"])
def test_every_fusion_may_follow(fusion):
    recipe = recipe_of(("mlp", "ngram_mlp"), "generated").change(fusion=af.Part.of("generated", fusion=fusion))
    model = made(recipe, "classification").train()
    batch = part_of(WHOLE, model, range(8))
    batch.masks["text"][:3] = False
    prediction = learn(model, batch)
    prediction.values.square().mean().backward()
    assert prediction.values.isfinite().all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"generator": "regresor"}, UnknownNameError, "no generator 'regresor'.*regressor"),
        ({"fusion": "generated"}, UnknownNameError, "no fusion 'generated'"),
        ({"weight": -1.0}, InputError, "weight=-1.0"),
    ],
)
def test_what_cannot_be_generated_says_why(options, error, words):
    with pytest.raises(error, match=words):
        Generated(("a", "b"), 8, **options)


# ---- one latent vector ----------------------------------------------------------------------------------------------


def test_the_joint_divergence_is_that_of_torch():
    luck = torch.Generator().manual_seed(0)
    means, spreads = (torch.randn(5, 2, 3, generator=luck, dtype=torch.float64) for _ in range(2))
    present = torch.tensor([[True, True], [True, False], [False, True], [True, True], [False, False]])
    standard = torch.distributions.Normal(torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    product, mixture = (MultimodalVAE(("a", "b"), 8, experts=name, latent=3).eval() for name in ("product", "mixture"))
    latent, divergence = product.latent_of(means, spreads, present)
    for i, there in enumerate(present):
        precision = 1 + sum(torch.exp(-spreads[i, m]) for m in range(2) if there[m])
        mean = sum((torch.exp(-spreads[i, m]) * means[i, m] for m in range(2) if there[m]), torch.zeros(3, dtype=torch.float64)) / precision
        joint = torch.distributions.Normal(mean, precision**-0.5)
        assert torch.allclose(latent[i], mean)
        assert float(divergence[i]) == pytest.approx(float(torch.distributions.kl_divergence(joint, standard).sum()), rel=1e-9, abs=1e-12)
    latent, divergence = mixture.latent_of(means, spreads, present)
    assert torch.allclose(latent[0], means[0].mean(0)) and torch.allclose(latent[1], means[1, 0]) and not latent[4].any()
    assert torch.allclose(divergence[0], normal_kl(means[0], spreads[0]).mean()) and float(divergence[4]) == 0.0


def test_a_mixture_draws_from_each_expert_as_often():
    torch.manual_seed(0)
    fusion = MultimodalVAE(("a", "b", "c"), 8, experts="mixture", latent=1).train()
    means = torch.tensor([[[-10.0], [0.0], [10.0]]]).expand(6000, -1, -1)
    present = torch.tensor([[True, True, True]]).expand(6000, -1).clone()
    present[3000:, 1] = False
    latent = fusion.latent_of(means, torch.full_like(means, -6.0), present)[0].round().squeeze()
    shares = [float((latent[:3000] == v).float().mean()) for v in (-10, 0, 10)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.04)
    assert not (latent[3000:] == 0).any()


def test_the_bound_adds_to_the_objective_and_trains_the_way_back():
    model = made(recipe_of(("mlp", "ngram_mlp"), "multimodal_vae"), "classification").train()
    learn(model, part_of(WHOLE, model, range(8)))
    loss = model.fusions["all"].extra_loss()
    loss.backward()
    assert float(loss.detach()) > 0
    assert all(p.grad is not None and p.grad.any() for n, p in model.fusions["all"].named_parameters() if n.startswith(("back.", "posterior.")))


@pytest.mark.parametrize("fusion", ["generated", "multimodal_vae"])
def test_they_learn_the_toy_classes(fusion):
    from astrofuse_lab.recipes.catalogue import get_recipe

    samples = make_toy_samples(160, seed=3)
    recipe = get_recipe("late_fusion").change(fusion=af.Part.of(fusion, modality_dropout=0.2), width=32)
    told = af.train(recipe, samples, "label", ["image", "spectrum", "table"], samples.split(test=0.3, seed=1), epochs=18, progress=False, device="cpu")
    tested = {(r["part"], r["metric"]): r["value"] for r in told.metrics}
    assert tested["test", "balanced_accuracy"] > 0.6  # chance is 0.33
    assert np.isfinite(told.history["train_loss"]).all()


def test_generators_can_be_trained_first_and_then_kept():
    from astrofuse_lab.recipes.catalogue import get_recipe

    samples = make_toy_samples(60)
    schedule = af.Part.of("end_to_end", freeze=["fusions.all.generate.*"])
    recipe = get_recipe("late_fusion").change(fusion=af.Part.of("generated"), width=16, schedule=schedule, pretrain=af.Part.of("masked", epochs=2))
    first = af.train(recipe, samples, None, ["table", "text"], epochs=2, progress=False, device="cpu")
    after = af.train(recipe.change(pretrain=None), samples, "label", ["table", "text"], epochs=2, progress=False, device="cpu", start=first)
    ours, theirs = (dict(one.model.named_parameters()) for one in (after, first))
    generators = [n for n in ours if n.startswith("fusions.all.generate.")]
    assert generators and all(torch.equal(ours[n], theirs[n]) for n in generators)
