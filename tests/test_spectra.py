"""Spectra onto a common grid: beside specutils, and what must hold of any spectrum."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import astrofuse_lab as af
from astrofuse_lab.alignment import spectra
from astrofuse_lab.alignment.grids import LinearGrid, LogGrid
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.modalities import Spectrum

GRID = LogGrid(4000, 8000, 1e-3)


def lines(n=3000, start=3600.0, stop=9000.0, seed=0):
    rng = np.random.default_rng(seed)
    wavelength = np.geomspace(start, stop, n)
    flux = 5 + np.sin(wavelength / 90) + 20 * np.exp(-(((wavelength - 5007) / 4) ** 2)) + rng.normal(0, 0.2, n)
    return Spectrum(wavelength, flux, rng.uniform(10, 40, n), np.ones(n, bool))


def test_equals_specutils_and_conserves_flux():
    from specutils import Spectrum as Peer
    from specutils.manipulation import FluxConservingResampler

    one = lines()
    got = spectra.resample([one], GRID)
    peer = Peer(one.flux * u.Jy, one.wavelength * u.AA, uncertainty=InverseVariance(one.ivar / u.Jy**2))
    want = FluxConservingResampler()(peer, GRID.wavelength * u.AA)
    # specutils takes pixel borders halfway, we those of the logarithmic grid: a difference of second order in the step
    inner = slice(2, -2)
    assert got.mask.all()
    np.testing.assert_allclose(got.flux[0, inner], want.flux.value[inner], rtol=2e-3)
    np.testing.assert_allclose(got.ivar[0, inner], want.uncertainty.array[inner], rtol=2e-2)
    integral, peers = ((f * np.diff(GRID.edges)).sum() for f in (got.flux[0].astype(float), want.flux.value))
    border = spectra.edges(one.wavelength)
    share = np.clip(np.minimum(border[1:], GRID.edges[-1]) - np.maximum(border[:-1], GRID.edges[0]), 0, None)
    assert integral == pytest.approx((share * one.flux).sum(), rel=1e-6)
    assert integral == pytest.approx(peers, rel=1e-4)


def test_equals_specutils_where_the_borders_are_the_same(monkeypatch):
    from specutils import Spectrum as Peer
    from specutils.manipulation import FluxConservingResampler

    one = lines()
    monkeypatch.setattr(LogGrid, "edges", property(lambda grid: spectra.edges(grid.wavelength)))
    got = spectra.resample([one], GRID)
    peer = Peer(one.flux * u.Jy, one.wavelength * u.AA, uncertainty=InverseVariance(one.ivar / u.Jy**2))
    want = FluxConservingResampler()(peer, GRID.wavelength * u.AA)
    np.testing.assert_allclose(got.flux[0], want.flux.value, rtol=1e-6)
    np.testing.assert_allclose(got.ivar[0], want.uncertainty.array, rtol=1e-6)


def test_inverse_variance_is_that_of_the_noise():
    rng = np.random.default_rng(0)
    wavelength = np.geomspace(3900, 8200, 2000)
    noisy = [Spectrum(wavelength, rng.normal(0, 0.5, 2000), np.full(2000, 4.0), np.ones(2000, bool)) for _ in range(400)]
    got = spectra.resample(noisy, GRID)
    assert np.median(got.flux.std(axis=0) ** 2 * got.ivar[0]) == pytest.approx(1, abs=0.02)


def test_bad_pixels_are_left_out_and_gaps_masked():
    one = lines()
    bad = (one.wavelength > 5900) & (one.wavelength < 6000)
    flux = np.where(bad, np.nan, 3.0)
    flux[100] = 1e9
    mask = np.ones(len(flux), bool)
    mask[100] = False
    got = spectra.resample([replace(one, flux=flux, mask=mask)], GRID)
    np.testing.assert_allclose(got.flux[got.mask], 3.0, rtol=1e-6)
    inside = (GRID.wavelength > 5910) & (GRID.wavelength < 5990)
    assert not got.mask[0, inside].any() and (got.ivar[0, inside] == 0).all()
    assert got.mask[0, (GRID.wavelength < 5890) | (GRID.wavelength > 6010)].all()


def test_outside_the_spectrum_is_masked():
    got = spectra.resample([lines(start=4500.0, stop=6000.0)], GRID)
    assert not got.mask[0, GRID.wavelength < 4490].any() and not got.mask[0, GRID.wavelength > 6010].any()
    assert got.mask[0, (GRID.wavelength > 4510) & (GRID.wavelength < 5990)].all()


def test_order_and_company_do_not_matter():
    one, other = lines(), lines(n=900, seed=3)
    turned = Spectrum(one.wavelength[::-1], one.flux[::-1], one.ivar[::-1], one.mask)
    got = spectra.resample([one, turned, other], GRID)
    np.testing.assert_array_equal(got.flux[0], got.flux[1])
    np.testing.assert_allclose(got.flux[2], spectra.resample([other], GRID).flux[0], rtol=1e-6)
    assert spectra.resample([], GRID).flux.shape == (0, len(GRID))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"wavelength": np.full(3000, 5000.0)}, "lambda"),
        ({"wavelength": np.linspace(-1, 9000, 3000)}, "lambda"),
        ({"flux": np.ones(7)}, "flux"),
        ({"ivar": np.zeros(3000)}, "no good pixel"),
        ({"mask": np.ones(2, bool)}, "mask"),
        ({"flux": np.full(3000, np.nan)}, "flux is finite nowhere"),
        ({"ivar": np.full(3000, np.nan)}, "ivar is zero everywhere"),
        ({"wavelength": np.where(np.arange(3000) == 7, np.nan, np.geomspace(3600, 9000, 3000))}, "nan at pixel 7, 1 in all"),
        ({"lsf_sigma": np.ones(4)}, "lsf_sigma has shape"),
    ],
)
def test_bad_spectra_name_the_field(change, field):
    with pytest.raises(AlignmentError, match=field):
        spectra.check(replace(lines(), **change))


def test_a_linear_grid_is_specutils_to_the_last_digits():
    from specutils import Spectrum as Peer
    from specutils.manipulation import FluxConservingResampler

    one, grid = lines(), LinearGrid(3900, 8900, 2.5)
    got = spectra.resample([one], grid)
    peer = Peer(one.flux * u.Jy, one.wavelength * u.AA, uncertainty=InverseVariance(one.ivar / u.Jy**2))
    want = FluxConservingResampler()(peer, grid.wavelength * u.AA)
    np.testing.assert_allclose(got.flux[0], want.flux.value, rtol=1e-6)
    np.testing.assert_allclose(got.ivar[0], want.uncertainty.array, rtol=1e-6)


def test_the_way_of_accelerators_gives_the_same(monkeypatch):
    rng = np.random.default_rng(4)
    monkeypatch.setattr(spectra, "BATCH", 3)
    many = [lines(n=int(rng.integers(2, 900)), start=rng.uniform(3000, 5000), stop=rng.uniform(5100, 9000), seed=i) for i in range(7)]
    many = [replace(s, mask=rng.random(len(s.flux)) > 0.2, flux=np.where(rng.random(len(s.flux)) > 0.05, s.flux, np.nan)) for s in many]
    many[3] = replace(many[3], **{f: getattr(many[3], f)[::-1] for f in ("wavelength", "flux", "ivar", "mask")})
    here = spectra.resample(many, GRID)
    # "cpu:0" is the same processor to torch, and no name for the compiled walk
    there = spectra.resample(many, GRID, device="cpu:0")
    np.testing.assert_array_equal(here.mask, there.mask)
    np.testing.assert_allclose(here.flux, there.flux, rtol=1e-6)
    np.testing.assert_allclose(here.ivar, there.ivar, rtol=1e-6)
    assert here.mask.any(axis=1).sum() > 3


def test_numbers_that_float32_does_not_hold_are_no_measurements():
    one = lines()
    flux, ivar = one.flux.copy(), one.ivar.copy()
    flux[:300:3], flux[300:600:3], ivar[600:900:3], ivar[900:1200:3], ivar[1500:] = 1e300, -np.inf, 1e300, 1e-320, 2e38
    got = spectra.resample([replace(one, flux=flux, ivar=ivar)], GRID)
    assert np.isfinite(got.flux).all() and np.isfinite(got.ivar).all() and (got.ivar[got.mask] > 0).all()
    np.testing.assert_allclose(got.flux[0, 50:-2], spectra.resample([one], GRID).flux[0, 50:-2], rtol=0.3)
    for a, b in zip(got, spectra.resample([replace(one, flux=flux, ivar=ivar)], GRID, device="cpu:0"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


AXES = st.tuples(st.floats(3000, 6000), st.floats(1.001, 3), st.booleans(), st.integers(2, 60))
GRIDS = st.one_of(
    st.builds(LogGrid, st.floats(2500, 5000), st.floats(5001, 9000), st.floats(1e-3, 0.2)), st.builds(LinearGrid, st.floats(2500, 5000), st.floats(5001, 9000), st.floats(5, 900))
)


@st.composite
def some(draw):
    """A spectrum on any axis, in any order of pixels, with bad pixels and gaps."""
    start, by, log, n = draw(AXES)
    wave = np.geomspace(start, start * by, n) if log else np.linspace(start, start * by, n)
    order = draw(st.permutations(range(n)))
    flux = draw(arrays.arrays(float, n, elements=st.one_of(st.floats(-1e3, 1e3), st.just(np.nan))))
    ivar = draw(arrays.arrays(float, n, elements=st.sampled_from([0.0, 1.0, 2.5, np.nan, -1.0, 1e6])))
    mask = draw(arrays.arrays(bool, n))
    return Spectrum(wave[order], flux, ivar, mask)


def by_hand(one, grid, least=0.5):
    """Every overlap of every pair of pixels."""
    order = np.argsort(one.wavelength)
    border, out = spectra.borders(one.wavelength[order], grid), grid.edges
    good = spectra.good(one)[order]
    length = np.clip(np.minimum(border[1:], out[1:, None]) - np.maximum(border[:-1], out[:-1, None]), 0, None) * good
    covered = length.sum(axis=1)
    mask = (covered > 0) & (covered >= least * np.diff(out) * (1 - 1e-12))
    with np.errstate(all="ignore"):
        flux = np.where(mask, length @ np.where(good, one.flux[order], 0.0) / covered, 0.0)
        ivar = np.where(mask, covered**2 / (length**2 @ np.where(good, 1 / one.ivar[order], 0.0)), 0.0)
    return flux, ivar, mask


@settings(max_examples=60, deadline=None)
@given(one=some(), grid=GRIDS)
def test_any_spectrum_on_any_grid(one, grid):
    got = spectra.resample([one], grid)
    flux, ivar, mask = by_hand(one, grid)
    np.testing.assert_array_equal(got.mask[0], mask)
    np.testing.assert_allclose(got.flux[0], flux, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(got.ivar[0], ivar, rtol=1e-5)
    assert np.isfinite(got.flux).all() and (got.ivar[got.mask] > 0).all() and (got.ivar[~got.mask] == 0).all() and (got.flux[~got.mask] == 0).all()
    # brought there, it stays
    on = Spectrum(grid.wavelength, got.flux[0], got.ivar[0], got.mask[0])
    again = spectra.resample([on, one], grid)
    for a, b in zip(again, got, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[0])


@settings(max_examples=30, deadline=None)
@given(start=st.floats(3000, 6000), by=st.floats(1.01, 2), log=st.booleans(), n=st.integers(8, 300), width=st.floats(0.1, 3), seed=st.integers(0, 99))
def test_flux_is_conserved_where_the_grid_holds_the_whole_spectrum(start, by, log, n, width, seed):
    wave = np.geomspace(start, start * by, n) if log else np.linspace(start, start * by, n)
    border = spectra.edges(wave)
    step = np.diff(border).mean()
    grid = LinearGrid(border[0] - 2 * step, border[-1] + 4 * step, step * width)
    assert grid.edges[0] < border[0] and border[-1] < grid.edges[-1]
    flux = np.random.default_rng(seed).uniform(1, 9, n)
    got = spectra.resample([Spectrum(wave, flux, np.ones(n), np.ones(n, bool))], grid, least=0.0)
    covered = np.clip(np.minimum(border[-1], grid.edges[1:]) - np.maximum(border[0], grid.edges[:-1]), 0, None)
    assert (got.flux[0].astype(float) * covered).sum() == pytest.approx((flux * np.diff(border)).sum(), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(many=st.lists(some(), min_size=1, max_size=6), shared=st.lists(st.booleans(), min_size=6, max_size=6), grid=GRIDS, data=st.data())
def test_the_order_of_objects_does_not_matter(many, shared, grid, data):
    axis = np.linspace(3500, 7000, 12)
    many = [Spectrum(axis.copy(), *(np.resize(v, 12) for v in (s.flux, s.ivar, s.mask))) if one else s for s, one in zip(many, shared, strict=False)]
    order = data.draw(st.permutations(range(len(many))))
    got, turned = spectra.resample(many, grid), spectra.resample([many[i] for i in order], grid)
    for a, b in zip(got, turned, strict=True):
        np.testing.assert_array_equal(a[order], b)


def test_part_of_a_lattice_keeps_its_values():
    for grid in (GRID, LinearGrid(4000, 8000, 4.0)):
        wave, n = grid.wavelength[50:150], 100
        rng = np.random.default_rng(2)
        one = Spectrum(wave[::-1], rng.normal(0, 1, n).astype(np.float32), rng.uniform(1, 2, n).astype(np.float32), rng.random(n) > 0.3)
        got = spectra.resample([one], grid)
        np.testing.assert_array_equal(got.mask[0, 50:150], one.mask[::-1])
        np.testing.assert_array_equal(got.flux[0, 50:150], np.where(one.mask, one.flux, 0)[::-1])
        np.testing.assert_array_equal(got.ivar[0, 50:150], np.where(one.mask, one.ivar, 0)[::-1])
        assert not got.mask[0, :50].any() and not got.mask[0, 150:].any()


def test_the_grid_of_a_spectrum_has_its_kind_of_steps():
    log, linear = spectra.grid_of(np.geomspace(4000, 8000, 500)[::-1]), spectra.grid_of(np.arange(4000, 8000, 0.8))
    assert isinstance(log, LogGrid) and len(log) == 500 and isinstance(linear, LinearGrid) and len(linear) == 5000
    np.testing.assert_allclose(linear.wavelength, np.arange(4000, 8000, 0.8))


def test_sets_on_a_linear_grid_stay_there_when_aligned_again():
    samples = af.load_samples("practice", n=12, seed=1)
    once = af.align(samples, spectrum=af.LinearGrid(4000, 9000, 3 * u.AA), progress=False)
    wave = once.arrays("spectrum")["lambda"]
    np.testing.assert_allclose(wave, np.arange(4000, 9001, 3))
    for grid in ({"spectrum": af.LinearGrid(400 * u.nm, 900 * u.nm, 3)}, {"steps": {"spectrum": ["mask_bad"]}}):
        twice = af.align(once, **grid, progress=False)
        for field, value in once.arrays("spectrum").items():
            np.testing.assert_array_equal(twice.arrays("spectrum")[field], value, err_msg=field)
    with pytest.raises(InputError, match="LogGrid or LinearGrid"):
        af.align(samples, spectrum=af.PixelGrid(8, 1.0))


def test_bad_products_are_named_and_the_others_go_on():
    class Made:
        surveys = ("mine/spectrum",)
        targets = af.Targets.from_table({"id": ["fine", "twice", "sea", "zero", "kelvin", "turned", "mixed"], "ra": range(7), "dec": [0.0] * 7})

        def get(self, survey, object_id):
            one = lines(400)
            half = replace(one, wavelength=np.repeat(one.wavelength[::2], 2))
            return {
                "twice": half, "sea": replace(one, flux=np.full(400, np.nan)), "zero": replace(one, ivar=np.zeros(400)), "kelvin": replace(one, unit="K"),
                "turned": replace(one, **{f: getattr(one, f)[::-1] for f in ("wavelength", "flux", "ivar", "mask")}), "mixed": half,
            }.get(object_id, one)  # fmt: skip

    got = af.align(Made(), spectrum=GRID, progress=False)
    assert list(got.object_ids) == ["fine", "turned"]
    np.testing.assert_array_equal(*got.arrays("spectrum")["flux"])
    notes = "\n".join(got.card.notes)
    for words in ("twice: spectrum left out: lambda holds a wavelength twice", "sea: spectrum left out: flux", "zero: spectrum left out: flux has no good pixel", "kelvin: spectrum left out: unit 'K'"):
        assert words in notes, words
    merged = af.align(Made(), spectrum=GRID, steps={"spectrum": ["tidy_wavelengths"]}, progress=False)
    assert list(merged.object_ids) == ["fine", "twice", "turned", "mixed"] and merged.arrays("spectrum")["mask"][1].all()
