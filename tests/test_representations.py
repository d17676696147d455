"""Representations beside what defines them: astropy, scipy, numpy, PyWavelets' definition, papers' own numbers."""

import json
import os
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import make_toy_samples, with_series
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, stats
from test_represented import curves

from astrofuse_lab.alignment.representations import REPRESENTATIONS, dmdt, features, folding, periods, time_frequency, uneven_wavelet
from astrofuse_lab.alignment.representations.common import Epochs, epochs
from astrofuse_lab.alignment.representations.curve_statistics import NAMES, statistics
from astrofuse_lab.errors import InputError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.samples.simulated_gw_alerts import simulated_alerts

PUBLISHED = Path(os.environ.get("ASTROFUSE_MIRROR", "/work/shared/data")) / "dmdt/dmdt_bins.json"
CASES = [(name, kind) for name, one in REPRESENTATIONS.items() for kind in one.reads]


@pytest.fixture(scope="module")
def sets():
    toy = with_series(make_toy_samples(12))
    return {"light_curve": curves(12), "spectrum": toy, "series": toy, "image": toy, "table": simulated_alerts(12, 1)}


def options(kind, name):
    small = {"stft": {"window": 16, "hop": 8}, "mel": {"window": 16, "hop": 8, "bins": 6, "corner": 0.1}, "spectrum_image": {"rows": 8, "columns": 8}}
    more = {"low_resolution": {"first": 4100.0, "last": 5900.0, "pixels": 24}}
    return {**more, "wavelet": {"columns": 16, "scales": 8}, "q_transform": {"columns": 16, "rows": 8}, "wwz": {"columns": 5, "rows": 6, "longest": 100.0}, **small}.get(name, {})


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_all_keep_the_contract(sets, name, kind):
    """Shapes as the layout says, finite, masks boolean and zero below, one object alone as among others, and a tensor for an encoder."""
    samples, more = sets[kind], options(kind, name)
    seen = samples.represent(kind, name, **more)
    spec, arrays = seen.spec(kind), seen.arrays(kind)
    field = "flux" if spec.kind in ("image", "spectrum") else "values"
    assert spec.kind == REPRESENTATIONS[name].gives and arrays[field].shape == arrays["mask"].shape == (len(samples), *spec.shape)
    assert arrays["mask"].dtype == bool and np.isfinite(arrays[field]).all() and (arrays[field][~arrays["mask"]] == 0).all() and arrays["mask"].any()
    order = [7, 1]
    some = seen.arrays(kind, order)
    np.testing.assert_allclose(some[field], arrays[field][order], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(some["mask"], arrays["mask"][order])
    made = Preparation.fit(samples, [kind], {kind: Part.of(name, **more)})
    batch = made.batch(samples, order)
    assert batch.values[kind].shape == (2, *spec.shape) and batch.values[kind].isfinite().all()
    assert seen[1][kind] is not None


# ---- DMDT -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published edges are in the mirror")
def test_edges_are_the_published_ones():
    published = json.loads(PUBLISHED.read_text())
    number = lambda edges: [float(Fraction(str(e))) for e in edges]  # noqa: E731
    for ours, theirs in (("crts", "crts_2017_original"), ("ztf_long", "ztf_v20200205_long"), ("ztf", "ztf_v20200318"), ("ccsnscore", "ccsnscore")):
        np.testing.assert_allclose(dmdt.EDGES[ours].dm, number(published[theirs]["dm_edges"]))
        np.testing.assert_allclose(dmdt.EDGES[ours].dt, number(published[theirs]["dt_edges_day"]))
        assert [len(dmdt.EDGES[ours].dm) - 1, len(dmdt.EDGES[ours].dt) - 1] == published[theirs]["hist_shape"]
    assert dmdt.EDGES["scope"].dm == dmdt.EDGES["ztf"].dm
    np.testing.assert_allclose(dmdt.EDGES["scope"].dt, dmdt.EDGES["ztf_long"].dt, atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(dmdt.EDGES)), st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_counts_are_those_of_histogram2d(seed, edges, n):
    rng = np.random.default_rng(seed)
    time, magnitude = np.sort(10 ** rng.uniform(-3, 3.7, n)), 18 + rng.normal(0, 2, n)
    dm, dt = np.array(dmdt.EDGES[edges].dm), np.array(dmdt.EDGES[edges].dt)
    i, j = np.triu_indices(n, 1)
    expected = np.histogram2d(magnitude[j] - magnitude[i], time[j] - time[i], bins=(dm, dt))[0]
    made = dmdt.counts(np.tile(time, 2), np.tile(magnitude, 2), np.array([0, n, n, 2 * n]), dm, dt)
    np.testing.assert_array_equal(made[0], expected)
    np.testing.assert_array_equal(made[2], expected)
    assert not made[1].any()


def test_pairs_on_an_edge_belong_above_it():
    made = dmdt.counts(np.array([0.0, 1.0]), np.array([0.0, 0.1]), np.array([0, 2]), np.array([0.0, 0.1, 0.2]), np.array([0.0, 1.0, 2.0]))
    assert made[0].tolist() == [[0, 0], [0, 1]]


def test_norms():
    counts = np.zeros((1, 3, 4), int)
    counts[0, 0, 0], counts[0, 2, 0], counts[0, 1, 3] = 3, 1, 4
    assert (dmdt.normalised(counts, "l2") ** 2).sum() == pytest.approx(1)
    assert dmdt.normalised(counts, "column")[0, :, 0].tolist() == [0.75, 0, 0.25]
    assert dmdt.normalised(counts, "255")[0, 1, 3] == np.floor(255 * 0.5 + 0.99999)
    assert dmdt.normalised(counts, "sum").sum() == pytest.approx(4 * 5)


# ---- periods and folds ----------------------------------------------------------------------------------------------


def test_power_and_peak_are_astropys():
    from astropy.timeseries import LombScargle

    got = epochs(curves(6, epochs=120).arrays("light_curve"), 2, magnitudes=True)
    found, height = periods.search(got, 0.3, 100)
    for i in range(4):
        span = slice(got.offsets[i], got.offsets[i + 1])
        time, value, error = (v[span] for v in got[:3])
        low, step, count = periods.grid(time, 0.3, 100)
        expected = LombScargle(time, value, error).power(low + step * np.arange(count), method="slow" if count < 3000 else "cython")
        np.testing.assert_allclose(periods.power(time, value, error, low, step, count), expected, atol=1e-6)
        top = low + step * np.argmax(expected)
        assert abs(1 / found[i] - top) <= step and height[i] == pytest.approx(expected.max(), abs=1e-6)


def test_a_periodogram_keeps_its_peak(sets):
    samples = sets["light_curve"]
    arrays = samples.represent("light_curve", "periodogram", shortest=0.3, longest=100.0).arrays("light_curve")
    peak = arrays["axis"][arrays["values"].max(axis=1).argmax(axis=1)]
    expected = -np.log10(samples.column("period").filled())
    assert (np.abs(peak - expected)[samples.present("light_curve")] < 0.02).mean() > 0.9


def test_folds_are_medians_of_bins():
    rng = np.random.default_rng(3)
    place, values, group = rng.uniform(-0.2, 1.2, 400), rng.normal(size=400), rng.integers(0, 3, 400)
    made = folding.folded(place, values, group, 4, 7)
    for g in range(3):
        mine = (group == g) & (place >= 0) & (place < 1)
        expected = stats.binned_statistic(place[mine], values[mine], "median", 7, (0, 1)).statistic
        np.testing.assert_allclose(made[g], expected)
    assert np.isnan(made[3]).all()


def transit(depth=0.02, period=3.0, start=58001.0, duration=0.1, secondary=0.0):
    base = curves(2, epochs=4, bands=("V",))
    time = np.arange(58000, 58060, 0.0037)
    phase = ((time - start) / period + 0.5) % 1 - 0.5
    flux = 1000 * (1 - depth * (np.abs(phase) < duration / 2 / period) - secondary * (np.abs(np.abs(phase) - 0.5) < duration / 2 / period))
    arrays = {"offsets": np.array([0, len(time)]), "time": time, "flux": flux, "flux_err": np.ones(len(time)), "band": np.zeros(len(time), int), "mask": np.ones(len(time), bool)}
    return base.spec("light_curve"), {**arrays, "present": np.ones(1, bool)}


@pytest.mark.parametrize("epoch", ["", 58001.0])
def test_views_of_a_transit(epoch):
    spec, arrays = transit(secondary=0.01)
    given = {"period": 3.0, "epoch": epoch}
    run = lambda name, **more: REPRESENTATIONS[name].run(arrays, spec, {**REPRESENTATIONS[name].options, **given, **more}, {})  # noqa: E731
    whole = run("folded_global")
    assert whole["values"].shape == (1, 1, 201) and whole["values"].min() == -1 and np.median(whole["values"]) == pytest.approx(1)
    assert abs(int(whole["values"][0, 0].argmin()) - 100) <= 4
    local = run("folded_local", duration=0.1 / 3)
    dips = (local["values"][0, 0] < 0).sum()
    assert local["values"].shape == (1, 1, 81) and 17 <= dips <= 24  # one duration of the four shown
    pair = run("folded_half_phase", duration=0.1 / 3)
    assert pair["values"].shape == (1, 2, 81)
    assert pair["values"][0, 1].min() == -1 and pair["values"][0, 0].min() == pytest.approx(0, abs=1e-3)  # half as deep


def test_a_period_comes_from_a_column(sets):
    samples = sets["light_curve"]
    told = samples.represent("light_curve", "folded_global", bins=20, period="period", epoch="epoch", norm="median")
    found = samples.represent("light_curve", "folded_global", bins=20, norm="median", shortest=0.3, longest=100.0)
    assert np.abs(told.arrays("light_curve")["values"]).max() < 1
    spread = lambda seen: np.ma.array(seen.arrays("light_curve")["values"], mask=~seen.arrays("light_curve")["mask"]).std(axis=2)  # noqa: E731
    assert (spread(found)[0] > 0.2).all() and (spread(told)[0] > 0.2).all()
    made = Preparation.fit(samples, ["light_curve"], {"light_curve": Part.of("folded_global", period="period", epoch="epoch")})
    assert made.columns("light_curve") == ("period", "epoch") and made.batch(samples, [5]).masks["light_curve"].any()
    with pytest.raises(InputError, match="no column 'perod'"):
        samples.represent("light_curve", "folded_global", period="perod")
    with pytest.raises(InputError, match="holds no numbers"):
        samples.represent("light_curve", "folded_global", period="label")


# ---- statistics -----------------------------------------------------------------------------------------------------


def test_statistics_are_those_of_numpy_and_scipy():
    rng = np.random.default_rng(1)
    n = 200
    time, value, error = np.sort(rng.uniform(0, 100, n)), 15 + rng.normal(0, 0.2, n) ** 2, rng.uniform(0.02, 0.1, n)
    row = dict(zip(NAMES, statistics(Epochs(time, value, error, np.array([0, n])))[0], strict=True))
    weight = 1 / error**2
    mean, std = np.average(value, weights=weight), value.std(ddof=1)
    flux = 10 ** (-0.4 * (value - np.median(value)))
    wide = np.subtract(*np.percentile(flux, [95, 5]))
    delta = np.sqrt(n / (n - 1)) * (value - mean) / error
    pairs = delta[:-1] * delta[1:]
    gap = 1 / np.diff(time) ** 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        darling = stats.anderson(value).statistic
    expected = {
        "n": n, "median": np.median(value), "wmean": mean, "mean": value.mean(), "std": std, "chi2red": (((value - mean) / error) ** 2).sum() / (n - 1),
        "roms": (np.abs(value - np.median(value)) / error).sum() / (n - 1), "wstd": np.sqrt(np.average((value - mean) ** 2, weights=weight)),
        "median_abs_dev": stats.median_abs_deviation(value), "iqr": stats.iqr(value), "i80r": np.subtract(*np.percentile(value, [90, 10])),
        "i60r": np.subtract(*np.percentile(value, [80, 20])), "skew": stats.skew(value, bias=False), "small_kurtosis": stats.kurtosis(value, bias=False),
        "inv_von_neumann": value.var(ddof=1) * (n - 1) / (np.diff(value) ** 2).sum(), "stetson_k": np.abs(delta).mean() / np.sqrt((delta**2).mean()),
        "stetson_j": (np.sign(pairs) * np.sqrt(np.abs(pairs))).mean(), "anderson_darling": darling, "shapiro_wilk": stats.shapiro(value).statistic,
        "norm_excess_var": ((value - value.mean()) ** 2 - error**2).mean() / value.mean() ** 2, "linear_trend": np.polyfit(time, value, 1)[0],
        "max_slope": np.abs(np.diff(value) / np.diff(time)).max(), "beyond_1_std": (np.abs(value - mean) > np.sqrt(np.average((value - mean) ** 2, weights=weight))).mean(),
        "eta_e": gap.mean() * np.ptp(time) ** 2 * (gap * np.diff(value) ** 2).sum() / (std**2 * gap.sum()), "percent_amplitude": (flux - 1).max(),
        "flux_percentile_5_95": wide, "mid50": np.subtract(*np.percentile(flux, [75, 25])) / wide, "rcs": np.ptp(np.cumsum(value - value.mean())) / n / std,
        "pair_slope_trend": np.sign(np.diff(value)[-30:]).sum() / 30,
    }  # fmt: skip
    for name, one in expected.items():
        # percentiles of flux and of magnitude differ by the interpolation between neighbours
        assert row[name] == pytest.approx(one, rel=1e-2 if name in ("flux_percentile_5_95", "mid50") else 1e-8), name


def test_few_epochs_and_constant_curves_are_masked_not_numbers():
    still = Epochs(np.arange(13.0), np.full(13, 12.0), np.full(13, 0.1), np.array([0, 3, 3, 13]))
    made = statistics(still)
    assert np.isnan(made[0, 1:]).all() and made[0, 0] == 3 and np.isnan(made[1, 1:]).all()
    assert made[2, NAMES.index("std")] == 0 and np.isnan(made[2, [NAMES.index(n) for n in ("skew", "eta_e", "rcs", "shapiro_wilk")]]).all()


def test_a_fourier_fit_finds_what_was_put_in():
    rng = np.random.default_rng(5)
    time, period = np.sort(rng.uniform(0, 200, 300)), 2.345
    t = time - time.mean()
    phase = 2 * np.pi * t / period
    value = 14 + 0.001 * t + 0.3 * np.cos(phase - 1.0) + 0.12 * np.cos(2 * phase - 2.5) + rng.normal(0, 0.005, 300)
    row = dict(zip(features.FOURIER, features.fourier(time, value, np.full(300, 0.005), np.array([0, 300]), np.array([period]))[0], strict=True))
    assert row["f1_amp"] == pytest.approx(0.3, abs=0.003) and row["f1_relamp1"] == pytest.approx(0.4, abs=0.01) and row["f1_b"] == pytest.approx(0.001, abs=1e-5)
    assert row["f1_phi0"] == pytest.approx(1 / 2 / np.pi, abs=0.003) and row["f1_relphi1"] == pytest.approx(0.5 / 2 / np.pi, abs=0.01)
    assert row["f1_a"] == pytest.approx(14, abs=0.002) and row["f1_power"] > 0.99
    assert row["f1_relamp2"] == 0 and np.isnan(row["f1_relphi2"])


# ---- time and frequency ---------------------------------------------------------------------------------------------


def test_stft_is_scipys():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 3, 400))
    power, good = time_frequency.stft(values, np.ones(values.shape, bool), 64, 16)
    _, _, expected = signal.stft(values, window="hann", nperseg=64, noverlap=48, boundary=None, padded=False)
    np.testing.assert_allclose(power, np.abs(expected) ** 2, rtol=1e-9, atol=1e-12)
    assert good.all()
    mask = np.ones(values.shape, bool)
    mask[..., 100:180] = False
    _, good = time_frequency.stft(values, mask, 64, 16)
    assert not good[0, 0, 7] and good[0, 0, 0]


