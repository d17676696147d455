"""Surrogates: planted rules and formulas are found again, and fidelity is what scikit-learn measures on samples that were not fitted."""

import explain_cases as cases
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, r2_score
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.surrogates_features import Scalars
from astrofuse_lab.explain.surrogates_fitted import Formula, Tree
from astrofuse_lab.models.tokens import Fused, Prediction
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.training.run import Run


class Planted(nn.Module):
    """Says star where the scaled colour is above a limit and the magnitude below another, else galaxy."""

    attends, modalities = False, ("table",)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, values, masks, present=None, *, attention=False):
        table = values["table"]
        star = (table[:, 1] > 0.2) & (table[:, 0] < 0.5)
        logits = torch.stack([(~star).float(), torch.full_like(table[:, 0], -5.0), star.float()], 1) * 4 + self.weight
        return Prediction(logits, Fused(logits, {}))


@pytest.fixture(scope="module")
def samples():
    return cases.make_toy_samples(240, seed=5)


@pytest.fixture(scope="module")
def planted(samples):
    real = cases.linear(("table",))
    return Run(real.recipe, real.problem, Preparation.fit(samples, ("table",)), Planted(), real.split, [], {"state": "finished"})


def test_a_planted_rule_is_found(planted, samples):
    found = explain.surrogate(planted, samples, depth=2)
    assert set(found.used) == {"colour", "mag_g"}
    (row,) = found.table()
    assert row["measure"] == "agreement" and row["value"] > 0.9 > row["baseline"] and row["low"] <= row["value"] <= row["high"]
    assert "colour" in found.text and " mag" in found.text and "star (" in found.text
    said = np.asarray(planted.predict(samples)["prediction"])
    assert accuracy_score(said, found.predict(samples)) > 0.95
    # fidelity is measured where it was not fitted, group by group
    held = samples.split(test=0.3, group=None, seed=0).test
    some = samples.select(held)
    assert row["n"] == len(held)
    assert row["value"] == pytest.approx(accuracy_score(np.asarray(planted.predict(some)["prediction"]), found.predict(some)))


def test_the_tree_is_scikit_learns(samples):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 4))
    values[rng.random(values.shape) < 0.1] = np.nan
    answers = (np.nan_to_num(values[:, 1]) > 0.3).astype(int) + (np.nan_to_num(values[:, 2]) > 0)
    mine = Tree.fit(list("abcd"), ["", "mag", "", ""], values, answers, True, 3, 0)
    theirs = DecisionTreeClassifier(max_depth=3, min_samples_leaf=4, random_state=0).fit(values, answers)
    new = rng.normal(size=(500, 4))
    new[rng.random(new.shape) < 0.1] = np.nan
    np.testing.assert_array_equal(mine.predict(new), theirs.predict(new))
    text = mine.text(str)
    assert 3 <= text.count("samples)") <= theirs.get_n_leaves() and "or unknown" in text and "<= 0.2" in text.replace("0.3", "0.2")


def test_a_linear_model_is_a_formula():
    """Log-odds between two classes that are linear in scaled columns: the coefficients are known."""
    samples = cases.samples()
    run = cases.linear(("table",))
    found = explain.surrogate(run, samples, "symbolic", target="star", score="logit")
    by_name = dict(zip(found.model.names, range(9), strict=False))
    weights = run.model.weights["table"].detach().numpy()[run.classes.index("star")]
    rows = {row["measure"]: row for row in found.table()}
    assert rows["r2"]["value"] > 0.9 > rows["r2"]["baseline"]
    batch = run.batch(samples)
    x = np.ma.filled(samples.column("mag_g").astype(float), np.nan)
    slope = np.polyfit(x, batch.values["table"][:, 0].numpy(), 1)[0] * weights[0]
    linear = [c for t, c in zip(found.model.terms, found.model.coefficients, strict=True) if t.form == "x" and t.first == by_name["mag_g"]]
    assert not linear or linear[0] == pytest.approx(slope, rel=0.5)
    assert "per mag" in found.text or "colour" in found.text


