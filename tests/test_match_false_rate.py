"""The estimated false-match rate beside the true one of simulated catalogues."""

import os

import numpy as np
import pytest

from astrofuse_lab.alignment import match, match_coverage, match_false_rate, position_errors, zones
from astrofuse_lab.alignment.match import Positions
from astrofuse_lab.errors import AlignmentError

SKIES = 30 if os.environ.get("ASTROFUSE_PROVE") == "1" else 12


def simulated(seed, how="nearest", n=1500, field=0.25, share=0.6, error=0.4, radius=2.0, others=4000, slope=False, sigma=None, place=(359.9, 2.0)):
    """A field with counterparts of some of its objects and many sources that are none; estimates, and which matches are false."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, field, (2, n))
    has = np.flatnonzero(rng.random(n) < share)
    own = rng.uniform(0.5, 1.5, n) * error if sigma else np.full(n, error)
    cx, cy = x[has] + rng.normal(0, 1, len(has)) * own[has] / 3600, y[has] + rng.normal(0, 1, len(has)) * own[has] / 3600
    along = rng.random(others)
    ox, oy = (np.sqrt(along) if slope else along) * field, rng.uniform(0, field, others)
    left = Positions((place[0] + x) % 360, place[1] + y, position_errors.circular(own) if sigma else None)
    right = Positions((place[0] + np.concatenate([cx, ox])) % 360, place[1] + np.concatenate([cy, oy]))
    limit = {"sigma": sigma} if sigma else {"radius": radius}
    every = match.candidates(left, right, **limit)
    found = match.chosen(every, how)
    partner = np.full(n, -1)
    partner[has] = np.arange(len(has))
    return match_false_rate.false_rate(left, right, every, found, how, **limit), partner[found.left] != found.right


CASES = {
    "nearest": {}, "mutual": {"how": "mutual"}, "all": {"how": "all"}, "sigma": {"sigma": 3.5, "others": 20000},
    "crowded": {"others": 30000}, "crowded mutual": {"others": 30000, "how": "mutual"}, "uneven": {"others": 20000, "slope": True},
    "few": {"n": 50, "others": 4000}, "nothing true": {"share": 0.0, "others": 15000}, "all true": {"share": 1.0, "others": 15000},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_true_rate_lies_within_the_stated_error(case):
    pulls, chance = [], []
    for seed in range(SKIES):
        told, false = simulated(seed, **CASES[case])
        pulls.append((told.rate - false.mean()) / told.error)
        chance.append((told.pair.mean(), told.rate))
        assert np.all((told.pair >= 0) & (told.pair <= 1)) and np.all((told.chance >= 0) & (told.chance <= 1))
    # pulls of unit width around zero; the mean of n scatters by 1 / sqrt(n)
    assert abs(np.mean(pulls)) < 3.5 / np.sqrt(SKIES)
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.7
    np.testing.assert_allclose(*np.transpose(chance), rtol=0.02, atol=1e-6)


def test_the_rates_of_pairs_say_how_often_they_are_false():
    told, false = (np.concatenate(v) for v in zip(*((t.pair, f) for t, f in (simulated(s, others=30000) for s in range(SKIES))), strict=True))
    # few pairs lie between clear and hopeless, so that bins of 40 are coarse there
    for low, high, within in ((0.0, 0.15, 0.02), (0.15, 0.5, 0.06), (0.5, 0.8, 0.2), (0.8, 1.0, 0.07)):
        there = (told >= low) & (told < high)
        assert there.sum() > 100
        assert false[there].mean() == pytest.approx(told[there].mean(), abs=within)


def test_density_follows_the_sky():
    """Twice as many sources on one side: their neighbours are twice as likely to be chance."""
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(10, 11, 20000), rng.uniform(-1, 1, 20000)
    keep = (dec > 0) | (rng.random(20000) < 0.25)
    right = Positions(ra[keep], dec[keep])
    left = Positions(rng.uniform(10.1, 10.9, 2000), rng.uniform(-0.9, 0.9, 2000))
    every = match.candidates(left, right, 20.0)
    circle = match_false_rate.areas(left, right, 20.0, None)
    got = match_false_rate.local_density(left, right, every, circle, np.ones(2000, dtype=bool), None)
    assert np.mean(got[left.dec > 0.1]) == pytest.approx(10000, rel=0.12)
    assert np.mean(got[left.dec < -0.1]) == pytest.approx(2500, rel=0.35)  # drawn to the mean


def test_a_list_that_goes_beyond_the_other():
    """Most left rows lie where the right list has nothing: no chance matches are counted there."""
    pulls, notes = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        n, field = 3000, 0.3
        ra, dec = rng.uniform(150, 150 + 3 * field, n), rng.uniform(0, field, n)
        has = np.flatnonzero((ra < 150 + field) & (rng.random(n) < 0.5))
        near = rng.normal(0, 0.4 / 3600, (2, len(has)))
        right = Positions(np.concatenate([ra[has] + near[0], rng.uniform(150, 150 + field, 20000)]), np.concatenate([dec[has] + near[1], rng.uniform(0, field, 20000)]))
        left, partner = Positions(ra, dec), np.full(n, -1)
        partner[has] = np.arange(len(has))
        every = match.candidates(left, right, 2.0)
        found = match.chosen(every, "nearest")
        told = match_false_rate.false_rate(left, right, every, found, "nearest", 2.0)
        pulls.append((told.rate - np.mean(partner[found.left] != found.right)) / told.error)
        notes += told.notes
        assert np.all(told.density[ra > 150.5] == 0)
    assert abs(np.mean(pulls)) < 1.5
    # with the mean density everywhere the rate would be another, which is said
    assert all("cover different parts of the sky" in note for note in notes) and len(notes) == 6


def test_fields_end_inside_boxes():
    rng = np.random.default_rng(0)
    angle, reach = rng.uniform(0, 2 * np.pi, 3000), np.sqrt(rng.random(3000))
    for dec in (0.0, 70.0):  # a round field at RA 0
        lon, lat = (reach * np.cos(angle) / np.cos(np.radians(dec))) % 360, dec + reach * np.sin(angle)
        field = match_coverage.field_of(lon, lat)
        at = np.array([0.0, 0.0, 0.0, 20.0, 180.0]), np.array([dec, dec + 0.98, dec + 1.5, dec, -dec])
        assert match_coverage.coverage(field, *at, 0.1) == pytest.approx([1, 0.65, 0, 0, 0], abs=0.15)
        assert match_coverage.within(field, *at).tolist() == [True, True, False, False, False]
        assert field.area == pytest.approx(np.pi, rel=0.02) and field.edge == pytest.approx(2 * np.pi, rel=0.02)
        assert zones.density(lon, lat) == pytest.approx(3000 / np.pi, rel=0.4)
    # the whole sky, a line, a handful: no field
    assert match_coverage.field_of(rng.uniform(0, 360, 99), rng.uniform(-90, 90, 99)) is None
    assert match_coverage.field_of(np.linspace(0, 1, 99), np.zeros(99)) is None and match_coverage.field_of(lon[:5], lat[:5]) is None
    assert np.all(match_coverage.coverage(None, lon, lat, 0.1) == 1) and match_coverage.within(None, lon, lat).all()


@pytest.mark.parametrize("how", ["nearest", "mutual", "all"])
def test_circles_as_wide_as_the_field(how):
    """Sources that have nothing to do with one another: all is false, however far one looks."""
    rng = np.random.default_rng(0)
    one, other = (Positions(rng.uniform(0, 10, 800), rng.uniform(0, 10, 800)) for _ in range(2))
    every = match.candidates(one, other, 3 * 3600.0, how=how)
    told = match_false_rate.false_rate(one, other, every, match.chosen(every, how), how, 3 * 3600.0)
    assert told.rate == pytest.approx(1, abs=0.12) and told.pair.min() > 0.3


def test_limits_and_emptiness():
    one, none = Positions(np.array([1.0, np.nan]), np.array([2.0, 0.0])), Positions(np.zeros(0), np.zeros(0))
    every = match.candidates(one, none, 1.0)
    assert np.isnan(match_false_rate.false_rate(one, none, every, every, "nearest", 1.0).rate)
    every = match.candidates(one, one, 0.0)
    with pytest.raises(AlignmentError, match="a limit above zero"):
        match_false_rate.false_rate(one, one, every, every, "nearest", 0.0)
    alone = match.candidates(one, one, 1.0)
    assert match_false_rate.false_rate(one, one, alone, alone, "nearest", 1.0).rate == pytest.approx(0, abs=1e-6)


def test_shifted_positions_are_where_they_should_be():
    ra, dec = np.array([0.0, 123.0, 359.9999, 20.0]), np.array([0.0, 45.0, -10.0, 89.99])
    for angle in (0.0, 90.0, 225.0):
        lon, lat = match_false_rate.moved(ra, dec, np.full(4, 0.02), angle)
        np.testing.assert_allclose(match.separation(ra, dec, lon, lat), 72.0, rtol=1e-6)
