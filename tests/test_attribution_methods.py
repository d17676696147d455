"""Every method of attribution beside captum's own answer on the same forward, or beside what can be worked out by hand."""

import warnings

import explain_cases as cases
import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr import LRP, DeepLift, FeatureAblation, GradientShap, IntegratedGradients, KernelShap, LayerAttribution, LayerGradCam, Lime, Occlusion, Saliency
from torch import nn

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain import methods_relevance, methods_sampling
from astrofuse_lab.explain.adapter import SCORES
from astrofuse_lab.explain.attribution_result import place_axes
from astrofuse_lab.explain.baselines import draws_of, make
from astrofuse_lab.explain.methods import METHODS
from astrofuse_lab.explain.methods_gradients import path_points
from astrofuse_lab.explain.methods_hiding import channels_of, windows_of
from astrofuse_lab.explain.methods_layers import spatial_layer
from astrofuse_lab.explain.methods_rules import DEEP_LIFT, LINEAR, Rules, mark
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training.loop import train

NAMES = ("image", "spectrum", "table")
RECIPES = ("late_fusion", "joint_attention")


@pytest.fixture(scope="module")
def some():
    return cases.samples().take(np.arange(4))


class Plain:
    """The whole model as captum is shown it: no tokens kept, nothing looked up."""

    def __init__(self, run, samples, names=NAMES, baseline=None):
        self.run, self.names, self.batch = run, names, run.batch(samples)
        self.model = run.model.eval()
        found = explain.attribute(run, samples, "saliency", modalities=names, baseline=baseline)
        self.goal = torch.tensor([run.classes.index(one) for one in found.target])
        start = make(found.baselines, self.batch.values, self.batch.masks, run.preparation.scalings, draws_of(0, samples.object_ids, 0))
        self.inputs, self.baselines = tuple(self.batch.values[n] for n in names), tuple(start[n] for n in names)
        self.kinds = found.kinds
        self.rows = torch.arange(len(samples))

    def __call__(self, *given):
        *values, rows = given
        whole = {name: self.batch.values[name][rows] for name in self.run.modalities} | dict(zip(self.names, values, strict=True))
        masks = {name: mask[rows] for name, mask in self.batch.masks.items()}
        return SCORES["log_odds"](self.model(whole, masks).values, self.goal[rows]) + sum(0 * v.flatten(1)[:, :1].sum(1) for v in values)

    def masked(self, number, values):
        mask = self.batch.masks[self.names[number]]
        return values.detach().numpy() * mask.view(*mask.shape, *[1] * (values.ndim - mask.ndim)).numpy()


def same(found, plain, expected, **tolerance):
    for number, name in enumerate(plain.names):
        np.testing.assert_allclose(found.values[name], plain.masked(number, expected[number]), **{"rtol": 1e-3, "atol": 1e-6, **tolerance})
        assert np.abs(found.values[name]).max() > 0


# ---- gradients -----------------------------------------------------------------------------------------------------


def test_saliency(some):
    plain = Plain(cases.trained(), some)
    same(explain.attribute(plain.run, some, "saliency", modalities=NAMES), plain, Saliency(plain).attribute(tuple(v.clone().requires_grad_() for v in plain.inputs), additional_forward_args=(plain.rows,)))


def test_integrated_gradients_on_their_own_points(some):
    plain = Plain(cases.trained(), some)
    found = explain.attribute(plain.run, some, modalities=NAMES, tolerance=0.999)  # the first level suffices
    assert set(found.passes) == {7}
    places, weights = path_points(7)
    expected = IntegratedGradients(plain)._attribute(
        plain.inputs, plain.baselines, additional_forward_args=(plain.rows,), n_steps=7, step_sizes_and_alphas=(weights.tolist(), places.tolist())
    )
    same(found, plain, expected)
    fine = explain.attribute(plain.run, some, modalities=NAMES, tolerance=0.001)
    assert set(fine.passes) - {7}  # some needed more than the first level
    assert (np.abs(fine.convergence_delta) <= 0.001 * np.maximum(np.abs(fine.difference), 1e-2)).all()
    long = IntegratedGradients(plain).attribute(plain.inputs, plain.baselines, additional_forward_args=(plain.rows,), n_steps=100)
    for number, name in enumerate(NAMES):
        reference = plain.masked(number, long[number])
        assert np.abs(fine.values[name] - reference).sum() < 0.03 * np.abs(reference).sum()


