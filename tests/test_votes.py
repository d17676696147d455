"""Networks that vote in layers: the published rule on hand-worked cases, what goes on to the next layer, and CCSNscore's sizes and set."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.models.build import build
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.recipes.supernovae import HIERARCHY
from astrofuse_lab.samples.annotations import with_column
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.readers.core_collapse import LAYERS, two_bands
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import ModalitySpec
from astrofuse_lab.training.votes import AMBIGUOUS, Scores, confident, scored, train_votes, vote

# ---- the rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "error", "wins"),
    [
        ([0.9, 0.3], [0.05, 0.05], 0),  # 0.85 - 0.35 = 0.5
        ([0.3, 0.9], [0.05, 0.05], 1),
        ([0.6, 0.5], [0.04, 0.04], 0),  # 0.56 - 0.54 = 0.02
        ([0.6, 0.5], [0.05, 0.045], AMBIGUOUS),  # 0.55 - 0.545 = 0.005
        ([0.6, 0.5], [0.0, 0.2], AMBIGUOUS),
        ([0.5, 0.5], [0.0, 0.0], AMBIGUOUS),  # a tie
        ([0.2, 0.1], [0.0, 0.0], 0),  # the highest wins, however low: `confident` cuts it
        ([0.9, 0.5, 0.89], [0.02, 0.0, 0.02], AMBIGUOUS),
        ([0.9, 0.5, 0.8], [0.02, 0.4, 0.02], 0),  # only the next score's error counts
    ],
)
def test_the_published_rule(score, error, wins):
    assert vote([score], [error]).tolist() == [wins]


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 4).flatmap(lambda k: st.tuples(arrays(float, (6, k), elements=st.floats(0, 1)), arrays(float, (6, k), elements=st.floats(0, 0.5)))))
def test_the_rule_is_the_formula(both):
    score, error = both
    for p, s, won in zip(score, error, vote(score, error), strict=True):
        first = int(np.argmax(p))
        second = max((i for i in range(len(p)) if i != first), key=lambda i: (p[i], -i))
        assert won == (AMBIGUOUS if (p[first] - s[first]) - (p[second] + s[second]) < 0.01 else first)


def test_what_is_reported_by_itself():
    got = Scores(("a", "b"), np.array([[0.8, 0.1], [0.79, 0.1], [0.9, 0.1], [0.2, 0.95], [0.9, 0.89]]), np.array([[0.01, 0], [0.01, 0], [0.05, 0], [0.3, 0.04], [0.01, 0]]))
    won = vote(got.score, got.error)
    assert won.tolist() == [0, 0, 0, 1, AMBIGUOUS]
    assert confident(got, won).tolist() == [True, False, False, True, False]


@pytest.mark.parametrize(("score", "error"), [([[0.5]], [[0.1]]), ([[0.5, 0.2]], [[0.1]]), ([[0.5, 0.2]], [[-0.1, 0.0]])])
def test_scores_that_are_none_are_refused(score, error):
    with pytest.raises(InputError, match="two classes or more"):
        vote(score, error)


# ---- layers of networks ---------------------------------------------------------------------------------------------

TREE = {"": ("kind", ("hot", "cold")), "hot": ("fine", ("blue", "white"))}


@pytest.fixture(scope="module")
def voted():
    """Two numbers tell the first and second layer; three networks fewer than classes know nothing of each other."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 240))
    kind = np.where(x > 0, "hot", "cold")
    fine = pa.array(np.where(y > 0, "blue", "white"), mask=x <= 0)
    columns = pa.table({"object_id": [f"o{i}" for i in range(240)], "x": x, "y": y, "kind": kind, "fine": fine})
    samples = SampleSet(columns, {}, {"x": "input", "y": "input", "kind": "target", "fine": "target"})
    split = samples.split(test=0.3, seed=0)
    layers = Part.of("layers", layers=[["dense", 16], ["relu"], ["dropout", 0.1]], project=False)
    recipe = Recipe("v", "v", {"table": layers}, Part("join"), Part.of("classification", hidden=0, single=True), schedule=Part.of("end_to_end", learning_rate=2e-2))
    return train_votes(recipe, samples, TREE, split=split, epochs=15, device="cpu"), samples, split


