"""Comparisons: the same rows for all, paired intervals, and words that say what the numbers say."""

import threading

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.training import metrics as M
from tests.conftest import make_toy_samples

QUICK = {"progress": False, "device": "cpu", "epochs": 3, "resamples": 200}


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(90, seed=1)


@pytest.fixture(scope="module")
def table(samples):
    return af.compare("late_fusion", samples, "label", ["table", "text"], seeds=2, subsets=True, trees_each=True, **QUICK)


def test_rows_and_columns(table):
    assert table["model"].tolist() == ["fused", "table", "text", "trees: table", "trees: text", "trees", "chance"]
    assert {"metric", "value", "low", "high", "difference", "difference_low", "difference_high", "parameters", "seconds"} <= set(table.colnames)
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert np.isnan(table["difference"][0]) and np.isfinite(table["difference"][1:]).all()
    assert (table["parameters"][:3] > 0).all() and (table["seconds"][:6] > 0).all()
    assert table["value"][-1] == pytest.approx(1 / 3)  # chance: balanced accuracy of one class always


def test_all_rows_are_tested_on_the_same_objects(table, samples):
    split = samples.split(test=0.25)
    assert sorted(table.meta["ids"]) == sorted(split.test)
    for made in table.meta["predictions"].values():
        assert len(made) == 2 and all(len(p) == len(split.test) and np.isfinite(p).all() for p in made)
    assert table.meta["seeds"] == 2 and table.meta["simulated"]


def test_values_and_differences_follow_from_the_predictions(table, samples):
    truth = table.meta["truth"]
    def mean(name):
        return np.mean([M.value(M.balanced_accuracy, truth, p) for p in table.meta["predictions"][name]])
    for row in table[1:]:
        assert row["value"] == pytest.approx(mean(row["model"]))
        assert row["difference"] == pytest.approx(mean("fused") - mean(row["model"]))
    groups = np.unique(samples.select(table.meta["ids"]).column("host").data, return_inverse=True)[1]
    ids = samples.object_ids
    codes = np.unique(samples.column("host").data, return_inverse=True)[1][[ids.tolist().index(i) for i in table.meta["ids"]]]
    assert len(np.unique(groups)) == len(np.unique(codes)) == table.meta["test_groups"]
    drawn = {n: np.mean([M.resampled(M.balanced_accuracy, truth, p, codes, 200) for p in table.meta["predictions"][n]], axis=0) for n in ("fused", "text")}
    row = table[table["model"].tolist().index("text")]
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(M.interval(drawn["fused"] - drawn["text"]))


def test_paired_differences_are_narrower_than_unpaired(table):
    row = table[table["model"].tolist().index("trees")]
    paired = row["difference_high"] - row["difference_low"]
    unpaired = np.hypot(table["high"][0] - table["low"][0], row["high"] - row["low"])
    assert paired < unpaired


def test_subsets_of_the_fused_model(table):
    subsets = table.meta["subsets"]
    assert subsets["modalities"].tolist() == ["table", "text", "table + text"]
    assert subsets["value"][-1] == pytest.approx(table["value"][0])  # with all modalities it is the fused row


def test_folds_test_everything_once_and_groups_vote(samples):
    table = af.compare("late_fusion", samples, "label", ["table", "text"], seeds=[5], folds=3, one_vote=True, metric="roc_auc", **QUICK)
    assert table.meta["test_samples"] == 90 and table.meta["test_groups"] == 45 and table.meta["splits"] == 3
    assert set(table["metric"]) == {"roc_auc"} and table["value"][-1] == pytest.approx(0.5, abs=0.15)


def test_regression_is_better_when_lower(samples):
    table = af.compare("late_fusion", samples, "redshift", ["table", "text"], seeds=1, **QUICK)
    assert set(table["metric"]) == {"rmse"}
    fused, chance = table["value"][0], table["value"][-1]
    assert table["difference"][-1] == pytest.approx(chance - fused)  # positive where fused is better


