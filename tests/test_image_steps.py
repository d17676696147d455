"""Background, cosmic rays, units, common PSF and registration of images."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import astrofuse_lab as af
from astrofuse_lab.alignment import backgrounds, image_steps, image_units, point_spread, registration, steps
from astrofuse_lab.alignment.cosmic_rays import cosmic_rays
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.modalities import Image

RA, DEC, N = 150.1, 62.2, 64
GRID = af.PixelGrid(N, 0.3)


def sky(stars=((30.0, 33.0, 500.0), (12.3, 50.1, 200.0), (48.6, 14.2, 150.0)), fwhm=3.5, noise=0.2, level=0.0, seed=0, n=N):
    """A plane of round stars (x, y, flux) in noise."""
    y, x = np.indices((n, n)).astype(float)
    sigma = fwhm / 2.3548
    flux = np.random.default_rng(seed).normal(level, noise, (n, n))
    for a, b, total in stars:
        flux += total * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2 / sigma**2) / (2 * np.pi * sigma**2)
    return flux


def image(*planes, unit="uJy", psf=None, ivar=25.0, wcs=None, **more):
    flux = np.stack(planes).astype(np.float32)
    bands = tuple("grizy"[: len(planes)])
    return Image(flux, np.ones(flux.shape, bool), bands, wcs or GRID.wcs(RA, DEC), 0.3, None if ivar is None else np.full(flux.shape, ivar, np.float32), psf, unit=unit, **more)


def run(name, product, about=None, **options):
    return steps.treated(product, steps.planned("image", [(name, options)]), {"object_id": "a", "ra": RA, "dec": DEC} if about is None else about)


# ---- background ---------------------------------------------------------------------------------------------------------


def test_the_median_is_astropys_clipped_one():
    from astropy.stats import sigma_clipped_stats

    plane = sky(level=7.0, noise=1.0)
    got = backgrounds.background(plane[None], np.ones((1, N, N), bool), "median", sigma=3.0)
    want = sigma_clipped_stats(plane, sigma=3.0, maxiters=10, stdfunc="mad_std")[1]
    assert got[0, 0, 0] == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("model", ["plane", "mesh"])
def test_a_slope_is_taken_off_and_sources_are_not(model):
    y, x = np.indices((N, N))
    slope = 5 + 0.03 * x - 0.02 * y
    before = image(sky(noise=0.1) + slope)
    after = run("background", before, model=model, box=16)
    assert np.abs(after.flux[0] - sky(noise=0.1)).mean() < 0.05
    assert after.flux[0, 20:47, 17:44].sum() == pytest.approx(500, rel=0.05)
    assert np.array_equal(after.mask, before.mask) and after.ivar is before.ivar


def test_a_mesh_is_as_good_as_photutils_where_that_is_installed():
    photutils = pytest.importorskip("photutils.background")
    y, x = np.indices((96, 96))
    wave = 3 * np.sin(x / 40) + 2 * np.cos(y / 35)
    plane = np.random.default_rng(1).normal(0, 0.3, wave.shape) + wave
    ours = backgrounds.background(plane[None], np.ones((1, 96, 96), bool), "mesh", box=16)[0]
    theirs = photutils.Background2D(plane, 16, filter_size=3).background
    assert np.std(ours - wave) < 1.2 * np.std(theirs - wave)


def test_a_mesh_follows_a_wave():
    y, x = np.indices((96, 96))
    wave = 3 * np.sin(x / 40) + 2 * np.cos(y / 35)
    plane = np.random.default_rng(1).normal(0, 0.3, wave.shape) + wave
    mask = np.ones((1, 96, 96), bool)
    mask[0, 30:60, 30:60] = False  # a box without a pixel takes its neighbour's level
    got = backgrounds.background(plane[None], mask, "mesh", box=16)[0]
    assert np.std((got - wave)[mask[0]]) < 0.25


@settings(max_examples=25, deadline=None)
@given(st.floats(-1e4, 1e4), st.sampled_from(backgrounds.MODELS), st.integers(0, 2**31))
def test_subtracting_twice_changes_next_to_nothing_and_masks_stay(level, model, seed):
    rng = np.random.default_rng(seed)
    one = image(sky(level=level, noise=1.0, seed=seed))
    one.mask[0] = rng.random((N, N)) > 0.2
    once = run("background", one, model=model)
    twice = run("background", once, model=model)
    assert np.array_equal(once.mask, one.mask) and np.array_equal(twice.mask, one.mask)
    assert np.abs((twice.flux - once.flux)[once.mask]).max() < 0.15
    assert np.array_equal(once.flux[~one.mask], one.flux[~one.mask])


def test_too_few_pixels_are_said():
    one = image(sky())
    one.mask[:] = False
    with pytest.raises(AlignmentError, match="0 good pixels"):
        run("background", one, model="plane")
    with pytest.raises(InputError, match="median, plane, mesh"):
        run("background", one, model="sphere")


# ---- cosmic rays ----------------------------------------------------------------------------------------------------------


def test_cosmic_rays_go_and_stars_stay():
    plane = sky(noise=1.0, fwhm=2.6, stars=((30.0, 33.0, 5000.0), (12.3, 50.1, 900.0), (48.6, 14.2, 300.0)))
    rays = [(5, 40), (50, 50), (33, 36), (20, 9), (20, 10)]
    for y, x in rays:
        plane[y, x] += 60
    plane[60, 3] -= 60
    for ivar in (None, np.ones((N, N))):
        got = cosmic_rays(plane, np.ones((N, N), bool), ivar)
        assert not any(got[at] for at in [*rays[:2], *rays[3:], (60, 3)])
        assert got[33, 30] and got[50, 12] and got[14, 48]
        assert (~got).sum() <= 9


def test_cosmic_rays_in_bad_input():
    plane = np.full((9, 9), np.nan)
    assert not cosmic_rays(plane, np.ones((9, 9), bool)).any()
    flat = np.zeros((9, 9))
    flat[4, 4] = 1
    assert cosmic_rays(flat, np.ones((9, 9), bool)).all()  # no noise, no scale
    got = run("sigma_clip", image(sky(noise=1.0), sky(noise=1.0, seed=1), ivar=1.0))
    assert got.mask.shape == (2, N, N) and got.mask.mean() > 0.995


# ---- units ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "factor", "options"),
    [
        ("uJy", 1.0, {}), ("mJy", 1e3, {}), ("Jy", 1e6, {}), ("nJy", 1e-3, {}), ("nanomaggies", 3.631, {}), ("nmgy", 3.631, {}), ("nanomaggy", 3.631, {}),
        ("MJy / sr", 1e12 * 0.09 / 206264.806247**2, {}), ("mJy arcsec-2", 1e3 * 0.09, {}), ("DN", 1.0, {"zero_point": 23.9}), ("adu", 10**-0.4, {"zero_point": 24.9}),
        ("counts / s", 1.0, {"zero_point": [23.9]}), ("", 100.0, {"zero_point": 18.9}), ("DN", 10.0, {"zero_point": "zp"}),
        ("Jy / beam", 1e6 * 0.09 / (np.pi * 4 * 2 / 4 / np.log(2)), {"beam": [4.0, 2.0]}), ("mJy/beam", 1e3 * 0.09 / (np.pi * 9 / 4 / np.log(2)), {"beam": 3.0}),
    ],
)  # fmt: skip
def test_units_to_microjansky(unit, factor, options):
    before = image(sky(), unit=unit)
    after = run("to_microjansky", before, {"zp": 21.4}, **options)
    np.testing.assert_allclose(after.flux, before.flux * factor, rtol=1e-5)
    np.testing.assert_allclose(after.ivar, before.ivar / factor**2, rtol=1e-5)
    assert after.unit == "uJy"
    again = run("to_microjansky", after)
    assert np.array_equal(again.flux, after.flux) and np.array_equal(again.ivar, after.ivar)


def test_zero_point_and_beam_from_the_header():
    counts = image(sky(), unit="DN", wcs={**GRID.wcs(RA, DEC), "MAGZP": 26.4})
    assert image_units.factors(counts) == pytest.approx([0.1])
    radio = image(sky(), unit="Jy / beam", wcs={**GRID.wcs(RA, DEC), "BMAJ": 4 / 3600, "BMIN": 2 / 3600})
    assert image_units.factors(radio) == pytest.approx(image_units.factors(image(sky(), unit="Jy/beam"), beam=[4, 2]))
    assert image_units.factors(image(sky(), unit="Jy/beam", psf=(3.0,))) == pytest.approx(image_units.factors(image(sky(), unit="Jy/beam"), beam=3.0))


@pytest.mark.parametrize(
    ("unit", "options", "words"),
    [
        ("DN", {}, "zero_point="), ("DN", {"zero_point": [1.0, 2.0]}, "each of the bands g"), ("DN", {"zero_point": "none"}, "column 'none'"), ("Jy/beam", {}, "beam="),
        ("km", {}, "'km' is no flux"), ("Jy/beam", {"beam": 0.0}, "no solid angle"), ("furlong", {}, "'furlong' is no flux"),
    ],
)  # fmt: skip
def test_units_that_are_no_flux(unit, options, words):
    with pytest.raises(AlignmentError, match=words):
        run("to_microjansky", image(sky(), unit=unit), **options)


# ---- PSF ------------------------------------------------------------------------------------------------------------------


def width_of(plane):
    """FWHM of a star by moments, pixels."""
    y, x = np.indices(plane.shape)
    total = plane.sum()
    cy, cx = (y * plane).sum() / total, (x * plane).sum() / total
    return 2.3548 * np.sqrt((((y - cy) ** 2 + (x - cx) ** 2) * plane).sum() / total / 2)


@pytest.mark.parametrize(("have", "want"), [(3.0, 6.0), (3.0, 3.3), (2.5, 2.6), (4.0, 4.0)])
def test_a_star_gets_the_common_width_and_keeps_its_flux(have, want):
    star = ((31.3, 32.1, 100.0),)
    before = image(sky(star, fwhm=have, noise=0.0), psf=(have * 0.3,))
    after = run("psf_match", before, fwhm=want * 0.3)
    assert width_of(np.where(after.mask[0], after.flux[0], 0)) == pytest.approx(want, rel=0.01)
    assert after.flux.sum() == pytest.approx(100, rel=1e-4)
    assert after.psf_fwhm == (pytest.approx(want * 0.3),)
    assert (have == want) == np.array_equal(after.flux, before.flux)
    again = run("psf_match", after, fwhm=want * 0.3)
    assert np.array_equal(again.flux, after.flux) and np.array_equal(again.mask, after.mask)


def test_psf_images_give_the_same_as_astropys_convolution_of_them():
    from astropy.convolution import convolve

    y, x = np.indices((33, 33)) - 16.0
    narrow = (1 + (x**2 + y**2) / 4) ** -3.5  # Moffat
    common = convolve(narrow, point_spread.gaussian(1.6), boundary="fill")
    kernel = point_spread.matching(narrow, common)
    got = convolve(narrow, kernel, boundary="fill")
    assert np.abs(got / got.sum() - common / common.sum()).max() < 0.01 * common.max() / common.sum()
    before = image(sky(((32.0, 32.0, 100.0),), fwhm=3.0, noise=0.0), psf=(0.9,))
    after = run("psf_match", before, psf=narrow.tolist(), common=common.tolist())
    assert after.flux[after.mask].sum() == pytest.approx(100, rel=2e-3)
    assert after.psf_fwhm[0] == pytest.approx(point_spread.fwhm_of(common) * 0.3)


def test_it_never_sharpens_and_says_so():
    wide = image(sky(), sky(seed=1), psf=(0.6, 1.5))
    with pytest.raises(AlignmentError, match=r"band r: psf_fwhm is 1.5 arcsec.*not sharpened.*fwhm=1.53"):
        run("psf_match", wide, fwhm=1.0)
    assert run("psf_match", wide, fwhm=1.53).psf_fwhm == (1.53, 1.53)
    y, x = np.indices((21, 21)) - 10.0
    broad, sharp = (np.exp(-(x**2 + y**2) / 2 / s**2) for s in (3, 1.5))
    with pytest.raises(AlignmentError, match="not sharpened"):
        point_spread.matching(broad, sharp)
    with pytest.raises(AlignmentError, match="psf_fwhm is nan"):
        run("psf_match", image(sky()), fwhm=1.0)
    with pytest.raises(InputError, match="fwhm="):
        run("psf_match", wide)


def test_inverse_variance_and_mask_follow_the_kernel():
    rng = np.random.default_rng(3)
    kernel = point_spread.gaussian(1.2)
    mask = np.ones((40, 40), bool)
    mask[20, 20] = False
    many = [point_spread.convolved(rng.normal(0, 0.5, (40, 40)), mask, np.full((40, 40), 4.0), kernel) for _ in range(300)]
    good, ivar = many[0][1], many[0][2]
    scatter = np.std([m[0] for m in many], axis=0)
    assert np.median(scatter[good] ** 2 * ivar[good]) == pytest.approx(1, abs=0.05)
    assert not good[20, 20] and not good[18:23, 18:23].any() and good[20, 26]
    assert not good[0].any() and not good[:, -1].any() and good[6, 30]
    assert (ivar[~good] == 0).all() and (many[0][0][~good] == 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.3, 3.0), st.floats(0.0, 0.05))
def test_smoothing_never_makes_bad_pixels_good_and_adding_up_is_kept(seed, sigma, share):
    rng = np.random.default_rng(seed)
    mask = rng.random((N, N)) >= share
    kernel = point_spread.gaussian(sigma)
    plane = np.where(mask, sky(seed=seed), np.nan)
    flux, good, _ = point_spread.convolved(plane, mask, None, kernel)
    assert not (good & ~mask).any() and np.isfinite(flux).all()
    double, _, _ = point_spread.convolved(2 * plane, mask, None, kernel)
    np.testing.assert_allclose(double, 2 * flux, atol=1e-9 * np.nanmax(np.abs(plane)))


# ---- registration ---------------------------------------------------------------------------------------------------------


def shifted(x, y, **more):
    return sky(tuple((a + x, b + y, f) for a, b, f in ((30.0, 33.0, 500.0), (12.3, 50.1, 200.0), (48.6, 14.2, 150.0))), **more)


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 1000))
def test_shifts_are_found_to_a_few_hundredths_of_a_pixel(x, y, seed):
    good = np.ones((N, N), bool)
    got = registration.shift_between(shifted(x, y, seed=seed), good, sky(seed=seed + 1), good, most=4)
    assert (got.x, got.y) == (pytest.approx(x, abs=0.04), pytest.approx(y, abs=0.04)) and got.found
    back = registration.shift_between(sky(seed=seed + 1), good, shifted(x, y, seed=seed), good, most=4)
    assert (back.x, back.y) == (pytest.approx(-got.x, abs=1e-3), pytest.approx(-got.y, abs=1e-3))


def test_the_shift_is_that_of_scikit_image_where_that_is_installed():
    skimage = pytest.importorskip("skimage.registration")
    want = skimage.phase_cross_correlation(sky(seed=1), shifted(0.4, -1.3), upsample_factor=50, normalization=None)[0]
    got = registration.shift_between(shifted(0.4, -1.3), np.ones((N, N), bool), sky(seed=1), np.ones((N, N), bool))
    assert (got.y, got.x) == (pytest.approx(-want[0], abs=0.05), pytest.approx(-want[1], abs=0.05))


def test_nothing_in_common_is_no_shift():
    good = np.ones((N, N), bool)
    noise = [np.random.default_rng(s).normal(size=(N, N)) for s in (0, 1)]
    assert not registration.shift_between(noise[0], good, noise[1], good).found
    far = registration.shift_between(shifted(8, 0), good, sky(seed=1), good, most=3)
    assert not far.found or abs(far.x) <= 3
    empty = registration.shift_between(np.zeros((N, N)), good, sky(), good)
    assert not empty.found
    nothing = registration.shift_between(sky(), ~good, sky(), good)
    assert not nothing.found


@pytest.mark.parametrize("whiten", [0.0, 0.5])
def test_bands_come_onto_one_of_them_with_masks_and_variances(whiten):
    before = image(sky(seed=1), shifted(0.6, -1.2, seed=2))
    before.mask[1, 40, 40] = False
    about = {}
    after = run("register", before, about, to="g", whiten=whiten)
    good = after.mask.all(0)
    assert np.abs(after.flux[1] - after.flux[0])[good].max() < 0.1 * before.flux.max()
    assert np.array_equal(after.flux[0], before.flux[0]) and np.array_equal(after.mask[0], before.mask[0])
    assert not after.mask[1, 41, 39] and not after.mask[1, :, -1].any() and not after.mask[1, 0].any() and after.mask[1].mean() > 0.9
    assert np.nanmin(after.ivar[1][after.mask[1]]) >= 25
    told = about[steps.MEASURED]
    assert (told["image_shift_r_x"], told["image_shift_r_y"]) == ((pytest.approx(0.18, abs=0.02), "arcsec"), (pytest.approx(-0.36, abs=0.02), "arcsec"))
    again = run("register", after, {}, to="g", whiten=whiten)
    assert np.abs(again.flux - after.flux)[again.mask].max() < 0.02 * before.flux.max() and not (again.mask & ~after.mask).any()


def test_only_the_bands_asked_for_move():
    before = image(sky(seed=1), shifted(0.6, -1.2, seed=2), shifted(1.0, 0.5, seed=3))
    about = {}
    after = run("register", before, about, to="g", bands=["i"])
    assert np.array_equal(after.flux[1], before.flux[1]) and not np.array_equal(after.flux[2], before.flux[2])
    assert {name.split("_")[2] for name in about[steps.MEASURED]} == {"i"}
    with pytest.raises(AlignmentError, match="no band 'y'"):
        run("register", before, {}, to="g", bands=["y"])


def test_a_source_comes_onto_its_target():
    wrong = {**GRID.wcs(RA, DEC), "CRPIX1": GRID.wcs(RA, DEC)["CRPIX1"] + 2.3, "CRPIX2": GRID.wcs(RA, DEC)["CRPIX2"] - 1.1}
    before = image(sky(((31.5, 31.5, 500.0), (12.0, 50.0, 2000.0))), wcs=wrong, psf=(1.05,))
    about = {"ra": RA, "dec": DEC}
    after = run("register", before, about, most=1.5)
    assert after.wcs["CRPIX1"] == pytest.approx(32.5, abs=0.03) and after.wcs["CRPIX2"] == pytest.approx(32.5, abs=0.03)
    assert about[steps.MEASURED]["image_shift_x"][0] == pytest.approx(-0.69, abs=0.01) and about[steps.MEASURED]["image_shift_applied"] == (1.0, "")
    again = run("register", after, {"ra": RA, "dec": DEC}, most=1.5)
    assert again.wcs["CRPIX1"] == pytest.approx(after.wcs["CRPIX1"], abs=1e-3)
    # bounded: nothing within reach, nothing moved
    beyond = run("register", before, {"ra": RA, "dec": DEC}, most=0.3)
    assert beyond.wcs == before.wcs


@pytest.mark.parametrize(("about", "options", "words"), [({}, {}, "ra, dec are None"), ({}, {"to": "z"}, "no band 'z'"), ({"ra": 10.0, "dec": -62.0}, {}, "does not reach")])
def test_registration_that_cannot_be(about, options, words):
    with pytest.raises(AlignmentError, match=words):
        run("register", image(sky()), about, **options)


# ---- by name, through the door --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def samples():
    return af.load_samples("practice", n=24, seed=3)


def test_steps_by_name_on_a_set(samples):
    bands = samples.spec("image").channels
    plan = ["background", "sigma_clip", "to_microjansky", ("register", {"to": bands[1]})]
    again = af.align(samples, steps={"image": plan}, progress=False)
    assert again.spec("image").unit == "uJy" and again.spec("image").channels == bands
    assert again.units[f"image_shift_{bands[0]}_x"] == "arcsec" and again.roles[f"image_shift_{bands[0]}_x"] == "other"
    measured = again.column(f"image_shift_{bands[0]}_x")
    assert (~np.ma.getmaskarray(measured)).sum() == samples.present("image").sum()
    count = [s.arrays("image")["mask"].sum((2, 3)) for s in (samples, again)]  # bad pixels move with their band, and grow
    assert (count[1] <= count[0]).all() and (count[1].sum() > 0.8 * count[0].sum())
    third = af.align(again, steps={"image": [("register", {"to": bands[1]})]}, progress=False)  # columns are replaced, not doubled
    assert third.table.colnames.count(f"image_shift_{bands[0]}_x") == 1


def test_one_that_cannot_be_treated_is_left_out_by_name(samples):
    has = np.flatnonzero(samples.present("image"))
    data = {name: samples.data_of(name) for name in samples.modalities if name != "table"}
    fields = {k: np.array(v) for k, v in data["image"].fields.items()}
    fields["psf_fwhm"] = np.full((len(samples), len(samples.spec("image").channels)), 1.0, np.float32)
    fields["psf_fwhm"][has[0]] = 9.0
    data["image"] = replace(data["image"], fields=fields)
    again = af.align(samples.with_data(data), steps={"image": [("psf_match", {"fwhm": 1.4})]}, progress=False)
    assert again.present("image").sum() == len(has) - 1
    assert any(str(samples.object_ids[has[0]]) in note and "not sharpened" in note for note in again.card.notes)
    assert np.allclose(again.arrays("image", [int(has[1])])["psf_fwhm"], 1.4)


def test_every_step_says_what_it_does():
    assert set(image_steps.STEPS) >= {"background", "sigma_clip", "to_microjansky", "psf_match", "register", "reconstruct", "median_filter"}
    assert all(step.says for step in image_steps.STEPS.values())


def test_pixels_of_unknown_size_are_not_given_one():
    blind = replace(image(sky(), shifted(0.6, -1.2), psf=(1.0, 1.0), unit="MJy / sr"), scale=0.0)
    about = {}
    run("register", blind, about, to="g")
    assert about[steps.MEASURED]["image_shift_r_x"] == (pytest.approx(0.6, abs=0.05), "pix")
    for name, options in (("psf_match", {"fwhm": 2.0}), ("to_microjansky", {})):
        with pytest.raises(AlignmentError, match="scale is 0"):
            run(name, blind, **options)
