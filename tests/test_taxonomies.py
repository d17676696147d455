"""Taxonomies as data, the head that cannot contradict them, views of light curves, and many questions answered by a network each."""

import itertools
import math
import os

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import average_precision_score, cohen_kappa_score, precision_score, recall_score, roc_auc_score

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, RunError, SampleSetError, StorageError, TrainingError, UnknownNameError
from astrofuse_lab.models.build import build
from astrofuse_lab.models.layers import Layers
from astrofuse_lab.models.parts import HEADS
from astrofuse_lab.models.tokens import Fused, InputLayout
from astrofuse_lab.recipes.taxonomies import CRTS, TAXONOMIES, fractions_of, get_taxonomy
from astrofuse_lab.recipes.taxonomy import Taxonomy
from astrofuse_lab.recipes.variable_taxonomies import CRTS_QUESTIONS, VIEWS
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.nulls import ORDERED, with_shuffled
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.samples.views import measure, measure_curves, one_band_each, with_views
from astrofuse_lab.training.dichotomies import HOLDS, Dichotomies, answers, asking, together, train_dichotomies, with_fractions
from astrofuse_lab.training.dichotomy_scores import agreement, contradictions, judge_answers, scores_of, taxonomy_table
from astrofuse_lab.training.dichotomy_trees import exchanged, importance, train_trees

TREES = list(TAXONOMIES.values())
SMALL = Taxonomy.of("small", "a first\n  b second\n    c third\n  d* fourth\ne fifth")


# ---- taxonomies ------------------------------------------------------------------------------------------------------


def test_the_published_taxonomies_are_whole():
    assert [len(tree.asked) for tree in TREES] == [22, 30]  # the classes of SCoPe's configuration
    keys = [key for tree in TREES for key in tree.nodes]
    assert len(keys) == len(set(keys))
    assert get_taxonomy("ontological").ancestors("rrab") == ("puls", "rrlyr")
    assert get_taxonomy("phenomenological").ancestors("el") == ("vnv", "pnp", "sin")
    with pytest.raises(UnknownNameError, match="ontological"):
        get_taxonomy("ontologic")


def test_relations_are_those_of_the_outline():
    assert SMALL.ancestors("c") == ("a", "b")
    assert SMALL.children("a") == ("b", "d")
    assert SMALL.children() == ("a", "e")
    assert SMALL.descendants("a") == ("b", "c", "d")
    assert SMALL.asked == ("a", "b", "c", "e")
    assert SMALL.tree(["c"]) == ["b<a", "c<b"]
    assert "c" in SMALL and "z" not in SMALL
    assert str(SMALL).splitlines()[2] == "    c third"
    for key in get_taxonomy("ontological").nodes:
        for above in get_taxonomy("ontological").ancestors(key):
            assert key in get_taxonomy("ontological").descendants(above)


@pytest.mark.parametrize(("outline", "words"), [("a\na", "twice"), ("a\n    b", "one step"), ("a\n b", "one step"), ("  a", "one step")])
def test_an_outline_that_cannot_be_is_refused(outline, words):
    with pytest.raises(InputError, match=words):
        Taxonomy.of("x", outline)


