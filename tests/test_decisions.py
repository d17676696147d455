"""Decision-level fusion: the rules beside literal loops and published examples, what is learned after the networks, hybrids, any subset of streams."""

import itertools
import json

import numpy as np
import pytest
import torch
from conftest import make_toy_samples
from model_cases import LAYOUTS, OUTPUTS, WHOLE, made, part_of, recipe_of, run
from safetensors.torch import load_file, save_file

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, RunError, UnknownNameError
from astrofuse_lab.models.build import build
from astrofuse_lab.models.decision import streams_of
from astrofuse_lab.models.decision_evidence import dempster
from astrofuse_lab.models.decision_stacking import MOST_ROWS
from astrofuse_lab.models.decision_weights import score_features
from astrofuse_lab.models.parts import DECISIONS, make_part
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.training.stacking import fold_of

STACKINGS = [name for name, part in DECISIONS.items() if hasattr(part, "grows")]
NAMES = ("a", "b", "c")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def decision(name, task="classification", outputs=3, modalities=NAMES, **options):
    return make_part("decision", Part(name, options), task, modalities, outputs).eval()


def scores(count=200, outputs=3, seed=0, strength=(2.0, 1.0, 0.3)):
    """Outputs of three streams that know less and less, which are there, and the classes."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randint(outputs, (count,), generator=rng)
    values = torch.randn(count, 3, outputs, generator=rng) + torch.tensor(strength)[:, None] * torch.nn.functional.one_hot(truth, outputs)[:, None]
    return values, torch.rand(count, 3, generator=rng) < 0.8, truth


# ---- fixed rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["average", "product", "voting"])
def test_rules_of_kittler_beside_loops(name):
    """Kittler et al. 1998, equations 11 (sum), 8 (product) and 20 (majority vote), for even priors."""
    values, there, _ = scores()
    there[:, 0] |= ~there.any(1)
    told = decision(name).combine(values, there).exp().double().numpy()
    for row, present, said in zip(values.double().softmax(-1).numpy(), there.numpy(), told, strict=True):
        shares = row[present]
        if name == "average":
            expected = shares.mean(0)
        elif name == "product":
            expected = shares.prod(0) / shares.prod(0).sum()
        else:
            votes = np.bincount(shares.argmax(1), minlength=3)
            expected = votes / len(shares)
            tied = np.flatnonzero(votes == votes.max())
            assert said.argmax() == tied[shares.mean(0)[tied].argmax()]
        assert np.allclose(said, expected, atol=1e-3 if name == "voting" else 1e-5)


def test_the_majority_outvotes_one_that_is_surer_and_a_tie_goes_to_the_surer():
    values = torch.tensor([[[9.0, 0, 0], [0, 1.0, 0], [0, 1.0, 0]], [[9.0, 0, 0], [0, 1.0, 0], [0, 0, 0]]])
    there = torch.tensor([[True, True, True], [True, True, False]])
    assert decision("voting").combine(values, there).argmax(1).tolist() == [1, 0]
    assert decision("average").combine(values, there).argmax(1).tolist() == [0, 0]


@pytest.mark.parametrize(("name", "rule"), [("average", np.mean), ("product", np.mean), ("voting", np.median), ("weighted_average", np.mean)])
def test_numbers_are_averaged_or_voted_by_their_median(name, rule):
    values, there, _ = scores(outputs=2)
    there[:, 1] |= ~there.any(1)
    told = decision(name, "multi_regression", 2).combine(values, there)
    expected = np.stack([rule(row[present], axis=0) for row, present in zip(values.numpy(), there.numpy(), strict=True)])
    assert np.allclose(told.detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, part in DECISIONS.items() if "multi_label" in part.tasks and name != "score_concatenation"])
def test_labels_are_decided_one_by_one(name):
    """Each label is a question of its own: changing the others' scores changes nothing."""
    torch.manual_seed(0)
    one = decision(name, "multi_label", 2)
    values, there, _ = scores(outputs=2)
    there[:, 1] |= ~there.any(1)
    other = values.clone()
    other[..., 1] = -other[..., 1]
    before, after = (one.combine(given, there) for given in (values, other))
    assert torch.allclose(before[:, 0], after[:, 0], atol=1e-6)
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-2)
    # a learner's two sides need not be mirror images
    assert name in (*STACKINGS,) or torch.allclose(before[:, 1].sigmoid(), 1 - after[:, 1].sigmoid(), atol=1e-5), "yes and no are treated alike"


