"""Columns scaled and scaled back, stand-ins for missing values, and nothing fitted that sees the test part."""

import json
import warnings

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrofuse_lab.alignment import imputation
from astrofuse_lab.alignment.column_scaling import SCALINGS
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.samples.sample_set import SampleSet

WILD = st.floats(-1e6, 1e6, allow_nan=False, width=32)


def table(values, mask=None, **more):
    """A set of these columns alone."""
    values = np.asarray(values, dtype=float)
    mask = np.ones(values.shape, bool) if mask is None else mask
    columns = {"object_id": [f"o{i}" for i in range(len(values))]} | {f"c{c}": pa.array(values[:, c], mask=~mask[:, c]) for c in range(values.shape[1])} | more
    return SampleSet(pa.table(columns), {}, {f"c{c}": "input" for c in range(values.shape[1])})


def fitted(samples, *args, **options):
    return Preparation.fit(samples, ["table"], {"table": Part.of(*args, **options)})


@settings(max_examples=60, deadline=None)
@given(values=arrays(float, st.integers(1, 60), elements=WILD), name=st.sampled_from(sorted(SCALINGS)), where=st.floats(0, 1))
def test_every_scaling_goes_there_and_back_inside_the_fitted_range(values, name, where):
    if name == "log":
        values = np.abs(values) + 1e-3
    one = SCALINGS[name]
    numbers = np.array(one.fit(values))
    inside = np.append(values, values.min() + where * (values.max() - values.min()))
    if name == "quantile":  # within the knots: of values whose ranks cannot be told apart one stands for all
        inside = np.clip(inside, numbers[0], numbers[len(numbers) // 2 - 1])
    scaled = one.forward(inside, numbers)
    assert np.isfinite(scaled).all()
    width = max(float(np.ptp(values)), float(np.abs(values).max()), 1e-12)
    np.testing.assert_allclose(one.inverse(scaled, numbers), inside, rtol=0, atol=1e-6 * width)
    assert (np.diff(one.forward(np.sort(inside), numbers)) >= -1e-12).all()  # no scaling changes the order


def test_scalings_do_what_they_are_called():
    from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, QuantileTransformer, StandardScaler

    values = np.random.default_rng(0).lognormal(2, 1, 400)
    got = {name: one.forward(values, np.array(one.fit(values))) for name, one in SCALINGS.items()}
    for name, peer in (("z_score", StandardScaler()), ("min_max", MinMaxScaler()), ("largest", MaxAbsScaler())):
        np.testing.assert_allclose(got[name], peer.fit_transform(values[:, None])[:, 0], atol=1e-12)
    np.testing.assert_allclose(got["log"], StandardScaler().fit_transform(np.log10(values)[:, None])[:, 0], atol=1e-12)
    inner = np.argsort(values)[20:-20]
    peer = QuantileTransformer(n_quantiles=400, output_distribution="normal").fit_transform(values[:, None])[:, 0]
    np.testing.assert_allclose(got["quantile"][inner], peer[inner], atol=0.015)  # ours counts ranks from the middle of each: half a rank of 400
    assert abs(np.median(got["robust"])) < 1e-12 and np.median(np.abs(got["robust"])) == pytest.approx(1 / 1.4826)
    assert abs(got["asinh"].mean()) < 1e-12 and got["asinh"].std() == pytest.approx(1)


def test_tables_of_a_run_are_scaled_back_in_their_units():
    rng = np.random.default_rng(1)
    values = np.stack([rng.normal(20, 2, 300), rng.lognormal(3, 1, 300), rng.integers(0, 2, 300).astype(float)], axis=1)
    for name in SCALINGS:
        samples = table(np.maximum(values, 0.5))
        preparation = fitted(samples, name, clip=1000.0)
        batch = preparation.batch(samples)
        # what a model is given is float32: seven digits of the scaled value
        back = preparation.inverse("table", batch.values["table"].numpy())
        np.testing.assert_allclose(back, samples.arrays("table")["values"], rtol=2e-5, atol=2e-5)
    with pytest.raises(InputError, match="only tables"):
        preparation.inverse("image", values)
    with pytest.raises(InputError, match=r"\(object, 3\)"):
        preparation.inverse("table", values[:, :2])


def test_a_recipe_chooses_columns_and_the_others_stay_at_the_default():
    rng = np.random.default_rng(2)
    samples = table(rng.lognormal(0, 2, (200, 3)))
    plain, some = fitted(samples, "robust"), fitted(samples, "quantile", columns=["c1"])
    one, other = (p.batch(samples).values["table"].numpy() for p in (plain, some))
    np.testing.assert_array_equal(one[:, [0, 2]], other[:, [0, 2]])
    assert np.abs(other[:, 1]).max() < 4 and not np.allclose(one[:, 1], other[:, 1])
    back = Preparation.from_json(json.loads(json.dumps(some.to_json(), allow_nan=False)))
    np.testing.assert_array_equal(back.batch(samples).values["table"].numpy(), other)


def test_runs_stored_before_there_was_a_choice_still_read(toy_samples):
    data = Preparation.fit(toy_samples, ["table"]).to_json()
    old = {"table": {**data["table"], "options": {"clip": 6.0}}}
    one, other = (Preparation.from_json(d).batch(toy_samples).values["table"].numpy() for d in (data, old))
    np.testing.assert_array_equal(one, other)
    assert set(data["table"]["fitted"]) == {"centre", "width"}


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(SCALINGS)), how=st.sampled_from(imputation.WAYS), seed=st.integers(0, 99), wild=st.sampled_from([1e9, -1e9, 0.0]))
def test_altering_test_rows_changes_nothing_fitted(name, how, seed, wild):
    rng = np.random.default_rng(seed)
    values, mask = rng.lognormal(0, 1, (40, 3)), rng.random((40, 3)) > 0.2
    mask[0] = True
    train, altered, seen = np.arange(25), values.copy(), mask.copy()
    altered[25:], seen[25:] = wild, rng.random((15, 3)) > 0.5
    one, other = (fitted(table(v, m).take(train), name, impute=how).to_json() for v, m in ((values, mask), (altered, seen)))
    assert one == other


