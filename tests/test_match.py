"""Positions: beside astropy, and by properties."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from astrofuse_lab.alignment import match, position_errors, zones
from astrofuse_lab.alignment.match import Positions
from astrofuse_lab.errors import AlignmentError


def sky(n, seed, spread=None, centre=(359.99, 60.0)):
    rng = np.random.default_rng(seed)
    if spread is None:
        return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    return (centre[0] + rng.normal(0, spread, n)) % 360, np.clip(centre[1] + rng.normal(0, spread / 2, n), -90, 90)


def around(pole, n, seed, reach=0.02):
    """Positions within `reach` deg of a place, evenly spread, whatever the coordinates do there."""
    rng = np.random.default_rng(seed)
    at = SkyCoord(*pole, unit="deg").directional_offset_by(rng.uniform(0, 360, n) * u.deg, reach * np.sqrt(rng.random(n)) * u.deg)
    return at.ra.deg, at.dec.deg


PLACES = [(0.0, 0.0), (359.999, -30.0), (10.0, 90.0), (200.0, -90.0), (77.0, 89.99), (180.0, 45.0)]


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


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("radius", [2.0, 60.0])
def test_all_pairs_equal_those_of_astropy(place, radius):
    """No losses at RA 0, at the poles, at the borders of strips."""
    one, other = around(place, 200, 1), around(place, 250, 2)
    left, right, apart, _ = search_around_sky(SkyCoord(*one, unit="deg"), SkyCoord(*other, unit="deg"), radius * u.arcsec)
    got = zones.within(*one, *other, radius)
    assert set(zip(got.left.tolist(), got.right.tolist(), strict=True)) == set(zip(left.tolist(), right.tolist(), strict=True))
    assert len(got.left) == len(left)
    by = np.lexsort((right, apart.arcsec, left))
    np.testing.assert_allclose(got.separation, apart.arcsec[by], atol=1e-7)


@pytest.mark.parametrize("radius", [4000.0, 40 * 3600.0, 100 * 3600.0, 180 * 3600.0])
def test_wide_circles_over_the_whole_sky(radius):
    one, other = sky(60, 1), sky(80, 2)
    got = zones.within(*one, *other, radius)
    apart = SkyCoord(*one, unit="deg")[:, None].separation(SkyCoord(*other, unit="deg")[None]).arcsec
    assert len(got.left) == (apart <= radius).sum() == len({*zip(got.left.tolist(), got.right.tolist(), strict=True)})


def test_a_radius_of_its_own_for_each():
    one, other = around((0.0, 0.0), 300, 3), around((0.0, 0.0), 300, 4)
    radius = np.random.default_rng(0).uniform(-1, 20, 300)
    got = zones.within(*one, *other, radius)
    apart = match.separation(one[0][:, None], one[1][:, None], *other)
    assert len(got.left) == (apart <= radius[:, None]).sum()


def test_many_candidates_in_pieces(monkeypatch):
    one, other = around((0.0, 10.0), 500, 5), around((0.0, 10.0), 500, 6)
    whole = zones.within(*one, *other, 30.0)
    monkeypatch.setattr(zones, "CHUNK", 7)
    monkeypatch.setattr(zones, "BLOCK", 50)
    for a, b in zip(whole, zones.within(*one, *other, 30.0), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("how", ["nearest", "mutual"])
def test_the_tree_finds_the_same(monkeypatch, how):
    one, other = Positions(*around((0.0, 89.99), 200, 5)), Positions(*around((0.0, 89.99), 300, 6))
    want = match.links(one, other, 60.0, how=how)
    monkeypatch.setattr(match, "MANY", 0)
    got = match.links(one, other, 60.0, how=how)
    np.testing.assert_array_equal(got.right, want.right)
    np.testing.assert_allclose(got.separation, want.separation, atol=1e-8)
    np.testing.assert_array_equal(got.candidates > 1, want.candidates > 1)
    monkeypatch.setattr(match, "MOST", 0)
    with pytest.raises(AlignmentError, match=r"about .* pairs; choose a smaller radius"):
        match.links(one, other, 60.0, how="all")


def test_counts_in_boxes():
    lon, lat = sky(20000, 7)
    number, area = zones.counts(*sky(500, 8), lon, lat, 10.0, 9.0)
    # all boxes but those cut off by a pole hold what their area asks for
    assert number.sum() == pytest.approx(area.sum() * 20000 / match.SKY, rel=0.05)
    assert zones.density(lon, lat) == pytest.approx(20000 / match.SKY, rel=0.25)


def test_ambiguity():
    got = match.nearest([10, 20, 30, 30.0001], [0, 0, 0, 0], [10, 10.0002, 20.0001, 30, np.nan], [0, 0, 0, 0, 0], radius=1.0)
    assert got.row.tolist() == [0, 2, 3, 3]
    assert got.ambiguous.tolist() == [True, False, True, True]


def test_nothing_to_match():
    assert match.nearest([1.0], [2.0], [], [], 5.0).row.tolist() == [-1]
    assert match.nearest([], [], [1.0], [1.0], 5.0).row.shape == (0,)
    assert match.nearest([np.nan], [0.0], [0.0], [0.0], 5.0).row.tolist() == [-1]
    assert match.nearest([0.0], [np.nan], [0.0, np.inf], [0.0, 0.0], 5.0).row.tolist() == [-1]


def test_zero_radius_and_duplicates():
    ra, dec = np.array([0.0, 360.0, 10.0, 10.0, 20.0]), np.array([5.0, 5.0, -3.0, -3.0, 1.0])
    twice = Positions(ra, dec)
    got = match.links(twice, twice, 0.0, how="all")
    assert sorted(zip(got.left.tolist(), got.right.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (4, 4)]
    # of equal ones the first
    assert match.links(twice, twice, 0.0, how="nearest").right.tolist() == [0, 0, 2, 2, 4]
    best = match.links(twice, twice, 0.0, how="mutual")
    assert (best.left.tolist(), best.right.tolist(), best.ambiguous.tolist()) == ([0, 2, 4], [0, 2, 4], [True, True, False])


def test_the_border_is_within():
    assert len(zones.within([10.0], [0.0], [10.0], [1 / 3600], 1.0).left) == 1
    assert len(zones.within([10.0], [0.0], [10.0], [1.00001 / 3600], 1.0).left) == 0
    assert len(zones.within([0.0], [0.0], [360 - 1 / 3600], [0.0], 1.0).left) == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(PLACES), st.floats(0.0, 40.0), st.booleans())
def test_matches_are_symmetric_and_the_order_of_rows_is_irrelevant(seed, place, radius, errors):
    rng = np.random.default_rng(seed)
    sides = [Positions(*around(place, n, seed + n, 0.01), position_errors.circular(rng.uniform(0.2, 3, n)) if errors else None) for n in (60, 80)]
    limit = {"sigma": 3.0} if errors else {"radius": radius}
    for how in ("all", "mutual"):
        got = match.links(*sides, **limit, how=how)
        back = match.links(*sides[::-1], **limit, how=how)
        assert {*zip(got.left.tolist(), got.right.tolist(), strict=True)} == {*zip(back.right.tolist(), back.left.tolist(), strict=True)}
        assert got.ambiguous.sum() == back.ambiguous.sum()
    shuffled = rng.permutation(60), rng.permutation(80)
    for how in ("nearest", "mutual", "all"):
        got = match.links(*sides, **limit, how=how)
        mixed = match.links(sides[0].take(shuffled[0]), sides[1].take(shuffled[1]), **limit, how=how)
        assert {*zip(shuffled[0][mixed.left].tolist(), shuffled[1][mixed.right].tolist(), strict=True)} == {*zip(got.left.tolist(), got.right.tolist(), strict=True)}
        assert np.all(np.diff(got.left) >= 0) and np.all((got.score >= 0) & (got.score <= 1))


def test_mutual_is_where_both_are_the_nearest():
    one, other = around((0.0, 0.0), 300, 1), around((0.0, 0.0), 200, 2)
    there, back = match.nearest(*one, *other, 100.0), match.nearest(*other, *one, 100.0)
    want = [(i, j) for i, j in enumerate(there.row) if j >= 0 and back.row[j] == i]
    got = match.links(Positions(*one), Positions(*other), 100.0, how="mutual")
    assert [*zip(got.left.tolist(), got.right.tolist(), strict=True)] == want


def test_limits_that_are_none():
    one = Positions(*sky(3, 0))
    for limits, words in (({}, "needs a limit"), ({"radius": -1.0}, "radius=-1.0"), ({"sigma": 3.0}, "neither list has errors"), ({"radius": np.nan}, "radius=nan")):
        with pytest.raises(AlignmentError, match=words):
            match.links(one, one, **limits)
    with pytest.raises(AlignmentError, match="how='best'"):
        match.links(one, one, 1.0, how="best")


# errors of positions -------------------------------------------------------------------------------


def test_normalised_distance_is_rayleigh():
    """Ellipses on both sides, also at a pole: true pairs are where the statistics say."""
    rng = np.random.default_rng(3)
    n = 4000
    for dec in (0.0, 89.9999):
        ra = rng.uniform(0, 360, n)
        truth = SkyCoord(ra, np.full(n, dec), unit="deg")
        sides, covariances = [], []
        for _ in range(2):
            major, minor, angle = rng.uniform(0.3, 1, n), rng.uniform(0.05, 0.3, n), rng.uniform(0, 180, n)
            a, b, pa = rng.normal(0, major), rng.normal(0, minor), np.radians(angle)
            east, north = a * np.sin(pa) + b * np.cos(pa), a * np.cos(pa) - b * np.sin(pa)
            sides.append(truth.spherical_offsets_by(east * u.arcsec, north * u.arcsec))
            covariances.append(position_errors.elliptical(major, minor, angle))
        apart = sides[0].separation(sides[1]).arcsec
        got = position_errors.normalised(sides[0].ra.deg, sides[0].dec.deg, sides[1].ra.deg, sides[1].dec.deg, *covariances, apart)
        if dec == 0:  # next to the pole the frames of the errors differ from star to star, as they were drawn in that of the truth
            assert np.mean(got**2) == pytest.approx(2, abs=0.12)
            assert [np.mean(got < k) for k in (1, 2, 3)] == pytest.approx([0.393, 0.865, 0.989], abs=0.03)
        back = position_errors.normalised(sides[1].ra.deg, sides[1].dec.deg, sides[0].ra.deg, sides[0].dec.deg, *covariances[::-1], apart)
        np.testing.assert_allclose(got, back, rtol=1e-6)


def test_an_ellipse_points_where_it_says():
    along, across = position_errors.elliptical(2.0, 0.5, 30.0), position_errors.circular(0.0, 1)
    centre = SkyCoord(50, 20, unit="deg")
    for angle, want in ((30.0, 0.5), (120.0, 2.0), (210.0, 0.5)):
        at = centre.directional_offset_by(angle * u.deg, 1 * u.arcsec)
        got = position_errors.normalised(*(np.array([v]) for v in (50.0, 20.0, at.ra.deg, at.dec.deg)), along[None] if along.ndim == 1 else along, across, np.array([1.0]))
        assert got[0] == pytest.approx(want, rel=1e-4)
    np.testing.assert_allclose(position_errors.of_coordinates(2.0, 0.5), position_errors.elliptical(2.0, 0.5, 90.0), atol=1e-12)
    np.testing.assert_allclose(position_errors.longest(along), 2.0)


def test_sigma_equals_the_loop():
    rng = np.random.default_rng(5)
    errors = [np.concatenate([rng.uniform(0.1, 1, 295), [30.0, 60.0, 0.0, 0.0, np.nan]]) for _ in range(2)]
    one, other = (around((0.0, 45.0), 300, seed) for seed in (1, 2))
    got = match.links(*(Positions(*p, position_errors.circular(e)) for p, e in zip((one, other), errors, strict=True)), sigma=2.5, how="all")
    apart = match.separation(one[0][:, None], one[1][:, None], *other)
    want = np.argwhere(apart <= 2.5 * np.hypot(errors[0][:, None], errors[1]))
    assert {*zip(got.left.tolist(), got.right.tolist(), strict=True)} == {*map(tuple, want.tolist())}
    capped = match.links(*(Positions(*p, position_errors.circular(e)) for p, e in zip((one, other), errors, strict=True)), 2.0, 2.5, "all")
    assert len(capped.left) == np.sum((apart <= 2.5 * np.hypot(errors[0][:, None], errors[1])) & (apart <= 2.0))


def test_errors_that_are_none():
    with pytest.raises(AlignmentError, match="row 1 is infinite"):
        position_errors.circular([0.1, np.inf])
    with pytest.raises(AlignmentError, match=r"correlation is 1\.5"):
        position_errors.of_coordinates(1.0, 1.0, 1.5)


# motion --------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("mover", ["left", "right"])
def test_each_source_is_met_at_the_epoch_of_its_partner(mover):
    """Plates of many years, fast stars: all are found, and not where they are now."""
    rng = np.random.default_rng(1)
    n = 200
    ra, dec = around((0.0, 89.9), n, 9, 0.5)
    pmra, pmdec = rng.normal(0, 2000, n), rng.normal(0, 2000, n)
    years = rng.uniform(1900, 2020, n)
    lon, lat = match.propagate(ra, dec, pmra, pmdec, years - 2016)
    pmra[:3], lon[:3], lat[:3] = np.nan, ra[:3], dec[:3]  # no motion known
    pmdec[:3] = np.nan
    stars, plates = Positions(ra, dec, None, np.full(n, 2016.0), pmra, pmdec), Positions(lon, lat, None, years)
    got = match.links(*((stars, plates) if mover == "left" else (plates, stars)), 0.1, how="mutual")
    np.testing.assert_array_equal(got.left, np.arange(n))
    np.testing.assert_array_equal(got.right, np.arange(n))
    assert got.separation.max() < 1e-4
    assert len(match.links(stars._replace(epoch=None), plates, 0.1).left) < n / 10
    moved = stars.at(1950.0)
    np.testing.assert_allclose(match.separation(*match.propagate(ra[3:], dec[3:], pmra[3:], pmdec[3:], -66.0), moved.ra[3:], moved.dec[3:]), 0, atol=1e-6)