def verdict_of(**rows):
    from astropy.table import Table

    from astrofuse_lab.training.report import verdict

    names = {"fused": "a + b", "a": "a", "b": "b", "trees": "a + b", "chance": ""}
    return verdict(Table(rows=[
        {"model": n, "modalities": m, "metric": "roc_auc", "value": 0.8, "low": 0.7, "high": 0.9,
         "difference": rows.get(n, (0.3, 0.2, 0.4))[0], "difference_low": rows.get(n, (0.3, 0.2, 0.4))[1], "difference_high": rows.get(n, (0.3, 0.2, 0.4))[2]}
        for n, m in names.items()
    ]))  # fmt: skip


def test_the_verdict_says_when_fused_is_not_better():
    told = verdict_of(b=(0.01, -0.02, 0.04), trees=(-0.1, -0.2, -0.05))
    assert "no different from the best single modality, b, as far as these samples can tell (+0.010 [-0.020, +0.040])" in told.replace("b as", "b, as")
    assert "worse than the trees (-0.100 [-0.200, -0.050])" in told
    assert "better than the best single modality, b (+0.050" in verdict_of(b=(0.05, 0.01, 0.09))
    worse = verdict_of(a=(0.1, 0.05, 0.15), b=(-0.05, -0.09, -0.01))
    assert "worse than the best single modality, b (-0.050" in worse and "Fusing made it worse: b alone is the better model here." in worse


@pytest.fixture(scope="module")
def swapped(samples):
    return af.compare(
        "late_fusion", samples, "label", ["image", "table", "text"], seeds=1, fusion=["concatenation", "gated", "decision: average"],
        ablate="modalities", trees="both", linear=True, **QUICK,
    )  # fmt: skip


def test_operators_side_by_side_by_one_argument(swapped, samples):
    fused = ["fused: concatenation", "fused: gated", "fused: decision: average"]
    left = ["without image", "without table", "without text"]
    assert swapped["model"].tolist() == [*fused, "image", "table", "text", *left, "trees", "boosting", "linear", "chance"]
    assert len(set(swapped["parameters"][:3].tolist())) == 3  # three different models
    operators = swapped.meta["operators"]
    assert operators["model"].tolist() == fused and len(set(operators["single"].tolist())) == 1
    best = operators["single"][0]
    singles = {n: v for n, v in zip(swapped["model"], swapped["value"], strict=True) if n in ("image", "table", "text")}
    assert singles[best] == max(singles.values())
    assert operators["difference"] == pytest.approx(operators["value"] - singles[best])
    assert "Of 3 fused models" in swapped.meta["verdict"] and "Of 3 ablations" in swapped.meta["verdict"]
    assert all(name in swapped.meta["verdict"] for name in ("the trees", "gradient boosting", "the linear model"))


def test_leaving_a_modality_out_is_a_training_of_the_others(swapped, samples):
    rows = {str(row["model"]): row for row in swapped}
    assert rows["without text"]["modalities"] == "image + table"
    alone = af.train("late_fusion", samples, "label", ["image", "table"], split=samples.split(test=0.25), seed=0, epochs=3, device="cpu", progress=False)
    assert rows["without text"]["parameters"] == alone.parameters
    predicted = alone.outputs(samples, samples.positions(swapped.meta["ids"]))[0]
    assert swapped.meta["predictions"]["without text"][0] == pytest.approx(predicted, abs=1e-6)


def test_what_a_prediction_costs(swapped):
    cost = dict(zip(swapped["model"].tolist(), swapped["milliseconds"].tolist(), strict=True))
    assert all(cost[name] > 0 for name in cost if name != "chance") and np.isnan(cost["chance"])


