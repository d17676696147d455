"""Augmentations: errors, masks, limits, labels and WCS follow; training batches only; the same seed gives the same batch."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import astrofuse_lab as af
from astrofuse_lab.alignment import augmentation, augmented_sources, extinction
from astrofuse_lab.alignment.augmentation import AUGMENTATIONS, augmented, chosen
from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.alignment.scene import Scene, Seen
from astrofuse_lab.errors import AlignmentError, InputError, UnknownNameError
from astrofuse_lab.modalities import Image, LightCurve, Spectrum
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.training.trainer import balanced_order
from tests.conftest import make_toy_samples

LINE = 6564.6
WAVE = 4000 * 10 ** (1e-4 * np.arange(4000))


def scene(n=6, seed=0, **columns):
    """All kinds with errors; sources of smooth spectra."""
    rng = np.random.default_rng(seed)
    image = {"flux": rng.normal(5, 1, (n, 2, 9, 9)).astype(np.float32), "mask": rng.random((n, 2, 9, 9)) > 0.1, "ivar": np.full((n, 2, 9, 9), 4, np.float32), "present": np.ones(n, bool)}
    flux = (10 + 20 * np.exp(-(((WAVE - LINE * 1.1) / 8) ** 2) / 2) + rng.normal(0, 0.2, (n, 4000))).astype(np.float32)
    spectrum = {"lambda": WAVE, "flux": flux, "ivar": np.full(flux.shape, 25, np.float32), "mask": rng.random(flux.shape) > 0.02}
    time = np.concatenate([np.sort(rng.uniform(59000, 59100, 60)) for _ in range(n)])
    curve = {
        "offsets": np.arange(n + 1) * 60, "time": time, "flux": (300 * np.exp(-(((time - 59050) / 12) ** 2) / 2) + rng.normal(0, 3, 60 * n)).astype(np.float32),
        "flux_err": np.full(60 * n, 3, np.float32), "band": rng.integers(0, 3, 60 * n).astype(np.int8), "mask": rng.random(60 * n) > 0.05, "limit": np.zeros(60 * n, bool),
    }  # fmt: skip
    parts = {"image": Seen("image", ("g", "r"), image), "spectrum": Seen("spectrum", (), spectrum), "light_curve": Seen("light_curve", ("g", "r", "ztf:i"), curve)}
    return Scene(parts, {"redshift": np.full(n, 0.1), **columns})


def run(one, *parts, seed=0):
    return augmentation.run(one, chosen(parts), [seed])


def arrays_of(one):
    return {(name, field): v for name, seen in one.modalities.items() for field, v in seen.arrays.items()} | {("", k): v for k, v in one.columns.items()}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_is_seeded_finite_masks_more_and_leaves_its_input_alone(name):
    one = scene()
    before = {k: v.copy() for k, v in arrays_of(one).items()}
    got, again, other = arrays_of(run(one, name)), arrays_of(run(one, name)), arrays_of(run(one, name, seed=1))
    assert all(np.array_equal(got[k], again[k], equal_nan=True) for k in got)
    assert any(not np.array_equal(got[k], other[k]) for k in got)
    assert all(np.array_equal(before[k], v) for k, v in arrays_of(one).items())
    for key, v in got.items():
        assert v.shape == before[key].shape and v.dtype == before[key].dtype, key
        if key[1] == "mask":
            assert v.sum() <= before[key].sum() and v.any()
        elif v.dtype.kind == "f":
            assert np.isfinite(v).all(), key


# ---- errors tell the truth -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["noise", "depth", "dust"])
@pytest.mark.parametrize("kind", ["image", "spectrum", "light_curve"])
def test_what_is_added_is_what_errors_say(name, kind):
    n = 400
    if kind == "spectrum":
        seen = Seen(kind, (), {"lambda": WAVE[::40], "flux": np.full((n, 100), 50.0), "ivar": np.full((n, 100), 0.25), "mask": np.ones((n, 100), bool)})
    elif kind == "image":
        seen = Seen(kind, ("g",), {"flux": np.full((n, 1, 10, 10), 50.0), "ivar": np.full((n, 1, 10, 10), 0.25), "mask": np.ones((n, 1, 10, 10), bool)})
    else:
        each = {"time": np.tile(np.arange(100.0), n), "flux": np.full(100 * n, 50.0), "flux_err": np.full(100 * n, 2.0), "band": np.zeros(100 * n, np.int8), "mask": np.ones(100 * n, bool)}
        seen = Seen(kind, ("g",), {"offsets": np.arange(n + 1) * 100, **each})
    # what is observed has noise of the size of its errors; whatever is done, it must still have
    noisy = seen.but(flux=seen.arrays["flux"] + np.random.default_rng(1).normal(0, 2.0, seen.arrays["flux"].shape))
    truth = run(Scene({kind: seen.but(**({"flux_err": seen.arrays["flux_err"] * 1e-9} if kind == "light_curve" else {"ivar": seen.arrays["ivar"] * 1e18}))}, {}), name)
    got, exact = (one.modalities[kind].arrays for one in (run(Scene({kind: noisy}, {}), name), truth))
    error = got["flux_err"] if kind == "light_curve" else got["ivar"] ** -0.5
    pull = (got["flux"] - exact["flux"]) / error
    assert np.std(pull) == pytest.approx(1, abs=0.02) and np.abs(pull.mean()) < 0.02
    assert error.min() >= 2 - 1e-6 and (name == "dust" or error.max() > 2.1)


def test_faint_epochs_become_limits_and_limits_stay():
    one = scene()
    limit = one.modalities["light_curve"].arrays["limit"].copy()
    limit[::7] = True
    flux = np.where(limit, 0, one.modalities["light_curve"].arrays["flux"])
    one = one.put("light_curve", one.modalities["light_curve"].but(limit=limit, flux=flux))
    got = run(one, ("depth", {"factor": 5.0, "sigma": 5.0})).modalities["light_curve"].arrays
    assert (got["limit"] >= limit).all() and got["limit"].sum() > limit.sum() and (got["flux"][got["limit"] & got["mask"]] == 0).all()
    seen = got["mask"] & ~got["limit"]
    assert (got["flux"][seen] >= 5 * got["flux_err"][seen]).all()
    for name in ("noise", "dust", "redshift"):
        part = Scene({"light_curve": one.modalities["light_curve"]}, one.columns)
        after = run(part, name).modalities["light_curve"].arrays
        assert np.array_equal(after["limit"], limit) and (after["flux"][limit] == 0).all()


def test_cadence_takes_whole_nights_and_leaves_one():
    one = scene().modalities["light_curve"]
    got = run(Scene({"light_curve": one}, {}), ("cadence", {"share": 0.9})).modalities["light_curve"].arrays
    who, night = np.repeat(np.arange(6), 60), np.floor(one.arrays["time"])
    for i in range(6):
        for day in np.unique(night):
            part = (who == i) & (night == day) & one.arrays["mask"]
            assert got["mask"][part].all() or not got["mask"][part].any()
        assert got["mask"][who == i].any()
    lonely = one.but(mask=np.arange(360) % 60 == 5)
    assert np.array_equal(run(Scene({"light_curve": lonely}, {}), ("cadence", {"share": 1.0})).modalities["light_curve"].arrays["mask"], lonely.arrays["mask"])


# ---- dust and redshift -----------------------------------------------------------------------------------------------


def test_dust_reddens_as_its_law_says():
    one = scene(ebv=np.zeros(6))
    one = one.put("spectrum", one.modalities["spectrum"].but(flux=np.full((6, 4000), 1000.0), ivar=np.full((6, 4000), 1e12)))
    got = run(one, ("dust", {"most": 0.5, "column": "ebv"}))
    ebv = got.columns["ebv"]
    assert (ebv > 0).all() and (ebv < 0.5).all()
    spectrum = got.modalities["spectrum"].arrays
    good = spectrum["mask"]
    expected = 1000 * 10 ** (-0.4 * ebv[:, None] * extinction.fitzpatrick(WAVE))
    assert np.allclose(spectrum["flux"][good], expected[good], rtol=1e-6)
    # all that is known of the object sees the same dust
    curve, old = got.modalities["light_curve"].arrays, one.modalities["light_curve"].arrays
    peak = (old["flux"] > 100) & (old["band"] == 0) & old["mask"]
    by = 10 ** (-0.4 * ebv[np.repeat(np.arange(6), 60)] * extinction.fitzpatrick(np.array([4770.0])))
    assert np.abs(curve["flux"] - by * old["flux"])[peak].max() < 15 and np.corrcoef(curve["flux"][peak], (by * old["flux"])[peak])[0, 1] > 0.99


def test_redshift_moves_lines_dims_and_changes_the_label():
    from astropy.cosmology import Planck18

    one = scene()
    kept = Scene({k: v for k, v in one.modalities.items() if k != "image"}, {"redshift": np.array([0.1] * 5 + [np.nan])})
    got = run(kept, ("redshift", {"most": 0.15}))
    z = got.columns["redshift"]
    still, mask = got.modalities["spectrum"].arrays["flux"][5], one.modalities["spectrum"].arrays["mask"][5]
    assert np.isnan(z[5]) and np.array_equal(still[mask], one.modalities["spectrum"].arrays["flux"][5][mask])
    assert np.ptp(z[:5]) > 0.02
    spectrum = got.modalities["spectrum"].arrays
    for i in range(5):
        level = np.median(spectrum["flux"][i][spectrum["mask"][i]])
        near = spectrum["mask"][i] & (np.abs(WAVE - LINE * (1 + z[i])) < 40)
        centre = np.average(WAVE[near], weights=np.clip(spectrum["flux"][i] - 1.3 * level, 0, None)[near])
        assert centre / LINE - 1 == pytest.approx(z[i], abs=3e-4)
        dimmer = (Planck18.luminosity_distance(0.1) / Planck18.luminosity_distance(z[i])).value ** 2 * 1.1 / (1 + z[i])
        assert level / np.median(one.modalities["spectrum"].arrays["flux"][i]) == pytest.approx(dimmer, rel=0.02)
        assert (spectrum["ivar"][i][spectrum["mask"][i]] <= 25 * 1.001).all()  # no fainter source is seen better
        shift = np.log((1 + z[i]) / 1.1) / np.log(10) / 1e-4
        assert abs(shift - round(shift)) < 1e-6
        beyond = WAVE[0] * (1 + z[i]) / 1.1 > WAVE if z[i] > 0.1 else WAVE[-1] * (1 + z[i]) / 1.1 * 1.0001 < WAVE
        assert not spectrum["mask"][i][beyond].any()


def test_redshifted_light_curves_last_longer_and_their_bands_move():
    n, rng = 8, np.random.default_rng(0)
    wave = np.array([4770.0, 6230.0, 7630.0])
    time, band = np.tile(np.sort(rng.uniform(59000, 59100, 150)), n), np.tile(rng.integers(0, 3, 150), n).astype(np.int8)
    def flux(t, w):
        return 1000 * np.exp(-(((t - 59040) / 12) ** 2) / 2) * (w / 6000)
    arrays = {"offsets": np.arange(n + 1) * 150, "time": time, "flux": flux(time, wave[band]), "flux_err": np.full(150 * n, 1.0), "band": band, "mask": np.ones(150 * n, bool)}
    got = run(Scene({"lc": Seen("light_curve", ("g", "r", "i"), arrays)}, {"z": np.full(n, 0.3)}), ("redshift", {"most": 0.2, "column": "z"}))
    z, new = got.columns["z"], got.modalities["lc"].arrays
    by = np.repeat((1 + z) / 1.3, 150)
    assert np.ptp(by) > 0.05
    first = time[0]
    assert np.allclose(new["time"], first + (time - first) * by)
    far = augmented_sources._distance
    factor = np.repeat((far(np.array([0.3])) / far(z)) ** 2, 150) * by
    expected = flux(time, wave[band] / by) * factor
    pull = (new["flux"] - expected) / new["flux_err"]
    between = (wave[band] / by > 4770) & (wave[band] / by < 7630)  # elsewhere the process does not know, and its errors say so
    assert np.sqrt(np.mean(pull**2)) < 1.6 and between.sum() > 400 and (np.abs(new["flux"] - expected) / factor)[between].max() < 0.03 * 1000
    assert (new["flux_err"] >= 1).all()


# ---- images ----------------------------------------------------------------------------------------------------------


def star(ivar=True):
    wcs = PixelGrid(21, 0.5).wcs(150.0, 20.0)
    y, x = np.mgrid[:21, :21]
    flux = np.exp(-(((x - 13) ** 2 + (y - 8) ** 2) / 2 / 1.5**2))[None]
    mask = np.ones((1, 21, 21), bool)
    mask[0, 2, 3] = False
    return Image(flux, mask, ("g",), wcs, 0.5, np.full(flux.shape, 4.0) if ivar else None)


@pytest.mark.parametrize(("name", "keywords"), [("turn", "CDELT"), ("crop", "CDELT"), ("rotate", "CDELT"), ("rotate", "CD"), ("rotate", "CROTA2"), ("turn", "PC")])
@pytest.mark.parametrize("seed", range(4))
def test_the_star_stays_where_it_is_on_the_sky(name, keywords, seed):
    from astropy.wcs import WCS

    one = star()
    cos, sin = np.cos(0.4), np.sin(0.4)
    scale = 0.5 / 3600
    more = {
        "CDELT": {}, "PC": {"PC1_1": cos, "PC1_2": -sin, "PC2_1": sin, "PC2_2": cos}, "CROTA2": {"CROTA2": 23.0},
        "CD": {"CD1_1": -scale * cos, "CD1_2": scale * sin, "CD2_1": scale * sin, "CD2_2": scale * cos},
    }[keywords]  # fmt: skip
    wcs = {**one.wcs, **more}
    if keywords == "CD":
        wcs = {k: v for k, v in wcs.items() if not k.startswith("CDELT")}
    one = replace(one, wcs=wcs)
    got = augmented(one, [name], seed=seed)

    def where(image):
        y, x = np.mgrid[:21, :21]
        weight = np.where(image.mask[0], image.flux[0], 0)
        return WCS(dict(image.wcs)).all_pix2world([[(x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()]], 0)[0]

    # bilinear weights and masked corners move a centre by a few hundredths of a pixel
    assert np.hypot(*((where(got) - where(one)) * [np.cos(np.radians(20)), 1])) * 3600 < (1e-6 if name == "turn" else 0.02)
    assert got.mask.sum() <= one.mask.sum()


def test_rotation_carries_inverse_variance_and_keeps_flux():
    got = augmented(star(), [("rotate", {"degrees": 45.0})], seed=3)
    inner = got.mask[0, 5:16, 5:16]
    assert inner.all() and (got.ivar[0, 5:16, 5:16] >= 4 - 1e-6).all()  # a mean of four is known better than one
    assert got.flux[got.mask].sum() == pytest.approx(star().flux.sum(), rel=0.01)
    assert np.array_equal(augmented(star(), [("rotate", {"degrees": 1e-12})]).flux[0, 3:18, 3:18].round(9), star().flux[0, 3:18, 3:18].round(9))
    with pytest.raises(AlignmentError, match="A_2_0"):
        augmented(replace(star(), wcs={**star().wcs, "A_2_0": 1e-5}), ["turn"], seed=1)
    assert augmented(star(ivar=False), ["noise", "turn"]).ivar is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["turn", "crop", "rotate"]))
def test_objects_do_not_depend_on_those_beside_them_in_value(seed, name):
    """Whatever is drawn, each new pixel shows what was at the place that is told."""
    n, y, x = 3, *np.mgrid[:12, :12].astype(float)
    arrays = {"flux": np.broadcast_to(3 * x + 5 * y + 1, (n, 1, 12, 12)).copy(), "mask": np.ones((n, 1, 12, 12), bool)}
    identity = np.broadcast_to(np.eye(2, 3), (n, 2, 3))
    got = run(Scene({"image": Seen("image", ("g",), arrays, identity)}, {}), name, "turn", seed=seed).modalities["image"]
    at = got.placed[:, :, :2] @ np.stack([x.ravel(), y.ravel()]) + got.placed[:, :, 2:]
    expected = (3 * at[:, 0] + 5 * at[:, 1] + 1).reshape(n, 1, 12, 12)
    assert np.allclose(got.arrays["flux"][got.arrays["mask"]], expected[got.arrays["mask"]], atol=1e-9) and got.arrays["mask"].mean() > 0.4


def test_products_of_other_kinds():
    spectrum = Spectrum(WAVE, np.full(4000, 10.0), np.full(4000, 4.0), np.ones(4000, bool))
    got = augmented(spectrum, [("redshift", {"column": "z"})], z=0.2)
    assert got.flux.shape == (4000,) and not got.mask.all() and np.median(got.flux[got.mask]) != pytest.approx(10, abs=0.1)
    curve = LightCurve(np.arange(59000.0, 59050.0), np.full(50, 9.0), np.ones(50), np.full(50, "g"), np.ones(50, bool))
    assert augmented(curve, ["cadence", "noise"]).mask.sum() < 50


# ---- recipes and training --------------------------------------------------------------------------------------------


def test_recipes_name_augmentations_and_go_to_json_and_back():
    recipe = af.Recipe("r", "r", {"image": Part("conv2d")}, Part("concatenation"), augment=[Part("turn"), Part.of("noise", share=0.2)])
    assert Recipe.from_json(recipe.to_json()) == recipe and recipe.augment[1].options["share"] == 0.2
    old = recipe.to_json()
    del old["augment"]
    assert Recipe.from_json(old).augment == (Part("turn"),)
    for bad in (Part("turn"), ["turn"], "turn"):
        with pytest.raises(InputError, match="augment"):
            recipe.change(augment=bad)
    assert set(AUGMENTATIONS) <= set(af.list_parts()["name"])


@pytest.mark.parametrize(
    ("part", "error", "words"),
    [
        (Part("trun"), UnknownNameError, "turn"), (Part.of("turn", way=1), InputError, "no option 'way'"), (Part.of("noise", share=-1), InputError, "share"),
        (Part.of("depth", factor=0.5), InputError, "factor"), (Part.of("crop", pixels=-1), InputError, "pixels"), (Part.of("noise", share="much"), InputError, "noise"),
        (Part.of("dust", column="label"), InputError, "could not follow"), (Part.of("redshift", column="nowhere"), InputError, "'nowhere'"),
    ],
)  # fmt: skip
def test_training_refuses_augmentations_that_cannot_be(toy_samples, part, error, words):
    from astrofuse_lab.recipes.catalogue import get_recipe

    modalities = ["spectrum"] if part.name == "redshift" else None
    with pytest.raises(error, match=words):
        af.train(get_recipe("late_fusion").change(augment=[part]), toy_samples, "label", modalities, epochs=1, progress=False, device="cpu")


def test_unknown_bands_are_named_with_those_that_are_known(toy_samples):
    from astrofuse_lab.recipes.catalogue import get_recipe

    data = toy_samples.data_of("light_curve")
    clear = toy_samples.with_data({"light_curve": replace(data, spec=replace(data.spec, channels=("clear", "ztf:r")))})
    recipe = get_recipe("late_fusion").change(augment=[Part("dust")])
    with pytest.raises(InputError, match=r"'clear' of 'light_curve'.*TimeGrid\(bands=\['ztf:r'\]\)"):
        af.train(recipe, clear, "label", ["light_curve"], epochs=1, progress=False, device="cpu")
    known = af.align(clear, light_curve=af.TimeGrid(bands=["ztf:r"]), progress=False)
    assert af.train(recipe, known, "label", ["light_curve"], epochs=1, progress=False, device="cpu").state == "finished"


def redshifts():
    toy = make_toy_samples(n=40)
    columns = toy._columns.append_column("z", pa.array(np.random.default_rng(0).uniform(0.05, 0.5, 40)))
    return af.SampleSet(columns, toy._data, {**toy.roles, "z": "target"}, toy.units, toy.card)


def test_only_training_batches_change_and_labels_follow():
    from astrofuse_lab.samples.preparation import Preparation
    from astrofuse_lab.training.feed import Feed

    samples = redshifts()
    preparation = Preparation.fit(samples, ("spectrum",))
    plan = chosen([("redshift", {"column": "z", "most": 0.2})])
    kept, streamed = (Feed(preparation, samples, np.arange(40), torch.device("cpu"), memory, plan) for memory in (None, 0))
    indices, seeds = [np.arange(8), np.arange(8, 20)], [(1, 5), (1, 6)]
    first, second = list(kept.training(indices, seeds)), list(streamed.training(indices, seeds))
    later = next(iter(kept.training(indices[1:], seeds[1:])))  # as a resumed training asks for it
    for (a, z), (b, other) in zip([*first, later], [*second, second[1]], strict=True):
        assert torch.equal(a.values["spectrum"], b.values["spectrum"]) and np.array_equal(z["z"], other["z"])
    truth = np.asarray(samples.column("z"))[:8]
    moved = first[0][1]["z"]
    assert (moved != truth).all() and np.abs(np.log((1 + moved) / (1 + truth))).max() < 0.2
    plain = preparation.batch(samples, np.arange(8))
    assert torch.equal(kept.batch(np.arange(8)).values["spectrum"], plain.values["spectrum"])
    assert not torch.equal(first[0][0].values["spectrum"], plain.values["spectrum"])


def test_a_regression_of_redshift_trains_on_moved_labels(monkeypatch):
    from astrofuse_lab.recipes.catalogue import get_recipe
    from astrofuse_lab.training.trainer import Trainer

    seen, plain = [], Trainer._step
    monkeypatch.setattr(Trainer, "_step", lambda self, index, batch, target: (seen.append((self, index, target)), plain(self, index, batch, target))[1])
    recipe = get_recipe("late_fusion").change(augment=[Part.of("redshift", column="z", most=0.2)])
    run = af.train(recipe, redshifts(), "z", ["spectrum", "light_curve"], epochs=1, progress=False, device="cpu")
    assert run.state == "finished" and seen
    for trainer, index, target in seen:
        own = trainer.target[torch.from_numpy(index)]
        assert target.shape == own.shape and not torch.equal(target, own) and float((target - own).abs().max()) < 3


def test_balanced_batches_have_each_class_as_often():
    codes = np.array([0] * 90 + [1] * 9 + [2])
    order = balanced_order(codes, np.random.default_rng(0))
    counts = np.bincount(codes[order])
    assert len(order) == 100 and counts.max() - counts.min() <= 1
    times = np.bincount(order, minlength=100)
    assert times[99] == counts[2] and np.ptp(times[90:99]) <= 1 and times[:90].max() == 1
    even = balanced_order(np.random.default_rng(0).exponential(1, 50).astype(np.float32), np.random.default_rng(1))
    assert sorted(even) == list(range(50))


def test_training_with_balanced_batches(toy_samples):
    from astrofuse_lab.recipes.catalogue import get_recipe

    recipe = get_recipe("late_fusion")
    balanced = recipe.change(schedule=Part.of("end_to_end", sampler="balanced"))
    one, other = (af.train(r, toy_samples, "label", ["table"], epochs=1, progress=False, device="cpu") for r in (balanced, recipe))
    assert one.state == "finished" and one.history["train_loss"][0] != other.history["train_loss"][0]
    with pytest.raises(InputError, match="sampler"):
        af.train(recipe.change(schedule=Part.of("end_to_end", sampler="lottery")), toy_samples, "label", epochs=1, progress=False, device="cpu")