def test_the_wavelet_is_the_convolution_with_a_morlet():
    rng = np.random.default_rng(2)
    values, scales = rng.normal(size=300), np.array([4.0, 9.0])
    made = time_frequency.wavelet(values, scales)
    for row, scale in zip(made, scales, strict=True):
        lag = np.arange(-299, 300) / scale
        morlet = np.pi**-0.25 * np.exp(-1j * 6 * lag - lag**2 / 2) / np.sqrt(scale)
        expected = [np.dot(values, morlet[299 - i : 599 - i]) for i in range(300)]
        np.testing.assert_allclose(row, expected, atol=2e-3)
    scales, period = time_frequency.scales_of(1000, {"shortest": 20.0, "longest": 21.0, "scales": 2, "omega": 6.0, "columns": 1})
    assert period[0] / scales[0] == pytest.approx(1.03, abs=0.005)  # Torrence & Compo 1998, table 1
    tone = np.sin(2 * np.pi * np.arange(2000) / 37)
    scales, period = time_frequency.scales_of(2000, {"shortest": 10.0, "longest": 200.0, "scales": 300, "omega": 6.0, "columns": 1})
    best = period[(np.abs(time_frequency.wavelet(tone, scales))[:, 1000] ** 2 / scales).argmax()]
    assert best == pytest.approx(37, rel=0.03)


