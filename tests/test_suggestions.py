"""Which samples to label next: each strategy by its definition, written out; and what a strategy is worth, told honestly."""

import itertools
import threading

import numpy as np
import pytest
from explain_cases import MODALITIES, samples, trained
from scipy.stats import entropy
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain import suggestion_scores as scores
from astrofuse_lab.explain import suggestions
from astrofuse_lab.explain.active_curves import Trial, summary
from astrofuse_lab.explain.suggestions import WAYS, suggest
from astrofuse_lab.training.label_rounds import learn_round, learnable, random_labels
from astrofuse_lab.training.uncertainty import speak


@pytest.fixture(scope="module")
def run():
    return trained("late_fusion")


@pytest.fixture(scope="module")
def ensemble(run):
    other = af.train("late_fusion", samples(), "label", list(MODALITIES), epochs=2, seed=1, device="cpu", progress=False)
    return af.Ensemble([run, other])


def shares(run):
    table = run.predict(samples())
    return np.stack([np.asarray(table[f"p_{c}"]) for c in run.classes], axis=1)


def asked(score, n=7):
    """Ids and scores of the n highest, by a plain sort."""
    order = sorted(range(len(score)), key=lambda i: (-score[i], i))[:n]
    return [str(samples().object_ids[i]) for i in order], [score[i] for i in order]


# ---- strategies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["entropy", "margin", "least_confidence"])
@pytest.mark.parametrize("several", [False, True])
def test_doubt_is_what_the_papers_define(run, ensemble, by, several):
    p = shares(ensemble if several else run)
    literal = {
        "entropy": [entropy(row) / np.log(len(row)) for row in p],
        "margin": [1 - (sorted(row)[-1] - sorted(row)[-2]) for row in p],
        "least_confidence": [1 - max(row) for row in p],
    }[by]
    found = suggest(ensemble if several else run, samples(), 7, by)
    ids, wanted = asked(literal)
    assert found["object_id"].tolist() == ids and found["rank"].tolist() == list(range(1, 8))
    np.testing.assert_allclose(found["score"], wanted, atol=1e-6)
    assert found.meta["pool"] == len(samples()) and not any(str(c) in text for text in found["why"] for c in run.classes)


def test_bald_is_the_mutual_information_of_members(run, ensemble):
    each = np.stack([shares(one) for one in ensemble])
    literal = [entropy(m.mean(0)) / np.log(3) - np.mean([entropy(row) / np.log(3) for row in m]) for m in each.transpose(1, 0, 2)]
    found = suggest(ensemble, samples(), 7, "bald")
    ids, wanted = asked(literal)
    assert found["object_id"].tolist() == ids
    np.testing.assert_allclose(found["score"], wanted, atol=1e-6)


def test_bald_of_one_run_goes_by_dropout(run):
    one = trained()  # has dropout
    passes = np.exp(speak(one, samples(), None, 20, 3).values)
    passes /= passes.sum(-1, keepdims=True)
    literal = entropy(passes.mean(0), axis=-1) - entropy(passes, axis=-1).mean(0)
    found = suggest(one, samples(), 7, "bald", seed=3)
    assert found["object_id"].tolist() == asked(literal)[0]
    assert found["object_id"].tolist() == suggest(one, samples(), 7, "bald", seed=3)["object_id"].tolist()
    with pytest.raises(InputError, match="passes with dropout on"):
        suggest(one, samples(), 7, "bald", mc=0)


def test_k_centre_greedy_by_its_definition_and_its_bound():
    rng = np.random.default_rng(0)
    for case in range(12):
        points, centres = rng.normal(size=(9, 3)), rng.normal(size=(case % 3, 3))
        chosen, distances = scores.k_centre(points, centres, 3)
        have, step = [*centres], 0
        if not len(centres):
            assert chosen[0] == np.linalg.norm(points - points.mean(0), axis=1).argmin()
            have, step = [points[chosen[0]]], 1
        for at, distance in zip(chosen[step:], distances[step:], strict=True):
            far = [min(np.linalg.norm(p - c) for c in have) for p in points]
            assert at == int(np.argmax(far)) and np.isclose(distance, max(far))
            have.append(points[at])

        def radius(chosen, points=points, centres=centres):
            return max(min(np.linalg.norm(p - c) for c in [*centres, *points[list(chosen)]]) for p in points)

        best = min(map(radius, itertools.combinations(range(9), 3)))
        assert radius(chosen) <= 2 * best + 1e-12  # the theorem behind it