def test_fractions_hold_upwards_and_their_absence_downwards():
    assert SMALL.closed({"c": 0.75}) == {"a": 0.75, "b": 0.75, "c": 0.75}
    assert SMALL.closed({"b": 0.25, "c": 1}) == {"a": 1.0, "b": 1.0, "c": 1.0}
    assert SMALL.closed({"a": 0}) == {"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0}
    assert SMALL.closed({"b": 0, "d": 0.5}) == {"a": 0.5, "b": 0.0, "c": 0.0, "d": 0.5}
    with pytest.raises(InputError, match="'c' is 1 and 'b', which contains it, is 0"):
        SMALL.closed({"c": 1, "b": 0})
    with pytest.raises(InputError, match="from 0 to 1"):
        SMALL.closed({"c": 1.5})
    assert SMALL.contradictions({"a": 0.2, "c": 0.9, "e": 1.0}) == [("c", "a", pytest.approx(0.7))]  # the nearest that is there
    # 0, 0.25, 0.5, 0.75, 1 are SCoPe's votes, 0.7 its threshold
    assert [SMALL.answer(f) for f in (0.0, 0.5, 0.7, 0.75, 1.0, math.nan)] == [False, False, False, True, True, None]


def test_the_meaning_of_catalina_classes_contradicts_nothing():
    for label in CRTS:
        fractions = fractions_of(label)
        assert all(not tree.contradictions({k: v for k, v in fractions.items() if k in tree}) for tree in TREES), label
        assert fractions["vnv"] == 1.0
    assert fractions_of("RRab")["puls"] == fractions_of("LPV")["puls"] == 1.0
    assert fractions_of("EW")["e"] == 1.0 and fractions_of("RRc")["e"] == 0.0 and "e" not in fractions_of("PCEB")
    assert fractions_of("nonsense") == {}


# ---- the network and the head ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "parameters"), [(40, 22_266), (61, 27_642)])
def test_the_network_has_the_published_size(columns, parameters):
    layouts = {"table": InputLayout("table", tuple(map(str, range(columns))), (columns,)), "dmdt": InputLayout("image", ("any",), (1, 26, 26))}
    model = build(af.get_recipe("scope"), layouts, 2, "classification")
    assert model.parameter_count == parameters  # scope/nn.py, counted from its layers
    assert model.fusions["all"].vector_width == 16


def test_first_weights_of_he_keep_the_spread_of_what_goes_through():
    torch.manual_seed(0)
    x = torch.randn(64, 16, 20, 20)
    spread = {}
    for first in ("he", "torch"):
        rows = [["separable", 16, 3, "same", 1, first], ["relu"]] * 4
        spread[first] = Layers(rows, (16, 20, 20))(x).square().mean().item()
    assert 0.1 < spread["he"] < 10  # of an input of one: He et al. 2015, equation 10
    assert spread["torch"] < 0.05
    with pytest.raises(InputError, match="first='glorot'"):
        Layers([["separable", 16, 3, "same", 1, "glorot"]], (16, 20, 20))


def test_what_the_head_says_is_the_product_along_the_path():
    torch.manual_seed(0)
    labels = ["rrab", "puls", "bis"]
    head = HEADS["taxonomy"](8, 3, labels=labels, tree=get_taxonomy("ontological").tree(labels)).eval()
    assert head.nodes == ("rrab", "puls", "bis", "rrlyr")
    fused = Fused(torch.randn(5, 8), {})
    each = dict(zip(head.nodes, head.layers(fused.vector).sigmoid().T, strict=True))
    said = head(fused).values.sigmoid()
    assert torch.allclose(said[:, 0], each["rrab"] * each["rrlyr"] * each["puls"], atol=1e-6)
    assert torch.allclose(said[:, 1:], torch.stack([each["puls"], each["bis"]], 1), atol=1e-6)
    sure = Fused(fused.vector * 1e4, {})
    assert head(sure).values.isfinite().all()
    with pytest.raises(InputError, match="for 2 target columns"):
        HEADS["taxonomy"](8, 2, labels=labels)


# ---- views -----------------------------------------------------------------------------------------------------------


def curves(n=90, seed=0, bands=("g",)):
    """Sawtooth, sine and noise in turns, with an answer each."""
    rng = np.random.default_rng(seed)
    time, flux, band, sizes = [], [], [], []
    for i in range(n):
        for b in range(len(bands)):
            t = np.sort(rng.uniform(0, 200, 60))
            phase = (t / (0.5 + 0.3 * rng.uniform())) % 1
            shape = (phase - 0.5, 0.5 * np.sin(2 * np.pi * phase), 0 * t)[i % 3]
            time.append(t), flux.append(100 * 10 ** (-0.4 * (shape + 0.03 * rng.normal(size=60)))), band.append(np.full(60, b))
        sizes.append(60 * len(bands))
    time, flux = np.concatenate(time), np.concatenate(flux)
    fields = {
        "offsets": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), "time": time, "flux": flux, "flux_err": 0.03 * flux, "band": np.concatenate(band).astype(np.int16),
        "mask": np.ones(len(time), dtype=bool),
    }  # fmt: skip
    kind = np.arange(n) % 3
    fraction = np.where(kind == 2, 0.25, 1.0)
    fraction[kind == 1] = 0.75
    columns = pa.table({"object_id": [f"s{i}" for i in range(n)], "pnp": pa.array(fraction), "saw": pa.array((kind == 0).astype(float), mask=np.arange(n) == 4)})
    data = {"light_curve": ModalityData(ModalitySpec("light_curve", "light_curve", bands, (), "uJy"), fields, np.ones(n, dtype=bool))}
    return SampleSet(columns, data, {"pnp": "target", "saw": "target"}, {}, Card("curves", "Simulated curves", True))