def test_a_q_transform_shows_a_burst_where_it_is():
    rng = np.random.default_rng(4)
    n, at, frequency = 4096, 1500, 0.08
    t = np.arange(n)
    values = rng.normal(size=n) + 8 * np.exp(-(((t - at) / 30) ** 2)) * np.sin(2 * np.pi * frequency * t)
    rows = np.geomspace(0.01, 0.3, 60)
    energy = time_frequency.q_transform(values, rows, 8.0)
    row, column = np.unravel_index(energy.argmax(), energy.shape)
    assert abs(column - at) < 40 and rows[row] == pytest.approx(frequency, rel=0.12)
    noise = time_frequency.q_transform(rng.normal(size=n), rows, 8.0)
    np.testing.assert_allclose(np.median(noise, axis=-1), 1)
    assert noise.max() < energy.max() / 3


def test_mel_filters_are_triangles_on_the_mel_scale():
    frequency = np.fft.rfftfreq(2048, 1 / 16000)
    filters = time_frequency.mel_filters(30, frequency, 0, 8000, 700)
    middle = frequency[filters.argmax(axis=1)]
    mel = 2595 * np.log10(1 + middle / 700)
    np.testing.assert_allclose(np.diff(mel), np.diff(mel).mean(), rtol=0.15)
    assert 2595 * np.log10(1 + 1000 / 700) == pytest.approx(1000, abs=1)  # the scale's own definition
    inside = (frequency > middle[0]) & (frequency < middle[-1])
    np.testing.assert_allclose(filters.sum(axis=0)[inside], 1, atol=0.02)