def test_missing_stays_a_mask_unless_a_recipe_asks():
    rng = np.random.default_rng(3)
    mask = rng.random((80, 3)) > 0.3
    mask[5] = False
    samples = table(rng.normal(size=(80, 3)), mask)
    masks = {how: fitted(samples, "z_score", impute=how).batch(samples).masks["table"].numpy() for how in imputation.WAYS}
    np.testing.assert_array_equal(masks.pop("mask"), mask)
    for got in masks.values():
        assert not got[5].any() and got[np.arange(80) != 5].all() == mask.any(axis=1)[np.arange(80) != 5].all()


def test_stand_ins_equal_those_of_scikit_learn():
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    rng = np.random.default_rng(4)
    base = rng.normal(size=(120, 2))
    values = np.concatenate([base, base @ rng.normal(size=(2, 2)) + rng.normal(0, 0.1, (120, 2))], axis=1)
    mask = rng.random(values.shape) > 0.15
    mask[:, 0] = True
    train, test = slice(0, 80), slice(80, 120)
    gaps = np.where(mask, values, np.nan)
    peers = {
        "median": SimpleImputer(strategy="median"), "mean": SimpleImputer(), "nearest": KNNImputer(n_neighbors=5),
        "iterative": IterativeImputer(max_iter=imputation.ROUNDS, tol=0.0, random_state=0),
    }  # fmt: skip
    for how, peer in peers.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = peer.fit(gaps[train]).transform(gaps[test])
        numbers = json.loads(json.dumps(imputation.fit(np.where(mask, values, 0.0)[train], mask[train], how)))
        got, has = imputation.fill(np.where(mask, values, 0.0)[test], mask[test], how, numbers)
        np.testing.assert_allclose(got, expected, atol=1e-9, err_msg=how)
        assert has.all()


def test_values_without_a_logarithm_are_missing():
    values = np.array([[1.0, 1.0], [10.0, -1.0], [0.0, -1.0], [-5.0, -2.0]])
    samples = table(values[:, :1])
    batch = fitted(samples, "log").batch(samples)
    assert batch.masks["table"][:, 0].tolist() == [True, True, False, False] and batch.present["table"].tolist() == [True, True, False, False]
    with pytest.raises(InputError, match="'c1' has no value above 0"):
        fitted(table(np.column_stack([values[:, 0], -np.abs(values[:, 1])])), "log")


