"""Planted truth: where a signal was put is known, and attributions are to point at it. The whole table is that of benchmarks/planted.py."""

import numpy as np
import planted_cases as cases
import pytest

from astrofuse_lab import explain

NAMES = ("line", "column", "word", "dip")
"""The tasks that small models learn in a few seconds; benchmarks/planted.py has them all."""


@pytest.mark.parametrize(("name", "method"), [*((name, "integrated_gradients") for name in NAMES), ("column", "gradient_shap"), ("word", "gradient_shap")])
def test_good_methods_point_at_what_was_planted(name, method):
    task, run = cases.planted(name), cases.taught(name)
    where = task.tested()
    where = where[run.outputs(task.samples.take(where))[0].argmax(1) == 1][:40]  # a map of a sample that was missed has nothing to show
    assert len(where) == 40
    found = explain.attribute(run, task.samples.take(where), method, target=1)
    hits = cases.pointing(found, task, where)
    chance = cases.by_chance(found.place_mask(task.modality), task, where, draws=5).mean()
    assert hits.mean() >= 0.85, (name, method, hits.mean())
    assert chance < 0.2


@pytest.mark.parametrize("name", ["column", "word"])
def test_occlusion_points_at_columns_and_words(name):
    task, run = cases.planted(name), cases.taught(name)
    where = task.tested()
    where = where[run.outputs(task.samples.take(where))[0].argmax(1) == 1]
    assert cases.pointing(explain.attribute(run, task.samples.take(where), "occlusion", target=1), task, where).mean() >= 0.9


def test_a_model_without_training_points_nowhere():
    from astrofuse_lab.explain.trust_models import randomised

    task = cases.planted("column")
    where = task.tested()
    few, rates = task.samples.take(where), []
    for seed in range(3):
        untrained = randomised(cases.taught("column"), seed)
        rates.append(cases.pointing(explain.attribute(untrained, few, target=1, steps=8), task, where).mean())
    assert np.mean(rates) < 0.65, "signal and decoy stand out alike: without training a map points at either"


@pytest.mark.parametrize("name", NAMES)
def test_copies_differ_where_and_only_where_the_signal_is(name):
    task = cases.planted(name)
    truth = np.asarray(task.samples.column(cases.TARGET))
    assert truth.mean() == 0.5
    assert not any(place.any() for place in np.array(task.places, dtype=object)[truth == 0]), "a decoy is nothing to point at"
    assert np.mean([place.any() for place in np.array(task.places, dtype=object)[truth == 1]]) > 0.9
    assert not {name.split(" copy")[0] for name in task.split.train} & {name.split(" copy")[0] for name in task.split.test}
    if name == "word":
        said = task.samples.arrays("text", [1])["utf8"].tobytes().decode().split()
        assert said[int(np.flatnonzero(task.places[1])[0])] == cases.WORD
        assert cases.DECOY in said


@pytest.mark.parametrize("name", ["line", "arc", "dip", "column"])
def test_a_signal_changes_its_place_and_nothing_else(name):
    kind, plant = cases.SIGNALS[name]
    source = cases.sky(kind, 120)
    extra = cases._of_table(source) if kind == "table" else {}
    plain, signal = ({**source.arrays(kind, [0]), **extra} for _ in range(2))
    nothing, place = plant(plain, np.random.default_rng(3), False), plant(signal, np.random.default_rng(3), True)
    assert not nothing.any()
    field = "values" if name == "column" else "flux"
    apart = np.abs(signal[field] - plain[field])
    apart = apart[0].max(0) if name == "arc" else apart.reshape(-1)
    assert apart[place].max() == apart.max() > 0
    assert apart[~place].max() <= 0.15 * apart.max()


def test_pointing_by_hand():
    place, real = np.array([False, True, True, False]), np.ones(4, dtype=bool)
    assert cases.points_at(np.array([0.0, 2.0, 1.0, 0.0]), place, real)
    assert not cases.points_at(np.array([3.0, 2.0, 1.0, 0.0]), place, real)
    assert cases.points_at(np.array([3.0, 2.0, 1.0, 0.0]), place, real, near=1)
    assert cases.points_at(np.array([3.0, 2.0, 1.0, 0.0]), place, np.array([False, True, True, True]))
    # of three equal ones the middle counts, so that a map that is the same everywhere points at the middle and nowhere else
    assert not cases.points_at(np.ones(5), np.array([True, True, False, False, False]), np.ones(5, dtype=bool))
