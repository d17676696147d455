"""Light curves cleaned, detrended, interpolated and cut: against astropy and scikit-learn, and the proof that nothing later leaks."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy.stats import biweight_location
from astropy.stats import sigma_clip as astropy_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from astrofuse_lab.alignment import clocks, detrending, moments, outliers
from astrofuse_lab.alignment import gaussian_processes as gp
from astrofuse_lab.alignment.light_curve_steps import STEPS
from astrofuse_lab.alignment.steps import planned, treated
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import LightCurve

ABOUT = {"object_id": "a", "ra": 150.0, "dec": 20.0, "time": 59050.0, "z": 0.5, "nothing": None, "name": "SN"}


def curve(n=60, seed=0, bands=("g", "r"), noise=1.0, **change):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(59000, 59100, n))
    flux = 100 * np.exp(-(((time - 59050) / 15) ** 2) / 2) + rng.normal(0, noise, n)
    made = LightCurve(time, flux, np.full(n, noise), rng.choice(bands, n), np.ones(n, bool), np.zeros(n, bool))
    return replace(made, **change)


def step(name, one, **options):
    return treated(one, planned("light_curve", [(name, options)]), dict(ABOUT))


# ---- outliers and trends ---------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 5, None]), st.sampled_from(["median", "mean"]), st.floats(1.5, 4), st.floats(1.5, 4))
def test_clipping_is_astropys_series_by_series(seed, iterations, centre, low, high):
    rng = np.random.default_rng(seed)
    series, values, mask = rng.integers(0, 4, 120), rng.standard_t(2, 120), rng.random(120) > 0.1
    got = outliers.sigma_clip(values, series, mask, low=low, high=high, iterations=iterations, centre=centre)
    for one in range(4):
        part = (series == one) & mask
        expected = ~np.ma.getmaskarray(astropy_clip(values[part], sigma_lower=low, sigma_upper=high, maxiters=iterations, cenfunc=centre))
        assert np.array_equal(got[part], expected)
    assert not (got & ~mask).any()
    order = rng.permutation(120)
    assert np.array_equal(outliers.sigma_clip(values[order], series[order], mask[order], low=low, high=high, iterations=iterations, centre=centre), got[order])


def test_running_median_looks_at_its_own_series_only():
    rng = np.random.default_rng(1)
    time, values, series, mask = rng.uniform(0, 50, 200), rng.normal(0, 1, 200), rng.integers(0, 3, 200), rng.random(200) > 0.2
    got = outliers.running_median(time, values, series, mask, 6.0)
    for i in range(200):
        near = mask & (series == series[i]) & (np.abs(time - time[i]) <= 3.0)
        assert got[i] == pytest.approx(np.median(values[near]), nan_ok=True) if near.any() else np.isnan(got[i])


@pytest.mark.parametrize("name", ["sigma_clipped", "median_clipped"])
def test_outliers_are_masked_and_limits_are_not_judged(name):
    one = curve(noise=0.5, n=80, bands=("g",))
    one = replace(one, flux=one.flux * 0 + np.random.default_rng(0).normal(10, 0.5, 80))
    flux, limit = one.flux.copy(), one.limit.copy()
    flux[[7, 40]] = [500.0, -300.0]
    flux[20], limit[20] = 0.0, True
    got = step(name, replace(one, flux=flux, limit=limit))
    assert not got.mask[[7, 40]].any() and got.mask[20] and got.mask.sum() >= 74
    assert np.array_equal(got.flux, flux) and np.array_equal(step(name, replace(one, flux=flux, limit=limit, mask=~limit)).mask[20], False)  # masks never shrink


def test_biweight_is_astropys():
    rows = np.random.default_rng(0).standard_t(2, (20, 31))
    rows[3, :7] = np.nan
    rows[4] = 5.0
    assert np.allclose(detrending.biweight(rows), biweight_location(rows, axis=1, ignore_nan=True), rtol=0, atol=1e-12)
    assert np.isnan(detrending.biweight(np.full((1, 3), np.nan))).all()


def test_polynomials_are_numpys_series_by_series():
    rng = np.random.default_rng(0)
    time, flux, error = 59000 + rng.uniform(0, 80, 90), rng.normal(5, 1, 90), rng.uniform(0.5, 2, 90)
    series, use = rng.integers(0, 2, 90), rng.random(90) > 0.2
    got = detrending.polynomial(time, flux, error, series, use, 3)
    for one in range(2):
        part = series == one
        middle = time[part & use].mean()
        expected = np.polyval(np.polyfit(time[part & use] - middle, flux[part & use], 3, w=1 / error[part & use]), time[part] - middle)
        assert np.allclose(got[part], expected, rtol=1e-7)
    assert np.isnan(detrending.polynomial(time[:3], flux[:3], error[:3], series[:3] * 0, use[:3] | True, 3)).all()


@pytest.mark.parametrize("method", ["biweight", "median", "polynomial"])
def test_detrending_takes_the_trend_and_leaves_the_transit(method):
    time = np.arange(59000, 59020, 0.02)
    trend = 1000 * (1 + 0.01 * np.sin((time - 59000) / 4))
    inside = detrending.in_transit(time, 3.3, 59001.0, 0.2)
    flux = trend * np.where(inside, 0.99, 1.0)
    rng = np.random.default_rng(0)
    one = LightCurve(time, flux + rng.normal(0, 0.3, len(time)), np.full(len(time), 0.3), np.full(len(time), "TESS"), np.ones(len(time), bool))
    options = {"window": 1.0} if method != "polynomial" else {"degree": 15}
    got = step("detrended", one, method=method, period=3.3, middle=59001.0, duration=0.3, **options)
    assert got.unit == "relative" and got.mask.all()
    assert np.median(got.flux[inside]) == pytest.approx(0.99, abs=3e-4) and np.abs(got.flux[~inside] - 1).max() < 2.5e-3
    assert got.flux_err == pytest.approx(0.3 / trend, rel=1e-2)
    taken = step("detrended", one, method=method, how="subtract", **options)
    assert np.abs(np.median(taken.flux)) < 0.7 and taken.unit == one.unit


def test_bad_detrending():
    one = curve()
    for options, words in (({"method": "magic"}, "magic"), ({"window": 0.0}, "window"), ({"how": "wish"}, "how"), ({"method": "polynomial", "degree": 99}, "degree"), ({"window": 1e-6}, "trend is known")):
        with pytest.raises(AlignmentError, match=words):
            step("detrended", one, **options)


# ---- Gaussian processes ----------------------------------------------------------------------------------------------


def padded(seed=0, objects=6, epochs=40):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(59000, 59100, (objects, epochs)), 1)
    place = rng.choice([4770.0, 6230.0, 7630.0], (objects, epochs))
    size = 10 ** rng.uniform(0, 3, (objects, 1))
    flux = size * (np.exp(-(((time - 59045) / rng.uniform(6, 30, (objects, 1))) ** 2) / 2) * (1 + (place - 6000) / 8000) + rng.normal(0, 0.05, time.shape))
    return time, flux, np.broadcast_to(0.05 * size, time.shape), place, rng.random(time.shape) > rng.uniform(0.1, 0.8, (objects, 1))


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5])
def test_processes_are_scikit_learns(nu):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    time, flux, error, place, mask = padded()
    got = gp.fit(time, flux, error, place, mask, nu=nu)
    at, waves = np.linspace(58990, 59110, 25), [4770.0, 6230.0, 7630.0]
    mean, variance, _ = gp.predict(got, at, waves)
    where = np.stack([np.tile(at, 3), np.repeat(waves, 25)], 1) - [59000, 0]
    for i, good in enumerate(mask):
        x, size = np.stack([time[i][good] - 59000, place[i][good]], 1), np.sqrt(np.mean(flux[i][good] ** 2))
        kernel = ConstantKernel(got.amplitude[i] ** 2) * Matern([got.length[i], 6000.0], nu=nu)
        same = GaussianProcessRegressor(kernel, alpha=error[i][good] ** 2, optimizer=None).fit(x, flux[i][good])
        expected, spread = same.predict(where, return_std=True)
        assert np.allclose(mean[i].ravel(), expected, rtol=0, atol=1e-9 * size) and np.allclose(np.sqrt(variance[i]).ravel(), spread, rtol=0, atol=1e-6 * size)
        assert got.likelihood[i] == pytest.approx(same.log_marginal_likelihood_value_, abs=1e-6)
        free = ConstantKernel(1.0, (1e-5, 1e5)) * Matern([10.0, 6000.0], nu=nu, length_scale_bounds=[(1e-2, 1e4), (5999.999, 6000.001)])
        with warnings.catch_warnings():  # it says that the band length, which is held, is at its bound
            warnings.simplefilter("ignore")
            best = GaussianProcessRegressor(free, alpha=(error[i][good] / size) ** 2).fit(x, flux[i][good] / size)
        assert got.likelihood[i] > best.log_marginal_likelihood_value_ - good.sum() * np.log(size) - 1e-3


def test_processes_do_not_depend_on_padding_order_units_or_neighbours():
    time, flux, error, place, mask = padded(1)
    at = np.linspace(59000, 59100, 11)
    first = gp.predict(gp.fit(time, flux, error, place, mask), at, [4770.0])
    rng = np.random.default_rng(0)
    spoiled = np.where(mask, flux, np.nan)
    order, rows = rng.permutation(40), rng.permutation(6)
    other = gp.predict(gp.fit(time[rows][:, order], spoiled[rows][:, order] * 1e6, error[rows][:, order] * 1e6, place[rows][:, order], mask[rows][:, order]), at, [4770.0])
    size = np.abs(first[0]).max((1, 2), keepdims=True)
    assert np.abs(other[0] * 1e-6 - first[0][rows]).max() < 1e-3 * size.max() and (np.abs(other[0] * 1e-6 - first[0][rows]) / size[rows]).max() < 1e-4
    assert np.array_equal(other[2], first[2][rows])


def test_processes_know_where_they_know_nothing():
    one = curve(bands=("g",))
    args = [np.asarray(v, float)[None] for v in (one.time, one.flux, one.flux_err)]
    got = gp.fit(*args, np.full((1, 60), 4770.0), np.ones((1, 60), bool))
    at = np.array([58000.0, 58995.0, 59050.0, 59105.0, 61000.0])
    mean, variance, mask = gp.predict(got, at, [4770.0, 6230.0], reach=10.0)
    assert mask[0, 0].tolist() == [False, True, True, True, False] and not mask[0, 1].any()  # the second band was never seen
    assert variance[0, 0, [0, 4]] == pytest.approx(got.amplitude[0] ** 2, rel=1e-6) and np.abs(mean[0, 0, [0, 4]]).max() < 1e-6
    empty = gp.predict(gp.fit(*args, np.full((1, 60), 4770.0), np.zeros((1, 60), bool)), at, [4770.0])
    assert not empty[2].any()
    apart = gp.fit(*args, np.where(np.arange(60) % 2, 1.0, 0.0)[None], np.ones((1, 60), bool), band_length=0.0, level="mean")
    assert np.isfinite(apart.likelihood).all()
    both = gp.predict(apart, at, [0.0, 1.0])
    for b in range(2):  # each band as if it were alone, with the amplitude and length of both
        part = (np.arange(60) % 2 == b)[None]
        alone = gp.fit(*args, np.full((1, 60), float(b)), part, level="mean", amplitude=apart.amplitude, length=apart.length)
        assert np.allclose(both[0][:, b], gp.predict(alone, at, [float(b)])[0][:, 0]) and both[2][:, b].any()
    for change in ({"nu": 1.0}, {"level": "sea"}, {"band_length": -1.0}):
        with pytest.raises(AlignmentError, match="nu"):
            gp.fit(*args, np.full((1, 60), 4770.0), np.ones((1, 60), bool), **change)
    with pytest.raises(AlignmentError, match="flux_err"):
        gp.fit(args[0], args[1], args[2] * 0, np.full((1, 60), 4770.0), np.ones((1, 60), bool))


def test_interpolated_curves_share_their_moments():
    got = [step("gaussian_process", curve(seed=s), step=2.0) for s in (0, 1)]
    for one in got:
        assert (one.time % 2 == 0).all() and set(one.band) == {"g", "r"} and one.mask.all() and (one.flux_err > 0).all()
        inside = (one.time > 59005) & (one.time < 59095)
        truth = 100 * np.exp(-(((one.time - 59050) / 15) ** 2) / 2)
        pull = ((one.flux - truth) / one.flux_err)[inside]
        assert np.abs(one.flux - truth)[inside].max() < 5 and np.sqrt(np.mean(pull**2)) < 2
    assert len(set(got[0].time) & set(got[1].time)) > 45
    with pytest.raises(AlignmentError, match="'q'"):
        step("gaussian_process", replace(curve(), band=np.full(60, "q")))


# ---- what was known when ---------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(-5, 60), st.integers(1, 3))
def test_nothing_later_than_the_day_is_in_it(seed, day, count):
    one = curve(seed=seed)
    trigger = moments.first_detection(one, count=count)
    last = trigger + day
    assert not moments.looks_ahead(lambda c: moments.known_by(c, day, trigger), one, last)
    if day >= 0:  # the trigger is found looking forward: the later part does not move it
        assert not moments.looks_ahead(lambda c: moments.known_by(c, day, count=count), one, last)
    try:
        got = moments.known_by(one, day, trigger)
    except AlignmentError:
        assert not (one.time <= last).any()
        return
    assert got.time.max() <= last and len(got.time) == (one.time <= last).sum()
    shuffled = moments.chosen(one, np.random.default_rng(seed).permutation(60))
    assert np.array_equal(moments.known_by(shuffled, day, trigger).flux, got.flux)


@pytest.mark.parametrize("name", ["gaussian_process", ("detrended", {"how": "subtract", "window": 30.0}), "sigma_clipped", "nightly"])
def test_treatments_that_look_ahead_are_found_out(name):
    one = curve(noise=3.0)
    last = moments.first_detection(one) + 20
    cut = ("known_by", {"day": 20.0, "since": last - 20})
    after, before = planned("light_curve", [("known_by", {"day": 20.0}), name]), planned("light_curve", [name, cut])
    assert not moments.looks_ahead(lambda c: treated(c, after, ABOUT), one, last)
    if name != "nightly":  # nights that are over know nothing of those to come
        assert moments.looks_ahead(lambda c: treated(c, before, ABOUT), one, last)
    assert moments.looks_ahead(lambda c: treated(c, planned("light_curve", [name]), ABOUT), one, last)  # nothing was cut at all
    assert moments.looks_ahead(lambda c: c, one, last)


def test_windows_and_triggers():
    one = curve()
    got = step("window", one, event="time", begin=-10, end=5)
    assert np.array_equal(got.time, one.time[(one.time >= 59040) & (one.time <= 59055)])
    assert step("known_by", one, day=0.0, count=1).time.max() == moments.first_detection(one)
    kept = step("known_by", one, day=10.0, before=3.0)
    assert kept.time.min() >= moments.first_detection(one) - 3
    for name, options, words in (
        ("window", {"event": "nothing"}, "'nothing'"), ("window", {"event": "nowhere"}, "no such column"), ("window", {"event": "name"}, "no number"),
        ("window", {"begin": 5, "end": 5}, "begin"), ("window", {"event": 0.0}, "no usable epoch"), ("known_by", {"sigma": 1e9}, "detections"),
    ):  # fmt: skip
        with pytest.raises(AlignmentError, match=words):
            step(name, one, **options)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=25), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=15), st.floats(0, 20))
def test_the_nearest_moment_is_the_nearest(epochs, asked, tolerance):
    owner, time = (np.array([e[k] for e in epochs], dtype=float) for k in (0, 1))
    whose, when = (np.array([e[k] for e in asked], dtype=float) for k in (0, 1))
    got = moments.nearest(59000 + time, owner, 59000 + when, whose, tolerance)
    for i in range(len(asked)):
        own = np.flatnonzero(owner == whose[i])
        if not len(own):
            assert got.nearest[i] == -1 and np.isnan(got.gap[i])
            continue
        gaps = time[own] - when[i]
        smallest = np.abs(gaps).min()
        assert abs(got.gap[i]) == smallest
        if smallest <= tolerance:
            assert owner[got.nearest[i]] == whose[i] and time[got.nearest[i]] - when[i] == got.gap[i]
            assert got.gap[i] <= 0 or not (gaps == -smallest).any()  # of two equally near the earlier
        else:
            assert got.nearest[i] == -1
    assert moments.nearest([1.0], [0], [np.nan], [0]).nearest.tolist() == [-1]


# ---- other steps, and bad input --------------------------------------------------------------------------------------


def test_nights_run_from_noon_to_noon_at_the_telescope():
    # Palomar: local noon is near 19:48 UTC; two visits of one local night lie on both sides of it in UTC days
    time = np.array([59000.15, 59000.45, 59001.2, 59001.3])
    one = LightCurve(time, np.array([1.0, 3.0, 5.0, 100.0]), np.array([1.0, 1.0, 2.0, 1.0]), np.array(["g", "g", "g", "r"]), np.ones(4, bool))
    got = step("nightly", one, observatory="palomar")
    assert got.band.tolist() == ["g", "g", "r"] and got.flux == pytest.approx([2.0, 5.0, 100.0]) and got.flux_err == pytest.approx([0.5**0.5, 2.0, 1.0])
    assert len(step("nightly", replace(one, time=time + 0.5), observatory=[63.0, 30.0, 0.0]).time) == 3
    again = step("nightly", got, observatory="palomar")
    assert again.flux == pytest.approx(got.flux, rel=1e-12) and again.time == pytest.approx(got.time, abs=1e-9)


def test_magnitudes_and_clocks_as_steps():
    one = curve(noise=3.0)
    back = step("from_magnitudes", step("to_magnitudes", one, sigma=3.0))
    bright = one.flux >= 9
    assert back.unit == "uJy" and back.flux[bright] == pytest.approx(one.flux[bright]) and np.array_equal(back.limit, ~bright) and back.flux_err == pytest.approx(one.flux_err)
    assert np.isfinite(step("asinh_magnitudes", one).flux).all()
    bary = step("barycentric", one, observatory="palomar")
    assert bary.clock == "BJD_TDB" and np.allclose(bary.time, clocks.barycentric(one.time, 150.0, 20.0, "UTC", "palomar"), atol=1e-11)
    assert np.array_equal(step("barycentric", bary).time, bary.time)
    assert step("from_days", replace(one, time=one.time + 2400000.5)).time == pytest.approx(one.time, abs=1e-9)
    assert step("rest_frame", one, redshift="z").time[-1] - one.time[0] == pytest.approx(np.ptp(one.time) / 1.5)
    clear = step("deredden", one, ebv=0.1)
    for band, law in (("g", 3.303 / 0.86), ("r", 2.285 / 0.86)):  # Schlafly & Finkbeiner 2011, table 6, which holds 0.86 times the law
        ratio = (clear.flux / one.flux)[one.band == band]
        assert np.ptp(ratio) < 1e-12 and 25 * np.log10(ratio[0]) == pytest.approx(law, abs=0.2)
    assert np.allclose(clear.flux_err / clear.flux, one.flux_err / one.flux)
    for name, change, words in (("deredden", {"unit": "mag"}, "'mag'"), ("from_magnitudes", {}, "'uJy'"), ("to_magnitudes", {"unit": "electron / s"}, "electron"), ("barycentric", {"clock": "lunar"}, "lunar")):
        with pytest.raises(AlignmentError, match=words):
            step(name, replace(one, **change))


@pytest.mark.parametrize("name", [n for n in STEPS if n not in ("from_magnitudes",)])
def test_every_step_takes_seas_of_nan_zero_errors_and_any_order(name):
    rng = np.random.default_rng(0)
    one = curve(n=120)
    flux, error = one.flux.copy(), one.flux_err.copy()
    flux[:30], error[30:40], error[40:50] = np.nan, 0.0, np.nan
    shuffled = moments.chosen(replace(one, flux=flux, flux_err=error), rng.permutation(120))
    options = {"rest_frame": {"redshift": "z"}, "deredden": {"ebv": 0.2}}.get(name, {})
    got = step(name, shuffled, **options)
    good = moments.usable(got)
    assert good.any() and np.isfinite(got.time[good]).all()
    assert good.sum() <= moments.usable(shuffled).sum() or name in ("gaussian_process", "to_magnitudes")
    again = step(name, replace(one, flux=flux, flux_err=error), **options)
    a, b = moments.ordered(got), moments.ordered(again)
    assert np.allclose(a.flux[a.mask], b.flux[b.mask], rtol=1e-6, equal_nan=True) and np.array_equal(a.band, b.band)
    if name not in ("from_days", "clock", "rest_frame", "barycentric", "deredden"):
        nothing = replace(one, flux=np.full(120, np.nan))
        try:
            empty = step(name, nothing, **options)
        except AlignmentError as error:
            assert "flux" in str(error) or "mask" in str(error)
        else:
            assert not moments.usable(empty).any()


def test_lengths_that_differ_name_the_field():
    with pytest.raises(AlignmentError, match="band"):
        step("window", replace(curve(), band=np.array(["g"])), event=59050.0)


def test_a_set_is_aligned_with_steps_and_keeps_triggers_and_gaps():
    import astrofuse_lab as af

    samples = af.load_samples("practice", n=40, seed=3)
    kept = af.align(samples, steps={"light_curve": [("known_by", {"day": 20.0, "sigma": 3.0})]}, progress=False)
    trigger = kept.column("light_curve_trigger")
    has = kept.present("light_curve")
    assert has.sum() > 5 and kept.units["light_curve_trigger"] == "d"
    for i in np.flatnonzero(has):
        one, whole = kept.one("light_curve", i), samples.one("light_curve", i)
        assert one.time.max() <= trigger[i] + 20 and len(one.time) == (whole.time <= trigger[i] + 20).sum()
    around = af.align(samples, steps={"light_curve": [("window", {"event": "time", "begin": -15, "end": 15})]}, progress=False)
    gap = around.column("light_curve_gap")
    assert around.present("light_curve").any() and np.abs(gap.compressed()).max() <= 15
    again = af.align(kept, steps={"light_curve": [("known_by", {"day": 20.0, "since": "light_curve_trigger"})]}, progress=False)
    for a, b in zip(kept.arrays("light_curve").values(), again.arrays("light_curve").values(), strict=True):
        assert np.array_equal(a, b)  # aligning twice changes nothing


@pytest.mark.real
def test_ten_days_of_real_supernovae_know_nothing_of_the_eleventh(mirror):
    import astrofuse_lab as af

    samples = af.load_samples("supernovae", mirror=mirror)
    samples = samples.take(np.flatnonzero(samples.present("light_curve"))[::20])
    plan, asked = planned("light_curve", [("known_by", {"day": 10.0}), "median_clipped", "nightly"]), 0
    for i in range(len(samples)):
        one = samples.one("light_curve", i)
        if moments.detections(one).any():
            asked += 1
            assert not moments.looks_ahead(lambda c: treated(c, plan, {}), one, moments.first_detection(one) + 10), samples.object_ids[i]
    assert asked > 40