def test_modules_are_taken_out_one_at_a_time(samples):
    from astrofuse_lab.recipes.catalogue import get_recipe
    from astrofuse_lab.training.entrants import for_modalities, without_modules

    base = get_recipe("late_fusion").change(fusion=af.Part("gated"), encoders={**get_recipe("late_fusion").encoders, "table": af.Part.of("mlp", hidden=7)})
    made = without_modules(base, samples, ["image", "table"])
    assert set(made) == {"plain encoder of table", "plain fusion", "without augmentation"}
    assert made["plain fusion"].fusion.name == get_recipe("late_fusion").fusion.name and made["plain fusion"].encoders == base.encoders
    assert "hidden" not in made["plain encoder of table"].encoder_for("table", "table").options
    assert set(without_modules(base, samples, ["table"])) == {"plain encoder of table", "plain fusion"}  # a table is not turned
    adapted = base.change(adapt=(af.Part.of("shrink", modality="image"), af.Part("calibrate")), stack=af.Part.of("channels", modalities=["image", "table"]))
    assert {"without shrink", "without calibrate", "without stack"} <= set(without_modules(adapted, samples, ["image", "table"]))
    alone = for_modalities(adapted, ["table"])
    assert [part.name for part in alone.adapt] == ["calibrate"] and alone.stack is None
    assert for_modalities(adapted, ["image", "table"]) == adapted


def test_recipes_side_by_side(samples):
    table = af.compare(["late_fusion", "gated_fusion"], samples, "redshift", ["table", "text"], seeds=1, folds=2, by="stratified", metric="bias", **QUICK)
    assert table["model"].tolist()[:2] == ["fused: late_fusion", "fused: gated_fusion"]
    # bias is best at zero: the difference is that of its size
    assert table["difference"][1] == pytest.approx(abs(table["value"][1]) - abs(table["value"][0]))


def test_several_targets_and_labels(samples):
    numbers = af.compare("late_fusion", samples, ["redshift", "dec"], ["table", "text"], seeds=1, linear=True, **QUICK)
    assert set(numbers["metric"]) == {"r2"} and numbers["value"][-1] < 0.05  # the mean explains nothing
    truth, said = numbers.meta["truth"], numbers.meta["predictions"]["trees"][0]
    assert truth.shape == said.shape and truth.shape[1] == 2
    assert numbers["value"][3] == pytest.approx(np.mean([M.value(M.r2, truth[:, i], said[:, i]) for i in range(2)]))
    with pytest.raises(InputError, match="needs a target"):
        af.compare("late_fusion", samples, None, ["table"])


def test_several_labels_where_some_are_unknown(samples):
    import pyarrow as pa

    from astrofuse_lab.samples.sample_set import SampleSet

    names = ("object_id", "host", "mag_g", "colour", "is_star")
    columns = {n: pa.array(samples.column(n).data, mask=np.ma.getmaskarray(samples.column(n))) for n in names}
    columns["bright"] = pa.array(samples.column("mag_g").data < 19, mask=np.arange(90) % 5 == 0)
    roles = {"host": "group", "mag_g": "input", "colour": "input", "is_star": "target", "bright": "target"}
    marked = SampleSet(pa.table(columns), {"text": samples.data_of("text")}, roles)
    table = af.compare("late_fusion", marked, ["is_star", "bright"], ["table", "text"], seeds=1, linear=True, subsets=True, **QUICK)
    assert set(table["metric"]) == {"macro_f1"} and len(table.meta["subsets"]) == 3
    truth, said = table.meta["truth"], table.meta["predictions"]["trees"][0]
    assert 0 < np.isnan(truth[:, 1]).sum() < len(truth) and not np.isnan(truth[:, 0]).any()
    row = table[table["model"].tolist().index("trees")]
    assert row["value"] == pytest.approx(M.value(M.METRICS["multi_label"]["macro_f1"], truth, said)) and row["value"] > 0.7


