"""Nigraha: the published size, its inputs, the simulated candidates beside what defines their physics, and the leak of the published split."""

import numpy as np
import pytest
from conftest import make_toy_samples, with_series

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.build import build
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.surveys.simulators import transits

LAYOUTS = {
    "global_view": InputLayout("series", ("centred",), (1, 201)), "half_phase": InputLayout("series", ("both",), (1, 162)),
    "local_view": InputLayout("series", ("transit",), (1, 81)), "table": InputLayout("table", transits.SCALARS, (11,)),
}  # fmt: skip


# ---- the network -----------------------------------------------------------------------------------------------------


def test_the_network_has_the_published_size():
    model = build(af.get_recipe("nigraha"), LAYOUTS, 2, "classification")
    assert model.parameter_count == 3_073_201  # Rao et al. 2021, models/train.py
    widths = {name: model.encoders[name].width for name in LAYOUTS}
    assert widths == {"global_view": 768, "half_phase": 1248, "local_view": 608, "table": 11} and sum(widths.values()) == 2635


def test_narrow_says_its_size():
    recipe = af.get_recipe("nigraha_narrow")
    count = build(recipe, LAYOUTS, 2, "classification").parameter_count
    assert any(f"{count:,} parameters" in words for words in recipe.departures)


def test_both_learn_and_predict_on_simulated_views():
    samples = af.load_samples("practice-transits", n=24, progress=False)
    run = af.train("nigraha_narrow", samples, "is_planet", epochs=1, device="cpu", progress=False)
    assert run.modalities == ("global_view", "half_phase", "local_view", "table")
    said = run.predict(samples)
    assert np.isfinite(np.asarray(said["p_True"], float)).all() and samples.simulated


# ---- inputs ----------------------------------------------------------------------------------------------------------


def test_a_view_is_some_channels_or_all_end_to_end():
    samples = with_series(make_toy_samples(6))
    name = next(n for n, s in samples.modalities.items() if s.kind == "series")
    plain, channels = samples.arrays(name), samples.spec(name).channels
    last = samples.represent(name, "view", channels=[channels[-1]], clip=0.5).arrays(name)
    np.testing.assert_allclose(last["values"][:, 0], np.where(plain["mask"], np.clip(plain["values"], -0.5, 0.5), 0)[:, -1])
    joined = samples.represent(name, "view", join=True)
    np.testing.assert_array_equal(joined.arrays(name)["values"][:, 0], np.where(plain["mask"], plain["values"], 0).reshape(len(samples), -1))
    assert joined.spec(name).shape == (1, plain["values"][0].size)
    with pytest.raises(UnknownNameError, match="channel of this series"):
        samples.represent(name, "view", channels=["none such"])
    with pytest.raises(InputError, match="clip=-1"):
        samples.represent(name, "view", clip=-1.0)


def test_series_may_stay_as_they_are():
    samples = with_series(make_toy_samples(6))
    name = next(n for n, s in samples.modalities.items() if s.kind == "series")
    plain = samples.arrays(name)
    batch = Preparation.fit(samples, [name], {name: Part.of("asinh", stretch="none")}).batch(samples)
    np.testing.assert_array_equal(batch.values[name].numpy(), np.where(plain["mask"], plain["values"], 0))
    with pytest.raises(UnknownNameError, match="stretch of a series"):
        Preparation.fit(samples, [name], {name: Part.of("asinh", stretch="log")})


# ---- the simulator ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0.05, 0.3, 0.8, 1.0, 1.4])
def test_a_uniform_disk_hides_the_lens_of_two_circles(k):
    z = np.linspace(0, 2.5, 401)
    expected = np.zeros_like(z)
    expected[z <= abs(1 - k)] = min(1.0, k**2)
    part = (z > abs(1 - k)) & (z < 1 + k)
    d = z[part]
    a0, a1 = np.arccos((d**2 + k**2 - 1) / (2 * d * k)), np.arccos((d**2 + 1 - k**2) / (2 * d))
    expected[part] = (k**2 * a0 + a1 - 0.5 * np.sqrt((-d + k + 1) * (d + k - 1) * (d - k + 1) * (d + k + 1))) / np.pi  # Mandel & Agol 2002, equation 1
    np.testing.assert_allclose(transits.occulted(z, k), expected, atol=2e-5)


