"""Axioms of Shapley values as properties of any game, exact and sampled; sampled contributions beside exact ones; ensembles."""

import itertools

import explain_cases as cases
import numpy as np
import pyarrow as pa
import pytest
from captum.attr import ShapleyValueSampling
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import balanced_accuracy_score

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.games import interaction_index, members, shapley_values
from astrofuse_lab.explain.games_sampled import Orders, square
from astrofuse_lab.training.ensembles import Ensemble

WORTHS = st.floats(-100, 100, width=32)
MODALITIES = cases.MODALITIES


def codes_of(inside):
    return inside @ (1 << np.arange(inside.shape[1]))


def exact(game):
    return shapley_values(game), interaction_index(game)


def sampled(game):
    players = game.shape[-1].bit_length() - 1
    orders = Orders.drawn(players, 8, seed=4)
    found = orders.estimate(game[..., codes_of(orders.coalitions)])
    return found.values, found.interactions


@st.composite
def games(draw):
    return draw(arrays(np.float64, 2 ** draw(st.integers(2, 5)), elements=WORTHS))


def swapped(codes, i, j):
    return np.where((codes >> i & 1) != (codes >> j & 1), codes ^ (1 << i | 1 << j), codes)


# ---- the axioms: what makes Shapley values the only ones -----------------------------------------------------------------


@pytest.mark.parametrize("solve", [exact, sampled])
@settings(max_examples=40, deadline=None)
@given(game=games())
def test_efficiency(solve, game):
    assert solve(game)[0].sum() == pytest.approx(game[-1] - game[0], abs=1e-9)