QUICK = {**VIEWS, "features": ("light_curve", af.Part.of("features", which="published", shortest=0.3, longest=2.0))}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return measure(curves(), tmp_path_factory.mktemp("measured") / "set", QUICK, chunk=40)


def test_views_are_the_representations_and_measuring_keeps_them(measured):
    some = curves()
    both = with_views(some, QUICK)
    assert list(both.modalities) == ["dmdt", "light_curve", "features"]
    for name, (modality, part) in QUICK.items():
        alone = some.represent(modality, part.name, **part.options).arrays(modality)
        for field, array in both.arrays(name, [3, 1]).items():
            assert np.array_equal(array, alone[field][[3, 1]]), (name, field)
    assert list(measured.modalities) == ["dmdt", "table"]
    assert measured.spec("table").channels == both.spec("features").channels
    assert len(measured.inputs) == 37
    assert np.array_equal(measured.arrays("table")["values"], both.arrays("features")["values"])
    assert np.array_equal(measured.arrays("dmdt")["flux"], both.arrays("dmdt")["flux"])
    size = np.sqrt((measured.arrays("dmdt")["flux"] ** 2).sum((1, 2, 3)))
    assert np.allclose(size, 1, atol=1e-5) and measured.spec("dmdt").shape == (1, 26, 26)


def test_measuring_goes_on_where_it_stopped(tmp_path):
    some, seen = curves(10), []

    def until(work, numbers):
        for number in numbers:
            if len(seen) == 2:
                raise KeyboardInterrupt
            seen.append(number)
            yield work(number)

    views = {"dmdt": QUICK["dmdt"]}
    with pytest.raises(KeyboardInterrupt):
        measure(some, tmp_path / "set", views, chunk=3, map=until)
    assert seen == [0, 1]
    with pytest.raises(SampleSetError, match="half-done build"):
        measure(some, tmp_path / "set", {"dmdt": ("light_curve", af.Part.of("dmdt"))}, chunk=3)
    went = measure(some, tmp_path / "set", views, chunk=3, map=lambda work, numbers: seen.extend(numbers) or [work(n) for n in numbers])
    assert seen == [0, 1, 2, 3]
    assert list(went.object_ids) == list(some.object_ids)


def test_measured_numbers_stand_beside_a_table_that_was_there(tmp_path):
    from astrofuse_lab.samples.annotations import with_column

    some = with_column(curves(6), "parallax", pa.array(np.arange(6.0)), "input")
    made = measure(some, tmp_path / "set", QUICK)
    assert made.inputs[0] == "parallax" and made.inputs[1] == "features_n" and len(made.inputs) == 38


def test_each_band_is_a_curve_of_its_own():
    some = curves(5, bands=("g", "r"))
    each = one_band_each(some)
    assert list(each.object_ids[:4]) == ["s0:g", "s0:r", "s1:g", "s1:r"]
    assert each.roles["group"] == "group" and list(each.column("group")[:3]) == ["s0", "s0", "s1"]
    whole, one = some.one("light_curve", 3), each.one("light_curve", 7)
    keep = whole.band == "r"
    assert np.array_equal(one.time, whole.time[keep]) and np.array_equal(one.flux, whole.flux[keep])
    assert len(one_band_each(some, fewest=61)) == 0
    both = some.represent("light_curve", "features", which="published", period="")
    alone = each.represent("light_curve", "features", which="published", period="")
    assert np.allclose(both.arrays("light_curve")["values"][:, 22:], alone.arrays("light_curve")["values"][1::2])
    with pytest.raises(InputError, match="light curves have bands"):
        one_band_each(with_views(some, {"dmdt": VIEWS["dmdt"]}), "dmdt")