@pytest.mark.parametrize(("z", "k"), [(0.0, 0.1), (0.4, 0.1), (0.95, 0.1), (0.7, 0.5), (1.2, 0.9), (0.1, 1.2)])
def test_limb_darkening_beside_a_sum_over_pixels(z, k):
    u, side = (0.45, 0.2), 1201
    x, y = np.meshgrid(*[np.linspace(-1, 1, side)] * 2)
    r = np.hypot(x, y)
    mu = np.sqrt(np.clip(1 - r**2, 0, 1))
    light = np.where(r < 1, 1 - u[0] * (1 - mu) - u[1] * (1 - mu) ** 2, 0.0)
    hidden = light[np.hypot(x - z, y) < k].sum() / light.sum()
    assert transits.occulted(np.array([z]), k, u)[0] == pytest.approx(hidden, abs=1e-3)


def test_contacts_are_where_the_duration_says():
    for period, a, b, k in ((3.0, 8.0, 0.0, 0.1), (1.5, 4.0, 0.6, 0.15), (9.0, 20.0, 0.95, 0.3)):
        half = transits.duration_of(period, a, b, k) / 2 / period
        z, front = transits.separation(np.array([half, 0.0, 0.5]), a, b)
        assert z[0] == pytest.approx(1 + k, rel=1e-6) and z[1] == pytest.approx(b) and front.tolist() == [True, True, False]
    assert transits.duration_of(3.0, 8.0, 1.2, 0.1) == 0.0
    earth = transits.ORBIT * 365.25 ** (2 / 3)
    assert earth == pytest.approx(215.03, rel=1e-3)  # the Earth's orbit in solar radii


def test_both_surveys_see_one_candidate_and_the_curve_shows_its_eclipse():
    survey_ids = [f"t-{i}" for i in range(30)]
    options = {"seed": 3, "minutes": 10.0, "noise": 1e-3}
    kinds = []
    for one in survey_ids:
        drawn, again = (survey.draw(survey.rng(one, 3), options) for survey in (transits.CURVE, transits.TABLE))
        assert all(np.array_equal(drawn[name], again[name]) for name in drawn)
        kind, (period, epoch, length, _, k) = str(drawn["kind"]), drawn["other"]
        kinds.append(kind)
        depth = 1 - dict(zip(transits.SCALARS, drawn["scalars"], strict=True))["Depth"]
        if kind == "planet" and length > 0.05:
            assert 0.6 * k**2 < depth < 1.6 * k**2, "limb darkening changes the depth, noise next to nothing"
            phase = (drawn["time"] - epoch) / period
            flux = drawn["flux"] / np.median(drawn["flux"])
            out = np.abs(phase - np.round(phase)) * period > length
            assert flux[out].min() > 1 - 0.2 * depth
    assert set(kinds) == set(transits.KINDS)


def test_the_practice_set_is_laid_out_as_the_real_one():
    samples = af.load_samples("practice-transits", n=12, seed=5, progress=False)
    assert {n: s.shape for n, s in samples.modalities.items()} == {"global_view": (2, 201), "half_phase": (2, 81), "local_view": (1, 81), "table": (11,)}
    assert samples.spec("table").channels == transits.SCALARS
    assert samples.roles["kind"] == "target" and {samples.roles[n] for n in ("Period", "T0", "length", "k")} == {"other"}
    values, mask = (samples.arrays("global_view")[n] for n in ("values", "mask"))
    lowest = np.where(mask, values, np.inf)[:, 0].min(axis=1)
    np.testing.assert_allclose(lowest, -1, atol=1e-5)
    assert "imulated" in samples.card.title and samples.simulated
    np.testing.assert_array_equal(af.load_samples("practice-transits", n=12, seed=5, progress=False).arrays("local_view")["values"], samples.arrays("local_view")["values"])


# ---- real candidates -------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_the_published_split_leaks_and_ours_does_not(mirror):
    samples = af.load_samples("tess-transits", mirror=mirror, progress=False)
    star = samples.column("tic_id").data
    published, grouped = samples.split(by="published"), samples.split(test=0.1, seed=0)
    for split, leaking in ((published, 352), (grouped, 0)):
        train, test = samples.positions(split.train), samples.positions(split.test)
        assert int(np.isin(star[test], star[train]).sum()) == leaking
    practice = af.load_samples("practice-transits", n=6, progress=False)
    assert {n: s.layout() for n, s in practice.modalities.items()} == {n: s.layout() for n, s in samples.modalities.items()}