@pytest.mark.parametrize("solve", [exact, sampled])
@settings(max_examples=40, deadline=None)
@given(game=games(), data=st.data())
def test_a_player_that_adds_the_same_to_all_gets_that_and_interacts_with_nobody(solve, game, data):
    players = len(game).bit_length() - 1
    player, worth = data.draw(st.integers(0, players - 1)), data.draw(WORTHS)
    codes = np.arange(len(game))
    dummy = game[codes & ~(1 << player)] + worth * (codes >> player & 1)
    values, pairs = solve(dummy)
    assert values[player] == pytest.approx(worth, abs=1e-9)
    np.testing.assert_allclose(pairs[player], 0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(game=games(), data=st.data())
def test_symmetry(game, data):
    players = len(game).bit_length() - 1
    i, j = data.draw(st.permutations(range(players)))[:2]
    even = game + game[swapped(np.arange(len(game)), i, j)]
    values, pairs = exact(even)
    assert values[i] == pytest.approx(values[j], abs=1e-8)
    others = [k for k in range(players) if k not in (i, j)]
    np.testing.assert_allclose(pairs[i, others], pairs[j, others], atol=1e-8)


@pytest.mark.parametrize("solve", [exact, sampled])
@settings(max_examples=25, deadline=None)
@given(game=games(), seed=st.integers(0, 99), weight=WORTHS)
def test_additivity_and_the_interaction_index_is_symmetric(solve, game, seed, weight):
    other = np.random.default_rng(seed).normal(size=game.shape)
    for a, b, both in zip(solve(game), solve(other), solve(game + weight * other), strict=True):
        np.testing.assert_allclose(both, a + weight * b, atol=1e-7)
    pairs = solve(game)[1]
    np.testing.assert_array_equal(pairs, pairs.T)
    assert not np.diagonal(pairs).any()


# ---- sampled orders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("players", [2, 3, 4, 5, 6, 11, 12])
def test_the_square_is_balanced(players):
    orders = square(players)
    assert (np.sort(orders, 1) == np.arange(players)).all()
    for place in orders.T:
        assert len(set(np.bincount(place, minlength=players))) == 1
    assert {tuple(row) for row in orders} == {tuple(row[::-1]) for row in orders}  # each with its reverse
    beside = np.zeros((players, players), int)
    np.add.at(beside, (orders[:, :-1].ravel(), orders[:, 1:].ravel()), 1)
    together = (beside + beside.T)[~np.eye(players, dtype=bool)]
    assert len(set(together)) == 1


@pytest.mark.parametrize("players", [2, 3, 4, 5])
def test_one_block_is_unbiased(players):
    """Its mean over all ways to draw it is the exact answer: no chance is left in this test."""
    game = np.random.default_rng(players).normal(size=(3, 2**players))
    found = []
    for way in itertools.permutations(range(players)):
        orders = Orders(np.array([way, way]))
        found.append(orders.estimate(game[:, codes_of(orders.coalitions)]))
    np.testing.assert_allclose(np.mean([one.values for one in found], 0), shapley_values(game), atol=1e-12)
    np.testing.assert_allclose(np.mean([one.interactions for one in found], 0), interaction_index(game), atol=1e-12)


def test_the_standard_error_is_as_large_as_the_error():
    game = np.random.default_rng(7).normal(size=(60, 2**6))
    orders = Orders.drawn(6, 90, seed=1)  # 15 blocks
    found = orders.estimate(game[:, codes_of(orders.coalitions)])
    score = (found.values - shapley_values(game)) / found.error
    assert 0.8 < np.sqrt(np.mean(score**2)) < 1.35  # of a t distribution with 14 degrees of freedom: 1.08
    first, second = np.triu_indices(6, 1)
    score = (found.interactions - interaction_index(game))[:, first, second] / found.interaction_error[:, first, second]
    assert 0.8 < np.sqrt(np.mean(score**2)) < 1.35
    more = Orders.drawn(6, 1440, seed=1)
    assert more.estimate(game[:, codes_of(more.coalitions)]).error.mean() < 0.35 * found.error.mean()  # a sixteenth of the variance
    again = Orders.drawn(6, 90, seed=1)
    np.testing.assert_array_equal(again.orders, orders.orders)
    assert not np.array_equal(Orders.drawn(6, 90, seed=2).orders, orders.orders)


def test_an_additive_game_of_many_needs_one_block():
    worth = np.arange(1.0, 41.0)
    orders = Orders.drawn(40, 1, seed=0)
    found = orders.estimate(orders.coalitions @ worth)
    np.testing.assert_allclose(found.values, worth)
    np.testing.assert_allclose(found.interactions, 0, atol=1e-9)
    for wrong in (1, 61):
        with pytest.raises(InputError, match="2 to 60"):
            Orders.drawn(wrong, 10, 0)
    with pytest.raises(InputError, match="permutations=0"):
        Orders.drawn(5, 0, 0)


# ---- of runs -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some():
    return cases.samples().take(np.arange(8))


def test_sampled_contributions_of_a_run_are_near_the_exact_ones(some):
    run = cases.trained("joint_attention")
    whole, found = explain.contributions(run, some), explain.contributions(run, some, permutations=60)
    np.testing.assert_allclose(found.shapley.sum(1), found.score - found.base, atol=1e-9)
    assert not found.shapley[~found.present].any() and not found.interactions[~found.present].any() and not found.standard_error[~found.present].any()
    near = np.abs(found.shapley - whole.shapley) / np.maximum(found.standard_error, 1e-9)
    assert np.sqrt(np.mean(near[whole.present & (found.standard_error > 1e-6)] ** 2)) < 2.5
    np.testing.assert_array_equal(found.score, whole.score)
    np.testing.assert_array_equal(found.base, whole.base)
    # all that is reported is what the same subsets are worth exactly
    assert len(found.subsets) == 2 * 5 + 2
    known = {row["modalities"]: row["value"] for row in whole.subsets}
    assert all(known[row["modalities"]] == pytest.approx(row["value"]) for row in found.subsets)
    assert found.total["metric_shapley"].sum() == pytest.approx(found.subsets["value"][-1] - found.subsets["value"][0])
    assert "standard_error" in found.total.colnames and "image_error" in found.table().colnames and "60 orders" in found.notes[-1]
    again = explain.contributions(run, some, permutations=60, rows=3)
    np.testing.assert_allclose(again.shapley, found.shapley, atol=1e-5)


def many(n=30, count=12, seed=0):
    """Twelve short series; the label shows in the first, and in the second and third together."""
    from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
    from astrofuse_lab.samples.specification import Card, ModalitySpec

    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    data = {}
    for k in range(count):
        values = rng.normal(0, 0.5, (n, 1, 4)).astype(np.float32)
        values[:, 0] += 2.0 * (label[:, None] if k == 0 else 0)
        spec = ModalitySpec(f"s{k:02d}", "series", ("c",), (1, 4), "x", axis="phase")
        data[spec.name] = ModalityData(spec, {"axis": np.arange(4.0), "values": values, "mask": np.ones(values.shape, bool)}, rng.random(n) > 0.2)
    columns = pa.table({"object_id": [f"m{i:02d}" for i in range(n)], "label": np.array(["no", "yes"])[label]})
    return SampleSet(columns, data, {"label": "target"}, {}, Card())


def test_twelve_modalities_are_sampled():
    from astrofuse_lab.training.loop import train

    samples = many()
    run = train("late_fusion", samples, "label", epochs=6, device="cpu", progress=False)
    found = explain.contributions(run, samples, permutations=48, resamples=50)
    assert found.shapley.shape == (30, 12) and found.interactions.shape == (30, 12, 12) and found.coalitions.shape == (26, 12)
    np.testing.assert_allclose(found.shapley.sum(1), found.score - found.base, atol=1e-9)
    assert not found.shapley[~found.present].any() and found.standard_error[found.present].max() > 0
    total = found.total
    assert total["modality"][np.argmax(total["mean_abs_shapley"])] == "s00" and total["metric_shapley"][0] == max(total["metric_shapley"])
    said = np.array(run.predict(samples)["prediction"])
    truth = np.asarray(samples.column("label").data)
    assert found.subsets["value"][-1] == pytest.approx(balanced_accuracy_score(truth, said))
    with pytest.raises(InputError, match="1 to 10"):
        members(12)


def test_pairs_of_the_metric_are_its_own_interactions(some):
    run = cases.trained("late_fusion")
    found = explain.contributions(run, some, resamples=40)
    (row,) = [one for one in found.pairs if (one["first"], one["second"]) == ("image", "table")]
    metric = np.zeros(32)
    for one in found.subsets:
        names = [] if one["modalities"] == "(none)" else one["modalities"].split(" + ")
        metric[sum(1 << MODALITIES.index(name) for name in names)] = one["value"]
    assert row["metric_interaction"] == pytest.approx(interaction_index(metric)[0, 3])
    assert row["low"] <= row["high"] and len(found.pairs) == 10
    both = some.present("image") & some.present("table")
    assert row["present"] == both.sum() and row["mean_interaction"] == pytest.approx(found.interactions[both, 0, 3].mean())
    few = explain.contributions(run, some, permutations=60, resamples=40).pairs
    assert len(few) == 10 and np.isfinite(few["metric_interaction"]).all()


def test_captums_sampler_agrees(some):
    """The peer's own sampling of the same game, within the errors of both."""
    import torch

    run = cases.trained("late_fusion")
    whole = explain.contributions(run, some)
    games = torch.from_numpy(whole.game)

    def play(who):
        rows = torch.arange(len(who)) % len(games)
        return games[rows, (who.long() * (1 << torch.arange(5))).sum(1)]

    torch.manual_seed(0)
    peer = ShapleyValueSampling(play).attribute(torch.ones(8, 5), torch.zeros(8, 5), n_samples=60).numpy()
    found = explain.contributions(run, some, permutations=60)
    error = np.abs(peer - whole.shapley).mean()
    assert error < 0.2 * np.abs(whole.shapley).mean() + 0.05
    assert np.abs(found.shapley - whole.shapley).mean() < error  # as many orders, stratified: nearer


# ---- ensembles -----------------------------------------------------------------------------------------------------------


def test_an_ensembles_contributions_are_its_members_mean_with_their_spread(some):
    runs = [cases.trained("late_fusion"), cases.trained("joint_attention")]
    each = [explain.contributions(run, some, target="star") for run in runs]
    found = explain.contributions(Ensemble(runs), some, target="star")
    np.testing.assert_allclose(found.shapley, np.mean([one.shapley for one in each], 0), atol=1e-9)
    np.testing.assert_allclose(found.interactions, np.mean([one.interactions for one in each], 0), atol=1e-9)
    np.testing.assert_allclose(found.spread, np.std([one.shapley for one in each], 0), atol=1e-9)
    np.testing.assert_allclose(found.shapley.sum(1), found.score - found.base, atol=1e-9)
    assert "image_spread" in found.table().colnames and "spread" in found.total.colnames and "2 members" in found.notes[-1]
    said = Ensemble(runs).predict(some)
    free = explain.contributions(Ensemble(runs), some)
    assert list(free.target) == list(said["prediction"])
    truth = np.asarray(some.column("label").data)
    assert free.subsets["value"][-1] == pytest.approx(balanced_accuracy_score(truth, np.array(said["prediction"])))


def test_a_member_without_a_modality_gives_it_nothing(some):
    runs = [cases.trained("joint_attention"), cases.trained("joint_attention", "label", ("table",))]
    each = explain.contributions(runs[0], some, target="star"), explain.contributions(runs[1], some, target="star")
    found = explain.contributions(Ensemble(runs), some, target="star")
    assert found.modalities == MODALITIES
    np.testing.assert_allclose(found.shapley[:, 0], each[0].shapley[:, 0] / 2, atol=1e-9)
    np.testing.assert_allclose(found.shapley[:, 3], (each[0].shapley[:, 3] + each[1].shapley[:, 0]) / 2, atol=1e-9)


def test_numbers_of_members_are_on_one_scale(some):
    runs = [cases.trained("late_fusion", "redshift"), cases.trained("gated_fusion", "redshift")]
    found = explain.contributions(Ensemble(runs), some)
    problem = runs[0].problem
    np.testing.assert_allclose(found.score * problem.width[0] + problem.centre[0], Ensemble(runs).predict(some)["prediction"], rtol=1e-4, atol=1e-5)


def test_every_fusion_says_of_a_subset_what_the_whole_model_says_of_it():
    """Encoders run once, padding is left out and samples are gathered: none of it changes an answer."""
    import torch

    from astrofuse_lab.explain.coalitions_played import coalition_values
    from astrofuse_lab.models.build import build, layouts_of
    from astrofuse_lab.models.parts import FUSIONS
    from astrofuse_lab.recipes.catalogue import get_recipe
    from astrofuse_lab.recipes.schema import Part
    from astrofuse_lab.samples.preparation import Preparation

    samples = cases.samples()
    preparation, inside = Preparation.fit(samples, MODALITIES), members(5)
    batch = preparation.batch(samples.take(np.arange(10)))
    for fusion in (*map(Part, FUSIONS), Part.of("joint_attention", distance=True)):
        torch.manual_seed(0)
        model = build(get_recipe("late_fusion").change(width=16, fusion=fusion), layouts_of(preparation.to_json()), 3, "classification").eval()
        if model.fits:
            model.fit([(batch.values, batch.masks, batch.present, torch.arange(10) % 3)])
        with torch.inference_mode():
            found, _ = coalition_values(model, batch, MODALITIES, inside, torch.zeros(3))
            for c in (12, 24, 31):
                who = [name for name, here in zip(MODALITIES, inside[c], strict=True) if here]
                said = model(*({name: part[name] for name in who} for part in batch)).values
                whole = torch.stack([batch.present[name] for name in who]).all(0)
                np.testing.assert_allclose(found[whole, c], said[whole], atol=1e-5, err_msg=fusion.name)
