"""From arrays to tensors: fitted on the training part, stored with the run."""

import json

import numpy as np
import pytest
import torch
from conftest import make_toy_samples

from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.preparation import FIRST_BAND, FLUX, LIMIT, TIME, Preparation
from astrofuse_lab.samples.sample_set import SampleSet

ALL = ("image", "spectrum", "light_curve", "table", "text")


def changed(samples, name, **fields):
    one = samples._data[name]
    data = {**samples._data, name: ModalityData(one.spec, {**one.fields, **fields}, one.present)}
    return SampleSet(samples._columns, data, {k: v for k, v in samples.roles.items() if k != "object_id"}, samples.units, samples.card)


def test_shapes_and_masks(toy_samples):
    batch = Preparation.fit(toy_samples, ALL).batch(toy_samples, [3, 1, 4])
    shapes = {name: tuple(v.shape) for name, v in batch.values.items()}
    epochs = shapes["light_curve"][1]
    assert shapes == {"image": (3, 2, 16, 16), "spectrum": (3, 96), "light_curve": (3, epochs, FIRST_BAND + 2), "table": (3, 2), "text": (3, 64, 256)}
    for name in ALL:
        value, mask = batch.values[name], batch.masks[name]
        assert value.dtype == torch.float32 and mask.dtype == torch.bool and torch.isfinite(value).all()
        assert mask.shape == (value.shape[:2] if name in ("light_curve", "text") else value.shape)
        assert (batch.present[name] == mask.flatten(1).any(1)).all()
        lone = mask.unsqueeze(-1) if mask.ndim < value.ndim else mask
        assert (value * ~lone == 0).all()


def test_a_missing_modality_is_masked_whole(toy_samples):
    preparation = Preparation.fit(toy_samples, ALL)
    batch = preparation.batch(toy_samples)
    for name in ALL:
        np.testing.assert_array_equal(batch.present[name].numpy(), toy_samples.present(name))
        assert not batch.masks[name][~batch.present[name]].any()


def test_fit_sees_only_the_training_part():
    samples = make_toy_samples(60)
    train = samples.take(np.arange(40))
    fitted = Preparation.fit(train, ALL).to_json()
    rng = np.random.default_rng(5)
    offsets = samples._data["light_curve"].fields["offsets"]
    flux = {n: samples._data[n].fields["flux"].copy() for n in ("image", "spectrum", "light_curve")}
    for name, first in (("image", 40), ("spectrum", 40), ("light_curve", int(offsets[40]))):
        flux[name][first:] = rng.normal(1e6, 1e5, flux[name][first:].shape)
    other = samples
    for name, values in flux.items():
        other = changed(other, name, flux=values)
    assert Preparation.fit(other.take(np.arange(40)), ALL).to_json() == fitted
    assert Preparation.fit(other, ALL).to_json() != fitted


def test_scaled_values_are_of_order_one(toy_samples):
    batch = Preparation.fit(toy_samples, ALL).batch(toy_samples)
    for name in ("image", "spectrum", "table"):
        values = batch.values[name][batch.masks[name]]
        assert 0.3 < float(values.std()) < 3 and abs(float(values.median())) < 1
    flux = batch.values["light_curve"][..., FLUX][batch.masks["light_curve"]]
    assert 0.5 < float(flux.std()) < 2