def test_coreset_keeps_away_from_what_is_labelled(run):
    vectors = speak(run, samples()).vectors
    labelled = samples().object_ids[:12].tolist()
    found = suggest(run, samples(), 5, "coreset", labelled=labelled)
    chosen, distances = scores.k_centre(vectors[12:], vectors[:12], 5)
    assert found["object_id"].tolist() == samples().object_ids[12:][chosen].tolist()
    np.testing.assert_allclose(found["score"], distances, rtol=1e-6)
    assert found.meta["pool"] == len(samples()) - 12


def test_strange_ones_are_those_of_scikit_learn(run):
    vectors = speak(run, samples()).vectors
    forest = -IsolationForest(n_estimators=200, random_state=4).fit(vectors).score_samples(vectors)
    found = suggest(run, samples(), 5, "anomaly", seed=4)
    assert found["object_id"].tolist() == asked(forest, 5)[0]
    distance = NearestNeighbors(n_neighbors=11).fit(vectors).kneighbors(vectors)[0][:, 1:].mean(1)
    found = suggest(run, samples(), 5, "neighbours")
    ids, wanted = asked(distance, 5)
    assert found["object_id"].tolist() == ids
    np.testing.assert_allclose(found["score"], wanted, rtol=1e-6)


def test_badge_draws_by_gradients_that_are_written_out(run):
    """With its products of parts, the same draws as with the gradients themselves."""
    p, vectors = shares(run), speak(run, samples()).vectors
    error = p - np.eye(3)[p.argmax(1)]
    gradients = np.stack([np.outer(e, v).ravel() for e, v in zip(error, vectors, strict=True)])
    chosen, lengths = scores.badge(p, vectors, 6, np.random.default_rng(5))
    np.testing.assert_allclose(lengths, np.linalg.norm(gradients[chosen], axis=1), rtol=1e-9)
    assert chosen[0] == np.linalg.norm(gradients, axis=1).argmax() and len(set(chosen.tolist())) == 6
    plain, _ = scores.seeded(lambda at: ((gradients - gradients[at]) ** 2).sum(1), len(p), 6, None, int(chosen[0]), np.random.default_rng(5))
    assert plain.tolist() == chosen.tolist()


def test_seeding_draws_as_the_squared_distance():
    points = np.array([[0.0], [1.0], [3.0]])
    drawn = [scores.diverse(points, np.zeros((1, 1)), 1, np.random.default_rng(k))[0][0] for k in range(2000)]
    shares = np.bincount(drawn, minlength=3) / 2000
    np.testing.assert_allclose(shares, [0, 0.1, 0.9], atol=0.03)
    doubles, _ = scores.diverse(np.zeros((4, 2)), np.zeros((1, 2)), 3, np.random.default_rng(0))
    assert len(set(doubles.tolist())) == 3


def test_a_diverse_batch_is_of_the_unsure_but_not_all_alike():
    """Two clumps, the unsurer one the larger: without diversity all come from it."""
    vectors = np.concatenate([np.zeros((20, 2)), np.full((5, 2), 8.0)]) + np.random.default_rng(0).normal(0, 0.1, (25, 2))

    class Pretended:
        task, classes = "classification", ("a", "b")

    doubt = np.concatenate([np.linspace(0.1, 0.09, 20), np.linspace(0.2, 0.21, 5)])
    values = np.stack([doubt, -doubt], axis=1)[None]
    known = suggestions.Known(vectors, values, None, np.ones(25, dtype=bool))
    plain, _ = suggestions._chosen(Pretended, known, known.seen, ~known.seen, 5, "entropy", False, np.random.default_rng(0), 0)
    spread, score = suggestions._chosen(Pretended, known, known.seen, ~known.seen, 5, "entropy", True, np.random.default_rng(0), 0)
    assert set(plain) <= set(range(20)) and (spread >= 20).sum() >= 1 and spread[0] == plain[0] and np.isfinite(score).all()


