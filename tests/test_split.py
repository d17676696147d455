"""Splits: nothing on both sides."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.samples.split import Split


def objects(groups, ra=None, dec=None, time=None):
    n = len(groups)
    table = {"object_id": [f"o{i}" for i in range(n)], "group": pa.array(groups, pa.string())}
    for name, values in (("ra", ra), ("dec", dec), ("time", time)):
        if values is not None:
            table[name] = pa.array(values, pa.float64())
    return SampleSet(pa.table(table), {}, {"group": "group"})


names = st.lists(st.sampled_from([None, *"abcdefghij"]), min_size=4, max_size=80)
seeds = st.integers(0, 2**32 - 1)


def sides(samples, split):
    parts = [set(split.train), set(split.test), set(split.validation)]
    assert sum(map(len, parts)) == len(samples) == len(set().union(*parts))
    return [samples.select(p) for p in (split.train, split.test, split.validation)]


def labels(part):
    return set(part.column("group").compressed())


@settings(max_examples=150, deadline=None)
@given(names, seeds, st.floats(0.05, 0.6), st.sampled_from([0.0, 0.2]))
def test_no_group_is_on_both_sides(groups, seed, test, validation):
    samples = objects(groups)
    alone = sum(g is None for g in groups) + len({g for g in groups if g is not None})
    if alone < 2 + (validation > 0):
        with pytest.raises(InputError, match="too few"):
            samples.split(test=test, validation=validation, seed=seed)
        return
    split = samples.split(test=test, validation=validation, seed=seed)
    train, tested, valid = sides(samples, split)
    assert len(train) and len(tested) and bool(len(valid)) == bool(validation)
    assert not labels(train) & labels(tested) and not labels(train) & labels(valid) and not labels(tested) & labels(valid)
    assert split == samples.split(test=test, validation=validation, seed=seed)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(10, 120), st.sampled_from([1, 8, 64]))
def test_no_sky_cell_and_no_group_is_on_both_sides(seed, n, nside):
    from astropy import units as u
    from astropy_healpix import HEALPix

    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    # two objects of a group are close, but may lie in two cells
    groups = [f"g{i // 2}" for i in range(n)]
    ra[1::2], dec[1::2] = ra[: 2 * (n // 2) : 2] + 0.5, dec[: 2 * (n // 2) : 2]
    samples = objects(groups, ra % 360, dec)
    try:
        split = samples.split(by="sky", nside=nside, seed=seed)
    except InputError as error:
        assert "too few" in str(error)
        return
    train, tested, _ = sides(samples, split)
    cells = [set(HEALPix(nside, order="nested").lonlat_to_healpix(p.column("ra").data * u.deg, p.column("dec").data * u.deg)) for p in (train, tested)]
    assert not cells[0] & cells[1]
    assert not labels(train) & labels(tested)


@settings(max_examples=60, deadline=None)
@given(names, st.integers(0, 2**31))
def test_the_test_is_later_and_shares_no_group(groups, seed):
    rng = np.random.default_rng(seed)
    samples = objects(groups, time=rng.uniform(58000, 60000, len(groups)))
    if len({g for g in groups if g is not None}) + groups.count(None) < 2:
        return
    split = samples.split(by="time", seed=seed)
    train, tested, _ = sides(samples, split)
    assert not labels(train) & labels(tested)
    # the last sight of every test group is later than anything trained on
    latest = {}
    for i in range(len(tested)):
        sample = tested[i]
        key = sample.columns["group"] or sample.object_id
        latest[key] = max(latest.get(key, 0), sample.columns["time"])
    assert train.column("time").max() <= min(latest.values())


def test_objects_without_a_position_or_group():
    samples = objects([None] * 30, [np.nan] * 15 + list(np.linspace(0, 300, 15)), [0.0] * 30)
    split = samples.split(by="sky")
    sides(samples, split)
    assert 1 <= len(split.test) < 15


def test_groups_that_tile_the_sky_go_by_the_cell_of_their_centre():
    from astropy import units as u
    from astropy_healpix import HEALPix

    # pointings of 0.5 deg side by side, over cells of 0.9 deg: every cell is joined to its neighbours
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-2, 2, (2, 400))
    groups = [f"{int(a // 0.5)},{int(b // 0.5)}" for a, b in zip(x, y, strict=True)]
    samples = objects(groups, x % 360, y)
    split = samples.split(by="sky", test=0.25, seed=1)
    train, tested, _ = sides(samples, split)
    assert not labels(train) & labels(tested)
    assert 0.2 < len(tested) / 400 < 0.4
    middles = [(np.array([int(v) for g in labels(part) for v in g.split(",")]).reshape(-1, 2) + 0.5) * 0.5 for part in (train, tested)]
    cells = [set(HEALPix(64, order="nested").lonlat_to_healpix(m[:, 0] % 360 * u.deg, m[:, 1] * u.deg)) for m in middles]
    # a centre is the mean of a group's objects, near the middle of its pointing: few cells differ
    assert len(cells[0] & cells[1]) <= 0.35 * len(cells[0] | cells[1])
    with pytest.raises(InputError, match=r"smaller cells than nside=64, e\.g\. nside=256"):
        objects(groups, 45 + x / 100, 20 + y / 100).split(by="sky")


def test_a_large_group_does_not_swell_the_test_part():
    samples = objects(["large"] * 60 + [f"g{i}" for i in range(40)])
    for seed in range(20):
        train, tested, valid = sides(samples, samples.split(test=0.2, validation=0.15, seed=seed))
        assert len(tested) == 20 and len(valid) == 15 and "large" in labels(train)


def test_shares_are_about_right():
    samples = objects([f"g{i // 3}" for i in range(3000)])
    split = samples.split(test=0.2, validation=0.1, seed=4)
    assert len(split.test) == pytest.approx(600, abs=3) and len(split.validation) == pytest.approx(300, abs=6)
    assert split.test != samples.split(test=0.2, validation=0.1, seed=5).test


def test_a_split_made_by_hand():
    split = Split(np.array(["a", "b"]), ["c"])
    assert (split.train, split.test, split.validation) == (("a", "b"), ("c",), ()) and split == Split(("a", "b"), ("c",))
    with pytest.raises(InputError, match="'b' is in test and already in train"):
        Split(["a", "b"], ["b", "c"])
    with pytest.raises(InputError, match="'c' is in validation and already in test"):
        Split(["a", "b"], ["c"], ["c"])
    with pytest.raises(InputError, match=r"train=\['abc'\]"):
        Split("abc", ["d"])


def test_json_there_and_back(toy_samples):
    split = toy_samples.split(group="host", validation=0.2)
    assert Split.from_json(split.to_json()) == split


@pytest.mark.parametrize("options", [{"by": "colour"}, {"test": 0}, {"test": 1.2}, {"test": 0.6, "validation": 0.5}, {"group": "nothing"}, {"by": "time", "time": "nothing"}])
def test_bad_arguments(toy_samples, options):
    with pytest.raises(InputError):
        toy_samples.split(**options)


def test_zero_samples(toy_samples):
    with pytest.raises(InputError, match="too few"):
        toy_samples[:0].split()


# ---- published splits -----------------------------------------------------------------------------------------------


def published(sides, groups):
    columns = pa.table({"object_id": [f"o{i}" for i in range(len(sides))], "side": pa.array(sides), "star": pa.array(groups)})
    return SampleSet(columns, {}, {"side": "split", "star": "group"}, card=Card("told"))


def test_a_published_split_is_taken_as_it_is_and_says_what_leaks():
    samples = published(["train", "train", "Test", "validate", "other", None, "test"], [1, 2, 2, 1, 9, 9, 3])
    split = samples.split(by="published")
    assert (split.train, split.test, split.validation) == (("o0", "o1"), ("o2", "o6"), ("o3",))
    assert "1 of 2 test samples share their 'star' with a training sample" in split.note and "1 of 1 validation" in split.note
    assert "leaks" in repr(split) and Split.from_json(split.to_json()) == split
    clean = published(["train", "test"], [1, 2]).split(by="published")
    assert clean.note == "" and "leaks" not in repr(clean)
    old = clean.to_json()
    del old["note"]  # written before splits had notes
    assert Split.from_json(old) == clean


def test_no_published_split_is_an_error(toy_samples):
    with pytest.raises(InputError, match="has no published split"):
        toy_samples.split(by="published")
    with pytest.raises(InputError, match="0 in test"):
        published(["train", "train"], [1, 2]).split(by="published")