@pytest.mark.parametrize("count", [7, 15, 24])
def test_points_of_the_path_integrate_polynomials_of_the_bent_path_exactly(count):
    places, weights = (one.double().numpy() for one in path_points(count))
    bent = np.log1p(places * np.expm1(4.5)) / 4.5
    for power in (0, 1, 5, 12):
        # integral of t^power over the place, dplace = slope dt, against a fine sum
        t = (np.arange(200000) + 0.5) / 200000
        exact = np.mean(t**power * 4.5 * np.exp(4.5 * t) / np.expm1(4.5))
        assert abs((weights * bent**power).sum() - exact) < 1e-5
    if count == 15:
        np.testing.assert_allclose(path_points(15)[0][1::2], path_points(7)[0], atol=1e-6)


@pytest.mark.parametrize("baseline", [None, "sky_noise"])
def test_gradient_shap(some, baseline):
    one, draws = some.take([1]), 6
    plain = Plain(cases.trained(), one, baseline=baseline)
    found = explain.attribute(plain.run, one, "gradient_shap", modalities=NAMES, baseline=baseline, draws=draws, seed=5)
    count = draws if baseline else 1
    every = [
        make(found.baselines, plain.batch.values, plain.batch.masks, plain.run.preparation.scalings, draws_of(5, one.object_ids, k)) for k in range(count)
    ]
    np.random.seed(5)  # noqa: NPY002 captum draws from NumPy's own state
    expected, delta = GradientShap(plain).attribute(
        plain.inputs, tuple(torch.cat([e[n] for e in every]) for n in NAMES), n_samples=draws, additional_forward_args=(plain.rows,), return_convergence_delta=True
    )
    same(found, plain, expected, rtol=2e-3)
    np.testing.assert_allclose(found.convergence_delta, [delta.mean()], atol=2e-4)
    if baseline:
        assert len({float(e["image"].sum()) for e in every}) == draws
        assert found.standard_error["image"].shape == found.per_place("image").shape


def test_gradient_shap_draws_training_samples_and_its_error_falls(some):
    run, one = cases.trained(), cases.samples().take([1])
    others = cases.samples().take(np.arange(10, 30))
    few, many = (explain.attribute(run, one, "gradient_shap", references=others, draws=n) for n in (16, 256))
    assert many.baselines == {"image": "samples", "spectrum": "samples", "table": "samples", "light_curve": "no_variability", "text": "no_word"}
    assert many.standard_error["spectrum"].sum() < 0.5 * few.standard_error["spectrum"].sum()
    # what 16 draws are away from 256 is what their standard error says
    apart = np.abs(few.per_place("spectrum") - many.per_place("spectrum"))
    assert 0.3 < np.sqrt(np.mean(apart**2) / np.mean(few.standard_error["spectrum"] ** 2)) < 3
    with pytest.raises(InputError, match="gradient_shap"):
        explain.attribute(run, one, references=others)


# ---- rules ---------------------------------------------------------------------------------------------------------