def test_wwz_follows_a_period_that_changes():
    rng = np.random.default_rng(6)
    time = np.sort(rng.uniform(0, 400, 500))
    value = 15 + np.where(time < 200, np.sin(2 * np.pi * time / 8), np.sin(2 * np.pi * time / 20)) + rng.normal(0, 0.1, 500)
    rows = np.geomspace(1 / 50, 1 / 4, 80)
    got = Epochs(time, value, np.full(500, 0.1), np.array([0, 500]))
    made = uneven_wavelet.wwz(got, 1, rows, 9)[0]
    assert 1 / rows[np.nanargmax(made[:, 1])] == pytest.approx(8, rel=0.05) and 1 / rows[np.nanargmax(made[:, 7])] == pytest.approx(20, rel=0.05)
    # one cell by weighted least squares (Foster's V_y is what the fit explains)
    tau, omega = time[0] + 1.5 / 9 * np.ptp(time), 2 * np.pi * rows[40]
    weight = np.exp(-0.0125 * (omega * (time - tau)) ** 2)
    design = np.stack([np.ones(500), np.cos(omega * (time - tau)), np.sin(omega * (time - tau))], axis=1)
    fit = design @ np.linalg.lstsq(design * np.sqrt(weight)[:, None], value * np.sqrt(weight), rcond=None)[0]
    mean = np.average(value, weights=weight)
    whole, explained = np.average((value - mean) ** 2, weights=weight), np.average((fit - mean) ** 2, weights=weight)
    count = weight.sum() ** 2 / (weight**2).sum()
    assert made[40, 1] == pytest.approx((count - 3) * explained / (2 * (whole - explained)), rel=1e-6)
    assert np.isnan(uneven_wavelet.wwz(Epochs(time[:4], value[:4], value[:4], np.array([0, 4])), 1, rows, 3)).all()


