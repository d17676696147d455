"""Evaluation: every number follows from the predictions, subgroups are told in words, nothing later leaks into early times."""

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.alignment import moments
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.early_times import known_by, triggers
from astrofuse_lab.training.evaluation_groups import Tested as Judged
from astrofuse_lab.training.evaluation_groups import badly_served, by_subgroup, signal_to_noise, subgroups
from tests.conftest import make_toy_samples

QUICK = {"progress": False, "device": "cpu", "epochs": 3}


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(120, seed=2)


@pytest.fixture(scope="module")
def run(samples):
    return af.train("late_fusion", samples, "label", ["light_curve", "spectrum", "table"], split=samples.split(test=0.4), **QUICK)


@pytest.fixture(scope="module")
def table(run, samples):
    return af.evaluate(run, samples, by=["class", ("mag_g", 3)], subsets=True, early=(5.0, 1000.0), resamples=100)


def test_metrics_follow_from_the_predictions(table, run, samples):
    assert table["metric"].tolist() == list(M.METRICS["classification"])
    tested = table.meta["tested"]["late_fusion"]
    assert set(tested["ids"]) <= set(run.split.test)
    predicted, _ = run.outputs(samples, samples.positions(tested["ids"]))
    truth = samples.select(tested["ids"]).column("label").data
    assert (np.array(run.classes)[tested["truth"]] == truth).all()
    for row in table:
        assert row["value"] == pytest.approx(M.value(M.METRICS["classification"][row["metric"]], tested["truth"], predicted), abs=1e-9)
        assert row["low"] <= row["value"] <= row["high"] or row["metric"] == "calibration_error"
        assert row["n"] == len(truth) and row["groups"] == len(np.unique(samples.select(tested["ids"]).column("host").data))
    assert table.meta["verdict"].startswith(f"Balanced accuracy {table['value'][0]:.3f} [")


def test_tables_beside_the_metrics(table, run, samples):
    meta, n = table.meta, table["n"][0]
    classes = meta["by_class"]
    assert set(classes["class"]) == {"galaxy", "quasar", "star"} and set(classes["metric"]) == {"purity", "completeness", "f1", "roc_auc", "pr_auc"}
    recall = classes["value"][classes["metric"] == "completeness"]
    assert np.mean(recall) == pytest.approx(table["value"][0])
    assert meta["calibration"]["n"].sum() == n and ((meta["calibration"]["right"] >= 0) & (meta["calibration"]["right"] <= 1)).all()
    whole = meta["subsets"]
    assert len(whole) == 7 and whole["value"][-1] == pytest.approx(table["value"][0])
    assert meta["available"]["n"].sum() == n
    (cost,) = meta["cost"]
    assert cost["milliseconds"] > 0 and cost["milliseconds_alone"] > 0 and cost["megaflops"] > 0 and cost["parameters"] == run.parameters
    assert cost["weights_megabytes"] >= 4e-6 * run.parameters
    early = meta["early"]
    assert early["day"].tolist() == [5.0, 1000.0] and early["epochs"][0] < early["epochs"][1]


def test_subgroups_hold_what_they_say(table, samples):
    rows = table.meta["subgroups"]
    tested = table.meta["tested"]["late_fusion"]
    of_class = rows[rows["by"] == "class"]
    for row in of_class:
        mine = np.array([samples.select([i]).column("label").data[0] == row["subgroup"] for i in tested["ids"]])
        assert row["n"] == mine.sum() and row["value"] == pytest.approx(M.value(M.accuracy, tested["truth"][mine], tested["predicted"][mine]))
    bright = rows[rows["by"] == "mag_g"]
    assert len(bright) == 3 and bright["n"].sum() == table["n"][0] and np.ptp(bright["n"]) <= 1


def two_kinds(n=400):
    """Predictions that are right for half of the samples, and guessed for those of survey B."""
    import pyarrow as pa

    from astrofuse_lab.samples.sample_set import SampleSet

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, n)
    survey = np.array(["A", "B"])[np.arange(n) % 2]
    said = np.where(survey == "A", truth, rng.integers(0, 2, n))
    columns = pa.table({
        "object_id": [str(i) for i in range(n)], "survey": pa.array(survey, mask=np.arange(n) < 5), "magnitude": pa.array(rng.uniform(15, 20, n), mask=np.arange(n) > 390),
        "ra": np.where(survey == "A", 10.0, 200.0), "dec": np.zeros(n), "x": rng.normal(size=n),
    })  # fmt: skip
    return Judged(SampleSet(columns, {}, {"x": "input"}), "classification", truth, np.eye(2)[said], np.arange(n), (0, 1), ("table",))