# ---- weights --------------------------------------------------------------------------------------------------------


def test_weights_of_those_present_sum_to_one_and_missing_ones_have_none():
    values, there, _ = scores()
    one = decision("weighted_average")
    one.level.data = torch.tensor([2.0, 0.0, -1.0])
    weights = one.said(values, there)["stream_weights"]
    plain = np.exp([2.0, 0.0, -1.0])
    expected = there.numpy() * plain / np.maximum((there.numpy() * plain).sum(1, keepdims=True), 1e-9)
    assert np.allclose(weights.detach().numpy(), expected, atol=1e-6)
    shares = np.einsum("ns,nsk->nk", expected, values.double().softmax(-1).numpy())
    some = there.any(1).numpy()
    assert np.allclose(one.combine(values, there).exp().detach().numpy()[some], shares[some], atol=1e-6)


def test_weights_by_skill_are_balanced_accuracy_above_chance_and_inverse_square_error():
    from sklearn.metrics import balanced_accuracy_score

    values, there, truth = scores(2000)
    one = decision("weighted_average", weights="skill")
    one.fit(values, there, truth[:, None].float())
    expected = np.array([balanced_accuracy_score(truth[there[:, i]], values[there[:, i], i].argmax(1)) - 1 / 3 for i in range(3)])
    assert np.allclose(one.level.exp().numpy(), expected, atol=1e-6)
    numbers = decision("weighted_average", "regression", 1, weights="skill")
    goal = torch.randn(2000, 1)
    said = goal[:, None] + torch.randn(2000, 3, 1) * torch.tensor([0.5, 1.0, 2.0])[:, None]
    numbers.fit(said, torch.ones(2000, 3, dtype=torch.bool), goal)
    assert np.allclose(numbers.level.exp().numpy(), 1 / ((said - goal[:, None]) ** 2).mean((0, 2)).numpy(), rtol=1e-5)
    # the weights that make the error of a mean of independent errors least
    assert np.allclose(numbers.level.softmax(0).numpy(), np.array([4, 1, 0.25]) / 5.25, atol=0.03)


