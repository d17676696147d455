"""Trust checks: a model trained on a planted task passes, models without training fail, and each check by itself against what is known."""

import threading
from dataclasses import replace

import explain_cases
import numpy as np
import planted_cases as cases
import pytest
import torch
from scipy.stats import spearmanr

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain import trust, trust_curves, trust_models
from astrofuse_lab.explain.trust_case import Case, alike
from astrofuse_lab.training.run import Run

SKY = ("column",)
QUICK = {"most": 24, "resamples": 300, "steps": 8}


@pytest.fixture(scope="module")
def checked():
    task = cases.planted(*SKY)
    return explain.check(cases.taught(*SKY), task.samples, members=[cases.taught(*SKY, seed=1)], **QUICK)


@pytest.fixture(scope="module")
def case():
    task = cases.planted(*SKY)
    return Case(cases.taught(*SKY), task.samples, "integrated_gradients", None, {"steps": 8}, 24, 2000, 300, 0, None)


def row(found, name):
    return next(one for one in found.rows if one.check == name)


# ---- verdicts -------------------------------------------------------------------------------------------------------


def test_a_run_that_learned_a_planted_task_is_to_be_trusted(checked):
    assert checked.passed, checked.verdict
    assert checked.verdict.startswith("faithful: ")
    for words in ("deletion better than random", "a randomised model differs", "seeds agree"):
        assert words in checked.verdict
    table = checked.table()
    assert table.colnames == ["check", "value", "reference", "low", "high", "passed", "says", "about"]
    done = ~table["passed"].mask
    assert (table["low"][done] <= table["value"][done]).all()
    assert (table["value"][done] <= table["high"][done]).all()
    assert table.meta["verdict"] == checked.verdict
    assert "of" in repr(checked)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_models_without_training_fail(seed):
    task = cases.planted(*SKY)
    found = explain.check(trust_models.randomised(cases.taught(*SKY), seed), task.samples, checks=["skill", "learned", "randomised", "deletion"], **QUICK)
    assert not found.passed
    assert found.verdict.startswith("not to be trusted: ")
    assert row(found, "learned").passed is False  # whatever it says, it says by chance


def test_nothing_of_the_run_is_changed():
    run, task = cases.taught("word"), cases.planted("word")
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    state = torch.random.get_rng_state()
    first = explain.check(run, task.samples, checks=["randomised", "noise", "shuffled"], most=8, resamples=50, steps=8)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    assert not run.model.training
    again = explain.check(run, task.samples, checks=["randomised", "noise", "shuffled"], most=8, resamples=50, steps=8)
    assert [tuple(one) for one in first.rows] == [tuple(one) for one in again.rows], "seeded"


def test_all_modalities_at_once():
    found = explain.check(
        explain_cases.trained(), explain_cases.samples(), checks=["skill", "deletion", "shuffled", "missing"], method="saliency", most=6, resamples=50
    )
    names = [one.check for one in found.rows]
    assert [f"shuffled: {name}" for name in explain_cases.MODALITIES] == [name for name in names if name.startswith("shuffled: ")]
    assert all(one.about == "" for one in found.rows if one.check.startswith("shuffled: ")), "one modality may say what another says"


def test_verdicts_by_hand():
    done = trust.Checks((), "occlusion", 3, "r2")
    assert (done.passed, done.verdict) == (False, "not checked")
    good = trust.Check("deletion", 0.2, 0.0, 0.1, 0.3, True, "")
    bad = trust.Check("position only", 0.9, 0.9, 0.8, 1.0, False, "", "run")
    told = trust.Check("shuffled: image", 0.9, 0.9, 0.8, 1.0, False, "", "")
    assert trust.Checks((good, told), "occlusion", 3, "r2").verdict == "faithful: deletion better than random"
    assert trust.Checks((good, told), "occlusion", 3, "r2").passed
    assert trust.Checks((good, bad), "occlusion", 3, "r2").verdict == "faithful to a run that may take a shortcut: the position on the sky tells as much"
    failed = good._replace(passed=False)
    assert trust.Checks((failed, bad), "occlusion", 3, "r2").verdict.startswith("not to be trusted: deletion no better than random; ")
    assert not trust.Checks((good, bad), "occlusion", 3, "r2").passed