def test_who_is_served_badly_is_said_in_words():
    tested = two_kinds()
    table = by_subgroup(tested, "survey", "accuracy", M.accuracy, 300, 0)
    assert table["subgroup"].tolist() == ["B", "A", "unknown"] or table["subgroup"].tolist() == ["A", "B", "unknown"]
    rows = {row["subgroup"]: row for row in table}
    a, b = (M.value(M.accuracy, tested.truth[k], tested.predicted[k]) for k in (tested.samples.column("survey").filled("") == "A", tested.samples.column("survey").filled("") != "A"))
    assert rows["A"]["difference"] == pytest.approx(a - b)
    assert rows["A"]["difference_low"] > 0 > rows["B"]["difference_high"]
    told = badly_served([table])
    assert told.startswith("Served badly: survey B (n = ") and "against the rest" in told and "survey A" not in told
    assert "unknown" not in told  # five samples are too few to say anything of
    even = by_subgroup(tested, ("magnitude", 2), "accuracy", M.accuracy, 300, 0)
    assert even["subgroup"].tolist()[-1] == "unknown" and even["n"].sum() == 400
    assert "no subgroup of 10 or more samples is served worse" in badly_served([even[:2]])


def test_subgroups_by_sky_edges_and_signal_to_noise(samples):
    tested = two_kinds()
    cells = subgroups(tested, ("sky", 4))[1]
    assert [k.sum() for _, k in cells] == [200, 200] and all("Dec" in name for name, _ in cells)
    edges = subgroups(tested, ("magnitude", (15, 16, 18)))[1]
    magnitude = np.ma.filled(tested.samples.column("magnitude"), np.nan)
    assert [k.sum() for _, k in edges] == [((magnitude >= 15) & (magnitude < 16)).sum(), ((magnitude >= 16) & (magnitude <= 18)).sum(), np.isnan(magnitude).sum()]
    ratio = signal_to_noise(samples, "spectrum")
    arrays = samples.arrays("spectrum")
    assert np.array_equal(np.isfinite(ratio), samples.present("spectrum"))
    one = int(np.flatnonzero(samples.present("spectrum"))[0])
    good = arrays["mask"][one]
    assert ratio[one] == pytest.approx(np.median((arrays["flux"][one] * np.sqrt(arrays["ivar"][one]))[good]), rel=1e-5)
    curve = samples[int(np.flatnonzero(samples.present("light_curve"))[0])]["light_curve"]
    at = int(np.flatnonzero(samples.present("light_curve"))[0])
    assert signal_to_noise(samples, "light_curve")[at] == pytest.approx(np.max(np.abs(curve.flux / curve.flux_err)[curve.mask]), rel=1e-5)
    for match, by in (("no errors", ("snr", "text")), ("of which modality", "snr"), ("no column 'moon'", "moon"), ("ascending edges", ("mag_g", (3, 2)))):
        with pytest.raises(InputError, match=match):
            subgroups(Judged(samples, "classification", np.zeros(120, dtype=int), np.zeros((120, 1)), np.arange(120), (0,), ("table",)), by)


def test_early_times_are_those_of_the_alignment(samples):
    times = triggers(samples, "light_curve", sigma=6.0, count=2)
    then, epochs = known_by(samples, ["light_curve", "table"], 12.0, sigma=6.0, count=2)
    for i in range(0, 120, 3):
        curve = samples[i]["light_curve"]
        cut = then[i]["light_curve"]
        if curve is None:
            assert cut is None and np.isnan(times[i])
            continue
        try:
            assert times[i] == moments.first_detection(curve, 6.0, 2)
        except AlignmentError:
            assert np.isnan(times[i]) and cut is None
            continue
        expected = moments.known_by(curve, 12.0, sigma=6.0, count=2)
        assert cut.mask.sum() == expected.mask.sum() == epochs[i]
        assert np.array_equal(np.sort(cut.time[cut.mask]), np.sort(expected.time[expected.mask]))
    assert np.array_equal(then.present("spectrum"), samples.present("spectrum"))
    with pytest.raises(InputError, match="of light curves"):
        known_by(samples, ["table"], 3.0)


