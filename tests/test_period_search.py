"""Periods by entropy and variance beside what defines them: literal loops over the papers' formulas, scipy's F test, least squares; and the day's aliases."""

import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_represented import curves

import astrofuse_lab as af
from astrofuse_lab.alignment.representations import features, folded_statistics, period_search
from astrofuse_lab.alignment.representations.common import Epochs
from astrofuse_lab.alignment.representations.period_search import Search, aliased, found, peaks, relation
from astrofuse_lab.errors import InputError, UnknownNameError


def literal_entropy(time, value, frequency, phases=20, levels=10):
    """Graham et al. 2013, eq. 3, as it is written: shares of cells, a logarithm each."""
    out = []
    m = (value - value.min()) / (value.max() - value.min())
    for f in frequency:
        phase = (time * f) % 1.0
        cell = Counter((min(int(p * phases), phases - 1), min(int(v * levels), levels - 1)) for p, v in zip(phase, m, strict=True))
        total = 0.0
        for j in range(phases):
            column = sum(cell[j, i] for i in range(levels)) / len(time)
            for i in range(levels):
                if cell[j, i]:
                    share = cell[j, i] / len(time)
                    total += share * np.log(column / share)
        out.append(total)
    return np.array(out)


def variable(rng, n=150, period=0.5678, length=900.0, nightly=True, shape=0):
    """Times at night or at any time, and a sinusoid, a sawtooth or two unlike eclipses."""
    time = np.sort(np.floor(rng.uniform(0, length, n)) + (rng.normal(0.4, 0.08, n) % 1 if nightly else rng.uniform(0, 1, n)))
    phase = (time / period) % 1
    if shape == 2:
        made = 0.6 * np.exp(-(((phase - 0.5) / 0.06) ** 2)) + 0.3 * (np.exp(-((phase / 0.06) ** 2)) + np.exp(-(((phase - 1) / 0.06) ** 2)))
    else:
        made = 0.4 * phase if shape else 0.3 * np.sin(2 * np.pi * phase)
    error = np.full(n, 0.03)
    return time, 15 + made + error * rng.normal(size=n), error