def test_an_ensemble_is_checked_for_whether_its_members_agree():
    from astrofuse_lab.training.ensembles import Ensemble

    task, several = cases.planted(*SKY), Ensemble([cases.taught(*SKY), cases.taught(*SKY, seed=1)])
    alone = explain.check(cases.taught(*SKY), task.samples, checks=["seeds"], members=[cases.taught(*SKY, seed=1)], **QUICK)
    assert explain.check(several, task.samples, checks=["seeds"], **QUICK).rows == alone.rows
    assert alone.rows[0].passed


def test_a_number_and_a_map_without_places():
    run = explain_cases.trained("late_fusion", "redshift", ("table",))
    found = explain.check(run, explain_cases.samples(), checks=["skill", "learned", "noise", "deletion"], most=8, resamples=50)
    assert found.measured == "r2"
    assert row(found, "skill").reference == 0
    assert "fewer than three places" in row(found, "noise").says, "two columns have no correlation"
    assert np.isfinite(row(found, "deletion").value)


# ---- other models -----------------------------------------------------------------------------------------------------


def test_randomisation_goes_from_the_head_down():
    run = cases.taught(*SKY)
    own = run.model.state_dict()
    changed = []
    for stage in range(3):
        new = trust_models.randomised(run, 4, stage).model.state_dict()
        changed.append({name.split(".")[0] for name in own if not torch.equal(own[name], new[name])})
    assert changed == [{"heads"}, {"heads", "fusions"}, {"heads", "fusions", "encoders"}]


def test_similarities_are_those_of_scipy(case):
    one = case.map
    other = replace(one, values={name: values + 0.1 * np.random.default_rng(0).normal(size=values.shape) for name, values in one.values.items()})
    plain, ranks = alike(one, other)
    for sample in (0, 5):
        real = one.place_mask("table")[sample]
        a, b = one.per_place("table")[sample][real], other.per_place("table")[sample][real]
        np.testing.assert_allclose(ranks[sample], spearmanr(np.abs(a), np.abs(b)).statistic, rtol=1e-6)
        np.testing.assert_allclose(plain[sample], np.corrcoef(a, b)[0, 1], rtol=1e-6)
    np.testing.assert_allclose(alike(one, one)[0][np.isfinite(plain)], 1)
    flat = replace(one, values={name: np.ones_like(values) for name, values in one.values.items()})
    assert np.isnan(alike(one, flat)[0]).all()


def test_shuffled_labels_are_shuffled_among_the_samples_only():
    task = cases.planted(*SKY)
    mixed = trust_models.shuffled(task.samples, [cases.TARGET], 0)
    before, after = (np.asarray(one.column(cases.TARGET)) for one in (task.samples, mixed))
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(np.sort(before), np.sort(after))
    for name in ("object_id", "ra", *task.samples.inputs):
        np.testing.assert_array_equal(np.ma.filled(task.samples.column(name), 0), np.ma.filled(mixed.column(name), 0))


def test_a_map_of_shuffled_labels_is_another():
    task, run = cases.planted(*SKY), cases.taught(*SKY)
    control = explain.label_control(run, task.samples, epochs=4)
    assert isinstance(control, Run)
    assert set(control.split.train) <= set(run.split.train)
    found = row(explain.check(run, task.samples, checks="labels", against=control, **QUICK), "shuffled labels")
    assert found.value < 0.8
    assert found.passed == (found.high < trust_models.MOST_ALIKE)
    assert explain.check(run, task.samples, checks=["labels"], against=run, **QUICK).rows[0].passed is False, "its own map is much the same"
    assert explain.check(run, task.samples, checks=["labels"], **QUICK).rows[0].passed is None
    with pytest.raises(InputError, match="none of these samples is among those the run was trained on"):
        explain.label_control(run, task.samples.select(run.split.test))


# ---- deletion and insertion -------------------------------------------------------------------------------------------


def test_curves_begin_and_end_at_the_sample_and_its_baseline(case):
    ranks = trust_curves.ranks_by_map(case.map)
    gone, come = (trust_curves.curve(case, ranks, deleted) for deleted in (True, False))
    np.testing.assert_allclose(gone[:, 0], come[:, -1], atol=1e-5)
    np.testing.assert_allclose(gone[:, -1], come[:, 0], atol=1e-5)
    odds = case.map.score
    np.testing.assert_allclose(gone[:, 0], 1 / (1 + np.exp(-odds)), atol=1e-4)
    np.testing.assert_allclose(come[:, 0], 1 / (1 + np.exp(-(odds - case.map.difference))), atol=1e-4)