# ---- images ---------------------------------------------------------------------------------------------------------


def test_l2_of_rows_and_of_the_whole(sets):
    samples = sets["image"]
    before = samples.arrays("image")
    whole, rows = (samples.represent("image", "l2", along=along).arrays("image") for along in ("whole", "rows"))
    norm = lambda arrays, axes: np.sqrt((arrays["flux"].astype(float) ** 2).sum(axis=axes))  # noqa: E731
    some = before["mask"].any(axis=(2, 3))
    np.testing.assert_allclose(norm(whole, (2, 3))[some], 1, rtol=1e-5)
    np.testing.assert_allclose(norm(rows, 3)[before["mask"].any(axis=3)], 1, rtol=1e-5)
    np.testing.assert_array_equal(whole["mask"], before["mask"] & np.isfinite(before["flux"]))
    made = Preparation.fit(samples, ["image"], {"image": Part.of("l2")}).batch(samples)
    has = samples.present("image")
    np.testing.assert_allclose(made.values["image"].numpy()[has], whole["flux"][has])  # nothing is added by the scaling


def test_a_folded_spectrum_reads_on(sets):
    samples = sets["spectrum"]
    before = samples.arrays("spectrum")
    pixels = before["flux"].shape[1]
    made = samples.represent("spectrum", "spectrum_image", rows=4, columns=pixels // 4).arrays("spectrum")
    whole = pixels // 4 * 4 == pixels
    if whole:
        good = before["mask"] & np.isfinite(before["flux"])
        np.testing.assert_allclose(made["flux"].reshape(len(samples), -1), np.where(good, before["flux"], 0), rtol=1e-4, atol=1e-5)
    drawn = samples.represent("spectrum", "spectrum_image", style="plot", rows=20, columns=30).arrays("spectrum")
    has = drawn["mask"].any(axis=2)
    assert (drawn["flux"].sum(axis=2)[has] >= 0.5).mean() > 0.95 and drawn["flux"].max() <= 1


@pytest.mark.parametrize(
    ("kind", "name", "wrong", "words"),
    [
        ("light_curve", "periodogram", {"shortest": 5.0, "longest": 1.0}, "0 < shortest < longest"),
        ("light_curve", "periodogram", {"shortest": 1e-6}, "frequencies are needed"),
        ("light_curve", "features", {"which": "some"}, "all"),
        ("series", "stft", {"window": 4096}, "a window of 2 to"),
        ("series", "q_transform", {"q": 1.0}, "sqrt 11"),
        ("series", "wavelet", {"shortest": 50.0, "longest": 10.0}, "ascending"),
        ("spectrum", "spectrum_image", {"rows": 10_000}, "fewer rows"),
        ("image", "l2", {"along": "columns"}, "no way of the L2 norm"),
    ],
)
def test_wrong_options_are_told(sets, kind, name, wrong, words):
    with pytest.raises(InputError, match=words):
        sets[kind].represent(kind, name, **wrong).arrays(kind)
