from math import comb

import explain_cases as cases
import numpy as np
import pytest
import torch
from captum.attr import ShapleyValues
from sklearn.metrics import balanced_accuracy_score

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import SCORES
from astrofuse_lab.explain.games import interaction_index, members, shapley_values

MODALITIES = cases.MODALITIES
RECIPES = ("joint_attention", "late_fusion", "gated_fusion", "decision_average")


@pytest.fixture(scope="module")
def some():
    return cases.samples().take(np.arange(8))


# ---- games with known answers --------------------------------------------------------------------------------------


def test_the_glove_game():
    # two have a left glove, one a right one; a pair is worth one: (1/6, 1/6, 2/3), a textbook answer
    game = np.array([1.0 if who[2] and (who[0] or who[1]) else 0.0 for who in members(3)])
    np.testing.assert_allclose(shapley_values(game), [1 / 6, 1 / 6, 2 / 3])


def test_the_airport_game():
    # Littlechild & Owen 1973: a runway costs as much as its longest user needs; each part is shared by those who need it
    costs = np.array([8.0, 11.0, 13.0, 18.0])
    game = np.array([max(costs[who], default=0.0) for who in members(4)])
    np.testing.assert_allclose(shapley_values(game), [2, 3, 4, 9])


def test_interaction_of_unanimity_games():
    # Grabisch & Roubens 1999: in the game that pays one to a coalition T and all larger ones, I(ij) = 1 / (|T| - 1) inside T
    for size in (2, 3, 4):
        game = (members(4)[:, :size]).all(1).astype(float)
        found = interaction_index(game)
        expected = np.zeros((4, 4))
        expected[:size, :size] = 1 / (size - 1)
        np.fill_diagonal(expected, 0)
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_axioms_on_random_games():
    rng = np.random.default_rng(1)
    game = rng.normal(size=(20, 2**5))
    values = shapley_values(game)
    np.testing.assert_allclose(values.sum(1), game[:, -1] - game[:, 0], atol=1e-12)  # efficiency
    inside = members(5)
    codes = inside @ (1 << np.arange(5))
    assert (codes == np.arange(32)).all()
    dummy = game[:, codes & ~(1 << 3)] + 0.7 * inside[:, 3]  # player 3 adds 0.7 to whatever is there
    np.testing.assert_allclose(shapley_values(dummy)[:, 3], 0.7)
    np.testing.assert_allclose(interaction_index(dummy)[:, 3], 0, atol=1e-12)
    swapped = codes & ~0b11 | (codes & 1) << 1 | (codes & 2) >> 1
    symmetric = game + game[:, swapped]  # players 0 and 1 are interchangeable
    np.testing.assert_allclose(shapley_values(symmetric)[:, 0], shapley_values(symmetric)[:, 1])
    other = rng.normal(size=(20, 2**5))
    np.testing.assert_allclose(shapley_values(game + 2 * other), values + 2 * shapley_values(other), atol=1e-12)  # linearity
    assert sum(1 / (5 * comb(4, s)) * comb(4, s) for s in range(5)) == pytest.approx(1)


def test_number_of_players():
    assert members(10).shape == (1024, 10)
    for count in (0, 11):
        with pytest.raises(InputError, match="1 to 10 modalities"):
            members(count)
    with pytest.raises(InputError, match="2\\^M"):
        shapley_values(np.zeros(6))


# ---- runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
def test_efficiency_and_missing_modalities(some, recipe):
    run = cases.trained(recipe)
    found = explain.contributions(run, some)
    np.testing.assert_allclose(found.shapley.sum(1), found.score - found.base, atol=1e-9)
    present = np.stack([some.present(name) for name in MODALITIES], 1)
    np.testing.assert_array_equal(found.present, present)
    assert not found.shapley[~present].any()  # exactly: a missing modality is a dummy player
    assert not found.interactions[~present].any()
    assert found.shapley[present].any()
    probability = [max(row[f"p_{c}"] for c in run.classes) for row in run.predict(some)]
    np.testing.assert_allclose(1 / (1 + np.exp(-found.score)), probability, rtol=1e-4)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.base)), 1 / 3, rtol=1e-6)  # balanced classes