def test_a_planted_formula_is_found_with_its_numbers_and_units():
    rng = np.random.default_rng(2)
    values = np.stack([rng.uniform(1, 9, 300), rng.uniform(2, 5, 300), rng.normal(0, 1, 300), rng.uniform(1, 3, 300)], 1)
    truth = 1.5 + 2.0 * values[:, 0] / values[:, 1] - 0.7 * values[:, 2]
    found = Formula.fit(["image r flux", "image g flux", "shift", "depth"], ["uJy", "uJy", "day", "mag"], values, truth, 5, 0)
    assert {(t.form, t.first, t.second) for t in found.terms} == {("ratio", 0, 1), ("x", 2, -1)}
    np.testing.assert_allclose(found.predict(values), truth, atol=1e-8)
    assert found.text("score") == "score = 1.5\n    + 2 × image r flux / image g flux\n    - 0.7 per day × shift"
    product = Formula.fit(["a", "b"], ["mag", "uJy / s"], values[:, :2], 3 * values[:, 0] * values[:, 1], 3, 0)
    assert product.text("y") == "y = " + f"{product.constant:.4g}" + "\n    + 3 per (mag (uJy / s)) × a × b"
    log = Formula.fit(["a", "b"], ["uJy", ""], values[:, :2], 2 * np.log10(values[:, 0]), 3, 0)
    assert "log10(a / uJy)" in log.text("y") and len(log.terms) == 1
    noise = Formula.fit(["a", "b"], ["", ""], values[:, :2], rng.normal(size=300), 5, 0)
    assert len(noise.terms) == 1  # as few as can be, where no term is better than another


def test_scalars_are_what_they_are_called(samples):
    made = {name: (unit, values) for name, unit, values in Scalars.learned(samples, cases.MODALITIES).of(samples)}
    there = samples.present("spectrum")
    arrays = samples.arrays("spectrum")
    name = next(n for n in made if n.startswith("spectrum 4"))
    low, high = (float(v) for v in name.removeprefix("spectrum ").removesuffix(" Å").split("-"))
    inside = (arrays["lambda"] >= low - 0.5) & (arrays["lambda"] < high + 0.5)
    hand = np.ma.masked_array(arrays["flux"][:, inside], ~arrays["mask"][:, inside]).mean(1)
    np.testing.assert_allclose(made[name][1][there], hand[there], rtol=0.05)
    assert np.isnan(made[name][1][~there]).all() and made["spectrum present"][1].sum() == there.sum()
    curve = samples.one("light_curve", int(np.flatnonzero(samples.present("light_curve"))[0]))
    g = curve.mask & (curve.band == "g")
    first = int(np.flatnonzero(samples.present("light_curve"))[0])
    assert made["light_curve g mean"] [1][first] == pytest.approx(curve.flux[g].mean(), rel=1e-5)
    assert made["light_curve g scatter"][1][first] == pytest.approx(curve.flux[g].std(), rel=1e-4)
    assert made["light_curve span"] == ("day", pytest.approx(made["light_curve span"][1], nan_ok=True))
    said = samples.present("text")
    texts = np.array([samples.one("text", i).text if there else "" for i, there in enumerate(said)])
    np.testing.assert_array_equal(made["text says 'extended'"][1][said], np.char.find(texts[said], "extended") >= 0)
    assert "text says 'galaxy'" not in made  # it stands wherever "extended" does
    assert made["mag_g"][0] == "mag"
    assert made["image g flux"][0] == "uJy" and made["image g size"][0] == "arcsec"


def test_of_trained_runs_ensembles_and_numbers(samples):
    run = cases.trained("late_fusion")
    tree = explain.surrogate(run, samples, target="star", modalities=["table", "text", "light_curve"])
    assert {row["measure"] for row in tree.table()} == {"r2", "mae"} and "log odds of star" in tree.text
    held = samples.select(samples.split(test=0.3, group=None, seed=0).test)
    table = run.predict(held)
    odds = np.log(table["p_star"]) - np.log1p(-np.asarray(table["p_star"]))
    assert tree.table()["value"][0] == pytest.approx(r2_score(odds, tree.predict(held)), abs=1e-3)
    from astrofuse_lab.training.ensembles import Ensemble

    both = explain.surrogate(Ensemble([run, cases.trained("joint_attention")]), samples, modalities=["table"], depth=1)
    assert both.text.count("samples)") <= 2 and both.table()["value"][0] >= 0
    number = explain.surrogate(cases.trained("late_fusion", "redshift"), samples, "symbolic", terms=2)
    assert number.what == "redshift" and number.text.startswith("redshift = ") and len(number.model.terms) <= 2


def test_what_cannot_be_imitated(samples):
    run = cases.trained("late_fusion")
    with pytest.raises(InputError, match="target="):
        explain.surrogate(run, samples, "symbolic")
    with pytest.raises(InputError, match="tree"):
        explain.surrogate(run, samples, "forest")
    with pytest.raises(InputError, match="at least 20"):
        explain.surrogate(run, samples.take(np.arange(5)))
