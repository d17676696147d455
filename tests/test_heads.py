"""Heads: what they say follows the definitions, and every task is learned from end to end."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, RunError, UnknownNameError
from astrofuse_lab.models.heads import About
from astrofuse_lab.models.heads_classes import class_paths
from astrofuse_lab.models.parts import HEADS
from astrofuse_lab.models.tokens import Fused, InputLayout, Tokens
from astrofuse_lab.training.problem import Problem
from tests.conftest import make_toy_samples

STARS = ("RRab", "RRc", "LPV", "EB")
TREE = ["RRab<RRL", "RRc<RRL", "RRL<pulsating", "LPV<pulsating"]
LAYOUTS = {"image": InputLayout("image", ("g",), (1, 4, 4)), "table": InputLayout("table", ("a", "b"), (2,)), "light_curve": InputLayout("light_curve", ("g",), (5,))}


def fused(count=5, width=8, seed=0):
    torch.manual_seed(seed)
    tokens = {name: Tokens(torch.randn(count, 3, width), torch.rand(count, 3) > 0.3, {}) for name in ("image", "table")}
    return Fused(torch.randn(count, width), tokens)


SEEN = About((), LAYOUTS)


def head(name, outputs=3, about=SEEN, **options):
    torch.manual_seed(1)
    return HEADS[name](8, outputs, about, **options).eval()


# ---- classes --------------------------------------------------------------------------------------------------------


def test_a_class_is_the_product_of_the_choices_on_its_path():
    made = head("hierarchical", 4, About(STARS), tree=TREE)
    with torch.no_grad():
        said = made(fused())
        logits = made.layers(fused().vector).double()
    # nodes as the head orders them: by parent, then by name
    top = logits[:, :2].softmax(1)  # EB, pulsating
    rrl = logits[:, 2:4].softmax(1)  # RRab, RRc
    pulsating = logits[:, 4:6].softmax(1)  # LPV, RRL
    expected = torch.stack([top[:, 1] * pulsating[:, 1] * rrl[:, 0], top[:, 1] * pulsating[:, 1] * rrl[:, 1], top[:, 1] * pulsating[:, 0], top[:, 0]], 1)
    assert torch.allclose(said.values.exp().double(), expected, atol=1e-6)
    assert torch.allclose(said.values.exp().sum(1), torch.ones(5), atol=1e-6)
    assert made.levels == (("pulsating", "EB"), ("RRL", "LPV", "EB"))
    assert torch.allclose(said.extra["level_1"].double(), torch.stack([top[:, 1], top[:, 0]], 1), atol=1e-6)
    assert torch.allclose(said.extra["level_2"].sum(1), torch.ones(5), atol=1e-6)
    assert torch.allclose(said.extra["path"].sum(2), said.values)
    assert (said.extra["path"][:, 3, 1:] == 0).all()  # EB ends at the top


def test_names_that_are_paths_make_the_same_tree():
    named = ("pulsating/RRL/RRab", "pulsating/RRL/RRc", "pulsating/LPV", "EB")
    assert [len(path) for path in class_paths(named)] == [len(path) for path in class_paths(STARS, TREE)] == [3, 3, 2, 1]
    assert class_paths(["a/x", "b/x"]) == [("a", "a/x"), ("b", "b/x")]  # one name in two branches


@pytest.mark.parametrize(
    ("classes", "tree", "words"),
    [
        (("a", "b"), [], "needs a tree above the classes a, b"),
        (("a", "b"), ["a>g"], "holds 'a>g'; write each node"),
        (("a", "b"), ["a<g", "a<h"], "'a' has two parents"),
        (("a", "b"), ["a<g", "g<h", "h<g"], "'g' is below itself"),
        (("a", "b"), ["b<a"], "class 'a' has 'b' below it"),
        (("a", "b"), ["a<g", "c<g"], "'c' is a lowest node of the tree but none of the classes, a, b"),
    ],
)
def test_trees_that_cannot_be(classes, tree, words):
    with pytest.raises(InputError, match=words):
        head("hierarchical", 2, About(classes), tree=tree)


def test_ordered_classes_are_what_lies_between_thresholds():
    made = head("ordinal", 5)
    with torch.no_grad():
        made.steps.copy_(torch.tensor([-1.0, 0.3, -2.0, 1.0]))
        said = made(fused())
        score, thresholds = made.layers(fused().vector)[:, 0].double().numpy(), made.thresholds.double().numpy()
    assert (np.diff(thresholds) > 0).all()
    below = stats.logistic.cdf(thresholds[None] - score[:, None])  # P(class <= k)
    expected = np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=(0, 1)), axis=1)
    assert np.allclose(said.values.exp().numpy(), expected, atol=1e-6)
    assert np.allclose(said.extra["cumulative"].sigmoid().numpy(), 1 - below, atol=1e-6)


def test_ordered_classes_stay_finite_far_from_all_thresholds():
    made = head("ordinal", 3)
    values, _ = made.say(torch.tensor([[-200.0], [200.0]]))
    assert values.isfinite().all() and values.argmax(1).tolist() == [0, 2]


def test_evidence_makes_a_dirichlet_distribution():
    made = head("evidential")
    with torch.no_grad():
        said = made(fused())
    mean = torch.distributions.Dirichlet(said.extra["alpha"]).mean
    assert torch.allclose(said.values.softmax(1), mean, atol=1e-6)
    nothing = made.say(torch.full((1, 3), -50.0))[1]
    assert nothing["vacuity"].item() == pytest.approx(1.0)


# ---- numbers --------------------------------------------------------------------------------------------------------


def test_a_mixture_has_weights_that_sum_to_one_and_its_mean_is_the_answer():
    with torch.no_grad():
        said = head("mixture_density", 1, components=4)(fused())
    assert torch.allclose(said.extra["weights"].sum(1), torch.ones(5)) and (said.extra["scales"] > 0).all()
    assert torch.allclose(said.values[:, 0], (said.extra["weights"] * said.extra["means"]).sum(1))


def test_quantiles_never_cross_whatever_the_weights():
    made = head("quantiles", 1, levels=[0.1, 0.3, 0.5, 0.9])
    torch.manual_seed(0)
    values, extra = made.say(20 * torch.randn(500, 4))
    assert (extra["quantiles"].diff(dim=1) >= 0).all()
    assert torch.equal(values[:, 0], extra["quantiles"][:, 2])
    assert extra["levels"][0].tolist() == pytest.approx([0.1, 0.3, 0.5, 0.9])


@pytest.mark.parametrize("levels", [[0.1, 0.9], [0.5, 0.1], [0.0, 0.5], [0.5, 0.5, 0.9], [0.5]])
def test_levels_that_cannot_be(levels):
    with pytest.raises(InputError, match="levels="):
        head("quantiles", 1, levels=levels)


@pytest.mark.parametrize("decoder", ["embedding", "recurrent"])
def test_a_forecast_says_something_else_at_each_horizon(decoder):
    with torch.no_grad():
        values = head("forecast", 4, decoder=decoder)(fused()).values
    assert values.shape == (5, 4) and (values.std(1) > 0).all()


def test_a_recurrent_forecast_unrolls_its_unit():
    made = head("forecast", 3, decoder="recurrent")
    state, last, said = fused().vector, torch.zeros(5, 1), []
    with torch.no_grad():
        for _ in range(3):
            state = made.unit(last, state)
            last = made.layers(state)
            said.append(last)
        assert torch.allclose(made(fused()).values, torch.cat(said, 1))


# ---- without a target -----------------------------------------------------------------------------------------------


def test_projections_are_unit_vectors_and_nothing_where_a_modality_is_missing():
    given = fused()
    given.tokens["table"].mask[2] = False
    with torch.no_grad():
        extra = head("projection", 0)(given).extra
    assert set(extra) == {"embedding", "embedding.image", "embedding.table"}
    assert torch.allclose(extra["embedding"].norm(dim=1), torch.ones(5), atol=1e-6)
    assert extra["embedding.table"].norm(dim=1).tolist() == pytest.approx([1, 1, 0, 1, 1], abs=1e-6)


def test_a_reconstruction_has_the_shape_of_its_modality():
    assert head("reconstruction", 0)(fused()).extra["reconstruction"].shape == (5, 1, 4, 4)
    assert head("reconstruction", 0, modality="table")(fused()).extra["reconstruction"].shape == (5, 2)
    with pytest.raises(InputError, match=r"cannot make 'light_curve'.*image, table"):
        head("reconstruction", 0, modality="light_curve")


def test_a_distance_is_that_from_the_centre_and_an_error_that_of_the_modalities_there():
    made = head("anomaly_score", 0)
    with torch.no_grad():
        extra = made(fused()).extra
    assert all(layer.bias is None for layer in made.layers if isinstance(layer, torch.nn.Linear))
    assert torch.allclose(extra["score"], ((extra["place"] - 1) ** 2).sum(1))
    given = fused()
    given.tokens["image"].mask[0] = False
    given.tokens["image"].mask[1] = given.tokens["table"].mask[1] = False
    made = head("anomaly_score", 0, kind="reconstruction")
    with torch.no_grad():
        extra = made(given).extra
        table = given.tokens["table"]
        own = table.values[0][table.mask[0]].mean(0)
        assert extra["score"][0].item() == pytest.approx((made.back["table"](extra["place"][0]) - own).square().mean().item(), rel=1e-5)
    assert extra["score"][1] == 0
    with pytest.raises(UnknownNameError, match="'distance'"):
        head("anomaly_score", 0, kind="distances")


# ---- distributions --------------------------------------------------------------------------------------------------


def test_a_mixture_in_units_agrees_with_scipy():
    from astrofuse_lab.training.distributions import of_extras

    rng = np.random.default_rng(0)
    extra = {"weights": rng.dirichlet([1, 1], 3), "means": rng.normal(size=(3, 2)), "scales": rng.uniform(0.2, 1, (3, 2))}
    made = of_extras(extra, Problem("z", "regression", (), (10.0,), (2.0,)))
    parts = [stats.norm(10 + 2 * extra["means"][:, k], 2 * extra["scales"][:, k]) for k in range(2)]
    at = np.array([9.0, 11.0, 14.0])
    assert np.allclose(made.pdf(at[:, None])[:, 0], sum(extra["weights"][:, k] * parts[k].pdf(at) for k in range(2)))
    assert np.allclose(made.cdf(at[:, None])[:, 0], sum(extra["weights"][:, k] * parts[k].cdf(at) for k in range(2)))
    assert made.cdf(11.0).shape == (3,) and made.pdf(np.linspace(0, 20, 7)).shape == (3, 7)
    levels = [0.01, 0.16, 0.5, 0.97]
    assert np.allclose(made.cdf(made.quantile(levels)), np.tile(levels, (3, 1)), atol=1e-9)
    assert made.quantile(0.5).shape == (3,)
    drawn = rng.choice(2, size=(200_000,), p=extra["weights"][0])
    drawn = rng.normal(10 + 2 * extra["means"][0][drawn], 2 * extra["scales"][0][drawn])
    assert made.mean[0] == pytest.approx(drawn.mean(), abs=0.02) and made.std[0] == pytest.approx(drawn.std(), abs=0.02)


def test_quantiles_in_units_are_straight_lines_between_them():
    from astrofuse_lab.training.distributions import of_extras

    levels, places = np.array([[0.25, 0.5, 0.75]] * 2), np.array([[-1.0, 0.0, 1.0], [-1.0, 0.0, 3.0]])
    made = of_extras({"levels": levels, "quantiles": places}, Problem("z", "regression", (), (5.0,), (2.0,)))
    uniform = stats.uniform(1, 8)  # the first goes on straight: even from 1 to 9
    at = np.array([0.5, 1.5, 4.0, 8.9, 10.0])
    assert np.allclose(made.cdf(at)[0], uniform.cdf(at)) and np.allclose(made.pdf(at)[0], uniform.pdf(at))
    assert made.mean[0] == pytest.approx(uniform.mean()) and made.std[0] == pytest.approx(uniform.std())
    assert np.allclose(made.quantile([0.25, 0.5, 0.75])[1], [3, 5, 11])
    grid = np.linspace(-30, 60, 200_001)
    density = made.pdf(grid)[1]
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(density * grid, grid) == pytest.approx(made.mean[1], abs=1e-2)
    for wrong in (0.0, [0.5, 1.0]):
        with pytest.raises(InputError, match="levels="):
            made.quantile(wrong)


# ---- every task, from samples to predictions ------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples():
    """Objects whose label shows in the table and text, with further targets that follow from it."""
    made = make_toy_samples(150, seed=2)
    rng = np.random.default_rng(0)
    code = np.unique(made.column("label").data, return_inverse=True)[1]
    columns = {
        "bright": pa.array(code >= 1), "blue": pa.array(code == 1, mask=rng.random(150) < 0.2),
        "next_day": pa.array(code + rng.normal(0, 0.1, 150)), "next_week": pa.array(10 - 2 * code + rng.normal(0, 0.1, 150), mask=rng.random(150) < 0.2),
        "grade": pa.array(np.array(["low", "middle", "top"])[code]), "kind": pa.array(np.array(["star/hot", "star/cool", "galaxy"])[code]),
    }  # fmt: skip
    table = made._columns
    for name, values in columns.items():
        table = table.append_column(name, values)
    roles = {n: r for n, r in made.roles.items() if n != "object_id"} | dict.fromkeys(columns, "target")
    return af.SampleSet(table, made._data, roles, made.units, made.card)


PLAIN = af.Recipe(
    "plain", "Table and text", {"table": af.Part("mlp"), "text": af.Part("ngram_mlp")}, af.Part("concatenation"), width=16,
    schedule=af.Part.of("end_to_end", learning_rate=5e-3),
)  # fmt: skip


def trained(samples, target, head="auto", epochs=15, modalities=("table", "text"), **changes):
    recipe = PLAIN.change(head=head if isinstance(head, af.Part) else af.Part(head), **changes)
    return af.train(recipe, samples, target, list(modalities), split=samples.split(test=0.3, seed=1), epochs=epochs, progress=False, device="cpu")


def scores(run):
    return {str(row["metric"]): float(row["value"]) for row in run.metrics if row["part"] == "test"}


@pytest.mark.parametrize(
    ("target", "head", "metric", "least"),
    [
        ("kind", af.Part("hierarchical"), "balanced_accuracy", 0.6),
        ("grade", af.Part.of("ordinal", order=["low", "middle", "top"]), "balanced_accuracy", 0.6),
        ("label", af.Part("evidential"), "balanced_accuracy", 0.6),
        (["bright", "blue"], af.Part("auto"), "roc_auc", 0.8),
        ("redshift", af.Part("mixture_density"), "r2", 0.4),
        ("redshift", af.Part("quantiles"), "r2", 0.4),
        (["next_day", "next_week"], af.Part("auto"), "r2", 0.4),
        (["next_day", "next_week"], af.Part.of("forecast", decoder="recurrent"), "r2", 0.4),
    ],
)
def test_every_task_learns_what_shows(samples, tmp_path, target, head, metric, least):
    run = trained(samples, target, head)
    assert scores(run)[metric] > least
    again = af.Run.open(run.save(tmp_path / "run"), device="cpu")
    assert again.problem == run.problem and json.loads((tmp_path / "run" / "run.json").read_text())["problem"]["targets"] == list(run.targets)
    assert np.array_equal(again.outputs(samples)[0], run.outputs(samples)[0])
    assert run.outputs(samples)[0].shape == run.problem.blank(len(samples)).shape


def test_labels_and_several_numbers_have_a_column_each(samples):
    labels, numbers = trained(samples, ["bright", "blue"], epochs=1), trained(samples, ["next_day", "next_week"], epochs=1)
    assert labels.task == "multi_label" and numbers.task == "multi_regression"
    told = labels.predict(samples)
    assert {"object_id", "p_bright", "p_blue"} <= set(told.colnames)
    assert (np.abs(np.asarray(told["p_blue"]) - 0.5) < 0.5).all()
    told = numbers.predict(samples)
    assert {"object_id", "prediction_next_day", "prediction_next_week"} <= set(told.colnames)
    assert np.mean(told["prediction_next_week"]) == pytest.approx(8, abs=1.0)  # in the column's own unit
    assert labels.targets == ("bright", "blue") and "'bright', 'blue'" in repr(labels)


@pytest.mark.parametrize("name", ["mixture_density", "quantiles"])
def test_distributions_of_a_run_cover_the_truth(samples, name):
    run = trained(samples, "redshift", name)
    told = run.distribution(samples)
    truth = samples.column("redshift").data
    inside = (truth > told.quantile(0.16)) & (truth < told.quantile(0.84))
    assert 0.35 < inside.mean() < 0.95
    assert np.corrcoef(told.mean, truth)[0, 1] > 0.7
    table = told.table([0.5])
    assert table.colnames == ["object_id", "mean", "std", "q_0.5"] and len(table) == len(samples)
    plain = trained(samples, "redshift", epochs=1)
    with pytest.raises(RunError, match=r"single number.*quantiles"):
        plain.distribution(samples)


@pytest.mark.parametrize("name", ["mixture_density", "quantiles", "hierarchical"])
def test_decisions_train_heads_that_say_more(samples, name):
    target = "kind" if name == "hierarchical" else "redshift"
    run = trained(samples, target, name, epochs=15, decision=af.Part("average"))
    assert scores(run)["balanced_accuracy" if name == "hierarchical" else "r2"] > 0.3


@pytest.mark.parametrize("name", ["anomaly_score", "reconstruction"])
def test_what_no_decision_can_combine_is_refused(samples, name):
    with pytest.raises(InputError, match=rf"head '{name}' says nothing that a decision could combine"):
        trained(samples, None, name, epochs=1, decision=af.Part("average"))


def test_a_modality_is_made_from_the_others(samples):
    encoders = {**PLAIN.encoders, "image": af.Part.of("conv2d", depth=1, channels=8)}
    run = trained(samples, None, af.Part.of("reconstruction", modality="table"), epochs=20, modalities=("table", "image"), encoders=encoders)
    some = np.flatnonzero(samples.present("image"))
    batch = run.batch(samples, some)
    with torch.inference_mode():
        made = run.model(batch.values, batch.masks, {**batch.present, "table": torch.zeros(len(some), dtype=torch.bool)}).extra["reconstruction"]
    real = batch.masks["table"][:, 0]
    assert np.corrcoef(made[real, 0], batch.values["table"][real, 0])[0, 1] > 0.5  # magnitudes follow the class, which the image shows
    assert run.task == "self_supervised" and run.outputs(samples)[0].shape == (150, 0)


@pytest.mark.parametrize("kind", ["distance", "reconstruction"])
def test_what_was_never_seen_scores_high(samples, kind):
    usual = samples.take(samples.column("label").data != "star")
    run = af.train(
        PLAIN.change(head=af.Part.of("anomaly_score", kind=kind)), usual, None, ["table"], split=usual.split(test=0.3, seed=1), epochs=40, progress=False, device="cpu"
    )
    # brighter and redder than anything
    odd = np.asarray(samples.column("mag_g").data) + 0.0
    table = samples._columns.set_column(samples._columns.column_names.index("mag_g"), "mag_g", pa.array(odd - 12))
    strange = af.SampleSet(table, samples._data, {n: r for n, r in samples.roles.items() if n != "object_id"}, samples.units, samples.card)
    before, after = (np.asarray(run.predict(one)["anomaly_score"]) for one in (usual, strange))
    assert roc_auc_score(np.r_[before * 0, after * 0 + 1], np.r_[before, after]) > 0.75
    assert np.allclose(run.extras(usual)["score"], before)


def test_the_page_on_tasks_does_what_it_says(samples, monkeypatch, capsys):
    code = "\n".join(re.findall(r"```py\n(.*?)```", (Path(__file__).parents[1] / "docs" / "tasks.md").read_text(), re.DOTALL))
    train = af.train
    monkeypatch.setattr(af, "train", lambda *given: train(*given, ["table", "text"], epochs=1, progress=False, device="cpu"))
    exec(compile(code, "tasks.md", "exec"), {"af": af, "recipe": PLAIN, "samples": samples})
    assert "('low', 'middle', 'top')" in capsys.readouterr().out
