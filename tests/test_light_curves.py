"""Selection, order and bins of light curves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrofuse_lab.alignment import light_curves
from astrofuse_lab.alignment.grids import TimeGrid
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.modalities import LightCurve


def curve(time, flux=None, error=None, band=None, mask=None, limit=None):
    time = np.asarray(time, dtype=float)
    n = len(time)
    return LightCurve(
        time, np.asarray(flux if flux is not None else np.arange(n), dtype=float), np.asarray(error if error is not None else np.ones(n), dtype=float),
        np.asarray(band if band is not None else ["g"] * n), np.asarray(mask if mask is not None else np.ones(n), dtype=bool),
        None if limit is None else np.asarray(limit, dtype=bool),
    )  # fmt: skip


def test_epochs_are_selected_and_sorted():
    one = curve([59003, 59001, 59002, 59009, 59001], band=["r", "g", "i", "g", "r"], flux=[3, 1, 2, 9, 7])
    two = curve([59005.0], flux=[5], band=["r"])
    got = light_curves.stack([0, 2], [one, two], 3, ("g", "r"), TimeGrid(start=59001, stop=59005))
    assert got.offsets.tolist() == [0, 3, 3, 4]
    assert got.time.tolist() == [59001, 59001, 59003, 59005]
    assert got.flux.tolist() == [1, 7, 3, 5]
    assert got.band.tolist() == [0, 1, 1, 1]
    assert got.mask.all()


def test_curves_of_one_object_are_merged():
    got = light_curves.stack([0, 0], [curve([2, 4]), curve([1, 3], band=["r", "r"])], 1, ("g", "r"), TimeGrid())
    assert got.time.tolist() == [1, 2, 3, 4] and got.band.tolist() == [1, 0, 1, 0]


def test_unusable_epochs_stay_masked_as_tokens_and_leave_bins():
    one = curve([1, 2, 3, 4, 5], flux=[1, np.nan, 3, 4, 5], error=[1, 1, 0, np.inf, 1], mask=[1, 1, 1, 1, 0])
    got = light_curves.stack([0], [one], 1, ("g",), TimeGrid())
    assert got.mask.tolist() == [True, False, False, False, False]
    assert np.isfinite(got.flux).all() and np.isfinite(got.flux_err).all()
    binned = light_curves.stack([0], [one], 1, ("g",), TimeGrid(step=10.0))
    assert binned.flux.tolist() == [1] and binned.mask.all()


def test_bins_are_inverse_variance_means():
    rng = np.random.default_rng(0)
    time, flux, error = np.sort(rng.uniform(59000, 59030, 80)), rng.normal(10, 3, 80), rng.uniform(0.5, 3, 80)
    band = rng.choice(["g", "r"], 80)
    got = light_curves.stack([0], [curve(time, flux, error, band)], 1, ("g", "r"), TimeGrid(start=59000, step=5.0))
    k = 0
    for t, f, e, b in zip(got.time, got.flux, got.flux_err, got.band, strict=True):
        inside = (np.floor((time - 59000) / 5) == np.floor((t - 59000) / 5)) & (band == "gr"[b])
        weight = 1 / error[inside] ** 2
        assert f == pytest.approx(np.average(flux[inside], weights=weight), rel=1e-6)
        assert e == pytest.approx(weight.sum() ** -0.5, rel=1e-6)
        assert t == pytest.approx(np.average(time[inside], weights=weight), abs=1e-9)
        k += inside.sum()
    assert k == 80


def test_a_bin_with_a_detection_ignores_limits_and_limits_keep_the_deepest():
    one = curve([1.1, 1.2, 2.1, 2.2, 2.3], flux=[5, 0, 0, 0, 0], error=[1, 0.1, 3, 2, 2], limit=[0, 1, 1, 1, 1])
    got = light_curves.stack([0], [one], 1, ("g",), TimeGrid(start=1, step=1.0))
    assert got.flux.tolist() == [5, 0]
    assert got.flux_err.tolist() == [1, 2]
    assert got.limit.tolist() == [False, True]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.floats(50000, 60000), st.sampled_from("gri")), max_size=60), st.floats(0.01, 500))
def test_nothing_is_lost_or_shared_between_objects(epochs, step):
    owners = sorted({o for o, *_ in epochs})
    curves = [curve([t for o, t, _ in epochs if o == owner], band=[b for o, _, b in epochs if o == owner]) for owner in owners]
    kept = light_curves.stack(owners, curves, 5, ("g", "r", "i"), TimeGrid())
    assert np.diff(kept.offsets).tolist() == [sum(o == i for o, *_ in epochs) for i in range(5)]
    binned = light_curves.stack(owners, curves, 5, ("g", "r", "i"), TimeGrid(step=step))
    assert (np.diff(binned.offsets) <= np.diff(kept.offsets)).all()
    # the weights of all epochs are there: errors were one each
    assert (1 / binned.flux_err.astype(float) ** 2).sum() == pytest.approx(len(epochs), rel=1e-5)
    for i in range(5):
        assert (np.diff(kept.time[kept.offsets[i] : kept.offsets[i + 1]]) >= 0).all()


def test_bands_keep_the_order_of_the_survey():
    curves = [curve([1, 2], band=["y", "r"]), curve([1], band=["g"])]
    assert light_curves.bands_of(curves, ("g", "r", "i")) == ("g", "r", "y")


@pytest.mark.parametrize(("change", "field"), [({"flux": np.ones(2)}, "flux"), ({"band": np.array(["g"])}, "band"), ({"mask": np.zeros(3, bool)}, "no good epoch"), ({"flux_err": np.zeros(3)}, "no good epoch")])
def test_bad_light_curves_name_the_field(change, field):
    with pytest.raises(AlignmentError, match=field):
        light_curves.check(replace(curve([1, 2, 3]), **change))


def test_bad_grids():
    with pytest.raises(InputError, match="start"):
        TimeGrid(start=5, stop=4)
    with pytest.raises(InputError, match="step"):
        TimeGrid(step=0)
    with pytest.raises(AlignmentError, match="larger step"):
        light_curves.stack([0], [curve([1, 1e9])], 1, ("g",), TimeGrid(step=1e-6))
