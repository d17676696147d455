"""A recipe asks for a representation by name: seen by encoders, stored with the run, made as it is read."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.alignment.representations import REPRESENTATIONS
from astrofuse_lab.errors import InputError, RunError, UnknownNameError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.samples.represented import represented
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import ModalitySpec
from astrofuse_lab.training.feed import Feed


def curves(n=60, seed=0, epochs=50, bands=("g", "r")):
    """Light curves of two classes: quick and slow sinusoids."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(epochs // 2, epochs, n)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    label = np.arange(n) % 2
    period = np.where(label, 0.6, 40.0) * rng.uniform(0.9, 1.1, n)
    time = np.concatenate([np.sort(rng.uniform(58000, 58300, c)) for c in counts])
    owner = np.repeat(np.arange(n), counts)
    phase = time / period[owner] * 2 * np.pi
    flux = 300 * (1 + 0.5 * np.sin(phase)) + rng.normal(0, 3, len(time))
    fields = {
        "offsets": offsets, "time": time, "flux": flux.astype(np.float32), "flux_err": np.full(len(time), 3, np.float32),
        "band": rng.integers(0, len(bands), len(time)).astype(np.int8), "mask": rng.random(len(time)) > 0.05,
    }  # fmt: skip
    columns = pa.table({"object_id": [f"c{i}" for i in range(n)], "label": np.array(["slow", "quick"])[label], "period": period, "epoch": np.full(n, 58000.0)})
    present = np.ones(n, bool)
    present[3:4] = False
    spec = ModalitySpec("light_curve", "light_curve", bands, (), "uJy", clock="UTC")
    return SampleSet(columns, {"light_curve": ModalityData(spec, fields, present)}, {"label": "target"})


@pytest.fixture(scope="module")
def samples():
    return curves()


def recipe(**part):
    return get_recipe("late_fusion").change(inputs={"light_curve": Part.of(**part)}, schedule=Part.of("end_to_end", batch_size=16))


def test_a_small_model_learns_from_dmdt_images_and_is_the_same_when_reopened(tmp_path):
    samples = curves(120)
    split = samples.split(test=0.3, seed=1)
    run = af.train(recipe(name="dmdt", edges="scope"), samples, "label", ["light_curve"], split=split, epochs=15, progress=False, device="cpu")
    told = run.predict(samples)
    tested = {(r["part"], r["metric"]): r["value"] for r in run.metrics}
    assert tested["test", "balanced_accuracy"] > 0.8
    run.save(tmp_path / "run")
    again = af.Run.open(tmp_path / "run", device="cpu")
    assert again.preparation.scalings["light_curve"].shown == run.preparation.scalings["light_curve"].shown
    for name in told.colnames:
        assert np.ma.allequal(np.ma.asarray(again.predict(samples)[name]), np.ma.asarray(told[name])), name
    assert again.model.layouts["light_curve"].kind == "image" and again.model.layouts["light_curve"].shape == (2, 26, 26)
    got = af.explain.attribute(again, samples.take([0, 1]))
    assert got.values["light_curve"].shape[1:] == (2, 26, 26)
    widget = af.AttributionWidget(again, samples)
    try:
        shown = widget.answer("sample/0")["modalities"]
    finally:
        widget.close()
    assert [(one["name"], one["kind"]) for one in shown] == [("light_curve", "image")]


def test_the_set_shows_it_under_its_own_name(samples):
    seen = samples.represent("light_curve", "dmdt", edges="scope", norm="none")
    assert seen.spec("light_curve").kind == "image" and seen.spec("light_curve").shape == (2, 26, 26) and samples.spec("light_curve").kind == "light_curve"
    whole = seen.arrays("light_curve")
    some = seen.take([9, 2, 9]).arrays("light_curve")
    np.testing.assert_array_equal(some["flux"], whole["flux"][[9, 2, 9]])
    assert list(seen.describe()["name"]) and len(seen.coverage())
    assert isinstance(seen[0]["light_curve"], af.modalities.Image) and seen[3]["light_curve"] is None
    again = Preparation.fit(samples, ["light_curve"], {"light_curve": Part.of("dmdt", edges="scope", norm="none")}).represented(samples)
    np.testing.assert_array_equal(again.arrays("light_curve")["flux"], whole["flux"])


