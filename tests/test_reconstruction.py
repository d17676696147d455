"""Bad pixels reconstructed, strange rows flagged, modalities paired in time: against astropy, scipy and scikit-learn."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import astrofuse_lab as af
from astrofuse_lab.alignment import reconstruction, reconstruction_steps
from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.modalities import Image, Spectrum
from astrofuse_lab.samples.anomalies import isolation_forest
from astrofuse_lab.samples.asynchronous import pair_in_time
from tests.conftest import make_toy_samples


def image(seed=0, bad=0.15, shape=(2, 30, 40)):
    rng = np.random.default_rng(seed)
    return rng.normal(10, 2, shape), rng.uniform(0.5, 2, shape), rng.random(shape) > bad


def test_neighbours_give_what_astropy_gives():
    from astropy.convolution import Gaussian2DKernel, interpolate_replace_nans

    flux, ivar, mask = image()
    mask[0, 10:16, 10:16] = False
    got = reconstruction.from_neighbours(flux, ivar, mask, sigma=1.0, least=0.02)
    for b in range(2):
        expected = interpolate_replace_nans(np.where(mask[b], flux[b], np.nan), Gaussian2DKernel(1.0, x_size=9, y_size=9))
        inner = got.new[b] & (np.pad(np.ones((22, 32), bool), 4))  # beyond the border astropy sees zeros, and we nothing
        assert inner.sum() > 80 and np.allclose(got.flux[b][inner], expected[inner], rtol=1e-9)
    assert np.array_equal(got.mask, mask | got.new) and got.new.sum() > 0.7 * (~mask).sum() and not got.new[0, 12:14, 12:14].any()
    assert np.array_equal(got.flux[mask], flux[mask]) and np.array_equal(got.ivar[mask], ivar[mask])


def test_the_variance_of_what_is_reconstructed_is_that_of_its_mean():
    rng = np.random.default_rng(0)
    mask = rng.random((12, 12)) > 0.2
    many = rng.normal(0, 2, (4000, 12, 12))
    for got, new in ((f := reconstruction.from_neighbours(many, np.full(many.shape, 0.25), np.broadcast_to(mask, many.shape)), f.new), (f := reconstruction.interpolated(many, np.full(many.shape, 0.25), np.broadcast_to(mask, many.shape)), f.new)):
        assert new.any() and np.allclose((got.flux.var(0) * got.ivar[0])[new[0]], 1, atol=0.15)
    assert reconstruction.from_neighbours(many[0], None, mask).ivar is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_straight_lines_bridge_narrow_gaps_only(seed, widest):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(4000, 9000, 40))
    mask = rng.random(40) > 0.4
    flux = np.where(mask, 3 * x + 1, np.nan)
    got = reconstruction.interpolated(flux, np.ones(40), mask, widest, x)
    assert np.allclose(got.flux[got.mask], 3 * x[got.mask] + 1) and (got.mask >= mask).all()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~mask, [0]]).astype(int)))
    for begin, end in edges.reshape(-1, 2):
        inside = begin > 0 and end < 40 and end - begin <= widest
        assert got.new[begin:end].all() if inside else not got.new[begin:end].any()
    assert np.array_equal(got.new, got.mask & ~mask)


def test_median_filter_is_scipys_where_all_is_good():
    from scipy.ndimage import median_filter

    flux, _, mask = image()
    got, good = reconstruction.median_filtered(flux, np.ones(flux.shape, bool), 5)
    expected = np.stack([median_filter(one, 5) for one in flux])
    assert np.allclose(got[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2]) and good.all()
    spoiled, good = reconstruction.median_filtered(np.where(mask, flux, np.nan), mask, 3)
    assert np.array_equal(good, mask) and np.isfinite(spoiled[mask]).all()
    assert spoiled[0, 4, 4] == pytest.approx(np.median(flux[0, 3:6, 3:6][mask[0, 3:6, 3:6]])) or not mask[0, 4, 4]


def test_steps_of_products_and_what_they_count():
    flux, ivar, mask = image()
    one = Image(flux.astype(np.float32), mask, ("g", "r"), PixelGrid(30, 0.5).wcs(1, 2), 0.5, ivar.astype(np.float32))
    about = {}
    got = reconstruction_steps.from_neighbours(one, about)
    assert got.flux.dtype == np.float32 and about[" measured"]["image_reconstructed_pixels"][0] == (got.mask & ~mask).sum() > 0
    assert reconstruction_steps.median_filtered(one, about).ivar is None
    wave = np.linspace(9000, 4000, 200)
    good = np.arange(200) % 20 > 1
    spectrum = Spectrum(wave, np.where(good, wave, np.nan), np.ones(200), good)
    got = reconstruction_steps.interpolated(spectrum, about)
    assert got.mask[:-2].all() and np.allclose(got.flux[got.mask], got.wavelength[got.mask]) and (np.diff(got.wavelength) > 0).all()
    sea = Spectrum(wave, np.full(200, np.nan), np.zeros(200), np.zeros(200, bool))
    assert not reconstruction_steps.interpolated(sea, about).mask.any()
    for call, words in ((lambda: reconstruction.interpolated(flux, ivar, mask, 0), "widest"), (lambda: reconstruction.from_neighbours(flux, ivar, mask, 0), "sigma"), (lambda: reconstruction.median_filtered(flux, mask, 4), "odd")):
        with pytest.raises(AlignmentError, match=words):
            call()


# ---- strange rows ----------------------------------------------------------------------------------------------------


def with_columns(samples, **columns):
    table = samples._columns
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return af.SampleSet(table, samples._data, {**samples.roles, **dict.fromkeys(columns, "input")}, samples.units, samples.card)


def test_strange_rows_are_flagged_as_scikit_learn_says():
    from sklearn.ensemble import IsolationForest

    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, 60), rng.normal(0, 1, 60)
    x[7], y[7] = 30.0, -30.0
    samples = with_columns(make_toy_samples(), x=x, y=y)
    got = isolation_forest(samples, ["x", "y"], seed=3)
    expected = -IsolationForest(n_estimators=200, random_state=3).fit(np.stack([x, y], 1)).score_samples(np.stack([x, y], 1))
    assert np.allclose(got.column("isolation_score"), expected) and got.column("isolation_flag")[7] == 1 and got.column("isolation_score").argmax() == 7
    assert got.roles["isolation_flag"] == "other" and list(got.object_ids) == list(samples.object_ids) and got.modalities.keys() == samples.modalities.keys()
    few = isolation_forest(samples, ["x", "y"], share=0.05)
    assert few.column("isolation_flag").sum() == 3


def test_the_forest_never_sees_the_test_part():
    samples = with_columns(make_toy_samples(), x=np.random.default_rng(0).normal(0, 1, 60))
    split = samples.split(test=0.3, seed=1)
    test = samples.positions(split.test)
    changed = np.asarray(samples.column("x")).copy()
    changed[test] = 1e6
    other = with_columns(make_toy_samples(), x=changed)
    one, two = (isolation_forest(s, ["x"], split, share=0.1).column("isolation_score") for s in (samples, other))
    train = samples.positions(split.train)
    assert np.array_equal(one[train], two[train]) and not np.array_equal(one[test], two[test])


def test_missing_numbers_and_columns_that_are_none():
    rng = np.random.default_rng(0)
    holes = [None if rng.random() < 0.3 else float(v) for v in rng.normal(0, 1, 60)]
    samples = with_columns(make_toy_samples(), x=holes)
    score = isolation_forest(samples, ["x"]).column("isolation_score")
    assert np.array_equal(np.ma.getmaskarray(score), [v is None for v in holes])
    with pytest.raises(InputError, match="'label'"):
        isolation_forest(samples, ["x", "label"])
    with pytest.raises(InputError, match="objects to look at"):
        isolation_forest(samples.take([0, 1]), ["x"])


# ---- paired in time --------------------------------------------------------------------------------------------------


def test_gaps_are_kept_and_what_is_too_far_is_left_out():
    toy = make_toy_samples()
    rng = np.random.default_rng(0)
    moment, other = rng.uniform(58980, 59120, 60), rng.uniform(58980, 59120, 60)
    columns = toy._columns.append_column("mjd", pa.array(moment)).append_column("spectrum_mjd", pa.array(other))
    samples = af.SampleSet(columns, toy._data, toy.roles, toy.units, toy.card)
    got = pair_in_time(samples, "mjd", {"spectrum": "spectrum_mjd"}, tolerance=10.0)
    lc, gap = samples.arrays("light_curve"), got.column("light_curve_gap")
    for i in range(60):
        part = slice(lc["offsets"][i], lc["offsets"][i + 1])
        away = (lc["time"][part] - moment[i])[lc["mask"][part]]
        if not lc["present"][i]:
            assert np.ma.is_masked(gap[i])
            continue
        assert gap[i] == pytest.approx(away[np.abs(away).argmin()], abs=1e-9)
        assert got.present("light_curve")[i] == (abs(gap[i]) <= 10)
    near = np.abs(other - moment) <= 10
    assert np.array_equal(got.present("spectrum"), samples.present("spectrum") & near) and np.array_equal(got.present("image"), samples.present("image"))
    assert got.units["spectrum_gap"] == "d" and got.roles["light_curve_gap"] == "other"
    order = rng.permutation(60)
    assert np.ma.allequal(pair_in_time(samples.take(order), "mjd").column("light_curve_gap"), pair_in_time(samples, "mjd").column("light_curve_gap")[order])
    for call, words in ((lambda: pair_in_time(samples, "mjd", {"sound": "mjd"}), "sound"), (lambda: pair_in_time(samples, "label"), "no numbers"), (lambda: pair_in_time(samples, "mjd", tolerance=-1), "tolerance")):
        with pytest.raises(InputError, match=words):
            call()
