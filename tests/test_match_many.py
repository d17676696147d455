"""Several lists at once, and lists in pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrofuse_lab.alignment import match, match_many, match_partitions, position_errors
from astrofuse_lab.alignment.match import Positions
from astrofuse_lab.errors import AlignmentError

SECOND = 1 / 3600


def lists(seed, n=120, spread=0.3, field=0.05, errors=True, parts=3):
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(-field, field, n), rng.uniform(-field, field, n)
    made, truth = [], []
    for _ in range(parts):
        has = rng.permutation(np.flatnonzero(rng.random(n) < 0.8))
        made.append(Positions((ra[has] + rng.normal(0, spread, len(has)) * SECOND) % 360, dec[has] + rng.normal(0, spread, len(has)) * SECOND, position_errors.circular(spread, len(has)) if errors else None))
        truth.append(has)
    return made, truth


def objects(groups):
    return {tuple(row) for row in groups.rows.tolist()}


def test_objects_of_three_lists_are_found():
    made, truth = lists(0)
    got = match_many.grouped(made, sigma=4.0)
    same = [len({int(t[i]) for i, t in zip(row, truth, strict=True) if i >= 0}) == 1 for row in got.rows]
    assert np.mean(same) > 0.97
    expected = sum(sum(o in set(t.tolist()) for t in truth) >= 2 for o in range(120))
    assert abs(len(got.rows) - expected) <= 4
    assert got.spread.max() < 5 and np.all(got.probability[same] > 0.5)
    wrong = match_many.grouped([made[0], made[1]._replace(dec=made[1].dec + 3 * SECOND)], radius=4.0)
    assert np.nanmax(wrong.probability[wrong.spread > 1.4]) < 0.5


@pytest.mark.parametrize("rule", ["connected", "anchored"])
def test_false_rates_of_objects(rule):
    """In a crowded field, beside the truth."""
    told, wrong = [], []
    for seed in range(6):
        made, truth = lists(seed, n=600, field=0.03, spread=0.5, errors=False)
        rng = np.random.default_rng(seed + 1000)
        crowd = [rng.uniform(-0.03, 0.03, (2, 300)) for _ in made]
        full = [Positions(np.concatenate([one.ra, c[0] % 360]), np.concatenate([one.dec, c[1]])) for one, c in zip(made, crowd, strict=True)]
        known = [np.concatenate([t, -1 - np.arange(300) - 300 * i]) for i, t in enumerate(truth)]
        got = match_many.grouped(full, radius=2.5, rule=rule)
        told.append(match_many.false_rates(full, got, 2.5, rule=rule))
        wrong.append([len({int(k[r]) for r, k in zip(row, known, strict=True) if r >= 0}) > 1 for row in got.rows])
    told, wrong = np.concatenate(told), np.concatenate(wrong)
    assert 0.2 < wrong.mean() < 0.4 and told.mean() == pytest.approx(wrong.mean(), abs=0.05)
    assert np.mean(wrong[told < 0.2]) < 0.25 < 0.4 < np.mean(wrong[told > 0.5])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_no_list_twice_none_lost_and_no_list_privileged(seed):
    made, _ = lists(seed, n=150, spread=1.0, field=0.008)  # crowded: many contested links
    got = match_many.grouped(made, radius=3.0, least=1)
    for place, one in enumerate(made):
        rows = got.rows[:, place]
        assert sorted(rows[rows >= 0].tolist()) == list(range(len(one.ra)))
    turned = match_many.grouped(made[::-1], radius=3.0, least=1)
    assert {row[::-1] for row in objects(turned)} == objects(got)
    order = np.random.default_rng(seed).permutation(len(made[0].ra))
    mixed = match_many.grouped([made[0].take(order), *made[1:]], radius=3.0, least=1)
    assert {(int(order[r[0]]) if r[0] >= 0 else -1, *r[1:]) for r in objects(mixed)} == objects(got)


def test_anchored_is_the_nearest_in_each():
    made, _ = lists(3, errors=False)
    got = match_many.grouped(made, radius=2.0, rule="anchored", least=1)
    np.testing.assert_array_equal(got.rows[:, 0], np.arange(len(made[0].ra)))
    for place in (1, 2):
        np.testing.assert_array_equal(got.rows[:, place], match.nearest(made[0].ra, made[0].dec, made[place].ra, made[place].dec, 2.0).row)


def test_a_chain_is_cut_where_a_list_would_come_twice():
    one, other = Positions(np.array([0.0, 2.4 * SECOND]), np.zeros(2)), Positions(np.array([1.0 * SECOND]), np.zeros(1))
    got = match_many.grouped([one, other], radius=2.0, least=1)
    assert (got.rows.tolist(), got.ambiguous.tolist()) == ([[0, 0], [1, -1]], [True, True])


def test_the_bayes_factor_of_two_equals_the_formula():
    """Budavari & Szalay 2008, eq. 16."""
    sides = [Positions(np.array([10.0]), np.array([d]), position_errors.circular(s, 1)) for d, s in ((0.0, 0.3), (0.5 * SECOND, 0.4))]
    got = match_many.grouped(sides, radius=1.0)
    s2 = np.radians(np.array([0.3, 0.4]) * SECOND) ** 2
    want = np.log10(2 / s2.sum() * np.exp(-(np.radians(0.5 * SECOND) ** 2) / (2 * s2.sum())))
    assert got.bayes[0] == pytest.approx(want, rel=1e-6)
    # the mean lies where the better position pulls it
    assert got.dec[0] * 3600 == pytest.approx(0.5 * 0.09 / 0.25, rel=1e-4)


def test_bad_input_of_many():
    one = Positions(np.zeros(1), np.zeros(1))
    with pytest.raises(AlignmentError, match="two or more"):
        match_many.grouped([one], 1.0)
    with pytest.raises(AlignmentError, match="rule='best'"):
        match_many.grouped([one, one], 1.0, rule="best")


# pieces --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["nearest", "mutual", "all"])
@pytest.mark.parametrize("limit", [{"radius": 3000.0}, {"sigma": 3.0}])
def test_pieces_give_what_the_whole_gives(how, limit):
    """No losses at the borders of cells, at RA 0, at the poles; motions included."""
    rng = np.random.default_rng(4)
    sides = []
    for n in (1500, 2000):
        ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
        dec[:100] = 90 - rng.uniform(0, 0.5, 100)
        ra[:3] = np.nan
        sides.append(Positions(ra, dec, position_errors.circular(rng.uniform(200, 1000, n)), np.full(n, 2000.0 + n / 100)))
    sides[0] = sides[0]._replace(pmra=rng.normal(0, 1e5, 1500), pmdec=rng.normal(0, 1e5, 1500))
    whole = match.links(*sides, **limit, how=how)
    far = match_partitions.reach(*sides, **limit)
    parts = [match_partitions.matched(piece, **limit, how=how) for piece in match_partitions.pieces(*sides, 2, far)]
    assert len(parts) > 150 and len(whole.left) > 140
    got = match_partitions.joined(parts[::-1])
    for name in ("left", "right", "candidates", "claims"):
        np.testing.assert_array_equal(getattr(got, name), getattr(whole, name))
    np.testing.assert_allclose(got.separation, whole.separation, rtol=1e-9)


def test_pieces_travel_between_processes():
    """Nothing global: a piece and its limits are all that a worker needs."""
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    rng = np.random.default_rng(0)
    sides = [Positions(rng.uniform(0, 30, 3000), rng.uniform(-15, 15, 3000)) for _ in range(2)]
    whole = match.links(*sides, 200.0)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        got = match_partitions.joined(list(pool.map(partial(match_partitions.matched, radius=200.0), match_partitions.pieces(*sides, 1, match_partitions.reach(*sides, 200.0)))))
    np.testing.assert_array_equal(got.right, whole.right)
    np.testing.assert_array_equal(got.left, whole.left)


def test_no_pieces_at_all():
    none = Positions(np.zeros(0), np.zeros(0))
    assert len(match_partitions.joined(list(match_partitions.pieces(none, none, 1, 1.0))).left) == 0
    with pytest.raises(AlignmentError, match="needs a limit"):
        match_partitions.reach(none, none)
