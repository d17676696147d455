"""Objectives: each against torch's own loss, SciPy, scikit-learn, or its definition written out as a loop."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import integrate, stats
from sklearn import metrics
from torch import nn

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.heads import About
from astrofuse_lab.models.parts import ENCODERS, HEADS
from astrofuse_lab.models.table_encoders import BayesianLinear
from astrofuse_lab.models.tokens import Fused, InputLayout, Prediction, Tokens
from astrofuse_lab.training.learning import Supervised
from astrofuse_lab.training.objectives import AUTO, OBJECTIVES, make_objective

N = 12
RNG = np.random.default_rng(0)
CODES = np.arange(N) % 3
LOGITS = torch.tensor(RNG.normal(size=(N, 3)), dtype=torch.float32)
CLASSES = torch.from_numpy(CODES)
NUMBERS = torch.tensor(RNG.normal(size=N), dtype=torch.float32)
TASK_OF = {name: kind.tasks[0] for name, kind in OBJECTIVES.items()}


def said(values, **extra):
    torch.manual_seed(0)
    vector = torch.randn(len(values), 8)
    return Prediction(values, Fused(vector, {"table": Tokens(vector[:, None], torch.ones(len(values), 1, dtype=torch.bool), {})}), extra=extra)


def objective(name, task="classification", codes=CODES, outputs=3, head="auto", **options):
    return make_objective(af.Part(name, options), task, codes, outputs, head=head)


def losses(name, prediction, target, **more):
    return objective(name, **more).of(prediction, target).double().numpy()


# ---- classes and labels ---------------------------------------------------------------------------------------------


def test_cross_entropy_and_focal():
    p = LOGITS.double().softmax(1).numpy()
    assert losses("cross_entropy", said(LOGITS), CLASSES).mean() == pytest.approx(metrics.log_loss(CODES, p), rel=1e-5)
    true = p[np.arange(N), CODES]
    assert np.allclose(losses("focal", said(LOGITS), CLASSES, gamma=1.5), -((1 - true) ** 1.5) * np.log(true), atol=1e-5)
    smooth = nn.CrossEntropyLoss(reduction="none", label_smoothing=0.2)(LOGITS, CLASSES)
    assert np.allclose(losses("cross_entropy", said(LOGITS), CLASSES, smoothing=0.2), smooth.numpy(), atol=1e-6)


def test_costs_are_expected_under_the_probabilities():
    costs = [[0, 1, 9], [2, 0, 3], [1, 1, 0]]
    p = LOGITS.softmax(1).double().numpy()
    expected = [-math.log(p[i, c]) + 0.5 * sum(costs[c][j] * p[i, j] for j in range(3)) for i, c in enumerate(CODES)]
    assert np.allclose(losses("cost_sensitive", said(LOGITS), CLASSES, costs=costs, weight=0.5), expected, atol=1e-5)
    for wrong, words in (([[0, 1]], "needs 3 rows of 3"), ([[0, 1, -1], [1, 0, 1], [1, 1, 0]], "numbers of 0 or more"), ("high", "needs 3 rows")):
        with pytest.raises(InputError, match=words):
            objective("cost_sensitive", costs=wrong)
    with pytest.raises(InputError, match=r"needs costs=\[\["):
        objective("cost_sensitive")


def test_costs_that_are_not_symmetric_move_the_answers():
    """Logits without inputs: two classes equally frequent, one mistake nine times as dear."""
    logits, target = nn.Parameter(torch.zeros(1, 2)), torch.tensor([0, 1])
    made = objective("cost_sensitive", codes=target.numpy(), outputs=2, costs=[[0, 9], [1, 0]])
    optimiser = torch.optim.LBFGS([logits], max_iter=100)

    def step():
        optimiser.zero_grad()
        loss = made.of(said(logits.expand(2, 2)), target).mean()
        loss.backward()
        return loss

    optimiser.step(step)
    assert logits.softmax(1)[0, 0] > 0.7


def test_labels_by_themselves_and_unknown_ones_do_not_count():
    truth = torch.tensor(RNG.integers(0, 2, (N, 3)), dtype=torch.float32)
    truth[0, 1] = truth[3, 0] = truth[3, 2] = torch.nan
    plain = nn.BCEWithLogitsLoss(reduction="none")(LOGITS, torch.nan_to_num(truth)).numpy()
    expected = np.nanmean(np.where(np.isfinite(truth.numpy()), plain, np.nan), axis=1)
    codes = truth.numpy()
    found = losses("binary", said(LOGITS), truth, task="multi_label", codes=codes, class_weights="none")
    assert np.allclose(found, expected, atol=1e-6)
    changed = LOGITS.clone()
    changed[0, 1] = 1e6
    assert np.array_equal(losses("binary", said(changed), truth, task="multi_label", codes=codes, class_weights="none"), found)
    focal = losses("focal", said(LOGITS), truth, task="multi_label", codes=codes, class_weights="none", gamma=2.0)
    p = np.exp(-plain)
    assert np.allclose(focal, np.nanmean(np.where(np.isfinite(codes), (1 - p) ** 2 * plain, np.nan), axis=1), atol=1e-6)


def test_no_gradient_comes_from_what_is_unknown():
    logits = LOGITS.clone().requires_grad_()
    truth = torch.full((N, 3), torch.nan)
    truth[:, 0] = 1.0
    objective("binary", "multi_label", np.ones((N, 3)), class_weights="none").of(said(logits), truth).sum().backward()
    assert logits.grad.isfinite().all() and (logits.grad[:, 1:] == 0).all() and (logits.grad[:, 0] != 0).all()


def test_balanced_labels_weigh_yes_and_no_alike():
    codes = np.array([[1, 1], [0, 1], [0, 1], [0, np.nan], [0, 0]])
    made = objective("binary", "multi_label", codes, 2)
    weights, known = made.label_weights.numpy(), np.isfinite(codes)
    for label in range(2):
        yes, no = ((codes[:, label] == v) & known[:, label] for v in (1, 0))
        assert yes.sum() * weights[label, 1] == pytest.approx(no.sum() * weights[label, 0])
    given = objective("binary", "multi_label", codes, 2, class_weights=[3.0, 1.0])
    assert given.label_weights.tolist() == [[1, 3], [1, 1]]


def test_given_weights_of_classes():
    assert objective("cross_entropy", class_weights=[1.0, 2.0, 5.0]).weights(CLASSES).tolist() == [1, 2, 5] * 4
    for wrong in ([1.0], [1.0, 0.0, 1.0], "even"):
        with pytest.raises(InputError, match="class_weights="):
            objective("cross_entropy", class_weights=wrong)


def test_ordered_classes_by_likelihood_and_by_steps():
    torch.manual_seed(0)
    head = HEADS["ordinal"](8, 4, About()).eval()
    codes = np.arange(N) % 4
    with torch.no_grad():
        one = head(said(LOGITS).fused)
    likelihood = losses("ordinal", one, torch.from_numpy(codes), head="ordinal", outputs=4)
    assert np.allclose(likelihood, -one.values.double().numpy()[np.arange(N), codes], atol=1e-6)
    # the loss of CORAL as Cao et al. write it: -sum_k log s(g_k) y_k + log(1 - s(g_k)) (1 - y_k)
    above = one.extra["cumulative"].double().sigmoid().numpy()
    coral = [-sum(math.log(above[i, k]) if c > k else math.log(1 - above[i, k]) for k in range(3)) for i, c in enumerate(codes)]
    assert np.allclose(losses("ordinal", one, torch.from_numpy(codes), head="ordinal", outputs=4, form="coral"), coral, atol=1e-5)
    with pytest.raises(UnknownNameError, match="likelihood"):
        objective("ordinal", head="ordinal", form="likely")


def test_a_tree_is_walked_from_the_top():
    classes, tree = ("a", "b", "c"), {"a": "x", "b": "x"}
    head = HEADS["hierarchical"](8, 3, About(classes), tree=[f"{k}<{v}" for k, v in tree.items()]).eval()
    with torch.no_grad():
        one = head(said(LOGITS).fused)
    p = one.values.exp().double().numpy()
    for alpha in (0.0, 0.5, 2.0):
        expected = []
        for i, c in enumerate(CODES):
            x = p[i, 0] + p[i, 1]
            steps = [x, p[i, c] / x] if classes[c] in tree else [p[i, c]]
            expected.append(-sum(math.exp(-alpha * d) * math.log(step) for d, step in enumerate(steps)))
        assert np.allclose(losses("hierarchical", one, CLASSES, head="hierarchical", alpha=alpha), expected, atol=1e-5)


def test_evidence_by_its_formulae():
    alpha = 1 + F.softplus(3 * LOGITS)
    made = objective("evidential", head="evidential", anneal=4.0)
    one = said(alpha.log(), alpha=alpha)
    dirichlet = torch.distributions.Dirichlet(alpha.double())
    truth = F.one_hot(CLASSES, 3).double()
    # E |y - p|^2 = |y - E p|^2 + Var p (Sensoy et al., equation 5)
    error = (truth - dirichlet.mean).square().sum(1) + dirichlet.variance.sum(1)
    wrong = torch.distributions.Dirichlet(truth + (1 - truth) * alpha.double())
    penalty = torch.distributions.kl_divergence(wrong, torch.distributions.Dirichlet(torch.ones(N, 3, dtype=torch.float64)))
    for epoch, share in ((0.0, 0.0), (1.0, 0.25), (8.0, 1.0), (math.inf, 1.0)):
        assert torch.allclose(made.of(one, CLASSES, epoch).double(), error + share * penalty, atol=1e-5), epoch
    # of a decision, the combined evidence
    assert torch.allclose(made.of(said(alpha.log(), evidence=alpha - 1), CLASSES), made.of(one, CLASSES))


def test_vectors_of_a_class_are_drawn_together():
    one = said(LOGITS)
    z = F.normalize(one.fused.vector, dim=1).double().numpy()
    expected = []
    for i in range(N):
        others = [a for a in range(N) if a != i]
        same = [p for p in others if CODES[p] == CODES[i]]
        total = sum(math.exp(z[i] @ z[a] / 0.2) for a in others)
        expected.append(-sum(math.log(math.exp(z[i] @ z[p] / 0.2) / total) for p in same) / len(same))
    plain = losses("cross_entropy", one, CLASSES)
    assert np.allclose(losses("supervised_contrastive", one, CLASSES, weight=0.3, temperature=0.2), plain + 0.3 * np.array(expected), atol=1e-5)
    alone = said(LOGITS[:1])
    assert losses("supervised_contrastive", alone, CLASSES[:1])[0] == pytest.approx(losses("cross_entropy", alone, CLASSES[:1])[0])
    gradient = torch.autograd.grad(objective("supervised_contrastive").of(_leaf(one), CLASSES).sum(), LEAF)[0]
    assert gradient.isfinite().all()


LEAF = torch.randn(N, 8, requires_grad=True)


def _leaf(prediction):
    return Prediction(prediction.values, prediction.fused._replace(vector=LEAF))


# ---- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "reference"),
    [
        ("huber", {"delta": 0.7}, nn.HuberLoss(reduction="none", delta=0.7)),
        ("squared_error", {}, nn.MSELoss(reduction="none")),
        ("absolute_error", {}, nn.L1Loss(reduction="none")),
        ("log_cosh", {}, lambda x, y: torch.log(torch.cosh(x.double() - y.double()))),
    ],
)
def test_errors_of_numbers(name, options, reference):
    one = losses(name, said(LOGITS[:, :1]), NUMBERS, task="regression", outputs=1, **options)
    assert np.allclose(one, reference(LOGITS[:, 0], NUMBERS).numpy(), atol=1e-6)
    truth = torch.stack([NUMBERS, 2 * NUMBERS, NUMBERS + 1], 1)
    truth[0, 2] = torch.nan
    several = losses(name, said(LOGITS), truth, task="multi_regression", **options)
    each = np.where(truth.isfinite(), reference(LOGITS, torch.nan_to_num(truth)), np.nan)
    assert np.allclose(several, np.nanmean(each, axis=1), atol=1e-6)


def test_log_cosh_stays_finite():
    far = objective("log_cosh", "regression", NUMBERS.numpy(), 1).of(said(torch.tensor([[1e4]])), torch.zeros(1))
    assert far.item() == pytest.approx(1e4 - math.log(2))


def mixture(components=3):
    parts = RNG.dirichlet(np.ones(components), N), RNG.normal(size=(N, components)), RNG.uniform(0.2, 1.5, (N, components))
    weights, means, scales = (torch.tensor(part, dtype=torch.float32) for part in parts)
    return parts, said((weights * means).sum(1, keepdim=True), weights=weights, means=means, scales=scales)


def test_a_mixtures_density():
    (weights, means, scales), one = mixture()
    y = NUMBERS.double().numpy()[:, None]
    expected = -np.log((weights * stats.norm(means, scales).pdf(y)).sum(1))
    assert np.allclose(losses("mixture_density", one, NUMBERS, task="regression", outputs=1, head="mixture_density"), expected, atol=1e-5)


def test_the_crps_is_the_integral_of_its_definition():
    (weights, means, scales), one = mixture()
    found = losses("crps", one, NUMBERS, task="regression", outputs=1, head="mixture_density")
    for i in range(4):
        def cdf(x, i=i):
            return (weights[i] * stats.norm(means[i], scales[i]).cdf(x)).sum()

        y = float(NUMBERS[i])
        expected = integrate.quad(lambda x: cdf(x) ** 2, -12, y)[0] + integrate.quad(lambda x: (1 - cdf(x)) ** 2, y, 12)[0]
        assert found[i] == pytest.approx(expected, abs=1e-4)
    # of one Gaussian, the closed form of Gneiting & Raftery 2007
    (_, mean, scale), single = mixture(1)
    z = (NUMBERS.double().numpy() - mean[:, 0]) / scale[:, 0]
    closed = scale[:, 0] * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi))
    assert np.allclose(losses("crps", single, NUMBERS, task="regression", outputs=1, head="mixture_density"), closed, atol=1e-5)


def quantiles(levels, places):
    given = torch.tensor(levels, dtype=torch.float32).expand(len(places), -1)
    return said(torch.zeros(len(places), 1), levels=given, quantiles=torch.tensor(places, dtype=torch.float32))


def test_the_pinball_loss_of_scikit_learn():
    levels = [0.1, 0.5, 0.8]
    places = np.sort(RNG.normal(size=(N, 3)), axis=1)
    found = losses("quantile", quantiles(levels, places), NUMBERS, task="regression", outputs=1, head="quantiles")
    expected = np.mean([metrics.mean_pinball_loss(NUMBERS, places[:, k].astype(np.float32), alpha=level) for k, level in enumerate(levels)])
    assert found.mean() == pytest.approx(expected, rel=1e-5)


def test_the_crps_of_many_quantiles_is_that_of_their_distribution():
    levels = (np.arange(400) + 0.5) / 400
    places = np.tile(stats.norm(0.3, 0.8).ppf(levels), (N, 1))
    found = losses("crps", quantiles(levels, places), NUMBERS, task="regression", outputs=1, head="quantiles")
    z = (NUMBERS.double().numpy() - 0.3) / 0.8
    assert np.allclose(found, 0.8 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi)), atol=2e-3)


def test_one_class_asks_for_a_low_score_and_for_room():
    place = torch.tensor(RNG.normal(0, [0.2, 3.0], (N, 2)), dtype=torch.float32)
    one = said(torch.zeros(N, 0), score=place.square().sum(1), place=place)
    expected = place.square().sum(1).numpy() + 0.5 * (1 - place.double().numpy()[:, 0].std(ddof=1))
    more = {"task": "self_supervised", "outputs": 0, "head": "anomaly_score"}
    assert np.allclose(losses("one_class", one, torch.zeros(N), spread=0.5, **more), expected, atol=1e-4)
    assert np.allclose(losses("one_class", one, torch.zeros(N), spread=0.0, **more), one.extra["score"].numpy())


# ---- the table ------------------------------------------------------------------------------------------------------


def test_auto_gives_every_head_with_a_task_of_its_own_an_objective():
    for head, kind in HEADS.items():
        if head in ("projection", "reconstruction"):  # trained by self-supervised objectives
            with pytest.raises(InputError, match="no objective goes with"):
                make_objective(af.Part("auto"), "self_supervised", np.zeros(N), 0, head=head)
            continue
        for task in kind.tasks:
            codes = CODES if task == "classification" else np.ones((N, 2))
            assert make_objective(af.Part("auto"), task, codes, 3, head=head).name == AUTO[head]


@pytest.mark.parametrize(("name", "head"), list(itertools.product(OBJECTIVES, HEADS)))
def test_objectives_take_their_own_heads_and_refuse_others(name, head):
    kind = OBJECTIVES[name]
    options = {"costs": [[0, 1, 1], [1, 0, 1], [1, 1, 0]]} if name == "cost_sensitive" else {}
    for task in HEADS[head].tasks:
        codes = CODES if task == "classification" else np.ones((N, 3))
        if task in kind.tasks and (not kind.heads or head in kind.heads):
            assert make_objective(af.Part(name, options), task, codes, 3, head=head).name == name
        else:
            with pytest.raises(InputError, match=f"objective '{name}' (is for|goes with)"):
                make_objective(af.Part(name, options), task, codes, 3, head=head)


def test_what_does_not_exist_is_said():
    with pytest.raises(UnknownNameError, match="cross_entropy"):
        objective("cross_entrpy")
    with pytest.raises(InputError, match="'focal' has no option 'gama'; it has gamma, class_weights"):
        objective("focal", gama=1.0)
    with pytest.raises(InputError, match="is for classes and labels"):
        objective("huber", "regression", NUMBERS.numpy(), 1, class_weights="none")


# ---- what stands beside the objective -------------------------------------------------------------------------------


class Bayesian(nn.Module):
    """A model with a divergence and a penalty of its own."""

    def __init__(self, head="classification", outputs=3):
        super().__init__()
        self.head = HEADS[head](8, outputs)

    def forward(self, values, masks, present):
        return self.head(said(LOGITS).fused)

    def kl(self):
        return self.head.layers[0].weight.square().sum()

    def extra_loss(self):
        return 2 * self.head.layers[0].bias.square().sum()


def test_divergences_count_by_the_sample_and_penalties_once_in_training():
    made = objective("cross_entropy")
    model = Bayesian()
    learning = Supervised(model.eval(), made)
    learning.training = True
    loss = learning({}, {}, {}, CLASSES).loss
    plain = made.of(model({}, {}, {}), CLASSES)
    assert torch.allclose(loss - plain, (model.kl() / N + model.extra_loss()).expand(N), atol=1e-6)
    learning.training = False
    assert torch.allclose(learning({}, {}, {}, CLASSES).loss, plain)
    # an encoder speaks for its layers: nothing is counted twice
    encoder = ENCODERS["bayesian_mlp"](InputLayout("table", ("a", "b"), (2,)), 8, divergence=1.0)
    whole = Supervised(nn.Sequential(nn.ModuleDict({"table": encoder}), nn.Linear(2, 2)), made).divergence()
    assert torch.allclose(whole, sum(one.kl() for one in encoder.modules() if isinstance(one, BayesianLinear)) / N)


def test_annealing_follows_the_samples_shown_and_is_kept_in_checkpoints():
    learning = Supervised(Bayesian("evidential").eval(), objective("evidential", head="evidential", anneal=2.0))
    learning.training = True
    first = learning({}, {}, {}, CLASSES).loss
    for _ in range(3):
        last = learning({}, {}, {}, CLASSES).loss
    assert float(learning.state_dict()["shown"]) == 4 * N
    assert (last > first).all()
    assert "shown" not in Supervised(Bayesian(), objective("cross_entropy")).state_dict()
    assert not Supervised(Bayesian(), objective("supervised_contrastive")).divisible and Supervised(Bayesian(), objective("focal")).divisible


def test_streams_of_a_decision_learn_where_they_are():
    there = torch.arange(N) % 2 == 0
    streams = {}
    for name, mask in (("image", there), ("table", torch.ones(N, dtype=torch.bool))):
        fused = Fused(torch.zeros(N, 8), {name: Tokens(torch.zeros(N, 1, 8), mask[:, None], {})})
        streams[name] = Prediction(LOGITS if name == "image" else LOGITS.flip(1), fused)
    combined = Prediction(LOGITS * 0.5, fused, {name: one.values for name, one in streams.items()}, each=streams)
    made = objective("cross_entropy")
    expected = [F.cross_entropy(v, CLASSES, reduction="none") for v in (LOGITS * 0.5, LOGITS, LOGITS.flip(1))]
    assert torch.allclose(made.of(combined, CLASSES), expected[0])
    assert torch.allclose(made.per_sample(combined, CLASSES), expected[0] + expected[1] * there + expected[2], atol=1e-6)