@pytest.mark.parametrize("by", [name for name, way in WAYS.items() if not way.model])
def test_before_there_is_a_model_the_data_alone_decide(by):
    found = suggest(None, samples(), 6, by, seed=1, labelled=["toy-0001", "elsewhere"])
    again = suggest(None, samples(), 6, by, seed=1, labelled=["toy-0001"])
    assert found["object_id"].tolist() == again["object_id"].tolist() and "toy-0001" not in found["object_id"] and len(set(found["object_id"].tolist())) == 6
    assert np.isfinite(found["score"]).all() and found.meta["notes"] == ["1 labelled ids are not in this set"]
    if by in ("random", "diverse"):
        assert found["object_id"].tolist() != suggest(None, samples(), 6, by, seed=2)["object_id"].tolist()


def test_numbers_small_sets_and_what_cannot_be_asked(run):
    number = trained("late_fusion", "mag_r" if "mag_r" in samples().roles and samples().roles["mag_r"] != "input" else "redshift")
    with pytest.raises(InputError, match="asks for probabilities"):
        suggest(number, samples(), 3, "entropy")
    twice = af.Ensemble([number, af.train("late_fusion", samples(), number.target, list(MODALITIES), epochs=2, seed=1, device="cpu", progress=False)])
    found = suggest(twice, samples(), 3, "bald")
    each = np.stack([np.asarray(one.predict(samples())["prediction"]) for one in twice])
    assert found["object_id"].tolist() == asked(each.var(0), 3)[0]
    with pytest.raises(InputError, match="asks for classes"):
        suggest(number, samples(), 3, "badge")
    with pytest.raises(UnknownNameError, match="Did you mean"):
        suggest(run, samples(), 3, "entropie")
    with pytest.raises(InputError, match="there is none yet"):
        suggest(None, samples(), 3, "entropy")
    with pytest.raises(InputError, match="1 or more"):
        suggest(run, samples(), 0)
    for few in (0, 1, 2):
        part = samples().take(range(few))
        for by in WAYS:
            model = run if WAYS[by].model else None
            if by == "bald":
                model = trained()
            assert len(suggest(model, part, 3, by)) == few, (by, few)
            assert len(suggest(model, part, 3, by, labelled=part.object_ids.tolist())) == 0
    stop = threading.Event()
    stop.set()
    told = []
    assert len(suggest(run, samples(), 3, "entropy", stop=stop, on_progress=told.append)) == 3 and told == [{"done": 40, "total": 40}]
    assert set(suggest(run, samples(), 9, "margin", among=["toy-0003", "toy-0004"])["object_id"].tolist()) == {"toy-0003", "toy-0004"}


# ---- rounds and curves ---------------------------------------------------------------------------------------------------


def test_a_round_learns_from_labels_and_is_judged_on_others():
    column = samples().column("label")
    truth = {str(i): str(v) for i, v in zip(samples().object_ids, column, strict=True)}
    split = samples().split(test=0.3, seed=1)
    two = sorted(set(truth.values()))[:2]
    labels = {i: truth[i] for i in split.train if truth[i] in two}
    rare = next(i for i in split.train if truth[i] not in two)
    labels[rare] = truth[rare]
    judged = {i: truth[i] for i in split.test}
    made = learn_round("late_fusion", samples(), labels, judged, epochs=1, device="cpu", resamples=200)
    assert set(made.run.classes) == set(two) and made.left_out == {truth[rare]: 1} and made.labels == len(labels) - 1 and made.tested == len(split.test)
    predicted = made.run.predict(samples().select(split.test))["prediction"]
    recall = [np.mean([str(p) == c for p, i in zip(predicted, split.test, strict=True) if truth[i] == c]) for c in sorted(set(judged.values()))]
    assert np.isclose(made.value, np.mean(recall)) and made.low <= made.value <= made.high  # the class it does not know counts as wrong
    assert set(made.run.split.train) | set(made.run.split.validation) == set(labels) - {rare} and not set(split.test) & set(labels)
    with pytest.raises(InputError, match="Keep them apart"):
        learn_round("late_fusion", samples(), labels, {**judged, next(iter(labels)): "star"}, epochs=1, device="cpu")
    with pytest.raises(af.errors.TrainingError, match=r"two classes with 2 labels each.*there are 1 of"):
        learn_round("late_fusion", samples(), {rare: truth[rare]}, judged, epochs=1, device="cpu")
    assert learnable(samples(), {}) == ({}, {})
    bare = [str(i) for i in samples().object_ids[~samples().present("spectrum")][:2]]
    assert learnable(samples(), dict.fromkeys(bare, "star"), modalities=["spectrum"]) == ({}, {"star": 2})  # nothing of them can be learned
    assert random_labels(truth, split.train, 5, 0) == random_labels(truth, reversed(split.train), 5, 0) != random_labels(truth, split.train, 5, 1)


