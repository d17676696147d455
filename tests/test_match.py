"""Positions: beside astropy."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time

from astrofuse_lab.alignment import match


def sky(n, seed, spread=None, centre=(359.99, 60.0)):
    rng = np.random.default_rng(seed)
    if spread is None:
        return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    return (centre[0] + rng.normal(0, spread, n)) % 360, centre[1] + rng.normal(0, spread / 2, n)


@pytest.mark.parametrize("spread", [None, 0.01])
def test_nearest_equals_astropy(spread):
    ra, dec = sky(300, 0, spread)
    lon, lat = sky(2000, 1, spread)
    got = match.nearest(ra, dec, lon, lat, radius=3600.0)
    row, angle, _ = SkyCoord(ra, dec, unit="deg").match_to_catalog_sky(SkyCoord(lon, lat, unit="deg"))
    near = angle.arcsec <= 3600
    np.testing.assert_array_equal(got.row, np.where(near, row, -1))
    np.testing.assert_allclose(got.separation[near], angle.arcsec[near], rtol=1e-9, atol=1e-7)
    assert np.isnan(got.separation[~near]).all()


def test_ambiguity():
    got = match.nearest([10, 20, 30, 30.0001], [0, 0, 0, 0], [10, 10.0002, 20.0001, 30, np.nan], [0, 0, 0, 0, 0], radius=1.0)
    assert got.row.tolist() == [0, 2, 3, 3]
    assert got.ambiguous.tolist() == [True, False, True, True]


def test_nothing_to_match():
    assert match.nearest([1.0], [2.0], [], [], 5.0).row.tolist() == [-1]
    assert match.nearest([], [], [1.0], [1.0], 5.0).row.shape == (0,)
    assert match.nearest([np.nan], [0.0], [0.0], [0.0], 5.0).row.tolist() == [-1]


def test_separation_equals_astropy():
    ra, dec = sky(200, 2)
    lon, lat = sky(200, 3)
    want = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(lon, lat, unit="deg")).arcsec
    np.testing.assert_allclose(match.separation(ra, dec, lon, lat), want, rtol=1e-9)
    assert match.separation(10, 20, 190, -20) == pytest.approx(180 * 3600)
    assert match.separation(10, 20, 10, 20 + 1e-9 / 3600) == pytest.approx(1e-9, rel=1e-2)


@pytest.mark.filterwarnings("ignore::erfa.ErfaWarning")
def test_motion_equals_astropy():
    # Barnard's star, a star near the pole, one near RA 0
    ra, dec = np.array([269.452, 37.95, 0.00001]), np.array([4.693, 89.264, -30.0])
    pmra, pmdec = np.array([-802.8, 44.5, -5000.0]), np.array([10362.5, -11.9, 3.0])
    stars = SkyCoord(ra * u.deg, dec * u.deg, pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr, distance=1 * u.kpc, radial_velocity=0 * u.km / u.s, obstime=Time(2016.0, format="jyear"))
    want = stars.apply_space_motion(new_obstime=Time(1950.0, format="jyear"))
    lon, lat = match.propagate(ra, dec, pmra, pmdec, -66.0)
    np.testing.assert_array_less(match.separation(lon, lat, want.ra.deg, want.dec.deg), 1e-3)