class Small(nn.Module):
    """Modules that captum has rules for, each used once."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.first, self.relu, self.pool = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)
        self.second, self.soft, self.out = nn.Linear(4 * 36, 8), nn.Tanh(), nn.Linear(8, 1)

    def forward(self, x):
        return self.out(self.soft(self.second(self.pool(self.relu(self.first(x))).flatten(1))))


def test_deep_lift_and_relevance_are_captums_where_it_has_rules():
    model, x, base = Small().eval(), torch.randn(3, 2, 12, 12), torch.randn(3, 2, 12, 12) * 0.3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lift, relevance = DeepLift(model).attribute(x, base), LRP(model).attribute(x)
    pair = torch.cat([x, base]).requires_grad_()
    with Rules(DEEP_LIFT, LINEAR) as rules:
        score = model(mark(pair + 0.0))
    torch.testing.assert_close(torch.autograd.grad(score.sum(), pair)[0][:3] * (x - base), lift, atol=1e-6, rtol=1e-4)
    assert not rules.without
    alone = x.clone().requires_grad_()
    with Rules(methods_relevance.LRP, LINEAR) as rules:
        score = model(mark(alone + 0.0))
    torch.testing.assert_close(torch.autograd.grad(score.sum(), alone)[0] * x, relevance, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(score, model(x))


OPERATIONS = {
    "layer_norm": lambda x: torch.nn.functional.layer_norm(x, (6,)), "group_norm": lambda x: torch.nn.functional.group_norm(x[:, :, 0, None], 2),
    "softmax": lambda x: x.softmax(-1), "logsumexp": lambda x: x.logsumexp(-1), "log_softmax": lambda x: torch.log_softmax(x, -1), "gelu": nn.GELU(), "silu": nn.SiLU(),
    "product": lambda x: x[..., :3] * x[..., 3:], "quotient": lambda x: x[..., :3] / (x[..., 3:].square() + 1), "matmul": lambda x: x @ x.transpose(-2, -1),
    "einsum": lambda x: torch.einsum("bij,bkj->bik", x, x), "attention": lambda x: torch.nn.functional.scaled_dot_product_attention(x, x, x),
    "normalize": lambda x: torch.nn.functional.normalize(x, dim=-1), "amax": lambda x: x.amax(1), "max_pool1d": lambda x: torch.nn.functional.max_pool1d(x, 2, 2),
    "max_pool2d": lambda x: torch.nn.functional.max_pool2d(x[:, None], 3, 2, 1), "power": lambda x: x**3, "over": lambda x: 2 / (x.square() + 1), "sigmoid": torch.sigmoid,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_rule_of_deep_lift_keeps_the_value_and_sums_to_the_difference(name):
    torch.manual_seed(1)
    pair = torch.randn(6, 4, 6).requires_grad_()
    with Rules(DEEP_LIFT, LINEAR):
        out = OPERATIONS[name](mark(pair + 0.0))
    torch.testing.assert_close(out, OPERATIONS[name](pair), atol=1e-5, rtol=1e-5)
    gradient = torch.autograd.grad(out.sum(), pair)[0]
    total = (gradient[:3] * (pair[:3] - pair[3:])).flatten(1).sum(1)
    torch.testing.assert_close(total, (out[:3] - out[3:]).flatten(1).sum(1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("recipe", ["joint_attention", "late_fusion", "gated_fusion", "decision_average"])
def test_deep_lift_is_complete_on_every_recipe(some, recipe):
    found = explain.attribute(cases.trained(recipe), some, "deep_lift")
    assert np.abs(found.convergence_delta).max() <= 1e-3 * np.maximum(np.abs(found.difference), 1e-2).max()


def test_rules_of_a_linear_model_are_its_terms(some):
    run = cases.linear()
    lift = explain.attribute(run, some, "deep_lift", target="star", score="logit")
    exact = explain.attribute(run, some, target="star", score="logit", steps=2)
    relevance = explain.attribute(run, some, "lrp", target="star")
    batch = run.batch(some)
    for name in cases.MODALITIES:
        np.testing.assert_allclose(lift.values[name], exact.values[name], atol=1e-5)
        own = run.model.per_value(name, batch.values[name])[:, run.classes.index("star")].detach().numpy()
        mask = batch.masks[name].numpy()
        np.testing.assert_allclose(relevance.values[name], own * mask.reshape(*mask.shape, *[1] * (own.ndim - mask.ndim)), atol=1e-5)
    assert relevance.score_name == "logit" and "logit" in relevance.notes[0]


def test_what_has_no_rule_is_refused(some):
    recipe = get_recipe("late_fusion")
    run = train(
        recipe.change(encoders={**recipe.encoders, "light_curve": Part("recurrent")}), cases.samples(), "label", ["light_curve", "table"], epochs=1, device="cpu", progress=False
    )
    for method in ("deep_lift", "lrp"):
        with pytest.raises(InputError, match=r"no rule for .*integrated_gradients") as refused:
            explain.attribute(run, some, method)
        assert "lstm" in str(refused.value) or "gru" in str(refused.value)
    with pytest.raises(InputError, match="probabilities"):
        explain.attribute(cases.trained("decision_average"), some, "lrp")
    with pytest.raises(InputError, match="a logit"):
        explain.attribute(cases.trained(), some, "lrp", score="log_odds")


# ---- hiding --------------------------------------------------------------------------------------------------------


def test_occlusion_is_captums_with_windows_side_by_side(some):
    two = some.take([0, 1])
    plain = Plain(cases.trained("late_fusion"), two)
    found = explain.attribute(plain.run, two, "occlusion", modalities=NAMES)
    # 16 x 16 pixels in 8 x 8 windows, 96 in 48, columns one by one
    windows = ((2, 2, 2), (2,), (1,))
    expected = Occlusion(plain).attribute(plain.inputs, windows, windows, plain.baselines, additional_forward_args=(plain.rows,))
    shared = []
    for number, name in enumerate(NAMES):
        value, base = plain.inputs[number], plain.baselines[number]
        group = windows_of(value, plain.batch.masks[name], plain.kinds[name], {"image": 8, "spectrum": 48}).expand(value.shape)
        changed = (value != base).float()
        count = torch.zeros(len(value), int(group.max()) + 1).scatter_add_(1, group.flatten(1), changed.flatten(1))
        shared.append(expected[number] * changed / count.gather(1, group.flatten(1)).clamp(min=1).view(value.shape))
    same(found, plain, shared, atol=2e-6)


@pytest.mark.parametrize("whole", [False, True])
def test_feature_ablation(some, whole):
    plain = Plain(cases.trained("late_fusion"), some)
    found = explain.attribute(plain.run, some, "feature_ablation", modalities=NAMES, windows="modality" if whole else None)
    groups, first = [], 0
    for name, value in zip(NAMES, plain.inputs, strict=True):
        groups.append(channels_of(value, plain.kinds[name], whole) + first)
        first = int(groups[-1].max()) + 1
    assert first == (3 if whole else 2 + 1 + 2)  # bands, flux, columns
    losses = FeatureAblation(plain).attribute(plain.inputs, plain.baselines, additional_forward_args=(plain.rows,), feature_mask=tuple(groups))
    for number, name in enumerate(NAMES):
        expected = 0
        for one in range(int(groups[number].min()), int(groups[number].max()) + 1):
            where = groups[number].expand(losses[number].shape) == one
            changed = (where & (plain.inputs[number] != plain.baselines[number])).flatten(1).any(1)
            expected = expected + torch.where(changed, losses[number][where].view(len(where), -1)[:, 0], 0.0)
        np.testing.assert_allclose(found.total(name), expected, atol=1e-5)


def test_light_curves_are_ablated_by_band(some):
    found = explain.attribute(cases.linear(), some, "feature_ablation", target="star", score="logit", modalities=["light_curve"])
    exact = explain.attribute(cases.linear(), some, target="star", score="logit", steps=2, modalities=["light_curve"])
    band = cases.linear().batch(some).values["light_curve"][..., 4:].argmax(-1).numpy()
    for one in range(band.max() + 1):
        np.testing.assert_allclose((found.per_place("light_curve") * (band == one)).sum(1), (exact.per_place("light_curve") * (band == one)).sum(1), atol=1e-4)


@pytest.mark.parametrize("method", ["kernel_shap", "lime"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_fitted_sums_are_captums(some, method, recipe):
    one, draws = some.take([1]), 50
    plain = Plain(cases.trained(recipe), one)
    found = explain.attribute(plain.run, one, method, modalities=NAMES, repeats=1, seed=3, draws=draws)
    groups, first = [], 0
    for name, value, base in zip(NAMES, plain.inputs, plain.baselines, strict=True):
        window = windows_of(value, plain.batch.masks[name], plain.kinds[name], methods_sampling.WINDOWS)
        ids = torch.unique(window.expand(value.shape)[value != base])
        groups.append(torch.searchsorted(ids, window).clamp(max=len(ids) - 1) + first)
        first += len(ids)
    given = {"additional_forward_args": (plain.rows,), "feature_mask": tuple(groups), "n_samples": draws, "return_input_shape": False}
    if method == "kernel_shap":
        torch.manual_seed(3)
        expected = KernelShap(plain).attribute(plain.inputs, plain.baselines, **given)
    else:
        shown = methods_sampling.lime_coalitions(first, draws, 3)
        scores = plain(*(torch.where(shown[:, g[0]], v, b) for v, b, g in zip(plain.inputs, plain.baselines, groups, strict=True)), torch.zeros(draws, dtype=torch.long)).detach()
        torch.manual_seed(3)
        expected = Lime(plain, SkLearnLasso(alpha=0.01 * float(scores.std())), methods_sampling.lime_similarity).attribute(plain.inputs, plain.baselines, **given)
    own = [found.values[name][0][(group[0] == k).numpy()].sum() for name, group in zip(NAMES, groups, strict=True) for k in range(int(group.min()), int(group.max()) + 1)]
    np.testing.assert_allclose(own, expected[0], atol=2e-5)
    assert np.abs(own).max() > 1e-3


def test_kernel_shap_of_a_linear_model_is_exact_and_repeats_tell_the_error(some):
    run = cases.linear()
    found = explain.attribute(run, some, "kernel_shap", target="star", score="logit", repeats=2)
    exact = explain.attribute(run, some, target="star", score="logit", steps=2)
    for name in cases.MODALITIES:
        np.testing.assert_allclose(found.total(name), exact.total(name), atol=1e-2)
        assert found.standard_error[name].shape == found.per_place(name).shape
        assert np.nanmax(found.standard_error[name]) < 1e-2
    assert np.abs(found.convergence_delta).max() < 1e-3
    curved = explain.attribute(cases.trained("late_fusion"), some, "kernel_shap", repeats=3, draws=60, modalities=["spectrum"])
    assert curved.standard_error["spectrum"].max() > 0


# ---- Grad-CAM ------------------------------------------------------------------------------------------------------


def test_grad_cam_is_captums_on_the_last_features(some):
    run = cases.trained("late_fusion")
    found = explain.attribute(run, some, "grad_cam", modalities=["image", "spectrum"])
    for name, size, mode in (("image", (16, 16), "bilinear"), ("spectrum", (96,), "linear")):
        plain = Plain(run, some, (name,))
        layer = spatial_layer(run.model, name, name, plain.batch)
        assert layer is run.model.encoders[name].trunk
        given = plain.inputs[0].clone().requires_grad_()
        raw = LayerGradCam(plain, layer).attribute((given,), additional_forward_args=(plain.rows,), relu_attributions=True)
        expected = LayerAttribution.interpolate(raw, size, mode)[:, 0].detach().numpy()
        np.testing.assert_allclose(found.per_place(name), expected * found.place_mask(name), rtol=1e-4, atol=1e-7)
        assert found.values[name].any() and (found.values[name] >= 0).all()


def test_grad_cam_says_what_it_leaves_out(some):
    found = explain.attribute(cases.trained("late_fusion"), some, "grad_cam")
    assert found.modalities == ("image", "spectrum")
    assert len(found.notes) == 3 and "left out" in found.notes[0]
    with pytest.raises(InputError, match=r"TableEncoder.*modalities=\['image'\]"):
        explain.attribute(cases.trained("late_fusion"), some, "grad_cam", modalities=["table", "image"])
    with pytest.raises(InputError, match="integrated_gradients"):
        explain.attribute(cases.trained("joint_attention", "label", ("table",)), some, "grad_cam")


# ---- the table of methods ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_to_its_promises(some, method):
    run = cases.trained("late_fusion")
    found = explain.attribute(run, some, method, draws=40 if METHODS[method].draws else 0, repeats=2)
    assert (found.convergence_delta is not None) == METHODS[method].complete
    assert (found.standard_error is not None) == METHODS[method].draws
    signs = [found.values[name].min() < 0 for name in found.modalities]
    assert any(signs) == METHODS[method].signed
    for name, values in found.values.items():
        mask = found.masks[name].reshape(*found.masks[name].shape, *[1] * (values.ndim - found.masks[name].ndim))
        assert np.isfinite(values).all() and not (values * ~mask).any()
        along = place_axes(found.kinds[name], values.ndim)
        assert found.per_place(name).shape == (len(some), *(values.shape[a] for a in along))
    again = explain.attribute(run, some, method, draws=40 if METHODS[method].draws else 0, repeats=2)
    np.testing.assert_array_equal(found.values[found.modalities[0]], again.values[found.modalities[0]])


def test_names_and_numbers_that_cannot_be(some):
    run = cases.trained()
    with pytest.raises(UnknownNameError, match="kernel_shap"):
        explain.attribute(run, some, "kernelshap")
    for wrong in ({"steps": "many"}, {"rows": 0}, {"draws": -1}, {"repeats": 0}, {"tolerance": 0}, {"windows": {"image": 0}}, {"windows": "band"}, {"windows": "modality"}):
        with pytest.raises(InputError):
            explain.attribute(run, some, **wrong)