def test_what_comes_later_changes_nothing_early(run, samples):
    from astrofuse_lab.samples.sample_set import ModalityData

    arrays = samples.arrays("light_curve")
    first = triggers(samples, "light_curve")
    owner = np.repeat(np.arange(120), np.diff(arrays["offsets"]))
    later = arrays["time"] > np.nan_to_num(first)[owner] + 5
    changed = {**arrays, "flux": np.where(later, -7777, arrays["flux"]).astype(np.float32)}
    present = changed.pop("present")
    data = {n: samples.data_of(n) for n in samples.modalities if n != "table"} | {"light_curve": ModalityData(samples.spec("light_curve"), changed, present)}
    before, after = (run.outputs(known_by(one, run.modalities, 5.0)[0])[0] for one in (samples, samples.with_data(data)))
    assert np.allclose(before, after, atol=1e-6)


def test_a_redshift_is_measured_as_one_and_a_distribution_too(samples):
    from astrofuse_lab.recipes.catalogue import get_recipe

    recipe = get_recipe("late_fusion").change(head=af.Part("mixture_density"))
    run = af.train(recipe, samples, "redshift", ["table"], split=samples.split(test=0.4), **QUICK)
    table = af.evaluate(run, samples, resamples=50)
    rows = {row["metric"]: row for row in table}
    assert {"rmse", "redshift_nmad", "redshift_outliers", "crps", "pit_distance", "coverage"} <= set(rows)
    assert 0 < rows["crps"]["value"] < 2 * rows["mae"]["value"] and 0 <= rows["coverage"]["value"] <= 1
    some = af.evaluate(run, samples, metrics=["mae", "redshift_outliers@0.05"], resamples=50)
    assert some["metric"].tolist()[:2] == ["mae", "redshift_outliers@0.05"]


def test_several_targets_are_measured_each(samples):
    targets = ["redshift", "ra"]
    run = af.train("late_fusion", samples, targets, ["table"], split=samples.split(test=0.4), **QUICK)
    table = af.evaluate(run, samples, resamples=50, by=("mag_g", 2))
    rows = {row["metric"]: row["value"] for row in table}
    assert rows["rmse"] == pytest.approx((rows["rmse[redshift]"] + rows["rmse[ra]"]) / 2)
    tested = table.meta["tested"]["late_fusion"]
    assert rows["mae[ra]"] == pytest.approx(np.abs(tested["truth"][:, 1] - tested["predicted"][:, 1]).mean())


def test_runs_side_by_side_and_parts(run, samples):
    table = af.evaluate({"one": run, "again": run}, samples, part="all", metrics=["accuracy"], resamples=50)
    assert table["run"].tolist() == ["one", "again"] and table["value"][0] == table["value"][1]
    assert af.evaluate([run, run], samples, metrics=["accuracy"], resamples=50)["run"].tolist()[1].startswith("1: ")
    ids = list(run.split.test[:20])
    assert af.evaluate(run, samples, part=ids, metrics=["accuracy"], resamples=50)["n"][0] <= 20
    regression = af.train("late_fusion", samples, "redshift", ["table"], epochs=1, progress=False)
    for match, call in (
        ("several tasks", lambda: af.evaluate([run, regression], samples)),
        ("no such part", lambda: af.evaluate(regression, samples)),
        ("part='tests'", lambda: af.evaluate(run, samples, part="tests")),
        ("no metric 'acuracy'", lambda: af.evaluate(run, samples, metrics=["acuracy"])),
        ("a list of names", lambda: af.evaluate(run, samples, metrics="accuracy")),
        ("takes runs", lambda: af.evaluate([], samples)),
        ("by='class'", lambda: af.evaluate(regression, samples, part="all", by="class")),
    ):
        with pytest.raises(InputError, match=match):
            call()


def test_without_a_target_one_modality_finds_another(samples):
    from astrofuse_lab.recipes.catalogue import get_recipe
    from astrofuse_lab.training.metrics_retrieval import ranks

    recipe = get_recipe("late_fusion").change(objective=af.Part("info_nce"), head=af.Part("projection"))
    run = af.train(recipe, samples, None, ["spectrum", "table"], split=samples.split(test=0.4), **QUICK)
    table = af.evaluate(run, samples, resamples=50)
    assert set(zip(table["query"], table["found"], strict=True)) == {("spectrum", "table"), ("table", "spectrum")}
    assert set(table["metric"]) == {"top", "top_percent", "median_rank", "reciprocal_rank"} and table.meta["task"] == "retrieval"
    part = samples.select(run.split.test)
    both = part.present("spectrum") & part.present("table")
    vectors = run.embed(part)
    _, rank = ranks(np.asarray(vectors["spectrum"])[both], np.asarray(vectors["table"])[both])
    row = next(r for r in table if r["query"] == "spectrum" and r["metric"] == "median_rank")
    assert row["n"] == both.sum() and row["value"] == np.median(rank)
    assert "spectrum finds its table first in" in table.meta["verdict"]