def test_score_concatenation_learns_what_no_average_can():
    """Two streams say nothing alone: the class is whether they agree."""
    torch.manual_seed(0)
    truth = torch.randint(2, (200,))
    first = torch.randint(2, (200,))
    second = torch.where(truth == 1, first, 1 - first)
    values = torch.stack([3.0 * torch.nn.functional.one_hot(one, 2).float() for one in (first, second)], 1)
    there = torch.ones(200, 2, dtype=torch.bool)
    one = decision("score_concatenation", outputs=2, modalities=("a", "b")).train()
    optimiser = torch.optim.Adam(one.parameters(), 0.05)
    for _ in range(60):
        loss = torch.nn.functional.nll_loss(one.combine(values, there), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (one.eval().combine(values, there).argmax(1) == truth).float().mean() > 0.95
    assert (decision("average", outputs=2, modalities=("a", "b")).combine(values, there).argmax(1) == truth).float().mean() < 0.85  # right where they differ, by the tie


# ---- evidence -------------------------------------------------------------------------------------------------------


def _by_sets(masses, ignorance):
    """Dempster's rule on sets of classes, one source after another."""
    frame = frozenset(range(masses.shape[1]))
    sources = [{**{frozenset([k]): float(m) for k, m in enumerate(row)}, frame: float(u)} for row, u in zip(masses, ignorance, strict=True)]
    whole = {frame: 1.0}
    for source in sources:
        met = {}
        for (a, x), (b, y) in itertools.product(whole.items(), source.items()):
            met[a & b] = met.get(a & b, 0.0) + x * y
        conflict = met.pop(frozenset(), 0.0)
        whole = {key: value / (1 - conflict) for key, value in met.items()}
    return np.array([whole.get(frozenset([k]), 0.0) for k in range(masses.shape[1])]), whole.get(frame, 0.0)


def test_witnesses_of_shafer():
    """Shafer 1990, 'Perspectives on the theory and practice of belief functions', section 1.1: two witnesses, each reliable with 0.9."""
    agree = dempster(torch.tensor([[0.9, 0.0], [0.9, 0.0]]), torch.tensor([0.1, 0.1]))
    assert agree[0].tolist() == pytest.approx([0.99, 0.0]) and float(agree[1]) == pytest.approx(0.01) and float(agree[2]) == pytest.approx(0.0, abs=1e-6)
    against = dempster(torch.tensor([[0.9, 0.0], [0.0, 0.9]]), torch.tensor([0.1, 0.1]))
    assert against[0].tolist() == pytest.approx([9 / 19, 9 / 19]) and float(against[1]) == pytest.approx(1 / 19) and float(against[2]) == pytest.approx(0.81)


def test_paradox_of_zadeh():
    """Zadeh 1984: two doctors sure of different diseases make certain the one that both all but exclude."""
    masses, ignorance, conflict = dempster(torch.tensor([[0.99, 0.0, 0.01], [0.0, 0.99, 0.01]], dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    assert masses.tolist() == pytest.approx([0.0, 0.0, 1.0])
    assert float(ignorance) == 0.0 and float(conflict) == pytest.approx(0.9999)
    # evidence never excludes, so that the paradox cannot come up: there is always some ignorance
    told = decision("evidential", modalities=("a", "b")).said(torch.tensor([[[20.0, -20, 1], [-20, 20.0, 1]]]), torch.ones(1, 2, dtype=torch.bool))
    shares = decision("evidential", modalities=("a", "b")).combine(torch.tensor([[[20.0, -20, 1], [-20, 20.0, 1]]]), torch.ones(1, 2, dtype=torch.bool)).exp()
    assert float(told["ignorance"]) > 0.01 and shares[0].argmax() != 2


def test_sources_that_exclude_one_another_leave_ignorance():
    masses, ignorance, conflict = dempster(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.zeros(2))
    assert masses.tolist() == [0.0, 0.0] and float(ignorance) == 1.0 and float(conflict) == 1.0


def test_dempsters_rule_beside_the_rule_on_sets():
    rng = np.random.default_rng(0)
    for count, classes in ((2, 3), (4, 3), (5, 2)):
        drawn = rng.dirichlet(np.ones(classes + 1), size=count)
        masses, ignorance = drawn[:, :-1], drawn[:, -1]
        told = dempster(torch.from_numpy(masses), torch.from_numpy(ignorance))
        expected = _by_sets(masses, ignorance)
        assert np.allclose(told[0].numpy(), expected[0]) and float(told[1]) == pytest.approx(expected[1])
        turned = dempster(torch.from_numpy(masses[::-1].copy()), torch.from_numpy(ignorance[::-1].copy()))
        assert torch.allclose(told[0], turned[0]), "the order of sources does not matter"
        assert torch.allclose(told[0].sum() + told[1], torch.ones((), dtype=torch.float64))


def test_evidence_of_two_views_as_in_trusted_multi_view_classification():
    """Han et al. 2021, equations 2, 4 and 5, in numpy."""
    values, _, _ = scores(6)
    one = decision("evidential")
    there = torch.tensor([[True, True, False]]).expand(6, 3)
    told, shares = one.said(values, there), one.combine(values, there).exp()
    evidence = np.log1p(np.exp(values.double().numpy()))
    total = evidence.sum(-1, keepdims=True) + 3
    belief, doubt = evidence / total, 3 / total
    (b1, b2), (u1, u2) = (belief[:, 0], belief[:, 1]), (doubt[:, 0], doubt[:, 1])
    conflict = b1.sum(1) * b2.sum(1) - (b1 * b2).sum(1)
    scale = 1 / (1 - conflict[:, None])
    b, u = scale * (b1 * b2 + b1 * u2 + b2 * u1), scale * u1 * u2
    assert np.allclose(told["ignorance"].numpy(), u[:, 0], atol=1e-6)
    assert np.allclose(told["conflict"].numpy(), conflict, atol=1e-6)
    alpha = b * (3 / u) + 1
    assert np.allclose(told["evidence"].numpy() + 1, alpha, rtol=1e-4)
    assert np.allclose(shares.numpy(), alpha / alpha.sum(1, keepdims=True), atol=1e-6)
    assert (told["ignorance"] < told["ignorances"][:, :2].amin(1)).all(), "two know more than each"
    assert np.allclose(one.own(values).exp().numpy(), (evidence + 1) / total, atol=1e-6)


def test_evidence_of_an_evidential_head_is_taken_as_it_is():
    model = made(recipe_of(("mlp", "ngram_mlp"), "concatenation", "evidential").change(decision=Part.of("evidential", evidence="alpha")), "classification")
    prediction = run(model, part_of(WHOLE, model))
    alphas = [one.extra["alpha"].double() for one in prediction.each.values()]
    vacuity = torch.stack([one.extra["vacuity"] for one in prediction.each.values()], 1)
    there = prediction.extra["streams"]
    assert torch.allclose(prediction.extra["ignorances"], torch.where(there, vacuity, 1.0), atol=1e-5)
    for name, alpha in zip(prediction.each, alphas, strict=True):
        present = there[:, list(model.decision.streams).index(name)]
        assert torch.allclose(prediction.per_modality[name].exp().double()[present], (alpha / alpha.sum(1, keepdim=True))[present], atol=1e-5)


def test_evidence_says_nothing_of_numbers():
    with pytest.raises(InputError, match=r"Evidential combines classification or multi_label, not regression.*weighted_average"):
        build(recipe_of(("mlp",), "concatenation", decision="evidential"), {"table": LAYOUTS["table"]}, 1, "regression")


# ---- stacking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STACKINGS)
def test_a_stacking_learns_which_stream_to_trust(name):
    """One stream is right, one wrong in a way that can be learned, one noise: the average is worse."""
    values, there, truth = scores(450, strength=(1.5, 0.0, 0.0))
    values[:, 1] += 1.5 * torch.nn.functional.one_hot((truth + 1) % 3, 3)
    there[:] = True
    one, plain = decision(name), decision("average")
    one.fit(values[:250], there[:250], truth[:250, None].float())
    told = one.combine(values[250:], there[250:])
    assert torch.allclose(told.exp().sum(1), torch.ones(200), atol=1e-4)
    rates = [float((made.combine(values[250:], there[250:]).argmax(1) == truth[250:]).float().mean()) for made in (one, plain)]
    assert rates[0] > 0.75 > rates[1] + 0.1
    # any subset: without the first, the second is known to be one off
    only = there[250:].clone()
    only[:, 0] = False
    assert float((one.combine(values[250:], only).argmax(1) == truth[250:]).float().mean()) > 0.5


@pytest.mark.parametrize("name", STACKINGS)
@pytest.mark.parametrize(("task", "outputs"), [("regression", 1), ("multi_regression", 2), ("multi_label", 2)])
def test_stackings_of_numbers_and_labels(name, task, outputs):
    rng = torch.Generator().manual_seed(1)
    goal = torch.randn(400, outputs, generator=rng)
    truth = (goal > 0).float() if task == "multi_label" else goal.clone()
    values = torch.stack([2 * goal, 0.5 * torch.randn(400, outputs, generator=rng), -goal], 1) + 0.3 * torch.randn(400, 3, outputs, generator=rng)
    there = torch.ones(400, 3, dtype=torch.bool)
    truth[::9, 0] = torch.nan
    one = decision(name, task, outputs)
    one.fit(values[:300], there[:300], truth[:300])
    told, average = (made.combine(values[300:], there[300:]) for made in (one, decision("average", task, outputs)))
    assert told.shape == (100, outputs) and told.isfinite().all()
    if task == "multi_label":
        assert float(((told > 0) == (goal[300:] > 0)).float().mean()) > 0.85
    else:
        errors = [float((made - goal[300:]).square().mean()) for made in (told, average)]
        assert errors[0] < 0.5 * errors[1]


def test_stacking_with_logistic_regression_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    values, there, truth = scores()
    there[:, 0] = True
    one = decision("stacking_logistic", modality_dropout=0.0, balanced=False, strength=0.7)
    one.fit(values, there, truth[:, None].float())
    features = score_features(values, there, "classification").double().numpy()
    expected = LogisticRegression(C=0.7, max_iter=1000).fit(features, truth.numpy()).predict_proba(features)
    assert np.allclose(one.combine(values, there).exp().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", STACKINGS)
def test_a_stacking_comes_back_from_its_state_with_the_same_answers(name):
    values, there, truth = scores()
    one = decision(name)
    before = one.combine(values, there)
    assert torch.allclose(before, decision("average").combine(values, there)), "the average until it is fitted"
    one.fit(values[:100], there[:100], truth[:100, None].float())
    twin = decision(name)
    twin.load_state_dict(one.state_dict())
    assert torch.equal(one.combine(values, there), twin.combine(values, there))
    assert torch.equal(one.combine(values, there), one.combine(values, there))
    assert not torch.allclose(one.combine(values, there), before)
    assert torch.allclose(one.train().combine(values, there), before), "and the average again while its networks train"


def test_a_stacking_that_met_little_still_answers():
    values, there, truth = scores(40)
    for name in STACKINGS:
        one = decision(name)
        one.fit(values[:1], there[:1] | True, truth[:1, None].float())
        assert (one.combine(values, there | True).argmax(1) == truth[0]).all(), "one sample, one class"
        few = torch.cat([torch.where(truth == 0)[0][:6], torch.where(truth == 1)[0][:1]])
        one.fit(values[few], there[few] | True, truth[few, None].float())
        told = one.combine(values, there | True)
        assert told.isfinite().all() and (told.exp()[:, 2] < 0.01).all(), "a class it has not met"


def test_what_is_kept_of_a_stacking_is_bounded():
    values, there, truth = scores(MOST_ROWS + 500)
    one = decision("stacking_logistic")
    one.fit(values, there, truth[:, None].float())
    assert len(one.truth) == len(one.scores) == len(one.there) == MOST_ROWS


# ---- hybrids --------------------------------------------------------------------------------------------------------


def test_streams_are_modalities_groups_and_all_fused():
    names = ("image", "spectrum", "table")
    assert streams_of(names) == {name: (name,) for name in names}
    assert list(streams_of(names, with_fused=True)) == [*names, "image+spectrum+table"]
    assert streams_of(names, ["spectrum + image", "table"]) == {"image+spectrum": ("image", "spectrum"), "table": ("table",)}
    assert streams_of(("image",), ["image+spectrum", "table"], True) == {"image": ("image",)}, "with fewer modalities, fewer streams"
    with pytest.raises(InputError, match="'table' is in none of them"):
        streams_of(names, ["image+spectrum"])
    with pytest.raises(UnknownNameError, match="'radio'"):
        streams_of(names, ["radio"])


@pytest.mark.parametrize("name", ["average", "voting", "weighted_average", "score_concatenation", "evidential"])
def test_a_hybrid_combines_single_and_fused_streams(name):
    recipe = recipe_of(("mlp", "ngram_mlp", "conv1d"), "concatenation").change(decision=Part.of(name, with_fused=True))
    model = made(recipe, "classification")
    fused = "+".join(model.modalities)
    prediction = run(model, part_of(WHOLE, model))
    assert list(prediction.each) == [*model.modalities, fused]
    assert set(model.fusions) == set(model.heads) == set(prediction.each)
    assert set(prediction.fused.tokens) == set(model.modalities)
    if name == "average":
        shares = torch.stack([one.values.softmax(1) for one in prediction.each.values()], 1)
        there = prediction.extra["streams"]
        assert torch.equal(there[:, -1], there[:, :-1].any(1))
        some = there.any(1)
        expected = (shares * there[..., None]).sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        assert torch.allclose(prediction.values.exp()[some], expected[some], atol=1e-5)
    for gone in model.modalities:
        absent = run(model, part_of(WHOLE, model, leave_out=(gone,)))
        masked = part_of(WHOLE, model)
        masked.masks[gone][:] = False
        assert torch.allclose(absent.values, run(model, masked).values, atol=1e-5)
    assert run(model, part_of(WHOLE, model, leave_out=model.modalities[1:])).values.isfinite().all()


def test_mixtures_and_quantiles_of_streams_are_pooled():
    for head in ("mixture_density", "quantiles"):
        model = made(recipe_of(("mlp", "ngram_mlp"), "concatenation", head, "average"), "regression")
        prediction = run(model, part_of(WHOLE, model))
        there = prediction.extra["streams"]
        both = there.all(1)
        each = [one.extra for one in prediction.each.values()]
        if head == "quantiles":
            expected = (each[0]["quantiles"] + each[1]["quantiles"]) / 2
            assert torch.allclose(prediction.extra["quantiles"][both], expected[both], atol=1e-5)
            continue
        weights = prediction.extra["weights"]
        assert torch.allclose(weights.sum(1), torch.ones(len(weights)), atol=1e-5)
        mean = (weights * prediction.extra["means"]).sum(1, keepdim=True)
        assert torch.allclose(mean[there.any(1)], prediction.values[there.any(1)], atol=1e-5)


# ---- in a training --------------------------------------------------------------------------------------------------


def _trained(name, samples, target="label", epochs=3, out=None, **options):
    recipe = get_recipe("decision_average").change(width=16, decision=Part(name, options))
    split = samples.split(test=0.25, validation=0.25, seed=1)
    return af.train(recipe, samples, target, ["table", "text"], split, epochs=epochs, progress=False, device="cpu", out=out)


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(80, seed=3)


@pytest.mark.parametrize("name", [name for name in DECISIONS if name not in ("average", "product")])
def test_a_run_comes_back_from_its_folder_with_the_same_predictions(name, samples, tmp_path):
    options = {"with_fused": True} if name in ("voting", "stacking_forest") else {"weights": "skill"} if name == "weighted_average" else {}
    trained = _trained(name, samples, epochs=2, out=tmp_path / "run", **options)
    told = trained.predict(samples)
    again = af.Run.open(tmp_path / "run", "cpu").predict(samples)
    for column in told.colnames:
        assert np.ma.allequal(np.ma.asarray(told[column]), np.ma.asarray(again[column])), column


@pytest.mark.parametrize("name", ["stacking_boosting", "bagging", "voting", "score_concatenation"])
def test_regression_in_a_run(name, samples):
    trained = _trained(name, samples, "redshift", 12)
    error = np.asarray(trained.predict(samples)["prediction"]) - samples.column("redshift").data
    assert np.sqrt(np.mean(error**2)) < samples.column("redshift").data.std()


def test_what_learns_after_the_networks_sees_the_validation_part_only(samples):
    trained = _trained("stacking_forest", samples)
    kept = trained.model.decision
    validation = samples.positions(trained.split.validation)
    codes, _ = trained.problem.encode(samples)
    assert kept.truth[:, 0].tolist() == codes[validation].tolist()
    with torch.no_grad():
        batch = trained.batch(samples, validation)
        prediction = trained.model(batch.values, batch.masks, batch.present)
    there = prediction.extra["streams"]
    expected = torch.stack([prediction.each[name].values for name in kept.streams], 1)
    assert torch.allclose(kept.scores[there], expected[there], atol=1e-5)


def test_its_validation_metrics_are_by_folds():
    """Of labels drawn by lot a forest remembers what it was shown; the record must not believe it."""
    base = make_toy_samples(160, seed=3)
    lot = np.random.default_rng(0).permutation(base.column("label").data)
    import pyarrow as pa

    roles = {**{n: r for n, r in base.roles.items() if n != "object_id"}, "lot": "target"}
    samples = af.SampleSet(base._columns.append_column("lot", pa.array(lot.tolist())), base._data, roles, base.units, base.card)
    trained = _trained("stacking_forest", samples, "lot", 2, leaf=1, modality_dropout=0.0)
    validation = samples.select(trained.split.validation)
    told = np.asarray(trained.predict(validation)["prediction"])
    inside = (told == validation.column("lot").data).mean()
    recorded = {row["metric"]: row["value"] for row in trained.metrics if row["part"] == "validation"}
    assert inside > 0.9
    assert recorded["accuracy"] < 0.65
    assert trained.record["calibration"]["temperature"] > 1.2, "and calibration knows how little is known"


def test_folds_keep_groups_together_and_spread_classes():
    rng = np.random.default_rng(0)
    groups = rng.integers(40, size=200)
    strata = (groups % 4).astype(float)
    folds = fold_of(groups, strata)
    assert all(len(set(folds[groups == g])) == 1 for g in set(groups))
    assert np.bincount(folds).min() > 0 and len(set(folds)) == 5
    for fold in range(5):
        assert set(strata[folds == fold]) == {0.0, 1.0, 2.0, 3.0}
    assert set(fold_of(np.zeros(5), np.zeros(5))) == {0}


def test_explanations_by_gradients_are_refused_where_there_are_none(samples):
    trained = _trained("voting", samples, epochs=1)
    for method in ("integrated_gradients", "saliency"):
        with pytest.raises(InputError, match=f"method='{method}' follows gradients, and the decision 'voting'.*'occlusion'"):
            af.explain.attribute(trained, samples.take(np.arange(3)), method)
    found = af.explain.attribute(trained, samples.take(np.arange(3)), "occlusion")
    assert all(np.isfinite(one).all() for one in found.values.values())
    assert np.isfinite(af.explain.contributions(trained, samples.take(np.arange(4)), resamples=5).shapley).all()


@pytest.mark.parametrize("spoil", ["longer", "uneven", "other"])
def test_a_folder_whose_stored_scores_do_not_fit_is_refused(spoil, samples, tmp_path):
    folder = tmp_path / "run"
    _trained("stacking_logistic", samples, epochs=1, out=folder)
    weights = load_file(folder / "weights.safetensors")
    name = "decision.scores"
    if spoil == "longer":
        weights = {key: torch.zeros(MOST_ROWS + 1, *one.shape[1:], dtype=one.dtype) if key.startswith("decision.") else one for key, one in weights.items()}
    elif spoil == "uneven":
        weights[name] = weights[name][:-1].clone()
    else:
        weights[name] = torch.zeros(len(weights[name]), 7, 3)
    save_file(weights, folder / "weights.safetensors")
    _sign(folder)
    with pytest.raises(RunError, match=r"decision\.scores|rows"):
        af.Run.open(folder, "cpu")


def _sign(folder):
    """Write checksums that agree, as somebody would who wants a folder to be believed."""
    from astrofuse_lab.training.run_folder import _own_digest, digest

    data = json.loads((folder / "run.json").read_text())
    data.pop("sha256")
    content = (folder / "weights.safetensors").read_bytes()
    data["files"]["weights.safetensors"] = {"bytes": len(content), "sha256": digest(content)}
    (folder / "run.json").write_text(json.dumps({**data, "sha256": _own_digest(data)}))


def test_outputs_are_those_of_the_tasks():
    for name, part in DECISIONS.items():
        for task in part.tasks:
            if task != "self_supervised":
                model = made(recipe_of(("mlp", "ngram_mlp"), "concatenation", decision=name), task)
                prediction = run(model, part_of(WHOLE, model))
                assert prediction.values.shape == (len(WHOLE), OUTPUTS[task]) and prediction.values.isfinite().all(), (name, task)
