"""Spectra onto a common grid, beside specutils."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import InverseVariance

from astrofuse_lab.alignment import spectra
from astrofuse_lab.alignment.grids import LogGrid
from astrofuse_lab.errors import AlignmentError
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
    ],
)
def test_bad_spectra_name_the_field(change, field):
    with pytest.raises(AlignmentError, match=field):
        spectra.check(replace(lines(), **change))