def test_light_curve_channels_equal_a_plain_loop(toy_samples):
    preparation = Preparation.fit(toy_samples, ["light_curve"])
    scaling = preparation.scalings["light_curve"].fitted
    values, masks = (part["light_curve"].numpy() for part in preparation.batch(toy_samples)[:2])
    for i in range(0, 60, 7):
        curve = toy_samples[i]["light_curve"]
        if curve is None:
            continue
        good = curve.mask
        n = len(good)
        np.testing.assert_array_equal(masks[i, :n], good)
        assert not masks[i, n:].any()
        np.testing.assert_allclose(values[i, :n, TIME][good], (curve.time - curve.time[good].min())[good], rtol=1e-5, atol=1e-5)
        flux = (np.arcsinh(curve.flux / scaling["soft"][0]) - scaling["centre"][0]) / scaling["width"][0]
        np.testing.assert_allclose(values[i, :n, FLUX][good], flux[good], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(values[i, :n, LIMIT][good].astype(bool), curve.limit[good])
        np.testing.assert_array_equal(values[i, :n, FIRST_BAND:][good].argmax(-1), (curve.band == "r")[good])


def test_absolute_time_is_not_an_input(toy_samples):
    later = changed(toy_samples, "light_curve", time=toy_samples._data["light_curve"].fields["time"] + 1000.0)
    preparation = Preparation.fit(toy_samples, ["light_curve"])
    one, other = (preparation.batch(s).values["light_curve"] for s in (toy_samples, later))
    torch.testing.assert_close(one, other)


def test_the_latest_epochs_are_kept(toy_samples):
    preparation = Preparation.fit(toy_samples, ["light_curve"], {"light_curve": Part.of("scaled", epochs=5)})
    values, masks, present = preparation.batch(toy_samples)
    assert values["light_curve"].shape[1] == 5
    i = int(np.flatnonzero(present["light_curve"].numpy())[0])
    curve = toy_samples[i]["light_curve"]
    np.testing.assert_array_equal(masks["light_curve"][i].numpy(), curve.mask[-5:])


def test_json_there_and_back(toy_samples):
    preparation = Preparation.fit(toy_samples, ALL)
    back = Preparation.from_json(json.loads(json.dumps(preparation.to_json(), allow_nan=False)))
    one, other = preparation.batch(toy_samples, [0, 9]), back.batch(toy_samples, [0, 9])
    for part, same in zip(one, other, strict=True):
        for name in ALL:
            assert torch.equal(part[name], same[name])


@pytest.mark.parametrize("data", [{"image": {}}, {"image": None}, {"image": {"kind": "smell", "layout": [], "options": {}, "fitted": {}}}, {"image": 3}])
def test_damaged_json_is_refused(data):
    with pytest.raises(RunError):
        Preparation.from_json(data)


def test_another_layout_is_refused(toy_samples):
    preparation = Preparation.fit(toy_samples, ALL)
    preparation.check(toy_samples)
    roles = {k: v for k, v in toy_samples.roles.items() if k != "object_id"}
    fewer = SampleSet(toy_samples._columns, toy_samples._data, {**roles, "colour": "other"}, card=toy_samples.card)
    with pytest.raises(RunError, match="table"):
        preparation.check(fewer)
    without = SampleSet(toy_samples._columns, {k: v for k, v in toy_samples._data.items() if k != "spectrum"}, roles)
    with pytest.raises(RunError, match="spectrum"):
        preparation.check(without)


@pytest.mark.parametrize("name", ["image", "spectrum", "light_curve"])
def test_a_modality_of_nan_only(toy_samples, name):
    flux = toy_samples._data[name].fields["flux"]
    nothing = changed(toy_samples, name, flux=np.full_like(flux, np.nan))
    with pytest.raises(InputError, match=name):
        Preparation.fit(nothing, [name, "table"])
    # a run that was trained on real values takes such a set as one that lacks the modality
    batch = Preparation.fit(toy_samples, [name, "table"]).batch(nothing)
    assert not batch.present[name].any() and torch.isfinite(batch.values[name]).all()


def test_missing_everywhere_is_an_error_that_says_what_to_leave_out(toy_samples):
    absent = toy_samples.take(~toy_samples.present("spectrum"))
    with pytest.raises(InputError, match=r"modalities=\['image'\]"):
        Preparation.fit(absent, ["image", "spectrum"])


def test_constant_and_extreme_columns(toy_samples):
    import pyarrow as pa

    table = toy_samples._columns.append_column("flat", pa.array([7.0] * 60)).append_column("wild", pa.array([1e300, -1e300] * 30)).append_column("none", pa.array([None] * 60, pa.float64()))
    roles = {**{k: v for k, v in toy_samples.roles.items() if k != "object_id"}, "flat": "input", "wild": "input", "none": "input"}
    samples = SampleSet(table, {}, roles)
    batch = Preparation.fit(samples, ["table"]).batch(samples)
    values = batch.values["table"]
    assert torch.isfinite(values).all() and (values[:, 2] == 0).all() and float(values.abs().max()) <= 6
    assert not batch.masks["table"][:, 4].any()


def test_a_batch_of_none(toy_samples):
    batch = Preparation.fit(toy_samples, ALL).batch(toy_samples, [])
    assert len(batch) == 0 and batch.values["image"].shape == (0, 2, 16, 16)