def test_curves_of_several_surveys_become_one_set(tmp_path):
    sets = {"one": curves(5, bands=("g", "r")), "two": curves(7, seed=1), "few": curves(3)}
    cut = sets["few"].arrays("light_curve")
    cut["mask"] = np.arange(len(cut["mask"])) % 60 < 4  # four usable epochs each: too few
    sets["few"] = sets["few"].with_data({"light_curve": ModalityData(sets["few"].spec("light_curve"), {n: a for n, a in cut.items() if n != "present"}, cut["present"])})
    made = measure_curves(sets, tmp_path / "all", QUICK, chunk=2)
    assert len(made) == 17 and made.simulated
    assert list(made.object_ids[[0, 1, 10]]) == ["one:s0:g", "one:s0:r", "two:s0:g"]
    assert set(made.column("survey")) == {"one", "two"} and made.column("group")[1] == "one:s0"
    alone = sets["two"].represent("light_curve", "features", **QUICK["features"][1].options).arrays("light_curve")["values"]
    assert np.array_equal(made.arrays("table", range(10, 17))["values"], alone)


def test_a_shuffled_twin_differs_in_order_alone():
    both = with_shuffled(curves(6, bands=("g", "r")))
    assert both.column(ORDERED).tolist() == [True] * 6 + [False] * 6
    assert both.column("group").tolist() == [f"s{i}" for i in range(6)] * 2
    a, b = both.arrays("light_curve", range(6)), both.arrays("light_curve", range(6, 12))
    assert np.array_equal(a["time"], b["time"]) and np.array_equal(a["band"], b["band"]) and not np.array_equal(a["flux"], b["flux"])
    order = [np.lexsort((one["flux"], np.repeat(np.arange(6), 120), one["band"])) for one in (a, b)]
    for name in ("flux", "flux_err"):  # each band's own values, with their errors
        assert np.array_equal(a[name][order[0]], b[name][order[1]])
    split = both.split(test=0.5, seed=0)
    assert not {i.split("~")[0] for i in split.train} & {i.split("~")[0] for i in split.test}
    with pytest.raises(InputError, match="epochs to shuffle"):
        with_shuffled(with_views(curves(3), {"dmdt": VIEWS["dmdt"]}), "dmdt")


@pytest.mark.parametrize(
    ("views", "words"),
    [({}, "at least one"), ({"light_curve": VIEWS["dmdt"]}, "already"), ({"x": ("image", af.Part("dmdt"))}, "made of 'image'"), ({"x": ("light_curve", af.Part("stft"))}, "made of")],
)
def test_a_view_that_cannot_be_is_refused(views, words):
    with pytest.raises(InputError, match=words):
        with_views(curves(3), views)


# ---- questions -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def family(measured):
    split = measured.split(test=0.3, seed=1)
    recipe = af.get_recipe("scope")
    recipe = recipe.change(schedule=af.Part.of("end_to_end", **{**recipe.schedule.options, "epochs": 12, "batch_size": 16}))
    return train_dichotomies(recipe, measured, ("pnp", "saw"), split=split, device="cpu"), split


def test_answers_are_fractions_above_the_threshold(measured):
    held, known = answers(measured, "pnp")
    assert known.all() and held.tolist() == [i % 3 != 2 for i in range(90)]
    assert answers(measured, "pnp", 0.8)[0].tolist() == [i % 3 == 0 for i in range(90)]
    held, known = answers(measured, "saw")
    assert not known[4] and known.sum() == 89
    with pytest.raises(InputError, match="fractions"):
        answers(measured, "epochs" if "epochs" in measured.roles else "object_id")


def test_a_question_within_another_is_asked_of_those_inside(measured):
    column = asking(measured, "saw", within=TREES).column(HOLDS.format("saw"))
    inside = np.ma.getmaskarray(column)
    assert inside.tolist() == [i % 3 == 2 or i == 4 for i in range(90)]  # pnp contains saw