def test_each_sample_goes_on_below_what_won_it(voted):
    votes, samples, split = voted
    test = samples.select(split.test)
    told = votes.predict(test, mc=10)
    assert told.colnames[1:5] == ["layer_1", "layer_1_score", "layer_1_error", "layer_1_confident"] and "layer_2" in told.colnames and "layer_3" not in told.colnames
    first, second = (np.ma.filled(np.ma.asarray(told[name]), "") for name in ("layer_1", "layer_2"))
    assert (first == test.column("kind").data)[first != ""].mean() > 0.9
    known = (second != "") & ~np.ma.getmaskarray(test.column("fine"))
    assert known.any() and (second == test.column("fine").filled(""))[known].mean() > 0.9
    assert not second[first == "cold"].astype(bool).any() and set(second) <= {"", "blue", "white"}
    again = votes.predict(test, mc=10)
    assert np.ma.allequal(np.ma.asarray(again["layer_1_score"]), np.ma.asarray(told["layer_1_score"]))


def test_scores_are_means_of_passes_and_errors_their_deviation(voted):
    votes, samples, _ = voted
    run = votes.runs[""]["hot"]
    got = votes.scores(samples, "", mc=8, seed=3)
    mean, deviation = scored(run, samples, 8, 3)
    np.testing.assert_array_equal(got.score[:, 0], mean)
    np.testing.assert_array_equal(got.error[:, 0], deviation)
    assert (deviation > 0).any()
    plain, none = scored(run, samples, 0)
    np.testing.assert_allclose(plain, np.asarray(run.predict(samples)["p_True"]), atol=1e-6)
    assert not none.any()
    with pytest.raises(InputError, match="no layer below 'cold'"):
        votes.scores(samples, "cold")


def test_others_are_as_many_as_the_class(voted):
    votes, samples, split = voted
    train, kind = set(split.train), dict(zip(samples.object_ids, samples.column("kind").data, strict=True))
    for name, run in votes.runs[""].items():
        used = [*run.split.train, *run.split.validation]
        yes = sum(kind[i] == name for i in used)
        assert set(used) <= train and yes == sum(kind[i] == name for i in train) and len(used) - yes == min(yes, len(train) - yes)


def test_hierarchies_that_cannot_be_are_refused(voted):
    _, samples, _ = voted
    recipe = Recipe("v", "v", {"table": Part("mlp")}, Part("concatenation"))
    with pytest.raises(InputError, match="two are needed"):
        train_votes(recipe, samples, {"": ("kind", ("hot",))})
    with pytest.raises(InputError, match="no training sample has kind='warm'"):
        train_votes(recipe, samples, {"": ("kind", ("warm", "hot"))})
    run = af.train(recipe, samples, "kind", epochs=1, progress=False, device="cpu")
    with pytest.raises(InputError, match="not False and True"):
        scored(run, samples)


# ---- CCSNscore ------------------------------------------------------------------------------------------------------

LAYOUTS = {
    "spectrum": InputLayout("spectrum", (), (256,)), "r_curve": InputLayout("series", ("r", "r_error"), (2, 200)), "g_curve": InputLayout("series", ("g", "g_error"), (2, 200)),
    "r_dmdt": InputLayout("image", ("r",), (1, 24, 24)), "g_dmdt": InputLayout("image", ("g",), (1, 24, 24)),
}  # fmt: skip


def test_ccsnscore_has_the_published_sizes():
    """153,313 numbers with all branches, 22,673 with the spectrum alone: what Keras printed for the released models."""
    recipe = af.get_recipe("ccsnscore")
    whole = build(recipe, LAYOUTS, 2, "classification")
    assert whole.parameter_count == 153_313 and whole.fusions["all"].vector_width == 40
    assert build(recipe, {"spectrum": LAYOUTS["spectrum"]}, 2, "classification").parameter_count == 22_673


def test_any_subset_of_the_branches_gives_an_answer():
    import torch

    model = build(af.get_recipe("ccsnscore"), LAYOUTS, 2, "classification").eval()
    torch.manual_seed(0)
    values = {name: torch.rand(2, *one.shape) for name, one in LAYOUTS.items()}
    masks = {name: torch.ones_like(v, dtype=torch.bool) for name, v in values.items()}
    present = {name: torch.tensor([True, name in ("spectrum", "r_dmdt")]) for name in LAYOUTS}
    with torch.no_grad():
        said = model(values, masks, present).values
        other = {name: torch.where(present[name].view(-1, *[1] * (v.ndim - 1)), v, 7.0) for name, v in values.items()}
        assert torch.equal(model(other, masks, present).values, said)  # what is missing says nothing
    assert said.isfinite().all()