def test_places_are_taken_in_the_order_of_the_map(case):
    ranks = trust_curves.ranks_by_map(case.map)["table"]
    for sample in range(4):
        real = case.map.place_mask("table")[sample]
        weights = case.map.per_place("table")[sample]
        first = np.argsort(ranks[sample])[: real.sum()]
        assert (np.diff(weights[first]) <= 1e-9).all()
        assert (ranks[sample][~real] > 1).all()
    assert trust_curves.area(np.array([[1.0] * len(trust_curves.SHARES)])) == pytest.approx(1)


def test_a_map_in_reverse_is_worse_than_random(case):
    """Deleting the least important first must lose against a random order, or the check could not fail."""
    backwards = Case(cases.taught(*SKY), cases.planted(*SKY).samples, "integrated_gradients", None, {"steps": 8}, 24, 2000, 300, 0, None)
    backwards.__dict__["map"] = replace(case.map, values={name: -values for name, values in case.map.values.items()})
    for deleted in (True, False):
        assert trust_curves.check_curves(case, deleted)[0].passed
        assert trust_curves.check_curves(backwards, deleted)[0].passed is False


# ---- shortcuts ----------------------------------------------------------------------------------------------------------


def test_a_shortcut_is_found(monkeypatch):
    """Positions that tell the label: trees that see only them come as far as the run."""
    import pyarrow as pa

    from astrofuse_lab.samples.sample_set import SampleSet

    task, run = cases.planted(*SKY), cases.taught(*SKY)
    columns = {name: task.samples.column(name) for name in task.samples.roles}
    truth = np.asarray(columns[cases.TARGET])
    columns["ra"] = np.ma.array(np.where(truth == 1, 10.0, 200.0) + np.random.default_rng(0).normal(size=len(truth)))
    columns["survey"] = np.ma.array(np.where(truth == 1, "north", "south"))
    told = {name: pa.array(np.asarray(one.data), mask=np.asarray(np.ma.getmaskarray(one))) for name, one in columns.items()}
    leaky = SampleSet(pa.table(told), {}, {**task.samples.roles, "survey": "other"}, {}, task.samples.card)
    found = explain.check(run, leaky, checks=["skill", "position", "survey", "artefacts"], **QUICK)
    assert row(found, "position only").passed is False
    assert row(found, "survey only").passed is False
    assert row(found, "artefacts only").passed
    assert found.verdict == "faithful to a run that may take a shortcut: the position on the sky tells as much; the survey tells as much"
    honest = explain.check(run, task.samples, checks=["position", "survey"], **QUICK)
    assert row(honest, "position only").passed
    assert row(honest, "survey only").passed is None


def test_what_cannot_be_done_says_why():
    task, run = cases.planted(*SKY), cases.taught(*SKY)
    found = explain.check(run, task.samples.take(np.arange(6)), checks=["skill", "position", "seeds"], most=4)
    assert [one.passed for one in found.rows] == [None] * 3
    assert all(one.says.startswith("not done: ") for one in found.rows)
    assert found.verdict == "not checked"
    with pytest.raises(UnknownNameError, match="deletion"):
        explain.check(run, task.samples, checks=["delation"])
    with pytest.raises(UnknownNameError, match="saliency"):
        explain.check(run, task.samples, "salience")
    with pytest.raises(InputError, match="no samples"):
        explain.check(run, task.samples.take([]))
    with pytest.raises(InputError, match="most=1"):
        explain.check(run, task.samples, most=1)


def test_progress_and_stop():
    task, run, told, stop = cases.planted(*SKY), cases.taught(*SKY), [], threading.Event()

    def on_progress(event):
        told.append(event)
        stop.set()

    found = explain.check(run, task.samples, checks=["deletion", "insertion", "noise"], most=4, steps=8, on_progress=on_progress, stop=stop)
    assert told == [{"done": 1, "total": 3, "check": "deletion"}]
    assert [one.check for one in found.rows] == ["deletion"]
    assert not found.complete