def many(rng, count, **more):
    parts = [variable(rng, **{name: values[i] if isinstance(values, np.ndarray) else values for name, values in more.items()}) for i in range(count)]
    return Epochs(*(np.concatenate([p[k] for p in parts]) for k in range(3)), np.concatenate([[0], np.cumsum([len(p[0]) for p in parts])]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.sampled_from([(20, 10), (7, 3), (2, 2)]))
@settings(max_examples=20, deadline=None)
def test_entropy_is_the_formulas(seed, n, cells):
    rng = np.random.default_rng(seed)
    time, value = np.sort(rng.uniform(0, 500, n)), rng.normal(15, 1, n)
    value[0] += 1e-3  # one epoch has no range, two need one
    frequency = rng.uniform(0.001, 10, 15)
    if n > 1:
        np.testing.assert_allclose(folded_statistics.entropy(time, value, frequency, *cells), literal_entropy(time, value, frequency, *cells), atol=1e-6)


def test_entropies_of_a_batch_are_those_of_each_curve():
    rng = np.random.default_rng(0)
    got = many(rng, 5, n=np.array([150, 9, 40, 150, 77]))
    got = got._replace(offsets=np.insert(got.offsets, 3, got.offsets[3]))  # and a curve without epochs
    frequency = np.linspace(0.01, 5, 200)
    made = folded_statistics.entropies(got, frequency)
    assert made.shape == (6, 200) and np.isnan(made[3]).all()
    for i in (0, 1, 2, 4, 5):
        span = slice(got.offsets[i], got.offsets[i + 1])
        np.testing.assert_allclose(made[i], literal_entropy(got.time[span], got.value[span], frequency), atol=1e-6)


def test_entropy_knows_its_ends():
    time = np.arange(40.0)
    assert folded_statistics.entropy(time, np.full(40, 3.0), np.array([0.3]))[0] == 0  # one level: nothing is unsure
    even = np.tile([0.0, 1.0], 20)
    made = folded_statistics.entropy(np.repeat(time[:20], 2), even, np.array([1e-9]), 1, 2)
    assert made[0] == pytest.approx(np.log(2))  # one column, two levels, half each


def test_variance_of_bins_is_the_f_of_an_analysis_of_variance():
    rng = np.random.default_rng(1)
    time, value, _ = variable(rng, 90)
    frequency = rng.uniform(0.01, 4, 12)
    made = folded_statistics.variance(time, value, frequency, 6)
    for f, theta in zip(frequency, made, strict=True):
        cell = np.minimum(((time * f) % 1 * 6).astype(int), 5)
        assert theta == pytest.approx(stats.f_oneway(*(value[cell == j] for j in range(6) if (cell == j).any())).statistic, rel=1e-9)
    weights = rng.integers(1, 4, 90)  # an epoch that weighs k counts as k, but for the degrees of freedom
    many = np.repeat(np.arange(90), weights)
    whole = folded_statistics.variance(time[many], value[many], frequency, 6) / (len(many) - 6) * (90 - 6)
    np.testing.assert_allclose(folded_statistics.variance(time, value, frequency, 6, 1 / np.sqrt(weights)), whole)
    assert folded_statistics.variance(time[:1], value[:1], frequency, 20).tolist() == [0.0] * 12  # one bin has nothing to be unlike


@pytest.mark.parametrize("harmonics", [1, 2, 4])
def test_variance_of_a_series_is_least_squares(harmonics):
    rng = np.random.default_rng(2)
    time, value, error = variable(rng, 80)
    error = error * rng.uniform(0.5, 2, 80)
    frequency = np.array([0.013, 0.7, 1 / 0.5678, 3.1])
    made = folded_statistics.harmonic_variance(time, value, error, frequency, harmonics)
    for f, theta in zip(frequency, made, strict=True):
        waves = [wave(2 * np.pi * f * k * time) for k in range(1, harmonics + 1) for wave in (np.cos, np.sin)]
        design = np.stack([np.ones(80), *waves], axis=1) / error[:, None]
        left = ((value / error - design @ np.linalg.lstsq(design, value / error, rcond=None)[0]) ** 2).sum()
        flat = ((value - np.average(value, weights=1 / error**2)) ** 2 / error**2).sum()
        expected = (80 - 2 * harmonics - 1) * (flat - left) / (2 * harmonics * left)
        assert theta == pytest.approx(expected, rel=1e-7)
    assert folded_statistics.harmonic_variance(time[:3], value[:3], error[:3], frequency, harmonics).tolist() == [0.0] * 4


def test_a_frequency_that_the_epochs_cannot_tell_gives_a_number():
    time = np.arange(30.0)
    made = folded_statistics.harmonic_variance(time, np.sin(time), np.ones(30), np.array([1.0, 0.5]), 3)  # all sines vanish
    assert np.isfinite(made).all() and made[0] < 1e-9


@pytest.mark.parametrize("method", period_search.METHODS)
def test_every_method_recovers_a_period(method):
    rng = np.random.default_rng(3)
    truth = np.array([0.31234, 0.5678, 1.7, 4.4, 33.3])
    got = many(rng, 5, period=truth, nightly=False, length=300.0, shape=np.array([0, 1, 0, 1, 0]))
    period, significance = found(got, Search(method, 0.2, 100.0, harmonics=1))
    assert relation(period, truth, 300.0).tolist() == ["same"] * 5
    assert (significance > 0.4).all()
    flat = Epochs(got.time[:300], np.full(300, 15.0), got.error[:300], np.array([0, 150, 150, 300]))
    assert np.isnan(found(flat, Search(method, 0.2, 100.0))).all()


def test_eclipses_want_a_method_that_folds():
    rng = np.random.default_rng(4)
    truth = rng.uniform(0.4, 3, 12)
    got = many(rng, 12, n=500, period=truth, nightly=False, length=200.0, shape=2)
    said = {m: relation(found(got, Search(m, 0.15, 50.0))[0], truth, 200.0).tolist() for m in ("lomb_scargle", "conditional_entropy")}
    assert said["lomb_scargle"].count("half") >= 10  # two eclipses a turn: its sinusoid sees one
    assert said["conditional_entropy"].count("same") >= said["lomb_scargle"].count("same") + 3


def test_an_outlier_does_not_hide_a_period():
    rng = np.random.default_rng(8)
    truth = rng.uniform(0.4, 3, 8)
    got = many(rng, 8, n=200, period=truth, nightly=False, length=200.0)
    got.value[::50] += 8.0
    said = [(relation(found(got, Search("conditional_entropy", 0.3, 50.0, clip=clip))[0], truth, 200.0) == "same").sum() for clip in (5.0, 0.0)]
    assert said[0] >= 6 > said[1]


def test_masked_frequencies_are_never_the_answer():
    rng = np.random.default_rng(5)
    time = np.sort(np.floor(rng.uniform(0, 300, 150)) + rng.normal(0.4, 0.05, 150))
    value = 15 + 0.5 * np.sin(2 * np.pi * time) + rng.normal(0, 0.01, 150)
    got = Epochs(time, value, np.full(150, 0.01), np.array([0, 150]))
    for method in period_search.METHODS:
        free = 1 / found(got, Search(method, 0.2, 100.0))[0][0]
        kept = 1 / found(got, Search(method, 0.2, 100.0, masked=period_search.TERRESTRIAL))[0][0]
        assert not any(low <= kept <= high for low, high in period_search.TERRESTRIAL), method
        if method == "lomb_scargle":
            assert aliased(np.array([1 / free]), 300.0)[0]
    assert np.isnan(found(got, Search("nested", 0.9, 1.1, masked=((0.5, 2.0),)))[0]).all()


def test_relations_to_the_true_period():
    truth, day = 0.61, period_search.SIDEREAL_DAY
    f = 1 / truth
    made = [truth, truth / 2, 2 * truth, 1 / (f + 1 / day), 1 / abs(f - 2 / day), 1 / (2 * f + 3 / day), 1 / (f + 0.25), np.nan, 1 / (f + 0.4 / 1000)]
    expected = ["same", "half", "double", "alias", "alias", "alias", "other", "none", "same"]
    assert relation(np.array(made), np.full(len(made), truth), 1000.0).tolist() == expected
    assert relation(np.array([400.0]), np.array([300.0]), 1000.0).tolist() == ["other"]  # half a cycle in 600 days would be one
    assert aliased(np.array([1.0, day, 0.5, 0.61, 2.0]), 1000.0).tolist() == [True, True, True, False, True]


def test_peaks_are_local_and_in_order():
    assert peaks(np.array([0.0, 3, 1, 1, 5, 5, 0, -np.inf, 2]), 3).tolist() == [5, 1, 8]


def test_a_recipe_may_choose_its_method():
    samples = curves(8, epochs=300)
    truth = samples.column("period").filled()
    for method in ("conditional_entropy", "nested"):
        arrays = samples.represent("light_curve", "features", method=method, shortest=0.3, longest=100.0, which="published").arrays("light_curve")
        period = 10 ** arrays["values"][:, -1 - 2 * len(features.FOURIER)]
        has = samples.present("light_curve")
        assert (relation(period, truth, 700.0)[has] == "same").mean() > 0.7, method
    with pytest.raises(UnknownNameError, match="period method 'entropy'"):
        samples.represent("light_curve", "features", method="entropy")
    with pytest.raises(UnknownNameError, match="period method 'nested'"):
        samples.represent("light_curve", "period_spectrum", method="nested")
    with pytest.raises(InputError, match="phases=1"):
        samples.represent("light_curve", "period_spectrum", phases=1)


def test_the_period_spectrum_stands_out_at_the_period():
    samples = curves(8, epochs=300)
    arrays = samples.represent("light_curve", "period_spectrum", shortest=0.3, longest=100.0, points=256).arrays("light_curve")
    peak = arrays["axis"][arrays["values"].max(axis=1).argmax(axis=1)]
    has = samples.present("light_curve")
    # a multiple of the period folds as orderly: entropy alone does not say which is shortest
    off = (-np.log10(samples.column("period").filled()) - peak)[has]
    assert (np.abs(off[:, None] - np.log10([1, 2, 3, 4, 0.5])).min(axis=1) < 0.02).mean() > 0.7


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("ASTROFUSE_MIRROR"), reason="the ZTF features are in the mirror")
def test_the_36_features_are_the_published_ones():
    """22 statistics and 14 of the fit, by the names of the pipeline's own file."""
    theirs = af.load_samples("ztf-features", progress=False).spec("table").channels
    ours = [features.AS_PUBLISHED[name] for name in (*features.PUBLISHED, *features.FOURIER)]
    assert len(set(ours)) == 36
    assert set(theirs[:22]) == set(ours[:22])
    assert {name.removesuffix("_EAOV") for name in theirs if name.endswith("_EAOV") and name.startswith("f1_")} == set(ours[22:])


def test_a_trend_is_no_period_of_a_folding_method():
    rng = np.random.default_rng(9)
    time = np.sort(rng.uniform(0, 400, 200))
    got = Epochs(time, 15 + 0.002 * time + rng.normal(0, 0.02, 200), np.full(200, 0.02), np.array([0, 200]))
    for method in ("aov", "nested"):
        seen_once, seen_twice = (found(got, Search(method, 0.5, 2000.0, turns=turns))[0][0] for turns in (0.0, 2.0))
        assert seen_once > 300 and seen_twice <= 200


@pytest.mark.parametrize("name", ["dmdt_shallow", "dmdt_deep", "ztfperiodic"])
def test_the_recipes_train_on_light_curves(name):
    samples = curves(40)
    run = af.train(name, samples, "label", ["light_curve"], split=samples.split(test=0.3, seed=0), epochs=1, device="cpu", progress=False)
    assert run.recipe.source.identifier.startswith("arXiv:") and np.isfinite([row["value"] for row in run.metrics]).all()