def test_it_can_be_saved_as_what_it_shows(samples, tmp_path):
    seen = samples.represent("light_curve", "dmdt").take(np.arange(5, 15))
    again = af.SampleSet.open(seen.save(tmp_path / "set"))
    np.testing.assert_array_equal(again.arrays("light_curve")["flux"], seen.arrays("light_curve")["flux"])
    assert again.spec("light_curve").kind == "image"


def test_a_read_is_made_in_parts_and_parts_change_nothing(samples, monkeypatch):
    whole = samples.represent("light_curve", "dmdt").arrays("light_curve")
    monkeypatch.setattr("astrofuse_lab.samples.represented.AT_ONCE", 7)
    parts = samples.represent("light_curve", "dmdt").arrays("light_curve")
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_unknown_names_and_options_are_told(samples):
    for wrong in ({"name": "dmtd"}, {"name": "dmdt", "edges": "braay"}):
        with pytest.raises(UnknownNameError, match=r"Did you mean|Known"):
            af.train(recipe(**wrong), samples, "label", ["light_curve"], epochs=1, progress=False)
    with pytest.raises(InputError, match="no option 'edge'"):
        represented(samples, {"light_curve": Part.of("dmdt", edge="scope")})
    with pytest.raises(InputError, match="made of light_curve, but 'image' is image"):
        make_toy_samples(10).represent("image", "dmdt")
    with pytest.raises(InputError, match="ascend"):
        samples.represent("light_curve", "dmdt", dm=[1.0, 0.0])


def test_options_of_the_scaling_pass_through_and_other_layouts_are_refused(samples):
    inputs = {"light_curve": Part.of("dmdt", scale="sample")}
    made = Preparation.fit(samples, ["light_curve"], inputs)
    assert made.scalings["light_curve"].options["scale"] == "sample" and "scale" not in made.scalings["light_curve"].shown.options
    again = Preparation.from_json(json.loads(json.dumps(made.to_json())))
    for ours, theirs in zip(again.batch(samples, [4, 1]), made.batch(samples, [4, 1]), strict=True):
        assert (ours["light_curve"] == theirs["light_curve"]).all()
    again.check(samples)
    with pytest.raises(InputError, match="which is a target"):
        af.train(recipe(name="folded_global", period="period"), samples, "period", ["light_curve"], epochs=1, progress=False)
    with pytest.raises(RunError, match="another layout"):
        again.check(curves(10, bands=("g",)))
    assert represented(samples, {"light_curve": Part.of("asinh")}) is samples


def test_augmentations_vary_the_light_curve_not_its_picture(samples):
    from astrofuse_lab.alignment.augmentation import chosen

    made = Preparation.fit(samples, ["light_curve"], {"light_curve": Part.of("dmdt")})
    places = np.array([0, 1, 2])
    import torch

    plain = Feed(made, samples, np.arange(10), torch.device("cpu"), augment=chosen([Part("turn")]))
    batch, _ = next(plain.training([places], [[1]]))
    assert torch.equal(batch.values["light_curve"], plain.batch(places).values["light_curve"])  # a DMDT image is not turned


def test_every_representation_says_what_it_is():
    for name, one in REPRESENTATIONS.items():
        assert one.source and one.reads and dataclasses.is_dataclass(one), name
    assert set(REPRESENTATIONS) <= set(af.list_parts()["name"])


def test_images_are_turned_before_their_norm_and_columns_come_along(samples):
    import torch

    from astrofuse_lab.alignment.augmentation import chosen

    toy = make_toy_samples(20)
    places = np.flatnonzero(toy.present("image"))[:4]
    feed = Feed(Preparation.fit(toy, ["image"], {"image": Part.of("l2", along="rows")}), toy, places, torch.device("cpu"), augment=chosen([Part("turn")]))
    (batch, _), plain = next(feed.training([np.arange(4)], [[5]])), feed.batch(np.arange(4))
    rows = (batch.values["image"] ** 2).sum(-1)[batch.masks["image"].any(-1)]
    assert torch.allclose(rows, torch.ones_like(rows), atol=1e-4) and not torch.equal(batch.values["image"], plain.values["image"])
    folds = Preparation.fit(samples, ["light_curve"], {"light_curve": Part.of("folded_global", bins=20, period="period", epoch="epoch")})
    feed = Feed(folds, samples, np.arange(8), torch.device("cpu"), augment=chosen([Part.of("cadence", share=0.6)]))
    (batch, columns), plain = next(feed.training([np.arange(8)], [[5]])), feed.batch(np.arange(8))
    assert set(columns) == {"period", "epoch"} and batch.masks["light_curve"].sum() < plain.masks["light_curve"].sum()