@pytest.mark.parametrize("recipe", RECIPES)
def test_equal_to_captum_on_the_same_game(some, recipe):
    run, some = cases.trained(recipe), some.take(np.arange(3))
    batch = run.batch(some)
    found = explain.contributions(run, some)
    goal = torch.tensor([run.classes.index(c) for c in found.target])

    def play(who, index):
        times = len(who) // len(some)  # captum stacks several coalitions of all samples
        values, masks = ({name: one.repeat(times, *[1] * (one.ndim - 1)) for name, one in part.items()} for part in batch[:2])
        values = run.model(values, masks, {name: who[:, i] > 0 for i, name in enumerate(MODALITIES)}).values
        nobody = ~(torch.stack([batch.present[name].repeat(times) for name in MODALITIES], 1) & (who > 0)).any(1)
        values = torch.where(nobody[:, None], torch.zeros(()), values)
        return SCORES["log_odds"](values, index)

    # captum's ShapleyValues is exact too: all orders of all players
    with torch.no_grad():
        expected = ShapleyValues(play).attribute(torch.ones(len(some), 5), torch.zeros(len(some), 5), additional_forward_args=goal, perturbations_per_eval=5)
    np.testing.assert_allclose(found.shapley, expected.numpy(), atol=2e-5)


def test_an_additive_model_has_no_interactions(some):
    run = cases.linear()
    found = explain.contributions(run, some, score="logit", target="star")
    tokens, _ = run.model.encode(*run.batch(some)[:2])
    expected = np.stack([tokens[name].values[:, 0, run.classes.index("star")].detach().numpy() for name in MODALITIES], 1)
    # the prior's logits are not zero but log 1/3: the step from no data to some belongs to whoever comes first
    first = -found.base[:, None] * found.present / found.present.sum(1, keepdims=True)
    np.testing.assert_allclose(found.shapley, expected + first, atol=1e-5)
    free = found.game - np.where(np.arange(32) & (found.present @ (1 << np.arange(5)))[:, None], 0, found.base[:, None])
    np.testing.assert_allclose(interaction_index(free), 0, atol=1e-4)


def test_subsets_are_measured_as_scikit_learn_does():
    samples = cases.samples()
    run = cases.trained("late_fusion")
    found = explain.contributions(run, samples)
    table = found.subsets
    assert len(table) == 32
    assert table["modalities"][0] == "(none)"
    assert table["value"][0] == pytest.approx(1 / 3)
    assert (np.diff(table["count"]) >= 0).all()
    assert (table["low"] <= table["value"] + 1e-12).all()
    assert (table["value"] <= table["high"] + 1e-12).all()
    assert set(table["n"]) == {len(samples)}
    truth = np.asarray(samples.column("label").data)
    for names in (("text",), ("spectrum", "table"), MODALITIES):
        batch = run.batch(samples)
        kept = {name: batch.present[name] & (name in names) for name in MODALITIES}
        with torch.inference_mode():
            said = run.model(batch.values, batch.masks, kept).values.argmax(1).numpy()
        said[~np.any([samples.present(name) for name in names], axis=0)] = 0
        row = table[table["modalities"] == " + ".join(names)]
        assert row["value"][0] == pytest.approx(balanced_accuracy_score(truth, np.array(run.classes)[said]))
    total = found.total
    assert total["metric_shapley"].sum() == pytest.approx(table["value"][-1] - table["value"][0])
    assert list(total["present"]) == [int(samples.present(name).sum()) for name in MODALITIES]
    assert (total["low"] <= total["high"]).all()


def test_regression(some):
    run = cases.trained("late_fusion", "redshift")
    found = explain.contributions(run, some)
    assert not found.base.any()
    assert len(found.prior) == 0
    np.testing.assert_allclose(found.score * run.problem.width + run.problem.centre, run.predict(some)["prediction"], rtol=1e-4, atol=1e-5)
    table = found.subsets
    assert table["metric"][0] == "rmse"
    assert table.meta["lower_is_better"]
    truth = np.asarray(some.column("redshift").data)
    assert table["value"][0] == pytest.approx(np.sqrt(np.mean((truth - run.problem.centre) ** 2)))
    with pytest.raises(InputError, match="training mean"):
        explain.contributions(run, some, prior=[1])