@pytest.mark.parametrize(
    ("name", "options", "error", "match"),
    [
        ("quantle", {}, UnknownNameError, "quantile"), ("quantile", {"impute": "magic"}, UnknownNameError, "imputation"),
        ("log", {"columns": ["mag_x"]}, InputError, "no column 'mag_x'; it has mag_g"), ("robust", {"clip": 0}, InputError, "above 0"),
        ("robust", {"sigma": 3}, InputError, "no option 'sigma'"),
    ],
)  # fmt: skip
def test_bad_input_says_what_there_is(name, options, error, match):
    with pytest.raises(error, match=match):
        fitted(make_toy_samples(20), name, **options)


def test_a_column_that_training_never_saw():
    values, mask = np.random.default_rng(5).normal(size=(30, 2)), np.ones((30, 2), bool)
    mask[:20, 1] = False
    samples = table(values, mask)
    for name in SCALINGS:
        for how in imputation.WAYS:
            batch = fitted(samples.take(np.arange(20)), name, impute=how).batch(samples)
            assert np.isfinite(batch.values["table"].numpy()).all()


# ---- units --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "values", "unit", "expected"),
    [
        (("mJy", "Jy"), (1.5, 0.002), "uJy", (1500.0, 2000.0)), (("nJy", "nJy"), (250.0, None), "uJy", (0.25, None)),
        (("1 / mJy2", "1 / mJy2"), (4.0, 1.0), "1 / uJy2", (4e-6, 1e-6)), (("um", "nm"), (2.2, 500.0), "Angstrom", (22000.0, 5000.0)),
        (("hourangle", "deg"), (6.0, 90.0), "deg", (90.0, 90.0)), (("mag", "mag"), (20.0, 21.0), "mag", (20.0, 21.0)),
        (("pc", "kpc"), (5.0, 1.0), "pc", (5.0, 1000.0)), (("arcsec", "arcmin"), (1.0, 1.0), "arcsec", (1.0, 60.0)),
        (("furlong", "furlong"), (1.0, 2.0), "furlong", (1.0, 2.0)), (("mJy", "s"), (1.0, 2.0), "uJy", (1000.0, None)),
    ],
)  # fmt: skip
def test_columns_come_in_one_unit_the_inner_one(units, values, unit, expected):
    from astrofuse_lab.alignment.tables import stack
    from astrofuse_lab.modalities import TableRow

    got = stack([TableRow({"x": v, "name": "a"}, {"x": u}) for v, u in zip(values, units, strict=True)])
    assert got.units["x"] == unit
    assert got.values["x"] == [None if v is None else pytest.approx(v) for v in expected]


@settings(max_examples=30, deadline=None)
@given(value=st.floats(1e-6, 1e6), unit=st.sampled_from(["mJy", "Jy", "nJy", "erg / (s cm2 Hz)", "um", "nm", "rad", "hourangle"]))
def test_units_go_there_and_back(value, unit):
    from astropy.units import Unit

    from astrofuse_lab.alignment.column_units import inner

    change = inner(unit)
    assert Unit(change.unit).to(Unit(unit), value * change.factor) == pytest.approx(value, rel=1e-12)
    assert inner(change.unit) is None  # twice changes nothing


@pytest.mark.parametrize("name", sorted(SCALINGS))
def test_explanations_start_from_the_median_whatever_the_scaling(name):
    from astrofuse_lab.explain.baselines import BASELINES

    samples = table(np.random.default_rng(6).lognormal(1, 1, (101, 2)))
    preparation = fitted(samples, name)
    batch = preparation.batch(samples)
    start = BASELINES["table"]["median"](batch.values["table"], batch.masks["table"], preparation.scalings["table"])
    np.testing.assert_allclose(preparation.inverse("table", start.numpy())[0], np.median(samples.arrays("table")["values"], axis=0), rtol=1e-5)