def test_label_curve_draws_each_part_inside_the_next(samples):
    split = samples.split(test=0.3)
    table = af.label_curve("late_fusion", samples, "label", ["table", "text"], shares=(0.25, 1.0), seeds=1, split=split, **QUICK)
    assert sorted(set(table["share"].tolist())) == [0.25, 1.0]
    assert table["model"].tolist() == ["fused", "table", "text", "trees", "chance"] * 2
    labels = dict(zip(table["share"].tolist(), table["labels"].tolist(), strict=True))
    assert labels[1.0] == len(split.train) and 0.15 * labels[1.0] < labels[0.25] < 0.4 * labels[1.0]
    told = table.meta["verdict"]
    assert "the best single modality" in told and f"(of {labels[0.25]}, {labels[1.0]} labels tried)" in told

    from astrofuse_lab.training.label_curves import _thinned
    from astrofuse_lab.training.problem import pose

    truth, known = pose(samples, "label", ["table"]).encode(samples)
    parts = [_thinned(samples, truth, known, split, share, 0) for share in (0.2, 0.5, 1.0)]
    assert set(parts[0].train) < set(parts[1].train) < set(parts[2].train) == set(split.train)
    assert set(_thinned(samples, truth, known, split, 0.5, 1).train) != set(parts[1].train)
    for part in parts:
        assert part.test == split.test
        names = np.unique(samples.select(part.train).column("label").data)
        assert len(names) == 3
    for match, more in (("different numbers", {"shares": (0.0, 1.0)}), ("different numbers", {"shares": (0.5, 0.5)}), ("one part", {"folds": 3})):
        with pytest.raises(InputError, match=match):
            af.label_curve("late_fusion", samples, "label", ["table"], **{**QUICK, **more})


def test_bad_arguments(samples):
    for match, more in (
        ("exclude each other", {"folds": 3, "split": samples.split()}),
        ("at least one", {"seeds": 0}),
        ("no metric", {"metric": "accuraci"}),
        ("needs test ids", {"split": af.Split(tuple(samples.object_ids), ())}),
        ("tested again", {"split": [samples.split(), samples.split()]}),
        ("folds=1", {"folds": 1}),
        ("says how folds are made", {"by": "sky"}),
        ("no operator 'gatd'", {"fusion": "gatd"}),
        ("no level 'decide'", {"fusion": "decide: average"}),
        ("a name of its own", {"fusion": ["gated", "gated"]}),
        ("no ablation 'modality'", {"ablate": "modality"}),
        ("no tree baseline", {"trees": "oaks"}),
    ):
        with pytest.raises(InputError, match=match):
            af.compare("late_fusion", samples, "label", ["table"], **{"seeds": 1, **QUICK, **more})


def test_stop_ends_it(samples):
    stop = threading.Event()
    told = []

    def watch(now):
        told.append(now)
        stop.set()

    with pytest.raises(InputError, match="stopped"):
        af.compare("late_fusion", samples, "label", ["table", "text"], seeds=1, stop=stop, on_progress=watch, **QUICK)
    assert len(told) == 1 and told[0]["total"] == 3


def test_a_run_at_hand_is_not_trained_again(toy_samples):
    import astrofuse_lab as af

    split = toy_samples.split(test=0.3, seed=2)
    options = {"target": "label", "modalities": ["image", "table"], "split": split}
    run = af.train("late_fusion", toy_samples, **options, epochs=2, progress=False)
    given = af.compare("late_fusion", toy_samples, **options, seeds=1, epochs=2, fused=run, progress=False)
    anew = af.compare("late_fusion", toy_samples, **options, seeds=1, epochs=2, progress=False)
    assert given["value"][0] == anew["value"][0]
    with pytest.raises(af.errors.InputError, match="the recipe"):
        af.compare("gated_fusion", toy_samples, **options, seeds=1, fused=run, progress=False)
    with pytest.raises(af.errors.InputError, match="the split"):
        af.compare("late_fusion", toy_samples, **{**options, "split": toy_samples.split(test=0.3, seed=3)}, seeds=1, fused=run, progress=False)
    fewer = af.Split(split.train[:-6], split.test, by=split.by, group=split.group, seed=split.seed)
    with pytest.raises(af.errors.InputError, match="the split"):  # the same test part, but another training part
        af.compare("late_fusion", toy_samples, **{**options, "split": fewer}, seeds=1, epochs=2, fused=run, progress=False)
    with pytest.raises(af.errors.InputError, match="its seed"):
        af.compare("late_fusion", toy_samples, **options, seeds=[4], epochs=2, fused=run, progress=False)