def test_some_players_one_player_and_tables(some):
    run = cases.trained("joint_attention")
    two = explain.contributions(run, some, modalities=["text", "image"])
    assert two.modalities == ("image", "text")  # the run's order
    assert len(two.subsets) == 4
    one = explain.contributions(cases.trained("joint_attention", "label", ("table",)), some)
    np.testing.assert_allclose(one.shapley[:, 0], one.score - one.base)
    assert not one.interactions.any()
    table = two.table()
    assert list(table["object_id"]) == list(some.object_ids)
    np.testing.assert_array_equal(table["text"].mask, ~some.present("text"))
    assert "image" in repr(two)


def test_priors(some):
    run = cases.trained("late_fusion")
    given = explain.contributions(run, some, prior={"star": 3, "galaxy": 1}, target="star", score="probability")
    np.testing.assert_allclose(given.base, 0.75, rtol=1e-5)
    for wrong in ([1, 1], [0, 0, 0], [1, -1, 1], [np.nan, 1, 1]):
        with pytest.raises(InputError, match="one probability for each of galaxy, quasar, star"):
            explain.contributions(run, some, prior=wrong)


def test_unbalanced_objectives_start_from_the_training_frequencies():
    from astrofuse_lab.explain.priors import before_any_data
    from astrofuse_lab.recipes.schema import Part
    from astrofuse_lab.training.run import Run

    run, samples = cases.linear(), cases.samples()
    recipe = run.recipe.change(objective=Part.of("cross_entropy", class_weights="none"))
    plain = Run(recipe, run.problem, run.preparation, run.model, run.split, [], {})
    before, notes = before_any_data(plain, samples, None)
    label = np.asarray(samples.column("label").data)[:30]  # the training part of this run
    np.testing.assert_allclose(np.exp(before), [np.mean(label == c) for c in run.classes])
    assert "training part" in notes[0]


def test_samples_without_labels(some):
    run = cases.trained("late_fusion")
    from astrofuse_lab.samples.sample_set import SampleSet

    bare = SampleSet(some._columns.drop_columns(["label"]), some._data, {k: v for k, v in some.roles.items() if k in ("mag_g", "colour")}, rows=some.rows())
    found = explain.contributions(run, bare)
    np.testing.assert_allclose(found.shapley, explain.contributions(run, some).shapley)
    with pytest.raises(InputError, match="no known value"):
        _ = found.subsets
    assert found.total["metric_shapley"].mask.all()


def test_bad_input(some):
    run = cases.trained("late_fusion")
    with pytest.raises(InputError, match="no samples"):
        explain.contributions(run, some.take([]))
    with pytest.raises(InputError, match="balanced_accuracy"):
        explain.contributions(run, some, metric="accuracies")
    with pytest.raises(UnknownNameError, match="spectrum"):
        explain.contributions(run, some, modalities=["spectra"])


def test_chunks_and_stop(some):
    import threading

    run = cases.trained("late_fusion")
    whole = explain.contributions(run, some)
    np.testing.assert_allclose(explain.contributions(run, some, rows=3).shapley, whole.shapley, atol=1e-5)
    stop = threading.Event()
    stop.set()
    part = explain.contributions(run, some, rows=3, stop=stop)
    assert len(part.shapley) == len(part.target) == len(part.object_ids) == 3


def test_a_small_server_takes_fewer_rows_at_once(monkeypatch):
    from astrofuse_lab.explain.adapter import Pace
    from astrofuse_lab.memory import at_once

    for limit, rows in (("", 64), ("junk", 64), (str(8 * 1024**3), 64), (str(1024**3), 8)):
        monkeypatch.setenv("MEM_LIMIT", limit)
        assert at_once(64) == rows and next(len(c) for c in Pace(64).chunks(70)) == rows
        assert sum(len(c) for c in Pace(64).chunks(70)) == 70 and at_once(3) >= 1