def pretended(gain, tests=300, seeds=3, steps=(20, 40, 60)):
    """Trials in which `entropy` is right more often than `random` by `gain`, but at the start."""
    rng = np.random.default_rng(0)
    truth, trials = rng.integers(0, 2, tests), []
    for seed in range(seeds):
        for labels in steps:
            luck = rng.random(tests)
            for by, better in (("entropy", gain if labels > steps[0] else 0.0), ("random", 0.0)):
                right = luck < 0.6 + better
                trials.append(Trial(by, seed, labels, np.eye(2)[np.where(right, truth, 1 - truth)]))
    return summary(trials, "classification", truth, np.arange(tests), resamples=300)


def test_a_strategy_is_called_better_only_where_it_is():
    better, same, worse = pretended(0.15), pretended(0.0), pretended(-0.15)
    assert "entropy is better than random" in better.meta["verdict"] and "worse than random" in worse.meta["verdict"]
    assert "entropy is not better than random as far as this shows: +0.000" in same.meta["verdict"]
    row = better[(better["by"] == "entropy") & (better["labels"] == 40)][0]
    chance = better[(better["by"] == "random") & (better["labels"] == 40)][0]
    assert row["difference_low"] > 0 and np.isclose(row["difference"], row["value"] - chance["value"]) and np.ma.is_masked(chance["difference"])
    assert row["low"] < row["value"] < row["high"] and better.meta["gain"]["entropy"]["low"] > 0
    first = better[better["labels"] == 20]
    assert first["value"][0] == first["value"][1]  # all begin alike


def test_active_curve_replays_labelling(monkeypatch):
    split, seen = samples().split(test=0.3, seed=0), []
    real = af.explain.active_curve.__globals__["train"]

    def watched(recipe, s, target, modalities, split, *more, **options):
        seen.append(set(split.train))
        return real(recipe, s, target, modalities, split, *more, **options)

    monkeypatch.setitem(af.explain.active_curve.__globals__, "train", watched)
    told = []
    table = af.explain.active_curve("late_fusion", samples(), "label", "coreset", ["table", "spectrum"], start=8, batch=6, rounds=2, seeds=2, split=split, epochs=1, device="cpu", resamples=100, on_progress=told.append)
    assert len(table) == 6 and table["labels"].tolist() == [8, 14, 20] * 2 and set(table["by"]) == {"coreset", "random"}
    assert len(seen) == 2 * (1 + 2 * 2) and not any(ids & set(split.test) for ids in seen) and told[-1]["done"] == told[-1]["total"] == 10
    firsts = [ids for ids in seen if len(ids) == 8]
    assert len(firsts) == 2 and firsts[0] != firsts[1]
    assert sum(firsts[0] < ids for ids in seen) >= 4  # every later round of this seed holds its first labels
    np.testing.assert_allclose(*(table["value"][(table["labels"] == 8) & (table["by"] == by)] for by in ("coreset", "random")))
    assert "random" in table.meta["verdict"] and table.meta["test_samples"] == len(split.test)
    stop = threading.Event()
    stop.set()
    with pytest.raises(InputError, match="stopped before it was complete"):
        af.explain.active_curve("late_fusion", samples(), "label", start=8, batch=6, rounds=1, seeds=1, epochs=1, device="cpu", stop=stop)
    for wrong, match in (({"start": 39}, "need 59"), ({"rounds": 0}, "1 or more"), ({"folds": 3}, "no option folds"), ({"by": "x"}, "no strategy"), ({"seeds": 0}, "at least one")):
        with pytest.raises(InputError, match=match):
            af.explain.active_curve("late_fusion", samples(), "label", **wrong)