def test_networks_answer_and_are_the_same_when_opened(family, measured, tmp_path):
    made, split = family
    test = measured.select(split.test)
    said = made.predict(test)
    assert said.colnames == ["object_id", "pnp_dnn", "saw_dnn"]
    judged = judge_answers(scores_of(said, "_dnn"), test, resamples=50)
    assert judged["roc_auc"].min() > 0.8  # sawtooth, sine and noise are plainly different
    made.save(tmp_path / "family")
    again = Dichotomies.open(tmp_path / "family", "cpu")
    assert again.questions == made.questions and again.threshold == 0.7
    assert all(np.array_equal(again.predict(test)[name], said[name]) for name in said.colnames)
    with pytest.raises(StorageError, match="overwrite=True"):
        made.save(tmp_path / "family")
    with pytest.raises(RunError, match="no family"):
        Dichotomies.open(tmp_path)
    with pytest.raises(InputError, match="there is no question"):
        made["rrab"]


def test_trees_answer_the_same_questions(family, measured):
    _, split = family
    trees = train_trees(measured, ("pnp", "saw"), split=split)
    test = measured.select(split.test)
    judged = judge_answers(scores_of(trees.predict(test), "_trees"), test, resamples=50)
    assert judged["roc_auc"].min() > 0.9
    # and with the image's cells beside
    both = train_trees(measured, ("saw",), split=split, modalities=("table", "dmdt"))
    assert both.models["saw"].n_features_in_ == 37 + 26 * 26
    with pytest.raises(InputError, match="trees need so many numbers"):
        train_trees(curves(9), ("pnp",), split=split, modalities=("light_curve",))


def test_importance_is_that_of_the_column_that_tells(measured):
    order = np.arange(len(measured))[::-1]
    turned = exchanged(measured, ("skew",), order)
    assert turned.inputs == measured.inputs
    place = measured.inputs.index("skew")
    assert np.array_equal(turned.arrays("table")["values"][:, place], measured.arrays("table")["values"][::-1, place])
    rest = [i for i in range(37) if i != place]
    assert np.array_equal(turned.arrays("table")["values"][:, rest], measured.arrays("table")["values"][:, rest])
    column = measured.inputs.index("f1_power")
    found = importance(lambda s: s.arrays("table")["values"][:, column], measured, "pnp")
    assert found["name"][0] == "f1_power" and found["share"][0] == 1.0 and (found["cost"][1:] == 0).all()


def test_a_question_without_both_answers_is_refused(measured):
    everyone = measured.take(np.arange(0, 90, 3))
    with pytest.raises(TrainingError, match=r"'pnp' has 30 group\(s\) of yes and 0 of no"):
        train_dichotomies("scope", everyone, ("pnp",))
    with pytest.raises(InputError, match="each once"):
        train_dichotomies("scope", measured, ("pnp", "pnp"))


def test_one_head_for_all_questions_never_contradicts_the_tree(measured):
    recipe = together("scope", ("pnp", "saw"), TREES)
    asked = asking(asking(measured, "pnp"), "saw")
    recipe = recipe.change(schedule=af.Part.of("end_to_end", epochs=2, batch_size=32))
    run = af.train(recipe, asked, [HOLDS.format("pnp"), HOLDS.format("saw")], device="cpu", progress=False)
    said, _ = run.outputs(asked)
    assert (said[:, 1] <= said[:, 0] + 1e-6).all()
    table = contradictions({"pnp": said[:, 0], "saw": said[:, 1]}, TREES, 1e-6)
    assert table["share"][0] == 0.0
    assert contradictions({"pnp": said[:, 1], "saw": said[:, 0]}, TREES)["share"][0] == 1.0


# ---- scores ----------------------------------------------------------------------------------------------------------


