"""The kind `series`: stored, shown, prepared, learned from and explained like any other."""

import numpy as np
import pytest
import torch
from conftest import make_toy_samples, with_series

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, SampleSetError
from astrofuse_lab.modalities import Series
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet


@pytest.fixture(scope="module")
def samples():
    return with_series(make_toy_samples(30))


def test_one_sample_is_its_noun(samples):
    i = int(np.flatnonzero(samples.present("series"))[0])
    one = samples[i]["series"]
    assert isinstance(one, Series) and one.values.shape == one.mask.shape == (2, 81) and one.axis.shape == (81,)
    assert one.channels == ("primary", "secondary") and one.axis_name == "phase" and one.unit == "depth"
    lacking = int(np.flatnonzero(~samples.present("series"))[0])
    assert samples[lacking]["series"] is None
    assert list(samples.modalities) == ["image", "spectrum", "light_curve", "series", "table", "text"]


def test_it_is_kept_on_disk(samples, tmp_path):
    again = SampleSet.open(samples.take([5, 3, 8]).save(tmp_path / "set"))
    for field in ("values", "mask", "axis"):
        np.testing.assert_array_equal(again.arrays("series")[field], samples.arrays("series", [5, 3, 8])[field])
    assert again.spec("series") == samples.spec("series") and again.spec("series").axis == "phase"
    row = next(r for r in samples.describe() if r["name"] == "series")
    assert row["shape"] == "2 x 81" and row["range"] == "primary, secondary"


@pytest.mark.parametrize(("field", "shape"), [("axis", (80,)), ("values", (30, 81)), ("mask", (30, 2, 80))])
def test_a_shape_that_does_not_fit_is_named(samples, field, shape):
    one = samples.data_of("series")
    wrong = ModalityData(one.spec, {**one.fields, field: np.ones(shape, bool if field == "mask" else np.float32)}, one.present)
    with pytest.raises(SampleSetError, match=rf"series\.{field} has shape"):
        wrong.check(30)


def test_outliers_do_not_set_the_scale_and_what_is_masked_counts_for_nothing(samples):
    one = samples.data_of("series")
    values = one.fields["values"].copy()
    values[~one.fields["mask"]] = 1e9
    values[::7, 0, 0] = 400.0
    wild = samples.with_data({"series": ModalityData(one.spec, {**one.fields, "values": values}, one.present)})
    prepared = Preparation.fit(wild, ["series"])
    batch = prepared.batch(wild)
    assert batch.values["series"].shape == (30, 2, 81) and batch.values["series"].abs().max() < 12
    assert (batch.values["series"][~batch.masks["series"]] == 0).all()
    calm = Preparation.fit(samples, ["series"]).scalings["series"].fitted
    np.testing.assert_allclose(prepared.scalings["series"].fitted["soft"], calm["soft"], rtol=0.05)


def test_it_is_learned_from_and_explained(samples):
    torch.manual_seed(0)
    run = af.train("late_fusion", samples, target="label", modalities=["series"], seed=0, epochs=12, progress=False)
    assert (run.predict(samples)["prediction"] == samples.column("label").data)[samples.present("series")].mean() > 0.6
    found = af.explain.attribute(run, samples.take(np.arange(4)), steps=4)
    assert found.per_place("series").shape == (4, 81) and found.baselines == {"series": "level"}
    assert af.explain.attribute(run, samples.take(np.arange(2)), "occlusion").per_place("series").shape == (2, 81)


def test_trees_read_it(samples):
    from astrofuse_lab.training.features import Features

    features = Features(samples, ("series",)).of(("series",), np.arange(20))
    assert len(features) == 30 and np.isfinite(features[samples.present("series")]).all()


def test_it_is_plotted(samples):
    import holoviews as hv

    sample = samples[int(np.flatnonzero(samples.present("series"))[0])]
    plot = hv.render(af.plot.series(sample), backend="bokeh")
    assert plot.xaxis[0].axis_label == "phase" and sample.object_id in plot.title.text
    assert {item.label.value for item in plot.legend[0].items} == {"primary", "secondary"}
    with pytest.raises(InputError, match="has no series"):
        af.plot.series(make_toy_samples(3)[0])


def test_the_view_gets_it(samples):
    widget = af.SamplesWidget(samples)
    payload = widget.answer("sample/0")
    one = next(m for m in payload["modalities"] if m["name"] == "series")
    if one["present"]:
        assert one["values"]["shape"] == [2, 81] and one["axis_name"] == "phase" and one["channels"] == ["primary", "secondary"]
    af.plot.coverage(samples)
