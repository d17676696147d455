"""Folds: every group tested once, by class, by sky cell, and forward in time."""

import numpy as np
import pyarrow as pa
import pytest

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.folds import folds


def sky(n=240, seed=0):
    """Objects in clumps of the sky, some pairs of one host, a time each; two classes, the second one rare."""
    rng = np.random.default_rng(seed)
    clump = rng.integers(0, 12, n)
    label = (rng.random(n) < 0.15).astype(int)
    columns = pa.table({
        "object_id": [f"o{i}" for i in range(n)], "ra": 25.0 * clump + rng.uniform(0, 2, n), "dec": rng.uniform(-1, 1, n),
        "time": rng.permutation(n).astype(float), "label": label, "host": [f"h{i // 2}" for i in range(n)], "x": rng.normal(size=n),
    })  # fmt: skip
    return SampleSet(columns, {}, {"label": "target", "host": "group", "x": "input"})


def sides(samples, split):
    return samples.positions(split.train), samples.positions(split.test)


@pytest.mark.parametrize("by", ["object", "stratified", "sky"])
def test_every_group_is_tested_once_and_on_one_side(by):
    samples = sky()
    label, host = samples.column("label").data, samples.column("host").data
    made = folds(samples, 4, by=by, strata=label)
    assert sorted(np.concatenate([s.test for s in made]).tolist()) == sorted(samples.object_ids.tolist())
    for split in made:
        train, test = sides(samples, split)
        assert not set(host[train]) & set(host[test]) and len(train) + len(test) == len(samples)
        assert 40 <= len(test) <= 80


def test_classes_are_spread_evenly():
    samples = sky()
    label = samples.column("label").data
    # of groups of two the class of the first counts
    first = label[::2].repeat(2)
    shares = [first[sides(samples, s)[1]].sum() for s in folds(samples, 5, by="stratified", strata=label)]
    assert max(shares) - min(shares) <= 2
    with pytest.raises(InputError, match="needs strata"):
        folds(samples, 5, by="stratified")


def test_sky_folds_share_no_cell():
    from astropy import units as u
    from astropy_healpix import HEALPix

    samples = sky()
    # each object its own group: only the sky holds together
    ra, dec = samples.column("ra").data, samples.column("dec").data
    cells = np.asarray(HEALPix(nside=16, order="nested").lonlat_to_healpix(ra * u.deg, dec * u.deg))
    for split in folds(samples, 3, group="object_id", by="sky"):
        train, test = sides(samples, split)
        assert not set(cells[train]) & set(cells[test])
    with pytest.raises(InputError, match="sky cells of nside=1"):
        folds(samples, 50, group="object_id", by="sky", nside=1)


def test_time_folds_never_train_on_the_future():
    samples = sky()
    time = samples.column("time").data
    made = folds(samples, 4, group="object_id", by="time")
    tested = np.concatenate([sides(samples, s)[1] for s in made])
    assert len(set(tested.tolist())) == len(tested) and 0.75 * len(samples) <= len(tested) <= 0.85 * len(samples)
    for number, split in enumerate(made):
        train, test = sides(samples, split)
        assert time[train].max() < time[test].min()
        assert split.by == "time" and len(train) == pytest.approx((number + 1) * 48, abs=2)
    # in pairs, a group's time is that of its latest
    latest = np.maximum(time[::2], time[1::2]).repeat(2)
    for split in folds(samples, 4, by="time"):
        train, test = sides(samples, split)
        assert latest[train].max() < latest[test].min()


def test_time_folds_with_one_large_group():
    samples = sky(60)
    big = np.array(["big"] * 40 + [f"h{i}" for i in range(20)])
    columns = pa.table({"object_id": samples.object_ids.tolist(), "time": np.arange(60.0), "host": big, "x": np.zeros(60)})
    made = folds(SampleSet(columns, {}, {"host": "group", "x": "input"}), 3, by="time")
    assert len(made) == 3 and all(s.train and s.test for s in made)


def test_what_cannot_be():
    samples = sky(20)
    for match, options in (("folds by='moon'", {"by": "moon"}), ("folds=1", {"count": 1}), ("number of groups, 10", {"count": 11}), ("groups less one, 9", {"count": 10, "by": "time"})):
        with pytest.raises(InputError, match=match):
            folds(samples, **{"count": 3, **options})