def test_scores_are_those_of_scikit_learn(measured):
    rng = np.random.default_rng(3)
    truth = answers(measured, "pnp")[0]
    said = np.clip(truth * 0.3 + rng.uniform(size=90) * 0.7, 0, 1)
    row = judge_answers({"pnp": said}, measured, resamples=200)[0]
    assert row["yes"] == 60 and row["no"] == 30
    expected = {"precision": precision_score(truth, said > 0.5), "recall": recall_score(truth, said > 0.5), "pr_auc": average_precision_score(truth, said), "roc_auc": roc_auc_score(truth, said)}
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, abs=1e-9)
        assert row[f"{name}_low"] < value < row[f"{name}_high"]


def test_agreement_is_counted_by_hand():
    from astropy.table import Table

    a, b = [0.9, 0.8, 0.1, 0.2, 0.75, 0.7], [0.8, 0.1, 0.9, 0.3, 0.95, 0.1]
    row = agreement(Table({"x_dnn": a, "x_xgb": b, "y_dnn": a}))
    assert list(row["question"]) == ["x"]
    assert [int(row[n][0]) for n in ("both", "first_only", "second_only", "neither")] == [2, 1, 1, 2]
    assert row["agree"][0] == pytest.approx(4 / 6)
    assert row["kappa"][0] == pytest.approx(cohen_kappa_score(np.array(a) > 0.7, np.array(b) > 0.7))
    assert row["difference"][0] == pytest.approx(np.mean(b) - np.mean(a))


def test_a_taxonomy_shows_as_a_table(measured):
    table = taxonomy_table(get_taxonomy("phenomenological"), measured)
    row = table[list(table["key"]).index("saw")]
    assert row["class"] == "· · sawtooth" and (row["yes"], row["no"], row["unknown"]) == (30, 59, 1)
    assert table["yes"].mask.sum() == len(table) - 2
    assert taxonomy_table(get_taxonomy("ontological")).colnames == ["class", "key", "within", "asked"]


# ---- real data -------------------------------------------------------------------------------------------------------

MIRROR = os.environ.get("ASTROFUSE_MIRROR", "")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="ASTROFUSE_MIRROR is not set")


@pytest.mark.real
@needs_mirror
def test_the_data_are_those_of_the_configuration():
    """Keys and nesting as the file has them, read line by line."""
    from pathlib import Path

    lines = (Path(MIRROR) / "scope" / "config.defaults.yaml").read_text().splitlines()
    begin, end = lines.index("taxonomy:"), lines.index("docs:")
    keys, path = {}, []
    for line in lines[begin:end]:
        if "class: " in line and line.strip().startswith(("- class", "class")):
            depth, key = line.index("class"), line.split("class: ")[1].strip()
            path = [(d, k) for d, k in path if d < depth]
            keys[key] = path[-1][1] if path else ""
            path.append((depth, key))
    tops = ("tds", "phenomenological", "ontological")
    ours = {key: node.parent for tree in TREES for key, node in tree.nodes.items() if key not in ("cbin", "rdbkp")}
    assert {("mir" if k == "mira" else k): ("" if p in tops else p) for k, p in keys.items() if k not in tops} == ours
    classes = [line for line in itertools.takewhile(lambda one: one != "inference:", lines[lines.index("  classes:") :]) if line.startswith("    ") and line[4].isalpha()]
    assert {line.split(":")[0].strip() for line in classes} == {key for tree in TREES for key in tree.asked}


@pytest.mark.real
@needs_mirror
def test_published_scores_of_the_two_classifiers_are_compared():
    table = af.load_samples("scope-predictions", progress=False).table
    made = agreement(table)
    assert len(made) == 44
    row = made[list(made["question"]).index("vnv")]
    taken = [np.asarray(table[name]) > 0.7 for name in ("vnv_dnn", "vnv_xgb")]
    assert row["both"] == (taken[0] & taken[1]).sum() == 17
    assert set(made["question"]) <= {key for tree in TREES for key in tree.nodes}


@pytest.mark.real
@needs_mirror
def test_catalina_labels_answer_ten_questions_and_more():
    some = with_fractions(af.load_samples("crts-variables", progress=False), {name: fractions_of(name) for name in CRTS}, CRTS_QUESTIONS)
    for question in CRTS_QUESTIONS:
        held, known = answers(some, question)
        assert (held & known).sum() >= 100 and (~held & known).sum() >= 100