def test_each_subtype_is_on_one_branch_of_the_hierarchy():
    for first, second in LAYERS.values():
        assert first in HIERARCHY[""][1] and (second is None or second in HIERARCHY[first][1])


def test_a_curve_is_of_the_band_with_more_detections():
    fields = {
        "offsets": np.array([0, 6, 9]), "time": np.arange(9.0), "flux": np.arange(1.0, 10, dtype=np.float32), "flux_err": np.ones(9, np.float32),
        "band": np.array([0, 1, 1, 2, 3, 1, 0, 0, 2], dtype=np.int8), "mask": np.array([1, 1, 1, 1, 1, 0, 1, 1, 1], bool), "limit": np.zeros(9, bool),
    }  # fmt: skip
    spec = ModalitySpec("light_curve", "light_curve", ("r", "R", "V", "u"), (), "uJy")
    got = two_bands(ModalityData(spec, fields, np.ones(2, bool)))
    assert got.spec.channels == ("r", "g") and got.fields["offsets"].tolist() == [0, 3, 6]
    assert got.fields["flux"].tolist() == [2, 3, 4, 7, 8, 9]  # R, R, V; then r, r, V
    assert got.fields["band"].tolist() == [0, 0, 1, 0, 0, 1]


@pytest.mark.real
def test_the_core_collapse_set_is_made_as_said(mirror, tmp_path_factory):
    if not (mirror / "supernovae" / "sn_spectra.parquet").is_file():
        pytest.skip(f"real data: {mirror} lacks supernovae")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTROFUSE_CACHE", str(tmp_path_factory.mktemp("votes")))
        samples = af.load_samples("core-collapse", mirror=mirror, progress=False)
    some = np.flatnonzero(samples.present("r_dmdt"))[:60]
    image, curve = samples.arrays("r_dmdt", some), samples.arrays("r_curve", some)
    np.testing.assert_allclose(image["flux"].sum((1, 2, 3)), 25 * 25, rtol=1e-4)  # 25 x 25 times the share of each cell
    flux = np.where(curve["mask"], curve["values"], 0.0)[:, 0]
    assert curve["present"].mean() > 0.9 and flux.min() >= 0.0 and flux.max() <= 1.0
    events = samples.column("group").data
    split = samples.split(test=0.4, seed=0)
    assert not set(events[samples.positions(split.train)]) & set(events[samples.positions(split.test)])
    seen = samples.take(some).represent("spectrum", "low_resolution", first=4200.0, last=9200.0, resolution=0.0, redshift="z").arrays("spectrum")
    assert seen["flux"].shape == (60, 256) and seen["flux"].max() == 1.0 and seen["flux"].min() == 0.0


# ---- SNIascore ------------------------------------------------------------------------------------------------------


def test_sniascore_gives_scores_and_redshifts_with_errors():
    """In a pass or two: what is asked of it, not how well it is answered."""
    samples, rng = make_toy_samples(40), np.random.default_rng(0)
    samples = with_column(samples, "is_ia", pa.array(rng.random(40) < 0.5), "target")
    samples = with_column(samples, "z_sn", pa.array(rng.uniform(0.01, 0.1, 40)), "target")
    inputs = {"spectrum": Part.of("low_resolution", first=4000.0, last=6200.0, pixels=32, stretch="asinh")}
    run = af.train(af.get_recipe("sniascore").change(inputs=inputs), samples, "is_ia", ["spectrum"], epochs=1, progress=False, device="cpu")
    score, error = scored(run, samples, 5)
    assert run.model.layouts["spectrum"].shape == (32,) and ((score > 0) & (score < 1)).all()
    assert (error[samples.present("spectrum")] > 0).all() and not error[~samples.present("spectrum")].any()  # without a spectrum all passes say the same
    found = af.train(af.get_recipe("sniascore_redshift").change(inputs=inputs), samples, "z_sn", ["spectrum"], epochs=1, progress=False, device="cpu").predict(samples, mc=5)
    seen = samples.present("spectrum")
    assert (np.ma.asarray(found["model_uncertainty"])[seen] > 0).all() and np.isfinite(np.ma.asarray(found["prediction"])[seen]).all()
